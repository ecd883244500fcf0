//! Environments as the jobs of pipelines name them: what was deployed to each last, and how it is stopped again. And the
//! modes of resource groups.
//!
//! Invariants: an environment is there once a job has deployed to it, and has the state of the last deployment; it is
//! stopped by the job that its last deployment names, started under the lock of that run; what a job began is ended by
//! its end, whoever is looking.
//!
//! Must not know: how releases are run (`deliver`); what is deployed by a script is known by its word alone.
//!
//! Read next: `schedule::gate` (how a job is started), `routes`.

pub mod routes;

use std::time::Duration;

use dialects::expr::{self, Context as Values};
use dialects::plan::{Environment, EnvironmentAction};
use dialects::ready::{contexts, needs_context};
use kernel::{Code, Context, Error, JobEnvironmentId, JobId, Permission, ProjectId, PushId, Result, Timestamp};
use serde_json::{Value, json};
use store::job::JobRow;
use store::job_environment::{
    JobEnvironmentRow, ResourceGroupRow, job_environment_by_name, job_environment_delete, job_environment_deployed, job_environment_due,
    job_environment_ended, job_environment_get, job_environment_list, job_environment_of_ref, job_environment_update, resource_group_get,
    resource_group_list, resource_group_set,
};
use store::run::run_lock;
use store::{Db, NewWork, Tx, WorkRow};
use web_kit::{App, Project};

use crate::schedule::advance::State;
use crate::schedule::turn::Mode;
use crate::schedule::{gate, model, raced, retrying};

/// Longest name of an environment, in characters.
const MAX_NAME: usize = 255;
/// Longest address.
const MAX_URL: usize = 2048;
/// Environments that one look at the clock, or the end of a branch, stops.
const AT_ONCE: i64 = 200;
/// The output of a job that holds the address of its environment.
const URL: &str = executors::protocol::ENVIRONMENT_URL;

/// The name of a job's environment, evaluated.
fn name_of(state: &State, row: &JobRow) -> Option<String> {
    let planned = state.plan.job(&row.key)?;
    let environment = planned.environment.as_ref()?;
    let results = model::results(&state.jobs);
    let mut base = contexts(planned, &results, &state.contexts).ok()?.into_owned();
    if let Value::Object(github) = &mut base["github"] {
        github.insert("run_number".into(), json!(state.run.number.to_string()));
        github.insert("run_id".into(), json!(state.run.id.to_string()));
    }
    let roots = model::cell_roots(&base, needs_context(planned, &results), row.matrix.as_ref(), Value::Null);
    let name = expr::interpolate(&environment.name, &Values::new(&roots)).ok()?;
    let name = name.trim();
    (!name.is_empty() && name.chars().count() <= MAX_NAME).then(|| name.to_owned())
}

/// The address that a job has put out.
fn url_of(row: &JobRow) -> Option<String> {
    let url = row.outputs[URL].as_str()?.trim();
    let safe = (url.starts_with("https://") || url.starts_with("http://")) && url.len() <= MAX_URL && !url.contains(char::is_whitespace);
    safe.then(|| url.to_owned())
}

/// When an environment is stopped by itself, if that was said now.
fn stop_at(planned: &Environment, now: Timestamp) -> Option<Timestamp> {
    planned.auto_stop_seconds.filter(|s| *s > 0).map(|s| now.plus(Duration::from_secs(s)))
}

/// Notes what the end of a job means for its environment.
///
/// # Errors
/// The database's.
pub(crate) async fn job_ended(tx: &mut Tx, state: &State, row: &JobRow, now: Timestamp) -> Result<()> {
    let Some(planned) = state.plan.job(&row.key).and_then(|j| j.environment.clone()) else { return Ok(()) };
    let Some(name) = name_of(state, row) else { return Ok(()) };
    let good = row.conclusion.as_deref() == Some("success");
    if planned.action == EnvironmentAction::Start {
        if !good {
            return Ok(());
        }
        let deployed = JobEnvironmentRow {
            id: JobEnvironmentId::new(),
            project: row.project,
            tier: planned.tier.clone().unwrap_or_else(|| Environment::tier_of(&name).to_owned()),
            name,
            state: "available".into(),
            detail: None,
            url: url_of(row),
            r#ref: state.run.r#ref.clone(),
            commit: state.run.commit.clone(),
            run: state.run.id,
            job: row.id,
            on_stop: planned.on_stop.clone(),
            stop_job: None,
            auto_stop_at: stop_at(&planned, now),
            created_at: now,
            updated_at: now,
        };
        return job_environment_deployed(tx, &deployed).await;
    }
    let Some(mut known) = job_environment_by_name(&mut *tx, row.project, &name).await? else { return Ok(()) };
    if planned.action == EnvironmentAction::Stop {
        return ended(tx, &mut known, row.id, row.conclusion.as_deref().unwrap_or_default(), now).await;
    }
    if good && planned.auto_stop_seconds.is_some() && known.state == "available" {
        known.auto_stop_at = stop_at(&planned, now);
        job_environment_update(tx, &known).await?;
    }
    Ok(())
}

