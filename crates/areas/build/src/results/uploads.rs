//! Uploads in blocks: blocks arrive in any order, at any instance, each a blob of the upload's own; a list of their names
//! puts them together to a blob of the project.

use std::collections::HashMap;
use std::time::Duration;

use blobs::{Blobs, BodyError, Digest, Owner, Stored, Want};
use futures::{StreamExt as _, TryStreamExt as _};
use kernel::{Code, Error, Result, Timestamp};
use quick_xml::events::Event;
use store::job::{JobRow, job_get};
use store::upload::{
    BlockRow, UploadRow, upload_block_list, upload_block_set, upload_block_sum, upload_create, upload_delete, upload_find, upload_get,
    upload_stale, upload_stored,
};
use uuid::Uuid;
use web_kit::{App, Body};

use crate::artifacts::forget;

/// Most blocks of an upload, as Azure has it.
const MAX_BLOCKS: i64 = 50_000;
/// Longest name of a block.
const MAX_NAME: usize = 128;
/// Most bytes of a list of blocks.
pub const MAX_LIST: usize = 8 << 20;
/// An upload that is not finalized is given up after this long.
const IDLE: Duration = Duration::from_secs(86_400);

/// What an upload is to become.
#[derive(Clone, Debug, Default)]
pub struct New {
    /// `artifact` or `cache`.
    pub kind: &'static str,
    /// Name of the artifact, or key of the cache.
    pub name: String,
    /// Version of a cache.
    pub version: String,
    /// Of an artifact that is no zip.
    pub content_type: Option<String>,
    /// How long an artifact is to be kept.
    pub keep: Option<Duration>,
}

/// A number for clients whose ids are numbers, small enough for a double.
pub fn number(id: Uuid) -> i64 {
    i64::try_from(id.as_u128() & 0xffff_ffff_ffff).unwrap_or_default()
}

fn staging(id: Uuid) -> Result<Owner> {
    Ok(Owner::parse(&format!("upl_{}", id.simple()))?)
}

/// Begins an upload; one of the same name that the job began before is dropped.
///
/// # Errors
/// The database's.
pub async fn upload_begin(app: &App, job: &JobRow, new: New) -> Result<UploadRow> {
    let id = Uuid::now_v7();
    let row = UploadRow {
        id,
        number: number(id),
        project: job.project,
        job: job.id,
        epoch: job.epoch,
        kind: new.kind.to_owned(),
        name: new.name,
        version: new.version,
        content_type: new.content_type,
        keep_seconds: new.keep.map(|k| i64::try_from(k.as_secs()).unwrap_or(i64::MAX)),
        digest: None,
        size: None,
        created_at: Timestamp::now(),
    };
    let mut tx = app.db().begin().await?;
    let before = upload_find(&mut tx, job.id, &row.kind, &row.name, &row.version).await?;
    if let Some(before) = &before {
        upload_delete(&mut tx, before.id).await?;
    }
    upload_create(&mut tx, &row).await?;
    tx.commit().await?;
    if let Some(before) = before {
        discard(app, &before).await?;
    }
    Ok(row)
}

/// Removes the bytes of an upload that is no more.
async fn discard(app: &App, upload: &UploadRow) -> Result<()> {
    app.part::<Blobs>()?.purge(&staging(upload.id)?).await?;
    match &upload.digest {
        Some(digest) => forget(app, upload.project, digest).await,
        None => Ok(()),
    }
}

/// The upload behind a signed address, while the job that began it runs.
///
/// # Errors
/// `gone`.
pub async fn upload_open(app: &App, id: Uuid) -> Result<UploadRow> {
    let over = || Error::new(Code::Gone, "the upload, or the job it belongs to, is over");
    let upload = upload_get(app.db(), id).await?.ok_or_else(over)?;
    let job = job_get(app.db(), upload.job).await?.filter(|j| j.state == "running" && j.epoch == upload.epoch);
    job.map(|_| upload).ok_or_else(over)
}

