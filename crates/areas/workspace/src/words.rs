//! The closed sets of words in this area's answers, as types, so that the API's description lists them. The values
//! themselves are text: they come from the database as they are shown.

use utoipa::ToSchema;

/// Who may see something.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Visibility {
    /// Members.
    Private,
    /// Everybody who is signed in.
    Internal,
    /// Everybody.
    Public,
}

/// What a member may do; each role may do what those before it may.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Role {
    /// See the project.
    Guest,
    /// Read repository, runs, images and deployments.
    Reporter,
    /// Push, run pipelines, publish images, deploy.
    Developer,
    /// Settings, secrets, members.
    Maintainer,
    /// Transfer and delete.
    Owner,
}

/// Of an account.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum UserState {
    /// May sign in.
    Active,
    /// May not.
    Blocked,
}

/// Whose namespace it is.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum NamespaceKind {
    /// A person's.
    User,
    /// A group's.
    Group,
}

/// Where an operation is.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum OperationState {
    /// Its steps are being done.
    Running,
    /// All of them are.
    Succeeded,
    /// One could not be done, and the others were undone.
    Failed,
}

/// Where a step of an operation is.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum OperationStepState {
    /// Its turn has not come.
    Pending,
    /// It is being done.
    Running,
    /// It is done.
    Done,
    /// It could not be.
    Failed,
    /// There was nothing to do.
    Skipped,
    /// It was done, and taken back.
    Undone,
}

/// Where a piece of internal work is.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum WorkState {
    /// It has not begun.
    Queued,
    /// It is being done.
    Running,
    /// It is done.
    Done,
    /// It failed and will be tried again.
    Failed,
    /// It failed for good.
    Dead,
}

/// What is in a tree.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum EntryType {
    /// A folder.
    Tree,
    /// A file.
    Blob,
    /// A link.
    Symlink,
    /// A commit of another repository.
    Submodule,
}

/// What is said of a commit.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum CheckState {
    /// Not known yet.
    Pending,
    /// It passed.
    Success,
    /// It failed.
    Failure,
    /// It could not be checked.
    Error,
}

/// What happened to a file.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum FileStatus {
    /// It is new.
    Added,
    /// Its content changed.
    Modified,
    /// It is gone.
    Deleted,
    /// It has another path.
    Renamed,
}
