//! The runner protocol: what the server and a runner say to each other, as JSON over HTTP.
//!
//! Both sides share these types; the server's routes live in the build area, the client in its runner loop.
//! Every write of a runner carries the epoch of the lease it was given with the job. A write with an older epoch is
//! refused with `stale_epoch`, and the runner then kills the job: somebody else has it.
//!
//! Bodies that are streams (log chunks, artifacts, caches, reports) have no type here; their query parameters do.

use std::collections::BTreeMap;

use kernel::{JobId, ProjectId, RunId, RunnerId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Most bytes of one log write.
pub const LOG_CHUNK_MAX: usize = 1 << 20;
/// The output of a job that holds the address of its environment.
pub const ENVIRONMENT_URL: &str = "environment_url";
/// Longest a claim is held open by the server, in seconds.
pub const CLAIM_SECONDS: u64 = 30;
/// How often a runner shows that a job lives, in seconds.
pub const HEARTBEAT_SECONDS: u64 = 10;
/// A lease without a heartbeat is given to another runner after this many seconds.
pub const LEASE_SECONDS: u64 = 30;

/// `POST /runner/register`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RegisterRequest {
    /// One-time token from `POST /runners/tokens`.
    pub registration_token: String,
    /// Name shown to people.
    pub name: String,
    /// What `runs-on` may ask for.
    pub labels: Vec<String>,
    /// Jobs at a time.
    pub capacity: u32,
    /// Version of the binary.
    pub version: String,
    /// `linux`, ...
    pub os: String,
    /// `x86_64`, ...
    pub arch: String,
    /// What this machine can do.
    #[serde(default)]
    pub capabilities: Capabilities,
    /// It takes one job in its life.
    #[serde(default)]
    pub ephemeral: bool,
}

/// What a runner found on its machine, so that people see why a job behaves as it does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// How jobs on the host are held apart: `namespaces+uid`, `uid`, `namespaces` or `none`.
    #[serde(default)]
    pub isolation: String,
    /// Plain words when something is missing.
    #[serde(default)]
    pub notes: Vec<String>,
    /// A Docker engine answers.
    #[serde(default)]
    pub docker: bool,
    /// Memory, CPU and process limits are enforced by cgroups.
    #[serde(default)]
    pub cgroups: bool,
}

/// Answer to a registration.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RegisterAnswer {
    /// The runner's id.
    pub runner_id: RunnerId,
    /// Bearer token for everything that follows (`dmr_…`).
    pub token: String,
}

/// `POST /runner/claim`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClaimRequest {
    /// Free slots: at most this many jobs are wanted.
    pub free: u32,
    /// The runner has just started: what is leased to it belongs to an earlier life and is lost.
    #[serde(default)]
    pub fresh: bool,
    /// The runner ends when it is drained: no need to hold the claim open then.
    #[serde(default)]
    pub until_drained: bool,
    /// Failed jobs whose files the runner keeps; told when it has started, and when they have changed.
    #[serde(default)]
    pub kept: Option<Vec<JobId>>,
    /// Told after a claim whose answer did not arrive: the jobs the runner has. What else is leased to it never reached it.
    #[serde(default)]
    pub held: Option<Vec<JobId>>,
}

/// Answer to a claim; empty on time-out.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ClaimAnswer {
    /// Jobs now leased to the caller.
    pub jobs: Vec<JobSpec>,
    /// There will be no more.
    #[serde(default)]
    pub drained: bool,
}

/// The project a job runs for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProjectRef {
    /// Its id.
    pub id: ProjectId,
    /// Its path, `group/name`.
    pub path: String,
}

/// Where the sources are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Checkout {
    /// Clone URL without credentials.
    pub url: String,
    /// Password for it (user name `job`); a job token.
    pub token: String,
    /// The commit of the run.
    pub sha: String,
    /// Full ref name the run was made for.
    #[serde(rename = "ref")]
    pub r#ref: String,
}

