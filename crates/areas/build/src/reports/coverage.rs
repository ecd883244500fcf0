//! Coverage: lcov trace files and Cobertura XML.

use std::collections::{BTreeMap, HashMap};

use quick_xml::Reader;
use quick_xml::events::Event;
use store::report::CoverageRow;

use super::bounded;
use super::junit::attribute;

/// Most files of one report.
const MAX_FILES: usize = 10_000;
/// Longest path.
const MAX_PATH: usize = 1000;
/// Most lines of one file.
const MAX_LINES: usize = 1_000_000;

/// Lines (number to hits) and branches (covered, valid) of a file, possibly from several sections.
#[derive(Default)]
struct Lines {
    hits: HashMap<u32, u64>,
    branches: HashMap<(u32, String), bool>,
    /// Branches that are only counted per line.
    counted: HashMap<u32, (i64, i64)>,
}

fn rows(files: BTreeMap<String, Lines>) -> Vec<CoverageRow> {
    let count = |n: usize| i64::try_from(n).unwrap_or(0);
    files
        .into_iter()
        .map(|(path, l)| {
            let (covered, valid) = l.counted.values().fold((0, 0), |(c, v), (a, b)| (c + a, v + b));
            CoverageRow {
                path,
                lines_valid: count(l.hits.len()),
                lines_covered: count(l.hits.values().filter(|h| **h > 0).count()),
                branches_valid: count(l.branches.len()) + valid,
                branches_covered: count(l.branches.values().filter(|b| **b).count()) + covered,
            }
        })
        .collect()
}

fn clean(path: &str) -> String {
    bounded(path.trim().trim_start_matches("./"), MAX_PATH)
}

/// Reads an lcov trace.
///
/// # Errors
/// In words, when it is none.
pub fn lcov(text: &str) -> Result<Vec<CoverageRow>, String> {
    let mut files: BTreeMap<String, Lines> = BTreeMap::new();
    let mut current: Option<String> = None;
    for line in text.lines() {
        let line = line.trim_end();
        if let Some(path) = line.strip_prefix("SF:") {
            let path = clean(path);
            if files.len() >= MAX_FILES && !files.contains_key(&path) {
                return Err(format!("more than {MAX_FILES} files"));
            }
            files.entry(path.clone()).or_default();
            current = Some(path);
        } else if line == "end_of_record" {
            current = None;
        } else if let Some(file) = current.as_ref().and_then(|p| files.get_mut(p)) {
            if let Some(rest) = line.strip_prefix("DA:") {
                let mut parts = rest.split(',');
                let number = parts.next().and_then(|n| n.trim().parse().ok());
                let hits = parts.next().and_then(|n| n.trim().parse::<f64>().ok());
                if let (Some(number), Some(hits)) = (number, hits)
                    && (file.hits.len() < MAX_LINES || file.hits.contains_key(&number))
                {
                    *file.hits.entry(number).or_default() += u64::from(hits > 0.0);
                }
            } else if let Some(rest) = line.strip_prefix("BRDA:") {
                let mut parts = rest.splitn(2, ',');
                let number = parts.next().and_then(|n| n.trim().parse().ok());
                let branch = parts.next().and_then(|r| r.rsplit_once(','));
                if let (Some(number), Some((which, taken))) = (number, branch)
                    && file.branches.len() < MAX_LINES
                {
                    let taken = taken.trim() != "-" && taken.trim() != "0";
                    *file.branches.entry((number, bounded(which, 100))).or_default() |= taken;
                }
            }
        }
    }
    if files.is_empty() { Err("not an lcov trace: it names no source file (SF:)".into()) } else { Ok(rows(files)) }
}

