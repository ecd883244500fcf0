//! Routes of artifacts.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use kernel::{ArtifactId, Code, Context, Error, Permission, Result, Timestamp};
use serde::{Deserialize, Serialize};
use store::artifact::{ArtifactRow, artifact_get, artifact_list};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web_kit::{App, Ctx, List, Page, PageParams, Path, ProblemBody, Query, Reply};

use super::browse;
use crate::runs::run_for;

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(artifact_page))
        .routes(routes!(artifact_download))
        .routes(routes!(artifact_files))
        .routes(routes!(artifact_file))
}

/// An artifact.
#[derive(Debug, Serialize, ToSchema)]
struct Artifact {
    /// Its id.
    #[schema(value_type = String)]
    id: ArtifactId,
    /// Its name.
    name: String,
    /// Bytes of the zip.
    size: i64,
    /// `sha256:…` of the zip.
    digest: String,
    /// Files in the zip.
    files: i64,
    /// When it was made.
    #[schema(value_type = String)]
    created_at: Timestamp,
    /// Removed then.
    #[schema(value_type = String)]
    expires_at: Timestamp,
    /// The name under which its workflow shows it with the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    exposed_as: Option<String>,
    /// What it is, when it is no zip but one file as it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
}

#[utoipa::path(get, path = "/runs/{run}/artifacts", operation_id = "artifact_list", tag = "pipelines", params(("run" = String, Path), PageParams),
    responses((status = 200, body = List<Artifact>), (status = "4XX", body = ProblemBody)))]
/// The artifacts of a run, by name.
async fn artifact_page(State(app): State<App>, Ctx(ctx): Ctx, Path(run): Path<String>, page: Page) -> Reply<List<Artifact>> {
    let (row, _) = run_for(&app, &ctx, &run, Permission::PipelineRead).await?;
    let after = page.after::<String>("artifacts")?.unwrap_or_default();
    let rows = artifact_list(app.db(), row.id, &after, page.fetch()).await?;
    let exposed = super::exposed(&app, row.id).await?;
    Ok(page.finish(
        "artifacts",
        rows,
        |a| a.name.clone(),
        |a| Artifact {
            id: a.id,
            size: a.size,
            digest: a.digest,
            files: a.files,
            created_at: a.created_at,
            expires_at: a.expires_at,
            content_type: a.content_type,
            exposed_as: exposed.get(&a.name).cloned(),
            name: a.name,
        },
    ))
}

#[utoipa::path(get, path = "/artifacts/{artifact}/download", tag = "pipelines", params(("artifact" = String, Path)),
    responses((status = 200, content_type = "application/zip"), (status = "4XX", body = ProblemBody)))]
/// The zip of an artifact.
async fn artifact_download(State(app): State<App>, Ctx(ctx): Ctx, Path(artifact): Path<String>) -> Reply<Response> {
    let row = artifact_for(&app, &ctx, &artifact).await?;
    let body = super::open(&app, row.project, &row.digest).await?;
    let name = if row.content_type.is_some() { row.name } else { format!("{}.zip", row.name) };
    Ok(attachment(&name, row.content_type.as_deref().unwrap_or("application/zip"), Some(row.size), body))
}

/// An artifact that the caller may read.
async fn artifact_for(app: &App, ctx: &Context, artifact: &str) -> Result<ArtifactRow> {
    let missing = || Error::not_found("artifact");
    let id: ArtifactId = artifact.parse().map_err(|_| missing())?;
    let row = artifact_get(app.db(), id).await?.ok_or_else(missing)?;
    app.project_by_id(ctx, row.project, Permission::PipelineRead).await.map_err(|e| if e.is(Code::NotFound) { missing() } else { e })?;
    Ok(row)
}

/// A file of an artifact.
#[derive(Debug, Serialize, ToSchema)]
struct ArtifactFile {
    /// Its path in the zip.
    path: String,
    /// Its bytes, as the zip says.
    size: u64,
}

#[utoipa::path(get, path = "/artifacts/{artifact}/files", tag = "pipelines", params(("artifact" = String, Path), PageParams),
    responses((status = 200, body = List<ArtifactFile>), (status = "4XX", body = ProblemBody)))]
/// The files of an artifact, in the order of the zip.
async fn artifact_files(State(app): State<App>, Ctx(ctx): Ctx, Path(artifact): Path<String>, page: Page) -> Reply<List<ArtifactFile>> {
    let row = artifact_for(&app, &ctx, &artifact).await?;
    let after = page.after::<usize>("artifact_files")?.unwrap_or_default();
    let rows: Vec<(usize, ArtifactFile)> = if row.content_type.is_some() {
        vec![(1, ArtifactFile { size: row.size.unsigned_abs(), path: row.name })]
    } else {
        let files = browse::artifact_files(&app, &row).await?;
        let some = files.iter().skip(after).take(usize::try_from(page.fetch()).unwrap_or(0));
        some.zip(after + 1..).map(|(f, index)| (index, ArtifactFile { path: f.path.clone(), size: f.size })).collect()
    };
    Ok(page.finish("artifact_files", rows, |(index, _)| *index, |(_, file)| file))
}

/// Which file.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct WhichFile {
    /// Its path in the zip.
    path: String,
}

#[utoipa::path(get, path = "/artifacts/{artifact}/file", tag = "pipelines", params(("artifact" = String, Path), WhichFile),
    responses((status = 200, content_type = "application/octet-stream"), (status = "4XX", body = ProblemBody)))]
/// One file of an artifact, of at most 32 MiB: as text, as an image, or as bytes, whatever it calls itself.
async fn artifact_file(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(artifact): Path<String>,
    Query(which): Query<WhichFile>,
) -> Reply<Response> {
    let row = artifact_for(&app, &ctx, &artifact).await?;
    if row.content_type.is_some() {
        if which.path != row.name {
            return Err(Error::not_found("file").into());
        }
        let body = super::open(&app, row.project, &row.digest).await?;
        return Ok(attachment(&row.name, "application/octet-stream", Some(row.size), body));
    }
    let bytes = browse::artifact_file(&app, &row, &which.path).await?;
    let name = which.path.rsplit('/').next().unwrap_or_default();
    let size = i64::try_from(bytes.len()).ok();
    Ok(attachment(name, harmless_type(&bytes), size, web_kit::Body::from(bytes)))
}

/// A content type by the bytes alone, of those that no browser runs: what a job made must not act in our name.
fn harmless_type(bytes: &[u8]) -> &'static str {
    let begins: [(&[u8], &str); 4] =
        [(b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF87a", "image/gif"), (b"GIF89a", "image/gif")];
    if let Some((_, found)) = begins.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return found;
    }
    let text = std::str::from_utf8(bytes).is_ok_and(|t| !t.contains('\0'));
    if text { "text/plain; charset=utf-8" } else { "application/octet-stream" }
}

/// An answer that is saved, never shown: it comes from a job.
pub(crate) fn attachment(name: &str, content_type: &str, size: Option<i64>, body: web_kit::Body) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    let kind = HeaderValue::from_str(content_type).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_TYPE, kind);
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || "._- ".contains(c) { c } else { '_' }).collect();
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", encoded(name))) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    if let Some(size) = size {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// For `filename*` (RFC 8187).
fn encoded(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    name.bytes().map(|b| if plain(b) { (b as char).to_string() } else { format!("%{b:02X}") }).collect()
}
