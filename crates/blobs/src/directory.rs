//! A directory as a store: `<owner>/<2 hex>/<62 hex>`, and `.uploads/<owner>/` for what is not whole yet.
//!
//! Write order is always: temporary file, fsync, rename, fsync of the directory. A blob that was answered for is
//! therefore there after power loss, and a name never shows half a blob. A failed fsync is an error of that write; its
//! file is thrown away and never synced again, because the kernel may have dropped the pages already.

use std::collections::HashMap;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use kernel::Timestamp;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::task::spawn_blocking;

use crate::BlobStore;
use crate::Body;
use crate::BodyError;
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

/// Bytes gathered from the network before a thread is borrowed to write them.
const BATCH: usize = 1 << 20;
/// Bytes read at a time.
const CHUNK: u64 = 512 << 10;
/// Hash states of unfinished uploads kept at hand. Losing one costs re-reading that upload.
const HASHERS: usize = 1024;
const UPLOADS: &str = ".uploads";

type Hashers = Arc<Mutex<HashMap<(Owner, UploadKey), (u64, Hasher)>>>;

/// Blobs in a directory.
#[derive(Clone, Debug)]
pub struct Directory {
    root: Arc<Path>,
    hashers: Hashers,
}

impl Directory {
    /// Opens a directory, making it if need be.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = std::path::absolute(root.into())?;
        make_dir(&root.join(UPLOADS))?;
        Ok(Self { root: root.into(), hashers: Hashers::default() })
    }

    fn blob(&self, owner: &Owner, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        let (shard, rest) = hex.split_at(2);
        self.root.join(owner.as_str()).join(shard).join(rest)
    }

    fn uploads(&self, owner: &Owner) -> PathBuf {
        self.root.join(UPLOADS).join(owner.as_str())
    }

    fn upload(&self, owner: &Owner, key: &UploadKey) -> PathBuf {
        self.uploads(owner).join(key.as_str())
    }
}

/// Runs `work` on a thread that may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    join(spawn_blocking(work)).await
}

async fn join<T>(handle: JoinHandle<Result<T>>) -> Result<T> {
    handle.await.map_err(|e| Error::Io(io::Error::other(e)))?
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Makes a directory and its parents so that they survive power loss.
fn make_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent();
    if let Some(parent) = parent {
        make_dir(parent)?;
    }
    match fs::create_dir(dir) {
        Ok(()) => parent.map_or(Ok(()), sync_dir),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(e),
    }
}

/// None when the file is not there.
fn absent<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(t) => Ok(Some(t)),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(e),
    }
}

/// A file being written and the digest of what it holds.
struct Sink {
    file: File,
    hasher: Hasher,
    len: u64,
}

impl Sink {
    fn write(&mut self, chunks: &[Bytes]) -> io::Result<()> {
        for chunk in chunks {
            self.hasher.update(chunk);
            self.file.write_all(chunk)?;
            self.len += chunk.len() as u64;
        }
        Ok(())
    }
}

/// What one gathering brought: chunks, and how the body ended if it did.
struct Batch {
    chunks: Vec<Bytes>,
    end: Option<Result<(), BodyError>>,
}

async fn gather(body: &mut Body) -> Batch {
    let mut chunks = Vec::new();
    let mut len = 0;
    while len < BATCH {
        match body.next().await {
            Some(Ok(chunk)) => {
                len += chunk.len();
                chunks.push(chunk);
            }
            Some(Err(e)) => return Batch { chunks, end: Some(Err(e)) },
            None => return Batch { chunks, end: Some(Ok(())) },
        }
    }
    Batch { chunks, end: None }
}

