//! Writes a Plan as a GitHub workflow file, so that a detected build can be kept and changed by hand.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::plan::{Concurrency, Container, Job, Late, Level, Matrix, Permissions, Plan, RefFilter, RunDefaults, Step, StepKind, Trigger};

/// The text of a workflow file that compiles to this plan.
pub fn workflow(plan: &Plan) -> String {
    let mut root = Object::default();
    root.put("name", json!(plan.name));
    root.maybe("run-name", plan.run_name.as_ref().map(|n| json!(n)));
    root.put("on", triggers(plan));
    root.map("env", &plan.env);
    root.maybe("defaults", defaults(&plan.defaults));
    root.maybe("permissions", plan.permissions.as_ref().map(permissions));
    root.maybe("concurrency", plan.concurrency.as_ref().map(concurrency));
    root.put("jobs", Value::Object(plan.jobs.iter().map(|j| (j.key.clone(), job(j))).collect()));
    yaml(&Value::Object(root.0))
}

/// A value as YAML that people can read.
pub(crate) fn yaml(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value, 0);
    out
}

#[derive(Default)]
struct Object(Map<String, Value>);

impl Object {
    fn put(&mut self, key: &str, value: Value) {
        self.0.insert(key.into(), value);
    }
    fn maybe(&mut self, key: &str, value: Option<Value>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }
    fn map(&mut self, key: &str, map: &crate::plan::Map) {
        if !map.is_empty() {
            self.put(key, json!(map));
        }
    }
    fn list(&mut self, key: &str, list: &[String]) {
        if !list.is_empty() {
            self.put(key, json!(list));
        }
    }
    fn value(self) -> Value {
        Value::Object(self.0)
    }
}

fn late<T: Copy + Into<Value>>(value: &Late<T>) -> Value {
    match value {
        Late::Known(v) => (*v).into(),
        Late::Expr(text) => json!(text),
    }
}

fn triggers(plan: &Plan) -> Value {
    let mut on = Object::default();
    for trigger in &plan.triggers {
        let value = match trigger {
            Trigger::Push(f) => filter(f, &[]),
            Trigger::PullRequest { types, filter: f } => filter(f, types),
            Trigger::WorkflowDispatch if plan.inputs.is_empty() => Value::Null,
            Trigger::WorkflowDispatch => json!({"inputs": plan.inputs}),
            Trigger::Schedule { schedules } => schedules.iter().map(schedule).collect(),
            Trigger::WorkflowRun(run) => {
                let mut value = filter(&run.filter, &run.types);
                if !run.workflows.is_empty() {
                    value = if value.is_null() { json!({}) } else { value };
                    value["workflows"] = json!(run.workflows);
                }
                value
            }
            // no event of the language
            Trigger::Upstream { .. } => continue,
            Trigger::Other { types, filter: f, .. } => filter(f, types),
        };
        on.put(trigger.event(), value);
    }
    on.value()
}

fn schedule(s: &crate::plan::Schedule) -> Value {
    let mut o = Object::default();
    o.put("cron", json!(s.cron));
    o.maybe("timezone", s.timezone.as_ref().map(|t| json!(t)));
    o.value()
}

pub(crate) fn filter(f: &RefFilter, types: &[String]) -> Value {
    let mut o = Object::default();
    o.list("types", types);
    for (key, list) in [
        ("branches", &f.branches),
        ("branches-ignore", &f.branches_ignore),
        ("tags", &f.tags),
        ("tags-ignore", &f.tags_ignore),
        ("paths", &f.paths),
        ("paths-ignore", &f.paths_ignore),
    ] {
        o.maybe(key, list.as_ref().map(|l| json!(l)));
    }
    if o.0.is_empty() { Value::Null } else { o.value() }
}

fn defaults(d: &RunDefaults) -> Option<Value> {
    let mut run = Object::default();
    run.maybe("shell", d.shell.as_ref().map(|s| json!(s)));
    run.maybe("working-directory", d.working_directory.as_ref().map(|s| json!(s)));
    (!run.0.is_empty()).then(|| json!({"run": run.value()}))
}

