//! What people do with the steps of a job: see what each used.

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
