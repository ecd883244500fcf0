//! Jobs that call another workflow: its jobs become jobs of this plan, with keys below that of the calling job, and a
//! last one that carries its outputs.

use indexmap::IndexMap;
use serde_json::Value as Json;

use crate::expr::{self, Expr, scope};
use crate::matrix;
use crate::plan::{CallInput, CallResult, CallScope, Cell, Input, InputType, Job, Level, Map, Matrix, Permissions, Plan};
use crate::yaml::{self, Key, Node, Value};

use super::library::{Found, Want};
use super::read::{PERMISSIONS, Reader};
use super::{custom, is_workflow, job};

/// Workflows may call workflows so deep.
const MAX_DEPTH: usize = 9;

const KEYS: &[&str] = &["name", "uses", "with", "secrets", "needs", "if", "permissions", "strategy", "concurrency"];
/// Most jobs that one call makes.
const MAX_CALLED: usize = 256;

/// A call that was read: the called workflow and what it is given. None where nobody could look.
pub(super) struct Call {
    plan: Option<Plan>,
    scope: CallScope,
    permissions: Option<Permissions>,
    /// One call for each; empty: there is no matrix.
    cells: Vec<Cell>,
}

/// Reads a job that calls a workflow.
pub(super) fn read(r: &mut Reader<'_>, key: &Key, node: &Node) -> Option<(Job, Call)> {
    let mut job = job::begin(r, key)?;
    let (mut with, mut secrets, mut uses) = (None, None, None);
    let mut cells = Vec::new();
    for (key, value) in r.mapping(node, "a job")? {
        match key.name.as_str() {
            "uses" => uses = Some(value),
            "name" => job.name = r.text(value, "name", scope::JOB).filter(|n| !n.is_empty()),
            "needs" => job.needs = r.texts(value, "needs", None),
            "if" => job.condition = r.condition(value, scope::JOB_IF),
            "permissions" => job.permissions = r.permissions(value),
            "with" => with = Some(value),
            "secrets" => secrets = Some(value),
            "strategy" => cells = matrix_of(r, value),
            "concurrency" => job.concurrency = r.concurrency(value, scope::JOB),
            "runs-on" | "steps" => {
                r.out.error(&key.span, "run_and_uses", format!("a job has either `uses` or `{}`, not both", key.name));
            }
            _ => r.unknown_key(key, "a job that calls a workflow", KEYS),
        }
    }
    let uses = uses?;
    let granted = job.permissions.clone().or_else(|| r.granted.clone());
    let mut plan = load(r, uses, granted.clone())?;
    let mut call =
        CallScope { prefix: format!("{}/", job.key), needs: job.needs.clone(), condition: job.condition.take(), ..CallScope::default() };
    call.secrets = given_secrets(r, secrets, plan.as_ref(), uses);
    if let Some(plan) = &mut plan {
        call.inputs = given_inputs(r, with, plan, uses);
        call.env = plan.env.clone();
        call.defaults = plan.defaults.clone();
        check_permissions(r, key, uses, plan, granted.as_ref());
        hold(r, &mut job, uses, plan);
    }
    let permissions = job.permissions.take();
    Some((job, Call { plan, scope: call, permissions, cells }))
}

/// The combinations of a matrix that is written out.
fn matrix_of(r: &mut Reader<'_>, node: &Node) -> Vec<Cell> {
    for (key, _) in r.mapping(node, "`strategy`").unwrap_or_default() {
        if key.name != "matrix" {
            let message = format!("`{}` is not kept for a job that calls a workflow: all its calls run at once, to their end", key.name);
            r.out.warning(&key.span, "unsupported_key", message);
        }
    }
    let Some(strategy) = job::strategy(r, node) else { return Vec::new() };
    match strategy.matrix {
        Some(Matrix::Static(cells)) => cells,
        Some(Matrix::Dynamic(_)) => {
            let message = "the matrix of a job that calls a workflow must be written out; an expression is only known when jobs run";
            r.out.error(&node.span, "unsupported_key", message);
            Vec::new()
        }
        None => Vec::new(),
    }
}

/// A group that the calling job or the called workflow holds goes to the called job, where there is one.
fn hold(r: &mut Reader<'_>, caller: &mut Job, uses: &Node, plan: &mut Plan) {
    let Some(group) = caller.concurrency.take().or_else(|| plan.concurrency.take()) else { return };
    match plan.jobs.as_mut_slice() {
        [only] if only.concurrency.is_none() => only.concurrency = Some(group),
        _ => {
            let message = format!(
                "the concurrency group `{}` cannot be held by several jobs of a called workflow; give it to the jobs themselves",
                group.group
            );
            r.out.error(&uses.span, "unsupported_key", message);
        }
    }
}

