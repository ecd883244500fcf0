//! Reads workflow files and detection's evidence from a commit.

use dialects::detect::{Tree, detect};
use dialects::github::{self, DIRECTORY, compile};
use git::{EntryKind, GitError, Oid, Reader, Repository};
use kernel::{RepoPath, Result};

use super::{Workflow, Workflows};
use crate::runs::create::Head;

/// Most workflow files of a commit that are read.
const MAX_FILES: usize = 100;
/// Detection looks at so many paths.
const MAX_PATHS: usize = 20_000;
/// And so deep.
const MAX_DEPTH: usize = 5;
/// Largest file that detection reads.
const MAX_EVIDENCE: u64 = 1 << 20;

/// The workflows of a commit.
///
/// # Errors
/// The repository's.
pub async fn workflows(repository: &Repository, commit: Oid) -> Result<Workflows> {
    Ok(repository.read(move |reader| read(reader, commit)).await?)
}

fn read(reader: &Reader, commit: Oid) -> git::Result<Workflows> {
    let mut found = Workflows::default();
    let directory = RepoPath::parse(DIRECTORY).map_err(|e| GitError::Invalid(e.detail))?;
    let entries = match reader.tree_at(commit, Some(&directory)) {
        Ok(tree) => reader.tree(tree)?,
        Err(GitError::NotFound(_)) => Vec::new(),
        Err(e) => return Err(e),
    };
    for entry in entries {
        let path = format!("{DIRECTORY}/{}", entry.name_lossy());
        if entry.kind != EntryKind::Blob || !github::is_workflow(&path) || found.files.len() >= MAX_FILES {
            continue;
        }
        // one byte more than the reader takes, so that it says what is wrong
        let blob = reader.blob(entry.oid, dialects::yaml::MAX_BYTES as u64 + 1)?;
        let bytes = blob.data.unwrap_or_else(|| vec![b' '; dialects::yaml::MAX_BYTES + 1]);
        let compiled = compile(&path, &bytes);
        found.files.push(Workflow { path, compiled });
    }
    if found.files.is_empty() {
        let mut paths = Vec::new();
        list(reader, reader.commit(commit)?.tree, "", 0, &mut paths)?;
        let root = reader.commit(commit)?.tree;
        let text = |path: &str| {
            let path = RepoPath::parse(path).ok()?;
            let entry = reader.entry(root, &path).ok().filter(|e| e.kind == EntryKind::Blob)?;
            String::from_utf8(reader.blob(entry.oid, MAX_EVIDENCE).ok()?.data?).ok()
        };
        found.detected = detect(&Tree { files: &paths, read: &text });
    }
    Ok(found)
}

fn list(reader: &Reader, tree: Oid, prefix: &str, depth: usize, out: &mut Vec<String>) -> git::Result<()> {
    let mut below = Vec::new();
    for entry in reader.tree(tree)? {
        if out.len() >= MAX_PATHS {
            return Ok(());
        }
        let path = format!("{prefix}{}", entry.name_lossy());
        match entry.kind {
            EntryKind::Blob => out.push(path),
            EntryKind::Tree if depth < MAX_DEPTH => below.push((path, entry.oid)),
            _ => {}
        }
    }
    for (path, oid) in below {
        list(reader, oid, &format!("{path}/"), depth + 1, out)?;
    }
    Ok(())
}

/// What a run shows of its commit.
///
/// # Errors
/// The repository's.
pub async fn head(repository: &Repository, commit: Oid) -> Result<Head> {
    let found = repository.read(move |r| r.commit(commit)).await?;
    Ok(Head {
        oid: commit.to_hex(),
        message: found.message.clone(),
        author_name: found.author.name.clone(),
        author_email: found.author.email.clone(),
        time: Some(found.author.time),
    })
}
