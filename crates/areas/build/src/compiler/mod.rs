//! The compiler of pipeline files over the API: lint, plan, evaluate, model, convert. Nothing is kept and nothing is run.
//!
//! Bounded: the files of a request have 1 MiB together, and compiling happens off the threads that answer requests. With a
//! project, files that were not given are read from a commit of it; those that were given take their place.

pub mod routes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dialects::trial::Sources;
use git::{EntryKind, Oid, Reader};
use kernel::{Actor, Code, Context, Error, RepoPath, Result};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::workflows::source;

/// Most bytes of all files of a request.
const MAX_BYTES: usize = 1 << 20;
/// Most files of a request.
const MAX_FILES: usize = 100;
/// What `exists` looks at; where there is more, it counts as a match.
const PATHS: source::Bounds = source::Bounds { entries: 20_000, trees: 20_000, depth: 20 };

/// So many files are compiled at once: a large one keeps a processor busy.
static PLACES: Semaphore = Semaphore::const_new(4);
/// Whoever asks waits so long for a place.
const PATIENCE: Duration = Duration::from_secs(10);

/// A place to compile.
///
/// # Errors
/// `unavailable` when there is none for long.
pub(crate) async fn place() -> Result<SemaphorePermit<'static>> {
    match tokio::time::timeout(PATIENCE, PLACES.acquire()).await {
        Ok(Ok(place)) => Ok(place),
        _ => Err(Error::new(Code::Unavailable, "many pipelines are compiled right now; try again")),
    }
}

/// Files by path.
pub(crate) type Files = Arc<BTreeMap<String, String>>;

/// Somebody must be signed in.
///
/// # Errors
/// `unauthenticated`.
pub(crate) fn signed_in(ctx: &Context) -> Result<()> {
    match ctx.actor {
        Actor::Anonymous => Err(Error::new(Code::Unauthenticated, "sign in first")),
        _ => Ok(()),
    }
}

/// Takes the files of a request.
///
/// # Errors
/// Too many, or too large.
pub(crate) fn files(given: Vec<(String, String)>) -> Result<Files> {
    let size: usize = given.iter().map(|(path, text)| path.len() + text.len()).sum();
    if given.len() > MAX_FILES || size > MAX_BYTES {
        let why = format!("at most {MAX_FILES} files and {MAX_BYTES} bytes are compiled at once");
        return Err(Error::new(Code::TooLarge, why));
    }
    Ok(Arc::new(given.into_iter().collect()))
}

/// The files of a request alone.
pub(crate) struct Given(pub(crate) Files);

impl Sources for Given {
    fn file(&self, path: &str) -> Option<Vec<u8>> {
        self.0.get(path).map(|text| text.clone().into_bytes())
    }

    fn paths(&self) -> Option<Vec<String>> {
        Some(self.0.keys().cloned().collect())
    }
}

/// The files of a commit, under those that were given.
pub(crate) struct Committed<'r> {
    pub(crate) reader: &'r Reader,
    pub(crate) root: Oid,
    pub(crate) given: Files,
}

impl Sources for Committed<'_> {
    fn file(&self, path: &str) -> Option<Vec<u8>> {
        if let Some(text) = self.given.get(path) {
            return Some(text.clone().into_bytes());
        }
        let path = RepoPath::parse(path).ok()?;
        let entry = self.reader.entry(self.root, &path).ok().filter(|e| e.kind == EntryKind::Blob)?;
        self.reader.blob(entry.oid, dialects::yaml::MAX_BYTES as u64).ok()?.data
    }

    fn paths(&self) -> Option<Vec<String>> {
        let mut paths: Vec<String> = self.given.keys().cloned().collect();
        if !source::list(self.reader, self.root, PATHS, &mut paths).ok()? {
            return None;
        }
        paths.sort();
        paths.dedup();
        Some(paths)
    }
}
