//! The real binary as a process, with a data directory and database of its own.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::database::Database;
use crate::http::Api;

/// The token of the administrator in tests.
const ADMIN: &str = "test-administrator-token";

/// The service's binary, built if need be.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("TEST_BINARY") {
            return PathBuf::from(path);
        }
        let me = std::env::current_exe().expect("the test's own path");
        let profile = me.parent().and_then(Path::parent).expect("target/<profile>/deps").to_owned();
        let mut cargo = command("cargo");
        cargo.args(["build", "--quiet", "--package", "devmentor", "--bin", "devmentor"]);
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
        assert!(cargo.status().expect("cargo").success(), "the binary does not build");
        profile.join("devmentor")
    })
}

/// A program to start.
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> std::process::Command {
    #[expect(clippy::disallowed_methods, reason = "tests use real programs")]
    std::process::Command::new(program)
}

/// How to start a server.
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// Settings as variables without their prefix, such as `RUNNER` = `false`.
    pub settings: BTreeMap<String, String>,
}

impl ServerOptions {
    /// With one more setting.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Into<String>) -> Self {
        self.settings.insert(key.to_ascii_uppercase(), value.into());
        self
    }
}

/// A running service.
pub struct Server {
    child: Child,
    directory: Arc<TempDir>,
    log: PathBuf,
    variables: BTreeMap<String, String>,
    url: String,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port()
}

impl Server {
    /// Starts a service with defaults.
    pub fn start(database: Database) -> Self {
        Self::start_with(database, &ServerOptions::default())
    }

