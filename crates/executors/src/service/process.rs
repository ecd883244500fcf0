//! An application as a process: the image's files as its root, a user and process space of its own, no rights. It does
//! not end with the service: it is found again by a mark in its environment and taken up where it is.
//!
//! What keeps it in: bubblewrap with its own user, process, IPC and host-name space over the unpacked image, run as an
//! unprivileged user of its own where the service is root; and a control group where those can be made.

use std::collections::BTreeSet;
use std::fs;
use std::fs::File;
use std::fs::Permissions;
use std::io;
use std::io::Read as _;
use std::io::Seek as _;
use std::io::SeekFrom;
use std::io::Write as _;
use std::ops::RangeInclusive;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use rand::RngExt as _;
use tokio::process::Command;

use super::App;
use super::Service;
use super::State;
use super::Usage;
use super::rootfs::Rootfs;
use crate::sandbox::cgroup::Cgroups;
use crate::sandbox::cgroup::Limits;
use crate::spawn;

/// The mark in the environment of our own helpers, followed by the instance's directory.
const MARK: &str = "DEVMENTOR_SERVICE";
/// A log over this is cut to its second half.
const LOG_LIMIT: u64 = 16 << 20;
/// Bytes read for the last lines.
const TAIL: u64 = 1 << 20;
/// Applications get ports from here on, and this many are tried.
const PORT_FROM: u16 = 10_000;
const PORT_TRIES: u32 = 100;
/// Enters the control groups named before `--`, then becomes the program after it.
const ENTER: &str = r#"while [ "$1" != "--" ]; do echo 0 > "$1" || exit 125; shift; done; shift; exec "$@""#;
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Can applications be run as processes on this machine?
///
/// # Errors
/// What is missing, in words.
pub async fn available() -> Result<(), String> {
    let mut probe = if root() { privileges(200_000) } else { Vec::new() };
    probe.extend(["bwrap", "--unshare-user", "--unshare-pid", "--ro-bind", "/", "/", "true"].map(str::to_owned));
    let argv: Vec<&str> = probe.iter().map(String::as_str).collect();
    match spawn::capture(&argv, Duration::from_secs(10)).await {
        Ok((0, _)) => Ok(()),
        Ok((_, output)) => Err(format!("bubblewrap cannot make its spaces here: {}", output.trim())),
        Err(_) => Err("bubblewrap (bwrap) and setpriv (util-linux) are needed to run an application as a process".into()),
    }
}

fn root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn privileges(uid: u32) -> Vec<String> {
    let uid = uid.to_string();
    ["setpriv", "--reuid", &uid, "--regid", &uid, "--clear-groups", "--no-new-privs", "--"].map(str::to_owned).to_vec()
}

/// A directory for instances that the unprivileged users can reach: `wanted`, or one under `/var/lib` when a directory
/// above `wanted` is closed to them.
///
/// # Errors
/// When it cannot be made.
pub fn reachable(wanted: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(wanted)?;
    let wanted = wanted.canonicalize()?;
    let open = |dir: &Path| fs::metadata(dir).is_ok_and(|m| m.permissions().mode() & 0o001 != 0);
    fs::set_permissions(&wanted, Permissions::from_mode(0o711))?;
    if !root() || wanted.ancestors().all(open) {
        return Ok(wanted);
    }
    use sha2::Digest as _;
    let mark = hex::encode(&sha2::Sha256::digest(wanted.as_os_str().as_encoded_bytes())[..8]);
    let dir = Path::new("/var/lib/devmentor-apps").join(mark);
    fs::create_dir_all(&dir)?;
    fs::set_permissions(&dir, Permissions::from_mode(0o711))?;
    Ok(dir)
}

/// An instance in a directory of its own: `rootfs/`, `log`, `port`, `leader`, `exit`.
#[derive(Clone, Debug)]
pub struct Process {
    dir: PathBuf,
    name: String,
    /// The user outside, where we may choose it.
    uid: Option<u32>,
}

impl Process {
    /// The instance `name` below `base`. `uid` is the user it is given when we are root; no other application has it.
    pub fn new(base: &Path, name: &str, uid: u32) -> Self {
        Self { dir: base.join(name), name: name.to_owned(), uid: root().then_some(uid) }
    }

