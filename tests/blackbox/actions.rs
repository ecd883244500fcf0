//! Actions of repositories and called workflows, from a push to the end, with the server's own runner.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Api, Clone, Server, databases, until};

const MAIN: &str = "name: CI
on: push
jobs:
  here:
    runs-on: ubuntu-latest
    outputs: {word: '${{ steps.own.outputs.word }}'}
    steps:
      - uses: actions/checkout@v4
      - id: own
        uses: ./.github/actions/own
        with: {from: ci}
      - id: far
        uses: ann/tools/greet@v1
        with: {the-name: World}
      - run: echo \"greeted ${{ steps.far.outputs.greeting }}\"
  call:
    needs: here
    uses: ./.github/workflows/called.yml
    with: {word: '${{ needs.here.outputs.word }}', loud: true}
    secrets: {key: '${{ secrets.KEY }}'}
  skipped:
    if: github.event_name == 'never'
    uses: ./.github/workflows/called.yml
    with: {word: x}
  far:
    uses: ann/tools/.github/workflows/shared.yml@main
    secrets: inherit
  last:
    needs: [call, skipped, far]
    if: always()
    runs-on: ubuntu-latest
    steps:
      - run: echo \"last ${{ needs.call.outputs.said }} ${{ needs.call.result }} ${{ needs.skipped.result }} ${{ needs.far.result }}\"
";

const OWN: &str = "name: Own
inputs: {from: {required: true}}
outputs: {word: {value: '${{ steps.w.outputs.word }}'}}
runs:
  using: composite
  steps:
    - id: w
      shell: bash
      run: |
        echo \"own action from ${{ inputs.from }}, file: $(cat \"$GITHUB_ACTION_PATH/data.txt\" 2>/dev/null || cat \"${{ github.action_path }}/data.txt\")\"
        echo word=apple >> \"$GITHUB_OUTPUT\"
";

const CALLED: &str = "name: Called
on:
  workflow_call:
    inputs: {word: {type: string, required: true}, loud: {type: boolean}}
    secrets: {key: {required: false}}
    outputs: {said: {value: '${{ jobs.second.outputs.said }}'}}
env: {OF_CALLED: 'yes'}
jobs:
  first:
    runs-on: ubuntu-latest
    steps: [{run: 'echo \"first ${{ inputs.word }} $OF_CALLED\"; test \"${{ inputs.loud == true }}\" = true; test \"${{ secrets.key }}\" = hush; test -z \"${{ secrets.KEY2 }}\"'}]
  second:
    needs: first
    runs-on: ubuntu-latest
    outputs: {said: '${{ steps.s.outputs.said }}'}
    steps: [{id: s, run: 'echo \"said=${{ inputs.word }}-${{ needs.first.result }}\" >> \"$GITHUB_OUTPUT\"'}]
";

const GREET: &str = "const fs = require('fs'), path = require('path');
const text = fs.readFileSync(path.join(__dirname, 'text'), 'utf8').trim();
fs.appendFileSync(process.env.GITHUB_OUTPUT, `greeting=${text} ${process.env['INPUT_THE-NAME']}\\n`);
";

const SHARED: &str = "on: workflow_call
jobs: {only: {runs-on: ubuntu-latest, steps: [{run: 'test \"${{ secrets.KEY }}\" = hush && echo shared ran'}]}}
";

fn clone_of(server: &Server, token: &str, project: &str) -> Clone {
    let name = project.rsplit('/').next().unwrap();
    let clone = Clone::of(server.url(), token, project, &server.scratch("clones").join(name));
    clone.git(&["checkout", "-q", "-B", "main"]);
    clone
}

fn ended(api: &Api, commit: &str) -> Value {
    let path = format!("/projects/ann%2Fweb/runs?commit={commit}");
    let run = until("a run", Duration::from_secs(60), || api.get(&path).expect(200).items().first().cloned());
    let path = format!("/runs/{}", run["id"].as_str().unwrap());
    until("its end", Duration::from_secs(120), || {
        let run = api.get(&path).expect(200).json;
        (run["state"] == "completed").then_some(run)
    })
}

