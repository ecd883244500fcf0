//! `test list|show|quarantine|split`.

use std::io::Read as _;
use std::time::Duration;

use http::Method;
use kernel::Timestamp;
use serde_json::{Value, json};

use super::Session;
use crate::api::{segment, with_query};
use crate::args::word;
use crate::ci_args::Tests;
use crate::failure::{Failure, Result};
use crate::output::{at, facts, text, time};

/// Results that `show` lists.
const RESULTS: usize = 20;

pub(super) async fn run(command: Tests, session: &Session) -> Result {
    match command {
        Tests::List { state, search, limit, of } => {
            let path = format!("/projects/{}/tests", session.project(&of)?);
            let state = state.map(|s| word(&s));
            let items = session.api.list(&with_query(&path, [("state", state.as_deref()), ("q", search.as_deref())]), limit).await?;
            session.format.list(
                &items,
                &[
                    ("TEST", &at("id")),
                    ("CLASS", &at("class")),
                    ("NAME", &at("name")),
                    ("LAST", &at("last")),
                    ("MEDIAN", &|t| millis(t, "median_ms")),
                    ("RUNS", &at("runs")),
                    ("FAILED", &at("failures")),
                    ("MARKS", &marks),
                ],
            )
        }
        Tests::Show { test, of } => {
            let path = format!("/projects/{}/tests/{}", session.project(&of)?, segment(&test));
            let found: Value = session.api.get(&path).await?;
            let history = session.api.list(&format!("/tests/{}/history", segment(&test)), RESULTS).await?;
            let whole = json!({ "test": found, "history": history });
            session.format.show(&whole, shown)
        }
        Tests::Quarantine { test, reason, days, lift } => {
            let path = format!("/tests/{}/quarantine", segment(&test));
            if lift {
                session.api.delete(&path).await?;
                session.note(&format!("The failures of {test} count again."));
                return Ok(());
            }
            let until = Timestamp::now().plus(Duration::from_secs(u64::from(days) * 86_400));
            let body = json!({ "reason": reason, "until": until });
            session.api.send(Method::PUT, &path, Some(&body), &[]).await?;
            session.note(&format!("The failures of {test} count for nothing in the next {days} days."));
            Ok(())
        }
        Tests::Split { total, index, of } => {
            let index = match index {
                Some(index) => index,
                // GitLab counts from one
                None => std::env::var("CI_NODE_INDEX")
                    .ok()
                    .and_then(|i| i.parse::<usize>().ok()?.checked_sub(1))
                    .ok_or_else(|| Failure::Usage("--index says which part this is".to_owned()))?,
            };
            let mut files = String::new();
            std::io::stdin().read_to_string(&mut files)?;
            let files: Vec<&str> = files.lines().map(str::trim).filter(|f| !f.is_empty()).collect();
            let path = format!("/projects/{}/tests/split", session.project(&of)?);
            let part: Value = session.api.post(&path, &json!({ "total": total, "index": index, "files": files })).await?;
            session
                .format
                .show(&part, |part| part["files"].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join("\n"))
        }
    }
}

fn millis(of: &Value, key: &str) -> String {
    of[key].as_f64().map_or_else(String::new, |ms| format!("{:.3} s", ms / 1000.0))
}

fn marks(test: &Value) -> String {
    let failing = test["first_failed_commit"].as_str().map(|c| format!("failing since {}", c.get(..8).unwrap_or(c)));
    let flaky = (test["flaky"] == true).then(|| "flaky".to_owned());
    let quarantined = (test["quarantined"] == true).then(|| "quarantined".to_owned());
    [failing, flaky, quarantined].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn shown(whole: &Value) -> String {
    let test = &whole["test"];
    let mut lines = facts(&[
        ("test", text(test, "id")),
        ("suite", text(test, "suite")),
        ("class", text(test, "class")),
        ("name", text(test, "name")),
        ("file", text(test, "file")),
        ("results", format!("{}, {} failed", text(test, "runs"), text(test, "failures"))),
        ("median", millis(test, "median_ms")),
        ("marks", marks(test)),
        ("quarantine", quarantine(&test["quarantine"])),
    ]);
    for result in whole["history"].as_array().into_iter().flatten() {
        let commit = text(result, "commit");
        let row = format!(
            "\n#{} {} {} {} {} {}",
            text(result, "number"),
            commit.get(..8).unwrap_or(&commit),
            time("at")(result),
            text(result, "job"),
            text(result, "state"),
            millis(result, "duration_ms")
        );
        lines.push_str(&row);
    }
    lines
}

fn quarantine(q: &Value) -> String {
    if q.is_null() { String::new() } else { format!("until {} by {}: {}", text(q, "until"), text(q, "by.name"), text(q, "reason")) }
}
