//! Artifacts of runs: names for blobs of the project, kept until they expire.

mod browse;
pub mod routes;

use std::collections::HashMap;
use std::time::Duration;

use blobs::{Blobs, Digest, Owner, Stored, Want};
use dialects::plan::{Action, StepKind};
use executors::protocol::{ArtifactItem, ArtifactList};
use futures::StreamExt as _;
use kernel::{ArtifactId, Code, Error, ProjectId, Result, RunId, Timestamp};
use store::Tx;
use store::artifact::{ArtifactRow, artifact_blob_used, artifact_by_name, artifact_list_current, artifact_set};
use store::job::JobRow;
use web_kit::{App, Body, Config};

use crate::schedule::plans;

/// Seconds of a day.
const DAY: u64 = 86_400;

/// Stores a body as a blob of the project.
///
/// # Errors
/// `too_large`, the storage's.
pub async fn store(app: &App, project: ProjectId, body: Body) -> Result<Stored> {
    let blobs = app.part::<Blobs>()?.limited(app.config().blob_limit);
    let stream = body.into_data_stream().map(|r| r.map_err(|e| Box::new(e) as blobs::BodyError)).boxed();
    Ok(blobs.put(&Owner::from(project), stream, None).await?)
}

/// Opens a blob of the project as a body.
///
/// # Errors
/// `gone` when it is no longer there.
pub async fn open(app: &App, project: ProjectId, digest: &str) -> Result<Body> {
    open_sized(app, project, digest).await.map(|(_, body)| body)
}

/// As [`open`], with its size.
///
/// # Errors
/// As [`open`].
pub async fn open_sized(app: &App, project: ProjectId, digest: &str) -> Result<(i64, Body)> {
    let digest: Digest = digest.parse().map_err(|e: blobs::Error| Error::internal(e))?;
    let reader = app.part::<Blobs>()?.get(&Owner::from(project), &digest, Want::All).await?;
    let reader = reader.ok_or_else(|| Error::new(Code::Gone, "its content was removed"))?;
    Ok((i64::try_from(reader.total).unwrap_or(i64::MAX), Body::from_stream(reader.body)))
}

/// Names under which a workflow shows artifacts with its runs, by the names of these.
///
/// # Errors
/// The database's.
async fn exposed(app: &App, run: RunId) -> Result<HashMap<String, String>> {
    let Some(planned) = plans::look(app.db(), run).await? else { return Ok(HashMap::new()) };
    let uploads = planned.plan.jobs.iter().flat_map(|j| &j.steps).filter_map(|step| match &step.kind {
        StepKind::Uses { action: Action::UploadArtifact, with, .. } => Some(with),
        _ => None,
    });
    Ok(uploads.filter_map(|with| Some((with.get("name")?.clone(), with.get("expose-as")?.clone()))).collect())
}

/// Number of files in a zip by its directory's end; an error when it is no zip.
async fn zip_files(app: &App, project: ProjectId, stored: &Stored) -> Result<i64> {
    // the record is 22 bytes and a comment of at most 65,535
    let reader = app.part::<Blobs>()?.get(&Owner::from(project), &stored.digest, Want::Last(22 + 65_535)).await;
    let tail = match reader {
        Ok(Some(reader)) => {
            let pieces: Vec<bytes::Bytes> = futures::TryStreamExt::try_collect(reader.body).await.map_err(Error::internal)?;
            pieces.concat()
        }
        Ok(None) | Err(blobs::Error::Range { .. }) => Vec::new(),
        Err(e) => return Err(e.into()),
    };
    entries(&tail).ok_or_else(|| Error::new(Code::InvalidRequest, "an artifact is a zip archive"))
}

/// Entries a zip announces in the record at its end.
fn entries(tail: &[u8]) -> Option<i64> {
    let at = tail.windows(4).rposition(|w| w == b"PK\x05\x06")?;
    let count = tail.get(at + 10..at + 12)?;
    let count = u16::from_le_bytes([count[0], count[1]]);
    if count != u16::MAX {
        return Some(i64::from(count));
    }
    // zip64 keeps the true number in a record of its own
    let wide = tail[..at].windows(4).rposition(|w| w == b"PK\x06\x06")?;
    let bytes: [u8; 8] = tail.get(wide + 32..wide + 40)?.try_into().ok()?;
    i64::try_from(u64::from_le_bytes(bytes)).ok()
}

