//! The one place that renders an error: `application/problem+json` by RFC 9457. The detail of an internal error stays in
//! the log, under the request id that the answer carries.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use kernel::{Code, Error, RequestId};
use serde::Serialize;
use utoipa::ToSchema;

/// What a handler returns.
pub type Reply<T> = std::result::Result<T, Problem>;

/// An error on its way out.
#[derive(Debug)]
pub struct Problem(pub Error);

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

tokio::task_local! {
    /// The id of the request that is being answered.
    pub static REQUEST: RequestId;
}

/// The problem document (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemBody {
    /// Address of the code's description.
    #[serde(rename = "type")]
    pub kind: String,
    /// Short and always the same for a code.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What happened here.
    pub detail: String,
    /// This occurrence.
    pub instance: String,
    /// Stable code to match on.
    pub code: &'static str,
    /// Field by field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProblemField>,
    /// The request, as in `X-Request-Id`.
    pub request_id: String,
}

/// One field that is not valid.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemField {
    /// Its name.
    pub field: String,
    /// Stable code.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
}

/// The document of an error.
pub fn body_of(error: &Error) -> ProblemBody {
    let request_id = REQUEST.try_with(ToString::to_string).unwrap_or_default();
    ProblemBody {
        kind: format!("/docs/errors#{}", error.code.as_str()),
        title: error.code.title(),
        status: error.code.status(),
        detail: error.detail.clone(),
        instance: format!("urn:request:{request_id}"),
        code: error.code.as_str(),
        errors: error.fields.iter().map(|f| ProblemField { field: f.field.clone(), code: f.code, message: f.message.clone() }).collect(),
        request_id,
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let error = self.0;
        match error.code {
            Code::Internal => tracing::error!(code = error.code.as_str(), error = ?error, "request failed"),
            Code::Unavailable | Code::StorageFull => tracing::warn!(code = error.code.as_str(), error = ?error, "request failed"),
            _ => tracing::debug!(code = error.code.as_str(), error = ?error, "request refused"),
        }
        let status = StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(body_of(&error))).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match error.code {
            Code::Unavailable => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
            }
            Code::Unauthenticated | Code::BadCredentials => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"devmentor\""));
            }
            _ => {}
        }
        response
    }
}
