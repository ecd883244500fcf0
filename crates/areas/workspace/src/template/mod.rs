//! Templates: built into the binary, or any repository of the instance with a `template.toml`.
//!
//! Owns the renderer and the knowledge of which tools are here. Invariant: what comes out is a list of files held to the
//! same path rules as a push, and a template whose tools are missing is refused by name.

pub mod manifest;
pub mod model;
pub mod render;
pub mod routes;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use executors::tools::{Probe, at_least, probe};
use indexmap::IndexMap;
use kernel::{Code, Context, Error, Permission, RepoPath, Result};
use parking_lot::Mutex;
use rust_embed::RustEmbed;
use serde_json::Value;
use web_kit::App;

use manifest::Manifest;

const MOST_FILES: usize = 2000;
const MOST_BYTES: u64 = 64 << 20;
const MOST_RENDERED: usize = 1 << 20;

#[derive(RustEmbed)]
#[folder = "../../../templates"]
struct BuiltIn;

/// A file of a template or of the project made from it.
#[derive(Clone, Debug)]
pub struct File {
    /// Below the root.
    pub path: String,
    /// Its bytes.
    pub data: Vec<u8>,
    /// Mode 100755.
    pub executable: bool,
}

/// A template with its files.
#[derive(Clone, Debug)]
pub struct Template {
    /// Its manifest.
    pub manifest: Manifest,
    /// The tree below `files/`.
    pub files: Vec<File>,
}

/// Names of the built-in templates.
pub fn built_in() -> Vec<String> {
    let mut names: Vec<String> =
        BuiltIn::iter().filter_map(|p| p.strip_suffix("/template.toml").filter(|n| !n.contains('/')).map(str::to_owned)).collect();
    names.sort();
    names
}

/// The manifest of a built-in template.
///
/// # Errors
/// `not_found`.
pub fn built_in_manifest(name: &str) -> Result<Manifest> {
    let missing = || Error::not_found("template");
    if kernel::Slug::parse(name).is_err() {
        return Err(missing());
    }
    let file = BuiltIn::get(&format!("{name}/template.toml")).ok_or_else(missing)?;
    Manifest::parse(std::str::from_utf8(&file.data).map_err(Error::internal)?)
}

