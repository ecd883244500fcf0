//! When a job may run, from the results of the others: run, skip with its reason, or wait.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::diagnostic::Span;
use crate::expr::{self, Context, Status};
use crate::plan::{CallScope, Dialect, InputType, Job, Plan};

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

/// All jobs that a job waits for, directly or not, with those that its calling jobs wait for.
pub fn ancestors<'p>(plan: &'p Plan, job: &'p Job) -> BTreeSet<&'p str> {
    let scopes = std::iter::successors(job.scope.as_deref(), |s| s.outer.as_deref());
    let mut found = above(plan, &job.needs);
    for scope in scopes {
        found.extend(above(plan, &scope.needs));
    }
    found
}

/// All jobs that are needed, directly or not.
fn above<'p>(plan: &'p Plan, needs: &'p [String]) -> BTreeSet<&'p str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = needs.iter().map(String::as_str).collect();
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
    results_of(&job.needs, job.scope.as_deref(), results)
}

/// Results by the names that the workflow itself gives to its jobs.
fn results_of(keys: &[String], scope: Option<&CallScope>, results: &IndexMap<String, JobResult>) -> Value {
    let prefix = scope.map_or("", |s| s.prefix.as_str());
    let entries = keys.iter().filter_map(|key| {
        let r = results.get(key)?;
        let name = key.strip_prefix(prefix).unwrap_or(key);
        Some((name.to_owned(), json!({"result": r.outcome.as_str(), "outputs": r.outputs})))
    });
    Value::Object(entries.collect())
}

/// The contexts that a job begins with: those of the run, with the inputs of the called workflow that it belongs to.
///
/// # Errors
/// An input that cannot be evaluated.
pub fn contexts<'r>(job: &Job, results: &IndexMap<String, JobResult>, roots: &'r Value) -> Result<Cow<'r, Value>, String> {
    match job.scope.as_deref() {
        Some(scope) => scoped(scope, results, roots).map(Cow::Owned),
        None => Ok(Cow::Borrowed(roots)),
    }
}

