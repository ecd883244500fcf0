//! What can go wrong in a repository, and how the use cases see it.

use kernel::{Code, Error};

use crate::oid::Oid;

/// Result of this room.
pub type Result<T, E = GitError> = std::result::Result<T, E>;

/// An error of a repository.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// No repository, ref, object or path of that name.
    #[error("{0} not found")]
    NotFound(String),
    /// The repository or ref is already there.
    #[error("{0} already exists")]
    Exists(String),
    /// The caller's input cannot be right; the text may be shown.
    #[error("{0}")]
    Invalid(String),
    /// The branch is not where the caller thought.
    #[error("{name} is at {}, not at {}", show(*.found), show(*.expected))]
    Moved {
        /// Full ref name.
        name: String,
        /// What the caller expected.
        expected: Option<Oid>,
        /// What is there.
        found: Option<Oid>,
    },
    /// Over a limit; the text may be shown.
    #[error("{0}")]
    TooLarge(String),
    /// All slots for git processes stayed taken.
    #[error("too many git operations at once")]
    Busy,
    /// Done, but what keeps the record failed; it will catch up.
    #[error("it was stored, but not confirmed: {0}")]
    NotRecorded(String),
    /// It took longer than it may.
    #[error("the operation took too long")]
    Timeout,
    /// The stored data is not what it should be.
    #[error("corrupt repository: {0}")]
    Corrupt(String),
    /// The git program failed.
    #[error("git {command} failed ({status}): {stderr}")]
    Program {
        /// Sub-command.
        command: &'static str,
        /// Exit status.
        status: String,
        /// The end of what it wrote.
        stderr: String,
    },
    /// The git program cannot be used at all.
    #[error("{0}")]
    Unusable(String),
    /// The disk, or a pipe.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// The cause.
        source: std::io::Error,
    },
}

fn show(oid: Option<Oid>) -> String {
    oid.map_or_else(|| "nothing".to_owned(), Oid::to_hex)
}

impl GitError {
    /// For `map_err` on IO.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> GitError {
        let what = what.into();
        move |source| GitError::Io { what, source }
    }
}

impl From<GitError> for Error {
    fn from(e: GitError) -> Self {
        match &e {
            GitError::NotFound(what) => Error::not_found(what),
            GitError::Exists(_) => Error::new(Code::AlreadyExists, e.to_string()),
            GitError::Invalid(text) => Error::new(Code::Unprocessable, text.clone()),
            GitError::Moved { .. } => Error::new(Code::Conflict, e.to_string()),
            GitError::TooLarge(text) => Error::new(Code::TooLarge, text.clone()),
            GitError::Busy | GitError::Timeout | GitError::NotRecorded(_) => Error::new(Code::Unavailable, e.to_string()),
            GitError::Unusable(text) => Error::new(Code::ToolMissing, text.clone()),
            GitError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                Error::new(Code::StorageFull, "the disk is full").with_source(e)
            }
            GitError::Corrupt(_) | GitError::Program { .. } | GitError::Io { .. } => Error::internal(e),
        }
    }
}
