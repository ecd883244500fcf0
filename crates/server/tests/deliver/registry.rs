//! The registry door over real HTTP, by requests of its own and by real clients: docker and skopeo.

use kernel::Visibility;
use oci::Digest;
use reqwest::{Method, Response, StatusCode};

use crate::support::*;

async fn code(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body: serde_json::Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    (status, body["errors"][0]["code"].as_str().unwrap().to_owned())
}

fn header(response: &Response, name: &str) -> String {
    response.headers().get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default()
}

#[tokio::test]
async fn uploads_in_all_their_forms() {
    let s = Server::start().await;
    let ann = s.user("ann").await;
    s.project("acme/web", Visibility::Private, ann).await;
    let data = vec![7u8; 100_000];
    let digest = Digest::of(&data).to_string();

    // chunked, with an overlap, a gap and a resumption between
    let begun = s.send("ann", Method::POST, "/v2/acme/web/blobs/uploads/", "").await;
    assert_eq!(begun.status(), StatusCode::ACCEPTED);
    let location = header(&begun, "location");
    assert_eq!(header(&begun, "range"), "0-0");
    let patch = |range: &'static str, bytes: Vec<u8>| {
        s.request(Some("ann"), Method::PATCH, &location).header("content-range", range).body(bytes).send()
    };
    let first = patch("0-59999", data[..60_000].to_vec()).await.unwrap();
    assert_eq!((first.status(), header(&first, "range").as_str()), (StatusCode::ACCEPTED, "0-59999"));
    for (range, bytes) in [("0-59999", 60_000), ("59999-60099", 101), ("60001-60010", 10)] {
        let refused = patch(range, vec![7; bytes]).await.unwrap();
        assert_eq!((refused.status(), header(&refused, "range").as_str()), (StatusCode::RANGE_NOT_SATISFIABLE, "0-59999"), "{range}");
        assert_eq!(code(refused).await.1, "RANGE_INVALID");
    }
    assert_eq!(code(patch("60000-60010", vec![7; 3]).await.unwrap()).await, (400, "SIZE_INVALID".into()));
    let status = s.get("ann", &location).await;
    assert_eq!((status.status(), header(&status, "range").as_str()), (StatusCode::NO_CONTENT, "0-59999"));
    let done = s.send("ann", Method::PUT, &format!("{location}?digest={digest}"), data[60_000..].to_vec()).await;
    assert_eq!(done.status(), StatusCode::CREATED, "{}", done.text().await.unwrap());
    assert_eq!(header(&s.get("ann", &format!("/v2/acme/web/blobs/{digest}")).await, "content-length"), "100000");
    assert_eq!(s.get("ann", &location).await.status(), StatusCode::NOT_FOUND);

    // ranges
    let blob = format!("/v2/acme/web/blobs/{digest}");
    for (range, status, content) in
        [("bytes=0-9", 206, "bytes 0-9/100000"), ("bytes=-5", 206, "bytes 99995-99999/100000"), ("bytes=100000-", 416, "bytes */100000")]
    {
        let part = s.request(Some("ann"), Method::GET, &blob).header("range", range).send().await.unwrap();
        assert_eq!((part.status().as_u16(), header(&part, "content-range").as_str()), (status, content), "{range}");
    }
    let head = s.request(Some("ann"), Method::HEAD, &blob).send().await.unwrap();
    assert_eq!((header(&head, "content-length"), header(&head, "docker-content-digest")), ("100000".into(), digest.clone()));

    // wrong digests store nothing
    let other = Digest::of(b"other");
    let wrong = s.send("ann", Method::POST, &format!("/v2/acme/web/blobs/uploads/?digest={other}"), "bytes").await;
    assert_eq!(code(wrong).await, (400, "DIGEST_INVALID".into()));
    assert_eq!(code(s.get("ann", &format!("/v2/acme/web/blobs/{other}")).await).await, (404, "BLOB_UNKNOWN".into()));

    // cancelled
    let location = header(&s.send("ann", Method::POST, "/v2/acme/web/blobs/uploads/", "").await, "location");
    assert_eq!(s.send("ann", Method::DELETE, &location, "").await.status(), StatusCode::NO_CONTENT);
    assert_eq!(code(s.send("ann", Method::PATCH, &location, "x").await).await, (404, "BLOB_UPLOAD_UNKNOWN".into()));
    s.running.stop().await;
}

