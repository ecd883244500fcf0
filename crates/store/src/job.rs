//! Jobs of pipeline runs and their steps: the queue, leases with fencing epochs, results.
//!
//! A row is one attempt of one job. A retry leaves the row as it ended, marked `superseded`, and adds another.

use kernel::{JobId, ProjectId, Result, RunId, RunnerId, Timestamp, UserId};

mod kept;
mod queue;
mod step;

pub use kept::{
    KeptRow, job_kept_by, job_kept_delete, job_kept_get, job_kept_of_run, job_kept_prune, job_kept_put, job_resume_get, job_resume_put,
};
pub use queue::{job_claim, job_counts, job_held_back, job_queue, job_queue_labels, job_queue_of, job_running, job_schedulable_set};
pub use step::{StepRow, StepUsage, step_close, step_list, step_list_of_run, step_set};

use crate::db::{Db, Q, Tx};
use crate::run::Trust;
use crate::{Args, Row, Value, args, sql};

/// One attempt of a job.
#[derive(Clone, Debug)]
pub struct JobRow {
    /// Its id.
    pub id: JobId,
    /// Its run.
    pub run: RunId,
    /// Its project.
    pub project: ProjectId,
    /// Key in the plan.
    pub key: String,
    /// Place in the plan.
    pub position: i64,
    /// Which combination of the matrix; none until the job is expanded.
    pub cell: Option<i64>,
    /// How many combinations there are.
    pub cells: i64,
    /// Shown name.
    pub name: String,
    /// `waiting`, `queued`, `unschedulable`, `running`, `completed`.
    pub state: String,
    /// Why it waits, was skipped or failed.
    pub reason: Option<String>,
    /// `success`, `failure`, `cancelled`, `skipped`.
    pub conclusion: Option<String>,
    /// The machine failed, not the job.
    pub infra_failure: Option<String>,
    /// Its failure does not count.
    pub allowed_to_fail: bool,
    /// 1 for the first try.
    pub attempt: i64,
    /// Another attempt took its place.
    pub superseded: bool,
    /// Fencing epoch of the last lease.
    pub epoch: i64,
    /// Labels a runner must have.
    pub labels: Vec<String>,
    /// The same, sorted, as one text: the partition of the queue.
    pub label_key: String,
    /// The `matrix` context.
    pub matrix: Option<serde_json::Value>,
    /// Outputs by name.
    pub outputs: serde_json::Value,
    /// Remarks of its steps.
    pub annotations: serde_json::Value,
    /// Lower-case name of its concurrency group.
    pub concurrency_group: Option<String>,
    /// Stopped after this long.
    pub timeout_seconds: i64,
    /// Who runs it.
    pub runner: Option<RunnerId>,
    /// The lease runs out then.
    pub lease_until: Option<Timestamp>,
    /// `cancel` or `kill`, to be told to the runner.
    pub cancel: Option<String>,
    /// When that was asked.
    pub cancel_at: Option<Timestamp>,
    /// Hash of its token while it runs.
    pub token_hash: Option<Vec<u8>>,
    /// Bytes of log that are durable.
    pub log_length: i64,
    /// The sealed log.
    pub log_digest: Option<String>,
    /// When it became ready.
    pub queued_at: Option<Timestamp>,
    /// When a runner took it.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// When what holds it besides other jobs (a person, time) lets it go, or let it go.
    pub released_at: Option<Timestamp>,
    /// Whose it is in the queue: the project's namespace.
    pub namespace: String,
    /// 2 for what people started and deployments, 1, 0 for what the clock started.
    pub priority: i64,
    /// When its turn is: the time it was queued, later for what matters less.
    pub turn: Timestamp,
    /// Row version.
    pub version: i64,
}

impl JobRow {
    fn from_row(row: &Row) -> Result<Self> {
        let matrix: Option<String> = row.get("matrix")?;
        Ok(Self {
            id: row.get("id")?,
            run: row.get("run_id")?,
            project: row.get("project_id")?,
            key: row.get("key")?,
            position: row.get("position")?,
            cell: row.get("cell")?,
            cells: row.get("cells")?,
            name: row.get("name")?,
            state: row.get("state")?,
            reason: row.get("reason")?,
            conclusion: row.get("conclusion")?,
            infra_failure: row.get("infra_failure")?,
            allowed_to_fail: row.get("allowed_to_fail")?,
            attempt: row.get("attempt")?,
            superseded: row.get("superseded")?,
            epoch: row.get("epoch")?,
            labels: row.json("labels")?,
            label_key: row.get("label_key")?,
            matrix: matrix.map(|m| serde_json::from_str(&m).map_err(kernel::Error::internal)).transpose()?,
            outputs: row.json("outputs")?,
            annotations: row.json("annotations")?,
            concurrency_group: row.get("concurrency_group")?,
            timeout_seconds: row.get("timeout_seconds")?,
            runner: row.get("runner_id")?,
            lease_until: row.get("lease_until")?,
            cancel: row.get("cancel")?,
            cancel_at: row.get("cancel_at")?,
            token_hash: row.get("token_hash")?,
            log_length: row.get("log_length")?,
            log_digest: row.get("log_digest")?,
            queued_at: row.get("queued_at")?,
            started_at: row.get("started_at")?,
            finished_at: row.get("finished_at")?,
            released_at: row.get("released_at")?,
            namespace: row.get("namespace")?,
            priority: row.get("priority")?,
            turn: row.get("turn")?,
            version: row.get("version")?,
        })
    }
}

