//! `trigger`: a job that starts another pipeline, of the same commit (child) or of another project.

use std::collections::{BTreeSet, HashMap};

use indexmap::IndexMap;

use crate::diagnostic::{Diagnostics, Span};
use crate::plan::{Concurrency, Downstream, Follow, Job, Late, literal};
use crate::yaml::{Node, Value};

use super::read::{flag, mapping, text};
use super::select::{Instance, expand, tell_unknown};

/// Most files that a child pipeline is put together from directly.
const MAX_FILES: usize = 3;
/// Keys that a job with `trigger` may have.
const KEYS: &[&str] = &[
    "trigger",
    "stage",
    "type",
    "allow_failure",
    "only",
    "except",
    "when",
    "start_in",
    "extends",
    "variables",
    "inherit",
    "rules",
    "needs",
    "parallel",
    "interruptible",
    "resource_group",
    "environment",
    "manual_confirmation",
];

/// `trigger` as written.
#[derive(Clone, Debug)]
pub(super) struct Trigger {
    span: Span,
    project: Option<String>,
    branch: Option<String>,
    include: Option<Node>,
    inputs: Vec<(String, Node)>,
    follow: Follow,
    forward_own: bool,
    forward_given: bool,
}

pub(super) fn read(node: &Node, out: &mut Diagnostics) -> Option<Trigger> {
    let mut t = Trigger {
        span: node.span.clone(),
        project: None,
        branch: None,
        include: None,
        inputs: Vec::new(),
        follow: Follow::Never,
        forward_own: true,
        forward_given: false,
    };
    let Value::Map(entries) = &node.value else {
        t.project = Some(text(node, "trigger", out)?);
        return Some(t);
    };
    for (key, value) in entries {
        match key.name.as_str() {
            "project" => t.project = Some(text(value, "project", out)?),
            "branch" => t.branch = Some(text(value, "branch", out)?),
            "include" => t.include = Some(value.clone()),
            "strategy" => match text(value, "strategy", out)?.as_str() {
                "depend" => t.follow = Follow::Depend,
                "mirror" => t.follow = Follow::Mirror,
                _ => out.error(&value.span, "bad_value", "trigger strategy should be depend or mirror"),
            },
            "forward" => {
                for (key, value) in mapping(value, "forward", out) {
                    match key.name.as_str() {
                        "yaml_variables" => t.forward_own = flag(value, "yaml_variables", out)?,
                        "pipeline_variables" => t.forward_given = flag(value, "pipeline_variables", out)?,
                        other => out.error(&key.span, "unknown_key", format!("trigger:forward config contains unknown keys: {other}")),
                    }
                }
            }
            "inputs" => t.inputs = mapping(value, "inputs", out).iter().map(|(k, v)| (k.name.clone(), v.clone())).collect(),
            other => out.error(&key.span, "unknown_key", format!("trigger config contains unknown keys: {other}")),
        }
    }
    match (&t.project, &t.include) {
        (None, None) => {
            out.error(&node.span, "missing_key", "trigger config should be a string or a mapping with `project` or `include`");
            return None;
        }
        (Some(_), Some(_)) => {
            out.error(&node.span, "bad_combination", "`trigger` takes either `project` or `include`, not both");
            return None;
        }
        (None, Some(include)) => {
            if matches!(&include.value, Value::Seq(items) if items.len() > MAX_FILES) {
                out.error(&include.span, "too_many_includes", format!("trigger:include config is too long (maximum is {MAX_FILES})"));
            }
            if t.branch.is_some() {
                out.error(
                    &node.span,
                    "bad_combination",
                    "`trigger:branch` needs `trigger:project`; a child pipeline is of the same commit",
                );
            }
            for entry in entries_of(include) {
                if let Some(why) = super::include::refused(entry) {
                    out.error(&entry.span, "unsupported_include", why);
                }
            }
            if !t.inputs.is_empty() {
                out.error(&node.span, "bad_combination", "the inputs of a child pipeline stand in `trigger:include:inputs`");
            }
        }
        (Some(_), None) => {}
    }
    Some(t)
}

/// Reports what a job with `trigger` may not have.
pub(super) fn check(node: &Node, out: &mut Diagnostics) {
    let Value::Map(entries) = &node.value else { return };
    for (key, _) in entries.iter().filter(|(k, _)| !KEYS.contains(&k.name.as_str())) {
        out.error(
            &key.span,
            "bad_combination",
            format!("a job with `trigger` runs nothing itself and cannot have `{}`. It may have: {}", key.name, KEYS.join(", ")),
        );
    }
}

