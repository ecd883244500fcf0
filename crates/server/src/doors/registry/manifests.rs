//! Manifests: stored and served as the bytes that were pushed; a push, its tags and its event are one transaction.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::Response;
use kernel::Actor;
use kernel::Event;
use kernel::EventData;
use kernel::Timestamp;
use oci::Error;
use oci::ErrorCode;
use oci::MAX_MANIFEST;
use oci::Manifest;
use oci::Reference;
use oci::Tag;
use store::registry::ManifestRow;
use web_kit::App;
use web_kit::extract::read_body;

use super::Target;
use super::auth::Caller;
use super::blobs::stored;
use super::build;
use super::empty;
use super::field;
use super::parameters;
use super::reply::Failure;
use super::reply::Reply;

/// Most tags of one push.
const MAX_TAGS: usize = 10;

fn unknown(reference: &Reference) -> Failure {
    let detail = serde_json::json!({ "reference": reference.to_string() });
    Error::new(ErrorCode::ManifestUnknown, "there is no such manifest in this repository").with_detail(detail).into()
}

/// GET and HEAD.
pub(super) async fn get(app: &App, target: &Target, reference: &Reference, head: bool) -> Reply {
    let (project, image) = (target.project.id(), target.image.as_str());
    let found = match reference {
        Reference::Tag(tag) => store::registry::manifest_by_tag(app.db(), project, image, tag.as_str()).await?,
        Reference::Digest(digest) => store::registry::manifest_by_digest(app.db(), project, image, &digest.to_string()).await?,
    };
    let manifest = found.ok_or_else(|| unknown(reference))?;
    let response = Response::builder()
        .header(header::CONTENT_TYPE, manifest.media_type)
        .header(header::CONTENT_LENGTH, manifest.content.len())
        .header(header::ETAG, format!("\"{}\"", manifest.digest))
        .header("docker-content-digest", manifest.digest);
    build(response, if head { Body::empty() } else { Body::from(manifest.content) })
}

/// PUT by tag or digest, with more tags by `?tag=`.
pub(super) async fn put(app: &App, caller: &Caller, target: &Target, reference: &Reference, parts: Parts, body: Body) -> Reply {
    let content_type = field(&parts, header::CONTENT_TYPE).unwrap_or_default().to_owned();
    let mut tags = match reference {
        Reference::Tag(tag) => vec![tag.clone()],
        Reference::Digest(_) => Vec::new(),
    };
    let more = parameters(&parts, "tag").map(|t| Tag::parse(&t)).collect::<Result<Vec<_>, _>>()?;
    if more.len() > MAX_TAGS {
        return Err(Error::new(ErrorCode::TagInvalid, "at most 10 tags at once").with_status(414).into());
    }
    let echo = !more.is_empty();
    tags.extend(more);
    let bytes = read_body(Request::from_parts(parts, body), MAX_MANIFEST).await.map_err(|p| p.0)?;
    let manifest = Manifest::parse(&content_type, &bytes)?;
    if let Reference::Digest(digest) = reference
        && *digest != manifest.digest
    {
        return Err(Error::new(ErrorCode::DigestInvalid, "the manifest has another digest")
            .with_detail(manifest.digest.to_string())
            .into());
    }
    let digest = manifest.digest.to_string();
    let row = ManifestRow {
        project: target.project.id(),
        image: target.image.clone(),
        digest: digest.clone(),
        media_type: manifest.kind.media_type().to_owned(),
        image_size: manifest.size(),
        subject: manifest.subject.as_ref().map(|s| s.digest.to_string()),
        referrer: manifest.subject.is_some().then(|| serde_json::json!(manifest.as_referrer(bytes.len() as u64))),
        artifact_type: manifest.artifact_type.clone(),
        content: bytes.to_vec(),
        account: caller.ctx.user(),
        pushed_at: Timestamp::now(),
    };
    let needs: Vec<String> = manifest.blobs().chain(&manifest.manifests).map(|d| d.digest.to_string()).collect();

    let mut tx = app.db().begin().await?;
    // blobs are deleted under the same lock: what is there now stays
    store::dialect::project_lock(&mut tx, row.project).await?;
    complete(target, &manifest, &mut tx).await?;
    store::registry::manifest_put(&mut tx, &row, &needs).await?;
    if let Actor::Job { id, .. } = &caller.ctx.actor {
        store::image_push::image_push_note(&mut tx, &row, *id).await?;
    }
    for tag in &tags {
        store::registry::tag_put(&mut tx, &row, tag.as_str()).await?;
    }
    let pushed = |tag: Option<&Tag>| EventData::ImagePushed {
        image: target.name.to_string(),
        tag: tag.map(ToString::to_string),
        digest: digest.clone(),
    };
    let events = if tags.is_empty() { vec![pushed(None)] } else { tags.iter().map(|t| pushed(Some(t))).collect() };
    for data in events {
        tx.emit(&Event::new(row.account, Some(row.project), data)).await?;
    }
    tx.commit().await?;

    let mut response =
        empty(201).header(header::LOCATION, format!("/v2/{}/manifests/{digest}", target.name)).header("docker-content-digest", &digest);
    if let Some(subject) = &row.subject {
        response = response.header("oci-subject", subject);
    }
    if echo {
        for tag in &tags {
            response = response.header("oci-tag", tag.as_str());
        }
    }
    build(response, Body::empty())
}

