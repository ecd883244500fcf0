//! Where a project's repository lies below the root, and how files are made durable there.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use kernel::ProjectId;
use uuid::Uuid;

use crate::error::{GitError, Result};

/// Paths below the root. Names are made from ids alone, so nothing a user typed is ever part of one.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Prepares the root.
    ///
    /// # Errors
    /// `Io` when the directories cannot be made.
    pub fn new(root: &Path) -> Result<Self> {
        let root = std::path::absolute(root).map_err(GitError::io("resolve the repository root"))?;
        for dir in ["repositories", "incoming", "trash", "home", "clones"] {
            fs::create_dir_all(root.join(dir)).map_err(GitError::io("create the repository root"))?;
        }
        Ok(Self { root })
    }

    /// The bare repository of a project. Spread by the last byte of the id, the random end of a UUIDv7.
    pub fn repository(&self, project: ProjectId) -> PathBuf {
        let hex = project.uuid().simple().to_string();
        let shard = &hex[hex.len() - 2..];
        self.root.join("repositories").join(shard).join(format!("{hex}.git"))
    }

    /// Half-made repositories; renamed away when whole.
    pub fn incoming(&self) -> PathBuf {
        self.root.join("incoming")
    }

    /// Repositories on their way out.
    pub fn trash(&self) -> PathBuf {
        self.root.join("trash")
    }

    /// The empty HOME of git processes.
    pub fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    /// Answers to clone requests, kept for the next one.
    pub fn clones(&self) -> PathBuf {
        self.root.join("clones")
    }

    /// All projects with a repository.
    ///
    /// # Errors
    /// `Io`.
    pub fn projects(&self) -> Result<Vec<ProjectId>> {
        let mut out = Vec::new();
        for shard in fs::read_dir(self.root.join("repositories")).map_err(GitError::io("list repositories"))? {
            let shard = shard.map_err(GitError::io("list repositories"))?;
            let Ok(entries) = fs::read_dir(shard.path()) else { continue };
            for entry in entries {
                let entry = entry.map_err(GitError::io("list repositories"))?;
                let name = entry.file_name();
                if let Some(id) = name.to_str().and_then(|n| n.strip_suffix(".git")).and_then(|n| Uuid::try_parse(n).ok()) {
                    out.push(id.into());
                }
            }
        }
        out.sort_unstable();
        Ok(out)
    }
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(GitError::io(format!("sync {}", dir.display())))
}

/// Writes a new file and makes its bytes durable; its name is durable after [`sync_dir`].
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(GitError::io(format!("write {}", path.display())))
}
