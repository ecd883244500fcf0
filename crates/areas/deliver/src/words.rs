//! The closed sets of words in this area's answers, as types, so that the API's description lists them. The values
//! themselves are text: they come from the database as they are shown.

use utoipa::ToSchema;

/// Where an environment is.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum EnvironmentState {
    /// Nothing was deployed yet.
    Empty,
    /// A deployment is under way.
    Deploying,
    /// The application answers.
    Healthy,
    /// It does not.
    Unhealthy,
    /// It was stopped.
    Stopped,
}

/// Why there is a deployment.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum DeploymentKind {
    /// Somebody, or a workflow, asked for it.
    Deploy,
    /// Somebody went back to an earlier release.
    Rollback,
    /// The one before it failed.
    AutomaticRollback,
}

/// Where a deployment is.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum DeploymentState {
    /// It has not begun.
    Queued,
    /// It is carried out.
    Running,
    /// It has a conclusion.
    Completed,
}

/// How a deployment ended.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum DeploymentConclusion {
    /// The release serves.
    Success,
    /// It does not, and what was there before still does.
    Failure,
    /// It failed, and the release before it serves again.
    RolledBack,
    /// A later one took its place.
    Superseded,
}
