//! Key pairs of the instance. Their private halves are sealed before they come here.

use kernel::{Result, Timestamp};

use crate::db::{Db, Q};
use crate::{Row, args, sql};

/// A key pair.
#[derive(Clone, Debug)]
pub struct SigningKeyRow {
    /// Thumbprint of the public half.
    pub id: String,
    /// The public half.
    pub public: Vec<u8>,
    /// The private half, sealed.
    pub sealed: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl SigningKeyRow {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self { id: row.get("id")?, public: row.get("public")?, sealed: row.get("sealed")?, created_at: row.get("created_at")? })
    }
}

/// Adds a key pair.
///
/// # Errors
/// The database's.
pub async fn signing_key_create(q: impl Into<Q<'_>>, purpose: &str, key: &SigningKeyRow) -> Result<()> {
    q.into()
        .exec(
            sql!("INSERT INTO signing_key (id, purpose, public, sealed, created_at) VALUES ($1, $2, $3, $4, $5)"),
            args![key.id.as_str(), purpose, key.public.clone(), key.sealed.clone(), key.created_at],
        )
        .await
        .map(|_| ())
}

/// The key pairs for a purpose, newest first.
///
/// # Errors
/// The database's.
pub async fn signing_key_list(db: &Db, purpose: &str) -> Result<Vec<SigningKeyRow>> {
    let rows = db.all(sql!("SELECT * FROM signing_key WHERE purpose = $1 ORDER BY created_at DESC, id"), args![purpose]).await?;
    rows.iter().map(SigningKeyRow::from_row).collect()
}

/// Removes the key pairs for a purpose that are older than `before`.
///
/// # Errors
/// The database's.
pub async fn signing_key_expire(db: &Db, purpose: &str, before: Timestamp) -> Result<()> {
    db.exec(sql!("DELETE FROM signing_key WHERE purpose = $1 AND created_at < $2"), args![purpose, before]).await.map(|_| ())
}
