//! Runs, jobs and steps as the API shows them.

use std::collections::HashMap;

use dialects::jenkins::interp::Question;
use dialects::plan::{Decision, Gate};
use kernel::{Code, Context, Error, JobId, JobQuestionId, Permission, ProjectId, Result, RunId, RunnerId, Timestamp, UserId};
use serde::Serialize;
use serde_json::Value;
use store::job::{JobRow, job_kept_get, job_kept_of_run, job_list, step_list, step_list_of_run};
use store::job_question::{JobQuestionRow, job_question_list, job_question_open};
use store::run::RunRow;
use utoipa::ToSchema;
use web_kit::App;

use super::steps::Step;
use crate::schedule::gate::playable;

/// Somebody, by id and name.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Who {
    /// Their id.
    #[schema(value_type = String)]
    pub id: UserId,
    /// Their name.
    pub name: String,
}

/// A pipeline run.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Run {
    /// Its id.
    #[schema(value_type = String)]
    pub id: RunId,
    /// Number in the project.
    pub number: i64,
    /// Its project.
    #[schema(value_type = String)]
    pub project_id: ProjectId,
    /// Its project's path.
    pub project_path: String,
    /// Path of the workflow file.
    pub workflow: String,
    /// The language of the workflow file.
    #[schema(value_type = crate::words::Dialect)]
    pub dialect: &'static str,
    /// Name of the workflow.
    pub name: String,
    /// What it is about.
    pub title: String,
    /// What started it.
    pub event: String,
    /// Full ref name.
    pub r#ref: String,
    /// Commit.
    pub commit: String,
    /// `queued`, `running`, `completed`.
    #[schema(value_type = crate::words::RunState)]
    pub state: String,
    /// `success`, `failure`, `cancelled`, `skipped`.
    #[schema(value_type = Option<crate::words::Conclusion>)]
    pub conclusion: Option<String>,
    /// 1 for the first try.
    pub attempt: i64,
    /// Made without a workflow file.
    pub detected: bool,
    /// Why it has not begun, if something holds it.
    pub reason: Option<String>,
    /// Who set it off.
    pub actor: Option<Who>,
    /// What set it off besides its event: `schedule`, or the `run` that it follows.
    #[schema(value_type = Option<std::collections::HashMap<String, Value>>)]
    pub cause: Option<Value>,
    /// What was said about the workflow file.
    #[schema(value_type = Vec<crate::words::Diagnostic>)]
    pub diagnostics: Value,
    /// The run that started it, as far as it was a job of one.
    #[schema(value_type = Option<String>)]
    pub parent_run: Option<RunId>,
    /// The job of that run.
    #[schema(value_type = Option<String>)]
    pub parent_job: Option<JobId>,
    /// Jobs so far.
    pub jobs_total: i64,
    /// Jobs at their end.
    pub jobs_done: i64,
    /// When it was made.
    #[schema(value_type = String)]
    pub created_at: Timestamp,
    /// When its first job began.
    #[schema(value_type = Option<String>)]
    pub started_at: Option<Timestamp>,
    /// When its last job ended.
    #[schema(value_type = Option<String>)]
    pub finished_at: Option<Timestamp>,
    /// Whether it gets secrets and an identity, and what is protected.
    #[schema(value_type = crate::words::Trust)]
    pub trust: &'static str,
    /// Row version.
    pub version: i64,
}

/// A run with its jobs.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RunWithJobs {
    /// The run.
    #[serde(flatten)]
    pub run: Run,
    /// Its jobs, in the order of the plan.
    pub jobs: Vec<Job>,
    /// Jobs of the file that the event left out or let in, where that was decided when the run was made.
    pub decisions: Vec<JobDecision>,
    /// The mean of the percentages that the logs of its jobs state.
    pub coverage: Option<f64>,
    /// The run that started it, if the caller may see it.
    pub parent: Option<Linked>,
    /// The runs that its jobs started, oldest first, as far as the caller may see them.
    pub children: Vec<Linked>,
}

