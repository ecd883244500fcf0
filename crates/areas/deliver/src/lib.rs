//! What runs, and how it got there: images of a project, environments, releases, deployments, and the applications
//! themselves behind a proxy that never refuses a request while a release gives way to the next.
//!
//! Read next: `deployment` (what may be asked for), `manager` (who does it, and what happens when it dies).

pub mod deployment;
pub mod environment;
pub mod image;
pub mod manager;
pub mod words;

use std::time::Duration;

use utoipa_axum::router::OpenApiRouter;
use web_kit::App;
use web_kit::Jobs;

pub use manager::Manager;

/// The area's routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().merge(image::routes::router()).merge(environment::routes::router()).merge(deployment::routes::router())
}

/// The area's background work.
pub fn jobs() -> Jobs {
    Jobs::default()
        .on("deployment_run", |app, _| Box::pin(async move { manager::reconcile(app).await }))
        .on("provenance_attach", |app, work| Box::pin(image::provenance::provenance_attach(app, work)))
        .every("deploy", Duration::from_secs(3), Some(store::environment::TOPIC), |app| Box::pin(manager::reconcile(app)))
        .every("blob_janitor", Duration::from_secs(3600), None, |app| Box::pin(image::sweep(app)))
}