/// Manifests of an index; the largest real ones have some dozens, one for each platform.
const MOST_MANIFESTS: usize = 500;

/// Is everything there that the manifest needs?
async fn complete(target: &Target, manifest: &Manifest, tx: &mut store::Tx) -> Result<(), Failure> {
    let missing = |digest: &oci::Digest, what: &str| {
        let detail = serde_json::json!({ "digest": digest });
        Failure::from(
            Error::new(ErrorCode::ManifestBlobUnknown, format!("{what} is not in this repository: push it first")).with_detail(detail),
        )
    };
    for blob in manifest.blobs() {
        match target.blobs.size(&target.owner, &stored(&blob.digest)?).await? {
            None => return Err(missing(&blob.digest, "a blob of the manifest")),
            Some(size) if size != blob.size => {
                let message = format!("the blob {} has {size} bytes, not {}", blob.digest, blob.size);
                return Err(Error::new(ErrorCode::ManifestInvalid, message).into());
            }
            Some(_) => {}
        }
    }
    // the same one may be named again and again
    let named: std::collections::BTreeSet<&oci::Digest> = manifest.manifests.iter().map(|e| &e.digest).collect();
    if named.len() > MOST_MANIFESTS {
        return Err(Error::new(ErrorCode::ManifestInvalid, format!("an index names at most {MOST_MANIFESTS} manifests")).into());
    }
    for found in named {
        let digest = found.to_string();
        if store::registry::manifest_by_digest(&mut *tx, target.project.id(), &target.image, &digest).await?.is_none() {
            return Err(missing(found, "a manifest of the index"));
        }
    }
    Ok(())
}

/// DELETE: by tag the tag alone, by digest the manifest with its tags.
pub(super) async fn delete(app: &App, target: &Target, reference: &Reference) -> Reply {
    let (project, image) = (target.project.id(), target.image.as_str());
    let there = match reference {
        Reference::Tag(tag) => store::registry::tag_delete(app.db(), project, image, tag.as_str()).await?,
        Reference::Digest(digest) => {
            let digest = digest.to_string();
            let mut tx = app.db().begin().await?;
            store::dialect::project_lock(&mut tx, project).await?;
            if store::registry::target_is_linked(&mut tx, project, &digest).await? {
                return Err(Error::new(ErrorCode::Denied, "an index of the project lists this manifest; delete the index first").into());
            }
            if store::registry::manifest_is_released(&mut tx, project, &digest).await? {
                return Err(Error::new(ErrorCode::Denied, "an environment runs this image").into());
            }
            let there = store::registry::manifest_delete(&mut tx, project, image, &digest).await?;
            tx.commit().await?;
            there
        }
    };
    if there { build(empty(202), Body::empty()) } else { Err(unknown(reference)) }
}
