//! All repositories of an instance, and the handle to one of them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use gix::odb::store::init::{Options as StoreOptions, Slots};
use kernel::{ProjectId, RefName};
use parking_lot::Mutex;
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use crate::error::{GitError, Result};
use crate::layout::Layout;
use crate::packs::{DirectoryPacks, PackStore};
use crate::program::Program;
use crate::read::Reader;
use crate::refs::{DirectoryRefs, RefEdit, RefSnapshot, RefStore};
use crate::serve::{Capabilities, CloneCache};

/// Largest single allocation made for an object.
const ALLOC_LIMIT: usize = 512 << 20;
/// Packs that may come before an object store is opened anew; its table has a fixed size.
const SPARE_PACKS: usize = 64;

/// Bounds, all with sensible defaults.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of answers to clone requests kept on disk; 0 keeps none.
    pub clone_cache_bytes: u64,
    /// Fetch processes at once.
    pub fetches: usize,
    /// Push processes at once.
    pub pushes: usize,
    /// How long a request waits for its turn.
    pub queue: Duration,
    /// Longest fetch.
    pub fetch_time: Duration,
    /// Longest push. Quarantines older than this are swept.
    pub push_time: Duration,
    /// Longest silence of a client in either direction.
    pub idle: Duration,
    /// Largest pack of one push, when the caller sets no lower limit.
    pub push_bytes: u64,
    /// Most refs changed by one push.
    pub push_commands: usize,
}

impl Default for Options {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self {
            clone_cache_bytes: 1 << 30,
            fetches: cores * 4,
            pushes: cores * 4,
            queue: Duration::from_secs(30),
            fetch_time: Duration::from_secs(3600),
            push_time: Duration::from_secs(3600),
            idle: Duration::from_secs(60),
            push_bytes: 2 << 30,
            push_commands: 5_000,
        }
    }
}

/// All repositories. Cheap to clone.
#[derive(Clone)]
pub struct Repositories(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) options: Options,
    pub(crate) layout: Layout,
    pub(crate) program: Program,
    pub(crate) capabilities: Capabilities,
    pub(crate) refs: Box<dyn RefStore>,
    pub(crate) packs: Box<dyn PackStore>,
    pub(crate) clones: CloneCache,
    objects: moka::sync::Cache<ProjectId, Arc<Objects>>,
    fetches: Arc<Semaphore>,
    pushes: Arc<Semaphore>,
    turns: Mutex<HashMap<ProjectId, Weak<tokio::sync::Mutex<()>>>>,
}

struct Objects {
    store: Arc<gix::odb::Store>,
    packs_since: AtomicUsize,
}

/// A repository. Cheap to clone; it may be deleted behind our back, then calls answer `NotFound`.
#[derive(Clone)]
pub struct Repository {
    pub(crate) all: Arc<Inner>,
    pub(crate) project: ProjectId,
    pub(crate) dir: PathBuf,
}

impl Repositories {
    /// Opens the root directory, made if it is not there, and checks the git program.
    ///
    /// # Errors
    /// `Unusable` without a git program of [`crate::MINIMUM_VERSION`]; `Io`.
    pub async fn open(root: &Path, options: Options) -> Result<Self> {
        let layout = Layout::new(root)?;
        let program = Program::detect(&layout.home()).await?;
        let capabilities = Capabilities::probe(&program, &layout.incoming()).await?;
        tracing::info!(version = program.version(), root = %root.display(), "git is ready");
        let inner = Inner {
            refs: Box::new(DirectoryRefs::new(layout.clone(), program.clone())),
            packs: Box::new(DirectoryPacks::new(layout.clone())),
            clones: CloneCache::open(layout.clones(), options.clone_cache_bytes)?,
            // a store is some hundred bytes plus the maps of its packs; unused ones let go of their files
            objects: moka::sync::Cache::builder()
                .max_capacity(1000)
                .time_to_idle(Duration::from_secs(300))
                .time_to_live(Duration::from_secs(1800))
                .build(),
            fetches: Arc::new(Semaphore::new(options.fetches.max(1))),
            pushes: Arc::new(Semaphore::new(options.pushes.max(1))),
            turns: Mutex::default(),
            layout,
            program,
            capabilities,
            options,
        };
        Ok(Self(Arc::new(inner)))
    }

