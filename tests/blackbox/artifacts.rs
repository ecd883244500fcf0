//! Artifacts are looked into without downloading them: their files are listed, and taken out one by one.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Cli, Clone, Server, databases, until};

const WORKFLOW: &str = r#"on: push
jobs:
  make:
    runs-on: ubuntu-latest
    steps:
      - run: |
          mkdir -p out/deep
          echo '<script>alert(1)</script>' > out/page.html
          echo one > out/deep/a.txt
          printf '\211PNG\r\n\032\n' > out/pixel.png
          head -c 40000000 /dev/zero > out/large.bin
          for i in $(seq 120); do echo $i > "out/deep/n$i.txt"; done
          touch out/empty
      - uses: actions/upload-artifact@v4
        with: {name: built, path: out}
"#;

#[test]
fn the_files_of_an_artifact() {
    for database in databases() {
        let s = Server::start(database);
        let token = s.user_token("ann");
        let ann = s.anonymous().token(&token);
        ann.post("/projects/create", &json!({ "name": "web" })).expect(201);
        let clone = Clone::of(s.url(), &token, "ann/web", &s.scratch("web"));
        clone.git(&["checkout", "-q", "-B", "main"]);
        clone.write(".github/workflows/ci.yml", WORKFLOW);
        let commit = clone.push("workflow");
        let path = format!("/projects/ann%2Fweb/runs?commit={commit}");
        let run = until("the end of a run", Duration::from_secs(120), || {
            ann.get(&path).expect(200).items().first().filter(|r| r["state"] == "completed").cloned()
        });
        assert_eq!(run["conclusion"], "success", "{run}");
        let run = run["id"].as_str().unwrap().to_owned();
        let id = ann.get(&format!("/runs/{run}/artifacts")).expect(200).items()[0]["id"].as_str().unwrap().to_owned();

        let mut found: Vec<Value> = Vec::new();
        let mut next = format!("/artifacts/{id}/files?limit=50");
        loop {
            let page = ann.get(&next).expect(200).json;
            found.extend(page["items"].as_array().unwrap().iter().cloned());
            let Some(after) = page["next"].as_str() else { break };
            next = format!("/artifacts/{id}/files?limit=50&after={after}");
        }
        assert_eq!(found.len(), 125, "{found:?}");
        let size = |path: &str| found.iter().find(|f| f["path"] == path).map(|f| f["size"].as_u64().unwrap());
        assert_eq!((size("deep/a.txt"), size("large.bin"), size("empty")), (Some(4), Some(40_000_000), Some(0)));

        let file = |path: &str| ann.get(&format!("/artifacts/{id}/file?path={path}"));
        assert_eq!(file("deep/a.txt").expect(200).text(), "one\n");
        assert_eq!(file("empty").expect(200).text(), "");
        // what a job wrote is never a page of ours
        let page = file("page.html").expect(200);
        assert_eq!(page.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert!(page.header("content-disposition").starts_with("attachment; filename=\"page.html\""));
        assert_eq!(file("pixel.png").expect(200).header("content-type"), "image/png");
        // a small zip does not become a large answer
        file("large.bin").problem(413, "too_large");
        for missing in ["nothing", "../page.html", "/page.html", "deep", "deep/", "%00"] {
            file(missing).problem(404, "not_found");
        }
        ann.get(&format!("/artifacts/{id}/file")).expect(400);
        let bob = s.user("bob");
        for path in [format!("/artifacts/{id}/files"), format!("/artifacts/{id}/file?path=empty")] {
            bob.get(&path).problem(404, "not_found");
            s.anonymous().get(&path).problem(404, "not_found");
        }

        let cli = Cli::signed_in(&s.scratch("home"), s.url(), &token);
        let listed = cli.run(&["artifact", "files", "built", "-p", "ann/web"]);
        assert!(listed.contains("deep/a.txt"), "{listed}");
        assert_eq!(cli.run(&["artifact", "get", "built", "deep/a.txt", "-o", "-", "-p", "ann/web"]), "one\n");
    }
}
