//! Routes of artifacts.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use kernel::{ArtifactId, Code, Error, Permission, Timestamp};
use serde::Serialize;
use store::artifact::{artifact_get, artifact_list};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web_kit::{App, Ctx, List, Page, PageParams, Path, ProblemBody, Reply};

use crate::runs::run_for;

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(artifact_page)).routes(routes!(artifact_download))
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
    let missing = || Error::not_found("artifact");
    let id: ArtifactId = artifact.parse().map_err(|_| missing())?;
    let row = artifact_get(app.db(), id).await?.ok_or_else(missing)?;
    app.project_by_id(&ctx, row.project, Permission::PipelineRead).await.map_err(|e| if e.is(Code::NotFound) { missing() } else { e })?;
    let body = super::open(&app, row.project, &row.digest).await?;
    let name = if row.content_type.is_some() { row.name } else { format!("{}.zip", row.name) };
    Ok(attachment(&name, row.content_type.as_deref().unwrap_or("application/zip"), Some(row.size), body))
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
