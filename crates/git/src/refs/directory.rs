//! Refs in a bare repository's directory, in git's own format, so that the git program works on them directly.
//!
//! Reading: git moves a ref by renaming a lock file over it, which touches the directory. So a snapshot stays valid as
//! long as the stamps of HEAD, packed-refs and each directory under refs/ stay the same, a handful of `stat` calls.
//! A stamp as young as the clock's resolution proves nothing; such a snapshot is not trusted a second time.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kernel::{ProjectId, RefName, Timestamp};
use parking_lot::Mutex;

use super::{Peel, RefEdit, RefEntry, RefSnapshot, RefStore};
use crate::error::{GitError, Result};
use crate::layout::{self, Layout};
use crate::oid::Oid;
use crate::program::Program;

/// File systems stamp with the tick of the kernel, at worst 10 ms; with a margin.
const RACY: i64 = 50;

/// Levels below refs/; our names are at most 255 bytes, so this is never met by chance.
const MAX_LEVELS: usize = 130;

/// Refs in directories.
pub struct DirectoryRefs {
    layout: Layout,
    program: Program,
    cache: moka::sync::Cache<ProjectId, Arc<Mutex<Cached>>>,
}

#[derive(Default)]
struct Cached {
    snapshot: Option<(Arc<RefSnapshot>, Stamps)>,
    packed: Option<(Stamp, Arc<Packed>)>,
}

/// Name to object and, for tags, what they stand for.
type Packed = BTreeMap<String, (Oid, Option<Oid>)>;

/// What tells one state of a file or directory from another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Result<Option<Self>> {
        match fs::symlink_metadata(path) {
            Ok(m) => Ok(Some(Self { inode: m.ino(), size: m.len(), modified: (m.mtime(), m.mtime_nsec()) })),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(GitError::io("look at refs")(e)),
        }
    }

    fn millis(self) -> i64 {
        self.modified.0 * 1000 + self.modified.1 / 1_000_000
    }
}

/// The stamps a snapshot was made under.
struct Stamps {
    files: Vec<(PathBuf, Option<Stamp>)>,
    settled: bool,
}

impl Stamps {
    fn hold(&self) -> Result<bool> {
        if !self.settled {
            return Ok(false);
        }
        for (path, stamp) in &self.files {
            if Stamp::of(path)? != *stamp {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl DirectoryRefs {
    /// Refs of the repositories under a root.
    pub fn new(layout: Layout, program: Program) -> Self {
        Self { layout, program, cache: moka::sync::Cache::new(10_000) }
    }

    fn read(dir: &Path, cached: &mut Cached, peel: Peel<'_>) -> Result<Arc<RefSnapshot>> {
        if let Some((snapshot, stamps)) = &cached.snapshot
            && stamps.hold()?
        {
            return Ok(snapshot.clone());
        }
        let begun = Timestamp::now();
        let mut stamps = Vec::new();
        // stamps first, contents after: a change in between makes the stamp stale, never the other way round
        let head_path = dir.join("HEAD");
        let Some(head_stamp) = Stamp::of(&head_path)? else { return Err(GitError::NotFound("repository".into())) };
        stamps.push((head_path.clone(), Some(head_stamp)));
        let head = read_head(&head_path)?;
        // loose before packed: pack-refs writes the packed file before it removes the loose ones
        let mut found = BTreeMap::new();
        for kind in ["heads", "tags"] {
            read_loose(dir, &format!("refs/{kind}"), 0, &mut stamps, &mut found)?;
        }
        let packed_path = dir.join("packed-refs");
        let packed_stamp = Stamp::of(&packed_path)?;
        stamps.push((packed_path.clone(), packed_stamp));
        let packed = match (packed_stamp, &cached.packed) {
            (None, _) => Arc::default(),
            (Some(now), Some((then, packed))) if now == *then => packed.clone(),
            (Some(_), _) => Arc::new(read_packed(&packed_path)?),
        };
        let settled_before = begun.millis() - RACY;
        let settled = stamps.iter().filter_map(|(_, s)| *s).all(|s| s.millis() < settled_before);
        cached.packed = packed_stamp.filter(|s| s.millis() < settled_before).map(|s| (s, packed.clone()));

        let mut refs: BTreeMap<String, RefEntry> = BTreeMap::new();
        for (name, (oid, peeled)) in packed.iter() {
            refs.insert(name.clone(), RefEntry { name: name.clone(), oid: *oid, peeled: *peeled });
        }
        for (name, oid) in found {
            let known = refs.get(&name).filter(|r| r.oid == oid).and_then(|r| r.peeled);
            // git lets no branch point at anything but a commit
            let peeled = if name.starts_with("refs/heads/") { None } else { known.or_else(|| peel(oid)) };
            refs.insert(name.clone(), RefEntry { name, oid, peeled });
        }
        let snapshot = Arc::new(RefSnapshot::new(head, refs.into_values().collect()));
        // same refs, same renderings: touching a directory need not throw them away
        let snapshot = match cached.snapshot.take() {
            Some((old, _)) if old.digest == snapshot.digest => old,
            _ => snapshot,
        };
        cached.snapshot = Some((snapshot.clone(), Stamps { files: stamps, settled }));
        Ok(snapshot)
    }
}

fn read_head(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path).map_err(GitError::io("read HEAD"))?;
    match text.strip_prefix("ref: ").map(str::trim_end) {
        Some(name) if name.starts_with("refs/heads/") => Ok(name.to_owned()),
        _ => Err(GitError::Corrupt("HEAD does not name a branch".into())),
    }
}

fn read_loose(
    dir: &Path,
    name: &str,
    level: usize,
    stamps: &mut Vec<(PathBuf, Option<Stamp>)>,
    found: &mut BTreeMap<String, Oid>,
) -> Result<()> {
    let path = dir.join(name);
    stamps.push((path.clone(), Stamp::of(&path)?));
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries,
        // empty directories come and go with their refs
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(GitError::io("list refs")(e)),
    };
    for entry in entries {
        let entry = entry.map_err(GitError::io("list refs"))?;
        let Ok(file) = entry.file_name().into_string() else { continue };
        if file.ends_with(".lock") {
            continue;
        }
        let child = format!("{name}/{file}");
        let kind = entry.file_type().map_err(GitError::io("list refs"))?;
        if kind.is_dir() {
            if level < MAX_LEVELS {
                read_loose(dir, &child, level + 1, stamps, found)?;
            }
        } else if kind.is_file() {
            match fs::read(entry.path()) {
                Ok(text) => match text.get(..40).and_then(Oid::from_hex) {
                    Some(oid) => {
                        found.insert(child, oid);
                    }
                    None => tracing::warn!(repository = %dir.display(), name = %child, "a ref that is no object id is left out"),
                },
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(GitError::io("read a ref")(e)),
            }
        }
    }
    Ok(())
}

fn read_packed(path: &Path) -> Result<Packed> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Packed::new()),
        Err(e) => return Err(GitError::io("read packed-refs")(e)),
    };
    let mut refs = Packed::new();
    let mut last: Option<String> = None;
    for line in text.split(|b| *b == b'\n') {
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        if let Some(peeled) = line.strip_prefix(b"^") {
            let oid = Oid::from_hex(peeled).ok_or_else(|| GitError::Corrupt("packed-refs has a bad line".into()))?;
            if let Some(entry) = last.as_ref().and_then(|name| refs.get_mut(name)) {
                entry.1 = Some(oid);
            }
            continue;
        }
        let (Some(oid), Some(b' '), Some(name)) = (line.get(..40).and_then(Oid::from_hex), line.get(40), line.get(41..)) else {
            return Err(GitError::Corrupt("packed-refs has a bad line".into()));
        };
        last = None;
        if let Ok(name) = std::str::from_utf8(name)
            && (name.starts_with("refs/heads/") || name.starts_with("refs/tags/"))
        {
            refs.insert(name.to_owned(), (oid, None));
            last = Some(name.to_owned());
        }
    }
    Ok(refs)
}

