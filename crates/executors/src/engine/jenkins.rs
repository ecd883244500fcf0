//! Drives a declarative pipeline: the interpreter runs on a thread of its own and asks, this side does.
//!
//! Each stage gets a row. A cancel, or the end of the job's time, stops what runs at that moment; what the pipeline
//! does `post` still runs within the grace of a cancelled job.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use dialects::jenkins::interp::{BuildResult, Context, Credential, Host, Question, Refusal, Reply, Request, STACK_BYTES, Start, Task};
use dialects::jenkins::library::Library;
use dialects::jenkins::{self, run::Ended};
use dialects::plan::Action;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use indexmap::IndexMap;
use kernel::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::StepOutput;
use super::matcher::Matchers;
use crate::actions::{self, ActionError, Call, Logins};
use crate::host::{HostError, HostResult, JobHost};
use crate::log::JobLog;
use crate::protocol::{Conclusion, JobSpec, StepState, StepUpdate};
use crate::sandbox::{Exec, Place, read_beneath};
use crate::spawn::{Capture, Exit, Output, Stop, reached};

/// Largest output or file that becomes a value.
const VALUE_MAX: u64 = 8 << 20;
/// Most rows of stages; more stages run without one.
const ROWS_MAX: usize = 500;
/// Branches that run at the same time.
const BRANCHES_MAX: usize = 32;
/// How often a running program's deadline and its siblings are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// All that a pipeline needs of the job.
pub(super) struct Driver<'a> {
    pub(super) spec: &'a JobSpec,
    pub(super) place: &'a dyn Place,
    pub(super) helper: &'a dyn Place,
    pub(super) helper_env: BTreeMap<String, String>,
    pub(super) host: &'a Arc<dyn JobHost>,
    pub(super) log: &'a Arc<JobLog>,
    pub(super) rows: &'a mut Vec<StepUpdate>,
    pub(super) row: usize,
    pub(super) debug: bool,
    pub(super) matchers: &'a Arc<Matchers>,
    pub(super) docker: Option<&'a bollard::Docker>,
    pub(super) signals: (watch::Receiver<Stop>, Instant),
    pub(super) kill: watch::Receiver<Stop>,
    /// Set when the build ended `UNSTABLE`.
    pub(super) unstable: &'a mut bool,
}

struct Asked {
    context: Context,
    env: IndexMap<String, String>,
    request: Request,
    answer: oneshot::Sender<Result<Reply, Refusal>>,
}

/// The interpreter's side: asks and waits.
struct Bridge {
    ask: mpsc::UnboundedSender<Asked>,
    secrets: BTreeMap<String, String>,
    begun: std::time::Instant,
}

impl Host for Bridge {
    fn ask(&self, context: &Context, env: &IndexMap<String, String>, request: Request) -> Result<Reply, Refusal> {
        let (answer, wait) = oneshot::channel();
        let asked = Asked { context: context.clone(), env: env.clone(), request, answer };
        self.ask.send(asked).map_err(|_| Refusal::Gone)?;
        wait.blocking_recv().unwrap_or(Err(Refusal::Gone))
    }

    fn credential(&self, id: &str) -> Option<Credential> {
        let upper: String = id.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
        let get = |name: &str| self.secrets.get(name).cloned();
        if let (Some(user), Some(password)) = (get(&format!("{upper}_USR")), get(&format!("{upper}_PSW"))) {
            return Some(Credential::Pair(user, password));
        }
        get(id).or_else(|| get(&upper)).map(Credential::Text)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn parallel(&self, tasks: Vec<Task<'_>>) {
        let mut tasks = tasks.into_iter().peekable();
        while tasks.peek().is_some() {
            std::thread::scope(|scope| {
                for task in tasks.by_ref().take(BRANCHES_MAX) {
                    // a thread that cannot be had is a branch that did not run: it is told by its row staying away
                    if let Err(error) = std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, task) {
                        tracing::error!(%error, "no thread for a branch of a pipeline");
                    }
                }
            });
        }
    }
}

