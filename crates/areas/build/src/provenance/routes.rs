//! Routes of provenance.

use axum::extract::State;
use kernel::{Permission, RunId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::provenance::{ProvenanceRow, provenance_list, provenance_of};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web_kit::{App, Ctx, Json, List, Page, PageParams, Path, ProblemBody, Query, Reply};

use crate::identity::keys::{self, Purpose};
use crate::runs::run_for;

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(provenance_page)).routes(routes!(provenance_of_digest)).routes(routes!(provenance_keys))
}

/// What is stated about an artifact or an image.
#[derive(Debug, Serialize, ToSchema)]
struct Provenance {
    /// The run that made it.
    #[schema(value_type = String)]
    run: RunId,
    /// Name of the artifact, or the image's repository and digest.
    name: String,
    /// `sha256:…` of the artifact, or of the image's manifest.
    digest: String,
    /// The signed envelope (DSSE) around the in-toto statement.
    #[schema(value_type = std::collections::HashMap<String, Value>)]
    envelope: Value,
    /// When it was stated.
    #[schema(value_type = String)]
    created_at: Timestamp,
}

impl From<ProvenanceRow> for Provenance {
    fn from(p: ProvenanceRow) -> Self {
        Self { run: p.run, name: p.name, digest: p.digest, envelope: p.envelope, created_at: p.created_at }
    }
}

#[utoipa::path(get, path = "/runs/{run}/provenance", operation_id = "provenance_list", tag = "pipelines",
    params(("run" = String, Path), PageParams),
    responses((status = 200, body = List<Provenance>), (status = "4XX", body = ProblemBody)))]
/// The signed statements about what a run has made, by name.
async fn provenance_page(State(app): State<App>, Ctx(ctx): Ctx, Path(run): Path<String>, page: Page) -> Reply<List<Provenance>> {
    let (row, _) = run_for(&app, &ctx, &run, Permission::PipelineRead).await?;
    let after = page.after::<String>("provenance")?.unwrap_or_default();
    let rows = provenance_list(app.db(), row.id, &after, page.fetch()).await?;
    Ok(page.finish("provenance", rows, |p| p.name.clone(), Provenance::from))
}

/// What the statements are to be about.
#[derive(Debug, Deserialize, IntoParams)]
struct DigestQuery {
    /// `sha256:…` of an artifact or of an image's manifest.
    digest: String,
}

/// Statements.
#[derive(Debug, Serialize, ToSchema)]
struct Statements {
    /// The newest first, at most 100.
    items: Vec<Provenance>,
}

#[utoipa::path(get, path = "/projects/{id}/provenance", operation_id = "provenance_of_digest", tag = "pipelines",
    params(("id" = String, Path), DigestQuery),
    responses((status = 200, body = Statements), (status = "4XX", body = ProblemBody)))]
/// The signed statements about what has a digest: an artifact or an image, whichever runs have made it.
async fn provenance_of_digest(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(id): Path<String>,
    Query(query): Query<DigestQuery>,
) -> Reply<Json<Statements>> {
    let project = app.project(&ctx, &id, Permission::PipelineRead).await?;
    let rows = provenance_of(app.db(), project.row.id, &query.digest, 100).await?;
    Ok(Json(Statements { items: rows.into_iter().map(Provenance::from).collect() }))
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
