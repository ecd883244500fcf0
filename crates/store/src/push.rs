//! Pushes that are under way: the record that lets a ref which moved right before a crash still become an event.

use kernel::{ProjectId, PushId, Result, Timestamp, UserId};

use crate::db::{Db, Q, Tx};
use crate::{Row, args, sql};

/// A push.
#[derive(Clone, Debug)]
pub struct PushRow {
    /// Its id.
    pub id: PushId,
    /// Where to.
    pub project: ProjectId,
    /// Whose.
    pub account: Option<UserId>,
    /// Which run of which instance carries it out.
    pub instance: String,
    /// Full names of the refs that it may move.
    pub refs: Vec<String>,
    /// When it began.
    pub created_at: Timestamp,
    /// Its instance is alive until then, as far as we know.
    pub lease_until: Timestamp,
    /// When what moved was on record.
    pub closed_at: Option<Timestamp>,
}

impl PushRow {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            project: row.get("project_id")?,
            account: row.get("account_id")?,
            instance: row.get("instance")?,
            refs: row.json("refs")?,
            created_at: row.get("created_at")?,
            lease_until: row.get("lease_until")?,
            closed_at: row.get("closed_at")?,
        })
    }
}

/// Notes that a push is about to be carried out.
///
/// # Errors
/// The database's.
pub async fn push_open(q: impl Into<Q<'_>>, push: &PushRow) -> Result<()> {
    q.into()
        .exec(
            sql!(
                "INSERT INTO push (id, project_id, account_id, instance, refs, created_at, lease_until) VALUES ($1, $2, $3, $4, $5, $6, $7)"
            ),
            args![
                push.id,
                push.project,
                push.account,
                push.instance.as_str(),
                serde_json::json!(push.refs),
                push.created_at,
                push.lease_until
            ],
        )
        .await
        .map(|_| ())
}

/// Says that a push is still being carried out.
///
/// # Errors
/// The database's.
pub async fn push_renew(db: &Db, id: PushId, until: Timestamp) -> Result<()> {
    db.exec(sql!("UPDATE push SET lease_until = $2 WHERE id = $1 AND closed_at IS NULL"), args![id, until]).await.map(|_| ())
}

/// Closes a push with what it moved on record.
///
/// # Errors
/// The database's.
pub async fn push_close(tx: &mut Tx, id: PushId, now: Timestamp) -> Result<()> {
    tx.exec(sql!("UPDATE push SET closed_at = $2 WHERE id = $1 AND closed_at IS NULL"), args![id, now]).await.map(|_| ())
}

/// Forgets a push that moved nothing.
///
/// # Errors
/// The database's.
pub async fn push_forget(q: impl Into<Q<'_>>, id: PushId) -> Result<()> {
    q.into().exec(sql!("DELETE FROM push WHERE id = $1 AND closed_at IS NULL"), args![id]).await.map(|_| ())
}

/// Open pushes that nobody carries out any more: the lease ran out, or they belong to an earlier run at the same place
/// (on SQLite, where there is only one instance, to any other run).
///
/// # Errors
/// The database's.
pub async fn push_orphans(db: &Db, place: &str, run: &str, now: Timestamp, limit: i64) -> Result<Vec<PushRow>> {
    let rows = db
        .all(
            sql!(
                "SELECT * FROM push WHERE closed_at IS NULL
                    AND (lease_until < $1 OR (instance <> $2 AND ($3 OR SUBSTR(instance, 1, LENGTH($4)) = $4)))
                 ORDER BY created_at, id LIMIT $5"
            ),
            args![now, run, !db.is_postgres(), place, limit],
        )
        .await?;
    rows.iter().map(PushRow::from_row).collect()
}

/// Removes closed pushes older than `before`.
///
/// # Errors
/// The database's.
pub async fn push_prune(db: &Db, before: Timestamp) -> Result<u64> {
    db.exec(sql!("DELETE FROM push WHERE closed_at < $1"), args![before]).await
}
