//! The real `git` client, and other real programs.

use std::path::{Path, PathBuf};
use std::process::Output;

use crate::server::command;

/// Runs a program; what it did.
pub fn try_run(directory: &Path, program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    command(program)
        .args(arguments)
        .current_dir(directory)
        .envs(variables.iter().copied())
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_AUTHOR_NAME", "Tess Ter")
        .env("GIT_AUTHOR_EMAIL", "tess@example.test")
        .env("GIT_COMMITTER_NAME", "Tess Ter")
        .env("GIT_COMMITTER_EMAIL", "tess@example.test")
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}"))
}

/// Runs a program that must succeed; its standard output.
#[track_caller]
pub fn run(directory: &Path, program: &str, arguments: &[&str]) -> String {
    let out = try_run(directory, program, arguments, &[]);
    assert!(
        out.status.success(),
        "{program} {arguments:?}: {}\n{}{}",
        out.status,
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Runs git, which must succeed; its standard output without the last line break.
#[track_caller]
pub fn git(directory: &Path, arguments: &[&str]) -> String {
    run(directory, "git", arguments).trim_end().to_owned()
}

/// Runs git, which must fail; what it says.
#[track_caller]
pub fn git_fails(directory: &Path, arguments: &[&str]) -> String {
    let out = try_run(directory, "git", arguments, &[]);
    let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(!out.status.success(), "git {arguments:?} succeeded: {text}");
    text
}

/// A clone of a project.
pub struct Clone {
    /// Where it lies.
    pub directory: PathBuf,
}

impl Clone {
    /// Clones `path` of the service at `url` with a token into `directory`.
    #[track_caller]
    pub fn of(url: &str, token: &str, path: &str, directory: &Path) -> Self {
        let address = Self::address(url, token, path);
        git(directory.parent().unwrap_or(directory), &["clone", "--quiet", &address, &directory.display().to_string()]);
        Self { directory: directory.to_owned() }
    }

    /// The clone address with credentials.
    pub fn address(url: &str, token: &str, path: &str) -> String {
        format!("{}/{path}.git", url.replacen("://", &format!("://test:{token}@"), 1))
    }

    /// Runs git in it.
    #[track_caller]
    pub fn git(&self, arguments: &[&str]) -> String {
        git(&self.directory, arguments)
    }

    /// Writes a file.
    pub fn write(&self, path: &str, content: &str) {
        let path = self.directory.join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, content).expect("a file");
    }

    /// Commits everything; the commit.
    #[track_caller]
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Commits everything and pushes it; the commit.
    #[track_caller]
    pub fn push(&self, message: &str) -> String {
        let commit = self.commit(message);
        self.git(&["push", "--quiet", "origin", "HEAD"]);
        commit
    }
}
