//! Runs: making them, and how they are shown.

pub mod create;
pub mod jobs;
pub mod routes;
pub mod status;
pub mod steps;
pub mod trust;
pub mod view;
pub mod why;

use kernel::{Code, Context, Error, JobId, Permission, Result, RunId};
use store::job::JobRow;
use store::run::RunRow;
use web_kit::{App, Project};

/// Finds a run and decides whether the caller may do `p` in its project.
///
/// # Errors
/// `not_found`, also where the caller may not know of it.
pub async fn run_for(app: &App, ctx: &Context, id: &str, p: Permission) -> Result<(RunRow, Project)> {
    let missing = || Error::not_found("run");
    let id: RunId = id.parse().map_err(|_| missing())?;
    let run = store::run::run_get(app.db(), id).await?.ok_or_else(missing)?;
    let project = app.project_by_id(ctx, run.project, p).await.map_err(|e| if e.is(Code::NotFound) { missing() } else { e })?;
    Ok((run, project))
}

/// Finds a job and decides whether the caller may do `p` in its project.
///
/// # Errors
/// `not_found`, also where the caller may not know of it.
pub async fn job_for(app: &App, ctx: &Context, id: &str, p: Permission) -> Result<(JobRow, Project)> {
    let missing = || Error::not_found("job");
    let id: JobId = id.parse().map_err(|_| missing())?;
    let job = store::job::job_get(app.db(), id).await?.ok_or_else(missing)?;
    let project = app.project_by_id(ctx, job.project, p).await.map_err(|e| if e.is(Code::NotFound) { missing() } else { e })?;
    Ok((job, project))
}
