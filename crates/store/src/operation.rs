//! Durable multi-step flows: which steps there are, how far they got, and the outcome.

use kernel::{OperationId, ProjectId, Result, Timestamp, UserId};

use crate::db::{Db, Q, Tx};
use crate::{Row, args, sql};

/// One flow.
#[derive(Clone, Debug)]
pub struct OperationRow {
    /// Its id.
    pub id: OperationId,
    /// Which flow, such as `project_create`.
    pub kind: String,
    /// `running`, `succeeded` or `failed`.
    pub state: String,
    /// The project it works on; reserved from the first.
    pub project: ProjectId,
    /// The path it will have.
    pub project_path: String,
    /// Who asked.
    pub account: Option<UserId>,
    /// The request, validated.
    pub request: serde_json::Value,
    /// The steps and their states.
    pub steps: serde_json::Value,
    /// The problem it ended with.
    pub error: Option<serde_json::Value>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

impl OperationRow {
    fn from_row(row: &Row) -> Result<Self> {
        let error: Option<String> = row.get("error")?;
        Ok(Self {
            id: row.get("id")?,
            kind: row.get("kind")?,
            state: row.get("state")?,
            project: row.get("project_id")?,
            project_path: row.get("project_path")?,
            account: row.get("account_id")?,
            request: row.json("request")?,
            steps: row.json("steps")?,
            error: error.map(|e| serde_json::from_str(&e).map_err(kernel::Error::internal)).transpose()?,
            created_at: row.get("created_at")?,
            finished_at: row.get("finished_at")?,
        })
    }
}

/// Adds a running flow.
///
/// # Errors
/// The database's.
pub async fn operation_create(tx: &mut Tx, op: &OperationRow) -> Result<()> {
    tx.exec(
        sql!(
            "INSERT INTO operation (id, kind, state, project_id, project_path, account_id, request, steps, created_at)
             VALUES ($1, $2, 'running', $3, $4, $5, $6, $7, $8)"
        ),
        args![op.id, op.kind.as_str(), op.project, op.project_path.as_str(), op.account, &op.request, &op.steps, op.created_at],
    )
    .await
    .map(|_| ())
}

/// A flow by id.
///
/// # Errors
/// The database's.
pub async fn operation_get(q: impl Into<Q<'_>>, id: OperationId) -> Result<Option<OperationRow>> {
    let row = q.into().opt(sql!("SELECT * FROM operation WHERE id = $1"), args![id]).await?;
    row.as_ref().map(OperationRow::from_row).transpose()
}

/// Records how far a flow got and wakes its watchers.
///
/// # Errors
/// The database's.
pub async fn operation_step(db: &Db, id: OperationId, steps: &serde_json::Value) -> Result<()> {
    let mut tx = db.begin().await?;
    tx.exec(sql!("UPDATE operation SET steps = $2 WHERE id = $1 AND state = 'running'"), args![id, steps]).await?;
    tx.wake(format!("operation:{id}"));
    tx.commit().await
}

/// Ends a flow; false when it had ended already.
///
/// # Errors
/// The database's.
pub async fn operation_finish(tx: &mut Tx, id: OperationId, steps: &serde_json::Value, error: Option<&serde_json::Value>) -> Result<bool> {
    let state = if error.is_some() { "failed" } else { "succeeded" };
    let n = tx
        .exec(
            sql!("UPDATE operation SET state = $2, steps = $3, error = $4, finished_at = $5 WHERE id = $1 AND state = 'running'"),
            args![id, state, steps, error.cloned(), Timestamp::now()],
        )
        .await?;
    tx.wake(format!("operation:{id}"));
    Ok(n == 1)
}

/// Running operations whose work was given up: nobody carries them on.
///
/// # Errors
/// The database's.
pub async fn operation_orphans(db: &Db) -> Result<Vec<OperationRow>> {
    let rows = db
        .all(
            sql!(
                "SELECT * FROM operation o WHERE o.state = 'running' AND NOT EXISTS
                 (SELECT 1 FROM work w WHERE w.project_id = o.project_id AND w.kind = 'project_create' AND w.state IN ('queued', 'leased'))
                 ORDER BY o.id LIMIT 100"
            ),
            args![],
        )
        .await?;
    rows.iter().map(OperationRow::from_row).collect()
}
