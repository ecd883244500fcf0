//! Deployments of a real application: switched without a refused request, rolled back, kept alive, taken up again.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kernel::Visibility;
use oci::Digest;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use store::secret::Scope;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::*;

/// The application as a layer: one static program.
fn layer() -> Vec<u8> {
    static BUILT: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    BUILT
        .get_or_init(|| {
            let dir = tempfile::tempdir().unwrap();
            let (source, out) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deliver/application.rs"), dir.path().join("app"));
            #[expect(clippy::disallowed_methods, reason = "tests build what they deploy")]
            let built = std::process::Command::new("rustc")
                .args(["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "-C", "strip=symbols", "-o"])
                .args([&out, &source])
                .output()
                .unwrap();
            assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
            let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
            tar.append_path_with_name(&out, "app").unwrap();
            tar.into_inner().unwrap().finish().unwrap()
        })
        .clone()
}

impl Server {
    /// Pushes the application's image under a tag.
    async fn push_app(&self, repository: &str, tag: &str) -> String {
        let layer = layer();
        let config = json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }, "os": "linux",
            "config": { "Entrypoint": ["/app"], "Env": [format!("VERSION={tag}")], "ExposedPorts": { "9000/tcp": {} },
                "Labels": { "org.opencontainers.image.revision": "0123456789abcdef0123456789abcdef01234567" } },
            "rootfs": { "type": "layers", "diff_ids": [diff_id(&layer)] },
        })
        .to_string()
        .into_bytes();
        for blob in [&config, &layer] {
            let path = format!("/v2/{repository}/blobs/uploads/?digest={}", Digest::of(blob));
            assert_eq!(self.send("ann", Method::POST, &path, blob.clone()).await.status(), StatusCode::CREATED);
        }
        let manifest = json!({
            "schemaVersion": 2, "mediaType": OCI,
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": Digest::of(&config), "size": config.len() },
            "layers": [{ "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": Digest::of(&layer), "size": layer.len() }],
        });
        let response = self.put_manifest("ann", repository, tag, OCI, manifest.to_string()).await;
        assert_eq!(response.status(), StatusCode::CREATED, "{}", response.text().await.unwrap());
        Digest::of(manifest.to_string().as_bytes()).to_string()
    }

    async fn json(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let mut request = self.request(Some("ann"), method, path);
        if !body.is_null() {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default())
    }

    async fn environment(&self, target: &str, more: Value) -> Value {
        let mut body = json!({ "name": "production", "target": target, "config": { "COLOR": "blue" },
            "health": { "interval_seconds": 1, "timeout_seconds": 2, "healthy_after": 2, "deadline_seconds": 8 } });
        for (key, value) in more.as_object().cloned().unwrap_or_default() {
            body[key] = value;
        }
        let (status, environment) = self.json(Method::POST, "/projects/acme%2Fweb/environments", body).await;
        assert_eq!(status, 201, "{environment}");
        environment
    }

    async fn deploy(&self, body: Value) -> String {
        let (status, deployment) = self.json(Method::POST, "/projects/acme%2Fweb/deploy", body).await;
        assert_eq!(status, 202, "{deployment}");
        deployment["id"].as_str().unwrap().to_owned()
    }

    /// Waits for the end of a deployment.
    async fn ended(&self, id: &str) -> Value {
        let begun = Instant::now();
        loop {
            let (_, deployment) = self.json(Method::GET, &format!("/deployments/{id}"), Value::Null).await;
            if deployment["state"] == "completed" {
                return deployment;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{deployment:#}");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    async fn deployed(&self, body: Value) -> Value {
        let id = self.deploy(body).await;
        let deployment = self.ended(&id).await;
        assert_eq!(deployment["conclusion"], "success", "{deployment:#}");
        deployment
    }

    async fn read(&self, url: &str) -> String {
        self.client.get(url).send().await.unwrap().text().await.unwrap()
    }
}

fn diff_id(layer: &[u8]) -> String {
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(layer), &mut plain).unwrap();
    Digest::of(&plain).to_string()
}

async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{what} did not come true");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn ready(target: &str) -> bool {
    let why = match target {
        "docker" if !run("docker", &["info"]).await.status.success() => "no docker engine answers".to_owned(),
        "process" => executors::service::process::available().await.err().unwrap_or_default(),
        _ => String::new(),
    };
    if !why.is_empty() {
        eprintln!("skipped: {why}");
    }
    why.is_empty()
}

