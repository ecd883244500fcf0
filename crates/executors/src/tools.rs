//! Which tools the machine has: short probes such as `cargo --version`, bounded in time and output.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;

/// Most bytes of a probe's output that are looked at.
const OUTPUT: u64 = 64 * 1024;

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It ran; the first version in its output, if there is one.
    Found {
        /// Such as `1.95.0`.
        version: Option<String>,
    },
    /// It is not there, failed, or took too long.
    Missing,
}

/// Tools whose version can be asked for: name, program, arguments. Fixed, because names come from templates that anybody may
/// write, and what is started here runs outside every sandbox.
const KNOWN: &[(&str, &str, &[&str])] = &[
    ("bun", "bun", &["--version"]),
    ("bundle", "bundle", &["--version"]),
    ("cargo", "cargo", &["--version"]),
    ("cc", "cc", &["--version"]),
    ("clang", "clang", &["--version"]),
    ("cmake", "cmake", &["--version"]),
    ("composer", "composer", &["--version"]),
    ("deno", "deno", &["--version"]),
    ("docker", "docker", &["--version"]),
    ("dotnet", "dotnet", &["--version"]),
    ("elixir", "elixir", &["--version"]),
    ("g++", "g++", &["--version"]),
    ("gcc", "gcc", &["--version"]),
    ("git", "git", &["--version"]),
    ("gleam", "gleam", &["--version"]),
    ("go", "go", &["version"]),
    ("gradle", "gradle", &["--version"]),
    ("java", "java", &["-version"]),
    ("javac", "javac", &["-version"]),
    ("make", "make", &["--version"]),
    ("mix", "mix", &["--version"]),
    ("mvn", "mvn", &["--version"]),
    ("node", "node", &["--version"]),
    ("npm", "npm", &["--version"]),
    ("php", "php", &["--version"]),
    ("pip3", "pip3", &["--version"]),
    ("pnpm", "pnpm", &["--version"]),
    ("poetry", "poetry", &["--version"]),
    ("python3", "python3", &["--version"]),
    ("python3-venv", "python3", &["-c", "import venv, ensurepip; print(ensurepip.version())"]),
    ("ruby", "ruby", &["--version"]),
    ("rustc", "rustc", &["--version"]),
    ("uv", "uv", &["--version"]),
    ("yarn", "yarn", &["--version"]),
];

/// Is this a tool that [`probe`] can look for?
pub fn is_known(tool: &str) -> bool {
    KNOWN.iter().any(|(name, ..)| *name == tool)
}

/// Looks for a tool by starting it and reading what it says of its version. A tool that is not known is missing.
pub async fn probe(tool: &str) -> Probe {
    let Some((_, command, arguments)) = KNOWN.iter().find(|(name, ..)| *name == tool) else { return Probe::Missing };
    let run = async {
        #[expect(clippy::disallowed_methods, reason = "executors is where programs are started")]
        let mut child = tokio::process::Command::new(command)
            .args(*arguments)
            // nothing of the service's own settings, which hold its secrets
            .env_clear()
            .envs(["PATH", "HOME", "LANG", "RUSTUP_HOME", "CARGO_HOME", "JAVA_HOME"].iter().filter_map(|n| Some((n, std::env::var_os(n)?))))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .current_dir("/")
            .kill_on_drop(true)
            .spawn()
            .ok()?;
        let (mut out, mut err) = (String::new(), String::new());
        let (stdout, stderr) = (child.stdout.take()?, child.stderr.take()?);
        let (mut stdout, mut stderr) = (stdout.take(OUTPUT), stderr.take(OUTPUT));
        let (a, b) = tokio::join!(stdout.read_to_string(&mut out), stderr.read_to_string(&mut err));
        a.ok()?;
        b.ok()?;
        child.wait().await.ok()?.success().then_some(out + "\n" + &err)
    };
    match tokio::time::timeout(Duration::from_secs(10), run).await {
        Ok(Some(text)) => Probe::Found { version: first_version(&text) },
        _ => Probe::Missing,
    }
}

/// The first run of numbers joined by dots.
pub fn first_version(text: &str) -> Option<String> {
    text.split(|c: char| !c.is_ascii_digit() && c != '.')
        .map(|word| word.trim_matches('.'))
        .find(|word| word.contains('.') && word.split('.').all(|n| !n.is_empty()))
        .map(str::to_owned)
}

/// Is `have` at least `least`? Number by number; missing numbers count as 0.
pub fn at_least(have: &str, least: &str) -> bool {
    let numbers = |v: &str| v.split('.').map(|n| n.parse::<u64>().unwrap_or(0)).collect::<Vec<_>>();
    let (mut have, mut least) = (numbers(have), numbers(least));
    let n = have.len().max(least.len());
    have.resize(n, 0);
    least.resize(n, 0);
    have >= least
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(first_version("go version go1.26.8 linux/amd64").as_deref(), Some("1.26.8"));
        assert_eq!(first_version("v20.20.2\n").as_deref(), Some("20.20.2"));
        assert_eq!(first_version("no numbers. at all ..."), None);
        assert!(at_least("1.26.8", "1.19"));
        assert!(at_least("1.2", "1.2.0"));
        assert!(!at_least("1.9", "1.10"));
    }

    #[tokio::test]
    async fn only_known_tools_are_started() {
        for tool in ["", "../sh", "/bin/sh", "-x", "sh", "bash", "no-such-tool-here"] {
            assert_eq!(probe(tool).await, Probe::Missing, "{tool}");
        }
        assert!(matches!(probe("git").await, Probe::Found { version: Some(_) }));
    }
}
