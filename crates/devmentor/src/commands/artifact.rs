//! `artifact list|download|files|get`.

use std::path::{Path, PathBuf};

use egress::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::Session;
use crate::api::segment;
use crate::args::{Artifact, InProject, RunOf};
use crate::failure::{Failure, Result};
use crate::output::{at, size, text, time};
use crate::progress::transfer;

pub(super) async fn run(command: Artifact, session: &Session) -> Result {
    match command {
        Artifact::List(of) => {
            let run = session.run(&of).await?;
            let items = session.api.list(&format!("/runs/{run}/artifacts"), usize::MAX).await?;
            let bytes = |a: &Value| a["size"].as_u64().map(size).unwrap_or_default();
            session.format.list(
                &items,
                &[
                    ("ID", &at("id")),
                    ("NAME", &at("name")),
                    ("SIZE", &bytes),
                    ("FILES", &at("files")),
                    ("EXPIRES", &time("expires_at")),
                    ("DIGEST", &at("digest")),
                ],
            )
        }
        Artifact::Download { artifact, output, run, of } => {
            let (id, name) = find(session, artifact, run, of).await?;
            let path = format!("/artifacts/{}/download", segment(&id));
            fetch(session, &path, &target(output.as_deref(), &format!("{name}.zip"))).await
        }
        Artifact::Files { artifact, run, of } => {
            let (id, _) = find(session, artifact, run, of).await?;
            let items = session.api.list(&format!("/artifacts/{}/files", segment(&id)), usize::MAX).await?;
            let bytes = |f: &Value| f["size"].as_u64().map(size).unwrap_or_default();
            session.format.list(&items, &[("PATH", &at("path")), ("SIZE", &bytes)])
        }
        Artifact::Get { artifact, path, output, run, of } => {
            let (id, _) = find(session, artifact, run, of).await?;
            let name = path.rsplit('/').next().unwrap_or(&path);
            let from = format!("/artifacts/{}/file?path={}", segment(&id), segment(&path));
            fetch(session, &from, &target(output.as_deref(), name)).await
        }
    }
}

/// The id of an artifact, and its name.
async fn find(session: &Session, artifact: String, run: String, of: InProject) -> Result<(String, String)> {
    if artifact.starts_with("art_") {
        return Ok((artifact.clone(), artifact));
    }
    let run = session.run(&RunOf { run, of }).await?;
    let items = session.api.list(&format!("/runs/{run}/artifacts"), usize::MAX).await?;
    let found = items.iter().find(|a| a["name"] == artifact.as_str());
    let found = found.ok_or_else(|| Failure::NotFound(format!("the run has no artifact {artifact}")))?;
    Ok((text(found, "id"), artifact))
}

enum To {
    Stdout,
    File(PathBuf),
}

/// Where a download goes. The name comes from a server: only its last part, and no hidden file.
fn target(output: Option<&str>, name: &str) -> To {
    match output {
        Some("-") => To::Stdout,
        Some(path) => To::File(path.into()),
        None => To::File(safe_name(name).into()),
    }
}

/// A name that cannot lead out of a directory, and hides nothing.
fn safe_name(name: &str) -> String {
    let safe: String = name.chars().map(|c| if c.is_alphanumeric() || "-_.+ ".contains(c) { c } else { '_' }).collect();
    let safe = safe.trim_start_matches('.');
    if safe.is_empty() { "file".to_owned() } else { safe.to_owned() }
}

/// A name for the zip of an artifact that cannot lead out of a directory.
pub(super) fn file_name(artifact: &str) -> String {
    safe_name(&format!("{artifact}.zip"))
}

async fn fetch(session: &Session, path: &str, to: &To) -> Result {
    let answer = session.api.send(Method::GET, path, None, &[]).await?;
    let bar = transfer(answer.length(), session.quiet);
    let seen = |n| bar.inc(n);
    match to {
        To::Stdout => {
            answer.copy_to(&mut tokio::io::stdout(), seen).await?;
            bar.finish_and_clear();
            Ok(())
        }
        To::File(path) => {
            let written = save(answer, path, seen).await?;
            bar.finish_and_clear();
            session.format.show(&json!({ "file": path, "size": written }), |_| format!("{} ({})", path.display(), size(written)))
        }
    }
}

/// Writes beside the target and renames: a download that breaks off leaves no half file under the name.
pub(super) async fn save(answer: egress::Response, path: &Path, seen: impl FnMut(u64)) -> Result<u64> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let mut file = tokio::fs::File::create(&part).await?;
    let written = match answer.copy_to(&mut file, seen).await {
        Ok(written) => written,
        Err(error) => {
            let _ = tokio::fs::remove_file(&part).await;
            return Err(error.into());
        }
    };
    file.shutdown().await?;
    tokio::fs::rename(&part, path).await?;
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_this_directory() {
        for (name, want) in
            [("server.zip", "server.zip"), ("../../x", "_.._x"), (".bashrc", "bashrc"), ("a b/ü\u{1b}", "a b_ü_"), ("..", "file")]
        {
            let To::File(path) = target(None, name) else { panic!("a file is expected") };
            assert_eq!(path, PathBuf::from(want), "{name}");
        }
        assert!(matches!(target(Some("-"), "x"), To::Stdout));
    }
}