/// Why a job of the file is in the run or not.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JobDecision {
    /// Its key in the file.
    pub job: String,
    /// Is it in?
    pub included: bool,
    /// The rule, with the values that were compared.
    pub because: String,
    /// Path of the file that holds the rule.
    pub file: String,
    /// Line, from 1; 0 is the file as a whole.
    pub line: u32,
}

impl From<Decision> for JobDecision {
    fn from(d: Decision) -> Self {
        Self { job: d.job, included: d.included, because: d.because, file: d.span.file.to_string(), line: d.span.line }
    }
}

/// What holds a job that could start.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JobGate {
    /// `manual`, `delay` or `input`.
    #[schema(value_type = crate::words::GateKind)]
    pub kind: &'static str,
    /// What is asked, of an `input`.
    pub message: Option<String>,
    /// How long it waits, of a `delay`.
    pub seconds: Option<u64>,
}

impl From<&Gate> for JobGate {
    fn from(gate: &Gate) -> Self {
        let (kind, message, seconds) = match gate {
            Gate::Manual { .. } => ("manual", None, None),
            Gate::Delay { seconds } => ("delay", None, Some(*seconds)),
            Gate::Input { message, .. } => ("input", Some(message.clone()), None),
        };
        Self { kind, message, seconds }
    }
}

/// What a running job asks of people.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JobQuestion {
    /// Its id.
    #[schema(value_type = String)]
    pub id: JobQuestionId,
    /// What is asked.
    pub message: String,
    /// Label of the button that goes on.
    pub ok: String,
    /// Names of those who may answer; empty means everybody who may start runs.
    pub submitters: Vec<String>,
    /// What is asked for besides yes or no.
    pub parameters: Vec<JobQuestionParameter>,
    /// When it was asked.
    #[schema(value_type = String)]
    pub asked_at: Timestamp,
}

/// A value that a job asks for.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JobQuestionParameter {
    /// Its name.
    pub name: String,
    /// `string`, `text`, `boolean`, `choice`.
    pub kind: String,
    /// For people.
    pub description: String,
    /// What it is when nobody says so.
    pub default: Value,
    /// Allowed values of a choice.
    pub choices: Vec<String>,
}

impl JobQuestion {
    fn of(row: JobQuestionRow) -> Result<Self> {
        let q: Question = serde_json::from_value(row.question).map_err(Error::internal)?;
        let parameters = q.parameters.into_iter().map(|p| JobQuestionParameter {
            name: p.name,
            kind: p.kind,
            description: p.description,
            default: p.default,
            choices: p.choices,
        });
        let parameters = parameters.collect();
        Ok(Self { id: row.id, message: q.message, ok: q.ok, submitters: q.submitters, parameters, asked_at: row.created_at })
    }
}

/// A run above or below another.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Linked {
    /// Its id.
    #[schema(value_type = String)]
    pub id: RunId,
    /// Number in its project.
    pub number: i64,
    /// Its project's path.
    pub project_path: String,
    /// Name of the workflow.
    pub name: String,
    /// The job that ties them: it started the lower one of the two.
    #[schema(value_type = String)]
    pub job: JobId,
    /// `queued`, `running`, `completed`.
    #[schema(value_type = crate::words::RunState)]
    pub state: String,
    /// `success`, `failure`, `cancelled`, `skipped`.
    #[schema(value_type = Option<crate::words::Conclusion>)]
    pub conclusion: Option<String>,
}

/// The runner of a job.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RunnerName {
    /// Its id.
    #[schema(value_type = String)]
    pub id: RunnerId,
    /// Its name.
    pub name: String,
}

