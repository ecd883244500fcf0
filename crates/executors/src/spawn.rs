//! The one place that starts programs. Everything here is mechanics: who may run what, and where, is decided by the
//! sandbox.
//!
//! Programs get a cleared environment, a process group of their own, one pipe for both of their outputs (so that the
//! order of the bytes is the order they were written in) and nothing else of ours.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

#[cfg(test)]
use bytes::Bytes;
use futures::StreamExt as _;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot, watch};

use crate::host::{ByteStream, HostError};
use crate::usage::Tally;

/// How urgently a program is to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Not at all.
    #[default]
    No,
    /// INT, then TERM, then KILL.
    Cancel,
    /// KILL.
    Kill,
}

/// Time between INT and TERM.
pub const INT_GRACE: Duration = Duration::from_millis(7500);
/// Time between TERM and KILL.
pub const TERM_GRACE: Duration = Duration::from_millis(2500);
/// After a program's end, how long its pipe may stay silent before we stop listening to what it left behind.
const LINGER: Duration = Duration::from_millis(100);
/// How often the memory of a program is looked at, where no control group tells of it.
const LOOK: Duration = Duration::from_millis(200);

/// What to start.
#[derive(Clone, Debug, Default)]
pub struct Launch {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// Working directory; the root when none.
    pub cwd: Option<PathBuf>,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code, 128 + signal when it was killed.
    pub code: i32,
    /// It was stopped by us.
    pub stopped: bool,
}

impl Exit {
    /// Exit code 0?
    pub fn ok(self) -> bool {
        self.code == 0 && !self.stopped
    }

    fn of(status: ExitStatus, stopped: bool) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        let code = status.code().or_else(|| status.signal().map(|s| 128 + s)).unwrap_or(-1);
        Self { code, stopped }
    }
}

/// Takes what a program writes. Waiting inside holds the program back.
#[async_trait::async_trait]
pub trait Output: Send {
    /// The next bytes.
    async fn chunk(&mut self, bytes: &[u8]) -> Result<(), HostError>;
}

/// Keeps what a program writes, up to a limit.
#[derive(Debug)]
pub struct Capture {
    /// What it wrote.
    pub bytes: Vec<u8>,
    limit: usize,
}

impl Capture {
    /// Keeps at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit }
    }

    /// What it wrote, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

#[async_trait::async_trait]
impl Output for Capture {
    async fn chunk(&mut self, bytes: &[u8]) -> Result<(), HostError> {
        let room = self.limit.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(())
    }
}

/// A started program.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) pid: i32,
    pub(crate) out: pipe::Receiver,
    meter: Option<Metering>,
}

/// Who wants to know what a program uses.
pub(crate) struct Metering {
    /// Told at its end.
    pub(crate) tally: Arc<Tally>,
    /// Memory is looked at from time to time, too.
    pub(crate) memory: bool,
}

/// Starts a program on a thread that lives as long as we do: a program may ask the kernel to die with its parent, and
/// to the kernel that is the thread.
pub(crate) async fn start(launch: Launch, stdin: bool) -> io::Result<Running> {
    type Order = (Launch, bool, tokio::runtime::Handle, oneshot::Sender<io::Result<Running>>);
    static STARTER: OnceLock<mpsc::UnboundedSender<Order>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        hear_ignored();
        let (sender, mut orders) = mpsc::unbounded_channel::<Order>();
        let spawned = std::thread::Builder::new().name("starter".into()).spawn(move || {
            while let Some((launch, stdin, runtime, answer)) = orders.blocking_recv() {
                let _inside = runtime.enter();
                // nobody waits any more: the program dies with its handle
                let _ = answer.send(start_here(&launch, stdin));
            }
        });
        if let Err(error) = spawned {
            tracing::error!(%error, "no thread to start programs from");
        }
        sender
    });
    let (answer, started) = oneshot::channel();
    let gone = || io::Error::other("the starting thread is gone");
    starter.send((launch, stdin, tokio::runtime::Handle::current(), answer)).map_err(|_| gone())?;
    started.await.map_err(|_| gone())?
}

