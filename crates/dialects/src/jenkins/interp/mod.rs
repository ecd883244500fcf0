//! Runs the Groovy of `script { }`, of strings and of steps.
//!
//! Deterministic: the same file and the same answers of the [`Host`] give the same calls of it. Bounded: statements,
//! depth and allocated bytes are counted, and a deadline of `timeout` is looked at on the way. What a step does to the
//! world is asked of the host; the rest (loops, `retry`, `catchError`, `withEnv`, ...) happens here.

mod eval;
mod methods;
mod modules;
mod ops;
mod question;
mod service;
mod steps;
pub(crate) use question::parameter;
pub use question::{Answer, Parameter, Question};
pub(crate) use steps::{KNOWN, NOTIFIERS, UNSUPPORTED, join, millis};
#[cfg(test)]
mod tests;
mod value;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use indexmap::IndexMap;

use super::ast::{Script, Stmt};
use super::library::Library;
use super::run::{History, Past};
use super::source::Source;
use crate::plan::Action;
use value::lock;
pub use value::{BuildResult, ClosureValue, Exception, Module, Scope, Value};

/// Most evaluated nodes of a run.
const MAX_STEPS: u64 = if cfg!(test) { 100_000 } else { 5_000_000 };
/// Most bytes of values made in a run.
const MAX_BYTES: u64 = if cfg!(test) { 64 << 20 } else { 512 << 20 };
/// Deepest nesting of evaluation.
const MAX_DEPTH: usize = 600;
/// Stack a thread needs that runs the interpreter.
pub const STACK_BYTES: usize = 128 << 20;

/// What steps see of where they stand.
#[derive(Clone, Default)]
pub struct Context {
    /// Environment of `environment`, `withEnv` and credentials.
    pub env: Arc<IndexMap<String, String>>,
    /// Directory below the workspace.
    pub dir: String,
    /// Does an agent hold it, so that nobody else may have the place while it waits?
    pub agent: bool,
    /// When it must be over, on the host's clock.
    pub deadline: Option<u64>,
    /// Name before the lines of a parallel branch.
    pub branch: Option<String>,
    /// The row of the stage.
    pub row: usize,
    /// Raised when a sibling failed and the others are to stop.
    pub stops: Vec<Arc<AtomicBool>>,
    pub(crate) marks: Vec<Arc<Mutex<BuildResult>>>,
    pub(crate) depth: Arc<AtomicUsize>,
}

/// One level of evaluation, until it is dropped.
pub(crate) struct Level<'c>(&'c AtomicUsize);

impl Drop for Level<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Context {
    /// One level deeper.
    pub(crate) fn deeper(&self, at: u32) -> Eval<Level<'_>> {
        if self.depth.fetch_add(1, Ordering::Relaxed) > MAX_DEPTH {
            self.depth.fetch_sub(1, Ordering::Relaxed);
            return Err(limit("the script is nested or recurses too deeply".into(), at));
        }
        Ok(Level(&self.depth))
    }

    /// For a branch that runs beside others: its own depth.
    pub(crate) fn branch_of(&self) -> Self {
        let depth = self.depth.load(Ordering::Relaxed);
        Self { depth: Arc::new(AtomicUsize::new(depth)), ..self.clone() }
    }

    pub(crate) fn with_env(&self, pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut env = (*self.env).clone();
        env.extend(pairs);
        Self { env: Arc::new(env), ..self.clone() }
    }

    /// Was a stop asked for?
    pub fn stopped(&self) -> bool {
        self.stops.iter().any(|s| s.load(Ordering::Relaxed))
    }
}

/// What is asked of the world.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// A line for the log.
    Echo(String),
    /// A shell script; `capture` returns its output.
    Shell {
        /// Its text.
        script: String,
        /// Its standard output is the answer.
        capture: bool,
        /// Shown in place of the script.
        label: Option<String>,
    },
    /// Waits so many milliseconds.
    Sleep(u64),
    /// The text of a file.
    ReadFile(String),
    /// Writes a file.
    WriteFile {
        /// Path below the directory.
        path: String,
        /// Text.
        text: String,
    },
    /// Is there such a file?
    Exists(String),
    /// Empties the directory.
    DeleteDir,
    /// Keeps files for [`Request::Unstash`].
    Stash {
        /// Name.
        name: String,
        /// Patterns with commas.
        includes: String,
        /// Patterns with commas.
        excludes: String,
        /// None is no error.
        allow_empty: bool,
    },
    /// Brings kept files back.
    Unstash(String),
    /// Stores files with the run.
    Archive {
        /// Patterns with commas.
        includes: String,
        /// Patterns with commas.
        excludes: String,
        /// None is no error.
        allow_empty: bool,
    },
    /// Reads test reports.
    Junit {
        /// Patterns with commas.
        pattern: String,
        /// None is no error.
        allow_empty: bool,
    },
    /// The sources of the run into the directory.
    Checkout,
    /// Something only people know; the answer is [`Reply::Answer`].
    Input {
        /// What is asked.
        question: Question,
        /// No agent is held meanwhile.
        outside: bool,
    },
    /// The service itself does something for the job.
    Service {
        /// Builds an image, or deploys one.
        action: Action,
        /// Inputs of the action.
        with: IndexMap<String, String>,
    },
    /// The run passes a milestone; a text is the newer run that has passed it.
    Milestone(i64),
    /// A file only the job can read; the answer is its path.
    SecretFile(String),
    /// The directory's absolute path.
    Pwd,
    /// A stage begins; the answer is its row.
    StageBegin(String),
    /// It ends.
    StageEnd {
        /// Its row.
        row: usize,
        /// How.
        result: BuildResult,
    },
}

