//! The one authorisation function. Every door (REST, git, registry, runner, websocket) asks it and nothing else.

use serde::{Deserialize, Serialize};

use crate::context::{Actor, Context};
use crate::error::{Code, Error, Result};
use crate::id::ProjectId;

/// What a member may be. Ordered: each role holds all rights of the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees the project.
    Guest,
    /// Reads the repository, runs, images and deployments.
    Reporter,
    /// Pushes, runs pipelines, publishes images, deploys.
    Developer,
    /// Settings, secrets, members.
    Maintainer,
    /// Transfers and deletes.
    Owner,
}

impl Role {
    /// The text form.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Guest => "guest",
            Role::Reporter => "reporter",
            Role::Developer => "developer",
            Role::Maintainer => "maintainer",
            Role::Owner => "owner",
        }
    }

    /// From the text form.
    pub fn parse(text: &str) -> Option<Self> {
        [Role::Guest, Role::Reporter, Role::Developer, Role::Maintainer, Role::Owner].into_iter().find(|r| r.as_str() == text)
    }
}

/// Who may see a project without being a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Members only.
    Private,
    /// Everybody who is signed in.
    Internal,
    /// Everybody.
    Public,
}

impl Visibility {
    /// The text form.
    pub fn as_str(self) -> &'static str {
        match self {
            Visibility::Private => "private",
            Visibility::Internal => "internal",
            Visibility::Public => "public",
        }
    }

    /// From the text form.
    pub fn parse(text: &str) -> Option<Self> {
        [Visibility::Private, Visibility::Internal, Visibility::Public].into_iter().find(|v| v.as_str() == text)
    }
}

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $role:ident, $read:literal;)*) => {
        /// A right, `resource:verb`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Permission { $($(#[$doc])* $name,)* }

        impl Permission {
            /// Every permission.
            pub const ALL: &'static [Permission] = &[$(Permission::$name,)*];
            /// The text form.
            pub fn as_str(self) -> &'static str { match self { $(Permission::$name => $text,)* } }
            /// The least role that has it in a project.
            pub fn least_role(self) -> Role { match self { $(Permission::$name => Role::$role,)* } }
            /// May it be had through a project's visibility alone?
            pub fn by_visibility(self) -> bool { match self { $(Permission::$name => $read,)* } }
            /// From the text form.
            pub fn parse(text: &str) -> Option<Self> { match text { $($text => Some(Permission::$name),)* _ => None } }
        }
    };
}

permissions! {
    /// See the project and its settings that are not secret.
    ProjectRead = "project:read", Guest, true;
    /// Change its settings.
    ProjectWrite = "project:write", Maintainer, false;
    /// Rename, transfer, archive, delete, restore it.
    ProjectAdmin = "project:admin", Owner, false;
    /// Clone, browse, search.
    RepositoryRead = "repository:read", Reporter, true;
    /// Push and commit.
    RepositoryWrite = "repository:write", Developer, false;
    /// See runs, logs, artifacts, tests.
    PipelineRead = "pipeline:read", Reporter, true;
    /// Start, cancel, retry runs.
    PipelineWrite = "pipeline:write", Developer, false;
    /// Pull images.
    RegistryRead = "registry:read", Reporter, true;
    /// Push images.
    RegistryWrite = "registry:write", Developer, false;
    /// See environments, releases, deployments.
    DeploymentRead = "deployment:read", Reporter, false;
    /// Deploy and roll back.
    DeploymentWrite = "deployment:write", Developer, false;
    /// Create and change environments.
    EnvironmentWrite = "environment:write", Maintainer, false;
    /// See names of secrets, and variables.
    SecretRead = "secret:read", Maintainer, false;
    /// Set secrets and variables.
    SecretWrite = "secret:write", Maintainer, false;
    /// See who is a member.
    MemberRead = "member:read", Reporter, false;
    /// Add, change and remove members.
    MemberWrite = "member:write", Maintainer, false;
    /// Create groups, users' own tokens and keys; the account itself.
    AccountWrite = "account:write", Owner, false;
    /// Read one's own account.
    AccountRead = "account:read", Owner, false;
    /// Users, runners, settings of the whole instance.
    InstanceAdmin = "instance:admin", Owner, false;
}

/// A set of permissions as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct PermissionSet(u64);

impl PermissionSet {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Everything.
    pub const ALL: Self = Self(u64::MAX);

    /// Does it hold `p`?
    pub fn has(self, p: Permission) -> bool {
        self.0 & (1 << p as u8) != 0
    }

    /// With `p` added.
    #[must_use]
    pub fn with(self, p: Permission) -> Self {
        Self(self.0 | (1 << p as u8))
    }

    /// The texts, in table order.
    pub fn texts(self) -> Vec<&'static str> {
        Permission::ALL.iter().filter(|p| self.has(**p)).map(|p| p.as_str()).collect()
    }
}

impl FromIterator<Permission> for PermissionSet {
    fn from_iter<I: IntoIterator<Item = Permission>>(iter: I) -> Self {
        iter.into_iter().fold(Self::NONE, Self::with)
    }
}

/// What the store knows of one actor and one project: the facts the decision needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// The project.
    pub project: ProjectId,
    /// Who sees it without membership.
    pub visibility: Visibility,
    /// The highest role the user has, direct or inherited; none for outsiders.
    pub role: Option<Role>,
    /// Archived projects are read-only.
    pub archived: bool,
    /// Deleted, waiting to be collected.
    pub deleted: bool,
}

