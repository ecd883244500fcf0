//! Who asks. Docker exchanges its credentials for a short-lived bearer token of a scope; every other credential of the
//! service is accepted on each request as well, Basic included.
//!
//! A bearer token says who the caller is and how its credential is narrowed; what the caller may do is decided anew on
//! every request.

use std::net::IpAddr;

use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::Method;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::Response;
use kernel::Actor;
use kernel::Code;
use kernel::Context;
use kernel::Grant;
use kernel::Permission;
use kernel::RequestId;
use kernel::Timestamp;
use oci::Action;
use oci::Error;
use oci::ErrorCode;
use oci::Repository;
use oci::Scope;
use serde::Serialize;
use web_kit::App;
use web_kit::Ctx;
use web_kit::auth::authenticate;
use web_kit::auth::by_password;
use web_kit::bearer;
use web_kit::bearer::Bearer;
use web_kit::extract::read_body;

use super::build;
use super::field;
use super::locate;
use super::parameter;
use super::parameters;
use super::reply::Failure;
use super::reply::Reply;

/// Did the door find out who asks by itself, and how it went? Put on the request by [`identify`].
#[derive(Clone, Debug)]
struct Identity {
    /// Of a bearer token; none for the other credentials, which are not scoped.
    scopes: Option<Vec<Scope>>,
    /// Credentials were shown that do not hold.
    refused: Option<Refused>,
}

#[derive(Clone, Copy, Debug)]
enum Refused {
    Credentials,
    Unavailable,
}

/// Is this path the door's? Then it identifies its callers itself, because refusals here have a form of their own.
pub(crate) fn is_ours(path: &str) -> bool {
    path == "/v2" || path.starts_with("/v2/")
}

/// Finds out who asks; never refuses, the door does.
pub(crate) async fn identify(app: &App, request: &mut Request, id: RequestId, ip: Option<IpAddr>) -> Context {
    let (ctx, identity) = match bearer(app, request.headers()) {
        Some(Ok((Bearer { actor, grant, .. }, scopes))) => (
            Context { actor, grant, request: id, now: Timestamp::now(), ip, attempt: None },
            Identity { scopes: Some(scopes), refused: None },
        ),
        Some(Err(refused)) => (anonymous(id, ip), Identity { scopes: None, refused: Some(refused) }),
        // a cookie is for pages only
        None if !request.headers().contains_key(header::AUTHORIZATION) => (anonymous(id, ip), Identity { scopes: None, refused: None }),
        None => match authenticate(app, request.headers(), id, ip).await {
            Ok((ctx, _)) => (ctx, Identity { scopes: None, refused: None }),
            Err(e) => {
                let refused = if e.is(Code::Unavailable) { Refused::Unavailable } else { Refused::Credentials };
                (anonymous(id, ip), Identity { scopes: None, refused: Some(refused) })
            }
        },
    };
    request.extensions_mut().insert(identity);
    ctx
}

fn anonymous(request: RequestId, ip: Option<IpAddr>) -> Context {
    Context { actor: Actor::Anonymous, grant: Grant::all(), request, now: Timestamp::now(), ip, attempt: None }
}

/// Reads the registry's own bearer token, if that is what the header holds.
fn bearer(app: &App, headers: &HeaderMap) -> Option<Result<(Bearer, Vec<Scope>), Refused>> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || !token.starts_with(bearer::PREFIX) {
        return None;
    }
    let read = || {
        let bearer = bearer::open(app.key(), token)?;
        let scopes = Scope::parse_all(bearer.scopes.iter().map(String::as_str)).ok()?;
        Some((bearer, scopes))
    };
    Some(read().ok_or(Refused::Credentials))
}

/// Who asks, as the door sees it.
pub(super) struct Caller {
    pub(super) ctx: Context,
    identity: Identity,
}

impl Caller {
    pub(super) fn of(parts: &Parts) -> Result<Self, Failure> {
        let outside = || kernel::Error::internal("the registry is outside the identity layer");
        let ctx = parts.extensions.get::<Ctx>().ok_or_else(outside)?.0.clone();
        let identity = parts.extensions.get::<Identity>().ok_or_else(outside)?.clone();
        Ok(Self { ctx, identity })
    }

    pub(super) fn is_anonymous(&self) -> bool {
        self.ctx.actor == Actor::Anonymous
    }

    /// Refuses credentials that were shown and do not hold.
    pub(super) fn check(&self) -> Result<(), Failure> {
        match self.identity.refused {
            None => Ok(()),
            Some(Refused::Credentials) => Err(Failure::challenge("the credentials are not valid or have expired", None, false)),
            Some(Refused::Unavailable) => Err(Error::new(ErrorCode::Unavailable, "signing in is not possible at the moment").into()),
        }
    }

