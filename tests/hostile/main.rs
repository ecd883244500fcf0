//! Hostile inputs, one row each: who asks what, which answers are right, and what must not have happened. After the table
//! the canaries are looked at: no file outside the data directory, no secret in any answer, no growth, still alive.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod rights;

use serde_json::json;
use testkit::{Api, Clone, Server, ServerOptions, git, git_fails, try_run};

struct Row {
    id: &'static str,
    method: &'static str,
    path: &'static str,
    body: Option<&'static str>,
    /// Statuses that are right.
    right: &'static [u16],
}

const fn row(id: &'static str, method: &'static str, path: &'static str, body: Option<&'static str>, right: &'static [u16]) -> Row {
    Row { id, method, path, body, right }
}

const REFUSED: &[u16] = &[400, 404, 409, 422];

/// Sent by a member with all rights over `ann/app`, so that only the input itself is refused.
const ROWS: &[Row] = &[
    // names (1.2.3)
    row("name-traversal", "POST", "/projects/create", Some(r#"{"name":"../../x"}"#), REFUSED),
    row("name-dotdot", "POST", "/projects/create", Some(r#"{"name":".."}"#), REFUSED),
    row("name-dot", "POST", "/projects/create", Some(r#"{"name":"."}"#), REFUSED),
    row("name-encoded", "POST", "/projects/create", Some(r#"{"name":"a%2f..%2fb"}"#), REFUSED),
    row("name-git", "POST", "/projects/create", Some(r#"{"name":"x.git"}"#), REFUSED),
    row("name-wiki", "POST", "/projects/create", Some(r#"{"name":"x.wiki"}"#), REFUSED),
    row("name-device", "POST", "/projects/create", Some(r#"{"name":"con"}"#), REFUSED),
    row("name-option", "POST", "/projects/create", Some(r#"{"name":"-rf"}"#), REFUSED),
    row("name-nul", "POST", "/projects/create", Some(r#"{"name":"a\u0000b"}"#), REFUSED),
    row("name-bidi", "POST", "/projects/create", Some(r#"{"name":"a\u202eb"}"#), REFUSED),
    row("name-array", "POST", "/projects/create", Some(r#"{"name":["a"]}"#), REFUSED),
    row("group-traversal", "POST", "/groups", Some(r#"{"path":"a/../../b"}"#), REFUSED),
    row("group-reserved", "POST", "/groups", Some(r#"{"path":"projects"}"#), REFUSED),
    row("user-reserved", "POST", "/users", Some(r#"{"name":"v2","password":"long enough words"}"#), &[403, 422]),
    row("move-traversal", "POST", "/projects/ann%2Fapp/move", Some(r#"{"name":"../x"}"#), REFUSED),
    row("branch-option", "POST", "/projects/create", Some(r#"{"name":"b1","default_branch":"--upload-pack=x"}"#), REFUSED),
    // mass assignment (1.6.41) and confusion (1.6.42)
    row("assign-version", "PATCH", "/projects/ann%2Fapp", Some(r#"{"version":99}"#), REFUSED),
    row("assign-owner", "PATCH", "/projects/ann%2Fapp", Some(r#"{"owner_id":"x"}"#), REFUSED),
    row("role-unknown", "PUT", "/projects/ann%2Fapp/members/bob", Some(r#"{"role":"root"}"#), REFUSED),
    // paths read (1.2.5)
    row("raw-traversal", "GET", "/projects/ann%2Fapp/raw?path=../../../etc/passwd", None, REFUSED),
    row("raw-encoded", "GET", "/projects/ann%2Fapp/raw?path=..%2f..%2f..%2fetc%2fpasswd", None, REFUSED),
    row("raw-double", "GET", "/projects/ann%2Fapp/raw?path=%252e%252e%252fetc", None, REFUSED),
    row("raw-semicolon", "GET", "/projects/ann%2Fapp/raw?path=..;/etc/passwd", None, REFUSED),
    row("raw-nul", "GET", "/projects/ann%2Fapp/raw?path=a%00b", None, REFUSED),
    row("raw-overlong", "GET", "/projects/ann%2Fapp/raw?path=%c0%ae%c0%ae/x", None, REFUSED),
    row("raw-dotgit", "GET", "/projects/ann%2Fapp/raw?path=.git/config", None, REFUSED),
    row("web-traversal", "GET", "/assets/..%2f..%2f..%2fetc%2fpasswd", None, &[400, 404]),
    row("template-traversal", "GET", "/templates/..%2f..%2fetc", None, REFUSED),
    // refs as arguments (1.3.11, 1.3.12)
    row("ref-option", "GET", "/projects/ann%2Fapp/commits?ref=--output=pwned", None, REFUSED),
    row("ref-help", "GET", "/projects/ann%2Fapp/tree?ref=-h", None, REFUSED),
    row("ref-all", "GET", "/projects/ann%2Fapp/commits?ref=--all", None, REFUSED),
    row("ref-magic", "GET", "/projects/ann%2Fapp/tree?path=:(top,attr:x)", None, REFUSED),
    row("ref-reflog", "GET", "/projects/ann%2Fapp/commits?ref=main@{0}", None, REFUSED),
    row("commit-option", "GET", "/projects/ann%2Fapp/commits/--output=pwned", None, REFUSED),
    row("build-ref-option", "POST", "/projects/ann%2Fapp/build", Some(r#"{"ref":"--exec=touch pwned"}"#), REFUSED),
    // writes (1.2.1, 1.2.4)
    row(
        "commit-dotgit",
        "POST",
        "/projects/ann%2Fapp/commits",
        Some(r#"{"branch":"main","message":"m","actions":[{"action":"create","path":".git/hooks/post-receive","content":"x"}]}"#),
        REFUSED,
    ),
    row(
        "commit-dotgit-case",
        "POST",
        "/projects/ann%2Fapp/commits",
        Some(r#"{"branch":"main","message":"m","actions":[{"action":"create","path":".GIT/config","content":"x"}]}"#),
        REFUSED,
    ),
    row(
        "commit-stream",
        "POST",
        "/projects/ann%2Fapp/commits",
        Some(r#"{"branch":"main","message":"m","actions":[{"action":"create","path":".git::$INDEX_ALLOCATION/x","content":"x"}]}"#),
        REFUSED,
    ),
    row(
        "commit-traversal",
        "POST",
        "/projects/ann%2Fapp/commits",
        Some(r#"{"branch":"main","message":"m","actions":[{"action":"create","path":"../../conf/app.toml","content":"x"}]}"#),
        REFUSED,
    ),
    row(
        "commit-symlink",
        "POST",
        "/projects/ann%2Fapp/commits",
        Some(r#"{"branch":"main","message":"m","actions":[{"action":"create","path":"link/x","content":"x"}]}"#),
        REFUSED,
    ),
    row(
        "commit-branch",
        "POST",
        "/projects/ann%2Fapp/commits",
        Some(r#"{"branch":"refs/heads/x;id","message":"m","actions":[{"action":"create","path":"x","content":"x"}]}"#),
        REFUSED,
    ),
    // children of other projects (1.6.31)
    row("foreign-run", "GET", "/runs/run_00000000000000000000000000", None, &[404]),
    row("foreign-job", "GET", "/jobs/job_00000000000000000000000000/log", None, &[404]),
    row("foreign-artifact", "GET", "/artifacts/art_00000000000000000000000000/download", None, &[404]),
    row("foreign-deployment", "GET", "/deployments/dpl_00000000000000000000000000", None, &[404]),
    row("foreign-environment", "GET", "/environments/env_00000000000000000000000000", None, &[404]),
    row("id-of-another-kind", "GET", "/runs/prj_00000000000000000000000000", None, &[404]),
    // lists (1.8.62) and filters on secrets (1.6.39)
    row("page-huge", "GET", "/projects/list?limit=1000000000000", None, &[400, 422]),
    row("page-negative", "GET", "/projects/list?limit=-1", None, &[400, 422]),
    row("cursor-forged", "GET", "/projects/list?after=eyJQYXRoIjoiIn0", None, &[400]),
    row("sort-secret", "GET", "/users?q=password=~a&sort=password_hash", None, &[200, 400, 422]),
    row("search-wild", "GET", "/projects/ann%2Fapp/search?q=", None, &[200, 400, 422]),
    row("search-regex", "GET", "/projects/ann%2Fapp/search?regex=true&q=(a%2B)%2B%24", None, &[200, 400, 422]),
    row("search-regex-bad", "GET", "/projects/ann%2Fapp/search?regex=true&q=(((", None, &[400, 422]),
    // state changes by GET (1.6.35) and methods by header
    row("get-archive", "GET", "/projects/ann%2Fapp/archive", None, &[404, 405]),
    row("get-deploy", "GET", "/projects/ann%2Fapp/deploy", None, &[404, 405]),
    // the registry (1.7.55)
    row("v2-traversal", "GET", "/v2/ann/app/../../x/manifests/latest", None, &[400, 401, 404]),
    row("v2-catalog", "GET", "/v2/_catalog?n=1000000000000", None, &[200, 400, 401]),
    row("v2-upload-foreign", "PUT", "/v2/ann/app/blobs/uploads/upl_00000000000000000000000000?digest=sha256:00", None, &[400, 404]),
    row("v2-manifest-big", "PUT", "/v2/ann/app/manifests/x", Some("[]"), &[400, 404, 413, 415]),
    // environments
    row("env-name", "POST", "/projects/ann%2Fapp/environments", Some(r#"{"name":"../x"}"#), REFUSED),
    row(
        "env-health",
        "POST",
        "/projects/ann%2Fapp/environments",
        Some(r#"{"name":"h1","health":{"path":"http://169.254.169.254/"}}"#),
        REFUSED,
    ),
    row("deploy-image", "POST", "/projects/ann%2Fapp/deploy", Some(r#"{"environment":"nope","image":"../../x"}"#), REFUSED),
    row("secret-name", "PUT", "/projects/ann%2Fapp/secrets/..%2fx", Some(r#"{"value":"v"}"#), REFUSED),
    row("secret-env", "PUT", "/projects/ann%2Fapp/secrets/GITHUB_TOKEN", Some(r#"{"value":"v"}"#), &[201, 204, 200, 422]),
];

fn rss(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    text.lines().find_map(|l| l.strip_prefix("VmRSS:")?.trim().split(' ').next()?.parse().ok()).unwrap_or(0)
}

fn prepared() -> (Server, Api, String) {
    let s = Server::start_with(testkit::Database::Sqlite, &ServerOptions::default().set("RUNNER", "false"));
    let token = s.user_token("ann");
    let ann = s.anonymous().token(&token);
    s.user("bob");
    ann.post("/projects/create", &json!({"name": "app", "template": "static-site"})).expect(201);
    let clone = Clone::of(s.url(), &token, "ann/app", &s.scratch("").join("app"));
    std::os::unix::fs::symlink("/etc", clone.directory.join("link")).unwrap();
    clone.push("a link out");
    (s, ann, token)
}

#[test]
fn the_table() {
    let (s, ann, _) = prepared();
    ann.get("/projects/ann%2Fapp/tree").expect(200);
    let before = rss(s.pid());
    let ann = ann.header("if-match", "\"1\"");
    let mut wrong = Vec::new();
    for r in ROWS {
        let body = r.body.map(|b| ("application/json", b.as_bytes().to_vec()));
        let answer = ann.send(r.method, r.path, body);
        if !r.right.contains(&answer.status) {
            wrong.push(format!("{}: {} {}", r.id, answer.status, answer.text().chars().take(200).collect::<String>()));
        }
        for canary in ["root:x:0:0", "$argon2", "secret.key"] {
            if answer.text().contains(canary) {
                wrong.push(format!("{}: leaks {canary}", r.id));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(!s.data().parent().unwrap().join("x").exists() && !std::path::Path::new("pwned").exists());
    let grown = rss(s.pid()).saturating_sub(before);
    assert!(grown < 64 * 1024, "grew by {grown} kB");
    s.anonymous().get("/health").expect(200);
}

#[test]
fn bodies_are_bounded() {
    let (s, ann, token) = prepared();
    let before = rss(s.pid());
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)).into_bytes();
    ann.send("POST", "/projects/create", Some(("application/json", deep))).problem(400, "invalid_request");
    ann.send("POST", "/projects/create", Some(("application/json", vec![b'a'; 8 << 20]))).problem(413, "too_large");
    // a gzip bomb to git: a megabyte that grows to a gigabyte
    let dir = s.scratch("bomb");
    std::fs::write(dir.join("make.sh"), "head -c 1073741824 /dev/zero | gzip -1 > bomb.gz").unwrap();
    testkit::run(&dir, "sh", &["make.sh"]);
    let bomb = std::fs::read(dir.join("bomb.gz")).unwrap();
    for service in ["git-upload-pack", "git-receive-pack"] {
        let answer = s.anonymous().token(&token).header("content-encoding", "gzip").try_send(
            "POST",
            &format!("/ann/app.git/{service}"),
            Some((&format!("application/x-{service}-request"), bomb.clone())),
        );
        if let Ok(answer) = answer {
            assert!(answer.status < 500, "{service}: {}", answer.status);
        }
    }
    let grown = rss(s.pid()).saturating_sub(before);
    assert!(grown < 128 * 1024, "grew by {grown} kB");
    s.anonymous().get("/health").expect(200);
}

#[test]
fn pushes_are_held_to_the_policy() {
    let (s, ann, token) = prepared();
    let dir = s.scratch("evil");
    git(&dir, &["init", "--quiet", "-b", "main"]);
    let evil = Clone { directory: dir };
    git(&evil.directory, &["remote", "add", "origin", &Clone::address(s.url(), &token, "ann/app")]);
    evil.write("f", "x");
    evil.commit("c");
    let oid = evil.git(&["rev-parse", "HEAD"]);
    let before = ann.get("/projects/ann%2Fapp/refs").expect(200).json;
    for name in [
        "refs/heads/-x",
        "refs/heads/--upload-pack=x",
        "refs/heads/$(id)",
        "refs/heads/`id`",
        "refs/heads/a;id",
        "refs/heads/x|y",
        "refs/heads/<img/src=x>",
        "refs/heads/a%0d%0a",
        "refs/heads/a\u{202e}b",
        "refs/heads/HEAD",
        "refs/heads/refs/heads/main",
        &format!("refs/heads/{oid}"),
        "refs/pull/1/head",
        "refs/keep-around/x",
        "refs/x/y",
    ] {
        let said = git_fails(&evil.directory, &["push", "origin", &format!("{oid}:{name}")]);
        assert!(
            said.contains("rejected") || said.contains("not allowed") || said.contains("invalid") || said.contains("only refs"),
            "{name}: {said}"
        );
    }
    // trees that a checkout would trip over
    let blob = evil.git(&["hash-object", "-w", "f"]);
    for entry in [".git", ".GIT", "git~1", ".g\u{200c}it", ".."] {
        let sub = try_run(&evil.directory, "sh", &["-c", &format!("printf '100644 blob {blob}\\tx\\n' | git mktree")], &[]);
        let sub = String::from_utf8_lossy(&sub.stdout).trim().to_owned();
        // git mktree refuses some names, so the object is written as it is: mode, name, NUL, and the raw id of a tree
        let mut tree = format!("40000 {entry}\0").into_bytes();
        tree.extend((0..sub.len()).step_by(2).map(|i| u8::from_str_radix(&sub[i..i + 2], 16).unwrap()));
        std::fs::write(evil.directory.join("t"), tree).unwrap();
        let tree = try_run(&evil.directory, "git", &["hash-object", "-t", "tree", "-w", "--literally", "t"], &[]);
        let tree = String::from_utf8_lossy(&tree.stdout).trim().to_owned();
        assert_eq!(tree.len(), 40, "{entry}");
        let commit = evil.git(&["commit-tree", &tree, "-m", "evil"]);
        let said = git_fails(&evil.directory, &["push", "origin", &format!("{commit}:refs/heads/evil")]);
        assert!(said.contains("hasDot") || said.contains("fsck") || said.contains("unpacker error"), "{entry}: {said}");
    }
    assert_eq!(ann.get("/projects/ann%2Fapp/refs").expect(200).json, before);
    // read rights do not write, whatever the query says
    let reader = s.anonymous().post("/session", &json!({"name": "bob", "password": "password of bob"})).expect(201);
    drop(reader);
    s.anonymous()
        .send(
            "POST",
            "/ann/app.git/git-receive-pack?service=git-upload-pack",
            Some(("application/x-git-receive-pack-request", b"0000".to_vec())),
        )
        .expect(401);
    s.anonymous().get("/ann/app.git/info/refs?service=git-upload-pack").expect(401);
    s.anonymous().get("/ann/nope.git/info/refs?service=git-upload-pack").expect(401);
}

#[test]
fn content_is_served_as_data() {
    let (s, ann, token) = prepared();
    let clone = Clone::of(s.url(), &token, "ann/app", &s.scratch("").join("again"));
    clone.write("x.svg", "<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>");
    clone.write("x.html", "<script>alert(1)</script>");
    clone.write(
        "EVIL.md",
        "[a](javascript:alert(1)) <script>alert(1)</script> <img src=x onerror=alert(1)> [d](data:text/html,x)\n\n<svg onload=alert(1)>\n",
    );
    clone.push("<script>alert(1)</script>");
    for path in ["x.svg", "x.html"] {
        let raw = ann.get(&format!("/projects/ann%2Fapp/raw?path={path}")).expect(200);
        let kind = raw.header("content-type").to_owned();
        let attached = raw.header("content-disposition").starts_with("attachment");
        assert!(kind.starts_with("text/plain") || attached, "{path}: {kind}");
        assert_eq!(raw.header("x-content-type-options"), "nosniff");
        assert!(raw.header("content-security-policy").contains("sandbox"), "{path}");
    }
    let html = ann.get("/projects/ann%2Fapp/files?path=EVIL.md").expect(200).str("html").to_lowercase();
    for bad in ["<script", "onerror", "onload", "javascript:", "data:text/html"] {
        assert!(!html.contains(bad), "{bad} in {html}");
    }
}
