//! Where log lines and traces go: standard error as text or JSON, and an OTLP collector when one is configured.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use kernel::{Code, Error, Result};
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};
use web_kit::Config;

/// Longest time that the last spans may take to leave.
const FLUSH: Duration = Duration::from_secs(5);

/// What has to be ended before the process is.
pub(crate) struct Telemetry {
    traces: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Sends what is left.
    pub(crate) async fn stop(self) {
        let Some(provider) = self.traces else { return };
        // it waits for its own thread, which in turn needs this runtime to send
        let stopped = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH)).await;
        if let Ok(Err(error)) = stopped {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// Installs the subscriber of the process. To be called on the runtime that will send the traces.
pub(crate) fn start(config: &Config) -> Result<Telemetry> {
    let bad = |what: &str, why: String| Error::new(Code::InvalidRequest, format!("{what}: {why}"));
    let filter = EnvFilter::try_new(&config.log_filter).map_err(|e| bad("log_filter", e.to_string()))?;
    let json = match config.log_format.as_str() {
        "json" => true,
        "text" => false,
        "auto" => !stderr().is_terminal(),
        other => return Err(bad("log_format", format!("{other} is neither json, text nor auto"))),
    };
    let lines = if json {
        fmt::layer().json().flatten_event(true).with_current_span(true).with_span_list(false).with_writer(stderr).boxed()
    } else {
        fmt::layer().with_ansi(stderr().is_terminal()).with_writer(stderr).boxed()
    };
    let traces = config.otlp_endpoint.as_deref().map(exporter).transpose()?;
    let spans = traces.as_ref().map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer("devmentor")));
    tracing_subscriber::registry().with(filter).with(lines).with(spans).try_init().map_err(|e| Error::internal(e.to_string()))?;
    Ok(Telemetry { traces })
}

fn exporter(endpoint: &str) -> Result<SdkTracerProvider> {
    let bad = |why: String| Error::new(Code::InvalidRequest, format!("otlp_endpoint: {why}"));
    let client = egress::Client::user_directed().map_err(|e| bad(e.to_string()))?;
    let sender = Sender { client, runtime: tokio::runtime::Handle::current() };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(sender)
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .build()
        .map_err(|e| bad(e.to_string()))?;
    let resource = Resource::builder().with_service_name("devmentor-project-service").build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

/// Exports through our own client. The exporter runs on a thread without a runtime, so the request runs on ours.
#[derive(Debug)]
struct Sender {
    client: egress::Client,
    runtime: tokio::runtime::Handle,
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let mut call = self.client.request(head.method, &head.uri.to_string()).total(Some(Duration::from_secs(10))).body(body);
        for (name, value) in &head.headers {
            call = call.header(name.as_str(), value.to_str()?);
        }
        let answer = self.runtime.spawn(async move {
            let answer = call.send().await?;
            let status = answer.status();
            Ok::<_, egress::Error>((status, answer.bytes().await?))
        });
        let (status, body) = answer.await??;
        Ok(Response::builder().status(status).body(body)?)
    }
}
