//! A budget of requests a minute for each caller, and the headers that tell how it stands on every answer.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue};
use kernel::{Actor, Code, Error, Timestamp};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use web_kit::{App, Ctx, Problem};

const WINDOW_MS: i64 = 60_000;
/// Callers that are remembered at once; over this the window is forgotten early rather than memory grow.
const MOST: usize = 100_000;

/// The counters of this instance.
#[derive(Clone, Default)]
pub struct Limiter(Arc<Mutex<(i64, HashMap<String, u32>)>>);

impl Limiter {
    /// Counts one request; how many were made in this window.
    fn count(&self, who: String, window: i64) -> u32 {
        let mut state = self.0.lock();
        if state.0 != window || state.1.len() > MOST {
            *state = (window, HashMap::new());
        }
        let n = state.1.entry(who).or_insert(0);
        *n = n.saturating_add(1);
        *n
    }
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// The layer.
pub async fn layer(State((app, limiter)): State<(App, Limiter)>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    // probes, and runners with their lease traffic
    if path.starts_with("/health") || path == "/metrics" || path.starts_with("/runner/") || path.starts_with("/assets/") {
        return next.run(request).await;
    }
    let ctx = request.extensions().get::<Ctx>();
    let (who, limit, policy) = match ctx.map(|c| (&c.0.actor, c.0.ip)) {
        Some((Actor::User { id, .. }, _)) => (id.to_string(), app.config().rate_limit, "user"),
        Some((Actor::Job { id, .. }, _)) => (id.to_string(), app.config().rate_limit, "job"),
        Some((_, Some(ip))) => (ip.to_string(), app.config().rate_limit_anonymous, "anonymous"),
        _ => ("nobody".to_owned(), app.config().rate_limit_anonymous, "anonymous"),
    };
    let now = Timestamp::now().millis();
    let (window, reset) = (now / WINDOW_MS, (WINDOW_MS - now % WINDOW_MS + 999) / 1000);
    let made = limiter.count(who, window);
    let left = limit.saturating_sub(made);
    let mut response = if made > limit {
        let mut response = Problem(Error::new(Code::RateLimited, format!("at most {limit} requests a minute"))).into_response();
        set(response.headers_mut(), "retry-after", &reset.to_string());
        response
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    set(headers, "ratelimit", &format!("\"{policy}\";r={left};t={reset}"));
    set(headers, "ratelimit-policy", &format!("\"{policy}\";q={limit};w=60"));
    set(headers, "x-ratelimit-limit", &limit.to_string());
    set(headers, "x-ratelimit-remaining", &left.to_string());
    set(headers, "x-ratelimit-reset", &(now / 1000 + reset).to_string());
    response
}
