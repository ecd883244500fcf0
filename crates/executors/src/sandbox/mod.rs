//! Keeps a job on the host apart from the host and from other jobs.
//!
//! With root rights and bubblewrap a job gets a user of its own, a mount, process, IPC and host-name namespace, private
//! temporary directories, an otherwise read-only machine without home directories and without the service's data, and
//! limits by cgroups. What is missing of that on a machine is said in [`Machine::capabilities`] and in the job's log.
//!
//! One namespace lives as long as the job: its holder is started first, each step enters it. What a step leaves running
//! therefore lives until the end of the job, and dies then for certain.
//!
//! Nothing of the job's environment is ever seen by a program that still has our rights: the variables are written to a
//! file that only the innermost shell, already the job's user, reads.

pub(crate) mod cgroup;
pub(crate) mod dirs;
mod kept;
mod toolchain;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::host::{ByteStream, HostError};
use crate::protocol::Capabilities;
use crate::spawn::{self, Exit, Launch, Output, Stop, Target};
use crate::usage::{Source, Tally};

pub(crate) use cgroup::Group;
pub use cgroup::Limits;
pub use dirs::{JobDirs, open_beneath, read_beneath};
pub use kept::KeepLimits;
pub use toolchain::Toolchains;

/// Enters the cgroups named before `--`, then runs the rest.
const ENTER: &str = r#"while [ "$1" != -- ]; do echo 0 > "$1" || exit 125; shift; done; shift; exec "$@""#;
/// Already the job's user: limits, variables, directory, program.
const INSIDE: &str = r#"ulimit -c 0; ulimit -n "$1" 2>/dev/null; . "$2" && cd "$3" || exit 126; shift 3; exec "$@""#;
/// Tells that the mounts are in place, then keeps the namespace.
const HOLD: &str = "echo ready; while :; do sleep 86400; done";

/// First of the users given to jobs; systemd leaves this range to others.
const UID_BASE: u32 = 60_600;
/// How many there are.
const UID_COUNT: u32 = 400;

/// How a runner uses its machine.
#[derive(Clone, Debug)]
pub struct MachineConfig {
    /// Where jobs live; belongs to one runner.
    pub root: PathBuf,
    /// Directories and files no job may see: the service's data, its configuration.
    pub hidden: Vec<PathBuf>,
    /// What each job may use.
    pub limits: Limits,
    /// More variables of the service to hand on to jobs.
    pub pass_env: Vec<String>,
    /// Address of the Docker engine; none: `DOCKER_HOST`, else its usual socket.
    pub docker_host: Option<String>,
    /// What is kept of failed jobs.
    pub keep: KeepLimits,
}

/// How jobs are kept apart here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Namespaces, and a user of its own for each job.
    NamespacesAndUser,
    /// Namespaces only: we are not root.
    Namespaces,
    /// A user of its own only: no bubblewrap.
    User,
    /// None.
    None,
}

impl Isolation {
    /// As in the runner's capabilities.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NamespacesAndUser => "namespaces+uid",
            Self::Namespaces => "namespaces",
            Self::User => "uid",
            Self::None => "none",
        }
    }

    fn namespaces(self) -> bool {
        matches!(self, Self::NamespacesAndUser | Self::Namespaces)
    }

    fn user(self) -> bool {
        matches!(self, Self::NamespacesAndUser | Self::User)
    }
}

/// This machine as a runner may use it.
pub struct Machine {
    config: MachineConfig,
    isolation: Isolation,
    cgroups: Option<cgroup::Cgroups>,
    tools: Toolchains,
    notes: Vec<String>,
    hidden: Vec<PathBuf>,
    /// Tells our groups and containers from those of another runner on the machine.
    tag: String,
    kept: kept::Kept,
    _lock: File,
}

