//! The files of the default branch (path, size, language, content, the commit that last changed them), and the packages
//! that manifests and lock files among them name.
//!
//! Invariant: at the commit that progress calls done, the tables say what that commit's tree says.

pub(crate) mod routes;

use std::collections::{HashMap, HashSet};

use git::read::DiffLimits;
use git::{GitError, Oid, Reader};
use kernel::{Context, Permission, ProjectId, Result, Timestamp};
use store::dependency::{DependencyRow, ManifestRow, dependency_all, dependency_delete, dependency_replace, manifest_list};
use store::file::{FileRow, file_delete, file_list, file_paths, file_put};
use store::progress::{ProgressRow, progress_hold, progress_set};
use web_kit::App;

use crate::follow::{self, Consumer, FileChange, Now, Way, in_database};

/// The name in the progress table.
pub(crate) const CONSUMER: &str = "inventory";

/// Commits looked through for the one that last changed a file.
const COMMITS: usize = 2000;

/// Files of one commit that are looked at for that.
const COMMIT_FILES: DiffLimits = DiffLimits { files: 20_000, ..DiffLimits::PUSH };

/// A file without an extension is read for its `#!` line up to this size.
const SCRIPT: u64 = 64 * 1024;

/// Dependencies read for one list.
const DEPENDENCIES: i64 = 100_000;

/// Brings the inventory to the head.
pub(crate) async fn update(app: &App, project: ProjectId) -> Result<()> {
    follow::follow(app, project, &mut Inventory::default()).await
}

/// Path to the commit that last changed it and when; for paths that none of the looked-at commits changed, the target
/// when all were looked at, else nothing.
#[derive(Default)]
struct LastCommits {
    by_path: HashMap<String, (Oid, Timestamp)>,
    otherwise: Option<Oid>,
    time: Timestamp,
}

#[derive(Default)]
struct Inventory {
    last: LastCommits,
}

/// A manifest and what it names.
type Manifest = (ManifestRow, Vec<DependencyRow>);

impl Consumer for Inventory {
    async fn load(&self, app: &App, project: ProjectId) -> Result<ProgressRow> {
        in_database::load(app, project, CONSUMER).await
    }

    async fn begin(&mut self, app: &App, way: &Way) -> Result<()> {
        let (from, to) = (way.from, way.to);
        self.last = way.repository.read(move |reader| last_commits(reader, from, to)).await?;
        in_database::begin(app, way, CONSUMER).await
    }

    async fn batch(&mut self, app: &App, way: &Way, changes: &[FileChange]) -> Result<()> {
        let there: Vec<(String, Now)> = changes.iter().filter_map(|c| c.now.clone().map(|n| (c.path.clone(), n))).collect();
        let read = there.clone();
        let (scripts, manifests) = way.repository.read(move |reader| read_some(reader, &read)).await?;
        let rows: Vec<FileRow> = there.into_iter().map(|(path, now)| self.row(path, &now, &scripts)).collect();
        let gone: Vec<&str> = changes.iter().filter(|c| c.now.is_none()).map(|c| c.path.as_str()).collect();
        let no_manifest: Vec<&str> = changes.iter().map(|c| c.path.as_str()).filter(|p| manifests::ecosystem_of(p).is_some()).collect();
        let mut tx = app.db().begin_soft().await?;
        progress_hold(&mut tx, way.project, CONSUMER, &way.target).await?;
        file_put(&mut tx, way.project, &rows).await?;
        file_delete(&mut tx, way.project, &gone).await?;
        dependency_delete(&mut tx, way.project, &no_manifest).await?;
        for (manifest, named) in &manifests {
            dependency_replace(&mut tx, way.project, manifest, named).await?;
        }
        tx.commit().await
    }

    async fn sweep(&mut self, app: &App, way: &Way, kept: &HashSet<&str>) -> Result<()> {
        let mut after = String::new();
        loop {
            let paths = file_paths(app.db(), way.project, &after, 500).await?;
            let Some(last) = paths.last().cloned() else { return Ok(()) };
            let gone: Vec<&str> = paths.iter().map(String::as_str).filter(|p| !kept.contains(p)).collect();
            if !gone.is_empty() {
                let mut tx = app.db().begin_soft().await?;
                progress_hold(&mut tx, way.project, CONSUMER, &way.target).await?;
                file_delete(&mut tx, way.project, &gone).await?;
                dependency_delete(&mut tx, way.project, &gone).await?;
                tx.commit().await?;
            }
            after = last;
        }
    }

    async fn finish(&mut self, app: &App, way: &Way) -> Result<()> {
        in_database::finish(app, way, CONSUMER).await
    }

    async fn clear(&mut self, app: &App, project: ProjectId) -> Result<()> {
        loop {
            let paths = file_paths(app.db(), project, "", 500).await?;
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            let mut tx = app.db().begin_soft().await?;
            file_delete(&mut tx, project, &paths).await?;
            dependency_delete(&mut tx, project, &paths).await?;
            if paths.is_empty() {
                progress_set(&mut tx, project, CONSUMER, None).await?;
            }
            tx.commit().await?;
            if paths.is_empty() {
                return Ok(());
            }
        }
    }
}

