//! The common end of a job, without a look at all of its run: it went well, and nothing waits for just this one.
//!
//! A run of a thousand jobs ends nearly all of them this way, each at the same cost. Whatever may set something else
//! off (a failure, a group, the last of a matrix that others need, the last of all) goes through `advance`.

use kernel::{Result, Timestamp};
use serde_json::json;
use store::job::{JobRow, job_open, step_close};
use store::run::{RunRow, run_job_done};
use store::{NewWork, Tx};

use super::advance::finished;
use super::finish::End;
use super::plans::Planned;
use super::{model, save};

/// Ends the job if it can be done so; false leaves everything as it is.
///
/// # Errors
/// The database's; `unavailable` when the job changed meanwhile.
pub(super) async fn end(tx: &mut Tx, run: &mut RunRow, job: &mut JobRow, planned: &Planned, how: &End, now: Timestamp) -> Result<bool> {
    let End::Reported { conclusion, outputs, .. } = how else { return Ok(false) };
    let plain = conclusion == "success" && job.cancel.is_none() && job.concurrency_group.is_none();
    if !plain || run.state != "running" || run.blocked || run.cancelled {
        return Ok(false);
    }
    let Some(of_plan) = planned.plan.job(&job.key) else { return Ok(false) };
    // what was deployed is noted, which needs the whole run
    if of_plan.environment.is_some() || of_plan.strategy.as_ref().is_some_and(|s| s.max_parallel.is_some()) {
        return Ok(false);
    }
    // with the rest of its matrix open, nobody can see this end; without, nobody must be waiting for it
    let open = job_open(tx, job.run, job.position, job.id).await?;
    let unseen = open.cells || (open.jobs && model::dependents(&planned.plan, std::slice::from_ref(&job.key)).is_empty());
    if !unseen {
        return Ok(false);
    }
    job.outputs.clone_from(outputs);
    let reason = job.reason.take();
    model::end(job, conclusion, reason, now);
    step_close(tx, job.id, conclusion, now).await?;
    tx.enqueue(NewWork::new("log_seal", json!({"job": job.id})).project(job.project)).await?;
    save(tx, job).await?;
    finished(tx, job).await?;
    run_job_done(tx, run).await?;
    crate::runs::status::set(tx, run).await?;
    tx.wake(format!("run:{}", run.id));
    Ok(true)
}
