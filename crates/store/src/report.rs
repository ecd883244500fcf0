//! What jobs report: test cases, coverage, summaries.

use kernel::{JobId, Result, RunId, TestId};

use crate::db::{Db, Tx};
use crate::{Args, Row, args, sql};

/// One test.
#[derive(Clone, Debug)]
pub struct TestCaseRow {
    /// The job that ran it.
    pub job_id: JobId,
    /// Its place in the job's reports.
    pub seq: i64,
    /// Suite.
    pub suite: String,
    /// Class or module.
    pub class: String,
    /// Name.
    pub name: String,
    /// `passed`, `failed`, `skipped`, `error`.
    pub status: String,
    /// How long it took.
    pub duration_ms: i64,
    /// What went wrong, in short.
    pub message: Option<String>,
    /// What went wrong, at length.
    pub details: Option<String>,
    /// Where it is written.
    pub file: Option<String>,
    /// Shown name of the job.
    pub job: String,
    /// The test whose result it is.
    pub test: Option<TestId>,
    /// It was in quarantine: that it failed does not count.
    pub quarantined: bool,
}

/// Totals of a run's tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct TestTotals {
    /// That passed.
    pub passed: i64,
    /// That failed.
    pub failed: i64,
    /// That were skipped.
    pub skipped: i64,
    /// That broke.
    pub errors: i64,
    /// That failed or broke in quarantine; they are among neither.
    pub quarantined: i64,
    /// All their time.
    pub duration_ms: i64,
}

/// The next free place for a job's tests and summaries.
///
/// # Errors
/// The database's.
pub async fn test_next_seq(tx: &mut Tx, run: RunId, job: JobId) -> Result<i64> {
    let row =
        tx.one(sql!("SELECT COALESCE(MAX(seq), 0) AS last FROM test_case WHERE run_id = $1 AND job_id = $2"), args![run, job]).await?;
    Ok(row.get::<i64>("last")? + 1)
}

/// Tests that one statement adds.
const AT_ONCE: usize = 200;

/// Adds tests.
///
/// # Errors
/// The database's.
pub async fn test_add(tx: &mut Tx, run: RunId, tests: &[TestCaseRow]) -> Result<()> {
    for batch in tests.chunks(AT_ONCE) {
        let mut binds: Args = args![run];
        let rows: Vec<String> = batch
            .iter()
            .map(|t| {
                let first = binds.len() + 1;
                binds.extend(args![
                    t.job_id,
                    t.seq,
                    t.suite.as_str(),
                    t.class.as_str(),
                    t.name.as_str(),
                    t.status.as_str(),
                    t.duration_ms,
                    t.message.as_deref(),
                    t.details.as_deref(),
                    t.file.as_deref(),
                    t.job.as_str(),
                    t.test,
                    t.quarantined
                ]);
                let marks: Vec<String> = (first..=binds.len()).map(|n| format!("${n}")).collect();
                format!("($1, {})", marks.join(", "))
            })
            .collect();
        let sql = format!(
            "INSERT INTO test_case (run_id, job_id, seq, suite, class, name, status, duration_ms, message, details, file, job, test_id,
                quarantined) VALUES {}",
            rows.join(", ")
        );
        tx.exec(&sql, binds).await?;
    }
    Ok(())
}

/// Adds to a job's totals.
///
/// # Errors
/// The database's.
pub async fn test_totals_add(tx: &mut Tx, run: RunId, job: JobId, t: TestTotals) -> Result<()> {
    tx.exec(
        sql!(
            "INSERT INTO test_total (run_id, job_id, passed, failed, skipped, errors, duration_ms, quarantined) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (run_id, job_id) DO UPDATE SET passed = test_total.passed + excluded.passed, failed = test_total.failed + excluded.failed,
                skipped = test_total.skipped + excluded.skipped, errors = test_total.errors + excluded.errors,
                duration_ms = test_total.duration_ms + excluded.duration_ms, quarantined = test_total.quarantined + excluded.quarantined"
        ),
        args![run, job, t.passed, t.failed, t.skipped, t.errors, t.duration_ms, t.quarantined],
    )
    .await
    .map(|_| ())
}

/// The totals of a run's current attempts.
///
/// # Errors
/// The database's.
pub async fn test_totals(db: &Db, run: RunId) -> Result<TestTotals> {
    let row = db
        .one(
            sql!(
                "SELECT CAST(COALESCE(SUM(t.passed), 0) AS BIGINT) AS passed, CAST(COALESCE(SUM(t.failed), 0) AS BIGINT) AS failed,
                    CAST(COALESCE(SUM(t.skipped), 0) AS BIGINT) AS skipped, CAST(COALESCE(SUM(t.errors), 0) AS BIGINT) AS errors,
                    CAST(COALESCE(SUM(t.duration_ms), 0) AS BIGINT) AS duration_ms,
                    CAST(COALESCE(SUM(t.quarantined), 0) AS BIGINT) AS quarantined
                 FROM test_total t JOIN pipeline_job j ON j.id = t.job_id WHERE t.run_id = $1 AND j.superseded = $2"
            ),
            args![run, false],
        )
        .await?;
    Ok(TestTotals {
        passed: row.get("passed")?,
        failed: row.get("failed")?,
        skipped: row.get("skipped")?,
        errors: row.get("errors")?,
        quarantined: row.get("quarantined")?,
        duration_ms: row.get("duration_ms")?,
    })
}

