//! Whole jobs with real processes against a host in memory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use bytes::Bytes;
use dialects::jenkins::interp::{Answer, Question};
use kernel::{JobId, ProjectId, RunId};
use serde_json::json;

use super::*;
use crate::host::{ByteStream, DeployState};
use crate::protocol::{Annotation, ArtifactItem, Checkout, ProjectRef, ReportKind, Reported, Severity};
use crate::sandbox::{Limits, MachineConfig};
use crate::spawn::once;

/// Everything a job told the outside.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) log: Mutex<Vec<u8>>,
    pub(crate) rows: Mutex<BTreeMap<u32, StepUpdate>>,
    pub(crate) annotations: Mutex<Vec<Annotation>>,
    pub(crate) reports: Mutex<Vec<(ReportKind, String, Bytes)>>,
    pub(crate) artifacts: Mutex<BTreeMap<String, Vec<u8>>>,
    pub(crate) caches: Mutex<BTreeMap<String, Vec<u8>>>,
    pub(crate) blobs: Mutex<BTreeMap<String, Vec<u8>>>,
    pub(crate) manifests: Mutex<BTreeMap<String, Bytes>>,
    pub(crate) quiet: bool,
    pub(crate) bytes: Mutex<u64>,
}

#[async_trait::async_trait]
impl JobHost for Memory {
    async fn log(&self, bytes: Bytes) -> HostResult<()> {
        *self.bytes.lock().unwrap() += bytes.len() as u64;
        if !self.quiet {
            self.log.lock().unwrap().extend_from_slice(&bytes);
        }
        Ok(())
    }
    async fn step(&self, step: StepUpdate) -> HostResult<()> {
        self.rows.lock().unwrap().insert(step.index, step);
        Ok(())
    }
    async fn annotate(&self, annotation: Annotation) -> HostResult<()> {
        self.annotations.lock().unwrap().push(annotation);
        Ok(())
    }
    async fn report(&self, kind: ReportKind, name: &str, body: Bytes) -> HostResult<Reported> {
        self.reports.lock().unwrap().push((kind, name.to_owned(), body));
        Ok(Reported::default())
    }
    async fn artifact_put(&self, name: &str, zip: &Path, _: Option<Duration>) -> HostResult<()> {
        self.artifacts.lock().unwrap().insert(name.to_owned(), std::fs::read(zip)?);
        Ok(())
    }
    async fn artifact_list(&self) -> HostResult<Vec<ArtifactItem>> {
        let all = self.artifacts.lock().unwrap();
        Ok(all
            .iter()
            .map(|(n, z)| ArtifactItem { name: n.clone(), size: z.len() as u64, digest: crate::image::digest(z), content_type: None })
            .collect())
    }
    async fn artifact_get(&self, name: &str) -> HostResult<ByteStream> {
        Ok(once(self.artifacts.lock().unwrap()[name].clone()))
    }
    async fn cache_get(&self, key: &str, restore: &[String]) -> HostResult<Option<(String, ByteStream)>> {
        let all = self.caches.lock().unwrap();
        let hit = all.get_key_value(key).or_else(|| all.iter().find(|(k, _)| restore.iter().any(|r| k.starts_with(r))));
        Ok(hit.map(|(k, v)| (k.clone(), once(v.clone()))))
    }
    async fn cache_put(&self, key: &str, archive: &Path) -> HostResult<()> {
        self.caches.lock().unwrap().insert(key.to_owned(), std::fs::read(archive)?);
        Ok(())
    }
    async fn blob_exists(&self, repository: &str, digest: &str) -> HostResult<bool> {
        Ok(self.blobs.lock().unwrap().contains_key(&format!("{repository}@{digest}")))
    }
    async fn blob_put(&self, repository: &str, digest: &str, file: &Path) -> HostResult<()> {
        let bytes = std::fs::read(file)?;
        assert_eq!(crate::image::digest(&bytes), digest);
        self.blobs.lock().unwrap().insert(format!("{repository}@{digest}"), bytes);
        Ok(())
    }
    async fn manifest_put(&self, repository: &str, reference: &str, _: &str, body: Bytes) -> HostResult<String> {
        let digest = crate::image::digest(&body);
        self.manifests.lock().unwrap().insert(format!("{repository}:{reference}"), body);
        Ok(digest)
    }
    async fn deploy(&self, _: &str, environment: &str, image: Option<&str>, _: Option<serde_json::Value>) -> HostResult<DeployState> {
        Ok(DeployState {
            id: format!("{environment} {}", image.unwrap_or_default()),
            state: "running".into(),
            conclusion: None,
            reason: None,
            url: None,
            steps: vec![],
        })
    }
    async fn question(&self, question: &Question) -> HostResult<Option<Answer>> {
        let values = question.parameters.iter().map(|p| (p.name.clone(), p.default.clone())).collect();
        Ok(Some(Answer { proceed: question.message != "no?", values, by: "ann".into() }))
    }
    fn rest(&self, _: bool) {}
    async fn milestone(&self, ordinal: i64) -> HostResult<Option<i64>> {
        Ok((ordinal > 5).then_some(9))
    }
    async fn deploy_state(&self, id: &str) -> HostResult<DeployState> {
        let url = Some("http://app.test".to_owned());
        let steps = vec![("start".to_owned(), "done".to_owned())];
        Ok(DeployState { id: id.into(), state: "completed".into(), conclusion: Some("success".into()), reason: None, url, steps })
    }
}

