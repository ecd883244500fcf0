//! An application to deploy: answers on PORT, and misbehaves as its variables say.

use std::env;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

fn var(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

fn main() {
    println!("version {} starts", var("VERSION"));
    if !var("DIE").is_empty() {
        println!("cannot go on: DIE is set");
        std::process::exit(3);
    }
    thread::sleep(Duration::from_millis(var("WARM_UP").parse().unwrap_or(0)));
    let listener = TcpListener::bind(("0.0.0.0", var("PORT").parse().unwrap())).unwrap();
    for stream in listener.incoming() {
        let stream = stream.unwrap();
        thread::spawn(move || serve(stream));
    }
}

fn serve(mut stream: TcpStream) {
    let mut seen = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        while !seen.windows(4).any(|w| w == b"\r\n\r\n") {
            match stream.read(&mut chunk) {
                Ok(0) | Err(_) => return,
                Ok(n) => seen.extend_from_slice(&chunk[..n]),
            }
        }
        let head = String::from_utf8_lossy(&seen).into_owned();
        seen.clear();
        let path = head.split(' ').nth(1).unwrap_or("/").to_owned();
        let (status, body) = match path.as_str() {
            "/health" if !var("SICK").is_empty() => ("500 Sick", "sick".into()),
            "/health" => ("200 OK", "well".into()),
            "/exit" => std::process::exit(9),
            "/pid" => ("200 OK", format!("{}", std::process::id())),
            "/slow" => {
                thread::sleep(Duration::from_millis(700));
                ("200 OK", var("VERSION"))
            }
            "/echo" => {
                let _ = stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
                while let Ok(n) = stream.read(&mut chunk) {
                    if n == 0 || stream.write_all(&chunk[..n]).is_err() {
                        return;
                    }
                }
                return;
            }
            _ => ("200 OK", format!("{} {} {}", var("VERSION"), var("COLOR"), var("TOKEN"))),
        };
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nContent-Type: text/plain\r\n\r\n{body}", body.len());
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
