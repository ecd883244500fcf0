//! Projects, who may reach them, and the addresses they had before. Lists of them are in `list`.

mod list;

use std::collections::HashMap;

use kernel::{Access, Code, Error, ProjectId, ProjectPath, Result, Role, Timestamp, UserId, Visibility};

use crate::account::{path_claim, path_release};
use crate::db::{Db, Q, Tx};
use crate::group::{MemberRow, ancestors, group_role, role, visibility};
use crate::{Args, Row, Value, args, sql};

pub use list::{ProjectCursor, ProjectFilter, ProjectSort, project_list};

/// A project.
#[derive(Clone, Debug)]
pub struct ProjectRow {
    /// Its id.
    pub id: ProjectId,
    /// `namespace/name`; a deleted project keeps the path it had.
    pub path: String,
    /// The part before the last slash.
    pub namespace: String,
    /// The part after.
    pub name: String,
    /// The user whose own namespace it lives in, if it is one.
    pub owner: Option<UserId>,
    /// What it is.
    pub description: String,
    /// Who sees it.
    pub visibility: Visibility,
    /// Main language as told or found.
    pub language: Option<String>,
    /// Words to find it by.
    pub topics: Vec<String>,
    /// Short name of the branch that counts.
    pub default_branch: String,
    /// What it was made from.
    pub template: Option<String>,
    /// `creating` or `active`.
    pub state: String,
    /// Read-only since.
    pub archived_at: Option<Timestamp>,
    /// Deleted since; collected after 30 days.
    pub deleted_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its settings last changed.
    pub updated_at: Timestamp,
    /// When somebody last pushed, ran or deployed.
    pub last_activity_at: Timestamp,
    /// Row version, for `ETag`.
    pub version: i64,
}

impl ProjectRow {
    pub(crate) fn from_row(row: &Row) -> Result<Self> {
        let path: String = row.get("path")?;
        let deleted_at: Option<Timestamp> = row.get("deleted_at")?;
        // a deleted project frees its address: the stored path has a suffix that no address can have
        let shown = if deleted_at.is_some() { path.split('\n').next().unwrap_or_default().to_owned() } else { path };
        Ok(Self {
            id: row.get("id")?,
            path: shown,
            namespace: row.get("namespace")?,
            name: row.get("name")?,
            owner: row.get("owner_id")?,
            description: row.get("description")?,
            visibility: visibility(row)?,
            language: row.get("language")?,
            topics: row.json("topics")?,
            default_branch: row.get("default_branch")?,
            template: row.get("template")?,
            state: row.get("state")?,
            archived_at: row.get("archived_at")?,
            deleted_at,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
            last_activity_at: row.get("last_activity_at")?,
            version: row.get("version")?,
        })
    }
}

/// Adds a project in state `creating` and claims its path.
///
/// # Errors
/// `already_exists` when the path is taken.
pub async fn project_create(tx: &mut Tx, p: &ProjectRow) -> Result<()> {
    path_claim(tx, &p.path, "project", p.id.uuid()).await?;
    tx.exec(
        sql!(
            "INSERT INTO project (id, path, namespace, name, owner_id, description, visibility, language, topics, default_branch, template,
                state, created_at, updated_at, last_activity_at, version)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13, $13, 1)"
        ),
        args![
            p.id,
            p.path.as_str(),
            p.namespace.as_str(),
            p.name.as_str(),
            p.owner,
            p.description.as_str(),
            p.visibility.as_str(),
            p.language.as_deref(),
            serde_json::json!(p.topics),
            p.default_branch.as_str(),
            p.template.as_deref(),
            p.state.as_str(),
            p.created_at
        ],
    )
    .await?;
    // an old address that is used anew no longer leads elsewhere
    tx.exec(sql!("DELETE FROM redirect WHERE path = $1"), args![p.path.as_str()]).await?;
    topics_set(tx, p.id, &p.topics).await
}

async fn topics_set(tx: &mut Tx, id: ProjectId, topics: &[String]) -> Result<()> {
    tx.exec(sql!("DELETE FROM project_topic WHERE project_id = $1"), args![id]).await?;
    for topic in topics {
        tx.exec(sql!("INSERT INTO project_topic (topic, project_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"), args![topic.as_str(), id])
            .await?;
    }
    Ok(())
}

/// Makes a project that is being created usable.
///
/// # Errors
/// The database's.
pub async fn project_activate(tx: &mut Tx, id: ProjectId) -> Result<()> {
    tx.exec(sql!("UPDATE project SET state = 'active' WHERE id = $1"), args![id]).await.map(|_| ())
}

