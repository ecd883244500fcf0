//! As little HTTP as git needs around [`git::Repository`].

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use git::serve::{Body, Command, Incoming, MAX_REQUEST, Outcome, PushHook, PushRules, Service, Version};
use git::{Options, Repositories, Repository};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, BodyStream, Full, StreamBody};
use hyper::body::Frame;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use kernel::{ProjectId, RefName};
use parking_lot::Mutex;

/// What the hook saw.
#[derive(Default)]
pub struct Record {
    pub begun: Mutex<Vec<Vec<Command>>>,
    pub finished: Mutex<Vec<Outcome>>,
    pub refuse: Mutex<Option<String>>,
    pub fail: Mutex<Option<String>>,
}

#[async_trait::async_trait]
impl PushHook for Record {
    async fn begin(&self, commands: &[Command]) -> Result<(), String> {
        if let Some(reason) = self.refuse.lock().clone() {
            return Err(reason);
        }
        self.begun.lock().push(commands.to_vec());
        Ok(())
    }

    async fn finish(&self, outcome: &Outcome) -> Result<(), String> {
        self.finished.lock().push(outcome.clone());
        self.fail.lock().clone().map_or(Ok(()), Err)
    }
}

pub struct Server {
    pub root: tempfile::TempDir,
    pub repositories: Repositories,
    pub repository: Repository,
    pub record: Arc<Record>,
    pub rules: Arc<Mutex<PushRules>>,
    pub address: SocketAddr,
}

pub fn main_branch() -> RefName {
    RefName::branch("main").unwrap()
}

impl Server {
    pub async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub async fn with(options: Options) -> Self {
        let root = tempfile::tempdir().unwrap();
        let repositories = Repositories::open(&root.path().join("data"), options).await.unwrap();
        let repository = repositories.create(ProjectId::new(), &main_branch()).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (record, rules) = (Arc::new(Record::default()), Arc::new(Mutex::new(PushRules::default())));
        let shared = (repository.clone(), record.clone(), rules.clone());
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { break };
                let shared = shared.clone();
                tokio::spawn(async move {
                    let service = hyper::service::service_fn(move |request| answer(shared.clone(), request));
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { root, repositories, repository, record, rules, address }
    }

    pub fn url(&self) -> String {
        format!("http://{}/a/b.git", self.address)
    }

    pub fn dir(&self) -> PathBuf {
        let hex = self.repository.project().uuid().simple().to_string();
        self.root.path().join("data/repositories").join(&hex[30..]).join(format!("{hex}.git"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Runs git as a person would; panics when it fails.
    pub async fn git(&self, dir: &Path, arguments: &[&str]) -> String {
        let out = self.try_git(dir, arguments).await;
        assert!(out.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }

    /// Runs git; what it said on standard error, which must have failed.
    pub async fn git_fails(&self, dir: &Path, arguments: &[&str]) -> String {
        let out = self.try_git(dir, arguments).await;
        assert!(!out.status.success(), "git {arguments:?} succeeded");
        String::from_utf8_lossy(&out.stderr).into_owned()
    }

    pub async fn try_git(&self, dir: &Path, arguments: &[&str]) -> Output {
        #[expect(clippy::disallowed_methods, reason = "a client, not the service")]
        let mut command = tokio::process::Command::new("git");
        command.args(arguments).current_dir(dir).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("HOME", self.root.path()).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "Ann").env(format!("GIT_{who}_EMAIL"), "ann@example.org");
        }
        command.kill_on_drop(true).output().await.unwrap()
    }

    /// A working copy with one commit, not yet pushed.
    pub async fn work(&self, name: &str) -> PathBuf {
        let dir = self.path(name);
        std::fs::create_dir(&dir).unwrap();
        self.git(&dir, &["init", "-q", "-b", "main"]).await;
        self.git(&dir, &["remote", "add", "origin", &self.url()]).await;
        self.change(&dir, "README.md", "# hello\n").await;
        dir
    }

    /// Commits a file.
    pub async fn change(&self, dir: &Path, path: &str, content: &str) -> String {
        let file = dir.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
        self.git(dir, &["add", "-A"]).await;
        self.git(dir, &["commit", "-q", "-m", &format!("change {path}")]).await;
        self.git(dir, &["rev-parse", "HEAD"]).await
    }

    pub async fn fsck(&self) {
        let out = self.git(&self.dir(), &["fsck", "--full", "--strict", "--no-dangling"]).await;
        assert_eq!(out, "");
    }
}

type Shared = (Repository, Arc<Record>, Arc<Mutex<PushRules>>);

async fn answer(
    (repository, record, rules): Shared,
    request: Request<hyper::body::Incoming>,
) -> Result<Response<BoxBody<Bytes, std::io::Error>>, Infallible> {
    let header = |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or("").to_owned();
    let version = Version::from_header(&header("git-protocol"));
    let gzip = header("content-encoding") == "gzip";
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or("").to_owned();
    let body = |max| {
        let idle = repository.repositories_idle();
        let pieces = TryStreamExt::map_err(BodyStream::new(request.into_body()), std::io::Error::other)
            .try_filter_map(|f| async { Ok(f.into_data().ok()) });
        Incoming::new(pieces, gzip, max, idle)
    };
    let (kind, result) = if path.ends_with("/info/refs") {
        let service = query.strip_prefix("service=").and_then(Service::parse).unwrap_or(Service::UploadPack);
        (service.advertisement_type(), repository.info_refs(service, version).await.map(Body::Full))
    } else if path.ends_with("/git-upload-pack") {
        (Service::UploadPack.result_type(), repository.upload_pack(version, body(MAX_REQUEST)).await)
    } else {
        let rules = rules.lock().clone();
        (Service::ReceivePack.result_type(), repository.receive_pack(body(1 << 30), rules, record).await)
    };
    let response = Response::builder().header("content-type", kind).header("cache-control", "no-cache");
    let body = match result {
        Ok(Body::Full(bytes)) => Full::new(bytes).map_err(|e| match e {}).boxed(),
        Ok(Body::Stream(stream)) => BodyExt::boxed(StreamBody::new(SyncStream(Mutex::new(stream)).map_ok(Frame::data))),
        Err(e) => Full::new(git::pktline::error_packet(&e.to_string())).map_err(|e| match e {}).boxed(),
    };
    Ok(response.body(body).unwrap())
}

/// `BoxBody` wants Sync.
struct SyncStream(Mutex<futures::stream::BoxStream<'static, std::io::Result<Bytes>>>);

impl futures::Stream for SyncStream {
    type Item = std::io::Result<Bytes>;
    fn poll_next(self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<Option<Self::Item>> {
        self.0.lock().poll_next_unpin(cx)
    }
}

trait Idle {
    fn repositories_idle(&self) -> std::time::Duration;
}

impl Idle for Repository {
    fn repositories_idle(&self) -> std::time::Duration {
        std::time::Duration::from_secs(20)
    }
}
