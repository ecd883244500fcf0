//! Every file that is written lints clean in its dialect, and says what the source said.

use super::*;
use crate::diagnostic::Severity;
use crate::{github, gitlab, jenkins};

const GITHUB: &[&str] = &[
    "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v4\n      - run: make\n",
    r#"
name: Full
on:
  push: {branches: [main, 'release/**'], tags: ['v*']}
  pull_request: {branches: [main]}
  workflow_dispatch:
    inputs:
      level: {type: choice, options: [low, high], default: low}
env: {GREETING: hello, PRICE: 5$}
concurrency: {group: "${{ github.ref }}", cancel-in-progress: true}
jobs:
  build:
    runs-on: ubuntu-latest
    timeout-minutes: 10
    strategy:
      matrix: {os: [a, b], node: [18, 20]}
    env: {TARGET: "x-${{ matrix.os }}"}
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-node@v4
        with: {node-version: "${{ matrix.node }}"}
      - uses: actions/cache@v4
        with: {path: node_modules, key: "n-${{ hashFiles('package-lock.json') }}", restore-keys: n-}
      - name: Build
        run: |
          echo '${{ matrix.os }}' "$GITHUB_SHA" ${{ github.ref_name }}
          cd sub
      - run: npm test
        env: {DEBUG: "a b"}
        working-directory: web
        continue-on-error: true
      - if: always()
        uses: devmentor/report@v1
        with: {junit: reports/*.xml}
      - uses: actions/upload-artifact@v4
        with: {name: dist, path: dist/}
  deploy:
    needs: build
    if: startsWith(github.ref, 'refs/tags/v') && github.event_name == 'push'
    runs-on: [self-hosted, gpu]
    environment: {name: production, url: "https://example.com"}
    env: {TOKEN: "${{ secrets.DEPLOY }}"}
    steps:
      - uses: actions/download-artifact@v4
        with: {name: dist, path: dist}
      - run: ./deploy.sh
  report:
    needs: [build, deploy]
    if: failure()
    runs-on: ubuntu-latest
    steps:
      - run: echo failed
"#,
    r#"
on: push
jobs:
  say:
    runs-on: ubuntu-latest
    container: node:20
    services: {db: {image: 'postgres:16', env: {POSTGRES_PASSWORD: x}}}
    steps:
      - id: one
        run: |
          echo "version=1.2" >> "$GITHUB_OUTPUT"
          echo "COLOR=red" >> "$GITHUB_ENV"
      - run: echo ${{ steps.one.outputs.version }} $COLOR
      - if: github.ref == 'refs/heads/main' || env.COLOR == 'red'
        run: echo main
      - shell: python
        run: print("x")
  after:
    needs: say
    runs-on: ubuntu-latest
    continue-on-error: true
    steps:
      - run: 'true'
"#,
];

const GITLAB: &[&str] = &[
    "a:\n  script: [make]\n",
    r#"
stages: [build, test, deploy]
variables: {GREETING: hello, FULL: "$GREETING world"}
default:
  image: alpine:3.20
  before_script: [apk add make]
.base: {tags: [big], retry: 1}
compile:
  stage: build
  extends: .base
  script:
    - make all
    - |
      if true; then
        echo "$CI_COMMIT_SHA"
      fi
  artifacts: {paths: [out/], reports: {junit: r.xml}}
  cache: {key: {files: [go.sum]}, paths: [.cache]}
unit:
  stage: test
  parallel: {matrix: [{GO: ["1.21", "1.22"], OS: [linux]}]}
  script: go test | tee log
lint:
  stage: test
  needs: []
  allow_failure: true
  script: ['golint --token "$LINT_TOKEN"']
ship:
  stage: deploy
  rules:
    - if: $CI_COMMIT_TAG =~ /^v\d+/
      when: never
    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH && $GREETING == "hello"
      when: manual
  environment: {name: production}
  resource_group: production
  script: ./ship
  after_script: [echo done]
cleanup:
  stage: deploy
  when: always
  script: rm -rf x
"#,
    r#"
workflow:
  rules:
    - if: $CI_PIPELINE_SOURCE == "merge_request_event"
    - if: $CI_COMMIT_BRANCH
image: node:20
a b:
  only: [main, tags]
  script: npm ci
"needs: it":
  needs: ["a b"]
  only: [main, tags]
  timeout: 1h 30m
  script: npm test
"#,
];

const JENKINS: &[&str] = &[
    "pipeline { agent any; stages { stage('a') { steps { sh 'make' } } } }",
    r#"
pipeline {
    agent none
    parameters {
 string(name: 'WHO', defaultValue: 'you', description: '')
 booleanParam(name: 'SHIP', defaultValue: false) }
    environment { GREETING = 'hello'; WHOLE = "${GREETING} all" }
    options { disableConcurrentBuilds(abortPrevious: true) }
    stages {
        stage('Build') {
            agent { docker { image 'golang:1.22' } }
            options { timeout(time: 1, unit: 'HOURS'); retry(2) }
            steps {
                sh 'go build ./...'
                dir('sub') { withEnv(['A=b']) { sh "echo ${env.BRANCH_NAME} ${params.WHO}" } }
                stash name: 'bin', includes: 'bin/**'
            }
            post {
 always { junit '**/r.xml' }
 failure { echo 'it "failed"' }
 }
        }
        stage('Checks') {
            parallel {
                stage('Unit') { agent any; steps { sh 'go test ./...' } }
                stage('Lint') { agent { label 'big' }; steps { catchError(buildResult: 'SUCCESS') { sh 'golint' } } }
            }
        }
        stage('Matrix') {
            matrix {
                agent any
                axes {
 axis { name 'OS'; values 'linux', 'mac' }
 axis { name 'DB'; values 'pg', 'lite' }
 }
                excludes { exclude {
 axis { name 'OS'; values 'mac' }
 axis { name 'DB'; values 'pg' }
 } }
                stages { stage('Cell') { steps { sh 'echo $OS $DB' } } }
            }
        }
        stage('Ship') {
            agent any
            when { allOf { branch 'main'; expression { params.SHIP || env.WHO == 'x' } } }
            environment { TOKEN = credentials('deploy-token') }
            steps {
                unstash 'bin'
                script { if (env.BRANCH_NAME == 'main') { sh './ship' } }
                script { def x = sh(script: 'date', returnStdout: true) }
            }
        }
    }
    post { failure { echo 'bad' } }
}
"#,
];

