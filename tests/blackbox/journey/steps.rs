//! What people do with the steps of a job: see what each used, go on from the one that failed.

use serde_json::json;
use testkit::databases;

use super::{Person, text};

const BUSY: &str = "on: push
jobs:
  work:
    runs-on: ubuntu-latest
    steps:
      - name: Compute
        run: i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; head -c 5000000 /dev/zero > big; sync big
      - name: Nothing
        run: 'true'
";

#[test]
fn each_step_tells_what_it_used() {
    for database in databases() {
        let ann = Person::new(database, "process");
        ann.api.post("/projects/create", &json!({ "name": "busy" })).expect(201);
        let clone = ann.clone_of("ann/busy");
        clone.write(".github/workflows/ci.yml", BUSY);
        let run = ann.run_of("ann/busy", &clone.push("first"));
        let run = ann.ended(text(&run, "id"));
        ann.green(&run);
        let steps = run["jobs"][0]["steps"].as_array().unwrap();
        let used = |name: &str| &steps.iter().find(|s| s["name"] == name).unwrap()["usage"];
        let cpu = |name: &str| used(name)["cpu_user_ms"].as_i64().unwrap() + used(name)["cpu_system_ms"].as_i64().unwrap();
        assert!(cpu("Compute") > 50 && cpu("Compute") > cpu("Nothing"), "{steps:#?}");
        assert!(used("Compute")["memory_peak_bytes"].as_i64().is_none_or(|m| m > 0), "{steps:#?}");
        assert!(used("Compute")["written_bytes"].as_i64().is_some_and(|w| w >= 5_000_000), "{steps:#?}");
        assert_eq!(steps[0]["usage"], json!(null), "no program of the job has run in its set-up");

        let shown = ann.cli.run(&["run", "show", text(&run, "id")]);
        let line = shown.lines().find(|l| l.ends_with("  Compute")).unwrap_or_else(|| panic!("{shown}"));
        assert!(line.contains("success") && line.contains("MiB"), "{shown}");
        let of_job = ann.cli.json(&["run", "show", text(&run, "id"), "--job", "work"]);
        assert_eq!(of_job["jobs"][0]["steps"], run["jobs"][0]["steps"]);
    }
}

const FAILS_ONCE: &str = "on: push
jobs:
  work:
    runs-on: ubuntu-latest
    outputs: {word: '${{ steps.make.outputs.word }}'}
    steps:
      - uses: actions/checkout@v4
      - id: make
        name: Make
        run: |
          echo made > file
          echo once >> count
          echo \"KEPT=env of the first\" >> \"$GITHUB_ENV\"
          echo \"word=hello\" >> \"$GITHUB_OUTPUT\"
          echo make ran here
      - name: Try
        run: if [ -f tried ]; then echo \"$KEPT\"; cat file count; git fetch -q origin; else touch tried; exit 3; fi
      - name: After
        run: echo \"word is ${{ steps.make.outputs.word }}\"
  next:
    needs: work
    runs-on: ubuntu-latest
    steps: [{run: 'test \"${{ needs.work.outputs.word }}\" = hello'}]
";

