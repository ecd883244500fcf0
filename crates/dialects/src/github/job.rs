//! `jobs`.

use std::collections::HashMap;

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
        r.out.error(&node.span, "no_jobs", "the workflow has no jobs");
    }
    check_graph(r, &jobs, node);
    let mut all = Vec::new();
    for job in jobs {
        match calls.remove(&job.key) {
            Some(call) => all.extend(call::place(job, call)),
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
    text.len() <= 100
        && bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// A job with its key.
pub(super) fn begin(r: &mut Reader<'_>, key: &Key) -> Option<Job> {
    if !is_identifier(&key.name) {
        let message =
            format!("'{}' cannot be the id of a job: letters, digits, '-' and '_', begins with a letter or '_', at most 100", key.name);
        r.out.error(&key.span, "bad_identifier", message);
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
            "container" => job.container = r.container(value, "`container`"),
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
            r.out.error(&job.span, "missing_key", format!("Required property is missing: {required}"));
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

fn strategy(r: &mut Reader<'_>, node: &Node) -> Option<Strategy> {
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
    if !matches!(node.value, Value::Map(_)) {
        return Some(Environment { name: r.non_empty(node, "environment", scope::JOB)?, url: None });
    }
    let (mut name, mut url) = (None, None);
    for (key, value) in r.mapping(node, "`environment`")? {
        match key.name.as_str() {
            "name" => name = r.non_empty(value, "name", scope::JOB),
            "url" => url = r.text(value, "url", scope::ENVIRONMENT_URL),
            "deployment" => r.out.warning(&key.span, "unsupported_key", "a job makes a deployment only through `devmentor/deploy`"),
            _ => r.unknown_key(key, "`environment`", &["name", "url", "deployment"]),
        }
    }
    if name.is_none() && node.get("name").is_none() {
        r.out.error(&node.span, "missing_key", "Required property is missing: name");
    }
    name.map(|name| Environment { name, url })
}

/// Unknown needs, needs on itself, and circles.
fn check_graph(r: &mut Reader<'_>, jobs: &[Job], node: &Node) {
    let index: HashMap<&str, usize> = jobs.iter().enumerate().map(|(i, j)| (j.key.as_str(), i)).collect();
    let written = |key: &str| node.get(key).is_some();
    // how many unfinished needs each job has; what never reaches zero stands in or behind a circle
    let mut open: Vec<usize> = vec![0; jobs.len()];
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); jobs.len()];
    for (i, job) in jobs.iter().enumerate() {
        for need in &job.needs {
            match index.get(need.as_str()) {
                Some(&n) => {
                    open[i] += 1;
                    dependents[n].push(i);
                }
                None if written(need) => {}
                None => r.out.error(&job.span, "unknown_needs", format!("Job '{}' depends on unknown job '{need}'.", job.key)),
            }
        }
    }
    let mut ready: Vec<usize> = (0..jobs.len()).filter(|i| open[*i] == 0).collect();
    while let Some(i) = ready.pop() {
        for &d in &dependents[i] {
            open[d] -= 1;
            if open[d] == 0 {
                ready.push(d);
            }
        }
    }
    let stuck: Vec<&Job> = jobs.iter().enumerate().filter(|(i, _)| open[*i] > 0).map(|(_, j)| j).collect();
    if let Some(first) = stuck.first() {
        let names: Vec<&str> = stuck.iter().map(|j| j.key.as_str()).collect();
        r.out.error(&first.span, "needs_cycle", format!("the jobs {} wait for each other in a circle", names.join(", ")));
    }
}
