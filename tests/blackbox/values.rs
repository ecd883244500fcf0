//! Secrets and variables of groups, projects and environments: which of them reaches which job, on SQLite and PostgreSQL.

use serde_json::{Value, json};
use testkit::{Api, Clone, Database, Server, databases, eventually};

struct House {
    server: Server,
    ann: Api,
    project: String,
    production: String,
    clone: Clone,
}

/// A project two groups deep, with an environment.
fn house(database: Database) -> House {
    let server = Server::start(database);
    let token = server.user_token("ann");
    let ann = server.anonymous().token(&token);
    ann.post("/groups", &json!({"path": "acme"})).expect(201);
    ann.post("/groups", &json!({"path": "acme/team"})).expect(201);
    let project = ann.post("/projects/create", &json!({"name": "web", "namespace": "acme/team"})).expect(201).str("id");
    let made = ann.post(&format!("/projects/{project}/environments"), &json!({"name": "production", "target": "process"}));
    let production = made.expect(201).str("id");
    let clone = Clone::of(server.url(), &token, "acme/team/web", &server.scratch("clones").join("web"));
    clone.git(&["checkout", "-q", "-B", "main"]);
    House { server, ann, project, production, clone }
}

impl House {
    fn set(&self, path: &str, body: &Value) {
        self.ann.put(path, body).expect(204);
    }

    /// The run of a commit that is done, and the log of its job of this name.
    fn log(&self, commit: &str, job: &str) -> String {
        let path = format!("/projects/{}/runs?limit=100", self.project);
        let find = || self.ann.get(&path).expect(200).items().into_iter().find(|r| r["commit"] == commit && r["state"] == "completed");
        eventually("the run", || find().is_some());
        let run = find().unwrap();
        assert_eq!(run["conclusion"], "success", "{run}");
        let run = self.ann.get(&format!("/runs/{}", run["id"].as_str().unwrap())).expect(200).json;
        let job = run["jobs"].as_array().unwrap().iter().find(|j| j["name"] == job).unwrap();
        self.ann.get(&format!("/jobs/{}/log", job["id"].as_str().unwrap())).expect(200).text()
    }
}

const WORKFLOW: &str = "on: push
jobs:
  plain:
    runs-on: ubuntu-latest
    steps:
      - run: |
          echo \"vars ${{ vars.A }}/${{ vars.B }}/${{ vars.C }}/${{ vars.GUARDED }}.\"
          echo \"secrets ${#FAR}-${#NEAR}-${#OWN}-${#GUARDED}\"
          printf '%s' \"$NEAR\" | base64
        env: {FAR: '${{ secrets.FAR }}', NEAR: '${{ secrets.NEAR }}', OWN: '${{ secrets.OWN }}', GUARDED: '${{ secrets.GUARDED }}'}
  there:
    runs-on: ubuntu-latest
    environment: production
    steps:
      - run: |
          echo \"vars ${{ vars.A }}/${{ vars.B }}/${{ vars.C }}/${{ vars.GUARDED }}.\"
          echo \"secrets ${#FAR}-${#NEAR}-${#OWN}-${#GUARDED}\"
          echo \"$OWN\"
        env: {FAR: '${{ secrets.FAR }}', NEAR: '${{ secrets.NEAR }}', OWN: '${{ secrets.OWN }}', GUARDED: '${{ secrets.GUARDED }}'}
";

#[test]
fn the_nearest_value_reaches_the_job_that_may_have_it() {
    for database in databases() {
        let h = house(database);
        let (project, environment) = (format!("/projects/{}", h.project), format!("/environments/{}", h.production));
        for (name, length) in [("FAR", 11), ("NEAR", 12)] {
            h.set(&format!("/groups/acme/secrets/{name}"), &json!({"value": "f".repeat(length)}));
        }
        h.set("/groups/acme%2Fteam/secrets/NEAR", &json!({"value": "n".repeat(13)}));
        h.set("/groups/acme/variables/A", &json!({"value": "far"}));
        h.set("/groups/acme/variables/B", &json!({"value": "far"}));
        h.set("/groups/acme%2Fteam/variables/B", &json!({"value": "near"}));
        h.set(&format!("{project}/variables/C"), &json!({"value": "project"}));
        h.set(&format!("{project}/variables/GUARDED"), &json!({"value": "guarded", "protected": true}));
        h.set(&format!("{project}/secrets/GUARDED"), &json!({"value": "g".repeat(14), "protected": true}));
        h.set(&format!("{environment}/secrets/OWN"), &json!({"value": "environment-only"}));
        h.set(&format!("{environment}/secrets/FAR"), &json!({"value": "e".repeat(17)}));
        h.set(&format!("{environment}/variables/C"), &json!({"value": "there"}));

        h.clone.write(".github/workflows/ci.yml", WORKFLOW);
        let commit = h.clone.push("values");
        let log = h.log(&commit, "plain");
        assert!(log.contains("vars far/near/project/guarded.") && log.contains("secrets 11-13-0-14"), "{log}");
        // hidden in other encodings, too
        assert!(!log.contains("bm5ubm5u"), "{log}");
        let log = h.log(&commit, "there");
        assert!(log.contains("vars far/near/there/guarded.") && log.contains("secrets 17-13-16-14"), "{log}");
        assert!(!log.contains("environment-only") && log.contains("***"), "{log}");

        // what is protected stays with the default branch, and with tags of its history
        h.clone.git(&["checkout", "-q", "-b", "side"]);
        h.clone.write("x", "1");
        h.clone.git(&["add", "-A"]);
        h.clone.git(&["commit", "-q", "-m", "side"]);
        h.clone.git(&["tag", "loose"]);
        let side = h.clone.git(&["rev-parse", "HEAD"]).trim().to_owned();
        h.clone.git(&["push", "-q", "origin", "side"]);
        let log = h.log(&side, "plain");
        assert!(log.contains("vars far/near/project/.") && log.contains("secrets 11-13-0-0"), "{log}");
        let run = h.ann.get(&format!("{project}/runs?limit=100")).expect(200).items();
        let trust = |commit: &str| run.iter().find(|r| r["commit"] == commit).map(|r| r["trust"].clone());
        assert_eq!((trust(&commit), trust(&side)), (Some(json!("protected")), Some(json!("member"))));
        // a commit that is built by its id has the default branch's name and not its trust
        let built = h.ann.post(&format!("{project}/build"), &json!({"ref": side})).expect(201);
        let run = built.json["runs"][0]["id"].as_str().unwrap().to_owned();
        assert_eq!(h.ann.get(&format!("/runs/{run}")).expect(200).json["trust"], "member");
        h.clone.git(&["tag", "v1", "main"]);
        h.clone.git(&["push", "-q", "origin", "v1", "loose"]);
        let of = |name: &str| {
            let find = || h.ann.get(&format!("{project}/runs?limit=100")).expect(200).items().into_iter().find(|r| r["ref"] == name);
            eventually(name, || find().is_some());
            find().unwrap()["trust"].clone()
        };
        assert_eq!((of("refs/tags/v1"), of("refs/tags/loose")), (json!("protected"), json!("member")));
    }
}

