//! What well-known projects write in their Jenkinsfiles, each in a form of our own.

use super::interp::BuildResult;
use super::plan::compile;
use super::tests::pipelines::go_with;

/// Messages of a plan; none when it is clean.
fn told(text: &str) -> (bool, Vec<String>) {
    let compiled = compile("Jenkinsfile", text.as_bytes());
    (compiled.plan.is_some(), compiled.diagnostics.iter().map(ToString::to_string).collect())
}

#[test]
fn options_and_triggers_without_parentheses() {
    let text = r#"#!groovy
pipeline {
    agent { node { label 'linux' } }
    triggers {
        pollSCM 'H/10 * * * *'
        upstream(upstreamProjects: "base/main", threshold: hudson.model.Result.SUCCESS)
    }
    options {
        buildDiscarder logRotator( numToKeepStr: '60' )
        timeout (time: 9, unit: 'HOURS')
        rateLimitBuilds(throttle: [count: 60, durationName: 'hour', userBoost: true])
    }
    tools { maven 'maven_3'
            jdk params.jdk }
    stages { stage ('one') { steps { sh  '''#!/bin/sh
true
''' } } }
}
"#;
    let (good, said) = told(text);
    assert!(good && said.iter().all(|s| s.contains("warning[different]")), "{said:?}");
}

#[test]
fn texts_over_lines_and_values_of_steps() {
    let text = r#"
def params_of() { return [string(credentialsId: 'deploy', variable: 'TOKEN')] }
pipeline {
    agent any
    options { skipDefaultCheckout() }
    environment {
        URL = "${JENKINS_URL}job/${JOB_NAME}"
        BASE = "src/${env.JOB_NAME}"
        A = "${env.A ?: 'a'}:${env.URL}"
    }
    stages {
        stage ('one') {
            steps {
                dir("${WORKSPACE}/deep") {
                    sh "list one,\
two"
                }
                withEnv(["HOME=${ pwd() }", "PATH+MORE=${ pwd "tmp" }/bin"]) { sh 'x' }
                withCredentials(params_of()) { sh 'y' }
            }
            post { cleanup() { script { echo "file:///${WORKSPACE}/x".replace("$WORKSPACE/", "") } } }
        }
    }
}
"#;
    let (result, said) = go_with(text, &[]);
    assert_eq!(result, BuildResult::Success, "{said:?}");
    assert!(said.iter().any(|s| s.starts_with("sh list one,two")), "{said:?}");
    assert!(said.iter().any(|s| s == "file:///x"), "{said:?}");
}

#[test]
fn a_matrix_with_conditions_and_excludes() {
    let text = r#"
def FLAGS = "-B ${env.MORE ?: '-e'}"
pipeline {
    environment { SKIP = true }
    agent none
    stages {
        stage('all') {
            matrix {
                when { anyOf { expression { env.OS == 'linux' }
                               expression { env.JDK == '21' } } }
                axes {
                    axis { name 'JDK'; values '17', '21' }
                    axis { name 'OS'; values 'linux', 'z' }
                }
                excludes { exclude {
                    axis { name 'JDK'; values '21' }
                    axis { name 'OS'; values 'z' }
                } }
                tools { jdk "${JDK}" }
                stages { stage('cell') { steps { script { if ("${OS}" == "linux") { echo "run $FLAGS ${OS}-${JDK}" } } } } }
                post { always { emailext(subject: '${DEFAULT_SUBJECT}', body: 'b', recipientProviders: [[$class: 'X']]) } }
            }
        }
    }
}
"#;
    let (_, said) = told(text);
    assert!(said.iter().any(|s| s.contains("`emailext` sends nothing here")), "{said:?}");
    let (result, said) = go_with(text, &[]);
    assert_eq!(result, BuildResult::Success, "{said:?}");
    for expected in ["run -B -e linux-17", "run -B -e linux-21", "emailext: not sent, nothing sends messages here: ${DEFAULT_SUBJECT}"] {
        assert!(said.iter().any(|s| s == expected), "{expected}: {said:?}");
    }
}

