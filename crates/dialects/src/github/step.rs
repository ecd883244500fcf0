//! `steps`.

use std::collections::HashSet;

use crate::diagnostic::Span;
use crate::expr::{self, Expr, Piece};
use crate::plan::{Late, Map, Step, StepKind};
use crate::yaml::{Node, Value};

use super::actions;
use super::job::check_identifier;
use super::read::Reader;

/// Longest generated id, without what makes it different from others.
const MAX_ID: usize = 90;
/// Most steps of one job.
const MAX_STEPS: usize = 1000;

const KEYS: &[&str] =
    &["id", "name", "if", "uses", "run", "with", "env", "shell", "working-directory", "timeout-minutes", "continue-on-error"];

pub(super) fn read_all(r: &mut Reader<'_>, node: &Node) -> Vec<Step> {
    let Value::Seq(items) = &node.value else {
        r.out.error(&node.span, "wrong_type", format!("`steps` must be a list, this is {}", node.kind()));
        return Vec::new();
    };
    if items.len() > MAX_STEPS {
        r.out.error(&node.span, "too_many_steps", format!("{} steps, at most {MAX_STEPS} are allowed", items.len()));
        return Vec::new();
    }
    if items.is_empty() {
        r.out.error(&node.span, "empty_value", "a job needs at least one step");
    }
    let mut ids = HashSet::new();
    let mut steps = Vec::new();
    let mut open: Vec<&Node> = items.iter().rev().collect();
    while let Some(item) = open.pop() {
        if let Some(inner) = together(r, item) {
            open.extend(inner.iter().rev());
            continue;
        }
        let Some(step) = read(r, item) else { continue };
        if let Some(id) = &step.id
            && !ids.insert(id.to_ascii_lowercase())
        {
            let span = item.get("id").map_or(&step.span, |n| &n.span);
            r.out.error(span, "duplicate_id", format!("The identifier '{id}' may not be used more than once within the same scope."));
        }
        steps.push(step);
    }
    let taken: HashSet<String> = steps.iter().filter_map(|s| s.id.clone()).collect();
    name_steps(&mut steps, taken);
    steps
}

/// Gives each step without an id one of its own, which begins with `__` and tells what it does.
fn name_steps(steps: &mut [Step], mut taken: HashSet<String>) {
    for step in steps.iter_mut().filter(|s| s.id.is_none()) {
        let base = match &step.kind {
            StepKind::Run { .. } => "run".to_owned(),
            StepKind::Uses { action, .. } => action.as_str().split('/').take(2).collect::<Vec<_>>().join("_"),
            StepKind::Custom { uses, .. } => match uses.strip_prefix("docker://") {
                Some(image) => image.to_owned(),
                None if uses.starts_with("./") => "self".to_owned(),
                None => uses.split('@').next().unwrap_or_default().split('/').take(2).collect::<Vec<_>>().join("_"),
            },
            StepKind::Jenkins { .. } => "jenkins".to_owned(),
        };
        let mut base: String = base.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' }).collect();
        base.truncate(MAX_ID);
        let mut id = format!("__{base}");
        let mut number = 1;
        while !taken.insert(id.clone()) {
            number += 1;
            id = format!("__{base}_{number}");
        }
        step.id = Some(id);
    }
}

/// Steps that say how others run at once: those of `parallel` take their turn, waiting for what has ended is nothing.
/// None: it is a step that does something.
fn together<'n>(r: &mut Reader<'_>, node: &'n Node) -> Option<&'n [Node]> {
    if let Some(parallel) = node.get("parallel") {
        r.out.warning(&parallel.span, "not_at_once", "steps run one after the other here, also those of `parallel`");
        return Some(if let Value::Seq(items) = &parallel.value { items } else { &[] });
    }
    if let Some(cancel) = node.get("cancel") {
        let message = "`cancel`: steps run one after the other here, so the step has ended or would never end";
        r.out.error(&cancel.span, "unsupported_key", message);
        return Some(&[]);
    }
    (node.get("wait").is_some() || node.get("wait-all").is_some()).then_some(&[])
}

