//! git's smart HTTP at `/{path}.git`: finds out who asks, decides, and carries bytes to and from the crate `git`.
//!
//! What a request may do is read from its path, never from its query or its body: `…/git-receive-pack` needs
//! `repository:write`, whatever else it says. Who shows nothing and may not read is asked for credentials, whether or not
//! there is such a repository; who shows some learns that there is none. Refusals of people's making (archived, not
//! allowed) are put into the protocol, so that git prints them.

use std::net::IpAddr;
use std::sync::Arc;

use area_workspace::repository::{Recorder, of};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures::TryStreamExt as _;
use git::GitError;
use git::serve::{Incoming, MAX_REQUEST, PushRules, Service, Version, refuse_advertisement, refuse_upload};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use kernel::{Actor, Code, Context, Error, Grant, Permission, RequestId};
use web_kit::auth::{Shown, authenticate};
use web_kit::{App, Ctx};

/// What a request of a git client names.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Target {
    project: String,
    what: What,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    /// `GET info/refs`.
    Refs,
    /// `POST` to a service.
    Service(Service),
    /// A file of the protocol without a server's help, which is not spoken here.
    Dumb,
}

impl Target {
    /// From a path as sent. With `.git` the address is git's alone; without it only the service names tell.
    fn parse(path: &str) -> Option<Self> {
        let path = percent_encoding::percent_decode_str(path).decode_utf8().ok()?;
        let rest = path.strip_prefix('/')?;
        let (project, what, marked) = if let Some((project, tail)) = rest.split_once(".git/") {
            (project, tail, true)
        } else {
            let at = [("/info/refs", "info/refs"), ("/git-upload-pack", "git-upload-pack"), ("/git-receive-pack", "git-receive-pack")];
            let (project, tail) = at.iter().find_map(|(suffix, tail)| Some((rest.strip_suffix(suffix)?, *tail)))?;
            (project, tail, false)
        };
        // an address of the API or of a page is not a repository's
        let first = project.split('/').next().unwrap_or_default();
        if !project.contains('/') || project.split('/').any(|p| p.is_empty() || p == "-") || kernel::name::RESERVED.contains(&first) {
            return None;
        }
        let what = match what {
            "info/refs" => What::Refs,
            "git-upload-pack" => What::Service(Service::UploadPack),
            "git-receive-pack" => What::Service(Service::ReceivePack),
            _ if marked => What::Dumb,
            _ => return None,
        };
        Some(Self { project: project.to_owned(), what })
    }
}

/// Is this an address of this door?
pub(crate) fn is_ours(path: &str) -> bool {
    Target::parse(path).is_some()
}

/// Who asks: credentials in the header only. A browser's cookie is none here, since git clients send none.
pub(crate) async fn identify(app: &App, headers: &HeaderMap, request: RequestId, ip: Option<IpAddr>) -> Result<Context, Response> {
    match authenticate(app, headers, request, ip).await {
        Ok((ctx, Shown::Header)) => Ok(ctx),
        Ok((ctx, _)) => Ok(Context { actor: Actor::Anonymous, grant: Grant::all(), ..ctx }),
        Err(error) if error.is(Code::BadCredentials) => Err(challenge(&error.detail)),
        Err(error) => Err(plain(&error)),
    }
}

/// Answers requests to repositories; everything else goes to the pages.
pub(crate) async fn fallback(State(app): State<App>, request: Request) -> Response {
    match Target::parse(request.uri().path()) {
        Some(target) => serve(&app, target, request).await,
        None => crate::pages::fallback(request).await,
    }
}

