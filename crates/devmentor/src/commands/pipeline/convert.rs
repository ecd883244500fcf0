//! `pipeline convert` and `pipeline detect`: pipeline files written anew, in any dialect.

use std::fs;
use std::path::Path;

use dialects::convert::{self, Converted};
use dialects::detect::{self, Tree};
use dialects::{Diagnostic, Severity};
use serde_json::{Value, json};

use super::{MAX_FILE, broken, bytes, tell};
use crate::args::FileDialect;
use crate::failure::{Failure, Result};
use crate::output::{Format, line, plain, raw};

/// Files of a directory that are looked at.
const MAX_FILES: usize = 50_000;
/// Directories in which nobody writes sources.
const SKIPPED: &[&str] = &[".git", "node_modules", "target", ".venv", "dist"];

/// Writes a file in another dialect.
pub(super) fn file(path: &Path, from: Option<FileDialect>, to: FileDialect, output: Option<&Path>, format: Format) -> Result {
    let (name, text) = (path.to_string_lossy(), bytes(path)?);
    let from = from.unwrap_or_else(|| FileDialect::seen(&name, &text));
    match convert::convert(&name, &text, from.target(), to.target()) {
        Ok(made) => show(&made, json!({}), output, format),
        Err(diagnostics) => {
            tell(&diagnostics);
            broken(&diagnostics, format)
        }
    }
}

/// Writes what would be built without a file.
pub(super) fn detect(directory: Option<&Path>, to: FileDialect, output: Option<&Path>, format: Format) -> Result {
    let root = directory.unwrap_or_else(|| Path::new("."));
    if !root.is_dir() {
        return Err(Failure::Usage(format!("{}: there is no such directory", root.display())));
    }
    let mut files = Vec::new();
    list(root, "", &mut files)?;
    files.sort();
    let read = |path: &str| {
        let path = root.join(path);
        let small = fs::metadata(&path).ok()?.len() <= MAX_FILE;
        small.then(|| fs::read_to_string(path).ok()).flatten()
    };
    let Some(found) = detect::detect(&Tree { files: &files, read: &read }) else {
        return Err(Failure::Failed(format!("nothing in {} is known to be built or tested", root.display())));
    };
    if format == Format::Human {
        found.explanation.iter().for_each(|why| eprintln!("{}", plain(why)));
    }
    let made = convert::write_detected(&found.plan, to.target());
    show(&made, json!({ "explanation": found.explanation, "stacks": found.stacks }), output, format)
}

fn list(root: &Path, below: &str, files: &mut Vec<String>) -> Result {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
        let kind = entry.file_type()?;
        if kind.is_dir() && !SKIPPED.contains(&name.as_str()) {
            list(root, &path, files)?;
        } else if kind.is_file() {
            files.push(path);
        }
        if files.len() > MAX_FILES {
            return Err(Failure::Usage(format!("{} holds more than {MAX_FILES} files", root.display())));
        }
    }
    Ok(())
}

fn show(made: &Converted, more: Value, output: Option<&Path>, format: Format) -> Result {
    let text = made.files.first().map_or("", |f| f.text.as_str());
    if let Some(path) = output {
        // `.github/workflows` is rarely there before
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, text));
        written.map_err(|e| Failure::Usage(format!("{}: {e}", path.display())))?;
    }
    match format {
        Format::Json => {
            let mut value = serde_json::to_value(made)?;
            if let (Value::Object(all), Value::Object(more)) = (&mut value, more) {
                all.extend(more);
            }
            line(&serde_json::to_string_pretty(&value)?)?;
        }
        Format::Human => {
            tell(&made.differences);
            if output.is_none() {
                raw(text.as_bytes())?;
            }
        }
    }
    let by_hand = |d: &&Diagnostic| d.severity == Severity::Error;
    match made.differences.iter().filter(by_hand).count() {
        0 => Ok(()),
        n => Err(Failure::Failed(format!("{n} parts have to be written by hand"))),
    }
}