impl Machine {
    /// Takes possession of `config.root`, finds out what the machine can do, and clears what an earlier life left.
    pub async fn prepare(config: MachineConfig) -> io::Result<Arc<Self>> {
        fs::create_dir_all(config.root.join("jobs"))?;
        let root = config.root.canonicalize()?;
        let config = MachineConfig { root: root.clone(), ..config };
        let lock = File::create(root.join("lock"))?;
        lock.try_lock().map_err(|e| io::Error::other(format!("{} is used by another runner: {e}", root.display())))?;
        let mut hasher = DefaultHasher::new();
        root.hash(&mut hasher);
        let tag = format!("{:016x}", hasher.finish());

        let mut notes = Vec::new();
        let isolation = find_isolation(&mut notes).await;
        let cgroups = match cgroup::Cgroups::find() {
            Ok(found) => Some(found),
            Err(why) => {
                notes.push(format!("memory, CPU and process limits are not enforced: {why}"));
                None
            }
        };
        let mut hidden: Vec<PathBuf> = ["/root", "/home", "/run", "/tmp", "/var/tmp", "/mnt", "/media"].iter().map(PathBuf::from).collect();
        hidden.extend(std::env::var_os("HOME").map(PathBuf::from));
        hidden.push(root.clone());
        hidden.extend(config.hidden.iter().cloned());
        if isolation == Isolation::NamespacesAndUser {
            // closed to the job's user, who must get to the root: replaced by an empty one that is open
            hidden.extend(root.ancestors().filter(|a| !world_may_enter(a)).map(Path::to_owned));
        }
        let mut hidden: Vec<PathBuf> =
            hidden.iter().filter_map(|h| h.canonicalize().ok()).filter(|h| h.as_path() != Path::new("/")).collect();
        hidden.sort();
        hidden.dedup();
        let tools = Toolchains::find(&hidden, &config.pass_env);
        if isolation == Isolation::User
            && let Some(closed) = root.ancestors().find(|a| !world_may_enter(a))
        {
            notes.push(format!("jobs run as users of their own but {} cannot be entered by them", closed.display()));
        }
        let kept = kept::Kept::open(&root, config.keep)?;
        let machine = Self { config, isolation, cgroups, tools, notes, hidden, tag, kept, _lock: lock };
        machine.sweep();
        Ok(Arc::new(machine))
    }

    /// What to tell people and the server.
    pub fn capabilities(&self) -> Capabilities {
        Capabilities {
            isolation: self.isolation.as_str().into(),
            notes: self.notes.clone(),
            docker: false,
            cgroups: self.cgroups.is_some(),
        }
    }

    /// How jobs are kept apart.
    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// Programs found on the machine.
    pub fn tools(&self) -> &Toolchains {
        &self.tools
    }

    /// The Docker engine of the machine, if it answers now.
    pub async fn docker(&self) -> Option<bollard::Docker> {
        crate::docker::available(self.config.docker_host.as_deref()).await
    }

    /// What marks containers of this runner.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// Ends processes and removes groups and directories of an earlier life.
    fn sweep(&self) {
        let jobs = self.config.root.join("jobs");
        for entry in fs::read_dir(jobs).into_iter().flatten().flatten() {
            let recorded = fs::read_to_string(entry.path().join("pid")).unwrap_or_default();
            if let Some((pid, started)) = recorded.split_once(' ').and_then(|(p, s)| Some((p.parse().ok()?, s.trim().parse().ok()?))) {
                spawn::kill_recorded(pid, started);
            }
            if let Some(groups) = &self.cgroups {
                groups.remove(&self.group_name(&entry.file_name().to_string_lossy()));
            }
            if let Err(error) = dirs::remove_tree(&entry.path()) {
                tracing::warn!(path = %entry.path().display(), %error, "an old job's directory stays");
            }
        }
    }

    fn group_name(&self, job: &str) -> String {
        format!("{}-{job}", self.tag)
    }

    /// Its directory.
    pub(crate) fn root(&self) -> &Path {
        &self.config.root
    }

    /// Are files of failed jobs kept here?
    pub(crate) fn keeps(&self) -> bool {
        self.kept.keeps()
    }

    /// The failed jobs whose files are kept.
    pub fn kept(&self) -> Vec<String> {
        self.kept.list()
    }

