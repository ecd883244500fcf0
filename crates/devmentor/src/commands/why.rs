//! Why the jobs of a run are as they are, in plain words.

use serde_json::Value;

use crate::output::text;

/// A paragraph for each job, after those of the file that are not in the run.
pub(super) fn explain(why: &Value) -> String {
    let mut out = Vec::new();
    for d in list(&why["decisions"]) {
        let verb = if d["included"] == true { "is in" } else { "is not in" };
        out.push(format!("{} {verb}: {} ({}:{})", text(d, "job"), text(d, "because"), text(d, "file"), text(d, "line")));
    }
    for job in list(&why["jobs"]) {
        let state = job["conclusion"].as_str().or(job["state"].as_str()).unwrap_or_default();
        let reason = job["reason"].as_str().map(|r| format!(": {r}")).unwrap_or_default();
        out.push(format!("{} {state}{reason}", text(job, "name")));
        let e = &job["evaluation"];
        if e.is_null() {
            continue;
        }
        let holds = match (&e["value"], e["error"].as_str()) {
            (_, Some(error)) => format!("cannot be evaluated: {error}"),
            (Value::Bool(value), _) => value.to_string(),
            _ => "not decided yet".into(),
        };
        let condition = e["condition"].as_str().unwrap_or("success()");
        out.push(format!("    if {condition} -> {holds} ({}:{})", text(e, "file"), text(e, "line")));
        for operand in list(&e["operands"]) {
            let value = if operand["hidden"] == true { "(hidden)".to_owned() } else { operand["value"].to_string() };
            out.push(format!("        {} = {value}", text(operand, "expression")));
        }
        for need in list(&e["needs"]) {
            let how = if need["direct"] == true { "needs" } else { "needs indirectly" };
            out.push(format!("        {how} {}: {}", text(need, "job"), need["result"].as_str().unwrap_or("goes on")));
        }
    }
    out.join("\n")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[][..], Vec::as_slice)
}