/// A job of a workflow, with what the tests need.
pub(crate) struct Bench {
    _base: tempfile::TempDir,
    pub(crate) executor: Executor,
    pub(crate) host: Arc<Memory>,
    pub(crate) outcome: Option<Outcome>,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let base = tempfile::tempdir().unwrap();
        let config = MachineConfig {
            root: base.path().join("runner"),
            hidden: vec![],
            limits: Limits::default(),
            pass_env: vec![],
            docker_host: None,
            keep: crate::sandbox::KeepLimits::default(),
        };
        let machine = Machine::prepare(config).await.unwrap();
        let executor = Executor { machine, name: "bench".into(), version: "0".into() };
        Self { _base: base, executor, host: Arc::default(), outcome: None }
    }

    /// Runs the first job of a workflow.
    pub(crate) async fn run(&mut self, workflow: &str) -> String {
        let (_keep, stop) = watch::channel(Stop::No);
        self.run_with(spec(workflow), stop).await
    }

    pub(crate) async fn run_with(&mut self, spec: JobSpec, stop: watch::Receiver<Stop>) -> String {
        self.host.log.lock().unwrap().clear();
        self.host.rows.lock().unwrap().clear();
        let host: Arc<dyn JobHost> = self.host.clone();
        let outcome = self.executor.run(&spec, host, stop).await.unwrap();
        assert_eq!(outcome.log_length, *self.host.bytes.lock().unwrap());
        *self.host.bytes.lock().unwrap() = 0;
        self.outcome = Some(outcome);
        String::from_utf8(self.host.log.lock().unwrap().clone()).unwrap()
    }

    fn conclusion(&self) -> Conclusion {
        self.outcome.as_ref().unwrap().conclusion
    }

    /// `name: conclusion` of every row.
    fn rows(&self) -> Vec<String> {
        let rows = self.host.rows.lock().unwrap();
        rows.values().map(|r| format!("{}: {}", r.name, r.conclusion.map_or("-", Conclusion::as_str))).collect()
    }
}

pub(crate) fn spec(workflow: &str) -> JobSpec {
    spec_with(workflow, &[])
}

