//! Fetch requests: `ls-refs` in process, repeated clones from the cache, the rest by `git upload-pack`.

use std::io::SeekFrom;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::io::ReaderStream;

use super::clones::Draft;
use super::{Body, Incoming, Response, Version, full};
use crate::error::{GitError, Result};
use crate::pktline::{self, Packet};
use crate::refs::RefSnapshot;
use crate::repositories::Repository;

/// Most bytes of a fetch request: 100,000 wants or haves.
pub const MAX_REQUEST: u64 = 8 << 20;
/// Prefixes that `ls-refs` filters by; past that all refs are sent, as git does.
const MAX_PREFIXES: usize = 1000;
/// Answers up to this size are read from the cache in one go.
const SMALL: u64 = 512 << 10;
/// Bytes read from git at a time.
const CHUNK: usize = 64 << 10;

/// What a request asks for.
#[derive(PartialEq, Eq, Debug)]
enum Request {
    /// Nothing; clients probe so whether they are let in.
    Empty,
    /// Version 2 `ls-refs`.
    LsRefs(LsRefs),
    /// Anything else that is well formed. `key` is what an answer can be found again by.
    Fetch { key: Option<[u8; 32]> },
}

#[derive(Default, PartialEq, Eq, Debug)]
struct LsRefs {
    peel: bool,
    symrefs: bool,
    unborn: bool,
    prefixes: Vec<Bytes>,
}

/// The answer that ends the conversation with a message.
pub fn refuse_upload(message: &str) -> Bytes {
    pktline::error_packet(message)
}

impl Repository {
    /// Answers a request to `git-upload-pack`.
    ///
    /// # Errors
    /// Before the answer begins: `Invalid`, `TooLarge`, `Busy`, `Timeout`, `NotFound`. The door shows them with
    /// [`refuse_upload`].
    pub async fn upload_pack(&self, version: Version, body: Incoming) -> Response {
        let request = body.collect().await?;
        let refs = self.refs().await?;
        match parse(version, request.clone(), &refs)? {
            Request::Empty => Ok(full(Bytes::new())),
            Request::LsRefs(asked) => Ok(full(ls_refs(&refs, &asked))),
            Request::Fetch { key } => {
                if let Some(key) = key
                    && let Some((file, size)) = self.all.clones.get(&self.cache_key(key))
                {
                    metrics::counter!("git_clone_cache_total", "result" => "hit").increment(1);
                    return cached(tokio::fs::File::from_std(file), size).await;
                }
                let permit = self.all.fetch_turn().await?;
                self.spawn_upload(version, request.freeze(), key, permit)
            }
        }
    }

    /// Answers are never shared between repositories, whatever they hold.
    fn cache_key(&self, key: [u8; 32]) -> [u8; 32] {
        Sha256::new().chain_update(self.project.uuid().as_bytes()).chain_update(key).finalize().into()
    }

    fn spawn_upload(&self, version: Version, request: Bytes, key: Option<[u8; 32]>, permit: OwnedSemaphorePermit) -> Response {
        let options = &self.all.options;
        let protocol = match version {
            Version::V0 => "",
            Version::V1 => "version=1",
            Version::V2 => "version=2",
        };
        let argv = self
            .all
            .program
            .command("upload-pack")
            .flag("--strict")
            .flag("--stateless-rpc")
            .flag_number("--timeout", options.idle.as_secs().max(1))
            .env("GIT_PROTOCOL", protocol)
            .path(&self.dir);
        let mut running = argv.spawn()?;
        let (Some(mut stdin), Some(mut stdout)) = (running.stdin.take(), running.stdout.take()) else {
            return Err(GitError::Unusable("git was started without pipes".into()));
        };
        // back-pressure: a slow client holds at most these chunks, then git waits
        let (sender, receiver) = mpsc::channel::<std::io::Result<Bytes>>(4);
        let this = self.clone();
        let (limit, idle) = (options.fetch_time, options.idle);
        tokio::spawn(async move {
            let _permit = permit;
            let work = async {
                let feed = async {
                    let fed = stdin.write_all(&request).await;
                    drop(stdin);
                    fed
                };
                let mut draft = key.and_then(|_| this.all.clones.draft());
                let relay = relay(&mut stdout, &sender, &mut draft, idle);
                // a process that ends without reading everything tells why on its own
                let (_, relayed) = tokio::join!(feed, relay);
                relayed?;
                running.finish().await?;
                if let (Some(key), Some(draft)) = (key, draft) {
                    metrics::counter!("git_clone_cache_total", "result" => "kept").increment(1);
                    this.all.clones.keep(this.cache_key(key), draft);
                }
                Ok::<_, GitError>(())
            };
            let result = tokio::time::timeout(limit, work).await.unwrap_or(Err(GitError::Timeout));
            if let Err(e) = result {
                // git has told the client already, or the client is gone; the connection must not look complete
                tracing::info!(project = %this.project, error = %e, "a fetch did not complete");
                let _ = sender.try_send(Err(std::io::Error::other("the fetch did not complete")));
            }
        });
        Ok(Body::Stream(ReceiverStream::new(receiver).boxed()))
    }
}

