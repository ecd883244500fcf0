//! Routes of schedules.

use axum::extract::State;
use http::StatusCode;
use kernel::{Permission, ProjectId, Result, RunId, ScheduleId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::run::run_get;
use store::schedule::ScheduleRow;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web_kit::{App, Created, Ctx, IfMatch, Json, List, Page, PageParams, Path, ProblemBody, Project, Reply, Versioned};

use super::Change;
use crate::runs::view::{self, Run, Who};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(schedule_page, schedule_create))
        .routes(routes!(schedule_read, schedule_update, schedule_delete))
        .routes(routes!(schedule_play))
}

/// When runs start by the clock.
#[derive(Debug, Serialize, ToSchema)]
struct Schedule {
    /// Its id.
    #[schema(value_type = String)]
    id: ScheduleId,
    /// Its project.
    #[schema(value_type = String)]
    project_id: ProjectId,
    /// `file` (it follows a workflow file of the default branch) or `user`.
    #[schema(value_type = crate::words::ScheduleSource)]
    source: String,
    /// The workflow that it starts; none for all that a manual start would start.
    workflow: Option<String>,
    /// Full ref name; runs are made for its last commit.
    r#ref: String,
    /// The expression.
    cron: String,
    /// IANA name of the time zone.
    timezone: String,
    /// For people.
    description: String,
    /// Does it become due?
    active: bool,
    /// Why it is off, or why nothing was started last time.
    reason: Option<String>,
    /// Variables of its runs; shown to those who may start runs.
    #[schema(value_type = Option<std::collections::HashMap<String, Value>>)]
    variables: Option<Value>,
    /// Inputs of its runs; shown to those who may start runs.
    #[schema(value_type = Option<std::collections::HashMap<String, Value>>)]
    inputs: Option<Value>,
    /// What happens with times that passed while the service was down: `once` or `skip`.
    #[schema(value_type = crate::words::MissedTimes)]
    missed: String,
    /// In whose name its runs start.
    owner: Option<Who>,
    /// When it is due next.
    #[schema(value_type = Option<String>)]
    next_at: Option<Timestamp>,
    /// When it was due last.
    #[schema(value_type = Option<String>)]
    last_at: Option<Timestamp>,
    /// The last run that came of it.
    #[schema(value_type = Option<String>)]
    last_run: Option<RunId>,
    /// When it was made.
    #[schema(value_type = String)]
    created_at: Timestamp,
    /// Row version.
    version: i64,
}

async fn shown(app: &App, ctx: &kernel::Context, project: &Project, row: ScheduleRow) -> Result<Schedule> {
    let open = project.allows(ctx, Permission::PipelineWrite);
    let owner = match row.owner {
        Some(id) => store::account::account_get(app.db(), id).await?.map(|a| Who { id, name: a.name }),
        None => None,
    };
    Ok(Schedule {
        id: row.id,
        project_id: row.project,
        source: row.source,
        workflow: row.workflow,
        r#ref: row.r#ref,
        cron: row.cron,
        timezone: row.timezone,
        description: row.description,
        active: row.active,
        reason: row.reason,
        variables: open.then_some(row.variables),
        inputs: open.then_some(row.inputs),
        missed: row.missed,
        owner,
        next_at: row.next_at,
        last_at: row.last_at,
        last_run: row.last_run,
        created_at: row.created_at,
        version: row.version,
    })
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ScheduleBody {
    /// Branch, or full name of a branch or tag; the default branch when not given.
    r#ref: Option<String>,
    /// Minute, hour, day of the month, month, day of the week; or `@daily` and its like.
    cron: Option<String>,
    /// IANA name such as `Europe/Berlin`; UTC when not given.
    timezone: Option<String>,
    /// For people.
    description: Option<String>,
    /// Path, file name or name of a workflow.
    workflow: Option<String>,
    /// On or off.
    active: Option<bool>,
    /// Variables by name.
    #[schema(value_type = Option<std::collections::HashMap<String, Value>>)]
    variables: Option<Map<String, Value>>,
    /// Inputs by name.
    #[schema(value_type = Option<std::collections::HashMap<String, Value>>)]
    inputs: Option<Map<String, Value>>,
    /// `once` or `skip`.
    #[schema(value_type = Option<crate::words::MissedTimes>)]
    missed: Option<String>,
}

impl From<ScheduleBody> for Change {
    fn from(b: ScheduleBody) -> Self {
        Self {
            r#ref: b.r#ref,
            cron: b.cron,
            timezone: b.timezone,
            description: b.description,
            workflow: b.workflow,
            active: b.active,
            variables: b.variables,
            inputs: b.inputs,
            missed: b.missed,
        }
    }
}

#[utoipa::path(get, path = "/projects/{id}/schedules", operation_id = "schedule_list", tag = "pipelines", params(("id" = String, Path), PageParams),
    responses((status = 200, body = List<Schedule>), (status = "4XX", body = ProblemBody)))]
