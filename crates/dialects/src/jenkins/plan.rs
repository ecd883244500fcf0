//! From a Jenkinsfile to the Plan: one job that runs the pipeline on one runner.
//!
//! Stages share one machine, environment and result, as they share one build in Jenkins; an agent of a stage is a
//! workspace of its own there. What the runner does not carry out is told here, with its place.

use std::collections::HashSet;

use indexmap::IndexMap;

use super::ast::{Call, Entry, Expr, ExprKind, Part, Stmt, StmtKind};
use super::interp::{KNOWN, NOTIFIERS, UNSUPPORTED, parameter};
use super::library::{self, Libraries, Library};
use super::model::{Agent, Arg, Condition, MethodCall, Pipeline, PostCondition, Setting, Stage, StageBase};
use super::run::{MAX_CELLS, cells, choices, default_of};
use super::{Read, Source, read_with};
use crate::cron;
use crate::diagnostic::Diagnostics;
use crate::github::Compiled;
use crate::plan::{Concurrency, Container, Dialect, Input, InputType, Job, Late, Plan, RefFilter, Schedule, Step, StepKind, Trigger};

/// Label of the job when the pipeline asks for none.
const RUNS_ON: &str = "ubuntu-latest";

/// Minutes of a run that waits for people: they are given a week.
const ASKING_MINUTES: f64 = 7.0 * 24.0 * 60.0;

/// Compiles a Jenkinsfile where no shared library can be looked up.
pub fn compile(path: &str, bytes: &[u8]) -> Compiled {
    compile_with(path, bytes, &Libraries::default())
}

/// Compiles a Jenkinsfile with the shared libraries it names.
pub fn compile_with(path: &str, bytes: &[u8], libraries: &Libraries) -> Compiled {
    let loaded = libraries.loaded();
    let mut found = read_with(path, bytes, &loaded);
    let mut out = Diagnostics::default();
    let names = library::named(&found);
    let offline = libraries.found.is_none() && !names.is_empty();
    for named in &names {
        let span = found.source.span(named.at);
        let answer = libraries.found.as_ref().map(|f| f.iter().find(|(n, _)| n.name == named.name).map(|(_, f)| f));
        match answer {
            None => out.warning(
                &span,
                "library",
                format!("the shared library {} is looked up when a run is made: what it defines is not checked here", named.name),
            ),
            Some(Some(library::Found::Loaded(_))) => {}
            Some(Some(library::Found::Closed(why))) => out.error(&span, "library", format!("the shared library {}: {why}", named.name)),
            Some(None) => out.error(&span, "library", format!("the shared library {} was not looked up", named.name)),
        }
    }
    if offline && found.pipeline.is_none() {
        // the pipeline may well be in the library
        found.diagnostics.retain(|d| d.code != "scripted");
    }
    let plan = found.pipeline.as_ref().and_then(|pipeline| {
        let mut planner = Planner {
            source: &found.source,
            out: &mut out,
            images: Vec::new(),
            labels: Vec::new(),
            libraries: &loaded,
            methods: found
                .script
                .body
                .iter()
                .filter_map(|s| if let StmtKind::Method(m) = &s.kind { Some(m.name.clone()) } else { None })
                .collect(),
            locks: Vec::new(),
            offline,
            asks: false,
        };
        let plan = planner.plan(pipeline, &found);
        plan.filter(|_| !out.has_errors())
    });
    let mut diagnostics = found.diagnostics;
    diagnostics.extend(out.into_sorted());
    diagnostics.sort_by_key(|d| (d.span.line, d.span.column));
    Compiled { plan, name: path.to_owned(), diagnostics, wants: Vec::new() }
}

struct Planner<'p> {
    source: &'p Source,
    out: &'p mut Diagnostics,
    images: Vec<(String, Option<String>)>,
    labels: Vec<String>,
    libraries: &'p [Library],
    /// Names of the methods of the file.
    methods: HashSet<String>,
    /// Resources that are locked.
    locks: Vec<String>,
    /// Names may come from libraries that nobody has looked up.
    offline: bool,
    /// It waits for people.
    asks: bool,
}

