//! A service in this process with users and projects, and requests of them.

use std::process::Output;

use kernel::{ProjectId, Slug, Timestamp, UserId, Visibility};
use oci::Digest;
use reqwest::{Method, Response, StatusCode};
use server::Running;
use store::account::{NewAccount, account_create};
use store::project::{ProjectRow, project_activate, project_create, project_member_set};
use web_kit::Config;

pub const ADMIN: &str = "an-administrators-token-for-tests";

pub struct Server {
    pub running: Running,
    pub base: String,
    pub host: String,
    pub client: reqwest::Client,
    pub dir: std::sync::Arc<tempfile::TempDir>,
}

impl Server {
    pub async fn start() -> Self {
        Self::start_in(std::sync::Arc::new(tempfile::tempdir().unwrap()), &[]).await
    }

    /// Starts over what an earlier one left.
    pub async fn start_in(dir: std::sync::Arc<tempfile::TempDir>, more: &[(&str, &str)]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let data = dir.path().display().to_string();
        let pairs =
            [("listen", format!("127.0.0.1:{port}")), ("data_dir", data), ("admin_token", ADMIN.into()), ("runner", "false".into())];
        let mut pairs: std::collections::BTreeMap<String, String> = pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        pairs.extend(more.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        let config = Config::from_pairs(&pairs).unwrap();
        let app = server::open(config).await.unwrap();
        server::first_start(&app).await.unwrap();
        let running = server::start(app).await.unwrap();
        let host = format!("127.0.0.1:{port}");
        Self { running, base: format!("http://{host}"), host, client: reqwest::Client::new(), dir }
    }

    pub async fn user(&self, name: &str) -> UserId {
        let mut tx = self.running.app().db().begin().await.unwrap();
        let hash = web_kit::password::hash(format!("password of {name}")).await.unwrap();
        let name = Slug::parse(name).unwrap();
        let new = NewAccount { name: &name, display_name: "", email: None, password_hash: Some(hash), admin: false };
        let id = account_create(&mut tx, new).await.unwrap().id;
        tx.commit().await.unwrap();
        id
    }

    pub async fn project(&self, path: &str, visibility: Visibility, owner: UserId) -> ProjectId {
        let (namespace, name) = path.rsplit_once('/').unwrap();
        let now = Timestamp::now();
        let row = ProjectRow {
            id: ProjectId::new(),
            path: path.into(),
            namespace: namespace.into(),
            name: name.into(),
            owner: None,
            description: String::new(),
            visibility,
            language: None,
            topics: vec![],
            default_branch: "main".into(),
            template: None,
            state: "creating".into(),
            archived_at: None,
            deleted_at: None,
            created_at: now,
            updated_at: now,
            last_activity_at: now,
            version: 1,
        };
        let mut tx = self.running.app().db().begin().await.unwrap();
        project_create(&mut tx, &row).await.unwrap();
        project_activate(&mut tx, row.id).await.unwrap();
        project_member_set(&mut tx, row.id, owner, kernel::Role::Owner).await.unwrap();
        tx.commit().await.unwrap();
        row.id
    }

    pub fn request(&self, who: Option<&str>, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = if path.starts_with('/') { format!("{}{path}", self.base) } else { path.to_owned() };
        let request = self.client.request(method, url);
        match who {
            Some("admin") => request.bearer_auth(ADMIN),
            Some(name) => request.basic_auth(name, Some(format!("password of {name}"))),
            None => request,
        }
    }

    pub async fn send(&self, who: &str, method: Method, path: &str, body: impl Into<reqwest::Body>) -> Response {
        self.request(Some(who), method, path).body(body).send().await.unwrap()
    }

    pub async fn get(&self, who: &str, path: &str) -> Response {
        self.request(Some(who), Method::GET, path).send().await.unwrap()
    }

    /// Pushes a one-layer image and returns its manifest's digest.
    pub async fn push(&self, who: &str, repository: &str, tag: &str, layer: &[u8]) -> String {
        let config = br#"{"architecture":"amd64","os":"linux","config":{"Cmd":["/app"]},"rootfs":{"type":"layers","diff_ids":[]}}"#;
        for blob in [&config[..], layer] {
            let path = format!("/v2/{repository}/blobs/uploads/?digest={}", Digest::of(blob));
            assert_eq!(self.send(who, Method::POST, &path, blob.to_vec()).await.status(), StatusCode::CREATED);
        }
        let manifest = image_manifest(config, layer);
        let response = self.put_manifest(who, repository, tag, OCI, manifest.clone()).await;
        assert_eq!(response.status(), StatusCode::CREATED, "{}", response.text().await.unwrap());
        Digest::of(manifest.as_bytes()).to_string()
    }

    pub async fn put_manifest(&self, who: &str, repository: &str, reference: &str, kind: &str, body: String) -> Response {
        let path = format!("/v2/{repository}/manifests/{reference}");
        self.request(Some(who), Method::PUT, &path).header("content-type", kind).body(body).send().await.unwrap()
    }
}

pub const OCI: &str = "application/vnd.oci.image.manifest.v1+json";

pub fn image_manifest(config: &[u8], layer: &[u8]) -> String {
    serde_json::json!({
        "schemaVersion": 2, "mediaType": OCI,
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": Digest::of(config), "size": config.len() },
        "layers": [{ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": Digest::of(layer), "size": layer.len() }],
    })
    .to_string()
}

#[expect(clippy::disallowed_methods, reason = "tests drive real clients")]
pub async fn run(program: &str, args: &[&str]) -> Output {
    tokio::process::Command::new(program).args(args).output().await.unwrap()
}

pub async fn must(program: &str, args: &[&str]) -> String {
    let out = run(program, args).await;
    assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}
