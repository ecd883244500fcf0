//! Projects: settings, addresses, members, end of life.
//!
//! Owns: `project`, `project_topic`, `project_member`, `redirect`. Invariants: an address leads to one thing; an old
//! address leads to the project until somebody takes it; deletion can be undone for 30 days; a project outside a user's own
//! namespace keeps an owner through its group.
//!
//! How one comes to be is `creation`'s.

pub mod model;
pub mod routes;

use std::time::Duration;

use kernel::{
    Actor, Code, Context, Error, Event, EventData, NamespacePath, Permission, ProjectPath, RefName, Result, Role, Slug, Timestamp,
};
use store::group::MemberRow;
use store::project::{self as rows, ProjectChange, ProjectFilter};
use web_kit::{App, Project};

use model::{ProjectMove, ProjectUpdate};

/// How long a deleted project can be brought back.
pub const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// The filter of what the caller may see at all, before its own wishes.
pub fn visible_to(ctx: &Context) -> ProjectFilter {
    let mut filter = ProjectFilter { only: ctx.grant.projects.clone(), ..Default::default() };
    match &ctx.actor {
        Actor::System => filter.all = true,
        Actor::User { id, admin, .. } => {
            filter.viewer = Some(*id);
            filter.all = *admin;
        }
        Actor::Job { project, .. } => {
            filter.all = true;
            filter.only = Some(vec![*project]);
        }
        Actor::Anonymous | Actor::Runner(_) => {}
    }
    if !ctx.grant.permissions.has(Permission::ProjectRead) {
        filter.only = Some(Vec::new());
    }
    filter
}

/// Changes settings.
///
/// # Errors
/// `precondition_failed`, `validation_failed`, `forbidden`.
pub async fn project_update(app: &App, ctx: &Context, id: &str, version: i64, update: ProjectUpdate) -> Result<Project> {
    let p = app.project(ctx, id, Permission::ProjectWrite).await?;
    update.check()?;
    if let Some(branch) = &update.default_branch {
        RefName::branch(branch).map_err(|e| Error::field("default_branch", "invalid", e.detail))?;
    }
    let fields = update.fields();
    let change = ProjectChange {
        description: update.description,
        visibility: update.visibility,
        language: update.language,
        topics: update.topics.map(model::tidy_topics),
        default_branch: update.default_branch,
    };
    let mut tx = app.db().begin().await?;
    let row = web_kit::changed(rows::project_update(&mut tx, p.id(), version, &change).await?)?;
    tx.emit(&Event::new(ctx.user(), Some(p.id()), EventData::ProjectUpdated { fields })).await?;
    tx.commit().await?;
    Ok(Project { row, access: p.access })
}

/// Renames or transfers; the old address leads here from now on.
///
/// # Errors
/// `already_exists`, `validation_failed`, `forbidden`.
pub async fn project_move(app: &App, ctx: &Context, id: &str, to: ProjectMove) -> Result<Project> {
    let p = app.project(ctx, id, Permission::ProjectAdmin).await?;
    if app.made::<()>(ctx)?.is_some() {
        return Ok(p);
    }
    let name = Slug::parse(to.name.as_deref().unwrap_or(&p.row.name))?;
    let namespace = NamespacePath::parse(to.namespace.as_deref().unwrap_or(&p.row.namespace))?;
    let owner =
        if namespace.as_str() == p.row.namespace { p.row.owner } else { crate::group::namespace_for_project(app, ctx, &namespace).await? };
    let path = ProjectPath::new(&namespace, &name);
    if path.as_str() == p.row.path {
        return Ok(p);
    }
    let mut tx = app.db().begin().await?;
    let row = rows::project_move(&mut tx, &p.row, &path, owner).await?;
    tx.emit(&Event::new(ctx.user(), Some(p.id()), EventData::ProjectMoved { from: p.row.path.clone(), to: row.path.clone() })).await?;
    tx.keep(app.receipt(ctx, &())?).await?;
    tx.commit().await?;
    let access = rows::project_access(app.db(), &row, ctx.user()).await?;
    Ok(Project { row, access })
}

/// Makes read-only, or writable again.
///
/// # Errors
/// `forbidden`.
pub async fn project_archive(app: &App, ctx: &Context, id: &str, archived: bool) -> Result<Project> {
    let p = app.project(ctx, id, Permission::ProjectAdmin).await?;
    if p.row.archived_at.is_some() == archived {
        return Ok(p);
    }
    let mut tx = app.db().begin().await?;
    let row = rows::project_archive(&mut tx, p.id(), archived).await?;
    tx.emit(&Event::new(ctx.user(), Some(p.id()), EventData::ProjectArchived { archived })).await?;
    tx.commit().await?;
    Ok(Project { access: kernel::Access { archived, ..p.access }, row })
}

