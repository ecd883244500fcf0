//! Pushes: checked here, carried out by `git receive-pack`, acknowledged only when what happened is on record.
//!
//! Invariants:
//! - The hook's `begin` returns before git gets what it needs to move a ref, its `finish` before the client sees any report.
//! - From the last byte of the pack on, the push is carried to its end whether or not the client waits for it.
//! - Two pushes to one repository are recorded in the order in which their refs moved: the last bytes of a pack are
//!   held back until it is the push's turn, and without them git moves nothing.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use kernel::RefName;
use kernel::event::RefUpdate;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;

use super::commands::{Command, CommandList};
use super::report::{Manner, Report, Status};
use super::{Body, Incoming, Response, full};
use crate::error::{GitError, Result};
use crate::pktline::{self, Packet};
use crate::program::Running;
use crate::refs::RefSnapshot;
use crate::repositories::Repository;

/// Commits looked at to find out whether a push rewrote history.
const FORCED_BUDGET: usize = 20_000;
/// Most bytes of git's report.
const MAX_REPORT: usize = 4 << 20;
/// What is read and dropped of a refused push, so that the client comes to read the refusal.
const DRAIN_BYTES: u64 = 64 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(30);

/// What a push may do here and now.
#[derive(Clone, Debug, Default)]
pub struct PushRules {
    /// A reason to refuse everything: archived, over quota.
    pub refuse: Option<String>,
    /// Most bytes of the pack; none for the instance's limit.
    pub max_bytes: Option<u64>,
}

/// What a push did.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Refs that moved, in the client's order. Empty when nothing did.
    pub updates: Vec<RefUpdate>,
}

/// Who keeps the record of pushes.
#[async_trait::async_trait]
pub trait PushHook: Send + Sync {
    /// A push is about to be carried out. Runs beside the reading of the pack; no ref moves before it returns.
    ///
    /// # Errors
    /// A reason to refuse it, shown to the person.
    async fn begin(&self, commands: &[Command]) -> Result<(), String>;

    /// It was. Called exactly once after each `begin` that allowed it, also when nothing moved.
    ///
    /// # Errors
    /// Why it could not be recorded, shown to the person instead of a success.
    async fn finish(&self, outcome: &Outcome) -> Result<(), String>;
}

impl Repository {
    /// Answers a request to `git-receive-pack`.
    ///
    /// # Errors
    /// Before anything was decided: `Invalid`, `TooLarge`, `Timeout`, `NotFound`. Refusals of a well-formed push are
    /// answers, not errors.
    pub async fn receive_pack(&self, mut body: Incoming, rules: PushRules, hook: Arc<dyn PushHook>) -> Response {
        let mut list = CommandList::default();
        let mut buffer = BytesMut::new();
        let refuse = |e: super::commands::ListError| GitError::Invalid(e.to_string());
        while !list.feed(&mut buffer, self.all.options.push_commands).map_err(refuse)? {
            let Some(piece) = body.next().await? else {
                return Err(GitError::Invalid("the push ended within its list of refs".into()));
            };
            buffer.extend_from_slice(&piece);
        }
        if list.commands.is_empty() {
            return Ok(full(Bytes::new()));
        }
        let manner = Manner { report: list.has("report-status") || list.has("report-status-v2"), bands: list.has("side-band-64k") };
        let refs = self.refs().await?;
        let verdicts = self.judge(&list, &rules, &refs);
        let allowed: Vec<Command> = allowed(&list, &verdicts);
        if allowed.is_empty() {
            let report = Report { unpack: None, refs: merge(&list.commands, &verdicts, |_| None) };
            body.drain(DRAIN_BYTES, DRAIN_TIME).await;
            return Ok(full(manner.end(&report)));
        }

        let (sender, receiver) = mpsc::channel::<std::io::Result<Bytes>>(16);
        let push = Push { repository: self.clone(), list, verdicts, allowed, manner, rules, sender };
        // not tied to the client: once git may have moved a ref, somebody must see it through
        tokio::spawn(async move {
            let answer = push.run(body, buffer.freeze(), &*hook).await;
            if let Some(answer) = answer {
                let _ = push.sender.send(Ok(answer)).await;
            } else {
                let _ = push.sender.try_send(Err(std::io::Error::other("the push was not completed")));
            }
        });
        Ok(Body::Stream(ReceiverStream::new(receiver).boxed()))
    }

