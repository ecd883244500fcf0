//! The command-line client, with a home directory of its own.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::server::{binary, command};

/// One user of the command line.
#[derive(Clone, Debug)]
pub struct Cli {
    home: PathBuf,
}

impl Cli {
    /// Somebody who is signed in with a token.
    #[track_caller]
    pub fn signed_in(home: &Path, url: &str, token: &str) -> Self {
        let cli = Self::signed_out(home);
        cli.run(&["login", "--server", url, "--token", token]);
        cli
    }

    /// Somebody who is not signed in.
    pub fn signed_out(home: &Path) -> Self {
        Self { home: home.to_owned() }
    }

    /// Runs a command; what it did.
    pub fn try_run(&self, arguments: &[&str]) -> Output {
        self.try_run_with(arguments, "")
    }

    /// Runs a command that reads `input`; what it did.
    pub fn try_run_with(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = command(binary())
            .args(arguments)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", &self.home)
            .current_dir(&self.home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("devmentor");
        // it may end without reading
        let _ = child.stdin.take().expect("its input").write_all(input.as_bytes());
        child.wait_with_output().expect("devmentor")
    }

    /// Runs a command that must succeed; its standard output.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> String {
        let out = self.try_run(arguments);
        let [stdout, stderr] = [&out.stdout, &out.stderr].map(|b| String::from_utf8_lossy(b).into_owned());
        assert!(out.status.success(), "devmentor {arguments:?}: {}\n{stdout}{stderr}", out.status);
        stdout
    }

    /// Runs a command with `--json` that must succeed; its JSON.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let text = self.run(&[arguments, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("devmentor {arguments:?} --json: {e}: {text}"))
    }
}
