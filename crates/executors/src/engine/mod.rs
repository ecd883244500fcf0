//! Runs the steps of a planned job in order, as GitHub would.
//!
//! Rows of the job: 0 is "Set up job", then "Initialize containers" if there are any, the steps of the plan, post steps
//! in reverse order of their main steps, and "Complete job". The engine talks to the outside through [`JobHost`] and
//! runs programs through a [`Place`]; it never knows which kind either is.
//!
//! Read next: `step` (one step), `contexts` (what expressions see), `control` (cancel and time), `output` (the log).

mod carry;
mod commands;
mod contexts;
mod control;
mod coverage;
mod custom;
mod filecmd;
mod jenkins;
mod matcher;
mod output;
mod services;
mod shell;
mod step;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dialects::plan::{Action, Step, StepKind};
use kernel::Timestamp;
use tokio::sync::watch;

use crate::actions::{self, Logins};
use crate::docker::{self, Containers};
use crate::host::{HostError, HostResult, JobHost};
use crate::log::JobLog;
use crate::protocol::{Conclusion, ENVIRONMENT_URL, JobSpec, StepState, StepUpdate};
use crate::sandbox::{HostPlace, Isolation, Machine, Place};
use crate::spawn::Stop;
use crate::usage::{Meter, Source, Tally};

use carry::Carry;
pub(crate) use contexts::Contexts;
use control::Control;
use coverage::Coverage;
use matcher::Matchers;
pub use output::StepOutput;

/// How a job ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Result.
    pub conclusion: Conclusion,
    /// Its outputs.
    pub outputs: BTreeMap<String, String>,
    /// Length of the log.
    pub log_length: u64,
    /// Set when the machine failed and not the job.
    pub infra_failure: Option<String>,
    /// It failed in a way that fails no run.
    pub unstable: bool,
    /// The files are kept, so that another try can go on from this row.
    pub kept: Option<u32>,
}

/// What runs jobs on this machine.
#[derive(Clone)]
pub struct Executor {
    /// The machine.
    pub machine: Arc<Machine>,
    /// Shown to jobs as `RUNNER_NAME`.
    pub name: String,
    /// Version of the binary, for the log.
    pub version: String,
}

/// A post step that waits for the end of the job.
struct Post {
    /// Row of the step it belongs to.
    of: usize,
    name: String,
    work: PostWork,
}

/// What a post step does.
enum PostWork {
    BuiltIn { work: actions::PostWork, env: BTreeMap<String, String>, helper_env: BTreeMap<String, String> },
    Program(Box<custom::PostProgram>),
}

/// Where the job's programs run.
enum Where {
    Host(HostPlace),
    Container(Box<Containers>, HostPlace),
}

impl Where {
    fn host(&self) -> &HostPlace {
        match self {
            Where::Host(place) | Where::Container(_, place) => place,
        }
    }

    /// The network that the job's containers share.
    fn network(&self) -> Option<String> {
        match self {
            Where::Host(_) => None,
            Where::Container(containers, _) => containers.network(),
        }
    }

    /// Where it is told what the job uses: also a job in a container does some things on the host.
    fn meters(&self) -> Vec<Source> {
        let mut meters = self.host().meters();
        if let Where::Container(containers, _) = self {
            meters.extend(containers.place().into_iter().flat_map(Place::meters));
        }
        meters
    }

    fn place(&self) -> &dyn Place {
        match self {
            Where::Host(place) => place,
            Where::Container(containers, host) => containers.place().unwrap_or(host),
        }
    }
}

