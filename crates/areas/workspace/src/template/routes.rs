//! `/templates`.

use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web_kit::{App, Ctx, Json, List, Path, ProblemBody, Reply};

use super::model::TemplateView;

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(template_list)).routes(routes!(template_get))
}

/// The built-in templates, with what this machine has of their tools.
#[utoipa::path(get, path = "/templates", tag = "projects", responses((status = 200, body = List<TemplateView>)))]
async fn template_list(State(app): State<App>) -> Reply<List<TemplateView>> {
    let mut items = Vec::new();
    for name in super::built_in() {
        let manifest = super::built_in_manifest(&name)?;
        let tools = super::tools_find(&app, &manifest).await?;
        items.push(TemplateView::new(manifest, tools));
    }
    Ok(List::whole(items))
}

/// A template: a built-in by name, or a repository of the instance by its encoded path.
#[utoipa::path(get, path = "/templates/{name}", tag = "projects", params(("name" = String, Path)),
    responses((status = 200, body = TemplateView), (status = 404, body = ProblemBody)))]
async fn template_get(State(app): State<App>, Ctx(ctx): Ctx, Path(name): Path<String>) -> Reply<Json<TemplateView>> {
    let template = super::template_load(&app, &ctx, &name, None).await?;
    let tools = super::tools_find(&app, &template.manifest).await?;
    Ok(Json(TemplateView::new(template.manifest, tools)))
}
