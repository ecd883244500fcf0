//! An answer, read within bounds.

use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, TryStreamExt};
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::error::{Error, Result};
use crate::sse::{Event, Parser};

/// The head of an answer, and its body yet to be read.
#[derive(Debug)]
pub struct Response {
    inner: reqwest::Response,
    host: String,
    limit: u64,
}

impl Response {
    pub(crate) fn new(inner: reqwest::Response, host: String, limit: u64) -> Self {
        Self { inner, host, limit }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.inner.status()
    }

    /// All headers.
    pub fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// One header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.inner.headers().get(name)?.to_str().ok()
    }

    /// Where the answer came from, after redirects.
    pub fn url(&self) -> &str {
        self.inner.url().as_str()
    }

    /// The announced size of the body, if any.
    pub fn length(&self) -> Option<u64> {
        self.inner.content_length()
    }

    /// The body, whole.
    ///
    /// # Errors
    /// [`Error::TooLarge`] over the limit, and whatever interrupts it.
    pub async fn bytes(self) -> Result<Bytes> {
        let limit = self.limit;
        if self.length().is_some_and(|n| n > limit) {
            return Err(Error::TooLarge { limit });
        }
        let mut all = BytesMut::new();
        let mut chunks = self.chunks();
        while let Some(chunk) = chunks.try_next().await? {
            if all.len() as u64 + chunk.len() as u64 > limit {
                return Err(Error::TooLarge { limit });
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }

    /// The body as text.
    ///
    /// # Errors
    /// As [`Response::bytes`], and when it is not UTF-8.
    pub async fn text(self) -> Result<String> {
        String::from_utf8(self.bytes().await?.into()).map_err(|_| Error::Unreadable("not UTF-8".to_owned()))
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// As [`Response::bytes`], and when it is not the expected JSON.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T> {
        serde_json::from_slice(&self.bytes().await?).map_err(|e| Error::Unreadable(e.to_string()))
    }

    /// The body as it comes, without a limit on its size.
    pub fn chunks(self) -> impl Stream<Item = Result<Bytes>> + Send + Unpin {
        let host = self.host;
        self.inner.bytes_stream().map_err(move |e| Error::from_reqwest(&host, &e))
    }

    /// Writes the body somewhere in constant memory; `seen` is told of the size of each part. Returns the size of all.
    ///
    /// # Errors
    /// Whatever interrupts it; what was written so far stays.
    pub async fn copy_to(self, to: &mut (impl AsyncWrite + Unpin), mut seen: impl FnMut(u64)) -> Result<u64> {
        let mut total = 0;
        let mut chunks = self.chunks();
        while let Some(chunk) = chunks.try_next().await? {
            to.write_all(&chunk).await?;
            total += chunk.len() as u64;
            seen(chunk.len() as u64);
        }
        to.flush().await?;
        Ok(total)
    }

    /// The body as server-sent events.
    ///
    /// # Errors
    /// When it is of another type.
    pub fn events(self) -> Result<EventStream> {
        let kind = self.header("content-type").unwrap_or_default();
        if !kind.starts_with("text/event-stream") {
            return Err(Error::Unreadable(format!("expected text/event-stream and got {kind:?}")));
        }
        Ok(EventStream { chunks: Box::pin(self.chunks()), parser: Parser::default(), ready: Vec::new().into_iter() })
    }
}

/// Events as they arrive.
pub struct EventStream {
    chunks: Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>,
    parser: Parser,
    ready: std::vec::IntoIter<Event>,
}

impl EventStream {
    /// The next event; `None` when the server has closed the stream.
    ///
    /// # Errors
    /// When the connection breaks, or an event is too large. Connect again with `Last-Event-ID` then.
    pub async fn next(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some(event) = self.ready.next() {
                return Ok(Some(event));
            }
            match self.chunks.next().await {
                Some(chunk) => self.ready = self.parser.push(&chunk?)?.into_iter(),
                None => return Ok(None),
            }
        }
    }

    /// The id to send as `Last-Event-ID` when connecting again.
    pub fn last_id(&self) -> Option<&str> {
        self.parser.last_id()
    }
}