    /// Makes a place for a job. `workspace` is the last part of the workspace's path.
    pub async fn place(self: &Arc<Self>, job: &str, workspace: &str) -> io::Result<HostPlace> {
        let user = if self.isolation.user() { Some(take_user()?) } else { None };
        let dirs = JobDirs::create(&self.config.root, job, workspace, user.as_ref().map(|u| u.uid))?;
        self.settle(job, dirs, user).await
    }

    /// The place of a failed job as it was left, and the state that lies beside its files; none when it is not kept here.
    pub(crate) async fn place_again(self: &Arc<Self>, job: &str, workspace: &str) -> io::Result<Option<(HostPlace, String)>> {
        let user = if self.isolation.user() { Some(take_user()?) } else { None };
        let uid = user.as_ref().map(|u| u.uid);
        let (machine, job, workspace) = (Arc::clone(self), job.to_owned(), workspace.to_owned());
        let back = tokio::task::spawn_blocking(move || {
            let Some(taken) = machine.kept.take(&job, &machine.config.root.join("jobs"))? else { return Ok(None) };
            let dirs = JobDirs::reopen(&machine.config.root, &taken.place, &workspace, uid, taken.uid)?;
            Ok::<_, io::Error>(Some((taken, dirs)))
        });
        let Some((taken, dirs)) = back.await.map_err(io::Error::other)?? else { return Ok(None) };
        let place = self.settle(&taken.place, dirs, user).await?;
        Ok(Some((place, taken.state)))
    }

    async fn settle(self: &Arc<Self>, job: &str, dirs: JobDirs, user: Option<JobUser>) -> io::Result<HostPlace> {
        let group = match &self.cgroups {
            Some(groups) => Some(groups.create(&self.group_name(job), &self.config.limits)?),
            None => None,
        };
        let mut place = HostPlace {
            machine: Arc::clone(self),
            dirs,
            user,
            group,
            holder: None,
            serial: AtomicU64::new(0),
            tally: Arc::default(),
            keep: None,
            closed: false,
        };
        if self.isolation.namespaces() {
            place.hold().await?;
        }
        Ok(place)
    }
}

fn world_may_enter(dir: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(dir).is_ok_and(|m| m.permissions().mode() & 0o001 != 0)
}

async fn find_isolation(notes: &mut Vec<String>) -> Isolation {
    let root = nix::unistd::geteuid().is_root();
    let works = async |argv: &[&str]| matches!(spawn::capture(argv, Duration::from_secs(10)).await, Ok((0, _)));
    let setpriv = works(&["setpriv", "--version"]).await;
    let nsenter = works(&["nsenter", "--version"]).await && works(&["setsid", "--version"]).await;
    let mut probe = vec!["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-pid", "--unshare-ipc"];
    if !root {
        probe.push("--unshare-user");
    }
    probe.push("true");
    let bwrap = works(&probe).await;
    if !bwrap {
        notes.push("jobs see the machine's files: bubblewrap (bwrap) is not installed or may not make namespaces".into());
    } else if !nsenter {
        notes.push("jobs see the machine's files: nsenter and setsid (util-linux) are missing".into());
    }
    if !root {
        notes.push("jobs run as the runner's own user: the runner is not root".into());
    } else if !setpriv {
        notes.push("jobs run as root: setpriv (util-linux) is missing".into());
    }
    match (bwrap && nsenter, root && setpriv) {
        (true, true) => Isolation::NamespacesAndUser,
        (true, false) if !root => Isolation::Namespaces,
        (_, true) => Isolation::User,
        _ => Isolation::None,
    }
}

/// A user that no other job of the machine has while the lock is held.
struct JobUser {
    uid: u32,
    _lock: File,
}

fn take_user() -> io::Result<JobUser> {
    let dir = Path::new("/run/devmentor-runner");
    fs::create_dir_all(dir)?;
    for uid in UID_BASE..UID_BASE + UID_COUNT {
        let lock = File::create(dir.join(format!("uid-{uid}.lock")))?;
        if lock.try_lock().is_ok() {
            // whoever had it is dead, its processes may not be
            spawn::kill_user(uid);
            return Ok(JobUser { uid, _lock: lock });
        }
    }
    Err(io::Error::other("all users for jobs are taken"))
}

