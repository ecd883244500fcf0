//! `/session`, `/users`, `/tokens`, `/permissions`, `/instance`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use kernel::authz::authorize_instance;
use kernel::{Actor, Code, Error, Permission, TokenId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web_kit::{App, Created, Ctx, IfMatch, Json, List, Page, PageParams, Path, ProblemBody, Query, Reply, Versioned};

use super::model::{PasswordChange, PermissionView, Session, SignIn, Token, TokenMade, TokenNew, User, UserChange, UserNew};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(session_create, session_get, session_delete))
        .routes(routes!(user_list, user_create))
        .routes(routes!(user_me, user_update_me))
        .routes(routes!(password_change))
        .routes(routes!(user_get, user_update))
        .routes(routes!(token_list, token_create))
        .routes(routes!(token_delete))
        .routes(routes!(permission_list))
        .routes(routes!(instance_get))
}

fn cookie(app: &App, value: &str, seconds: u64) -> HeaderValue {
    let secure = if app.config().public_url().starts_with("https:") { "; Secure" } else { "" };
    let text = format!("{}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}", web_kit::auth::COOKIE);
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
}

/// Signs in; sets the session cookie.
#[utoipa::path(post, path = "/session", tag = "account", request_body = SignIn,
    responses((status = 201, body = Session), (status = 401, body = ProblemBody)))]
async fn session_create(State(app): State<App>, Ctx(ctx): Ctx, headers: HeaderMap, Json(by): Json<SignIn>) -> Reply<Response> {
    let agent = headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or("");
    let (account, value) = super::session_create(&app, &ctx, &by, agent).await?;
    let mut response = (StatusCode::CREATED, axum::Json(Session { user: User::new(account, true) })).into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie(&app, &value, super::SESSION.as_secs()));
    Ok(response)
}

/// Who is signed in.
#[utoipa::path(get, path = "/session", tag = "account", responses((status = 200, body = Session), (status = 401, body = ProblemBody)))]
async fn session_get(State(app): State<App>, Ctx(ctx): Ctx) -> Reply<Json<Session>> {
    Ok(Json(Session { user: User::new(super::user_me(&app, &ctx).await?, true) }))
}

/// Signs out.
#[utoipa::path(delete, path = "/session", tag = "account", responses((status = 204)))]
async fn session_delete(State(app): State<App>, headers: HeaderMap) -> Reply<Response> {
    if let Some(value) = web_kit::auth::cookie(&headers, web_kit::auth::COOKIE) {
        store::account::session_delete(app.db(), &web_kit::secret::hash(value)).await?;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie(&app, "", 0));
    Ok(response)
}

#[derive(Deserialize, IntoParams)]
struct Find {
    /// A part of the name.
    #[serde(default)]
    q: String,
}

/// People, by name.
#[utoipa::path(get, path = "/users", tag = "account", params(Find, PageParams), responses((status = 200, body = List<User>)))]
async fn user_list(State(app): State<App>, Ctx(ctx): Ctx, Query(find): Query<Find>, page: Page) -> Reply<List<User>> {
    if ctx.actor == Actor::Anonymous {
        return Err(Error::new(Code::Unauthenticated, "sign in first").into());
    }
    let private = authorize_instance(&ctx, Permission::InstanceAdmin).is_ok();
    let after: Option<String> = page.after("user")?;
    let rows = store::account::account_list(app.db(), &find.q, &after.unwrap_or_default(), page.fetch()).await?;
    Ok(page.finish("user", rows, |r| r.name.clone(), |r| User::new(r, private)))
}

