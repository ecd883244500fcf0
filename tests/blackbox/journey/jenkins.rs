//! A Jenkinsfile in a project made from a template: pushed, run to its end, with its stages, tests and artifacts.

use serde_json::json;
use testkit::databases;

use super::{Person, text};

const JENKINSFILE: &str = r#"#!/usr/bin/env groovy
def shown(String name) { return "<${name}>" }

pipeline {
    agent any
    environment { PIP_DISABLE_PIP_VERSION_CHECK = '1' }
    parameters { string(name: 'WHO', defaultValue: 'world') }
    options { timeout(time: 10, unit: 'MINUTES') }
    stages {
        stage('Install') {
            steps {
                sh '''
                    python3 -m venv .venv
                    .venv/bin/pip install -q --require-hashes -r requirements-dev.txt
                '''
            }
        }
        stage('Check') {
            parallel {
                stage('Test') {
                    steps { sh '.venv/bin/pytest -q --junitxml=reports/junit.xml' }
                    post { always { junit 'reports/*.xml' } }
                }
                stage('Facts') {
                    steps {
                        script {
                            def count = sh(script: 'ls tests/*.py | wc -l', returnStdout: true).trim() as int
                            def names = ['a', 'b'].collect { shown(it) }.join(' ')
                            if (count > 0) { writeFile file: 'facts/count.txt', text: "tests ${count} ${names} ${params.WHO} ${env.BRANCH_NAME}\n" }
                        }
                        sh 'cat facts/count.txt'
                    }
                }
            }
        }
        stage('Elsewhere') {
            when { branch 'release/*' }
            steps { sh 'exit 1' }
        }
    }
    post {
        success { archiveArtifacts artifacts: 'facts/*.txt' }
        failure { echo 'it failed' }
        always { echo "result ${currentBuild.currentResult}" }
    }
}
"#;

#[test]
fn a_jenkinsfile_runs() {
    for database in databases() {
        let ann = Person::new(database, "process");
        ann.api.post("/projects/create", &json!({ "name": "app", "template": "python", "parameters": { "greeting": "Hi" } })).expect(201);
        let clone = ann.clone_of("ann/app");
        clone.git(&["pull", "-q", "origin", "main"]);
        clone.git(&["rm", "-q", ".github/workflows/ci.yml"]);
        clone.write("Jenkinsfile", JENKINSFILE);
        let commit = clone.commit("a Jenkinsfile");
        clone.git(&["push", "-q", "origin", "main"]);
        let run = ann.run_of("ann/app", &commit);
        assert_eq!(text(&run, "workflow"), "Jenkinsfile");
        let run = ann.ended(text(&run, "id"));
        ann.green(&run);
        let log = ann.logs(&run);
        for expected in ["[Facts] tests 2 <a> <b> world main", "result SUCCESS", "Finished: SUCCESS"] {
            assert!(log.contains(expected), "{expected}: {log}");
        }
        let job = ann.api.get(&format!("/jobs/{}", text(&run["jobs"][0], "id"))).expect(200).json;
        let steps = job["steps"].as_array().unwrap();
        let row = |name: &str| steps.iter().find(|s| s["name"] == name).unwrap_or_else(|| panic!("{name}: {steps:?}"));
        for name in ["Declarative: Checkout SCM", "Install", "Check", "Test", "Facts", "Declarative: Post Actions"] {
            assert_eq!(row(name)["conclusion"], "success", "{name}");
        }
        assert_eq!(row("Elsewhere")["conclusion"], "skipped");
        let id = text(&run, "id");
        assert_eq!(ann.api.get(&format!("/runs/{id}/artifacts")).expect(200).items()[0]["name"], "artifacts");
        let totals = ann.api.get(&format!("/runs/{id}/tests")).expect(200).json["totals"].clone();
        assert!(totals["passed"].as_u64() > Some(2) && totals["passed"] == totals["tests"], "{totals}");

        // what is not done is told with its place, and nothing runs
        clone.write("Jenkinsfile", "pipeline {\n  agent any\n  stages {\n    stage('a') { steps { bat 'dir' } }\n  }\n}\n");
        let commit = clone.commit("not here");
        clone.git(&["push", "-q", "origin", "main"]);
        let run = ann.run_of("ann/app", &commit);
        let run = ann.ended(text(&run, "id"));
        assert_eq!(run["conclusion"], "failure");
        let said = run["diagnostics"].to_string();
        assert!(said.contains("the step `bat` is not supported here") && said.contains("\"line\":4"), "{said}");
    }
}

