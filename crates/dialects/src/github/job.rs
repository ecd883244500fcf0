//! `jobs`.

use std::collections::HashMap;

use crate::diagnostic::Span;
use crate::expr::scope;
use crate::matrix;
use crate::plan::{Environment, Job, Late, Matrix, Strategy};
use crate::yaml::{Key, Node, Value};

use super::call;
use super::read::Reader;
use super::step;

/// Most jobs of one file, before matrices.
const MAX_JOBS: usize = 256;

const KEYS: &[&str] = &[
    "name",
    "needs",
    "if",
    "runs-on",
    "env",
    "outputs",
    "strategy",
    "timeout-minutes",
    "continue-on-error",
    "container",
    "services",
    "defaults",
    "environment",
    "permissions",
    "concurrency",
    "steps",
];

pub(super) fn read_all(r: &mut Reader<'_>, node: &Node) -> Vec<Job> {
    let mut jobs = Vec::new();
    let mut calls = HashMap::new();
    for (key, value) in r.mapping(node, "`jobs`").unwrap_or_default() {
        if jobs.len() >= MAX_JOBS {
            r.out.error(&key.span, "too_many_jobs", format!("more than {MAX_JOBS} jobs"));
            break;
        }
        if value.get("uses").is_some() {
            if let Some((job, call)) = call::read(r, key, value) {
                calls.insert(job.key.clone(), call);
                jobs.push(job);
            }
        } else if let Some(job) = read(r, key, value) {
            jobs.push(job);
        }
    }
    if jobs.is_empty() && !r.out.has_errors() {
        r.out.error(&node.span, "no_jobs", "The workflow must contain at least one job with no dependencies.");
    }
    check_graph(r, &jobs, node);
    let mut all = Vec::new();
    for job in jobs {
        match calls.remove(&job.key) {
            Some(call) => all.extend(call::place(r, job, call)),
            None => all.push(job),
        }
    }
    if all.len() > MAX_JOBS {
        r.out.error(
            &node.span,
            "too_many_jobs",
            format!("{} jobs with those of called workflows, at most {MAX_JOBS} are allowed", all.len()),
        );
    }
    all
}

