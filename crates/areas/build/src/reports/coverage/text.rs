//! Coverage in lines of text: lcov traces and Go's cover profiles.

use super::{Covered, Files, MAX_LINES, clean, file, rows};
use crate::reports::bounded;

/// Most lines that the blocks of a Go profile span together.
const MOST_GO_LINES: u32 = 20_000_000;

/// Reads an lcov trace.
///
/// # Errors
/// In words, when it is none.
pub fn lcov(text: &str) -> Result<Vec<Covered>, String> {
    let mut files = Files::new();
    let mut current: Option<String> = None;
    for line in text.lines() {
        let line = line.trim_end();
        if let Some(path) = line.strip_prefix("SF:") {
            let path = clean(path);
            file(&mut files, &path)?;
            current = Some(path);
        } else if line == "end_of_record" {
            current = None;
        } else if let Some(file) = current.as_ref().and_then(|p| files.get_mut(p)) {
            if let Some(rest) = line.strip_prefix("DA:") {
                let mut parts = rest.split(',');
                let number = parts.next().and_then(|n| n.trim().parse().ok());
                let hits = parts.next().and_then(|n| n.trim().parse::<f64>().ok());
                if let (Some(number), Some(hits)) = (number, hits) {
                    file.line(number, hits > 0.0);
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

/// Reads a cover profile of `go test -coverprofile`: `mode: set`, then `file:line.column,line.column statements count`.
///
/// # Errors
/// In words and with the line, when it is none.
pub fn go_cover(text: &str) -> Result<Vec<Covered>, String> {
    let mut lines = text.lines().enumerate();
    let mode = lines.next().and_then(|(_, l)| l.trim().strip_prefix("mode: "));
    if !mode.is_some_and(|m| ["set", "count", "atomic"].contains(&m)) {
        return Err("not a Go cover profile: it does not begin with `mode: set`, `count` or `atomic`".into());
    }
    let mut files = Files::new();
    let mut budget = MOST_GO_LINES;
    for (at, line) in lines.filter(|(_, l)| !l.trim().is_empty() && !l.starts_with("mode: ")) {
        let (path, from, to, count) = block(line).ok_or_else(|| format!("line {}: not a block of a Go cover profile", at + 1))?;
        budget = budget.checked_sub(to - from + 1).ok_or_else(|| format!("line {}: the blocks have too many lines", at + 1))?;
        let file = file(&mut files, &clean(path))?;
        for number in from..=to {
            file.line(number, count > 0);
        }
    }
    Ok(rows(files))
}

/// `path:12.5,14.2 3 1`: path, first and last line, count.
fn block(line: &str) -> Option<(&str, u32, u32, u64)> {
    let mut words = line.trim().rsplitn(3, ' ');
    let count: u64 = words.next()?.parse().ok()?;
    let _statements: u64 = words.next()?.parse().ok()?;
    let (path, range) = words.next()?.rsplit_once(':')?;
    let (from, to) = range.split_once(',')?;
    let number = |text: &str| -> Option<u32> { text.split_once('.')?.0.parse().ok() };
    let (from, to) = (number(from)?, number(to)?);
    let bounded = from >= 1 && from <= to && usize::try_from(to).is_ok_and(|t| t <= MAX_LINES);
    (bounded && !path.is_empty()).then_some((path, from, to, count))
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
    fn go_blocks_cover_their_lines() {
        let text = "mode: set\nexample.org/m/a.go:3.14,5.2 2 1\nexample.org/m/a.go:7.1,8.2 1 0\nexample.org/m/b.go:1.1,1.9 1 0\n";
        let rows = go_cover(text).unwrap();
        let short: Vec<_> = rows.iter().map(|r| (r.path.as_str(), r.lines_valid, r.lines_covered)).collect();
        assert_eq!(short, [("example.org/m/a.go", 5, 3), ("example.org/m/b.go", 1, 0)]);
        assert!(go_cover("mode: other\n").is_err());
        assert_eq!(go_cover("mode: set\na.go:3.14 2 1").unwrap_err(), "line 2: not a block of a Go cover profile");
        // a hostile range is no loop of four billion turns
        assert!(go_cover("mode: set\na.go:1.1,4000000000.2 2 1").is_err());
    }
}