/// A program to run in a job's place.
pub struct Exec {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// Working directory.
    pub cwd: PathBuf,
    /// What it reads.
    pub stdin: Option<ByteStream>,
}

/// Where the programs of a job run.
#[async_trait::async_trait]
pub(crate) trait Place: Send + Sync {
    /// Runs a program to its end.
    async fn exec(
        &self,
        exec: Exec,
        output: &mut dyn Output,
        stop: watch::Receiver<Stop>,
        deadline: Option<Instant>,
    ) -> Result<Exit, HostError>;
    /// The job's directories.
    fn dirs(&self) -> &JobDirs;
    /// Variables every program starts from, `PATH` and `HOME` among them.
    fn base_env(&self) -> BTreeMap<String, String>;
    /// Where it is told what the job uses.
    fn meters(&self) -> Vec<Source>;
    /// Has the machine ended something for want of memory since the start?
    fn oom_kills(&self) -> u64 {
        0
    }
}

/// A job's sandbox on the host.
pub struct HostPlace {
    machine: Arc<Machine>,
    dirs: JobDirs,
    user: Option<JobUser>,
    group: Option<cgroup::Group>,
    holder: Option<Holder>,
    serial: AtomicU64,
    /// What programs used that have ended.
    tally: Arc<Tally>,
    /// The job whose files are to be kept at the end, and what lies beside them.
    keep: Option<(String, String)>,
    closed: bool,
}

struct Holder {
    running: spawn::Running,
    inside: i32,
}

impl HostPlace {
    /// The user of the job, if it has its own.
    pub fn uid(&self) -> Option<u32> {
        self.user.as_ref().map(|u| u.uid)
    }

    async fn hold(&mut self) -> io::Result<()> {
        let mut argv = self.enter_groups();
        argv.extend(self.bubble()?);
        argv.extend(["/bin/sh", "-c", HOLD].map(String::from));
        let mut running = spawn::start(Launch { argv, env: helper_env(), cwd: None }, false).await?;
        let mut said = Vec::new();
        let ready = async {
            let mut buffer = [0u8; 4096];
            loop {
                let count = running.out.read(&mut buffer).await?;
                said.extend_from_slice(&buffer[..count]);
                if count == 0 || said.ends_with(b"ready\n") {
                    return Ok::<_, io::Error>(count > 0);
                }
            }
        };
        let ready = tokio::time::timeout(Duration::from_secs(20), ready).await.map_err(io::Error::other)??;
        let inside = spawn::children(running.pid).first().copied();
        let (true, Some(inside)) = (ready, inside) else {
            return Err(io::Error::other(format!("the sandbox did not start: {}", String::from_utf8_lossy(&said).trim())));
        };
        if let Some((_, _, started)) = spawn::stat(running.pid) {
            fs::write(self.dirs.root.join("pid"), format!("{} {started}", running.pid))?;
        }
        self.holder = Some(Holder { running, inside });
        Ok(())
    }

    fn enter_groups(&self) -> Vec<String> {
        let Some(group) = &self.group else { return Vec::new() };
        let mut argv = ["/bin/sh", "-c", ENTER, "sh"].map(String::from).to_vec();
        argv.extend(group.doors());
        argv.push("--".into());
        argv
    }

