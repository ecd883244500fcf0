//! Internal work as leased rows with a fencing epoch: put in on the caller's transaction, claimed by any instance,
//! retried with back-off, kept as dead with its last error when it gives up.

use std::time::Duration;

use kernel::{Code, Error, EventId, ProjectId, Result, Timestamp, WorkId};

use crate::db::{Db, Tx};
use crate::{Row, args, sql};

/// How long a claim holds without being renewed.
pub const LEASE: Duration = Duration::from_secs(60);

/// Work to be done.
#[derive(Clone, Debug)]
pub struct NewWork {
    /// Which handler.
    pub kind: &'static str,
    /// While a row of this kind and key waits, another is not added.
    pub dedup: Option<String>,
    /// Work of one lane runs one after the other, in the order it was put in.
    pub lane: Option<String>,
    /// Whose it is.
    pub project: Option<ProjectId>,
    /// The event it follows from; set by `emit`.
    pub event: Option<EventId>,
    /// What the handler needs.
    pub payload: serde_json::Value,
    /// Not before this long from now.
    pub delay: Duration,
    /// Gives up after so many attempts.
    pub max_attempts: i64,
}

impl NewWork {
    /// Work of a kind with defaults: at once, 12 attempts.
    pub fn new(kind: &'static str, payload: serde_json::Value) -> Self {
        Self { kind, dedup: None, lane: None, project: None, event: None, payload, delay: Duration::ZERO, max_attempts: 12 }
    }

    /// Sets the project.
    #[must_use]
    pub fn project(mut self, project: ProjectId) -> Self {
        self.project = Some(project);
        self
    }

    /// Sets the lane.
    #[must_use]
    pub fn lane(mut self, lane: impl Into<String>) -> Self {
        self.lane = Some(lane.into());
        self
    }

    /// Sets the dedup key.
    #[must_use]
    pub fn dedup(mut self, key: impl Into<String>) -> Self {
        self.dedup = Some(key.into());
        self
    }

    /// Sets the delay.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

/// A row of work.
#[derive(Clone, Debug)]
pub struct WorkRow {
    /// Its id.
    pub id: WorkId,
    /// Which handler.
    pub kind: String,
    /// Whose it is.
    pub project: Option<ProjectId>,
    /// The event it follows from.
    pub event: Option<EventId>,
    /// What the handler needs.
    pub payload: serde_json::Value,
    /// `queued`, `leased`, `done` or `dead`.
    pub state: String,
    /// Attempts so far, this one included.
    pub attempts: i64,
    /// Gives up after so many.
    pub max_attempts: i64,
    /// The fencing epoch of this claim.
    pub epoch: i64,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// When it was put in.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

impl WorkRow {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            kind: row.get("kind")?,
            project: row.get("project_id")?,
            event: row.get("event_id")?,
            payload: row.json("payload")?,
            state: row.get("state")?,
            attempts: row.get("attempts")?,
            max_attempts: row.get("max_attempts")?,
            epoch: row.get("epoch")?,
            error: row.get("error")?,
            created_at: row.get("created_at")?,
            finished_at: row.get("finished_at")?,
        })
    }
}

impl Tx {
    /// Adds work; it becomes visible with this transaction.
    ///
    /// # Errors
    /// The database's.
    pub async fn enqueue(&mut self, work: NewWork) -> Result<()> {
        let now = Timestamp::now();
        self.exec(
            sql!(
                "INSERT INTO work (id, kind, dedup, lane, project_id, event_id, payload, state, run_at, attempts, max_attempts, epoch, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, 'queued', $8, 0, $9, 0, $10) ON CONFLICT DO NOTHING"
            ),
            args![
                WorkId::new(),
                work.kind,
                work.dedup,
                work.lane,
                work.project,
                work.event,
                work.payload,
                now.plus(work.delay),
                work.max_attempts,
                now
            ],
        )
        .await?;
        self.wake("work");
        Ok(())
    }
}

/// Claims due work for `by`. Rows whose lease ran out go back to the queue first, or die when they are out of attempts.
///
/// # Errors
/// The database's.
pub async fn work_claim(db: &Db, by: &str, limit: i64) -> Result<Vec<WorkRow>> {
    let now = Timestamp::now();
    // look before taking the write lock: most wake-ups find nothing
    let due = db
        .opt(
            sql!("SELECT 1 AS due FROM work WHERE (state = 'queued' AND run_at <= $1) OR (state = 'leased' AND lease_until < $1) LIMIT 1"),
            args![now],
        )
        .await?;
    if due.is_none() {
        return Ok(Vec::new());
    }
    let mut tx = db.begin_soft().await?;
    tx.exec(
        sql!(
            "UPDATE work SET state = CASE WHEN attempts >= max_attempts THEN 'dead' ELSE 'queued' END,
                finished_at = CASE WHEN attempts >= max_attempts THEN $1 ELSE NULL END,
                error = 'the instance that worked on it went away', leased_by = NULL, lease_until = NULL, dedup = NULL
             WHERE state = 'leased' AND lease_until < $1"
        ),
        args![now],
    )
    .await?;
    let rows = crate::dialect::work_claim(&mut tx, now, now.plus(LEASE), by, limit).await?;
    let mut claimed = rows.iter().map(WorkRow::from_row).collect::<Result<Vec<_>>>()?;
    tx.commit().await?;
    claimed.sort_by_key(|w| w.id);
    Ok(claimed)
}

