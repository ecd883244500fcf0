//! Refs as events told of them. A row moves only together with its event, so the two cannot disagree.

use kernel::{ProjectId, Result, Timestamp};

use crate::db::{Q, Tx};
use crate::{args, sql};

/// A ref on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitRefRow {
    /// Full name.
    pub name: String,
    /// Object id in hex.
    pub oid: String,
    /// When it moved there.
    pub updated_at: Timestamp,
}

/// Where a ref is on record.
///
/// # Errors
/// The database's.
pub async fn git_ref_get(q: impl Into<Q<'_>>, project: ProjectId, name: &str) -> Result<Option<String>> {
    let row = q.into().opt(sql!("SELECT oid FROM git_ref WHERE project_id = $1 AND name = $2"), args![project, name]).await?;
    row.map(|r| r.get("oid")).transpose()
}

/// Refs on record from `first` to `last`, by name.
///
/// # Errors
/// The database's.
pub async fn git_ref_between(q: impl Into<Q<'_>>, project: ProjectId, first: &str, last: &str) -> Result<Vec<GitRefRow>> {
    let rows = q
        .into()
        .all(
            sql!("SELECT name, oid, updated_at FROM git_ref WHERE project_id = $1 AND name >= $2 AND name <= $3 ORDER BY name LIMIT 1000"),
            args![project, first, last],
        )
        .await?;
    rows.iter().map(|r| Ok(GitRefRow { name: r.get("name")?, oid: r.get("oid")?, updated_at: r.get("updated_at")? })).collect()
}

/// Moves a ref on record; false when it is not at `old`.
///
/// # Errors
/// The database's.
pub async fn git_ref_move(
    tx: &mut Tx,
    project: ProjectId,
    name: &str,
    old: Option<&str>,
    new: Option<&str>,
    now: Timestamp,
) -> Result<bool> {
    let n = match (old, new) {
        (None, None) => 1,
        (None, Some(new)) => {
            tx.exec(
                sql!("INSERT INTO git_ref (project_id, name, oid, updated_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"),
                args![project, name, new, now],
            )
            .await?
        }
        (Some(old), Some(new)) => {
            tx.exec(
                sql!("UPDATE git_ref SET oid = $4, updated_at = $5 WHERE project_id = $1 AND name = $2 AND oid = $3"),
                args![project, name, old, new, now],
            )
            .await?
        }
        (Some(old), None) => {
            tx.exec(sql!("DELETE FROM git_ref WHERE project_id = $1 AND name = $2 AND oid = $3"), args![project, name, old]).await?
        }
    };
    Ok(n == 1)
}
