//! The git program: the one place that starts it, always in a cleared environment.
//!
//! An argument list is built from words fixed in the source, object ids, and absolute paths of our own making. Text
//! from outside (a ref, a path, a message) never enters one: it goes through standard input or stays in process.
//! Options come before `--end-of-options`.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::error::{GitError, Result};
use crate::oid::Oid;

/// 2.39 is what Debian 12 has and what our tests run on. Older ones lack `core.fsync` (2.36), `safe.directory` from
/// the command line (2.38), and fixes of CVE-2022-41903 and CVE-2022-23521 (heap overflows a pusher can reach).
pub const MINIMUM_VERSION: (u32, u32) = (2, 39);

/// Most of standard error that is kept for the log.
const STDERR_KEPT: usize = 8 * 1024;

/// How long a process may take to clean up after SIGTERM before it gets SIGKILL.
const GRACE: Duration = Duration::from_secs(3);

/// The installed git program.
#[derive(Clone, Debug)]
pub struct Program {
    git: PathBuf,
    home: PathBuf,
    version: String,
}

impl Program {
    /// Finds `git` on the PATH and checks its version. `home` is an empty directory for its HOME.
    ///
    /// # Errors
    /// `Unusable` when there is none, or it is older than [`MINIMUM_VERSION`].
    pub async fn detect(home: &Path) -> Result<Self> {
        let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/local/bin:/usr/bin:/bin"));
        let git = std::env::split_paths(&path)
            .map(|dir| dir.join("git"))
            .find(|p| p.is_absolute() && p.is_file())
            .ok_or_else(|| GitError::Unusable("the git program was not found on the PATH; install git 2.39 or newer".into()))?;
        let mut program = Self { git, home: home.to_owned(), version: String::new() };
        let output = program.command("version").output(b"", Duration::from_secs(10), 4096).await?;
        let text = String::from_utf8_lossy(&output).trim().to_owned();
        let version = text.strip_prefix("git version ").unwrap_or(&text).to_owned();
        let mut numbers = version.split('.').map_while(|n| n.parse::<u32>().ok());
        let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if found < MINIMUM_VERSION {
            let (major, minor) = MINIMUM_VERSION;
            return Err(GitError::Unusable(format!(
                "git {version} is too old: {major}.{minor} or newer is needed, for core.fsync and for security fixes in what a push can reach"
            )));
        }
        program.version = version;
        Ok(program)
    }

    /// The version text, such as `2.39.5`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Begins an argument list for a sub-command.
    pub fn command(&self, subcommand: &'static str) -> Argv<'_> {
        Argv { program: self, subcommand, config: Vec::new(), flags: Vec::new(), operands: Vec::new(), env: Vec::new(), dir: None }
    }
}

/// An argument list in the making.
#[derive(Clone)]
pub struct Argv<'a> {
    program: &'a Program,
    subcommand: &'static str,
    config: Vec<String>,
    flags: Vec<String>,
    operands: Vec<OsString>,
    env: Vec<(&'static str, OsString)>,
    dir: Option<PathBuf>,
}

impl Argv<'_> {
    /// `-c key=value`; the value is a number or word of ours.
    #[must_use]
    pub fn config(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.config.push(format!("{key}={value}"));
        self
    }

    /// An option as it stands.
    #[must_use]
    pub fn flag(mut self, flag: &'static str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }

    /// `--name=number`.
    #[must_use]
    pub fn flag_number(mut self, name: &'static str, value: u64) -> Self {
        self.flags.push(format!("{name}={value}"));
        self
    }

    /// An operand: a path we made.
    #[must_use]
    pub fn path(mut self, path: &Path) -> Self {
        debug_assert!(path.is_absolute(), "relative paths could be taken for options");
        self.operands.push(path.as_os_str().to_owned());
        self
    }

    /// An operand: a word fixed in the source.
    #[must_use]
    pub fn word(mut self, word: &'static str) -> Self {
        self.operands.push(word.into());
        self
    }

    /// An operand: an object id.
    #[must_use]
    pub fn oid(mut self, oid: Oid) -> Self {
        self.operands.push(oid.to_hex().into());
        self
    }

    /// A variable of the environment, which is otherwise empty.
    #[must_use]
    pub fn env(mut self, key: &'static str, value: impl Into<OsString>) -> Self {
        self.env.push((key, value.into()));
        self
    }

    /// Runs inside a repository.
    #[must_use]
    pub fn in_repository(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.to_owned());
        self
    }

