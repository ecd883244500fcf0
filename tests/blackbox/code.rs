//! What a push makes known of the code: inventory, dependencies, figures, search.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Api, Clone, Database, Server, databases, eventually, until};

/// Waits until a commit is analysed and indexed.
fn analysed(api: &Api, project: &str, commit: &str) {
    until("the commit is analysed", Duration::from_secs(120), || {
        let items = api.get(&format!("/projects/{project}/activity?limit=50")).expect(200).items();
        items.iter().any(|e| e["type"] == "code.analyzed" && e["data"]["commit"] == commit).then_some(())
    });
}

fn paths(items: &[Value]) -> Vec<&str> {
    items.iter().map(|i| i["path"].as_str().unwrap()).collect()
}

fn search(api: &Api, project: &str, query: &str) -> Vec<String> {
    let answer = api.get(&format!("/projects/{project}/search?{query}")).expect(200);
    assert_eq!(answer.json["complete"], true);
    answer.items().iter().map(|i| i["path"].as_str().unwrap().to_owned()).collect()
}

const MAIN: &str = "// says hello\nfn main() {\n    if std::env::args().count() > 1 && cheerful() {\n        println!(\"Hello\");\n    }\n}\n\nfn cheerful() -> bool {\n    true\n}\n";

#[test]
fn a_push_is_analysed_and_found() {
    for database in databases() {
        let s = Server::start(database);
        let token = s.user_token("ann");
        let ann = s.anonymous().token(&token);
        let bob = s.user("bob");
        let project = ann.post("/projects/create", &json!({"name": "code"})).expect(201).str("id");
        let at = |what: &str| format!("/projects/{project}/{what}");
        // before the first push there is nothing, and that is no error
        assert_eq!(ann.get(&at("inventory")).expect(200).items().len(), 0);
        assert_eq!(ann.get(&at("quality")).expect(200).json["commit"], Value::Null);
        assert_eq!(search(&ann, &project, "q=hello"), Vec::<String>::new());

        let clone = Clone::of(s.url(), &token, "ann/code", &s.scratch("").join("code"));
        clone.write("src/main.rs", MAIN);
        clone.write("Cargo.toml", "[package]\nname = \"code\"\n[dependencies]\nserde = \"1\"\n[dev-dependencies]\ninsta = \"1\"\n");
        clone.write("Cargo.lock", "[[package]]\nname = \"code\"\nversion = \"0.1.0\"\ndependencies = [\"serde\", \"insta\"]\n[[package]]\nname = \"serde\"\nversion = \"1.0.7\"\nsource = \"r\"\n[[package]]\nname = \"insta\"\nversion = \"1.2.0\"\nsource = \"r\"\n[[package]]\nname = \"itoa\"\nversion = \"1.0.0\"\nsource = \"r\"\n");
        clone.write("web/package.json", "{ \"dependencies\": ");
        clone.write("README.md", "# Hello\n");
        clone.git(&["checkout", "-q", "-B", "main"]);
        let first = clone.push("first");
        analysed(&ann, &project, &first);

        let files = ann.get(&at("inventory")).expect(200).items();
        assert_eq!(paths(&files), ["Cargo.lock", "Cargo.toml", "README.md", "src/main.rs", "web/package.json"]);
        assert_eq!(files[3]["language"], "Rust");
        assert_eq!(files[3]["size"], MAIN.len());
        assert_eq!(files[3]["last_commit"], first.as_str());
        assert_eq!(paths(&ann.get(&at("inventory?path_prefix=src/")).expect(200).items()), ["src/main.rs"]);
        // by pages
        let page = ann.get(&at("inventory?limit=2")).expect(200);
        assert!(page.header("link").contains("rel=\"next\""));
        let next = page.str("next");
        assert_eq!(paths(&ann.get(&at(&format!("inventory?limit=2&after={next}"))).expect(200).items()), ["README.md", "src/main.rs"]);
        ann.get(&at(&format!("functions?after={next}"))).problem(400, "invalid_cursor");

        let languages = ann.get(&at("languages")).expect(200).items();
        assert_eq!((languages[0]["name"].as_str(), languages[0]["code"].as_i64()), (Some("TOML"), Some(22)));
        let rust = languages.iter().find(|l| l["name"] == "Rust").unwrap();
        assert_eq!(
            (rust["code"].as_i64(), rust["comments"].as_i64(), rust["blanks"].as_i64(), rust["share"].as_f64()),
            (Some(8), Some(1), Some(1), Some(1.0))
        );
        assert_eq!(ann.get(&format!("/projects/{project}")).expect(200).str("language"), "Rust");

        let quality = ann.get(&at("quality")).expect(200).json;
        assert_eq!(quality["commit"], first.as_str());
        assert_eq!((quality["files"].as_i64(), quality["functions"].as_i64()), (Some(5), Some(2)));
        assert_eq!((quality["cyclomatic_max"].as_i64(), quality["cognitive_max"].as_i64()), (Some(3), Some(2)));
        assert_eq!(quality["worst"][0]["name"], "main");
        let functions = ann.get(&at("functions?sort=cyclomatic&path=src")).expect(200).items();
        assert_eq!(functions.iter().map(|f| f["name"].as_str().unwrap()).collect::<Vec<_>>(), ["main", "cheerful"]);
        assert_eq!(
            (functions[0]["line"].as_i64(), functions[0]["end_line"].as_i64(), functions[0]["lines"].as_i64()),
            (Some(2), Some(6), Some(5))
        );
        assert_eq!(ann.get(&at("functions?path=src/main")).expect(200).items().len(), 0);

        let dependencies = ann.get(&at("dependencies")).expect(200).items();
        let shown: Vec<String> =
            dependencies.iter().map(|d| format!("{} {} {} {}", d["name"], d["version"], d["direct"], d["scope"])).collect();
        assert_eq!(
            shown,
            ["\"insta\" \"1.2.0\" true \"development\"", "\"itoa\" \"1.0.0\" false null", "\"serde\" \"1.0.7\" true \"runtime\""]
        );
        let manifests = ann.get(&at("manifests")).expect(200).items();
        let broken = manifests.iter().find(|m| m["path"] == "web/package.json").unwrap();
        assert!(broken["error"].as_str().unwrap().contains("line 1"), "{broken}");

        assert_eq!(search(&ann, &project, "q=hello"), ["src/main.rs", "README.md"]);
        assert_eq!(search(&ann, &project, "q=hello&case=true"), ["src/main.rs"]);
        assert_eq!(search(&ann, &project, "q=fn%20%5Cw%2B%5C(%5C)%20-%3E&regex=true"), ["src/main.rs"]);
        let hit = ann.get(&at("search?q=cheerful")).expect(200).items();
        assert_eq!(
            hit[0]["matches"][0],
            json!({"line": 3, "text": "    if std::env::args().count() > 1 && cheerful() {", "ranges": [[39, 47]]})
        );
        for bad in ["q=", "q=(&regex=true", &format!("q={}", "a".repeat(2000))] {
            ann.get(&at(&format!("search?{bad}"))).problem(422, "validation_failed");
        }
        // over all projects, and only where one may read
        let all = ann.get("/search?q=cheerful").expect(200).items();
        assert_eq!((all.len(), all[0]["project"]["path"].as_str()), (1, Some("ann/code")));
        assert_eq!(bob.get("/search?q=cheerful").expect(200).items().len(), 0);
        assert_eq!(s.anonymous().get("/search?q=cheerful").expect(200).items().len(), 0);
        bob.get(&at("search?q=cheerful")).problem(404, "not_found");

        // the work is seen: each step with its state
        let activity = ann.get(&at("activity")).expect(200).items();
        let push = activity.iter().find(|e| e["type"] == "repository.pushed" && e["data"]["updates"][0]["new"] == first.as_str()).unwrap();
        for kind in ["code_inventory", "code_analyze", "code_index"] {
            let work = push["work"].as_array().unwrap().iter().find(|w| w["kind"] == kind).unwrap_or_else(|| panic!("no {kind}: {push}"));
            assert_eq!(work["state"], "done", "{work}");
        }

        // changed, renamed, deleted
        clone.write("src/main.rs", &MAIN.replace("cheerful", "gloomy"));
        clone.git(&["mv", "README.md", "docs.md"]);
        clone.git(&["rm", "-q", "Cargo.lock"]);
        let second = clone.push("second");
        analysed(&ann, &project, &second);
        assert_eq!(paths(&ann.get(&at("inventory")).expect(200).items()), ["Cargo.toml", "docs.md", "src/main.rs", "web/package.json"]);
        assert_eq!(ann.get(&at("inventory?path_prefix=Cargo.toml")).expect(200).items()[0]["last_commit"], first.as_str());
        assert_eq!(search(&ann, &project, "q=cheerful"), Vec::<String>::new());
        assert_eq!(search(&ann, &project, "q=gloomy"), ["src/main.rs"]);
        assert_eq!(search(&ann, &project, "q=hello"), ["src/main.rs", "docs.md"]);
        assert_eq!(ann.get(&at("dependencies")).expect(200).items()[1]["version"], "1");

        // another branch is not looked at until it is the default one
        clone.git(&["checkout", "-q", "-b", "other"]);
        clone.write("only_here.py", "def f(a):\n    return a or 1\n");
        let other = clone.push("other");
        assert_eq!(ann.get(&at("quality")).expect(200).json["commit"], second.as_str());
        let version = ann.get(&format!("/projects/{project}")).expect(200).header("etag").to_owned();
        ann.header("if-match", &version).patch(&format!("/projects/{project}"), &json!({"default_branch": "other"})).expect(200);
        analysed(&ann, &project, &other);
        assert_eq!(search(&ann, &project, "q=only_here"), ["only_here.py"]);

        // history is rewritten
        clone.git(&["reset", "-q", "--hard", &first]);
        clone.write("new.go", "package x\n");
        let forced = clone.commit("forced");
        clone.git(&["push", "-q", "--force", "origin", "HEAD:other"]);
        analysed(&ann, &project, &forced);
        let files = ann.get(&at("inventory")).expect(200).items();
        assert_eq!(paths(&files), ["Cargo.lock", "Cargo.toml", "README.md", "new.go", "src/main.rs", "web/package.json"]);
        assert_eq!(search(&ann, &project, "q=cheerful"), ["src/main.rs"]);
        assert_eq!(ann.get(&at("quality")).expect(200).json["files"], 6);
    }
}

