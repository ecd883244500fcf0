//! The scheduler and the runner's side on a real database: SQLite, and PostgreSQL when `TEST_DATABASE_URL` names one.

use std::collections::BTreeMap;
use std::time::Duration;

use blobs::Blobs;
use dialects::github::compile;
use executors::protocol::{JobSpec, RegisterRequest};
use kernel::{Actor, Code, Context, JobId, ProjectId, RunId, Slug, Timestamp, UserId, Visibility};
use serde_json::{Map, Value, json};
use store::account::{NewAccount, account_create};
use store::job::{JobRow, job_get, job_list};
use store::project::{ProjectRow, project_activate, project_create};
use store::run::{RunRow, run_get};
use store::{Db, DbOptions};
use web_kit::secret::Key;
use web_kit::{App, AppBuilder, Config};

use crate::runners::{claim, runner_register_local, take_back, tokens};
use crate::runs::create::{Head, NewRun, create};
use crate::schedule::finish::{End, Retry, job_end, run_cancel, run_retry};
use crate::schedule::watch;
use crate::{artifacts, caches, logs, reports, vars};

pub(crate) struct House {
    pub(crate) app: App,
    pub(crate) project: ProjectRow,
    owner: Context,
    _directory: tempfile::TempDir,
}

async fn databases() -> Vec<(tempfile::TempDir, Db)> {
    let mut all = Vec::new();
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", directory.path().join("t.db").display());
    all.push((directory, Db::open(&DbOptions::new(url)).await.unwrap()));
    if let Ok(base) = std::env::var("TEST_DATABASE_URL") {
        let name = format!("dm_{}", RunId::new().uuid().simple());
        let db = Db::connect(&DbOptions::new(base.clone())).await.unwrap();
        db.exec(&format!("CREATE DATABASE {name}"), vec![]).await.unwrap();
        db.close().await;
        let (server, _) = base.rsplit_once('/').unwrap();
        all.push((tempfile::tempdir().unwrap(), Db::open(&DbOptions::new(format!("{server}/{name}"))).await.unwrap()));
    }
    all
}

impl House {
    async fn all() -> Vec<House> {
        let mut houses = Vec::new();
        for (directory, db) in databases().await {
            houses.push(House::on(directory, db).await);
        }
        houses
    }

    pub(crate) async fn on(directory: tempfile::TempDir, db: Db) -> House {
        let config = Config::from_pairs(&BTreeMap::from([("log_limit".to_owned(), "100000".to_owned())])).unwrap();
        let blobs = Blobs::open(&format!("file:{}", directory.path().join("blobs").display())).unwrap();
        let app = crate::parts(AppBuilder::new(db, config, Key::from_hex(&"07".repeat(32)).unwrap())).with(blobs).build();
        let now = Timestamp::now();
        let mut tx = app.db().begin().await.unwrap();
        let name = Slug::parse("ann").unwrap();
        let new = NewAccount { name: &name, display_name: "Ann", email: None, password_hash: None, admin: false };
        let account = account_create(&mut tx, new).await.unwrap();
        let project = ProjectRow {
            id: ProjectId::new(),
            path: "ann/web".into(),
            namespace: "ann".into(),
            name: "web".into(),
            owner: Some(account.id),
            description: String::new(),
            visibility: Visibility::Private,
            language: None,
            topics: vec![],
            default_branch: "main".into(),
            template: None,
            state: "active".into(),
            archived_at: None,
            deleted_at: None,
            created_at: now,
            updated_at: now,
            last_activity_at: now,
            version: 1,
        };
        project_create(&mut tx, &project).await.unwrap();
        project_activate(&mut tx, project.id).await.unwrap();
        tx.commit().await.unwrap();
        let owner = Context::of(Actor::User { id: account.id, name: "ann".into(), admin: false });
        House { app, project, owner, _directory: directory }
    }

    pub(crate) async fn runner(&self, labels: &[&str], capacity: u32) -> Context {
        let request = RegisterRequest {
            registration_token: String::new(),
            name: "r".into(),
            labels: labels.iter().map(ToString::to_string).collect(),
            capacity,
            version: "0".into(),
            os: "linux".into(),
            arch: "x86_64".into(),
            capabilities: Default::default(),
            ephemeral: false,
        };
        let answer = runner_register_local(&self.app, request).await.unwrap();
        let (actor, _) = tokens::runner(self.app.clone(), answer.token).await.unwrap().unwrap();
        Context::of(actor)
    }

