//! Runs the pipeline of a working directory on the machine it lies on, with what is not committed yet.
//!
//! The engine is the one that runs everything else: the directory becomes a commit of a project of an instance that lives
//! only as long as the command (`devmentor pipeline run`).

use std::path::{Path, PathBuf};

use dialects::plan::Dialect;
use dialects::ready::ancestors;
use dialects::trigger::{Occasion, check_inputs, starts};
use dialects::{Diagnostic, Plan, Severity};
use git::{Repositories, Worktree};
use kernel::{Code, Context, Error, FieldError, Permission, Result};
use serde_json::{Map, Value};
use web_kit::App;

use super::gitlab::Cause;
use super::source;
use super::trigger::Built;
use crate::runs::create::{NewRun, Origin, create};

/// What is to run of a working directory.
#[derive(Clone, Debug, Default)]
pub struct HereRequest {
    /// `push`, `workflow_dispatch` or `schedule`.
    pub event: String,
    /// Path, file name or name of a workflow; none for all that the event starts.
    pub workflow: Option<String>,
    /// Keys or names of jobs, which run with those they need; none for all.
    pub jobs: Vec<String>,
    /// Inputs of a manual start.
    pub inputs: Map<String, Value>,
}

/// What a command needs to know of a working directory before there is a service: its top, and its main branch.
///
/// # Errors
/// `not_found` without the directory, `invalid_request` for a repository that cannot be read.
pub fn look(dir: &Path) -> Result<(PathBuf, String)> {
    let tree = Worktree::find(dir)?;
    let branch = tree.default_branch()?;
    Ok((tree.root().to_owned(), branch))
}

/// Makes the runs of a working directory in a project.
///
/// # Errors
/// `not_found` for the workflow or job, `validation_failed` for the event or inputs, `unprocessable` when nothing starts.
pub async fn run_create_here(app: &App, ctx: &Context, project: &str, dir: &Path, request: HereRequest) -> Result<Built> {
    let project = app.project(ctx, project, Permission::PipelineWrite).await?;
    let repository = app.part::<Repositories>()?.get(project.id())?;
    let taken = repository.take(&Worktree::find(dir)?).await?;
    let (event, source) = match request.event.as_str() {
        "push" => ("push", "push"),
        "workflow_dispatch" => ("workflow_dispatch", "web"),
        "schedule" => ("schedule", "schedule"),
        other => {
            let why = format!("`{other}` cannot be played here; push, workflow_dispatch and schedule can");
            return Err(Error::field("event", "invalid", why));
        }
    };
    let name = taken.branch.to_string();
    let changed = repository.read(move |r| taken.head.map_or(Ok(None), |head| source::changes(r, head, taken.commit))).await?;
    // without a change the last commit is what was pushed
    let changed = changed.filter(|paths| !paths.is_empty());
    let occasion = match event {
        "push" => Occasion::Push { name: &name, changed: changed.as_deref() },
        "schedule" => Occasion::Schedule { cron: None },
        _ => Occasion::Dispatch,
    };
    let head = source::head(&repository, taken.commit).await?;
    let cause = Cause { source, before: taken.head, inputs: request.inputs.clone(), ..Cause::look(name.clone(), ctx.user()) };
    let workflows = source::workflows(app, &project.row, &repository, taken.commit, &cause).await?;
    let base = NewRun {
        project: project.row.clone(),
        workflow: String::new(),
        name: String::new(),
        plan: None,
        detected: false,
        diagnostics: Vec::new(),
        event,
        r#ref: name.clone(),
        before: taken.head.map(git::Oid::to_hex),
        head,
        inputs: Map::new(),
        actor: ctx.user(),
        dedup: None,
        origin: Origin::default(),
    };
    let mut built = Built { runs: Vec::new(), diagnostics: Vec::new() };
    let mut quiet = Vec::new();
    let mut found = Vec::new();
    for file in &workflows.files {
        found.push((file.path.as_str(), file.compiled.name.as_str(), file.compiled.plan.as_ref(), file.compiled.diagnostics.as_slice()));
    }
    if let Some(detected) = &workflows.detected {
        found.push((detected.plan.source.as_str(), detected.plan.name.as_str(), Some(&detected.plan), &[]));
    }
    if let Some(wanted) = &request.workflow {
        found.retain(|(path, name, ..)| path == wanted || path.rsplit('/').next() == Some(wanted) || name == wanted);
        if found.is_empty() {
            return Err(Error::not_found("workflow"));
        }
    }
    for (path, name, plan, diagnostics) in found {
        built.diagnostics.extend(diagnostics.iter().cloned());
        let Some(plan) = plan else { continue };
        if let Err(why) = begins(plan, &occasion, workflows.detected.is_some()) {
            quiet.push(format!("{path}: {why}"));
            continue;
        }
        let Some(plan) = only(plan, &request.jobs) else {
            quiet.push(format!("{path}: it has no job {}", request.jobs.join(" or ")));
            continue;
        };
        let inputs = match event {
            "workflow_dispatch" => check_inputs(&plan, &request.inputs).map_err(|wrong| {
                let field =
                    |b: dialects::trigger::BadInput| FieldError { field: format!("inputs.{}", b.name), code: b.code, message: b.message };
                Error::fields(wrong.into_iter().map(field).collect())
            })?,
            _ => Map::new(),
        };
        let new = NewRun {
            workflow: path.to_owned(),
            name: name.to_owned(),
            plan: Some(plan),
            detected: workflows.detected.is_some(),
            diagnostics: diagnostics.to_vec(),
            inputs,
            ..base.clone()
        };
        built.runs.extend(create(app, new).await?);
    }
    if built.runs.is_empty() && !failed(&built.diagnostics) {
        let why = if quiet.is_empty() { "there is no pipeline file, and no build was detected".to_owned() } else { quiet.join("; ") };
        return Err(Error::new(Code::Unprocessable, format!("nothing starts: {why}")));
    }
    Ok(built)
}

