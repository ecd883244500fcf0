//! The git door and the repository API, with the real client.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Api, Clone, Database, Server, ServerOptions, databases, eventually, git, git_fails, try_run, until};

fn quiet() -> ServerOptions {
    ServerOptions::default().set("RUNNER", "false")
}

/// A user with a token and an empty project.
fn project(s: &Server, name: &str) -> (String, Api) {
    let token = s.user_token("ann");
    let ann = s.anonymous().token(&token);
    ann.post("/projects/create", &json!({ "name": name })).expect(201);
    (token, ann)
}

fn clone(s: &Server, token: &str, path: &str, name: &str) -> Clone {
    Clone::of(s.url(), token, path, &s.scratch("").join(name))
}

/// The moves of refs on record, oldest first: name, old, new.
fn moves(api: &Api) -> Vec<(String, Value, Value)> {
    let mut out = Vec::new();
    for item in api.get("/events?limit=100").expect(200).items() {
        if item["type"] == "repository.pushed" {
            for u in item["data"]["updates"].as_array().unwrap() {
                out.push((u["ref"].as_str().unwrap().to_owned(), u["old"].clone(), u["new"].clone()));
            }
        }
    }
    out
}

#[test]
fn push_and_clone_by_everyone_who_may() {
    for database in databases() {
        let s = Server::start_with(database, &quiet());
        let (token, ann) = project(&s, "web");
        let work = clone(&s, &token, "ann/web", "work");
        work.write("README.md", "# web\n");
        let first = work.push("one");
        work.write("src/a.rs", "fn a() {}\n");
        let second = work.push("two");
        work.git(&["tag", "-a", "-m", "v1", "v1"]);
        work.git(&["push", "--quiet", "origin", "v1"]);
        let other = clone(&s, &token, "ann/web", "other");
        assert_eq!(other.git(&["rev-parse", "HEAD"]), second);

        let seen = moves(&s.admin());
        assert_eq!(seen.len(), 3);
        assert_eq!(seen[0], ("refs/heads/main".into(), Value::Null, json!(first)));
        assert_eq!(seen[1], ("refs/heads/main".into(), json!(first), json!(second)));
        assert_eq!(seen[2].0, "refs/tags/v1");

        let refs = ann.get("/projects/ann%2Fweb/refs").expect(200);
        assert_eq!(refs.json["default_branch"], "main");
        assert_eq!(refs.json["branches"][0]["commit"], second.as_str());
        assert!(refs.json["branches"][0]["updated_at"].is_string());
        assert_eq!((&refs.json["tags"][0]["name"], &refs.json["tags"][0]["commit"]), (&json!("v1"), &json!(second)));

        // name and password work as well as a token; another name, a path without .git, an old path too
        let scratch = s.scratch("");
        let with = |credentials: &str, path: &str| s.url().replacen("://", &format!("://{credentials}@"), 1) + "/" + path;
        for address in [
            with("ann:password%20of%20ann", "ann/web.git"),
            with(&format!("whoever:{token}"), "ann/web.git"),
            with(&format!("ann:{token}"), "ann/web"),
            with(&format!("ann:{token}"), "Ann/Web.git"),
        ] {
            assert!(git(&scratch, &["ls-remote", &address]).contains(&second), "{address}");
        }
        ann.post("/projects/ann%2Fweb/move", &json!({"name": "site"})).expect(200);
        for path in ["ann/web.git", "ann/site.git"] {
            assert!(git(&scratch, &["ls-remote", &with(&format!("x:{token}"), path)]).contains(&second));
        }
        other.write("b", "b");
        other.push("through the old address");
    }
}

