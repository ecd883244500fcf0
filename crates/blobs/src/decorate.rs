//! Stores around a store: one concern each.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use async_trait::async_trait;
use futures::StreamExt;

use crate::BlobStore;
use crate::Body;
use crate::BodyError;
use crate::Digest;
use crate::Error;
use crate::Owner;
use crate::Reader;
use crate::Result;
use crate::Stored;
use crate::Swept;
use crate::UploadKey;
use crate::Want;

/// Refuses blobs over a size, while they arrive.
#[derive(Debug)]
pub struct Limited {
    inner: Arc<dyn BlobStore>,
    max: u64,
}

impl Limited {
    /// At most `max` bytes a blob.
    pub fn new(inner: Arc<dyn BlobStore>, max: u64) -> Self {
        Self { inner, max }
    }

    fn cut(&self, body: Body, already: u64) -> Body {
        let limit = self.max;
        let mut seen = already;
        body.map(move |chunk| {
            let chunk = chunk?;
            seen += chunk.len() as u64;
            if seen > limit { Err(BodyError::from(Error::TooLarge { limit })) } else { Ok(chunk) }
        })
        .boxed()
    }
}

/// The limit's own error, out of the broken body it caused.
fn unwrap_limit(e: Error) -> Error {
    match e {
        Error::Body(cause) => match cause.downcast::<Error>() {
            Ok(own) => *own,
            Err(cause) => Error::Body(cause),
        },
        other => other,
    }
}

#[async_trait]
impl BlobStore for Limited {
    async fn put(&self, owner: &Owner, body: Body, expected: Option<&Digest>) -> Result<Stored> {
        self.inner.put(owner, self.cut(body, 0), expected).await.map_err(unwrap_limit)
    }

    async fn upload_append(&self, owner: &Owner, key: &UploadKey, offset: Option<u64>, body: Body) -> Result<u64> {
        let already = self.inner.upload_size(owner, key).await?.unwrap_or(0);
        self.inner.upload_append(owner, key, offset, self.cut(body, already)).await.map_err(unwrap_limit)
    }

    async fn open(&self, owner: &Owner, digest: &Digest, want: Want) -> Result<Option<Reader>> {
        self.inner.open(owner, digest, want).await
    }
    async fn size(&self, owner: &Owner, digest: &Digest) -> Result<Option<u64>> {
        self.inner.size(owner, digest).await
    }
    async fn delete(&self, owner: &Owner, digest: &Digest) -> Result<bool> {
        self.inner.delete(owner, digest).await
    }
    async fn link(&self, from: &Owner, digest: &Digest, to: &Owner) -> Result<bool> {
        self.inner.link(from, digest, to).await
    }
    async fn purge(&self, owner: &Owner) -> Result<()> {
        self.inner.purge(owner).await
    }
    async fn upload_start(&self, owner: &Owner, key: &UploadKey) -> Result<()> {
        self.inner.upload_start(owner, key).await
    }
    async fn upload_size(&self, owner: &Owner, key: &UploadKey) -> Result<Option<u64>> {
        self.inner.upload_size(owner, key).await
    }
    async fn upload_finish(&self, owner: &Owner, key: &UploadKey, expected: &Digest) -> Result<Stored> {
        self.inner.upload_finish(owner, key, expected).await
    }
    async fn upload_cancel(&self, owner: &Owner, key: &UploadKey) -> Result<bool> {
        self.inner.upload_cancel(owner, key).await
    }
    async fn sweep(&self, idle: Duration) -> Result<Swept> {
        self.inner.sweep(idle).await
    }
    async fn check(&self) -> Result<()> {
        self.inner.check().await
    }
}

/// Logs what fails and what is slow.
#[derive(Debug)]
pub struct Traced<S>(S);

/// Operations that answer before any body flows should take less than this.
const SLOW: Duration = Duration::from_secs(2);

impl<S: BlobStore> Traced<S> {
    /// Around a store.
    pub fn new(inner: S) -> Self {
        Self(inner)
    }

    /// `streams`: the time is the client's as much as ours, so slowness is no news.
    async fn watch<T>(&self, what: &'static str, streams: bool, work: impl Future<Output = Result<T>>) -> Result<T> {
        let begun = Instant::now();
        let result = work.await;
        let took = begun.elapsed();
        match &result {
            Err(e @ (Error::Io(_) | Error::Bucket(_) | Error::Full(_))) => {
                tracing::error!(what, error = ?e, ms = took.as_millis() as u64, "blob storage failed");
            }
            _ if took > SLOW && !streams => tracing::warn!(what, ms = took.as_millis() as u64, "blob storage is slow"),
            _ => {}
        }
        result
    }
}

#[async_trait]
impl<S: BlobStore> BlobStore for Traced<S> {
    async fn put(&self, owner: &Owner, body: Body, expected: Option<&Digest>) -> Result<Stored> {
        self.watch("put", true, self.0.put(owner, body, expected)).await
    }
    async fn open(&self, owner: &Owner, digest: &Digest, want: Want) -> Result<Option<Reader>> {
        self.watch("open", false, self.0.open(owner, digest, want)).await
    }
    async fn size(&self, owner: &Owner, digest: &Digest) -> Result<Option<u64>> {
        self.watch("size", false, self.0.size(owner, digest)).await
    }
    async fn delete(&self, owner: &Owner, digest: &Digest) -> Result<bool> {
        self.watch("delete", false, self.0.delete(owner, digest)).await
    }
    async fn link(&self, from: &Owner, digest: &Digest, to: &Owner) -> Result<bool> {
        self.watch("link", false, self.0.link(from, digest, to)).await
    }
    async fn purge(&self, owner: &Owner) -> Result<()> {
        self.watch("purge", true, self.0.purge(owner)).await
    }
    async fn upload_start(&self, owner: &Owner, key: &UploadKey) -> Result<()> {
        self.watch("upload_start", false, self.0.upload_start(owner, key)).await
    }
    async fn upload_append(&self, owner: &Owner, key: &UploadKey, offset: Option<u64>, body: Body) -> Result<u64> {
        self.watch("upload_append", true, self.0.upload_append(owner, key, offset, body)).await
    }
    async fn upload_size(&self, owner: &Owner, key: &UploadKey) -> Result<Option<u64>> {
        self.watch("upload_size", false, self.0.upload_size(owner, key)).await
    }
    async fn upload_finish(&self, owner: &Owner, key: &UploadKey, expected: &Digest) -> Result<Stored> {
        self.watch("upload_finish", true, self.0.upload_finish(owner, key, expected)).await
    }
    async fn upload_cancel(&self, owner: &Owner, key: &UploadKey) -> Result<bool> {
        self.watch("upload_cancel", false, self.0.upload_cancel(owner, key)).await
    }
    async fn sweep(&self, idle: Duration) -> Result<Swept> {
        self.watch("sweep", true, self.0.sweep(idle)).await
    }
    async fn check(&self) -> Result<()> {
        self.watch("check", false, self.0.check()).await
    }
}
