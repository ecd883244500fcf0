//! The few statements that cannot be one text for both databases.

use kernel::{ProjectId, Result, Timestamp};

use crate::db::{Db, Tx};
use crate::{Row, args};

/// The lowest transaction id that may still be running; every event below it is there to stay.
pub(crate) async fn oldest_running(db: &Db) -> Result<i64> {
    if !db.is_postgres() {
        return Ok(i64::MAX);
    }
    let row = db.one("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS xmin", vec![]).await?;
    row.get("xmin")
}

/// Claims the work that is due, oldest first, one of each lane.
pub(crate) async fn work_claim(tx: &mut Tx, now: Timestamp, until: Timestamp, by: &str, limit: i64) -> Result<Vec<Row>> {
    const DUE: &str = "SELECT w.id FROM work w WHERE w.state = 'queued' AND w.run_at <= $1 AND (w.lane IS NULL OR NOT EXISTS (
        SELECT 1 FROM work o WHERE o.lane = w.lane AND (o.state = 'leased' OR (o.state = 'queued' AND o.id < w.id))))
        ORDER BY w.run_at, w.id LIMIT $4";
    let lock = if tx.is_postgres() { " FOR UPDATE SKIP LOCKED" } else { "" };
    let sql = format!(
        "UPDATE work SET state = 'leased', lease_until = $2, leased_by = $3, epoch = epoch + 1, attempts = attempts + 1
         WHERE id IN ({DUE}{lock}) RETURNING *"
    );
    tx.all(&sql, args![now, until, by, limit]).await
}

/// Locks a project's row for the rest of the transaction, so that what is derived from it cannot change under us.
/// On SQLite the transaction has the write lock already.
///
/// # Errors
/// The database's.
pub async fn project_lock(tx: &mut Tx, project: ProjectId) -> Result<()> {
    if tx.is_postgres() {
        tx.opt("SELECT id FROM project WHERE id = $1 FOR UPDATE", args![project]).await?;
    }
    Ok(())
}

/// The end of a query whose rows nobody else may change for the rest of the transaction. On SQLite the transaction has the
/// write lock already.
pub(crate) fn for_update(tx: &Tx) -> &'static str {
    if tx.is_postgres() { " FOR UPDATE" } else { "" }
}

/// What a running job of a namespace counts: its next job goes after jobs that came this much later, in milliseconds.
const SHARE: i64 = 600_000;

/// Leases the next job of some label sets, passing over rows that another claimer holds; up to `most` at once as long as
/// they are all of one lane, for only then they change nobody's turn. A lane is a label set and a namespace; lanes are found
/// by steps in the index, and only the first job of each is looked at.
pub(crate) async fn job_claim(
    tx: &mut Tx,
    label_keys: &[String],
    runner: kernel::RunnerId,
    now: Timestamp,
    until: Timestamp,
    most: i64,
) -> Result<Vec<Row>> {
    const QUEUED: &str = "state IN ('queued', 'unschedulable')";
    let lock = if tx.is_postgres() { " FOR UPDATE OF c SKIP LOCKED" } else { "" };
    let keys = (6..6 + label_keys.len()).map(|i| format!("SELECT CAST(${i} AS TEXT) AS label_key")).collect::<Vec<_>>().join(" UNION ALL ");
    let sql = format!(
        "WITH RECURSIVE lane(label_key, namespace) AS (
            SELECT k.label_key, (SELECT MIN(j.namespace) FROM pipeline_job j WHERE j.{QUEUED} AND j.label_key = k.label_key) FROM ({keys}) k
            UNION ALL
            SELECT lane.label_key, (SELECT MIN(j.namespace) FROM pipeline_job j
                WHERE j.{QUEUED} AND j.label_key = lane.label_key AND j.namespace > lane.namespace)
            FROM lane WHERE lane.namespace IS NOT NULL),
         best AS (
            SELECT lane.label_key, lane.namespace FROM lane WHERE lane.namespace IS NOT NULL
            ORDER BY (SELECT h.turn FROM pipeline_job h WHERE h.{QUEUED} AND h.label_key = lane.label_key AND h.namespace = lane.namespace
                    ORDER BY h.turn, h.id LIMIT 1)
                + $4 * (SELECT COUNT(*) FROM pipeline_job r WHERE r.state = 'running' AND r.namespace = lane.namespace), lane.namespace
            LIMIT 1)
         UPDATE pipeline_job SET state = 'running', reason = NULL, epoch = epoch + 1, runner_id = $1, started_at = $2, lease_until = $3,
            version = version + 1
         WHERE id IN (SELECT c.id FROM pipeline_job c, best WHERE c.{QUEUED} AND c.label_key = best.label_key AND c.namespace = best.namespace
            ORDER BY c.turn, c.id LIMIT (SELECT CASE WHEN COUNT(*) = 1 THEN $5 ELSE 1 END FROM lane WHERE lane.namespace IS NOT NULL){lock})
         RETURNING *"
    );
    let mut binds = args![runner, now, until, SHARE, most];
    binds.extend(crate::job::texts(label_keys));
    tx.all(&sql, binds).await
}
