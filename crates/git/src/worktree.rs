//! What lies in a working directory, taken into a repository of the service without touching the directory's own.
//!
//! Nothing is copied but what is not committed yet: the repository reads the objects of the directory's own one through
//! `objects/info/alternates`. That holds as long as the two are on one machine, which is what running a pipeline locally is.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kernel::{RefName, Timestamp};
use uuid::Uuid;

use crate::error::{GitError, Result};
use crate::oid::Oid;
use crate::pack::{Kind, PackBuilder};
use crate::program::Argv;
use crate::read::Signature;
use crate::refs::RefEdit;
use crate::repositories::{Repository, blocking};
use crate::write::signature_line;

/// Most tags that come along.
const MAX_TAGS: usize = 5_000;
/// Longest look at the files.
const LOOK: Duration = Duration::from_secs(600);

/// A working directory, and the repository that it belongs to, if there is one.
#[derive(Clone, Debug)]
pub struct Worktree {
    root: PathBuf,
    git: Option<GitDir>,
}

/// Where a working directory has its repository.
#[derive(Clone, Debug)]
struct GitDir {
    /// With its HEAD and index.
    own: PathBuf,
    /// With its objects.
    common: PathBuf,
}

/// What was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// A commit with all that is there, ignored files aside.
    pub commit: Oid,
    /// The last commit of the directory's own branch; the same when nothing changed since.
    pub head: Option<Oid>,
    /// The branch that is checked out, or `main`.
    pub branch: RefName,
}

/// What the directory's repository says about itself.
#[derive(Default)]
struct Facts {
    head: Option<Oid>,
    branch: Option<RefName>,
    refs: BTreeMap<RefName, Oid>,
    author: Option<(String, String)>,
}

impl Worktree {
    /// The working directory around `dir`; `dir` itself, without a history, when it is in none.
    ///
    /// # Errors
    /// `Io` when there is no such directory.
    pub fn find(dir: &Path) -> Result<Self> {
        let start = fs::canonicalize(dir).map_err(GitError::io(format!("open {}", dir.display())))?;
        for folder in start.ancestors() {
            let git = folder.join(".git");
            if git.is_dir() {
                return Ok(Self { root: folder.to_owned(), git: Some(GitDir { own: git.clone(), common: git }) });
            }
            if let Some(own) = fs::read_to_string(&git).ok().and_then(|t| Some(folder.join(t.strip_prefix("gitdir:")?.trim()))) {
                let common = fs::read_to_string(own.join("commondir")).map_or_else(|_| own.clone(), |c| own.join(c.trim()));
                return Ok(Self { root: folder.to_owned(), git: Some(GitDir { own, common }) });
            }
        }
        Ok(Self { root: start, git: None })
    }

    /// Its top.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The branch that the others are made from, without `refs/heads/`: what the remote says, else `main` or `master` if there
    /// is one, else the one that is checked out.
    ///
    /// # Errors
    /// `Invalid` for a repository that cannot be read.
    pub fn default_branch(&self) -> Result<String> {
        let facts = self.facts()?;
        let short = |name: &RefName| name.as_str().trim_start_matches("refs/heads/").to_owned();
        if let Some(told) = facts.refs.keys().find(|name| name.is_branch()) {
            return Ok(short(told));
        }
        let here = facts.branch.as_ref().map_or_else(|| "main".to_owned(), short);
        let Some(git) = &self.git else { return Ok(here) };
        let known = |name: &str| gix::open(&git.own).is_ok_and(|r| r.find_reference(&format!("refs/heads/{name}")).is_ok());
        Ok(["main", "master"].into_iter().find(|name| known(name)).map_or(here, str::to_owned))
    }

    fn facts(&self) -> Result<Facts> {
        let Some(git) = &self.git else { return Ok(Facts::default()) };
        let told = |e: String| GitError::Invalid(format!("the repository of {} cannot be read: {e}", self.root.display()));
        let repo = gix::open(&git.own).map_err(|e| told(e.to_string()))?;
        if repo.object_hash() != gix::hash::Kind::Sha1 {
            return Err(told("only the SHA-1 object format is supported".into()));
        }
        let oid = |id: gix::ObjectId| Oid::from_hex(id.to_hex().to_string().as_bytes());
        let name = |text: String| RefName::parse(&text).ok();
        let mut facts = Facts {
            head: repo.head_id().ok().and_then(|id| oid(id.detach())),
            branch: repo.head_name().map_err(|e| told(e.to_string()))?.and_then(|n| name(n.as_bstr().to_string())),
            ..Facts::default()
        };
        let author = repo.author().and_then(std::result::Result::ok);
        facts.author = author.map(|a| (a.name.to_string(), a.email.to_string()));
        let refs = repo.references().map_err(|e| told(e.to_string()))?;
        let tags = refs.prefixed("refs/tags/").map_err(|e| told(e.to_string()))?;
        for tag in tags.filter_map(std::result::Result::ok).take(MAX_TAGS) {
            if let (Some(name), Some(id)) = (name(tag.name().as_bstr().to_string()), tag.try_id().and_then(|id| oid(id.detach()))) {
                facts.refs.insert(name, id);
            }
        }
        // what others call the main line is there, too, if another branch is checked out
        if let Ok(head) = repo.find_reference("refs/remotes/origin/HEAD")
            && let gix::refs::TargetRef::Symbolic(target) = head.target()
            && let Some(short) = target.as_bstr().to_string().strip_prefix("refs/remotes/origin/")
            && let Ok(branch) = RefName::branch(short)
            && let Some(id) = repo.find_reference(target).ok().and_then(|r| r.try_id().and_then(|id| oid(id.detach())))
        {
            facts.refs.insert(branch, id);
        }
        Ok(facts)
    }
}