/// A job.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Job {
    /// Its id.
    #[schema(value_type = String)]
    pub id: JobId,
    /// Its run.
    #[schema(value_type = String)]
    pub run_id: RunId,
    /// Key in the workflow.
    pub key: String,
    /// Shown name.
    pub name: String,
    /// Keys of the jobs it waits for.
    pub needs: Vec<String>,
    /// The stage it is shown in, where the dialect has stages.
    pub stage: Option<String>,
    /// The condition of the file, as it is written.
    pub condition: Option<String>,
    /// What holds it when the jobs it needs are done.
    pub gate: Option<JobGate>,
    /// Somebody can start it now, or answer what it asks.
    pub playable: bool,
    /// What it asks of people, while it runs.
    pub questions: Vec<JobQuestion>,
    /// `waiting`, `queued`, `unschedulable`, `running`, `completed`.
    #[schema(value_type = crate::words::JobState)]
    pub state: String,
    /// Why it waits, was skipped or failed.
    pub reason: Option<String>,
    /// `success`, `failure`, `cancelled`, `skipped`.
    #[schema(value_type = Option<crate::words::Conclusion>)]
    pub conclusion: Option<String>,
    /// The machine failed, not the job.
    pub infra_failure: Option<String>,
    /// The percentage that its log states, where the workflow says how to find it.
    pub coverage: Option<f64>,
    /// Its failure does not fail the run.
    pub allowed_to_fail: bool,
    /// 1 for the first try.
    pub attempt: i64,
    /// A later attempt took its place.
    pub superseded: bool,
    /// Labels it asks for.
    pub labels: Vec<String>,
    /// Who runs it; none when the runner is gone.
    pub runner: Option<RunnerName>,
    /// When a runner took it.
    #[schema(value_type = Option<String>)]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<String>)]
    pub finished_at: Option<Timestamp>,
    /// When it became ready.
    #[schema(value_type = Option<String>)]
    pub queued_at: Option<Timestamp>,
    /// Outputs by name.
    #[schema(value_type = HashMap<String, String>)]
    pub outputs: Value,
    /// The combination of its matrix.
    #[schema(value_type = Option<HashMap<String, Value>>)]
    pub matrix: Option<Value>,
    /// Bytes of log so far.
    pub log_length: i64,
    /// Index of the step that it can be retried from, as long as its runner keeps its files.
    pub retry_from: Option<i64>,
    /// Its steps.
    pub steps: Vec<Step>,
    /// Remarks of its steps.
    #[schema(value_type = Vec<crate::words::Annotation>)]
    pub annotations: Value,
}

/// Names of accounts, each looked up once.
async fn names(app: &App, runs: &[RunRow]) -> Result<HashMap<UserId, String>> {
    let mut names = HashMap::new();
    for id in runs.iter().filter_map(|r| r.actor) {
        if let std::collections::hash_map::Entry::Vacant(slot) = names.entry(id)
            && let Some(account) = store::account::account_get(app.db(), id).await?
        {
            slot.insert(account.name);
        }
    }
    Ok(names)
}

fn shown(r: RunRow, project_path: &str, names: &HashMap<UserId, String>) -> Run {
    let reason = (r.blocked && r.state != "completed")
        .then(|| format!("waits for the concurrency group `{}`", r.concurrency_group.clone().unwrap_or_default()));
    Run {
        id: r.id,
        number: r.number,
        project_id: r.project,
        project_path: project_path.to_owned(),
        dialect: crate::words::dialect(&r.workflow, r.detected),
        workflow: r.workflow,
        name: r.name,
        title: r.title,
        event: r.event,
        r#ref: r.r#ref,
        commit: r.commit,
        state: r.state,
        conclusion: r.conclusion,
        attempt: r.attempt,
        detected: r.detected,
        reason,
        actor: r.actor.and_then(|id| Some(Who { id, name: names.get(&id)?.clone() })),
        cause: r.cause,
        diagnostics: r.diagnostics,
        parent_run: r.parent.map(|p| p.run),
        parent_job: r.parent.map(|p| p.job),
        jobs_total: r.jobs_total,
        jobs_done: r.jobs_done,
        created_at: r.created_at,
        started_at: r.started_at,
        finished_at: r.finished_at,
        trust: r.trust.as_str(),
        version: r.version,
    }
}

