//! A small blocking client of the API.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Once};
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Runtime;

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("runtime"));

fn client() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(180))
        .no_proxy()
        .build()
        .expect("client")
}

/// One caller of the API.
#[derive(Clone)]
pub struct Api {
    url: String,
    headers: BTreeMap<String, String>,
    client: reqwest::Client,
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, names in lower case; several of one name joined by `, `.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub bytes: Vec<u8>,
    /// The JSON of the body; null when it is none.
    pub json: Value,
    asked: String,
}

impl Api {
    /// Nobody.
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned(), headers: BTreeMap::new(), client: client() }
    }

    /// With a bearer token.
    #[must_use]
    pub fn token(&self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// With a header on every request.
    #[must_use]
    pub fn header(&self, name: &str, value: &str) -> Self {
        let mut other = self.clone();
        other.headers.insert(name.to_owned(), value.to_owned());
        other
    }

    /// The address it speaks to.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends a request; panics only when there is no answer at all.
    pub fn send(&self, method: &str, path: &str, body: Option<(&str, Vec<u8>)>) -> Answer {
        self.try_send(method, path, body).unwrap_or_else(|e| panic!("{method} {path}: {e}"))
    }

    /// Sends a request.
    ///
    /// # Errors
    /// When there is no answer, as from a server that was killed.
    pub fn try_send(&self, method: &str, path: &str, body: Option<(&str, Vec<u8>)>) -> Result<Answer, String> {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.url) };
        let mut request = self.client.request(method.parse().expect("method"), url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some((kind, bytes)) = body {
            request = request.header("content-type", kind).body(bytes);
        }
        let asked = format!("{method} {path}");
        let work = async {
            let response = request.send().await.map_err(|e| format!("{e:?}"))?;
            let status = response.status().as_u16();
            let mut headers: BTreeMap<String, String> = BTreeMap::new();
            for (name, value) in response.headers() {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                headers.entry(name.as_str().to_owned()).and_modify(|v| *v = format!("{v}, {value}")).or_insert(value);
            }
            let bytes = response.bytes().await.map_err(|e| format!("{e:?}"))?.to_vec();
            let json = serde_json::from_slice(&bytes).unwrap_or_default();
            Ok(Answer { status, headers, bytes, json, asked })
        };
        // tests run on plain threads; each may block on the shared runtime
        RUNTIME.block_on(work)
    }

    /// `GET`.
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None)
    }

    /// `POST` with JSON.
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, Some(("application/json", body.to_string().into_bytes())))
    }

    /// `PUT` with JSON.
    pub fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, Some(("application/json", body.to_string().into_bytes())))
    }

    /// `PATCH` with JSON.
    pub fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send("PATCH", path, Some(("application/json", body.to_string().into_bytes())))
    }

    /// `DELETE`.
    pub fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, None)
    }

    /// Reads server-sent events until `done` accepts one or the stream ends: pairs of event and data.
    pub fn events(&self, path: &str, mut done: impl FnMut(&str, &str) -> bool) -> Vec<(String, String)> {
        let mut request = self.client.get(format!("{}{path}", self.url)).header("accept", "text/event-stream");
        // streams live as long as what they tell of
        request = request.timeout(Duration::from_secs(3600));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        RUNTIME.block_on(async {
            let mut response = request.send().await.expect("an answer");
            assert_eq!(response.status().as_u16(), 200, "GET {path}");
            let (mut text, mut out) = (String::new(), Vec::new());
            while let Some(chunk) = response.chunk().await.expect("a chunk") {
                text.push_str(&String::from_utf8_lossy(&chunk));
                while let Some(end) = text.find("\n\n") {
                    let block: String = text.drain(..end + 2).collect();
                    let field = |name: &str| -> Vec<String> {
                        block.lines().filter_map(|l| l.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned)).collect()
                    };
                    let (event, data) = (field("event").join(""), field("data").join("\n"));
                    if event.is_empty() && data.is_empty() {
                        continue;
                    }
                    let stop = done(&event, &data);
                    out.push((event, data));
                    if stop {
                        return out;
                    }
                }
            }
            out
        })
    }
}

impl Answer {
    /// Holds the answer to a status; panics with the whole of it otherwise.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}: {} {}", self.asked, self.status, String::from_utf8_lossy(&self.bytes));
        self
    }

    /// Holds the answer to a problem document with this status and code.
    #[track_caller]
    pub fn problem(self, status: u16, code: &str) -> Self {
        let this = self.expect(status);
        assert_eq!(this.json["code"], code, "{}: {}", this.asked, this.json);
        assert_eq!(this.json["status"], status);
        assert_eq!(this.header("content-type"), "application/problem+json");
        this
    }

    /// A header, empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// A text of the JSON body by its key.
    #[track_caller]
    pub fn str(&self, key: &str) -> String {
        self.json[key].as_str().unwrap_or_else(|| panic!("{}: no text {key} in {}", self.asked, self.json)).to_owned()
    }

    /// The items of a list.
    #[track_caller]
    pub fn items(&self) -> Vec<Value> {
        self.json["items"].as_array().unwrap_or_else(|| panic!("{}: no items in {}", self.asked, self.json)).clone()
    }
}