    /// The command line of bubblewrap up to the program.
    fn bubble(&self) -> io::Result<Vec<String>> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let mut argv: Vec<String> = vec!["bwrap".into()];
        let mut add = |parts: &[&str]| argv.extend(parts.iter().map(|&p| p.to_owned()));
        add(&["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--hostname", "runner", "--new-session", "--die-with-parent"]);
        if self.user.is_some() {
            add(&["--cap-drop", "ALL"]);
        } else {
            add(&["--unshare-user"]);
        }
        add(&["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]);
        for hidden in &self.machine.hidden {
            // one hidden below another has gone with it
            if self.machine.hidden.iter().any(|other| other != hidden && hidden.starts_with(other)) {
                continue;
            }
            if hidden.is_dir() {
                add(&["--perms", "0755", "--tmpfs", &text(hidden)]);
            } else {
                add(&["--ro-bind", "/dev/null", &text(hidden)]);
            }
        }
        let mut shown: Vec<(PathBuf, PathBuf, bool)> =
            self.machine.tools.shown.iter().map(|dir| (dir.clone(), dir.clone(), false)).collect();
        if let Ok(resolver) = Path::new("/etc/resolv.conf").canonicalize() {
            shown.push((resolver.clone(), resolver, false));
        }
        let dirs = &self.dirs;
        let work = dirs.root.join("work");
        for dir in [&dirs.engine, &dirs.home, &dirs.temp, &dirs.tools, &work] {
            shown.push((dir.clone(), dir.clone(), true));
        }
        for tmp in ["/tmp", "/var/tmp"] {
            // bound first: other directories may lie below it
            shown.insert(0, (dirs.tmp.clone(), PathBuf::from(tmp), true));
        }
        for (from, to, writable) in shown {
            let below = self.machine.hidden.iter().filter(|h| to.starts_with(h) && &to != *h).min();
            if let Some(hidden) = below {
                let mut parents: Vec<&Path> = to.ancestors().skip(1).take_while(|a| *a != hidden).collect();
                parents.reverse();
                for parent in parents {
                    // bubblewrap would make them for root only
                    add(&["--perms", "0755", "--dir", &text(parent)]);
                }
            } else if !self.machine.hidden.contains(&to) && !writable {
                continue;
            }
            add(&[if writable { "--bind" } else { "--ro-bind" }, &text(&from), &text(&to)]);
        }
        if let Some(uid) = self.uid() {
            for (file, line) in
                [("passwd", format!("runner:x:{uid}:{uid}:job:{}:/bin/bash\n", text(&dirs.home))), ("group", format!("runner:x:{uid}:\n"))]
            {
                let original = fs::read(Path::new("/etc").join(file)).unwrap_or_default();
                let ours = dirs.engine_file(file, &[original, line.into_bytes()].concat(), 0o644)?;
                add(&["--ro-bind", &text(&ours), &format!("/etc/{file}")]);
            }
        }
        add(&["--"]);
        Ok(argv)
    }

    /// The command line that runs `exec` in the job's place.
    fn wrap(&self, exec: &Exec, env_file: &Path) -> Vec<String> {
        let mut argv = self.enter_groups();
        let mut add = |parts: &[&str]| argv.extend(parts.iter().map(|&p| p.to_owned()));
        if let Some(holder) = &self.holder {
            add(&["nsenter", "-t", &holder.inside.to_string(), "-m", "-p", "-i", "-u"]);
            if self.user.is_none() {
                add(&["-U", "--preserve-credentials"]);
            }
            add(&["--"]);
        }
        if let Some(uid) = self.uid() {
            let uid = uid.to_string();
            add(&[
                "setpriv",
                "--reuid",
                &uid,
                "--regid",
                &uid,
                "--clear-groups",
                "--no-new-privs",
                "--bounding-set=-all",
                "--inh-caps=-all",
            ]);
            add(&["--"]);
        }
        if self.holder.is_some() {
            add(&["setsid"]);
        }
        add(&["/bin/sh", "-c", INSIDE, "sh", &self.machine.config.limits.files.to_string()]);
        add(&[&env_file.to_string_lossy(), &exec.cwd.to_string_lossy()]);
        let odd: Vec<String> = exec.env.iter().filter(|(name, _)| !exportable(name)).map(|(n, v)| format!("{n}={v}")).collect();
        if !odd.is_empty() {
            argv.push("env".into());
            argv.extend(odd);
        }
        argv.extend(exec.argv.iter().cloned());
        argv
    }

    /// Ends everything the job started and keeps its directories for another try; false when they are not kept.
    pub(crate) async fn close_keeping(mut self, job: String, state: String) -> bool {
        self.keep = Some((job.clone(), state));
        let machine = Arc::clone(&self.machine);
        self.close().await;
        machine.kept().contains(&job)
    }

    /// Ends everything the job started and removes its directories.
    pub async fn close(mut self) {
        if let Some(mut holder) = self.holder.take() {
            let _ = holder.running.child.kill().await;
        }
        let done = tokio::task::spawn_blocking(move || {
            self.clear();
        });
        if let Err(error) = done.await {
            tracing::error!(%error, "clearing a job's place failed");
        }
    }

    fn clear(&mut self) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        if let Some(group) = &self.group {
            group.destroy();
        }
        if let Some(uid) = self.uid() {
            spawn::kill_user(uid);
        }
        if let Some((job, state)) = self.keep.take() {
            match self.machine.kept.keep(&job, &self.dirs, &state) {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => tracing::warn!(job, %error, "the files of a failed job could not be kept"),
            }
        }
        if let Err(error) = self.dirs.remove() {
            tracing::warn!(path = %self.dirs.root.display(), %error, "a job's directory stays");
        }
    }
}

