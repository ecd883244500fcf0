//! Reading objects in process. All functions here block; [`crate::Repository::read`] runs them off the async threads.
//!
//! Trees, commits and tags are decoded here, leniently and with bounds, from what the object database gives. Nothing
//! read from a repository is trusted: sizes are asked before bytes are loaded, walks have budgets.

mod diff;
mod hunks;
mod last;
mod log;
mod rename;

use std::cell::RefCell;
use std::sync::Arc;

use gix::objs::{Find, FindHeader};
use kernel::{RepoPath, Timestamp};
use serde::Serialize;

pub use diff::{Change, ChangeKind, Changes, DiffLimits, FileDiff, TreeDiff};
pub use hunks::{Hunk, Line, LineKind};
pub use last::LastCommits;
pub use log::{LogCursor, LogPage};

use crate::error::{GitError, Result};
use crate::oid::Oid;
use crate::pack::Kind;
use crate::refs::RefSnapshot;

/// Most bytes of a commit or tag that are looked at; more is damage or an attack.
const MAX_COMMIT: u64 = 4 << 20;
/// Most bytes of a tree: half a million entries of usual length.
const MAX_TREE: u64 = 32 << 20;
/// Tags that point at tags are followed this far.
const MAX_PEEL: usize = 8;

/// A view of one repository on one thread.
pub struct Reader {
    objects: gix::odb::HandleArc,
    refs: Arc<RefSnapshot>,
    buffer: RefCell<Vec<u8>>,
}

/// What a name given by a user stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resolved {
    /// Full ref name, when it was one.
    pub name: Option<String>,
    /// The commit.
    pub commit: Oid,
}

/// Who, and when.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Signature {
    /// As written in the commit.
    pub name: String,
    /// As written in the commit.
    pub email: String,
    /// When.
    pub time: Timestamp,
}

/// A commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Commit {
    /// Its id.
    pub oid: Oid,
    /// Its tree.
    pub tree: Oid,
    /// Its parents.
    pub parents: Vec<Oid>,
    /// Who wrote it.
    pub author: Signature,
    /// Who committed it.
    pub committer: Signature,
    /// The whole message.
    pub message: String,
}

impl Commit {
    /// The first line of the message.
    pub fn title(&self) -> &str {
        self.message.lines().next().unwrap_or("")
    }
}

/// What an entry of a tree is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A directory.
    Tree,
    /// A file.
    Blob,
    /// A symbolic link: its blob is the target.
    Symlink,
    /// A commit of another repository.
    Submodule,
}

/// One entry of a tree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TreeEntry {
    /// Name within its directory, as stored; may be anything but `/` and NUL.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// The mode as git shows it, such as `100755`.
    pub mode: u32,
    /// Its object.
    pub oid: Oid,
}

impl TreeEntry {
    /// The name as text; bytes that are not UTF-8 are replaced.
    pub fn name_lossy(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }

    /// The mode in git's octal digits.
    pub fn mode_text(&self) -> String {
        format!("{:06o}", self.mode)
    }
}

/// Content of a file, as far as it was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Blob {
    /// Its id.
    pub oid: Oid,
    /// Its full size.
    pub size: u64,
    /// The bytes; none when it is larger than the caller wanted to load.
    pub data: Option<Vec<u8>>,
}

impl Blob {
    /// A NUL among the first 8000 bytes, git's own test.
    pub fn is_binary(&self) -> bool {
        self.data.as_ref().is_some_and(|d| is_binary(d))
    }
}

/// git's test for binary content.
pub fn is_binary(data: &[u8]) -> bool {
    data.iter().take(8000).any(|b| *b == 0)
}

impl Reader {
    pub(crate) fn new(store: &Arc<gix::odb::Store>, refs: Arc<RefSnapshot>) -> Self {
        let objects = store.to_cache_arc().with_pack_cache(|| Box::new(gix::odb::pack::cache::lru::StaticLinkedList::<64>::default()));
        Self { objects, refs, buffer: RefCell::new(Vec::new()) }
    }

    /// The refs as they were when this reader was made.
    pub fn refs(&self) -> &RefSnapshot {
        &self.refs
    }

    /// Kind and size of an object.
    ///
    /// # Errors
    /// `NotFound`, `Corrupt`.
    pub fn header(&self, oid: Oid) -> Result<(Kind, u64)> {
        let id = gix::ObjectId::from(oid);
        let found = self.objects.try_header(&id).map_err(|e| GitError::Corrupt(format!("{oid}: {e}")))?;
        let header = found.ok_or_else(|| GitError::NotFound(format!("object {oid}")))?;
        Ok((kind_of(header.kind), header.size))
    }

