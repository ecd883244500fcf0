//! `actions/checkout`: the sources of the run, fetched by the git program in the job's place.
//!
//! The token is given to git by an askpass script that answers for this server only. It is never written to
//! `.git/config` or an argument.

use std::path::Path;
use std::time::Duration;

use super::{ActionEnd, ActionError, ActionResult, Call, failed};

/// How often a checkout is tried.
const TRIES: u32 = 3;
/// The exit code of the script for what another try does not change.
const REFUSED: i32 = 75;
/// Time between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// `$1` directory, `$2` url, `$3` depth option, `$4` tags option, `$5` source, `$6` target ref, `$7` branch or empty
/// for a detached head, `$8` another refspec or empty, `$9` not empty to clean a directory that is there, `${10}` not
/// empty when submodules are asked for.
const SCRIPT: &str = r#"set -e
mkdir -p "$1"; cd "$1"
git config --global --get-all safe.directory 2>/dev/null | grep -qxF -- "$1" || git config --global --add safe.directory "$1"
if [ -d .git ]; then git remote set-url origin "$2"; [ -z "$9" ] || { git clean -ffdqx; git reset -q --hard; }
else git -c init.defaultBranch=main init -q .; git remote add origin "$2"; git config gc.auto 0; fi
git fetch -q --no-recurse-submodules --force $4 $3 origin "+$5:$6" $8
if [ -n "$7" ]; then git checkout -q --force -B "$7" "$6"; else git checkout -q --force --detach "$6"; fi
printf 'HEAD is now at '; git --no-pager log -1 --format='%H %s'
if [ -f .gitmodules ]; then
  if [ -n "${10}" ]; then echo '##[error]The repository has submodules, and submodules cannot be fetched here.'; exit 75; fi
  echo '##[warning]The repository has submodules; they are not fetched.'
fi
"#;

pub(super) async fn run(call: &mut Call<'_>) -> ActionResult {
    let source = call.spec.checkout.clone();
    let depth: u32 = match call.input("fetch-depth") {
        None => 1,
        Some(text) => text.parse().map_err(|_| ActionError::Failed(format!("`fetch-depth` must be a number, not `{text}`")))?,
    };
    let directory = match call.input("path") {
        None => call.place.dirs().workspace.clone(),
        Some(path) => beneath(&call.place.dirs().workspace, path)?,
    };
    let tags = if call.flag("fetch-tags", false)? || depth == 0 { "--tags" } else { "--no-tags" };
    let clean = if call.flag("clean", true)? { "clean" } else { "" };
    let persist = call.flag("persist-credentials", true)?;
    let submodules = match call.input("submodules") {
        Some("recursive") => "recursive",
        _ if call.flag("submodules", false)? => "one level",
        _ => "",
    };
    let credentials = askpass(call, &source.url, &source.token)?;
    call.helper_env.extend(credentials.iter().cloned());

    let wanted = call.input("ref").map(str::to_owned);
    let (from, full) = match wanted.filter(|r| *r != source.r#ref && *r != source.sha) {
        None => (source.sha.clone(), source.r#ref.clone()),
        Some(name) => resolve(call, &source.url, &name).await?,
    };
    let branch = full.strip_prefix("refs/heads/").unwrap_or_default().to_owned();
    let target = if depth == 0 {
        // all branches and tags are fetched beside it, and no ref may be named twice
        "refs/devmentor/checkout".to_owned()
    } else if !branch.is_empty() {
        format!("refs/remotes/origin/{branch}")
    } else if full.starts_with("refs/tags/") {
        full.clone()
    } else {
        "refs/remotes/origin/checkout".to_owned()
    };
    let depth_option = if depth == 0 { String::new() } else { format!("--depth={depth}") };
    let more = if depth == 0 { "+refs/heads/*:refs/remotes/origin/*" } else { "" };
    let directory = directory.to_string_lossy().into_owned();
    call.out.line(&format!("Fetching {from} ({full}) from {}", source.url)).await?;
    let argv =
        ["/bin/sh", "-c", SCRIPT, "sh", &directory, &source.url, &depth_option, tags, &from, &target, &branch, more, clean, submodules];
    let mut exit = call.run(&argv).await?;
    for _ in 1..TRIES {
        if exit.ok() || exit.stopped || exit.code == REFUSED {
            break;
        }
        // the server may have gone away under it: asking waits until it is back
        call.host.artifact_list().await?;
        tokio::time::sleep(PAUSE).await;
        call.out.line("Trying again").await?;
        exit = call.run(&argv).await?;
    }
    if !exit.ok() {
        return failed(format!("git could not check out {from} (exit code {})", exit.code));
    }
    let mut end = ActionEnd::default().output("ref", full).output("commit", from);
    if persist {
        end.env = credentials;
    }
    Ok(end)
}

/// Fetches one commit into a new directory, with the job's token.
pub(super) async fn fetch(call: &mut Call<'_>, url: &str, commit: &str, target: &Path) -> ActionResult<()> {
    const FETCH: &str = r#"set -e
mkdir -p "$1"; cd "$1"
git -c init.defaultBranch=main init -q .
git fetch -q --no-tags --depth=1 "$2" "$3"
git -c advice.detachedHead=false checkout -q --detach FETCH_HEAD
"#;
    let token = call.spec.checkout.token.clone();
    call.helper_env.extend(askpass(call, url, &token)?);
    let target = target.to_string_lossy().into_owned();
    let (exit, said) = call.capture(&["/bin/sh", "-c", FETCH, "sh", &target, url, commit]).await?;
    if exit.ok() { Ok(()) } else { failed(format!("git said: {}", said.trim())) }
}

/// Finds a branch, a tag or takes a commit id; gives what to fetch and the full name.
async fn resolve(call: &mut Call<'_>, url: &str, name: &str) -> ActionResult<(String, String)> {
    if name.starts_with('-') || name.chars().any(|c| c.is_control() || c.is_whitespace() || "*?[^~:\\".contains(c)) {
        return failed(format!("`{name}` is not a ref"));
    }
    if name.len() == 40 && name.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok((name.to_owned(), name.to_owned()));
    }
    let candidates =
        if name.starts_with("refs/") { vec![name.to_owned()] } else { vec![format!("refs/heads/{name}"), format!("refs/tags/{name}")] };
    let mut argv = vec!["git", "ls-remote", "-q", url];
    argv.extend(candidates.iter().map(String::as_str));
    let (exit, listed) = call.capture(&argv).await?;
    if !exit.ok() {
        return failed(format!("git could not list the refs of {url}: {}", listed.trim()));
    }
    let names: Vec<&str> = listed.lines().filter_map(|line| line.split_once('\t')).map(|(_, name)| name).collect();
    match candidates.into_iter().find(|c| names.contains(&c.as_str())) {
        Some(found) => Ok((found.clone(), found)),
        None => failed(format!("there is no branch or tag `{name}` in {url}")),
    }
}

