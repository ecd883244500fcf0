//! What the tests of a file share: what was compiled and listed already, and the budget of work.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;

use crate::convert::Target;
use crate::github::Compiled;
use crate::plan::{Matrix, Plan};
use crate::trial::{self, Event, Sources, Tried};
use crate::{github, gitlab, jenkins};

/// Work of all tests together, counted in bytes that are read, or what costs about as much as reading one.
const MAX_WORK: usize = 32 << 20;
/// A job that is planned counts like so many bytes.
const JOB: usize = 1024;

/// The sources, read through the budget.
struct Counted<'s> {
    sources: &'s dyn Sources,
    left: Cell<usize>,
    paths: OnceCell<Option<Vec<String>>>,
}

impl Counted<'_> {
    fn spend(&self, work: usize) {
        self.left.set(self.left.get().saturating_sub(work));
    }
}

impl Sources for Counted<'_> {
    fn file(&self, path: &str) -> Option<Vec<u8>> {
        let bytes = self.sources.file(path);
        self.spend(path.len() + bytes.as_ref().map_or(64, Vec::len));
        bytes
    }

    fn paths(&self) -> Option<Vec<String>> {
        let paths = self.paths.get_or_init(|| self.sources.paths());
        self.spend(paths.as_ref().map_or(0, Vec::len));
        paths.clone()
    }
}

/// Compiles for the tests.
pub(super) struct Desk<'s> {
    sources: Counted<'s>,
    only: OnceCell<Result<String, String>>,
    /// Files whose plan is the same for all events.
    compiled: RefCell<BTreeMap<String, Compiled>>,
}

impl<'s> Desk<'s> {
    pub(super) fn new(sources: &'s dyn Sources) -> Self {
        let sources = Counted { sources, left: Cell::new(MAX_WORK), paths: OnceCell::new() };
        Self { sources, only: OnceCell::new(), compiled: RefCell::default() }
    }

    /// Takes from the budget.
    pub(super) fn spend(&self, work: usize) {
        self.sources.spend(work);
    }

    /// Is nothing left of it?
    pub(super) fn exhausted(&self) -> bool {
        self.sources.left.get() == 0
    }

    /// What an event starts of a file; none when there is no such file.
    pub(super) fn plan(&self, path: &str, event: &Event) -> Option<Tried> {
        let dialect = Target::of(path);
        let tried = if dialect == Target::Gitlab {
            trial::plan(path, &self.sources.file(path)?, dialect, event, &self.sources)
        } else {
            let known = self.compiled.borrow().get(path).cloned();
            let compiled = match known {
                Some(known) => known,
                None => {
                    let made = trial::compile(path, &self.sources.file(path)?, dialect, event, &self.sources);
                    self.compiled.borrow_mut().insert(path.to_owned(), made.clone());
                    made
                }
            };
            self.spend(compiled.plan.as_ref().map_or(0, weight));
            trial::decide(compiled, event)
        };
        self.spend(tried.plan.as_ref().map_or(JOB, weight));
        Some(tried)
    }

    /// The pipeline file that there is, if there is one only.
    pub(super) fn only_file(&self) -> Result<String, String> {
        self.only.get_or_init(|| only_file(&self.sources)).clone()
    }
}

/// What planning costs.
fn weight(plan: &Plan) -> usize {
    let cells = |matrix: &Matrix| if let Matrix::Static(cells) = matrix { cells.len() } else { 1 };
    let job = |j: &crate::plan::Job| JOB + 256 * j.steps.len() + 64 * j.strategy.as_ref().and_then(|s| s.matrix.as_ref()).map_or(0, cells);
    plan.jobs.iter().map(job).sum::<usize>() + 64 * plan.decisions.len()
}

fn only_file(sources: &dyn Sources) -> Result<String, String> {
    let mut found: Vec<String> = sources.paths().unwrap_or_default().into_iter().filter(|p| github::is_workflow(p)).collect();
    for path in [gitlab::FILE, jenkins::FILE] {
        if sources.file(path).is_some() && !found.iter().any(|f| f == path) {
            found.push(path.to_owned());
        }
    }
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err("there is no pipeline file; name it with `workflow`".into()),
        many => {
            let named: Vec<&str> = many.iter().map(String::as_str).take(10).collect();
            Err(format!("there are several pipeline files ({}); name one with `workflow`", named.join(", ")))
        }
    }
}
