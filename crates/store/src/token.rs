//! Access tokens: limited to permissions, projects and a time; only the hash of the secret is kept.

use kernel::{ProjectId, Result, Timestamp, TokenId, UserId};

use crate::account::AccountRow;
use crate::db::{Db, Q};
use crate::{Row, args, sql};

/// A token without its secret.
#[derive(Clone, Debug)]
pub struct TokenRow {
    /// Its id.
    pub id: TokenId,
    /// Whose it is.
    pub account: UserId,
    /// What it is for.
    pub name: String,
    /// Permission texts.
    pub permissions: Vec<String>,
    /// The projects it reaches; none means all of its owner's.
    pub projects: Option<Vec<ProjectId>>,
    /// When it dies.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl TokenRow {
    fn from_row(row: &Row) -> Result<Self> {
        let projects: Option<String> = row.get("projects")?;
        Ok(Self {
            id: row.get("id")?,
            account: row.get("account_id")?,
            name: row.get("name")?,
            permissions: row.json("permissions")?,
            projects: projects.map(|p| serde_json::from_str(&p).map_err(kernel::Error::internal)).transpose()?,
            expires_at: row.get("expires_at")?,
            last_used_at: row.get("last_used_at")?,
            created_at: row.get("created_at")?,
        })
    }
}

/// Adds a token.
///
/// # Errors
/// The database's.
pub async fn token_create(q: impl Into<Q<'_>>, token: &TokenRow, hash: &[u8]) -> Result<()> {
    let projects = token.projects.as_ref().map(|p| serde_json::to_string(p).unwrap_or_default());
    q.into()
        .exec(
            sql!(
                "INSERT INTO access_token (id, account_id, name, hash, permissions, projects, expires_at, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
            ),
            args![
                token.id,
                token.account,
                token.name.as_str(),
                hash,
                serde_json::json!(token.permissions),
                projects,
                token.expires_at,
                token.created_at
            ],
        )
        .await
        .map(|_| ())
}

/// The live token of a secret and its active owner.
///
/// # Errors
/// The database's.
pub async fn token_find(db: &Db, hash: &[u8], now: Timestamp) -> Result<Option<(TokenRow, AccountRow)>> {
    let row =
        db.opt(sql!("SELECT * FROM access_token WHERE hash = $1 AND (expires_at IS NULL OR expires_at > $2)"), args![hash, now]).await?;
    let Some(row) = row else { return Ok(None) };
    let token = TokenRow::from_row(&row)?;
    let account = crate::account::account_get(db, token.account).await?.filter(|a| a.state == "active");
    Ok(account.map(|a| (token, a)))
}

/// A token of an account.
///
/// # Errors
/// The database's.
pub async fn token_get(db: &Db, account: UserId, id: TokenId) -> Result<Option<TokenRow>> {
    let row = db.opt(sql!("SELECT * FROM access_token WHERE id = $1 AND account_id = $2"), args![id, account]).await?;
    row.as_ref().map(TokenRow::from_row).transpose()
}

/// Notes that a token was used.
///
/// # Errors
/// The database's.
pub async fn token_touch(db: &Db, id: TokenId, now: Timestamp) -> Result<()> {
    db.exec(sql!("UPDATE access_token SET last_used_at = $1 WHERE id = $2"), args![now, id]).await.map(|_| ())
}

/// An account's tokens, oldest first.
///
/// # Errors
/// The database's.
pub async fn token_list(db: &Db, account: UserId, after: Option<TokenId>, limit: i64) -> Result<Vec<TokenRow>> {
    let rows = db
        .all(
            sql!("SELECT * FROM access_token WHERE account_id = $1 AND (id > $2 OR $2 IS NULL) ORDER BY id LIMIT $3"),
            args![account, after, limit],
        )
        .await?;
    rows.iter().map(TokenRow::from_row).collect()
}

/// Removes a token of this account; false when there is none.
///
/// # Errors
/// The database's.
pub async fn token_delete(q: impl Into<Q<'_>>, account: UserId, id: TokenId) -> Result<bool> {
    let n = q.into().exec(sql!("DELETE FROM access_token WHERE id = $1 AND account_id = $2"), args![id, account]).await?;
    Ok(n == 1)
}