/// A job that stops an environment has ended.
async fn ended(tx: &mut Tx, row: &mut JobEnvironmentRow, job: JobId, conclusion: &str, now: Timestamp) -> Result<()> {
    if conclusion == "success" {
        (row.state, row.detail, row.stop_job, row.auto_stop_at) = ("stopped".into(), None, None, None);
    } else if row.stop_job == Some(job) {
        let detail = format!("the job that stops it ended as {conclusion}");
        (row.state, row.detail, row.stop_job) = ("available".into(), Some(detail), None);
    } else {
        return Ok(());
    }
    row.updated_at = now;
    job_environment_update(tx, row).await.map(|_| ())
}

/// Stops an environment: by the job that its last deployment names, or, without one or by `force`, by its word.
async fn stop(db: &Db, id: JobEnvironmentId, force: bool) -> Result<JobEnvironmentRow> {
    retrying(|| {
        let db = db.clone();
        Box::pin(async move {
            let mut tx = db.begin().await?;
            let mut row = job_environment_get(&mut tx, id).await?.ok_or_else(|| Error::not_found("environment"))?;
            if row.state == "stopped" || (row.state == "stopping" && !force) {
                return Ok(row);
            }
            let now = Timestamp::now();
            let stopping = match row.on_stop.clone().filter(|_| !force) {
                Some(key) => begin(&mut tx, &row, &key, now).await?,
                None => None,
            };
            row.state = if stopping.is_some() { "stopping" } else { "stopped" }.into();
            (row.stop_job, row.detail, row.auto_stop_at, row.updated_at) = (stopping, None, None, now);
            if !job_environment_update(&mut tx, &row).await? {
                return Err(raced());
            }
            tx.commit().await?;
            Ok(row)
        })
    })
    .await
}

/// Starts the job that stops an environment. None when there is none any more.
async fn begin(tx: &mut Tx, row: &JobEnvironmentRow, key: &str, now: Timestamp) -> Result<Option<JobId>> {
    let Some(run) = run_lock(tx, row.run).await? else { return Ok(None) };
    let mut state = State::load(tx, run).await?;
    let Some(index) = state.jobs.iter().position(|j| j.key == key) else { return Ok(None) };
    let job = &state.jobs[index];
    if matches!(job.state.as_str(), "queued" | "unschedulable" | "running") {
        return Ok(Some(job.id));
    }
    let gate = state.plan.job(key).and_then(|j| j.gate.as_ref());
    if !gate::playable(job, gate) {
        let word = job.conclusion.as_deref().unwrap_or(&job.state);
        let why = format!("the job `{key}` that stops it cannot be started now ({word}); retry it, or stop the environment with `force`");
        return Err(Error::new(Code::Conflict, why));
    }
    gate::play(tx, &mut state, index, now).await.map(Some)
}

/// Looks at the clock, and at jobs that ended without a word to their environment.
///
/// # Errors
/// The database's.
pub async fn tick(app: App) -> Result<()> {
    let now = Timestamp::now();
    for (mut row, conclusion) in job_environment_ended(app.db(), AT_ONCE).await? {
        let Some(job) = row.stop_job else { continue };
        let mut tx = app.db().begin().await?;
        ended(&mut tx, &mut row, job, &conclusion, now).await?;
        tx.commit().await?;
    }
    for row in job_environment_due(app.db(), now, AT_ONCE).await? {
        stop_or_tell(&app, row).await?;
    }
    Ok(())
}

/// Stops an environment in the name of the service; what keeps it from that is written to it.
async fn stop_or_tell(app: &App, mut row: JobEnvironmentRow) -> Result<()> {
    match stop(app.db(), row.id, false).await {
        Ok(_) => Ok(()),
        Err(e) if matches!(e.code, Code::Conflict | Code::NotFound) => {
            (row.detail, row.auto_stop_at, row.updated_at) = (Some(e.detail), None, Timestamp::now());
            let mut tx = app.db().begin().await?;
            job_environment_update(&mut tx, &row).await?;
            tx.commit().await
        }
        Err(e) => Err(e),
    }
}