/// Deletes; can be undone for 30 days. What has been deleted can be deleted for good with `permanent`.
///
/// # Errors
/// `forbidden`, `not_found`, `conflict` for `permanent` with a project that has not been deleted before.
pub async fn project_delete(app: &App, ctx: &Context, id: &str, permanent: bool) -> Result<()> {
    let p = app.project(ctx, id, Permission::ProjectAdmin).await?;
    let path = p.row.path.clone();
    let mut tx = app.db().begin().await?;
    let event = match (p.row.deleted_at.is_some(), permanent) {
        (false, false) => {
            rows::project_delete(&mut tx, &p.row).await?;
            EventData::ProjectDeleted { path }
        }
        (false, true) => return Err(Error::new(Code::Conflict, "delete the project first; to delete it for good is a second step")),
        (true, true) if rows::project_purging(&mut tx, p.id()).await? => EventData::ProjectPurged { path },
        (true, _) => return Err(Error::not_found("project")),
    };
    tx.emit(&Event::new(ctx.user(), Some(p.id()), event)).await?;
    tx.commit().await
}

/// Brings a deleted project back to its address.
///
/// # Errors
/// `already_exists` when the address was taken, `conflict` when it is not deleted.
pub async fn project_restore(app: &App, ctx: &Context, id: &str) -> Result<Project> {
    let p = app.project(ctx, id, Permission::ProjectAdmin).await?;
    if app.made::<()>(ctx)?.is_some() {
        return Ok(p);
    }
    if p.row.deleted_at.is_none() {
        return Err(Error::new(Code::Conflict, "the project is not deleted"));
    }
    let mut tx = app.db().begin().await?;
    let row = rows::project_restore(&mut tx, &p.row).await?;
    tx.emit(&Event::new(ctx.user(), Some(p.id()), EventData::ProjectRestored { path: row.path.clone() })).await?;
    tx.keep(app.receipt(ctx, &())?).await?;
    tx.commit().await?;
    let access = rows::project_access(app.db(), &row, ctx.user()).await?;
    Ok(Project { row, access })
}

/// Members, direct and inherited.
///
/// # Errors
/// `forbidden`, `not_found`.
pub async fn project_member_list(app: &App, ctx: &Context, id: &str) -> Result<Vec<MemberRow>> {
    let p = app.project(ctx, id, Permission::MemberRead).await?;
    rows::project_member_list(app.db(), &p.row).await
}

fn own_role(ctx: &Context, p: &Project) -> Option<Role> {
    if ctx.is_admin() { Some(Role::Owner) } else { p.access.role }
}

/// Gives an account a role; nobody gives more than they have.
///
/// # Errors
/// `forbidden`, `not_found`.
pub async fn project_member_set(app: &App, ctx: &Context, id: &str, account: &str, role: Role) -> Result<()> {
    let p = app.project(ctx, id, Permission::MemberWrite).await?;
    let own = own_role(ctx, &p);
    if own.is_none_or(|own| role > own) {
        return Err(Error::new(Code::Forbidden, "nobody gives a higher role than their own"));
    }
    let account = crate::account::find(app, account).await?;
    let theirs = rows::project_access(app.db(), &p.row, Some(account.id)).await?;
    if theirs.role > own {
        return Err(Error::new(Code::Forbidden, "this member has a higher role than yours"));
    }
    let mut tx = app.db().begin().await?;
    rows::project_member_set(&mut tx, p.id(), account.id, role).await?;
    tx.emit(&Event::new(ctx.user(), Some(p.id()), EventData::MemberSet { user: account.id, role })).await?;
    tx.commit().await
}

/// Takes an account out; members may leave by themselves.
///
/// # Errors
/// `forbidden`, `not_found`.
pub async fn project_member_delete(app: &App, ctx: &Context, id: &str, account: &str) -> Result<()> {
    let account = crate::account::find(app, account).await?;
    // by themselves: not by a job of theirs, nor by a token that is for something else
    let leaves = matches!(ctx.actor, Actor::User { id, .. } if id == account.id) && ctx.grant.permissions.has(Permission::AccountWrite);
    let p = app.project(ctx, id, if leaves { Permission::ProjectRead } else { Permission::MemberWrite }).await?;
    if !leaves && rows::project_access(app.db(), &p.row, Some(account.id)).await?.role > own_role(ctx, &p) {
        return Err(Error::new(Code::Forbidden, "this member has a higher role than yours"));
    }
    let mut tx = app.db().begin().await?;
    if !rows::project_member_delete(&mut tx, p.id(), account.id).await? {
        return Err(Error::not_found("member"));
    }
    tx.emit(&Event::new(ctx.user(), Some(p.id()), EventData::MemberRemoved { user: account.id })).await?;
    tx.commit().await
}

/// Sets off the removal of projects whose 30 days are over.
///
/// # Errors
/// The database's.
pub async fn collect(app: App) -> Result<()> {
    for p in rows::project_expired(app.db(), Timestamp::now().minus(KEPT), 100).await? {
        let mut tx = app.db().begin().await?;
        if rows::project_purging(&mut tx, p.id).await? {
            tx.emit(&Event::new(None, Some(p.id), EventData::ProjectPurged { path: p.path })).await?;
        } else {
            // under way, or given up
            tx.enqueue(store::NewWork::new("project_purge", serde_json::json!({})).project(p.id).dedup(p.id.to_string())).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}
