//! How a runner reaches its server: over HTTP, or the server's own routes in the same process.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use executors::host::ByteStream;
use futures::{StreamExt as _, TryStreamExt as _};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};

/// Bytes of one read from a file that is sent.
const PIECE: usize = 256 * 1024;

/// What a request carries. A file can be sent again when the first try breaks.
#[derive(Clone, Debug, Default)]
pub enum Payload {
    /// Nothing.
    #[default]
    Empty,
    /// Bytes.
    Bytes(Bytes),
    /// A file, as it is when it is sent.
    File(PathBuf),
}

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Method.
    pub method: Method,
    /// Path and query, beginning with a slash.
    pub path: String,
    /// Value of `Authorization`.
    pub authorization: String,
    /// Value of `Content-Type`, if there is a body.
    pub content_type: &'static str,
    /// Body.
    pub payload: Payload,
    /// Bound on the whole exchange.
    pub limit: Option<Duration>,
}

/// The head of an answer, and its body as it comes.
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: ByteStream,
}

impl Answer {
    /// Reads the body, up to a limit.
    ///
    /// # Errors
    /// When it breaks or is larger.
    pub async fn bytes(self, limit: usize) -> io::Result<Bytes> {
        let mut all = Vec::new();
        let mut body = self.body;
        while let Some(piece) = body.next().await {
            all.extend_from_slice(&piece?);
            if all.len() > limit {
                return Err(io::Error::other(format!("the answer is larger than {limit} bytes")));
            }
        }
        Ok(all.into())
    }
}

/// A way to the server. An error means that there is no answer; a status is not an error.
#[async_trait::async_trait]
pub trait Transport: Send + Sync {
    /// Makes a call.
    async fn send(&self, call: Call) -> io::Result<Answer>;
}

async fn open(path: PathBuf) -> io::Result<(u64, ByteStream)> {
    let file = tokio::fs::File::open(path).await?;
    let length = file.metadata().await?.len();
    let stream: ByteStream = Box::pin(tokio_util::io::ReaderStream::with_capacity(file, PIECE));
    Ok((length, stream))
}

/// Over the network.
pub struct HttpTransport {
    client: egress::Client,
    base: String,
}

impl HttpTransport {
    /// To the server at `base`, such as `https://devmentor.example`.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(base: &str) -> egress::Result<Self> {
        Ok(Self { client: egress::Client::user_directed()?, base: base.trim_end_matches('/').to_owned() })
    }
}

#[async_trait::async_trait]
impl Transport for HttpTransport {
    async fn send(&self, call: Call) -> io::Result<Answer> {
        let mut request = self.client.request(call.method, &format!("{}{}", self.base, call.path)).total(call.limit);
        if !call.authorization.is_empty() {
            request = request.header("authorization", &call.authorization);
        }
        if !call.content_type.is_empty() {
            request = request.header("content-type", call.content_type);
        }
        request = match call.payload {
            Payload::Empty => request,
            Payload::Bytes(bytes) => request.body(bytes),
            Payload::File(path) => {
                let (length, stream) = open(path).await?;
                request.header("content-length", &length.to_string()).stream(stream)
            }
        };
        let answer = request.send().await.map_err(io::Error::other)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        Ok(Answer { status, headers, body: Box::pin(answer.chunks().map_err(io::Error::other)) })
    }
}

/// Body of a request to a service in this process.
pub type LocalBody = UnsyncBoxBody<Bytes, io::Error>;

/// Into a service of this process: the server's router, without a socket between.
pub struct LocalTransport<S> {
    service: S,
}

impl<S> LocalTransport<S> {
    /// To the routes of `service`.
    pub fn new(service: S) -> Self {
        Self { service }
    }
}

#[async_trait::async_trait]
impl<S, B> Transport for LocalTransport<S>
where
    S: tower::Service<http::Request<LocalBody>, Response = http::Response<B>, Error = std::convert::Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    async fn send(&self, call: Call) -> io::Result<Answer> {
        let mut request = http::Request::builder().method(call.method).uri(&call.path);
        if !call.authorization.is_empty() {
            request = request.header("authorization", &call.authorization);
        }
        if !call.content_type.is_empty() {
            request = request.header("content-type", call.content_type);
        }
        let body = match call.payload {
            Payload::Empty => Full::<Bytes>::default().map_err(io::Error::other).boxed_unsync(),
            Payload::Bytes(bytes) => {
                request = request.header("content-length", bytes.len());
                Full::new(bytes).map_err(io::Error::other).boxed_unsync()
            }
            Payload::File(path) => {
                let (length, stream) = open(path).await?;
                request = request.header("content-length", length);
                StreamBody::new(stream.map_ok(http_body::Frame::data)).boxed_unsync()
            }
        };
        let request = request.body(body).map_err(io::Error::other)?;
        let service = self.service.clone();
        let asked = tower::ServiceExt::oneshot(service, request);
        let answer = match call.limit {
            Some(limit) => tokio::time::timeout(limit, asked).await.map_err(io::Error::other)?,
            None => asked.await,
        };
        let (head, body) = answer.unwrap_or_else(|never| match never {}).into_parts();
        let body = body.into_data_stream().map_err(io::Error::other);
        Ok(Answer { status: head.status, headers: head.headers, body: Box::pin(body) })
    }
}
