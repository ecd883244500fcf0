//! Routes of tests over all runs.

use std::collections::HashMap;

use axum::extract::State;
use http::StatusCode;
use kernel::{Error, JobId, Permission, Result, RunId, TestId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use store::test::{After, ResultRow, TestRow, Which, test_page, test_results};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web_kit::{App, Ctx, Json, List, Page, PageParams, Path, ProblemBody, Query, Reply};

use super::model::Part;
use super::{flaky_since, test_for};
use crate::runs::view::Who;

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(project_test_list))
        .routes(routes!(project_test_get))
        .routes(routes!(project_test_split))
        .routes(routes!(test_history))
        .routes(routes!(test_quarantine_set, test_quarantine_lift))
}

/// What keeps a test's failures from counting.
#[derive(Debug, Serialize, ToSchema)]
struct TestQuarantine {
    /// Who put it there.
    by: Option<Who>,
    /// Why.
    reason: String,
    /// Since when.
    #[schema(value_type = String)]
    at: Timestamp,
    /// Until when.
    #[schema(value_type = String)]
    until: Timestamp,
}

/// A test over all runs of its project.
#[derive(Debug, Serialize, ToSchema)]
struct Test {
    /// Its id: the same as long as suite, class and name are.
    #[schema(value_type = String)]
    id: TestId,
    /// Suite.
    suite: String,
    /// Class or module.
    class: String,
    /// Name.
    name: String,
    /// Where it is written, if a report told.
    file: Option<String>,
    /// Results so far.
    runs: i64,
    /// Failures among them.
    failures: i64,
    /// Has it failed and passed in one job on one commit in the last 30 days?
    flaky: bool,
    /// When it last did.
    #[schema(value_type = Option<String>)]
    flaky_at: Option<Timestamp>,
    /// On which commit.
    flaky_commit: Option<String>,
    /// The last result.
    #[schema(value_type = crate::words::TestStatus)]
    last: String,
    /// The run of it.
    #[schema(value_type = String)]
    last_run: RunId,
    /// When that was.
    #[schema(value_type = String)]
    last_at: Timestamp,
    /// While it fails on the default branch: the first commit that it fails on.
    first_failed_commit: Option<String>,
    /// The run of that.
    #[schema(value_type = Option<String>)]
    first_failed_run: Option<RunId>,
    /// When.
    #[schema(value_type = Option<String>)]
    first_failed_at: Option<Timestamp>,
    /// Of its latest times.
    median_ms: i64,
    /// Its latest times, newest first.
    recent_ms: Vec<i64>,
    /// Its latest results, newest first.
    #[schema(value_type = Vec<crate::words::TestStatus>)]
    recent: Vec<&'static str>,
    /// Do its failures count for nothing now?
    quarantined: bool,
    /// Since when and why, while they do.
    quarantine: Option<TestQuarantine>,
}

fn median(times: &[i64]) -> i64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or(0)
}

fn shown(t: TestRow, names: &HashMap<UserId, String>, now: Timestamp) -> Test {
    let word = |letter: char| match letter {
        'p' => "passed",
        'f' => "failed",
        's' => "skipped",
        _ => "error",
    };
    let quarantine = t.quarantine.filter(|q| q.until > now);
    Test {
        id: t.id,
        suite: t.suite,
        class: t.class,
        name: t.name,
        file: t.file,
        runs: t.runs,
        failures: t.failures,
        flaky: t.flaky_at.is_some_and(|at| at > flaky_since(now)),
        flaky_at: t.flaky_at,
        flaky_commit: t.flaky_commit,
        last: t.last_state,
        last_run: t.last_run,
        last_at: t.last_at,
        first_failed_commit: t.failed_commit,
        first_failed_run: t.failed_run,
        first_failed_at: t.failed_at,
        median_ms: median(&t.recent_ms),
        recent_ms: t.recent_ms,
        recent: t.recent_states.chars().map(word).collect(),
        quarantined: quarantine.is_some(),
        quarantine: quarantine.map(|q| TestQuarantine {
            by: q.by.and_then(|id| Some(Who { id, name: names.get(&id)?.clone() })),
            reason: q.reason,
            at: q.at,
            until: q.until,
        }),
    }
}

async fn names(app: &App, tests: &[TestRow]) -> Result<HashMap<UserId, String>> {
    let mut ids: Vec<UserId> = tests.iter().filter_map(|t| t.quarantine.as_ref()?.by).collect();
    ids.sort();
    ids.dedup();
    let mut out = HashMap::new();
    for id in ids {
        if let Some(account) = store::account::account_get(app.db(), id).await? {
            out.insert(id, account.name);
        }
    }
    Ok(out)
}

async fn one(app: &App, test: TestRow) -> Reply<Json<Test>> {
    let names = names(app, std::slice::from_ref(&test)).await?;
    Ok(Json(shown(test, &names, Timestamp::now())))
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct TestQuery {
    /// A text in the name, class, suite or file.
    q: Option<String>,
    /// `failing` (on the default branch), `flaky`, `quarantined`, or `slow`: all, the slowest first.
    state: Option<String>,
}

/// Tests of a project over all its runs, by name.
#[utoipa::path(get, path = "/projects/{id}/tests", tag = "pipelines", params(("id" = String, Path), TestQuery, PageParams),
    responses((status = 200, body = List<Test>), (status = "4XX", body = ProblemBody)))]
