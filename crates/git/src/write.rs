//! Commits made by the service itself: edits on the web, templates, set-up of a project.
//!
//! Objects go into one pack that is flushed before the ref moves; the ref moves by compare-and-swap. Nothing is
//! written through a symbolic link, since no working tree exists at any time.

use std::collections::BTreeMap;

use kernel::event::RefUpdate;
use kernel::{RefName, RepoPath};

use crate::error::{GitError, Result};
use crate::oid::Oid;
use crate::pack::{Kind, Pack, PackBuilder};
use crate::read::{Commit, EntryKind, Reader, Signature};
use crate::refs::RefEdit;
use crate::repositories::{Repository, blocking};
use crate::serve::{Command, Outcome, PushHook};

/// Times a commit is made anew when the branch moved under it and the caller does not mind.
const ATTEMPTS: usize = 5;
/// Most bytes of a message.
const MAX_MESSAGE: usize = 256 << 10;

/// Where the branch must be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected {
    /// Wherever: the edits apply to what is there.
    Any,
    /// Exactly there; none means the branch must not exist.
    At(Option<Oid>),
}

/// One edit of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// A file that is not there yet.
    Create {
        /// Where.
        path: RepoPath,
        /// What.
        content: Vec<u8>,
        /// May be run.
        executable: bool,
    },
    /// Other content for a file that is there; its mode stays.
    Update {
        /// Where.
        path: RepoPath,
        /// What.
        content: Vec<u8>,
    },
    /// A file, or symbolic link, that shall go.
    Delete {
        /// Where.
        path: RepoPath,
    },
    /// A file that shall be elsewhere, with other content or the same.
    Move {
        /// Where it is.
        from: RepoPath,
        /// Where it shall be.
        to: RepoPath,
        /// What it shall hold, if not the same.
        content: Option<Vec<u8>>,
    },
}

/// A commit to be made.
#[derive(Clone, Debug)]
pub struct NewCommit {
    /// The branch it goes on; born by it if need be.
    pub branch: RefName,
    /// Where a new branch starts; without it a new branch has a history of its own.
    pub start: Option<Oid>,
    /// Where the branch must be.
    pub expected: Expected,
    /// Applied in order.
    pub actions: Vec<Action>,
    /// Who wrote it.
    pub author: Signature,
    /// Who committed it.
    pub committer: Signature,
    /// Why.
    pub message: String,
}

impl Repository {
    /// Makes a commit and moves the branch to it, recorded through `hook` like a push.
    ///
    /// # Errors
    /// `Invalid` for actions that do not fit the tree; `Moved` when the branch is not at `expected`; `NotRecorded` when
    /// it was made and the record failed.
    pub async fn commit(&self, new: NewCommit, hook: &dyn PushHook) -> Result<Commit> {
        // the record of a commit must follow in the order of the moves
        let _turn = self.writer_turn().await;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let (this, request) = (self.clone(), new.clone());
            let (made, pack, old) = blocking(move || {
                let reader = this.reader()?;
                build(&reader, &request)
            })
            .await?;
            let command = Command { name: new.branch.to_string(), old, new: Some(made.oid) };
            hook.begin(std::slice::from_ref(&command)).await.map_err(GitError::Invalid)?;
            let stored = self.store(pack, &new.branch, old, made.oid).await;
            let updates = match stored {
                Ok(()) => vec![RefUpdate { name: command.name, old: old.map(Oid::to_hex), new: Some(made.oid.to_hex()), forced: false }],
                Err(_) => Vec::new(),
            };
            let recorded = hook.finish(&Outcome { updates }).await;
            match stored {
                Ok(()) => return recorded.map(|()| made).map_err(GitError::NotRecorded),
                // another instance, or a git process, was faster
                Err(GitError::Moved { .. }) if new.expected == Expected::Any && attempt < ATTEMPTS => {}
                Err(e) => return Err(e),
            }
        }
    }

    async fn store(&self, pack: Pack, branch: &RefName, old: Option<Oid>, new: Oid) -> Result<()> {
        let this = self.clone();
        blocking(move || this.all.packs.put(this.project, &pack)).await?;
        self.pack_added();
        self.update_refs(&[RefEdit { name: branch.clone(), old, new: Some(new) }]).await
    }
}