/// A called workflow may not ask for more than its caller has.
fn check_permissions(r: &mut Reader<'_>, key: &Key, uses: &Node, plan: &Plan, granted: Option<&Permissions>) {
    let text = uses.scalar_text().unwrap_or_default();
    let instance = Permissions::Scopes(
        [("contents", Level::Read), ("packages", Level::Write), ("deployments", Level::Write)].map(|(n, l)| (n.to_owned(), l)).into(),
    );
    let allowed = granted.unwrap_or(&instance);
    let workflow = (format!("workflow '{text}'"), plan.permissions.as_ref());
    // those of workflows that it calls in turn were checked there
    let own = plan.jobs.iter().filter(|j| j.scope.is_none() && j.result_of.is_none());
    let jobs = own.map(|j| (format!("nested job '{}'", j.name.as_ref().unwrap_or(&j.key)), j.permissions.as_ref()));
    for (who, asked) in std::iter::once(workflow).chain(jobs) {
        let Some(asked) = asked else { continue };
        let names: Vec<&str> = match asked {
            Permissions::Scopes(map) => map.keys().map(String::as_str).collect(),
            _ => PERMISSIONS.iter().map(|(name, _)| *name).collect(),
        };
        if names.iter().all(|n| asked.level(n) <= allowed.level(n)) {
            continue;
        }
        let list = |p: &Permissions| names.iter().map(|n| format!("{n}: {}", level_word(p.level(n)))).collect::<Vec<_>>().join(", ");
        let message =
            format!("Error calling workflow '{text}'. The {who} is requesting '{}', but is only allowed '{}'.", list(asked), list(allowed));
        r.out.error(&key.span, "permissions_exceeded", message);
    }
}

fn level_word(level: Level) -> &'static str {
    match level {
        Level::None => "none",
        Level::Read => "read",
        Level::Write => "write",
    }
}

/// Looks the called workflow up and compiles it. The inner none: nobody could look, or somebody will.
fn load(r: &mut Reader<'_>, uses: &Node, granted: Option<Permissions>) -> Option<Option<Plan>> {
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
            inner.granted = granted;
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
            r.out.error(&value.span, "unknown_input", format!("Invalid input, {} is not defined in the referenced workflow.", key.name));
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
            let written = value.scalar_text().unwrap_or_default();
            let message = format!("Unexpected value '{written}': the input {name} is a {:?}", input.r#type).to_lowercase();
            r.out.error(&value.span, "wrong_type", message.replacen("unexpected", "Unexpected", 1));
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
    let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
    if plan.is_some() {
        for key in given.keys().filter(|k| !wanted.keys().any(|w| same(w, k))) {
            let span = node.and_then(|n| n.get(key)).map_or(&uses.span, |n| &n.span);
            r.out.error(span, "unknown_secret", format!("Invalid secret, {key} is not defined in the referenced workflow."));
        }
    }
    for (name, _) in wanted.iter().filter(|(name, required)| **required && !given.keys().any(|g| same(g, name))) {
        r.out.error(&uses.span, "missing_secret", format!("Secret {name} is required, but not provided while calling."));
    }
    Some(given)
}

/// The jobs of a call: those of the called workflow, once for each combination of a matrix, and the calling job as their
/// result.
pub(super) fn place(r: &mut Reader<'_>, caller: Job, call: Call) -> Vec<Job> {
    if call.cells.is_empty() {
        return place_one(caller, call.plan, call.scope, call.permissions.as_ref());
    }
    let made = call.plan.as_ref().map_or(0, |p| p.jobs.len()).saturating_mul(call.cells.len());
    if made > MAX_CALLED {
        r.out.error(&caller.span, "too_many_jobs", format!("the matrix of calls makes {made} jobs, at most {MAX_CALLED} are allowed"));
        return vec![caller];
    }
    let mut jobs = Vec::new();
    let mut outputs = Map::new();
    let mut results = Vec::new();
    for (number, cell) in call.cells.into_iter().enumerate() {
        let mut one = caller.clone();
        // no id has a dot, so nothing else is called so
        one.key = format!("{}.{}", caller.key, number + 1);
        one.name = Some(cell_name(&caller, &cell));
        let scope = CallScope { prefix: format!("{}/", one.key), matrix: cell.values, ..call.scope.clone() };
        // of equal outputs the last one counts
        for name in call.plan.iter().flat_map(|p| &p.call).flat_map(|c| c.outputs.keys()) {
            let value: &mut String = outputs.entry(name.clone()).or_default();
            let before = value.strip_prefix("${{ ").and_then(|v| v.strip_suffix(" }}")).map_or(String::new(), |v| format!(" || {v}"));
            *value = format!("${{{{ jobs['{}'].outputs['{}']{before} }}}}", one.key, name.replace('\'', "''"));
        }
        results.push(one.key.clone());
        jobs.extend(place_one(one, call.plan.clone(), scope, call.permissions.as_ref()));
    }
    let mut caller = caller;
    caller.needs = results;
    caller.result_of = Some(CallResult { prefix: String::new(), outputs });
    jobs.push(caller);
    jobs
}

/// The shown name of one call of a matrix.
fn cell_name(caller: &Job, cell: &Cell) -> String {
    let roots = serde_json::json!({ "matrix": cell.values });
    let only_matrix = |name: &str| {
        let pieces = expr::split(name).unwrap_or_default();
        pieces.iter().all(|p| match p {
            expr::Piece::Text(_) => true,
            expr::Piece::Expr { text, .. } => Expr::parse(text).is_ok_and(|e| {
                let mut fine = true;
                e.walk(&mut |e| fine &= !matches!(e, Expr::Context(name) if name != "matrix"));
                fine
            }),
        })
    };
    let named = caller.name.as_deref().filter(|n| n.contains("${{") && only_matrix(n));
    let known = named.and_then(|n| expr::interpolate(n, &expr::Context::new(&roots)).ok());
    known.unwrap_or_else(|| matrix::display_name(caller.name.as_deref().unwrap_or(&caller.key), &cell.label))
}

fn place_one(mut caller: Job, plan: Option<Plan>, scope: CallScope, permissions: Option<&Permissions>) -> Vec<Job> {
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
            job.permissions = narrow(permissions, asked);
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
