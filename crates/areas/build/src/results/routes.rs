//! The wire of the results service: Twirp calls, block blobs at signed addresses as Azure's clients write them, and the
//! older REST service of caches. Clients of others speak these, so they are not in the public description.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use kernel::{Code, Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use store::upload::{UploadRow, upload_by_number};
use utoipa_axum::router::OpenApiRouter;
use web_kit::extract::read_body;
use web_kit::{App, Body, Ctx, Json, Path, Problem, Query, Reply};

use super::{service, token, uploads};
use crate::artifacts::routes::attachment;
use crate::{artifacts, caches};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    use axum::routing::{get, post, put};
    OpenApiRouter::from(
        axum::Router::new()
            .route("/twirp/{service}/{method}", post(twirp))
            .route("/results/uploads/content", put(block_put))
            .route("/results/downloads/content", get(blob_get))
            .route("/_apis/artifactcache/cache", get(cache_find))
            .route("/_apis/artifactcache/caches", get(cache_list).post(cache_reserve))
            .route("/_apis/artifactcache/caches/{number}", post(cache_commit).patch(cache_chunk)),
    )
}

/// An error in Twirp's words.
fn twirp_error(error: Error) -> Response {
    let (word, status) = match error.code {
        Code::NotFound | Code::Gone => ("not_found", StatusCode::NOT_FOUND),
        Code::AlreadyExists | Code::Conflict => ("already_exists", StatusCode::CONFLICT),
        Code::Unauthenticated | Code::BadCredentials => ("unauthenticated", StatusCode::UNAUTHORIZED),
        Code::Forbidden => ("permission_denied", StatusCode::FORBIDDEN),
        Code::StaleEpoch => ("failed_precondition", StatusCode::PRECONDITION_FAILED),
        Code::Unavailable => ("unavailable", StatusCode::SERVICE_UNAVAILABLE),
        Code::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR),
        _ => ("invalid_argument", StatusCode::BAD_REQUEST),
    };
    let fields: Vec<String> = error.fields.iter().map(|f| format!("{}: {}", f.field, f.message)).collect();
    let said = if fields.is_empty() { error.detail.clone() } else { fields.join("; ") };
    // the problem's own rendering writes the log
    let _ = Problem(error).into_response();
    (status, axum::Json(json!({"code": word, "msg": said}))).into_response()
}

async fn twirp(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path((name, method)): Path<(String, String)>,
    Json(request): Json<Value>,
) -> Response {
    let answer = async {
        let job = token::job_of(&app, &ctx).await?;
        service::call(&app, &job, &name, &method, &request).await
    };
    match answer.await {
        Ok(answer) => axum::Json(answer).into_response(),
        Err(error) => twirp_error(error),
    }
}

/// A signed address. Azure's own words for what is done with it.
#[derive(Deserialize)]
struct Signed {
    sig: String,
    #[serde(default)]
    comp: Option<String>,
    #[serde(default)]
    blockid: Option<String>,
}

/// A block, the list of blocks, or all at once.
async fn block_put(State(app): State<App>, Query(q): Query<Signed>, request: Request) -> Reply<Response> {
    let upload = uploads::upload_open(&app, token::writable(&app, &q.sig)?).await?;
    match (q.comp.as_deref(), q.blockid) {
        (Some("block"), Some(block)) => uploads::upload_block(&app, &upload, &block, request.into_body()).await?,
        (Some("blocklist"), _) => {
            let names = uploads::block_list(&read_body(request, uploads::MAX_LIST).await?)?;
            uploads::upload_commit(&app, &upload, &names).await?;
        }
        (None, _) if request.headers().get("x-ms-blob-type").is_none_or(|t| t == "BlockBlob") => {
            uploads::upload_whole(&app, &upload, request.into_body()).await?;
        }
        _ => return Err(Error::new(Code::InvalidRequest, "a block, a list of blocks or a whole block blob is put here").into()),
    }
    let mut response = StatusCode::CREATED.into_response();
    let headers = response.headers_mut();
    headers.insert("x-ms-request-server-encrypted", HeaderValue::from_static("false"));
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", upload.number)) {
        headers.insert(header::ETAG, tag);
    }
    Ok(response)
}

async fn blob_get(State(app): State<App>, Query(q): Query<Signed>) -> Reply<Response> {
    let found = token::readable(&app, &q.sig)?;
    let (size, body) = artifacts::open_sized(&app, found.project, &found.digest).await?;
    Ok(attachment(&found.name, &found.content_type, Some(size), body))
}

/// `GET _apis/artifactcache/cache`.
#[derive(Deserialize)]
struct Wanted {
    keys: String,
    version: String,
}

