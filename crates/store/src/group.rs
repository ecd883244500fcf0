//! Groups: a tree by path, with membership that is inherited downwards.

use kernel::{GroupId, NamespacePath, Result, Role, Timestamp, UserId, Visibility};

use crate::db::{Db, Q, Tx};
use crate::{Row, args, sql};

/// A group.
#[derive(Clone, Debug)]
pub struct GroupRow {
    /// Its id.
    pub id: GroupId,
    /// Its full path.
    pub path: String,
    /// The group above.
    pub parent: Option<GroupId>,
    /// The name for people.
    pub display_name: String,
    /// What it is for.
    pub description: String,
    /// Who may know of it.
    pub visibility: Visibility,
    /// When it was made.
    pub created_at: Timestamp,
    /// Row version.
    pub version: i64,
}

pub(crate) fn visibility(row: &Row) -> Result<Visibility> {
    let text: String = row.get("visibility")?;
    Visibility::parse(&text).ok_or_else(|| kernel::Error::internal(format!("visibility {text}")))
}

pub(crate) fn role(text: &str) -> Result<Role> {
    Role::parse(text).ok_or_else(|| kernel::Error::internal(format!("role {text}")))
}

impl GroupRow {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            path: row.get("path")?,
            parent: row.get("parent_id")?,
            display_name: row.get("display_name")?,
            description: row.get("description")?,
            visibility: visibility(row)?,
            created_at: row.get("created_at")?,
            version: row.get("version")?,
        })
    }
}

/// A member with its role and, for an inherited one, the group it comes from.
#[derive(Clone, Debug)]
pub struct MemberRow {
    /// Who.
    pub account: UserId,
    /// Its name.
    pub name: String,
    /// Its name for people.
    pub display_name: String,
    /// As what.
    pub role: Role,
    /// The path of the group that gives it; none when direct.
    pub group: Option<String>,
    /// Since when.
    pub created_at: Timestamp,
}

impl MemberRow {
    pub(crate) fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            account: row.get("account_id")?,
            name: row.get("name")?,
            display_name: row.get("display_name")?,
            role: role(&row.get::<String>("role")?)?,
            group: row.get("group_path")?,
            created_at: row.get("created_at")?,
        })
    }
}

/// Adds a group, claims its path, and makes `owner` its owner.
///
/// # Errors
/// `already_exists` when the path is taken.
pub async fn group_create(tx: &mut Tx, group: &GroupRow, owner: UserId) -> Result<()> {
    crate::account::path_claim(tx, &group.path, "group", group.id.uuid()).await?;
    tx.exec(
        sql!(
            "INSERT INTO user_group (id, path, parent_id, display_name, description, visibility, created_at, version)
             VALUES ($1, $2, $3, $4, $5, $6, $7, 1)"
        ),
        args![
            group.id,
            group.path.as_str(),
            group.parent,
            group.display_name.as_str(),
            group.description.as_str(),
            group.visibility.as_str(),
            group.created_at
        ],
    )
    .await?;
    group_member_set(tx, group.id, owner, Role::Owner).await
}

/// A group by id.
///
/// # Errors
/// The database's.
pub async fn group_get(q: impl Into<Q<'_>>, id: GroupId) -> Result<Option<GroupRow>> {
    let row = q.into().opt(sql!("SELECT * FROM user_group WHERE id = $1"), args![id]).await?;
    row.as_ref().map(GroupRow::from_row).transpose()
}

/// A group by path.
///
/// # Errors
/// The database's.
pub async fn group_by_path(q: impl Into<Q<'_>>, path: &str) -> Result<Option<GroupRow>> {
    let row = q.into().opt(sql!("SELECT * FROM user_group WHERE path = $1"), args![path]).await?;
    row.as_ref().map(GroupRow::from_row).transpose()
}

/// The paths of a namespace and all above it: what membership is inherited from.
pub fn ancestors(path: &str) -> Vec<&str> {
    let mut out: Vec<&str> = path.match_indices('/').map(|(i, _)| &path[..i]).collect();
    out.push(path);
    out
}

/// The groups an account is a direct member of, and as what.
///
/// # Errors
/// The database's.
pub async fn group_roles(q: impl Into<Q<'_>>, account: UserId) -> Result<Vec<(String, Role)>> {
    let rows = q
        .into()
        .all(
            sql!(
                "SELECT g.path, m.role FROM group_member m JOIN user_group g ON g.id = m.group_id WHERE m.account_id = $1 ORDER BY g.path"
            ),
            args![account],
        )
        .await?;
    rows.iter().map(|r| Ok((r.get("path")?, role(&r.get::<String>("role")?)?))).collect()
}

/// The highest role an account has in a namespace through its groups.
///
/// # Errors
/// The database's.
pub async fn group_role(q: impl Into<Q<'_>>, namespace: &str, account: UserId) -> Result<Option<Role>> {
    let above = ancestors(namespace);
    let roles = group_roles(q, account).await?;
    Ok(roles.into_iter().filter(|(path, _)| above.contains(&path.as_str())).map(|(_, r)| r).max())
}

