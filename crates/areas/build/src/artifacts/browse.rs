//! Looking into an artifact without downloading it: the directory at the end of the zip, and one file of it, by ranges.
//!
//! What a zip says is never trusted: sizes are bounded before anything is read, names are only compared, and nothing is
//! written anywhere.

use std::io::Read as _;
use std::sync::{Arc, LazyLock};

use blobs::{Blobs, Digest, Owner, Want};
use bytes::Bytes;
use futures::TryStreamExt as _;
use kernel::{ArtifactId, Code, Error, Result};
use moka::sync::Cache;
use store::artifact::ArtifactRow;
use tokio::sync::{Semaphore, SemaphorePermit};
use web_kit::App;

/// Longest end of a zip: the record, its comment, and what zip64 puts before.
const TAIL: u64 = 22 + 65_535 + 20;
/// Most bytes of a directory that is read.
const DIRECTORY: u64 = 16 << 20;
/// Most files that are listed.
const FILES: usize = 100_000;
/// Most bytes of one file, packed and unpacked.
const FILE: u64 = 32 << 20;

/// So many zips are looked into at once: each may take as much memory as a file.
static PLACES: Semaphore = Semaphore::const_new(6);

/// Directories that were read, so that the next page or file does not read them again. An id names the same bytes for ever.
static READ: LazyLock<Cache<ArtifactId, Arc<Vec<Entry>>>> = LazyLock::new(|| {
    let weight = |_: &ArtifactId, entries: &Arc<Vec<Entry>>| u32::try_from(entries.len()).unwrap_or(u32::MAX).saturating_add(1);
    Cache::builder().max_capacity(400_000).weigher(weight).build()
});

async fn place() -> Result<SemaphorePermit<'static>> {
    PLACES.acquire().await.map_err(Error::internal)
}

/// A file in a zip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its path.
    pub(super) path: String,
    /// Its bytes, unpacked; as the zip says.
    pub(super) size: u64,
    packed: u64,
    method: u16,
    encrypted: bool,
    at: u64,
}

