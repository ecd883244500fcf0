//! area-code

use utoipa_axum::router::OpenApiRouter;
use web_kit::App;

/// The area's routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
}

/// The area's background work.
pub fn jobs() -> web_kit::Jobs {
    web_kit::Jobs::default()
}