fn build(reader: &Reader, new: &NewCommit) -> Result<(Commit, Pack, Option<Oid>)> {
    if !new.branch.is_branch() {
        return Err(GitError::Invalid("commits go on branches".into()));
    }
    let old = reader.refs().get(new.branch.as_str()).map(|r| r.oid);
    if let Expected::At(expected) = new.expected
        && expected != old
    {
        return Err(GitError::Moved { name: new.branch.to_string(), expected, found: old });
    }
    let parent = old.or(new.start).map(|oid| reader.commit(oid)).transpose()?;
    let mut root = match &parent {
        Some(parent) => Dir::load(reader, parent.tree)?,
        None => Dir::default(),
    };
    let mut pack = PackBuilder::new();
    for action in &new.actions {
        apply(reader, &mut root, &mut pack, action)?;
    }
    let tree = root.write(&mut pack)?;
    if parent.as_ref().map_or(new.actions.is_empty(), |p| p.tree == tree) {
        return Err(GitError::Invalid("nothing would change".into()));
    }
    let message = clean_message(&new.message)?;
    let mut text = format!("tree {tree}\n");
    let parents: Vec<Oid> = parent.iter().map(|p| p.oid).collect();
    for parent in &parents {
        text.push_str(&format!("parent {parent}\n"));
    }
    text.push_str(&format!("author {}\ncommitter {}\n\n{message}", signature_line(&new.author), signature_line(&new.committer)));
    let oid = pack.add(Kind::Commit, text.as_bytes())?;
    let commit = crate::read::parse_commit(oid, text.as_bytes())?;
    Ok((commit, pack.finish(), old))
}

/// A directory on its way into a new tree. Only the ones an action touches are loaded.
#[derive(Default)]
struct Dir {
    entries: BTreeMap<Vec<u8>, Node>,
}

enum Node {
    Stored { mode: u32, kind: EntryKind, oid: Oid },
    Dir(Dir),
}

const FILE: u32 = 0o100_644;
const EXECUTABLE: u32 = 0o100_755;
const TREE: u32 = 0o040_000;

impl Dir {
    fn load(reader: &Reader, tree: Oid) -> Result<Self> {
        let entries = reader.tree(tree)?.into_iter().map(|e| (e.name, Node::Stored { mode: e.mode, kind: e.kind, oid: e.oid }));
        Ok(Self { entries: entries.collect() })
    }

    /// The directory that holds `path`, and the last part of it.
    fn parent<'a, 'p>(&'a mut self, reader: &Reader, path: &'p RepoPath) -> Result<(&'a mut Dir, &'p [u8])> {
        let mut dir = self;
        let (above, name) = path.as_str().rsplit_once('/').map_or((None, path.as_str()), |(a, n)| (Some(a), n));
        for part in above.into_iter().flat_map(|a| a.split('/')) {
            let node = dir.entries.entry(part.as_bytes().to_vec()).or_insert_with(|| Node::Dir(Dir::default()));
            if let Node::Stored { kind, oid, .. } = node {
                if *kind != EntryKind::Tree {
                    let what = if *kind == EntryKind::Symlink { "a symbolic link" } else { "no directory" };
                    return Err(GitError::Invalid(format!("{path}: {part} is {what}")));
                }
                *node = Node::Dir(Dir::load(reader, *oid)?);
            }
            let Node::Dir(next) = node else { return Err(GitError::Invalid(format!("{path}: {part} is no directory"))) };
            dir = next;
        }
        Ok((dir, name.as_bytes()))
    }

    /// Writes it and what is below; its id.
    fn write(&self, pack: &mut PackBuilder) -> Result<Oid> {
        let mut written = Vec::with_capacity(self.entries.len());
        for (name, node) in &self.entries {
            match node {
                Node::Stored { mode, oid, .. } => written.push((name, *mode, *oid)),
                // git knows no empty directories
                Node::Dir(dir) if dir.is_empty() => {}
                Node::Dir(dir) => written.push((name, TREE, dir.write(pack)?)),
            }
        }
        // git orders a directory as if its name ended in a slash
        let key = |name: &[u8], mode: u32| if mode == TREE { [name, b"/"].concat() } else { name.to_vec() };
        written.sort_by_cached_key(|(name, mode, _)| key(name, *mode));
        let mut data = Vec::new();
        for (name, mode, oid) in written {
            data.extend_from_slice(format!("{mode:o} ").as_bytes());
            data.extend_from_slice(name);
            data.push(0);
            data.extend_from_slice(oid.as_bytes());
        }
        pack.add(Kind::Tree, &data)
    }

