//! Runners: who may take jobs, how a job is handed out, and the server side of the runner protocol.
//!
//! A claim is held open until there is a job for it: claimers of one instance stand in `dispatch`, and a commit that
//! queues n jobs wakes n of them. Everything a runner writes goes through `held`, which checks the lease and its epoch.

pub mod claim;
pub mod dispatch;
mod history;
pub mod kept;
pub mod protocol;
pub mod queue;
pub mod routes;
pub mod tokens;

use std::time::Duration;

use executors::protocol::{RegisterAnswer, RegisterRequest};
use kernel::authz::authorize_instance;
use kernel::{Actor, Code, Context, Error, FieldError, JobId, Permission, Result, Role, RunnerId, Timestamp};
use serde_json::json;
use store::job::job_unclaim;
use store::runner::{RunnerRow, invitation_create, invitation_use, runner_again, runner_create, runner_delete, runner_drain, runner_get};
use web_kit::{App, secret};

use crate::schedule::finish::{End, job_end};

/// A runner is online when it spoke within this time: a claim is held open for 30 s.
pub const ONLINE: Duration = Duration::from_secs(75);
/// A registration token lives this long.
const INVITATION: Duration = Duration::from_secs(3600);
/// Most labels of a runner.
const MAX_LABELS: usize = 100;

/// The runner that speaks.
///
/// # Errors
/// `unauthenticated` for anybody else.
pub fn runner_of(ctx: &Context) -> Result<RunnerId> {
    match ctx.actor {
        Actor::Runner(id) => Ok(id),
        _ => Err(Error::new(Code::Unauthenticated, "the token of a runner is needed here")),
    }
}

/// Makes a token with which one runner can register within the hour.
///
/// # Errors
/// `forbidden` unless the caller administers the instance.
pub async fn runner_invite(app: &App, ctx: &Context) -> Result<String> {
    authorize_instance(ctx, Permission::InstanceAdmin)?;
    if let Some(token) = app.made::<String>(ctx)? {
        return Ok(token);
    }
    let token = secret::token("dmi");
    let mut tx = app.db().begin().await?;
    invitation_create(&mut tx, &secret::hash(&token), ctx.user(), ctx.now.plus(INVITATION)).await?;
    tx.keep(app.receipt(ctx, &token)?).await?;
    tx.commit().await?;
    Ok(token)
}

/// May the caller see the runners: of a project, of a group, or all of them?
///
/// # Errors
/// `forbidden`, `unauthenticated`, `not_found`; without a project or group for all but administrators.
pub async fn runners_for(app: &App, ctx: &Context, project: Option<&str>, group: Option<&str>) -> Result<()> {
    match (project, group) {
        (Some(project), _) => app.project(ctx, project, Permission::PipelineWrite).await.map(drop),
        (None, Some(group)) => app.group(ctx, group, Some((Role::Developer, Permission::PipelineRead))).await.map(drop),
        (None, None) => authorize_instance(ctx, Permission::InstanceAdmin),
    }
}

fn checked(request: &RegisterRequest) -> Result<()> {
    let mut wrong = Vec::new();
    let mut bad =
        |field: &str, code: &'static str, message: &str| wrong.push(FieldError { field: field.into(), code, message: message.into() });
    if request.name.trim().is_empty() || request.name.len() > 200 || request.name.chars().any(char::is_control) {
        bad("name", "invalid", "1 to 200 characters");
    }
    let plain = |l: &String| {
        !l.trim().is_empty() && l.len() <= 200 && !l.starts_with(kept::KEEPER) && !l.contains(',') && !l.chars().any(char::is_control)
    };
    if request.labels.is_empty() || request.labels.len() > MAX_LABELS || !request.labels.iter().all(plain) {
        bad("labels", "invalid", "1 to 100 labels without commas");
    }
    if !(1..=256).contains(&request.capacity) {
        bad("capacity", "out_of_range", "between 1 and 256");
    }
    if [&request.version, &request.os, &request.arch].iter().any(|t| t.len() > 100) {
        bad("version", "too_long", "at most 100 characters");
    }
    if wrong.is_empty() { Ok(()) } else { Err(Error::fields(wrong)) }
}

/// Registers a runner with a registration token.
///
/// # Errors
/// `bad_credentials` when the token is not alive, `validation_failed`.
pub async fn runner_register(app: &App, request: RegisterRequest) -> Result<RegisterAnswer> {
    checked(&request)?;
    let mut tx = app.db().begin().await?;
    if !invitation_use(&mut tx, &secret::hash(&request.registration_token), Timestamp::now()).await? {
        return Err(Error::new(Code::BadCredentials, "the registration token is not valid, used up or expired"));
    }
    add(tx, request, false).await
}

