//! `actions/upload-artifact` and `actions/download-artifact`: zips kept by the server with the run.
//!
//! A zip that comes from elsewhere is only trusted as data: its names are checked, links in it are refused, and the
//! files are written by `tar` in the job's place, as the job's user.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;
use zip::write::SimpleFileOptions;

use super::select::{self, Selection};
use super::{ActionEnd, ActionError, ActionResult, Call, failed};
use crate::host::{ByteStream, HostError};
use crate::protocol::ArtifactItem;
use crate::sandbox::JobDirs;
use crate::spawn::Capture;

/// How often a download is tried.
const DOWNLOAD_TRIES: u32 = 3;
/// Most entries of an archive that is unpacked.
const ENTRIES_MAX: usize = 500_000;
/// Most bytes an archive may unpack to.
const UNPACKED_MAX: u64 = 20 << 30;

pub(super) async fn upload(call: &mut Call<'_>) -> ActionResult {
    let name = call.input("name").unwrap_or("artifact").to_owned();
    check_name(&name)?;
    let lines = call.lines("path");
    // the way of GitLab: hidden files too, under their paths in the workspace, with what may be run
    let exact = call.flag("exact", false)?;
    let hidden = exact || call.flag("include-hidden-files", false)?;
    let overwrite = call.flag("overwrite", false)?;
    let dirs = call.place.dirs().clone();
    let wanted = lines.join(", ");
    let mut selection = select::files(&dirs, &lines, hidden)?;
    if exact {
        selection.rebase(&dirs.workspace)?;
    }
    if selection.files.is_empty() {
        let message = format!("No files were found with the provided path: {wanted}. No artifacts will be uploaded.");
        return match call.input("if-no-files-found").unwrap_or("warn") {
            "ignore" => Ok(ActionEnd::default()),
            "error" => failed(message),
            "warn" => {
                call.out.warning(&message).await?;
                Ok(ActionEnd::default())
            }
            other => failed(format!("`if-no-files-found` must be warn, error or ignore, not `{other}`")),
        };
    }
    if !overwrite && call.host.artifact_list().await?.iter().any(|a| a.name == name) {
        return failed(format!("an artifact with the name `{name}` already exists on the workflow run"));
    }
    let keep = kept_for(call.input("retention-days"), call.input("keep-seconds"))?;
    let zip = call.scratch("artifact.zip");
    let count = selection.files.len();
    let path = zip.clone();
    let packed = tokio::task::spawn_blocking(move || pack(&selection, &dirs, &path, exact)).await.map_err(io::Error::other)?;
    let packed = packed?;
    for skipped in packed.skipped {
        call.out.warning(&skipped).await?;
    }
    let size = tokio::fs::metadata(&zip).await?.len();
    call.out.line(&format!("With the provided path, there will be {count} file(s) uploaded")).await?;
    call.host.artifact_put(&name, &zip, keep).await?;
    let _ = tokio::fs::remove_file(&zip).await;
    call.out.line(&format!("Artifact {name} has been stored: {size} bytes, SHA256 {}", packed.digest)).await?;
    Ok(ActionEnd::default().output("artifact-digest", packed.digest).output("artifact-id", name))
}

/// How long an artifact is to be kept: `retention-days` of actions, `keep-seconds` of what is compiled from other dialects.
fn kept_for(days: Option<&str>, seconds: Option<&str>) -> ActionResult<Option<Duration>> {
    let (name, text, unit) = match (seconds, days) {
        (Some(text), _) => ("keep-seconds", text, 1),
        (None, Some(text)) => ("retention-days", text, 86_400),
        (None, None) => return Ok(None),
    };
    match text.trim().parse::<u64>() {
        Ok(0) => Ok(None),
        Ok(count) => Ok(Some(Duration::from_secs(count.saturating_mul(unit)))),
        Err(_) => failed(format!("`{name}` must be a whole number, not `{text}`")),
    }
}

