//! The two profiles, and a request on its way.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use http::{HeaderName, HeaderValue, Method};
use reqwest::redirect;
use serde::Serialize;
use url::Url;

use crate::address::Allow;
use crate::error::{Error, Result};
use crate::guard::{self, Guard, GuardedResolver};
use crate::response::Response;

const MAX_REDIRECTS: usize = 5;

/// Bounds on one request. Each can be changed on the request.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For the whole exchange, body included; `None` for streams that have no end.
    pub total: Option<Duration>,
    /// Between two reads.
    pub idle: Duration,
    /// Largest body that is read into memory, after decompression.
    pub body: u64,
}

/// An HTTP client; cloning shares its connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    guard: Option<Arc<Guard>>,
    limits: Limits,
}

impl Client {
    /// For a program run by the person who names the address: any host, no time limit on the whole.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn user_directed() -> Result<Self> {
        let limits = Limits { total: None, idle: Duration::from_mins(1), body: 64 << 20 };
        Ok(Self { http: build(builder(limits, None))?, guard: None, limits })
    }

    /// For the server, where addresses come from users: public addresses and those of `allow`, thirty seconds, 8 MiB.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn guarded(allow: Allow) -> Result<Self> {
        let limits = Limits { total: Some(Duration::from_secs(30)), idle: Duration::from_secs(15), body: 8 << 20 };
        let guard = Arc::new(Guard { allow });
        let http = build(builder(limits, Some(&guard)))?;
        Ok(Self { http, guard: Some(guard), limits })
    }

    /// Starts a request. A URL that may not be used is reported by [`Request::send`].
    pub fn request(&self, method: Method, url: &str) -> Request {
        let checked = guard::parse(url).and_then(|url| match &self.guard {
            Some(guard) => guard.check(&url).map(|()| url),
            None => Ok(url),
        });
        Request { limits: self.limits, inner: checked.map(|url| (host_of(&url), self.http.request(method, url))) }
    }

    /// `GET` of a URL.
    pub fn get(&self, url: &str) -> Request {
        self.request(Method::GET, url)
    }

    /// `POST` to a URL.
    pub fn post(&self, url: &str) -> Request {
        self.request(Method::POST, url)
    }
}

fn builder(limits: Limits, guard: Option<&Arc<Guard>>) -> reqwest::ClientBuilder {
    // an error means that a provider is installed already, which is as good
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .user_agent(concat!("devmentor/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(10))
        .read_timeout(limits.idle)
        .pool_idle_timeout(Duration::from_secs(30))
        .referer(false);
    match guard {
        // a proxy would dial for us, past the guard
        Some(guard) => builder.no_proxy().redirect(same_origin()).dns_resolver(GuardedResolver(Arc::clone(guard))),
        None => builder.redirect(redirect::Policy::limited(MAX_REDIRECTS)),
    }
}

fn build(builder: reqwest::ClientBuilder) -> Result<reqwest::Client> {
    builder.build().map_err(|e| Error::Setup(e.to_string()))
}

/// Follows a redirect only where the first answer came from; from `http` to `https` of the same host is fine.
fn same_origin() -> redirect::Policy {
    redirect::Policy::custom(|attempt| {
        let Some(first) = attempt.previous().first() else { return attempt.stop() };
        let (from, to) = (origin(first), origin(attempt.url()));
        let upgraded =
            from.0 == to.0 && first.scheme() == "http" && attempt.url().scheme() == "https" && to.1 == Some(443) && from.1 == Some(80);
        let same = from == to && first.scheme() == attempt.url().scheme();
        if attempt.previous().len() > MAX_REDIRECTS {
            attempt.error("too many redirects")
        } else if same || upgraded {
            attempt.follow()
        } else {
            attempt.error("another host")
        }
    })
}

fn origin(url: &Url) -> (Option<&str>, Option<u16>) {
    (url.host_str(), url.port_or_known_default())
}

fn host_of(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => String::new(),
    }
}

/// A request that has not been sent. Errors on the way are kept until [`Request::send`].
#[derive(Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    limits: Limits,
    inner: Result<(String, reqwest::RequestBuilder)>,
}

impl Request {
    fn map(mut self, f: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder) -> Self {
        self.inner = self.inner.map(|(host, builder)| (host, f(builder)));
        self
    }

    /// Adds a header; a value that no header can hold fails the request.
    pub fn header(self, name: &str, value: &str) -> Self {
        let parsed = (HeaderName::try_from(name), HeaderValue::try_from(value));
        match parsed {
            (Ok(name), Ok(value)) => self.map(|b| b.header(name, value)),
            _ => Self { inner: Err(Error::Unreadable(format!("the header {name:?} has a value that cannot be sent"))), ..self },
        }
    }

    /// Adds `Authorization: Bearer`.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// Adds `Authorization: Basic`.
    pub fn basic(self, user: &str, password: &str) -> Self {
        self.map(|b| b.basic_auth(user, Some(password)))
    }

    /// Sends a JSON body.
    pub fn json<T: Serialize + ?Sized>(self, body: &T) -> Self {
        match serde_json::to_vec(body) {
            Ok(bytes) => self.header("content-type", "application/json").body(bytes),
            Err(e) => Self { inner: Err(Error::Unreadable(e.to_string())), ..self },
        }
    }

    /// Sends bytes.
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        let body: Bytes = body.into();
        self.map(|b| b.body(body))
    }

    /// Sends a body as it comes, in constant memory. Such a request cannot be repeated.
    pub fn stream<S, E>(self, body: S) -> Self
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: std::error::Error + Send + Sync + 'static,
    {
        self.map(|b| b.body(reqwest::Body::wrap_stream(body.map_err(Box::new))))
    }

    /// Another limit on the whole exchange; `None` for none.
    pub fn total(mut self, limit: Option<Duration>) -> Self {
        self.limits.total = limit;
        self
    }

    /// Another limit on a body that is read into memory.
    pub fn body_limit(mut self, bytes: u64) -> Self {
        self.limits.body = bytes;
        self
    }

    /// Sends the request and waits for the head of the answer. Every status is an answer, also 404 and 500.
    ///
    /// # Errors
    /// When there is no answer; see [`Error`].
    pub async fn send(self) -> Result<Response> {
        let (host, mut builder) = self.inner?;
        if let Some(total) = self.limits.total {
            builder = builder.timeout(total);
        }
        match builder.send().await {
            Ok(answer) => Ok(Response::new(answer, host, self.limits.body)),
            Err(error) => {
                tracing::debug!(%host, %error, "no answer");
                Err(Error::from_reqwest(&host, &error))
            }
        }
    }
}
