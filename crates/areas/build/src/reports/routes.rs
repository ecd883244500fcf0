//! Routes of reports.

use axum::extract::State;
use kernel::{Error, JobId, Permission, TestId};
use serde::{Deserialize, Serialize};
use store::report::{SummaryRow, coverage_list, summary_list, test_list, test_totals};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web_kit::{App, Ctx, Json, List, Page, PageParams, Path, ProblemBody, Query, Reply};

use super::coverage::patch::{Changed, Span, patch_of};
use crate::runs::run_for;

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(test_page)).routes(routes!(coverage_get)).routes(routes!(summary_get))
}

/// Totals of a run's tests.
#[derive(Debug, Serialize, ToSchema)]
struct Totals {
    /// All.
    tests: i64,
    /// That passed.
    passed: i64,
    /// That failed.
    failed: i64,
    /// That were skipped.
    skipped: i64,
    /// That broke.
    errors: i64,
    /// That failed or broke in quarantine: they are neither among those that failed nor among those that broke.
    quarantined: i64,
    /// All their time.
    duration_ms: i64,
}

/// A test.
#[derive(Debug, Serialize, ToSchema)]
struct TestCase {
    /// Suite.
    suite: String,
    /// Class or module.
    class: String,
    /// Name.
    name: String,
    /// `passed`, `failed`, `skipped`, `error`.
    #[schema(value_type = crate::words::TestStatus)]
    status: String,
    /// How long it took.
    duration_ms: i64,
    /// What went wrong, in short.
    message: Option<String>,
    /// What went wrong, at length.
    details: Option<String>,
    /// Where it is written.
    file: Option<String>,
    /// Shown name of the job.
    job: String,
    /// The test over all runs, for its history.
    #[schema(value_type = Option<String>)]
    test: Option<TestId>,
    /// It was in quarantine: that it failed counts for nothing.
    quarantined: bool,
}

/// Tests of a run.
#[derive(Debug, Serialize, ToSchema)]
struct Tests {
    /// Of the whole run.
    totals: Totals,
    /// This page.
    items: Vec<TestCase>,
    /// Pass as `after` for the next page.
    next: Option<String>,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Status {
    /// `passed`, `failed`, `skipped`, `error`.
    status: Option<String>,
}

#[utoipa::path(get, path = "/runs/{run}/tests", operation_id = "test_list", tag = "pipelines", params(("run" = String, Path), Status, PageParams),
    responses((status = 200, body = Tests), (status = "4XX", body = ProblemBody)))]
/// Tests of a run, all or of one status.
async fn test_page(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(run): Path<String>,
    Query(q): Query<Status>,
    page: Page,
) -> Reply<Json<Tests>> {
    let (row, _) = run_for(&app, &ctx, &run, Permission::PipelineRead).await?;
    if q.status.as_deref().is_some_and(|s| !["passed", "failed", "skipped", "error"].contains(&s)) {
        return Err(Error::field("status", "invalid", "passed, failed, skipped or error").into());
    }
    let after = page.after::<(JobId, i64)>("tests")?;
    let rows = test_list(app.db(), row.id, q.status.as_deref(), after, page.fetch()).await?;
    let List { items, next, .. } = page.finish(
        "tests",
        rows,
        |t| (t.job_id, t.seq),
        |t| TestCase {
            suite: t.suite,
            class: t.class,
            name: t.name,
            status: t.status,
            duration_ms: t.duration_ms,
            message: t.message,
            details: t.details,
            file: t.file,
            job: t.job,
            test: t.test,
            quarantined: t.quarantined,
        },
    );
    let t = test_totals(app.db(), row.id).await?;
    let totals = Totals {
        tests: t.passed + t.failed + t.skipped + t.errors + t.quarantined,
        passed: t.passed,
        failed: t.failed,
        skipped: t.skipped,
        errors: t.errors,
        quarantined: t.quarantined,
        duration_ms: t.duration_ms,
    };
    Ok(Json(Tests { totals, items, next }))
}

/// Coverage of a file.
#[derive(Debug, Serialize, ToSchema)]
struct FileCoverage {
    /// Path as reported.
    path: String,
    /// Lines that could run.
    valid: i64,
    /// Lines that did.
    covered: i64,
}

/// Coverage of a run.
#[derive(Debug, Serialize, ToSchema)]
struct Coverage {
    /// Lines that could run.
    lines_valid: i64,
    /// Lines that did.
    lines_covered: i64,
    /// Their share, 0 to 1.
    line_rate: f64,
    /// Branches that could be taken.
    branches_valid: i64,
    /// Branches that were.
    branches_covered: i64,
    /// File by file.
    files: Vec<FileCoverage>,
    /// Of what the run's commit changed, against its first parent; none where no report named lines, and when it has
    /// expired as artifacts do.
    patch: Option<PatchCoverage>,
}

/// Coverage of what a commit changed.
#[derive(Debug, Serialize, ToSchema)]
struct PatchCoverage {
    /// Lines that it added and that could run.
    lines_valid: i64,
    /// Those of them that did.
    lines_covered: i64,
    /// Their share, 0 to 1; none where none of the added lines could run.
    line_rate: Option<f64>,
    /// The changed files that reports name, by path.
    files: Vec<ChangedFile>,
}

