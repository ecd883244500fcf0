//! Shared libraries of a Jenkinsfile: found by name in the instance, and read at the commit that their ref is just now.

use dialects::github::Compiled;
use dialects::jenkins::library::{Found, Libraries, Library, MAX_BYTES, MAX_FILES, Named, named};
use dialects::jenkins::{FILE, plan, read_with};
use git::{EntryKind, GitError, Oid, Reader, Repositories};
use indexmap::IndexMap;
use kernel::{RepoPath, Result, Visibility};
use store::project::ProjectRow;
use store::run::Trust;
use web_kit::App;

use crate::vars::reach::variables_of_run;

/// Libraries of libraries of one file.
const MAX_LIBRARIES: usize = 20;
/// Directories that are read in one library.
const MAX_TREES: usize = 500;
/// A variable of this name and the library's, in capitals, says which project a name means: `path` or `path@ref`.
const ALIAS: &str = "JENKINS_LIBRARY_";

/// Compiles the Jenkinsfile of a project.
///
/// # Errors
/// The database's, the repositories'.
pub async fn compile(app: &App, project: &ProjectRow, bytes: &[u8]) -> Result<Compiled> {
    let mut found: Vec<(Named, Found)> = Vec::new();
    // a pipeline that lies in a library may name further ones
    loop {
        let loaded: Vec<Library> =
            found.iter().filter_map(|(_, f)| if let Found::Loaded(l) = f { Some(l.clone()) } else { None }).collect();
        let wanted = named(&read_with(FILE, bytes, &loaded));
        let next: Vec<Named> = wanted.into_iter().filter(|n| !found.iter().any(|(f, _)| f.name == n.name)).collect();
        if next.is_empty() {
            break;
        }
        for one in next {
            let answer = if found.len() < MAX_LIBRARIES {
                look(app, project, &one).await?
            } else {
                Found::Closed(format!("a file may use {MAX_LIBRARIES} libraries"))
            };
            found.push((one, answer));
        }
    }
    Ok(plan::compile_with(FILE, bytes, &Libraries::known(found)))
}

/// The project a name means and the ref: what a variable says, else its path, else one beside the project.
async fn place(app: &App, project: &ProjectRow, wanted: &Named) -> Result<(String, Option<String>)> {
    let key: String = wanted.name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    let key = format!("{ALIAS}{key}");
    // which library is read is the same for all refs
    let variables = variables_of_run(app.db(), project, Trust::Protected).await?;
    if let Some(alias) = variables.get(&key) {
        let (path, default) = alias.trim().split_once('@').map_or((alias.trim(), None), |(p, r)| (p, Some(r)));
        return Ok((path.to_owned(), wanted.reference.clone().or(default.map(str::to_owned))));
    }
    let path = if wanted.name.contains('/') { wanted.name.clone() } else { format!("{}/{}", project.namespace, wanted.name) };
    Ok((path, wanted.reference.clone()))
}

/// Texts by path.
type Files = IndexMap<String, String>;

/// Reads a library, if it is shared: as actions are, by everybody who may read its project.
async fn look(app: &App, project: &ProjectRow, wanted: &Named) -> Result<Found> {
    let (path, reference) = place(app, project, wanted).await?;
    let shared = store::project::project_by_path(app.db(), &path.to_lowercase()).await?.filter(|p| p.deleted_at.is_none());
    // a private project is not even known here
    let Some(shared) = shared.filter(|p| p.visibility != Visibility::Private || p.id == project.id) else {
        return Ok(Found::Closed(format!(
            "this instance has no internal or public project `{path}`; the variable {ALIAS}<NAME> can name another one"
        )));
    };
    let repository = app.part::<Repositories>()?.get(shared.id)?;
    let reference = reference.unwrap_or_default();
    let at = reference.clone();
    let read = move |reader: &Reader| -> git::Result<Option<(Oid, Option<Files>)>> {
        let commit = match reader.resolve(&at) {
            Ok(found) => found.commit,
            Err(GitError::NotFound(_) | GitError::Invalid(_)) => return Ok(None),
            Err(e) => return Err(e),
        };
        Ok(Some((commit, files(reader, commit)?)))
    };
    Ok(match repository.read(read).await? {
        None => Found::Closed(format!("`{path}` has no branch, tag or commit `{reference}`")),
        Some((_, None)) => {
            Found::Closed(format!("`{path}` has more than {MAX_FILES} files or {MAX_BYTES} bytes in vars, src and resources"))
        }
        Some((_, Some(files))) if files.is_empty() => Found::Closed(format!("`{path}` has neither vars nor src")),
        Some((commit, Some(files))) => {
            Found::Loaded(Library { name: wanted.name.clone(), repository: shared.path, commit: commit.to_hex(), files })
        }
    })
}

/// The files of a library; none when there are too many.
fn files(reader: &Reader, commit: Oid) -> git::Result<Option<Files>> {
    let mut out = IndexMap::new();
    let mut bytes = 0;
    let mut open = Vec::new();
    for top in ["vars", "src", "resources"] {
        let path = RepoPath::parse(top).map_err(|e| GitError::Invalid(e.detail))?;
        match reader.tree_at(commit, Some(&path)) {
            Ok(tree) => open.push((format!("{top}/"), tree)),
            Err(GitError::NotFound(_)) => {}
            Err(e) => return Err(e),
        }
    }
    let mut trees = 0;
    while let Some((prefix, tree)) = open.pop() {
        trees += 1;
        if trees > MAX_TREES {
            return Ok(None);
        }
        for entry in reader.tree(tree)? {
            let path = format!("{prefix}{}", entry.name_lossy());
            match entry.kind {
                EntryKind::Tree => open.push((format!("{path}/"), entry.oid)),
                EntryKind::Blob if Library::takes(&path) => {
                    let Some(text) = reader.blob(entry.oid, MAX_BYTES as u64)?.data else { return Ok(None) };
                    bytes += text.len();
                    if out.len() >= MAX_FILES || bytes > MAX_BYTES {
                        return Ok(None);
                    }
                    // what is no text is none that `libraryResource` could give
                    if let Ok(text) = String::from_utf8(text) {
                        out.insert(path, text);
                    }
                }
                _ => {}
            }
        }
    }
    out.sort_keys();
    Ok(Some(out))
}
