//! Groups: the namespace tree, with membership inherited downwards.
//!
//! Owns: `user_group`, `group_member`. Invariants: a group always has an owner of its own or above it; a group that holds
//! something is not deleted.

pub mod model;
pub mod routes;

use kernel::authz::authorize_instance;
use kernel::{Actor, Code, Context, Error, Event, EventData, GroupId, NamespacePath, Permission, Result, Role, Visibility};
use store::group::{self as rows, GroupRow, MemberRow};
use web_kit::App;

use model::{GroupChange, GroupNew};

/// Finds a group by id or path and decides whether the caller is at least `least` there; none means seeing is enough.
async fn group_at(app: &App, ctx: &Context, id: &str, least: Option<Role>) -> Result<GroupRow> {
    app.group(ctx, id, least.map(|role| (role, Permission::AccountWrite))).await
}

/// Makes a group: at the top by any account, below another by its maintainers.
///
/// # Errors
/// `validation_failed`, `already_exists`, `not_found` for the group above.
pub async fn group_create(app: &App, ctx: &Context, new: GroupNew) -> Result<GroupRow> {
    authorize_instance(ctx, Permission::AccountWrite)?;
    let Actor::User { id: owner, .. } = ctx.actor else {
        return Err(Error::new(Code::Forbidden, "only people make groups"));
    };
    if let Some(id) = app.made::<GroupId>(ctx)? {
        return rows::group_get(app.db(), id).await?.ok_or_else(|| Error::not_found("group"));
    }
    let path = NamespacePath::parse(&new.path)?;
    let parent = match path.parent() {
        None => None,
        Some(above) => Some(group_at(app, ctx, above.as_str(), Some(Role::Maintainer)).await?),
    };
    let display_name = new.display_name.unwrap_or_else(|| path.name().to_owned());
    crate::account::model::check_texts(Some(&display_name), None)?;
    crate::account::model::check_text("description", new.description.as_deref().unwrap_or(""), 2000)?;
    let group = GroupRow {
        id: GroupId::new(),
        path: path.as_str().to_owned(),
        parent: parent.map(|p| p.id),
        display_name,
        description: new.description.unwrap_or_default(),
        visibility: new.visibility.unwrap_or(Visibility::Private),
        created_at: ctx.now,
        version: 1,
    };
    let mut tx = app.db().begin().await?;
    rows::group_create(&mut tx, &group, owner).await?;
    tx.emit(&Event::new(ctx.user(), None, EventData::GroupCreated { group: group.id, path: group.path.clone() })).await?;
    tx.keep(app.receipt(ctx, &group.id)?).await?;
    tx.commit().await?;
    Ok(group)
}

/// A group the caller may know of.
///
/// # Errors
/// `not_found`.
pub async fn group_get(app: &App, ctx: &Context, id: &str) -> Result<GroupRow> {
    group_at(app, ctx, id, None).await
}

/// Changes a group's texts.
///
/// # Errors
/// `precondition_failed`, `forbidden`.
pub async fn group_update(app: &App, ctx: &Context, id: &str, version: i64, change: GroupChange) -> Result<GroupRow> {
    let group = group_at(app, ctx, id, Some(Role::Maintainer)).await?;
    crate::account::model::check_texts(change.display_name.as_deref(), None)?;
    crate::account::model::check_text("description", change.description.as_deref().unwrap_or(""), 2000)?;
    let mut tx = app.db().begin().await?;
    let row =
        rows::group_update(&mut tx, group.id, version, change.display_name.as_deref(), change.description.as_deref(), change.visibility)
            .await?;
    let row = web_kit::changed(row)?;
    tx.commit().await?;
    Ok(row)
}

/// Deletes an empty group.
///
/// # Errors
/// `conflict` when something lives in it.
pub async fn group_delete(app: &App, ctx: &Context, id: &str) -> Result<()> {
    let group = group_at(app, ctx, id, Some(Role::Owner)).await?;
    let mut tx = app.db().begin().await?;
    if !rows::group_delete(&mut tx, &group).await? {
        return Err(Error::new(Code::Conflict, "the group still holds projects or groups"));
    }
    tx.commit().await
}

/// Members, direct and inherited.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn group_member_list(app: &App, ctx: &Context, id: &str) -> Result<(GroupRow, Vec<MemberRow>)> {
    let group = group_at(app, ctx, id, Some(Role::Guest)).await?;
    let members = rows::group_member_list(app.db(), &group.path).await?;
    Ok((group, members))
}