    /// Where its image is unpacked.
    pub fn rootfs(&self) -> PathBuf {
        self.dir.join("rootfs")
    }

    /// An empty root for the image's layers.
    ///
    /// # Errors
    /// The file system's.
    pub fn prepare(&self, limits: super::rootfs::Limits) -> io::Result<Rootfs> {
        fs::create_dir_all(&self.dir)?;
        fs::set_permissions(&self.dir, Permissions::from_mode(0o711))?;
        Rootfs::create(&self.rootfs(), self.uid, limits)
    }

    /// Starts it in the prepared root, on a free port that `PORT` tells it and that is none of `others`; ends first what
    /// runs under its name.
    ///
    /// # Errors
    /// When it cannot be started. That it ends at once is no error here: its state tells.
    pub async fn start(&self, app: &App, others: &RangeInclusive<u16>) -> io::Result<u16> {
        self.stop(Duration::ZERO).await?;
        let port = free_port(others)?;
        fs::write(self.dir.join("port"), port.to_string())?;
        let _ = fs::remove_file(self.dir.join("exit"));
        let log = File::options().create(true).append(true).mode(0o600).open(self.dir.join("log"))?;
        let mut argv: Vec<String> = ["/bin/sh", "-c", ENTER, "sh"].map(str::to_owned).to_vec();
        if let Ok(groups) = Cgroups::find()
            && let Ok(group) = groups.create(&self.name, &Limits { pids: 2048, ..Limits::default() })
        {
            argv.extend(group.doors());
        }
        argv.push("--".into());
        argv.extend(self.uid.map(privileges).unwrap_or_default());
        argv.extend(["bwrap", "--args", "0", "--"].map(str::to_owned));
        argv.extend(app.command.iter().cloned());
        #[expect(clippy::disallowed_methods, reason = "executors start programs")]
        let mut command = Command::new(&argv[0]);
        command.args(&argv[1..]).env_clear().env("PATH", PATH).env(MARK, &self.dir).process_group(0).current_dir("/");
        command.stdin(Stdio::from(self.arguments(app, port)?)).stdout(log.try_clone()?).stderr(log);
        let mut child = command.spawn()?;
        if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok())
            && let Some((_, _, started)) = spawn::stat(pid)
        {
            fs::write(self.dir.join("leader"), format!("{pid} {started}"))?;
        }
        let exit = self.dir.join("exit");
        tokio::spawn(async move {
            // also takes the dead process off the kernel's hands; a service that is gone leaves that to init
            if let Ok(status) = child.wait().await {
                use std::os::unix::process::ExitStatusExt as _;
                let code = status.code().or_else(|| status.signal().map(|s| 128 + s)).unwrap_or(-1);
                let _ = fs::write(exit, code.to_string());
            }
        });
        Ok(port)
    }

    /// bubblewrap's own arguments, which hold the application's secrets: handed over in a file without a name, so that
    /// no list of processes shows them.
    fn arguments(&self, app: &App, port: u16) -> io::Result<File> {
        let rootfs = self.rootfs();
        let (uid, gid) = user(&rootfs, &app.user)?;
        let mut args: Vec<String> = Vec::new();
        let mut add = |parts: &[&str]| args.extend(parts.iter().map(|&p| p.to_owned()));
        add(&["--unshare-user", "--uid", &uid.to_string(), "--gid", &gid.to_string()]);
        add(&["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--hostname", "app", "--new-session"]);
        add(&["--bind", &rootfs.to_string_lossy(), "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]);
        for file in ["/etc/resolv.conf", "/etc/hosts"] {
            // names are resolved as on the machine; through links, the image could name any place
            if rootfs.join("etc").is_dir() && !rootfs.join("etc").is_symlink() && !rootfs.join(&file[1..]).is_symlink() {
                add(&["--ro-bind-try", file, file]);
            }
        }
        add(&["--clearenv"]);
        let defaults = [("PATH", PATH.to_owned()), ("HOME", "/".to_owned())];
        let port = [("PORT", port.to_string())];
        for (name, value) in defaults.iter().filter(|(n, _)| !app.env.contains_key(*n)) {
            add(&["--setenv", name, value]);
        }
        for (name, value) in app.env.iter().filter(|(n, _)| *n != "PORT") {
            add(&["--setenv", name, value]);
        }
        add(&["--setenv", port[0].0, &port[0].1]);
        add(&["--chdir", if app.cwd.is_empty() { "/" } else { &app.cwd }]);
        if args.iter().chain(&app.command).any(|a| a.contains('\0')) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a NUL in the environment or command"));
        }
        let mut file = tempfile::tempfile()?;
        for arg in args {
            file.write_all(arg.as_bytes())?;
            file.write_all(b"\0")?;
        }
        file.rewind()?;
        Ok(file)
    }

    /// The helper that everything else of the instance descends from. The mark finds what is left when that has died, or
    /// was not written down; it alone would not do, for a program that is just becoming another shows no environment.
    fn leader(&self) -> Option<i32> {
        let recorded = fs::read_to_string(self.dir.join("leader")).ok();
        let recorded = recorded.as_deref().and_then(|text| text.split_once(' '));
        if let Some((Ok(pid), Ok(started))) = recorded.map(|(pid, started)| (pid.parse(), started.parse()))
            && spawn::runs(pid, started)
        {
            return Some(pid);
        }
        let mark = format!("{MARK}={}", self.dir.display());
        let marked: BTreeSet<i32> = spawn::pids().into_iter().filter(|pid| has_mark(*pid, mark.as_bytes())).collect();
        marked.iter().copied().find(|pid| spawn::stat(*pid).is_some_and(|s| !marked.contains(&s.0)))
    }

    fn tree(leader: i32) -> Vec<i32> {
        let mut out = vec![leader];
        let mut at = 0;
        while let Some(&pid) = out.get(at) {
            out.extend(spawn::children(pid));
            at += 1;
        }
        out
    }

    fn port(&self) -> Option<u16> {
        fs::read_to_string(self.dir.join("port")).ok()?.trim().parse().ok()
    }
}

