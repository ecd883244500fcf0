//! Writes a draft as a workflow of GitHub.

use std::collections::HashMap;

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use crate::diagnostic::Span;
use crate::emit;
use crate::plan::{Input, InputType, RefFilter, literal};

use super::conditions::to_github;
use super::draft::{Base, Cond, Does, Gate, Image, Job, Piece, Side, Step, Text, When};
use super::shell::outside;
use super::{Target, Writer, downstream};

/// An object in the order of its keys.
#[derive(Default)]
struct Object(Map<String, Value>);

impl Object {
    fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }
    fn maybe(&mut self, key: &str, value: Option<Value>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }
}

pub(super) fn write(w: &mut Writer<'_>) -> String {
    let draft = w.draft;
    let mut inputs = draft.inputs.clone();
    let ids = ids(&draft.jobs);
    for job in draft.jobs.iter().filter(|j| matches!(j.gate, Some(Gate::Manual { .. }))) {
        let description = format!("Run the job `{}`", job.key);
        let input = Input { description, required: false, default: Some(false.into()), r#type: InputType::Boolean, options: Vec::new() };
        inputs.insert(hand(&ids[&job.key]), input);
    }
    let mut root = Object::default();
    root.put("name", draft.name.clone().unwrap_or_else(|| "CI".into()));
    root.put("on", on(w, &inputs));
    root.maybe("env", env(w, &draft.env, None, &Span::whole("")));
    if let Some(cancel) = draft.alone {
        root.put("concurrency", json!({"group": "${{ github.workflow }}-${{ github.ref }}", "cancel-in-progress": cancel}));
    }
    let mut jobs = Map::new();
    for job in &draft.jobs {
        let value = one(w, job, &ids);
        jobs.insert(ids[&job.key].clone(), value);
    }
    root.put("jobs", jobs);
    emit::yaml(&Value::Object(root.0))
}

/// Names that jobs may have here.
fn ids(jobs: &[Job]) -> HashMap<String, String> {
    let mut taken: Vec<String> = Vec::new();
    let mut ids = HashMap::new();
    for job in jobs {
        let mut id: String =
            job.key.chars().map(|c| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '-' }).take(90).collect();
        if id != job.key {
            while id.contains("--") {
                id = id.replace("--", "-");
            }
            id = id.trim_matches('-').to_owned();
        }
        if !id.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            id.insert(0, '_');
        }
        let (plain, mut n) = (id.clone(), 2);
        while taken.iter().any(|t| t.eq_ignore_ascii_case(&id)) {
            id = format!("{plain}-{n}");
            n += 1;
        }
        taken.push(id.clone());
        ids.insert(job.key.clone(), id);
    }
    ids
}

fn hand(id: &str) -> String {
    format!("run_{}", super::shell::ident(id))
}

fn on(w: &Writer<'_>, inputs: &IndexMap<String, Input>) -> Value {
    let mut on = Object::default();
    let filter = |f: &RefFilter| emit::filter(f, &[]);
    on.maybe("push", w.draft.push.as_ref().map(filter));
    on.maybe("pull_request", w.draft.pull_request.as_ref().map(filter));
    if !w.draft.schedules.is_empty() {
        on.put("schedule", w.draft.schedules.iter().map(|c| json!({"cron": c})).collect::<Vec<_>>());
    }
    if w.draft.by_hand {
        on.put("workflow_dispatch", if inputs.is_empty() { Value::Null } else { json!({"inputs": inputs}) });
    }
    Value::Object(on.0)
}

fn env(w: &mut Writer<'_>, env: &IndexMap<String, Text>, job: Option<&Job>, span: &Span) -> Option<Value> {
    let mut out = Map::new();
    for (name, text) in env {
        let value = template(w, text, job, "vars", span);
        out.insert(name.clone(), value.into());
    }
    (!out.is_empty()).then_some(Value::Object(out))
}

