//! What running jobs ask of people, and what these say; and which milestones runs have passed.

use kernel::{JobId, JobQuestionId, ProjectId, Result, RunId, Timestamp, UserId};
use serde_json::Value;

use crate::db::{Db, Q, Tx};
use crate::{Row, args, sql};

/// A question.
#[derive(Clone, Debug)]
pub struct JobQuestionRow {
    /// Its id.
    pub id: JobQuestionId,
    /// The job that asks.
    pub job: JobId,
    /// Its run.
    pub run: RunId,
    /// Unique in the job.
    pub key: String,
    /// What is asked, as the job put it.
    pub question: Value,
    /// What was said.
    pub answer: Option<Value>,
    /// Who said it.
    pub by: Option<UserId>,
    /// When it was asked.
    pub created_at: Timestamp,
    /// When it was answered.
    pub answered_at: Option<Timestamp>,
}

impl JobQuestionRow {
    fn from_row(row: &Row) -> Result<Self> {
        let answer: Option<String> = row.get("answer")?;
        Ok(Self {
            id: row.get("id")?,
            job: row.get("job_id")?,
            run: row.get("run_id")?,
            key: row.get("question_key")?,
            question: row.json("question")?,
            answer: answer.map(|a| serde_json::from_str(&a).map_err(kernel::Error::internal)).transpose()?,
            by: row.get("account_id")?,
            created_at: row.get("created_at")?,
            answered_at: row.get("answered_at")?,
        })
    }
}

/// Asks; false when it was asked before.
///
/// # Errors
/// The database's.
pub async fn job_question_create(tx: &mut Tx, q: &JobQuestionRow) -> Result<bool> {
    let n = tx
        .exec(
            sql!(
                "INSERT INTO job_question (id, job_id, run_id, question_key, question, created_at) VALUES ($1, $2, $3, $4, $5, $6)
                 ON CONFLICT (job_id, question_key) DO NOTHING"
            ),
            args![q.id, q.job, q.run, q.key.as_str(), &q.question, q.created_at],
        )
        .await?;
    Ok(n == 1)
}

/// A question of a job by its key.
///
/// # Errors
/// The database's.
pub async fn job_question_by_key(q: impl Into<Q<'_>>, job: JobId, key: &str) -> Result<Option<JobQuestionRow>> {
    let row = q.into().opt(sql!("SELECT * FROM job_question WHERE job_id = $1 AND question_key = $2"), args![job, key]).await?;
    row.as_ref().map(JobQuestionRow::from_row).transpose()
}

/// Questions of running jobs of a run that nobody has answered, the oldest first.
///
/// # Errors
/// The database's.
pub async fn job_question_open(q: impl Into<Q<'_>>, run: RunId) -> Result<Vec<JobQuestionRow>> {
    let rows = q
        .into()
        .all(
            sql!(
                "SELECT q.* FROM job_question q JOIN pipeline_job j ON j.id = q.job_id
                 WHERE q.run_id = $1 AND q.answered_at IS NULL AND j.state = 'running' ORDER BY q.id"
            ),
            args![run],
        )
        .await?;
    rows.iter().map(JobQuestionRow::from_row).collect()
}

/// How many questions a job has asked.
///
/// # Errors
/// The database's.
pub async fn job_question_count(q: impl Into<Q<'_>>, job: JobId) -> Result<i64> {
    q.into().one(sql!("SELECT COUNT(*) AS n FROM job_question WHERE job_id = $1"), args![job]).await?.get("n")
}

/// Answers a question; false when somebody was faster.
///
/// # Errors
/// The database's.
pub async fn job_question_answer(tx: &mut Tx, id: JobQuestionId, answer: &Value, by: Option<UserId>, now: Timestamp) -> Result<bool> {
    let n = tx
        .exec(
            sql!("UPDATE job_question SET answer = $2, account_id = $3, answered_at = $4 WHERE id = $1 AND answered_at IS NULL"),
            args![id, answer, by, now],
        )
        .await?;
    Ok(n == 1)
}

/// A run at a milestone.
#[derive(Clone, Debug)]
pub struct Milestone<'m> {
    /// The run.
    pub run: RunId,
    /// Its project.
    pub project: ProjectId,
    /// Path of its workflow.
    pub workflow: &'m str,
    /// Full name of its ref.
    pub r#ref: &'m str,
    /// Its number.
    pub number: i64,
    /// Which milestone.
    pub ordinal: i64,
}

/// Passes a milestone, if no newer run has: the number of that, or the older runs that are overtaken.
///
/// # Errors
/// The database's.
pub async fn milestone_pass(tx: &mut Tx, m: &Milestone<'_>) -> Result<std::result::Result<Vec<RunId>, i64>> {
    let newer = tx
        .opt(
            sql!(
                "SELECT number FROM run_milestone WHERE project_id = $1 AND workflow = $2 AND ref = $3 AND number > $4 AND ordinal >= $5
                 ORDER BY number DESC LIMIT 1"
            ),
            args![m.project, m.workflow, m.r#ref, m.number, m.ordinal],
        )
        .await?;
    if let Some(row) = newer {
        return Ok(Err(row.get("number")?));
    }
    tx.exec(
        sql!(
            "INSERT INTO run_milestone (run_id, project_id, workflow, ref, number, ordinal) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (run_id) DO UPDATE SET ordinal = excluded.ordinal"
        ),
        args![m.run, m.project, m.workflow, m.r#ref, m.number, m.ordinal],
    )
    .await?;
    let older = tx
        .all(
            sql!(
                "SELECT m.run_id FROM run_milestone m JOIN run r ON r.id = m.run_id WHERE m.project_id = $1 AND m.workflow = $2 AND m.ref = $3
                 AND m.number < $4 AND m.ordinal < $5 AND r.state <> 'completed' ORDER BY m.number LIMIT 200"
            ),
            args![m.project, m.workflow, m.r#ref, m.number, m.ordinal],
        )
        .await?;
    older.iter().map(|r| r.get("run_id")).collect::<Result<Vec<RunId>>>().map(Ok)
}

/// Questions of a job that nobody has answered, the oldest first.
///
/// # Errors
/// The database's.
pub async fn job_question_list(db: &Db, job: JobId) -> Result<Vec<JobQuestionRow>> {
    let rows = db.all(sql!("SELECT * FROM job_question WHERE job_id = $1 AND answered_at IS NULL ORDER BY id"), args![job]).await?;
    rows.iter().map(JobQuestionRow::from_row).collect()
}
