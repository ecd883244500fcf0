//! `/projects/{id}/deploy`, `/deployments/…`, `/projects/{id}/releases`, `/environments/{env}/rollback`.

use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::Response;
use kernel::DeploymentId;
use kernel::Error;
use kernel::Permission;
use kernel::ReleaseId;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web_kit::Accepted;
use web_kit::App;
use web_kit::Ctx;
use web_kit::Json;
use web_kit::List;
use web_kit::Page;
use web_kit::PageParams;
use web_kit::Path;
use web_kit::ProblemBody;
use web_kit::Query;
use web_kit::Reply;

use super::model::DeployNew;
use super::model::Deployment;
use super::model::EnvironmentQuery;
use super::model::Release;
use super::model::RollbackNew;

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(deploy))
        .routes(routes!(rollback))
        .routes(routes!(deployment_list))
        .routes(routes!(deployment_get))
        .routes(routes!(deployment_events))
        .routes(routes!(release_list))
}

/// Deploys an image, or a release that was made before, to an environment.
#[utoipa::path(post, path = "/projects/{id}/deploy", tag = "deployments", params(("id" = String, Path)), request_body = DeployNew,
    responses((status = 202, body = Deployment), (status = 422, body = ProblemBody)))]
async fn deploy(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>, Json(new): Json<DeployNew>) -> Reply<Accepted<Deployment>> {
    let row = super::deploy(&app, &ctx, &id, new).await?;
    Ok(Accepted { location: format!("/deployments/{}", row.id), body: super::show(&app, row, true).await? })
}

/// Brings back an earlier release with its configuration and secrets: nothing is built anew.
#[utoipa::path(post, path = "/environments/{env}/rollback", tag = "deployments", params(("env" = String, Path)), request_body = RollbackNew,
    responses((status = 202, body = Deployment), (status = 422, body = ProblemBody)))]
async fn rollback(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(id): Path<String>,
    Json(new): Json<RollbackNew>,
) -> Reply<Accepted<Deployment>> {
    let row = super::rollback(&app, &ctx, &id, new.release).await?;
    Ok(Accepted { location: format!("/deployments/{}", row.id), body: super::show(&app, row, true).await? })
}

/// Deployments of a project, newest first.
#[utoipa::path(get, path = "/projects/{id}/deployments", tag = "deployments", params(("id" = String, Path), EnvironmentQuery, PageParams),
    responses((status = 200, body = List<Deployment>)))]
async fn deployment_list(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(id): Path<String>,
    Query(query): Query<EnvironmentQuery>,
    page: Page,
) -> Reply<List<Deployment>> {
    let project = app.project(&ctx, &id, Permission::DeploymentRead).await?;
    let environment = match &query.environment {
        Some(name) => Some(super::find_environment(&app, &project, name).await?.ok_or_else(|| Error::not_found("environment"))?.id),
        None => None,
    };
    let before: Option<DeploymentId> = page.after("deployment")?;
    let rows = store::deployment::deployment_list(app.db(), project.id(), environment, before, page.fetch()).await?;
    let whole = project.allows(&ctx, Permission::DeploymentWrite);
    let mut shown = Vec::with_capacity(rows.len());
    for row in rows {
        shown.push(super::show(&app, row, whole).await?);
    }
    Ok(page.finish("deployment", shown, |d| d.id, |d| d))
}

/// A deployment.
#[utoipa::path(get, path = "/deployments/{dpl}", tag = "deployments", params(("dpl" = String, Path)), responses((status = 200, body = Deployment)))]
async fn deployment_get(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>) -> Reply<Json<Deployment>> {
    let (row, project) = super::deployment_get(&app, &ctx, &id).await?;
    Ok(Json(super::show(&app, row, project.allows(&ctx, Permission::DeploymentWrite)).await?))
}

/// A deployment as it goes on: event `deployment` at each change, then `end`.
#[utoipa::path(get, path = "/deployments/{dpl}/events", tag = "deployments", params(("dpl" = String, Path)),
    responses((status = 200, content_type = "text/event-stream")))]
async fn deployment_events(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>) -> Reply<Response> {
    let (row, _) = super::deployment_get(&app, &ctx, &id).await?;
    let topic = store::deployment::topic(row.id);
    let load = move |app: App| {
        let (ctx, id) = (ctx.clone(), id.clone());
        async move {
            // rights may have gone meanwhile
            let (row, project) = super::deployment_get(&app, &ctx, &id).await?;
            let end = row.state == "completed";
            Ok((super::show(&app, row, project.allows(&ctx, Permission::DeploymentWrite)).await?, end))
        }
    };
    Ok(web_kit::sse::snapshots(app, "deployment", move |t| t == topic, load).into_response())
}

/// Releases of a project, newest first.
#[utoipa::path(get, path = "/projects/{id}/releases", tag = "deployments", params(("id" = String, Path), EnvironmentQuery, PageParams),
    responses((status = 200, body = List<Release>)))]
async fn release_list(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(id): Path<String>,
    Query(query): Query<EnvironmentQuery>,
    page: Page,
) -> Reply<List<Release>> {
    let project = app.project(&ctx, &id, Permission::DeploymentRead).await?;
    let environment = match &query.environment {
        Some(name) => Some(super::find_environment(&app, &project, name).await?.ok_or_else(|| Error::not_found("environment"))?.id),
        None => None,
    };
    let before: Option<ReleaseId> = page.after("release")?;
    let rows = store::release::release_list(app.db(), project.id(), environment, before, page.fetch()).await?;
    let whole = project.allows(&ctx, Permission::DeploymentWrite);
    let mut shown = Vec::with_capacity(rows.len());
    for row in rows {
        shown.push(super::named(&app, Release::new(row, whole)).await?);
    }
    Ok(page.finish("release", shown, |r| r.id, |r| r))
}
