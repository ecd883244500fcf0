//! Credentials that would do more than they are for, and small inputs that would cost much.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{Clone, Database, Server, ServerOptions, databases, eventually, git};

fn quiet() -> ServerOptions {
    ServerOptions::default().set("RUNNER", "false")
}

#[test]
fn narrow_credentials_stay_narrow() {
    for database in databases() {
        let s = Server::start_with(database, &quiet());
        let ann = s.user("ann");
        let mallory = s.user("mallory");
        ann.post("/groups", &json!({"path": "acme"})).expect(201);
        let one = ann.post("/projects/create", &json!({"name": "one", "namespace": "acme"})).expect(201).str("id");
        ann.put(&format!("/projects/{one}/members/mallory"), &json!({"role": "owner"})).expect(204);
        let token = |api: &testkit::Api, name: &str, permissions: &[&str], projects: Value| {
            let made = api.post("/tokens", &json!({"name": name, "permissions": permissions, "projects": projects})).expect(201);
            s.anonymous().token(&made.str("secret"))
        };
        // a token for one project has nothing of the group above it
        let project_only = token(&ann, "one", &["project:read", "account:write", "account:read"], json!([one]));
        project_only.put("/groups/acme/members/mallory", &json!({"role": "owner"})).problem(404, "not_found");
        assert!(project_only.get("/groups").expect(200).items().is_empty());
        // an administrator's token for reading is no administrator
        let reading = token(&s.admin(), "read", &["project:read"], Value::Null);
        assert_eq!(reading.get("/users/ann").expect(200).json["email"], Value::Null);
        reading.get("/groups/acme").problem(404, "not_found");
        // to leave is for people, with a credential for their account
        let theirs = token(&mallory, "r", &["project:read"], Value::Null);
        theirs.delete(&format!("/projects/{one}/members/mallory")).problem(403, "forbidden");
        mallory.delete(&format!("/projects/{one}/members/mallory")).expect(204);
    }
}

#[test]
fn variables_of_environments_are_for_those_who_deploy() {
    for database in databases() {
        let s = Server::start_with(database, &quiet());
        let (ann, rita, dave) = (s.user("ann"), s.user("rita"), s.user("dave"));
        let project = ann.post("/projects/create", &json!({"name": "app"})).expect(201).str("id");
        ann.put(&format!("/projects/{project}/members/rita"), &json!({"role": "reporter"})).expect(204);
        ann.put(&format!("/projects/{project}/members/dave"), &json!({"role": "developer"})).expect(204);
        let config = json!({"COLOR": "red"});
        let made = json!({"name": "production", "target": "process", "config": config});
        let id = ann.post(&format!("/projects/{project}/environments"), &made).expect(201).str("id");
        let (one, all) = (format!("/environments/{id}"), format!("/projects/{project}/environments"));
        for (who, shown) in [(&dave, &config), (&rita, &Value::Null)] {
            assert_eq!(&who.get(&one).expect(200).json["config"], shown);
            assert_eq!(&who.get(&all).expect(200).items()[0]["config"], shown);
        }
    }
}

#[test]
fn wrong_passwords_run_out() {
    let s = Server::start_with(Database::Sqlite, &quiet());
    s.user("ann");
    let statuses: Vec<u16> =
        (0..40).map(|i| s.anonymous().header("authorization", &basic("ann", &format!("guess {i}"))).get("/projects/list").status).collect();
    assert_eq!(statuses[0], 401);
    assert!(statuses.ends_with(&[429; 3]), "{statuses:?}");
    s.anonymous().post("/session", &json!({"name": "ann", "password": "one more"})).problem(429, "rate_limited");
    // tokens are not passwords, and go on working
    s.admin().get("/users/me").expect(200);
}

fn basic(name: &str, password: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes = format!("{name}:{password}").into_bytes();
    let mut text = String::from("Basic ");
    for chunk in bytes.chunks(3) {
        let n = (0..3).fold(0u32, |n, i| n << 8 | u32::from(chunk.get(i).copied().unwrap_or(0)));
        for i in 0..4 {
            let digit = DIGITS[(n >> (18 - 6 * i)) as usize & 63] as char;
            text.push(if i <= chunk.len() { digit } else { '=' });
        }
    }
    text
}