/// Writes a body into a sink: the next batch is gathered while the last one is written.
/// The sink comes back when its file is sound, also under a body that broke off.
async fn pump(sink: Sink, mut batch: Batch, body: &mut Body) -> Result<(Sink, Result<(), BodyError>)> {
    let mut sink = sink;
    loop {
        let chunks = std::mem::take(&mut batch.chunks);
        let writing = spawn_blocking(move || sink.write(&chunks).map(|()| sink).map_err(Error::from));
        if let Some(end) = batch.end {
            return Ok((join(writing).await?, end));
        }
        batch = gather(body).await;
        sink = join(writing).await?;
    }
}

fn check(expected: Option<&Digest>, actual: Digest) -> Result<()> {
    match expected {
        Some(expected) if *expected != actual => Err(Error::DigestMismatch { expected: *expected, actual }),
        _ => Ok(()),
    }
}

/// Reads on, one chunk ahead of whoever consumes.
fn stream(file: File, left: u64) -> BoxStream<'static, io::Result<Bytes>> {
    let read = |mut file: File, left: u64| {
        spawn_blocking(move || {
            let chunk = read_chunk(&mut file, left.min(CHUNK))?;
            Ok::<_, io::Error>((file, chunk))
        })
    };
    let first = (left > 0).then(|| read(file, left));
    futures::stream::unfold((first, left), move |(reading, left)| async move {
        let (file, chunk) = match reading?.await {
            Ok(Ok(done)) => done,
            Ok(Err(e)) => return Some((Err(e), (None, 0))),
            Err(e) => return Some((Err(io::Error::other(e)), (None, 0))),
        };
        let left = left - chunk.len() as u64;
        let next = (left > 0).then(|| read(file, left));
        Some((Ok(chunk), (next, left)))
    })
    .boxed()
}

fn read_chunk(file: &mut File, len: u64) -> io::Result<Bytes> {
    let mut buffer = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
    if file.take(len).read_to_end(&mut buffer)? as u64 != len {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the blob file is shorter than it was"));
    }
    Ok(buffer.into())
}

#[async_trait]
impl BlobStore for Directory {
    async fn put(&self, owner: &Owner, mut body: Body, expected: Option<&Digest>) -> Result<Stored> {
        let batch = gather(&mut body).await;
        let (this, owner, expected) = (self.clone(), owner.clone(), expected.copied());
        // the temporary file deletes itself when this future is dropped or fails
        let begin = move || -> Result<(Self, Owner, Sink, tempfile::TempPath)> {
            let dir = this.uploads(&owner);
            make_dir(&dir)?;
            let (file, path) = tempfile::Builder::new().prefix(".put-").tempfile_in(&dir)?.into_parts();
            Ok((this, owner, Sink { file, hasher: Hasher::new(), len: 0 }, path))
        };
        let commit = move |this: Self, owner: Owner, sink: Sink, path: tempfile::TempPath| -> Result<Stored> {
            let digest = sink.hasher.digest();
            check(expected.as_ref(), digest)?;
            sink.file.sync_all()?;
            let to = this.blob(&owner, &digest);
            let dir = to.parent().unwrap_or(&this.root);
            make_dir(dir)?;
            path.persist(&to).map_err(|e| Error::from(e.error))?;
            sync_dir(dir)?;
            Ok(Stored { digest, size: sink.len })
        };
        if let Some(end) = batch.end {
            // small enough to be at hand already: one visit to a blocking thread
            end.map_err(Error::Body)?;
            return blocking(move || {
                let (this, owner, mut sink, path) = begin()?;
                sink.write(&batch.chunks)?;
                commit(this, owner, sink, path)
            })
            .await;
        }
        let (this, owner, sink, path) = blocking(begin).await?;
        let (sink, end) = pump(sink, batch, &mut body).await?;
        end.map_err(Error::Body)?;
        blocking(move || commit(this, owner, sink, path)).await
    }