#[test]
fn pages_are_kept_as_artifacts() {
    let text = "pipeline { agent any\n options { skipDefaultCheckout() }\n stages { stage('s') { steps {\n publishHTML target: [allowMissing: true, reportDir: 'out/html', reportFiles: 'index.html', reportName: 'Report']\n } } } }";
    let (good, said) = told(text);
    assert!(good && said[0].contains("warning[different]: the pages of `publishHTML` are kept as an artifact"), "{said:?}");
    let (_, said) = go_with(text, &[]);
    assert!(said.iter().any(|s| s == "archive out/html/**"), "{said:?}");
}

#[test]
fn what_other_plugins_bring_is_told() {
    for (steps, expected) in [
        (
            "recordIssues id: 'x', tools: [mavenConsole(), java()]",
            "Jenkinsfile:2:32: error[unsupported]: the step `recordIssues` is not known here",
        ),
        ("withSonarQubeEnv('s') { sh 'x' }", "the step `withSonarQubeEnv` is not known here"),
        ("build(job: env.JOB, propagate: false, wait: false)", "the step `build` is not supported here"),
    ] {
        let (good, said) = told(&format!("pipeline {{ agent any\n stages {{ stage('s') {{ steps {{ {steps} }} }} }} }}"));
        assert!(!good && said.iter().any(|s| s.contains(expected)), "{steps}: {said:?}");
    }
}

#[test]
fn agents_by_label_say_nothing_of_directories() {
    let (good, said) = told("pipeline { agent { label 'big' }\n stages { stage('a') { steps { echo 'x' } } } }");
    assert!(good && said.is_empty(), "{said:?}");
    let custom = "pipeline { agent { node { label 'big'\ncustomWorkspace 'w' } }\n stages { stage('a') { steps { echo 'x' } } } }";
    assert!(told(custom).1.iter().any(|m| m.contains("`customWorkspace` has no effect")));
}

#[test]
fn what_stands_around_a_pipeline() {
    // variables before imports, fields, typed functions without `return`, commas at the end, a regex literal
    let text = r#"#!/usr/bin/groovy
runner = 'ci/build.sh'
import groovy.transform.Field
@Field
def commit_id   // kept from stage to stage
def isBranch(String b) { env.BRANCH_NAME == b }
String mail() {
    if (isBranch('main')) {
        "a@b"
    } else ""
}
Boolean isPR() { env.CHANGE_URL != null }
def Build(args) {
    def kind = (args.multi) ? 'many' : 'one'
    def version = (args.version) ?: runner
    sh "${runner} ${kind} ${version} ${mail()}"
}
pipeline {
    agent any
    parameters {
        booleanParam(defaultValue: false, description:
        'Run more',
        name: 'more')
    }
    stages {
        stage('One') {
            when {
                not { branch 'develop' }
                not { triggeredBy 'UpstreamCause' }
                expression { env.BRANCH_NAME ==~ /PR-\d+/ || params.more }
            }
            steps {
                retry(3) { checkout scm }
                script {
                    commit_id = "${GIT_COMMIT}"
                    parallel ([
                        'first': { Build(version: '10.0', multi: true) },
                        'second': { Build([:]) },
                    ])
                }
            }
            post { cleanup() { script { try { junit "${env.DIR}/*.xml" } catch(e) { echo 'no: ' + e.toString() } } } }
        }
    }
}
"#;
    let (good, said) = told(text);
    assert!(good && said.is_empty(), "{said:?}");
    for (steps, expect) in
        [("git 'https://example.com/a'", "error[unsupported]: the step `git`"), ("bat 'dir'", "error[unsupported]: the step `bat`")]
    {
        let (good, said) = told(&format!("pipeline {{\nagent any\nstages {{ stage('a') {{ steps {{\n{steps}\n}} }} }} }}"));
        assert!(!good && said.iter().any(|m| m.starts_with("Jenkinsfile:4:1: ") && m.contains(expect)), "{steps}: {said:?}");
    }
    let cell = "pipeline { agent none\nstages { stage('a') { matrix {\nagent { label \"${OS}\" }\naxes { axis { name 'OS'; values 'JDK 1.8 (latest)', 'b' } }\n\
                stages { stage('b') { steps { echo 'x' } } } } } } }";
    let (good, said) = told(cell);
    assert!(!good && said.iter().any(|m| m.contains("Jenkinsfile:3:1: error[unsupported]: a label must be a constant text")), "{said:?}");
}
