//! Where tokens are asked for, and what those who check them look up: OpenID Connect discovery and the public keys.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use kernel::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use web_kit::{App, Ctx, Query, Reply};

use super::keys::{self, Purpose};
use crate::results::token;

/// The routes. Their shapes are other people's standards, so they are not in the public description.
pub fn router() -> OpenApiRouter<App> {
    use axum::routing::get;
    OpenApiRouter::from(
        axum::Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/oidc/keys", get(key_list))
            .route("/oidc/token", get(id_token)),
    )
}

/// Checkers may keep these for a while; a key is published long before it is used.
fn kept(value: &Value) -> Response {
    let mut response = axum::Json(value).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}

async fn discovery(State(app): State<App>) -> Response {
    let claims = [
        "sub",
        "aud",
        "exp",
        "iat",
        "nbf",
        "iss",
        "jti",
        "repository",
        "repository_owner",
        "repository_id",
        "repository_visibility",
        "ref",
        "ref_type",
        "ref_protected",
        "sha",
        "event_name",
        "head_ref",
        "base_ref",
        "workflow",
        "workflow_ref",
        "workflow_sha",
        "job_workflow_ref",
        "job_workflow_sha",
        "run_id",
        "run_number",
        "run_attempt",
        "job_id",
        "actor",
        "actor_id",
        "environment",
        "runner_environment",
    ];
    kept(&json!({
        "issuer": app.config().public_url(),
        "jwks_uri": app.url("/oidc/keys"),
        "subject_types_supported": ["public", "pairwise"],
        "response_types_supported": ["id_token"],
        "claims_supported": claims,
        "id_token_signing_alg_values_supported": ["ES256"],
        "scopes_supported": ["openid"],
    }))
}

async fn key_list(State(app): State<App>) -> Reply<Response> {
    let keys = keys::published(&app, Purpose::Identity, Timestamp::now()).await?;
    Ok(kept(&json!({"keys": keys.iter().map(keys::jwk).collect::<Vec<_>>()})))
}

/// For whom the token is to be.
#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    audience: Option<String>,
}

async fn id_token(State(app): State<App>, Ctx(ctx): Ctx, Query(asked): Query<Asked>, headers: HeaderMap) -> Reply<Response> {
    let shown = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).and_then(|v| v.split_once(' '));
    let environment = shown.and_then(|(_, text)| token::environment(&app, text.trim()));
    let value = super::id_token_create(&app, &ctx, asked.audience.as_deref(), environment.as_deref()).await?;
    Ok(axum::Json(json!({"value": value})).into_response())
}