/// Adds a job.
///
/// # Errors
/// The database's.
pub async fn job_create(tx: &mut Tx, j: &JobRow) -> Result<()> {
    tx.exec(
        sql!(
            "INSERT INTO pipeline_job (id, run_id, project_id, key, position, cell, cells, name, state, reason, conclusion, infra_failure,
                allowed_to_fail, attempt, superseded, epoch, labels, label_key, matrix, outputs, annotations, concurrency_group,
                timeout_seconds, log_length, queued_at, started_at, finished_at, released_at, version)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, 0, $24, $25, $26, $27, 1)"
        ),
        args![
            j.id,
            j.run,
            j.project,
            j.key.as_str(),
            j.position,
            j.cell,
            j.cells,
            j.name.as_str(),
            j.state.as_str(),
            j.reason.as_deref(),
            j.conclusion.as_deref(),
            j.infra_failure.as_deref(),
            j.allowed_to_fail,
            j.attempt,
            j.superseded,
            j.epoch,
            serde_json::json!(j.labels),
            j.label_key.as_str(),
            j.matrix.clone(),
            &j.outputs,
            &j.annotations,
            j.concurrency_group.as_deref(),
            j.timeout_seconds,
            j.queued_at,
            j.started_at,
            j.finished_at,
            j.released_at
        ],
    )
    .await
    .map(|_| ())
}

/// Writes what the scheduler may change of a job, if nobody changed it since it was read. False when somebody did.
///
/// # Errors
/// The database's.
pub async fn job_update(tx: &mut Tx, j: &mut JobRow) -> Result<bool> {
    let n = tx
        .exec(
            sql!(
                "UPDATE pipeline_job SET cell = $3, cells = $4, name = $5, state = $6, reason = $7, conclusion = $8, infra_failure = $9,
                    allowed_to_fail = $10, superseded = $11, epoch = $12, labels = $13, label_key = $14, matrix = $15, outputs = $16,
                    concurrency_group = $17, timeout_seconds = $18, runner_id = $19, lease_until = $20, cancel = $21, cancel_at = $22,
                    token_hash = $23, queued_at = $24, started_at = $25, finished_at = $26, released_at = $27,
                    namespace = $28, priority = $29, turn = $30, version = version + 1
                 WHERE id = $1 AND version = $2"
            ),
            args![
                j.id,
                j.version,
                j.cell,
                j.cells,
                j.name.as_str(),
                j.state.as_str(),
                j.reason.as_deref(),
                j.conclusion.as_deref(),
                j.infra_failure.as_deref(),
                j.allowed_to_fail,
                j.superseded,
                j.epoch,
                serde_json::json!(j.labels),
                j.label_key.as_str(),
                j.matrix.clone(),
                &j.outputs,
                j.concurrency_group.as_deref(),
                j.timeout_seconds,
                j.runner,
                j.lease_until,
                j.cancel.as_deref(),
                j.cancel_at,
                j.token_hash.clone(),
                j.queued_at,
                j.started_at,
                j.finished_at,
                j.released_at,
                j.namespace.as_str(),
                j.priority,
                j.turn
            ],
        )
        .await?;
    j.version += 1;
    Ok(n == 1)
}

/// A job by id.
///
/// # Errors
/// The database's.
pub async fn job_get(q: impl Into<Q<'_>>, id: JobId) -> Result<Option<JobRow>> {
    let row = q.into().opt(sql!("SELECT * FROM pipeline_job WHERE id = $1"), args![id]).await?;
    row.as_ref().map(JobRow::from_row).transpose()
}

/// The current attempts of a run's jobs, in the order of the plan.
///
/// # Errors
/// The database's.
pub async fn job_list(q: impl Into<Q<'_>>, run: RunId) -> Result<Vec<JobRow>> {
    let rows = q
        .into()
        .all(sql!("SELECT * FROM pipeline_job WHERE run_id = $1 AND superseded = $2 ORDER BY position, cell, id"), args![run, false])
        .await?;
    rows.iter().map(JobRow::from_row).collect()
}