/// A signal that we ignore (a shell does that to what it starts with `&`) would be ignored by every program of a job,
/// and no cancel would be heard. One that we handle goes back to its default in a new program.
fn hear_ignored() {
    use tokio::signal::unix::{SignalKind, signal};
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|l| u64::from_str_radix(l.strip_prefix("SigIgn:")?.trim(), 16).ok()).unwrap_or(0);
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::quit(), SignalKind::hangup()] {
        if ignored & (1 << (kind.as_raw_value() - 1)) != 0
            && let Err(error) = signal(kind)
        {
            tracing::warn!(%error, ?kind, "programs of jobs will ignore this signal");
        }
    }
}

fn start_here(launch: &Launch, stdin: bool) -> io::Result<Running> {
    let (program, args) = launch.argv.split_first().ok_or_else(|| io::Error::other("no program"))?;
    let (reader, writer) = io::pipe()?;
    #[expect(clippy::disallowed_methods, reason = "executors start programs, and only here")]
    let mut command = Command::new(program);
    command.args(args).env_clear().envs(&launch.env).process_group(0).kill_on_drop(true);
    command.current_dir(launch.cwd.clone().unwrap_or_else(|| PathBuf::from("/")));
    command.stdin(if stdin { Stdio::piped() } else { Stdio::null() });
    command.stdout(writer.try_clone()?).stderr(writer);
    let child = command.spawn()?;
    // our copies of the writing end must close, or the end of the output is never seen
    drop(command);
    let pid = child.id().and_then(|p| i32::try_from(p).ok()).ok_or_else(|| io::Error::other("no pid"))?;
    let out = pipe::Receiver::from_owned_fd(OwnedFd::from(reader))?;
    Ok(Running { child, pid, out, meter: None })
}

/// Whom signals are sent to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// The process group of the program itself.
    Group,
    /// The group led by the program's only child (a helper that entered a namespace waits for it).
    ChildGroup,
}

impl Running {
    /// Tells what it uses.
    pub(crate) fn metered(self, meter: Metering) -> Self {
        Self { meter: Some(meter), ..self }
    }

    /// Waits for the end, feeding `stdin` and handing the output on; stops it when told to or at `deadline`.
    /// The error of `output` ends the program.
    pub(crate) async fn finish(
        mut self,
        stdin: Option<ByteStream>,
        output: &mut dyn Output,
        mut stop: watch::Receiver<Stop>,
        deadline: Option<tokio::time::Instant>,
        target: Target,
    ) -> Result<Exit, HostError> {
        let feed = feed(self.child.stdin.take(), stdin);
        let (ended, mut end) = watch::channel(false);
        let (broken, mut is_broken) = watch::channel(false);
        let pid = self.pid;
        let child = &mut self.child;
        let out = &mut self.out;
        let meter = self.meter.as_ref();
        let supervise = async {
            let exit = tokio::select! {
                status = wait(child, pid, meter) => Exit::of(status?, false),
                () = until(&mut stop, deadline, &mut is_broken) => {
                    let level = if *is_broken.borrow() { Stop::Kill } else { *stop.borrow() };
                    end_it(child, pid, target, level, &mut stop, meter).await?
                }
            };
            ended.send_replace(true);
            Ok::<_, HostError>(exit)
        };
        let read = async {
            let mut buffer = vec![0u8; 64 * 1024];
            loop {
                let count = tokio::select! {
                    biased;
                    count = out.read(&mut buffer) => count?,
                    () = lingered(&mut end) => break,
                };
                if count == 0 {
                    break;
                }
                if let Err(error) = output.chunk(&buffer[..count]).await {
                    broken.send_replace(true);
                    return Err(error);
                }
            }
            Ok(())
        };
        // the feeder is dropped with the rest: a program need not read its input
        let both = async { tokio::join!(supervise, read) };
        tokio::pin!(both, feed);
        let (exit, read) = tokio::select! {
            both = &mut both => both,
            fed = &mut feed => {
                let both = both.await;
                if both.0.as_ref().is_ok_and(|exit| exit.ok()) { fed?; }
                both
            }
        };
        read?;
        exit
    }
}

async fn feed(to: Option<tokio::process::ChildStdin>, from: Option<ByteStream>) -> Result<(), HostError> {
    if let (Some(mut to), Some(mut from)) = (to, from) {
        while let Some(chunk) = from.next().await {
            to.write_all(&chunk?).await?;
        }
        to.shutdown().await?;
    }
    Ok(())
}

