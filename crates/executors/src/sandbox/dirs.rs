//! The directories of one job, and reading files that a job may have prepared against us.

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown, lchown};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

/// Where a job lives. Paths are the same inside the sandbox and outside, so that they can be said in contexts.
#[derive(Clone, Debug)]
pub struct JobDirs {
    /// All of it; removed at the end.
    pub root: PathBuf,
    /// Scripts and file commands. The job may write to single files in it but, as another user, not exchange them.
    pub engine: PathBuf,
    /// `HOME`.
    pub home: PathBuf,
    /// `RUNNER_TEMP`.
    pub temp: PathBuf,
    /// Shown as `/tmp`.
    pub tmp: PathBuf,
    /// `RUNNER_TOOL_CACHE`.
    pub tools: PathBuf,
    /// `GITHUB_WORKSPACE`.
    pub workspace: PathBuf,
    /// The user the job runs as, if another than ours.
    pub uid: Option<u32>,
}

impl JobDirs {
    /// Makes the directories of a job below `base`, empty.
    pub(crate) fn create(base: &Path, job: &str, repository: &str, uid: Option<u32>) -> io::Result<Self> {
        let dirs = Self::layout(base, job, repository, uid);
        remove_tree(&dirs.root)?;
        dirs.make()?;
        Ok(dirs)
    }

    /// The directories of a job as it has left them; files of the user `was` become those of `uid`.
    pub(crate) fn reopen(base: &Path, job: &str, repository: &str, uid: Option<u32>, was: Option<u32>) -> io::Result<Self> {
        let dirs = Self::layout(base, job, repository, uid);
        if let (Some(uid), Some(was)) = (uid, was.filter(|was| Some(*was) != uid)) {
            for entry in walkdir::WalkDir::new(&dirs.root).follow_links(false) {
                let entry = entry.map_err(io::Error::other)?;
                if entry.metadata().map_err(io::Error::other)?.uid() == was {
                    lchown(entry.path(), Some(uid), Some(uid))?;
                }
            }
        }
        dirs.make()?;
        Ok(dirs)
    }

    fn layout(base: &Path, job: &str, repository: &str, uid: Option<u32>) -> Self {
        let root = base.join("jobs").join(job);
        Self {
            engine: root.join("engine"),
            home: root.join("home"),
            temp: root.join("temp"),
            tmp: root.join("tmp"),
            tools: root.join("tools"),
            workspace: root.join("work").join(repository),
            root,
            uid,
        }
    }

    /// Makes what is not there.
    fn make(&self) -> io::Result<()> {
        let dirs = self;
        let reports = dirs.reports();
        for dir in [&dirs.root, &dirs.engine, &dirs.home, &dirs.temp, &dirs.tmp, &dirs.tools, &dirs.workspace, &reports] {
            fs::create_dir_all(dir)?;
            fs::set_permissions(dir, Permissions::from_mode(0o755))?;
        }
        let work = dirs.root.join("work");
        for dir in [&dirs.home, &dirs.temp, &dirs.tmp, &dirs.tools, &work, &dirs.workspace, &reports] {
            dirs.give(dir)?;
        }
        fs::set_permissions(&dirs.tmp, Permissions::from_mode(0o1777))
    }

    /// `DEVMENTOR_REPORTS`: what lies here at the end is read as reports.
    pub fn reports(&self) -> PathBuf {
        self.temp.join("reports")
    }

    /// Makes the job's user the owner.
    fn give(&self, path: &Path) -> io::Result<()> {
        match self.uid {
            Some(uid) => chown(path, Some(uid), Some(uid)),
            None => Ok(()),
        }
    }

    /// Writes a file of ours into the engine's directory; readable by the job.
    pub fn engine_file(&self, name: &str, content: &[u8], mode: u32) -> io::Result<PathBuf> {
        let path = self.engine.join(name);
        write_new(&path, content, mode)?;
        Ok(path)
    }