fn permissions(p: &Permissions) -> Value {
    match p {
        Permissions::ReadAll => json!("read-all"),
        Permissions::WriteAll => json!("write-all"),
        Permissions::Scopes(scopes) => {
            let level = |l: &Level| match l {
                Level::None => "none",
                Level::Read => "read",
                Level::Write => "write",
            };
            Value::Object(scopes.iter().map(|(k, l)| (k.clone(), json!(level(l)))).collect())
        }
    }
}

fn concurrency(c: &Concurrency) -> Value {
    json!({"group": c.group, "cancel-in-progress": late(&c.cancel_in_progress)})
}

fn job(j: &Job) -> Value {
    let mut o = Object::default();
    o.maybe("name", j.name.as_ref().map(|n| json!(n)));
    o.list("needs", &j.needs);
    o.maybe("if", j.condition.as_ref().map(|c| json!(c)));
    o.put("runs-on", if let [one] = j.runs_on.as_slice() { json!(one) } else { json!(j.runs_on) });
    o.maybe(
        "strategy",
        j.strategy.as_ref().map(|s| {
            let mut o = Object::default();
            o.maybe(
                "matrix",
                s.matrix.as_ref().map(|m| match m {
                    Matrix::Static(cells) => json!({"include": cells.iter().map(|c| &c.values).collect::<Vec<_>>()}),
                    Matrix::Dynamic(value) => value.clone(),
                }),
            );
            o.put("fail-fast", late(&s.fail_fast));
            o.maybe("max-parallel", s.max_parallel.as_ref().map(late));
            o.value()
        }),
    );
    o.map("env", &j.env);
    o.map("outputs", &j.outputs);
    o.maybe("timeout-minutes", j.timeout_minutes.as_ref().map(late));
    if j.continue_on_error != Late::Known(false) {
        o.put("continue-on-error", late(&j.continue_on_error));
    }
    o.maybe("container", j.container.as_ref().map(container));
    if !j.services.is_empty() {
        o.put("services", Value::Object(j.services.iter().map(|(k, c)| (k.clone(), container(c))).collect()));
    }
    o.maybe("defaults", defaults(&j.defaults));
    o.maybe("environment", j.environment.as_ref().map(|e| json!({"name": e.name, "url": e.url.clone().unwrap_or_default()})));
    o.maybe("permissions", j.permissions.as_ref().map(permissions));
    o.maybe("concurrency", j.concurrency.as_ref().map(concurrency));
    o.put("steps", Value::Array(j.steps.iter().map(step).collect()));
    o.value()
}

fn container(c: &Container) -> Value {
    let mut o = Object::default();
    o.put("image", json!(c.image));
    o.map("env", &c.env);
    o.list("ports", &c.ports);
    o.list("volumes", &c.volumes);
    o.maybe("options", c.options.as_ref().map(|t| json!(t)));
    o.maybe("credentials", c.credentials.as_ref().map(|c| json!(c)));
    o.value()
}

fn step(s: &Step) -> Value {
    let mut o = Object::default();
    o.maybe("name", s.name.as_ref().map(|n| json!(n)));
    // those that the compiler gave begin with two underscores
    o.maybe("id", s.id.as_ref().filter(|n| !n.starts_with("__")).map(|n| json!(n)));
    o.maybe("if", s.condition.as_ref().map(|n| json!(n)));
    match &s.kind {
        StepKind::Run { script, shell, working_directory } => {
            o.put("run", json!(script));
            o.maybe("shell", shell.as_ref().map(|n| json!(n)));
            o.maybe("working-directory", working_directory.as_ref().map(|n| json!(n)));
        }
        StepKind::Uses { action, version, with } => {
            o.put("uses", json!(if version.is_empty() { action.as_str().to_owned() } else { format!("{}@{version}", action.as_str()) }));
            o.map("with", with);
        }
        StepKind::Custom { uses, with, .. } => {
            o.put("uses", json!(uses));
            o.map("with", with);
        }
        // no workflow file says what a Jenkinsfile says: the step fails and tells so
        StepKind::Jenkins { .. } => o.put("run", json!("echo 'the pipeline of a Jenkinsfile cannot be written as a workflow' >&2; exit 1")),
    }
    o.map("env", &s.env);
    o.maybe("timeout-minutes", s.timeout_minutes.as_ref().map(late));
    if s.continue_on_error != Late::Known(false) {
        o.put("continue-on-error", late(&s.continue_on_error));
    }
    o.value()
}