    /// For each command whether it may go on to git.
    fn judge(&self, list: &CommandList, rules: &PushRules, refs: &RefSnapshot) -> Vec<Status> {
        let mut seen = HashSet::new();
        let mut verdicts: Vec<Status> = list
            .commands
            .iter()
            .map(|command| {
                if let Some(reason) = &rules.refuse {
                    return Err(reason.clone());
                }
                if !seen.insert(command.name.as_str()) {
                    return Err("named twice in one push".to_owned());
                }
                judge(command, refs)
            })
            .collect();
        if list.has("atomic") && verdicts.iter().any(Result::is_err) {
            for verdict in verdicts.iter_mut().filter(|v| v.is_ok()) {
                *verdict = Err("another ref of this atomic push was refused".to_owned());
            }
        }
        verdicts
    }
}

fn judge(command: &Command, refs: &RefSnapshot) -> Status {
    if command.new.is_none() {
        if command.name == refs.head {
            return Err("the default branch cannot be deleted; make another one the default first".to_owned());
        }
        // whatever got in under an older rule may go
        return if refs.get(&command.name).is_some() { Ok(()) } else { Err("there is no such ref".to_owned()) };
    }
    RefName::parse(&command.name).map(|_| ()).map_err(|e| e.fields.first().map_or_else(|| e.detail.clone(), |f| f.message.clone()))
}

fn allowed(list: &CommandList, verdicts: &[Status]) -> Vec<Command> {
    list.commands.iter().zip(verdicts).filter(|(_, v)| v.is_ok()).map(|(c, _)| c.clone()).collect()
}

/// The lines of a report in the client's order: our refusals, and git's word on the rest.
fn merge(commands: &[Command], verdicts: &[Status], of: impl Fn(&Command) -> Option<Status>) -> Vec<(String, Status)> {
    let missing = || Err("git said nothing about it".to_owned());
    commands
        .iter()
        .zip(verdicts)
        .map(|(command, verdict)| (command.name.clone(), verdict.clone().and_then(|()| of(command).unwrap_or_else(missing))))
        .collect()
}

/// A push that git is to carry out.
struct Push {
    repository: Repository,
    list: CommandList,
    verdicts: Vec<Status>,
    allowed: Vec<Command>,
    manner: Manner,
    rules: PushRules,
    sender: mpsc::Sender<std::io::Result<Bytes>>,
}

/// How carrying it out ended.
enum Ended {
    /// git reported.
    Reported(Report),
    /// It may or may not have moved refs.
    Unknown(GitError),
    /// The pack never was complete, so nothing moved.
    Before(GitError),
}

