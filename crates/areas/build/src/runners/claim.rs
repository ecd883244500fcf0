//! Hands jobs out: leases them, and puts together all a runner needs to carry one out.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dialects::plan::{Job, StepKind};
use dialects::ready;
use executors::protocol::{CLAIM_SECONDS, Checkout, JobSpec, LEASE_SECONDS, ProjectRef, Services};
use kernel::{Context, Error, Result, RunId, Timestamp};
use serde_json::{Map, Value, json};
use store::job::{JobRow, job_claim, job_list_of, job_queue_labels, job_tokens_set};
use store::project::{ProjectRow, project_get};
use store::run::{RunRow, Trust, run_get, run_started};
use store::runner::{RunnerRow, runner_get, runner_once};
use web_kit::{App, secret};

use super::dispatch::Dispatch;
use super::{history, kept, runner_of};
use crate::identity;
use crate::schedule::finish::{End, job_end};
use crate::schedule::model;
use crate::schedule::plans::{Planned, plan_of};
use crate::vars::reach::{Reach, reach};

/// What a claim gives.
#[derive(Debug, Default)]
pub struct Claimed {
    /// Jobs that are now leased to the caller.
    pub jobs: Vec<JobSpec>,
    /// There will be no more: the runner is drained.
    pub drained: bool,
}

/// Jobs for the runner that asks; waits for some, up to the time a claim is held open. `until_drained` says that it ends
/// when it is told to take no more.
///
/// # Errors
/// `unauthenticated` for anybody but a runner.
pub async fn claim(app: &App, ctx: &Context, free: u32, until_drained: bool) -> Result<Claimed> {
    let id = runner_of(ctx)?;
    let until = tokio::time::Instant::now() + Duration::from_secs(CLAIM_SECONDS);
    let dispatch = app.part::<Dispatch>()?;
    loop {
        // looked at each time: it may be told to drain while it waits
        let runner = runner_get(app.db(), id).await?.ok_or_else(|| Error::not_found("runner"))?;
        let free = i64::from(free).min(if runner.ephemeral { 1 } else { runner.capacity });
        if free < 1 {
            return Ok(Claimed::default());
        }
        if runner.draining && (until_drained || runner.ephemeral) {
            return Ok(Claimed { jobs: Vec::new(), drained: true });
        }
        // the place comes first, so that what is queued while we look still wakes us
        let labels = if runner.draining { &[] } else { runner.labels.as_slice() };
        let place = dispatch.enter(app, labels);
        let jobs = if runner.draining { Vec::new() } else { claim_now(app, &runner, free).await? };
        let now = tokio::time::Instant::now();
        if !jobs.is_empty() || now >= until {
            return Ok(Claimed { jobs, drained: false });
        }
        place.wait(until - now).await;
    }
}

async fn claim_now(app: &App, runner: &RunnerRow, free: i64) -> Result<Vec<JobSpec>> {
    // a look outside the write lock: most find nothing
    let fits: Vec<String> =
        job_queue_labels(app.db()).await?.into_iter().filter(|key| model::satisfies(&runner.labels, &model::labels_of(key))).collect();
    if fits.is_empty() {
        return Ok(Vec::new());
    }
    let now = Timestamp::now();
    let mut tx = app.db().begin().await?;
    // a runner of one job is drained by taking it, and by nobody twice
    if runner.ephemeral && !runner_once(&mut tx, runner.id).await? {
        return Ok(Vec::new());
    }
    let jobs = job_claim(&mut tx, &fits, runner.id, now, now.plus(Duration::from_secs(LEASE_SECONDS)), free).await?;
    let mut leased = Vec::with_capacity(jobs.len());
    let mut begun = BTreeSet::new();
    for job in jobs {
        let token = secret::token("dmj");
        if begun.insert(job.run) {
            if run_started(&mut tx, job.run, now).await?
                && let Some(row) = run_get(&mut tx, job.run).await?
            {
                crate::workflows::follow::announce(&mut tx, &row, "in_progress").await?;
            }
            tx.wake(format!("run:{}", job.run));
        }
        leased.push((job, token));
    }
    if leased.is_empty() {
        return Ok(Vec::new());
    }
    let hashes: Vec<_> = leased.iter().map(|(job, token)| (job.id, secret::hash(token))).collect();
    job_tokens_set(&mut tx, &hashes).await?;
    tx.commit().await?;
    let mut specs = Vec::with_capacity(leased.len());
    let mut shared = BTreeMap::new();
    for (job, token) in leased {
        if let Some(queued) = job.queued_at {
            metrics::histogram!("pipeline_queue_seconds").record(now.since(queued).as_secs_f64());
        }
        let (id, epoch) = (job.id, job.epoch);
        match spec(app, job, token, &mut shared).await {
            Ok(spec) => specs.push(spec),
            Err(error) => {
                tracing::error!(job = %id, error = ?error, "a job could not be handed out");
                job_end(app.db(), id, epoch, End::Infra(format!("the job could not be prepared: {}", error.detail))).await?;
            }
        }
    }
    Ok(specs)
}