/// Gives an account a role; nobody gives more than they have.
///
/// # Errors
/// `forbidden`, `conflict` for the last owner.
pub async fn group_member_set(app: &App, ctx: &Context, id: &str, account: &str, role: Role) -> Result<()> {
    let group = group_at(app, ctx, id, Some(Role::Maintainer)).await?;
    let own = app.group_role(ctx, &group.path).await?;
    if own.is_none_or(|own| role > own) {
        return Err(Error::new(Code::Forbidden, "nobody gives a higher role than their own"));
    }
    let account = crate::account::find(app, account).await?;
    let current = rows::group_role(app.db(), &group.path, account.id).await?;
    if current > own {
        return Err(Error::new(Code::Forbidden, "this member has a higher role than yours"));
    }
    let mut tx = app.db().begin().await?;
    rows::group_member_set(&mut tx, group.id, account.id, role).await?;
    keeps_an_owner(&mut tx, &group).await?;
    tx.emit(&Event::new(ctx.user(), None, EventData::MemberSet { user: account.id, role })).await?;
    tx.commit().await
}

/// Takes an account out; members may leave by themselves.
///
/// # Errors
/// `not_found`, `conflict` for the last owner.
pub async fn group_member_delete(app: &App, ctx: &Context, id: &str, account: &str) -> Result<()> {
    let account = crate::account::find(app, account).await?;
    let leaves = matches!(ctx.actor, Actor::User { id, .. } if id == account.id);
    let group = group_at(app, ctx, id, Some(if leaves { Role::Guest } else { Role::Maintainer })).await?;
    if !leaves && rows::group_role(app.db(), &group.path, account.id).await? > app.group_role(ctx, &group.path).await? {
        return Err(Error::new(Code::Forbidden, "this member has a higher role than yours"));
    }
    let mut tx = app.db().begin().await?;
    if !rows::group_member_delete(&mut tx, group.id, account.id).await? {
        return Err(Error::not_found("member"));
    }
    keeps_an_owner(&mut tx, &group).await?;
    tx.emit(&Event::new(ctx.user(), None, EventData::MemberRemoved { user: account.id })).await?;
    tx.commit().await
}

async fn keeps_an_owner(tx: &mut store::Tx, group: &GroupRow) -> Result<()> {
    if group.parent.is_none() && rows::group_owners(tx, group.id).await? == 0 {
        return Err(Error::new(Code::Conflict, "a group keeps at least one owner"));
    }
    Ok(())
}

/// Where the caller may make projects: its own namespace and the groups where it is at least a maintainer.
///
/// # Errors
/// `unauthenticated`.
pub async fn namespace_list(app: &App, ctx: &Context) -> Result<Vec<model::Namespace>> {
    let Actor::User { id, name, .. } = &ctx.actor else {
        return Err(Error::new(Code::Unauthenticated, "sign in first"));
    };
    let mut out = vec![model::Namespace { path: name.clone(), kind: "user" }];
    if ctx.grant.projects.is_some() {
        return Ok(out);
    }
    for (path, role) in rows::group_roles(app.db(), *id).await? {
        if role < Role::Maintainer {
            continue;
        }
        let below = rows::group_below(app.db(), &NamespacePath::parse(&path)?, 200).await?;
        for path in std::iter::once(path).chain(below) {
            if !out.iter().any(|n| n.path == path) {
                out.push(model::Namespace { path, kind: "group" });
            }
        }
    }
    Ok(out)
}

/// May the caller make projects here? Who owns the namespace, when it is a user's.
///
/// # Errors
/// `validation_failed` on field `namespace` when there is none or the caller may not.
pub async fn namespace_for_project(app: &App, ctx: &Context, path: &NamespacePath) -> Result<Option<kernel::UserId>> {
    let refused = || Error::field("namespace", "invalid", "there is no such namespace, or you may not create projects in it");
    let Some((kind, id)) = store::account::namespace_kind(app.db(), path).await? else { return Err(refused()) };
    if kind == "user" {
        let owner = kernel::UserId::from(id);
        return if ctx.user() == Some(owner) || ctx.is_admin() { Ok(Some(owner)) } else { Err(refused()) };
    }
    match app.group_role(ctx, path.as_str()).await? {
        Some(role) if role >= Role::Maintainer => Ok(None),
        _ => Err(refused()),
    }
}