impl Push {
    /// Carries it out. Returns the end of the answer; none when the client left before the pack was complete.
    async fn run(&self, mut body: Incoming, begun: Bytes, hook: &dyn PushHook) -> Option<Bytes> {
        // held until the outcome is on record
        let mut turn = None;
        let ended = match self.repository.all.push_turn().await {
            Ok(permit) => {
                let (tell, told) = oneshot::channel();
                let begin = async {
                    let begun = hook.begin(&self.allowed).await;
                    let _ = tell.send(begun.clone());
                    begun
                };
                // both to their end: what was begun must be finished
                let (allowed, ended) = tokio::join!(begin, self.carry_out(body, begun, told, &mut turn, permit));
                if let Err(reason) = allowed {
                    let names = self.list.commands.iter().map(|c| c.name.as_str());
                    return Some(self.manner.end(&Report::refusal(names, &reason)));
                }
                ended
            }
            Err(e) => {
                body.drain(DRAIN_BYTES, DRAIN_TIME).await;
                let names = self.list.commands.iter().map(|c| c.name.as_str());
                return Some(self.manner.end(&Report::refusal(names, &person(&e))));
            }
        };
        self.repository.pack_added();
        let (report, updates, left) = match ended {
            Ended::Reported(report) => {
                let lines = merge(&self.list.commands, &self.verdicts, |c| report.of(&c.name).cloned());
                let updates = self.updates(&lines).await;
                (Report { unpack: report.unpack, refs: lines }, updates, false)
            }
            Ended::Unknown(error) => {
                tracing::warn!(project = %self.repository.project, %error, "a push ended without a report");
                let refs = self.repository.refs().await.ok();
                let lines = merge(&self.list.commands, &self.verdicts, |c| {
                    let now = refs.as_ref().and_then(|r| r.get(&c.name)).map(|r| r.oid);
                    Some(if refs.is_some() && now == c.new { Ok(()) } else { Err(person(&error)) })
                });
                let updates = self.updates(&lines).await;
                (Report { unpack: None, refs: lines }, updates, false)
            }
            Ended::Before(error) => {
                tracing::info!(project = %self.repository.project, %error, "a push was not completed");
                let names = self.list.commands.iter().map(|c| c.name.as_str());
                let left = matches!(error, GitError::Io { .. } | GitError::Timeout);
                (Report::refusal(names, &person(&error)), Vec::new(), left)
            }
        };
        let moved = !updates.is_empty();
        metrics::counter!("git_pushes_total", "result" => if moved { "moved" } else { "nothing" }).increment(1);
        if let Err(reason) = hook.finish(&Outcome { updates }).await {
            if moved {
                return Some(
                    self.manner.fatal(&format!("the push is stored, but was not confirmed: {reason}; fetch before you push again")),
                );
            }
            tracing::warn!(project = %self.repository.project, reason, "a push that moved nothing was not closed");
        }
        drop(turn);
        if report
            .refs
            .iter()
            .any(|(_, s)| s.as_ref().is_err_and(|reason| reason.contains("failed to update ref") || reason.contains("lock")))
        {
            self.repository.unlock().await;
        }
        (!left).then(|| self.manner.end(&report))
    }

    async fn carry_out(
        &self,
        mut body: Incoming,
        begun: Bytes,
        told: oneshot::Receiver<Result<(), String>>,
        turn: &mut Option<OwnedMutexGuard<()>>,
        _permit: OwnedSemaphorePermit,
    ) -> Ended {
        let options = &self.repository.all.options;
        let max = self.rules.max_bytes.map_or(options.push_bytes, |m| m.min(options.push_bytes)).max(1);
        let program = &self.repository.all.program;
        let argv = program.command("receive-pack").config("receive.maxInputSize", max).flag("--stateless-rpc").path(&self.repository.dir);
        let mut running = match argv.spawn() {
            Ok(running) => running,
            Err(e) => return Ended::Before(e),
        };
        let (Some(stdin), Some(mut stdout)) = (running.stdin.take(), running.stdout.take()) else {
            return Ended::Before(GitError::Unusable("git was started without pipes".into()));
        };
        let mut complete = false;
        let work = async {
            let feed = self.feed(stdin, &mut body, begun, told, turn, &mut complete);
            let read = self.read_report(&mut stdout, options.idle);
            let ((), report) = tokio::try_join!(feed, read)?;
            // the report decides; a bad exit without one is found below
            let ended = running.finish().await;
            report.map_or_else(|| Err(ended.err().unwrap_or_else(|| GitError::Corrupt("receive-pack did not report".into()))), Ok)
        };
        let result = tokio::time::timeout(options.push_time, work).await.unwrap_or(Err(GitError::Timeout));
        let error = match result {
            Ok(report) => return Ended::Reported(report),
            Err(error) => error,
        };
        stop(running).await;
        if complete { Ended::Unknown(error) } else { Ended::Before(error) }
    }