impl Drop for HostPlace {
    fn drop(&mut self) {
        // the holder dies with its handle
        self.holder = None;
        self.clear();
    }
}

#[async_trait::async_trait]
impl Place for HostPlace {
    async fn exec(
        &self,
        exec: Exec,
        output: &mut dyn Output,
        stop: watch::Receiver<Stop>,
        deadline: Option<Instant>,
    ) -> Result<Exit, HostError> {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let env_file = self.dirs.job_file(&format!("env-{serial}"), env_script(&exec.env).as_bytes())?;
        let argv = self.wrap(&exec, &env_file);
        let target = if self.holder.is_some() { Target::ChildGroup } else { Target::Group };
        let running = spawn::start(Launch { argv, env: helper_env(), cwd: None }, exec.stdin.is_some()).await?;
        let meter = spawn::Metering { tally: Arc::clone(&self.tally), memory: self.group.is_none() };
        let done = running.metered(meter).finish(exec.stdin, output, stop, deadline, target).await;
        let _ = fs::remove_file(env_file);
        done
    }

    fn meters(&self) -> Vec<Source> {
        let tally = Arc::clone(&self.tally);
        vec![match &self.group {
            Some(group) => Source::Group(group.clone(), tally),
            None => Source::Programs(tally),
        }]
    }

    fn dirs(&self) -> &JobDirs {
        &self.dirs
    }

    fn base_env(&self) -> BTreeMap<String, String> {
        let home = &self.dirs.home;
        let mut env = self.machine.tools.env.clone();
        let own = [".cargo/bin", "go/bin", ".local/bin"].map(|dir| home.join(dir));
        let path = own.iter().chain(&self.machine.tools.path).map(|p| p.to_string_lossy()).collect::<Vec<_>>().join(":");
        env.insert("PATH".into(), path);
        env.insert("HOME".into(), home.to_string_lossy().into_owned());
        env.insert("USER".into(), "runner".into());
        env.insert("LOGNAME".into(), "runner".into());
        env.entry("LANG".into()).or_insert_with(|| "C.UTF-8".into());
        if !self.machine.isolation.namespaces() {
            env.insert("TMPDIR".into(), self.dirs.tmp.to_string_lossy().into_owned());
        }
        env
    }

    fn oom_kills(&self) -> u64 {
        self.group.as_ref().map_or(0, cgroup::Group::oom_kills)
    }
}

/// The environment of programs that still have our rights.
fn helper_env() -> BTreeMap<String, String> {
    BTreeMap::from([("PATH".to_owned(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned())])
}

/// Can a POSIX shell export it? Names the shell itself holds read-only cannot be.
fn exportable(name: &str) -> bool {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && !name.starts_with(|c: char| c.is_ascii_digit());
    plain && !name.is_empty() && !["PPID", "UID", "EUID", "SHELLOPTS", "BASHOPTS", "BASH_VERSINFO", "_"].contains(&name)
}

fn env_script(env: &BTreeMap<String, String>) -> String {
    let mut script = String::new();
    for (name, value) in env.iter().filter(|(name, _)| exportable(name)) {
        script.push_str(&format!("export {name}='{}'\n", value.replace('\'', "'\\''")));
    }
    script
}

#[cfg(test)]
mod tests;
