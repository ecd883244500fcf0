//! Artifacts of runs, and caches between runs: names for blobs of a project.

use kernel::{ArtifactId, JobId, ProjectId, Result, RunId, Timestamp};
use uuid::Uuid;

use crate::db::{Db, Q, Tx};
use crate::{Row, args, sql};

/// An artifact.
#[derive(Clone, Debug)]
pub struct ArtifactRow {
    /// Its id.
    pub id: ArtifactId,
    /// Its run.
    pub run: RunId,
    /// The job that made it.
    pub job: JobId,
    /// Whose blob it is.
    pub project: ProjectId,
    /// Unique in the run.
    pub name: String,
    /// `sha256:…` of the zip.
    pub digest: String,
    /// Bytes of the zip.
    pub size: i64,
    /// Files in the zip.
    pub files: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// Removed then.
    pub expires_at: Timestamp,
    /// What it is, when it is no zip but one file as it was.
    pub content_type: Option<String>,
}

impl ArtifactRow {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            run: row.get("run_id")?,
            job: row.get("job_id")?,
            project: row.get("project_id")?,
            name: row.get("name")?,
            digest: row.get("digest")?,
            size: row.get("size")?,
            files: row.get("files")?,
            created_at: row.get("created_at")?,
            expires_at: row.get("expires_at")?,
            content_type: row.get("content_type")?,
        })
    }
}

/// Adds an artifact, or replaces the one of the same name in the run.
///
/// # Errors
/// The database's.
pub async fn artifact_set(tx: &mut Tx, a: &ArtifactRow) -> Result<()> {
    tx.exec(
        sql!(
            "INSERT INTO artifact (id, run_id, job_id, project_id, name, digest, size, files, created_at, expires_at, content_type)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
             ON CONFLICT (run_id, name) DO UPDATE SET id = excluded.id, job_id = excluded.job_id, digest = excluded.digest,
                size = excluded.size, files = excluded.files, created_at = excluded.created_at, expires_at = excluded.expires_at,
                content_type = excluded.content_type"
        ),
        args![
            a.id,
            a.run,
            a.job,
            a.project,
            a.name.as_str(),
            a.digest.as_str(),
            a.size,
            a.files,
            a.created_at,
            a.expires_at,
            a.content_type.clone()
        ],
    )
    .await
    .map(|_| ())
}

/// The artifacts of a run after a name, by name; not what the service keeps for itself under names that begin with a dot.
///
/// # Errors
/// The database's.
pub async fn artifact_list(db: &Db, run: RunId, after: &str, limit: i64) -> Result<Vec<ArtifactRow>> {
    let rows = db
        .all(
            sql!("SELECT * FROM artifact WHERE run_id = $1 AND name > $2 AND name NOT LIKE '.%' ORDER BY name LIMIT $3"),
            args![run, after, limit],
        )
        .await?;
    rows.iter().map(ArtifactRow::from_row).collect()
}

/// The artifacts of a run that the jobs which count made, by name: not those of an attempt that another took the place of.
///
/// # Errors
/// The database's.
pub async fn artifact_list_current(q: impl Into<Q<'_>>, run: RunId, limit: i64) -> Result<Vec<ArtifactRow>> {
    let rows = q
        .into()
        .all(
            sql!(
                "SELECT a.* FROM artifact a JOIN pipeline_job j ON j.id = a.job_id
                 WHERE a.run_id = $1 AND j.superseded = $2 AND a.name NOT LIKE '.%' ORDER BY a.name LIMIT $3"
            ),
            args![run, false, limit],
        )
        .await?;
    rows.iter().map(ArtifactRow::from_row).collect()
}

