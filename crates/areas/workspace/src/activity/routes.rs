//! `/projects/{id}/activity`, `/events`.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use store::event::Position;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web_kit::{App, Ctx, Json, List, Page, PageParams, Path, ProblemBody, Query, Reply};

use super::model::{Activity, CloudEvent};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(activity_list)).routes(routes!(event_list)).routes(routes!(event_stream))
}

/// What happened in a project, newest first, with the work that followed and how it stands.
#[utoipa::path(get, path = "/projects/{id}/activity", tag = "activity", params(("id" = String, Path), PageParams),
    responses((status = 200, body = List<Activity>), (status = 404, body = ProblemBody)))]
async fn activity_list(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>, page: Page) -> Reply<List<Activity>> {
    let before = page.after::<String>("activity")?.map(|t| t.parse::<Position>()).transpose()?;
    let rows = super::activity_list(&app, &ctx, &id, before, page.fetch()).await?;
    Ok(page.finish("activity", rows, |(at, _)| at.to_string(), |(_, a)| a))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Feed {
    /// After this position; from the beginning when not given.
    after: Option<String>,
    /// One project, by id or path; needed unless the caller is an administrator.
    project: Option<String>,
    /// How many, 1 to 100.
    limit: Option<i64>,
}

/// A part of the feed.
#[derive(Serialize, ToSchema)]
struct EventPage {
    /// The events, oldest first.
    items: Vec<CloudEvent>,
    /// Pass as `after` to go on; the same as before when nothing came.
    next: String,
}

/// The ordered feed of events: nothing is left out and nothing comes twice while `after` moves on.
#[utoipa::path(get, path = "/events", tag = "activity", params(Feed), responses((status = 200, body = EventPage), (status = 403, body = ProblemBody)))]
async fn event_list(State(app): State<App>, Ctx(ctx): Ctx, Query(feed): Query<Feed>) -> Reply<Json<EventPage>> {
    let scope = super::feed_scope(&app, &ctx, feed.project.as_deref()).await?;
    let after = feed.after.map(|t| t.parse::<Position>()).transpose()?.unwrap_or_default();
    let rows = super::event_list(&app, scope, after, feed.limit.unwrap_or(100).clamp(1, 100)).await?;
    let next = rows.last().map_or(after, |(at, _)| *at).to_string();
    let source = app.config().public_url();
    let items = rows.into_iter().map(|(at, e)| CloudEvent::new(source.clone(), at.to_string(), e)).collect();
    Ok(Json(EventPage { items, next }))
}

/// The feed live; `Last-Event-ID` (or `after`) resumes, else it starts with what comes next.
#[utoipa::path(get, path = "/events/stream", tag = "activity", params(Feed),
    responses((status = 200, content_type = "text/event-stream"), (status = 403, body = ProblemBody)))]
async fn event_stream(State(app): State<App>, Ctx(ctx): Ctx, Query(feed): Query<Feed>, headers: HeaderMap) -> Reply<Response> {
    let scope = super::feed_scope(&app, &ctx, feed.project.as_deref()).await?;
    let from = headers.get("last-event-id").and_then(|v| v.to_str().ok()).map(str::to_owned).or(feed.after);
    let at = match from {
        Some(text) => text.parse::<Position>()?,
        None => store::event::event_end(app.db()).await?,
    };
    let waiter = app.db().wake().subscribe();
    let project = feed.project;
    let stream = futures::stream::unfold((app, ctx, waiter, at, Vec::new()), move |(app, ctx, mut waiter, mut at, mut ready)| {
        let project = project.clone();
        async move {
            loop {
                if let Some((position, event)) = ready.pop() {
                    let body = CloudEvent::new(app.config().public_url(), Position::to_string(&position), event);
                    let sse = SseEvent::default().id(position.to_string()).event("event").json_data(body).unwrap_or_default();
                    return Some((Ok::<_, Infallible>(sse), (app, ctx, waiter, at, ready)));
                }
                // rights may have been taken away since
                super::feed_scope(&app, &ctx, project.as_deref()).await.ok()?;
                let mut rows = super::event_list(&app, scope, at, 100).await.ok()?;
                if let Some((last, _)) = rows.last() {
                    at = *last;
                    rows.reverse();
                    ready = rows;
                } else {
                    waiter.wait(Duration::from_secs(10), |t| t == "event").await;
                }
            }
        }
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response())
}