#[tokio::test]
async fn nothing_leaks_between_projects() {
    let s = Server::start().await;
    let (ann, bob) = (s.user("ann").await, s.user("bob").await);
    s.project("acme/secret", Visibility::Private, ann).await;
    s.project("bobs/own", Visibility::Private, bob).await;
    let layer = b"secret layer";
    s.push("ann", "acme/secret", "v1", layer).await;
    let digest = Digest::of(layer);

    // what does not exist and what one may not see answer alike
    for path in ["/v2/acme/secret/tags/list", "/v2/acme/nothing/tags/list"] {
        assert_eq!(code(s.get("bob", path).await).await, (404, "NAME_UNKNOWN".into()), "{path}");
        let nobody = s.request(None, Method::GET, path).send().await.unwrap();
        assert!(header(&nobody, "www-authenticate").starts_with("Bearer realm="), "{path}");
        assert_eq!(code(nobody).await, (401, "UNAUTHORIZED".into()));
    }
    // a digest grants nothing: neither by a mount nor by a manifest
    for query in [format!("mount={digest}&from=acme/secret"), format!("mount={digest}"), format!("mount={digest}&from=../acme/secret")] {
        let response = s.send("bob", Method::POST, &format!("/v2/bobs/own/blobs/uploads/?{query}"), "").await;
        assert_eq!(response.status(), StatusCode::ACCEPTED, "{query}");
    }
    let stolen = s.put_manifest("bob", "bobs/own", "v1", OCI, image_manifest(layer, layer)).await;
    assert_eq!(code(stolen).await, (404, "MANIFEST_BLOB_UNKNOWN".into()));
    // an upload belongs to who began it, in the repository it was begun for
    let location = header(&s.send("ann", Method::POST, "/v2/acme/secret/blobs/uploads/", "").await, "location");
    assert_eq!(s.send("admin", Method::PATCH, &location, "x").await.status(), StatusCode::NOT_FOUND);
    let moved = location.replace("acme/secret/", "acme/secret/image/");
    assert_eq!(s.send("ann", Method::PATCH, &moved, "x").await.status(), StatusCode::NOT_FOUND);
    // whoever may read both may mount
    let mounted = s.send("admin", Method::POST, &format!("/v2/bobs/own/blobs/uploads/?mount={digest}&from=acme/secret"), "").await;
    assert_eq!(mounted.status(), StatusCode::CREATED);
    assert_eq!(s.get("bob", &format!("/v2/bobs/own/blobs/{digest}")).await.text().await.unwrap(), "secret layer");
    // the catalog shows what one may read
    s.push("bob", "bobs/own/tool", "v1", b"x").await;
    let catalog = async |who: &str| s.get(who, "/v2/_catalog?n=1000000000000").await.text().await.unwrap();
    assert_eq!(catalog("bob").await, r#"{"repositories":["bobs/own/tool"]}"#);
    assert_eq!(catalog("admin").await, r#"{"repositories":["acme/secret","bobs/own/tool"]}"#);
}

#[tokio::test]
async fn tokens_are_scoped() {
    let s = Server::start().await;
    let ann = s.user("ann").await;
    s.project("acme/web", Visibility::Private, ann).await;
    s.project("acme/open", Visibility::Public, ann).await;
    s.push("ann", "acme/open", "v1", b"x").await;
    let token = |who: Option<&'static str>, scope: &'static str| {
        let request = s.request(who, Method::GET, &format!("/v2/token?service={}&scope={scope}", s.host));
        async move {
            let body: serde_json::Value = serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap();
            assert_eq!(body["token"], body["access_token"]);
            body["token"].as_str().unwrap().to_owned()
        }
    };
    let with = |token: &str, method: Method, path: &str| s.client.request(method, format!("{}{path}", s.base)).bearer_auth(token).send();
    let pull = token(Some("ann"), "repository:acme/web:pull").await;
    assert_eq!(with(&pull, Method::GET, "/v2/").await.unwrap().status(), StatusCode::OK);
    assert_eq!(code(with(&pull, Method::GET, "/v2/acme/web/tags/list").await.unwrap()).await, (404, "NAME_UNKNOWN".into()));
    for (method, path) in [(Method::POST, "/v2/acme/web/blobs/uploads/"), (Method::GET, "/v2/acme/open/tags/list")] {
        let refused = with(&pull, method, path).await.unwrap();
        assert!(header(&refused, "www-authenticate").contains("insufficient_scope"), "{path}");
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    }
    let push = token(Some("ann"), "repository:acme/web:pull,push").await;
    assert_eq!(with(&push, Method::POST, "/v2/acme/web/blobs/uploads/").await.unwrap().status(), StatusCode::ACCEPTED);
    // nobody pulls what is public, and pushes nothing
    let nobody = token(None, "repository:acme/open:pull,push").await;
    assert_eq!(with(&nobody, Method::GET, "/v2/acme/open/tags/list").await.unwrap().status(), StatusCode::OK);
    assert_eq!(with(&nobody, Method::POST, "/v2/acme/open/blobs/uploads/").await.unwrap().status(), StatusCode::UNAUTHORIZED);
    // a token that was altered, and wrong passwords
    let mut altered = pull.clone();
    altered.replace_range(10..11, if &altered[10..11] == "A" { "B" } else { "A" });
    assert_eq!(with(&altered, Method::GET, "/v2/").await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let wrong = s.client.get(format!("{}/v2/token", s.base)).basic_auth("ann", Some("wrong")).send().await.unwrap();
    assert_eq!(code(wrong).await, (401, "UNAUTHORIZED".into()));
    // the OAuth form
    let form = "grant_type=password&service=x&client_id=x&username=ann&password=password%20of+ann&scope=repository:acme/web:pull";
    let form = s.client.post(format!("{}/v2/token", s.base)).header("content-type", "application/x-www-form-urlencoded").body(form);
    assert_eq!(form.send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn manifests_tags_and_referrers() {
    let s = Server::start().await;
    let ann = s.user("ann").await;
    s.project("acme/web", Visibility::Private, ann).await;
    let digest = s.push("ann", "acme/web", "v1", b"one").await;
    for tag in ["v2", "latest"] {
        s.push("ann", "acme/web", tag, b"two").await;
    }
    let first = s.get("ann", "/v2/acme/web/tags/list?n=2").await;
    assert_eq!(header(&first, "link"), "</v2/acme/web/tags/list?n=2&last=v1>; rel=\"next\"");
    assert_eq!(first.text().await.unwrap(), r#"{"name":"acme/web","tags":["latest","v1"]}"#);
    assert_eq!(s.get("ann", "/v2/acme/web/tags/list?n=2&last=v1").await.text().await.unwrap(), r#"{"name":"acme/web","tags":["v2"]}"#);
    assert_eq!(s.get("ann", "/v2/acme/web/tags/list?n=0").await.text().await.unwrap(), r#"{"name":"acme/web","tags":[]}"#);

    let manifest = s.get("ann", "/v2/acme/web/manifests/v1").await;
    assert_eq!((header(&manifest, "docker-content-digest"), header(&manifest, "content-type")), (digest.clone(), OCI.into()));
    let tag = header(&manifest, "etag");
    let bytes = manifest.bytes().await.unwrap();
    assert_eq!(Digest::of(&bytes).to_string(), digest);
    let known = s.request(Some("ann"), Method::GET, "/v2/acme/web/manifests/v1").header("if-none-match", tag).send().await.unwrap();
    assert_eq!(known.status(), StatusCode::NOT_MODIFIED);

    // hostile manifests
    let confused = serde_json::json!({ "schemaVersion": 2, "manifests": [], "layers": [] }).to_string();
    assert_eq!(
        code(s.put_manifest("ann", "acme/web", "x", "application/vnd.oci.image.index.v1+json", confused).await).await.1,
        "MANIFEST_INVALID"
    );
    assert_eq!(s.put_manifest("ann", "acme/web", "x", OCI, " ".repeat((4 << 20) + 1)).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let other = Digest::of(b"other").to_string();
    let misnamed = s.put_manifest("ann", "acme/web", &other, OCI, String::from_utf8(bytes.to_vec()).unwrap()).await;
    assert_eq!(code(misnamed).await, (400, "DIGEST_INVALID".into()));

    // referrers, also of what is not there yet
    let empty = s.get("ann", &format!("/v2/acme/web/referrers/{other}")).await;
    assert_eq!(header(&empty, "content-type"), oci::OCI_INDEX);
    assert!(empty.text().await.unwrap().contains(r#""manifests":[]"#));
    let config = br#"{"architecture":"amd64","os":"linux","config":{"Cmd":["/app"]},"rootfs":{"type":"layers","diff_ids":[]}}"#;
    let mut about: serde_json::Value = serde_json::from_str(&image_manifest(config, b"one")).unwrap();
    about["subject"] = serde_json::json!({ "mediaType": OCI, "digest": other, "size": 5 });
    about["artifactType"] = "application/vnd.example.sbom".into();
    let put = s
        .put_manifest("ann", "acme/web", &format!("{}?tag=a&tag=b", Digest::of(about.to_string().as_bytes())), OCI, about.to_string())
        .await;
    assert_eq!((put.status(), header(&put, "oci-subject")), (StatusCode::CREATED, other.clone()));
    assert_eq!(put.headers().get_all("oci-tag").iter().count(), 2);
    for (query, found) in [("", 1), ("?artifactType=application/vnd.example.sbom", 1), ("?artifactType=x", 0)] {
        let response = s.get("ann", &format!("/v2/acme/web/referrers/{other}{query}")).await;
        assert_eq!(header(&response, "oci-filters-applied").is_empty(), query.is_empty());
        let index: serde_json::Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert_eq!(index["manifests"].as_array().unwrap().len(), found, "{query}");
    }

    // deletion: a needed blob stays, a tag goes alone, a manifest with its tags
    let blob = format!("/v2/acme/web/blobs/{}", Digest::of(b"two"));
    assert_eq!(s.send("ann", Method::DELETE, &blob, "").await.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(s.send("ann", Method::DELETE, "/v2/acme/web/manifests/latest", "").await.status(), StatusCode::ACCEPTED);
    assert_eq!(code(s.get("ann", "/v2/acme/web/manifests/latest").await).await, (404, "MANIFEST_UNKNOWN".into()));
    let two = header(&s.get("ann", "/v2/acme/web/manifests/v2").await, "docker-content-digest");
    assert_eq!(s.send("ann", Method::DELETE, &format!("/v2/acme/web/manifests/{two}"), "").await.status(), StatusCode::ACCEPTED);
    assert_eq!(s.get("ann", "/v2/acme/web/manifests/v2").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(s.send("ann", Method::DELETE, &blob, "").await.status(), StatusCode::ACCEPTED);

    // the pushes are events
    let events = store::event::event_list(s.running.app().db(), Default::default(), None, 100).await.unwrap();
    let pushed = events.iter().filter(|(_, e)| e.data.kind() == "image.pushed").count();
    assert_eq!(pushed, 5);
}

#[tokio::test]
async fn paths_and_methods_that_are_none() {
    let s = Server::start().await;
    for (path, status) in [
        ("/v2/acme/../../etc/tags/list", 404),
        ("/v2/Acme/web/tags/list", 400),
        ("/v2/acme/web/manifests/-bad", 400),
        ("/v2/acme/web/blobs/sha256:zz", 400),
        ("/v2/acme/web/referrers/latest", 400),
        ("/v2/acme/web", 404),
        ("/v2/acme/web/blobs/uploads/", 405),
    ] {
        assert_eq!(s.get("admin", path).await.status().as_u16(), status, "{path}");
    }
    assert_eq!(s.request(None, Method::GET, "/v2/").send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(s.get("admin", "/v2/").await.status(), StatusCode::OK);
}

/// docker login, build, push, pull; skopeo copy in both directions.
#[tokio::test]
async fn real_clients() {
    if !run("docker", &["info"]).await.status.success() {
        eprintln!("skipped: no docker engine answers");
        return;
    }
    let s = Server::start().await;
    let ann = s.user("ann").await;
    s.project("acme/web", Visibility::Private, ann).await;
    let context = tempfile::tempdir().unwrap();
    let config = tempfile::tempdir().unwrap();
    let config = config.path().to_str().unwrap();
    std::fs::write(context.path().join("Dockerfile"), "FROM scratch\nCOPY big /big\nCMD [\"/big\"]\n").unwrap();
    let big: Vec<u8> = (0..8u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    std::fs::write(context.path().join("big"), &big).unwrap();
    let image = format!("{}/acme/web:v1", s.host);
    let login = run("docker", &["--config", config, "login", "-u", "ann", "-p", "wrong", &s.host]).await;
    assert!(!login.status.success());
    must("docker", &["--config", config, "login", "-u", "ann", "-p", "password of ann", &s.host]).await;
    must("docker", &["build", "-q", "-t", &image, context.path().to_str().unwrap()]).await;
    must("docker", &["--config", config, "push", &image]).await;
    must("docker", &["--config", config, "push", &image]).await;
    must("docker", &["rmi", &image]).await;
    must("docker", &["--config", config, "pull", &image]).await;
    let nobody = tempfile::tempdir().unwrap();
    assert!(!run("docker", &["--config", nobody.path().to_str().unwrap(), "pull", &image]).await.status.success());
    must("docker", &["rmi", &image]).await;

    let layout = tempfile::tempdir().unwrap();
    let (from, to) = (format!("docker://{image}"), format!("oci:{}:v1", layout.path().display()));
    let creds = ["--src-tls-verify=false", "--src-creds", "ann:password of ann"];
    must("skopeo", &[&["copy"][..], &creds, &[&from, &to]].concat()).await;
    let back = format!("docker://{}/acme/web/copy:v2", s.host);
    must("skopeo", &["copy", "--dest-tls-verify=false", "--dest-creds", &format!("x:{ADMIN}"), &to, &back]).await;
    let seen = must("skopeo", &["inspect", "--tls-verify=false", "--creds", "ann:password of ann", &back]).await;
    assert!(seen.contains("\"v2\""), "{seen}");
    s.running.stop().await;
}
