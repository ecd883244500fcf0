//! The steps of a pipeline.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indexmap::IndexMap;

use super::super::tables;
use super::value::{BuildResult, ClosureValue, Exception, Value, lock};
use super::{Context, Credential, Eval, Frame, Interp, Reply, Request, exception, interrupted, mark, unsupported};

/// Steps that are carried out; what a message lists when a name is unknown.
pub(crate) const KNOWN: &[&str] = &[
    "ansiColor",
    "archiveArtifacts",
    "catchError",
    "checkout",
    "cleanWs",
    "deleteDir",
    "devmentorBuildImage",
    "devmentorDeploy",
    "dir",
    "echo",
    "error",
    "fileExists",
    "input",
    "isUnix",
    "junit",
    "library",
    "libraryResource",
    "load",
    "lock",
    "milestone",
    "node",
    "parallel",
    "print",
    "println",
    "publishHTML",
    "pwd",
    "readFile",
    "readJSON",
    "retry",
    "script",
    "sh",
    "sleep",
    "stage",
    "stash",
    "timeout",
    "timestamps",
    "unstable",
    "unstash",
    "waitUntil",
    "warnError",
    "withCredentials",
    "withEnv",
    "writeFile",
    "writeJSON",
];

/// Steps of a Jenkins that are known and not carried out, with the reason.
pub(crate) const UNSUPPORTED: &[(&str, &str)] = &[
    ("bat", "Batch scripts can only be run on Windows nodes"),
    ("powershell", "PowerShell scripts can only be run on Windows nodes"),
    ("pwsh", "there is no PowerShell on the runners"),
    ("build", "a run cannot start another one"),
    ("git", "a job checks out the commit of its run: use `checkout scm`"),
    ("tool", "tools are those of the machine or of the image"),
    ("step", "use the step's own name"),
    ("properties", "use `options` of the pipeline"),
    ("container", "pods are not run"),
    ("podTemplate", "pods are not run"),
];

/// Steps that tell people of a build. Nothing is sent: what they would say is in the log.
pub(crate) const NOTIFIERS: &[&str] = &[
    "discordSend",
    "emailext",
    "googlechatnotification",
    "hipchatSend",
    "mail",
    "mattermostSend",
    "office365ConnectorSend",
    "rocketSend",
    "slackSend",
    "telegramSend",
];

/// Arguments of a step.
pub(super) struct Args {
    named: IndexMap<String, Value>,
    positional: Vec<Value>,
    body: Option<Arc<ClosureValue>>,
}

impl Args {
    fn new(name: &str, mut args: Vec<Value>) -> Self {
        let body = match args.last() {
            Some(Value::Closure(closure)) => Some(Arc::clone(closure)),
            _ => None,
        };
        if body.is_some() {
            args.pop();
        }
        let named = match args.first() {
            Some(Value::Map(map)) if !matches!(name, "echo" | "println" | "print" | "checkout") => Some(lock(map).clone()),
            _ => None,
        };
        if named.is_some() {
            args.remove(0);
        }
        Self { named: named.unwrap_or_default(), positional: args, body }
    }

    pub(super) fn named(&self) -> &IndexMap<String, Value> {
        &self.named
    }

    /// By name, or the one without a name.
    pub(super) fn get(&self, name: &str) -> Option<Value> {
        self.named.get(name).cloned()
    }

    pub(super) fn first(&self, name: &str) -> Option<Value> {
        self.get(name).or_else(|| self.positional.first().cloned())
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.get(name).filter(|v| !matches!(v, Value::Null)).map(|v| v.to_string())
    }

    fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|v| v.truth())
    }
}