/// A project by id, in any state.
///
/// # Errors
/// The database's.
pub async fn project_get(q: impl Into<Q<'_>>, id: ProjectId) -> Result<Option<ProjectRow>> {
    let row = q.into().opt(sql!("SELECT * FROM project WHERE id = $1"), args![id]).await?;
    row.as_ref().map(ProjectRow::from_row).transpose()
}

/// A project by its address.
///
/// # Errors
/// The database's.
pub async fn project_by_path(q: impl Into<Q<'_>>, path: &str) -> Result<Option<ProjectRow>> {
    let row = q.into().opt(sql!("SELECT * FROM project WHERE path = $1"), args![path]).await?;
    row.as_ref().map(ProjectRow::from_row).transpose()
}

/// The project that had this address before.
///
/// # Errors
/// The database's.
pub async fn project_by_old_path(db: &Db, path: &str) -> Result<Option<ProjectRow>> {
    let row = db.opt(sql!("SELECT p.* FROM redirect r JOIN project p ON p.id = r.project_id WHERE r.path = $1"), args![path]).await?;
    row.as_ref().map(ProjectRow::from_row).transpose()
}

/// The facts for the authorisation decision: the highest role of an account, direct, by its own namespace, or inherited.
///
/// # Errors
/// The database's.
pub async fn project_access(db: &Db, p: &ProjectRow, account: Option<UserId>) -> Result<Access> {
    let role = match account {
        None => None,
        Some(id) if p.owner == Some(id) => Some(Role::Owner),
        Some(id) => {
            let direct = db
                .opt(sql!("SELECT role FROM project_member WHERE project_id = $1 AND account_id = $2"), args![p.id, id])
                .await?
                .map(|r| role(&r.get::<String>("role")?))
                .transpose()?;
            // a user's own namespace has no groups above it
            let inherited = if p.owner.is_some() { None } else { group_role(db, &p.namespace, id).await? };
            direct.max(inherited)
        }
    };
    Ok(access_of(p, role))
}

/// As [`project_access`] for a page of projects, in two queries.
///
/// # Errors
/// The database's.
pub async fn project_access_many(db: &Db, projects: &[ProjectRow], account: Option<UserId>) -> Result<Vec<Access>> {
    let mut direct: HashMap<ProjectId, Role> = HashMap::new();
    let mut groups: Vec<(String, Role)> = Vec::new();
    if let (Some(id), false) = (account, projects.is_empty()) {
        let mut binds: Args = args![id];
        let marks: Vec<String> = projects
            .iter()
            .map(|p| {
                binds.push(Value::from(p.id));
                format!("${}", binds.len())
            })
            .collect();
        let sql = format!("SELECT project_id, role FROM project_member WHERE account_id = $1 AND project_id IN ({})", marks.join(", "));
        for row in db.all(&sql, binds).await? {
            direct.insert(row.get("project_id")?, role(&row.get::<String>("role")?)?);
        }
        groups = crate::group::group_roles(db, id).await?;
    }
    Ok(projects
        .iter()
        .map(|p| {
            let owner = (account.is_some() && p.owner == account).then_some(Role::Owner);
            let above = ancestors(&p.namespace);
            let inherited = groups.iter().filter(|(path, _)| p.owner.is_none() && above.contains(&path.as_str())).map(|(_, r)| *r).max();
            access_of(p, owner.max(direct.get(&p.id).copied()).max(inherited))
        })
        .collect())
}

fn access_of(p: &ProjectRow, role: Option<Role>) -> Access {
    Access {
        project: p.id,
        visibility: p.visibility,
        role,
        archived: p.archived_at.is_some(),
        deleted: p.deleted_at.is_some() || p.state == "creating",
    }
}

/// What to change in a project's settings.
#[derive(Clone, Debug, Default)]
pub struct ProjectChange {
    /// New description.
    pub description: Option<String>,
    /// New visibility.
    pub visibility: Option<Visibility>,
    /// New language; `Some(None)` removes it.
    pub language: Option<Option<String>>,
    /// New topics.
    pub topics: Option<Vec<String>>,
    /// New default branch.
    pub default_branch: Option<String>,
}

