//! Lists of projects: which, in what order, from where on.

use kernel::{ProjectId, Result, UserId, Visibility};

use super::ProjectRow;
use crate::account::like;
use crate::db::Db;
use crate::{Args, Value};

/// In what order to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ProjectSort {
    /// By path.
    #[default]
    Name,
    /// By time of creation.
    Created,
    /// By time of last activity.
    Activity,
}

/// Which projects to list.
#[derive(Clone, Debug, Default)]
pub struct ProjectFilter {
    /// Only those this account may read; none with `all` false means public ones only.
    pub viewer: Option<UserId>,
    /// Administrators see all.
    pub all: bool,
    /// Only these (a narrowed token).
    pub only: Option<Vec<ProjectId>>,
    /// In this namespace or below it.
    pub namespace: Option<String>,
    /// This account is a direct member or the owner.
    pub member: Option<UserId>,
    /// This account is an owner: of the project, by membership, or through a group.
    pub owner: Option<UserId>,
    /// With this visibility.
    pub visibility: Option<Visibility>,
    /// In this language.
    pub language: Option<String>,
    /// With this topic.
    pub topic: Option<String>,
    /// Path or description hold this text.
    pub text: Option<String>,
    /// Archived or not.
    pub archived: Option<bool>,
    /// Deleted ones, that may be restored, instead of live ones.
    pub deleted: bool,
    /// The order.
    pub sort: ProjectSort,
    /// From high to low.
    pub descending: bool,
    /// After this key: the path, or the time and id.
    pub after: Option<ProjectCursor>,
}

/// Where a page of projects ends.
#[derive(Clone, Debug)]
pub enum ProjectCursor {
    /// By path.
    Path(String),
    /// By a time and the id.
    Time(i64, ProjectId),
}

struct Sql {
    text: String,
    args: Args,
}

impl Sql {
    fn bind(&mut self, value: impl Into<Value>) -> String {
        self.args.push(value.into());
        format!("${}", self.args.len())
    }

    fn and(&mut self, condition: &str) {
        self.text.push_str(" AND ");
        self.text.push_str(condition);
    }
}

/// One page of projects.
///
/// # Errors
/// The database's.
pub async fn project_list(db: &Db, f: &ProjectFilter, limit: i64) -> Result<Vec<ProjectRow>> {
    let mut q = Sql { text: "SELECT p.* FROM project p WHERE p.state = 'active'".into(), args: vec![] };
    q.and(if f.deleted { "p.deleted_at IS NOT NULL" } else { "p.deleted_at IS NULL" });
    if !f.all {
        match f.viewer {
            None => q.and("p.visibility = 'public'"),
            Some(viewer) => {
                let v = q.bind(viewer);
                q.and(&format!(
                    "(p.visibility IN ('public', 'internal') OR p.owner_id = {v}
                      OR EXISTS (SELECT 1 FROM project_member m WHERE m.project_id = p.id AND m.account_id = {v})
                      OR EXISTS (SELECT 1 FROM group_member m JOIN user_group g ON g.id = m.group_id WHERE m.account_id = {v}
                          AND (g.path = p.namespace OR SUBSTR(p.namespace, 1, LENGTH(g.path) + 1) = g.path || '/')))"
                ));
            }
        }
    }
    if let Some(only) = &f.only {
        let marks: Vec<String> = only.iter().map(|id| q.bind(*id)).collect();
        let list = if marks.is_empty() { "NULL".into() } else { marks.join(", ") };
        q.and(&format!("p.id IN ({list})"));
    }
    if let Some(namespace) = &f.namespace {
        let (a, b, c) = (q.bind(namespace.as_str()), q.bind(format!("{namespace}/")), q.bind(format!("{namespace}0")));
        q.and(&format!("(p.namespace = {a} OR (p.namespace > {b} AND p.namespace < {c}))"));
    }
    if let Some(member) = f.member {
        let m = q.bind(member);
        q.and(&format!("(p.owner_id = {m} OR EXISTS (SELECT 1 FROM project_member m WHERE m.project_id = p.id AND m.account_id = {m}))"));
    }
    if let Some(owner) = f.owner {
        let o = q.bind(owner);
        q.and(&format!(
            "(p.owner_id = {o} OR EXISTS (SELECT 1 FROM project_member m WHERE m.project_id = p.id AND m.account_id = {o} AND m.role = 'owner')
              OR EXISTS (SELECT 1 FROM group_member m JOIN user_group g ON g.id = m.group_id WHERE m.account_id = {o} AND m.role = 'owner'
                  AND (g.path = p.namespace OR SUBSTR(p.namespace, 1, LENGTH(g.path) + 1) = g.path || '/')))"
        ));
    }
    if let Some(v) = f.visibility {
        let v = q.bind(v.as_str());
        q.and(&format!("p.visibility = {v}"));
    }
    if let Some(language) = &f.language {
        let l = q.bind(language.to_lowercase());
        q.and(&format!("LOWER(p.language) = {l}"));
    }
    if let Some(topic) = &f.topic {
        let t = q.bind(topic.as_str());
        q.and(&format!("EXISTS (SELECT 1 FROM project_topic t WHERE t.topic = {t} AND t.project_id = p.id)"));
    }
    if let Some(text) = &f.text {
        let t = q.bind(like(text));
        q.and(&format!("(LOWER(p.path) LIKE {t} ESCAPE '!' OR LOWER(p.description) LIKE {t} ESCAPE '!')"));
    }
    match f.archived {
        Some(true) => q.and("p.archived_at IS NOT NULL"),
        Some(false) => q.and("p.archived_at IS NULL"),
        None => {}
    }
    let op = if f.descending { "<" } else { ">" };
    let direction = if f.descending { "DESC" } else { "ASC" };
    let column = match f.sort {
        ProjectSort::Name => "p.path",
        ProjectSort::Created => "p.created_at",
        ProjectSort::Activity => "p.last_activity_at",
    };
    match (&f.after, f.sort) {
        (Some(ProjectCursor::Path(path)), ProjectSort::Name) => {
            let a = q.bind(path.as_str());
            q.and(&format!("p.path {op} {a}"));
        }
        (Some(ProjectCursor::Time(at, id)), ProjectSort::Created | ProjectSort::Activity) => {
            let (a, b) = (q.bind(*at), q.bind(*id));
            q.and(&format!("({column}, p.id) {op} ({a}, {b})"));
        }
        (None, _) => {}
        _ => return Err(kernel::Error::new(kernel::Code::InvalidCursor, "the cursor belongs to another order")),
    }
    let n = q.bind(limit);
    let order =
        if f.sort == ProjectSort::Name { format!("{column} {direction}") } else { format!("{column} {direction}, p.id {direction}") };
    q.text.push_str(&format!(" ORDER BY {order} LIMIT {n}"));
    let rows = db.all(&q.text, q.args).await?;
    rows.iter().map(ProjectRow::from_row).collect()
}
