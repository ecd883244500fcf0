//! The scheduler under a virtual clock: runs arrive, runners take jobs, vanish and come back late, for many seeds, over the
//! real store. What must hold: no job is lost, none runs twice at once, groups hold, nobody starves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dialects::github::compile;
use kernel::{Actor, JobId, RunId, RunnerId, Timestamp};
use serde_json::{Map, json};
use store::job::{JobRow, job_claim, job_get, job_list, job_renew, job_running};
use store::run::run_get;
use store::runner::runner_touch;
use store::work::{work_claim, work_finish};
use store::{Db, DbOptions};

use crate::runs::create::{Head, NewRun, create_at};
use crate::runs::jobs::run_advance;
use crate::schedule::finish::{End, job_end_at};
use crate::schedule::watch::leases_at;
use crate::tests::House;

const SEEDS: u64 = 200;
const LEASE: Duration = Duration::from_secs(30);

const KINDS: [&str; 4] = [
    "on: push\njobs:\n  a: {runs-on: x, steps: [{run: 'true'}]}\n",
    "on: push\njobs:\n  a: {runs-on: x, steps: [{run: 'true'}]}\n  b: {needs: a, if: always(), runs-on: x, steps: [{run: 'true'}]}\n",
    "on: push\njobs:\n  g: {runs-on: x, concurrency: one, steps: [{run: 'true'}]}\n",
    "on: push\njobs:\n  m: {runs-on: x, strategy: {matrix: {v: [1, 2]}, fail-fast: false}, steps: [{run: 'true'}]}\n",
];

/// xorshift64*: the same seed, the same story.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % sides
    }
}

struct World {
    house: House,
    runners: Vec<RunnerId>,
    /// Who believes to hold what: a runner that vanished believes it for ever.
    held: Vec<(RunnerId, JobId, i64, bool)>,
    runs: Vec<RunId>,
    now: Timestamp,
    seed: u64,
}

impl World {
    async fn arrive(&mut self, dice: &mut Dice) {
        let kind = KINDS[usize::try_from(dice.roll(4)).unwrap()];
        let compiled = compile(".github/workflows/ci.yml", kind.as_bytes());
        let mut project = self.house.project.clone();
        project.namespace = format!("n{}", dice.roll(3));
        let event = ["push", "schedule", "workflow_dispatch"][usize::try_from(dice.roll(3)).unwrap()];
        let new = NewRun {
            project,
            workflow: ".github/workflows/ci.yml".into(),
            name: "ci".into(),
            plan: compiled.plan,
            detected: false,
            diagnostics: Vec::new(),
            event,
            r#ref: "refs/heads/main".into(),
            before: None,
            head: Head { oid: "a".repeat(40), message: "m".into(), ..Head::default() },
            inputs: Map::new(),
            actor: None,
            dedup: None,
            origin: Default::default(),
        };
        self.runs.extend(create_at(&self.house.app, new, self.now).await.unwrap());
    }

    async fn take(&mut self, runner: RunnerId, free: i64) -> usize {
        let mut tx = self.house.app.db().begin().await.unwrap();
        let jobs = job_claim(&mut tx, &["x".to_owned()], runner, self.now, self.now.plus(LEASE), free).await.unwrap();
        tx.commit().await.unwrap();
        for job in &jobs {
            let alive = self.held.iter().find(|(_, id, epoch, gone)| *id == job.id && *epoch == job.epoch && !gone);
            assert!(alive.is_none(), "seed {}: {} has two holders", self.seed, job.id);
            self.held.push((runner, job.id, job.epoch, false));
        }
        jobs.len()
    }

    /// The holder tells the end. One whose lease was lost is not believed.
    async fn end(&mut self, at: usize, conclusion: &str) {
        let (_, id, epoch, gone) = self.held.swap_remove(at);
        let before = job_get(self.house.app.db(), id).await.unwrap().unwrap();
        let length = before.log_length;
        let end = End::Reported { conclusion: conclusion.into(), outputs: json!({}), log_length: length, unstable: false };
        let believed = job_end_at(self.house.app.db(), id, epoch, end, self.now).await.unwrap();
        let holds = before.state == "running" && before.epoch == epoch;
        assert_eq!(believed, holds, "seed {}: {id} of {epoch} (vanished: {gone})", self.seed);
    }

    async fn tick(&mut self, by: u64) {
        self.now = self.now.plus(Duration::from_secs(by));
        let db = self.house.app.db().clone();
        for runner in &self.runners {
            runner_touch(&db, *runner, self.now).await.unwrap();
        }
        let mut tx = db.begin().await.unwrap();
        for (runner, id, epoch, gone) in &self.held {
            if !gone {
                job_renew(&mut tx, *id, *runner, *epoch, self.now.plus(LEASE)).await.unwrap();
            }
        }
        tx.commit().await.unwrap();
        leases_at(&self.house.app, self.now).await.unwrap();
        for work in work_claim(&db, "sim", 100).await.unwrap() {
            if work.kind == "run_advance" {
                run_advance(self.house.app.clone(), work.clone()).await.unwrap();
            }
            work_finish(&db, &work, Ok(())).await.unwrap();
        }
        self.check(&db).await;
    }

    async fn check(&self, db: &Db) {
        let running = job_running(db, 1000).await.unwrap();
        let mut jobs = BTreeSet::new();
        let mut groups = BTreeMap::new();
        for job in &running {
            assert!(jobs.insert((job.run, job.key.clone(), job.cell)), "seed {}: {} runs twice", self.seed, job.name);
            if let Some(group) = &job.concurrency_group {
                let n = groups.entry((job.project, group.clone())).or_insert(0);
                *n += 1;
                assert_eq!(*n, 1, "seed {}: two of the group {group} run", self.seed);
            }
        }
    }

