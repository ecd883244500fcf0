//! The server side of the runner protocol (types: `executors::protocol`). Every write is checked against the lease.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use executors::protocol::{
    AnnotationsRequest, ArtifactList, ArtifactPutQuery, CachePutQuery, CacheQuery, Cancel, ClaimAnswer, ClaimRequest, Complete,
    HEARTBEAT_SECONDS, Heartbeat, HeartbeatAnswer, LEASE_SECONDS, LOG_CHUNK_MAX, LogAnswer, LogQuery, MilestoneAnswer, MilestoneRequest,
    QuestionAnswer, QuestionRequest, RegisterAnswer, RegisterRequest, ReportQuery, Reported, StepUpdate, StepsRequest, TESTS_FAILED,
    TESTS_QUARANTINED,
};
use http::{HeaderValue, StatusCode, header};
use kernel::{Code, Context, Error, JobId, Result, RunnerId, Timestamp};
use serde_json::{Value, json};
use store::Tx;
use store::job::{JobRow, Lease, StepRow, StepUsage, job_annotations_set, job_call, job_get, job_renew, step_set};
use utoipa_axum::router::OpenApiRouter;
use web_kit::extract::read_body;
use web_kit::{App, Ctx, Json, Path, Query, Reply};

use super::{claim, runner_of};
use crate::reports::coverage::patch;
use crate::schedule::finish::{End, job_end};
use crate::{artifacts, caches, logs, questions, reports};

/// A heartbeat's answer waits this long for a cancel: a little less than until the next one.
const BEAT_HOLD: Duration = Duration::from_secs(HEARTBEAT_SECONDS.saturating_sub(2));
/// Most remarks kept of a job.
const MAX_ANNOTATIONS: usize = 500;
/// Most steps of a job, set-up and post steps included.
const MAX_STEPS: u32 = 4096;
/// Largest report file.
const MAX_REPORT: usize = 64 << 20;
/// Most bytes of a job's outputs.
const MAX_OUTPUTS: usize = 1 << 20;

/// The routes. They are between the parts of the service, so they are not in its public description.
pub fn router() -> OpenApiRouter<App> {
    use axum::routing::{get, post, put};
    OpenApiRouter::from(
        axum::Router::new()
            .route("/runner/register", post(register))
            .route("/runner/leave", post(leave))
            .route("/runner/claim", post(claim_route))
            .route("/runner/jobs/{job}/heartbeat", post(heartbeat))
            .route("/runner/jobs/{job}/log", post(log))
            .route("/runner/jobs/{job}/steps", post(steps))
            .route("/runner/jobs/{job}/annotations", post(annotations))
            .route("/runner/jobs/{job}/artifacts", get(artifact_list))
            .route("/runner/jobs/{job}/artifacts/{name}", put(artifact_put).get(artifact_get))
            .route("/runner/jobs/{job}/cache", get(cache_get).put(cache_put))
            .route("/runner/jobs/{job}/reports", post(report))
            .route("/runner/jobs/{job}/question", post(question))
            .route("/runner/jobs/{job}/milestone", post(milestone))
            .route("/runner/jobs/{job}/complete", post(complete)),
    )
}

/// The lease is gone.
fn stale() -> Error {
    Error::new(Code::StaleEpoch, "the lease of this job is no longer held")
}

fn cancel_of(text: Option<&str>) -> Option<Cancel> {
    match text {
        Some("kill") => Some(Cancel::Kill),
        Some(_) => Some(Cancel::Cancel),
        None => None,
    }
}

fn lease_end() -> Timestamp {
    Timestamp::now().plus(Duration::from_secs(LEASE_SECONDS))
}

fn job_id(text: &str) -> Result<JobId> {
    text.parse().map_err(|_| Error::not_found("job"))
}

/// Extends the lease that a write stands on; fails when it is not held.
async fn held(tx: &mut Tx, job: JobId, runner: RunnerId, epoch: i64) -> Result<Lease> {
    job_renew(tx, job, runner, epoch, lease_end()).await?.ok_or_else(stale)
}