/// What the world answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// It is done.
    Done,
    /// A text.
    Text(String),
    /// Yes or no.
    Flag(bool),
    /// A script ended.
    Shell {
        /// Exit code.
        code: i32,
        /// What it wrote, when asked for.
        stdout: String,
    },
    /// Test reports were read.
    Tests {
        /// All cases.
        total: usize,
        /// Those that failed.
        failed: usize,
        /// Those left out.
        skipped: usize,
    },
    /// A number of files, or a row.
    Count(usize),
    /// What people say.
    Answer(Answer),
}

/// Why the world did not answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// The step failed.
    Failed(String),
    /// It was stopped: cancelled, out of time, or a sibling failed.
    Interrupted(String),
    /// Nothing more can be asked.
    Gone,
}

/// A secret.
#[derive(Clone, Debug, PartialEq)]
pub enum Credential {
    /// One text.
    Text(String),
    /// Name and password.
    Pair(String, String),
}

/// One branch of a `parallel`.
pub type Task<'t> = Box<dyn FnOnce() + Send + 't>;

/// The world of a pipeline.
pub trait Host: Sync {
    /// Carries out a request.
    ///
    /// # Errors
    /// When it failed or was stopped.
    fn ask(&self, context: &Context, env: &IndexMap<String, String>, request: Request) -> Result<Reply, Refusal>;

    /// A secret by the id of its credential.
    fn credential(&self, id: &str) -> Option<Credential>;

    /// Milliseconds since the start.
    fn now(&self) -> u64;

    /// Runs branches; side by side where threads are at hand.
    fn parallel(&self, tasks: Vec<Task<'_>>) {
        for task in tasks {
            task();
        }
    }
}

/// What the branches share.
pub(crate) struct Shared {
    steps: AtomicU64,
    bytes: AtomicU64,
    /// Undeclared variables, `@Field`s and methods of the file: all that methods see.
    globals: Arc<Scope>,
    /// `env.X = ...`.
    pub(crate) env: Mutex<IndexMap<String, String>>,
    pub(crate) params: Value,
    pub(crate) result: Mutex<BuildResult>,
    pub(crate) previous: Option<BuildResult>,
    pub(crate) history: History,
    shelf: modules::Shelf,
    build: Mutex<IndexMap<String, Value>>,
    /// The last milestone.
    milestone: Mutex<i64>,
}

/// Runs code of one file.
pub struct Interp<'h> {
    pub(crate) host: &'h dyn Host,
    pub(crate) shared: Arc<Shared>,
    pub(crate) source: &'h Source,
}

/// What a run starts with.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// `params`.
    pub params: IndexMap<String, serde_json::Value>,
    /// Environment, such as `BRANCH_NAME`.
    pub env: IndexMap<String, String>,
    /// The builds before, and what has changed since.
    pub history: History,
    /// Shared libraries.
    pub libraries: Vec<Library>,
    /// Fields of `currentBuild`.
    pub build: IndexMap<String, serde_json::Value>,
}

/// Where code stands: its variables and its surroundings.
pub(crate) struct Frame<'f> {
    pub(crate) scope: &'f Arc<Scope>,
    pub(crate) ctx: &'f Context,
}

/// Result of evaluation.
pub(crate) type Eval<T> = Result<T, Box<Exception>>;

impl<'h> Interp<'h> {
    /// Takes the methods of a file and the libraries.
    pub fn new(host: &'h dyn Host, source: &'h Source, script: &Script, start: &Start) -> Self {
        let to_value = |map: &IndexMap<String, serde_json::Value>| map.iter().map(|(k, v)| (k.clone(), Value::from_json(v))).collect();
        let shared = Shared {
            steps: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            globals: Scope::of_file(modules::methods(script)),
            shelf: modules::Shelf::read(source, &start.libraries),
            env: Mutex::new(start.env.clone()),
            params: Value::map(to_value(&start.params)),
            result: Mutex::new(BuildResult::Success),
            previous: start.history.previous.as_ref().and_then(Past::ended),
            history: start.history.clone(),
            build: Mutex::new(to_value(&start.build)),
            milestone: Mutex::new(-1),
        };
        Self { host, shared: Arc::new(shared), source }
    }