    async fn open(&self) -> usize {
        let mut open = 0;
        for run in &self.runs {
            open += usize::from(run_get(self.house.app.db(), *run).await.unwrap().unwrap().state != "completed");
        }
        open
    }
}

async fn world() -> World {
    // in memory where there is such a directory: it is the order of things that is tried, not the disk
    let shm = std::path::Path::new("/dev/shm");
    let directory = if shm.is_dir() { tempfile::tempdir_in(shm).unwrap() } else { tempfile::tempdir().unwrap() };
    let db = Db::open(&DbOptions::new(format!("sqlite:{}", directory.path().join("t.db").display()))).await.unwrap();
    let house = House::on(directory, db).await;
    let mut runners = Vec::new();
    for _ in 0..3 {
        let Actor::Runner(id) = house.runner(&["x"], 2).await.actor else { panic!("a runner") };
        runners.push(id);
    }
    World { house, runners, held: Vec::new(), runs: Vec::new(), now: Timestamp::now(), seed: 0 }
}

#[tokio::test]
async fn whatever_happens_every_job_ends_once() {
    let mut w = world().await;
    for seed in 1..=SEEDS {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        w.seed = seed;
        w.runs.clear();
        for _ in 0..8 {
            if dice.roll(2) == 0 && w.runs.len() < 5 {
                w.arrive(&mut dice).await;
            }
            let runner = w.runners[usize::try_from(dice.roll(3)).unwrap()];
            let busy = w.held.iter().filter(|(r, _, _, gone)| *r == runner && !gone).count();
            if dice.roll(3) > 0 && busy < 2 {
                w.take(runner, i64::try_from(2 - busy).unwrap()).await;
            }
            if !w.held.is_empty() && dice.roll(3) > 0 {
                let at = usize::try_from(dice.roll(w.held.len() as u64)).unwrap();
                w.end(at, ["success", "success", "failure"][usize::try_from(dice.roll(3)).unwrap()]).await;
            }
            if dice.roll(6) == 0 {
                // its jobs are lost, and it may still speak of them much later
                for held in w.held.iter_mut().filter(|(r, ..)| *r == runner) {
                    held.3 = true;
                }
            }
            w.tick(1 + dice.roll(20)).await;
        }
        // calm: everything comes to its end
        let mut rounds = 0;
        while w.open().await > 0 {
            rounds += 1;
            assert!(rounds < 60, "seed {seed}: {} runs never end", w.open().await);
            for runner in w.runners.clone() {
                w.take(runner, 2).await;
            }
            while !w.held.is_empty() {
                w.end(0, "success").await;
            }
            w.tick(16).await;
        }
        for run in &w.runs {
            let jobs: Vec<JobRow> = job_list(w.house.app.db(), *run).await.unwrap();
            assert!(!jobs.is_empty() && jobs.iter().all(|j| j.conclusion.is_some()), "seed {seed}: a job was lost");
        }
    }
}

#[tokio::test]
async fn shares_are_fair_and_nothing_starves() {
    let mut w = world().await;
    let plan = compile(".github/workflows/ci.yml", KINDS[0].as_bytes()).plan;
    let base = NewRun {
        project: w.house.project.clone(),
        workflow: ".github/workflows/ci.yml".into(),
        name: "ci".into(),
        plan,
        detected: false,
        diagnostics: Vec::new(),
        event: "push",
        r#ref: "refs/heads/main".into(),
        before: None,
        head: Head { oid: "a".repeat(40), message: "m".into(), ..Head::default() },
        inputs: Map::new(),
        actor: None,
        dedup: None,
        origin: Default::default(),
    };
    let run_of = |namespace: &str, event: &'static str| {
        let mut new = NewRun { event, ..base.clone() };
        new.project.namespace = namespace.to_owned();
        new
    };
    // a flood of one namespace, and behind it one job of another: it is the second to start
    for _ in 0..20 {
        create_at(&w.house.app, run_of("flood", "push"), w.now).await.unwrap();
    }
    w.now = w.now.plus(Duration::from_secs(5));
    let small = create_at(&w.house.app, run_of("small", "push"), w.now).await.unwrap().unwrap();
    let runner = w.runners[0];
    w.take(runner, 1).await;
    w.take(runner, 1).await;
    let of = |id| {
        let db = w.house.app.db().clone();
        async move { job_get(&db, id).await.unwrap().unwrap() }
    };
    assert_eq!((of(w.held[0].1).await.namespace, of(w.held[1].1).await.run), ("flood".to_owned(), small));
    // what somebody waits for comes before what the clock started, until that has waited long enough
    let clock = create_at(&w.house.app, run_of("one", "schedule"), w.now).await.unwrap().unwrap();
    w.now = w.now.plus(Duration::from_secs(60));
    let hand = create_at(&w.house.app, run_of("one", "workflow_dispatch"), w.now).await.unwrap().unwrap();
    w.now = w.now.plus(Duration::from_secs(700));
    create_at(&w.house.app, run_of("one", "workflow_dispatch"), w.now).await.unwrap().unwrap();
    let mut order = Vec::new();
    while order.len() < 3 {
        let had = w.held.len();
        assert_eq!(w.take(runner, 1).await, 1);
        let job = job_get(w.house.app.db(), w.held[had].1).await.unwrap().unwrap();
        if job.namespace == "one" {
            order.push(job.run);
        }
        // no namespace has anything running any more, so that only the turn decides
        while !w.held.is_empty() {
            w.end(0, "success").await;
        }
    }
    assert_eq!(order[..2], [hand, clock]);
}