/// Coverage of a file that a commit changed.
#[derive(Debug, Serialize, ToSchema)]
struct ChangedFile {
    /// Path in the repository.
    path: String,
    /// Added lines that could run.
    valid: i64,
    /// Those of them that did.
    covered: i64,
    /// First and last of lines that ran, added or not.
    #[schema(value_type = Vec<Vec<u32>>)]
    ran: Vec<Span>,
    /// First and last of lines that could have run and did not.
    #[schema(value_type = Vec<Vec<u32>>)]
    missed: Vec<Span>,
}

fn changed(path: String, file: &Changed) -> ChangedFile {
    let (valid, covered) = file.added();
    ChangedFile { path, valid, covered, ran: file.spans(true), missed: file.spans(false) }
}

#[utoipa::path(get, path = "/runs/{run}/coverage", tag = "pipelines", params(("run" = String, Path)),
    responses((status = 200, body = Coverage), (status = "4XX", body = ProblemBody)))]
/// Coverage of a run, of all files and of what its commit changed.
async fn coverage_get(State(app): State<App>, Ctx(ctx): Ctx, Path(run): Path<String>) -> Reply<Json<Coverage>> {
    let (row, _) = run_for(&app, &ctx, &run, Permission::PipelineRead).await?;
    let files = coverage_list(app.db(), row.id).await?;
    let sum = |f: fn(&store::report::CoverageRow) -> i64| files.iter().map(f).sum::<i64>();
    let (valid, covered) = (sum(|f| f.lines_valid), sum(|f| f.lines_covered));
    let patch = patch_of(&app, row.id).await?.map(|patch| {
        let files: Vec<ChangedFile> = patch.files.iter().map(|(path, file)| changed(path.clone(), file)).collect();
        let (valid, covered) = (files.iter().map(|f| f.valid).sum::<i64>(), files.iter().map(|f| f.covered).sum::<i64>());
        let line_rate = (valid > 0).then(|| covered as f64 / valid as f64);
        PatchCoverage { lines_valid: valid, lines_covered: covered, line_rate, files }
    });
    Ok(Json(Coverage {
        lines_valid: valid,
        lines_covered: covered,
        line_rate: if valid == 0 { 0.0 } else { covered as f64 / valid as f64 },
        branches_valid: sum(|f| f.branches_valid),
        branches_covered: sum(|f| f.branches_covered),
        files: files.into_iter().map(|f| FileCoverage { path: f.path, valid: f.lines_valid, covered: f.lines_covered }).collect(),
        patch,
    }))
}

/// A step's summary.
#[derive(Debug, Serialize, ToSchema)]
struct Summary {
    /// Shown name of the job.
    job: String,
    /// Name of the step.
    step: String,
    /// Rendered and sanitised.
    html: String,
}

#[utoipa::path(get, path = "/runs/{run}/summary", tag = "pipelines", params(("run" = String, Path)),
    responses((status = 200, body = List<Summary>), (status = "4XX", body = ProblemBody)))]
/// What the steps of a run wrote into their summaries.
async fn summary_get(State(app): State<App>, Ctx(ctx): Ctx, Path(run): Path<String>) -> Reply<List<Summary>> {
    let (row, _) = run_for(&app, &ctx, &run, Permission::PipelineRead).await?;
    let rows = summary_list(app.db(), row.id).await?;
    let items = tokio::task::spawn_blocking(move || {
        let mut left = SHOWN;
        let show = |s: SummaryRow| {
            let html = if s.markdown.len() > left {
                left = 0;
                "<p><em>This run's summaries are too long to be shown whole.</em></p>".to_owned()
            } else {
                left -= s.markdown.len();
                html(&s.markdown)
            };
            Summary { job: s.job, step: s.step, html }
        };
        rows.into_iter().map(show).collect()
    })
    .await
    .map_err(Error::internal)?;
    Ok(List::whole(items))
}

/// Bytes of Markdown that one answer renders.
const SHOWN: usize = 2 << 20;

/// Markdown as HTML that holds nothing active.
fn html(markdown: &str) -> String {
    use pulldown_cmark::{Options, Parser, html::push_html};
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut out = String::with_capacity(markdown.len() * 2);
    push_html(&mut out, web_kit::markdown::shallow(Parser::new_ext(markdown, options)));
    ammonia::clean(&out)
}

#[cfg(test)]
mod tests {
    #[test]
    fn summaries_are_harmless() {
        let html =
            super::html("# A\n\n|x|y|\n|-|-|\n|1|2|\n\n<script>alert(1)</script><img src=x onerror=alert(1)>[a](javascript:alert(1))");
        assert!(html.contains("<h1>A</h1>") && html.contains("<table>"), "{html}");
        // what is not a link stays text
        assert!(!html.contains("<script") && !html.contains("onerror") && !html.contains("href"), "{html}");
    }
}
