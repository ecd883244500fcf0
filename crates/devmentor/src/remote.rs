//! Which project the current directory belongs to, read from the remotes in its git configuration.

use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::failure::{Failure, Result};

/// A remote that looks like a project of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remote {
    /// `scheme://host:port` of the clone address; `None` for ssh, which does not tell where the API is.
    pub(crate) origin: Option<String>,
    /// `namespace/name`.
    pub(crate) project: String,
}

/// The project of the current directory on the given server.
pub(crate) fn project_here(server: &str) -> Result<String> {
    let here = env::current_dir()?;
    let remotes = git_config(&here).and_then(|path| fs::read_to_string(path).ok()).map(|text| remotes(&text)).unwrap_or_default();
    let matching = remotes.iter().find(|r| r.origin.as_deref().is_none_or(|origin| same_place(origin, server)));
    matching.map(|r| r.project.clone()).ok_or_else(|| {
        let why = if remotes.is_empty() { "no git remote here names one" } else { "no git remote here leads to this server" };
        Failure::Usage(format!("which project? {why}; give --project NAMESPACE/NAME"))
    })
}

/// `localhost` and its addresses are one place.
fn same_place(a: &str, b: &str) -> bool {
    let plain = |text: &str| text.replace("//127.0.0.1", "//localhost").replace("//[::1]", "//localhost");
    let (a, b) = (plain(a), plain(b));
    a == b || b.strip_prefix(&a).is_some_and(|rest| rest.starts_with('/'))
}

/// The configuration file of the repository around a directory, also from a linked worktree.
fn git_config(start: &Path) -> Option<PathBuf> {
    for folder in start.ancestors() {
        let git = folder.join(".git");
        if git.is_dir() {
            return Some(git.join("config"));
        }
        if let Ok(text) = fs::read_to_string(&git) {
            let inner = folder.join(text.strip_prefix("gitdir:")?.trim());
            let common = fs::read_to_string(inner.join("commondir")).map_or_else(|_| inner.clone(), |c| inner.join(c.trim()));
            return Some(common.join("config"));
        }
    }
    None
}

/// All remotes of a git configuration that name a project, `origin` first.
fn remotes(config: &str) -> Vec<Remote> {
    let mut found = Vec::new();
    let mut section: Option<&str> = None;
    for line in config.lines().map(str::trim) {
        if let Some(head) = line.strip_prefix('[') {
            section = head.strip_prefix("remote \"").and_then(|rest| rest.strip_suffix("\"]"));
        } else if let (Some(name), Some((key, value))) = (section, line.split_once('='))
            && key.trim() == "url"
            && let Some(remote) = remote(value.trim().trim_matches('"'))
        {
            found.push((name != "origin", remote));
        }
    }
    found.sort_by_key(|(later, _)| *later);
    found.into_iter().map(|(_, remote)| remote).collect()
}

fn remote(address: &str) -> Option<Remote> {
    let (origin, path) = if let Ok(url) = url::Url::parse(address) {
        match url.scheme() {
            "http" | "https" => (Some(url.origin().ascii_serialization()), url.path().to_owned()),
            "ssh" => (None, url.path().to_owned()),
            _ => return None,
        }
    } else {
        // host:path, as ssh writes it; a path of this machine has a slash before any colon
        let (host, path) = address.split_once(':')?;
        if host.contains('/') {
            return None;
        }
        (None, path.to_owned())
    };
    let project = path.trim_matches('/');
    let project = project.strip_suffix(".git").unwrap_or(project);
    let whole = project.split('/').count() >= 2 && project.split('/').all(|part| !part.is_empty());
    whole.then(|| Remote { origin, project: project.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let http = |origin: &str, project: &str| Some(Remote { origin: Some(origin.into()), project: project.into() });
        let ssh = |project: &str| Some(Remote { origin: None, project: project.into() });
        for (address, want) in [
            ("http://localhost:3004/acme/web.git", http("http://localhost:3004", "acme/web")),
            ("https://me:secret@dev.example/acme/team/web", http("https://dev.example", "acme/team/web")),
            ("ssh://git@dev.example:2222/acme/web.git", ssh("acme/web")),
            ("git@dev.example:acme/web.git", ssh("acme/web")),
            ("/srv/git/web.git", None),
            ("../web", None),
            ("file:///srv/acme/web.git", None),
            ("http://dev.example/web", None),
        ] {
            assert_eq!(remote(address), want, "{address}");
        }
    }

    #[test]
    fn origin_comes_first() {
        let config = "[core]\n\tbare = false\n[remote \"fork\"]\n\turl = http://a/me/web.git\n\tfetch = +refs/heads/*\n[remote \"origin\"]\n\turl = \"http://a/acme/web.git\"\n[branch \"main\"]\n\turl = http://a/no/no\n";
        let names: Vec<String> = remotes(config).into_iter().map(|r| r.project).collect();
        assert_eq!(names, ["acme/web", "me/web"]);
    }

    #[test]
    fn a_linked_worktree_leads_to_the_common_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let main = folder.path().join("main/.git/worktrees/side");
        let side = folder.path().join("side/deep");
        fs::create_dir_all(&main).unwrap();
        fs::create_dir_all(&side).unwrap();
        fs::write(main.join("commondir"), "../..\n").unwrap();
        fs::write(folder.path().join("side/.git"), format!("gitdir: {}\n", main.display())).unwrap();
        let found = git_config(&side).unwrap();
        assert_eq!(found.parent().unwrap().canonicalize().unwrap(), folder.path().join("main/.git").canonicalize().unwrap());
    }

    #[test]
    fn loopback_is_one_place() {
        assert!(same_place("http://127.0.0.1:3004", "http://localhost:3004"));
        assert!(same_place("https://a", "https://a/base"));
        assert!(!same_place("https://a", "https://ab"));
    }
}
