//! Finding text in the files of default branches.
//!
//! The index belongs to this instance when it is the embedded one, so its own marker counts, not the database's: an
//! instance that did not carry out the work, or lost its index, catches up when it is asked.

pub(crate) mod routes;

use std::collections::HashSet;
use std::sync::LazyLock;
use std::time::Duration;

use ::search::{Batch, CONTENT_LIMIT, Change, Found, Query};
use git::{GitError, Reader};
use kernel::authz::authorize;
use kernel::{Context, Permission, ProjectId, Result};
use store::progress::{ProgressRow, progress_get, progress_set};
use store::project::{ProjectFilter, ProjectSort, project_access_many, project_list};
use tokio::sync::Semaphore;
use web_kit::App;

use crate::SearchIndex;
use crate::follow::{self, Consumer, FileChange, Now, Way};

/// The name in the progress table.
pub(crate) const CONSUMER: &str = "search";

/// Projects that one search over all of them looks into, those with the latest activity first.
const PROJECTS: i64 = 1000;

/// How long a search waits for an index that lies behind.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Catching up happens for so many projects at once.
static CATCHING_UP: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(2));

/// Brings this instance's index to the head.
pub(crate) async fn update(app: &App, project: ProjectId) -> Result<()> {
    follow::follow(app, project, &mut Indexer).await
}

struct Indexer;

/// The marker of the index says `done`, or `done>target` on the way.
fn parse(marker: Option<String>) -> ProgressRow {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let marker = marker.unwrap_or_default();
    let (done, target) = marker.split_once('>').unwrap_or((&marker, ""));
    ProgressRow { done: some(done), target: some(target), ..ProgressRow::default() }
}

impl Consumer for Indexer {
    async fn load(&self, app: &App, project: ProjectId) -> Result<ProgressRow> {
        Ok(parse(app.part::<SearchIndex>()?.marker(project).await?))
    }

    async fn begin(&mut self, app: &App, way: &Way) -> Result<()> {
        let index = app.part::<SearchIndex>()?;
        let marker = format!("{}>{}", way.from.map(git::Oid::to_hex).unwrap_or_default(), way.target);
        let before = index.marker(way.project).await?;
        if way.from.is_none() && before.is_some() && before.as_ref() != Some(&marker) {
            // from nothing, but something is there: what it was is not known any more
            index.forget(way.project).await?;
        }
        Ok(index.apply(way.project, Batch { changes: Vec::new(), marker: Some(marker) }).await?)
    }

    async fn batch(&mut self, app: &App, way: &Way, changes: &[FileChange]) -> Result<()> {
        let mut batch: Vec<Change> = Vec::with_capacity(changes.len());
        let mut read = Vec::new();
        for change in changes {
            match change.now.as_ref().filter(|n| !n.symlink) {
                Some(now) => read.push((change.path.clone(), now.clone())),
                None => batch.push(Change::Remove { path: change.path.clone() }),
            }
        }
        let read: Vec<Change> = way.repository.read(move |reader| read.iter().map(|(path, now)| put(reader, path, now)).collect()).await?;
        batch.extend(read);
        Ok(app.part::<SearchIndex>()?.apply(way.project, Batch { changes: batch, marker: None }).await?)
    }

    async fn sweep(&mut self, _: &App, _: &Way, _: &HashSet<&str>) -> Result<()> {
        // `begin` has dropped what could be there
        Ok(())
    }

    async fn finish(&mut self, app: &App, way: &Way) -> Result<()> {
        app.part::<SearchIndex>()?.apply(way.project, Batch { changes: Vec::new(), marker: Some(way.target.clone()) }).await?;
        let mut tx = app.db().begin_soft().await?;
        if progress_set(&mut tx, way.project, CONSUMER, Some(&way.target)).await? {
            tx.commit().await?;
        }
        Ok(())
    }

    async fn clear(&mut self, app: &App, project: ProjectId) -> Result<()> {
        app.part::<SearchIndex>()?.forget(project).await?;
        let mut tx = app.db().begin_soft().await?;
        progress_set(&mut tx, project, CONSUMER, None).await?;
        tx.commit().await
    }
}

fn put(reader: &Reader, path: &str, now: &Now) -> Result<Change, GitError> {
    // larger files are found by name only, for which their content need not be read
    let content = reader.blob(now.oid, CONTENT_LIMIT as u64)?.data.unwrap_or_else(|| vec![0]);
    Ok(Change::Put { path: path.to_owned(), oid: now.oid.to_hex(), content })
}

/// Sees to it that this instance's index is where the database says an index was. False when that takes longer than a
/// caller should wait; it then goes on in the background.
async fn caught_up(app: &App, project: ProjectId) -> Result<bool> {
    let want = progress_get(app.db(), project, CONSUMER).await?.done;
    let have = app.part::<SearchIndex>()?.marker(project).await?;
    if want.is_none() || want == have {
        return Ok(true);
    }
    let behind = {
        let app = app.clone();
        tokio::spawn(async move {
            let Ok(_turn) = CATCHING_UP.acquire().await else { return };
            if let Err(error) = update(&app, project).await {
                tracing::warn!(%project, error = ?error, "the index of this instance did not catch up");
            }
        })
    };
    Ok(tokio::time::timeout(PATIENCE, behind).await.is_ok())
}

/// What a caller looks for.
pub(crate) struct Asked {
    pub(crate) pattern: String,
    pub(crate) regex: bool,
    pub(crate) case_sensitive: bool,
    pub(crate) offset: usize,
    pub(crate) limit: usize,
}

impl Asked {
    fn query(self, projects: Vec<ProjectId>) -> Query {
        let Asked { pattern, regex, case_sensitive, offset, limit } = self;
        Query { regex, case_sensitive, offset, limit, ..Query::text(pattern, projects) }
    }
}

/// Searches one project.
pub(crate) async fn project_search(app: &App, ctx: &Context, project: &str, asked: Asked) -> Result<Found> {
    let project = app.project(ctx, project, Permission::RepositoryRead).await?;
    let there = caught_up(app, project.id()).await?;
    let mut found = app.part::<SearchIndex>()?.search(asked.query(vec![project.id()])).await?;
    found.complete &= there;
    Ok(found)
}

/// Searches all projects whose files the caller may read. Tells their paths.
pub(crate) async fn search(app: &App, ctx: &Context, asked: Asked) -> Result<(Found, Vec<(ProjectId, String)>)> {
    let filter = ProjectFilter {
        viewer: ctx.user(),
        all: ctx.is_admin(),
        only: ctx.grant.projects.clone(),
        sort: ProjectSort::Activity,
        descending: true,
        ..ProjectFilter::default()
    };
    let rows = project_list(app.db(), &filter, PROJECTS + 1).await?;
    let whole = rows.len() as i64 <= PROJECTS;
    let mut readable = Vec::new();
    let access = project_access_many(app.db(), &rows, ctx.user()).await?;
    for (row, access) in rows.into_iter().zip(access).take(usize::try_from(PROJECTS).unwrap_or(0)) {
        if authorize(ctx, &access, Permission::RepositoryRead).is_ok() {
            readable.push((row.id, row.path));
        }
    }
    let ids = readable.iter().map(|(id, _)| *id).collect();
    let mut found = app.part::<SearchIndex>()?.search(asked.query(ids)).await?;
    found.complete &= whole;
    Ok((found, readable))
}

#[cfg(test)]
pub(crate) fn consumer() -> impl Consumer {
    Indexer
}
