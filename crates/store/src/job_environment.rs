//! Environments as the jobs of pipelines name them: what was deployed to each last, which job stops it, and when. And how
//! the jobs of a resource group take their turns.

use kernel::{JobEnvironmentId, JobId, ProjectId, Result, RunId, Timestamp};

use crate::db::{Db, Q, Tx};
use crate::{Row, args, sql};

/// An environment that jobs have named.
#[derive(Clone, Debug)]
pub struct JobEnvironmentRow {
    /// Its id.
    pub id: JobEnvironmentId,
    /// Its project.
    pub project: ProjectId,
    /// Its name in the project.
    pub name: String,
    /// `production`, `staging`, `testing`, `development`, `other`.
    pub tier: String,
    /// `available`, `stopping`, `stopped`.
    pub state: String,
    /// Why it could not be stopped.
    pub detail: Option<String>,
    /// Where it answers.
    pub url: Option<String>,
    /// Full name of the ref that was deployed.
    pub r#ref: String,
    /// Commit that was deployed.
    pub commit: String,
    /// The run that deployed.
    pub run: RunId,
    /// The job that deployed.
    pub job: JobId,
    /// Key of the job of that run that stops it.
    pub on_stop: Option<String>,
    /// The job that is stopping it.
    pub stop_job: Option<JobId>,
    /// Stopped then.
    pub auto_stop_at: Option<Timestamp>,
    /// When it was first deployed to.
    pub created_at: Timestamp,
    /// When its state last changed.
    pub updated_at: Timestamp,
}

impl JobEnvironmentRow {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            project: row.get("project_id")?,
            name: row.get("name")?,
            tier: row.get("tier")?,
            state: row.get("state")?,
            detail: row.get("detail")?,
            url: row.get("url")?,
            r#ref: row.get("ref")?,
            commit: row.get("commit_id")?,
            run: row.get("run_id")?,
            job: row.get("job_id")?,
            on_stop: row.get("on_stop")?,
            stop_job: row.get("stop_job_id")?,
            auto_stop_at: row.get("auto_stop_at")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        })
    }
}

fn rows(rows: &[Row]) -> Result<Vec<JobEnvironmentRow>> {
    rows.iter().map(JobEnvironmentRow::from_row).collect()
}

/// Notes what was deployed: a new environment, or the new state of one.
///
/// # Errors
/// The database's.
pub async fn job_environment_deployed(tx: &mut Tx, e: &JobEnvironmentRow) -> Result<()> {
    tx.exec(
        sql!(
            "INSERT INTO job_environment (id, project_id, name, tier, state, detail, url, ref, commit_id, run_id, job_id, on_stop,
                stop_job_id, auto_stop_at, created_at, updated_at)
             VALUES ($1, $2, $3, $4, 'available', NULL, $5, $6, $7, $8, $9, $10, NULL, $11, $12, $12)
             ON CONFLICT (project_id, name) DO UPDATE SET tier = excluded.tier, state = 'available', detail = NULL, url = excluded.url,
                ref = excluded.ref, commit_id = excluded.commit_id, run_id = excluded.run_id, job_id = excluded.job_id,
                on_stop = excluded.on_stop, stop_job_id = NULL, auto_stop_at = excluded.auto_stop_at, updated_at = excluded.updated_at"
        ),
        args![
            e.id,
            e.project,
            e.name.as_str(),
            e.tier.as_str(),
            e.url.as_deref(),
            e.r#ref.as_str(),
            e.commit.as_str(),
            e.run,
            e.job,
            e.on_stop.as_deref(),
            e.auto_stop_at,
            e.updated_at
        ],
    )
    .await
    .map(|_| ())
}

/// Writes the state of an environment, unless somebody deployed to it since it was read. False when somebody did.
///
/// # Errors
/// The database's.
pub async fn job_environment_update(tx: &mut Tx, e: &JobEnvironmentRow) -> Result<bool> {
    let n = tx
        .exec(
            sql!(
                "UPDATE job_environment SET state = $3, detail = $4, stop_job_id = $5, auto_stop_at = $6, updated_at = $7
                 WHERE id = $1 AND job_id = $2"
            ),
            args![e.id, e.job, e.state.as_str(), e.detail.as_deref(), e.stop_job, e.auto_stop_at, e.updated_at],
        )
        .await?;
    Ok(n == 1)
}

/// An environment by id.
///
/// # Errors
/// The database's.
pub async fn job_environment_get(q: impl Into<Q<'_>>, id: JobEnvironmentId) -> Result<Option<JobEnvironmentRow>> {
    let row = q.into().opt(sql!("SELECT * FROM job_environment WHERE id = $1"), args![id]).await?;
    row.as_ref().map(JobEnvironmentRow::from_row).transpose()
}

/// An environment of a project by its name.
///
/// # Errors
/// The database's.
pub async fn job_environment_by_name(q: impl Into<Q<'_>>, project: ProjectId, name: &str) -> Result<Option<JobEnvironmentRow>> {
    let row = q.into().opt(sql!("SELECT * FROM job_environment WHERE project_id = $1 AND name = $2"), args![project, name]).await?;
    row.as_ref().map(JobEnvironmentRow::from_row).transpose()
}

