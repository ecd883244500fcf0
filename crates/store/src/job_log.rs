//! Logs of jobs: segments addressed by byte offset while a job runs, one blob afterwards.

use kernel::{JobId, Result};

use crate::db::{Db, Tx};
use crate::{args, sql};

/// A part of a log as it is kept.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'d> {
    /// Its bytes, or what they were packed to.
    pub data: &'d [u8],
    /// Whether they were.
    pub packed: bool,
}

/// Moves the end of a log from `at` to `end` and keeps the segment for that part (less than that where the log is over its
/// limit). False when the log is not `at` bytes long, or the lease is not held.
///
/// # Errors
/// The database's.
pub async fn log_append(tx: &mut Tx, job: JobId, epoch: i64, at: i64, end: i64, segment: Segment<'_>) -> Result<bool> {
    let n = tx
        .exec(
            sql!("UPDATE pipeline_job SET log_length = $4 WHERE id = $1 AND epoch = $2 AND log_length = $3 AND state = 'running'"),
            args![job, epoch, at, end],
        )
        .await?;
    if n == 0 {
        return Ok(false);
    }
    let Segment { data, packed } = segment;
    if !data.is_empty() {
        let sql = sql!("INSERT INTO job_log (job_id, start_at, end_at, data, packed) VALUES ($1, $2, $3, $4, $5)");
        tx.exec(sql, args![job, at, end, data, packed]).await?;
    }
    tx.wake(format!("log:{job}"));
    Ok(true)
}

/// The segment that holds the byte at `offset`: where it starts, its bytes as they are kept, and whether they are packed.
///
/// # Errors
/// The database's.
pub async fn log_segment(db: &Db, job: JobId, offset: i64) -> Result<Option<(i64, Vec<u8>, bool)>> {
    let row = db
        .opt(
            sql!("SELECT start_at, data, packed FROM job_log WHERE job_id = $1 AND start_at <= $2 AND end_at > $2 ORDER BY start_at DESC LIMIT 1"),
            args![job, offset],
        )
        .await?;
    row.map(|r| Ok((r.get("start_at")?, r.get("data")?, r.get("packed")?))).transpose()
}

/// Replaces the segments of an ended job by the blob that holds the same bytes.
///
/// # Errors
/// The database's.
pub async fn log_seal(tx: &mut Tx, job: JobId, digest: &str) -> Result<()> {
    tx.exec(sql!("UPDATE pipeline_job SET log_digest = $2 WHERE id = $1 AND state = 'completed'"), args![job, digest]).await?;
    tx.exec(sql!("DELETE FROM job_log WHERE job_id = $1"), args![job]).await?;
    tx.wake(format!("log:{job}"));
    Ok(())
}
