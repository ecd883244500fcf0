//! Unpacks image layers into a directory. Layers come from whoever may push an image, so every path is resolved within
//! the directory, whatever links earlier entries made, and nothing is created that reaches out of it or carries rights.
//!
//! The directory is fresh and nobody else writes to it meanwhile: checking a path and then using it is safe here.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::fs::File;
use std::fs::Permissions;
use std::io;
use std::io::BufReader;
use std::io::Read;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::chown;
use std::os::unix::fs::lchown;
use std::os::unix::fs::symlink;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use tar::EntryType;

/// Links followed in one path.
const MAX_LINKS: usize = 40;

/// How much may be unpacked.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of all files.
    pub bytes: u64,
    /// Files, directories and links.
    pub entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 16 << 30, entries: 2_000_000 }
    }
}

/// A directory that layers are unpacked into, lowest first.
#[derive(Debug)]
pub struct Rootfs {
    root: PathBuf,
    owner: Option<u32>,
    left: Limits,
}

fn refused(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}

/// The path as names below the root; `..` is refused, `.` and a leading `/` are nothing.
fn names(path: &Path) -> io::Result<Vec<&OsStr>> {
    let mut out = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => out.push(name),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => return Err(refused(format!("the layer holds the path {}", path.display()))),
        }
    }
    Ok(out)
}

impl Rootfs {
    /// An empty directory at `root`; what was there is removed. With `owner`, all files are given to that user and group.
    ///
    /// # Errors
    /// The file system's.
    pub fn create(root: &Path, owner: Option<u32>, limits: Limits) -> io::Result<Self> {
        crate::sandbox::dirs::remove_tree(root)?;
        fs::create_dir_all(root)?;
        fs::set_permissions(root, Permissions::from_mode(0o755))?;
        let rootfs = Self { root: root.to_owned(), owner, left: limits };
        rootfs.give(root)?;
        Ok(rootfs)
    }

    fn give(&self, path: &Path) -> io::Result<()> {
        self.owner.map_or(Ok(()), |uid| lchown(path, Some(uid), Some(uid)))
    }

