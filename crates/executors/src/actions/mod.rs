//! The actions that are built in: what `uses` names, carried out by the runner itself.
//!
//! Their programs (git, tar) run in the job's sandbox on the host as the job's user, also when the steps run in a
//! container: they need the service, which a container may not reach, and work on directories both see. Inputs were checked when the
//! workflow was read (`dialects::github`), expressions in them are evaluated before they come here.

mod artifact;
mod cache;
mod checkout;
mod deploy;
mod dotenv;
mod image;
pub(crate) mod jenkins;
mod login;
pub(crate) mod report;
mod select;
mod setup;
mod version;

use std::collections::BTreeMap;
use std::path::PathBuf;

use dialects::plan::Action;
use indexmap::IndexMap;
use tokio::sync::watch;

use crate::engine::StepOutput;
use crate::host::{ByteStream, HostError, JobHost};
use crate::log::JobLog;
use crate::protocol::JobSpec;
use crate::sandbox::{Exec, Place};
use crate::spawn::{Capture, Exit, Output, Stop};

pub(crate) use cache::Save;
pub(crate) use login::{Logins, credentials, registry_of};

/// Most bytes kept of a helper program's output.
const CAPTURE_MAX: usize = 1 << 20;

/// Why an action failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ActionError {
    /// The reason, for the author of the workflow.
    #[error("{0}")]
    Failed(String),
    /// The outside.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl From<std::io::Error> for ActionError {
    fn from(error: std::io::Error) -> Self {
        Self::Host(error.into())
    }
}

pub(crate) type ActionResult<T = ActionEnd> = Result<T, ActionError>;

fn failed<T>(why: impl Into<String>) -> ActionResult<T> {
    Err(ActionError::Failed(why.into()))
}

/// What an action leaves.
#[derive(Debug, Default)]
pub(crate) struct ActionEnd {
    pub(crate) outputs: IndexMap<String, String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) path: Vec<String>,
    pub(crate) post: Option<PostWork>,
    /// What the program keeps for its own end.
    pub(crate) state: IndexMap<String, String>,
}

impl ActionEnd {
    fn output(mut self, name: &str, value: impl Into<String>) -> Self {
        self.outputs.insert(name.to_owned(), value.into());
        self
    }
}

/// Work for the end of the job.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) enum PostWork {
    /// Save a cache.
    Save(Save),
}

/// One use of an action.
pub(crate) struct Call<'a> {
    pub(crate) spec: &'a JobSpec,
    pub(crate) place: &'a dyn Place,
    pub(crate) host: &'a dyn JobHost,
    pub(crate) log: &'a JobLog,
    pub(crate) out: &'a mut StepOutput,
    /// Inputs by lower-case name.
    pub(crate) with: IndexMap<String, String>,
    pub(crate) env: BTreeMap<String, String>,
    /// Where helper programs (git, tar) run: the host's sandbox, also when steps run in a container.
    pub(crate) helper: &'a dyn Place,
    pub(crate) helper_env: BTreeMap<String, String>,
    pub(crate) stop: watch::Receiver<Stop>,
    pub(crate) docker: Option<&'a bollard::Docker>,
    pub(crate) logins: &'a mut Logins,
    /// Row of the step, to make file names from.
    pub(crate) index: usize,
    /// What was written after `@`.
    pub(crate) version: &'a str,
}

