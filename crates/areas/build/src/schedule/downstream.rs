//! Jobs that start pipelines: making the pipeline, and what its end and the end of the job mean for each other.
//!
//! Such a job is `running` without a runner, lease or epoch. The pipeline is made by leased work, because reading the
//! repository takes time; its end is told to the job by leased work too, so two runs are never locked at once.

use dialects::expr::{Context as Values, evaluate_tree, interpolate};
use dialects::plan::{Downstream, Follow, Job};
use dialects::ready::{contexts, needs_context};
use git::{GitError, Oid, Repositories};
use indexmap::IndexMap;
use kernel::{Code, Error, JobId, Permission, Result, RunId, Timestamp};
use serde_json::{Map, Value, json};
use store::job::{JobRow, job_get};
use store::project::ProjectRow;
use store::run::{RunParent, RunRow, run_below, run_by_dedup, run_children, run_get, run_lock};
use store::{NewWork, Tx, WorkRow};
use web_kit::App;

use super::advance::{State, advance, complete};
use super::{finish, model, retrying, save};
use crate::runs::create::{Head, NewRun, Origin, create};
use crate::workflows::gitlab::{Cause, Text, as_person, compile};
use crate::workflows::source;

/// A job waits so long for the pipeline it follows: as long as a run may take.
pub(super) const PATIENCE_SECONDS: i64 = 35 * 86_400;
/// Child pipelines below each other.
const MAX_CHILDREN_DEPTH: usize = 2;
/// Pipelines below each other, of whatever projects.
const MAX_DEPTH: usize = 10;
/// Pipelines below one.
const MAX_BELOW: i64 = 1000;
/// Most variables that are passed.
const MAX_PASSED: usize = 500;

/// Is it a running job that no runner has?
pub(super) fn of_nobody(job: &JobRow) -> bool {
    job.state == "running" && job.epoch == 0
}

/// The job's turn has come.
pub(super) async fn begin(tx: &mut Tx, row: &mut JobRow, now: Timestamp) -> Result<()> {
    row.state = "running".into();
    row.reason = None;
    row.queued_at = Some(now);
    row.started_at = Some(now);
    save(tx, row).await?;
    tx.enqueue(NewWork::new("downstream_start", json!({"job": row.id})).project(row.project).dedup(row.id.to_string())).await?;
    Ok(())
}

/// A run that a job started has ended.
pub(crate) async fn tell_parent(tx: &mut Tx, run: &RunRow) -> Result<()> {
    let Some(parent) = run.parent else { return Ok(()) };
    let work = NewWork::new("downstream_end", json!({"job": parent.job, "run": run.id})).dedup(format!("{}:{}", run.id, run.attempt));
    tx.enqueue(work).await?;
    Ok(())
}

/// With a run the child pipelines are stopped that its jobs started.
pub(super) async fn stop_children(tx: &mut Tx, state: &State, kill: bool) -> Result<()> {
    let starts = |j: &Job| j.downstream.as_ref().is_some_and(|d| d.project.is_none());
    if state.plan.jobs.iter().any(starts) {
        tx.enqueue(NewWork::new("downstream_stop", json!({"run": state.run.id, "kill": kill}))).await?;
    }
    Ok(())
}

/// Stops the child pipelines of a run that was stopped.
///
/// # Errors
/// The database's.
pub async fn downstream_stop(app: App, work: WorkRow) -> Result<()> {
    let parent: RunId = serde_json::from_value(work.payload["run"].clone()).map_err(Error::internal)?;
    let kill = work.payload["kill"] == true;
    let Some(above) = run_get(app.db(), parent).await? else { return Ok(()) };
    for child in run_children(app.db(), parent).await? {
        if child.project == above.project && child.state != "completed" && (kill || !child.cancelled) {
            stop_child(&app, child.id).await?;
        }
    }
    Ok(())
}

async fn stop_child(app: &App, child: RunId) -> Result<()> {
    match finish::cancel(app.db(), child, "the pipeline that started it was stopped").await {
        Err(e) if !e.is(Code::Conflict) => Err(e),
        _ => Ok(()),
    }
}