fn errors(to: Target, text: &str) -> Vec<String> {
    let found = match to {
        Target::Github => github::compile(to.path(), text.as_bytes()).diagnostics,
        Target::Gitlab => gitlab::compile(to.path(), text.as_bytes(), &gitlab::Facts::sample(), &gitlab::Nothing).diagnostics,
        Target::Jenkins => jenkins::read(to.path(), text.as_bytes()).diagnostics,
    };
    found.iter().filter(|d| d.severity == Severity::Error).map(ToString::to_string).collect()
}

fn drafted(from: Target, text: &str) -> draft::Draft {
    let mut out = Diagnostics::default();
    let read = match from {
        Target::Github => from_github::read,
        Target::Gitlab => from_gitlab::read,
        Target::Jenkins => from_jenkins::read,
    };
    read(from.path(), text.as_bytes(), &mut out).unwrap_or_else(|e| panic!("{e:?}\n{text}"))
}

fn sources() -> Vec<(Target, String)> {
    let all = [(Target::Github, GITHUB), (Target::Gitlab, GITLAB), (Target::Jenkins, JENKINS)];
    let mut sources: Vec<(Target, String)> = all.iter().flat_map(|(t, list)| list.iter().map(|s| (*t, (*s).to_owned()))).collect();
    for template in ["go-http", "node-ts", "python", "rust-http", "static-site"] {
        let path = format!("{}/../../templates/{template}/files/.github/workflows/ci.yml", env!("CARGO_MANIFEST_DIR"));
        sources.push((Target::Github, std::fs::read_to_string(path).unwrap()));
    }
    sources
}

#[test]
fn what_is_written_lints_clean_and_differences_have_places() {
    for (from, source) in sources() {
        for to in Target::ALL {
            let made = convert(from.path(), source.as_bytes(), from, to).unwrap_or_else(|e| panic!("{from:?} {e:?}"));
            let text = &made.files[0].text;
            assert_eq!(errors(to, text), Vec::<String>::new(), "{from:?} to {to:?}\n{text}");
            assert!(made.differences.iter().all(|d| !d.message.is_empty() && d.span.line <= source.lines().count() as u32));
        }
    }
}

/// The first lines of scripts, without what the way between dialects puts around them.
fn commands(draft: &draft::Draft) -> Vec<String> {
    let scripts = draft.jobs.iter().flat_map(|j| &j.steps).filter_map(|s| match &s.does {
        draft::Does::Script { text, .. } => Some(text.literals()),
        _ => None,
    });
    let mut lines: Vec<String> = scripts.flat_map(|t| t.lines().map(|l| l.trim().to_owned()).collect::<Vec<_>>()).collect();
    lines.retain(|l| ["make", "npm", "go ", "./ship", "./deploy.sh", "golint"].iter().any(|w| l.starts_with(w)));
    lines.sort();
    lines
}

fn key(name: &str) -> String {
    shell::ident(name).replace("__", "_").trim_matches('_').to_owned()
}