/// What the jobs of a run have in common.
struct Shared {
    run: RunRow,
    planned: Planned,
    project: ProjectRow,
    /// What its jobs get, by their environment.
    values: BTreeMap<Option<String>, Reach>,
}

async fn shared(app: &App, id: RunId) -> Result<Shared> {
    let run = run_get(app.db(), id).await?.ok_or_else(|| Error::not_found("run"))?;
    let planned = plan_of(app.db(), id).await?;
    let project = project_get(app.db(), run.project).await?.ok_or_else(|| Error::not_found("project"))?;
    Ok(Shared { run, planned, project, values: BTreeMap::new() })
}

/// All jobs whose results the job may look at: its own needs, and those of the jobs that call it.
fn looked_at(job: &Job) -> Vec<String> {
    let callers = std::iter::successors(job.scope.as_deref(), |s| s.outer.as_deref());
    job.needs.iter().chain(callers.flat_map(|s| &s.needs)).cloned().collect()
}

/// The name of the environment a job is for, as far as it is known before its first step.
fn environment_of(planned: &dialects::plan::Job, roots: &Map<String, Value>) -> Option<String> {
    evaluated(&planned.environment.as_ref()?.name, roots).filter(|name| !name.is_empty())
}

/// A text with what is known of the job before its first step.
fn evaluated(text: &str, roots: &Map<String, Value>) -> Option<String> {
    let contexts = Value::Object(roots.clone());
    dialects::expr::interpolate(text, &dialects::expr::Context::new(&contexts)).ok()
}