fn scoped(scope: &CallScope, results: &IndexMap<String, JobResult>, roots: &Value) -> Result<Value, String> {
    let mut caller = caller_contexts(scope, results, roots)?;
    let mut inputs = serde_json::Map::new();
    for (name, input) in &scope.inputs {
        let value = expr::evaluate_tree(&input.value, &Context::new(&caller)).map_err(|e| format!("the input `{name}`: {e}"))?;
        inputs.insert(name.clone(), typed(name, value, input.r#type)?);
    }
    if let Value::Object(map) = &mut caller {
        map.insert("inputs".into(), inputs.into());
        map.remove("needs");
        map.remove("matrix");
    }
    Ok(caller)
}

/// What the calling job sees.
fn caller_contexts(scope: &CallScope, results: &IndexMap<String, JobResult>, roots: &Value) -> Result<Value, String> {
    let mut caller = match scope.outer.as_deref() {
        Some(outer) => scoped(outer, results, roots)?,
        None => roots.clone(),
    };
    if let Value::Object(map) = &mut caller {
        map.insert("needs".into(), results_of(&scope.needs, scope.outer.as_deref(), results));
        if !scope.matrix.is_empty() {
            map.insert("matrix".into(), json!(scope.matrix));
        }
    }
    Ok(caller)
}

fn typed(name: &str, value: Value, kind: InputType) -> Result<Value, String> {
    let wrong = |value: &Value| format!("the input `{name}` is no {kind:?}: {value}").to_lowercase();
    Ok(match (kind, value) {
        (InputType::Boolean, Value::String(s)) if s == "true" || s == "false" || s.is_empty() => Value::Bool(s == "true"),
        (InputType::Boolean, Value::Null) => Value::Bool(false),
        (InputType::Boolean, value @ Value::Bool(_)) | (InputType::Number, value @ Value::Number(_)) => value,
        (InputType::Number, Value::String(s)) => {
            let number = s.trim().parse::<f64>().ok().filter(|n| n.is_finite()).and_then(expr::json_number);
            number.ok_or_else(|| wrong(&Value::String(s)))?
        }
        (InputType::Boolean | InputType::Number, value) => return Err(wrong(&value)),
        (_, Value::Null) => Value::String(String::new()),
        (_, Value::Number(n)) => Value::String(n.as_f64().map_or_else(|| n.to_string(), expr::number_text)),
        (_, Value::Bool(b)) => Value::String(b.to_string()),
        (_, value) => value,
    })
}

/// Secrets of a job, from those of the project.
///
/// # Errors
/// A secret that cannot be evaluated.
pub fn secrets(
    job: &Job,
    results: &IndexMap<String, JobResult>,
    roots: &Value,
    all: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, String> {
    fn of(
        scope: &CallScope,
        results: &IndexMap<String, JobResult>,
        roots: &Value,
        all: BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, String> {
        let all = match scope.outer.as_deref() {
            Some(outer) => of(outer, results, roots, all)?,
            None => all,
        };
        let Some(given) = &scope.secrets else { return Ok(all) };
        let mut caller = caller_contexts(scope, results, roots)?;
        if let Value::Object(map) = &mut caller {
            map.insert("secrets".into(), json!(all));
        }
        let ctx = Context::new(&caller);
        given
            .iter()
            .map(|(name, text)| Ok((name.clone(), expr::interpolate(text, &ctx).map_err(|e| format!("the secret `{name}`: {e}"))?)))
            .collect()
    }
    match job.scope.as_deref() {
        Some(scope) => of(scope, results, roots, all),
        None => Ok(all),
    }
}

/// How a called workflow ended, and what it gives out, once its jobs have ended.
///
/// # Errors
/// An output that cannot be evaluated.
pub fn call_result(job: &Job, results: &IndexMap<String, JobResult>, roots: &Value) -> Option<Result<JobResult, String>> {
    let call = job.result_of.as_ref()?;
    if job.needs.iter().any(|key| !results.contains_key(key)) {
        return None;
    }
    let outcome = Outcome::combine(job.needs.iter().filter_map(|key| results.get(key)).map(|r| r.outcome));
    // the jobs as the called workflow names them
    let inside = CallScope { prefix: call.prefix.clone(), ..CallScope::default() };
    let mut roots = match contexts(job, results, roots) {
        Ok(roots) => roots.into_owned(),
        Err(why) => return Some(Err(why)),
    };
    if let Value::Object(map) = &mut roots {
        map.insert("jobs".into(), results_of(&job.needs, Some(&inside), results));
    }
    let ctx = Context::new(&roots);
    let outputs: Result<IndexMap<String, String>, String> = call
        .outputs
        .iter()
        .map(|(name, text)| Ok((name.clone(), expr::interpolate(text, &ctx).map_err(|e| format!("the output `{name}`: {e}"))?)))
        .collect();
    Some(outputs.map(|outputs| JobResult { outcome, outputs }))
}

/// Decides about a job that has not started. `roots` holds the other contexts (`github`, `vars`, `inputs`);
/// `needs` is added here.
pub fn decide(plan: &Plan, job: &Job, results: &IndexMap<String, JobResult>, cancelled: bool, roots: &Value) -> Decision {
    if job.needs.iter().any(|key| !results.contains_key(key)) {
        return Decision::Wait;
    }
    // whoever called it decides first
    let mut scopes: Vec<&CallScope> = std::iter::successors(job.scope.as_deref(), |s| s.outer.as_deref()).collect();
    while let Some(scope) = scopes.pop() {
        if scope.needs.iter().any(|key| !results.contains_key(key)) {
            return Decision::Wait;
        }
        let question = Question { needs: &scope.needs, condition: scope.condition.as_deref(), span: &job.span };
        let roots = match caller_contexts(scope, results, roots) {
            Ok(roots) => roots,
            Err(why) => return Decision::Fail(why),
        };
        match ask(plan, &question, results, cancelled, &roots) {
            Decision::Run => {}
            no => return no,
        }
    }
    let mut roots = match contexts(job, results, roots) {
        Ok(roots) => roots.into_owned(),
        Err(why) => return Decision::Fail(why),
    };
    if let Value::Object(map) = &mut roots {
        map.insert("needs".into(), needs_context(job, results));
    }
    let question = Question { needs: &job.needs, condition: job.condition.as_deref(), span: &job.span };
    ask(plan, &question, results, cancelled, &roots)
}

/// A condition and what it stands behind.
struct Question<'q> {
    needs: &'q [String],
    condition: Option<&'q str>,
    span: &'q Span,
}

fn ask(plan: &Plan, question: &Question<'_>, results: &IndexMap<String, JobResult>, cancelled: bool, roots: &Value) -> Decision {
    let ancestors = above(plan, question.needs);
    let culprit =
        |bad: fn(Outcome) -> bool| ancestors.iter().find_map(|key| results.get(*key).filter(|r| bad(r.outcome)).map(|r| (*key, r.outcome)));
    let not_successful = culprit(|o| o != Outcome::Success);
    let status = Status {
        success: !cancelled && not_successful.is_none(),
        failure: !cancelled && culprit(|o| o == Outcome::Failure).is_some(),
        cancelled,
    };
    match expr::eval_condition(question.condition, &Context::new(roots), status) {
        Err(e) => Decision::Fail(format!("`if` at {}: {e}", question.span)),
        Ok(true) => Decision::Run,
        // the conditions of GitLab's jobs are ours, so the reason names the job that decided
        Ok(false) if plan.dialect == Dialect::GitlabCi => {
            let direct = question
                .needs
                .iter()
                .find_map(|k| results.get(k).filter(|r| r.outcome != Outcome::Success).map(|r| (k.as_str(), r.outcome)));
            let bare = Question { needs: question.needs, condition: None, span: question.span };
            let by_failure = question.condition.is_some_and(|c| c.contains("&& contains("));
            Decision::Skip(if by_failure && !cancelled {
                "it runs on failure, and nothing failed".into()
            } else {
                why_not(&bare, cancelled, direct)
            })
        }
        Ok(false) => Decision::Skip(why_not(question, cancelled, not_successful)),
    }
}

/// What a condition of a job looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The condition; none when the job has none, which means that all before it must have succeeded.
    pub condition: Option<String>,
    /// Whether it holds; none while jobs before it go on, or when it cannot be evaluated.
    pub value: Option<bool>,
    /// Why it cannot be evaluated.
    pub error: Option<String>,
    /// Places in the contexts and status functions, with their values.
    pub operands: Vec<expr::Operand>,
    /// Results of the jobs it needs, directly (true) or not; none of those that go on.
    pub needs: Vec<(String, bool, Option<Outcome>)>,
}

/// Evaluates the condition of a job again, and tells all that it looked at.
pub fn evaluation(plan: &Plan, job: &Job, results: &IndexMap<String, JobResult>, cancelled: bool, roots: &Value) -> Evaluation {
    let above = ancestors(plan, job);
    // in the order of the plan
    let keys = plan.jobs.iter().map(|j| j.key.as_str()).filter(|k| above.contains(k));
    let needs: Vec<_> = keys.map(|k| (k.to_owned(), job.needs.iter().any(|n| n == k), results.get(k).map(|r| r.outcome))).collect();
    let bad = |o: Outcome| needs.iter().any(|(_, _, r)| *r == Some(o));
    let status = Status {
        success: !cancelled && needs.iter().all(|(_, _, r)| *r == Some(Outcome::Success)),
        failure: !cancelled && bad(Outcome::Failure),
        cancelled,
    };
    let condition = job.condition.clone().filter(|c| !c.trim().is_empty());
    let mut out = Evaluation { condition, value: None, error: None, operands: Vec::new(), needs };
    let mut roots = match contexts(job, results, roots) {
        Ok(roots) => roots.into_owned(),
        Err(why) => return Evaluation { error: Some(why), ..out },
    };
    if let Value::Object(map) = &mut roots {
        map.insert("needs".into(), needs_context(job, results));
    }
    let ctx = Context::new(&roots);
    out.operands = out.condition.as_deref().map(|c| expr::operands(c, &ctx, status)).unwrap_or_default();
    if job.needs.iter().all(|n| results.contains_key(n)) {
        match expr::eval_condition(out.condition.as_deref(), &ctx, status) {
            Ok(value) => out.value = Some(value),
            Err(e) => out.error = Some(e.to_string()),
        }
    }
    out
}

fn why_not(job: &Question<'_>, cancelled: bool, culprit: Option<(&str, Outcome)>) -> String {
    let asks = job.condition.is_some_and(|c| expr::Expr::parse(c).is_ok_and(|e| e.calls_status_function()));
    match (culprit, job.condition) {
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