/// Puts `[branch] ` before each line.
struct Prefixed<'o> {
    out: &'o mut StepOutput,
    prefix: Option<String>,
    held: Vec<u8>,
}

impl Prefixed<'_> {
    async fn end(&mut self) -> HostResult<()> {
        if !self.held.is_empty() {
            let mut line = std::mem::take(&mut self.held);
            line.push(b'\n');
            self.line(&line).await?;
        }
        Ok(())
    }

    async fn line(&mut self, line: &[u8]) -> HostResult<()> {
        let prefix = self.prefix.as_deref().unwrap_or_default();
        self.out.chunk(&[prefix.as_bytes(), line].concat()).await
    }
}

#[async_trait::async_trait]
impl Output for Prefixed<'_> {
    async fn chunk(&mut self, bytes: &[u8]) -> Result<(), HostError> {
        if self.prefix.is_none() {
            return self.out.chunk(bytes).await;
        }
        self.held.extend_from_slice(bytes);
        while let Some(end) = memchr::memchr(b'\n', &self.held) {
            let line: Vec<u8> = self.held.drain(..=end).collect();
            self.line(&line).await?;
        }
        if self.held.len() > 64 * 1024 {
            self.end().await?;
        }
        Ok(())
    }
}

/// What the handlers of requests share.
struct Shared<'a> {
    spec: &'a JobSpec,
    place: &'a dyn Place,
    helper: &'a dyn Place,
    helper_env: BTreeMap<String, String>,
    env: BTreeMap<String, String>,
    host: &'a Arc<dyn JobHost>,
    log: &'a Arc<JobLog>,
    debug: bool,
    matchers: &'a Arc<Matchers>,
    docker: Option<&'a bollard::Docker>,
    interrupted: watch::Receiver<bool>,
    kill: watch::Receiver<Stop>,
    begun: Instant,
    serial: AtomicUsize,
    archives: AtomicUsize,
}