    async fn run(&self, workflow: &str) -> RunId {
        self.try_run(workflow, None).await.unwrap()
    }

    async fn try_run(&self, workflow: &str, dedup: Option<&str>) -> Option<RunId> {
        let compiled = compile(".github/workflows/ci.yml", workflow.as_bytes());
        let new = NewRun {
            project: self.project.clone(),
            workflow: ".github/workflows/ci.yml".into(),
            name: compiled.name,
            plan: compiled.plan,
            detected: false,
            diagnostics: compiled.diagnostics,
            event: "push",
            r#ref: "refs/heads/main".into(),
            before: None,
            head: Head { oid: "a".repeat(40), message: "title\n\nbody".into(), ..Head::default() },
            inputs: Map::new(),
            actor: self.owner.user(),
            dedup: dedup.map(str::to_owned),
            origin: Default::default(),
        };
        create(&self.app, new).await.unwrap()
    }

    async fn row(&self, run: RunId) -> RunRow {
        run_get(self.app.db(), run).await.unwrap().unwrap()
    }

    async fn jobs(&self, run: RunId) -> Vec<JobRow> {
        job_list(self.app.db(), run).await.unwrap()
    }

    /// `name=state/conclusion` of each job.
    async fn shape(&self, run: RunId) -> Vec<String> {
        let jobs = self.jobs(run).await;
        jobs.iter()
            .map(|j| format!("{}={}{}", j.name, j.state, j.conclusion.as_ref().map(|c| format!("/{c}")).unwrap_or_default()))
            .collect()
    }

    async fn claim(&self, runner: &Context, free: u32) -> Vec<JobSpec> {
        // claims are long polls: nothing within the time means nothing
        tokio::time::timeout(Duration::from_millis(2500), claim::claim(&self.app, runner, free, false))
            .await
            .map_or_else(|_| Vec::new(), |claimed| claimed.unwrap().jobs)
    }

    async fn end(&self, spec: &JobSpec, conclusion: &str, outputs: Value) -> bool {
        let length = job_get(self.app.db(), spec.job_id).await.unwrap().unwrap().log_length;
        let end = End::Reported { conclusion: conclusion.into(), outputs, log_length: length, unstable: false };
        job_end(self.app.db(), spec.job_id, spec.epoch, end).await.unwrap()
    }
}

const CHAIN: &str = r#"
on: push
jobs:
  build:
    runs-on: linux
    outputs: {v: "${{ steps.a.outputs.v }}"}
    steps: [{run: a}]
  test:
    needs: build
    runs-on: linux
    name: test ${{ needs.build.outputs.v }}
    strategy: {matrix: {n: [1, 2]}}
    steps: [{run: a}]
  clean:
    needs: test
    if: always()
    runs-on: linux
    steps: [{run: a}]
  ship:
    needs: test
    runs-on: linux
    steps: [{run: a}]
"#;

