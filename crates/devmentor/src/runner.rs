//! `devmentor runner`: takes jobs from a server and runs them on this machine.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use area_build::runner::{HttpTransport, Runner, RunnerConfig, Shutdown, Transport, default_labels, leave, register};
use clap::Args;
use executors::protocol::RegisterAnswer;
use executors::sandbox::{KeepLimits, Limits, MachineConfig};
use kernel::{Code, Error, Result};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use web_kit::Config;

use crate::telemetry;

/// What can be said to a runner.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct RunnerArgs {
    /// See to the runners of a server instead of being one.
    #[command(subcommand)]
    pub(crate) command: Option<crate::ci_args::Runners>,
    /// One-time registration token (POST /runners/tokens); needed the first time only.
    #[arg(long, env = "DEVMENTOR_RUNNER_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Shown to people and jobs; the host's name unless given.
    #[arg(long)]
    name: Option<String>,
    /// A label that jobs may ask for, besides the usual ones; may be given several times.
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    /// Offer the given labels only.
    #[arg(long, requires = "labels")]
    only_labels: bool,
    /// Jobs at a time.
    #[arg(long, default_value_t = 1)]
    capacity: u32,
    /// Where jobs live; belongs to this runner alone.
    #[arg(long, default_value = "/var/lib/devmentor-runner", value_name = "DIR")]
    work_dir: PathBuf,
    /// A directory or file no job may see; may be given several times.
    #[arg(long = "hide", value_name = "PATH")]
    hidden: Vec<PathBuf>,
    /// A variable of the runner's environment to hand on to jobs; may be given several times.
    #[arg(long = "pass-env", value_name = "NAME")]
    pass_env: Vec<String>,
    /// Memory of one job in MiB.
    #[arg(long, value_name = "MIB")]
    memory: Option<u64>,
    /// Cores of one job, such as 1.5.
    #[arg(long)]
    cpus: Option<f64>,
    /// Processes and threads of one job.
    #[arg(long)]
    processes: Option<u64>,
    /// Failed jobs whose files are kept, for a retry from the step that failed; 0: none.
    #[arg(long, default_value_t = 5, value_name = "JOBS")]
    keep_jobs: usize,
    /// MiB that these files take at most, together.
    #[arg(long, default_value_t = 10240, value_name = "MIB")]
    keep_size: u64,
    /// Hours that they are kept; at most 720.
    #[arg(long, default_value_t = 24, value_name = "HOURS")]
    keep_hours: u64,
    /// Refuse to work when jobs cannot be kept apart from the machine.
    #[arg(long)]
    require_isolation: bool,
    /// Seconds that running jobs may go on after SIGTERM; a second signal gives them back at once.
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    drain: u64,
    /// Take one job, leave the server, and end.
    #[arg(long)]
    ephemeral: bool,
    /// End when the server drains this runner and its jobs are done.
    #[arg(long)]
    until_drained: bool,
}

/// Who this runner is to its server, kept between starts.
#[derive(Serialize, Deserialize)]
struct Identity {
    server: String,
    #[serde(flatten)]
    answer: RegisterAnswer,
}

/// Runs jobs until told to stop.
pub(crate) fn run(args: RunnerArgs, server: Option<String>) -> Result<()> {
    let server = server.ok_or_else(|| Error::new(Code::InvalidRequest, "give the address of the server: --server URL"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Error::internal)?;
    runtime.block_on(async {
        let telemetry = telemetry::start(&Config::from_pairs(&BTreeMap::new())?)?;
        let outcome = work(args, server).await;
        telemetry.stop().await;
        outcome
    })
}

async fn work(args: RunnerArgs, server: String) -> Result<()> {
    let transport: Arc<dyn Transport> =
        Arc::new(HttpTransport::new(&server).map_err(|e| Error::new(Code::InvalidRequest, format!("{server}: {e}")).with_source(e))?);
    let mut labels = if args.only_labels { Vec::new() } else { default_labels() };
    labels.extend(args.labels.iter().cloned());
    let usual = Limits::default();
    let limits = Limits {
        memory: args.memory.map_or(usual.memory, |mib| mib << 20),
        cpus: args.cpus.unwrap_or(usual.cpus),
        pids: args.processes.unwrap_or(usual.pids),
        files: usual.files,
    };
    let machine = MachineConfig {
        root: args.work_dir.clone(),
        hidden: args.hidden.clone(),
        limits,
        pass_env: args.pass_env.clone(),
        docker_host: None,
        keep: KeepLimits {
            jobs: args.keep_jobs,
            bytes: args.keep_size.saturating_mul(1 << 20),
            age: Duration::from_secs(args.keep_hours.min(24 * 30) * 3600),
        },
    };
    let name = args.name.clone().unwrap_or_else(host_name);
    let config = RunnerConfig {
        name,
        labels,
        capacity: args.capacity.max(1),
        machine,
        drain: Duration::from_secs(args.drain),
        version: env!("CARGO_PKG_VERSION").into(),
        ephemeral: args.ephemeral,
        until_drained: args.until_drained,
    };
    let runner = Runner::prepare(config).await?;
    if args.require_isolation && runner.isolation() == area_build::runner::Isolation::None {
        return Err(Error::new(Code::NotConfigured, "this machine offers no isolation for jobs: see the notes above"));
    }
    let file = args.work_dir.join("identity.json");
    let known = read(&file).filter(|identity| identity.server == server);
    let mut fresh = known.is_none();
    let mut identity = match known {
        Some(identity) => identity,
        None => enrol(&args, &server, &runner, &transport, &file).await?,
    };
    println!("Runner {} works for {server}", identity.answer.runner_id);
    let (tell, shutdown) = watch::channel(Shutdown::No);
    tokio::spawn(signals(tell));
    loop {
        match runner.run(Arc::clone(&transport), &identity.answer.token, shutdown.clone()).await {
            // it was removed on the server: with a new invitation it may come back
            Err(error) if error.is(Code::Unauthenticated) && !fresh && args.token.is_some() => {
                tracing::warn!(?error, "registering again");
                identity = enrol(&args, &server, &runner, &transport, &file).await?;
                fresh = true;
            }
            outcome => {
                if args.ephemeral && outcome.is_ok() {
                    leave(Arc::clone(&transport), &identity.answer.token).await?;
                    // who has left cannot come back
                    let _ = std::fs::remove_file(&file);
                }
                return outcome;
            }
        }
    }
}

async fn enrol(args: &RunnerArgs, server: &str, runner: &Runner, transport: &Arc<dyn Transport>, file: &Path) -> Result<Identity> {
    let Some(token) = &args.token else {
        return Err(Error::new(Code::InvalidRequest, "this runner is not registered yet: give --token with a registration token"));
    };
    let answer = register(Arc::clone(transport), &runner.introduction(token)).await?;
    let identity = Identity { server: server.to_owned(), answer };
    let text = serde_json::to_vec(&identity).map_err(Error::internal)?;
    let _ = std::fs::remove_file(file);
    let written = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).and_then(|mut f| f.write_all(&text));
    written.map_err(|e| Error::new(Code::Unavailable, format!("{} cannot be written: {e}", file.display())).with_source(e))?;
    Ok(identity)
}

fn read(file: &Path) -> Option<Identity> {
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "runner".into() } else { name.trim().to_owned() }
}

/// The first signal drains, the second gives jobs back.
async fn signals(tell: watch::Sender<Shutdown>) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        tracing::warn!("signals cannot be heard");
        return;
    };
    for level in [Shutdown::Drain, Shutdown::Now] {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        tracing::info!(?level, "told to stop");
        tell.send_replace(level);
    }
}