#[test]
fn who_may_not_learns_nothing() {
    let s = Server::start_with(Database::Sqlite, &quiet());
    let (token, ann) = project(&s, "private");
    ann.post("/projects/create", &json!({"name": "public", "visibility": "public"})).expect(201);
    for name in ["private", "public"] {
        let work = clone(&s, &token, &format!("ann/{name}"), name);
        work.write("a", "a");
        work.push("a");
    }
    let scratch = s.scratch("");
    // private and missing look the same to nobody, and to somebody else
    let private = s.anonymous().get("/ann/private.git/info/refs?service=git-upload-pack");
    let missing = s.anonymous().get("/ann/missing.git/info/refs?service=git-upload-pack");
    assert_eq!((private.status, &private.bytes), (401, &missing.bytes));
    assert_eq!(missing.status, 401);
    assert!(private.header("www-authenticate").starts_with("Basic "));
    let bob = s.user_token("bob");
    let bob_api = s.anonymous().token(&bob);
    let private = bob_api.get("/ann/private.git/info/refs?service=git-upload-pack");
    let missing = bob_api.get("/ann/missing.git/info/refs?service=git-upload-pack");
    assert_eq!((private.status, &private.bytes), (404, &missing.bytes));
    let said = git_fails(&scratch, &["clone", &Clone::address(s.url(), &bob, "ann/private"), "nothing"]);
    assert!(said.contains("not found"), "{said}");
    let said = git_fails(&scratch, &["ls-remote", &Clone::address(s.url(), "dmp_wrong", "ann/private")]);
    assert!(said.contains("Authentication failed"), "{said}");

    // the public one can be read by anybody, and written by its members
    git(&scratch, &["clone", "--quiet", &format!("{}/ann/public.git", s.url()), "anonymous"]);
    let said = git_fails(&scratch.join("anonymous"), &["push", "origin", "HEAD:refs/heads/x"]);
    assert!(said.contains("could not read Username"), "{said}");
    let said = git_fails(&scratch.join("anonymous"), &["push", &Clone::address(s.url(), &bob, "ann/public"), "HEAD:refs/heads/x"]);
    assert!(said.contains("403"), "{said}");
    // what is asked for in the query or the body opens no other door
    let kind = "application/x-git-receive-pack-request";
    let push = |path: &str, kind: &str| s.anonymous().send("POST", path, Some((kind, b"0000".to_vec()))).status;
    assert_eq!(push("/ann/public.git/git-receive-pack?service=git-upload-pack", kind), 401);
    assert_eq!(push("/ann/public.git/git-receive-pack", "application/x-git-upload-pack-request"), 415);
    assert_eq!(bob_api.send("POST", "/ann/public.git/git-receive-pack", Some((kind, b"0000".to_vec()))).status, 403);
    assert_eq!(bob_api.send("POST", "/ann/public.git//git-receive-pack", Some((kind, b"0000".to_vec()))).status, 405);
    assert_eq!(s.anonymous().get("/ann/public.git/info/refs").status, 403);
    assert_eq!(s.anonymous().get("/ann/public.git/HEAD").status, 403);

    // a token that may only read reads
    let narrow = ann.post("/tokens", &json!({"name": "r", "permissions": ["project:read", "repository:read"]})).expect(201).str("secret");
    git(&scratch, &["ls-remote", &Clone::address(s.url(), &narrow, "ann/private")]);
    let said = git_fails(&scratch.join("private"), &["push", &Clone::address(s.url(), &narrow, "ann/private"), "HEAD:refs/heads/x"]);
    assert!(said.contains("403"), "{said}");
}

#[test]
fn refusals_are_read_on_the_terminal() {
    let s = Server::start_with(Database::Sqlite, &quiet().set("PUSH_LIMIT", "20000"));
    let (token, ann) = project(&s, "web");
    let work = clone(&s, &token, "ann/web", "work");
    work.write("a", "a");
    work.push("a");
    let refused = |arguments: &[&str], why: &str| {
        let said = git_fails(&work.directory, arguments);
        assert!(said.contains(why), "{arguments:?}: {said}");
    };
    refused(&["push", "origin", ":main"], "the default branch cannot be deleted");
    refused(&["push", "origin", "HEAD:refs/pull/1/head"], "only refs/heads/ and refs/tags/ may be written");
    refused(&["push", "origin", "HEAD:refs/heads/a;id"], "not allowed");
    let mut seed = 1u64;
    let noise: String = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + (seed >> 58) as u8)
    })
    .take(60_000)
    .collect();
    work.write("big", &noise);
    work.commit("big");
    refused(&["push", "origin", "HEAD"], "exceeds maximum allowed size");
    work.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    ann.post("/projects/ann%2Fweb/archive", &json!({})).expect(200);
    work.commit("late");
    refused(&["push", "origin", "HEAD"], "the project is archived and read-only");
    work.git(&["fetch", "--quiet"]);
    assert_eq!(moves(&s.admin()).len(), 1);
}

