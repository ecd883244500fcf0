//! `/projects/{id}/environments`, `/environments/{env}`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use kernel::Permission;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web_kit::App;
use web_kit::Created;
use web_kit::Ctx;
use web_kit::IfMatch;
use web_kit::Json;
use web_kit::List;
use web_kit::Page;
use web_kit::PageParams;
use web_kit::Path;
use web_kit::ProblemBody;
use web_kit::Query;
use web_kit::Reply;
use web_kit::Versioned;

use super::model::Environment;
use super::model::EnvironmentChange;
use super::model::EnvironmentNew;
use crate::manager::Watch;

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(environment_list, environment_create))
        .routes(routes!(environment_get, environment_update, environment_delete))
        .routes(routes!(environment_log))
        .routes(routes!(environment_watch))
}

/// Environments of a project, by name.
#[utoipa::path(get, path = "/projects/{id}/environments", tag = "deployments", params(("id" = String, Path), PageParams),
    responses((status = 200, body = List<Environment>)))]
async fn environment_list(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>, page: Page) -> Reply<List<Environment>> {
    let project = app.project(&ctx, &id, Permission::DeploymentRead).await?;
    let after: Option<String> = page.after("environment")?;
    let rows = store::environment::environment_list(app.db(), project.id(), after.as_deref().unwrap_or(""), page.fetch()).await?;
    let whole = project.allows(&ctx, Permission::DeploymentWrite);
    let mut shown = Vec::with_capacity(rows.len());
    for row in rows {
        shown.push(super::show(&app, row, whole).await?);
    }
    Ok(page.finish("environment", shown, |e| e.name.clone(), |e| e))
}

/// Makes an environment.
#[utoipa::path(post, path = "/projects/{id}/environments", tag = "deployments", params(("id" = String, Path)), request_body = EnvironmentNew,
    responses((status = 201, body = Environment), (status = 409, body = ProblemBody)))]
async fn environment_create(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(id): Path<String>,
    Json(new): Json<EnvironmentNew>,
) -> Reply<Created<Environment>> {
    let row = super::environment_create(&app, &ctx, &id, new).await?;
    let (location, version) = (format!("/environments/{}", row.id), Some(row.version));
    Ok(Created { location, version, body: super::show(&app, row, true).await? })
}

/// An environment.
#[utoipa::path(get, path = "/environments/{env}", tag = "deployments", params(("env" = String, Path)), responses((status = 200, body = Environment)))]
async fn environment_get(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>) -> Reply<Versioned<Environment>> {
    let (row, project) = super::environment_get(&app, &ctx, &id, Permission::DeploymentRead).await?;
    let version = row.version;
    Ok(Versioned(super::show(&app, row, project.allows(&ctx, Permission::DeploymentWrite)).await?, version))
}

/// Changes an environment; releases that were made keep their own settings.
#[utoipa::path(patch, path = "/environments/{env}", tag = "deployments", params(("env" = String, Path)), request_body = EnvironmentChange,
    responses((status = 200, body = Environment), (status = 412, body = ProblemBody)))]
async fn environment_update(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(id): Path<String>,
    IfMatch(version): IfMatch,
    Json(change): Json<EnvironmentChange>,
) -> Reply<Versioned<Environment>> {
    let row = super::environment_update(&app, &ctx, &id, version, change).await?;
    let version = row.version;
    Ok(Versioned(super::show(&app, row, true).await?, version))
}

/// Deletes an environment and stops what runs there.
#[utoipa::path(delete, path = "/environments/{env}", tag = "deployments", params(("env" = String, Path)), responses((status = 204)))]
async fn environment_delete(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>) -> Reply<StatusCode> {
    super::environment_delete(&app, &ctx, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How much of a log.
#[derive(Debug, Deserialize, IntoParams)]
struct LogQuery {
    /// The last so many lines, 1 to 10,000; 200 when not given.
    tail: Option<usize>,
}

/// The last lines the running application wrote.
#[utoipa::path(get, path = "/environments/{env}/log", tag = "deployments", params(("env" = String, Path), LogQuery),
    responses((status = 200, content_type = "text/plain", body = String)))]
async fn environment_log(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>, Query(query): Query<LogQuery>) -> Reply<Response> {
    let (row, _) = super::environment_get(&app, &ctx, &id, Permission::DeploymentRead).await?;
    let text = crate::manager::log(&app, &row, query.tail.unwrap_or(200).clamp(1, 10_000)).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

/// How the application does: health checks, restarts, requests, processor and memory.
#[utoipa::path(get, path = "/environments/{env}/watch", tag = "deployments", params(("env" = String, Path)), responses((status = 200, body = Watch)))]
async fn environment_watch(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>) -> Reply<Json<Watch>> {
    let (row, _) = super::environment_get(&app, &ctx, &id, Permission::DeploymentRead).await?;
    Ok(Json(crate::manager::watch(&app, &row).await?))
}
