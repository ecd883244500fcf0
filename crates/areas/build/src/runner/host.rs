//! The outside of one job, over the runner protocol.
//!
//! Log, rows and remarks are sent by one task in the background, in that job's order and never more than one call at a
//! time: while a call is on its way the next bytes gather, so a busy log goes in large pieces and a quiet one at once.
//! When the server is away the buffer fills, then the job waits; nothing is lost. The heartbeat is another task.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use dialects::jenkins::interp::{Answer, Question};
use executors::host::{ByteStream, DeployState, HostError, HostResult, JobHost};
use executors::protocol::{
    Annotation, AnnotationsRequest, ArtifactItem, ArtifactList, Cancel, Complete, HEARTBEAT_SECONDS, Heartbeat, HeartbeatAnswer, JobSpec,
    LOG_CHUNK_MAX, LogAnswer, MilestoneAnswer, MilestoneRequest, QuestionAnswer, QuestionRequest, ReportKind, Reported, StepUpdate,
    StepsRequest, TESTS_FAILED, TESTS_QUARANTINED,
};
use executors::spawn::Stop;
use http::Method;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use super::client::{Client, encode};
use super::transport::{Call, Payload};

/// Most bytes of log that may be unacknowledged.
const BUFFER_MAX: usize = 8 << 20;
/// Least time between two log writes, as long as little waits.
const PACE: Duration = Duration::from_millis(50);
/// How long a call for the job is repeated while the server is away.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long the end of a job is told.
const LAST_WORD: Duration = Duration::from_secs(900);
/// Bound on one transfer of a file.
const TRANSFER: Duration = Duration::from_secs(3600);

/// What waits to be sent.
#[derive(Default)]
struct Outbox {
    log: VecDeque<Bytes>,
    log_bytes: usize,
    /// Offset of the first waiting byte.
    offset: u64,
    steps: BTreeMap<u32, StepUpdate>,
    annotations: Vec<Annotation>,
    /// Nothing can be sent any more, and why.
    broken: Option<Broken>,
    sending: bool,
}

#[derive(Clone, Debug)]
enum Broken {
    Stale,
    Refused(String),
}

/// The outside of one job.
pub(crate) struct RemoteHost {
    client: Client,
    /// As the job itself, for registry and deployments.
    registry: Client,
    api: Client,
    base: String,
    epoch: i64,
    /// How many calls that add something there have been.
    calls: AtomicU64,
    project: String,
    outbox: Mutex<Outbox>,
    /// Something waits.
    filled: Notify,
    /// Something was sent.
    drained: Notify,
    stop: watch::Sender<Stop>,
    slot: Slot,
}

/// The place of a job among those that run on the machine at once.
pub(crate) struct Slot {
    all: Arc<Semaphore>,
    held: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl Slot {
    pub(crate) fn new(all: &Arc<Semaphore>, held: OwnedSemaphorePermit) -> Self {
        Self { all: Arc::clone(all), held: Arc::new(Mutex::new(Some(held))) }
    }

    fn give_back(&self) {
        self.held.lock().take();
    }

    /// The job goes on at once; the next place that becomes free is its own.
    fn take_again(&self) {
        let (all, held) = (Arc::clone(&self.all), Arc::clone(&self.held));
        tokio::spawn(async move {
            if let Ok(permit) = all.acquire_owned().await {
                held.lock().replace(permit);
            }
        });
    }
}

impl RemoteHost {
    pub(crate) fn new(client: &Client, spec: &JobSpec, stop: watch::Sender<Stop>, slot: Slot) -> Arc<Self> {
        use base64::Engine as _;
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("job:{}", spec.job_token));
        Arc::new(Self {
            client: client.clone(),
            registry: client.with_authorization(format!("Basic {basic}")),
            api: client.with_authorization(format!("Bearer {}", spec.job_token)),
            base: format!("/runner/jobs/{}", spec.job_id),
            epoch: spec.epoch,
            calls: AtomicU64::new(0),
            project: spec.project.id.to_string(),
            outbox: Mutex::default(),
            filled: Notify::new(),
            drained: Notify::new(),
            stop,
            slot,
        })
    }