/// Reads a Cobertura report.
///
/// # Errors
/// In words, when it is none.
pub fn cobertura(text: &str) -> Result<Vec<CoverageRow>, String> {
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let mut files: BTreeMap<String, Lines> = BTreeMap::new();
    let mut current: Option<String> = None;
    let mut root = false;
    // lines are listed per method and again per class; only the class's count
    let mut in_methods = 0usize;
    loop {
        match reader.read_event().map_err(|e| format!("not valid XML at byte {}: {e}", reader.error_position()))? {
            event @ (Event::Start(_) | Event::Empty(_)) => {
                let empty = matches!(event, Event::Empty(_));
                let (Event::Start(e) | Event::Empty(e)) = event else { continue };
                match e.local_name().into_inner() {
                    "coverage" => root = true,
                    "class" => {
                        current = attribute(&e, "filename").map(|f| clean(&f)).filter(|f| !f.is_empty());
                        if let Some(path) = &current {
                            if files.len() >= MAX_FILES && !files.contains_key(path) {
                                return Err(format!("more than {MAX_FILES} files"));
                            }
                            files.entry(path.clone()).or_default();
                        }
                    }
                    "methods" if !empty => in_methods += 1,
                    "line" if in_methods == 0 => {
                        let number = attribute(&e, "number").and_then(|n| n.parse().ok());
                        let hits = attribute(&e, "hits").and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0);
                        if let (Some(file), Some(number)) = (current.as_ref().and_then(|p| files.get_mut(p)), number)
                            && file.hits.len() < MAX_LINES
                        {
                            *file.hits.entry(number).or_default() += u64::from(hits > 0.0);
                            if let Some(counts) = attribute(&e, "condition-coverage").and_then(|c| fraction(&c)) {
                                let slot = file.counted.entry(number).or_default();
                                if counts.0 >= slot.0 {
                                    *slot = counts;
                                }
                            }
                        }
                    }
                    _ => {}
                }
            }
            Event::End(e) => match e.local_name().into_inner() {
                "class" => current = None,
                "methods" => in_methods = in_methods.saturating_sub(1),
                _ => {}
            },
            Event::Eof => break,
            _ => {}
        }
        if !root && !files.is_empty() {
            return Err("a Cobertura report begins with <coverage>".into());
        }
    }
    if root { Ok(rows(files)) } else { Err("a Cobertura report begins with <coverage>".into()) }
}

/// `50% (1/2)`
fn fraction(text: &str) -> Option<(i64, i64)> {
    let inside = text.split_once('(')?.1.split_once(')')?.0;
    let (covered, valid) = inside.split_once('/')?;
    let (covered, valid) = (covered.trim().parse::<u32>().ok()?, valid.trim().parse::<u32>().ok()?);
    (covered <= valid && valid < 10_000).then_some((i64::from(covered), i64::from(valid)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lcov_sections_of_one_file_add_up() {
        let text =
            "TN:\nSF:./src/a.rs\nDA:1,5\nDA:2,0\nBRDA:1,0,0,1\nBRDA:1,0,1,-\nend_of_record\nSF:src/a.rs\nDA:2,1\nDA:3,0\nend_of_record\n";
        let rows = lcov(text).unwrap();
        assert_eq!(rows.len(), 1);
        let r = &rows[0];
        assert_eq!((r.path.as_str(), r.lines_valid, r.lines_covered, r.branches_valid, r.branches_covered), ("src/a.rs", 3, 2, 2, 1));
        assert!(lcov("hello").is_err());
    }

    #[test]
    fn cobertura_counts_class_lines_once() {
        let text = r#"<coverage line-rate="0.5"><packages><package><classes>
<class filename="m.py"><methods><method><lines><line number="1" hits="9"/></lines></method></methods>
<lines><line number="1" hits="1"/><line number="2" hits="0" branch="true" condition-coverage="50% (1/2)"/></lines></class>
</classes></package></packages></coverage>"#;
        let rows = cobertura(text).unwrap();
        let r = &rows[0];
        assert_eq!((r.lines_valid, r.lines_covered, r.branches_valid, r.branches_covered), (2, 1, 2, 1));
        assert!(cobertura("<x/>").is_err());
        assert_eq!(fraction("100% (3/2)"), None);
    }
}