#[tokio::test]
async fn a_run_goes_from_job_to_job() {
    for h in House::all().await {
        let runner = h.runner(&["linux", "x64"], 4).await;
        let run = h.run(CHAIN).await;
        assert_eq!(h.shape(run).await, ["build=queued", "test=waiting", "clean=waiting", "ship=waiting"]);
        let specs = h.claim(&runner, 4).await;
        assert_eq!(specs.len(), 1);
        let spec = &specs[0];
        assert_eq!((spec.epoch, spec.attempt, spec.name.as_str()), (1, 1, "build"));
        assert_eq!(spec.contexts["github"]["ref_name"], "main");
        assert_eq!(spec.contexts["github"]["run_number"], "1");
        assert_eq!(spec.checkout.sha, "a".repeat(40));
        assert_eq!(h.row(run).await.state, "running");
        // its token opens its project while it runs, and not a moment longer
        let (actor, grant) = tokens::job(h.app.clone(), spec.job_token.clone()).await.unwrap().unwrap();
        assert!(matches!(actor, Actor::Job { project, .. } if project == h.project.id));
        assert!(grant.permissions.has(kernel::Permission::RepositoryRead) && !grant.permissions.has(kernel::Permission::RepositoryWrite));
        assert!(h.end(spec, "success", json!({"v": "7"})).await);
        assert!(tokens::job(h.app.clone(), spec.job_token.clone()).await.unwrap().is_none());
        assert!(!h.end(spec, "failure", json!({})).await, "a job ends once");
        assert_eq!(h.shape(run).await, ["build=completed/success", "test 7=queued", "test 7=queued", "clean=waiting", "ship=waiting"]);
        let specs = h.claim(&runner, 4).await;
        assert_eq!(specs.iter().map(|s| s.contexts["matrix"]["n"].clone()).collect::<Vec<_>>(), [json!(1), json!(2)]);
        assert_eq!(specs[0].contexts["needs"]["build"]["outputs"]["v"], "7");
        assert_eq!(specs[1].contexts["strategy"]["job-total"], 2);
        assert!(h.end(&specs[0], "failure", json!({})).await);
        // fail-fast tells the other one
        let other = job_get(h.app.db(), specs[1].job_id).await.unwrap().unwrap();
        assert_eq!(other.cancel.as_deref(), Some("cancel"));
        assert!(h.end(&specs[1], "cancelled", json!({})).await);
        let shape = h.shape(run).await;
        assert_eq!(shape[3..], ["clean=queued", "ship=completed/skipped"]);
        let ship = h.jobs(run).await.pop().unwrap();
        assert_eq!(ship.reason.as_deref(), Some("job `test`, which it needs, failed"));
        let specs = h.claim(&runner, 4).await;
        assert!(h.end(&specs[0], "success", json!({})).await);
        let row = h.row(run).await;
        assert_eq!((row.state.as_str(), row.conclusion.as_deref(), row.jobs_total, row.jobs_done), ("completed", Some("failure"), 5, 5));
        let status = store::commit_status::commit_status_list(h.app.db(), h.project.id, &"a".repeat(40)).await.unwrap();
        assert_eq!(status[0].state, "failure");
        let kinds: Vec<String> = store::event::event_recent(h.app.db(), h.project.id, None, 100)
            .await
            .unwrap()
            .into_iter()
            .map(|(_, e)| e.data.kind().to_owned())
            .collect();
        assert_eq!(kinds.iter().filter(|k| *k == "job.finished").count(), 5);
        assert_eq!(kinds[0], "run.finished");

        // only what failed, and what needs it
        run_retry(&h.app, &h.owner, run, Retry::Failed).await.unwrap();
        assert_eq!(h.shape(run).await, ["build=completed/success", "test 7=queued", "test 7=queued", "clean=waiting", "ship=waiting"]);
        for spec in h.claim(&runner, 4).await {
            assert_eq!(spec.attempt, 2);
            h.end(&spec, "success", json!({})).await;
        }
        for spec in h.claim(&runner, 4).await {
            h.end(&spec, "success", json!({})).await;
        }
        let row = h.row(run).await;
        assert_eq!((row.conclusion.as_deref(), row.attempt), (Some("success"), 2));
        assert_eq!(run_retry(&h.app, &h.owner, run, Retry::Failed).await.unwrap_err().code, Code::Conflict);
        run_retry(&h.app, &h.owner, run, Retry::All).await.unwrap();
        assert_eq!(h.shape(run).await[0], "build=queued");
    }
}

