//! Reads workflow files and detection's evidence from a commit.

use std::collections::VecDeque;

use dialects::detect::{Tree, detect};
use dialects::expect::{self, Case, Report};
use dialects::github::{self, DIRECTORY, Found, Library, Pin, Want, compile_with};
use dialects::trial::Sources as _;
use dialects::{Diagnostic, Severity, Span, jenkins};
use git::read::DiffLimits;
use git::{EntryKind, GitError, Oid, Reader, Repositories, Repository};
use kernel::{Code, Error, RepoPath, Result, Visibility};
use store::project::ProjectRow;
use web_kit::App;

use super::gitlab::{self, Cause};
use super::{Workflow, Workflows};
use crate::compiler::{Committed, Files};
use crate::runs::create::Head;

/// Most workflow files of a commit that are read.
const MAX_FILES: usize = 100;
/// What detection looks at.
const EVIDENCE: Bounds = Bounds { entries: 20_000, trees: 5_000, depth: 5 };
/// Largest file that detection reads.
const MAX_EVIDENCE: u64 = 1 << 20;

/// Files that workflows name lead to further ones; more rounds than this lead nowhere.
const MAX_ROUNDS: usize = 24;
/// Most files that the workflows of a commit may name.
const MAX_NAMED: usize = 500;

/// The workflows of a commit, with the actions and workflows that they use. A pipeline of GitLab is made for the cause.
///
/// # Errors
/// The database's, the repository's.
pub async fn workflows(app: &App, project: &ProjectRow, repository: &Repository, commit: Oid, cause: &Cause) -> Result<Workflows> {
    let mut library = Library::default();
    let mut looked = 0;
    for _ in 0..MAX_ROUNDS {
        let known = library.clone();
        let (mut found, next, foreign, pipeline) = repository.read(move |reader| read(reader, commit, known.clone())).await?;
        library = next;
        if foreign.is_empty() {
            let Pipelines { gitlab: pipeline, jenkins } = pipeline;
            if let Some(bytes) = jenkins {
                let compiled = super::jenkins::compile(app, project, &bytes).await?;
                found.files.push(Workflow { path: jenkins::FILE.to_owned(), compiled });
            }
            if let Some(bytes) = pipeline {
                let path = dialects::gitlab::FILE;
                let compiled = gitlab::compile(app, project, repository, commit, path, gitlab::Text::File(bytes), cause).await?;
                found.files.push(Workflow { path: path.into(), compiled });
            }
            return Ok(found);
        }
        looked += foreign.len();
        if looked > MAX_NAMED {
            break;
        }
        for want in foreign {
            let answer = look(app, &want).await?;
            library.insert(want, answer);
        }
    }
    Err(Error::new(Code::Unprocessable, format!("the workflows use more than {MAX_NAMED} files of other repositories")))
}

/// Evaluates the tests of pipelines that a commit holds.
///
/// # Errors
/// The repository's.
pub async fn expectations(repository: &Repository, commit: Oid) -> Result<Expectations> {
    let report = repository
        .read(move |reader| {
            let root = reader.commit(commit)?.tree;
            let sources = Committed { reader, root, given: Files::default() };
            Ok(sources.file(expect::FILE).map(|bytes| expect::evaluate(expect::FILE, &bytes, &sources)))
        })
        .await?;
    Ok(Expectations { report: report.unwrap_or_default() })
}

/// What came of the tests of a commit's pipelines.
#[derive(Debug)]
pub struct Expectations {
    report: Report,
}

/// Most messages about tests that one run shows.
const MAX_TOLD: usize = 50;

impl Expectations {
    /// Tells runs what is not as expected, each of it once: the run of a workflow about its tests, and the first one about
    /// what is wrong with the file itself, and about workflows that do not run.
    pub fn tell<'r>(&self, mut runs: Vec<(&'r str, &'r mut Vec<Diagnostic>)>) {
        for index in 0..runs.len() {
            let path = runs[index].0;
            let orphan = |case: &Case| index == 0 && !runs.iter().any(|(p, _)| *p == case.workflow);
            let cases: Vec<&Case> = self.report.cases.iter().filter(|c| c.workflow == path || orphan(c)).collect();
            let general = self.report.diagnostics.iter().filter(|_| index == 0).map(|d| soft(d, d.message.clone()));
            let failures =
                cases.into_iter().flat_map(|c| c.failures.iter().map(|d| soft(d, format!("the test `{}` failed: {}", c.name, d.message))));
            let mut told: Vec<Diagnostic> = general.chain(failures).collect();
            if told.len() > MAX_TOLD {
                let more = told.len() - MAX_TOLD;
                told.truncate(MAX_TOLD);
                let whole = Span::whole(expect::FILE);
                told.push(Diagnostic {
                    span: whole,
                    message: format!("and {more} more: `devmentor pipeline test` tells all of them"),
                    ..told[0].clone()
                });
            }
            runs[index].1.extend(told);
        }
    }
}

