//! What jobs report: test cases and coverage in the formats of many tools, summaries in Markdown.
//!
//! Reports come out of jobs, so they are hostile: no entity is ever resolved but the five of XML, and every list and
//! text has a bound.

pub mod cases;
pub mod coverage;
pub mod routes;

use bytes::Bytes;
use executors::protocol::{ReportKind, Reported};
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
    Tests(Vec<cases::Case>),
    /// Coverage.
    Coverage(Vec<coverage::Covered>),
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
            ReportKind::Junit => cases::junit::parse(&text).map(Parsed::Tests),
            ReportKind::Tap => cases::tap::parse(&text).map(Parsed::Tests),
            ReportKind::Go => cases::go::parse(&text).map(Parsed::Tests),
            ReportKind::Cargo => cases::libtest::parse(&text).map(Parsed::Tests),
            ReportKind::Trx => cases::trx::parse(&text).map(Parsed::Tests),
            ReportKind::Lcov => coverage::lcov(&text).map(Parsed::Coverage),
            ReportKind::Cobertura => coverage::cobertura(&text).map(Parsed::Coverage),
            ReportKind::Jacoco => coverage::jacoco(&text).map(Parsed::Coverage),
            ReportKind::Clover => coverage::clover(&text).map(Parsed::Coverage),
            ReportKind::GoCover => coverage::go_cover(&text).map(Parsed::Coverage),
            ReportKind::CoveragePy => coverage::coverage_py(&text).map(Parsed::Coverage),
            ReportKind::LlvmCov => coverage::llvm_cov(&text).map(Parsed::Coverage),
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

/// Keeps a report with its run; of tests, how many of them failed.
///
/// # Errors
/// The database's.
pub async fn record(tx: &mut Tx, job: &JobRow, parsed: Parsed) -> Result<Reported> {
    match parsed {
        Parsed::Tests(mut cases) => {
            let first = test_next_seq(tx, job.run, job.id).await?;
            cases.truncate(usize::try_from(MAX_TESTS + 1 - first).unwrap_or(0));
            let known = crate::testing::note(tx, job, &cases).await?;
            let mut totals = TestTotals::default();
            let rows: Vec<TestCaseRow> = (first..)
                .zip(cases.into_iter().zip(known))
                .map(|(seq, (case, (test, quarantined)))| {
                    match case.status {
                        "passed" => totals.passed += 1,
                        "skipped" => totals.skipped += 1,
                        _ if quarantined => totals.quarantined += 1,
                        "failed" => totals.failed += 1,
                        _ => totals.errors += 1,
                    }
                    totals.duration_ms += case.duration_ms;
                    TestCaseRow {
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
                        test: Some(test),
                        quarantined,
                    }
                })
                .collect();
            test_add(tx, job.run, &rows).await?;
            test_totals_add(tx, job.run, job.id, totals).await?;
            let count = |n: i64| usize::try_from(n).unwrap_or(0);
            Ok(Reported { failed: count(totals.failed + totals.errors), quarantined: count(totals.quarantined) })
        }
        Parsed::Coverage(files) => {
            for file in files {
                let row = CoverageRow {
                    path: file.path,
                    lines_valid: file.lines_valid,
                    lines_covered: file.lines_covered,
                    branches_valid: file.branches_valid,
                    branches_covered: file.branches_covered,
                };
                coverage_add(tx, job.run, &row).await?;
            }
            Ok(Reported::default())
        }
        Parsed::Summary { step, markdown } => {
            if !markdown.trim().is_empty() {
                summary_add(tx, job.run, job.id, &SummaryRow { job: job.name.clone(), step, markdown }).await?;
            }
            Ok(Reported::default())
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{cases, coverage};

    /// Pieces of all the formats, in any order.
    fn anything() -> impl Strategy<Value = String> {
        let pieces = [
            "<testsuite name='a'>",
            "<testcase time='1e999'>",
            "</testcase>",
            "<failure/>",
            "ok",
            "not ok 1 - x # TODO",
            "    ",
            "1..9",
            "---",
            "...",
            "duration_ms: -1",
            "Bail out!",
            "{\"Action\":\"run\",\"Package\":\"a\",\"Test\":\"b\"}",
            "{\"Action\":\"fail\"}",
            "test a ... ok",
            "test b ... FAILED",
            "---- b stdout ----",
            "failures:",
            "\u{1b}[",
            "\u{1b}[31m",
            "Running é (",
            "<TestRun>",
            "<UnitTestResult duration='::'>",
            "<Message>",
            "</Message>",
            "SF:a",
            "DA:1,1",
            "DA:4294967295,-1",
            "BRDA:1,0,0,-",
            "end_of_record",
            "mode: set",
            "a:1.1,9.9 1 1",
            "<coverage clover='1'>",
            "<file name='a'>",
            "<line num='1' nr='1' number='1' count='1' ci='1' hits='1'/>",
            "<report>",
            "<package name='p'>",
            "<sourcefile name='s'>",
            "]]>",
            "<![CDATA[",
            "&#x110000;",
            "\n",
            "\n",
            "\n",
            "é\u{feff}",
            "# skı",
            "ok # sk\u{130}p",
        ];
        prop::collection::vec(prop_oneof![4 => prop::sample::select(pieces.to_vec()).prop_map(str::to_owned), 1 => ".{0,12}"], 0..40)
            .prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn nothing_a_job_writes_brings_a_reader_down(text in anything()) {
            let _ = cases::junit::parse(&text);
            let _ = cases::tap::parse(&text);
            let _ = cases::go::parse(&text);
            let _ = cases::libtest::parse(&text);
            let _ = cases::trx::parse(&text);
            let _ = coverage::lcov(&text);
            let _ = coverage::cobertura(&text);
            let _ = coverage::jacoco(&text);
            let _ = coverage::clover(&text);
            let _ = coverage::go_cover(&text);
            let _ = coverage::coverage_py(&text);
            let _ = coverage::llvm_cov(&text);
        }
    }
}
