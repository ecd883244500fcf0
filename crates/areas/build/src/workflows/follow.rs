//! Runs that follow from other runs: `workflow_run` of GitHub, `upstream` of Jenkins. Also the bound on such chains.
//!
//! Which files follow whose runs is on record since the push that wrote them; whether a run is for them is decided from
//! the file, as it stands on the default branch when the run goes on.

use dialects::plan::Trigger;
use dialects::trigger::{Occasion, starts};
use git::{GitError, Repositories};
use kernel::{Actor, Code, Context, Error, Permission, ProjectId, Result, RunId, UserId};
use serde_json::{Map, Value, json};
use store::listener::{ListenerRow, listener_any, listener_list};
use store::project::{ProjectRow, project_get};
use store::run::{RunRow, run_get};
use store::{NewWork, Tx, WorkRow};
use web_kit::App;

use super::gitlab::Cause;
use super::{Workflows, source};
use crate::runs::create::{Head, NewRun, Origin, create};

/// A run may follow from a run that follows from a run, and no further.
pub const MAX_DEPTH: u64 = 3;

/// How many runs stand before this one in its chain.
pub fn depth(run: &RunRow) -> u64 {
    run.cause.as_ref().and_then(|c| c["depth"].as_u64()).unwrap_or(0)
}

/// Notes that a run went on, if any file follows the runs of its project.
///
/// # Errors
/// The database's.
pub async fn announce(tx: &mut Tx, run: &RunRow, action: &str) -> Result<()> {
    if depth(run) >= MAX_DEPTH || !listener_any(&mut *tx, run.project).await? {
        return Ok(());
    }
    let work = NewWork::new("run_follow", json!({"run": run.id, "action": action, "attempt": run.attempt}));
    tx.enqueue(work.project(run.project).dedup(format!("{}:{}:{action}", run.id, run.attempt))).await
}

/// Makes the runs that follow. Doing it again makes none twice.
///
/// # Errors
/// The database's, the repository's: it is tried again.
pub async fn run_follow(app: App, work: WorkRow) -> Result<()> {
    let id: RunId = serde_json::from_value(work.payload["run"].clone()).map_err(Error::internal)?;
    let action = work.payload["action"].as_str().unwrap_or_default().to_owned();
    let attempt = work.payload["attempt"].as_i64().unwrap_or(1);
    let Some(run) = run_get(app.db(), id).await? else { return Ok(()) };
    let Some(from) = project_get(app.db(), run.project).await?.filter(|p| p.deleted_at.is_none()) else { return Ok(()) };
    let mut loaded: Vec<(ProjectId, Option<DefaultBranch>)> = Vec::new();
    for listener in listener_list(app.db(), run.project).await? {
        if !loaded.iter().any(|(id, _)| *id == listener.project) {
            let project = project_get(app.db(), listener.project).await?.filter(|p| p.deleted_at.is_none() && p.archived_at.is_none());
            let branch = match project {
                Some(project) => DefaultBranch::load(&app, project, listener.owner).await?,
                None => None,
            };
            loaded.push((listener.project, branch));
        }
        let branch = loaded.iter().find(|(id, _)| *id == listener.project).and_then(|(_, b)| b.as_ref());
        let Some(branch) = branch else { continue };
        let Some(file) = branch.workflows.files.iter().find(|f| f.path == listener.workflow) else { continue };
        let Some(plan) = &file.compiled.plan else { continue };
        let decided = if listener.kind == "upstream" {
            upstream(&app, plan, &listener, &run, &from, &action).await?
        } else {
            let at = run.r#ref.strip_prefix("refs/heads/").or(run.r#ref.strip_prefix("refs/tags/")).unwrap_or(&run.r#ref);
            starts(plan, &Occasion::WorkflowRun { workflow: &run.name, action: &action, branch: at })
        };
        if let Err(why) = decided {
            tracing::debug!(project = %branch.project.id, workflow = file.path, run = %run.id, why, "does not follow");
            continue;
        }
        let (event, actor) = if listener.kind == "upstream" { ("upstream", listener.owner) } else { ("workflow_run", run.actor) };
        let new = NewRun {
            workflow: file.path.clone(),
            name: file.compiled.name.clone(),
            plan: Some(plan.clone()),
            diagnostics: file.compiled.diagnostics.clone(),
            dedup: Some(format!("follow:{}:{attempt}:{action}:{}", run.id, file.path)),
            origin: Origin {
                payload: payload(&app, &run, &from, &action),
                variables: Map::new(),
                cause: Some(json!({"run": run.id, "project": from.path, "depth": depth(&run) + 1})),
                parent: None,
            },
            ..branch.base(event, actor)
        };
        create(&app, new).await?;
    }
    Ok(())
}

