//! Routes of secrets and variables.

use axum::extract::State;
use http::StatusCode;
use kernel::{Permission, Timestamp};
use serde::{Deserialize, Serialize};
use store::secret::{secret_list, variable_list};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web_kit::{App, Ctx, Json, List, Page, PageParams, Path, ProblemBody, Reply};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(secret_page))
        .routes(routes!(secret_put))
        .routes(routes!(secret_delete))
        .routes(routes!(variable_page))
        .routes(routes!(variable_put))
        .routes(routes!(variable_delete))
}

/// A secret; its value is never shown.
#[derive(Debug, Serialize, ToSchema)]
struct Secret {
    /// Its name.
    name: String,
    /// When it was last set.
    #[schema(value_type = String)]
    updated_at: Timestamp,
}

/// A variable.
#[derive(Debug, Serialize, ToSchema)]
struct Variable {
    /// Its name.
    name: String,
    /// Its value.
    value: String,
    /// When it was last set.
    #[schema(value_type = String)]
    updated_at: Timestamp,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ValueBody {
    /// The value.
    value: String,
}

#[utoipa::path(get, path = "/projects/{id}/secrets", operation_id = "secret_list", tag = "pipelines", params(("id" = String, Path), PageParams),
    responses((status = 200, body = List<Secret>), (status = "4XX", body = ProblemBody)))]
/// Names of a project's secrets.
async fn secret_page(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>, page: Page) -> Reply<List<Secret>> {
    let project = app.project(&ctx, &id, Permission::SecretRead).await?;
    let after = page.after::<String>("secrets")?.unwrap_or_default();
    let rows = secret_list(app.db(), project.id(), &after, page.fetch()).await?;
    Ok(page.finish("secrets", rows, |s| s.name.clone(), |s| Secret { name: s.name, updated_at: s.updated_at }))
}

#[utoipa::path(put, path = "/projects/{id}/secrets/{name}", tag = "pipelines", params(("id" = String, Path), ("name" = String, Path)),
    request_body = ValueBody, responses((status = 204), (status = "4XX", body = ProblemBody)))]
/// Sets a secret.
async fn secret_put(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path((id, name)): Path<(String, String)>,
    Json(body): Json<ValueBody>,
) -> Reply<StatusCode> {
    super::secret_put(&app, &ctx, &id, &name, &body.value).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(delete, path = "/projects/{id}/secrets/{name}", tag = "pipelines", params(("id" = String, Path), ("name" = String, Path)),
    responses((status = 204), (status = "4XX", body = ProblemBody)))]
/// Removes a secret.
async fn secret_delete(State(app): State<App>, Ctx(ctx): Ctx, Path((id, name)): Path<(String, String)>) -> Reply<StatusCode> {
    super::secret_remove(&app, &ctx, &id, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(get, path = "/projects/{id}/variables", operation_id = "variable_list", tag = "pipelines", params(("id" = String, Path), PageParams),
    responses((status = 200, body = List<Variable>), (status = "4XX", body = ProblemBody)))]
/// A project's variables.
async fn variable_page(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>, page: Page) -> Reply<List<Variable>> {
    let project = app.project(&ctx, &id, Permission::SecretRead).await?;
    let after = page.after::<String>("variables")?.unwrap_or_default();
    let rows = variable_list(app.db(), project.id(), &after, page.fetch()).await?;
    Ok(page.finish("variables", rows, |v| v.name.clone(), |v| Variable { name: v.name, value: v.value, updated_at: v.updated_at }))
}

#[utoipa::path(put, path = "/projects/{id}/variables/{name}", tag = "pipelines", params(("id" = String, Path), ("name" = String, Path)),
    request_body = ValueBody, responses((status = 204), (status = "4XX", body = ProblemBody)))]
/// Sets a variable.
async fn variable_put(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path((id, name)): Path<(String, String)>,
    Json(body): Json<ValueBody>,
) -> Reply<StatusCode> {
    super::variable_put(&app, &ctx, &id, &name, &body.value).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(delete, path = "/projects/{id}/variables/{name}", tag = "pipelines", params(("id" = String, Path), ("name" = String, Path)),
    responses((status = 204), (status = "4XX", body = ProblemBody)))]
/// Removes a variable.
async fn variable_delete(State(app): State<App>, Ctx(ctx): Ctx, Path((id, name)): Path<(String, String)>) -> Reply<StatusCode> {
    super::variable_remove(&app, &ctx, &id, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
