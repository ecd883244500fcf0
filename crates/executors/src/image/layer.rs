//! One layer: a set of files as a reproducible tar.gz.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

use crate::sandbox::open_beneath;

/// One entry of an image's file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A file whose content lies below the root it is read beneath.
    File(PathBuf),
    /// A link and where it points.
    Link(PathBuf),
}

/// Entries by path without the leading slash.
pub type Tree = BTreeMap<PathBuf, Node>;

/// A layer, written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The tar.gz.
    pub file: PathBuf,
    /// `sha256:…` of the tar.gz.
    pub digest: String,
    /// `sha256:…` of the tar.
    pub diff_id: String,
    /// Bytes of the tar.gz.
    pub size: u64,
}

/// `sha256:…` of some bytes.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Counts and digests what passes.
struct Tee<W> {
    inner: W,
    hasher: Sha256,
    size: u64,
}

impl<W: Write> Tee<W> {
    fn new(inner: W) -> Self {
        Self { inner, hasher: Sha256::new(), size: 0 }
    }

    fn digest(&self) -> String {
        format!("sha256:{}", hex::encode(self.hasher.clone().finalize()))
    }
}

impl<W: Write> Write for Tee<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Writes `tree` to `file`. Contents are read beneath `root`.
pub(super) fn write(tree: &Tree, root: &Path, file: &Path) -> io::Result<Layer> {
    let compressed = Tee::new(io::BufWriter::with_capacity(256 * 1024, File::create(file)?));
    // no time and no name in the header: the same files give the same bytes
    let mut tar = tar::Builder::new(Tee::new(GzEncoder::new(compressed, Compression::new(6))));
    for (path, node) in tree {
        let mut header = tar::Header::new_gnu();
        header.set_mode(node.mode & 0o7777);
        header.set_uid(node.uid);
        header.set_gid(node.gid);
        header.set_mtime(0);
        header.set_size(0);
        match &node.kind {
            Kind::Dir => {
                header.set_entry_type(tar::EntryType::Directory);
                tar.append_data(&mut header, path.join(""), io::empty())?;
            }
            Kind::Link(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                tar.append_link(&mut header, path, target)?;
            }
            Kind::File(source) => {
                let inside = source.strip_prefix(root).map_err(io::Error::other)?;
                let content = open_beneath(root, inside, true)?;
                let size = content.metadata()?.len();
                header.set_size(size);
                let mut content = Fill { inner: content.take(size), left: size };
                tar.append_data(&mut header, path, &mut content)?;
                if content.left > 0 {
                    return Err(io::Error::other(format!("{} shrank while it was read", source.display())));
                }
            }
        }
    }
    let tar = tar.into_inner()?;
    let diff_id = tar.digest();
    let mut compressed = tar.inner.finish()?;
    compressed.flush()?;
    Ok(Layer { file: file.to_owned(), digest: compressed.digest(), diff_id, size: compressed.size })
}

struct Fill<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Fill<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left -= count as u64;
        Ok(count)
    }
}
