//! The binary as scripts see it: exit codes, what is printed where, what is sent, against a scripted server.
#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::disallowed_methods, reason = "the binary itself is under test")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::thread;

struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

/// Answers `(status, type, body)` for a request line; keeps each request's head and body.
fn server(answer: impl Fn(&str) -> (u16, &'static str, String) + Send + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
                    break;
                }
                if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = n.trim().parse().unwrap();
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            let line = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
            kept.lock().unwrap().push(format!("{head}\n{}", String::from_utf8_lossy(&body)));
            let (status, kind, body) = answer(&line);
            let text =
                format!("HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
            let _ = stream.get_mut().write_all(text.as_bytes());
        }
    });
    Server { address, seen }
}

fn json(status: u16, body: &str) -> (u16, &'static str, String) {
    (status, "application/json", body.to_owned())
}

fn events(events: &[(&str, &str)]) -> (u16, &'static str, String) {
    let body = events.iter().map(|(name, data)| format!("event: {name}\ndata: {data}\n\n")).collect();
    (200, "text/event-stream", body)
}

fn devmentor(home: &std::path::Path, server: Option<SocketAddr>, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_devmentor"));
    command.args(args).env_clear().env("HOME", home).current_dir(home);
    if let Some(address) = server {
        command.env("DEVMENTOR_SERVER", format!("http://{address}"));
    }
    command.output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn exit_codes() {
    let home = tempfile::tempdir().unwrap();
    let server = server(|line| match line {
        "GET /users/me" => json(401, r#"{"detail":"sign in first","code":"unauthenticated"}"#),
        "GET /projects/acme%2Fnone" => json(404, r#"{"detail":"project not found"}"#),
        "GET /projects/acme%2Fweb" => json(200, r#"{"id":"prj_1","path":"acme/web"}"#),
        "DELETE /projects/acme%2Fweb" => json(403, r#"{"detail":"owners only"}"#),
        other => panic!("unexpected request {other}"),
    });
    let at = Some(server.address);
    for (want, args) in [
        (0, vec!["project", "show", "acme/web"]),
        (1, vec!["project", "delete", "acme/web", "--yes"]),
        (2, vec!["project", "delete", "acme/web"]),
        (2, vec!["project", "show"]),
        (2, vec!["nonsense"]),
        (3, vec!["whoami"]),
        (4, vec!["project", "show", "acme/none"]),
        (0, vec!["completion", "bash"]),
        (0, vec!["--help"]),
    ] {
        let output = devmentor(home.path(), at, &args);
        assert_eq!(code(&output), want, "{args:?}: {}", text(&output.stderr));
    }
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = devmentor(home.path(), Some(nobody), &["whoami"]);
    assert_eq!(code(&output), 5, "{}", text(&output.stderr));
}

#[test]
fn json_is_the_servers_and_errors_go_to_standard_error() {
    let home = tempfile::tempdir().unwrap();
    let server = server(|line| match line {
        "GET /projects/acme%2Fweb" => json(200, r#"{"id":"prj_1","path":"acme/web","extra":[1,2]}"#),
        _ => json(404, r#"{"detail":"project not found"}"#),
    });
    let output = devmentor(home.path(), Some(server.address), &["project", "show", "acme/web", "--json"]);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["extra"], serde_json::json!([1, 2]));
    let output = devmentor(home.path(), Some(server.address), &["project", "show", "acme/none", "--json"]);
    assert_eq!((text(&output.stdout), text(&output.stderr)), (String::new(), "devmentor: project not found\n".into()));
}

#[test]
fn login_stores_a_token_that_later_commands_use_and_logout_revokes() {
    let home = tempfile::tempdir().unwrap();
    let server = server(|line| match line {
        "POST /session" => json(201, r#"{"user":{"name":"ada"}}"#),
        "GET /permissions" => json(200, r#"{"items":[{"name":"project:read"}]}"#),
        "POST /tokens" => json(201, r#"{"secret":"dmp_secret","token":{"id":"tok_1"}}"#),
        "DELETE /session" | "DELETE /tokens/tok_1" => json(204, ""),
        "GET /users/me" => json(200, r#"{"name":"ada"}"#),
        other => panic!("unexpected request {other}"),
    });
    let at = Some(server.address);
    // without its cookie a session is no session
    let output = devmentor(home.path(), at, &["login", "--link", "http://x/sign-in?link=dml_1"]);
    assert_eq!(code(&output), 1, "{}", text(&output.stderr));
    let output = devmentor(home.path(), at, &["login", "--token", "dmp_given"]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let output = devmentor(home.path(), None, &["whoami"]);
    assert!(text(&output.stdout).contains("ada"), "{}", text(&output.stderr));
    let seen = server.seen.lock().unwrap().clone();
    assert!(seen.last().unwrap().to_ascii_lowercase().contains("authorization: bearer dmp_given"));
    assert_eq!(code(&devmentor(home.path(), None, &["logout", "--server", &format!("http://{}", server.address)])), 0);
    assert_eq!(code(&devmentor(home.path(), at, &["logout"])), 3);
}

#[test]
fn a_failed_creation_tells_why_and_a_post_carries_a_key() {
    let home = tempfile::tempdir().unwrap();
    let running = r#"{"id":"opn_1","state":"running","steps":[{"name":"validate","title":"Validate","state":"running"}]}"#;
    let failed = r#"{"id":"opn_1","state":"failed","steps":[{"name":"validate","title":"Validate","state":"failed"}],"error":{"status":409,"detail":"acme/web exists"}}"#;
    let server = server(move |line| match line {
        "POST /projects/create" => json(202, running),
        "GET /operations/opn_1/events" => events(&[("operation", running), ("operation", failed), ("end", "{}")]),
        other => panic!("unexpected request {other}"),
    });
    let output = devmentor(home.path(), Some(server.address), &["project", "create", "acme/web"]);
    assert_eq!(code(&output), 1);
    assert_eq!(text(&output.stderr), "… Validate  running\n✗ Validate  failed\ndevmentor: acme/web exists\n");
    let seen = server.seen.lock().unwrap();
    assert!(
        seen[0].to_ascii_lowercase().contains("idempotency-key: ") && seen[0].ends_with(r#"{"name":"web","namespace":"acme"}"#),
        "{}",
        seen[0]
    );
}

#[test]
fn a_run_is_watched_to_its_end() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".git")).unwrap();
    let done = |conclusion: &str| {
        format!(
            r#"{{"id":"run_7","number":7,"name":"CI","state":"completed","conclusion":"{conclusion}","jobs":[{{"id":"job_1","name":"test","state":"completed","conclusion":"{conclusion}","steps":[]}}]}}"#
        )
    };
    let (good, bad) = (done("success"), done("failure"));
    let server = server(move |line| match line {
        "GET /projects/acme%2Fweb/runs?limit=1" => json(200, r#"{"items":[{"id":"run_7"}],"next":null}"#),
        "GET /projects/acme%2Fweb/runs?limit=100" => json(200, r#"{"items":[{"id":"run_8","number":8}],"next":null}"#),
        "GET /runs/run_7/events" => events(&[("run", &good), ("end", "{}")]),
        "GET /runs/run_8/events" => events(&[("run", &bad), ("end", "{}")]),
        other => panic!("unexpected request {other}"),
    });
    let config = format!("[remote \"origin\"]\n\turl = http://{}/acme/web.git\n", server.address);
    std::fs::write(home.path().join(".git/config"), config).unwrap();
    let output = devmentor(home.path(), Some(server.address), &["run", "watch"]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("outcome: success"), "{}", text(&output.stdout));
    let output = devmentor(home.path(), Some(server.address), &["run", "watch", "8", "--json"]);
    assert_eq!((code(&output), text(&output.stderr).as_str()), (1, "devmentor: the run ended with failure\n"));
}
