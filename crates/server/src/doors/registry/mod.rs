//! The container registry: OCI distribution 1.1 under `/v2/`, over the blobs of a project and the manifests in the
//! database. A repository is a project's path, or that path and an image's name.
//!
//! Every request names a repository, is authorised by the one function like any other, and streams in constant memory.
//! Knowing a digest grants nothing: blobs belong to a project, and a mount asks whether the caller may read its source.
//!
//! Read next: `auth` (who asks, the bearer tokens), `blobs`, `manifests`.

mod auth;
mod blobs;
mod lists;
mod manifests;
mod reply;

use ::blobs::Blobs;
use ::blobs::Owner;
use axum::Router;
use axum::body::Body;
use axum::extract::OriginalUri;
use axum::extract::Request;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::Method;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::any;
use kernel::Code;
use kernel::Context;
use kernel::Permission;
use oci::Action;
use oci::Error;
use oci::ErrorCode;
use oci::Repository;
use oci::Route;
use oci::Scope;
use web_kit::App;
use web_kit::Project;

pub(crate) use auth::identify;
pub(crate) use auth::is_ours;

use auth::Caller;
use reply::Failure;
use reply::Reply;

/// The door's routes.
pub(super) fn router() -> Router<App> {
    Router::new().route("/v2", any(serve)).route("/v2/", any(serve)).route("/v2/{*rest}", any(serve))
}

async fn serve(State(app): State<App>, OriginalUri(uri): OriginalUri, request: Request) -> Response {
    let repository = match route(uri.path()) {
        Ok(route) => {
            let name = route.repository().cloned();
            match answer(&app, route, request).await {
                Ok(response) => return finish(response),
                Err(failure) => (failure, name),
            }
        }
        Err(error) => (Failure::from(error), None),
    };
    let (failure, name) = repository;
    finish(failure.render(&app, name))
}

/// No name, tag or digest needs escapes, but some clients write the colon of a digest as one.
fn route(path: &str) -> Result<Route, Error> {
    let path = percent_encoding::percent_decode_str(path)
        .decode_utf8()
        .map_err(|_| Error::new(ErrorCode::NameInvalid, "the path is not UTF-8"))?;
    Route::parse(path.strip_prefix("/v2").unwrap_or(&path))
}

fn finish(mut response: Response) -> Response {
    response.headers_mut().insert("docker-distribution-api-version", HeaderValue::from_static("registry/2.0"));
    response
}

async fn answer(app: &App, route: Route, request: Request) -> Reply {
    let (parts, body) = request.into_parts();
    let caller = Caller::of(&parts)?;
    if let Route::Token = route {
        return auth::token(app, &caller, parts, body).await;
    }
    caller.check()?;
    let method = parts.method.clone();
    let wrong = || Err(Error::new(ErrorCode::Unsupported, "this method is not one of this path").into());
    let reads = method == Method::GET || method == Method::HEAD;
    match route {
        Route::Token => wrong(),
        Route::Base if reads => auth::base(&caller),
        Route::Catalog if reads => lists::catalog(app, &caller, &parts).await,
        Route::Tags(name) if reads => {
            let target = Target::find(app, &caller, &name, Action::Pull).await?;
            lists::tags(app, &target, &parts).await
        }
        Route::Referrers(name, digest) if reads => {
            let target = Target::find(app, &caller, &name, Action::Pull).await?;
            lists::referrers(app, &target, digest, &parts).await
        }
        Route::Manifest(name, reference) => match method {
            Method::GET | Method::HEAD => {
                let target = Target::find(app, &caller, &name, Action::Pull).await?;
                manifests::get(app, &target, &reference, method == Method::HEAD).await
            }
            Method::PUT => {
                let target = Target::find(app, &caller, &name, Action::Push).await?;
                manifests::put(app, &caller, &target, &reference, parts, body).await
            }
            Method::DELETE => {
                let target = Target::find(app, &caller, &name, Action::Delete).await?;
                manifests::delete(app, &target, &reference).await
            }
            _ => wrong(),
        },
        Route::Blob(name, digest) => match method {
            Method::GET | Method::HEAD => {
                let target = Target::find(app, &caller, &name, Action::Pull).await?;
                blobs::get(&target, digest, &parts).await
            }
            Method::DELETE => {
                let target = Target::find(app, &caller, &name, Action::Delete).await?;
                blobs::delete(app, &target, digest).await
            }
            _ => wrong(),
        },
        Route::Uploads(name) if method == Method::POST => {
            let target = Target::find(app, &caller, &name, Action::Push).await?;
            blobs::upload_start(app, &caller, &target, &parts, body).await
        }
        Route::Upload(name, id) => {
            let target = Target::find(app, &caller, &name, Action::Push).await?;
            let upload = blobs::Upload::find(app, &caller, target, &id)?;
            match method {
                Method::GET | Method::HEAD => upload.status().await,
                Method::PATCH => upload.append(&parts, body).await,
                Method::PUT => upload.finish(&parts, body).await,
                Method::DELETE => upload.cancel().await,
                _ => wrong(),
            }
        }
        _ => wrong(),
    }
}