impl Repository {
    /// The bytes of a blob, for those too large to load.
    ///
    /// # Errors
    /// `Busy`, `Io`.
    pub async fn blob_stream(&self, oid: crate::Oid) -> Response {
        let permit = self.all.fetch_turn().await?;
        let mut running = self.all.program.command("cat-file").in_repository(&self.dir).word("blob").oid(oid).spawn()?;
        let Some(mut stdout) = running.stdout.take() else {
            return Err(GitError::Unusable("git was started without pipes".into()));
        };
        let (sender, receiver) = mpsc::channel::<std::io::Result<Bytes>>(4);
        let (limit, idle) = (self.all.options.fetch_time, self.all.options.idle);
        tokio::spawn(async move {
            let _permit = permit;
            let work = async {
                relay(&mut stdout, &sender, &mut None, idle).await?;
                running.finish().await
            };
            if !matches!(tokio::time::timeout(limit, work).await, Ok(Ok(()))) {
                let _ = sender.try_send(Err(std::io::Error::other("the blob could not be read")));
            }
        });
        Ok(Body::Stream(ReceiverStream::new(receiver).boxed()))
    }
}

/// Carries standard output to the client until its end; an error when the client left.
async fn relay(
    stdout: &mut tokio::process::ChildStdout,
    sender: &mpsc::Sender<std::io::Result<Bytes>>,
    draft: &mut Option<Draft>,
    idle: Duration,
) -> Result<()> {
    let gone = || GitError::Invalid("the client left".into());
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(CHUNK);
        let n = tokio::select! {
            n = stdout.read_buf(&mut buffer) => n.map_err(GitError::io("read from git"))?,
            // also while git is counting and says nothing
            () = sender.closed() => return Err(gone()),
        };
        if n == 0 {
            return Ok(());
        }
        if draft.as_mut().is_some_and(|d| !d.write(&buffer)) {
            *draft = None;
        }
        let sent = tokio::time::timeout(idle, sender.send(Ok(buffer.split().freeze()))).await;
        sent.map_err(|_| GitError::Timeout)?.map_err(|_| gone())?;
    }
}

async fn cached(mut file: tokio::fs::File, size: u64) -> Response {
    if size <= SMALL {
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        file.seek(SeekFrom::Start(0)).await.map_err(GitError::io("read the clone cache"))?;
        file.read_to_end(&mut bytes).await.map_err(GitError::io("read the clone cache"))?;
        return Ok(full(bytes));
    }
    Ok(Body::Stream(ReaderStream::with_capacity(file, 4 * CHUNK).boxed()))
}

/// Checks the form of a request and finds out what it is.
fn parse(version: Version, mut bytes: BytesMut, refs: &RefSnapshot) -> Result<Request> {
    let malformed = || GitError::Invalid("the request is not in git's protocol".into());
    let mut lines = Vec::new();
    while let Some(packet) = pktline::take(&mut bytes).map_err(|_| malformed())? {
        lines.push(packet);
    }
    if !bytes.is_empty() {
        return Err(malformed());
    }
    if lines.iter().all(|l| *l == Packet::Flush) {
        return Ok(Request::Empty);
    }
    if version == Version::V2 { parse_v2(&lines, refs) } else { Ok(Request::Fetch { key: key_v0(&lines, refs) }) }
}

