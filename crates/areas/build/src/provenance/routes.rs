//! Routes of provenance.

use axum::extract::State;
use kernel::{Permission, Timestamp};
use serde::Serialize;
use serde_json::Value;
use store::provenance::provenance_list;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web_kit::{App, Ctx, Json, List, Page, PageParams, Path, ProblemBody, Reply};

use crate::identity::keys::{self, Purpose};
use crate::runs::run_for;

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(provenance_page)).routes(routes!(provenance_keys))
}

/// What is stated about an artifact.
#[derive(Debug, Serialize, ToSchema)]
struct Provenance {
    /// Name of the artifact.
    name: String,
    /// `sha256:…` of the artifact.
    digest: String,
    /// The signed envelope (DSSE) around the in-toto statement.
    #[schema(value_type = std::collections::HashMap<String, Value>)]
    envelope: Value,
    /// When it was stated.
    #[schema(value_type = String)]
    created_at: Timestamp,
}

#[utoipa::path(get, path = "/runs/{run}/provenance", operation_id = "provenance_list", tag = "pipelines",
    params(("run" = String, Path), PageParams),
    responses((status = 200, body = List<Provenance>), (status = "4XX", body = ProblemBody)))]
/// The signed statements about what a run has made, by name.
async fn provenance_page(State(app): State<App>, Ctx(ctx): Ctx, Path(run): Path<String>, page: Page) -> Reply<List<Provenance>> {
    let (row, _) = run_for(&app, &ctx, &run, Permission::PipelineRead).await?;
    let after = page.after::<String>("provenance")?.unwrap_or_default();
    let rows = provenance_list(app.db(), row.id, &after, page.fetch()).await?;
    Ok(page.finish(
        "provenance",
        rows,
        |p| p.name.clone(),
        |p| Provenance { name: p.name, digest: p.digest, envelope: p.envelope, created_at: p.created_at },
    ))
}

/// Public keys (RFC 7517).
#[derive(Debug, Serialize, ToSchema)]
struct PublicKeys {
    /// Each a JSON web key.
    #[schema(value_type = Vec<std::collections::HashMap<String, String>>)]
    keys: Vec<Value>,
}

#[utoipa::path(get, path = "/provenance/keys", tag = "pipelines", responses((status = 200, body = PublicKeys)))]
/// The public keys that statements are checked with.
async fn provenance_keys(State(app): State<App>) -> Reply<Json<PublicKeys>> {
    let keys = keys::published(&app, Purpose::Provenance, Timestamp::now()).await?;
    Ok(Json(PublicKeys { keys: keys.iter().map(keys::jwk).collect() }))
}
