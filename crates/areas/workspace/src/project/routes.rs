//! `/projects`: list, get, update, move, archive, delete, restore, members. `POST` is `creation`'s.

use axum::extract::State;
use http::StatusCode;
use kernel::{Code, Error, Permission, ProjectId, Visibility};
use serde::{Deserialize, Serialize};
use store::project::{ProjectCursor, ProjectRow, ProjectSort};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web_kit::{App, Ctx, IfMatch, Json, List, Page, PageParams, Path, ProblemBody, Query, Reply, Versioned};

use super::model::{ProjectMove, ProjectUpdate, ProjectView};
use crate::group::model::{Member, RoleSet};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(project_list))
        .routes(routes!(project_list_rest))
        .routes(routes!(project_get, project_patch, project_delete))
        .routes(routes!(project_update, project_update_patch))
        .routes(routes!(project_move))
        .routes(routes!(project_archive))
        .routes(routes!(project_unarchive))
        .routes(routes!(project_restore))
        .routes(routes!(project_member_list))
        .routes(routes!(project_member_set, project_member_delete))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// In this namespace or below it.
    namespace: Option<String>,
    /// This account (`usr_…`, a name, or `me`) owns it or is a direct member.
    member: Option<String>,
    /// `private`, `internal` or `public`.
    visibility: Option<String>,
    /// In this language.
    language: Option<String>,
    /// With this topic.
    topic: Option<String>,
    /// The path or description holds this text.
    q: Option<String>,
    /// `name`, `created` or `activity`.
    sort: Option<String>,
    /// `asc` or `desc`.
    order: Option<String>,
    /// Only archived ones, or none of them.
    archived: Option<bool>,
    /// Deleted ones that the caller may restore.
    #[serde(default)]
    deleted: bool,
}

#[derive(Serialize, Deserialize)]
enum Cursor {
    Path(String),
    Time(i64, ProjectId),
}

async fn list(app: &App, ctx: &kernel::Context, f: Filter, page: &Page) -> kernel::Result<List<ProjectView>> {
    let mut filter = super::visible_to(ctx);
    filter.namespace = f.namespace.map(|n| n.to_ascii_lowercase());
    filter.language = f.language;
    filter.topic = f.topic.map(|t| t.to_lowercase());
    filter.text = f.q.filter(|q| !q.trim().is_empty()).map(|q| q.trim().chars().take(200).collect());
    filter.archived = f.archived;
    filter.visibility = f
        .visibility
        .map(|v| Visibility::parse(&v).ok_or_else(|| Error::field("visibility", "invalid", "private, internal or public")))
        .transpose()?;
    filter.member = match f.member.as_deref() {
        None => None,
        Some("me") => Some(ctx.user().ok_or_else(|| Error::new(Code::Unauthenticated, "sign in first"))?),
        Some(name) => Some(crate::account::find(app, name).await?.id),
    };
    filter.sort = match f.sort.as_deref() {
        None | Some("name") => ProjectSort::Name,
        Some("created") => ProjectSort::Created,
        Some("activity") => ProjectSort::Activity,
        Some(_) => return Err(Error::field("sort", "invalid", "name, created or activity")),
    };
    filter.descending = match f.order.as_deref() {
        None => filter.sort != ProjectSort::Name,
        Some("asc") => false,
        Some("desc") => true,
        Some(_) => return Err(Error::field("order", "invalid", "asc or desc")),
    };
    if f.deleted {
        // who may restore: owners of the namespace, and administrators
        filter.deleted = true;
        if ctx.user().is_none() {
            return Err(Error::new(Code::Unauthenticated, "sign in first"));
        }
        if !filter.all {
            filter.owner = filter.viewer;
        }
    }
    filter.after = page.after::<Cursor>("project")?.map(|c| match c {
        Cursor::Path(path) => ProjectCursor::Path(path),
        Cursor::Time(at, id) => ProjectCursor::Time(at, id),
    });
    let rows = store::project::project_list(app.db(), &filter, page.fetch()).await?;
    let mut seen = Vec::with_capacity(rows.len());
    let access = store::project::project_access_many(app.db(), &rows, ctx.user()).await?;
    for (row, access) in rows.into_iter().zip(access) {
        seen.push(web_kit::Project { row, access });
    }
    let sort = filter.sort;
    let cursor = move |p: &web_kit::Project| cursor_of(&p.row, sort);
    Ok(page.finish("project", seen, cursor, |p| ProjectView::new(app, ctx, &p)))
}

