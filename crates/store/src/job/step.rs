//! Steps of jobs, as their runner tells them.

use kernel::{JobId, Result, RunId, Timestamp};

use crate::db::{Q, Tx};
use crate::{Row, args, sql};

/// A step as it stands.
#[derive(Clone, Debug)]
pub struct StepRow {
    /// Its job.
    pub job: JobId,
    /// Place among the steps.
    pub index: i64,
    /// Shown name.
    pub name: String,
    /// `pending`, `running`, `completed`.
    pub state: String,
    /// Result after `continue-on-error`.
    pub conclusion: Option<String>,
    /// Result before it.
    pub outcome: Option<String>,
    /// Of its process.
    pub exit_code: Option<i64>,
    /// First byte in the log.
    pub log_from: Option<i64>,
    /// After its last byte.
    pub log_to: Option<i64>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// What it used.
    pub usage: StepUsage,
    /// The earlier attempt that ran it.
    pub taken_from: Option<JobId>,
}

/// What a step used of its machine; what is not known is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepUsage {
    /// Time of processors in user mode.
    pub cpu_user_ms: Option<i64>,
    /// Time of processors in the kernel.
    pub cpu_system_ms: Option<i64>,
    /// The most memory.
    pub memory_peak_bytes: Option<i64>,
    /// Read from disks.
    pub read_bytes: Option<i64>,
    /// Written for disks.
    pub written_bytes: Option<i64>,
}

impl StepRow {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            job: row.get("job_id")?,
            index: row.get("idx")?,
            name: row.get("name")?,
            state: row.get("state")?,
            conclusion: row.get("conclusion")?,
            outcome: row.get("outcome")?,
            exit_code: row.get("exit_code")?,
            log_from: row.get("log_from")?,
            log_to: row.get("log_to")?,
            started_at: row.get("started_at")?,
            finished_at: row.get("finished_at")?,
            usage: StepUsage {
                cpu_user_ms: row.get("cpu_user_ms")?,
                cpu_system_ms: row.get("cpu_system_ms")?,
                memory_peak_bytes: row.get("memory_peak_bytes")?,
                read_bytes: row.get("read_bytes")?,
                written_bytes: row.get("written_bytes")?,
            },
            taken_from: row.get("taken_from")?,
        })
    }
}

/// Writes a step as a whole.
///
/// # Errors
/// The database's.
pub async fn step_set(tx: &mut Tx, s: &StepRow) -> Result<()> {
    tx.exec(
        sql!(
            "INSERT INTO step (job_id, idx, name, state, conclusion, outcome, exit_code, log_from, log_to, started_at, finished_at,
                cpu_user_ms, cpu_system_ms, memory_peak_bytes, read_bytes, written_bytes, taken_from)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
             ON CONFLICT (job_id, idx) DO UPDATE SET name = excluded.name, state = excluded.state, conclusion = excluded.conclusion,
                outcome = excluded.outcome, exit_code = excluded.exit_code, log_from = excluded.log_from, log_to = excluded.log_to,
                started_at = excluded.started_at, finished_at = excluded.finished_at,
                cpu_user_ms = excluded.cpu_user_ms, cpu_system_ms = excluded.cpu_system_ms,
                memory_peak_bytes = excluded.memory_peak_bytes, read_bytes = excluded.read_bytes,
                written_bytes = excluded.written_bytes, taken_from = excluded.taken_from"
        ),
        args![
            s.job,
            s.index,
            s.name.as_str(),
            s.state.as_str(),
            s.conclusion.as_deref(),
            s.outcome.as_deref(),
            s.exit_code,
            s.log_from,
            s.log_to,
            s.started_at,
            s.finished_at,
            s.usage.cpu_user_ms,
            s.usage.cpu_system_ms,
            s.usage.memory_peak_bytes,
            s.usage.read_bytes,
            s.usage.written_bytes,
            s.taken_from
        ],
    )
    .await
    .map(|_| ())
}

/// Ends the steps that a job left open.
///
/// # Errors
/// The database's.
pub async fn step_close(tx: &mut Tx, job: JobId, conclusion: &str, now: Timestamp) -> Result<()> {
    tx.exec(
        sql!(
            "UPDATE step SET conclusion = CASE WHEN state = 'running' THEN $2 ELSE 'skipped' END, state = 'completed', finished_at = $3
             WHERE job_id = $1 AND state <> 'completed'"
        ),
        args![job, conclusion, now],
    )
    .await
    .map(|_| ())
}

/// The steps of the current attempts of a run.
///
/// # Errors
/// The database's.
pub async fn step_list_of_run(q: impl Into<Q<'_>>, run: RunId) -> Result<Vec<StepRow>> {
    let rows = q
        .into()
        .all(
            sql!(
                "SELECT s.* FROM step s JOIN pipeline_job j ON j.id = s.job_id WHERE j.run_id = $1 AND j.superseded = $2 ORDER BY s.job_id, s.idx"
            ),
            args![run, false],
        )
        .await?;
    rows.iter().map(StepRow::from_row).collect()
}

/// The steps of one job.
///
/// # Errors
/// The database's.
pub async fn step_list(q: impl Into<Q<'_>>, job: JobId) -> Result<Vec<StepRow>> {
    let rows = q.into().all(sql!("SELECT * FROM step WHERE job_id = $1 ORDER BY idx"), args![job]).await?;
    rows.iter().map(StepRow::from_row).collect()
}