/// Shows runs of one project.
///
/// # Errors
/// The database's.
pub async fn runs(app: &App, rows: Vec<RunRow>, project_path: &str) -> Result<Vec<Run>> {
    let names = names(app, &rows).await?;
    Ok(rows.into_iter().map(|r| shown(r, project_path, &names)).collect())
}

/// Shows a run with its jobs and their steps.
///
/// # Errors
/// The database's.
pub async fn run_with_jobs(app: &App, ctx: &Context, row: RunRow, project_path: &str) -> Result<RunWithJobs> {
    let id = row.id;
    let (planned, decisions) = planned(app, id).await?;
    let rows = job_list(app.db(), id).await?;
    let mut steps: HashMap<JobId, Vec<Step>> = HashMap::new();
    for step in step_list_of_run(app.db(), id).await? {
        steps.entry(step.job).or_default().push(step.into());
    }
    let mut questions: HashMap<JobId, Vec<JobQuestion>> = HashMap::new();
    if rows.iter().any(|j| j.state == "running") {
        for asked in job_question_open(app.db(), id).await? {
            questions.entry(asked.job).or_default().push(JobQuestion::of(asked)?);
        }
    }
    let mut runners = HashMap::new();
    let mut jobs = Vec::with_capacity(rows.len());
    for job in rows {
        let name = runner_name(app, &mut runners, job.runner).await?;
        let steps = steps.remove(&job.id).unwrap_or_default();
        let asked = questions.remove(&job.id).unwrap_or_default();
        jobs.push(shown_job(job, &planned, name, steps, asked));
    }
    if jobs.iter().any(|j: &Job| j.conclusion.as_deref() == Some("failure")) {
        for kept in job_kept_of_run(app.db(), id).await? {
            jobs.iter_mut().filter(|j| j.id == kept.job).for_each(|j| j.retry_from = Some(kept.step));
        }
    }
    let names = names(app, std::slice::from_ref(&row)).await?;
    let decisions = decisions.into_iter().map(JobDecision::from).collect();
    let mut linked = Linker { app, ctx, paths: HashMap::from([(row.project, Some(project_path.to_owned()))]) };
    let parent = match row.parent {
        Some(p) => match store::run::run_get(app.db(), p.run).await? {
            Some(above) => linked.show(above, p.job).await?,
            None => None,
        },
        None => None,
    };
    let mut children = Vec::new();
    for child in store::run::run_children(app.db(), id).await? {
        if let Some(p) = child.parent {
            children.extend(linked.show(child, p.job).await?);
        }
    }
    let stated: Vec<f64> = jobs.iter().filter(|j| !j.superseded).filter_map(|j: &Job| j.coverage).collect();
    let coverage = (!stated.is_empty()).then(|| stated.iter().sum::<f64>() / stated.len() as f64);
    Ok(RunWithJobs { run: shown(row, project_path, &names), jobs, decisions, coverage, parent, children })
}

/// Shows runs of other projects to those who may see them.
struct Linker<'l> {
    app: &'l App,
    ctx: &'l Context,
    /// Paths of projects; none where the caller may not look.
    paths: HashMap<ProjectId, Option<String>>,
}

impl Linker<'_> {
    async fn show(&mut self, run: RunRow, job: JobId) -> Result<Option<Linked>> {
        if let std::collections::hash_map::Entry::Vacant(slot) = self.paths.entry(run.project) {
            slot.insert(match self.app.project_by_id(self.ctx, run.project, Permission::PipelineRead).await {
                Ok(project) => Some(project.row.path),
                Err(e) if matches!(e.code, Code::NotFound | Code::Forbidden | Code::Unauthenticated) => None,
                Err(e) => return Err(e),
            });
        }
        let path = self.paths.get(&run.project).cloned().flatten();
        let (id, number, name) = (run.id, run.number, run.name);
        Ok(path.map(|project_path| Linked { id, number, project_path, name, job, state: run.state, conclusion: run.conclusion }))
    }
}

