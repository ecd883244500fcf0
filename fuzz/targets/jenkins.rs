//! Any bytes as a Jenkinsfile: parsed, read as a declarative pipeline, planned, and printed as JSON.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let read = dialects::jenkins::read("Jenkinsfile", bytes);
    if let Some(pipeline) = &read.pipeline {
        let _ = pipeline.json();
    }
    let _ = dialects::jenkins::plan::compile("Jenkinsfile", bytes);
});
