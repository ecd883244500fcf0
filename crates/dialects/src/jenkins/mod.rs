//! Jenkinsfiles with a declarative pipeline.
//!
//! [`parse()`] is a parser of the Groovy that Jenkinsfiles are written in, [`model`] the declarative model with the JSON
//! form Jenkins itself converts it to, [`read()`] makes one of the other with the messages Jenkins gives. [`plan`] makes
//! one job of it, which says what cannot run; [`mod@run`] runs the stages over [`interp`], which asks a host for all that
//! touches the world. Bounded in size, depth and steps.

pub mod ast;
mod check;
pub mod interp;
mod lex;
pub mod model;
mod parse;
mod parse_expr;
pub mod plan;
mod read;
pub mod run;
mod source;
mod tables;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_messages;

pub use lex::MAX_BYTES;
pub use parse::parse;
pub use source::Source;
pub use tables::POST_CONDITIONS;

use crate::diagnostic::{Diagnostic, Diagnostics};

use ast::{Script, Stmt, StmtKind};
use model::Pipeline;

/// The file at the root of a repository.
pub const FILE: &str = "Jenkinsfile";

/// A place where the text is not Groovy, or not in the subset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    /// Offset in bytes.
    pub at: u32,
    /// What is wrong.
    pub message: String,
}

/// What became of a file.
#[derive(Debug)]
pub struct Read {
    /// Its text with its lines.
    pub source: Source,
    /// All of its statements.
    pub script: Script,
    /// The pipeline; none when there are errors.
    pub pipeline: Option<Pipeline>,
    /// Messages in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads a Jenkinsfile.
pub fn read(path: &str, bytes: &[u8]) -> Read {
    let mut out = Diagnostics::default();
    // not looked at further than it is parsed
    let text = match std::str::from_utf8(bytes.get(..lex::MAX_BYTES + 1).unwrap_or(bytes)) {
        Ok(text) => text,
        Err(e) if bytes.len() > lex::MAX_BYTES => std::str::from_utf8(&bytes[..e.valid_up_to()]).unwrap_or_default(),
        Err(_) => {
            out.error(&crate::Span::whole(path), "encoding", "the file is not UTF-8");
            ""
        }
    };
    let source = Source::new(path, text);
    let mut script = Script { body: Vec::new() };
    let mut pipeline = None;
    if !out.has_errors() {
        match parse(text) {
            Err(error) => out.error(&source.span(error.at), "syntax", error.message),
            Ok(parsed) => {
                script = parsed;
                pipeline = declarative(&source, &script, &mut out);
            }
        }
    }
    let pipeline = pipeline.filter(|_| !out.has_errors());
    Read { source, script, pipeline, diagnostics: out.into_sorted() }
}

/// Finds the `pipeline` block and reads it.
fn declarative(source: &Source, script: &Script, out: &mut Diagnostics) -> Option<Pipeline> {
    let mut reader = read::Reader { source, out };
    if let Some(stmt) = script.body.iter().find(|s| is_pipeline(s)) {
        let pipeline = reader.pipeline(stmt)?;
        reader.check(&pipeline);
        return Some(pipeline);
    }
    // a library's `call` may hold it
    let call = script.body.iter().find_map(|s| match &s.kind {
        StmtKind::Method(m) if m.name == "call" => Some(&m.body),
        _ => None,
    });
    if let Some(stmt) = call.and_then(|body| body.iter().find(|s| is_pipeline(s))) {
        let pipeline = reader.pipeline(stmt)?;
        reader.check(&pipeline);
        return Some(pipeline);
    }
    match script.body.iter().find_map(nested) {
        Some(stmt) => reader.error(stmt.at, "syntax", "pipeline block must be at the top-level, not within another block."),
        None => {
            let message = "the file holds no `pipeline { }` block: scripted pipelines (`node { }`) are not run here";
            reader.out.error(&source.span(0), "scripted", message);
        }
    }
    None
}

fn is_pipeline(stmt: &Stmt) -> bool {
    stmt.call().is_some_and(|c| c.plain_name() == Some("pipeline"))
}

/// A `pipeline` block inside another one.
fn nested(stmt: &Stmt) -> Option<&Stmt> {
    let (name, _, body) = stmt.block_call()?;
    if name == "pipeline" { Some(stmt) } else { body.body.iter().find_map(nested) }
}
