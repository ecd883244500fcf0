//! Reads a declarative Jenkinsfile into a draft: its leaf stages are the jobs.

mod steps;

use std::collections::HashSet;

use indexmap::IndexMap;

use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::jenkins::ast::{Call, Expr, ExprKind, Part, Stmt, StmtKind};
use crate::jenkins::model::{Agent, Arg, Condition, MethodCall, Pipeline, PostCondition, Stage, StageBase};
use crate::jenkins::{self, Source, run};
use crate::plan::{Input, InputType, RefFilter};

use super::conditions;
use super::draft::{Base, Cond, Does, Draft, Fact, Gate, Image, Job, Matrix, Piece, Side, Start, Step, Text, When};
use super::shell::ident;

use steps::constant;

/// As many jobs as a pipeline of GitLab may have.
const MAX_JOBS: usize = 500;

pub(super) fn read(path: &str, bytes: &[u8], out: &mut Diagnostics) -> Result<Draft, Vec<Diagnostic>> {
    let found = jenkins::read(path, bytes);
    let Some(pipeline) = &found.pipeline else { return Err(found.diagnostics) };
    for diagnostic in found.diagnostics.iter().filter(|d| d.severity == Severity::Warning) {
        out.warning(&diagnostic.span, &diagnostic.code, format!("already in the source: {}", diagnostic.message));
    }
    let mut reader = Reader { source: &found.source, out, draft: Draft::default(), checkout: true };
    for stmt in &found.script.body {
        let message = match &stmt.kind {
            StmtKind::Library(names) => format!("the shared library {} is known to Jenkins only", names.join(", ")),
            _ if stmt.call().is_some_and(|c| c.plain_name() == Some("pipeline")) => continue,
            _ => "code outside of `pipeline` is run by Jenkins only".to_owned(),
        };
        reader.lost(stmt.at.start, "groovy", message);
    }
    reader.pipeline(pipeline);
    reader.draft.jobs.iter_mut().for_each(|j| j.when.through = true);
    Ok(reader.draft)
}

struct Reader<'r> {
    source: &'r Source,
    out: &'r mut Diagnostics,
    draft: Draft,
    /// Agents begin with a checkout.
    checkout: bool,
}

/// What stages hand down to those inside them.
#[derive(Clone, Default)]
struct Around<'p> {
    agent: Option<&'p Agent>,
    when: Vec<Cond>,
    env: IndexMap<String, Text>,
    matrix: Option<Matrix>,
    prefix: String,
}

/// What surrounds steps.
#[derive(Clone, Default)]
struct Inside {
    env: IndexMap<String, Text>,
    dir: Option<Text>,
    timeout: Option<f64>,
    may_fail: bool,
    when: When,
}