    /// Starts it with pipes.
    ///
    /// # Errors
    /// `Io` when the process cannot be made.
    pub fn spawn(&self) -> Result<Running> {
        #[expect(clippy::disallowed_methods, reason = "the one place that starts git")]
        let mut command = Command::new(&self.program.git);
        command.env_clear();
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", &self.program.home).env("XDG_CONFIG_HOME", &self.program.home);
        for (key, value) in [
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_ATTR_NOSYSTEM", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            ("GIT_NO_LAZY_FETCH", "1"),
            ("GIT_OPTIONAL_LOCKS", "0"),
            // no single allocation over this: a tree or commit that inflates to gigabytes ends the process, not the machine
            ("GIT_ALLOC_LIMIT", "1g"),
            ("LC_ALL", "C"),
            ("TZ", "UTC"),
        ] {
            command.env(key, value);
        }
        for (key, value) in &self.env {
            command.env(key, value);
        }
        // not left to a repository's own configuration file: durability, and never a hook, helper or transport
        command.args(["-c", "core.fsync=all", "-c", "core.fsyncMethod=fsync", "-c", "core.hooksPath=/dev/null"]);
        command.args(["-c", "safe.directory=*", "-c", "protocol.allow=never", "-c", "gc.auto=0", "-c", "maintenance.auto=false"]);
        for entry in &self.config {
            command.arg("-c").arg(entry);
        }
        if let Some(dir) = &self.dir {
            let mut git_dir = OsString::from("--git-dir=");
            git_dir.push(dir);
            command.arg(git_dir).current_dir(dir);
        } else {
            command.current_dir(&self.program.home);
        }
        command.arg(self.subcommand).args(&self.flags);
        if !self.operands.is_empty() {
            command.arg("--end-of-options").args(&self.operands);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        // a group of its own, so that pack-objects dies with its upload-pack
        command.process_group(0);
        let mut child = command.spawn().map_err(GitError::io(format!("start git {}", self.subcommand)))?;
        metrics::counter!("git_processes_total", "command" => self.subcommand).increment(1);
        let stderr = child.stderr.take().map(|pipe| tokio::spawn(keep_tail(pipe)));
        Ok(Running { stdin: child.stdin.take(), stdout: child.stdout.take(), child: Some(child), stderr, command: self.subcommand })
    }

    /// Runs it to the end: feeds `stdin`, returns standard output.
    ///
    /// # Errors
    /// `Program` on a bad exit, `Timeout`, `TooLarge` when it writes more than `max` bytes.
    pub async fn output(&self, stdin: &[u8], limit: Duration, max: usize) -> Result<Vec<u8>> {
        let mut running = self.spawn()?;
        let work = async {
            let (input, output) = (running.stdin.take(), running.stdout.take());
            let feed = async {
                if let Some(mut pipe) = input {
                    // a process that ends without reading its input says why by its status
                    let _ = pipe.write_all(stdin).await;
                }
            };
            let read = async {
                let mut out = Vec::new();
                if let Some(pipe) = output {
                    pipe.take(max as u64 + 1).read_to_end(&mut out).await.map_err(GitError::io("read from git"))?;
                }
                Ok::<_, GitError>(out)
            };
            let ((), out) = tokio::join!(feed, read);
            let out = out?;
            if out.len() > max {
                return Err(GitError::TooLarge("the answer of git is too large".into()));
            }
            running.finish().await?;
            Ok(out)
        };
        tokio::time::timeout(limit, work).await.map_err(|_| GitError::Timeout)?
    }
}

/// A git process and its pipes. Dropped before its end, it and its children are ended: asked first, since
/// `receive-pack` removes its quarantine when asked, then killed.
pub struct Running {
    child: Option<Child>,
    /// Where to write.
    pub stdin: Option<ChildStdin>,
    /// Where to read.
    pub stdout: Option<ChildStdout>,
    stderr: Option<tokio::task::JoinHandle<Vec<u8>>>,
    command: &'static str,
}

impl Running {
    /// Waits for the end.
    ///
    /// # Errors
    /// `Program` when it did not end well.
    pub async fn finish(&mut self) -> Result<()> {
        let (status, stderr) = self.wait().await?;
        if status.success() {
            return Ok(());
        }
        Err(GitError::Program { command: self.command, status: status.to_string(), stderr })
    }

