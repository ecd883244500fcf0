//! A pipeline in the language of GitLab, from a real push to its results: stages, needs, rules, caches, artifacts,
//! reports, variables between jobs, retries, failures that are allowed, and a job that a person starts.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{databases, until};

use super::{Person, text};

/// The template's own work, as a team that comes from GitLab would write it.
const PIPELINE: &str = r#"
stages: [test, package, deploy]

workflow:
  name: 'Python on $CI_COMMIT_BRANCH'
  rules:
    - if: $CI_COMMIT_TAG
      when: never
    - when: always

variables:
  PIP_CACHE_DIR: $CI_PROJECT_DIR/.cache/pip
  WHO: {value: nobody, description: Who is greeted}

include:
  - local: /ci/*.gitlab.yml

test:
  extends: .venv
  script:
    - .venv/bin/pytest --junitxml=reports/junit.xml --cov --cov-report=term --cov-report=xml:reports/coverage.xml
    - echo "VERSION=1.2.$CI_PIPELINE_IID" > build.env
    - mkdir -p bin && printf '#!/bin/sh\necho ran\n' > bin/tool && chmod +x bin/tool
  after_script:
    - echo "after the script it is $CI_JOB_STATUS"
    - exit 9
  artifacts:
    when: always
    paths: [reports/, bin]
    reports:
      junit: reports/junit.xml
      dotenv: build.env
      coverage_report: {coverage_format: cobertura, path: reports/coverage.xml}

# its failure is one that is allowed
lint:
  stage: test
  script: ['echo "linting $CI_COMMIT_SHORT_SHA for $WHO"', 'exit 3']
  allow_failure: {exit_codes: [3]}

unsteady:
  stage: test
  needs: []
  script: exit 1
  retry: 1
  allow_failure: true

docs:
  stage: test
  script: echo documents
  rules:
    - changes: [docs/**/*]

package:
  stage: package
  needs: [test]
  script:
    - test "$VERSION" = "1.2.$CI_PIPELINE_IID"
    - test -s reports/junit.xml
    - bin/tool
    - sh ci/image-root.sh && tar -czf image.tar.gz image
  artifacts: {paths: [image.tar.gz]}

check:
  stage: package
  parallel:
    matrix: [{KIND: [a, b]}]
  dependencies: []
  script: test ! -e reports && echo "kind $KIND of $CI_NODE_TOTAL"

rescue:
  stage: deploy
  script: echo never
  when: on_failure

deploy:
  stage: deploy
  needs: [package, test]
  script: ls -l image.tar.gz && echo "deployed $VERSION"
  environment: production
  rules:
    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH
      when: manual
      allow_failure: true
"#;

const INCLUDED: &str = ".venv:
  cache:
    key: {files: [requirements-dev.txt], prefix: pip}
    paths: [.cache/pip]
  before_script:
    # pip itself keeps nothing of an index that forbids it
    - mkdir -p .cache/pip && touch .cache/pip/used
    - python3 -m venv .venv
    - .venv/bin/pip install -q --require-hashes -r requirements-dev.txt
";

fn job<'r>(run: &'r Value, name: &str) -> &'r Value {
    run["jobs"].as_array().unwrap().iter().find(|j| j["name"] == name).unwrap_or_else(|| panic!("no job {name} in {run:#}"))
}

