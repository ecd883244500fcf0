//! With a real engine; where none answers there is nothing to test. The image is made of the machine's own shell.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::query_parameters::CreateImageOptionsBuilder;
use futures::StreamExt as _;
use tokio::sync::watch;

use super::*;
use crate::engine::tests::{Bench, spec};
use crate::protocol::Conclusion;
use crate::spawn::{Stop, capture};

const IMAGE: &str = "devmentor-test/shell:1";

/// Programs of the image.
const PROGRAMS: &[&str] = &["sh", "bash", "sleep", "cat", "ls", "id", "mkdir", "rm", "kill", "grep", "env", "test", "hostname", "getent"];

async fn libraries(program: &Path) -> Vec<PathBuf> {
    let (_, text) = capture(&["ldd", &program.to_string_lossy()], Duration::from_secs(10)).await.unwrap();
    text.split_whitespace().filter(|w| w.starts_with('/')).map(PathBuf::from).collect()
}

/// The engine with the test's image in it.
async fn engine() -> Option<Docker> {
    let docker = available(None).await?;
    if docker.inspect_image(IMAGE).await.is_ok() {
        return Some(docker);
    }
    let mut tar = tar::Builder::new(Vec::new());
    let mut files: Vec<PathBuf> = Vec::new();
    for name in PROGRAMS {
        let found = [Path::new("/bin").join(name), Path::new("/usr/bin").join(name)].into_iter().find(|p| p.exists())?;
        files.extend(libraries(&found).await);
        tar.append_path_with_name(found.canonicalize().unwrap(), format!("bin/{name}")).unwrap();
    }
    files.push("/lib/x86_64-linux-gnu/libnss_files.so.2".into());
    files.push("/lib/x86_64-linux-gnu/libnss_dns.so.2".into());
    files.sort();
    files.dedup();
    for file in files.iter().filter(|f| f.exists()) {
        tar.append_path_with_name(file.canonicalize().unwrap(), file.strip_prefix("/").unwrap()).unwrap();
    }
    let body = bollard::body_full(tar.into_inner().unwrap().into());
    let options = CreateImageOptionsBuilder::new().from_src("-").repo("devmentor-test/shell").tag("1");
    let stays = "CMD [\"/bin/sh\", \"-c\", \"while :; do sleep 1000; done\"]".to_owned();
    let options = options.changes(vec![stays]).build();
    let mut steps = docker.create_image(Some(options), Some(body), None);
    while let Some(step) = steps.next().await {
        step.unwrap();
    }
    Some(docker)
}

