//! The build area: from a push to results. Workflows, runs, the scheduler, runners, logs, artifacts, reports, secrets.
//!
//! Invariants: a job is leased to one runner at a time, and every write of a runner carries the epoch of its lease; what
//! was acknowledged of a log is durable; a run's jobs are decided about only under the lock of its row, in the
//! transaction of the change that made a decision necessary; nothing waits without a reason that is shown.
//!
//! Must not know: how a step is carried out (`executors`), what a workflow file looks like (`dialects`).
//!
//! Read next: `schedule` (what happens to jobs when), `runs` (use cases), `runners` (the protocol's server side), `runner`
//! (its other side).

pub mod artifacts;
pub mod caches;
pub mod compiler;
pub mod environments;
pub mod identity;
pub mod logs;
pub mod provenance;
pub mod questions;
pub mod reports;
pub mod results;
pub mod runner;
pub mod runners;
pub mod runs;
pub mod schedule;
pub mod testing;
pub mod timers;
pub mod vars;
pub mod words;
pub mod workflows;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::time::Duration;

use kernel::Timestamp;
use utoipa_axum::router::OpenApiRouter;
use web_kit::auth::Resolvers;
use web_kit::{App, AppBuilder, Jobs};

/// The area's routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(workflows::routes::router())
        .merge(runs::routes::router())
        .merge(runners::routes::router())
        .merge(runners::protocol::router())
        .merge(logs::routes::router())
        .merge(reports::routes::router())
        .merge(testing::routes::router())
        .merge(artifacts::routes::router())
        .merge(results::routes::router())
        .merge(identity::routes::router())
        .merge(provenance::routes::router())
        .merge(vars::routes::router())
        .merge(timers::routes::router())
        .merge(environments::routes::router())
        .merge(compiler::routes::router())
}

/// The area's background work.
pub fn jobs() -> Jobs {
    Jobs::default()
        .on("trigger_build", |app, work| Box::pin(workflows::trigger::trigger_build(app, work)))
        .on("run_follow", |app, work| Box::pin(workflows::follow::run_follow(app, work)))
        .on("run_advance", |app, work| Box::pin(runs::jobs::run_advance(app, work)))
        .on("schedule_sync", |app, work| Box::pin(timers::jobs::schedule_sync(app, work)))
        .on("schedule_fire", |app, work| Box::pin(timers::jobs::schedule_fire(app, work)))
        .timed("schedules", Some("schedules"), |app| Box::pin(timers::jobs::tick(app)), |app| Box::pin(timers::jobs::next_tick(app)))
        .on("run_superseded", |app, work| Box::pin(runs::jobs::run_superseded(app, work)))
        .on("downstream_start", |app, work| Box::pin(schedule::downstream::downstream_start(app, work)))
        .on("downstream_end", |app, work| Box::pin(schedule::downstream::downstream_end(app, work)))
        .on("downstream_stop", |app, work| Box::pin(schedule::downstream::downstream_stop(app, work)))
        .on("log_seal", |app, work| Box::pin(logs::log_seal(app, work)))
        .on("provenance_create", |app, work| Box::pin(provenance::provenance_create_all(app, work)))
        .on("cache_evict", |app, work| Box::pin(caches::cache_evict(app, work)))
        .every("leases", Duration::from_secs(3), None, |app| Box::pin(schedule::watch::leases(app)))
        .every("delays", Duration::from_secs(3), None, |app| Box::pin(schedule::gate::delays(app)))
        .every("environments", Duration::from_secs(5), None, |app| Box::pin(environments::tick(app)))
        .on("environments_of_ref", |app, work| Box::pin(environments::stop_of_ref(app, work)))
        .every("unschedulable", Duration::from_secs(10), Some("runners"), |app| Box::pin(schedule::watch::unschedulable(app)))
        .every("artifacts", Duration::from_secs(60), None, |app| Box::pin(artifacts::artifact_expire(app)))
        .every("signing_keys", Duration::from_secs(3600), None, |app| {
            Box::pin(async move { identity::keys::rotate(&app, Timestamp::now()).await })
        })
        .every("tests", Duration::from_secs(3600), None, |app| Box::pin(async move { testing::expire(&app).await }))
        .every("uploads", Duration::from_secs(3600), None, |app| Box::pin(results::uploads::upload_expire(app)))
}

/// The area's parts of the state.
pub fn parts(builder: AppBuilder) -> AppBuilder {
    builder.with(runners::dispatch::Dispatch::default())
}

/// Who stands behind the tokens of jobs and runners.
pub fn resolvers(resolvers: Resolvers) -> Resolvers {
    resolvers
        .with("dmj", Box::new(|app, token| Box::pin(runners::tokens::job(app, token))))
        .with(web_kit::jwt::PREFIX, Box::new(|app, token| Box::pin(results::token::actor(app, token))))
        .with("dmr", Box::new(|app, token| Box::pin(runners::tokens::runner(app, token))))
}
