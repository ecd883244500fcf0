//! Tests of a project over all its runs: their history, which are flaky, where they began to fail, quarantine, and how
//! a run's parts share them by the time they take.
//!
//! Owns: `test`, `test_split`, and what of `test_case` is history. Invariants: a test is its suite, class and name in its
//! project; a report costs by what it holds and not by what was before; a failure in quarantine counts for nothing.
//! Results come from jobs, so the number of tests has a bound.

pub mod model;
pub mod routes;

use std::collections::BTreeMap;
use std::time::Duration;

use kernel::{Actor, Code, Context, Error, Permission, ProjectId, Result, RunId, TestId, Timestamp};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use store::Tx;
use store::job::{JobRow, job_get};
use store::run::run_get;
use store::test::{
    Quarantine, Seen, Sighting, TestRow, test_get, test_quarantine, test_split, test_times, tests_expire, tests_flaky, tests_full,
    tests_known, tests_otherwise, tests_quarantined, tests_seen,
};
use web_kit::{App, Project};

use crate::reports::cases::Case;

/// Tests of a project that are known; of more only the results in their runs are kept.
const MAX_TESTS: i64 = 200_000;
/// Longest time in quarantine.
const MAX_QUARANTINE: Duration = Duration::from_secs(366 * 86_400);
/// Runs whose results are removed at once.
const RUNS_AT_ONCE: i64 = 20;
/// How long a test is called flaky after it was.
const FLAKY_FOR: Duration = Duration::from_secs(30 * 86_400);

/// Since when a test must have been flaky to be called so.
pub fn flaky_since(now: Timestamp) -> Timestamp {
    Timestamp(now.millis() - i64::try_from(FLAKY_FOR.as_millis()).unwrap_or(i64::MAX))
}