fn parse_v2(lines: &[Packet], refs: &RefSnapshot) -> Result<Request> {
    let split = lines.iter().position(|l| !matches!(l, Packet::Data(_))).unwrap_or(lines.len());
    let (head, rest) = lines.split_at(split);
    let head: Vec<&[u8]> = head.iter().filter_map(Packet::text).collect();
    let command = head.iter().find_map(|l| l.strip_prefix(b"command=")).unwrap_or_default();
    if head.iter().filter_map(|l| l.strip_prefix(b"object-format=")).any(|f| f != b"sha1") {
        return Err(GitError::Invalid("only object-format=sha1 is served".into()));
    }
    let arguments = rest.iter().filter_map(Packet::text);
    match command {
        b"ls-refs" => {
            let mut asked = LsRefs::default();
            for line in arguments {
                match line {
                    b"peel" => asked.peel = true,
                    b"symrefs" => asked.symrefs = true,
                    b"unborn" => asked.unborn = true,
                    _ => match line.strip_prefix(b"ref-prefix ") {
                        Some(prefix) => asked.prefixes.push(Bytes::copy_from_slice(prefix)),
                        None => return Err(GitError::Invalid("unknown argument of ls-refs".into())),
                    },
                }
            }
            if asked.prefixes.len() > MAX_PREFIXES {
                asked.prefixes.clear();
            }
            Ok(Request::LsRefs(asked))
        }
        b"fetch" => {
            let arguments: Vec<&[u8]> = arguments.collect();
            let complete = arguments.contains(&b"done".as_slice());
            let key = (complete && starts_from_nothing(arguments.iter().copied())).then(|| key(refs, b"2", arguments.into_iter()));
            Ok(Request::Fetch { key })
        }
        b"object-info" => Ok(Request::Fetch { key: None }),
        _ => Err(GitError::Invalid(format!("unknown command {}", pktline::one_line(&String::from_utf8_lossy(command))))),
    }
}

fn key_v0(lines: &[Packet], refs: &RefSnapshot) -> Option<[u8; 32]> {
    let texts: Vec<&[u8]> = lines.iter().filter_map(Packet::text).collect();
    if texts.last() != Some(&b"done".as_slice()) || !starts_from_nothing(texts.iter().copied()) {
        return None;
    }
    // `agent` says nothing about the answer, and would keep versions of git apart
    let words = |line: &[u8]| line.split(|b| *b == b' ').filter(|w| !w.starts_with(b"agent=")).collect::<Vec<_>>().join(&b' ');
    let lines: Vec<Vec<u8>> = texts.into_iter().map(words).collect();
    Some(key(refs, b"0", lines.iter().map(Vec::as_slice)))
}

/// A request that names nothing the client has is answered the same for everybody. With a history of the client's own
/// the answer depends on what else is stored here.
fn starts_from_nothing<'a>(mut lines: impl Iterator<Item = &'a [u8]>) -> bool {
    !lines.any(|l| l.starts_with(b"have ") || l.starts_with(b"shallow "))
}

fn key<'a>(refs: &RefSnapshot, version: &[u8], lines: impl Iterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(refs.digest);
    hash.update(version);
    for line in lines {
        hash.update(u32::try_from(line.len()).unwrap_or(u32::MAX).to_be_bytes());
        hash.update(line);
    }
    hash.finalize().into()
}

