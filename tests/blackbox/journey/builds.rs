//! Builds that were asked for, carried out by the in-process runner.

use serde_json::json;
use testkit::{databases, eventually};

use super::{Person, text};

const WORKFLOW: &str = r#"name: Greet
on:
  workflow_dispatch:
    inputs:
      who: {type: string, default: world}
      loud: {type: boolean, default: false}
jobs:
  greet:
    runs-on: ubuntu-latest
    outputs: {said: '${{ steps.say.outputs.said }}'}
    steps:
      - uses: actions/checkout@v4
      - id: say
        run: |
          word="Hello, ${{ inputs.who }}"
          [ "${{ inputs.loud }}" = false ] || word=$(printf %s "$word" | tr a-z A-Z)
          echo "said=$word" >> "$GITHUB_OUTPUT"
          test -f .github/workflows/greet.yml
          echo "token is $TOKEN"
        env: {TOKEN: '${{ secrets.TOKEN }}'}
  after:
    needs: greet
    runs-on: ubuntu-latest
    steps: [{run: 'echo "heard: ${{ needs.greet.outputs.said }} at $GITHUB_REF_NAME"'}]
"#;

#[test]
fn a_build_with_inputs() {
    for database in databases() {
        let ann = Person::new(database, "process");
        ann.api.post("/projects/create", &json!({ "name": "greet" })).expect(201);
        ann.api.put("/projects/ann%2Fgreet/secrets/TOKEN", &json!({ "value": "tell nobody" })).expect(204);
        let clone = ann.clone_of("ann/greet");
        clone.write(".github/workflows/greet.yml", WORKFLOW);
        clone.push("first");
        clone.git(&["push", "--quiet", "origin", "HEAD:refs/heads/side"]);

        let asked = json!({ "workflow": "greet.yml", "ref": "side", "inputs": { "who": "Ada", "loud": true } });
        let built = ann.api.post("/projects/ann%2Fgreet/build", &asked).expect(201).json;
        assert_eq!((&built["runs"][0]["event"], &built["runs"][0]["actor"]["name"]), (&json!("workflow_dispatch"), &json!("ann")));
        let run = ann.ended(text(&built["runs"][0], "id"));
        ann.green(&run);
        assert_eq!(run["jobs"][0]["outputs"]["said"], "HELLO, ADA");
        let logs = ann.logs(&run);
        assert!(logs.contains("heard: HELLO, ADA at side") && logs.contains("token is ***") && !logs.contains("tell nobody"), "{logs}");

        // from the command line, with what is given by default
        let started = ["run", "start", "--project", "ann/greet", "--workflow", "Greet", "--input", "who=Bob", "--watch"];
        let watched = ann.cli.json(&started);
        assert_eq!((&watched["conclusion"], &watched["jobs"][0]["outputs"]["said"]), (&json!("success"), &json!("Hello, Bob")));
        // what the file does not know is refused before anything runs
        let refused = json!({ "workflow": "greet.yml", "inputs": { "whom": "x" } });
        ann.api.post("/projects/ann%2Fgreet/build", &refused).problem(422, "validation_failed");
        eventually("both are listed", || ann.cli.json(&["run", "list", "--project", "ann/greet"]).as_array().is_some_and(|r| r.len() == 2));
    }
}

/// A log that is larger than any answer the command line takes at once comes whole, stored and followed.
#[test]
fn a_large_log_comes_whole() {
    const WORKFLOW: &str = "on: push\njobs:\n  talk:\n    runs-on: ubuntu-latest\n    steps:\n      - run: |\n          \
        yes 'é, a line of a log like any other, again and again' | head -c 100000000\n          echo; echo the end\n";
    for database in databases() {
        let ann = Person::new(database, "process");
        ann.api.post("/projects/create", &json!({ "name": "talk" })).expect(201);
        let clone = ann.clone_of("ann/talk");
        clone.write(".github/workflows/talk.yml", WORKFLOW);
        let run = ann.run_of("ann/talk", &clone.push("first"));
        let id = text(&run, "id");
        let followed = ann.cli.run(&["run", "log", id, "--follow"]);
        ann.green(&ann.ended(id));
        let stored = ann.cli.run(&["run", "log", id]);
        assert!(stored.len() > 100_000_000 && stored.trim_end().ends_with("the end"), "{}", stored.len());
        assert_eq!(stored.len(), followed.len());
    }
}
