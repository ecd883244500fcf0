//! `actions/cache` and its two halves. Archives are made and unpacked by `tar` in the job's place, as the job's user,
//! with names relative to the job's own directories, because these differ from job to job.

use tokio::io::AsyncWriteExt as _;

use super::{ActionEnd, ActionError, ActionResult, Call, PostWork, failed, select};
use crate::host::HostError;
use crate::spawn::{Capture, Output};

/// Longest key.
const KEY_MAX: usize = 512;

/// A cache to save.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Save {
    key: String,
    paths: Vec<String>,
}

fn check_key(key: &str) -> ActionResult<()> {
    if key.len() > KEY_MAX || key.contains(',') || key.contains(char::is_control) {
        return failed(format!("the key `{key}` is not valid: at most {KEY_MAX} characters, no commas, no control characters"));
    }
    Ok(())
}

pub(super) async fn run(call: &mut Call<'_>, save_later: bool) -> ActionResult {
    let key = call.required("key")?;
    let paths = call.lines("path");
    let restore = call.lines("restore-keys");
    for key in restore.iter().chain([&key]) {
        check_key(key)?;
    }
    let lookup = call.flag("lookup-only", false)?;
    let must = call.flag("fail-on-cache-miss", false)?;
    let mut end = ActionEnd::default().output("cache-primary-key", key.clone());
    let found = match call.host.cache_get(&key, &restore).await {
        Ok(found) => found,
        Err(HostError::Stale) => return Err(HostError::Stale.into()),
        Err(error) => {
            // a cache only makes things faster
            call.out.warning(&format!("the cache could not be read: {error}")).await?;
            None
        }
    };
    let mut exact = false;
    match found {
        Some((matched, archive)) => {
            exact = matched == key;
            if !lookup {
                let root = call.place.dirs().root.to_string_lossy().into_owned();
                let mut said = Capture::new(super::CAPTURE_MAX);
                let exit = call.pipe(&["tar", "--no-same-owner", "-xzf", "-", "-C", &root], Some(archive), &mut said).await?;
                if !exit.ok() {
                    call.out.warning(&format!("the cache could not be unpacked: {}", said.text().trim())).await?;
                    exact = false;
                }
            }
            call.out.line(&format!("Cache {} from key: {matched}", if lookup { "found" } else { "restored" })).await?;
            end = end.output("cache-matched-key", matched);
        }
        None if must => {
            return failed(format!("Failed to restore cache entry. Exiting as fail-on-cache-miss is set. Input key: {key}"));
        }
        None => {
            let keys = [vec![key.clone()], restore].concat().join(", ");
            call.out.line(&format!("Cache not found for input keys: {keys}")).await?;
        }
    }
    end = end.output("cache-hit", exact.to_string());
    if save_later && !exact && !lookup {
        end.post = Some(PostWork::Save(Save { key, paths }));
    }
    Ok(end)
}

pub(super) async fn save_now(call: &mut Call<'_>) -> ActionResult {
    let work = Save { key: call.required("key")?, paths: call.lines("path") };
    check_key(&work.key)?;
    save(call, &work).await?;
    Ok(ActionEnd::default())
}

pub(super) async fn save(call: &mut Call<'_>, work: &Save) -> ActionResult<()> {
    let dirs = call.place.dirs().clone();
    let (found, excluded) = select::roots(&dirs, &work.paths)?;
    if found.is_empty() {
        call.out.warning("None of the paths to cache exists, nothing is saved.").await?;
        return Ok(());
    }
    let relative = |path: &std::path::Path| path.strip_prefix(&dirs.root).unwrap_or(path).to_string_lossy().into_owned();
    let root = dirs.root.to_string_lossy().into_owned();
    // what tar complains about must not get into the archive: both outputs are one pipe
    let head = ["/bin/sh", "-c", "exec \"$@\" 2>/dev/null", "sh", "tar", "-C", &root, "-czf", "-", "--ignore-failed-read"];
    let mut argv: Vec<String> = head.map(String::from).to_vec();
    argv.extend(excluded.iter().map(|p| format!("--exclude={}", relative(p))));
    argv.push("--".into());
    argv.extend(found.iter().map(|p| relative(p)));
    let path = call.scratch("cache.tar.gz");
    let mut file = FileOutput { file: tokio::fs::File::create(&path).await?, size: 0 };
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    let exit = call.pipe(&argv, None, &mut file).await?;
    file.file.flush().await?;
    // 1: a file changed while it was read
    if !matches!(exit.code, 0 | 1) {
        return failed(format!("tar could not pack the cache (exit code {})", exit.code));
    }
    match call.host.cache_put(&work.key, &path).await {
        Ok(()) => call.out.line(&format!("Cache saved with key: {} ({} bytes)", work.key, file.size)).await?,
        Err(HostError::Stale) => return Err(ActionError::Host(HostError::Stale)),
        Err(error) => call.out.warning(&format!("the cache could not be saved: {error}")).await?,
    }
    let _ = tokio::fs::remove_file(path).await;
    Ok(())
}

struct FileOutput {
    file: tokio::fs::File,
    size: u64,
}

#[async_trait::async_trait]
impl Output for FileOutput {
    async fn chunk(&mut self, bytes: &[u8]) -> Result<(), HostError> {
        self.file.write_all(bytes).await?;
        self.size += bytes.len() as u64;
        Ok(())
    }
}
