//! Writes a draft as a pipeline of GitLab.

mod steps;
mod triggers;

use std::collections::HashMap;

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use crate::diagnostic::Span;
use crate::emit;
use crate::plan::RefFilter;

use super::conditions::to_gitlab;
use super::draft::{Base, Cond, Does, Draft, Fact, Gate, Image, Job, Piece, Side, Step, Text};
use super::shell::{PRELUDE, ident, secrets, speaks};
use super::{Writer, downstream};

use steps::steps;
pub(super) use triggers::starts;
use triggers::{one_rule, workflow};

/// Names that no job may have.
const RESERVED: &[&str] = &[
    "image",
    "services",
    "stages",
    "types",
    "before_script",
    "after_script",
    "variables",
    "cache",
    "include",
    "default",
    "workflow",
    "spec",
    "true",
    "false",
    "nil",
    "pages",
];

/// The vectors whose product the combinations are, if they are one.
pub(super) fn axes(cells: &[IndexMap<String, String>]) -> Option<IndexMap<String, Vec<String>>> {
    let mut axes: IndexMap<String, Vec<String>> = IndexMap::new();
    for (name, value) in cells.iter().flatten() {
        let values = axes.entry(name.clone()).or_default();
        if !values.contains(value) {
            values.push(value.clone());
        }
    }
    let mut product: Vec<IndexMap<String, String>> = vec![IndexMap::new()];
    for (name, values) in &axes {
        let more = |cell: &IndexMap<String, String>| {
            values
                .iter()
                .map(|v| {
                    let mut cell = cell.clone();
                    cell.insert(name.clone(), v.clone());
                    cell
                })
                .collect::<Vec<_>>()
        };
        product = product.iter().flat_map(more).take(cells.len() + 1).collect();
    }
    (product == cells).then_some(axes)
}

pub(super) fn write(w: &mut Writer<'_>) -> String {
    let draft = w.draft;
    let whole = Span::whole("");
    let names = names(w);
    let levels = w.order.levels();
    let stages = stages(draft, levels, &names);
    let mut root = Map::new();
    root.insert("stages".into(), json!(stages));
    workflow(w, &mut root);
    let mut variables = Map::new();
    for (name, input) in &draft.inputs {
        let default = input.default.as_ref().map(|d| d.as_str().map_or_else(|| d.to_string(), str::to_owned)).unwrap_or_default();
        let mut shown = Map::new();
        shown.insert("value".into(), default.clone().into());
        shown.insert("description".into(), (if input.description.is_empty() { name.as_str() } else { &input.description }).into());
        if !input.options.is_empty() && input.options.contains(&default) {
            shown.insert("options".into(), json!(input.options));
        }
        variables.insert(ident(name), shown.into());
    }
    if !draft.inputs.is_empty() {
        w.differs(&whole, "inputs", "inputs become variables, which are texts and are not required");
    }
    for (name, text) in &draft.env {
        let value = expand(w, text, &whole);
        variables.insert(name.clone(), value.into());
    }
    if !variables.is_empty() {
        root.insert("variables".into(), variables.into());
    }
    for schedule in &draft.schedules {
        w.lost(
            &whole,
            "schedule",
            format!("a pipeline of GitLab does not say when it starts: make a schedule `{schedule}` for the project"),
        );
    }
    for (i, job) in draft.jobs.iter().enumerate() {
        let value = one(w, job, &names, &stages[levels[i]]);
        root.insert(names[&job.key].clone(), value);
    }
    emit::yaml(&Value::Object(root))
}

fn names(w: &mut Writer<'_>) -> HashMap<String, String> {
    let draft = w.draft;
    let plain = |key: &String| if RESERVED.contains(&key.as_str()) || key.starts_with('.') { format!("job {key}") } else { key.clone() };
    draft.jobs.iter().map(|j| (j.key.clone(), plain(&j.key))).collect()
}

/// One stage for each level: it has the name of its job if it has one only.
fn stages(draft: &Draft, levels: &[usize], names: &HashMap<String, String>) -> Vec<String> {
    let count = levels.iter().max().map_or(0, |m| m + 1);
    (0..count)
        .map(|level| {
            let mut jobs = draft.jobs.iter().zip(levels).filter(|(_, l)| **l == level).map(|(j, _)| j);
            match (jobs.next(), jobs.next()) {
                (Some(only), None) => names[&only.key].clone(),
                _ => format!("stage {}", level + 1),
            }
        })
        .collect()
}

