//! What the clock, other runs and events of one's own start, on SQLite and PostgreSQL.

use serde_json::{Value, json};
use testkit::{Api, Clone, Database, Server, ServerOptions, databases, eventually};

const NIGHTLY: &str = "name: Nightly
on:
  push: {branches: [never]}
  schedule:
    - cron: '0 3 * * *'
    - cron: '30 4 * * 1'
      timezone: Europe/Berlin
jobs:
  a: {runs-on: none-such, steps: [{run: 'true'}]}
";

const FOLLOWS: &str = "name: Follows
on:
  workflow_run: {workflows: [CI], types: [requested]}
  repository_dispatch: {types: [release-made]}
  create:
  delete:
jobs:
  a: {runs-on: none-such, steps: [{run: 'echo ${{ github.event.action }}'}]}
";

const CI: &str = "name: CI
on: {push: {branches: [main]}, workflow_dispatch: {}}
jobs:
  a: {runs-on: none-such, steps: [{run: 'true'}]}
";

struct House {
    server: Server,
    ann: Api,
    token: String,
    project: String,
}

fn house(database: Database) -> House {
    let server = Server::start_with(database, &ServerOptions::default().set("runner", "false"));
    let token = server.user_token("ann");
    let ann = server.anonymous().token(&token);
    let project = ann.post("/projects/create", &json!({"name": "web"})).expect(201).str("id");
    House { server, ann, token, project }
}

impl House {
    fn clone_here(&self) -> Clone {
        let clone = Clone::of(self.server.url(), &self.token, "ann/web", &self.server.scratch("clones").join("web"));
        clone.git(&["checkout", "-q", "-B", "main"]);
        clone
    }

    fn schedules(&self) -> Vec<Value> {
        self.ann.get(&format!("/projects/{}/schedules", self.project)).expect(200).items()
    }

    fn runs(&self, event: &str) -> Vec<Value> {
        let all = self.ann.get(&format!("/projects/{}/runs?limit=100", self.project)).expect(200);
        all.items().iter().filter(|r| r["event"] == event).cloned().collect()
    }

    /// The time has come: all is due since a second, for whichever instance looks first.
    fn due(&self) {
        let now = kernel::Timestamp::now().millis();
        self.server.sql(&[&format!("UPDATE schedule SET next_at = {} WHERE next_at IS NOT NULL", now - 1000)]);
    }
}

#[test]
fn schedules_of_files_follow_the_default_branch() {
    for database in databases() {
        let h = house(database);
        let clone = h.clone_here();
        clone.write(".github/workflows/nightly.yml", NIGHTLY);
        clone.push("a schedule");
        eventually("both schedules", || h.schedules().len() == 2);
        let all = h.schedules();
        let berlin = all.iter().find(|s| s["timezone"] == "Europe/Berlin").unwrap();
        assert_eq!((berlin["source"].as_str(), berlin["active"].as_bool()), (Some("file"), Some(true)));
        assert_eq!(berlin["owner"]["name"], "ann");
        // it cannot be edited, but paused
        let (path, id) = (format!("/schedules/{}", berlin["id"].as_str().unwrap()), berlin["id"].as_str().unwrap());
        h.ann.header("if-match", "\"1\"").patch(&path, &json!({"cron": "* * * * *"})).problem(409, "conflict");
        let paused = h.ann.header("if-match", "\"1\"").patch(&path, &json!({"active": false})).expect(200).json;
        assert_eq!((&paused["active"], &paused["next_at"]), (&json!(false), &Value::Null));
        h.ann.delete(&path).problem(409, "conflict");
        // a push leaves it paused; a schedule that is gone from the file is gone
        clone.write(".github/workflows/nightly.yml", &NIGHTLY.replace("    - cron: '0 3 * * *'\n", ""));
        clone.push("one less");
        eventually("one schedule", || h.schedules().len() == 1);
        assert_eq!((h.schedules()[0]["id"].as_str(), h.schedules()[0]["active"].as_bool()), (Some(id), Some(false)));
        // played by hand: on the last commit, as the event that it is
        let played = h.ann.post(&format!("{path}/play"), &json!({})).expect(201);
        let run = played.items()[0].clone();
        assert_eq!((run["event"].as_str(), run["cause"]["schedule"].as_str()), (Some("schedule"), Some(id)));
        assert_eq!(run["commit"], clone.git(&["rev-parse", "HEAD"]).trim());
    }
}

