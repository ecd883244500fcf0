//! Projects as the API shows and takes them.

use kernel::{Context, Error, Permission, ProjectId, Result, Role, Timestamp, Visibility};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web_kit::App;

use crate::account::model::{check_text, nullable};

/// A project.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Project)]
pub struct ProjectView {
    #[schema(value_type = String)]
    /// `prj_…`
    pub id: ProjectId,
    /// `namespace/name`.
    pub path: String,
    /// The part before the last slash.
    pub namespace: String,
    /// The part after.
    pub name: String,
    /// What it is.
    pub description: String,
    #[schema(value_type = crate::words::Visibility)]
    /// `private`, `internal` or `public`.
    pub visibility: Visibility,
    /// Main language.
    pub language: Option<String>,
    /// Words to find it by.
    pub topics: Vec<String>,
    /// The branch that counts.
    pub default_branch: String,
    /// What it was made from.
    pub template: Option<String>,
    /// Read-only.
    pub archived: bool,
    #[schema(value_type = Option<String>)]
    /// Deleted since.
    pub deleted_at: Option<Timestamp>,
    #[schema(value_type = String)]
    /// When it was made.
    pub created_at: Timestamp,
    #[schema(value_type = String)]
    /// When its settings last changed.
    pub updated_at: Timestamp,
    #[schema(value_type = String)]
    /// When somebody last pushed, ran or deployed, to the minute.
    pub last_activity_at: Timestamp,
    /// For `If-Match`.
    pub version: i64,
    /// For `git clone`.
    pub clone_url: String,
    /// The page.
    pub web_url: String,
    /// The image repository.
    pub registry: String,
    #[schema(value_type = Option<crate::words::Role>)]
    /// What the caller is here.
    pub role: Option<Role>,
    /// What the caller may do here.
    pub permissions: Vec<&'static str>,
}

impl ProjectView {
    /// The project as this caller sees it.
    pub fn new(app: &App, ctx: &Context, p: &web_kit::Project) -> Self {
        let row = &p.row;
        let permissions =
            Permission::ALL.iter().filter(|q| kernel::authz::authorize(ctx, &p.access, **q).is_ok()).map(|q| q.as_str()).collect();
        Self {
            id: row.id,
            path: row.path.clone(),
            namespace: row.namespace.clone(),
            name: row.name.clone(),
            description: row.description.clone(),
            visibility: row.visibility,
            language: row.language.clone(),
            topics: row.topics.clone(),
            default_branch: row.default_branch.clone(),
            template: row.template.clone(),
            archived: row.archived_at.is_some(),
            deleted_at: row.deleted_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
            last_activity_at: row.last_activity_at,
            version: row.version,
            clone_url: app.url(&format!("{}.git", row.path)),
            web_url: app.url(&row.path),
            registry: format!("{}/{}", app.config().public_host(), row.path),
            role: p.access.role,
            permissions,
        }
    }
}

/// What to change in a project's settings.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectUpdate {
    /// What it is.
    pub description: Option<String>,
    #[schema(value_type = Option<crate::words::Visibility>)]
    /// Who sees it.
    pub visibility: Option<Visibility>,
    /// Main language; null: as analysis finds.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    pub language: Option<Option<String>>,
    /// Words to find it by.
    pub topics: Option<Vec<String>>,
    /// The branch that counts.
    pub default_branch: Option<String>,
}

impl ProjectUpdate {
    pub(crate) fn fields(&self) -> Vec<String> {
        [
            ("description", self.description.is_some()),
            ("visibility", self.visibility.is_some()),
            ("language", self.language.is_some()),
            ("topics", self.topics.is_some()),
            ("default_branch", self.default_branch.is_some()),
        ]
        .into_iter()
        .filter(|(_, set)| *set)
        .map(|(name, _)| name.to_owned())
        .collect()
    }

    pub(crate) fn check(&self) -> Result<()> {
        check_settings(self.description.as_deref(), self.language.as_ref().and_then(|l| l.as_deref()), self.topics.as_deref())
    }
}

/// Holds the texts of a project's settings to their bounds.
pub(crate) fn check_settings(description: Option<&str>, language: Option<&str>, topics: Option<&[String]>) -> Result<()> {
    if let Some(text) = description {
        check_text("description", text, 2000)?;
    }
    if let Some(text) = language {
        check_text("language", text, 50)?;
        if text.trim().is_empty() || text.contains('\n') {
            return Err(Error::field("language", "invalid", "is one word or a few"));
        }
    }
    if let Some(topics) = topics {
        if topics.len() > 20 {
            return Err(Error::field("topics", "too_many", "at most 20"));
        }
        for topic in topics {
            let topic = topic.trim().to_lowercase();
            let fine =
                !topic.is_empty() && topic.len() <= 50 && topic.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '.' | '+' | '#'));
            if !fine {
                return Err(Error::field("topics", "invalid", "a topic is up to 50 letters, digits and '-'"));
            }
        }
    }
    Ok(())
}

/// Topics in lower case, sorted, each once.
pub(crate) fn tidy_topics(topics: Vec<String>) -> Vec<String> {
    let mut out: Vec<String> = topics.into_iter().map(|t| t.trim().to_lowercase()).collect();
    out.sort();
    out.dedup();
    out
}

/// Where to move a project.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectMove {
    /// Another namespace: transfer.
    pub namespace: Option<String>,
    /// Another name: rename.
    pub name: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_held_to_their_form() {
        assert!(check_settings(None, None, Some(&["web".into(), "C#".into()])).is_ok());
        for bad in ["", "a b", "<script>", &"x".repeat(51)] {
            assert!(check_settings(None, None, Some(&[bad.to_owned()])).is_err(), "{bad}");
        }
        assert_eq!(tidy_topics(vec![" B".into(), "a".into(), "b".into()]), ["a", "b"]);
    }
}
