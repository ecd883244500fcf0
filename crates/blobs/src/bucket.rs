//! An S3 or GCS bucket as a store, for any number of instances at once.
//!
//! Blobs lie at `<prefix>/<owner>/<2 hex>/<62 hex>`. An upload is a small state object that every append replaces by
//! compare-and-swap, so two instances can take turns and a lost race is noticed; its bytes are the parts of one
//! multipart upload plus a tail shorter than a part, kept as an object of its own until more arrives.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use bytes::BytesMut;
use futures::StreamExt;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use futures::stream::FuturesOrdered;
use kernel::Timestamp;
use object_store::GetOptions;
use object_store::GetRange;
use object_store::ObjectStore;
use object_store::ObjectStoreExt;
use object_store::PutMode;
use object_store::PutPayload;
use object_store::UpdateVersion;
use object_store::aws::AmazonS3Builder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::multipart::MultipartStore;
use object_store::multipart::PartId;
use object_store::path::Path;
use serde::Deserialize;
use serde::Serialize;
use url::Url;

use crate::BlobStore;
use crate::Body;
use crate::Digest;
use crate::Error;
use crate::Hasher;
use crate::Owner;
use crate::Reader;
use crate::Result;
use crate::Stored;
use crate::Swept;
use crate::UploadKey;
use crate::Want;

/// Every part but the last has this size: over S3's least of 5 MiB, and 10,000 of them make 80 GB.
const PART: usize = 8 << 20;
/// Parts of one body on their way at a time.
const PARALLEL: usize = 3;
/// S3 copies objects up to this size by itself.
const COPY_MAX: u64 = 5 << 30;
const UPLOADS: &str = ".uploads";

/// Blobs in a bucket.
#[derive(Clone)]
pub struct Bucket {
    objects: Arc<dyn ObjectStore>,
    parts: Arc<dyn MultipartStore>,
    prefix: Path,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket").field("objects", &self.objects.to_string()).field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// What is known of an upload, as stored.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    /// Bytes received.
    size: u64,
    /// The hash state over them.
    hasher: Option<String>,
    /// The bucket's id of the multipart upload, once a whole part was there.
    multipart: Option<String>,
    /// The bucket's ids of the whole parts, in order.
    parts: Vec<String>,
    /// Bytes of the tail object; zero when there is none.
    tail: u64,
}

/// A state and the version it was read at.
struct Held {
    state: State,
    version: UpdateVersion,
}

