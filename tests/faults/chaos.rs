//! Many runs while the server, the runner, a job's container or the database's connections die at random moments: every job
//! ends once, and no word of a log that was acknowledged is lost.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{Answer, Api, Clone, Database, Runner, Server, databases, try_run, until};

use crate::{events, quiet, text};

/// Runs on each database; `CHAOS_RUNS` asks for another number.
const RUNS: usize = 100;
/// Runs that go on at once.
const OPEN: usize = 16;
/// Lines that each job writes.
const LINES: usize = 40;
const IMAGE: &str = "devmentor-test/chaos:1";

const WORKFLOW: &str = r#"on: workflow_dispatch
jobs:
  one:
    runs-on: remote
    steps:
      - run: for i in $(seq LINES); do echo "line $i."; sleep 0.01; done
  two:
    runs-on: remote
    container: CONTAINER
    steps:
      - run: for i in $(seq LINES); do echo "line $i."; sleep 0.01; done
  last:
    needs: [one, two]
    runs-on: remote
    steps:
      - run: for i in $(seq LINES); do echo "line $i."; done
"#;

/// An image of the machine's own shell.
const MAKE_IMAGE: &str = r#"set -e
d=$(mktemp -d); mkdir "$d/bin"
for p in sh bash sleep seq cat mkdir rm kill env test id; do
    f=$(readlink -f "$(PATH=/bin:/usr/bin which $p)"); cp "$f" "$d/bin/$p"
    for l in $(ldd "$f" | grep -o '/[^ ]*'); do mkdir -p "$d$(dirname "$l")"; cp -L "$l" "$d$l"; done
done
tar -C "$d" -c . | docker import -c 'CMD ["/bin/sh", "-c", "while :; do sleep 1000; done"]' - "$1"
rm -r "$d""#;

/// Numbers that follow from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// Asks until there is an answer, as a client does whose server comes back.
fn ask(api: &Api, method: &str, path: &str, body: Option<&Value>) -> Answer {
    until(&format!("{method} {path}"), Duration::from_secs(60), || {
        let body = body.map(|b| ("application/json", b.to_string().into_bytes()));
        api.try_send(method, path, body).ok().filter(|a| a.status < 500 && a.status != 409)
    })
}

struct House {
    server: Server,
    runner: Runner,
    ann: Api,
    database: Database,
    containers: bool,
    struck: BTreeMap<&'static str, usize>,
}

impl House {
    fn new(database: Database) -> Self {
        let containers = try_run(Path::new("/"), "docker", &["info"], &[]).status.success();
        if containers {
            let made = try_run(Path::new("/"), "sh", &["-c", MAKE_IMAGE, "sh", IMAGE], &[]);
            assert!(made.status.success(), "{made:?}");
        } else {
            let why = std::env::var("TEST_NO_DOCKER").expect("no Docker engine answers: run the tests with `make test`");
            eprintln!("not tested with containers: {why}");
        }
        let server = Server::start_with(database, &quiet());
        let token = server.user_token("ann");
        let ann = server.anonymous().token(&token);
        ann.post("/projects/create", &json!({ "name": "app" })).expect(201);
        let clone = Clone::of(server.url(), &token, "ann/app", &server.scratch("clones").join("app"));
        clone.git(&["checkout", "-q", "-B", "main"]);
        let workflow = WORKFLOW.replace("LINES", &LINES.to_string());
        let workflow = if containers { workflow.replace("CONTAINER", IMAGE) } else { workflow.replace("    container: CONTAINER\n", "") };
        clone.write(".github/workflows/ci.yml", &workflow);
        clone.push("a workflow");
        let runner = Runner::start_with(&server, Some(8));
        Self { server, runner, ann, database, containers, struck: BTreeMap::new() }
    }

    /// One thing dies.
    fn strike(&mut self, dice: &mut Dice) {
        let what = ["server", "runner", "container", "connections"][usize::try_from(dice.below(4)).unwrap()];
        match what {
            "runner" => {
                self.runner.kill();
                self.runner.restart();
            }
            "container" if self.containers => {
                let filter = format!("ancestor={IMAGE}");
                let found = try_run(Path::new("/"), "docker", &["ps", "-q", "--filter", &filter], &[]).stdout;
                let found = String::from_utf8(found).unwrap();
                let Some(id) = found.lines().next() else { return };
                // it may end by itself before
                try_run(Path::new("/"), "docker", &["kill", id], &[]);
            }
            "connections" if self.database == Database::Postgres => {
                let others =
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
                self.server.sql(&[others]);
            }
            _ => {
                self.server.kill();
                std::thread::sleep(Duration::from_millis(dice.below(400)));
                self.server.restart();
                *self.struck.entry("server").or_default() += 1;
                return;
            }
        }
        *self.struck.entry(what).or_default() += 1;
    }

