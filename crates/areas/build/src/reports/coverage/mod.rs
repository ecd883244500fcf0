//! Coverage, as the tools of many languages report it, brought to one shape: lines and branches by file.

mod json;
pub mod patch;
mod text;
mod xml;

use std::collections::{BTreeMap, HashMap};

use super::bounded;

pub use json::{coverage_py, llvm_cov};
pub use text::{go_cover, lcov};
pub use xml::{clover, cobertura, jacoco};

/// Most files of one report.
const MAX_FILES: usize = 10_000;
/// Longest path.
const MAX_PATH: usize = 1000;
/// Most lines of one file.
const MAX_LINES: usize = 1_000_000;

/// Coverage of a file, as a report tells it.
#[derive(Clone, Debug, Default)]
pub struct Covered {
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
    /// Each line that could run, and whether it did, in order; none where a report only counts them.
    pub lines: Vec<(u32, bool)>,
}

/// Lines (number to hits) and branches (covered, valid) of a file, possibly from several sections.
#[derive(Default)]
struct Lines {
    hits: HashMap<u32, u64>,
    branches: HashMap<(u32, String), bool>,
    /// Branches that are only counted per line.
    counted: HashMap<u32, (i64, i64)>,
}

impl Lines {
    /// Notes a line; one that ran in any section ran.
    fn line(&mut self, number: u32, ran: bool) {
        if self.hits.len() < MAX_LINES || self.hits.contains_key(&number) {
            *self.hits.entry(number).or_default() += u64::from(ran);
        }
    }

    /// Notes how many of a line's branches were taken; of several sections the best.
    fn taken(&mut self, number: u32, covered: i64, valid: i64) {
        let slot = self.counted.entry(number).or_default();
        if covered >= slot.0 {
            *slot = (covered, valid);
        }
    }
}

/// Files by path.
type Files = BTreeMap<String, Lines>;

/// The file of a path, made when it is new.
///
/// # Errors
/// In words, when there are too many.
fn file<'f>(files: &'f mut Files, path: &str) -> Result<&'f mut Lines, String> {
    if files.len() >= MAX_FILES && !files.contains_key(path) {
        return Err(format!("more than {MAX_FILES} files"));
    }
    Ok(files.entry(path.to_owned()).or_default())
}

fn rows(files: Files) -> Vec<Covered> {
    let count = |n: usize| i64::try_from(n).unwrap_or(0);
    files
        .into_iter()
        .map(|(path, l)| {
            let (covered, valid) = l.counted.values().fold((0, 0), |(c, v), (a, b)| (c + a, v + b));
            let mut lines: Vec<(u32, bool)> = l.hits.into_iter().map(|(number, hits)| (number, hits > 0)).collect();
            lines.sort_unstable();
            Covered {
                path,
                lines_valid: count(lines.len()),
                lines_covered: count(lines.iter().filter(|(_, ran)| *ran).count()),
                branches_valid: count(l.branches.len()) + valid,
                branches_covered: count(l.branches.values().filter(|b| **b).count()) + covered,
                lines,
            }
        })
        .collect()
}

fn clean(path: &str) -> String {
    bounded(path.trim().trim_start_matches("./"), MAX_PATH)
}