    /// Writes a file into the engine's directory that only the job (and we) may read and write.
    pub fn job_file(&self, name: &str, content: &[u8]) -> io::Result<PathBuf> {
        let path = self.engine.join(name);
        write_new(&path, content, 0o600)?;
        self.give(&path)?;
        Ok(path)
    }

    /// Writes a file for the job into its own temporary directory.
    pub fn temp_file(&self, name: &str, content: &[u8]) -> io::Result<PathBuf> {
        let path = self.temp.join(name);
        write_new(&path, content, 0o644)?;
        self.give(&path)?;
        Ok(path)
    }

    /// Reads a file of the engine's directory that the job may have written.
    pub fn read_back(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let name = path.strip_prefix(&self.engine).map_err(io::Error::other)?;
        read_beneath(&self.engine, name, limit, false)
    }

    /// Removes everything.
    pub(crate) fn remove(&self) -> io::Result<()> {
        remove_tree(&self.root)
    }
}

fn write_new(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    use std::io::Write as _;
    let _ = fs::remove_file(path);
    // a name the job made meanwhile, even a link, is refused and not followed
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content)?;
    // independent of our umask
    file.set_permissions(Permissions::from_mode(mode))
}

/// Reads `dir`/`rel` whole without ever leaving `dir`, whatever links lie in it; not regular files and files over
/// `limit` are errors. `links` says whether links that stay inside may be followed.
pub fn read_beneath(dir: &Path, rel: &Path, limit: u64, links: bool) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = open_beneath(dir, rel, links)?;
    if file.take(limit + 1).read_to_end(&mut bytes)? as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("{} is larger than {limit} bytes", rel.display())));
    }
    Ok(bytes)
}

/// Opens a regular file for reading as [`read_beneath`] does.
pub fn open_beneath(dir: &Path, rel: &Path, links: bool) -> io::Result<File> {
    let base = File::open(dir)?;
    let mut resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    if !links {
        resolve |= ResolveFlag::RESOLVE_NO_SYMLINKS;
    }
    // non-blocking, or a FIFO would hold us
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = File::from(openat2(&base, rel, OpenHow::new().flags(flags).resolve(resolve))?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} is not a regular file", rel.display())));
    }
    Ok(file)
}

/// Removes a tree that may hold directories without write permission (Go's module cache makes them).
pub(crate) fn remove_tree(root: &Path) -> io::Result<()> {
    match fs::remove_dir_all(root) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(_) => {
            for entry in walkdir::WalkDir::new(root).follow_links(false).into_iter().flatten() {
                if entry.file_type().is_dir() {
                    let _ = fs::set_permissions(entry.path(), Permissions::from_mode(0o755));
                }
            }
            fs::remove_dir_all(root)
        }
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_out_of_the_directory_and_fifos_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("in");
        fs::create_dir(&inside).unwrap();
        fs::write(dir.path().join("secret"), "s").unwrap();
        fs::write(inside.join("plain"), "p").unwrap();
        std::os::unix::fs::symlink("../secret", inside.join("up")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", inside.join("abs")).unwrap();
        std::os::unix::fs::symlink("plain", inside.join("ok")).unwrap();
        nix::unistd::mkfifo(&inside.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for name in ["up", "abs", "fifo", "../secret", "/etc/passwd"] {
            assert!(read_beneath(&inside, Path::new(name), 10, true).is_err(), "{name}");
        }
        assert_eq!(read_beneath(&inside, Path::new("ok"), 10, true).unwrap(), b"p");
        assert!(read_beneath(&inside, Path::new("ok"), 10, false).is_err());
        assert_eq!(read_beneath(&inside, Path::new("plain"), 10, false).unwrap(), b"p");
    }

    #[test]
    fn too_much_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("x"), vec![0; 11]).unwrap();
        assert!(read_beneath(dir.path(), Path::new("x"), 10, false).is_err());
    }
}