/// What an upload says about its artifact.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// How long to keep it; the instance bounds it.
    pub keep: Option<Duration>,
    /// What it is, when it is no zip but one file as it was.
    pub content_type: Option<String>,
}

/// How long an artifact is kept: as asked for, but never longer than the instance allows.
pub(crate) fn kept_for(config: &Config, asked: Option<Duration>) -> Duration {
    let days = |days: u32| Duration::from_secs(u64::from(days.max(1)) * DAY);
    let most = days(config.artifact_days_most.max(config.artifact_days));
    asked.unwrap_or_else(|| days(config.artifact_days)).min(most)
}

/// Checks the name of an artifact.
///
/// # Errors
/// `validation_failed`.
pub fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > 255 || name.chars().any(|c| c.is_control() || "/\\:*?\"<>|".contains(c)) || name.starts_with('.') {
        return Err(Error::field("name", "invalid", "1 to 255 characters, none of / \\ : * ? \" < > |, not beginning with a dot"));
    }
    Ok(())
}

/// Names a stored blob as an artifact of the job's run.
///
/// # Errors
/// `validation_failed` for the name, `invalid_request` when it should be a zip and is none.
pub async fn record(tx: &mut Tx, app: &App, job: &JobRow, name: &str, stored: &Stored, wish: Wish) -> Result<ArtifactRow> {
    check_name(name)?;
    let files = match wish.content_type {
        None => zip_files(app, job.project, stored).await?,
        Some(_) => 1,
    };
    let now = Timestamp::now();
    let row = ArtifactRow {
        id: ArtifactId::new(),
        run: job.run,
        job: job.id,
        project: job.project,
        name: name.to_owned(),
        digest: stored.digest.to_string(),
        size: i64::try_from(stored.size).unwrap_or(i64::MAX),
        files,
        created_at: now,
        expires_at: now.plus(kept_for(app.config(), wish.keep)),
        content_type: wish.content_type,
    };
    artifact_set(tx, &row).await?;
    Ok(row)
}

/// The artifacts of a run as its jobs see them: one that is tried again finds no name taken by its earlier self.
///
/// # Errors
/// The database's.
pub async fn list_for_job(app: &App, run: RunId) -> Result<ArtifactList> {
    let items = artifact_list_current(app.db(), run, 1000)
        .await?
        .into_iter()
        .map(|a| ArtifactItem { name: a.name, size: a.size.unsigned_abs(), digest: a.digest, content_type: a.content_type })
        .collect();
    Ok(ArtifactList { items })
}

/// An artifact of a run by name.
///
/// # Errors
/// `not_found`.
pub async fn by_name(app: &App, run: RunId, name: &str) -> Result<ArtifactRow> {
    artifact_by_name(app.db(), run, name).await?.ok_or_else(|| Error::not_found("artifact"))
}

/// Removes an artifact, and its bytes if nothing else names them.
///
/// # Errors
/// The database's, the storage's.
pub async fn remove(app: &App, id: ArtifactId) -> Result<()> {
    let mut tx = app.db().begin().await?;
    let gone = store::artifact::artifact_delete(&mut tx, id).await?;
    tx.commit().await?;
    match gone {
        Some(gone) => forget(app, gone.project, &gone.digest).await,
        None => Ok(()),
    }
}

/// The bytes of a blob of the project; none when it is no longer there.
///
/// # Errors
/// The storage's.
pub(crate) async fn read(app: &App, project: ProjectId, digest: &str) -> Result<Option<Vec<u8>>> {
    let digest: Digest = digest.parse().map_err(|e: blobs::Error| Error::internal(e))?;
    let Some(reader) = app.part::<Blobs>()?.get(&Owner::from(project), &digest, Want::All).await? else { return Ok(None) };
    let pieces: Vec<bytes::Bytes> = futures::TryStreamExt::try_collect(reader.body).await.map_err(Error::internal)?;
    Ok(Some(pieces.concat()))
}

