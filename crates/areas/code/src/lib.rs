//! What the service knows of a project's code: which files there are, what depends on what, how complex it is, and
//! where to find a text.
//!
//! Three consumers follow the default branch, each at its own pace, each with its own marker: `inventory` (files,
//! manifests and lock files), `quality` (lines and functions), `search` (the index). A consumer takes the difference
//! between the commit it has worked in and the branch's head, in batches (`follow`); what did not change is not looked
//! at again. A push wakes them as leased work in one lane per project; being woken too often, or twice at once, or
//! killed in the middle, costs time and nothing else.
//!
//! Invariant: everything here can be built again from the repository.
//!
//! Read next: `follow`.

mod follow;
mod inventory;
mod quality;
mod search;

use futures::future::BoxFuture;
use kernel::{Code, Error, Event, EventData, ProjectId, Result};
use store::progress::{progress_get, progress_set};
use store::{NewWork, WorkRow};
use utoipa_axum::router::OpenApiRouter;
use web_kit::App;

/// The index, as a part of [`App`].
pub type SearchIndex = std::sync::Arc<dyn ::search::Index>;

/// Kinds of work that bring a project up to its head, in their order.
pub const FOLLOWERS: [&str; 3] = ["code_inventory", "code_analyze", "code_index"];

/// The commit that was last told of, in the progress table.
const ANNOUNCED: &str = "announced";

/// The work that follows when the default branch of a project moved, or is another one now. One after the other, so
/// that they do not read the same objects at the same time.
pub fn follow_work(project: ProjectId) -> Vec<NewWork> {
    FOLLOWERS.into_iter().map(|kind| NewWork::new(kind, serde_json::json!({})).project(project).lane(format!("code:{project}"))).collect()
}

/// The area's routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().merge(inventory::routes::router()).merge(quality::routes::router()).merge(search::routes::router())
}

/// The area's background work.
pub fn jobs() -> web_kit::Jobs {
    web_kit::Jobs::default()
        .on(FOLLOWERS[0], |app, work| run(app, work, |app, project| Box::pin(inventory::update(app, project))))
        .on(FOLLOWERS[1], |app, work| run(app, work, |app, project| Box::pin(quality::update(app, project))))
        .on(FOLLOWERS[2], |app, work| run(app, work, |app, project| Box::pin(search::update(app, project))))
}

type Update = for<'a> fn(&'a App, ProjectId) -> BoxFuture<'a, Result<()>>;

fn run(app: App, work: WorkRow, update: Update) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let project = work.project.ok_or_else(|| Error::internal("the work names no project"))?;
        // a project that went away meanwhile needs nothing
        let Some(row) = store::project::project_get(app.db(), project).await? else { return Ok(()) };
        if row.deleted_at.is_some() {
            return Ok(());
        }
        match update(&app, project).await {
            Ok(()) => announce(&app, project).await,
            // another worker is at it, and this work would find nothing left to do after it
            Err(e) if e.is(Code::StaleEpoch) => Err(Error::new(Code::Unavailable, e.detail)),
            Err(e) => Err(e),
        }
    })
}

/// What the inventory found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InventoryFound {
    /// Files.
    pub files: i64,
    /// Manifests and lock files.
    pub manifests: i64,
    /// Packages that these name.
    pub packages: i64,
}

/// Brings a project's inventory and dependencies up to its head now. Idempotent.
///
/// # Errors
/// The database's, the repository's.
pub async fn inventory_update(app: &App, project: ProjectId) -> Result<InventoryFound> {
    inventory::update(app, project).await?;
    let files = store::file::file_count(app.db(), project).await?;
    let (manifests, packages) = store::dependency::manifest_count(app.db(), project).await?;
    Ok(InventoryFound { files, manifests, packages })
}

/// Brings a project's figures and its index up to its head now, and gives the sums. Idempotent.
///
/// # Errors
/// The database's, the repository's, the index's.
pub async fn analysis_update(app: &App, project: ProjectId) -> Result<store::metric::TotalRow> {
    quality::update(app, project).await?;
    search::update(app, project).await?;
    quality::sum(app, project).await
}

/// Brings everything up to the head and tells of it, as the leased work does.
#[cfg(test)]
async fn code_update(app: &App, project: ProjectId) -> Result<()> {
    inventory_update(app, project).await?;
    analysis_update(app, project).await?;
    announce(app, project).await
}

/// Drops everything that is kept of a project here.
///
/// # Errors
/// The database's, the index's.
pub async fn code_forget(app: &App, project: ProjectId) -> Result<()> {
    loop {
        let mut tx = app.db().begin().await?;
        let more = store::file::code_purge(&mut tx, project).await?;
        tx.commit().await?;
        if !more {
            break;
        }
    }
    Ok(app.part::<SearchIndex>()?.forget(project).await?)
}

/// Tells, once per commit, that all three have come to it.
async fn announce(app: &App, project: ProjectId) -> Result<()> {
    let inventory = progress_get(app.db(), project, inventory::CONSUMER).await?.done;
    let Some(commit) = inventory else { return Ok(()) };
    for consumer in [quality::CONSUMER, search::CONSUMER] {
        if progress_get(app.db(), project, consumer).await?.done.as_ref() != Some(&commit) {
            return Ok(());
        }
    }
    let before = progress_get(app.db(), project, ANNOUNCED).await?.done;
    if before.as_ref() == Some(&commit) {
        return Ok(());
    }
    let files_changed = follow::count_changes(app, project, before, &commit).await?;
    let mut tx = app.db().begin().await?;
    if progress_set(&mut tx, project, ANNOUNCED, Some(&commit)).await? {
        tx.emit(&Event::new(None, Some(project), EventData::CodeAnalyzed { commit, files_changed })).await?;
        tx.commit().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