/// A job as leased to a runner: all it needs, resolved, with the plan's lazy expressions still inside the steps.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobSpec {
    /// The job.
    pub job_id: JobId,
    /// Its run.
    pub run_id: RunId,
    /// Fencing epoch of this lease.
    pub epoch: i64,
    /// 1 for the first try of the job.
    pub attempt: u32,
    /// Name shown to people.
    pub name: String,
    /// The project.
    pub project: ProjectRef,
    /// The planned job with its steps.
    pub job: dialects::plan::Job,
    /// `env` of the workflow, unevaluated.
    #[serde(default)]
    pub workflow_env: dialects::plan::Map,
    /// `defaults.run` of the workflow; the job's own are in the plan and win.
    #[serde(default)]
    pub defaults: dialects::plan::RunDefaults,
    /// Values of the contexts the server knows: `github`, `vars`, `needs`, `matrix`, `strategy`, `inputs`.
    pub contexts: Map<String, Value>,
    /// Secrets by name; masked in the log.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// Where the sources are.
    pub checkout: Checkout,
    /// Public address of the server, for `GITHUB_SERVER_URL` and links.
    pub api_url: String,
    /// `host[:port]` of the registry.
    pub registry_host: String,
    /// Token of this job for API, git and registry; dies with the job.
    pub job_token: String,
    /// The job is stopped after this long.
    pub timeout_seconds: u64,
    /// What actions of others find the artifact and cache services and the identity of the job by.
    #[serde(default)]
    pub services: Option<Services>,
    /// It goes on where an earlier try failed.
    #[serde(default)]
    pub resume: Option<Resume>,
}

/// Where a job goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// The try that failed; its files are on the runner.
    pub job: JobId,
    /// The row of the step that failed.
    pub step: u32,
}

/// Where the programs of a job find the services of the instance that hosted actions expect.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Services {
    /// `ACTIONS_RESULTS_URL`, `ACTIONS_RUNTIME_URL` and `ACTIONS_CACHE_URL`; ends with a slash.
    pub url: String,
    /// `ACTIONS_RUNTIME_TOKEN`; dies with the lease of the job.
    pub token: String,
    /// `ACTIONS_ID_TOKEN_REQUEST_URL`, if the job may have identities; their token is the same.
    #[serde(default)]
    pub id_token_url: Option<String>,
}

/// `POST /runner/jobs/{job}/heartbeat`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Epoch of the lease.
    pub epoch: i64,
}

/// What the server wants of a running job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cancel {
    /// Stop the running step, let `always()` steps run.
    Cancel,
    /// Stop everything now.
    Kill,
}

/// Answer to a heartbeat.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct HeartbeatAnswer {
    /// Is the job to stop?
    #[serde(default)]
    pub cancel: Option<Cancel>,
}

/// Query of `POST /runner/jobs/{job}/log`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct LogQuery {
    /// Epoch of the lease.
    pub epoch: i64,
    /// Offset of the first byte of the body in the job's log.
    pub offset: u64,
}

/// Answer to a log write.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct LogAnswer {
    /// Bytes that are durable; the next write starts here.
    pub acked: u64,
    /// As in a heartbeat's answer.
    #[serde(default)]
    pub cancel: Option<Cancel>,
}

/// State of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Not reached.
    Pending,
    /// Running.
    Running,
    /// At its end.
    Completed,
}

/// How a step or a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// Well.
    Success,
    /// Not well.
    Failure,
    /// Was stopped.
    Cancelled,
    /// Was not run.
    Skipped,
}

impl Conclusion {
    /// As in contexts and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Conclusion::Success => "success",
            Conclusion::Failure => "failure",
            Conclusion::Cancelled => "cancelled",
            Conclusion::Skipped => "skipped",
        }
    }
}

impl std::fmt::Display for Conclusion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a step used of the machine. What is not known is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Time of processors in user mode, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_user_ms: Option<u64>,
    /// Time of processors in the kernel, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_system_ms: Option<u64>,
    /// The most memory, without the page cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_peak_bytes: Option<u64>,
    /// Read from disks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_bytes: Option<u64>,
    /// Written for disks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_bytes: Option<u64>,
}

