//! Brings a run forward as far as it goes.

use std::sync::Arc;

use dialects::expr::{self, Context};
use dialects::plan::{Concurrency, Job, Matrix, Plan};
use dialects::ready::{Decision, JobResult, call_result, contexts, decide, needs_context};
use dialects::{expr::evaluate_tree, matrix};
use indexmap::IndexMap;
use kernel::{Event, EventData, Result, Timestamp};
use serde_json::{Value, json};
use store::job::{JobRow, job_create, job_get, job_group, job_list};
use store::run::{RunRow, run_group, run_update};
use store::runner::{RunnerRow, runner_online};
use store::{NewWork, Tx};

use super::gate::{self, Gated};
use super::plans::{Planned, plan_of};
use super::{downstream, model, save, turn};
use crate::runners::ONLINE;

/// A run with all that decides about it.
pub struct State {
    /// The row, locked.
    pub run: RunRow,
    /// The plan.
    pub plan: Arc<Plan>,
    /// `github`, `inputs`, `vars`.
    pub contexts: Arc<Value>,
    /// Current attempts.
    pub jobs: Vec<JobRow>,
}

impl State {
    /// Loads what belongs to a locked run.
    ///
    /// # Errors
    /// The database's; `internal` for a plan that cannot be read.
    pub async fn load(tx: &mut Tx, run: RunRow) -> Result<Self> {
        let planned = plan_of(&mut *tx, run.id).await?;
        Self::of(tx, run, planned).await
    }

    /// As [`State::load`], with the plan at hand.
    ///
    /// # Errors
    /// The database's.
    pub async fn of(tx: &mut Tx, run: RunRow, planned: Planned) -> Result<Self> {
        let jobs = job_list(&mut *tx, run.id).await?;
        Ok(Self { run, plan: planned.plan, contexts: planned.contexts, jobs })
    }
}

/// Does all that can be done now, and writes the run. The caller holds the lock and commits.
///
/// # Errors
/// `unavailable` when a job changed meanwhile: the caller begins again.
pub async fn advance(tx: &mut Tx, state: &mut State, now: Timestamp) -> Result<()> {
    if state.run.blocked && !state.run.cancelled {
        unblock(tx, state).await?;
    }
    if !state.run.blocked || state.run.cancelled {
        while step(tx, state, now).await? {}
    }
    settle(tx, state, now).await
}

/// A run that waits for its group goes on when nothing of the group is ahead of it.
async fn unblock(tx: &mut Tx, state: &mut State) -> Result<()> {
    let Some(group) = state.run.concurrency_group.clone() else {
        state.run.blocked = false;
        return Ok(());
    };
    let others = run_group(tx, state.run.project, &group).await?;
    state.run.blocked = others.iter().any(|r| r.id != state.run.id && !r.blocked);
    Ok(())
}

/// What a pass over the jobs looks up once, and not for each of them.
#[derive(Default)]
struct Known {
    results: Option<(usize, IndexMap<String, JobResult>)>,
    online: Option<Vec<RunnerRow>>,
}

impl Known {
    /// Results of the groups that have ended. No job is opened again during a pass, so their number tells whether it is still so.
    fn results(&mut self, jobs: &[JobRow]) -> &IndexMap<String, JobResult> {
        let ended = jobs.iter().filter(|j| j.state == "completed").count();
        if self.results.as_ref().is_some_and(|(then, _)| *then != ended) {
            self.results = None;
        }
        &self.results.get_or_insert_with(|| (ended, model::results(jobs))).1
    }

    async fn online(&mut self, tx: &mut Tx, now: Timestamp) -> Result<&[RunnerRow]> {
        if self.online.is_none() {
            self.online = Some(runner_online(tx, now.minus(ONLINE)).await?);
        }
        Ok(self.online.as_deref().unwrap_or_default())
    }
}

