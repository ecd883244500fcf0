//! What a job needs of the world outside its machine. The runner's client implements it over the runner protocol;
//! tests implement it in memory.

use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use dialects::jenkins::interp::{Answer, Question};
use futures::Stream;

use crate::protocol::{Annotation, ArtifactItem, ReportKind, Reported, StepUpdate};

/// Bytes that come piece by piece.
pub type ByteStream = Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send>>;

/// Why the outside did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The lease is lost: stop at once, nobody listens.
    #[error("the job was given to another runner or is over")]
    Stale,
    /// It was understood and refused.
    #[error("{0}")]
    Refused(String),
    /// It could not be reached in time, or broke.
    #[error("{0}")]
    Unavailable(String),
    /// Something on this machine.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Result of a call outside.
pub type HostResult<T> = Result<T, HostError>;

/// What is known of a deployment.
#[derive(Clone, Debug)]
pub struct DeployState {
    /// Its id.
    pub id: String,
    /// `queued`, `running`, `completed`.
    pub state: String,
    /// How it ended.
    pub conclusion: Option<String>,
    /// Why, in words.
    pub reason: Option<String>,
    /// Where it answers.
    pub url: Option<String>,
    /// Lines of progress so far: step and state.
    pub steps: Vec<(String, String)>,
}

/// The outside of a job.
#[async_trait::async_trait]
pub trait JobHost: Send + Sync {
    /// Takes the next bytes of the job's log. Waits when too much is unacknowledged, which holds the job back.
    async fn log(&self, bytes: Bytes) -> HostResult<()>;
    /// Shows how a step stands.
    async fn step(&self, step: StepUpdate) -> HostResult<()>;
    /// Shows a remark.
    async fn annotate(&self, annotation: Annotation) -> HostResult<()>;
    /// Hands over a report file; how many of its tests failed.
    async fn report(&self, kind: ReportKind, name: &str, body: Bytes) -> HostResult<Reported>;

    /// Stores a zip as an artifact of the run; kept for so long, or for as long as the instance says.
    async fn artifact_put(&self, name: &str, zip: &Path, keep: Option<Duration>) -> HostResult<()>;
    /// Artifacts of the run.
    async fn artifact_list(&self) -> HostResult<Vec<ArtifactItem>>;
    /// The zip of an artifact.
    async fn artifact_get(&self, name: &str) -> HostResult<ByteStream>;

    /// The entry of `key`, else the newest whose key begins with one of `restore`: its key and tar.gz.
    async fn cache_get(&self, key: &str, restore: &[String]) -> HostResult<Option<(String, ByteStream)>>;
    /// Stores a tar.gz under `key`.
    async fn cache_put(&self, key: &str, archive: &Path) -> HostResult<()>;

    /// Is the blob in the registry's repository?
    async fn blob_exists(&self, repository: &str, digest: &str) -> HostResult<bool>;
    /// Pushes a blob to the registry.
    async fn blob_put(&self, repository: &str, digest: &str, file: &Path) -> HostResult<()>;
    /// Pushes a manifest under a tag or digest; returns its digest as the registry sees it.
    async fn manifest_put(&self, repository: &str, reference: &str, media_type: &str, body: Bytes) -> HostResult<String>;

    /// Asks for a deployment of an image of the project. The same key again within the run asks for the same one.
    async fn deploy(&self, key: &str, environment: &str, image: Option<&str>, config: Option<serde_json::Value>)
    -> HostResult<DeployState>;
    /// Asks people, and waits a while; none while nobody has answered.
    async fn question(&self, question: &Question) -> HostResult<Option<Answer>>;
    /// The job waits outside of any agent, or does no more: its place among the jobs of the machine is given to others.
    fn rest(&self, resting: bool);
    /// Passes a milestone; the number of a newer run that has passed it before.
    async fn milestone(&self, ordinal: i64) -> HostResult<Option<i64>>;

    /// How a deployment stands.
    async fn deploy_state(&self, id: &str) -> HostResult<DeployState>;
}
