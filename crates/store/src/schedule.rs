//! Schedules: which runs start when. A row is claimed by moving its `next_at` on, in the transaction that enqueues the
//! work of starting the run, so each time is acted on by one instance.

use kernel::{ProjectId, Result, RunId, ScheduleId, Timestamp, UserId};
use serde_json::Value;

use crate::db::{Db, Q, Tx};
use crate::{Row, args, sql};

/// A schedule.
#[derive(Clone, Debug)]
pub struct ScheduleRow {
    /// Its id.
    pub id: ScheduleId,
    /// Its project.
    pub project: ProjectId,
    /// `file` or `user`.
    pub source: String,
    /// The workflow it starts; none for all that a manual start would.
    pub workflow: Option<String>,
    /// Full ref name.
    pub r#ref: String,
    /// The expression.
    pub cron: String,
    /// `posix` or `jenkins`.
    pub flavor: String,
    /// Name of the time zone.
    pub timezone: String,
    /// For people.
    pub description: String,
    /// Does it become due?
    pub active: bool,
    /// Somebody switched it off.
    pub paused: bool,
    /// Why it is off, or why nothing was started last time.
    pub reason: Option<String>,
    /// Variables of its runs.
    pub variables: Value,
    /// Inputs of its runs.
    pub inputs: Value,
    /// `once` or `skip`: what happens with times that passed while nobody looked.
    pub missed: String,
    /// In whose name runs start.
    pub owner: Option<UserId>,
    /// When it is due next; none while it is off.
    pub next_at: Option<Timestamp>,
    /// When it was due last.
    pub last_at: Option<Timestamp>,
    /// The run that came of it.
    pub last_run: Option<RunId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Row version.
    pub version: i64,
}

impl ScheduleRow {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            project: row.get("project_id")?,
            source: row.get("source")?,
            workflow: row.get("workflow")?,
            r#ref: row.get("ref")?,
            cron: row.get("cron")?,
            flavor: row.get("flavor")?,
            timezone: row.get("timezone")?,
            description: row.get("description")?,
            active: row.get("active")?,
            paused: row.get("paused")?,
            reason: row.get("reason")?,
            variables: row.json("variables")?,
            inputs: row.json("inputs")?,
            missed: row.get("missed")?,
            owner: row.get("owner_id")?,
            next_at: row.get("next_at")?,
            last_at: row.get("last_at")?,
            last_run: row.get("last_run")?,
            created_at: row.get("created_at")?,
            version: row.get("version")?,
        })
    }
}

fn rows(rows: Vec<Row>) -> Result<Vec<ScheduleRow>> {
    rows.iter().map(ScheduleRow::from_row).collect()
}

/// Adds a schedule; false when the file's is there already.
///
/// # Errors
/// The database's.
pub async fn schedule_create(tx: &mut Tx, s: &ScheduleRow) -> Result<bool> {
    let n = tx
        .exec(
            sql!(
                "INSERT INTO schedule (id, project_id, source, workflow, ref, cron, flavor, timezone, description, active, paused, reason,
                    variables, inputs, missed, owner_id, next_at, created_at, version)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, 1) ON CONFLICT DO NOTHING"
            ),
            args![
                s.id,
                s.project,
                s.source.as_str(),
                s.workflow.as_deref(),
                s.r#ref.as_str(),
                s.cron.as_str(),
                s.flavor.as_str(),
                s.timezone.as_str(),
                s.description.as_str(),
                s.active,
                s.paused,
                s.reason.as_deref(),
                &s.variables,
                &s.inputs,
                s.missed.as_str(),
                s.owner,
                s.next_at,
                s.created_at
            ],
        )
        .await?;
    tx.wake("schedules");
    Ok(n == 1)
}

/// Writes what people and files may change, if the version is still the one that was read.
///
/// # Errors
/// The database's.
pub async fn schedule_update(tx: &mut Tx, s: &ScheduleRow) -> Result<bool> {
    let n = tx
        .exec(
            sql!(
                "UPDATE schedule SET workflow = $3, ref = $4, cron = $5, timezone = $6, description = $7, active = $8, paused = $9,
                    reason = $10, variables = $11, inputs = $12, missed = $13, owner_id = $14, next_at = $15, version = version + 1
                 WHERE id = $1 AND version = $2"
            ),
            args![
                s.id,
                s.version,
                s.workflow.as_deref(),
                s.r#ref.as_str(),
                s.cron.as_str(),
                s.timezone.as_str(),
                s.description.as_str(),
                s.active,
                s.paused,
                s.reason.as_deref(),
                &s.variables,
                &s.inputs,
                s.missed.as_str(),
                s.owner,
                s.next_at
            ],
        )
        .await?;
    tx.wake("schedules");
    Ok(n == 1)
}

