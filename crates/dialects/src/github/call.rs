//! Jobs that call another workflow: its jobs become jobs of this plan, with keys below that of the calling job, and a
//! last one that carries its outputs.

use indexmap::IndexMap;
use serde_json::Value as Json;

use crate::expr::scope;
use crate::plan::{CallInput, CallResult, CallScope, Input, InputType, Job, Level, Map, Permissions, Plan};
use crate::yaml::{self, Key, Node, Value};

use super::library::{Found, Want};
use super::read::Reader;
use super::{custom, is_workflow, job};

/// Workflows may call workflows so deep.
const MAX_DEPTH: usize = 9;

const KEYS: &[&str] = &["name", "uses", "with", "secrets", "needs", "if", "permissions"];

/// A call that was read: the called workflow and what it is given. None where nobody could look.
pub(super) struct Call {
    plan: Option<Plan>,
    scope: CallScope,
    permissions: Option<Permissions>,
}

/// Reads a job that calls a workflow.
pub(super) fn read(r: &mut Reader<'_>, key: &Key, node: &Node) -> Option<(Job, Call)> {
    let mut job = job::begin(r, key)?;
    let (mut with, mut secrets, mut uses) = (None, None, None);
    for (key, value) in r.mapping(node, "a job")? {
        match key.name.as_str() {
            "uses" => uses = Some(value),
            "name" => job.name = r.text(value, "name", scope::JOB).filter(|n| !n.is_empty()),
            "needs" => job.needs = r.texts(value, "needs", None),
            "if" => job.condition = r.condition(value, scope::JOB_IF),
            "permissions" => job.permissions = r.permissions(value),
            "with" => with = Some(value),
            "secrets" => secrets = Some(value),
            "strategy" | "concurrency" => {
                let message =
                    format!("`{}` of a job that calls a workflow is not supported; give it to the jobs of the called one", key.name);
                r.out.error(&key.span, "unsupported_key", message);
            }
            "runs-on" | "steps" => {
                r.out.error(&key.span, "run_and_uses", format!("a job has either `uses` or `{}`, not both", key.name));
            }
            _ => r.unknown_key(key, "a job that calls a workflow", KEYS),
        }
    }
    let uses = uses?;
    let plan = load(r, uses)?;
    let mut call =
        CallScope { prefix: format!("{}/", job.key), needs: job.needs.clone(), condition: job.condition.take(), ..CallScope::default() };
    call.secrets = given_secrets(r, secrets, plan.as_ref(), uses);
    if let Some(plan) = &plan {
        call.inputs = given_inputs(r, with, plan, uses);
        call.env = plan.env.clone();
        call.defaults = plan.defaults.clone();
        if let Some(c) = &plan.concurrency {
            let message = format!("the called workflow's own `concurrency` ({}) is not taken; give it to its jobs", c.group);
            r.out.warning(&uses.span, "concurrency_without_effect", message);
        }
    }
    let permissions = job.permissions.take();
    Some((job, Call { plan, scope: call, permissions }))
}

/// Looks the called workflow up and compiles it. The inner none: nobody could look, or somebody will.
fn load(r: &mut Reader<'_>, uses: &Node) -> Option<Option<Plan>> {
    let text = r.plain_text(uses, "uses")?;
    let (foreign, path) = match text.strip_prefix("./") {
        // of the repository that the calling file is of
        Some(path) => (r.home.clone(), path),
        None => {
            let (foreign, path) = custom::foreign(r, &uses.span, &text)?;
            (Some(foreign), path)
        }
    };
    if !is_workflow(path) {
        r.out.error(
            &uses.span,
            "bad_value",
            format!("`{text}`: a called workflow is `./.github/workflows/file.yml` or `owner/name/.github/workflows/file.yml@ref`"),
        );
        return None;
    }
    if r.depth >= MAX_DEPTH {
        r.out.error(&uses.span, "too_deep", format!("`{text}`: workflows call workflows more than {MAX_DEPTH} deep"));
        return None;
    }
    if !r.spend(&uses.span) {
        return None;
    }
    let want = Want { foreign: foreign.clone(), path: path.to_owned() };
    let title = want.title();
    let library = r.library;
    match library.find(want, r.wants) {
        None => Some(None),
        Some(Found::Offline) => {
            r.out.warning(
                &uses.span,
                "unresolved_workflow",
                format!("`{text}` is looked up when the run is made; here its jobs are not known"),
            );
            Some(None)
        }
        Some(Found::Absent) => {
            r.out.error(&uses.span, "unknown_workflow", format!("`{text}`: there is no such file"));
            None
        }
        Some(Found::Closed(why)) => {
            r.out.error(&uses.span, "unknown_workflow", format!("`{text}`: {why}"));
            None
        }
        Some(Found::File { bytes, .. }) => {
            let mut inner = r.inner(foreign, false);
            let root = yaml::parse(&title, bytes, inner.out)?;
            let plan = super::workflow(&mut inner, &title, &root)?;
            if plan.call.is_none() {
                r.out.error(&uses.span, "not_callable", format!("`{text}` has no `on: workflow_call`, so it cannot be called"));
                return None;
            }
            Some(Some(plan))
        }
    }
}

