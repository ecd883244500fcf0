//! What a project's manifests and lock files name, file by file.

use kernel::{ProjectId, Result};

use crate::db::{Db, Tx};
use crate::file::{marks, rows_of_marks};
use crate::{Args, Row, args, sql};

/// One manifest or lock file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestRow {
    /// Where.
    pub path: String,
    /// Its content.
    pub oid: String,
    /// Of which packages.
    pub ecosystem: String,
    /// How many it names.
    pub packages: i64,
    /// Why it could not be read.
    pub error: Option<String>,
}

/// One package a file names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DependencyRow {
    /// Of which packages.
    pub ecosystem: String,
    /// Its name.
    pub name: String,
    /// Exact when locked, else as asked for.
    pub version: String,
    /// Chosen, not asked for.
    pub locked: bool,
    /// Asked for by the project itself, where the file tells.
    pub direct: Option<bool>,
    /// What for, where the file tells.
    pub scope: Option<String>,
}

impl DependencyRow {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            ecosystem: row.get("ecosystem")?,
            name: row.get("name")?,
            version: row.get("version")?,
            locked: row.get("locked")?,
            direct: row.get("direct")?,
            scope: row.get("scope")?,
        })
    }
}

/// Replaces what one file names.
///
/// # Errors
/// The database's.
pub async fn dependency_replace(tx: &mut Tx, project: ProjectId, file: &ManifestRow, named: &[DependencyRow]) -> Result<()> {
    dependency_delete(tx, project, &[&file.path]).await?;
    tx.exec(
        sql!("INSERT INTO source_manifest (project_id, path, oid, ecosystem, packages, error) VALUES ($1, $2, $3, $4, $5, $6)"),
        args![project, file.path.as_str(), file.oid.as_str(), file.ecosystem.as_str(), file.packages, file.error.as_deref()],
    )
    .await?;
    for (at, chunk) in named.chunks(400).enumerate() {
        let mut binds = Args::new();
        for (n, d) in chunk.iter().enumerate() {
            binds.extend(args![
                project,
                file.path.as_str(),
                at * 400 + n,
                d.ecosystem.as_str(),
                d.name.as_str(),
                d.version.as_str(),
                d.locked,
                d.direct,
                d.scope.as_deref()
            ]);
        }
        let sql = format!(
            "INSERT INTO source_dependency (project_id, path, seq, ecosystem, name, version, locked, direct, scope) VALUES {}",
            rows_of_marks(chunk.len(), 9)
        );
        tx.exec(&sql, binds).await?;
    }
    Ok(())
}

/// Takes out what some files named. At most a few hundred at once.
///
/// # Errors
/// The database's.
pub async fn dependency_delete(tx: &mut Tx, project: ProjectId, paths: &[&str]) -> Result<()> {
    if paths.is_empty() {
        return Ok(());
    }
    let mut binds = args![project];
    let list = marks(&mut binds, paths.iter().copied());
    tx.exec(&format!("DELETE FROM source_dependency WHERE project_id = $1 AND path IN ({list})"), binds.clone()).await?;
    tx.exec(&format!("DELETE FROM source_manifest WHERE project_id = $1 AND path IN ({list})"), binds).await.map(|_| ())
}

/// The project's manifests and lock files, by path.
///
/// # Errors
/// The database's.
pub async fn manifest_list(db: &Db, project: ProjectId, after: &str, limit: i64) -> Result<Vec<ManifestRow>> {
    let rows = db
        .all(sql!("SELECT * FROM source_manifest WHERE project_id = $1 AND path > $2 ORDER BY path LIMIT $3"), args![project, after, limit])
        .await?;
    rows.iter()
        .map(|r| {
            Ok(ManifestRow {
                path: r.get("path")?,
                oid: r.get("oid")?,
                ecosystem: r.get("ecosystem")?,
                packages: r.get("packages")?,
                error: r.get("error")?,
            })
        })
        .collect()
}

/// How many manifests and lock files there are, and how many packages they name together.
///
/// # Errors
/// The database's.
pub async fn manifest_count(db: &Db, project: ProjectId) -> Result<(i64, i64)> {
    let row = db
        .one(
            sql!("SELECT COUNT(*) AS files, CAST(COALESCE(SUM(packages), 0) AS BIGINT) AS packages FROM source_manifest WHERE project_id = $1"),
            args![project],
        )
        .await?;
    Ok((row.get("files")?, row.get("packages")?))
}

/// Everything the project's files name, with the file, at most `limit` rows.
///
/// # Errors
/// The database's.
pub async fn dependency_all(db: &Db, project: ProjectId, limit: i64) -> Result<Vec<(String, DependencyRow)>> {
    let rows =
        db.all(sql!("SELECT * FROM source_dependency WHERE project_id = $1 ORDER BY path, seq LIMIT $2"), args![project, limit]).await?;
    rows.iter().map(|r| Ok((r.get("path")?, DependencyRow::from_row(r)?))).collect()
}
