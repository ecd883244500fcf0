//! Deployments: attempts to bring a release to an environment, one at a time in each, with their steps. A deployment
//! ends once: every write that ends one is conditional on its being open.

use kernel::{DeploymentId, EnvironmentId, ProjectId, ReleaseId, Result, RunId, Timestamp, UserId};

use crate::db::{Db, Q, Tx};
use crate::{Row, args, sql};

/// A deployment.
#[derive(Clone, Debug)]
pub struct DeploymentRow {
    /// Its id.
    pub id: DeploymentId,
    /// Whose it is.
    pub project: ProjectId,
    /// Where to.
    pub environment: EnvironmentId,
    /// What.
    pub release: ReleaseId,
    /// `deploy`, `rollback` or `automatic_rollback`.
    pub kind: String,
    /// `queued`, `running` or `completed`.
    pub state: String,
    /// `success`, `failure`, `rolled_back` or `superseded`, once completed.
    pub conclusion: Option<String>,
    /// The steps and their states.
    pub steps: serde_json::Value,
    /// Why it ended so.
    pub reason: Option<String>,
    /// Who asked.
    pub account: Option<UserId>,
    /// The pipeline run it belongs to.
    pub run: Option<RunId>,
    /// Names the request that made it, so that it makes no second one.
    pub key: Option<String>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When work on it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

impl DeploymentRow {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            project: row.get("project_id")?,
            environment: row.get("environment_id")?,
            release: row.get("release_id")?,
            kind: row.get("kind")?,
            state: row.get("state")?,
            conclusion: row.get("conclusion")?,
            steps: row.json("steps")?,
            reason: row.get("reason")?,
            account: row.get("account_id")?,
            run: row.get("run_id")?,
            key: row.get("request_key")?,
            created_at: row.get("created_at")?,
            started_at: row.get("started_at")?,
            finished_at: row.get("finished_at")?,
        })
    }
}

/// The topic of one deployment's changes.
pub fn topic(id: DeploymentId) -> String {
    format!("deployment:{id}")
}

/// Adds a queued deployment.
///
/// # Errors
/// The database's.
pub async fn deployment_create(tx: &mut Tx, d: &DeploymentRow) -> Result<()> {
    tx.exec(
        sql!(
            "INSERT INTO deployment (id, project_id, environment_id, release_id, kind, state, steps, account_id, run_id, request_key, created_at)
             VALUES ($1, $2, $3, $4, $5, 'queued', $6, $7, $8, $9, $10)"
        ),
        args![d.id, d.project, d.environment, d.release, &d.kind, &d.steps, d.account, d.run, d.key.clone(), d.created_at],
    )
    .await?;
    tx.wake(crate::environment::TOPIC);
    Ok(())
}

/// A deployment by id.
///
/// # Errors
/// The database's.
pub async fn deployment_get(q: impl Into<Q<'_>>, id: DeploymentId) -> Result<Option<DeploymentRow>> {
    let row = q.into().opt(sql!("SELECT * FROM deployment WHERE id = $1"), args![id]).await?;
    row.as_ref().map(DeploymentRow::from_row).transpose()
}

/// Deployments of an environment that have not ended, oldest first.
///
/// # Errors
/// The database's.
pub async fn deployment_open(q: impl Into<Q<'_>>, environment: EnvironmentId) -> Result<Vec<DeploymentRow>> {
    let rows = q
        .into()
        .all(sql!("SELECT * FROM deployment WHERE environment_id = $1 AND state <> 'completed' ORDER BY id"), args![environment])
        .await?;
    rows.iter().map(DeploymentRow::from_row).collect()
}

/// The deployment that a request made before.
///
/// # Errors
/// The database's.
pub async fn deployment_by_key(q: impl Into<Q<'_>>, environment: EnvironmentId, key: &str) -> Result<Option<DeploymentRow>> {
    let row =
        q.into().opt(sql!("SELECT * FROM deployment WHERE environment_id = $1 AND request_key = $2"), args![environment, key]).await?;
    row.as_ref().map(DeploymentRow::from_row).transpose()
}

/// Deployments of a project, newest first, before `before`; of one environment when given.
///
/// # Errors
/// The database's.
pub async fn deployment_list(
    db: &Db,
    project: ProjectId,
    environment: Option<EnvironmentId>,
    before: Option<DeploymentId>,
    limit: i64,
) -> Result<Vec<DeploymentRow>> {
    let before = before.map_or(uuid::Uuid::max(), DeploymentId::uuid);
    let rows = match environment {
        None => {
            db.all(
                sql!("SELECT * FROM deployment WHERE project_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"),
                args![project, before, limit],
            )
            .await?
        }
        Some(environment) => {
            db.all(
                sql!("SELECT * FROM deployment WHERE project_id = $1 AND id < $2 AND environment_id = $4 ORDER BY id DESC LIMIT $3"),
                args![project, before, limit, environment],
            )
            .await?
        }
    };
    rows.iter().map(DeploymentRow::from_row).collect()
}

/// Notes that work on a deployment goes on, and how far it is. False when it has ended.
///
/// # Errors
/// The database's.
pub async fn deployment_step(tx: &mut Tx, id: DeploymentId, steps: &serde_json::Value) -> Result<bool> {
    let n = tx
        .exec(
            sql!(
                "UPDATE deployment SET state = 'running', steps = $2, started_at = COALESCE(started_at, $3) WHERE id = $1 AND state <> 'completed'"
            ),
            args![id, steps, Timestamp::now()],
        )
        .await?;
    tx.wake(topic(id));
    Ok(n == 1)
}

/// Ends a deployment. False when it had ended: then nothing is written.
///
/// # Errors
/// The database's.
pub async fn deployment_finish(
    tx: &mut Tx,
    id: DeploymentId,
    conclusion: &str,
    reason: Option<&str>,
    steps: &serde_json::Value,
) -> Result<bool> {
    let n = tx
        .exec(
            sql!(
                "UPDATE deployment SET state = 'completed', conclusion = $2, reason = $3, steps = $4, finished_at = $5
                 WHERE id = $1 AND state <> 'completed'"
            ),
            args![id, conclusion, reason.map(str::to_owned), steps, Timestamp::now()],
        )
        .await?;
    tx.wake(topic(id));
    Ok(n == 1)
}
