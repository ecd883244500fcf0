//! Any bytes as a GitHub workflow: read, and forecast for a push.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let compiled = dialects::github::compile(".github/workflows/x.yml", bytes);
    if let Some(plan) = compiled.plan {
        // what was accepted can be stored and read again
        let text = serde_json::to_string(&plan).expect("a plan is JSON");
        let _: dialects::Plan = serde_json::from_str(&text).expect("a stored plan can be read");
    }
});
