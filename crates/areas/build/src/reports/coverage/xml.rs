//! Coverage in XML: Cobertura, JaCoCo, Clover.

use super::{Covered, Files, MAX_LINES, clean, file, rows};
use crate::reports::cases::junit::attribute;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// Reads a Cobertura report.
///
/// # Errors
/// In words, when it is none.
pub fn cobertura(text: &str) -> Result<Vec<Covered>, String> {
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let mut files = Files::new();
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
                            file(&mut files, path)?;
                        }
                    }
                    "methods" if !empty => in_methods += 1,
                    "line" if in_methods == 0 => {
                        let number = attribute(&e, "number").and_then(|n| n.parse().ok());
                        let hits = attribute(&e, "hits").and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0);
                        if let (Some(file), Some(number)) = (current.as_ref().and_then(|p| files.get_mut(p)), number)
                            && file.hits.len() < MAX_LINES
                        {
                            file.line(number, hits > 0.0);
                            if let Some((covered, valid)) = attribute(&e, "condition-coverage").and_then(|c| fraction(&c)) {
                                file.taken(number, covered, valid);
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

/// A count in an attribute; none counts as 0.
fn count(e: &BytesStart<'_>, name: &str) -> i64 {
    attribute(e, name).and_then(|n| n.trim().parse::<u32>().ok()).map_or(0, i64::from)
}

/// Reads a JaCoCo report: `sourcefile`s of `package`s, whose `line`s count instructions and branches, missed and covered.
///
/// # Errors
/// In words, when it is none.
pub fn jacoco(text: &str) -> Result<Vec<Covered>, String> {
    let mut package = String::new();
    let mut current: Option<String> = None;
    elements(text, "a JaCoCo report", "report", |files, tag, e| {
        match (tag, e) {
            ("package", Some(e)) => package = attribute(e, "name").unwrap_or_default(),
            ("sourcefile", Some(e)) => {
                let name = attribute(e, "name").unwrap_or_default();
                let path = if package.is_empty() { clean(&name) } else { clean(&format!("{package}/{name}")) };
                file(files, &path)?;
                current = Some(path);
            }
            ("sourcefile", None) => current = None,
            ("line", Some(e)) => {
                let number = attribute(e, "nr").and_then(|n| n.parse().ok());
                if let (Some(path), Some(number)) = (&current, number) {
                    let file = file(files, path)?;
                    file.line(number, count(e, "ci") > 0);
                    let (missed, covered) = (count(e, "mb"), count(e, "cb"));
                    if missed + covered > 0 {
                        file.taken(number, covered, missed + covered);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    })
}

/// Reads a Clover report: `line`s of `file`s, of kind `stmt`, `method` or `cond`.
///
/// # Errors
/// In words, when it is none.
pub fn clover(text: &str) -> Result<Vec<Covered>, String> {
    let mut current: Option<String> = None;
    elements(text, "a Clover report", "coverage", |files, tag, e| {
        match (tag, e) {
            ("file", Some(e)) => {
                let path = attribute(e, "path").or_else(|| attribute(e, "name")).map(|p| clean(&p)).unwrap_or_default();
                file(files, &path)?;
                current = Some(path);
            }
            ("file", None) => current = None,
            ("line", Some(e)) => {
                let number = attribute(e, "num").and_then(|n| n.parse().ok());
                if let (Some(path), Some(number)) = (&current, number) {
                    let file = file(files, path)?;
                    let (yes, no) = (count(e, "truecount"), count(e, "falsecount"));
                    file.line(number, count(e, "count") > 0 || yes + no > 0);
                    if attribute(e, "type").as_deref() == Some("cond") {
                        file.taken(number, i64::from(yes > 0) + i64::from(no > 0), 2);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    })
}

/// Walks the elements of a document whose first is `root`: each start with its attributes, and each end without (an empty
/// element has both).
fn elements(
    text: &str,
    what: &str,
    root: &str,
    mut each: impl FnMut(&mut Files, &str, Option<&BytesStart<'_>>) -> Result<(), String>,
) -> Result<Vec<Covered>, String> {
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let mut files = Files::new();
    let mut seen = false;
    loop {
        match reader.read_event().map_err(|e| format!("not valid XML at byte {}: {e}", reader.error_position()))? {
            event @ (Event::Start(_) | Event::Empty(_)) => {
                let empty = matches!(event, Event::Empty(_));
                let (Event::Start(e) | Event::Empty(e)) = event else { continue };
                if !seen && e.local_name().into_inner() != root {
                    return Err(format!("{what} begins with <{root}>"));
                }
                seen = true;
                each(&mut files, e.local_name().into_inner(), Some(&e))?;
                if empty {
                    each(&mut files, e.local_name().into_inner(), None)?;
                }
            }
            Event::End(e) => each(&mut files, e.local_name().into_inner(), None)?,
            Event::Eof => break,
            _ => {}
        }
    }
    if seen { Ok(rows(files)) } else { Err(format!("{what} begins with <{root}>")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(rows: &[Covered]) -> Vec<(&str, i64, i64, i64, i64)> {
        rows.iter().map(|r| (r.path.as_str(), r.lines_valid, r.lines_covered, r.branches_valid, r.branches_covered)).collect()
    }

    #[test]
    fn cobertura_counts_class_lines_once() {
        let text = r#"<coverage line-rate="0.5"><packages><package><classes>
<class filename="m.py"><methods><method><lines><line number="1" hits="9"/></lines></method></methods>
<lines><line number="1" hits="1"/><line number="2" hits="0" branch="true" condition-coverage="50% (1/2)"/></lines></class>
</classes></package></packages></coverage>"#;
        assert_eq!(short(&cobertura(text).unwrap()), [("m.py", 2, 1, 2, 1)]);
        assert!(cobertura("<x/>").is_err());
        assert_eq!(fraction("100% (3/2)"), None);
    }

    #[test]
    fn jacoco_lines_lie_in_source_files() {
        let text = r#"<?xml version="1.0"?><!DOCTYPE report PUBLIC "-//JACOCO//DTD Report 1.1//EN" "report.dtd">
<report name="demo"><group name="g"><package name="org/demo"><class name="org/demo/A"><counter type="LINE" missed="9" covered="9"/></class>
<sourcefile name="A.java"><line nr="3" mi="0" ci="4" mb="1" cb="1"/><line nr="4" mi="2" ci="0" mb="0" cb="0"/></sourcefile></package></group>
<package name=""><sourcefile name="B.kt"><line nr="1" mi="1" ci="0"/></sourcefile></package></report>"#;
        assert_eq!(short(&jacoco(text).unwrap()), [("B.kt", 1, 0, 0, 0), ("org/demo/A.java", 2, 1, 2, 1)]);
        assert!(jacoco("<coverage/>").unwrap_err().contains("<report>"));
    }

    #[test]
    fn clover_conditions_are_two_branches() {
        let text = r#"<coverage generated="1" clover="3.2.0"><project timestamp="1"><metrics/><package name="p"><file name="a.js" path="src/a.js">
<line num="1" count="2" type="stmt"/><line num="2" type="cond" truecount="1" falsecount="0"/><line num="3" count="0" type="method"/></file></package>
<file name="b.php"><line num="9" count="0" type="stmt"/></file></project></coverage>"#;
        assert_eq!(short(&clover(text).unwrap()), [("b.php", 1, 0, 0, 0), ("src/a.js", 3, 2, 2, 1)]);
        assert!(clover("").is_err());
    }
}
