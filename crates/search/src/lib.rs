//! Finds text in the files of projects: by words, by regular expression, by file name.
//!
//! Owns the [`Index`] trait and the embedded index behind it. An index holds only what can be built again from the
//! repositories, and says for each project up to where it has come ([`Index::marker`]); whoever feeds it goes on from
//! there. It must not know who may see what: a query names the projects it may look into.
//!
//! The embedded index (`embedded`) keeps a folder per project with a few immutable segments (`segment`): the files'
//! text, compressed, and for each three-byte sequence the files that hold it. A pattern is turned into a condition on
//! such sequences (`trigram`), and only the files that meet it are read and matched (`matcher`). Writing makes a new
//! segment and marks older copies dead; small segments are merged (`project`). Nothing is held in memory but what
//! is open.
//!
//! Read next: `embedded`, `project`, `segment`.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use kernel::{Code, ProjectId};

mod embedded;
mod matcher;
mod project;
mod segment;
mod trigram;

pub use embedded::Embedded;

/// Text of larger files is not indexed; their names are.
pub const CONTENT_LIMIT: usize = 1024 * 1024;

/// Longest pattern, in bytes.
pub const PATTERN_LIMIT: usize = 1000;

/// Files that one search ranks. More are not looked at, and the answer says that it is not complete.
pub const RANKED_LIMIT: usize = 2000;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The pattern cannot be used.
    #[error("{0}")]
    Pattern(String),
    /// A configuration that this build does not serve.
    #[error("{0}")]
    NotSupported(String),
    /// A file of the index is damaged. The project is then built anew.
    #[error("the search index is damaged: {0}")]
    Damaged(String),
    /// The disk's own words.
    #[error("the search index cannot be read or written")]
    Io(#[from] std::io::Error),
}

impl From<Error> for kernel::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Pattern(message) => kernel::Error::field("q", "invalid", message),
            Error::NotSupported(message) => kernel::Error::new(Code::NotConfigured, message),
            other => kernel::Error::internal(other),
        }
    }
}

/// What this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One change to a project's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The file is there with this content.
    Put {
        /// Where.
        path: String,
        /// Names the content: putting the same again changes nothing.
        oid: String,
        /// The bytes. Binary and large content is indexed by its path only.
        content: Vec<u8>,
    },
    /// The file is gone.
    Remove {
        /// Where it was.
        path: String,
    },
}

impl Change {
    /// The path it is about.
    pub fn path(&self) -> &str {
        match self {
            Change::Put { path, .. } | Change::Remove { path } => path,
        }
    }
}

/// Changes that become visible together. A later change of a path wins over an earlier one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// What changes.
    pub changes: Vec<Change>,
    /// How far the project is indexed after it; none leaves the marker as it is.
    pub marker: Option<String>,
}

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// A text, or a regular expression when `regex`.
    pub pattern: String,
    /// Read the pattern as a regular expression.
    pub regex: bool,
    /// Tell `A` from `a`.
    pub case_sensitive: bool,
    /// Where the caller may look, best first.
    pub projects: Vec<ProjectId>,
    /// Files to skip, of the ranked ones.
    pub offset: usize,
    /// Files to return.
    pub limit: usize,
    /// Lines to return of one file.
    pub lines_per_file: usize,
}

impl Query {
    /// Looks for a text, however its letters are written.
    pub fn text(pattern: impl Into<String>, projects: Vec<ProjectId>) -> Self {
        Self { pattern: pattern.into(), regex: false, case_sensitive: false, projects, offset: 0, limit: 30, lines_per_file: 10 }
    }
}

/// One line that matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineMatch {
    /// Its number, from 1.
    pub line: u32,
    /// Its text; of a long line the part around the first match.
    pub text: String,
    /// Where in `text`, start and end in UTF-16 units, as editors and browsers count.
    pub ranges: Vec<(u32, u32)>,
}

/// One file that matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Whose.
    pub project: ProjectId,
    /// Which.
    pub path: String,
    /// Its content.
    pub oid: String,
    /// Where in the path, in UTF-16 units, if there.
    pub path_ranges: Vec<(u32, u32)>,
    /// The first lines that match.
    pub matches: Vec<LineMatch>,
    /// How many lines match.
    pub lines: u64,
    /// What the order is made by.
    pub score: i64,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// This page, best first.
    pub hits: Vec<Hit>,
    /// Files ranked.
    pub total: usize,
    /// False when a bound (time, bytes, files) ended the search early.
    pub complete: bool,
}

/// Size of a project in the index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Live files.
    pub files: u64,
    /// Segments.
    pub segments: u64,
    /// Bytes on disk.
    pub bytes: u64,
}

/// A search index.
#[async_trait]
pub trait Index: Send + Sync {
    /// `embedded` or the name of the server's kind.
    fn kind(&self) -> &'static str;

    /// Makes a batch of changes durable and visible. Doing it twice is doing it once.
    async fn apply(&self, project: ProjectId, batch: Batch) -> Result<()>;

    /// How far a project is indexed; none when nothing is, or the index was lost.
    async fn marker(&self, project: ProjectId) -> Result<Option<String>>;

    /// Drops all of a project.
    async fn forget(&self, project: ProjectId) -> Result<()>;

    /// Searches.
    async fn search(&self, query: Query) -> Result<Found>;

    /// Size of a project.
    async fn stats(&self, project: ProjectId) -> Result<Stats>;

    /// Is it usable?
    async fn health(&self) -> Result<()>;
}

/// Opens the index that the configuration names: a server's address, or none for the embedded one in `folder`.
///
/// # Errors
/// For any address: search servers are not supported yet. For a folder that cannot be made.
pub fn open(url: Option<&str>, folder: &Path) -> Result<Arc<dyn Index>> {
    match url {
        None | Some("") => Ok(Arc::new(Embedded::open(folder)?)),
        // the address may hold a password: it is not repeated
        Some(_) => Err(Error::NotSupported(
            "DEVMENTOR_SEARCH_URL is set, but search servers (Elasticsearch, OpenSearch) are not supported yet; unset it to use the embedded index".into(),
        )),
    }
}

#[cfg(test)]
mod tests;
