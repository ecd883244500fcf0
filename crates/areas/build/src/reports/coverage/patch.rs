//! Coverage of what a commit changed: which of the lines that it added ran, and which lines around them did.
//!
//! Owns what is kept of that: one blob for each job, worked out when a report arrives and never when somebody looks. It lies
//! among the artifacts under a name that begins with a dot, as none of a job's own does, and expires as they do.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use blobs::Stored;
use git::read::{DiffLimits, LineKind};
use git::{Oid, Reader, Repositories};
use kernel::{ArtifactId, Error, RepoPath, Result, RunId, Timestamp};
use serde::{Deserialize, Serialize};
use store::Tx;
use store::artifact::{ArtifactRow, artifact_by_name, artifact_own, artifact_set};
use store::job::JobRow;
use store::run::run_get;
use web_kit::{App, Body};

use super::Covered;
use crate::artifacts;

/// How the names of what is kept begin, after their dot.
const KIND: &str = "coverage-";
/// What is kept, in the words of HTTP.
const TYPE: &str = "application/vnd.devmentor.coverage+json";
/// Lines that are kept of one job, all files together.
const MOST_LINES: usize = 200_000;
/// Jobs whose coverage makes that of their run.
const MOST_JOBS: i64 = 200;

/// First and last line.
pub type Span = [u32; 2];

/// A file that a commit changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Lines that could run, and whether they did.
    lines: BTreeMap<u32, bool>,
    /// Lines that the commit added.
    added: BTreeSet<u32>,
}

impl Changed {
    /// Added lines that could run, and those of them that did.
    pub fn added(&self) -> (i64, i64) {
        let mut count = (0, 0);
        for ran in self.added.iter().filter_map(|number| self.lines.get(number)) {
            count.0 += 1;
            count.1 += i64::from(*ran);
        }
        count
    }

    /// The lines that ran, or those that did not.
    pub fn spans(&self, ran: bool) -> Vec<Span> {
        spans(self.lines.iter().filter(|(_, r)| **r == ran).map(|(number, _)| *number))
    }
}

/// Numbers in order as spans.
fn spans(numbers: impl Iterator<Item = u32>) -> Vec<Span> {
    let mut out: Vec<Span> = Vec::new();
    for number in numbers {
        match out.last_mut() {
            Some(last) if number - last[1] == 1 => last[1] = number,
            _ => out.push([number, number]),
        }
    }
    out
}

fn numbers(spans: &[Span]) -> impl Iterator<Item = u32> {
    spans.iter().flat_map(|[first, last]| *first..=*last)
}

/// How a file is written down.
#[derive(Serialize, Deserialize)]
struct Kept {
    path: String,
    ran: Vec<Span>,
    missed: Vec<Span>,
    added: Vec<Span>,
}

/// What is known of a commit's change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    /// The changed files that reports name, by their paths in the repository.
    pub files: BTreeMap<String, Changed>,
}

impl Patch {
    /// Takes in what another report says: a line that ran in any ran.
    fn merge(&mut self, other: Self) {
        for (path, theirs) in other.files {
            let ours = self.files.entry(path).or_default();
            for (number, ran) in theirs.lines {
                *ours.lines.entry(number).or_default() |= ran;
            }
            ours.added.extend(theirs.added);
        }
    }

    fn write(&self) -> Result<Vec<u8>> {
        let kept: Vec<Kept> = self
            .files
            .iter()
            .map(|(path, file)| Kept {
                path: path.clone(),
                ran: file.spans(true),
                missed: file.spans(false),
                added: spans(file.added.iter().copied()),
            })
            .collect();
        serde_json::to_vec(&kept).map_err(Error::internal)
    }

    fn read(bytes: &[u8]) -> Result<Self> {
        let kept: Vec<Kept> = serde_json::from_slice(bytes).map_err(Error::internal)?;
        let file = |k: Kept| {
            let lines = numbers(&k.ran).map(|n| (n, true)).chain(numbers(&k.missed).map(|n| (n, false))).collect();
            (k.path, Changed { lines, added: numbers(&k.added).collect() })
        };
        Ok(Self { files: kept.into_iter().map(file).collect() })
    }
}

