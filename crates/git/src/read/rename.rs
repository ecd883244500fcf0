//! Finding renames: a deleted and an added path with the same blob, else with mostly the same lines.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use super::diff::{Change, ChangeKind};
use super::{EntryKind, Reader, is_binary};
use crate::error::Result;
use crate::oid::Oid;

/// Share of the larger file that must be common, in percent; git's default.
const SIMILAR: u64 = 50;
/// Larger files are only matched when they are equal.
const MAX_BYTES: u64 = 256 << 10;
/// Bytes loaded for one diff.
const TOTAL_BYTES: u64 = 32 << 20;

/// Lines of a file: hash to bytes they take together.
struct Lines {
    counts: HashMap<u64, u64>,
    size: u64,
}

/// Joins deletions and additions that are renames. Similar content is compared only when there are at most `max_pairs`.
pub(super) fn detect(reader: &Reader, items: Vec<Change>, max_pairs: usize) -> Result<Vec<Change>> {
    let (mut deleted, rest): (Vec<_>, Vec<_>) = items.into_iter().partition(|c| c.kind == ChangeKind::Deleted);
    let (mut added, mut out): (Vec<_>, Vec<_>) = rest.into_iter().partition(|c| c.kind == ChangeKind::Added);

    let mut by_blob: HashMap<Oid, Vec<usize>> = HashMap::new();
    for (i, change) in deleted.iter().enumerate() {
        if let Some(side) = change.old.filter(|s| s.kind != EntryKind::Submodule) {
            by_blob.entry(side.oid).or_default().push(i);
        }
    }
    let mut taken = vec![false; deleted.len()];
    added.retain_mut(|change| {
        let Some(candidates) = change.new.and_then(|s| by_blob.get(&s.oid)) else { return true };
        // of several equal ones, the one that kept its file name
        let free = candidates.iter().copied().filter(|i| !taken[*i]);
        let Some(i) = free.max_by_key(|i| file_name(&deleted[*i].path) == file_name(&change.path)) else { return true };
        taken[i] = true;
        out.push(joined(change.clone(), &deleted[i]));
        false
    });
    let mut index = 0;
    deleted.retain(|_| {
        index += 1;
        !taken[index - 1]
    });

    if !added.is_empty() && !deleted.is_empty() && added.len().saturating_mul(deleted.len()) <= max_pairs {
        similar(reader, &mut added, &mut deleted, &mut out)?;
    }
    out.append(&mut added);
    out.append(&mut deleted);
    Ok(out)
}

fn similar(reader: &Reader, added: &mut Vec<Change>, deleted: &mut Vec<Change>, out: &mut Vec<Change>) -> Result<()> {
    let hasher = RandomState::new();
    let mut left = TOTAL_BYTES;
    let olds = deleted.iter().map(|c| lines(reader, &hasher, c.old.map(|s| (s.kind, s.oid)), &mut left)).collect::<Result<Vec<_>>>()?;
    let news = added.iter().map(|c| lines(reader, &hasher, c.new.map(|s| (s.kind, s.oid)), &mut left)).collect::<Result<Vec<_>>>()?;
    let mut pairs = Vec::new();
    for (a, new) in news.iter().enumerate() {
        for (d, old) in olds.iter().enumerate() {
            let (Some(new), Some(old)) = (new, old) else { continue };
            let score = score(old, new);
            if score >= SIMILAR {
                pairs.push((score, file_name(&added[a].path) == file_name(&deleted[d].path), a, d));
            }
        }
    }
    pairs.sort_by(|x, y| y.cmp(x));
    let (mut used_new, mut used_old) = (vec![false; added.len()], vec![false; deleted.len()]);
    for (_, _, a, d) in pairs {
        if !used_new[a] && !used_old[d] {
            used_new[a] = true;
            used_old[d] = true;
            out.push(joined(added[a].clone(), &deleted[d]));
        }
    }
    let keep = |used: Vec<bool>, list: &mut Vec<Change>| {
        let mut used = used.into_iter();
        list.retain(|_| used.next() == Some(false));
    };
    keep(used_new, added);
    keep(used_old, deleted);
    Ok(())
}

fn joined(new: Change, old: &Change) -> Change {
    Change { kind: ChangeKind::Renamed, old_path: Some(old.path.clone()), old: old.old, ..new }
}

fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, n)| n)
}

fn lines(reader: &Reader, hasher: &RandomState, side: Option<(EntryKind, Oid)>, left: &mut u64) -> Result<Option<Lines>> {
    let Some((EntryKind::Blob, oid)) = side else { return Ok(None) };
    let blob = reader.blob(oid, MAX_BYTES.min(*left))?;
    let Some(data) = blob.data.filter(|d| !d.is_empty() && !is_binary(d)) else { return Ok(None) };
    *left -= blob.size;
    let mut counts: HashMap<u64, u64> = HashMap::new();
    for line in data.split_inclusive(|b| *b == b'\n') {
        *counts.entry(hasher.hash_one(line)).or_default() += line.len() as u64;
    }
    Ok(Some(Lines { counts, size: blob.size }))
}

fn score(a: &Lines, b: &Lines) -> u64 {
    let larger = a.size.max(b.size).max(1);
    if a.size.min(b.size) * 100 / larger < SIMILAR {
        return 0;
    }
    let common: u64 = a.counts.iter().filter_map(|(line, n)| b.counts.get(line).map(|m| n.min(m))).sum();
    common * 100 / larger
}
