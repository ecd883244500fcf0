//! Builds: the server dies under a runner of its own process, under one of another process, and that one dies.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Api, Clone, Database, Runner, Server, ServerOptions, databases, until};

use crate::{events, quiet, text};

const WORKFLOW: &str = r#"on: push
jobs:
  first:
    runs-on: LABEL
    outputs: {word: '${{ steps.word.outputs.word }}'}
    steps:
      - uses: actions/checkout@v4
      - run: for i in $(seq 300); do echo "line $i."; sleep 0.01; done
      - id: word
        run: |
          cat round > word
          echo "word=$(cat round)" >> "$GITHUB_OUTPUT"
          echo '<testsuite name="s"><testcase name="a"/><testcase name="b"/></testsuite>' > junit.xml
      - uses: devmentor/report@v1
        with: {junit: junit.xml}
      - uses: actions/upload-artifact@v4
        with: {name: word, path: word}
      - run: sleep 1.5
  second:
    needs: first
    runs-on: LABEL
    steps:
      - uses: actions/checkout@v4
      - uses: actions/download-artifact@v4
        with: {name: word}
      - uses: devmentor/build-image@v1
        with: {tags: '${{ github.sha }}', push: true}
      - run: sleep 1.5; test "$(cat word)" = "${{ needs.first.outputs.word }}"
"#;

/// A moment in the life of a run.
type Moment = (&'static str, fn(&House, &Value) -> bool);

const MOMENTS: [Moment; 6] = [
    ("its run is there", |_, _| true),
    ("the first job has begun", |_, run| run["jobs"][0]["state"] == "running"),
    ("it is in the middle of its log", |h, run| h.log(&run["jobs"][0]).contains("line 50.")),
    ("its artifact is kept", |h, run| !h.get(&format!("/runs/{}/artifacts", text(run, "id"))).items().is_empty()),
    ("the first job is over", |_, run| run["jobs"][0]["state"] == "completed"),
    ("the second job has begun", |_, run| run["jobs"][1]["state"] == "running"),
];

struct House {
    server: Server,
    token: String,
    clone: Clone,
}

impl House {
    fn new(database: Database, options: &ServerOptions, label: &str) -> Self {
        let server = Server::start_with(database, options);
        let token = server.user_token("ann");
        server.anonymous().token(&token).post("/projects/create", &json!({ "name": "app" })).expect(201);
        let clone = Clone::of(server.url(), &token, "ann/app", &server.scratch("clones").join("app"));
        clone.git(&["checkout", "-q", "-B", "main"]);
        clone.write(".github/workflows/ci.yml", &WORKFLOW.replace("LABEL", label));
        clone.write("Dockerfile", "FROM scratch\nCOPY word /word\nCMD [\"/word\"]\n");
        Self { server, token, clone }
    }

    fn api(&self) -> Api {
        self.server.anonymous().token(&self.token)
    }

    fn get(&self, path: &str) -> testkit::Answer {
        self.api().get(path).expect(200)
    }

    fn log(&self, job: &Value) -> String {
        self.get(&format!("/jobs/{}/log", text(job, "id"))).text()
    }

    fn runs(&self, commit: &str) -> Vec<Value> {
        self.get(&format!("/projects/ann%2Fapp/runs?commit={commit}")).items()
    }

    /// Pushes, and returns with the commit when the moment has come.
    fn reach(&self, (name, here): Moment) -> String {
        self.clone.write("round", name);
        let commit = self.clone.push(name);
        until(name, Duration::from_secs(120), || {
            let run = self.runs(&commit).first().cloned()?;
            here(self, &self.get(&format!("/runs/{}", text(&run, "id"))).json).then_some(())
        });
        commit
    }

    /// Waits for the end of the commit's run and holds it to having been done whole, and once.
    fn whole(&self, moment: &str, commit: &str) -> Value {
        let run = until(moment, Duration::from_secs(180), || self.runs(commit).into_iter().find(|r| r["state"] == "completed"));
        assert_eq!(self.runs(commit).len(), 1, "{moment}");
        let run = self.get(&format!("/runs/{}", text(&run, "id"))).json;
        let jobs: Vec<&Value> = run["jobs"].as_array().unwrap().iter().filter(|j| j["superseded"] != true).collect();
        assert_eq!(run["conclusion"], "success", "{moment}: {run:#}\n{}", jobs.iter().map(|j| self.log(j)).collect::<String>());
        assert_eq!(jobs.iter().map(|j| text(j, "key")).collect::<Vec<_>>(), ["first", "second"], "{moment}");
        let log = self.log(jobs[0]);
        for line in 1..=300 {
            assert_eq!(log.matches(&format!("line {line}.\n")).count(), 1, "{moment}: line {line} in {log}");
        }
        let id = text(&run, "id");
        let artifacts = self.get(&format!("/runs/{id}/artifacts")).items();
        assert_eq!(artifacts.iter().map(|a| text(a, "name")).collect::<Vec<_>>(), ["word"], "{moment}");
        assert_eq!(self.get(&format!("/runs/{id}/tests")).json["totals"]["tests"], 2, "{moment}");
        let images = self.get("/projects/ann%2Fapp/images").items();
        assert!(images[0]["tags"].as_array().unwrap().contains(&json!(commit)), "{moment}: {images:?}");
        let statuses = self.get(&format!("/projects/ann%2Fapp/commits/{commit}/statuses")).items();
        assert_eq!(statuses.iter().map(|s| text(s, "state")).collect::<Vec<_>>(), ["success"], "{moment}");
        let told = |kind: &str, field: &str, id: &str| events(&self.server.admin(), kind).iter().filter(|e| e["data"][field] == id).count();
        assert_eq!(told("run.finished", "run", id), 1, "{moment}");
        for job in run["jobs"].as_array().unwrap() {
            assert_eq!(told("job.finished", "job", text(job, "id")), 1, "{moment}");
        }
        run
    }
}

fn attempts(run: &Value) -> i64 {
    run["jobs"].as_array().unwrap().iter().map(|j| j["attempt"].as_i64().unwrap()).max().unwrap()
}

/// With the runner in the same process, what ran dies with the server and is tried again.
#[test]
fn the_server_dies_with_its_runner() {
    let mut h = House::new(Database::Sqlite, &ServerOptions::default(), "ubuntu-latest");
    for moment in MOMENTS {
        let commit = h.reach(moment);
        h.server.kill();
        h.server.restart();
        let run = h.whole(moment.0, &commit);
        assert!(attempts(&run) <= 2, "{run:#}");
    }
}

/// A runner of its own goes on while the server is away: nothing is run again, no word of the log is lost.
#[test]
fn the_server_dies_and_the_runner_goes_on() {
    let mut h = House::new(databases().pop().unwrap(), &quiet(), "remote");
    let _runner = Runner::start(&h.server);
    for moment in MOMENTS {
        let commit = h.reach(moment);
        h.server.kill();
        std::thread::sleep(Duration::from_millis(700));
        h.server.restart();
        let run = h.whole(moment.0, &commit);
        assert_eq!(attempts(&run), 1, "{}: {run:#}", moment.0);
    }
}

/// What a dead runner held is tried again by its next life.
#[test]
fn the_runner_dies() {
    let h = House::new(databases().pop().unwrap(), &quiet(), "remote");
    let mut runner = Runner::start(&h.server);
    for moment in MOMENTS {
        let commit = h.reach(moment);
        runner.kill();
        runner.restart();
        let run = h.whole(moment.0, &commit);
        assert!(attempts(&run) <= 2, "{run:#}");
    }
}
