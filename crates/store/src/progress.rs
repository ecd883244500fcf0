//! How far the consumers of a project's default branch have come. A consumer works towards one commit at a time; while
//! it does, its tables hold a mixture of what was done and that target, so the target is finished before anything else.

use kernel::{Code, Error, ProjectId, Result, Timestamp};

use crate::db::{Q, Tx};
use crate::{Row, args, sql};

/// Where a consumer stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgressRow {
    /// The commit that is worked in completely; none for nothing.
    pub done: Option<String>,
    /// The commit that is being worked in.
    pub target: Option<String>,
    /// When it last moved.
    pub updated_at: Timestamp,
}

impl ProgressRow {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self { done: row.get("done")?, target: row.get("target")?, updated_at: row.get("updated_at")? })
    }
}

/// Where a consumer stands; at the start when it never ran.
///
/// # Errors
/// The database's.
pub async fn progress_get(q: impl Into<Q<'_>>, project: ProjectId, consumer: &str) -> Result<ProgressRow> {
    let row = q.into().opt(sql!("SELECT * FROM source_progress WHERE project_id = $1 AND consumer = $2"), args![project, consumer]).await?;
    row.as_ref().map_or_else(|| Ok(ProgressRow::default()), ProgressRow::from_row)
}

/// Notes that a consumer, done with `done`, now works towards `target`.
///
/// # Errors
/// The database's.
pub async fn progress_begin(tx: &mut Tx, project: ProjectId, consumer: &str, done: Option<&str>, target: &str) -> Result<()> {
    tx.exec(
        sql!(
            "INSERT INTO source_progress (project_id, consumer, done, target, updated_at) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (project_id, consumer) DO UPDATE SET done = excluded.done, target = excluded.target, updated_at = excluded.updated_at"
        ),
        args![project, consumer, done, target, Timestamp::now()],
    )
    .await
    .map(|_| ())
}

/// Holds a consumer's row for the rest of the transaction and sees that it still works towards `target`: two workers
/// that believe they do the same work take turns, and one that was overtaken stops.
///
/// # Errors
/// `stale_epoch` when it works towards something else.
pub async fn progress_hold(tx: &mut Tx, project: ProjectId, consumer: &str, target: &str) -> Result<()> {
    let n = tx
        .exec(
            sql!("UPDATE source_progress SET updated_at = $4 WHERE project_id = $1 AND consumer = $2 AND target = $3"),
            args![project, consumer, target, Timestamp::now()],
        )
        .await?;
    if n == 1 { Ok(()) } else { Err(Error::new(Code::StaleEpoch, "another worker went on with this project")) }
}

/// Notes that the target is reached.
///
/// # Errors
/// `stale_epoch` when it works towards something else.
pub async fn progress_done(tx: &mut Tx, project: ProjectId, consumer: &str, target: &str) -> Result<()> {
    progress_hold(tx, project, consumer, target).await?;
    tx.exec(
        sql!("UPDATE source_progress SET done = target, target = NULL WHERE project_id = $1 AND consumer = $2"),
        args![project, consumer],
    )
    .await
    .map(|_| ())
}

/// Sets a consumer to a commit, or to the start, without a target. False when it was there already.
///
/// # Errors
/// The database's.
pub async fn progress_set(tx: &mut Tx, project: ProjectId, consumer: &str, done: Option<&str>) -> Result<bool> {
    let n = tx
        .exec(
            sql!(
                "INSERT INTO source_progress (project_id, consumer, done, target, updated_at) VALUES ($1, $2, $3, NULL, $4)
                 ON CONFLICT (project_id, consumer) DO UPDATE SET done = excluded.done, target = NULL, updated_at = excluded.updated_at
                    WHERE source_progress.target IS NOT NULL OR COALESCE(source_progress.done, '') <> COALESCE(excluded.done, '')"
            ),
            args![project, consumer, done, Timestamp::now()],
        )
        .await?;
    Ok(n == 1)
}
