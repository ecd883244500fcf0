//! Answers 304 where the client has the current version, and sets the security headers of every answer.

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};

/// Would `If-None-Match` accept this tag? Weak comparison, as RFC 9110 asks for reads.
fn matches(sent: &str, tag: &str) -> bool {
    let bare = |t: &str| t.trim().trim_start_matches("W/").to_owned();
    sent.trim() == "*" || sent.split(',').any(|t| bare(t) == bare(tag))
}

/// The layer.
pub async fn layer(request: Request, next: Next) -> Response {
    let wanted = (request.method() == Method::GET || request.method() == Method::HEAD)
        .then(|| request.headers().get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok()).map(str::to_owned))
        .flatten();
    let mut response = next.run(request).await;
    if let (Some(sent), StatusCode::OK, Some(tag)) =
        (wanted, response.status(), response.headers().get(header::ETAG).and_then(|v| v.to_str().ok()))
        && matches(&sent, tag)
    {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response.headers_mut().remove(header::CONTENT_LENGTH);
        response.headers_mut().remove(header::CONTENT_TYPE);
        *response.body_mut() = Body::empty();
    }
    let headers = response.headers_mut();
    let mut add = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    add(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    add(header::REFERRER_POLICY, "same-origin");
    add(header::X_FRAME_OPTIONS, "DENY");
    add(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'");
    add(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    // answers depend on who asks; what may be shared says so itself
    add(header::CACHE_CONTROL, "private, no-cache");
    if headers.contains_key(header::ETAG) {
        headers.append(header::VARY, HeaderValue::from_static("Authorization, Cookie, Accept"));
    }
    response
}

#[cfg(test)]
mod tests {
    #[test]
    fn tags() {
        assert!(super::matches("\"1\", \"2\"", "\"2\""));
        assert!(super::matches("W/\"2\"", "\"2\""));
        assert!(super::matches("*", "\"2\""));
        assert!(!super::matches("\"22\"", "\"2\""));
    }
}