/// A warning: what is tested is the file, and the run shows what it does.
fn soft(found: &Diagnostic, message: String) -> Diagnostic {
    Diagnostic { span: found.span.clone(), severity: Severity::Warning, code: "pipeline_test".into(), message }
}

/// A file of another repository of the instance, if it is shared: actions are read by everybody who may read their project.
async fn look(app: &App, want: &Want) -> Result<Found> {
    let Some(foreign) = &want.foreign else { return Ok(Found::Absent) };
    let closed = |why: String| Ok(Found::Closed(why));
    let project = store::project::project_by_path(app.db(), &foreign.repository.to_lowercase()).await?.filter(|p| p.deleted_at.is_none());
    // a private project is not even known here
    let Some(project) = project.filter(|p| p.visibility != Visibility::Private) else {
        return closed(format!("this instance has no internal or public project `{}`", foreign.repository));
    };
    let repository = app.part::<Repositories>()?.get(project.id)?;
    let (reference, path) = (foreign.reference.clone(), want.path.clone());
    let read = move |reader: &Reader| -> git::Result<Option<(Oid, Option<Vec<u8>>)>> {
        let commit = match reader.resolve(&reference) {
            Ok(found) => found.commit,
            Err(GitError::NotFound(_) | GitError::Invalid(_)) => return Ok(None),
            Err(e) => return Err(e),
        };
        Ok(Some((commit, file(reader, commit, &path)?)))
    };
    Ok(match repository.read(read).await? {
        None => return closed(format!("`{}` has no branch, tag or commit `{}`", foreign.repository, foreign.reference)),
        Some((_, None)) => Found::Absent,
        Some((commit, Some(bytes))) => {
            let pin = Pin { project: project.id.to_string(), repository: project.path, commit: commit.to_hex() };
            Found::File { bytes, pin: Some(pin) }
        }
    })
}

/// A file of a commit, whole; none when it is not there, is no file or is too large to be a pipeline file.
fn file(reader: &Reader, commit: Oid, path: &str) -> git::Result<Option<Vec<u8>>> {
    let Ok(path) = RepoPath::parse(path) else { return Ok(None) };
    let root = reader.commit(commit)?.tree;
    let entry = match reader.entry(root, &path) {
        Ok(entry) if entry.kind == EntryKind::Blob => entry,
        Ok(_) | Err(GitError::NotFound(_)) => return Ok(None),
        Err(e) => return Err(e),
    };
    Ok(reader.blob(entry.oid, dialects::yaml::MAX_BYTES as u64)?.data)
}

/// Pipeline files whose parts lie elsewhere, too.
struct Pipelines {
    gitlab: Option<Vec<u8>>,
    jenkins: Option<Vec<u8>>,
}

/// What reading gives: the workflows, the files that are known, those of other repositories that are missing, and the texts of
/// the pipelines.
type Read = (Workflows, Library, Vec<Want>, Pipelines);

/// Compiles with the files of this commit.
fn read(reader: &Reader, commit: Oid, mut library: Library) -> git::Result<Read> {
    let mut found = Workflows::default();
    let mut foreign: Vec<Want> = Vec::new();
    let directory = RepoPath::parse(DIRECTORY).map_err(|e| GitError::Invalid(e.detail))?;
    let entries = match reader.tree_at(commit, Some(&directory)) {
        Ok(tree) => reader.tree(tree)?,
        Err(GitError::NotFound(_)) => Vec::new(),
        Err(e) => return Err(e),
    };
    for entry in entries {
        let path = format!("{DIRECTORY}/{}", entry.name_lossy());
        if entry.kind != EntryKind::Blob || !github::is_workflow(&path) || found.files.len() >= MAX_FILES {
            continue;
        }
        let bytes = text(reader, entry.oid)?;
        let mut rounds = 0;
        let compiled = loop {
            let compiled = compile_with(&path, &bytes, &library);
            let (own, others): (Vec<Want>, Vec<Want>) = compiled.wants.iter().cloned().partition(|w| w.foreign.is_none());
            rounds += 1;
            if own.is_empty() || rounds > MAX_ROUNDS {
                foreign.extend(others);
                break compiled;
            }
            for want in own {
                let answer = match file(reader, commit, &want.path)? {
                    Some(bytes) => Found::File { bytes, pin: None },
                    None => Found::Absent,
                };
                library.insert(want, answer);
            }
        };
        found.files.push(Workflow { path, compiled });
    }
    foreign.sort();
    foreign.dedup();
    let root = reader.commit(commit)?.tree;
    let name = RepoPath::parse(jenkins::FILE).map_err(|e| GitError::Invalid(e.detail))?;
    let jenkinsfile = match reader.entry(root, &name).ok().filter(|e| e.kind == EntryKind::Blob) {
        Some(entry) => {
            let blob = reader.blob(entry.oid, jenkins::MAX_BYTES as u64 + 1)?;
            Some(blob.data.unwrap_or_else(|| vec![b' '; jenkins::MAX_BYTES + 1]))
        }
        None => None,
    };
    let name = RepoPath::parse(dialects::gitlab::FILE).map_err(|e| GitError::Invalid(e.detail))?;
    let pipeline = match reader.entry(root, &name) {
        Ok(entry) if entry.kind == EntryKind::Blob => Some(text(reader, entry.oid)?),
        Ok(_) | Err(GitError::NotFound(_)) => None,
        Err(e) => return Err(e),
    };
    if found.files.is_empty() && pipeline.is_none() && jenkinsfile.is_none() {
        let mut paths = Vec::new();
        list(reader, root, EVIDENCE, &mut paths)?;
        let text = |path: &str| {
            let path = RepoPath::parse(path).ok()?;
            let entry = reader.entry(root, &path).ok().filter(|e| e.kind == EntryKind::Blob)?;
            String::from_utf8(reader.blob(entry.oid, MAX_EVIDENCE).ok()?.data?).ok()
        };
        found.detected = detect(&Tree { files: &paths, read: &text });
    }
    Ok((found, library, foreign, Pipelines { gitlab: pipeline, jenkins: jenkinsfile }))
}

