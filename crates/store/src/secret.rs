//! Secrets (sealed before they come here) and variables of projects.

use kernel::{ProjectId, Result, SecretId, Timestamp, VariableId};

use crate::db::{Db, Q};
use crate::{args, sql};

/// A secret without its value.
#[derive(Clone, Debug)]
pub struct SecretRow {
    /// Its name.
    pub name: String,
    /// When it was last set.
    pub updated_at: Timestamp,
}

/// Sets a secret.
///
/// # Errors
/// The database's.
pub async fn secret_set(q: impl Into<Q<'_>>, project: ProjectId, name: &str, sealed: &[u8], now: Timestamp) -> Result<()> {
    q.into()
        .exec(
            sql!(
                "INSERT INTO secret (id, project_id, name, sealed, updated_at) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (project_id, name) DO UPDATE SET sealed = excluded.sealed, updated_at = excluded.updated_at"
            ),
            args![SecretId::new(), project, name, sealed, now],
        )
        .await
        .map(|_| ())
}

/// Names of a project's secrets after a name.
///
/// # Errors
/// The database's.
pub async fn secret_list(db: &Db, project: ProjectId, after: &str, limit: i64) -> Result<Vec<SecretRow>> {
    let rows = db
        .all(
            sql!("SELECT name, updated_at FROM secret WHERE project_id = $1 AND name > $2 ORDER BY name LIMIT $3"),
            args![project, after, limit],
        )
        .await?;
    rows.iter().map(|r| Ok(SecretRow { name: r.get("name")?, updated_at: r.get("updated_at")? })).collect()
}

/// All sealed values of a project, for a job.
///
/// # Errors
/// The database's.
pub async fn secret_values(q: impl Into<Q<'_>>, project: ProjectId) -> Result<Vec<(String, Vec<u8>)>> {
    let rows = q.into().all(sql!("SELECT name, sealed FROM secret WHERE project_id = $1 ORDER BY name"), args![project]).await?;
    rows.iter().map(|r| Ok((r.get("name")?, r.get("sealed")?))).collect()
}

/// Removes a secret; false when there is none.
///
/// # Errors
/// The database's.
pub async fn secret_delete(q: impl Into<Q<'_>>, project: ProjectId, name: &str) -> Result<bool> {
    let n = q.into().exec(sql!("DELETE FROM secret WHERE project_id = $1 AND name = $2"), args![project, name]).await?;
    Ok(n == 1)
}

/// How many secrets a project has.
///
/// # Errors
/// The database's.
pub async fn secret_count(q: impl Into<Q<'_>>, project: ProjectId) -> Result<i64> {
    q.into().one(sql!("SELECT COUNT(*) AS n FROM secret WHERE project_id = $1"), args![project]).await?.get("n")
}

/// A variable.
#[derive(Clone, Debug)]
pub struct VariableRow {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// When it was last set.
    pub updated_at: Timestamp,
}

/// Sets a variable.
///
/// # Errors
/// The database's.
pub async fn variable_set(q: impl Into<Q<'_>>, project: ProjectId, name: &str, value: &str, now: Timestamp) -> Result<()> {
    q.into()
        .exec(
            sql!(
                "INSERT INTO variable (id, project_id, name, value, updated_at) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (project_id, name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at"
            ),
            args![VariableId::new(), project, name, value, now],
        )
        .await
        .map(|_| ())
}

/// Variables of a project after a name.
///
/// # Errors
/// The database's.
pub async fn variable_list(q: impl Into<Q<'_>>, project: ProjectId, after: &str, limit: i64) -> Result<Vec<VariableRow>> {
    let rows = q
        .into()
        .all(sql!("SELECT * FROM variable WHERE project_id = $1 AND name > $2 ORDER BY name LIMIT $3"), args![project, after, limit])
        .await?;
    rows.iter().map(|r| Ok(VariableRow { name: r.get("name")?, value: r.get("value")?, updated_at: r.get("updated_at")? })).collect()
}

/// Removes a variable; false when there is none.
///
/// # Errors
/// The database's.
pub async fn variable_delete(q: impl Into<Q<'_>>, project: ProjectId, name: &str) -> Result<bool> {
    let n = q.into().exec(sql!("DELETE FROM variable WHERE project_id = $1 AND name = $2"), args![project, name]).await?;
    Ok(n == 1)
}
