//! Both profiles against a real socket.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;
use std::time::Duration;

use egress::{Allow, Client, Error, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Answers every connection with what `answer` says for the request line.
async fn server(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            let text = String::from_utf8_lossy(&head).into_owned();
            let reply = answer(text.lines().next().unwrap_or_default());
            if reply.is_empty() {
                tokio::time::sleep(Duration::from_secs(30)).await;
            }
            let _ = stream.write_all(reply.as_bytes()).await;
        }
    });
    address
}

fn plain(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

fn redirect(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

fn local() -> Client {
    Client::guarded(Allow::parse(["127.0.0.1"]).unwrap()).unwrap()
}

#[tokio::test]
async fn guarded_refuses_names_and_addresses_that_lead_inside() {
    let at = server(|_| plain("secret")).await;
    let client = Client::guarded(Allow::public_only()).unwrap();
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0x7f.1"] {
        let error = client.get(&format!("http://{host}:{}/", at.port())).send().await.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{host}: {error:?}");
    }
}

#[tokio::test]
async fn allow_lists_and_the_user_profile_reach_inside() {
    let at = server(|_| plain("hello")).await;
    let named = Client::guarded(Allow::parse(["localhost"]).unwrap()).unwrap();
    for (client, host) in [(local(), "127.0.0.1"), (named, "localhost"), (Client::user_directed().unwrap(), "127.0.0.1")] {
        let answer = client.get(&format!("http://{host}:{}/", at.port())).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.text().await.unwrap(), "hello");
    }
}

#[tokio::test]
async fn redirects_stay_on_the_host() {
    let other = server(|_| plain("other")).await;
    let at = server(move |line| match line.split(' ').nth(1).unwrap_or_default() {
        "/same" => redirect("/end"),
        "/end" => plain("end"),
        "/loop" => redirect("/loop"),
        "/inside" => redirect("http://169.254.169.254/"),
        _ => redirect(&format!("http://127.0.0.1:{}/", other.port())),
    })
    .await;
    let client = local();
    let get = |path: &str| client.get(&format!("http://{at}{path}")).send();
    assert_eq!(get("/same").await.unwrap().text().await.unwrap(), "end");
    for path in ["/loop", "/inside", "/elsewhere"] {
        let error = get(path).await.unwrap_err();
        assert!(matches!(error, Error::Redirected { .. }), "{path}: {error:?}");
    }
}

#[tokio::test]
async fn size_and_time_are_bounded() {
    let at = server(|line| match line.split(' ').nth(1).unwrap_or_default() {
        "/announced" => plain(&"x".repeat(2000)),
        "/unannounced" => format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}", "x".repeat(2000)),
        _ => String::new(),
    })
    .await;
    let client = local();
    for path in ["/announced", "/unannounced"] {
        let answer = client.get(&format!("http://{at}{path}")).body_limit(1000).send().await.unwrap();
        assert!(matches!(answer.bytes().await, Err(Error::TooLarge { limit: 1000 })), "{path}");
    }
    let error = client.get(&format!("http://{at}/hangs")).total(Some(Duration::from_millis(100))).send().await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
}

#[tokio::test]
async fn events_are_read_as_they_come() {
    let at = server(|_| {
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\nid: 4\nevent: log\ndata: {}\n\n: ping\n\nevent: end\ndata:\n\n".to_owned()
    })
    .await;
    let mut events = local().get(&format!("http://{at}/")).send().await.unwrap().events().unwrap();
    let first = events.next().await.unwrap().unwrap();
    assert_eq!((first.name.as_str(), first.data.as_str(), first.id.as_deref()), ("log", "{}", Some("4")));
    assert_eq!(events.next().await.unwrap().unwrap().name, "end");
    assert!(events.next().await.unwrap().is_none());
}

#[tokio::test]
async fn nobody_listening_means_unsent() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = local().get(&format!("http://{free}/")).send().await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { unsent: true, .. }), "{error:?}");
}

#[tokio::test]
async fn values_no_header_can_hold_fail_the_request() {
    let error = local().get("http://127.0.0.1:1/").header("x-a", "b\r\nx-c: d").send().await.unwrap_err();
    assert!(matches!(error, Error::Unreadable(_)), "{error:?}");
}
