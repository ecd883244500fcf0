//! The creation flow as the API shows and takes it.

use indexmap::IndexMap;
use kernel::{OperationId, ProjectId, Result, Timestamp, Visibility};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::operation::OperationRow;
use utoipa::ToSchema;

/// A project to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectNew {
    /// The last word of its path.
    pub name: String,
    /// A user's or group's path; the caller's own when not given.
    pub namespace: Option<String>,
    /// What it is.
    pub description: Option<String>,
    #[schema(value_type = Option<crate::words::Visibility>)]
    /// `private` when not given.
    pub visibility: Option<Visibility>,
    /// Main language; the template's when not given.
    pub language: Option<String>,
    /// Words to find it by.
    pub topics: Option<Vec<String>>,
    /// A built-in template, or the path of a repository of the instance; none: empty.
    pub template: Option<String>,
    /// Which branch, tag or commit of a template repository.
    pub template_ref: Option<String>,
    /// The template's parameters.
    #[schema(value_type = Option<std::collections::HashMap<String, Value>>)]
    pub parameters: Option<IndexMap<String, Value>>,
    /// `main` when not given.
    pub default_branch: Option<String>,
}

/// One step of a flow.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = OperationStep)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// For people.
    pub title: String,
    /// `pending`, `running`, `done`, `failed`, `skipped` or `undone`.
    #[schema(value_type = crate::words::OperationStepState)]
    pub state: String,
    /// What it found or did.
    pub detail: Option<String>,
    #[schema(value_type = Option<String>)]
    /// When it began.
    pub started_at: Option<Timestamp>,
    #[schema(value_type = Option<String>)]
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// The steps of making a project, in order.
pub const STEPS: &[(&str, &str)] = &[
    ("validate", "Check the request"),
    ("create_repository", "Create the repository"),
    ("initialise_structure", "Lay out the files"),
    ("set_up_dependencies", "Set up dependencies"),
    ("configure_ci", "Configure CI/CD"),
    ("index_files", "Index the files"),
    ("finish", "Open the project"),
];

impl Step {
    /// All steps, pending.
    pub fn all() -> Vec<Step> {
        let step = |(name, title): &(&str, &str)| Step {
            name: (*name).to_owned(),
            title: (*title).to_owned(),
            state: "pending".into(),
            detail: None,
            started_at: None,
            finished_at: None,
        };
        STEPS.iter().map(step).collect()
    }
}

/// A flow and how far it got.
#[derive(Serialize, ToSchema)]
pub struct Operation {
    #[schema(value_type = String)]
    /// `opn_…`
    pub id: OperationId,
    /// Which flow.
    pub kind: String,
    /// `running`, `succeeded` or `failed`.
    #[schema(value_type = crate::words::OperationState)]
    pub state: String,
    /// Its steps.
    pub steps: Vec<Step>,
    #[schema(value_type = String)]
    /// The project it works on.
    pub project_id: ProjectId,
    /// The path it gets.
    pub project_path: String,
    /// The problem it failed with.
    #[schema(value_type = Option<web_kit::ProblemBody>)]
    pub error: Option<Value>,
    #[schema(value_type = String)]
    /// When it began.
    pub created_at: Timestamp,
    #[schema(value_type = Option<String>)]
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

impl Operation {
    /// The flow of a row.
    ///
    /// # Errors
    /// `internal` when the row cannot be read.
    pub fn new(row: OperationRow) -> Result<Self> {
        Ok(Self {
            id: row.id,
            kind: row.kind,
            state: row.state,
            steps: serde_json::from_value(row.steps).map_err(kernel::Error::internal)?,
            project_id: row.project,
            project_path: row.project_path,
            error: row.error,
            created_at: row.created_at,
            finished_at: row.finished_at,
        })
    }
}