#[test]
fn a_round_trip_keeps_jobs_needs_scripts_and_images() {
    for (from, source) in sources() {
        let before = drafted(from, &source);
        for to in Target::ALL.into_iter().filter(|t| *t != from) {
            let there = convert(from.path(), source.as_bytes(), from, to).unwrap();
            let back = convert(to.path(), there.files[0].text.as_bytes(), to, from).unwrap();
            let after = drafted(from, &back.files[0].text);
            let context = format!("{from:?} over {to:?}\n{}\n{}", there.files[0].text, back.files[0].text);
            assert_eq!(commands(&before), commands(&after), "{context}");
            // stages in rows and `post` say less than a graph does
            if to == Target::Jenkins || from == Target::Jenkins {
                continue;
            }
            let jobs = |d: &draft::Draft| -> Vec<(String, Vec<String>, Option<String>)> {
                let mut all: Vec<_> = d
                    .jobs
                    .iter()
                    .map(|j| {
                        let mut needs: Vec<String> = j.needs.iter().map(|n| key(n)).collect();
                        needs.sort();
                        (key(&j.key), needs, j.image.as_ref().and_then(|i| i.name.plain()))
                    })
                    .collect();
                all.sort();
                all
            };
            assert_eq!(jobs(&before), jobs(&after), "{context}");
        }
    }
}

#[test]
fn nothing_is_lost_in_silence() {
    let differences = |source: &str, from: Target, to: Target| -> Vec<String> {
        convert(from.path(), source.as_bytes(), from, to)
            .unwrap()
            .differences
            .iter()
            .map(|d| format!("{}:{}", d.span.line, d.code))
            .collect()
    };
    let has = |list: &[String], what: &str| assert!(list.iter().any(|d| d.ends_with(what)), "{what} not in {list:?}");
    let there = differences(GITHUB[1], Target::Github, Target::Gitlab);
    for code in ["fail_fast", "setup", "matrix_names", "secret", "cache_fallback", "concurrency"] {
        has(&there, code);
    }
    let chain = "on: push\njobs:\n  a:\n    if: github.ref_name == 'x'\n    runs-on: u\n    steps: [{run: a}]\n  b:\n    needs: a\n    runs-on: u\n    steps: [{run: b}]\n";
    has(&differences(chain, Target::Github, Target::Gitlab), "7:transitive_skip");
    let there = differences(GITHUB[2], Target::Github, Target::Jenkins);
    has(&there, "services");
    let there = differences(GITLAB[1], Target::Gitlab, Target::Github);
    for code in ["manual", "cache", "after_script", "project_variable", "resource_group", "pipefail", "retry"] {
        has(&there, code);
    }
    let there = differences(JENKINS[1], Target::Jenkins, Target::Gitlab);
    for code in ["credentials", "groovy", "post", "unstable"] {
        has(&there, code);
    }
}

#[test]
fn pipelines_that_start_pipelines() {
    let source = "stages: [test, go]\ndefault: {image: alpine, before_script: [x]}\nunit: {stage: test, script: make}\n\
                  far:\n  stage: go\n  variables: {LEVEL: high}\n  trigger: {project: acme/ship, branch: main, strategy: depend, forward: {pipeline_variables: true}}\n\
                  near:\n  stage: go\n  trigger:\n    include: [{local: ci/child.yml, inputs: {n: 1}}]\n    strategy: depend\n\
                  two: {stage: go, trigger: {include: [a.yml, b.yml]}}\n";
    let made = |to: Target| {
        let made = convert(gitlab::FILE, source.as_bytes(), Target::Gitlab, to).unwrap();
        assert_eq!(errors(to, &made.files[0].text), Vec::<String>::new(), "{}", made.files[0].text);
        let codes: Vec<String> = made.differences.iter().map(|d| format!("{}:{}", d.span.line, d.code)).collect();
        (made.files[0].text.clone(), codes)
    };
    let (text, told) = made(Target::Github);
    assert!(text.contains("uses: ./.github/workflows/child.yml") && text.contains("secrets: inherit"), "{text}");
    assert!(text.contains("starting acme/ship has to be written by hand"), "{text}");
    assert_eq!(text.matches("image: alpine").count(), 1, "what starts a pipeline takes no defaults: {text}");
    for code in ["7:start", "11:child_pipeline", "13:start"] {
        assert!(told.iter().any(|t| t == code), "{code} not in {told:?}\n{text}");
    }
    let (text, told) = made(Target::Jenkins);
    let line = "build job: 'acme/ship/main', wait: true, parameters: [string(name: 'LEVEL', value: 'high')]";
    assert!(text.contains(line), "{text}");
    assert!(told.iter().filter(|t| t.ends_with("child_pipeline")).count() >= 2, "{told:?}");
    // and back
    let back = convert(jenkins::FILE, text.as_bytes(), Target::Jenkins, Target::Gitlab).unwrap().files[0].text.clone();
    assert!(back.contains("project: acme/ship/main") && back.contains("strategy: depend"), "{back}");
    assert_eq!(errors(Target::Gitlab, &back), Vec::<String>::new(), "{back}");
}

#[test]
fn a_broken_file_is_refused_with_its_messages() {
    for from in Target::ALL {
        assert!(!convert(from.path(), b"{{{", from, Target::Github).unwrap_err().is_empty());
        assert!(convert(from.path(), b"", from, Target::Gitlab).is_err());
        assert!(convert(from.path(), &[0xff, 0xfe, 0], from, Target::Jenkins).is_err());
    }
}
