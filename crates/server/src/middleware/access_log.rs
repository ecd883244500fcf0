//! Gives each request its id and span, counts and times it, and writes its one log line.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderValue;
use kernel::RequestId;
use tracing::Instrument as _;
use web_kit::problem::REQUEST;

/// The layer.
pub async fn layer(mut request: Request, next: Next) -> Response {
    // a proxy may have given the id already; anything that is not ours is replaced, so that logs cannot be forged
    let id =
        request.headers().get("x-request-id").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok()).unwrap_or_else(RequestId::new);
    request.extensions_mut().insert(id);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|p| p.as_str().to_owned());
    let path = request.uri().path().to_owned();
    let parent = request.headers().get("traceparent").and_then(|v| v.to_str().ok()).unwrap_or("").to_owned();
    let span = tracing::info_span!(
        "request",
        request_id = %id,
        method = %method,
        route = route.as_deref().unwrap_or("other"),
        traceparent = parent.as_str(),
    );
    let start = Instant::now();
    let traceparent = request.headers().get("traceparent").cloned();
    let mut response = REQUEST.scope(id, next.run(request)).instrument(span.clone()).await;
    let took = start.elapsed();
    let status = response.status().as_u16();
    let labels =
        [("method", method.as_str().to_owned()), ("route", route.unwrap_or_else(|| "other".into())), ("status", status.to_string())];
    metrics::counter!("http_requests_total", &labels).increment(1);
    metrics::histogram!("http_request_duration_seconds", &labels[..2]).record(took.as_secs_f64());
    let millis = took.as_secs_f64() * 1000.0;
    span.in_scope(|| {
        if status >= 500 {
            tracing::warn!(status, millis, path, "answered");
        } else {
            tracing::debug!(status, millis, path, "answered");
        }
    });
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        headers.insert("x-request-id", value);
    }
    if let Some(value) = traceparent {
        headers.insert("traceparent", value);
    }
    response
}