async fn lingered(end: &mut watch::Receiver<bool>) {
    if end.wait_for(|ended| *ended).await.is_err() {
        // the supervisor was dropped: the end of the pipe will tell
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(LINGER).await;
}

async fn until(stop: &mut watch::Receiver<Stop>, deadline: Option<tokio::time::Instant>, broken: &mut watch::Receiver<bool>) {
    let at = async {
        match deadline {
            Some(deadline) => tokio::time::sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = at => {}
        () = reached(stop, Stop::Cancel) => {}
        () = async { if broken.wait_for(|b| *b).await.is_err() { std::future::pending::<()>().await } } => {}
    }
}

/// Returns when `stop` is at least at `level`; never when nobody can raise it any more.
pub(crate) async fn reached(stop: &mut watch::Receiver<Stop>, level: Stop) {
    if stop.wait_for(|now| *now >= level).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Waits for the end of a program; between its end and our taking notice, what it used can be read.
async fn wait(child: &mut Child, pid: i32, meter: Option<&Metering>) -> io::Result<ExitStatus> {
    if let Some(meter) = meter {
        let ended = ended(pid);
        tokio::pin!(ended);
        loop {
            tokio::select! {
                () = &mut ended => break,
                () = tokio::time::sleep(LOOK), if meter.memory => meter.tally.look(pid),
            }
        }
        meter.tally.add_ended(pid);
    }
    child.wait().await
}

/// Returns when a child has ended, and leaves it to be waited for.
async fn ended(pid: i32) {
    let (tell, told) = oneshot::channel::<()>();
    // a thread of its own: the runtime's may not be held by it when everything ends
    let waiter = std::thread::Builder::new().name("waiter".into()).stack_size(64 * 1024).spawn(move || {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        while let Err(nix::errno::Errno::EINTR) = waitid(Id::Pid(Pid::from_raw(pid)), flags) {}
        drop(tell);
    });
    if waiter.is_ok() {
        let _ = told.await;
    }
}

/// INT, TERM, KILL, each with its time; straight to KILL when that is asked for.
async fn end_it(
    child: &mut Child,
    pid: i32,
    target: Target,
    level: Stop,
    stop: &mut watch::Receiver<Stop>,
    meter: Option<&Metering>,
) -> Result<Exit, HostError> {
    if level < Stop::Kill {
        for (sig, grace) in [(Signal::SIGINT, INT_GRACE), (Signal::SIGTERM, TERM_GRACE)] {
            signal(pid, target, sig);
            tokio::select! {
                status = wait(child, pid, meter) => return Ok(Exit::of(status?, true)),
                () = tokio::time::sleep(grace) => {}
                () = reached(stop, Stop::Kill) => break,
            }
        }
    }
    signal(pid, target, Signal::SIGKILL);
    signal(pid, Target::Group, Signal::SIGKILL);
    Ok(Exit::of(wait(child, pid, meter).await?, true))
}

fn signal(pid: i32, target: Target, signal: Signal) {
    // ESRCH only means that it was faster
    let _ = match target {
        Target::Group => killpg(Pid::from_raw(pid), signal),
        Target::ChildGroup => match children(pid).first() {
            Some(&child) => killpg(Pid::from_raw(child), signal).or_else(|_| kill(Pid::from_raw(child), signal)),
            None => killpg(Pid::from_raw(pid), signal),
        },
    };
}

/// Parent, process group and start time of a process, from `/proc/<pid>/stat`.
pub(crate) fn stat(pid: i32) -> Option<(i32, i32, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // the name may hold blanks and brackets: count from the last one
    let rest: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    Some((rest.get(1)?.parse().ok()?, rest.get(2)?.parse().ok()?, rest.get(19)?.parse().ok()?))
}

/// Does the process that was started then still run? One that has ended and was not asked about does not.
pub(crate) fn runs(pid: i32, started: u64) -> bool {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let dead = text.rsplit_once(')').is_none_or(|(_, rest)| matches!(rest.trim_start().chars().next(), None | Some('Z' | 'X')));
    !dead && stat(pid).is_some_and(|s| s.2 == started)
}

pub(crate) fn pids() -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect()
}

/// Children of a process.
pub(crate) fn children(parent: i32) -> Vec<i32> {
    pids().into_iter().filter(|&pid| stat(pid).is_some_and(|s| s.0 == parent)).collect()
}

/// Ends every process of a user. Only for users that belong to a job slot.
pub(crate) fn kill_user(uid: u32) {
    use std::os::unix::fs::MetadataExt as _;
    for _ in 0..20 {
        let theirs: Vec<i32> =
            pids().into_iter().filter(|pid| std::fs::metadata(format!("/proc/{pid}")).is_ok_and(|m| m.uid() == uid)).collect();
        if theirs.is_empty() {
            return;
        }
        for pid in theirs {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Ends a process and its group if it still is the one that was started then.
pub(crate) fn kill_recorded(pid: i32, started: u64) {
    if stat(pid).is_some_and(|s| s.2 == started) {
        let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

/// Runs a program of the machine (never of a job) to its end and returns exit code and output.
pub(crate) async fn capture(argv: &[&str], limit: Duration) -> io::Result<(i32, String)> {
    let env = BTreeMap::from([("PATH".to_owned(), std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".into()))]);
    let launch = Launch { argv: argv.iter().map(|&a| a.to_owned()).collect(), env, ..Launch::default() };
    let mut output = Capture::new(1 << 20);
    let (_keep, stop) = watch::channel(Stop::No);
    let deadline = Some(tokio::time::Instant::now() + limit);
    let running = start(launch, false).await?;
    let exit = running.finish(None, &mut output, stop, deadline, Target::Group).await.map_err(io::Error::other)?;
    Ok((exit.code, output.text()))
}

/// A stream of one piece.
#[cfg(test)]
pub(crate) fn once(bytes: impl Into<Bytes>) -> ByteStream {
    let bytes = bytes.into();
    Box::pin(futures::stream::once(async move { Ok(bytes) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Launch {
        Launch {
            argv: vec!["/bin/sh".into(), "-c".into(), script.into()],
            env: BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())]),
            ..Launch::default()
        }
    }

    #[tokio::test]
    async fn output_is_ordered_and_input_arrives() {
        let mut out = Capture::new(1000);
        let (_keep, stop) = watch::channel(Stop::No);
        let running = start(sh("echo a; echo b >&2; cat; exit 3"), true).await.unwrap();
        let exit = running.finish(Some(once("c\n")), &mut out, stop, None, Target::Group).await.unwrap();
        assert_eq!((exit.code, out.text().as_str()), (3, "a\nb\nc\n"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_metered_program_is_measured() {
        let tally = Arc::new(Tally::default());
        let (_keep, stop) = watch::channel(Stop::No);
        let meter = crate::usage::Meter::start(vec![crate::usage::Source::Programs(Arc::clone(&tally))]).await;
        let script =
            "(i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done); { head -c 40000000 /dev/zero; sleep 1; } | tail -c 40000000 > /dev/null";
        let running = start(sh(script), false).await.unwrap().metered(Metering { tally, memory: true });
        running.finish(None, &mut Capture::new(10), stop, None, Target::Group).await.unwrap();
        let usage = meter.stop().await.unwrap();
        assert!(usage.cpu_user_ms.unwrap() > 50, "{usage:?}");
        assert!((40_000_000..200_000_000).contains(&usage.memory_peak_bytes.unwrap()), "{usage:?}");
    }

    #[tokio::test]
    async fn a_program_left_behind_does_not_hold_us() {
        let mut out = Capture::new(1000);
        let (_keep, stop) = watch::channel(Stop::No);
        let begun = std::time::Instant::now();
        let running = start(sh("sleep 5 & echo done"), false).await.unwrap();
        let pid = running.pid;
        running.finish(None, &mut out, stop, None, Target::Group).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(2));
        assert_eq!(out.text(), "done\n");
        let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
    }

    #[tokio::test]
    async fn cancel_lets_a_trap_run_and_kill_does_not() {
        for (level, expected) in [(Stop::Cancel, "begin\ntrapped\n"), (Stop::Kill, "begin\n")] {
            let mut out = Capture::new(1000);
            let (tell, stop) = watch::channel(Stop::No);
            let running = start(sh("trap 'echo trapped; exit 7' INT; echo begin; while :; do sleep 0.1; done"), false).await.unwrap();
            let cancel = async {
                tokio::time::sleep(Duration::from_millis(300)).await;
                tell.send_replace(level);
                std::future::pending::<()>().await;
            };
            let exit = tokio::select! {
                exit = running.finish(None, &mut out, stop, None, Target::Group) => exit.unwrap(),
                () = cancel => unreachable!(),
            };
            assert!(exit.stopped);
            assert_eq!(out.text(), expected);
        }
    }
}
