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

/// Encodings that the build may have made beside a file, best first.
const ENCODINGS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

/// Does an `Accept-Encoding` take this one?
fn accepts(header: &str, encoding: &str) -> bool {
    header.split(',').any(|part| {
        let mut words = part.split(';').map(str::trim);
        words.next().is_some_and(|name| name.eq_ignore_ascii_case(encoding))
            && !words.any(|q| matches!(q, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

fn asset(path: &str, accept_encoding: &str) -> Option<Response> {
    let packed = ENCODINGS
        .iter()
        .filter(|(encoding, _)| accepts(accept_encoding, encoding))
        .find_map(|(encoding, suffix)| Some((Client::get(&format!("{path}{suffix}"))?, Some(*encoding))));
    let (file, encoding) = match packed {
        Some(found) => found,
        None => (Client::get(path)?, None),
    };
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
        (header::VARY, "accept-encoding"),
    ] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    if let Some(encoding) = encoding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    Some(response)
}

fn wants_page(request: &Request) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("");
    accept.contains("text/html")
}

/// Files of the client; its start page for every address that a person may open; 404 for the rest.
#[expect(clippy::unused_async, reason = "the router takes handlers that are async")]
pub async fn fallback(request: Request) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        let path = request.uri().path().trim_start_matches('/');
        let encodings = request.headers().get(header::ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or("");
        if !path.is_empty()
            && path != "index.html"
            && let Some(response) = asset(path, encodings)
        {
            return response;
        }
        if !path.starts_with("assets/") && wants_page(&request) {
            return asset("index.html", encodings)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoding_is_taken_when_it_is_named_and_not_refused() {
        for (header, br, gzip) in [
            ("gzip, deflate, br", true, true),
            ("gzip;q=0.8, BR;q=0.9", true, true),
            ("br;q=0, gzip", false, true),
            ("", false, false),
            ("brotli", false, false),
        ] {
            assert_eq!((accepts(header, "br"), accepts(header, "gzip")), (br, gzip), "{header}");
        }
    }
}
