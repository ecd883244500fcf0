//! Waking those who wait for a change: in process at once, across instances by LISTEN/NOTIFY. A wake is only a hint:
//! every waiter also looks by itself from time to time, so a lost one costs time and never correctness.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPool};
use tokio::sync::broadcast;

/// The hub of one instance.
#[derive(Clone)]
pub struct Wake {
    sender: broadcast::Sender<Arc<str>>,
}

impl Wake {
    pub(crate) fn new() -> Self {
        Self { sender: broadcast::channel(1024).0 }
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
}

/// One waiter's view of the hub.
pub struct Waiter {
    receiver: broadcast::Receiver<Arc<str>>,
}

impl Waiter {
    /// Waits until a topic that `wanted` accepts is sent, this waiter has lagged, or `at_most` has passed.
    pub async fn wait(&mut self, at_most: Duration, wanted: impl Fn(&str) -> bool) {
        let _ = tokio::time::timeout(at_most, async {
            loop {
                match self.receiver.recv().await {
                    Ok(topic) if wanted(&topic) => return,
                    Ok(_) => {}
                    Err(broadcast::error::RecvError::Lagged(_)) => return,
                    Err(broadcast::error::RecvError::Closed) => std::future::pending::<()>().await,
                }
            }
        })
        .await;
    }
}

pub(crate) fn listen(pool: PgPool, wake: Wake) {
    tokio::spawn(async move {
        loop {
            if pool.is_closed() {
                return;
            }
            let heard = async {
                let mut listener = PgListener::connect_with(&pool).await?;
                listener.listen("devmentor").await?;
                loop {
                    let note = listener.recv().await?;
                    wake.send(note.payload());
                }
                #[expect(unreachable_code, reason = "names the error type of the block")]
                Ok::<(), sqlx::Error>(())
            };
            if let Err(error) = heard.await {
                tracing::warn!(%error, "listening for wake-ups failed; trying again");
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
}