    /// Makes an empty repository whose HEAD names `branch`; there all at once, or not at all.
    ///
    /// # Errors
    /// `Exists`, `Io`.
    pub async fn create(&self, project: ProjectId, branch: &RefName) -> Result<Repository> {
        let (inner, branch) = (self.0.clone(), branch.clone());
        blocking(move || inner.packs.create(project, &branch)).await?;
        self.get(project)
    }

    /// Removes a repository for good. Removing what is not there is no error.
    ///
    /// # Errors
    /// `Io`.
    pub async fn delete(&self, project: ProjectId) -> Result<()> {
        let inner = self.0.clone();
        blocking(move || {
            let done = inner.packs.delete(project);
            inner.refs.forget(project);
            inner.objects.invalidate(&project);
            done
        })
        .await
    }

    /// Is there a repository?
    pub fn exists(&self, project: ProjectId) -> bool {
        self.0.packs.exists(project)
    }

    /// The repository of a project.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn get(&self, project: ProjectId) -> Result<Repository> {
        let dir = self.0.packs.local(project)?;
        Ok(Repository { all: self.0.clone(), project, dir })
    }

    /// Every project that has a repository on this disk.
    ///
    /// # Errors
    /// `Io`.
    pub async fn projects(&self) -> Result<Vec<ProjectId>> {
        let layout = self.0.layout.clone();
        blocking(move || layout.projects()).await
    }

    /// The version of the git program.
    pub fn git_version(&self) -> &str {
        self.0.program.version()
    }

    /// The bounds.
    pub fn options(&self) -> &Options {
        &self.0.options
    }
}

impl Inner {
    /// A turn to run a fetch process.
    pub(crate) async fn fetch_turn(&self) -> Result<OwnedSemaphorePermit> {
        turn(&self.fetches, self.options.queue).await
    }

    /// A turn to run a push process.
    pub(crate) async fn push_turn(&self) -> Result<OwnedSemaphorePermit> {
        turn(&self.pushes, self.options.queue).await
    }
}

async fn turn(semaphore: &Arc<Semaphore>, wait: Duration) -> Result<OwnedSemaphorePermit> {
    match tokio::time::timeout(wait, semaphore.clone().acquire_owned()).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(GitError::Busy),
    }
}

impl Repository {
    /// Whose repository it is.
    pub fn project(&self) -> ProjectId {
        self.project
    }

    /// The refs of now.
    ///
    /// # Errors
    /// `NotFound`, `Corrupt`, `Io`.
    pub async fn refs(&self) -> Result<Arc<RefSnapshot>> {
        if let Some(snapshot) = self.all.refs.cached(self.project)? {
            return Ok(snapshot);
        }
        let this = self.clone();
        blocking(move || this.snapshot()).await
    }

    /// Runs `f` with a reader, away from the async threads.
    ///
    /// # Errors
    /// Those of `f`.
    pub async fn read<T, F>(&self, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&Reader) -> Result<T> + Send + 'static,
    {
        let this = self.clone();
        blocking(move || {
            let first = this.reader().and_then(|reader| f(&reader));
            let Err(GitError::Corrupt(why)) = &first else { return first };
            // a repack may have replaced what an old store still names: look once more with a fresh one
            tracing::warn!(project = %this.project, why, "reading again with a fresh object store");
            this.all.objects.invalidate(&this.project);
            f(&this.reader()?)
        })
        .await
    }

    /// A reader for use on a thread that may block.
    ///
    /// # Errors
    /// `NotFound`, `Corrupt`, `Io`.
    pub fn reader(&self) -> Result<Reader> {
        let snapshot = self.snapshot()?;
        Ok(Reader::new(&self.objects()?.store, snapshot))
    }

