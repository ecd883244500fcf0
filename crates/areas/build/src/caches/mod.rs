//! Caches between runs: archives under keys, one set for each ref of a project.
//!
//! Invariants: a run restores from its own ref, the base of its pull request and the default branch, and writes under its
//! own ref alone, so that what the default branch restores was written by the default branch; an untrusted run writes where
//! only its like look; an entry never changes; all
//! entries of a project stay within a budget, and who was not used for longest goes first.

use blobs::{Blobs, Digest, Owner, Stored};
use kernel::{ArtifactId, Error, ProjectId, Result, Timestamp};
use serde_json::json;
use store::NewWork;
use store::WorkRow;
use store::artifact::{CacheRow, cache_create, cache_evict_one, cache_get, cache_list, cache_size, cache_touch};
use store::job::JobRow;
use store::run::{RunRow, Trust, run_get, run_plan};
use web_kit::{App, Body};

use crate::artifacts;

/// Entries that a look at a prefix tells of.
const LISTED: i64 = 100;

/// Where a run may look for caches, its own scope first; that is the only one it writes.
fn scopes_of(run: &RunRow, base: Option<&str>, default_branch: &str) -> Vec<String> {
    let default = format!("refs/heads/{default_branch}");
    // a run about a pull request may carry the name of a branch, but what it does is its author's
    let about_pull = run.event.starts_with("pull_request") || run.event == "merge_request_event";
    let own = match run.trust {
        // nothing that a trusted run restores
        Trust::Untrusted => format!("untrusted/{}", run.r#ref),
        _ if about_pull && run.r#ref == default => format!("refs/pulls-to/{default_branch}"),
        _ => run.r#ref.clone(),
    };
    let mut scopes = vec![own];
    for scope in base.filter(|b| !b.is_empty()).map(|b| format!("refs/heads/{b}")).into_iter().chain([default]) {
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    scopes
}

async fn scopes(app: &App, job: &JobRow) -> Result<Vec<String>> {
    let run = run_get(app.db(), job.run).await?.ok_or_else(|| Error::not_found("run"))?;
    let project = store::project::project_get(app.db(), job.project).await?.ok_or_else(|| Error::not_found("project"))?;
    let contexts = run_plan(app.db(), job.run).await?.map(|(_, contexts)| contexts).unwrap_or_default();
    Ok(scopes_of(&run, contexts["github"]["base_ref"].as_str(), &project.default_branch))
}

/// Checks a key.
///
/// # Errors
/// `validation_failed`.
pub fn check_key(key: &str) -> Result<()> {
    if key.is_empty() || key.len() > 512 || key.contains(',') || key.chars().any(char::is_control) {
        return Err(Error::field("key", "invalid", "1 to 512 characters without commas and control characters"));
    }
    Ok(())
}

/// The entry of exactly `key`, else the newest whose key begins with `key` or one of `restore`, in that order.
///
/// # Errors
/// The database's.
pub async fn cache_find(app: &App, job: &JobRow, key: &str, restore: &[&str], version: &str) -> Result<Option<CacheRow>> {
    let blobs = app.part::<Blobs>()?;
    let owner = Owner::from(job.project);
    for scope in scopes(app, job).await? {
        let mut found = cache_get(app.db(), job.project, &scope, key, version).await?;
        for prefix in std::iter::once(key).chain(restore.iter().copied()) {
            if found.is_some() {
                break;
            }
            found = store::artifact::cache_find(app.db(), job.project, &scope, prefix, version).await?;
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

/// The entries a job could restore whose keys begin with `prefix`, of any version.
///
/// # Errors
/// The database's.
pub async fn cache_entries(app: &App, job: &JobRow, prefix: &str) -> Result<Vec<CacheRow>> {
    let mut all = Vec::new();
    for scope in scopes(app, job).await? {
        all.extend(cache_list(app.db(), job.project, &scope, prefix, LISTED).await?);
    }
    Ok(all)
}

/// Has the job's own ref this entry already?
///
/// # Errors
/// The database's.
pub async fn cache_taken(app: &App, job: &JobRow, key: &str, version: &str) -> Result<bool> {
    let scope = scopes(app, job).await?.into_iter().next().unwrap_or_default();
    Ok(cache_get(app.db(), job.project, &scope, key, version).await?.is_some())
}

/// Makes a stored archive an entry of the job's own ref, and lets what is too much be removed. False when there is one of
/// the key already, which stays.
///
/// # Errors
/// The database's.
pub async fn cache_record(app: &App, job: &JobRow, key: &str, version: &str, stored: &Stored, upload: Option<uuid::Uuid>) -> Result<bool> {
    let scope = scopes(app, job).await?.into_iter().next().unwrap_or_default();
    let entry = CacheRow {
        id: upload.unwrap_or_else(|| ArtifactId::new().uuid()),
        scope,
        key: key.to_owned(),
        version: version.to_owned(),
        digest: stored.digest.to_string(),
        size: i64::try_from(stored.size).unwrap_or(i64::MAX),
        created_at: Timestamp::now(),
    };
    let mut tx = app.db().begin().await?;
    let made = cache_create(&mut tx, job.project, &entry).await?;
    if let Some(upload) = upload {
        store::upload::upload_delete(&mut tx, upload).await?;
    }
    let work = NewWork::new("cache_evict", json!({"project": job.project}));
    tx.enqueue(work.project(job.project).dedup(job.project.to_string())).await?;
    tx.commit().await?;
    if !made {
        artifacts::forget(app, job.project, &entry.digest).await?;
    }
    Ok(made)
}

/// Stores an archive under a key, unless the ref has that key already.
///
/// # Errors
/// `validation_failed` for the key, `too_large`, the storage's.
pub async fn cache_store(app: &App, job: &JobRow, key: &str, body: Body) -> Result<()> {
    check_key(key)?;
    if cache_taken(app, job, key, "").await? {
        return Ok(());
    }
    let stored = artifacts::store(app, job.project, body).await?;
    cache_record(app, job, key, "", &stored, None).await.map(|_| ())
}

/// Removes what was not used for longest until the caches of a project fit.
///
/// # Errors
/// The database's, the storage's.
pub async fn cache_evict(app: App, work: WorkRow) -> Result<()> {
    let project: ProjectId = serde_json::from_value(work.payload["project"].clone()).map_err(Error::internal)?;
    let limit = i64::try_from(app.config().cache_limit).unwrap_or(i64::MAX);
    while cache_size(app.db(), project).await? > limit {
        let mut tx = app.db().begin().await?;
        let gone = cache_evict_one(&mut tx, project).await?;
        tx.commit().await?;
        let Some(gone) = gone else { break };
        tracing::info!(%project, key = gone.key, scope = gone.scope, size = gone.size, "a cache made room");
        artifacts::forget(&app, project, &gone.digest).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use kernel::RunId;
    use serde_json::Value;

    use super::*;

    fn run(event: &str, reference: &str) -> RunRow {
        RunRow {
            id: RunId::new(),
            project: ProjectId::new(),
            number: 1,
            workflow: String::new(),
            name: String::new(),
            title: String::new(),
            event: event.into(),
            r#ref: reference.into(),
            commit: String::new(),
            state: String::new(),
            conclusion: None,
            attempt: 1,
            detected: false,
            actor: None,
            diagnostics: Value::Null,
            jobs_total: 0,
            jobs_done: 0,
            dedup: None,
            concurrency_group: None,
            parent: None,
            blocked: false,
            cancelled: false,
            created_at: Timestamp::now(),
            started_at: None,
            finished_at: None,
            cause: None,
            trust: Trust::Member,
            version: 1,
        }
    }

    #[test]
    fn a_ref_writes_for_itself_and_reads_from_its_base_and_the_default_branch() {
        let of = |event: &str, reference: &str, base: &str| scopes_of(&run(event, reference), Some(base), "main").join(" ");
        assert_eq!(of("push", "refs/heads/main", ""), "refs/heads/main");
        assert_eq!(of("push", "refs/heads/x", ""), "refs/heads/x refs/heads/main");
        assert_eq!(of("pull_request", "refs/pull/4/merge", "dev"), "refs/pull/4/merge refs/heads/dev refs/heads/main");
        assert_eq!(of("pull_request", "refs/pull/4/merge", "main"), "refs/pull/4/merge refs/heads/main");
        let untrusted = RunRow { trust: Trust::Untrusted, ..run("push", "refs/heads/main") };
        assert_eq!(scopes_of(&untrusted, None, "main"), ["untrusted/refs/heads/main", "refs/heads/main"]);
        // the run about a pull request that has the default branch's name does not write what that restores
        assert_eq!(of("pull_request_target", "refs/heads/main", "main"), "refs/pulls-to/main refs/heads/main");
    }
}
