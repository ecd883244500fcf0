//! Finds out who asks. A request that changes something and shows only the cookie must come from our own pages.

use std::net::{IpAddr, SocketAddr};

use crate::doors::{git, registry};
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, header};
use kernel::{Code, Error, RequestId};
use web_kit::auth::{Shown, authenticate};
use web_kit::{App, Ctx, Problem};

/// The client's address: the peer's, or what a trusted proxy says. The last untrusted hop counts.
pub fn client_ip(app: &App, headers: &HeaderMap, peer: Option<IpAddr>) -> Option<IpAddr> {
    let trusted = |ip: &IpAddr| app.config().trusted_proxies.iter().any(|t| t.parse() == Ok(*ip));
    let peer = peer?;
    if !trusted(&peer) {
        return Some(peer);
    }
    let hops: Vec<IpAddr> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .filter_map(|t| t.trim().parse().ok())
        .collect();
    hops.iter().rev().find(|ip| !trusted(ip)).or(hops.first()).copied().or(Some(peer))
}

fn from_our_pages(app: &App, headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get("sec-fetch-site").and_then(|v| v.to_str().ok())
        && !matches!(site, "same-origin" | "none")
    {
        return false;
    }
    match headers.get(header::ORIGIN).and_then(|v| v.to_str().ok()) {
        Some(origin) => {
            let own = app.config().public_url();
            let host = headers.get(header::HOST).and_then(|v| v.to_str().ok()).unwrap_or("");
            origin == own || origin.split_once("://").is_some_and(|(_, h)| !host.is_empty() && h == host)
        }
        None => headers.contains_key("sec-fetch-site"),
    }
}

/// The layer.
pub async fn layer(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().copied().unwrap_or_else(RequestId::new);
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|c| c.0.ip());
    let ip = client_ip(&app, request.headers(), peer);
    if registry::is_ours(request.uri().path()) {
        // the registry's clients understand only its own refusals
        let ctx = registry::identify(&app, &mut request, id, ip).await;
        request.extensions_mut().insert(Ctx(ctx));
        return next.run(request).await;
    }
    if git::is_ours(request.uri().path()) {
        // nor do git's clients read problem documents
        return match git::identify(&app, request.headers(), id, ip).await {
            Ok(ctx) => {
                request.extensions_mut().insert(Ctx(ctx));
                next.run(request).await
            }
            Err(refusal) => refusal,
        };
    }
    let (ctx, shown) = match authenticate(&app, request.headers(), id, ip).await {
        Ok(found) => found,
        Err(error) => return Problem(error).into_response(),
    };
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    // signing in sets the cookie, so another site may not do that for a person either
    let sign_in = request.uri().path() == "/session" && shown != Shown::Header && request.headers().contains_key(header::ORIGIN);
    if changes && (shown == Shown::Cookie || sign_in) && !from_our_pages(&app, request.headers()) {
        return Problem(Error::new(Code::CrossOrigin, "this request must come from the service's own pages")).into_response();
    }
    request.extensions_mut().insert(Ctx(ctx));
    next.run(request).await
}
