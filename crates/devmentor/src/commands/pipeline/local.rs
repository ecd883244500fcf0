//! `pipeline run`: the pipeline of the working directory, on this machine, with the engine of the service.
//!
//! An instance of the service is started on a loopback port, with a directory of its own, for as long as the run takes. So
//! matrices, caches, artifacts, services and called workflows are what they are on a server, because it is one.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use area_build::workflows::here::{self, HereRequest};
use console::{Color, Style, Term};
use egress::Method;
use kernel::{Actor, Code, Context, Error};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;
use web_kit::{Config, secret};

use super::super::{artifact, run as runs};
use crate::api::{Api, segment};
use crate::args::{Global, RunHere};
use crate::failure::{Failure, Result};
use crate::output::{LogFilter, line, plain, raw, size, state, text};

/// Whose the runs are.
const USER: &str = "admin";
/// How often the run is looked at.
const LOOK: Duration = Duration::from_millis(150);
/// Longest name of a job before its lines.
const MAX_PREFIX: usize = 28;

/// Runs what was asked for, and fails when it fails.
pub(super) async fn run(asked: &RunHere, global: &Global) -> Result {
    let dir = std::env::current_dir()?;
    let (root, branch) = here::look(&dir).map_err(told)?;
    let secrets = secrets(&asked.secrets)?;
    let home = Home::open(asked.state.as_deref(), &root)?;
    let instance = Instance::start(&home, asked.capacity, &root).await?;
    let outcome = tokio::select! {
        outcome = instance.play(asked, global, &branch, &secrets) => outcome,
        () = twice() => Err(Failure::Failed("interrupted".to_owned())),
    };
    instance.running.stop().await;
    outcome
}

/// What went wrong in the service, for somebody who runs it.
fn told(error: Error) -> Failure {
    let cause = error.source.as_ref().map(|s| format!(": {s}")).unwrap_or_default();
    let more = error.fields.iter().filter(|f| !error.detail.contains(&f.message));
    let fields: String = more.map(|f| format!("\n  {}: {}", f.field, f.message)).collect();
    let message = format!("{}{cause}{fields}", error.detail);
    match error.code {
        Code::InvalidRequest | Code::ValidationFailed => Failure::Usage(message),
        Code::NotFound => Failure::NotFound(message),
        _ => Failure::Failed(message),
    }
}

/// `NAME=VALUE`, or `NAME` of the environment.
fn secrets(given: &[String]) -> Result<BTreeMap<String, String>> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => {
            let value = std::env::var(text).map_err(|_| Failure::Usage(format!("the environment has no {text} for --secret")))?;
            Ok((text.clone(), value))
        }
    };
    given.iter().map(pair).collect()
}

/// Where the instance of a working directory keeps what it has.
struct Home {
    dir: PathBuf,
    token: String,
    _lock: fs::File,
}