/// Shows one job.
///
/// # Errors
/// The database's.
pub async fn job(app: &App, row: JobRow) -> Result<Job> {
    let (planned, _) = planned(app, row.run).await?;
    let steps = step_list(app.db(), row.id).await?.into_iter().map(Step::from).collect();
    let name = runner_name(app, &mut HashMap::new(), row.runner).await?;
    let mut asked = Vec::new();
    if row.state == "running" {
        for question in job_question_list(app.db(), row.id).await? {
            asked.push(JobQuestion::of(question)?);
        }
    }
    let kept = if row.superseded { None } else { job_kept_get(app.db(), row.id).await? };
    Ok(Job { retry_from: kept.map(|k| k.step), ..shown_job(row, &planned, name, steps, asked) })
}

async fn runner_name(app: &App, known: &mut HashMap<RunnerId, Option<String>>, id: Option<RunnerId>) -> Result<Option<RunnerName>> {
    let Some(id) = id else { return Ok(None) };
    if let std::collections::hash_map::Entry::Vacant(slot) = known.entry(id) {
        let row = store::runner::runner_get(app.db(), id).await?;
        slot.insert(row.map(|r| r.name));
    }
    Ok(known.get(&id).cloned().flatten().map(|name| RunnerName { id, name }))
}

/// What the plan says of a job.
struct Planned {
    needs: Vec<String>,
    stage: Option<String>,
    gate: Option<Gate>,
    condition: Option<String>,
    coverage: Option<String>,
}

async fn planned(app: &App, run: RunId) -> Result<(HashMap<String, Planned>, Vec<Decision>)> {
    let Some(planned) = crate::schedule::plans::look(app.db(), run).await? else { return Ok((HashMap::new(), Vec::new())) };
    let of_job = |j: &dialects::plan::Job| Planned {
        needs: j.needs.clone(),
        stage: j.stage.clone(),
        gate: j.gate.clone(),
        condition: j.condition.clone(),
        coverage: j.coverage.clone(),
    };
    let jobs = planned.plan.jobs.iter().map(|j| (j.key.clone(), of_job(j))).collect();
    Ok((jobs, planned.plan.decisions.clone()))
}

fn shown_job(
    j: JobRow,
    planned: &HashMap<String, Planned>,
    runner: Option<RunnerName>,
    steps: Vec<Step>,
    questions: Vec<JobQuestion>,
) -> Job {
    let of_plan = planned.get(&j.key);
    let asks = questions.first().map(|q| JobGate { kind: "input", message: Some(q.message.clone()), seconds: None });
    Job {
        id: j.id,
        run_id: j.run,
        needs: of_plan.map(|p| p.needs.clone()).unwrap_or_default(),
        stage: of_plan.and_then(|p| p.stage.clone()),
        condition: of_plan.and_then(|p| p.condition.clone()),
        playable: asks.is_some() || playable(&j, of_plan.and_then(|p| p.gate.as_ref())),
        gate: asks.or_else(|| of_plan.and_then(|p| p.gate.as_ref()).map(JobGate::from)),
        questions,
        key: j.key,
        name: j.name,
        state: j.state,
        reason: j.reason,
        conclusion: j.conclusion,
        infra_failure: j.infra_failure,
        coverage: of_plan.filter(|p| p.coverage.is_some()).and_then(|_| j.outputs["coverage"].as_str()?.parse().ok()),
        allowed_to_fail: j.allowed_to_fail,
        attempt: j.attempt,
        superseded: j.superseded,
        labels: j.labels,
        runner,
        started_at: j.started_at,
        finished_at: j.finished_at,
        queued_at: j.queued_at,
        outputs: j.outputs,
        matrix: j.matrix,
        log_length: j.log_length,
        retry_from: None,
        steps,
        annotations: j.annotations,
    }
}