/// Holds on to a claim. False when it was lost.
///
/// # Errors
/// The database's.
pub async fn work_renew(db: &Db, work: &WorkRow) -> Result<bool> {
    let n = db
        .exec(
            sql!("UPDATE work SET lease_until = $1 WHERE id = $2 AND epoch = $3 AND state = 'leased'"),
            args![Timestamp::now().plus(LEASE), work.id, work.epoch],
        )
        .await?;
    Ok(n == 1)
}

/// Ends a claim: done, or failed with a reason and tried again after a back-off while attempts are left.
///
/// # Errors
/// `stale_epoch` when the claim was lost, else the database's.
pub async fn work_finish(db: &Db, work: &WorkRow, outcome: Result<(), &Error>) -> Result<()> {
    let now = Timestamp::now();
    let mut tx = db.begin_soft().await?;
    let n = match outcome {
        Ok(()) => {
            tx.exec(
                sql!(
                    "UPDATE work SET state = 'done', finished_at = $1, error = NULL, lease_until = NULL WHERE id = $2 AND epoch = $3 AND state = 'leased'"
                ),
                args![now, work.id, work.epoch],
            )
            .await?
        }
        Err(error) => {
            let dead = work.attempts >= work.max_attempts;
            // 1 s, 2 s, 4 s … at most 15 minutes
            let back_off = Duration::from_secs(1 << work.attempts.clamp(1, 20).unsigned_abs().saturating_sub(1)).min(Duration::from_secs(900));
            let state = if dead { "dead" } else { "queued" };
            tx.exec(
                sql!(
                    "UPDATE work SET state = $1, finished_at = $2, error = $3, run_at = $4, lease_until = NULL, leased_by = NULL, dedup = NULL
                     WHERE id = $5 AND epoch = $6 AND state = 'leased'"
                ),
                args![state, dead.then_some(now), error.to_string(), now.plus(back_off), work.id, work.epoch],
            )
            .await?
        }
    };
    if n == 0 {
        return Err(Error::new(Code::StaleEpoch, "another instance took this work over"));
    }
    // the next of its lane may be due, and the activity page shows the state
    tx.wake("work");
    if let Some(project) = work.project {
        tx.wake(format!("activity:{project}"));
    }
    tx.commit().await
}

/// Gives claimed work back untried, at shutdown.
///
/// # Errors
/// The database's.
pub async fn work_release(db: &Db, by: &str) -> Result<()> {
    db.exec(
        sql!(
            "UPDATE work SET state = 'queued', attempts = attempts - 1, lease_until = NULL, leased_by = NULL, dedup = NULL WHERE leased_by = $1 AND state = 'leased'"
        ),
        args![by],
    )
    .await
    .map(|_| ())
}

/// Ends the leases of an instance that is known to be dead: of everybody whose name begins with `by`.
///
/// # Errors
/// The database's.
pub async fn work_orphan(db: &Db, by: &str) -> Result<u64> {
    // a name with a wildcard in it finds itself, too; a lease too many that ends is only work done twice
    let like = format!("{by}%");
    db.exec(sql!("UPDATE work SET lease_until = 0 WHERE state = 'leased' AND leased_by LIKE $1"), args![like]).await
}

/// When the next queued work is due, if any waits.
///
/// # Errors
/// The database's.
pub async fn work_next_due(db: &Db) -> Result<Option<Timestamp>> {
    let row = db.opt(sql!("SELECT run_at AS at FROM work WHERE state = 'queued' ORDER BY run_at LIMIT 1"), vec![]).await?;
    row.map(|r| r.get("at")).transpose()
}

/// The work that followed from these events.
///
/// # Errors
/// The database's.
pub async fn work_of_events(db: &Db, events: &[EventId]) -> Result<Vec<WorkRow>> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let marks = (1..=events.len()).map(|i| format!("${i}")).collect::<Vec<_>>().join(", ");
    let sql = format!("SELECT * FROM work WHERE event_id IN ({marks}) ORDER BY id");
    let rows = db.all(&sql, events.iter().map(|e| crate::Value::from(*e)).collect()).await?;
    rows.iter().map(WorkRow::from_row).collect()
}

/// How much waits, runs and died: for `/metrics`.
///
/// # Errors
/// The database's.
pub async fn work_counts(db: &Db) -> Result<Vec<(String, i64)>> {
    let rows =
        db.all(sql!("SELECT state, COUNT(*) AS n FROM work WHERE state IN ('queued', 'leased', 'dead') GROUP BY state"), vec![]).await?;
    rows.iter().map(|r| Ok((r.get("state")?, r.get("n")?))).collect()
}

/// Forgets work that ended before `before`; at most 1,000 rows a call.
///
/// # Errors
/// The database's.
pub async fn work_prune(db: &Db, before: Timestamp) -> Result<u64> {
    db.exec(
        sql!("DELETE FROM work WHERE id IN (SELECT id FROM work WHERE finished_at < $1 ORDER BY finished_at LIMIT 1000)"),
        args![before],
    )
    .await
}
