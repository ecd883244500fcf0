//! What a step used of its machine: time of processors, memory, bytes read and written.
//!
//! Owns where that is read and how it is put together. A figure that cannot be had is absent, never zero. Control groups
//! tell time and memory of everything in a job; where there are none, the programs of a step and those they waited for
//! are asked when they have ended. Those also tell what was read and written, as control groups of version 1 do not.
//!
//! Memory is meant without the page cache, which the machine takes back when it needs it.
//!
//! Read next: `sandbox::cgroup` (the files of a group), `docker::usage` (containers), `spawn` (who fills a [`Tally`]).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::docker::Metered;
use crate::protocol::Usage;
use crate::sandbox::Group;
use crate::spawn;

/// How often memory is looked at while a step runs.
const LOOK: Duration = Duration::from_millis(200);
/// Ticks of the clock that `/proc` counts time in, per second.
const TICKS: u64 = 100;

/// Counters at a moment. Times are in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) user: Option<u64>,
    pub(crate) system: Option<u64>,
    pub(crate) read: Option<u64>,
    pub(crate) written: Option<u64>,
    pub(crate) memory: Option<Memory>,
}

/// Memory at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// With the page cache.
    pub(crate) whole: u64,
    /// The page cache.
    pub(crate) cache: u64,
    /// The most there ever was, or since that was last forgotten, with the page cache.
    pub(crate) peak: Option<u64>,
}

/// The most memory that was seen.
#[derive(Debug, Default)]
struct Seen {
    memory: AtomicU64,
    cache: AtomicU64,
}

impl Seen {
    fn look(&self, memory: Memory) {
        self.memory.fetch_max(memory.whole.saturating_sub(memory.cache), Ordering::Relaxed);
        self.cache.fetch_max(memory.cache, Ordering::Relaxed);
    }

    /// A peak between two looks counts as far as it was certainly no page cache.
    fn peak(&self, before: Memory, after: Memory) -> u64 {
        self.look(before);
        self.look(after);
        let cache = self.cache.load(Ordering::Relaxed);
        let risen = after.peak.filter(|peak| before.peak.is_some_and(|earlier| *peak > earlier)).unwrap_or(0);
        self.memory.load(Ordering::Relaxed).max(risen.saturating_sub(cache))
    }
}

/// What programs used that have ended.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Reading>);

impl Tally {
    /// Adds what a program used that has ended and was not yet waited for.
    pub(crate) fn add_ended(&self, pid: i32) {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok().and_then(|text| times(&text));
        let io = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
        let field = |name: &str| io.lines().find_map(|l| l.strip_prefix(name)?.trim().parse().ok());
        self.add(Reading {
            user: stat.map(|s| s.0),
            system: stat.map(|s| s.1),
            read: field("read_bytes:"),
            written: field("write_bytes:"),
            memory: None,
        });
    }

    /// Adds to each counter.
    pub(crate) fn add(&self, more: Reading) {
        let mut sum = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let add = |to: &mut Option<u64>, more: Option<u64>| {
            if let Some(more) = more {
                *to = Some(to.unwrap_or(0).saturating_add(more));
            }
        };
        add(&mut sum.user, more.user);
        add(&mut sum.system, more.system);
        add(&mut sum.read, more.read);
        add(&mut sum.written, more.written);
        if let Some(memory) = more.memory {
            self.see(&mut sum, memory.whole);
        }
    }

    /// Notes how much memory a running program and those below it have.
    pub(crate) fn look(&self, pid: i32) {
        let memory = resident(pid);
        if memory > 0 {
            self.see(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), memory);
        }
    }

    #[expect(clippy::unused_self, reason = "the lock that is held is this one's")]
    fn see(&self, sum: &mut Reading, whole: u64) {
        let peak = sum.memory.and_then(|m| m.peak).unwrap_or(0).max(whole);
        sum.memory = Some(Memory { whole: 0, cache: 0, peak: Some(peak) });
    }

    fn read(&self) -> Reading {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next peak is one of its own.
    fn forget_peak(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).memory = None;
    }
}

/// User and system time of a process and of those it waited for.
fn times(stat: &str) -> Option<(u64, u64)> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let micros = |own: u64, waited: u64| (own + waited).saturating_mul(1_000_000 / TICKS);
    Some((micros(ticks(11)?, ticks(13)?), micros(ticks(12)?, ticks(14)?)))
}

/// Resident memory of a process and all below it.
fn resident(root: i32) -> u64 {
    let mut all = vec![root];
    let mut sum = 0;
    let parents: Vec<(i32, i32)> = spawn::pids().into_iter().filter_map(|pid| Some((pid, spawn::stat(pid)?.0))).collect();
    while let Some(pid) = all.pop() {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        // what is shared with the page cache (program text) is not counted
        let kib = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        sum += (kib("RssAnon:").unwrap_or(0) + kib("RssShmem:").unwrap_or(0)) * 1024;
        all.extend(parents.iter().filter(|(_, parent)| *parent == pid).map(|(child, _)| *child));
    }
    sum
}