/// A port that nobody has. The kernel gives outgoing connections theirs from a range of its own, and one of those could
/// be quicker than the application; so it lies below that range, if there is room.
fn free_port(others: &RangeInclusive<u16>) -> io::Result<u16> {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let end = range.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(32_768);
    let free = |port: u16| std::net::TcpListener::bind(("0.0.0.0", port)).and_then(|l| Ok(l.local_addr()?.port()));
    for _ in 0..if end > PORT_FROM { PORT_TRIES } else { 0 } {
        let port = rand::rng().random_range(PORT_FROM..end);
        if !others.contains(&port)
            && let Ok(port) = free(port)
        {
            return Ok(port);
        }
    }
    free(0)
}

fn has_mark(pid: i32, mark: &[u8]) -> bool {
    // a dead process that nobody has asked about has no environment any more
    fs::read(format!("/proc/{pid}/environ")).is_ok_and(|env| env.split(|b| *b == 0).any(|var| var == mark))
}

/// Uid and gid within the image for its `User`.
fn user(rootfs: &Path, text: &str) -> io::Result<(u32, u32)> {
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    let read = |file: &str| -> io::Result<String> {
        let path = Rootfs::resolve(rootfs, Path::new(file))?;
        let mut text = String::new();
        File::open(path)?.take(1 << 20).read_to_string(&mut text)?;
        Ok(text)
    };
    let unknown = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("the image has no {what:?}"));
    let field = |file: &str, name: &str, at: usize| -> Option<u32> {
        let text = read(file).ok()?;
        text.lines().map(|l| l.split(':').collect::<Vec<_>>()).find(|l| l.first() == Some(&name))?.get(at)?.parse().ok()
    };
    let uid = match user {
        "" => 0,
        name => name.parse().ok().or_else(|| field("/etc/passwd", name, 2)).ok_or_else(|| unknown(name))?,
    };
    let gid = match group {
        "" => field("/etc/passwd", user, 3).unwrap_or(uid),
        name => name.parse().ok().or_else(|| field("/etc/group", name, 2)).ok_or_else(|| unknown(name))?,
    };
    Ok((uid, gid))
}

