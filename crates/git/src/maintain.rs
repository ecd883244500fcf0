//! Keeping repositories fast and clean. Functions for the orchestrator's leased job `repository_maintain`; each is
//! safe beside pushes and clones, and doing it twice is only waste.
//!
//! Nothing unreachable is dropped that is younger than two weeks: a push may be about to refer to it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use kernel::Timestamp;

use crate::error::{GitError, Result};
use crate::repositories::{Repositories, Repository, blocking};

/// Packs past which they are joined.
const MANY_PACKS: usize = 20;
/// Loose objects past which they are packed.
const MANY_LOOSE: usize = 500;
/// Loose refs past which they are packed.
const MANY_REFS: usize = 100;
/// A ref lock is held for milliseconds; one this old was left by a process that died.
const STALE_LOCK: Duration = Duration::from_secs(60);
/// Longest repack.
const LIMIT: Duration = Duration::from_secs(2 * 3600);

/// What is there to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Condition {
    /// Packs.
    pub packs: usize,
    /// Loose objects.
    pub loose: usize,
    /// Loose refs.
    pub refs: usize,
}

impl Condition {
    /// Is it worth the work?
    pub fn needs_work(self) -> bool {
        self.packs > MANY_PACKS || self.loose > MANY_LOOSE || self.refs > MANY_REFS
    }
}

/// How much to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effort {
    /// Joins young packs so that their sizes form a geometric row. Cost in the size of what is new.
    Incremental,
    /// Everything into one pack with bitmaps, the unreachable aside and, after two weeks, away.
    Full,
}

/// What was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Done {
    /// Left-over quarantines and temporary files removed.
    pub swept: usize,
    /// State before.
    pub before: Condition,
    /// State after.
    pub after: Condition,
}

impl Repository {
    /// How it looks.
    ///
    /// # Errors
    /// `NotFound`, `Io`.
    pub async fn condition(&self) -> Result<Condition> {
        let dir = self.dir.clone();
        blocking(move || condition(&dir)).await
    }

    /// What is due, if anything.
    ///
    /// # Errors
    /// `NotFound`, `Io`.
    pub async fn due(&self) -> Result<Option<Effort>> {
        if !self.condition().await?.needs_work() {
            return Ok(None);
        }
        let dir = self.dir.join("objects/pack");
        blocking(move || {
            let week = Timestamp::now().minus(Duration::from_secs(7 * 24 * 3600));
            let young = |e: &fs::DirEntry| e.metadata().is_ok_and(|m| modified(&m) > week);
            let entries = fs::read_dir(&dir).map_err(GitError::io("look at packs"))?.flatten();
            let bitmap = entries.into_iter().any(|e| e.path().extension().is_some_and(|x| x == "bitmap") && young(&e));
            Ok(Some(if bitmap { Effort::Incremental } else { Effort::Full }))
        })
        .await
    }

    /// Does what is asked.
    ///
    /// # Errors
    /// `NotFound`, `Program`, `Timeout`.
    pub async fn maintain(&self, effort: Effort) -> Result<Done> {
        let swept = self.sweep().await?;
        let before = self.condition().await?;
        let program = &self.all.program;
        let repack = program.command("repack").in_repository(&self.dir).flag("-d").flag("-l").flag("-q");
        let repack = match effort {
            Effort::Incremental => repack.flag("--geometric=2").flag("--no-write-bitmap-index"),
            Effort::Full => repack.flag("-a").flag("--cruft").flag("--cruft-expiration=2.weeks.ago").flag("--write-bitmap-index"),
        };
        repack.output(b"", LIMIT, 1 << 16).await?;
        self.packs_changed();
        program
            .command("commit-graph")
            .in_repository(&self.dir)
            .flag("write")
            .flag("--reachable")
            .flag("--no-progress")
            .output(b"", LIMIT, 1 << 16)
            .await?;
        if before.refs > MANY_REFS || effort == Effort::Full {
            program.command("pack-refs").in_repository(&self.dir).flag("--all").flag("--prune").output(b"", LIMIT, 1 << 16).await?;
        }
        let after = self.condition().await?;
        tracing::info!(project = %self.project, ?effort, ?before, ?after, swept, "maintained a repository");
        Ok(Done { swept, before, after })
    }