impl Inventory {
    fn row(&self, path: String, now: &Now, scripts: &HashMap<String, &'static str>) -> FileRow {
        let language = (!now.symlink)
            .then(|| syntax::language::by_path(&path).map(|l| l.name).or_else(|| scripts.get(&path).copied()))
            .flatten()
            .map(str::to_owned);
        let (last_commit, updated_at) = match self.last.by_path.get(&path) {
            Some((commit, time)) => (Some(*commit), *time),
            None => (self.last.otherwise, self.last.time),
        };
        FileRow {
            path,
            oid: now.oid.to_hex(),
            kind: if now.symlink { "symlink" } else { "blob" }.to_owned(),
            size: i64::try_from(now.size).unwrap_or(i64::MAX),
            language,
            last_commit: last_commit.map(Oid::to_hex),
            updated_at,
        }
    }
}

/// Reads what the inventory needs of contents: the first line of scripts, and the manifests.
fn read_some(reader: &Reader, files: &[(String, Now)]) -> Result<(HashMap<String, &'static str>, Vec<Manifest>), GitError> {
    let mut scripts = HashMap::new();
    let mut found = Vec::new();
    for (path, now) in files.iter().filter(|(_, n)| !n.symlink) {
        let name = path.rsplit('/').next().unwrap_or(path);
        if now.size <= SCRIPT && !name.contains('.') && syntax::language::by_path(path).is_none() {
            let blob = reader.blob(now.oid, SCRIPT)?;
            if let Some(language) = blob.data.as_deref().and_then(|data| syntax::detect(path, data)) {
                scripts.insert(path.clone(), language.name);
            }
        }
        if let Some(ecosystem) = manifests::ecosystem_of(path) {
            let blob = reader.blob(now.oid, manifests::SIZE_LIMIT as u64)?;
            let parsed = match blob.data.as_deref() {
                Some(data) => manifests::parse(path, data).unwrap_or_else(|| Ok(Vec::new())).map_err(|e| e.to_string()),
                None => Err(format!("larger than {} bytes", manifests::SIZE_LIMIT)),
            };
            found.push(manifest(path, now, ecosystem, parsed));
        }
    }
    Ok((scripts, found))
}

fn manifest(path: &str, now: &Now, ecosystem: manifests::Ecosystem, parsed: Result<Vec<manifests::Dependency>, String>) -> Manifest {
    let (named, error) = match parsed {
        Ok(named) => (named, None),
        Err(error) => (Vec::new(), Some(error.replace('\0', "\u{fffd}"))),
    };
    let row = ManifestRow {
        path: path.to_owned(),
        oid: now.oid.to_hex(),
        ecosystem: ecosystem.as_str().to_owned(),
        packages: i64::try_from(named.len()).unwrap_or(i64::MAX),
        error,
    };
    let rows = named.into_iter().map(|d| DependencyRow {
        ecosystem: d.ecosystem.as_str().to_owned(),
        name: d.name,
        version: d.version,
        locked: d.locked,
        direct: d.direct,
        scope: d.scope.map(|s| s.as_str().to_owned()),
    });
    (row, rows.collect())
}

/// Looks through the commits on the way, newest first. A merge counts for nothing but what none of its parts explains.
fn last_commits(reader: &Reader, from: Option<Oid>, to: Oid) -> Result<LastCommits, GitError> {
    let time = reader.commit(to)?.committer.time;
    let (commits, complete) = reader.commits_between(from, to, COMMITS)?;
    let mut last = LastCommits { by_path: HashMap::new(), otherwise: complete.then_some(to), time };
    for commit in commits.iter().filter(|c| c.parents.len() < 2) {
        let parent = commit.parents.first().copied();
        let changes = match reader.changes(parent, commit.oid, COMMIT_FILES) {
            Ok(changes) => changes,
            // a shallow import ends somewhere
            Err(GitError::NotFound(_)) => {
                last.otherwise = None;
                continue;
            }
            Err(e) => return Err(e),
        };
        for change in changes.items {
            last.by_path.entry(change.path).or_insert((commit.oid, commit.committer.time));
        }
    }
    Ok(last)
}

/// One page of the files whose path starts with `prefix`.
pub(crate) async fn inventory_list(app: &App, ctx: &Context, project: &str, prefix: &str, after: &str, limit: i64) -> Result<Vec<FileRow>> {
    let project = app.project(ctx, project, Permission::RepositoryRead).await?;
    file_list(app.db(), project.id(), prefix, after, limit).await
}

/// All packages the project depends on: what lock files chose, else what manifests ask for.
pub(crate) async fn dependency_list(app: &App, ctx: &Context, project: &str) -> Result<Vec<(String, manifests::Dependency)>> {
    let project = app.project(ctx, project, Permission::RepositoryRead).await?;
    let rows = dependency_all(app.db(), project.id(), DEPENDENCIES).await?;
    Ok(manifests::merge(rows.into_iter().filter_map(|(path, row)| {
        let ecosystem = manifests::Ecosystem::parse(&row.ecosystem)?;
        let scope = row.scope.as_deref().and_then(manifests::Scope::parse);
        let named =
            manifests::Dependency { ecosystem, name: row.name, version: row.version, locked: row.locked, direct: row.direct, scope };
        Some((path, named))
    })))
}

/// One page of the project's manifests and lock files.
pub(crate) async fn manifests_list(app: &App, ctx: &Context, project: &str, after: &str, limit: i64) -> Result<Vec<ManifestRow>> {
    let project = app.project(ctx, project, Permission::RepositoryRead).await?;
    manifest_list(app.db(), project.id(), after, limit).await
}

#[cfg(test)]
pub(crate) fn consumer() -> impl Consumer {
    Inventory::default()
}
