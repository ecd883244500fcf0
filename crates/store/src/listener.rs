//! Workflow files that follow the runs of a project.

use kernel::{ProjectId, Result, UserId};

use crate::db::{Q, Tx};
use crate::{args, sql};

/// A file that follows runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerRow {
    /// Whose file.
    pub project: ProjectId,
    /// Its path.
    pub workflow: String,
    /// Whose runs.
    pub source: ProjectId,
    /// `workflow_run` or `upstream`.
    pub kind: String,
    /// Who wrote it.
    pub owner: Option<UserId>,
}

/// Sets what the files of a project follow.
///
/// # Errors
/// The database's.
pub async fn listener_replace(tx: &mut Tx, project: ProjectId, rows: &[ListenerRow]) -> Result<()> {
    tx.exec(sql!("DELETE FROM run_listener WHERE project_id = $1"), args![project]).await?;
    for row in rows {
        tx.exec(
            sql!(
                "INSERT INTO run_listener (project_id, workflow, source_id, kind, owner_id) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING"
            ),
            args![project, row.workflow.as_str(), row.source, row.kind.as_str(), row.owner],
        )
        .await?;
    }
    Ok(())
}

/// Does any file follow the runs of a project?
///
/// # Errors
/// The database's.
pub async fn listener_any(q: impl Into<Q<'_>>, source: ProjectId) -> Result<bool> {
    let row = q.into().opt(sql!("SELECT 1 AS found FROM run_listener WHERE source_id = $1 LIMIT 1"), args![source]).await?;
    Ok(row.is_some())
}

/// The files that follow the runs of a project.
///
/// # Errors
/// The database's.
pub async fn listener_list(q: impl Into<Q<'_>>, source: ProjectId) -> Result<Vec<ListenerRow>> {
    let rows = q
        .into()
        .all(sql!("SELECT * FROM run_listener WHERE source_id = $1 ORDER BY project_id, workflow, kind LIMIT 1000"), args![source])
        .await?;
    rows.iter()
        .map(|r| {
            Ok(ListenerRow {
                project: r.get("project_id")?,
                workflow: r.get("workflow")?,
                source: r.get("source_id")?,
                kind: r.get("kind")?,
                owner: r.get("owner_id")?,
            })
        })
        .collect()
}