#[test]
fn the_first_branch_is_the_default_one() {
    let s = Server::start_with(Database::Sqlite, &quiet());
    let (token, ann) = project(&s, "old");
    let work = clone(&s, &token, "ann/old", "work");
    work.write("a", "a");
    work.commit("a");
    work.git(&["push", "--quiet", "origin", "HEAD:refs/heads/topic", "HEAD:refs/heads/master"]);
    let p = ann.get("/projects/ann%2Fold").expect(200);
    assert_eq!(p.str("default_branch"), "master");
    assert_eq!(clone(&s, &token, "ann/old", "again").git(&["rev-parse", "--abbrev-ref", "HEAD"]), "master");
    // and a setting leads HEAD
    let body = ("application/json", br#"{"default_branch":"topic"}"#.to_vec());
    ann.header("if-match", p.header("etag")).send("PATCH", "/projects/ann%2Fold", Some(body)).expect(200);
    assert_eq!(clone(&s, &token, "ann/old", "third").git(&["rev-parse", "--abbrev-ref", "HEAD"]), "topic");
}

#[test]
fn browsing() {
    for database in databases() {
        let s = Server::start_with(database, &quiet());
        let (token, ann) = project(&s, "web");
        let get = |what: &str| ann.get(&format!("/projects/ann%2Fweb/{what}"));
        // before the first commit
        assert_eq!(get("commits").expect(200).items().len(), 0);
        get("tree").problem(404, "not_found");
        let work = clone(&s, &token, "ann/web", "work");
        work.write("README.md", "# Hello\n\n[guide](docs/guide.md) <script>alert(1)</script> ![p](docs/p.png)\n");
        work.write("docs/guide.md", "guide\n");
        work.write("src/main.rs", "fn main() {}\n");
        work.write("page.html", "<script>alert(1)</script>");
        work.write("bidi.rs", "let a = \"\u{202e}b\";\n");
        std::fs::write(work.directory.join("docs/p.png"), b"\x89PNG\r\n\x1a\n\0\0").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", work.directory.join("link")).unwrap();
        let first = work.push("first\n\nwith a body");
        work.write("src/main.rs", "fn main() {\n    run();\n}\n");
        work.git(&["mv", "docs/guide.md", "docs/manual.md"]);
        let second = work.push("second");

        let tree = get("tree").expect(200);
        assert_eq!((tree.str("ref"), tree.str("commit")), ("main".into(), second.clone()));
        let field = |e: &Value, name: &str| e[name].as_str().unwrap_or("").to_owned();
        let entries: Vec<_> = tree.json["entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| (field(e, "name"), field(e, "type"), field(&e["last_commit"], "title")))
            .collect();
        let want = [
            ("docs", "tree", "second"),
            ("src", "tree", "second"),
            ("README.md", "blob", "first"),
            ("bidi.rs", "blob", "first"),
            ("link", "symlink", "first"),
            ("page.html", "blob", "first"),
        ];
        assert_eq!(entries, want.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned())));
        assert_eq!(ann.header("if-none-match", tree.header("etag")).get("/projects/ann%2Fweb/tree").status, 304);
        let below = get(&format!("tree?ref={first}&path=docs")).expect(200);
        assert_eq!(below.json["entries"][0]["path"], "docs/guide.md");
        assert_eq!(below.json["entries"][0]["language"], "Markdown");

        let file = get("files?path=src/main.rs").expect(200);
        assert_eq!((file.str("language"), file.str("encoding"), file.json["size"].clone()), ("Rust".into(), "utf-8".into(), json!(25)));
        assert!(get("files?path=bidi.rs").expect(200).str("content").contains('\u{202e}'));
        assert_eq!(get("files?path=docs/p.png").expect(200).str("encoding"), "base64");
        let html = get("readme").expect(200).str("html");
        assert!(html.contains("href=\"/ann/web/-/blob/main/docs/guide.md\"") && !html.contains("<script"), "{html}");

        // bytes that no browser runs
        for (path, kind) in [("page.html", "text/plain; charset=utf-8"), ("docs/p.png", "image/png"), ("link", "text/plain; charset=utf-8")]
        {
            let raw = get(&format!("raw?path={path}")).expect(200);
            assert_eq!(raw.header("content-type"), kind, "{path}");
            assert!(raw.header("content-security-policy").contains("sandbox"));
            assert_eq!(raw.header("x-content-type-options"), "nosniff");
        }
        assert_eq!(get("raw?path=link").expect(200).bytes, b"/etc/passwd");
        for bad in ["../../../etc/passwd", "%2e%2e%2fx", "link/passwd", "src", ".git/config", "nothing"] {
            let status = get(&format!("raw?path={bad}")).status;
            assert!(matches!(status, 404 | 422), "{bad}: {status}");
        }
        for bad in ["--output=x", "main..HEAD", "main~1", "@{-1}", "-h"] {
            get(&format!("tree?ref={bad}")).problem(404, "not_found");
        }

        let page = get("commits?limit=1").expect(200);
        assert_eq!((page.items().len(), page.items()[0]["oid"].clone()), (1, json!(second)));
        let rest = get(&format!("commits?limit=1&after={}", page.str("next"))).expect(200);
        assert_eq!((rest.items()[0]["oid"].clone(), rest.json["next"].clone()), (json!(first), Value::Null));
        assert_eq!(rest.items()[0]["title"], "first");
        get("commits?after=nonsense").problem(400, "invalid_cursor");
        assert_eq!(get("commits?path=README.md").expect(200).items().len(), 1);

        let commit = get(&format!("commits/{}", &second[..10])).expect(200);
        assert_eq!(commit.json["stats"], json!({"files": 2, "additions": 3, "deletions": 1, "truncated": false}));
        assert_eq!(commit.json["files"][0]["old_path"], "docs/guide.md");
        assert_eq!(commit.json["files"][1]["hunks"][0]["lines"][0], json!({"kind": "-", "text": "fn main() {}"}));
        get("commits/main").problem(404, "not_found");
        assert_eq!(get(&format!("commits/{second}/statuses")).expect(200).items().len(), 0);
        s.user("bob").get(&format!("/projects/ann%2Fweb/commits/{second}")).problem(404, "not_found");
    }
}

