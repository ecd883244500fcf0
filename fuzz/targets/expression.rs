//! Any text as an expression and as a template, in some contexts.
#![no_main]

use dialects::expr::{Context, Status, eval_condition, evaluate, interpolate};
use serde_json::json;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let roots = json!({
        "github": {"ref": "refs/heads/main", "event": {"commits": [{"id": "1", "message": "a"}, {"id": "2"}], "deleted": false}},
        "matrix": {"os": ["linux", "macos"], "n": 3.5},
        "env": {"A": "0x10", "B": ""},
        "needs": {"build": {"result": "success", "outputs": {"v": "[1, 2]"}}},
    });
    let context = Context::new(&roots);
    let _ = evaluate(text, &context);
    let _ = interpolate(text, &context);
    let _ = eval_condition(Some(text), &context, Status { success: true, failure: false, cancelled: false });
});