/// A text as a template.
fn template(w: &mut Writer<'_>, text: &Text, job: Option<&Job>, vars: &str, span: &Span) -> String {
    if let Some(constant) = w.constant(text, job) {
        return literal(&constant);
    }
    let mut out = String::new();
    for piece in &text.0 {
        let expression = match piece {
            Piece::Lit(text) => {
                out.push_str(&literal(text));
                continue;
            }
            Piece::Var(name) => match w.constant(&Text(vec![piece.clone()]), job) {
                Some(constant) => {
                    out.push_str(&literal(&constant));
                    continue;
                }
                None if job.is_some_and(|j| j.matrix.iter().flat_map(|m| &m.cells).any(|c| c.contains_key(name))) => {
                    format!("matrix.{name}")
                }
                None => {
                    if super::shell::predefined(name, w.from) {
                        w.lost(span, "predefined_variable", format!("`{name}` is set by {} only", w.from.name()));
                    }
                    format!("{vars}.{name}")
                }
            },
            Piece::Fact(fact) => fact.expression().to_owned(),
            Piece::Secret(name) => format!("secrets.{name}"),
            Piece::Matrix(name) => format!("matrix.{name}"),
            Piece::Input(name) => format!("inputs.{name}"),
            Piece::Output(step, name) => format!("steps.{step}.outputs.{name}"),
            Piece::Hash(files) => {
                format!("hashFiles({})", files.iter().map(|f| format!("'{}'", f.replace('\'', "''"))).collect::<Vec<_>>().join(", "))
            }
            Piece::Foreign(text) => {
                w.lost(span, "expression", format!("`{text}` cannot be said in GitHub Actions: the text is kept as it is"));
                out.push_str(&literal(text));
                continue;
            }
        };
        out.push_str(&format!("${{{{ {expression} }}}}"));
    }
    out
}

/// Conditions over what the file itself sets are decided here.
fn known(w: &Writer<'_>, job: Option<&Job>, cond: &Cond) -> Cond {
    let side = |s: &Side| match s {
        Side::Var(name) => w.constant(&Text(vec![Piece::Var(name.clone())]), job).map_or_else(|| s.clone(), Side::Text),
        other => other.clone(),
    };
    match cond {
        Cond::Not(c) => known(w, job, c).not(),
        Cond::All(list) => Cond::All(list.iter().map(|c| known(w, job, c)).collect()),
        Cond::Any(list) => Cond::Any(list.iter().map(|c| known(w, job, c)).collect()),
        Cond::Same(a, b) => Cond::Same(side(a), side(b)),
        Cond::Set(s) => Cond::Set(side(s)),
        other => other.clone(),
    }
}

/// `if`; a condition that cannot be said keeps the job or step from running.
fn condition(w: &mut Writer<'_>, when: &When, job: Option<&Job>, vars: &str, span: &Span) -> Option<Value> {
    let base = match when.base {
        // elsewhere what was left out keeps nothing back
        Base::Success if when.through && job.is_some_and(|j| w.order.skippable(j)) => Some("!failure() && !cancelled()"),
        Base::Success => None,
        Base::Failure => Some("failure()"),
        Base::Always => Some("always()"),
    };
    let cond = known(w, job, &when.cond);
    let text = match &cond {
        Cond::True => None,
        cond => match to_github(cond, vars) {
            Ok(text) if text == "!(true)" => Some("false".to_owned()),
            Ok(text) => Some(if base.is_some() && matches!(cond, Cond::Any(_)) { format!("({text})") } else { text }),
            Err(why) => {
                w.lost(span, "condition", format!("{why}; it is left out, so it never runs until the condition is written by hand"));
                Some("false".to_owned())
            }
        },
    };
    match (base, text) {
        (None, None) => None,
        (Some(base), None) => Some(base.into()),
        (None, Some(text)) => Some(text.into()),
        (Some(base), Some(text)) => Some(format!("{base} && {text}").into()),
    }
}