fn cursor_of(row: &ProjectRow, sort: ProjectSort) -> Cursor {
    match sort {
        // the stored path of a deleted project
        ProjectSort::Name if row.deleted_at.is_some() => Cursor::Path(format!("{}\n{}", row.path, row.id)),
        ProjectSort::Name => Cursor::Path(row.path.clone()),
        ProjectSort::Created => Cursor::Time(row.created_at.millis(), row.id),
        ProjectSort::Activity => Cursor::Time(row.last_activity_at.millis(), row.id),
    }
}

/// Projects the caller may see.
#[utoipa::path(get, path = "/projects/list", tag = "projects", params(Filter, PageParams), responses((status = 200, body = List<ProjectView>)))]
async fn project_list(State(app): State<App>, Ctx(ctx): Ctx, Query(filter): Query<Filter>, page: Page) -> Reply<List<ProjectView>> {
    Ok(list(&app, &ctx, filter, &page).await?)
}

/// Projects the caller may see; the same as `/projects/list`.
#[utoipa::path(get, path = "/projects", tag = "projects", params(Filter, PageParams), responses((status = 200, body = List<ProjectView>)))]
async fn project_list_rest(State(app): State<App>, Ctx(ctx): Ctx, Query(filter): Query<Filter>, page: Page) -> Reply<List<ProjectView>> {
    Ok(list(&app, &ctx, filter, &page).await?)
}

/// A project by id or encoded path.
#[utoipa::path(get, path = "/projects/{id}", tag = "projects", params(("id" = String, Path)),
    responses((status = 200, body = ProjectView), (status = 404, body = ProblemBody)))]
async fn project_get(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>) -> Reply<Versioned<ProjectView>> {
    let p = app.project(&ctx, &id, Permission::ProjectRead).await?;
    Ok(Versioned(ProjectView::new(&app, &ctx, &p), p.row.version))
}

async fn update(app: App, ctx: kernel::Context, id: &str, version: i64, update: ProjectUpdate) -> Reply<Versioned<ProjectView>> {
    let p = super::project_update(&app, &ctx, id, version, update).await?;
    Ok(Versioned(ProjectView::new(&app, &ctx, &p), p.row.version))
}

/// Changes settings.
#[utoipa::path(put, path = "/projects/{id}/update", tag = "projects", params(("id" = String, Path)), request_body = ProjectUpdate,
    responses((status = 200, body = ProjectView), (status = 412, body = ProblemBody), (status = 428, body = ProblemBody)))]
async fn project_update(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(id): Path<String>,
    IfMatch(version): IfMatch,
    Json(change): Json<ProjectUpdate>,
) -> Reply<Versioned<ProjectView>> {
    update(app, ctx, &id, version, change).await
}

/// Changes settings; the same as `PUT`.
#[utoipa::path(patch, path = "/projects/{id}/update", tag = "projects", params(("id" = String, Path)), request_body = ProjectUpdate,
    responses((status = 200, body = ProjectView)))]
async fn project_update_patch(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(id): Path<String>,
    IfMatch(version): IfMatch,
    Json(change): Json<ProjectUpdate>,
) -> Reply<Versioned<ProjectView>> {
    update(app, ctx, &id, version, change).await
}

/// Changes settings; the same as `/update`.
#[utoipa::path(patch, path = "/projects/{id}", tag = "projects", params(("id" = String, Path)), request_body = ProjectUpdate,
    responses((status = 200, body = ProjectView)))]
