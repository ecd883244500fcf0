//! Facts about source text: its language, its lines by kind, its functions and their complexity.
//!
//! Owns the language table, the comment scanner and the metric rules. Bytes in, facts out: no IO, no clock but a
//! stopwatch, no panic on any input, bounded in time and memory. Must not know where the bytes come from or where the
//! facts go.
//!
//! Read next: `language` (the table), `metrics` (the rules, in words), `rules` (the rules, per grammar).

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub mod language;
pub mod lines;
pub mod metrics;
mod rules;

pub use language::{Language, Purpose, detect};
pub use lines::{LineKind, Lines};
pub use metrics::{Function, Grammar};

/// Files above this are listed with their size only. Larger ones are data or generated in practice.
pub const SIZE_LIMIT: usize = 2 * 1024 * 1024;

/// How long one file may be parsed. A file of 2 MiB of real code takes a fifth of it.
pub const TIME_LIMIT: Duration = Duration::from_secs(2);

/// Functions kept of one file.
pub const FUNCTION_LIMIT: usize = 20_000;

/// Git's own test for binary content: a NUL among the first 8000 bytes.
pub fn is_binary(bytes: &[u8]) -> bool {
    memchr::memchr(0, &bytes[..bytes.len().min(8000)]).is_some()
}

/// Why a file has fewer facts than its language could give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Skipped {
    /// Not text.
    Binary,
    /// Over [`SIZE_LIMIT`].
    TooLarge,
    /// Over [`TIME_LIMIT`]; lines are counted, functions are not.
    TimedOut,
}

impl Skipped {
    /// The text form, as stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Skipped::Binary => "binary",
            Skipped::TooLarge => "too_large",
            Skipped::TimedOut => "timed_out",
        }
    }
}

/// What one file tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Its language, if the table knows it.
    pub language: Option<&'static Language>,
    /// Lines by kind; zero where skipped.
    pub lines: Lines,
    /// Its functions in order, for languages with a grammar.
    pub functions: Vec<Function>,
    /// Part of the text did not fit the grammar.
    pub parse_error: bool,
    /// What is missing, and why.
    pub skipped: Option<Skipped>,
}

/// Reads all facts of one file.
pub fn analyze(path: &str, bytes: &[u8]) -> Facts {
    analyze_within(path, bytes, TIME_LIMIT)
}

/// As [`analyze`], with another time limit.
pub fn analyze_within(path: &str, bytes: &[u8], budget: Duration) -> Facts {
    let mut facts = Facts { language: detect(path, bytes), ..Facts::default() };
    if is_binary(bytes) {
        return Facts { skipped: Some(Skipped::Binary), ..facts };
    }
    if bytes.len() > SIZE_LIMIT {
        return Facts { skipped: Some(Skipped::TooLarge), ..facts };
    }
    let Some(language) = facts.language else {
        // text of no known language still has lines
        let kinds = lines::kinds(bytes, language::plain());
        return Facts { lines: Lines::of(&kinds), ..facts };
    };
    let kinds = lines::kinds(bytes, language.lexis);
    facts.lines = Lines::of(&kinds);
    if let Some(grammar) = language.grammar {
        match metrics::measure(grammar, bytes, &kinds, budget) {
            Ok(measured) => {
                facts.functions = measured.functions;
                facts.functions.truncate(FUNCTION_LIMIT);
                facts.parse_error = measured.parse_error;
            }
            Err(metrics::Refusal::TimedOut) => facts.skipped = Some(Skipped::TimedOut),
            Err(metrics::Refusal::Grammar) => facts.parse_error = true,
        }
    }
    facts
}

#[cfg(test)]
mod tests;
