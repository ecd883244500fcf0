//! Compiles a pipeline file with the files beside it; other repositories are out of reach here.

use std::fs;
use std::path::{Path, PathBuf};

use dialects::github::{self, Compiled, Found, Library};
use dialects::{gitlab, jenkins};

use super::{MAX_FILE, bytes};
use crate::args::{FileDialect, PlanOf};
use crate::failure::Result;

/// Files lead to further ones; more rounds than this lead nowhere.
const MAX_ROUNDS: usize = 24;
/// Directories that are listed for `exists` and the like.
const MAX_PATHS: usize = 20_000;

/// Compiles a file; an event matters only to dialects that decide with it what the plan is.
pub(super) fn compile(path: &Path, dialect: Option<FileDialect>, asked: Option<&PlanOf>) -> Result<Compiled> {
    let bytes = bytes(path)?;
    let name = path.to_string_lossy();
    let root = root_of(path);
    Ok(match dialect.unwrap_or_else(|| FileDialect::seen(&name, &bytes)) {
        FileDialect::Github => workflow(&name, &bytes, root.as_deref()),
        FileDialect::Gitlab => {
            let world = Local { root, changed: asked.and_then(|a| a.changed.clone()) };
            gitlab::compile(&name, &bytes, &facts(asked), &world)
        }
        FileDialect::Jenkins => jenkins::plan::compile(&name, &bytes),
    })
}

fn workflow(name: &str, bytes: &[u8], root: Option<&Path>) -> Compiled {
    let Some(root) = root else { return github::compile(name, bytes) };
    let mut library = Library::default();
    let mut compiled = github::compile_with(name, bytes, &library);
    for _ in 0..MAX_ROUNDS {
        if compiled.wants.is_empty() {
            break;
        }
        for want in std::mem::take(&mut compiled.wants) {
            let found = match &want.foreign {
                Some(_) => Found::Offline,
                None => read(root, &want.path).map_or(Found::Absent, |bytes| Found::File { bytes, pin: None }),
            };
            library.insert(want, found);
        }
        compiled = github::compile_with(name, bytes, &library);
    }
    compiled
}

/// A file of the repository, of a sensible size.
pub(super) fn read(root: &Path, path: &str) -> Option<Vec<u8>> {
    if Path::new(path).components().any(|c| !matches!(c, std::path::Component::Normal(_))) {
        return None;
    }
    let path = root.join(path);
    let facts = fs::metadata(&path).ok()?;
    if facts.is_file() && facts.len() <= MAX_FILE { fs::read(path).ok() } else { None }
}

/// The repository that a file lies in: the nearest directory with `.git` or `.github`, else the file's own.
pub(super) fn root_of(path: &Path) -> Option<PathBuf> {
    let whole = if path == Path::new("-") { std::env::current_dir().ok()?.join("-") } else { path.canonicalize().ok()? };
    let mut above = whole.ancestors().skip(1);
    above.find(|a| a.join(".git").exists() || a.join(".github").is_dir()).or_else(|| whole.parent()).map(Path::to_owned)
}

/// What GitLab's rules may look at.
struct Local {
    root: Option<PathBuf>,
    changed: Option<Vec<String>>,
}

impl gitlab::World for Local {
    fn file(&self, origin: &gitlab::Origin, path: &str) -> std::result::Result<Vec<u8>, String> {
        match (origin, &self.root) {
            (gitlab::Origin::Here, Some(root)) => read(root, path).ok_or_else(|| "there is no such file".into()),
            _ => Err("other projects are looked up by the server when the pipeline is made; here they are out of reach".into()),
        }
    }

    fn paths(&self, origin: &gitlab::Origin) -> Option<Vec<String>> {
        let (gitlab::Origin::Here, Some(root)) = (origin, &self.root) else { return None };
        paths(root)
    }

    fn changed(&self, _: Option<&str>) -> std::result::Result<Option<Vec<String>>, String> {
        Ok(self.changed.clone())
    }
}

/// All files below a directory; none when there are too many.
pub(super) fn paths(root: &Path) -> Option<Vec<String>> {
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

/// The event in GitLab's words.
fn facts(asked: Option<&PlanOf>) -> gitlab::Facts {
    let Some(asked) = asked else {
        let main = "main".to_owned();
        return gitlab::Facts { source: "push".into(), reference: "refs/heads/main".into(), default_branch: main, ..sample() };
    };
    let source = match asked.event.as_deref().unwrap_or("push") {
        "pull_request" | "merge_request" => "merge_request_event",
        "workflow_dispatch" => "web",
        other => other,
    };
    let reference = if asked.r#ref.starts_with("refs/") { asked.r#ref.clone() } else { format!("refs/heads/{}", asked.r#ref) };
    gitlab::Facts {
        source: source.to_owned(),
        reference,
        default_branch: asked.default_branch.clone(),
        inputs: asked.inputs.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect(),
        ..sample()
    }
}

/// A project and a commit as they could be.
fn sample() -> gitlab::Facts {
    gitlab::Facts {
        sha: "0".repeat(40),
        before: Some("0".repeat(40)),
        project_path: "group/project".into(),
        visibility: "private".into(),
        server_url: "http://localhost:3004".into(),
        server_host: "localhost:3004".into(),
        user: "you".into(),
        ..gitlab::Facts::default()
    }
}
