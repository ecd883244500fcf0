//! A budget of requests a minute for each caller, counted in the cache that all instances share, and the headers that
//! tell how it stands on every answer.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use cache::{Cache, Rate};
use http::{HeaderMap, HeaderValue};
use kernel::{Actor, Code, Error, Timestamp};
use web_kit::{App, Ctx, Problem};

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// The layer.
pub async fn layer(State(app): State<App>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    // probes, runners with their lease traffic, blocks of uploads (whose addresses are signed)
    if path.starts_with("/health")
        || path == "/metrics"
        || path.starts_with("/runner/")
        || path.starts_with("/results/")
        || path.starts_with("/assets/")
    {
        return next.run(request).await;
    }
    let ctx = request.extensions().get::<Ctx>();
    let (who, limit, policy) = match ctx.map(|c| (&c.0.actor, c.0.ip)) {
        Some((Actor::User { id, .. }, _)) => (id.to_string(), app.config().rate_limit, "user"),
        Some((Actor::Job { id, .. }, _)) => (id.to_string(), app.config().rate_limit, "job"),
        Some((_, Some(ip))) => (ip.to_string(), app.config().rate_limit_anonymous, "anonymous"),
        _ => ("nobody".to_owned(), app.config().rate_limit_anonymous, "anonymous"),
    };
    let cache = match app.part::<Cache>() {
        Ok(cache) => cache,
        Err(error) => return Problem(error).into_response(),
    };
    let decision = cache.take(&format!("rate:{who}"), Rate { limit, window: Duration::from_secs(60) }, 1).await;
    let reset = decision.reset.as_secs().max(1);
    let mut response = if decision.allowed {
        next.run(request).await
    } else {
        let mut response = Problem(Error::new(Code::RateLimited, format!("at most {limit} requests a minute"))).into_response();
        set(response.headers_mut(), "retry-after", &decision.retry.as_secs().max(1).to_string());
        response
    };
    let headers = response.headers_mut();
    let left = decision.remaining;
    set(headers, "ratelimit", &format!("\"{policy}\";r={left};t={reset}"));
    set(headers, "ratelimit-policy", &format!("\"{policy}\";q={limit};w=60"));
    set(headers, "x-ratelimit-limit", &limit.to_string());
    set(headers, "x-ratelimit-remaining", &left.to_string());
    set(headers, "x-ratelimit-reset", &(Timestamp::now().millis() / 1000 + i64::try_from(reset).unwrap_or(60)).to_string());
    response
}
