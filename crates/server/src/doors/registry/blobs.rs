//! Blobs: reading whole or in part, and the uploads in their forms: at once, streamed, in chunks, or mounted from a
//! repository that has them.

use axum::body::Body;
use axum::http::Method;
use axum::http::StatusCode;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use blobs::Owner;
use blobs::UploadKey;
use blobs::Want;
use futures::StreamExt as _;
use kernel::Permission;
use kernel::UploadId;
use oci::Action;
use oci::ByteRange;
use oci::ContentRange;
use oci::Digest;
use oci::Error;
use oci::ErrorCode;
use oci::Repository;
use web_kit::App;

use super::Target;
use super::auth::Caller;
use super::build;
use super::empty;
use super::field;
use super::locate;
use super::parameter;
use super::reply::Failure;
use super::reply::Reply;

/// The storage's form of a digest.
pub(super) fn stored(digest: &Digest) -> Result<blobs::Digest, Failure> {
    Ok(blobs::Digest::from_hex(&digest.hex())?)
}

fn unknown(digest: &Digest) -> Failure {
    Error::new(ErrorCode::BlobUnknown, "there is no such blob in this repository")
        .with_detail(serde_json::json!({ "digest": digest }))
        .into()
}

/// GET and HEAD of a blob.
pub(super) async fn get(target: &Target, digest: Digest, parts: &Parts) -> Reply {
    let key = stored(&digest)?;
    let response = Response::builder()
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::ETAG, format!("\"{digest}\""))
        .header(header::CACHE_CONTROL, "private, max-age=31536000, immutable")
        .header("docker-content-digest", digest.to_string());
    if parts.method == Method::HEAD {
        let size = target.blobs.size(&target.owner, &key).await?.ok_or_else(|| unknown(&digest))?;
        return build(response.header(header::CONTENT_LENGTH, size), Body::empty());
    }
    let range = field(parts, header::RANGE).map(ByteRange::parse).transpose()?.flatten();
    let want = match range {
        None => Want::All,
        Some(ByteRange::Between(first, last)) => Want::Between(first, last),
        Some(ByteRange::From(first)) => Want::From(first),
        Some(ByteRange::Last(n)) => Want::Last(n),
    };
    let reader = match target.blobs.get(&target.owner, &key, want).await {
        Err(e @ blobs::Error::Range { total }) => return Err(Failure::from(e).with_header("content-range", format!("bytes */{total}"))),
        other => other?.ok_or_else(|| unknown(&digest))?,
    };
    let mut response = response.header(header::CONTENT_LENGTH, reader.range.end - reader.range.start);
    if range.is_some() {
        let text = format!("bytes {}-{}/{}", reader.range.start, reader.range.end.saturating_sub(1), reader.total);
        response = response.status(StatusCode::PARTIAL_CONTENT).header(header::CONTENT_RANGE, text);
    }
    build(response, Body::from_stream(reader.body))
}

/// DELETE of a blob that no manifest needs.
pub(super) async fn delete(app: &App, target: &Target, digest: Digest) -> Reply {
    let key = stored(&digest)?;
    // the lock keeps a manifest that needs it from being put meanwhile
    let mut tx = app.db().begin().await?;
    store::dialect::project_lock(&mut tx, target.project.id()).await?;
    if store::registry::target_is_linked(&mut tx, target.project.id(), &digest.to_string()).await? {
        return Err(Error::new(ErrorCode::Unsupported, "a manifest of the project needs this blob; delete the manifest first").into());
    }
    let there = target.blobs.delete(&target.owner, &key).await?;
    tx.commit().await?;
    if there { build(empty(202), Body::empty()) } else { Err(unknown(&digest)) }
}

fn created(name: &Repository, digest: &Digest) -> Reply {
    let response =
        empty(201).header(header::LOCATION, format!("/v2/{name}/blobs/{digest}")).header("docker-content-digest", digest.to_string());
    build(response, Body::empty())
}

/// The body as the storage takes it.
fn stream(body: Body) -> blobs::Body {
    body.into_data_stream().map(|chunk| chunk.map_err(|e| blobs::BodyError::from(e.into_inner()))).boxed()
}

fn digest_parameter(parts: &Parts) -> Result<Option<Digest>, Failure> {
    Ok(parameter(parts, "digest").map(|d| d.parse()).transpose()?)
}

/// POST: mounts, takes a whole blob, or begins an upload.
pub(super) async fn upload_start(app: &App, caller: &Caller, target: &Target, parts: &Parts, body: Body) -> Reply {
    if let Some(digest) = parameter(parts, "mount") {
        let digest: Digest = digest.parse()?;
        if mount(app, caller, target, &digest, parameter(parts, "from").as_deref()).await? {
            return created(&target.name, &digest);
        }
        // what cannot be mounted is uploaded: the client is told nothing about why
    } else if let Some(digest) = digest_parameter(parts)? {
        target.blobs.put(&target.owner, stream(body), Some(&stored(&digest)?)).await?;
        return created(&target.name, &digest);
    }
    if parameter(parts, "digest-algorithm").is_some_and(|a| a != "sha256") {
        return Err(Error::new(ErrorCode::Unsupported, "only sha256 digests are stored here").with_status(400).into());
    }
    let id = UploadId::new().to_string();
    target.blobs.upload_start(&target.owner, &UploadKey::parse(&id)?).await?;
    let shown = format!("{id}-{}", seal(app, caller, target, &id));
    build(progress(202, target, &shown, 0), Body::empty())
}

