//! The runner's side of the protocol: takes jobs while it has room, runs each, and tells how it went.
//!
//! Invariants: a job's lease decides, never the connection. The server may go and come back at any time; a job goes on,
//! its log waits in a bounded buffer and is sent from where the server left off. A lost lease kills the job at once.
//!
//! Must not know: how a step is carried out (`executors`), or who decides which runner gets which job.
//!
//! Read next: `transport` (the way to the server), `host` (what a job tells), `client` (calls and repetition).

mod client;
pub mod embedded;
mod host;
pub mod transport;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use executors::engine::Executor;
use executors::host::{HostError, JobHost};
use executors::protocol::{
    CLAIM_SECONDS, Capabilities, ClaimAnswer, ClaimRequest, Complete, Conclusion, JobSpec, RegisterAnswer, RegisterRequest,
};
pub use executors::sandbox::Isolation;
use executors::sandbox::{Machine, MachineConfig};
use executors::spawn::Stop;
use http::{Method, StatusCode};
use kernel::{Code, Error, JobId, Result};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use client::{Client, Failure};
use host::{RemoteHost, Slot};
pub use transport::{HttpTransport, LocalTransport, Transport};

/// How long a job that is given back may take to end.
const GIVE_BACK: Duration = Duration::from_secs(15);
/// How long the end of a job waits for a server that is away.
const LAST_WORD: Duration = Duration::from_secs(900);

/// How a runner works.
#[derive(Clone, Debug)]
pub struct RunnerConfig {
    /// Shown to people and jobs.
    pub name: String,
    /// What `runs-on` may ask for.
    pub labels: Vec<String>,
    /// Jobs at a time.
    pub capacity: u32,
    /// Its use of the machine.
    pub machine: MachineConfig,
    /// How long running jobs may go on after it is told to stop; then they are given back.
    pub drain: Duration,
    /// Version of the binary.
    pub version: String,
    /// Takes one job, then ends.
    pub ephemeral: bool,
    /// Ends when the server drains it.
    pub until_drained: bool,
}

/// How soon a runner is to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shutdown {
    /// Not at all.
    #[default]
    No,
    /// Take no more jobs, let those that run finish within the drain time.
    Drain,
    /// Give the jobs back now.
    Now,
}

/// Labels of every runner on this kind of machine: a workflow written for a hosted runner finds them.
pub fn default_labels() -> Vec<String> {
    let arch = if std::env::consts::ARCH == "aarch64" { "arm64" } else { "x64" };
    ["self-hosted", "linux", arch, "ubuntu-latest", "ubuntu-24.04", "ubuntu-22.04"].map(String::from).to_vec()
}

/// A runner that is ready: its machine is known and cleared of what an earlier life left.
pub struct Runner {
    config: RunnerConfig,
    machine: Arc<Machine>,
    docker: bool,
}

impl Runner {
    /// Looks at the machine.
    ///
    /// # Errors
    /// When its directory is not to be had, or belongs to another runner.
    pub async fn prepare(config: RunnerConfig) -> Result<Self> {
        let root = config.machine.root.display().to_string();
        let machine = Machine::prepare(config.machine.clone()).await;
        let machine = machine.map_err(|e| Error::new(Code::Unavailable, format!("the runner cannot use {root}: {e}")).with_source(e))?;
        let docker = machine.docker().await;
        if let Some(docker) = &docker {
            executors::docker::sweep(docker, machine.tag()).await;
        }
        let mut config = config;
        if docker.is_some() && !config.labels.iter().any(|l| l == "docker") {
            config.labels.push("docker".into());
        }
        let runner = Self { config, machine, docker: docker.is_some() };
        let found = runner.capabilities();
        tracing::info!(isolation = found.isolation, docker = found.docker, cgroups = found.cgroups, "the machine for jobs");
        for note in &found.notes {
            tracing::warn!("{note}");
        }
        Ok(runner)
    }

    /// What the machine can do.
    pub fn capabilities(&self) -> Capabilities {
        Capabilities { docker: self.docker, ..self.machine.capabilities() }
    }

    /// How jobs are kept apart on the machine.
    pub fn isolation(&self) -> Isolation {
        self.machine.isolation()
    }

    /// What to say when registering.
    pub fn introduction(&self, registration_token: &str) -> RegisterRequest {
        RegisterRequest {
            registration_token: registration_token.to_owned(),
            name: self.config.name.clone(),
            labels: self.config.labels.clone(),
            capacity: self.config.capacity,
            version: self.config.version.clone(),
            os: std::env::consts::OS.into(),
            arch: std::env::consts::ARCH.into(),
            capabilities: self.capabilities(),
            ephemeral: self.config.ephemeral,
        }
    }

