//! Answers kept for 24 hours under the caller's `Idempotency-Key`.

use kernel::{Result, Timestamp};

use crate::db::Db;
use crate::{args, sql};

/// What is known of a key.
#[derive(Debug)]
pub enum Known {
    /// It is ours now; the request may run.
    New,
    /// Another request with this key runs.
    InFlight {
        /// What that request was.
        fingerprint: Vec<u8>,
        /// Since when.
        since: Timestamp,
    },
    /// It was answered.
    Answered {
        /// What the request was.
        fingerprint: Vec<u8>,
        /// The status.
        status: u16,
        /// The headers, as JSON pairs.
        headers: String,
        /// The body.
        body: Vec<u8>,
    },
}

/// Claims a key, or tells what is known of it.
///
/// # Errors
/// The database's.
pub async fn idempotency_claim(db: &Db, hash: &[u8], fingerprint: &[u8], now: Timestamp) -> Result<Known> {
    let n = db
        .exec(
            sql!("INSERT INTO idempotency (hash, fingerprint, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"),
            args![hash, fingerprint, now],
        )
        .await?;
    if n == 1 {
        return Ok(Known::New);
    }
    let Some(row) = db.opt(sql!("SELECT * FROM idempotency WHERE hash = $1"), args![hash]).await? else {
        return Ok(Known::InFlight { fingerprint: fingerprint.to_vec(), since: now });
    };
    let fingerprint = row.get("fingerprint")?;
    Ok(match row.get::<Option<u32>>("status")? {
        None => Known::InFlight { fingerprint, since: row.get("created_at")? },
        Some(status) => Known::Answered {
            fingerprint,
            status: u16::try_from(status).unwrap_or(500),
            headers: row.get("headers")?,
            body: row.get("body")?,
        },
    })
}

/// Keeps the answer.
///
/// # Errors
/// The database's.
pub async fn idempotency_answer(db: &Db, hash: &[u8], status: u16, headers: &str, body: &[u8]) -> Result<()> {
    db.exec(
        sql!("UPDATE idempotency SET status = $2, headers = $3, body = $4 WHERE hash = $1"),
        args![hash, i64::from(status), headers, body],
    )
    .await
    .map(|_| ())
}

/// Frees a key whose request did not change anything (it failed).
///
/// # Errors
/// The database's.
pub async fn idempotency_release(db: &Db, hash: &[u8]) -> Result<()> {
    db.exec(sql!("DELETE FROM idempotency WHERE hash = $1 AND status IS NULL"), args![hash]).await.map(|_| ())
}

/// Forgets keys older than `before`.
///
/// # Errors
/// The database's.
pub async fn idempotency_prune(db: &Db, before: Timestamp) -> Result<u64> {
    db.exec(sql!("DELETE FROM idempotency WHERE created_at < $1"), args![before]).await
}
