//! The web client, embedded, and what answers where no route does.

use std::any::Any;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Method, StatusCode, header};
use kernel::{Code, Error};
use rust_embed::RustEmbed;
use web_kit::Problem;

#[derive(RustEmbed)]
#[folder = "../../web/dist"]
#[allow_missing = true]
struct Client;

/// The client's pages run our own scripts only; styles are set by its components at run time.
const POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

fn asset(path: &str) -> Option<Response> {
    let file = Client::get(path)?;
    let kind = mime_guess::from_path(path).first_or_octet_stream();
    let hashed = path.starts_with("assets/");
    let cache = if hashed { "public, max-age=31536000, immutable" } else { "no-cache" };
    let tag = format!("\"{}\"", hex::encode(&file.metadata.sha256_hash()[..16]));
    let mut response = Response::new(Body::from(file.data));
    let headers = response.headers_mut();
    let text = matches!(kind.type_().as_str(), "text") || kind.subtype() == "javascript";
    let kind = if text { format!("{kind}; charset=utf-8") } else { kind.to_string() };
    for (name, value) in [
        (header::CONTENT_TYPE, kind.as_str()),
        (header::CACHE_CONTROL, cache),
        (header::ETAG, tag.as_str()),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    Some(response)
}

fn wants_page(request: &Request) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("");
    accept.contains("text/html")
}

/// Files of the client; its start page for every address that a person may open; 404 for the rest.
pub async fn fallback(request: Request) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        let path = request.uri().path().trim_start_matches('/');
        if !path.is_empty()
            && path != "index.html"
            && let Some(response) = asset(path)
        {
            return response;
        }
        if !path.starts_with("assets/") && wants_page(&request) {
            return asset("index.html")
                .unwrap_or_else(|| (StatusCode::OK, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], NO_CLIENT).into_response());
        }
    }
    Problem(Error::new(Code::NotFound, "there is nothing at this address")).into_response()
}

const NO_CLIENT: &str = "<!doctype html><title>DevMentor</title><p>This binary was built without the web client. The API is described at <a href=/docs>/docs</a>.";

/// The address exists, the method does not.
pub async fn method_not_allowed() -> Response {
    Problem(Error::new(Code::MethodNotAllowed, "this address does not take this method")).into_response()
}

/// A handler panicked: a defect, answered like one.
#[expect(clippy::needless_pass_by_value, reason = "the layer's signature")]
pub fn panicked(cause: Box<dyn Any + Send + 'static>) -> Response {
    let text = cause.downcast_ref::<String>().cloned().or_else(|| cause.downcast_ref::<&str>().map(|s| (*s).to_owned()));
    Problem(Error::internal(format!("panic: {}", text.unwrap_or_default()))).into_response()
}