    pub(crate) fn snapshot(&self) -> Result<Arc<RefSnapshot>> {
        let reader = std::cell::OnceCell::new();
        let peel = |oid| {
            let reader = match reader.get() {
                Some(reader) => reader,
                None => {
                    let nothing = Arc::new(RefSnapshot::new(String::new(), Vec::new()));
                    let made = Reader::new(&self.objects().ok()?.store, nothing);
                    reader.get_or_init(|| made)
                }
            };
            reader.peel(oid).ok().flatten()
        };
        self.all.refs.snapshot(self.project, &peel)
    }

    fn objects(&self) -> Result<Arc<Objects>> {
        if let Some(objects) = self.all.objects.get(&self.project) {
            return Ok(objects);
        }
        let dir = self.dir.join("objects");
        let packs = std::fs::read_dir(dir.join("pack")).map_or(0, Iterator::count);
        let slots = Slots::Given(u16::try_from(packs + 2 * SPARE_PACKS).unwrap_or(u16::MAX >> 1));
        let options =
            StoreOptions { slots, alloc_limit_bytes: Some(ALLOC_LIMIT), current_dir: Some(self.dir.clone()), ..StoreOptions::default() };
        let store = gix::odb::Store::at_opts(dir, gix::hash::Kind::Sha1, &mut std::iter::empty(), options).map_err(|e| {
            if self.all.packs.exists(self.project) {
                GitError::Io { what: "open the object store".into(), source: e }
            } else {
                GitError::NotFound("repository".into())
            }
        })?;
        let objects = Arc::new(Objects { store: Arc::new(store), packs_since: AtomicUsize::new(0) });
        self.all.objects.insert(self.project, objects.clone());
        Ok(objects)
    }

    /// A pack was added.
    pub(crate) fn pack_added(&self) {
        if let Some(objects) = self.all.objects.get(&self.project)
            && objects.packs_since.fetch_add(1, Ordering::Relaxed) >= SPARE_PACKS
        {
            self.all.objects.invalidate(&self.project);
        }
    }

    /// Packs were replaced.
    pub(crate) fn packs_changed(&self) {
        self.all.objects.invalidate(&self.project);
    }

    /// Excludes other writers of this process from the moment refs move until that is recorded, so that events come
    /// in the order of the moves. Not to be held while pushing or committing: those take it themselves.
    pub async fn writer_turn(&self) -> OwnedMutexGuard<()> {
        let mutex = {
            let mut turns = self.all.turns.lock();
            if turns.len() > 1000 {
                turns.retain(|_, weak| weak.strong_count() > 0);
            }
            match turns.get(&self.project).and_then(Weak::upgrade) {
                Some(mutex) => mutex,
                None => {
                    let mutex = Arc::new(tokio::sync::Mutex::new(()));
                    turns.insert(self.project, Arc::downgrade(&mutex));
                    mutex
                }
            }
        };
        mutex.lock_owned().await
    }

    /// Moves refs without any event: the caller records what it does.
    ///
    /// # Errors
    /// `Moved` when a ref is not where an edit says.
    pub async fn update_refs(&self, edits: &[RefEdit]) -> Result<()> {
        self.all.refs.update(self.project, edits).await
    }

    /// Makes HEAD name another branch.
    ///
    /// # Errors
    /// `Io`, `Busy`.
    pub async fn set_default_branch(&self, branch: &RefName) -> Result<()> {
        let (this, branch) = (self.clone(), branch.clone());
        blocking(move || this.all.refs.set_head(this.project, &branch)).await
    }

    /// Bytes of its objects on disk.
    ///
    /// # Errors
    /// `NotFound`, `Io`.
    pub async fn size(&self) -> Result<u64> {
        let this = self.clone();
        blocking(move || this.all.packs.size(this.project)).await
    }
}

/// Runs what blocks where it may.
pub(crate) async fn blocking<T: Send + 'static>(f: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(f).await {
        Ok(result) => result,
        Err(e) => Err(GitError::Corrupt(format!("a reading task failed: {e}"))),
    }
}