#[test]
fn edits_on_the_web() {
    for database in databases() {
        let s = Server::start_with(database, &quiet());
        let (token, ann) = project(&s, "web");
        let commit = |body: Value| ann.post("/projects/ann%2Fweb/commits", &body);
        let first = commit(json!({"branch": "main", "message": "first", "actions": [
            {"action": "create", "path": "a.txt", "content": "a\n"},
            {"action": "create", "path": "bin", "content": "AAEC", "encoding": "base64"}]}))
        .expect(201);
        assert!(first.header("location").ends_with(&first.str("oid")));
        let second = commit(json!({"branch": "main", "message": "second", "expected_head": first.str("oid"), "actions": [
            {"action": "move", "previous_path": "a.txt", "path": "b/a.txt"}, {"action": "delete", "path": "bin"}]}))
        .expect(201);
        let edit = |path: &str| json!([{"action": "create", "path": path, "content": "c"}]);
        commit(json!({"branch": "main", "message": "late", "expected_head": first.str("oid"), "actions": edit("c")}))
            .problem(409, "conflict");
        for bad in ["../x", "/etc/x", ".git/hooks/x", "a/.GIT/x", "a\\b", "a\nb"] {
            commit(json!({"branch": "main", "message": "m", "actions": edit(bad)})).problem(422, "validation_failed");
        }
        commit(json!({"branch": "--upload-pack=x", "message": "m", "actions": edit("x")})).problem(422, "validation_failed");
        commit(json!({"branch": "main", "message": "m", "actions": [{"action": "delete", "path": "none"}]})).problem(422, "unprocessable");
        // a new branch starts at the default one
        let topic = commit(json!({"branch": "topic", "message": "t", "actions": edit("t")})).expect(201);
        assert_eq!(topic.json["parents"], json!([second.str("oid")]));
        let work = clone(&s, &token, "ann/web", "work");
        assert_eq!(work.git(&["ls-files"]), "b/a.txt");
        assert_eq!(work.git(&["log", "-1", "--format=%an"]), "ann");
        assert_eq!(moves(&s.admin()).len(), 3);
        s.user("bob")
            .post("/projects/ann%2Fweb/commits", &json!({"branch": "main", "message": "m", "actions": []}))
            .problem(404, "not_found");
    }
}

/// Kills the service at many moments of a push: what git was told is there, and every move of a ref is one event.
#[test]
fn killed_in_mid_push() {
    for database in databases() {
        let mut s = Server::start_with(database, &quiet());
        let (token, _) = project(&s, "web");
        let work = clone(&s, &token, "ann/web", "work");
        work.write("a", "a");
        let mut acknowledged = vec![work.push("start")];
        for round in 0..12u64 {
            work.write("a", &format!("{round}"));
            let commit = work.commit(&format!("round {round}"));
            #[expect(clippy::disallowed_methods, reason = "the real client")]
            let mut push = std::process::Command::new("git");
            push.args(["push", "--quiet", "origin", "HEAD"]).current_dir(&work.directory).env("GIT_TERMINAL_PROMPT", "0");
            let mut push = push.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(15 + 11 * round));
            s.kill();
            if push.wait().unwrap().success() {
                acknowledged.push(commit);
            }
            s.restart();
        }
        let last = work.push("end");
        acknowledged.push(last.clone());
        let admin = s.admin();
        // the chain of events of the branch has no gap, no double, and ends where the branch is
        until("the events to be complete", Duration::from_secs(90), || (moves(&admin).last()?.2 == json!(last)).then_some(()));
        let seen = moves(&admin);
        for pair in seen.windows(2) {
            assert_eq!(pair[0].2, pair[1].1, "{seen:?}");
        }
        assert_eq!(admin.get("/projects/ann%2Fweb/refs").expect(200).json["branches"][0]["commit"], last.as_str());
        let history = work.git(&["rev-list", "HEAD"]);
        for commit in acknowledged {
            assert!(history.contains(&commit));
        }
        let copy = clone(&s, &token, "ann/web", "copy");
        copy.git(&["fsck", "--full"]);
        assert_eq!(copy.git(&["rev-parse", "HEAD"]), last);
        eventually("nothing is in the way of another push", || {
            try_run(&work.directory, "git", &["push", "--quiet", "origin", "HEAD:refs/heads/after"], &[]).status.success()
        });
    }
}
