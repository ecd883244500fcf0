//! The state every handler is given: the database, the settings, and the parts that rooms add at start.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;

use kernel::authz::{authorize, authorize_instance};
use kernel::{Access, Actor, Code, Context, Error, GroupId, Permission, ProjectId, Result, Role, Visibility};
use store::Db;
use store::group::GroupRow;
use store::project::ProjectRow;

use crate::config::Config;
use crate::secret::Key;

/// The service's state; cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    db: Db,
    config: Config,
    key: Key,
    parts: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
}

/// Puts an [`App`] together.
pub struct AppBuilder {
    db: Db,
    config: Config,
    key: Key,
    parts: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
}

impl AppBuilder {
    /// Starts with what every room needs.
    pub fn new(db: Db, config: Config, key: Key) -> Self {
        Self { db, config, key, parts: HashMap::new() }
    }

    /// Adds a room's part, found by its type.
    #[must_use]
    pub fn with<T: Send + Sync + 'static>(mut self, part: T) -> Self {
        self.parts.insert(TypeId::of::<T>(), Box::new(part));
        self
    }

    /// The state.
    pub fn build(self) -> App {
        App(Arc::new(Inner { db: self.db, config: self.config, key: self.key, parts: self.parts }))
    }
}

/// A project as it was asked for, with what the caller may do there.
#[derive(Clone, Debug)]
pub struct Project {
    /// The row.
    pub row: ProjectRow,
    /// The facts of the decision.
    pub access: Access,
}

impl Project {
    /// May the caller do `p` here as well? For what an answer shows or leaves out.
    pub fn allows(&self, ctx: &Context, p: Permission) -> bool {
        authorize(ctx, &self.access, p).is_ok()
    }

    /// Its id.
    pub fn id(&self) -> ProjectId {
        self.row.id
    }
}

impl App {
    /// The database.
    pub fn db(&self) -> &Db {
        &self.0.db
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The instance's key.
    pub fn key(&self) -> &Key {
        &self.0.key
    }

    /// A part by its type.
    ///
    /// # Errors
    /// `internal` when it was not added at start.
    pub fn part<T: 'static>(&self) -> Result<&T> {
        self.find_part().ok_or_else(|| Error::internal(format!("{} is not part of this instance", std::any::type_name::<T>())))
    }

    /// A part that may be missing.
    pub fn find_part<T: 'static>(&self) -> Option<&T> {
        self.0.parts.get(&TypeId::of::<T>()).and_then(|p| p.downcast_ref())
    }

    /// Finds the project that `{id}` names (`prj_…` or a path, also one it had before) and decides whether the caller may
    /// do `p` there.
    ///
    /// # Errors
    /// `not_found`, also where the caller may not know of it; `unauthenticated`, `forbidden`, `conflict`.
    pub async fn project(&self, ctx: &Context, id: &str, p: Permission) -> Result<Project> {
        let row = if id.starts_with("prj_") && !id.contains('/') {
            match id.parse() {
                Ok(id) => store::project::project_get(self.db(), id).await?,
                Err(_) => None,
            }
        } else if id.len() > 600 || id.contains(['\n', '\0']) {
            None
        } else {
            let path = id.trim_matches('/').to_ascii_lowercase();
            match store::project::project_by_path(self.db(), &path).await? {
                Some(row) => Some(row),
                None => store::project::project_by_old_path(self.db(), &path).await?,
            }
        };
        self.allow(ctx, row, p).await
    }

    /// As [`App::project`], by id.
    ///
    /// # Errors
    /// As [`App::project`].
    pub async fn project_by_id(&self, ctx: &Context, id: ProjectId, p: Permission) -> Result<Project> {
        let row = store::project::project_get(self.db(), id).await?;
        self.allow(ctx, row, p).await
    }

    /// Decides over a row that was loaded on another way.
    ///
    /// # Errors
    /// As [`App::project`].
    pub async fn allow(&self, ctx: &Context, row: Option<ProjectRow>, p: Permission) -> Result<Project> {
        let row = row.ok_or_else(|| Error::not_found("project"))?;
        let access = store::project::project_access(self.db(), &row, ctx.user()).await?;
        authorize(ctx, &access, p)?;
        Ok(Project { row, access })
    }

    /// What the caller is in a group: the role there, direct or inherited.
    ///
    /// # Errors
    /// The database's.
    pub async fn group_role(&self, ctx: &Context, path: &str) -> Result<Option<Role>> {
        if ctx.is_admin() {
            return Ok(Some(Role::Owner));
        }
        // a credential for some projects carries nothing of the groups above them
        if ctx.grant.projects.is_some() {
            return Ok(None);
        }
        match ctx.actor {
            Actor::User { id, .. } => store::group::group_role(self.db(), path, id).await,
            _ => Ok(None),
        }
    }

    /// Finds the group that `{id}` names (`grp_…` or a path) and decides whether the caller is at least what is needed
    /// there, with a credential that has the right; none means that seeing it is enough.
    ///
    /// # Errors
    /// `not_found`, also where the caller may not know of it; `unauthenticated`, `forbidden`.
    pub async fn group(&self, ctx: &Context, id: &str, needs: Option<(Role, Permission)>) -> Result<GroupRow> {
        let found = match id.parse::<GroupId>() {
            Ok(id) => store::group::group_get(self.db(), id).await?,
            Err(_) => store::group::group_by_path(self.db(), &id.to_ascii_lowercase()).await?,
        };
        let hidden = || Error::not_found("group");
        let group = found.ok_or_else(hidden)?;
        let role = self.group_role(ctx, &group.path).await?;
        let sees = role.is_some()
            || match group.visibility {
                Visibility::Public => true,
                Visibility::Internal => ctx.actor != Actor::Anonymous,
                Visibility::Private => false,
            };
        if !sees {
            return Err(hidden());
        }
        if let Some((least, right)) = needs {
            authorize_instance(ctx, right)?;
            if role.is_none_or(|r| r < least) {
                return Err(Error::new(Code::Forbidden, format!("the role {} is needed in this group", least.as_str())));
            }
        }
        Ok(group)
    }

    /// The address of a page or resource on this service.
    pub fn url(&self, path: &str) -> String {
        format!("{}/{}", self.config().public_url(), path.trim_start_matches('/'))
    }
}