    /// Is the object there?
    pub fn has(&self, oid: Oid) -> bool {
        self.header(oid).is_ok()
    }

    /// Hands the bytes of an object to `f`, at most `max` of them.
    fn with_object<T>(&self, oid: Oid, want: Kind, max: u64, f: impl FnOnce(&[u8]) -> Result<T>) -> Result<T> {
        let (kind, size) = self.header(oid)?;
        if kind != want {
            return Err(GitError::NotFound(format!("{} {oid}", want.as_str())));
        }
        if size > max {
            return Err(GitError::TooLarge(format!("{} {oid} has {size} bytes, at most {max} are read", want.as_str())));
        }
        // the buffer is taken out, so that `f` may read other objects
        let mut buffer = self.buffer.take();
        let result = match self.objects.try_find(&gix::ObjectId::from(oid), &mut buffer) {
            Ok(Some(data)) => f(data.data),
            Ok(None) => Err(GitError::NotFound(format!("object {oid}"))),
            Err(e) => Err(GitError::Corrupt(format!("{oid}: {e}"))),
        };
        if buffer.capacity() <= 8 << 20 {
            self.buffer.replace(buffer);
        }
        result
    }

    /// The commit that a branch, tag, full ref name or object id (at least 4 digits) names; `""` and `HEAD` are the
    /// default branch. Nothing more is understood: no `~`, `^`, `@{}` or ranges.
    ///
    /// # Errors
    /// `NotFound` when nothing has the name, or it does not lead to a commit.
    pub fn resolve(&self, name: &str) -> Result<Resolved> {
        let missing = || GitError::NotFound(format!("ref {}", crate::pktline::one_line(name)));
        let of_ref = |full: &str| -> Option<Result<Resolved>> {
            let entry = self.refs.get(full)?;
            Some(self.peel_to_commit(entry.target()).map(|commit| Resolved { name: Some(entry.name.clone()), commit }))
        };
        if name.is_empty() || name == "HEAD" {
            return of_ref(&self.refs.head).unwrap_or_else(|| Err(GitError::NotFound("a first commit".into())));
        }
        if name.len() > 255 {
            return Err(missing());
        }
        for full in [name.to_owned(), format!("refs/heads/{name}"), format!("refs/tags/{name}")] {
            if let Some(found) = of_ref(&full) {
                return found;
            }
        }
        let hex = name.bytes().all(|b| b.is_ascii_hexdigit());
        if !hex || !(4..=40).contains(&name.len()) {
            return Err(missing());
        }
        let oid = if name.len() == 40 {
            Oid::parse(name)?
        } else {
            let prefix = gix::hash::Prefix::from_hex(name).map_err(|_| missing())?;
            match self.objects.lookup_prefix(prefix, None) {
                Ok(Some(Ok(id))) => Oid::from(id),
                Ok(Some(Err(()))) => return Err(GitError::Invalid(format!("{name} is ambiguous"))),
                Ok(None) => return Err(missing()),
                Err(e) => return Err(GitError::Corrupt(e.to_string())),
            }
        };
        match self.peel_to_commit(oid) {
            Ok(commit) => Ok(Resolved { name: None, commit }),
            Err(GitError::NotFound(_)) => Err(missing()),
            Err(e) => Err(e),
        }
    }