impl Reader<'_> {
    fn lost(&mut self, at: u32, code: &str, message: impl Into<String>) {
        self.out.error(&self.source.span(at), code, message);
    }

    fn differs(&mut self, at: u32, code: &str, message: impl Into<String>) {
        self.out.warning(&self.source.span(at), code, message);
    }

    fn pipeline(&mut self, pipeline: &Pipeline) {
        self.draft.push = Some(RefFilter::default());
        self.draft.by_hand = true;
        self.draft.pull_request = None;
        for option in pipeline.base.options.iter().flatten() {
            self.option(option, None);
        }
        for parameter in pipeline.parameters.iter().flatten() {
            self.parameter(parameter);
        }
        for trigger in pipeline.triggers.iter().flatten() {
            let at = trigger.at.start;
            match (trigger.name.as_str(), trigger.value("spec").and_then(|v| v.text())) {
                ("cron", Some(spec)) => {
                    for line in spec.lines().map(str::trim).filter(|l| !l.is_empty()) {
                        if line.contains('H') || line.starts_with("TZ=") {
                            self.differs(
                                at,
                                "cron",
                                format!("`{line}`: `H` and time zones are Jenkins' own; `H` becomes 0, the zone is UTC"),
                            );
                        }
                        if !line.starts_with("TZ=") {
                            self.draft.schedules.push(line.replace('H', "0"));
                        }
                    }
                }
                (name, _) => self.differs(at, "trigger", format!("`{name}` is not needed or not known there: pushes start the pipeline")),
            }
        }
        if pipeline.libraries.is_some() {
            self.lost(pipeline.at.start, "groovy", "shared libraries are known to Jenkins only");
        }
        self.tools(&pipeline.base);
        let mut around = Around { agent: pipeline.base.agent.as_ref(), ..Around::default() };
        self.draft.env = self.environment(&pipeline.base);
        if around.agent.is_some_and(|a| a.kind == "none") {
            around.agent = None;
        }
        let stages: Vec<&Stage> = pipeline.stages.iter().flatten().collect();
        if let Some(agent) = around.agent.filter(|_| stages.len() > 1) {
            let message = "the stages share one directory in Jenkins; each job begins with the sources only: hand files on as artifacts";
            self.differs(agent.at.start, "shared_workspace", message);
        }
        self.sequence(&stages, &around, &[]);
        self.last_words(&pipeline.base, &around);
    }

    /// `post` of the pipeline: jobs behind all the others.
    fn last_words(&mut self, base: &StageBase, around: &Around<'_>) {
        let all: Vec<String> = self.draft.jobs.iter().map(|j| j.key.clone()).collect();
        for post in base.post.iter().flatten() {
            let Some(when) = self.post_base(post) else { continue };
            let key = self.unique(&format!("post {}", post.condition));
            let mut job = Job::new(key, &self.source.span(post.at.start));
            job.needs.clone_from(&all);
            job.when.base = when;
            self.place(around.agent, &mut job);
            self.body(&post.branch.body, &Inside::default(), &mut job.steps);
            self.differs(
                post.at.start,
                "post",
                "`post` of the pipeline becomes a job of its own, with a directory of its own, after all others",
            );
            if job.steps.iter().any(|s| !matches!(s.does, Does::Checkout)) {
                self.draft.jobs.push(job);
            }
        }
    }

    fn post_base(&mut self, post: &PostCondition) -> Option<Base> {
        match post.condition.as_str() {
            "always" | "cleanup" => Some(Base::Always),
            "success" => Some(Base::Success),
            "failure" | "unsuccessful" => Some(Base::Failure),
            other => {
                self.lost(post.at.start, "post", format!("`{other}` depends on results that are not known there"));
                None
            }
        }
    }

    /// Stages one after the other; gives what is waited for behind them.
    fn sequence(&mut self, stages: &[&Stage], around: &Around<'_>, before: &[String]) -> Vec<String> {
        let mut before = before.to_vec();
        for stage in stages {
            before = self.stage(stage, around, &before);
        }
        before
    }

    fn stage(&mut self, stage: &Stage, outer: &Around<'_>, before: &[String]) -> Vec<String> {
        let base = &stage.base;
        let mut around = self.within(base, outer);
        if !outer.prefix.is_empty() {
            around.prefix.clone_from(&outer.prefix);
        }
        self.tools(base);
        if let Some(inner) = &stage.stages {
            around.prefix = format!("{}{} / ", outer.prefix, stage.name);
            self.group_post(base);
            return self.sequence(&inner.iter().collect::<Vec<_>>(), &around, before);
        }
        if let Some(branches) = &stage.parallel {
            self.group_post(base);
            if stage.fail_fast == Some(true) {
                self.differs(stage.at.start, "fail_fast", "jobs side by side do not stop each other there");
            }
            let mut after = Vec::new();
            for branch in branches {
                after.extend(self.stage(branch, &around, before));
            }
            return after;
        }
        if let Some(matrix) = &stage.matrix {
            let mut inner = self.within(&matrix.base, &around);
            self.tools(&matrix.base);
            self.group_post(&matrix.base);
            let cells = run::cells(matrix).into_iter().map(|cell| cell.into_iter().collect()).collect();
            inner.matrix = Some(Matrix { cells, fail_fast: stage.fail_fast == Some(true), max_parallel: None });
            let stages: Vec<&Stage> = matrix.stages.iter().flatten().collect();
            if let Some(agent) = inner.agent.filter(|_| stages.len() > 1) {
                self.differs(
                    agent.at.start,
                    "shared_workspace",
                    "the stages of a cell share one directory in Jenkins; each job begins with the sources only",
                );
            }
            return self.sequence(&stages, &inner, before);
        }
        if self.draft.jobs.len() >= MAX_JOBS {
            self.lost(stage.at.start, "too_many_jobs", format!("the stages behind the first {MAX_JOBS} are not written"));
            return before.to_vec();
        }
        let key = self.unique(&format!("{}{}", outer.prefix, stage.name));
        let mut job = Job::new(&key, &self.source.span(stage.at.start));
        job.needs = before.to_vec();
        job.when.cond = around.when.iter().cloned().fold(Cond::True, Cond::and);
        job.env.clone_from(&around.env);
        job.matrix.clone_from(&around.matrix);
        for option in base.options.iter().flatten() {
            self.option(option, Some(&mut job));
        }
        if let Some(input) = &base.input {
            let question = input.get("message").and_then(|v| v.text()).unwrap_or_default().to_owned();
            job.gate = Some(Gate::Question(question));
        }
        self.place(around.agent, &mut job);
        for branch in &stage.branches {
            self.body(&branch.body, &Inside::default(), &mut job.steps);
        }
        for name in jenkins::POST_CONDITIONS {
            for post in base.post.iter().flatten().filter(|p| p.condition == *name) {
                if let Some(when) = self.post_base(post) {
                    let inside = Inside { when: When { base: when, ..When::default() }, ..Inside::default() };
                    self.body(&post.branch.body, &inside, &mut job.steps);
                }
            }
        }
        self.draft.jobs.push(job);
        vec![key]
    }

    fn group_post(&mut self, base: &StageBase) {
        for post in base.post.iter().flatten() {
            self.lost(post.at.start, "post", "`post` of stages that hold others has no counterpart: it has to be written as a job");
        }
    }

    fn within<'p>(&mut self, base: &'p StageBase, outer: &Around<'p>) -> Around<'p> {
        let mut around = outer.clone();
        if let Some(agent) = &base.agent {
            around.agent = (agent.kind != "none").then_some(agent);
        }
        around.env.extend(self.environment(base));
        for condition in base.when.iter().flat_map(|w| &w.conditions) {
            let cond = self.condition(condition);
            around.when.push(cond);
        }
        around
    }

    fn unique(&self, name: &str) -> String {
        let all: HashSet<String> = self.draft.jobs.iter().map(|j| ident(&j.key)).collect();
        let taken = |key: &str| all.contains(&ident(key));
        let name = if name.trim().is_empty() { "stage" } else { name };
        if !taken(name) {
            return name.to_owned();
        }
        (2..).map(|n| format!("{name} {n}")).find(|key| !taken(key)).unwrap_or_else(|| name.to_owned())
    }

    fn place(&mut self, agent: Option<&Agent>, job: &mut Job) {
        let Some(agent) = agent else { return };
        let at = agent.at.start;
        if let Some(label) = agent.get("label").and_then(|v| v.text()).filter(|_| agent.kind != "any") {
            if label.contains(['|', '!', '(']) {
                self.lost(at, "label", format!("the label expression `{label}` cannot be said there"));
            } else {
                job.labels = label.split("&&").map(str::trim).filter(|l| !l.is_empty()).map(Text::lit).collect();
            }
        }
        match agent.kind.as_str() {
            "any" | "label" | "node" => {}
            "docker" => {
                if let Some(image) = agent.get("image") {
                    let args = agent.get("args").and_then(|v| v.text()).map(str::to_owned);
                    job.image = Some(Image { name: self.text(&image.expr), args, ..Image::default() });
                }
            }
            other => self.lost(at, "agent", format!("an agent of type `{other}` cannot be said there")),
        }
        if self.checkout {
            let step = Step::new(&job.span, Does::Checkout);
            job.steps.push(step);
        }
    }

    fn tools(&mut self, base: &StageBase) {
        for (name, value) in base.tools.iter().flatten() {
            let which = value.text().unwrap_or_default();
            self.lost(value.expr.at.start, "tools", format!("`{name} '{which}'` is a tool of the Jenkins: use an image or a set-up step"));
        }
    }

    fn option(&mut self, option: &MethodCall, job: Option<&mut Job>) {
        let at = option.at.start;
        match (option.name.as_str(), job) {
            ("timeout", job) => {
                let time = option.value("time").and_then(|v| v.value.as_f64()).unwrap_or(0.0);
                let unit = match option.named("unit") {
                    Some(Arg::Value(v)) => v.value.as_str().unwrap_or("MINUTES").to_owned(),
                    _ => "MINUTES".into(),
                };
                match job {
                    Some(job) => job.timeout = Some(minutes(time, &unit)),
                    None => self.differs(
                        at,
                        "timeout",
                        "a time limit for the whole pipeline cannot be said there; jobs have limits of their own",
                    ),
                }
            }
            ("retry", Some(job)) => {
                job.retry =
                    option.value("count").and_then(|v| v.value.as_u64()).and_then(|n| u8::try_from(n).ok()).unwrap_or(1).saturating_sub(1);
            }
            ("disableConcurrentBuilds", _) => {
                self.draft.alone = Some(matches!(option.named("abortPrevious"), Some(Arg::Value(v)) if v.value == true));
            }
            ("skipDefaultCheckout", None) => self.checkout = false,
            ("timestamps" | "ansiColor", _) => self.differs(at, "option", format!("`{}` is how logs are shown there anyway", option.name)),
            (other, _) => self.lost(at, "option", format!("the option `{other}` cannot be said there")),
        }
    }

    fn parameter(&mut self, parameter: &MethodCall) {
        let at = parameter.at.start;
        let kind = match parameter.name.as_str() {
            "string" | "text" => InputType::String,
            "booleanParam" => InputType::Boolean,
            "choice" => InputType::Choice,
            other => {
                self.lost(at, "parameter", format!("a parameter of type `{other}` cannot be said there"));
                return;
            }
        };
        let Some((name, default)) = run::default_of(parameter) else {
            self.lost(at, "parameter", "a parameter without a constant name cannot be said there");
            return;
        };
        let description = match parameter.named("description") {
            Some(Arg::Value(value)) => value.text().unwrap_or_default().to_owned(),
            _ => String::new(),
        };
        let options = if kind == InputType::Choice { run::choices(parameter) } else { Vec::new() };
        self.draft.inputs.insert(name, Input { description, required: false, default: Some(default), r#type: kind, options });
    }

    fn environment(&mut self, base: &StageBase) -> IndexMap<String, Text> {
        base.environment.iter().flatten().map(|var| (var.name.clone(), self.text(&var.expr))).collect()
    }

    fn credential(&mut self, id: &str, at: u32) -> Piece {
        let name = ident(id).to_ascii_uppercase();
        self.differs(at, "credentials", format!("the credential `{id}` is read from the secret `{name}`, which has to be set there"));
        Piece::Secret(name)
    }

    /// A text of Groovy.
    fn text(&mut self, expr: &Expr) -> Text {
        let mut pieces = Vec::new();
        self.pieces(expr, &mut pieces);
        Text(pieces)
    }

    fn pieces(&mut self, expr: &Expr, out: &mut Vec<Piece>) {
        match &expr.kind {
            ExprKind::Str(text) => out.push(Piece::Lit(text.clone())),
            ExprKind::Int(n) => out.push(Piece::Lit(n.to_string())),
            ExprKind::Bool(b) => out.push(Piece::Lit(b.to_string())),
            ExprKind::GString(parts) => {
                for part in parts {
                    match part {
                        Part::Text(text) => out.push(Piece::Lit(text.clone())),
                        Part::Code(code) => self.pieces(code, out),
                    }
                }
            }
            ExprKind::Binary("+", a, b) => {
                self.pieces(a, out);
                self.pieces(b, out);
            }
            ExprKind::Name(name) => out.push(named(name)),
            ExprKind::Property { target, name, .. } => match (&target.kind, &name.kind) {
                (ExprKind::Name(of), ExprKind::Str(name)) if of == "env" => out.push(named(name)),
                (ExprKind::Name(of), ExprKind::Str(name)) if of == "params" => out.push(Piece::Input(name.clone())),
                _ => out.push(Piece::Foreign(self.source.of(expr.at))),
            },
            ExprKind::Call(call) if call.plain_name() == Some("credentials") => {
                let id = call.args.first().and_then(constant).unwrap_or_default();
                let piece = self.credential(&id, expr.at.start);
                out.push(piece);
            }
            // `'''..'''.stripIndent()` and the like leave a script what it is
            ExprKind::Call(call)
                if call.args.is_empty() && matches!(&call.name.kind, ExprKind::Str(n) if n == "stripIndent" || n == "trim") =>
            {
                match &call.receiver {
                    Some(receiver) => self.pieces(receiver, out),
                    None => out.push(Piece::Foreign(self.source.of(expr.at))),
                }
            }
            _ => out.push(Piece::Foreign(self.source.of(expr.at))),
        }
    }

    fn condition(&mut self, condition: &Condition) -> Cond {
        let span_text = |args: &Option<jenkins::model::Args>, name: &str| {
            use jenkins::model::Args;
            match args {
                Some(Args::Single(value)) => value.text().map(str::to_owned),
                Some(Args::Named(list)) => list.iter().find(|(k, _)| k == name).and_then(|(_, v)| v.text().map(str::to_owned)),
                _ => None,
            }
        };
        let foreign = || Cond::Foreign(condition.name.clone());
        match condition.name.as_str() {
            "not" => condition.children.first().map_or_else(foreign, |c| self.condition(c).not()),
            "allOf" => condition.children.iter().map(|c| self.condition(c)).reduce(Cond::and).unwrap_or(Cond::True),
            "anyOf" => condition.children.iter().map(|c| self.condition(c)).reduce(Cond::or).unwrap_or(Cond::True),
            "branch" => span_text(&condition.args, "pattern").map_or_else(foreign, |p| glob(Fact::Branch, &p)),
            "tag" => span_text(&condition.args, "pattern").map_or(Cond::Set(Side::Fact(Fact::Tag)), |p| glob(Fact::Tag, &p)),
            "buildingTag" => Cond::Set(Side::Fact(Fact::Tag)),
            "changeRequest" => match span_text(&condition.args, "target") {
                Some(target) => Cond::Same(Side::Fact(Fact::BaseRef), Side::Text(target)),
                None => Cond::Same(Side::Fact(Fact::Event), Side::Text("pull_request".into())),
            },
            "changeset" => span_text(&condition.args, "pattern").map_or_else(foreign, |p| Cond::Changed(vec![p])),
            "environment" => match (span_text(&condition.args, "name"), span_text(&condition.args, "value")) {
                (Some(name), Some(value)) => Cond::Same(conditions::groovy_name(&name), Side::Text(value)),
                _ => foreign(),
            },
            "expression" => match condition.code.as_slice() {
                [Stmt { kind: StmtKind::Expr(expr) | StmtKind::Return(Some(expr)), .. }] => {
                    conditions::groovy(expr).unwrap_or_else(|| Cond::Foreign(self.source.of(expr.at)))
                }
                _ => foreign(),
            },
            _ => foreign(),
        }
    }
}

fn named(name: &str) -> Piece {
    match conditions::groovy_name(name) {
        Side::Fact(fact) => Piece::Fact(fact),
        _ => Piece::Var(name.to_owned()),
    }
}

fn minutes(time: f64, unit: &str) -> f64 {
    let factor = match unit {
        "NANOSECONDS" | "MICROSECONDS" | "MILLISECONDS" => 1.0 / 60_000.0,
        "SECONDS" => 1.0 / 60.0,
        "HOURS" => 60.0,
        "DAYS" => 1440.0,
        _ => 1.0,
    };
    ((time * factor) * 100.0).ceil() / 100.0
}

/// A pattern of Jenkins: `*` within a part of the name, `**` over several.
fn glob(fact: Fact, pattern: &str) -> Cond {
    let side = Side::Fact(fact);
    if !pattern.contains(['*', '?']) {
        return Cond::Same(side, Side::Text(pattern.to_owned()));
    }
    if let Some(begin) = pattern.strip_suffix("**").or_else(|| pattern.strip_suffix('*')).filter(|b| !b.contains(['*', '?'])) {
        return if begin.is_empty() { Cond::Set(side) } else { Cond::Starts(side, begin.to_owned()) };
    }
    let mut regex = String::from("^");
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.peek() == Some(&'*') => {
                chars.next();
                regex.push_str(".*");
            }
            '*' => regex.push_str("[^/]*"),
            '?' => regex.push('.'),
            c if c.is_alphanumeric() || "-_/".contains(c) => regex.push(c),
            c => {
                regex.push('\\');
                regex.push(c);
            }
        }
    }
    regex.push('$');
    Cond::Matches(side, regex)
}