/// The repository a request is about, with the decision that the caller may do what it asks.
struct Target {
    name: Repository,
    project: Project,
    /// What follows the project's path; empty for the project itself.
    image: String,
    blobs: Blobs,
    owner: Owner,
}

impl Target {
    async fn find(app: &App, caller: &Caller, name: &Repository, action: Action) -> Result<Self, Failure> {
        caller.scoped(name, action)?;
        let wanted =
            || Scope { name: name.clone(), actions: if action == Action::Pull { vec![Action::Pull] } else { vec![Action::Pull, action] } };
        let permission = if action == Action::Pull { Permission::RegistryRead } else { Permission::RegistryWrite };
        match locate(app, &caller.ctx, name, permission).await {
            Ok((project, image)) => {
                let blobs = app.part::<Blobs>()?.limited(app.config().blob_limit);
                Ok(Self { name: name.clone(), owner: project.id().into(), project, image, blobs })
            }
            // whoever is nobody is asked to sign in, whether the repository exists or not
            Err(e) if caller.is_anonymous() && matches!(e.code, Code::NotFound | Code::Unauthenticated) => {
                Err(Failure::challenge("sign in first", wanted(), false))
            }
            Err(e) if e.is(Code::NotFound) => Err(Error::new(ErrorCode::NameUnknown, "there is no such repository").into()),
            Err(e) => Err(e.into()),
        }
    }
}

/// Finds the project of a repository name, longest path first.
async fn locate(app: &App, ctx: &Context, name: &Repository, permission: Permission) -> Result<(Project, String), kernel::Error> {
    for (path, image) in name.splits() {
        if let Some(row) = store::project::project_by_path(app.db(), path).await? {
            return Ok((app.allow(ctx, Some(row), permission).await?, image.to_owned()));
        }
    }
    Err(kernel::Error::not_found("repository"))
}

/// The value of a query parameter, first of its name.
fn parameter(parts: &Parts, name: &str) -> Option<String> {
    parameters(parts, name).next()
}

fn parameters<'a>(parts: &'a Parts, name: &'a str) -> impl Iterator<Item = String> + 'a {
    let query = parts.uri.query().unwrap_or_default();
    query.split('&').filter_map(move |pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then(|| percent_encoding::percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned())
    })
}

fn field(parts: &Parts, name: header::HeaderName) -> Option<&str> {
    parts.headers.get(name).and_then(|v| v.to_str().ok())
}

/// An answer without a body.
fn empty(status: u16) -> axum::http::response::Builder {
    Response::builder().status(status).header(header::CONTENT_LENGTH, 0)
}

fn build(builder: axum::http::response::Builder, body: Body) -> Reply {
    builder.body(body).map_err(|e| kernel::Error::internal(e).into())
}
