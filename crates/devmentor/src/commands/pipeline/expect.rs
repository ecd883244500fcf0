//! `pipeline test`: the tests of pipelines of the repository here.

use std::path::Path;

use dialects::expect::{self, FILE};

use super::compile::Here;
use super::{bytes, tell};
use crate::failure::{Failure, Result};
use crate::output::{Format, line, plain};

/// Evaluates the tests; bad when one fails.
pub(super) fn run(file: Option<&Path>, format: Format) -> Result {
    let path = match file {
        Some(path) => path.to_owned(),
        None => {
            let here = std::env::current_dir()?;
            let found = here.ancestors().map(|a| a.join(FILE)).find(|f| f.is_file());
            found.ok_or_else(|| Failure::Usage(format!("there is no {FILE} here; name the file")))?
        }
    };
    let text = bytes(&path)?;
    let here = Here::around(&path);
    let report = expect::evaluate(&here.name(&path), &text, &here);
    let failed = report.cases.iter().filter(|c| !c.passed).count();
    match format {
        Format::Json => line(&serde_json::to_string_pretty(&report)?)?,
        Format::Human => {
            tell(&report.diagnostics);
            for case in &report.cases {
                line(&format!("{} {}", if case.passed { "passed" } else { "FAILED" }, plain(&case.name)))?;
                tell(&case.failures);
            }
            line(&format!("{} tests, {failed} failed", report.cases.len()))?;
        }
    }
    if report.passed() { Ok(()) } else { Err(Failure::Failed("the pipelines do not do what is expected of them".to_owned())) }
}
