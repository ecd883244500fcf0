//! `/projects/{id}/…` for what is in the repository.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, header};
use kernel::Error;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web_kit::extract::Created;
use web_kit::{App, Ctx, Json, List, Page, PageParams, Path, ProblemBody, Query, Reply};

use super::model::{CommitDetail, CommitNew, CommitStatusView, CommitView, FileView, ReadmeView, RefPage, TreeView};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(ref_list))
        .routes(routes!(tree_get))
        .routes(routes!(file_get))
        .routes(routes!(raw_get))
        .routes(routes!(readme_get))
        .routes(routes!(commit_list, commit_create))
        .routes(routes!(commit_get))
        .routes(routes!(commit_status_list))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Prefix {
    /// Start of the short or full name.
    #[serde(default)]
    prefix: String,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Place {
    /// Branch, tag or commit; the default branch when not given.
    r#ref: Option<String>,
    /// Path from the root.
    path: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct FilePlace {
    /// Branch, tag or commit; the default branch when not given.
    r#ref: Option<String>,
    /// Path of the file from the root.
    path: String,
}

/// An answer that stays the same for a commit and a state of the rest.
fn tagged(mut response: Response, tag: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(&format!("\"{tag}\"")) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response
}

/// Branches and tags.
///
/// **Permissions:** `repository:read`
#[utoipa::path(get, path = "/projects/{id}/refs", tag = "repository", params(("id" = String, Path), Prefix, PageParams),
    responses((status = 200, body = RefPage), (status = 404, body = ProblemBody)))]
async fn ref_list(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(id): Path<String>,
    Query(q): Query<Prefix>,
    page: Page,
) -> Reply<Json<RefPage>> {
    let limit = usize::try_from(page.limit).unwrap_or(1);
    let mut refs = super::ref_list(&app, &ctx, &id, &q.prefix, page.after("ref")?, limit).await?;
    refs.next = refs.next.map(|name| page.cursor("ref", &name));
    Ok(Json(refs))
}

/// One level of a directory, each entry with the commit that last changed it.
///
/// **Permissions:** `repository:read`
#[utoipa::path(get, path = "/projects/{id}/tree", tag = "repository", params(("id" = String, Path), Place),
    responses((status = 200, body = TreeView), (status = 404, body = ProblemBody)))]
async fn tree_get(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>, Query(q): Query<Place>) -> Reply<Response> {
    let tree = super::tree_get(&app, &ctx, &id, q.r#ref.as_deref(), q.path.as_deref()).await?;
    // entries whose last commit was not found in time may have one the next time
    let whole = tree.entries.iter().all(|e| e.last_commit.is_some());
    let tag = tree.commit.clone();
    let response = Json(tree).into_response();
    Ok(if whole { tagged(response, &tag) } else { response })
}

/// A file with its content, and Markdown rendered.
///
/// **Permissions:** `repository:read`
#[utoipa::path(get, path = "/projects/{id}/files", tag = "repository", params(("id" = String, Path), FilePlace),
    responses((status = 200, body = FileView), (status = 404, body = ProblemBody)))]
async fn file_get(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>, Query(q): Query<FilePlace>) -> Reply<Response> {
    let file = super::file_get(&app, &ctx, &id, q.r#ref.as_deref(), &q.path).await?;
    let tag = file.commit.clone();
    Ok(tagged(Json(file).into_response(), &tag))
}

/// A file's bytes, in a form that no browser runs.
///
/// **Permissions:** `repository:read`
#[utoipa::path(get, path = "/projects/{id}/raw", tag = "repository", params(("id" = String, Path), FilePlace),
    responses((status = 200, content_type = "application/octet-stream", description = "The bytes"), (status = 404, body = ProblemBody)))]
