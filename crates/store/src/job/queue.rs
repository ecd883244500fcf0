//! The queue of jobs: its lanes, whose turn it is, what people see of it.

use kernel::{ProjectId, Result, RunId, RunnerId, Timestamp};

use super::JobRow;
use crate::db::{Db, Q, Tx};
use crate::{args, sql};

/// The label sets that jobs in the queue ask for, each found by one step in the index of the queue.
///
/// # Errors
/// The database's.
pub async fn job_queue_labels(q: impl Into<Q<'_>>) -> Result<Vec<String>> {
    let rows = q
        .into()
        .all(
            sql!(
                "WITH RECURSIVE lane(label_key) AS (
                    SELECT MIN(label_key) FROM pipeline_job WHERE state IN ('queued', 'unschedulable')
                    UNION ALL
                    SELECT (SELECT MIN(j.label_key) FROM pipeline_job j WHERE j.state IN ('queued', 'unschedulable') AND j.label_key > lane.label_key)
                    FROM lane WHERE lane.label_key IS NOT NULL)
                 SELECT label_key FROM lane WHERE label_key IS NOT NULL"
            ),
            vec![],
        )
        .await?;
    rows.iter().map(|r| r.get("label_key")).collect()
}

/// Jobs in the queue, in the order of their turns.
///
/// # Errors
/// The database's.
pub async fn job_queue(db: &Db, limit: i64) -> Result<Vec<JobRow>> {
    let sql = sql!("SELECT * FROM pipeline_job WHERE state IN ('queued', 'unschedulable') ORDER BY turn, id LIMIT $1");
    db.all(sql, args![limit]).await?.iter().map(JobRow::from_row).collect()
}

/// Jobs of a project that are in the queue, in the order of their turns, with the place of each among all that ask for the
/// same labels.
///
/// # Errors
/// The database's.
pub async fn job_queue_of(db: &Db, project: ProjectId, limit: i64) -> Result<Vec<(JobRow, i64)>> {
    let sql = sql!(
        "WITH place AS (SELECT id, project_id, ROW_NUMBER() OVER (PARTITION BY label_key ORDER BY turn, id) AS place
            FROM pipeline_job WHERE state IN ('queued', 'unschedulable'))
         SELECT j.*, place.place FROM place JOIN pipeline_job j ON j.id = place.id WHERE place.project_id = $1 ORDER BY j.turn, j.id LIMIT $2"
    );
    let rows = db.all(sql, args![project, limit]).await?;
    rows.iter().map(|row| Ok((JobRow::from_row(row)?, row.get("place")?))).collect()
}

/// Jobs of a project that wait for something else than a runner, and say for what.
///
/// # Errors
/// The database's.
pub async fn job_held_back(db: &Db, project: ProjectId, limit: i64) -> Result<Vec<JobRow>> {
    let sql = sql!(
        "SELECT j.* FROM run r JOIN pipeline_job j ON j.run_id = r.id AND j.superseded = $2
         WHERE r.project_id = $1 AND r.state IN ('queued', 'running') AND j.state = 'waiting' AND j.reason IS NOT NULL ORDER BY j.id LIMIT $3"
    );
    db.all(sql, args![project, false, limit]).await?.iter().map(JobRow::from_row).collect()
}

/// Jobs that run, the oldest first.
///
/// # Errors
/// The database's.
pub async fn job_running(db: &Db, limit: i64) -> Result<Vec<JobRow>> {
    let sql = sql!("SELECT * FROM pipeline_job WHERE state = 'running' ORDER BY lease_until, id LIMIT $1");
    db.all(sql, args![limit]).await?.iter().map(JobRow::from_row).collect()
}

/// Leases queued jobs of these label sets to a runner: each time the next one of the namespace with the fewest running jobs.
/// A namespace gives way for ten minutes of waiting per job that it has running, so nothing waits for ever.
///
/// # Errors
/// The database's.
pub async fn job_claim(
    tx: &mut Tx,
    label_keys: &[String],
    runner: RunnerId,
    now: Timestamp,
    until: Timestamp,
    limit: i64,
) -> Result<Vec<JobRow>> {
    if label_keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut jobs: Vec<JobRow> = Vec::new();
    loop {
        // again after each: it may have changed whose turn it is
        let left = limit - i64::try_from(jobs.len()).unwrap_or(limit);
        let rows = if left > 0 { crate::dialect::job_claim(tx, label_keys, runner, now, until, left).await? } else { Vec::new() };
        if rows.is_empty() {
            break;
        }
        let mut next = rows.iter().map(JobRow::from_row).collect::<Result<Vec<_>>>()?;
        next.sort_by_key(|j| (j.turn, j.id));
        jobs.extend(next);
    }
    Ok(jobs)
}

/// Marks the queued jobs of a label set as unschedulable, or as queued again; the runs it touched.
///
/// # Errors
/// The database's.
pub async fn job_schedulable_set(tx: &mut Tx, label_key: &str, reason: Option<&str>) -> Result<Vec<RunId>> {
    let (from, to) = if reason.is_some() { ("queued", "unschedulable") } else { ("unschedulable", "queued") };
    let rows = tx
        .all(
            sql!(
                "UPDATE pipeline_job SET state = $3, reason = $4, version = version + 1 WHERE label_key = $1 AND state = $2 RETURNING run_id"
            ),
            args![label_key, from, to, reason],
        )
        .await?;
    rows.iter().map(|r| r.get("run_id")).collect()
}

/// How many jobs wait and run: for `/metrics`.
///
/// # Errors
/// The database's.
pub async fn job_counts(db: &Db) -> Result<Vec<(String, i64)>> {
    let rows = db
        .all(
            sql!("SELECT state, COUNT(*) AS n FROM pipeline_job WHERE state IN ('queued', 'unschedulable', 'running') GROUP BY state"),
            vec![],
        )
        .await?;
    rows.iter().map(|r| Ok((r.get("state")?, r.get("n")?))).collect()
}