/// All a runner needs for a job.
async fn spec(app: &App, job: JobRow, token: String, known: &mut BTreeMap<RunId, Shared>) -> Result<JobSpec> {
    if let Entry::Vacant(slot) = known.entry(job.run) {
        slot.insert(shared(app, job.run).await?);
    }
    let Shared { run, planned: Planned { plan, contexts, .. }, project, values } =
        known.get_mut(&job.run).ok_or_else(|| Error::not_found("run"))?;
    let mut planned = plan.job(&job.key).cloned().ok_or_else(|| Error::internal("the job is not in its plan"))?;
    let mut roots = contexts.as_object().cloned().unwrap_or_default();
    if let Some(Value::Object(github)) = roots.get_mut("github") {
        github.insert("run_id".into(), json!(run.id));
        github.insert("run_number".into(), json!(run.number.to_string()));
        github.insert("run_attempt".into(), json!(run.attempt.to_string()));
        let own = planned.scope.as_ref().and_then(|s| job.key.strip_prefix(&s.prefix)).unwrap_or(&job.key);
        github.insert("job".into(), json!(own));
        github.insert("token".into(), json!(token));
    }
    let results = model::results(&job_list_of(app.db(), job.run, &looked_at(&planned)).await?);
    let base = Value::Object(roots.clone());
    let before = base;
    let base = ready::contexts(&planned, &results, &before).map_err(Error::internal)?.into_owned();
    if let Value::Object(map) = &base {
        roots = map.clone();
    }
    let cell = usize::try_from(job.cell.unwrap_or(0)).unwrap_or(0);
    let cells = usize::try_from(job.cells).unwrap_or(1);
    roots.insert("needs".into(), ready::needs_context(&planned, &results));
    roots.insert("strategy".into(), model::strategy_context(&planned, cell, cells, &base));
    roots.insert("matrix".into(), job.matrix.clone().unwrap_or(Value::Null));
    let environment = environment_of(&planned, &roots);
    let found = match values.entry(environment.clone()) {
        Entry::Occupied(found) => found.into_mut(),
        Entry::Vacant(slot) => slot.insert(reach(app, project, run.trust, environment.as_deref()).await?),
    };
    let mut secrets = ready::secrets(&planned, &results, &before, found.secrets.clone()).map_err(Error::internal)?;
    secrets.extend(found.own_secrets.clone());
    if let Some(Value::Object(vars)) = roots.get_mut("vars") {
        vars.extend(found.own_variables.clone());
    }
    secrets.insert("GITHUB_TOKEN".into(), token.clone());
    if planned.steps.iter().any(|s| matches!(s.kind, StepKind::Jenkins { .. })) {
        roots.insert("jenkins".into(), json!(history::history(app, run, &base).await?));
    }
    let url = app.config().public_url();
    // the client adds its audience behind an `&`
    let trusted = run.trust != Trust::Untrusted;
    let id_token_url = (trusted && identity::asks(&planned, plan)).then(|| format!("{url}/oidc/token?v=1"));
    let token_of_services = crate::results::token::make(app, &job, environment.clone())?;
    let services = Services { url: format!("{url}/"), token: token_of_services, id_token_url };
    if trusted && !planned.id_tokens.is_empty() {
        let facts = identity::claims::facts(app, &job, environment.as_deref()).await?;
        for (name, audiences) in &planned.id_tokens {
            let audiences = audiences.iter().map(|a| evaluated(a, &roots)).collect::<Option<Vec<String>>>();
            let audiences =
                audiences.ok_or_else(|| Error::field("id_tokens", "invalid", format!("`aud` of {name} cannot be evaluated")))?;
            audiences.iter().try_for_each(|a| identity::check_audience(a))?;
            let audience = if let [one] = audiences.as_slice() { json!(one) } else { json!(audiences) };
            secrets.insert(name.clone(), identity::token_sign(app, identity::claims::gitlab(&facts), audience).await?);
        }
        let names: Vec<String> = planned.id_tokens.keys().cloned().collect();
        // as a secret, so that the log shows nothing of it
        planned.env.extend(names.into_iter().map(|name| (name.clone(), format!("${{{{ secrets.{name} }}}}"))));
    }
    let resume = kept::resume(app.db(), &job).await?;
    Ok(JobSpec {
        resume,
        job_id: job.id,
        run_id: job.run,
        epoch: job.epoch,
        attempt: u32::try_from(job.attempt).unwrap_or(1),
        name: job.name,
        project: ProjectRef { id: project.id, path: project.path.clone() },
        workflow_env: planned.scope.as_ref().map_or_else(|| plan.env.clone(), |s| s.env.clone()),
        defaults: planned.scope.as_ref().map_or_else(|| plan.defaults.clone(), |s| s.defaults.clone()),
        job: planned,
        contexts: roots,
        secrets,
        checkout: Checkout {
            url: format!("{url}/{}.git", project.path),
            token: token.clone(),
            sha: run.commit.clone(),
            r#ref: run.r#ref.clone(),
        },
        api_url: url,
        registry_host: app.config().public_host(),
        job_token: token,
        timeout_seconds: job.timeout_seconds.unsigned_abs(),
        services: Some(services),
    })
}