#[test]
fn what_is_due_runs_once_on_any_number_of_instances() {
    for database in databases() {
        let h = house(database);
        let clone = h.clone_here();
        clone.write(".github/workflows/ci.yml", CI);
        clone.push("ci");
        let path = format!("/projects/{}/schedules", h.project);
        h.ann.post(&path, &json!({"cron": "61 * * * *"})).problem(422, "validation_failed");
        h.ann.post(&path, &json!({"cron": "@daily", "timezone": "Mars/Base"})).problem(422, "validation_failed");
        h.ann.post(&path, &json!({"cron": "@daily", "missed": "twice"})).problem(422, "validation_failed");
        let body =
            json!({"cron": "@daily", "timezone": "europe/berlin", "workflow": "ci.yml", "variables": {"A": "1"}, "description": "d"});
        let made = h.ann.post(&path, &body).expect(201);
        assert_eq!(made.json["timezone"], "Europe/Berlin");
        let id = made.str("id");
        let others: Vec<Server> = if database == Database::Postgres {
            (0..2).map(|_| h.server.beside(&ServerOptions::default().set("runner", "false"))).collect()
        } else {
            Vec::new()
        };
        for round in 1..=3 {
            h.due();
            // somebody makes another one: all look again
            let other = h.ann.post(&path, &json!({"cron": "@yearly"})).expect(201).str("id");
            h.ann.delete(&format!("/schedules/{other}")).expect(204);
            eventually("a run", || h.runs("schedule").len() == round);
            let shown = h.ann.get(&format!("/schedules/{id}")).expect(200).json;
            assert!(shown["next_at"].as_str() > shown["last_at"].as_str(), "{shown}");
        }
        drop(others);
        std::thread::sleep(std::time::Duration::from_millis(500));
        assert_eq!(h.runs("schedule").len(), 3);
        eventually("the run is noted", || {
            h.ann.get(&format!("/schedules/{id}")).expect(200).json["last_run"] == h.runs("schedule")[0]["id"]
        });

        // what others may see and do
        let project = &h.project;
        let (rea, wri) = (h.server.user("rea"), h.server.user("wri"));
        h.ann.put(&format!("/projects/{project}/members/rea"), &json!({"role": "reporter"})).expect(204);
        h.ann.put(&format!("/projects/{project}/members/wri"), &json!({"role": "developer"})).expect(204);
        assert_eq!(rea.get(&format!("/schedules/{id}")).expect(200).json["variables"], Value::Null);
        rea.post(&format!("/schedules/{id}/play"), &json!({})).problem(403, "forbidden");
        h.server.user("out").get(&format!("/schedules/{id}")).problem(404, "not_found");
        // whoever changes it is its owner, and when they may not any more it is off
        let changed = wri.header("if-match", "\"1\"").patch(&format!("/schedules/{id}"), &json!({"cron": "@hourly"})).expect(200);
        assert_eq!(changed.json["owner"]["name"], "wri");
        h.ann.delete(&format!("/projects/{project}/members/wri")).expect(204);
        h.due();
        h.ann.post(&path, &json!({"cron": "@yearly"})).expect(201);
        eventually("it is off", || h.ann.get(&format!("/schedules/{id}")).expect(200).json["active"] == false);
        let off = h.ann.get(&format!("/schedules/{id}")).expect(200).json;
        assert!(off["reason"].as_str().unwrap().contains("may not start runs"), "{off}");
        assert_eq!((off["next_at"].clone(), h.runs("schedule").len()), (Value::Null, 3));
    }
}

#[test]
fn runs_follow_runs_and_events() {
    for database in databases() {
        let h = house(database);
        let clone = h.clone_here();
        clone.write(".github/workflows/follows.yml", FOLLOWS);
        clone.push("follower");
        eventually("the branch's own event", || h.runs("create").len() == 1);
        clone.write(".github/workflows/ci.yml", CI);
        clone.push("ci");
        eventually("a run that follows", || h.runs("workflow_run").len() == 1);
        let run = &h.runs("workflow_run")[0];
        let cause = h.runs("push")[0]["id"].clone();
        assert_eq!((&run["name"], &run["cause"]["run"], &run["cause"]["depth"]), (&json!("Follows"), &cause, &json!(1)));
        // an event of one's own
        let path = format!("/projects/{}/dispatch", h.project);
        h.ann.post(&path, &json!({"event_type": "something-else"})).problem(422, "unprocessable");
        h.ann.post(&path, &json!({"event_type": ""})).problem(422, "validation_failed");
        let made = h.ann.post(&path, &json!({"event_type": "release-made", "client_payload": {"v": 2}})).expect(201);
        assert_eq!(made.items()[0]["event"], "repository_dispatch");
        h.server.user("out").post(&path, &json!({"event_type": "release-made"})).problem(404, "not_found");
        // refs begin and end
        clone.git(&["tag", "v1"]);
        clone.git(&["push", "--quiet", "origin", "v1"]);
        eventually("the tag began", || h.runs("create").iter().any(|r| r["ref"] == "refs/tags/v1"));
        clone.git(&["push", "--quiet", "origin", ":v1"]);
        eventually("the tag ended", || h.runs("delete").iter().any(|r| r["ref"] == "refs/heads/main"));
    }
}

#[test]
fn a_chain_of_runs_has_an_end() {
    for database in databases() {
        let h = house(database);
        let clone = h.clone_here();
        let own = "name: Own\non: {push: {branches: [main]}, workflow_run: {workflows: [Own], types: [requested]}}\njobs:\n  a: {runs-on: none-such, steps: [{run: 'true'}]}\n";
        clone.write(".github/workflows/own.yml", own);
        clone.push("own");
        // the first push is before the file is known to follow
        std::thread::sleep(std::time::Duration::from_millis(800));
        clone.write("a", "a");
        clone.push("again");
        let depths = || h.runs("workflow_run").iter().filter_map(|r| r["cause"]["depth"].as_u64()).collect::<Vec<_>>();
        eventually("three follow", || depths().contains(&3));
        std::thread::sleep(std::time::Duration::from_millis(800));
        assert!(depths().iter().all(|d| *d <= 3), "{:?}", depths());
    }
}
