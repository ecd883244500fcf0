//! Repositories as people browse and edit them, and the record of what moves in them.
//!
//! Owns: `push`, `git_ref`, `commit_status`. Invariants: a ref moves only together with its event ([`record`]); what is
//! shown is bounded; nothing a user names becomes more than a name (resolved in process, never an argument).
//!
//! The git protocol is the server's door; the repositories themselves are the crate `git`'s.

pub mod markdown;
pub mod model;
pub mod record;
pub mod routes;

use std::sync::Arc;
use std::time::Duration;

use git::read::{DiffLimits, LastCommits, LogCursor};
use git::write::{Expected, NewCommit};
use git::{EntryKind, Oid, Repositories, Repository, Signature};
use kernel::{Actor, Code, Context, Error, Permission, ProjectId, RefName, RepoPath, Result, Timestamp, UserId};
use store::WorkRow;
use store::commit_status::{CommitStatusRow, commit_status_list, commit_status_of_many};
use store::git_ref::git_ref_between;
use store::project::ProjectRow;
use web_kit::{App, Project};

use model::{CommitDetail, CommitNew, CommitView, FileView, LastCommit, ReadmeView, RefPage, RefView, Stats, TreeEntryView, TreeView};
use record::Begun;
pub use record::Recorder;

/// Files up to this size are shown in the API's JSON.
const SHOWN: u64 = 1 << 20;
/// Files up to this size are sent from memory, larger ones are streamed.
const RAW_IN_MEMORY: u64 = 4 << 20;
/// Entries of one directory that are listed.
const MAX_ENTRIES: usize = 10_000;
/// How far, and how long, the last commits of a directory are looked for.
const LAST_COMMITS: (usize, Duration) = (5_000, Duration::from_millis(300));
/// Edits in one commit.
const MAX_ACTIONS: usize = 1_000;

/// The repository behind a project that the caller may do `p` in.
///
/// # Errors
/// As [`App::project`]; `not_found` while the project has no repository.
pub async fn open(app: &App, ctx: &Context, id: &str, p: Permission) -> Result<(Project, Repository)> {
    let project = app.project(ctx, id, p).await?;
    let repository = of(app, &project.row).await?;
    Ok((project, repository))
}

/// The repository of a project, its HEAD where the project's default branch is.
///
/// # Errors
/// `not_found` while the project has no repository.
pub async fn of(app: &App, project: &ProjectRow) -> Result<Repository> {
    let repository = app.part::<Repositories>()?.get(project.id)?;
    let refs = repository.refs().await?;
    if refs.default_branch() != project.default_branch {
        // the setting is the truth; a crash, or another instance, may have come between it and HEAD
        if let Ok(branch) = RefName::branch(&project.default_branch) {
            repository.set_default_branch(&branch).await?;
        }
    }
    Ok(repository)
}

/// A path of a query; none for the root.
fn path(text: Option<&str>) -> Result<Option<RepoPath>> {
    let text = text.unwrap_or("").trim_matches('/');
    if text.is_empty() { Ok(None) } else { RepoPath::parse(text).map(Some) }
}

fn shown_ref(asked: Option<&str>, project: &ProjectRow) -> String {
    asked.filter(|r| !r.is_empty()).map_or_else(|| project.default_branch.clone(), str::to_owned)
}

/// Branches and tags whose short or full name begins with `prefix`, by full name, after `after`.
///
/// # Errors
/// As [`open`].
pub async fn ref_list(app: &App, ctx: &Context, id: &str, prefix: &str, after: Option<String>, limit: usize) -> Result<RefPage> {
    let (project, repository) = open(app, ctx, id, Permission::RepositoryRead).await?;
    let refs = repository.refs().await?;
    let fits = |name: &str| name.starts_with(prefix) || short(name).starts_with(prefix);
    let start = after.map_or(0, |after| refs.refs.partition_point(|r| r.name <= after));
    let mut found: Vec<_> = refs.refs.iter().skip(start).filter(|r| fits(&r.name)).take(limit + 1).collect();
    let more = found.len() > limit;
    found.truncate(limit);
    let mut page = RefPage { default_branch: project.row.default_branch.clone(), branches: Vec::new(), tags: Vec::new(), next: None };
    let (Some(first), Some(last)) = (found.first(), found.last()) else { return Ok(page) };
    let known = git_ref_between(app.db(), project.id(), &first.name, &last.name).await?;
    page.next = more.then(|| last.name.clone());
    for entry in found {
        let updated_at = known.binary_search_by(|k| k.name.as_str().cmp(&entry.name)).ok().and_then(|i| known.get(i)).map(|k| k.updated_at);
        let view = RefView { name: short(&entry.name).to_owned(), commit: entry.target().to_hex(), updated_at };
        if entry.name.starts_with("refs/heads/") { page.branches.push(view) } else { page.tags.push(view) }
    }
    Ok(page)
}