    /// Where the histories of two commits part: the best common ancestor.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn merge_base(&self, one: Oid, other: Oid) -> Result<Option<Oid>> {
        use gix::revision::plumbing::{Graph, merge_base};
        let mut graph = Graph::new(&self.objects, None);
        let bases = merge_base(one.into(), &[other.into()], &mut graph).map_err(|e| GitError::Corrupt(e.to_string()))?;
        Ok(bases.map(|b| Oid::from(b.head)))
    }

    /// Follows tags to a commit.
    ///
    /// # Errors
    /// `NotFound` when it ends elsewhere.
    pub fn peel_to_commit(&self, oid: Oid) -> Result<Oid> {
        let end = self.peel(oid)?.unwrap_or(oid);
        match self.header(end)? {
            (Kind::Commit, _) => Ok(end),
            _ => Err(GitError::NotFound(format!("commit {oid}"))),
        }
    }

    /// What a tag object stands for in the end; none when it is no tag.
    ///
    /// # Errors
    /// `NotFound`, `Corrupt`.
    pub(crate) fn peel(&self, oid: Oid) -> Result<Option<Oid>> {
        let mut at = oid;
        for level in 0..MAX_PEEL {
            if self.header(at)?.0 != Kind::Tag {
                return Ok((level > 0).then_some(at));
            }
            at = self.with_object(at, Kind::Tag, MAX_COMMIT, |data| {
                let line = data.strip_prefix(b"object ").and_then(|d| d.get(..40)).and_then(Oid::from_hex);
                line.ok_or_else(|| GitError::Corrupt(format!("tag {at} has no object")))
            })?;
        }
        Err(GitError::Corrupt(format!("tag {oid} is nested too deeply")))
    }

    /// A commit.
    ///
    /// # Errors
    /// `NotFound`, `Corrupt`.
    pub fn commit(&self, oid: Oid) -> Result<Commit> {
        self.with_object(oid, Kind::Commit, MAX_COMMIT, |data| parse_commit(oid, data))
    }

    /// The entries of a tree, in git's order.
    ///
    /// # Errors
    /// `NotFound`, `Corrupt`, `TooLarge`.
    pub fn tree(&self, oid: Oid) -> Result<Vec<TreeEntry>> {
        // known to git without being stored
        if oid == empty_tree() {
            return Ok(Vec::new());
        }
        self.with_object(oid, Kind::Tree, MAX_TREE, |data| parse_tree(oid, data))
    }

    fn find_in_tree(&self, oid: Oid, name: &[u8]) -> Result<Option<TreeEntry>> {
        if oid == empty_tree() {
            return Ok(None);
        }
        self.with_object(oid, Kind::Tree, MAX_TREE, |mut data| {
            while let Some((entry, rest)) = next_entry(oid, data)? {
                if entry.name == name {
                    return Ok(Some(entry.to_owned()));
                }
                data = rest;
            }
            Ok(None)
        })
    }

    /// The entry at a path below a tree. Symbolic links are not followed.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn entry(&self, tree: Oid, path: &RepoPath) -> Result<TreeEntry> {
        let missing = || GitError::NotFound(format!("path {path}"));
        let mut tree = tree;
        let mut parts = path.as_str().split('/').peekable();
        while let Some(part) = parts.next() {
            let found = self.find_in_tree(tree, part.as_bytes())?.ok_or_else(missing)?;
            if parts.peek().is_none() {
                return Ok(found);
            }
            if found.kind != EntryKind::Tree {
                return Err(missing());
            }
            tree = found.oid;
        }
        Err(missing())
    }

    /// The tree at a path of a commit; the root for none.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn tree_at(&self, commit: Oid, path: Option<&RepoPath>) -> Result<Oid> {
        let root = self.commit(commit)?.tree;
        let Some(path) = path else { return Ok(root) };
        let entry = self.entry(root, path)?;
        if entry.kind == EntryKind::Tree { Ok(entry.oid) } else { Err(GitError::NotFound(format!("directory {path}"))) }
    }

    /// Content, loaded only when it has at most `max` bytes.
    ///
    /// # Errors
    /// `NotFound`, `Corrupt`.
    pub fn blob(&self, oid: Oid, max: u64) -> Result<Blob> {
        let (kind, size) = self.header(oid)?;
        if kind != Kind::Blob {
            return Err(GitError::NotFound(format!("blob {oid}")));
        }
        if size > max {
            return Ok(Blob { oid, size, data: None });
        }
        let data = self.with_object(oid, Kind::Blob, max, |data| Ok(data.to_vec()))?;
        Ok(Blob { oid, size, data: Some(data) })
    }

    /// Is `ancestor` in the history of `descendant`? None when that was not found out within the budget.
    ///
    /// # Errors
    /// `NotFound`, `Corrupt`.
    pub fn is_ancestor(&self, ancestor: Oid, descendant: Oid, budget: usize) -> Result<Option<bool>> {
        log::is_ancestor(self, ancestor, descendant, budget)
    }
}

/// The id of the tree without entries.
pub fn empty_tree() -> Oid {
    crate::pack::object_id(Kind::Tree, b"")
}

fn kind_of(kind: gix::objs::Kind) -> Kind {
    match kind {
        gix::objs::Kind::Commit => Kind::Commit,
        gix::objs::Kind::Tree => Kind::Tree,
        gix::objs::Kind::Blob => Kind::Blob,
        gix::objs::Kind::Tag => Kind::Tag,
    }
}

/// An entry still inside the bytes of its tree.
struct RawEntry<'a> {
    name: &'a [u8],
    mode: u32,
    oid: Oid,
}

