//! Requests with an `Idempotency-Key` whose answer is lost: the service dies after it has done what was asked and before the
//! answer is kept. The same request again gets the same answer, and nothing is done twice.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Answer, Api, Database, Server, databases, until};

use crate::quiet;

const CONFIG: &str = r#"{"architecture":"amd64","os":"linux","config":{"Cmd":["/app"]},"rootfs":{"type":"layers","diff_ids":[]}}"#;
const CONFIG_DIGEST: &str = "sha256:8a7de4d77d2ed35e3c74a844d2ff7c6a38e4bd1e342b0a723bd7401a0a0bb0a1";
const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";

/// The database refuses to keep answers.
fn lose_answers(server: &Server, database: Database) {
    match database {
        Database::Sqlite => {
            server.sql(&["CREATE TRIGGER lost BEFORE UPDATE OF status ON idempotency BEGIN SELECT RAISE(ABORT, 'lost'); END"]);
        }
        Database::Postgres => server.sql(&[
            "CREATE FUNCTION lost() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'lost'; END $$ LANGUAGE plpgsql",
            "CREATE TRIGGER lost BEFORE UPDATE OF status ON idempotency FOR EACH ROW EXECUTE FUNCTION lost()",
        ]),
    }
}

fn keep_answers(server: &Server, database: Database) {
    let on = if database == Database::Sqlite { "" } else { " ON idempotency" };
    server.sql(&[&format!("DROP TRIGGER lost{on}")]);
}

/// An image without layers.
fn push_image(api: &Api) {
    let blob = format!("/v2/ann/app/blobs/uploads/?digest={CONFIG_DIGEST}");
    api.send("POST", &blob, Some(("application/octet-stream", CONFIG.into()))).expect(201);
    let config = json!({ "mediaType": CONFIG_TYPE, "digest": CONFIG_DIGEST, "size": CONFIG.len() });
    let manifest = json!({ "schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": [] });
    api.send("PUT", "/v2/ann/app/manifests/v1", Some((IMAGE, manifest.to_string().into_bytes()))).expect(201);
}

struct Asked {
    who: &'static str,
    path: String,
    body: Value,
    status: u16,
    location: String,
    shown: Value,
}

/// What was made, as far as it never changes: the rest of an answer goes on with the world.
fn shown(answer: &Answer) -> Value {
    let made = &answer.json;
    let runs: Vec<&Value> = made["runs"].as_array().into_iter().flatten().map(|r| &r["id"]).collect();
    let shown = json!({ "id": made["id"], "oid": made["oid"], "token": made["token"], "secret": made["secret"], "runs": runs });
    assert!(shown.as_object().unwrap().values().any(|v| !v.is_null() && v != &json!([])), "{made}");
    shown
}