/// Environments of a project by name, after `last`.
///
/// # Errors
/// The database's.
pub async fn job_environment_list(
    db: &Db,
    project: ProjectId,
    state: Option<&str>,
    last: &str,
    limit: i64,
) -> Result<Vec<JobEnvironmentRow>> {
    let found = match state {
        Some(state) => {
            let sql = sql!("SELECT * FROM job_environment WHERE project_id = $1 AND name > $2 AND state = $4 ORDER BY name LIMIT $3");
            db.all(sql, args![project, last, limit, state]).await?
        }
        None => {
            let sql = sql!("SELECT * FROM job_environment WHERE project_id = $1 AND name > $2 ORDER BY name LIMIT $3");
            db.all(sql, args![project, last, limit]).await?
        }
    };
    rows(&found)
}

/// Environments whose time is over, the oldest first.
///
/// # Errors
/// The database's.
pub async fn job_environment_due(db: &Db, now: Timestamp, limit: i64) -> Result<Vec<JobEnvironmentRow>> {
    let sql = sql!("SELECT * FROM job_environment WHERE auto_stop_at <= $1 AND state = 'available' ORDER BY auto_stop_at LIMIT $2");
    rows(&db.all(sql, args![now, limit]).await?)
}

/// Environments that are being stopped by a job that has ended.
///
/// # Errors
/// The database's.
pub async fn job_environment_ended(db: &Db, limit: i64) -> Result<Vec<(JobEnvironmentRow, String)>> {
    let found = db
        .all(
            sql!(
                "SELECT e.*, j.conclusion AS ended_as FROM job_environment e JOIN pipeline_job j ON j.id = e.stop_job_id
                 WHERE e.state = 'stopping' AND j.state = 'completed' ORDER BY e.id LIMIT $1"
            ),
            args![limit],
        )
        .await?;
    found.iter().map(|r| Ok((JobEnvironmentRow::from_row(r)?, r.get::<Option<String>>("ended_as")?.unwrap_or_default()))).collect()
}

/// Environments to which a ref was deployed last, and that stand.
///
/// # Errors
/// The database's.
pub async fn job_environment_of_ref(db: &Db, project: ProjectId, reference: &str, limit: i64) -> Result<Vec<JobEnvironmentRow>> {
    let sql = sql!("SELECT * FROM job_environment WHERE project_id = $1 AND ref = $2 AND state = 'available' ORDER BY name LIMIT $3");
    rows(&db.all(sql, args![project, reference, limit]).await?)
}

/// Forgets an environment that is stopped. False when it is not.
///
/// # Errors
/// The database's.
pub async fn job_environment_delete(tx: &mut Tx, id: JobEnvironmentId) -> Result<bool> {
    Ok(tx.exec(sql!("DELETE FROM job_environment WHERE id = $1 AND state = 'stopped'"), args![id]).await? == 1)
}

/// How the jobs of a resource group take their turns.
#[derive(Clone, Debug)]
pub struct ResourceGroupRow {
    /// Its name.
    pub name: String,
    /// `unordered`, `oldest_first`, `newest_first`, `newest_ready_first`.
    pub mode: String,
    /// When that was said.
    pub updated_at: Timestamp,
}

impl ResourceGroupRow {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self { name: row.get("name")?, mode: row.get("mode")?, updated_at: row.get("updated_at")? })
    }
}

/// Says how the jobs of a group take their turns.
///
/// # Errors
/// The database's.
pub async fn resource_group_set(tx: &mut Tx, project: ProjectId, name: &str, mode: &str, now: Timestamp) -> Result<()> {
    tx.exec(
        sql!(
            "INSERT INTO resource_group (project_id, name, mode, updated_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (project_id, name) DO UPDATE SET mode = excluded.mode, updated_at = excluded.updated_at"
        ),
        args![project, name, mode, now],
    )
    .await
    .map(|_| ())
}

/// How the jobs of a group take their turns, if somebody said so.
///
/// # Errors
/// The database's.
pub async fn resource_group_get(q: impl Into<Q<'_>>, project: ProjectId, name: &str) -> Result<Option<ResourceGroupRow>> {
    let row = q.into().opt(sql!("SELECT * FROM resource_group WHERE project_id = $1 AND name = $2"), args![project, name]).await?;
    row.as_ref().map(ResourceGroupRow::from_row).transpose()
}

/// Groups of a project of which somebody said so, by name.
///
/// # Errors
/// The database's.
pub async fn resource_group_list(db: &Db, project: ProjectId, last: &str, limit: i64) -> Result<Vec<ResourceGroupRow>> {
    let found = db
        .all(sql!("SELECT * FROM resource_group WHERE project_id = $1 AND name > $2 ORDER BY name LIMIT $3"), args![project, last, limit])
        .await?;
    found.iter().map(ResourceGroupRow::from_row).collect()
}
