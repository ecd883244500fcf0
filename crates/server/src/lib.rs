//! The service: router, middleware, doors, and the start and end of the process.
//!
//! Read `router` first: the URL map on one page.

pub mod doors;
mod health;
mod listen;
mod middleware;
mod openapi;
mod pages;
pub mod router;
mod start;

pub use start::{Running, first_start, open, run, start};

/// The API's description as JSON, as committed in `openapi.json`.
pub fn openapi_json() -> String {
    openapi::text(&router::api().split_for_parts().1)
}
