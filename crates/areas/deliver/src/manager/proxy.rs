//! The front of an environment: one port for life, on which an HTTP proxy forwards to the release that runs. Switching
//! is one store of a pointer: a request that has begun ends where it began, the next goes to the new release, and no
//! connection is refused or cut.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Request;
use http::Response;
use http::StatusCode;
use http::Uri;
use http::header;
use http_body_util::BodyExt as _;
use http_body_util::Empty;
use http_body_util::Full;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use parking_lot::RwLock;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::watch::Requests;

type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// Connections of one environment at once.
const CONNECTIONS: usize = 8192;
/// How long a request may wait for an application that is being started again.
const PATIENCE: Duration = Duration::from_secs(5);
/// Headers that are between two neighbours and not passed on.
const HOP: [header::HeaderName; 6] =
    [header::CONNECTION, header::PROXY_AUTHENTICATE, header::PROXY_AUTHORIZATION, header::TE, header::TRAILER, header::TRANSFER_ENCODING];

/// A running release as the proxy sees it.
pub(super) struct Backend {
    port: u16,
    client: Client<HttpConnector, Body>,
    in_flight: AtomicUsize,
}

impl Backend {
    pub(super) fn new(port: u16) -> Arc<Self> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(2)));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(256)
            .set_host(false)
            .build(connector);
        Arc::new(Self { port, client, in_flight: AtomicUsize::new(0) })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Waits until the requests that began here have ended, at most so long. Were they all?
    pub(super) async fn drained(&self, at_most: Duration) -> bool {
        let end = Instant::now() + at_most;
        // a request may have read the pointer and not been counted yet
        tokio::time::sleep(Duration::from_millis(20)).await;
        while self.in_flight.load(Ordering::Acquire) > 0 {
            if Instant::now() >= end {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        true
    }
}

/// Counts a request until it is dropped with the last of its body.
struct Guard(Arc<Backend>);

impl Guard {
    fn new(backend: &Arc<Backend>) -> Self {
        backend.in_flight.fetch_add(1, Ordering::AcqRel);
        Self(backend.clone())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What the connections of one environment share.
#[derive(Default)]
pub(super) struct Front {
    current: RwLock<Option<Arc<Backend>>>,
    pub(super) requests: Requests,
}

impl Front {
    /// Sends what comes from now on to another backend; gives back the one before.
    pub(super) fn switch(&self, to: Option<Arc<Backend>>) -> Option<Arc<Backend>> {
        std::mem::replace(&mut *self.current.write(), to)
    }

    pub(super) fn current(&self) -> Option<Arc<Backend>> {
        self.current.read().clone()
    }
}

/// Accepts connections until it is dropped or aborted.
pub(super) async fn serve(listener: TcpListener, front: Arc<Front>) {
    let turns = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(turn) = turns.clone().acquire_owned().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // out of file descriptors, most likely: give some time to come back
                tracing::warn!(%error, "accepting a connection of an environment failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let front = front.clone();
        tokio::spawn(async move {
            let _turn = turn;
            connection(stream, peer, front).await;
        });
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, front: Arc<Front>) {
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request| {
        let front = front.clone();
        async move { Ok::<_, Infallible>(answer(request, peer, &front).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(60))
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection of an environment ended badly");
    }
}

fn text(status: StatusCode, message: &'static str) -> Response<Body> {
    let body = Full::new(Bytes::from_static(message.as_bytes())).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    }
    response
}

async fn answer(request: Request<Incoming>, peer: SocketAddr, front: &Front) -> Response<Body> {
    let begun = Instant::now();
    let response = match forward(request, peer, front).await {
        Ok(response) => response,
        Err(Unanswered::Nothing) => text(StatusCode::SERVICE_UNAVAILABLE, "nothing is deployed here\n"),
        Err(Unanswered::Bad) => text(StatusCode::BAD_REQUEST, "the request cannot be forwarded\n"),
        Err(Unanswered::Away) => text(StatusCode::BAD_GATEWAY, "the application does not answer\n"),
    };
    front.requests.count(begun.elapsed(), response.status().is_server_error());
    response
}

enum Unanswered {
    Nothing,
    Bad,
    Away,
}

async fn forward(mut request: Request<Incoming>, peer: SocketAddr, front: &Front) -> Result<Response<Body>, Unanswered> {
    let upgrade = upgrade_of(request.headers());
    let ours = upgrade.is_some().then(|| hyper::upgrade::on(&mut request));
    let path = request.uri().path_and_query().map_or("/", |p| p.as_str()).to_owned();
    let (mut parts, body) = request.into_parts();
    strip(&mut parts.headers, upgrade.as_ref());
    let forwarded =
        [("x-forwarded-proto", Some(HeaderValue::from_static("http"))), ("x-forwarded-host", parts.headers.get(header::HOST).cloned())];
    for (name, value) in forwarded {
        if let Some(value) = value {
            parts.headers.entry(name).or_insert(value);
        }
    }
    if let Ok(value) = HeaderValue::from_str(&peer.ip().to_string()) {
        parts.headers.append("x-forwarded-for", value);
    }
    // a request without a body can be sent again when the application was not there to take it
    let repeatable = hyper::body::Body::is_end_stream(&body);
    let mut body = Some(body);
    let begun = Instant::now();
    loop {
        let backend = front.current().ok_or(Unanswered::Nothing)?;
        let guard = Guard::new(&backend);
        let uri: Uri = format!("http://127.0.0.1:{}{path}", backend.port).parse().map_err(|_| Unanswered::Bad)?;
        let content: Body = match body.take() {
            Some(body) if !repeatable => body.boxed_unsync(),
            _ => Empty::new().map_err(|never| match never {}).boxed_unsync(),
        };
        let mut outgoing = Request::new(content);
        *outgoing.method_mut() = parts.method.clone();
        *outgoing.uri_mut() = uri;
        *outgoing.headers_mut() = parts.headers.clone();
        match backend.client.request(outgoing).await {
            Ok(response) => return Ok(pass_back(response, ours, guard)),
            Err(error) if repeatable && error.is_connect() && begun.elapsed() < PATIENCE => {
                // it is being started again, or just gave way to another
                drop(guard);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(error) => {
                tracing::debug!(error = ?error, "an application did not answer");
                return Err(Unanswered::Away);
            }
        }
    }
}

fn pass_back(mut response: Response<Incoming>, ours: Option<hyper::upgrade::OnUpgrade>, guard: Guard) -> Response<Body> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS
        && let Some(ours) = ours
    {
        let theirs = hyper::upgrade::on(&mut response);
        let upgrade = upgrade_of(response.headers());
        tokio::spawn(async move {
            let _guard = guard;
            if let (Ok(ours), Ok(theirs)) = tokio::join!(ours, theirs) {
                // whichever side ends it: there is nobody to tell
                let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(ours), &mut TokioIo::new(theirs)).await;
            }
        });
        let (mut parts, _) = response.into_parts();
        strip(&mut parts.headers, upgrade.as_ref());
        return Response::from_parts(parts, Empty::new().map_err(|never| match never {}).boxed_unsync());
    }
    let (mut parts, body) = response.into_parts();
    strip(&mut parts.headers, None);
    let body = body.map_frame(move |frame| {
        let _counted = &guard;
        frame
    });
    Response::from_parts(parts, body.boxed_unsync())
}

/// The protocol a message wants to change to.
fn upgrade_of(headers: &HeaderMap) -> Option<HeaderValue> {
    let asks = headers.get_all(header::CONNECTION).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
    asks.into_iter().any(|v| v.trim().eq_ignore_ascii_case("upgrade")).then(|| headers.get(header::UPGRADE).cloned()).flatten()
}

/// Takes off what is between neighbours, and what `Connection` names besides; leaves the wish to upgrade.
fn strip(headers: &mut HeaderMap, upgrade: Option<&HeaderValue>) {
    let named: Vec<header::HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in HOP.iter().chain(&named) {
        headers.remove(name);
    }
    headers.remove("keep-alive");
    headers.remove("proxy-connection");
    headers.remove(header::UPGRADE);
    if let Some(upgrade) = upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, upgrade.clone());
    }
}

/// Asks an application for its health; the status when it answered.
pub(super) async fn probe(port: u16, path: &str, timeout: Duration) -> Result<StatusCode, String> {
    let ask = async {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(|e| format!("no connection: {e}"))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| format!("no HTTP: {e}"))?;
        let driving = tokio::spawn(connection);
        let request = Request::builder()
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::USER_AGENT, "devmentor-health")
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|e| e.to_string())?;
        let answer = sender.send_request(request).await.map_err(|e| format!("no answer: {e}"));
        driving.abort();
        Ok(answer?.status())
    };
    tokio::time::timeout(timeout, ask).await.unwrap_or_else(|_| Err(format!("no answer within {} s", timeout.as_secs())))
}
