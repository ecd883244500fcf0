//! What can go wrong with bytes, and how it looks at the use-case edge.

use std::io;

use kernel::Code;

use crate::Digest;

/// What the rooms of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed operation on blobs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not what they were announced to be. Nothing was stored.
    #[error("the content has digest {actual}, not {expected}")]
    DigestMismatch {
        /// What was announced.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// A chunk that does not begin where the last one ended.
    #[error("the upload has {stored} bytes; a chunk at offset {offset} does not continue it")]
    OffsetMismatch {
        /// Bytes stored so far.
        stored: u64,
        /// Where the chunk wanted to begin.
        offset: u64,
    },
    /// No such upload: never begun, finished, cancelled or swept.
    #[error("the upload is not known")]
    UploadUnknown,
    /// Another request is appending to the same upload.
    #[error("the upload is being written by another request")]
    UploadBusy,
    /// Over the limit.
    #[error("larger than the limit of {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// A range outside the blob.
    #[error("the range is outside the {total} bytes of the blob")]
    Range {
        /// Size of the blob.
        total: u64,
    },
    /// The stream that was to be stored broke off.
    #[error("the body could not be read")]
    Body(#[source] crate::BodyError),
    /// Not a digest, owner or upload key.
    #[error("{0}")]
    Malformed(&'static str),
    /// The storage is configured wrongly.
    #[error("{0}")]
    Config(String),
    /// No space left.
    #[error("no space left for blobs")]
    Full(#[source] io::Error),
    /// The file system failed.
    #[error("the blob directory failed")]
    Io(#[source] io::Error),
    /// The bucket failed.
    #[error("the blob bucket failed")]
    Bucket(#[source] object_store::Error),
}

impl From<io::Error> for Error {
    fn from(e: io::Error) -> Self {
        match e.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Self::Full(e),
            _ => Self::Io(e),
        }
    }
}

impl From<object_store::Error> for Error {
    fn from(e: object_store::Error) -> Self {
        Self::Bucket(e)
    }
}

impl From<Error> for kernel::Error {
    fn from(e: Error) -> Self {
        let code = match &e {
            Error::DigestMismatch { .. } | Error::Malformed(_) | Error::Body(_) => Code::InvalidRequest,
            Error::OffsetMismatch { .. } | Error::Range { .. } => Code::RangeNotSatisfiable,
            Error::UploadUnknown => Code::NotFound,
            Error::UploadBusy => Code::Conflict,
            Error::TooLarge { .. } => Code::TooLarge,
            Error::Full(_) => Code::StorageFull,
            Error::Bucket(_) => Code::Unavailable,
            Error::Config(_) | Error::Io(_) => return kernel::Error::internal(e),
        };
        kernel::Error::new(code, e.to_string()).with_source(e)
    }
}