/// Writes a value that stands after `key:` or `-`, with what follows it indented by `depth` levels.
fn write_value(out: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) => {
            for (i, (key, value)) in map.iter().enumerate() {
                // the first key of a list item stands on the line of its dash
                if i > 0 || !out.ends_with("- ") {
                    out.push_str(&indent);
                }
                out.push_str(&scalar(key));
                out.push(':');
                write_after_key(out, value, depth);
                if depth == 0 && i + 1 < map.len() && matches!(value, Value::Object(_)) {
                    out.push('\n');
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                let _ = write!(out, "{indent}- ");
                match item {
                    Value::Object(map) if !map.is_empty() => write_value(out, item, depth + 1),
                    Value::String(text) if is_block(text) => write_block(out, text, depth),
                    other => {
                        out.push_str(&inline(other));
                        out.push('\n');
                    }
                }
            }
        }
        other => {
            out.push_str(&inline(other));
            out.push('\n');
        }
    }
}

fn write_after_key(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Null => out.push('\n'),
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            write_value(out, value, depth + 1);
        }
        Value::Array(items) if items.iter().any(in_rows) => {
            out.push('\n');
            write_value(out, value, depth + 1);
        }
        Value::String(text) if is_block(text) => {
            out.push(' ');
            write_block(out, text, depth);
        }
        other => {
            let _ = writeln!(out, " {}", inline(other));
        }
    }
}

/// Items that read better in rows of their own.
fn in_rows(item: &Value) -> bool {
    item.is_object() || item.as_str().is_some_and(|text| text.len() > 60 || text.contains('\n'))
}

/// A text of several lines after a key or a dash.
fn write_block(out: &mut String, text: &str, depth: usize) {
    out.push_str(if text.ends_with('\n') { "|\n" } else { "|-\n" });
    for line in text.lines() {
        if line.is_empty() {
            out.push('\n');
        } else {
            let _ = writeln!(out, "{}{line}", "  ".repeat(depth + 1));
        }
    }
}

/// Texts that read well and exactly as a block.
fn is_block(text: &str) -> bool {
    text.contains('\n')
        && !text.ends_with("\n\n")
        && !text.starts_with([' ', '\n', '\t'])
        && text.chars().all(|c| c == '\n' || c == '\t' || !c.is_control())
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        // JSON is YAML
        other => other.to_string(),
    }
}

/// A text as it may stand bare, or quoted.
fn scalar(text: &str) -> String {
    let plain_start = text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '.' | '/' | '$' | '~'));
    let plain = plain_start
        && text != "~"
        && !text.starts_with("...")
        && text.chars().all(|c| c.is_ascii_alphanumeric() || " _./-$=()|&<>+~@".contains(c) || (c == '\'' && !text.starts_with('\'')))
        && !text.ends_with(' ')
        && !matches!(text.to_ascii_lowercase().as_str(), "true" | "false" | "null" | "yes" | "no" | ".inf" | ".nan");
    if plain {
        return text.to_owned();
    }
    if text.chars().any(char::is_control) {
        // the escapes of JSON are those of a double-quoted text
        return Value::String(text.to_owned()).to_string();
    }
    format!("'{}'", text.replace('\'', "''"))
}
