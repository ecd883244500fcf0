//! Test cases, as the tools of many languages report them, brought to one shape.

pub mod go;
pub mod junit;
pub mod libtest;
pub mod tap;
pub mod trx;

use super::bounded;

/// Most cases of one file.
const MAX_CASES: usize = 50_000;
/// Longest name.
const MAX_NAME: usize = 1000;
/// Longest message.
const MAX_MESSAGE: usize = 4096;
/// Longest details.
const MAX_DETAILS: usize = 64 << 10;

/// One test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Suite.
    pub suite: String,
    /// Class or module.
    pub class: String,
    /// Name.
    pub name: String,
    /// `passed`, `failed`, `skipped`, `error`.
    pub status: &'static str,
    /// How long it took.
    pub duration_ms: i64,
    /// What went wrong, in short.
    pub message: Option<String>,
    /// What went wrong, at length.
    pub details: Option<String>,
    /// Where it is written.
    pub file: Option<String>,
}

impl Case {
    fn new(suite: &str, name: &str, status: &'static str) -> Self {
        Self {
            suite: bounded(suite, MAX_NAME),
            class: String::new(),
            name: bounded(name, MAX_NAME),
            status,
            duration_ms: 0,
            message: None,
            details: None,
            file: None,
        }
    }

    /// Tells what went wrong: the text, and its first line in short.
    fn explain(&mut self, text: &str) {
        let text = text.trim();
        if !text.is_empty() {
            self.message.get_or_insert_with(|| bounded(text.lines().next().unwrap_or_default().trim(), MAX_MESSAGE));
            self.details = Some(bounded(text, MAX_DETAILS));
        }
    }
}

/// Milliseconds of seconds; nothing sensible is 0.
fn millis(seconds: f64) -> i64 {
    if seconds.is_finite() { (seconds * 1000.0).round().clamp(0.0, 1e12) as i64 } else { 0 }
}

/// # Errors
/// In words, when there are too many.
fn enough(count: usize) -> Result<(), String> {
    if count > MAX_CASES { Err(format!("more than {MAX_CASES} tests in one file")) } else { Ok(()) }
}
