//! The index of one instance, in a folder. All work happens on blocking threads, searches a few at a time.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use kernel::ProjectId;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::matcher::{self, Matched, Matcher};
use crate::project::{Part, Project};
use crate::trigram::{self, IN_PATH, Need};
use crate::{Batch, Error, Found, Hit, Index, Query, RANKED_LIMIT, Result, Stats};

/// Projects kept open; others are opened when asked for.
const OPEN_LIMIT: usize = 256;

/// Searches at once.
const SEARCHES: usize = 4;

/// A search ends after this long, or after reading this much text.
const TIME_LIMIT: Duration = Duration::from_secs(2);
const TEXT_LIMIT: u64 = 512 * 1024 * 1024;

/// The embedded index.
pub struct Embedded {
    inner: Arc<Inner>,
    searches: Semaphore,
}

struct Inner {
    root: PathBuf,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    projects: HashMap<ProjectId, (Arc<Project>, u64)>,
    uses: u64,
}

impl Embedded {
    /// Opens the index in `root`, making the folder.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(root: &Path) -> Result<Self> {
        std::fs::create_dir_all(root)?;
        Ok(Self { inner: Arc::new(Inner { root: root.to_owned(), open: Mutex::default() }), searches: Semaphore::new(SEARCHES) })
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Inner) -> Result<T> + Send + 'static) -> Result<T> {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || work(&inner)).await.map_err(|e| Error::Io(std::io::Error::other(e)))?
    }
}

#[async_trait]
impl Index for Embedded {
    fn kind(&self) -> &'static str {
        "embedded"
    }

    async fn apply(&self, project: ProjectId, batch: Batch) -> Result<()> {
        self.blocking(move |inner| inner.healing(project, |p| p.apply(batch.clone()))).await
    }

    async fn marker(&self, project: ProjectId) -> Result<Option<String>> {
        self.blocking(move |inner| Ok(inner.project(project)?.state().marker.clone())).await
    }

    async fn forget(&self, project: ProjectId) -> Result<()> {
        self.blocking(move |inner| inner.project(project)?.forget()).await
    }

    async fn search(&self, query: Query) -> Result<Found> {
        let matcher = Matcher::new(&query)?;
        let _permit = self.searches.acquire().await.map_err(|e| Error::Io(std::io::Error::other(e)))?;
        self.blocking(move |inner| inner.search(&query, &matcher)).await
    }

    async fn stats(&self, project: ProjectId) -> Result<Stats> {
        self.blocking(move |inner| Ok(inner.project(project)?.stats())).await
    }

    async fn health(&self) -> Result<()> {
        self.blocking(|inner| std::fs::read_dir(&inner.root).map(|_| ()).map_err(Error::Io)).await
    }
}

impl Inner {
    /// The project, opened if it is not.
    fn project(&self, id: ProjectId) -> Result<Arc<Project>> {
        let mut open = self.open.lock();
        open.uses += 1;
        let now = open.uses;
        if let Some((project, used)) = open.projects.get_mut(&id) {
            *used = now;
            return Ok(Arc::clone(project));
        }
        if open.projects.len() >= OPEN_LIMIT {
            // who is being written to stays: its lock must remain the only one
            let mut idle: Vec<(u64, ProjectId)> =
                open.projects.iter().filter(|(_, (p, _))| Arc::strong_count(p) == 1).map(|(id, (_, used))| (*used, *id)).collect();
            idle.sort_unstable();
            for (_, id) in idle.into_iter().take(OPEN_LIMIT / 4) {
                open.projects.remove(&id);
            }
        }
        let name = id.uuid().simple().to_string();
        // ids begin with their time: the last digits spread evenly
        let project = Arc::new(Project::open(self.root.join(&name[30..]).join(&name))?);
        open.projects.insert(id, (Arc::clone(&project), now));
        Ok(project)
    }

    /// Runs a step; when it meets damage, the project is emptied, so that its marker sends the indexer back to the start.
    fn healing<T>(&self, id: ProjectId, step: impl FnOnce(&Project) -> Result<T>) -> Result<T> {
        let project = self.project(id)?;
        let result = step(&project);
        if let Err(Error::Damaged(what)) = &result {
            tracing::warn!(project = %id, what, "a project's index is damaged and will be built anew");
            project.forget()?;
        }
        result
    }