fn built_in_template(name: &str) -> Result<Template> {
    let manifest = built_in_manifest(name)?;
    let root = format!("{name}/files/");
    let mut files = Vec::new();
    for path in BuiltIn::iter() {
        if let (Some(below), Some(file)) = (path.strip_prefix(&root), BuiltIn::get(&path)) {
            files.push(File { path: below.to_owned(), data: file.data.into_owned(), executable: false });
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Template { manifest, files })
}

/// Loads a template: a built-in by name, a repository by its path (with `reference`, else its default branch).
///
/// # Errors
/// `not_found`, `unprocessable` when it is not a template.
pub async fn template_load(app: &App, ctx: &Context, name: &str, reference: Option<&str>) -> Result<Template> {
    if !name.contains('/') && !name.starts_with("prj_") {
        return built_in_template(name);
    }
    let p = app.project(ctx, name, Permission::RepositoryRead).await?;
    let repositories = app.part::<git::Repositories>()?;
    let repository = repositories.get(p.id())?;
    let reference = reference.unwrap_or(&p.row.default_branch).to_owned();
    let (manifest, files) = repository.read(move |reader| read_repository(reader, &reference)).await?;
    Ok(Template { manifest: Manifest::parse(&manifest)?, files })
}

fn read_repository(reader: &git::Reader, reference: &str) -> git::Result<(String, Vec<File>)> {
    let commit = reader.resolve(reference)?.commit;
    let root = reader.tree_at(commit, None)?;
    let path = RepoPath::parse("template.toml").map_err(|e| git::GitError::Invalid(e.detail))?;
    let entry = reader.entry(root, &path)?;
    let manifest =
        reader.blob(entry.oid, 1 << 20)?.data.ok_or_else(|| git::GitError::TooLarge("template.toml is larger than 1 MiB".into()))?;
    let manifest = String::from_utf8_lossy(&manifest).into_owned();
    let path = RepoPath::parse("files").map_err(|e| git::GitError::Invalid(e.detail))?;
    let top = reader.tree_at(commit, Some(&path))?;
    let mut files = Vec::new();
    let mut bytes = 0u64;
    let mut open = vec![(String::new(), top)];
    // directories count too: a small pack can name one of them any number of times
    let mut entries = 0;
    while let Some((prefix, tree)) = open.pop() {
        for entry in reader.tree(tree)? {
            entries += 1;
            if entries > 4 * MOST_FILES {
                return Err(git::GitError::TooLarge(format!("a template has at most {} entries", 4 * MOST_FILES)));
            }
            let path = format!("{prefix}{}", entry.name_lossy());
            match entry.kind {
                git::EntryKind::Tree => open.push((format!("{path}/"), entry.oid)),
                git::EntryKind::Blob => {
                    let most = || git::GitError::TooLarge(format!("a template has at most {MOST_FILES} files and {MOST_BYTES} bytes"));
                    let data = reader.blob(entry.oid, MOST_BYTES - bytes)?.data.ok_or_else(most)?;
                    bytes += data.len() as u64;
                    if files.len() >= MOST_FILES {
                        return Err(most());
                    }
                    files.push(File { path, data, executable: entry.mode & 0o111 != 0 });
                }
                git::EntryKind::Symlink | git::EntryKind::Submodule => {
                    return Err(git::GitError::Invalid(format!("{path}: a template may not hold links or submodules")));
                }
            }
        }
    }
    Ok((manifest, files))
}

impl Template {
    /// The files of a project made from this template.
    ///
    /// # Errors
    /// `validation_failed` for parameters, `unprocessable` with the place for a mistake in the template.
    pub fn render(&self, given: &IndexMap<String, Value>, project_path: &str, description: &str) -> Result<Vec<File>> {
        let values = self.manifest.values(given)?;
        let mut names = render::project_names(project_path, description);
        names.extend(values.texts);
        let rendered = manifest::globs(&self.manifest.render)?;
        let executable = manifest::globs(&self.manifest.executable)?;
        let left_out: Vec<String> =
            self.manifest.files.iter().filter(|f| values.flags.get(&f.when) == Some(&false)).map(|f| f.path.clone()).collect();
        let left_out = manifest::globs(&left_out)?;
        let mut out: Vec<File> = Vec::with_capacity(self.files.len());
        for file in &self.files {
            if left_out.is_match(&file.path) {
                continue;
            }
            let path = render::path(&file.path, &names)?;
            let data = if rendered.is_match(&file.path) && file.data.len() <= MOST_RENDERED {
                let text = std::str::from_utf8(&file.data)
                    .map_err(|_| Error::new(Code::Unprocessable, format!("{}: a rendered file must be UTF-8", file.path)))?;
                render::text(&file.path, text, &names)?.into_bytes()
            } else {
                file.data.clone()
            };
            if out.iter().any(|f| f.path == path.as_str()) {
                return Err(Error::new(Code::Unprocessable, format!("{path}: two files of the template get this path")));
            }
            let executable = file.executable || executable.is_match(&file.path);
            out.push(File { path: path.as_str().to_owned(), data, executable });
        }
        Ok(out)
    }
}

/// What probes found, for a minute.
#[derive(Default)]
pub struct ToolCache(Mutex<HashMap<String, (Instant, Probe)>>);

/// A tool of a template and whether it is here.
#[derive(Clone, Debug)]
pub struct ToolFound {
    /// Its name.
    pub name: String,
    /// Is it here, in a version that will do?
    pub found: bool,
    /// The version that is here.
    pub version: Option<String>,
}

/// Looks for a template's tools.
///
/// # Errors
/// `internal` when the cache is not part of the instance.
pub async fn tools_find(app: &App, manifest: &Manifest) -> Result<Vec<ToolFound>> {
    let cache = app.part::<ToolCache>()?;
    let mut out = Vec::new();
    for tool in manifest.tools.iter().take(20) {
        let known = cache.0.lock().get(&tool.name).filter(|(at, _)| at.elapsed() < Duration::from_secs(60)).map(|(_, p)| p.clone());
        let found = match known {
            Some(found) => found,
            None => {
                let found = probe(&tool.name).await;
                let mut cache = cache.0.lock();
                if cache.len() > 1000 {
                    cache.clear();
                }
                cache.insert(tool.name.clone(), (Instant::now(), found.clone()));
                found
            }
        };
        out.push(match found {
            Probe::Missing => ToolFound { name: tool.name.clone(), found: false, version: None },
            Probe::Found { version } => {
                let enough = match (&tool.minimum, &version) {
                    (None, _) => true,
                    (Some(least), Some(have)) => at_least(have, least),
                    (Some(_), None) => false,
                };
                ToolFound { name: tool.name.clone(), found: enough, version }
            }
        });
    }
    Ok(out)
}

/// Refuses a template whose tools are missing.
///
/// # Errors
/// `tool_missing` with their names.
pub async fn tools_require(app: &App, manifest: &Manifest) -> Result<()> {
    let missing: Vec<String> = tools_find(app, manifest)
        .await?
        .into_iter()
        .filter(|t| !t.found)
        .map(|t| match t.version {
            Some(v) => format!("{} (version {v} is too old)", t.name),
            None => t.name,
        })
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        Code::ToolMissing,
        format!("the template {} needs {}, which this machine does not have", manifest.name, missing.join(", ")),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_templates_render() {
        let names = built_in();
        assert!(names.len() >= 5, "{names:?}");
        for name in names {
            let template = built_in_template(&name).unwrap();
            assert_eq!(template.manifest.name, name);
            let files = template.render(&IndexMap::new(), "acme/my-app.v2", "A \"quoted\"\ndescription").unwrap();
            let has = |path: &str| files.iter().any(|f| f.path == path);
            assert!(has("Dockerfile") && has("README.md") && has(".github/workflows/ci.yml"), "{name}");
        }
    }
}