/// Jobs that end without a look at their run leave it as the others do.
#[tokio::test]
async fn the_ends_of_a_wide_matrix_add_up() {
    const WIDE: &str = "
on: push
jobs:
  wide:
    runs-on: linux
    strategy: {matrix: {n: [1, 2, 3, 4, 5]}}
    outputs: {v: x}
    steps: [{run: a}]
  alone: {runs-on: linux, steps: [{run: a}]}
  after: {needs: wide, runs-on: linux, steps: [{run: a}]}
";
    for h in House::all().await {
        let runner = h.runner(&["linux"], 10).await;
        let run = h.run(WIDE).await;
        let specs = h.claim(&runner, 10).await;
        assert_eq!(specs.len(), 6);
        let early = |s: &&JobSpec| s.contexts["matrix"]["n"].as_i64().is_some_and(|n| n < 5);
        for (done, spec) in specs.iter().filter(early).enumerate() {
            assert!(h.end(spec, "success", json!({"v": done.to_string()})).await);
            assert!(!h.end(spec, "success", json!({})).await, "a job ends once");
            let row = h.row(run).await;
            assert_eq!((row.state.as_str(), row.jobs_done, row.jobs_total), ("running", i64::try_from(done).unwrap() + 1, 7));
        }
        let status = store::commit_status::commit_status_list(h.app.db(), h.project.id, &"a".repeat(40)).await.unwrap();
        assert_eq!(status[0].description, "4 of 7 jobs done");
        // nobody needs it, and others go on
        let alone = specs.iter().find(|s| s.name == "alone").unwrap();
        assert!(h.end(alone, "success", json!({})).await);
        assert!(h.claim(&runner, 10).await.is_empty(), "`after` needs all of `wide`");
        let last = specs.iter().find(|s| s.contexts["matrix"]["n"] == 5).unwrap();
        assert!(h.end(last, "success", json!({"v": "last"})).await);
        let after = h.claim(&runner, 10).await;
        assert_eq!(after[0].contexts["needs"]["wide"]["outputs"]["v"], "last");
        assert!(h.end(&after[0], "success", json!({})).await);
        let row = h.row(run).await;
        assert_eq!((row.conclusion.as_deref(), row.jobs_done), (Some("success"), 7));
        let sealed = h.app.db().all("SELECT id FROM work WHERE kind = 'log_seal'", vec![]).await.unwrap();
        assert_eq!(sealed.len(), 7);
    }
}

#[tokio::test]
async fn the_same_push_makes_one_run_and_numbers_go_up() {
    for h in House::all().await {
        let one = h.try_run(CHAIN, Some("p1")).await.unwrap();
        assert!(h.try_run(CHAIN, Some("p1")).await.is_none());
        let two = h.try_run(CHAIN, Some("p2")).await.unwrap();
        assert_eq!((h.row(one).await.number, h.row(two).await.number), (1, 2));
        let broken = h.run("on: push\njobs: {a: {runs-on: x, steps: [{uses: $/bar}]}}").await;
        let row = h.row(broken).await;
        assert_eq!((row.state.as_str(), row.conclusion.as_deref()), ("completed", Some("failure")));
        assert_eq!(row.diagnostics[0]["code"], "unsupported_action");
    }
}

#[tokio::test]
async fn what_no_runner_can_do_says_so() {
    for h in House::all().await {
        let run = h.run("on: push\njobs: {a: {runs-on: [linux, gpu], steps: [{run: a}]}}").await;
        let job = &h.jobs(run).await[0];
        assert_eq!((job.state.as_str(), job.reason.as_deref()), ("unschedulable", Some("no runner is online")));
        let small = h.runner(&["linux"], 1).await;
        watch::unschedulable(h.app.clone()).await.unwrap();
        assert!(h.claim(&small, 1).await.is_empty());
        let big = h.runner(&["linux", "GPU"], 1).await;
        watch::unschedulable(h.app.clone()).await.unwrap();
        assert_eq!(h.jobs(run).await[0].state, "queued");
        assert_eq!(h.claim(&big, 1).await.len(), 1);
    }
}

#[tokio::test]
async fn a_lost_runner_costs_one_retry_and_is_fenced_off() {
    for h in House::all().await {
        let runner = h.runner(&["linux"], 4).await;
        let run = h.run("on: push\njobs: {a: {runs-on: linux, steps: [{run: a}]}}").await;
        let lose = async |spec: &JobSpec| {
            h.app.db().exec("UPDATE pipeline_job SET lease_until = 5 WHERE id = $1", store::args![spec.job_id]).await.unwrap();
            watch::leases(h.app.clone()).await.unwrap();
        };
        let first = h.claim(&runner, 1).await.remove(0);
        lose(&first).await;
        let old = job_get(h.app.db(), first.job_id).await.unwrap().unwrap();
        assert!(old.superseded && old.infra_failure.is_some());
        assert!(!h.end(&first, "success", json!({})).await, "the old lease ends nothing");
        let second = h.claim(&runner, 1).await.remove(0);
        assert_eq!(second.attempt, 2);
        assert_ne!(second.job_id, first.job_id);
        lose(&second).await;
        lose(&second).await;
        let row = h.row(run).await;
        assert_eq!(row.conclusion.as_deref(), Some("failure"));
        let job = &h.jobs(run).await[0];
        assert_eq!(job.infra_failure.as_deref(), Some("the runner stopped answering"));
        assert!(h.claim(&runner, 1).await.is_empty());
    }
}