    /// Refuses what the bearer token was not made for.
    pub(super) fn scoped(&self, name: &Repository, action: Action) -> Result<(), Failure> {
        let Some(scopes) = &self.identity.scopes else { return Ok(()) };
        // clients ask for pull and push, and delete with them
        let wanted = if action == Action::Delete { &[Action::Delete, Action::Push][..] } else { &[action][..] };
        if scopes.iter().any(|s| s.name == *name && s.actions.iter().any(|a| wanted.contains(a))) {
            return Ok(());
        }
        let actions = if action == Action::Pull { vec![Action::Pull] } else { vec![Action::Pull, action] };
        Err(Failure::challenge("the token was not made for this", Scope { name: name.clone(), actions }, true))
    }

    /// Text that tells callers apart, for what is bound to one.
    pub(super) fn subject(&self) -> String {
        match &self.ctx.actor {
            Actor::Anonymous => "anonymous".into(),
            Actor::User { id, .. } => id.to_string(),
            Actor::Job { id, .. } => id.to_string(),
            Actor::Runner(id) => id.to_string(),
            Actor::System => "system".into(),
        }
    }
}

/// `GET /v2/`: says that this is a registry, to callers who are signed in or hold a token.
pub(super) fn base(caller: &Caller) -> Reply {
    if caller.is_anonymous() && caller.identity.scopes.is_none() {
        return Err(Failure::challenge("sign in first", None, false));
    }
    build(Response::builder().header(header::CONTENT_TYPE, "application/json"), Body::from("{}"))
}

#[derive(Serialize)]
struct TokenAnswer {
    token: String,
    access_token: String,
    expires_in: u64,
    issued_at: Timestamp,
}

/// `GET /v2/token` with Basic, or the OAuth form by `POST`.
pub(super) async fn token(app: &App, caller: &Caller, parts: Parts, body: Body) -> Reply {
    let (mut ctx, scopes) = match parts.method {
        Method::GET => {
            caller.check()?;
            (caller.ctx.clone(), parameters(&parts, "scope").collect::<Vec<_>>())
        }
        Method::POST => form(app, caller, parts, body).await?,
        _ => return Err(Error::new(ErrorCode::Unsupported, "GET or POST").into()),
    };
    if caller.identity.scopes.is_some() {
        // a bearer token is not a credential that makes others
        ctx.actor = Actor::Anonymous;
    }
    let mut granted = Vec::new();
    for scope in Scope::parse_all(scopes.iter().map(String::as_str))? {
        let mut actions = Vec::new();
        for action in scope.actions {
            let permission = if action == Action::Pull { Permission::RegistryRead } else { Permission::RegistryWrite };
            match locate(app, &ctx, &scope.name, permission).await {
                Ok(_) => actions.push(action),
                Err(e) if matches!(e.code, Code::Internal | Code::Unavailable) => return Err(e.into()),
                // what may not be had is left out; the request itself will say so
                Err(_) => {}
            }
        }
        if !actions.is_empty() {
            granted.push(Scope { name: scope.name, actions }.to_string());
        }
    }
    let token = bearer::seal(app.key(), &ctx, granted)?;
    let answer =
        TokenAnswer { token: token.clone(), access_token: token, expires_in: bearer::LIFETIME.as_secs(), issued_at: Timestamp::now() };
    let json = serde_json::to_vec(&answer).map_err(kernel::Error::internal)?;
    let response = Response::builder().header(header::CONTENT_TYPE, "application/json").header(header::CACHE_CONTROL, "no-store");
    build(response, Body::from(json))
}

/// The OAuth form: `grant_type=password`, or a refresh token, which is an access token of the service.
async fn form(app: &App, caller: &Caller, parts: Parts, body: Body) -> Result<(Context, Vec<String>), Failure> {
    let is_form = field(&parts, header::CONTENT_TYPE).is_some_and(|t| t.starts_with("application/x-www-form-urlencoded"));
    if !is_form {
        return Err(Error::new(ErrorCode::Unsupported, "a form is expected").with_status(415).into());
    }
    let body = read_body(Request::from_parts(parts, body), 64 << 10).await.map_err(|p| p.0)?;
    let text =
        String::from_utf8(body.to_vec()).map_err(|_| Error::new(ErrorCode::Unsupported, "the form is not UTF-8").with_status(400))?;
    // the form has the shape of a query
    let uri = axum::http::Uri::builder().path_and_query(format!("/?{text}")).build();
    let uri = uri.map_err(|_| Error::new(ErrorCode::Unsupported, "the form cannot be read").with_status(400))?;
    let (form, ()) = Request::builder().uri(uri).body(()).map_err(kernel::Error::internal)?.into_parts();
    let value = |name: &str| parameter(&form, name).unwrap_or_default();
    let (name, secret) = match value("grant_type").as_str() {
        "password" => (value("username"), value("password")),
        "refresh_token" => ("token".to_owned(), value("refresh_token")),
        _ => return Err(Error::new(ErrorCode::Unsupported, "grant_type is password or refresh_token").with_status(400).into()),
    };
    let (actor, grant) = by_password(app, &name, &secret, caller.ctx.ip, caller.ctx.now).await?;
    Ok((Context { actor, grant, ..caller.ctx.clone() }, parameters(&form, "scope").collect()))
}
