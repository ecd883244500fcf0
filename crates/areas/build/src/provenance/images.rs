//! Statements about images lie beside them in the registry, as OCI artifacts that refer to them: whoever pulls an image finds
//! where it comes from without knowing this service (in-toto's media type for a DSSE envelope; OCI image specification 1.1,
//! "Guidelines for artifact usage").

use blobs::{Blobs, Digest, Owner};
use bytes::Bytes;
use kernel::{Code, Error, ProjectId, Result, Timestamp};
use oci::Manifest;
use serde_json::{Value, json};
use store::Tx;
use store::registry::{ManifestRow, PushRow, manifest_by_digest, manifest_put};
use web_kit::App;

/// A DSSE envelope around provenance.
const ENVELOPE: &str = "application/vnd.in-toto.provenance+dsse";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// A manifest that is to be stored.
pub(super) struct Attached {
    row: ManifestRow,
    blobs: Vec<Digest>,
}

/// Stores the envelope as a blob, and makes the manifest that refers to the image.
///
/// # Errors
/// The storage's.
pub(super) async fn prepare(app: &App, project: ProjectId, image: &PushRow, envelope: &Value, now: Timestamp) -> Result<Attached> {
    let storage = app.part::<Blobs>()?;
    let owner = Owner::from(project);
    let envelope = serde_json::to_vec(envelope).map_err(Error::internal)?;
    let size = envelope.len();
    let layer = storage.put_bytes(&owner, Bytes::from(envelope)).await?.digest;
    let config = storage.put_bytes(&owner, Bytes::from_static(b"{}")).await?.digest;
    let content = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": ENVELOPE,
        "config": {"mediaType": EMPTY, "digest": config.to_string(), "size": 2},
        "layers": [{"mediaType": ENVELOPE, "digest": layer.to_string(), "size": size}],
        "subject": {"mediaType": image.media_type, "digest": image.digest, "size": image.size},
        "annotations": {"in-toto.io/predicate-type": "https://slsa.dev/provenance/v1", "org.opencontainers.image.created": now},
    });
    let content = serde_json::to_vec(&content).map_err(Error::internal)?;
    let manifest = Manifest::parse(MANIFEST, &content).map_err(Error::internal)?;
    let row = ManifestRow {
        project,
        image: image.image.clone(),
        digest: manifest.digest.to_string(),
        media_type: MANIFEST.to_owned(),
        image_size: manifest.size(),
        subject: Some(image.digest.clone()),
        referrer: Some(json!(manifest.as_referrer(content.len() as u64))),
        artifact_type: manifest.artifact_type.clone(),
        content,
        account: None,
        pushed_at: now,
    };
    Ok(Attached { row, blobs: vec![layer, config] })
}

/// Stores the manifest, if the image is still there.
///
/// # Errors
/// `unavailable` when a blob was cleared away meanwhile: it has to be prepared again.
pub(super) async fn attach(app: &App, tx: &mut Tx, attached: &Attached) -> Result<()> {
    let row = &attached.row;
    // blobs are deleted under the same lock: what is there now stays
    store::dialect::project_lock(tx, row.project).await?;
    let subject = row.subject.as_deref().unwrap_or_default();
    if manifest_by_digest(&mut *tx, row.project, &row.image, subject).await?.is_none() {
        return Ok(());
    }
    let (storage, owner) = (app.part::<Blobs>()?, Owner::from(row.project));
    for digest in &attached.blobs {
        if storage.size(&owner, digest).await?.is_none() {
            return Err(Error::new(Code::Unavailable, "a blob of the statement was cleared away"));
        }
    }
    let needs: Vec<String> = attached.blobs.iter().map(ToString::to_string).collect();
    manifest_put(tx, row, &needs).await
}
