//! Routes of logs.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt as _};
use http::{HeaderMap, HeaderValue, header};
use kernel::{Code, Context, JobId, Permission};
use serde::Deserialize;
use serde_json::json;
use store::job::JobRow;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web_kit::{App, Ctx, Path, ProblemBody, Query, Reply};

use super::{log_read, whole_characters};
use crate::runs::job_for;

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(job_log)).routes(routes!(job_log_stream))
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Part {
    /// First byte.
    #[serde(default)]
    offset: u64,
    /// Most bytes; all that is there when not given.
    limit: Option<u64>,
}

#[utoipa::path(get, path = "/jobs/{job}/log", tag = "pipelines", params(("job" = String, Path), Part),
    responses((status = 200, content_type = "text/plain", description = "Bytes from `offset`; `X-Log-Next` is where to go on, `X-Log-Length` how much there is, `X-Log-Complete` whether more may come"),
        (status = "4XX", body = ProblemBody)))]
/// The log of a job from an offset, as far as it is there.
async fn job_log(State(app): State<App>, Ctx(ctx): Ctx, Path(job): Path<String>, Query(part): Query<Part>) -> Reply<Response> {
    let (row, _) = job_for(&app, &ctx, &job, Permission::PipelineRead).await?;
    let complete = row.state == "completed";
    let length = u64::try_from(row.log_length).unwrap_or(0);
    let start = part.offset.min(length);
    let end = part.limit.map_or(length, |n| start.saturating_add(n).min(length));
    let body = Body::from_stream(bytes_between(app, row, start, end));
    let mut response = ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response();
    let headers = response.headers_mut();
    headers.insert("x-log-next", HeaderValue::from(end));
    headers.insert("x-log-length", HeaderValue::from(length));
    headers.insert("x-log-complete", HeaderValue::from_static(if complete && end == length { "true" } else { "false" }));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(response)
}

fn bytes_between(app: App, row: JobRow, start: u64, end: u64) -> impl Stream<Item = Result<Bytes, kernel::Error>> + Send {
    stream::unfold((app, row, Some(start)), move |(app, row, at)| async move {
        let at = at.filter(|at| *at < end)?;
        match log_read(&app, &row, at).await {
            Ok(bytes) if bytes.is_empty() => None,
            Ok(bytes) => {
                let bytes = bytes.slice(..bytes.len().min(usize::try_from(end - at).unwrap_or(usize::MAX)));
                let next = at + bytes.len() as u64;
                Some((Ok(bytes), (app, row, Some(next))))
            }
            Err(e) => Some((Err(e), (app, row, None))),
        }
    })
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Start {
    /// First byte; `Last-Event-ID` goes before it.
    #[serde(default)]
    offset: u64,
}

/// Characters of one event at most.
const EVENT: usize = 64 << 10;

#[utoipa::path(get, path = "/jobs/{job}/log/stream", tag = "pipelines", params(("job" = String, Path), Start),
    responses((status = 200, content_type = "text/event-stream", description = "`log` with the id of the next offset, then `end`"), (status = "4XX", body = ProblemBody)))]
/// The log of a job as it grows. Nothing is lost: each event names the offset to go on from.
async fn job_log_stream(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(job): Path<String>,
    Query(from): Query<Start>,
    headers: HeaderMap,
) -> Reply<impl IntoResponse> {
    let (row, _) = job_for(&app, &ctx, &job, Permission::PipelineRead).await?;
    let last = headers.get("last-event-id").and_then(|v| v.to_str().ok()).and_then(|v| v.trim().parse().ok());
    let stream = follow(app, ctx, row.id, last.unwrap_or(from.offset));
    Ok(Sse::new(stream.map(Ok::<_, Infallible>)).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

struct Follow {
    app: App,
    ctx: Context,
    job: JobId,
    waiter: store::Waiter,
    at: u64,
    carry: Vec<u8>,
    ready: VecDeque<Event>,
    over: bool,
}

/// Events of a log from an offset to its end.
fn follow(app: App, ctx: Context, job: JobId, at: u64) -> impl Stream<Item = Event> + Send {
    // before the first look, so that nothing falls between
    let waiter = app.db().wake().subscribe();
    let state = Follow { app, ctx, job, waiter, at, carry: Vec::new(), ready: VecDeque::new(), over: false };
    stream::unfold(state, |mut f| async move {
        loop {
            if let Some(event) = f.ready.pop_front() {
                return Some((event, f));
            }
            if f.over {
                return None;
            }
            f.look().await;
        }
    })
}

impl Follow {
    async fn look(&mut self) {
        // asked each time: rights may end while somebody looks on
        let row = match job_for(&self.app, &self.ctx, &self.job.to_string(), Permission::PipelineRead).await {
            Ok((row, _)) => row,
            Err(error) if !error.is(Code::Unavailable) && !error.is(Code::Internal) => {
                self.over = true;
                return;
            }
            Err(error) => {
                tracing::warn!(job = %self.job, error = ?error, "following a log");
                tokio::time::sleep(Duration::from_secs(1)).await;
                return;
            }
        };
        match log_read(&self.app, &row, self.at + self.carry.len() as u64).await {
            Ok(bytes) if !bytes.is_empty() => {
                self.carry.extend_from_slice(&bytes);
                self.cut(false);
            }
            Ok(_) if row.state == "completed" => {
                self.cut(true);
                self.ready.push_back(Event::default().event("end").data("{}"));
                self.over = true;
            }
            Ok(_) => {
                let topic = format!("log:{}", self.job);
                self.waiter.wait(Duration::from_secs(5), |t| t == topic).await;
            }
            Err(error) => {
                tracing::warn!(job = %self.job, error = ?error, "reading a log");
                self.over = true;
            }
        }
    }

    /// Makes events of what was read, in whole characters.
    fn cut(&mut self, all: bool) {
        while !self.carry.is_empty() {
            let piece = &self.carry[..self.carry.len().min(EVENT)];
            let n = if all && piece.len() == self.carry.len() { piece.len() } else { whole_characters(piece) };
            if n == 0 {
                return;
            }
            let text = String::from_utf8_lossy(&self.carry[..n]).into_owned();
            let data = json!({"offset": self.at, "text": text}).to_string();
            self.at += n as u64;
            self.carry.drain(..n);
            self.ready.push_back(Event::default().event("log").id(self.at.to_string()).data(data));
        }
    }
}