impl Driver<'_> {
    /// Runs the pipeline of a file.
    pub(super) async fn run(
        self,
        file: &str,
        text: &str,
        libraries: &[Library],
        env: BTreeMap<String, String>,
        out: &mut StepOutput,
    ) -> HostResult<Conclusion> {
        let Driver { spec, place, helper, helper_env, host, log, rows, row, debug, matchers, docker, signals, kill, unstable } = self;
        let read = jenkins::read_with(file, text.as_bytes(), libraries);
        if read.pipeline.is_none() {
            for diagnostic in &read.diagnostics {
                out.error(&diagnostic.to_string()).await?;
            }
            return Ok(Conclusion::Failure);
        }
        // variables of another system would make tools believe that they run there
        let env: BTreeMap<String, String> =
            env.into_iter().filter(|(k, _)| !k.starts_with("GITHUB_") && !k.starts_with("RUNNER_")).collect();
        let github = spec.contexts.get("github").cloned().unwrap_or_default();
        let mut start = Start { env: env.clone().into_iter().collect(), ..Start::default() };
        start.env.extend(jenkins::run::environment(&github, &spec.api_url));
        start.libraries = libraries.to_vec();
        for library in libraries {
            out.line(&format!("Loading library {} from {} at {}", library.name, library.repository, library.commit)).await?;
        }
        let workspace = place.dirs().workspace.to_string_lossy().into_owned();
        start.env.insert("WORKSPACE".into(), workspace);
        start.env.insert("NODE_NAME".into(), env.get("HOSTNAME").cloned().unwrap_or_else(|| "runner".into()));
        if let Some(inputs) = spec.contexts.get("inputs").and_then(|i| i.as_object()) {
            start.params = inputs.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        }
        let history = spec.contexts.get("jenkins").map(|h| serde_json::from_value(h.clone())).transpose();
        match history {
            Ok(history) => start.history = history.unwrap_or_default(),
            Err(error) => out.warning(&format!("the builds before are not known: {error}")).await?,
        }
        start.build = jenkins::run::build_fields(&github, &spec.api_url, &start.history);

        let (ask, mut asked) = mpsc::unbounded_channel::<Asked>();
        let (tell_ended, ended) = oneshot::channel::<Ended>();
        let source = read.source.clone();
        let bridge = Bridge { ask, secrets: spec.secrets.clone(), begun: std::time::Instant::now() };
        let thread = std::thread::Builder::new().name("pipeline".into()).stack_size(STACK_BYTES);
        thread.spawn(move || {
            let end = jenkins::run::run(&read, &bridge, &start);
            // nobody listens when the job is over
            let _ = tell_ended.send(end);
        })?;

        let (tell_interrupt, interrupted) = watch::channel(false);
        let shared = Shared {
            spec,
            place,
            helper,
            helper_env,
            env,
            host,
            log,
            debug,
            matchers,
            docker,
            interrupted,
            kill,
            begun: Instant::now(),
            serial: AtomicUsize::new(0),
            archives: AtomicUsize::new(0),
        };
        let mut running = FuturesUnordered::new();
        let (mut cancels, deadline) = signals;
        let mut pending = false;
        loop {
            let calm = !*tell_interrupt.borrow();
            tokio::select! {
                Some(done) = running.next(), if !running.is_empty() => { let () = done?; }
                () = reached(&mut cancels, Stop::Cancel), if calm => { tell_interrupt.send_replace(true); pending = running.is_empty(); }
                () = tokio::time::sleep_until(deadline), if calm => { tell_interrupt.send_replace(true); pending = running.is_empty(); }
                next = asked.recv() => {
                    let Some(Asked { context, env, request, answer }) = next else { break };
                    match request {
                        Request::StageBegin(name) => {
                            let index = begin(rows, &name, &context, row, log, host).await?;
                            let _ = answer.send(Ok(Reply::Count(index)));
                        }
                        Request::StageEnd { row, result } => {
                            finish(rows, row, result, log, host).await?;
                            let _ = answer.send(Ok(Reply::Done));
                        }
                        _ if std::mem::take(&mut pending) => {
                            let _ = answer.send(Err(Refusal::Interrupted("The operation was canceled.".into())));
                        }
                        request => {
                            let index = rows.get(context.row).map_or(u32::try_from(row).unwrap_or(0), |r| r.index);
                            running.push(shared.answer(context, env, request, answer, index));
                        }
                    }
                }
            }
        }
        drop(running);
        let Ok(end) = ended.await else {
            out.error("the interpreter of the pipeline broke off").await?;
            return Ok(Conclusion::Failure);
        };
        if let Some(failure) = &end.failure {
            let message = format!("{}: {}", source.span(failure.at), failure.message);
            out.error(&message).await?;
        }
        out.line(&format!("Finished: {}", end.result.as_str())).await?;
        *unstable = end.result == BuildResult::Unstable;
        Ok(conclusion(end.result))
    }
}

/// What is unstable has failed, so that people see it; that the job as a whole may is told beside.
fn conclusion(result: BuildResult) -> Conclusion {
    match result {
        BuildResult::Success => Conclusion::Success,
        BuildResult::Unstable | BuildResult::Failure => Conclusion::Failure,
        BuildResult::NotBuilt => Conclusion::Skipped,
        BuildResult::Aborted => Conclusion::Cancelled,
    }
}

async fn begin(
    rows: &mut Vec<StepUpdate>,
    name: &str,
    context: &Context,
    own: usize,
    log: &JobLog,
    host: &Arc<dyn JobHost>,
) -> HostResult<usize> {
    if rows.len() >= ROWS_MAX {
        return Ok(own);
    }
    let title = match &context.branch {
        Some(branch) if branch.rsplit('/').next() != Some(name) => format!("{branch} / {name}"),
        _ => name.to_owned(),
    };
    let from = log.flush().await?;
    let index = rows.len();
    let row = StepUpdate {
        index: u32::try_from(index).unwrap_or(u32::MAX),
        name: log.masked(&title).await,
        state: StepState::Running,
        conclusion: None,
        outcome: None,
        exit_code: None,
        log_from: Some(from),
        log_to: None,
        started_at: Some(Timestamp::now()),
        finished_at: None,
        usage: None,
        taken_from: None,
    };
    rows.push(row.clone());
    host.step(row).await?;
    Ok(index)
}