fn given_inputs(r: &mut Reader<'_>, with: Option<&Node>, plan: &Plan, uses: &Node) -> IndexMap<String, CallInput> {
    let wanted = plan.call.as_ref().map(|c| c.inputs.clone()).unwrap_or_default();
    let mut given: IndexMap<String, Json> = IndexMap::new();
    for (key, value) in with.and_then(|w| r.mapping(w, "`with`")).unwrap_or_default() {
        let Some((name, input)) = wanted.iter().find(|(n, _)| n.eq_ignore_ascii_case(&key.name)) else {
            r.out.error(&key.span, "unknown_input", format!("Invalid input, {} is not defined in the referenced workflow.", key.name));
            continue;
        };
        r.check_tree(value, scope::CALL_WITH);
        let fits = match (&value.value, input.r#type) {
            (Value::String(s), _) if s.contains("${{") => true,
            (Value::Bool(_), kind) => kind != InputType::Number,
            (Value::Number(..), kind) => kind != InputType::Boolean,
            (Value::String(_) | Value::Null, kind) => kind == InputType::String,
            _ => false,
        };
        if !fits {
            r.out.error(
                &value.span,
                "wrong_type",
                format!("the input `{name}` is a {:?}, this is {}", input.r#type, value.kind()).to_lowercase(),
            );
        }
        given.insert(name.clone(), value.to_json());
    }
    let mut all = IndexMap::new();
    for (name, input) in wanted {
        let value = given.shift_remove(&name).or_else(|| input.default.clone());
        if value.is_none() && input.required {
            r.out.error(&uses.span, "missing_input", format!("Input {name} is required, but not provided while calling."));
        }
        all.insert(name, CallInput { value: value.unwrap_or_else(|| empty(&input)), r#type: input.r#type });
    }
    all
}

fn empty(input: &Input) -> Json {
    match input.r#type {
        InputType::Boolean => Json::Bool(false),
        InputType::Number => Json::from(0),
        _ => Json::String(String::new()),
    }
}

fn given_secrets(r: &mut Reader<'_>, node: Option<&Node>, plan: Option<&Plan>, uses: &Node) -> Option<Map> {
    let wanted = plan.and_then(|p| p.call.as_ref()).map(|c| c.secrets.clone()).unwrap_or_default();
    let given = match node {
        Some(node) if matches!(&node.value, Value::String(s) if s == "inherit") => return None,
        Some(node) => r.env(node, "secrets", scope::CALL_SECRETS),
        None => Map::new(),
    };
    if plan.is_some() {
        for key in given.keys().filter(|k| !wanted.contains_key(*k)) {
            r.out.error(&uses.span, "unknown_secret", format!("Invalid secret, {key} is not defined in the referenced workflow."));
        }
    }
    for (name, _) in wanted.iter().filter(|(name, required)| **required && !given.contains_key(*name)) {
        r.out.error(&uses.span, "missing_secret", format!("Secret {name} is required, but not provided while calling."));
    }
    Some(given)
}

/// The jobs of a call: those of the called workflow, and the calling job as their result.
pub(super) fn place(mut caller: Job, call: Call) -> Vec<Job> {
    let Call { plan, scope, permissions } = call;
    let prefix = scope.prefix.clone();
    let title = caller.name.clone().unwrap_or_else(|| caller.key.clone());
    let mut jobs = Vec::new();
    let mut outputs = Map::new();
    if let Some(plan) = plan {
        outputs = plan.call.map(|c| c.outputs).unwrap_or_default();
        for mut job in plan.jobs {
            job.name = Some(format!("{title} / {}", job.name.unwrap_or_else(|| job.key.clone())));
            job.key = format!("{prefix}{}", job.key);
            for need in &mut job.needs {
                *need = format!("{prefix}{need}");
            }
            let asked = job.permissions.take().or_else(|| plan.permissions.clone());
            job.permissions = narrow(permissions.as_ref(), asked);
            if let Some(result) = &mut job.result_of {
                result.prefix = format!("{prefix}{}", result.prefix);
            }
            job.scope = Some(Box::new(match job.scope {
                Some(inner) => within(*inner, &scope),
                None => scope.clone(),
            }));
            jobs.push(job);
        }
    }
    caller.needs = jobs.iter().map(|j| j.key.clone()).collect();
    caller.result_of = Some(CallResult { prefix, outputs });
    jobs.push(caller);
    jobs
}

/// A scope inside another one.
fn within(mut inner: CallScope, outer: &CallScope) -> CallScope {
    inner.prefix = format!("{}{}", outer.prefix, inner.prefix);
    for need in &mut inner.needs {
        *need = format!("{}{need}", outer.prefix);
    }
    inner.outer = Some(Box::new(match inner.outer.take() {
        Some(middle) => within(*middle, outer),
        None => outer.clone(),
    }));
    inner
}

/// A called workflow can only have less than its caller.
fn narrow(caller: Option<&Permissions>, asked: Option<Permissions>) -> Option<Permissions> {
    let (Some(caller), Some(asked)) = (caller, &asked) else { return asked.or_else(|| caller.cloned()) };
    let names = |p: &Permissions| match p {
        Permissions::Scopes(map) => map.keys().cloned().collect::<Vec<_>>(),
        _ => Vec::new(),
    };
    if let (Permissions::ReadAll, Permissions::WriteAll | Permissions::ReadAll) | (Permissions::WriteAll, Permissions::ReadAll) =
        (caller, asked)
    {
        return Some(Permissions::ReadAll);
    }
    if let (Permissions::WriteAll, _) = (caller, asked) {
        return Some(asked.clone());
    }
    let all = names(caller).into_iter().chain(names(asked));
    let level = |name: &String| -> Level { caller.level(name).min(asked.level(name)) };
    Some(Permissions::Scopes(all.map(|name| (name.clone(), level(&name))).collect()))
}