    /// Takes and runs jobs until told to stop.
    ///
    /// # Errors
    /// When the server no longer knows this runner's token.
    pub async fn run(&self, transport: Arc<dyn Transport>, token: &str, mut shutdown: watch::Receiver<Shutdown>) -> Result<()> {
        let client = Client::new(transport, token);
        let executor =
            Executor { machine: Arc::clone(&self.machine), name: self.config.name.clone(), version: self.config.version.clone() };
        let slots = Arc::new(Semaphore::new(self.config.capacity as usize));
        let (give_back, stop_jobs) = watch::channel(false);
        let mut jobs = JoinSet::new();
        let outcome = tokio::select! {
            outcome = claim_loop(&client, &executor, &slots, &stop_jobs, &mut jobs, &self.config) => outcome,
            () = reached(&mut shutdown, Shutdown::Drain) => Ok(()),
        };
        if !jobs.is_empty() {
            tracing::info!(running = jobs.len(), "no more jobs are taken; those that run may finish");
        }
        // drained by the server or after its one job it has all the time it needs; once it is told to stop, so much and no more
        let mut told = shutdown.clone();
        let hurry = async {
            if outcome.is_ok() {
                reached(&mut told, Shutdown::Drain).await;
            }
            tokio::time::sleep(self.config.drain).await;
        };
        tokio::select! {
            () = async { while jobs.join_next().await.is_some() {} } => {}
            () = hurry => {}
            () = reached(&mut shutdown, Shutdown::Now) => {}
        }
        give_back.send_replace(true);
        while jobs.join_next().await.is_some() {}
        outcome
    }
}

async fn reached(shutdown: &mut watch::Receiver<Shutdown>, level: Shutdown) {
    // whoever could tell is gone: that is the end, too
    let _ = shutdown.wait_for(|now| *now >= level).await;
}

/// Registers with a one-time token.
///
/// # Errors
/// When the server cannot be reached or refuses.
pub async fn register(transport: Arc<dyn Transport>, request: &RegisterRequest) -> Result<RegisterAnswer> {
    let client = Client::new(transport, "");
    let asked = async {
        let call = client.json(Method::POST, "/runner/register", request)?;
        client.ask(call, Duration::from_secs(30)).await
    };
    asked.await.map_err(|error: HostError| {
        let code = if matches!(error, HostError::Unavailable(_)) { Code::Unavailable } else { Code::BadCredentials };
        Error::new(code, format!("the runner could not register: {error}"))
    })
}

/// Tells the server that the runner of this token is gone for good.
///
/// # Errors
/// When the server cannot be reached or refuses.
pub async fn leave(transport: Arc<dyn Transport>, token: &str) -> Result<()> {
    let client = Client::new(transport, token);
    let asked = async {
        let call = client.json(Method::POST, "/runner/leave", &serde_json::json!({}))?;
        client.persist(call, Duration::from_secs(30)).await.map(|_| ()).map_err(HostError::from)
    };
    asked.await.map_err(|error: HostError| Error::new(Code::Unavailable, format!("the runner could not leave: {error}")))
}

async fn claim_loop(
    client: &Client,
    executor: &Executor,
    slots: &Arc<Semaphore>,
    stop_jobs: &watch::Receiver<bool>,
    jobs: &mut JoinSet<()>,
    config: &RunnerConfig,
) -> Result<()> {
    let mut pause = Duration::from_millis(200);
    let mut fresh = true;
    let mut at_work = HashMap::new();
    // set while it is not known what the server leased with an answer that did not arrive
    let mut unsure = false;
    // what the server knows of the failed jobs whose files are here
    let mut told = None;
    loop {
        while let Some(ended) = jobs.try_join_next_with_id() {
            at_work.remove(&ended.map_or_else(|failed| failed.id(), |(id, ())| id));
        }
        // one slot in hand, then all that are free are asked for
        let Ok(first) = Arc::clone(slots).acquire_owned().await else { return Ok(()) };
        let mut permits = vec![first];
        while let Ok(more) = Arc::clone(slots).try_acquire_owned() {
            permits.push(more);
        }
        let free = u32::try_from(permits.len()).unwrap_or(u32::MAX);
        let held = unsure.then(|| at_work.values().copied().collect());
        let free = if config.ephemeral { 1 } else { free };
        let machine = Arc::clone(&executor.machine);
        let kept = tokio::task::spawn_blocking(move || machine.kept()).await.unwrap_or_default();
        let kept: Vec<JobId> = kept.iter().filter_map(|id| id.parse().ok()).collect();
        let tell = (fresh || told.as_ref() != Some(&kept)).then(|| kept.clone());
        match claim(client, ClaimRequest { free, fresh, until_drained: config.until_drained, kept: tell, held }).await {
            Ok(answer) => {
                told = Some(kept);
                (fresh, unsure) = (false, false);
                pause = Duration::from_millis(200);
                let last = answer.drained || (config.ephemeral && !answer.jobs.is_empty());
                for spec in answer.jobs {
                    let Some(permit) = permits.pop() else {
                        tracing::error!(job = %spec.job_id, "more jobs than asked for: this one is given back");
                        unsure = true;
                        continue;
                    };
                    let id = spec.job_id;
                    let task = jobs.spawn(one(client.clone(), executor.clone(), spec, stop_jobs.clone(), Slot::new(slots, permit)));
                    at_work.insert(task.id(), id);
                }
                if last {
                    return Ok(());
                }
            }
            Err(Failure { status: Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN), error }) => {
                return Err(Error::new(Code::Unauthenticated, format!("the server does not accept this runner: {error}")));
            }
            Err(Failure { error, .. }) => {
                tracing::warn!(%error, "no jobs can be asked for; trying again");
                unsure = true;
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(5));
            }
        }
    }
}

