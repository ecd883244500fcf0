//! Bytes by their digest, within an owner: image layers, artifacts, logs, caches.
//!
//! Owns: the layout of the storage (a directory, S3, GCS), durable and atomic writing, resumable uploads, and the
//! janitor of what a crash left behind. A blob is visible wholly or not at all, and once a write was answered it
//! survives power loss.
//!
//! Must not know: what the bytes mean, who may read them. The *owner* (a project id, say) is part of the address, so
//! knowing a digest grants nothing: whoever calls has decided already that this owner's bytes may be touched.
//!
//! Read next: [`BlobStore`] (the seam), `directory` and `bucket` (its two implementations), `decorate`.

mod address;
mod bucket;
mod decorate;
mod directory;
mod error;
mod store;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::TryStreamExt;
use url::Url;

pub use crate::address::Digest;
pub use crate::address::Hasher;
pub use crate::address::Owner;
pub use crate::address::UploadKey;
pub use crate::bucket::Bucket;
pub use crate::decorate::Limited;
pub use crate::decorate::Traced;
pub use crate::directory::Directory;
pub use crate::error::Error;
pub use crate::error::Result;
pub use crate::store::BlobStore;
pub use crate::store::Body;
pub use crate::store::BodyError;
pub use crate::store::Reader;
pub use crate::store::Stored;
pub use crate::store::Swept;
pub use crate::store::Want;

/// The service's blobs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Blobs(Arc<dyn BlobStore>);

impl Blobs {
    /// Opens the storage an URL names: `file:/path` (or a bare absolute path), `s3://bucket/prefix`,
    /// `gs://bucket/prefix`. Credentials of buckets come from the environment (`AWS_*`, `GOOGLE_*`); an S3 URL may
    /// carry `?endpoint=…&region=…&allow_http=true` for stores that are not Amazon's.
    ///
    /// # Errors
    /// When the scheme is unknown, or the directory cannot be made.
    pub fn open(url: &str) -> Result<Self> {
        if let Some(path) = directory_of(url) {
            return Ok(Self::over(Traced::new(Directory::open(path)?)));
        }
        let url = Url::parse(url).map_err(|e| Error::Config(format!("storage URL: {e}")))?;
        match url.scheme() {
            "s3" | "gs" => Ok(Self::over(Traced::new(Bucket::open(&url)?))),
            other => Err(Error::Config(format!("storage scheme {other:?} is not one of file, s3, gs"))),
        }
    }

    /// Over any store.
    pub fn over(store: impl BlobStore) -> Self {
        Self(Arc::new(store))
    }

    /// The same blobs, refusing any larger than `max` bytes.
    #[must_use]
    pub fn limited(&self, max: u64) -> Self {
        Self::over(Limited::new(self.0.clone(), max))
    }

    /// Stores a stream. With `expected`, nothing becomes visible unless the bytes have that digest.
    ///
    /// # Errors
    /// [`Error::DigestMismatch`], the stream's own error, or the storage's.
    pub async fn put(&self, owner: &Owner, body: Body, expected: Option<&Digest>) -> Result<Stored> {
        self.0.put(owner, body, expected).await
    }

    /// Stores bytes at hand.
    ///
    /// # Errors
    /// The storage's.
    pub async fn put_bytes(&self, owner: &Owner, bytes: impl Into<Bytes>) -> Result<Stored> {
        let bytes = bytes.into();
        self.put(owner, futures::stream::iter([Ok(bytes)]).boxed(), None).await
    }

    /// Opens a blob, or part of it, for reading. None when the owner has no such blob.
    ///
    /// # Errors
    /// [`Error::Range`] for a part that does not exist, or the storage's.
    pub async fn get(&self, owner: &Owner, digest: &Digest, want: Want) -> Result<Option<Reader>> {
        self.0.open(owner, digest, want).await
    }