async fn serve(app: &App, target: Target, request: Request) -> Response {
    let Some(Ctx(ctx)) = request.extensions().get::<Ctx>().cloned() else {
        return plain(&Error::internal("the door is outside the authentication layer"));
    };
    let version = request.headers().get("git-protocol").and_then(|v| v.to_str().ok()).map_or(Version::V0, Version::from_header);
    let result = match (target.what, request.method()) {
        (What::Refs, &Method::GET) => info_refs(app, &ctx, &target.project, version, request.uri().query().unwrap_or("")).await,
        (What::Service(service), &Method::POST) => rpc(app, &ctx, &target.project, service, version, request).await,
        (What::Dumb, &Method::GET | &Method::HEAD) => {
            Err(Error::new(Code::Forbidden, "only the smart protocol is served; use git 1.6.6 or newer"))
        }
        _ => Err(Error::new(Code::MethodNotAllowed, "this address does not take this method")),
    };
    result.unwrap_or_else(|error| refuse(&ctx, &error))
}

async fn info_refs(app: &App, ctx: &Context, project: &str, version: Version, query: &str) -> Result<Response, Error> {
    let service = query.split('&').find_map(|p| p.strip_prefix("service=")).and_then(Service::parse);
    let service = service.ok_or_else(|| Error::new(Code::Forbidden, "only the smart protocol is served; use git 1.6.6 or newer"))?;
    let repository = match open(app, ctx, project, service).await {
        Ok((_, repository)) => repository,
        Err(Opening::Refused(reason)) => {
            return Ok(answer(service.advertisement_type(), Body::from(refuse_advertisement(service, version, &reason))));
        }
        Err(Opening::Failed(error)) => return Err(error),
    };
    let refs = repository.info_refs(service, version).await?;
    Ok(answer(service.advertisement_type(), Body::from(refs)))
}

async fn rpc(app: &App, ctx: &Context, project: &str, service: Service, version: Version, request: Request) -> Result<Response, Error> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    if kind != service.request_type() {
        return Err(Error::new(Code::UnsupportedMediaType, format!("Content-Type: {} is expected", service.request_type())));
    }
    let gzip = match request.headers().get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity") => false,
        Some(b"gzip" | b"x-gzip") => true,
        Some(_) => return Err(Error::new(Code::UnsupportedMediaType, "Content-Encoding: gzip or none")),
    };
    let (opened, refused) = match open(app, ctx, project, service).await {
        Ok(opened) => (opened, None),
        // the pack that is on its way is read and dropped, so that the reason is seen
        Err(Opening::Refused(reason)) if service == Service::ReceivePack => (open_for_reading(app, ctx, project).await?, Some(reason)),
        Err(Opening::Refused(reason)) => return Ok(answer(service.result_type(), Body::from(refuse_upload(&reason)))),
        Err(Opening::Failed(error)) => return Err(error),
    };
    let (project, repository) = opened;
    let options = app.part::<git::Repositories>()?.options();
    let max = if service == Service::UploadPack { MAX_REQUEST } else { options.push_bytes.saturating_add(16 << 20) };
    let pieces = request.into_body().into_data_stream().map_err(std::io::Error::other);
    let body = Incoming::new(pieces, gzip, max, options.idle);
    let result = match service {
        Service::UploadPack => repository.upload_pack(version, body).await,
        Service::ReceivePack => {
            let rules = PushRules { refuse: refused, max_bytes: Some(app.config().push_limit) };
            let recorder = Recorder::new(app, &repository, ctx.user());
            repository.receive_pack(body, rules, Arc::new(recorder)).await
        }
    };
    let body = match result {
        Ok(git::serve::Body::Full(bytes)) => Body::from(bytes),
        Ok(git::serve::Body::Stream(stream)) => Body::from_stream(stream),
        Err(error) => {
            tracing::info!(project = %project.row.path, service = service.as_str(), error = %error, "a git request was refused");
            Body::from(refuse_upload(&person(&error)))
        }
    };
    Ok(answer(service.result_type(), body))
}

/// Why a repository could not be opened for a service.
enum Opening {
    /// The caller knows it, but this cannot be done now: told within the protocol.
    Refused(String),
    /// Told by the HTTP status.
    Failed(Error),
}

impl From<Error> for Opening {
    fn from(error: Error) -> Self {
        match error.code {
            Code::Conflict => Opening::Refused(error.detail),
            _ => Opening::Failed(error),
        }
    }
}