/// Where figures of a job come from.
#[derive(Clone)]
pub(crate) enum Source {
    /// The control group of the job; what it does not know is in the tally of its programs.
    Group(Group, Arc<Tally>),
    /// The programs of a job that have ended.
    Programs(Arc<Tally>),
    /// The container of the job.
    Container(Metered),
}

impl Source {
    async fn read(&self) -> Reading {
        match self {
            Self::Group(group, tally) => {
                let (group, tally) = (group.read(), tally.read());
                Reading {
                    user: group.user.or(tally.user),
                    system: group.system.or(tally.system),
                    read: group.read.or(tally.read),
                    written: group.written.or(tally.written),
                    memory: group.memory,
                }
            }
            Self::Programs(tally) => tally.read(),
            Self::Container(container) => container.read().await,
        }
    }

    async fn begin(&self) -> Reading {
        match self {
            Self::Group(group, _) => group.forget_peak(),
            Self::Programs(tally) => tally.forget_peak(),
            Self::Container(_) => {}
        }
        self.read().await
    }

    async fn memory(&self) -> Option<Memory> {
        match self {
            Self::Group(group, _) => group.memory(),
            // its programs are looked at by who started them
            Self::Programs(_) => None,
            Self::Container(container) => container.read().await.memory,
        }
    }
}

/// Aborts the looks at memory when the step is over.
struct Looks(JoinHandle<()>);

impl Drop for Looks {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One source while a step runs.
struct Part {
    source: Source,
    before: Reading,
    seen: Arc<Seen>,
    _looks: Looks,
}

/// Measures a step.
pub(crate) struct Meter(Vec<Part>);

impl Meter {
    pub(crate) async fn start(sources: Vec<Source>) -> Self {
        let mut parts = Vec::with_capacity(sources.len());
        for source in sources {
            let before = source.begin().await;
            let seen = Arc::new(Seen::default());
            let looks = {
                let (source, seen) = (source.clone(), Arc::clone(&seen));
                tokio::spawn(async move {
                    loop {
                        tokio::time::sleep(LOOK).await;
                        match source.memory().await {
                            Some(memory) => seen.look(memory),
                            None => return,
                        }
                    }
                })
            };
            parts.push(Part { source, before, seen, _looks: Looks(looks) });
        }
        Self(parts)
    }

    /// What was used since the start; none when nothing is known.
    pub(crate) async fn stop(self) -> Option<Usage> {
        let mut usage = Usage::default();
        for part in self.0 {
            part.add_to(&mut usage).await;
        }
        (usage != Usage::default()).then_some(usage)
    }
}

impl Part {
    async fn add_to(self, usage: &mut Usage) {
        let (before, after) = (self.before, self.source.read().await);
        // a tally knows nothing of what has not ended: its first figure is the whole difference
        let from_nothing = !matches!(self.source, Source::Container(_));
        let used = |before: Option<u64>, after: Option<u64>| match (before, after) {
            (Some(before), Some(after)) => Some(after.saturating_sub(before)),
            (None, Some(after)) if from_nothing => Some(after),
            _ => None,
        };
        let add = |to: &mut Option<u64>, more: Option<u64>| *to = more.map(|more| to.unwrap_or(0) + more).or(*to);
        add(&mut usage.cpu_user_ms, used(before.user, after.user).map(|us| us / 1000));
        add(&mut usage.cpu_system_ms, used(before.system, after.system).map(|us| us / 1000));
        add(&mut usage.read_bytes, used(before.read, after.read));
        add(&mut usage.written_bytes, used(before.written, after.written));
        let peak = match (&self.source, before.memory, after.memory) {
            (Source::Programs(_), _, Some(memory)) => memory.peak,
            (_, Some(before), Some(after)) => Some(self.seen.peak(before, after)),
            _ => None,
        };
        // two places at once: the larger one says more than a sum of moments that need not be the same
        usage.memory_peak_bytes = usage.memory_peak_bytes.max(peak);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_a_process_whose_name_has_brackets() {
        let stat = "1 (a) b) S 0 1 1 0 -1 0 0 0 0 0 3 4 10 20 20 0 1 0 100 0 0";
        assert_eq!(times(stat), Some((130_000, 240_000)));
        assert_eq!(times("1 (a"), None);
    }

    #[test]
    fn a_peak_between_two_looks_counts_without_the_page_cache() {
        let memory = |whole, cache, peak| Memory { whole, cache, peak: Some(peak) };
        let seen = Seen::default();
        seen.look(memory(60, 40, 100));
        assert_eq!(seen.peak(memory(50, 30, 100), memory(70, 50, 200)), 150, "200 less the most page cache there was");
        let seen = Seen::default();
        assert_eq!(seen.peak(memory(50, 30, 200), memory(70, 40, 200)), 30, "a peak of an earlier step is not this one's");
    }

    #[test]
    fn what_nobody_told_is_unknown_and_not_zero() {
        let tally = Tally::default();
        tally.add(Reading { user: Some(5), ..Reading::default() });
        tally.add(Reading { user: Some(6), read: Some(7), ..Reading::default() });
        assert_eq!(tally.read(), Reading { user: Some(11), read: Some(7), ..Reading::default() });
    }
}
