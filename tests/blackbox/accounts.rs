//! Sign-in, sessions, tokens, groups.

use serde_json::json;
use testkit::{Cli, Server, ServerOptions, databases};

#[test]
fn sessions_and_passwords() {
    for database in databases() {
        let s = Server::start(database);
        s.anonymous().post("/users", &json!({"name": "eve", "password": "long enough words"})).problem(401, "unauthenticated");
        s.admin().post("/users", &json!({"name": "ann", "password": "long enough words"})).expect(201);
        s.admin().post("/users", &json!({"name": "ann", "password": "long enough words"})).problem(409, "already_exists");
        s.admin().post("/users", &json!({"name": "bob", "password": "short"})).problem(422, "validation_failed");
        let wrong = s.anonymous().post("/session", &json!({"name": "ann", "password": "wrong"})).problem(401, "bad_credentials");
        let unknown = s.anonymous().post("/session", &json!({"name": "nobody", "password": "wrong"})).problem(401, "bad_credentials");
        assert_eq!(wrong.json["detail"], unknown.json["detail"]);
        let signed = s.anonymous().post("/session", &json!({"name": "ann", "password": "long enough words"})).expect(201);
        let cookie = signed.header("set-cookie").to_owned();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
        let pair = cookie.split(';').next().unwrap().to_owned();
        let ann = s.anonymous().header("cookie", &pair);
        assert_eq!(ann.get("/session").expect(200).json["user"]["name"], "ann");
        // a cookie alone may not change anything from elsewhere
        ann.post("/groups", &json!({"path": "g"})).problem(403, "cross_origin");
        ann.header("origin", "https://evil.test").post("/groups", &json!({"path": "g"})).problem(403, "cross_origin");
        ann.header("origin", s.url()).post("/groups", &json!({"path": "g"})).expect(201);
        // a new password ends the session
        ann.header("origin", s.url())
            .post("/users/me/password", &json!({"current": "long enough words", "new": "another long one"}))
            .expect(204);
        ann.get("/session").problem(401, "unauthenticated");
        s.anonymous().post("/session", &json!({"name": "ann", "password": "another long one"})).expect(201);
        // mass assignment
        s.anonymous()
            .post("/users", &json!({"name": "mallory", "password": "long enough words", "admin": true}))
            .problem(401, "unauthenticated");
    }
}

#[test]
fn a_one_time_link_works_once() {
    let s = Server::start_with(testkit::Database::Sqlite, &testkit::ServerOptions::default().set("ADMIN_TOKEN", ""));
    let log = s.log();
    let link = log.split("link=").nth(1).expect("a link is printed").split_whitespace().next().unwrap().to_owned();
    let user = s.anonymous().post("/session", &json!({"link": link})).expect(201);
    assert_eq!(user.json["user"]["admin"], true);
    s.anonymous().post("/session", &json!({"link": link})).problem(401, "bad_credentials");
}

#[test]
fn tokens_carry_no_more_than_they_are_given() {
    for database in databases() {
        let s = Server::start(database);
        let ann = s.user("ann");
        let one = ann.post("/projects/create", &json!({"name": "one"})).expect(201).str("id");
        ann.post("/projects/create", &json!({"name": "two"})).expect(201);
        let made = ann
            .post("/tokens", &json!({"name": "read one", "permissions": ["project:read", "repository:read"], "projects": [one]}))
            .expect(201);
        let narrow = s.anonymous().token(&made.str("secret"));
        narrow.get("/projects/ann%2Fone").expect(200);
        narrow.get("/projects/ann%2Ftwo").problem(404, "not_found");
        assert_eq!(narrow.get("/projects/list").expect(200).items().len(), 1);
        narrow.header("if-match", "\"1\"").patch("/projects/ann%2Fone", &json!({"description": "x"})).problem(403, "forbidden");
        narrow.post("/projects/create", &json!({"name": "three"})).problem(403, "forbidden");
        narrow.post("/tokens", &json!({"name": "more", "permissions": ["project:admin"]})).problem(403, "forbidden");
        narrow.get("/users/me").problem(403, "forbidden");
        // revoked means dead at once
        let id = made.json["token"]["id"].as_str().unwrap();
        ann.delete(&format!("/tokens/{id}")).expect(204);
        narrow.get("/projects/ann%2Fone").problem(401, "bad_credentials");
    }
}

#[test]
fn groups_inherit_downwards() {
    for database in databases() {
        let s = Server::start(database);
        let (ann, bob) = (s.user("ann"), s.user("bob"));
        ann.post("/groups", &json!({"path": "acme"})).expect(201);
        ann.post("/groups", &json!({"path": "acme/web"})).expect(201);
        ann.post("/groups", &json!({"path": "nowhere/web"})).problem(404, "not_found");
        bob.post("/groups", &json!({"path": "acme/bobs"})).problem(404, "not_found");
        ann.post("/projects/create", &json!({"name": "shop", "namespace": "acme/web"})).expect(201);
        bob.get("/projects/acme%2Fweb%2Fshop").problem(404, "not_found");
        ann.put("/groups/acme/members/bob", &json!({"role": "developer"})).expect(204);
        let seen = bob.get("/projects/acme%2Fweb%2Fshop").expect(200);
        assert_eq!(seen.json["role"], "developer");
        assert_eq!(bob.get("/projects/list?namespace=acme").expect(200).items().len(), 1);
        // nobody gives more than they have, the last owner stays, what is full is not deleted
        bob.put("/groups/acme/members/bob", &json!({"role": "owner"})).problem(403, "forbidden");
        ann.put("/groups/acme/members/ann", &json!({"role": "guest"})).problem(409, "conflict");
        ann.delete("/groups/acme").problem(409, "conflict");
        let members = ann.get("/projects/acme%2Fweb%2Fshop/members").expect(200).items();
        assert!(members.iter().any(|m| m["user"]["name"] == "bob" && m["source"] == "group:acme"), "{members:?}");
    }
}

/// The first administrator: a link that the service prints, good for once, with which the command line signs in and sets
/// the password that the pages ask for.
#[test]
fn the_first_sign_in() {
    for database in databases() {
        let s = Server::start_with(database, &ServerOptions::default().set("admin_token", ""));
        let log = s.log();
        let link = log.split_whitespace().find(|word| word.contains("/sign-in?link=")).unwrap_or_else(|| panic!("no link in {log}"));
        let cli = Cli::signed_out(&s.scratch("home"));
        let login = ["login", "--server", s.url(), "--link", link, "--new-password-stdin"];
        let out = cli.try_run_with(&login, "correct horse battery\n");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        assert_eq!(cli.json(&["whoami"])["name"], "admin");
        assert_eq!(cli.try_run_with(&login, "another password\n").status.code(), Some(3), "a link is good for once");
        let by_password = json!({ "name": "admin", "password": "correct horse battery" });
        assert_eq!(s.anonymous().post("/session", &by_password).expect(201).json["user"]["admin"], true);
    }
}