/// The path in the repository of a file of a report: the longest end of what the report says that the commit has; else the
/// only changed file that ends so, for a report that is relative to a directory.
fn place(reported: &str, added: &BTreeMap<String, Vec<u32>>, exists: impl Fn(&str) -> bool) -> Option<String> {
    let reported = reported.replace('\\', "/");
    let whole = reported.trim_start_matches('/');
    let mut rest = whole;
    loop {
        if exists(rest) {
            return added.contains_key(rest).then(|| rest.to_owned());
        }
        match rest.split_once('/') {
            Some((_, after)) => rest = after,
            None => break,
        }
    }
    let ending = format!("/{whole}");
    let mut fits = added.keys().filter(|path| path.ends_with(&ending));
    fits.next().filter(|_| fits.next().is_none()).cloned()
}

/// What a report says of the files that have changed.
fn of(files: &[Covered], added: &BTreeMap<String, Vec<u32>>, exists: impl Fn(&str) -> bool) -> Patch {
    let last = |path: &str| path.rsplit(['/', '\\']).next().unwrap_or(path).to_owned();
    let names: HashSet<String> = added.keys().map(|path| last(path)).collect();
    let (mut patch, mut left) = (Patch::default(), MOST_LINES);
    for file in files.iter().filter(|f| !f.lines.is_empty() && names.contains(&last(&f.path))) {
        let Some(path) = place(&file.path, added, &exists) else { continue };
        let Some(rest) = left.checked_sub(file.lines.len()) else { break };
        left = rest;
        let lines = file.lines.iter().copied().collect();
        let added = added.get(&path).into_iter().flatten().copied().collect();
        patch.merge(Patch { files: BTreeMap::from([(path, Changed { lines, added })]) });
    }
    patch
}

/// The lines that a commit added, against its first parent, by file; none when it is not there.
fn added(reader: &Reader, commit: Oid) -> git::Result<Option<BTreeMap<String, Vec<u32>>>> {
    if !reader.has(commit) {
        return Ok(None);
    }
    let parent = reader.commit(commit)?.parents.first().copied();
    let diff = reader.diff(parent.filter(|p| reader.has(*p)), commit, DiffLimits::PAGE)?;
    let mut out = BTreeMap::new();
    for file in diff.files.into_iter().filter(|f| f.change.new.is_some() && !f.binary) {
        let mut lines = Vec::new();
        for hunk in file.hunks {
            let after = hunk.lines.iter().filter(|l| l.kind != LineKind::Removed);
            lines.extend((hunk.new_start..).zip(after).filter(|(_, l)| l.kind == LineKind::Added).map(|(number, _)| number));
        }
        out.insert(file.change.path, lines);
    }
    Ok(Some(out))
}

/// What was kept of a report.
#[derive(Debug)]
pub struct Keeping {
    stored: Stored,
    /// The blob that it takes the place of.
    pub replaces: Option<String>,
}

fn name_of(job: &JobRow) -> String {
    format!(".{KIND}{}", job.id)
}

/// Works out what a report says of the change of its run's commit, together with earlier reports of the job, and stores it.
/// None when it says nothing.
///
/// # Errors
/// The database's, the repository's, the storage's.
pub async fn keep(app: &App, job: &JobRow, files: &[Covered]) -> Result<Option<Keeping>> {
    let run = run_get(app.db(), job.run).await?.ok_or_else(|| Error::not_found("run"))?;
    let repository = app.part::<Repositories>()?.get(job.project)?;
    let (commit, files) = (Oid::parse(&run.commit)?, files.to_vec());
    let mut patch = repository
        .read(move |r| {
            let Some(added) = added(r, commit)? else { return Ok(Patch::default()) };
            let tree = r.commit(commit)?.tree;
            let exists = |path: &str| RepoPath::parse(path).is_ok_and(|path| r.entry(tree, &path).is_ok());
            Ok(of(&files, &added, exists))
        })
        .await?;
    if patch.files.is_empty() {
        return Ok(None);
    }
    let before = artifact_by_name(app.db(), job.run, &name_of(job)).await?;
    if let Some(before) = &before
        && let Some(bytes) = artifacts::read(app, job.project, &before.digest).await?
    {
        patch.merge(Patch::read(&bytes)?);
    }
    let stored = artifacts::store(app, job.project, Body::from(patch.write()?)).await?;
    let replaces = before.map(|b| b.digest).filter(|digest| *digest != stored.digest.to_string());
    Ok(Some(Keeping { stored, replaces }))
}