fn test_from(row: &Row) -> Result<TestCaseRow> {
    Ok(TestCaseRow {
        job_id: row.get("job_id")?,
        seq: row.get("seq")?,
        suite: row.get("suite")?,
        class: row.get("class")?,
        name: row.get("name")?,
        status: row.get("status")?,
        duration_ms: row.get("duration_ms")?,
        message: row.get("message")?,
        details: row.get("details")?,
        file: row.get("file")?,
        job: row.get("job")?,
        test: row.get("test_id")?,
        quarantined: row.get("quarantined")?,
    })
}

/// Tests of a run's current attempts after a place, all or those of one status.
///
/// # Errors
/// The database's.
pub async fn test_list(db: &Db, run: RunId, status: Option<&str>, after: Option<(JobId, i64)>, limit: i64) -> Result<Vec<TestCaseRow>> {
    let (job, seq) = after.unwrap_or((JobId::from(uuid::Uuid::nil()), 0));
    let rows = match status {
        None => {
            db.all(
                sql!(
                    "SELECT t.* FROM test_case t JOIN pipeline_job j ON j.id = t.job_id
                     WHERE t.run_id = $1 AND (t.job_id, t.seq) > ($2, $3) AND j.superseded = $4 ORDER BY t.job_id, t.seq LIMIT $5"
                ),
                args![run, job, seq, false, limit],
            )
            .await?
        }
        Some(status) => {
            db.all(
                sql!(
                    "SELECT t.* FROM test_case t JOIN pipeline_job j ON j.id = t.job_id
                     WHERE t.run_id = $1 AND t.status = $6 AND (t.job_id, t.seq) > ($2, $3) AND j.superseded = $4
                     ORDER BY t.job_id, t.seq LIMIT $5"
                ),
                args![run, job, seq, false, limit, status],
            )
            .await?
        }
    };
    rows.iter().map(test_from).collect()
}

/// Coverage of one file.
#[derive(Clone, Debug, Default)]
pub struct CoverageRow {
    /// Path as reported.
    pub path: String,
    /// Lines that could run.
    pub lines_valid: i64,
    /// Lines that did.
    pub lines_covered: i64,
    /// Branches that could be taken.
    pub branches_valid: i64,
    /// Branches that were.
    pub branches_covered: i64,
}

/// Adds coverage of a file; of two reports of the same file the better one stays.
///
/// # Errors
/// The database's.
pub async fn coverage_add(tx: &mut Tx, run: RunId, c: &CoverageRow) -> Result<()> {
    tx.exec(
        sql!(
            "INSERT INTO coverage_file (run_id, path, lines_valid, lines_covered, branches_valid, branches_covered) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (run_id, path) DO UPDATE SET lines_valid = excluded.lines_valid, lines_covered = excluded.lines_covered,
                branches_valid = excluded.branches_valid, branches_covered = excluded.branches_covered
             WHERE excluded.lines_covered > coverage_file.lines_covered"
        ),
        args![run, c.path.as_str(), c.lines_valid, c.lines_covered, c.branches_valid, c.branches_covered],
    )
    .await
    .map(|_| ())
}

/// Coverage of a run's files, at most 10,000.
///
/// # Errors
/// The database's.
pub async fn coverage_list(db: &Db, run: RunId) -> Result<Vec<CoverageRow>> {
    let rows = db.all(sql!("SELECT * FROM coverage_file WHERE run_id = $1 ORDER BY path LIMIT 10000"), args![run]).await?;
    rows.iter()
        .map(|r| {
            Ok(CoverageRow {
                path: r.get("path")?,
                lines_valid: r.get("lines_valid")?,
                lines_covered: r.get("lines_covered")?,
                branches_valid: r.get("branches_valid")?,
                branches_covered: r.get("branches_covered")?,
            })
        })
        .collect()
}

/// A step's summary.
#[derive(Clone, Debug)]
pub struct SummaryRow {
    /// Shown name of the job.
    pub job: String,
    /// Name of the step.
    pub step: String,
    /// Its text.
    pub markdown: String,
}

/// Adds a summary.
///
/// # Errors
/// The database's.
pub async fn summary_add(tx: &mut Tx, run: RunId, job: JobId, s: &SummaryRow) -> Result<()> {
    tx.exec(
        sql!(
            "INSERT INTO step_summary (run_id, job_id, seq, job, step, markdown)
             SELECT $1, $2, COALESCE(MAX(seq), 0) + 1, $3, $4, $5 FROM step_summary WHERE run_id = $1 AND job_id = $2"
        ),
        args![run, job, s.job.as_str(), s.step.as_str(), s.markdown.as_str()],
    )
    .await
    .map(|_| ())
}

/// The summaries of a run's current attempts, at most 1,000.
///
/// # Errors
/// The database's.
pub async fn summary_list(db: &Db, run: RunId) -> Result<Vec<SummaryRow>> {
    let rows = db
        .all(
            sql!(
                "SELECT s.job, s.step, s.markdown FROM step_summary s JOIN pipeline_job j ON j.id = s.job_id
                 WHERE s.run_id = $1 AND j.superseded = $2 ORDER BY s.job_id, s.seq LIMIT 1000"
            ),
            args![run, false],
        )
        .await?;
    rows.iter().map(|r| Ok(SummaryRow { job: r.get("job")?, step: r.get("step")?, markdown: r.get("markdown")? })).collect()
}
