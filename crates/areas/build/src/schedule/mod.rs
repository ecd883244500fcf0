//! The scheduler: what happens to the jobs of a run, and when.
//!
//! `advance` looks at a whole run under the lock of its row and does all that can be done now: skips, expands matrices,
//! queues, ends the run. Whatever changes a job (a result, a cancel, a retry, a lost lease) calls it in the same
//! transaction. It never looks at runners to decide about needs, so a job waits for nothing but what its reason says.
//!
//! Read next: `model` (pure: labels, contexts, results), `advance`, `gate`, `downstream` (jobs that start pipelines), `turn`
//! (resource groups), `finish`, `watch`.

pub mod advance;
pub mod downstream;
pub mod finish;
pub mod gate;
pub mod model;
pub mod plans;
mod quick;
pub(crate) mod turn;
pub mod watch;

use std::time::Duration;

use futures::future::BoxFuture;
use kernel::{Code, Error, Result};
use store::Tx;
use store::job::{JobRow, job_update};
use tokio::time::Instant;

/// Another transaction changed a row that this one read: begin again.
pub(crate) fn raced() -> Error {
    Error::new(Code::Unavailable, "it changed at the same moment; try again")
}

/// Writes a job, or fails with [`raced`].
pub(crate) async fn save(tx: &mut Tx, job: &mut JobRow) -> Result<()> {
    if job_update(tx, job).await? { Ok(()) } else { Err(raced()) }
}

/// How long a transaction is begun again before its failure is told.
const PATIENCE: Duration = Duration::from_secs(3);

/// Runs a transaction again when it raced with another (or PostgreSQL broke a deadlock).
pub(crate) async fn retrying<T>(attempt: impl Fn() -> BoxFuture<'static, Result<T>>) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    let mut pause = Duration::from_millis(5);
    loop {
        match attempt().await {
            Err(e) if e.is(Code::Unavailable) && Instant::now() + pause < end => {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            other => return other,
        }
    }
}
