//! Building a pack and its index (version 2) in memory, for objects we make ourselves: web edits, templates.
//!
//! No deltas: what a person edits at once is small, and the next repack finds them. One pack means two flushes to
//! disk, however many files a template has.

use std::collections::HashSet;
use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use sha1::{Digest, Sha1};

use crate::error::{GitError, Result};
use crate::oid::Oid;

/// Kind of an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A commit.
    Commit,
    /// A directory.
    Tree,
    /// Content.
    Blob,
    /// An annotated tag.
    Tag,
}

impl Kind {
    /// The word in the object's header.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Commit => "commit",
            Kind::Tree => "tree",
            Kind::Blob => "blob",
            Kind::Tag => "tag",
        }
    }

    fn in_pack(self) -> u8 {
        match self {
            Kind::Commit => 1,
            Kind::Tree => 2,
            Kind::Blob => 3,
            Kind::Tag => 4,
        }
    }
}

/// The id an object will have.
pub fn object_id(kind: Kind, data: &[u8]) -> Oid {
    let mut hash = Sha1::new();
    hash.update(format!("{} {}\0", kind.as_str(), data.len()));
    hash.update(data);
    Oid::from_raw(hash.finalize().into())
}

/// Collects objects.
pub struct PackBuilder {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    seen: HashSet<Oid>,
}

struct Entry {
    oid: Oid,
    crc: u32,
    offset: u32,
}

/// A finished pack.
pub struct Pack {
    bytes: Vec<u8>,
    index: Vec<u8>,
    name: String,
}

impl Pack {
    /// The pack file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The index file.
    pub fn index(&self) -> &[u8] {
        &self.index
    }

    /// The hash in its file name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Default for PackBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl PackBuilder {
    /// An empty pack.
    pub fn new() -> Self {
        // the count is filled in at the end
        Self { bytes: b"PACK\0\0\0\x02\0\0\0\0".to_vec(), entries: Vec::new(), seen: HashSet::new() }
    }

    /// Are there no objects in it?
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds an object and returns its id.
    ///
    /// # Errors
    /// `TooLarge` when the pack passes 2 GiB, where indexes need wider offsets.
    pub fn add(&mut self, kind: Kind, data: &[u8]) -> Result<Oid> {
        let oid = object_id(kind, data);
        if !self.seen.insert(oid) {
            return Ok(oid);
        }
        let start = self.bytes.len();
        let mut size = data.len();
        let mut byte = kind.in_pack() << 4 | (size & 15) as u8;
        size >>= 4;
        while size > 0 {
            self.bytes.push(byte | 0x80);
            byte = (size & 0x7f) as u8;
            size >>= 7;
        }
        self.bytes.push(byte);
        let mut zlib = ZlibEncoder::new(&mut self.bytes, Compression::default());
        zlib.write_all(data).and_then(|()| zlib.finish().map(|_| ())).map_err(GitError::io("compress an object"))?;
        let offset = u32::try_from(start).ok().filter(|_| self.bytes.len() < 1 << 31);
        let offset = offset.ok_or_else(|| GitError::TooLarge("the change is over 2 GiB".into()))?;
        let mut crc = flate2::Crc::new();
        crc.update(&self.bytes[start..]);
        self.entries.push(Entry { oid, crc: crc.sum(), offset });
        Ok(oid)
    }

    /// Closes the pack and makes its index.
    pub fn finish(mut self) -> Pack {
        let count = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        self.bytes[8..12].copy_from_slice(&count.to_be_bytes());
        let trailer = Sha1::digest(&self.bytes);
        self.bytes.extend_from_slice(&trailer);

        self.entries.sort_by_key(|e| e.oid);
        let mut index = b"\xfftOc\0\0\0\x02".to_vec();
        let mut fanout = [0u32; 256];
        for entry in &self.entries {
            fanout[entry.oid.as_bytes()[0] as usize] += 1;
        }
        let mut sum = 0;
        for bucket in fanout {
            sum += bucket;
            index.extend_from_slice(&sum.to_be_bytes());
        }
        for entry in &self.entries {
            index.extend_from_slice(entry.oid.as_bytes());
        }
        for entry in &self.entries {
            index.extend_from_slice(&entry.crc.to_be_bytes());
        }
        for entry in &self.entries {
            index.extend_from_slice(&entry.offset.to_be_bytes());
        }
        index.extend_from_slice(&trailer);
        let own = Sha1::digest(&index);
        index.extend_from_slice(&own);
        Pack { name: hex::encode(trailer), bytes: self.bytes, index }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_gits() {
        assert_eq!(object_id(Kind::Tree, b"").to_string(), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
        assert_eq!(object_id(Kind::Blob, b"hello\n").to_string(), "ce013625030ba8dba906f756967f9e9ca394464a");
    }
}
