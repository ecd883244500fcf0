//! Runners: the machines that take jobs.

use kernel::{Result, RunnerId, Timestamp, UserId};

use crate::db::{Db, Q, Tx};
use crate::{Row, args, sql};

/// A runner.
#[derive(Clone, Debug)]
pub struct RunnerRow {
    /// Its id.
    pub id: RunnerId,
    /// Its name.
    pub name: String,
    /// What it has.
    pub labels: Vec<String>,
    /// Jobs at a time.
    pub capacity: i64,
    /// Of its binary.
    pub version: String,
    /// Operating system.
    pub os: String,
    /// Processor.
    pub arch: String,
    /// What its machine can do.
    pub capabilities: serde_json::Value,
    /// Lives in a server process.
    pub in_process: bool,
    /// Takes no more jobs.
    pub draining: bool,
    /// Takes one job in its life.
    pub ephemeral: bool,
    /// When it came.
    pub created_at: Timestamp,
    /// When it last spoke.
    pub last_seen_at: Timestamp,
}

impl RunnerRow {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            name: row.get("name")?,
            labels: row.json("labels")?,
            capacity: row.get("capacity")?,
            version: row.get("version")?,
            os: row.get("os")?,
            arch: row.get("arch")?,
            capabilities: row.json("capabilities")?,
            in_process: row.get("in_process")?,
            draining: row.get("draining")?,
            ephemeral: row.get("ephemeral")?,
            created_at: row.get("created_at")?,
            last_seen_at: row.get("last_seen_at")?,
        })
    }
}

/// Adds a runner.
///
/// # Errors
/// The database's.
pub async fn runner_create(tx: &mut Tx, r: &RunnerRow, token_hash: &[u8]) -> Result<()> {
    tx.exec(
        sql!(
            "INSERT INTO runner (id, name, labels, capacity, version, os, arch, capabilities, token_hash, in_process, created_at, last_seen_at,
                ephemeral, draining)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
        ),
        args![
            r.id,
            r.name.as_str(),
            serde_json::json!(r.labels),
            r.capacity,
            r.version.as_str(),
            r.os.as_str(),
            r.arch.as_str(),
            &r.capabilities,
            token_hash,
            r.in_process,
            r.created_at,
            r.last_seen_at,
            r.ephemeral,
            r.draining
        ],
    )
    .await
    .map(|_| ())
}

/// A runner by id.
///
/// # Errors
/// The database's.
pub async fn runner_get(q: impl Into<Q<'_>>, id: RunnerId) -> Result<Option<RunnerRow>> {
    let row = q.into().opt(sql!("SELECT * FROM runner WHERE id = $1"), args![id]).await?;
    row.as_ref().map(RunnerRow::from_row).transpose()
}

/// Sets what a runner offers.
///
/// # Errors
/// The database's.
pub async fn runner_labels_set(tx: &mut Tx, id: RunnerId, labels: &[String]) -> Result<()> {
    tx.exec(sql!("UPDATE runner SET labels = $2 WHERE id = $1"), args![id, serde_json::json!(labels)]).await.map(|_| ())
}

/// The runner of a token.
///
/// # Errors
/// The database's.
pub async fn runner_by_token(db: &Db, hash: &[u8]) -> Result<Option<RunnerRow>> {
    let row = db.opt(sql!("SELECT * FROM runner WHERE token_hash = $1"), args![hash]).await?;
    row.as_ref().map(RunnerRow::from_row).transpose()
}

/// Notes that a runner spoke.
///
/// # Errors
/// The database's.
pub async fn runner_touch(db: &Db, id: RunnerId, now: Timestamp) -> Result<()> {
    db.exec(sql!("UPDATE runner SET last_seen_at = $2 WHERE id = $1"), args![id, now]).await.map(|_| ())
}