    /// Carries the request to git. Sets `complete` before git gets what it needs to move refs.
    async fn feed(
        &self,
        mut stdin: ChildStdin,
        body: &mut Incoming,
        begun: Bytes,
        told: oneshot::Receiver<Result<(), String>>,
        turn: &mut Option<OwnedMutexGuard<()>>,
        complete: &mut bool,
    ) -> Result<()> {
        let head = self.list.encode(&self.allowed);
        let forward = self.allowed.iter().any(|c| c.new.is_some());
        if self.list.has_pack() && !forward {
            // the pack belongs to refs that were refused
            body.drain(DRAIN_BYTES, DRAIN_TIME).await;
        }
        // always one piece behind, so that git never has the whole before it is our turn
        let mut held = head;
        let mut next = Some(begun).filter(|b| forward && !b.is_empty());
        loop {
            if next.is_none() && forward {
                next = tokio::select! {
                    piece = body.next() => piece?,
                    () = self.sender.closed() => return Err(GitError::Io { what: "receive a push".into(), source: std::io::ErrorKind::ConnectionReset.into() }),
                };
            }
            let Some(piece) = next.take() else { break };
            if stdin.write_all(&held).await.is_err() {
                // git has seen enough and says why in its report
                body.drain(DRAIN_BYTES, DRAIN_TIME).await;
                return Ok(());
            }
            held = piece;
        }
        match told.await {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => return Err(GitError::Invalid(reason)),
            Err(_) => return Err(GitError::Invalid("the push was not begun".into())),
        }
        *turn = Some(self.repository.writer_turn().await);
        *complete = true;
        let _ = stdin.write_all(&held).await;
        Ok(())
    }

    /// Passes messages on to the client and keeps the report back.
    async fn read_report(&self, stdout: &mut ChildStdout, idle: Duration) -> Result<Option<Report>> {
        let mut buffer = BytesMut::with_capacity(8192);
        let mut report = BytesMut::new();
        let mut listening = self.manner.bands;
        while stdout.read_buf(&mut buffer).await.map_err(GitError::io("read from git"))? > 0 {
            let mut messages = BytesMut::new();
            while let Some(packet) =
                pktline::take(&mut buffer).map_err(|_| GitError::Corrupt("receive-pack does not speak its protocol".into()))?
            {
                let Packet::Data(data) = packet else { continue };
                match data.first() {
                    Some(1) if report.len() + data.len() <= MAX_REPORT => report.extend_from_slice(&data[1..]),
                    // also the empty ones, which keep the connection alive
                    Some(2 | 3) => pktline::put(&mut messages, &[&[2], &data[1..]].concat()),
                    _ => {}
                }
            }
            if listening && !messages.is_empty() {
                let sent = tokio::time::timeout(idle, self.sender.send(Ok(messages.freeze()))).await;
                listening = matches!(sent, Ok(Ok(())));
            }
        }
        Ok(Report::parse(&report))
    }

    /// The refs that moved.
    async fn updates(&self, lines: &[(String, Status)]) -> Vec<RefUpdate> {
        let moved = self.list.commands.iter().zip(lines).filter(|(c, (_, status))| status.is_ok() && c.old != c.new);
        let mut out = Vec::new();
        for (command, _) in moved {
            let forced = match (command.old, command.new) {
                (Some(old), Some(new)) => self.repository.rewrites(old, new).await,
                _ => false,
            };
            let hex = |oid: Option<crate::Oid>| oid.map(crate::Oid::to_hex);
            out.push(RefUpdate { name: command.name.clone(), old: hex(command.old), new: hex(command.new), forced });
        }
        out
    }
}

async fn stop(running: Running) {
    running.stop().await;
}

/// The reason in words for the client's terminal; nothing of our inside.
fn person(error: &GitError) -> String {
    match error {
        GitError::TooLarge(text) | GitError::Invalid(text) => text.clone(),
        GitError::Busy => "the server is busy, try again".to_owned(),
        GitError::Timeout => "the push took too long".to_owned(),
        _ => "the push did not complete".to_owned(),
    }
}

impl Repository {
    /// Does a move from `old` to `new` leave commits behind?
    pub async fn rewrites(&self, old: crate::Oid, new: crate::Oid) -> bool {
        let found = self.read(move |r| r.is_ancestor(r.peel_to_commit(old)?, r.peel_to_commit(new)?, FORCED_BUDGET)).await;
        matches!(found, Ok(Some(false)))
    }
}