/// Does the variable only repeat a value that is in the environment under its name anyway?
pub(super) fn given(name: &str, text: &Text) -> bool {
    matches!(text.0.as_slice(), [Piece::Matrix(own) | Piece::Input(own)] if ident(own) == name)
}

/// A text in which GitLab replaces variables.
fn expand(w: &mut Writer<'_>, text: &Text, span: &Span) -> String {
    let mut out = String::new();
    for piece in &text.0 {
        let name = match piece {
            Piece::Lit(text) => {
                out.push_str(&text.replace('$', "$$"));
                continue;
            }
            Piece::Var(name) | Piece::Secret(name) => name.clone(),
            Piece::Matrix(name) | Piece::Input(name) => ident(name),
            Piece::Fact(fact) => match fact.variable(w.to) {
                Some(name) => name.to_owned(),
                None => {
                    w.lost(span, "no_such_value", format!("GitLab has nothing for `{}`", fact.expression()));
                    continue;
                }
            },
            Piece::Output(step, _) => {
                w.lost(span, "expression", format!("what the step `{step}` gives out is known in scripts only"));
                continue;
            }
            Piece::Hash(_) | Piece::Foreign(_) => {
                let what = if let Piece::Foreign(text) = piece { text.as_str() } else { "hashFiles(..)" };
                w.lost(span, "expression", format!("`{what}` cannot be said in GitLab CI: it is left out"));
                continue;
            }
        };
        out.push_str(&format!("${{{name}}}"));
    }
    out
}

fn one(w: &mut Writer<'_>, job: &Job, names: &HashMap<String, String>, stage: &str) -> Value {
    let mut o = Map::new();
    o.insert("stage".into(), stage.into());
    if let Some(title) = job.title.as_ref().and_then(Text::plain) {
        w.differs(&job.span, "name", format!("the job is called `{}`, not `{title}`", names[&job.key]));
    }
    if let Some((step, start)) = downstream::only(job).filter(|(_, s)| s.project.is_some()) {
        // it needs no runner
        rules(w, job, &mut o);
        needs(w, job, names, &mut o);
        let variables: Map<String, Value> =
            job.env.iter().chain(&start.given).map(|(name, text)| (name.clone(), expand(w, text, &step.span).into())).collect();
        if !variables.is_empty() {
            o.insert("variables".into(), variables.into());
        }
        o.insert("trigger".into(), downstream::trigger(start, |text| expand(w, text, &step.span)));
        return Value::Object(o);
    }
    let labels: Vec<String> = job.labels.iter().map(|l| expand(w, l, &job.span)).collect();
    if !labels.is_empty() {
        o.insert("tags".into(), json!(labels));
    }
    image(w, job, &mut o);
    rules(w, job, &mut o);
    needs(w, job, names, &mut o);
    if let Some(matrix) = &job.matrix {
        let renamed =
            |cell: &IndexMap<String, String>| -> IndexMap<String, String> { cell.iter().map(|(k, v)| (ident(k), v.clone())).collect() };
        let cells: Vec<_> = matrix.cells.iter().map(renamed).collect();
        if cells.iter().flatten().count() > 0 {
            let rows = axes(&cells).map_or_else(|| json!(cells), |axes| json!([axes]));
            o.insert("parallel".into(), json!({"matrix": rows}));
            w.differs(&job.span, "matrix_names", format!("the jobs of `{0}` are called `{0}: [a, b]` in GitLab", names[&job.key]));
        }
        if matrix.fail_fast && cells.len() > 1 {
            w.differs(&job.span, "fail_fast", "one job of a matrix that fails does not stop the others in GitLab");
        }
        if matrix.max_parallel.is_some() {
            w.lost(&job.span, "max_parallel", "GitLab does not limit how many jobs of a matrix run at once");
        }
    }
    let mut variables = Map::new();
    if !job.steps.iter().any(|s| matches!(s.does, Does::Checkout)) {
        variables.insert("GIT_STRATEGY".into(), "none".into());
    }
    for (name, text) in &job.env {
        if !given(name, text) && *text != Text(vec![Piece::Secret(name.clone())]) {
            let value = expand(w, text, &job.span);
            variables.insert(name.clone(), value.into());
        }
    }
    for name in secrets(job) {
        w.differs(&job.span, "secret", format!("`{name}` has to be set as a masked variable of the project"));
    }
    if !variables.is_empty() {
        o.insert("variables".into(), variables.into());
    }
    if let Some(minutes) = job.timeout {
        o.insert("timeout".into(), format!("{} seconds", (minutes * 60.0).ceil()).replace(".0 ", " ").into());
    }
    if job.retry > 0 {
        if job.retry > 2 {
            w.differs(&job.span, "retry", format!("GitLab tries a job again twice at most, not {} times", job.retry));
        }
        o.insert("retry".into(), job.retry.min(2).into());
    }
    if let Some(group) = &job.group {
        let group = expand(w, group, &job.span);
        o.insert("resource_group".into(), group.into());
    }
    if let Some((name, url)) = &job.environment {
        let mut e = Map::new();
        let name = expand(w, name, &job.span);
        e.insert("name".into(), name.into());
        if let Some(url) = url {
            let url = expand(w, url, &job.span);
            e.insert("url".into(), url.into());
        }
        o.insert("environment".into(), e.into());
    }
    steps(w, job, &mut o);
    Value::Object(o)
}

