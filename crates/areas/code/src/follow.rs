//! How a consumer follows the default branch.
//!
//! A consumer is done with one commit, and may be on its way to another, its target. On the way its state is a mixture
//! of both, so it first comes to its target, even when the branch has moved on: only then is "what changed" a
//! difference of two commits again. When one of the two is no longer in the repository (history was rewritten and
//! collected), the consumer starts from nothing and sweeps out what the new head does not have.

use std::collections::HashSet;
use std::future::Future;

use git::read::DiffLimits;
use git::{EntryKind, GitError, Oid, Repositories, Repository};
use kernel::{Code, Error, ProjectId, Result};
use store::progress::ProgressRow;
use web_kit::App;

/// Changes worked in at once; bounds memory and the length of transactions.
const BATCH_FILES: usize = 300;

/// Bytes of files worked in at once.
const BATCH_BYTES: u64 = 8 * 1024 * 1024;

/// Longer paths are left out: no index takes them, and nothing real has them.
pub(crate) const PATH_LIMIT: usize = 1000;

/// Rounds of one run: a branch that moves faster than we follow gets the next run.
const ROUNDS: usize = 20;

/// A file as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Now {
    pub(crate) oid: Oid,
    pub(crate) size: u64,
    pub(crate) symlink: bool,
}

/// A path that changed; `now` is none when it is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileChange {
    pub(crate) path: String,
    pub(crate) now: Option<Now>,
}

/// One way from a commit to another.
pub(crate) struct Way {
    pub(crate) project: ProjectId,
    pub(crate) repository: Repository,
    pub(crate) from: Option<Oid>,
    pub(crate) to: Oid,
    /// The target as text, as it is stored.
    pub(crate) target: String,
}

/// Who follows.
pub(crate) trait Consumer: Sync {
    /// Where it stands.
    fn load(&self, app: &App, project: ProjectId) -> impl Future<Output = Result<ProgressRow>> + Send;
    /// Notes that it is on its way. `way.from` is none when it starts from nothing.
    fn begin(&mut self, app: &App, way: &Way) -> impl Future<Output = Result<()>> + Send;
    /// Works in a batch of changes. May see the same batch again.
    fn batch(&mut self, app: &App, way: &Way, changes: &[FileChange]) -> impl Future<Output = Result<()>> + Send;
    /// Takes out what is not in `kept`, after all batches of a way from nothing.
    fn sweep(&mut self, app: &App, way: &Way, kept: &HashSet<&str>) -> impl Future<Output = Result<()>> + Send;
    /// Notes that it is there.
    fn finish(&mut self, app: &App, way: &Way) -> impl Future<Output = Result<()>> + Send;
    /// Takes everything out: the branch has no commit.
    fn clear(&mut self, app: &App, project: ProjectId) -> impl Future<Output = Result<()>> + Send;
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It is at the head.
    Rest,
    /// There is no head any more.
    Clear,
    /// Work in the difference.
    Go { from: Option<Oid>, to: Oid },
}

/// Decides, from where the consumer stands, where the head is, and which commits the repository has.
pub(crate) fn next(progress: &ProgressRow, head: Option<Oid>, has: impl Fn(Oid) -> bool) -> Next {
    let parse = |text: &Option<String>| text.as_deref().and_then(|t| Oid::parse(t).ok());
    let (done, target) = (parse(&progress.done), parse(&progress.target));
    let Some(head) = head else {
        return if progress.done.is_none() && progress.target.is_none() { Next::Rest } else { Next::Clear };
    };
    // what was begun must be nameable, to be brought to its end
    let lost = progress.target.is_some() && !target.is_some_and(&has) || progress.done.is_some() && !done.is_some_and(&has);
    if lost {
        return Next::Go { from: None, to: head };
    }
    match (done, target) {
        (from, Some(target)) => Next::Go { from, to: target },
        (Some(done), None) if done == head => Next::Rest,
        (from, None) => Next::Go { from, to: head },
    }
}

/// Brings a consumer to the head of the default branch.
pub(crate) async fn follow<C: Consumer>(app: &App, project: ProjectId, consumer: &mut C) -> Result<()> {
    for _ in 0..ROUNDS {
        let row = store::project::project_get(app.db(), project).await?.ok_or_else(|| Error::not_found("project"))?;
        let repositories = app.part::<Repositories>()?;
        let repository = match repositories.get(project) {
            Ok(repository) => repository,
            // not made yet, or collected
            Err(GitError::NotFound(_)) => return Ok(()),
            Err(e) => return Err(e.into()),
        };
        let head = repository.refs().await?.get(&format!("refs/heads/{}", row.default_branch)).map(|r| r.target());
        let progress = consumer.load(app, project).await?;
        let decided = {
            let progress = progress.clone();
            repository.read(move |reader| Ok(next(&progress, head, |oid| reader.has(oid)))).await?
        };
        match decided {
            Next::Rest => return Ok(()),
            Next::Clear => consumer.clear(app, project).await?,
            Next::Go { from, to } => {
                let way = Way { project, repository, from, to, target: to.to_hex() };
                go(app, &way, consumer).await?;
            }
        }
    }
    Ok(())
}

async fn go<C: Consumer>(app: &App, way: &Way, consumer: &mut C) -> Result<()> {
    let changes = changes(way).await?;
    consumer.begin(app, way).await?;
    let mut rest = changes.as_slice();
    while !rest.is_empty() {
        let (batch, after) = rest.split_at(batch_len(rest));
        consumer.batch(app, way, batch).await?;
        rest = after;
    }
    if way.from.is_none() {
        let kept = changes.iter().map(|c| c.path.as_str()).collect();
        consumer.sweep(app, way, &kept).await?;
    }
    consumer.finish(app, way).await
}

