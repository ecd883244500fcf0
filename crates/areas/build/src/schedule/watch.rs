//! Reconcilers over all running and queued jobs: lost leases, time limits, runners that come and go.

use std::time::Duration;

use executors::protocol::LEASE_SECONDS;
use kernel::{Result, Timestamp};
use store::job::{job_counts, job_expired, job_overdue, job_queue_labels, job_schedulable_set};
use store::runner::{runner_online, runner_prune};
use web_kit::App;

use super::finish::{End, job_end_at, job_kill};
use super::model;
use crate::runners::ONLINE;

/// A job that was told to stop is killed after this long, and given up after twice as long.
const STOP_GRACE: Duration = Duration::from_secs(60);

/// Ends jobs whose runner is gone, and those that run over their time or will not stop.
///
/// # Errors
/// The database's.
pub async fn leases(app: App) -> Result<()> {
    leases_at(&app, Timestamp::now()).await
}

/// As [`leases`], at any time.
pub(crate) async fn leases_at(app: &App, now: Timestamp) -> Result<()> {
    let counts = job_counts(app.db()).await?;
    for state in ["queued", "unschedulable", "running"] {
        let n = counts.iter().find(|(s, _)| s == state).map_or(0, |(_, n)| *n);
        metrics::gauge!("pipeline_jobs", "state" => state).set(n as f64);
    }
    for job in job_expired(app.db(), now, 200).await? {
        if job_end_at(app.db(), job.id, job.epoch, End::Lost(now), now).await? {
            tracing::warn!(job = %job.id, run = %job.run, "the lease ran out after {LEASE_SECONDS} s without a heartbeat");
        }
    }
    for job in job_overdue(app.db(), now, now.minus(STOP_GRACE), 200).await? {
        let over = job.started_at.map(|s| s.plus(Duration::from_secs(job.timeout_seconds.unsigned_abs())));
        let timed_out = over.is_some_and(|t| t < now);
        let reason = if timed_out {
            format!("ran longer than its limit of {} s", job.timeout_seconds)
        } else {
            "did not stop when it was told to".into()
        };
        match job.cancel.as_deref() {
            // the runner enforces the limit itself; the server steps in when it does not
            None if over.is_some_and(|t| t.plus(Duration::from_secs(15)) < now) => job_kill(app.db(), job.id, &reason).await?,
            // steps with always() may take their time before the kill
            Some("cancel") if job.cancel_at.is_some_and(|t| t.plus(STOP_GRACE * 5) < now) && !timed_out => {
                job_kill(app.db(), job.id, &reason).await?;
            }
            Some("cancel") if timed_out => job_kill(app.db(), job.id, &reason).await?,
            Some("kill") if job.cancel_at.is_some_and(|t| t.plus(STOP_GRACE) < now) => {
                job_end_at(app.db(), job.id, job.epoch, End::Overdue(reason), now).await?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Tells jobs that no runner can take them, or that one can again.
///
/// # Errors
/// The database's.
pub async fn unschedulable(app: App) -> Result<()> {
    let now = Timestamp::now();
    crate::runners::kept::prune(app.db(), now).await?;
    runner_prune(app.db(), now.minus(Duration::from_secs(600))).await?;
    let queue = job_queue_labels(app.db()).await?;
    if queue.is_empty() {
        return Ok(());
    }
    let runners = runner_online(app.db(), now.minus(ONLINE)).await?;
    for key in queue {
        let labels = model::labels_of(&key);
        let fits = runners.iter().any(|r| model::satisfies(&r.labels, &labels));
        let reason = (!fits).then(|| model::unschedulable_reason(&labels, runners.len()));
        let mut tx = app.db().begin().await?;
        let touched = job_schedulable_set(&mut tx, &key, reason.as_deref()).await?;
        if touched.is_empty() {
            continue;
        }
        if fits {
            tx.wake(format!("jobs:{}:{key}", touched.len()));
        }
        for run in touched {
            tx.wake(format!("run:{run}"));
        }
        tx.commit().await?;
    }
    Ok(())
}
