//! What holds a job besides the jobs it needs: a person, a question, time.
//!
//! `released_at` of the row is the whole state: none means nobody has let it go; a time to come means it waits for it.

use std::time::Duration;

use dialects::plan::{Gate, Job};
use dialects::ready::{Decision, decide};
use kernel::{Actor, Code, Context, Error, JobId, Permission, Result, Timestamp};
use serde_json::json;
use store::NewWork;
use store::job::{JobRow, job_create, job_released};
use store::run::run_lock;
use web_kit::App;

use super::advance::{State, advance};
use super::{model, retrying, save};
use crate::questions::{self, Said};
use crate::runs::job_for;

/// Why a manual job that holds the pipeline waits.
const WAITS: &str = "waits for somebody to start it";
/// Why one that does not hold the pipeline is skipped until then.
const SKIPPED: &str = "nobody has started it yet";

/// May a job that could start do so?
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Gated {
    /// Yes.
    Open,
    /// Not yet, and why.
    Held(String),
    /// It counts as skipped until somebody starts it.
    Skip(String),
}

/// Looks at the gate of a job that could start. Sets the time that a delay ends.
pub(super) fn look(row: &mut JobRow, job: &Job, now: Timestamp) -> Gated {
    match (&job.gate, row.released_at) {
        (None, _) => Gated::Open,
        (Some(_), Some(at)) if at <= now => Gated::Open,
        (Some(_), Some(at)) => Gated::Held(format!("waits until {at}")),
        (Some(Gate::Delay { seconds }), None) => {
            let at = now.plus(Duration::from_secs(*seconds));
            row.released_at = Some(at);
            Gated::Held(format!("waits until {at}"))
        }
        (Some(Gate::Manual { blocking: true }), None) => Gated::Held(WAITS.into()),
        (Some(Gate::Manual { blocking: false }), None) => Gated::Skip(SKIPPED.into()),
        (Some(Gate::Input { message, .. }), None) => Gated::Held(format!("waits for an answer: {message}")),
    }
}

/// Can somebody start the job now?
pub fn playable(row: &JobRow, gate: Option<&Gate>) -> bool {
    let Some(gate) = gate else { return false };
    let open = row.released_at.is_none_or(|at| row.state == "waiting" && at > Timestamp::now());
    open && row.cell.is_none()
        && !row.superseded
        && match row.state.as_str() {
            // it has a reason once only its gate holds it
            "waiting" => row.reason.is_some(),
            "completed" => matches!(gate, Gate::Manual { .. }) && row.reason.as_deref() == Some(SKIPPED),
            _ => false,
        }
}

/// Starts a job that waits for a person or for time, or answers what a running one asks.
///
/// # Errors
/// `not_found`, `forbidden`, `conflict` for a job that does not wait for anybody.
pub async fn job_play(app: &App, ctx: &Context, id: &str, said: &Said) -> Result<JobId> {
    let (row, _) = job_for(app, ctx, id, Permission::PipelineWrite).await?;
    if let Some(made) = app.made::<JobId>(ctx)? {
        return Ok(made);
    }
    if row.state == "running" {
        questions::answer(app, ctx, &row, said).await?;
        return Ok(row.id);
    }
    if said.abort || !said.parameters.is_empty() {
        return refuse("the job asks nothing: it takes no parameters, and cancelling its run stops it");
    }
    let (db, ctx, app) = (app.db().clone(), ctx.clone(), app.clone());
    retrying(|| {
        let (db, ctx, app, run, job) = (db.clone(), ctx.clone(), app.clone(), row.run, row.id);
        Box::pin(async move {
            let mut tx = db.begin().await?;
            let locked = run_lock(&mut tx, run).await?.ok_or_else(|| Error::not_found("run"))?;
            let mut state = State::load(&mut tx, locked).await?;
            let Some(index) = state.jobs.iter().position(|j| j.id == job) else {
                return refuse("a later attempt took the place of this job");
            };
            let gate = state.plan.job(&state.jobs[index].key).and_then(|p| p.gate.clone());
            if playable(&state.jobs[index], gate.as_ref()) {
                may_answer(&ctx, gate.as_ref())?;
            }
            let started = play(&mut tx, &mut state, index, Timestamp::now()).await?;
            tx.keep(app.receipt(&ctx, &started)?).await?;
            tx.commit().await?;
            Ok(started)
        })
    })
    .await
}

