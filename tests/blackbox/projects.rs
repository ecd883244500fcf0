//! Settings, addresses, lists, end of life.

use serde_json::json;
use testkit::{Server, databases};

#[test]
fn updates_need_the_current_version() {
    for database in databases() {
        let s = Server::start(database);
        let ann = s.user("ann");
        let made = ann.post("/projects/create", &json!({"name": "one", "topics": ["Web", "api"]})).expect(201);
        assert_eq!(made.json["topics"], json!(["api", "web"]));
        let path = format!("/projects/{}", made.str("id"));
        let tag = made.header("etag").to_owned();
        assert_eq!(ann.get(&path).expect(200).header("etag"), tag);
        assert_eq!(ann.header("if-none-match", &tag).get(&path).expect(304).bytes.len(), 0);
        let change = json!({"description": "better"});
        ann.put(&format!("{path}/update"), &change).problem(428, "precondition_required");
        ann.header("if-match", "\"99\"").put(&format!("{path}/update"), &change).problem(412, "precondition_failed");
        let next = ann.header("if-match", &tag).put(&format!("{path}/update"), &change).expect(200);
        assert_ne!(next.header("etag"), tag);
        ann.header("if-match", &tag).patch(&path, &change).problem(412, "precondition_failed");
        ann.header("if-match", next.header("etag")).patch(&path, &json!({"visibility": "everyone"})).problem(422, "validation_failed");
        ann.header("if-match", next.header("etag")).patch(&path, &json!({"owner": "me"})).problem(422, "validation_failed");
    }
}

#[test]
fn moves_leave_a_redirect_until_the_address_is_taken() {
    for database in databases() {
        let s = Server::start(database);
        let ann = s.user("ann");
        ann.post("/groups", &json!({"path": "acme"})).expect(201);
        let id = ann.post("/projects/create", &json!({"name": "one"})).expect(201).str("id");
        ann.post("/projects/ann%2Fone/move", &json!({"name": "uno"})).expect(200);
        assert_eq!(ann.get("/projects/ann%2Fone").expect(200).str("id"), id);
        let moved = ann.post("/projects/ann%2Funo/move", &json!({"namespace": "acme"})).expect(200);
        assert_eq!(moved.str("path"), "acme/uno");
        assert_eq!(ann.get("/projects/ann%2Fone").expect(200).str("path"), "acme/uno");
        let other = ann.post("/projects/create", &json!({"name": "one"})).expect(201).str("id");
        assert_eq!(ann.get("/projects/ann%2Fone").expect(200).str("id"), other);
        ann.post("/projects/acme%2Funo/move", &json!({"namespace": "ann", "name": "one"})).problem(409, "already_exists");
        ann.post("/projects/acme%2Funo/move", &json!({"namespace": "nobody"})).problem(422, "validation_failed");
    }
}

#[test]
fn deleted_projects_come_back() {
    for database in databases() {
        let s = Server::start(database);
        let (ann, bob) = (s.user("ann"), s.user("bob"));
        let id = ann.post("/projects/create", &json!({"name": "one", "visibility": "public"})).expect(201).str("id");
        bob.delete(&format!("/projects/{id}")).problem(403, "forbidden");
        ann.delete(&format!("/projects/{id}")).expect(204);
        bob.get(&format!("/projects/{id}")).problem(404, "not_found");
        s.anonymous().get("/projects/ann%2Fone").problem(404, "not_found");
        assert!(ann.get("/projects/list").expect(200).items().is_empty());
        assert_eq!(ann.get("/projects/list?deleted=true").expect(200).items().len(), 1);
        // the address is free, and then it is not
        let other = ann.post("/projects/create", &json!({"name": "one"})).expect(201).str("id");
        ann.post(&format!("/projects/{id}/restore"), &json!({})).problem(409, "already_exists");
        ann.post(&format!("/projects/{other}/move"), &json!({"name": "two"})).expect(200);
        ann.post(&format!("/projects/{id}/restore"), &json!({})).expect(200);
        assert_eq!(ann.get("/projects/ann%2Fone").expect(200).str("id"), id);
        // archived means read-only
        let archived = ann.post(&format!("/projects/{id}/archive"), &json!({})).expect(200);
        ann.header("if-match", archived.header("etag"))
            .patch(&format!("/projects/{id}"), &json!({"description": "x"}))
            .problem(409, "conflict");
        ann.post(&format!("/projects/{id}/unarchive"), &json!({})).expect(200);
    }
}

#[test]
fn lists_page_filter_and_sort() {
    for database in databases() {
        let s = Server::start(database);
        let (ann, bob) = (s.user("ann"), s.user("bob"));
        for i in 0..7 {
            let visibility = if i % 2 == 0 { "public" } else { "private" };
            ann.post(
                "/projects/create",
                &json!({"name": format!("p{i}"), "visibility": visibility, "topics": [format!("t{}", i % 3)], "language": "Go"}),
            )
            .expect(201);
        }
        for (sort, order) in [("name", "asc"), ("name", "desc"), ("created", "asc"), ("created", "desc"), ("activity", "desc")] {
            let mut names = Vec::new();
            let mut path = format!("/projects/list?limit=3&sort={sort}&order={order}");
            loop {
                let page = ann.get(&path).expect(200);
                names.extend(page.items().iter().map(|p| p["name"].as_str().unwrap().to_owned()));
                let Some(next) = page.json["next"].as_str() else {
                    assert_eq!(page.header("link"), "");
                    break;
                };
                assert!(page.header("link").contains(next), "{}", page.header("link"));
                path = format!("/projects/list?limit=3&sort={sort}&order={order}&after={next}");
            }
            let mut expected: Vec<String> = (0..7).map(|i| format!("p{i}")).collect();
            if order == "desc" {
                expected.reverse();
            }
            assert_eq!(names, expected, "{sort} {order}");
        }
        assert_eq!(bob.get("/projects/list").expect(200).items().len(), 4);
        assert_eq!(s.anonymous().get("/projects/list").expect(200).items().len(), 4);
        assert_eq!(ann.get("/projects/list?topic=t1").expect(200).items().len(), 2);
        assert_eq!(ann.get("/projects/list?q=P3").expect(200).items().len(), 1);
        assert_eq!(ann.get("/projects/list?q=%25").expect(200).items().len(), 0);
        assert_eq!(ann.get("/projects/list?visibility=private&language=go").expect(200).items().len(), 3);
        assert_eq!(bob.get("/projects/list?member=me").expect(200).items().len(), 0);
        let other = ann.get("/projects/list?limit=2&sort=created").expect(200).json["next"].as_str().unwrap().to_owned();
        ann.get(&format!("/projects/list?sort=name&after={other}")).problem(400, "invalid_cursor");
        for bad in ["limit=0", "limit=-1", "limit=1000000000000", "limit=x", "sort=password", "after=AAAA"] {
            let status = ann.get(&format!("/projects/list?{bad}")).status;
            assert!((400..500).contains(&status), "{bad}: {status}");
        }
    }
}
