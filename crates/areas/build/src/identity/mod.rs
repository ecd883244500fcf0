//! Identities of jobs: short-lived tokens by which a job proves to others what it is (OpenID Connect), and the keys they
//! are checked with.
//!
//! Invariants: a token is made only for a running job whose `permissions` (or `id_tokens`) ask for it, says only what the
//! control plane knows, and lives ten minutes; the private keys are in the database sealed, and no job can read them; a key
//! is published a day before the first token is signed with it, and until after the last one has expired.
//!
//! Must not know: who checks the tokens.
//!
//! Read next: `keys` (also of provenance), `claims`.

pub mod claims;
pub mod keys;
pub mod routes;

use std::time::Duration;

use kernel::{Code, Context, Error, Result, Timestamp};
use serde_json::{Map, Value, json};
use store::job::JobRow;
use store::run::{Trust, run_get};
use web_kit::{App, jwt};

use keys::Purpose;

/// How long a token lives.
pub const LIFETIME: Duration = Duration::from_secs(600);
/// Longest audience.
const MAX_AUDIENCE: usize = 1000;

/// Signs claims as a token of this instance: adds who issued it, when, until when, and for whom.
///
/// # Errors
/// `internal` when it cannot be signed.
pub async fn token_sign(app: &App, mut claims: Map<String, Value>, audience: Value) -> Result<String> {
    let now = Timestamp::now();
    let key = keys::current(app, Purpose::Identity, now).await?;
    let seconds = now.millis() / 1000;
    claims.insert("jti".into(), json!(uuid::Uuid::now_v7()));
    claims.insert("iss".into(), json!(app.config().public_url()));
    claims.insert("aud".into(), audience);
    claims.insert("iat".into(), json!(seconds));
    claims.insert("nbf".into(), json!(seconds - 5));
    claims.insert("exp".into(), json!(seconds + LIFETIME.as_secs().cast_signed()));
    let text = jwt::unsigned(&json!({"typ": "JWT", "alg": "ES256", "kid": key.id}), &claims)?;
    let signature = keys::sign_fixed(app, &key, text.as_bytes())?;
    Ok(format!("{text}.{}", keys::base64url(&signature)))
}

/// The token of a job for an audience of its choice.
///
/// # Errors
/// `unauthenticated` unless a running job asks, `forbidden` unless its permissions say `id-token: write`, and in untrusted
/// runs.
pub async fn id_token_create(app: &App, ctx: &Context, audience: Option<&str>, environment: Option<&str>) -> Result<String> {
    let job = crate::results::token::job_of(app, ctx).await?;
    if run_get(app.db(), job.run).await?.is_none_or(|run| run.trust == Trust::Untrusted) {
        return Err(Error::new(Code::Forbidden, "the job has no identity: nobody who may write to the project started its run"));
    }
    if !allowed(app, &job).await? {
        return Err(Error::new(Code::Forbidden, "the job has no identity: its permissions do not say `id-token: write`"));
    }
    let facts = claims::facts(app, &job, environment).await?;
    let owner = facts.project.split('/').next().unwrap_or_default();
    let audience = audience.map_or_else(|| format!("{}/{owner}", app.config().public_url()), str::to_owned);
    check_audience(&audience)?;
    token_sign(app, claims::actions(&facts), json!(audience)).await
}

/// Checks an audience.
///
/// # Errors
/// `validation_failed`.
pub fn check_audience(audience: &str) -> Result<()> {
    if audience.is_empty() || audience.len() > MAX_AUDIENCE || audience.chars().any(char::is_control) {
        return Err(Error::field("audience", "invalid", format!("1 to {MAX_AUDIENCE} characters without control characters")));
    }
    Ok(())
}

/// May the job ask for tokens?
async fn allowed(app: &App, job: &JobRow) -> Result<bool> {
    let plan = store::run::run_plan(app.db(), job.run).await?.map(|(plan, _)| plan).unwrap_or_default();
    let plan: dialects::plan::Plan = serde_json::from_value(plan).map_err(Error::internal)?;
    Ok(plan.job(&job.key).is_some_and(|planned| asks(planned, &plan)))
}

/// Do the permissions of a planned job say `id-token: write`?
pub fn asks(job: &dialects::plan::Job, plan: &dialects::plan::Plan) -> bool {
    let asked = job.permissions.as_ref().or(plan.permissions.as_ref());
    asked.is_some_and(|p| p.level("id-token") >= dialects::plan::Level::Write)
}