    /// Where a path within the image is outside, links resolved within the image. Parts that do not exist are kept.
    ///
    /// # Errors
    /// For loops of links.
    pub fn resolve(root: &Path, path: &Path) -> io::Result<PathBuf> {
        let mut todo: Vec<std::ffi::OsString> = Vec::new();
        let push = |todo: &mut Vec<std::ffi::OsString>, path: &Path| {
            for part in path.components().rev() {
                match part {
                    Component::Normal(name) => todo.push(name.to_owned()),
                    Component::ParentDir => todo.push("..".into()),
                    _ => {}
                }
            }
        };
        push(&mut todo, path);
        let mut at: Vec<std::ffi::OsString> = Vec::new();
        let mut links = 0;
        while let Some(name) = todo.pop() {
            if name == ".." {
                // above the root is the root, as for a process in it
                at.pop();
                continue;
            }
            let here = at.iter().fold(root.to_owned(), |p, n| p.join(n)).join(&name);
            match fs::symlink_metadata(&here) {
                Ok(meta) if meta.is_symlink() => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(refused(format!("too many links in {}", path.display())));
                    }
                    let target = fs::read_link(&here)?;
                    if target.is_absolute() {
                        at.clear();
                    }
                    push(&mut todo, &target);
                }
                _ => at.push(name),
            }
        }
        Ok(at.iter().fold(root.to_owned(), |p, n| p.join(n)))
    }

    /// The directory of an entry, made where it is missing, and the entry's own path in it.
    fn place(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        let names = names(path)?;
        let Some((last, parents)) = names.split_last() else { return Ok(None) };
        let parent: PathBuf = parents.iter().collect();
        let dir = Self::resolve(&self.root, &parent)?;
        self.make_dirs(&dir)?;
        Ok(Some(dir.join(last)))
    }

    fn make_dirs(&self, dir: &Path) -> io::Result<()> {
        match fs::symlink_metadata(dir) {
            Ok(meta) if meta.is_dir() => return Ok(()),
            // a lower layer's file gives way to a directory
            Ok(_) if dir != self.root => fs::remove_file(dir)?,
            _ => {}
        }
        if let Some(parent) = dir.parent().filter(|p| p.starts_with(&self.root)) {
            self.make_dirs(parent)?;
        }
        fs::create_dir(dir)?;
        fs::set_permissions(dir, Permissions::from_mode(0o755))?;
        self.give(dir)
    }

    fn count(&mut self, bytes: u64) -> io::Result<()> {
        let over = || io::Error::new(io::ErrorKind::FileTooLarge, "the image is larger than is allowed here");
        self.left.entries = self.left.entries.checked_sub(1).ok_or_else(over)?;
        self.left.bytes = self.left.bytes.checked_sub(bytes).ok_or_else(over)?;
        Ok(())
    }

    /// Unpacks one layer, plain or compressed with gzip.
    ///
    /// # Errors
    /// For a layer that is not one, holds paths that leave the image, or is too large; and the file system's.
    pub fn unpack(&mut self, layer: impl Read) -> io::Result<()> {
        let mut layer = BufReader::with_capacity(256 << 10, layer);
        let magic = io::BufRead::fill_buf(&mut layer)?;
        if magic.starts_with(&[0x1f, 0x8b]) {
            return self.unpack_tar(flate2::bufread::MultiGzDecoder::new(layer));
        }
        if magic.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            return Err(refused("layers compressed with zstd can only be run by a Docker engine; build with gzip"));
        }
        self.unpack_tar(layer)
    }

    fn unpack_tar(&mut self, layer: impl Read) -> io::Result<()> {
        let mut archive = tar::Archive::new(layer);
        // what this layer brought: an opaque mark hides only what is below
        let mut fresh: HashSet<PathBuf> = HashSet::new();
        // times of directories last, because entries change them
        for entry in archive.entries()? {
            let mut entry = entry?;
            self.count(entry.size())?;
            let path = entry.path()?.into_owned();
            let Some(to) = self.place(&path)? else { continue };
            let name = to.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if let Some(hidden) = name.strip_prefix(".wh.") {
                let dir = to.parent().unwrap_or(&self.root);
                if hidden == ".wh..opq" {
                    clear(dir, &fresh)?;
                } else if !hidden.is_empty() && hidden != "." && hidden != ".." && !hidden.starts_with(".wh.") {
                    remove(&dir.join(hidden))?;
                }
                continue;
            }
            self.make(&mut entry, &to)?;
            let mut at = to.as_path();
            while at != self.root && fresh.insert(at.to_owned()) {
                let Some(parent) = at.parent() else { break };
                at = parent;
            }
        }
        Ok(())
    }

    fn make(&self, entry: &mut tar::Entry<'_, impl Read>, to: &Path) -> io::Result<()> {
        // rights to become another user have no place here
        let mode = entry.header().mode().unwrap_or(0o644) & 0o777;
        match entry.header().entry_type() {
            EntryType::Directory => {
                if fs::symlink_metadata(to).is_ok_and(|m| !m.is_dir()) {
                    remove(to)?;
                }
                self.make_dirs(to)?;
                // the owner must be able to look inside, or nothing more could be unpacked there
                fs::set_permissions(to, Permissions::from_mode(mode | 0o700))?;
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                remove(to)?;
                let mut file = File::create_new(to)?;
                io::copy(entry, &mut file)?;
                if let Some(uid) = self.owner {
                    chown(to, Some(uid), Some(uid))?;
                }
                file.set_permissions(Permissions::from_mode(mode | 0o400))?;
                if let Ok(mtime) = entry.header().mtime() {
                    // only a nicety for programs that serve files
                    let _ = file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(mtime));
                }
            }
            EntryType::Symlink => {
                remove(to)?;
                let target = entry.link_name()?.ok_or_else(|| refused("a link without a target"))?;
                symlink(&*target, to)?;
                self.give(to)?;
            }
            EntryType::Link => {
                let target = entry.link_name()?.ok_or_else(|| refused("a link without a target"))?.into_owned();
                let from = self.place(&target)?.ok_or_else(|| refused("a link to the root"))?;
                // the link itself is linked, never what a symbolic link points to
                let meta =
                    fs::symlink_metadata(&from).map_err(|_| refused(format!("a link to {}, which is not there", target.display())))?;
                if meta.is_dir() {
                    return Err(refused("a link to a directory"));
                }
                if from != to {
                    remove(to)?;
                    fs::hard_link(from, to)?;
                }
            }
            // device nodes cannot be had without rights, and the application gets its own /dev
            EntryType::Char | EntryType::Block | EntryType::Fifo => {}
            // headers for the archive as a whole
            EntryType::XGlobalHeader | EntryType::XHeader => {}
            other => return Err(refused(format!("an entry of kind {other:?}"))),
        }
        Ok(())
    }
}

/// Removes whatever is there, links themselves and not what they point to.
fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => crate::sandbox::dirs::remove_tree(path),
        Ok(_) => fs::remove_file(path),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

/// Removes what a directory holds except what is fresh.
fn clear(dir: &Path, fresh: &HashSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if !fresh.contains(&path) {
            remove(&path)?;
        } else if fs::symlink_metadata(&path)?.is_dir() {
            clear(&path, fresh)?;
        }
    }
    Ok(())
}
