//! `run list|show|watch|log|cancel|retry|play|start`.

use std::collections::HashSet;
use std::time::Duration;

use console::Term;
use egress::Method;
use serde_json::{Map, Value, json};

use super::Session;
use crate::api::{segment, with_query};
use crate::args::Run;
use crate::failure::{Failure, Result};
use crate::output::{LogFilter, at, commit, facts, line, plain, raw, state, text, time};
use crate::progress::{Row, Steps};

pub(super) async fn run(command: Run, session: &Session) -> Result {
    match command {
        Run::List { of, reference, state: wanted, workflow, commit: of_commit, limit } => {
            let query = [
                ("ref", reference.as_deref()),
                ("state", wanted.as_deref()),
                ("workflow", workflow.as_deref()),
                ("commit", of_commit.as_deref()),
            ];
            let path = format!("/projects/{}/runs", session.project(&of)?);
            let items = session.api.list(&with_query(&path, query), limit).await?;
            session.format.list(
                &items,
                &[
                    ("RUN", &at("number")),
                    ("STATE", &state),
                    ("WORKFLOW", &at("name")),
                    ("REF", &|r| short_ref(&text(r, "ref"))),
                    ("COMMIT", &commit),
                    ("EVENT", &at("event")),
                    ("CREATED", &time("created_at")),
                    ("TITLE", &at("title")),
                ],
            )
        }
        Run::Show { run: of, job } => {
            let id = session.run(&of).await?;
            let mut run: Value = session.api.get(&format!("/runs/{id}")).await?;
            if let (Some(wanted), Some(jobs)) = (job, run["jobs"].as_array_mut()) {
                jobs.retain(|j| is_job(j, &wanted));
                if jobs.is_empty() {
                    return Err(Failure::NotFound(format!("the run has no job {wanted}")));
                }
            }
            session.format.show(&run, super::steps::shown)
        }
        Run::Watch(of) => {
            let run = session.run(&of).await?;
            watch(session, &run).await
        }
        Run::Log { run: of, job, follow } => {
            let run = session.run(&of).await?;
            log(session, &run, job.as_deref(), follow).await
        }
        Run::Why { run, job } => {
            let path = format!("/runs/{}/why", session.run(&run).await?);
            let mut why: Value = session.api.get(&path).await?;
            if let Some(wanted) = job {
                let same = |j: &Value| ["job", "key", "name"].iter().any(|f| j[*f] == wanted.as_str());
                let keys: Vec<Value> = why["jobs"].as_array().into_iter().flatten().filter(|j| same(j)).map(|j| j["key"].clone()).collect();
                for (list, field) in [("jobs", "key"), ("decisions", "job")] {
                    if let Some(list) = why[list].as_array_mut() {
                        list.retain(|d| keys.contains(&d[field]) || d[field] == wanted.as_str());
                    }
                }
                if why["jobs"].as_array().is_none_or(Vec::is_empty) && why["decisions"].as_array().is_none_or(Vec::is_empty) {
                    return Err(Failure::NotFound(format!("the run has no job {wanted}")));
                }
            }
            session.format.show(&why, super::why::explain)
        }
        Run::Tests(of) => {
            let run = session.run(&of).await?;
            let report: Value = session.api.get(&format!("/runs/{run}/tests?limit=100")).await?;
            session.format.show(&report, tests)
        }
        Run::Cancel(of) => {
            let run = session.run(&of).await?;
            let run: Value = session.api.post(&format!("/runs/{run}/cancel"), &json!({})).await?;
            session.format.show(&run, |r| format!("Cancelling run {}.", text(r, "number")))
        }
        Run::Retry { job: Some(job), from_step: Some(step), watch: follow, .. } => {
            let job: Value = session.api.post(&format!("/jobs/{}/retry", segment(&job)), &json!({ "from_step": step })).await?;
            if follow {
                return watch(session, &text(&job, "run_id")).await;
            }
            session.format.show(&job, |j| format!("{} goes on from step {step} as {}.", text(j, "name"), text(j, "id")))
        }
        Run::Retry { run: of, failed_only, job, watch: follow, .. } => {
            let id = session.run(&of).await?;
            let body = match job {
                Some(job) => json!({ "job": job }),
                None => json!({ "failed_only": failed_only }),
            };
            let run: Value = session.api.post(&format!("/runs/{id}/retry"), &body).await?;
            if follow {
                return watch(session, &id).await;
            }
            session.format.show(&run, |r| format!("Run {} starts again.", text(r, "number")))
        }
        Run::Play { job, inputs, abort, question } => {
            let mut body = json!({ "abort": abort });
            if !inputs.is_empty() {
                // yes and no are what a box asks for
                let value = |v: String| if let Ok(flag) = v.parse::<bool>() { Value::Bool(flag) } else { Value::String(v) };
                body["parameters"] = Value::Object(inputs.into_iter().map(|(k, v)| (k, value(v))).collect::<Map<_, _>>());
            }
            if let Some(question) = question {
                body["question"] = json!(question);
            }
            let job: Value = session.api.post(&format!("/jobs/{}/play", segment(&job)), &body).await?;
            let does = if abort { "is told to stop" } else { "goes on" };
            session.format.show(&job, |j| format!("{} {does}.", text(j, "name")))
        }
        Run::Start { of, reference, workflow, inputs, watch: follow } => {
            let project = session.project(&of)?;
            let mut body = json!({});
            if let Some(reference) = reference {
                body["ref"] = json!(reference);
            }
            if let Some(workflow) = workflow {
                body["workflow"] = json!(workflow);
            }
            if !inputs.is_empty() {
                body["inputs"] = Value::Object(inputs.into_iter().map(|(k, v)| (k, Value::String(v))).collect::<Map<_, _>>());
            }
            let started: Value = session.api.post(&format!("/projects/{project}/build"), &body).await?;
            let runs = started["runs"].as_array().cloned().unwrap_or_default();
            for diagnostic in started["diagnostics"].as_array().into_iter().flatten() {
                session.note(&located(diagnostic));
            }
            if runs.is_empty() {
                return Err(Failure::Failed("nothing was started".to_owned()));
            }
            if !follow {
                return session.format.show(&started, |_| {
                    runs.iter().map(|r| format!("Started run {} of {}.\n", text(r, "number"), text(r, "name"))).collect()
                });
            }
            let mut outcome = Ok(());
            for run in &runs {
                outcome = watch(session, &text(run, "id")).await.and(outcome);
            }
            outcome
        }
    }
}