#[test]
fn answers_are_kept_sealed() {
    let s = Server::start_with(Database::Sqlite, &quiet());
    let ann = s.user("ann");
    let once = ann.header("idempotency-key", "k-1");
    let body = json!({"name": "t", "permissions": ["project:read"]});
    let secret = once.post("/tokens", &body).expect(201).str("secret");
    assert_eq!(once.post("/tokens", &body).expect(201).str("secret"), secret);
    for file in std::fs::read_dir(s.data()).unwrap().flatten().filter(|f| f.file_name().to_string_lossy().contains(".db")) {
        let bytes = std::fs::read(file.path()).unwrap();
        let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
        assert!(!found, "{:?} holds the token", file.path());
    }
}

#[test]
fn deleted_projects_only_come_back() {
    for database in databases() {
        let s = Server::start_with(database, &quiet());
        let ann = s.user("ann");
        for name in ["a", "b", "c"] {
            let id = ann.post("/projects/create", &json!({"name": name, "visibility": "public"})).expect(201).str("id");
            ann.delete(&format!("/projects/{id}")).expect(204);
            ann.post(&format!("/projects/{id}/build"), &json!({"ref": "main"})).problem(409, "conflict");
        }
        s.anonymous().get("/projects/list?deleted=true").problem(401, "unauthenticated");
        assert!(s.user("bob").get("/projects/list?deleted=true").expect(200).items().is_empty());
        // page by page, each once
        let (mut names, mut after) = (Vec::new(), String::new());
        while names.len() < 9 {
            let page = ann.get(&format!("/projects/list?deleted=true&limit=1{after}")).expect(200);
            names.extend(page.items().iter().map(|p| p["name"].as_str().unwrap().to_owned()));
            let Some(next) = page.json["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(names, ["a", "b", "c"]);
    }
}

#[test]
fn templates_start_no_programs_of_their_own() {
    let s = Server::start_with(Database::Sqlite, &quiet());
    let token = s.user_token("ann");
    let ann = s.anonymous().token(&token);
    ann.post("/projects/create", &json!({"name": "evil"})).expect(201);
    let canary = s.scratch("").join("canary");
    let clone = Clone::of(s.url(), &token, "ann/evil", &s.scratch("").join("evil"));
    clone.git(&["checkout", "-q", "-B", "main"]);
    clone.write("files/a", "a");
    for manifest in [
        format!("name = 'evil'\ntitle = 'E'\n[[tools]]\nname = 'x'\ncommand = 'sh'\nprobe = ['-c', 'touch {}']\n", canary.display()),
        "name = 'evil'\ntitle = 'E'\n[[tools]]\nname = 'sh'\n".to_owned(),
    ] {
        clone.write("template.toml", &manifest);
        clone.push("template");
        ann.get("/templates/ann%2Fevil").problem(422, "unprocessable");
    }
    assert!(!canary.exists());
}

#[test]
fn a_tree_of_itself_costs_little() {
    let s = Server::start_with(Database::Sqlite, &quiet());
    let token = s.user_token("ann");
    let ann = s.anonymous().token(&token);
    ann.post("/projects/create", &json!({"name": "bomb"})).expect(201);
    let dir = s.scratch("bomb");
    git(&dir, &["init", "--quiet", "-b", "main"]);
    git(&dir, &["remote", "add", "origin", &Clone::address(s.url(), &token, "ann/bomb")]);
    let clone = Clone { directory: dir.clone() };
    clone.write("f", "f");
    let mut id = clone.git(&["hash-object", "-w", "f"]);
    let mut kind = "120000 blob";
    for _ in 0..6 {
        let list: String = (0..400).map(|i| format!("{kind} {id}\t{i:03}\n")).collect();
        clone.write("list", &list);
        id = testkit::run(&dir, "sh", &["-c", "git mktree < list"]).trim().to_owned();
        kind = "040000 tree";
    }
    let commit = clone.git(&["commit-tree", &id, "-m", "400 to the sixth"]);
    git(&dir, &["push", "--quiet", "origin", &format!("{commit}:refs/heads/main")]);
    let begun = Instant::now();
    ann.get("/projects/ann%2Fbomb/workflows").expect(200);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    eventually("the work of the push ends", || {
        let items = ann.get("/projects/ann%2Fbomb/activity").expect(200).items();
        let work: Vec<Value> = items.iter().flat_map(|e| e["work"].as_array().cloned().unwrap_or_default()).collect();
        work.iter().any(|w| w["kind"] == "trigger_build" && w["state"] == "done")
    });
}
