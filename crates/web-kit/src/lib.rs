//! What every area's routes stand on: the state, extractors, problem documents, pages, credentials. No domain.
//!
//! Read next: `app` (the state and the project lookup with its decision), `extract`, `problem`.

pub mod app;
pub mod attempt;
pub mod auth;
pub mod bearer;
pub mod config;
pub mod extract;
pub mod jobs;
pub mod jwt;
pub mod markdown;
pub mod page;
pub mod password;
pub mod problem;
pub mod secret;
pub mod sse;
pub mod vault;

pub use axum::body::Body;

pub use app::{App, AppBuilder, Project};
pub use config::Config;
pub use extract::{Accepted, Created, Ctx, IfMatch, Json, Path, Query, RespondAsync, Versioned, changed};
pub use jobs::Jobs;
pub use page::{List, Page, PageParams};
pub use problem::{Problem, ProblemBody, Reply};
