//! What jobs report: test cases from JUnit XML, coverage from lcov and Cobertura, summaries in Markdown.
//!
//! Reports come out of jobs, so they are hostile: no entity is ever resolved but the five of XML, and every list and
//! text has a bound.

pub mod coverage;
pub mod junit;
pub mod routes;

use bytes::Bytes;
use executors::protocol::ReportKind;
use kernel::{Code, Error, Result};
use store::Tx;
use store::job::JobRow;
use store::report::{
    CoverageRow, SummaryRow, TestCaseRow, TestTotals, coverage_add, summary_add, test_add, test_next_seq, test_totals_add,
};

/// Most tests of one job.
const MAX_TESTS: i64 = 50_000;
/// Largest summary of a step.
const MAX_SUMMARY: usize = 1 << 20;

/// A report, read.
#[derive(Debug)]
pub enum Parsed {
    /// Tests.
    Tests(Vec<junit::Case>),
    /// Coverage.
    Coverage(Vec<CoverageRow>),
    /// A summary.
    Summary {
        /// The step.
        step: String,
        /// Its text.
        markdown: String,
    },
}

/// Reads a report, away from the threads that answer.
///
/// # Errors
/// `unprocessable` when it is not what it is said to be.
pub async fn parse(kind: ReportKind, name: &str, bytes: Bytes) -> Result<Parsed> {
    let name: String = name.chars().filter(|c| !c.is_control()).take(500).collect();
    let parsed = tokio::task::spawn_blocking(move || {
        let text = String::from_utf8_lossy(&bytes);
        match kind {
            ReportKind::Junit => junit::parse(&text).map(Parsed::Tests),
            ReportKind::Lcov => coverage::lcov(&text).map(Parsed::Coverage),
            ReportKind::Cobertura => coverage::cobertura(&text).map(Parsed::Coverage),
            ReportKind::Summary => {
                if text.len() > MAX_SUMMARY {
                    return Err(format!("{name}: a summary has at most {MAX_SUMMARY} bytes"));
                }
                Ok(Parsed::Summary { step: name, markdown: text.replace('\0', "") })
            }
        }
    });
    parsed.await.map_err(Error::internal)?.map_err(|e| Error::new(Code::Unprocessable, e))
}

/// Keeps a report with its run.
///
/// # Errors
/// The database's.
pub async fn record(tx: &mut Tx, job: &JobRow, parsed: Parsed) -> Result<()> {
    match parsed {
        Parsed::Tests(cases) => {
            let mut seq = test_next_seq(tx, job.run, job.id).await?;
            let mut totals = TestTotals::default();
            for case in cases {
                if seq > MAX_TESTS {
                    break;
                }
                match case.status {
                    "passed" => totals.passed += 1,
                    "failed" => totals.failed += 1,
                    "skipped" => totals.skipped += 1,
                    _ => totals.errors += 1,
                }
                totals.duration_ms += case.duration_ms;
                let row = TestCaseRow {
                    job_id: job.id,
                    seq,
                    suite: case.suite,
                    class: case.class,
                    name: case.name,
                    status: case.status.to_owned(),
                    duration_ms: case.duration_ms,
                    message: case.message,
                    details: case.details,
                    file: case.file,
                    job: job.name.clone(),
                };
                test_add(tx, job.run, &row).await?;
                seq += 1;
            }
            test_totals_add(tx, job.run, job.id, totals).await
        }
        Parsed::Coverage(files) => {
            for file in files {
                coverage_add(tx, job.run, &file).await?;
            }
            Ok(())
        }
        Parsed::Summary { step, markdown } => {
            if markdown.trim().is_empty() {
                return Ok(());
            }
            summary_add(tx, job.run, job.id, &SummaryRow { job: job.name.clone(), step, markdown }).await
        }
    }
}

/// A text cut to so many bytes at a character, with NUL taken out (PostgreSQL has no such character).
pub(crate) fn bounded(text: &str, most: usize) -> String {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].replace('\0', "\u{fffd}")
}
