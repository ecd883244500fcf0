//! `POST /projects/create`, `/operations`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use kernel::{Code, Error, OperationId};
use store::operation::OperationRow;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web_kit::{Accepted, App, Created, Ctx, Json, Path, ProblemBody, Reply, RespondAsync};

use super::model::{Operation, ProjectNew};
use crate::project::model::ProjectView;

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(project_create))
        .routes(routes!(project_create_rest))
        .routes(routes!(operation_get))
        .routes(routes!(operation_events))
}

async fn create(app: App, ctx: kernel::Context, later: bool, new: ProjectNew) -> Reply<Response> {
    let op = super::project_create(&app, &ctx, new).await?;
    let op = if later { op } else { super::operation_wait(&app, op.id, super::PATIENCE).await? };
    match op.state.as_str() {
        "succeeded" => {
            let p = app.project_by_id(&ctx, op.project, kernel::Permission::ProjectRead).await?;
            let location = format!("/projects/{}", p.id());
            Ok(Created { location, version: Some(p.row.version), body: ProjectView::new(&app, &ctx, &p) }.into_response())
        }
        "failed" => Err(failure(&op).into()),
        _ => Ok(Accepted { location: format!("/operations/{}", op.id), body: Operation::new(op)? }.into_response()),
    }
}

/// The error a flow ended with, as it was recorded.
fn failure(op: &OperationRow) -> Error {
    let field = |name: &str| op.error.as_ref().and_then(|e| e[name].as_str()).unwrap_or("");
    let code = Code::ALL.iter().copied().find(|c| c.as_str() == field("code")).unwrap_or(Code::Internal);
    Error::new(code, field("detail"))
}

/// Makes a project, from a template or empty. Answers when it is complete, or at once with `Prefer: respond-async`.
#[utoipa::path(post, path = "/projects/create", tag = "projects", request_body = ProjectNew,
    responses((status = 201, body = ProjectView), (status = 202, body = Operation), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn project_create(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    RespondAsync(later): RespondAsync,
    Json(new): Json<ProjectNew>,
) -> Reply<Response> {
    create(app, ctx, later, new).await
}

/// Makes a project; the same as `/projects/create`.
#[utoipa::path(post, path = "/projects", tag = "projects", request_body = ProjectNew,
    responses((status = 201, body = ProjectView), (status = 202, body = Operation), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn project_create_rest(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    RespondAsync(later): RespondAsync,
    Json(new): Json<ProjectNew>,
) -> Reply<Response> {
    create(app, ctx, later, new).await
}

/// How far a flow got.
#[utoipa::path(get, path = "/operations/{id}", tag = "projects", params(("id" = String, Path)),
    responses((status = 200, body = Operation), (status = 404, body = ProblemBody)))]
async fn operation_get(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<OperationId>) -> Reply<Json<Operation>> {
    Ok(Json(Operation::new(super::operation_get(&app, &ctx, id).await?)?))
}

/// How far a flow gets, live: event `operation` at each change, then `end`.
#[utoipa::path(get, path = "/operations/{id}/events", tag = "projects", params(("id" = String, Path)),
    responses((status = 200, content_type = "text/event-stream"), (status = 404, body = ProblemBody)))]
async fn operation_events(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<OperationId>) -> Reply<Response> {
    super::operation_get(&app, &ctx, id).await?;
    let topic = format!("operation:{id}");
    let stream = web_kit::sse::snapshots(
        app,
        "operation",
        move |t| t == topic,
        move |app| {
            let ctx = ctx.clone();
            async move {
                let op = super::operation_get(&app, &ctx, id).await?;
                let end = op.state != "running";
                Ok((Operation::new(op)?, end))
            }
        },
    );
    Ok(stream.into_response())
}