/// A path below the workspace.
fn beneath(workspace: &Path, path: &str) -> ActionResult<std::path::PathBuf> {
    let relative = Path::new(path).strip_prefix(workspace).unwrap_or(Path::new(path));
    if relative.is_absolute() || relative.components().any(|c| matches!(c, std::path::Component::ParentDir)) {
        return failed(format!("Repository path '{path}' is not under '{}'", workspace.display()));
    }
    Ok(workspace.join(relative))
}

/// Variables that make git ask our script, which knows the token for this server only.
fn askpass(call: &Call<'_>, url: &str, token: &str) -> ActionResult<Vec<(String, String)>> {
    let (scheme, rest) = url.split_once("://").ok_or_else(|| ActionError::Failed(format!("`{url}` is not a clone URL")))?;
    let host = rest.split('/').next().unwrap_or_default();
    let quote = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    let dirs = call.place.dirs();
    let token_file = dirs.job_file("git-token", token.as_bytes())?;
    let script = format!(
        "#!/bin/sh\ncase \"$1\" in\n{user}*) echo job ;;\n{password}*) cat {file} ;;\n*) exit 1 ;;\nesac\n",
        user = quote(&format!("Username for '{scheme}://{host}'")),
        password = quote(&format!("Password for '{scheme}://job@{host}'")),
        file = quote(&token_file.to_string_lossy()),
    );
    let script = dirs.engine_file("askpass", script.as_bytes(), 0o755)?;
    Ok(vec![("GIT_ASKPASS".into(), script.to_string_lossy().into_owned()), ("GIT_TERMINAL_PROMPT".into(), "0".into())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_the_workspace() {
        let workspace = Path::new("/w/repo");
        assert_eq!(beneath(workspace, "sub/dir").unwrap(), Path::new("/w/repo/sub/dir"));
        assert_eq!(beneath(workspace, "/w/repo/x").unwrap(), Path::new("/w/repo/x"));
        for bad in ["../x", "/etc", "a/../../x"] {
            assert!(beneath(workspace, bad).is_err(), "{bad}");
        }
    }
}
