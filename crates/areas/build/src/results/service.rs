//! The calls of the artifact service (version 4) and the cache service (version 2): JSON in, JSON out. Names of fields are
//! those of the published protocol; 64-bit numbers are texts there.

use std::time::Duration;

use kernel::{Code, Error, Result, Timestamp};
use serde_json::{Value, json};
use store::artifact::{ArtifactRow, artifact_list_current};
use store::job::{JobRow, job_get};
use store::upload::{UploadRow, upload_delete, upload_find};
use web_kit::App;

use super::token::{read_address, write_address};
use super::uploads::{self, New, number};
use crate::{artifacts, caches};

/// Most artifacts of a run that a list tells of.
const LISTED: i64 = 1000;

/// Name of the artifact service.
pub const ARTIFACTS: &str = "github.actions.results.api.v1.ArtifactService";
/// Name of the cache service.
pub const CACHES: &str = "github.actions.results.api.v1.CacheService";

/// Answers a call.
///
/// # Errors
/// `not_found` for a call that there is not, and those of the call.
pub async fn call(app: &App, job: &JobRow, service: &str, method: &str, request: &Value) -> Result<Value> {
    let request = Request(request);
    if service == ARTIFACTS && request.text("workflow_run_backend_id") != job.run.to_string() {
        return Err(Error::new(Code::Forbidden, "a job sees the artifacts of its own run"));
    }
    match (service, method) {
        (ARTIFACTS, "CreateArtifact") => artifact_create(app, job, &request).await,
        (ARTIFACTS, "FinalizeArtifact") => artifact_finalize(app, job, &request).await,
        (ARTIFACTS, "ListArtifacts") => artifact_list(app, job, &request).await,
        (ARTIFACTS, "GetSignedArtifactURL") => artifact_address(app, job, &request).await,
        (ARTIFACTS, "DeleteArtifact") => artifact_delete(app, job, &request).await,
        (CACHES, "CreateCacheEntry") => cache_create(app, job, &request).await,
        (CACHES, "FinalizeCacheEntryUpload") => cache_finalize(app, job, &request).await,
        (CACHES, "GetCacheEntryDownloadURL") => cache_address(app, job, &request).await,
        _ => Err(Error::not_found("method")),
    }
}

/// The fields of a call, by their names in the protocol or in JSON's spelling.
struct Request<'a>(&'a Value);

impl Request<'_> {
    fn get(&self, name: &str) -> &Value {
        let found = &self.0[name];
        if !found.is_null() {
            return found;
        }
        let mut parts = name.split('_');
        let mut camel = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let mut chars = part.chars();
            camel.extend(chars.next().map(|c| c.to_ascii_uppercase()));
            camel.push_str(chars.as_str());
        }
        &self.0[camel.as_str()]
    }

    fn text(&self, name: &str) -> String {
        self.wrapped(name).unwrap_or_default()
    }

    /// A text that may be missing.
    fn wrapped(&self, name: &str) -> Option<String> {
        match self.get(name) {
            Value::String(text) => Some(text.clone()),
            Value::Object(wrapper) => wrapper.get("value").and_then(Value::as_str).map(str::to_owned),
            _ => None,
        }
    }

    /// A number, which may be a text.
    fn number(&self, name: &str) -> Option<u64> {
        match self.get(name) {
            Value::String(text) => text.parse().ok(),
            Value::Object(wrapper) => wrapper.get("value").and_then(|v| v.as_u64().or_else(|| v.as_str()?.parse().ok())),
            other => other.as_u64(),
        }
    }

    fn texts(&self, name: &str) -> Vec<String> {
        let items = self.get(name).as_array().map(Vec::as_slice).unwrap_or_default();
        items.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect()
    }
}

fn taken(name: &str) -> Error {
    Error::new(Code::AlreadyExists, format!("an artifact with the name {name} already exists on the workflow run"))
}

async fn current(app: &App, job: &JobRow, name: &str) -> Result<Option<ArtifactRow>> {
    Ok(artifact_list_current(app.db(), job.run, LISTED).await?.into_iter().find(|a| a.name == name))
}

async fn artifact_create(app: &App, job: &JobRow, request: &Request<'_>) -> Result<Value> {
    let name = request.text("name");
    artifacts::check_name(&name)?;
    if current(app, job, &name).await?.is_some() {
        return Err(taken(&name));
    }
    let expires: Option<Timestamp> = match request.get("expires_at") {
        Value::Null => None,
        at => Some(serde_json::from_value(at.clone()).map_err(|e| Error::field("expires_at", "invalid", e.to_string()))?),
    };
    let kind = request.wrapped("mime_type").map(|k| k.to_ascii_lowercase()).filter(|k| !k.contains("zip"));
    if kind.as_ref().is_some_and(|k| k.len() > 200 || !k.bytes().all(|b| (0x20..0x7f).contains(&b))) {
        return Err(Error::field("mime_type", "invalid", "at most 200 printable characters"));
    }
    let keep = expires.map(|at| at.since(Timestamp::now()).max(Duration::from_secs(1)));
    let upload = uploads::upload_begin(app, job, New { kind: "artifact", name, version: String::new(), content_type: kind, keep }).await?;
    Ok(json!({"ok": true, "signed_upload_url": write_address(app, upload.id)?}))
}

