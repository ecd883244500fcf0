//! Cancellation and time: when a step has to stop, and how long it may resist.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::spawn::{INT_GRACE, Stop, TERM_GRACE, reached};

/// How long `always()` steps may run after a cancel, all together.
const CANCEL_GRACE: Duration = Duration::from_secs(300);
/// How much longer than its signals take a step is waited for.
const SLACK: Duration = Duration::from_secs(5);

/// Why a step was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It was not.
    None,
    /// The job was cancelled, or its time is over.
    Cancelled,
    /// Its own time is over.
    StepTimeout,
    /// Everything stops at once.
    Killed,
}

/// Stop requests and deadlines of a job.
pub(crate) struct Control {
    stop: watch::Receiver<Stop>,
    deadline: Instant,
    grace_end: Option<Instant>,
    /// The job is cancelled.
    pub(crate) cancelled: bool,
    /// It was because its time is over.
    pub(crate) timed_out: bool,
    /// Nothing more may run.
    pub(crate) killed: bool,
}

impl Control {
    pub(crate) fn new(stop: watch::Receiver<Stop>, timeout: Duration) -> Self {
        Self { stop, deadline: Instant::now() + timeout, grace_end: None, cancelled: false, timed_out: false, killed: false }
    }

    /// Sees what was asked for between two steps.
    pub(crate) fn look(&mut self) {
        let level = *self.stop.borrow();
        if level >= Stop::Cancel && !self.cancelled {
            self.cancel();
        }
        if !self.cancelled && Instant::now() >= self.deadline {
            self.timed_out = true;
            self.cancel();
        }
        self.killed |= level == Stop::Kill || self.grace_end.is_some_and(|end| Instant::now() >= end);
    }

    /// What a step that goes on after a cancel has to look at itself: the requests to stop, and the end of the job's time.
    pub(crate) fn signals(&self) -> (watch::Receiver<Stop>, Instant) {
        (self.stop.clone(), self.deadline)
    }

    fn cancel(&mut self) {
        self.cancelled = true;
        self.grace_end = Some(Instant::now() + CANCEL_GRACE);
    }

    /// Waits for `work`, telling it when to stop; gives up on it when it does not. `keeps` says that the step goes on
    /// after a cancel.
    pub(crate) async fn watch<T>(
        &mut self,
        keeps: bool,
        step_deadline: Option<Instant>,
        tell: &watch::Sender<Stop>,
        work: impl Future<Output = T>,
    ) -> (Option<T>, Cause) {
        tokio::pin!(work);
        let mut cause = Cause::None;
        let mut give_up: Option<Instant> = None;
        // two of them: both are waited for at the same time
        let (mut kills, mut cancels) = (self.stop.clone(), self.stop.clone());
        loop {
            let (level, why) = tokio::select! {
                biased;
                result = &mut work => return (Some(result), cause),
                () = reached(&mut kills, Stop::Kill), if cause != Cause::Killed => (Stop::Kill, Cause::Killed),
                () = at(self.grace_end), if cause != Cause::Killed => (Stop::Kill, Cause::Killed),
                () = reached(&mut cancels, Stop::Cancel), if !self.cancelled => {
                    self.cancel();
                    if keeps { continue }
                    (Stop::Cancel, Cause::Cancelled)
                }
                () = at(Some(self.deadline)), if !self.cancelled => {
                    self.timed_out = true;
                    self.cancel();
                    if keeps { continue }
                    (Stop::Cancel, Cause::Cancelled)
                }
                () = at(step_deadline), if cause == Cause::None => (Stop::Cancel, Cause::StepTimeout),
                () = at(give_up) => return (None, cause),
            };
            self.killed |= level == Stop::Kill;
            cause = why;
            give_up = Some(Instant::now() + if level == Stop::Kill { SLACK } else { INT_GRACE + TERM_GRACE + SLACK });
            tell.send_if_modified(|now| std::mem::replace(now, level.max(*now)) < level);
        }
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
