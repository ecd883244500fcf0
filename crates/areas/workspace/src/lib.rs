//! Who works here and on what: accounts, tokens, groups, projects and their members, templates, the creation flow,
//! repositories as people browse them, and what happened.
//!
//! Read next: `project` for the noun that everything hangs on, `creation` for the durable flow that makes one.

pub mod account;
pub mod activity;
pub mod creation;
pub mod group;
pub mod project;
pub mod repository;
pub mod template;
pub mod words;

use std::time::Duration;

use utoipa_axum::router::OpenApiRouter;
use web_kit::{App, Jobs};

/// The area's routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(account::routes::router())
        .merge(group::routes::router())
        .merge(project::routes::router())
        .merge(repository::routes::router())
        .merge(template::routes::router())
        .merge(creation::routes::router())
        .merge(activity::routes::router())
}

/// The area's background work.
pub fn jobs() -> Jobs {
    Jobs::default()
        .on("repository_maintain", |app, work| Box::pin(repository::maintain(app, work)))
        .every("push_reconcile", Duration::from_secs(10), None, |app| Box::pin(repository::record::reconcile(app)))
        .every("repository_sweep", Duration::from_secs(3600), None, |app| Box::pin(repository::sweep(app)))
        .every("project_collect", Duration::from_secs(3600), None, |app| Box::pin(project::collect(app)))
        .every("account_prune", Duration::from_secs(3600), None, |app| Box::pin(account::prune(app)))
}