#[tokio::test]
async fn a_job_that_never_reached_its_runner_is_handed_out_again_at_once() {
    for h in House::all().await {
        let runner = h.runner(&["linux"], 4).await;
        let Actor::Runner(id) = runner.actor else { panic!("a runner") };
        h.run("on: push\njobs: {a: {runs-on: linux, steps: [{run: a}]}, b: {runs-on: linux, steps: [{run: b}]}}").await;
        let (first, second) = (h.claim(&runner, 1).await.remove(0), h.claim(&runner, 1).await.remove(0));
        append(&h, &second, 0, "it began").await.unwrap();
        take_back(&h.app, id, &[second.job_id]).await.unwrap();
        let again = h.claim(&runner, 1).await.remove(0);
        assert_eq!((again.job_id, again.epoch, again.attempt), (first.job_id, 2, 1), "the same try, under a new lease");
        assert!(!h.end(&first, "success", json!({})).await, "the lease that was lost ends nothing");
        take_back(&h.app, id, &[again.job_id]).await.unwrap();
        let begun = job_get(h.app.db(), second.job_id).await.unwrap().unwrap();
        assert_eq!(begun.infra_failure.as_deref(), Some("the runner no longer has it"), "what began has been tried");
        assert!(h.end(&again, "success", json!({})).await);
    }
}

#[tokio::test]
async fn cancelling_reaches_every_state() {
    for h in House::all().await {
        let runner = h.runner(&["linux"], 1).await;
        let run = h
            .run("on: push\njobs:\n  a: {runs-on: linux, steps: [{run: a}]}\n  b: {runs-on: linux, steps: [{run: a}]}\n  c: {runs-on: linux, needs: a, steps: [{run: a}]}\n  d: {runs-on: linux, needs: a, if: always(), steps: [{run: a}]}")
            .await;
        let spec = h.claim(&runner, 1).await.remove(0);
        run_cancel(&h.app, &h.owner, run).await.unwrap();
        assert_eq!(h.shape(run).await, ["a=running", "b=completed/cancelled", "c=waiting", "d=waiting"]);
        assert_eq!(h.jobs(run).await[0].cancel.as_deref(), Some("cancel"));
        h.end(&spec, "cancelled", json!({})).await;
        assert_eq!(h.shape(run).await, ["a=completed/cancelled", "b=completed/cancelled", "c=completed/cancelled", "d=queued"]);
        let spec = h.claim(&runner, 1).await.remove(0);
        h.end(&spec, "success", json!({})).await;
        assert_eq!(h.row(run).await.conclusion.as_deref(), Some("cancelled"));
        assert_eq!(run_cancel(&h.app, &h.owner, run).await.unwrap_err().code, Code::Conflict);
        let stranger = Context::of(Actor::User { id: UserId::new(), name: "x".into(), admin: false });
        assert_eq!(run_cancel(&h.app, &stranger, run).await.unwrap_err().code, Code::NotFound);
    }
}

#[tokio::test]
async fn groups_and_limits_hold_back() {
    for h in House::all().await {
        let runner = h.runner(&["linux"], 8).await;
        let wide =
            h.run("on: push\njobs: {a: {runs-on: linux, strategy: {max-parallel: 2, matrix: {n: [1, 2, 3]}}, steps: [{run: a}]}}").await;
        assert_eq!(h.shape(wide).await, ["a (1)=queued", "a (2)=queued", "a (3)=waiting"]);
        assert_eq!(h.jobs(wide).await[2].reason.as_deref(), Some("max-parallel: 2 at a time"));
        let specs = h.claim(&runner, 8).await;
        h.end(&specs[0], "success", json!({})).await;
        assert_eq!(h.shape(wide).await[2], "a (3)=queued");

        let group = |extra: &str| {
            format!(
                "on: push\nconcurrency: {{group: 'X-${{{{ github.ref }}}}'{extra}}}\njobs: {{g: {{runs-on: other, steps: [{{run: a}}]}}}}"
            )
        };
        let first = h.run(&group("")).await;
        let second = h.run(&group("")).await;
        let third = h.run(&group("")).await;
        assert!(h.row(third).await.blocked && !h.row(first).await.blocked);
        assert_eq!(h.row(second).await.conclusion.as_deref(), Some("cancelled"), "the newest waits, the older one that waited goes");
        let newest = h.run(&group(", cancel-in-progress: true")).await;
        assert_eq!(h.row(first).await.conclusion.as_deref(), Some("cancelled"));
        assert_eq!(h.row(third).await.conclusion.as_deref(), Some("cancelled"));
        let queued = store::work::work_claim(h.app.db(), "t", 100).await.unwrap();
        for work in queued.into_iter().filter(|w| w.kind == "run_advance") {
            crate::runs::jobs::run_advance(h.app.clone(), work).await.unwrap();
        }
        assert!(!h.row(newest).await.blocked);
        assert_eq!(h.jobs(newest).await[0].state, "unschedulable");
    }
}

