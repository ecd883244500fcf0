//! Two instances of the service on one PostgreSQL: they share the work, and each goes on where the other died.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Api, Clone, Database, Runner, Server, databases, until};

use crate::deployments::{WORKFLOW, application};
use crate::{events, quiet, text};

fn succeeded(api: &Api, operation: &str) {
    let ended = until("the creation ends", Duration::from_secs(120), || {
        let operation = api.get(&format!("/operations/{operation}")).expect(200).json;
        (operation["state"] != "running").then_some(operation)
    });
    assert_eq!(ended["state"], "succeeded", "{ended:#}");
}

#[test]
fn two_instances_share_the_work() {
    if !databases().contains(&Database::Postgres) {
        return; // said by databases()
    }
    let mut options = quiet();
    if let Ok(redis) = std::env::var("TEST_REDIS_URL") {
        options = options.set("redis_url", redis);
    }
    let mut a = Server::start_with(Database::Postgres, &options);
    let mut b = a.beside(&options);
    let token = a.user_token("ann");
    let (on_a, on_b) = (a.anonymous().token(&token), b.anonymous().token(&token));

    // what one was asked for, the other knows
    let begun: Vec<String> = (0..8)
        .map(|n| {
            let on = if n % 2 == 0 { &on_a } else { &on_b };
            let body = json!({ "name": format!("p{n}"), "template": "static-site" });
            on.header("prefer", "respond-async").post("/projects/create", &body).expect(202).str("id")
        })
        .collect();
    for (n, operation) in begun.iter().enumerate() {
        succeeded(if n % 2 == 0 { &on_b } else { &on_a }, operation);
    }
    for on in [&on_a, &on_b] {
        assert_eq!(on.get("/projects/list?limit=100").expect(200).items().len(), 8);
    }
    assert_eq!(events(&b.admin(), "project.created").len(), 8);
    // one dies in the middle of a creation, the other ends it
    let body = json!({ "name": "orphan", "template": "static-site" });
    let orphan = on_a.header("prefer", "respond-async").post("/projects/create", &body).expect(202).str("id");
    a.kill();
    succeeded(&on_b, &orphan);
    a.restart();

    // pushed to one, fetched from the other, watched at both
    let _runner = Runner::start(&a);
    on_b.post("/projects/create", &json!({ "name": "app" })).expect(201);
    let clone = Clone::of(a.url(), &token, "ann/app", &a.scratch("clones").join("app"));
    clone.git(&["checkout", "-q", "-B", "main"]);
    clone.write(".github/workflows/ci.yml", &WORKFLOW.replace("ubuntu-latest", "remote"));
    clone.write("Dockerfile", "FROM scratch\nCOPY app /app\nEXPOSE 8080\nENTRYPOINT [\"/app\"]\n");
    application(&clone.directory);
    let commit = clone.push("an application");
    let other = Clone::of(b.url(), &token, "ann/app", &a.scratch("clones").join("other"));
    assert_eq!(other.git(&["rev-parse", "origin/main"]), commit);
    let run = until("a run", Duration::from_secs(30), || {
        on_b.get(&format!("/projects/ann%2Fapp/runs?commit={commit}")).expect(200).items().first().cloned()
    });
    let seen = on_b.events(&format!("/runs/{}/events", text(&run, "id")), |event, _| event == "end");
    let last: Value = serde_json::from_str(&seen.iter().rfind(|(event, _)| event == "run").unwrap().1).unwrap();
    let log = |on: &Api| on.get(&format!("/jobs/{}/log", text(&last["jobs"][0], "id"))).expect(200).text();
    assert_eq!(last["conclusion"], "success", "{}", log(&on_b));
    assert_eq!(log(&on_a), log(&on_b));
    other.write("more", "x");
    other.git(&["checkout", "-q", "main"]);
    let more = other.push("more, through the other");
    clone.git(&["fetch", "--quiet"]);
    assert_eq!(clone.git(&["rev-parse", "origin/main"]), more);
    assert_eq!(events(&a.admin(), "run.created").iter().filter(|e| e["data"]["commit"] == commit.as_str()).count(), 1);

    // deployed by whichever takes it up; whichever dies, the application is soon reached again
    let health = json!({ "interval_seconds": 1, "timeout_seconds": 2, "healthy_after": 1, "deadline_seconds": 60 });
    let wanted = json!({ "name": "production", "target": "process", "health": health });
    let url = on_a.post("/projects/ann%2Fapp/environments", &wanted).expect(201).str("url");
    let asked = json!({ "environment": "production", "image": "v1", "config": { "COLOR": "red" } });
    let deployment = on_b.post("/projects/ann%2Fapp/deploy", &asked).expect(202).str("id");
    let ended = until("the deployment ends", Duration::from_secs(90), || {
        let deployment = on_a.get(&format!("/deployments/{deployment}")).expect(200).json;
        (deployment["state"] == "completed").then_some(deployment)
    });
    assert_eq!(ended["conclusion"], "success", "{ended:#}");
    let pid = Api::new(&url).get("/pid").expect(200).text();
    for dying in [&mut a, &mut b] {
        dying.kill();
        until("the other answers", Duration::from_secs(60), || {
            let answer = Api::new(&url).try_send("GET", "/pid", None).ok()?;
            (answer.status == 200).then(|| assert_eq!(answer.text(), pid))
        });
        dying.restart();
    }
    assert_eq!(on_b.get("/projects/ann%2Fapp/deployments").expect(200).items().len(), 1);
}
