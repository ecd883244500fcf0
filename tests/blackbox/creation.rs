//! How a project comes to be.

use serde_json::json;
use testkit::{Clone, Server, databases, git};

#[test]
fn from_a_template_to_a_clone() {
    for database in databases() {
        let s = Server::start(database);
        let token = s.user_token("ann");
        let ann = s.anonymous().token(&token);
        let made = ann
            .post(
                "/projects/create",
                &json!({"name": "hello", "template": "go-http", "parameters": {"greeting": "Moin"}, "description": "Says moin"}),
            )
            .expect(201);
        assert_eq!(made.str("language"), "Go");
        assert!(made.header("location").starts_with("/projects/prj_"));
        let clone = Clone::of(s.url(), &token, "ann/hello", &s.scratch("").join("hello"));
        assert!(std::fs::read_to_string(clone.directory.join("internal/greet/greet.go")).unwrap().contains("Moin"));
        assert_eq!(clone.git(&["rev-parse", "--abbrev-ref", "HEAD"]), "main");
        assert_eq!(clone.git(&["log", "--format=%an"]), "ann");
    }
}

#[test]
fn the_steps_can_be_watched() {
    let s = Server::start(testkit::Database::Sqlite);
    let ann = s.user("ann");
    let begun =
        ann.header("prefer", "respond-async").post("/projects/create", &json!({"name": "hello", "template": "static-site"})).expect(202);
    let path = begun.header("location").to_owned();
    assert_eq!(path, format!("/operations/{}", begun.str("id")));
    let events = ann.events(&format!("{path}/events"), |event, _| event == "end");
    let (_, last) = &events[events.len() - 2];
    let last: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!(last["state"], "succeeded", "{last}");
    let steps: Vec<&str> = last["steps"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(
        steps,
        ["validate", "create_repository", "initialise_structure", "set_up_dependencies", "configure_ci", "index_files", "finish"]
    );
    assert!(last["steps"].as_array().unwrap().iter().all(|s| s["state"] == "done"));
    s.user("bob").get(&path).problem(404, "not_found");
}

#[test]
fn the_same_name_and_the_same_key() {
    for database in databases() {
        let s = Server::start(database);
        let ann = s.user("ann");
        let keyed = ann.header("idempotency-key", "k1");
        let first = keyed.post("/projects/create", &json!({"name": "one"})).expect(201);
        let again = keyed.post("/projects/create", &json!({"name": "one"})).expect(201);
        assert_eq!(first.bytes, again.bytes);
        assert_eq!(again.header("idempotent-replayed"), "true");
        keyed.post("/projects/create", &json!({"name": "other"})).problem(422, "idempotency_mismatch");
        ann.post("/projects/create", &json!({"name": "one"})).problem(409, "already_exists");
        // of many at once, one wins
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let ann = ann.clone();
                std::thread::spawn(move || ann.post("/projects/create", &json!({"name": "race", "template": "static-site"})).status)
            })
            .collect();
        let mut statuses: Vec<u16> = threads.into_iter().map(|t| t.join().unwrap()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
    }
}

#[test]
fn mistakes_are_named() {
    let s = Server::start(testkit::Database::Sqlite);
    let ann = s.user("ann");
    let fields = |body: serde_json::Value| -> Vec<String> {
        let answer = ann.post("/projects/create", &body).problem(422, "validation_failed");
        answer.json["errors"].as_array().map(|e| e.iter().map(|f| f["field"].as_str().unwrap().to_owned()).collect()).unwrap_or_default()
    };
    assert_eq!(fields(json!({"name": "../x"})), ["name"]);
    assert_eq!(fields(json!({"name": "x", "namespace": "bob"})), ["namespace"]);
    assert_eq!(fields(json!({"name": "x", "template": "nope"})), ["template"]);
    assert_eq!(
        fields(json!({"name": "x", "template": "go-http", "parameters": {"port": 1, "nope": true}})),
        ["parameters.nope", "parameters.port"]
    );
    assert_eq!(fields(json!({"name": "x", "default_branch": "-rf"})), ["default_branch"]);
    ann.post("/projects/create", &json!({"name": ["x"]})).problem(422, "validation_failed");
    assert!(ann.get("/projects/list").expect(200).items().is_empty());
}

#[test]
fn any_repository_can_be_a_template() {
    let s = Server::start(testkit::Database::Sqlite);
    let token = s.user_token("ann");
    let ann = s.anonymous().token(&token);
    ann.post("/projects/create", &json!({"name": "base"})).expect(201);
    let dir = s.scratch("base");
    git(&dir, &["init", "--quiet", "-b", "main"]);
    git(&dir, &["remote", "add", "origin", &Clone::address(s.url(), &token, "ann/base")]);
    let clone = Clone { directory: dir };
    clone.write(
        "template.toml",
        "name = 'mine'\ntitle = 'Mine'\nrender = ['*.txt']\n[[parameters]]\nname = 'who'\ntype = 'string'\ndefault = 'me'\n",
    );
    clone.write("files/{{ project.identifier }}.txt", "for {{ who }}");
    clone.push("a template");
    ann.post("/projects/create", &json!({"name": "from-base", "template": "ann/base", "parameters": {"who": "you"}})).expect(201);
    let made = Clone::of(s.url(), &token, "ann/from-base", &s.scratch("").join("made"));
    assert_eq!(std::fs::read_to_string(made.directory.join("from_base.txt")).unwrap(), "for you");
    // what bob may not read is no template for him
    s.user("bob").post("/projects/create", &json!({"name": "x", "template": "ann/base"})).problem(422, "validation_failed");
}
