//! The loop against a small server of the protocol's shape, with real jobs.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use executors::protocol::{Checkout, HeartbeatAnswer, LogAnswer, ProjectRef};
use executors::sandbox::{KeepLimits, Limits};
use http_body_util::{BodyExt as _, Full};
use kernel::{JobId, ProjectId, RunId};
use parking_lot::Mutex;
use serde_json::json;

use super::transport::LocalBody;
use super::*;

#[derive(Default)]
struct Server {
    jobs: Mutex<Vec<JobSpec>>,
    log: Mutex<Vec<u8>>,
    ends: Mutex<Vec<Complete>>,
    away: AtomicBool,
    /// Answers of this many log writes are lost after they were stored.
    lost: AtomicUsize,
    stale: AtomicBool,
    /// Answers of this many claims are lost after the jobs were leased.
    lost_claims: AtomicUsize,
    /// What the runner said it has, of the claims that told.
    held: Mutex<Vec<Vec<JobId>>>,
    cancel: Mutex<Option<executors::protocol::Cancel>>,
}

impl Server {
    async fn answer(self: Arc<Self>, request: http::Request<LocalBody>) -> Result<http::Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let reply = |status: u16, json: serde_json::Value| {
            Ok(http::Response::builder().status(status).body(Full::new(Bytes::from(json.to_string()))).unwrap())
        };
        if self.away.load(Ordering::SeqCst) {
            return reply(503, json!({}));
        }
        let path = head.uri.path();
        if path.ends_with("/claim") {
            let asked: ClaimRequest = serde_json::from_slice(&body).unwrap();
            self.held.lock().extend(asked.held);
            if self.lost_claims.load(Ordering::SeqCst) > 0 && !self.jobs.lock().is_empty() {
                self.lost_claims.fetch_sub(1, Ordering::SeqCst);
                return reply(502, json!({}));
            }
            let jobs = std::mem::take(&mut *self.jobs.lock());
            if jobs.is_empty() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            return reply(200, json!(ClaimAnswer { jobs, drained: false }));
        }
        if self.stale.load(Ordering::SeqCst) {
            return reply(409, json!({ "code": "stale_epoch", "detail": "gone" }));
        }
        if path.ends_with("/log") {
            let query = head.uri.query().unwrap();
            let offset: usize = query.split('&').find_map(|p| p.strip_prefix("offset=")).unwrap().parse().unwrap();
            let mut log = self.log.lock();
            assert!(offset <= log.len(), "a gap at {offset}, stored {}", log.len());
            let known = (log.len() - offset).min(body.len());
            log.extend_from_slice(&body[known..]);
            if self.lost.load(Ordering::SeqCst) > 0 {
                self.lost.fetch_sub(1, Ordering::SeqCst);
                return reply(502, json!({}));
            }
            return reply(200, json!(LogAnswer { acked: log.len() as u64, cancel: *self.cancel.lock() }));
        }
        if path.ends_with("/heartbeat") {
            return reply(200, json!(HeartbeatAnswer { cancel: *self.cancel.lock() }));
        }
        if path.ends_with("/complete") {
            self.ends.lock().push(serde_json::from_slice(&body).unwrap());
        }
        reply(200, json!({}))
    }
}

