//! What changed between two commits: paths first, then lines. Cost grows with the change, since equal sub-trees are
//! never opened, and every growth has a bound.

use std::collections::BTreeMap;

use serde::Serialize;

use super::hunks::{self, Hunk};
use super::{EntryKind, Reader, TreeEntry, is_binary, rename};
use crate::error::Result;
use crate::oid::Oid;

/// How a path changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// Was not there.
    Added,
    /// Other content or mode.
    Modified,
    /// Is no longer there.
    Deleted,
    /// Was at another path, with the same or similar content.
    Renamed,
}

/// One side of a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Side {
    /// Mode, such as `0o100644`.
    pub mode: u32,
    /// Blob, or commit of a submodule.
    pub oid: Oid,
    /// What it is.
    pub kind: EntryKind,
}

/// A changed path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// Where it is now, or was when deleted. Bytes that are not UTF-8 are replaced.
    pub path: String,
    /// Where it was, when renamed.
    pub old_path: Option<String>,
    /// How.
    pub kind: ChangeKind,
    /// Before; none when added.
    pub old: Option<Side>,
    /// After; none when deleted.
    pub new: Option<Side>,
    /// Size of the new blob; none for deletions and submodules.
    pub size: Option<u64>,
}

/// Changed paths in the order of their names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Changes {
    /// The paths.
    pub items: Vec<Change>,
    /// False when a limit cut the list.
    pub complete: bool,
}

/// Bounds of a diff.
#[derive(Clone, Copy, Debug)]
pub struct DiffLimits {
    /// Changed paths.
    pub files: usize,
    /// Added times deleted paths that are compared for similarity; 0 finds only exact renames.
    pub rename_pairs: usize,
    /// Bytes of a file that is still compared line by line.
    pub file_bytes: u64,
    /// Lines shown of one file.
    pub file_lines: usize,
    /// Lines shown of all files.
    pub total_lines: usize,
}

impl DiffLimits {
    /// For a page that a person looks at.
    pub const PAGE: Self = Self { files: 1000, rename_pairs: 20_000, file_bytes: 512 << 10, file_lines: 3000, total_lines: 20_000 };
    /// For what follows a push: every path, no lines.
    pub const PUSH: Self = Self { files: 1_000_000, rename_pairs: 0, file_bytes: 0, file_lines: 0, total_lines: 0 };
}

/// A file with its lines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileDiff {
    /// The path and objects.
    pub change: Change,
    /// Lines added in all, shown or not.
    pub additions: u64,
    /// Lines removed in all, shown or not.
    pub deletions: u64,
    /// Not text.
    pub binary: bool,
    /// Too large to compare, or not all lines are shown.
    pub truncated: bool,
    /// The changed places.
    pub hunks: Vec<Hunk>,
}

/// A whole diff.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TreeDiff {
    /// Files in the order of their names.
    pub files: Vec<FileDiff>,
    /// False when a limit cut the list of files.
    pub complete: bool,
}

impl Reader {
    /// The paths that differ between two commits; between nothing and `new` for none.
    ///
    /// # Errors
    /// `NotFound`, `Corrupt`.
    pub fn changes(&self, old: Option<Oid>, new: Oid, limits: DiffLimits) -> Result<Changes> {
        let old = old.map(|oid| self.commit(oid)).transpose()?.map(|c| c.tree);
        let new = self.commit(new)?.tree;
        let mut walk = Walk { reader: self, items: Vec::new(), complete: true, limits, trees: 0 };
        walk.run(old, new)?;
        let Walk { items, complete, .. } = walk;
        let mut items = rename::detect(self, items, limits.rename_pairs)?;
        items.sort_by(|a, b| a.path.cmp(&b.path));
        for item in &mut items {
            if let Some(side) = item.new.filter(|s| s.kind != EntryKind::Submodule) {
                item.size = Some(self.header(side.oid)?.1);
            }
        }
        Ok(Changes { items, complete })
    }

    /// The diff of two commits with lines.
    ///
    /// # Errors
    /// `NotFound`, `Corrupt`.
    pub fn diff(&self, old: Option<Oid>, new: Oid, limits: DiffLimits) -> Result<TreeDiff> {
        let Changes { items, complete } = self.changes(old, new, limits)?;
        let mut lines_left = limits.total_lines;
        let mut files = Vec::with_capacity(items.len());
        for change in items {
            let file = self.file_diff(change, limits.file_bytes, limits.file_lines.min(lines_left))?;
            lines_left -= file.hunks.iter().map(|h| h.lines.len()).sum::<usize>().min(lines_left);
            files.push(file);
        }
        Ok(TreeDiff { files, complete })
    }