async fn project_patch(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(id): Path<String>,
    IfMatch(version): IfMatch,
    Json(change): Json<ProjectUpdate>,
) -> Reply<Versioned<ProjectView>> {
    update(app, ctx, &id, version, change).await
}

/// Renames or transfers.
#[utoipa::path(post, path = "/projects/{id}/move", tag = "projects", params(("id" = String, Path)), request_body = ProjectMove,
    responses((status = 200, body = ProjectView), (status = 409, body = ProblemBody)))]
async fn project_move(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(id): Path<String>,
    Json(to): Json<ProjectMove>,
) -> Reply<Versioned<ProjectView>> {
    let p = super::project_move(&app, &ctx, &id, to).await?;
    Ok(Versioned(ProjectView::new(&app, &ctx, &p), p.row.version))
}

/// Makes read-only.
#[utoipa::path(post, path = "/projects/{id}/archive", tag = "projects", params(("id" = String, Path)), responses((status = 200, body = ProjectView)))]
async fn project_archive(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>) -> Reply<Versioned<ProjectView>> {
    let p = super::project_archive(&app, &ctx, &id, true).await?;
    Ok(Versioned(ProjectView::new(&app, &ctx, &p), p.row.version))
}

/// Makes writable again.
#[utoipa::path(post, path = "/projects/{id}/unarchive", tag = "projects", params(("id" = String, Path)), responses((status = 200, body = ProjectView)))]
async fn project_unarchive(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>) -> Reply<Versioned<ProjectView>> {
    let p = super::project_archive(&app, &ctx, &id, false).await?;
    Ok(Versioned(ProjectView::new(&app, &ctx, &p), p.row.version))
}

/// How to delete.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct DeleteQuery {
    /// Remove a deleted project for good, with its repository, runs and images. Nothing brings it back.
    #[serde(default)]
    permanent: bool,
}

/// Deletes; can be undone for 30 days.
#[utoipa::path(delete, path = "/projects/{id}", tag = "projects", params(("id" = String, Path), DeleteQuery), responses((status = 204)))]
async fn project_delete(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(id): Path<String>,
    Query(query): Query<DeleteQuery>,
) -> Reply<StatusCode> {
    super::project_delete(&app, &ctx, &id, query.permanent).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Brings a deleted project back.
#[utoipa::path(post, path = "/projects/{id}/restore", tag = "projects", params(("id" = String, Path)), responses((status = 200, body = ProjectView)))]
async fn project_restore(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>) -> Reply<Versioned<ProjectView>> {
    let p = super::project_restore(&app, &ctx, &id).await?;
    Ok(Versioned(ProjectView::new(&app, &ctx, &p), p.row.version))
}

/// Members, direct and inherited.
#[utoipa::path(get, path = "/projects/{id}/members", tag = "projects", params(("id" = String, Path)), responses((status = 200, body = List<Member>)))]
async fn project_member_list(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>) -> Reply<List<Member>> {
    let members = super::project_member_list(&app, &ctx, &id).await?;
    Ok(List::whole(members.into_iter().map(|m| Member::new(m, None)).collect()))
}

/// Gives an account a role.
#[utoipa::path(put, path = "/projects/{id}/members/{user}", tag = "projects", params(("id" = String, Path), ("user" = String, Path)),
    request_body = RoleSet, responses((status = 204)))]
async fn project_member_set(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path((id, user)): Path<(String, String)>,
    Json(set): Json<RoleSet>,
) -> Reply<StatusCode> {
    super::project_member_set(&app, &ctx, &id, &user, set.role).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes an account out.
#[utoipa::path(delete, path = "/projects/{id}/members/{user}", tag = "projects", params(("id" = String, Path), ("user" = String, Path)),
    responses((status = 204)))]
async fn project_member_delete(State(app): State<App>, Ctx(ctx): Ctx, Path((id, user)): Path<(String, String)>) -> Reply<StatusCode> {
    super::project_member_delete(&app, &ctx, &id, &user).await?;
    Ok(StatusCode::NO_CONTENT)
}
