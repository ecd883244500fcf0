//! Where refs are: the seam [`RefStore`], and what one look at them gives, a [`RefSnapshot`].
//!
//! The contract, which a store in PostgreSQL must keep as well: a snapshot is one consistent moment; a change names the
//! value it replaces and either all changes of a call happen or none; a change is durable when the call returns.

mod directory;

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use kernel::{ProjectId, RefName};
use sha2::{Digest, Sha256};

pub use directory::DirectoryRefs;

use crate::error::Result;
use crate::oid::Oid;

/// One ref.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefEntry {
    /// Full name.
    pub name: String,
    /// What it points at.
    pub oid: Oid,
    /// What the annotated tag it points at stands for in the end.
    pub peeled: Option<Oid>,
}

impl RefEntry {
    /// The commit (or other object) behind any tags.
    pub fn target(&self) -> Oid {
        self.peeled.unwrap_or(self.oid)
    }
}

/// All refs of a repository at one moment. Cheap to share; renderings of it are made once.
#[derive(Debug)]
pub struct RefSnapshot {
    /// What HEAD names: the default branch, born or not.
    pub head: String,
    /// Refs under `refs/heads/` and `refs/tags/`, by name.
    pub refs: Vec<RefEntry>,
    /// Changes when any ref or HEAD does.
    pub digest: [u8; 32],
    pub(crate) rendered: Rendered,
}

/// Advertisements, made on first use and as old as their snapshot.
#[derive(Debug, Default)]
pub(crate) struct Rendered {
    pub(crate) upload: OnceLock<Bytes>,
    pub(crate) receive: OnceLock<Bytes>,
}

impl RefSnapshot {
    pub(crate) fn new(head: String, refs: Vec<RefEntry>) -> Self {
        let mut hash = Sha256::new();
        hash.update(head.as_bytes());
        for entry in &refs {
            hash.update([0]);
            hash.update(entry.name.as_bytes());
            hash.update([0]);
            hash.update(entry.oid.as_bytes());
        }
        Self { head, refs, digest: hash.finalize().into(), rendered: Rendered::default() }
    }

    /// One ref by full name.
    pub fn get(&self, name: &str) -> Option<&RefEntry> {
        self.refs.binary_search_by(|r| r.name.as_str().cmp(name)).ok().and_then(|i| self.refs.get(i))
    }

    /// Where HEAD is, if its branch is born.
    pub fn head_entry(&self) -> Option<&RefEntry> {
        self.get(&self.head)
    }

    /// The refs whose names begin with `prefix`.
    pub fn under(&self, prefix: &str) -> &[RefEntry] {
        let start = self.refs.partition_point(|r| r.name.as_str() < prefix);
        let rest = self.refs.get(start..).unwrap_or_default();
        let end = rest.partition_point(|r| r.name.starts_with(prefix));
        rest.get(..end).unwrap_or_default()
    }

    /// The short name of the default branch.
    pub fn default_branch(&self) -> &str {
        self.head.strip_prefix("refs/heads/").unwrap_or(&self.head)
    }
}

/// One change of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefEdit {
    /// Full name.
    pub name: RefName,
    /// What must be there now; none means the ref must not exist.
    pub old: Option<Oid>,
    /// What shall be there; none deletes.
    pub new: Option<Oid>,
}

/// Finds what a tag object stands for; none when the object is not a tag.
pub type Peel<'a> = &'a dyn Fn(Oid) -> Option<Oid>;

/// Where refs are kept.
#[async_trait::async_trait]
pub trait RefStore: Send + Sync {
    /// The refs of now. Answered from memory as long as nothing moved.
    ///
    /// # Errors
    /// `NotFound` without repository; `Corrupt` or `Io`.
    fn snapshot(&self, project: ProjectId, peel: Peel<'_>) -> Result<Arc<RefSnapshot>>;

    /// The snapshot in memory, if it still holds. Cheap enough for an async thread.
    ///
    /// # Errors
    /// `NotFound`, `Io`.
    fn cached(&self, project: ProjectId) -> Result<Option<Arc<RefSnapshot>>>;

    /// Applies all edits or none.
    ///
    /// # Errors
    /// `Moved` when a ref is not at the old value an edit names.
    async fn update(&self, project: ProjectId, edits: &[RefEdit]) -> Result<()>;

    /// Makes HEAD name another branch, born or not.
    ///
    /// # Errors
    /// `NotFound` without repository; `Io`.
    fn set_head(&self, project: ProjectId, branch: &RefName) -> Result<()>;

    /// Drops what is remembered of a repository.
    fn forget(&self, project: ProjectId);
}