    /// The lines of one change.
    ///
    /// # Errors
    /// `NotFound`, `Corrupt`.
    pub fn file_diff(&self, change: Change, max_bytes: u64, max_lines: usize) -> Result<FileDiff> {
        let mut out = FileDiff { change, additions: 0, deletions: 0, binary: false, truncated: false, hunks: Vec::new() };
        if out.change.old.map(|s| s.oid) == out.change.new.map(|s| s.oid) {
            return Ok(out);
        }
        let load = |side: Option<Side>| -> Result<Option<Vec<u8>>> {
            match side {
                None => Ok(Some(Vec::new())),
                Some(Side { kind: EntryKind::Submodule, oid, .. }) => Ok(Some(format!("Subproject commit {oid}\n").into_bytes())),
                Some(Side { oid, .. }) => Ok(self.blob(oid, max_bytes)?.data),
            }
        };
        let (Some(before), Some(after)) = (load(out.change.old)?, load(out.change.new)?) else {
            out.truncated = true;
            return Ok(out);
        };
        if is_binary(&before) || is_binary(&after) {
            out.binary = true;
            return Ok(out);
        }
        let lines = hunks::compare(&before, &after, max_lines);
        out.additions = lines.additions;
        out.deletions = lines.deletions;
        out.truncated = lines.truncated;
        out.hunks = lines.hunks;
        Ok(out)
    }
}

struct Walk<'a> {
    reader: &'a Reader,
    items: Vec<Change>,
    complete: bool,
    limits: DiffLimits,
    trees: usize,
}

impl Walk<'_> {
    fn run(&mut self, old: Option<Oid>, new: Oid) -> Result<()> {
        // a stack of our own: the depth of a hostile tree must not be the depth of ours
        let mut stack = vec![(Vec::new(), old, Some(new))];
        while let Some((prefix, old, new)) = stack.pop() {
            if old == new {
                continue;
            }
            self.trees += 1;
            // shared sub-trees can make a small repository look endless
            if self.items.len() >= self.limits.files || self.trees > 4 * self.limits.files + 1000 || prefix.len() > 4096 {
                self.complete = false;
                continue;
            }
            let (before, after) = (self.entries(old)?, self.entries(new)?);
            let mut names: BTreeMap<&[u8], (Option<&TreeEntry>, Option<&TreeEntry>)> = BTreeMap::new();
            for entry in &before {
                names.entry(&entry.name).or_default().0 = Some(entry);
            }
            for entry in &after {
                names.entry(&entry.name).or_default().1 = Some(entry);
            }
            for (name, (old, new)) in names {
                if let (Some(o), Some(n)) = (old, new)
                    && o.oid == n.oid
                    && o.mode == n.mode
                {
                    continue;
                }
                let mut path = prefix.clone();
                path.extend_from_slice(name);
                let (old_tree, old_file) = split(old);
                let (new_tree, new_file) = split(new);
                if old_file.is_some() || new_file.is_some() {
                    if self.items.len() >= self.limits.files {
                        self.complete = false;
                        return Ok(());
                    }
                    self.items.push(change(&path, old_file, new_file));
                }
                if old_tree.is_some() || new_tree.is_some() {
                    path.push(b'/');
                    stack.push((path, old_tree, new_tree));
                }
            }
        }
        Ok(())
    }

    fn entries(&self, tree: Option<Oid>) -> Result<Vec<TreeEntry>> {
        tree.map_or_else(|| Ok(Vec::new()), |t| self.reader.tree(t))
    }
}

fn split(entry: Option<&TreeEntry>) -> (Option<Oid>, Option<Side>) {
    match entry {
        None => (None, None),
        Some(e) if e.kind == EntryKind::Tree => (Some(e.oid), None),
        Some(e) => (None, Some(Side { mode: e.mode, oid: e.oid, kind: e.kind })),
    }
}

fn change(path: &[u8], old: Option<Side>, new: Option<Side>) -> Change {
    let kind = match (old, new) {
        (None, _) => ChangeKind::Added,
        (_, None) => ChangeKind::Deleted,
        _ => ChangeKind::Modified,
    };
    Change { path: String::from_utf8_lossy(path).into_owned(), old_path: None, kind, old, new, size: None }
}