#[test]
fn a_failed_job_goes_on_from_the_step_that_failed() {
    for database in databases() {
        let mut ann = Person::new(database, "process");
        ann.api.post("/projects/create", &json!({ "name": "again" })).expect(201);
        let clone = ann.clone_of("ann/again");
        clone.write(".github/workflows/ci.yml", FAILS_ONCE);
        let id = text(&ann.run_of("ann/again", &clone.push("first")), "id").to_owned();
        let run = ann.ended(&id);
        assert_eq!(run["conclusion"], "failure");
        let first = text(&run["jobs"][0], "id").to_owned();
        assert_eq!(run["jobs"][0]["retry_from"], 3, "{run:#}");
        let retry = format!("/jobs/{first}/retry");
        ann.api.post(&retry, &json!({ "from_step": 2 })).problem(422, "validation_failed");
        ann.server.user("bob").post(&retry, &json!({ "from_step": 3 })).problem(404, "not_found");

        // the runner finds it again after a crash of the service, under another name
        ann.server.kill();
        ann.server.restart();
        testkit::eventually("the runner is back", || {
            ann.server.admin().get("/runners").expect(200).items().iter().any(|r| r["labels"].to_string().contains("runner:"))
        });
        let key = "a-retry-of-one-step";
        let keyed = ann.api.header("Idempotency-Key", key);
        let made = keyed.post(&retry, &json!({ "from_step": 3 })).expect(200);
        assert_eq!(made.str("state"), "queued", "{:#}", made.json);
        assert_eq!(keyed.post(&retry, &json!({ "from_step": 3 })).expect(200).str("id"), made.str("id"), "a repeated request is done once");
        let run = ann.ended(&id);
        ann.green(&run);
        let job = &run["jobs"][0];
        assert_eq!((&job["attempt"], &job["outputs"]["word"]), (&json!(2), &json!("hello")));
        let steps = job["steps"].as_array().unwrap();
        let from: Vec<_> = steps.iter().filter(|s| s["taken_from"] == first.as_str()).map(|s| text(s, "name")).collect();
        assert_eq!(from.len(), 2, "{steps:#?}");
        assert_eq!((from[1], &steps[2]["conclusion"]), ("Make", &json!("success")));
        let log = ann.api.get(&format!("/jobs/{}/log", text(job, "id"))).text();
        assert!(log.contains("env of the first\nmade\nonce\n") && log.contains("word is hello"), "{log}");
        assert!(!log.contains("make ran here"), "{log}");
        let shown = ann.cli.run(&["run", "show", &id]);
        assert!(shown.contains(&format!("Make (taken over from {first})")), "{shown}");

        // what was used is gone; nothing is run from its beginning instead
        ann.api.post(&retry, &json!({ "from_step": 3 })).problem(409, "conflict");
        let green = text(job, "id");
        ann.api.post(&format!("/jobs/{green}/retry"), &json!({ "from_step": 3 })).problem(409, "conflict");
        // the job as a whole can be run again as ever
        let whole = ann.api.post(&format!("/jobs/{green}/retry"), &json!({})).expect(200);
        assert!(!whole.json["labels"].to_string().contains("runner:"), "{:#}", whole.json);
        assert_eq!(ann.ended(&id)["conclusion"], "failure", "it begins anew, without the file that made it pass");
    }
}

#[test]
fn what_cannot_go_on_from_a_step_says_so() {
    for database in databases() {
        let ann = Person::new(database, "process");
        ann.api.post("/projects/create", &json!({ "name": "whole" })).expect(201);
        let clone = ann.clone_of("ann/whole");
        clone.write("Jenkinsfile", "pipeline { agent any\n stages { stage('a') { steps { sh 'exit 1' } } } }\n");
        let run = ann.ended(text(&ann.run_of("ann/whole", &clone.push("first")), "id"));
        assert_eq!((&run["conclusion"], &run["jobs"][0]["retry_from"]), (&json!("failure"), &json!(null)));
        let retry = format!("/jobs/{}/retry", text(&run["jobs"][0], "id"));
        ann.api.post(&retry, &json!({ "from_step": 1 })).problem(422, "not_resumable");

        // a runner that keeps nothing
        let options = testkit::ServerOptions::default().set("docker_host", "unix:///nonexistent/docker.sock").set("runner_keep_jobs", "0");
        let server = testkit::Server::start_with(database, &options);
        let token = server.user_token("eve");
        let api = server.anonymous().token(&token);
        api.post("/projects/create", &json!({ "name": "none" })).expect(201);
        let clone = testkit::Clone::of(server.url(), &token, "eve/none", &server.scratch("clones").join("none"));
        clone.git(&["checkout", "-q", "-B", "main"]);
        clone.write(".github/workflows/ci.yml", "on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: 'exit 1'}]}}\n");
        let commit = clone.push("first");
        let run = testkit::until("the run has ended", std::time::Duration::from_secs(60), || {
            let run = api.get(&format!("/projects/eve%2Fnone/runs?commit={commit}")).expect(200).items().first().cloned()?;
            let run = api.get(&format!("/runs/{}", text(&run, "id"))).expect(200).json;
            (run["state"] == "completed").then_some(run)
        });
        let retry = format!("/jobs/{}/retry", text(&run["jobs"][0], "id"));
        api.post(&retry, &json!({ "from_step": 1 })).problem(409, "files_gone");
    }
}
