//! Removing projects: what runs stops when a project is deleted, and everything goes when it is removed for good. Each
//! part can be done again after a crash; the row of the project goes last.

use kernel::{Code, Error, ProjectId, Result};
use store::WorkRow;
use store::project::{project_get, project_purge};
use web_kit::App;

/// Cancels the runs of a deleted project. Its applications are stopped by the deploy managers, which are woken.
///
/// # Errors
/// The database's.
pub(crate) async fn stop(app: App, work: WorkRow) -> Result<()> {
    let Some(project) = work.project else { return Ok(()) };
    app.db().wake().send(store::environment::TOPIC);
    // restored meanwhile
    if project_get(app.db(), project).await?.is_none_or(|p| p.deleted_at.is_none()) {
        return Ok(());
    }
    cancel_runs(&app, project).await
}

async fn cancel_runs(app: &App, project: ProjectId) -> Result<()> {
    for run in store::run::run_open(app.db(), project).await? {
        match area_build::schedule::finish::cancel(app.db(), run, "the project was deleted").await {
            // it has ended meanwhile
            Err(e) if e.is(Code::Conflict) || e.is(Code::NotFound) => {}
            other => other?,
        }
    }
    Ok(())
}

/// Removes a project for good.
///
/// # Errors
/// `unavailable` while an application or a job of it still runs, to be tried again; the database's and the storage's.
pub(crate) async fn purge(app: App, work: WorkRow) -> Result<()> {
    let Some(id) = work.project else { return Ok(()) };
    let Some(project) = project_get(app.db(), id).await? else { return Ok(()) };
    if project.state != "purging" {
        return Ok(());
    }
    if store::environment::environment_awake(app.db(), id).await? {
        app.db().wake().send(store::environment::TOPIC);
        return Err(Error::new(Code::Unavailable, "an application of the project is still being stopped"));
    }
    cancel_runs(&app, id).await?;
    if !store::run::run_open(app.db(), id).await?.is_empty() {
        return Err(Error::new(Code::Unavailable, "a run of the project is still being cancelled"));
    }
    contents(&app, id).await?;
    let mut tx = app.db().begin().await?;
    project_purge(&mut tx, &project).await?;
    tx.commit().await
}

/// Removes all but the row of the project and what depends on it: repository, code, runs, blobs.
///
/// # Errors
/// The database's and the storage's.
pub(crate) async fn contents(app: &App, project: ProjectId) -> Result<()> {
    let repositories = app.part::<git::Repositories>()?;
    if repositories.exists(project) {
        repositories.delete(project).await?;
    }
    area_code::code_forget(app, project).await?;
    loop {
        let mut tx = app.db().begin().await?;
        let more = store::run::pipeline_purge(&mut tx, project).await?;
        tx.commit().await?;
        if !more {
            break;
        }
    }
    app.part::<blobs::Blobs>()?.purge(&blobs::Owner::from(project)).await?;
    Ok(())
}
