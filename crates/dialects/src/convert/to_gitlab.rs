//! Writes a draft as a pipeline of GitLab.

use std::collections::HashMap;

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use crate::diagnostic::Span;
use crate::emit;
use crate::plan::RefFilter;

use super::Writer;
use super::conditions::to_gitlab;
use super::draft::{Base, Cond, Does, Draft, Fact, Gate, Image, Job, Piece, Side, Step, Text};
use super::shell::{PRELUDE, ident, secrets, speaks};

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

/// What a push or pull request must be to start the pipeline; none: all of them do.
pub(super) fn starts(push: &RefFilter) -> Option<Cond> {
    let pattern = |fact: Fact, p: &String| match p.strip_suffix("**").or_else(|| p.strip_suffix('*')) {
        Some(begin) if !begin.contains(['*', '?', '[', '+', '!']) => {
            if begin.is_empty() {
                Cond::Set(Side::Fact(fact))
            } else {
                Cond::Starts(Side::Fact(fact), begin.to_owned())
            }
        }
        _ if p.contains(['*', '?', '[', '+']) => Cond::Matches(Side::Fact(fact), regex(p)),
        _ => Cond::Same(Side::Fact(fact), Side::Text(p.clone())),
    };
    let several = |fact: Fact, list: &[String]| {
        // what is written later wins
        list.iter().fold(Cond::True.not(), |cond, p| match p.strip_prefix('!') {
            Some(p) => pattern(fact, &p.to_owned()).not().and(cond),
            None if cond == Cond::True.not() => pattern(fact, p),
            None => cond.or(pattern(fact, p)),
        })
    };
    let side = |yes: &Option<Vec<String>>, no: &Option<Vec<String>>, fact: Fact| match (yes, no) {
        (Some(list), _) => Some(several(fact, list)),
        (None, Some(list)) => Some(Cond::Set(Side::Fact(fact)).and(several(fact, list).not())),
        (None, None) => None,
    };
    let branches = side(&push.branches, &push.branches_ignore, Fact::Branch);
    let tags = side(&push.tags, &push.tags_ignore, Fact::Tag);
    let mut cond = match (branches, tags) {
        (None, None) => None,
        (Some(b), None) => Some(b),
        (None, Some(t)) => Some(t),
        (Some(b), Some(t)) => Some(b.or(t)),
    };
    if let Some(paths) = push.paths.as_ref().filter(|p| p.iter().all(|p| !p.starts_with('!'))) {
        cond = Some(cond.unwrap_or(Cond::True).and(Cond::Changed(paths.clone())));
    }
    cond
}

/// A pattern of refs as a regular expression.
fn regex(pattern: &str) -> String {
    let mut out = String::from("^");
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.peek() == Some(&'*') => {
                chars.next();
                out.push_str(".*");
            }
            '*' => out.push_str("[^/]*"),
            '?' | '+' | '[' | ']' => out.push(c),
            c if c.is_alphanumeric() || "-_/".contains(c) => out.push(c),
            c => {
                out.push('\\');
                out.push(c);
            }
        }
    }
    out.push('$');
    out
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