async fn left(docker: &Docker, tag: &str) -> usize {
    let filters = HashMap::from([("label".to_owned(), vec![format!("{RUNNER_LABEL}={tag}")])]);
    let list = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    let networks = ListNetworksOptionsBuilder::new().filters(&filters).build();
    docker.list_containers(Some(list)).await.unwrap().len() + docker.list_networks(Some(networks)).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_in_a_container_with_a_service() {
    let Some(docker) = engine().await else { return };
    let mut bench = Bench::new().await;
    let workflow = format!(
        r#"on: push
jobs:
  a:
    runs-on: x
    container:
      image: {IMAGE}
      env: {{ INSIDE: "yes" }}
      options: --memory 256m
    services:
      db:
        image: {IMAGE}
        ports: ["5432"]
        options: >-
          --health-cmd "test -e /bin/sh" --health-interval 200ms --health-retries 20
    steps:
      - run: |
          echo "inside=$INSIDE uid=$(id -u) pwd=$PWD"
          getent hosts db
          echo "port=${{{{ job.services.db.ports['5432'] }}}} net=${{{{ job.container.network != '' }}}}"
          echo word=hi >> "$GITHUB_OUTPUT"
          echo out; echo err >&2
          sleep 300 &
          mkdir -p dist && echo made > dist/file
          i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done
        id: one
      - run: echo "again ${{{{ steps.one.outputs.word }}}}"; exit 4
        continue-on-error: true
      - uses: actions/upload-artifact@v4
        with: {{ name: x, path: dist }}
"#
    );
    let log = bench.run(&workflow).await;
    assert_eq!(bench.outcome.clone().unwrap().conclusion, Conclusion::Success, "{log}");
    assert!(log.contains("db is healthy after") && log.contains("net=true"), "{log}");
    assert!(log.contains("inside=yes uid=0") && log.contains("again hi"), "{log}");
    // by its name on the network of the job
    assert!(log.lines().any(|l| l.ends_with("db") && l.starts_with("172.") || l.starts_with("192.168.")), "{log}");
    assert!(bench.host.artifacts.lock().unwrap().contains_key("x"));
    let used = bench.host.rows.lock().unwrap()[&2].usage.unwrap();
    assert!(used.cpu_user_ms.unwrap() > 50 && used.memory_peak_bytes.unwrap() > 0, "{used:?}");
    assert_eq!(left(&docker, bench.executor.machine.tag()).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_gitlab_with_its_image_and_services() {
    let Some(docker) = engine().await else { return };
    let mut bench = Bench::new().await;
    let pipeline = format!(
        r#"
variables: {{ GIT_STRATEGY: none, POSTGRES_DB: shop }}
a:
  image: {{ name: "{IMAGE}", entrypoint: [""] }}
  services:
    - {{ name: "{IMAGE}", alias: "cache,store", variables: {{ MODE: "for $CI_JOB_NAME" }}, entrypoint: [/bin/sh, -c], command: ['env > /dev/null; while :; do sleep 1000; done'] }}
  before_script: [export MARK=kept]
  script:
    - echo "mark=$MARK id=$CI_JOB_ID db=$POSTGRES_DB dir=$([ "$PWD" = "$CI_PROJECT_DIR" ] && echo same) actions=$GITHUB_ACTIONS."
    - getent hosts cache
    - getent hosts store
    - false | cat
    - echo not reached
  after_script: ['echo "mark=$MARK after=$CI_JOB_STATUS"']
"#
    );
    let compiled =
        dialects::gitlab::compile(".gitlab-ci.yml", pipeline.as_bytes(), &dialects::gitlab::Facts::sample(), &dialects::gitlab::Nothing);
    let plan = compiled.plan.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics));
    let base = spec("on: push\njobs: {a: {runs-on: x, steps: [{run: x}]}}\n");
    let id = base.job_id.to_string();
    let (_keep, stop) = watch::channel(Stop::No);
    let log = bench.run_with(crate::protocol::JobSpec { job: plan.jobs[0].clone(), workflow_env: plan.env, ..base }, stop).await;
    assert_eq!(bench.outcome.clone().unwrap().conclusion, Conclusion::Failure, "{log}");
    assert!(log.contains(&format!("\nmark=kept id={id} db=shop dir=same actions=.")), "{log}");
    let hosts = |name: &str| log.lines().any(|l| l.ends_with(name) && l.starts_with(|c: char| c.is_ascii_digit()));
    assert!(
        (hosts("cache") && hosts("store")) || log.lines().filter(|l| l.starts_with("172.") || l.starts_with("192.168.")).count() >= 2,
        "{log}"
    );
    // what a pipe hides fails where there is bash
    assert!(!log.contains("\nnot reached\n") && log.contains("\nmark= after=failed"), "{log}");
    assert_eq!(left(&docker, bench.executor.machine.tag()).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_run_in_the_container_and_can_be_cancelled() {
    let Some(docker) = engine().await else { return };
    let mut bench = Bench::new().await;
    let workflow = format!(
        r#"on: push
jobs:
  a:
    runs-on: x
    container: {{ image: "{IMAGE}", env: {{ INSIDE: "yes" }} }}
    steps:
      - id: one
        run: |
          echo "inside=$INSIDE uid=$(id -u) pwd=$PWD"; echo out; echo err >&2
          echo word=hi >> "$GITHUB_OUTPUT"; mkdir -p dist && echo made > dist/file; sleep 300 &
      - run: echo "again ${{{{ steps.one.outputs.word }}}}"; exit 4
        continue-on-error: true
      - uses: actions/upload-artifact@v4
        with: {{ name: x, path: dist }}
      - run: |
          trap 'echo interrupted; exit 1' INT
          echo begin; sleep 60 & wait
      - if: always()
        run: echo at-last
"#
    );
    let (tell, stop) = watch::channel(Stop::No);
    let host = bench.host.clone();
    let cancel = async {
        for _ in 0..400 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if String::from_utf8_lossy(&host.log.lock().unwrap()).contains("\nbegin\n") {
                break;
            }
        }
        tell.send_replace(Stop::Cancel);
    };
    let begun = std::time::Instant::now();
    let (log, ()) = tokio::join!(bench.run_with(spec(&workflow), stop), cancel);
    assert!(
        log.contains("inside=yes uid=0") && log.contains("/work/web") && log.contains("again hi") && log.contains("out\nerr\n"),
        "{log}"
    );
    assert!(log.contains("\ninterrupted") && log.contains("\nat-last"), "{log}");
    assert!(bench.host.artifacts.lock().unwrap().contains_key("x"), "{log}");
    assert_eq!(bench.outcome.clone().unwrap().conclusion, Conclusion::Cancelled);
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    assert_eq!(left(&docker, bench.executor.machine.tag()).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_containers_is_said() {
    let Some(docker) = engine().await else { return };
    let mut bench = Bench::new().await;
    for (container, expected) in [
        (format!("{{ image: \"{IMAGE}\", options: --privileged }}"), "the option `--privileged` is not supported"),
        (format!("{{ image: \"{IMAGE}\", volumes: [\"/etc:/host\"] }}"), "would show the machine's files"),
        ("{ image: \"devmentor.invalid/none:1\" }".to_owned(), "cannot be pulled"),
    ] {
        let workflow = format!("on: push\njobs:\n  a:\n    runs-on: x\n    container: {container}\n    steps:\n      - run: echo never\n");
        let log = bench.run(&workflow).await;
        assert!(log.contains(expected) && !log.contains("\nnever"), "{log}");
        let outcome = bench.outcome.clone().unwrap();
        assert_eq!((outcome.conclusion, outcome.infra_failure), (Conclusion::Failure, None));
    }
    assert_eq!(left(&docker, bench.executor.machine.tag()).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_builds_an_image() {
    let Some(docker) = engine().await else { return };
    let mut bench = Bench::new().await;
    let workflow = format!(
        r#"on: push
jobs:
  a:
    runs-on: x
    steps:
      - run: |
          mkdir -p ctx/keep && echo hi > ctx/keep/a && echo no > ctx/b.log && echo '*.log' > ctx/.dockerignore
          printf 'FROM {IMAGE} AS one\nARG WHO\nRUN echo built for $WHO > /who\nFROM scratch\nCOPY --from=one /who /who\nCOPY . /ctx\n' > ctx/Dockerfile
      - uses: docker/build-push-action@v6
        id: image
        with: {{ context: ctx, tags: "devmentor-test/made:1", build-args: "WHO=me" }}
      - run: echo "id=${{{{ steps.image.outputs.imageid }}}}"
      - uses: devmentor/build-image@v1
        with: {{ context: ctx, file: ctx/none, push: false }}
"#
    );
    let log = bench.run(&workflow).await;
    assert!(log.contains("id=sha256:"), "{log}");
    assert!(log.contains("ctx/none cannot be read"), "{log}");
    let made = docker.inspect_image("devmentor-test/made:1").await.unwrap();
    assert_eq!(made.root_fs.unwrap().layers.unwrap().len(), 2);
    let _ = docker.remove_image("devmentor-test/made:1", None::<bollard::query_parameters::RemoveImageOptions>, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_run_in_containers_of_their_own() {
    let Some(docker) = engine().await else { return };
    let mut bench = Bench::new().await;
    let text = r##"on: push
jobs:
  build:
    runs-on: x
    steps:
      - run: |
          mkdir -p made && printf 'FROM devmentor-test/shell:1\nCOPY say.sh /say.sh\nENTRYPOINT ["/bin/sh", "/say.sh"]\n' > made/Dockerfile
          printf 'echo "said $1 to $INPUT_WHO in $PWD, mood $MOOD"; echo word=$1 >> $GITHUB_OUTPUT; echo x > from-container' > made/say.sh
      - id: made
        uses: ./made
        with: { who: World }
      - run: |
          echo "got ${{ steps.made.outputs.word }} and $(cat from-container)"
      - uses: docker://devmentor-test/shell:1
        with:
          entrypoint: /bin/sh
          args: -c "echo as a step; exit 3"
"##;
    let action = "inputs: {who: {default: nobody}}\nruns: {using: docker, image: Dockerfile, args: ['hello ${{ inputs.who }}'], env: {MOOD: good}}\n";
    let (_keep, stop) = watch::channel(Stop::No);
    let spec = crate::engine::tests::spec_with(text, &[("made/action.yml", action)]);
    let log = bench.run_with(spec, stop).await;
    assert!(log.contains("said hello World to World in /"), "{log}");
    assert!(log.contains(", mood good") && log.contains("got hello World and x") && log.contains("as a step"), "{log}");
    assert!(log.contains("exit code 3"), "{log}");
    assert_eq!(bench.outcome.as_ref().unwrap().conclusion, Conclusion::Failure);
    assert_eq!(left(&docker, bench.executor.machine.tag()).await, 0);
}
