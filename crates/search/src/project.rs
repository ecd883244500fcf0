//! One project's folder of the embedded index: its segments, which of their documents are dead, and how far it is.
//!
//! All of that is said by one small file, `manifest`, that is replaced as a whole: written aside, brought to disk,
//! renamed. A batch first writes its segments, then the manifest; a crash in between leaves segments that nothing
//! names, and the next batch removes them. Readers hold the state they began with; a removed file lives as long as it
//! is open.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

use crate::segment::{self, NewDocument, Segment};
use crate::trigram::Extractor;
use crate::{Batch, Change, Error, Result, Stats};

/// Text per segment of one batch.
const BATCH_TEXT: usize = 32 * 1024 * 1024;

/// So many segments of like size become one.
const FAN: usize = 4;

/// Segments above this are not merged any more.
const MERGE_LIMIT: u64 = 1024 * 1024 * 1024;

const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Manifest {
    format: u32,
    marker: Option<String>,
    next: u64,
    segments: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    id: u64,
    dead: Vec<u32>,
}

/// A segment and its dead.
#[derive(Clone)]
pub(crate) struct Part {
    id: u64,
    pub(crate) segment: Arc<Segment>,
    dead: Arc<Vec<u32>>,
}

impl Part {
    pub(crate) fn lives(&self, number: u32) -> bool {
        self.dead.binary_search(&number).is_err()
    }

    pub(crate) fn alive(&self) -> u64 {
        u64::from(self.segment.len()).saturating_sub(self.dead.len() as u64)
    }

    /// Text that lives, as far as can be told without reading.
    fn weight(&self) -> u64 {
        let len = u64::from(self.segment.len()).max(1);
        u64::try_from(u128::from(self.segment.raw()) * u128::from(self.alive()) / u128::from(len)).unwrap_or(u64::MAX)
    }

    fn tier(&self) -> u32 {
        (self.weight() / (64 * 1024)).max(1).ilog2() / 2
    }
}

/// What is visible at one moment.
#[derive(Clone, Default)]
pub(crate) struct State {
    pub(crate) marker: Option<String>,
    next: u64,
    pub(crate) parts: Vec<Part>,
}

pub(crate) struct Project {
    folder: PathBuf,
    writing: Mutex<()>,
    current: RwLock<Arc<State>>,
}

fn segment_name(id: u64) -> String {
    format!("{id:016x}.segment")
}