#[test]
fn the_python_template_in_the_language_of_gitlab() {
    for database in databases() {
        let ann = Person::new(database, "process");
        ann.api.post("/projects/create", &json!({ "name": "app", "template": "python", "parameters": { "greeting": "Moin" } })).expect(201);
        let clone = ann.clone_of("ann/app");
        clone.git(&["pull", "--quiet", "origin", "main"]);
        // the template's own workflow is not what is tested here
        for run in ann.api.get("/projects/ann%2Fapp/runs").expect(200).items() {
            ann.api.post(&format!("/runs/{}/cancel", text(&run, "id")), &json!({}));
        }
        clone.git(&["rm", "-q", "-r", ".github"]);
        clone.write(".gitlab-ci.yml", PIPELINE);
        clone.write("ci/venv.gitlab.yml", INCLUDED);
        let commit = clone.push("GitLab CI");

        let shown = ann.api.get("/projects/ann%2Fapp/workflows").expect(200).items();
        assert_eq!((&shown[0]["dialect"], &shown[0]["path"]), (&json!("gitlab_ci"), &json!(".gitlab-ci.yml")), "{shown:#?}");
        let run = ann.run_of("ann/app", &commit);
        let run = ann.ended(text(&run, "id"));
        let logs = ann.logs(&run);
        ann.green(&run);
        assert_eq!((text(&run, "title"), text(&run, "dialect")), ("Python on main", "gitlab_ci"));
        let state = |name: &str| job(&run, name)["conclusion"].clone();
        let names: Vec<&str> = run["jobs"].as_array().unwrap().iter().map(|j| text(j, "name")).collect();
        assert_eq!(names, ["test", "lint", "unsteady", "package", "check: [a]", "check: [b]", "rescue", "deploy"], "docs did not change");
        assert_eq!(
            (state("test"), state("package"), state("rescue"), state("deploy")),
            (json!("success"), json!("success"), json!("skipped"), json!("skipped"))
        );
        assert_eq!((state("lint"), job(&run, "lint")["allowed_to_fail"].clone()), (json!("failure"), json!(true)), "{logs}");
        assert_eq!((state("unsteady"), job(&run, "unsteady")["attempt"].clone()), (json!("failure"), json!(2)));
        assert_eq!(job(&run, "package")["stage"], "package");
        for said in ["after the script it is success", "for nobody", "\nran\n", "kind b of 2", "Cache saved with key: pip-"] {
            assert!(logs.contains(said), "{said}: {logs}");
        }
        let id = text(&run, "id");
        let totals = ann.api.get(&format!("/runs/{id}/tests")).expect(200).json["totals"].clone();
        assert!(totals["passed"].as_u64() > Some(2) && totals["passed"] == totals["tests"], "{totals}");
        assert!(ann.api.get(&format!("/runs/{id}/coverage")).expect(200).json["line_rate"].as_f64() > Some(0.5));
        let artifacts: Vec<String> =
            ann.api.get(&format!("/runs/{id}/artifacts")).expect(200).items().iter().map(|a| text(a, "name").to_owned()).collect();
        assert!(artifacts.contains(&"test".into()) && artifacts.contains(&"package".into()), "{artifacts:?}");

        // a person starts what waited for one; a second time there is nothing to start
        let waiting = job(&run, "deploy");
        assert_eq!(waiting["playable"], true, "{waiting:#}");
        let bob = ann.server.user("bob");
        bob.post(&format!("/jobs/{}/play", text(waiting, "id")), &json!({})).problem(404, "not_found");
        ann.cli.run(&["run", "play", text(waiting, "id")]);
        ann.api.post(&format!("/jobs/{}/play", text(waiting, "id")), &json!({})).problem(409, "conflict");
        let run = until("the deployment is over", Duration::from_secs(60), || {
            let run = ann.api.get(&format!("/runs/{id}")).expect(200).json;
            (run["state"] == "completed" && job(&run, "deploy")["conclusion"] == "success").then_some(run)
        });
        assert!(ann.logs(&run).contains("deployed 1.2."), "{}", ann.logs(&run));

        // by hand with a variable; the cache is found again; only what changed decides about `docs`
        clone.write("docs/a.md", "# A\n");
        clone.push("documents [skip ci]");
        let built = ann.api.post("/projects/ann%2Fapp/build", &json!({ "inputs": { "WHO": "Ada" } })).expect(201).json;
        let run = ann.ended(text(&built["runs"][0], "id"));
        let logs = ann.logs(&run);
        ann.green(&run);
        assert!(logs.contains("for Ada") && logs.contains("restored from key: pip-"), "{logs}");
        assert_eq!(job(&run, "docs")["conclusion"], "success");

        // a tag starts nothing, and a broken file says where it is broken
        clone.git(&["tag", "v1"]);
        clone.git(&["push", "--quiet", "origin", "v1"]);
        clone.write(".gitlab-ci.yml", "include: {template: Auto-DevOps.gitlab-ci.yml}\na: {script: x}\n");
        let commit = clone.push("broken");
        let run = ann.run_of("ann/app", &commit);
        assert_eq!(
            (&run["conclusion"], &run["diagnostics"][0]["code"], &run["diagnostics"][0]["line"]),
            (&json!("failure"), &json!("unsupported_include"), &json!(1))
        );
        let runs = ann.api.get("/projects/ann%2Fapp/runs").expect(200).items();
        assert!(runs.iter().all(|r| r["ref"] == "refs/heads/main"), "{runs:#?}");
    }
}

