//! Against a real `redis-server`, started and killed by the tests.

use std::net::TcpListener;
use std::process::{Child, Stdio};

use super::*;

struct Server {
    child: Child,
    port: u16,
}

impl Server {
    #[expect(clippy::disallowed_methods, reason = "the test's own server")]
    fn start(port: u16) -> Self {
        let child = std::process::Command::new("redis-server")
            .args(["--port", &port.to_string(), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        let start = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(10), "redis-server does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, port }
    }

    fn fresh() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self::start(port)
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn kill(mut self) -> u16 {
        self.stop();
        self.port
    }

    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

const RATE: Rate = Rate { limit: 10, window: Duration::from_secs(60) };

async fn common(cache: &Cache) {
    assert_eq!(cache.get("a").await, None);
    cache.set("a", b"x\0y".to_vec(), Duration::from_millis(300)).await;
    assert_eq!(cache.get("a").await.as_deref(), Some(&b"x\0y"[..]));
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(cache.get("a").await, None);
    cache.set("b", b"1".to_vec(), Duration::from_secs(60)).await;
    cache.remove("b").await;
    assert_eq!(cache.get("b").await, None);

    let mut allowed = 0;
    for i in 0..15 {
        let d = cache.take("k", RATE, 1).await;
        allowed += u32::from(d.allowed);
        assert_eq!(d.limit, 10);
        if i == 0 {
            assert_eq!((d.remaining, d.reset.as_secs()), (9, 6));
        }
        if !d.allowed {
            assert!(d.remaining == 0 && d.retry > Duration::from_secs(4) && d.retry <= Duration::from_secs(6), "{d:?}");
        }
    }
    assert_eq!(allowed, 10);
    assert!(!cache.take("other", RATE, 11).await.allowed);
    assert!(cache.take("other", RATE, 10).await.allowed);
    assert!(cache.health().await.ok);
}

#[tokio::test]
async fn memory_does_it() {
    let cache = Cache::memory();
    common(&cache).await;
    let mut sub = cache.subscribe("c");
    cache.publish("c", b"hi").await;
    cache.publish("d", b"no").await;
    assert_eq!(sub.next().await, Some(Call::Payload(b"hi"[..].into())));
    for _ in 0..1000 {
        cache.publish("c", b"x").await;
    }
    assert_eq!(sub.next().await, Some(Call::Gap));
}

async fn next(sub: &mut Subscription) -> Call {
    tokio::time::timeout(Duration::from_secs(10), sub.next()).await.expect("a call in time").expect("open")
}

/// The next call that is not about a gap.
async fn payload(sub: &mut Subscription) -> Vec<u8> {
    loop {
        if let Call::Payload(bytes) = next(sub).await {
            return bytes.to_vec();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_does_it_between_instances_and_comes_back() {
    let server = Server::fresh();
    let (one, two) = (Cache::redis(&server.url()).unwrap(), Cache::redis(&server.url()).unwrap());
    common(&one).await;
    // the second instance takes from the same bucket and reads the same values
    assert!(!two.take("k", RATE, 1).await.allowed);
    one.set("shared", b"1".to_vec(), Duration::from_secs(60)).await;
    assert_eq!(two.get("shared").await.as_deref(), Some(&b"1"[..]));

    let (mut here, mut there) = (one.subscribe("c"), two.subscribe("c"));
    // listening starts in the background: knock until the other side is there
    let knock = async {
        loop {
            one.publish("c", b"knock").await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! { () = knock => {}, got = payload(&mut there) => assert_eq!(got, b"knock") }
    one.publish("c", b"last").await;
    while payload(&mut there).await != b"last" {}
    // our own calls come once
    while payload(&mut here).await != b"last" {}
    assert!(tokio::time::timeout(Duration::from_millis(200), here.next()).await.is_err());

    let port = server.kill();
    let start = Instant::now();
    for i in 0..20 {
        one.set(&format!("alone{i}"), b"2".to_vec(), Duration::from_secs(60)).await;
        assert_eq!(one.get(&format!("alone{i}")).await.as_deref(), Some(&b"2"[..]));
        assert!(one.take("k2", RATE, 1).await.allowed == (i < 10));
    }
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert!(!one.health().await.ok);
    one.publish("c", b"alone").await;
    while payload(&mut here).await != b"alone" {}

    let _server = Server::start(port);
    while next(&mut there).await != Call::Gap {}
    let start = Instant::now();
    while !one.health().await.ok {
        assert!(start.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    one.set("back", b"3".to_vec(), Duration::from_secs(60)).await;
    while two.get("back").await.is_none() {
        assert!(start.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn redis_may_be_late_and_bad_addresses_are_refused() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let cache = Cache::redis(&format!("redis://127.0.0.1:{port}")).unwrap();
    cache.set("a", b"1".to_vec(), Duration::from_secs(1)).await;
    assert_eq!(cache.get("a").await.as_deref(), Some(&b"1"[..]));
    for bad in ["", "http://x", "redis://", "not a url"] {
        assert!(Cache::redis(bad).is_err(), "{bad}");
    }
}