/// One pass over the jobs; did anything change?
async fn step(tx: &mut Tx, state: &mut State, now: Timestamp) -> Result<bool> {
    let mut changed = false;
    let mut known = Known::default();
    let plan = Arc::clone(&state.plan);
    for index in 0..state.jobs.len() {
        if state.jobs[index].state != "waiting" {
            continue;
        }
        let Some(job) = plan.job(&state.jobs[index].key) else { continue };
        let results = known.results(&state.jobs);
        if job.result_of.is_some() {
            match call_result(job, results, &state.contexts) {
                None => continue,
                Some(Ok(result)) => {
                    state.jobs[index].outputs = json!(result.outputs);
                    complete(tx, &mut state.jobs[index], result.outcome.as_str(), None, now).await?;
                }
                Some(Err(why)) => complete(tx, &mut state.jobs[index], "failure", Some(why), now).await?,
            }
            return Ok(true);
        }
        if state.jobs[index].cell.is_none() {
            match decide(&state.plan, job, results, state.run.cancelled, &state.contexts) {
                Decision::Wait => continue,
                Decision::Skip(reason) => {
                    let conclusion = if state.run.cancelled { "cancelled" } else { "skipped" };
                    complete(tx, &mut state.jobs[index], conclusion, Some(reason), now).await?;
                }
                Decision::Fail(reason) => complete(tx, &mut state.jobs[index], "failure", Some(reason), now).await?,
                Decision::Run => match gate::look(&mut state.jobs[index], job, now) {
                    Gated::Open => expand(tx, state, index, job, now).await?,
                    Gated::Skip(reason) => complete(tx, &mut state.jobs[index], "skipped", Some(reason), now).await?,
                    Gated::Held(reason) => {
                        if state.jobs[index].reason.as_deref() != Some(reason.as_str()) {
                            state.jobs[index].reason = Some(reason);
                            save(tx, &mut state.jobs[index]).await?;
                        }
                        continue;
                    }
                },
            }
            return Ok(true);
        }
        // expanded before: held back by max-parallel or a concurrency group, or another attempt; after a cancel only what asks
        // to run in spite of it goes on
        if state.run.cancelled && !matches!(decide(&state.plan, job, results, true, &state.contexts), Decision::Run) {
            complete(tx, &mut state.jobs[index], "cancelled", Some("the run was cancelled".into()), now).await?;
            changed = true;
        } else {
            changed |= queue(tx, state, index, job, &mut known, now).await?;
        }
    }
    Ok(changed)
}

/// Turns the placeholder of a job into its combinations.
async fn expand(tx: &mut Tx, state: &mut State, index: usize, job: &Job, now: Timestamp) -> Result<()> {
    let results = model::results(&state.jobs);
    let needs = needs_context(job, &results);
    let contexts = match contexts(job, &results, &state.contexts) {
        Ok(contexts) => contexts.into_owned(),
        Err(why) => return complete(tx, &mut state.jobs[index], "failure", Some(why), now).await,
    };
    let base = model::cell_roots(&contexts, needs.clone(), None, Value::Null);
    let cells = match job.strategy.as_ref().and_then(|s| s.matrix.as_ref()) {
        None => Ok(None),
        Some(Matrix::Static(cells)) => Ok(Some(cells.clone())),
        Some(Matrix::Dynamic(tree)) => {
            evaluate_tree(tree, &Context::new(&base)).map_err(|e| e.0).and_then(|v| matrix::expand(&v)).map(Some)
        }
    };
    let cells = match cells {
        Ok(cells) => cells,
        Err(e) => return complete(tx, &mut state.jobs[index], "failure", Some(format!("`matrix` at {}: {e}", job.span)), now).await,
    };
    let count = cells.as_ref().map_or(1, Vec::len);
    let template = state.jobs[index].clone();
    let mut rows = Vec::with_capacity(count);
    for cell in 0..count {
        let found = cells.as_ref().and_then(|c| c.get(cell));
        let mut row = if cell == 0 { template.clone() } else { JobRow { id: kernel::JobId::new(), ..template.clone() } };
        row.cell = Some(i64::try_from(cell).unwrap_or(0));
        row.cells = i64::try_from(count).unwrap_or(1);
        row.matrix = found.map(|c| json!(c.values));
        let strategy = model::strategy_context(job, cell, count, &base);
        let roots = model::cell_roots(&contexts, needs.clone(), row.matrix.as_ref(), strategy);
        let label = found.map_or("", |c| c.label.as_str());
        if let Err(reason) = fill(&mut row, job, label, &roots) {
            model::end(&mut row, "failure", Some(reason), now);
        }
        rows.push(row);
    }
    let mut rows = rows.into_iter();
    if let Some(mut first) = rows.next() {
        save(tx, &mut first).await?;
        if first.state == "completed" {
            finished(tx, &first).await?;
        }
        state.jobs[index] = first;
    }
    let mut at = index;
    for row in rows {
        job_create(tx, &row).await?;
        if row.state == "completed" {
            finished(tx, &row).await?;
        }
        at += 1;
        state.jobs.insert(at, row);
    }
    Ok(())
}