fn read(r: &mut Reader<'_>, node: &Node) -> Option<Step> {
    let span = node.span.clone();
    let here = r.step_scope();
    let when = r.step_if_scope();
    let (mut id, mut name, mut condition, mut env) = (None, None, None, Map::new());
    let (mut timeout_minutes, mut continue_on_error) = (None, Late::Known(false));
    let (mut run, mut shell, mut directory, mut uses, mut with) = (None, None, None, None, None);
    for (key, value) in r.mapping(node, "a step")? {
        match key.name.as_str() {
            "id" => {
                id = r.plain_text(value, "id");
                if let Some(text) = &id {
                    check_identifier(r, text, &value.span);
                }
            }
            "name" => name = r.text(value, "name", here).filter(|n| !n.is_empty()),
            "if" => condition = r.condition(value, when),
            "env" => env = r.env(value, "env", here),
            "timeout-minutes" => timeout_minutes = r.late_number(value, "timeout-minutes", here),
            "continue-on-error" => continue_on_error = r.late_bool(value, "continue-on-error", here)?,
            "run" => {
                run = Some(value);
                if let Some(text) = r.text(value, "run", here) {
                    warn_injection(r, &text, &value.span);
                }
            }
            "shell" => shell = r.non_empty(value, "shell", here),
            "working-directory" => directory = r.text(value, "working-directory", here).filter(|t| !t.trim().is_empty()),
            "uses" => uses = Some(value),
            "with" => with = Some(value),
            "background" if matches!(value.value, Value::Bool(false)) => {}
            "background" => {
                let message = "steps run one after the other here, so the next one waits for this one";
                r.out.warning(&key.span, "not_at_once", message);
            }
            _ => r.unknown_key(key, "a step", KEYS),
        }
    }
    let kind = match (run, uses) {
        (Some(_), Some(_)) => {
            r.out.error(&span, "run_and_uses", "a step has either `run` or `uses`, not both");
            return None;
        }
        (None, None) => {
            r.out.error(&span, "missing_key", "Required property is missing: run or uses");
            return None;
        }
        (Some(run), None) => {
            if with.is_some() {
                r.out.error(&span, "with_without_uses", "`with` belongs to `uses`; a script reads `env`");
            }
            let script = run.scalar_text()?;
            if r.composite && shell.is_none() {
                r.out.error(&span, "missing_key", "Required property is missing: shell; a step of an action must say which");
            }
            if script.trim().is_empty() {
                r.out.warning(&run.span, "empty_value", "`run` is empty, so this step does nothing");
            }
            StepKind::Run { script, shell, working_directory: directory }
        }
        (None, Some(uses)) => {
            if shell.is_some() || directory.is_some() {
                r.out.error(&span, "run_key_with_uses", "`shell` and `working-directory` belong to `run`");
            }
            actions::read(r, uses, with)?
        }
    };
    Some(Step { id, name, condition, env, timeout_minutes, continue_on_error, span, kind })
}

/// Warns of text that a stranger chooses and that a shell would read as code.
fn warn_injection(r: &mut Reader<'_>, script: &str, span: &Span) {
    for piece in expr::split(script).unwrap_or_default() {
        let Piece::Expr { text, .. } = piece else { continue };
        let Ok(parsed) = Expr::parse(text) else { continue };
        let mut bad = false;
        parsed.walk(&mut |e| bad |= untrusted(e));
        if bad {
            let message =
                format!("`{text}` is text that whoever pushes may choose, and the shell reads it as code; pass it through `env` instead");
            r.out.warning(span, "script_injection", message);
        }
    }
}

fn untrusted(e: &Expr) -> bool {
    let mut path = Vec::new();
    let mut at = e;
    loop {
        match at {
            Expr::Index(left, index) => {
                match &**index {
                    Expr::String(s) => path.push(s.to_ascii_lowercase()),
                    _ => path.push("*".into()),
                }
                at = left;
            }
            Expr::Filter(left) => {
                path.push("*".into());
                at = left;
            }
            Expr::Context(name) if name == "github" => break,
            _ => return false,
        }
    }
    path.reverse();
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["head_ref" | "ref_name"] => true,
        ["event", .., "title" | "body" | "message" | "name" | "email" | "page_name"] => !words.contains(&"repository"),
        ["event", .., "head", "ref" | "label"] => true,
        _ => false,
    }
}
