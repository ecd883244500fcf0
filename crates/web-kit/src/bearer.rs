//! Bearer tokens of the registry: claims and their MAC by the instance's key, so any instance checks one without a
//! look-up. The registry's door hands them to clients, the deploy manager to the engine that pulls for it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kernel::{Actor, Context, Error, Grant, JobId, Permission, ProjectId, Result, Timestamp, TokenId, UserId};
use serde::{Deserialize, Serialize};

use crate::secret::Key;

/// How long one lives: long enough for the requests of one pull, short enough to need no revocation.
pub const LIFETIME: Duration = Duration::from_secs(300);
/// Tells these tokens from the service's other ones.
pub const PREFIX: &str = "dmb.";

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    who: Who,
    permissions: Option<Vec<String>>,
    projects: Option<Vec<ProjectId>>,
    token: Option<TokenId>,
    scopes: Vec<String>,
    expires: i64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Who {
    System,
    Anonymous,
    User { id: UserId, name: String, admin: bool },
    Job { id: JobId, project: ProjectId, on_behalf_of: Option<UserId> },
}

/// What a token says.
#[derive(Debug)]
pub struct Bearer {
    /// Who was given it.
    pub actor: Actor,
    /// How the credential that it was given for narrows the actor.
    pub grant: Grant,
    /// `repository:name:actions`: all it may be used for.
    pub scopes: Vec<String>,
}

/// Makes a token for the caller, for these scopes only.
///
/// # Errors
/// `forbidden` for runners, which have no images.
pub fn seal(key: &Key, ctx: &Context, scopes: Vec<String>) -> Result<String> {
    let who = match &ctx.actor {
        Actor::System => Who::System,
        Actor::Anonymous => Who::Anonymous,
        Actor::User { id, name, admin } => Who::User { id: *id, name: name.clone(), admin: *admin },
        Actor::Job { id, project, on_behalf_of } => Who::Job { id: *id, project: *project, on_behalf_of: *on_behalf_of },
        Actor::Runner(_) => return Err(Error::new(kernel::Code::Forbidden, "runners have no images")),
    };
    let claims = Claims {
        who,
        permissions: (ctx.grant != Grant::all()).then(|| ctx.grant.permissions.texts().into_iter().map(str::to_owned).collect()),
        projects: ctx.grant.projects.clone(),
        token: ctx.grant.token,
        scopes,
        expires: Timestamp::now().plus(LIFETIME).millis(),
    };
    let body = serde_json::to_vec(&claims).map_err(Error::internal)?;
    let mac = key.mac(&[b"registry bearer", &body]);
    Ok(format!("{PREFIX}{}.{}", URL_SAFE_NO_PAD.encode(body), URL_SAFE_NO_PAD.encode(mac)))
}

/// Reads a token; none when it was altered or has expired.
pub fn open(key: &Key, text: &str) -> Option<Bearer> {
    let (body, mac) = text.strip_prefix(PREFIX)?.split_once('.')?;
    let (body, mac) = (URL_SAFE_NO_PAD.decode(body).ok()?, URL_SAFE_NO_PAD.decode(mac).ok()?);
    if !key.verify(&[b"registry bearer", &body], &mac) {
        return None;
    }
    let claims: Claims = serde_json::from_slice(&body).ok()?;
    if claims.expires <= Timestamp::now().millis() {
        return None;
    }
    let actor = match claims.who {
        Who::System => Actor::System,
        Who::Anonymous => Actor::Anonymous,
        Who::User { id, name, admin } => Actor::User { id, name, admin },
        Who::Job { id, project, on_behalf_of } => Actor::Job { id, project, on_behalf_of },
    };
    let mut grant = Grant { token: claims.token, projects: claims.projects, ..Grant::all() };
    if let Some(permissions) = claims.permissions {
        grant.permissions = permissions.iter().filter_map(|p| Permission::parse(p)).collect();
    }
    Some(Bearer { actor, grant, scopes: claims.scopes })
}