#[test]
fn an_answer_that_was_lost_is_given_again() {
    for database in databases() {
        let mut s = Server::start_with(database, &quiet());
        let ann_token = s.user_token("ann");
        let api = |s: &Server, who: &str| if who == "admin" { s.admin() } else { s.anonymous().token(&ann_token) };
        let mut asked: Vec<Asked> = Vec::new();
        lose_answers(&s, database);
        let mut ask = |s: &Server, who: &'static str, path: String, body: Value, status: u16| {
            let key = format!("key-{}", asked.len());
            let answer = api(s, who).header("idempotency-key", &key).post(&path, &body).expect(status);
            assert!(answer.header("idempotent-replayed").is_empty());
            let (location, shown) = (answer.header("location").to_owned(), shown(&answer));
            asked.push(Asked { who, path, body, status, location, shown });
            answer
        };
        ask(&s, "admin", "/users".into(), json!({ "name": "bea", "password": "a long enough password" }), 201);
        ask(&s, "admin", "/runners/tokens".into(), json!({}), 201);
        ask(&s, "ann", "/groups".into(), json!({ "path": "team" }), 201);
        ask(&s, "ann", "/tokens".into(), json!({ "name": "t", "permissions": ["project:read"] }), 201);
        let project = ask(&s, "ann", "/projects/create".into(), json!({ "name": "app" }), 201).str("id");
        let workflow = "on: workflow_dispatch\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: 'true'\n";
        let action = json!({ "action": "create", "path": ".github/workflows/ci.yml", "content": workflow });
        let commit = json!({ "branch": "main", "message": "a workflow", "actions": [action] });
        ask(&s, "ann", format!("/projects/{project}/commits"), commit, 201);
        let built = ask(&s, "ann", format!("/projects/{project}/build"), json!({}), 201);
        let run = built.json["runs"][0]["id"].as_str().unwrap().to_owned();
        ask(&s, "ann", format!("/runs/{run}/cancel"), json!({}), 200);
        ask(&s, "ann", format!("/runs/{run}/retry"), json!({}), 200);
        push_image(&api(&s, "ann"));
        ask(&s, "ann", format!("/projects/{project}/environments"), json!({ "name": "staging", "target": "process" }), 201);
        let deployed = ask(&s, "ann", format!("/projects/{project}/deploy"), json!({ "environment": "staging", "image": "v1" }), 202);
        let release = deployed.json["release"]["id"].as_str().unwrap_or_default().to_owned();
        let environment = deployed.json["environment"]["id"].as_str().unwrap().to_owned();
        ask(&s, "ann", format!("/environments/{environment}/rollback"), json!({ "release": release }), 202);
        ask(&s, "ann", format!("/projects/{project}/move"), json!({ "name": "app2" }), 200);
        ask(&s, "ann", format!("/projects/{project}/archive"), json!({}), 200);
        ask(&s, "ann", format!("/projects/{project}/unarchive"), json!({}), 200);
        api(&s, "ann").delete(&format!("/projects/{project}")).expect(204);
        ask(&s, "ann", format!("/projects/{project}/restore"), json!({}), 200);

        s.kill();
        keep_answers(&s, database);
        s.restart();
        for round in ["found", "kept"] {
            for (i, a) in asked.iter().enumerate() {
                let api = api(&s, a.who).header("idempotency-key", &format!("key-{i}"));
                // on PostgreSQL another instance could still be at it: the claim has to run out
                let again = until("the claim runs out", Duration::from_secs(40), || {
                    let answer = api.post(&a.path, &a.body);
                    assert_eq!(answer.json["code"] == "idempotency_in_flight", !answer.header("retry-after").is_empty());
                    (answer.json["code"] != "idempotency_in_flight").then_some(answer)
                });
                assert_eq!(again.status, a.status, "{round} {}: {}", a.path, again.text());
                assert_eq!(again.header("location"), a.location, "{round} {}", a.path);
                assert_eq!(shown(&again), a.shown, "{round} {}", a.path);
                assert_eq!(again.header("idempotent-replayed"), if round == "kept" { "true" } else { "" }, "{}", a.path);
                api.post(&a.path, &json!({ "other": 1 })).problem(422, "idempotency_mismatch");
            }
        }
        // nothing was done twice
        let ann = api(&s, "ann");
        let count = |path: String| ann.get(&path).expect(200).items().len();
        assert_eq!(count(format!("/projects/{project}/runs")), 1);
        assert_eq!(ann.get(&format!("/runs/{run}")).expect(200).json["attempt"], 2, "one retry");
        assert_eq!(count(format!("/projects/{project}/commits")), 1);
        assert_eq!(count(format!("/projects/{project}/environments")), 1);
        assert_eq!(count(format!("/projects/{project}/deployments")), 2);
        // ann's own and the one that was made here
        assert_eq!(count("/tokens".into()), 2);
    }
}

#[test]
fn a_request_that_never_finished_is_done_by_the_next() {
    for database in databases() {
        let mut s = Server::start_with(database, &quiet());
        let token = s.user_token("ann");
        let body = json!({ "name": "app", "template": "static-site" });
        let mut answered = Vec::new();
        // a claim on PostgreSQL takes its time to run out
        let rounds = if database == Database::Sqlite { 6 } else { 2 };
        for round in 0..rounds {
            let ann = s.anonymous().token(&token).header("idempotency-key", &format!("create-{round}"));
            let mut body = body.clone();
            body["name"] = format!("app{round}").into();
            let request = {
                let (ann, body) = (ann.clone(), body.clone());
                std::thread::spawn(move || {
                    ann.try_send("POST", "/projects/create", Some(("application/json", body.to_string().into_bytes())))
                })
            };
            std::thread::sleep(Duration::from_millis(5 + round * 150 / rounds));
            s.kill();
            let _ = request.join();
            s.restart();
            let ann = s.anonymous().token(&token).header("idempotency-key", &format!("create-{round}"));
            let answer = until("the claim runs out", Duration::from_secs(60), || {
                let answer = ann.post("/projects/create", &body);
                (answer.json["code"] != "idempotency_in_flight").then_some(answer)
            });
            answered.push(answer.expect(201).str("id"));
        }
        let listed: Vec<String> = s
            .anonymous()
            .token(&token)
            .get("/projects/list?limit=100")
            .expect(200)
            .items()
            .iter()
            .map(|p| p["id"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(listed.len(), answered.len());
        assert!(answered.iter().all(|id| listed.contains(id)));
    }
}