const PIPELINE: &str = "plain:
  script: ['echo \"$A/$C/${#OWN}/$CI_COMMIT_REF_PROTECTED.\"']
there:
  environment: production
  variables: {C: file, D: \"$C!\"}
  script: ['echo \"$A/$C/${#OWN}/$D\"']
";

#[test]
fn a_pipeline_of_gitlab_has_them_as_variables() {
    for database in databases() {
        let h = house(database);
        h.set("/groups/acme/variables/A", &json!({"value": "far"}));
        h.set(&format!("/projects/{}/variables/C", h.project), &json!({"value": "project"}));
        h.set(&format!("/environments/{}/variables/C", h.production), &json!({"value": "there"}));
        h.set(&format!("/environments/{}/secrets/OWN", h.production), &json!({"value": "0123456789"}));
        h.clone.write(".gitlab-ci.yml", PIPELINE);
        let commit = h.clone.push("values");
        let log = h.log(&commit, "plain");
        assert!(log.contains("far/project/0/true."), "{log}");
        let log = h.log(&commit, "there");
        assert!(log.contains("far/there/10/there!"), "{log}");
    }
}

#[test]
fn who_may_set_them() {
    for database in databases() {
        let h = house(database);
        let (dev, out) = (h.server.user("dev"), h.server.user("out"));
        h.ann.put("/groups/acme/members/dev", &json!({"role": "developer"})).expect(204);
        let environment = format!("/environments/{}", h.production);
        for path in ["/groups/acme/secrets/X", &format!("{environment}/variables/X")] {
            dev.put(path, &json!({"value": "1"})).problem(403, "forbidden");
            out.put(path, &json!({"value": "1"})).problem(404, "not_found");
            assert!(matches!(h.server.anonymous().put(path, &json!({"value": "1"})).status, 401 | 404));
        }
        dev.get("/groups/acme/secrets").problem(403, "forbidden");
        // a token of one project carries nothing of the group above it
        let body = json!({"name": "t", "permissions": ["project:read", "secret:read", "secret:write"], "projects": [h.project]});
        let narrow = h.server.anonymous().token(&h.ann.post("/tokens", &body).expect(201).str("secret"));
        narrow.get(&format!("{environment}/secrets")).expect(200);
        narrow.put("/groups/acme/secrets/X", &json!({"value": "1"})).problem(404, "not_found");
        // and a token that may not write secrets sets none
        let body = json!({"name": "r", "permissions": ["project:read", "account:write", "secret:read"]});
        let reads = h.server.anonymous().token(&h.ann.post("/tokens", &body).expect(201).str("secret"));
        reads.put("/groups/acme/secrets/X", &json!({"value": "1"})).problem(403, "forbidden");

        h.set("/groups/acme/secrets/x_1", &json!({"value": "hush", "protected": true}));
        // to set it again leaves it protected
        h.set("/groups/acme/secrets/X_1", &json!({"value": "hushed"}));
        let listed = h.ann.get("/groups/acme/secrets").expect(200).items();
        assert_eq!((listed[0]["name"].as_str(), listed[0]["protected"].as_bool()), (Some("X_1"), Some(true)));
        assert!(!listed[0].to_string().contains("hush"));
        h.ann.put("/groups/acme/secrets/1", &json!({"value": "x"})).problem(422, "validation_failed");
        h.ann.put("/groups/acme/variables/DEVMENTOR_X", &json!({"value": "x"})).problem(422, "validation_failed");
        h.ann.delete("/groups/acme/secrets/X_1").expect(204);
        h.ann.delete("/groups/acme/secrets/X_1").problem(404, "not_found");
        // what an environment had is gone with it
        h.set(&format!("{environment}/variables/OLD"), &json!({"value": "1"}));
        h.ann.delete(&environment).expect(204);
        h.ann.get(&format!("{environment}/variables")).problem(404, "not_found");
        let body = json!({"name": "production", "target": "process"});
        let again = h.ann.post(&format!("/projects/{}/environments", h.project), &body).expect(201).str("id");
        assert!(h.ann.get(&format!("/environments/{again}/variables")).expect(200).items().is_empty());
    }
}
