//! Calls of the runner protocol, with repetition while the server is away.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use executors::host::{HostError, HostResult};
use http::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use super::transport::{Answer, Call, Payload, Transport};

/// Bound on one call that is not a stream or a claim.
const CALL_LIMIT: Duration = Duration::from_secs(60);
/// Longest answer that is read whole.
const ANSWER_MAX: usize = 64 << 20;

/// Why a call did not succeed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Of the answer, if there was one.
    pub(crate) status: Option<StatusCode>,
    /// What it means.
    pub(crate) error: HostError,
}

impl From<Failure> for HostError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

/// Speaks to the server as one bearer.
#[derive(Clone)]
pub(crate) struct Client {
    transport: Arc<dyn Transport>,
    authorization: String,
}

impl Client {
    /// With a bearer token; empty for none.
    pub(crate) fn new(transport: Arc<dyn Transport>, token: &str) -> Self {
        let authorization = if token.is_empty() { String::new() } else { format!("Bearer {token}") };
        Self { transport, authorization }
    }

    /// The same way with another `Authorization`.
    pub(crate) fn with_authorization(&self, authorization: String) -> Self {
        Self { transport: Arc::clone(&self.transport), authorization }
    }

    /// A call of this bearer.
    pub(crate) fn call(&self, method: Method, path: impl Into<String>) -> Call {
        let authorization = self.authorization.clone();
        Call { method, path: path.into(), authorization, content_type: "", payload: Payload::Empty, limit: Some(CALL_LIMIT) }
    }

    /// A call with a JSON body.
    pub(crate) fn json<T: Serialize>(&self, method: Method, path: impl Into<String>, body: &T) -> HostResult<Call> {
        let bytes = serde_json::to_vec(body).map_err(io::Error::other)?;
        Ok(Call { content_type: "application/json", payload: Payload::Bytes(bytes.into()), ..self.call(method, path) })
    }

    /// Makes a call once.
    pub(crate) async fn once(&self, call: Call) -> Result<Answer, Failure> {
        let unavailable = |why: io::Error| Failure { status: None, error: HostError::Unavailable(why.to_string()) };
        let answer = self.transport.send(call).await.map_err(unavailable)?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        Err(Failure { status: Some(answer.status), error: refusal(answer).await })
    }

    /// Makes a call until it is answered or `patience` is over. Only for calls that may arrive twice.
    pub(crate) async fn persist(&self, call: Call, patience: Duration) -> Result<Answer, Failure> {
        let end = Instant::now() + patience;
        let mut pause = Duration::from_millis(100);
        loop {
            match self.once(call.clone()).await {
                Err(Failure { error: HostError::Unavailable(why), .. }) if Instant::now() + pause < end => {
                    tracing::debug!(path = call.path, why, "the server is away, the call is repeated");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(5));
                }
                other => return other,
            }
        }
    }

    /// As [`Client::persist`]; none when what was asked for is not there.
    pub(crate) async fn find(&self, call: Call, patience: Duration) -> HostResult<Option<Answer>> {
        match self.persist(call, patience).await {
            Ok(answer) => Ok(Some(answer)),
            Err(Failure { status: Some(StatusCode::NOT_FOUND), .. }) => Ok(None),
            Err(failure) => Err(failure.error),
        }
    }

    /// As [`Client::persist`], reading a JSON answer.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, call: Call, patience: Duration) -> HostResult<T> {
        let answer = self.persist(call, patience).await?;
        let bytes = answer.bytes(ANSWER_MAX).await.map_err(|e| HostError::Unavailable(e.to_string()))?;
        serde_json::from_slice(&bytes).map_err(|e| HostError::Refused(format!("the server's answer cannot be read: {e}")))
    }
}

/// What a status that is no success means for the job.
async fn refusal(answer: Answer) -> HostError {
    let status = answer.status;
    let problem: Value = match answer.bytes(1 << 20).await {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        Err(_) => Value::Null,
    };
    let detail = problem["detail"].as_str().or_else(|| problem["errors"][0]["message"].as_str()).unwrap_or_default();
    let said = if detail.is_empty() { status.to_string() } else { format!("{detail} ({status})") };
    match status {
        StatusCode::CONFLICT if problem["code"] == "stale_epoch" => HostError::Stale,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => HostError::Unavailable(said),
        status if status.is_server_error() && status != StatusCode::INSUFFICIENT_STORAGE => HostError::Unavailable(said),
        _ => HostError::Refused(said),
    }
}

/// Percent-encodes one part of a path or query.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
