//! Walking history, newest first, page by page.
//!
//! A cursor holds the commits that were seen but not yet shown, so the next page costs the size of the page and not the
//! distance from the tip. Many commits can carry the same second; the ones already walked that could be met again from
//! an open end are in the cursor too. Where that is too many, the cursor is a count and the walk starts over.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

use kernel::RepoPath;

use super::{Commit, Reader};
use crate::error::{GitError, Result};
use crate::oid::Oid;

/// Commits one page may look at; with a path filter most of them are not shown.
const PAGE_BUDGET: usize = 10_000;
/// Commits a cursor may hold.
const MAX_HELD: usize = 100;

/// Where the next page starts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogCursor {
    tip: Oid,
    /// Commits taken off the queue so far.
    walked: u32,
    /// Seen and not walked. Empty means: start over and pass over `walked`.
    open: Vec<Oid>,
    /// Walked, and as young as something open.
    walked_young: Vec<Oid>,
}

impl LogCursor {
    /// As an opaque text.
    pub fn to_text(&self) -> String {
        let mut raw = self.tip.as_bytes().to_vec();
        raw.extend_from_slice(&self.walked.to_be_bytes());
        raw.push(u8::try_from(self.open.len()).unwrap_or(u8::MAX));
        for oid in self.open.iter().chain(&self.walked_young) {
            raw.extend_from_slice(oid.as_bytes());
        }
        hex::encode(raw)
    }

    /// From the text.
    ///
    /// # Errors
    /// `Invalid` when it is none of ours.
    pub fn parse(text: &str) -> Result<Self> {
        let parse = || {
            if text.len() > 2 * (25 + MAX_HELD * 20) {
                return None;
            }
            let raw = hex::decode(text).ok()?;
            let (head, oids) = raw.split_at_checked(25)?;
            let (oids, rest) = oids.as_chunks::<20>();
            let mut oids: Vec<Oid> = oids.iter().map(|c| Oid::from_raw(*c)).collect();
            let open = usize::from(head[24]);
            if !rest.is_empty() || open > oids.len() {
                return None;
            }
            let walked_young = oids.split_off(open);
            Some(Self {
                tip: Oid::from_raw(head.first_chunk::<20>().copied()?),
                walked: u32::from_be_bytes(head[20..24].try_into().ok()?),
                open: oids,
                walked_young,
            })
        };
        parse().ok_or_else(|| GitError::Invalid("the cursor is not valid".into()))
    }
}

/// A page of history.
#[derive(Clone, Debug)]
pub struct LogPage {
    /// Newest first.
    pub commits: Vec<Commit>,
    /// There may be more. With a path filter a page can be short, even empty, and still have a next one: the budget of
    /// one request was used up.
    pub next: Option<LogCursor>,
}

/// Commits waiting, newest first; the id breaks ties the same way every time.
#[derive(Default)]
pub(super) struct Queue {
    heap: BinaryHeap<(i64, Reverse<Oid>)>,
    seen: HashSet<Oid>,
}

impl Queue {
    pub(super) fn push(&mut self, reader: &Reader, oid: Oid) -> Result<()> {
        if self.seen.insert(oid) {
            let time = reader.commit_time(oid)?;
            self.heap.push((time, Reverse(oid)));
        }
        Ok(())
    }

    pub(super) fn pop(&mut self) -> Option<Oid> {
        self.heap.pop().map(|(_, Reverse(oid))| oid)
    }

    pub(super) fn newest(&self) -> Option<i64> {
        self.heap.peek().map(|(time, _)| *time)
    }
}

impl Reader {
    pub(super) fn commit_time(&self, oid: Oid) -> Result<i64> {
        Ok(self.commit(oid)?.committer.time.millis())
    }