/// An identifier as jobs and steps use it.
pub(super) fn is_identifier(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() < 100
        && bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// Checks the id of a job or step.
pub(super) fn check_identifier(r: &mut Reader<'_>, text: &str, span: &Span) -> bool {
    let message = if !is_identifier(text) {
        "IDs may only contain alphanumeric characters, '_', and '-'. IDs must start with a letter or '_' and and must be less than 100 characters."
    } else if text.starts_with("__") {
        "IDs starting with '__' are reserved."
    } else {
        return true;
    };
    r.out.error(span, "bad_identifier", format!("The identifier '{text}' is invalid. {message}"));
    false
}

/// A job with its key.
pub(super) fn begin(r: &mut Reader<'_>, key: &Key) -> Option<Job> {
    if !check_identifier(r, &key.name, &key.span) {
        return None;
    }
    Some(Job::new(&key.name, key.span.clone()))
}

fn read(r: &mut Reader<'_>, key: &Key, node: &Node) -> Option<Job> {
    let mut job = begin(r, key)?;
    let entries = r.mapping(node, "a job")?;
    for (key, value) in entries {
        match key.name.as_str() {
            "name" => job.name = r.text(value, "name", scope::JOB).filter(|n| !n.is_empty()),
            "needs" => job.needs = r.texts(value, "needs", None),
            "if" => job.condition = r.condition(value, scope::JOB_IF),
            "runs-on" => job.runs_on = runs_on(r, value),
            "env" => job.env = r.env(value, "env", scope::JOB_ENV),
            "outputs" => job.outputs = r.env(value, "outputs", scope::OUTPUTS),
            "strategy" => job.strategy = strategy(r, value),
            "timeout-minutes" => job.timeout_minutes = r.late_number(value, "timeout-minutes", scope::JOB),
            "continue-on-error" => job.continue_on_error = r.late_bool(value, "continue-on-error", scope::JOB)?,
            "container" if matches!(value.value, Value::Null) => {}
            "container" => job.container = r.container(value, "container"),
            "services" => services(r, value, &mut job),
            "defaults" => job.defaults = r.defaults(value, Some(scope::JOB_DEFAULTS)),
            "environment" => job.environment = environment(r, value),
            "permissions" => job.permissions = r.permissions(value),
            "concurrency" => job.concurrency = r.concurrency(value, scope::JOB),
            "steps" => job.steps = step::read_all(r, value),
            "snapshot" => r.out.error(&key.span, "unsupported_key", "`snapshot` (custom runner images) is not supported"),
            "cancel-timeout-minutes" => {
                r.out.warning(&key.span, "unsupported_key", "the time to end after a cancel is fixed here: 10 seconds for a step");
            }
            _ => r.unknown_key(key, "a job", KEYS),
        }
    }
    for required in ["runs-on", "steps"] {
        if node.get(required).is_none() {
            r.out.error(&node.span, "missing_key", format!("Required property is missing: {required}"));
        }
    }
    Some(job)
}

fn runs_on(r: &mut Reader<'_>, node: &Node) -> Vec<String> {
    let Value::Map(entries) = &node.value else {
        let labels = r.texts(node, "runs-on", Some(scope::JOB));
        if labels.is_empty() && !r.out.has_errors() {
            r.out.error(&node.span, "empty_value", "`runs-on` names no runner");
        }
        return labels;
    };
    let mut labels = Vec::new();
    for (key, value) in entries {
        match key.name.as_str() {
            "labels" => labels = r.texts(value, "labels", Some(scope::JOB)),
            "group" => r.out.warning(&key.span, "unsupported_key", "runner groups do not exist here; only the labels choose the runner"),
            _ => r.unknown_key(key, "`runs-on`", &["labels", "group"]),
        }
    }
    labels
}

pub(super) fn strategy(r: &mut Reader<'_>, node: &Node) -> Option<Strategy> {
    let mut strategy = Strategy { matrix: None, fail_fast: Late::Known(true), max_parallel: None };
    for (key, value) in r.mapping(node, "`strategy`")? {
        match key.name.as_str() {
            "fail-fast" => strategy.fail_fast = r.late_bool(value, "fail-fast", scope::STRATEGY)?,
            "max-parallel" => strategy.max_parallel = r.late_number(value, "max-parallel", scope::STRATEGY),
            "matrix" => strategy.matrix = matrix(r, value),
            _ => r.unknown_key(key, "`strategy`", &["matrix", "fail-fast", "max-parallel"]),
        }
    }
    Some(strategy)
}

fn matrix(r: &mut Reader<'_>, node: &Node) -> Option<Matrix> {
    let errors = r.out.errors();
    let dynamic = r.check_tree(node, scope::STRATEGY);
    if r.out.errors() > errors {
        return None;
    }
    if dynamic {
        return Some(Matrix::Dynamic(node.to_json()));
    }
    matrix::expand(&node.to_json()).map(Matrix::Static).map_err(|e| r.out.error(&node.span, "bad_matrix", e)).ok()
}

fn services(r: &mut Reader<'_>, node: &Node, job: &mut Job) {
    for (key, value) in r.mapping(node, "`services`").unwrap_or_default() {
        if !is_identifier(&key.name) {
            r.out.error(&key.span, "bad_identifier", format!("'{}' cannot be the name of a service", key.name));
        } else if let Some(container) = r.container(value, "a service") {
            job.services.insert(key.name.clone(), container);
        }
    }
}

fn environment(r: &mut Reader<'_>, node: &Node) -> Option<Environment> {
    if matches!(node.value, Value::Null) {
        return None;
    }
    if !matches!(node.value, Value::Map(_)) {
        // an empty name means none
        let name = r.text(node, "environment", scope::JOB).filter(|t| !t.trim().is_empty())?;
        return Some(Environment { name, ..Environment::default() });
    }
    let (mut name, mut url) = (None, None);
    for (key, value) in r.mapping(node, "`environment`")? {
        match key.name.as_str() {
            "name" => name = r.text(value, "name", scope::JOB).filter(|t| !t.trim().is_empty()),
            "url" => url = r.text(value, "url", scope::ENVIRONMENT_URL),
            "deployment" => r.out.warning(&key.span, "unsupported_key", "a job makes a deployment only through `devmentor/deploy`"),
            _ => r.unknown_key(key, "`environment`", &["name", "url", "deployment"]),
        }
    }
    if name.is_none() && node.get("name").is_none() {
        r.out.error(&node.span, "missing_key", "Required property is missing: name");
    }
    name.map(|name| Environment { name, url, ..Environment::default() })
}

/// Unknown needs, needs on itself, and circles.
fn check_graph(r: &mut Reader<'_>, jobs: &[Job], node: &Node) {
    let written = |key: &str| node.get(key).is_some();
    if !jobs.is_empty() && jobs.iter().all(|j| !j.needs.is_empty()) {
        r.out.error(&node.span, "needs_cycle", "The workflow must contain at least one job with no dependencies.");
        return;
    }
    // takes away what can run; what is left waits for something unknown, or in a circle
    let mut open: Vec<(&Job, Vec<&String>)> = jobs.iter().map(|j| (j, j.needs.iter().collect())).collect();
    let mut ready: Vec<&str> = open.iter().filter(|(_, needs)| needs.is_empty()).map(|(j, _)| j.key.as_str()).collect();
    open.retain(|(_, needs)| !needs.is_empty());
    while let Some(done) = ready.pop() {
        for (job, needs) in &mut open {
            needs.retain(|n| *n != done);
            if needs.is_empty() {
                ready.push(&job.key);
            }
        }
        open.retain(|(_, needs)| !needs.is_empty());
    }
    for (job, needs) in open {
        for need in needs {
            let span = need_span(node, &job.key, need).unwrap_or(&job.span);
            if jobs.iter().any(|j| j.key == *need) {
                let message = format!("Job '{}' depends on job '{need}' which creates a cycle in the dependency graph.", job.key);
                r.out.error(span, "needs_cycle", message);
            } else if !written(need) {
                r.out.error(span, "unknown_needs", format!("Job '{}' depends on unknown job '{need}'.", job.key));
            }
        }
    }
}

/// Where a need is written.
fn need_span<'n>(jobs: &'n Node, job: &str, need: &str) -> Option<&'n Span> {
    let node = jobs.get(job)?.get("needs")?;
    match &node.value {
        Value::Seq(items) => items.iter().find(|n| n.scalar_text().as_deref() == Some(need)).map(|n| &n.span),
        _ => Some(&node.span),
    }
}
