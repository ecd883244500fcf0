//! How a request fails: in the specification's JSON, with a challenge where signing in would help.

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header;
use axum::response::Response;
use kernel::Code;
use oci::Challenge;
use oci::Error;
use oci::ErrorCode;
use oci::Repository;
use oci::Scope;
use web_kit::App;

/// What a handler returns.
pub(super) type Reply = Result<Response, Failure>;

/// Why it did not work.
pub(super) struct Failure(Box<Inner>);

struct Inner {
    error: Error,
    challenge: Option<(Option<Scope>, bool)>,
    headers: Vec<(&'static str, String)>,
}

impl Failure {
    /// 401: signing in, or a token with more scope, would help.
    pub(super) fn challenge(message: &'static str, scope: impl Into<Option<Scope>>, insufficient: bool) -> Self {
        let mut failure = Self::from(Error::new(ErrorCode::Unauthorized, message));
        failure.0.challenge = Some((scope.into(), insufficient));
        failure
    }

    /// With a header.
    pub(super) fn with_header(mut self, name: &'static str, value: String) -> Self {
        self.0.headers.push((name, value));
        self
    }

    pub(super) fn render(self, app: &App, name: Option<Repository>) -> Response {
        let Inner { mut error, challenge, headers } = *self.0;
        if let Some(name) = name
            && error.detail.is_null()
        {
            error = error.with_detail(serde_json::json!({ "name": name.as_str() }));
        }
        let mut response = Response::builder().status(error.status).header(header::CONTENT_TYPE, "application/json");
        if let Some((scope, insufficient)) = challenge {
            let (realm, service) = (app.url("v2/token"), app.config().public_host());
            response =
                response.header(header::WWW_AUTHENTICATE, Challenge { realm: &realm, service: &service, scope, insufficient }.to_string());
        }
        if error.status == 503 {
            response = response.header(header::RETRY_AFTER, "2");
        }
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response = response.header(name, value);
            }
        }
        response.body(Body::from(error.json())).unwrap_or_default()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(Box::new(Inner { error, challenge: None, headers: Vec::new() }))
    }
}

impl From<kernel::Error> for Failure {
    fn from(e: kernel::Error) -> Self {
        let code = match e.code {
            Code::NotFound | Code::Gone => ErrorCode::NameUnknown,
            Code::Unauthenticated | Code::BadCredentials => return Self::challenge("the credentials are not valid", None, false),
            Code::Forbidden | Code::Conflict => ErrorCode::Denied,
            Code::RateLimited => ErrorCode::TooManyRequests,
            Code::Unavailable => ErrorCode::Unavailable,
            Code::TooLarge => return Error::new(ErrorCode::SizeInvalid, e.detail).with_status(413).into(),
            Code::StorageFull => return Error::new(ErrorCode::Unavailable, e.detail).with_status(507).into(),
            Code::Internal => {
                tracing::error!(error = ?e, "registry request failed");
                ErrorCode::Unknown
            }
            _ => return Error::new(ErrorCode::Unsupported, e.detail).with_status(e.code.status()).into(),
        };
        Error::new(code, e.detail).into()
    }
}

impl From<blobs::Error> for Failure {
    fn from(e: blobs::Error) -> Self {
        use blobs::Error as E;
        let code = match &e {
            E::DigestMismatch { .. } | E::Malformed(_) => ErrorCode::DigestInvalid,
            E::OffsetMismatch { .. } | E::Range { .. } => ErrorCode::RangeInvalid,
            E::UploadUnknown => ErrorCode::BlobUploadUnknown,
            E::UploadBusy => return Error::new(ErrorCode::BlobUploadInvalid, e.to_string()).with_status(409).into(),
            E::Body(_) => ErrorCode::BlobUploadInvalid,
            _ => return kernel::Error::from(e).into(),
        };
        Error::new(code, e.to_string()).into()
    }
}
