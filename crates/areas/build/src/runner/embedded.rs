//! The runner inside a server process.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use executors::sandbox::{KeepLimits, Limits, MachineConfig};
use kernel::{Code, Error, Result, RunnerId};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use web_kit::App;

use super::{Isolation, Runner, RunnerConfig, Shutdown, Transport, default_labels};
use crate::runners::{abandon, remove, runner_register_local};

/// Holds the id of the runner that works in a directory.
const IDENTITY: &str = "runner-id";

/// A runner that works beside the server.
pub struct Embedded {
    shutdown: watch::Sender<Shutdown>,
    work: JoinHandle<()>,
}

impl Embedded {
    /// Gives running jobs back and ends.
    pub async fn stop(self) {
        self.shutdown.send_replace(Shutdown::Now);
        if let Err(error) = self.work.await {
            tracing::error!(%error, "the in-process runner failed");
        }
    }
}

/// Starts the runner the settings ask for; none when they ask for none. `transport` leads to this server's routes.
/// The machine is looked at in the background, unless the settings demand something of it.
///
/// # Errors
/// When the machine offers less isolation than the settings demand.
pub async fn start(app: &App, transport: Arc<dyn Transport>) -> Result<Option<Embedded>> {
    let settings = app.config();
    if !settings.runner {
        return Ok(None);
    }
    let data = std::path::absolute(&settings.data_dir).map_err(Error::internal)?;
    let mut labels = default_labels();
    labels.extend(settings.runner_labels.iter().cloned());
    let config = RunnerConfig {
        name: "in-process".into(),
        labels,
        capacity: u32::try_from(settings.runner_capacity).unwrap_or(1).max(1),
        machine: MachineConfig {
            root: data.join("runner"),
            hidden: vec![data],
            limits: Limits::default(),
            pass_env: Vec::new(),
            docker_host: settings.docker_host.clone(),
            keep: KeepLimits {
                jobs: settings.runner_keep_jobs,
                bytes: settings.runner_keep_bytes,
                age: Duration::from_secs(settings.runner_keep_hours.min(24 * 30) * 3600),
            },
        },
        drain: Duration::ZERO,
        version: env!("CARGO_PKG_VERSION").into(),
        ephemeral: false,
        until_drained: false,
    };
    let ready = if settings.runner_isolation == "sandbox" {
        let runner = Runner::prepare(config.clone()).await?;
        if runner.isolation() == Isolation::None {
            return Err(Error::new(Code::NotConfigured, "runner_isolation is `sandbox`, but this machine offers no isolation for jobs"));
        }
        Some(runner)
    } else {
        None
    };
    let (shutdown, told) = watch::channel(Shutdown::No);
    let app = app.clone();
    let work = tokio::spawn(async move {
        if let Err(error) = work(&app, config, ready, transport, told).await {
            tracing::error!(?error, "no jobs run in this process");
        }
    });
    Ok(Some(Embedded { shutdown, work }))
}

/// Ends what the runner of an earlier life in the same directory held. That it is dead is certain: we have its lock.
async fn earlier_life(app: &App, root: &Path) -> Result<()> {
    let Some(id) = std::fs::read_to_string(root.join(IDENTITY)).ok().and_then(|text| text.trim().parse::<RunnerId>().ok()) else {
        return Ok(());
    };
    abandon(app, id, "the service was restarted").await?;
    match remove(app, id).await {
        Err(error) if !error.is(Code::NotFound) => Err(error),
        _ => Ok(()),
    }
}

async fn work(
    app: &App,
    config: RunnerConfig,
    ready: Option<Runner>,
    transport: Arc<dyn Transport>,
    told: watch::Receiver<Shutdown>,
) -> Result<()> {
    let config_root = config.machine.root.clone();
    let runner = match ready {
        Some(runner) => runner,
        None => Runner::prepare(config).await?,
    };
    earlier_life(app, &config_root).await?;
    let answer = runner_register_local(app, runner.introduction("")).await?;
    if let Err(error) = std::fs::write(config_root.join(IDENTITY), answer.runner_id.to_string()) {
        tracing::warn!(%error, "after a crash, running jobs will be found lost only when their leases run out");
    }
    let outcome = runner.run(transport, &answer.token, told).await;
    if let Err(error) = remove(app, answer.runner_id).await {
        tracing::warn!(?error, "the in-process runner could not leave");
    }
    outcome
}
