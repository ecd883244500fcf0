//! Activity as the API shows it.

use kernel::{Event, EventData, EventId, ProjectId, Timestamp, UserId};
use serde::Serialize;
use serde_json::Value;
use store::WorkRow;
use utoipa::ToSchema;

/// Something that happened in a project.
#[derive(Serialize, ToSchema)]
pub struct Activity {
    #[schema(value_type = String)]
    /// `evt_…`
    pub id: EventId,
    #[schema(value_type = String)]
    /// When.
    pub time: Timestamp,
    /// Which kind of event.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Who did it.
    pub actor: Option<ActorView>,
    /// One line for people.
    pub summary: String,
    /// The event's own data.
    #[schema(value_type = Object)]
    pub data: Value,
    /// What followed from it.
    pub work: Vec<WorkView>,
}

/// Who did it.
#[derive(Serialize, ToSchema)]
#[schema(as = Actor)]
pub struct ActorView {
    #[schema(value_type = String)]
    /// `usr_…`
    pub id: UserId,
    /// The account's name.
    pub name: String,
}

/// Work that followed from an event.
#[derive(Serialize, ToSchema)]
#[schema(as = Work)]
pub struct WorkView {
    /// Which kind.
    pub kind: String,
    /// For people.
    pub title: &'static str,
    /// `queued`, `running`, `done`, `failed` (will be tried again) or `dead`.
    #[schema(value_type = crate::words::WorkState)]
    pub state: &'static str,
    /// How often it was tried.
    pub attempts: i64,
    /// Why the last attempt failed.
    pub error: Option<String>,
    #[schema(value_type = Option<String>)]
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

impl WorkView {
    /// A row as people see it.
    pub fn new(row: WorkRow) -> Self {
        let title = match row.kind.as_str() {
            "trigger_build" => "Start the build",
            "code_inventory" => "Update the file inventory and dependencies",
            "code_analyze" => "Analyse the changed files",
            "code_index" => "Index the changed files for search",
            "project_stop" => "Stop what runs",
            "repository_maintain" => "Look after the repository",
            "deployment_run" => "Deploy",
            "project_create" => "Create the project",
            "project_purge" => "Remove for good",
            _ => "Background work",
        };
        let state = match row.state.as_str() {
            "leased" => "running",
            "queued" if row.error.is_some() => "failed",
            "queued" => "queued",
            "done" => "done",
            _ => "dead",
        };
        Self { kind: row.kind, title, state, attempts: row.attempts, error: row.error, finished_at: row.finished_at }
    }
}

fn short(oid: &str) -> &str {
    oid.get(..10).unwrap_or(oid)
}

fn summary(data: &EventData) -> String {
    match data {
        EventData::ProjectCreated { template: Some(t), .. } => format!("created the project from {t}"),
        EventData::ProjectCreated { .. } => "created the project".into(),
        EventData::ProjectUpdated { fields } => format!("changed {}", fields.join(", ")),
        EventData::ProjectMoved { from, to } => format!("moved the project from {from} to {to}"),
        EventData::ProjectArchived { archived: true } => "archived the project".into(),
        EventData::ProjectArchived { archived: false } => "un-archived the project".into(),
        EventData::ProjectDeleted { .. } => "deleted the project".into(),
        EventData::ProjectRestored { .. } => "restored the project".into(),
        EventData::ProjectPurged { .. } => "removed the project for good".into(),
        EventData::MemberSet { role, .. } => format!("gave a member the role {}", role.as_str()),
        EventData::MemberRemoved { .. } => "removed a member".into(),
        EventData::GroupCreated { path, .. } => format!("created the group {path}"),
        EventData::UserCreated { name, .. } => format!("added the account {name}"),
        EventData::Pushed { updates, .. } => match updates.as_slice() {
            [one] => {
                let name = one.name.strip_prefix("refs/heads/").or_else(|| one.name.strip_prefix("refs/")).unwrap_or(&one.name);
                match (&one.old, &one.new) {
                    (None, Some(new)) => format!("created {name} at {}", short(new)),
                    (Some(_), None) => format!("deleted {name}"),
                    (Some(_), Some(new)) if one.forced => format!("force-pushed {} to {name}", short(new)),
                    (_, Some(new)) => format!("pushed {} to {name}", short(new)),
                    (None, None) => format!("pushed to {name}"),
                }
            }
            many => format!("pushed to {} refs", many.len()),
        },
        EventData::CodeAnalyzed { commit, files_changed } => format!("analysed {}: {files_changed} changed files", short(commit)),
        EventData::RunCreated { commit, .. } => format!("started a pipeline run for {}", short(commit)),
        EventData::RunFinished { conclusion, commit, .. } => format!("pipeline run for {}: {conclusion}", short(commit)),
        EventData::JobFinished { name, conclusion, .. } => format!("job {name}: {conclusion}"),
        EventData::ImagePushed { image, tag: Some(tag), .. } => format!("published the image {image}:{tag}"),
        EventData::ImagePushed { image, digest, .. } => format!("published the image {image}@{digest}"),
        EventData::DeploymentCreated { .. } => "asked for a deployment".into(),
        EventData::DeploymentFinished { conclusion, .. } => format!("deployment: {conclusion}"),
        EventData::EnvironmentHealth { healthy: true, .. } => "the application answers again".into(),
        EventData::EnvironmentHealth { healthy: false, detail, .. } => format!("the application does not answer: {detail}"),
    }
}

impl Activity {
    /// An event with its actor's name and what followed.
    pub fn new(event: Event, name: Option<String>, work: Vec<WorkView>) -> Self {
        let data = serde_json::to_value(&event.data).map(|mut v| v["data"].take()).unwrap_or_default();
        Self {
            id: event.id,
            time: event.time,
            kind: event.data.kind(),
            actor: event.actor.zip(name).map(|(id, name)| ActorView { id, name }),
            summary: summary(&event.data),
            data,
            work,
        }
    }
}

/// An event of the feed in the CloudEvents 1.0 form.
#[derive(Serialize, ToSchema)]
pub struct CloudEvent {
    /// `1.0`
    pub specversion: &'static str,
    /// `evt_…`
    pub id: String,
    /// The service.
    pub source: String,
    /// Which kind.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The project, if one.
    pub subject: Option<String>,
    #[schema(value_type = String)]
    /// When.
    pub time: Timestamp,
    /// The account that did it.
    #[schema(value_type = Option<String>)]
    pub actor: Option<UserId>,
    #[schema(value_type = Object)]
    /// The event's own data.
    pub data: Value,
    /// Where in the feed it stands: pass as `after`.
    pub position: String,
}

impl CloudEvent {
    /// An event at its position.
    pub fn new(source: String, position: String, event: Event) -> Self {
        let data = serde_json::to_value(&event.data).map(|mut v| v["data"].take()).unwrap_or_default();
        Self {
            specversion: "1.0",
            id: event.id.to_string(),
            source,
            kind: event.data.kind(),
            subject: event.project.as_ref().map(ProjectId::to_string),
            time: event.time,
            actor: event.actor,
            data,
            position,
        }
    }
}
