//! Every template's own workflow is green on this machine from the first commit, to the running application; a template
//! whose tools are missing is refused by their names.

use serde_json::{Value, json};
use testkit::{Api, Database};

use super::{Person, text};

/// Makes a project, waits for its first run, and asks what it deployed.
fn green(template: &str, parameters: &serde_json::Value, path: &str, says: &str) {
    let ann = Person::new(Database::Sqlite, "process");
    let known = ann.api.get(&format!("/templates/{template}")).expect(200).json;
    let body = json!({ "name": "app", "template": template, "parameters": parameters });
    let missing: Vec<&str> = known["missing"].as_array().unwrap().iter().map(|m| m.as_str().unwrap()).collect();
    if !missing.is_empty() {
        let refused = ann.api.post("/projects/create", &body);
        assert!(refused.status >= 400 && missing.iter().all(|tool| refused.text().contains(tool)), "{}", refused.text());
        eprintln!("{template} cannot be built on this machine without {missing:?}, and is refused");
        return;
    }
    let made = ann.api.post("/projects/create", &body).expect(201);
    let commit = ann.api.get("/projects/ann%2Fapp/refs").expect(200).json["branches"][0]["commit"].as_str().unwrap().to_owned();
    assert_eq!(made.json["language"], known["language"]);
    let run = ann.run_of("ann/app", &commit);
    let run = ann.ended(text(&run, "id"));
    ann.green(&run);
    assert_eq!(run["diagnostics"], json!([]), "its own file is understood without a remark");
    let totals = ann.api.get(&format!("/runs/{}/tests", text(&run, "id"))).expect(200).json["totals"].clone();
    assert!(totals["passed"].as_u64() > Some(2) && totals["passed"] == totals["tests"], "{totals}");
    let environment = ann.api.get("/projects/ann%2Fapp/environments").expect(200).items()[0].clone();
    assert_eq!((&environment["state"], &environment["current"]["commit"]), (&json!("healthy"), &json!(commit)));
    let application = Api::new(text(&environment, "url"));
    application.get("/health").expect(200);
    let answer = application.get(path).expect(200).text();
    assert!(answer.contains(says), "{answer}");
}

#[test]
fn rust_http() {
    green("rust-http", &json!({ "greeting": "Moin" }), "/?name=Ada", "Moin, Ada!");
}

#[test]
fn node_ts() {
    green("node-ts", &json!({ "greeting": "Moin" }), "/?name=Ada", "Moin, Ada!");
}

#[test]
fn python() {
    green("python", &json!({ "greeting": "Moin" }), "/?name=Ada", "Moin, Ada!");
}

#[test]
fn static_site() {
    green("static-site", &json!({ "greeting": "Moin from here" }), "/", "Moin from here");
}

const GITLAB: &str = "stages: [test, deliver]
test:
  stage: test
  script:
    - python3 -m venv .venv
    - .venv/bin/pip install --require-hashes -r requirements-dev.txt
    - .venv/bin/pytest --junitxml=reports/junit.xml --cov --cov-report=term --cov-report=xml:reports/coverage.xml
    - sh ci/image-root.sh
    - tar -czf image.tar.gz image
  artifacts:
    paths: [image.tar.gz]
    reports: {junit: reports/junit.xml, coverage_report: {coverage_format: cobertura, path: reports/coverage.xml}}
deliver:
  stage: deliver
  rules: [{if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH}]
  environment: production
  script:
    - tar -xzf image.tar.gz
    - devmentor image build . --tag latest --tag $CI_COMMIT_SHA
    - devmentor deploy $CI_ENVIRONMENT_NAME --image $CI_COMMIT_SHA
";

const JENKINS: &str = "pipeline {
  agent any
  stages {
    stage('test') {
      steps {
        sh 'python3 -m venv .venv'
        sh '.venv/bin/pip install --require-hashes -r requirements-dev.txt'
        sh '.venv/bin/pytest --junitxml=reports/junit.xml --cov --cov-report=term --cov-report=xml:reports/coverage.xml'
        sh 'sh ci/image-root.sh && tar -czf image.tar.gz image'
        junit 'reports/junit.xml'
        archiveArtifacts 'image.tar.gz'
      }
    }
    stage('deliver') {
      when { branch 'main' }
      steps {
        devmentorBuildImage context: '.', tags: ['latest', env.GIT_COMMIT]
        devmentorDeploy environment: 'production', image: env.GIT_COMMIT
      }
    }
  }
}
";

/// What the other languages make of a template is what its own workflow makes of it: tests, artifact, image, deployment.
#[test]
fn a_template_in_three_languages() {
    let ann = Person::new(Database::Sqlite, "process");
    let known = ann.api.get("/templates/python").expect(200).json;
    if known["missing"].as_array().is_some_and(|m| !m.is_empty()) {
        eprintln!("not tried without {}", known["missing"]);
        return;
    }
    let body = json!({ "name": "app", "template": "python", "parameters": { "greeting": "Moin" } });
    ann.api.post("/projects/create", &body).expect(201);
    let clone = ann.clone_of("ann/app");
    let mut seen = Vec::new();
    for (file, content) in [("", ""), (".gitlab-ci.yml", GITLAB), ("Jenkinsfile", JENKINS)] {
        if !file.is_empty() {
            clone.git(&["rm", "-q", "-r", "--ignore-unmatch", ".github", ".gitlab-ci.yml"]);
            clone.write(file, content);
            clone.push(file);
        }
        let commit = clone.git(&["rev-parse", "HEAD"]).trim().to_owned();
        let run = ann.run_of("ann/app", &commit);
        let run = ann.ended(text(&run, "id"));
        ann.green(&run);
        let id = text(&run, "id");
        let totals = ann.api.get(&format!("/runs/{id}/tests")).expect(200).json["totals"].clone();
        let counts: Vec<Value> = ["tests", "passed", "failed", "skipped"].iter().map(|k| totals[*k].clone()).collect();
        let artifacts = ann.api.get(&format!("/runs/{id}/artifacts")).expect(200).items().len();
        let environment = ann.api.get("/projects/ann%2Fapp/environments").expect(200).items()[0].clone();
        assert_eq!((&environment["state"], &environment["current"]["commit"]), (&json!("healthy"), &json!(commit)), "{file}");
        let answer = Api::new(text(&environment, "url")).get("/?name=Ada").expect(200).text();
        seen.push((counts, artifacts, text(&environment, "name").to_owned(), answer));
    }
    assert!(seen.iter().all(|s| *s == seen[0]), "{seen:#?}");
}
