//! Redis: commands over one multiplexed connection that mends itself, and one listening connection per instance.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisError, RedisResult, cmd};
use tokio::task::JoinHandle;

use crate::fanout::Fanout;
use crate::limit::{Decision, Rate};

/// All our keys and channels start so, for Redis servers that others use too.
const PREFIX: &str = "devmentor:";

/// A cache that is slower than this is not one.
const TIMEOUT: Duration = Duration::from_millis(500);

/// After a failure Redis is left alone for this long, so that its absence costs one time-out, not one per request.
const PAUSE: Duration = Duration::from_secs(1);

/// The bucket of `limit.rs`, decided where the number is. Redis's own clock is used, so instances need not agree.
const TAKE: &str = r"
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local limit, window, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local base = tonumber(redis.call('GET', KEYS[1])) or now
if base < now then base = now end
if base > now + window then base = now + window end
local after = base + math.ceil(cost * window / limit)
local allowed = 0
if after <= now + window then
  allowed = 1
  redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000) + 1)
end
return {string.format('%.0f', base), string.format('%.0f', now), allowed}";

pub(crate) struct Redis {
    manager: ConnectionManager,
    /// Who we are, so that our own calls are not heard twice.
    instance: [u8; 16],
    listener: JoinHandle<()>,
    start: Instant,
    /// Milliseconds since `start` until which Redis is left alone.
    paused_until: AtomicU64,
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Redis {
    pub(crate) fn new(url: &str, fanout: Arc<Fanout>) -> RedisResult<Self> {
        let client = Client::open(url)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(TIMEOUT))
            .set_response_timeout(Some(TIMEOUT))
            .set_number_of_retries(1)
            .set_max_delay(Duration::from_millis(100));
        let manager = ConnectionManager::new_lazy_with_config(client.clone(), config)?;
        let instance = *kernel::RequestId::new().uuid().as_bytes();
        let listener = tokio::spawn(listen(client, instance, fanout));
        Ok(Self { manager, instance, listener, start: Instant::now(), paused_until: AtomicU64::new(0) })
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Runs a command, unless a failure was seen just now.
    async fn run<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> RedisResult<T> {
        if self.elapsed() < self.paused_until.load(Ordering::Relaxed) {
            return Err(RedisError::from((redis::ErrorKind::Io, "left alone after a failure")));
        }
        self.run_now(command).await
    }

    async fn run_now<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> RedisResult<T> {
        let mut manager = self.manager.clone();
        let answer = match tokio::time::timeout(TIMEOUT, command.query_async(&mut manager)).await {
            Ok(answer) => answer,
            Err(_) => Err(RedisError::from((redis::ErrorKind::Io, "no answer in time"))),
        };
        match &answer {
            Ok(_) => self.paused_until.store(0, Ordering::Relaxed),
            Err(error) => {
                let until = self.elapsed() + u64::try_from(PAUSE.as_millis()).unwrap_or(1000);
                if self.paused_until.swap(until, Ordering::Relaxed) == 0 {
                    tracing::warn!(%error, "Redis failed; this instance goes on alone");
                }
            }
        }
        answer
    }

    pub(crate) async fn get(&self, key: &str) -> RedisResult<Option<Vec<u8>>> {
        self.run(cmd("GET").arg(format!("{PREFIX}{key}"))).await
    }

    pub(crate) async fn set(&self, key: &str, value: &[u8], ttl: Duration) -> RedisResult<()> {
        let millis = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).clamp(1, i64::MAX as u64 / 2);
        self.run(cmd("SET").arg(format!("{PREFIX}{key}")).arg(value).arg("PX").arg(millis)).await
    }

    pub(crate) async fn remove(&self, key: &str) -> RedisResult<()> {
        self.run(cmd("DEL").arg(format!("{PREFIX}{key}"))).await
    }

    pub(crate) async fn take(&self, key: &str, rate: Rate, cost: u32) -> RedisResult<Decision> {
        if rate.limit == 0 {
            return Ok(rate.decide(0, 0, cost).0);
        }
        let window = u64::try_from(rate.window.as_micros()).unwrap_or(u64::MAX).clamp(1, 1 << 50);
        let mut command = cmd("EVAL");
        command.arg(TAKE).arg(1).arg(format!("{PREFIX}rate:{key}")).arg(rate.limit).arg(window).arg(cost);
        let (base, now, allowed): (String, String, i64) = self.run(&command).await?;
        let number =
            |text: &str| text.parse::<u64>().map_err(|_| RedisError::from((redis::ErrorKind::UnexpectedReturnType, "not a number")));
        let rate = Rate { window: Duration::from_micros(window), ..rate };
        let (mut decision, _) = rate.decide(number(&base)?, number(&now)?, cost);
        // Redis decided; rounding of its floating numbers must not make us differ
        decision.allowed = allowed == 1;
        if decision.allowed {
            decision.retry = Duration::ZERO;
        }
        Ok(decision)
    }

    pub(crate) async fn publish(&self, channel: &str, payload: &[u8]) -> RedisResult<()> {
        let mut message = Vec::with_capacity(16 + payload.len());
        message.extend_from_slice(&self.instance);
        message.extend_from_slice(payload);
        self.run(cmd("PUBLISH").arg(format!("{PREFIX}call:{channel}")).arg(message)).await
    }

    pub(crate) async fn ping(&self) -> RedisResult<()> {
        self.run_now::<String>(&cmd("PING")).await.map(|_| ())
    }
}

/// Hears the calls of the other instances, for ever. Whenever the connection is (again) there, listeners are told of a
/// gap: what was said before was not heard.
async fn listen(client: Client, own: [u8; 16], fanout: Arc<Fanout>) {
    let prefix = format!("{PREFIX}call:");
    let mut delay = Duration::from_millis(100);
    loop {
        match hear(&client, &own, &prefix, &fanout).await {
            Ok(()) => delay = Duration::from_millis(100),
            Err(error) => {
                tracing::debug!(%error, "cannot listen to Redis");
                delay = (delay * 2).min(Duration::from_secs(5));
            }
        }
        tokio::time::sleep(delay).await;
    }
}

async fn hear(client: &Client, own: &[u8; 16], prefix: &str, fanout: &Fanout) -> RedisResult<()> {
    let mut pubsub = client.get_async_pubsub().await?;
    pubsub.psubscribe(format!("{prefix}*")).await?;
    fanout.gap();
    let mut stream = pubsub.into_on_message();
    while let Some(message) = stream.next().await {
        let Some(channel) = message.get_channel_name().strip_prefix(prefix) else { continue };
        let Some((from, payload)) = message.get_payload_bytes().split_at_checked(16) else { continue };
        if from != own {
            fanout.deliver(channel, payload);
        }
    }
    Ok(())
}