fn short(name: &str) -> &str {
    name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/tags/")).unwrap_or(name)
}

/// A directory.
///
/// # Errors
/// As [`open`]; `not_found` for the ref or path.
pub async fn tree_get(app: &App, ctx: &Context, id: &str, reference: Option<&str>, at: Option<&str>) -> Result<TreeView> {
    let (project, repository) = open(app, ctx, id, Permission::RepositoryRead).await?;
    let at = path(at)?;
    let shown = shown_ref(reference, &project.row);
    let (name, dir) = (shown.clone(), at.clone());
    let (commit, mut entries) = repository
        .read(move |r| {
            let commit = r.resolve(&name)?.commit;
            let entries = r.tree(r.tree_at(commit, dir.as_ref())?)?;
            if entries.len() > MAX_ENTRIES {
                return Err(git::GitError::TooLarge(format!("the directory has more than {MAX_ENTRIES} entries")));
            }
            let sized = entries.into_iter().map(|e| {
                let size = if matches!(e.kind, EntryKind::Blob | EntryKind::Symlink) { r.header(e.oid).ok().map(|(_, s)| s) } else { None };
                (e, size)
            });
            Ok((commit, sized.collect::<Vec<_>>()))
        })
        .await?;
    let last = last_commits(&repository, commit, at.clone()).await?;
    entries.sort_by(|(a, _), (b, _)| (a.kind != EntryKind::Tree, &a.name).cmp(&(b.kind != EntryKind::Tree, &b.name)));
    let prefix = at.as_ref().map_or_else(String::new, |p| format!("{p}/"));
    let entries = entries.into_iter().map(|(e, size)| {
        let name = e.name_lossy();
        let path = format!("{prefix}{name}");
        let kind = match e.kind {
            EntryKind::Tree => "tree",
            EntryKind::Blob => "blob",
            EntryKind::Symlink => "symlink",
            EntryKind::Submodule => "submodule",
        };
        TreeEntryView {
            language: (e.kind == EntryKind::Blob).then(|| syntax::language::by_path(&path)).flatten().map(|l| l.name),
            last_commit: last.by_name.get(&e.name).map(|c| LastCommit {
                oid: c.oid.to_hex(),
                title: c.title().to_owned(),
                time: c.author.time,
            }),
            mode: e.mode_text(),
            oid: e.oid.to_hex(),
            name,
            path,
            kind,
            size,
        }
    });
    let entries = entries.collect();
    Ok(TreeView { reference: shown, commit: commit.to_hex(), path: at.map_or_else(String::new, |p| p.to_string()), entries })
}

/// What was found of last commits, by repository, commit and directory. A commit never changes, so neither does this.
static LAST: std::sync::LazyLock<moka::sync::Cache<(ProjectId, Oid, String), Arc<LastCommits>>> =
    std::sync::LazyLock::new(|| moka::sync::Cache::builder().max_capacity(500).time_to_idle(Duration::from_secs(600)).build());

async fn last_commits(repository: &Repository, commit: Oid, dir: Option<RepoPath>) -> Result<Arc<LastCommits>> {
    let key = (repository.project(), commit, dir.as_ref().map_or_else(String::new, ToString::to_string));
    if let Some(found) = LAST.get(&key) {
        return Ok(found);
    }
    let found = Arc::new(repository.read(move |r| r.last_commits(commit, dir.as_ref(), LAST_COMMITS.0, LAST_COMMITS.1)).await?);
    if found.complete {
        LAST.insert(key, found.clone());
    }
    Ok(found)
}

/// A file, found.
pub struct Found {
    /// The project it is in.
    pub project: ProjectRow,
    /// The repository.
    pub repository: Repository,
    /// The ref as shown.
    pub reference: String,
    /// The commit.
    pub commit: Oid,
    /// The path.
    pub path: RepoPath,
    /// The blob; its bytes only when there are few.
    pub blob: git::Blob,
}