async fn claim(client: &Client, request: ClaimRequest) -> Result<ClaimAnswer, Failure> {
    let local = |error: HostError| Failure { status: None, error };
    let mut call = client.json(Method::POST, "/runner/claim", &request).map_err(local)?;
    call.limit = Some(Duration::from_secs(CLAIM_SECONDS + 20));
    let bytes = client.once(call).await?.bytes(64 << 20).await.map_err(|e| local(e.into()))?;
    serde_json::from_slice(&bytes).map_err(|e| local(HostError::Unavailable(format!("the jobs cannot be read: {e}"))))
}

/// Runs one job and tells its end.
async fn one(client: Client, executor: Executor, spec: JobSpec, mut stop_jobs: watch::Receiver<bool>, slot: Slot) {
    let (tell, stop) = watch::channel(Stop::No);
    let host = RemoteHost::new(&client, &spec, tell.clone(), slot);
    tracing::info!(job = %spec.job_id, name = spec.name, project = spec.project.path, "a job begins");
    let mut tasks = JoinSet::new();
    tasks.spawn(Arc::clone(&host).send_loop());
    tasks.spawn(Arc::clone(&host).beat_loop());
    let outside: Arc<dyn JobHost> = host.clone();
    let job = executor.run(&spec, outside, stop);
    tokio::pin!(job);
    let mut given_back = None;
    let ended = loop {
        tokio::select! {
            ended = &mut job => break ended,
            Ok(_) = stop_jobs.wait_for(|stop| *stop), if given_back.is_none() => {
                given_back = Some(tokio::time::Instant::now() + GIVE_BACK);
                tell.send_replace(Stop::Kill);
            }
            // it may hang on a server that is away
            () = tokio::time::sleep_until(given_back.unwrap_or_else(tokio::time::Instant::now)), if given_back.is_some() => {
                break Err(HostError::Unavailable("the runner was stopped".into()));
            }
        }
    };
    let end = match ended {
        Ok(outcome) => {
            let infra_failure = if given_back.is_some() { Some("the runner was stopped".to_owned()) } else { outcome.infra_failure };
            Complete {
                epoch: spec.epoch,
                conclusion: outcome.conclusion,
                outputs: outcome.outputs,
                log_length: outcome.log_length,
                infra_failure,
                unstable: outcome.unstable,
                kept: outcome.kept,
            }
        }
        Err(error) if host.is_stale() || matches!(error, HostError::Stale) => {
            tracing::warn!(job = %spec.job_id, "the job was lost to another lease and has been stopped");
            return;
        }
        Err(error) => Complete {
            epoch: spec.epoch,
            conclusion: Conclusion::Failure,
            outputs: Default::default(),
            log_length: 0,
            infra_failure: Some(error.to_string()),
            unstable: false,
            kept: None,
        },
    };
    let told = async {
        // with an infrastructure failure the log need not be whole
        if end.infra_failure.is_some() {
            let _ = tokio::time::timeout(GIVE_BACK, host.flush()).await;
        } else {
            let late = |_| HostError::Unavailable("the server was away too long".into());
            tokio::time::timeout(LAST_WORD, host.flush()).await.map_err(late)??;
        }
        host.complete(&end).await
    };
    match told.await {
        Ok(()) => tracing::info!(job = %spec.job_id, conclusion = %end.conclusion, infra = ?end.infra_failure, "a job ended"),
        Err(error) => tracing::error!(job = %spec.job_id, %error, "the end of a job could not be told"),
    }
}

#[cfg(test)]
mod tests;
