//! What handlers take: typed, bounded, and refused with a problem document when it is not valid.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use kernel::{Code, Context, Error};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use crate::app::App;
use crate::problem::Problem;

/// Who asks; set by the authentication middleware on every request.
#[derive(Clone, Debug)]
pub struct Ctx(pub Context);

impl<S: Sync> FromRequestParts<S> for Ctx {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Ctx>().cloned().ok_or_else(|| Problem(Error::internal("the route is outside the authentication layer")))
    }
}

/// A JSON body in, or a JSON answer out.
#[derive(Debug)]
pub struct Json<T>(pub T);

/// How long a client may take for a body that is read as a whole.
const BODY_TIME: std::time::Duration = std::time::Duration::from_secs(30);

/// Deepest nesting of a JSON body. serde_json itself stops at 128; ours is narrower.
const MAX_DEPTH: usize = 64;

fn depth(bytes: &[u8]) -> usize {
    let (mut depth, mut most, mut text, mut escaped) = (0usize, 0usize, false, false);
    for &b in bytes {
        match b {
            _ if escaped => escaped = false,
            b'\\' if text => escaped = true,
            b'"' => text = !text,
            b'{' | b'[' if !text => {
                depth += 1;
                most = most.max(depth);
            }
            b'}' | b']' if !text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    most
}

/// Reads a JSON text of a request.
///
/// # Errors
/// `invalid_request` with the place of the mistake, `validation_failed` for a wrong field.
pub fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    if depth(bytes) > MAX_DEPTH {
        return Err(Error::new(Code::InvalidRequest, format!("the JSON is nested deeper than {MAX_DEPTH}")));
    }
    serde_json::from_slice(bytes).map_err(|e| match e.classify() {
        serde_json::error::Category::Data => Error::new(Code::ValidationFailed, e.to_string()),
        _ => Error::new(Code::InvalidRequest, format!("the body is not valid JSON: {e}")),
    })
}

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = Problem;
    async fn from_request(req: Request, app: &App) -> Result<Self, Problem> {
        let kind = req.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
        let essence = kind.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        // anything else could be sent by a form of another site without a preflight
        if essence != "application/json" && essence != "application/merge-patch+json" {
            return Err(Error::new(Code::UnsupportedMediaType, "Content-Type: application/json is expected").into());
        }
        let bytes = read_body(req, app.config().json_limit).await?;
        Ok(Json(read_json(&bytes)?))
    }
}

/// What is read and thrown away of a body that is too large: a client that still sends when the connection closes never sees
/// the answer that says why.
const THROWN_AWAY: usize = 16 << 20;

/// Reads a whole body up to `limit` bytes.
///
/// # Errors
/// `too_large`, `request_timeout`, or `invalid_request` when the client breaks off.
pub async fn read_body(req: Request, limit: usize) -> Result<Bytes, Problem> {
    let mut stream = req.into_body().into_data_stream();
    let mut chunks: Vec<Bytes> = Vec::new();
    let mut length = 0_usize;
    let read = async {
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|e| Error::new(Code::InvalidRequest, "the body could not be read").with_source(e))?;
            length = length.saturating_add(chunk.len());
            if length <= limit {
                chunks.push(chunk);
            } else {
                chunks.clear();
                if length > limit.saturating_add(THROWN_AWAY) {
                    break;
                }
            }
        }
        Ok::<_, Error>(())
    };
    tokio::time::timeout(BODY_TIME, read).await.map_err(|_| Error::new(Code::RequestTimeout, "the body did not arrive in time"))??;
    if length > limit {
        return Err(Error::new(Code::TooLarge, format!("the body is larger than {limit} bytes")).into());
    }
    Ok(if chunks.len() == 1 { chunks.remove(0) } else { chunks.concat().into() })
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// Parts of the path.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Path<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        match axum::extract::Path::<T>::from_request_parts(parts, app).await {
            Ok(axum::extract::Path(value)) => Ok(Path(value)),
            // an id that cannot be one names nothing
            Err(_) => Err(Error::not_found("resource").into()),
        }
    }
}