fn workflow(w: &mut Writer<'_>, root: &mut Map<String, Value>) {
    let draft = w.draft;
    let whole = Span::whole("");
    let mut flow = Map::new();
    if let Some(name) = draft.name.as_ref().filter(|n| !n.contains('$') && !n.contains('/')) {
        flow.insert("name".into(), name.as_str().into());
    }
    if let Some(cancel) = draft.alone {
        if cancel {
            flow.insert("auto_cancel".into(), json!({"on_new_commit": "interruptible"}));
            root.insert("default".into(), json!({"interruptible": true}));
            w.differs(
                &whole,
                "concurrency",
                "a newer pipeline stops the interruptible jobs of the older ones of its ref, if the project is set so",
            );
        } else {
            w.lost(&whole, "concurrency", "pipelines of GitLab do not wait for each other as a whole: give the jobs a `resource_group`");
        }
    }
    let is = |event: &str| Cond::Same(Side::Fact(Fact::Event), Side::Text(event.into()));
    let mut rules = Vec::new();
    let plain_push = draft.push.as_ref().is_some_and(|f| *f == RefFilter::default());
    if !plain_push || draft.pull_request.is_some() || !draft.by_hand && draft.push.is_some() {
        let mut rule = |w: &mut Writer<'_>, event: &str, filter: &RefFilter| {
            let filter = if event == "pull_request" {
                // the branches are those that it goes to
                let same = |b: &String| Cond::Same(Side::Fact(Fact::BaseRef), Side::Text(b.clone()));
                let cond = filter.branches.as_ref().and_then(|list| list.iter().map(same).reduce(Cond::or));
                match &filter.paths {
                    Some(paths) => Some(cond.unwrap_or(Cond::True).and(Cond::Changed(paths.clone()))),
                    None => cond,
                }
            } else {
                starts(filter)
            };
            let cond = is(event).and(filter.unwrap_or(Cond::True));
            match one_rule(&cond) {
                Ok(rule) => rules.push(Value::Object(rule)),
                Err(why) => w.lost(&whole, "event", format!("which `{event}` starts the pipeline has to be written by hand: {why}")),
            }
        };
        if let Some(filter) = &draft.push {
            rule(w, "push", filter);
            if filter.paths_ignore.is_some() || filter.paths.iter().flatten().any(|p| p.starts_with('!')) {
                w.lost(&whole, "paths_ignore", "GitLab has no list of files whose changes do not count: every change starts the pipeline");
            }
        }
        if let Some(filter) = &draft.pull_request {
            rule(w, "pull_request", filter);
        }
        if draft.by_hand {
            rules.push(json!({"if": "$CI_PIPELINE_SOURCE == \"web\" || $CI_PIPELINE_SOURCE == \"api\""}));
        }
        if !draft.schedules.is_empty() {
            rules.push(json!({"if": "$CI_PIPELINE_SOURCE == \"schedule\""}));
        }
        if rules.is_empty() {
            w.lost(&whole, "event", "nothing that GitLab knows starts the pipeline: it is started by hand");
            rules.push(json!({"if": "$CI_PIPELINE_SOURCE == \"web\""}));
        }
        flow.insert("rules".into(), rules.into());
    }
    if !flow.is_empty() {
        root.insert("workflow".into(), flow.into());
    }
}