async fn finish(rows: &mut [StepUpdate], index: usize, result: BuildResult, log: &JobLog, host: &Arc<dyn JobHost>) -> HostResult<()> {
    let Some(row) = rows.get_mut(index).filter(|r| r.state == StepState::Running) else { return Ok(()) };
    row.state = StepState::Completed;
    row.outcome = Some(conclusion(result));
    row.conclusion = Some(conclusion(result));
    row.log_to = Some(log.flush().await?);
    row.finished_at = Some(Timestamp::now());
    host.step(row.clone()).await
}

impl Shared<'_> {
    async fn answer(
        &self,
        context: Context,
        env: IndexMap<String, String>,
        request: Request,
        answer: oneshot::Sender<Result<Reply, Refusal>>,
        row: u32,
    ) -> HostResult<()> {
        let mut out = StepOutput::new(Arc::clone(self.log), Arc::clone(self.host), Arc::clone(self.matchers), row, self.debug);
        let done = self.carry_out(&context, env, request, &mut out, row).await;
        out.finish().await?;
        let reply = match done {
            Ok(reply) => reply,
            Err(ActionError::Host(HostError::Stale)) => return Err(HostError::Stale),
            Err(error) => Err(Refusal::Failed(error.to_string())),
        };
        let _ = answer.send(reply);
        Ok(())
    }

    async fn carry_out(
        &self,
        context: &Context,
        env: IndexMap<String, String>,
        request: Request,
        out: &mut StepOutput,
        row: u32,
    ) -> Result<Result<Reply, Refusal>, ActionError> {
        let dirs = self.place.dirs();
        let directory = dirs.workspace.join(&context.dir);
        let prefix = context.branch.as_ref().map(|b| format!("[{b}] "));
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let below = |path: &str| -> PathBuf {
            let path = Path::new(path);
            if path.is_absolute() { path.to_owned() } else { directory.join(path) }
        };
        match request {
            Request::Echo(text) => {
                for line in text.split('\n') {
                    out.line(&format!("{}{line}", prefix.as_deref().unwrap_or_default())).await?;
                }
                Ok(Ok(Reply::Done))
            }
            Request::Shell { script, capture, label } => {
                let shown = label.as_deref().unwrap_or_else(|| script.trim().lines().next().unwrap_or_default());
                out.line(&format!("{}+ sh: {shown}", prefix.as_deref().unwrap_or_default())).await?;
                let file = dirs.engine_file(&format!("jenkins-{serial}.sh"), script.as_bytes(), 0o755)?;
                let file = file.to_string_lossy().into_owned();
                let program = if script.starts_with("#!") { vec![file] } else { vec!["/bin/sh".into(), "-xe".into(), file] };
                let saved = if capture { Some(dirs.job_file(&format!("jenkins-{serial}.out"), b"")?) } else { None };
                let mut argv: Vec<String> = Vec::new();
                if let Some(saved) = &saved {
                    // only the output is the value; what the program says beside it belongs into the log
                    argv.extend(["/bin/sh", "-c", "exec \"$@\" > \"$0\""].map(String::from));
                    argv.push(saved.to_string_lossy().into_owned());
                }
                argv.extend(program);
                let mut output = Prefixed { out, prefix, held: Vec::new() };
                let env = env.into_iter().collect();
                let ended = self.exec(context, argv, env, None, &mut output).await?;
                output.end().await?;
                let exit = match ended {
                    Ok(exit) => exit,
                    Err(refusal) => return Ok(Err(refusal)),
                };
                let stdout = match saved {
                    Some(path) => String::from_utf8_lossy(&dirs.read_back(&path, VALUE_MAX)?).into_owned(),
                    None => String::new(),
                };
                Ok(Ok(Reply::Shell { code: exit.code, stdout }))
            }
            Request::Sleep(ms) => {
                let argv = vec!["/bin/sleep".into(), format!("{}.{:03}", ms / 1000, ms % 1000)];
                let mut output = Capture::new(1024);
                Ok(self.exec(context, argv, self.env.clone(), None, &mut output).await?.map(|_| Reply::Done))
            }
            Request::ReadFile(path) => {
                let whole = below(&path);
                let Ok(inside) = whole.strip_prefix(&dirs.root) else {
                    return Ok(Err(Refusal::Failed(format!("{path} lies outside the directories of the job"))));
                };
                match read_beneath(&dirs.root, inside, VALUE_MAX, true) {
                    Ok(bytes) => Ok(Ok(Reply::Text(String::from_utf8_lossy(&bytes).into_owned()))),
                    Err(error) => Ok(Err(Refusal::Failed(format!("{path}: {error}")))),
                }
            }
            Request::WriteFile { path, text } => {
                let script = "mkdir -p -- \"$(dirname -- \"$1\")\" && cat > \"$1\"";
                let argv =
                    ["/bin/sh", "-c", script, "sh"].map(String::from).into_iter().chain([below(&path).to_string_lossy().into_owned()]);
                self.quiet(context, argv.collect(), Some(text)).await
            }
            Request::Exists(path) => {
                let argv = vec!["/usr/bin/test".into(), "-e".into(), below(&path).to_string_lossy().into_owned()];
                let mut output = Capture::new(1024);
                Ok(self.exec(context, argv, self.env.clone(), None, &mut output).await?.map(|exit| Reply::Flag(exit.code == 0)))
            }
            Request::DeleteDir => {
                let argv = ["/bin/sh", "-c", "find . -mindepth 1 -delete"].map(String::from).to_vec();
                self.quiet(context, argv, None).await
            }
            Request::Pwd => Ok(Ok(Reply::Text(directory.to_string_lossy().into_owned()))),
            Request::SecretFile(content) => {
                let path = dirs.job_file(&format!("jenkins-{serial}.secret"), content.as_bytes())?;
                Ok(Ok(Reply::Text(path.to_string_lossy().into_owned())))
            }
            Request::Stash { name, includes, excludes, allow_empty } => {
                let lines = actions::jenkins::lines(&context.dir, &includes, &excludes);
                let to = stash_path(dirs, &name);
                let (dirs, dir) = (dirs.clone(), context.dir.clone());
                let packed = tokio::task::spawn_blocking(move || actions::jenkins::stash(&dirs, &dir, &lines, &to));
                let count = packed.await.map_err(std::io::Error::other)??;
                if count == 0 && !allow_empty {
                    return Ok(Err(Refusal::Failed(format!("No files included in stash '{name}'"))));
                }
                out.line(&format!("{}Stashed {count} file(s)", prefix.as_deref().unwrap_or_default())).await?;
                Ok(Ok(Reply::Count(count)))
            }
            Request::Unstash(name) => {
                let archive = stash_path(dirs, &name);
                if !archive.exists() {
                    return Ok(Err(Refusal::Failed(format!("No such saved stash '{name}'"))));
                }
                let mut call = self.call(out, row, IndexMap::new());
                let mut logins = Logins::default();
                let mut call = call.with(&mut logins);
                actions::jenkins::unstash(&mut call, &directory, &archive).await?;
                Ok(Ok(Reply::Done))
            }
            Request::Archive { includes, excludes, allow_empty } => {
                let count = self.archives.fetch_add(1, Ordering::Relaxed);
                let name = if count == 0 { "artifacts".to_owned() } else { format!("artifacts-{}", count + 1) };
                let lines = actions::jenkins::lines(&context.dir, &includes, &excludes).join("\n");
                let missing = if allow_empty { "ignore" } else { "error" };
                let with = [("name", name.as_str()), ("path", &lines), ("if-no-files-found", missing), ("include-hidden-files", "true")];
                let mut call = self.call(out, row, with.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect());
                let mut logins = Logins::default();
                let mut call = call.with(&mut logins);
                actions::run(Action::UploadArtifact, &mut call).await?;
                Ok(Ok(Reply::Done))
            }
            Request::Junit { pattern, allow_empty } => {
                let lines = actions::jenkins::lines(&context.dir, &pattern, "");
                let mut call = self.call(out, row, IndexMap::new());
                let mut logins = Logins::default();
                let mut call = call.with(&mut logins);
                let tests = actions::jenkins::junit(&mut call, &lines).await?;
                if tests.files == 0 && !allow_empty {
                    let message = "No test report files were found. Configuration error?";
                    return Ok(Err(Refusal::Failed(message.into())));
                }
                out.line(&format!("{} tests in {} file(s), {} failed, {} skipped", tests.total, tests.files, tests.failed, tests.skipped))
                    .await?;
                Ok(Ok(Reply::Tests { total: tests.total, failed: tests.failed, skipped: tests.skipped }))
            }
            Request::Checkout => {
                let mut with = IndexMap::new();
                if !context.dir.is_empty() {
                    with.insert("path".to_owned(), context.dir.clone());
                }
                let mut call = self.call(out, row, with);
                let mut logins = Logins::default();
                let mut call = call.with(&mut logins);
                actions::run(Action::Checkout, &mut call).await?;
                Ok(Ok(Reply::Done))
            }
            Request::Input { question, outside } => {
                let question = Question { key: serial.to_string(), ..question };
                if !outside {
                    return self.people(context, &question).await;
                }
                self.host.rest(true);
                let said = self.people(context, &question).await;
                self.host.rest(false);
                said
            }
            Request::Service { action, mut with } => {
                for file in ["context", "dockerfile"].iter().filter(|_| !context.dir.is_empty()) {
                    match with.get_mut(*file) {
                        Some(path) if !path.starts_with('/') => *path = format!("{}/{path}", context.dir),
                        None if *file == "context" && action == Action::BuildImage => {
                            with.insert("context".into(), context.dir.clone());
                        }
                        _ => {}
                    }
                }
                let mut call = self.call(out, row, with);
                let mut logins = Logins::default();
                let mut call = call.with(&mut logins);
                // two of one stage are two
                call.index = row as usize + (serial + 1) * ROWS_MAX;
                actions::run(action, &mut call).await?;
                Ok(Ok(Reply::Done))
            }
            Request::Milestone(ordinal) => Ok(Ok(match self.host.milestone(ordinal).await? {
                Some(newer) => Reply::Text(format!("#{newer}")),
                None => Reply::Done,
            })),
            Request::StageBegin(_) | Request::StageEnd { .. } => Ok(Ok(Reply::Done)),
        }
    }

    fn call<'c>(&'c self, out: &'c mut StepOutput, row: u32, with: IndexMap<String, String>) -> Parts<'c> {
        Parts { shared: self, out, row, with }
    }

    /// Waits until somebody answers, or the pipeline has to stop.
    async fn people(&self, context: &Context, question: &Question) -> Result<Result<Reply, Refusal>, ActionError> {
        let work = async {
            loop {
                if let Some(answer) = self.host.question(question).await? {
                    return Ok::<_, HostError>(answer);
                }
            }
        };
        tokio::pin!(work);
        let (mut interrupted, mut kill) = (self.interrupted.clone(), self.kill.clone());
        loop {
            let why = tokio::select! {
                answer = &mut work => return Ok(Ok(Reply::Answer(answer?))),
                () = reached(&mut kill, Stop::Kill) => Some("The job was killed."),
                () = raised(&mut interrupted) => Some("The operation was canceled."),
                () = tokio::time::sleep(LOOK) => self.over(context),
            };
            if let Some(why) = why {
                return Ok(Err(Refusal::Interrupted(why.into())));
            }
        }
    }

    /// Why what runs has to stop, besides a cancel.
    fn over(&self, context: &Context) -> Option<&'static str> {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        if context.stopped() {
            Some("a parallel branch failed")
        } else if context.deadline.is_some_and(|d| now >= d) {
            Some("Timeout has been exceeded")
        } else {
            None
        }
    }

    /// A helper program: done, or refused with what it said.
    async fn quiet(&self, context: &Context, argv: Vec<String>, stdin: Option<String>) -> Result<Result<Reply, Refusal>, ActionError> {
        let mut said = Capture::new(64 * 1024);
        let ended = self.exec(context, argv, self.env.clone(), stdin, &mut said).await?;
        Ok(match ended {
            Ok(exit) if exit.code == 0 => Ok(Reply::Done),
            Ok(_) => Err(Refusal::Failed(said.text().trim().to_owned())),
            Err(refusal) => Err(refusal),
        })
    }

    /// Runs a program in the directory of the context until it ends or has to.
    async fn exec(
        &self,
        context: &Context,
        argv: Vec<String>,
        env: BTreeMap<String, String>,
        stdin: Option<String>,
        output: &mut dyn Output,
    ) -> Result<Result<Exit, Refusal>, ActionError> {
        let workspace = self.place.dirs().workspace.clone();
        let argv = if context.dir.is_empty() {
            argv
        } else {
            let enter = "mkdir -p -- \"$1\" && cd -- \"$1\" && shift && exec \"$@\"";
            let head = ["/bin/sh", "-c", enter, "sh"].map(String::from).into_iter().chain([context.dir.clone()]);
            head.chain(argv).collect()
        };
        let stdin = stdin.map(|text| -> crate::host::ByteStream { futures::stream::once(async move { Ok(Bytes::from(text)) }).boxed() });
        let (tell, stop) = watch::channel(Stop::No);
        let mut interrupted = self.interrupted.clone();
        let late = *interrupted.borrow_and_update();
        let mut kill = self.kill.clone();
        let work = self.place.exec(Exec { argv, env, cwd: workspace, stdin }, output, stop, None);
        tokio::pin!(work);
        let mut why: Option<&str> = None;
        let exit = loop {
            tokio::select! {
                exit = &mut work => break exit?,
                () = reached(&mut kill, Stop::Kill) => {
                    tell.send_replace(Stop::Kill);
                    break work.await?;
                }
                () = raised(&mut interrupted), if !late && why.is_none() => {
                    why = Some("The operation was canceled.");
                    tell.send_replace(Stop::Cancel);
                }
                () = tokio::time::sleep(LOOK), if why.is_none() && (context.deadline.is_some() || !context.stops.is_empty()) => {
                    why = self.over(context);
                    if why.is_some() {
                        tell.send_replace(Stop::Cancel);
                    }
                }
            }
        };
        Ok(match why {
            Some(why) => Err(Refusal::Interrupted(why.into())),
            None => Ok(exit),
        })
    }
}

/// Waits for an interruption, for ever when none can come any more.
async fn raised(interrupted: &mut watch::Receiver<bool>) {
    if interrupted.wait_for(|raised| *raised).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// A call of an action before it has its logins.
struct Parts<'c> {
    shared: &'c Shared<'c>,
    out: &'c mut StepOutput,
    row: u32,
    with: IndexMap<String, String>,
}

impl Parts<'_> {
    fn with<'k>(&'k mut self, logins: &'k mut Logins) -> Call<'k> {
        let shared = self.shared;
        Call {
            spec: shared.spec,
            place: shared.place,
            host: &**shared.host,
            log: shared.log,
            out: self.out,
            with: std::mem::take(&mut self.with),
            env: shared.env.clone(),
            helper: shared.helper,
            helper_env: shared.helper_env.clone(),
            stop: shared.kill.clone(),
            docker: shared.docker,
            logins,
            index: self.row as usize,
            version: "",
        }
    }
}

fn stash_path(dirs: &crate::sandbox::JobDirs, name: &str) -> PathBuf {
    use sha2::{Digest as _, Sha256};
    dirs.engine.join(format!("stash-{}.tar", &hex::encode(Sha256::digest(name))[..32]))
}