/// Asks the address without a pause, over new and kept connections, until told to stop: all that was not 200.
struct Load {
    stop: Arc<AtomicBool>,
    made: Arc<AtomicU64>,
    tasks: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Load {
    fn start(url: &str) -> Self {
        let (stop, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let tasks = (0..4)
            .map(|n| {
                let (stop, made, url) = (stop.clone(), made.clone(), url.to_owned());
                tokio::spawn(async move {
                    // half of them open a connection for each request
                    let idle = if n % 2 == 0 { 0 } else { 4 };
                    let client = reqwest::Client::builder().pool_max_idle_per_host(idle).build().unwrap();
                    let mut wrong = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        match client.get(&url).send().await {
                            Ok(r) if r.status() == 200 => {
                                if let Err(e) = r.bytes().await {
                                    wrong.push(format!("{e:?}"));
                                }
                            }
                            Ok(r) => wrong.push(r.status().to_string()),
                            Err(e) => wrong.push(format!("{e:?}")),
                        }
                        made.fetch_add(1, Ordering::Relaxed);
                    }
                    wrong
                })
            })
            .collect();
        Self { stop, made, tasks }
    }

    async fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            assert_eq!(task.await.unwrap(), Vec::<String>::new());
        }
        self.made.load(Ordering::Relaxed)
    }
}

