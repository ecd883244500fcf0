//! What a reader of a pipeline file has to tell its author: where, how bad, which rule, and what happens instead.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A place in a pipeline file. Lines and columns start at 1; 0 means the file as a whole.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    /// Path in the repository, shared by all the spans of one file.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl Span {
    /// A span for the file as a whole.
    pub fn whole(file: &str) -> Self {
        Self { file: file.into(), line: 0, column: 0 }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether a workflow can still run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It runs; the message says what is different.
    Warning,
    /// It does not run.
    Error,
}

/// One located message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Where.
    #[serde(flatten)]
    pub span: Span,
    /// How bad.
    pub severity: Severity,
    /// Stable code such as `unknown_key`; clients may match on it.
    pub code: String,
    /// What is wrong and what happens instead.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = if self.severity == Severity::Error { "error" } else { "warning" };
        write!(f, "{}: {severity}[{}]: {}", self.span, self.code, self.message)
    }
}

/// Most messages kept of one file; a hostile file must not fill a database with complaints.
const MAX_DIAGNOSTICS: usize = 200;

/// Collects the messages of one file.
#[derive(Debug, Default)]
pub struct Diagnostics {
    items: Vec<Diagnostic>,
    errors: usize,
}

impl Diagnostics {
    /// Notes something that keeps the workflow from running.
    pub fn error(&mut self, span: &Span, code: &str, message: impl Into<String>) {
        self.errors += 1;
        self.push(span, Severity::Error, code, message.into());
    }

    /// Notes something that will be different from what the author may expect.
    pub fn warning(&mut self, span: &Span, code: &str, message: impl Into<String>) {
        self.push(span, Severity::Warning, code, message.into());
    }

    fn push(&mut self, span: &Span, severity: Severity, code: &str, message: String) {
        // a part that is used in many places is told about once
        let known = self.items.iter().any(|d| d.span == *span && d.code == code && d.message == message);
        if self.items.len() < MAX_DIAGNOSTICS && !known {
            self.items.push(Diagnostic { span: span.clone(), severity, code: code.into(), message });
        }
    }

    /// Was there an error?
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// How many errors so far.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// The messages in the order of the file.
    pub fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.items.sort_by_key(|d| (d.span.line, d.span.column));
        self.items
    }
}
