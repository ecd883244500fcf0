//! `Idempotency-Key` on every POST: the same key with the same request gets the same answer for 24 hours, with another
//! request 422, while the first runs 409. Answers over 1 MiB and failures of ours are not kept.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use kernel::{Actor, Attempt, Code, Error, Timestamp};
use sha2::{Digest, Sha256};
use store::idempotency::{Known, idempotency_answer, idempotency_claim, idempotency_release, idempotency_renew};
use uuid::Uuid;
use web_kit::extract::read_body;
use web_kit::vault::{seal_bytes, unseal_bytes};
use web_kit::{App, Ctx, Problem};

const KEPT: usize = 1 << 20;
/// Whose key seals the answers.
const PURPOSE: &str = "idempotent answers";
/// A try whose instance died holds its key for so long; one that runs extends it.
const LEASE: Duration = Duration::from_secs(20);

fn digest(parts: &[&[u8]]) -> Vec<u8> {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().to_vec()
}

/// The layer.
pub async fn layer(State(app): State<App>, request: Request, next: Next) -> Response {
    let key = request.headers().get("idempotency-key").map(|v| v.as_bytes().to_vec());
    // the protocols behind the doors have their own ways to repeat a request
    let ours = !request.uri().path().starts_with("/v2/")
        && !request.uri().path().contains(".git/")
        && !request.uri().path().starts_with("/runner/");
    match key {
        Some(key) if request.method() == Method::POST && ours => {
            guarded(app, request, next, key).await.unwrap_or_else(|e| e.into_response())
        }
        _ => next.run(request).await,
    }
}

async fn guarded(app: App, request: Request, next: Next, key: Vec<u8>) -> Result<Response, Problem> {
    if key.is_empty() || key.len() > 255 {
        return Err(Error::new(Code::InvalidRequest, "Idempotency-Key is 1 to 255 characters").into());
    }
    let who = match request.extensions().get::<Ctx>().map(|c| (&c.0.actor, c.0.grant.token)) {
        // each credential by itself: a narrow one may not read the answer that a wider one was given
        Some((Actor::User { id, .. }, token)) => token.map_or_else(|| id.to_string(), |token| format!("{id}/{token}")),
        Some((Actor::Job { id, .. }, _)) => id.to_string(),
        // nobody's keys would be everybody's
        _ => return Ok(next.run(request).await),
    };
    let (mut parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().map_or("", |p| p.as_str()).to_owned();
    let bytes = read_body(Request::from_parts(parts.clone(), body), app.config().json_limit).await?;
    let hash = digest(&[who.as_bytes(), &key]);
    let fingerprint = digest(&[target.as_bytes(), &bytes]);
    let now = Timestamp::now();
    let claim = Uuid::new_v4();
    let attempt = match idempotency_claim(app.db(), &hash, &fingerprint, claim, now, now.plus(LEASE)).await? {
        Known::Ours { request, receipt } => Attempt { request, claim, key: hash.clone(), receipt },
        Known::Other => {
            return Err(Error::new(Code::IdempotencyMismatch, "this Idempotency-Key was used for another request").into());
        }
        Known::InFlight { until } => {
            let error = Error::new(Code::IdempotencyInFlight, "the first request with this key has not been answered yet");
            let mut response = Problem(error).into_response();
            // an instance that died holds the key no longer than this
            let seconds = until.since(now).as_secs() + 1;
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            return Ok(response);
        }
        Known::Answered { status, headers, body } => return replay(&app, &hash, status, &headers, &body),
    };
    if let Some(Ctx(ctx)) = parts.extensions.get_mut::<Ctx>() {
        ctx.attempt = Some(Arc::new(attempt));
    }
    // the request runs to its end even when the client leaves: its answer must be kept
    let run =
        tokio::spawn(web_kit::problem::REQUEST.scope(parts.extensions.get().copied().unwrap_or_else(kernel::RequestId::new), async move {
            let response = held(&app, &hash, claim, next.run(Request::from_parts(parts, Body::from(bytes)))).await;
            keep(&app, &hash, claim, response).await
        }));
    run.await.map_err(|e| Problem(Error::internal(e)))?
}

/// A kept answer.
fn replay(app: &App, hash: &[u8], status: u16, headers: &str, body: &[u8]) -> Result<Response, Problem> {
    let Some(body) = unseal_bytes(app.key(), PURPOSE, hash, body) else {
        return Err(Error::internal("a kept answer cannot be opened with this instance's key").into());
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let pairs: Vec<(String, String)> = serde_json::from_str(headers).unwrap_or_default();
    for (name, value) in pairs {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
    Ok(response)
}

/// Holds the claim while the request runs.
async fn held(app: &App, hash: &[u8], claim: Uuid, run: impl Future<Output = Response>) -> Response {
    tokio::pin!(run);
    loop {
        match tokio::time::timeout(LEASE / 4, &mut run).await {
            Ok(response) => return response,
            Err(_) => {
                if let Err(error) = idempotency_renew(app.db(), hash, claim, Timestamp::now().plus(LEASE)).await {
                    tracing::warn!(error = ?error, "the claim of an Idempotency-Key was not renewed");
                }
            }
        }
    }
}

async fn keep(app: &App, hash: &[u8], claim: Uuid, response: Response) -> Result<Response, Problem> {
    let status = response.status();
    let (parts, body) = response.into_parts();
    let passing = status.is_server_error() || matches!(status.as_u16(), 401 | 408 | 429);
    let streams = parts.headers.get(header::CONTENT_TYPE).is_some_and(|v| v.as_bytes().starts_with(b"text/event-stream"));
    if passing || streams {
        idempotency_release(app.db(), hash, claim).await?;
        return Ok(Response::from_parts(parts, body));
    }
    let bytes = match axum::body::to_bytes(body, KEPT).await {
        Ok(bytes) => bytes,
        Err(e) => {
            idempotency_release(app.db(), hash, claim).await?;
            return Err(Error::internal(e).into());
        }
    };
    let kept = [header::CONTENT_TYPE, header::LOCATION, header::ETAG];
    let pairs: Vec<(&str, &str)> = kept.iter().filter_map(|n| Some((n.as_str(), parts.headers.get(n)?.to_str().ok()?))).collect();
    // answers hold secrets that are shown once
    let sealed = seal_bytes(app.key(), PURPOSE, hash, &bytes)?;
    let headers = serde_json::to_string(&pairs).unwrap_or_default();
    let kept = idempotency_answer(app.db(), hash, claim, status.as_u16(), &headers, &sealed);
    if let Err(error) = kept.await {
        // it is done and must be told; another try finds the receipt
        tracing::warn!(error = ?error, "an answer could not be kept under its Idempotency-Key");
    }
    Ok(Response::from_parts(parts, Body::from(bytes)))
}