/// What has not ended of a run besides one of its jobs.
#[derive(Clone, Copy, Debug)]
pub struct Open {
    /// Another combination of the same job of the plan.
    pub cells: bool,
    /// Any other job.
    pub jobs: bool,
}

/// Looks what has not ended of a run besides `but`, which is at `position` in the plan.
///
/// # Errors
/// The database's.
pub async fn job_open(tx: &mut Tx, run: RunId, position: i64, but: JobId) -> Result<Open> {
    let sql = sql!(
        "SELECT CAST(CASE WHEN EXISTS (SELECT 1 FROM pipeline_job c WHERE c.run_id = $1 AND c.superseded = $2 AND c.position = $3
                    AND c.state <> 'completed' AND c.id <> $4) THEN 1 ELSE 0 END AS BIGINT) AS cells,
                CAST(CASE WHEN EXISTS (SELECT 1 FROM pipeline_job o WHERE o.run_id = $1 AND o.superseded = $2
                    AND o.state <> 'completed' AND o.id <> $4) THEN 1 ELSE 0 END AS BIGINT) AS jobs"
    );
    let row = tx.one(sql, args![run, false, position, but]).await?;
    Ok(Open { cells: row.get::<i64>("cells")? != 0, jobs: row.get::<i64>("jobs")? != 0 })
}

/// The current attempts of some jobs of a run, by their keys in the plan.
///
/// # Errors
/// The database's.
pub async fn job_list_of(db: &Db, run: RunId, keys: &[String]) -> Result<Vec<JobRow>> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let marks = (3..3 + keys.len()).map(|i| format!("${i}")).collect::<Vec<_>>().join(", ");
    let sql = format!("SELECT * FROM pipeline_job WHERE run_id = $1 AND superseded = $2 AND key IN ({marks}) ORDER BY position, cell, id");
    let mut binds = args![run, false];
    binds.extend(texts(keys));
    db.all(&sql, binds).await?.iter().map(JobRow::from_row).collect()
}

/// Running jobs that are leased to a runner.
///
/// # Errors
/// The database's.
pub async fn job_held_by(db: &Db, runner: RunnerId) -> Result<Vec<JobRow>> {
    let rows = db.all(sql!("SELECT * FROM pipeline_job WHERE runner_id = $1 AND state = 'running' ORDER BY id"), args![runner]).await?;
    rows.iter().map(JobRow::from_row).collect()
}

/// Puts a leased job that never reached its runner back into its place of the queue; false when the lease is over.
///
/// # Errors
/// The database's.
pub async fn job_unclaim(tx: &mut Tx, id: JobId, epoch: i64) -> Result<bool> {
    let sql = sql!(
        "UPDATE pipeline_job SET state = 'queued', runner_id = NULL, started_at = NULL, lease_until = NULL, token_hash = NULL,
            version = version + 1
         WHERE id = $1 AND epoch = $2 AND state = 'running'"
    );
    Ok(tx.exec(sql, args![id, epoch]).await? == 1)
}

/// Sets the hashes of the tokens of leased jobs.
///
/// # Errors
/// The database's.
pub async fn job_tokens_set(tx: &mut Tx, tokens: &[(JobId, Vec<u8>)]) -> Result<()> {
    if tokens.is_empty() {
        return Ok(());
    }
    let rows = (0..tokens.len()).map(|i| format!("SELECT ${} AS id, ${} AS hash", 2 * i + 1, 2 * i + 2)).collect::<Vec<_>>();
    let sql = format!("UPDATE pipeline_job SET token_hash = t.hash FROM ({}) t WHERE pipeline_job.id = t.id", rows.join(" UNION ALL "));
    let binds = tokens.iter().flat_map(|(id, hash)| args![*id, hash.clone()]).collect();
    tx.exec(&sql, binds).await.map(|_| ())
}

/// The running job of a token, who set its run off, and how far that is trusted.
///
/// # Errors
/// The database's.
pub async fn job_by_token(db: &Db, hash: &[u8]) -> Result<Option<(JobRow, Option<UserId>, Trust)>> {
    let row = db
        .opt(
            sql!(
                "SELECT j.*, r.account_id AS by_account, r.trust AS run_trust FROM pipeline_job j JOIN run r ON r.id = j.run_id
                 WHERE j.token_hash = $1 AND j.state = 'running'"
            ),
            args![hash],
        )
        .await?;
    row.map(|r| Ok((JobRow::from_row(&r)?, r.get("by_account")?, Trust::parse(&r.get::<String>("run_trust")?)?))).transpose()
}