fn check_name(name: &str) -> ActionResult<()> {
    if name.is_empty()
        || name.len() > 255
        || name.contains(['"', ':', '<', '>', '|', '*', '?', '\\', '/'])
        || name.contains(char::is_control)
    {
        return failed(format!("the artifact name `{name}` is not valid: no \" : < > | * ? \\ / and no control characters"));
    }
    Ok(())
}

struct Packed {
    digest: String,
    skipped: Vec<String>,
}

fn pack(selection: &Selection, dirs: &JobDirs, to: &Path, modes: bool) -> io::Result<Packed> {
    use sha2::Digest as _;
    let mut zip = zip::ZipWriter::new(File::create(to)?);
    let mut skipped = Vec::new();
    for file in &selection.files {
        let mut source = match selection.open(dirs, file) {
            Ok(source) => source,
            Err(error) => {
                skipped.push(format!("{} is left out: {error}", file.display()));
                continue;
            }
        };
        let metadata = source.metadata()?;
        let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
        let options = SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated)
            .compression_level(Some(6))
            .unix_permissions(if modes && mode & 0o111 != 0 { 0o755 } else { 0o644 })
            .large_file(metadata.len() > u64::from(u32::MAX / 2));
        zip.start_file(file.to_string_lossy().replace('\\', "/"), options).map_err(io::Error::other)?;
        io::copy(&mut source, &mut zip)?;
    }
    zip.finish().map_err(io::Error::other)?.sync_all()?;
    let mut hasher = sha2::Sha256::new();
    let mut file = File::open(to)?;
    let mut buffer = vec![0u8; 128 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    Ok(Packed { digest: hex::encode(hasher.finalize()), skipped })
}

pub(super) async fn download(call: &mut Call<'_>) -> ActionResult {
    let base = call.input("path").unwrap_or(".").to_owned();
    let base = select::absolute(call.place.dirs(), &base)?;
    let merge = call.flag("merge-multiple", false)?;
    let known = call.host.artifact_list().await?;
    let wanted: Vec<ArtifactItem> = match (call.input("name"), call.input("pattern")) {
        (Some(name), _) => {
            let Some(found) = known.iter().find(|a| a.name == name) else {
                let have: Vec<&str> = known.iter().map(|a| a.name.as_str()).collect();
                let have = if have.is_empty() { "none".to_owned() } else { have.join(", ") };
                return failed(format!("Artifact not found for name: {name}. The run has: {have}"));
            };
            vec![found.clone()]
        }
        (None, pattern) => {
            let glob = match globset::Glob::new(pattern.unwrap_or("*")) {
                Ok(glob) => glob.compile_matcher(),
                Err(error) => return failed(format!("`pattern` is not a pattern: {}", error.kind())),
            };
            known.into_iter().filter(|a| glob.is_match(&a.name)).collect()
        }
    };
    let single = call.input("name").is_some() || merge;
    for item in &wanted {
        let name = &item.name;
        check_name(name)?;
        let zip = call.scratch("download.zip");
        for tries_left in (0..DOWNLOAD_TRIES).rev() {
            match fetch(call, item, &zip).await {
                // the server went away in the middle of it; the next call waits until it is back
                Err(ActionError::Host(HostError::Io(error))) if tries_left > 0 => {
                    call.out.warning(&format!("the download broke and begins anew: {error}")).await?;
                }
                done => {
                    done?;
                    break;
                }
            }
        }
        let to = if single { base.clone() } else { base.join(name) };
        let count = match &item.content_type {
            None => unpack(call, &zip, &to).await?,
            Some(_) => place(call, &zip, &to, name).await?,
        };
        let _ = tokio::fs::remove_file(&zip).await;
        call.out.line(&format!("Artifact {name}: {count} file(s) to {}", to.display())).await?;
    }
    call.out.line(&format!("Total of {} artifact(s) downloaded", wanted.len())).await?;
    Ok(ActionEnd::default().output("download-path", base.to_string_lossy()))
}