impl Home {
    fn open(given: Option<&Path>, root: &Path) -> Result<Self> {
        let dir = match given {
            Some(dir) => std::path::absolute(dir)?,
            None => cache()?.join("devmentor/local").join(own_name(root)),
        };
        if dir.starts_with(root) && given.is_some() {
            return Err(Failure::Usage("--state lies in the working directory: it would be part of what is run".to_owned()));
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let lock = fs::File::create(dir.join("in-use"))?;
        lock.try_lock().map_err(|_| Failure::Failed(format!("another run of {} is going on", root.display())))?;
        let file = dir.join("token");
        let token = match fs::read_to_string(&file) {
            Ok(token) => token.trim().to_owned(),
            Err(_) => {
                let token = secret::token("dmp");
                let mut options = fs::OpenOptions::new();
                let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(file)?;
                std::io::Write::write_all(&mut file, token.as_bytes())?;
                token
            }
        };
        Ok(Self { dir, token, _lock: lock })
    }
}

fn cache() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    set("XDG_CACHE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .ok_or_else(|| Failure::Usage("there is no home directory; give --state".to_owned()))
}

/// A directory's name, told from others of the same name.
fn own_name(root: &Path) -> String {
    let hash = Sha256::digest(root.as_os_str().as_encoded_bytes());
    let short: String = hash.iter().take(4).map(|b| format!("{b:02x}")).collect();
    format!("{}-{short}", project_name(root))
}

/// The name of the directory as a project may be called.
fn project_name(root: &Path) -> String {
    let name = root.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    let mut out = String::new();
    for c in name.chars().take(60) {
        let c = if c.is_ascii_alphanumeric() || c == '.' || c == '_' { c } else { '-' };
        // signs only between letters
        if c.is_ascii_alphanumeric() || !out.is_empty() && !out.ends_with(['-', '.', '_']) {
            out.push(c);
        }
    }
    let out = out.trim_end_matches(['-', '.', '_']).to_owned();
    if out.is_empty() || kernel::Slug::parse(&out).is_err() { "project".to_owned() } else { out }
}

/// The service, for as long as the run takes.
struct Instance {
    running: server::Running,
    api: Api,
    root: PathBuf,
}

impl Instance {
    async fn start(home: &Home, capacity: Option<u16>, root: &Path) -> Result<Self> {
        // taken and given back: the service binds it at once
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let settings = [
            ("listen", format!("127.0.0.1:{port}")),
            ("data_dir", home.dir.display().to_string()),
            ("admin_token", home.token.clone()),
            ("runner_capacity", capacity.map_or(cores, usize::from).to_string()),
            ("rate_limit", "10000000".to_owned()),
            ("drain_seconds", "2".to_owned()),
        ];
        let config = Config::from_pairs(&settings.map(|(k, v)| (k.to_owned(), v)).into()).map_err(told)?;
        let app = server::open(config).await.map_err(told)?;
        server::first_start(&app).await.map_err(told)?;
        let running = server::start(app).await.map_err(told)?;
        let api = Api::new(&format!("http://127.0.0.1:{port}"), Some(home.token.clone()))?;
        Ok(Self { running, api, root: root.to_owned() })
    }

    async fn play(&self, asked: &RunHere, global: &Global, branch: &str, secrets: &BTreeMap<String, String>) -> Result {
        let project = self.project(branch).await?;
        self.leftovers(&project).await?;
        self.runner().await?;
        self.values(&project, "secrets", secrets).await?;
        self.values(&project, "variables", &asked.variables.iter().cloned().collect()).await?;
        let app = self.running.app();
        let account = store::account::account_by_name(app.db(), USER).await.map_err(told)?;
        let account = account.ok_or_else(|| Failure::Failed("the state directory is not of this command".to_owned()))?;
        let ctx = Context::of(Actor::User { id: account.id, name: account.name, admin: true });
        let request = HereRequest {
            event: asked.event.clone(),
            workflow: asked.workflow.clone(),
            jobs: asked.job.clone(),
            inputs: asked.inputs.iter().map(|(k, v)| (k.clone(), Value::String(v.clone()))).collect::<Map<_, _>>(),
        };
        let built = here::run_create_here(app, &ctx, &project, &self.root, request).await.map_err(told)?;
        for diagnostic in &built.diagnostics {
            eprintln!("{}", plain(&diagnostic.to_string()));
        }
        let ids: Vec<String> = built.runs.iter().map(ToString::to_string).collect();
        if ids.is_empty() {
            return Err(Failure::Failed("nothing was started".to_owned()));
        }
        let ended = self.follow(&ids, asked, global).await?;
        if let Some(dir) = &asked.artifacts {
            self.artifacts(&ids, dir, global).await?;
        }
        if global.json {
            line(&serde_json::to_string_pretty(&json!({ "runs": ended }))?)?;
        } else {
            self.tell(&ended).await?;
        }
        match ended.iter().find_map(shortfall) {
            None => Ok(()),
            Some(why) => Err(Failure::Failed(why)),
        }
    }

    /// Ends what a run that was killed left behind; it would go on otherwise.
    async fn leftovers(&self, project: &str) -> Result {
        let runs = format!("/projects/{}/runs", segment(project));
        for wanted in ["queued", "running"] {
            for run in self.api.list(&format!("{runs}?state={wanted}"), 1000).await? {
                self.cancel(&text(&run, "id")).await?;
            }
        }
        Ok(())
    }