/// A project's default branch with its workflows.
pub(super) struct DefaultBranch {
    pub project: ProjectRow,
    pub name: String,
    pub head: Head,
    pub workflows: Workflows,
}

impl DefaultBranch {
    /// None for a project without commits.
    pub async fn load(app: &App, project: ProjectRow, actor: Option<UserId>) -> Result<Option<Self>> {
        let repository = app.part::<Repositories>()?.get(project.id)?;
        let name = format!("refs/heads/{}", project.default_branch);
        let wanted = name.clone();
        let commit = match repository.read(move |r| r.resolve(&wanted)).await {
            Ok(found) => found.commit,
            Err(GitError::NotFound(_)) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let workflows = source::workflows(app, &project, &repository, commit, &Cause::look(name.clone(), actor)).await?;
        let head = source::head(&repository, commit).await?;
        Ok(Some(Self { project, name, head, workflows }))
    }

    /// A run of this branch, still without a workflow.
    pub fn base(&self, event: &'static str, actor: Option<UserId>) -> NewRun {
        NewRun {
            project: self.project.clone(),
            workflow: String::new(),
            name: String::new(),
            plan: None,
            detected: false,
            diagnostics: Vec::new(),
            event,
            r#ref: self.name.clone(),
            before: None,
            head: self.head.clone(),
            inputs: Map::new(),
            actor,
            dedup: None,
            origin: Origin::default(),
        }
    }
}

/// Is the end of a run of another project one that the file waits for? Whoever wrote the file must be able to see it.
async fn upstream(
    app: &App,
    plan: &dialects::Plan,
    listener: &ListenerRow,
    run: &RunRow,
    from: &ProjectRow,
    action: &str,
) -> Result<std::result::Result<(), String>> {
    let no = |why: &str| Ok(Err(why.to_owned()));
    if action != "completed" {
        return no("the run has not ended");
    }
    if run.r#ref != format!("refs/heads/{}", from.default_branch) {
        return no("not the default branch");
    }
    let named = plan.triggers.iter().find_map(|t| match t {
        Trigger::Upstream { projects, threshold } if projects.contains(&from.path) => Some(threshold.as_str()),
        _ => None,
    });
    let Some(threshold) = named else { return no("the file does not name it any more") };
    match run.conclusion.as_deref() {
        Some("success") => {}
        Some("failure") if threshold == "FAILURE" => {}
        _ => return no("it ended below the threshold"),
    }
    for (project, permission) in [(run.project, Permission::PipelineRead), (listener.project, Permission::PipelineWrite)] {
        if !may(app, listener.owner, project, permission).await? {
            return no("who wrote the trigger has not the right to");
        }
    }
    Ok(Ok(()))
}

/// May an account do something in a project now?
pub(crate) async fn may(app: &App, account: Option<UserId>, project: ProjectId, p: Permission) -> Result<bool> {
    let Some(account) = account else { return Ok(false) };
    let account = store::account::account_get(app.db(), account).await?.filter(|a| a.state == "active");
    // nobody's trigger acts as an administrator
    let actor = account.map_or(Actor::Anonymous, |a| Actor::User { id: a.id, name: a.name, admin: false });
    match app.project_by_id(&Context::of(actor), project, p).await {
        Ok(_) => Ok(true),
        Err(e) if matches!(e.code, Code::NotFound | Code::Forbidden | Code::Unauthenticated | Code::Conflict) => Ok(false),
        Err(e) => Err(e),
    }
}

fn payload(app: &App, run: &RunRow, from: &ProjectRow, action: &str) -> Map<String, Value> {
    let branch = run.r#ref.strip_prefix("refs/heads/").or(run.r#ref.strip_prefix("refs/tags/")).unwrap_or(&run.r#ref);
    let value = json!({
        "action": action,
        "workflow": {"name": run.name, "path": run.workflow},
        "workflow_run": {
            "id": run.id, "name": run.name, "path": run.workflow, "display_title": run.title, "head_branch": branch, "head_sha": run.commit,
            "event": run.event, "status": if action == "completed" { "completed" } else { action }, "conclusion": run.conclusion,
            "run_number": run.number, "run_attempt": run.attempt, "url": app.url(&format!("runs/{}", run.id)),
            "html_url": app.url(&format!("{}/runs/{}", from.path, run.number)),
            "head_commit": {"id": run.commit}, "head_repository": {"id": from.id, "full_name": from.path}, "repository": {"id": from.id, "full_name": from.path},
        },
    });
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