/// Jobs that hold what comes after them: by a person, by time, by a group.
const GATES: &str = "
stages: [one, two, three]
late: {stage: one, script: echo late, when: delayed, start_in: 3 seconds}
hold: {stage: one, script: echo held, rules: [{when: manual}]}
first: {stage: two, script: sleep 2 && date +%s.%N, resource_group: machine}
second: {stage: two, script: sleep 2 && date +%s.%N, resource_group: machine}
third: {stage: three, script: 'false', needs: [first]}
saved: {stage: three, script: echo saved, needs: [third], when: on_failure}
";

#[test]
fn gates_hold_and_open() {
    for database in databases() {
        let ann = Person::new(database, "process");
        ann.api.post("/projects/create", &json!({ "name": "gates" })).expect(201);
        let clone = ann.clone_of("ann/gates");
        clone.write(".gitlab-ci.yml", GATES);
        let commit = clone.push("gates");
        let run = ann.run_of("ann/gates", &commit);
        let id = text(&run, "id").to_owned();
        let held = until("the delayed job ran, the manual one waits", Duration::from_secs(60), || {
            let run = ann.api.get(&format!("/runs/{id}")).expect(200).json;
            (job(&run, "late")["conclusion"] == "success" && job(&run, "hold")["playable"] == true).then_some(run)
        });
        assert_eq!(
            (job(&held, "first")["state"].clone(), job(&held, "hold")["reason"].clone()),
            (json!("waiting"), json!("waits for somebody to start it"))
        );
        assert_ne!(held["state"], "completed");
        assert_eq!((&job(&held, "hold")["gate"]["kind"], &job(&held, "late")["gate"]["seconds"]), (&json!("manual"), &json!(3)));
        assert!(text(job(&held, "saved"), "condition").contains("'failure'"), "{held:#}");
        let decided = held["decisions"].as_array().unwrap();
        assert!(decided.iter().all(|d| d["included"] == true && d["file"] == ".gitlab-ci.yml"), "{decided:#?}");
        ann.api.post(&format!("/jobs/{}/play", text(job(&held, "first"), "id")), &json!({})).problem(409, "conflict");
        ann.api.post(&format!("/jobs/{}/play", text(job(&held, "hold"), "id")), &json!({})).expect(200);
        let run = ann.ended(&id);
        assert_eq!(run["conclusion"], "failure", "{}", ann.logs(&run));
        let when = |name: &str, key: &str| text(job(&run, name), key).to_owned();
        let (a, b) = if when("first", "started_at") < when("second", "started_at") { ("first", "second") } else { ("second", "first") };
        assert!(when(a, "finished_at") <= when(b, "started_at"), "one at a time in a group: {run:#}");
        assert_eq!(
            (job(&run, "third")["conclusion"].clone(), job(&run, "saved")["conclusion"].clone()),
            (json!("failure"), json!("success"))
        );
    }
}

/// What the service finds in a log and a report, and hooks.
const FOUND: &str = r#"
default: {hooks: {pre_get_sources_script: ['test ! -e quality.json && echo before the sources']}}
measure:
  script: |
    printf 'Total: 12%%\nbegin Tot'
    sleep 1
    printf 'al: 87.5%%\n'
  coverage: '/Total: (\d+\.?\d*)%/'
  artifacts: {reports: {codequality: quality.json}}
second: {script: 'echo 50%', coverage: '/\d+%/'}
"#;

