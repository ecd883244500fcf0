//! Whole pipelines with real processes against a host in memory.

use dialects::plan::{Late, Step, StepKind};

use super::tests::{Bench, spec};
use super::*;

const ANY: &str = "on: push\njobs:\n  build:\n    runs-on: x\n    steps:\n      - run: true\n";

fn pipeline(text: &str) -> JobSpec {
    let compiled = dialects::jenkins::plan::compile("Jenkinsfile", text.as_bytes());
    let plan = compiled.plan.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics));
    let mut spec = spec(ANY);
    spec.job = plan.jobs[0].clone();
    spec.secrets.insert("DEPLOY_USR".into(), "deployer".into());
    spec.secrets.insert("DEPLOY_PSW".into(), "swordfish".into());
    spec
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_with_most_of_its_steps() {
    let mut bench = Bench::new().await;
    let (_keep, stop) = watch::channel(Stop::No);
    let text = r#"
pipeline {
    agent any
    options { skipDefaultCheckout() }
    environment {
        GREETING = "hello ${env.BRANCH_NAME}"
        CREDS = credentials('deploy')
    }
    stages {
        stage('Files') {
            steps {
                writeFile file: 'a/b.txt', text: "one\ntwo"
                sh 'echo "$GREETING $CREDS_USR $BUILD_NUMBER" && cat a/b.txt && test -z "$GITHUB_SHA"'
                dir('a') { sh 'pwd; ls' }
                script {
                    def lines = sh(script: 'echo noise >&2; wc -l < a/b.txt', returnStdout: true).trim()
                    def code = sh(script: 'exit 4', returnStatus: true)
                    echo "lines=${lines} code=${code} there=${fileExists 'a/b.txt'} gone=${fileExists('x')} text=${readFile('a/b.txt').split('\n')[1]}"
                }
                stash name: 'things', includes: 'a/**'
                withCredentials([usernamePassword(credentialsId: 'deploy', usernameVariable: 'U', passwordVariable: 'P')]) { sh 'echo "secret is $P"' }
            }
        }
        stage('Beside') {
            parallel {
                stage('left') { steps { sh 'for i in 1 2 3; do echo left$i; sleep 0.1; done' } }
                stage('right') { agent any; steps { unstash 'things'; sh 'echo right; cat a/b.txt; pwd' } }
            }
        }
        stage('Reports') {
            steps {
                sh 'printf "<testsuite><testcase name=\\"t\\"/><testcase name=\\"u\\"><failure/></testcase></testsuite>" > r.xml'
                junit '*.xml'
                archiveArtifacts artifacts: 'a/*.txt'
            }
        }
        stage('Left out') { when { branch 'other' }
                            steps { sh 'exit 1' } }
    }
    post { unstable { echo "it is ${currentBuild.currentResult}" }
           cleanup { deleteDir() } }
}
"#;
    let log = bench.run_with(pipeline(text), stop).await;
    for expected in [
        "hello main ***",
        "/work/web/a\n",
        "lines=1 code=4 there=true gone=false text=two",
        "secret is ***",
        "Stashed 1 file(s)",
        "[left] left3",
        "[right] right",
        "/@agents/right\n",
        "2 tests in 1 file(s), 1 failed, 0 skipped",
        "it is UNSTABLE",
        "Finished: UNSTABLE",
    ] {
        assert!(log.contains(expected), "{expected}: {log}");
    }
    assert!(!log.contains("swordfish"));
    let outcome = bench.outcome.as_ref().unwrap();
    assert!(outcome.conclusion == Conclusion::Failure && outcome.unstable, "{outcome:?}");
    assert_eq!(bench.host.artifacts.lock().unwrap().keys().collect::<Vec<_>>(), ["artifacts"]);
    assert_eq!(bench.host.reports.lock().unwrap().len(), 1);
    let rows: Vec<String> =
        bench.host.rows.lock().unwrap().values().map(|r| format!("{}: {}", r.name, r.conclusion.map_or("-", Conclusion::as_str))).collect();
    for expected in [
        "Pipeline: failure",
        "Files: success",
        "Beside: success",
        "right: success",
        "Reports: failure",
        "Left out: skipped",
        "Complete job: success",
    ] {
        assert!(rows.iter().any(|r| r == expected), "{expected}: {rows:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_time_and_cancel() {
    let mut bench = Bench::new().await;
    let (_keep, stop) = watch::channel(Stop::No);
    let text = "pipeline {\n agent any\n options { skipDefaultCheckout() }\n stages {\n  stage('t') { steps {\n   catchError(message: 'slow') { timeout(time: 1, unit: 'SECONDS') { sh 'sleep 30' } }\n   parallel_free()\n  } }\n }\n post { failure { echo 'after' } }\n}\ndef parallel_free() { error 'own method' }\n";
    // a method of the file is no step of the model's catalogue: it is called from a script block
    let text = text.replace("parallel_free()\n  }", "script { parallel_free() }\n  }");
    let begun = std::time::Instant::now();
    let log = bench.run_with(pipeline(&text), stop).await;
    assert!(begun.elapsed().as_secs() < 15, "{log}");
    for expected in ["ERROR: slow: Timeout has been exceeded", "Jenkinsfile:12:23: own method", "after", "Finished: FAILURE"] {
        assert!(log.contains(expected), "{expected}: {log}");
    }

    let (tell, stop) = watch::channel(Stop::No);
    let text = "pipeline { agent any\n options { skipDefaultCheckout() }\n stages { stage('s') { steps { echo 'begun'\n sh 'sleep 60' } } }\n post { aborted { sh 'echo cleaned up' } } }";
    let cancel = async {
        tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
        tell.send_replace(Stop::Cancel);
        std::future::pending::<()>().await;
    };
    let log = tokio::select! {
        log = bench.run_with(pipeline(text), stop) => log,
        () = cancel => unreachable!(),
    };
    assert!(log.contains("begun") && log.contains("cleaned up"), "{log}");
    assert_eq!(bench.outcome.as_ref().unwrap().conclusion, Conclusion::Cancelled);
}

#[test]
fn the_job_is_one_step() {
    let spec = pipeline("pipeline { agent any\n stages { stage('s') { steps { sh 'x' } } } }");
    assert!(matches!(spec.job.steps.as_slice(), [Step { kind: StepKind::Jenkins { .. }, continue_on_error: Late::Known(false), .. }]));
}
