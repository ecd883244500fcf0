//! TAP, versions 12 to 14 (testanything.org): test points with directives, subtests by indentation, YAML blocks.

use super::{Case, MAX_DETAILS, enough, millis};

/// Deepest nesting.
const MAX_DEPTH: usize = 32;

/// A point: was it ok, its description, its directive.
struct Point<'a> {
    ok: bool,
    description: &'a str,
    directive: Option<(&'a str, &'a str)>,
}

fn point(line: &str) -> Option<Point<'_>> {
    let (ok, rest) = match line.strip_prefix("not ok") {
        Some(rest) => (false, rest),
        None => (true, line.strip_prefix("ok")?),
    };
    if !rest.is_empty() && !rest.starts_with([' ', '\t']) {
        return None;
    }
    let rest = rest.trim_start();
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
    // an escaped # is part of the description
    let at = rest.char_indices().find(|(i, c)| *c == '#' && !rest[..*i].ends_with('\\')).map(|(i, _)| i);
    let (description, directive) = match at {
        Some(at) => (&rest[..at], Some(rest[at + 1..].trim())),
        None => (rest, None),
    };
    let directive = directive.and_then(|d| {
        let (word, reason) = d.split_once(char::is_whitespace).unwrap_or((d, ""));
        let known = ["skip", "todo"].iter().any(|k| word.len() >= 4 && word.get(..4).is_some_and(|w| w.eq_ignore_ascii_case(k)));
        known.then_some((word, reason.trim()))
    });
    Some(Point { ok, description: description.trim().trim_start_matches("- ").trim(), directive })
}

/// What is known of a level of nesting.
#[derive(Default)]
struct Level {
    cases: Vec<Case>,
    /// Its plan: how many points there should be.
    planned: Option<usize>,
    seen: usize,
}

impl Level {
    /// Its cases, with one more for points that are missing.
    fn end(mut self, suite: &str) -> Vec<Case> {
        if let Some(planned) = self.planned.filter(|p| *p > self.seen) {
            let mut case = Case::new(suite, "(plan)", "error");
            case.message = Some(format!("{planned} tests were planned, {} ran", self.seen));
            self.cases.push(case);
        }
        for case in &mut self.cases {
            case.suite = if case.suite.is_empty() { suite.to_owned() } else { case.suite.clone() };
        }
        self.cases
    }
}

/// Reads TAP. A point that stands for a subtest is counted by what is in it.
///
/// # Errors
/// In words, when nothing in it is TAP.
pub fn parse(text: &str) -> Result<Vec<Case>, String> {
    let mut levels: Vec<Level> = vec![Level::default()];
    let mut known = false;
    let mut lines = text.lines().peekable();
    let mut total = 0usize;
    while let Some(line) = lines.next() {
        let depth = (line.len() - line.trim_start_matches(' ').len()) / 4;
        let body = line.trim();
        if depth > MAX_DEPTH || body.is_empty() {
            continue;
        }
        if body.starts_with("TAP version ") {
            known = true;
        } else if let Some(rest) = body.strip_prefix("Bail out!") {
            let mut case = Case::new("", "Bail out!", "error");
            case.explain(rest.trim());
            levels[0].cases.push(case);
            known = true;
            break;
        } else if let Some(planned) = body.strip_prefix("1..").and_then(|n| n.split_whitespace().next()).and_then(|n| n.parse().ok()) {
            known = true;
            level(&mut levels, depth).planned = Some(planned);
        } else if let Some(found) = point(body) {
            known = true;
            total += 1;
            enough(total)?;
            let below: Vec<Level> = if levels.len() > depth + 1 { levels.split_off(depth + 1) } else { Vec::new() };
            let inner: Vec<Case> = below.into_iter().flat_map(|l| l.end(found.description)).collect();
            let mut case = case(&found);
            // the block of a point follows it at once, two columns in
            if lines.peek().is_some_and(|l| l.trim() == "---") {
                lines.next();
                block(&mut lines, &mut case);
            }
            let level = level(&mut levels, depth);
            level.seen += 1;
            let told = inner.iter().any(|c| matches!(c.status, "failed" | "error"));
            let all = !inner.is_empty();
            level.cases.extend(inner);
            if !all || (case.status == "failed" && !told) {
                level.cases.push(case);
            }
        }
    }
    if !known {
        return Err("not TAP: it has neither a version, nor a plan, nor a test point".into());
    }
    Ok(levels.into_iter().flat_map(|l| l.end("")).collect())
}