#[tokio::test]
async fn a_waiting_claim_is_woken_at_once() {
    for h in House::all().await {
        let runner = h.runner(&["linux"], 2).await;
        let (app, ctx) = (h.app.clone(), runner.clone());
        let waiting = tokio::spawn(async move {
            let specs = claim::claim(&app, &ctx, 1, false).await.unwrap().jobs;
            (tokio::time::Instant::now(), specs.len())
        });
        tokio::time::sleep(Duration::from_millis(200)).await;
        let begun = tokio::time::Instant::now();
        h.run("on: push\njobs: {a: {runs-on: linux, steps: [{run: a}]}}").await;
        let (at, count) = waiting.await.unwrap();
        assert_eq!(count, 1);
        assert!(at - begun < Duration::from_secs(2), "{:?}", at - begun);
    }
}

async fn append(h: &House, spec: &JobSpec, offset: u64, text: &str) -> kernel::Result<u64> {
    let mut tx = h.app.db().begin().await?;
    let stored = job_get(&mut tx, spec.job_id).await?.unwrap().log_length;
    let acked =
        logs::log_append(&mut tx, &h.app, spec.job_id, spec.epoch, stored, offset, &logs::Chunk::new(text.to_owned().into())).await?;
    tx.commit().await?;
    Ok(acked)
}

async fn whole_log(h: &House, job: JobId) -> Vec<u8> {
    let row = job_get(h.app.db(), job).await.unwrap().unwrap();
    let mut all = Vec::new();
    loop {
        let bytes = logs::log_read(&h.app, &row, all.len() as u64).await.unwrap();
        if bytes.is_empty() {
            return all;
        }
        all.extend_from_slice(&bytes);
    }
}

#[tokio::test]
async fn logs_are_addressed_by_offset_and_sealed() {
    for h in House::all().await {
        let runner = h.runner(&["linux"], 2).await;
        let run = h.run("on: push\njobs: {a: {runs-on: linux, steps: [{run: a}]}}").await;
        let spec = h.claim(&runner, 1).await.remove(0);
        assert_eq!(append(&h, &spec, 0, "hello ").await.unwrap(), 6);
        assert_eq!(append(&h, &spec, 0, "hello ").await.unwrap(), 6, "a repeated chunk changes nothing");
        assert_eq!(append(&h, &spec, 3, "lo world").await.unwrap(), 11, "an overlap is dropped");
        assert_eq!(append(&h, &spec, 50, "gap").await.unwrap_err().code, Code::Conflict);
        let stale = JobSpec { epoch: 0, ..spec.clone() };
        assert_eq!(append(&h, &stale, 11, "x").await.unwrap_err().code, Code::StaleEpoch);
        let early = End::Reported { conclusion: "success".into(), outputs: json!({}), log_length: 99, unstable: false };
        assert_eq!(job_end(h.app.db(), spec.job_id, spec.epoch, early).await.unwrap_err().code, Code::Conflict);
        // over the limit of 100,000 the end is cut, and the job does not care
        let mut at = 11;
        for _ in 0..3 {
            at = append(&h, &spec, at, &"x".repeat(60_000)).await.unwrap();
        }
        assert_eq!(at, 180_011);
        let open = whole_log(&h, spec.job_id).await;
        assert!(open.starts_with(b"hello world") && open.ends_with(b"left out.\n") && open.len() > 100_000 && open.len() < 101_000);
        assert!(h.end(&spec, "success", json!({})).await);
        let works = store::work::work_claim(h.app.db(), "t", 100).await.unwrap();
        for work in works.into_iter().filter(|w| w.kind == "log_seal") {
            logs::log_seal(h.app.clone(), work.clone()).await.unwrap();
            logs::log_seal(h.app.clone(), work).await.unwrap();
        }
        let row = job_get(h.app.db(), spec.job_id).await.unwrap().unwrap();
        assert!(row.log_digest.is_some());
        assert!(store::job_log::log_segment(h.app.db(), spec.job_id, 0).await.unwrap().is_none());
        assert_eq!(whole_log(&h, spec.job_id).await, open);
        assert_eq!(h.row(run).await.conclusion.as_deref(), Some("success"));
    }
}