#[async_trait::async_trait]
impl RefStore for DirectoryRefs {
    fn snapshot(&self, project: ProjectId, peel: Peel<'_>) -> Result<Arc<RefSnapshot>> {
        let cached = self.cache.get_with(project, Arc::default);
        let mut cached = cached.lock();
        Self::read(&self.layout.repository(project), &mut cached, peel)
    }

    fn cached(&self, project: ProjectId) -> Result<Option<Arc<RefSnapshot>>> {
        let Some(cached) = self.cache.get(&project) else { return Ok(None) };
        // somebody is reading them anew: do not wait for that here
        let Some(cached) = cached.try_lock() else { return Ok(None) };
        match &cached.snapshot {
            Some((snapshot, stamps)) if stamps.hold()? => Ok(Some(snapshot.clone())),
            _ => Ok(None),
        }
    }

    async fn update(&self, project: ProjectId, edits: &[RefEdit]) -> Result<()> {
        let dir = self.layout.repository(project);
        // git's own transaction: directory/file conflicts, packed refs, locks against a receive-pack, fsync
        let mut script: Vec<u8> = b"start\0".to_vec();
        for edit in edits {
            let name = edit.name.as_str();
            let old = edit.old.unwrap_or(Oid::ZERO);
            let line = match (edit.old, edit.new) {
                (None, None) => continue,
                (None, Some(new)) => format!("create {name}\0{new}\0"),
                (Some(_), Some(new)) => format!("update {name}\0{new}\0{old}\0"),
                (Some(_), None) => format!("delete {name}\0{old}\0"),
            };
            script.extend_from_slice(line.as_bytes());
        }
        script.extend_from_slice(b"prepare\0commit\0");
        let argv = self.program.command("update-ref").in_repository(&dir).flag("--no-deref").flag("--stdin").flag("-z");
        let done = argv.output(&script, Duration::from_secs(30), 64 * 1024).await;
        let Err(error) = done else { return Ok(()) };
        if let GitError::Program { stderr, .. } = &error {
            let snapshot = self.snapshot(project, &|_| None)?;
            for edit in edits {
                let found = snapshot.get(edit.name.as_str()).map(|r| r.oid);
                if found != edit.old {
                    return Err(GitError::Moved { name: edit.name.to_string(), expected: edit.old, found });
                }
            }
            if stderr.contains("' exists; cannot create '") {
                return Err(GitError::Exists("a ref with the start of this name".into()));
            }
        }
        Err(error)
    }

    fn set_head(&self, project: ProjectId, branch: &RefName) -> Result<()> {
        let dir = self.layout.repository(project);
        if !branch.is_branch() {
            return Err(GitError::Invalid("HEAD names a branch".into()));
        }
        // the name git takes for its lock, so that the two exclude each other
        let lock = dir.join("HEAD.lock");
        let mut file = match fs::OpenOptions::new().write(true).create_new(true).open(&lock) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => return Err(GitError::Busy),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(GitError::NotFound("repository".into())),
            Err(e) => return Err(GitError::io("lock HEAD")(e)),
        };
        let write = (|| {
            file.write_all(format!("ref: {branch}\n").as_bytes())?;
            file.sync_all()?;
            fs::rename(&lock, dir.join("HEAD"))
        })();
        if let Err(e) = write {
            let _ = fs::remove_file(&lock);
            return Err(GitError::io("write HEAD")(e));
        }
        layout::sync_dir(&dir)
    }

    fn forget(&self, project: ProjectId) {
        self.cache.invalidate(&project);
    }
}
