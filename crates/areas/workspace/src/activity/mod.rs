//! What happened: the event feed of the instance, and a project's activity with the work that followed from each event.
//!
//! Reads the outbox and the work rows; owns nothing.

pub mod model;
pub mod routes;

use std::collections::HashMap;

use kernel::{Context, Error, Event, Permission, ProjectId, Result};
use store::event::Position;
use web_kit::App;

use model::{Activity, WorkView};

/// A page of a project's activity, newest first.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn activity_list(app: &App, ctx: &Context, id: &str, before: Option<Position>, limit: i64) -> Result<Vec<(Position, Activity)>> {
    let p = app.project(ctx, id, Permission::RepositoryRead).await?;
    let rows = store::event::event_recent(app.db(), p.id(), before, limit).await?;
    let ids: Vec<_> = rows.iter().map(|(_, e)| e.id).collect();
    let mut work: HashMap<_, Vec<WorkView>> = HashMap::new();
    for row in store::work::work_of_events(app.db(), &ids).await? {
        if let Some(event) = row.event {
            work.entry(event).or_default().push(WorkView::new(row));
        }
    }
    let actors: Vec<_> = rows.iter().filter_map(|(_, e)| e.actor).collect();
    let names = store::account::account_names(app.db(), &actors).await?;
    Ok(rows
        .into_iter()
        .map(|(at, event)| {
            let work = work.remove(&event.id).unwrap_or_default();
            let name = event.actor.and_then(|a| names.get(&a).cloned());
            (at, Activity::new(event, name, work))
        })
        .collect())
}

/// Which part of the feed a caller gets: one project's, or everything for administrators.
///
/// # Errors
/// `forbidden`, `not_found`.
pub async fn feed_scope(app: &App, ctx: &Context, project: Option<&str>) -> Result<Option<ProjectId>> {
    match project {
        Some(id) => Ok(Some(app.project(ctx, id, Permission::RepositoryRead).await?.id())),
        None => {
            kernel::authz::authorize_instance(ctx, Permission::InstanceAdmin)?;
            if ctx.grant.projects.is_some() {
                return Err(Error::field("project", "required", "this token reaches only some projects; name one"));
            }
            Ok(None)
        }
    }
}

/// Events after a position, oldest first.
///
/// # Errors
/// The database's.
pub async fn event_list(app: &App, scope: Option<ProjectId>, after: Position, limit: i64) -> Result<Vec<(Position, Event)>> {
    store::event::event_list(app.db(), after, scope, limit).await
}
