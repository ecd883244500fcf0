//! Runs a declarative pipeline: agents, stages, conditions, environment and what comes after, as Jenkins orders them.

mod facts;
mod when;

pub use facts::{Change, History, Past, build_fields, environment};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::ast::{Call, Expr};
use super::interp::{
    BuildResult, Context, Credential, Eval, Exception, Frame, Host, Interp, Reply, Request, Scope, Start, Value, exception, mark,
    unsupported,
};
use super::model::{
    Agent, Arg, Axis, Branch, EnvValue, EnvVar, Matrix, MethodCall, Pipeline, PostCondition, Stage, StageBase, Value as Written,
};
use super::tables::POST_CONDITIONS;
use super::{Entry, Read};

/// How a pipeline ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The result of the build.
    pub result: BuildResult,
    /// What made it fail, with its place in the file.
    pub failure: Option<Exception>,
}

/// Runs the pipeline of a file. Needs a thread with [`super::interp::STACK_BYTES`].
pub fn run(read: &Read, host: &dyn Host, start: &Start) -> Ended {
    let Some(pipeline) = &read.pipeline else { return Ended { result: BuildResult::NotBuilt, failure: None } };
    let mut start = start.clone();
    for parameter in pipeline.parameters.iter().flatten() {
        if let Some((name, value)) = default_of(parameter) {
            start.params.entry(name).or_insert(value);
        }
    }
    let interp = Interp::new(host, &read.source, &read.script, &start);
    let top = interp.top();
    let runner = Runner { interp, pipeline, top, failed: AtomicBool::new(false) };
    let done = runner.file(read);
    if let Err(thrown) = &done {
        runner.interp.worsen(&Context::default(), thrown.result);
    }
    Ended { result: runner.interp.result(), failure: done.err().map(|e| *e) }
}

/// Name and default of a parameter.
pub(crate) fn default_of(parameter: &MethodCall) -> Option<(String, serde_json::Value)> {
    let constant = |name: &str| match parameter.named(name) {
        Some(Arg::Value(value)) if value.literal => Some(value.value.clone()),
        _ => None,
    };
    let name = constant("name")?.as_str()?.to_owned();
    let value = match parameter.name.as_str() {
        "booleanParam" => constant("defaultValue").unwrap_or_else(|| false.into()),
        "choice" => choices(parameter).into_iter().next().unwrap_or_default().into(),
        _ => constant("defaultValue").unwrap_or_else(|| "".into()),
    };
    Some((name, value))
}

