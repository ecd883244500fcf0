//! Images of a project as people see them. The protocol that pushes and pulls them is the registry's door.

use std::time::Duration;

use axum::extract::State;
use blobs::Blobs;
use kernel::Permission;
use kernel::Result;
use kernel::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use utoipa::IntoParams;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web_kit::App;
use web_kit::Ctx;
use web_kit::List;
use web_kit::Page;
use web_kit::PageParams;
use web_kit::Path;
use web_kit::Query;
use web_kit::Reply;

/// An upload that nobody touched for so long is given up.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// An image of a project.
#[derive(Debug, Serialize, ToSchema)]
pub struct Image {
    /// Its repository name: the project's path, or that and a name of its own.
    pub name: String,
    /// Newest tags first, at most 20.
    pub tags: Vec<String>,
    /// When it was pushed to last.
    #[schema(value_type = String)]
    pub updated_at: Timestamp,
}

/// A tag of an image.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImageTag {
    /// The image's repository name.
    pub name: String,
    /// The tag.
    pub tag: String,
    /// The manifest it names.
    pub digest: String,
    /// Bytes of the image.
    pub size: u64,
    /// Media type of the manifest.
    pub media_type: String,
    /// When it was set last.
    #[schema(value_type = String)]
    pub pushed_at: Timestamp,
}

/// Which image's tags.
#[derive(Debug, Deserialize, IntoParams)]
pub struct TagQuery {
    /// The image's repository name; the project's own when not given.
    pub name: Option<String>,
}

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(image_list)).routes(routes!(image_tag_list))
}

fn full(path: &str, image: &str) -> String {
    if image.is_empty() { path.to_owned() } else { format!("{path}/{image}") }
}

/// Images of a project.
#[utoipa::path(get, path = "/projects/{id}/images", tag = "registry", params(("id" = String, Path), PageParams),
    responses((status = 200, body = List<Image>)))]
async fn image_list(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>, page: Page) -> Reply<List<Image>> {
    let project = app.project(&ctx, &id, Permission::RegistryRead).await?;
    let after: Option<String> = page.after("image")?;
    let rows = store::registry::image_list(app.db(), project.id(), after.as_deref(), page.fetch()).await?;
    let path = project.row.path;
    Ok(page.finish("image", rows, |r| r.name.clone(), |r| Image { name: full(&path, &r.name), tags: r.tags, updated_at: r.updated_at }))
}

/// Tags of an image, by name.
#[utoipa::path(get, path = "/projects/{id}/images/tags", tag = "registry", params(("id" = String, Path), TagQuery, PageParams),
    responses((status = 200, body = List<ImageTag>)))]
async fn image_tag_list(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(id): Path<String>,
    Query(query): Query<TagQuery>,
    page: Page,
) -> Reply<List<ImageTag>> {
    let project = app.project(&ctx, &id, Permission::RegistryRead).await?;
    let path = project.row.path.clone();
    let image = image_of(&path, query.name.as_deref().unwrap_or(&path)).to_owned();
    let after: Option<String> = page.after("image-tag")?;
    let rows = store::registry::tag_list(app.db(), project.id(), &image, after.as_deref().unwrap_or(""), page.fetch()).await?;
    Ok(page.finish(
        "image-tag",
        rows,
        |r| r.tag.clone(),
        |r| ImageTag {
            name: full(&path, &r.image),
            tag: r.tag,
            digest: r.digest,
            size: r.size,
            media_type: r.media_type,
            pushed_at: r.pushed_at,
        },
    ))
}

/// The image's name within the project: a repository name without the project's path, or that name itself.
pub(crate) fn image_of<'a>(path: &str, name: &'a str) -> &'a str {
    match name.strip_prefix(path) {
        Some("") => "",
        Some(rest) if rest.starts_with('/') => &rest[1..],
        _ => name,
    }
}

/// Gives up uploads that nobody goes on with.
///
/// # Errors
/// The storage's.
pub async fn sweep(app: App) -> Result<()> {
    let swept = app.part::<Blobs>()?.sweep(ABANDONED).await?;
    if swept.count > 0 {
        tracing::info!(count = swept.count, bytes = swept.bytes, "abandoned uploads were removed");
    }
    Ok(())
}