/// A job while it runs.
struct Run<'a> {
    executor: &'a Executor,
    spec: &'a JobSpec,
    host: Arc<dyn JobHost>,
    log: Arc<JobLog>,
    control: Control,
    rows: Vec<StepUpdate>,
    status: Conclusion,
    posts: Vec<Post>,
    logins: Logins,
    docker: Option<bollard::Docker>,
    debug: bool,
    /// How many actions deep the steps are that run now.
    nested: usize,
    /// Files of actions that were fetched.
    fetched: BTreeMap<String, PathBuf>,
    matchers: Arc<Matchers>,
    /// A pipeline of Jenkins ended `UNSTABLE`.
    unstable: bool,
    coverage: Option<Arc<Coverage>>,
    /// What containers of actions used.
    tally: Arc<Tally>,
    /// What the next try takes over if this one fails.
    carry: Option<Carry>,
    /// What this one has taken over.
    resumed: Option<Carry>,
}

impl Executor {
    /// Runs a job to its end. The error is [`HostError::Stale`]: nobody wants to hear of it any more.
    pub async fn run(&self, spec: &JobSpec, host: Arc<dyn JobHost>, stop: watch::Receiver<Stop>) -> HostResult<Outcome> {
        let log = Arc::new(JobLog::new(Arc::clone(&host)));
        log.mask(spec.secrets.values().map(String::as_str).chain([spec.job_token.as_str(), spec.checkout.token.as_str()])).await;
        log.mask(spec.services.iter().map(|s| s.token.as_str())).await;
        let on = |name: &str| {
            spec.secrets.get(name).map(String::as_str) == Some("true") || spec.contexts.get("vars").is_some_and(|v| v[name] == "true")
        };
        let debug = on("ACTIONS_STEP_DEBUG");
        let control = Control::new(stop, Duration::from_secs(spec.timeout_seconds.max(1)));
        let mut run = Run {
            executor: self,
            spec,
            host,
            log,
            control,
            rows: Vec::new(),
            status: Conclusion::Success,
            posts: Vec::new(),
            logins: Logins::default(),
            docker: None,
            debug,
            nested: 0,
            fetched: BTreeMap::new(),
            // replaced when the directories of the job are there
            matchers: Arc::new(Matchers::new(Path::new("/"), Path::new("/"))),
            unstable: false,
            coverage: spec.job.coverage.as_deref().and_then(Coverage::new).map(Arc::new),
            tally: Arc::default(),
            carry: None,
            resumed: None,
        };
        run.logins.add(&spec.registry_host, "job", &spec.job_token);
        run.all().await
    }
}