    fn next_call(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Is the lease lost?
    pub(crate) fn is_stale(&self) -> bool {
        matches!(self.outbox.lock().broken, Some(Broken::Stale))
    }

    fn check(&self) -> HostResult<()> {
        match &self.outbox.lock().broken {
            None => Ok(()),
            Some(Broken::Stale) => Err(HostError::Stale),
            Some(Broken::Refused(why)) => Err(HostError::Refused(why.clone())),
        }
    }

    fn break_off(&self, error: HostError) {
        let broken = match error {
            HostError::Stale => Broken::Stale,
            other => Broken::Refused(other.to_string()),
        };
        tracing::info!(job = self.base, ?broken, "the job is stopped");
        self.outbox.lock().broken = Some(broken);
        self.raise(Stop::Kill);
        self.drained.notify_waiters();
    }

    fn raise(&self, level: Stop) {
        self.stop.send_if_modified(|now| std::mem::replace(now, level.max(*now)) < level);
    }

    fn obey(&self, cancel: Option<Cancel>) {
        match cancel {
            None => {}
            Some(Cancel::Cancel) => self.raise(Stop::Cancel),
            Some(Cancel::Kill) => self.raise(Stop::Kill),
        }
    }

    /// Sends what waits until the job is dropped.
    pub(crate) async fn send_loop(self: Arc<Self>) {
        loop {
            let ready = self.filled.notified();
            match self.send_next().await {
                // a chatty job must not use up the calls a minute has; a full buffer must not wait
                Ok(true) if self.outbox.lock().log_bytes < LOG_CHUNK_MAX / 2 => tokio::time::sleep(PACE).await,
                Ok(true) => {}
                Ok(false) => ready.await,
                Err(error) => return self.break_off(error),
            }
        }
    }

    /// Sends one piece; false when nothing waits.
    async fn send_next(&self) -> HostResult<bool> {
        let (steps, annotations, log, offset) = {
            let mut outbox = self.outbox.lock();
            let steps: Vec<StepUpdate> = std::mem::take(&mut outbox.steps).into_values().collect();
            let annotations = std::mem::take(&mut outbox.annotations);
            let mut log = BytesMut::new();
            // the bytes stay in the box until they are acknowledged
            for piece in &outbox.log {
                let room = LOG_CHUNK_MAX - log.len();
                log.extend_from_slice(&piece[..piece.len().min(room)]);
                if log.len() == LOG_CHUNK_MAX {
                    break;
                }
            }
            outbox.sending = !(steps.is_empty() && annotations.is_empty() && log.is_empty());
            (steps, annotations, log.freeze(), outbox.offset)
        };
        if steps.is_empty() && annotations.is_empty() && log.is_empty() {
            self.drained.notify_waiters();
            return Ok(false);
        }
        // the server may be restarted for as long as it takes: the lease decides whether the job is still ours
        let forever = Duration::from_secs(86_400 * 40);
        if !steps.is_empty() {
            let call = self.client.json(Method::POST, format!("{}/steps", self.base), &StepsRequest { epoch: self.epoch, steps })?;
            self.client.persist(call, forever).await?;
        }
        if !annotations.is_empty() {
            let body = AnnotationsRequest { epoch: self.epoch, call: self.next_call(), items: annotations };
            let call = self.client.json(Method::POST, format!("{}/annotations", self.base), &body)?;
            self.client.persist(call, forever).await?;
        }
        if !log.is_empty() {
            let path = format!("{}/log?epoch={}&offset={offset}", self.base, self.epoch);
            let payload = Payload::Bytes(log);
            let call = Call { content_type: "application/octet-stream", payload, ..self.client.call(Method::POST, path) };
            let answer: LogAnswer = self.client.ask(call, forever).await?;
            self.acknowledge(answer.acked);
            self.obey(answer.cancel);
        }
        self.outbox.lock().sending = false;
        self.drained.notify_waiters();
        Ok(true)
    }

    fn acknowledge(&self, acked: u64) {
        let mut outbox = self.outbox.lock();
        let mut count = usize::try_from(acked.saturating_sub(outbox.offset)).unwrap_or(usize::MAX).min(outbox.log_bytes);
        outbox.offset += count as u64;
        outbox.log_bytes -= count;
        while count > 0 {
            let Some(first) = outbox.log.front_mut() else { break };
            if first.len() > count {
                let _ = first.split_to(count);
                break;
            }
            count -= first.len();
            outbox.log.pop_front();
        }
    }

    /// Shows that the job lives, until it is dropped.
    pub(crate) async fn beat_loop(self: Arc<Self>) {
        let mut every = tokio::time::interval(Duration::from_secs(HEARTBEAT_SECONDS));
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            let call = self.client.json(Method::POST, format!("{}/heartbeat", self.base), &Heartbeat { epoch: self.epoch });
            let answer: HostResult<HeartbeatAnswer> = match call {
                Ok(call) => self.client.ask(call, Duration::from_secs(HEARTBEAT_SECONDS)).await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(answer) => self.obey(answer.cancel),
                Err(HostError::Unavailable(why)) => tracing::warn!(job = self.base, why, "no heartbeat: the server is away"),
                Err(error) => return self.break_off(error),
            }
        }
    }