fn level(levels: &mut Vec<Level>, depth: usize) -> &mut Level {
    while levels.len() <= depth {
        levels.push(Level::default());
    }
    &mut levels[depth]
}

fn case(point: &Point<'_>) -> Case {
    let status = match (point.ok, point.directive) {
        (_, Some((word, _))) if word.len() >= 4 && word[..4].eq_ignore_ascii_case("skip") => "skipped",
        // what is still to be done may fail
        (false, Some(_)) => "skipped",
        (true, _) => "passed",
        (false, None) => "failed",
    };
    let mut case = Case::new("", point.description, status);
    case.message = point.directive.map(|(_, reason)| reason.to_owned()).filter(|r| !r.is_empty());
    case
}

/// Reads the lines of a YAML block: `duration_ms` and `message` by name, all of it as details of a failure.
fn block<'a>(lines: &mut impl Iterator<Item = &'a str>, case: &mut Case) {
    let mut text = String::new();
    for line in lines {
        let body = line.trim();
        if body == "..." {
            break;
        }
        let value = |key: &str| body.strip_prefix(key).map(|v| v.trim().trim_matches(['"', '\'']).to_owned());
        if let Some(ms) = value("duration_ms:").and_then(|v| v.parse::<f64>().ok()) {
            case.duration_ms = millis(ms / 1000.0);
        }
        if let Some(message) = value("message:").or_else(|| value("error:"))
            && case.status == "failed"
            && !message.is_empty()
            && !message.starts_with(['|', '>'])
        {
            case.message.get_or_insert(super::bounded(&message, super::MAX_MESSAGE));
        }
        if text.len() < MAX_DETAILS {
            text.push_str(line);
            text.push('\n');
        }
    }
    if case.status == "failed" {
        case.explain(&text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(text: &str) -> Vec<(String, String, &'static str)> {
        parse(text).unwrap().into_iter().map(|c| (c.suite, c.name, c.status)).collect()
    }

    #[test]
    fn points_and_directives() {
        let text = "TAP version 13\n1..6\nok 1 - reads \\# and all\nnot ok 2 - adds\n  ---\n  message: '3 is not 4'\n  duration_ms: 12.5\n  at: a.js:1\n  ...\nok 3 # SKIP no network\nnot ok 4 - later # TODO not yet\nok\n# a comment\nnoise\n";
        let cases = parse(text).unwrap();
        let short: Vec<_> = cases.iter().map(|c| (c.name.as_str(), c.status)).collect();
        assert_eq!(
            short,
            [
                ("reads \\# and all", "passed"),
                ("adds", "failed"),
                ("", "skipped"),
                ("later", "skipped"),
                ("", "passed"),
                ("(plan)", "error")
            ]
        );
        assert_eq!((cases[1].message.as_deref(), cases[1].duration_ms), (Some("3 is not 4"), 13));
        assert!(cases[1].details.as_deref().unwrap().contains("at: a.js:1"));
        assert_eq!(cases[2].message.as_deref(), Some("no network"));
        assert_eq!(cases[5].message.as_deref(), Some("6 tests were planned, 5 ran"));
    }

    #[test]
    fn a_subtest_is_counted_by_what_is_in_it() {
        let text = "TAP version 14\n# Subtest: outer\n    # Subtest: inner\n        ok 1 - a\n        not ok 2 - b\n        1..2\n    not ok 1 - inner\n    ok 2 - c\n    1..2\nnot ok 1 - outer\nok 2 - d\n1..2\n";
        let own = |s: &str, n: &str, t| (s.to_owned(), n.to_owned(), t);
        assert_eq!(
            short(text),
            [own("inner", "a", "passed"), own("inner", "b", "failed"), own("outer", "c", "passed"), own("", "d", "passed")]
        );
        // a group that fails though all in it is well is told
        assert_eq!(short("    ok 1 - a\nnot ok 1 - group\n"), [own("group", "a", "passed"), own("", "group", "failed")]);
    }

    #[test]
    fn broken_off() {
        assert_eq!(short("ok 1 - a\nBail out! no database\nok 2 - b\n").last().unwrap().2, "error");
        assert!(parse("hello\nokay\n").is_err());
        assert!(parse(&"ok\n".repeat(50_001)).unwrap_err().contains("more than"));
        assert_eq!(parse("1..0 # skipped: nothing here\n").unwrap(), []);
    }
}