/// Takes a block.
///
/// # Errors
/// `too_large` when the upload becomes larger than blobs may be, `invalid_request`, the storage's.
pub async fn upload_block(app: &App, upload: &UploadRow, name: &str, body: Body) -> Result<()> {
    if name.is_empty() || name.len() > MAX_NAME || !name.is_ascii() {
        return Err(Error::new(Code::InvalidRequest, "the name of a block is 1 to 128 characters"));
    }
    let (count, sum) = upload_block_sum(app.db(), upload.id).await?;
    if count >= MAX_BLOCKS {
        return Err(Error::new(Code::TooLarge, format!("an upload has at most {MAX_BLOCKS} blocks")));
    }
    let room = app.config().blob_limit.saturating_sub(sum.unsigned_abs());
    let stream = body.into_data_stream().map(|r| r.map_err(|e| Box::new(e) as BodyError)).boxed();
    let stored = app.part::<Blobs>()?.limited(room).put(&staging(upload.id)?, stream, None).await?;
    let size = i64::try_from(stored.size).unwrap_or(i64::MAX);
    upload_block_set(app.db(), upload.id, &BlockRow { block: name.to_owned(), digest: stored.digest.to_string(), size }).await
}

/// Takes all of an upload at once.
///
/// # Errors
/// `too_large`, the storage's.
pub async fn upload_whole(app: &App, upload: &UploadRow, body: Body) -> Result<()> {
    let stored = crate::artifacts::store(app, upload.project, body).await?;
    settle(app, upload, &stored).await
}

/// Puts the named blocks together, in this order. Once that is done it may be asked for again.
///
/// # Errors
/// `invalid_request` for a block that is not there, `too_large`, the storage's.
pub async fn upload_commit(app: &App, upload: &UploadRow, names: &[String]) -> Result<()> {
    if upload.digest.is_some() {
        return Ok(());
    }
    let known: HashMap<String, String> = upload_block_list(app.db(), upload.id).await?.into_iter().map(|b| (b.block, b.digest)).collect();
    let mut digests = Vec::with_capacity(names.len());
    for name in names {
        let digest = known.get(name).ok_or_else(|| Error::new(Code::InvalidRequest, format!("there is no block {name}")))?;
        digests.push(digest.parse::<Digest>().map_err(Error::internal)?);
    }
    let stored = join(app, upload, digests).await?;
    settle(app, upload, &stored).await
}

/// Puts blocks named by their offsets together.
///
/// # Errors
/// `invalid_request` when something is missing between them, or they have another size altogether.
pub async fn upload_commit_offsets(app: &App, upload: &UploadRow, size: u64) -> Result<()> {
    if upload.digest.is_some() {
        return Ok(());
    }
    let (mut at, mut digests) = (0, Vec::new());
    for block in upload_block_list(app.db(), upload.id).await? {
        if block.block != offset_name(at) {
            return Err(Error::new(Code::InvalidRequest, format!("the bytes from {at} are missing")));
        }
        at += block.size.unsigned_abs();
        digests.push(block.digest.parse::<Digest>().map_err(Error::internal)?);
    }
    if at != size {
        return Err(Error::new(Code::InvalidRequest, format!("there are {at} bytes, not {size}")));
    }
    let stored = join(app, upload, digests).await?;
    settle(app, upload, &stored).await
}

/// The name of the block at an offset; sorts as the offsets do.
pub fn offset_name(at: u64) -> String {
    format!("{at:020}")
}

async fn join(app: &App, upload: &UploadRow, digests: Vec<Digest>) -> Result<Stored> {
    let blobs = app.part::<Blobs>()?;
    let (source, from) = (blobs.clone(), staging(upload.id)?);
    let pieces = futures::stream::iter(digests).then(move |digest| {
        let (source, from) = (source.clone(), from.clone());
        async move {
            let reader = source.get(&from, &digest, Want::All).await.map_err(|e| Box::new(e) as BodyError)?;
            let reader = reader.ok_or_else(|| BodyError::from("a block is no longer there"))?;
            Ok::<_, BodyError>(reader.body.map_err(|e| Box::new(e) as BodyError))
        }
    });
    let whole = pieces.try_flatten().boxed();
    Ok(blobs.limited(app.config().blob_limit).put(&Owner::from(upload.project), whole, None).await?)
}

