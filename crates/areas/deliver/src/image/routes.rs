//! `/projects/{id}/images`.

use axum::extract::State;
use kernel::Permission;
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

use super::Image;
use super::ImageTag;
use super::TagQuery;
use super::full;
use super::image_of;

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(image_list)).routes(routes!(image_tag_list))
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