/// Evaluates what the server needs to know of a combination.
fn fill(row: &mut JobRow, job: &Job, label: &str, roots: &Value) -> Result<(), String> {
    let ctx = Context::new(roots);
    let at = |what: &str, e: String| format!("`{what}` of the job at {}: {e}", job.span);
    row.name = match &job.name {
        Some(name) => {
            let name = expr::interpolate(name, &ctx).map_err(|e| at("name", e.0))?;
            // a name that does not tell the combinations apart gets the label, as without a name
            if !label.is_empty() && !job.name.as_deref().is_some_and(|n| n.contains("${{")) {
                matrix::display_name(&name, label)
            } else {
                name
            }
        }
        None => matrix::display_name(&job.key, label),
    };
    if job.downstream.is_some() {
        // no runner is asked for, and the pipeline it starts has limits of its own
        row.timeout_seconds = downstream::PATIENCE_SECONDS;
        row.allowed_to_fail = model::late_bool(&job.continue_on_error, roots).map_err(|e| at("continue-on-error", e))?;
        row.concurrency_group = job.concurrency.as_ref().map(|c| group_name(c, roots)).transpose().map_err(|e| at("concurrency", e))?;
        return Ok(());
    }
    row.labels = model::labels(job, roots).map_err(|e| at("runs-on", e))?;
    row.label_key = model::label_key(&row.labels);
    row.timeout_seconds = model::timeout_seconds(job, roots).map_err(|e| at("timeout-minutes", e))?;
    row.allowed_to_fail = model::late_bool(&job.continue_on_error, roots).map_err(|e| at("continue-on-error", e))?;
    row.concurrency_group = job.concurrency.as_ref().map(|c| group_name(c, roots)).transpose().map_err(|e| at("concurrency", e))?;
    Ok(())
}

/// The name of a concurrency group, without case.
///
/// # Errors
/// The expression's.
pub fn group_name(c: &Concurrency, roots: &Value) -> Result<String, String> {
    let name = expr::interpolate(&c.group, &Context::new(roots)).map_err(|e| e.0)?;
    if name.trim().is_empty() || name.len() > 500 {
        return Err("the group's name must have 1 to 500 characters".into());
    }
    Ok(name.trim().to_lowercase())
}

/// Puts an expanded job into the queue unless something holds it back; did the row change?
async fn queue(tx: &mut Tx, state: &mut State, index: usize, job: &Job, known: &mut Known, now: Timestamp) -> Result<bool> {
    let open = |j: &JobRow| matches!(j.state.as_str(), "queued" | "unschedulable" | "running");
    let row = &state.jobs[index];
    let mut held = None;
    let results = known.results(&state.jobs);
    // they could be evaluated when the job was expanded
    let contexts = contexts(job, results, &state.contexts).unwrap_or(std::borrow::Cow::Borrowed(&state.contexts));
    let base = model::cell_roots(&contexts, needs_context(job, results), row.matrix.as_ref(), Value::Null);
    if let Some(most) = model::max_parallel(job, &base) {
        let active = state.jobs.iter().filter(|j| j.key == row.key && open(j)).count();
        if active >= most {
            held = Some(format!("max-parallel: {most} at a time"));
        }
    }
    if let (None, Some(group)) = (&held, row.concurrency_group.clone()) {
        let cancel = job.concurrency.as_ref().is_some_and(|c| model::late_bool(&c.cancel_in_progress, &base).unwrap_or(false));
        let queue = job.concurrency.as_ref().is_some_and(|c| c.queue);
        held =
            if queue { turn::wait(tx, state, index, &group).await? } else { hold_for_group(tx, state, index, &group, cancel, now).await? };
    }
    let row = &mut state.jobs[index];
    if let Some(reason) = held {
        if row.reason.as_deref() == Some(reason.as_str()) {
            return Ok(false);
        }
        row.reason = Some(reason);
        save(tx, row).await?;
        return Ok(false);
    }
    if job.downstream.is_some() {
        downstream::begin(tx, row, now).await?;
        return Ok(true);
    }
    let runners = known.online(tx, now).await?;
    let fits = runners.iter().any(|r| model::satisfies(&r.labels, &row.labels));
    row.state = if fits { "queued" } else { "unschedulable" }.into();
    row.reason = (!fits).then(|| model::unschedulable_reason(&row.labels, runners.len()));
    row.queued_at = Some(now);
    row.namespace = state.contexts["github"]["repository_owner"].as_str().unwrap_or_default().to_owned();
    row.priority = model::priority(&state.run.event, job.environment.is_some());
    row.turn = model::turn(now, row.priority);
    save(tx, row).await?;
    Ok(true)
}

