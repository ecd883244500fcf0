//! What instances share while they live: cached values, rate limits, and wake-up calls between them.
//!
//! Owns two forms behind one type: memory (one instance), and Redis (many). Holds nothing that is not also elsewhere:
//! when Redis is gone, values and limits are kept per instance until it is back, and calls reach only the own
//! instance. So **correctness must never depend on it**: cached values carry their version in the key, whoever waits
//! for a call also looks for himself now and then, and a limit may for a moment be one per instance.
//!
//! Must not know what is cached. Read next: `limit` (the bucket), `fanout` (calls).

use std::sync::Arc;
use std::time::{Duration, Instant};

mod fanout;
mod limit;
mod memory;
mod redis_backend;

pub use fanout::{Call, Subscription};
pub use limit::{Decision, Rate};

use fanout::Fanout;
use memory::Memory;
use redis_backend::Redis;

/// A Redis address that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the Redis address is not valid: {0}")]
pub struct BadUrl(String);

enum Backend {
    Memory,
    Redis(Redis),
}

struct Inner {
    backend: Backend,
    memory: Memory,
    fanout: Arc<Fanout>,
}

/// The cache. Cheap to clone.
#[derive(Clone)]
pub struct Cache(Arc<Inner>);

/// How the cache is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// `memory` or `redis`.
    pub kind: &'static str,
    /// Does it answer?
    pub ok: bool,
    /// How long the answer took.
    pub latency: Duration,
    /// What is wrong, if something is.
    pub detail: Option<String>,
}

impl Cache {
    /// For one instance.
    pub fn memory() -> Self {
        Self(Arc::new(Inner { backend: Backend::Memory, memory: Memory::new(), fanout: Arc::new(Fanout::new()) }))
    }

    /// For many instances, over Redis at `url` (`redis://[user:password@]host[:port][/db]`). Redis need not answer
    /// yet. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be read.
    pub fn redis(url: &str) -> Result<Self, BadUrl> {
        let fanout = Arc::new(Fanout::new());
        let redis = Redis::new(url, Arc::clone(&fanout)).map_err(|e| BadUrl(e.to_string()))?;
        Ok(Self(Arc::new(Inner { backend: Backend::Redis(redis), memory: Memory::new(), fanout })))
    }

    /// `memory` or `redis`.
    pub fn kind(&self) -> &'static str {
        match self.0.backend {
            Backend::Memory => "memory",
            Backend::Redis(_) => "redis",
        }
    }

    /// Reads a value.
    pub async fn get(&self, key: &str) -> Option<Vec<u8>> {
        if let Backend::Redis(redis) = &self.0.backend
            && let Ok(found) = redis.get(key).await
        {
            return found;
        }
        self.0.memory.get(key)
    }

    /// Keeps a value for `ttl`.
    pub async fn set(&self, key: &str, value: Vec<u8>, ttl: Duration) {
        if let Backend::Redis(redis) = &self.0.backend
            && redis.set(key, &value, ttl).await.is_ok()
        {
            return;
        }
        self.0.memory.set(key, value, ttl);
    }

    /// Forgets a value.
    pub async fn remove(&self, key: &str) {
        self.0.memory.remove(key);
        if let Backend::Redis(redis) = &self.0.backend {
            // lost when Redis is gone; the value then lives until its time is over
            let _ = redis.remove(key).await;
        }
    }

    /// Takes `cost` from the bucket `key`. All instances take from the same one.
    pub async fn take(&self, key: &str, rate: Rate, cost: u32) -> Decision {
        if let Backend::Redis(redis) = &self.0.backend
            && let Ok(decision) = redis.take(key, rate, cost).await
        {
            return decision;
        }
        self.0.memory.take(key, rate, cost)
    }

    /// Calls everybody who listens to `channel`, in all instances. The payload is a hint to look, not data to keep:
    /// it may be lost, and [`Call::Gap`] tells a listener when that may have happened.
    pub async fn publish(&self, channel: &str, payload: &[u8]) {
        self.0.fanout.deliver(channel, payload);
        if let Backend::Redis(redis) = &self.0.backend {
            let _ = redis.publish(channel, payload).await;
        }
    }

    /// Listens to a channel from now on.
    pub fn subscribe(&self, channel: &str) -> Subscription {
        self.0.fanout.subscribe(channel)
    }

    /// Asks whether it answers.
    pub async fn health(&self) -> Health {
        let start = Instant::now();
        let result = match &self.0.backend {
            Backend::Memory => Ok(()),
            Backend::Redis(redis) => redis.ping().await,
        };
        Health { kind: self.kind(), ok: result.is_ok(), latency: start.elapsed(), detail: result.err().map(|e| e.to_string()) }
    }
}

#[cfg(test)]
mod tests;
