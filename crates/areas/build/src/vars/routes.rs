//! Routes of secrets and variables: of projects, groups and environments.

use axum::extract::State;
use http::StatusCode;
use kernel::{Context, Timestamp};
use serde::{Deserialize, Serialize};
use store::secret::{SecretRow, VariableRow};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web_kit::{App, Ctx, Json, List, Page, PageParams, Path, ProblemBody, Reply};

use super::{New, Of};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(secret_page))
        .routes(routes!(secret_put, secret_delete))
        .routes(routes!(variable_page))
        .routes(routes!(variable_put, variable_delete))
        .routes(routes!(group_secret_page))
        .routes(routes!(group_secret_put, group_secret_delete))
        .routes(routes!(group_variable_page))
        .routes(routes!(group_variable_put, group_variable_delete))
        .routes(routes!(environment_secret_page))
        .routes(routes!(environment_secret_put, environment_secret_delete))
        .routes(routes!(environment_variable_page))
        .routes(routes!(environment_variable_put, environment_variable_delete))
}

/// A secret; its value is never shown.
#[derive(Debug, Serialize, ToSchema)]
struct Secret {
    /// Its name.
    name: String,
    /// Only runs of protected refs get it: of the default branch, and of tags of its history.
    protected: bool,
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
    /// Only runs of protected refs get it: of the default branch, and of tags of its history.
    protected: bool,
    /// When it was last set.
    #[schema(value_type = String)]
    updated_at: Timestamp,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ValueBody {
    /// The value.
    value: String,
    /// Only for runs of protected refs. Without it, it stays as it is; a new one is for all.
    #[serde(default)]
    protected: Option<bool>,
}

impl ValueBody {
    fn as_new(&self) -> New<'_> {
        New { value: &self.value, protected: self.protected }
    }
}

async fn secrets(app: &App, ctx: &Context, of: Of<'_>, page: &Page) -> Reply<List<Secret>> {
    let after = page.after::<String>("secrets")?.unwrap_or_default();
    let rows = super::secret_list(app, ctx, of, &after, page.fetch()).await?;
    let shown = |s: SecretRow| Secret { name: s.name, protected: s.protected, updated_at: s.updated_at };
    Ok(page.finish("secrets", rows, |s| s.name.clone(), shown))
}

async fn variables(app: &App, ctx: &Context, of: Of<'_>, page: &Page) -> Reply<List<Variable>> {
    let after = page.after::<String>("variables")?.unwrap_or_default();
    let rows = super::variable_list(app, ctx, of, &after, page.fetch()).await?;
    let shown = |v: VariableRow| Variable { name: v.name, value: v.value, protected: v.protected, updated_at: v.updated_at };
    Ok(page.finish("variables", rows, |v| v.name.clone(), shown))
}

/// Names of the secrets of a project.
#[utoipa::path(get, path = "/projects/{id}/secrets", operation_id = "secret_list", tag = "pipelines", params(("id" = String, Path), PageParams),
    responses((status = 200, body = List<Secret>), (status = "4XX", body = ProblemBody)))]
async fn secret_page(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>, page: Page) -> Reply<List<Secret>> {
    secrets(&app, &ctx, Of::Project(&id), &page).await
}

/// Sets a secret of a project.
#[utoipa::path(put, path = "/projects/{id}/secrets/{name}", tag = "pipelines", params(("id" = String, Path), ("name" = String, Path)),
    request_body = ValueBody, responses((status = 204), (status = "4XX", body = ProblemBody)))]
async fn secret_put(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path((id, name)): Path<(String, String)>,
    Json(body): Json<ValueBody>,
) -> Reply<StatusCode> {
    super::secret_put(&app, &ctx, Of::Project(&id), &name, body.as_new()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a secret of a project.
#[utoipa::path(delete, path = "/projects/{id}/secrets/{name}", tag = "pipelines", params(("id" = String, Path), ("name" = String, Path)),
    responses((status = 204), (status = "4XX", body = ProblemBody)))]
