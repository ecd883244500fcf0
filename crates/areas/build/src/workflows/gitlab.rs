//! Makes the pipeline of a commit's `.gitlab-ci.yml`: gathers the facts, answers what the compiler asks about repositories.

use std::cell::{OnceCell, RefCell};
use std::collections::{HashMap, HashSet};

use dialects::Span;
use dialects::github::Compiled;
use dialects::gitlab::{self, Facts, Origin, Stored, World};
use git::{EntryKind, GitError, Oid, Reader, Repositories, Repository};
use indexmap::IndexMap;
use kernel::{Actor, Context, Permission, RepoPath, Result, RunId, UserId};
use serde_json::{Map, Value, json};
use store::project::ProjectRow;
use store::run::Trust;
use web_kit::App;

use super::{remote, source};
use crate::runs::trust::trust_of;
use crate::vars::reach::names;

/// What `exists` looks at; where there is more, everything exists.
const PATHS: source::Bounds = source::Bounds { entries: 100_000, trees: 100_000, depth: 40 };
/// Files of other projects are fetched in so many rounds, one for each level of includes.
const MAX_ROUNDS: usize = 10;

/// Why somebody looks at the workflows of a commit.
#[derive(Clone, Debug)]
pub struct Cause {
    /// `push` or `web`.
    pub source: &'static str,
    /// Full ref name.
    pub reference: String,
    /// Where the ref was before.
    pub before: Option<Oid>,
    /// What a person gave with it.
    pub inputs: Map<String, Value>,
    /// Who.
    pub actor: Option<UserId>,
    /// Variables that come with it, from the job that starts it.
    pub passed: IndexMap<String, String>,
    /// The run whose artifacts a child pipeline may be made of, and their names by job.
    pub artifacts: Option<(RunId, IndexMap<String, String>)>,
}

impl Cause {
    /// Somebody looks at what a push to a ref would start.
    pub fn look(reference: String, actor: Option<UserId>) -> Self {
        let (inputs, passed) = (Map::new(), IndexMap::new());
        Self { source: "push", reference, before: None, inputs, actor, passed, artifacts: None }
    }
}

/// A file that is not in the commit.
type Wanted = (Origin, String);
type Fetched = HashMap<Wanted, std::result::Result<Vec<u8>, String>>;

/// What a pipeline is made from.
#[derive(Clone, Debug)]
pub enum Text {
    /// The bytes of its file.
    File(Vec<u8>),
    /// What a job includes as a child pipeline, and where that is written.
    Child(Value, Span),
}

/// Compiles the pipeline for the cause. `path` is its file, or that of the job that starts a child pipeline.
///
/// # Errors
/// The database's, the repository's.
pub async fn compile(
    app: &App,
    project: &ProjectRow,
    repository: &Repository,
    commit: Oid,
    path: &str,
    text: Text,
    cause: &Cause,
) -> Result<Compiled> {
    let facts = facts(app, project, repository, commit, cause).await?;
    let mut others = Fetched::new();
    for _ in 0..MAX_ROUNDS {
        let (facts, text, path, known, before) = (facts.clone(), text.clone(), path.to_owned(), others.clone(), cause.before);
        let (compiled, missing) = repository
            .read(move |reader| {
                let root = reader.commit(commit)?.tree;
                let world = Tree { reader, root, commit, before, others: &known, missing: RefCell::default(), paths: OnceCell::new() };
                let compiled = match &text {
                    Text::File(bytes) => gitlab::compile(&path, bytes, &facts, &world),
                    Text::Child(include, at) => gitlab::compile_child(&path, include, at, &facts, &world),
                };
                Ok((compiled, world.missing.into_inner()))
            })
            .await?;
        if missing.is_empty() {
            return Ok(compiled);
        }
        for wanted in missing {
            let found = fetch(app, cause, &wanted).await?;
            others.insert(wanted, found);
        }
    }
    let mut out = dialects::Diagnostics::default();
    let why = format!("files of other projects include each other in more than {MAX_ROUNDS} levels");
    out.error(&dialects::Span::whole(path), "include_too_deep", why);
    Ok(Compiled { plan: None, name: "GitLab CI".into(), diagnostics: out.into_sorted(), wants: Vec::new() })
}

