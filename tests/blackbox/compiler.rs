//! The compiler of pipeline files over the API, and tests of pipelines when they are pushed.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Api, Clone, Server, databases, until};

const WORKFLOW: &str = "on: {push: {branches: [main], paths: ['src/**']}, workflow_dispatch: {inputs: {who: {default: all}}}}
jobs:
  test:
    runs-on: ubuntu-latest
    strategy: {matrix: {a: [1, 2]}}
    steps: [{run: 'true'}]
  deploy: {runs-on: ubuntu-latest, needs: test, if: github.event_name == 'push', steps: [{run: 'true'}]}
";

fn codes(answer: &Value, list: &str) -> Vec<String> {
    let items = answer[list].as_array().unwrap_or_else(|| panic!("no {list}: {answer}"));
    items.iter().map(|d| format!("{}:{}:{}", d["file"].as_str().unwrap(), d["line"], d["code"].as_str().unwrap())).collect()
}

#[test]
fn files_are_checked_planned_and_converted() {
    for database in databases() {
        let s = Server::start(database);
        let ann = s.user("ann");
        let lint = |body: Value| ann.post("/pipeline/lint", &body).expect(200).json;
        let plan = |body: Value| ann.post("/pipeline/plan", &body).expect(200).json;

        let good = lint(json!({"path": ".github/workflows/ci.yml", "text": WORKFLOW}));
        assert_eq!(good, json!({"diagnostics": [], "dialect": "github"}));
        let bad = lint(json!({"files": [{"path": ".gitlab-ci.yml", "text": "a:\n  script: x\n  needs: [b]\n"}]}));
        assert_eq!(bad["dialect"], "gitlab");
        assert!(codes(&bad, "diagnostics")[0].starts_with(".gitlab-ci.yml:3:"), "{bad}");
        // the text says nothing of its language, the request does
        assert_eq!(lint(json!({"path": "x", "text": "pipeline { agent any\n stages { } }", "dialect": "jenkins"}))["dialect"], "jenkins");

        let of = |more: Value| {
            let mut body = json!({"path": ".github/workflows/ci.yml", "text": WORKFLOW});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            plan(body)
        };
        let whole = of(json!({"changed": ["src/a.rs"]}));
        assert_eq!((&whole["starts"], whole["jobs"].as_array().unwrap().len()), (&json!(true), 2), "{whole}");
        let quiet = of(json!({"changed": ["README.md"]}));
        assert_eq!(quiet["starts"], false, "{quiet}");
        let by_hand = of(json!({"event": "workflow_dispatch"}));
        assert_eq!(by_hand["jobs"].as_array().unwrap().len(), 1, "{by_hand}");
        assert!(by_hand["decisions"].as_array().unwrap().iter().any(|d| d["job"] == "deploy" && d["included"] == false));
        let included = plan(json!({"files": [
            {"path": ".gitlab-ci.yml", "text": "include: {local: /ci/more.yml}\nb: {script: x, rules: [{if: '$MODE == \"full\"'}]}\n"},
            {"path": "ci/more.yml", "text": "a: {script: x}\n"}], "variables": {"MODE": "full"}, "ref": "topic"}));
        assert_eq!(included["jobs"].as_array().unwrap().len(), 2, "{included}");

        let eval =
            |expression: &str| ann.post("/pipeline/eval", &json!({"expression": expression, "contexts": {"a": {"b": 3}}})).expect(200).json;
        assert_eq!(eval("a.b"), json!({"kind": "Number", "value": 3}));
        assert_eq!(eval("a.*["), json!({"err": {"kind": "parsing", "value": eval("a.*[")["err"]["value"]}}));
        assert_eq!(eval("nothing.b")["err"]["kind"], "parsing");
        let model = ann.post("/pipeline/model", &json!({"text": "pipeline { agent any\n stages { stage('A') { steps { echo 'x' } } } }"}));
        assert_eq!(model.expect(200).json["pipeline"]["stages"][0]["name"], "A");
        let broken = ann.post("/pipeline/model", &json!({"text": "pipeline {"})).expect(200).json;
        assert!(!codes(&broken, "diagnostics").is_empty());

        let converted = |to: &str| {
            ann.post("/pipeline/convert", &json!({"path": ".github/workflows/ci.yml", "text": WORKFLOW, "to": to})).expect(200).json
        };
        for (to, path) in [("gitlab", ".gitlab-ci.yml"), ("jenkins", "Jenkinsfile")] {
            let made = converted(to);
            assert_eq!(made["files"][0]["path"], path);
            assert!(
                made["differences"].as_array().unwrap().iter().all(|d| d["file"] == ".github/workflows/ci.yml" && d["code"].is_string())
            );
            let again = lint(json!({"path": path, "text": made["files"][0]["text"]}));
            assert!(again["diagnostics"].as_array().unwrap().iter().all(|d| d["severity"] != "error"), "{again}");
        }
        let broken = ann.post("/pipeline/convert", &json!({"path": "ci.yml", "text": "jobs: 3", "to": "gitlab"})).expect(200).json;
        assert_eq!(broken["files"], json!([]));
        assert!(!codes(&broken, "diagnostics").is_empty());
        refused(&s, &ann);
    }
}

