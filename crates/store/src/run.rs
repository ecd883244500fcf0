//! Pipeline runs. Lists never load the plan, which may be large.

use kernel::{JobId, ProjectId, Result, RunId, Timestamp, UserId};

use crate::db::{Db, Q, Tx};
use crate::{Args, Row, Value, args, sql};

/// A run without its plan.
#[derive(Clone, Debug)]
pub struct RunRow {
    /// Its id.
    pub id: RunId,
    /// Whose it is.
    pub project: ProjectId,
    /// 1, 2, 3, … in the project.
    pub number: i64,
    /// Path of the workflow file.
    pub workflow: String,
    /// Name of the workflow.
    pub name: String,
    /// What it is about: the commit's title, or `run-name`.
    pub title: String,
    /// `push`, `workflow_dispatch`, …
    pub event: String,
    /// Full ref name.
    pub r#ref: String,
    /// Object id of the commit in hex.
    pub commit: String,
    /// `queued`, `running` or `completed`.
    pub state: String,
    /// `success`, `failure`, `cancelled`, `skipped`.
    pub conclusion: Option<String>,
    /// 1 for the first try.
    pub attempt: i64,
    /// Made without a workflow file.
    pub detected: bool,
    /// Who set it off.
    pub actor: Option<UserId>,
    /// What was said about the workflow file.
    pub diagnostics: serde_json::Value,
    /// Jobs so far (a matrix grows when it is expanded).
    pub jobs_total: i64,
    /// Jobs at their end.
    pub jobs_done: i64,
    /// What it follows from, so that it is made once.
    pub dedup: Option<String>,
    /// Lower-case name of its concurrency group.
    pub concurrency_group: Option<String>,
    /// The job that started it, with its run and the run at the top.
    pub parent: Option<RunParent>,
    /// Waits for another run of its group.
    pub blocked: bool,
    /// Was asked to stop.
    pub cancelled: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its first job began.
    pub started_at: Option<Timestamp>,
    /// When its last job ended.
    pub finished_at: Option<Timestamp>,
    /// What set it off besides its event: `{"schedule": …}`, `{"run": …, "depth": …}`.
    pub cause: Option<serde_json::Value>,
    /// How far it is trusted.
    pub trust: Trust,
    /// Row version.
    pub version: i64,
}

/// How far a run is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trust {
    /// Nobody who may write here stands behind it: it gets nothing that is not everybody's.
    Untrusted,
    /// A member started it.
    Member,
    /// As a member's, and of what a protected ref holds.
    Protected,
}

impl Trust {
    /// The text form.
    pub fn as_str(self) -> &'static str {
        match self {
            Trust::Untrusted => "untrusted",
            Trust::Member => "member",
            Trust::Protected => "protected",
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self> {
        let all = [Trust::Untrusted, Trust::Member, Trust::Protected];
        all.into_iter().find(|t| t.as_str() == text).ok_or_else(|| kernel::Error::internal(format!("trust {text}")))
    }
}

/// Where a run that a job started hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunParent {
    /// The run above it.
    pub run: RunId,
    /// The job there that started it.
    pub job: JobId,
    /// The run that nothing is above of.
    pub root: RunId,
}

const COLUMNS: &str = "id, project_id, number, workflow, name, title, event, ref, commit_id, state, conclusion, attempt, detected,
    account_id, diagnostics, jobs_total, jobs_done, dedup, concurrency_group, parent_run_id, parent_job_id, root_run_id,
    blocked, cancelled, created_at, started_at, finished_at, cause, trust, version";