async fn secret_delete(State(app): State<App>, Ctx(ctx): Ctx, Path((id, name)): Path<(String, String)>) -> Reply<StatusCode> {
    super::secret_remove(&app, &ctx, Of::Project(&id), &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The variables of a project.
#[utoipa::path(get, path = "/projects/{id}/variables", operation_id = "variable_list", tag = "pipelines", params(("id" = String, Path), PageParams),
    responses((status = 200, body = List<Variable>), (status = "4XX", body = ProblemBody)))]
async fn variable_page(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>, page: Page) -> Reply<List<Variable>> {
    variables(&app, &ctx, Of::Project(&id), &page).await
}

/// Sets a variable of a project.
#[utoipa::path(put, path = "/projects/{id}/variables/{name}", tag = "pipelines", params(("id" = String, Path), ("name" = String, Path)),
    request_body = ValueBody, responses((status = 204), (status = "4XX", body = ProblemBody)))]
async fn variable_put(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path((id, name)): Path<(String, String)>,
    Json(body): Json<ValueBody>,
) -> Reply<StatusCode> {
    super::variable_put(&app, &ctx, Of::Project(&id), &name, body.as_new()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a variable of a project.
#[utoipa::path(delete, path = "/projects/{id}/variables/{name}", tag = "pipelines", params(("id" = String, Path), ("name" = String, Path)),
    responses((status = 204), (status = "4XX", body = ProblemBody)))]
async fn variable_delete(State(app): State<App>, Ctx(ctx): Ctx, Path((id, name)): Path<(String, String)>) -> Reply<StatusCode> {
    super::variable_remove(&app, &ctx, Of::Project(&id), &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Names of the secrets of a group, for all projects below it.
#[utoipa::path(get, path = "/groups/{id}/secrets", operation_id = "group_secret_list", tag = "pipelines", params(("id" = String, Path), PageParams),
    responses((status = 200, body = List<Secret>), (status = "4XX", body = ProblemBody)))]
async fn group_secret_page(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>, page: Page) -> Reply<List<Secret>> {
    secrets(&app, &ctx, Of::Group(&id), &page).await
}

/// Sets a secret of a group, for all projects below it.
#[utoipa::path(put, path = "/groups/{id}/secrets/{name}", tag = "pipelines", params(("id" = String, Path), ("name" = String, Path)),
    request_body = ValueBody, responses((status = 204), (status = "4XX", body = ProblemBody)))]
async fn group_secret_put(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path((id, name)): Path<(String, String)>,
    Json(body): Json<ValueBody>,
) -> Reply<StatusCode> {
    super::secret_put(&app, &ctx, Of::Group(&id), &name, body.as_new()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a secret of a group, for all projects below it.
#[utoipa::path(delete, path = "/groups/{id}/secrets/{name}", tag = "pipelines", params(("id" = String, Path), ("name" = String, Path)),
    responses((status = 204), (status = "4XX", body = ProblemBody)))]
async fn group_secret_delete(State(app): State<App>, Ctx(ctx): Ctx, Path((id, name)): Path<(String, String)>) -> Reply<StatusCode> {
    super::secret_remove(&app, &ctx, Of::Group(&id), &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The variables of a group, for all projects below it.
#[utoipa::path(get, path = "/groups/{id}/variables", operation_id = "group_variable_list", tag = "pipelines", params(("id" = String, Path), PageParams),
    responses((status = 200, body = List<Variable>), (status = "4XX", body = ProblemBody)))]
async fn group_variable_page(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>, page: Page) -> Reply<List<Variable>> {
    variables(&app, &ctx, Of::Group(&id), &page).await
}

/// Sets a variable of a group, for all projects below it.
#[utoipa::path(put, path = "/groups/{id}/variables/{name}", tag = "pipelines", params(("id" = String, Path), ("name" = String, Path)),
    request_body = ValueBody, responses((status = 204), (status = "4XX", body = ProblemBody)))]
