//! Files of failed jobs, kept aside for a while so that another try can go on from the step that failed.
//!
//! Nothing is copied: the directory of the job is moved here at its end, and back to where it was for the next try, so
//! that every path in it still holds. What is kept is bounded in number, bytes and age; the oldest goes first.
//!
//! Must not know: what the state means that lies beside the files.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kernel::Timestamp;
use serde::{Deserialize, Serialize};

use super::dirs::{JobDirs, remove_tree};

/// What is kept of failed jobs.
#[derive(Clone, Copy, Debug)]
pub struct KeepLimits {
    /// Jobs; none are kept when it is 0.
    pub jobs: usize,
    /// Bytes of all together.
    pub bytes: u64,
    /// How long each.
    pub age: Duration,
}

impl Default for KeepLimits {
    fn default() -> Self {
        Self { jobs: 5, bytes: 10 << 30, age: Duration::from_secs(86_400) }
    }
}

/// What is known of a kept job.
#[derive(Serialize, Deserialize)]
struct Entry {
    /// Name of its directory.
    place: String,
    /// Whose its files are.
    uid: Option<u32>,
    bytes: u64,
    at: Timestamp,
}

/// A kept job whose files are back in their place.
pub(crate) struct Taken {
    pub(crate) place: String,
    pub(crate) uid: Option<u32>,
    pub(crate) state: String,
}

/// The kept jobs of a runner.
pub(crate) struct Kept {
    dir: PathBuf,
    limits: KeepLimits,
    lock: Mutex<()>,
}

impl Kept {
    /// Below the directory of a runner.
    pub(crate) fn open(root: &Path, limits: KeepLimits) -> io::Result<Self> {
        let dir = root.join("kept");
        fs::create_dir_all(&dir)?;
        fs::set_permissions(&dir, Permissions::from_mode(0o700))?;
        let kept = Self { dir, limits, lock: Mutex::new(()) };
        for entry in fs::read_dir(&kept.dir)?.flatten() {
            // a life that ended in the middle of it
            if kept.entry(&entry.path()).is_none() {
                remove_tree(&entry.path())?;
            }
        }
        kept.prune(0);
        Ok(kept)
    }

    /// Is anything kept at all?
    pub(crate) fn keeps(&self) -> bool {
        self.limits.jobs > 0
    }

    fn entry(&self, path: &Path) -> Option<Entry> {
        if path.extension().is_some_and(|e| e == "new") {
            return None;
        }
        serde_json::from_slice(&fs::read(path.join("entry.json")).ok()?).ok()
    }

    fn all(&self) -> Vec<(PathBuf, Entry)> {
        let Ok(list) = fs::read_dir(&self.dir) else { return Vec::new() };
        let mut all: Vec<_> = list.flatten().filter_map(|e| Some((e.path(), self.entry(&e.path())?))).collect();
        all.sort_by_key(|(_, entry)| entry.at);
        all
    }

    /// Names of the jobs.
    pub(crate) fn list(&self) -> Vec<String> {
        let _held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.prune(0);
        self.all().iter().filter_map(|(path, _)| Some(path.file_name()?.to_str()?.to_owned())).collect()
    }

    /// Removes what is too old, and the oldest until `more` bytes of one more job fit (none when it is 0).
    fn prune(&self, more: u64) {
        let now = Timestamp::now();
        let room = usize::from(more > 0);
        let mut all = self.all();
        let mut bytes: u64 = all.iter().map(|(_, e)| e.bytes).sum::<u64>() + more;
        while let Some((path, oldest)) = all.first() {
            let fits = all.len() + room <= self.limits.jobs && bytes <= self.limits.bytes;
            if fits && now.since(oldest.at) < self.limits.age {
                return;
            }
            bytes -= oldest.bytes;
            if let Err(error) = remove_tree(path) {
                tracing::warn!(path = %path.display(), %error, "files of an old job stay");
            }
            all.remove(0);
        }
    }