/// Changes a project when it still has `version`; none when it has not.
///
/// # Errors
/// The database's.
pub async fn project_update(tx: &mut Tx, id: ProjectId, version: i64, change: &ProjectChange) -> Result<Option<ProjectRow>> {
    let row = tx
        .opt(
            sql!(
                "UPDATE project SET description = COALESCE($3, description), visibility = COALESCE($4, visibility),
                    language = CASE WHEN $5 THEN $6 ELSE language END, topics = COALESCE($7, topics),
                    default_branch = COALESCE($8, default_branch), updated_at = $9, version = version + 1
                 WHERE id = $1 AND version = $2 RETURNING *"
            ),
            args![
                id,
                version,
                change.description.as_deref(),
                change.visibility.map(Visibility::as_str),
                change.language.is_some(),
                change.language.clone().flatten(),
                change.topics.as_ref().map(|t| serde_json::json!(t)),
                change.default_branch.as_deref(),
                Timestamp::now()
            ],
        )
        .await?;
    if let (Some(_), Some(topics)) = (&row, &change.topics) {
        topics_set(tx, id, topics).await?;
    }
    row.as_ref().map(ProjectRow::from_row).transpose()
}

/// Sets the language found by analysis, where the owner has told none.
///
/// # Errors
/// The database's.
pub async fn project_language_found(q: impl Into<Q<'_>>, id: ProjectId, language: &str) -> Result<()> {
    q.into().exec(sql!("UPDATE project SET language = $2 WHERE id = $1 AND language IS NULL"), args![id, language]).await.map(|_| ())
}

/// Makes another branch the default one, where a first push brought no branch of the name it had.
///
/// # Errors
/// The database's.
pub async fn project_default_branch(tx: &mut Tx, id: ProjectId, branch: &str) -> Result<()> {
    tx.exec(sql!("UPDATE project SET default_branch = $2, version = version + 1 WHERE id = $1"), args![id, branch]).await.map(|_| ())
}

/// Notes activity, at most once a minute so that a busy project's row is not written for every push.
///
/// # Errors
/// The database's.
pub async fn project_touch(q: impl Into<Q<'_>>, id: ProjectId, now: Timestamp) -> Result<()> {
    q.into()
        .exec(sql!("UPDATE project SET last_activity_at = $2 WHERE id = $1 AND last_activity_at < $2 - 60000"), args![id, now])
        .await
        .map(|_| ())
}

/// Gives a project another address; the old one leads to it from now on.
///
/// # Errors
/// `already_exists` when the new address is taken.
pub async fn project_move(tx: &mut Tx, p: &ProjectRow, to: &ProjectPath, owner: Option<UserId>) -> Result<ProjectRow> {
    path_claim(tx, to.as_str(), "project", p.id.uuid()).await?;
    path_release(tx, &p.path).await?;
    tx.exec(sql!("DELETE FROM redirect WHERE path = $1"), args![to.as_str()]).await?;
    let now = Timestamp::now();
    tx.exec(
        sql!(
            "INSERT INTO redirect (path, project_id, created_at) VALUES ($1, $2, $3)
             ON CONFLICT (path) DO UPDATE SET project_id = excluded.project_id, created_at = excluded.created_at"
        ),
        args![p.path.as_str(), p.id, now],
    )
    .await?;
    let row = tx
        .one(
            sql!(
                "UPDATE project SET path = $2, namespace = $3, name = $4, owner_id = $5, updated_at = $6, version = version + 1 WHERE id = $1 RETURNING *"
            ),
            args![p.id, to.as_str(), to.namespace().as_str(), to.name(), owner, now],
        )
        .await?;
    ProjectRow::from_row(&row)
}

/// Archives or un-archives.
///
/// # Errors
/// The database's.
pub async fn project_archive(tx: &mut Tx, id: ProjectId, archived: bool) -> Result<ProjectRow> {
    let now = Timestamp::now();
    let row = tx
        .one(
            sql!("UPDATE project SET archived_at = $2, updated_at = $3, version = version + 1 WHERE id = $1 RETURNING *"),
            args![id, archived.then_some(now), now],
        )
        .await?;
    ProjectRow::from_row(&row)
}

/// Deletes softly: the address is free at once, the rest stays for 30 days.
///
/// # Errors
/// The database's.
pub async fn project_delete(tx: &mut Tx, p: &ProjectRow) -> Result<ProjectRow> {
    path_release(tx, &p.path).await?;
    let now = Timestamp::now();
    let row = tx
        .one(
            sql!("UPDATE project SET path = $2, deleted_at = $3, updated_at = $3, version = version + 1 WHERE id = $1 RETURNING *"),
            args![p.id, format!("{}\n{}", p.path, p.id), now],
        )
        .await?;
    ProjectRow::from_row(&row)
}

/// Brings a deleted project back to the address it had.
///
/// # Errors
/// `already_exists` when another project took the address.
pub async fn project_restore(tx: &mut Tx, p: &ProjectRow) -> Result<ProjectRow> {
    path_claim(tx, &p.path, "project", p.id.uuid()).await?;
    let row = tx
        .opt(
            sql!("UPDATE project SET path = $2, deleted_at = NULL, updated_at = $3, version = version + 1 WHERE id = $1 AND state = 'active' RETURNING *"),
            args![p.id, p.path.as_str(), Timestamp::now()],
        )
        .await?;
    ProjectRow::from_row(&row.ok_or_else(|| Error::new(Code::Conflict, "the project is being removed for good"))?)
}

