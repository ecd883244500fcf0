//! Secrets (sealed before they come here) and variables, of projects, groups and environments: what each scope has, and
//! what reaches a job of a project from all scopes together.

use kernel::{EnvironmentId, GroupId, ProjectId, Result, Timestamp};
use uuid::Uuid;

use crate::db::{Db, Q, Tx};
use crate::{Row, args, sql};

/// Whose values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Of a project.
    Project(ProjectId),
    /// Of a group, for all projects below it.
    Group(GroupId),
    /// Of an environment, for the jobs that name it.
    Environment(EnvironmentId),
}

impl Scope {
    fn id(self) -> Uuid {
        match self {
            Scope::Project(id) => id.uuid(),
            Scope::Group(id) => id.uuid(),
            Scope::Environment(id) => id.uuid(),
        }
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scope::Project(id) => id.fmt(f),
            Scope::Group(id) => id.fmt(f),
            Scope::Environment(id) => id.fmt(f),
        }
    }
}

/// A secret without its value.
#[derive(Clone, Debug)]
pub struct SecretRow {
    /// Its name.
    pub name: String,
    /// Only for runs of protected refs.
    pub protected: bool,
    /// When it was last set.
    pub updated_at: Timestamp,
}

/// Sets a secret; without `protected` it stays as it was, and a new one is not.
///
/// # Errors
/// The database's.
pub async fn secret_set(
    q: impl Into<Q<'_>>,
    scope: Scope,
    name: &str,
    sealed: &[u8],
    protected: Option<bool>,
    now: Timestamp,
) -> Result<()> {
    q.into()
        .exec(
            sql!(
                "INSERT INTO scoped_secret (scope_id, name, sealed, protected, updated_at) VALUES ($1, $2, $3, COALESCE($4, FALSE), $5)
                 ON CONFLICT (scope_id, name) DO UPDATE SET sealed = excluded.sealed, updated_at = excluded.updated_at,
                    protected = COALESCE($4, scoped_secret.protected)"
            ),
            args![scope.id(), name, sealed, protected, now],
        )
        .await
        .map(|_| ())
}

/// Names of a scope's secrets after a name.
///
/// # Errors
/// The database's.
pub async fn secret_list(db: &Db, scope: Scope, after: &str, limit: i64) -> Result<Vec<SecretRow>> {
    let rows = db
        .all(
            sql!("SELECT name, protected, updated_at FROM scoped_secret WHERE scope_id = $1 AND name > $2 ORDER BY name LIMIT $3"),
            args![scope.id(), after, limit],
        )
        .await?;
    rows.iter().map(|r| Ok(SecretRow { name: r.get("name")?, protected: r.get("protected")?, updated_at: r.get("updated_at")? })).collect()
}

/// Removes a secret; false when there is none.
///
/// # Errors
/// The database's.
pub async fn secret_delete(q: impl Into<Q<'_>>, scope: Scope, name: &str) -> Result<bool> {
    let n = q.into().exec(sql!("DELETE FROM scoped_secret WHERE scope_id = $1 AND name = $2"), args![scope.id(), name]).await?;
    Ok(n == 1)
}

/// How many other secrets a scope has.
///
/// # Errors
/// The database's.
pub async fn secret_others(q: impl Into<Q<'_>>, scope: Scope, name: &str) -> Result<i64> {
    let count = sql!("SELECT COUNT(*) AS n FROM scoped_secret WHERE scope_id = $1 AND name <> $2");
    q.into().one(count, args![scope.id(), name]).await?.get("n")
}

/// A variable.
#[derive(Clone, Debug)]
pub struct VariableRow {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Only for runs of protected refs.
    pub protected: bool,
    /// When it was last set.
    pub updated_at: Timestamp,
}

