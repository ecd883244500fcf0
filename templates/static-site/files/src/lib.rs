//! The pages, and how a request is answered with one of them.

use std::io;
use std::sync::Arc;
use std::thread;

use tiny_http::{Header, Method, Request, Response, Server};

/// One file of `public/`.
pub struct File {
    pub path: &'static str,
    pub tag: &'static str,
    pub bytes: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/files.rs"));

const WORKERS: usize = 4;

/// What a request is answered with.
pub struct Answer {
    pub status: u16,
    pub body: &'static [u8],
    pub headers: Vec<(&'static str, &'static str)>,
}

/// Answers requests on every worker until [`stop`] is called.
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
    let known = request
        .headers()
        .iter()
        .find(|header| header.field.equiv("If-None-Match"))
        .map(|header| header.value.as_str().to_owned());
    let answer = route(request.method(), request.url(), known.as_deref());
    let mut response = Response::from_data(answer.body).with_status_code(answer.status);
    for (name, value) in answer.headers {
        if let Ok(header) = Header::from_bytes(name, value) {
            response.add_header(header);
        }
    }
    request.respond(response)
}

/// Routes one request. `known` is the tag of the copy that the browser has.
pub fn route(method: &Method, url: &str, known: Option<&str>) -> Answer {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    if !matches!(method, Method::Get | Method::Head) {
        return Answer {
            status: 405,
            body: b"method not allowed",
            headers: vec![("Allow", "GET, HEAD"), ("Content-Type", "text/plain")],
        };
    }
    if path == "/health" {
        return Answer {
            status: 200,
            body: br#"{"status":"ok"}"#,
            headers: vec![
                ("Content-Type", "application/json"),
                ("Cache-Control", "no-store"),
            ],
        };
    }
    match find(path) {
        Some(file) if known == Some(file.tag) => Answer {
            status: 304,
            body: b"",
            headers: vec![("ETag", file.tag)],
        },
        Some(file) => answer(200, file),
        None => match find("/404") {
            Some(file) => answer(404, file),
            None => Answer {
                status: 404,
                body: b"not found",
                headers: vec![("Content-Type", "text/plain")],
            },
        },
    }
}

fn answer(status: u16, file: &'static File) -> Answer {
    Answer {
        status,
        body: file.bytes,
        headers: vec![
            ("Content-Type", content_type(file.path)),
            ("ETag", file.tag),
            ("Cache-Control", "no-cache"),
            ("X-Content-Type-Options", "nosniff"),
            ("Content-Security-Policy", "default-src 'self'"),
        ],
    }
}

/// The file behind a path: itself, the page without its `.html`, or the index of a folder.
pub fn find(path: &str) -> Option<&'static File> {
    let path = path.strip_prefix('/')?;
    let exact = |name: &str| FILES.iter().find(|file| file.path == name);
    if path.is_empty() || path.ends_with('/') {
        return exact(&format!("{path}index.html"));
    }
    exact(path).or_else(|| exact(&format!("{path}.html")))
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "pdf" => "application/pdf",
        "xml" => "application/xml",
        "wasm" => "application/wasm",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(answer: &Answer, name: &str) -> Option<&'static str> {
        answer
            .headers
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| *value)
    }

    #[test]
    fn front_page_and_its_short_names() {
        for url in ["/", "/index", "/index.html", "/?from=mail"] {
            let answer = route(&Method::Get, url, None);
            assert_eq!(answer.status, 200, "{url}");
            assert_eq!(
                header(&answer, "Content-Type"),
                Some("text/html; charset=utf-8")
            );
        }
    }

    #[test]
    fn unchanged_pages_are_not_sent_again() {
        let first = route(&Method::Get, "/", None);
        let again = route(&Method::Get, "/", header(&first, "ETag"));
        assert_eq!((again.status, again.body.len()), (304, 0));
    }

    #[test]
    fn what_is_not_there() {
        for url in ["/nowhere", "/../Cargo.toml", "//", "no-slash"] {
            assert_eq!(route(&Method::Get, url, None).status, 404, "{url}");
        }
        assert_eq!(route(&Method::Post, "/", None).status, 405);
    }
}
