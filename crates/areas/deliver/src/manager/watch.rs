//! What is seen of a running application: probes, restarts, requests, processor and memory.

use std::collections::VecDeque;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use executors::service::Usage;
use kernel::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;
use utoipa::ToSchema;

/// Probes and request times that are remembered.
const KEPT: usize = 120;
const TIMES: usize = 2048;

/// One health check.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Probe {
    /// When.
    #[schema(value_type = String)]
    pub at: Timestamp,
    /// Was it well?
    pub ok: bool,
    /// How long the answer took.
    pub latency_ms: f64,
    /// The HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// Why there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The requests of an environment since this instance took it up.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct RequestFigures {
    /// All of them.
    pub total: u64,
    /// Those answered with 5xx.
    pub errors: u64,
    /// Median time of the last ones to their first byte.
    pub p50_ms: f64,
    /// 95th percentile of the same.
    pub p95_ms: f64,
}

/// How an application does.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Watch {
    /// State of the environment.
    #[schema(value_type = crate::words::EnvironmentState)]
    pub state: String,
    /// Seconds since the application was started.
    pub uptime_seconds: u64,
    /// How often it had to be started again.
    pub restarts: u32,
    /// The last health checks, newest last.
    pub probes: Vec<Probe>,
    /// Requests through the environment's port.
    pub requests: RequestFigures,
    /// Processor use in percent of one core, lately; none when it does not run here.
    pub cpu_percent: Option<f64>,
    /// Resident memory; none when it does not run here.
    pub memory_bytes: Option<u64>,
}

/// Counts requests.
#[derive(Default)]
pub(super) struct Requests {
    total: AtomicU64,
    errors: AtomicU64,
    times: Mutex<VecDeque<f32>>,
}

impl Requests {
    pub(super) fn count(&self, took: Duration, error: bool) {
        self.total.fetch_add(1, Ordering::Relaxed);
        if error {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
        let mut times = self.times.lock();
        if times.len() >= TIMES {
            times.pop_front();
        }
        times.push_back(took.as_secs_f32() * 1000.0);
    }

    pub(super) fn figures(&self) -> RequestFigures {
        let mut times: Vec<f32> = self.times.lock().iter().copied().collect();
        times.sort_by(f32::total_cmp);
        let at = |q: f64| {
            let index = ((times.len() as f64 * q) as usize).min(times.len().saturating_sub(1));
            times.get(index).map_or(0.0, |t| (f64::from(*t) * 1000.0).round() / 1000.0)
        };
        RequestFigures {
            total: self.total.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
            p50_ms: at(0.5),
            p95_ms: at(0.95),
        }
    }
}

/// The probes of the running release, and what its usage was when last looked at.
#[derive(Default)]
pub(super) struct History {
    probes: VecDeque<Probe>,
    used: Option<(Instant, Usage, f64)>,
}

impl History {
    pub(super) fn add(&mut self, probe: Probe) {
        if self.probes.len() >= KEPT {
            self.probes.pop_front();
        }
        self.probes.push_back(probe);
    }

    pub(super) fn probes(&self) -> Vec<Probe> {
        self.probes.iter().cloned().collect()
    }

    /// Notes what is used now; processor use in percent since the last look.
    pub(super) fn usage(&mut self, now: Usage) -> f64 {
        let at = Instant::now();
        let percent = match self.used {
            // two looks right after each other would divide by almost nothing
            Some((then, _, percent)) if at.duration_since(then) < Duration::from_millis(200) => return percent,
            Some((then, before, _)) => now.cpu.saturating_sub(before.cpu).as_secs_f64() / at.duration_since(then).as_secs_f64() * 100.0,
            None => 0.0,
        };
        let percent = (percent * 10.0).round() / 10.0;
        self.used = Some((at, now, percent));
        percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures() {
        let requests = Requests::default();
        assert_eq!(requests.figures().p95_ms, 0.0);
        for ms in 1..=100 {
            requests.count(Duration::from_millis(ms), ms % 10 == 0);
        }
        let f = requests.figures();
        assert_eq!((f.total, f.errors), (100, 10));
        assert!((50.0..53.0).contains(&f.p50_ms) && (95.0..97.1).contains(&f.p95_ms), "{f:?}");
    }
}
