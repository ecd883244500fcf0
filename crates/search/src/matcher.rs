//! Finds the lines of a text that match. Every expression takes time in proportion to the text, whatever it says, and
//! its machine is bounded when it is built.

use regex::bytes::{Regex, RegexBuilder};

use crate::{Error, LineMatch, PATTERN_LIMIT, Query, Result};

/// How deep parentheses may go.
pub(crate) const NEST_LIMIT: u32 = 50;

const MACHINE_LIMIT: usize = 4 * 1024 * 1024;

/// Ranges told of one line.
const RANGES_PER_LINE: usize = 50;

/// Bytes shown of a line, and how many of them before the first match when the line is longer.
const TEXT: usize = 400;
const BEFORE: usize = 80;

pub(crate) struct Matcher {
    regex: Regex,
    /// What the expression is, for the sequences it needs.
    pub(crate) pattern: String,
    pub(crate) case_sensitive: bool,
}

/// What matched in a text.
#[derive(Default)]
pub(crate) struct Matched {
    pub(crate) shown: Vec<LineMatch>,
    pub(crate) lines: u64,
    /// A match stands as a word of its own.
    pub(crate) word: bool,
}

impl Matcher {
    /// Builds it.
    ///
    /// # Errors
    /// For a pattern that is empty, too long, not valid, or too large when expanded.
    pub(crate) fn new(query: &Query) -> Result<Self> {
        if query.pattern.is_empty() {
            return Err(Error::Pattern("there is nothing to look for".into()));
        }
        if query.pattern.len() > PATTERN_LIMIT {
            return Err(Error::Pattern(format!("longer than {PATTERN_LIMIT} bytes")));
        }
        if !query.regex && query.pattern.contains(['\n', '\r']) {
            return Err(Error::Pattern("a text to look for stands on one line".into()));
        }
        let pattern = if query.regex { query.pattern.clone() } else { regex::escape(&query.pattern) };
        let regex = RegexBuilder::new(&pattern)
            .multi_line(true)
            .crlf(true)
            .case_insensitive(!query.case_sensitive)
            .nest_limit(NEST_LIMIT)
            .size_limit(MACHINE_LIMIT)
            .dfa_size_limit(MACHINE_LIMIT)
            .build()
            .map_err(|e| match e {
                regex::Error::CompiledTooBig(_) => Error::Pattern("the expression is too large".into()),
                other => Error::Pattern(other.to_string()),
            })?;
        Ok(Self { regex, pattern, case_sensitive: query.case_sensitive })
    }

    /// The lines of `text` that match, the first `keep` of them with their text.
    pub(crate) fn lines(&self, text: &[u8], keep: usize) -> Matched {
        let mut out = Matched::default();
        let (mut at, mut line, mut counted) = (0, 1u32, 0);
        while at < text.len() {
            let Some(found) = self.regex.find_at(text, at) else { break };
            let start = memchr::memrchr(b'\n', &text[..found.start()]).map_or(0, |n| n + 1);
            let end = memchr::memchr(b'\n', &text[found.start()..]).map_or(text.len(), |n| found.start() + n);
            let next = (end + 1).max(at + 1);
            line += memchr::memchr_iter(b'\n', &text[counted..start]).count() as u32;
            counted = start;
            let bare = text[start..end].strip_suffix(b"\r").unwrap_or(&text[start..end]);
            // the match must also be one within its line: expressions do not reach over line ends
            let ranges: Vec<(usize, usize)> =
                self.regex.find_iter(bare).filter(|m| !m.is_empty()).take(RANGES_PER_LINE).map(|m| (m.start(), m.end())).collect();
            if !ranges.is_empty() {
                out.lines += 1;
                out.word |= ranges.iter().any(|r| is_word(bare, *r));
                if out.shown.len() < keep {
                    let (text, ranges) = show(bare, &ranges);
                    out.shown.push(LineMatch { line, text, ranges });
                }
            }
            at = next;
        }
        out
    }