#[tokio::test]
async fn secrets_go_into_jobs_only() {
    let web = vars::Of::Project("ann/web");
    let new = |value| vars::New { value, protected: None };
    for h in House::all().await {
        vars::secret_put(&h.app, &h.owner, web, "api_key", new("hush")).await.unwrap();
        vars::variable_put(&h.app, &h.owner, web, "COLOR", new("red")).await.unwrap();
        assert!(vars::secret_put(&h.app, &h.owner, web, "GITHUB_X", new("x")).await.is_err());
        assert!(vars::secret_put(&h.app, &h.owner, web, "1x", new("x")).await.is_err());
        let runner = h.runner(&["red"], 2).await;
        h.run("on: push\njobs: {a: {runs-on: '${{ vars.COLOR }}', steps: [{run: a}]}}").await;
        let spec = h.claim(&runner, 1).await.remove(0);
        assert_eq!(spec.secrets["API_KEY"], "hush");
        assert_eq!(spec.secrets["GITHUB_TOKEN"], spec.job_token);
        assert_eq!(spec.contexts["vars"]["COLOR"], "red");
        let kept = store::secret::values_of(h.app.db(), h.project.id, "ann", None, true).await.unwrap();
        let sealed = kept.iter().find_map(|v| if let store::secret::Content::Secret(s) = &v.content { Some(s) } else { None });
        assert!(!sealed.unwrap().windows(4).any(|w| w == b"hush"));
        vars::secret_remove(&h.app, &h.owner, web, "API_KEY").await.unwrap();
        assert_eq!(vars::secret_remove(&h.app, &h.owner, web, "API_KEY").await.unwrap_err().code, Code::NotFound);
    }
}

