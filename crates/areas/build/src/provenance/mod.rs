//! Provenance: what the control plane states about the artifacts and images of a successful run (SLSA provenance 1.0 in an
//! in-toto statement), signed by a key of the instance (DSSE, ECDSA over P-256).
//!
//! Invariants: the statement says only what the control plane knows; no job sees the key or takes part in the signing; what
//! was stated stays as it is for as long as the run does.
//!
//! Must not know: the registry, where statements about images are laid beside them; how a statement is checked; that is done without the server, from these and the public keys alone.
//!
//! Read next: `identity::keys`.

pub mod routes;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kernel::{Error, JobId, Result, RunId, Timestamp};
use serde_json::{Value, json};
use store::artifact::artifact_list_current;
use store::image_push::image_push_list;
use store::provenance::{ProvenanceRow, provenance_create};
use store::run::{RunRow, run_get, run_plan};
use store::{NewWork, WorkRow};
use web_kit::App;

use crate::identity::keys::{self, Purpose};

/// Type of the payload of an envelope.
const PAYLOAD: &str = "application/vnd.in-toto+json";
/// How a run's statement is to be read: the page `docs/provenance.md`.
const BUILD_TYPE: &str = "urn:devmentor:pipeline:v1";
/// Most artifacts of a run, and most images.
const MOST: i64 = 1000;

/// What a run has made.
struct Made {
    /// What the statement calls it.
    subject: String,
    /// What the list of the run's statements calls it.
    name: String,
    /// `sha256:…`.
    digest: String,
    job: JobId,
    image: bool,
}

/// What is signed: type and payload with their lengths, so that neither can pass for the other (DSSE 1.0).
fn pre_authentication(kind: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// The statement about what was made.
fn statement(base: &str, project: &str, run: &RunRow, contexts: &Value, made: &Made) -> Value {
    let repository = format!("{base}/{project}");
    let digest = made.digest.strip_prefix("sha256:").unwrap_or(&made.digest);
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": made.subject, "digest": {"sha256": digest}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "workflow": {"repository": repository, "ref": run.r#ref, "path": run.workflow},
                    "inputs": contexts["inputs"],
                },
                "internalParameters": {
                    "event": run.event, "number": run.number, "job": made.job, "account": run.actor,
                },
                "resolvedDependencies": [
                    {"uri": format!("git+{repository}.git@{}", run.r#ref), "digest": {"gitCommit": run.commit}},
                ],
            },
            "runDetails": {
                "builder": {"id": format!("{base}/builders/pipeline"), "version": {"devmentor": env!("CARGO_PKG_VERSION")}},
                "metadata": {
                    "invocationId": format!("{base}/runs/{}/attempts/{}", run.id, run.attempt),
                    "startedOn": run.started_at,
                    "finishedOn": run.finished_at,
                },
            },
        },
    })
}

/// States the provenance of what a run has made, once it has ended well.
///
/// # Errors
/// The database's.
pub async fn provenance_create_all(app: App, work: WorkRow) -> Result<()> {
    let id: RunId = serde_json::from_value(work.payload["run"].clone()).map_err(Error::internal)?;
    let Some(run) = run_get(app.db(), id).await?.filter(|r| r.conclusion.as_deref() == Some("success")) else { return Ok(()) };
    let Some(project) = store::project::project_get(app.db(), run.project).await? else { return Ok(()) };
    let mut all: Vec<Made> = artifact_list_current(app.db(), id, MOST)
        .await?
        .into_iter()
        .map(|a| Made { subject: a.name.clone(), name: a.name, digest: a.digest, job: a.job, image: false })
        .collect();
    all.extend(image_push_list(app.db(), id, MOST).await?.into_iter().map(|p| Made {
        subject: format!("{}/{}", app.config().public_host(), p.repository(&project.path)),
        name: p.name(&project.path),
        digest: p.digest,
        job: p.job,
        image: true,
    }));
    if all.is_empty() {
        return Ok(());
    }
    let contexts = run_plan(app.db(), id).await?.map(|(_, contexts)| contexts).unwrap_or_default();
    let now = Timestamp::now();
    let key = keys::current(&app, Purpose::Provenance, now).await?;
    let images = all.iter().any(|made| made.image);
    let mut rows = Vec::with_capacity(all.len());
    for made in all {
        let statement = statement(&app.config().public_url(), &project.path, &run, &contexts, &made);
        let payload = serde_json::to_vec(&statement).map_err(Error::internal)?;
        let signature = keys::sign_asn1(&app, &key, &pre_authentication(PAYLOAD, &payload))?;
        let envelope = json!({
            "payloadType": PAYLOAD,
            "payload": STANDARD.encode(&payload),
            "signatures": [{"keyid": key.id, "sig": STANDARD.encode(signature)}],
        });
        rows.push(ProvenanceRow { run: id, project: run.project, name: made.name, digest: made.digest, envelope, created_at: now });
    }
    let mut tx = app.db().begin().await?;
    for row in &rows {
        provenance_create(&mut tx, row).await?;
    }
    if images {
        tx.enqueue(NewWork::new("provenance_attach", json!({"run": id})).project(run.project)).await?;
    }
    tx.wake(format!("run:{id}"));
    tx.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_and_payload_cannot_be_shifted() {
        // the example of the specification
        assert_eq!(
            pre_authentication("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
        assert_ne!(pre_authentication("ab", b"c"), pre_authentication("a", b"bc"));
    }
}