impl Bucket {
    /// Opens the bucket an URL names, with credentials from the environment.
    ///
    /// # Errors
    /// [`Error::Config`] when the URL or the environment does not describe one.
    pub fn open(url: &Url) -> Result<Self> {
        // an error means that a provider is installed already, which is as good
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = |e: object_store::Error| Error::Config(format!("storage {}: {e}", url.scheme()));
        let bucket = url.host_str().ok_or_else(|| Error::Config("the storage URL names no bucket".into()))?;
        let prefix = Path::from_url_path(url.path()).map_err(|e| Error::Config(format!("storage prefix: {e}")))?;
        if url.scheme() == "gs" {
            let store = Arc::new(GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket).build().map_err(config)?);
            return Ok(Self::over(store.clone(), store, prefix));
        }
        let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
        for (key, value) in url.query_pairs() {
            builder = match &*key {
                "endpoint" => builder.with_endpoint(value),
                "region" => builder.with_region(value),
                "allow_http" => builder.with_allow_http(value == "true"),
                "virtual_hosted" => builder.with_virtual_hosted_style_request(value == "true"),
                other => return Err(Error::Config(format!("unknown option {other:?} in the storage URL"))),
            };
        }
        let store = Arc::new(builder.build().map_err(config)?);
        Ok(Self::over(store.clone(), store, prefix))
    }

    /// Over any object store; both arguments are the same store.
    pub fn over(objects: Arc<dyn ObjectStore>, parts: Arc<dyn MultipartStore>, prefix: Path) -> Self {
        Self { objects, parts, prefix }
    }

    fn blob(&self, owner: &Owner, digest: &Digest) -> Path {
        let hex = digest.hex();
        let (shard, rest) = hex.split_at(2);
        self.prefix.clone().join(owner.as_str()).join(shard).join(rest)
    }

    fn uploads(&self, owner: &Owner) -> Path {
        self.prefix.clone().join(UPLOADS).join(owner.as_str())
    }

    fn upload(&self, owner: &Owner, key: &UploadKey, what: &str) -> Path {
        self.uploads(owner).join(key.as_str()).join(what)
    }

    async fn load(&self, owner: &Owner, key: &UploadKey) -> Result<Option<Held>> {
        let Some(got) = absent(self.objects.get(&self.upload(owner, key, "state")).await)? else { return Ok(None) };
        let version = UpdateVersion { e_tag: got.meta.e_tag.clone(), version: got.meta.version.clone() };
        let state = serde_json::from_slice(&got.bytes().await?).map_err(|e| Error::Io(std::io::Error::other(e)))?;
        Ok(Some(Held { state, version }))
    }

    async fn save(&self, owner: &Owner, key: &UploadKey, state: &State, mode: PutMode) -> Result<()> {
        let json = serde_json::to_vec(state).map_err(|e| Error::Io(std::io::Error::other(e)))?;
        match self.objects.put_opts(&self.upload(owner, key, "state"), json.into(), mode.into()).await {
            Ok(_) => Ok(()),
            Err(object_store::Error::Precondition { .. } | object_store::Error::AlreadyExists { .. }) => Err(Error::UploadBusy),
            Err(e) => Err(e.into()),
        }
    }

    async fn tail(&self, owner: &Owner, key: &UploadKey, state: &State) -> Result<BytesMut> {
        if state.tail == 0 {
            return Ok(BytesMut::new());
        }
        // the name carries the size of the whole, so an append that lost its race never overwrites the winner's
        let got = self.objects.get(&self.upload(owner, key, &format!("tail.{}", state.size))).await?;
        Ok(BytesMut::from(&*got.bytes().await?))
    }

    /// Streams a body into parts of a multipart upload of `path`, beginning one when the first part is full.
    /// What is left over, shorter than a part, is returned.
    async fn pump(&self, path: &Path, state: &mut State, hasher: &mut Hasher, tail: BytesMut, body: &mut Body) -> Result<Pumped> {
        let mut buffer = tail;
        let mut flying = FuturesOrdered::new();
        let mut broken = None;
        while let Some(chunk) = body.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(e) => {
                    broken = Some(e);
                    break;
                }
            };
            hasher.update(&chunk);
            state.size += chunk.len() as u64;
            buffer.extend_from_slice(&chunk);
            while buffer.len() >= PART {
                let part = buffer.split_to(PART).freeze();
                let id = match &state.multipart {
                    Some(id) => id.clone(),
                    None => state.multipart.insert(self.parts.create_multipart(path).await?).clone(),
                };
                if flying.len() >= PARALLEL
                    && let Some(done) = flying.next().await
                {
                    let done: Result<PartId, object_store::Error> = done;
                    state.parts.push(done?.content_id);
                }
                let index = state.parts.len() + flying.len();
                let (parts, path) = (self.parts.clone(), path.clone());
                flying.push_back(async move { parts.put_part(&path, &id, index, part.into()).await });
            }
        }
        while let Some(done) = flying.next().await {
            state.parts.push(done?.content_id);
        }
        Ok(Pumped { rest: buffer.freeze(), broken })
    }

    /// Makes the parts and the rest one object at `path`.
    async fn complete(&self, path: &Path, state: &State, rest: Bytes) -> Result<()> {
        let Some(id) = &state.multipart else {
            self.objects.put(path, rest.into()).await?;
            return Ok(());
        };
        let mut parts: Vec<PartId> = state.parts.iter().map(|id| PartId { content_id: id.clone() }).collect();
        if !rest.is_empty() {
            parts.push(self.parts.put_part(path, id, parts.len(), rest.into()).await?);
        }
        self.parts.complete_multipart(path, id, parts).await?;
        Ok(())
    }

    async fn abort(&self, path: &Path, state: &State) -> Result<()> {
        match &state.multipart {
            Some(id) => absent(self.parts.abort_multipart(path, id).await).map(|_| ()),
            None => Ok(()),
        }
    }

    /// Copies within the bucket, by the bucket itself where it can.
    async fn copy(&self, from: &Path, to: &Path) -> Result<bool> {
        let Some(meta) = absent(self.objects.head(from).await)? else { return Ok(false) };
        if meta.size <= COPY_MAX {
            return Ok(absent(self.objects.copy(from, to).await)?.is_some());
        }
        let mut body: Body = self.objects.get(from).await?.into_stream().map_err(|e| e.into()).boxed();
        let mut state = State::default();
        let done = self.pump(to, &mut state, &mut Hasher::new(), BytesMut::new(), &mut body).await?;
        if let Some(e) = done.broken {
            self.abort(to, &state).await?;
            return Err(Error::Body(e));
        }
        self.complete(to, &state, done.rest).await?;
        Ok(true)
    }

    /// Deletes all objects under a prefix.
    async fn clear(&self, prefix: &Path) -> Result<()> {
        let paths: BoxStream<'static, _> = self.objects.list(Some(prefix)).map_ok(|meta| meta.location).boxed();
        let mut deleted = self.objects.delete_stream(paths);
        while let Some(result) = deleted.next().await {
            absent(result)?;
        }
        Ok(())
    }

    async fn forget(&self, owner: &Owner, key: &UploadKey) -> Result<()> {
        self.clear(&self.uploads(owner).join(key.as_str())).await
    }
}