/// Downloads an artifact once, and makes sure that it is what was uploaded.
async fn fetch(call: &Call<'_>, item: &ArtifactItem, zip: &Path) -> ActionResult<()> {
    use sha2::Digest as _;
    let mut stream = call.host.artifact_get(&item.name).await?;
    let mut file = tokio::fs::File::create(zip).await?;
    let mut hasher = sha2::Sha256::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        hasher.update(&chunk);
        file.write_all(&chunk).await?;
    }
    file.flush().await?;
    let found = format!("sha256:{}", hex::encode(hasher.finalize()));
    if found != item.digest {
        return failed(format!("the artifact {} is not what was uploaded: its digest is {found}, not {}", item.name, item.digest));
    }
    Ok(())
}

/// Writes an artifact that is one file as it was, as the job's user.
async fn place(call: &mut Call<'_>, file: &Path, to: &Path, name: &str) -> ActionResult<usize> {
    if name.starts_with('.') {
        return failed(format!("the artifact `{name}` cannot be a file of this name"));
    }
    let stream: ByteStream = Box::pin(tokio_util::io::ReaderStream::new(tokio::fs::File::open(file).await?));
    let to = to.to_string_lossy().into_owned();
    let mut said = Capture::new(super::CAPTURE_MAX);
    let script = "mkdir -p \"$1\" && exec cat > \"$1/$2\"";
    let exit = call.pipe(&["/bin/sh", "-c", script, "sh", &to, name], Some(stream), &mut said).await?;
    if exit.ok() { Ok(1) } else { failed(format!("the artifact cannot be written (exit code {}): {}", exit.code, said.text().trim())) }
}

async fn unpack(call: &mut Call<'_>, zip: &Path, to: &Path) -> ActionResult<usize> {
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(8);
    let path = zip.to_owned();
    let feeder = tokio::task::spawn_blocking(move || {
        let done = zip_to_tar(&path, Sender { channel: sender.clone() });
        if let Err(error) = &done {
            // tar must not take a broken stream for a whole one
            let _ = sender.blocking_send(Err(io::Error::other(error.to_string())));
        }
        done
    });
    let stream: ByteStream = Box::pin(tokio_stream(receiver));
    let to = to.to_string_lossy().into_owned();
    let mut said = Capture::new(super::CAPTURE_MAX);
    let script = "mkdir -p \"$1\" && exec tar --no-same-owner -xf - -C \"$1\"";
    let exit = call.pipe(&["/bin/sh", "-c", script, "sh", &to], Some(stream), &mut said).await;
    let fed = feeder.await.map_err(io::Error::other)?;
    match (fed, exit) {
        (Err(error), _) if error.kind() != io::ErrorKind::BrokenPipe => failed(format!("the artifact cannot be unpacked: {error}")),
        (_, Err(error)) => Err(error),
        (Ok(count), Ok(exit)) if exit.ok() => Ok(count),
        (_, Ok(exit)) => failed(format!("the artifact cannot be unpacked (exit code {}): {}", exit.code, said.text().trim())),
    }
}

fn tokio_stream(receiver: mpsc::Receiver<io::Result<Bytes>>) -> impl futures::Stream<Item = io::Result<Bytes>> + Send {
    futures::stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|item| (item, receiver)) })
}

/// Writes into a channel, waiting when the reader is slow.
struct Sender {
    channel: mpsc::Sender<io::Result<Bytes>>,
}

