//! Project repositories: where they lie, reading them in process, serving them to git clients, writing commits.
//!
//! Owns: the layout on disk, the git program (nothing else starts it), the protocol without HTTP, ref policy at the
//! gate, commits made by the service. Must not know: HTTP, SQL, who may do what.
//!
//! Invariants:
//! - Text from outside never enters an argument list ([`program`](self::program)); refs and paths are resolved in process.
//! - What is acknowledged is on disk: `core.fsync=all` for git, explicit flushes for what is written here.
//! - `gix` types do not leave this crate.
//!
//! Read next: [`Repositories`] (all of them), [`Repository`] (one), [`Reader`] (objects), [`serve`] (the protocol),
//! [`write`](self::write) (commits), [`maintain`](self::maintain) (repacking and sweeping). The seams for another storage
//! are [`refs::RefStore`] and [`packs::PackStore`].

mod error;
mod layout;
pub mod maintain;
mod oid;
mod pack;
pub mod packs;
pub mod pktline;
pub mod program;
pub mod read;
pub mod refs;
mod repositories;
pub mod serve;
mod worktree;
pub mod write;

pub use error::{GitError, Result};
pub use oid::Oid;
pub use pack::{Kind, Pack, PackBuilder, object_id};
pub use program::MINIMUM_VERSION;
pub use read::{Blob, Commit, EntryKind, Reader, Resolved, Signature, TreeEntry};
pub use refs::{RefEdit, RefEntry, RefSnapshot};
pub use repositories::{Options, Repositories, Repository};
pub use worktree::{Snapshot, Worktree};