/// One step as it stands. The whole row is sent each time, so that a lost or repeated update does no harm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepUpdate {
    /// Position among all steps of the job, set-up and post steps included.
    pub index: u32,
    /// Name shown to people.
    pub name: String,
    /// State.
    pub state: StepState,
    /// Result after `continue-on-error`.
    #[serde(default)]
    pub conclusion: Option<Conclusion>,
    /// Result before `continue-on-error`.
    #[serde(default)]
    pub outcome: Option<Conclusion>,
    /// Of its process, if it had one.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// Offset of its first byte in the log.
    #[serde(default)]
    pub log_from: Option<u64>,
    /// Offset after its last byte.
    #[serde(default)]
    pub log_to: Option<u64>,
    /// When it began.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default)]
    pub finished_at: Option<Timestamp>,
    /// What it used, at its end.
    #[serde(default)]
    pub usage: Option<Usage>,
    /// The earlier try that ran it; its lines are in that one's log.
    #[serde(default)]
    pub taken_from: Option<JobId>,
}

/// `POST /runner/jobs/{job}/steps`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StepsRequest {
    /// Epoch of the lease.
    pub epoch: i64,
    /// The steps that changed.
    pub steps: Vec<StepUpdate>,
}

/// How grave an annotation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// For information.
    Notice,
    /// Worth a look.
    Warning,
    /// Wrong.
    Error,
}

/// A remark of a step, possibly about a place in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annotation {
    /// How grave.
    pub severity: Severity,
    /// The text, masked.
    pub message: String,
    /// A short title.
    #[serde(default)]
    pub title: Option<String>,
    /// File in the repository.
    #[serde(default)]
    pub file: Option<String>,
    /// First line, from 1.
    #[serde(default)]
    pub line: Option<u32>,
    /// Last line.
    #[serde(default)]
    pub end_line: Option<u32>,
    /// Column, from 1.
    #[serde(default)]
    pub column: Option<u32>,
    /// The step that made it.
    #[serde(default)]
    pub step: Option<u32>,
}

/// `POST /runner/jobs/{job}/annotations`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AnnotationsRequest {
    /// Epoch of the lease.
    pub epoch: i64,
    /// Number of this call in the job: one that is repeated has the same number and adds nothing.
    pub call: u64,
    /// The remarks, in order.
    pub items: Vec<Annotation>,
}

/// Header of the answer to a report: tests that failed and count.
pub const TESTS_FAILED: &str = "x-tests-failed";
/// Header of the answer to a report: tests that failed in quarantine.
pub const TESTS_QUARANTINED: &str = "x-tests-quarantined";

/// What the server says to a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reported {
    /// Tests that failed or broke.
    pub failed: usize,
    /// Of others, that failed in quarantine.
    pub quarantined: usize,
}

/// What a report file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportKind {
    /// JUnit XML: test cases.
    Junit,
    /// TAP: test cases.
    Tap,
    /// `go test -json`: test cases.
    Go,
    /// What `cargo test` prints, or libtest's and nextest's lines of JSON: test cases.
    Cargo,
    /// TRX of .NET: test cases.
    Trx,
    /// lcov: coverage.
    Lcov,
    /// Cobertura XML: coverage.
    Cobertura,
    /// JaCoCo XML: coverage.
    Jacoco,
    /// Clover XML: coverage.
    Clover,
    /// `go test -coverprofile`: coverage.
    GoCover,
    /// `coverage json` of coverage.py: coverage.
    CoveragePy,
    /// `llvm-cov export`: coverage.
    LlvmCov,
    /// Markdown of a step's summary; `name` is the step.
    Summary,
}

impl ReportKind {
    /// Those that are files a job wrote.
    pub const FILES: [ReportKind; 12] = [
        ReportKind::Junit,
        ReportKind::Tap,
        ReportKind::Go,
        ReportKind::Cargo,
        ReportKind::Trx,
        ReportKind::Lcov,
        ReportKind::Cobertura,
        ReportKind::Jacoco,
        ReportKind::Clover,
        ReportKind::GoCover,
        ReportKind::CoveragePy,
        ReportKind::LlvmCov,
    ];