/// Takes the blob over from a repository the caller may read; without `from`, from this project.
async fn mount(app: &App, caller: &Caller, target: &Target, digest: &Digest, from: Option<&str>) -> Result<bool, Failure> {
    let key = stored(digest)?;
    let Some(from) = from.filter(|f| !f.is_empty()) else {
        return Ok(target.blobs.size(&target.owner, &key).await?.is_some());
    };
    let Ok(from) = Repository::parse(from) else { return Ok(false) };
    if caller.scoped(&from, Action::Pull).is_err() {
        return Ok(false);
    }
    match locate(app, &caller.ctx, &from, Permission::RegistryRead).await {
        Ok((project, _)) => Ok(target.blobs.link(&Owner::from(project.id()), &key, &target.owner).await?),
        Err(e) if e.code.status() < 500 => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Binds an upload to its repository and to who began it.
fn seal(app: &App, caller: &Caller, target: &Target, id: &str) -> String {
    let project = target.project.id().to_string();
    let mac = app.key().mac(&[b"registry upload", id.as_bytes(), project.as_bytes(), target.image.as_bytes(), caller.subject().as_bytes()]);
    URL_SAFE_NO_PAD.encode(&mac[..16])
}

fn progress(status: u16, target: &Target, shown: &str, size: u64) -> axum::http::response::Builder {
    empty(status)
        .header(header::LOCATION, format!("/v2/{}/blobs/uploads/{shown}", target.name))
        .header(header::RANGE, format!("0-{}", size.saturating_sub(1)))
        .header("docker-upload-uuid", shown)
}

/// An upload that was begun.
pub(super) struct Upload {
    target: Target,
    key: UploadKey,
    shown: String,
}

fn unknown_upload() -> Failure {
    Error::new(ErrorCode::BlobUploadUnknown, "there is no such upload").into()
}

impl Upload {
    pub(super) fn find(app: &App, caller: &Caller, target: Target, shown: &str) -> Result<Self, Failure> {
        let (id, mac) = shown.split_once('-').ok_or_else(unknown_upload)?;
        let sealed = seal(app, caller, &target, id);
        let same = sealed.len() == mac.len() && sealed.bytes().zip(mac.bytes()).fold(0, |acc, (a, b)| acc | (a ^ b)) == 0;
        if !same {
            return Err(unknown_upload());
        }
        let key = UploadKey::parse(id).map_err(|_| unknown_upload())?;
        Ok(Self { target, key, shown: shown.to_owned() })
    }

    async fn size(&self) -> Result<u64, Failure> {
        self.target.blobs.upload_size(&self.target.owner, &self.key).await?.ok_or_else(unknown_upload)
    }

    pub(super) async fn status(self) -> Reply {
        let size = self.size().await?;
        build(progress(204, &self.target, &self.shown, size), Body::empty())
    }

    pub(super) async fn cancel(self) -> Reply {
        if self.target.blobs.upload_cancel(&self.target.owner, &self.key).await? {
            build(Response::builder().status(204), Body::empty())
        } else {
            Err(unknown_upload())
        }
    }

    /// Appends the body; the offset is checked where the client says one.
    async fn take(&self, parts: &Parts, body: Body) -> Result<u64, Failure> {
        let range = field(parts, header::CONTENT_RANGE).map(ContentRange::parse).transpose()?;
        let length = field(parts, header::CONTENT_LENGTH).and_then(|l| l.parse::<u64>().ok());
        if let (Some(range), Some(length)) = (range, length)
            && range.len() != Some(length)
        {
            return Err(Error::new(ErrorCode::SizeInvalid, "Content-Range and Content-Length do not agree").into());
        }
        let at = range.map(|r| r.first);
        match self.target.blobs.upload_append(&self.target.owner, &self.key, at, stream(body)).await {
            Ok(size) => Ok(size),
            Err(e @ blobs::Error::OffsetMismatch { stored, .. }) => Err(Failure::from(e)
                .with_header("range", format!("0-{}", stored.saturating_sub(1)))
                .with_header("location", format!("/v2/{}/blobs/uploads/{}", self.target.name, self.shown))),
            Err(e) => Err(e.into()),
        }
    }

    pub(super) async fn append(self, parts: &Parts, body: Body) -> Reply {
        let size = self.take(parts, body).await?;
        build(progress(202, &self.target, &self.shown, size), Body::empty())
    }

    pub(super) async fn finish(self, parts: &Parts, body: Body) -> Reply {
        let digest = digest_parameter(parts)?.ok_or_else(|| Error::new(ErrorCode::DigestInvalid, "the digest parameter is missing"))?;
        let key = stored(&digest)?;
        let sends = parts.headers.contains_key(header::TRANSFER_ENCODING) || field(parts, header::CONTENT_LENGTH).is_some_and(|l| l != "0");
        if sends {
            self.take(parts, body).await?;
        }
        match self.target.blobs.upload_finish(&self.target.owner, &self.key, &key).await {
            Ok(_) => {}
            // the answer to an earlier try may have been lost
            Err(blobs::Error::UploadUnknown) if self.target.blobs.size(&self.target.owner, &key).await?.is_some() => {}
            Err(e) => return Err(e.into()),
        }
        created(&self.target.name, &digest)
    }
}