/// Ends the job that follows a pipeline, now that this has ended.
///
/// # Errors
/// The database's.
pub async fn downstream_end(app: App, work: WorkRow) -> Result<()> {
    let job: JobId = serde_json::from_value(work.payload["job"].clone()).map_err(Error::internal)?;
    let run: RunId = serde_json::from_value(work.payload["run"].clone()).map_err(Error::internal)?;
    let Some(child) = run_get(app.db(), run).await?.filter(|r| r.state == "completed") else { return Ok(()) };
    end(&app, job, move |downstream| {
        let conclusion = child.conclusion.clone().unwrap_or_default();
        let said = (conclusion != "success").then(|| format!("pipeline #{} ended as {conclusion}", child.number));
        match downstream.follow {
            // its own work ends the job
            Follow::Never => None,
            Follow::Mirror => Some((conclusion, said)),
            Follow::Depend if conclusion == "success" => Some((conclusion, None)),
            Follow::Depend => Some(("failure".into(), said)),
        }
    })
    .await
}

type Ending = (String, Option<String>);

/// Ends a job that starts a pipeline, as `how` says of what is planned.
async fn end(app: &App, id: JobId, how: impl Fn(&Downstream) -> Option<Ending> + Send + Sync + Clone + 'static) -> Result<()> {
    retrying(|| {
        let (db, how) = (app.db().clone(), how.clone());
        Box::pin(async move {
            let mut tx = db.begin().await?;
            let Some(job) = job_get(&mut tx, id).await? else { return Ok(()) };
            let Some(run) = run_lock(&mut tx, job.run).await? else { return Ok(()) };
            let mut state = State::load(&mut tx, run).await?;
            let Some(index) = state.jobs.iter().position(|j| j.id == id && of_nobody(j)) else { return Ok(()) };
            let Some(planned) = state.plan.job(&state.jobs[index].key).and_then(|j| j.downstream.as_deref()) else { return Ok(()) };
            let Some((conclusion, reason)) = how(planned) else { return Ok(()) };
            let now = Timestamp::now();
            complete(&mut tx, &mut state.jobs[index], &conclusion, reason, now).await?;
            advance(&mut tx, &mut state, now).await?;
            tx.commit().await
        })
    })
    .await
}

/// Makes the pipeline that a job starts.
///
/// # Errors
/// The database's, the repository's: it is tried again.
pub async fn downstream_start(app: App, work: WorkRow) -> Result<()> {
    let id: JobId = serde_json::from_value(work.payload["job"].clone()).map_err(Error::internal)?;
    let started = match asked(&app, id).await {
        Ok(Some(asked)) => start(&app, &asked).await,
        Ok(None) => return Ok(()),
        Err(e) => Err(e),
    };
    let made = match started {
        Ok(made) => made,
        // what cannot be made is a failure of the job, not of this work
        Err(e) if matches!(e.code, Code::Unprocessable | Code::NotFound | Code::Forbidden) => {
            let why = e.detail;
            return end(&app, id, move |_| Some(("failure".into(), Some(why.clone())))).await;
        }
        Err(e) => return Err(e),
    };
    let Some(child) = run_get(app.db(), made).await? else { return Ok(()) };
    // stopped while the pipeline was made
    if job_get(app.db(), id).await?.is_none_or(|j| j.state != "running") {
        return if child.state == "completed" { Ok(()) } else { stop_child(&app, made).await };
    }
    let broken = child.state == "completed" && child.jobs_total == 0;
    end(&app, id, move |downstream| match downstream.follow {
        _ if broken => Some(("failure".into(), Some(format!("the files of pipeline #{} have errors", child.number)))),
        Follow::Never => Some(("success".into(), None)),
        _ => None,
    })
    .await
}

/// What a job asks for, its texts evaluated.
struct Asked {
    run: RunRow,
    project: ProjectRow,
    row: JobRow,
    job: Job,
    planned: Downstream,
    passed: IndexMap<String, String>,
    path: Option<String>,
    reference: String,
    inputs: Map<String, Value>,
    before: Option<String>,
}

fn refuse(why: impl Into<String>) -> Error {
    Error::new(Code::Unprocessable, why)
}