/// What the service keeps for itself with the jobs of a run that count, under names that begin with a dot and this text.
///
/// # Errors
/// The database's.
pub async fn artifact_own(db: &Db, run: RunId, name: &str, limit: i64) -> Result<Vec<ArtifactRow>> {
    let rows = db
        .all(
            sql!(
                "SELECT a.* FROM artifact a JOIN pipeline_job j ON j.id = a.job_id
                 WHERE a.run_id = $1 AND j.superseded = $2 AND a.name LIKE '.' || $3 || '%' ORDER BY a.name LIMIT $4"
            ),
            args![run, false, name, limit],
        )
        .await?;
    rows.iter().map(ArtifactRow::from_row).collect()
}

/// An artifact by id.
///
/// # Errors
/// The database's.
pub async fn artifact_get(q: impl Into<Q<'_>>, id: ArtifactId) -> Result<Option<ArtifactRow>> {
    let row = q.into().opt(sql!("SELECT * FROM artifact WHERE id = $1"), args![id]).await?;
    row.as_ref().map(ArtifactRow::from_row).transpose()
}

/// An artifact by its name in a run.
///
/// # Errors
/// The database's.
pub async fn artifact_by_name(db: &Db, run: RunId, name: &str) -> Result<Option<ArtifactRow>> {
    let row = db.opt(sql!("SELECT * FROM artifact WHERE run_id = $1 AND name = $2"), args![run, name]).await?;
    row.as_ref().map(ArtifactRow::from_row).transpose()
}

/// Removes an artifact; none when it was not there.
///
/// # Errors
/// The database's.
pub async fn artifact_delete(tx: &mut Tx, id: ArtifactId) -> Result<Option<ArtifactRow>> {
    let row = tx.opt(sql!("DELETE FROM artifact WHERE id = $1 RETURNING *"), args![id]).await?;
    row.as_ref().map(ArtifactRow::from_row).transpose()
}

/// Removes artifacts that have expired and tells which they were.
///
/// # Errors
/// The database's.
pub async fn artifact_expire(tx: &mut Tx, now: Timestamp, limit: i64) -> Result<Vec<ArtifactRow>> {
    let rows = tx
        .all(
            sql!(
                "DELETE FROM artifact WHERE id IN (SELECT id FROM artifact WHERE expires_at < $1 ORDER BY expires_at LIMIT $2) RETURNING *"
            ),
            args![now, limit],
        )
        .await?;
    rows.iter().map(ArtifactRow::from_row).collect()
}

/// Does an artifact, cache, image or upload of the project still name this blob?
///
/// # Errors
/// The database's.
pub async fn artifact_blob_used(q: impl Into<Q<'_>>, project: ProjectId, digest: &str) -> Result<bool> {
    let row = q
        .into()
        .opt(
            sql!(
                "SELECT 1 AS used FROM artifact WHERE project_id = $1 AND digest = $2
                 UNION ALL SELECT 1 AS used FROM cache_entry WHERE project_id = $1 AND digest = $2
                 UNION ALL SELECT 1 AS used FROM upload WHERE project_id = $1 AND digest = $2
                 UNION ALL SELECT 1 AS used FROM registry_link WHERE project_id = $1 AND target = $2 LIMIT 1"
            ),
            args![project, digest],
        )
        .await?;
    Ok(row.is_some())
}

/// A cache entry.
#[derive(Clone, Debug)]
pub struct CacheRow {
    /// Its id.
    pub id: Uuid,
    /// The ref whose runs wrote it.
    pub scope: String,
    /// Its key.
    pub key: String,
    /// How it was made, in the words of its client: paths, compression. Entries of another version do not fit.
    pub version: String,
    /// `sha256:…` of the archive.
    pub digest: String,
    /// Bytes of the archive.
    pub size: i64,
    /// When it was written.
    pub created_at: Timestamp,
}

impl CacheRow {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            scope: row.get("scope")?,
            key: row.get("key")?,
            version: row.get("version")?,
            digest: row.get("digest")?,
            size: row.get("size")?,
            created_at: row.get("created_at")?,
        })
    }
}

