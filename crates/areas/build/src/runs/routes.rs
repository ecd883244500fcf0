//! Routes of runs and jobs.

use axum::extract::{Request, State};
use axum::response::IntoResponse;
use kernel::{Error, JobId, Permission, RunId};
use serde::Deserialize;
use store::account::account_by_name;
use store::run::{RunFilter, run_get, run_list};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web_kit::{App, Ctx, Json, List, Page, PageParams, Path, ProblemBody, Query, Reply};

use super::view::{Job, Run, RunWithJobs};
use super::why::Why;
use super::{job_for, run_for, view};
use crate::questions::Said;
use crate::schedule::finish::{self, Retry};
use crate::schedule::gate;

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(run_page))
        .routes(routes!(run_read))
        .routes(routes!(run_cancel))
        .routes(routes!(run_retry))
        .routes(routes!(run_events))
        .routes(routes!(run_why))
        .routes(routes!(job_read))
        .routes(routes!(job_play))
        .routes(routes!(job_again))
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Narrow {
    /// Full ref name, or a branch's short one.
    r#ref: Option<String>,
    /// `queued`, `running`, `completed`.
    state: Option<String>,
    /// Path of the workflow file.
    workflow: Option<String>,
    /// Commit.
    commit: Option<String>,
    /// What started it: `push`, `workflow_dispatch`, …
    event: Option<String>,
    /// Name of who set it off.
    actor: Option<String>,
    /// `success`, `failure`, `cancelled`, `skipped`.
    conclusion: Option<String>,
    /// The one run of this number.
    number: Option<i64>,
}

#[utoipa::path(get, path = "/projects/{id}/runs", operation_id = "run_list", tag = "pipelines", params(("id" = String, Path), Narrow, PageParams),
    responses((status = 200, body = List<Run>), (status = "4XX", body = ProblemBody)))]
/// Runs of a project, newest first.
async fn run_page(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(id): Path<String>,
    Query(narrow): Query<Narrow>,
    page: Page,
) -> Reply<List<Run>> {
    let project = app.project(&ctx, &id, Permission::PipelineRead).await?;
    let full = |name: String| if name.starts_with("refs/") { name } else { format!("refs/heads/{name}") };
    let actor = match narrow.actor {
        Some(name) => match account_by_name(app.db(), &name).await? {
            Some(account) => Some(account.id),
            // nobody of that name has set off anything
            None => return Ok(page.finish("runs", Vec::new(), |r: &Run| r.number, |r| r)),
        },
        None => None,
    };
    let filter = RunFilter {
        r#ref: narrow.r#ref.map(full),
        state: narrow.state,
        workflow: narrow.workflow,
        commit: narrow.commit,
        event: narrow.event,
        actor,
        conclusion: narrow.conclusion,
    };
    let before = match narrow.number {
        Some(number) => Some(number.saturating_add(1)),
        None => page.after::<i64>("runs")?,
    };
    let mut rows = run_list(app.db(), project.id(), &filter, before, if narrow.number.is_some() { 1 } else { page.fetch() }).await?;
    rows.retain(|run| narrow.number.is_none_or(|number| run.number == number));
    let shown = view::runs(&app, rows, &project.row.path).await?;
    Ok(page.finish("runs", shown, |r| r.number, |r| r))
}

#[utoipa::path(get, path = "/runs/{run}", operation_id = "run_get", tag = "pipelines", params(("run" = String, Path)),
    responses((status = 200, body = RunWithJobs), (status = "4XX", body = ProblemBody)))]
/// A run with its jobs and steps.
async fn run_read(State(app): State<App>, Ctx(ctx): Ctx, Path(run): Path<String>) -> Reply<Json<RunWithJobs>> {
    let (row, project) = run_for(&app, &ctx, &run, Permission::PipelineRead).await?;
    Ok(Json(view::run_with_jobs(&app, &ctx, row, &project.row.path).await?))
}

#[utoipa::path(post, path = "/runs/{run}/cancel", tag = "pipelines", params(("run" = String, Path)),
    responses((status = 200, body = RunWithJobs), (status = "4XX", body = ProblemBody)))]
/// Stops a run; asked twice, it is killed.
async fn run_cancel(State(app): State<App>, Ctx(ctx): Ctx, Path(run): Path<String>) -> Reply<Json<RunWithJobs>> {
    let (row, project) = run_for(&app, &ctx, &run, Permission::PipelineWrite).await?;
    finish::run_cancel(&app, &ctx, row.id).await?;
    shown_again(&app, &ctx, row.id, &project.row.path).await
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RetryBody {
    /// Only what failed or was cancelled, and what needs it.
    #[serde(default)]
    failed_only: bool,
    /// Only this job, and what needs it.
    job: Option<String>,
}

#[utoipa::path(post, path = "/runs/{run}/retry", tag = "pipelines", params(("run" = String, Path)), request_body = RetryBody,
    responses((status = 200, body = RunWithJobs), (status = "4XX", body = ProblemBody)))]
