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
pub mod library;
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
mod tests_library;
#[cfg(test)]
mod tests_messages;
#[cfg(test)]
mod tests_real;

pub use lex::MAX_BYTES;
pub use parse::parse;
pub use source::Source;
pub use tables::POST_CONDITIONS;

use crate::diagnostic::{Diagnostic, Diagnostics};

use ast::{Method, Script, Stmt, StmtKind};
use library::Library;
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
    /// The variable of a shared library that holds the pipeline, when the file only calls it.
    pub entry: Option<Entry>,
    /// Messages in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

/// A `pipeline` block in the `call` of a shared library's variable.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The variable.
    pub name: String,
    /// Its `call`.
    pub method: Method,
}

/// Reads a Jenkinsfile.
pub fn read(path: &str, bytes: &[u8]) -> Read {
    read_with(path, bytes, &[])
}

/// Reads a Jenkinsfile whose pipeline may be in one of these libraries.
pub fn read_with(path: &str, bytes: &[u8], libraries: &[Library]) -> Read {
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
    let (mut pipeline, mut entry) = (None, None);
    if !out.has_errors() {
        match parse(text) {
            Err(error) => out.error(&source.span(error.at), "syntax", error.message),
            Ok(parsed) => {
                script = parsed;
                entry = in_library(&source, &script, libraries);
                pipeline = declarative(&source, &script, entry.as_ref(), &mut out);
            }
        }
    }
    let pipeline = pipeline.filter(|_| !out.has_errors());
    Read { source, script, pipeline, entry, diagnostics: out.into_sorted() }
}

/// The variable that a file without a pipeline calls, when that has one.
fn in_library(source: &Source, script: &Script, libraries: &[Library]) -> Option<Entry> {
    if script.body.iter().any(is_pipeline) {
        return None;
    }
    for name in script.body.iter().filter_map(|s| s.call()?.plain_name()) {
        let path = format!("vars/{name}.groovy");
        let Some((library, text)) = libraries.iter().find_map(|l| Some((l, l.files.get(&path)?))) else { continue };
        let base = source.add(&library.file(&path), text)?;
        let parsed = parse::parse_from(text, base).ok()?;
        let method = parsed.body.into_iter().find_map(|s| match s.kind {
            StmtKind::Method(m) if m.name == "call" && m.body.iter().any(is_pipeline) => Some(m),
            _ => None,
        });
        if let Some(method) = method {
            return Some(Entry { name: name.to_owned(), method });
        }
    }
    None
}

/// Finds the `pipeline` block and reads it.
fn declarative(source: &Source, script: &Script, entry: Option<&Entry>, out: &mut Diagnostics) -> Option<Pipeline> {
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
    let call = call.or(entry.map(|e| &e.method.body));
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