    /// Waits for the machine to be looked at, so that no job is said to find no runner.
    async fn runner(&self) -> Result {
        for _ in 0..600 {
            if self.api.list("/runners", 100).await?.iter().any(|r| r["state"] == "online") {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(Failure::Failed("this machine does not take jobs".to_owned()))
    }

    async fn cancel(&self, run: &str) -> Result {
        match self.api.post::<Value>(&format!("/runs/{}/cancel", segment(run)), &json!({})).await {
            // over meanwhile
            Ok(_) | Err(Failure::Failed(_)) => Ok(()),
            Err(other) => Err(other),
        }
    }

    /// The project of the working directory, made if need be.
    async fn project(&self, branch: &str) -> Result<String> {
        let name = project_name(&self.root);
        let path = format!("{USER}/{name}");
        let at = format!("/projects/{}", segment(&path));
        let found: Value = match self.api.get(&at).await {
            Err(Failure::NotFound(_)) => {
                let new = json!({"name": name, "namespace": USER, "default_branch": branch});
                let headers = [("prefer", "wait=30")];
                self.api.send(Method::POST, "/projects/create", Some(&new), &headers).await?;
                self.api.get(&at).await?
            }
            other => other?,
        };
        if found["default_branch"] != branch {
            let _: Value = self.api.patch(&at, &json!({ "default_branch": branch }), &found["version"]).await?;
        }
        Ok(path)
    }

    /// Makes these the only secrets or variables of the project.
    async fn values(&self, project: &str, kind: &str, wanted: &BTreeMap<String, String>) -> Result {
        let at = format!("/projects/{}/{kind}", segment(project));
        for old in self.api.list(&at, usize::MAX).await? {
            let name = text(&old, "name");
            if !wanted.keys().any(|w| w.eq_ignore_ascii_case(&name)) {
                self.api.delete(&format!("{at}/{}", segment(&name))).await?;
            }
        }
        for (name, value) in wanted {
            self.api.send(Method::PUT, &format!("{at}/{}", segment(name)), Some(&json!({ "value": value })), &[]).await?;
        }
        Ok(())
    }

    /// Shows the logs of all jobs while they are written, until the runs are over. The first interrupt cancels them.
    async fn follow(&self, ids: &[String], asked: &RunHere, global: &Global) -> Result<Vec<Value>> {
        let mut streams = JoinSet::new();
        let mut shown = HashSet::new();
        let mut waiting = HashSet::new();
        let mut cancelled = false;
        loop {
            let mut ended = Vec::new();
            for id in ids {
                let run: Value = self.api.get(&format!("/runs/{}", segment(id))).await?;
                for job in run["jobs"].as_array().into_iter().flatten() {
                    let (id, name) = (text(job, "id"), text(job, "name"));
                    if !job["started_at"].is_null() && job["runner"].is_object() && shown.insert(id.clone()) {
                        let prefix = prefix(&name, shown.len());
                        streams.spawn(stream(self.api.clone(), id, prefix, global.quiet, global.json));
                    } else if job["state"] == "unschedulable" && waiting.insert(id) {
                        eprintln!("{}: {}", plain(&name), plain(&text(job, "reason")));
                    } else if job["playable"] == true && waiting.insert(text(job, "key")) {
                        if asked.job.iter().any(|w| job["key"] == w.as_str() || job["name"] == w.as_str()) {
                            let _: Value = self.api.post(&format!("/jobs/{}/play", segment(&text(job, "id"))), &json!({})).await?;
                            continue;
                        }
                        eprintln!("{}: it waits for somebody to start it, which nobody does here", plain(&name));
                    }
                }
                if run["state"] == "completed" {
                    ended.push(run);
                } else if stuck(&run) {
                    self.cancel(id).await?;
                    ended.push(run);
                }
            }
            if ended.len() == ids.len() {
                while let Some(done) = streams.join_next().await {
                    done.map_err(|e| Failure::Failed(e.to_string()))??;
                }
                return Ok(ended);
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = tokio::signal::ctrl_c(), if !cancelled => {
                    cancelled = true;
                    eprintln!("cancelling; interrupt again to leave at once");
                    for id in ids {
                        self.cancel(id).await?;
                    }
                }
            }
        }
    }

    async fn artifacts(&self, ids: &[String], dir: &Path, global: &Global) -> Result {
        fs::create_dir_all(dir)?;
        for id in ids {
            for item in self.api.list(&format!("/runs/{}/artifacts", segment(id)), usize::MAX).await? {
                let answer = self.api.send(Method::GET, &format!("/artifacts/{}/download", segment(&text(&item, "id"))), None, &[]).await?;
                let file = dir.join(artifact::file_name(&text(&item, "name")));
                let written = artifact::save(answer, &file, |_| {}).await?;
                if !global.json && !global.quiet {
                    eprintln!("{} ({})", file.display(), size(written));
                }
            }
        }
        Ok(())
    }

    /// How each job ended, and what the tests said.
    async fn tell(&self, ended: &[Value]) -> Result {
        for run in ended {
            line(&format!("\n{}", plain(&text(run, "name"))))?;
            let jobs: Vec<&Value> = run["jobs"].as_array().into_iter().flatten().filter(|j| j["superseded"] != true).collect();
            let wide = jobs.iter().map(|j| console::measure_text_width(&plain(&text(j, "name")))).max().unwrap_or(0);
            for job in jobs {
                let failed = job["steps"].as_array().into_iter().flatten().find(|s| s["conclusion"] == "failure");
                let detail = failed.map_or_else(|| text(job, "reason"), |s| text(s, "name"));
                let word = state(job);
                let style = match word.as_str() {
                    "success" => Style::new().green(),
                    "failure" => Style::new().red(),
                    _ => Style::new().dim(),
                };
                let name = console::pad_str(&plain(&text(job, "name")), wide, console::Alignment::Left, None).into_owned();
                let padded = format!("{word:<9}");
                line(format!("  {} {name}  {}", style.apply_to(padded), plain(&detail)).trim_end())?;
            }
            let report: Value = self.api.get(&format!("/runs/{}/tests?limit=100", segment(&text(run, "id")))).await?;
            if report["totals"]["tests"].as_u64().is_some_and(|n| n > 0) {
                line(runs::tests(&report).trim_end())?;
            }
        }
        Ok(())
    }
}

/// Why a run is no success, if it is none. What waits for a person to start it takes nothing from it.
fn shortfall(run: &Value) -> Option<String> {
    let name = text(run, "name");
    if run["state"] == "completed" {
        return (run["conclusion"] != "success").then(|| format!("{name} ended with {}", state(run)));
    }
    let jobs = || run["jobs"].as_array().into_iter().flatten();
    if jobs().any(|j| j["state"] == "unschedulable") {
        return Some(format!("{name} has jobs that ask for another machine"));
    }
    let bad = |j: &&Value| j["allowed_to_fail"] != true && ["failure", "cancelled"].iter().any(|c| j["conclusion"] == *c);
    jobs().find(bad).map(|j| format!("{name}: {} ended with {}", text(j, "name"), state(j)))
}

/// Nothing of the run goes on: what is left waits for a person, or for a machine that is not here.
fn stuck(run: &Value) -> bool {
    let jobs = || run["jobs"].as_array().into_iter().flatten().filter(|j| j["state"] != "completed");
    let held = |j: &Value| j["playable"] == true || j["state"] == "unschedulable";
    let behind = |j: &Value| j["state"] == "waiting";
    jobs().any(held) && jobs().all(|j| held(j) || behind(j))
}

/// Prints the log of a job line by line, each behind the job's name. `to_stderr` keeps standard output for the result.
async fn stream(api: Api, job: String, prefix: String, quiet: bool, to_stderr: bool) -> Result {
    let mut filter = Term::stdout().is_term().then(LogFilter::default);
    let mut rest = String::new();
    let print = |lines: &str| {
        let mut out = String::with_capacity(lines.len() * 2);
        for line in lines.lines() {
            // what folds a log on a page
            match line.strip_prefix("##[") {
                Some(rest) if rest.starts_with("endgroup]") => {}
                Some(rest) => match rest.split_once(']') {
                    Some(("group", title)) => out.extend([prefix.as_str(), "▸ ", title, "\n"]),
                    Some((word, text)) => out.extend([prefix.as_str(), word, ": ", text, "\n"]),
                    None => out.extend([prefix.as_str(), line, "\n"]),
                },
                None => out.extend([prefix.as_str(), line, "\n"]),
            }
        }
        match (quiet, to_stderr) {
            (true, _) => Ok(()),
            (false, true) => std::io::Write::write_all(&mut std::io::stderr().lock(), out.as_bytes()).map_err(Failure::from),
            (false, false) => raw(out.as_bytes()),
        }
    };
    let path = format!("/jobs/{}/log/stream?offset=0", segment(&job));
    api.follow(&path, |kind, data| {
        if kind != "log" {
            return Ok(());
        }
        let piece = text(&data, "text");
        rest.push_str(&filter.as_mut().map_or_else(|| piece.clone(), |f| f.push(&piece)));
        match rest.rfind('\n') {
            Some(end) => print(&rest.drain(..=end).collect::<String>()),
            None => Ok(()),
        }
    })
    .await?;
    print(&rest)
}

/// The name of the job in a colour of its own.
fn prefix(name: &str, number: usize) -> String {
    const COLORS: [Color; 5] = [Color::Cyan, Color::Yellow, Color::Magenta, Color::Blue, Color::Green];
    let short = console::truncate_str(&plain(name), MAX_PREFIX, "…").into_owned();
    format!("{} ", Style::new().fg(COLORS[number % COLORS.len()]).apply_to(format!("{short} │")))
}

/// Returns when the second interrupt comes.
async fn twice() {
    for _ in 0..2 {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_gives_a_projects_name() {
        for (path, want) in
            [("/x/My App", "my-app"), ("/x/web.site", "web.site"), ("/", "project"), ("/x/--a--b--", "a-b"), ("/x/日本", "project")]
        {
            assert_eq!(project_name(Path::new(path)), want, "{path}");
        }
        assert_ne!(own_name(Path::new("/a/web")), own_name(Path::new("/b/web")));
    }

    #[test]
    fn what_nobody_starts_is_not_waited_for() {
        let job = |state: &str, playable: bool| json!({"state": state, "playable": playable});
        let run = |jobs: &[Value]| stuck(&json!({ "jobs": jobs }));
        assert!(run(&[job("completed", false), job("waiting", true), job("waiting", false)]));
        assert!(run(&[job("unschedulable", false)]));
        assert!(!run(&[job("waiting", true), job("running", false)]));
        assert!(!run(&[job("completed", false)]));
    }

    #[test]
    fn only_what_went_wrong_is_a_failure() {
        let job = |name: &str, conclusion: &str| json!({"name": name, "state": "completed", "conclusion": conclusion});
        let held = json!({"name": "ship", "state": "waiting", "playable": true});
        let run = |state: &str, conclusion: &str, jobs: &[Value]| {
            shortfall(&json!({"name": "CI", "state": state, "conclusion": conclusion, "jobs": jobs}))
        };
        assert_eq!(run("completed", "success", &[]), None);
        assert_eq!(run("completed", "failure", &[]).unwrap(), "CI ended with failure");
        assert_eq!(run("running", "", &[job("a", "success"), held.clone()]), None);
        assert_eq!(run("running", "", &[job("a", "failure"), held]).unwrap(), "CI: a ended with failure");
        let other = json!({"name": "g", "state": "unschedulable"});
        assert_eq!(run("queued", "", &[other]).unwrap(), "CI has jobs that ask for another machine");
    }

    #[test]
    fn secrets_come_from_the_environment_too() {
        let all = secrets(&["A=b=c".to_owned(), "PATH".to_owned()]).unwrap();
        assert_eq!(all["A"], "b=c");
        assert!(!all["PATH"].is_empty());
        assert_eq!(secrets(&["NO_SUCH_VARIABLE_HERE".to_owned()]).unwrap_err().exit_code(), 2);
    }
}