/// The job, if it still waits for its pipeline.
async fn asked(app: &App, id: JobId) -> Result<Option<Asked>> {
    let mut tx = app.db().begin().await?;
    let Some(row) = job_get(&mut tx, id).await?.filter(of_nobody) else { return Ok(None) };
    let Some(run) = run_lock(&mut tx, row.run).await? else { return Ok(None) };
    let state = State::load(&mut tx, run).await?;
    drop(tx);
    let Some(job) = state.plan.job(&row.key).cloned() else { return Ok(None) };
    let Some(planned) = job.downstream.as_deref().cloned() else { return Ok(None) };
    let Some(project) = store::project::project_get(app.db(), row.project).await?.filter(|p| p.deleted_at.is_none()) else {
        return Ok(None);
    };
    evaluate(state, project, row, job, planned).map(Some)
}

fn evaluate(state: State, project: ProjectRow, row: JobRow, job: Job, planned: Downstream) -> Result<Asked> {
    let results = model::results(&state.jobs);
    let mut base = contexts(&job, &results, &state.contexts).map_err(refuse)?.into_owned();
    if let Value::Object(github) = &mut base["github"] {
        github.insert("run_number".into(), json!(state.run.number.to_string()));
        github.insert("run_id".into(), json!(state.run.id.to_string()));
    }
    let roots = model::cell_roots(&base, needs_context(&job, &results), row.matrix.as_ref(), Value::Null);
    let values = Values::new(&roots);
    let text = |t: &str| interpolate(t, &values).map_err(|e| refuse(e.0));
    let mut passed: IndexMap<String, String> = IndexMap::new();
    if planned.forward_given {
        let given = roots["inputs"].as_object().into_iter().flatten();
        passed.extend(given.map(|(n, v)| (n.clone(), v.as_str().map_or_else(|| v.to_string(), str::to_owned))));
    }
    for (name, value) in &job.env {
        passed.insert(name.clone(), text(value)?);
    }
    if passed.len() > MAX_PASSED {
        return Err(refuse(format!("more than {MAX_PASSED} variables are passed")));
    }
    let path = planned.project.as_deref().map(text).transpose()?;
    let reference = planned.reference.as_deref().map(text).transpose()?.unwrap_or_default();
    let mut inputs = Map::new();
    for (name, value) in &planned.inputs {
        inputs.insert(name.clone(), evaluate_tree(value, &values).map_err(|e| refuse(e.0))?);
    }
    let before = roots["github"]["event"]["before"].as_str().map(str::to_owned);
    Ok(Asked { run: state.run, project, row, job, planned, passed, path, reference, inputs, before })
}