/// Largest artifact that a file is taken out of here.
const MAX_OPENED: i64 = 64 << 20;

/// A file of an artifact; else why there is none, in plain words.
///
/// # Errors
/// The database's, the storage's.
pub async fn file(app: &App, run: RunId, name: &str, path: &str, max: u64) -> Result<std::result::Result<Vec<u8>, String>> {
    let Some(row) = artifact_by_name(app.db(), run, name).await? else {
        return Ok(Err(format!("there is no artifact `{name}`: the job kept no files, or they have expired")));
    };
    if row.size > MAX_OPENED {
        return Ok(Err(format!("the artifact `{name}` is larger than {} MiB", MAX_OPENED >> 20)));
    }
    let Some(bytes) = read(app, row.project, &row.digest).await? else {
        return Ok(Err(format!("the content of the artifact `{name}` was removed")));
    };
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || unzip(&bytes, &path, max)).await.map_err(Error::internal)
}

/// One file out of a zip archive, of at most `max` bytes.
fn unzip(bytes: &[u8], path: &str, max: u64) -> std::result::Result<Vec<u8>, String> {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).map_err(|e| format!("the artifact cannot be read: {e}"))?;
    let entry = archive.by_name(path).map_err(|_| "there is no such file in the artifact".to_owned())?;
    let mut out = Vec::new();
    // what the archive announces is not believed
    std::io::Read::read_to_end(&mut std::io::Read::take(entry, max + 1), &mut out).map_err(|e| format!("it cannot be read: {e}"))?;
    if out.len() as u64 > max { Err(format!("it has more than {max} bytes")) } else { Ok(out) }
}

/// Removes what has expired: first the names, then the bytes nobody names any more.
///
/// # Errors
/// The database's, the storage's.
pub async fn artifact_expire(app: App) -> Result<()> {
    loop {
        let mut tx = app.db().begin().await?;
        let gone = store::artifact::artifact_expire(&mut tx, Timestamp::now(), 200).await?;
        tx.commit().await?;
        if gone.is_empty() {
            return Ok(());
        }
        for a in gone {
            forget(&app, a.project, &a.digest).await?;
        }
    }
}

/// Deletes a blob that no artifact, cache or image of the project names. Logs have digests of their own content, which a zip
/// or tar.gz made by a job does not share by accident.
pub(crate) async fn forget(app: &App, project: ProjectId, digest: &str) -> Result<()> {
    if artifact_blob_used(app.db(), project, digest).await? {
        return Ok(());
    }
    let digest: Digest = digest.parse().map_err(|e: blobs::Error| Error::internal(e))?;
    app.part::<Blobs>()?.delete(&Owner::from(project), &digest).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::{Config, DAY, entries, kept_for};

    #[test]
    fn an_artifact_is_kept_no_longer_than_allowed() {
        let set = |pairs: &[(&str, &str)]| {
            let pairs: BTreeMap<String, String> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            Config::from_pairs(&pairs).unwrap()
        };
        let days = |n: u64| Duration::from_secs(n * DAY);
        let config = set(&[]);
        assert_eq!(kept_for(&config, None), days(30));
        assert_eq!(kept_for(&config, Some(days(1))), days(1));
        assert_eq!(kept_for(&config, Some(Duration::from_secs(5))), Duration::from_secs(5));
        assert_eq!(kept_for(&config, Some(days(4000))), days(90));
        assert_eq!(kept_for(&set(&[("artifact_days", "400")]), None), days(400));
        assert_eq!(kept_for(&set(&[("artifact_days_most", "3"), ("artifact_days", "2")]), Some(days(9))), days(3));
    }

    #[test]
    fn a_zip_tells_how_many_files_it_has() {
        let mut end = b"PK\x05\x06\0\0\0\0\x03\0\x03\0".to_vec();
        end.extend([0; 10]);
        assert_eq!(entries(&end), Some(3));
        assert_eq!(entries(b"not a zip"), None);
        assert_eq!(entries(b"PK\x05\x06"), None);
    }
}