fn one(w: &mut Writer<'_>, job: &Job, ids: &HashMap<String, String>) -> Value {
    let mut o = Object::default();
    let id = &ids[&job.key];
    match &job.title {
        Some(title) => o.put("name", template(w, title, Some(job), "vars", &job.span)),
        None if *id != job.key => o.put("name", literal(&job.key)),
        None => {}
    }
    let needs: Vec<&String> = job.needs.iter().filter_map(|n| ids.get(n)).collect();
    if !needs.is_empty() {
        o.put("needs", json!(needs));
    }
    let mut when = job.when.clone();
    match &job.gate {
        Some(Gate::Manual { blocking }) => {
            let asked = Cond::Same(Side::Input(hand(id)), Side::Text("true".into()));
            when.cond = when.cond.and(asked);
            let waits = if *blocking { "; jobs behind it do not wait, they are skipped" } else { "" };
            let message =
                format!("a job of a run is not started by hand in GitHub Actions: start the workflow with the input `{}`{waits}", hand(id));
            w.differs(&job.span, "manual", message);
        }
        Some(Gate::Question(_)) => {
            w.differs(&job.span, "approval", "who may go on is set for the environment `approval`, which has to get reviewers");
        }
        Some(Gate::Delay(seconds)) => {
            w.differs(&job.span, "delay", format!("the job sleeps for {seconds} seconds, and holds its runner meanwhile"));
        }
        None => {}
    }
    o.maybe("if", condition(w, &when, Some(job), "vars", &job.span));
    if let Some((step, start)) = downstream::only(job)
        && start.project.is_none()
        && let Some(path) = downstream::called(w, step, start)
    {
        let given: Vec<(&String, &Text)> = start.given.iter().collect();
        let with: Map<String, Value> =
            given.into_iter().map(|(name, text)| (name.clone(), template(w, text, Some(job), "vars", &step.span).into())).collect();
        if !job.env.is_empty() {
            w.lost(&step.span, "child_pipeline", "variables of the job do not reach a called workflow: give them as inputs");
        }
        o.put("uses", path);
        if !with.is_empty() {
            o.put("with", with);
        }
        o.put("secrets", "inherit");
        return Value::Object(o.0);
    }
    let labels: Vec<String> = job.labels.iter().map(|l| template(w, l, Some(job), "vars", &job.span)).collect();
    match labels.as_slice() {
        [] => o.put("runs-on", "ubuntu-latest"),
        [one] => o.put("runs-on", one.as_str()),
        many => o.put("runs-on", json!(many)),
    }
    if let Some(matrix) = &job.matrix {
        let mut strategy = Object::default();
        strategy.put("fail-fast", matrix.fail_fast);
        strategy.maybe("max-parallel", matrix.max_parallel.map(|n| json!(n)));
        let axes = super::to_gitlab::axes(&matrix.cells);
        strategy.put("matrix", axes.map_or_else(|| json!({"include": matrix.cells}), |axes| json!(axes)));
        o.put("strategy", strategy.0);
    }
    let mut vars = Map::new();
    for name in job.matrix.iter().flat_map(|m| m.cells.first()).flat_map(|c| c.keys()) {
        vars.insert(name.clone(), format!("${{{{ matrix.{name} }}}}").into());
    }
    for name in w.draft.inputs.keys() {
        // scripts of the other dialects read them from the environment
        if job.steps.iter().any(|s| matches!(&s.does, Does::Script { text, .. } if text.literals().contains(name.as_str()))) {
            vars.insert(name.clone(), format!("${{{{ inputs.{name} }}}}").into());
        }
    }
    if let Some(Value::Object(own)) = env(w, &job.env, Some(job), &job.span) {
        vars.extend(own);
    }
    for name in outside(w.draft, job, w.from) {
        w.differs(
            &job.span,
            "project_variable",
            format!("`{name}` is read from the secret or the variable `{name}` of the project, or is empty"),
        );
        vars.insert(name.clone(), format!("${{{{ secrets.{name} || vars.{name} }}}}").into());
    }
    if !vars.is_empty() {
        o.put("env", vars);
    }
    o.maybe("timeout-minutes", job.timeout.map(|t| json!(t)));
    if job.may_fail {
        o.put("continue-on-error", true);
    }
    if job.retry > 0 {
        w.lost(
            &job.span,
            "retry",
            format!("`{}` is tried again up to {} times; jobs of GitHub are not tried again by themselves", job.key, job.retry),
        );
    }
    if job.interruptible && w.draft.alone.is_none() {
        w.differs(&job.span, "interruptible", "newer runs stop older ones only with `concurrency`, which stops a run as a whole");
    }
    if let Some(image) = &job.image {
        let value = container(w, image, job);
        o.maybe("container", value);
    }
    let mut services = Map::new();
    for (name, image) in &job.services {
        if let Some(value) = container(w, image, job) {
            services.insert(name.clone(), value);
        }
    }
    if !services.is_empty() {
        o.put("services", services);
    }
    let environment = job.environment.as_ref().map(|(name, url)| {
        let name = template(w, name, Some(job), "vars", &job.span);
        match url.as_ref().map(|u| template(w, u, Some(job), "vars", &job.span)) {
            Some(url) => json!({"name": name, "url": url}),
            None => json!({"name": name}),
        }
    });
    let asked = matches!(job.gate, Some(Gate::Question(_))).then(|| json!({"name": "approval"}));
    o.maybe("environment", environment.or(asked));
    if let Some(group) = &job.group {
        let group = template(w, group, Some(job), "vars", &job.span);
        w.differs(
            &job.span,
            "resource_group",
            "of the jobs that wait in a group only the newest stays in GitHub Actions, the others are cancelled",
        );
        o.put("concurrency", json!({"group": group, "cancel-in-progress": false}));
    }
    w.shells_differ(job);
    let mut steps = Vec::new();
    if let Some(Gate::Delay(seconds)) = job.gate {
        steps.push(json!({"name": "Wait", "run": format!("sleep {seconds}")}));
    }
    for s in &job.steps {
        steps.extend(step(w, job, s));
    }
    if steps.is_empty() {
        steps.push(json!({"run": "true"}));
    }
    o.put("steps", steps);
    Value::Object(o.0)
}