impl Interp<'_> {
    pub(super) fn step(&self, name: &str, args: Vec<Value>, f: &Frame<'_>, at: u32) -> Eval<Value> {
        let args = Args::new(name, args);
        let ctx = f.ctx;
        let need = |what: &str| {
            let found = args.first(what).map(|v| v.to_string());
            found.ok_or_else(|| exception("java.lang.IllegalArgumentException", format!("Missing required parameter: \"{what}\""), at))
        };
        let body = || {
            args.body
                .as_ref()
                .ok_or_else(|| exception("java.lang.IllegalStateException", format!("There is no body to invoke for {name}"), at))
        };
        if let Some(spec) = tables::find(name)
            && let Some(wrong) = args
                .named
                .keys()
                .find(|k| spec.optional != tables::ANY && !spec.required.contains(&k.as_str()) && !spec.optional.contains(&k.as_str()))
            && !matches!(name, "checkout" | "step" | "properties")
        {
            let near = tables::nearest(wrong, spec.required.iter().chain(spec.optional).copied());
            let message = format!("Invalid parameter \"{wrong}\" of {name}, did you mean \"{near}\"?");
            return Err(exception("java.lang.IllegalArgumentException", message, at));
        }
        match name {
            "echo" | "println" | "print" => {
                let text = args.first("message").map(|v| v.to_string()).unwrap_or_default();
                self.echo(ctx, &text)?;
                Ok(Value::Null)
            }
            "sh" => self.shell(&args, ctx, at),
            "error" => Err(exception("hudson.AbortException", need("message")?, at)),
            "unstable" => {
                self.echo(ctx, &format!("WARNING: {}", need("message")?))?;
                self.worsen(ctx, BuildResult::Unstable);
                Ok(Value::Null)
            }
            "sleep" => {
                let time = millis(args.first("time"), args.text("unit"), 1_000, at)?;
                self.ask(ctx, at, Request::Sleep(time))?;
                Ok(Value::Null)
            }
            "readFile" => match self.ask(ctx, at, Request::ReadFile(need("file")?))? {
                Reply::Text(text) => Ok(text.into()),
                _ => Ok(Value::Null),
            },
            "writeFile" => {
                let (path, text) = (args.text("file").unwrap_or_default(), args.text("text").unwrap_or_default());
                self.ask(ctx, at, Request::WriteFile { path, text })?;
                Ok(Value::Null)
            }
            "fileExists" => Ok((self.ask(ctx, at, Request::Exists(need("file")?))? == Reply::Flag(true)).into()),
            "readJSON" => self.read_json(&args, ctx, at),
            "writeJSON" => {
                let json = args.get("json").unwrap_or(Value::Null).to_json();
                let text = if args.get("pretty").is_some() { serde_json::to_string_pretty(&json) } else { serde_json::to_string(&json) };
                let text = text.unwrap_or_default();
                if args.flag("returnText") {
                    return Ok(text.into());
                }
                self.ask(ctx, at, Request::WriteFile { path: args.text("file").unwrap_or_default(), text })?;
                Ok(Value::Null)
            }
            "load" => {
                let path = need("path")?;
                let Reply::Text(text) = self.ask(ctx, at, Request::ReadFile(path.clone()))? else { return Ok(Value::Null) };
                self.load(&path, &text, ctx, at)
            }
            "libraryResource" => self.resource(&need("resource")?, at),
            notifier if NOTIFIERS.contains(&notifier) => {
                let said = ["subject", "title", "message", "body", "description"].iter().find_map(|key| args.text(key));
                let said = said.or_else(|| args.positional.first().map(|v| v.to_string())).unwrap_or_default();
                self.echo(ctx, &format!("{notifier}: not sent, nothing sends messages here: {}", said.trim()))?;
                Ok(Value::Null)
            }
            "publishHTML" => {
                let target = args.get("target").and_then(|t| t.entries()).unwrap_or_else(|| args.named.clone());
                let field = |key: &str| target.get(key).map(ToString::to_string).filter(|t| !t.is_empty());
                let directory = field("reportDir").unwrap_or_default();
                let includes = if directory.is_empty() { "**".to_owned() } else { format!("{}/**", directory.trim_end_matches('/')) };
                let allow_empty = target.get("allowMissing").is_some_and(Value::truth);
                self.ask(ctx, at, Request::Archive { includes, excludes: String::new(), allow_empty }).map(|_| Value::Null)
            }
            // the whole run holds the resource
            "lock" => self.invoke(body()?, Vec::new(), ctx, at),
            "library" => self.library(&need("identifier")?, at),
            "isUnix" => Ok(true.into()),
            "pwd" => match self.ask(ctx, at, Request::Pwd)? {
                Reply::Text(text) => Ok(text.into()),
                _ => Ok(Value::Null),
            },
            "deleteDir" | "cleanWs" => self.ask(ctx, at, Request::DeleteDir).map(|_| Value::Null),
            "checkout" => {
                if args.positional.first().is_none_or(|v| !matches!(v, Value::Str(s) if &**s == "scm")) {
                    return Err(unsupported("`checkout` of anything but `scm`", at));
                }
                self.ask(ctx, at, Request::Checkout).map(|_| Value::map(IndexMap::new()))
            }
            "stash" => {
                let request = Request::Stash {
                    name: need("name")?,
                    includes: args.text("includes").unwrap_or_else(|| "**".into()),
                    excludes: args.text("excludes").unwrap_or_default(),
                    allow_empty: args.flag("allowEmpty"),
                };
                self.ask(ctx, at, request).map(|_| Value::Null)
            }
            "unstash" => self.ask(ctx, at, Request::Unstash(need("name")?)).map(|_| Value::Null),
            "archiveArtifacts" | "archive" => {
                let request = Request::Archive {
                    includes: need(if name == "archive" { "includes" } else { "artifacts" })?,
                    excludes: args.text("excludes").unwrap_or_default(),
                    allow_empty: args.flag("allowEmptyArchive"),
                };
                self.ask(ctx, at, request).map(|_| Value::Null)
            }
            "junit" => self.junit(need("testResults")?, &args, ctx, at),
            "dir" => {
                let path = need("path")?;
                // `${WORKSPACE}/x` is in the workspace, too
                let workspace = self.env(ctx).get("WORKSPACE").filter(|w| !w.is_empty()).cloned();
                let inside = workspace.and_then(|w| path.strip_prefix(&w).map(str::to_owned));
                let dir = match inside.filter(|rest| rest.is_empty() || rest.starts_with('/')) {
                    Some(rest) => join("", rest.trim_start_matches('/'), at)?,
                    None => join(&ctx.dir, &path, at)?,
                };
                self.invoke(body()?, Vec::new(), &Context { dir, ..ctx.clone() }, at)
            }
            "withEnv" => {
                let list = args.first("overrides").and_then(|v| v.items()).unwrap_or_default();
                let mut pairs = Vec::new();
                for item in list {
                    let item = item.to_string();
                    let Some((key, value)) = item.split_once('=') else { continue };
                    // `PATH+X=/dir` puts the directory before the others
                    match key.split_once('+') {
                        Some((base, _)) => {
                            let old = self.env(ctx).get(base).cloned().unwrap_or_else(|| format!("${{{base}}}"));
                            pairs.push((base.to_owned(), format!("{value}:{old}")));
                        }
                        None => pairs.push((key.to_owned(), value.to_owned())),
                    }
                }
                self.invoke(body()?, Vec::new(), &ctx.with_env(pairs), at)
            }
            "withCredentials" => {
                let pairs = self.bindings(&args, ctx, at)?;
                self.invoke(body()?, Vec::new(), &ctx.with_env(pairs), at)
            }
            // how a credential is bound, or a parameter asked for: read by `withCredentials` and `input`
            "input" => self.input_step(&args, ctx, at),
            "milestone" => self.milestone(&args, ctx, at),
            "devmentorBuildImage" | "devmentorDeploy" => self.service_step(name, &args, ctx, at),
            "text" | "booleanParam" | "choice" | "string" | "usernamePassword" | "usernameColonPassword" | "file" | "sshUserPrivateKey" => {
                let mut map = args.named;
                map.insert("$binding".into(), name.into());
                Ok(Value::map(map))
            }
            "retry" => {
                let Some(Value::Int(count)) = args.first("count") else {
                    return Err(exception("java.lang.IllegalArgumentException", "retry needs a count", at));
                };
                self.retry(count, ctx, at, &mut || self.invoke(body()?, Vec::new(), ctx, at))
            }
            "timeout" => {
                let time = millis(args.first("time"), args.text("unit"), 60_000, at)?;
                self.timeout(time, ctx, at, &mut |ctx| self.invoke(body()?, Vec::new(), ctx, at))
            }
            "waitUntil" => {
                let mut pause = 250;
                while !self.invoke(body()?, Vec::new(), ctx, at)?.truth() {
                    self.ask(ctx, at, Request::Sleep(pause))?;
                    pause = (pause * 6 / 5).min(15_000);
                }
                Ok(Value::Null)
            }
            "catchError" | "warnError" => {
                let unstable = name == "warnError";
                let result = |key: &str| args.text(key).and_then(|t| BuildResult::parse(&t));
                let (stage, build) = if unstable {
                    (BuildResult::Unstable, BuildResult::Unstable)
                } else {
                    (result("stageResult").unwrap_or(BuildResult::Failure), result("buildResult").unwrap_or(BuildResult::Failure))
                };
                match self.invoke(body()?, Vec::new(), ctx, at) {
                    Err(thrown)
                        if !thrown.fatal
                            && (thrown.result != BuildResult::Aborted || args.get("catchInterruptions").is_none_or(|v| v.truth())) =>
                    {
                        let said = args.first("message").map(|m| format!("{m}: ")).unwrap_or_default();
                        let kind = if unstable { "WARNING" } else { "ERROR" };
                        self.echo(ctx, &format!("{kind}: {said}{}", thrown.message))?;
                        if stage == BuildResult::Success && build > BuildResult::Success {
                            let mut now = lock(&self.shared.result);
                            *now = (*now).max(build);
                        } else {
                            mark(ctx, stage);
                            let mut now = lock(&self.shared.result);
                            *now = (*now).max(build);
                        }
                        Ok(Value::Null)
                    }
                    other => other,
                }
            }
            "timestamps" | "ansiColor" | "script" => self.invoke(body()?, Vec::new(), ctx, at),
            "node" => self.invoke(body()?, Vec::new(), &Context { agent: true, ..ctx.clone() }, at),
            "stage" => {
                let title = need("name")?;
                let body = body()?;
                self.row(&title, ctx, at, &mut |ctx| self.invoke(body, Vec::new(), ctx, at))
            }
            "parallel" => {
                let fail_fast = args.flag("failFast");
                let branches: Vec<(String, Arc<ClosureValue>)> = args
                    .named
                    .iter()
                    .filter_map(|(name, value)| match value {
                        Value::Closure(closure) => Some((name.clone(), Arc::clone(closure))),
                        _ => None,
                    })
                    .collect();
                let run = |index: usize, ctx: &Context| {
                    self.row(&branches[index].0, ctx, at, &mut |ctx| self.invoke(&branches[index].1, Vec::new(), ctx, at)).map(|_| ())
                };
                let names: Vec<&str> = branches.iter().map(|(name, _)| name.as_str()).collect();
                self.parallel(&names, fail_fast, ctx, &run)?;
                Ok(Value::Null)
            }
            _ => Err(self.no_such_step(name, f, at)),
        }
    }

    fn no_such_step(&self, name: &str, f: &Frame<'_>, at: u32) -> Box<Exception> {
        if let Some((_, why)) = UNSUPPORTED.iter().find(|(known, _)| *known == name) {
            return unsupported(&format!("the step `{name}` ({why})"), at);
        }
        if self.variable(name, f, at).is_ok() {
            return exception("groovy.lang.MissingMethodException", format!("`{name}` is not a method or closure"), at);
        }
        let message = format!("No such DSL method '{name}' found among steps [{}]", KNOWN.join(", "));
        exception("java.lang.NoSuchMethodError", message, at)
    }

    fn shell(&self, args: &Args, ctx: &Context, at: u32) -> Eval<Value> {
        let Some(script) = args.first("script") else {
            return Err(exception("java.lang.IllegalArgumentException", "Missing required parameter: \"script\"", at));
        };
        let (capture, status) = (args.flag("returnStdout"), args.flag("returnStatus"));
        if capture && status {
            let message = "you can only specify one of returnStdout and returnStatus";
            return Err(exception("java.lang.IllegalArgumentException", message, at));
        }
        let reply = self.ask(ctx, at, Request::Shell { script: script.to_string(), capture, label: args.text("label") })?;
        let Reply::Shell { code, stdout } = reply else { return Ok(Value::Null) };
        match (status, capture, code) {
            (true, ..) => Ok(Value::Int(code.into())),
            (_, true, 0) => Ok(stdout.into()),
            (_, _, 0) => Ok(Value::Null),
            _ => Err(exception("hudson.AbortException", format!("script returned exit code {code}"), at)),
        }
    }

    fn read_json(&self, args: &Args, ctx: &Context, at: u32) -> Eval<Value> {
        let text = match (args.text("text"), args.text("file")) {
            (Some(text), _) => text,
            (None, Some(file)) => match self.ask(ctx, at, Request::ReadFile(file))? {
                Reply::Text(text) => text,
                _ => String::new(),
            },
            _ => return Err(exception("java.lang.IllegalArgumentException", "readJSON needs a file or a text", at)),
        };
        let json: serde_json::Value =
            serde_json::from_str(&text).map_err(|e| exception("net.sf.json.JSONException", format!("not JSON: {e}"), at))?;
        self.grow(text.len() * 4, at)?;
        Ok(Value::from_json(&json))
    }

    fn junit(&self, pattern: String, args: &Args, ctx: &Context, at: u32) -> Eval<Value> {
        let reply = self.ask(ctx, at, Request::Junit { pattern, allow_empty: args.flag("allowEmptyResults") })?;
        let Reply::Tests { total, failed, skipped } = reply else { return Ok(Value::Null) };
        if failed > 0 && !args.flag("skipMarkingBuildUnstable") {
            self.echo(ctx, &format!("{failed} of {total} tests failed: the build is unstable"))?;
            self.worsen(ctx, BuildResult::Unstable);
        }
        let entries = [("totalCount", total), ("failCount", failed), ("skipCount", skipped), ("passCount", total - failed - skipped)];
        Ok(Value::map(entries.into_iter().map(|(k, v)| (k.to_owned(), v.into())).collect()))
    }

    /// Environment that the bindings of `withCredentials` make.
    fn bindings(&self, args: &Args, ctx: &Context, at: u32) -> Eval<Vec<(String, String)>> {
        let list = args.first("bindings").and_then(|v| v.items()).unwrap_or_default();
        let mut pairs = Vec::new();
        for binding in list {
            let map = binding.entries().unwrap_or_default();
            let field = |name: &str| map.get(name).map(ToString::to_string);
            let id = field("credentialsId").unwrap_or_default();
            let Some(credential) = self.host.credential(&id) else {
                return Err(exception("hudson.AbortException", format!("Could not find credentials entry with ID '{id}'"), at));
            };
            let (whole, user, password) = match credential {
                Credential::Text(text) => (text.clone(), String::new(), text),
                Credential::Pair(user, password) => (format!("{user}:{password}"), user, password),
            };
            match field("$binding").unwrap_or_default().as_str() {
                "string" | "usernameColonPassword" => pairs.push((field("variable").unwrap_or_default(), whole)),
                "usernamePassword" => {
                    pairs.push((field("usernameVariable").unwrap_or_default(), user));
                    pairs.push((field("passwordVariable").unwrap_or_default(), password));
                }
                kind @ ("file" | "sshUserPrivateKey") => {
                    let Reply::Text(path) = self.ask(ctx, at, Request::SecretFile(password))? else { continue };
                    let variable = if kind == "file" { "variable" } else { "keyFileVariable" };
                    pairs.push((field(variable).unwrap_or_default(), path));
                    if let Some(name) = field("usernameVariable") {
                        pairs.push((name, user));
                    }
                }
                other => return Err(unsupported(&format!("the binding `{other}` of withCredentials"), at)),
            }
        }
        pairs.retain(|(name, _)| !name.is_empty());
        Ok(pairs)
    }

    pub(crate) fn retry<T>(&self, count: i64, ctx: &Context, at: u32, work: &mut dyn FnMut() -> Eval<T>) -> Eval<T> {
        let mut left = count.max(1);
        loop {
            left -= 1;
            match work() {
                Err(thrown) if left > 0 && !thrown.fatal && thrown.result != BuildResult::Aborted => {
                    self.tick(ctx, at)?;
                    self.echo(ctx, &format!("ERROR: {}", thrown.message))?;
                    self.echo(ctx, "Retrying")?;
                }
                other => return other,
            }
        }
    }

    pub(crate) fn timeout<T>(&self, time: u64, ctx: &Context, at: u32, work: &mut dyn FnMut(&Context) -> Eval<T>) -> Eval<T> {
        let deadline = self.host.now().saturating_add(time);
        let deadline = ctx.deadline.map_or(deadline, |d| d.min(deadline));
        let inner = Context { deadline: Some(deadline), ..ctx.clone() };
        work(&inner).map_err(|thrown| {
            // the time of this block, and not something else, ended it
            if thrown.result == BuildResult::Aborted && self.host.now() >= deadline && !thrown.fatal {
                return interrupted("Timeout has been exceeded".into(), at);
            }
            thrown
        })
    }

    /// Runs a named part with a row of its own.
    pub(crate) fn row(&self, title: &str, ctx: &Context, at: u32, work: &mut dyn FnMut(&Context) -> Eval<Value>) -> Eval<Value> {
        let row = match self.ask(ctx, at, Request::StageBegin(title.to_owned()))? {
            Reply::Count(row) => row,
            _ => ctx.row,
        };
        let own = Arc::default();
        let mut inner = Context { row, ..ctx.clone() };
        inner.marks.push(Arc::clone(&own));
        let done = work(&inner);
        let result = match &done {
            Ok(_) => *lock(&own),
            Err(thrown) => thrown.result.max(*lock(&own)),
        };
        // also when time is over: a row must not stay open
        let close = Context { deadline: None, stops: Vec::new(), ..inner };
        self.ask(&close, at, Request::StageEnd { row, result })?;
        done
    }

    /// Runs branches side by side. The first that failed is what the whole failed with.
    pub(crate) fn parallel(
        &self,
        names: &[&str],
        fail_fast: bool,
        ctx: &Context,
        run: &(dyn Fn(usize, &Context) -> Eval<()> + Sync),
    ) -> Eval<()> {
        let stop = Arc::new(AtomicBool::new(false));
        let failed: std::sync::Mutex<Option<Box<Exception>>> = std::sync::Mutex::default();
        let tasks = names.iter().enumerate().map(|(index, name)| -> super::Task<'_> {
            let branch = Some(ctx.branch.as_ref().map_or_else(|| (*name).to_owned(), |outer| format!("{outer}/{name}")));
            let mut inner = Context { branch, ..ctx.branch_of() };
            inner.stops.push(Arc::clone(&stop));
            let (stop, failed) = (Arc::clone(&stop), &failed);
            Box::new(move || {
                if let Err(thrown) = run(index, &inner) {
                    // the first failure; it says more than the stops that followed from it
                    let mut slot = lock(failed);
                    let stopped = |e: &Exception| e.result == BuildResult::Aborted && !e.fatal;
                    if slot.as_ref().is_none_or(|e| stopped(e) && !stopped(&thrown)) {
                        *slot = Some(thrown);
                    }
                    drop(slot);
                    if fail_fast {
                        stop.store(true, Ordering::Relaxed);
                    }
                }
            })
        });
        self.host.parallel(tasks.collect());
        let failed = lock(&failed).take();
        match failed {
            Some(thrown) => Err(thrown),
            None => Ok(()),
        }
    }
}

