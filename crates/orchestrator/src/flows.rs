//! When this happens, do that. A pure table: the store calls it inside the transaction that writes the event, so that an
//! event and the work that follows from it are there together or not at all.

use kernel::{Event, EventData, ProjectId};
use serde_json::json;
use store::NewWork;

/// What follows from an event.
pub fn flow(event: &Event) -> Vec<NewWork> {
    let Some(project) = event.project else { return Vec::new() };
    match &event.data {
        // the code sync flow: inventory, analysis and index run one after the other per project; the build does not wait for them
        EventData::Pushed { push, updates, default_branch } => {
            let payload = json!({ "push": push, "updates": updates, "default_branch": default_branch, "actor": event.actor });
            let default_ref = format!("refs/heads/{default_branch}");
            let mut work = vec![NewWork::new("trigger_build", payload.clone())];
            if updates.iter().any(|u| u.name == default_ref) {
                work.extend(area_code::follow_work(project));
                work.push(schedules(project, event));
            }
            work.push(
                NewWork::new("repository_maintain", json!({}))
                    .lane(format!("maintain:{project}"))
                    .dedup(project.to_string())
                    .delay(std::time::Duration::from_secs(30)),
            );
            work
        }
        EventData::DeploymentCreated { deployment, environment, .. } => {
            vec![NewWork::new("deployment_run", json!({ "deployment": deployment })).lane(format!("deploy:{environment}"))]
        }
        EventData::RunFinished { run, conclusion, .. } if conclusion == "success" => {
            vec![NewWork::new("provenance_create", json!({ "run": run })).project(project)]
        }
        EventData::ProjectUpdated { fields } if fields.iter().any(|f| f == "default_branch") => {
            let mut work = area_code::follow_work(project);
            work.push(schedules(project, event));
            work
        }
        EventData::ProjectDeleted { .. } => vec![NewWork::new("project_stop", json!({})).project(project)],
        // in the lane of the code, so that nothing is written behind its back; patient, because applications must end first
        EventData::ProjectPurged { .. } => {
            vec![NewWork::new("project_purge", json!({})).project(project).lane(format!("code:{project}"))]
        }
        _ => Vec::new(),
    }
}

/// Schedules follow the workflow files of the default branch.
fn schedules(project: ProjectId, event: &Event) -> NewWork {
    NewWork::new("schedule_sync", json!({ "actor": event.actor })).lane(format!("schedules:{project}")).dedup(project.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::event::RefUpdate;
    use kernel::{ProjectId, PushId};

    fn kinds(data: EventData) -> Vec<&'static str> {
        flow(&Event::new(None, Some(ProjectId::new()), data)).into_iter().map(|w| w.kind).collect()
    }

    fn pushed(name: &str) -> EventData {
        let update = RefUpdate { name: name.into(), old: None, new: Some("0".repeat(40)), forced: false };
        EventData::Pushed { push: PushId::new(), updates: vec![update], default_branch: "main".into() }
    }

    #[test]
    fn only_the_default_branch_is_analysed_every_branch_is_built() {
        assert_eq!(
            kinds(pushed("refs/heads/main")),
            ["trigger_build", "code_inventory", "code_analyze", "code_index", "schedule_sync", "repository_maintain"]
        );
        assert_eq!(kinds(pushed("refs/heads/other")), ["trigger_build", "repository_maintain"]);
    }
}
