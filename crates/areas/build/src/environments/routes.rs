//! Routes of the environments of jobs, and of resource groups.

use axum::extract::{Request, State};
use http::StatusCode;
use kernel::{JobEnvironmentId, JobId, Permission, ProjectId, RunId, Timestamp};
use serde::{Deserialize, Serialize};
use store::job_environment::{JobEnvironmentRow, ResourceGroupRow};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web_kit::{App, Ctx, Json, List, Page, PageParams, Path, ProblemBody, Query, Reply};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(job_environment_page))
        .routes(routes!(job_environment_read, job_environment_delete))
        .routes(routes!(job_environment_stop))
        .routes(routes!(resource_group_page))
        .routes(routes!(resource_group_update))
}

/// An environment as jobs of pipelines name it.
#[derive(Debug, Serialize, ToSchema)]
struct JobEnvironment {
    /// Its id.
    #[schema(value_type = String)]
    id: JobEnvironmentId,
    /// Its project.
    #[schema(value_type = String)]
    project_id: ProjectId,
    /// Its name in the project.
    name: String,
    /// What it is for.
    #[schema(value_type = crate::words::EnvironmentTier)]
    tier: String,
    /// Does it stand?
    #[schema(value_type = crate::words::JobEnvironmentState)]
    state: String,
    /// Why it could not be stopped.
    detail: Option<String>,
    /// Where it answers, by the word of the job.
    url: Option<String>,
    /// Full name of the ref that was deployed.
    r#ref: String,
    /// Commit that was deployed.
    commit: String,
    /// The run that deployed.
    #[schema(value_type = String)]
    run: RunId,
    /// The job that deployed.
    #[schema(value_type = String)]
    job: JobId,
    /// Key of the job of that run that stops it.
    on_stop: Option<String>,
    /// The job that is stopping it.
    #[schema(value_type = Option<String>)]
    stop_job: Option<JobId>,
    /// Stopped then.
    #[schema(value_type = Option<String>)]
    auto_stop_at: Option<Timestamp>,
    /// When it was first deployed to.
    #[schema(value_type = String)]
    created_at: Timestamp,
    /// When its state last changed.
    #[schema(value_type = String)]
    updated_at: Timestamp,
}

impl From<JobEnvironmentRow> for JobEnvironment {
    fn from(e: JobEnvironmentRow) -> Self {
        Self {
            id: e.id,
            project_id: e.project,
            name: e.name,
            tier: e.tier,
            state: e.state,
            detail: e.detail,
            url: e.url,
            r#ref: e.r#ref,
            commit: e.commit,
            run: e.run,
            job: e.job,
            on_stop: e.on_stop,
            stop_job: e.stop_job,
            auto_stop_at: e.auto_stop_at,
            created_at: e.created_at,
            updated_at: e.updated_at,
        }
    }
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct OfState {
    /// `available`, `stopping` or `stopped`.
    state: Option<String>,
}

#[utoipa::path(get, path = "/projects/{id}/job-environments", operation_id = "job_environment_list", tag = "pipelines",
    params(("id" = String, Path), OfState, PageParams), responses((status = 200, body = List<JobEnvironment>), (status = "4XX", body = ProblemBody)))]
/// Environments that jobs of the project have deployed to, by name.
async fn job_environment_page(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(id): Path<String>,
    Query(of): Query<OfState>,
    page: Page,
) -> Reply<List<JobEnvironment>> {
    let last = page.after::<String>("job_environments")?.unwrap_or_default();
    let rows = super::job_environments(&app, &ctx, &id, of.state.as_deref(), &last, page.fetch()).await?;
    Ok(page.finish("job_environments", rows, |e| e.name.clone(), JobEnvironment::from))
}

#[utoipa::path(get, path = "/job-environments/{environment}", operation_id = "job_environment_get", tag = "pipelines",
    params(("environment" = String, Path)), responses((status = 200, body = JobEnvironment), (status = "4XX", body = ProblemBody)))]
/// An environment that jobs have deployed to.
async fn job_environment_read(State(app): State<App>, Ctx(ctx): Ctx, Path(environment): Path<String>) -> Reply<Json<JobEnvironment>> {
    let (row, _) = super::job_environment_for(&app, &ctx, &environment, Permission::PipelineRead).await?;
    Ok(Json(row.into()))
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct StopBody {
    /// Without the job that stops it.
    #[serde(default)]
    force: bool,
}

#[utoipa::path(post, path = "/job-environments/{environment}/stop", tag = "pipelines", params(("environment" = String, Path)),
    request_body = StopBody, responses((status = 200, body = JobEnvironment), (status = "4XX", body = ProblemBody)))]
/// Stops an environment, by the job that its last deployment names for that.
async fn job_environment_stop(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(environment): Path<String>,
    request: Request,
) -> Reply<Json<JobEnvironment>> {
    let body: StopBody = crate::workflows::routes::optional(&app, request).await?;
    Ok(Json(super::job_environment_stop(&app, &ctx, &environment, body.force).await?.into()))
}

#[utoipa::path(delete, path = "/job-environments/{environment}", tag = "pipelines", params(("environment" = String, Path)),
    responses((status = 204), (status = "4XX", body = ProblemBody)))]
/// Forgets an environment that is stopped.
async fn job_environment_delete(State(app): State<App>, Ctx(ctx): Ctx, Path(environment): Path<String>) -> Reply<StatusCode> {
    super::job_environment_remove(&app, &ctx, &environment).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How the jobs of a resource group take their turns.
#[derive(Debug, Serialize, ToSchema)]
struct ResourceGroup {
    /// Its name.
    name: String,
    /// In which order.
    #[schema(value_type = crate::words::ProcessMode)]
    process_mode: String,
    /// When that was said.
    #[schema(value_type = String)]
    updated_at: Timestamp,
}

impl From<ResourceGroupRow> for ResourceGroup {
    fn from(g: ResourceGroupRow) -> Self {
        Self { name: g.name, process_mode: g.mode, updated_at: g.updated_at }
    }
}

#[utoipa::path(get, path = "/projects/{id}/resource-groups", operation_id = "resource_group_list", tag = "pipelines",
    params(("id" = String, Path), PageParams), responses((status = 200, body = List<ResourceGroup>), (status = "4XX", body = ProblemBody)))]
/// Resource groups of which somebody said how turns are taken, by name. All others are unordered.
async fn resource_group_page(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>, page: Page) -> Reply<List<ResourceGroup>> {
    let last = page.after::<String>("resource_groups")?.unwrap_or_default();
    let rows = super::resource_groups(&app, &ctx, &id, &last, page.fetch()).await?;
    Ok(page.finish("resource_groups", rows, |g| g.name.clone(), ResourceGroup::from))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ResourceGroupBody {
    /// In which order.
    #[schema(value_type = crate::words::ProcessMode)]
    process_mode: String,
}

#[utoipa::path(put, path = "/projects/{id}/resource-groups/{name}", tag = "pipelines", params(("id" = String, Path), ("name" = String, Path)),
    request_body = ResourceGroupBody, responses((status = 200, body = ResourceGroup), (status = "4XX", body = ProblemBody)))]
/// Says how the jobs of a resource group take their turns.
async fn resource_group_update(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path((id, name)): Path<(String, String)>,
    Json(body): Json<ResourceGroupBody>,
) -> Reply<Json<ResourceGroup>> {
    Ok(Json(super::resource_group_change(&app, &ctx, &id, &name, &body.process_mode).await?.into()))
}
