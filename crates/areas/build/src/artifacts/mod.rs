//! Artifacts of runs and caches between runs: names for blobs of the project.

pub mod routes;

use std::time::Duration;

use blobs::{Blobs, Digest, Owner, Stored, Want};
use executors::protocol::{ArtifactItem, ArtifactList};
use futures::StreamExt as _;
use kernel::{ArtifactId, Code, Error, ProjectId, Result, RunId, Timestamp};
use store::Tx;
use store::artifact::{
    ArtifactRow, CacheRow, artifact_blob_used, artifact_by_name, artifact_list_current, artifact_set, cache_create, cache_evict, cache_get,
    cache_size, cache_touch,
};
use store::job::JobRow;
use web_kit::App;
use web_kit::Body;

/// Most bytes of all caches of a project; the least recently used go first.
const CACHE_BUDGET: i64 = 10 << 30;

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
    let digest: Digest = digest.parse().map_err(|e: blobs::Error| Error::internal(e))?;
    let reader = app.part::<Blobs>()?.get(&Owner::from(project), &digest, Want::All).await?;
    let reader = reader.ok_or_else(|| Error::new(Code::Gone, "its content was removed"))?;
    Ok(Body::from_stream(reader.body))
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

/// Names a stored zip as an artifact of the job's run.
///
/// # Errors
/// `validation_failed` for the name, `invalid_request` when it is no zip.
pub async fn record(tx: &mut Tx, app: &App, job: &JobRow, name: &str, stored: &Stored) -> Result<ArtifactRow> {
    if name.is_empty() || name.len() > 255 || name.chars().any(|c| c.is_control() || "/\\:*?\"<>|".contains(c)) || name.starts_with('.') {
        return Err(Error::field("name", "invalid", "1 to 255 characters, none of / \\ : * ? \" < > |, not beginning with a dot"));
    }
    let files = zip_files(app, job.project, stored).await?;
    let now = Timestamp::now();
    let days = u64::from(app.config().artifact_days.max(1));
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
        expires_at: now.plus(Duration::from_secs(days * 86_400)),
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
        .map(|a| ArtifactItem { name: a.name, size: a.size.unsigned_abs(), digest: a.digest })
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
async fn forget(app: &App, project: ProjectId, digest: &str) -> Result<()> {
    if artifact_blob_used(app.db(), project, digest).await? {
        return Ok(());
    }
    let digest: Digest = digest.parse().map_err(|e: blobs::Error| Error::internal(e))?;
    app.part::<Blobs>()?.delete(&Owner::from(project), &digest).await?;
    Ok(())
}

/// Where a job may look for caches: its own ref, then the default branch. A branch never writes what another restores.
async fn scopes(app: &App, job: &JobRow) -> Result<Vec<String>> {
    let run = store::run::run_get(app.db(), job.run).await?.ok_or_else(|| Error::not_found("run"))?;
    let project = store::project::project_get(app.db(), job.project).await?.ok_or_else(|| Error::not_found("project"))?;
    let default = format!("refs/heads/{}", project.default_branch);
    Ok(if run.r#ref == default { vec![default] } else { vec![run.r#ref, default] })
}

/// The entry of exactly `key`, else the newest whose key begins with `key` or one of `restore`, in that order.
///
/// # Errors
/// The database's.
pub async fn cache_find(app: &App, job: &JobRow, key: &str, restore: &[&str]) -> Result<Option<CacheRow>> {
    let blobs = app.part::<Blobs>()?;
    let owner = Owner::from(job.project);
    for scope in scopes(app, job).await? {
        let mut found = cache_get(app.db(), job.project, &scope, key).await?;
        for prefix in std::iter::once(key).chain(restore.iter().copied()) {
            if found.is_some() {
                break;
            }
            found = store::artifact::cache_find(app.db(), job.project, &scope, prefix).await?;
        }
        if let Some(entry) = found {
            let digest: Digest = entry.digest.parse().map_err(|e: blobs::Error| Error::internal(e))?;
            if blobs.size(&owner, &digest).await?.is_some() {
                cache_touch(app.db(), entry.id, Timestamp::now()).await?;
                return Ok(Some(entry));
            }
        }
    }
    Ok(None)
}

/// Stores an archive under a key, unless the ref has that key already; makes room first.
///
/// # Errors
/// `validation_failed` for the key, `too_large`, the storage's.
pub async fn cache_store(app: &App, job: &JobRow, key: &str, body: Body) -> Result<()> {
    if key.is_empty() || key.len() > 512 || key.contains(',') || key.chars().any(char::is_control) {
        return Err(Error::field("key", "invalid", "1 to 512 characters without commas and control characters"));
    }
    let scope = scopes(app, job).await?.into_iter().next().unwrap_or_default();
    if cache_get(app.db(), job.project, &scope, key).await?.is_some() {
        return Ok(());
    }
    let stored = store(app, job.project, body).await?;
    let size = i64::try_from(stored.size).unwrap_or(i64::MAX);
    let entry = CacheRow { id: ArtifactId::new().uuid(), scope, key: key.to_owned(), digest: stored.digest.to_string(), size };
    let mut tx = app.db().begin().await?;
    cache_create(&mut tx, job.project, &entry, Timestamp::now()).await?;
    let mut gone = Vec::new();
    while cache_size(&mut tx, job.project).await? > CACHE_BUDGET {
        match cache_evict(&mut tx, job.project).await? {
            Some(evicted) => gone.push(evicted.digest),
            None => break,
        }
    }
    tx.commit().await?;
    for digest in gone {
        forget(app, job.project, &digest).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::entries;

    #[test]
    fn a_zip_tells_how_many_files_it_has() {
        let mut end = b"PK\x05\x06\0\0\0\0\x03\0\x03\0".to_vec();
        end.extend([0; 10]);
        assert_eq!(entries(&end), Some(3));
        assert_eq!(entries(b"not a zip"), None);
        assert_eq!(entries(b"PK\x05\x06"), None);
    }
}
