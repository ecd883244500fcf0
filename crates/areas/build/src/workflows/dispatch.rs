//! Runs that somebody sets off by an event of their own (`repository_dispatch`), or that a job starts with its token.

use dialects::trigger::{Occasion, starts};
use kernel::{Actor, Code, Context, Error, Permission, Result, RunId};
use serde_json::{Map, Value, json};
use store::job::job_get;
use store::run::{run_by_dedup, run_get};
use web_kit::App;

use super::follow::{DefaultBranch, MAX_DEPTH, depth};
use crate::runs::create::{NewRun, Origin, create};

/// Longest name of an event.
const MAX_NAME: usize = 100;
/// Most members and bytes of what comes with it.
const MAX_MEMBERS: usize = 10;
const MAX_PAYLOAD: usize = 65_535;

/// What a job that starts a run leaves on it: the chain of runs is bounded. Nothing for people.
///
/// # Errors
/// `unprocessable` when the chain is at its end.
pub async fn cause_of(app: &App, ctx: &Context) -> Result<Option<Value>> {
    let Actor::Job { id, .. } = &ctx.actor else { return Ok(None) };
    let job = job_get(app.db(), *id).await?.ok_or_else(|| Error::not_found("job"))?;
    let run = run_get(app.db(), job.run).await?.ok_or_else(|| Error::not_found("run"))?;
    let depth = depth(&run) + 1;
    if depth > MAX_DEPTH {
        return Err(Error::new(Code::Unprocessable, format!("a chain of runs that start each other has at most {MAX_DEPTH} links")));
    }
    Ok(Some(json!({"run": run.id, "job": id, "depth": depth})))
}

/// Starts the workflows of the default branch that wait for an event of this name.
///
/// # Errors
/// `forbidden`, `validation_failed`, `unprocessable` when no workflow waits for it.
pub async fn project_dispatch(app: &App, ctx: &Context, id: &str, name: &str, given: Map<String, Value>) -> Result<Vec<RunId>> {
    let project = app.project(ctx, id, Permission::PipelineWrite).await?;
    if name.trim().is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(Error::field("event_type", "invalid", format!("1 to {MAX_NAME} characters")));
    }
    if given.len() > MAX_MEMBERS || serde_json::to_string(&given).map_or(0, |t| t.len()) > MAX_PAYLOAD {
        return Err(Error::field("client_payload", "too_large", format!("at most {MAX_MEMBERS} members and {MAX_PAYLOAD} bytes")));
    }
    let cause = cause_of(app, ctx).await?;
    let nothing = || Error::new(Code::Unprocessable, format!("no workflow of the default branch waits for `{name}`"));
    let branch = DefaultBranch::load(app, project.row, ctx.user()).await?.ok_or_else(nothing)?;
    let mut payload = Map::new();
    payload.insert("action".into(), json!(name));
    payload.insert("branch".into(), json!(branch.project.default_branch));
    payload.insert("client_payload".into(), Value::Object(given));
    let mut runs = Vec::new();
    for file in &branch.workflows.files {
        let Some(plan) = &file.compiled.plan else { continue };
        let occasion = Occasion::Other { event: "repository_dispatch", action: Some(name), branch: "" };
        if starts(plan, &occasion).is_err() {
            continue;
        }
        let dedup = ctx.attempt.as_ref().map(|a| format!("request:{}:{}", a.request, file.path));
        let new = NewRun {
            workflow: file.path.clone(),
            name: file.compiled.name.clone(),
            plan: Some(plan.clone()),
            diagnostics: file.compiled.diagnostics.clone(),
            dedup: dedup.clone(),
            origin: Origin { payload: payload.clone(), variables: Map::new(), cause: cause.clone(), parent: None },
            ..branch.base("repository_dispatch", ctx.user())
        };
        match create(app, new).await? {
            Some(run) => runs.push(run),
            // an earlier try of the same request made it
            None => runs.extend(run_by_dedup(app.db(), branch.project.id, &dedup.unwrap_or_default()).await?),
        }
    }
    if runs.is_empty() { Err(nothing()) } else { Ok(runs) }
}
