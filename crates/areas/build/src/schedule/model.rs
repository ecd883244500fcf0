//! The pure side of scheduling: labels, contexts, results of job groups.

use dialects::expr::{self, Context};
use dialects::plan::{Job, Late, Plan};
use dialects::ready::{JobResult, Outcome};
use indexmap::IndexMap;
use kernel::{JobId, Timestamp};
use serde_json::{Map, Value, json};
use store::job::JobRow;

use super::turn;
use crate::runners::kept::KEEPER;

/// A job runs this long when its plan does not say.
const DEFAULT_TIMEOUT_MINUTES: f64 = 360.0;
/// A job may run this long at most: 35 days, like a run.
const MAX_TIMEOUT_MINUTES: f64 = 35.0 * 24.0 * 60.0;

/// The outcome of a conclusion text.
pub fn outcome(conclusion: &str) -> Outcome {
    match conclusion {
        "success" => Outcome::Success,
        "cancelled" => Outcome::Cancelled,
        "skipped" => Outcome::Skipped,
        _ => Outcome::Failure,
    }
}

/// Results of the job groups that have ended: a matrix counts once, outputs of later cells win.
pub fn results(jobs: &[JobRow]) -> IndexMap<String, JobResult> {
    let mut groups: IndexMap<&str, Vec<&JobRow>> = IndexMap::new();
    for job in jobs {
        groups.entry(job.key.as_str()).or_default().push(job);
    }
    let mut results = IndexMap::new();
    for (key, group) in groups {
        if group.iter().any(|j| j.state != "completed") {
            continue;
        }
        let outcome = Outcome::combine(group.iter().map(|j| {
            let o = outcome(j.conclusion.as_deref().unwrap_or("failure"));
            // what may fail counts as well done for those who need it
            if j.allowed_to_fail && o == Outcome::Failure { Outcome::Success } else { o }
        }));
        let mut outputs = IndexMap::new();
        for job in group {
            if let Value::Object(map) = &job.outputs {
                outputs.extend(map.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))));
            }
        }
        results.insert(key.to_owned(), JobResult { outcome, outputs });
    }
    results
}

/// How a run ended; none while a job is open.
pub fn conclusion(jobs: &[JobRow], cancelled: bool) -> Option<&'static str> {
    if jobs.iter().any(|j| j.state != "completed") {
        return None;
    }
    let has = |c: &str| jobs.iter().any(|j| j.conclusion.as_deref() == Some(c) && !(c == "failure" && j.allowed_to_fail));
    Some(if has("failure") {
        "failure"
    } else if cancelled || has("cancelled") {
        "cancelled"
    } else if !jobs.is_empty() && jobs.iter().all(|j| j.conclusion.as_deref() == Some("skipped")) {
        "skipped"
    } else {
        "success"
    })
}

/// The label sets' one spelling: lower case, sorted, each once.
pub fn label_key(labels: &[String]) -> String {
    let mut sorted: Vec<String> = labels.iter().map(|l| l.trim().to_lowercase()).collect();
    sorted.sort();
    sorted.dedup();
    sorted.join(",")
}

/// The labels of a key.
pub fn labels_of(key: &str) -> Vec<String> {
    key.split(',').filter(|l| !l.is_empty()).map(str::to_owned).collect()
}

/// What a run's jobs matter: what people wait for comes before what a push started, and that before what the clock started.
pub fn priority(event: &str, deploys: bool) -> i64 {
    match event {
        _ if deploys => 2,
        "workflow_dispatch" | "repository_dispatch" => 2,
        "schedule" => 0,
        _ => 1,
    }
}

/// When the turn of a job is: a step of priority is worth five minutes of waiting, no more, so nothing waits for ever.
pub fn turn(queued: Timestamp, priority: i64) -> Timestamp {
    let steps = u32::try_from(2 - priority.clamp(0, 2)).unwrap_or(0);
    queued.plus(std::time::Duration::from_secs(300) * steps)
}

/// Does a runner with `has` satisfy all of `wants`?
pub fn satisfies(has: &[String], wants: &[String]) -> bool {
    wants.iter().all(|w| has.iter().any(|h| h.eq_ignore_ascii_case(w.trim())))
}

/// Why no runner takes a job with these labels.
pub fn unschedulable_reason(labels: &[String], runners: usize) -> String {
    if labels.iter().any(|l| l.starts_with(KEEPER)) {
        return "the runner that keeps the files of the earlier attempt is not online".into();
    }
    match (runners, labels) {
        (0, _) => "no runner is online".into(),
        (_, [one]) => format!("no online runner has the label `{one}`"),
        (_, many) => {
            format!("no online runner has all the labels {}", many.iter().map(|l| format!("`{l}`")).collect::<Vec<_>>().join(", "))
        }
    }
}