/// Adds an account.
#[utoipa::path(post, path = "/users", tag = "account", request_body = UserNew,
    responses((status = 201, body = User), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn user_create(State(app): State<App>, Ctx(ctx): Ctx, Json(new): Json<UserNew>) -> Reply<Created<User>> {
    let row = super::user_create(&app, &ctx, new).await?;
    Ok(Created { location: format!("/users/{}", row.id), version: Some(row.version), body: User::new(row, true) })
}

/// One's own account.
#[utoipa::path(get, path = "/users/me", tag = "account", responses((status = 200, body = User)))]
async fn user_me(State(app): State<App>, Ctx(ctx): Ctx) -> Reply<Versioned<User>> {
    let row = super::user_me(&app, &ctx).await?;
    let version = row.version;
    Ok(Versioned(User::new(row, true), version))
}

/// Changes one's own account.
#[utoipa::path(patch, path = "/users/me", tag = "account", request_body = UserChange, responses((status = 200, body = User)))]
async fn user_update_me(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    IfMatch(version): IfMatch,
    Json(change): Json<UserChange>,
) -> Reply<Versioned<User>> {
    let row = super::user_update(&app, &ctx, "me", version, change).await?;
    let version = row.version;
    Ok(Versioned(User::new(row, true), version))
}

/// Sets one's own password; all sessions end.
#[utoipa::path(post, path = "/users/me/password", tag = "account", request_body = PasswordChange, responses((status = 204)))]
async fn password_change(State(app): State<App>, Ctx(ctx): Ctx, Json(change): Json<PasswordChange>) -> Reply<StatusCode> {
    super::password_change(&app, &ctx, change).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// An account by id or name.
#[utoipa::path(get, path = "/users/{id}", tag = "account", params(("id" = String, Path)), responses((status = 200, body = User)))]
async fn user_get(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>) -> Reply<Versioned<User>> {
    let row = super::user_get(&app, &ctx, &id).await?;
    let private = ctx.user() == Some(row.id) || ctx.is_admin();
    let version = row.version;
    Ok(Versioned(User::new(row, private), version))
}

/// Changes an account; administrators.
#[utoipa::path(patch, path = "/users/{id}", tag = "account", params(("id" = String, Path)), request_body = UserChange,
    responses((status = 200, body = User)))]
async fn user_update(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(id): Path<String>,
    IfMatch(version): IfMatch,
    Json(change): Json<UserChange>,
) -> Reply<Versioned<User>> {
    let row = super::user_update(&app, &ctx, &id, version, change).await?;
    let version = row.version;
    Ok(Versioned(User::new(row, true), version))
}

/// One's own tokens.
#[utoipa::path(get, path = "/tokens", tag = "account", params(PageParams), responses((status = 200, body = List<Token>)))]
async fn token_list(State(app): State<App>, Ctx(ctx): Ctx, page: Page) -> Reply<List<Token>> {
    let me = super::user_me(&app, &ctx).await?;
    let rows = store::token::token_list(app.db(), me.id, page.after("token")?, page.fetch()).await?;
    Ok(page.finish("token", rows, |r| r.id, Token::from))
}

/// Makes a token limited to permissions, projects and a time.
#[utoipa::path(post, path = "/tokens", tag = "account", request_body = TokenNew, responses((status = 201, body = TokenMade)))]
async fn token_create(State(app): State<App>, Ctx(ctx): Ctx, Json(new): Json<TokenNew>) -> Reply<Created<TokenMade>> {
    let (row, secret) = super::token_create(&app, &ctx, new).await?;
    Ok(Created { location: format!("/tokens/{}", row.id), version: None, body: TokenMade { token: row.into(), secret } })
}

/// Revokes a token.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "account", params(("id" = String, Path)), responses((status = 204)))]
async fn token_delete(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<TokenId>) -> Reply<StatusCode> {
    super::token_delete(&app, &ctx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What tokens may be limited to.
#[utoipa::path(get, path = "/permissions", tag = "account", responses((status = 200, body = List<PermissionView>)))]
async fn permission_list() -> List<PermissionView> {
    List::whole(Permission::ALL.iter().map(|p| PermissionView { name: p.as_str(), least_role: p.least_role().as_str() }).collect())
}

/// What clients need to know before anybody signs in.
#[derive(Serialize, ToSchema)]
struct Instance {
    /// The product.
    name: &'static str,
    /// The version that runs.
    version: &'static str,
    /// May anybody create an account?
    sign_up: bool,
    /// The address of the service.
    public_url: String,
    /// The registry's host.
    registry_host: String,
    /// Is a Docker engine configured or found?
    docker: bool,
}

/// What clients need to know before anybody signs in.
#[utoipa::path(get, path = "/instance", tag = "system", responses((status = 200, body = Instance)))]
async fn instance_get(State(app): State<App>) -> Json<Instance> {
    let named = app.config().docker_host.clone().or_else(|| std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty()));
    let socket = named.unwrap_or_else(|| "/var/run/docker.sock".into());
    let path = socket.strip_prefix("unix://").unwrap_or(&socket);
    Json(Instance {
        name: "DevMentor Project Service",
        version: env!("CARGO_PKG_VERSION"),
        sign_up: app.config().sign_up,
        public_url: app.config().public_url(),
        registry_host: app.config().public_host(),
        docker: path.starts_with("tcp:") || std::path::Path::new(path).exists(),
    })
}
