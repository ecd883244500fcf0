//! Coverage in JSON: coverage.py and `llvm-cov export`.

use std::collections::BTreeMap;

use super::{Covered, Files, MAX_FILES, clean, file, rows};
use serde::Deserialize;

#[derive(Deserialize)]
struct Python {
    files: BTreeMap<String, PythonFile>,
}

#[derive(Deserialize)]
struct PythonFile {
    executed_lines: Vec<u32>,
    missing_lines: Vec<u32>,
    /// From and to of each branch; a negative number is an exit.
    #[serde(default)]
    executed_branches: Vec<(i64, i64)>,
    #[serde(default)]
    missing_branches: Vec<(i64, i64)>,
}

/// Reads what `coverage json` of coverage.py writes.
///
/// # Errors
/// In words, when it is something else.
pub fn coverage_py(text: &str) -> Result<Vec<Covered>, String> {
    let report: Python = serde_json::from_str(text).map_err(|e| format!("not a report of `coverage json`: {e}"))?;
    let mut files = Files::new();
    for (path, lines) in report.files {
        let file = file(&mut files, &clean(&path))?;
        for (numbers, ran) in [(&lines.executed_lines, true), (&lines.missing_lines, false)] {
            for number in numbers {
                file.line(*number, ran);
            }
        }
        for (branches, taken) in [(&lines.executed_branches, true), (&lines.missing_branches, false)] {
            for (from, to) in branches {
                let line = u32::try_from(from.unsigned_abs()).unwrap_or(u32::MAX);
                *file.branches.entry((line, to.to_string())).or_default() |= taken;
            }
        }
    }
    Ok(rows(files))
}

#[derive(Deserialize)]
struct Llvm {
    r#type: String,
    data: Vec<LlvmExport>,
}

#[derive(Deserialize)]
struct LlvmExport {
    #[serde(default)]
    files: Vec<LlvmFile>,
}

#[derive(Deserialize)]
struct LlvmFile {
    filename: String,
    summary: LlvmSummary,
}

#[derive(Deserialize)]
struct LlvmSummary {
    lines: LlvmCount,
    #[serde(default)]
    branches: LlvmCount,
}

#[derive(Default, Deserialize)]
struct LlvmCount {
    count: u32,
    covered: u32,
}

/// Reads what `llvm-cov export` (and `cargo llvm-cov --json`) writes.
///
/// # Errors
/// In words, when it is something else.
pub fn llvm_cov(text: &str) -> Result<Vec<Covered>, String> {
    let report: Llvm = serde_json::from_str(text).map_err(|e| format!("not a report of `llvm-cov export`: {e}"))?;
    if report.r#type != "llvm.coverage.json.export" {
        return Err("not a report of `llvm-cov export`: its type is another".into());
    }
    let files: Vec<LlvmFile> = report.data.into_iter().flat_map(|d| d.files).collect();
    if files.len() > MAX_FILES {
        return Err(format!("more than {MAX_FILES} files"));
    }
    let row = |f: LlvmFile| Covered {
        path: clean(&f.filename),
        lines_valid: f.summary.lines.count.into(),
        lines_covered: f.summary.lines.covered.min(f.summary.lines.count).into(),
        branches_valid: f.summary.branches.count.into(),
        branches_covered: f.summary.branches.covered.min(f.summary.branches.count).into(),
        lines: Vec::new(),
    };
    Ok(files.into_iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_files_have_lines_and_branches() {
        let text = r#"{"meta": {"version": "7"}, "files": {"./a.py": {"executed_lines": [1, 2], "missing_lines": [4], "summary": {},
            "executed_branches": [[2, 3]], "missing_branches": [[2, -1]]}}, "totals": {}}"#;
        let r = &coverage_py(text).unwrap()[0];
        assert_eq!((r.path.as_str(), r.lines_valid, r.lines_covered, r.branches_valid, r.branches_covered), ("a.py", 3, 2, 2, 1));
        assert!(coverage_py("[]").is_err());
    }

    #[test]
    fn llvm_summaries_are_taken_as_they_are() {
        let text = r#"{"version": "2.0.1", "type": "llvm.coverage.json.export", "data": [{"files": [{"filename": "src/a.rs", "segments": [[1, 2, 3, true]],
            "summary": {"lines": {"count": 10, "covered": 7, "percent": 70.0}, "functions": {"count": 1}}}], "totals": {}}]}"#;
        let r = &llvm_cov(text).unwrap()[0];
        assert_eq!((r.path.as_str(), r.lines_valid, r.lines_covered, r.branches_valid), ("src/a.rs", 10, 7, 0));
        assert!(llvm_cov(r#"{"type": "x", "data": []}"#).is_err());
    }
}