fn image(w: &mut Writer<'_>, job: &Job, o: &mut Map<String, Value>) {
    let container = |w: &mut Writer<'_>, image: &Image, alias: Option<&String>| {
        let name = expand(w, &image.name, &job.span);
        let mut c = Map::new();
        c.insert("name".into(), name.clone().into());
        if let Some(alias) = alias {
            c.insert("alias".into(), alias.as_str().into());
        }
        let mut vars = Map::new();
        for (name, text) in &image.env {
            let value = expand(w, text, &job.span);
            vars.insert(name.clone(), value.into());
        }
        if !vars.is_empty() {
            c.insert("variables".into(), vars.into());
        }
        if !image.command.is_empty() {
            c.insert("command".into(), json!(image.command));
        }
        if let Some(args) = &image.args {
            w.lost(&job.span, "container_options", format!("the options `{args}` of a container cannot be said in GitLab CI"));
        }
        if c.len() == 1 { Value::String(name) } else { Value::Object(c) }
    };
    if let Some(image) = &job.image {
        let env = Image { env: IndexMap::new(), ..image.clone() };
        if !image.env.is_empty() {
            w.differs(&job.span, "container_env", "the environment of a job's container is not kept: set it as variables of the job");
        }
        let value = container(w, &env, None);
        o.insert("image".into(), value);
    } else if !job.services.is_empty() {
        o.insert("image".into(), "ubuntu:24.04".into());
        let message = "services stand beside a container in GitLab: the job gets the image `ubuntu:24.04`, and reaches them by name, not at localhost";
        w.lost(&job.span, "services", message);
    }
    let services: Vec<Value> = job.services.iter().map(|(name, image)| container(w, image, Some(name))).collect();
    if !services.is_empty() {
        o.insert("services".into(), services.into());
    }
}