/// A pipeline file; one that is too large is one byte more than the reader takes, so that it says what is wrong.
fn text(reader: &Reader, oid: Oid) -> git::Result<Vec<u8>> {
    let blob = reader.blob(oid, dialects::yaml::MAX_BYTES as u64 + 1)?;
    Ok(blob.data.unwrap_or_else(|| vec![b' '; dialects::yaml::MAX_BYTES + 1]))
}

/// With more changed files than this, path filters are not asked: the workflow runs.
const MAX_CHANGED: usize = 3000;

/// Paths that differ between two commits; none when not known or too many.
///
/// # Errors
/// The repository's.
pub fn changes(reader: &Reader, old: Oid, new: Oid) -> git::Result<Option<Vec<String>>> {
    // the old commit may be gone after a force-push
    if !reader.has(old) {
        return Ok(None);
    }
    let limits = DiffLimits { files: MAX_CHANGED, ..DiffLimits::PUSH };
    let changes = reader.changes(Some(reader.peel_to_commit(old)?), new, limits)?;
    Ok(changes.complete.then(|| changes.items.into_iter().flat_map(|i| [Some(i.path), i.old_path]).flatten().collect()))
}

/// How far the paths of a commit are looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Entries of directories.
    pub(crate) entries: usize,
    /// Directories, which a small pack can hold any number of by naming one of them again and again.
    pub(crate) trees: usize,
    /// Levels of directories below the root.
    pub(crate) depth: usize,
}

/// Paths of files, those near the root first, up to the bounds. Are these all?
pub(crate) fn list(reader: &Reader, root: Oid, most: Bounds, out: &mut Vec<String>) -> git::Result<bool> {
    let mut open = VecDeque::from([(String::new(), root, 0)]);
    let (mut trees, mut entries, mut all) = (0, 0, true);
    while let Some((prefix, tree, depth)) = open.pop_front() {
        trees += 1;
        if trees > most.trees {
            return Ok(false);
        }
        for entry in reader.tree(tree)? {
            entries += 1;
            if entries > most.entries {
                return Ok(false);
            }
            let path = format!("{prefix}{}", entry.name_lossy());
            match entry.kind {
                EntryKind::Blob => out.push(path),
                EntryKind::Tree if depth < most.depth => open.push_back((format!("{path}/"), entry.oid, depth + 1)),
                EntryKind::Tree => all = false,
                _ => {}
            }
        }
    }
    Ok(all)
}

/// The pipeline file of GitLab in a commit, if there is one.
///
/// # Errors
/// The repository's.
pub async fn gitlab_file(repository: &Repository, commit: Oid) -> Result<Option<Vec<u8>>> {
    Ok(repository.read(move |reader| file(reader, commit, dialects::gitlab::FILE)).await?)
}

/// What a run shows of its commit.
///
/// # Errors
/// The repository's.
pub async fn head(repository: &Repository, commit: Oid) -> Result<Head> {
    let found = repository.read(move |r| r.commit(commit)).await?;
    Ok(Head {
        oid: commit.to_hex(),
        message: found.message.clone(),
        author_name: found.author.name.clone(),
        author_email: found.author.email.clone(),
        time: Some(found.author.time),
    })
}