/// Lets a runner take no more jobs, or jobs again; false when there is none.
///
/// # Errors
/// The database's.
pub async fn runner_drain(tx: &mut Tx, id: RunnerId, draining: bool) -> Result<bool> {
    let n = tx.exec(sql!("UPDATE runner SET draining = $2 WHERE id = $1"), args![id, draining]).await?;
    tx.wake("runners");
    Ok(n == 1)
}

/// Drains a runner for the one job it is about to take; false when it took one before.
///
/// # Errors
/// The database's.
pub async fn runner_once(tx: &mut Tx, id: RunnerId) -> Result<bool> {
    Ok(tx.exec(sql!("UPDATE runner SET draining = $2 WHERE id = $1 AND draining = $3"), args![id, true, false]).await? == 1)
}

/// Undoes [`runner_once`] for an ephemeral runner that its job never reached.
///
/// # Errors
/// The database's.
pub async fn runner_again(tx: &mut Tx, id: RunnerId) -> Result<()> {
    tx.exec(sql!("UPDATE runner SET draining = $2 WHERE id = $1 AND ephemeral = $3"), args![id, false, true]).await.map(|_| ())
}

/// Runners that spoke since and take jobs.
///
/// # Errors
/// The database's.
pub async fn runner_online(q: impl Into<Q<'_>>, since: Timestamp) -> Result<Vec<RunnerRow>> {
    let sql = sql!("SELECT * FROM runner WHERE last_seen_at >= $1 AND draining = $2 ORDER BY id");
    let rows = q.into().all(sql, args![since, false]).await?;
    rows.iter().map(RunnerRow::from_row).collect()
}

/// Runners after an id, with the number of jobs each holds.
///
/// # Errors
/// The database's.
pub async fn runner_list(db: &Db, after: Option<RunnerId>, limit: i64) -> Result<Vec<(RunnerRow, i64)>> {
    let after = after.unwrap_or_else(|| RunnerId::from(uuid::Uuid::nil()));
    let rows = db
        .all(
            sql!(
                "SELECT r.*, (SELECT COUNT(*) FROM pipeline_job j WHERE j.runner_id = r.id AND j.state = 'running') AS busy
                 FROM runner r WHERE r.id > $1 ORDER BY r.id LIMIT $2"
            ),
            args![after, limit],
        )
        .await?;
    rows.iter().map(|r| Ok((RunnerRow::from_row(r)?, r.get("busy")?))).collect()
}

/// Removes a runner; false when there is none.
///
/// # Errors
/// The database's.
pub async fn runner_delete(tx: &mut Tx, id: RunnerId) -> Result<bool> {
    Ok(tx.exec(sql!("DELETE FROM runner WHERE id = $1"), args![id]).await? == 1)
}

/// Removes in-process runners of servers that are gone, and runners of one job that are.
///
/// # Errors
/// The database's.
pub async fn runner_prune(q: impl Into<Q<'_>>, seen_before: Timestamp) -> Result<u64> {
    q.into()
        .exec(sql!("DELETE FROM runner WHERE (in_process = $1 OR ephemeral = $1) AND last_seen_at < $2"), args![true, seen_before])
        .await
}

/// Adds a registration token.
///
/// # Errors
/// The database's.
pub async fn invitation_create(q: impl Into<Q<'_>>, hash: &[u8], account: Option<UserId>, expires_at: Timestamp) -> Result<()> {
    q.into()
        .exec(sql!("INSERT INTO runner_invitation (hash, account_id, expires_at) VALUES ($1, $2, $3)"), args![hash, account, expires_at])
        .await
        .map(|_| ())
}

/// Uses a registration token up; false when it is not alive.
///
/// # Errors
/// The database's.
pub async fn invitation_use(tx: &mut Tx, hash: &[u8], now: Timestamp) -> Result<bool> {
    tx.exec(sql!("DELETE FROM runner_invitation WHERE expires_at <= $1"), args![now]).await?;
    Ok(tx.exec(sql!("DELETE FROM runner_invitation WHERE hash = $1"), args![hash]).await? == 1)
}
