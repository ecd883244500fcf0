//! Routes by which people manage runners.

use axum::extract::State;
use http::StatusCode;
use kernel::authz::authorize_instance;
use kernel::{Permission, RunnerId, Timestamp};
use serde::Serialize;
use serde_json::Value;
use store::runner::runner_list;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web_kit::{App, Ctx, Json, List, Page, PageParams, Path, ProblemBody, Reply};

use super::ONLINE;

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(runner_page)).routes(routes!(runner_token_create)).routes(routes!(runner_delete))
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
    /// `online` or `offline`.
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

#[utoipa::path(get, path = "/runners", operation_id = "runner_list", tag = "runners", params(PageParams),
    responses((status = 200, body = List<Runner>), (status = "4XX", body = ProblemBody)))]
/// The runners of the instance.
async fn runner_page(State(app): State<App>, Ctx(ctx): Ctx, page: Page) -> Reply<List<Runner>> {
    authorize_instance(&ctx, Permission::InstanceAdmin)?;
    let rows = runner_list(app.db(), page.after::<RunnerId>("runners")?, page.fetch()).await?;
    Ok(page.finish(
        "runners",
        rows,
        |(r, _)| r.id,
        |(r, busy)| Runner {
            id: r.id,
            state: if ctx.now.since(r.last_seen_at) <= ONLINE { "online" } else { "offline" },
            name: r.name,
            labels: r.labels,
            capacity: r.capacity,
            busy,
            version: r.version,
            platform: format!("{} {}", r.os, r.arch),
            last_seen_at: r.last_seen_at,
            in_process: r.in_process,
            capabilities: r.capabilities,
        },
    ))
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