async fn facts(app: &App, project: &ProjectRow, repository: &Repository, commit: Oid, cause: &Cause) -> Result<Facts> {
    let head = source::head(repository, commit).await?;
    let user = match cause.actor {
        Some(id) => store::account::account_get(app.db(), id).await?.map(|a| a.name).unwrap_or_default(),
        None => String::new(),
    };
    let above = cause.artifacts.as_ref().map(|(run, _)| *run);
    let trust = trust_of(app, project, &cause.reference, &commit.to_hex(), cause.actor, above).await?;
    let (all, environments) = names(app, project, trust).await?;
    let word = |v: Value| v.as_str().unwrap_or_default().to_owned();
    Ok(Facts {
        source: cause.source.into(),
        reference: cause.reference.clone(),
        sha: commit.to_hex(),
        before: cause.before.map(|b| b.to_hex()),
        default_branch: project.default_branch.clone(),
        author: format!("{} <{}>", head.author_name, head.author_email),
        timestamp: head.time.map(|t| t.to_string()).unwrap_or_default(),
        message: head.message,
        project_path: project.path.clone(),
        project_id: project.id.to_string(),
        visibility: word(json!(project.visibility)),
        server_url: app.config().public_url(),
        server_host: app.config().public_host(),
        user,
        protected: trust == Trust::Protected,
        variables: all.variables,
        secrets: all.secrets,
        environments: environments.into_iter().map(|(name, n)| (name, Stored { variables: n.variables, secrets: n.secrets })).collect(),
        inputs: cause.inputs.clone(),
        passed: cause.passed.clone(),
    })
}

/// Reads a file that is not in the commit.
async fn fetch(app: &App, cause: &Cause, (origin, path): &Wanted) -> Result<std::result::Result<Vec<u8>, String>> {
    match origin {
        Origin::Project { path: project, reference } => {
            let reference = reference.clone().unwrap_or_default();
            of_project(app, cause.actor, project, path, move |reader| Ok(reader.resolve(&reference)?.commit)).await
        }
        Origin::Component { path: project, version } => {
            let version = version.clone();
            of_project(app, cause.actor, project, path, move |reader| component(reader, &version)).await
        }
        Origin::Remote => remote::fetch(app, path).await,
        Origin::Artifact { job } => match &cause.artifacts {
            Some((run, names)) if names.contains_key(job) => {
                let max = dialects::yaml::MAX_BYTES as u64;
                crate::artifacts::file(app, *run, &names[job], path, max).await
            }
            _ => Ok(Err(format!("the job `{job}` has no artifact"))),
        },
        Origin::Here => Ok(Err("it cannot be fetched".into())),
    }
}

/// A person, as one who asks for something of another project in a pipeline: never as an administrator.
///
/// # Errors
/// The database's.
pub async fn as_person(app: &App, actor: Option<UserId>) -> Result<Context> {
    let account = match actor {
        Some(id) => store::account::account_get(app.db(), id).await?.filter(|a| a.state == "active"),
        None => None,
    };
    Ok(Context::of(account.map_or(Actor::Anonymous, |a| Actor::User { id: a.id, name: a.name, admin: false })))
}