/// `file:line:column: severity: message`.
pub(super) fn located(diagnostic: &Value) -> String {
    format!(
        "{}:{}:{}: {}: {}",
        text(diagnostic, "file"),
        text(diagnostic, "line"),
        text(diagnostic, "column"),
        text(diagnostic, "severity"),
        text(diagnostic, "message")
    )
}

fn short_ref(name: &str) -> String {
    name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/tags/")).unwrap_or(name).to_owned()
}

/// Shows a run's jobs until it is over. A run that did not succeed is a failure.
pub(super) async fn watch(session: &Session, run: &str) -> Result {
    let mut view = Steps::new(session.quiet);
    let mut last = Value::Null;
    session
        .api
        .follow(&format!("/runs/{}/events", segment(run)), |_, now| {
            view.update(rows(&now));
            last = now;
            Ok(())
        })
        .await?;
    if last["state"] != "completed" {
        last = session.api.get(&format!("/runs/{}", segment(run))).await?;
    }
    drop(view);
    session.format.show(&last, |r| {
        facts(&[
            ("run", format!("{} {}", text(r, "number"), text(r, "name"))),
            ("outcome", state(r)),
            ("commit", format!("{} {}", commit(r), text(r, "title"))),
            ("id", text(r, "id")),
        ])
    })?;
    if last["conclusion"] == "success" { Ok(()) } else { Err(Failure::Failed(format!("the run ended with {}", state(&last)))) }
}

/// The totals of a run's tests, and the cases that did not pass.
pub(super) fn tests(report: &Value) -> String {
    let count = |key: &str| report["totals"][key].as_u64().unwrap_or(0);
    let mut out = format!(
        "{} tests: {} passed, {} failed, {} skipped\n",
        count("tests"),
        count("passed"),
        count("failed") + count("errors"),
        count("skipped")
    );
    for case in report["items"].as_array().into_iter().flatten() {
        if case["status"] == "failed" || case["status"] == "error" {
            let line = format!("{} {}: {}", text(case, "class"), text(case, "name"), text(case, "message"));
            out.push_str(&format!("  {}\n", plain(&line)));
        }
    }
    out
}

/// One row a job, with the step it is at.
fn rows(run: &Value) -> Vec<Row> {
    let jobs = run["jobs"].as_array().into_iter().flatten();
    jobs.map(|job| {
        let steps = job["steps"].as_array().map_or(&[][..], Vec::as_slice);
        let position = steps.iter().position(|s| s["state"] == "running");
        let failed = steps.iter().find(|s| s["conclusion"] == "failure");
        let detail = match (text(job, "state").as_str(), position, failed) {
            ("running", Some(i), _) => format!("{}/{} {}", i + 1, steps.len(), text(&steps[i], "name")),
            ("completed", _, Some(step)) => text(step, "name"),
            _ => text(job, "reason"),
        };
        Row { key: text(job, "id"), title: text(job, "name"), state: state(job), detail }
    })
    .collect()
}

