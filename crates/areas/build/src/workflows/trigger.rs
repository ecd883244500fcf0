//! Starts runs: for pushes, and by hand.

use dialects::Plan;
use dialects::github::Compiled;
use dialects::trigger::{BadInput, Occasion, check_inputs, needs_changes, starts};
use dialects::{Diagnostic, Severity};
use git::{Oid, Repositories, Repository};
use kernel::event::RefUpdate;
use kernel::{Code, Context, Error, FieldError, Permission, PushId, Result, RunId, UserId};
use serde_json::{Map, Value};
use store::WorkRow;
use store::project::ProjectRow;
use store::run::run_by_dedup;
use web_kit::App;

use super::dispatch::cause_of;
use super::follow::DefaultBranch;
use super::gitlab::Cause;
use super::{Workflows, source};
use crate::runs::create::{NewRun, Origin, create};

/// Most refs of one push that start runs.
const MAX_REFS: usize = 20;

/// The work that follows from a push.
///
/// # Errors
/// The database's, the repository's: it is tried again.
pub async fn trigger_build(app: App, work: WorkRow) -> Result<()> {
    let project = work.project.ok_or_else(|| Error::internal("trigger_build without a project"))?;
    let field = |name: &str| work.payload.get(name).cloned().unwrap_or(Value::Null);
    let push: PushId = serde_json::from_value(field("push")).map_err(Error::internal)?;
    let updates: Vec<RefUpdate> = serde_json::from_value(field("updates")).map_err(Error::internal)?;
    let actor: Option<UserId> = serde_json::from_value(field("actor")).map_err(Error::internal)?;
    let Some(row) = store::project::project_get(app.db(), project).await?.filter(|p| p.deleted_at.is_none()) else { return Ok(()) };
    run_create_for_push(&app, &row, push, &updates, actor).await.map(|_| ())
}

/// Makes the runs that a push starts. Doing it again makes none twice.
///
/// # Errors
/// The database's, the repository's.
pub async fn run_create_for_push(
    app: &App,
    project: &ProjectRow,
    push: PushId,
    updates: &[RefUpdate],
    actor: Option<UserId>,
) -> Result<Vec<RunId>> {
    let repository = app.part::<Repositories>()?.get(project.id)?;
    let mut runs = Vec::new();
    for update in updates.iter().filter(|u| u.name.starts_with("refs/heads/") || u.name.starts_with("refs/tags/")).take(MAX_REFS) {
        let Some(new) = &update.new else { continue };
        let target = Oid::parse(new)?;
        let commit = match repository.read(move |r| r.peel_to_commit(target)).await {
            Ok(commit) => commit,
            // overwritten or collected since: the later push builds
            Err(git::GitError::NotFound(_)) => continue,
            Err(e) => return Err(e.into()),
        };
        let head = source::head(&repository, commit).await?;
        if skips(&head.message) {
            continue;
        }
        let old = update.old.as_deref().map(Oid::parse).transpose()?;
        let cause = Cause { before: old, ..Cause::look(update.name.clone(), actor) };
        let Workflows { files, detected } = source::workflows(app, project, &repository, commit, &cause).await?;
        let mut changed: Option<Option<Vec<String>>> = None;
        let base = NewRun {
            project: project.clone(),
            workflow: String::new(),
            name: String::new(),
            plan: None,
            detected: false,
            diagnostics: Vec::new(),
            event: "push",
            r#ref: update.name.clone(),
            before: update.old.clone(),
            head,
            inputs: Map::new(),
            actor,
            dedup: None,
            origin: Origin::default(),
        };
        let dedup = |workflow: &str| Some(format!("{push}:{}:{workflow}", update.name));
        let mut starting = Vec::new();
        for file in files {
            let Compiled { plan, name, diagnostics, .. } = file.compiled;
            if let Some(plan) = &plan {
                if needs_changes(plan) && changed.is_none() {
                    changed = Some(changed_paths(&repository, old, commit).await?);
                }
                let occasion = Occasion::Push { name: &update.name, changed: changed.as_ref().and_then(|c| c.as_deref()) };
                let decided = starts(plan, &occasion);
                if update.old.is_none() && starts(plan, &Occasion::Other { event: "create", action: None, branch: "" }).is_ok() {
                    starting.push(NewRun {
                        dedup: Some(format!("{push}:create:{}:{}", update.name, file.path)),
                        event: "create",
                        workflow: file.path.clone(),
                        name: name.clone(),
                        plan: Some(plan.clone()),
                        diagnostics: diagnostics.clone(),
                        origin: Origin { payload: ref_payload(project, &update.name), ..Origin::default() },
                        ..base.clone()
                    });
                }
                if let Err(why) = decided {
                    tracing::debug!(project = %project.id, workflow = file.path, why, "not started");
                    continue;
                }
            }
            starting.push(NewRun { dedup: dedup(&file.path), workflow: file.path, name, plan, diagnostics, ..base.clone() });
        }
        if !starting.is_empty() {
            let expectations = source::expectations(&repository, commit).await?;
            let pushed = starting.iter_mut().filter(|n| n.event == "push");
            expectations.tell(pushed.map(|n| (n.workflow.as_str(), &mut n.diagnostics)).collect());
        }
        for new in starting {
            runs.extend(create(app, new).await?);
        }
        if let Some(d) = detected {
            // tags repeat what was built for the branch
            if update.name.starts_with("refs/heads/") {
                let (workflow, name) = (d.plan.source.clone(), d.plan.name.clone());
                let new = NewRun { dedup: dedup(&workflow), workflow, name, plan: Some(d.plan), detected: true, ..base };
                runs.extend(create(app, new).await?);
            }
        }
    }
    runs.extend(deleted(app, project, push, updates, actor).await?);
    Ok(runs)
}

