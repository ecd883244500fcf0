//! The inventory over HTTP.

use axum::extract::State;
use kernel::Timestamp;
use serde::{Deserialize, Serialize};
use store::dependency::ManifestRow;
use store::file::FileRow;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web_kit::problem::ProblemBody;
use web_kit::{App, Ctx, List, Page, PageParams, Path, Query, Reply};

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(inventory_list)).routes(routes!(dependency_list)).routes(routes!(manifest_list))
}

/// A file of the default branch.
#[derive(Debug, Serialize, ToSchema)]
pub struct InventoryFile {
    /// Where.
    pub path: String,
    /// Bytes.
    pub size: i64,
    /// Language, if known.
    pub language: Option<String>,
    /// Object id of the content.
    pub oid: String,
    /// The commit that last changed it, where it was found.
    pub last_commit: Option<String>,
    /// When that was.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

impl From<FileRow> for InventoryFile {
    fn from(f: FileRow) -> Self {
        Self { path: f.path, size: f.size, language: f.language, oid: f.oid, last_commit: f.last_commit, updated_at: f.updated_at }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct InventoryQuery {
    /// Only files whose path starts so.
    #[serde(default)]
    path_prefix: String,
}

/// Lists the files of the default branch as of its last analysed commit.
///
/// **Permissions**: `repository:read`.
#[utoipa::path(get, path = "/projects/{id}/inventory", tag = "code",
    params(("id" = String, Path, description = "prj_… or the encoded path"), InventoryQuery, PageParams),
    responses((status = 200, body = List<InventoryFile>), (status = "4XX", body = ProblemBody)))]
async fn inventory_list(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(id): Path<String>,
    Query(query): Query<InventoryQuery>,
    page: Page,
) -> Reply<List<InventoryFile>> {
    let after: String = page.after("inventory")?.unwrap_or_default();
    let rows = super::inventory_list(&app, &ctx, &id, &query.path_prefix, &after, page.fetch()).await?;
    Ok(page.finish("inventory", rows, |f| f.path.clone(), InventoryFile::from))
}

/// A package that the project depends on.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProjectDependency {
    /// Kind of package, as in package URLs: `cargo`, `npm`, `pypi`, `golang`, `maven`, `gem`, `composer`.
    pub ecosystem: &'static str,
    /// Its name.
    pub name: String,
    /// Exact when `locked`, else the requirement as written.
    pub version: String,
    /// Is the version the one a lock file chose?
    pub locked: bool,
    /// Does the project itself ask for it?
    pub direct: bool,
    /// `runtime`, `optional`, `peer`, `build` or `development`; null when the files do not tell.
    pub scope: Option<&'static str>,
    /// The file that names it.
    pub path: String,
}

/// Lists the packages that manifests and lock files name, by kind and name.
///
/// **Permissions**: `repository:read`.
#[utoipa::path(get, path = "/projects/{id}/dependencies", tag = "code",
    params(("id" = String, Path, description = "prj_… or the encoded path"), PageParams),
    responses((status = 200, body = List<ProjectDependency>), (status = "4XX", body = ProblemBody)))]
async fn dependency_list(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>, page: Page) -> Reply<List<ProjectDependency>> {
    type Key = (String, String, String, String);
    let key = |(path, d): &(String, manifests::Dependency)| -> Key {
        (d.ecosystem.as_str().to_owned(), d.name.clone(), d.version.clone(), path.clone())
    };
    let after: Option<Key> = page.after("dependencies")?;
    let mut all = super::dependency_list(&app, &ctx, &id).await?;
    all.sort_by_cached_key(key);
    let fetch = usize::try_from(page.fetch()).unwrap_or(0);
    let rows: Vec<_> = all.into_iter().filter(|row| after.as_ref().is_none_or(|a| key(row) > *a)).take(fetch).collect();
    Ok(page.finish("dependencies", rows, key, |(path, d)| ProjectDependency {
        ecosystem: d.ecosystem.as_str(),
        name: d.name,
        version: d.version,
        locked: d.locked,
        direct: d.direct.unwrap_or(false),
        scope: d.scope.map(manifests::Scope::as_str),
        path,
    }))
}

/// A manifest or lock file, and whether it could be read.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProjectManifest {
    /// Where.
    pub path: String,
    /// Kind of package it names.
    pub ecosystem: String,
    /// How many packages it names.
    pub packages: i64,
    /// Why it could not be read.
    pub error: Option<String>,
}

impl From<ManifestRow> for ProjectManifest {
    fn from(m: ManifestRow) -> Self {
        Self { path: m.path, ecosystem: m.ecosystem, packages: m.packages, error: m.error }
    }
}

/// Lists the manifests and lock files that the dependencies come from, with those that could not be read.
///
/// **Permissions**: `repository:read`.
#[utoipa::path(get, path = "/projects/{id}/manifests", tag = "code",
    params(("id" = String, Path, description = "prj_… or the encoded path"), PageParams),
    responses((status = 200, body = List<ProjectManifest>), (status = "4XX", body = ProblemBody)))]
async fn manifest_list(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>, page: Page) -> Reply<List<ProjectManifest>> {
    let after: String = page.after("manifests")?.unwrap_or_default();
    let rows = super::manifests_list(&app, &ctx, &id, &after, page.fetch()).await?;
    Ok(page.finish("manifests", rows, |m| m.path.clone(), ProjectManifest::from))
}
