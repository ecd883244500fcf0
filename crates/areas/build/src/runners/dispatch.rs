//! Where claimers of this instance wait. A commit that queues n jobs of a label set wakes n claimers that fit, not all.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use store::Woken;
use tokio::sync::Notify;
use web_kit::App;

use crate::schedule::model::satisfies;

/// Claimers look by themselves this often. A wake is lost only with the instance that was to tell of it, and costs time only.
const LOOK: Duration = Duration::from_secs(15);

struct Waiting {
    labels: Vec<String>,
    notify: Arc<Notify>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    listening: bool,
}

/// The claimers.
#[derive(Clone, Default)]
pub struct Dispatch(Arc<Mutex<Queue>>);

/// A place in the queue; leaves it when dropped.
pub struct Place {
    dispatch: Dispatch,
    notify: Arc<Notify>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.dispatch.0.lock().waiting.retain(|w| !Arc::ptr_eq(&w.notify, &self.notify));
    }
}

impl Place {
    /// Waits until woken, or long enough to look anyway.
    pub async fn wait(&self, at_most: Duration) {
        let _ = tokio::time::timeout(at_most.min(LOOK), self.notify.notified()).await;
    }
}

impl Dispatch {
    /// Takes a place for a claimer with these labels. Look for jobs after this, then wait.
    pub fn enter(&self, app: &App, labels: &[String]) -> Place {
        let notify = Arc::new(Notify::new());
        let mut queue = self.0.lock();
        queue.waiting.push_back(Waiting { labels: labels.to_vec(), notify: notify.clone() });
        if !queue.listening {
            queue.listening = true;
            self.listen(app);
        }
        Place { dispatch: self.clone(), notify }
    }

    fn listen(&self, app: &App) {
        let mut waiter = app.db().wake().subscribe();
        let queue = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            loop {
                let heard = Mutex::new(None);
                let woken = waiter
                    .wait(Duration::from_secs(30), |topic| {
                        let ours = topic.starts_with("jobs:");
                        if ours {
                            *heard.lock() = Some(topic.to_owned());
                        }
                        ours
                    })
                    .await;
                let Some(queue) = queue.upgrade() else { return };
                let dispatch = Dispatch(queue);
                if woken == Woken::Missed {
                    dispatch.wake_all();
                } else if let Some(topic) = heard.into_inner() {
                    dispatch.wake(&topic);
                }
            }
        });
    }

    fn wake_all(&self) {
        for waiting in self.0.lock().waiting.drain(..) {
            waiting.notify.notify_one();
        }
    }

    /// `jobs:<count>:<label,label>`
    fn wake(&self, topic: &str) {
        let mut parts = topic.splitn(3, ':').skip(1);
        let mut count: usize = parts.next().and_then(|n| n.parse().ok()).unwrap_or(1);
        let wants: Vec<String> = parts.next().unwrap_or_default().split(',').filter(|l| !l.is_empty()).map(str::to_owned).collect();
        let mut queue = self.0.lock();
        queue.waiting.retain(|w| {
            let take = count > 0 && satisfies(&w.labels, &wants);
            if take {
                count -= 1;
                w.notify.notify_one();
            }
            // its claimer comes back when it found nothing
            !take
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_there_are_jobs_are_woken() {
        let dispatch = Dispatch::default();
        for label in ["linux", "gpu", "linux", "linux"] {
            dispatch.0.lock().waiting.push_back(Waiting { labels: vec![label.into()], notify: Arc::default() });
        }
        dispatch.wake("jobs:2:linux");
        let left: Vec<String> = dispatch.0.lock().waiting.iter().map(|w| w.labels[0].clone()).collect();
        assert_eq!(left, ["gpu", "linux"]);
    }
}