/// A fresh row for a job of the plan that has not been looked at.
pub fn placeholder(run: &store::run::RunRow, job: &Job, position: usize, attempt: i64) -> JobRow {
    JobRow {
        id: JobId::new(),
        run: run.id,
        project: run.project,
        key: job.key.clone(),
        position: i64::try_from(position).unwrap_or(0),
        cell: None,
        cells: 1,
        name: job.name.clone().filter(|n| !n.contains("${{")).unwrap_or_else(|| job.key.clone()),
        state: "waiting".into(),
        reason: None,
        conclusion: None,
        infra_failure: None,
        allowed_to_fail: false,
        attempt,
        superseded: false,
        epoch: 0,
        labels: Vec::new(),
        label_key: String::new(),
        matrix: None,
        outputs: json!({}),
        annotations: json!([]),
        // known from the beginning where the order of a group may depend on jobs that are not ready
        concurrency_group: job
            .concurrency
            .as_ref()
            .filter(|c| c.group.starts_with(turn::RESOURCE) && !c.group.contains("${{"))
            .map(|c| c.group.trim().to_lowercase()),
        timeout_seconds: 0,
        runner: None,
        lease_until: None,
        cancel: None,
        cancel_at: None,
        token_hash: None,
        log_length: 0,
        log_digest: None,
        queued_at: None,
        started_at: None,
        finished_at: None,
        released_at: None,
        namespace: String::new(),
        priority: 1,
        turn: Timestamp(0),
        version: 1,
    }
}

/// Another attempt of an expanded job.
pub fn again(job: &JobRow) -> JobRow {
    // it begins at its beginning, so any runner will do
    let labels: Vec<String> = job.labels.iter().filter(|l| !l.starts_with(KEEPER)).cloned().collect();
    JobRow {
        id: JobId::new(),
        state: "waiting".into(),
        reason: None,
        conclusion: None,
        infra_failure: None,
        attempt: job.attempt + 1,
        label_key: label_key(&labels),
        labels,
        superseded: false,
        epoch: 0,
        outputs: json!({}),
        annotations: json!([]),
        runner: None,
        lease_until: None,
        cancel: None,
        cancel_at: None,
        token_hash: None,
        log_length: 0,
        log_digest: None,
        queued_at: None,
        started_at: None,
        finished_at: None,
        version: 1,
        ..job.clone()
    }
}

/// The `strategy` context of a cell.
pub fn strategy_context(job: &Job, cell: usize, cells: usize, roots: &Value) -> Value {
    let fail_fast = job.strategy.as_ref().is_none_or(|s| late_bool(&s.fail_fast, roots).unwrap_or(true));
    let max_parallel = max_parallel(job, roots).unwrap_or(cells);
    json!({"fail-fast": fail_fast, "job-index": cell, "job-total": cells, "max-parallel": max_parallel})
}

/// Evaluates a flag.
///
/// # Errors
/// The expression's.
pub fn late_bool(value: &Late<bool>, roots: &Value) -> Result<bool, String> {
    match value {
        Late::Known(b) => Ok(*b),
        Late::Expr(text) => match expr::evaluate_template(text, &Context::new(roots)).map_err(|e| e.0)? {
            Value::Bool(b) => Ok(b),
            other => Err(format!("`{text}` must give true or false, it gives `{other}`")),
        },
    }
}

/// Evaluates a number.
///
/// # Errors
/// The expression's.
pub fn late_number(value: &Late<f64>, roots: &Value) -> Result<f64, String> {
    match value {
        Late::Known(n) => Ok(*n),
        Late::Expr(text) => {
            let value = expr::evaluate_template(text, &Context::new(roots)).map_err(|e| e.0)?;
            let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
            number.filter(|n| n.is_finite() && *n > 0.0).ok_or_else(|| format!("`{text}` must give a number above 0, it gives `{value}`"))
        }
    }
}

/// `max-parallel`, if the job has one that can be evaluated.
pub fn max_parallel(job: &Job, roots: &Value) -> Option<usize> {
    let n = late_number(job.strategy.as_ref()?.max_parallel.as_ref()?, roots).ok()?;
    Some((n as usize).max(1))
}

/// Seconds a job may run.
///
/// # Errors
/// The expression's.
pub fn timeout_seconds(job: &Job, roots: &Value) -> Result<i64, String> {
    let minutes = job.timeout_minutes.as_ref().map_or(Ok(DEFAULT_TIMEOUT_MINUTES), |t| late_number(t, roots))?;
    Ok(((minutes.min(MAX_TIMEOUT_MINUTES) * 60.0).ceil() as i64).max(1))
}