/// A condition as one rule.
fn one_rule(cond: &Cond) -> Result<Map<String, Value>, String> {
    let parts = match cond {
        Cond::All(list) => list.clone(),
        one => vec![one.clone()],
    };
    let (mut rule, mut rest) = (Map::new(), Cond::True);
    for part in parts {
        match part {
            Cond::Changed(paths) if !rule.contains_key("changes") => {
                rule.insert("changes".into(), json!(paths));
            }
            Cond::Exists(paths) if !rule.contains_key("exists") => {
                rule.insert("exists".into(), json!(paths));
            }
            other => rest = rest.and(other),
        }
    }
    if rest != Cond::True {
        let mut whole = Map::new();
        whole.insert("if".into(), to_gitlab(&rest, false)?.into());
        whole.extend(rule);
        return Ok(whole);
    }
    Ok(rule)
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

fn steps(w: &mut Writer<'_>, job: &Job, o: &mut Map<String, Value>) {
    w.shells_differ(job);
    let (mut script, mut after): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    let mut caches = Vec::new();
    let mut artifacts = Map::new();
    let mut keeps: Vec<(Base, Vec<String>, Vec<String>)> = Vec::new();
    if speaks(job) {
        script.push(PRELUDE.to_owned());
    }
    let mut ran = false;
    for step in &job.steps {
        match &step.does {
            Does::Script { .. } if step.when.base == Base::Success => {
                script.extend(w.shell_step(job, step, false));
                ran = true;
            }
            Does::Script { .. } => {
                let Some(mut text) = w.shell_step(job, step, false) else { continue };
                if step.when.base == Base::Failure {
                    text = format!("if [ \"$CI_JOB_STATUS\" = failed ]; then\n{text}\nfi");
                }
                w.differs(
                    &step.span,
                    "after_script",
                    "`after_script` has five minutes and a shell of its own, and its failure does not fail the job",
                );
                after.push(text);
            }
            Does::Checkout => {
                if ran {
                    w.differs(&step.span, "checkout", "GitLab gets the sources before the script begins");
                }
            }
            Does::Setup { action, with } => {
                let which: Vec<String> = with.values().filter_map(Text::plain).collect();
                w.differs(
                    &step.span,
                    "setup",
                    format!("`{action}` ({}): the tool of the machine is used, or an `image` has to be named", which.join(", ")),
                );
            }
            Does::Cache { key, restore, paths, pull, push } => caches.extend(cache(w, step, key, restore, paths, (*pull, *push))),
            Does::Upload { paths, exclude, .. } => keeps.push((step.when.base, paths.clone(), exclude.clone())),
            Does::Download { .. } => {}
            Does::Report(kinds) => report(w, step, kinds, &mut artifacts),
            Does::Action { uses, with } => {
                script.push(w.action(step, uses, with));
                ran = true;
            }
            Does::Groovy(_) => script.push("echo 'this step has to be written by hand' >&2; exit 1".into()),
        }
    }
    if let Some((base, ..)) = keeps.first() {
        let base = if keeps.iter().all(|(b, ..)| b == base) {
            *base
        } else {
            w.differs(&job.span, "artifacts_when", "the files of a job are kept together: always, as one of the steps says");
            Base::Always
        };
        artifacts.insert("paths".into(), json!(keeps.iter().flat_map(|(_, p, _)| p).collect::<Vec<_>>()));
        let exclude: Vec<&String> = keeps.iter().flat_map(|(_, _, e)| e).collect();
        if !exclude.is_empty() {
            artifacts.insert("exclude".into(), json!(exclude));
        }
        if base != Base::Success {
            artifacts.insert("when".into(), when_word(base).into());
        }
        if job.key != "artifact" {
            w.differs(&job.span, "artifact_names", "a job of GitLab leaves one archive, which has the name of the job");
        }
    }
    if !caches.is_empty() {
        o.insert("cache".into(), if caches.len() == 1 { caches.remove(0) } else { caches.into() });
    }
    if script.is_empty() || !ran && script.len() == usize::from(speaks(job)) {
        script.push("true".into());
    }
    o.insert("script".into(), json!(script));
    if !after.is_empty() {
        o.insert("after_script".into(), json!(after));
    }
    if !artifacts.is_empty() {
        o.insert("artifacts".into(), artifacts.into());
    }
}

fn cache(w: &mut Writer<'_>, step: &Step, key: &Text, restore: &[Text], paths: &[String], flow: (bool, bool)) -> Option<Value> {
    let inside = |p: &&String| !p.starts_with('~') && !p.starts_with('/') && !p.starts_with("${{");
    let (inner, outer): (Vec<&String>, Vec<&String>) = paths.iter().partition(inside);
    if !outer.is_empty() {
        let list: Vec<&str> = outer.iter().map(|p| p.as_str()).collect();
        w.differs(&step.span, "cache_outside", format!("GitLab keeps files of the project only: {} is not cached", list.join(", ")));
    }
    if inner.is_empty() {
        return None;
    }
    let mut cache = Map::new();
    let files: Option<&Vec<String>> = key.0.iter().find_map(|p| if let Piece::Hash(files) = p { Some(files) } else { None });
    match files {
        Some(files) => {
            let named: Vec<&String> = files.iter().filter(|f| !f.contains(['*', '!'])).take(2).collect();
            if named.len() < files.len() {
                w.differs(&step.span, "cache_key", "the key of a cache is made of two named files at most in GitLab");
            }
            let prefix: Vec<Piece> = key.0.iter().filter(|p| !matches!(p, Piece::Hash(_))).cloned().collect();
            let prefix = expand(w, &Text(prefix), &step.span);
            let prefix = prefix.trim_matches('-').to_owned();
            if named.is_empty() {
                cache.insert("key".into(), if prefix.is_empty() { json!("default") } else { prefix.into() });
            } else if prefix.is_empty() {
                cache.insert("key".into(), json!({"files": named}));
            } else {
                cache.insert("key".into(), json!({"files": named, "prefix": prefix}));
            }
        }
        None => {
            let key = expand(w, key, &step.span);
            cache.insert("key".into(), if key.trim().is_empty() { json!("default") } else { key.into() });
        }
    }
    cache.insert("paths".into(), json!(inner));
    let keys: Vec<String> = restore.iter().map(|k| expand(w, k, &step.span)).filter(|k| !k.is_empty()).take(5).collect();
    if !keys.is_empty() {
        w.differs(&step.span, "cache_fallback", "`fallback_keys` of GitLab are whole keys, not their beginnings");
        cache.insert("fallback_keys".into(), json!(keys));
    }
    match flow {
        (true, false) => {
            cache.insert("policy".into(), "pull".into());
        }
        (false, true) => {
            cache.insert("policy".into(), "push".into());
        }
        _ => {}
    }
    Some(Value::Object(cache))
}

fn report(w: &mut Writer<'_>, step: &Step, kinds: &[(String, Vec<String>)], artifacts: &mut Map<String, Value>) {
    let mut reports = match artifacts.remove("reports") {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    };
    for (kind, files) in kinds {
        match (kind.as_str(), files.as_slice()) {
            ("junit", files) => {
                reports.insert("junit".into(), json!(files));
            }
            ("cobertura" | "jacoco", [one]) => {
                reports.insert("coverage_report".into(), json!({"coverage_format": kind, "path": one}));
            }
            (other, files) => {
                w.lost(
                    &step.span,
                    "report",
                    format!("GitLab reads no `{other}` report ({}): convert it to JUnit or Cobertura", files.join(", ")),
                );
            }
        }
    }
    if !reports.is_empty() {
        artifacts.insert("reports".into(), reports.into());
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