fn failed(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|d| d.severity == Severity::Error)
}

/// Does the event start the plan?
fn begins(plan: &Plan, occasion: &Occasion<'_>, detected: bool) -> Result<(), String> {
    if plan.jobs.is_empty() {
        return Err(plan.decisions.first().map_or_else(|| "it has no jobs".to_owned(), |d| d.because.clone()));
    }
    // the others were compiled for the event
    if plan.dialect == Dialect::GithubActions && !detected { starts(plan, occasion) } else { Ok(()) }
}

/// The plan with these jobs and those they need; none when it has none of them.
fn only(plan: &Plan, jobs: &[String]) -> Option<Plan> {
    let mut plan = plan.clone();
    if jobs.is_empty() {
        return Some(plan);
    }
    let asked = |j: &&dialects::plan::Job| jobs.iter().any(|w| *w == j.key || j.name.as_ref() == Some(w));
    let mut kept: Vec<String> = plan.jobs.iter().filter(asked).map(|j| j.key.clone()).collect();
    if kept.is_empty() {
        return None;
    }
    for job in plan.jobs.iter().filter(asked) {
        kept.extend(ancestors(&plan, job).into_iter().map(str::to_owned));
    }
    plan.jobs.retain(|j| kept.contains(&j.key));
    Some(plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_comes_with_what_it_needs() {
        let text = "on: push\njobs:\n  a: {runs-on: x, steps: [{run: a}]}\n  b: {needs: a, runs-on: x, steps: [{run: a}]}\n  c: {name: Third, needs: b, runs-on: x, steps: [{run: a}]}\n  d: {runs-on: x, steps: [{run: a}]}\n";
        let plan = dialects::github::compile(".github/workflows/a.yml", text.as_bytes()).plan.unwrap();
        let keys = |jobs: &[&str]| {
            let jobs: Vec<String> = jobs.iter().map(ToString::to_string).collect();
            only(&plan, &jobs).map(|p| p.jobs.into_iter().map(|j| j.key).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(keys(&[]).unwrap(), "a b c d");
        assert_eq!(keys(&["b"]).unwrap(), "a b");
        assert_eq!(keys(&["Third"]).unwrap(), "a b c");
        assert_eq!(keys(&["e"]), None);
        assert!(begins(&plan, &Occasion::Dispatch, false).is_err());
    }
}
