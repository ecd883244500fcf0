//! The ways a running job ends, and what is asked of runs: cancel, retry.

use dialects::plan::OnNewCommit;
use kernel::{Code, Context, Error, JobId, Permission, Result, RunId, Timestamp};
use serde_json::json;
use store::job::{JobRow, job_create, job_get, job_kept_delete, job_kept_get, job_resume_put, step_close, step_list};
use store::run::{run_lock, run_lock_of};
use store::{Db, NewWork, Tx};
use web_kit::App;
use web_kit::attempt::Receipt;

use super::advance::{State, advance, complete, finished};
use super::plans::plan_of;
use super::{downstream, model, quick, retrying, save};
use crate::runners::kept;

/// Why a job that failed fails no run: a pipeline of Jenkins whose tests failed, say.
pub const UNSTABLE: &str = "the build is unstable";

/// How a job came to its end.
#[derive(Clone, Debug)]
pub enum End {
    /// Its runner said so.
    Reported {
        /// `success`, `failure`, `cancelled`, `skipped`.
        conclusion: String,
        /// Outputs by name.
        outputs: serde_json::Value,
        /// Bytes of log the runner has sent.
        log_length: i64,
        /// It failed, and fails no run.
        unstable: bool,
    },
    /// The machine failed.
    Infra(String),
    /// Its lease ran out at a moment before this.
    Lost(Timestamp),
    /// It went on after its time was over or after it was killed.
    Overdue(String),
}

/// Ends a running job, if the lease of `epoch` is still held. False when it is not: somebody else ended it.
///
/// # Errors
/// `conflict` when the runner announces more log than has arrived.
pub async fn job_end(db: &Db, id: JobId, epoch: i64, end: End) -> Result<bool> {
    job_end_at(db, id, epoch, end, Timestamp::now()).await
}

/// As [`job_end`], at any time.
pub(crate) async fn job_end_at(db: &Db, id: JobId, epoch: i64, end: End, now: Timestamp) -> Result<bool> {
    retrying(|| {
        let (db, end) = (db.clone(), end.clone());
        Box::pin(async move {
            let mut tx = db.begin().await?;
            // the lock first, then the truth
            let Some(mut run) = run_lock_of(&mut tx, id).await? else { return Ok(false) };
            let Some(mut job) = job_get(&mut tx, id).await? else { return Ok(false) };
            if job.state != "running" || job.epoch != epoch || job.superseded {
                return Ok(false);
            }
            if let End::Lost(before) = end
                && job.lease_until.is_some_and(|until| until >= before)
            {
                return Ok(false);
            }
            if let End::Reported { log_length, .. } = end
                && log_length != job.log_length
            {
                return Err(Error::new(Code::Conflict, format!("the log has {} bytes here, {log_length} were announced", job.log_length)));
            }
            let planned = plan_of(&mut tx, run.id).await?;
            if quick::end(&mut tx, &mut run, &mut job, &planned, &end, now).await? {
                tx.commit().await?;
                return Ok(true);
            }
            let mut state = State::of(&mut tx, run, planned).await?;
            let Some(index) = state.jobs.iter().position(|j| j.id == id) else { return Ok(false) };
            apply(&mut tx, &mut state, index, end, now).await?;
            advance(&mut tx, &mut state, now).await?;
            tx.commit().await?;
            Ok(true)
        })
    })
    .await
}