    /// Waits until everything has been sent.
    pub(crate) async fn flush(&self) -> HostResult<()> {
        loop {
            let sent = self.drained.notified();
            {
                let outbox = self.outbox.lock();
                let empty = outbox.log.is_empty() && outbox.steps.is_empty() && outbox.annotations.is_empty() && !outbox.sending;
                if empty || outbox.broken.is_some() {
                    break;
                }
            }
            self.filled.notify_one();
            sent.await;
        }
        self.check()
    }

    /// Says the last word about the job.
    pub(crate) async fn complete(&self, end: &Complete) -> HostResult<()> {
        let call = self.client.json(Method::POST, format!("{}/complete", self.base), end)?;
        self.client.persist(call, LAST_WORD).await?;
        Ok(())
    }

    fn file(&self, client: &Client, method: Method, path: String, content_type: &'static str, file: &Path) -> Call {
        Call { content_type, payload: Payload::File(file.to_owned()), limit: Some(TRANSFER), ..client.call(method, path) }
    }

    /// Uploads a blob once.
    async fn upload(&self, repository: &str, digest: &str, file: &Path) -> HostResult<()> {
        let call = self.registry.call(Method::POST, format!("/v2/{repository}/blobs/uploads/"));
        let begun = self.registry.persist(call, PATIENCE).await?;
        let location = begun.headers.get("location").and_then(|v| v.to_str().ok()).unwrap_or_default();
        // the registry may name itself as others see it: only the path counts here
        let path = match location.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
            None => location,
        };
        let joiner = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{joiner}digest={}", encode(digest));
        let call = self.file(&self.registry, Method::PUT, path, "application/octet-stream", file);
        self.registry.once(call).await?;
        Ok(())
    }

    fn push(&self, change: impl FnOnce(&mut Outbox)) -> HostResult<()> {
        self.check()?;
        change(&mut self.outbox.lock());
        self.filled.notify_one();
        Ok(())
    }
}

#[async_trait::async_trait]
impl JobHost for RemoteHost {
    async fn log(&self, bytes: Bytes) -> HostResult<()> {
        self.push(|outbox| {
            outbox.log_bytes += bytes.len();
            outbox.log.push_back(bytes);
        })?;
        loop {
            let sent = self.drained.notified();
            self.check()?;
            if self.outbox.lock().log_bytes <= BUFFER_MAX {
                return Ok(());
            }
            sent.await;
        }
    }

    async fn step(&self, step: StepUpdate) -> HostResult<()> {
        self.push(|outbox| {
            outbox.steps.insert(step.index, step);
        })
    }

    async fn annotate(&self, annotation: Annotation) -> HostResult<()> {
        self.push(|outbox| outbox.annotations.push(annotation))
    }

    async fn report(&self, kind: ReportKind, name: &str, body: Bytes) -> HostResult<Reported> {
        let (epoch, call) = (self.epoch, self.next_call());
        let path = format!("{}/reports?epoch={epoch}&call={call}&kind={}&name={}", self.base, kind.as_str(), encode(name));
        let payload = Payload::Bytes(body);
        let call = Call { content_type: "application/octet-stream", payload, ..self.client.call(Method::POST, path) };
        let answer = self.client.persist(call, PATIENCE).await?;
        let count = |name: &str| answer.headers.get(name).and_then(|v| v.to_str().ok()?.parse().ok()).unwrap_or(0);
        Ok(Reported { failed: count(TESTS_FAILED), quarantined: count(TESTS_QUARANTINED) })
    }

    async fn artifact_put(&self, name: &str, zip: &Path, keep: Option<Duration>) -> HostResult<()> {
        let keep = keep.map(|keep| format!("&keep={}", keep.as_secs())).unwrap_or_default();
        let path = format!("{}/artifacts/{}?epoch={}{keep}", self.base, encode(name), self.epoch);
        let call = self.file(&self.client, Method::PUT, path, "application/zip", zip);
        self.client.persist(call, PATIENCE).await?;
        Ok(())
    }

    async fn artifact_list(&self) -> HostResult<Vec<ArtifactItem>> {
        let call = self.client.call(Method::GET, format!("{}/artifacts", self.base));
        let list: ArtifactList = self.client.ask(call, PATIENCE).await?;
        Ok(list.items)
    }

    async fn artifact_get(&self, name: &str) -> HostResult<ByteStream> {
        let path = format!("{}/artifacts/{}", self.base, encode(name));
        let call = Call { limit: Some(TRANSFER), ..self.client.call(Method::GET, path) };
        Ok(self.client.persist(call, PATIENCE).await?.body)
    }

