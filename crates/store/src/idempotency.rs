//! Answers kept for 24 hours under the caller's `Idempotency-Key`.
//!
//! A try claims the key for a short while and extends the claim as long as it runs. What it makes it notes in the same
//! transaction, as a receipt, while it holds the claim. A try that never answers leaves its receipt to the next one.

use kernel::{Code, Error, Result, Timestamp};
use uuid::Uuid;

use crate::db::{Db, Tx};
use crate::{args, sql};

/// What is known of a key.
#[derive(Debug)]
pub enum Known {
    /// It is ours now; the request may run.
    Ours {
        /// The same for all tries of this request.
        request: Uuid,
        /// What an earlier try made before it ended without an answer.
        receipt: Option<Vec<u8>>,
    },
    /// Another try of this request runs.
    InFlight {
        /// Unless it extends it, its claim ends then.
        until: Timestamp,
    },
    /// The key was used for another request.
    Other,
    /// It was answered.
    Answered {
        /// The status.
        status: u16,
        /// The headers, as JSON pairs.
        headers: String,
        /// The body.
        body: Vec<u8>,
    },
}

/// What a try made, to be written in the transaction that makes it.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// The row of the key.
    pub key: Vec<u8>,
    /// The try.
    pub claim: Uuid,
    /// What it made, sealed.
    pub made: Vec<u8>,
}

impl Tx {
    /// Notes what this transaction makes, so that a repeated request finds it; nothing for a request without a key.
    ///
    /// # Errors
    /// `idempotency_in_flight` when another try has taken over: then nothing of this transaction may stay.
    pub async fn keep(&mut self, receipt: Option<Receipt>) -> Result<()> {
        let Some(receipt) = receipt else { return Ok(()) };
        let n = self
            .exec(
                sql!("UPDATE idempotency SET receipt = $3 WHERE hash = $1 AND claim = $2 AND status IS NULL"),
                args![receipt.key, receipt.claim, receipt.made],
            )
            .await?;
        if n == 1 { Ok(()) } else { Err(Error::new(Code::IdempotencyInFlight, "another try of this request has taken over")) }
    }
}

/// Claims a key until `until`, or tells what is known of it.
///
/// # Errors
/// The database's.
pub async fn idempotency_claim(db: &Db, hash: &[u8], fingerprint: &[u8], claim: Uuid, now: Timestamp, until: Timestamp) -> Result<Known> {
    let request = Uuid::now_v7();
    let n = db
        .exec(
            sql!(
                "INSERT INTO idempotency (hash, fingerprint, request, claim, claimed_until, created_at) VALUES ($1, $2, $3, $4, $5, $6)
                 ON CONFLICT DO NOTHING"
            ),
            args![hash, fingerprint, request, claim, until, now],
        )
        .await?;
    if n == 1 {
        return Ok(Known::Ours { request, receipt: None });
    }
    // released in this moment
    let Some(row) = db.opt(sql!("SELECT * FROM idempotency WHERE hash = $1"), args![hash]).await? else {
        return Ok(Known::InFlight { until: now });
    };
    if row.get::<Vec<u8>>("fingerprint")? != fingerprint {
        return Ok(Known::Other);
    }
    if let Some(status) = row.get::<Option<u32>>("status")? {
        let status = u16::try_from(status).unwrap_or(500);
        return Ok(Known::Answered { status, headers: row.get("headers")?, body: row.get("body")? });
    }
    let held: Timestamp = row.get("claimed_until")?;
    if held > now {
        return Ok(Known::InFlight { until: held });
    }
    let mut tx = db.begin().await?;
    let taken = tx
        .opt(
            sql!(
                "UPDATE idempotency SET claim = $2, claimed_until = $3, request = COALESCE(request, $4)
                 WHERE hash = $1 AND status IS NULL AND claimed_until <= $5 RETURNING request, receipt"
            ),
            args![hash, claim, until, request, now],
        )
        .await?;
    tx.commit().await?;
    match taken {
        Some(row) => Ok(Known::Ours { request: row.get("request")?, receipt: row.get("receipt")? }),
        None => Ok(Known::InFlight { until }),
    }
}

/// Says that a try still runs.
///
/// # Errors
/// The database's.
pub async fn idempotency_renew(db: &Db, hash: &[u8], claim: Uuid, until: Timestamp) -> Result<()> {
    db.exec(sql!("UPDATE idempotency SET claimed_until = $3 WHERE hash = $1 AND claim = $2 AND status IS NULL"), args![hash, claim, until])
        .await
        .map(|_| ())
}

/// Keeps the answer.
///
/// # Errors
/// The database's.
pub async fn idempotency_answer(db: &Db, hash: &[u8], claim: Uuid, status: u16, headers: &str, body: &[u8]) -> Result<()> {
    db.exec(
        sql!(
            "UPDATE idempotency SET status = $3, headers = $4, body = $5, receipt = NULL WHERE hash = $1 AND claim = $2 AND status IS NULL"
        ),
        args![hash, claim, i64::from(status), headers, body],
    )
    .await
    .map(|_| ())
}

/// Frees a key whose request has no answer that could be kept. What it made stays noted for the next try.
///
/// # Errors
/// The database's.
pub async fn idempotency_release(db: &Db, hash: &[u8], claim: Uuid) -> Result<()> {
    let mut tx = db.begin().await?;
    let n = tx
        .exec(sql!("DELETE FROM idempotency WHERE hash = $1 AND claim = $2 AND status IS NULL AND receipt IS NULL"), args![hash, claim])
        .await?;
    if n == 0 {
        tx.exec(sql!("UPDATE idempotency SET claimed_until = 0 WHERE hash = $1 AND claim = $2 AND status IS NULL"), args![hash, claim])
            .await?;
    }
    tx.commit().await
}

/// On SQLite, which only one process uses: the tries of the process before this one have ended.
///
/// # Errors
/// The database's.
pub async fn idempotency_restart(db: &Db) -> Result<()> {
    if db.is_postgres() {
        return Ok(());
    }
    db.exec(sql!("UPDATE idempotency SET claimed_until = 0 WHERE status IS NULL"), vec![]).await.map(|_| ())
}

/// Forgets keys older than `before`.
///
/// # Errors
/// The database's.
pub async fn idempotency_prune(db: &Db, before: Timestamp) -> Result<u64> {
    db.exec(sql!("DELETE FROM idempotency WHERE created_at < $1"), args![before]).await
}