async fn life_of_an_environment(target: &str) {
    if !ready(target).await {
        return;
    }
    let s = Server::start().await;
    let ann = s.user("ann").await;
    let project = s.project("acme/web", Visibility::Private, ann).await;
    let digest = s.push_app("acme/web", "v1").await;
    s.push_app("acme/web", "v2").await;
    let sealed = web_kit::vault::seal(s.running.app().key(), project, "TOKEN", "s3cret").unwrap();
    store::secret::secret_set(s.running.app().db(), Scope::Project(project), "TOKEN", &sealed, None, kernel::Timestamp::now())
        .await
        .unwrap();
    let environment = s.environment(target, json!({ "secrets": ["TOKEN"] })).await;
    let (id, url) = (environment["id"].as_str().unwrap().to_owned(), environment["url"].as_str().unwrap().to_owned());
    assert_eq!((&environment["state"], &environment["current"]), (&json!("empty"), &Value::Null));

    let refused = s.json(Method::POST, "/projects/acme%2Fweb/deploy", json!({ "environment": "production", "image": "nothing" })).await;
    assert_eq!((refused.0, refused.1["errors"][0]["field"].as_str()), (422, Some("image")));

    let first = s.deployed(json!({ "environment": "production", "image": "v1" })).await;
    assert_eq!(first["release"]["digest"], digest.as_str());
    assert_eq!(first["release"]["commit"], "0123456789abcdef0123456789abcdef01234567");
    assert!(first["steps"].as_array().unwrap().iter().all(|step| step["state"] == "done"), "{first:#}");
    assert_eq!(s.read(&url).await, "v1 blue s3cret");

    // switched under load, with a slow request and an upgraded connection under way
    let load = Load::start(&url);
    let slow = tokio::spawn({
        let (client, url) = (s.client.clone(), format!("{url}/slow"));
        async move {
            let mut seen = Vec::new();
            for _ in 0..4 {
                seen.push(client.get(&url).send().await.unwrap().text().await.unwrap());
            }
            seen
        }
    });
    let port = environment["port"].as_u64().unwrap();
    let mut echo = tokio::net::TcpStream::connect(format!("127.0.0.1:{port}")).await.unwrap();
    echo.write_all(b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n").await.unwrap();
    let mut head = [0; 512];
    let n = echo.read(&mut head).await.unwrap();
    assert!(head[..n].starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head[..n]));
    echo.write_all(b"hello").await.unwrap();
    let mut word = [0; 5];
    echo.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"hello");
    drop(echo);
    s.deployed(json!({ "environment": "production", "image": "acme/web:v2", "config": { "COLOR": "red" } })).await;
    assert_eq!(s.read(&url).await, "v2 red s3cret");
    let slow = slow.await.unwrap();
    assert_eq!(slow.first().map(String::as_str), Some("v1"));
    let made = load.end().await;
    assert!(made > 100, "only {made} requests");

    // one that is never healthy, one that dies: traffic stays
    for (config, step, words) in [
        (json!({ "SICK": "1" }), "health_check", ["not healthy within 8 s: GET /health answered 500", "version v2 starts"]),
        (json!({ "DIE": "1" }), "health_check", ["ended with code 3", "cannot go on: DIE is set"]),
    ] {
        let load = Load::start(&url);
        let id = s.deploy(json!({ "environment": "production", "image": "v2", "config": config })).await;
        let failed = s.ended(&id).await;
        assert_eq!(failed["conclusion"], "rolled_back", "{failed:#}");
        let reason = failed["reason"].as_str().unwrap();
        assert!(words.iter().all(|w| reason.contains(w)) && reason.contains("release 2 goes on running"), "{reason}");
        assert_eq!(failed["steps"].as_array().unwrap().iter().find(|s| s["state"] == "failed").unwrap()["name"], step);
        assert_eq!(s.read(&url).await, "v2 red s3cret");
        load.end().await;
    }

    // back to the first release, with its own configuration, in one call
    let (status, back) = s.json(Method::POST, &format!("/environments/{id}/rollback"), json!({})).await;
    assert_eq!((status, &back["kind"]), (202, &json!("rollback")));
    let back = s.ended(back["id"].as_str().unwrap()).await;
    assert_eq!((&back["conclusion"], &back["release"]["number"]), (&json!("success"), &json!(1)));
    assert_eq!(s.read(&url).await, "v1 blue s3cret");
    let (_, list) = s.json(Method::GET, "/projects/acme%2Fweb/deployments?environment=production", Value::Null).await;
    let history: Vec<_> = list["items"].as_array().unwrap().iter().map(|d| d["conclusion"].as_str().unwrap()).collect();
    assert_eq!(history, ["success", "rolled_back", "rolled_back", "success", "success"]);
    let (_, releases) = s.json(Method::GET, "/projects/acme%2Fweb/releases", Value::Null).await;
    assert_eq!(releases["items"].as_array().unwrap().len(), 4);
    assert!(!releases.to_string().contains("sealed"));

    // watched, and started again when it dies
    let log = s.get("ann", &format!("/environments/{id}/log?tail=5")).await.text().await.unwrap();
    assert_eq!(log, "version v1 starts\n");
    let watch = eventually("the probes", async || {
        let watch = s.json(Method::GET, &format!("/environments/{id}/watch"), Value::Null).await.1;
        (watch["probes"].as_array()?.len() > 1 && watch["memory_bytes"].is_u64()).then_some(watch)
    })
    .await;
    assert!(watch["requests"]["total"].as_u64().unwrap() > made && watch["probes"][0]["ok"] == true, "{watch:#}");
    let _ = s.client.get(format!("{url}/exit")).send().await;
    eventually("the restart", async || {
        let watch = s.json(Method::GET, &format!("/environments/{id}/watch"), Value::Null).await.1;
        (watch["restarts"] == 1).then_some(())
    })
    .await;
    eventually("the answer", async || (s.client.get(&url).send().await.ok()?.text().await.ok()? == "v1 blue s3cret").then_some(())).await;

    // the service goes and comes back: the application is taken up, not started again
    let Server { running, dir, .. } = s;
    running.stop().await;
    let s = Server::start_in(dir, &[]).await;
    eventually("the answer after the restart", async || {
        (s.client.get(&url).send().await.ok()?.text().await.ok()? == "v1 blue s3cret").then_some(())
    })
    .await;
    let (_, watch) = s.json(Method::GET, &format!("/environments/{id}/watch"), Value::Null).await;
    assert_eq!(watch["restarts"], 1, "{watch:#}");

    // deleted: nothing is left
    assert_eq!(s.send("ann", Method::DELETE, &format!("/environments/{id}"), "").await.status(), StatusCode::NO_CONTENT);
    eventually("the end", async || tokio::net::TcpStream::connect(format!("127.0.0.1:{port}")).await.is_err().then_some(())).await;
    s.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn life_of_a_process() {
    life_of_an_environment("process").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn life_of_a_container() {
    life_of_an_environment("docker").await;
}

/// Images of old releases go, but the one a rollback would need, and those that somebody named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_images_leave_the_engine() {
    if !ready("docker").await {
        return;
    }
    let s = Server::start().await;
    let ann = s.user("ann").await;
    s.project("acme/web", Visibility::Private, ann).await;
    let environment = s.environment("docker", Value::Null).await;
    let repository = format!("{}/acme/web", s.host);
    let mut digests = Vec::new();
    for tag in ["old1", "old2", "old3", "old4"] {
        digests.push(s.push_app("acme/web", tag).await);
        s.deployed(json!({ "environment": "production", "image": tag })).await;
        if tag == "old1" {
            must("docker", &["tag", &format!("{repository}@{}", digests[0]), &format!("{repository}:mine")]).await;
        }
    }
    let left = eventually("the second image goes", async || {
        let left = must("docker", &["images", "--digests", "--format", "{{.Digest}}", &repository]).await;
        (!left.contains(&digests[1])).then_some(left)
    })
    .await;
    for kept in [0, 2, 3] {
        assert!(left.contains(&digests[kept]), "old{} is gone: {left}", kept + 1);
    }
    s.send("ann", Method::DELETE, &format!("/environments/{}", environment["id"].as_str().unwrap()), "").await;
    must("docker", &["rmi", "-f", &format!("{repository}:mine")]).await;
    s.running.stop().await;
}

