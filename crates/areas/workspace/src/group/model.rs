//! Groups and members as the API shows and takes them.

use kernel::{GroupId, Role, Timestamp, UserId, Visibility};
use serde::{Deserialize, Serialize};
use store::group::{GroupRow, MemberRow};
use utoipa::ToSchema;

/// A group.
#[derive(Serialize, ToSchema)]
pub struct Group {
    #[schema(value_type = String)]
    /// `grp_…`
    pub id: GroupId,
    /// Its full path.
    pub path: String,
    /// The last word of the path.
    pub name: String,
    /// The name for people.
    pub display_name: String,
    /// What it is for.
    pub description: String,
    #[schema(value_type = crate::words::Visibility)]
    /// `private`, `internal` or `public`.
    pub visibility: Visibility,
    /// The path of the group above.
    pub parent: Option<String>,
    #[schema(value_type = String)]
    /// When it was made.
    pub created_at: Timestamp,
    /// For `If-Match`.
    pub version: i64,
}

impl From<GroupRow> for Group {
    fn from(row: GroupRow) -> Self {
        let parent = row.path.rsplit_once('/').map(|(p, _)| p.to_owned());
        let name = row.path.rsplit('/').next().unwrap_or_default().to_owned();
        Self {
            id: row.id,
            name,
            parent,
            path: row.path,
            display_name: row.display_name,
            description: row.description,
            visibility: row.visibility,
            created_at: row.created_at,
            version: row.version,
        }
    }
}

/// A group to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupNew {
    /// The full path; the group above must be there.
    pub path: String,
    /// The name for people.
    pub display_name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    #[schema(value_type = Option<crate::words::Visibility>)]
    /// `private` when not given.
    pub visibility: Option<Visibility>,
}

/// What to change in a group.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupChange {
    /// The name for people.
    pub display_name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    #[schema(value_type = Option<crate::words::Visibility>)]
    /// Who may know of it.
    pub visibility: Option<Visibility>,
}

/// A user or group that may hold projects.
#[derive(Serialize, ToSchema)]
pub struct Namespace {
    /// Its path.
    pub path: String,
    /// `user` or `group`.
    #[schema(value_type = crate::words::NamespaceKind)]
    pub kind: &'static str,
}

/// A member.
#[derive(Serialize, ToSchema)]
pub struct Member {
    /// Who.
    pub user: MemberUser,
    #[schema(value_type = crate::words::Role)]
    /// As what.
    pub role: Role,
    /// `direct`, or `group:<path>`.
    pub source: String,
    #[schema(value_type = String)]
    /// Since when.
    pub created_at: Timestamp,
}

/// The account of a member.
#[derive(Serialize, ToSchema)]
pub struct MemberUser {
    #[schema(value_type = String)]
    /// `usr_…`
    pub id: UserId,
    /// The name in addresses.
    pub name: String,
    /// The name for people.
    pub display_name: String,
}

impl Member {
    /// The row as seen from `here`, the path of the group that is asked, if one is.
    pub fn new(row: MemberRow, here: Option<&str>) -> Self {
        let source = match row.group {
            Some(path) if Some(path.as_str()) != here => format!("group:{path}"),
            _ => "direct".to_owned(),
        };
        let user = MemberUser { id: row.account, name: row.name, display_name: row.display_name };
        Self { user, role: row.role, source, created_at: row.created_at }
    }
}

/// A role to give.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleSet {
    #[schema(value_type = crate::words::Role)]
    /// `guest`, `reporter`, `developer`, `maintainer` or `owner`.
    pub role: Role,
}