    /// Reads a whole blob of at most `max` bytes.
    ///
    /// # Errors
    /// [`Error::TooLarge`], or the storage's.
    pub async fn read(&self, owner: &Owner, digest: &Digest, max: u64) -> Result<Option<Bytes>> {
        let Some(reader) = self.get(owner, digest, Want::All).await? else { return Ok(None) };
        if reader.total > max {
            return Err(Error::TooLarge { limit: max });
        }
        let mut chunks: Vec<Bytes> = reader.body.try_collect().await.map_err(Error::Io)?;
        if chunks.len() == 1 {
            return Ok(chunks.pop());
        }
        Ok(Some(chunks.concat().into()))
    }

    /// Size of a blob; none when the owner has none with this digest.
    ///
    /// # Errors
    /// The storage's.
    pub async fn size(&self, owner: &Owner, digest: &Digest) -> Result<Option<u64>> {
        self.0.size(owner, digest).await
    }

    /// Deletes a blob. Was it there?
    ///
    /// # Errors
    /// The storage's.
    pub async fn delete(&self, owner: &Owner, digest: &Digest) -> Result<bool> {
        self.0.delete(owner, digest).await
    }

    /// Gives `to` the blob that `from` has, without moving its bytes through this process. False when `from` has
    /// none. The caller has checked that whoever asks may read `from`.
    ///
    /// # Errors
    /// The storage's.
    pub async fn link(&self, from: &Owner, digest: &Digest, to: &Owner) -> Result<bool> {
        if from == to {
            return Ok(self.size(from, digest).await?.is_some());
        }
        self.0.link(from, digest, to).await
    }

    /// Deletes all that an owner has, its uploads too.
    ///
    /// # Errors
    /// The storage's.
    pub async fn purge(&self, owner: &Owner) -> Result<()> {
        self.0.purge(owner).await
    }

    /// Begins an upload that can be interrupted and resumed, on any instance.
    ///
    /// # Errors
    /// The storage's.
    pub async fn upload_start(&self, owner: &Owner, key: &UploadKey) -> Result<()> {
        self.0.upload_start(owner, key).await
    }

    /// Appends a stream at `offset` (none: at the end); answers the size so far. What arrived before a broken
    /// stream stays.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`], [`Error::OffsetMismatch`], [`Error::UploadBusy`], the stream's, the storage's.
    pub async fn upload_append(&self, owner: &Owner, key: &UploadKey, offset: Option<u64>, body: Body) -> Result<u64> {
        self.0.upload_append(owner, key, offset, body).await
    }

    /// Bytes received so far; none when there is no such upload.
    ///
    /// # Errors
    /// The storage's.
    pub async fn upload_size(&self, owner: &Owner, key: &UploadKey) -> Result<Option<u64>> {
        self.0.upload_size(owner, key).await
    }

    /// Makes an upload a blob, if its bytes have the digest.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`], [`Error::DigestMismatch`] (the upload is then gone), or the storage's.
    pub async fn upload_finish(&self, owner: &Owner, key: &UploadKey, expected: &Digest) -> Result<Stored> {
        self.0.upload_finish(owner, key, expected).await
    }

    /// Drops an upload. Was it there?
    ///
    /// # Errors
    /// The storage's.
    pub async fn upload_cancel(&self, owner: &Owner, key: &UploadKey) -> Result<bool> {
        self.0.upload_cancel(owner, key).await
    }

    /// The janitor: removes uploads and temporary files nobody touched for `idle`.
    ///
    /// # Errors
    /// The storage's.
    pub async fn sweep(&self, idle: Duration) -> Result<Swept> {
        self.0.sweep(idle).await
    }

    /// Can the storage be written now? For the readiness page.
    ///
    /// # Errors
    /// The storage's.
    pub async fn check(&self) -> Result<()> {
        self.0.check().await
    }
}

/// A body of bytes at hand.
pub fn body_of(bytes: impl Into<Bytes>) -> Body {
    futures::stream::iter([Ok(bytes.into())]).boxed()
}

fn directory_of(url: &str) -> Option<PathBuf> {
    if url.starts_with('/') {
        return Some(PathBuf::from(url));
    }
    let rest = url.strip_prefix("file:")?;
    // file:/a, file:///a and file:a (relative) all name a directory here
    Some(PathBuf::from(rest.strip_prefix("//").unwrap_or(rest)))
}
