//! Routes by which people manage runners.

use axum::extract::State;
use http::StatusCode;
use kernel::{JobId, Result, RunId, RunnerId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::job::job_held_by;
use store::runner::{RunnerRow, runner_list};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web_kit::{App, Ctx, Json, List, Page, PageParams, Path, ProblemBody, Query, Reply};

use super::ONLINE;
use super::queue::{Eyes, Queue};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(runner_page))
        .routes(routes!(runner_token_create))
        .routes(routes!(runner_update, runner_delete))
        .routes(routes!(queue_get))
}

/// A runner.
#[derive(Debug, Serialize, ToSchema)]
struct Runner {
    /// Its id.
    #[schema(value_type = String)]
    id: RunnerId,
    /// Its name.
    name: String,
    /// What it has.
    labels: Vec<String>,
    /// Jobs at a time.
    capacity: i64,
    /// Jobs it runs now.
    busy: i64,
    /// Of its binary.
    version: String,
    /// Operating system and processor.
    platform: String,
    /// Operating system.
    os: String,
    /// Processor.
    arch: String,
    /// What it runs now, as far as the caller may see it.
    jobs: Vec<RunnerJob>,
    /// Takes one job in its life.
    ephemeral: bool,
    /// `online`, `draining` (takes no more jobs) or `offline`.
    #[schema(value_type = crate::words::RunnerState)]
    state: &'static str,
    /// When it last spoke.
    #[schema(value_type = String)]
    last_seen_at: Timestamp,
    /// Lives in a server process.
    in_process: bool,
    /// What its machine can do.
    #[schema(value_type = std::collections::HashMap<String, Value>)]
    capabilities: Value,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct RunnersOf {
    /// Those that take jobs of this project; for everybody who may start its runs.
    project: Option<String>,
    /// Those that take jobs of this group's projects; for its developers.
    group: Option<String>,
}

#[utoipa::path(get, path = "/runners", operation_id = "runner_list", tag = "runners", params(RunnersOf, PageParams),
    responses((status = 200, body = List<Runner>), (status = "4XX", body = ProblemBody)))]
/// The runners of the instance: all of them for administrators, else those of a project or group. Of the jobs they have,
/// those that the caller may see.
async fn runner_page(State(app): State<App>, Ctx(ctx): Ctx, Query(of): Query<RunnersOf>, page: Page) -> Reply<List<Runner>> {
    super::runners_for(&app, &ctx, of.project.as_deref(), of.group.as_deref()).await?;
    let rows = runner_list(app.db(), page.after::<RunnerId>("runners")?, page.fetch()).await?;
    let mut eyes = Eyes::new(&app, &ctx);
    let mut items = Vec::with_capacity(rows.len());
    for (row, busy) in rows {
        items.push(shown(&mut eyes, row, busy).await?);
    }
    Ok(page.finish("runners", items, |r| r.id, |r| r))
}

/// A job that a runner has.
#[derive(Debug, Serialize, ToSchema)]
struct RunnerJob {
    /// The job.
    #[schema(value_type = String)]
    job: JobId,
    /// Its run.
    #[schema(value_type = String)]
    run: RunId,
    /// Path of its project.
    project: String,
    /// Its name.
    name: String,
    /// When the runner took it.
    #[schema(value_type = Option<String>)]
    started_at: Option<Timestamp>,
}

async fn shown(eyes: &mut Eyes<'_>, r: RunnerRow, busy: i64) -> Result<Runner> {
    let mut jobs = Vec::new();
    if busy > 0 {
        for job in job_held_by(eyes.app.db(), r.id).await? {
            if let Some(project) = eyes.see(job.project).await? {
                jobs.push(RunnerJob { job: job.id, run: job.run, project: project.path, name: job.name, started_at: job.started_at });
            }
        }
    }
    let online = eyes.ctx.now.since(r.last_seen_at) <= ONLINE;
    Ok(Runner {
        id: r.id,
        state: if !online {
            "offline"
        } else if r.draining {
            "draining"
        } else {
            "online"
        },
        name: r.name,
        labels: r.labels,
        capacity: r.capacity,
        busy,
        version: r.version,
        platform: format!("{} {}", r.os, r.arch),
        os: r.os,
        arch: r.arch,
        jobs,
        ephemeral: r.ephemeral,
        last_seen_at: r.last_seen_at,
        in_process: r.in_process,
        capabilities: r.capabilities,
    })
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RunnerChange {
    /// Take no more jobs, or take jobs again.
    draining: bool,
}

#[utoipa::path(patch, path = "/runners/{id}", tag = "runners", params(("id" = String, Path)), request_body = RunnerChange,
    responses((status = 200, body = Runner), (status = "4XX", body = ProblemBody)))]
/// Drains a runner (it finishes what it has), or lets it take jobs again.
async fn runner_update(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(id): Path<String>,
    Json(change): Json<RunnerChange>,
) -> Reply<Json<Runner>> {
    let row = super::runner_update(&app, &ctx, &id, change.draining).await?;
    let busy = i64::try_from(job_held_by(app.db(), row.id).await?.len()).unwrap_or(0);
    Ok(Json(shown(&mut Eyes::new(&app, &ctx), row, busy).await?))
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct QueueOf {
    /// Only of this project; with it, also jobs that wait for something else than a runner.
    project: Option<String>,
}

#[utoipa::path(get, path = "/queue", tag = "runners", params(QueueOf),
    responses((status = 200, body = Queue), (status = "4XX", body = ProblemBody)))]
/// Jobs that wait, in the order of their turns: those that the caller may see.
async fn queue_get(State(app): State<App>, Ctx(ctx): Ctx, Query(of): Query<QueueOf>) -> Reply<Json<Queue>> {
    Ok(Json(super::queue::queue_get(&app, &ctx, of.project.as_deref()).await?))
}

/// A registration token, shown once.
#[derive(Debug, Serialize, ToSchema)]
struct Invitation {
    /// Register with it within the hour.
    token: String,
}

#[utoipa::path(post, path = "/runners/tokens", tag = "runners", responses((status = 201, body = Invitation), (status = "4XX", body = ProblemBody)))]
/// Makes a token with which one runner can register.
async fn runner_token_create(State(app): State<App>, Ctx(ctx): Ctx) -> Reply<(StatusCode, Json<Invitation>)> {
    let token = super::runner_invite(&app, &ctx).await?;
    Ok((StatusCode::CREATED, Json(Invitation { token })))
}

#[utoipa::path(delete, path = "/runners/{id}", tag = "runners", params(("id" = String, Path)),
    responses((status = 204), (status = "4XX", body = ProblemBody)))]
/// Removes a runner.
async fn runner_delete(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>) -> Reply<StatusCode> {
    super::runner_remove(&app, &ctx, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