    /// A page of the history that `tip` or the cursor leads to: all of it, or the commits that changed `path`.
    ///
    /// # Errors
    /// `NotFound`, `Corrupt`.
    pub fn log(&self, tip: Oid, path: Option<&RepoPath>, cursor: Option<&LogCursor>, limit: usize) -> Result<LogPage> {
        let mut queue = Queue::default();
        let tip = cursor.map_or(tip, |c| c.tip);
        let mut skip = 0;
        match cursor {
            Some(cursor) if !cursor.open.is_empty() => {
                queue.seen.extend(&cursor.walked_young);
                cursor.open.iter().try_for_each(|oid| queue.push(self, *oid))?;
            }
            _ => {
                queue.push(self, tip)?;
                skip = cursor.map_or(0, |c| c.walked as usize);
            }
        }
        let mut walked: Vec<(i64, Oid)> = Vec::new();
        let mut commits = Vec::new();
        while commits.len() < limit && walked.len() < PAGE_BUDGET + skip {
            let Some(oid) = queue.pop() else { break };
            let commit = self.commit(oid)?;
            walked.push((commit.committer.time.millis(), oid));
            let (shown, follow) = match path {
                None => (true, commit.parents.clone()),
                Some(path) => self.simplify(&commit, path)?,
            };
            for parent in follow {
                queue.push(self, parent)?;
            }
            if shown && walked.len() > skip {
                commits.push(commit);
            }
        }
        let Some(newest) = queue.newest() else { return Ok(LogPage { commits, next: None }) };
        let total = cursor.filter(|_| skip == 0).map_or(0, |c| c.walked as usize) + walked.len();
        let before = cursor.map(|c| c.walked_young.as_slice()).unwrap_or_default();
        let mut walked_young = Vec::new();
        for oid in before {
            if self.commit_time(*oid)? <= newest {
                walked_young.push(*oid);
            }
        }
        walked_young.extend(walked.iter().filter(|(time, _)| *time <= newest).map(|(_, oid)| *oid));
        let mut open: Vec<Oid> = queue.heap.into_iter().map(|(_, Reverse(oid))| oid).collect();
        if open.len() + walked_young.len() > MAX_HELD {
            open.clear();
            walked_young.clear();
        }
        let next = LogCursor { tip, walked: u32::try_from(total).unwrap_or(u32::MAX), open, walked_young };
        Ok(LogPage { commits, next: Some(next) })
    }

    /// git's default simplification: did the commit change the path, and which parents tell the rest of its story?
    fn simplify(&self, commit: &Commit, path: &RepoPath) -> Result<(bool, Vec<Oid>)> {
        let here = self.at_path(commit.tree, path)?;
        for parent in &commit.parents {
            let there = self.at_path(self.commit(*parent)?.tree, path)?;
            if there == here {
                return Ok((false, vec![*parent]));
            }
        }
        if commit.parents.is_empty() {
            return Ok((here.is_some(), Vec::new()));
        }
        Ok((true, commit.parents.clone()))
    }

    fn at_path(&self, tree: Oid, path: &RepoPath) -> Result<Option<(u32, Oid)>> {
        match self.entry(tree, path) {
            Ok(entry) => Ok(Some((entry.mode, entry.oid))),
            Err(GitError::NotFound(_)) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Commits that `new` has and `old` has not, newest first, at most `limit`; and whether that is all of them.
    ///
    /// # Errors
    /// `NotFound`, `Corrupt`.
    pub fn commits_between(&self, old: Option<Oid>, new: Oid, limit: usize) -> Result<(Vec<Commit>, bool)> {
        let mut queue = Queue::default();
        queue.push(self, new)?;
        // both sides by date: what `old` reaches is marked before the walk from `new` gets as deep
        let mut hidden = Queue::default();
        if let Some(old) = old {
            hidden.push(self, old)?;
        }
        let mut out = Vec::new();
        let mut budget = PAGE_BUDGET;
        while let Some(newest) = queue.newest() {
            while hidden.newest().is_some_and(|t| t >= newest) && budget > 0 {
                budget -= 1;
                if let Some(oid) = hidden.pop() {
                    for parent in self.commit(oid)?.parents {
                        hidden.push(self, parent)?;
                    }
                }
            }
            let Some(oid) = queue.pop() else { break };
            if hidden.seen.contains(&oid) {
                continue;
            }
            if out.len() >= limit || budget == 0 {
                return Ok((out, false));
            }
            budget -= 1;
            let commit = self.commit(oid)?;
            for parent in &commit.parents {
                queue.push(self, *parent)?;
            }
            out.push(commit);
        }
        Ok((out, true))
    }
}

pub(super) fn is_ancestor(reader: &Reader, ancestor: Oid, descendant: Oid, budget: usize) -> Result<Option<bool>> {
    let limit = reader.commit_time(ancestor)?;
    let mut queue = Queue::default();
    queue.push(reader, descendant)?;
    for _ in 0..budget {
        let Some(newest) = queue.newest() else { return Ok(Some(false)) };
        let Some(oid) = queue.pop() else { return Ok(Some(false)) };
        if oid == ancestor {
            return Ok(Some(true));
        }
        // a day for clocks that go wrong; past that, nothing older can be a child of what we look for
        if newest < limit - 86_400_000 {
            return Ok(Some(false));
        }
        for parent in reader.commit(oid)?.parents {
            queue.push(reader, parent)?;
        }
    }
    Ok(None)
}