    /// As on the wire, and as an input of `devmentor/report`.
    pub fn as_str(self) -> &'static str {
        match self {
            ReportKind::Junit => "junit",
            ReportKind::Tap => "tap",
            ReportKind::Go => "go",
            ReportKind::Cargo => "cargo",
            ReportKind::Trx => "trx",
            ReportKind::Lcov => "lcov",
            ReportKind::Cobertura => "cobertura",
            ReportKind::Jacoco => "jacoco",
            ReportKind::Clover => "clover",
            ReportKind::GoCover => "go_cover",
            ReportKind::CoveragePy => "coverage_py",
            ReportKind::LlvmCov => "llvm_cov",
            ReportKind::Summary => "summary",
        }
    }
}

/// Query of `POST /runner/jobs/{job}/reports`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReportQuery {
    /// Epoch of the lease.
    pub epoch: i64,
    /// Number of this call in the job: one that is repeated has the same number and adds nothing.
    pub call: u64,
    /// What the body is.
    pub kind: ReportKind,
    /// File name or step name.
    pub name: String,
}

/// Query of `GET /runner/jobs/{job}/cache`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CacheQuery {
    /// Exact key.
    pub key: String,
    /// Prefixes to fall back to, one per line, best first.
    #[serde(default)]
    pub restore: Option<String>,
}

/// Query of `PUT /runner/jobs/{job}/cache`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CachePutQuery {
    /// Epoch of the lease.
    pub epoch: i64,
    /// Exact key.
    pub key: String,
}

/// Query of `PUT /runner/jobs/{job}/artifacts/{name}`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ArtifactPutQuery {
    /// Epoch of the lease.
    pub epoch: i64,
    /// Seconds that it is kept; the instance bounds them, and says how long when nothing is said here.
    #[serde(default)]
    pub keep: Option<u64>,
}

/// One artifact of the run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ArtifactItem {
    /// Its name, unique in the run.
    pub name: String,
    /// Bytes of the zip.
    pub size: u64,
    /// `sha256:…` of the zip.
    pub digest: String,
    /// What it is, when it is no zip but one file as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
}

/// Answer of `GET /runner/jobs/{job}/artifacts`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ArtifactList {
    /// All artifacts of the run so far.
    pub items: Vec<ArtifactItem>,
}

/// `POST /runner/jobs/{job}/question`: what a job asks of people. The answer is held back a while; then it is asked again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct QuestionRequest {
    /// Epoch of the lease.
    pub epoch: i64,
    /// What is asked.
    pub question: dialects::jenkins::interp::Question,
}

/// Answer of that call.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct QuestionAnswer {
    /// What somebody said; none while nobody has.
    #[serde(default)]
    pub answer: Option<dialects::jenkins::interp::Answer>,
}

/// `POST /runner/jobs/{job}/milestone`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MilestoneRequest {
    /// Epoch of the lease.
    pub epoch: i64,
    /// Which one.
    pub ordinal: i64,
}

/// Answer of that call.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct MilestoneAnswer {
    /// Number of the newer run that has passed it; none if the job may go on.
    #[serde(default)]
    pub overtaken_by: Option<i64>,
}

/// `POST /runner/jobs/{job}/complete`: the last word about a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Complete {
    /// Epoch of the lease.
    pub epoch: i64,
    /// How it ended.
    pub conclusion: Conclusion,
    /// Evaluated job outputs.
    #[serde(default)]
    pub outputs: BTreeMap<String, String>,
    /// Length of the whole log; the server accepts the end only when it has that much.
    pub log_length: u64,
    /// Set when the machine failed, not the job: the job may be tried again.
    #[serde(default)]
    pub infra_failure: Option<String>,
    /// It failed in a way that fails no run: a pipeline of Jenkins that ended `UNSTABLE`.
    #[serde(default)]
    pub unstable: bool,
    /// The files are kept, so that another try can go on from this row.
    #[serde(default)]
    pub kept: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_on_the_wire() {
        assert_eq!(serde_json::to_value(Conclusion::Cancelled).unwrap(), "cancelled");
        assert_eq!(serde_json::to_value(HeartbeatAnswer { cancel: Some(Cancel::Kill) }).unwrap()["cancel"], "kill");
        assert_eq!(serde_json::from_str::<HeartbeatAnswer>("{}").unwrap().cancel, None);
        for kind in ReportKind::FILES {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}
