//! For each entry of a directory, the commit that last changed it.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use kernel::RepoPath;

use super::log::Queue;
use super::{Commit, Reader};
use crate::error::{GitError, Result};
use crate::oid::Oid;

/// By entry name. An entry that is missing was not found within the budget.
#[derive(Clone, Debug, Default)]
pub struct LastCommits {
    /// Entry name to its commit.
    pub by_name: BTreeMap<Vec<u8>, Commit>,
    /// All entries were found.
    pub complete: bool,
}

/// Entry name to mode and object.
type Level = HashMap<Vec<u8>, (u32, Oid)>;

impl Reader {
    /// Finds them by walking back from `commit`, through at most `budget` commits and for at most `time`.
    ///
    /// # Errors
    /// `NotFound` when the directory is not there, `Corrupt`.
    pub fn last_commits(&self, commit: Oid, path: Option<&RepoPath>, budget: usize, time: Duration) -> Result<LastCommits> {
        let end = Instant::now() + time;
        let root = self.tree_at(commit, path)?;
        let mut wanted = self.level(root)?;
        let mut out = LastCommits::default();
        let mut queue = Queue::default();
        queue.push(self, commit)?;
        for step in 0..budget {
            if wanted.is_empty() || (step % 16 == 0 && Instant::now() > end) {
                break;
            }
            let Some(oid) = queue.pop() else { break };
            let at = self.commit(oid)?;
            let here = self.level_tree(at.tree, path)?;
            let mut parents = Vec::with_capacity(at.parents.len());
            for parent in &at.parents {
                parents.push((*parent, self.level_tree(self.commit(*parent)?.tree, path)?));
            }
            // the directory came unchanged from a parent: its story goes on there and only there
            if let Some((same, _)) = parents.iter().find(|(_, tree)| *tree == here) {
                queue.push(self, *same)?;
                continue;
            }
            let here = self.level_or_empty(here)?;
            let mut before = Vec::with_capacity(parents.len());
            for (parent, tree) in parents {
                queue.push(self, parent)?;
                before.push(self.level_or_empty(tree)?);
            }
            wanted.retain(|name, now| {
                let made_here = here.get(name) == Some(now) && before.iter().all(|b| b.get(name) != Some(now));
                if made_here {
                    out.by_name.insert(name.clone(), at.clone());
                }
                !made_here
            });
        }
        out.complete = wanted.is_empty();
        Ok(out)
    }

    fn level_tree(&self, root: Oid, path: Option<&RepoPath>) -> Result<Option<Oid>> {
        let Some(path) = path else { return Ok(Some(root)) };
        match self.entry(root, path) {
            Ok(entry) => Ok(Some(entry.oid)),
            Err(GitError::NotFound(_)) => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn level_or_empty(&self, tree: Option<Oid>) -> Result<Level> {
        match tree.map(|t| self.level(t)) {
            None => Ok(Level::new()),
            // a file was here before it became a directory
            Some(Err(GitError::NotFound(_))) => Ok(Level::new()),
            Some(level) => level,
        }
    }

    fn level(&self, tree: Oid) -> Result<Level> {
        Ok(self.tree(tree)?.into_iter().map(|e| (e.name, (e.mode, e.oid))).collect())
    }
}