struct Pumped {
    rest: Bytes,
    broken: Option<crate::BodyError>,
}

fn absent<T>(result: Result<T, object_store::Error>) -> Result<Option<T>> {
    match result {
        Ok(t) => Ok(Some(t)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

#[async_trait]
impl BlobStore for Bucket {
    async fn put(&self, owner: &Owner, mut body: Body, expected: Option<&Digest>) -> Result<Stored> {
        // without a known digest, a large body is gathered under a scratch name and moved
        let scratch = self.uploads(owner).join(format!("put-{}", kernel::UploadId::new()));
        let path = expected.map_or_else(|| scratch.clone().join("data"), |digest| self.blob(owner, digest));
        let (mut state, mut hasher) = (State::default(), Hasher::new());
        let result = async {
            let done = self.pump(&path, &mut state, &mut hasher, BytesMut::new(), &mut body).await?;
            if let Some(e) = done.broken {
                return Err(Error::Body(e));
            }
            let actual = hasher.digest();
            match expected {
                Some(expected) if *expected != actual => return Err(Error::DigestMismatch { expected: *expected, actual }),
                _ => {}
            }
            let to = self.blob(owner, &actual);
            if state.multipart.is_none() {
                self.objects.put(&to, PutPayload::from(done.rest)).await?;
            } else {
                self.complete(&path, &state, done.rest).await?;
                if path != to {
                    self.copy(&path, &to).await?;
                    self.clear(&scratch).await?;
                }
            }
            Ok(Stored { digest: actual, size: state.size })
        }
        .await;
        if result.is_err() {
            // parts left behind cost money and show nowhere; the first error is the one to tell
            let _ = self.abort(&path, &state).await;
        }
        result
    }

    async fn open(&self, owner: &Owner, digest: &Digest, want: Want) -> Result<Option<Reader>> {
        let path = self.blob(owner, digest);
        let range = match want {
            Want::All => None,
            Want::Between(first, last) if first <= last => Some(GetRange::Bounded(first..last.saturating_add(1))),
            Want::From(first) => Some(GetRange::Offset(first)),
            Want::Last(n) if n > 0 => Some(GetRange::Suffix(n)),
            Want::Between(..) | Want::Last(_) => {
                return match self.size(owner, digest).await? {
                    Some(total) => Err(Error::Range { total }),
                    None => Ok(None),
                };
            }
        };
        let partial = range.is_some();
        match absent(self.objects.get_opts(&path, GetOptions { range, ..GetOptions::default() }).await) {
            Ok(None) => Ok(None),
            Ok(Some(got)) => {
                let (total, range) = (got.meta.size, got.range.clone());
                Ok(Some(Reader { total, range, body: got.into_stream().map_err(std::io::Error::other).boxed() }))
            }
            // stores tell a bad range in many ways: look at the size to know
            Err(e) if partial => match self.size(owner, digest).await? {
                Some(total) => want.of(total).and(Err(e)),
                None => Ok(None),
            },
            Err(e) => Err(e),
        }
    }

    async fn size(&self, owner: &Owner, digest: &Digest) -> Result<Option<u64>> {
        Ok(absent(self.objects.head(&self.blob(owner, digest)).await)?.map(|meta| meta.size))
    }

    async fn delete(&self, owner: &Owner, digest: &Digest) -> Result<bool> {
        let there = self.size(owner, digest).await?.is_some();
        absent(self.objects.delete(&self.blob(owner, digest)).await)?;
        Ok(there)
    }

    async fn link(&self, from: &Owner, digest: &Digest, to: &Owner) -> Result<bool> {
        self.copy(&self.blob(from, digest), &self.blob(to, digest)).await
    }

    async fn purge(&self, owner: &Owner) -> Result<()> {
        self.clear(&self.uploads(owner)).await?;
        self.clear(&self.prefix.clone().join(owner.as_str())).await
    }

    async fn upload_start(&self, owner: &Owner, key: &UploadKey) -> Result<()> {
        self.save(owner, key, &State::default(), PutMode::Create).await
    }

    async fn upload_append(&self, owner: &Owner, key: &UploadKey, offset: Option<u64>, mut body: Body) -> Result<u64> {
        let Held { mut state, version } = self.load(owner, key).await?.ok_or(Error::UploadUnknown)?;
        if let Some(offset) = offset
            && offset != state.size
        {
            return Err(Error::OffsetMismatch { stored: state.size, offset });
        }
        let mut hasher = state.hasher.as_deref().and_then(Hasher::load).unwrap_or_default();
        let tail = self.tail(owner, key, &state).await?;
        let (had_tail, old) = (state.tail > 0, state.size);
        let done = self.pump(&self.upload(owner, key, "data"), &mut state, &mut hasher, tail, &mut body).await?;
        state.hasher = Some(hasher.save());
        state.tail = done.rest.len() as u64;
        if state.tail > 0 && state.size != old {
            self.objects.put(&self.upload(owner, key, &format!("tail.{}", state.size)), done.rest.into()).await?;
        }
        self.save(owner, key, &state, PutMode::Update(version)).await?;
        if had_tail && state.size != old {
            absent(self.objects.delete(&self.upload(owner, key, &format!("tail.{old}"))).await)?;
        }
        match done.broken {
            Some(e) => Err(Error::Body(e)),
            None => Ok(state.size),
        }
    }

    async fn upload_size(&self, owner: &Owner, key: &UploadKey) -> Result<Option<u64>> {
        Ok(self.load(owner, key).await?.map(|held| held.state.size))
    }

    async fn upload_finish(&self, owner: &Owner, key: &UploadKey, expected: &Digest) -> Result<Stored> {
        let Held { state, .. } = self.load(owner, key).await?.ok_or(Error::UploadUnknown)?;
        let data = self.upload(owner, key, "data");
        let actual = state.hasher.as_deref().and_then(Hasher::load).unwrap_or_default().digest();
        if actual != *expected {
            self.abort(&data, &state).await?;
            self.forget(owner, key).await?;
            return Err(Error::DigestMismatch { expected: *expected, actual });
        }
        let rest = self.tail(owner, key, &state).await?.freeze();
        let to = self.blob(owner, expected);
        if state.multipart.is_none() {
            self.objects.put(&to, rest.into()).await?;
        } else {
            // a finish that was cut off after this point is taken up again
            if absent(self.objects.head(&data).await)?.is_none() {
                self.complete(&data, &state, rest).await?;
            }
            self.copy(&data, &to).await?;
        }
        self.forget(owner, key).await?;
        Ok(Stored { digest: actual, size: state.size })
    }

    async fn upload_cancel(&self, owner: &Owner, key: &UploadKey) -> Result<bool> {
        let Some(held) = self.load(owner, key).await? else { return Ok(false) };
        self.abort(&self.upload(owner, key, "data"), &held.state).await?;
        self.forget(owner, key).await?;
        Ok(true)
    }

    async fn sweep(&self, idle: Duration) -> Result<Swept> {
        let before = Timestamp::now().minus(idle).millis();
        let root = self.prefix.clone().join(UPLOADS);
        let old: Vec<_> = self
            .objects
            .list(Some(&root))
            .try_filter(|m| std::future::ready(m.last_modified.timestamp_millis() < before))
            .try_collect()
            .await?;
        let mut swept = Swept::default();
        for meta in old {
            if meta.location.filename() == Some("state") {
                let got = absent(self.objects.get(&meta.location).await)?;
                let Some(got) = got else { continue };
                if let Ok(state) = serde_json::from_slice::<State>(&got.bytes().await?) {
                    let data: Path = meta.location.parts().take(meta.location.parts().count() - 1).collect();
                    self.abort(&data.join("data"), &state).await?;
                }
                swept.count += 1;
            }
            swept.bytes += meta.size;
            absent(self.objects.delete(&meta.location).await)?;
        }
        Ok(swept)
    }

    async fn check(&self) -> Result<()> {
        let path = self.prefix.clone().join(UPLOADS).join("check").join(kernel::UploadId::new().to_string());
        self.objects.put(&path, PutPayload::from_static(b"ok")).await?;
        self.objects.delete(&path).await?;
        Ok(())
    }
}
