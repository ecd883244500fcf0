//! The server as the client commands see it: JSON in, JSON out, problems turned into [`Failure`]s.
//!
//! Requests that may be sent twice are sent again, with growing pauses, when the server cannot be reached or says that it
//! cannot work now. A POST may be sent twice because it carries an `Idempotency-Key`.

use std::time::Duration;

use egress::{EventStream, Method, Response, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use crate::failure::{Failure, Result};

const TRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Encodes one segment of a path, or one value of a query.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// Joins a path and a query; values that are `None` are left out.
pub(crate) fn with_query<'a>(path: &str, query: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> String {
    let mut out = path.to_owned();
    let mut mark = '?';
    for (key, value) in query {
        if let Some(value) = value {
            out.push_str(&format!("{mark}{key}={}", segment(value)));
            mark = '&';
        }
    }
    out
}

/// One server, and who is asking.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    http: egress::Client,
    base: String,
    auth: Auth,
}

#[derive(Clone, Debug)]
enum Auth {
    Nobody,
    Bearer(String),
    Cookie(String),
}

impl Api {
    /// A client for a server's base address.
    pub(crate) fn new(base: &str, token: Option<String>) -> Result<Self> {
        let auth = token.map_or(Auth::Nobody, Auth::Bearer);
        Ok(Self { http: egress::Client::user_directed()?, base: base.trim_end_matches('/').to_owned(), auth })
    }

    /// The same server, asked with a session cookie.
    pub(crate) fn with_cookie(&self, cookie: String) -> Self {
        Self { auth: Auth::Cookie(cookie), ..self.clone() }
    }

    /// The same server, asked with a token.
    pub(crate) fn with_token(&self, token: String) -> Self {
        Self { auth: Auth::Bearer(token), ..self.clone() }
    }

