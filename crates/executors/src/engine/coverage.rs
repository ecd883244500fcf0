//! The percentage that a job's log states, found as the log is written by the pattern that the job gives.

use std::sync::{LazyLock, Mutex, PoisonError};

use regex::bytes::Regex;

/// The rest of a longer line is not looked at.
const LINE_MAX: usize = 64 * 1024;

/// The first number in what the pattern found.
static NUMBER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\d+(?:\.\d+)?").ok());

/// What is looked for in the log of a job, and what was found last.
pub(crate) struct Coverage {
    pattern: Regex,
    found: Mutex<Option<String>>,
}

impl Coverage {
    /// Nothing for a pattern that cannot be used; that was said when the file was read.
    pub(crate) fn new(pattern: &str) -> Option<Self> {
        let pattern = regex::bytes::RegexBuilder::new(pattern).size_limit(1 << 20).build().ok()?;
        Some(Self { pattern, found: Mutex::new(None) })
    }

    /// What was found by an earlier try.
    pub(crate) fn set(&self, found: String) {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
    }

    /// Looks at what a step writes. `held` is its line that has no end yet.
    pub(crate) fn look(&self, held: &mut Vec<u8>, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            if held.is_empty() {
                self.line(&rest[..end.min(LINE_MAX)]);
            } else {
                let room = LINE_MAX.saturating_sub(held.len());
                held.extend_from_slice(&rest[..end.min(room)]);
                self.line(held);
                held.clear();
            }
            rest = &rest[end + 1..];
        }
        let room = LINE_MAX.saturating_sub(held.len());
        held.extend_from_slice(&rest[..rest.len().min(room)]);
    }

    /// The last group of the last match of a line counts, or the whole match without groups.
    fn line(&self, line: &[u8]) {
        let Some(captures) = self.pattern.captures_iter(line).last() else { return };
        let Some(text) = captures.get(captures.len() - 1).map(|m| m.as_bytes()) else { return };
        let Some(number) = NUMBER.as_ref().and_then(|n| n.find(text)) else { return };
        let number = String::from_utf8_lossy(number.as_bytes()).into_owned();
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(number);
    }

    /// The percentage found last.
    pub(crate) fn found(&self) -> Option<String> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::Coverage;

    fn found(pattern: &str, chunks: &[&str]) -> Option<String> {
        let coverage = Coverage::new(pattern)?;
        let mut held = Vec::new();
        chunks.iter().for_each(|c| coverage.look(&mut held, c.as_bytes()));
        coverage.found()
    }

    #[test]
    fn the_last_number_counts() {
        for (pattern, chunks, expect) in [
            (r"TOTAL.*\s(\d+)%", &["a\nTOT", "AL 10 2 80", "%\nTOTAL 10 1 90%\nend\n"][..], Some("90")),
            (r"\d+\.\d+% covered", &["12.5% covered\n"], Some("12.5")),
            (r"Coverage: (\d+)/(\d+)", &["Coverage: 3/40\n"], Some("40")),
            (r"\d+%", &["1% 2%\n"], Some("2")),
            (r"none", &["none\n1%\n"], None),
            (r"\d+%", &["77%"], None),
            (r"(", &["1%\n"], None),
        ] {
            assert_eq!(found(pattern, chunks).as_deref(), expect, "{pattern}");
        }
    }

    #[test]
    fn long_lines_cost_little() {
        let long = "x".repeat(1 << 20);
        assert_eq!(found(r"\d+%", &[&long, &long, "9%\n5%\n"]).as_deref(), Some("5"));
    }
}