const GREET: &str = "def call(String who) {\n  sh \"echo hello ${who} from the library\"\n}\ndef twice(x) { \"${x}${x}\" }\n";

const HISTORY: &str = r#"@Library('tools@v1') _
pipeline {
    agent any
    stages {
        stage('Greet') { steps { greet 'ann'
                                 echo "before ${currentBuild.previousBuild?.result}" } }
        stage('Test') { steps { junit 'report.xml' } }
        stage('Docs') { when { changeset 'docs/**' }
                        steps { script { def m = load('docs/m.groovy')
                                         echo m.said() } } }
    }
    post { fixed { echo "fixed by ${currentBuild.changeSets[0].items[0].msg}" }
           unstable { echo 'it is unstable' } }
}
"#;

#[test]
fn a_jenkinsfile_knows_its_library_and_the_build_before() {
    for database in databases() {
        let ann = Person::new(database, "process");
        ann.api.post("/projects/create", &json!({ "name": "tools", "visibility": "internal" })).expect(201);
        let tools = ann.clone_of("ann/tools");
        tools.write("vars/greet.groovy", GREET);
        tools.commit("a library");
        tools.git(&["push", "-q", "origin", "main", "main:refs/heads/v1"]);
        ann.api.post("/projects/create", &json!({ "name": "app" })).expect(201);
        let clone = ann.clone_of("ann/app");
        clone.write("Jenkinsfile", HISTORY);
        clone.write("report.xml", "<testsuite><testcase name='t'><failure/></testcase></testsuite>");
        let commit = clone.commit("one test fails");
        clone.git(&["push", "-q", "origin", "main"]);
        let run = ann.run_of("ann/app", &commit);
        let run = ann.ended(text(&run, "id"));
        let log = ann.logs(&run);
        for expected in
            ["hello ann from the library", "before null", "it is unstable", "Finished: UNSTABLE", "Loading library tools from ann/tools at"]
        {
            assert!(log.contains(expected), "{expected}: {log}");
        }
        // what is unstable fails its job, and no run
        let job = &run["jobs"][0];
        assert_eq!(
            (&job["conclusion"], &job["allowed_to_fail"], &job["reason"]),
            (&json!("failure"), &json!(true), &json!("the build is unstable"))
        );
        assert_eq!(run["conclusion"], "success");

        // the library moves on; the next run takes what its branch is then
        tools.write("vars/greet.groovy", &GREET.replace("hello", "good day"));
        tools.commit("more polite");
        tools.git(&["push", "-q", "origin", "main:refs/heads/v1"]);
        clone.write("report.xml", "<testsuite><testcase name='t'/></testsuite>");
        clone.write("docs/m.groovy", "def said() { 'a loaded file' }\nreturn this\n");
        let commit = clone.commit("it works");
        clone.git(&["push", "-q", "origin", "main"]);
        let run = ann.run_of("ann/app", &commit);
        let run = ann.ended(text(&run, "id"));
        ann.green(&run);
        let log = ann.logs(&run);
        for expected in ["good day ann", "before UNSTABLE", "a loaded file", "fixed by it works", "Finished: SUCCESS"] {
            assert!(log.contains(expected), "{expected}: {log}");
        }

        // a library that is not there is told with its place
        clone.write("Jenkinsfile", &HISTORY.replace("tools@v1", "tools@v9"));
        let commit = clone.commit("no such ref");
        clone.git(&["push", "-q", "origin", "main"]);
        let run = ann.run_of("ann/app", &commit);
        let run = ann.ended(text(&run, "id"));
        let said = run["diagnostics"].to_string();
        assert!(run["conclusion"] == "failure" && said.contains("`ann/tools` has no branch, tag or commit `v9`"), "{said}");
    }
}