async fn cache_find(State(app): State<App>, Ctx(ctx): Ctx, Query(q): Query<Wanted>) -> Reply<Response> {
    let job = token::job_of(&app, &ctx).await?;
    let mut keys = q.keys.split(',').map(str::trim).filter(|k| !k.is_empty());
    let key = keys.next().ok_or_else(|| Error::field("keys", "required", "at least one key"))?;
    let restore: Vec<&str> = keys.collect();
    let Some(found) = caches::cache_find(&app, &job, key, &restore, &q.version).await? else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let address = token::read_address(&app, job.project, &found.digest, "cache".into(), "application/octet-stream")?;
    let answer = json!({
        "cacheKey": found.key, "cacheVersion": found.version, "scope": found.scope, "creationTime": found.created_at,
        "archiveLocation": address,
    });
    Ok(axum::Json(answer).into_response())
}

/// `GET _apis/artifactcache/caches`.
#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    key: String,
}

async fn cache_list(State(app): State<App>, Ctx(ctx): Ctx, Query(q): Query<Listed>) -> Reply<Response> {
    let job = token::job_of(&app, &ctx).await?;
    let entries = caches::cache_entries(&app, &job, &q.key).await?;
    let items: Vec<Value> = entries
        .iter()
        .map(|c| json!({"cacheKey": c.key, "cacheVersion": c.version, "scope": c.scope, "cacheSize": c.size, "creationTime": c.created_at}))
        .collect();
    Ok(axum::Json(json!({"totalCount": items.len(), "artifactCaches": items})).into_response())
}

/// `POST _apis/artifactcache/caches`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reserve {
    key: String,
    version: String,
    #[serde(default)]
    cache_size: Option<u64>,
}

async fn cache_reserve(State(app): State<App>, Ctx(ctx): Ctx, Json(new): Json<Reserve>) -> Reply<Response> {
    let job = token::job_of(&app, &ctx).await?;
    if new.cache_size.is_some_and(|size| size > app.config().blob_limit.min(app.config().cache_limit)) {
        return Err(Error::new(Code::TooLarge, "the cache is larger than all caches of a project may be").into());
    }
    let upload = service::cache_reserve(&app, &job, new.key, new.version).await?;
    Ok((StatusCode::CREATED, axum::Json(json!({"cacheId": upload.number}))).into_response())
}

async fn reserved(app: &App, ctx: &kernel::Context, number: &str) -> Result<(store::job::JobRow, UploadRow)> {
    let missing = || Error::not_found("cache");
    let job = token::job_of(app, ctx).await?;
    let upload = upload_by_number(app.db(), job.id, number.parse().map_err(|_| missing())?).await?;
    let upload = upload.filter(|u| u.kind == "cache" && u.epoch == job.epoch).ok_or_else(missing)?;
    Ok((job, upload))
}

/// Where the bytes of a chunk begin: `bytes 0-99/*`.
fn offset(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(header::CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?;
    range.split_once('-')?.0.trim().parse().ok()
}

async fn cache_chunk(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(number): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Reply<StatusCode> {
    let (_, upload) = reserved(&app, &ctx, &number).await?;
    let at = offset(&headers).ok_or_else(|| Error::new(Code::InvalidRequest, "Content-Range: bytes <first>-<last>/* is expected"))?;
    uploads::upload_block(&app, &upload, &uploads::offset_name(at), body).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST _apis/artifactcache/caches/{number}`.
#[derive(Deserialize)]
struct Commit {
    size: u64,
}

async fn cache_commit(State(app): State<App>, Ctx(ctx): Ctx, Path(number): Path<String>, Json(end): Json<Commit>) -> Reply<StatusCode> {
    let (job, upload) = reserved(&app, &ctx, &number).await?;
    uploads::upload_commit_offsets(&app, &upload, end.size).await?;
    let (_, upload) = reserved(&app, &ctx, &number).await?;
    let stored = uploads::upload_result(&upload, Some(end.size), None)?;
    if !caches::cache_record(&app, &job, &upload.name, &upload.version, &stored, Some(upload.id)).await? {
        return Err(Error::new(Code::AlreadyExists, "another job has written the entry meanwhile").into());
    }
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_chunk_begins() {
        let of = |text: &'static str| offset(&HeaderMap::from_iter([(header::CONTENT_RANGE, HeaderValue::from_static(text))]));
        assert_eq!(of("bytes 33554432-40000000/*"), Some(33_554_432));
        assert_eq!(of("bytes 0-9/10"), Some(0));
        assert_eq!((of("items 0-9/10"), of("bytes */10"), offset(&HeaderMap::new())), (None, None, None));
    }
}