fn spec(script: &str) -> JobSpec {
    let yaml =
        format!("on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: |\n          {}\n", script.replace('\n', "\n          "));
    let plan = dialects::github::compile(".github/workflows/a.yml", yaml.as_bytes()).plan.unwrap();
    JobSpec {
        job_id: JobId::new(),
        run_id: RunId::new(),
        epoch: 3,
        attempt: 1,
        name: "a".into(),
        project: ProjectRef { id: ProjectId::new(), path: "g/p".into() },
        job: plan.jobs[0].clone(),
        workflow_env: Default::default(),
        defaults: Default::default(),
        contexts: Default::default(),
        secrets: Default::default(),
        checkout: Checkout { url: "http://x/y.git".into(), token: "token-a".into(), sha: "a".repeat(40), r#ref: "refs/heads/main".into() },
        api_url: "http://x".into(),
        registry_host: "x:1".into(),
        job_token: "token-b".into(),
        timeout_seconds: 120,
        services: None,
        resume: None,
    }
}

/// Runs a runner beside `story` until that ends.
async fn with_runner<F: Future<Output = ()>>(server: &Arc<Server>, story: impl FnOnce(watch::Sender<Shutdown>) -> F) {
    let base = tempfile::tempdir().unwrap();
    let machine = MachineConfig {
        root: base.path().to_owned(),
        hidden: vec![],
        limits: Limits::default(),
        pass_env: vec![],
        docker_host: None,
        keep: KeepLimits { jobs: 0, ..KeepLimits::default() },
    };
    let config = RunnerConfig {
        name: "r".into(),
        labels: vec!["x".into()],
        capacity: 2,
        machine,
        drain: Duration::from_secs(30),
        version: "0".into(),
        ephemeral: false,
        until_drained: false,
    };
    let runner = Runner::prepare(config).await.unwrap();
    let inner = Arc::clone(server);
    let service = tower::service_fn(move |request| Arc::clone(&inner).answer(request));
    let transport: Arc<dyn Transport> = Arc::new(LocalTransport::new(service));
    let (tell, shutdown) = watch::channel(Shutdown::No);
    let teller = tell.clone();
    let stop_after = async {
        story(teller).await;
        tell.send_if_modified(|now| std::mem::replace(now, Shutdown::Drain.max(*now)) < Shutdown::Drain);
    };
    let (outcome, ()) = tokio::join!(runner.run(transport, "dmr_x", shutdown), stop_after);
    outcome.unwrap();
    assert_eq!(std::fs::read_dir(base.path().join("jobs")).unwrap().count(), 0);
}

async fn until(what: impl Fn() -> bool) {
    for _ in 0..600 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it did not happen");
}

fn log(server: &Server) -> String {
    String::from_utf8(server.log.lock().clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_and_its_log_is_whole_although_the_server_goes_away() {
    let server = Arc::new(Server::default());
    server.jobs.lock().push(spec("i=0\nwhile [ $i -lt 60 ]; do echo line $i; i=$((i+1)); sleep 0.05; done"));
    server.lost.store(2, Ordering::SeqCst);
    with_runner(&server, async |_| {
        until(|| log(&server).contains("line 3\n")).await;
        server.away.store(true, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(1500)).await;
        server.away.store(false, Ordering::SeqCst);
        until(|| !server.ends.lock().is_empty()).await;
    })
    .await;
    let end = server.ends.lock()[0].clone();
    assert_eq!((end.conclusion, end.epoch, end.infra_failure), (Conclusion::Success, 3, None));
    assert_eq!(end.log_length, server.log.lock().len() as u64);
    let text = log(&server);
    let lines: Vec<&str> = text.lines().filter(|l| l.starts_with("line ")).collect();
    assert_eq!(lines, (0..60).map(|i| format!("line {i}")).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_lost_answer_it_tells_what_it_has() {
    let server = Arc::new(Server::default());
    let first = spec("sleep 3");
    server.jobs.lock().push(first.clone());
    with_runner(&server, async |_| {
        until(|| !log(&server).is_empty()).await;
        server.lost_claims.store(1, Ordering::SeqCst);
        server.jobs.lock().push(spec("true"));
        until(|| server.jobs.lock().is_empty()).await;
        until(|| server.ends.lock().len() == 2).await;
    })
    .await;
    assert_eq!(*server.held.lock(), [vec![first.job_id]], "once, and of what runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_lease_kills_the_job_silently() {
    let server = Arc::new(Server::default());
    server.jobs.lock().push(spec("trap '' INT TERM; echo begin; while :; do echo x; sleep 0.2; done"));
    let begun = std::time::Instant::now();
    with_runner(&server, async |_| {
        until(|| log(&server).contains("\nbegin")).await;
        server.stale.store(true, Ordering::SeqCst);
    })
    .await;
    assert!(begun.elapsed() < Duration::from_secs(12));
    assert!(server.ends.lock().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_comes_with_an_answer() {
    let server = Arc::new(Server::default());
    server.jobs.lock().push(spec("echo begin; while :; do echo x; sleep 0.2; done"));
    with_runner(&server, async |_| {
        until(|| log(&server).contains("\nbegin")).await;
        *server.cancel.lock() = Some(executors::protocol::Cancel::Cancel);
        until(|| !server.ends.lock().is_empty()).await;
    })
    .await;
    assert_eq!(server.ends.lock()[0].conclusion, Conclusion::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_must_end_now_gives_its_jobs_back() {
    let server = Arc::new(Server::default());
    server.jobs.lock().push(spec("echo begin; sleep 100"));
    with_runner(&server, async |tell| {
        until(|| log(&server).contains("\nbegin")).await;
        tell.send_replace(Shutdown::Now);
        until(|| !server.ends.lock().is_empty()).await;
    })
    .await;
    assert_eq!(server.ends.lock()[0].infra_failure.as_deref(), Some("the runner was stopped"));
}
