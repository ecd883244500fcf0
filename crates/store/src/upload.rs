//! Uploads of artifacts and caches that arrive in blocks, until they are finalized.

use kernel::{JobId, ProjectId, Result, Timestamp};
use uuid::Uuid;

use crate::db::{Db, Q, Tx};
use crate::{Row, args, sql};

/// An upload.
#[derive(Clone, Debug)]
pub struct UploadRow {
    /// Its id.
    pub id: Uuid,
    /// The same as a number, for clients that know nothing else; unique in the job.
    pub number: i64,
    /// Whose blob it becomes.
    pub project: ProjectId,
    /// Who uploads.
    pub job: JobId,
    /// Epoch of the lease it was begun under.
    pub epoch: i64,
    /// `artifact` or `cache`.
    pub kind: String,
    /// Name of the artifact, or key of the cache.
    pub name: String,
    /// Version of a cache.
    pub version: String,
    /// Of an artifact that is no zip.
    pub content_type: Option<String>,
    /// How long an artifact is to be kept.
    pub keep_seconds: Option<i64>,
    /// `sha256:…`, once the blocks are put together.
    pub digest: Option<String>,
    /// Its bytes then.
    pub size: Option<i64>,
    /// When it was begun.
    pub created_at: Timestamp,
}

impl UploadRow {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            number: row.get("number")?,
            project: row.get("project_id")?,
            job: row.get("job_id")?,
            epoch: row.get("epoch")?,
            kind: row.get("kind")?,
            name: row.get("name")?,
            version: row.get("version")?,
            content_type: row.get("content_type")?,
            keep_seconds: row.get("keep_seconds")?,
            digest: row.get("digest")?,
            size: row.get("size")?,
            created_at: row.get("created_at")?,
        })
    }
}

/// A block of an upload.
#[derive(Clone, Debug)]
pub struct BlockRow {
    /// What the client calls it.
    pub block: String,
    /// `sha256:…`.
    pub digest: String,
    /// Its bytes.
    pub size: i64,
}

/// Begins an upload.
///
/// # Errors
/// `conflict` when the job has one of the same name, the database's.
pub async fn upload_create(tx: &mut Tx, u: &UploadRow) -> Result<()> {
    tx.exec(
        sql!(
            "INSERT INTO upload (id, number, project_id, job_id, epoch, kind, name, version, content_type, keep_seconds, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
        ),
        args![
            u.id,
            u.number,
            u.project,
            u.job,
            u.epoch,
            u.kind.as_str(),
            u.name.as_str(),
            u.version.as_str(),
            u.content_type.clone(),
            u.keep_seconds,
            u.created_at
        ],
    )
    .await
    .map(|_| ())
}

/// An upload by id.
///
/// # Errors
/// The database's.
pub async fn upload_get(q: impl Into<Q<'_>>, id: Uuid) -> Result<Option<UploadRow>> {
    let row = q.into().opt(sql!("SELECT * FROM upload WHERE id = $1"), args![id]).await?;
    row.as_ref().map(UploadRow::from_row).transpose()
}

/// An upload of a job by its number.
///
/// # Errors
/// The database's.
pub async fn upload_by_number(db: &Db, job: JobId, number: i64) -> Result<Option<UploadRow>> {
    let row = db.opt(sql!("SELECT * FROM upload WHERE job_id = $1 AND number = $2"), args![job, number]).await?;
    row.as_ref().map(UploadRow::from_row).transpose()
}

/// An upload of a job by what it is to become.
///
/// # Errors
/// The database's.
pub async fn upload_find(q: impl Into<Q<'_>>, job: JobId, kind: &str, name: &str, version: &str) -> Result<Option<UploadRow>> {
    let row = q
        .into()
        .opt(sql!("SELECT * FROM upload WHERE job_id = $1 AND kind = $2 AND name = $3 AND version = $4"), args![job, kind, name, version])
        .await?;
    row.as_ref().map(UploadRow::from_row).transpose()
}

/// Adds or replaces a block.
///
/// # Errors
/// The database's.
pub async fn upload_block_set(db: &Db, id: Uuid, b: &BlockRow) -> Result<()> {
    db.exec(
        sql!(
            "INSERT INTO upload_block (upload_id, block, digest, size) VALUES ($1, $2, $3, $4)
             ON CONFLICT (upload_id, block) DO UPDATE SET digest = excluded.digest, size = excluded.size"
        ),
        args![id, b.block.as_str(), b.digest.as_str(), b.size],
    )
    .await
    .map(|_| ())
}

/// How many blocks an upload has, and their bytes.
///
/// # Errors
/// The database's.
pub async fn upload_block_sum(db: &Db, id: Uuid) -> Result<(i64, i64)> {
    let row = db
        .one(sql!("SELECT COUNT(*) AS n, CAST(COALESCE(SUM(size), 0) AS BIGINT) AS size FROM upload_block WHERE upload_id = $1"), args![id])
        .await?;
    Ok((row.get("n")?, row.get("size")?))
}

/// The blocks of an upload by name.
///
/// # Errors
/// The database's.
pub async fn upload_block_list(db: &Db, id: Uuid) -> Result<Vec<BlockRow>> {
    let rows = db.all(sql!("SELECT block, digest, size FROM upload_block WHERE upload_id = $1 ORDER BY block"), args![id]).await?;
    rows.iter().map(|r| Ok(BlockRow { block: r.get("block")?, digest: r.get("digest")?, size: r.get("size")? })).collect()
}

/// Notes the blob that the blocks became; the blocks are forgotten. False when the upload is gone.
///
/// # Errors
/// The database's.
pub async fn upload_stored(tx: &mut Tx, id: Uuid, digest: &str, size: i64) -> Result<bool> {
    let n = tx.exec(sql!("UPDATE upload SET digest = $2, size = $3 WHERE id = $1"), args![id, digest, size]).await?;
    tx.exec(sql!("DELETE FROM upload_block WHERE upload_id = $1"), args![id]).await?;
    Ok(n == 1)
}

/// Removes an upload and its blocks.
///
/// # Errors
/// The database's.
pub async fn upload_delete(tx: &mut Tx, id: Uuid) -> Result<()> {
    tx.exec(sql!("DELETE FROM upload_block WHERE upload_id = $1"), args![id]).await?;
    tx.exec(sql!("DELETE FROM upload WHERE id = $1"), args![id]).await.map(|_| ())
}

/// Uploads that were begun before `before` and are not at their end.
///
/// # Errors
/// The database's.
pub async fn upload_stale(db: &Db, before: Timestamp, limit: i64) -> Result<Vec<UploadRow>> {
    let rows = db.all(sql!("SELECT * FROM upload WHERE created_at < $1 ORDER BY created_at LIMIT $2"), args![before, limit]).await?;
    rows.iter().map(UploadRow::from_row).collect()
}