/// Makes the job; what it waits for is added by the caller.
pub(super) fn job(
    i: &Instance<'_>,
    trigger: &Trigger,
    names: &HashMap<String, String>,
    waits: &[usize],
    chosen: &[Instance<'_>],
    told: &mut BTreeSet<String>,
    out: &mut Diagnostics,
) -> Job {
    let mut job = Job::new(&i.key, i.def.span.clone());
    job.name = Some(literal(&i.key));
    job.stage = Some(i.def.stage.clone());
    job.interruptible = i.interruptible;
    let mut put = |text: &str, out: &mut Diagnostics| {
        let value = expand(&i.vars, text, &trigger.span, &mut |span, unknown| tell_unknown(told, span, unknown, out));
        if secret(&value.template) {
            out.error(&trigger.span, "unknown_value", format!("`{text}` holds a value that only jobs on a runner are given"));
        }
        value.template
    };
    if let Some(group) = &i.def.resource_group {
        let group = format!("resource/{}", put(group, out));
        job.concurrency = Some(Concurrency { group, cancel_in_progress: Late::Known(false), queue: true });
    }
    let mut downstream = Downstream {
        project: trigger.project.as_ref().map(|p| put(p, out)),
        reference: trigger.branch.as_ref().map(|b| put(b, out)),
        inputs: trigger.inputs.iter().map(|(name, node)| (name.clone(), inputs(node, &mut |t| put(t, out)))).collect(),
        follow: trigger.follow,
        forward_given: trigger.forward_given,
        ..Downstream::default()
    };
    if let Some(include) = &trigger.include {
        // variables of the job may stand in the paths; the rest of the reading is done when the pipeline is made
        downstream.include = known(include, i);
        downstream.artifacts = artifacts(include, i, names, waits, chosen, out);
    }
    if trigger.forward_own {
        for name in &i.own {
            let Some(value) = i.vars.get(name) else { continue };
            if secret(&value.template) {
                let why =
                    format!("`{name}` holds a secret or a token and is not given to the pipeline, which has those of its own project");
                out.warning(&trigger.span, "unknown_value", why);
            } else {
                job.env.insert(name.clone(), value.template);
            }
        }
    }
    if i.def.environment.is_some() {
        out.warning(
            &i.def.span,
            "unsupported_key",
            "`environment` of a job with `trigger` has no effect: nothing is deployed by the job itself",
        );
    }
    job.downstream = Some(Box::new(downstream));
    job
}

/// Does a template need what the server does not know?
fn secret(template: &str) -> bool {
    ["${{ secrets.", "${{ github.token", "${{ runner.", "${{ job.", "${{ github.workspace"].iter().any(|t| template.contains(t))
}

/// A tree whose texts are templates.
fn inputs(node: &Node, put: &mut dyn FnMut(&str) -> String) -> serde_json::Value {
    match &node.value {
        Value::String(text) => put(text).into(),
        Value::Seq(items) => items.iter().map(|n| inputs(n, put)).collect(),
        _ => node.to_json(),
    }
}

/// The entries of `include`, with the variables of the job put in where their values are known.
fn known(node: &Node, i: &Instance<'_>) -> serde_json::Value {
    match &node.value {
        Value::String(text) => i.vars.expand(text).value.plain.unwrap_or_else(|| text.clone()).into(),
        Value::Seq(items) => items.iter().map(|n| known(n, i)).collect(),
        // conditions look at the variables of the pipeline that they stand in
        Value::Map(entries) => {
            entries.iter().map(|(k, v)| (k.name.clone(), if k.name == "rules" { v.to_json() } else { known(v, i) })).collect()
        }
        _ => node.to_json(),
    }
}

/// One entry is as good as a list of one.
fn entries_of(include: &Node) -> &[Node] {
    match &include.value {
        Value::Seq(items) => items,
        _ => std::slice::from_ref(include),
    }
}

/// The artifacts that files are taken from.
fn artifacts(
    include: &Node,
    i: &Instance<'_>,
    names: &HashMap<String, String>,
    waits: &[usize],
    chosen: &[Instance<'_>],
    out: &mut Diagnostics,
) -> IndexMap<String, String> {
    let mut found = IndexMap::new();
    for node in entries_of(include).iter().filter(|n| n.get("artifact").is_some()) {
        let Some(job) = node.get("job").and_then(Node::scalar_text) else {
            out.error(&node.span, "missing_key", "`include:artifact` needs `job`, which makes the file");
            continue;
        };
        let source = chosen.iter().enumerate().find(|(_, c)| c.key == job || c.def.name == job);
        match source {
            Some((n, source)) if waits.contains(&n) => {
                if source.def.artifacts.as_ref().is_none_or(|a| a.paths.is_empty()) {
                    out.error(&node.span, "unknown_artifact", format!("the job `{job}` keeps no files: it has no `artifacts:paths`"));
                }
                found.insert(job, names.get(&source.key).cloned().unwrap_or_default());
            }
            Some(_) => {
                let why = format!("the job `{}` takes a file of `{job}` but does not wait for it; name it in `needs`", i.def.name);
                out.error(&node.span, "unknown_artifact", why);
            }
            None => out.error(&node.span, "unknown_artifact", format!("the job `{job}`, which makes the file, is not in this pipeline")),
        }
    }
    found
}
