//! The cache of one instance.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::sync::Cache as Moka;
use parking_lot::Mutex;

use crate::limit::{Decision, Rate};

/// Bytes of values kept.
const CAPACITY: u64 = 64 * 1024 * 1024;

const SHARDS: usize = 16;

/// Buckets kept per shard: a flood of addresses must not become a flood of memory.
const BUCKETS: usize = 8192;

struct Entry {
    value: Vec<u8>,
    ttl: Duration,
}

struct OwnTime;

impl Expiry<String, std::sync::Arc<Entry>> for OwnTime {
    fn expire_after_create(&self, _: &String, value: &std::sync::Arc<Entry>, _: Instant) -> Option<Duration> {
        Some(value.ttl)
    }

    fn expire_after_update(&self, _: &String, value: &std::sync::Arc<Entry>, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(value.ttl)
    }
}

pub(crate) struct Memory {
    values: Moka<String, std::sync::Arc<Entry>>,
    buckets: [Mutex<HashMap<String, u64>>; SHARDS],
    hash: RandomState,
    start: Instant,
}

impl Memory {
    pub(crate) fn new() -> Self {
        let weigh = |k: &String, v: &std::sync::Arc<Entry>| u32::try_from(k.len() + v.value.len() + 64).unwrap_or(u32::MAX);
        Self {
            values: Moka::builder().max_capacity(CAPACITY).weigher(weigh).expire_after(OwnTime).build(),
            buckets: std::array::from_fn(|_| Mutex::default()),
            hash: RandomState::new(),
            start: Instant::now(),
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.values.get(key).map(|e| e.value.clone())
    }

    pub(crate) fn set(&self, key: &str, value: Vec<u8>, ttl: Duration) {
        self.values.insert(key.to_owned(), std::sync::Arc::new(Entry { value, ttl }));
    }

    pub(crate) fn remove(&self, key: &str) {
        self.values.invalidate(key);
    }

    pub(crate) fn take(&self, key: &str, rate: Rate, cost: u32) -> Decision {
        let now = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX / 2);
        let shard = &self.buckets[usize::try_from(self.hash.hash_one(key)).unwrap_or_default() % SHARDS];
        let mut buckets = shard.lock();
        if buckets.len() >= BUCKETS && !buckets.contains_key(key) {
            buckets.retain(|_, empty_at| *empty_at > now);
            if buckets.len() >= BUCKETS {
                // all are in use: forget the half that is closest to empty
                let mut moments: Vec<u64> = buckets.values().copied().collect();
                let (_, middle, _) = moments.select_nth_unstable(BUCKETS / 2);
                let middle = *middle;
                buckets.retain(|_, empty_at| *empty_at > middle);
            }
        }
        let (decision, next) = rate.decide(buckets.get(key).copied().unwrap_or(0), now, cost);
        if let Some(next) = next {
            buckets.insert(key.to_owned(), next);
        }
        decision
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_stay_bounded() {
        let memory = Memory::new();
        let rate = Rate { limit: 5, window: Duration::from_secs(3600) };
        for i in 0..BUCKETS * SHARDS * 2 {
            memory.take(&format!("k{i}"), rate, 1);
        }
        let total: usize = memory.buckets.iter().map(|b| b.lock().len()).sum();
        assert!(total <= BUCKETS * SHARDS, "{total}");
    }

    #[test]
    fn values_end() {
        let memory = Memory::new();
        memory.set("a", b"1".to_vec(), Duration::from_millis(30));
        assert_eq!(memory.get("a").as_deref(), Some(&b"1"[..]));
        std::thread::sleep(Duration::from_millis(60));
        assert_eq!(memory.get("a"), None);
    }
}