/// The values of a choice.
pub(crate) fn choices(parameter: &MethodCall) -> Vec<String> {
    use super::ast::ExprKind;
    match parameter.named("choices") {
        Some(Arg::Value(Written { expr: Expr { kind: ExprKind::List(items), .. }, .. })) => items
            .iter()
            .filter_map(|i| match &i.kind {
                ExprKind::Str(text) => Some(text.clone()),
                _ => None,
            })
            .collect(),
        Some(Arg::Value(value)) => value.text().unwrap_or_default().lines().map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

struct Runner<'r> {
    interp: Interp<'r>,
    pipeline: &'r Pipeline,
    top: Arc<Scope>,
    /// A stage failed: those after it are left out.
    failed: AtomicBool,
}

impl Runner<'_> {
    fn file(&self, read: &Read) -> Eval<()> {
        let ctx = Context::default();
        for stmt in &read.script.body {
            if stmt.call().is_some_and(|c| c.plain_name() == Some("pipeline")) {
                self.pipeline(&ctx)?;
            } else if let Some(entry) = &read.entry
                && let Some(call) = stmt.call().filter(|c| c.plain_name() == Some(&entry.name))
            {
                self.entry(entry, call, &ctx)?;
            } else {
                self.interp.statements(std::slice::from_ref(stmt), &Frame { scope: &self.top, ctx: &ctx })?;
            }
        }
        Ok(())
    }

    /// The pipeline in a shared library: it sees the arguments and variables of the method it is in.
    fn entry(&self, entry: &Entry, call: &Call, ctx: &Context) -> Eval<()> {
        let at = call.name.at.start;
        let args = self.interp.values(&call.args, &Frame { scope: &self.top, ctx })?;
        let Some(module) = self.interp.global(&entry.name, ctx, at)? else { return Ok(()) };
        let top = self.interp.inside(&module);
        self.interp.bind(&entry.method.params, args, &top, ctx, at)?;
        let inner = Runner { interp: self.interp.again(), pipeline: self.pipeline, top, failed: AtomicBool::new(false) };
        for stmt in &entry.method.body {
            if stmt.call().is_some_and(|c| c.plain_name() == Some("pipeline")) {
                inner.pipeline(ctx)?;
            } else {
                inner.interp.statements(std::slice::from_ref(stmt), &Frame { scope: &inner.top, ctx })?;
            }
        }
        Ok(())
    }

    fn option(&self, name: &str) -> Option<&MethodCall> {
        self.pipeline.base.options.iter().flatten().find(|o| o.name == name)
    }

    fn pipeline(&self, ctx: &Context) -> Eval<()> {
        let base = &self.pipeline.base;
        let agent = base.agent.as_ref();
        let ctx = self.agent(agent, "", ctx)?;
        self.within(base.options.as_deref(), &ctx, &mut |ctx| {
            let ctx = self.environment(base.environment.as_deref(), ctx)?;
            let body = self.stages(self.pipeline.stages.as_deref().unwrap_or_default(), &ctx);
            if let Err(thrown) = &body {
                self.interp.worsen(&ctx, thrown.result);
            }
            let result = body.as_ref().err().map_or(BuildResult::Success, |e| e.result).max(self.interp.result());
            let after = self.post(base.post.as_deref(), result, "Declarative: Post Actions", &ctx);
            body.and(after).map(|()| Value::Null)
        })?;
        Ok(())
    }

    /// `timeout`, `retry` and the other blocks that options put around.
    fn within(&self, options: Option<&[MethodCall]>, ctx: &Context, work: &mut dyn FnMut(&Context) -> Eval<Value>) -> Eval<Value> {
        let Some((option, rest)) = options.and_then(<[_]>::split_first) else { return work(ctx) };
        let mut next = |ctx: &Context| self.within(Some(rest), ctx, work);
        let value = |name: &str| option.value(name).map(|v| self.written(v, ctx)).transpose();
        let at = option.at.start;
        match option.name.as_str() {
            "timeout" => {
                let unit = value_named(option, "unit");
                let time = super::interp::millis(value("time")?, unit, 60_000, at)?;
                self.interp.timeout(time, ctx, at, &mut next)
            }
            "retry" => {
                let count = match value("count")? {
                    Some(Value::Int(n)) => n,
                    _ => 1,
                };
                self.interp.retry(count, ctx, at, &mut || {
                    self.failed.store(false, Ordering::Relaxed);
                    next(ctx)
                })
            }
            "withEnv" | "withCredentials" | "catchError" | "warnError" | "ws" | "waitUntil" | "withContext" | "throttle" => {
                Err(unsupported(&format!("the option `{}`", option.name), at))
            }
            _ => next(ctx),
        }
    }

    fn written(&self, value: &Written, ctx: &Context) -> Eval<Value> {
        self.interp.eval(&value.expr, &Frame { scope: &self.top, ctx })
    }

    /// A workspace: the job's own for the pipeline's agent, one of its own for a stage's.
    fn agent(&self, agent: Option<&Agent>, stage: &str, ctx: &Context) -> Eval<Context> {
        let Some(agent) = agent.filter(|a| a.kind != "none") else { return Ok(ctx.clone()) };
        let reuse = agent.get("reuseNode").is_some_and(|v| v.value == true);
        let mut inner = Context { agent: true, ..ctx.clone() };
        if !stage.is_empty() && !reuse {
            let slug: String = stage.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
            inner.dir = format!("@agents/{}", slug.to_ascii_lowercase());
        }
        let skip = |options: Option<&[MethodCall]>| {
            options.into_iter().flatten().any(|o| o.name == "skipDefaultCheckout" && o.value("").is_none_or(|v| v.value != false))
        };
        if reuse || skip(self.pipeline.base.options.as_deref()) {
            return Ok(inner);
        }
        let mut checkout = inner.clone();
        if let Some(directory) = self.option("checkoutToSubdirectory").and_then(|o| o.value("")).and_then(Written::text) {
            checkout.dir = super::interp::join(&checkout.dir, directory, agent.at.start)?;
        }
        let title = if stage.is_empty() { "Declarative: Checkout SCM".to_owned() } else { format!("{stage}: Checkout SCM") };
        self.interp.row(&title, &checkout, agent.at.start, &mut |ctx| {
            self.interp.ask(ctx, agent.at.start, Request::Checkout).map(|_| Value::Null)
        })?;
        Ok(inner)
    }

    /// Values of `environment`: each may use the others, in any order.
    fn environment(&self, vars: Option<&[EnvVar]>, ctx: &Context) -> Eval<Context> {
        let mut ctx = ctx.clone();
        let mut open: Vec<&EnvVar> = vars.unwrap_or_default().iter().collect();
        let names: Vec<&str> = open.iter().map(|v| v.name.as_str()).collect();
        while !open.is_empty() {
            let before = open.len();
            let mut later = Vec::new();
            let mut missing = None;
            for var in std::mem::take(&mut open) {
                match self.variable(var, &ctx) {
                    Ok(pairs) => ctx = ctx.with_env(pairs),
                    Err(thrown)
                        if thrown.class == "groovy.lang.MissingPropertyException"
                            && names.iter().any(|n| thrown.message.starts_with(&format!("No such property: {n} "))) =>
                    {
                        missing.get_or_insert(thrown);
                        later.push(var);
                    }
                    Err(thrown) => return Err(thrown),
                }
            }
            if later.len() == before
                && let Some(thrown) = missing
            {
                return Err(thrown);
            }
            open = later;
        }
        Ok(ctx)
    }

    fn variable(&self, var: &EnvVar, ctx: &Context) -> Eval<Vec<(String, String)>> {
        let name = &var.name;
        let EnvValue::Credentials(args) = &var.value else {
            let value = self.interp.eval(&var.expr, &Frame { scope: &self.top, ctx })?;
            return Ok(vec![(name.clone(), value.to_string())]);
        };
        let id = args.first().map(|a| self.written(a, ctx)).transpose()?.map(|v| v.to_string()).unwrap_or_default();
        match self.interp.host.credential(&id) {
            None => {
                let message = format!("Could not find credentials entry with ID '{id}'");
                Err(exception("org.jenkinsci.plugins.credentialsbinding.impl.CredentialNotFoundException", message, var.at.start))
            }
            Some(Credential::Text(text)) => Ok(vec![(name.clone(), text)]),
            Some(Credential::Pair(user, password)) => {
                Ok(vec![(name.clone(), format!("{user}:{password}")), (format!("{name}_USR"), user), (format!("{name}_PSW"), password)])
            }
        }
    }

    fn stages(&self, stages: &[Stage], ctx: &Context) -> Eval<()> {
        let mut first = Ok(());
        for stage in stages {
            let unstable = self.option("skipStagesAfterUnstable").is_some() && self.interp.result() >= BuildResult::Unstable;
            if first.is_err() || self.failed.load(Ordering::Relaxed) || unstable {
                let why = if unstable && first.is_ok() { "unstable stage(s)" } else { "failure(s)" };
                self.skip(stage, &format!("Stage \"{}\" skipped due to earlier {why}", stage.name), ctx)?;
                continue;
            }
            first = self.stage(stage, ctx);
        }
        first
    }

    fn skip(&self, stage: &Stage, message: &str, ctx: &Context) -> Eval<()> {
        let ctx = Context { deadline: None, stops: Vec::new(), ..ctx.clone() };
        let at = stage.at.start;
        if let Reply::Count(row) = self.interp.ask(&ctx, at, Request::StageBegin(stage.name.clone()))? {
            let inner = Context { row, ..ctx.clone() };
            self.interp.echo(&inner, message)?;
            self.interp.ask(&inner, at, Request::StageEnd { row, result: BuildResult::NotBuilt })?;
        }
        Ok(())
    }

    fn stage(&self, stage: &Stage, ctx: &Context) -> Eval<()> {
        let before = stage.base.when.as_ref().filter(|w| {
            // an agent is asked for after the answer
            let agent = w.before_agent == Some(true) && stage.base.input.is_none();
            agent || w.before_input == Some(true) || w.before_options == Some(true)
        });
        if let Some(when) = before
            && !self.when(when, &self.environment(stage.base.environment.as_deref(), ctx)?)?
        {
            return self.skip(stage, &format!("Stage \"{}\" skipped due to when conditional", stage.name), ctx);
        }
        let at = stage.at.start;
        let mut skipped = false;
        let done = self.interp.row(&stage.name, ctx, at, &mut |ctx| {
            self.within(stage.base.options.as_deref(), ctx, &mut |ctx| {
                let ctx = &self.input(&stage.base, at, ctx)?;
                let own = self.part(&stage.base, &stage.name, before.is_some(), ctx, &mut |ctx| self.content(stage, ctx))?;
                skipped = !own;
                Ok(Value::Null)
            })
        });
        done.map(|_| ())
    }

    /// Waits for the answer to the `input` of a stage.
    fn input(&self, base: &StageBase, at: u32, ctx: &Context) -> Eval<Context> {
        let Some(input) = &base.input else { return Ok(ctx.clone()) };
        self.interp.asked(input, ctx, at, &|name| {
            let field = input.fields.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
            Ok(field.map(|v| self.written(v, ctx)).transpose()?.map(|v| v.to_string()))
        })
    }

    /// The common part of a stage and of a cell of a matrix: agent, environment, condition, content, post. False when
    /// the condition left it out.
    fn part(&self, base: &StageBase, name: &str, asked: bool, ctx: &Context, content: &mut dyn FnMut(&Context) -> Eval<()>) -> Eval<bool> {
        let early = base.when.as_ref().filter(|w| w.before_agent == Some(true) && !asked);
        if let Some(when) = early
            && !self.when(when, &self.environment(base.environment.as_deref(), ctx)?)?
        {
            return self.left_out(name, ctx);
        }
        let asked = asked || early.is_some();
        let ctx = self.agent(base.agent.as_ref(), name, ctx)?;
        let ctx = self.environment(base.environment.as_deref(), &ctx)?;
        if let Some(when) = base.when.as_ref().filter(|_| !asked)
            && !self.when(when, &ctx)?
        {
            return self.left_out(name, &ctx);
        }
        let body = content(&ctx);
        let own = ctx.marks.last().map_or(BuildResult::Success, |m| *m.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        let result = body.as_ref().err().map_or(own, |e| e.result.max(own));
        if body.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        let after = self.post(base.post.as_deref(), result, &format!("Post {name}"), &ctx);
        body.and(after).map(|()| true)
    }

    fn left_out(&self, name: &str, ctx: &Context) -> Eval<bool> {
        self.interp.echo(ctx, &format!("Stage \"{name}\" skipped due to when conditional"))?;
        if let Some(own) = ctx.marks.last() {
            *own.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = BuildResult::NotBuilt;
        }
        Ok(false)
    }

    fn content(&self, stage: &Stage, ctx: &Context) -> Eval<()> {
        let fail_fast = stage.fail_fast == Some(true) || self.option("parallelsAlwaysFailFast").is_some();
        if let Some(stages) = &stage.stages {
            return self.stages(stages, ctx);
        }
        if let Some(stages) = &stage.parallel {
            let names: Vec<&str> = stages.iter().map(|s| s.name.as_str()).collect();
            return self.interp.parallel(&names, fail_fast, ctx, &|i, ctx| self.stage(&stages[i], ctx));
        }
        if let Some(matrix) = &stage.matrix {
            return self.matrix(matrix, fail_fast, ctx);
        }
        match stage.branches.as_slice() {
            [one] if one.name == "default" => self.steps(one, ctx),
            branches => {
                let names: Vec<&str> = branches.iter().map(|b| b.name.as_str()).collect();
                self.interp.parallel(&names, fail_fast, ctx, &|i, ctx| {
                    let work = &mut |ctx: &Context| self.steps(&branches[i], ctx).map(|()| Value::Null);
                    self.interp.row(&branches[i].name, ctx, branches[i].at.start, work).map(|_| ())
                })
            }
        }
    }

    fn steps(&self, branch: &Branch, ctx: &Context) -> Eval<()> {
        self.interp.block(&branch.body, &self.top, ctx).map(|_| ())
    }

    fn matrix(&self, matrix: &Matrix, fail_fast: bool, ctx: &Context) -> Eval<()> {
        let cells = cells(matrix);
        let names: Vec<String> = cells
            .iter()
            .map(|c| format!("Matrix - {}", c.iter().map(|(k, v)| format!("{k} = '{v}'")).collect::<Vec<_>>().join(", ")))
            .collect();
        let shown: Vec<&str> = names.iter().map(String::as_str).collect();
        let at = self.pipeline.at.start;
        self.interp.parallel(&shown, fail_fast, ctx, &|i, ctx| {
            let ctx = ctx.with_env(cells[i].iter().cloned());
            let work = &mut |ctx: &Context| {
                self.within(matrix.base.options.as_deref(), ctx, &mut |ctx| {
                    let stages = matrix.stages.as_deref().unwrap_or_default();
                    self.part(&matrix.base, &names[i], false, ctx, &mut |ctx| self.cell(stages, ctx)).map(|_| Value::Null)
                })
            };
            self.interp.row(&names[i], &ctx, at, work).map(|_| ())
        })
    }

    /// The stages of a cell: a failure in another cell does not leave them out.
    fn cell(&self, stages: &[Stage], ctx: &Context) -> Eval<()> {
        let mut first = Ok(());
        for stage in stages {
            if first.is_err() {
                self.skip(stage, &format!("Stage \"{}\" skipped due to earlier failure(s)", stage.name), ctx)?;
                continue;
            }
            first = self.stage(stage, ctx);
        }
        first
    }

    fn post(&self, post: Option<&[PostCondition]>, result: BuildResult, title: &str, ctx: &Context) -> Eval<()> {
        let Some(post) = post else { return Ok(()) };
        let previous = self.interp.shared.previous;
        let holds = |name: &str| match name {
            "always" | "cleanup" => true,
            "changed" => previous != Some(result),
            "fixed" => {
                result == BuildResult::Success && previous.is_some_and(|p| matches!(p, BuildResult::Failure | BuildResult::Unstable))
            }
            "regression" => previous
                .is_some_and(|p| matches!(result, BuildResult::Failure | BuildResult::Unstable | BuildResult::Aborted) && result > p),
            "aborted" => result == BuildResult::Aborted,
            "success" => result == BuildResult::Success,
            "unsuccessful" => result != BuildResult::Success,
            "unstable" => result == BuildResult::Unstable,
            "failure" => result == BuildResult::Failure,
            "notBuilt" => result == BuildResult::NotBuilt,
            _ => false,
        };
        let due: Vec<&PostCondition> =
            POST_CONDITIONS.iter().filter_map(|name| post.iter().find(|p| p.condition == *name && holds(name))).collect();
        if due.is_empty() {
            return Ok(());
        }
        // what comes after runs also when time is over or a sibling failed
        let ctx = Context { deadline: None, stops: Vec::new(), ..ctx.clone() };
        let mut first: Eval<()> = Ok(());
        self.interp.row(title, &ctx, self.pipeline.at.start, &mut |ctx| {
            for condition in &due {
                if let Err(thrown) = self.steps(&condition.branch, ctx) {
                    self.interp.echo(ctx, &format!("Error when executing {} post condition: {}", condition.condition, thrown.message))?;
                    self.interp.worsen(ctx, thrown.result);
                    if first.is_ok() {
                        first = Err(thrown);
                    }
                }
            }
            Ok(Value::Null)
        })?;
        if let Err(thrown) = &first {
            mark(&ctx, thrown.result);
        }
        first
    }
}

fn value_named(option: &MethodCall, name: &str) -> Option<String> {
    match option.named(name) {
        Some(Arg::Value(value)) => value.text().map(str::to_owned),
        _ => None,
    }
}

fn texts(axis: &Axis) -> Vec<String> {
    axis.values
        .iter()
        .filter_map(|v| match v {
            Arg::Value(value) => Some(value.value.as_str().map_or_else(|| value.value.to_string(), str::to_owned)),
            _ => None,
        })
        .collect()
}

/// The cells of a matrix, without the excluded ones: axes within one exclude must all match.
pub(crate) fn cells(matrix: &Matrix) -> Vec<Vec<(String, String)>> {
    let mut cells: Vec<Vec<(String, String)>> = vec![Vec::new()];
    for axis in matrix.axes.iter().flatten() {
        let name = axis.name.clone().unwrap_or_default();
        let values = texts(axis);
        cells = cells
            .into_iter()
            .flat_map(|cell| values.iter().map(|v| [cell.as_slice(), &[(name.clone(), v.clone())]].concat()).collect::<Vec<_>>())
            .take(MAX_CELLS + 1)
            .collect();
    }
    let excluded = |cell: &[(String, String)]| {
        matrix.excludes.iter().flatten().any(|exclude| {
            exclude.iter().all(|axis| {
                let value = cell.iter().find(|(k, _)| Some(k) == axis.name.as_ref()).map(|(_, v)| v);
                value.is_some_and(|v| texts(axis).contains(v) != axis.inverse)
            })
        })
    };
    cells.retain(|cell| !excluded(cell));
    cells
}

/// Most cells of a matrix.
pub(super) const MAX_CELLS: usize = 256;
