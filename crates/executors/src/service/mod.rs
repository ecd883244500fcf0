//! Long-lived applications: a release of an environment as a process in an unpacked image, or as a container.
//!
//! An instance has a name, and everything of it is found again by that name: after a crash of the service it is taken
//! up where it is, and starting a name that already runs first ends what ran under it. Nothing here decides what should
//! run; the deploy manager does.

pub mod docker;
pub mod process;
pub mod rootfs;

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use async_trait::async_trait;

/// What an application is started with.
#[derive(Clone, Debug, Default)]
pub struct App {
    /// The command; never empty.
    pub command: Vec<String>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// Where it starts, within the image.
    pub cwd: String,
    /// The image's user: empty, `name`, `uid`, `name:group`, `uid:gid`.
    pub user: String,
}

/// How an instance stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing of this name is here.
    Missing,
    /// It runs; requests go to this port on loopback.
    Running {
        /// The port.
        port: u16,
    },
    /// It ended.
    Exited {
        /// Its exit code where that is known.
        code: Option<i32>,
    },
}

/// What an instance uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Processor time since its start.
    pub cpu: Duration,
    /// Resident memory in bytes.
    pub memory: u64,
}

/// One instance of an application.
#[async_trait]
pub trait Service: Send + Sync + std::fmt::Debug {
    /// How it stands.
    ///
    /// # Errors
    /// When that cannot be found out.
    async fn state(&self) -> io::Result<State>;
    /// Asks it to end, and after `grace` makes it; then it is gone with all it started. Its log stays.
    ///
    /// # Errors
    /// When it cannot be made to.
    async fn stop(&self, grace: Duration) -> io::Result<()>;
    /// Removes what is left of a stopped instance.
    ///
    /// # Errors
    /// When something stays.
    async fn remove(&self) -> io::Result<()>;
    /// What it uses; none when it does not run.
    async fn usage(&self) -> Option<Usage>;
    /// The last `lines` lines it wrote.
    ///
    /// # Errors
    /// When the log cannot be read.
    async fn log(&self, lines: usize) -> io::Result<String>;
    /// Keeps its log from growing without end. Called from time to time.
    ///
    /// # Errors
    /// When the log cannot be cut.
    async fn trim_log(&self) -> io::Result<()>;
}

/// The last lines of a text.
fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    let mut out = all[all.len().saturating_sub(lines)..].join("\n");
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests;
