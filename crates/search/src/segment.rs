//! A segment: an immutable file with some files' text and the sequences they hold.
//!
//! ```text
//! magic | texts, compressed | lists | dictionary | documents | names | footer
//! ```
//! Documents are sorted by path, and a document's number is its place in that order. A list holds the numbers of the
//! documents with one sequence, as differences in variable-length numbers. The dictionary is sorted by sequence and
//! searched on disk, by reads at a position: an open segment costs a file handle and the footer.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};

use crate::trigram::{Extractor, IN_PATH, Need};
use crate::{CONTENT_LIMIT, Error, Result};

const MAGIC: &[u8; 8] = b"DMSEG\x01\r\n";
const ENTRY: usize = 16;
const DOCUMENT: usize = 24;
const FOOTER: usize = 64;

/// A document to be written.
#[derive(Clone, Debug)]
pub(crate) struct NewDocument {
    pub path: String,
    pub oid: String,
    /// None when only its name counts.
    pub content: Option<Vec<u8>>,
}

/// What a segment tells of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Document {
    pub path: String,
    pub oid: String,
    pub raw_len: u32,
    content_at: u64,
    content_len: u32,
    has_content: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Footer {
    lists_at: u64,
    dictionary_at: u64,
    documents_at: u64,
    names_at: u64,
    names_len: u64,
    raw: u64,
    keys: u32,
    documents: u32,
}

/// An open segment.
#[derive(Debug)]
pub(crate) struct Segment {
    file: File,
    footer: Footer,
    bytes: u64,
}