/// Schedules of a project, the oldest first.
async fn schedule_page(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>, page: Page) -> Reply<List<Schedule>> {
    let after = page.after::<ScheduleId>("schedules")?;
    let (rows, project) = super::schedules(&app, &ctx, &id, after, page.fetch()).await?;
    let mut items = Vec::with_capacity(rows.len());
    for row in rows {
        items.push(shown(&app, &ctx, &project, row).await?);
    }
    Ok(page.finish("schedules", items, |s| s.id, |s| s))
}

#[utoipa::path(post, path = "/projects/{id}/schedules", tag = "pipelines", params(("id" = String, Path)), request_body = ScheduleBody,
    responses((status = 201, body = Schedule), (status = "4XX", body = ProblemBody)))]
/// Makes a schedule; its runs start in the caller's name.
async fn schedule_create(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(id): Path<String>,
    Json(body): Json<ScheduleBody>,
) -> Reply<Created<Schedule>> {
    let (row, project) = super::schedule_make(&app, &ctx, &id, body.into()).await?;
    let (location, version) = (format!("/schedules/{}", row.id), Some(row.version));
    Ok(Created { location, body: shown(&app, &ctx, &project, row).await?, version })
}

#[utoipa::path(get, path = "/schedules/{schedule}", operation_id = "schedule_get", tag = "pipelines", params(("schedule" = String, Path)),
    responses((status = 200, body = Schedule), (status = "4XX", body = ProblemBody)))]
/// A schedule.
async fn schedule_read(State(app): State<App>, Ctx(ctx): Ctx, Path(schedule): Path<String>) -> Reply<Versioned<Schedule>> {
    let (row, project) = super::schedule_for(&app, &ctx, &schedule, Permission::PipelineRead).await?;
    let version = row.version;
    Ok(Versioned(shown(&app, &ctx, &project, row).await?, version))
}

#[utoipa::path(patch, path = "/schedules/{schedule}", tag = "pipelines", params(("schedule" = String, Path), ("If-Match" = String, Header)),
    request_body = ScheduleBody, responses((status = 200, body = Schedule), (status = "4XX", body = ProblemBody)))]
/// Changes a schedule, which makes the caller its owner; one of a file can be switched off and on.
async fn schedule_update(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(schedule): Path<String>,
    IfMatch(version): IfMatch,
    Json(body): Json<ScheduleBody>,
) -> Reply<Versioned<Schedule>> {
    let (row, project) = super::schedule_change(&app, &ctx, &schedule, version, body.into()).await?;
    let version = row.version;
    Ok(Versioned(shown(&app, &ctx, &project, row).await?, version))
}

#[utoipa::path(delete, path = "/schedules/{schedule}", tag = "pipelines", params(("schedule" = String, Path)),
    responses((status = 204), (status = "4XX", body = ProblemBody)))]
/// Removes a schedule that somebody made.
async fn schedule_delete(State(app): State<App>, Ctx(ctx): Ctx, Path(schedule): Path<String>) -> Reply<StatusCode> {
    super::schedule_remove(&app, &ctx, &schedule).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(post, path = "/schedules/{schedule}/play", tag = "pipelines", params(("schedule" = String, Path)),
    responses((status = 201, body = List<Run>), (status = "4XX", body = ProblemBody)))]
/// Starts what a schedule starts, now.
async fn schedule_play(State(app): State<App>, Ctx(ctx): Ctx, Path(schedule): Path<String>) -> Reply<(StatusCode, List<Run>)> {
    let (runs, project) = super::schedule_play(&app, &ctx, &schedule).await?;
    let mut rows = Vec::new();
    for run in runs {
        rows.extend(run_get(app.db(), run).await?);
    }
    Ok((StatusCode::CREATED, List::whole(view::runs(&app, rows, &project.row.path).await?)))
}