fn batch_len(changes: &[FileChange]) -> usize {
    let mut bytes = 0u64;
    let fits = changes.iter().take(BATCH_FILES).take_while(|c| {
        let before = bytes;
        bytes = bytes.saturating_add(c.now.as_ref().map_or(0, |n| n.size.min(syntax::SIZE_LIMIT as u64)));
        before == 0 || bytes <= BATCH_BYTES
    });
    fits.count().max(1)
}

/// The paths that differ, in their order.
async fn changes(way: &Way) -> Result<Vec<FileChange>> {
    let (from, to) = (way.from, way.to);
    let found = way.repository.read(move |reader| reader.changes(from, to, DiffLimits::PUSH)).await?;
    if !found.complete {
        return Err(Error::new(Code::TooLarge, format!("more than {} files changed at once", DiffLimits::PUSH.files)));
    }
    let mut out: Vec<FileChange> = Vec::with_capacity(found.items.len());
    for change in found.items {
        if let Some(old) = change.old_path.filter(|p| p.len() <= PATH_LIMIT) {
            out.push(FileChange { path: old, now: None });
        }
        if change.path.len() > PATH_LIMIT {
            continue;
        }
        let now = change.new.filter(|side| matches!(side.kind, EntryKind::Blob | EntryKind::Symlink));
        let now = now.map(|side| Now { oid: side.oid, size: change.size.unwrap_or(0), symlink: side.kind == EntryKind::Symlink });
        out.push(FileChange { path: change.path, now });
    }
    // where one path is both left and taken, what is there now counts
    out.sort_by(|a, b| a.path.cmp(&b.path).then(b.now.is_some().cmp(&a.now.is_some())));
    out.dedup_by(|b, a| a.path == b.path);
    Ok(out)
}

/// How many paths differ between two commits; all of the second's when the first is none or gone.
pub(crate) async fn count_changes(app: &App, project: ProjectId, before: Option<String>, commit: &str) -> Result<u64> {
    let repository = app.part::<Repositories>()?.get(project)?;
    let (before, commit) = (before.and_then(|b| Oid::parse(&b).ok()), Oid::parse(commit)?);
    let found = repository.read(move |reader| reader.changes(before.filter(|b| reader.has(*b)), commit, DiffLimits::PUSH)).await?;
    Ok(found.items.len() as u64)
}

/// The state of the consumers that keep it in the database.
pub(crate) mod in_database {
    use super::{App, ProgressRow, ProjectId, Result, Way};

    pub(crate) async fn load(app: &App, project: ProjectId, consumer: &str) -> Result<ProgressRow> {
        store::progress::progress_get(app.db(), project, consumer).await
    }

    pub(crate) async fn begin(app: &App, way: &Way, consumer: &str) -> Result<()> {
        let from = way.from.map(git::Oid::to_hex);
        let mut tx = app.db().begin_soft().await?;
        store::progress::progress_begin(&mut tx, way.project, consumer, from.as_deref(), &way.target).await?;
        tx.commit().await
    }

    pub(crate) async fn finish(app: &App, way: &Way, consumer: &str) -> Result<()> {
        let mut tx = app.db().begin_soft().await?;
        store::progress::progress_done(&mut tx, way.project, consumer, &way.target).await?;
        tx.commit().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oid(n: u8) -> Oid {
        Oid::parse(&format!("{n:040x}")).unwrap()
    }

    #[test]
    fn decisions() {
        let at = |done: Option<u8>, target: Option<u8>| ProgressRow {
            done: done.map(|n| oid(n).to_hex()),
            target: target.map(|n| oid(n).to_hex()),
            ..ProgressRow::default()
        };
        let go = |from: Option<u8>, to: u8| Next::Go { from: from.map(oid), to: oid(to) };
        // commits up to 9 are in the repository
        let table = [
            (at(None, None), None, Next::Rest),
            (at(None, None), Some(1), go(None, 1)),
            (at(Some(1), None), Some(1), Next::Rest),
            (at(Some(1), None), Some(2), go(Some(1), 2)),
            (at(Some(2), None), None, Next::Clear),
            (at(None, Some(2)), None, Next::Clear),
            // what was begun is ended first
            (at(Some(1), Some(2)), Some(3), go(Some(1), 2)),
            (at(None, Some(2)), Some(3), go(None, 2)),
            (at(Some(1), Some(2)), Some(1), go(Some(1), 2)),
            // collected commits mean a start from nothing
            (at(Some(10), None), Some(3), go(None, 3)),
            (at(Some(1), Some(10)), Some(3), go(None, 3)),
            (at(None, Some(10)), Some(3), go(None, 3)),
        ];
        for (progress, head, want) in table {
            assert_eq!(next(&progress, head.map(oid), |o| o <= oid(9)), want, "{progress:?} {head:?}");
        }
    }

    #[test]
    fn batches_are_bounded_by_files_and_bytes() {
        let change = |size| FileChange { path: String::new(), now: Some(Now { oid: oid(1), size, symlink: false }) };
        assert_eq!(batch_len(&vec![change(10); 1000]), BATCH_FILES);
        assert_eq!(batch_len(&vec![change(u64::MAX); 10]), 4);
        assert_eq!(batch_len(&[change(0)]), 1);
    }
}