    fn search(&self, query: &Query, matcher: &Matcher) -> Result<Found> {
        let mut search = Search {
            query,
            matcher,
            need: trigram::need(&matcher.pattern, matcher.case_sensitive),
            end: Instant::now() + TIME_LIMIT,
            text_left: TEXT_LIMIT,
            hits: Vec::new(),
        };
        let mut complete = true;
        for (rank, project) in query.projects.iter().enumerate() {
            match self.healing(*project, |p| search.project(rank, *project, p)) {
                Ok(true) => {}
                Ok(false) => {
                    complete = false;
                    break;
                }
                Err(Error::Damaged(_)) => complete = false,
                Err(error) => return Err(error),
            }
        }
        let mut hits = search.hits;
        hits.sort_by(|(a_rank, a), (b_rank, b)| b.score.cmp(&a.score).then_with(|| a_rank.cmp(b_rank)).then_with(|| a.path.cmp(&b.path)));
        let total = hits.len();
        let hits = hits.into_iter().skip(query.offset).take(query.limit).map(|(_, hit)| hit).collect();
        Ok(Found { hits, total, complete })
    }
}

struct Search<'q> {
    query: &'q Query,
    matcher: &'q Matcher,
    need: Need,
    end: Instant,
    text_left: u64,
    hits: Vec<(usize, Hit)>,
}

impl Search<'_> {
    fn spent(&self) -> bool {
        self.hits.len() >= RANKED_LIMIT || self.text_left == 0 || Instant::now() > self.end
    }

    /// Searches one project. False when the search has to end here.
    fn project(&mut self, rank: usize, id: ProjectId, project: &Project) -> Result<bool> {
        if self.spent() {
            return Ok(false);
        }
        for part in &project.state().parts {
            if !self.part(rank, id, part)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn part(&mut self, rank: usize, id: ProjectId, part: &Part) -> Result<bool> {
        let segment = &part.segment;
        let in_path = segment.candidates(&self.need, IN_PATH)?;
        let in_text = segment.candidates(&self.need, 0)?;
        let numbers = match (in_text, in_path) {
            (Some(mut a), Some(b)) => {
                a.extend(b);
                a.sort_unstable();
                a.dedup();
                a
            }
            _ => (0..segment.len()).collect(),
        };
        for number in numbers.into_iter().filter(|n| part.lives(*n)) {
            if self.spent() {
                return Ok(false);
            }
            let document = segment.document(number)?;
            let in_path = self.matcher.in_path(&document.path);
            self.text_left = self.text_left.saturating_sub(u64::from(document.raw_len));
            let matched = match segment.content(&document)? {
                Some(text) => self.matcher.lines(&text, self.query.lines_per_file),
                None => Matched::default(),
            };
            if matched.lines == 0 && in_path.is_empty() {
                continue;
            }
            let score = score(&document.path, &in_path, &matched);
            let path_ranges = matcher::units(document.path.as_bytes(), &in_path);
            let hit = Hit {
                project: id,
                path: document.path,
                oid: document.oid,
                path_ranges,
                matches: matched.shown,
                lines: matched.lines,
                score,
            };
            self.hits.push((rank, hit));
        }
        Ok(true)
    }
}

/// The name first, then whole words, then many lines, then short ways.
fn score(path: &str, in_path: &[(usize, usize)], matched: &Matched) -> i64 {
    let name_at = path.rfind('/').map_or(0, |at| at + 1);
    let stem_end = path[name_at..].find('.').filter(|at| *at > 0).map_or(path.len(), |at| name_at + at);
    let mut score = 0;
    if in_path.iter().any(|r| *r == (name_at, path.len()) || *r == (name_at, stem_end)) {
        score += 1000;
    } else if in_path.iter().any(|r| r.0 >= name_at) {
        score += 300;
    } else if !in_path.is_empty() {
        score += 50;
    }
    if matched.word {
        score += 100;
    }
    score += i64::try_from(matched.lines.min(20)).unwrap_or(20) * 2;
    // what others wrote and what programs wrote comes later
    if path.split('/').any(|p| matches!(p, "vendor" | "node_modules" | "third_party" | "dist" | "generated"))
        || path.ends_with(".lock")
        || path.contains(".min.")
    {
        score -= 200;
    }
    score - i64::try_from(path.matches('/').count()).unwrap_or(0)
}
