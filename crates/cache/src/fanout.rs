//! Calls within one instance. `redis_backend` carries them to the others.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// Calls a slow listener may lag behind before it gets a gap instead.
const BACKLOG: usize = 256;

/// What a listener hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// A payload that somebody published.
    Payload(Arc<[u8]>),
    /// Some calls may have been missed: look at everything.
    Gap,
}

/// A listener of one channel.
pub struct Subscription {
    receiver: broadcast::Receiver<Call>,
}

impl Subscription {
    /// Waits for the next call. `None` when the cache is gone.
    pub async fn next(&mut self) -> Option<Call> {
        match self.receiver.recv().await {
            Ok(call) => Some(call),
            Err(RecvError::Lagged(_)) => Some(Call::Gap),
            Err(RecvError::Closed) => None,
        }
    }
}

#[derive(Default)]
pub(crate) struct Fanout {
    channels: Mutex<HashMap<String, broadcast::Sender<Call>>>,
}

impl Fanout {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn subscribe(&self, channel: &str) -> Subscription {
        let mut channels = self.channels.lock();
        // channels nobody listens to any more go when the map has doubled since
        if channels.len() >= 64 && channels.len().is_power_of_two() {
            channels.retain(|_, sender| sender.receiver_count() > 0);
        }
        let sender = channels.entry(channel.to_owned()).or_insert_with(|| broadcast::channel(BACKLOG).0);
        Subscription { receiver: sender.subscribe() }
    }

    pub(crate) fn deliver(&self, channel: &str, payload: &[u8]) {
        let mut channels = self.channels.lock();
        let Some(sender) = channels.get(channel) else { return };
        if sender.send(Call::Payload(payload.into())).is_err() {
            channels.remove(channel);
        }
    }

    /// Tells everybody that calls may have been missed.
    pub(crate) fn gap(&self) {
        self.channels.lock().retain(|_, sender| sender.send(Call::Gap).is_ok());
    }
}
