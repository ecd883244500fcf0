//! What happened, as one closed enum under a CloudEvents 1.0 envelope. Written to the outbox in the transaction of
//! the change itself; everything that follows from a change reads it from there.

use serde::{Deserialize, Serialize};

use crate::authz::{Role, Visibility};
use crate::clock::Timestamp;
use crate::id::{DeploymentId, EnvironmentId, EventId, GroupId, JobId, ProjectId, PushId, ReleaseId, RunId, UserId};

/// One row of the outbox.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Unique; consumers use it to act once.
    pub id: EventId,
    /// When it became true.
    pub time: Timestamp,
    /// Who did it; none for the service itself.
    pub actor: Option<UserId>,
    /// The project it belongs to, if one.
    pub project: Option<ProjectId>,
    /// What.
    #[serde(flatten)]
    pub data: EventData,
}

/// How a ref moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefUpdate {
    /// Full name.
    #[serde(rename = "ref")]
    pub name: String,
    /// Object id before in hex; none when created.
    pub old: Option<String>,
    /// Object id after in hex; none when deleted.
    pub new: Option<String>,
    /// History was rewritten.
    #[serde(default)]
    pub forced: bool,
}

/// The closed list of event kinds. `type` is `noun.verb` in the past.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum EventData {
    /// A project is complete and usable.
    #[serde(rename = "project.created")]
    ProjectCreated { path: String, visibility: Visibility, template: Option<String> },
    /// Settings changed.
    #[serde(rename = "project.updated")]
    ProjectUpdated { fields: Vec<String> },
    /// Renamed or transferred.
    #[serde(rename = "project.moved")]
    ProjectMoved { from: String, to: String },
    /// Archived or un-archived.
    #[serde(rename = "project.archived")]
    ProjectArchived { archived: bool },
    /// Deleted, can be restored for 30 days.
    #[serde(rename = "project.deleted")]
    ProjectDeleted { path: String },
    /// Brought back.
    #[serde(rename = "project.restored")]
    ProjectRestored { path: String },
    /// Collected for good: repository, blobs and index entries may go.
    #[serde(rename = "project.purged")]
    ProjectPurged { path: String },
    /// Added, or given another role.
    #[serde(rename = "member.set")]
    MemberSet { user: UserId, role: Role },
    /// Removed.
    #[serde(rename = "member.removed")]
    MemberRemoved { user: UserId },
    /// A group was made.
    #[serde(rename = "group.created")]
    GroupCreated { group: GroupId, path: String },
    /// An account was made.
    #[serde(rename = "user.created")]
    UserCreated { user: UserId, name: String },
    /// Refs moved, by a client's push, a web edit or the creation flow.
    #[serde(rename = "repository.pushed")]
    Pushed { push: PushId, updates: Vec<RefUpdate>, default_branch: String },
    /// Inventory, analysis and index of a commit of the default branch are in place.
    #[serde(rename = "code.analyzed")]
    CodeAnalyzed { commit: String, files_changed: u64 },
    /// A pipeline run was made.
    #[serde(rename = "run.created")]
    RunCreated { run: RunId, commit: String, r#ref: String },
    /// A run reached its end.
    #[serde(rename = "run.finished")]
    RunFinished { run: RunId, commit: String, r#ref: String, conclusion: String },
    /// A job reached its end.
    #[serde(rename = "job.finished")]
    JobFinished { run: RunId, job: JobId, name: String, conclusion: String },
    /// An image manifest got a tag.
    #[serde(rename = "image.pushed")]
    ImagePushed { image: String, tag: Option<String>, digest: String },
    /// A deployment was asked for.
    #[serde(rename = "deployment.created")]
    DeploymentCreated { deployment: DeploymentId, environment: EnvironmentId, release: ReleaseId },
    /// A deployment reached its end.
    #[serde(rename = "deployment.finished")]
    DeploymentFinished { deployment: DeploymentId, environment: EnvironmentId, release: ReleaseId, conclusion: String },
    /// A running application stopped or resumed answering its health check.
    #[serde(rename = "environment.health")]
    EnvironmentHealth { environment: EnvironmentId, healthy: bool, detail: String },
}

impl EventData {
    /// The kind, as in `type`.
    pub fn kind(&self) -> &'static str {
        match self {
            EventData::ProjectCreated { .. } => "project.created",
            EventData::ProjectUpdated { .. } => "project.updated",
            EventData::ProjectMoved { .. } => "project.moved",
            EventData::ProjectArchived { .. } => "project.archived",
            EventData::ProjectDeleted { .. } => "project.deleted",
            EventData::ProjectRestored { .. } => "project.restored",
            EventData::ProjectPurged { .. } => "project.purged",
            EventData::MemberSet { .. } => "member.set",
            EventData::MemberRemoved { .. } => "member.removed",
            EventData::GroupCreated { .. } => "group.created",
            EventData::UserCreated { .. } => "user.created",
            EventData::Pushed { .. } => "repository.pushed",
            EventData::CodeAnalyzed { .. } => "code.analyzed",
            EventData::RunCreated { .. } => "run.created",
            EventData::RunFinished { .. } => "run.finished",
            EventData::JobFinished { .. } => "job.finished",
            EventData::ImagePushed { .. } => "image.pushed",
            EventData::DeploymentCreated { .. } => "deployment.created",
            EventData::DeploymentFinished { .. } => "deployment.finished",
            EventData::EnvironmentHealth { .. } => "environment.health",
        }
    }
}

impl Event {
    /// A new event of now.
    pub fn new(actor: Option<UserId>, project: Option<ProjectId>, data: EventData) -> Self {
        Self { id: EventId::new(), time: Timestamp::now(), actor, project, data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_is_the_wire_tag() {
        let data = EventData::ProjectArchived { archived: true };
        let json = serde_json::to_value(Event::new(None, None, data.clone())).unwrap();
        assert_eq!(json["type"], data.kind());
        assert_eq!(json["data"]["archived"], true);
    }
}