fn rules(w: &mut Writer<'_>, job: &Job, o: &mut Map<String, Value>) {
    let cond = w.order.condition(job);
    let when = match (&job.gate, job.when.base) {
        (Some(Gate::Manual { .. }), _) => Some("manual"),
        (Some(Gate::Question(question)), _) => {
            w.differs(&job.span, "approval", format!("the question `{question}` becomes a job that is started by hand"));
            Some("manual")
        }
        (Some(Gate::Delay(_)), _) => Some("delayed"),
        (None, Base::Failure) => Some("on_failure"),
        (None, Base::Always) => Some("always"),
        (None, Base::Success) => None,
    };
    let in_requests = w.draft.pull_request.is_some();
    let mut keys = Map::new();
    if let Some(when) = when {
        keys.insert("when".into(), when.into());
    }
    if let Some(Gate::Delay(seconds)) = job.gate {
        keys.insert("start_in".into(), format!("{seconds} seconds").into());
    }
    match &job.gate {
        Some(Gate::Manual { blocking }) => {
            keys.insert("allow_failure".into(), (!blocking).into());
        }
        Some(Gate::Question(_)) => {
            keys.insert("allow_failure".into(), false.into());
        }
        _ if job.may_fail => {
            keys.insert("allow_failure".into(), true.into());
        }
        _ => {}
    }
    if cond == Cond::True && !in_requests {
        o.extend(keys);
        return;
    }
    let alternatives = match &cond {
        Cond::Any(list) if list.iter().any(|c| to_gitlab(c, false).is_err()) => list.clone(),
        one => vec![one.clone()],
    };
    let mut rules = Vec::new();
    for one in &alternatives {
        match one_rule(one) {
            Ok(mut rule) => {
                rule.extend(keys.clone());
                if rule.is_empty() {
                    rule.insert("when".into(), "on_success".into());
                }
                rules.push(Value::Object(rule));
            }
            Err(why) => w.lost(&job.span, "condition", format!("{why}: `{}` is left out until its condition is written by hand", job.key)),
        }
    }
    if rules.is_empty() {
        rules.push(json!({"when": "never"}));
    }
    o.insert("rules".into(), rules.into());
}

fn needs(w: &mut Writer<'_>, job: &Job, names: &HashMap<String, String>, o: &mut Map<String, Value>) {
    let draft = w.draft;
    let mut from: Vec<&str> = Vec::new();
    for step in &job.steps {
        let Does::Download { name, path } = &step.does else { continue };
        let wanted = name.as_ref().map(|n| n.plain().unwrap_or_default());
        let makers = draft.makers(wanted.as_deref());
        if makers.is_empty() {
            w.lost(&step.span, "artifact", format!("no job leaves files as `{}`", wanted.clone().unwrap_or_default()));
        }
        from.extend(makers.iter().filter(|m| m.key != job.key).map(|m| m.key.as_str()));
        if let Some(path) = path.as_deref().filter(|p| *p != ".") {
            let kept: Vec<&String> = makers
                .iter()
                .flat_map(|m| &m.steps)
                .filter_map(|s| if let Does::Upload { paths, .. } = &s.does { Some(paths) } else { None })
                .flatten()
                .collect();
            let same = kept.iter().all(|p| p.trim_start_matches("./").starts_with(path.trim_end_matches('/')));
            if !same {
                w.lost(&step.span, "artifact_path", format!("files come back to where they were in GitLab, not to `{path}`"));
            }
        }
    }
    let mut all: Vec<&str> = job.needs.iter().map(String::as_str).collect();
    for key in &from {
        if !all.contains(key) {
            all.push(key);
        }
    }
    if all.is_empty() {
        return;
    }
    // a job that its conditions leave out would otherwise be missed
    let own = w.order.condition(job);
    let entries: Vec<Value> = all
        .iter()
        .filter_map(|key| {
            let needed = draft.job(key)?;
            let name = &names[*key];
            let optional =
                (job.when.base != Base::Success || job.when.through) && ![&Cond::True, &own].contains(&&w.order.condition(needed));
            let files = from.contains(key);
            Some(match (files, optional) {
                (true, false) => json!({"job": name, "artifacts": true}),
                (true, true) => json!({"job": name, "artifacts": true, "optional": true}),
                (false, false) => json!({"job": name, "artifacts": false}),
                (false, true) => json!({"job": name, "artifacts": false, "optional": true}),
            })
        })
        .collect();
    o.insert("needs".into(), entries.into());
}

fn when_word(base: Base) -> &'static str {
    match base {
        Base::Success => "on_success",
        Base::Failure => "on_failure",
        Base::Always => "always",
    }
}

impl Writer<'_> {
    /// An action of GitHub as a script, where one says the same.
    pub(super) fn action(&mut self, step: &Step, uses: &str, with: &IndexMap<String, Text>) -> String {
        let inputs: Vec<&str> = with.keys().map(String::as_str).collect();
        let message = format!(
            "`uses: {uses}` runs in GitHub Actions only (it was given {}): the step fails until it is written by hand",
            inputs.join(", ")
        );
        self.lost(&step.span, "action", message);
        format!("echo 'written for the action {}; this step has to be written by hand' >&2; exit 1", uses.replace('\'', ""))
    }
}