    fn runs(&self) -> Vec<Value> {
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let page = ask(&self.ann, "GET", &format!("/projects/ann%2Fapp/runs?limit=100{after}"), None).expect(200);
            found.extend(page.items());
            match page.json["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return found,
            }
        }
    }
}

fn survive(database: Database) {
    let wanted = std::env::var("CHAOS_RUNS").ok().map_or(RUNS, |n| n.parse().unwrap());
    let seed = u64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() & 0xffff_ffff).unwrap() | 1;
    eprintln!("seed {seed}");
    let mut dice = Dice(seed);
    let mut house = House::new(database);
    let mut made = Vec::new();
    let begun = Instant::now();
    loop {
        let open = made.len() - house.runs().iter().filter(|r| r["state"] == "completed").count();
        for n in made.len()..wanted.min(made.len() + OPEN.saturating_sub(open)) {
            let once = house.ann.header("idempotency-key", &format!("run-{n}"));
            let run = ask(&once, "POST", "/projects/ann%2Fapp/build", Some(&json!({ "workflow": "ci.yml" }))).expect(201);
            made.push(text(&run.json["runs"][0], "id").to_owned());
        }
        if made.len() == wanted && open == 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(500 + dice.below(2500)));
        assert!(begun.elapsed() < Duration::from_secs(600), "seed {seed}: {open} runs have not ended: {:#?}", house.runs());
        // what was begun last is left in peace, so that it ends
        if made.len() < wanted || begun.elapsed() < Duration::from_secs(400) {
            house.strike(&mut dice);
        }
    }
    eprintln!("{} runs in {} s, struck: {:?}", made.len(), begun.elapsed().as_secs(), house.struck);

    let found = house.runs();
    assert_eq!(found.len(), wanted, "seed {seed}: a run was made twice or lost");
    let admin = house.server.admin();
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    for (kind, field) in [("job.finished", "job"), ("run.finished", "run")] {
        for event in events(&admin, kind) {
            *ends.entry(text(&event["data"], field).to_owned()).or_default() += 1;
        }
    }
    let mut good = 0;
    for id in &made {
        let run = house.ann.get(&format!("/runs/{id}")).expect(200).json;
        assert_eq!(ends.get(id), Some(&1), "seed {seed}: ends of {run:#}");
        let jobs = run["jobs"].as_array().unwrap();
        for job in jobs {
            let id = text(job, "id");
            assert_eq!(job["state"], "completed", "seed {seed}: {job:#}");
            assert_eq!(ends.get(id), Some(&1), "seed {seed}: ends of {job:#}");
            let log = house.ann.get(&format!("/jobs/{id}/log")).expect(200).text();
            let lines: Vec<&str> = log.lines().filter(|l| l.contains("line ") && l.ends_with('.') && !l.contains("echo")).collect();
            for (at, line) in lines.iter().enumerate() {
                assert!(line.ends_with(&format!("line {}.", at + 1)), "seed {seed}: line {} of {job:#}\n{log}", at + 1);
            }
            if job["conclusion"] == "success" {
                assert_eq!(lines.len(), LINES, "seed {seed}: {job:#}\n{log}");
            }
        }
        // each job ended well at most once, and the run says what its last tries say
        for key in ["one", "two", "last"] {
            let well = jobs.iter().filter(|j| j["key"] == key && j["conclusion"] == "success").count();
            assert!(well <= 1, "seed {seed}: {key} in {run:#}");
        }
        let last: Vec<&Value> = jobs.iter().filter(|j| j["superseded"] != true).collect();
        let well = last.iter().all(|j| j["conclusion"] == "success");
        assert_eq!(run["conclusion"] == "success", well, "seed {seed}: {run:#}");
        good += usize::from(well);
    }
    // a job is tried again once when its machine fails; only what was struck twice, or in its container, ends badly
    eprintln!("{good} of {wanted} went well");
    assert!(good > wanted / 4, "seed {seed}: only {good} of {wanted} runs went well");
}

#[test]
fn everything_dies_on_sqlite() {
    survive(Database::Sqlite);
}

#[test]
fn everything_dies_on_postgres() {
    if databases().contains(&Database::Postgres) {
        survive(Database::Postgres);
    }
}
