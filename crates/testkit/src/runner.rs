//! A runner of its own: `devmentor runner` as a process.

use std::path::PathBuf;
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::server::{Server, binary, command};

/// A running runner, that offers the label `remote` only.
pub struct Runner {
    child: Child,
    url: String,
    directory: PathBuf,
    capacity: Option<u32>,
}

impl Runner {
    /// Invites, starts and registers a runner.
    pub fn start(server: &Server) -> Self {
        Self::start_with(server, None)
    }

    /// As [`Runner::start`], with room for that many jobs at once.
    pub fn start_with(server: &Server, capacity: Option<u32>) -> Self {
        let token = server.admin().post("/runners/tokens", &serde_json::json!({})).expect(201).str("token");
        let directory = server.scratch("runner");
        let child = Self::spawn(server.url(), &directory, capacity, Some(&token));
        Self { child, url: server.url().to_owned(), directory, capacity }
    }

    fn spawn(url: &str, directory: &std::path::Path, capacity: Option<u32>, token: Option<&str>) -> Child {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(directory.join("log")).expect("a log file");
        let mut runner = command(binary());
        runner.args(["runner", "--name", "remote", "--label", "remote", "--only-labels", "--drain", "1", "--server", url, "--work-dir"]);
        runner.arg(directory);
        if let Some(capacity) = capacity {
            runner.args(["--capacity", &capacity.to_string()]);
        }
        if let Some(token) = token {
            runner.args(["--token", token]);
        }
        runner.stdin(Stdio::null()).stdout(log.try_clone().expect("a second handle")).stderr(log).spawn().expect("the runner starts")
    }

    /// Kills it as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// Starts it again where it worked before.
    pub fn restart(&mut self) {
        self.child = Self::spawn(&self.url, &self.directory, self.capacity, None);
    }

    /// What it has printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the runner's words ---\n{}", self.log());
        }
        // asked first, so that its jobs end with it
        if let (Ok(None), Ok(pid)) = (self.child.try_wait(), i32::try_from(self.child.id())) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
            let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
            while matches!(self.child.try_wait(), Ok(None)) && std::time::Instant::now() < end {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