impl Run<'_> {
    async fn all(&mut self) -> HostResult<Outcome> {
        self.announce().await?;
        self.begin(0).await?;
        let made = match self.set_up().await {
            Ok(made) => made,
            Err(HostError::Stale) => return Err(HostError::Stale),
            // nobody else has the files
            Err(HostError::Refused(why)) if self.spec.resume.is_some() => {
                self.fail(0, &why).await?;
                return self.over(BTreeMap::new(), None).await;
            }
            Err(error) => return self.broken(0, &format!("the job could not be set up: {error}")).await,
        };
        let (mut place, mut contexts) = made;
        self.end(0, Conclusion::Success, Conclusion::Success, None).await?;

        let first = if let Where::Container(..) = &place {
            self.begin(1).await?;
            if let Err(error) = self.start_containers(&mut place, &mut contexts).await? {
                self.put_away(place).await;
                // a wrong image or option is the job's mistake, an engine that does not answer is the machine's
                return match error {
                    docker::Trouble::Job(why) => {
                        self.fail(1, &why).await?;
                        self.over(BTreeMap::new(), None).await
                    }
                    docker::Trouble::Engine(why) => self.broken(1, &why).await,
                };
            }
            self.end(1, Conclusion::Success, Conclusion::Success, None).await?;
            2
        } else {
            1
        };
        let steps = self.main_steps(first, &place, &mut contexts).await;
        let outputs = match steps {
            Ok(()) => self.finish_steps(&place, &mut contexts).await,
            Err(error) => Err(error),
        };
        let carried = if outputs.is_ok() { self.carried(&place).await } else { None };
        let kept = match (place, carried) {
            (Where::Host(host), Some((row, state))) => host.close_keeping(self.spec.job_id.to_string(), state).await.then_some(row),
            (place, _) => {
                self.put_away(place).await;
                None
            }
        };
        Ok(Outcome { kept, ..self.over(outputs?, None).await? })
    }

    /// Names every row that is known from the start.
    async fn announce(&mut self) -> HostResult<()> {
        let job = &self.spec.job;
        let mut names = vec!["Set up job".to_owned()];
        if job.container.is_some() || !job.services.is_empty() {
            names.push("Initialize containers".into());
        }
        names.extend(job.steps.iter().map(|step| step.title()));
        for name in names {
            self.add_row(name).await?;
        }
        Ok(())
    }

    async fn add_row(&mut self, name: String) -> HostResult<usize> {
        let index = self.rows.len();
        let row = StepUpdate {
            index: u32::try_from(index).unwrap_or(u32::MAX),
            name: self.log.masked(&name).await,
            state: StepState::Pending,
            conclusion: None,
            outcome: None,
            exit_code: None,
            log_from: None,
            log_to: None,
            started_at: None,
            finished_at: None,
            usage: None,
            taken_from: None,
        };
        self.rows.push(row.clone());
        self.host.step(row).await?;
        Ok(index)
    }

    async fn begin(&mut self, index: usize) -> HostResult<()> {
        let from = self.log.flush().await?;
        let row = &mut self.rows[index];
        row.state = StepState::Running;
        row.started_at = Some(Timestamp::now());
        row.log_from = Some(from);
        self.host.step(row.clone()).await
    }

    /// Begins to measure what a step uses.
    async fn meter(&self, places: &Where) -> Meter {
        let mut sources = places.meters();
        sources.push(Source::Programs(Arc::clone(&self.tally)));
        Meter::start(sources).await
    }

    async fn end(&mut self, index: usize, outcome: Conclusion, conclusion: Conclusion, exit_code: Option<i32>) -> HostResult<()> {
        let to = self.log.flush().await?;
        let row = &mut self.rows[index];
        let now = Timestamp::now();
        row.state = StepState::Completed;
        row.outcome = Some(outcome);
        row.conclusion = Some(conclusion);
        row.exit_code = exit_code;
        if outcome != Conclusion::Skipped {
            row.log_to = Some(to);
            row.finished_at = Some(now);
            row.started_at.get_or_insert(now);
        }
        self.host.step(row.clone()).await
    }

    /// A row of ours fails with a reason.
    async fn fail(&mut self, index: usize, why: &str) -> HostResult<()> {
        self.output(index).error(why).await?;
        self.status = Conclusion::Failure;
        self.end(index, Conclusion::Failure, Conclusion::Failure, None).await
    }

    /// The machine failed: says so and ends the job.
    async fn broken(&mut self, index: usize, why: &str) -> HostResult<Outcome> {
        self.fail(index, why).await?;
        self.over(BTreeMap::new(), Some(why.to_owned())).await
    }

    fn output(&self, index: usize) -> StepOutput {
        StepOutput::new(Arc::clone(&self.log), Arc::clone(&self.host), Arc::clone(&self.matchers), self.rows[index].index, self.debug)
            .covering(self.coverage.clone())
    }

    async fn set_up(&mut self) -> HostResult<(Where, Contexts)> {
        let spec = self.spec;
        let machine = &self.executor.machine;
        self.log.line(&format!("devmentor runner {} on {}", self.executor.version, self.executor.name)).await?;
        self.log.line(&format!("Job {} of {} at {}", spec.name, spec.project.path, spec.checkout.sha)).await?;
        let repository = workspace_name(&spec.project.path);
        let (host_place, carry) = match &spec.resume {
            None => (machine.place(&spec.job_id.to_string(), &repository).await?, None),
            Some(resume) => {
                let again = machine.place_again(&resume.job.to_string(), &repository).await?;
                let (place, state) = again.ok_or_else(|| carry::gone(machine.root()))?;
                let carry = self.read_carry(resume, &state)?;
                (place, Some(carry))
            }
        };
        let said = match machine.isolation() {
            Isolation::NamespacesAndUser => "own user, own mounts and processes",
            Isolation::Namespaces => "own mounts and processes, the runner's user",
            Isolation::User => "own user, the machine's files can be seen",
            Isolation::None => "none",
        };
        self.log.line(&format!("Isolation: {said}")).await?;
        for note in machine.capabilities().notes {
            self.log.line(&format!("##[warning]{note}")).await?;
        }
        let dirs = host_place.dirs();
        self.matchers = Arc::new(Matchers::new(&dirs.root, &dirs.workspace));
        let event = spec.contexts.get("github").and_then(|g| g.get("event")).cloned().unwrap_or_default();
        let event_path = dirs.temp_file("event.json", event.to_string().as_bytes())?;
        let mut contexts = Contexts::new(spec, dirs, &self.executor.name, &event_path)
            .map_err(|e| HostError::Refused(format!("the environment of the job is not valid: {e}")))?;
        let job = &spec.job;
        let needs_docker = job.container.is_some() || !job.services.is_empty();
        let builds = |step: &Step| match &step.kind {
            StepKind::Uses { action, .. } => matches!(action, Action::BuildImage | Action::DockerBuildPush),
            StepKind::Jenkins { text, libraries, .. } => text.contains("devmentorBuildImage") || !libraries.is_empty(),
            _ => false,
        };
        if needs_docker || job.steps.iter().any(builds) || custom::any_docker(&job.steps) {
            self.docker = self.executor.machine.docker().await;
        }
        if needs_docker && self.docker.is_none() {
            return Err(HostError::Refused("the job wants containers, but no Docker engine answers on this machine".into()));
        }
        let place = if needs_docker { Where::Container(Box::default(), host_place) } else { Where::Host(host_place) };
        if let Some(carry) = carry {
            self.take_over(carry, &place, &mut contexts).await?;
        }
        Ok((place, contexts))
    }

    async fn start_containers(&mut self, place: &mut Where, contexts: &mut Contexts) -> HostResult<Result<(), docker::Trouble>> {
        let (Where::Container(containers, host_place), Some(docker)) = (place, &self.docker) else { return Ok(Ok(())) };
        let mut out = self.output(1);
        let (tell, stop) = watch::channel(Stop::No);
        let order = docker::Order {
            docker: docker.clone(),
            job: &self.spec.job,
            job_id: self.spec.job_id.to_string(),
            tag: self.executor.machine.tag().to_owned(),
            dirs: host_place.dirs().clone(),
            logins: &self.logins,
            contexts,
        };
        let (started, _) = self.control.watch(false, None, &tell, containers.start(order, &mut out, stop)).await;
        out.finish().await?;
        match started {
            Some(Ok(())) => {
                contexts.set_container(containers.container_context());
                contexts.set_services(containers.services_context());
                Ok(Ok(()))
            }
            Some(Err(docker::StartError::Host(error))) => Err(error),
            Some(Err(docker::StartError::Trouble(trouble))) => Ok(Err(trouble)),
            None => Ok(Err(docker::Trouble::Job("The operation was canceled.".into()))),
        }
    }

    async fn main_steps(&mut self, first: usize, place: &Where, contexts: &mut Contexts) -> HostResult<()> {
        let spec = self.spec;
        for (position, step) in spec.job.steps.iter().enumerate() {
            if self.is_taken_over(position) {
                continue;
            }
            let before = contexts.written();
            self.planned_step(first + position, step, place, contexts).await?;
            if self.rows[first + position].conclusion == Some(Conclusion::Failure) {
                self.note_failure(first + position, position, before);
            }
        }
        Ok(())
    }

    /// Post steps, reports, outputs.
    async fn finish_steps(&mut self, place: &Where, contexts: &mut Contexts) -> HostResult<BTreeMap<String, String>> {
        while let Some(post) = self.posts.pop() {
            self.post_step(post, place, contexts).await?;
        }
        let index = self.add_row("Complete job".into()).await?;
        self.begin(index).await?;
        let mut out = self.output(index);
        if !self.control.killed {
            actions::report::collect_directory(place.place().dirs(), &*self.host, &mut out).await?;
        }
        if self.control.timed_out {
            let minutes = self.spec.timeout_seconds.div_ceil(60);
            out.error(&format!("The job has exceeded the maximum execution time of {minutes} minutes.")).await?;
        }
        let mut outputs = self.outputs(contexts, &mut out).await?;
        outputs.extend(self.coverage.as_ref().and_then(|c| c.found()).map(|c| ("coverage".to_owned(), c)));
        self.environment_url(contexts, &mut outputs, &mut out).await?;
        out.finish().await?;
        self.end(index, Conclusion::Success, Conclusion::Success, None).await?;
        Ok(outputs)
    }

    async fn outputs(&mut self, contexts: &Contexts, out: &mut StepOutput) -> HostResult<BTreeMap<String, String>> {
        let mut outputs = BTreeMap::new();
        for (name, text) in &self.spec.job.outputs {
            match contexts.text(text) {
                Ok(value) if self.log.is_secret(&value).await => {
                    out.warning(&format!("Skip output '{name}' since it may contain a secret.")).await?;
                }
                Ok(value) => {
                    outputs.insert(name.clone(), value);
                }
                Err(error) => {
                    out.error(&format!("the output '{name}' cannot be evaluated: {error}")).await?;
                    self.status = Conclusion::Failure;
                }
            }
        }
        Ok(outputs)
    }

    /// The address of the environment, which may be what a step has put out.
    async fn environment_url(&self, contexts: &Contexts, outputs: &mut BTreeMap<String, String>, out: &mut StepOutput) -> HostResult<()> {
        let Some(text) = self.spec.job.environment.as_ref().and_then(|e| e.url.as_ref()) else { return Ok(()) };
        match contexts.text(text) {
            Ok(url) if self.log.is_secret(&url).await => out.warning("The environment's URL may contain a secret, it is not kept.").await?,
            Ok(url) => {
                outputs.entry(ENVIRONMENT_URL.into()).or_insert(url);
            }
            Err(error) => out.warning(&format!("The environment's URL cannot be evaluated: {error}")).await?,
        }
        Ok(())
    }

    async fn put_away(&mut self, place: Where) {
        let host_place = match place {
            Where::Host(place) => place,
            Where::Container(mut containers, place) => {
                containers.close().await;
                place
            }
        };
        host_place.close().await;
    }

    async fn over(&mut self, outputs: BTreeMap<String, String>, infra_failure: Option<String>) -> HostResult<Outcome> {
        let log_length = self.log.flush().await?;
        let conclusion = if self.control.cancelled { Conclusion::Cancelled } else { self.status };
        let unstable = self.unstable && conclusion == Conclusion::Failure;
        Ok(Outcome { conclusion, outputs, log_length, infra_failure, unstable, kept: None })
    }

    /// What `job.status` and the status functions say.
    fn current_status(&self) -> Conclusion {
        if self.control.cancelled { Conclusion::Cancelled } else { self.status }
    }
}

/// Last part of the project's path, fit for a directory name.
fn workspace_name(path: &str) -> String {
    let last = path.rsplit('/').next().unwrap_or_default();
    let name: String = last.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect();
    if name.trim_matches('.').is_empty() { "workspace".into() } else { name }
}

/// Actions that need no programs of the job may still be asked for their name.
pub(crate) fn action_name(action: Action, version: &str) -> String {
    if version.is_empty() { action.as_str().to_owned() } else { format!("{}@{version}", action.as_str()) }
}

/// Paths of the file commands of one step.
struct CommandFiles {
    env: PathBuf,
    output: PathBuf,
    path: PathBuf,
    state: PathBuf,
    summary: PathBuf,
}

#[cfg(test)]
mod custom_tests;
#[cfg(test)]
mod jenkins_tests;
#[cfg(test)]
pub(crate) mod tests;
