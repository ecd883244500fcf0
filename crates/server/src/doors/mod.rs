//! Doors that speak protocols of their own: git's smart HTTP, the registry's distribution API.

pub(crate) mod git;
pub(crate) mod registry;

use axum::Router;
use web_kit::App;

/// The doors' routes.
pub fn router() -> Router<App> {
    Router::new().merge(registry::router())
}