async fn artifact_finalize(app: &App, job: &JobRow, request: &Request<'_>) -> Result<Value> {
    let name = request.text("name");
    let upload = pending(app, job, "artifact", &name, "").await?;
    let stored = uploads::upload_result(&upload, request.number("size"), request.wrapped("hash").as_deref())?;
    let wish = artifacts::Wish {
        keep: upload.keep_seconds.map(|s| Duration::from_secs(s.unsigned_abs())),
        content_type: upload.content_type.clone(),
    };
    let mut tx = app.db().begin().await?;
    let lives = job_get(&mut tx, job.id).await?.is_some_and(|j| j.state == "running" && j.epoch == upload.epoch);
    if !lives {
        return Err(Error::new(Code::StaleEpoch, "the job is over"));
    }
    if artifact_list_current(&mut tx, job.run, LISTED).await?.iter().any(|a| a.name == name) {
        return Err(taken(&name));
    }
    let row = artifacts::record(&mut tx, app, job, &name, &stored, wish).await?;
    upload_delete(&mut tx, upload.id).await?;
    tx.wake(format!("run:{}", job.run));
    tx.commit().await?;
    Ok(json!({"ok": true, "artifact_id": number(row.id.uuid()).to_string()}))
}

async fn artifact_list(app: &App, job: &JobRow, request: &Request<'_>) -> Result<Value> {
    let (name, id) = (request.wrapped("name_filter"), request.number("id_filter"));
    let items: Vec<Value> = artifact_list_current(app.db(), job.run, LISTED)
        .await?
        .into_iter()
        .filter(|a| name.as_ref().is_none_or(|n| a.name == *n))
        .filter(|a| id.is_none_or(|n| number(a.id.uuid()).unsigned_abs() == n))
        .map(|a| {
            json!({
                "workflow_run_backend_id": a.run, "workflow_job_run_backend_id": a.job, "database_id": number(a.id.uuid()).to_string(),
                "name": a.name, "size": a.size.to_string(), "created_at": a.created_at, "digest": a.digest,
            })
        })
        .collect();
    Ok(json!({"artifacts": items}))
}

async fn artifact_address(app: &App, job: &JobRow, request: &Request<'_>) -> Result<Value> {
    let found = current(app, job, &request.text("name")).await?.ok_or_else(|| Error::not_found("artifact"))?;
    let file = if found.content_type.is_some() { found.name } else { format!("{}.zip", found.name) };
    let kind = found.content_type.as_deref().unwrap_or("application/zip");
    Ok(json!({"signed_url": read_address(app, found.project, &found.digest, file, kind)?}))
}

async fn artifact_delete(app: &App, job: &JobRow, request: &Request<'_>) -> Result<Value> {
    let found = current(app, job, &request.text("name")).await?.ok_or_else(|| Error::not_found("artifact"))?;
    artifacts::remove(app, found.id).await?;
    Ok(json!({"ok": true, "artifact_id": number(found.id.uuid()).to_string()}))
}

async fn pending(app: &App, job: &JobRow, kind: &str, name: &str, version: &str) -> Result<UploadRow> {
    upload_find(app.db(), job.id, kind, name, version).await?.ok_or_else(|| Error::not_found("upload"))
}

/// Checks what a client says of a cache, and that the entry is not there.
pub(super) async fn cache_reserve(app: &App, job: &JobRow, key: String, version: String) -> Result<UploadRow> {
    caches::check_key(&key)?;
    if version.is_empty() || version.len() > 200 || !version.is_ascii() {
        return Err(Error::field("version", "invalid", "1 to 200 ASCII characters"));
    }
    if caches::cache_taken(app, job, &key, &version).await? {
        return Err(Error::new(Code::AlreadyExists, format!("there is a cache with the key {key} already; caches never change")));
    }
    uploads::upload_begin(app, job, New { kind: "cache", name: key, version, ..New::default() }).await
}

async fn cache_create(app: &App, job: &JobRow, request: &Request<'_>) -> Result<Value> {
    let upload = cache_reserve(app, job, request.text("key"), request.text("version")).await?;
    Ok(json!({"ok": true, "signed_upload_url": write_address(app, upload.id)?}))
}

async fn cache_finalize(app: &App, job: &JobRow, request: &Request<'_>) -> Result<Value> {
    let upload = pending(app, job, "cache", &request.text("key"), &request.text("version")).await?;
    let stored = uploads::upload_result(&upload, request.number("size_bytes"), None)?;
    if !caches::cache_record(app, job, &upload.name, &upload.version, &stored, Some(upload.id)).await? {
        return Err(Error::new(Code::AlreadyExists, "another job has written the entry meanwhile"));
    }
    Ok(json!({"ok": true, "entry_id": upload.number.to_string()}))
}

async fn cache_address(app: &App, job: &JobRow, request: &Request<'_>) -> Result<Value> {
    let restore = request.texts("restore_keys");
    let restore: Vec<&str> = restore.iter().map(String::as_str).collect();
    let found = caches::cache_find(app, job, &request.text("key"), &restore, &request.text("version")).await?;
    let Some(found) = found else { return Ok(json!({"ok": false})) };
    let address = read_address(app, job.project, &found.digest, "cache".into(), "application/octet-stream")?;
    Ok(json!({"ok": true, "signed_download_url": address, "matched_key": found.key}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_in_two_spellings_and_numbers_in_two_shapes() {
        let value =
            json!({"workflowRunBackendId": "a", "name_filter": {"value": "b"}, "id_filter": "7", "size": 8, "restore_keys": ["x", "y"]});
        let request = Request(&value);
        assert_eq!(request.text("workflow_run_backend_id"), "a");
        assert_eq!(request.wrapped("name_filter").as_deref(), Some("b"));
        assert_eq!((request.number("id_filter"), request.number("size"), request.number("none")), (Some(7), Some(8), None));
        assert_eq!(request.texts("restore_keys"), ["x", "y"]);
    }
}
