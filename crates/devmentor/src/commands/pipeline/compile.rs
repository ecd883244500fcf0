//! Compiles a pipeline file with the files beside it; other repositories are out of reach here.

use std::fs;
use std::path::{Path, PathBuf};

use dialects::github::Compiled;
use dialects::trial::{self, Event, Sources, Tried};
use serde_json::Value;

use super::{MAX_FILE, bytes};
use crate::args::{FileDialect, PlanOf};
use crate::failure::Result;

/// Directories that are listed for `exists` and the like.
const MAX_PATHS: usize = 20_000;

/// The files of a directory.
pub(super) struct Here(PathBuf);

impl Here {
    /// The repository that a file lies in: the nearest directory with `.git` or `.github`, else the file's own.
    pub(super) fn around(path: &Path) -> Self {
        Self(root_of(path).unwrap_or_else(|| PathBuf::from(".")))
    }

    /// The path of a file as the repository names it.
    pub(super) fn name(&self, path: &Path) -> String {
        path.strip_prefix(&self.0).unwrap_or(path).to_string_lossy().into_owned()
    }
}

impl Sources for Here {
    fn file(&self, path: &str) -> Option<Vec<u8>> {
        read(&self.0, path)
    }

    fn paths(&self) -> Option<Vec<String>> {
        paths(&self.0)
    }
}

/// Compiles a file as for a push to the default branch.
pub(super) fn compile(path: &Path, dialect: Option<FileDialect>) -> Result<Compiled> {
    let (name, bytes, dialect) = open(path, dialect)?;
    Ok(trial::compile(&name, &bytes, dialect.target(), &Event::default(), &Here::around(path)))
}

/// Compiles a file for the event that is asked about, and says what it starts; without one, all jobs are in.
pub(super) fn plan(asked: &PlanOf) -> Result<Tried> {
    let (name, bytes, dialect) = open(&asked.file, asked.dialect)?;
    let usual = Event::default();
    let event = Event {
        event: asked.event.clone().unwrap_or(usual.event),
        reference: asked.r#ref.clone(),
        changed: asked.changed.clone(),
        action: asked.action.clone(),
        workflow: asked.workflow.clone(),
        base: asked.base.clone(),
        default_branch: asked.default_branch.clone(),
        inputs: asked.inputs.iter().map(|(k, v)| (k.clone(), Value::String(v.clone()))).collect(),
        variables: usual.variables,
    };
    let here = Here::around(&asked.file);
    if asked.event.is_none() && dialect == FileDialect::Github {
        let made = trial::compile(&name, &bytes, dialect.target(), &event, &here);
        return Ok(Tried { plan: made.plan, quiet: None, diagnostics: made.diagnostics });
    }
    Ok(trial::plan(&name, &bytes, dialect.target(), &event, &here))
}

fn open(path: &Path, dialect: Option<FileDialect>) -> Result<(String, Vec<u8>, FileDialect)> {
    let bytes = bytes(path)?;
    let name = path.to_string_lossy().into_owned();
    let dialect = dialect.unwrap_or_else(|| FileDialect::seen(&name, &bytes));
    Ok((name, bytes, dialect))
}

/// A file of the repository, of a sensible size.
fn read(root: &Path, path: &str) -> Option<Vec<u8>> {
    if Path::new(path).components().any(|c| !matches!(c, std::path::Component::Normal(_))) {
        return None;
    }
    let path = root.join(path);
    let facts = fs::metadata(&path).ok()?;
    if facts.is_file() && facts.len() <= MAX_FILE { fs::read(path).ok() } else { None }
}

fn root_of(path: &Path) -> Option<PathBuf> {
    let whole = if path == Path::new("-") { std::env::current_dir().ok()?.join("-") } else { path.canonicalize().ok()? };
    let mut above = whole.ancestors().skip(1);
    above.find(|a| a.join(".git").exists() || a.join(".github").is_dir()).or_else(|| whole.parent()).map(Path::to_owned)
}

/// All files below a directory; none when there are too many.
fn paths(root: &Path) -> Option<Vec<String>> {
    let mut open = vec![root.to_owned()];
    let mut found = Vec::new();
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).ok()?.flatten() {
            let (path, kind) = (entry.path(), entry.file_type().ok()?);
            if kind.is_dir() && entry.file_name() != ".git" {
                open.push(path);
            } else if kind.is_file() {
                found.push(path.strip_prefix(root).ok()?.to_string_lossy().into_owned());
            }
            if found.len() + open.len() > MAX_PATHS {
                return None;
            }
        }
    }
    Some(found)
}
