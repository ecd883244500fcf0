//! Who asks, with what right, in which request. The first argument of every use case.

use std::sync::Arc;

use crate::authz::{Permission, PermissionSet};
use crate::clock::Timestamp;
use crate::id::{JobId, ProjectId, RequestId, RunnerId, TokenId, UserId};

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Not signed in.
    Anonymous,
    /// A person or service account.
    User {
        /// The account.
        id: UserId,
        /// Its name.
        name: String,
        /// May administer the instance.
        admin: bool,
    },
    /// A pipeline job with its short-lived token.
    Job {
        /// The job.
        id: JobId,
        /// The project it runs for, the only one it reaches.
        project: ProjectId,
        /// Who set the run off, if a person did.
        on_behalf_of: Option<UserId>,
    },
    /// A registered runner speaking the runner protocol.
    Runner(RunnerId),
    /// The service itself (orchestrator, reconcilers).
    System,
}

/// What the credential narrows the actor to. A session grants everything the actor has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Which token, if one was used.
    pub token: Option<TokenId>,
    /// Permissions the credential carries.
    pub permissions: PermissionSet,
    /// Projects it reaches; none means all of the actor's.
    pub projects: Option<Vec<ProjectId>>,
}

impl Grant {
    /// No narrowing.
    pub fn all() -> Self {
        Self { token: None, permissions: PermissionSet::ALL, projects: None }
    }
}

/// The request's identity and rights.
#[derive(Clone, Debug)]
pub struct Context {
    /// Who acts.
    pub actor: Actor,
    /// How the credential narrows it.
    pub grant: Grant,
    /// This request.
    pub request: RequestId,
    /// When it began.
    pub now: Timestamp,
    /// The client's address as far as trusted proxies tell.
    pub ip: Option<std::net::IpAddr>,
    /// Which try of a request this is, when it carries an `Idempotency-Key`.
    pub attempt: Option<Arc<Attempt>>,
}

/// One try of a request that carries an `Idempotency-Key`. What it makes is written with what it did (a receipt, in the
/// same transaction), so that a later try, after a crash, finds it and does nothing twice.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The same for all tries of one request, and for no other request.
    pub request: uuid::Uuid,
    /// This try. A receipt counts only while this try holds the key.
    pub claim: uuid::Uuid,
    /// The row of the key: a hash of the caller and the key.
    pub key: Vec<u8>,
    /// The sealed receipt of an earlier try that ended before it could answer.
    pub receipt: Option<Vec<u8>>,
}

impl Context {
    /// The service acting for itself.
    pub fn system() -> Self {
        Self::of(Actor::System)
    }

    /// An actor with all its rights, outside any HTTP request.
    pub fn of(actor: Actor) -> Self {
        Self { actor, grant: Grant::all(), request: RequestId::new(), now: Timestamp::now(), ip: None, attempt: None }
    }

    /// The account behind the actor, if any.
    pub fn user(&self) -> Option<UserId> {
        match &self.actor {
            Actor::User { id, .. } => Some(*id),
            Actor::Job { on_behalf_of, .. } => *on_behalf_of,
            _ => None,
        }
    }

    /// Is this an administrator using an unnarrowed credential for administration?
    pub fn is_admin(&self) -> bool {
        let unnarrowed = self.grant.projects.is_none() && self.grant.permissions.has(Permission::InstanceAdmin);
        match self.actor {
            Actor::System => true,
            Actor::User { admin, .. } => admin && unnarrowed,
            _ => false,
        }
    }
}