    async fn cache_get(&self, key: &str, restore: &[String]) -> HostResult<Option<(String, ByteStream)>> {
        let path = format!("{}/cache?key={}&restore={}", self.base, encode(key), encode(&restore.join("\n")));
        let call = Call { limit: Some(TRANSFER), ..self.client.call(Method::GET, path) };
        let Some(answer) = self.client.find(call, PATIENCE).await? else { return Ok(None) };
        let found = answer.headers.get("x-cache-key").and_then(|v| v.to_str().ok()).unwrap_or(key).to_owned();
        Ok(Some((found, answer.body)))
    }

    async fn cache_put(&self, key: &str, archive: &Path) -> HostResult<()> {
        let path = format!("{}/cache?epoch={}&key={}", self.base, self.epoch, encode(key));
        let call = self.file(&self.client, Method::PUT, path, "application/gzip", archive);
        self.client.persist(call, PATIENCE).await?;
        Ok(())
    }

    async fn blob_exists(&self, repository: &str, digest: &str) -> HostResult<bool> {
        let call = self.registry.call(Method::HEAD, format!("/v2/{repository}/blobs/{digest}"));
        Ok(self.registry.find(call, PATIENCE).await?.is_some())
    }

    async fn blob_put(&self, repository: &str, digest: &str, file: &Path) -> HostResult<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.upload(repository, digest, file).await {
                // the registry went away in the middle of an upload: it is begun anew
                Err(HostError::Unavailable(why)) if Instant::now() < end => {
                    tracing::info!(job = self.base, why, "an upload begins anew");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                done => return done,
            }
        }
    }

    async fn manifest_put(&self, repository: &str, reference: &str, media_type: &str, body: Bytes) -> HostResult<String> {
        let content_type = match media_type {
            executors::image::MANIFEST_TYPE => executors::image::MANIFEST_TYPE,
            other => return Err(HostError::Refused(format!("{other} is not a manifest that is pushed from here"))),
        };
        let call = self.registry.call(Method::PUT, format!("/v2/{repository}/manifests/{reference}"));
        let answer = self.registry.persist(Call { content_type, payload: Payload::Bytes(body), ..call }, PATIENCE).await?;
        let digest = answer.headers.get("docker-content-digest").and_then(|v| v.to_str().ok());
        digest.map(str::to_owned).ok_or_else(|| HostError::Refused("the registry did not say the digest of the manifest".into()))
    }

    async fn deploy(&self, key: &str, environment: &str, image: Option<&str>, config: Option<Value>) -> HostResult<DeployState> {
        let mut body = json!({ "environment": environment, "key": key });
        if let Some(image) = image {
            body["image"] = image.into();
        }
        if let Some(config) = config {
            body["config"] = config;
        }
        let call = self.api.json(Method::POST, format!("/projects/{}/deploy", self.project), &body)?;
        let made: Value = self.api.ask(call, PATIENCE).await?;
        Ok(deployment(&made))
    }

    async fn question(&self, question: &Question) -> HostResult<Option<Answer>> {
        let request = QuestionRequest { epoch: self.epoch, question: question.clone() };
        let call = self.client.json(Method::POST, format!("{}/question", self.base), &request)?;
        let answer: QuestionAnswer = self.client.ask(call, PATIENCE).await?;
        Ok(answer.answer)
    }

    fn rest(&self, resting: bool) {
        if resting {
            self.slot.give_back();
        } else {
            self.slot.take_again();
        }
    }

    async fn milestone(&self, ordinal: i64) -> HostResult<Option<i64>> {
        let call = self.client.json(Method::POST, format!("{}/milestone", self.base), &MilestoneRequest { epoch: self.epoch, ordinal })?;
        let answer: MilestoneAnswer = self.client.ask(call, PATIENCE).await?;
        Ok(answer.overtaken_by)
    }

    async fn deploy_state(&self, id: &str) -> HostResult<DeployState> {
        let call = self.api.call(Method::GET, format!("/deployments/{}", encode(id)));
        let value: Value = self.api.ask(call, PATIENCE).await?;
        Ok(deployment(&value))
    }
}

fn deployment(value: &Value) -> DeployState {
    let text = |key: &str| value[key].as_str().map(str::to_owned);
    let url = text("url").or_else(|| value["environment"]["url"].as_str().map(str::to_owned));
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let steps = value["steps"].as_array().into_iter().flatten().map(|s| (word(&s["name"]), word(&s["state"]))).collect();
    DeployState {
        id: text("id").unwrap_or_default(),
        state: text("state").unwrap_or_default(),
        conclusion: text("conclusion"),
        reason: text("reason"),
        url,
        steps,
    }
}