/// Tries an ended run again, whole or in part.
async fn run_retry(State(app): State<App>, Ctx(ctx): Ctx, Path(run): Path<String>, request: Request) -> Reply<Json<RunWithJobs>> {
    let body: RetryBody = crate::workflows::routes::optional(&app, request).await?;
    let (row, project) = run_for(&app, &ctx, &run, Permission::PipelineWrite).await?;
    let what = match body.job {
        Some(job) => Retry::Job(job.parse::<JobId>().map_err(|_| Error::field("job", "invalid", "not the id of a job"))?),
        None if body.failed_only => Retry::Failed,
        None => Retry::All,
    };
    finish::run_retry(&app, &ctx, row.id, what).await?;
    shown_again(&app, &ctx, row.id, &project.row.path).await
}

async fn shown_again(app: &App, ctx: &kernel::Context, run: RunId, path: &str) -> Reply<Json<RunWithJobs>> {
    let row = run_get(app.db(), run).await?.ok_or_else(|| Error::not_found("run"))?;
    Ok(Json(view::run_with_jobs(app, ctx, row, path).await?))
}

#[utoipa::path(get, path = "/runs/{run}/events", tag = "pipelines", params(("run" = String, Path)),
    responses((status = 200, content_type = "text/event-stream", description = "`run` at each change, then `end`"), (status = "4XX", body = ProblemBody)))]
/// A run as it changes.
async fn run_events(State(app): State<App>, Ctx(ctx): Ctx, Path(run): Path<String>) -> Reply<impl IntoResponse> {
    let (row, _) = run_for(&app, &ctx, &run, Permission::PipelineRead).await?;
    let topic = format!("run:{}", row.id);
    Ok(web_kit::sse::snapshots(
        app,
        "run",
        move |t| t == topic,
        move |app| {
            let (ctx, run) = (ctx.clone(), run.clone());
            async move {
                // asked each time: rights may end while somebody looks on
                let (row, project) = run_for(&app, &ctx, &run, Permission::PipelineRead).await?;
                let end = row.state == "completed";
                Ok((view::run_with_jobs(&app, &ctx, row, &project.row.path).await?, end))
            }
        },
    ))
}

#[utoipa::path(get, path = "/runs/{run}/why", tag = "pipelines", params(("run" = String, Path)),
    responses((status = 200, body = Why), (status = "4XX", body = ProblemBody)))]
/// Why each job is in the run, runs, waits or was skipped: conditions with what they looked at.
async fn run_why(State(app): State<App>, Ctx(ctx): Ctx, Path(run): Path<String>) -> Reply<Json<Why>> {
    Ok(Json(super::why::run_why(&app, &ctx, &run).await?))
}

#[utoipa::path(get, path = "/jobs/{job}", operation_id = "job_get", tag = "pipelines", params(("job" = String, Path)),
    responses((status = 200, body = Job), (status = "4XX", body = ProblemBody)))]
/// One job, also an attempt that was superseded.
async fn job_read(State(app): State<App>, Ctx(ctx): Ctx, Path(job): Path<String>) -> Reply<Json<Job>> {
    let (row, _) = job_for(&app, &ctx, &job, Permission::PipelineRead).await?;
    Ok(Json(view::job(&app, row).await?))
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct JobRetryBody {
    /// Index of the step that failed: the new attempt takes over the steps before it, and the files as they were left. It is
    /// the job's `retry_from`. Without it the job begins anew.
    from_step: Option<i64>,
}

#[utoipa::path(post, path = "/jobs/{job}/retry", operation_id = "job_retry", tag = "pipelines", params(("job" = String, Path)), request_body = JobRetryBody,
    responses((status = 200, body = Job), (status = "4XX", body = ProblemBody)))]
/// Runs a job of an ended run again, from its beginning or from the step that failed; the new attempt.
async fn job_again(State(app): State<App>, Ctx(ctx): Ctx, Path(job): Path<String>, request: Request) -> Reply<Json<Job>> {
    let body: JobRetryBody = crate::workflows::routes::optional(&app, request).await?;
    let next = crate::runners::kept::job_retry(&app, &ctx, &job, body.from_step).await?;
    let row = store::job::job_get(app.db(), next).await?.ok_or_else(|| Error::not_found("job"))?;
    Ok(Json(view::job(&app, row).await?))
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PlayBody {
    /// Values of the parameters that are asked for; the others have their defaults.
    #[serde(default)]
    #[schema(value_type = std::collections::HashMap<String, serde_json::Value>)]
    parameters: serde_json::Map<String, serde_json::Value>,
    /// The job is not to go on.
    #[serde(default)]
    abort: bool,
    /// Which question, where the job asks several.
    question: Option<String>,
}

#[utoipa::path(post, path = "/jobs/{job}/play", tag = "pipelines", params(("job" = String, Path)), request_body = PlayBody,
    responses((status = 200, body = Job), (status = "4XX", body = ProblemBody)))]
/// Starts a job that waits for somebody to start it, or answers what a running job asks.
async fn job_play(State(app): State<App>, Ctx(ctx): Ctx, Path(job): Path<String>, request: Request) -> Reply<Json<Job>> {
    let body: PlayBody = crate::workflows::routes::optional(&app, request).await?;
    let said = Said { parameters: body.parameters, abort: body.abort, question: body.question };
    let started = gate::job_play(&app, &ctx, &job, &said).await?;
    let row = store::job::job_get(app.db(), started).await?.ok_or_else(|| Error::not_found("job"))?;
    Ok(Json(view::job(&app, row).await?))
}