async fn open(app: &App, ctx: &Context, path: &str, service: Service) -> Result<(web_kit::Project, git::Repository), Opening> {
    let permission = match service {
        Service::UploadPack => Permission::RepositoryRead,
        Service::ReceivePack => Permission::RepositoryWrite,
    };
    let project = app.project(ctx, path, permission).await?;
    if project.row.deleted_at.is_some() {
        return Err(Opening::Refused("the project is deleted; restore it first".to_owned()));
    }
    if project.row.state != "active" {
        return Err(Opening::Refused("the project is still being created".to_owned()));
    }
    let repository = of(app, &project.row).await?;
    Ok((project, repository))
}

async fn open_for_reading(app: &App, ctx: &Context, path: &str) -> Result<(web_kit::Project, git::Repository), Error> {
    let project = app.project(ctx, path, Permission::RepositoryRead).await?;
    let repository = of(app, &project.row).await?;
    Ok((project, repository))
}

/// What a person at a terminal is told; nothing of our inside.
fn person(error: &GitError) -> String {
    match error {
        GitError::NotFound(_) | GitError::Invalid(_) | GitError::TooLarge(_) | GitError::Busy | GitError::Timeout => error.to_string(),
        _ => {
            tracing::error!(error = %error, "a git request failed");
            "something went wrong on our side; try again".to_owned()
        }
    }
}

fn answer(kind: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, max-age=0, must-revalidate"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(header::EXPIRES, HeaderValue::from_static("Fri, 01 Jan 1980 00:00:00 GMT"));
    response
}

fn refuse(ctx: &Context, error: &Error) -> Response {
    let asks = error.is(Code::Unauthenticated) || (error.is(Code::NotFound) && ctx.actor == Actor::Anonymous);
    if asks { challenge("sign in with your name and password, or a token as the password") } else { plain(error) }
}

/// 401 with the challenge that makes git ask for a name and password.
fn challenge(text: &str) -> Response {
    let mut response = text_answer(StatusCode::UNAUTHORIZED, text);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"devmentor\", charset=\"UTF-8\""));
    response
}

/// An error as plain text, which git shows to the person.
fn plain(error: &Error) -> Response {
    if matches!(error.code, Code::Internal | Code::Unavailable | Code::StorageFull) {
        tracing::error!(code = error.code.as_str(), error = ?error, "a git request failed");
    }
    let status = StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = text_answer(status, &error.detail);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    }
    response
}

fn text_answer(status: StatusCode, text: &str) -> Response {
    let mut response = Response::new(Body::from(Bytes::from(format!("{}\n", git::pktline::one_line(text)))));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let of = |path: &str| Target::parse(path).map(|t| (t.project, t.what));
        let some = |project: &str, what| Some((project.to_owned(), what));
        assert_eq!(of("/acme/web.git/info/refs"), some("acme/web", What::Refs));
        assert_eq!(of("/acme/web/info/refs"), some("acme/web", What::Refs));
        assert_eq!(of("/a/b/c/d.git/git-receive-pack"), some("a/b/c/d", What::Service(Service::ReceivePack)));
        assert_eq!(of("/acme%2Fweb.git/git-upload-pack"), some("acme/web", What::Service(Service::UploadPack)));
        assert_eq!(of("/acme/web.git/HEAD"), some("acme/web", What::Dumb));
        assert_eq!(of("/acme/web.git/objects/../../x"), some("acme/web", What::Dumb));
        for path in [
            "/",
            "/acme/web",
            "/acme/web.git",
            "/web.git/info/refs",
            "//web.git/info/refs",
            "/projects/list/info/refs",
            "/acme//web.git/info/refs",
            "/acme/web/-/tree/main/info/refs",
            "/acme/web/GIT-RECEIVE-PACK",
            "/acme/web/tree",
        ] {
            assert_eq!(of(path), None, "{path}");
        }
        // case and doubled slashes make another address, never another right
        assert_eq!(of("/acme/web.git/Git-Receive-Pack"), some("acme/web", What::Dumb));
        assert_eq!(of("/acme/web.git//git-receive-pack"), some("acme/web", What::Dumb));
    }
}
