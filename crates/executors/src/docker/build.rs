//! Images built and pushed by the engine.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use bollard::Docker;
use bollard::query_parameters::{BuildImageOptions, PushImageOptionsBuilder, TagImageOptionsBuilder};
use bytes::Bytes;
use futures::StreamExt as _;
use tokio::sync::mpsc;

use crate::actions::Logins;
use crate::engine::StepOutput;
use crate::host::HostError;
use crate::image::Ignore;
use crate::sandbox::open_beneath;

/// What to build.
pub(crate) struct EngineBuild {
    /// No file outside is read; `context` lies below it.
    pub(crate) root: PathBuf,
    pub(crate) context: PathBuf,
    /// Text of the Dockerfile.
    pub(crate) dockerfile: String,
    pub(crate) ignore: Ignore,
    pub(crate) tags: Vec<String>,
    pub(crate) args: BTreeMap<String, String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) target: String,
    pub(crate) no_cache: bool,
    pub(crate) pull: bool,
}

/// Name of the Dockerfile in the context sent: one no file of the context has.
const DOCKERFILE: &str = ".devmentor.Dockerfile";

/// Builds; returns the image's id. The inner error is the author's.
pub(crate) async fn build(
    docker: &Docker,
    what: EngineBuild,
    logins: &Logins,
    out: &mut StepOutput,
) -> Result<Result<String, String>, HostError> {
    let options = BuildImageOptions {
        dockerfile: DOCKERFILE.into(),
        t: what.tags.first().cloned(),
        nocache: what.no_cache,
        pull: what.pull.then(|| "true".into()),
        rm: true,
        forcerm: true,
        buildargs: Some(what.args.clone().into_iter().collect()),
        labels: Some(what.labels.clone().into_iter().collect::<HashMap<_, _>>()),
        target: what.target.clone(),
        ..Default::default()
    };
    let tags = what.tags.clone();
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(8);
    let packer = tokio::task::spawn_blocking(move || {
        let failed = sender.clone();
        if let Err(error) = pack(&what, Sender(sender)) {
            let _ = failed.blocking_send(Err(error));
        }
    });
    let stream = futures::stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|item| (item, receiver)) });
    let mut steps = docker.build_image(options, Some(logins.all()), Some(bollard::body_try_stream(stream)));
    let mut id = None;
    while let Some(step) = steps.next().await {
        match step {
            Ok(info) => {
                if let Some(text) = info.stream.filter(|t| !t.trim().is_empty()) {
                    out.line(text.trim_end()).await?;
                }
                if let Some(message) = info.error_detail.and_then(|e| e.message) {
                    return Ok(Err(message));
                }
                id = info.aux.and_then(|a| a.id).or(id);
            }
            Err(error) => return Ok(Err(format!("Docker: {error}"))),
        }
    }
    packer.await.map_err(io::Error::other)?;
    let Some(id) = id else { return Ok(Err("Docker did not say which image it built".into())) };
    for tag in tags.iter().skip(1) {
        let (repository, tag) = split(tag);
        let options = TagImageOptionsBuilder::new().repo(repository).tag(tag).build();
        if let Err(error) = docker.tag_image(&id, Some(options)).await {
            return Ok(Err(format!("Docker: {error}")));
        }
    }
    Ok(Ok(id))
}

/// Pushes a tag; returns the manifest's digest.
pub(crate) async fn push(docker: &Docker, tag: &str, logins: &Logins, out: &mut StepOutput) -> Result<Result<String, String>, HostError> {
    let (repository, name) = split(tag);
    out.line(&format!("Pushing {repository}:{name}")).await?;
    let options = PushImageOptionsBuilder::new().tag(name).build();
    let mut steps = docker.push_image(repository, Some(options), logins.for_image(tag));
    let mut digest = None;
    while let Some(step) = steps.next().await {
        match step {
            Ok(info) => {
                if let Some(message) = info.error_detail.and_then(|e| e.message) {
                    return Ok(Err(message));
                }
                // the last line reads `tag: digest: sha256:… size: n`
                let status = info.status.unwrap_or_default();
                if let Some((_, rest)) = status.split_once("digest: ") {
                    digest = rest.split_whitespace().next().map(str::to_owned);
                    out.line(&status).await?;
                }
            }
            Err(error) => return Ok(Err(format!("Docker: {error}"))),
        }
    }
    Ok(digest.ok_or_else(|| format!("Docker did not say the digest of {tag}")))
}

/// Repository and tag of a reference.
pub(crate) fn split(reference: &str) -> (&str, &str) {
    match reference.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (reference, "latest"),
    }
}

/// Sends the context as a tar, without what does not count.
fn pack(what: &EngineBuild, to: Sender) -> io::Result<()> {
    let mut tar = tar::Builder::new(io::BufWriter::with_capacity(256 * 1024, to));
    tar.follow_symlinks(false);
    let mut header = tar::Header::new_gnu();
    header.set_size(what.dockerfile.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, DOCKERFILE, what.dockerfile.as_bytes())?;
    let real = what.context.canonicalize()?;
    if !real.starts_with(&what.root) {
        return Err(io::Error::other("the build context leads out of the job's directories"));
    }
    let mut walker = walkdir::WalkDir::new(&real).follow_links(false).min_depth(1).sort_by_file_name().into_iter();
    while let Some(entry) = walker.next() {
        let entry = entry.map_err(io::Error::other)?;
        let Ok(path) = entry.path().strip_prefix(&real) else { continue };
        if what.ignore.leaves_out(path) {
            if entry.file_type().is_dir() && !what.ignore.has_exceptions() {
                walker.skip_current_dir();
            }
            continue;
        }
        append(&mut tar, &what.root, entry.path(), path)?;
    }
    io::Write::flush(&mut tar.into_inner()?)
}

fn append(tar: &mut tar::Builder<io::BufWriter<Sender>>, root: &Path, file: &Path, path: &Path) -> io::Result<()> {
    let meta = file.symlink_metadata()?;
    let mut header = tar::Header::new_gnu();
    header.set_metadata(&meta);
    header.set_uid(0);
    header.set_gid(0);
    if meta.is_dir() {
        tar.append_data(&mut header, path.join(""), io::empty())
    } else if meta.is_symlink() {
        header.set_size(0);
        tar.append_link(&mut header, path, std::fs::read_link(file)?)
    } else if meta.is_file() {
        let inside = file.strip_prefix(root).map_err(io::Error::other)?;
        let content = open_beneath(root, inside, true)?;
        let size = content.metadata()?.len();
        header.set_size(size);
        tar.append_data(&mut header, path, io::Read::take(content, size))
    } else {
        Ok(())
    }
}

struct Sender(mpsc::Sender<io::Result<Bytes>>);

impl io::Write for Sender {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let piece = &buffer[..buffer.len().min(256 * 1024)];
        self.0.blocking_send(Ok(Bytes::copy_from_slice(piece))).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