async fn project_test_list(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(id): Path<String>,
    Query(query): Query<TestQuery>,
    page: Page,
) -> Reply<List<Test>> {
    let project = app.project(&ctx, &id, Permission::PipelineRead).await?;
    let now = Timestamp::now();
    let which = match query.state.as_deref() {
        None | Some("") => Which::All,
        Some("failing") => Which::Failing,
        Some("flaky") => Which::Flaky(flaky_since(now)),
        Some("quarantined") => Which::Quarantined(now),
        Some("slow") => Which::Slow,
        Some(_) => return Err(Error::field("state", "invalid", "failing, flaky, quarantined or slow").into()),
    };
    let text = query.q.as_deref().unwrap_or_default();
    if text.len() > 200 || text.contains('\0') {
        return Err(Error::field("q", "invalid", "at most 200 bytes").into());
    }
    let after = page.after::<(String, i64, TestId)>("project_tests")?.map(|(name, mean_ms, id)| After { name, mean_ms, id });
    let rows = test_page(app.db(), project.id(), which, text, after.as_ref(), page.fetch()).await?;
    let names = names(&app, &rows).await?;
    Ok(page.finish("project_tests", rows, |t| (t.name.clone(), t.mean_ms, t.id), |t| shown(t, &names, now)))
}

/// A test of a project over all its runs.
#[utoipa::path(get, path = "/projects/{id}/tests/{test}", tag = "pipelines", params(("id" = String, Path), ("test" = String, Path)),
    responses((status = 200, body = Test), (status = "4XX", body = ProblemBody)))]
async fn project_test_get(State(app): State<App>, Ctx(ctx): Ctx, Path((id, test)): Path<(String, String)>) -> Reply<Json<Test>> {
    let project = app.project(&ctx, &id, Permission::PipelineRead).await?;
    let (test, own) = test_for(&app, &ctx, &test, Permission::PipelineRead).await?;
    if own.id() != project.id() {
        return Err(Error::not_found("test").into());
    }
    one(&app, test).await
}

/// One result of a test.
#[derive(Debug, Serialize, ToSchema)]
struct TestResult {
    /// The run.
    #[schema(value_type = String)]
    run: RunId,
    /// Its number.
    number: i64,
    /// The job.
    #[schema(value_type = String)]
    job_id: JobId,
    /// Its shown name.
    job: String,
    /// The commit.
    commit: String,
    /// Full ref name.
    r#ref: String,
    /// The result.
    #[schema(value_type = crate::words::TestStatus)]
    state: String,
    /// It was in quarantine.
    quarantined: bool,
    /// How long it took.
    duration_ms: i64,
    /// What went wrong, in short.
    message: Option<String>,
    /// When its run was made.
    #[schema(value_type = String)]
    at: Timestamp,
}

/// Results of a test, newest first; as far back as results are kept.
#[utoipa::path(get, path = "/tests/{test}/history", tag = "pipelines", params(("test" = String, Path), PageParams),
    responses((status = 200, body = List<TestResult>), (status = "4XX", body = ProblemBody)))]
async fn test_history(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>, page: Page) -> Reply<List<TestResult>> {
    let (test, _) = test_for(&app, &ctx, &id, Permission::PipelineRead).await?;
    let after = page.after::<(RunId, JobId, i64)>("test_history")?;
    let rows = test_results(app.db(), test.id, after, page.fetch()).await?;
    let item = |r: ResultRow| TestResult {
        run: r.run,
        number: r.number,
        job_id: r.job_id,
        job: r.job,
        commit: r.commit,
        r#ref: r.r#ref,
        state: r.state,
        quarantined: r.quarantined,
        duration_ms: r.duration_ms,
        message: r.message,
        at: r.at,
    };
    Ok(page.finish("test_history", rows, |r| (r.run, r.job_id, r.seq), item))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct QuarantineBody {
    /// Why.
    reason: String,
    /// Until when; at most 366 days.
    #[schema(value_type = String)]
    until: Timestamp,
}

/// Puts a test in quarantine: its failures are shown and count for nothing.
#[utoipa::path(put, path = "/tests/{test}/quarantine", tag = "pipelines", params(("test" = String, Path)), request_body = QuarantineBody,
    responses((status = 200, body = Test), (status = "4XX", body = ProblemBody)))]
async fn test_quarantine_set(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(id): Path<String>,
    Json(body): Json<QuarantineBody>,
) -> Reply<Json<Test>> {
    let test = super::test_quarantine_set(&app, &ctx, &id, &body.reason, body.until).await?;
    one(&app, test).await
}

/// Takes a test out of quarantine.
#[utoipa::path(delete, path = "/tests/{test}/quarantine", tag = "pipelines", params(("test" = String, Path)),
    responses((status = 204), (status = "4XX", body = ProblemBody)))]
async fn test_quarantine_lift(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>) -> Reply<StatusCode> {
    super::test_quarantine_lift(&app, &ctx, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SplitBody {
    /// How many parts.
    total: usize,
    /// Which of them, from 0.
    index: usize,
    /// Test files; their order does not matter.
    files: Vec<String>,
}

/// The files of one part, by the time that their tests took before. With the token of a job, all jobs of its run that name
/// the same files and number of parts get parts that fit together.
#[utoipa::path(post, path = "/projects/{id}/tests/split", tag = "pipelines", params(("id" = String, Path)), request_body = SplitBody,
    responses((status = 200, body = Part), (status = "4XX", body = ProblemBody)))]
async fn project_test_split(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(id): Path<String>,
    Json(body): Json<SplitBody>,
) -> Reply<Json<Part>> {
    let mut parts = super::tests_divide(&app, &ctx, &id, body.total, &body.files).await?;
    if body.index >= parts.len() {
        return Err(Error::field("index", "invalid", "from 0, less than the number of parts").into());
    }
    Ok(Json(parts.swap_remove(body.index)))
}
