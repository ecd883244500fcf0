//! What the service tells about itself: JSON lines and traces.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

use testkit::{Database, Server, ServerOptions};

/// A collector that takes what comes, and passes on where each request went and what it held.
fn collector() -> (String, mpsc::Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let sender = sender.clone();
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                let mut chunk = [0; 64 << 10];
                loop {
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    if let Some((head, _)) = text.split_once("\r\n\r\n") {
                        let length = head.lines().find_map(|l| {
                            l.to_ascii_lowercase().strip_prefix("content-length:").and_then(|n| n.trim().parse::<usize>().ok())
                        });
                        let begin = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
                        let length = length.unwrap_or(0);
                        if bytes.len() >= begin + length {
                            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                            let _ = sender.send((path, bytes[begin..begin + length].to_vec()));
                            bytes.drain(..begin + length);
                            let _ =
                                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n");
                            continue;
                        }
                    }
                    match stream.read(&mut chunk) {
                        Ok(0) | Err(_) => return,
                        Ok(n) => bytes.extend_from_slice(&chunk[..n]),
                    }
                }
            });
        }
    });
    (address, receiver)
}

#[test]
fn requests_are_traced_into_a_collector_nearby() {
    let (address, received) = collector();
    let mut s = Server::start_with(Database::Sqlite, &ServerOptions::default().set("OTLP_ENDPOINT", address));
    s.anonymous().get("/projects/list").expect(200);
    assert!(s.terminate().success(), "what is left to send goes out at the end");
    let (path, body) = received.recv_timeout(Duration::from_secs(20)).expect("a batch of spans");
    assert_eq!(path, "/v1/traces");
    let text = String::from_utf8_lossy(&body).into_owned();
    assert!(text.contains("devmentor-project-service") && text.contains("/projects/list"), "{text}");
}

#[test]
fn log_lines_are_json() {
    let mut s = Server::start_with(Database::Sqlite, &ServerOptions::default().set("LOG_FORMAT", "json"));
    s.anonymous().get("/health").expect(200);
    assert!(s.terminate().success());
    let log = s.log();
    let lines: Vec<serde_json::Value> = log.lines().filter(|l| l.starts_with('{')).map(|l| serde_json::from_str(l).unwrap()).collect();
    assert!(lines.iter().any(|l| l["message"] == "ready" && l["level"] == "INFO" && l["timestamp"].is_string()), "{log}");
}
