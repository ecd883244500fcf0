//! The URL map on one page. Each area brings its routes; the doors speak protocols of their own.

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use web_kit::App;

use crate::middleware::{access_log, conditional, cors, idempotency, identity, rate_limit};
use crate::{health, openapi};

/// The API of all areas, with its description.
pub fn api() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::Base::openapi())
        .merge(health::router())
        .merge(area_workspace::router())
        .merge(area_code::router())
        .merge(area_build::router())
        .merge(area_deliver::router())
        .merge(openapi::router())
}

/// Everything that answers: the API, the doors, the pages, behind the middleware.
pub fn build(app: App) -> Router {
    let (api, description) = api().split_for_parts();
    let routes = api
        .merge(openapi::served(description))
        .merge(crate::doors::router())
        // repositories have addresses of any depth, so their door is where no route is
        .fallback(crate::doors::git::fallback)
        .method_not_allowed_fallback(crate::pages::method_not_allowed);
    // the last layer is the outermost
    routes
        .layer(from_fn_with_state(app.clone(), idempotency::layer))
        .layer(from_fn_with_state(app.clone(), rate_limit::layer))
        .layer(from_fn_with_state(app.clone(), identity::layer))
        .layer(from_fn(conditional::layer))
        .layer(from_fn_with_state(app.clone(), cors::layer))
        .layer(CatchPanicLayer::custom(crate::pages::panicked))
        .layer(from_fn(access_log::layer))
        .with_state(app)
}
