//! Waking those who wait for a change: in process at once, across instances by LISTEN/NOTIFY. A wake is only a hint:
//! every waiter also looks by itself from time to time, so a lost one costs time and never correctness.
//!
//! Other instances are told after the commit and not by it: PostgreSQL lets only one transaction that notifies commit at a
//! time, and so would take the commits of all jobs one after the other, each with its wait for the disk.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::postgres::{PgListener, PgPool};
use tokio::sync::{Notify, broadcast};

/// Every waiter looks: something may have been missed.
const ALL: &str = "*";
/// More topics than this that wait to be told become [`ALL`].
const PENDING: usize = 4096;

/// The hub of one instance.
#[derive(Clone)]
pub struct Wake {
    sender: broadcast::Sender<Arc<str>>,
    others: Option<Arc<Others>>,
}

/// What the other instances have not been told yet.
struct Others {
    pending: Mutex<Pending>,
    fresh: Notify,
    told: Notify,
    /// How this instance knows its own notes.
    mark: String,
}

#[derive(Default)]
struct Pending {
    topics: BTreeSet<String>,
    /// Some are being told now.
    telling: bool,
}

impl Wake {
    /// The hub of an instance that is alone, or of one of several.
    pub(crate) fn new(alone: bool) -> Self {
        let others = || {
            let mark = format!("{:016x}", rand::random::<u64>());
            Arc::new(Others { pending: Mutex::default(), fresh: Notify::new(), told: Notify::new(), mark })
        };
        Self { sender: broadcast::channel(1024).0, others: (!alone).then(others) }
    }

    /// All topics from now on. A receiver that lags must look at everything it waits for.
    pub fn subscribe(&self) -> Waiter {
        Waiter { receiver: self.sender.subscribe() }
    }

    /// Wakes this instance's waiters.
    pub fn send(&self, topic: &str) {
        // no receiver is no error
        let _ = self.sender.send(topic.into());
    }

    /// Wakes this instance's waiters, and soon those of the others.
    pub(crate) fn send_all(&self, topic: String) {
        self.send(&topic);
        if let Some(others) = &self.others {
            let mut pending = others.pending.lock();
            if pending.topics.len() < PENDING {
                pending.topics.insert(topic);
            } else {
                pending.topics = BTreeSet::from([ALL.to_owned()]);
            }
            others.fresh.notify_one();
        }
    }

    /// Waits, a moment at most, until the others have been told everything.
    pub(crate) async fn flush(&self) {
        let Some(others) = &self.others else { return };
        let told = async {
            loop {
                let told = others.told.notified();
                let still = {
                    let pending = others.pending.lock();
                    pending.telling || !pending.topics.is_empty()
                };
                if !still {
                    return;
                }
                told.await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(1), told).await;
    }
}

/// One waiter's view of the hub.
pub struct Waiter {
    receiver: broadcast::Receiver<Arc<str>>,
}

/// Why a waiter goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// By a topic that it waits for.
    Heard,
    /// It may have missed some: it looks at everything it waits for.
    Missed,
    /// By the time.
    Late,
}

impl Waiter {
    /// Waits until a topic that `wanted` accepts is sent, some may have been missed, or `at_most` has passed.
    pub async fn wait(&mut self, at_most: Duration, wanted: impl Fn(&str) -> bool) -> Woken {
        let heard = async {
            loop {
                match self.receiver.recv().await {
                    Ok(topic) if &*topic == ALL => return Woken::Missed,
                    Ok(topic) if wanted(&topic) => return Woken::Heard,
                    Ok(_) => {}
                    Err(broadcast::error::RecvError::Lagged(_)) => return Woken::Missed,
                    Err(broadcast::error::RecvError::Closed) => std::future::pending::<()>().await,
                }
            }
        };
        tokio::time::timeout(at_most, heard).await.unwrap_or(Woken::Late)
    }
}

/// Hears the other instances and tells them, as long as the pool is open.
pub(crate) fn listen(pool: PgPool, wake: Wake) {
    let Some(others) = wake.others.clone() else { return };
    tokio::spawn(tell(pool.clone(), others.clone()));
    tokio::spawn(async move {
        loop {
            if pool.is_closed() {
                return;
            }
            let heard = async {
                let mut listener = PgListener::connect_with(&pool).await?;
                listener.listen("devmentor").await?;
                // whatever was said while nobody listened
                wake.send(ALL);
                // none: the connection was lost and made again
                while let Some(note) = listener.try_recv().await? {
                    match note.payload().split_once(' ') {
                        Some((mark, _)) if mark == others.mark => {}
                        Some((_, topic)) => wake.send(topic),
                        None => wake.send(ALL),
                    }
                }
                Ok::<(), sqlx::Error>(())
            };
            if let Err(error) = heard.await {
                tracing::warn!(%error, "listening for wake-ups failed; trying again");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    });
}

async fn tell(pool: PgPool, others: Arc<Others>) {
    loop {
        others.fresh.notified().await;
        let topics = {
            let mut pending = others.pending.lock();
            pending.telling = true;
            std::mem::take(&mut pending.topics)
        };
        let notes: Vec<String> = topics.iter().map(|topic| format!("{} {topic}", others.mark)).collect();
        let sql = "SELECT pg_notify('devmentor', note) FROM unnest($1::text[]) AS note";
        let result = if notes.is_empty() { Ok(()) } else { sqlx::query(sql).bind(&notes).execute(&pool).await.map(|_| ()) };
        {
            let mut pending = others.pending.lock();
            pending.telling = false;
            if result.is_err() {
                pending.topics.extend(topics);
            }
        }
        others.told.notify_waiters();
        match result {
            Ok(()) => {}
            Err(sqlx::Error::PoolClosed) => return,
            Err(error) => {
                tracing::warn!(%error, "other instances could not be woken; trying again");
                tokio::time::sleep(Duration::from_secs(1)).await;
                others.fresh.notify_one();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn too_many_topics_are_told_as_all() {
        let wake = Wake::new(false);
        let mut waiter = wake.subscribe();
        for n in 0..=PENDING {
            wake.send_all(format!("jobs:{n}"));
        }
        let others = wake.others.as_ref().unwrap();
        assert_eq!(others.pending.lock().topics, BTreeSet::from([ALL.to_owned()]));
        assert_eq!(waiter.wait(Duration::from_secs(1), |_| false).await, Woken::Missed);
        let alone = Wake::new(true);
        let mut waiter = alone.subscribe();
        alone.send_all("run:1".into());
        assert_eq!(waiter.wait(Duration::from_secs(1), |topic| topic == "run:1").await, Woken::Heard);
        assert_eq!(waiter.wait(Duration::from_millis(1), |_| true).await, Woken::Late);
    }
}