/// Registers the runner of this process; no token is needed for that.
///
/// # Errors
/// `validation_failed`.
pub async fn runner_register_local(app: &App, request: RegisterRequest) -> Result<RegisterAnswer> {
    checked(&request)?;
    let tx = app.db().begin().await?;
    add(tx, request, true).await
}

async fn add(mut tx: store::Tx, request: RegisterRequest, in_process: bool) -> Result<RegisterAnswer> {
    let token = secret::token("dmr");
    let now = Timestamp::now();
    let row = RunnerRow {
        id: RunnerId::new(),
        name: request.name.trim().to_owned(),
        labels: request.labels.iter().map(|l| l.trim().to_owned()).collect(),
        capacity: i64::from(request.capacity),
        version: request.version,
        os: request.os,
        arch: request.arch,
        capabilities: json!(request.capabilities),
        in_process,
        draining: false,
        ephemeral: request.ephemeral,
        created_at: now,
        last_seen_at: now,
    };
    runner_create(&mut tx, &row, &secret::hash(&token)).await?;
    tx.wake("runners");
    tx.commit().await?;
    tracing::info!(runner = %row.id, name = row.name, labels = ?row.labels, in_process, "a runner registered");
    Ok(RegisterAnswer { runner_id: row.id, token })
}

/// Removes a runner; its jobs are lost when their leases run out.
///
/// # Errors
/// `forbidden`, `not_found`.
pub async fn runner_remove(app: &App, ctx: &Context, id: &str) -> Result<()> {
    authorize_instance(ctx, Permission::InstanceAdmin)?;
    let id: RunnerId = id.parse().map_err(|_| Error::not_found("runner"))?;
    remove(app, id).await
}

/// Lets a runner finish what it has and take no more, or take jobs again.
///
/// # Errors
/// `forbidden`, `not_found`.
pub async fn runner_update(app: &App, ctx: &Context, id: &str, draining: bool) -> Result<RunnerRow> {
    authorize_instance(ctx, Permission::InstanceAdmin)?;
    let missing = || Error::not_found("runner");
    let id: RunnerId = id.parse().map_err(|_| missing())?;
    let mut tx = app.db().begin().await?;
    if !runner_drain(&mut tx, id, draining).await? {
        return Err(missing());
    }
    tx.commit().await?;
    runner_get(app.db(), id).await?.ok_or_else(missing)
}

/// Ends what a runner holds, because it is known not to run any more; what may be is tried again.
///
/// # Errors
/// The database's.
pub async fn abandon(app: &App, id: RunnerId, why: &str) -> Result<()> {
    for job in store::job::job_held_by(app.db(), id).await? {
        if job_end(app.db(), job.id, job.epoch, End::Infra(why.to_owned())).await? {
            tracing::warn!(job = %job.id, run = %job.run, why, "a job was lost");
        }
    }
    Ok(())
}

/// Takes back what is leased to a runner that does not have it, because the answer to its claim was lost. What has no log was
/// never begun and goes back to its place in the queue; it has not been tried yet.
///
/// # Errors
/// The database's.
pub async fn take_back(app: &App, id: RunnerId, held: &[JobId]) -> Result<()> {
    for job in store::job::job_held_by(app.db(), id).await? {
        if held.contains(&job.id) {
            continue;
        }
        if job.log_length > 0 {
            job_end(app.db(), job.id, job.epoch, End::Infra("the runner no longer has it".into())).await?;
            continue;
        }
        let mut tx = app.db().begin().await?;
        if job_unclaim(&mut tx, job.id, job.epoch).await? {
            // of an ephemeral runner's one job
            runner_again(&mut tx, id).await?;
            tx.wake(format!("jobs:1:{}", job.label_key));
            tx.wake(format!("run:{}", job.run));
            tx.commit().await?;
            tracing::info!(job = %job.id, runner = %id, "the job never reached its runner and is queued again");
        }
    }
    Ok(())
}

/// Removes a runner that leaves by itself.
///
/// # Errors
/// `not_found`.
pub async fn remove(app: &App, id: RunnerId) -> Result<()> {
    let mut tx = app.db().begin().await?;
    if !runner_delete(&mut tx, id).await? {
        return Err(Error::not_found("runner"));
    }
    tx.wake("runners");
    tx.commit().await
}