fn refuse<T>(why: &str) -> Result<T> {
    Err(Error::new(Code::Conflict, why.to_owned()))
}

/// Lets a job of a locked run go that waits for a person or for time, and brings the run forward. Gives the job that starts.
///
/// # Errors
/// `conflict` for a job that does not wait for anybody.
pub(crate) async fn play(tx: &mut store::Tx, state: &mut State, index: usize, now: Timestamp) -> Result<JobId> {
    let planned = state.plan.job(&state.jobs[index].key).cloned();
    if !playable(&state.jobs[index], planned.as_ref().and_then(|p| p.gate.as_ref())) {
        return refuse("the job does not wait for anybody to start it");
    }
    if state.run.cancelled {
        return refuse("the run was cancelled; retry it");
    }
    let started = if state.jobs[index].state == "waiting" {
        let planned = planned.ok_or_else(|| Error::internal("the job is not in its plan"))?;
        let results = model::results(&state.jobs);
        if !matches!(decide(&state.plan, &planned, &results, false, &state.contexts), Decision::Run) {
            return refuse("the jobs before it have not ended");
        }
        state.jobs[index].released_at = Some(now);
        let row = &mut state.jobs[index];
        save(tx, row).await?;
        row.id
    } else {
        reopen(tx, state, index, now).await?
    };
    advance(tx, state, now).await?;
    Ok(started)
}

/// Is the caller among those who may answer?
fn may_answer(ctx: &Context, gate: Option<&Gate>) -> Result<()> {
    let Some(Gate::Input { submitters, .. }) = gate else { return Ok(()) };
    let listed = match &ctx.actor {
        Actor::User { name, admin, .. } => *admin || submitters.iter().any(|s| s == name),
        _ => false,
    };
    if submitters.is_empty() || listed {
        Ok(())
    } else {
        Err(Error::new(Code::Forbidden, format!("only {} may answer", submitters.join(", "))))
    }
}

/// A job that counted as skipped starts after all, and with it what was skipped because of it.
async fn reopen(tx: &mut store::Tx, state: &mut State, index: usize, now: Timestamp) -> Result<JobId> {
    let key = state.jobs[index].key.clone();
    let below = model::dependents(&state.plan, std::slice::from_ref(&key));
    let plan = state.plan.clone();
    let mut started = state.jobs[index].id;
    for (position, planned) in plan.jobs.iter().enumerate() {
        let own = planned.key == key;
        if !own && !below.contains(&planned.key) {
            continue;
        }
        let Some(at) = state.jobs.iter().position(|j| j.key == planned.key) else { continue };
        let skipped = |j: &JobRow| j.state == "completed" && j.conclusion.as_deref() == Some("skipped") && j.cell.is_none();
        if !skipped(&state.jobs[at]) {
            continue;
        }
        // not another try: it has never run
        let attempt = state.jobs[at].attempt;
        state.jobs[at].superseded = true;
        save(tx, &mut state.jobs[at]).await?;
        let mut next = model::placeholder(&state.run, planned, position, attempt);
        if own {
            next.released_at = Some(now);
            started = next.id;
        }
        job_create(tx, &next).await?;
        state.jobs[at] = next;
    }
    if state.run.state == "completed" {
        state.run.state = "queued".into();
        state.run.conclusion = None;
        state.run.finished_at = None;
        state.run.blocked = state.run.concurrency_group.is_some();
    }
    Ok(started)
}

/// Looks again at runs whose jobs have waited long enough.
///
/// # Errors
/// The database's.
pub async fn delays(app: App) -> Result<()> {
    for run in job_released(app.db(), Timestamp::now(), 200).await? {
        let mut tx = app.db().begin().await?;
        tx.enqueue(NewWork::new("run_advance", json!({"run": run})).dedup(run.to_string())).await?;
        tx.commit().await?;
    }
    Ok(())
}