/// The query string; unknown keys are refused where the type says so.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<App> for Query<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        match axum::extract::Query::<T>::from_request_parts(parts, app).await {
            Ok(axum::extract::Query(value)) => Ok(Query(value)),
            Err(e) => Err(Error::new(Code::InvalidRequest, e.body_text()).into()),
        }
    }
}

/// The version an update was made from: `If-Match: "7"`.
#[derive(Clone, Copy, Debug)]
pub struct IfMatch(pub i64);

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let value = parts
            .headers
            .get(header::IF_MATCH)
            .ok_or_else(|| Error::new(Code::PreconditionRequired, "send If-Match with the ETag that you read"))?;
        let version = value.to_str().ok().and_then(|v| v.trim().strip_prefix('"')?.strip_suffix('"')?.split('-').next()?.parse().ok());
        // any other tag cannot be the current one
        version.map(IfMatch).ok_or_else(|| Error::new(Code::PreconditionFailed, "If-Match does not name a version of this resource").into())
    }
}

/// Refuses an update that was not made from the current version.
///
/// # Errors
/// `precondition_failed`.
pub fn changed<T>(row: Option<T>) -> Result<T, Error> {
    row.ok_or_else(|| Error::new(Code::PreconditionFailed, "the resource has changed since you read it"))
}

/// `Prefer: respond-async` (RFC 7240).
#[derive(Clone, Copy, Debug)]
pub struct RespondAsync(pub bool);

impl<S: Sync> FromRequestParts<S> for RespondAsync {
    type Rejection = std::convert::Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let wanted = parts.headers.get_all("prefer").iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
        Ok(RespondAsync(wanted.into_iter().any(|p| p.trim().eq_ignore_ascii_case("respond-async"))))
    }
}

/// JSON with a strong `ETag`: the version of the row, which is what `If-Match` is compared with, and a hash of the body, because
/// an answer also holds what is not in the row, such as the reader's own role.
fn tagged<T: Serialize>(status: StatusCode, body: &T, version: Option<i64>) -> Response {
    let bytes = match serde_json::to_vec(body) {
        Ok(bytes) => bytes,
        Err(error) => return Problem(Error::internal(error)).into_response(),
    };
    let hash = Sha256::digest(&bytes);
    let mut response = (status, [(header::CONTENT_TYPE, "application/json")], bytes).into_response();
    let short: String = hash.iter().take(8).map(|b| format!("{b:02x}")).collect();
    if let Some(tag) = version.and_then(|v| HeaderValue::from_str(&format!("\"{v}-{short}\"")).ok()) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// A JSON answer with the strong `ETag` of its row version.
#[derive(Debug)]
pub struct Versioned<T>(pub T, pub i64);

impl<T: Serialize> IntoResponse for Versioned<T> {
    fn into_response(self) -> Response {
        tagged(StatusCode::OK, &self.0, Some(self.1))
    }
}

/// 201 with `Location`, and the `ETag` where there is a version.
#[derive(Debug)]
pub struct Created<T> {
    /// The address of what was made.
    pub location: String,
    /// What was made.
    pub body: T,
    /// Its version.
    pub version: Option<i64>,
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        let mut response = tagged(StatusCode::CREATED, &self.body, self.version);
        located(&mut response, &self.location);
        response
    }
}

/// 202 with `Location`: the work goes on, look there.
#[derive(Debug)]
pub struct Accepted<T> {
    /// Where to follow it.
    pub location: String,
    /// How it stands.
    pub body: T,
}

impl<T: Serialize> IntoResponse for Accepted<T> {
    fn into_response(self) -> Response {
        let mut response = (StatusCode::ACCEPTED, axum::Json(self.body)).into_response();
        located(&mut response, &self.location);
        response
    }
}

fn located(response: &mut Response, location: &str) {
    if let Ok(value) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, value);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn json_is_bounded_and_located() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(super::read_json::<serde_json::Value>(deep.as_bytes()).unwrap_err().detail.contains("deeper"));
        assert!(super::read_json::<serde_json::Value>(br#"{"a": "[[[[" }"#).is_ok());
        assert!(super::read_json::<serde_json::Value>(b"{\"a\": }").unwrap_err().detail.contains("line 1 column 7"));
    }
}