/// Makes the pipeline, or finds the one that an earlier try made.
async fn start(app: &App, asked: &Asked) -> Result<RunId> {
    let run = &asked.run;
    if let Some(made) = run_children(app.db(), run.id).await?.into_iter().find(|r| r.parent.is_some_and(|p| p.job == asked.row.id)) {
        return Ok(made.id);
    }
    let above = ancestors(app, run).await?;
    let root = run.parent.map_or(run.id, |p| p.root);
    if above.len() >= MAX_DEPTH {
        return Err(refuse(format!("pipelines start each other in more than {MAX_DEPTH} levels")));
    }
    if run_below(app.db(), root).await? >= MAX_BELOW {
        return Err(refuse(format!("more than {MAX_BELOW} pipelines hang below the first one")));
    }
    let name = format!("{} / {}", run.name, asked.row.name);
    let new = NewRun {
        project: asked.project.clone(),
        workflow: run.workflow.clone(),
        name: name.chars().take(255).collect(),
        plan: None,
        detected: false,
        diagnostics: Vec::new(),
        event: "parent_pipeline",
        r#ref: run.r#ref.clone(),
        before: asked.before.clone(),
        head: Head::default(),
        inputs: Map::new(),
        actor: run.actor,
        // one pipeline for each try of the job
        dedup: Some(format!("job:{}", asked.row.id)),
        origin: Origin { parent: Some(RunParent { run: run.id, job: asked.row.id, root }), ..Origin::default() },
    };
    let cause = Cause { passed: asked.passed.clone(), ..Cause::look(run.r#ref.clone(), run.actor) };
    match &asked.path {
        None => child(app, asked, &above, new, cause).await,
        Some(path) => of_project(app, asked, &above, path, new, cause).await,
    }
}

/// A pipeline of the same commit.
async fn child(app: &App, asked: &Asked, above: &[RunRow], new: NewRun, mut cause: Cause) -> Result<RunId> {
    if above.iter().take_while(|r| r.event == "parent_pipeline").count() >= MAX_CHILDREN_DEPTH {
        return Err(refuse(format!("child pipelines may be nested {MAX_CHILDREN_DEPTH} levels deep")));
    }
    cause.source = "parent_pipeline";
    cause.before = new.before.as_deref().map(Oid::parse).transpose()?;
    cause.artifacts = Some((asked.run.id, asked.planned.artifacts.clone()));
    let commit = Oid::parse(&asked.run.commit)?;
    make(app, new, commit, Text::Child(asked.planned.include.clone(), asked.job.span.clone()), &cause).await
}

/// The pipeline of another project.
async fn of_project(app: &App, asked: &Asked, above: &[RunRow], path: &str, mut new: NewRun, mut cause: Cause) -> Result<RunId> {
    // whoever set this pipeline off must be able to start one there
    let ctx = as_person(app, asked.run.actor).await?;
    let target = app.project(&ctx, path, Permission::PipelineWrite).await.map_err(|e| match e.code {
        Code::NotFound | Code::Forbidden | Code::Unauthenticated => {
            refuse(format!("there is no project `{path}` in which who set this pipeline off may start one"))
        }
        _ => e,
    })?;
    new.project = target.row.clone();
    let wanted = asked.reference.clone();
    let shown = if wanted.is_empty() { target.row.default_branch.clone() } else { wanted.clone() };
    let repository = app.part::<Repositories>()?.get(target.id())?;
    let resolved = match repository.read(move |r| r.resolve(&wanted)).await {
        Ok(found) => found,
        Err(GitError::NotFound(_) | GitError::Invalid(_)) => return Err(refuse(format!("`{path}` has no branch or tag `{shown}`"))),
        Err(e) => return Err(e.into()),
    };
    new.r#ref = resolved.name.unwrap_or_else(|| format!("refs/heads/{}", target.row.default_branch));
    if above.iter().any(|r| r.project == target.id() && r.r#ref == new.r#ref) {
        return Err(refuse(format!("`{path}` at `{shown}` is already above this pipeline: they would start each other for ever")));
    }
    let bytes = source::gitlab_file(&repository, resolved.commit).await?;
    let bytes = bytes.ok_or_else(|| refuse(format!("`{path}` has no {} at `{shown}`", dialects::gitlab::FILE)))?;
    (new.event, new.before, cause.source) = ("pipeline", None, "pipeline");
    new.workflow = dialects::gitlab::FILE.into();
    cause.reference.clone_from(&new.r#ref);
    cause.inputs.clone_from(&asked.inputs);
    new.inputs.clone_from(&asked.inputs);
    make(app, new, resolved.commit, Text::File(bytes), &cause).await
}

async fn make(app: &App, mut new: NewRun, commit: Oid, text: Text, cause: &Cause) -> Result<RunId> {
    let repository = app.part::<Repositories>()?.get(new.project.id)?;
    new.head = source::head(&repository, commit).await?;
    let file = new.workflow.clone();
    let compiled = compile(app, &new.project, &repository, commit, &file, text, cause).await?;
    if let Some(plan) = compiled.plan.as_ref().filter(|p| p.jobs.is_empty()) {
        let why = plan.decisions.first().map_or("it has no jobs", |d| d.because.as_str());
        return Err(refuse(format!("the pipeline would have no jobs: {why}")));
    }
    (new.plan, new.diagnostics) = (compiled.plan, compiled.diagnostics);
    let (target, dedup) = (new.project.id, new.dedup.clone().unwrap_or_default());
    match create(app, new).await? {
        Some(made) => Ok(made),
        None => run_by_dedup(app.db(), target, &dedup).await?.ok_or_else(|| Error::internal("a run that was made before is gone")),
    }
}

/// The run and those above it, upwards.
async fn ancestors(app: &App, run: &RunRow) -> Result<Vec<RunRow>> {
    let mut list = vec![run.clone()];
    while let Some(parent) = list.last().and_then(|r| r.parent) {
        match run_get(app.db(), parent.run).await? {
            Some(above) if list.len() <= MAX_DEPTH => list.push(above),
            _ => break,
        }
    }
    Ok(list)
}