fn broken() -> Error {
    Error::new(Code::Unprocessable, "the directory of the zip cannot be read")
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// Where the directory is: its first byte and its size. `tail` is the end of the zip, which begins at `begin`.
fn directory(tail: &[u8], begin: u64) -> Option<(u64, u64)> {
    let end = tail.windows(4).rposition(|w| w == b"PK\x05\x06")?;
    let (size, at) = (u32_at(tail, end + 12)?, u32_at(tail, end + 16)?);
    if size != u32::MAX && at != u32::MAX {
        return Some((u64::from(at), u64::from(size)));
    }
    let locator = end.checked_sub(20).filter(|l| tail.get(*l..*l + 4) == Some(b"PK\x06\x07"))?;
    let wide = usize::try_from(u64_at(tail, locator + 8)?.checked_sub(begin)?).ok()?;
    (tail.get(wide..wide.checked_add(4)?)? == b"PK\x06\x06").then_some(())?;
    Some((u64_at(tail, wide + 48)?, u64_at(tail, wide + 40)?))
}

/// The files a directory names; those that no file system should have are left out.
fn entries(mut bytes: &[u8]) -> Option<Vec<Entry>> {
    let mut found = Vec::new();
    while bytes.get(..4) == Some(b"PK\x01\x02") && found.len() < FILES {
        let (name, extra, comment) = (u16_at(bytes, 28)?, u16_at(bytes, 30)?, u16_at(bytes, 32)?);
        let (name, extra) = (46 + usize::from(name), usize::from(extra));
        let path = String::from_utf8_lossy(bytes.get(46..name)?).into_owned();
        let mut entry = Entry {
            encrypted: u16_at(bytes, 8)? & 1 != 0,
            method: u16_at(bytes, 10)?,
            packed: u64::from(u32_at(bytes, 20)?),
            size: u64::from(u32_at(bytes, 24)?),
            at: u64::from(u32_at(bytes, 42)?),
            path,
        };
        widen(&mut entry, bytes.get(name..name + extra)?);
        if fit(&entry.path) {
            found.push(entry);
        }
        bytes = bytes.get(name + extra + usize::from(comment)..)?;
    }
    Some(found)
}

/// Takes the values that did not fit from the zip64 field.
fn widen(entry: &mut Entry, mut extra: &[u8]) {
    while let (Some(kind), Some(length)) = (u16_at(extra, 0), u16_at(extra, 2)) {
        let end = 4 + usize::from(length);
        if kind == 1 {
            let field = extra.get(4..end).unwrap_or_default();
            let mut values = field.chunks_exact(8).filter_map(|c| u64_at(c, 0));
            for value in [&mut entry.size, &mut entry.packed, &mut entry.at] {
                if *value == u64::from(u32::MAX) {
                    *value = values.next().unwrap_or(u64::MAX);
                }
            }
        }
        extra = extra.get(end..).unwrap_or_default();
    }
}

/// A relative path of plain names of a file.
fn fit(path: &str) -> bool {
    !path.is_empty()
        && !path.ends_with('/')
        && !path.contains(['\\', '\0'])
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

async fn read(app: &App, artifact: &ArtifactRow, want: Want) -> Result<Bytes> {
    let digest: Digest = artifact.digest.parse().map_err(|e: blobs::Error| Error::internal(e))?;
    let reader = app.part::<Blobs>()?.get(&Owner::from(artifact.project), &digest, want).await?;
    let reader = reader.ok_or_else(|| Error::new(Code::Gone, "its content was removed"))?;
    let pieces: Vec<Bytes> = reader.body.try_collect().await.map_err(Error::internal)?;
    Ok(pieces.concat().into())
}

/// The files of an artifact, in the order of the zip.
///
/// # Errors
/// `unprocessable` when its directory cannot be read, or is larger than is read here; `gone`.
pub(super) async fn artifact_files(app: &App, artifact: &ArtifactRow) -> Result<Arc<Vec<Entry>>> {
    if let Some(known) = READ.get(&artifact.id) {
        return Ok(known);
    }
    let total = artifact.size.unsigned_abs();
    let _place = place().await?;
    let tail = read(app, artifact, Want::Last(TAIL.min(total))).await?;
    let (at, size) = directory(&tail, total.saturating_sub(tail.len() as u64)).ok_or_else(broken)?;
    if size > DIRECTORY {
        return Err(Error::new(Code::Unprocessable, "the zip has too many files to be looked at here; download it"));
    }
    let found = if size == 0 {
        Vec::new()
    } else {
        let end = at.checked_add(size).filter(|end| *end <= total).ok_or_else(broken)?;
        let bytes = read(app, artifact, Want::Between(at, end - 1)).await?;
        tokio::task::spawn_blocking(move || entries(&bytes)).await.map_err(Error::internal)?.ok_or_else(broken)?
    };
    let found = Arc::new(found);
    READ.insert(artifact.id, found.clone());
    Ok(found)
}

/// One file of an artifact.
///
/// # Errors
/// `not_found`, `too_large`, `unprocessable` when it is packed in a way that is not read here, or not as it says.
pub(super) async fn artifact_file(app: &App, artifact: &ArtifactRow, path: &str) -> Result<Bytes> {
    let files = artifact_files(app, artifact).await?;
    let entry = files.iter().find(|e| e.path == path).ok_or_else(|| Error::not_found("file"))?;
    let (size, packed_size) = (entry.size, entry.packed);
    if size > FILE || packed_size > FILE {
        return Err(Error::new(Code::TooLarge, format!("a file of at most {FILE} bytes is taken out here; download the artifact")));
    }
    if entry.encrypted || !matches!(entry.method, 0 | 8) {
        return Err(Error::new(Code::Unprocessable, "the file is encrypted, or packed in a way that is not read here"));
    }
    let total = artifact.size.unsigned_abs();
    let _place = place().await?;
    let header_end = entry.at.checked_add(30).filter(|end| *end <= total).ok_or_else(broken)?;
    let header = read(app, artifact, Want::Between(entry.at, header_end - 1)).await?;
    let lengths = u16_at(&header, 26).zip(u16_at(&header, 28)).filter(|_| header.get(..4) == Some(b"PK\x03\x04"));
    let (name, extra) = lengths.ok_or_else(broken)?;
    let begin = header_end + u64::from(name) + u64::from(extra);
    let packed = if packed_size == 0 {
        Bytes::new()
    } else {
        let end = begin.checked_add(packed_size).filter(|end| *end <= total).ok_or_else(broken)?;
        read(app, artifact, Want::Between(begin, end - 1)).await?
    };
    match entry.method {
        0 if packed.len() as u64 == size => Ok(packed),
        0 => Err(lies()),
        _ if size == 0 => Ok(Bytes::new()),
        _ => tokio::task::spawn_blocking(move || inflate(&packed, size)).await.map_err(Error::internal)?,
    }
}

fn lies() -> Error {
    Error::new(Code::Unprocessable, "the file is not as the zip says")
}

/// Unpacks exactly as many bytes as the directory says.
fn inflate(packed: &[u8], size: u64) -> Result<Bytes> {
    let mut out = Vec::new();
    let done = flate2::read::DeflateDecoder::new(packed).take(size + 1).read_to_end(&mut out);
    if done.is_err() || out.len() as u64 != size {
        return Err(lies());
    }
    Ok(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(path: &str) -> Vec<u8> {
        let mut bytes = b"PK\x01\x02".to_vec();
        bytes.extend([0; 42]);
        bytes[28] = u8::try_from(path.len()).unwrap();
        bytes[24] = 7;
        bytes.extend(path.as_bytes());
        bytes
    }

    #[test]
    fn only_plain_files_are_listed() {
        let all: Vec<u8> = ["a.txt", "d/", "d/b", "../x", "/etc/x", "a\\b", "d/./c"].iter().flat_map(|p| name(p)).collect();
        let paths: Vec<String> = entries(&all).unwrap().into_iter().map(|e| format!("{} {}", e.path, e.size)).collect();
        assert_eq!(paths, ["a.txt 7", "d/b 7"]);
        // cut off in the middle
        assert!(entries(&all[..60]).is_none());
        assert!(entries(b"").unwrap().is_empty());
    }

    #[test]
    fn the_end_says_where_the_directory_is() {
        let mut end = b"xxPK\x05\x06".to_vec();
        end.extend([0; 8]);
        end.extend(50u32.to_le_bytes());
        end.extend(900u32.to_le_bytes());
        end.extend([0; 2]);
        assert_eq!(directory(&end, 0), Some((900, 50)));
        assert_eq!(directory(b"no zip at all", 0), None);
        assert_eq!(directory(b"PK\x05\x06", 0), None);
    }

    #[test]
    fn a_real_zip_is_read() {
        use std::io::Write as _;
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (path, text) in [("a.txt", "one"), ("d/b.txt", "two")] {
            zip.start_file(path, zip::write::SimpleFileOptions::default().large_file(path == "a.txt")).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        let bytes = zip.finish().unwrap().into_inner();
        let (at, size) = directory(&bytes, 0).unwrap();
        let found = entries(&bytes[at as usize..(at + size) as usize]).unwrap();
        let told: Vec<(&str, u64)> = found.iter().map(|e| (e.path.as_str(), e.size)).collect();
        assert_eq!(told, [("a.txt", 3), ("d/b.txt", 3)]);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300), begin in 0u64..1000) {
            let _ = directory(&bytes, begin);
            let _ = directory(&[bytes.as_slice(), b"PK\x06\x07", &bytes, b"PK\x05\x06", &bytes].concat(), begin);
            let _ = entries(&[b"PK\x01\x02".as_slice(), &bytes].concat());
        }
    }

    #[test]
    fn sizes_that_lie_are_refused() {
        use std::io::Write as _;
        let mut packer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(&[0; 100_000]).unwrap();
        let packed = packer.finish().unwrap();
        assert_eq!(inflate(&packed, 100_000).unwrap().len(), 100_000);
        for size in [0, 10, 99_999, 100_001] {
            assert!(inflate(&packed, size).is_err(), "{size}");
        }
    }
}