/// Runs of the default branch that a ref's end starts.
async fn deleted(app: &App, project: &ProjectRow, push: PushId, updates: &[RefUpdate], actor: Option<UserId>) -> Result<Vec<RunId>> {
    let gone = |u: &&RefUpdate| u.new.is_none() && (u.name.starts_with("refs/heads/") || u.name.starts_with("refs/tags/"));
    let gone: Vec<&RefUpdate> = updates.iter().filter(gone).take(MAX_REFS).collect();
    if gone.is_empty() {
        return Ok(Vec::new());
    }
    crate::environments::refs_gone(app, project.id, push, gone.iter().map(|u| u.name.as_str())).await?;
    let Some(branch) = DefaultBranch::load(app, project.clone(), actor).await? else { return Ok(Vec::new()) };
    let mut runs = Vec::new();
    for update in gone {
        for file in &branch.workflows.files {
            let Some(plan) = &file.compiled.plan else { continue };
            if starts(plan, &Occasion::Other { event: "delete", action: None, branch: "" }).is_err() {
                continue;
            }
            let new = NewRun {
                dedup: Some(format!("{push}:delete:{}:{}", update.name, file.path)),
                workflow: file.path.clone(),
                name: file.compiled.name.clone(),
                plan: Some(plan.clone()),
                diagnostics: file.compiled.diagnostics.clone(),
                origin: Origin { payload: ref_payload(project, &update.name), ..Origin::default() },
                ..branch.base("delete", actor)
            };
            runs.extend(create(app, new).await?);
        }
    }
    Ok(runs)
}

/// What comes with the beginning or the end of a ref.
fn ref_payload(project: &ProjectRow, name: &str) -> Map<String, Value> {
    let (kind, short) = match name.strip_prefix("refs/tags/") {
        Some(tag) => ("tag", tag),
        None => ("branch", name.strip_prefix("refs/heads/").unwrap_or(name)),
    };
    let pairs = [("ref", short), ("ref_type", kind), ("master_branch", &project.default_branch), ("pusher_type", "user")];
    pairs.into_iter().map(|(k, v)| (k.to_owned(), Value::String(v.to_owned()))).collect()
}

/// Does the commit's message ask for no build?
fn skips(message: &str) -> bool {
    let lower = message.to_lowercase();
    ["[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]"].iter().any(|w| lower.contains(w))
}

/// Paths that changed; none when not known or too many.
async fn changed_paths(repository: &Repository, old: Option<Oid>, new: Oid) -> Result<Option<Vec<String>>> {
    let Some(old) = old else { return Ok(None) };
    Ok(repository.read(move |r| source::changes(r, old, new)).await?)
}

/// A build that somebody asked for.
#[derive(Clone, Debug, Default)]
pub struct BuildRequest {
    /// Branch, tag, full ref name or commit; the default branch for none.
    pub r#ref: Option<String>,
    /// Path, file name or name of a workflow; for none: those that can be started by hand, else all that a push starts.
    pub workflow: Option<String>,
    /// Inputs by name.
    pub inputs: Map<String, Value>,
}

/// What came of it.
#[derive(Debug)]
pub struct Built {
    /// The runs.
    pub runs: Vec<RunId>,
    /// What was said about the workflow files.
    pub diagnostics: Vec<Diagnostic>,
}