    /// Ends it now, and returns when it has ended.
    pub async fn stop(mut self) {
        self.stdin = None;
        if let Some(mut child) = self.child.take() {
            end(&mut child).await;
        }
    }

    /// Waits for the end, whatever it is.
    async fn wait(&mut self) -> Result<(ExitStatus, String)> {
        self.stdin = None;
        let Some(child) = self.child.as_mut() else {
            return Err(GitError::Unusable("the process was waited for already".into()));
        };
        let status = child.wait().await.map_err(GitError::io("wait for git"))?;
        self.child = None;
        let stderr = match self.stderr.take() {
            Some(task) => task.await.unwrap_or_default(),
            None => Vec::new(),
        };
        Ok((status, String::from_utf8_lossy(&stderr).trim().to_owned()))
    }
}

/// Asks the process group to end, then makes it.
async fn end(child: &mut Child) {
    // none once it was reaped, so the number cannot be another's by now
    let Some(group) = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw) else { return };
    let _ = killpg(group, Signal::SIGTERM);
    if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
        let _ = killpg(group, Signal::SIGKILL);
        let _ = child.wait().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // outside a runtime `kill_on_drop` has to do
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { end(&mut child).await });
        }
    }
}

/// Reads to the end and keeps the last bytes.
async fn keep_tail(mut pipe: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut buffer = [0u8; 4096];
    while let Ok(n @ 1..) = pipe.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..n]);
        if kept.len() > 2 * STDERR_KEPT {
            kept.drain(..kept.len() - STDERR_KEPT);
        }
    }
    let excess = kept.len().saturating_sub(STDERR_KEPT);
    kept.drain(..excess);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn finds_git_and_sees_nothing_of_our_environment() {
        let home = tempfile::tempdir().unwrap();
        let git = Program::detect(home.path()).await.unwrap();
        assert!(git.version().starts_with('2'));
        let out = git.command("config").flag("--list").flag("--show-origin").output(b"", Duration::from_secs(5), 1 << 16).await.unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("core.fsync=all"), "{text}");
        assert!(text.lines().all(|l| l.starts_with("command line:")), "{text}");
    }

    #[tokio::test]
    async fn a_failure_carries_what_git_said() {
        let home = tempfile::tempdir().unwrap();
        let git = Program::detect(home.path()).await.unwrap();
        let error = git.command("rev-parse").flag("--verify").word("nonsense").output(b"", Duration::from_secs(5), 100).await.unwrap_err();
        assert!(matches!(&error, GitError::Program { stderr, .. } if !stderr.is_empty()), "{error}");
    }

    #[tokio::test]
    async fn dropping_ends_the_process() {
        let home = tempfile::tempdir().unwrap();
        let git = Program::detect(home.path()).await.unwrap();
        let running = git.command("cat-file").flag("--batch").spawn().unwrap();
        let id = running.child.as_ref().unwrap().id().unwrap();
        drop(running);
        for _ in 0..100 {
            if !Path::new(&format!("/proc/{id}")).exists() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the process is still there");
    }
}
