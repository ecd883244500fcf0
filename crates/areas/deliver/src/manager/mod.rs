//! Who carries deployments out. Each environment is held by one instance of the service, by a lease with a fencing
//! epoch; its holder runs the application, answers on its port, and does one deployment after the other. What it has
//! done is recorded step by step under its epoch, so a holder that lost the lease changes nothing, and the next one goes
//! on where it stopped: instances are found again by the name of their deployment.
//!
//! Read next: `actor` (one environment), `proxy` (its front), `launch` (starting a release).

mod actor;
mod images;
mod launch;
mod proxy;
mod record;
mod watch;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use executors::service::Service;
use executors::service::docker::Engine;
use kernel::Code;
use kernel::DeploymentId;
use kernel::EnvironmentId;
use kernel::Error;
use kernel::RequestId;
use kernel::Result;
use kernel::Timestamp;
use parking_lot::Mutex;
use store::environment::EnvironmentRow;
use store::environment::environment_claim;
use store::environment::environment_orphans;
use store::environment::environment_yield_all;
use tokio::task::JoinHandle;
use web_kit::App;

pub use watch::Probe;
pub use watch::RequestFigures;
pub use watch::Watch;

use launch::Unit;
use proxy::Front;
use record::Live;
use watch::History;

/// How long a lease holds without being renewed.
const LEASE: Duration = Duration::from_secs(15);
/// How long an engine that did not answer is not asked again.
const ENGINE_RETRY: Duration = Duration::from_secs(20);

/// The deploy manager of one instance; a part of the [`App`].
#[derive(Clone, Default)]
pub struct Manager(Arc<Inner>);

struct Inner {
    name: String,
    held: Mutex<HashMap<EnvironmentId, Held>>,
    begun: AtomicBool,
    stopped: AtomicBool,
    engine: tokio::sync::Mutex<Option<(Instant, Option<Engine>)>>,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            // tells instances and their lives apart
            name: RequestId::new().to_string(),
            held: Mutex::default(),
            begun: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            engine: tokio::sync::Mutex::default(),
        }
    }
}

/// An environment this instance holds.
struct Held {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
    epoch: i64,
}

/// What the holder of an environment lets others see.
#[derive(Default)]
struct Shared {
    front: Arc<Front>,
    history: Mutex<History>,
    service: Mutex<Option<Arc<dyn Service>>>,
}

/// The Docker engine, when one answers.
pub(crate) async fn docker(app: &App) -> Option<Engine> {
    let manager = app.find_part::<Manager>()?;
    let mut known = manager.0.engine.lock().await;
    if let Some((at, engine)) = &*known
        && (engine.is_some() || at.elapsed() < ENGINE_RETRY)
    {
        return engine.clone();
    }
    let engine = Engine::connect(app.config().docker_host.as_deref()).await.ok();
    *known = Some((Instant::now(), engine.clone()));
    engine
}

/// Takes up every environment that needs a holder and has none. Run by signal and by period on every instance.
///
/// # Errors
/// The database's.
pub async fn reconcile(app: App) -> Result<()> {
    let manager = app.part::<Manager>()?;
    if manager.0.stopped.load(Ordering::Acquire) {
        return Ok(());
    }
    // SQLite has one process: leases of another can only be those of our own former life
    if !manager.0.begun.swap(true, Ordering::AcqRel) && app.db().kind() == "sqlite" {
        environment_yield_all(app.db()).await?;
    }
    manager.0.held.lock().retain(|_, held| !held.task.is_finished());
    let now = Timestamp::now();
    for id in environment_orphans(app.db(), now).await? {
        if manager.0.held.lock().contains_key(&id) {
            continue;
        }
        let Some(row) = environment_claim(app.db(), id, &manager.0.name, now, Timestamp::now().plus(LEASE)).await? else { continue };
        let shared = Arc::new(Shared::default());
        let epoch = row.epoch;
        let task = tokio::spawn(actor::run(app.clone(), row, shared.clone()));
        manager.0.held.lock().insert(id, Held { shared, task, epoch });
    }
    Ok(())
}

/// Carries a deployment out, if this instance holds or can take its environment. Returns at once; the deployment's
/// own row tells how it goes.
///
/// # Errors
/// The database's.
pub async fn deployment_run(app: App, _: DeploymentId) -> Result<()> {
    reconcile(app).await
}

/// Gives all environments back at shutdown. The applications run on; whoever takes the lease takes them up.
pub async fn stop(app: &App) {
    let Some(manager) = app.find_part::<Manager>() else { return };
    manager.0.stopped.store(true, Ordering::Release);
    let held: Vec<(EnvironmentId, Held)> = manager.0.held.lock().drain().collect();
    for (id, held) in held {
        held.task.abort();
        let _ = held.task.await;
        if let Err(error) = store::environment::environment_yield(app.db(), id, held.epoch).await {
            tracing::warn!(environment = %id, error = ?error, "a lease was not given back; it will run out");
        }
    }
}

fn shared(app: &App, id: EnvironmentId) -> Option<Arc<Shared>> {
    Some(app.find_part::<Manager>()?.0.held.lock().get(&id)?.shared.clone())
}

/// The last lines of the running application.
///
/// # Errors
/// `unprocessable` when nothing runs; `unavailable` when it runs on another machine.
pub(crate) async fn log(app: &App, row: &EnvironmentRow, lines: usize) -> Result<String> {
    let live = Live::of(row);
    let instance = live.candidate.as_ref().filter(|_| live.current.is_none()).or(live.current.as_ref());
    let Some(instance) = instance else { return Ok(String::new()) };
    let unit = Unit::of(app, row, instance.deployment, instance.target).await?;
    unit.service().log(lines).await.map_err(|e| Error::new(Code::Unavailable, "the log cannot be read here").with_source(e))
}

/// How the running application does.
///
/// # Errors
/// The database's.
pub(crate) async fn watch(app: &App, row: &EnvironmentRow) -> Result<Watch> {
    let live = Live::of(row);
    let mut watch = Watch { state: row.state.clone(), ..Watch::default() };
    if let Some(current) = &live.current {
        watch.uptime_seconds = Timestamp::now().since(current.started_at).as_secs();
        watch.restarts = current.restarts;
    }
    let Some(shared) = shared(app, row.id) else { return Ok(watch) };
    watch.requests = shared.front.requests.figures();
    let service = shared.service.lock().clone();
    if let Some(service) = service
        && let Some(usage) = service.usage().await
    {
        watch.cpu_percent = Some(shared.history.lock().usage(usage));
        watch.memory_bytes = Some(usage.memory);
    }
    watch.probes = shared.history.lock().probes();
    Ok(watch)
}
