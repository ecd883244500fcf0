//! `/groups`, `/namespaces`.

use axum::extract::State;
use http::StatusCode;
use kernel::Actor;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web_kit::{App, Created, Ctx, IfMatch, Json, List, Page, PageParams, Path, ProblemBody, Reply, Versioned};

use super::model::{Group, GroupChange, GroupNew, Member, Namespace, RoleSet};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(group_list, group_create))
        .routes(routes!(group_get, group_update, group_delete))
        .routes(routes!(group_member_list))
        .routes(routes!(group_member_set, group_member_delete))
        .routes(routes!(namespace_list))
}

/// Groups the caller may know of, by path.
#[utoipa::path(get, path = "/groups", tag = "groups", params(PageParams), responses((status = 200, body = List<Group>)))]
async fn group_list(State(app): State<App>, Ctx(ctx): Ctx, page: Page) -> Reply<List<Group>> {
    let viewer = match ctx.actor {
        Actor::User { id, .. } if ctx.grant.projects.is_none() => Some(id),
        _ => None,
    };
    let after: Option<String> = page.after("group")?;
    let rows = store::group::group_list(app.db(), viewer, ctx.is_admin(), &after.unwrap_or_default(), page.fetch()).await?;
    Ok(page.finish("group", rows, |r| r.path.clone(), Group::from))
}

/// Makes a group.
#[utoipa::path(post, path = "/groups", tag = "groups", request_body = GroupNew,
    responses((status = 201, body = Group), (status = 409, body = ProblemBody)))]
async fn group_create(State(app): State<App>, Ctx(ctx): Ctx, Json(new): Json<GroupNew>) -> Reply<Created<Group>> {
    let row = super::group_create(&app, &ctx, new).await?;
    Ok(Created { location: format!("/groups/{}", row.id), version: Some(row.version), body: row.into() })
}

/// A group by id or encoded path.
#[utoipa::path(get, path = "/groups/{id}", tag = "groups", params(("id" = String, Path)), responses((status = 200, body = Group)))]
async fn group_get(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>) -> Reply<Versioned<Group>> {
    let row = super::group_get(&app, &ctx, &id).await?;
    let version = row.version;
    Ok(Versioned(row.into(), version))
}

/// Changes a group.
#[utoipa::path(patch, path = "/groups/{id}", tag = "groups", params(("id" = String, Path)), request_body = GroupChange,
    responses((status = 200, body = Group)))]
async fn group_update(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(id): Path<String>,
    IfMatch(version): IfMatch,
    Json(change): Json<GroupChange>,
) -> Reply<Versioned<Group>> {
    let row = super::group_update(&app, &ctx, &id, version, change).await?;
    let version = row.version;
    Ok(Versioned(row.into(), version))
}

/// Deletes an empty group.
#[utoipa::path(delete, path = "/groups/{id}", tag = "groups", params(("id" = String, Path)), responses((status = 204)))]
async fn group_delete(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>) -> Reply<StatusCode> {
    super::group_delete(&app, &ctx, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Members, direct and inherited.
#[utoipa::path(get, path = "/groups/{id}/members", tag = "groups", params(("id" = String, Path)),
    responses((status = 200, body = List<Member>)))]
async fn group_member_list(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>) -> Reply<List<Member>> {
    let (group, members) = super::group_member_list(&app, &ctx, &id).await?;
    Ok(List::whole(members.into_iter().map(|m| Member::new(m, Some(&group.path))).collect()))
}

/// Gives an account a role.
#[utoipa::path(put, path = "/groups/{id}/members/{user}", tag = "groups", params(("id" = String, Path), ("user" = String, Path)),
    request_body = RoleSet, responses((status = 204)))]
async fn group_member_set(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path((id, user)): Path<(String, String)>,
    Json(set): Json<RoleSet>,
) -> Reply<StatusCode> {
    super::group_member_set(&app, &ctx, &id, &user, set.role).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes an account out.
#[utoipa::path(delete, path = "/groups/{id}/members/{user}", tag = "groups", params(("id" = String, Path), ("user" = String, Path)),
    responses((status = 204)))]
async fn group_member_delete(State(app): State<App>, Ctx(ctx): Ctx, Path((id, user)): Path<(String, String)>) -> Reply<StatusCode> {
    super::group_member_delete(&app, &ctx, &id, &user).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Where the caller may make projects.
#[utoipa::path(get, path = "/namespaces", tag = "groups", responses((status = 200, body = List<Namespace>)))]
async fn namespace_list(State(app): State<App>, Ctx(ctx): Ctx) -> Reply<List<Namespace>> {
    Ok(List::whole(super::namespace_list(&app, &ctx).await?))
}
