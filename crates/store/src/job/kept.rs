//! Failed jobs whose files runners keep, and attempts that go on from there.

use kernel::{JobId, Result, RunId, RunnerId, Timestamp};

use crate::db::{Db, Q, Tx};
use crate::{Row, args, sql};

/// A failed job whose files a runner keeps.
#[derive(Clone, Copy, Debug)]
pub struct KeptRow {
    /// The job.
    pub job: JobId,
    /// Who keeps its files.
    pub runner: RunnerId,
    /// Row of the step that failed.
    pub step: i64,
    /// When they were put aside.
    pub created_at: Timestamp,
}

impl KeptRow {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self { job: row.get("job_id")?, runner: row.get("runner_id")?, step: row.get("step")?, created_at: row.get("created_at")? })
    }
}

/// Notes who keeps the files of a job.
///
/// # Errors
/// The database's.
pub async fn job_kept_put(tx: &mut Tx, k: &KeptRow) -> Result<()> {
    let sql = sql!(
        "INSERT INTO job_kept (job_id, runner_id, step, created_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (job_id) DO UPDATE SET runner_id = excluded.runner_id, step = excluded.step, created_at = excluded.created_at"
    );
    tx.exec(sql, args![k.job, k.runner, k.step, k.created_at]).await.map(|_| ())
}

/// Who keeps the files of a job.
///
/// # Errors
/// The database's.
pub async fn job_kept_get(q: impl Into<Q<'_>>, job: JobId) -> Result<Option<KeptRow>> {
    let row = q.into().opt(sql!("SELECT * FROM job_kept WHERE job_id = $1"), args![job]).await?;
    row.as_ref().map(KeptRow::from_row).transpose()
}

/// Forgets it; false when nobody kept them.
///
/// # Errors
/// The database's.
pub async fn job_kept_delete(tx: &mut Tx, job: JobId) -> Result<bool> {
    Ok(tx.exec(sql!("DELETE FROM job_kept WHERE job_id = $1"), args![job]).await? == 1)
}

/// What a runner keeps.
///
/// # Errors
/// The database's.
pub async fn job_kept_by(db: &Db, runner: RunnerId) -> Result<Vec<KeptRow>> {
    let rows = db.all(sql!("SELECT * FROM job_kept WHERE runner_id = $1 ORDER BY job_id"), args![runner]).await?;
    rows.iter().map(KeptRow::from_row).collect()
}

/// What is kept of the current attempts of a run.
///
/// # Errors
/// The database's.
pub async fn job_kept_of_run(db: &Db, run: RunId) -> Result<Vec<KeptRow>> {
    let sql = sql!("SELECT k.* FROM job_kept k JOIN pipeline_job j ON j.id = k.job_id WHERE j.run_id = $1 AND j.superseded = $2");
    db.all(sql, args![run, false]).await?.iter().map(KeptRow::from_row).collect()
}

/// Forgets what is longer ago than anything is kept.
///
/// # Errors
/// The database's.
pub async fn job_kept_prune(db: &Db, before: Timestamp) -> Result<()> {
    db.exec(sql!("DELETE FROM job_kept WHERE created_at < $1"), args![before]).await.map(|_| ())
}

/// Notes that an attempt goes on from a step of another.
///
/// # Errors
/// The database's.
pub async fn job_resume_put(tx: &mut Tx, job: JobId, from: JobId, step: i64) -> Result<()> {
    let sql = sql!("INSERT INTO job_resumed (job_id, from_job_id, step) VALUES ($1, $2, $3)");
    tx.exec(sql, args![job, from, step]).await.map(|_| ())
}

/// The attempt and the step that an attempt goes on from.
///
/// # Errors
/// The database's.
pub async fn job_resume_get(db: &Db, job: JobId) -> Result<Option<(JobId, i64)>> {
    let row = db.opt(sql!("SELECT from_job_id, step FROM job_resumed WHERE job_id = $1"), args![job]).await?;
    row.map(|r| Ok((r.get("from_job_id")?, r.get("step")?))).transpose()
}