    async fn open(&self, owner: &Owner, digest: &Digest, want: Want) -> Result<Option<Reader>> {
        let path = self.blob(owner, digest);
        blocking(move || {
            let Some(mut file) = absent(File::open(path))? else { return Ok(None) };
            let total = file.metadata()?.len();
            let range = want.of(total)?;
            if range.start > 0 {
                file.seek(SeekFrom::Start(range.start))?;
            }
            let len = range.end - range.start;
            let body = if len <= CHUNK {
                let bytes = read_chunk(&mut file, len)?;
                futures::stream::iter((len > 0).then_some(Ok(bytes))).boxed()
            } else {
                stream(file, len)
            };
            Ok(Some(Reader { total, range, body }))
        })
        .await
    }

    async fn size(&self, owner: &Owner, digest: &Digest) -> Result<Option<u64>> {
        let path = self.blob(owner, digest);
        blocking(move || Ok(absent(fs::metadata(path))?.map(|m| m.len()))).await
    }

    async fn delete(&self, owner: &Owner, digest: &Digest) -> Result<bool> {
        let path = self.blob(owner, digest);
        blocking(move || Ok(absent(fs::remove_file(path))?.is_some())).await
    }

    async fn link(&self, from: &Owner, digest: &Digest, to: &Owner) -> Result<bool> {
        let (source, target, scratch) = (self.blob(from, digest), self.blob(to, digest), self.uploads(to));
        blocking(move || {
            if absent(fs::metadata(&source))?.is_none() {
                return Ok(false);
            }
            let dir = target.parent().unwrap_or(&scratch);
            make_dir(dir)?;
            match fs::hard_link(&source, &target) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Ok(true),
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
                // file systems without hard links, or a file with too many
                Err(_) => {
                    make_dir(&scratch)?;
                    let (mut copy, path) = tempfile::Builder::new().prefix(".put-").tempfile_in(&scratch)?.into_parts();
                    io::copy(&mut File::open(&source)?, &mut copy)?;
                    copy.sync_all()?;
                    path.persist(&target).map_err(|e| Error::from(e.error))?;
                }
            }
            sync_dir(dir)?;
            Ok(true)
        })
        .await
    }

    async fn purge(&self, owner: &Owner) -> Result<()> {
        let paths = [self.root.join(owner.as_str()), self.uploads(owner)];
        blocking(move || {
            for path in paths {
                absent(fs::remove_dir_all(path))?;
            }
            Ok(())
        })
        .await
    }

    async fn upload_start(&self, owner: &Owner, key: &UploadKey) -> Result<()> {
        let (dir, path) = (self.uploads(owner), self.upload(owner, key));
        blocking(move || {
            make_dir(&dir)?;
            match File::create_new(path) {
                Ok(_) => Ok(()),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(Error::UploadBusy),
                Err(e) => Err(e.into()),
            }
        })
        .await
    }

    async fn upload_append(&self, owner: &Owner, key: &UploadKey, offset: Option<u64>, mut body: Body) -> Result<u64> {
        let (path, id, hashers) = (self.upload(owner, key), (owner.clone(), key.clone()), self.hashers.clone());
        let known = id.clone();
        let sink = blocking(move || {
            let sink = resume(&path, |len| take_hasher(&hashers, &known, len))?;
            match offset {
                Some(offset) if offset != sink.len => Err(Error::OffsetMismatch { stored: sink.len, offset }),
                _ => Ok(sink),
            }
        })
        .await?;
        let batch = gather(&mut body).await;
        let (sink, end) = pump(sink, batch, &mut body).await?;
        let len = sink.len;
        // closing alone would leave the lock to any program that is being forked at this moment
        sink.file.unlock()?;
        keep_hasher(&self.hashers, id, len, sink.hasher);
        end.map_err(Error::Body)?;
        Ok(len)
    }

    async fn upload_size(&self, owner: &Owner, key: &UploadKey) -> Result<Option<u64>> {
        let path = self.upload(owner, key);
        blocking(move || Ok(absent(fs::metadata(path))?.map(|m| m.len()))).await
    }

    async fn upload_finish(&self, owner: &Owner, key: &UploadKey, expected: &Digest) -> Result<Stored> {
        let (path, to, id, hashers) =
            (self.upload(owner, key), self.blob(owner, expected), (owner.clone(), key.clone()), self.hashers.clone());
        let expected = *expected;
        blocking(move || {
            let sink = resume(&path, |len| take_hasher(&hashers, &id, len))?;
            if let Err(e) = check(Some(&expected), sink.hasher.digest()) {
                absent(fs::remove_file(&path))?;
                return Err(e);
            }
            sink.file.sync_all()?;
            if let Some(dir) = to.parent() {
                make_dir(dir)?;
                fs::rename(&path, &to)?;
                sync_dir(dir)?;
            }
            sink.file.unlock()?;
            Ok(Stored { digest: expected, size: sink.len })
        })
        .await
    }

    async fn upload_cancel(&self, owner: &Owner, key: &UploadKey) -> Result<bool> {
        let path = self.upload(owner, key);
        self.hashers.lock().remove(&(owner.clone(), key.clone()));
        blocking(move || Ok(absent(fs::remove_file(path))?.is_some())).await
    }

    async fn sweep(&self, idle: Duration) -> Result<Swept> {
        let uploads = self.root.join(UPLOADS);
        let before = Timestamp::now().minus(idle).millis();
        blocking(move || {
            let mut swept = Swept::default();
            for owner in fs::read_dir(uploads)? {
                let Some(entries) = absent(fs::read_dir(owner?.path()))? else { continue };
                for entry in entries {
                    let entry = entry?;
                    let Some(meta) = absent(entry.metadata())? else { continue };
                    if modified_millis(&meta) < before && absent(fs::remove_file(entry.path()))?.is_some() {
                        swept.count += 1;
                        swept.bytes += meta.len();
                    }
                }
            }
            Ok(swept)
        })
        .await
    }

    async fn check(&self) -> Result<()> {
        let dir = self.root.join(UPLOADS);
        blocking(move || {
            tempfile::Builder::new().prefix(".check-").tempfile_in(dir)?.write_all(b"ok")?;
            Ok(())
        })
        .await
    }
}

