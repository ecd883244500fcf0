//! Why each job of a run is in it, runs, waits or was skipped: the decisions of the plan, and each condition with what it
//! looked at. Evaluated again from what the run was made with, so it is there for every run, ended or not.

use dialects::plan::Plan;
use dialects::ready::evaluation;
use kernel::{Context, JobId, Permission, Result};
use serde::Serialize;
use serde_json::Value;
use store::job::job_list;
use store::run::run_plan;
use utoipa::ToSchema;
use web_kit::App;

use super::run_for;
use crate::schedule::model;

/// Why a run looks as it does.
#[derive(Debug, Serialize, ToSchema)]
pub struct Why {
    /// Which jobs of the file are in the run, where that was decided when it was made.
    decisions: Vec<WhyDecision>,
    /// Files that were fetched from other services to make it, as they were then.
    includes: Vec<WhyIncluded>,
    /// What became of the jobs, and why.
    jobs: Vec<WhyJob>,
}

/// Whether a job of the file is in the run.
#[derive(Debug, Serialize, ToSchema)]
pub struct WhyDecision {
    /// Its key in the file.
    job: String,
    /// Is it in?
    included: bool,
    /// In plain words, with the values that were compared.
    because: String,
    /// The file of the rule, or of the job.
    file: String,
    /// Its line.
    line: u32,
    /// Its column.
    column: u32,
}

/// A file of another service.
#[derive(Debug, Serialize, ToSchema)]
pub struct WhyIncluded {
    /// Its address.
    file: String,
    /// `sha256:…` of what it was.
    digest: String,
}

/// What became of a job.
#[derive(Debug, Serialize, ToSchema)]
pub struct WhyJob {
    /// The job.
    #[schema(value_type = String)]
    job: JobId,
    /// Key in the workflow.
    key: String,
    /// Shown name.
    name: String,
    /// Where it is.
    #[schema(value_type = crate::words::JobState)]
    state: String,
    /// How it ended.
    #[schema(value_type = Option<crate::words::Conclusion>)]
    conclusion: Option<String>,
    /// Why it waits, was skipped or failed.
    reason: Option<String>,
    /// Its condition.
    evaluation: Option<WhyEvaluation>,
}

/// A condition and what it looked at.
#[derive(Debug, Serialize, ToSchema)]
pub struct WhyEvaluation {
    /// As written; none means that all jobs before it must have succeeded.
    condition: Option<String>,
    /// Does it hold? None while jobs before it go on.
    value: Option<bool>,
    /// Why it cannot be evaluated.
    error: Option<String>,
    /// What it looked at.
    operands: Vec<WhyOperand>,
    /// The jobs before it.
    needs: Vec<WhyNeed>,
    /// File of the job.
    file: String,
    /// Its line.
    line: u32,
}

/// One thing that a condition looked at.
#[derive(Debug, Serialize, ToSchema)]
pub struct WhyOperand {
    /// As it could be written.
    expression: String,
    /// What it gave.
    #[schema(value_type = Object)]
    value: Option<Value>,
    /// It is a variable, which the caller may not see.
    hidden: bool,
}

/// A job that another one needs.
#[derive(Debug, Serialize, ToSchema)]
pub struct WhyNeed {
    /// Its key.
    job: String,
    /// Named by the job itself, not by one that it needs.
    direct: bool,
    /// How it ended; none while it goes on.
    #[schema(value_type = Option<crate::words::Conclusion>)]
    result: Option<&'static str>,
}

/// Why a run looks as it does.
///
/// # Errors
/// `not_found`.
pub async fn run_why(app: &App, ctx: &Context, id: &str) -> Result<Why> {
    let (run, project) = run_for(app, ctx, id, Permission::PipelineRead).await?;
    let variables = project.allows(ctx, Permission::SecretRead);
    let (plan, contexts) = run_plan(app.db(), run.id).await?.unwrap_or_default();
    // a run of a file with errors has no plan
    let plan: Option<Plan> = serde_json::from_value(plan).ok();
    let rows = job_list(app.db(), run.id).await?;
    let results = model::results(&rows);
    let decisions = plan.iter().flat_map(|p| &p.decisions).map(|d| WhyDecision {
        job: d.job.clone(),
        included: d.included,
        because: d.because.clone(),
        file: d.span.file.to_string(),
        line: d.span.line,
        column: d.span.column,
    });
    let decisions = decisions.collect();
    let evaluated = |key: &str| {
        let plan = plan.as_ref()?;
        let job = plan.job(key)?;
        let e = evaluation(plan, job, &results, run.cancelled, &contexts);
        let operand = |o: dialects::expr::Operand| {
            let hidden = !variables && o.context.as_deref() == Some("vars");
            WhyOperand { expression: o.expression, value: o.value.filter(|_| !hidden), hidden }
        };
        Some(WhyEvaluation {
            condition: e.condition,
            value: e.value,
            error: e.error,
            operands: e.operands.into_iter().map(operand).collect(),
            needs: e.needs.into_iter().map(|(job, direct, r)| WhyNeed { job, direct, result: r.map(|o| o.as_str()) }).collect(),
            file: job.span.file.to_string(),
            line: job.span.line,
        })
    };
    let jobs = rows.iter().map(|j| WhyJob {
        job: j.id,
        key: j.key.clone(),
        name: j.name.clone(),
        state: j.state.clone(),
        conclusion: j.conclusion.clone(),
        reason: j.reason.clone(),
        evaluation: evaluated(&j.key),
    });
    let includes = plan.iter().flat_map(|p| &p.includes).map(|i| WhyIncluded { file: i.file.clone(), digest: i.digest.clone() });
    Ok(Why { decisions, includes: includes.collect(), jobs: jobs.collect() })
}
