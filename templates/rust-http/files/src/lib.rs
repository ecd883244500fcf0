//! The routes of the service, and the loop that answers them.

use std::io;
use std::sync::Arc;
use std::thread;

use tiny_http::{Header, Method, Request, Response, Server};

/// The word in front of the name.
pub const GREETING: &str = "{{ greeting }}";

const MAX_NAME: usize = 100;
const WORKERS: usize = 4;

/// What a request is answered with: a status and a JSON text.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Answer {
    fn json(status: u16, key: &str, value: &str) -> Self {
        Self {
            status,
            body: format!(r#"{{{{"{key}":"{}"}}"#, escape(value)),
        }
    }
}

/// Answers requests on every worker until someone calls [`Server::unblock`] for each of them.
pub fn serve(server: &Arc<Server>) {
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| {
            let server = Arc::clone(server);
            thread::spawn(move || {
                while let Ok(request) = server.recv() {
                    if let Err(error) = respond(request) {
                        eprintln!("answer not sent: {error}");
                    }
                }
            })
        })
        .collect();
    for worker in workers {
        if worker.join().is_err() {
            eprintln!("a worker panicked");
        }
    }
}

/// Makes every worker of [`serve`] end after the request it is answering.
pub fn stop(server: &Server) {
    for _ in 0..WORKERS {
        server.unblock();
    }
}

fn respond(request: Request) -> io::Result<()> {
    let answer = route(request.method(), request.url());
    let mut response = Response::from_string(answer.body).with_status_code(answer.status);
    if let Ok(header) = Header::from_bytes("Content-Type", "application/json") {
        response.add_header(header);
    }
    request.respond(response)
}

/// Routes one request: `/` greets, `/health` tells that the service is up.
pub fn route(method: &Method, url: &str) -> Answer {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    match (path, method) {
        ("/health", _) => Answer::json(200, "status", "ok"),
        ("/", Method::Get | Method::Head) => match query_value(query, "name") {
            Some(name) if name.chars().count() > MAX_NAME => {
                Answer::json(400, "error", "name is too long")
            }
            name => Answer::json(200, "message", &greet(name.as_deref().unwrap_or_default())),
        },
        ("/", _) => Answer::json(405, "error", "method not allowed"),
        _ => Answer::json(404, "error", "not found"),
    }
}

/// Builds the text for a name; nobody in particular is the world.
pub fn greet(name: &str) -> String {
    let name = match name.trim() {
        "" => "world",
        name => name,
    };
    format!("{GREETING}, {name}!")
}

/// The decoded value of one key of a query string.
fn query_value(query: &str, key: &str) -> Option<String> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(k, _)| *k == key)
        .map(|(_, value)| decode(value))
}

/// Undoes percent-encoding; a broken escape stays as it is.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = match (first, tail) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)).map(|(h, l)| h * 16 + l),
            _ => None,
        };
        match (escaped, first) {
            (Some(byte), _) => {
                bytes.push(byte);
                rest = &tail[2..];
                continue;
            }
            (None, b'+') => bytes.push(b' '),
            (None, other) => bytes.push(other),
        }
        rest = tail;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|n| u8::try_from(n).ok())
}

/// Escapes a text for a JSON string.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if u32::from(c) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greets_by_name_or_the_world() {
        for (name, want) in [
            ("", "world"),
            ("  ", "world"),
            ("Ada", "Ada"),
            (" Grace ", "Grace"),
        ] {
            assert_eq!(greet(name), format!("{GREETING}, {want}!"));
        }
    }

    #[test]
    fn routes() {
        let long = format!("/?name={}", "x".repeat(MAX_NAME + 1));
        for (method, url, want) in [
            (Method::Get, "/", Answer::json(200, "message", &greet(""))),
            (
                Method::Get,
                "/?name=Zo%C3%AB+K",
                Answer::json(200, "message", &greet("Zoë K")),
            ),
            (
                Method::Get,
                &long,
                Answer::json(400, "error", "name is too long"),
            ),
            (Method::Get, "/health", Answer::json(200, "status", "ok")),
            (
                Method::Get,
                "/nowhere",
                Answer::json(404, "error", "not found"),
            ),
            (
                Method::Post,
                "/",
                Answer::json(405, "error", "method not allowed"),
            ),
        ] {
            assert_eq!(route(&method, url), want, "{method} {url}");
        }
    }

    #[test]
    fn a_name_cannot_break_out_of_the_json() {
        let answer = route(&Method::Get, "/?name=%22%5C%0A");
        assert!(answer.body.ends_with(r#"\"\\!"}"#), "{}", answer.body);
    }

    #[test]
    fn broken_escapes_stay() {
        assert_eq!(decode("100%"), "100%");
        assert_eq!(decode("%zz%4"), "%zz%4");
        assert_eq!(decode("%+1"), "% 1");
    }
}