#[tokio::test]
async fn reports_artifacts_and_caches_belong_to_the_run() {
    use executors::protocol::ReportKind;
    for h in House::all().await {
        let runner = h.runner(&["linux"], 2).await;
        let run = h.run("on: push\njobs: {a: {runs-on: linux, steps: [{run: a}]}}").await;
        let spec = h.claim(&runner, 1).await.remove(0);
        let job = job_get(h.app.db(), spec.job_id).await.unwrap().unwrap();
        for (kind, text) in [
            (
                ReportKind::Junit,
                "<testsuite name='s'><testcase name='ok' time='0.5'/><testcase name='bad'><failure message='no'/></testcase></testsuite>",
            ),
            (ReportKind::Junit, "<testsuite name='t'><testcase name='more'/></testsuite>"),
            (ReportKind::Lcov, "SF:a.rs\nDA:1,1\nDA:2,0\nend_of_record\n"),
            (ReportKind::Summary, "# Hi"),
        ] {
            let parsed = reports::parse(kind, "f", text.as_bytes().to_vec().into()).await.unwrap();
            let mut tx = h.app.db().begin().await.unwrap();
            reports::record(&mut tx, &job, parsed).await.unwrap();
            tx.commit().await.unwrap();
        }
        assert_eq!(reports::parse(ReportKind::Junit, "f", "junk".into()).await.unwrap_err().code, Code::Unprocessable);
        let totals = store::report::test_totals(h.app.db(), run).await.unwrap();
        assert_eq!((totals.passed, totals.failed, totals.duration_ms), (2, 1, 500));
        let page = store::report::test_list(h.app.db(), run, None, None, 2).await.unwrap();
        assert_eq!(page.len(), 2);
        let rest = store::report::test_list(h.app.db(), run, None, Some((page[1].job_id, page[1].seq)), 2).await.unwrap();
        assert_eq!(rest[0].name, "more");
        assert_eq!(store::report::test_list(h.app.db(), run, Some("failed"), None, 9).await.unwrap()[0].message.as_deref(), Some("no"));
        assert_eq!(store::report::coverage_list(h.app.db(), run).await.unwrap()[0].lines_valid, 2);
        assert_eq!(store::report::summary_list(h.app.db(), run).await.unwrap()[0].markdown, "# Hi");

        let mut zip = b"PK\x05\x06\0\0\0\0\x02\0\x02\0".to_vec();
        zip.extend([0; 10]);
        let stored = artifacts::store(&h.app, h.project.id, axum::body::Body::from(zip)).await.unwrap();
        let mut tx = h.app.db().begin().await.unwrap();
        for bad in ["", "../x", "a/b", ".hidden"] {
            assert_eq!(
                artifacts::record(&mut tx, &h.app, &job, bad, &stored, artifacts::Wish::default()).await.unwrap_err().code,
                Code::ValidationFailed
            );
        }
        assert_eq!(artifacts::record(&mut tx, &h.app, &job, "site", &stored, artifacts::Wish::default()).await.unwrap().files, 2);
        tx.commit().await.unwrap();
        assert_eq!(artifacts::list_for_job(&h.app, run).await.unwrap().items[0].name, "site");
        h.app.db().exec("UPDATE artifact SET expires_at = 1", vec![]).await.unwrap();
        artifacts::artifact_expire(h.app.clone()).await.unwrap();
        assert!(artifacts::list_for_job(&h.app, run).await.unwrap().items.is_empty());
        assert_eq!(artifacts::open(&h.app, h.project.id, &stored.digest.to_string()).await.unwrap_err().code, Code::Gone);

        caches::cache_store(&h.app, &job, "deps-abc", axum::body::Body::from("one")).await.unwrap();
        assert_eq!(caches::cache_find(&h.app, &job, "deps-abc", &[], "").await.unwrap().unwrap().key, "deps-abc");
        assert_eq!(caches::cache_find(&h.app, &job, "deps-xyz", &["deps-"], "").await.unwrap().unwrap().key, "deps-abc");
        assert!(caches::cache_find(&h.app, &job, "other", &["o%"], "").await.unwrap().is_none());
        // what is too old goes, and the test with its last result
        let all = |which| store::test::test_page(h.app.db(), h.project.id, which, "", None, 10);
        assert_eq!(all(store::test::Which::All).await.unwrap().len(), 3);
        let later = Timestamp(Timestamp::now().millis() + 60_000);
        assert!(store::test::tests_expire(h.app.db(), later, 10).await.unwrap());
        assert!(all(store::test::Which::All).await.unwrap().is_empty());
        assert!(!store::test::tests_expire(h.app.db(), later, 10).await.unwrap());
    }
}

#[tokio::test]
async fn a_long_chunk_is_packed_and_read_from_anywhere() {
    for h in House::all().await {
        let runner = h.runner(&["linux"], 2).await;
        h.run("on: push\njobs: {a: {runs-on: linux, steps: [{run: a}]}}").await;
        let spec = h.claim(&runner, 1).await.remove(0);
        let long: String = (0..4_000).map(|n| format!("line {n} of a log\n")).collect();
        assert_eq!(append(&h, &spec, 0, "short\n").await.unwrap(), 6);
        assert_eq!(append(&h, &spec, 6, &long).await.unwrap(), 6 + long.len() as u64);
        // overlaps what is there: only its end is new
        let more = format!("{}the end\n", &long[long.len() - 9000..]);
        let end = 6 + long.len() as u64 + 8;
        assert_eq!(append(&h, &spec, 6 + long.len() as u64 - 9000, &more).await.unwrap(), end);
        let whole = format!("short\n{long}the end\n").into_bytes();
        assert!(whole_log(&h, spec.job_id).await == whole);
        let kept = h.app.db().opt("SELECT SUM(LENGTH(data)) AS n FROM job_log WHERE job_id = $1", store::args![spec.job_id]).await.unwrap();
        assert!(kept.unwrap().get::<i64>("n").unwrap() < i64::try_from(long.len()).unwrap() / 2);
        let row = job_get(h.app.db(), spec.job_id).await.unwrap().unwrap();
        for at in [0usize, 5, 6, 7, 50_000, whole.len() - 9, whole.len() - 1] {
            let bytes = logs::log_read(&h.app, &row, at as u64).await.unwrap();
            assert!(!bytes.is_empty() && whole[at..].starts_with(&bytes), "{at}");
        }
    }
}
