//! The jobs and steps of a run, for people.

use serde_json::Value;

use crate::output::{commit, facts, size, state, table, text};

/// A run, and a table of the steps of each job.
pub(super) fn shown(run: &Value) -> String {
    let mut out = facts(&[
        ("run", format!("{} {}", text(run, "number"), text(run, "name"))),
        ("state", state(run)),
        ("commit", format!("{} {}", commit(run), text(run, "title"))),
        ("reason", text(run, "reason")),
        ("id", text(run, "id")),
    ]);
    for job in run["jobs"].as_array().into_iter().flatten() {
        let reason = job["reason"].as_str().map(|r| format!(": {r}")).unwrap_or_default();
        let again = job["retry_from"].as_i64().map(|n| format!(", can go on from step {n}")).unwrap_or_default();
        let attempt = if job["attempt"].as_i64() > Some(1) { format!(", attempt {}", job["attempt"]) } else { String::new() };
        out.push_str(&format!("\n{} {}{reason} ({}{attempt}{again})\n", text(job, "name"), state(job), text(job, "id")));
        let steps = job["steps"].as_array().map_or(&[][..], Vec::as_slice);
        if steps.is_empty() {
            continue;
        }
        out.push_str(&table(
            steps,
            &[
                ("STEP", &|s| text(s, "index")),
                ("STATE", &state),
                ("TIME", &|s| took(s).unwrap_or_default()),
                ("CPU", &|s| cpu(&s["usage"]).unwrap_or_default()),
                ("MEMORY", &|s| bytes(s, "memory_peak_bytes")),
                ("READ", &|s| bytes(s, "read_bytes")),
                ("WRITTEN", &|s| bytes(s, "written_bytes")),
                ("NAME", &|s| {
                    let from = s["taken_from"].as_str().map(|job| format!(" (taken over from {job})")).unwrap_or_default();
                    text(s, "name") + &from
                }),
            ],
        ));
    }
    out
}

fn bytes(step: &Value, field: &str) -> String {
    step["usage"][field].as_u64().map(size).unwrap_or_default()
}

/// Time of processors; nothing when neither part is known.
fn cpu(usage: &Value) -> Option<String> {
    let parts = [&usage["cpu_user_ms"], &usage["cpu_system_ms"]].map(Value::as_u64);
    parts.iter().any(Option::is_some).then(|| seconds(parts.into_iter().flatten().sum()))
}

fn took(step: &Value) -> Option<String> {
    let at = |field: &str| serde_json::from_value::<kernel::Timestamp>(step[field].clone()).ok();
    let (from, to) = (at("started_at")?, at("finished_at")?);
    Some(seconds(u64::try_from(to.since(from).as_millis()).ok()?))
}

fn seconds(ms: u64) -> String {
    format!("{}.{:02} s", ms / 1000, ms % 1000 / 10)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_known_is_left_blank() {
        let usage = json!({"cpu_user_ms": 1500, "cpu_system_ms": 20, "memory_peak_bytes": 2048, "read_bytes": null, "written_bytes": 0});
        let run = json!({"number": 3, "name": "CI", "state": "completed", "conclusion": "failure", "id": "run_1", "commit": "abcdef0123", "title": "t",
        "reason": null, "jobs": [{"id": "job_1", "name": "test", "state": "completed", "conclusion": "failure", "reason": "no", "attempt": 2, "steps": [
            {"index": 0, "name": "Set up job", "state": "completed", "conclusion": "success", "started_at": "2026-11-24T00:00:00.000Z",
             "finished_at": "2026-11-24T00:00:01.250Z", "usage": null},
            {"index": 1, "name": "make", "state": "completed", "conclusion": "failure", "started_at": null, "finished_at": null, "usage": usage},
        ]}]});
        let want = "run:    3 CI\nstate:  failure\ncommit: abcdef01 t\nid:     run_1\n\ntest failure: no (job_1, attempt 2)\n\
            STEP  STATE    TIME    CPU     MEMORY    READ  WRITTEN  NAME\n\
            0     success  1.25 s                                   Set up job\n\
            1     failure          1.52 s  2.00 KiB        0 B      make\n";
        assert_eq!(shown(&run), want);
    }
}