impl RunRow {
    fn from_row(row: &Row) -> Result<Self> {
        let parent = match (row.get("parent_run_id")?, row.get("parent_job_id")?, row.get("root_run_id")?) {
            (Some(run), Some(job), Some(root)) => Some(RunParent { run, job, root }),
            _ => None,
        };
        Ok(Self {
            parent,
            id: row.get("id")?,
            project: row.get("project_id")?,
            number: row.get("number")?,
            workflow: row.get("workflow")?,
            name: row.get("name")?,
            title: row.get("title")?,
            event: row.get("event")?,
            r#ref: row.get("ref")?,
            commit: row.get("commit_id")?,
            state: row.get("state")?,
            conclusion: row.get("conclusion")?,
            attempt: row.get("attempt")?,
            detected: row.get("detected")?,
            actor: row.get("account_id")?,
            diagnostics: row.json("diagnostics")?,
            jobs_total: row.get("jobs_total")?,
            jobs_done: row.get("jobs_done")?,
            dedup: row.get("dedup")?,
            concurrency_group: row.get("concurrency_group")?,
            blocked: row.get("blocked")?,
            cancelled: row.get("cancelled")?,
            created_at: row.get("created_at")?,
            started_at: row.get("started_at")?,
            finished_at: row.get("finished_at")?,
            cause: row.get::<Option<String>>("cause")?.map(|t| serde_json::from_str(&t).map_err(kernel::Error::internal)).transpose()?,
            trust: Trust::parse(&row.get::<String>("trust")?)?,
            version: row.get("version")?,
        })
    }
}

/// The run that was made of something before.
///
/// # Errors
/// The database's.
pub async fn run_by_dedup(db: &Db, project: ProjectId, dedup: &str) -> Result<Option<RunId>> {
    let row = db.opt(sql!("SELECT id FROM run WHERE project_id = $1 AND dedup = $2"), args![project, dedup]).await?;
    row.map(|row| row.get("id")).transpose()
}

/// Adds a run and gives it the next number of its project. False when what it follows from has one already.
///
/// # Errors
/// The database's.
pub async fn run_create(tx: &mut Tx, run: &mut RunRow, plan: &serde_json::Value, contexts: &serde_json::Value) -> Result<bool> {
    // the lock makes the number and the look for a double safe against other instances
    crate::dialect::project_lock(tx, run.project).await?;
    if let Some(dedup) = &run.dedup {
        let found = tx.opt(sql!("SELECT id FROM run WHERE project_id = $1 AND dedup = $2"), args![run.project, dedup.as_str()]).await?;
        if found.is_some() {
            return Ok(false);
        }
    }
    let last = tx.one(sql!("SELECT COALESCE(MAX(number), 0) AS last FROM run WHERE project_id = $1"), args![run.project]).await?;
    run.number = last.get::<i64>("last")? + 1;
    tx.exec(
        sql!(
            "INSERT INTO run (id, project_id, number, workflow, name, title, event, ref, commit_id, state, conclusion, attempt, detected,
                account_id, plan, contexts, diagnostics, jobs_total, jobs_done, dedup, concurrency_group, blocked, cancelled,
                created_at, started_at, finished_at, cause, parent_run_id, parent_job_id, root_run_id, trust, version)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26,
                $27, $28, $29, $30, $31, 1)"
        ),
        args![
            run.id,
            run.project,
            run.number,
            run.workflow.as_str(),
            run.name.as_str(),
            run.title.as_str(),
            run.event.as_str(),
            run.r#ref.as_str(),
            run.commit.as_str(),
            run.state.as_str(),
            run.conclusion.as_deref(),
            run.attempt,
            run.detected,
            run.actor,
            plan,
            contexts,
            &run.diagnostics,
            run.jobs_total,
            run.jobs_done,
            run.dedup.as_deref(),
            run.concurrency_group.as_deref(),
            run.blocked,
            run.cancelled,
            run.created_at,
            run.started_at,
            run.finished_at,
            run.cause.clone(),
            run.parent.map(|p| p.run),
            run.parent.map(|p| p.job),
            run.parent.map(|p| p.root),
            run.trust.as_str()
        ],
    )
    .await?;
    Ok(true)
}

