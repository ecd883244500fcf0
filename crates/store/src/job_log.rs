//! Logs of jobs: segments addressed by byte offset while a job runs, one blob afterwards.

use kernel::{JobId, Result};

use crate::db::{Db, Tx};
use crate::{args, sql};

/// Moves the end of a log from `at` to `end` and keeps `data` for that part (less than that where the log is over its
/// limit). False when the log is not `at` bytes long, or the lease is not held.
///
/// # Errors
/// The database's.
pub async fn log_append(tx: &mut Tx, job: JobId, epoch: i64, at: i64, end: i64, data: &[u8]) -> Result<bool> {
    let n = tx
        .exec(
            sql!("UPDATE pipeline_job SET log_length = $4 WHERE id = $1 AND epoch = $2 AND log_length = $3 AND state = 'running'"),
            args![job, epoch, at, end],
        )
        .await?;
    if n == 0 {
        return Ok(false);
    }
    if !data.is_empty() {
        tx.exec(sql!("INSERT INTO job_log (job_id, start_at, end_at, data) VALUES ($1, $2, $3, $4)"), args![job, at, end, data]).await?;
    }
    tx.wake(format!("log:{job}"));
    Ok(true)
}

/// The segment that holds the byte at `offset`: where it starts, and its bytes.
///
/// # Errors
/// The database's.
pub async fn log_segment(db: &Db, job: JobId, offset: i64) -> Result<Option<(i64, Vec<u8>)>> {
    let row = db
        .opt(
            sql!("SELECT start_at, data FROM job_log WHERE job_id = $1 AND start_at <= $2 AND end_at > $2 ORDER BY start_at DESC LIMIT 1"),
            args![job, offset],
        )
        .await?;
    row.map(|r| Ok((r.get("start_at")?, r.get("data")?))).transpose()
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