fn container(w: &mut Writer<'_>, image: &Image, job: &Job) -> Option<Value> {
    let mut o = Object::default();
    o.put("image", template(w, &image.name, Some(job), "vars", &job.span));
    o.maybe("env", env(w, &image.env, Some(job), &job.span));
    if !image.ports.is_empty() {
        o.put("ports", json!(image.ports));
    }
    o.maybe("options", image.args.as_ref().map(|a| json!(a)));
    if !image.command.is_empty() {
        w.lost(
            &job.span,
            "service_command",
            format!("a service of GitHub runs the command of its image, not `{}`", image.command.join(" ")),
        );
    }
    Some(Value::Object(o.0))
}

fn artifact(job: &Job, name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_alphanumeric() || "-_. ".contains(c) { c } else { '-' }).collect();
    if job.matrix.is_some() { format!("{plain}-${{{{ strategy.job-index }}}}") } else { plain }
}

/// The directory that the files of an artifact are counted from: the nearest that holds them all.
fn common(paths: &[String]) -> String {
    let directory = |path: &String| -> Vec<String> {
        let path = path.trim_start_matches("./").trim_end_matches('/');
        let mut parts: Vec<String> = Vec::new();
        let all: Vec<&str> = path.split('/').collect();
        for (i, part) in all.iter().enumerate() {
            let last = i + 1 == all.len();
            // what has an extension is a file, whose directory counts
            if part.contains(['*', '?', '[']) || last && part.contains('.') && *part != "." {
                break;
            }
            parts.push((*part).to_owned());
        }
        parts
    };
    let mut all = paths.iter().map(directory);
    let mut shared = all.next().unwrap_or_default();
    for other in all {
        let same = shared.iter().zip(&other).take_while(|(a, b)| a == b).count();
        shared.truncate(same);
    }
    if shared.is_empty() { ".".into() } else { shared.join("/") }
}

