//! Reads workflow files and detection's evidence from a commit.

use std::collections::VecDeque;

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
/// In so many directories, which a small pack can hold any number of by naming one of them again and again.
const MAX_TREES: usize = 5_000;
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
        let root = reader.commit(commit)?.tree;
        list(reader, root, &mut paths)?;
        let text = |path: &str| {
            let path = RepoPath::parse(path).ok()?;
            let entry = reader.entry(root, &path).ok().filter(|e| e.kind == EntryKind::Blob)?;
            String::from_utf8(reader.blob(entry.oid, MAX_EVIDENCE).ok()?.data?).ok()
        };
        found.detected = detect(&Tree { files: &paths, read: &text });
    }
    Ok(found)
}

/// Paths of files, those near the root first, as many as detection looks at.
fn list(reader: &Reader, root: Oid, out: &mut Vec<String>) -> git::Result<()> {
    let mut open = VecDeque::from([(String::new(), root, 0)]);
    let (mut trees, mut entries) = (0, 0);
    while let Some((prefix, tree, depth)) = open.pop_front() {
        trees += 1;
        if trees > MAX_TREES {
            return Ok(());
        }
        for entry in reader.tree(tree)? {
            entries += 1;
            if entries > MAX_PATHS {
                return Ok(());
            }
            let path = format!("{prefix}{}", entry.name_lossy());
            match entry.kind {
                EntryKind::Blob => out.push(path),
                EntryKind::Tree if depth < MAX_DEPTH => open.push_back((format!("{path}/"), entry.oid, depth + 1)),
                _ => {}
            }
        }
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