    fn is_empty(&self) -> bool {
        self.entries.values().all(|n| matches!(n, Node::Dir(d) if d.is_empty()))
    }
}

fn apply(reader: &Reader, root: &mut Dir, pack: &mut PackBuilder, action: &Action) -> Result<()> {
    match action {
        Action::Create { path, content, executable } => {
            let oid = pack.add(Kind::Blob, content)?;
            insert(reader, root, path, if *executable { EXECUTABLE } else { FILE }, EntryKind::Blob, oid)
        }
        Action::Update { path, content } => {
            let (mode, kind, _) = existing(reader, root, path)?;
            if kind != EntryKind::Blob {
                return Err(GitError::Invalid(format!("{path} is a symbolic link")));
            }
            let oid = pack.add(Kind::Blob, content)?;
            let (dir, name) = root.parent(reader, path)?;
            dir.entries.insert(name.to_vec(), Node::Stored { mode, kind, oid });
            Ok(())
        }
        Action::Delete { path } => {
            existing(reader, root, path)?;
            let (dir, name) = root.parent(reader, path)?;
            dir.entries.remove(name);
            Ok(())
        }
        Action::Move { from, to, content } => {
            let (mode, kind, mut oid) = existing(reader, root, from)?;
            if let Some(content) = content {
                if kind != EntryKind::Blob {
                    return Err(GitError::Invalid(format!("{from} is a symbolic link")));
                }
                oid = pack.add(Kind::Blob, content)?;
            }
            let (dir, name) = root.parent(reader, from)?;
            dir.entries.remove(name);
            insert(reader, root, to, mode, kind, oid)
        }
    }
}

fn existing(reader: &Reader, root: &mut Dir, path: &RepoPath) -> Result<(u32, EntryKind, Oid)> {
    let (dir, name) = root.parent(reader, path)?;
    match dir.entries.get(name) {
        Some(Node::Stored { mode, kind: kind @ (EntryKind::Blob | EntryKind::Symlink), oid }) => Ok((*mode, *kind, *oid)),
        Some(_) => Err(GitError::Invalid(format!("{path} is no file"))),
        None => Err(GitError::Invalid(format!("{path} does not exist"))),
    }
}

fn insert(reader: &Reader, root: &mut Dir, path: &RepoPath, mode: u32, kind: EntryKind, oid: Oid) -> Result<()> {
    let (dir, name) = root.parent(reader, path)?;
    match dir.entries.get(name) {
        // a directory that only became empty by an earlier action makes room
        Some(Node::Dir(d)) if d.is_empty() => {}
        Some(_) => return Err(GitError::Invalid(format!("{path} exists already"))),
        None => {}
    }
    dir.entries.insert(name.to_vec(), Node::Stored { mode, kind, oid });
    Ok(())
}

/// `Name <mail> seconds +0000` with nothing in the name or mail that could end them early.
pub(crate) fn signature_line(who: &Signature) -> String {
    let clean = |text: &str, instead: &str| {
        let kept: String = text.chars().filter(|c| !c.is_control() && !matches!(c, '<' | '>')).take(200).collect();
        let kept = kept.trim().to_owned();
        if kept.is_empty() { instead.to_owned() } else { kept }
    };
    let name = clean(&who.name, "unknown");
    let email = clean(&who.email, "unknown@localhost");
    format!("{name} <{email}> {} +0000", who.time.millis().max(0) / 1000)
}

fn clean_message(message: &str) -> Result<String> {
    let message = message.replace("\r\n", "\n");
    let message = message.trim_end();
    if message.trim().is_empty() {
        return Err(GitError::Invalid("a commit needs a message".into()));
    }
    if message.len() > MAX_MESSAGE {
        return Err(GitError::TooLarge(format!("the message is over {MAX_MESSAGE} bytes")));
    }
    if message.contains('\0') {
        return Err(GitError::Invalid("the message holds a NUL".into()));
    }
    Ok(format!("{message}\n"))
}
