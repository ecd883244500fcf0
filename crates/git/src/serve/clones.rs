//! Answers to fetch requests that had nothing to begin with, kept on disk for the next who asks the same.
//!
//! The key is a hash of the state of all refs and of the request, so an answer is right as long as its key can be
//! made. Files are only ever added whole and removed whole; one that is being sent stays readable when removed.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

use parking_lot::Mutex;
use uuid::Uuid;

use crate::error::{GitError, Result};

/// Hash of refs and request.
pub type Key = [u8; 32];

/// The answers.
pub struct CloneCache {
    dir: PathBuf,
    max: u64,
    index: Mutex<Index>,
}

#[derive(Default)]
struct Index {
    entries: HashMap<Key, Entry>,
    total: u64,
    clock: u64,
}

struct Entry {
    size: u64,
    used: u64,
}

/// An answer in the making.
pub(super) struct Draft {
    path: PathBuf,
    file: File,
    size: u64,
    max: u64,
    kept: bool,
}

impl CloneCache {
    /// Starts empty: what an earlier process left may be cut short by a crash, and costs little to make again.
    ///
    /// # Errors
    /// `Io`.
    pub fn open(dir: PathBuf, max: u64) -> Result<Self> {
        for entry in fs::read_dir(&dir).map_err(GitError::io("open the clone cache"))?.flatten() {
            let _ = fs::remove_file(entry.path());
        }
        Ok(Self { dir, max, index: Mutex::default() })
    }

    /// An answer, open for reading.
    pub(super) fn get(&self, key: &Key) -> Option<(File, u64)> {
        let mut index = self.index.lock();
        index.clock += 1;
        let now = index.clock;
        let entry = index.entries.get_mut(key)?;
        entry.used = now;
        match File::open(self.dir.join(hex::encode(key))) {
            Ok(file) => Some((file, entry.size)),
            Err(_) => {
                let gone = index.entries.remove(key).map_or(0, |e| e.size);
                index.total -= gone;
                None
            }
        }
    }

    /// Begins an answer; none when nothing is kept.
    pub(super) fn draft(&self) -> Option<Draft> {
        if self.max == 0 {
            return None;
        }
        let path = self.dir.join(format!("new-{}", Uuid::now_v7().simple()));
        let file = File::create_new(&path).ok()?;
        // no single answer may push out all others
        Some(Draft { path, file, size: 0, max: self.max / 4, kept: false })
    }

    /// Keeps an answer that is complete, and drops the least used ones past the bound.
    pub(super) fn keep(&self, key: Key, mut draft: Draft) {
        if fs::rename(&draft.path, self.dir.join(hex::encode(key))).is_err() {
            return;
        }
        draft.kept = true;
        let mut index = self.index.lock();
        index.clock += 1;
        let used = index.clock;
        let before = index.entries.insert(key, Entry { size: draft.size, used });
        index.total = index.total + draft.size - before.map_or(0, |e| e.size);
        while index.total > self.max {
            let Some(oldest) = index.entries.iter().min_by_key(|(_, e)| e.used).map(|(k, _)| *k) else { break };
            let size = index.entries.remove(&oldest).map_or(0, |e| e.size);
            index.total -= size;
            let _ = fs::remove_file(self.dir.join(hex::encode(oldest)));
        }
    }
}

impl Draft {
    /// Appends; false when it got too large to keep or the disk refuses.
    pub(super) fn write(&mut self, bytes: &[u8]) -> bool {
        self.size += bytes.len() as u64;
        self.size <= self.max && self.file.write_all(bytes).is_ok()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_used_go_first() {
        let dir = tempfile::tempdir().unwrap();
        let cache = CloneCache::open(dir.path().to_owned(), 100).unwrap();
        let put = |n: u8| {
            let mut draft = cache.draft().unwrap();
            assert!(draft.write(&[n; 25]));
            cache.keep([n; 32], draft);
        };
        (1..=4).for_each(put);
        assert!(cache.get(&[1; 32]).is_some());
        put(5);
        assert!(cache.get(&[2; 32]).is_none());
        assert!(cache.get(&[1; 32]).is_some());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4);
    }

    #[test]
    fn drafts_that_are_not_kept_leave_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let cache = CloneCache::open(dir.path().to_owned(), 100).unwrap();
        let mut draft = cache.draft().unwrap();
        assert!(!draft.write(&[0; 26]));
        drop(draft);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