impl Write for Sender {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let piece = &buffer[..buffer.len().min(256 * 1024)];
        self.channel.blocking_send(Ok(Bytes::copy_from_slice(piece))).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Rewrites a zip as a tar of plain files; refuses what a hostile zip may hold.
fn zip_to_tar(zip: &Path, to: impl Write) -> io::Result<usize> {
    let refuse = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let mut zip = zip::ZipArchive::new(File::open(zip)?).map_err(io::Error::other)?;
    if zip.len() > ENTRIES_MAX {
        return Err(refuse(format!("more than {ENTRIES_MAX} entries")));
    }
    let mut tar = tar::Builder::new(io::BufWriter::with_capacity(256 * 1024, to));
    let (mut count, mut left) = (0, UNPACKED_MAX);
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).map_err(io::Error::other)?;
        let name = entry.name().map_err(io::Error::other)?.into_owned();
        let path = safe_path(&name).ok_or_else(|| refuse(format!("it holds the unsafe name {name:?}")))?;
        if entry.is_symlink() {
            return Err(refuse(format!("it holds a link, {name:?}")));
        }
        if entry.is_dir() || path.as_os_str().is_empty() {
            continue;
        }
        let size = entry.size();
        left = left.checked_sub(size).ok_or_else(|| refuse(format!("it unpacks to more than {UNPACKED_MAX} bytes")))?;
        let mut header = tar::Header::new_gnu();
        header.set_size(size);
        header.set_mode(if entry.unix_mode().is_some_and(|m| m & 0o111 != 0) { 0o755 } else { 0o644 });
        header.set_mtime(u64::try_from(kernel::Timestamp::now().millis() / 1000).unwrap_or(0));
        // a size that lies is an error: the tar would be out of step
        let mut exact = Exact { inner: (&mut entry).take(size + 1), left: size };
        tar.append_data(&mut header, &path, &mut exact)?;
        if exact.left != 0 || io::copy(&mut exact.inner, &mut io::sink())? != 0 {
            return Err(refuse(format!("{name:?} has another size than it says")));
        }
        count += 1;
    }
    tar.into_inner()?.flush()?;
    Ok(count)
}

/// Reads exactly so much.
struct Exact<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Exact<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.inner.read(&mut buffer[..most])?;
        if count == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count as u64;
        Ok(count)
    }
}

/// A relative path of plain names.
fn safe_path(name: &str) -> Option<PathBuf> {
    if name.starts_with('/') || name.contains(['\\', '\0']) || name.get(1..2) == Some(":") {
        return None;
    }
    let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") { None } else { Some(parts.iter().collect()) }
}

impl From<zip::result::ZipError> for ActionError {
    fn from(error: zip::result::ZipError) -> Self {
        Self::Failed(format!("the archive cannot be read: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zip_of(entries: &[(&str, &[u8])]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut zip = zip::ZipWriter::new(file.reopen().unwrap());
        for (name, content) in entries {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap();
        file
    }

    #[test]
    fn a_zip_becomes_a_tar() {
        let mut tar = Vec::new();
        let zip = zip_of(&[("a.txt", b"one"), ("d/b.txt", b"two")]);
        assert_eq!(zip_to_tar(zip.path(), &mut tar).unwrap(), 2);
        let mut archive = tar::Archive::new(tar.as_slice());
        let names: Vec<_> = archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().into_owned()).collect();
        assert_eq!(names, [Path::new("a.txt"), Path::new("d/b.txt")]);
    }

    #[test]
    fn hostile_names_and_links_are_refused() {
        for name in ["../x", "a/../../x", "/etc/x", "C:x", "a\\..\\x"] {
            assert_eq!(safe_path(name), None, "{name}");
        }
        assert!(zip_to_tar(zip_of(&[("../x", b"")]).path(), io::sink()).is_err());
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut zip = zip::ZipWriter::new(file.reopen().unwrap());
        zip.add_symlink("link", "/etc", SimpleFileOptions::default()).unwrap();
        zip.finish().unwrap();
        assert!(zip_to_tar(file.path(), io::sink()).unwrap_err().to_string().contains("link"));
    }

    #[test]
    fn names_of_artifacts() {
        assert!(check_name("dist-linux.x64").is_ok());
        for name in ["", "a/b", "a:b", "a\nb"] {
            assert!(check_name(name).is_err());
        }
    }
}