/// Runs what reads `/proc` or many files on a thread that may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[async_trait]
impl Service for Process {
    async fn state(&self) -> io::Result<State> {
        let this = self.clone();
        blocking(move || {
            if let (Some(_), Some(port)) = (this.leader(), this.port()) {
                return Ok(State::Running { port });
            }
            if this.port().is_none() {
                return Ok(State::Missing);
            }
            // whoever waits for the program writes the code down a moment after its end; a crash of the machine left none
            let file = this.dir.join("exit");
            let code = || fs::read_to_string(&file).ok().and_then(|t| t.trim().parse().ok());
            for _ in 0..25 {
                if let Some(code) = code() {
                    return Ok(State::Exited { code: Some(code) });
                }
                if let (Some(_), Some(port)) = (this.leader(), this.port()) {
                    return Ok(State::Running { port });
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(State::Exited { code: code() })
        })
        .await
    }

    async fn stop(&self, grace: Duration) -> io::Result<()> {
        let this = self.clone();
        let Some(leader) = blocking(move || Ok(this.leader())).await? else { return Ok(()) };
        if !grace.is_zero() {
            // leader: bubblewrap outside; its child: bubblewrap inside, first process of the space; then the application
            for inside in spawn::children(leader) {
                for app in spawn::children(inside) {
                    let _ = kill(Pid::from_raw(app), Signal::SIGTERM);
                }
            }
            let end = tokio::time::Instant::now() + grace;
            while tokio::time::Instant::now() < end && self.leader() == Some(leader) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        let this = self.clone();
        blocking(move || {
            for _ in 0..200 {
                let Some(leader) = this.leader() else { break };
                // the whole tree, because ending the leader alone would orphan the rest
                for pid in Self::tree(leader).into_iter().rev() {
                    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            if let Ok(groups) = Cgroups::find() {
                groups.remove(&this.name);
            }
            if this.leader().is_some() { Err(io::Error::other("the application does not end")) } else { Ok(()) }
        })
        .await
    }

    async fn remove(&self) -> io::Result<()> {
        self.stop(Duration::ZERO).await?;
        let dir = self.dir.clone();
        blocking(move || crate::sandbox::dirs::remove_tree(&dir)).await
    }

    async fn usage(&self) -> Option<Usage> {
        let this = self.clone();
        blocking(move || {
            let Some(leader) = this.leader() else { return Ok(None) };
            Ok(Some(Self::tree(leader).into_iter().fold(Usage::default(), |sum, pid| {
                let used = used(pid).unwrap_or_default();
                Usage { cpu: sum.cpu + used.cpu, memory: sum.memory + used.memory }
            })))
        })
        .await
        .ok()
        .flatten()
    }

    async fn log(&self, lines: usize) -> io::Result<String> {
        let path = self.dir.join("log");
        blocking(move || {
            let mut file = match File::open(path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
                other => other?,
            };
            let from = file.metadata()?.len().saturating_sub(TAIL);
            file.seek(SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            file.take(TAIL).read_to_end(&mut bytes)?;
            Ok(super::tail(&String::from_utf8_lossy(&bytes), lines))
        })
        .await
    }

    async fn trim_log(&self) -> io::Result<()> {
        let path = self.dir.join("log");
        blocking(move || {
            let mut file = match File::options().read(true).append(true).open(path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
                other => other?,
            };
            let len = file.metadata()?.len();
            if len <= LOG_LIMIT {
                return Ok(());
            }
            // the application appends to the same file: cutting it to nothing and writing the rest back keeps it open.
            // A line written in between lands before the kept ones.
            file.seek(SeekFrom::Start(len - LOG_LIMIT / 2))?;
            let mut kept = Vec::new();
            io::Read::by_ref(&mut file).take(LOG_LIMIT / 2).read_to_end(&mut kept)?;
            file.set_len(0)?;
            file.write_all(&kept)
        })
        .await
    }
}

/// Processor time and memory of one process.
fn used(pid: i32) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let resident = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?;
    // the kernel shows times in hundredths to every program
    Some(Usage { cpu: Duration::from_millis(ticks * 10), memory: resident * 1024 })
}
