//! What a container has used, as its engine tells.

use bollard::Docker;
use bollard::models::ContainerStatsResponse;
use bollard::query_parameters::StatsOptionsBuilder;
use futures::StreamExt as _;

use crate::usage::{Memory, Reading};

/// A container that can be asked.
#[derive(Clone)]
pub(crate) struct Metered {
    pub(crate) docker: Docker,
    pub(crate) id: String,
}

impl Metered {
    /// What it has used so far; nothing is known of one that does not run.
    pub(crate) async fn read(&self) -> Reading {
        let options = StatsOptionsBuilder::new().stream(false).one_shot(true).build();
        match self.docker.stats(&self.id, Some(options)).next().await {
            Some(Ok(stats)) => reading(&stats),
            _ => Reading::default(),
        }
    }
}

fn reading(stats: &ContainerStatsResponse) -> Reading {
    let Some(whole) = stats.memory_stats.as_ref().and_then(|m| m.usage) else { return Reading::default() };
    let cpu = stats.cpu_stats.as_ref().and_then(|c| c.cpu_usage.as_ref());
    let memory = stats.memory_stats.as_ref();
    let detail = |name: &str| memory.and_then(|m| m.stats.as_ref()?.get(name).copied());
    let cache = detail("file").or_else(|| detail("cache"));
    let peak = memory.and_then(|m| m.max_usage);
    // only engines on control groups of version 1 tell a peak, and those see only a part of what is read and written
    let blocks = stats.blkio_stats.as_ref().and_then(|b| b.io_service_bytes_recursive.as_ref()).filter(|_| peak.is_none());
    let sum = |wanted: &str| {
        let of = blocks?.iter().filter(|e| e.op.as_deref().is_some_and(|op| op.eq_ignore_ascii_case(wanted)));
        Some(of.filter_map(|e| e.value).sum())
    };
    Reading {
        user: cpu.and_then(|c| c.usage_in_usermode).map(|ns| ns / 1000),
        system: cpu.and_then(|c| c.usage_in_kernelmode).map(|ns| ns / 1000),
        read: sum("read"),
        written: sum("write"),
        memory: cache.map(|cache| Memory { whole, cache: cache.saturating_sub(detail("shmem").unwrap_or(0)), peak }),
    }
}