fn ls_refs(refs: &RefSnapshot, asked: &LsRefs) -> Bytes {
    let wanted = |name: &str| asked.prefixes.is_empty() || asked.prefixes.iter().any(|p| name.as_bytes().starts_with(p));
    let mut out = BytesMut::new();
    if wanted("HEAD") {
        let target = if asked.symrefs { format!(" symref-target:{}", refs.head) } else { String::new() };
        match refs.head_entry() {
            Some(head) => pktline::put_text(&mut out, &format!("{} HEAD{target}", head.oid)),
            None if asked.unborn => pktline::put_text(&mut out, &format!("unborn HEAD{target}")),
            None => {}
        }
    }
    for entry in refs.refs.iter().filter(|e| wanted(&e.name)) {
        match entry.peeled.filter(|_| asked.peel) {
            Some(peeled) => pktline::put_text(&mut out, &format!("{} {} peeled:{peeled}", entry.oid, entry.name)),
            None => pktline::put_text(&mut out, &format!("{} {}", entry.oid, entry.name)),
        }
    }
    pktline::put_flush(&mut out);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oid::Oid;
    use crate::refs::RefEntry;

    fn snapshot() -> RefSnapshot {
        let oid = |d: &str| Oid::parse(&d.repeat(40)).unwrap();
        let entry = |name: &str, o: &str, p: Option<&str>| RefEntry { name: name.into(), oid: oid(o), peeled: p.map(oid) };
        let refs = vec![entry("refs/heads/a", "1", None), entry("refs/heads/main", "2", None), entry("refs/tags/v1", "3", Some("1"))];
        RefSnapshot::new("refs/heads/main".into(), refs)
    }

    fn request(lines: &[&str]) -> BytesMut {
        let mut out = BytesMut::new();
        for line in lines {
            match *line {
                "0000" => pktline::put_flush(&mut out),
                "0001" => out.extend_from_slice(b"0001"),
                text => pktline::put_text(&mut out, text),
            }
        }
        out
    }

    fn listed(lines: &[&str]) -> String {
        let refs = snapshot();
        match parse(Version::V2, request(lines), &refs).unwrap() {
            Request::LsRefs(asked) => {
                let mut buffer = BytesMut::from(&ls_refs(&refs, &asked)[..]);
                let mut out = Vec::new();
                while let Some(p) = pktline::take(&mut buffer).unwrap() {
                    out.extend(p.text().map(|t| {
                        String::from_utf8_lossy(t)
                            .replace(&"1".repeat(40), "1*")
                            .replace(&"2".repeat(40), "2*")
                            .replace(&"3".repeat(40), "3*")
                    }));
                }
                out.join("\n")
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lists_refs() {
        assert_eq!(
            listed(&["command=ls-refs", "agent=git/2", "0001", "peel", "symrefs", "0000"]),
            "2* HEAD symref-target:refs/heads/main\n1* refs/heads/a\n2* refs/heads/main\n3* refs/tags/v1 peeled:1*"
        );
        assert_eq!(
            listed(&["command=ls-refs", "0001", "ref-prefix refs/heads/m", "ref-prefix HEAD", "0000"]),
            "2* HEAD\n2* refs/heads/main"
        );
        assert_eq!(listed(&["command=ls-refs", "0000"]).lines().count(), 4);
    }

    #[test]
    fn only_requests_from_nothing_are_kept() {
        let refs = snapshot();
        let want = format!("want {}", "2".repeat(40));
        let have = format!("have {}", "1".repeat(40));
        let keyed = |lines: &[&str]| match parse(Version::V2, request(lines), &refs).unwrap() {
            Request::Fetch { key } => key,
            other => panic!("{other:?}"),
        };
        let clone = keyed(&["command=fetch", "agent=git/2.39", "0001", "ofs-delta", &want, "done", "0000"]);
        assert!(clone.is_some());
        assert_eq!(clone, keyed(&["command=fetch", "agent=git/2.50", "0001", "ofs-delta", &want, "done", "0000"]));
        assert_ne!(clone, keyed(&["command=fetch", "0001", "ofs-delta", "deepen 1", &want, "done", "0000"]));
        assert!(keyed(&["command=fetch", "0001", &want, &have, "done", "0000"]).is_none());
        assert!(keyed(&["command=fetch", "0001", &want, "0000"]).is_none());
        let moved = RefSnapshot::new("refs/heads/a".into(), snapshot().refs);
        let elsewhere = parse(Version::V2, request(&["command=fetch", "0001", "ofs-delta", &want, "done", "0000"]), &moved).unwrap();
        assert_ne!(elsewhere, Request::Fetch { key: clone });
        let v0 = format!("{want} side-band-64k agent=git/2.39");
        assert!(matches!(parse(Version::V0, request(&[&v0, "0000", "done"]), &refs).unwrap(), Request::Fetch { key: Some(_) }));
    }

    #[test]
    fn nonsense_is_refused() {
        let refs = snapshot();
        for bad in [&b"hello"[..], b"0003", b"00", b"0010command=x"] {
            assert!(parse(Version::V2, BytesMut::from(bad), &refs).is_err(), "{bad:?}");
        }
        assert!(parse(Version::V2, request(&["command=rm", "0000"]), &refs).is_err());
        assert!(parse(Version::V2, request(&["command=ls-refs", "object-format=sha256", "0000"]), &refs).is_err());
        assert_eq!(parse(Version::V0, request(&["0000"]), &refs).unwrap(), Request::Empty);
    }
}
