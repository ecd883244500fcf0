//! Makes a run: its contexts, its row, its jobs, and all of it that can begin at once, in one transaction.

use std::sync::Arc;

use dialects::expr::{self, Context as ExprContext};
use dialects::plan::Plan;
use dialects::{Diagnostic, Severity};
use kernel::{Event, EventData, Result, RunId, Timestamp, UserId};
use serde_json::{Map, Value, json};
use store::NewWork;
use store::job::job_create;
use store::project::ProjectRow;
use store::run::{RunParent, RunRow, Trust, run_create, run_group, run_older};
use web_kit::App;

use super::trust::trust_of;
use crate::schedule::advance::{State, advance, group_name};
use crate::schedule::{downstream, finish, model, retrying};
use crate::vars::reach::variables_of_run;

/// The commit a run is for.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// Object id in hex.
    pub oid: String,
    /// Whole message.
    pub message: String,
    /// Who wrote it.
    pub author_name: String,
    /// Who wrote it.
    pub author_email: String,
    /// When.
    pub time: Option<Timestamp>,
}

impl Head {
    /// First line of the message.
    pub fn title(&self) -> &str {
        self.message.lines().next().unwrap_or_default()
    }
}

/// What a run is made from.
#[derive(Clone)]
pub struct NewRun {
    /// Its project.
    pub project: ProjectRow,
    /// The workflow file, or what a detected plan stands on.
    pub workflow: String,
    /// Name of the workflow.
    pub name: String,
    /// The plan; none when the file has errors.
    pub plan: Option<Plan>,
    /// Made without a file.
    pub detected: bool,
    /// What was said about the file.
    pub diagnostics: Vec<Diagnostic>,
    /// `push`, `workflow_dispatch`.
    pub event: &'static str,
    /// Full ref name.
    pub r#ref: String,
    /// Where the ref was before, in hex.
    pub before: Option<String>,
    /// The commit.
    pub head: Head,
    /// Inputs of a manual start.
    pub inputs: Map<String, Value>,
    /// Who set it off.
    pub actor: Option<UserId>,
    /// What it follows from, so that it is made once.
    pub dedup: Option<String>,
    /// What set it off besides its event.
    pub origin: Origin,
}

/// What set a run off besides its event, and what came with it.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// Goes into `github.event`.
    pub payload: Map<String, Value>,
    /// Variables of this run, before those of the project.
    pub variables: Map<String, Value>,
    /// The schedule or the run.
    pub cause: Option<Value>,
    /// The job that started it.
    pub parent: Option<RunParent>,
}

/// Makes the run. None when what it follows from has one already.
///
/// # Errors
/// The database's.
pub async fn create(app: &App, new: NewRun) -> Result<Option<RunId>> {
    create_at(app, new, Timestamp::now()).await
}

