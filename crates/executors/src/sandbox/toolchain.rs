//! Which tool chains the machine has, and what of them must be shown inside a sandbox that hides home directories.
//!
//! The rule: the job's `PATH` is the service's own, as far as it exists. An entry below a hidden directory is mounted
//! read-only; where the tool needs the tree around it (pyenv, nvm, ...) that tree is mounted, but never a directory
//! that also holds credentials (`~/.cargo`, `~/.config`, ...).

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// Directories of version managers that hold programs and no credentials.
const MANAGERS: &[&str] =
    &[".pyenv", ".nvm", ".sdkman", ".asdf", ".volta", ".rbenv", ".jenv", ".goenv", ".bun", ".deno", ".nodenv", ".fnm"];

/// Variables that say how to reach the network and where tools are; they are handed on when the service has them.
const PASSED: &[&str] = &[
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
    "GOPROXY",
    "JAVA_HOME",
    "GOROOT",
    "RUSTUP_TOOLCHAIN",
    "LANG",
    "LC_ALL",
    "TZ",
];

/// Where programs live when `PATH` does not say.
const STANDARD: &[&str] = &["/usr/local/go/bin", "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// The tool chains of the machine.
#[derive(Clone, Debug, Default)]
pub struct Toolchains {
    /// Entries of `PATH`, in order.
    pub path: Vec<PathBuf>,
    /// Variables the tools need.
    pub env: BTreeMap<String, String>,
    /// Directories to show read-only.
    pub shown: Vec<PathBuf>,
}

impl Toolchains {
    /// Looks at the service's own environment. `hidden` are the directories a sandbox does not show; `pass` names
    /// more variables to hand on.
    pub fn find(hidden: &[PathBuf], pass: &[String]) -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let vars: BTreeMap<String, String> = std::env::vars().collect();
        Self::from(std::env::split_paths(&path), &vars, hidden, pass)
    }

    fn from(path: impl Iterator<Item = PathBuf>, vars: &BTreeMap<String, String>, hidden: &[PathBuf], pass: &[String]) -> Self {
        let mut found = Self::default();
        for name in PASSED.iter().copied().chain(pass.iter().map(String::as_str)) {
            if let Some(value) = vars.get(name) {
                found.env.insert(name.to_owned(), value.clone());
            }
        }
        for entry in path.chain(STANDARD.iter().map(PathBuf::from)) {
            if !entry.is_absolute() || found.path.contains(&entry) || !entry.is_dir() {
                continue;
            }
            if hidden.iter().any(|h| entry.starts_with(h)) {
                found.show_home_tool(&entry, vars);
            }
            found.path.push(entry);
        }
        // tools named by a variable rather than by PATH
        for name in ["JAVA_HOME", "GOROOT"] {
            let dir = found.env.get(name).map(PathBuf::from);
            if let Some(dir) = dir.filter(|d| d.is_dir() && hidden.iter().any(|h| d.starts_with(h))) {
                found.show(dir);
            }
        }
        found
    }

    fn show_home_tool(&mut self, entry: &Path, vars: &BTreeMap<String, String>) {
        if let Some(root) = manager_root(entry) {
            if root.ends_with(".pyenv") {
                self.env.insert("PYENV_ROOT".into(), root.to_string_lossy().into_owned());
            }
            self.show(root);
            return;
        }
        self.show(entry.to_owned());
        if entry.ends_with(".cargo/bin") || vars.get("CARGO_HOME").is_some_and(|home| entry == Path::new(home).join("bin")) {
            let beside = entry.ancestors().nth(2).map(|home| home.join(".rustup"));
            let rustup = vars.get("RUSTUP_HOME").map(PathBuf::from).or(beside);
            if let Some(rustup) = rustup.filter(|dir| dir.is_dir()) {
                self.env.insert("RUSTUP_HOME".into(), rustup.to_string_lossy().into_owned());
                self.show(rustup);
            }
        }
    }

    fn show(&mut self, dir: PathBuf) {
        if !self.shown.iter().any(|known| dir.starts_with(known)) {
            self.shown.retain(|known| !known.starts_with(&dir));
            self.shown.push(dir);
        }
    }
}

fn manager_root(entry: &Path) -> Option<PathBuf> {
    let mut root = PathBuf::new();
    for part in entry.components() {
        root.push(part);
        if let Component::Normal(name) = part
            && MANAGERS.iter().any(|m| name == *m)
        {
            return Some(root);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn home_tools_are_shown_without_what_lies_beside_them() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        for dir in [".cargo/bin", ".rustup", ".pyenv/shims", ".pyenv/bin", ".config/secret", "bin"] {
            std::fs::create_dir_all(home.join(dir)).unwrap();
        }
        let path = [".cargo/bin", ".pyenv/shims", ".pyenv/bin", "bin", "nowhere"].map(|p| home.join(p));
        let found = Toolchains::from(path.into_iter(), &BTreeMap::new(), &[home.to_owned()], &[]);
        let shown: Vec<_> = found.shown.iter().map(|p| p.strip_prefix(home).unwrap().to_str().unwrap()).collect();
        assert_eq!(shown, [".cargo/bin", ".rustup", ".pyenv", "bin"]);
        assert_eq!(found.env["RUSTUP_HOME"], home.join(".rustup").to_str().unwrap());
        assert!(found.path.contains(&home.join(".pyenv/shims")));
        assert!(!found.path.contains(&home.join("nowhere")));
    }
}