async fn find(app: &App, ctx: &Context, id: &str, reference: Option<&str>, at: &str, max: u64) -> Result<Found> {
    let (project, repository) = open(app, ctx, id, Permission::RepositoryRead).await?;
    let at = path(Some(at))?.ok_or_else(|| Error::field("path", "required", "the path of a file"))?;
    let shown = shown_ref(reference, &project.row);
    let (name, file) = (shown.clone(), at.clone());
    let (commit, blob) = repository
        .read(move |r| {
            let commit = r.resolve(&name)?.commit;
            let entry = r.entry(r.commit(commit)?.tree, &file)?;
            match entry.kind {
                EntryKind::Blob | EntryKind::Symlink => Ok((commit, r.blob(entry.oid, max)?)),
                EntryKind::Tree | EntryKind::Submodule => Err(git::GitError::NotFound(format!("file {file}"))),
            }
        })
        .await?;
    Ok(Found { project: project.row, repository, reference: shown, commit, path: at, blob })
}

/// A file as JSON.
///
/// # Errors
/// As [`open`]; `not_found` for the ref or path.
pub async fn file_get(app: &App, ctx: &Context, id: &str, reference: Option<&str>, at: &str) -> Result<FileView> {
    use base64::Engine as _;
    let found = find(app, ctx, id, reference, at, SHOWN).await?;
    let truncated = found.blob.data.is_none();
    let data = found.blob.data.unwrap_or_default();
    let path = found.path.to_string();
    let language = syntax::detect(&path, data.get(..data.len().min(256)).unwrap_or_default()).map(|l| l.name);
    let binary = git::read::is_binary(&data);
    let (encoding, content) = match String::from_utf8(data) {
        Ok(text) if !binary => ("utf-8", text),
        Ok(text) => ("base64", base64::engine::general_purpose::STANDARD.encode(text)),
        Err(e) => ("base64", base64::engine::general_purpose::STANDARD.encode(e.as_bytes())),
    };
    let html = rendered(&found.project, &found.reference, &path, &content, encoding).await?;
    Ok(FileView {
        reference: found.reference,
        commit: found.commit.to_hex(),
        size: found.blob.size,
        oid: found.blob.oid.to_hex(),
        language,
        binary: binary || encoding == "base64",
        encoding,
        content,
        truncated,
        html,
        path,
    })
}

async fn rendered(project: &ProjectRow, reference: &str, path: &str, content: &str, encoding: &str) -> Result<Option<String>> {
    if encoding != "utf-8" || !markdown::is_markdown(path) || content.len() > markdown::MAX_BYTES {
        return Ok(None);
    }
    let dir = path.rsplit_once('/').map_or("", |(d, _)| d).to_owned();
    let base = markdown::Base { project: project.path.clone(), reference: reference.to_owned(), dir };
    let text = content.to_owned();
    tokio::task::spawn_blocking(move || Some(markdown::render(&text, &base))).await.map_err(Error::internal)
}

/// A file's bytes: in the blob when there are few, else to be streamed.
///
/// # Errors
/// As [`open`]; `not_found` for the ref or path.
pub async fn raw_get(app: &App, ctx: &Context, id: &str, reference: Option<&str>, at: &str) -> Result<Found> {
    find(app, ctx, id, reference, at, RAW_IN_MEMORY).await
}

/// The README at the root.
///
/// # Errors
/// As [`open`]; `not_found` when there is none.
pub async fn readme_get(app: &App, ctx: &Context, id: &str, reference: Option<&str>) -> Result<ReadmeView> {
    let (project, repository) = open(app, ctx, id, Permission::RepositoryRead).await?;
    let shown = shown_ref(reference, &project.row);
    let name = shown.clone();
    let (path, text) = repository
        .read(move |r| {
            let entries = r.tree(r.tree_at(r.resolve(&name)?.commit, None)?)?;
            let rank = |e: &git::TreeEntry| {
                let name = e.name_lossy().to_ascii_lowercase();
                ["readme.md", "readme.markdown", "readme", "readme.txt", "readme.rst"].iter().position(|n| *n == name)
            };
            let best = entries.iter().filter(|e| e.kind == EntryKind::Blob).filter_map(|e| Some((rank(e)?, e))).min_by_key(|(n, _)| *n);
            let (_, entry) = best.ok_or_else(|| git::GitError::NotFound("README".into()))?;
            let data = r.blob(entry.oid, SHOWN)?.data.ok_or_else(|| git::GitError::TooLarge("the README is over 1 MiB".into()))?;
            Ok((entry.name_lossy(), String::from_utf8_lossy(&data).into_owned()))
        })
        .await?;
    let html = rendered(&project.row, &shown, &path, &text, "utf-8").await?;
    Ok(ReadmeView { path, html, content: text })
}

