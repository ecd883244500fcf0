//! Pipelines over HTTP, with this test as the runner: what a push starts, how a job is handed out, and what it leaves.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{Api, Clone, Database, Server, ServerOptions, databases, until};

const WORKFLOW: &str = "name: CI
on:
  push:
    branches: [main]
  workflow_dispatch:
    inputs: {level: {type: choice, options: [a, b], default: a}}
jobs:
  test:
    runs-on: [linux, blackbox]
    outputs: {v: '${{ steps.x.outputs.v }}'}
    steps: [{run: 'true'}]
  ship:
    needs: test
    runs-on: blackbox
    steps: [{run: 'true'}]
";

struct House {
    server: Server,
    owner: Api,
    token: String,
    runner: Api,
}

fn house(database: Database) -> House {
    let server = Server::start_with(database, &ServerOptions::default().set("runner", "false"));
    let token = server.user_token("ann");
    let owner = server.anonymous().token(&token);
    owner.post("/projects/create", &json!({ "name": "web" })).expect(201);
    let invitation = server.admin().post("/runners/tokens", &json!({})).expect(201).str("token");
    let introduction = json!({ "registration_token": invitation, "name": "box", "labels": ["linux", "blackbox"], "capacity": 4, "version": "0", "os": "linux", "arch": "x86_64" });
    let answer = server.anonymous().post("/runner/register", &introduction).expect(201);
    // a registration token is good for one
    server.anonymous().post("/runner/register", &introduction).problem(401, "bad_credentials");
    let runner = server.anonymous().token(&answer.str("token"));
    House { server, owner, token, runner }
}

impl House {
    fn clone_here(&self) -> Clone {
        let clone = Clone::of(self.server.url(), &self.token, "ann/web", &self.server.scratch("clones").join("web"));
        clone.git(&["checkout", "-q", "-B", "main"]);
        clone
    }

    fn claim(&self) -> Value {
        let answer = self.runner.post("/runner/claim", &json!({ "free": 1 })).expect(200);
        answer.json["jobs"][0].clone()
    }

    fn log(&self, job: &Value, offset: u64, text: &str) -> testkit::Answer {
        let path = format!("/runner/jobs/{}/log?epoch={}&offset={offset}", job["job_id"].as_str().unwrap(), job["epoch"]);
        self.runner.send("POST", &path, Some(("application/octet-stream", text.as_bytes().to_vec())))
    }

    fn complete(&self, job: &Value, conclusion: &str, length: u64, outputs: &Value) -> testkit::Answer {
        let path = format!("/runner/jobs/{}/complete", job["job_id"].as_str().unwrap());
        self.runner.post(
            &path,
            &json!({ "epoch": job["epoch"], "conclusion": conclusion, "outputs": outputs, "log_length": length, "infra_failure": null }),
        )
    }
}

fn zip() -> Vec<u8> {
    // an archive without entries
    let mut bytes = b"PK\x05\x06".to_vec();
    bytes.extend([0; 18]);
    bytes
}

