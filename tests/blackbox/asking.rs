//! Pipelines of Jenkins that wait for people, and that overtake each other.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Api, Clone, Server, ServerOptions, databases, until};

const ASKS: &str = r#"pipeline {
  agent none
  stages {
    stage('build') { agent any
      steps { sh 'echo built' } }
    stage('ship') {
      input {
        message 'Ship it?'
        ok 'Ship'
        submitter 'ann, bob'
        submitterParameter 'WHO'
        parameters { choice(name: 'WHERE', choices: ['near', 'far']); booleanParam(name: 'LOUD', defaultValue: false) }
      }
      agent any
      steps { sh 'echo shipped to $WHERE by $WHO loud=$LOUD' } }
    stage('more') { agent any
      steps { script {
        def note = input(message: 'A note?', parameters: [string(name: 'NOTE', defaultValue: 'none')])
        echo "note is ${note}"
        try { input 'Stop?' } catch (e) { echo "stopped: ${e.message}" }
      } } }
  }
}
"#;

const MILESTONES: &str = "pipeline {
  agent none
  stages {
    stage('one') { steps { milestone(1) } }
    stage('two') { steps { input 'Go on?' } }
    stage('three') { steps { milestone(2); echo 'passed' } }
  }
}
";

struct House {
    server: Server,
    ann: Api,
    clone: Clone,
}

fn house(database: testkit::Database) -> House {
    // one place, which a pipeline that waits must not take
    let server = Server::start_with(database, &ServerOptions::default().set("runner_capacity", "1"));
    let token = server.user_token("ann");
    let ann = server.anonymous().token(&token);
    ann.post("/projects/create", &json!({ "name": "web" })).expect(201);
    let clone = Clone::of(server.url(), &token, "ann/web", &server.scratch("clones").join("web"));
    clone.git(&["checkout", "-q", "-B", "main"]);
    House { server, ann, clone }
}

impl House {
    fn run_of(&self, commit: &str) -> Value {
        let path = format!("/projects/ann%2Fweb/runs?commit={commit}");
        until("a run", Duration::from_secs(60), || self.ann.get(&path).expect(200).items().first().cloned())
    }

    fn wait(&self, what: &str, run: &Value, holds: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/runs/{}", run["id"].as_str().unwrap());
        until(what, Duration::from_secs(60), || Some(self.ann.get(&path).expect(200).json).filter(|r| holds(r)))
    }

    /// The job of a run, once it asks this.
    fn asked(&self, run: &Value, message: &str) -> Value {
        let run = self.wait(message, run, |r| r["jobs"][0]["questions"][0]["message"] == message);
        run["jobs"][0].clone()
    }
}

#[test]
fn a_pipeline_waits_for_people() {
    for database in databases() {
        let h = house(database);
        let (bob, eve) = (h.server.user("bob"), h.server.user("eve"));
        for name in ["bob", "eve"] {
            h.ann.put(&format!("/projects/ann%2Fweb/members/{name}"), &json!({ "role": "developer" })).expect(204);
        }
        h.clone.write("Jenkinsfile", ASKS);
        let run = h.run_of(&h.clone.push("asks"));
        let job = h.asked(&run, "Ship it?");
        assert_eq!(
            (job["playable"].clone(), job["gate"]["kind"].clone(), job["state"].clone()),
            (json!(true), json!("input"), json!("running"))
        );
        let question = &job["questions"][0];
        assert_eq!((question["ok"].clone(), question["submitters"].clone()), (json!("Ship"), json!(["ann", "bob"])));
        assert_eq!(
            question["parameters"][0],
            json!({"name": "WHERE", "kind": "choice", "description": "", "default": "near", "choices": ["near", "far"]})
        );
        let play = format!("/jobs/{}/play", job["id"].as_str().unwrap());

        // outside of an agent it holds no place on the runner
        h.clone.git(&["checkout", "-q", "-b", "other"]);
        h.clone.write("Jenkinsfile", "pipeline { agent any\n stages { stage('a') { steps { echo 'beside' } } } }\n");
        let beside = h.clone.commit("beside");
        h.clone.git(&["push", "--quiet", "origin", "other"]);
        h.wait("the other one", &h.run_of(&beside), |r| r["conclusion"] == "success");

        eve.post(&play, &json!({})).problem(403, "forbidden");
        h.server.user("out").post(&play, &json!({})).problem(404, "not_found");
        bob.post(&play, &json!({ "parameters": { "WHERE": "moon" } })).problem(422, "validation_failed");
        bob.post(&play, &json!({ "parameters": { "WHERE": "far", "LOUD": true } })).expect(200);
        h.ann.post(&play, &json!({ "parameters": { "WHERE": "near" } })).problem(409, "conflict");

        // a step gives its answer to the script, and a refusal can be caught
        h.asked(&run, "A note?");
        eve.post(&play, &json!({ "parameters": { "NOTE": "well done" } })).expect(200);
        h.asked(&run, "Stop?");
        h.ann.post(&play, &json!({ "abort": true })).expect(200);
        let run = h.wait("the end", &run, |r| r["state"] == "completed");
        let log = h.ann.get(&format!("/jobs/{}/log", job["id"].as_str().unwrap())).text();
        for line in [
            "Ship it?",
            "Ship or Abort",
            "Approved by bob",
            "shipped to far by bob loud=true",
            "note is well done",
            "stopped: Rejected by ann",
        ] {
            assert!(log.contains(line), "{line}: {log}");
        }
        assert_eq!(run["conclusion"], "success", "{log}");
        assert_eq!(run["jobs"][0]["questions"], json!([]));
        h.ann.post(&play, &json!({})).problem(409, "conflict");

        // what nobody answers is stopped by a cancel; a refusal that is not caught ends the run
        h.clone.git(&["checkout", "-q", "main"]);
        h.clone.write("a", "");
        let run = h.run_of(&h.clone.push("again"));
        h.asked(&run, "Ship it?");
        h.ann.post(&format!("/runs/{}/cancel", run["id"].as_str().unwrap()), &json!({})).expect(200);
        h.wait("the cancel", &run, |r| r["conclusion"] == "cancelled");
        h.clone.write("b", "");
        let run = h.run_of(&h.clone.push("refused"));
        let job = h.asked(&run, "Ship it?");
        h.ann.post(&format!("/jobs/{}/play", job["id"].as_str().unwrap()), &json!({ "abort": true })).expect(200);
        h.wait("the refusal", &run, |r| r["conclusion"] == "cancelled");
    }
}

#[test]
fn builds_overtake_each_other_at_milestones() {
    for database in databases() {
        let h = house(database);
        h.clone.write("Jenkinsfile", MILESTONES);
        let first = h.run_of(&h.clone.push("first"));
        h.asked(&first, "Go on?");
        h.clone.write("a", "");
        let second = h.run_of(&h.clone.push("second"));
        let job = h.asked(&second, "Go on?");
        h.ann.post(&format!("/jobs/{}/play", job["id"].as_str().unwrap()), &json!({})).expect(200);
        h.wait("the newer", &second, |r| r["conclusion"] == "success");
        let first = h.wait("the older", &first, |r| r["state"] == "completed");
        assert_eq!(first["conclusion"], "cancelled", "{first:#}");
    }
}
