//! Walks every route of the description as nobody, outsider, reader, writer and a read-only token, so that a route
//! without a decision is found by its answer.

use serde_json::{Value, json};
use testkit::{Api, Server};

/// Routes that answer nobody by design.
const OPEN: &[&str] = &[
    "GET /health",
    "GET /health/ready",
    "GET /instance",
    "GET /templates",
    "GET /templates/{name}",
    "GET /permissions",
    // whoever holds an artifact can tell where it comes from
    "GET /provenance/keys",
    "POST /session",
    "DELETE /session",
    "GET /projects",
    "GET /projects/list",
    "GET /groups",
    "GET /metrics",
    "GET /search",
];

fn routes(s: &Server) -> Vec<(String, String)> {
    let api = s.anonymous().get("/openapi.json").expect(200).json;
    let mut out = Vec::new();
    for (path, item) in api["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().filter(|m| ["get", "post", "put", "patch", "delete"].contains(&m.as_str())) {
            out.push((method.to_uppercase(), path.clone()));
        }
    }
    out
}

fn ask(api: &Api, method: &str, path: &str, project: &str) -> u16 {
    let mut path = path.to_owned();
    for (name, value) in [("{id}", project), ("{user}", "ann"), ("{oid}", "main"), ("{name}", "x")] {
        path = path.replace(name, value);
    }
    let api = api.header("if-match", "\"1\"");
    let body = (method != "GET" && method != "DELETE").then(|| ("application/json", json!({}).to_string().into_bytes()));
    api.send(method, &path, body).status
}

#[test]
fn every_route_decides() {
    let s = Server::start(testkit::Database::Sqlite);
    let ann = s.user("ann");
    let (outsider, reader, writer) = (s.user("out"), s.user("rea"), s.user("wri"));
    let project = ann.post("/projects/create", &json!({"name": "secret"})).expect(201).str("id");
    ann.put(&format!("/projects/{project}/members/rea"), &json!({"role": "reporter"})).expect(204);
    ann.put(&format!("/projects/{project}/members/wri"), &json!({"role": "developer"})).expect(204);
    let read_only =
        ann.post("/tokens", &json!({"name": "r", "permissions": ["project:read", "repository:read"]})).expect(201).str("secret");
    let read_only = s.anonymous().token(&read_only);
    let mut holes: Vec<String> = Vec::new();
    for (method, path) in routes(&s) {
        let route = format!("{method} {path}");
        let in_project = path.starts_with("/projects/{id}");
        let nobody = ask(&s.anonymous(), &method, &path, &project);
        if !OPEN.contains(&route.as_str()) && !path.starts_with("/runner/") && !matches!(nobody, 401 | 403 | 404 | 422 | 400 | 415) {
            holes.push(format!("{route}: nobody got {nobody}"));
        }
        if in_project {
            // a private project does not exist for nobody and for outsiders
            for (who, api) in [("nobody", s.anonymous()), ("outsider", outsider.clone())] {
                let status = ask(&api, &method, &path, &project);
                if !matches!(status, 404 | 422 | 400 | 415) {
                    holes.push(format!("{route}: {who} got {status}"));
                }
            }
            // who may only read changes nothing
            for (who, api) in [("reader", &reader), ("read-only token", &read_only)] {
                let status = ask(api, &method, &path, &project);
                if method != "GET" && (200..300).contains(&status) {
                    holes.push(format!("{route}: {who} got {status}"));
                }
            }
            let admin_only =
                ["/move", "/archive", "/unarchive", "/members", "/update", "/secrets", "/variables"].iter().any(|p| path.contains(p));
            if method != "GET" && (admin_only || path == "/projects/{id}") {
                let status = ask(&writer, &method, &path, &project);
                if (200..300).contains(&status) {
                    holes.push(format!("{route}: writer got {status}"));
                }
            }
        }
        let status = ask(&outsider, &method, &path, &project);
        if status >= 500 {
            holes.push(format!("{route}: {status}"));
        }
    }
    assert!(holes.is_empty(), "{}", holes.join("\n"));
}

#[test]
fn the_description_is_the_committed_one() {
    let s = Server::start(testkit::Database::Sqlite);
    let served: Value = s.anonymous().get("/openapi.json").expect(200).json;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi.json");
    let committed: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap_or_default()).unwrap_or_default();
    assert!(served == committed, "openapi.json is not what the routes say: run `devmentor openapi > openapi.json`");
}