/// Groups a caller may know of, by path, after `after`. With no account only public ones; `all` for administrators.
///
/// # Errors
/// The database's.
pub async fn group_list(db: &Db, account: Option<UserId>, all: bool, after: &str, limit: i64) -> Result<Vec<GroupRow>> {
    let rows = db
        .all(
            sql!(
                "SELECT g.* FROM user_group g WHERE g.path > $1 AND ($2 OR g.visibility = 'public'
                    OR EXISTS (SELECT 1 FROM group_member m JOIN user_group a ON a.id = m.group_id WHERE m.account_id = $3
                        AND (a.path = g.path OR SUBSTR(g.path, 1, LENGTH(a.path) + 1) = a.path || '/'))
                    OR (g.visibility = 'internal' AND $3 IS NOT NULL))
                 ORDER BY g.path LIMIT $4"
            ),
            args![after, all, account, limit],
        )
        .await?;
    rows.iter().map(GroupRow::from_row).collect()
}

/// Sub-groups below any of these paths, for finding where an account may create.
///
/// # Errors
/// The database's.
pub async fn group_below(db: &Db, path: &NamespacePath, limit: i64) -> Result<Vec<String>> {
    let rows = db
        .all(
            sql!("SELECT path FROM user_group WHERE path > $1 AND path < $2 ORDER BY path LIMIT $3"),
            args![format!("{path}/"), format!("{path}0"), limit],
        )
        .await?;
    rows.iter().map(|r| r.get("path")).collect()
}

/// Changes a group's texts when it still has `version`; none when it has not.
///
/// # Errors
/// The database's.
pub async fn group_update(
    tx: &mut Tx,
    id: GroupId,
    version: i64,
    display_name: Option<&str>,
    description: Option<&str>,
    visibility: Option<Visibility>,
) -> Result<Option<GroupRow>> {
    let row = tx
        .opt(
            sql!(
                "UPDATE user_group SET display_name = COALESCE($3, display_name), description = COALESCE($4, description),
                    visibility = COALESCE($5, visibility), version = version + 1 WHERE id = $1 AND version = $2 RETURNING *"
            ),
            args![id, version, display_name, description, visibility.map(Visibility::as_str)],
        )
        .await?;
    row.as_ref().map(GroupRow::from_row).transpose()
}

/// Removes an empty group and frees its path; false when something lives in it.
///
/// # Errors
/// The database's.
pub async fn group_delete(tx: &mut Tx, group: &GroupRow) -> Result<bool> {
    let used = tx
        .opt(
            sql!(
                "SELECT 1 AS used FROM project WHERE namespace = $1 UNION ALL SELECT 1 AS used FROM user_group WHERE parent_id = $2 LIMIT 1"
            ),
            args![group.path.as_str(), group.id],
        )
        .await?;
    if used.is_some() {
        return Ok(false);
    }
    tx.exec(sql!("DELETE FROM group_member WHERE group_id = $1"), args![group.id]).await?;
    crate::secret::values_purge(tx, crate::secret::Scope::Group(group.id)).await?;
    tx.exec(sql!("DELETE FROM user_group WHERE id = $1"), args![group.id]).await?;
    crate::account::path_release(tx, &group.path).await?;
    Ok(true)
}

/// Gives an account a role in a group.
///
/// # Errors
/// `conflict` when the account is not there.
pub async fn group_member_set(tx: &mut Tx, group: GroupId, account: UserId, role: Role) -> Result<()> {
    tx.exec(
        sql!(
            "INSERT INTO group_member (group_id, account_id, role, created_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (group_id, account_id) DO UPDATE SET role = excluded.role"
        ),
        args![group, account, role.as_str(), Timestamp::now()],
    )
    .await
    .map(|_| ())
}

/// Takes an account out of a group; false when it was not in.
///
/// # Errors
/// The database's.
pub async fn group_member_delete(tx: &mut Tx, group: GroupId, account: UserId) -> Result<bool> {
    let n = tx.exec(sql!("DELETE FROM group_member WHERE group_id = $1 AND account_id = $2"), args![group, account]).await?;
    Ok(n == 1)
}

/// How many owners a group has.
///
/// # Errors
/// The database's.
pub async fn group_owners(tx: &mut Tx, group: GroupId) -> Result<i64> {
    tx.one(sql!("SELECT COUNT(*) AS n FROM group_member WHERE group_id = $1 AND role = 'owner'"), args![group]).await?.get("n")
}

/// Direct members of the group and of those above it, by name; an account may be listed once per group.
///
/// # Errors
/// The database's.
pub async fn group_member_list(db: &Db, path: &str) -> Result<Vec<MemberRow>> {
    let above = ancestors(path);
    let marks = (1..=above.len()).map(|i| format!("${i}")).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "SELECT m.account_id, a.name, a.display_name, m.role, g.path AS group_path, m.created_at
         FROM group_member m JOIN user_group g ON g.id = m.group_id JOIN account a ON a.id = m.account_id
         WHERE g.path IN ({marks}) ORDER BY a.name, g.path DESC LIMIT 1000"
    );
    let rows = db.all(&sql, above.into_iter().map(crate::Value::from).collect()).await?;
    rows.iter().map(MemberRow::from_row).collect()
}