/// The running job of a runner, for reads.
async fn own(app: &App, ctx: &Context, job: &str, epoch: Option<i64>) -> Result<JobRow> {
    let runner = runner_of(ctx)?;
    let row = job_get(app.db(), job_id(job)?).await?.ok_or_else(|| Error::not_found("job"))?;
    if row.runner != Some(runner) {
        return Err(Error::not_found("job"));
    }
    if row.state != "running" || epoch.is_some_and(|e| e != row.epoch) {
        return Err(stale());
    }
    Ok(row)
}

async fn register(State(app): State<App>, Json(request): Json<RegisterRequest>) -> Reply<(StatusCode, Json<RegisterAnswer>)> {
    Ok((StatusCode::CREATED, Json(super::runner_register(&app, request).await?)))
}

async fn leave(State(app): State<App>, Ctx(ctx): Ctx) -> Reply<StatusCode> {
    let runner = runner_of(&ctx)?;
    super::remove(&app, runner).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn claim_route(State(app): State<App>, Ctx(ctx): Ctx, Json(request): Json<ClaimRequest>) -> Reply<Json<ClaimAnswer>> {
    if let Some(held) = &request.held {
        super::take_back(&app, runner_of(&ctx)?, held).await?;
    } else if request.fresh {
        super::abandon(&app, runner_of(&ctx)?, "the runner was started anew").await?;
    }
    if let Some(kept) = &request.kept {
        super::kept::told(&app, runner_of(&ctx)?, kept).await?;
    }
    let claimed = claim::claim(&app, &ctx, request.free, request.until_drained).await?;
    Ok(Json(ClaimAnswer { jobs: claimed.jobs, drained: claimed.drained }))
}

/// Extends the lease. The answer is held back a while, so that a cancel reaches a silent job at once.
async fn heartbeat(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(job): Path<String>,
    Json(beat): Json<Heartbeat>,
) -> Reply<Json<HeartbeatAnswer>> {
    let runner = runner_of(&ctx)?;
    let job = job_id(&job)?;
    let mut waiter = app.db().wake().subscribe();
    let mut tx = app.db().begin().await?;
    let mut cancel = held(&mut tx, job, runner, beat.epoch).await?.cancel;
    tx.commit().await?;
    if cancel.is_none() {
        let (stop, end) = (format!("cancel:{job}"), format!("job-end:{job}"));
        waiter.wait(BEAT_HOLD, |topic| topic == stop || topic == end).await;
        cancel = job_get(app.db(), job).await?.filter(|j| j.epoch == beat.epoch).and_then(|j| j.cancel);
    }
    Ok(Json(HeartbeatAnswer { cancel: cancel_of(cancel.as_deref()) }))
}

async fn log(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(job): Path<String>,
    Query(q): Query<LogQuery>,
    req: Request,
) -> Reply<Json<LogAnswer>> {
    let runner = runner_of(&ctx)?;
    let job = job_id(&job)?;
    let chunk = logs::Chunk::new(read_body(req, LOG_CHUNK_MAX).await?);
    let mut tx = app.db().begin().await?;
    let lease = held(&mut tx, job, runner, q.epoch).await?;
    let acked = logs::log_append(&mut tx, &app, job, q.epoch, lease.log_length, q.offset, &chunk).await?;
    tx.commit().await?;
    Ok(Json(LogAnswer { acked, cancel: cancel_of(lease.cancel.as_deref()) }))
}

/// Asks people. The answer is held back a while, so that theirs reaches the job at once.
async fn question(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(job): Path<String>,
    Json(request): Json<QuestionRequest>,
) -> Reply<Json<QuestionAnswer>> {
    let row = own(&app, &ctx, &job, Some(request.epoch)).await?;
    let mut tx = app.db().begin().await?;
    held(&mut tx, row.id, runner_of(&ctx)?, request.epoch).await?;
    questions::ask(&mut tx, &row, &request.question).await?;
    tx.commit().await?;
    let answer = questions::wait(&app, row.id, &request.question.key, BEAT_HOLD).await?;
    Ok(Json(QuestionAnswer { answer }))
}

async fn milestone(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(job): Path<String>,
    Json(request): Json<MilestoneRequest>,
) -> Reply<Json<MilestoneAnswer>> {
    let row = own(&app, &ctx, &job, Some(request.epoch)).await?;
    Ok(Json(MilestoneAnswer { overtaken_by: questions::milestone(&app, &row, request.ordinal).await? }))
}

fn step_row(job: JobId, s: StepUpdate) -> StepRow {
    let word = |v: Value| v.as_str().map(str::to_owned);
    let signed = |n: Option<u64>| n.and_then(|n| i64::try_from(n).ok());
    StepRow {
        job,
        index: i64::from(s.index),
        name: s.name.chars().take(500).collect(),
        state: word(json!(s.state)).unwrap_or_default(),
        conclusion: s.conclusion.map(|c| c.as_str().to_owned()),
        outcome: s.outcome.map(|c| c.as_str().to_owned()),
        exit_code: s.exit_code.map(i64::from),
        log_from: signed(s.log_from),
        log_to: signed(s.log_to),
        started_at: s.started_at,
        finished_at: s.finished_at,
        taken_from: s.taken_from,
        usage: s.usage.map_or_else(StepUsage::default, |u| StepUsage {
            cpu_user_ms: signed(u.cpu_user_ms),
            cpu_system_ms: signed(u.cpu_system_ms),
            memory_peak_bytes: signed(u.memory_peak_bytes),
            read_bytes: signed(u.read_bytes),
            written_bytes: signed(u.written_bytes),
        }),
    }
}

async fn steps(State(app): State<App>, Ctx(ctx): Ctx, Path(job): Path<String>, Json(request): Json<StepsRequest>) -> Reply<StatusCode> {
    let runner = runner_of(&ctx)?;
    let job = job_id(&job)?;
    if request.steps.iter().any(|s| s.index >= MAX_STEPS) {
        return Err(Error::field("steps", "too_many", format!("at most {MAX_STEPS} steps")).into());
    }
    let mut tx = app.db().begin().await?;
    let lease = held(&mut tx, job, runner, request.epoch).await?;
    for step in request.steps {
        step_set(&mut tx, &step_row(job, step)).await?;
    }
    tx.wake(format!("run:{}", lease.run));
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn annotations(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(job): Path<String>,
    Json(request): Json<AnnotationsRequest>,
) -> Reply<StatusCode> {
    let runner = runner_of(&ctx)?;
    let job = job_id(&job)?;
    let mut tx = app.db().begin().await?;
    let lease = held(&mut tx, job, runner, request.epoch).await?;
    if !job_call(&mut tx, job, request.call).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    let mut list = match job_get(&mut tx, job).await?.ok_or_else(stale)?.annotations {
        Value::Array(list) => list,
        _ => Vec::new(),
    };
    let room = MAX_ANNOTATIONS.saturating_sub(list.len());
    list.extend(request.items.into_iter().take(room).map(|mut a| {
        a.message = a.message.chars().take(4096).collect();
        json!(a)
    }));
    job_annotations_set(&mut tx, job, &Value::Array(list)).await?;
    tx.wake(format!("run:{}", lease.run));
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn artifact_put(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path((job, name)): Path<(String, String)>,
    Query(q): Query<ArtifactPutQuery>,
    body: Body,
) -> Reply<Json<Value>> {
    let row = own(&app, &ctx, &job, Some(q.epoch)).await?;
    let stored = artifacts::store(&app, row.project, body).await?;
    let runner = runner_of(&ctx)?;
    let mut tx = app.db().begin().await?;
    let keep = q.keep.map(Duration::from_secs);
    // the upload may have taken longer than the lease
    held(&mut tx, row.id, runner, q.epoch).await?;
    let artifact = artifacts::record(&mut tx, &app, &row, &name, &stored, artifacts::Wish { keep, content_type: None }).await?;
    tx.wake(format!("run:{}", row.run));
    tx.commit().await?;
    Ok(Json(json!({"name": artifact.name, "size": artifact.size, "digest": artifact.digest})))
}

async fn artifact_list(State(app): State<App>, Ctx(ctx): Ctx, Path(job): Path<String>) -> Reply<Json<ArtifactList>> {
    let row = own(&app, &ctx, &job, None).await?;
    Ok(Json(artifacts::list_for_job(&app, row.run).await?))
}

async fn artifact_get(State(app): State<App>, Ctx(ctx): Ctx, Path((job, name)): Path<(String, String)>) -> Reply<Response> {
    let row = own(&app, &ctx, &job, None).await?;
    let found = artifacts::by_name(&app, row.run, &name).await?;
    let body = artifacts::open(&app, row.project, &found.digest).await?;
    Ok(([(header::CONTENT_TYPE, "application/zip")], body).into_response())
}

async fn cache_get(State(app): State<App>, Ctx(ctx): Ctx, Path(job): Path<String>, Query(q): Query<CacheQuery>) -> Reply<Response> {
    let row = own(&app, &ctx, &job, None).await?;
    let restore: Vec<&str> = q.restore.as_deref().unwrap_or_default().lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let found = caches::cache_find(&app, &row, &q.key, &restore, "").await?.ok_or_else(|| Error::not_found("cache entry"))?;
    let body = artifacts::open(&app, row.project, &found.digest).await?;
    let mut response = ([(header::CONTENT_TYPE, "application/gzip")], body).into_response();
    if let Ok(key) = HeaderValue::from_str(&found.key) {
        response.headers_mut().insert("x-cache-key", key);
    }
    Ok(response)
}

async fn cache_put(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(job): Path<String>,
    Query(q): Query<CachePutQuery>,
    body: Body,
) -> Reply<StatusCode> {
    let row = own(&app, &ctx, &job, Some(q.epoch)).await?;
    caches::cache_store(&app, &row, &q.key, body).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn report(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(job): Path<String>,
    Query(q): Query<ReportQuery>,
    req: Request,
) -> Reply<(StatusCode, [(&'static str, String); 2])> {
    let runner = runner_of(&ctx)?;
    let row = own(&app, &ctx, &job, Some(q.epoch)).await?;
    let bytes = read_body(req, MAX_REPORT).await?;
    let parsed = reports::parse(q.kind, &q.name, bytes).await?;
    let patch = match &parsed {
        reports::Parsed::Coverage(files) => patch::keep(&app, &row, files).await?,
        _ => None,
    };
    let mut tx = app.db().begin().await?;
    held(&mut tx, row.id, runner, q.epoch).await?;
    if !job_call(&mut tx, row.id, q.call).await? {
        // the first try was recorded, and what it said went with its answer
        return Ok(counted(Reported::default()));
    }
    let reported = reports::record(&mut tx, &row, parsed).await?;
    if let Some(kept) = &patch {
        patch::name(&mut tx, &app, &row, kept).await?;
    }
    tx.wake(format!("run:{}", row.run));
    tx.commit().await?;
    if let Some(old) = patch.and_then(|kept| kept.replaces) {
        artifacts::forget(&app, row.project, &old).await?;
    }
    Ok(counted(reported))
}

fn counted(reported: Reported) -> (StatusCode, [(&'static str, String); 2]) {
    (StatusCode::NO_CONTENT, [(TESTS_FAILED, reported.failed.to_string()), (TESTS_QUARANTINED, reported.quarantined.to_string())])
}

async fn complete(State(app): State<App>, Ctx(ctx): Ctx, Path(job): Path<String>, Json(end): Json<Complete>) -> Reply<StatusCode> {
    let row = own(&app, &ctx, &job, Some(end.epoch)).await?;
    if end.outputs.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>() > MAX_OUTPUTS {
        return Err(Error::field("outputs", "too_large", format!("at most {MAX_OUTPUTS} bytes")).into());
    }
    let how = match end.infra_failure {
        Some(reason) => End::Infra(reason.chars().take(2000).collect()),
        None => End::Reported {
            conclusion: end.conclusion.as_str().to_owned(),
            outputs: json!(end.outputs),
            log_length: i64::try_from(end.log_length).unwrap_or(i64::MAX),
            unstable: end.unstable,
        },
    };
    if let Some(step) = end.kept {
        super::kept::put(&app, &row, runner_of(&ctx)?, i64::from(step)).await?;
    }
    if job_end(app.db(), row.id, end.epoch, how).await? { Ok(StatusCode::NO_CONTENT) } else { Err(stale().into()) }
}
