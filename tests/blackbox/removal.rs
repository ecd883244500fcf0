//! The end of a project: deleting stops what runs and can be undone; deleting for good leaves nothing.

use std::time::Duration;

use serde_json::json;
use testkit::{Clone, Server, databases, eventually, until};

const WORKFLOW: &str = "on: push
jobs:
  quick:
    runs-on: ubuntu-latest
    steps:
      - run: |
          echo hello | tee note.txt
          echo '# Seen' >> \"$GITHUB_STEP_SUMMARY\"
      - uses: actions/upload-artifact@v4
        with: {name: note, path: note.txt}
      - uses: actions/cache@v4
        with: {key: one, path: note.txt}
  slow:
    needs: quick
    runs-on: ubuntu-latest
    steps: [{run: sleep 300}]
";

#[test]
fn deleting_stops_runs_and_deleting_for_good_leaves_nothing() {
    for database in databases() {
        let s = Server::start(database);
        let token = s.user_token("ann");
        let ann = s.anonymous().token(&token);
        let bob = s.user("bob");
        let id = ann.post("/projects/create", &json!({"name": "gone", "visibility": "public"})).expect(201).str("id");
        ann.put(&format!("/projects/{id}/secrets/KEY"), &json!({"value": "sesame"})).expect(204);
        ann.put(&format!("/projects/{id}/variables/COLOR"), &json!({"value": "blue"})).expect(204);
        let clone = Clone::of(s.url(), &token, "ann/gone", &s.scratch("clones").join("gone"));
        clone.git(&["checkout", "-q", "-B", "main"]);
        clone.write(".github/workflows/ci.yml", WORKFLOW);
        clone.write("src/main.rs", "fn main() {}\n");
        let commit = clone.push("first");
        let run = until("there is a run", Duration::from_secs(20), || {
            ann.get(&format!("/projects/{id}/runs?commit={commit}"))
                .expect(200)
                .items()
                .first()
                .map(|r| r["id"].as_str().unwrap().to_owned())
        });
        let state = |name: &str| {
            let run = ann.get(&format!("/runs/{run}")).expect(200).json;
            let job = run["jobs"].as_array().unwrap().iter().find(|j| j["name"] == name).cloned().unwrap_or_default();
            job["state"].as_str().unwrap_or_default().to_owned()
        };
        until("the slow job runs", Duration::from_secs(60), || (state("slow") == "running").then_some(()));
        assert_eq!(ann.get(&format!("/runs/{run}/artifacts")).expect(200).items().len(), 1);

        // for good is a second step
        ann.delete(&format!("/projects/{id}?permanent=true")).problem(409, "conflict");
        bob.delete(&format!("/projects/{id}?permanent=true")).problem(403, "forbidden");
        ann.delete(&format!("/projects/{id}")).expect(204);
        ann.post(&format!("/projects/{id}/restore"), &json!({})).expect(200);
        ann.delete(&format!("/projects/{id}")).expect(204);
        let kept = || walk(&s.data()).into_iter().filter(|p| p.contains(id.trim_start_matches("prj_"))).collect::<Vec<_>>();
        assert!(!kept().is_empty(), "the files are named by the project");
        ann.delete(&format!("/projects/{id}?permanent=true")).expect(204);
        ann.post(&format!("/projects/{id}/restore"), &json!({})).problem(409, "conflict");
        eventually("the project is gone", || s.admin().get(&format!("/projects/{id}")).status == 404);
        assert!(ann.get("/projects/list?deleted=true").expect(200).items().is_empty());
        ann.get(&format!("/runs/{run}")).problem(404, "not_found");
        assert_eq!(kept(), Vec::<String>::new());
        ann.post("/projects/create", &json!({"name": "gone"})).expect(201);
    }
}

fn walk(root: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            found.push(entry.path().display().to_string());
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                open.push(entry.path());
            }
        }
    }
    found
}