    /// Starts a service.
    pub fn start_with(database: Database, options: &ServerOptions) -> Self {
        let directory = tempfile::Builder::new().prefix("devmentor-test-").tempdir().expect("a directory");
        // the jobs' own users must be able to pass through
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(directory.path(), open).expect("permissions");
        let port = free_port();
        let mut variables: BTreeMap<String, String> = [
            ("DEVMENTOR_LISTEN", format!("127.0.0.1:{port}")),
            ("DEVMENTOR_DATA_DIR", directory.path().join("data").display().to_string()),
            ("DEVMENTOR_ADMIN_TOKEN", ADMIN.to_owned()),
            ("DEVMENTOR_RATE_LIMIT", "1000000".into()),
            ("DEVMENTOR_RATE_LIMIT_ANONYMOUS", "1000000".into()),
            ("DEVMENTOR_LOG_FILTER", std::env::var("TEST_LOG").unwrap_or_else(|_| "info".into())),
        ]
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v))
        .collect();
        // environments of tests that run side by side need ports of their own, which no outgoing connection gets
        let from = 21000 + (port % 117) * 100;
        variables.insert("DEVMENTOR_DEPLOY_PORT_FROM".into(), from.to_string());
        variables.insert("DEVMENTOR_DEPLOY_PORT_TO".into(), (from + 99).to_string());
        if database == Database::Postgres {
            variables.insert("DEVMENTOR_DATABASE_URL".into(), crate::database::postgres_url());
        }
        for (key, value) in &options.settings {
            variables.insert(format!("DEVMENTOR_{key}"), value.clone());
        }
        Self::run(Arc::new(directory), variables, port)
    }

    /// Starts another instance of the same service: on its database and its directory.
    pub fn beside(&self, options: &ServerOptions) -> Self {
        let port = free_port();
        let mut variables = self.variables.clone();
        variables.insert("DEVMENTOR_LISTEN".into(), format!("127.0.0.1:{port}"));
        for (key, value) in &options.settings {
            variables.insert(format!("DEVMENTOR_{key}"), value.clone());
        }
        Self::run(Arc::clone(&self.directory), variables, port)
    }

    fn run(directory: Arc<TempDir>, variables: BTreeMap<String, String>, port: u16) -> Self {
        let url = format!("http://127.0.0.1:{port}");
        let log = directory.path().join(format!("log-{port}"));
        let child = Self::spawn(&variables, &log);
        let mut server = Self { child, directory, log, variables, url };
        server.wait_ready();
        server
    }

    fn spawn(variables: &BTreeMap<String, String>, log: &Path) -> Child {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log).expect("a log file");
        command(binary())
            .arg("serve")
            .envs(variables)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("the service starts")
    }

    fn wait_ready(&mut self) {
        let api = Api::new(&self.url);
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("the service ended with {status}:\n{}", self.log());
            }
            if api.try_send("GET", "/health", None).is_ok_and(|a| a.status == 200) {
                return;
            }
            assert!(Instant::now() < end, "the service is not ready:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Runs statements on its database, past it: to bring about what only a failing database does.
    pub fn sql(&self, statements: &[&str]) {
        let file = || format!("sqlite:{}", self.data().join("devmentor.db").display());
        let url = self.variables.get("DEVMENTOR_DATABASE_URL").cloned().unwrap_or_else(file);
        crate::database::execute(&url, statements);
    }

    /// Where it answers.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The directory that holds its data, for looking in from outside.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// A directory for the test's own files.
    pub fn scratch(&self, name: &str) -> PathBuf {
        let path = self.directory.path().join("scratch").join(name);
        std::fs::create_dir_all(&path).expect("a directory");
        path
    }

    /// What it has printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Nobody.
    pub fn anonymous(&self) -> Api {
        Api::new(&self.url)
    }

    /// The administrator.
    pub fn admin(&self) -> Api {
        self.anonymous().token(ADMIN)
    }

    /// The administrator's token.
    pub fn admin_token(&self) -> &'static str {
        ADMIN
    }

    /// Makes an account and a token with all permissions; its caller.
    pub fn user(&self, name: &str) -> Api {
        self.anonymous().token(&self.user_token(name))
    }

    /// Makes an account; a token with all permissions.
    pub fn user_token(&self, name: &str) -> String {
        let password = format!("password of {name}");
        self.admin().post("/users", &serde_json::json!({ "name": name, "password": password })).expect(201);
        let permissions: Vec<String> =
            self.admin().get("/permissions").expect(200).items().iter().filter_map(|p| p["name"].as_str().map(str::to_owned)).collect();
        let basic = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("{name}:{password}"));
        self.anonymous()
            .header("authorization", &format!("Basic {basic}"))
            .post("/tokens", &serde_json::json!({ "name": "test", "permissions": permissions }))
            .expect(201)
            .str("secret")
    }

    /// Kills it as a power cut would: no signal handler runs.
    pub fn kill(&mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// Asks it to end, as an operator would; how it ended.
    pub fn terminate(&mut self) -> std::process::ExitStatus {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("SIGTERM");
        self.child.wait().expect("wait")
    }

    /// Deletes every environment and waits until what ran there is gone: applications outlive the service.
    fn end_applications(&self) {
        let admin = self.admin();
        let list = |path: &str| -> Vec<serde_json::Value> {
            let answer = admin.try_send("GET", path, None);
            answer.ok().and_then(|a| a.json["items"].as_array().cloned()).unwrap_or_default()
        };
        let mut deleted = Vec::new();
        for project in list("/projects/list?limit=100") {
            for environment in list(&format!("/projects/{}/environments?limit=100", project["id"].as_str().unwrap_or_default())) {
                let id = environment["id"].as_str().unwrap_or_default().to_owned();
                let _ = admin.try_send("DELETE", &format!("/environments/{id}"), None);
                deleted.push((id, environment["target"] == "docker"));
            }
        }
        let container = |id: &str| {
            let filter = format!("label=devmentor.environment={id}");
            command("docker").args(["ps", "-aq", "--filter", &filter]).output().is_ok_and(|o| !o.stdout.is_empty())
        };
        let directories = || std::fs::read_dir(self.data().join("apps")).into_iter().flatten().count();
        let end = Instant::now() + Duration::from_secs(20);
        while deleted.iter().any(|(id, docker)| if *docker { container(id) } else { directories() > 0 }) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Starts it again on the same data.
    pub fn restart(&mut self) {
        self.child = Self::spawn(&self.variables, &self.log);
        self.wait_ready();
    }

    /// Starts it again on the same data with other settings.
    pub fn restart_with(&mut self, key: &str, value: Option<&str>) {
        let key = format!("DEVMENTOR_{}", key.to_ascii_uppercase());
        match value {
            Some(value) => self.variables.insert(key, value.to_owned()),
            None => self.variables.remove(&key),
        };
        self.restart();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(60).collect();
            eprintln!("--- the service's last words ---");
            for line in tail.into_iter().rev() {
                eprintln!("{line}");
            }
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            self.end_applications();
        }
        // asked first, so that jobs end with it
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(0));
        if pid.as_raw() > 0 && matches!(self.child.try_wait(), Ok(None)) {
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
            let end = Instant::now() + Duration::from_secs(10);
            while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
