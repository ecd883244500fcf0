//! Where objects are: the seam [`PackStore`], and its implementation in directories.
//!
//! The contract, which a store in an object storage must keep as well: packs are immutable; one that was put is durable
//! and readable when the call returns; git can run in what [`PackStore::local`] returns and finds there every object the
//! refs reach.

use std::fs;
use std::path::{Path, PathBuf};

use kernel::{ProjectId, RefName};
use uuid::Uuid;

use crate::error::{GitError, Result};
use crate::layout::{Layout, sync_dir, write_new};
use crate::pack::Pack;

/// What every repository is configured with on disk. The command line repeats what matters most.
const CONFIG: &str = "\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = true
\tfsync = all
\tfsyncMethod = fsync
\thooksPath = /dev/null
\tlogAllRefUpdates = false
\tbigFileThreshold = 32m
[transfer]
\tfsckObjects = true
\tbundleURI = false
\tadvertiseSID = false
\tunpackLimit = 1
\thideRefs = refs/
\thideRefs = !refs/heads/
\thideRefs = !refs/tags/
[receive]
\tfsckObjects = true
\tautogc = false
\tupdateServerInfo = false
\tadvertisePushOptions = false
\tdenyDeleteCurrent = refuse
\tunpackLimit = 1
[receive \"fsck\"]
\tbadTimezone = ignore
\tmissingSpaceBeforeDate = ignore
[uploadpack]
\tallowFilter = true
\tallowRefInWant = false
\tallowAnySHA1InWant = false
[pack]
\twindowMemory = 256m
[gc]
\tauto = 0
[maintenance]
\tauto = false
";

/// Where objects are kept.
pub trait PackStore: Send + Sync {
    /// Makes an empty repository whose HEAD names `branch`, whole or not at all.
    ///
    /// # Errors
    /// `Exists`, `Io`.
    fn create(&self, project: ProjectId, branch: &RefName) -> Result<()>;

    /// Is there one?
    fn exists(&self, project: ProjectId) -> bool;

    /// A directory in which git can run.
    ///
    /// # Errors
    /// `NotFound`, `Io`.
    fn local(&self, project: ProjectId) -> Result<PathBuf>;

    /// Stores a pack.
    ///
    /// # Errors
    /// `NotFound`, `Io`.
    fn put(&self, project: ProjectId, pack: &Pack) -> Result<()>;

    /// Removes the repository. Removing what is not there is no error.
    ///
    /// # Errors
    /// `Io`.
    fn delete(&self, project: ProjectId) -> Result<()>;

    /// Bytes used.
    ///
    /// # Errors
    /// `NotFound`, `Io`.
    fn size(&self, project: ProjectId) -> Result<u64>;
}

/// Objects in bare repositories on a local disk.
pub struct DirectoryPacks {
    layout: Layout,
}

impl DirectoryPacks {
    /// Objects of the repositories under a root.
    pub fn new(layout: Layout) -> Self {
        Self { layout }
    }
}

/// Writes the files of an empty bare repository into an existing directory.
pub(crate) fn prepare(dir: &Path, branch: &RefName) -> Result<()> {
    let make = GitError::io("create a repository");
    ["objects/pack", "objects/info", "refs/heads", "refs/tags", "info"]
        .iter()
        .try_for_each(|d| fs::create_dir_all(dir.join(d)))
        .map_err(make)?;
    write_new(&dir.join("config"), CONFIG.as_bytes())?;
    write_new(&dir.join("HEAD"), format!("ref: {branch}\n").as_bytes())?;
    for sub in ["objects/pack", "objects/info", "objects", "refs/heads", "refs/tags", "refs", "."] {
        sync_dir(&dir.join(sub))?;
    }
    Ok(())
}

impl PackStore for DirectoryPacks {
    fn create(&self, project: ProjectId, branch: &RefName) -> Result<()> {
        let target = self.layout.repository(project);
        let exists = || GitError::Exists("repository".into());
        if target.exists() {
            return Err(exists());
        }
        let shard = target.parent().unwrap_or(&target).to_owned();
        fs::create_dir_all(&shard).map_err(GitError::io("create a shard"))?;
        let scratch = self.layout.incoming().join(Uuid::now_v7().simple().to_string());
        fs::create_dir(&scratch).map_err(GitError::io("create a repository"))?;
        let made = prepare(&scratch, branch).and_then(|()| match fs::rename(&scratch, &target) {
            Ok(()) => Ok(()),
            // somebody else was faster: renaming onto a directory with files fails
            Err(_) if target.exists() => Err(exists()),
            Err(e) => Err(GitError::io("place a repository")(e)),
        });
        if made.is_err() {
            let _ = fs::remove_dir_all(&scratch);
        }
        made?;
        sync_dir(&shard)?;
        shard.parent().map_or(Ok(()), sync_dir)
    }

    fn exists(&self, project: ProjectId) -> bool {
        self.layout.repository(project).join("HEAD").exists()
    }

    fn local(&self, project: ProjectId) -> Result<PathBuf> {
        let dir = self.layout.repository(project);
        if dir.join("HEAD").exists() { Ok(dir) } else { Err(GitError::NotFound("repository".into())) }
    }

    fn put(&self, project: ProjectId, pack: &Pack) -> Result<()> {
        let dir = self.local(project)?.join("objects/pack");
        let name = pack.name();
        let (pack_path, idx_path) = (dir.join(format!("pack-{name}.pack")), dir.join(format!("pack-{name}.idx")));
        // the name is the hash of the bytes: what is there is the same
        if pack_path.exists() && idx_path.exists() {
            return Ok(());
        }
        let scratch = Uuid::now_v7().simple().to_string();
        // git's janitor knows files of this prefix as leftovers
        for (bytes, path, kind) in [(pack.bytes(), &pack_path, "pack"), (pack.index(), &idx_path, "idx")] {
            let temporary = dir.join(format!("tmp_{kind}_{scratch}"));
            write_new(&temporary, bytes)?;
            // the index last: git sees a pack by its index
            fs::rename(&temporary, path).map_err(GitError::io("place a pack"))?;
        }
        sync_dir(&dir)
    }

    fn delete(&self, project: ProjectId) -> Result<()> {
        let dir = self.layout.repository(project);
        let trash = self.layout.trash().join(Uuid::now_v7().simple().to_string());
        match fs::rename(&dir, &trash) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(GitError::io("remove a repository")(e)),
        }
        if let Some(shard) = dir.parent() {
            sync_dir(shard)?;
        }
        // out of sight already; what stays here is swept at the next start
        fs::remove_dir_all(&trash).map_err(GitError::io("empty the trash"))
    }

    fn size(&self, project: ProjectId) -> Result<u64> {
        fn of(dir: &Path) -> std::io::Result<u64> {
            let mut total = 0;
            for entry in fs::read_dir(dir)? {
                let entry = entry?;
                // packs and locks come and go while we look
                let Ok(meta) = entry.metadata() else { continue };
                total += if meta.is_dir() { of(&entry.path()).unwrap_or(0) } else { meta.len() };
            }
            Ok(total)
        }
        of(&self.local(project)?.join("objects")).map_err(GitError::io("measure a repository"))
    }
}