/// Adds a cache entry; false when the scope has the key already: entries never change.
///
/// # Errors
/// The database's.
pub async fn cache_create(tx: &mut Tx, project: ProjectId, entry: &CacheRow) -> Result<bool> {
    let n = tx
        .exec(
            sql!(
                "INSERT INTO cache_entry (id, project_id, scope, key, version, digest, size, created_at, used_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) ON CONFLICT (project_id, scope, key, version) DO NOTHING"
            ),
            args![
                entry.id,
                project,
                entry.scope.as_str(),
                entry.key.as_str(),
                entry.version.as_str(),
                entry.digest.as_str(),
                entry.size,
                entry.created_at
            ],
        )
        .await?;
    Ok(n == 1)
}

/// The entry of exactly this key and version in a scope.
///
/// # Errors
/// The database's.
pub async fn cache_get(db: &Db, project: ProjectId, scope: &str, key: &str, version: &str) -> Result<Option<CacheRow>> {
    let row = db
        .opt(
            sql!("SELECT * FROM cache_entry WHERE project_id = $1 AND scope = $2 AND key = $3 AND version = $4"),
            args![project, scope, key, version],
        )
        .await?;
    row.as_ref().map(CacheRow::from_row).transpose()
}

/// The newest entry of a scope whose key begins with `prefix`.
///
/// # Errors
/// The database's.
pub async fn cache_find(db: &Db, project: ProjectId, scope: &str, prefix: &str, version: &str) -> Result<Option<CacheRow>> {
    // U+10FFFF sorts behind every other character, so this is the range of the prefix
    let end = format!("{prefix}\u{10ffff}");
    let row = db
        .opt(
            sql!(
                "SELECT * FROM cache_entry WHERE project_id = $1 AND scope = $2 AND key >= $3 AND key < $4 AND SUBSTR(key, 1, CAST($5 AS INTEGER)) = $3
                     AND version = $6
                 ORDER BY created_at DESC, id DESC LIMIT 1"
            ),
            args![project, scope, prefix, end, prefix.chars().count(), version],
        )
        .await?;
    row.as_ref().map(CacheRow::from_row).transpose()
}

/// Entries of a scope whose keys begin with `prefix`, by key.
///
/// # Errors
/// The database's.
pub async fn cache_list(db: &Db, project: ProjectId, scope: &str, prefix: &str, limit: i64) -> Result<Vec<CacheRow>> {
    let end = format!("{prefix}\u{10ffff}");
    let rows = db
        .all(
            sql!(
                "SELECT * FROM cache_entry WHERE project_id = $1 AND scope = $2 AND key >= $3 AND key < $4
                     AND SUBSTR(key, 1, CAST($5 AS INTEGER)) = $3
                 ORDER BY key, version LIMIT $6"
            ),
            args![project, scope, prefix, end, prefix.chars().count(), limit],
        )
        .await?;
    rows.iter().map(CacheRow::from_row).collect()
}

/// Notes that an entry was used.
///
/// # Errors
/// The database's.
pub async fn cache_touch(db: &Db, id: Uuid, now: Timestamp) -> Result<()> {
    db.exec(sql!("UPDATE cache_entry SET used_at = $2 WHERE id = $1"), args![id, now]).await.map(|_| ())
}

/// Bytes of all entries of a project.
///
/// # Errors
/// The database's.
pub async fn cache_size(q: impl Into<Q<'_>>, project: ProjectId) -> Result<i64> {
    let row = q
        .into()
        .one(sql!("SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) AS size FROM cache_entry WHERE project_id = $1"), args![project])
        .await?;
    row.get("size")
}

/// Removes the entry of a project that was not used for longest.
///
/// # Errors
/// The database's.
pub async fn cache_evict_one(tx: &mut Tx, project: ProjectId) -> Result<Option<CacheRow>> {
    let row = tx
        .opt(
            sql!(
                "DELETE FROM cache_entry WHERE id IN (SELECT id FROM cache_entry WHERE project_id = $1 ORDER BY used_at LIMIT 1) RETURNING *"
            ),
            args![project],
        )
        .await?;
    row.as_ref().map(CacheRow::from_row).transpose()
}