/// The newest of those that wait is carried out, one at a time, and each ends once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_wins() {
    if !ready("process").await {
        return;
    }
    let s = Server::start().await;
    let ann = s.user("ann").await;
    s.project("acme/web", Visibility::Private, ann).await;
    s.push_app("acme/web", "v1").await;
    let environment = s.environment("process", Value::Null).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(s.deploy(json!({ "environment": "production", "image": "v1", "config": { "WARM_UP": "500" } })).await);
    }
    let mut conclusions = Vec::new();
    for id in &ids {
        conclusions.push(s.ended(id).await["conclusion"].as_str().unwrap().to_owned());
    }
    assert_eq!(conclusions.last().map(String::as_str), Some("success"));
    assert!(conclusions.iter().filter(|c| *c == "superseded").count() >= 3, "{conclusions:?}");
    let events = store::event::event_list(s.running.app().db(), Default::default(), None, 100).await.unwrap();
    assert_eq!(events.iter().filter(|(_, e)| e.data.kind() == "deployment.finished").count(), 5);
    // applications outlive the service
    s.send("ann", Method::DELETE, &format!("/environments/{}", environment["id"].as_str().unwrap()), "").await;
    let address = format!("127.0.0.1:{}", environment["port"]);
    eventually("the end", async || tokio::net::TcpStream::connect(&address).await.is_err().then_some(())).await;
    s.running.stop().await;
}