impl Project {
    /// Opens a folder, which need not exist. A damaged one is taken as empty: it is built anew.
    pub(crate) fn open(folder: PathBuf) -> Result<Self> {
        let state = match load(&folder) {
            Ok(state) => state,
            Err(Error::Io(e)) if e.kind() != ErrorKind::NotFound => return Err(Error::Io(e)),
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "a project's index is damaged and will be built anew");
                State::default()
            }
        };
        Ok(Self { folder, writing: Mutex::new(()), current: RwLock::new(Arc::new(state)) })
    }

    pub(crate) fn state(&self) -> Arc<State> {
        self.current.read().clone()
    }

    pub(crate) fn stats(&self) -> Stats {
        let state = self.state();
        Stats {
            files: state.parts.iter().map(Part::alive).sum(),
            segments: state.parts.len() as u64,
            bytes: state.parts.iter().map(|p| p.segment.bytes()).sum(),
        }
    }

    /// Drops everything.
    pub(crate) fn forget(&self) -> Result<()> {
        let _writing = self.writing.lock();
        // the manifest first: what is left after a crash is not named by anything
        for step in [std::fs::remove_file(self.folder.join("manifest")), std::fs::remove_dir_all(&self.folder)] {
            match step {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(e.into()),
                _ => {}
            }
        }
        *self.current.write() = Arc::default();
        Ok(())
    }

    /// Makes a batch durable and visible.
    pub(crate) fn apply(&self, batch: Batch) -> Result<()> {
        let _writing = self.writing.lock();
        let old = self.state();
        let mut state = State::clone(&old);
        let mut changes: BTreeMap<String, Change> = BTreeMap::new();
        for change in batch.changes {
            changes.insert(change.path().to_owned(), change);
        }
        let (documents, dead) = plan(&state, changes)?;
        let changed = !documents.is_empty() || dead.iter().any(|d| !d.is_empty());
        if !changed && (batch.marker.is_none() || batch.marker == state.marker) {
            return Ok(());
        }
        if batch.marker.is_some() {
            state.marker = batch.marker;
        }
        std::fs::create_dir_all(&self.folder)?;
        for (part, dead) in state.parts.iter_mut().zip(dead).filter(|(_, dead)| !dead.is_empty()) {
            let mut all = [part.dead.as_slice(), &dead].concat();
            all.sort_unstable();
            all.dedup();
            part.dead = Arc::new(all);
        }
        self.write_documents(&mut state, documents)?;
        self.compact(&mut state)?;
        self.publish(state)
    }

    fn write_documents(&self, state: &mut State, documents: Vec<NewDocument>) -> Result<()> {
        let mut extractor = None;
        let mut documents = documents.into_iter().peekable();
        while documents.peek().is_some() {
            let (mut chunk, mut text) = (Vec::new(), 0);
            while let Some(next) = documents.next_if(|_| text < BATCH_TEXT) {
                text += next.content.as_ref().map_or(0, Vec::len) + next.path.len();
                chunk.push(next);
            }
            let part = self.segment(state, |file| segment::write(file, chunk, extractor.get_or_insert_with(Extractor::new)))?;
            state.parts.push(part);
        }
        Ok(())
    }

    fn segment(&self, state: &mut State, write: impl FnOnce(File) -> Result<File>) -> Result<Part> {
        let id = state.next;
        state.next += 1;
        let path = self.folder.join(segment_name(id));
        let aside = path.with_extension("new");
        write(File::create(&aside)?)?;
        std::fs::rename(&aside, &path)?;
        Ok(Part { id, segment: Arc::new(Segment::open(&path)?), dead: Arc::default() })
    }

    /// Merges segments of like size, and writes anew those of which much is dead.
    fn compact(&self, state: &mut State) -> Result<()> {
        state.parts.retain(|p| p.alive() > 0);
        loop {
            let mut tiers: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
            for (at, part) in state.parts.iter().enumerate().filter(|(_, p)| p.weight() < MERGE_LIMIT) {
                tiers.entry(part.tier()).or_default().push(at);
            }
            let many = tiers.into_values().find(|t| t.len() >= FAN);
            let rotten = || state.parts.iter().position(|p| p.dead.len() as u64 > p.alive() / 2 + 16).map(|at| vec![at]);
            let Some(chosen) = many.or_else(rotten) else { return Ok(()) };
            let parts: Vec<Part> = chosen.iter().map(|at| state.parts[*at].clone()).collect();
            let borrowed: Vec<(&Segment, &[u32])> = parts.iter().map(|p| (&*p.segment, p.dead.as_slice())).collect();
            let merged = self.segment(state, |file| segment::merge(file, &borrowed))?;
            let gone: HashSet<u64> = parts.iter().map(|p| p.id).collect();
            state.parts.retain(|p| !gone.contains(&p.id));
            state.parts.push(merged);
        }
    }

    /// The manifest to disk, then the state to readers, then what is no longer named away.
    fn publish(&self, state: State) -> Result<()> {
        let manifest = Manifest {
            format: FORMAT,
            marker: state.marker.clone(),
            next: state.next,
            segments: state.parts.iter().map(|p| Entry { id: p.id, dead: p.dead.to_vec() }).collect(),
        };
        let text = serde_json::to_vec(&manifest).map_err(|e| Error::Damaged(e.to_string()))?;
        let path = self.folder.join("manifest");
        let aside = self.folder.join("manifest.new");
        let mut file = File::create(&aside)?;
        file.write_all(&text)?;
        file.sync_all()?;
        // the segments' names must be on disk before what names them
        let folder = File::open(&self.folder)?;
        folder.sync_all()?;
        std::fs::rename(&aside, &path)?;
        folder.sync_all()?;
        let named: HashSet<String> = state.parts.iter().map(|p| segment_name(p.id)).chain(["manifest".to_owned()]).collect();
        *self.current.write() = Arc::new(state);
        for entry in std::fs::read_dir(&self.folder)?.flatten() {
            if !entry.file_name().to_str().is_some_and(|n| named.contains(n)) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
        Ok(())
    }
}

fn load(folder: &Path) -> Result<State> {
    let text = match std::fs::read(folder.join("manifest")) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(State::default()),
        Err(e) => return Err(e.into()),
    };
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|e| Error::Damaged(e.to_string()))?;
    if manifest.format != FORMAT {
        return Err(Error::Damaged(format!("format {} is not known", manifest.format)));
    }
    let mut parts = Vec::with_capacity(manifest.segments.len());
    for entry in manifest.segments {
        let segment = match Segment::open(&folder.join(segment_name(entry.id))) {
            Err(Error::Io(e)) if e.kind() == ErrorKind::NotFound => return Err(Error::Damaged("a segment is missing".into())),
            other => other?,
        };
        parts.push(Part { id: entry.id, segment: Arc::new(segment), dead: Arc::new(entry.dead) });
    }
    Ok(State { marker: manifest.marker, next: manifest.next, parts })
}

/// What is to be written, and what dies in each part.
fn plan(state: &State, changes: BTreeMap<String, Change>) -> Result<(Vec<NewDocument>, Vec<Vec<u32>>)> {
    let paths: Vec<&str> = changes.keys().map(String::as_str).collect();
    let mut there: Vec<Option<(usize, u32, String)>> = vec![None; paths.len()];
    for (at, part) in state.parts.iter().enumerate() {
        for (slot, found) in there.iter_mut().zip(part.segment.locate(&paths)?) {
            if let Some((number, oid)) = found.filter(|(n, _)| part.lives(*n)) {
                *slot = Some((at, number, oid));
            }
        }
    }
    let mut dead = vec![Vec::new(); state.parts.len()];
    let mut documents = Vec::new();
    for (change, there) in changes.into_values().zip(there) {
        let same = match (&change, &there) {
            (Change::Put { oid, .. }, Some((_, _, known))) => oid == known,
            (Change::Remove { .. }, None) => true,
            _ => false,
        };
        if same {
            continue;
        }
        if let Some((part, number, _)) = there {
            dead[part].push(number);
        }
        if let Change::Put { path, oid, content } = change {
            let content = segment::is_text(&content).then_some(content);
            documents.push(NewDocument { path, oid, content });
        }
    }
    Ok((documents, dead))
}