async fn raw_get(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>, Query(q): Query<FilePlace>) -> Reply<Response> {
    let found = super::raw_get(&app, &ctx, &id, q.r#ref.as_deref(), &q.path).await?;
    let (kind, inline) = safe_type(found.path.file_name(), found.blob.data.as_deref());
    let (oid, size) = (found.blob.oid, found.blob.size);
    let body = match found.blob.data {
        Some(data) => Body::from(data),
        None => match found.repository.blob_stream(oid).await.map_err(Error::from)? {
            git::serve::Body::Full(bytes) => Body::from(bytes),
            git::serve::Body::Stream(stream) => Body::from_stream(stream),
        },
    };
    let name: String =
        found.path.file_name().chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' }).collect();
    let disposition = format!("{}; filename=\"{name}\"", if inline { "inline" } else { "attachment" });
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    for (key, value) in [
        (header::CONTENT_TYPE, kind),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; sandbox"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(key, HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_str(&disposition).map_err(Error::internal)?);
    Ok(tagged(response, &oid.to_hex()))
}

/// The type to send a file as, and whether it may be shown in place: text as plain text, pictures that hold no code, and
/// nothing else.
fn safe_type(name: &str, data: Option<&[u8]>) -> (&'static str, bool) {
    let extension = name.rsplit_once('.').map(|(_, e)| e.to_ascii_lowercase()).unwrap_or_default();
    let picture = match extension.as_str() {
        "png" => Some("image/png"),
        "jpg" | "jpeg" => Some("image/jpeg"),
        "gif" => Some("image/gif"),
        "webp" => Some("image/webp"),
        "avif" => Some("image/avif"),
        "ico" => Some("image/x-icon"),
        _ => None,
    };
    match (picture, data) {
        (Some(kind), _) => (kind, true),
        (None, Some(data)) if !git::read::is_binary(data) && std::str::from_utf8(data).is_ok() => ("text/plain; charset=utf-8", true),
        _ => ("application/octet-stream", false),
    }
}

/// The README at the root.
///
/// **Permissions:** `repository:read`
#[utoipa::path(get, path = "/projects/{id}/readme", tag = "repository", params(("id" = String, Path), ("ref" = Option<String>, Query)),
    responses((status = 200, body = ReadmeView), (status = 404, body = ProblemBody)))]
async fn readme_get(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>, Query(q): Query<Place>) -> Reply<Json<ReadmeView>> {
    Ok(Json(super::readme_get(&app, &ctx, &id, q.r#ref.as_deref()).await?))
}

/// History, newest first; with `path` the commits that changed it.
///
/// **Permissions:** `repository:read`
#[utoipa::path(get, path = "/projects/{id}/commits", tag = "repository", params(("id" = String, Path), Place, PageParams),
    responses((status = 200, body = List<CommitView>), (status = 404, body = ProblemBody)))]
async fn commit_list(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(id): Path<String>,
    Query(q): Query<Place>,
    page: Page,
) -> Reply<List<CommitView>> {
    let limit = usize::try_from(page.limit).unwrap_or(1);
    let (items, next) = super::commit_list(&app, &ctx, &id, q.r#ref.as_deref(), q.path.as_deref(), page.after("commit")?, limit).await?;
    Ok(page.list("commit", items, next.as_ref()))
}

/// One commit and what it changed.
///
/// **Permissions:** `repository:read`
#[utoipa::path(get, path = "/projects/{id}/commits/{oid}", tag = "repository", params(("id" = String, Path), ("oid" = String, Path)),
    responses((status = 200, body = CommitDetail), (status = 404, body = ProblemBody)))]
async fn commit_get(State(app): State<App>, Ctx(ctx): Ctx, Path((id, oid)): Path<(String, String)>) -> Reply<Response> {
    let commit = super::commit_get(&app, &ctx, &id, &oid).await?;
    let tag = format!("{}-{}", commit.commit.oid, commit.commit.status.unwrap_or("none"));
    Ok(tagged(Json(commit).into_response(), &tag))
}

/// Commits edits of files, all or none.
///
/// **Permissions:** `repository:write`
#[utoipa::path(post, path = "/projects/{id}/commits", tag = "repository", params(("id" = String, Path)), request_body = CommitNew,
    responses((status = 201, body = CommitView), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn commit_create(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(id): Path<String>,
    Json(new): Json<CommitNew>,
) -> Reply<Created<CommitView>> {
    let commit = super::commit_create(&app, &ctx, &id, new).await?;
    let location = format!("/projects/{}/commits/{}", id.replace('/', "%2F"), commit.oid);
    Ok(Created { location, body: commit, version: None })
}

/// What checks say about a commit.
///
/// **Permissions:** `repository:read`
#[utoipa::path(get, path = "/projects/{id}/commits/{oid}/statuses", tag = "repository", params(("id" = String, Path), ("oid" = String, Path)),
    responses((status = 200, body = List<CommitStatusView>), (status = 404, body = ProblemBody)))]
async fn commit_status_list(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path((id, oid)): Path<(String, String)>,
) -> Reply<List<CommitStatusView>> {
    let rows = super::commit_status_list_of(&app, &ctx, &id, &oid).await?;
    let items = rows.into_iter().map(|s| CommitStatusView {
        context: s.context,
        state: s.state,
        description: s.description,
        target_url: s.target_url,
        updated_at: s.updated_at,
    });
    Ok(List::whole(items.collect()))
}
