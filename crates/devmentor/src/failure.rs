//! How a client command ends badly, and the exit code that scripts see.

use std::process::ExitCode;

use serde_json::Value;

/// What every client command returns.
pub(crate) type Result<T = (), E = Failure> = std::result::Result<T, E>;

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// It was done, and the outcome is bad: a failed run, a failed deployment, a refused request.
    #[error("{0}")]
    Failed(String),
    /// The command line, or a value in it, makes no sense.
    #[error("{0}")]
    Usage(String),
    /// There is no token, or it is not valid any more.
    #[error("{0}")]
    SignedOut(String),
    /// The thing is not there, or not for this user.
    #[error("{0}")]
    NotFound(String),
    /// No answer, or the server says that it cannot work now.
    #[error("{0}")]
    Unreachable(String),
}

impl Failure {
    /// The documented exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::SignedOut(_) => 3,
            Self::NotFound(_) => 4,
            Self::Unreachable(_) => 5,
        }
    }

    /// Reads a problem document, or whatever the answer holds instead of one.
    pub(crate) fn from_problem(status: u16, body: &[u8]) -> Self {
        let problem: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |key: &str| problem[key].as_str().filter(|t| !t.is_empty());
        let mut message = text("detail").or(text("title")).map_or_else(|| format!("the server answered {status}"), str::to_owned);
        for error in problem["errors"].as_array().into_iter().flatten() {
            if let (Some(field), Some(why)) = (error["field"].as_str(), error["message"].as_str())
                && !message.contains(why)
            {
                message = format!("{message}\n  {field}: {why}");
            }
        }
        if status >= 500
            && let Some(id) = text("request_id")
        {
            message = format!("{message} (request {id})");
        }
        match status {
            400 | 422 => Self::Usage(message),
            401 => Self::SignedOut(message),
            404 | 410 => Self::NotFound(message),
            502..=504 => Self::Unreachable(message),
            _ => Self::Failed(message),
        }
    }
}

impl From<&Failure> for ExitCode {
    fn from(failure: &Failure) -> Self {
        ExitCode::from(failure.exit_code())
    }
}

impl From<egress::Error> for Failure {
    fn from(error: egress::Error) -> Self {
        match error {
            egress::Error::InvalidUrl { .. } => Self::Usage(error.to_string()),
            egress::Error::Unreachable { .. } | egress::Error::Timeout { .. } => Self::Unreachable(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Failed(format!("the server's answer is not understood: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_exit_codes() {
        for (status, code) in [(400, 2), (401, 3), (403, 1), (404, 4), (409, 1), (410, 4), (422, 2), (428, 1), (500, 1), (502, 5), (503, 5)]
        {
            assert_eq!(Failure::from_problem(status, b"").exit_code(), code, "{status}");
        }
    }

    #[test]
    fn problems_are_told_once() {
        let body = br#"{"title":"t","detail":"name: may not be empty","errors":[{"field":"name","message":"may not be empty"},{"field":"x","message":"odd"}]}"#;
        assert_eq!(Failure::from_problem(422, body).to_string(), "name: may not be empty\n  x: odd");
        assert_eq!(Failure::from_problem(418, b"<html>").to_string(), "the server answered 418");
        let with_id = br#"{"detail":"something went wrong","request_id":"req_1"}"#;
        assert_eq!(Failure::from_problem(500, with_id).to_string(), "something went wrong (request req_1)");
    }
}