/// A page of history: all of it, or what changed a path.
///
/// # Errors
/// As [`open`]; `not_found` for the ref, `invalid_cursor`.
pub async fn commit_list(
    app: &App,
    ctx: &Context,
    id: &str,
    reference: Option<&str>,
    at: Option<&str>,
    after: Option<String>,
    limit: usize,
) -> Result<(Vec<CommitView>, Option<String>)> {
    let (project, repository) = open(app, ctx, id, Permission::RepositoryRead).await?;
    let at = path(at)?;
    let cursor = after
        .map(|text| LogCursor::parse(&text).map_err(|_| Error::new(Code::InvalidCursor, "the cursor is not one of this list")))
        .transpose()?;
    if reference.is_none_or(str::is_empty) && repository.refs().await?.head_entry().is_none() {
        return Ok((Vec::new(), None));
    }
    let name = shown_ref(reference, &project.row);
    let page = repository.read(move |r| r.log(r.resolve(&name)?.commit, at.as_ref(), cursor.as_ref(), limit)).await?;
    let oids: Vec<String> = page.commits.iter().map(|c| c.oid.to_hex()).collect();
    let states = commit_status_of_many(app.db(), project.id(), &oids).await?;
    let items = page.commits.into_iter().zip(&oids).map(|(c, oid)| CommitView::new(c, states.get(oid).copied())).collect();
    Ok((items, page.next.map(|n| n.to_text())))
}

/// One commit with its diff against its first parent.
///
/// # Errors
/// As [`open`]; `not_found` for the commit.
pub async fn commit_get(app: &App, ctx: &Context, id: &str, oid: &str) -> Result<CommitDetail> {
    let (project, repository) = open(app, ctx, id, Permission::RepositoryRead).await?;
    let name = object_name(oid)?;
    let (commit, diff) = repository
        .read(move |r| {
            let commit = r.commit(r.resolve(&name)?.commit)?;
            let diff = r.diff(commit.parents.first().copied(), commit.oid, DiffLimits::PAGE)?;
            Ok((commit, diff))
        })
        .await?;
    let hex = commit.oid.to_hex();
    let states = commit_status_of_many(app.db(), project.id(), std::slice::from_ref(&hex)).await?;
    let stats = Stats {
        files: diff.files.len(),
        additions: diff.files.iter().map(|f| f.additions).sum(),
        deletions: diff.files.iter().map(|f| f.deletions).sum(),
        truncated: !diff.complete,
    };
    let files = diff.files.into_iter().map(Into::into).collect();
    Ok(CommitDetail { commit: CommitView::new(commit, states.get(&hex).copied()), files, stats })
}