/// A schedule by id.
///
/// # Errors
/// The database's.
pub async fn schedule_get(q: impl Into<Q<'_>>, id: ScheduleId) -> Result<Option<ScheduleRow>> {
    let row = q.into().opt(sql!("SELECT * FROM schedule WHERE id = $1"), args![id]).await?;
    row.as_ref().map(ScheduleRow::from_row).transpose()
}

/// Schedules of a project after an id.
///
/// # Errors
/// The database's.
pub async fn schedule_list(q: impl Into<Q<'_>>, project: ProjectId, after: Option<ScheduleId>, limit: i64) -> Result<Vec<ScheduleRow>> {
    let after = after.unwrap_or_else(|| ScheduleId::from(uuid::Uuid::nil()));
    let sql = sql!("SELECT * FROM schedule WHERE project_id = $1 AND id > $2 ORDER BY id LIMIT $3");
    rows(q.into().all(sql, args![project, after, limit]).await?)
}

/// How many schedules people made in a project.
///
/// # Errors
/// The database's.
pub async fn schedule_count(q: impl Into<Q<'_>>, project: ProjectId) -> Result<i64> {
    let sql = sql!("SELECT COUNT(*) AS n FROM schedule WHERE project_id = $1 AND source = 'user'");
    q.into().one(sql, args![project]).await?.get("n")
}

/// Removes a schedule; false when there is none.
///
/// # Errors
/// The database's.
pub async fn schedule_delete(tx: &mut Tx, id: ScheduleId) -> Result<bool> {
    Ok(tx.exec(sql!("DELETE FROM schedule WHERE id = $1"), args![id]).await? == 1)
}

/// Schedules that are due, the longest first.
///
/// # Errors
/// The database's.
pub async fn schedule_due(db: &Db, now: Timestamp, limit: i64) -> Result<Vec<ScheduleRow>> {
    rows(db.all(sql!("SELECT * FROM schedule WHERE next_at <= $1 ORDER BY next_at, id LIMIT $2"), args![now, limit]).await?)
}

/// When the next schedule of all is due.
///
/// # Errors
/// The database's.
pub async fn schedule_next(db: &Db) -> Result<Option<Timestamp>> {
    let row = db.opt(sql!("SELECT next_at AS at FROM schedule WHERE next_at IS NOT NULL ORDER BY next_at LIMIT 1"), vec![]).await?;
    row.map(|r| r.get("at")).transpose()
}

/// Moves a schedule on from the time it was due; false when another instance did, or somebody changed it.
///
/// # Errors
/// The database's.
pub async fn schedule_claim(tx: &mut Tx, id: ScheduleId, due: Timestamp, next: Option<Timestamp>) -> Result<bool> {
    let n = tx.exec(sql!("UPDATE schedule SET next_at = $3, last_at = $2 WHERE id = $1 AND next_at = $2"), args![id, due, next]).await?;
    Ok(n == 1)
}

/// Notes what came of a schedule's time: a run, or why there is none.
///
/// # Errors
/// The database's.
pub async fn schedule_note(db: &Db, id: ScheduleId, run: Option<RunId>, reason: Option<&str>) -> Result<()> {
    let sql = sql!("UPDATE schedule SET last_run = COALESCE($2, last_run), reason = $3 WHERE id = $1");
    db.exec(sql, args![id, run, reason]).await.map(|_| ())
}

/// Switches a schedule off.
///
/// # Errors
/// The database's.
pub async fn schedule_off(db: &Db, id: ScheduleId, reason: &str) -> Result<()> {
    let sql = sql!("UPDATE schedule SET active = $3, next_at = NULL, reason = $2, version = version + 1 WHERE id = $1");
    db.exec(sql, args![id, reason, false]).await.map(|_| ())
}