/// A time in milliseconds; `unit` when none is named.
pub(crate) fn millis(time: Option<Value>, unit: Option<String>, default: u64, at: u32) -> Eval<u64> {
    let wrong = || exception("java.lang.IllegalArgumentException", "a time must be a number", at);
    let time = match time.ok_or_else(wrong)? {
        Value::Int(n) => u64::try_from(n).unwrap_or(0),
        other => other.to_string().trim().parse().map_err(|_| wrong())?,
    };
    let factor = match unit.as_deref().map(str::to_ascii_uppercase).as_deref() {
        None => default,
        Some("NANOSECONDS" | "MICROSECONDS" | "MILLISECONDS") => 1,
        Some("SECONDS") => 1_000,
        Some("MINUTES") => 60_000,
        Some("HOURS") => 3_600_000,
        Some("DAYS") => 86_400_000,
        Some(other) => return Err(exception("java.lang.IllegalArgumentException", format!("{other} is no unit of time"), at)),
    };
    Ok(time.saturating_mul(factor))
}

/// A directory below another one; it may not leave the workspace.
pub(crate) fn join(base: &str, path: &str, at: u32) -> Eval<String> {
    let mut parts: Vec<&str> = base.split('/').filter(|p| !p.is_empty()).collect();
    if path.starts_with('/') {
        return Err(unsupported("a directory outside the workspace", at));
    }
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                if parts.pop().is_none() {
                    return Err(unsupported("a directory outside the workspace", at));
                }
            }
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}