/// As [`create`], at any time.
pub(crate) async fn create_at(app: &App, new: NewRun, now: Timestamp) -> Result<Option<RunId>> {
    let actor_name = match new.actor {
        Some(id) => store::account::account_get(app.db(), id).await?.map(|a| a.name).unwrap_or_default(),
        None => String::new(),
    };
    let above = new.origin.parent.map(|p| p.run);
    let trust = trust_of(app, &new.project, &new.r#ref, &new.head.oid, new.actor, above).await?;
    let made = retrying(|| {
        let (app, new, actor_name) = (app.clone(), new.clone(), actor_name.clone());
        Box::pin(async move { attempt(&app, new, &actor_name, trust, now).await })
    })
    .await?;
    let Some((id, cancel)) = made else { return Ok(None) };
    for other in cancel {
        // each in a transaction of its own: two runs are never locked at once
        match finish::cancel(app.db(), other, "a newer run of its concurrency group took its place").await {
            Err(e) if !e.is(kernel::Code::Conflict) => return Err(e),
            _ => {}
        }
    }
    Ok(Some(id))
}

async fn attempt(app: &App, new: NewRun, actor_name: &str, trust: Trust, now: Timestamp) -> Result<Option<(RunId, Vec<RunId>)>> {
    let mut run = RunRow {
        id: RunId::new(),
        project: new.project.id,
        number: 0,
        workflow: new.workflow.clone(),
        name: new.name.clone(),
        title: new.head.title().chars().take(300).collect(),
        event: new.event.into(),
        r#ref: new.r#ref.clone(),
        commit: new.head.oid.clone(),
        state: "queued".into(),
        conclusion: None,
        attempt: 1,
        detected: new.detected,
        actor: new.actor,
        diagnostics: json!(new.diagnostics),
        jobs_total: 0,
        jobs_done: 0,
        dedup: new.dedup.clone(),
        concurrency_group: None,
        parent: new.origin.parent,
        blocked: false,
        cancelled: false,
        created_at: now,
        started_at: None,
        finished_at: None,
        cause: new.origin.cause.clone(),
        trust,
        version: 1,
    };
    let mut tx = app.db().begin().await?;
    let mut vars: Map<String, Value> =
        variables_of_run(&mut tx, &new.project, trust).await?.into_iter().map(|(k, v)| (k, Value::String(v))).collect();
    vars.extend(new.origin.variables.clone());
    let mut contexts = json!({"github": github(app, &new, actor_name, trust), "inputs": new.inputs, "vars": vars});
    let mut broken = new.plan.is_none();
    if let Some(plan) = &new.plan {
        let ctx = ExprContext::new(&contexts);
        if let Some(Ok(title)) = plan.run_name.as_ref().map(|n| expr::interpolate(n, &ctx))
            && !title.trim().is_empty()
        {
            run.title = title.trim().chars().take(300).collect();
        }
        if let Some(c) = &plan.concurrency {
            match group_name(c, &contexts) {
                Ok(group) => run.concurrency_group = Some(group),
                Err(e) => {
                    broken = true;
                    let d = json!({"file": plan.source, "line": 0, "column": 0, "severity": Severity::Error, "code": "expression",
                        "message": format!("`concurrency`: {e}")});
                    if let Value::Array(list) = &mut run.diagnostics {
                        list.push(d);
                    }
                }
            }
        }
    }
    if broken {
        run.state = "completed".into();
        run.conclusion = Some("failure".into());
        run.finished_at = Some(now);
    }
    let plan = new.plan.as_ref().map_or(Value::Null, |p| json!(p));
    if !run_create(&mut tx, &mut run, &plan, &contexts).await? {
        return Ok(None);
    }
    if let Value::Object(github) = &mut contexts["github"] {
        github.insert("run_number".into(), json!(run.number.to_string()));
        github.insert("run_id".into(), json!(run.id.to_string()));
    }
    tx.emit(&Event::new(
        run.actor,
        Some(run.project),
        EventData::RunCreated { run: run.id, commit: run.commit.clone(), r#ref: run.r#ref.clone() },
    ))
    .await?;
    crate::workflows::follow::announce(&mut tx, &run, "requested").await?;
    let mut cancel = Vec::new();
    match new.plan {
        Some(plan) if !broken => {
            // each decides by its own rules whether it is still wanted
            if plan.auto_cancel.is_some() && run.event == "push" {
                for older in run_older(&mut tx, &run).await? {
                    tx.enqueue(NewWork::new("run_superseded", json!({"run": older, "by": run.number})).dedup(older.to_string())).await?;
                }
            }
            if let Some(group) = run.concurrency_group.clone() {
                cancel = enter_group(&mut tx, &mut run, &plan, &group, &contexts).await?;
            }
            let mut jobs = Vec::with_capacity(plan.jobs.len());
            for (position, planned) in plan.jobs.iter().enumerate() {
                let job = model::placeholder(&run, planned, position, 1);
                job_create(&mut tx, &job).await?;
                jobs.push(job);
            }
            let mut state = State { run, plan: Arc::new(plan), contexts: Arc::new(contexts), jobs };
            advance(&mut tx, &mut state, now).await?;
            run = state.run;
        }
        _ => {
            let data =
                EventData::RunFinished { run: run.id, commit: run.commit.clone(), r#ref: run.r#ref.clone(), conclusion: "failure".into() };
            tx.emit(&Event::new(run.actor, Some(run.project), data)).await?;
            super::status::set(&mut tx, &run).await?;
            downstream::tell_parent(&mut tx, &run).await?;
        }
    }
    tx.wake(format!("runs:{}", run.project));
    tx.commit().await?;
    metrics::counter!("pipeline_runs_created_total", "event" => new.event).increment(1);
    Ok(Some((run.id, cancel)))
}

/// Takes a place in the concurrency group: the newest waits, an older one that waits is cancelled.
async fn enter_group(tx: &mut store::Tx, run: &mut RunRow, plan: &Plan, group: &str, contexts: &Value) -> Result<Vec<RunId>> {
    let others: Vec<RunRow> = run_group(tx, run.project, group).await?.into_iter().filter(|r| r.id != run.id).collect();
    let at_once = plan.concurrency.as_ref().is_some_and(|c| model::late_bool(&c.cancel_in_progress, contexts).unwrap_or(false));
    run.blocked = others.iter().any(|r| !r.blocked);
    Ok(others.into_iter().filter(|r| r.blocked || at_once).map(|r| r.id).collect())
}

/// The `github` context as far as the server knows it; the runner adds its paths, the scheduler run id and number.
fn github(app: &App, new: &NewRun, actor: &str, trust: Trust) -> Value {
    let url = app.config().public_url();
    let p = &new.project;
    let (kind, short) = match new.r#ref.strip_prefix("refs/tags/") {
        Some(tag) => ("tag", tag),
        None => ("branch", new.r#ref.strip_prefix("refs/heads/").unwrap_or(&new.r#ref)),
    };
    let author = json!({"name": new.head.author_name, "email": new.head.author_email});
    let commit = json!({"id": new.head.oid, "message": new.head.message.chars().take(65_536).collect::<String>(), "author": author, "timestamp": new.head.time});
    let mut context = json!({
        "event_name": new.event,
        "ref": new.r#ref,
        "ref_name": short,
        "ref_type": kind,
        "ref_protected": trust == Trust::Protected,
        "sha": new.head.oid,
        "head_ref": "",
        "base_ref": "",
        "repository": p.path,
        "repository_owner": p.namespace,
        "repository_id": p.id,
        "repositoryUrl": format!("{url}/{}.git", p.path),
        "workflow": new.name,
        "workflow_ref": format!("{}/{}@{}", p.path, new.workflow, new.r#ref),
        "workflow_sha": new.head.oid,
        "actor": actor,
        "triggering_actor": actor,
        "run_attempt": "1",
        "server_url": url,
        "api_url": url,
        "event": {
            "ref": new.r#ref,
            "before": new.before,
            "after": new.head.oid,
            "inputs": new.inputs,
            "head_commit": commit,
            "pusher": {"name": actor},
            "sender": {"login": actor},
            "repository": {"id": p.id, "name": p.name, "full_name": p.path, "default_branch": p.default_branch,
                "private": p.visibility != kernel::Visibility::Public, "html_url": format!("{url}/{}", p.path),
                "clone_url": format!("{url}/{}.git", p.path)},
        },
    });
    if let Value::Object(event) = &mut context["event"] {
        event.extend(new.origin.payload.clone());
    }
    context
}