/// An object id in an address, whole or cut short; never a ref.
fn object_name(text: &str) -> Result<String> {
    let fine = (4..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    if fine { Ok(text.to_ascii_lowercase()) } else { Err(Error::not_found("commit")) }
}

/// What checks say about a commit.
///
/// # Errors
/// As [`open`]; `not_found` for the commit.
pub async fn commit_status_list_of(app: &App, ctx: &Context, id: &str, oid: &str) -> Result<Vec<CommitStatusRow>> {
    let (project, repository) = open(app, ctx, id, Permission::RepositoryRead).await?;
    let name = object_name(oid)?;
    let commit = repository.read(move |r| Ok(r.resolve(&name)?.commit)).await?;
    commit_status_list(app.db(), project.id(), &commit.to_hex()).await
}

/// Makes a commit from edits of files.
///
/// # Errors
/// As [`open`]; `validation_failed`, `unprocessable` for edits that do not fit, `conflict` when the branch has moved.
pub async fn commit_create(app: &App, ctx: &Context, id: &str, new: CommitNew) -> Result<CommitView> {
    let (_, repository) = open(app, ctx, id, Permission::RepositoryWrite).await?;
    let branch = RefName::branch(&new.branch).map_err(|e| Error::field("branch", "invalid", e.detail))?;
    if let Some(begun) = app.made::<Begun>(ctx)?
        && let Some(commit) = committed(&repository, &branch, &begun.commit).await?
    {
        return Ok(CommitView::new(commit, None));
    }
    if new.actions.is_empty() || new.actions.len() > MAX_ACTIONS {
        return Err(Error::field("actions", "out_of_range", format!("between 1 and {MAX_ACTIONS}")));
    }
    let actions = new.actions.into_iter().enumerate().map(|(i, a)| a.parse(i)).collect::<Result<Vec<_>>>()?;
    let expected = match new.expected_head.as_deref() {
        None => Expected::Any,
        Some(text) => Expected::At(Some(Oid::parse(text).map_err(|_| Error::field("expected_head", "invalid", "40 hexadecimal digits"))?)),
    };
    let refs = repository.refs().await?;
    let start = refs.head_entry().map(git::RefEntry::target);
    let author = signature(app, ctx).await?;
    let commit = NewCommit { branch, start, expected, actions, committer: author.clone(), author, message: new.message };
    let recorder = Recorder::requested(app, &repository, ctx);
    Ok(CommitView::new(repository.commit(commit, &recorder).await?, None))
}

/// A commit that an earlier try of a request began, if it came to be on its branch. Its event is on record or will be: the
/// open push says so.
async fn committed(repository: &Repository, branch: &RefName, oid: &str) -> Result<Option<git::Commit>> {
    let Ok(oid) = Oid::parse(oid) else { return Ok(None) };
    let Some(head) = repository.refs().await?.get(branch.as_str()).map(|r| r.oid) else { return Ok(None) };
    if !repository.read(move |r| Ok(r.has(oid))).await? || (head != oid && repository.rewrites(oid, head).await) {
        return Ok(None);
    }
    Ok(Some(repository.read(move |r| r.commit(oid)).await?))
}

/// Makes a commit and puts it on record like any push. For the creation flow and other rooms that edit files.
///
/// # Errors
/// `unprocessable` for edits that do not fit, `conflict` when the branch has moved.
pub async fn commit_as(app: &App, repository: &Repository, account: Option<UserId>, commit: NewCommit) -> Result<git::Commit> {
    let recorder = Recorder::new(app, repository, account);
    Ok(repository.commit(commit, &recorder).await?)
}

/// How the caller signs commits.
async fn signature(app: &App, ctx: &Context) -> Result<Signature> {
    let host = app.config().public_host();
    let host = host.split(':').next().unwrap_or("localhost").to_owned();
    let account = match ctx.user() {
        Some(id) => store::account::account_get(app.db(), id).await?,
        None => None,
    };
    let (name, email) = match (account, &ctx.actor) {
        (Some(a), _) => {
            let email = a.email.unwrap_or_else(|| format!("{}@users.{host}", a.name));
            (if a.display_name.is_empty() { a.name } else { a.display_name }, email)
        }
        (None, Actor::Job { .. }) => ("pipeline".to_owned(), format!("pipeline@{host}")),
        (None, _) => ("service".to_owned(), format!("service@{host}")),
    };
    Ok(Signature { name, email, time: Timestamp::now() })
}

/// Keeps a repository fast after pushes: the work `repository_maintain`.
///
/// # Errors
/// `internal` when git fails.
pub async fn maintain(app: App, work: WorkRow) -> Result<()> {
    let Some(project) = work.project else { return Ok(()) };
    let repository = match app.part::<Repositories>()?.get(project) {
        Ok(repository) => repository,
        // deleted meanwhile
        Err(git::GitError::NotFound(_)) => return Ok(()),
        Err(e) => return Err(e.into()),
    };
    repository.sweep().await?;
    if let Some(effort) = repository.due().await? {
        repository.maintain(effort).await?;
    }
    Ok(())
}

/// Removes what half-made and half-removed repositories left.
///
/// # Errors
/// The disk's.
pub async fn sweep(app: App) -> Result<()> {
    app.part::<Repositories>()?.sweep().await?;
    Ok(())
}
