//! Accounts, browser sessions and one-time sign-in links. Secrets are stored as SHA-256 only.

use kernel::{Error, NamespacePath, Result, SessionId, Slug, Timestamp, UserId};

use crate::db::{Db, Q, Tx};
use crate::{Row, args, sql};

/// A person or service account.
#[derive(Clone, Debug)]
pub struct AccountRow {
    /// Its id.
    pub id: UserId,
    /// The name in addresses.
    pub name: String,
    /// The name for people.
    pub display_name: String,
    /// For notifications.
    pub email: Option<String>,
    /// Argon2id in PHC form; none for accounts that only use links or tokens.
    pub password_hash: Option<String>,
    /// May administer the instance.
    pub admin: bool,
    /// `active` or `blocked`.
    pub state: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Row version, for `ETag`.
    pub version: i64,
}

impl AccountRow {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            name: row.get("name")?,
            display_name: row.get("display_name")?,
            email: row.get("email")?,
            password_hash: row.get("password_hash")?,
            admin: row.get("admin")?,
            state: row.get("state")?,
            created_at: row.get("created_at")?,
            version: row.get("version")?,
        })
    }
}

/// What a new account needs.
#[derive(Clone, Debug)]
pub struct NewAccount<'a> {
    /// The name in addresses; also its namespace.
    pub name: &'a Slug,
    /// The name for people.
    pub display_name: &'a str,
    /// For notifications.
    pub email: Option<&'a str>,
    /// Argon2id in PHC form.
    pub password_hash: Option<String>,
    /// May administer.
    pub admin: bool,
}

/// Adds an account and claims its namespace.
///
/// # Errors
/// `already_exists` when the name is taken by a user, group or project, or the address by a user.
pub async fn account_create(tx: &mut Tx, new: NewAccount<'_>) -> Result<AccountRow> {
    let id = UserId::new();
    path_claim(tx, new.name.as_str(), "user", id.uuid()).await?;
    let row = tx
        .one(
            sql!(
                "INSERT INTO account (id, name, display_name, email, password_hash, admin, state, created_at, version)
                 VALUES ($1, $2, $3, $4, $5, $6, 'active', $7, 1) RETURNING *"
            ),
            args![id, new.name.as_str(), new.display_name, new.email, new.password_hash, new.admin, Timestamp::now()],
        )
        .await?;
    AccountRow::from_row(&row)
}

/// Claims an address for a user, group or project.
///
/// # Errors
/// `already_exists` when it is taken.
pub async fn path_claim(tx: &mut Tx, path: &str, kind: &str, id: uuid::Uuid) -> Result<()> {
    let n =
        tx.exec(sql!("INSERT INTO path_claim (path, kind, id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"), args![path, kind, id]).await?;
    if n == 0 {
        return Err(Error::new(kernel::Code::AlreadyExists, format!("{path} is taken")));
    }
    Ok(())
}

/// Frees an address.
///
/// # Errors
/// The database's.
pub async fn path_release(tx: &mut Tx, path: &str) -> Result<()> {
    tx.exec(sql!("DELETE FROM path_claim WHERE path = $1"), args![path]).await.map(|_| ())
}

/// An account by id.
///
/// # Errors
/// The database's.
pub async fn account_get(q: impl Into<Q<'_>>, id: UserId) -> Result<Option<AccountRow>> {
    let row = q.into().opt(sql!("SELECT * FROM account WHERE id = $1"), args![id]).await?;
    row.as_ref().map(AccountRow::from_row).transpose()
}

/// An account by name.
///
/// # Errors
/// The database's.
pub async fn account_by_name(q: impl Into<Q<'_>>, name: &str) -> Result<Option<AccountRow>> {
    let row = q.into().opt(sql!("SELECT * FROM account WHERE name = $1"), args![name]).await?;
    row.as_ref().map(AccountRow::from_row).transpose()
}

/// Accounts whose name or display name holds `text`, by name, after `after`.
///
/// # Errors
/// The database's.
pub async fn account_list(db: &Db, text: &str, after: &str, limit: i64) -> Result<Vec<AccountRow>> {
    let rows = if text.is_empty() {
        db.all(sql!("SELECT * FROM account WHERE name > $1 ORDER BY name LIMIT $2"), args![after, limit]).await?
    } else {
        db.all(
            sql!(
                "SELECT * FROM account WHERE name > $1 AND (LOWER(name) LIKE $2 ESCAPE '!' OR LOWER(display_name) LIKE $2 ESCAPE '!') ORDER BY name LIMIT $3"
            ),
            args![after, like(text), limit],
        )
        .await?
    };
    rows.iter().map(AccountRow::from_row).collect()
}

/// A `LIKE` pattern (escape `!`) for text that holds `text`, without regard to case.
pub fn like(text: &str) -> String {
    let escaped = text.to_lowercase().replace('!', "!!").replace('%', "!%").replace('_', "!_");
    format!("%{escaped}%")
}

/// Names of accounts by id.
///
/// # Errors
/// The database's.
pub async fn account_names(db: &Db, ids: &[UserId]) -> Result<std::collections::HashMap<UserId, String>> {
    if ids.is_empty() {
        return Ok(Default::default());
    }
    let marks = (1..=ids.len()).map(|i| format!("${i}")).collect::<Vec<_>>().join(", ");
    let rows = db
        .all(&format!("SELECT id, name FROM account WHERE id IN ({marks})"), ids.iter().map(|i| crate::Value::from(*i)).collect())
        .await?;
    rows.iter().map(|r| Ok((r.get("id")?, r.get("name")?))).collect()
}

