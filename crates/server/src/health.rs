//! Liveness, readiness and metrics.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse, Response};
use futures::future::BoxFuture;
use http::{HeaderMap, StatusCode, header};
use kernel::{Code, Error, Result};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web_kit::{App, Ctx, Json, Reply};

/// Checks one component; the text says more when it is well.
pub type Check = Box<dyn Fn(App) -> BoxFuture<'static, Result<String>> + Send + Sync>;

/// The components that readiness looks at.
#[derive(Default)]
pub struct Checks(pub Vec<(&'static str, Check)>);

/// Is the process alive?
#[derive(Serialize, ToSchema)]
pub struct Health {
    /// `ok`.
    status: &'static str,
    /// The version that runs.
    version: &'static str,
}

/// Can requests be served?
#[derive(Serialize, ToSchema)]
pub struct Readiness {
    /// `ready`, or `degraded` when a component fails.
    status: &'static str,
    /// The version that runs.
    version: &'static str,
    /// Each component.
    components: Vec<Component>,
}

/// One component.
#[derive(Serialize, ToSchema)]
pub struct Component {
    /// Its name.
    name: &'static str,
    /// `ok` or `failing`.
    status: &'static str,
    /// How long the check took.
    latency_ms: f64,
    /// More about it.
    detail: String,
}

/// Liveness: the process answers.
#[utoipa::path(get, path = "/health", tag = "system", responses((status = 200, body = Health)))]
async fn health_live() -> Json<Health> {
    Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION") })
}

/// Readiness: each component, its state and latency. 503 when one fails.
#[utoipa::path(get, path = "/health/ready", tag = "system",
    responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
async fn health_ready(State(app): State<App>) -> Reply<Response> {
    let checks = app.part::<Checks>()?;
    let run = checks.0.iter().map(|(name, check)| {
        let app = app.clone();
        async move {
            let start = Instant::now();
            let outcome = tokio::time::timeout(Duration::from_secs(3), check(app)).await;
            let (status, detail) = match outcome {
                Ok(Ok(detail)) => ("ok", detail),
                Ok(Err(error)) => ("failing", error.detail),
                Err(_) => ("failing", "no answer within 3 seconds".to_owned()),
            };
            Component { name, status, latency_ms: (start.elapsed().as_secs_f64() * 1e6).round() / 1e3, detail }
        }
    });
    let components: Vec<Component> = futures::future::join_all(run).await;
    let well = components.iter().all(|c| c.status == "ok");
    let body = Readiness { status: if well { "ready" } else { "degraded" }, version: env!("CARGO_PKG_VERSION"), components };
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok((status, axum::Json(body)).into_response())
}

/// Prometheus metrics, for loopback, administrators, and holders of the metrics token.
#[utoipa::path(get, path = "/metrics", tag = "system", responses((status = 200, content_type = "text/plain"), (status = 404)))]
async fn metrics_read(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    headers: HeaderMap,
    peer: Option<axum::Extension<ConnectInfo<SocketAddr>>>,
) -> Reply<Response> {
    let by_token = app.config().metrics_token.as_ref().is_some_and(|wanted| {
        let given = headers.get("x-metrics-token").and_then(|v| v.to_str().ok()).unwrap_or("");
        web_kit::secret::hash(given) == web_kit::secret::hash(wanted)
    });
    // a proxy on this machine speaks for others
    let direct = !headers.contains_key("x-forwarded-for") && !headers.contains_key("forwarded");
    let local = direct && app.config().metrics_token.is_none() && peer.is_some_and(|p| p.0.0.ip().is_loopback());
    if !(by_token || local || ctx.is_admin()) {
        return Err(Error::new(Code::NotFound, "not found").into());
    }
    for (state, n) in store::work::work_counts(app.db()).await? {
        metrics::gauge!("work_rows", "state" => state).set(n as f64);
    }
    let text = app.part::<PrometheusHandle>()?.render();
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(health_live)).routes(routes!(health_ready)).routes(routes!(metrics_read))
}