impl Planner<'_> {
    fn error(&mut self, at: u32, message: impl Into<String>) {
        let span = self.source.span(at);
        self.out.error(&span, "unsupported", message);
    }

    fn warning(&mut self, at: u32, message: impl Into<String>) {
        let span = self.source.span(at);
        self.out.warning(&span, "different", message);
    }

    fn triggers(&mut self, pipeline: &Pipeline) -> Vec<Trigger> {
        let mut found = Vec::new();
        for trigger in pipeline.triggers.iter().flatten() {
            let at = trigger.at.start;
            let text = |name: &str| trigger.value(name).filter(|v| v.literal).and_then(|v| v.value.as_str());
            match trigger.name.as_str() {
                "cron" => match text("spec").map(cron::jenkins_lines) {
                    Some(Ok(lines)) => {
                        let span = self.source.span(at);
                        let schedule = |l: cron::Line| Schedule { cron: l.cron, timezone: l.timezone, span: span.clone() };
                        found.push(Trigger::Schedule { schedules: lines.into_iter().map(schedule).collect() });
                    }
                    Some(Err((line, why))) => self.error(at, format!("`cron`, line {}: {why}", line + 1)),
                    None => self.error(at, "`cron` needs a text that is known when the file is read"),
                },
                "upstream" => {
                    let Some(projects) = text("upstreamProjects") else {
                        self.error(at, "`upstream` needs `upstreamProjects`, a text that is known when the file is read");
                        continue;
                    };
                    let word = trigger.named("threshold").map(|a| match a {
                        Arg::Value(v) => {
                            v.value.as_str().unwrap_or_default().trim_end_matches('}').rsplit('.').next().unwrap_or_default().to_uppercase()
                        }
                        _ => String::new(),
                    });
                    let threshold = word.unwrap_or_else(|| "SUCCESS".into());
                    if !matches!(threshold.as_str(), "SUCCESS" | "UNSTABLE" | "FAILURE") {
                        self.error(at, "`threshold` is hudson.model.Result.SUCCESS, UNSTABLE or FAILURE");
                    }
                    let projects = projects.split(',').map(|p| p.trim().trim_start_matches('/').to_lowercase()).filter(|p| !p.is_empty());
                    found.push(Trigger::Upstream { projects: projects.collect(), threshold });
                }
                "pollSCM" | "githubPush" | "gitlab" | "bitbucketPush" => {
                    self.warning(at, format!("`{}` is not needed: every push starts a run", trigger.name));
                }
                other => self.warning(at, format!("the trigger `{other}` does not start runs here; pushes, people and the clock do")),
            }
        }
        found
    }

    fn plan(&mut self, pipeline: &Pipeline, found: &Read) -> Option<Plan> {
        for stmt in &found.script.body {
            match &stmt.kind {
                StmtKind::Library(_) => {}
                StmtKind::Import(path) => self.import(path, stmt.at.start),
                _ if stmt.call().is_some_and(|c| c.plain_name() == Some("pipeline")) => {}
                _ => self.statement(stmt),
            }
        }
        for library in pipeline.libraries.iter().flatten().filter(|l| l.text().is_none()) {
            self.error(library.expr.at.start, "the name of a library must be a constant text here");
        }
        self.library_files(found);
        self.base(&pipeline.base);
        for stage in pipeline.stages.iter().flatten() {
            self.stage(stage);
        }
        let mut plan = Plan::new(Dialect::Jenkinsfile, self.source.file(), self.source.file());
        plan.triggers = vec![Trigger::Push(RefFilter::default()), Trigger::WorkflowDispatch];
        plan.triggers.extend(self.triggers(pipeline));
        plan.inputs = self.inputs(pipeline);
        plan.stages = pipeline.stages.iter().flatten().map(|s| s.name.clone()).collect();
        let option = |name: &str| pipeline.base.options.iter().flatten().find(|o| o.name == name);
        if let Some(call) = option("disableConcurrentBuilds") {
            let abort = matches!(call.named("abortPrevious"), Some(Arg::Value(v)) if v.value == true);
            plan.concurrency = Some(Concurrency {
                group: format!("{}-${{{{ github.ref }}}}", self.source.file()),
                cancel_in_progress: Late::Known(abort),
                queue: !abort,
            });
        }
        let span = self.source.span(pipeline.at.start);
        let mut job = Job::new("pipeline", span.clone());
        job.name = Some("Pipeline".into());
        job.runs_on = if self.labels.is_empty() { vec![RUNS_ON.into()] } else { std::mem::take(&mut self.labels) };
        job.container = self.container();
        job.timeout_minutes = self.asks.then_some(Late::Known(ASKING_MINUTES));
        job.concurrency = self.locks.first().map(|name| Concurrency {
            group: format!("lock/{name}"),
            cancel_in_progress: Late::Known(false),
            queue: true,
        });
        job.steps.push(Step {
            id: None,
            name: Some("Pipeline".into()),
            condition: None,
            env: Default::default(),
            timeout_minutes: None,
            continue_on_error: Late::Known(false),
            span,
            kind: StepKind::Jenkins {
                file: self.source.file().to_owned(),
                text: self.source.text().to_owned(),
                libraries: self.libraries.to_vec(),
            },
        });
        plan.jobs.push(job);
        Some(plan)
    }

    /// Classes of libraries are read only where they are scripts.
    fn import(&mut self, path: &str, at: u32) {
        let file = format!("src/{}.groovy", path.replace('.', "/"));
        let Some((library, text)) = self.libraries.iter().find_map(|l| Some((l, l.files.get(&file)?))) else { return };
        if let Err(error) = super::parse(text) {
            let place = Source::new(&library.file(&file), text).span(error.at);
            self.error(at, format!("{path} of the shared library {} cannot be used: {place}: {}", library.name, error.message));
        }
    }

    /// Variables of libraries that the file names must be readable.
    fn library_files(&mut self, found: &Read) {
        let words: std::collections::HashSet<&str> = self.source.text().split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        for library in self.libraries {
            for name in library.vars().filter(|v| words.contains(v)) {
                let path = format!("vars/{name}.groovy");
                let Some(text) = library.files.get(&path) else { continue };
                if let Err(error) = super::parse(text) {
                    let span = Source::new(&library.file(&path), text).span(error.at);
                    self.out.error(&span, "syntax", error.message);
                }
            }
        }
        if let Some(entry) = &found.entry {
            self.body(&entry.method.body);
        }
    }

    /// A resource of the project is held by the whole run: no two runs are in their locked parts at once.
    fn lock(&mut self, resource: &Result<String, String>, at: u32) {
        match resource {
            Err(why) => self.error(at, format!("this `lock` is not supported here: {why}")),
            Ok(name) => {
                if let Some(other) = self.locks.iter().find(|l| *l != name) {
                    let message =
                        format!("a run holds one resource from its beginning to its end, `{other}`: `{name}` cannot be locked beside it");
                    self.error(at, message);
                } else {
                    self.warning(at, format!("the whole run, and not only this part of it, holds the resource `{name}`"));
                    self.locks = vec![name.clone()];
                }
            }
        }
    }

    fn container(&mut self) -> Option<Container> {
        let (image, args) = self.images.first()?.clone();
        Some(Container { image, options: args, ..Container::default() })
    }

    fn inputs(&mut self, pipeline: &Pipeline) -> IndexMap<String, Input> {
        let mut inputs = IndexMap::new();
        for parameter in pipeline.parameters.iter().flatten() {
            let kind = match parameter.name.as_str() {
                "string" | "text" | "password" | "nonStoredPassword" => InputType::String,
                "booleanParam" => InputType::Boolean,
                "choice" => InputType::Choice,
                other => {
                    self.error(parameter.at.start, format!("parameters of type `{other}` are not supported here"));
                    continue;
                }
            };
            let Some((name, default)) = default_of(parameter) else {
                self.error(parameter.at.start, "a parameter needs a constant name");
                continue;
            };
            let options = if kind == InputType::Choice { choices(parameter) } else { Vec::new() };
            if kind == InputType::Choice && options.is_empty() {
                self.error(parameter.at.start, "the choices must be constant texts");
            }
            let description = match parameter.named("description") {
                Some(Arg::Value(value)) => value.text().unwrap_or_default().to_owned(),
                _ => String::new(),
            };
            inputs.insert(name, Input { description, required: false, default: Some(default), r#type: kind, options });
        }
        inputs
    }

    fn base(&mut self, base: &StageBase) {
        if let Some(agent) = &base.agent {
            self.agent(agent);
        }
        for option in base.options.iter().flatten() {
            self.option(option);
        }
        for (name, value) in base.tools.iter().flatten() {
            self.warning(
                value.expr.at.start,
                format!("the tool `{name}` is not installed: the one of the machine or of the image is used, whatever its version"),
            );
        }
        for condition in base.when.iter().flat_map(|w| &w.conditions) {
            self.condition(condition);
        }
        if let Some(input) = &base.input {
            self.asks = true;
            for call in &input.parameters {
                if let Err(why) = parameter(call) {
                    self.error(call.at.start, why);
                }
            }
        }
        self.post(base.post.as_deref());
        for var in base.environment.iter().flatten() {
            self.expr(&var.expr);
        }
    }

    fn post(&mut self, post: Option<&[PostCondition]>) {
        for condition in post.unwrap_or_default() {
            self.body(&condition.branch.body);
        }
    }

    fn option(&mut self, option: &MethodCall) {
        let at = option.at.start;
        match option.name.as_str() {
            "timeout"
            | "retry"
            | "timestamps"
            | "ansiColor"
            | "skipDefaultCheckout"
            | "skipStagesAfterUnstable"
            | "parallelsAlwaysFailFast"
            | "disableConcurrentBuilds"
            | "checkoutToSubdirectory" => {}
            "lock" => {
                let mut named = Vec::new();
                let mut resource = Err("it needs the constant name of one resource".to_owned());
                for arg in &option.args {
                    match arg {
                        Arg::Value(value) => {
                            resource = value.text().map(str::to_owned).ok_or("its resource must be a constant text".into());
                        }
                        Arg::Pair(key, value) if key == "resource" => {
                            if let Arg::Value(value) = &**value {
                                resource = value.text().map(str::to_owned).ok_or("its resource must be a constant text".into());
                            }
                        }
                        Arg::Pair(key, _) => named.push(key.clone()),
                        Arg::Call(_) => {}
                    }
                }
                if let Some(key) = named.first() {
                    resource = Err(format!("`{key}` has no counterpart"));
                }
                self.lock(&resource, at);
            }
            "buildDiscarder" => self.warning(at, "`buildDiscarder` has no effect: runs and artifacts are kept as the service is set"),
            "quietPeriod"
            | "durabilityHint"
            | "disableResume"
            | "overrideIndexTriggers"
            | "preserveStashes"
            | "disableRestartFromStage"
            | "rateLimitBuilds"
            | "copyArtifactPermission"
            | "githubProjectProperty"
            | "gitLabConnection"
            | "newContainerPerStage" => {
                self.warning(at, format!("`{}` has no effect here", option.name));
            }
            other => self.error(at, format!("the option `{other}` is not supported here")),
        }
    }

    fn agent(&mut self, agent: &Agent) {
        let at = agent.at.start;
        if let Some(label) = agent.get("label").filter(|_| agent.kind != "any") {
            match label.text() {
                Some(text) if text.contains(['|', '!', '(']) => {
                    self.error(at, format!("the label expression `{text}` is not supported here: name labels, joined with &&"));
                }
                Some(text) => {
                    for one in text.split("&&").map(str::trim).filter(|l| !l.is_empty()) {
                        if !self.labels.iter().any(|l| l == one) {
                            self.labels.push(one.to_owned());
                        }
                    }
                }
                None => self.error(at, "a label must be a constant text here"),
            }
        }
        match agent.kind.as_str() {
            "any" | "none" | "label" | "node" => {}
            "docker" => {
                let Some(image) = agent.get("image").and_then(|v| v.text()) else {
                    self.error(at, "the image must be a constant text here");
                    return;
                };
                let args = agent.get("args").and_then(|v| v.text()).map(str::to_owned).filter(|a| !a.trim().is_empty());
                let wanted = (image.to_owned(), args);
                if self.images.is_empty() {
                    self.images.push(wanted);
                } else if self.images[0] != wanted {
                    let first = self.images[0].0.clone();
                    self.error(
                        at,
                        format!("a run has one container: the pipeline uses `{first}` already, `{image}` cannot be used beside it"),
                    );
                }
            }
            other => self.error(at, format!("agents of type `{other}` are not supported here: use any, label or docker")),
        }
        // a lone value answers to every name
        if matches!(agent.setting, Some(Setting::Map(_))) && agent.get("customWorkspace").is_some() {
            self.warning(at, "`customWorkspace` has no effect: the runner chooses the directory");
        }
    }

    fn condition(&mut self, condition: &Condition) {
        for child in &condition.children {
            self.condition(child);
        }
        self.body(&condition.code);
    }

    fn stage(&mut self, stage: &Stage) {
        self.base(&stage.base);
        if let Some(agent) = stage.base.agent.as_ref().filter(|a| a.kind == "docker" && self.images.len() == 1) {
            let image = agent.get("image").and_then(|v| v.text()).unwrap_or_default().to_owned();
            self.warning(agent.at.start, format!("the whole run, and not only this stage, is in the container `{image}`"));
        }
        for stage in stage.stages.iter().flatten().chain(stage.parallel.iter().flatten()) {
            self.stage(stage);
        }
        if let Some(matrix) = &stage.matrix {
            self.base(&matrix.base);
            if cells(matrix).len() > MAX_CELLS {
                self.error(stage.at.start, format!("the matrix has more than {MAX_CELLS} cells"));
            }
            for stage in matrix.stages.iter().flatten() {
                self.stage(stage);
            }
        }
        for branch in &stage.branches {
            for step in &branch.steps {
                let name = step.name.as_str();
                let library = self.offline || self.libraries.iter().any(|l| l.vars().any(|v| v == name));
                let known =
                    library || NOTIFIERS.contains(&name) || KNOWN.contains(&name) || matches!(name, "archive" | "script" | "parallel");
                if !known && !UNSUPPORTED.iter().any(|(n, _)| *n == name) {
                    self.error(step.at.start, format!("the step `{name}` is not known here, and a plugin for it cannot be installed"));
                }
            }
            self.body(&branch.body);
        }
    }

    /// Looks for steps that are known not to work.
    fn body(&mut self, body: &[Stmt]) {
        for stmt in body {
            self.statement(stmt);
        }
    }

    fn statement(&mut self, stmt: &Stmt) {
        match &stmt.kind {
            StmtKind::Expr(e) | StmtKind::Throw(e) | StmtKind::Return(Some(e)) | StmtKind::Declare { value: Some(e), .. } => self.expr(e),
            StmtKind::If(c, a, b) => {
                self.expr(c);
                self.body(a);
                self.body(b);
            }
            StmtKind::While(e, body) | StmtKind::ForIn(_, e, body) => {
                self.expr(e);
                self.body(body);
            }
            StmtKind::For(_, _, _, body) | StmtKind::Block(body) => self.body(body),
            StmtKind::Switch(e, cases) => {
                self.expr(e);
                cases.iter().for_each(|c| self.body(&c.body));
            }
            StmtKind::Try(body, catches, finally) => {
                self.body(body);
                catches.iter().for_each(|c| self.body(&c.body));
                self.body(finally.as_deref().unwrap_or_default());
            }
            StmtKind::Method(method) => self.body(&method.body),
            _ => {}
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Call(call) => self.call(call, expr.at.start),
            ExprKind::Closure(closure) => self.body(&closure.body),
            ExprKind::Assign(_, _, value) | ExprKind::Cast(_, value) | ExprKind::Unary(_, value) => self.expr(value),
            ExprKind::Property { target, .. } => self.expr(target),
            ExprKind::Binary(_, a, b) | ExprKind::Elvis(a, b) => {
                self.expr(a);
                self.expr(b);
            }
            ExprKind::Ternary(a, b, c) => [a, b, c].into_iter().for_each(|e| self.expr(e)),
            ExprKind::List(items) => items.iter().for_each(|e| self.expr(e)),
            ExprKind::Map(entries) => entries.iter().for_each(|Entry { value, .. }| self.expr(value)),
            ExprKind::GString(parts) => {
                for part in parts {
                    if let Part::Code(code) = part {
                        self.expr(code);
                    }
                }
            }
            _ => {}
        }
    }

    /// Is it a method of the file, or a variable of a library, and so no step?
    fn defines(&self, name: &str) -> bool {
        self.methods.contains(name) || self.libraries.iter().any(|l| l.vars().any(|v| v == name))
    }

    fn call(&mut self, call: &Call, at: u32) {
        if let Some(name) = call.plain_name()
            && !self.defines(name)
            && let Some((_, why)) = UNSUPPORTED.iter().find(|(known, _)| *known == name)
        {
            self.error(at, format!("the step `{name}` is not supported here: {why}"));
        }
        match call.plain_name() {
            Some(name) if NOTIFIERS.contains(&name) && !self.defines(name) => {
                self.warning(at, format!("`{name}` sends nothing here: what it would say is written into the log"));
            }
            Some("input") => self.asks = true,
            Some("publishHTML") => {
                self.warning(at, "the pages of `publishHTML` are kept as an artifact of the run, not shown as a report");
            }
            Some("lock") => {
                let args: Vec<&Expr> = call.args.iter().filter(|a| !matches!(a.kind, ExprKind::Closure(_))).collect();
                self.lock(&resources(&args), at);
            }
            _ => {}
        }
        if let Some(receiver) = &call.receiver {
            self.expr(receiver);
        }
        for arg in &call.args {
            self.expr(arg);
        }
    }
}

/// The resource that a `lock` names, or why it cannot be done.
fn resources(args: &[&Expr]) -> Result<String, String> {
    let constant = |e: &Expr| match &e.kind {
        ExprKind::Str(text) => Ok(text.clone()),
        _ => Err("its resource must be a constant text".to_owned()),
    };
    match args {
        [Expr { kind: ExprKind::Map(entries), .. }] => {
            let key = |e: &Entry| if let ExprKind::Str(key) = &e.key.kind { key.clone() } else { String::new() };
            if let Some(other) = entries.iter().map(key).find(|k| k != "resource") {
                return Err(format!("`{other}` has no counterpart"));
            }
            entries.first().map_or_else(|| Err("it names no resource".into()), |e| constant(&e.value))
        }
        [one] => constant(one),
        _ => Err("it needs the constant name of one resource".into()),
    }
}