/// The labels a job asks for: each may be an expression that gives one or several.
///
/// # Errors
/// The expression's, and when nothing is asked for.
pub fn labels(job: &Job, roots: &Value) -> Result<Vec<String>, String> {
    let mut labels = Vec::new();
    for text in &job.runs_on {
        match expr::evaluate_template(text, &Context::new(roots)).map_err(|e| e.0)? {
            Value::String(s) => labels.push(s.trim().to_owned()),
            Value::Array(items) => {
                for item in items {
                    labels.push(item.as_str().map(|s| s.trim().to_owned()).ok_or_else(|| format!("`{text}` must give texts"))?);
                }
            }
            other => return Err(format!("`runs-on` must give a text or a list of texts, `{text}` gives `{other}`")),
        }
    }
    labels.retain(|l| !l.is_empty());
    if labels.is_empty() || labels.len() > 50 || labels.iter().any(|l| l.len() > 200 || l.contains(',')) {
        return Err("`runs-on` must name 1 to 50 labels without commas".into());
    }
    Ok(labels)
}

/// Contexts of a cell: those of the run, `needs`, `matrix`, `strategy`.
pub fn cell_roots(base: &Value, needs: Value, matrix: Option<&Value>, strategy: Value) -> Value {
    let mut roots = match base {
        Value::Object(map) => map.clone(),
        _ => Map::new(),
    };
    roots.insert("needs".into(), needs);
    roots.insert("matrix".into(), matrix.cloned().unwrap_or(Value::Null));
    roots.insert("strategy".into(), strategy);
    Value::Object(roots)
}

/// What kind of failure ended a job, in the words of `retry:when`.
pub fn failure_kind(job: &JobRow, infra: bool, now: Timestamp) -> &'static str {
    let limit = std::time::Duration::from_secs(job.timeout_seconds.unsigned_abs());
    if infra {
        "runner_system_failure"
    } else if job.started_at.is_some_and(|s| s.plus(limit) <= now) {
        "job_execution_timeout"
    } else {
        "script_failure"
    }
}

/// Is a job that failed tried again? `used` counts the tries so far.
pub fn retries(retry: &dialects::plan::Retry, used: i64, kind: &str, exit_code: Option<i64>) -> bool {
    let by_kind = retry.when.iter().any(|w| w == kind);
    let by_code = exit_code.is_some_and(|c| retry.exit_codes.iter().any(|e| i64::from(*e) == c));
    let any = retry.when.is_empty() && retry.exit_codes.is_empty();
    used < i64::from(retry.max) && (any || by_kind || by_code)
}

/// All jobs that need one of `keys`, directly or not.
pub fn dependents(plan: &Plan, keys: &[String]) -> Vec<String> {
    let below = |job: &&Job| !keys.contains(&job.key) && dialects::ready::ancestors(plan, job).iter().any(|a| keys.iter().any(|k| k == a));
    plan.jobs.iter().filter(below).map(|j| j.key.clone()).collect()
}

/// Ends a job row.
pub fn end(job: &mut JobRow, conclusion: &str, reason: Option<String>, now: Timestamp) {
    job.state = "completed".into();
    job.conclusion = Some(conclusion.into());
    job.reason = reason;
    job.finished_at = Some(now);
    job.lease_until = None;
    job.cancel_at = None;
    job.token_hash = None;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_have_their_reasons() {
        use dialects::plan::Retry;
        let any = Retry { max: 2, ..Retry::default() };
        assert!(
            retries(&any, 0, "script_failure", None)
                && retries(&any, 1, "runner_system_failure", Some(3))
                && !retries(&any, 2, "script_failure", None)
        );
        let timed = Retry { max: 1, when: vec!["job_execution_timeout".into()], ..Retry::default() };
        assert!(retries(&timed, 0, "job_execution_timeout", None) && !retries(&timed, 0, "script_failure", Some(1)));
        let coded = Retry { max: 1, exit_codes: vec![137], ..Retry::default() };
        assert!(retries(&coded, 0, "script_failure", Some(137)) && !retries(&coded, 0, "script_failure", Some(1)));
    }

    #[test]
    fn labels_have_one_spelling() {
        let l = |t: &[&str]| t.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(label_key(&l(&["X64", "linux", "x64"])), "linux,x64");
        assert!(satisfies(&l(&["linux", "x64", "docker"]), &l(&["Linux", "X64"])));
        assert!(!satisfies(&l(&["linux"]), &l(&["linux", "gpu"])));
        assert_eq!(unschedulable_reason(&l(&["gpu"]), 2), "no online runner has the label `gpu`");
        assert_eq!(unschedulable_reason(&l(&["gpu"]), 0), "no runner is online");
    }
}