async fn settle(app: &App, upload: &UploadRow, stored: &Stored) -> Result<()> {
    let digest = stored.digest.to_string();
    let mut tx = app.db().begin().await?;
    let there = upload_stored(&mut tx, upload.id, &digest, i64::try_from(stored.size).unwrap_or(i64::MAX)).await?;
    tx.commit().await?;
    app.part::<Blobs>()?.purge(&staging(upload.id)?).await?;
    if !there {
        forget(app, upload.project, &digest).await?;
        return Err(Error::new(Code::Gone, "the upload was given up"));
    }
    Ok(())
}

/// What was put together of an upload.
///
/// # Errors
/// `invalid_request` when nothing was, or something else than the client says.
pub fn upload_result(upload: &UploadRow, size: Option<u64>, digest: Option<&str>) -> Result<Stored> {
    let wrong = |why: String| Error::new(Code::InvalidRequest, why);
    let (Some(found), Some(length)) = (&upload.digest, upload.size) else {
        return Err(wrong("nothing was uploaded yet".into()));
    };
    let length = length.unsigned_abs();
    if let Some(size) = size.filter(|s| *s != length) {
        return Err(wrong(format!("{length} bytes were uploaded, not {size}")));
    }
    if let Some(digest) = digest.filter(|d| d != found) {
        return Err(wrong(format!("the upload has the digest {found}, not {digest}")));
    }
    Ok(Stored { digest: found.parse().map_err(|e: blobs::Error| Error::internal(e))?, size: length })
}

/// Drops uploads that nobody finalized.
///
/// # Errors
/// The database's, the storage's.
pub async fn upload_expire(app: App) -> Result<()> {
    let before = Timestamp(Timestamp::now().millis() - i64::try_from(IDLE.as_millis()).unwrap_or_default());
    for upload in upload_stale(app.db(), before, 1000).await? {
        let mut tx = app.db().begin().await?;
        upload_delete(&mut tx, upload.id).await?;
        tx.commit().await?;
        discard(&app, &upload).await?;
    }
    Ok(())
}

/// The names of a list of blocks, as `<BlockList>` has them.
///
/// # Errors
/// `invalid_request` when it is no such list.
pub fn block_list(xml: &[u8]) -> Result<Vec<String>> {
    let bad = |why: String| Error::new(Code::InvalidRequest, format!("the list of blocks cannot be read: {why}"));
    let text = std::str::from_utf8(xml).map_err(|e| bad(e.to_string()))?;
    let mut reader = quick_xml::Reader::from_str(text);
    let (mut names, mut depth, mut inside, mut listed) = (Vec::new(), 0, false, false);
    loop {
        match reader.read_event().map_err(|e| bad(e.to_string()))? {
            Event::Start(tag) => {
                depth += 1;
                listed |= depth == 1 && tag.name().as_ref() == "BlockList";
                inside = depth == 2 && matches!(tag.name().as_ref(), "Latest" | "Uncommitted" | "Committed");
                if inside {
                    names.push(String::new());
                }
            }
            Event::Empty(tag) => listed |= depth == 0 && tag.name().as_ref() == "BlockList",
            Event::End(_) => {
                depth -= 1;
                inside = false;
            }
            Event::Text(text) if inside => {
                if let Some(name) = names.last_mut() {
                    // names are base64: nothing in them is ever escaped
                    name.push_str(text.trim());
                }
            }
            Event::Eof if listed && depth == 0 => return Ok(names),
            Event::Eof => return Err(bad("it has no whole BlockList".into())),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_blocks() {
        let xml = br#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?><BlockList><Latest>QQ==</Latest><Committed> Qg== </Committed></BlockList>"#;
        assert_eq!(block_list(xml).unwrap(), ["QQ==", "Qg=="]);
        assert!(block_list(b"<BlockList/>").unwrap().is_empty());
        assert!(block_list(b"<BlockList></BlockList>").unwrap().is_empty());
        for bad in [&b""[..], b"<x/>", b"<BlockList><Latest>", b"\xff", b"{}"] {
            assert!(block_list(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn numbers_fit_a_double() {
        let id = Uuid::now_v7();
        assert!(number(id) >= 0 && number(id) < 1 << 53);
    }

    #[test]
    fn offsets_sort_as_numbers() {
        assert!(offset_name(9) < offset_name(10) && offset_name(99) < offset_name(u64::MAX));
    }
}