impl RawEntry<'_> {
    fn to_owned(&self) -> TreeEntry {
        let kind = match self.mode & 0o170_000 {
            0o040_000 => EntryKind::Tree,
            0o120_000 => EntryKind::Symlink,
            0o160_000 => EntryKind::Submodule,
            _ => EntryKind::Blob,
        };
        TreeEntry { name: self.name.to_vec(), kind, mode: self.mode, oid: self.oid }
    }
}

/// Takes the first entry off the bytes of a tree.
fn next_entry(oid: Oid, data: &[u8]) -> Result<Option<(RawEntry<'_>, &[u8])>> {
    if data.is_empty() {
        return Ok(None);
    }
    let bad = || GitError::Corrupt(format!("tree {oid} cannot be read"));
    let space = data.iter().take(8).position(|b| *b == b' ').ok_or_else(bad)?;
    let mode =
        data[..space].iter().try_fold(0u32, |m, b| (b'0'..=b'7').contains(b).then(|| m << 3 | u32::from(b - b'0'))).ok_or_else(bad)?;
    let rest = &data[space + 1..];
    let end = rest.iter().position(|b| *b == 0).ok_or_else(bad)?;
    let raw: [u8; 20] = rest.get(end + 1..end + 21).and_then(|r| r.try_into().ok()).ok_or_else(bad)?;
    Ok(Some((RawEntry { name: &rest[..end], mode, oid: Oid::from_raw(raw) }, &rest[end + 21..])))
}

pub(crate) fn parse_tree(oid: Oid, mut data: &[u8]) -> Result<Vec<TreeEntry>> {
    let mut out = Vec::new();
    while let Some((entry, rest)) = next_entry(oid, data)? {
        out.push(entry.to_owned());
        data = rest;
    }
    Ok(out)
}

pub(crate) fn parse_commit(oid: Oid, data: &[u8]) -> Result<Commit> {
    let bad = |what: &str| GitError::Corrupt(format!("commit {oid} has no {what}"));
    let (mut tree, mut parents, mut author, mut committer) = (None, Vec::new(), None, None);
    let mut rest = data;
    loop {
        let end = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        if line.is_empty() {
            break;
        }
        let (key, value) = line.split_at(line.iter().position(|b| *b == b' ').unwrap_or(line.len()));
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match key {
            b"tree" => tree = Oid::from_hex(value),
            b"parent" => parents.extend(Oid::from_hex(value)),
            b"author" => author = Some(parse_signature(value)),
            b"committer" => committer = Some(parse_signature(value)),
            // gpgsig, mergetag, encoding, and continuation lines, which begin with a space
            _ => {}
        }
    }
    Ok(Commit {
        oid,
        tree: tree.ok_or_else(|| bad("tree"))?,
        parents,
        author: author.ok_or_else(|| bad("author"))?,
        committer: committer.ok_or_else(|| bad("committer"))?,
        message: String::from_utf8_lossy(rest).into_owned(),
    })
}

/// `Name <mail> seconds zone`, forgiving what old tools wrote.
fn parse_signature(line: &[u8]) -> Signature {
    let text = String::from_utf8_lossy(line);
    let (who, when) = text.rsplit_once('>').unwrap_or((&text, ""));
    let (name, email) = who.split_once('<').unwrap_or((who, ""));
    let seconds = when.split_whitespace().next().and_then(|s| s.parse::<i64>().ok()).unwrap_or(0);
    Signature { name: name.trim().to_owned(), email: email.trim().to_owned(), time: Timestamp(seconds.saturating_mul(1000)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn commits() {
        let text = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nparent 0f1269c88f04658961db1336c1dacc06680e92b9\n\
            author A \xc3\x9c <a@b> 1700000000 +0100\ncommitter C <c@d> 1700000001 -0230\ngpgsig -----BEGIN\n x\n -----END\n\ntitle\n\nbody\n";
        let c = parse_commit(Oid::ZERO, text).unwrap();
        assert_eq!((c.author.name.as_str(), c.author.email.as_str(), c.author.time), ("A Ü", "a@b", Timestamp(1_700_000_000_000)));
        assert_eq!((c.title(), c.parents.len()), ("title", 1));
        assert_eq!(c.message, "title\n\nbody\n");
        assert!(parse_commit(Oid::ZERO, b"tree x\n\n").is_err());
    }

    proptest! {
        #[test]
        fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_tree(Oid::ZERO, &bytes);
            let _ = parse_commit(Oid::ZERO, &bytes);
        }
    }
}