/// What a lease holder gets to know.
#[derive(Clone, Debug)]
pub struct Lease {
    /// The job's run.
    pub run: RunId,
    /// The job's project.
    pub project: ProjectId,
    /// `cancel` or `kill`.
    pub cancel: Option<String>,
    /// Bytes of log that are durable.
    pub log_length: i64,
    /// Shown name of the job.
    pub name: String,
}

/// Extends a lease. None when it is not held any more.
///
/// # Errors
/// The database's.
pub async fn job_renew(tx: &mut Tx, id: JobId, runner: RunnerId, epoch: i64, until: Timestamp) -> Result<Option<Lease>> {
    let row = tx
        .opt(
            sql!(
                "UPDATE pipeline_job SET lease_until = $4 WHERE id = $1 AND runner_id = $2 AND epoch = $3 AND state = 'running'
                 RETURNING run_id, project_id, cancel, log_length, name"
            ),
            args![id, runner, epoch, until],
        )
        .await?;
    row.map(|r| {
        Ok(Lease {
            run: r.get("run_id")?,
            project: r.get("project_id")?,
            cancel: r.get("cancel")?,
            log_length: r.get("log_length")?,
            name: r.get("name")?,
        })
    })
    .transpose()
}

/// Notes a call of a job's runner that adds something; false when it was made before.
///
/// # Errors
/// The database's.
pub async fn job_call(tx: &mut Tx, job: JobId, call: u64) -> Result<bool> {
    let n = tx.exec(sql!("INSERT INTO job_call (job_id, call) VALUES ($1, $2) ON CONFLICT DO NOTHING"), args![job, call]).await?;
    Ok(n == 1)
}

/// Forgets the calls of a job that has ended.
///
/// # Errors
/// The database's.
pub async fn job_calls_forget(tx: &mut Tx, job: JobId) -> Result<()> {
    tx.exec(sql!("DELETE FROM job_call WHERE job_id = $1"), args![job]).await.map(|_| ())
}

/// Adds remarks to a job that a caller holds.
///
/// # Errors
/// The database's.
pub async fn job_annotations_set(tx: &mut Tx, id: JobId, annotations: &serde_json::Value) -> Result<()> {
    tx.exec(sql!("UPDATE pipeline_job SET annotations = $2 WHERE id = $1"), args![id, annotations]).await.map(|_| ())
}

/// Running jobs whose lease has run out, oldest first.
///
/// # Errors
/// The database's.
pub async fn job_expired(db: &Db, now: Timestamp, limit: i64) -> Result<Vec<JobRow>> {
    let rows = db
        .all(
            sql!("SELECT * FROM pipeline_job WHERE state = 'running' AND lease_until < $1 ORDER BY lease_until LIMIT $2"),
            args![now, limit],
        )
        .await?;
    rows.iter().map(JobRow::from_row).collect()
}

/// Running jobs that are over their time, or were asked to stop before `asked_before` and go on.
///
/// # Errors
/// The database's.
pub async fn job_overdue(db: &Db, now: Timestamp, asked_before: Timestamp, limit: i64) -> Result<Vec<JobRow>> {
    let rows = db
        .all(
            sql!(
                "SELECT * FROM pipeline_job WHERE state = 'running' AND (started_at + timeout_seconds * 1000 < $1 OR cancel_at < $2) LIMIT $3"
            ),
            args![now, asked_before, limit],
        )
        .await?;
    rows.iter().map(JobRow::from_row).collect()
}

/// Runs with jobs whose time to wait is over, and that were not looked at since.
///
/// # Errors
/// The database's.
pub async fn job_released(db: &Db, now: Timestamp, limit: i64) -> Result<Vec<RunId>> {
    let rows = db
        .all(
            sql!(
                "SELECT DISTINCT run_id FROM pipeline_job WHERE state = 'waiting' AND released_at <= $1 AND cell IS NULL AND superseded = $2 LIMIT $3"
            ),
            args![now, false, limit],
        )
        .await?;
    rows.iter().map(|r| r.get("run_id")).collect()
}

/// Jobs of a concurrency group that have not ended, oldest first.
///
/// # Errors
/// The database's.
pub async fn job_group(tx: &mut Tx, project: ProjectId, group: &str) -> Result<Vec<JobRow>> {
    let rows = tx
        .all(
            sql!(
                "SELECT * FROM pipeline_job WHERE project_id = $1 AND concurrency_group = $2 AND state <> 'completed' AND superseded = $3 ORDER BY id"
            ),
            args![project, group, false],
        )
        .await?;
    rows.iter().map(JobRow::from_row).collect()
}

pub(crate) fn texts(list: &[String]) -> Args {
    list.iter().map(|t| Value::from(t.as_str())).collect()
}