async fn group_variable_put(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path((id, name)): Path<(String, String)>,
    Json(body): Json<ValueBody>,
) -> Reply<StatusCode> {
    super::variable_put(&app, &ctx, Of::Group(&id), &name, body.as_new()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a variable of a group, for all projects below it.
#[utoipa::path(delete, path = "/groups/{id}/variables/{name}", tag = "pipelines", params(("id" = String, Path), ("name" = String, Path)),
    responses((status = 204), (status = "4XX", body = ProblemBody)))]
async fn group_variable_delete(State(app): State<App>, Ctx(ctx): Ctx, Path((id, name)): Path<(String, String)>) -> Reply<StatusCode> {
    super::variable_remove(&app, &ctx, Of::Group(&id), &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Names of the secrets of an environment, for the jobs that name it.
#[utoipa::path(get, path = "/environments/{env}/secrets", operation_id = "environment_secret_list", tag = "pipelines", params(("env" = String, Path), PageParams),
    responses((status = 200, body = List<Secret>), (status = "4XX", body = ProblemBody)))]
async fn environment_secret_page(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>, page: Page) -> Reply<List<Secret>> {
    secrets(&app, &ctx, Of::Environment(&id), &page).await
}

/// Sets a secret of an environment, for the jobs that name it.
#[utoipa::path(put, path = "/environments/{env}/secrets/{name}", tag = "pipelines", params(("env" = String, Path), ("name" = String, Path)),
    request_body = ValueBody, responses((status = 204), (status = "4XX", body = ProblemBody)))]
async fn environment_secret_put(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path((id, name)): Path<(String, String)>,
    Json(body): Json<ValueBody>,
) -> Reply<StatusCode> {
    super::secret_put(&app, &ctx, Of::Environment(&id), &name, body.as_new()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a secret of an environment, for the jobs that name it.
#[utoipa::path(delete, path = "/environments/{env}/secrets/{name}", tag = "pipelines", params(("env" = String, Path), ("name" = String, Path)),
    responses((status = 204), (status = "4XX", body = ProblemBody)))]
async fn environment_secret_delete(State(app): State<App>, Ctx(ctx): Ctx, Path((id, name)): Path<(String, String)>) -> Reply<StatusCode> {
    super::secret_remove(&app, &ctx, Of::Environment(&id), &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The variables of an environment, for the jobs that name it.
#[utoipa::path(get, path = "/environments/{env}/variables", operation_id = "environment_variable_list", tag = "pipelines", params(("env" = String, Path), PageParams),
    responses((status = 200, body = List<Variable>), (status = "4XX", body = ProblemBody)))]
async fn environment_variable_page(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>, page: Page) -> Reply<List<Variable>> {
    variables(&app, &ctx, Of::Environment(&id), &page).await
}

/// Sets a variable of an environment, for the jobs that name it.
#[utoipa::path(put, path = "/environments/{env}/variables/{name}", tag = "pipelines", params(("env" = String, Path), ("name" = String, Path)),
    request_body = ValueBody, responses((status = 204), (status = "4XX", body = ProblemBody)))]
async fn environment_variable_put(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path((id, name)): Path<(String, String)>,
    Json(body): Json<ValueBody>,
) -> Reply<StatusCode> {
    super::variable_put(&app, &ctx, Of::Environment(&id), &name, body.as_new()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a variable of an environment, for the jobs that name it.
#[utoipa::path(delete, path = "/environments/{env}/variables/{name}", tag = "pipelines", params(("env" = String, Path), ("name" = String, Path)),
    responses((status = 204), (status = "4XX", body = ProblemBody)))]
async fn environment_variable_delete(State(app): State<App>, Ctx(ctx): Ctx, Path((id, name)): Path<(String, String)>) -> Reply<StatusCode> {
    super::variable_remove(&app, &ctx, Of::Environment(&id), &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