/// Prints the logs of a run's jobs, one job after another.
async fn log(session: &Session, run: &str, wanted: Option<&str>, follow: bool) -> Result {
    let path = format!("/runs/{}", segment(run));
    let mut printed: HashSet<String> = HashSet::new();
    loop {
        let state: Value = session.api.get(&path).await?;
        let jobs: Vec<&Value> = state["jobs"].as_array().into_iter().flatten().filter(|j| wanted.is_none_or(|w| is_job(j, w))).collect();
        if let (Some(wanted), true) = (wanted, jobs.is_empty()) {
            return Err(Failure::NotFound(format!("the run has no job {wanted}")));
        }
        let many = jobs.len() > 1;
        for job in &jobs {
            let id = text(job, "id");
            // a job that waits has no log yet; it is looked at again in the next round
            if (follow && job["started_at"].is_null() && job["state"] != "completed") || !printed.insert(id.clone()) {
                continue;
            }
            if many {
                line(&format!("=== {} ===", text(job, "name")))?;
            }
            if follow { stream_log(session, &id).await? } else { print_log(session, &id).await? }
        }
        if !follow || (state["state"] == "completed" && jobs.iter().all(|j| printed.contains(&text(j, "id")))) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn is_job(job: &Value, wanted: &str) -> bool {
    ["id", "key", "name"].iter().any(|field| job[*field] == wanted)
}

/// How much of a log is asked for at once, in bytes.
const PIECE: u64 = 4 << 20;

/// What there is of a log now, piece by piece: it may be larger than one answer may be.
async fn print_log(session: &Session, job: &str) -> Result {
    let mut filter = Printer::new();
    let mut offset = 0u64;
    loop {
        let path = format!("/jobs/{}/log?offset={offset}&limit={PIECE}", segment(job));
        let answer = session.api.send(Method::GET, &path, None, &[]).await?;
        let next = answer.header("x-log-next").and_then(|t| t.parse().ok());
        let bytes = answer.bytes().await?;
        filter.print(&bytes)?;
        let next = next.unwrap_or(offset + bytes.len() as u64);
        if bytes.is_empty() || next <= offset {
            return Ok(());
        }
        offset = next;
    }
}

/// A log while it grows.
async fn stream_log(session: &Session, job: &str) -> Result {
    let mut filter = Printer::new();
    session
        .api
        .follow(&format!("/jobs/{}/log/stream?offset=0", segment(job)), |name, data| match name {
            "log" => filter.print(text(&data, "text").as_bytes()),
            _ => Ok(()),
        })
        .await
}

/// On a terminal a log is cleaned; into a file or a pipe it goes as it is.
struct Printer {
    filter: Option<LogFilter>,
    cut: Vec<u8>,
}

impl Printer {
    fn new() -> Self {
        Self { filter: Term::stdout().is_term().then(LogFilter::default), cut: Vec::new() }
    }

    fn print(&mut self, bytes: &[u8]) -> Result {
        let Some(filter) = &mut self.filter else { return raw(bytes) };
        self.cut.extend_from_slice(bytes);
        // a character may be cut by the end of a piece: keep its first bytes for the next
        let whole = match std::str::from_utf8(&self.cut) {
            Err(e) if e.error_len().is_none() => e.valid_up_to(),
            _ => self.cut.len(),
        };
        let rest = self.cut.split_off(whole);
        let piece = std::mem::replace(&mut self.cut, rest);
        raw(filter.push(&String::from_utf8_lossy(&piece)).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_shown_with_the_step_that_matters() {
        let run = json!({"jobs": [
            {"id": "a", "name": "test", "state": "running", "conclusion": null, "steps": [{"name": "x", "state": "completed"}, {"name": "Test", "state": "running"}, {"name": "z", "state": "pending"}]},
            {"id": "b", "name": "lint", "state": "completed", "conclusion": "failure", "steps": [{"name": "Lint", "state": "completed", "conclusion": "failure"}]},
            {"id": "c", "name": "gpu", "state": "unschedulable", "reason": "no runner has the label gpu", "steps": []},
        ]});
        let got: Vec<_> = rows(&run).into_iter().map(|r| (r.title, r.state, r.detail)).collect();
        let want = [("test", "running", "2/3 Test"), ("lint", "failure", "Lint"), ("gpu", "unschedulable", "no runner has the label gpu")];
        assert_eq!(got, want.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned())));
    }

    #[test]
    fn failed_tests_are_named() {
        let report = json!({"totals": {"tests": 3, "passed": 1, "failed": 1, "errors": 1, "skipped": 0}, "items": [
            {"class": "a", "name": "good", "status": "passed"}, {"class": "a", "name": "bad", "status": "failed", "message": "1 is not 2\n\u{1b}[2J"},
        ]});
        assert_eq!(tests(&report), "3 tests: 1 passed, 2 failed, 0 skipped\n  a bad: 1 is not 2 [2J\n");
    }

    #[test]
    fn jobs_are_named_in_three_ways() {
        let job = json!({"id": "job_1", "key": "test", "name": "Test (a)"});
        assert!(["job_1", "test", "Test (a)"].iter().all(|w| is_job(&job, w)) && !is_job(&job, "tes"));
    }
}