/// What is not for nobody, too large, or makes no sense.
fn refused(s: &Server, ann: &Api) {
    for (path, body) in [
        ("/pipeline/lint", json!({"path": "a.yml", "text": ""})),
        ("/pipeline/plan", json!({"path": "a.yml", "text": ""})),
        ("/pipeline/eval", json!({"expression": "1"})),
        ("/pipeline/model", json!({"text": ""})),
        ("/pipeline/convert", json!({"path": "a.yml", "text": "", "to": "gitlab"})),
    ] {
        s.anonymous().post(path, &body).problem(401, "unauthenticated");
    }
    ann.post("/pipeline/lint", &json!({})).problem(422, "unprocessable");
    ann.post("/pipeline/lint", &json!({"path": "a.yml"})).problem(422, "unprocessable");
    let many: Vec<Value> = (0..101).map(|n| json!({"path": format!("{n}.yml"), "text": ""})).collect();
    ann.post("/pipeline/lint", &json!({"files": many})).problem(413, "too_large");
    ann.post("/pipeline/lint", &json!({"path": "a.yml", "text": "x".repeat(1 << 20)})).problem(413, "too_large");
    let changed = vec!["a"; 3001];
    ann.post("/pipeline/plan", &json!({"path": "a.yml", "text": WORKFLOW, "changed": changed})).problem(422, "validation_failed");
    // jobs that are many when they are written out
    let jobs: String = (0..200).map(|n| format!("  j{n}: *j\n")).collect();
    let cell = (0..16).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    let text = format!(
        "on: push\njobs:\n  a: &j {{runs-on: x, strategy: {{matrix: {{a: [{cell}], b: [{cell}]}}}}, env: {{E: {}}}, steps: [{{run: x}}]}}\n{jobs}",
        "x".repeat(100_000)
    );
    ann.post("/pipeline/plan", &json!({"path": "a.yml", "text": text})).problem(422, "unprocessable");
    // nothing that people send makes it slow or larger than it may be
    let bomb: String = (1..9).map(|n| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(", "))).collect();
    let hostile = [
        format!("a0: &a0 [x]\n{bomb}"),
        "[".repeat(100_000),
        "\u{0}\u{1}\u{2}".into(),
        "- ".repeat(50_000),
        format!("a: {{script: x, rules: [{{if: '{}'}}]}}", "(".repeat(50_000)),
        format!("pipeline {{ agent any; stages {{ stage('a') {{ steps {{ script {{ {} }} }} }} }} }}", "(".repeat(50_000)),
    ];
    for text in hostile {
        for path in ["a.yml", ".gitlab-ci.yml", "Jenkinsfile"] {
            let answer = ann.post("/pipeline/plan", &json!({"path": path, "text": text})).expect(200).json;
            assert!(answer["diagnostics"].as_array().unwrap().len() <= 200);
            ann.post("/pipeline/convert", &json!({"path": path, "text": text, "to": "github"})).expect(200);
        }
        ann.post("/pipeline/model", &json!({"text": text})).expect(200);
        ann.post("/pipeline/eval", &json!({"expression": text})).expect(200);
    }
    let large = json!({"expression": format!("format('{}', a)", "{0}".repeat(5000)), "contexts": {"a": "x".repeat(100_000)}});
    assert_eq!(ann.post("/pipeline/eval", &large).expect(200).json["err"]["kind"], "evaluation");
}

fn project(s: &Server, token: &str, name: &str) -> (Api, Clone) {
    let ann = s.anonymous().token(token);
    ann.post("/projects/create", &json!({ "name": name })).expect(201);
    let clone = Clone::of(s.url(), token, &format!("ann/{name}"), &s.scratch(name));
    clone.git(&["checkout", "-q", "-B", "main"]);
    (ann, clone)
}

