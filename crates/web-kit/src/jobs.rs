//! What an area does besides answering requests: handlers of leased work, and reconcilers that run by period and signal.

use std::time::Duration;

use futures::future::BoxFuture;
use kernel::{Result, Timestamp};
use store::WorkRow;

use crate::app::App;

/// Handles one kind of work. Idempotent: it may run again after a crash.
pub type JobFn = fn(App, WorkRow) -> BoxFuture<'static, Result<()>>;

/// Brings the outside in line with what is recorded. Takes no input, is idempotent, and runs on every instance.
pub type Reconcile = fn(App) -> BoxFuture<'static, Result<()>>;

/// When a reconciler is needed next; none when nothing is planned.
pub type Next = fn(App) -> BoxFuture<'static, Result<Option<Timestamp>>>;

/// A reconciler with its period and the wake topic that runs it at once.
#[derive(Clone, Copy)]
pub struct Reconciler {
    /// For logs and metrics.
    pub name: &'static str,
    /// How often at least.
    pub period: Duration,
    /// Runs at once when this topic is woken.
    pub topic: Option<&'static str>,
    /// What it does.
    pub run: Reconcile,
    /// When it is needed before its period is over.
    pub next: Option<Next>,
}

/// The jobs of an area.
#[derive(Default)]
pub struct Jobs {
    /// Handlers by kind of work.
    pub kinds: Vec<(&'static str, JobFn)>,
    /// Reconcilers.
    pub reconcilers: Vec<Reconciler>,
}

impl Jobs {
    /// With one more handler.
    #[must_use]
    pub fn on(mut self, kind: &'static str, run: JobFn) -> Self {
        self.kinds.push((kind, run));
        self
    }

    /// With one more reconciler.
    #[must_use]
    pub fn every(mut self, name: &'static str, period: Duration, topic: Option<&'static str>, run: Reconcile) -> Self {
        self.reconcilers.push(Reconciler { name, period, topic, run, next: None });
        self
    }

    /// With one more reconciler that knows when it is needed next.
    #[must_use]
    pub fn timed(mut self, name: &'static str, topic: Option<&'static str>, run: Reconcile, next: Next) -> Self {
        self.reconcilers.push(Reconciler { name, period: Duration::from_secs(300), topic, run, next: Some(next) });
        self
    }
}