async fn apply(tx: &mut Tx, state: &mut State, index: usize, end: End, now: Timestamp) -> Result<()> {
    let infra = match &end {
        End::Infra(why) => Some(why.clone()),
        End::Lost(_) => Some("the runner stopped answering".to_owned()),
        _ => None,
    };
    let job = &mut state.jobs[index];
    let asked_to_stop = job.cancel.is_some();
    let (conclusion, reason) = match end {
        End::Reported { conclusion, outputs, unstable, .. } => {
            job.outputs = outputs;
            let mut reason = job.reason.take();
            if unstable && conclusion == "failure" {
                job.allowed_to_fail = true;
                reason = Some(UNSTABLE.into());
            }
            (conclusion, reason)
        }
        End::Overdue(why) => (if asked_to_stop && state.run.cancelled { "cancelled" } else { "failure" }.to_owned(), Some(why)),
        // a machine that fails while a job is stopped has stopped it
        End::Infra(_) | End::Lost(_) if asked_to_stop => ("cancelled".to_owned(), infra.clone()),
        End::Infra(_) | End::Lost(_) => ("failure".to_owned(), infra.clone()),
    };
    job.infra_failure.clone_from(&infra);
    model::end(job, &conclusion, reason, now);
    step_close(tx, job.id, &conclusion, now).await?;
    tx.enqueue(NewWork::new("log_seal", json!({"job": job.id})).project(job.project)).await?;

    let deploys = state.plan.job(&job.key).is_none_or(|j| j.environment.is_some());
    // what goes on with files of an earlier attempt is never run from its beginning instead
    let bound = kept::is_bound(job);
    if infra.is_some() && !bound && !asked_to_stop && job.attempt == state.run.attempt && !deploys && !state.run.cancelled {
        // tried again once; a job that deploys might do it twice, so it is not
        let mut next = model::again(job);
        next.reason = None;
        job.superseded = true;
        save(tx, job).await?;
        finished(tx, job).await?;
        job_create(tx, &next).await?;
        state.jobs[index] = next;
        return Ok(());
    }
    let unstable = job.reason.as_deref() == Some(UNSTABLE);
    if conclusion == "failure" && !bound && !unstable && !asked_to_stop && !state.run.cancelled {
        let planned = state.plan.job(&job.key);
        let codes = planned.is_some_and(|p| !p.allow_exit_codes.is_empty() || p.retry.as_ref().is_some_and(|r| !r.exit_codes.is_empty()));
        let exit_code = if codes { failed_with(tx, job.id).await? } else { None };
        let kind = model::failure_kind(job, infra.is_some(), now);
        if planned.and_then(|p| p.retry.as_ref()).is_some_and(|r| model::retries(r, job.attempt - state.run.attempt, kind, exit_code)) {
            let mut next = model::again(job);
            next.reason = None;
            job.superseded = true;
            save(tx, job).await?;
            finished(tx, job).await?;
            job_create(tx, &next).await?;
            state.jobs[index] = next;
            return Ok(());
        }
        if exit_code.is_some_and(|c| planned.is_some_and(|p| p.allow_exit_codes.iter().any(|a| i64::from(*a) == c))) {
            job.allowed_to_fail = true;
        }
    }
    save(tx, job).await?;
    let ended = job.clone();
    finished(tx, &ended).await?;
    crate::environments::job_ended(tx, state, &ended, now).await?;
    if conclusion == "failure" && !ended.allowed_to_fail {
        fail_fast(tx, state, &ended, now).await?;
        if state.plan.auto_cancel.is_some_and(|a| a.on_job_failure) && !state.run.cancelled {
            stop_all(tx, state, &format!("`{}` failed, which stops the pipeline", ended.name), now).await?;
        }
    }
    Ok(())
}

/// Stops a run that nobody asked to be stopped.
async fn stop_all(tx: &mut Tx, state: &mut State, reason: &str, now: Timestamp) -> Result<()> {
    state.run.cancelled = true;
    for job in state.jobs.iter_mut().filter(|j| j.state != "waiting") {
        stop(tx, job, "cancel", reason, now).await?;
    }
    downstream::stop_children(tx, state, false).await
}

/// Stops what the rules of a run say is no longer wanted, now that run number `by` builds a newer commit.
///
/// # Errors
/// The database's.
pub async fn supersede(db: &Db, run: RunId, by: i64) -> Result<()> {
    retrying(|| {
        let db = db.clone();
        Box::pin(async move {
            let mut tx = db.begin().await?;
            let Some(row) = run_lock(&mut tx, run).await?.filter(|r| r.state != "completed" && !r.cancelled) else { return Ok(()) };
            let mut state = State::load(&mut tx, row).await?;
            let Some(rules) = state.plan.auto_cancel else { return Ok(()) };
            let now = Timestamp::now();
            let reason = format!("pipeline #{by} builds a newer commit");
            let plan = state.plan.clone();
            let may = |job: &JobRow| plan.job(&job.key).is_some_and(|p| p.interruptible);
            match rules.on_new_commit {
                OnNewCommit::None => return Ok(()),
                OnNewCommit::Conservative => {
                    let binding =
                        |j: &&JobRow| j.started_at.is_some() && !may(j) && plan.job(&j.key).is_none_or(|p| p.downstream.is_none());
                    if state.jobs.iter().any(|j| binding(&j)) {
                        return Ok(());
                    }
                    stop_all(&mut tx, &mut state, &reason, now).await?;
                }
                OnNewCommit::Interruptible => {
                    for job in state.jobs.iter_mut().filter(|j| may(j)) {
                        stop(&mut tx, job, "cancel", &reason, now).await?;
                    }
                }
            }
            advance(&mut tx, &mut state, now).await?;
            tx.commit().await
        })
    })
    .await
}

/// Exit code of the step that failed.
async fn failed_with(tx: &mut Tx, job: JobId) -> Result<Option<i64>> {
    let steps = step_list(&mut *tx, job).await?;
    Ok(steps.into_iter().find(|s| s.conclusion.as_deref() == Some("failure") && s.exit_code.is_some()).and_then(|s| s.exit_code))
}

