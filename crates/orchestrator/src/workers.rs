//! Workers that claim leased work and run its handler, and the loops of the reconcilers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use kernel::{Error, Timestamp};
use store::WorkRow;
use store::work::{LEASE, work_claim, work_finish, work_next_due, work_orphan, work_release, work_renew};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use web_kit::App;
use web_kit::jobs::{JobFn, Jobs, Reconciler};

/// Work this instance carries out at once.
const AT_ONCE: usize = 8;

/// The jobs of all areas.
pub fn jobs() -> Jobs {
    let mut all = Jobs::default()
        .on("project_create", |app, work| Box::pin(crate::creation::run(app, work)))
        .every("creations", Duration::from_secs(60), None, |app| Box::pin(crate::creation::abandoned(app)))
        .on("project_stop", |app, work| Box::pin(crate::removal::stop(app, work)))
        .on("project_purge", |app, work| Box::pin(crate::removal::purge(app, work)));
    for area in [area_workspace::jobs(), area_code::jobs(), area_build::jobs(), area_deliver::jobs()] {
        all.kinds.extend(area.kinds);
        all.reconcilers.extend(area.reconcilers);
    }
    all
}

/// The running workers of one instance.
pub struct Orchestrator {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    app: App,
    name: String,
}

impl Orchestrator {
    /// Starts the workers and reconcilers. `place` is where only one instance can be: its machine and its port, which it
    /// has. Whoever was there before is dead, and what it worked on is taken up at once.
    pub fn start(app: &App, place: &str) -> Self {
        let name = format!("{place}#{}", std::process::id());
        let (stop, stopped) = watch::channel(false);
        let Jobs { kinds, reconcilers } = jobs();
        let handlers: Arc<HashMap<&'static str, JobFn>> = Arc::new(kinds.into_iter().collect());
        let mut tasks = JoinSet::new();
        tasks.spawn({
            let (app, name, place, stopped) = (app.clone(), name.clone(), format!("{place}#"), stopped.clone());
            async move {
                match work_orphan(app.db(), &place).await {
                    Ok(0) => {}
                    Ok(found) => tracing::info!(found, "work of an earlier life is taken up"),
                    Err(error) => tracing::warn!(error = ?error, "work of an earlier life waits until its leases run out"),
                }
                claim_loop(app, name, handlers, stopped).await;
            }
        });
        for reconciler in reconcilers {
            tasks.spawn(reconcile_loop(app.clone(), reconciler, stopped.clone()));
        }
        Self { stop, tasks, app: app.clone(), name }
    }

    /// Claims nothing more, waits up to `at_most` for what runs, and gives the rest back.
    pub async fn stop(mut self, at_most: Duration) {
        let _ = self.stop.send(true);
        let drained = tokio::time::timeout(at_most, async { while self.tasks.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            self.tasks.abort_all();
            if let Err(error) = work_release(self.app.db(), &self.name).await {
                tracing::warn!(error = ?error, "work was not given back; its lease will run out");
            }
        }
    }
}

async fn claim_loop(app: App, name: String, handlers: Arc<HashMap<&'static str, JobFn>>, mut stopped: watch::Receiver<bool>) {
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut waiter = app.db().wake().subscribe();
    let mut running = JoinSet::new();
    while !*stopped.borrow() {
        let free = turns.available_permits();
        let claimed = if free == 0 { Ok(Vec::new()) } else { work_claim(app.db(), &name, i64::try_from(free).unwrap_or(1)).await };
        match claimed {
            Ok(claimed) => {
                let any = !claimed.is_empty();
                for work in claimed {
                    let Ok(turn) = turns.clone().try_acquire_owned() else { break };
                    let (app, handlers) = (app.clone(), handlers.clone());
                    running.spawn(async move {
                        perform(&app, &handlers, work).await;
                        drop(turn);
                        // a free turn is a reason to look again
                        app.db().wake().send("work");
                    });
                }
                if any {
                    continue;
                }
            }
            Err(error) => tracing::warn!(error = ?error, "claiming work failed"),
        }
        while running.try_join_next().is_some() {}
        let next = work_next_due(app.db()).await.ok().flatten();
        // retries come due, and leases of dead instances run out
        let nap =
            next.map_or(Duration::from_secs(15), |at| at.since(Timestamp::now())).clamp(Duration::from_millis(50), Duration::from_secs(15));
        tokio::select! {
            _ = waiter.wait(nap, |topic| topic == "work") => {}
            _ = stopped.changed() => {}
        }
    }
    while running.join_next().await.is_some() {}
}

async fn perform(app: &App, handlers: &HashMap<&'static str, JobFn>, work: WorkRow) {
    let outcome = match handlers.get(work.kind.as_str()) {
        None => Err(Error::internal(format!("no handler for work of kind {}", work.kind))),
        Some(run) => {
            let guarded = std::panic::AssertUnwindSafe(run(app.clone(), work.clone())).catch_unwind();
            let mut guarded = std::pin::pin!(guarded);
            loop {
                tokio::select! {
                    done = &mut guarded => break done.unwrap_or_else(|cause| {
                        let text = cause.downcast_ref::<String>().cloned()
                            .or_else(|| cause.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default();
                        Err(Error::internal(format!("panic: {text}")))
                    }),
                    () = tokio::time::sleep(LEASE / 3) => {
                        if let Ok(false) = work_renew(app.db(), &work).await {
                            tracing::warn!(work = %work.id, kind = work.kind, "the lease was lost; stopping");
                            return;
                        }
                    }
                }
            }
        }
    };
    let label = if outcome.is_ok() { "done" } else { "failed" };
    metrics::counter!("work_total", "kind" => work.kind.clone(), "outcome" => label).increment(1);
    if let Err(error) = &outcome {
        tracing::warn!(work = %work.id, kind = work.kind, attempt = work.attempts, error = ?error, "work failed");
    }
    let recorded = match &outcome {
        Ok(()) => work_finish(app.db(), &work, Ok(())).await,
        Err(error) => work_finish(app.db(), &work, Err(error)).await,
    };
    if let Err(error) = recorded {
        tracing::warn!(work = %work.id, kind = work.kind, error = ?error, "the outcome of work was not recorded; it will run again");
    }
}

async fn reconcile_loop(app: App, reconciler: Reconciler, mut stopped: watch::Receiver<bool>) {
    let mut waiter = app.db().wake().subscribe();
    while !*stopped.borrow() {
        let guarded = std::panic::AssertUnwindSafe((reconciler.run)(app.clone())).catch_unwind();
        match guarded.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(reconciler = reconciler.name, error = ?error, "reconciling failed"),
            Err(_) => tracing::error!(reconciler = reconciler.name, "reconciling panicked"),
        }
        let nap = nap(&app, &reconciler).await;
        tokio::select! {
            _ = waiter.wait(nap, |topic| reconciler.topic == Some(topic)) => {}
            _ = stopped.changed() => {}
        }
    }
}

/// Until the period is over, or something that is planned before. A failure is looked at again soon.
async fn nap(app: &App, reconciler: &Reconciler) -> Duration {
    let Some(next) = reconciler.next else { return reconciler.period };
    match next(app.clone()).await {
        Ok(Some(at)) => at.since(Timestamp::now()).clamp(Duration::from_millis(20), reconciler.period),
        Ok(None) => reconciler.period,
        Err(_) => Duration::from_secs(1),
    }
}