    /// Removes what dead processes left: quarantines and temporary packs older than the longest push, and locks.
    ///
    /// # Errors
    /// `Io`.
    pub async fn sweep(&self) -> Result<usize> {
        let (dir, longest) = (self.dir.clone(), self.all.options.push_time + Duration::from_secs(300));
        blocking(move || {
            let objects = dir.join("objects");
            let mut swept = sweep_in(&objects, longest, |name| name.starts_with("tmp_objdir-"))?;
            swept += sweep_in(&objects.join("pack"), longest, |name| name.starts_with("tmp_") || name.starts_with(".tmp-"))?;
            swept += sweep_locks(&dir)?;
            Ok(swept)
        })
        .await
    }

    /// Removes stale locks only, after a ref could not be locked.
    pub(crate) async fn unlock(&self) {
        let dir = self.dir.clone();
        if let Ok(swept @ 1..) = blocking(move || sweep_locks(&dir)).await {
            tracing::warn!(project = %self.project, swept, "removed locks that a dead process left");
        }
    }
}

impl Repositories {
    /// Removes what was half made or half removed when an earlier process ended.
    ///
    /// # Errors
    /// `Io`.
    pub async fn sweep(&self) -> Result<usize> {
        let layout = self.0.layout.clone();
        blocking(move || {
            let hour = Duration::from_secs(3600);
            Ok(sweep_in(&layout.incoming(), hour, |_| true)? + sweep_in(&layout.trash(), Duration::ZERO, |_| true)?)
        })
        .await
    }
}

fn condition(dir: &Path) -> Result<Condition> {
    let mut out = Condition::default();
    let list = |dir: &Path| -> Result<Vec<(String, bool)>> {
        match fs::read_dir(dir) {
            Ok(entries) => Ok(entries
                .flatten()
                .filter_map(|e| Some((e.file_name().into_string().ok()?, e.file_type().is_ok_and(|t| t.is_dir()))))
                .collect()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(e) => Err(GitError::io("look at a repository")(e)),
        }
    };
    if !dir.join("HEAD").exists() {
        return Err(GitError::NotFound("repository".into()));
    }
    let objects = dir.join("objects");
    out.packs = list(&objects.join("pack"))?.iter().filter(|(n, _)| n.ends_with(".pack")).count();
    for (name, is_dir) in list(&objects)? {
        if is_dir && name.len() == 2 {
            out.loose += list(&objects.join(&name))?.len();
        }
    }
    let mut open = vec![dir.join("refs/heads"), dir.join("refs/tags")];
    while let Some(dir) = open.pop() {
        for (name, is_dir) in list(&dir)? {
            if is_dir {
                open.push(dir.join(name));
            } else {
                out.refs += 1;
            }
        }
    }
    Ok(out)
}

fn sweep_locks(dir: &Path) -> Result<usize> {
    let lock = |name: &str| name.ends_with(".lock");
    let mut swept = sweep_in(dir, STALE_LOCK, lock)?;
    let mut open = vec![dir.join("refs")];
    while let Some(dir) = open.pop() {
        swept += sweep_in(&dir, STALE_LOCK, lock)?;
        let entries = fs::read_dir(&dir).map(|e| e.flatten().collect::<Vec<_>>()).unwrap_or_default();
        open.extend(entries.into_iter().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()));
    }
    Ok(swept)
}

fn modified(meta: &fs::Metadata) -> Timestamp {
    let since = meta.modified().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
    Timestamp(since.and_then(|d| i64::try_from(d.as_millis()).ok()).unwrap_or(0))
}

/// Removes entries whose name fits and that were not touched for `age`.
fn sweep_in(dir: &Path, age: Duration, fits: impl Fn(&str) -> bool) -> Result<usize> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(e) => return Err(GitError::io("sweep a directory")(e)),
    };
    let limit = Timestamp::now().minus(age);
    let mut swept = 0;
    for entry in entries.flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        if modified(&meta) > limit || !entry.file_name().to_str().is_some_and(&fits) {
            continue;
        }
        let path = entry.path();
        let removed = if meta.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            Ok(()) => swept += 1,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(GitError::io("sweep a left-over")(e)),
        }
    }
    Ok(swept)
}