/// A run by id.
///
/// # Errors
/// The database's.
pub async fn run_get(q: impl Into<Q<'_>>, id: RunId) -> Result<Option<RunRow>> {
    let sql = format!("SELECT {COLUMNS} FROM run WHERE id = $1");
    q.into().opt(&sql, args![id]).await?.as_ref().map(RunRow::from_row).transpose()
}

/// A run by id, locked for the rest of the transaction: the scheduler decides about one run at a time.
///
/// # Errors
/// The database's.
pub async fn run_lock(tx: &mut Tx, id: RunId) -> Result<Option<RunRow>> {
    let sql = format!("SELECT {COLUMNS} FROM run WHERE id = $1{}", crate::dialect::for_update(tx));
    tx.opt(&sql, args![id]).await?.as_ref().map(RunRow::from_row).transpose()
}

/// The run of a job, locked as by [`run_lock`].
///
/// # Errors
/// The database's.
pub async fn run_lock_of(tx: &mut Tx, job: JobId) -> Result<Option<RunRow>> {
    let of = "id = (SELECT j.run_id FROM pipeline_job j WHERE j.id = $1)";
    let sql = format!("SELECT {COLUMNS} FROM run WHERE {of}{}", crate::dialect::for_update(tx));
    tx.opt(&sql, args![job]).await?.as_ref().map(RunRow::from_row).transpose()
}

/// The plan of a run and the contexts it was made with (`github`, `inputs`).
///
/// # Errors
/// The database's.
pub async fn run_plan(q: impl Into<Q<'_>>, id: RunId) -> Result<Option<(serde_json::Value, serde_json::Value)>> {
    let row = q.into().opt(sql!("SELECT plan, contexts FROM run WHERE id = $1"), args![id]).await?;
    row.map(|r| Ok((r.json("plan")?, r.json("contexts")?))).transpose()
}

/// As [`run_plan`], as text. They never change after the run was made.
///
/// # Errors
/// The database's.
pub async fn run_plan_text(q: impl Into<Q<'_>>, id: RunId) -> Result<Option<(String, String)>> {
    let row = q.into().opt(sql!("SELECT plan, contexts FROM run WHERE id = $1"), args![id]).await?;
    row.map(|r| Ok((r.get("plan")?, r.get("contexts")?))).transpose()
}

/// Counts one more job of a run that goes on as done.
///
/// # Errors
/// The database's.
pub async fn run_job_done(tx: &mut Tx, run: &mut RunRow) -> Result<()> {
    run.jobs_done += 1;
    run.version += 1;
    let sql = sql!("UPDATE run SET jobs_done = $2, version = $3 WHERE id = $1");
    tx.exec(sql, args![run.id, run.jobs_done, run.version]).await.map(|_| ())
}

/// Writes what may change of a run.
///
/// # Errors
/// The database's.
pub async fn run_update(tx: &mut Tx, run: &RunRow) -> Result<()> {
    tx.exec(
        sql!(
            "UPDATE run SET state = $2, conclusion = $3, attempt = $4, jobs_total = $5, jobs_done = $6, blocked = $7, cancelled = $8,
                started_at = $9, finished_at = $10, concurrency_group = $11, version = version + 1 WHERE id = $1"
        ),
        args![
            run.id,
            run.state.as_str(),
            run.conclusion.as_deref(),
            run.attempt,
            run.jobs_total,
            run.jobs_done,
            run.blocked,
            run.cancelled,
            run.started_at,
            run.finished_at,
            run.concurrency_group.as_deref()
        ],
    )
    .await
    .map(|_| ())
}

/// What a list of runs is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// Full ref name.
    pub r#ref: Option<String>,
    /// State.
    pub state: Option<String>,
    /// Path of the workflow.
    pub workflow: Option<String>,
    /// Commit.
    pub commit: Option<String>,
    /// What started them.
    pub event: Option<String>,
    /// Who set them off.
    pub actor: Option<UserId>,
    /// How they ended.
    pub conclusion: Option<String>,
}