#[test]
fn from_a_push_to_its_results() {
    for database in databases() {
        let h = house(database);
        let clone = h.clone_here();
        clone.write(".github/workflows/ci.yml", WORKFLOW);
        clone.commit("first\n\nmore");
        let begun = Instant::now();
        clone.git(&["push", "--quiet", "origin", "main"]);
        let job = h.claim();
        eprintln!("{database:?}: push to job in {:?}", begun.elapsed());
        assert_eq!(job["name"], "test");
        let (id, run) = (job["job_id"].as_str().unwrap(), job["run_id"].as_str().unwrap());
        let base = format!("/runner/jobs/{id}");

        // the log, live
        assert_eq!(h.log(&job, 0, "hello\n").expect(200).json["acked"], 6);
        let (follower, path) = (h.owner.clone(), format!("/jobs/{id}/log/stream"));
        let following = std::thread::spawn(move || follower.events(&path, |event, _| event == "end"));
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(h.log(&job, 6, "wörld\n").expect(200).json["acked"], 13);
        h.log(&job, 99, "gap").problem(409, "conflict");
        let mut stale = job.clone();
        stale["epoch"] = json!(0);
        h.log(&stale, 13, "x").problem(409, "stale_epoch");
        h.complete(&job, "success", 5, &json!({})).problem(409, "conflict");

        h.runner
            .post(&format!("{base}/steps"), &json!({ "epoch": 1, "steps": [{ "index": 0, "name": "Run true", "state": "completed", "conclusion": "success", "outcome": "success", "exit_code": 0, "log_from": 0, "log_to": 13 }] }))
            .expect(204);
        // a call that is repeated, because its answer was lost, adds nothing
        for _ in 0..2 {
            h.runner
                .post(
                    &format!("{base}/annotations"),
                    &json!({ "epoch": 1, "call": 9, "items": [{ "severity": "warning", "message": "careful", "file": "a", "line": 1 }] }),
                )
                .expect(204);
        }
        let junit = "<testsuite name='s'><testcase name='a'/><testcase name='b'><failure message='no'/></testcase></testsuite>";
        for _ in 0..2 {
            h.runner
                .send("POST", &format!("{base}/reports?epoch=1&call=1&kind=junit&name=j.xml"), Some(("application/xml", junit.into())))
                .expect(204);
        }
        h.runner
            .send(
                "POST",
                &format!("{base}/reports?epoch=1&call=2&kind=lcov&name=l"),
                Some(("text/plain", "SF:a\nDA:1,1\nDA:2,0\nend_of_record\n".into())),
            )
            .expect(204);
        h.runner
            .send(
                "POST",
                &format!("{base}/reports?epoch=1&call=3&kind=summary&name=s"),
                Some(("text/plain", "# Hi <script>x</script>".into())),
            )
            .expect(204);
        h.runner.send("PUT", &format!("{base}/artifacts/site?epoch=1"), Some(("application/zip", zip()))).expect(200);
        h.runner
            .send("PUT", &format!("{base}/artifacts/site2?epoch=1"), Some(("application/zip", b"no zip".to_vec())))
            .problem(400, "invalid_request");
        h.runner.get(&format!("{base}/cache?key=k")).problem(404, "not_found");
        h.runner.send("PUT", &format!("{base}/cache?epoch=1&key=k-1"), Some(("application/gzip", b"tar".to_vec()))).expect(204);
        assert_eq!(h.runner.get(&format!("{base}/cache?key=k-2&restore=k-")).expect(200).header("x-cache-key"), "k-1");
        assert_eq!(h.runner.get(&format!("{base}/artifacts")).expect(200).items()[0]["name"], "site");

        // the job's token reads this project while the job runs
        let token = h.server.anonymous().token(job["job_token"].as_str().unwrap());
        token.get("/projects/ann%2Fweb").expect(200);
        token.get("/projects/ann%2Fweb/secrets").problem(403, "forbidden");
        h.complete(&job, "success", 13, &json!({ "v": "7" })).expect(204);
        token.get("/projects/ann%2Fweb").problem(401, "bad_credentials");
        h.complete(&job, "failure", 13, &json!({})).problem(409, "stale_epoch");

        let events = following.join().unwrap();
        let text: String = events
            .iter()
            .filter(|(e, _)| e == "log")
            .map(|(_, d)| serde_json::from_str::<Value>(d).unwrap()["text"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(text, "hello\nwörld\n");
        assert_eq!(events.last().unwrap().0, "end");

        let second = h.claim();
        assert_eq!(second["contexts"]["needs"]["test"]["outputs"]["v"], "7");
        assert_eq!(h.log(&second, 0, "done").expect(200).json["acked"], 4);
        h.complete(&second, "success", 4, &json!({})).expect(204);

        let shown = h.owner.get(&format!("/runs/{run}")).expect(200);
        assert_eq!(
            (shown.str("state"), shown.str("conclusion"), shown.str("title")),
            ("completed".into(), "success".into(), "first".into())
        );
        assert_eq!(shown.json["jobs"][0]["steps"][0]["exit_code"], 0);
        assert_eq!(shown.json["jobs"][0]["annotations"][0]["message"], "careful");
        assert_eq!(shown.json["jobs"][1]["needs"], json!(["test"]));
        let tests = h.owner.get(&format!("/runs/{run}/tests?status=failed")).expect(200);
        assert_eq!((tests.json["totals"]["tests"].clone(), tests.items()[0]["name"].clone()), (json!(2), json!("b")));
        assert_eq!(h.owner.get(&format!("/runs/{run}/coverage")).expect(200).json["line_rate"], 0.5);
        let summary = h.owner.get(&format!("/runs/{run}/summary")).expect(200);
        assert!(summary.items()[0]["html"].as_str().unwrap().contains("<h1>Hi"), "{}", summary.json);
        let artifact = h.owner.get(&format!("/runs/{run}/artifacts")).expect(200).items()[0].clone();
        let download = h.owner.get(&format!("/artifacts/{}/download", artifact["id"].as_str().unwrap())).expect(200);
        assert_eq!(download.bytes, zip());
        let part = h.owner.get(&format!("/jobs/{id}/log?offset=6&limit=3")).expect(200);
        assert_eq!((part.text().as_str(), part.header("x-log-next"), part.header("x-log-complete")), ("wö", "9", "false"));
        let runs = h.owner.get("/projects/ann%2Fweb/runs?ref=main&state=completed").expect(200);
        assert_eq!(runs.items()[0]["number"], 1);
        let actor = runs.items()[0]["actor"]["name"].as_str().unwrap().to_owned();
        let listed = |query: &str| h.owner.get(&format!("/projects/ann%2Fweb/runs?{query}")).expect(200).items().len();
        assert_eq!(listed(&format!("event=push&conclusion=success&actor={actor}")), 1);
        for none in ["event=schedule", "conclusion=failure", "actor=bob", "actor=nobody-of-that-name"] {
            assert_eq!(listed(none), 0, "{none}");
        }

        // who may not know of it, does not
        let stranger = h.server.user("bob");
        for path in [
            format!("/runs/{run}"),
            format!("/jobs/{id}"),
            format!("/jobs/{id}/log"),
            format!("/runs/{run}/tests"),
            "/projects/ann%2Fweb/runs".into(),
        ] {
            stranger.get(&path).problem(404, "not_found");
        }
        stranger.post(&format!("/runs/{run}/retry"), &json!({})).problem(404, "not_found");
        h.owner.post("/runner/claim", &json!({ "free": 1 })).problem(401, "unauthenticated");

        // again, and cancelled
        h.owner.post(&format!("/runs/{run}/retry"), &json!({})).expect(200);
        let job = h.claim();
        let began = Instant::now();
        let (runner, path) = (h.runner.clone(), format!("/runner/jobs/{}/heartbeat", job["job_id"].as_str().unwrap()));
        let beat = std::thread::spawn(move || runner.post(&path, &json!({ "epoch": 1 })).expect(200));
        std::thread::sleep(Duration::from_millis(200));
        h.owner.post(&format!("/runs/{run}/cancel"), &json!({})).expect(200);
        assert_eq!(beat.join().unwrap().json["cancel"], "cancel");
        assert!(began.elapsed() < Duration::from_secs(4), "a cancel reaches a silent job at once");
        h.complete(&job, "cancelled", 0, &json!({})).expect(204);
        assert_eq!(h.owner.get(&format!("/runs/{run}")).expect(200).str("conclusion"), "cancelled");
    }
}

#[test]
fn builds_by_hand_and_without_a_file() {
    for database in databases() {
        let h = house(database);
        let clone = h.clone_here();
        clone.write("go.mod", "module x\n");
        clone.push("a go module");
        let run = until("a detected run", Duration::from_secs(20), || h.owner.get("/projects/ann%2Fweb/runs").items().first().cloned());
        assert_eq!((run["detected"].clone(), run["state"].clone()), (json!(true), json!("queued")));
        let shown = h.owner.get(&format!("/runs/{}", run["id"].as_str().unwrap())).expect(200);
        assert_eq!(shown.json["jobs"][0]["state"], "unschedulable");
        assert!(shown.json["jobs"][0]["reason"].as_str().unwrap().contains("ubuntu-latest"), "{}", shown.json);
        let listed = h.owner.get("/projects/ann%2Fweb/workflows").expect(200).items();
        assert!(listed[0]["file"].as_str().unwrap().contains("go test"));

        clone.write(".github/workflows/ci.yml", WORKFLOW);
        clone.write(".github/workflows/bad.yml", "on: push\njobs: {a: {runs-on: x, steps: [{uses: foo/bar@v1}]}}\n");
        clone.push("workflows [skip ci]");
        h.owner
            .post("/projects/ann%2Fweb/build", &json!({ "workflow": "ci.yml", "inputs": { "level": "z" } }))
            .problem(422, "validation_failed");
        h.owner.post("/projects/ann%2Fweb/build", &json!({ "workflow": "none.yml" })).problem(404, "not_found");
        let built = h.owner.post("/projects/ann%2Fweb/build", &json!({ "workflow": "ci.yml", "inputs": { "level": "b" } })).expect(201);
        assert_eq!(built.json["runs"][0]["event"], "workflow_dispatch");
        assert_eq!(h.claim()["contexts"]["inputs"]["level"], "b");
        let bad = h.owner.post("/projects/ann%2Fweb/build", &json!({ "workflow": "bad.yml", "ref": "main" })).expect(201);
        assert_eq!(
            (bad.json["runs"][0]["conclusion"].clone(), bad.json["diagnostics"][0]["code"].clone()),
            (json!("failure"), json!("unknown_action"))
        );
        assert_eq!(h.owner.get("/projects/ann%2Fweb/plan?workflow=ci.yml").expect(200).json["jobs"][0]["key"], "test");

        h.owner.put("/projects/ann%2Fweb/secrets/KEY", &json!({ "value": "hush" })).expect(204);
        let secrets = h.owner.get("/projects/ann%2Fweb/secrets").expect(200);
        assert_eq!(secrets.items()[0]["name"], "KEY");
        assert!(!secrets.text().contains("hush"));
        h.owner.put("/projects/ann%2Fweb/variables/COLOR", &json!({ "value": "red" })).expect(204);
        assert_eq!(h.owner.get("/projects/ann%2Fweb/variables").expect(200).items()[0]["value"], "red");
        h.owner.delete("/projects/ann%2Fweb/variables/COLOR").expect(204);
    }
}
