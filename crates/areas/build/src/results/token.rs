//! The token by which a job is known to the results service, and the addresses that service gives out.

use std::time::Duration;

use kernel::authz::PermissionSet;
use kernel::{Actor, Code, Context, Error, Grant, JobId, ProjectId, Result, Timestamp};
use serde::{Deserialize, Serialize};
use store::job::{JobRow, job_get};
use uuid::Uuid;
use web_kit::{App, jwt};

const TOKEN: &str = "runtime token";
const ADDRESS: &str = "results address";
/// An address is good for so long: one upload or download.
const ADDRESS_TIME: Duration = Duration::from_secs(3600 * 6);

/// What the token says. Clients read `scp` to know which run and job they are.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    scp: String,
    job: JobId,
    epoch: i64,
    /// The environment that the job names, as evaluated when it was handed out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    environment: Option<String>,
    iat: i64,
    exp: i64,
}

fn seconds(at: Timestamp) -> i64 {
    at.millis() / 1000
}

/// Makes the token of a leased job.
///
/// # Errors
/// `internal` when it cannot be signed.
pub fn make(app: &App, job: &JobRow, environment: Option<String>) -> Result<String> {
    let now = Timestamp::now();
    // steps that run always come after the time-out
    let life = Duration::from_secs(job.timeout_seconds.unsigned_abs() + 3600);
    let claims = Claims {
        scp: format!("Actions.Results:{}:{}", job.run, job.id),
        job: job.id,
        epoch: job.epoch,
        environment,
        iat: seconds(now),
        exp: seconds(now.plus(life)),
    };
    jwt::seal(app.key(), TOKEN, &claims)
}

/// The actor behind a token while its lease is held. It may nothing but speak to the services of this module.
///
/// # Errors
/// The database's.
pub async fn actor(app: App, token: String) -> Result<Option<(Actor, Grant)>> {
    let Some(claims) = jwt::open::<Claims>(app.key(), TOKEN, &token) else { return Ok(None) };
    let Some(job) = job_get(app.db(), claims.job).await?.filter(|j| j.state == "running" && j.epoch == claims.epoch) else {
        return Ok(None);
    };
    let grant = Grant { token: None, permissions: PermissionSet::NONE, projects: Some(vec![job.project]) };
    Ok(Some((Actor::Job { id: job.id, project: job.project, on_behalf_of: None }, grant)))
}

/// The environment that the job of a token names.
pub fn environment(app: &App, token: &str) -> Option<String> {
    jwt::open::<Claims>(app.key(), TOKEN, token)?.environment
}

/// The running job that asks.
///
/// # Errors
/// `unauthenticated` for anybody else.
pub async fn job_of(app: &App, ctx: &Context) -> Result<JobRow> {
    let Actor::Job { id, .. } = ctx.actor else {
        return Err(Error::new(Code::Unauthenticated, "the token of a running job is needed here"));
    };
    let job = job_get(app.db(), id).await?.filter(|j| j.state == "running");
    job.ok_or_else(|| Error::new(Code::Unauthenticated, "the job is over"))
}

/// A blob that may be read.
#[derive(Debug, Serialize, Deserialize)]
pub struct Readable {
    /// Whose it is.
    pub project: ProjectId,
    /// `sha256:…`.
    pub digest: String,
    /// File name to save it under.
    pub name: String,
    /// What it is.
    pub content_type: String,
    exp: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Writable {
    upload: Uuid,
    exp: i64,
}

/// The address a blob can be read at.
///
/// # Errors
/// `internal` when it cannot be signed.
pub fn read_address(app: &App, project: ProjectId, digest: &str, name: String, content_type: &str) -> Result<String> {
    let exp = seconds(Timestamp::now().plus(ADDRESS_TIME));
    let claims = Readable { project, digest: digest.to_owned(), name, content_type: content_type.to_owned(), exp };
    Ok(app.url(&format!("/results/downloads/content?sig={}", jwt::seal(app.key(), ADDRESS, &claims)?)))
}

/// The address an upload is written at.
///
/// # Errors
/// `internal` when it cannot be signed.
pub fn write_address(app: &App, upload: Uuid) -> Result<String> {
    let claims = Writable { upload, exp: seconds(Timestamp::now().plus(ADDRESS_TIME)) };
    Ok(app.url(&format!("/results/uploads/content?sig={}", jwt::seal(app.key(), ADDRESS, &claims)?)))
}

/// What a signed address leads to.
///
/// # Errors
/// `forbidden` when it was not signed by this service or has expired.
pub fn readable(app: &App, signature: &str) -> Result<Readable> {
    jwt::open(app.key(), ADDRESS, signature).ok_or_else(refused)
}

/// As [`readable`], the upload that may be written.
///
/// # Errors
/// As [`readable`].
pub fn writable(app: &App, signature: &str) -> Result<Uuid> {
    jwt::open::<Writable>(app.key(), ADDRESS, signature).map(|w| w.upload).ok_or_else(refused)
}

fn refused() -> Error {
    Error::new(Code::Forbidden, "the address is not signed by this service, or has expired")
}