/// How many accounts there are.
///
/// # Errors
/// The database's.
pub async fn account_any(db: &Db) -> Result<bool> {
    Ok(db.opt(sql!("SELECT 1 AS one FROM account LIMIT 1"), vec![]).await?.is_some())
}

/// What to change in an account.
#[derive(Clone, Debug, Default)]
pub struct AccountChange {
    /// New name for people.
    pub display_name: Option<String>,
    /// New address; `Some(None)` removes it.
    pub email: Option<Option<String>>,
    /// New hash.
    pub password_hash: Option<String>,
    /// New right.
    pub admin: Option<bool>,
    /// New state.
    pub state: Option<String>,
}

/// Changes an account when it still has `version`; none when it has not.
///
/// # Errors
/// `already_exists` for a taken address.
pub async fn account_update(tx: &mut Tx, id: UserId, version: i64, change: AccountChange) -> Result<Option<AccountRow>> {
    let set_email = change.email.is_some();
    let row = tx
        .opt(
            sql!(
                "UPDATE account SET display_name = COALESCE($3, display_name), email = CASE WHEN $4 THEN $5 ELSE email END,
                    password_hash = COALESCE($6, password_hash), admin = COALESCE($7, admin), state = COALESCE($8, state), version = version + 1
                 WHERE id = $1 AND version = $2 RETURNING *"
            ),
            args![id, version, change.display_name, set_email, change.email.flatten(), change.password_hash, change.admin, change.state],
        )
        .await?;
    row.as_ref().map(AccountRow::from_row).transpose()
}

/// Starts a session.
///
/// # Errors
/// The database's.
pub async fn session_create(q: impl Into<Q<'_>>, account: UserId, hash: &[u8], expires_at: Timestamp, agent: &str) -> Result<SessionId> {
    let id = SessionId::new();
    q.into()
        .exec(
            sql!("INSERT INTO session (id, account_id, hash, created_at, expires_at, agent) VALUES ($1, $2, $3, $4, $5, $6)"),
            args![id, account, hash, Timestamp::now(), expires_at, agent],
        )
        .await?;
    Ok(id)
}

/// The active account behind a session's secret.
///
/// # Errors
/// The database's.
pub async fn session_account(q: impl Into<Q<'_>>, hash: &[u8], now: Timestamp) -> Result<Option<AccountRow>> {
    let row = q
        .into()
        .opt(
            sql!(
                "SELECT a.* FROM session s JOIN account a ON a.id = s.account_id WHERE s.hash = $1 AND s.expires_at > $2 AND a.state = 'active'"
            ),
            args![hash, now],
        )
        .await?;
    row.as_ref().map(AccountRow::from_row).transpose()
}

/// Ends a session.
///
/// # Errors
/// The database's.
pub async fn session_delete(q: impl Into<Q<'_>>, hash: &[u8]) -> Result<()> {
    q.into().exec(sql!("DELETE FROM session WHERE hash = $1"), args![hash]).await.map(|_| ())
}

/// Ends all sessions of an account, as after a new password.
///
/// # Errors
/// The database's.
pub async fn session_delete_all(q: impl Into<Q<'_>>, account: UserId) -> Result<()> {
    q.into().exec(sql!("DELETE FROM session WHERE account_id = $1"), args![account]).await.map(|_| ())
}

/// Forgets what ran out.
///
/// # Errors
/// The database's.
pub async fn session_prune(db: &Db, now: Timestamp) -> Result<()> {
    db.exec(sql!("DELETE FROM session WHERE expires_at < $1"), args![now]).await?;
    db.exec(sql!("DELETE FROM sign_in_link WHERE expires_at < $1"), args![now]).await.map(|_| ())
}

/// Makes a one-time sign-in link.
///
/// # Errors
/// The database's.
pub async fn link_create(q: impl Into<Q<'_>>, account: UserId, hash: &[u8], expires_at: Timestamp) -> Result<()> {
    q.into()
        .exec(sql!("INSERT INTO sign_in_link (hash, account_id, expires_at) VALUES ($1, $2, $3)"), args![hash, account, expires_at])
        .await
        .map(|_| ())
}

/// Uses a link up.
///
/// # Errors
/// The database's.
pub async fn link_take(tx: &mut Tx, hash: &[u8], now: Timestamp) -> Result<Option<AccountRow>> {
    let row = tx.opt(sql!("DELETE FROM sign_in_link WHERE hash = $1 RETURNING account_id, expires_at"), args![hash]).await?;
    let Some(row) = row else { return Ok(None) };
    if row.get::<Timestamp>("expires_at")? <= now {
        return Ok(None);
    }
    Ok(account_get(tx, row.get("account_id")?).await?.filter(|a| a.state == "active"))
}

/// Is there a user or group of this path? Its kind.
///
/// # Errors
/// The database's.
pub async fn namespace_kind(q: impl Into<Q<'_>>, path: &NamespacePath) -> Result<Option<(String, uuid::Uuid)>> {
    let row = q.into().opt(sql!("SELECT kind, id FROM path_claim WHERE path = $1 AND kind <> 'project'"), args![path.as_str()]).await?;
    row.map(|r| Ok((r.get("kind")?, r.get("id")?))).transpose()
}