    /// Takes the directory of a job that has ended; false when it is too large.
    pub(crate) fn keep(&self, job: &str, dirs: &JobDirs, state: &str) -> io::Result<bool> {
        let _held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = size(&dirs.root).max(1);
        let place = dirs.root.file_name().and_then(|n| n.to_str()).ok_or_else(|| io::Error::other("the job has no directory"))?;
        if !self.keeps() || bytes > self.limits.bytes {
            return Ok(false);
        }
        self.prune(bytes);
        let (new, whole) = (self.dir.join(format!("{job}.new")), self.dir.join(job));
        remove_tree(&new)?;
        remove_tree(&whole)?;
        fs::create_dir(&new)?;
        let entry = Entry { place: place.to_owned(), uid: dirs.uid, bytes, at: Timestamp::now() };
        let entry = serde_json::to_string(&entry).map_err(io::Error::other)?;
        for (name, text) in [("state.json", state), ("entry.json", &entry)] {
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(new.join(name))?;
            file.write_all(text.as_bytes())?;
        }
        fs::rename(&dirs.root, new.join("files"))?;
        fs::rename(&new, &whole)?;
        Ok(true)
    }

    /// Gives the files of a job back to their place below `jobs`; none when they are no longer here.
    pub(crate) fn take(&self, job: &str, jobs: &Path) -> io::Result<Option<Taken>> {
        let _held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.prune(0);
        let path = self.dir.join(job);
        let Some(entry) = self.entry(&path) else { return Ok(None) };
        let state = fs::read_to_string(path.join("state.json"))?;
        let target = jobs.join(&entry.place);
        remove_tree(&target)?;
        fs::rename(path.join("files"), &target)?;
        remove_tree(&path)?;
        Ok(Some(Taken { place: entry.place, uid: entry.uid, state }))
    }
}

/// Bytes that a tree takes on the disk.
fn size(root: &Path) -> u64 {
    let entries = walkdir::WalkDir::new(root).follow_links(false).into_iter().flatten();
    entries.filter_map(|e| e.metadata().ok()).map(|m| m.blocks() * 512).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(root: &Path, name: &str, bytes: usize) -> JobDirs {
        let dirs = JobDirs::create(root, name, "web", None).unwrap();
        fs::write(dirs.workspace.join("file"), vec![b'x'; bytes]).unwrap();
        dirs
    }

    fn kept(root: &Path, jobs: usize, bytes: u64, age: u64) -> Kept {
        Kept::open(root, KeepLimits { jobs, bytes, age: Duration::from_secs(age) }).unwrap()
    }

    #[test]
    fn files_come_back_to_their_place_once() {
        let base = tempfile::tempdir().unwrap();
        let store = kept(base.path(), 2, 1 << 30, 3600);
        let dirs = job(base.path(), "job_1", 10);
        assert!(store.keep("job_1", &dirs, "{}").unwrap());
        assert!(!dirs.root.exists());
        // another life of the runner finds it
        drop(store);
        let store = kept(base.path(), 2, 1 << 30, 3600);
        assert_eq!(store.list(), ["job_1"]);
        let taken = store.take("job_1", &base.path().join("jobs")).unwrap().unwrap();
        assert_eq!((taken.place.as_str(), taken.state.as_str()), ("job_1", "{}"));
        assert_eq!(fs::read(dirs.workspace.join("file")).unwrap().len(), 10);
        assert!(store.take("job_1", &base.path().join("jobs")).unwrap().is_none());
    }

    #[test]
    fn number_bytes_and_age_are_bounded() {
        let base = tempfile::tempdir().unwrap();
        let keep = |store: &Kept, name: &str, bytes| {
            std::thread::sleep(Duration::from_millis(3));
            store.keep(name, &job(base.path(), name, bytes), "{}").unwrap()
        };
        let store = kept(base.path(), 2, 4 << 20, 3600);
        assert!(keep(&store, "a", 1) && keep(&store, "b", 1) && keep(&store, "c", 1));
        assert_eq!(store.all().len(), 2);
        assert!(store.list().contains(&"c".to_owned()) && !store.list().contains(&"a".to_owned()));
        assert!(!keep(&store, "huge", 5 << 20), "larger than all may be together");
        assert!(keep(&store, "d", 3 << 20) && keep(&store, "e", 3 << 20));
        assert_eq!(store.list(), ["e"]);
        assert_eq!(kept(base.path(), 2, 4 << 20, 0).list(), [] as [&str; 0], "too old");
        let none = kept(base.path(), 0, 4 << 20, 3600);
        assert!(!keep(&none, "f", 1));
    }
}
