//! The seam: what a place for blobs can do.

use std::fmt;
use std::io;
use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::Digest;
use crate::Error;
use crate::Owner;
use crate::Result;
use crate::UploadKey;

/// Why a body broke off.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// Bytes on their way in.
pub type Body = BoxStream<'static, Result<Bytes, BodyError>>;

/// Which part of a blob is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// All of it.
    All,
    /// From the first offset to the second, both included; cut at the end of the blob.
    Between(u64, u64),
    /// From an offset to the end.
    From(u64),
    /// The last so many bytes.
    Last(u64),
}

impl Want {
    /// The bytes wanted of a blob of `total` bytes.
    ///
    /// # Errors
    /// [`Error::Range`] when there are none.
    pub fn of(self, total: u64) -> Result<Range<u64>> {
        let range = match self {
            Want::All => return Ok(0..total),
            Want::Between(first, last) => first..last.saturating_add(1).min(total),
            Want::From(first) => first..total,
            Want::Last(n) => total.saturating_sub(n)..total,
        };
        if range.is_empty() { Err(Error::Range { total }) } else { Ok(range) }
    }
}

/// A blob, or part of it, on its way out.
pub struct Reader {
    /// Size of the whole blob.
    pub total: u64,
    /// The part that `body` carries.
    pub range: Range<u64>,
    /// The bytes.
    pub body: BoxStream<'static, io::Result<Bytes>>,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("total", &self.total).field("range", &self.range).finish_non_exhaustive()
    }
}

/// What was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its digest.
    pub digest: Digest,
    /// Its size.
    pub size: u64,
}

/// What the janitor removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many uploads and temporary files.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A place for blobs. [`Blobs`](crate::Blobs) documents each operation.
#[async_trait]
#[expect(missing_docs, reason = "documented once, on Blobs")]
pub trait BlobStore: fmt::Debug + Send + Sync + 'static {
    async fn put(&self, owner: &Owner, body: Body, expected: Option<&Digest>) -> Result<Stored>;
    async fn open(&self, owner: &Owner, digest: &Digest, want: Want) -> Result<Option<Reader>>;
    async fn size(&self, owner: &Owner, digest: &Digest) -> Result<Option<u64>>;
    async fn delete(&self, owner: &Owner, digest: &Digest) -> Result<bool>;
    async fn link(&self, from: &Owner, digest: &Digest, to: &Owner) -> Result<bool>;
    async fn purge(&self, owner: &Owner) -> Result<()>;
    async fn upload_start(&self, owner: &Owner, key: &UploadKey) -> Result<()>;
    async fn upload_append(&self, owner: &Owner, key: &UploadKey, offset: Option<u64>, body: Body) -> Result<u64>;
    async fn upload_size(&self, owner: &Owner, key: &UploadKey) -> Result<Option<u64>>;
    async fn upload_finish(&self, owner: &Owner, key: &UploadKey, expected: &Digest) -> Result<Stored>;
    async fn upload_cancel(&self, owner: &Owner, key: &UploadKey) -> Result<bool>;
    async fn sweep(&self, idle: Duration) -> Result<Swept>;
    async fn check(&self) -> Result<()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert_eq!(Want::Between(0, 4).of(10).unwrap(), 0..5);
        assert_eq!(Want::Between(8, 400).of(10).unwrap(), 8..10);
        assert_eq!(Want::Between(0, u64::MAX).of(10).unwrap(), 0..10);
        assert_eq!(Want::From(9).of(10).unwrap(), 9..10);
        assert_eq!(Want::Last(500).of(10).unwrap(), 0..10);
        for none in [Want::Between(5, 0), Want::Between(10, 20), Want::From(10), Want::Last(0)] {
            assert!(none.of(10).is_err(), "{none:?}");
        }
        assert_eq!(Want::All.of(0).unwrap(), 0..0);
    }
}