impl Repository {
    /// Takes what lies in a working directory, committed or not, and moves the branch of the same name to it. No event is
    /// made of it, and the directory's own repository stays as it is.
    ///
    /// # Errors
    /// `Invalid` for a repository that cannot be read, `Program` when git cannot read a file, `Io`.
    pub async fn take(&self, tree: &Worktree) -> Result<Snapshot> {
        let here = tree.clone();
        let facts = blocking(move || here.facts()).await?;
        let bare = self.all.packs.local(self.project)?;
        if let Some(git) = &tree.git {
            self.borrow_objects(&bare, git)?;
        }
        let files = self.files(tree, &bare).await?;
        let branch = match facts.branch {
            Some(branch) => branch,
            None => RefName::branch("main").map_err(|e| GitError::Invalid(e.detail))?,
        };
        let head = facts.head;
        let unchanged = match head {
            Some(head) => self.read(move |r| Ok(r.commit(head)?.tree == files)).await?,
            None => false,
        };
        let commit = match head {
            Some(head) if unchanged => head,
            _ => self.snapshot_commit(files, head, facts.author).await?,
        };
        let mut wanted = facts.refs;
        wanted.insert(branch.clone(), commit);
        let now = self.refs().await?;
        let old = |name: &RefName| now.get(name.as_str()).map(crate::refs::RefEntry::target);
        let edits = wanted.into_iter().map(|(name, oid)| RefEdit { old: old(&name), new: Some(oid), name });
        let edits: Vec<RefEdit> = edits.filter(|e| e.old != e.new).collect();
        if !edits.is_empty() {
            self.update_refs(&edits).await?;
        }
        Ok(Snapshot { commit, head, branch })
    }

    /// Makes the objects of the directory's repository readable here.
    fn borrow_objects(&self, bare: &Path, git: &GitDir) -> Result<()> {
        let objects = fs::canonicalize(git.common.join("objects")).map_err(GitError::io("find the objects"))?;
        let line = format!("{}\n", objects.to_str().ok_or_else(|| GitError::Invalid("the path of the repository is not UTF-8".into()))?);
        let alternates = bare.join("objects/info/alternates");
        if fs::read_to_string(&alternates).is_ok_and(|text| text == line) {
            return Ok(());
        }
        let io = GitError::io("borrow the objects");
        fs::create_dir_all(bare.join("objects/info")).and_then(|()| fs::write(&alternates, line)).map_err(io)?;
        self.packs_changed();
        Ok(())
    }

    /// The tree of all files that are not ignored.
    async fn files(&self, tree: &Worktree, bare: &Path) -> Result<Oid> {
        if let Some(git) = &tree.git {
            // the ends of a history that was cut off are known by this file
            let (from, to) = (git.common.join("shallow"), bare.join("shallow"));
            if from.exists() {
                fs::copy(from, to).map_err(GitError::io("copy the ends of the history"))?;
            } else if to.exists() {
                fs::remove_file(to).map_err(GitError::io("forget the ends of the history"))?;
            }
        }
        let index = self.all.layout.incoming().join(format!("index-{}", Uuid::new_v4().simple()));
        if let Some(git) = &tree.git {
            // with it only what changed is looked at
            match fs::copy(git.own.join("index"), &index) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(GitError::io("copy the index")(e)),
                _ => {}
            }
        }
        let made = async {
            let begin = |command: &'static str| -> Argv<'_> {
                let argv = self.all.program.command(command).config("core.bare", "false").config("core.fsync", "none");
                let argv =
                    argv.env("GIT_WORK_TREE", &tree.root).env("GIT_INDEX_FILE", &index).env("GIT_OBJECT_DIRECTORY", bare.join("objects"));
                match &tree.git {
                    Some(git) => argv.env("GIT_DIR", &git.own).env("GIT_ALTERNATE_OBJECT_DIRECTORIES", git.common.join("objects")),
                    None => argv.env("GIT_DIR", bare),
                }
            };
            begin("add").flag("--all").output(b"", LOOK, 1 << 20).await?;
            begin("write-tree").output(b"", LOOK, 1024).await
        }
        .await;
        // whatever came of it
        let _ = fs::remove_file(&index);
        Oid::parse(String::from_utf8_lossy(&made?).trim())
    }

    async fn snapshot_commit(&self, files: Oid, parent: Option<Oid>, author: Option<(String, String)>) -> Result<Oid> {
        let (name, email) = author.unwrap_or_else(|| ("local".into(), "local@localhost".into()));
        let who = signature_line(&Signature { name, email, time: Timestamp::now() });
        let parent = parent.map(|p| format!("parent {p}\n")).unwrap_or_default();
        let text = format!("tree {files}\n{parent}author {who}\ncommitter {who}\n\nChanges that are not committed\n");
        let mut pack = PackBuilder::new();
        let oid = pack.add(Kind::Commit, text.as_bytes())?;
        let (this, pack) = (self.clone(), pack.finish());
        blocking(move || this.all.packs.put(this.project, &pack)).await?;
        self.pack_added();
        Ok(oid)
    }
}