/// Runs of a project, newest first, with numbers below `before`.
///
/// # Errors
/// The database's.
pub async fn run_list(db: &Db, project: ProjectId, filter: &RunFilter, before: Option<i64>, limit: i64) -> Result<Vec<RunRow>> {
    let mut sql = format!("SELECT {COLUMNS} FROM run WHERE project_id = $1 AND number < $2");
    let mut binds: Args = args![project, before.unwrap_or(i64::MAX)];
    let texts = [
        ("ref", &filter.r#ref),
        ("state", &filter.state),
        ("workflow", &filter.workflow),
        ("commit_id", &filter.commit),
        ("event", &filter.event),
        ("conclusion", &filter.conclusion),
    ];
    let texts = texts.into_iter().filter_map(|(column, value)| Some((column, Value::from(value.as_deref()?))));
    for (column, value) in texts.chain(filter.actor.map(|id| ("account_id", Value::from(id)))) {
        binds.push(value);
        sql.push_str(&format!(" AND {column} = ${}", binds.len()));
    }
    binds.push(Value::from(limit));
    sql.push_str(&format!(" ORDER BY number DESC LIMIT ${}", binds.len()));
    db.all(&sql, binds).await?.iter().map(RunRow::from_row).collect()
}

/// The runs of a concurrency group that have not ended, oldest first.
///
/// # Errors
/// The database's.
pub async fn run_group(tx: &mut Tx, project: ProjectId, group: &str) -> Result<Vec<RunRow>> {
    let sql =
        format!("SELECT {COLUMNS} FROM run WHERE project_id = $1 AND concurrency_group = $2 AND state <> 'completed' ORDER BY number");
    tx.all(&sql, args![project, group]).await?.iter().map(RunRow::from_row).collect()
}

/// Most runs that one starts and that are looked at together.
const CHILDREN: i64 = 2_000;

/// The runs that jobs of a run started, oldest first.
///
/// # Errors
/// The database's.
pub async fn run_children(q: impl Into<Q<'_>>, parent: RunId) -> Result<Vec<RunRow>> {
    let sql = format!("SELECT {COLUMNS} FROM run WHERE parent_run_id = $1 ORDER BY id LIMIT $2");
    q.into().all(&sql, args![parent, CHILDREN]).await?.iter().map(RunRow::from_row).collect()
}

/// How many runs hang below one, at any depth.
///
/// # Errors
/// The database's.
pub async fn run_below(q: impl Into<Q<'_>>, root: RunId) -> Result<i64> {
    q.into().one(sql!("SELECT COUNT(*) AS n FROM run WHERE root_run_id = $1"), args![root]).await?.get("n")
}

/// Runs of a workflow for a ref, older than one and not ended, that nothing but their event made.
///
/// # Errors
/// The database's.
pub async fn run_older(tx: &mut Tx, run: &RunRow) -> Result<Vec<RunId>> {
    let rows = tx
        .all(
            sql!(
                "SELECT id FROM run WHERE project_id = $1 AND ref = $2 AND number < $3 AND workflow = $4 AND event = $5
                    AND state <> 'completed' AND parent_run_id IS NULL AND commit_id <> $6 ORDER BY number DESC LIMIT 100"
            ),
            args![run.project, run.r#ref.as_str(), run.number, run.workflow.as_str(), run.event.as_str(), run.commit.as_str()],
        )
        .await?;
    rows.iter().map(|r| r.get("id")).collect()
}

/// Notes that a job of a queued run has begun; true for the first.
///
/// # Errors
/// The database's.
pub async fn run_started(tx: &mut Tx, id: RunId, now: Timestamp) -> Result<bool> {
    let n = tx.exec(
        sql!("UPDATE run SET state = 'running', started_at = COALESCE(started_at, $2), version = version + 1 WHERE id = $1 AND state = 'queued'"),
        args![id, now],
    )
    .await?;
    Ok(n == 1)
}

/// Runs of a project that have not ended.
///
/// # Errors
/// The database's.
pub async fn run_open(db: &Db, project: ProjectId) -> Result<Vec<RunId>> {
    let rows = db.all(sql!("SELECT id FROM run WHERE project_id = $1 AND state <> 'completed' ORDER BY number"), args![project]).await?;
    rows.iter().map(|r| r.get("id")).collect()
}

/// Removes up to `RUNS_AT_ONCE` runs of a project with all that belongs to them, and last its secrets, variables and
/// caches. True while there is more.
///
/// # Errors
/// The database's.
pub async fn pipeline_purge(tx: &mut Tx, project: ProjectId) -> Result<bool> {
    let runs = tx.all(sql!("SELECT id FROM run WHERE project_id = $1 ORDER BY number LIMIT $2"), args![project, RUNS_AT_ONCE]).await?;
    for row in &runs {
        let run: RunId = row.get("id")?;
        // children before what they refer to
        for statement in [
            sql!("DELETE FROM step WHERE job_id IN (SELECT id FROM pipeline_job WHERE run_id = $1)"),
            sql!("DELETE FROM job_log WHERE job_id IN (SELECT id FROM pipeline_job WHERE run_id = $1)"),
            sql!("DELETE FROM job_call WHERE job_id IN (SELECT id FROM pipeline_job WHERE run_id = $1)"),
            sql!("DELETE FROM job_kept WHERE job_id IN (SELECT id FROM pipeline_job WHERE run_id = $1)"),
            sql!("DELETE FROM job_resumed WHERE job_id IN (SELECT id FROM pipeline_job WHERE run_id = $1)"),
            sql!("DELETE FROM artifact WHERE run_id = $1"),
            sql!("DELETE FROM test_case WHERE run_id = $1"),
            sql!("DELETE FROM test_split WHERE run_id = $1"),
            sql!("DELETE FROM test_total WHERE run_id = $1"),
            sql!("DELETE FROM coverage_file WHERE run_id = $1"),
            sql!("DELETE FROM step_summary WHERE run_id = $1"),
            sql!("DELETE FROM provenance WHERE run_id = $1"),
            sql!("DELETE FROM job_question WHERE run_id = $1"),
            sql!("DELETE FROM run_milestone WHERE run_id = $1"),
            sql!("DELETE FROM pipeline_job WHERE run_id = $1"),
            sql!("DELETE FROM run WHERE id = $1"),
        ] {
            tx.exec(statement, args![run]).await?;
        }
    }
    if !runs.is_empty() {
        return Ok(true);
    }
    for statement in [
        sql!("DELETE FROM cache_entry WHERE project_id = $1"),
        sql!("DELETE FROM upload_block WHERE upload_id IN (SELECT id FROM upload WHERE project_id = $1)"),
        sql!("DELETE FROM upload WHERE project_id = $1"),
        sql!("DELETE FROM test WHERE project_id = $1"),
        sql!("DELETE FROM scoped_secret WHERE scope_id = $1"),
        sql!("DELETE FROM scoped_variable WHERE scope_id = $1"),
        // what an older release left
        sql!("DELETE FROM secret WHERE project_id = $1"),
        sql!("DELETE FROM variable WHERE project_id = $1"),
        sql!("DELETE FROM schedule WHERE project_id = $1"),
        sql!("DELETE FROM run_listener WHERE project_id = $1"),
        sql!("DELETE FROM job_environment WHERE project_id = $1"),
        sql!("DELETE FROM resource_group WHERE project_id = $1"),
    ] {
        tx.exec(statement, args![project]).await?;
    }
    Ok(false)
}

/// Runs that [`pipeline_purge`] removes in one transaction.
const RUNS_AT_ONCE: i64 = 50;