/// Projects deleted before `before`: ready to be collected.
///
/// # Errors
/// The database's.
pub async fn project_expired(db: &Db, before: Timestamp, limit: i64) -> Result<Vec<ProjectRow>> {
    let rows = db
        .all(
            sql!(
                "SELECT * FROM project WHERE deleted_at IS NOT NULL AND (deleted_at < $1 OR state = 'purging') ORDER BY deleted_at LIMIT $2"
            ),
            args![before, limit],
        )
        .await?;
    rows.iter().map(ProjectRow::from_row).collect()
}

/// Marks a deleted project as one that is being removed for good: nothing brings it back. False when it is not deleted,
/// or was marked before.
///
/// # Errors
/// The database's.
pub async fn project_purging(tx: &mut Tx, id: ProjectId) -> Result<bool> {
    let n = tx
        .exec(sql!("UPDATE project SET state = 'purging' WHERE id = $1 AND state = 'active' AND deleted_at IS NOT NULL"), args![id])
        .await?;
    Ok(n == 1)
}

/// Removes the row of a project and what the workspace keeps with it. Runs, files and figures must be gone by then
/// ([`crate::run::pipeline_purge`], [`crate::file::code_purge`]).
///
/// # Errors
/// `conflict` while rows of other rooms still refer to it.
pub async fn project_purge(tx: &mut Tx, p: &ProjectRow) -> Result<()> {
    crate::environment::deliver_purge(tx, p.id).await?;
    for statement in [
        sql!("DELETE FROM push WHERE project_id = $1"),
        sql!("DELETE FROM git_ref WHERE project_id = $1"),
        sql!("DELETE FROM commit_status WHERE project_id = $1"),
        sql!("DELETE FROM project_topic WHERE project_id = $1"),
        sql!("DELETE FROM project_member WHERE project_id = $1"),
        sql!("DELETE FROM redirect WHERE project_id = $1"),
        sql!("DELETE FROM path_claim WHERE kind = 'project' AND id = $1"),
        sql!("DELETE FROM project WHERE id = $1"),
    ] {
        tx.exec(statement, args![p.id]).await?;
    }
    Ok(())
}

/// Gives an account a role in a project.
///
/// # Errors
/// The database's.
pub async fn project_member_set(tx: &mut Tx, project: ProjectId, account: UserId, role: Role) -> Result<()> {
    tx.exec(
        sql!(
            "INSERT INTO project_member (project_id, account_id, role, created_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (project_id, account_id) DO UPDATE SET role = excluded.role"
        ),
        args![project, account, role.as_str(), Timestamp::now()],
    )
    .await
    .map(|_| ())
}

/// Takes an account out of a project; false when it was not in.
///
/// # Errors
/// The database's.
pub async fn project_member_delete(tx: &mut Tx, project: ProjectId, account: UserId) -> Result<bool> {
    let n = tx.exec(sql!("DELETE FROM project_member WHERE project_id = $1 AND account_id = $2"), args![project, account]).await?;
    Ok(n == 1)
}

/// Direct and inherited members, by name.
///
/// # Errors
/// The database's.
pub async fn project_member_list(db: &Db, p: &ProjectRow) -> Result<Vec<MemberRow>> {
    let mut binds: Args = args![p.id, p.owner];
    let above = ancestors(&p.namespace);
    let marks: Vec<String> = above
        .iter()
        .map(|path| {
            binds.push(Value::from(*path));
            format!("${}", binds.len())
        })
        .collect();
    let sql = format!(
        "SELECT m.account_id, a.name, a.display_name, m.role, NULL AS group_path, m.created_at
           FROM project_member m JOIN account a ON a.id = m.account_id WHERE m.project_id = $1
         UNION ALL
         SELECT a.id AS account_id, a.name, a.display_name, 'owner' AS role, NULL AS group_path, a.created_at FROM account a WHERE a.id = $2
         UNION ALL
         SELECT m.account_id, a.name, a.display_name, m.role, g.path AS group_path, m.created_at
           FROM group_member m JOIN user_group g ON g.id = m.group_id JOIN account a ON a.id = m.account_id WHERE g.path IN ({})
         ORDER BY 2, 5 LIMIT 1000",
        marks.join(", ")
    );
    let rows = db.all(&sql, binds).await?;
    rows.iter().map(MemberRow::from_row).collect()
}