impl Call<'_> {
    /// An input that is not blank.
    fn input(&self, name: &str) -> Option<&str> {
        self.with.get(name).map(|v| v.trim()).filter(|v| !v.is_empty())
    }

    /// An input that must be there.
    fn required(&self, name: &str) -> ActionResult<String> {
        self.input(name).map(str::to_owned).ok_or_else(|| ActionError::Failed(format!("Input required and not supplied: {name}")))
    }

    /// A yes or no.
    fn flag(&self, name: &str, default: bool) -> ActionResult<bool> {
        match self.input(name) {
            None => Ok(default),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(other) => failed(format!("`{name}` must be true or false, not `{other}`")),
        }
    }

    /// The lines of an input.
    fn lines(&self, name: &str) -> Vec<String> {
        self.input(name).into_iter().flat_map(str::lines).map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect()
    }

    /// Shows the name and inputs as the first lines of the step.
    pub(crate) async fn introduce(&mut self, name: &str) -> ActionResult<()> {
        self.out.line(&format!("##[group]Run {name}")).await?;
        if !self.with.is_empty() {
            self.out.line("with:").await?;
        }
        for (name, value) in &self.with {
            let shown = if name == "password" { "***" } else { value.trim_end() };
            self.out.line(&format!("  {name}: {}", shown.replace('\n', "\n    "))).await?;
        }
        self.out.line("##[endgroup]").await?;
        Ok(())
    }

    /// Runs a helper program, its output in the log.
    async fn run(&mut self, argv: &[&str]) -> ActionResult<Exit> {
        let exec = self.exec(argv, None);
        Ok(self.helper.exec(exec, self.out, self.stop.clone(), None).await?)
    }

    /// Runs a helper program and keeps its output.
    pub(crate) async fn capture(&mut self, argv: &[&str]) -> ActionResult<(Exit, String)> {
        let mut output = Capture::new(CAPTURE_MAX);
        let exit = self.pipe(argv, None, &mut output).await?;
        Ok((exit, output.text()))
    }

    /// Runs a program where the steps run and keeps its output.
    async fn ask(&mut self, argv: &[&str]) -> ActionResult<(Exit, String)> {
        let mut output = Capture::new(CAPTURE_MAX);
        let exec = Exec { env: self.env.clone(), ..self.exec(argv, None) };
        let exit = self.place.exec(exec, &mut output, self.stop.clone(), None).await?;
        Ok((exit, output.text()))
    }

    /// Runs a helper program between two streams.
    async fn pipe(&mut self, argv: &[&str], stdin: Option<ByteStream>, output: &mut dyn Output) -> ActionResult<Exit> {
        let exec = self.exec(argv, stdin);
        Ok(self.helper.exec(exec, output, self.stop.clone(), None).await?)
    }

    fn exec(&self, argv: &[&str], stdin: Option<ByteStream>) -> Exec {
        let argv = argv.iter().map(|&a| a.to_owned()).collect();
        Exec { argv, env: self.helper_env.clone(), cwd: self.place.dirs().workspace.clone(), stdin }
    }

    /// A path for a file of ours that the job cannot exchange, unless it is the same user.
    fn scratch(&self, name: &str) -> PathBuf {
        self.place.dirs().engine.join(format!("{}-{name}", self.index))
    }
}

/// Carries out an action.
pub(crate) async fn run(action: Action, call: &mut Call<'_>) -> ActionResult {
    match action {
        Action::Checkout => checkout::run(call).await,
        Action::Cache => cache::run(call, true).await,
        Action::CacheRestore => cache::run(call, false).await,
        Action::CacheSave => cache::save_now(call).await,
        Action::UploadArtifact => artifact::upload(call).await,
        Action::DownloadArtifact => artifact::download(call).await,
        Action::SetupNode => setup::node(call).await,
        Action::SetupPython => setup::python(call).await,
        Action::SetupGo => setup::go(call).await,
        Action::SetupJava => setup::java(call).await,
        Action::RustToolchain | Action::SetupRustToolchain => setup::rust(call).await,
        Action::DockerLogin => login::run(call).await,
        Action::DockerBuildPush => image::build_push(call).await,
        Action::BuildImage => image::build_image(call).await,
        Action::Deploy => deploy::run(call).await,
        Action::Report => report::run(call).await,
        Action::Dotenv => dotenv::run(call).await,
    }
}

/// Fetches one commit of a repository of the instance into a new directory.
pub(crate) async fn fetch(call: &mut Call<'_>, url: &str, commit: &str, target: &std::path::Path) -> ActionResult<()> {
    checkout::fetch(call, url, commit, target).await
}

/// Carries out what an action left for the end of the job.
pub(crate) async fn post(work: PostWork, call: &mut Call<'_>) -> ActionResult<()> {
    match work {
        PostWork::Save(save) => cache::save(call, &save).await,
    }
}
