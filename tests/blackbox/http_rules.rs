//! The rules every route keeps.

use serde_json::json;
use testkit::{Server, ServerOptions};

#[test]
fn every_answer_carries_its_headers() {
    let s = Server::start(testkit::Database::Sqlite);
    for path in ["/health", "/projects/list", "/nothing/here", "/openapi.json"] {
        let answer = s.anonymous().header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").get(path);
        assert!(answer.header("x-request-id").starts_with("req_"), "{path}");
        assert!(answer.header("traceparent").contains("0af7651916cd43dd8448eb211c80319c"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert!(!answer.header("content-security-policy").is_empty(), "{path}");
        if path != "/health" {
            assert!(answer.header("ratelimit").contains("r="), "{path}");
        }
    }
    s.anonymous().get("/nothing/here").problem(404, "not_found");
    s.anonymous().delete("/projects/list").problem(405, "method_not_allowed");
    s.anonymous().send("POST", "/session", Some(("text/plain", b"{}".to_vec()))).problem(415, "unsupported_media_type");
    s.anonymous().send("POST", "/session", Some(("application/json", b"{".to_vec()))).problem(400, "invalid_request");
    s.anonymous().send("POST", "/session", Some(("application/json", vec![b' '; 2 << 20]))).problem(413, "too_large");
    s.anonymous().header("authorization", "Bearer nope").get("/projects/list").problem(401, "bad_credentials");
}

#[test]
fn limits_are_told_and_kept() {
    let s = Server::start_with(testkit::Database::Sqlite, &ServerOptions::default().set("RATE_LIMIT_ANONYMOUS", "5"));
    let mut statuses: Vec<u16> = (0..8).map(|_| s.anonymous().get("/projects/list").status).collect();
    // the window may turn over once in between
    statuses.sort_unstable();
    assert!(statuses.contains(&429), "{statuses:?}");
    let refused = s.anonymous().get("/projects/list");
    if refused.status == 429 {
        assert!(!refused.header("retry-after").is_empty());
    }
    s.anonymous().get("/health").expect(200);
}

#[test]
fn cors_is_by_allow_list() {
    let s = Server::start_with(testkit::Database::Sqlite, &ServerOptions::default().set("CORS_ORIGINS", "https://app.test"));
    let from = |origin: &str| s.anonymous().header("origin", origin).get("/projects/list").header("access-control-allow-origin").to_owned();
    assert_eq!(from("https://app.test"), "https://app.test");
    assert_eq!(from("https://evil.test"), "");
    let preflight = s
        .anonymous()
        .header("origin", "https://app.test")
        .header("access-control-request-method", "PUT")
        .send("OPTIONS", "/projects/x", None)
        .expect(204);
    assert!(preflight.header("access-control-allow-methods").contains("PUT"));
    assert_eq!(preflight.header("access-control-allow-credentials"), "");
}

#[test]
fn ready_in_a_second_and_drained_in_order() {
    let mut s = Server::start(testkit::Database::Sqlite);
    let ready = s.anonymous().get("/health/ready").expect(200);
    let components = ready.json["components"].as_array().unwrap();
    assert!(components.iter().any(|c| c["name"] == "database" && c["status"] == "ok" && c["latency_ms"].is_number()), "{}", ready.json);
    assert!(s.anonymous().get("/metrics").expect(200).text().contains("http_requests_total"));
    s.anonymous().header("x-forwarded-for", "1.2.3.4").get("/metrics").problem(404, "not_found");
    assert!(s.terminate().success());
    s.restart();
    s.admin().get("/users/me").expect(200);
}

#[test]
fn unknown_settings_are_refused() {
    let out =
        testkit::try_run(std::path::Path::new("/"), &testkit::binary().display().to_string(), &["serve"], &[("DEVMENTOR_LISTNE", "x")]);
    assert!(!out.status.success());
    let text = String::from_utf8_lossy(&out.stderr).into_owned() + &String::from_utf8_lossy(&out.stdout);
    assert!(text.contains("listne"), "{text}");
}

#[test]
fn the_feed_of_events_is_ordered_and_resumes() {
    for database in testkit::databases() {
        let s = Server::start(database);
        let ann = s.user("ann");
        for i in 0..3 {
            ann.post("/projects/create", &json!({"name": format!("p{i}")})).expect(201);
        }
        let all = s.admin().get("/events").expect(200);
        let created: Vec<_> = all.items().into_iter().filter(|e| e["type"] == "project.created").collect();
        assert_eq!(created.len(), 3);
        let after = created[0]["position"].as_str().unwrap();
        let rest = s.admin().get(&format!("/events?after={after}")).expect(200).items();
        assert_eq!(rest.iter().filter(|e| e["type"] == "project.created").count(), 2);
        ann.get("/events").problem(403, "forbidden");
        assert_eq!(ann.get("/events?project=ann%2Fp1").expect(200).items().iter().filter(|e| e["type"] == "project.created").count(), 1);
        s.user("bob").get("/events?project=ann%2Fp1").problem(404, "not_found");
    }
}
