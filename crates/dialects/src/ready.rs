//! When a job may run, from the results of the others: run, skip with its reason, or wait.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::expr::{self, Context, Status};
use crate::plan::{Job, Plan};

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All went well, or its failure does not count.
    Success,
    /// Something went wrong.
    Failure,
    /// Stopped by somebody.
    Cancelled,
    /// Never ran.
    Skipped,
}

impl Outcome {
    /// Its text, as `needs.<job>.result` shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Success => "success",
            Outcome::Failure => "failure",
            Outcome::Cancelled => "cancelled",
            Outcome::Skipped => "skipped",
        }
    }

    /// The result of a whole matrix.
    pub fn combine(outcomes: impl IntoIterator<Item = Outcome>) -> Outcome {
        let mut result = None;
        for o in outcomes {
            let worse = match (result, o) {
                (None, o) => o,
                (Some(Outcome::Failure), _) | (_, Outcome::Failure) => Outcome::Failure,
                (Some(Outcome::Cancelled), _) | (_, Outcome::Cancelled) => Outcome::Cancelled,
                (Some(Outcome::Success), _) | (_, Outcome::Success) => Outcome::Success,
                _ => Outcome::Skipped,
            };
            result = Some(worse);
        }
        result.unwrap_or(Outcome::Skipped)
    }
}

/// What is known of a finished job (of all its matrix together).
#[derive(Clone, Debug)]
pub struct JobResult {
    /// How it ended; a failure with `continue-on-error` counts as success here.
    pub outcome: Outcome,
    /// Its outputs.
    pub outputs: IndexMap<String, String>,
}

/// What to do with a job now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Some job it needs has not ended.
    Wait,
    /// Run it.
    Run,
    /// Do not run it, and why.
    Skip(String),
    /// Its condition cannot be evaluated: it fails with this message.
    Fail(String),
}

/// All jobs that a job needs, directly or not.
pub fn ancestors<'p>(plan: &'p Plan, job: &'p Job) -> BTreeSet<&'p str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = job.needs.iter().map(String::as_str).collect();
    while let Some(key) = open.pop() {
        if found.insert(key)
            && let Some(job) = plan.job(key)
        {
            open.extend(job.needs.iter().map(String::as_str));
        }
    }
    found
}

/// The `needs` context of a job.
pub fn needs_context(job: &Job, results: &IndexMap<String, JobResult>) -> Value {
    let entries = job.needs.iter().filter_map(|key| {
        let r = results.get(key)?;
        Some((key.clone(), json!({"result": r.outcome.as_str(), "outputs": r.outputs})))
    });
    Value::Object(entries.collect())
}

/// Decides about a job that has not started. `roots` holds the other contexts (`github`, `vars`, `inputs`);
/// `needs` is added here.
pub fn decide(plan: &Plan, job: &Job, results: &IndexMap<String, JobResult>, cancelled: bool, roots: &Value) -> Decision {
    if job.needs.iter().any(|key| !results.contains_key(key)) {
        return Decision::Wait;
    }
    let ancestors = ancestors(plan, job);
    let culprit =
        |bad: fn(Outcome) -> bool| ancestors.iter().find_map(|key| results.get(*key).filter(|r| bad(r.outcome)).map(|r| (*key, r.outcome)));
    let not_successful = culprit(|o| o != Outcome::Success);
    let status = Status {
        success: !cancelled && not_successful.is_none(),
        failure: !cancelled && culprit(|o| o == Outcome::Failure).is_some(),
        cancelled,
    };
    let mut roots = roots.clone();
    if let Value::Object(map) = &mut roots {
        map.insert("needs".into(), needs_context(job, results));
    }
    match expr::eval_condition(job.condition.as_deref(), &Context::new(&roots), status) {
        Err(e) => Decision::Fail(format!("`if` at {}: {e}", job.span)),
        Ok(true) => Decision::Run,
        Ok(false) => Decision::Skip(why_not(job, cancelled, not_successful)),
    }
}

fn why_not(job: &Job, cancelled: bool, culprit: Option<(&str, Outcome)>) -> String {
    let asks = job.condition.as_deref().is_some_and(|c| expr::Expr::parse(c).is_ok_and(|e| e.calls_status_function()));
    match (culprit, job.condition.as_deref()) {
        (_, Some(condition)) if asks => format!("`if: {condition}` is false"),
        _ if cancelled => "the run was cancelled".into(),
        (Some((key, outcome)), _) => {
            let direct = if job.needs.iter().any(|n| n == key) { "needs" } else { "needs indirectly" };
            let ended = match outcome {
                Outcome::Failure => "failed",
                Outcome::Cancelled => "was cancelled",
                Outcome::Skipped => "was skipped",
                Outcome::Success => "succeeded",
            };
            format!("job `{key}`, which it {direct}, {ended}")
        }
        (None, Some(condition)) => format!("`if: {condition}` is false"),
        (None, None) => "nothing asks for it".into(),
    }
}