/// Builds any ref, with inputs.
///
/// # Errors
/// `not_found` for the ref or workflow, `validation_failed` for inputs, `unprocessable` when there is nothing to build.
pub async fn project_build(app: &App, ctx: &Context, id: &str, request: BuildRequest) -> Result<Built> {
    let project = app.project(ctx, id, Permission::PipelineWrite).await?;
    let repository = app.part::<Repositories>()?.get(project.id())?;
    let wanted = request.r#ref.clone().unwrap_or_default();
    let resolved = repository.read(move |r| r.resolve(&wanted)).await?;
    let commit = resolved.commit;
    let head = source::head(&repository, commit).await?;
    let name = resolved.name.unwrap_or_else(|| format!("refs/heads/{}", project.row.default_branch));
    let cause = Cause { source: "web", inputs: request.inputs.clone(), ..Cause::look(name.clone(), ctx.user()) };
    let workflows = source::workflows(app, &project.row, &repository, commit, &cause).await?;
    let base = NewRun {
        project: project.row.clone(),
        workflow: String::new(),
        name: String::new(),
        plan: None,
        detected: false,
        diagnostics: Vec::new(),
        event: "workflow_dispatch",
        r#ref: name,
        before: None,
        head,
        inputs: Map::new(),
        actor: ctx.user(),
        dedup: ctx.attempt.as_ref().map(|a| format!("request:{}", a.request)),
        origin: Origin { cause: cause_of(app, ctx).await?, ..Origin::default() },
    };
    start(app, &workflows, base, &request).await
}

/// Starts what is asked for of the workflows of a commit.
///
/// # Errors
/// `not_found` for the workflow, `validation_failed` for inputs, `unprocessable` when there is nothing to build.
pub(crate) async fn start(app: &App, workflows: &Workflows, base: NewRun, request: &BuildRequest) -> Result<Built> {
    let mut built = Built { runs: Vec::new(), diagnostics: Vec::new() };
    let dispatched = |p: &Plan| starts(p, &Occasion::Dispatch).is_ok();
    let any_dispatch = workflows.files.iter().any(|f| f.compiled.plan.as_ref().is_some_and(dispatched));
    let chosen: Vec<_> = match &request.workflow {
        Some(wanted) => {
            let by_detection = workflows.detected.as_ref().is_some_and(|d| d.plan.source == *wanted || d.plan.name == *wanted);
            match workflows.find(wanted) {
                Some(found) => vec![found],
                None if by_detection => Vec::new(),
                None => return Err(Error::not_found("workflow")),
            }
        }
        None if any_dispatch => workflows.files.iter().filter(|f| f.compiled.plan.as_ref().is_none_or(dispatched)).collect(),
        None => workflows.files.iter().collect(),
    };
    let mut nothing = None;
    for file in chosen {
        built.diagnostics.extend(file.compiled.diagnostics.iter().cloned());
        if let Some(plan) = file.compiled.plan.as_ref().filter(|p| p.jobs.is_empty()) {
            let why = plan.decisions.first().map_or("it has no jobs", |d| d.because.as_str());
            nothing = Some(format!("{}: nothing is to run: {why}", file.path));
            continue;
        }
        let inputs = match &file.compiled.plan {
            Some(plan) => inputs(plan, &request.inputs)?,
            None => Map::new(),
        };
        let new = NewRun {
            workflow: file.path.clone(),
            name: file.compiled.name.clone(),
            plan: file.compiled.plan.clone(),
            diagnostics: file.compiled.diagnostics.clone(),
            inputs,
            ..base.clone()
        };
        built.runs.push(create_once(app, new).await?);
    }
    if let Some(d) = workflows.detected.as_ref().filter(|_| workflows.files.is_empty()) {
        let new = NewRun { workflow: d.plan.source.clone(), name: d.plan.name.clone(), plan: Some(d.plan.clone()), detected: true, ..base };
        built.runs.push(create_once(app, new).await?);
    }
    if built.runs.is_empty() && !built.diagnostics.iter().any(|d| d.severity == Severity::Error) {
        let nothing = nothing.unwrap_or_else(|| "nothing to build: the commit has no workflow file, and no build was detected".into());
        return Err(Error::new(Code::Unprocessable, nothing));
    }
    Ok(built)
}

/// Makes the run of one workflow, or finds the one that an earlier try of the same request made.
async fn create_once(app: &App, mut new: NewRun) -> Result<RunId> {
    new.dedup = new.dedup.map(|request| format!("{request}:{}", new.workflow));
    let (project, dedup) = (new.project.id, new.dedup.clone());
    if let Some(made) = create(app, new).await? {
        return Ok(made);
    }
    let made = run_by_dedup(app.db(), project, &dedup.unwrap_or_default()).await?;
    made.ok_or_else(|| Error::internal("a run that was made before is gone"))
}

/// Checks the inputs of a manual start and fills in defaults.
fn inputs(plan: &Plan, given: &Map<String, Value>) -> Result<Map<String, Value>> {
    let field = |bad: BadInput| FieldError { field: format!("inputs.{}", bad.name), code: bad.code, message: bad.message };
    check_inputs(plan, given).map_err(|wrong| Error::fields(wrong.into_iter().map(field).collect()))
}
