//! The service over a real socket.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;

use tiny_http::Server;

fn get(address: SocketAddr, target: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn answers_and_stops() {
    let server = Arc::new(Server::http("127.0.0.1:0").unwrap());
    let address = server.server_addr().to_ip().unwrap();
    let running = {
        let server = Arc::clone(&server);
        thread::spawn(move || service::serve(&server))
    };

    let health = get(address, "/health");
    assert!(health.starts_with("HTTP/1.1 200"), "{health}");
    assert!(health.ends_with(r#"{"status":"ok"}"#), "{health}");
    assert!(get(address, "/?name=Ada").contains(&service::greet("Ada")));
    assert!(get(address, "/nowhere").starts_with("HTTP/1.1 404"));

    service::stop(&server);
    running.join().unwrap();
}