/// Asking for submodules does no harm where there are none, and fails where there are.
#[test]
fn submodules_are_asked_for() {
    for database in databases() {
        let server = Server::start(database);
        let token = server.user_token("ann");
        let ann = server.anonymous().token(&token);
        ann.post("/projects/create", &json!({ "name": "web" })).expect(201);
        let web = clone_of(&server, &token, "ann/web");
        web.write(
            ".github/workflows/ci.yml",
            "on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{uses: actions/checkout@v4, with: {submodules: recursive}}]}}\n",
        );
        let ended_as = |commit: &str| ended(&ann, commit)["conclusion"].as_str().unwrap().to_owned();
        let plain = web.push("none");
        assert_eq!(ended_as(&plain), "success");
        web.write(".gitmodules", "[submodule \"a\"]\n\tpath = a\n\turl = ../a.git\n");
        let with = web.push("some");
        assert_eq!(ended_as(&with), "failure");
    }
}

#[test]
fn own_and_shared_actions_and_workflows_run() {
    for database in databases() {
        let server = Server::start(database);
        let token = server.user_token("ann");
        let ann = server.anonymous().token(&token);
        ann.post("/projects/create", &json!({ "name": "web" })).expect(201);
        ann.post("/projects/create", &json!({ "name": "tools", "visibility": "internal" })).expect(201);
        ann.post("/projects/create", &json!({ "name": "closed" })).expect(201);
        ann.put("/projects/ann%2Fweb/secrets/KEY", &json!({ "value": "hush" })).expect(204);
        let tools = clone_of(&server, &token, "ann/tools");
        tools.write("greet/action.yml", "inputs: {the-name: {}}\nruns: {using: node20, main: index.js}\n");
        tools.write("greet/index.js", GREET);
        tools.write("greet/text", "Hello\n");
        tools.write(".github/workflows/shared.yml", SHARED);
        tools.push("tools");
        tools.git(&["tag", "v1"]);
        tools.git(&["push", "--quiet", "origin", "v1"]);
        // what the tag is now counts, not what becomes of the branch
        tools.write("greet/text", "Changed\n");
        tools.push("changed");

        let web = clone_of(&server, &token, "ann/web");
        web.write(".github/workflows/ci.yml", MAIN);
        web.write(".github/workflows/called.yml", CALLED);
        web.write(".github/actions/own/action.yml", OWN);
        web.write(".github/actions/own/data.txt", "apple data");
        let run = ended(&ann, &web.push("ci"));
        let jobs = run["jobs"].as_array().unwrap();
        let log = |name: &str| {
            let job = jobs.iter().find(|j| j["name"] == name).unwrap_or_else(|| panic!("no job {name} in {run:#}"));
            ann.get(&format!("/jobs/{}/log", job["id"].as_str().unwrap())).text()
        };
        let all: String = jobs.iter().map(|j| format!("== {} {} {}\n", j["name"], j["conclusion"], j["reason"])).collect();
        assert_eq!(run["conclusion"], "success", "{all}\n{}\n{}", log("here"), log("call / first"));
        assert!(log("here").contains("own action from ci, file: apple data"), "{}", log("here"));
        assert!(log("here").contains("greeted Hello World"), "{}", log("here"));
        assert!(log("call / first").contains("first apple yes"));
        assert!(log("far / only").contains("shared ran"));
        assert!(log("last").contains("last apple-success success skipped success"), "{}", log("last"));
        let state = |name: &str| jobs.iter().find(|j| j["name"] == name).map(|j| j["conclusion"].clone());
        assert_eq!(state("skipped / first"), Some(json!("skipped")));

        // an action of a private project is not told apart from one that is not there
        web.write(".github/workflows/ci.yml", "on: push\njobs: {a: {runs-on: x, steps: [{uses: ann/closed@v1}]}}\n");
        let run = ended(&ann, &web.push("closed"));
        assert_eq!(run["conclusion"], "failure");
        let said = run["diagnostics"].to_string();
        assert!(said.contains("unknown_action") && said.contains("no internal or public project"), "{said}");
    }
}
