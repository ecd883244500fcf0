//! Statements about images lie beside them in the registry, as OCI artifacts that refer to them: whoever pulls an image finds
//! where it comes from without knowing this service (in-toto's media type for a DSSE envelope; OCI image specification 1.1,
//! "Guidelines for artifact usage").

use blobs::{Blobs, Digest, Owner};
use bytes::Bytes;
use kernel::{Code, Error, Result, RunId};
use oci::Manifest;
use serde_json::json;
use store::image_push::{ImagePushRow, image_push_list};
use store::project::project_get;
use store::provenance::{ProvenanceRow, provenance_get};
use store::registry::{ManifestRow, manifest_by_digest, manifest_put};
use store::{Tx, WorkRow};
use web_kit::App;

/// A DSSE envelope around provenance.
const ENVELOPE: &str = "application/vnd.in-toto.provenance+dsse";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// Most images of a run.
const MOST: i64 = 1000;

/// Lays the statements about the images of a run beside them. Doing it again does nothing.
///
/// # Errors
/// The database's, the storage's; `unavailable` when it has to be done again.
pub async fn provenance_attach(app: App, work: WorkRow) -> Result<()> {
    let run: RunId = serde_json::from_value(work.payload["run"].clone()).map_err(Error::internal)?;
    let Some(project) = work.project else { return Ok(()) };
    let Some(project) = project_get(app.db(), project).await? else { return Ok(()) };
    for image in image_push_list(app.db(), run, MOST).await? {
        if let Some(stated) = provenance_get(app.db(), run, &image.name(&project.path), &image.digest).await? {
            let attached = prepare(&app, &image, &stated).await?;
            let mut tx = app.db().begin().await?;
            attach(&app, &mut tx, &attached).await?;
            tx.commit().await?;
        }
    }
    Ok(())
}

/// A manifest that is to be stored.
struct Attached {
    row: ManifestRow,
    blobs: Vec<Digest>,
}

/// Stores the envelope as a blob, and makes the manifest that refers to the image.
async fn prepare(app: &App, image: &ImagePushRow, stated: &ProvenanceRow) -> Result<Attached> {
    let storage = app.part::<Blobs>()?;
    let owner = Owner::from(stated.project);
    let envelope = serde_json::to_vec(&stated.envelope).map_err(Error::internal)?;
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
        "annotations": {"in-toto.io/predicate-type": "https://slsa.dev/provenance/v1", "org.opencontainers.image.created": stated.created_at},
    });
    let content = serde_json::to_vec(&content).map_err(Error::internal)?;
    let manifest = Manifest::parse(MANIFEST, &content).map_err(Error::internal)?;
    let row = ManifestRow {
        project: stated.project,
        image: image.image.clone(),
        digest: manifest.digest.to_string(),
        media_type: MANIFEST.to_owned(),
        image_size: manifest.size(),
        subject: Some(image.digest.clone()),
        referrer: Some(json!(manifest.as_referrer(content.len() as u64))),
        artifact_type: manifest.artifact_type.clone(),
        content,
        account: None,
        pushed_at: stated.created_at,
    };
    Ok(Attached { row, blobs: vec![layer, config] })
}

/// Stores the manifest, if the image is still there.
async fn attach(app: &App, tx: &mut Tx, attached: &Attached) -> Result<()> {
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
