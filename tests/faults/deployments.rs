//! Deployments: the server dies at each of their steps; the application goes on, the deployment is finished once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Api, Clone, Database, Server, ServerOptions, databases, run, try_run, until};

use crate::{events, text};

pub(crate) const WORKFLOW: &str = "on: push
jobs:
  pack:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: devmentor/build-image@v1
        with: {tags: v1, push: true}
";

/// Steps of a deployment, at which the server is killed while they run.
const STEPS: [&str; 4] = ["prepare", "start", "health_check", "retire"];

#[test]
fn a_process_is_deployed_once() {
    survive(Database::Sqlite, "process");
}

#[test]
fn a_container_is_deployed_once() {
    if try_run(Path::new("/"), "docker", &["info"], &[]).status.success() {
        survive(databases().pop().unwrap(), "docker");
    } else {
        let why = std::env::var("TEST_NO_DOCKER").expect("no Docker engine answers: run the tests with `make test`");
        eprintln!("not tested with Docker: {why}");
    }
}

/// An application that answers with its configuration: one static program.
pub(crate) fn application(directory: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/server/tests/deliver/application.rs");
    let out = directory.join("app");
    let (source, target) = (source.display().to_string(), out.display().to_string());
    let flags = ["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "-C", "strip=symbols", "-o", &target, &source];
    run(directory, "rustc", &flags);
    out
}

fn survive(database: Database, target: &str) {
    let mut server = Server::start_with(database, &ServerOptions::default());
    let token = server.user_token("ann");
    let ann = server.anonymous().token(&token);
    ann.post("/projects/create", &json!({ "name": "app" })).expect(201);
    let clone = Clone::of(server.url(), &token, "ann/app", &server.scratch("clones").join("app"));
    clone.git(&["checkout", "-q", "-B", "main"]);
    clone.write(".github/workflows/ci.yml", WORKFLOW);
    clone.write("Dockerfile", "FROM scratch\nCOPY app /app\nEXPOSE 8080\nENTRYPOINT [\"/app\"]\n");
    application(&clone.directory);
    clone.push("an application");
    until("the image", Duration::from_secs(180), || {
        let images = ann.get("/projects/ann%2Fapp/images").expect(200).items();
        images.iter().any(|i| i["tags"].as_array().is_some_and(|t| t.contains(&json!("v1")))).then_some(())
    });
    let health = json!({ "interval_seconds": 1, "timeout_seconds": 2, "healthy_after": 2, "deadline_seconds": 60 });
    let wanted = json!({ "name": "production", "target": target, "health": health });
    let environment = ann.post("/projects/ann%2Fapp/environments", &wanted).expect(201);
    let (id, url) = (environment.str("id"), environment.str("url"));
    let deploy = |config: Value| {
        let body = json!({ "environment": "production", "image": "v1", "config": config });
        ann.post("/projects/ann%2Fapp/deploy", &body).expect(202).str("id")
    };
    let first = deploy(json!({ "COLOR": "red" }));
    ended(&ann, &first);
    assert!(answer(&url).contains("red"));

    let mut asked = vec![first];
    let mut colour = "red".to_owned();
    for step in STEPS {
        // slow enough to be met at each of its steps; a slow request holds the last one up
        let next = format!("after-{step}");
        let slow = (step == "retire").then(|| {
            let url = url.clone();
            std::thread::spawn(move || while Api::new(&url).try_send("GET", "/slow", None).is_ok_and(|a| !a.text().is_empty()) {})
        });
        let deployment = deploy(json!({ "COLOR": next, "WARM_UP": "1200" }));
        until(step, Duration::from_secs(60), || {
            let steps = ann.get(&format!("/deployments/{deployment}")).expect(200).json["steps"].clone();
            let state = |name: &str| steps.as_array().unwrap().iter().find(|s| s["name"] == name).unwrap()["state"].clone();
            // a step may be over sooner than it is seen
            (state(step) == "running" || state(step) == "done").then_some(())
        });
        server.kill();
        if let Some(slow) = slow {
            slow.join().unwrap();
        }
        server.restart();
        let ended = ended(&ann, &deployment);
        assert_eq!(ended["conclusion"], "success", "killed at {step}: {ended:#}");
        assert!(ended["steps"].as_array().unwrap().iter().all(|s| s["state"] == "done"), "killed at {step}: {ended:#}");
        until("the new release answers", Duration::from_secs(30), || {
            let answer = Api::new(&url).try_send("GET", "/", None).ok().filter(|a| a.status == 200)?;
            answer.text().contains(&next).then_some(())
        });
        asked.push(deployment);
        colour = next;

        // one instance runs, whatever the crash left
        until("what gave way is gone", Duration::from_secs(30), || {
            let n = match target {
                "docker" => {
                    let filter = format!("label=devmentor.environment={id}");
                    run(Path::new("/"), "docker", &["ps", "-aq", "--filter", &filter]).lines().count()
                }
                _ => std::fs::read_dir(server.data().join("apps")).unwrap().count(),
            };
            (n == 1).then_some(())
        });
    }

    // without any deployment under way, the application does not notice that the server dies
    let pid = Api::new(&url).get("/pid").text();
    server.kill();
    server.restart();
    until("it answers again", Duration::from_secs(30), || {
        let answer = Api::new(&url).try_send("GET", "/pid", None).ok()?;
        (answer.status == 200).then(|| assert_eq!(answer.text(), pid))
    });
    assert!(answer(&url).contains(&colour));

    // told once each, and none that nobody asked for
    let listed = ann.get("/projects/ann%2Fapp/deployments").expect(200).items();
    assert_eq!(listed.iter().rev().map(|d| text(d, "id")).collect::<Vec<_>>(), asked);
    assert_eq!(ann.get("/projects/ann%2Fapp/releases").expect(200).items().len(), asked.len());
    let finished = events(&server.admin(), "deployment.finished");
    for deployment in &asked {
        assert_eq!(finished.iter().filter(|e| e["data"]["deployment"] == deployment.as_str()).count(), 1, "{deployment}");
    }
}

fn ended(ann: &Api, deployment: &str) -> Value {
    until("the deployment ends", Duration::from_secs(90), || {
        let deployment = ann.get(&format!("/deployments/{deployment}")).expect(200).json;
        (deployment["state"] == "completed").then_some(deployment)
    })
}

fn answer(url: &str) -> String {
    Api::new(url).get("/").expect(200).text()
}

/// A job that is lost after it asked for a deployment is tried again, and deploys nothing twice.
#[test]
fn a_job_that_deploys_is_tried_again_without_deploying_twice() {
    let mut server = Server::start_with(Database::Sqlite, &ServerOptions::default());
    let token = server.user_token("ann");
    let ann = server.anonymous().token(&token);
    ann.post("/projects/create", &json!({ "name": "app" })).expect(201);
    let clone = Clone::of(server.url(), &token, "ann/app", &server.scratch("clones").join("app"));
    clone.git(&["checkout", "-q", "-B", "main"]);
    let deploys = "      - uses: devmentor/deploy@v1\n        with: {environment: production, image: v1, config: WARM_UP=1500}\n";
    clone.write(".github/workflows/ci.yml", &format!("{WORKFLOW}{deploys}      - run: sleep 3\n"));
    clone.write("Dockerfile", "FROM scratch\nCOPY app /app\nEXPOSE 8080\nENTRYPOINT [\"/app\"]\n");
    application(&clone.directory);
    let commit = clone.push("an application");
    until("the deployment runs", Duration::from_secs(180), || {
        let listed = ann.get("/projects/ann%2Fapp/deployments").expect(200).items();
        listed.iter().any(|d| d["state"] == "running").then_some(())
    });
    server.kill();
    server.restart();
    let run = until("the run is over", Duration::from_secs(180), || {
        let runs = ann.get(&format!("/projects/ann%2Fapp/runs?commit={commit}")).expect(200).items();
        runs.into_iter().find(|r| r["state"] == "completed")
    });
    let run = ann.get(&format!("/runs/{}", text(&run, "id"))).expect(200).json;
    assert_eq!(run["conclusion"], "success", "{run:#}");
    assert_eq!(run["jobs"].as_array().unwrap().iter().find(|j| j["superseded"] != true).unwrap()["attempt"], 2);
    let listed = ann.get("/projects/ann%2Fapp/deployments").expect(200).items();
    assert_eq!(listed.iter().map(|d| text(d, "conclusion")).collect::<Vec<_>>(), ["success"]);
}