const QUALITY: &str = r#"[
  {"description": "too long", "check_name": "length", "severity": "minor", "fingerprint": "1", "location": {"path": "src/a.rs", "lines": {"begin": 7}}},
  {"description": "unsafe", "severity": "blocker", "fingerprint": "2", "location": {"path": "src/b.rs", "positions": {"begin": {"line": 3, "column": 1}}}}
]"#;

#[test]
fn a_log_states_a_percentage_and_a_report_findings() {
    for database in databases() {
        let ann = Person::new(database, "process");
        ann.api.post("/projects/create", &json!({ "name": "found" })).expect(201);
        let clone = ann.clone_of("ann/found");
        clone.write(".gitlab-ci.yml", FOUND);
        clone.write("quality.json", QUALITY);
        let commit = clone.push("found");
        let run = ann.run_of("ann/found", &commit);
        let run = ann.ended(text(&run, "id"));
        let logs = ann.logs(&run);
        ann.green(&run);
        assert_eq!((&job(&run, "measure")["coverage"], &job(&run, "second")["coverage"]), (&json!(87.5), &json!(50.0)), "{logs}");
        assert_eq!(run["coverage"], json!(68.75));
        assert!(logs.contains("before the sources"), "{logs}");
        let notes = job(&run, "measure")["annotations"].as_array().unwrap();
        let shown: Vec<_> = notes.iter().map(|n| (text(n, "severity"), text(n, "file"), n["line"].as_u64(), text(n, "message"))).collect();
        assert_eq!(shown, [("warning", "src/a.rs", Some(7), "too long"), ("error", "src/b.rs", Some(3), "unsafe")], "{logs}");
    }
}

#[test]
fn a_newer_commit_and_a_failure_stop_pipelines() {
    for database in databases() {
        let ann = Person::new(database, "process");
        ann.api.post("/projects/create", &json!({ "name": "newer" })).expect(201);
        let clone = ann.clone_of("ann/newer");
        let begun = |commit: &str, name: &str| {
            until("the job runs", Duration::from_secs(60), || {
                let run = ann.api.get(&format!("/projects/ann%2Fnewer/runs?commit={commit}")).expect(200).items().first().cloned()?;
                let run = ann.api.get(&format!("/runs/{}", text(&run, "id"))).expect(200).json;
                (job(&run, name)["state"] == "running").then_some(run)
            })
        };
        // all of it, as only what may be interrupted has begun
        clone.write(".gitlab-ci.yml", "a: {script: sleep 300, interruptible: true}\nb: {stage: deploy, script: echo b}\n");
        let first = begun(&clone.push("one"), "a");
        // the jobs that may be, while the others go on
        clone.write(
            ".gitlab-ci.yml",
            "workflow: {auto_cancel: {on_new_commit: interruptible}}\na: {script: sleep 300, interruptible: true, allow_failure: true}\nb: {script: sleep 4}\n",
        );
        let second = begun(&clone.push("two"), "b");
        let first = ann.ended(text(&first, "id"));
        assert_eq!(first["conclusion"], "cancelled");
        assert!(text(job(&first, "a"), "reason").contains(&format!("pipeline #{} builds a newer commit", second["number"])), "{first:#}");
        // nothing, as a job that may not be interrupted has begun; and a failure stops the rest
        clone.write(
            ".gitlab-ci.yml",
            "workflow: {auto_cancel: {on_job_failure: all}}\na: {script: sleep 300}\nb: {script: sleep 3 && false}\nc: {stage: deploy, script: echo c, when: always}\n",
        );
        let third = begun(&clone.push("three"), "a");
        let second = ann.ended(text(&second, "id"));
        assert_eq!(
            (job(&second, "a")["conclusion"].clone(), job(&second, "b")["conclusion"].clone()),
            (json!("cancelled"), json!("success")),
            "{second:#}"
        );
        clone.write(".gitlab-ci.yml", "a: {script: echo a}\n");
        let fourth = clone.push("four");
        let third = ann.ended(text(&third, "id"));
        assert_eq!(third["conclusion"], "failure", "{third:#}");
        assert!(text(job(&third, "a"), "reason").contains("`b` failed, which stops the pipeline"), "{third:#}");
        let run = ann.run_of("ann/newer", &fourth);
        ann.green(&ann.ended(text(&run, "id")));
    }
}