/// Stops the other combinations of a matrix when one has failed.
async fn fail_fast(tx: &mut Tx, state: &mut State, failed: &JobRow, now: Timestamp) -> Result<()> {
    let Some(strategy) = state.plan.job(&failed.key).and_then(|j| j.strategy.as_ref()) else { return Ok(()) };
    if failed.cells < 2 || !model::late_bool(&strategy.fail_fast, &state.contexts).unwrap_or(true) {
        return Ok(());
    }
    let reason = format!("fail-fast: `{}` failed", failed.name);
    for other in state.jobs.iter_mut().filter(|j| j.key == failed.key && j.id != failed.id) {
        stop(tx, other, "cancel", &reason, now).await?;
    }
    Ok(())
}

/// Stops a job wherever it stands.
async fn stop(tx: &mut Tx, job: &mut JobRow, how: &str, reason: &str, now: Timestamp) -> Result<()> {
    match job.state.as_str() {
        "completed" => Ok(()),
        "running" if downstream::of_nobody(job) => complete(tx, job, "cancelled", Some(reason.into()), now).await,
        "running" => {
            if job.cancel.as_deref() == Some("kill") || job.cancel.as_deref() == Some(how) {
                return Ok(());
            }
            job.cancel = Some(how.into());
            job.cancel_at = Some(now);
            job.reason = Some(reason.into());
            tx.wake(format!("cancel:{}", job.id));
            save(tx, job).await
        }
        _ => complete(tx, job, "cancelled", Some(reason.into()), now).await,
    }
}

/// Asks a running job to end. For the watch over time limits.
///
/// # Errors
/// The database's.
pub async fn job_kill(db: &Db, id: JobId, reason: &str) -> Result<()> {
    retrying(|| {
        let (db, reason) = (db.clone(), reason.to_owned());
        Box::pin(async move {
            let mut tx = db.begin().await?;
            let Some(mut job) = job_get(&mut tx, id).await?.filter(|j| j.state == "running") else { return Ok(()) };
            stop(&mut tx, &mut job, "kill", &reason, Timestamp::now()).await?;
            // no runner has it: what follows from its end is not left to the report of one
            if job.state == "completed" {
                tx.enqueue(NewWork::new("run_advance", json!({"run": job.run})).dedup(job.run.to_string())).await?;
            }
            tx.wake(format!("run:{}", job.run));
            tx.commit().await
        })
    })
    .await
}

async fn authorized(app: &App, ctx: &Context, run: RunId) -> Result<()> {
    let row = store::run::run_get(app.db(), run).await?.ok_or_else(|| Error::not_found("run"))?;
    let denied = app.project_by_id(ctx, row.project, Permission::PipelineWrite).await;
    denied.map(|_| ()).map_err(|e| if e.is(Code::NotFound) { Error::not_found("run") } else { e })
}

/// Cancels a run: what waits is cancelled (unless it asks to run after a cancel), what runs is told. A second call kills.
///
/// # Errors
/// `not_found`, `forbidden`, `conflict` for a run that has ended.
pub async fn run_cancel(app: &App, ctx: &Context, run: RunId) -> Result<()> {
    authorized(app, ctx, run).await?;
    // a repeated request is not the second one, which kills
    if app.made::<()>(ctx)?.is_some() {
        return Ok(());
    }
    cancel_as(app.db(), run, "the run was cancelled", app.receipt(ctx, &())?).await
}

/// Cancels a run for a reason of the service.
///
/// # Errors
/// `conflict` for a run that has ended.
pub async fn cancel(db: &Db, run: RunId, reason: &str) -> Result<()> {
    cancel_as(db, run, reason, None).await
}

async fn cancel_as(db: &Db, run: RunId, reason: &str, receipt: Option<Receipt>) -> Result<()> {
    retrying(|| {
        let (db, reason, receipt) = (db.clone(), reason.to_owned(), receipt.clone());
        Box::pin(async move {
            let mut tx = db.begin().await?;
            let row = run_lock(&mut tx, run).await?.ok_or_else(|| Error::not_found("run"))?;
            if row.state == "completed" {
                return Err(Error::new(Code::Conflict, "the run has ended"));
            }
            let mut state = State::load(&mut tx, row).await?;
            let how = if state.run.cancelled { "kill" } else { "cancel" };
            state.run.cancelled = true;
            let now = Timestamp::now();
            for job in &mut state.jobs {
                // what waits is decided about by its condition
                if job.state != "waiting" {
                    stop(&mut tx, job, how, &reason, now).await?;
                }
            }
            advance(&mut tx, &mut state, now).await?;
            downstream::stop_children(&mut tx, &state, how == "kill").await?;
            tx.keep(receipt).await?;
            tx.commit().await
        })
    })
    .await
}