/// The id of a test: the same wherever and whenever it is reported.
fn id_of(project: ProjectId, case: &Case) -> TestId {
    let mut hash = Sha256::new();
    hash.update(project.uuid().as_bytes());
    for part in [&case.suite, &case.class, &case.name] {
        // lengths first, so that no two tests read the same
        hash.update(part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid().into()
}

/// What is known of a report's cases, in their order: the test, and whether it is in quarantine.
///
/// # Errors
/// The database's.
pub async fn note(tx: &mut Tx, job: &JobRow, cases: &[Case]) -> Result<Vec<(TestId, bool)>> {
    let now = Timestamp::now();
    let run = run_get(&mut *tx, job.run).await?.ok_or_else(|| Error::not_found("run"))?;
    let project = store::project::project_get(&mut *tx, job.project).await?.ok_or_else(|| Error::not_found("project"))?;
    let ids: Vec<TestId> = cases.iter().map(|c| id_of(job.project, c)).collect();
    let mut seen: BTreeMap<TestId, Seen> = BTreeMap::new();
    let mut flaky = Vec::new();
    for (case, id) in cases.iter().zip(&ids) {
        let next = Seen {
            id: *id,
            suite: case.suite.clone(),
            class: case.class.clone(),
            name: case.name.clone(),
            file: case.file.clone(),
            state: case.status,
            runs: 1,
            failures: i64::from(matches!(case.status, "failed" | "error")),
            duration_ms: case.duration_ms,
        };
        match seen.get_mut(id) {
            None => drop(seen.insert(*id, next)),
            Some(one) => {
                // tried again in the same report
                if (one.bad() && next.state == "passed") || (next.bad() && one.state == "passed") {
                    flaky.push(*id);
                }
                one.runs += 1;
                one.failures += next.failures;
                one.duration_ms = one.duration_ms.max(next.duration_ms);
                if next.bad() || one.state == "skipped" {
                    one.state = next.state;
                }
            }
        }
    }
    if tests_full(tx, job.project, MAX_TESTS).await? {
        let all: Vec<TestId> = seen.keys().copied().collect();
        let known = tests_known(tx, &all).await?;
        seen.retain(|id, _| known.binary_search(id).is_ok());
    }
    let of_main = run.r#ref == format!("refs/heads/{}", project.default_branch) && !run.event.starts_with("pull_request");
    let about = Sighting {
        project: job.project,
        run: run.id,
        main_number: if of_main { run.number } else { 0 },
        commit: run.commit,
        job: job.name.clone(),
        now,
    };
    // sorted by id, so that two reports at once never wait for each other
    let seen: Vec<Seen> = seen.into_values().collect();
    tests_seen(tx, &about, &seen).await?;
    let failed: Vec<TestId> = seen.iter().filter(|t| t.bad()).map(|t| t.id).collect();
    let mut otherwise = tests_otherwise(tx, &about, job.id, &failed).await?;
    otherwise.retain(|id| seen.binary_search_by_key(id, |t| t.id).is_ok_and(|at| seen[at].state != "skipped"));
    flaky.extend(otherwise);
    flaky.sort();
    flaky.dedup();
    tests_flaky(tx, &flaky, &about.commit, now).await?;
    let quarantined = tests_quarantined(&mut *tx, job.project, now).await?;
    Ok(ids.into_iter().map(|id| (id, quarantined.binary_search(&id).is_ok())).collect())
}

/// Finds a test and decides whether the caller may do `p` in its project.
///
/// # Errors
/// `not_found`, also where the caller may not know of it.
pub async fn test_for(app: &App, ctx: &Context, id: &str, p: Permission) -> Result<(TestRow, Project)> {
    let missing = || Error::not_found("test");
    let id: TestId = id.parse().map_err(|_| missing())?;
    let test = test_get(app.db(), id).await?.ok_or_else(missing)?;
    let project = app.project_by_id(ctx, test.project, p).await.map_err(|e| if e.is(Code::NotFound) { missing() } else { e })?;
    Ok((test, project))
}

/// Puts a test in quarantine until a time.
///
/// # Errors
/// `validation_failed`, `forbidden`, `not_found`.
pub async fn test_quarantine_set(app: &App, ctx: &Context, id: &str, reason: &str, until: Timestamp) -> Result<TestRow> {
    let (test, _) = test_for(app, ctx, id, Permission::PipelineWrite).await?;
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > 500 || reason.contains('\0') {
        return Err(Error::field("reason", "invalid", "1 to 500 characters"));
    }
    let now = Timestamp::now();
    if until <= now || until > now.plus(MAX_QUARANTINE) {
        return Err(Error::field("until", "invalid", "a time in the next 366 days"));
    }
    let quarantine = Quarantine { by: ctx.user(), reason: reason.to_owned(), at: now, until };
    test_quarantine(app.db(), test.id, Some(&quarantine)).await?;
    Ok(TestRow { quarantine: Some(quarantine), ..test })
}

/// Takes a test out of quarantine.
///
/// # Errors
/// `forbidden`, `not_found`.
pub async fn test_quarantine_lift(app: &App, ctx: &Context, id: &str) -> Result<()> {
    let (test, _) = test_for(app, ctx, id, Permission::PipelineWrite).await?;
    test_quarantine(app.db(), test.id, None).await
}

/// The files of each of `total` parts. The parts of one run agree, also when others of them have reported since: the first
/// to ask decides for all.
///
/// # Errors
/// `validation_failed`, `not_found`, `forbidden`.
pub async fn tests_divide(app: &App, ctx: &Context, id: &str, total: usize, files: &[String]) -> Result<Vec<model::Part>> {
    let project = app.project(ctx, id, Permission::PipelineRead).await?;
    model::check(total, files)?;
    let times = test_times(app.db(), project.id()).await?;
    let wanted = files.to_vec();
    // many files against many tests: away from the threads that answer
    let parts = tokio::task::spawn_blocking(move || model::divide(&wanted, &times, total)).await.map_err(Error::internal)?;
    let Some(run) = run_of(app, ctx).await? else { return Ok(parts) };
    let mut sorted: Vec<&String> = files.iter().collect();
    sorted.sort();
    sorted.dedup();
    let key = Sha256::digest(json!([total, sorted]).to_string());
    let kept = test_split(app.db(), run, &key[..16], &json!(parts)).await?;
    serde_json::from_value(kept).map_err(Error::internal)
}

/// The run of the job that asks.
async fn run_of(app: &App, ctx: &Context) -> Result<Option<RunId>> {
    match ctx.actor {
        Actor::Job { id, .. } => Ok(job_get(app.db(), id).await?.map(|job| job.run)),
        _ => Ok(None),
    }
}

/// Removes results that are too old.
///
/// # Errors
/// The database's.
pub async fn expire(app: &App) -> Result<()> {
    let days = i64::from(app.config().test_days);
    let before = Timestamp(Timestamp::now().millis() - days * 86_400_000);
    while tests_expire(app.db(), before, RUNS_AT_ONCE).await? {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