/// Sets a variable; without `protected` it stays as it was, and a new one is not.
///
/// # Errors
/// The database's.
pub async fn variable_set(
    q: impl Into<Q<'_>>,
    scope: Scope,
    name: &str,
    value: &str,
    protected: Option<bool>,
    now: Timestamp,
) -> Result<()> {
    q.into()
        .exec(
            sql!(
                "INSERT INTO scoped_variable (scope_id, name, value, protected, updated_at) VALUES ($1, $2, $3, COALESCE($4, FALSE), $5)
                 ON CONFLICT (scope_id, name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at,
                    protected = COALESCE($4, scoped_variable.protected)"
            ),
            args![scope.id(), name, value, protected, now],
        )
        .await
        .map(|_| ())
}

/// Variables of a scope after a name.
///
/// # Errors
/// The database's.
pub async fn variable_list(q: impl Into<Q<'_>>, scope: Scope, after: &str, limit: i64) -> Result<Vec<VariableRow>> {
    let rows = q
        .into()
        .all(
            sql!("SELECT * FROM scoped_variable WHERE scope_id = $1 AND name > $2 ORDER BY name LIMIT $3"),
            args![scope.id(), after, limit],
        )
        .await?;
    let row = |r: &Row| {
        Ok(VariableRow { name: r.get("name")?, value: r.get("value")?, protected: r.get("protected")?, updated_at: r.get("updated_at")? })
    };
    rows.iter().map(row).collect()
}

/// Removes a variable; false when there is none.
///
/// # Errors
/// The database's.
pub async fn variable_delete(q: impl Into<Q<'_>>, scope: Scope, name: &str) -> Result<bool> {
    let n = q.into().exec(sql!("DELETE FROM scoped_variable WHERE scope_id = $1 AND name = $2"), args![scope.id(), name]).await?;
    Ok(n == 1)
}

/// How many other variables a scope has.
///
/// # Errors
/// The database's.
pub async fn variable_others(q: impl Into<Q<'_>>, scope: Scope, name: &str) -> Result<i64> {
    let count = sql!("SELECT COUNT(*) AS n FROM scoped_variable WHERE scope_id = $1 AND name <> $2");
    q.into().one(count, args![scope.id(), name]).await?.get("n")
}

/// What a value is.
#[derive(Clone, Debug)]
pub enum Content {
    /// A sealed secret.
    Secret(Vec<u8>),
    /// The text of a variable.
    Variable(String),
}

/// A value that reaches the jobs of a project.
#[derive(Clone, Debug)]
pub struct ValueRow {
    /// Whose it is, and what it is sealed for.
    pub scope: Scope,
    /// Its name.
    pub name: String,
    /// What it is.
    pub content: Content,
    /// Only for runs of protected refs.
    pub protected: bool,
}

fn value_from(row: &Row) -> Result<ValueRow> {
    let id: Uuid = row.get("scope_id")?;
    Ok(ValueRow {
        scope: match row.get::<i64>("far")? {
            0 => Scope::Environment(id.into()),
            1 => Scope::Project(id.into()),
            _ => Scope::Group(id.into()),
        },
        name: row.get("name")?,
        content: match row.get::<Option<String>>("value")? {
            Some(value) => Content::Variable(value),
            None => Content::Secret(row.get::<Option<Vec<u8>>>("sealed")?.unwrap_or_default()),
        },
        protected: row.get("protected")?,
    })
}

/// All values that reach a job of a project in an environment: the farthest group's first, then nearer ones', the
/// project's, the environment's, so that of one name the last is the one that counts. `sealed` asks for the secrets' values,
/// too.
///
/// # Errors
/// The database's.
pub async fn values_of(
    q: impl Into<Q<'_>>,
    project: ProjectId,
    namespace: &str,
    environment: Option<&str>,
    sealed: bool,
) -> Result<Vec<ValueRow>> {
    let rows = q
        .into()
        .all(
            sql!(
                "WITH RECURSIVE above (id, parent_id, far) AS (
                    SELECT id, parent_id, 2 FROM user_group WHERE path = $2
                    UNION ALL SELECT g.id, g.parent_id, a.far + 1 FROM user_group g JOIN above a ON g.id = a.parent_id
                 ), scope (id, far) AS (
                    SELECT id, far FROM above
                    UNION ALL SELECT id, 1 FROM project WHERE id = $1
                    UNION ALL SELECT id, 0 FROM environment WHERE project_id = $1 AND name = $3 AND deleted_at IS NULL
                 )
                 SELECT CAST(c.far AS BIGINT) AS far, s.scope_id, s.name, CASE WHEN $4 THEN s.sealed END AS sealed, NULL AS value, s.protected
                    FROM scope c JOIN scoped_secret s ON s.scope_id = c.id
                 UNION ALL SELECT CAST(c.far AS BIGINT), v.scope_id, v.name, NULL, v.value, v.protected
                    FROM scope c JOIN scoped_variable v ON v.scope_id = c.id
                 ORDER BY 1 DESC, 3"
            ),
            args![project, namespace, environment, sealed],
        )
        .await?;
    rows.iter().map(value_from).collect()
}

/// As [`values_of`], without what a secret is, for all environments at once, each with the values of its own only.
///
/// # Errors
/// The database's.
pub async fn values_of_environments(q: impl Into<Q<'_>>, project: ProjectId) -> Result<Vec<(String, ValueRow)>> {
    let rows = q
        .into()
        .all(
            sql!(
                "SELECT e.name AS environment, s.scope_id, s.name, CAST(NULL AS TEXT) AS value, s.protected
                    FROM environment e JOIN scoped_secret s ON s.scope_id = e.id WHERE e.project_id = $1 AND e.deleted_at IS NULL
                 UNION ALL SELECT e.name, v.scope_id, v.name, v.value, v.protected
                    FROM environment e JOIN scoped_variable v ON v.scope_id = e.id WHERE e.project_id = $1 AND e.deleted_at IS NULL
                 ORDER BY 1, 3"
            ),
            args![project],
        )
        .await?;
    let row = |r: &Row| {
        let content = r.get::<Option<String>>("value")?.map_or_else(|| Content::Secret(Vec::new()), Content::Variable);
        let scope = Scope::Environment(r.get::<Uuid>("scope_id")?.into());
        Ok((r.get("environment")?, ValueRow { scope, name: r.get("name")?, content, protected: r.get("protected")? }))
    };
    rows.iter().map(row).collect()
}

/// Forgets all values of a scope that is deleted.
///
/// # Errors
/// The database's.
pub async fn values_purge(tx: &mut Tx, scope: Scope) -> Result<()> {
    tx.exec(sql!("DELETE FROM scoped_secret WHERE scope_id = $1"), args![scope.id()]).await?;
    tx.exec(sql!("DELETE FROM scoped_variable WHERE scope_id = $1"), args![scope.id()]).await.map(|_| ())
}