/// Names what was stored as the coverage of a job.
///
/// # Errors
/// The database's.
pub async fn name(tx: &mut Tx, app: &App, job: &JobRow, kept: &Keeping) -> Result<()> {
    let now = Timestamp::now();
    let row = ArtifactRow {
        id: ArtifactId::new(),
        run: job.run,
        job: job.id,
        project: job.project,
        name: name_of(job),
        digest: kept.stored.digest.to_string(),
        size: i64::try_from(kept.stored.size).unwrap_or(i64::MAX),
        files: 1,
        created_at: now,
        expires_at: now.plus(artifacts::kept_for(app.config(), None)),
        content_type: Some(TYPE.to_owned()),
    };
    artifact_set(tx, &row).await
}

/// What the jobs of a run that count say of its commit's change; none when nothing is kept.
///
/// # Errors
/// The database's, the storage's.
pub async fn patch_of(app: &App, run: RunId) -> Result<Option<Patch>> {
    let mut all: Option<Patch> = None;
    for row in artifact_own(app.db(), run, KIND, MOST_JOBS).await? {
        if let Some(bytes) = artifacts::read(app, row.project, &row.digest).await? {
            all.get_or_insert_default().merge(Patch::read(&bytes)?);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, lines: &[(u32, bool)]) -> Covered {
        Covered { path: path.into(), lines: lines.to_vec(), ..Covered::default() }
    }

    fn changed(paths: &[&str]) -> BTreeMap<String, Vec<u32>> {
        paths.iter().map(|p| ((*p).to_owned(), vec![2, 3])).collect()
    }

    #[test]
    fn a_reported_file_is_found_in_the_repository() {
        let tree = ["a.go", "sub/a.go", "web/src/a.js", "lib/b.py", "x/lib/b.py"];
        let exists = |path: &str| tree.contains(&path);
        let added = changed(&["a.go", "web/src/a.js", "x/lib/b.py"]);
        for (reported, found) in [
            ("a.go", Some("a.go")),
            ("example.org/m/a.go", Some("a.go")),
            // another file of the same name, which has not changed
            ("example.org/m/sub/a.go", None),
            ("/builds/ann/shop/web/src/a.js", Some("web/src/a.js")),
            ("src/a.js", Some("web/src/a.js")),
            ("web\\src\\a.js", Some("web/src/a.js")),
            ("lib/b.py", None),
            ("other.js", None),
            ("", None),
        ] {
            assert_eq!(place(reported, &added, exists).as_deref(), found, "{reported}");
        }
    }

    #[test]
    fn added_lines_count_and_reports_add_up() {
        let added = changed(&["a.rs"]);
        let one = of(&[file("a.rs", &[(1, true), (2, false), (4, true), (5, true)]), file("b.rs", &[(1, true)])], &added, |p| p == "a.rs");
        assert_eq!(one.files.keys().collect::<Vec<_>>(), ["a.rs"]);
        assert_eq!(one.files["a.rs"].added(), (1, 0));
        assert_eq!((one.files["a.rs"].spans(true), one.files["a.rs"].spans(false)), (vec![[1, 1], [4, 5]], vec![[2, 2]]));
        let mut both = one.clone();
        both.merge(of(&[file("./a.rs", &[(2, true), (3, false)])], &added, |p| p == "a.rs"));
        assert_eq!(both.files["a.rs"].added(), (2, 1));
        assert_eq!(Patch::read(&both.write().unwrap()).unwrap(), both);
        // a report that only counts says nothing of lines
        assert_eq!(of(&[file("a.rs", &[])], &added, |_| true), Patch::default());
    }
}