fn damaged(what: &str) -> Error {
    Error::Damaged(what.to_owned())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

fn small<T: TryInto<u32>>(n: T) -> Result<u32> {
    n.try_into().map_err(|_| damaged("a number over its bounds"))
}

fn push_number(out: &mut Vec<u8>, mut n: u32) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Writes a segment front to back.
struct Writer {
    out: BufWriter<File>,
    at: u64,
    footer: Footer,
    dictionary: Vec<u8>,
    documents: Vec<u8>,
    names: Vec<u8>,
}

impl Writer {
    fn new(file: File) -> Result<Self> {
        let mut writer = Self {
            out: BufWriter::with_capacity(256 * 1024, file),
            at: 0,
            footer: Footer::default(),
            dictionary: Vec::new(),
            documents: Vec::new(),
            names: Vec::new(),
        };
        writer.put(MAGIC)?;
        Ok(writer)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<u64> {
        let at = self.at;
        self.out.write_all(bytes)?;
        self.at += bytes.len() as u64;
        Ok(at)
    }

    fn document(&mut self, path: &str, oid: &str, packed: &[u8], raw_len: u32, has_content: bool) -> Result<()> {
        let content_at = self.put(packed)?;
        self.documents.extend(small(self.names.len())?.to_le_bytes());
        let path_len = u16::try_from(path.len()).map_err(|_| Error::Pattern("a path is too long".into()))?;
        self.documents.extend(path_len.to_le_bytes());
        self.documents.push(u8::try_from(oid.len()).map_err(|_| Error::Pattern("an object id is too long".into()))?);
        self.documents.push(u8::from(has_content));
        self.documents.extend(content_at.to_le_bytes());
        self.documents.extend(small(packed.len())?.to_le_bytes());
        self.documents.extend(raw_len.to_le_bytes());
        self.names.extend(path.as_bytes());
        self.names.extend(oid.as_bytes());
        self.footer.raw += u64::from(raw_len);
        self.footer.documents += 1;
        Ok(())
    }

    fn end_of_texts(&mut self) {
        self.footer.lists_at = self.at;
    }

    /// `numbers` in ascending order, not empty.
    fn list(&mut self, key: u32, numbers: impl ExactSizeIterator<Item = u32>, scratch: &mut Vec<u8>) -> Result<()> {
        scratch.clear();
        let count = small(numbers.len())?;
        let mut last = 0;
        for number in numbers {
            push_number(scratch, number - last);
            last = number;
        }
        let at = self.put(scratch)?;
        self.dictionary.extend(key.to_le_bytes());
        self.dictionary.extend(count.to_le_bytes());
        self.dictionary.extend(at.to_le_bytes());
        self.footer.keys += 1;
        Ok(())
    }

    fn finish(mut self) -> Result<File> {
        let (dictionary, documents, names) =
            (std::mem::take(&mut self.dictionary), std::mem::take(&mut self.documents), std::mem::take(&mut self.names));
        self.footer.dictionary_at = self.put(&dictionary)?;
        self.footer.documents_at = self.put(&documents)?;
        self.footer.names_at = self.put(&names)?;
        self.footer.names_len = names.len() as u64;
        let f = self.footer;
        let mut footer = Vec::with_capacity(FOOTER + 12);
        for n in [f.lists_at, f.dictionary_at, f.documents_at, f.names_at, f.names_len, f.raw] {
            footer.extend(n.to_le_bytes());
        }
        footer.extend(f.keys.to_le_bytes());
        footer.extend(f.documents.to_le_bytes());
        footer.extend_from_slice(MAGIC);
        let mut crc = Crc::new();
        crc.update(&footer);
        footer.extend(crc.sum().to_le_bytes());
        self.put(&footer)?;
        let file = self.out.into_inner().map_err(|e| Error::Io(e.into_error()))?;
        file.sync_all()?;
        Ok(file)
    }
}

/// Is this text that is worth reading?
pub(crate) fn is_text(content: &[u8]) -> bool {
    content.len() <= CONTENT_LIMIT && memchr::memchr(0, content).is_none()
}

/// Writes documents, which must have distinct paths, as a new segment.
pub(crate) fn write(file: File, mut documents: Vec<NewDocument>, extractor: &mut Extractor) -> Result<File> {
    documents.sort_by(|a, b| a.path.cmp(&b.path));
    let mut writer = Writer::new(file)?;
    // sequence and document in one number: sorting brings the lists together
    let mut pairs: Vec<u64> = Vec::new();
    for (number, document) in documents.iter().enumerate() {
        let number = number as u64;
        pairs.extend(extractor.extract(document.path.as_bytes()).iter().map(|k| u64::from(k | IN_PATH) << 32 | number));
        match &document.content {
            Some(content) => {
                let mut packer = DeflateEncoder::new(Vec::with_capacity(content.len() / 3), Compression::fast());
                packer.write_all(content)?;
                writer.document(&document.path, &document.oid, &packer.finish()?, small(content.len())?, true)?;
                pairs.extend(extractor.extract(content).iter().map(|k| u64::from(*k) << 32 | number));
            }
            None => writer.document(&document.path, &document.oid, &[], 0, false)?,
        }
    }
    drop(documents);
    writer.end_of_texts();
    pairs.sort_unstable();
    let mut scratch = Vec::new();
    for list in pairs.chunk_by(|a, b| a >> 32 == b >> 32) {
        writer.list((list[0] >> 32) as u32, list.iter().map(|p| *p as u32), &mut scratch)?;
    }
    writer.finish()
}

/// Writes what lives of several segments as one. Texts are copied as they are.
pub(crate) fn merge(file: File, parts: &[(&Segment, &[u32])]) -> Result<File> {
    let mut writer = Writer::new(file)?;
    let mut alive: Vec<(Document, usize, u32)> = Vec::new();
    for (part, (segment, dead)) in parts.iter().enumerate() {
        for (number, document) in segment.documents()?.into_iter().enumerate() {
            let number = small(number)?;
            if dead.binary_search(&number).is_err() {
                alive.push((document, part, number));
            }
        }
    }
    alive.sort_by(|a, b| a.0.path.cmp(&b.0.path));
    let mut renumbered: Vec<Vec<u32>> = parts.iter().map(|(s, _)| vec![u32::MAX; s.footer.documents as usize]).collect();
    let mut packed = Vec::new();
    for (new, (document, part, old)) in alive.iter().enumerate() {
        renumbered[*part][*old as usize] = small(new)?;
        packed.resize(document.content_len as usize, 0);
        parts[*part].0.file.read_exact_at(&mut packed, document.content_at)?;
        writer.document(&document.path, &document.oid, &packed, document.raw_len, document.has_content)?;
    }
    drop(alive);
    writer.end_of_texts();
    let dictionaries: Vec<Vec<u8>> = parts.iter().map(|(s, _)| s.dictionary()).collect::<Result<_>>()?;
    let mut at = vec![0usize; parts.len()];
    let mut scratch = Vec::new();
    let mut numbers: Vec<u32> = Vec::new();
    loop {
        let next = dictionaries.iter().zip(&at).filter(|(d, at)| **at < d.len()).map(|(d, at)| u32_at(d, *at)).min();
        let Some(key) = next else { break };
        numbers.clear();
        for (part, dictionary) in dictionaries.iter().enumerate() {
            if at[part] < dictionary.len() && u32_at(dictionary, at[part]) == key {
                let list = parts[part].0.list_at(dictionary, at[part])?;
                numbers.extend(list.iter().filter_map(|n| renumbered[part].get(*n as usize)).filter(|n| **n != u32::MAX));
                at[part] += ENTRY;
            }
        }
        if !numbers.is_empty() {
            numbers.sort_unstable();
            writer.list(key, numbers.iter().copied(), &mut scratch)?;
        }
    }
    writer.finish()
}

impl Segment {
    /// Opens a segment; damage of the frame is seen here.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Self::of(File::open(path)?)
    }

    fn of(mut file: File) -> Result<Self> {
        let bytes = file.seek(std::io::SeekFrom::End(0))?;
        let mut footer = [0u8; FOOTER + 4];
        let start = bytes.checked_sub(footer.len() as u64).ok_or_else(|| damaged("a segment is too short"))?;
        file.read_exact_at(&mut footer, start)?;
        let mut crc = Crc::new();
        crc.update(&footer[..FOOTER]);
        if footer[56..64] != *MAGIC || crc.sum() != u32_at(&footer, 64) {
            return Err(damaged("a segment's footer"));
        }
        let footer = Footer {
            lists_at: u64_at(&footer, 0),
            dictionary_at: u64_at(&footer, 8),
            documents_at: u64_at(&footer, 16),
            names_at: u64_at(&footer, 24),
            names_len: u64_at(&footer, 32),
            raw: u64_at(&footer, 40),
            keys: u32_at(&footer, 48),
            documents: u32_at(&footer, 52),
        };
        let whole = footer.dictionary_at + u64::from(footer.keys) * ENTRY as u64 == footer.documents_at
            && footer.documents_at + u64::from(footer.documents) * DOCUMENT as u64 == footer.names_at
            && footer.names_at + footer.names_len == start;
        if !whole {
            return Err(damaged("a segment's footer does not fit its length"));
        }
        Ok(Self { file, footer, bytes })
    }

    pub(crate) fn len(&self) -> u32 {
        self.footer.documents
    }

    /// Bytes of text, before compression.
    pub(crate) fn raw(&self) -> u64 {
        self.footer.raw
    }

    /// Bytes on disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read(&self, at: u64, len: u64) -> Result<Vec<u8>> {
        if at.checked_add(len).is_none_or(|end| end > self.bytes) {
            return Err(damaged("a position outside of the segment"));
        }
        let mut buffer = vec![0; usize::try_from(len).map_err(|_| damaged("a length"))?];
        self.file.read_exact_at(&mut buffer, at)?;
        Ok(buffer)
    }

    fn dictionary(&self) -> Result<Vec<u8>> {
        self.read(self.footer.dictionary_at, u64::from(self.footer.keys) * ENTRY as u64)
    }

    fn record(&self, record: &[u8], name: impl FnOnce(u64, u64) -> Result<Vec<u8>>) -> Result<Document> {
        let (path_len, oid_len) = (usize::from(u16::from_le_bytes([record[4], record[5]])), usize::from(record[6]));
        let name = name(u64::from(u32_at(record, 0)), (path_len + oid_len) as u64)?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| damaged("a name"));
        if name.len() < path_len {
            return Err(damaged("a name"));
        }
        Ok(Document {
            path: text(&name[..path_len])?,
            oid: text(&name[path_len..])?,
            has_content: record[7] != 0,
            content_at: u64_at(record, 8),
            content_len: u32_at(record, 16),
            raw_len: u32_at(record, 20),
        })
    }

    /// One document.
    pub(crate) fn document(&self, number: u32) -> Result<Document> {
        if number >= self.footer.documents {
            return Err(damaged("a document's number"));
        }
        let record = self.read(self.footer.documents_at + u64::from(number) * DOCUMENT as u64, DOCUMENT as u64)?;
        self.record(&record, |at, len| self.read(self.footer.names_at + at, len))
    }

    /// All documents, in order.
    pub(crate) fn documents(&self) -> Result<Vec<Document>> {
        let records = self.read(self.footer.documents_at, u64::from(self.footer.documents) * DOCUMENT as u64)?;
        let names = self.read(self.footer.names_at, self.footer.names_len)?;
        let name = |at: u64, len: u64| -> Result<Vec<u8>> {
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            let end = at.saturating_add(usize::try_from(len).unwrap_or(usize::MAX));
            names.get(at..end).map(<[u8]>::to_vec).ok_or_else(|| damaged("a name's position"))
        };
        records.chunks_exact(DOCUMENT).map(|record| self.record(record, name)).collect()
    }

    /// Where each of the paths is, if it is. The paths are sorted.
    pub(crate) fn locate(&self, paths: &[&str]) -> Result<Vec<Option<(u32, String)>>> {
        // many at once: one walk over all; few: a search on disk for each
        if paths.len() as u64 * 16 > u64::from(self.footer.documents) {
            let documents = self.documents()?;
            let mut at = 0;
            return Ok(paths
                .iter()
                .map(|path| {
                    while documents.get(at).is_some_and(|d| d.path.as_str() < *path) {
                        at += 1;
                    }
                    documents.get(at).filter(|d| d.path == **path).map(|d| (at as u32, d.oid.clone()))
                })
                .collect());
        }
        paths
            .iter()
            .map(|path| {
                let (mut low, mut high) = (0, self.footer.documents);
                while low < high {
                    let middle = low + (high - low) / 2;
                    let document = self.document(middle)?;
                    match document.path.as_str().cmp(path) {
                        std::cmp::Ordering::Less => low = middle + 1,
                        std::cmp::Ordering::Greater => high = middle,
                        std::cmp::Ordering::Equal => return Ok(Some((middle, document.oid))),
                    }
                }
                Ok(None)
            })
            .collect()
    }

    /// The text of a document; none when only its name is held.
    pub(crate) fn content(&self, document: &Document) -> Result<Option<Vec<u8>>> {
        if !document.has_content {
            return Ok(None);
        }
        let packed = self.read(document.content_at, u64::from(document.content_len))?;
        let mut text = Vec::with_capacity((document.raw_len as usize).min(CONTENT_LIMIT));
        DeflateDecoder::new(packed.as_slice()).take(CONTENT_LIMIT as u64 + 1).read_to_end(&mut text).map_err(|_| damaged("a text"))?;
        if text.len() != document.raw_len as usize {
            return Err(damaged("a text's length"));
        }
        Ok(Some(text))
    }

    /// The list of the dictionary's entry at `at`; its end is the next one's start.
    fn list_at(&self, dictionary: &[u8], at: usize) -> Result<Vec<u32>> {
        let start = u64_at(dictionary, at + 8);
        let end = if at + ENTRY < dictionary.len() { u64_at(dictionary, at + ENTRY + 8) } else { self.footer.dictionary_at };
        self.numbers(start, end, u32_at(dictionary, at + 4))
    }

    fn numbers(&self, start: u64, end: u64, count: u32) -> Result<Vec<u32>> {
        if start < self.footer.lists_at || end > self.footer.dictionary_at || count > self.footer.documents {
            return Err(damaged("a list's position"));
        }
        let bytes = self.read(start, end.checked_sub(start).ok_or_else(|| damaged("a list's length"))?)?;
        let mut numbers = Vec::with_capacity(count as usize);
        let (mut number, mut value, mut shift) = (0u32, 0u32, 0u32);
        for byte in bytes {
            value |= u32::from(byte & 0x7f).checked_shl(shift).ok_or_else(|| damaged("a list"))?;
            if byte & 0x80 != 0 {
                shift += 7;
                continue;
            }
            number = number.checked_add(value).filter(|n| *n < self.footer.documents).ok_or_else(|| damaged("a list"))?;
            numbers.push(number);
            (value, shift) = (0, 0);
        }
        if numbers.len() == count as usize { Ok(numbers) } else { Err(damaged("a list's length")) }
    }

    /// Position, end and count of a sequence's list, found on disk.
    fn find(&self, key: u32) -> Result<Option<(u64, u64, u32)>> {
        // a page at a time: the last steps of the search happen in memory
        const PAGE: u32 = 256;
        let (mut low, mut high) = (0, self.footer.keys);
        while high - low > PAGE {
            let middle = low + (high - low) / 2;
            let entry = self.read(self.footer.dictionary_at + u64::from(middle) * ENTRY as u64, 4)?;
            if u32_at(&entry, 0) <= key { low = middle } else { high = middle }
        }
        let until = (high + 1).min(self.footer.keys);
        let page = self.read(self.footer.dictionary_at + u64::from(low) * ENTRY as u64, u64::from(until - low) * ENTRY as u64)?;
        let entries: Vec<&[u8]> = page.chunks_exact(ENTRY).collect();
        let Ok(found) = entries.binary_search_by_key(&key, |e| u32_at(e, 0)) else { return Ok(None) };
        let end = entries.get(found + 1).map_or(self.footer.dictionary_at, |e| u64_at(e, 8));
        Ok(Some((u64_at(entries[found], 8), end, u32_at(entries[found], 4))))
    }

    /// The documents that meet a need; none means all of them. `space` is 0 for content, [`IN_PATH`] for paths.
    pub(crate) fn candidates(&self, need: &Need, space: u32) -> Result<Option<Vec<u32>>> {
        match need {
            Need::Anything => Ok(None),
            Need::Sequence(key) => match self.find(key | space)? {
                Some((start, end, count)) => self.numbers(start, end, count).map(Some),
                None => Ok(Some(Vec::new())),
            },
            Need::One(options) => {
                let mut union: Vec<u32> = Vec::new();
                for option in options {
                    match self.candidates(option, space)? {
                        None => return Ok(None),
                        Some(list) => union.extend(list),
                    }
                }
                union.sort_unstable();
                union.dedup();
                Ok(Some(union))
            }
            Need::All(parts) => {
                let mut lists = Vec::new();
                for part in parts {
                    if let Need::Sequence(key) = part {
                        let Some(found) = self.find(key | space)? else { return Ok(Some(Vec::new())) };
                        lists.push(found);
                    }
                }
                lists.sort_by_key(|(_, _, count)| *count);
                let mut common: Option<Vec<u32>> = None;
                for (start, end, count) in lists {
                    // reading texts is cheaper than reading long lists for a handful of documents
                    if common.as_ref().is_some_and(|c| c.is_empty() || (c.len() as u64) * 64 < u64::from(count)) {
                        break;
                    }
                    let list = self.numbers(start, end, count)?;
                    common = Some(intersect(common, list));
                }
                for part in parts.iter().filter(|p| !matches!(p, Need::Sequence(_))) {
                    if common.as_ref().is_some_and(Vec::is_empty) {
                        break;
                    }
                    if let Some(list) = self.candidates(part, space)? {
                        common = Some(intersect(common, list));
                    }
                }
                Ok(common)
            }
        }
    }
}

fn intersect(common: Option<Vec<u32>>, list: Vec<u32>) -> Vec<u32> {
    let Some(mut common) = common else { return list };
    let mut at = 0;
    common.retain(|n| {
        while list.get(at).is_some_and(|m| m < n) {
            at += 1;
        }
        list.get(at) == Some(n)
    });
    common
}
