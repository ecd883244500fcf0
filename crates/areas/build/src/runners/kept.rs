//! Files of failed jobs that runners keep, and going on from there.
//!
//! Invariants: only the runner that has the files gets the attempt that goes on with them, by a label that only it has;
//! such an attempt is never run from its beginning instead; files never leave their run.
//!
//! Must not know: how a runner keeps files, or for how long.

use std::time::Duration;

use dialects::plan::{Job, StepKind};
use executors::protocol::Resume;
use kernel::{Code, Context, Error, JobId, Permission, Result, RunnerId, Timestamp};
use store::job::{
    JobRow, KeptRow, job_get, job_kept_by, job_kept_delete, job_kept_get, job_kept_prune, job_kept_put, job_list, job_resume_get,
};
use store::runner::{runner_get, runner_labels_set};
use store::{Db, Tx};
use web_kit::App;

use super::ONLINE;
use crate::runs::job_for;
use crate::schedule::finish::{self, Retry};

/// What the label of a runner that keeps files begins with; nobody can register with such a one.
pub const KEEPER: &str = "runner:";
/// Nothing is kept longer.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);
/// What was put aside so recently may not be on the list of its runner yet.
const SETTLING: Duration = Duration::from_secs(60);

/// The label of a runner that keeps files.
pub fn label(runner: RunnerId) -> String {
    format!("{KEEPER}{runner}")
}

/// Must the job go to the runner that keeps its files?
pub fn is_bound(job: &JobRow) -> bool {
    job.labels.iter().any(|l| l.starts_with(KEEPER))
}

/// Notes that a runner keeps the files of the job it has run.
///
/// # Errors
/// The database's.
pub async fn put(app: &App, job: &JobRow, runner: RunnerId, step: i64) -> Result<()> {
    let mut tx = app.db().begin().await?;
    job_kept_put(&mut tx, &KeptRow { job: job.id, runner, step, created_at: Timestamp::now() }).await?;
    bind(&mut tx, runner).await?;
    tx.commit().await
}

/// Gives the runner its label.
async fn bind(tx: &mut Tx, runner: RunnerId) -> Result<()> {
    let Some(mut row) = runner_get(&mut *tx, runner).await? else { return Ok(()) };
    let own = label(runner);
    if !row.labels.contains(&own) {
        row.labels.push(own);
        runner_labels_set(tx, runner, &row.labels).await?;
    }
    Ok(())
}

/// A runner tells all that it keeps. What a runner kept that is no more (the one in this process has a new name after each
/// start) is now this one's.
///
/// # Errors
/// The database's.
pub async fn told(app: &App, runner: RunnerId, kept: &[JobId]) -> Result<()> {
    let mut tx = app.db().begin().await?;
    for row in job_kept_by(app.db(), runner).await? {
        if !kept.contains(&row.job) && row.created_at < Timestamp::now().minus(SETTLING) {
            job_kept_delete(&mut tx, row.job).await?;
        }
    }
    for job in kept {
        if let Some(row) = job_kept_get(&mut tx, *job).await?.filter(|row| row.runner != runner)
            && runner_get(&mut tx, row.runner).await?.is_none()
        {
            job_kept_put(&mut tx, &KeptRow { runner, ..row }).await?;
        }
    }
    if !kept.is_empty() {
        bind(&mut tx, runner).await?;
    }
    tx.commit().await
}

/// Forgets what nobody can keep any more.
///
/// # Errors
/// The database's.
pub async fn prune(db: &Db, now: Timestamp) -> Result<()> {
    job_kept_prune(db, now.minus(LONGEST)).await
}

/// Where a job that is handed out goes on.
///
/// # Errors
/// The database's.
pub async fn resume(db: &Db, job: &JobRow) -> Result<Option<Resume>> {
    if !is_bound(job) {
        return Ok(None);
    }
    let (from, step) = job_resume_get(db, job.id).await?.ok_or_else(|| Error::internal("it is not known where the job goes on"))?;
    Ok(Some(Resume { job: from, step: u32::try_from(step).unwrap_or(0) }))
}

/// Runs a job of an ended run again: from its beginning, or from the step that failed, with the files it left. The new
/// attempt.
///
/// # Errors
/// `not_found`, `forbidden`; `conflict` while the run goes on; `not_resumable`, `files_gone`, `validation_failed`.
pub async fn job_retry(app: &App, ctx: &Context, id: &str, from_step: Option<i64>) -> Result<JobId> {
    let (job, _) = job_for(app, ctx, id, Permission::PipelineWrite).await?;
    let what = match from_step {
        None => Retry::Job(job.id),
        Some(step) => {
            // a repeated request finds the attempt that the first one made
            if app.made::<()>(ctx)?.is_none() {
                check(app, &job, step).await?;
            }
            Retry::Step { job: job.id, step }
        }
    };
    finish::run_retry(app, ctx, job.run, what).await?;
    let again = job_list(app.db(), job.run).await?.into_iter().find(|j| j.key == job.key && j.cell == job.cell);
    again.or(job_get(app.db(), job.id).await?).map(|j| j.id).ok_or_else(|| Error::not_found("job"))
}

async fn check(app: &App, job: &JobRow, step: i64) -> Result<()> {
    if job.superseded {
        return Err(Error::new(Code::Conflict, "a later attempt took the place of this job"));
    }
    if job.conclusion.as_deref() != Some("failure") {
        return Err(Error::new(Code::Conflict, "only a job that failed goes on from a step"));
    }
    let planned = crate::schedule::plans::plan_of(app.db(), job.run).await?;
    if let Some(why) = planned.plan.job(&job.key).and_then(not_resumable) {
        return Err(Error::new(Code::NotResumable, why));
    }
    let gone = |why: &str| Error::new(Code::FilesGone, format!("{why}; run the whole job again"));
    let kept = job_kept_get(app.db(), job.id).await?.ok_or_else(|| gone("the files of this job are not kept, or no longer"))?;
    let keeper = runner_get(app.db(), kept.runner).await?;
    if keeper.is_none_or(|r| r.last_seen_at < Timestamp::now().minus(ONLINE)) {
        return Err(gone("the runner that keeps the files of this job is not there"));
    }
    if step != kept.step {
        let why = format!("only from step {}, which failed: the files are as it left them, and not as they were before others", kept.step);
        return Err(Error::field("from_step", "invalid", why));
    }
    Ok(())
}

/// Why a kind of job cannot go on from a step, if it cannot.
fn not_resumable(job: &Job) -> Option<&'static str> {
    if job.downstream.is_some() {
        Some("a job that starts another pipeline has no steps")
    } else if job.steps.iter().any(|s| matches!(s.kind, StepKind::Jenkins { .. })) {
        Some("not available for a Jenkinsfile: it is one program, whose variables cannot be restored in the middle")
    } else if job.container.is_some() || !job.services.is_empty() {
        Some("not available for a job with containers: what its steps changed in them is gone with them")
    } else {
        None
    }
}
