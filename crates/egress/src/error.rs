//! How a request that leaves the house can fail.

use std::error::Error as StdError;

/// What every function here returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there is no answer, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is no URL, or not one that may be used.
    #[error("{url} cannot be used: {reason}")]
    InvalidUrl {
        /// The URL as given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The address is one the service does not reach on somebody's behalf.
    #[error("{host} is not an address this service may reach")]
    Refused {
        /// The host of the URL.
        host: String,
    },
    /// No connection: the name is unknown, nothing listens, or TLS failed.
    #[error("cannot reach {host}: {reason}")]
    Unreachable {
        /// The host and port of the URL.
        host: String,
        /// The innermost cause.
        reason: String,
        /// Was the request surely not received? Then it may be sent again, whatever it asks for.
        unsent: bool,
    },
    /// The time limit passed.
    #[error("{host} did not answer in time")]
    Timeout {
        /// The host and port of the URL.
        host: String,
    },
    /// A redirect to another host, or too many of them.
    #[error("{host} redirects elsewhere, which is not followed")]
    Redirected {
        /// The host and port of the URL.
        host: String,
    },
    /// The body is larger than the caller allows.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The body is not what was asked for.
    #[error("the answer cannot be read: {0}")]
    Unreadable(String),
    /// A local file could not be read or written on the way.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The client itself could not be made.
    #[error("no HTTP client: {0}")]
    Setup(String),
}

impl Error {
    /// Sorts what the HTTP library says into the kinds above.
    pub(crate) fn from_reqwest(host: &str, error: &reqwest::Error) -> Self {
        let host = host.to_owned();
        let mut cause: Option<&(dyn StdError + 'static)> = error.source();
        while let Some(inner) = cause {
            if let Some(refused) = inner.downcast_ref::<Refusal>() {
                return Self::Refused { host: refused.0.clone() };
            }
            // an io::Error shows the source of its payload as its own, and hides the payload itself
            if let Some(refused) =
                inner.downcast_ref::<std::io::Error>().and_then(|io| io.get_ref()).and_then(|p| p.downcast_ref::<Refusal>())
            {
                return Self::Refused { host: refused.0.clone() };
            }
            cause = inner.source();
        }
        if error.is_timeout() {
            Self::Timeout { host }
        } else if error.is_redirect() {
            Self::Redirected { host }
        } else if error.is_body() || error.is_decode() {
            Self::Unreadable(innermost(error))
        } else {
            Self::Unreachable { host, reason: innermost(error), unsent: error.is_connect() }
        }
    }
}

/// The last cause is the one that says something: "connection refused" and not "error sending request".
fn innermost(error: &dyn StdError) -> String {
    let mut last = error;
    while let Some(inner) = last.source() {
        last = inner;
    }
    last.to_string()
}

/// How the resolver says no, through the layers of the HTTP library.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not an address this service may reach")]
pub(crate) struct Refusal(pub(crate) String);