/// With the files of actions, all in the run's own commit.
pub(crate) fn spec_with(workflow: &str, files: &[(&str, &str)]) -> JobSpec {
    use dialects::github::{Found, Library, compile_with};
    let mut library = Library::default();
    let compiled = loop {
        let compiled = compile_with(".github/workflows/ci.yml", workflow.as_bytes(), &library);
        if compiled.wants.is_empty() {
            break compiled;
        }
        for want in compiled.wants {
            let file = files.iter().find(|(path, _)| *path == want.path);
            let found = file.map_or(Found::Absent, |(_, text)| Found::File { bytes: text.as_bytes().to_vec(), pin: None });
            library.insert(want, found);
        }
    };
    let plan = compiled.plan.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics));
    let contexts = json!({
        "github": { "event_name": "push", "repository": "acme/web", "event": { "number": 7 }, "run_number": 1, "ref_name": "main" },
        "vars": { "COLOR": "blue" }, "matrix": { "os": "linux" }, "needs": {}, "inputs": {},
    });
    let serde_json::Value::Object(contexts) = contexts else { unreachable!() };
    JobSpec {
        job_id: JobId::new(),
        run_id: RunId::new(),
        epoch: 1,
        attempt: 1,
        name: "build".into(),
        project: ProjectRef { id: ProjectId::new(), path: "acme/web".into() },
        job: plan.jobs[0].clone(),
        workflow_env: plan.env,
        defaults: plan.defaults,
        contexts,
        secrets: BTreeMap::from([("KEY".to_owned(), "hunter2-secret".to_owned())]),
        checkout: Checkout {
            url: "http://127.0.0.1:1/acme/web.git".into(),
            token: "tok-checkout".into(),
            sha: "a".repeat(40),
            r#ref: "refs/heads/main".into(),
        },
        api_url: "http://127.0.0.1:1".into(),
        registry_host: "127.0.0.1:1".into(),
        job_token: "job-token-value".into(),
        timeout_seconds: 600,
        services: None,
        resume: None,
    }
}

fn workflow(body: &str) -> String {
    format!("on: push\nenv:\n  LEVEL: workflow\n  SHARED: w\njobs:\n  build:\n    runs-on: x\n    env:\n      LEVEL: job\n{body}")
}