/// Decides whether `ctx` may do `p` in the project that `access` describes.
///
/// # Errors
/// `not_found` where the caller may not know the project exists, `unauthenticated` or `forbidden` where it may,
/// `conflict` for a write to an archived project.
pub fn authorize(ctx: &Context, access: &Access, p: Permission) -> Result<()> {
    if matches!(ctx.actor, Actor::System) {
        return Ok(());
    }
    let hidden = || Error::not_found("project");
    if ctx.grant.projects.as_ref().is_some_and(|list| !list.contains(&access.project)) {
        return Err(hidden());
    }
    let has = |p: Permission| -> bool {
        if !ctx.grant.permissions.has(p) {
            return false;
        }
        match &ctx.actor {
            Actor::System => true,
            Actor::User { admin: true, .. } => true,
            Actor::User { .. } => {
                access.role.is_some_and(|r| r >= p.least_role()) || (p.by_visibility() && access.visibility != Visibility::Private)
            }
            // a job's rights are its grant, in its own project only; the sources of shared actions that its grant names, too
            Actor::Job { project, .. } => {
                let shared = p == Permission::RepositoryRead || p == Permission::ProjectRead;
                let named = ctx.grant.projects.as_ref().is_some_and(|list| list.contains(&access.project));
                *project == access.project || (shared && named && access.visibility != Visibility::Private)
            }
            Actor::Runner(_) => false,
            Actor::Anonymous => p.by_visibility() && access.visibility == Visibility::Public,
        }
    };
    // deleted projects exist only for those who may bring them back, and only for that
    if access.deleted {
        if !has(Permission::ProjectAdmin) {
            return Err(hidden());
        }
        if !matches!(p, Permission::ProjectRead | Permission::ProjectAdmin) {
            return Err(Error::new(Code::Conflict, "the project is deleted; restore it first"));
        }
    }
    if !has(p) {
        // knowing that it exists takes project:read, by whatever right the credential narrows it to
        let knows = has(Permission::ProjectRead) || (p.by_visibility() && access.visibility == Visibility::Public);
        return Err(if !knows {
            hidden()
        } else if ctx.actor == Actor::Anonymous {
            Error::new(Code::Unauthenticated, format!("{} needs a signed-in user", p.as_str()))
        } else {
            Error::new(Code::Forbidden, format!("{} is needed here", p.as_str()))
        });
    }
    if access.archived && !p.by_visibility() && !matches!(p, Permission::ProjectAdmin | Permission::MemberRead | Permission::SecretRead) {
        return Err(Error::new(Code::Conflict, "the project is archived and read-only"));
    }
    Ok(())
}

/// Decides a right over the whole instance or one's own account.
///
/// # Errors
/// `unauthenticated` or `forbidden`.
pub fn authorize_instance(ctx: &Context, p: Permission) -> Result<()> {
    match &ctx.actor {
        Actor::System => Ok(()),
        Actor::Anonymous => Err(Error::new(Code::Unauthenticated, "sign in first")),
        Actor::User { admin, .. } if ctx.grant.permissions.has(p) && (*admin || p != Permission::InstanceAdmin) => Ok(()),
        _ => Err(Error::new(Code::Forbidden, format!("{} is needed here", p.as_str()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Grant;
    use crate::id::{JobId, UserId};

    fn access(visibility: Visibility, role: Option<Role>) -> Access {
        Access { project: ProjectId::new(), visibility, role, archived: false, deleted: false }
    }

    fn user() -> Context {
        Context::of(Actor::User { id: UserId::new(), name: "u".into(), admin: false })
    }

    #[test]
    fn private_projects_do_not_exist_for_outsiders() {
        let a = access(Visibility::Private, None);
        for p in Permission::ALL {
            assert_eq!(authorize(&user(), &a, *p).unwrap_err().code, Code::NotFound, "{}", p.as_str());
            assert_eq!(authorize(&Context::of(Actor::Anonymous), &a, *p).unwrap_err().code, Code::NotFound);
        }
    }

    #[test]
    fn roles_are_a_ladder() {
        for role in [Role::Guest, Role::Reporter, Role::Developer, Role::Maintainer, Role::Owner] {
            let a = access(Visibility::Private, Some(role));
            for p in Permission::ALL {
                assert_eq!(authorize(&user(), &a, *p).is_ok(), role >= p.least_role(), "{role:?} {}", p.as_str());
            }
        }
    }

    #[test]
    fn a_narrow_token_never_widens() {
        let a = access(Visibility::Private, Some(Role::Owner));
        let mut ctx = user();
        ctx.grant = Grant { token: None, permissions: [Permission::ProjectRead].into_iter().collect(), projects: Some(vec![a.project]) };
        assert!(authorize(&ctx, &a, Permission::ProjectRead).is_ok());
        assert_eq!(authorize(&ctx, &a, Permission::RepositoryWrite).unwrap_err().code, Code::Forbidden);
        ctx.grant.projects = Some(vec![]);
        assert_eq!(authorize(&ctx, &a, Permission::ProjectRead).unwrap_err().code, Code::NotFound);
    }

    #[test]
    fn a_job_reaches_its_own_project_only() {
        let a = access(Visibility::Private, None);
        let job = |project| Context::of(Actor::Job { id: JobId::new(), project, on_behalf_of: None });
        assert!(authorize(&job(a.project), &a, Permission::RepositoryRead).is_ok());
        assert_eq!(authorize(&job(ProjectId::new()), &a, Permission::RepositoryRead).unwrap_err().code, Code::NotFound);
    }

    #[test]
    fn archived_projects_are_read_only() {
        let a = Access { archived: true, ..access(Visibility::Public, Some(Role::Owner)) };
        assert!(authorize(&user(), &a, Permission::RepositoryRead).is_ok());
        assert!(authorize(&user(), &a, Permission::ProjectAdmin).is_ok());
        assert_eq!(authorize(&user(), &a, Permission::RepositoryWrite).unwrap_err().code, Code::Conflict);
    }
}