#[test]
fn a_killed_service_goes_on_where_it_was() {
    for database in databases() {
        let mut s = Server::start(database);
        let token = s.user_token("ann");
        let ann = s.anonymous().token(&token);
        let project = ann.post("/projects/create", &json!({"name": "big"})).expect(201).str("id");
        let clone = Clone::of(s.url(), &token, "ann/big", &s.scratch("").join("big"));
        for i in 0..3000 {
            clone.write(&format!("d{}/f{i}.rs", i % 40), &format!("fn f{i}() {{\n    if needle{i} {{ g() }}\n}}\n"));
        }
        clone.git(&["checkout", "-q", "-B", "main"]);
        let commit = clone.push("many");
        for pause in [30, 150, 400, 900] {
            std::thread::sleep(Duration::from_millis(pause));
            s.kill();
            s.restart();
        }
        analysed(&ann, &project, &commit);
        let quality = ann.get(&format!("/projects/{project}/quality")).expect(200).json;
        let sums: Vec<_> =
            ["files", "functions", "code", "cyclomatic_total", "cognitive_total"].iter().map(|k| quality[*k].as_i64().unwrap()).collect();
        assert_eq!(sums, [3000, 3000, 9000, 6000, 3000]);
        assert_eq!(search(&ann, &project, "q=needle2999"), ["d39/f2999.rs"]);
        assert_eq!(ann.get(&format!("/projects/{project}/search?q=needle")).expect(200).json["total"], 2000);
        let mut seen = 0;
        let mut after = String::new();
        loop {
            let page = ann.get(&format!("/projects/{project}/inventory?limit=100{after}")).expect(200);
            seen += page.items().len();
            let Some(next) = page.json["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(seen, 3000);
        eventually("no work is left", || {
            let items = ann.get(&format!("/projects/{project}/activity")).expect(200).items();
            let work: Vec<Value> = items.iter().flat_map(|e| e["work"].as_array().cloned().unwrap_or_default()).collect();
            work.iter().filter(|w| w["kind"].as_str().unwrap().starts_with("code_")).all(|w| w["state"] == "done")
        });
    }
}

#[test]
fn creating_from_a_template_analyses_it() {
    let s = Server::start(Database::Sqlite);
    let ann = s.user("ann");
    let project = ann.post("/projects/create", &json!({"name": "site", "template": "static-site"})).expect(201).str("id");
    // no waiting: the flow ends after the analysis
    assert!(ann.get(&format!("/projects/{project}/quality")).expect(200).json["files"].as_i64().unwrap() > 0);
    assert!(!ann.get(&format!("/projects/{project}/inventory")).expect(200).items().is_empty());
    assert!(!search(&ann, &project, "q=html").is_empty());
}
