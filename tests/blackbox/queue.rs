//! The queue and the runners as people see to them, and why jobs wait: with this test as the runner, and with real ones.

use serde_json::{Value, json};
use testkit::{Api, Cli, Clone, Database, Server, ServerOptions, databases, eventually};

const WORKFLOW: &str = "name: CI
on: {push: {branches: [main]}, workflow_dispatch: {}}
jobs:
  one: {runs-on: [box], steps: [{run: 'true'}]}
  two: {runs-on: [box], needs: one, if: \"github.ref == 'refs/heads/other' || vars.FORCE == 'yes'\", steps: [{run: 'true'}]}
  three: {runs-on: [box], needs: two, steps: [{run: 'true'}]}
";

struct House {
    server: Server,
    ann: Api,
    token: String,
}

fn house(database: Database) -> House {
    let server = Server::start_with(database, &ServerOptions::default().set("runner", "false"));
    let token = server.user_token("ann");
    let ann = server.anonymous().token(&token);
    ann.post("/projects/create", &json!({"name": "web"})).expect(201);
    House { server, ann, token }
}

impl House {
    fn push(&self, workflow: &str) -> Clone {
        let clone = Clone::of(self.server.url(), &self.token, "ann/web", &self.server.scratch("clones").join("web"));
        clone.git(&["checkout", "-q", "-B", "main"]);
        clone.write(".github/workflows/ci.yml", workflow);
        clone.push("ci");
        clone
    }

    fn invitation(&self) -> String {
        self.server.admin().post("/runners/tokens", &json!({})).expect(201).str("token")
    }

    fn runner(&self, ephemeral: bool) -> (String, Api) {
        let about = json!({"registration_token": self.invitation(), "name": "box", "labels": ["box"], "capacity": 4, "version": "1.2", "os": "linux", "arch": "x86_64", "ephemeral": ephemeral});
        let answer = self.server.anonymous().post("/runner/register", &about).expect(201);
        (answer.str("runner_id"), self.server.anonymous().token(&answer.str("token")))
    }

    fn end(&self, runner: &Api, job: &Value, conclusion: &str) {
        let path = format!("/runner/jobs/{}/complete", job["job_id"].as_str().unwrap());
        let body = json!({"epoch": job["epoch"], "conclusion": conclusion, "outputs": {}, "log_length": 0, "infra_failure": null});
        runner.post(&path, &body).expect(204);
    }

    fn listed(&self, id: &str) -> Value {
        let all = self.server.admin().get("/runners").expect(200).items();
        all.into_iter().find(|r| r["id"] == id).unwrap_or_default()
    }
}

#[test]
fn a_runner_drains_and_comes_back() {
    for database in databases() {
        let h = house(database);
        let (id, runner) = h.runner(false);
        h.push(WORKFLOW);
        let job = runner.post("/runner/claim", &json!({"free": 4})).expect(200).json["jobs"][0].clone();
        let shown = h.listed(&id);
        assert_eq!((&shown["state"], &shown["version"], &shown["os"]), (&json!("online"), &json!("1.2"), &json!("linux")));
        assert_eq!((&shown["jobs"][0]["name"], &shown["jobs"][0]["project"]), (&json!("one"), &json!("ann/web")));
        h.ann.patch(&format!("/runners/{id}"), &json!({"draining": true})).problem(403, "forbidden");
        let cli = Cli::signed_in(&h.server.scratch("home"), h.server.url(), h.server.admin_token());
        assert!(cli.run(&["runner", "list"]).contains("ann/web one"));
        assert_eq!(cli.json(&["runner", "drain", "box"])["state"], "draining");
        // it finishes what it has; a second job waits, and says so
        h.ann.post("/projects/ann%2Fweb/build", &json!({})).expect(201);
        h.end(&runner, &job, "success");
        let asked = runner.post("/runner/claim", &json!({"free": 4, "until_drained": true})).expect(200);
        assert_eq!((asked.json["jobs"].as_array().map(Vec::len), &asked.json["drained"]), (Some(0), &json!(true)));
        eventually("it cannot be scheduled", || h.ann.get("/queue").expect(200).items().iter().any(|j| j["state"] == "unschedulable"));
        let queue = h.ann.get("/queue?project=ann%2Fweb").expect(200);
        assert_eq!((&queue.json["total"], &queue.json["running"]), (&json!(1), &json!(0)));
        let item = queue.items()[0].clone();
        assert_eq!((&item["project"]["path"], &item["position"], &item["priority"]), (&json!("ann/web"), &json!(1), &json!(2)));
        assert!(h.server.user("out").get("/queue").expect(200).items().is_empty());
        h.server.anonymous().get("/queue").problem(401, "unauthenticated");
        let theirs = Cli::signed_in(&h.server.scratch("theirs"), h.server.url(), &h.token);
        assert!(theirs.run(&["queue"]).contains("1 wait, 0 run"));
        // it takes jobs again
        assert_eq!(cli.json(&["runner", "resume", "box"])["state"], "online");
        let again = runner.post("/runner/claim", &json!({"free": 4})).expect(200).json["jobs"][0].clone();
        assert_eq!(again["name"], "one");
        cli.run(&["runner", "remove", &id]);
        assert_eq!(h.listed(&id), Value::Null);
    }
}

#[test]
fn who_starts_runs_sees_the_runners_of_a_project() {
    for database in databases() {
        let h = house(database);
        let (id, runner) = h.runner(false);
        h.push(WORKFLOW);
        let job = runner.post("/runner/claim", &json!({"free": 4})).expect(200).json["jobs"][0].clone();
        h.ann.post("/groups", &json!({"path": "team"})).expect(201);
        let (bob, cleo) = (h.server.user("bob"), h.server.user("cleo"));
        bob.post("/projects/create", &json!({"name": "own"})).expect(201);
        h.ann.put("/groups/team/members/bob", &json!({"role": "developer"})).expect(204);
        h.ann.put("/projects/ann%2Fweb/members/cleo", &json!({"role": "reporter"})).expect(204);
        for (who, of, jobs) in [
            (&h.ann, "project=ann%2Fweb", 1),
            (&h.ann, "group=team", 1),
            // what runs for projects that one may not see is a number
            (&bob, "project=bob%2Fown", 0),
            (&bob, "group=team", 0),
        ] {
            let shown = who.get(&format!("/runners?{of}")).expect(200).items();
            assert_eq!((&shown[0]["id"], &shown[0]["busy"]), (&json!(id), &json!(1)), "{of}");
            assert_eq!(shown[0]["jobs"].as_array().map(Vec::len), Some(jobs), "{of}: {}", shown[0]);
        }
        h.ann.get("/runners").problem(403, "forbidden");
        cleo.get("/runners?project=ann%2Fweb").problem(403, "forbidden");
        bob.get("/runners?project=ann%2Fweb").problem(404, "not_found");
        cleo.get("/runners?group=team").problem(404, "not_found");
        h.server.anonymous().get("/runners?group=team").problem(404, "not_found");
        // the place of a job counts what waits elsewhere, also what its reader may not see
        h.ann.post("/projects/ann%2Fweb/build", &json!({})).expect(201);
        let files = json!([{"action": "create", "path": ".github/workflows/ci.yml", "content": WORKFLOW}]);
        bob.post("/projects/bob%2Fown/commits", &json!({"branch": "main", "message": "ci", "actions": files})).expect(201);
        eventually("it waits", || bob.get("/queue?project=bob%2Fown").expect(200).json["total"] == 1);
        let own = bob.get("/queue?project=bob%2Fown").expect(200).items();
        assert_eq!((&own[0]["name"], &own[0]["position"]), (&json!("one"), &json!(2)), "{own:?}");
        h.end(&runner, &job, "success");
    }
}

#[test]
fn a_runner_of_one_job_takes_one() {
    for database in databases() {
        let h = house(database);
        let (_, runner) = h.runner(true);
        h.push("on: push\njobs:\n  a: {runs-on: box, steps: [{run: 'true'}]}\n  b: {runs-on: box, steps: [{run: 'true'}]}\n");
        eventually("two wait", || h.ann.get("/queue").expect(200).json["total"] == 2);
        let first = runner.post("/runner/claim", &json!({"free": 4})).expect(200);
        assert_eq!(first.json["jobs"].as_array().map(Vec::len), Some(1));
        let second = runner.post("/runner/claim", &json!({"free": 4})).expect(200);
        assert_eq!((second.json["jobs"].as_array().map(Vec::len), &second.json["drained"]), (Some(0), &json!(true)));
    }
}

#[test]
fn real_runners_end_when_they_are_done() {
    let h = house(Database::Sqlite);
    let start = |name: &'static str, how: &'static str| {
        let (url, token) = (h.server.url().to_owned(), h.invitation());
        let (home, work) = (h.server.scratch(&format!("{name}-home")), h.server.scratch(&format!("{name}-work")));
        std::thread::spawn(move || {
            let work = work.display().to_string();
            let words =
                ["runner", "--server", &url, "--token", &token, "--name", name, "--label", name, "--only-labels", how, "--work-dir", &work];
            let out = Cli::signed_out(&home).try_run(&words);
            (out.status.success(), String::from_utf8_lossy(&out.stderr).into_owned() + &String::from_utf8_lossy(&out.stdout))
        })
    };
    let (once, drained) = (start("once", "--ephemeral"), start("drained", "--until-drained"));
    eventually("both are there", || h.server.admin().get("/runners").expect(200).items().len() == 2);
    h.push("on: push\njobs:\n  a: {runs-on: once, steps: [{run: 'echo hello'}]}\n  b: {runs-on: drained, steps: [{run: 'sleep 2'}]}\n");
    let (ok, said) = once.join().unwrap();
    assert!(ok, "{said}");
    let left: Vec<Value> = h.server.admin().get("/runners").expect(200).items();
    assert_eq!((left.len(), &left[0]["name"]), (1, &json!("drained")), "{said}");
    h.server.admin().patch(&format!("/runners/{}", left[0]["id"].as_str().unwrap()), &json!({"draining": true})).expect(200);
    let (ok, said) = drained.join().unwrap();
    assert!(ok, "{said}");
    eventually("both jobs went well", || h.ann.get("/projects/ann%2Fweb/runs").expect(200).items()[0]["conclusion"] == "success");
}

#[test]
fn every_job_says_why() {
    for database in databases() {
        let h = house(database);
        h.ann.put("/projects/ann%2Fweb/variables/FORCE", &json!({"value": "no"})).expect(204);
        let (_, runner) = h.runner(false);
        h.push(WORKFLOW);
        let job = runner.post("/runner/claim", &json!({"free": 1})).expect(200).json["jobs"][0].clone();
        let run = job["run_id"].as_str().unwrap().to_owned();
        let why = |api: &Api, key: &str| -> Value {
            let all = api.get(&format!("/runs/{run}/why")).expect(200).json;
            all["jobs"].as_array().unwrap().iter().find(|j| j["key"] == key).cloned().unwrap()
        };
        // nothing is decided while the job before goes on
        let two = why(&h.ann, "two");
        assert_eq!((&two["state"], &two["evaluation"]["value"]), (&json!("waiting"), &Value::Null));
        assert_eq!(two["evaluation"]["needs"], json!([{"job": "one", "direct": true, "result": null}]));
        h.end(&runner, &job, "success");
        eventually("it is over", || h.ann.get(&format!("/runs/{run}")).expect(200).json["state"] == "completed");
        let two = why(&h.ann, "two");
        assert_eq!((&two["conclusion"], &two["evaluation"]["value"]), (&json!("skipped"), &json!(false)));
        let operands = json!([{"expression": "github.ref", "value": "refs/heads/main", "hidden": false}, {"expression": "vars.FORCE", "value": "no", "hidden": false}]);
        assert_eq!(two["evaluation"]["operands"], operands);
        let three = why(&h.ann, "three");
        let needs = json!([{"job": "one", "direct": false, "result": "success"}, {"job": "two", "direct": true, "result": "skipped"}]);
        assert_eq!((&three["evaluation"]["needs"], &three["evaluation"]["condition"]), (&needs, &Value::Null));
        // variables are not for everybody who sees runs
        let rea = h.server.user("rea");
        h.ann.put("/projects/ann%2Fweb/members/rea", &json!({"role": "reporter"})).expect(204);
        assert_eq!(why(&rea, "two")["evaluation"]["operands"][1], json!({"expression": "vars.FORCE", "value": null, "hidden": true}));
        h.server.user("out").get(&format!("/runs/{run}/why")).problem(404, "not_found");
        let cli = Cli::signed_in(&h.server.scratch("home"), h.server.url(), &h.token);
        let said = cli.run(&["run", "why", &run, "--job", "two"]);
        assert!(said.contains("github.ref = \"refs/heads/main\"") && said.contains("two skipped"), "{said}");
    }
}