#[test]
fn files_of_a_commit_are_beside_the_given_ones() {
    for database in databases() {
        let s = Server::start(database);
        let token = s.user_token("ann");
        let (ann, clone) = project(&s, &token, "web");
        let lint = |body: Value| ann.post("/projects/ann%2Fweb/pipeline/lint", &body);
        let given = json!({"path": ".gitlab-ci.yml", "text": "include: {local: /ci/more.yml}\nb: {script: x, needs: [a]}\n"});
        let with = |key: &str, value: &str| {
            let mut body = given.clone();
            body[key] = json!(value);
            body
        };
        // before the first commit only what is given is there; a ref is not
        let answer = lint(given.clone()).expect(200).json;
        assert!(codes(&answer, "diagnostics")[0].starts_with(".gitlab-ci.yml:1:"), "{answer}");
        lint(with("ref", "main")).problem(404, "not_found");
        clone.write("ci/more.yml", "a: {script: y}\n");
        clone.write(".github/workflows/ci.yml", "on: push\njobs: {call: {uses: ./.github/workflows/called.yml}}\n");
        clone.write(".github/workflows/called.yml", "on: workflow_call\njobs: {inner: {runs-on: x, steps: [{run: a}]}}\n");
        clone.push("files");
        assert_eq!(lint(given.clone()).expect(200).json["diagnostics"], json!([]));
        assert_eq!(lint(with("ref", "main")).expect(200).json["diagnostics"], json!([]));
        lint(with("ref", "topic")).problem(404, "not_found");
        lint(with("ref", "--output=x")).problem(404, "not_found");
        let plan = |body: Value| ann.post("/projects/ann%2Fweb/pipeline/plan", &body).expect(200).json;
        let called = plan(json!({"path": ".github/workflows/ci.yml"}));
        assert!(called["jobs"].as_array().unwrap().iter().any(|j| j["key"].as_str().unwrap().contains("inner")), "{called}");
        // what is given hides what is there
        let shadowed = plan(json!({"path": ".gitlab-ci.yml", "files": [given, {"path": "ci/more.yml", "text": "other: {script: z}\n"}]}));
        assert!(!codes(&shadowed, "diagnostics").is_empty(), "{shadowed}");
        ann.post("/projects/ann%2Fweb/pipeline/lint", &json!({"path": "../../etc/passwd"})).problem(422, "unprocessable");
        // a private project is not there for others
        let bob = s.user("bob");
        bob.post("/projects/ann%2Fweb/pipeline/lint", &given).problem(404, "not_found");
        s.anonymous().post("/projects/ann%2Fweb/pipeline/plan", &given).problem(404, "not_found");
    }
}

#[test]
fn what_is_expected_of_pipelines_is_told_when_they_are_pushed() {
    for database in databases() {
        let s = Server::start(database);
        let token = s.user_token("ann");
        let (ann, clone) = project(&s, &token, "web");
        clone.write(".github/workflows/ci.yml", "on: push\njobs: {a: {runs-on: x, steps: [{run: a}]}}\n");
        clone.write(".github/workflows/nightly.yml", "on: {schedule: [{cron: '0 3 * * *'}]}\njobs: {n: {runs-on: x, steps: [{run: a}]}}\n");
        clone.write(
            "pipeline.tests.yml",
            "tests:
  - {name: good, workflow: .github/workflows/ci.yml, expect: {jobs: [a]}}
  - {name: bad, workflow: .github/workflows/ci.yml, expect: {present: b}}
  - {name: night, workflow: .github/workflows/nightly.yml, event: schedule, expect: {absent: n}}
  - {workflow: .github/workflows/ci.yml, expected: 3}
",
        );
        let commit = clone.push("tests");
        let path = format!("/projects/ann%2Fweb/runs?commit={commit}");
        let run = until("a run", Duration::from_secs(60), || ann.get(&path).expect(200).items().first().cloned());
        let run = ann.get(&format!("/runs/{}", run["id"].as_str().unwrap())).expect(200).json;
        let told: Vec<&Value> = run["diagnostics"].as_array().unwrap().iter().filter(|d| d["code"] == "pipeline_test").collect();
        let mut at: Vec<(i64, &str)> = told.iter().map(|d| (d["line"].as_i64().unwrap(), d["message"].as_str().unwrap())).collect();
        at.sort_unstable();
        assert!(told.iter().all(|d| d["file"] == "pipeline.tests.yml" && d["severity"] == "warning"), "{told:?}");
        assert_eq!(at.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 4, 5, 5], "{at:?}");
        assert!(at[0].1.starts_with("the test `bad` failed: `b` is not there"), "{at:?}");
        assert!(at[1].1.starts_with("the test `night` failed: `n` is there"), "{at:?}");
        // a detected build is written in any language
        let (ann, clone) = project(&s, &token, "detected");
        clone.write("go.mod", "module x\n\ngo 1.22\n");
        clone.write("main.go", "package main\n\nfunc main() {}\n");
        clone.push("go");
        for (dialect, file) in [("github", ".github/workflows/ci.yml"), ("gitlab", ".gitlab-ci.yml"), ("jenkins", "Jenkinsfile")] {
            let made = ann.get(&format!("/projects/ann%2Fdetected/plan?dialect={dialect}")).expect(200).json;
            assert_eq!(made["files"][0]["path"], file, "{made}");
        }
        ann.get("/projects/ann%2Fweb/plan?workflow=ci.yml&dialect=gitlab").problem(422, "unprocessable");
    }
}