/// What to try again.
#[derive(Clone, Debug)]
pub enum Retry {
    /// The whole run.
    All,
    /// What failed or was cancelled, and what needs it.
    Failed,
    /// One job, and what needs it.
    Job(JobId),
    /// One job from the step that failed, with the files it left, and what needs it.
    Step {
        /// The job.
        job: JobId,
        /// Row of the step.
        step: i64,
    },
}

/// Makes an attempt one for the runner that keeps the files of the earlier one; they are used up by that.
async fn bind(tx: &mut Tx, job: &JobRow, next: &mut JobRow, step: i64) -> Result<(JobId, JobId, i64)> {
    let gone = || Error::new(Code::FilesGone, "the files of this job are no longer kept; run the whole job again");
    let found = job_kept_get(&mut *tx, job.id).await?.filter(|k| k.step == step).ok_or_else(gone)?;
    job_kept_delete(tx, job.id).await?;
    next.labels.push(kept::label(found.runner));
    next.label_key = model::label_key(&next.labels);
    Ok((next.id, job.id, step))
}

/// Tries jobs of an ended run again, as new attempts.
///
/// # Errors
/// `not_found`, `forbidden`, `conflict` while the run goes on, or when there is nothing to retry.
pub async fn run_retry(app: &App, ctx: &Context, run: RunId, what: Retry) -> Result<()> {
    authorized(app, ctx, run).await?;
    if app.made::<()>(ctx)?.is_some() {
        return Ok(());
    }
    let (db, receipt) = (app.db().clone(), app.receipt(ctx, &())?);
    retrying(|| {
        let (db, what, receipt) = (db.clone(), what.clone(), receipt.clone());
        Box::pin(async move {
            let mut tx = db.begin().await?;
            let row = run_lock(&mut tx, run).await?.ok_or_else(|| Error::not_found("run"))?;
            if row.state != "completed" {
                return Err(Error::new(Code::Conflict, "the run has not ended; cancel it first"));
            }
            let mut state = State::load(&mut tx, row).await?;
            if state.jobs.is_empty() {
                return Err(Error::new(Code::Conflict, "the run has no jobs: its workflow file has errors"));
            }
            let chosen: Vec<JobId> = match what {
                Retry::All => Vec::new(),
                Retry::Failed => {
                    let failed = |j: &&JobRow| matches!(j.conclusion.as_deref(), Some("failure" | "cancelled"));
                    state.jobs.iter().filter(failed).map(|j| j.id).collect()
                }
                Retry::Job(id) | Retry::Step { job: id, .. } => state.jobs.iter().filter(|j| j.id == id).map(|j| j.id).collect(),
            };
            match (&what, chosen.is_empty()) {
                (Retry::Failed, true) => return Err(Error::new(Code::Conflict, "nothing failed")),
                (Retry::Job(_) | Retry::Step { .. }, true) => return Err(Error::not_found("job")),
                _ => {}
            }
            let all = matches!(what, Retry::All);
            let keys: Vec<String> = state.jobs.iter().filter(|j| chosen.contains(&j.id)).map(|j| j.key.clone()).collect();
            let below = model::dependents(&state.plan, &keys);
            state.run.attempt += 1;
            let attempt = state.run.attempt;
            let mut fresh = Vec::new();
            let plan = state.plan.clone();
            let mut bound = None;
            for (position, planned) in plan.jobs.iter().enumerate() {
                let whole = all || below.contains(&planned.key);
                let mut restart = false;
                for mut job in state.jobs.iter().filter(|j| j.key == planned.key).cloned() {
                    // a job that was skipped or never expanded has no combination to repeat
                    let again = chosen.contains(&job.id) && job.cell.is_some() && !whole;
                    if whole || chosen.contains(&job.id) {
                        job.superseded = true;
                        save(&mut tx, &mut job).await?;
                        restart |= !again;
                        if again {
                            let mut next = store::job::JobRow { attempt, ..model::again(&job) };
                            if let Retry::Step { step, .. } = what {
                                bound = Some(bind(&mut tx, &job, &mut next, step).await?);
                            }
                            fresh.push(next);
                        }
                    } else {
                        fresh.push(job);
                        continue;
                    }
                }
                if restart {
                    fresh.retain(|j| j.key != planned.key || j.state == "completed");
                    fresh.push(model::placeholder(&state.run, planned, position, attempt));
                }
            }
            for job in fresh.iter().filter(|j| j.state == "waiting") {
                job_create(&mut tx, job).await?;
            }
            if let Some((next, from, step)) = bound {
                job_resume_put(&mut tx, next, from, step).await?;
            }
            state.jobs = fresh;
            state.run.state = "queued".into();
            state.run.conclusion = None;
            state.run.finished_at = None;
            state.run.cancelled = false;
            state.run.blocked = state.run.concurrency_group.is_some();
            advance(&mut tx, &mut state, Timestamp::now()).await?;
            tx.keep(receipt).await?;
            tx.commit().await
        })
    })
    .await
}