/// Refs have ended: what was deployed from them is to be stopped.
///
/// # Errors
/// The database's.
pub(crate) async fn refs_gone(app: &App, project: ProjectId, push: PushId, names: impl Iterator<Item = &str>) -> Result<()> {
    let mut tx = app.db().begin().await?;
    for name in names {
        let work = NewWork::new("environments_of_ref", json!({"ref": name})).project(project).dedup(format!("{push}:{name}"));
        tx.enqueue(work).await?;
    }
    tx.commit().await
}

/// Stops what a ref that has ended was deployed to, as far as a job says how.
///
/// # Errors
/// The database's.
pub async fn stop_of_ref(app: App, work: WorkRow) -> Result<()> {
    let project = work.project.ok_or_else(|| Error::internal("environments_of_ref without a project"))?;
    let name = work.payload["ref"].as_str().unwrap_or_default();
    for row in job_environment_of_ref(app.db(), project, name, AT_ONCE).await? {
        if row.on_stop.is_some() {
            stop_or_tell(&app, row).await?;
        }
    }
    Ok(())
}

/// Finds an environment and decides whether the caller may do `p` in its project.
///
/// # Errors
/// `not_found`, also where the caller may not know of it; `forbidden`.
pub async fn job_environment_for(app: &App, ctx: &Context, id: &str, p: Permission) -> Result<(JobEnvironmentRow, Project)> {
    let missing = || Error::not_found("environment");
    let id: JobEnvironmentId = id.parse().map_err(|_| missing())?;
    let row = job_environment_get(app.db(), id).await?.ok_or_else(missing)?;
    let project = app.project_by_id(ctx, row.project, p).await.map_err(|e| if e.is(Code::NotFound) { missing() } else { e })?;
    Ok((row, project))
}

/// Environments of a project by name, after `last`.
///
/// # Errors
/// `not_found`, `validation_failed` for a state that does not exist.
pub async fn job_environments(
    app: &App,
    ctx: &Context,
    project: &str,
    state: Option<&str>,
    last: &str,
    limit: i64,
) -> Result<Vec<JobEnvironmentRow>> {
    let project = app.project(ctx, project, Permission::PipelineRead).await?;
    if state.is_some_and(|s| !matches!(s, "available" | "stopping" | "stopped")) {
        return Err(Error::field("state", "invalid", "available, stopping or stopped"));
    }
    job_environment_list(app.db(), project.id(), state, last, limit).await
}

/// Stops an environment. `force` does it without the job that stops it.
///
/// # Errors
/// `not_found`, `forbidden`, `conflict` when the job that stops it cannot be started.
pub async fn job_environment_stop(app: &App, ctx: &Context, id: &str, force: bool) -> Result<JobEnvironmentRow> {
    let (row, _) = job_environment_for(app, ctx, id, Permission::PipelineWrite).await?;
    stop(app.db(), row.id, force).await
}

/// Forgets an environment that is stopped.
///
/// # Errors
/// `not_found`, `forbidden`, `conflict` while it is not stopped.
pub async fn job_environment_remove(app: &App, ctx: &Context, id: &str) -> Result<()> {
    let (row, _) = job_environment_for(app, ctx, id, Permission::PipelineWrite).await?;
    let mut tx = app.db().begin().await?;
    if !job_environment_delete(&mut tx, row.id).await? {
        return Err(Error::new(Code::Conflict, "stop the environment first"));
    }
    tx.commit().await
}

/// Resource groups of a project of which somebody said how turns are taken, by name, after `last`.
///
/// # Errors
/// `not_found`.
pub async fn resource_groups(app: &App, ctx: &Context, project: &str, last: &str, limit: i64) -> Result<Vec<ResourceGroupRow>> {
    let project = app.project(ctx, project, Permission::PipelineRead).await?;
    resource_group_list(app.db(), project.id(), last, limit).await
}

/// Says how the jobs of a resource group take their turns.
///
/// # Errors
/// `not_found`, `forbidden`, `validation_failed`.
pub async fn resource_group_change(app: &App, ctx: &Context, project: &str, name: &str, mode: &str) -> Result<ResourceGroupRow> {
    let project = app.project(ctx, project, Permission::PipelineWrite).await?;
    let name = name.trim().to_lowercase();
    if name.is_empty() || name.chars().count() > MAX_NAME {
        return Err(Error::field("name", "invalid", format!("1 to {MAX_NAME} characters")));
    }
    if Mode::parse(mode).is_none() {
        let known: Vec<&str> = Mode::ALL.iter().map(|(name, _)| *name).collect();
        return Err(Error::field("process_mode", "invalid", known.join(", ")));
    }
    let mut tx = app.db().begin().await?;
    resource_group_set(&mut tx, project.id(), &name, mode, ctx.now).await?;
    tx.commit().await?;
    resource_group_get(app.db(), project.id(), &name).await?.ok_or_else(|| Error::not_found("resource group"))
}