fn step(w: &mut Writer<'_>, job: &Job, step: &Step) -> Vec<Value> {
    let mut o = Object::default();
    o.maybe("name", step.name.as_ref().map(|n| json!(literal(n))));
    o.maybe("id", step.id.as_ref().map(|n| json!(n)));
    o.maybe("if", condition(w, &When { through: false, ..step.when.clone() }, Some(job), "env", &step.span));
    let mut vars = env(w, &step.env, Some(job), &step.span);
    match &step.does {
        Does::Script { text, shell, dir } => {
            o.put("run", w.script(text, &step.span));
            if let Some(shell) = shell.as_deref().filter(|s| *s != "posix") {
                o.put("shell", shell);
            }
            o.maybe("working-directory", dir.as_ref().map(|d| json!(template(w, d, Some(job), "env", &step.span))));
        }
        Does::Checkout => o.put("uses", "actions/checkout@v4"),
        Does::Setup { action, with } => {
            o.put("uses", action.as_str());
            o.maybe("with", env(w, with, Some(job), &step.span));
        }
        Does::Cache { key, restore, paths, pull, push } => {
            let mut key = template(w, key, Some(job), "env", &step.span);
            let mut keys: Vec<String> = restore.iter().map(|k| template(w, k, Some(job), "env", &step.span)).collect();
            if w.from == Target::Gitlab {
                keys.insert(0, format!("{key}-"));
                key.push_str("-${{ github.run_id }}");
            }
            let name = match (pull, push) {
                (true, false) => "actions/cache/restore@v4",
                (false, true) => "actions/cache/save@v4",
                _ => "actions/cache@v4",
            };
            o.put("uses", name);
            let mut with = Object::default();
            with.put("path", paths.join("\n"));
            with.put("key", key);
            if *pull && !keys.is_empty() {
                with.put("restore-keys", keys.join("\n"));
            }
            o.put("with", with.0);
        }
        Does::Upload { name, paths, exclude } => {
            let name = artifact(job, &template(w, name, Some(job), "env", &step.span));
            let lines: Vec<String> = paths.iter().map(|p| jenkins_path(p)).chain(exclude.iter().map(|p| format!("!{p}"))).collect();
            let lines: Vec<String> = lines.iter().map(|l| literal(l)).collect();
            o.put("uses", "actions/upload-artifact@v4");
            o.put("with", json!({"name": name, "path": lines.join("\n")}));
        }
        Does::Download { name, path } => {
            let name = name.as_ref().and_then(Text::plain);
            let makers = w.draft.makers(name.as_deref());
            let Some(maker) = makers.first() else {
                w.lost(&step.span, "artifact", format!("no job leaves files as `{}`", name.unwrap_or_default()));
                return Vec::new();
            };
            let paths: Vec<String> = maker
                .steps
                .iter()
                .filter_map(|s| match &s.does {
                    Does::Upload { name: own, paths, .. } if name.is_none() || own.plain() == name => Some(paths.clone()),
                    _ => None,
                })
                .flatten()
                .collect();
            let root = path.clone().unwrap_or_else(|| common(&paths));
            o.put("uses", "actions/download-artifact@v4");
            let name = name.unwrap_or_default();
            let mut with = Object::default();
            if maker.matrix.is_some() {
                with.put("pattern", format!("{}-*", name.replace('/', "-")));
                with.put("merge-multiple", true);
            } else {
                with.put("name", artifact(maker, &name));
            }
            with.put("path", root);
            o.put("with", with.0);
        }
        Does::Report(kinds) => {
            let with: Map<String, Value> = kinds.iter().map(|(kind, files)| (kind.clone(), json!(files.join("\n")))).collect();
            o.put("uses", "devmentor/report@v1");
            o.put("with", with);
            w.differs(&step.span, "report", "reports are read by `devmentor/report`, which github.com does not have");
        }
        Does::Action { uses, with } => {
            o.put("uses", uses.as_str());
            o.maybe("with", env(w, with, Some(job), &step.span));
        }
        Does::Start(start) => {
            let script = downstream::script(w, step, start);
            o.put("run", script);
        }
        Does::Groovy(code) => {
            let code: Vec<String> = code.lines().map(|l| format!("# {}", literal(l))).collect();
            o.put("run", format!("{}\necho 'this step has to be written by hand' >&2\nexit 1", code.join("\n")));
            vars = None;
        }
    }
    o.maybe("env", vars);
    o.maybe("timeout-minutes", step.timeout.map(|t| json!(t)));
    if step.may_fail {
        o.put("continue-on-error", true);
    }
    vec![Value::Object(o.0)]
}

/// A directory of a pattern is all that is in it.
fn jenkins_path(path: &str) -> String {
    path.trim_start_matches("./").to_owned()
}