    /// The base address, without a slash at its end.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// `GET` of a path with its query.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        read(self.send(Method::GET, path, None, &[]).await?).await
    }

    /// `POST` of JSON.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T> {
        read(self.send(Method::POST, path, Some(body), &[]).await?).await
    }

    /// `PATCH` with JSON, of the version that was read.
    pub(crate) async fn patch<T: DeserializeOwned>(&self, path: &str, body: &Value, version: &Value) -> Result<T> {
        let tag = format!("\"{version}\"");
        read(self.send(Method::PATCH, path, Some(body), &[("if-match", &tag)]).await?).await
    }

    /// `DELETE` of a path.
    pub(crate) async fn delete(&self, path: &str) -> Result {
        self.send(Method::DELETE, path, None, &[]).await.map(drop)
    }

    /// Up to `most` items of a list, page by page. `path` may hold a query.
    pub(crate) async fn list(&self, path: &str, most: usize) -> Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let limit = most.saturating_sub(items.len()).clamp(1, 100).to_string();
            let page = with_query("", [("limit", Some(limit.as_str())), ("after", after.as_deref())]);
            let joined = if path.contains('?') { format!("{path}&{}", &page[1..]) } else { format!("{path}{page}") };
            let answer: Value = self.get(&joined).await?;
            items.extend(answer["items"].as_array().cloned().unwrap_or_default());
            after = answer["next"].as_str().map(str::to_owned);
            if after.is_none() || items.len() >= most {
                items.truncate(most);
                return Ok(items);
            }
        }
    }

    /// Opens a stream of events, from the event after `last` if that is given.
    pub(crate) async fn events(&self, path: &str, last: Option<&str>) -> Result<EventStream> {
        let headers: Vec<(&str, &str)> = last.map(|id| ("last-event-id", id)).into_iter().collect();
        Ok(self.send(Method::GET, path, None, &headers).await?.events()?)
    }

    /// Follows a live view until the server says `end`, connecting again when the connection breaks. `seen` gets each event
    /// with its data as JSON.
    pub(crate) async fn follow(&self, path: &str, mut seen: impl FnMut(&str, Value) -> Result) -> Result {
        let mut last: Option<String> = None;
        let mut broken = 0;
        loop {
            match self.events(path, last.as_deref()).await {
                Ok(mut events) => loop {
                    match events.next().await {
                        Ok(Some(event)) if event.name == "end" => return Ok(()),
                        Ok(Some(event)) => {
                            broken = 0;
                            last = event.id.or(last);
                            if event.name == "error" {
                                return Err(Failure::from_problem(0, event.data.as_bytes()));
                            }
                            seen(&event.name, serde_json::from_str(&event.data)?)?;
                        }
                        // a stream without its end was cut, whatever the reason
                        Ok(None) | Err(_) => break,
                    }
                },
                // while following, a restart of the server is waited for longer than one request would
                Err(Failure::Unreachable(why)) if broken >= TRIES => return Err(Failure::Unreachable(why)),
                Err(Failure::Unreachable(_)) => {}
                Err(other) => return Err(other),
            }
            broken += 1;
            if broken > 2 * TRIES {
                return Err(Failure::Unreachable("the live view keeps breaking off".to_owned()));
            }
            tokio::time::sleep(pause(broken, None)).await;
        }
    }

    /// Sends a request, again if that is safe and useful, and gives the first good answer.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<&Value>, headers: &[(&str, &str)]) -> Result<Response> {
        let url = format!("{}{path}", self.base);
        let key = (method == Method::POST).then(|| Uuid::new_v4().to_string());
        let mut failed = 0;
        loop {
            let mut request = self.http.request(method.clone(), &url).header("accept", "application/json, */*;q=0.5");
            request = match &self.auth {
                Auth::Nobody => request,
                Auth::Bearer(token) => request.bearer(token),
                // a cookie is only believed when the request says that it comes from the same origin
                Auth::Cookie(cookie) => request.header("cookie", cookie).header("origin", &self.base),
            };
            if let Some(key) = &key {
                request = request.header("idempotency-key", key);
            }
            if let Some(body) = body {
                request = request.json(body);
            }
            for (name, value) in headers {
                request = request.header(name, value);
            }
            failed += 1;
            match request.send().await {
                Ok(answer) if answer.status().is_success() => return Ok(answer),
                Ok(answer) if failed < TRIES && (again(answer.status()) || in_flight(&answer)) => {
                    let after = answer.header("retry-after").and_then(|t| t.parse().ok()).map(Duration::from_secs);
                    tokio::time::sleep(pause(failed, after)).await;
                }
                Ok(answer) => return Err(refusal(answer).await),
                Err(egress::Error::Unreachable { .. } | egress::Error::Timeout { .. }) if failed < TRIES => {
                    tokio::time::sleep(pause(failed, None)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Is this an answer after which the same request may do better?
fn again(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
    )
}

/// An earlier try of ours is still being carried out, or was when its instance died.
fn in_flight(answer: &Response) -> bool {
    answer.status() == StatusCode::CONFLICT && answer.header("retry-after").is_some()
}

fn pause(failed: u32, asked: Option<Duration>) -> Duration {
    asked.unwrap_or_else(|| FIRST_PAUSE * 2u32.saturating_pow(failed.saturating_sub(1).min(8))).min(LONGEST_PAUSE)
}

async fn refusal(answer: Response) -> Failure {
    let status = answer.status().as_u16();
    match answer.bytes().await {
        Ok(body) => Failure::from_problem(status, &body),
        Err(error) => error.into(),
    }
}

async fn read<T: DeserializeOwned>(answer: Response) -> Result<T> {
    let bytes = answer.bytes().await?;
    let bytes: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
    Ok(serde_json::from_slice(bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_queries_are_encoded() {
        assert_eq!(segment("acme/web site"), "acme%2Fweb%20site");
        assert_eq!(with_query("/a", [("q", Some("x&y=z")), ("no", None), ("b", Some("é"))]), "/a?q=x%26y%3Dz&b=%C3%A9");
        assert_eq!(with_query("/a", [("q", None)]), "/a");
    }

    #[test]
    fn pauses_grow_and_end() {
        assert_eq!(pause(1, None), Duration::from_millis(250));
        assert_eq!(pause(3, None), Duration::from_secs(1));
        assert_eq!(pause(40, None), LONGEST_PAUSE);
        assert_eq!(pause(1, Some(Duration::from_hours(1))), LONGEST_PAUSE);
    }
}
