//! Lists: tags of a repository, referrers of a manifest, repositories the caller may read.

use axum::body::Body;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::Response;
use kernel::Permission;
use oci::Digest;
use oci::OCI_INDEX;
use oci::Page;
use oci::ReferrerIndex;
use oci::Repository;
use serde_json::json;
use web_kit::App;

use super::Target;
use super::auth::Caller;
use super::build;
use super::parameter;
use super::reply::Failure;
use super::reply::Reply;

fn page(parts: &Parts) -> Result<Page, Failure> {
    Ok(Page::parse(parameter(parts, "n").as_deref(), parameter(parts, "last").as_deref())?)
}

/// Cuts a list that was asked for with one entry more than the page holds; the entry the next page starts after.
fn cut<T>(items: &mut Vec<T>, limit: u32, key: impl Fn(&T) -> String) -> Option<String> {
    let limit = limit as usize;
    if items.len() <= limit {
        return None;
    }
    items.truncate(limit);
    items.last().map(key)
}

fn json(body: &serde_json::Value, link: Option<String>) -> Reply {
    let mut response = Response::builder().header(header::CONTENT_TYPE, "application/json");
    if let Some(link) = link {
        response = response.header(header::LINK, link);
    }
    build(response, Body::from(body.to_string()))
}

/// `tags/list`.
pub(super) async fn tags(app: &App, target: &Target, parts: &Parts) -> Reply {
    let page = page(parts)?;
    let last = page.last.clone().unwrap_or_default();
    let mut tags = store::registry::tag_names(app.db(), target.project.id(), &target.image, &last, i64::from(page.limit) + 1).await?;
    if tags.is_empty() && last.is_empty() && !store::registry::image_exists(app.db(), target.project.id(), &target.image).await? {
        return Err(oci::Error::new(oci::ErrorCode::NameUnknown, "nothing was pushed to this repository").into());
    }
    let next = cut(&mut tags, page.limit, Clone::clone);
    let link = next.map(|last| page.link(&format!("/v2/{}/tags/list", target.name), "", &last));
    json(&json!({ "name": target.name.as_str(), "tags": tags }), link)
}

/// The referrers API: an index, empty where nothing refers.
pub(super) async fn referrers(app: &App, target: &Target, digest: Digest, parts: &Parts) -> Reply {
    let page = page(parts)?;
    let kind = parameter(parts, "artifactType").filter(|k| !k.is_empty());
    let last = page.last.clone().unwrap_or_default();
    let limit = i64::from(page.limit) + 1;
    let mut found =
        store::registry::referrer_list(app.db(), target.project.id(), &target.image, &digest.to_string(), kind.as_deref(), &last, limit)
            .await?;
    let next = cut(&mut found, page.limit, |(digest, _)| digest.clone());
    let mut response = Response::builder().header(header::CONTENT_TYPE, OCI_INDEX);
    if let Some(last) = next {
        let query = kind
            .as_ref()
            .map(|k| format!("artifactType={}&", percent_encoding::utf8_percent_encode(k, percent_encoding::NON_ALPHANUMERIC)));
        let path = format!("/v2/{}/referrers/{digest}", target.name);
        response = response.header(header::LINK, page.link(&path, &query.unwrap_or_default(), &last));
    }
    if kind.is_some() {
        response = response.header("oci-filters-applied", "artifactType");
    }
    let index = ReferrerIndex::new(found.into_iter().map(|(_, descriptor)| descriptor).collect());
    build(response, Body::from(serde_json::to_vec(&index).map_err(kernel::Error::internal)?))
}

/// Projects looked at for one page of the catalog: asking for a page never costs more than this.
const CATALOG_SCAN: i64 = 1000;

/// The catalog: only repositories the caller may read.
pub(super) async fn catalog(app: &App, caller: &Caller, parts: &Parts) -> Reply {
    if caller.is_anonymous() {
        return Err(Failure::challenge("sign in first", None, false));
    }
    let page = page(parts)?;
    let last = page.last.clone().unwrap_or_default();
    let limit = page.limit as usize;
    let mut names: Vec<String> = Vec::new();
    // the page may begin within a project: its path is a prefix of the last name
    let mut after = match Repository::parse(&last) {
        Ok(name) => project_before(app, &name).await?,
        Err(_) => String::new(),
    };
    'scan: loop {
        let projects = store::registry::image_projects(app.db(), &after, 100).await?;
        let Some((_, end)) = projects.last() else { break };
        after.clone_from(end);
        for (id, path) in &projects {
            if app.project_by_id(&caller.ctx, *id, Permission::RegistryRead).await.is_err() {
                continue;
            }
            for image in store::registry::image_list(app.db(), *id, None, CATALOG_SCAN).await? {
                let name = if image.name.is_empty() { path.clone() } else { format!("{path}/{}", image.name) };
                if name > last {
                    names.push(name);
                }
            }
            if names.len() > limit {
                break 'scan;
            }
        }
    }
    let next = cut(&mut names, page.limit, Clone::clone);
    let link = next.filter(|_| limit > 0).map(|last| page.link("/v2/_catalog", "", &last));
    json(&json!({ "repositories": names }), link)
}

/// A text just below the path of the project that a name belongs to, or the name itself.
async fn project_before(app: &App, name: &Repository) -> Result<String, Failure> {
    for (path, _) in name.splits() {
        if store::project::project_by_path(app.db(), path).await?.is_some() {
            let mut before = path.to_owned();
            before.pop();
            return Ok(before);
        }
    }
    Ok(name.as_str().to_owned())
}
