//! The main path, from nothing to a deployed and observed application, with the real git, docker, skopeo and command
//! line: `path` walks all of it on both databases and both targets, `templates` every template's own workflow, `builds`
//! builds that were asked for, `downstream` pipelines that start pipelines, `gitlab` those in the language of GitLab,
//! `steps` what people do with the steps of a job.

mod builds;
mod downstream;
mod gitlab;
mod jenkins;
mod path;
mod steps;
mod templates;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use testkit::{Api, Cli, Clone, Database, Server, ServerOptions, try_run, until};

/// A Docker address where nobody answers.
const NO_DOCKER: &str = "unix:///nonexistent/docker.sock";

/// Compiling from nothing on a busy machine takes its time.
const LONG: Duration = Duration::from_secs(900);

/// Why Docker cannot be had on this machine, if it cannot; nothing else is a reason to go without.
fn without_docker() -> Option<String> {
    if try_run(Path::new("/"), "docker", &["info"], &[]).status.success() {
        return None;
    }
    let why = std::env::var("TEST_NO_DOCKER").expect("no Docker engine answers: run the tests with `make test`");
    eprintln!("not tested with Docker: {why}");
    Some(why)
}

/// One user, at the command line and with a token.
struct Person {
    server: Server,
    api: Api,
    token: String,
    cli: Cli,
    home: PathBuf,
}

impl Person {
    fn new(database: Database, target: &str) -> Self {
        let mut options = ServerOptions::default();
        if target == "process" {
            options = options.set("docker_host", NO_DOCKER);
        }
        let server = Server::start_with(database, &options);
        let token = server.user_token("ann");
        let api = server.anonymous().token(&token);
        let home = server.scratch("home");
        let cli = Cli::signed_in(&home, server.url(), &token);
        Self { server, api, token, cli, home }
    }

    fn clone_of(&self, project: &str) -> Clone {
        let clone = Clone::of(self.server.url(), &self.token, project, &self.server.scratch("clones").join(project.replace('/', "-")));
        clone.git(&["checkout", "-q", "-B", "main"]);
        clone
    }

    /// The run of a commit, as soon as there is one.
    fn run_of(&self, project: &str, commit: &str) -> Value {
        let path = format!("/projects/{}/runs?commit={commit}", project.replace('/', "%2F"));
        until("a run of the commit", Duration::from_secs(60), || self.api.get(&path).expect(200).items().first().cloned())
    }

    /// Waits for the end of a run; the run with its jobs.
    fn ended(&self, run: &str) -> Value {
        until("the run is over", LONG, || {
            let run = self.api.get(&format!("/runs/{run}")).expect(200).json;
            (run["state"] == "completed").then_some(run)
        })
    }

    /// The stored log of each of a run's jobs, to be shown when a test fails.
    fn logs(&self, run: &Value) -> String {
        let jobs = run["jobs"].as_array().into_iter().flatten();
        jobs.map(|job| {
            let log = self.api.get(&format!("/jobs/{}/log", text(job, "id")));
            format!("=== {} {} {}\n{}\n", job["name"], job["conclusion"], job["reason"], log.text())
        })
        .collect()
    }

    /// Holds a run to its success.
    #[track_caller]
    fn green(&self, run: &Value) {
        assert_eq!(run["conclusion"], "success", "{}", self.logs(run));
    }
}

#[track_caller]
fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no text {key} in {value:#}"))
}

/// Requests without a pause until it is ended.
struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Seen>>,
}

/// What one thread of a load met.
#[derive(Default)]
struct Seen {
    made: usize,
    bodies: Vec<String>,
    /// All that was not answered with 200.
    wrong: Vec<String>,
}

impl Load {
    fn on(url: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..3)
            .map(|_| {
                let (stop, url) = (Arc::clone(&stop), url.to_owned());
                std::thread::spawn(move || {
                    let (api, mut seen) = (Api::new(&url), Seen::default());
                    while !stop.load(Ordering::Relaxed) {
                        match api.try_send("GET", "/", None) {
                            Ok(answer) if answer.status == 200 => {
                                let body = answer.text().trim().to_owned();
                                if !seen.bodies.contains(&body) {
                                    seen.bodies.push(body);
                                }
                            }
                            Ok(answer) => seen.wrong.push(format!("{} {}", answer.status, answer.text())),
                            Err(error) => seen.wrong.push(error),
                        }
                        seen.made += 1;
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    seen
                })
            })
            .collect();
        Self { stop, threads }
    }

    /// What was seen, sorted; panics when a request was refused.
    fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for thread in self.threads {
            let Seen { made, bodies, wrong } = thread.join().unwrap();
            assert!(wrong.is_empty(), "{} of {made} requests failed: {:?}", wrong.len(), wrong.first());
            assert!(made > 10, "only {made} requests");
            all.extend(bodies);
        }
        all.sort();
        all.dedup();
        all
    }
}