fn modified_millis(meta: &fs::Metadata) -> i64 {
    let since = meta.modified().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
    since.and_then(|d| i64::try_from(d.as_millis()).ok()).unwrap_or(i64::MAX)
}

/// Opens an upload for appending, alone. The digest of what it holds comes from `known`, else from reading it.
fn resume(path: &Path, known: impl FnOnce(u64) -> Option<Hasher>) -> Result<Sink> {
    let Some(mut file) = absent(File::options().read(true).append(true).open(path))? else { return Err(Error::UploadUnknown) };
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Err(Error::UploadBusy),
        Err(fs::TryLockError::Error(e)) => return Err(e.into()),
    }
    // it may have been finished or cancelled between opening and locking
    if absent(fs::metadata(path))?.is_none() {
        return Err(Error::UploadUnknown);
    }
    let len = file.metadata()?.len();
    let hasher = match known(len) {
        Some(hasher) => hasher,
        None => {
            let mut hasher = Hasher::new();
            let mut left = len;
            while left > 0 {
                let chunk = read_chunk(&mut file, left.min(CHUNK))?;
                left -= chunk.len() as u64;
                hasher.update(&chunk);
            }
            hasher
        }
    };
    Ok(Sink { file, hasher, len })
}

/// The kept hash state, if it is of exactly `len` bytes.
fn take_hasher(hashers: &Hashers, id: &(Owner, UploadKey), len: u64) -> Option<Hasher> {
    if len == 0 {
        return Some(Hasher::new());
    }
    hashers.lock().remove(id).filter(|(at, _)| *at == len).map(|(_, hasher)| hasher)
}

fn keep_hasher(hashers: &Hashers, id: (Owner, UploadKey), len: u64, hasher: Hasher) {
    let mut map = hashers.lock();
    if map.len() >= HASHERS
        && let Some(any) = map.keys().next().cloned()
    {
        map.remove(&any);
    }
    map.insert(id, (len, hasher));
}