    /// Where it matches in a path.
    pub(crate) fn in_path(&self, path: &str) -> Vec<(usize, usize)> {
        self.regex.find_iter(path.as_bytes()).filter(|m| !m.is_empty()).take(RANGES_PER_LINE).map(|m| (m.start(), m.end())).collect()
    }
}

fn is_word(line: &[u8], (start, end): (usize, usize)) -> bool {
    let letter = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_' || *b >= 0x80);
    !letter(start.checked_sub(1).and_then(|i| line.get(i))) && !letter(line.get(end))
}

/// Offsets in UTF-16 units of the text shown for `bytes`.
pub(crate) fn units(bytes: &[u8], ranges: &[(usize, usize)]) -> Vec<(u32, u32)> {
    let to = |at: usize| String::from_utf8_lossy(&bytes[..at.min(bytes.len())]).encode_utf16().count() as u32;
    ranges.iter().map(|(a, b)| (to(*a), to(*b))).collect()
}

fn show(line: &[u8], ranges: &[(usize, usize)]) -> (String, Vec<(u32, u32)>) {
    let (mut from, mut to) = (0, line.len());
    if line.len() > TEXT {
        from = ranges.first().map_or(0, |r| r.0.saturating_sub(BEFORE)).min(line.len() - TEXT);
        // not within a character
        while from > 0 && (line[from] & 0xc0) == 0x80 {
            from -= 1;
        }
        to = (from + TEXT).min(line.len());
        while to < line.len() && (line[to] & 0xc0) == 0x80 {
            to += 1;
        }
    }
    let window = &line[from..to];
    let inside: Vec<(usize, usize)> = ranges.iter().filter(|r| r.0 >= from && r.0 < to).map(|r| (r.0 - from, r.1.min(to) - from)).collect();
    (String::from_utf8_lossy(window).into_owned(), units(window, &inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Line = (u32, String, Vec<(u32, u32)>);

    fn run(pattern: &str, regex: bool, text: &str) -> Vec<Line> {
        let query = Query { regex, ..Query::text(pattern, Vec::new()) };
        Matcher::new(&query).unwrap().lines(text.as_bytes(), 10).shown.into_iter().map(|m| (m.line, m.text, m.ranges)).collect()
    }

    #[test]
    fn lines_and_ranges() {
        assert_eq!(run("ab", false, "x\nAB ab\r\n\nab"), [(2, "AB ab".into(), vec![(0, 2), (3, 5)]), (4, "ab".into(), vec![(0, 2)])]);
        assert_eq!(run("b", false, "é😀b"), [(1, "é😀b".into(), vec![(3, 4)])]);
        assert_eq!(run("^b$", true, "a\nb\r\nc"), [(2, "b".into(), vec![(0, 1)])]);
        assert_eq!(run(r"a\sb", true, "a\nb\na b"), [(3, "a b".into(), vec![(0, 3)])]);
        assert_eq!(run("x*", true, "ab\ncx"), [(2, "cx".into(), vec![(1, 2)])]);
        let long = format!("{}needle{}", "é".repeat(1000), "z".repeat(1000));
        let found = run("needle", false, &long);
        let (start, end) = found[0].2[0];
        let shown: Vec<u16> = found[0].1.encode_utf16().collect();
        assert_eq!(String::from_utf16(&shown[start as usize..end as usize]).unwrap(), "needle");
        assert!(found[0].1.len() < 500);
    }

    #[test]
    fn bad_patterns_are_told() {
        for (pattern, regex) in
            [("", false), ("(", true), (&*"a".repeat(2000), false), (r"\w{500}{500}", true), (&*"(".repeat(200), true), ("a\nb", false)]
        {
            let query = Query { regex, ..Query::text(pattern, Vec::new()) };
            assert!(matches!(Matcher::new(&query), Err(Error::Pattern(_))), "{pattern:.20}");
        }
    }
}