#[tokio::test(flavor = "multi_thread")]
async fn environment_outputs_and_contexts() {
    let mut bench = Bench::new().await;
    let log = bench
        .run(&workflow(
            r#"    outputs:
      word: ${{ steps.say.outputs.word }}
      bad: ${{ secrets.KEY }}
    steps:
      - id: say
        env: { LEVEL: step }
        run: |
          echo "level=$LEVEL shared=$SHARED color=${{ vars.COLOR }} os=${{ matrix.os }} ci=$CI"
          echo "word=hello" >> "$GITHUB_OUTPUT"
          printf 'MULTI<<EOF\none\ntwo\nEOF\nLEVEL=file\n' >> "$GITHUB_ENV"
          mkdir -p "$RUNNER_TEMP/bin" && printf '#!/bin/sh\necho tool-ran\n' > "$RUNNER_TEMP/bin/mytool" && chmod +x "$RUNNER_TEMP/bin/mytool"
          echo "$RUNNER_TEMP/bin" >> "$GITHUB_PATH"
          echo "Done with hunter2-secret" >> "$GITHUB_STEP_SUMMARY"
      - run: |
          echo "level=$LEVEL multi=${MULTI//$'\n'/,} word=${{ steps.say.outputs.word }} again=${{ env.MULTI != '' }}"
          mytool; pwd; echo "$GITHUB_REPOSITORY $GITHUB_EVENT_NAME"; cat "$GITHUB_EVENT_PATH"
      - env: { LEVEL: step }
        run: echo "level=$LEVEL ${{ env.LEVEL }}"
        working-directory: /
"#,
        ))
        .await;
    assert_eq!(bench.conclusion(), Conclusion::Success, "{log}");
    assert!(log.contains("level=step shared=w color=blue os=linux ci=true"), "{log}");
    assert!(log.contains("level=file multi=one,two word=hello again=true"), "{log}");
    assert!(log.contains("tool-ran\n") && log.contains("/work/web\n") && log.contains("acme/web push\n{\"number\":7}"), "{log}");
    assert!(log.contains("level=step step"), "{log}");
    let outcome = bench.outcome.as_ref().unwrap();
    assert_eq!(outcome.outputs, BTreeMap::from([("word".to_owned(), "hello".to_owned())]));
    assert!(log.contains("Skip output 'bad'"));
    let reports = bench.host.reports.lock().unwrap();
    assert_eq!(reports[0].0, ReportKind::Summary);
    assert_eq!(&reports[0].2[..], b"Done with ***\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_failures_and_annotations() {
    let mut bench = Bench::new().await;
    let log = bench
        .run(&workflow(
            r#"    steps:
      - id: soft
        continue-on-error: true
        run: exit 3
      - run: echo "soft ${{ steps.soft.outcome }} ${{ steps.soft.conclusion }}"
      - run: |
          echo "::warning file=src/a.rs,line=3::look here"
          echo "::add-mask::mysterious"
          echo "this is mysterious and hunter2-secret and $(printf hunter2-secret | base64)"
          echo "::stop-commands::tok3n"
          echo "::error::not a command"
          echo "::tok3n::"
          echo "::set-output name=x::y"
          false | true
      - name: broken
        shell: bash
        run: false | true
      - run: echo never
      - if: failure()
        run: echo on-failure ${{ job.status }}
      - if: always()
        run: echo at-last
"#,
        ))
        .await;
    assert_eq!(bench.conclusion(), Conclusion::Failure);
    assert!(log.contains("soft failure success"), "{log}");
    assert!(log.contains("this is *** and *** and ***"), "{log}");
    assert!(
        log.contains("\n::error::not a command\n")
            && !log.contains("\nnever")
            && log.contains("on-failure failure")
            && log.contains("at-last"),
        "{log}"
    );
    let rows = bench.rows();
    assert_eq!(rows[1], "Run exit 3: success");
    assert_eq!(rows[4], "broken: failure");
    assert_eq!(rows[5], "Run echo never: skipped");
    let annotations = bench.host.annotations.lock().unwrap();
    let warning = annotations.iter().find(|a| a.severity == Severity::Warning).unwrap();
    assert_eq!((warning.file.as_deref(), warning.line, warning.message.as_str()), (Some("src/a.rs"), Some(3), "look here"));
    assert!(annotations.iter().any(|a| a.message == "Process completed with exit code 1."));
    // each step's range cuts out its own output
    let rows = bench.host.rows.lock().unwrap();
    let row = &rows[&7];
    let part = &log[usize::try_from(row.log_from.unwrap()).unwrap()..usize::try_from(row.log_to.unwrap()).unwrap()];
    assert!(part.starts_with("##[group]Run echo at-last") && part.ends_with("at-last\n"), "{part}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_stops_the_step_and_always_runs() {
    let mut bench = Bench::new().await;
    let (tell, stop) = watch::channel(Stop::No);
    let spec = spec(&workflow(
        r#"    steps:
      - run: |
          trap 'echo interrupted; exit 1' INT
          echo begin; sleep 60 & wait
      - run: echo never
      - if: cancelled()
        run: echo was-cancelled
      - if: always()
        run: echo at-last
"#,
    ));
    let begun = std::time::Instant::now();
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(900)).await;
        tell.send_replace(Stop::Cancel);
    };
    let (log, ()) = tokio::join!(bench.run_with(spec, stop), cancel);
    assert_eq!(bench.conclusion(), Conclusion::Cancelled);
    assert!(
        log.contains("\ninterrupted") && log.contains("\nwas-cancelled") && log.contains("\nat-last") && !log.contains("\nnever"),
        "{log}"
    );
    assert!(begun.elapsed() < Duration::from_secs(7));
    assert_eq!(bench.rows()[1], "Run trap 'echo interrupted; exit 1' INT: cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn timeouts_of_steps_and_jobs() {
    let mut bench = Bench::new().await;
    let log = bench
        .run(&workflow(
            "    steps:\n      - run: sleep 60\n        timeout-minutes: 0.01\n      - if: failure()\n        run: echo after\n",
        ))
        .await;
    assert!(log.contains("timed out after") && log.contains("\nafter"), "{log}");
    assert_eq!(bench.conclusion(), Conclusion::Failure);
    let (_keep, stop) = watch::channel(Stop::No);
    let mut short = spec(&workflow("    steps:\n      - run: sleep 60\n"));
    short.timeout_seconds = 1;
    let log = bench.run_with(short, stop).await;
    assert_eq!(bench.conclusion(), Conclusion::Cancelled);
    assert!(log.contains("maximum execution time"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_file_commands_fail_the_step() {
    let mut bench = Bench::new().await;
    let log = bench
        .run(&workflow(
            r#"    steps:
      - run: echo "a<<EOF" >> "$GITHUB_OUTPUT"
      - if: always()
        run: echo "::set-env name=A::b"
      - if: always()
        run: rm "$GITHUB_OUTPUT" 2>/dev/null; ln -s /etc/passwd "$GITHUB_OUTPUT" 2>/dev/null; echo done
"#,
        ))
        .await;
    assert!(log.contains("Matching delimiter not found 'EOF'"), "{log}");
    assert!(log.contains("the `set-env` command is off"), "{log}");
    assert!(!log.contains("root:x:0"), "{log}");
    assert_eq!(bench.rows()[1].rsplit(": ").next(), Some("failure"));
    assert_eq!(bench.rows()[2].rsplit(": ").next(), Some("failure"));
}

#[tokio::test(flavor = "multi_thread")]
async fn artifacts_caches_and_reports() {
    let mut bench = Bench::new().await;
    let text = workflow(
        r#"    steps:
      - uses: actions/cache@v4
        id: cache
        with: { path: "~/.store", key: "k-${{ hashFiles('none') }}-1", restore-keys: k- }
      - run: |
          echo "hit=${{ steps.cache.outputs.cache-hit }}"; cat ~/.store/data 2>/dev/null || true
          mkdir -p ~/.store dist/sub reports; echo cached > ~/.store/data
          echo one > dist/a; echo two > dist/sub/b; ln -s /etc/passwd dist/link
          echo '<testsuite><testcase name="t"/></testsuite>' > reports/junit.xml
          echo '<coverage/>' > "$DEVMENTOR_REPORTS/cov.xml"
      - uses: actions/upload-artifact@v4
        with: { name: "site-${{ strategy.job-index }}", path: dist, overwrite: true }
      - uses: actions/download-artifact@v4
        with: { name: "site-${{ strategy.job-index }}", path: got }
      - run: cat got/a got/sub/b; ls got; id -u; stat -c %u got/a
      - uses: devmentor/report@v1
        with: { junit: "reports/*.xml" }
"#,
    );
    let log = bench.run(&text).await;
    assert_eq!(bench.conclusion(), Conclusion::Success, "{log}");
    assert!(log.contains("hit=false") && log.contains("one\ntwo\na\nsub\n"), "{log}");
    let kinds: Vec<ReportKind> = bench.host.reports.lock().unwrap().iter().map(|r| r.0).collect();
    assert_eq!(kinds, [ReportKind::Junit, ReportKind::Cobertura]);
    assert!(bench.rows().iter().any(|r| r.starts_with("Post Run actions/cache@v4: success")), "{:?}", bench.rows());
    let log = bench.run(&text).await;
    assert!(log.contains("hit=true\ncached"), "{log}");
    assert!(!bench.rows().iter().any(|r| r.starts_with("Post")));
}

#[tokio::test(flavor = "multi_thread")]
async fn tool_chains_of_the_machine() {
    let mut bench = Bench::new().await;
    let log = bench
        .run(&workflow(
            r#"    steps:
      - uses: actions/setup-python@v5
        with: { python-version: ">=3.8" }
      - run: python -c 'import sys; print("py", sys.version_info[0])'; pip --version
      - uses: actions/setup-node@v4
        with: { node-version: "99" }
        continue-on-error: true
      - uses: dtolnay/rust-toolchain@stable
      - run: cargo --version
      - shell: python
        run: print("from python")
"#,
        ))
        .await;
    assert_eq!(bench.conclusion(), Conclusion::Success, "{log}");
    assert!(log.contains("py 3") && log.contains("from python"), "{log}");
    assert!(log.contains("Node.js 99 was asked for; this runner has"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_megabytes_of_log_arrive_whole() {
    let mut bench = Bench::new().await;
    bench.host = Arc::new(Memory { quiet: true, ..Memory::default() });
    let (_keep, stop) = watch::channel(Stop::No);
    let script = "    steps:\n      - run: yes 'a line of the log that is about sixty-three characters long...' | head -c 104857600\n";
    let host: Arc<dyn JobHost> = bench.host.clone();
    let outcome = bench.executor.run(&spec(&workflow(script)), host, stop).await.unwrap();
    assert_eq!(outcome.conclusion, Conclusion::Success);
    let rows = bench.host.rows.lock().unwrap();
    let row = &rows[&1];
    let length = row.log_to.unwrap() - row.log_from.unwrap();
    assert!((104_857_600..104_857_600 + 1000).contains(&length), "{length}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_without_an_engine_and_a_deployment() {
    let mut bench = Bench::new().await;
    let log = bench
        .run(&workflow(
            r#"    steps:
      - run: |
          mkdir -p root && echo hi > root/index.html
          printf 'FROM scratch\nCOPY root /srv\nEXPOSE 80\n' > Dockerfile
      - uses: devmentor/build-image@v1
        id: image
        with: { tags: "latest\nv1" }
        if: env.NO_DOCKER == ''
      - uses: devmentor/deploy@v1
        with: { environment: production, image: v1 }
"#,
        ))
        .await;
    if crate::docker::available(None).await.is_some() {
        // the engine cannot push to a registry that is not there
        assert!(log.contains("Pushing 127.0.0.1:1/acme/web:latest"), "{log}");
        return;
    }
    assert_eq!(bench.conclusion(), Conclusion::Success, "{log}");
    assert_eq!(bench.host.manifests.lock().unwrap().keys().collect::<Vec<_>>(), ["acme/web:latest", "acme/web:v1"]);
    assert!(log.contains("production answers at http://app.test"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_each_step_used_is_told() {
    let mut bench = Bench::new().await;
    let log = bench
        .run(&workflow(
            r#"    steps:
      - run: |
          i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done
          head -c 20000000 /dev/zero > big; sync big
      - run: head -c 60000000 /dev/zero | tail -c 60000000 > /dev/null
      - run: 'true'
      - if: ${{ false }}
        run: 'true'
"#,
        ))
        .await;
    assert_eq!(bench.conclusion(), Conclusion::Success, "{log}");
    let rows = bench.host.rows.lock().unwrap();
    let used: Vec<_> = rows.values().map(|r| r.usage).collect();
    let (busy, big, idle) = (used[1].unwrap(), used[2].unwrap(), used[3].unwrap());
    let cpu = |u: crate::protocol::Usage| u.cpu_user_ms.unwrap() + u.cpu_system_ms.unwrap();
    assert!(cpu(busy) > 200 && cpu(busy) > 3 * cpu(idle), "{used:?}");
    assert!((20_000_000..40_000_000).contains(&busy.written_bytes.unwrap()), "{used:?}");
    assert!(idle.written_bytes.unwrap() < 1_000_000, "{used:?}");
    if bench.executor.machine.capabilities().cgroups {
        let (big, idle) = (big.memory_peak_bytes.unwrap(), idle.memory_peak_bytes.unwrap());
        assert!((60_000_000..120_000_000).contains(&big) && idle < 30_000_000, "{used:?}");
    }
    assert_eq!((used[0], used[4]), (None, None), "nothing is known of what ran no program");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_goes_on_from_the_step_that_failed() {
    let mut bench = Bench::new().await;
    let text = workflow(
        r#"    outputs:
      word: ${{ steps.make.outputs.word }}
    steps:
      - id: make
        run: |
          echo made > file; mkdir bin; printf '#!/bin/sh\necho tool-ran\n' > bin/tool; chmod +x bin/tool
          echo "$PWD/bin" >> "$GITHUB_PATH"
          printf 'KEPT=one\nTOKEN=${{ github.token }}\n' >> "$GITHUB_ENV"
          echo "word=hello" >> "$GITHUB_OUTPUT"
          echo "::add-mask::mysterious"
          echo once >> count
      - name: Try
        run: |
          echo "KEPT=$KEPT word=${{ steps.make.outputs.word }} token=$TOKEN hidden=mysterious"
          tool
          echo "KEPT=two" >> "$GITHUB_ENV"
          if [ -f tried ]; then echo again > second; else touch tried; exit 3; fi
      - if: always()
        run: echo "status=${{ job.status }} KEPT=$KEPT"
      - run: cat file count second
"#,
    );
    let mut spec = spec(&text);
    spec.job_token = "first-token".into();
    let (_keep, stop) = watch::channel(Stop::No);
    let log = bench.run_with(spec.clone(), stop.clone()).await;
    assert_eq!(bench.outcome.as_ref().unwrap().kept, Some(2), "{log}");
    assert!(log.contains("status=failure KEPT=two"), "{log}");
    let first = spec.job_id;
    assert_eq!(bench.executor.machine.kept(), [first.to_string()]);

    let resume = Some(crate::protocol::Resume { job: first, step: 2 });
    let next = JobSpec { job_id: JobId::new(), job_token: "second-token".into(), attempt: 2, resume, ..spec.clone() };
    // the token of the second try is what the environment holds now; it is masked like the first
    let log = bench.run_with(JobSpec { ..next.clone() }, stop.clone()).await;
    assert_eq!(bench.conclusion(), Conclusion::Success, "{log}");
    assert!(log.contains("KEPT=one word=hello token=*** hidden=***") && log.contains("tool-ran\n"), "{log}");
    assert!(log.contains("made\nonce\nagain\n"), "{log}");
    assert!(!log.contains("first-token") && !log.contains("second-token") && !log.contains("mysterious"), "{log}");
    assert_eq!(bench.outcome.as_ref().unwrap().outputs["word"], "hello");
    {
        let rows = bench.host.rows.lock().unwrap();
        let from: Vec<_> = rows.values().map(|r| r.taken_from).collect();
        assert_eq!(from, [None, Some(first), None, None, None, None]);
        assert_eq!((rows[&1].conclusion, rows[&1].log_from), (Some(Conclusion::Success), None));
        assert!(rows[&1].usage.is_some());
    }
    assert!(bench.executor.machine.kept().is_empty());

    // what was used is gone, and nothing is run instead
    let log = bench.run_with(JobSpec { job_id: JobId::new(), ..next }, stop).await;
    let outcome = bench.outcome.clone().unwrap();
    assert_eq!((outcome.conclusion, outcome.infra_failure), (Conclusion::Failure, None), "{log}");
    assert!(log.contains("no longer on this machine") && !log.contains("tool-ran"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fail_by_itself_is_not_kept() {
    let mut bench = Bench::new().await;
    let steps = "    steps:\n      - run: exit 1\n        continue-on-error: true\n      - run: 'true'\n";
    bench.run(&workflow(steps)).await;
    assert_eq!(bench.outcome.as_ref().unwrap().kept, None);
    let (tell, stop) = watch::channel(Stop::No);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(700)).await;
        tell.send_replace(Stop::Cancel);
        std::future::pending::<()>().await;
    });
    bench.run_with(spec(&workflow("    steps:\n      - run: sleep 60\n")), stop).await;
    assert_eq!((bench.conclusion(), bench.outcome.as_ref().unwrap().kept), (Conclusion::Cancelled, None));
    assert!(bench.executor.machine.kept().is_empty());
}