/// Why a job must wait for its concurrency group. The older one that waits there is cancelled: the newest waits.
async fn hold_for_group(tx: &mut Tx, state: &mut State, index: usize, group: &str, cancel: bool, now: Timestamp) -> Result<Option<String>> {
    let me = state.jobs[index].id;
    let members = job_group(tx, state.run.project, group).await?;
    let mut busy = false;
    for mut other in members.into_iter().filter(|j| j.id != me) {
        match other.state.as_str() {
            "running" | "queued" | "unschedulable" => {
                busy = true;
                if cancel && other.cancel.is_none() {
                    if other.state == "running" {
                        other.cancel = Some("cancel".into());
                        other.cancel_at = Some(now);
                        save(tx, &mut other).await?;
                        tx.wake(format!("cancel:{}", other.id));
                    } else {
                        complete(
                            tx,
                            &mut other,
                            "cancelled",
                            Some(format!("a newer job of the concurrency group `{group}` took its place")),
                            now,
                        )
                        .await?;
                        tx.enqueue(NewWork::new("run_advance", json!({"run": other.run})).dedup(other.run.to_string())).await?;
                        busy = false;
                    }
                    reload(tx, state, &other).await?;
                }
            }
            "waiting" if other.cell.is_some() && other.id < me => {
                complete(tx, &mut other, "cancelled", Some(format!("a newer job waits for the concurrency group `{group}`")), now).await?;
                tx.enqueue(NewWork::new("run_advance", json!({"run": other.run})).dedup(other.run.to_string())).await?;
                reload(tx, state, &other).await?;
            }
            "waiting" if other.cell.is_some() => busy = true,
            _ => {}
        }
    }
    Ok(busy.then(|| format!("waits for the concurrency group `{group}`")))
}

/// A member of the group may be of this very run.
async fn reload(tx: &mut Tx, state: &mut State, other: &JobRow) -> Result<()> {
    if other.run == state.run.id
        && let Some(fresh) = job_get(&mut *tx, other.id).await?
        && let Some(slot) = state.jobs.iter_mut().find(|j| j.id == other.id)
    {
        *slot = fresh;
    }
    Ok(())
}

/// Ends a job that no runner holds.
pub(crate) async fn complete(tx: &mut Tx, job: &mut JobRow, conclusion: &str, reason: Option<String>, now: Timestamp) -> Result<()> {
    model::end(job, conclusion, reason, now);
    save(tx, job).await?;
    finished(tx, job).await
}

/// What follows from a job's end, whoever ended it.
pub(crate) async fn finished(tx: &mut Tx, job: &JobRow) -> Result<()> {
    let conclusion = job.conclusion.clone().unwrap_or_default();
    metrics::counter!("pipeline_jobs_total", "conclusion" => conclusion.clone()).increment(1);
    let data = EventData::JobFinished { run: job.run, job: job.id, name: job.name.clone(), conclusion };
    tx.emit(&Event::new(None, Some(job.project), data)).await?;
    tx.wake(format!("log:{}", job.id));
    tx.wake(format!("job-end:{}", job.id));
    if let Some(group) = &job.concurrency_group {
        for other in job_group(tx, job.project, group).await? {
            if other.state == "waiting" && other.run != job.run {
                tx.enqueue(NewWork::new("run_advance", json!({"run": other.run})).dedup(other.run.to_string())).await?;
            }
        }
    }
    Ok(())
}

/// Writes the run's counters and, when all is over, its end.
async fn settle(tx: &mut Tx, state: &mut State, now: Timestamp) -> Result<()> {
    let State { run, jobs, .. } = state;
    run.jobs_total = i64::try_from(jobs.len()).unwrap_or(0);
    run.jobs_done = jobs.iter().filter(|j| j.state == "completed").count().try_into().unwrap_or(0);
    let mut queued: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    for job in jobs.iter().filter(|j| j.state == "queued" && j.queued_at == Some(now)) {
        *queued.entry(job.label_key.as_str()).or_default() += 1;
    }
    for (labels, count) in queued {
        // as many claimers as there are jobs are woken
        tx.wake(format!("jobs:{count}:{labels}"));
    }
    let ended = model::conclusion(jobs, run.cancelled);
    if let (Some(conclusion), true) = (ended, run.state != "completed") {
        run.state = "completed".into();
        run.conclusion = Some(conclusion.into());
        run.finished_at = Some(now);
        run.blocked = false;
        super::plans::forget(run.id);
        let data =
            EventData::RunFinished { run: run.id, commit: run.commit.clone(), r#ref: run.r#ref.clone(), conclusion: conclusion.into() };
        tx.emit(&Event::new(run.actor, Some(run.project), data)).await?;
        metrics::counter!("pipeline_runs_total", "conclusion" => conclusion).increment(1);
        crate::workflows::follow::announce(tx, run, "completed").await?;
        downstream::tell_parent(tx, run).await?;
        if let Some(group) = run.concurrency_group.clone() {
            for other in run_group(tx, run.project, &group).await? {
                if other.id != run.id && other.blocked {
                    tx.enqueue(NewWork::new("run_advance", json!({"run": other.id})).dedup(other.id.to_string())).await?;
                }
            }
        }
    } else if run.state == "queued" && jobs.iter().any(|j| j.started_at.is_some()) {
        run.state = "running".into();
        run.started_at = run.started_at.or(Some(now));
    }
    run_update(tx, run).await?;
    crate::runs::status::set(tx, run).await?;
    tx.wake(format!("run:{}", run.id));
    Ok(())
}