    /// The same for another part of the run.
    pub(crate) fn again(&self) -> Interp<'h> {
        Interp { host: self.host, shared: Arc::clone(&self.shared), source: self.source }
    }

    /// The outermost variables, which stages see and methods do not.
    pub(crate) fn top(&self) -> Arc<Scope> {
        Scope::inside(&self.shared.globals)
    }

    /// Runs statements as a block of steps.
    pub(crate) fn block(&self, body: &[Stmt], scope: &Arc<Scope>, ctx: &Context) -> Eval<Value> {
        let scope = Scope::inside(scope);
        match self.statements(body, &Frame { scope: &scope, ctx })? {
            eval::Flow::Value(value) | eval::Flow::Return(value) => Ok(value),
            eval::Flow::Break | eval::Flow::Continue => Ok(Value::Null),
        }
    }

    /// Runs a piece of code, for `script` and tests.
    ///
    /// # Errors
    /// What it threw.
    pub fn run(&self, script: &Script, context: &Context) -> Result<Value, Exception> {
        let scope = self.top();
        self.block(&script.body, &scope, context).map_err(|e| *e)
    }

    /// How the build stands.
    pub fn result(&self) -> BuildResult {
        *lock(&self.shared.result)
    }

    /// Makes the build, and the stages around, worse.
    pub(crate) fn worsen(&self, ctx: &Context, result: BuildResult) {
        let mut now = lock(&self.shared.result);
        *now = (*now).max(result);
        drop(now);
        mark(ctx, result);
    }

    /// The environment of a step.
    pub(crate) fn env(&self, ctx: &Context) -> IndexMap<String, String> {
        let mut env = lock(&self.shared.env).clone();
        env.extend(ctx.env.iter().map(|(k, v)| (k.clone(), v.clone())));
        env
    }

    /// Asks the host, after looking at the clock.
    pub(crate) fn ask(&self, ctx: &Context, at: u32, request: Request) -> Eval<Reply> {
        self.look(ctx, at)?;
        let env = match &request {
            Request::Shell { .. } => self.env(ctx),
            _ => IndexMap::new(),
        };
        let reply = self.host.ask(ctx, &env, request).map_err(|refusal| match refusal {
            Refusal::Failed(message) => exception("hudson.AbortException", message, at),
            Refusal::Interrupted(message) => interrupted(message, at),
            Refusal::Gone => Box::new(Exception { fatal: true, ..*interrupted("the job is over".into(), at) }),
        })?;
        if let Reply::Text(text) | Reply::Shell { stdout: text, .. } = &reply {
            self.grow(text.len(), at)?;
        }
        Ok(reply)
    }

    /// Is there still time, and does nobody want us to stop?
    pub(crate) fn look(&self, ctx: &Context, at: u32) -> Eval<()> {
        if ctx.stopped() {
            return Err(interrupted("a parallel branch failed".into(), at));
        }
        if ctx.deadline.is_some_and(|deadline| self.host.now() >= deadline) {
            return Err(interrupted("Timeout has been exceeded".into(), at));
        }
        Ok(())
    }

    pub(crate) fn echo(&self, ctx: &Context, text: &str) -> Eval<()> {
        self.ask(ctx, 0, Request::Echo(text.to_owned())).map(|_| ())
    }

    /// Counts a step of evaluation.
    fn tick(&self, ctx: &Context, at: u32) -> Eval<()> {
        let count = self.shared.steps.fetch_add(1, Ordering::Relaxed);
        if count >= MAX_STEPS {
            return Err(limit(format!("the script took more than {MAX_STEPS} steps"), at));
        }
        if count.is_multiple_of(4096) {
            self.look(ctx, at)?;
        }
        Ok(())
    }

    /// Counts bytes of values.
    fn grow(&self, bytes: usize, at: u32) -> Eval<()> {
        let before = self.shared.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if before + bytes as u64 > MAX_BYTES {
            return Err(limit(format!("the script made more than {} MiB of values", MAX_BYTES >> 20), at));
        }
        Ok(())
    }
}

/// Notes a result at the stages around.
pub(crate) fn mark(ctx: &Context, result: BuildResult) {
    for mark in &ctx.marks {
        let mut now = lock(mark);
        *now = (*now).max(result);
    }
}

pub(crate) fn exception(class: &str, message: impl Into<String>, at: u32) -> Box<Exception> {
    Box::new(Exception { class: class.into(), message: message.into(), result: BuildResult::Failure, at, fatal: false })
}

pub(crate) fn interrupted(message: String, at: u32) -> Box<Exception> {
    let class = "org.jenkinsci.plugins.workflow.steps.FlowInterruptedException";
    Box::new(Exception { class: class.into(), message, result: BuildResult::Aborted, at, fatal: false })
}

fn limit(message: String, at: u32) -> Box<Exception> {
    Box::new(Exception { class: "Limit".into(), message, result: BuildResult::Failure, at, fatal: true })
}

pub(crate) fn unsupported(what: &str, at: u32) -> Box<Exception> {
    let message = format!("{what} is not supported here");
    Box::new(Exception { class: "Unsupported".into(), message, result: BuildResult::Failure, at, fatal: true })
}