/// Reads a file of another project, if who set the pipeline off may read that project.
async fn of_project(
    app: &App,
    actor: Option<UserId>,
    project: &str,
    path: &str,
    commit: impl Fn(&Reader) -> git::Result<Oid> + Send + Sync + 'static,
) -> Result<std::result::Result<Vec<u8>, String>> {
    let ctx = as_person(app, actor).await?;
    let hidden = || format!("there is no project `{project}`, or who set the pipeline off may not read it");
    let Ok(found) = app.project(&ctx, project, Permission::RepositoryRead).await else { return Ok(Err(hidden())) };
    let repository = app.part::<Repositories>()?.get(found.id())?;
    let path = path.to_owned();
    let read = repository
        .read(move |reader| {
            let commit = commit(reader)?;
            Ok(file(reader, reader.commit(commit)?.tree, &path))
        })
        .await;
    match read {
        Ok(found) => Ok(found),
        Err(GitError::NotFound(what)) => Ok(Err(format!("{what} does not exist in `{project}`"))),
        Err(e) => Err(e.into()),
    }
}

/// The commit of a version of a component: a commit, a tag, a branch, or the newest tag that fits.
fn component(reader: &Reader, version: &str) -> git::Result<Oid> {
    const TAGS: &str = "refs/tags/";
    if version.len() == 40 && version.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(reader.resolve(version)?.commit);
    }
    for full in [format!("{TAGS}{version}"), format!("refs/heads/{version}")] {
        if reader.refs().get(&full).is_some() {
            return Ok(reader.resolve(&full)?.commit);
        }
    }
    let tags = reader.refs().refs.iter().filter_map(|r| r.name.strip_prefix(TAGS));
    let tag = gitlab::component_tag(version, tags);
    let tag = tag.ok_or_else(|| GitError::NotFound(format!("a version `{version}`")))?;
    Ok(reader.resolve(&format!("{TAGS}{tag}"))?.commit)
}

fn file(reader: &Reader, root: Oid, path: &str) -> std::result::Result<Vec<u8>, String> {
    let missing = || "there is no such file".to_owned();
    let path = RepoPath::parse(path).map_err(|e| e.detail)?;
    let entry = reader.entry(root, &path).ok().filter(|e| e.kind == EntryKind::Blob).ok_or_else(missing)?;
    let max = dialects::yaml::MAX_BYTES as u64;
    let blob = reader.blob(entry.oid, max).map_err(|_| "it cannot be read".to_owned())?;
    blob.data.ok_or_else(|| format!("it has more than {max} bytes"))
}

/// The commit that is built.
struct Tree<'r> {
    reader: &'r Reader,
    root: Oid,
    commit: Oid,
    before: Option<Oid>,
    others: &'r Fetched,
    missing: RefCell<HashSet<Wanted>>,
    paths: OnceCell<Option<Vec<String>>>,
}

impl World for Tree<'_> {
    fn file(&self, origin: &Origin, path: &str) -> std::result::Result<Vec<u8>, String> {
        match origin {
            Origin::Here => file(self.reader, self.root, path),
            _ => {
                let wanted = (origin.clone(), path.to_owned());
                self.others.get(&wanted).cloned().unwrap_or_else(|| {
                    self.missing.borrow_mut().insert(wanted);
                    Err("it is not here yet".into())
                })
            }
        }
    }

    fn paths(&self, origin: &Origin) -> Option<Vec<String>> {
        match origin {
            Origin::Here => self
                .paths
                .get_or_init(|| {
                    let mut paths = Vec::new();
                    source::list(self.reader, self.root, PATHS, &mut paths).ok()?.then_some(paths)
                })
                .clone(),
            _ => None,
        }
    }

    fn changed(&self, compare_to: Option<&str>) -> std::result::Result<Option<Vec<String>>, String> {
        let old = match compare_to {
            None => self.before,
            Some(name) => {
                let other = self.reader.resolve(name).map_err(|_| format!("`{name}` is no branch, tag or commit"))?.commit;
                // what the other side did since they parted is no change of this one
                let base = self.reader.merge_base(other, self.commit).map_err(|e| e.to_string())?;
                Some(base.ok_or_else(|| format!("`{name}` has no commit in common with this one"))?)
            }
        };
        let Some(old) = old else { return Ok(None) };
        let changes = source::changes(self.reader, old, self.commit);
        changes.map_err(|e| e.to_string())
    }
}
