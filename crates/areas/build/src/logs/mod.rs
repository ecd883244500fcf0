//! Logs of jobs: appended by offset and durable when acknowledged, followed live from any offset, sealed into a blob.

pub mod routes;

use std::sync::Arc;

use blobs::{Blobs, Digest, Owner, Want};
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use kernel::{Code, Error, JobId, Result};
use store::job::{JobRow, job_calls_forget, job_get};
use store::job_log::{self, Segment};
use store::{Tx, WorkRow};
use web_kit::App;

/// Said once where a log is cut.
const CUT: &[u8] = b"\n##[warning]The log is longer than this instance keeps; the rest is left out.\n";

/// Chunks from this size on are packed: below it, a log is watched rather than stored.
const WORTH_PACKING: usize = 4096;

/// Bytes of a log on their way into it, packed before a transaction begins.
pub struct Chunk {
    bytes: Bytes,
    packed: Option<Vec<u8>>,
}

impl Chunk {
    /// Packs what is worth it: logs shrink to a third, and with them what a database writes twice.
    pub fn new(bytes: Bytes) -> Self {
        let packed = (bytes.len() >= WORTH_PACKING).then(|| lz4_flex::block::compress_prepend_size(&bytes));
        let packed = packed.filter(|p| p.len() < bytes.len() / 4 * 3);
        Self { bytes, packed }
    }
}

/// Appends what is new of a chunk at `offset`; the length that is durable once the transaction is.
///
/// # Errors
/// `conflict` for a gap, `stale_epoch` when the lease went meanwhile.
pub async fn log_append(tx: &mut Tx, app: &App, job: JobId, epoch: i64, stored: i64, offset: u64, chunk: &Chunk) -> Result<u64> {
    let bytes = &chunk.bytes;
    let at = u64::try_from(stored).unwrap_or(0);
    let end = offset + bytes.len() as u64;
    if offset > at {
        return Err(Error::new(Code::Conflict, format!("the log has {at} bytes, a chunk at {offset} leaves a gap")));
    }
    if end <= at {
        return Ok(at);
    }
    let skip = usize::try_from(at - offset).unwrap_or(0);
    let fresh = &bytes[skip.min(bytes.len())..];
    let limit = app.config().log_limit;
    // offsets go on past the limit, so that a long log never changes how a job ends; the bytes are kept as nothing
    let kept: std::borrow::Cow<'_, [u8]> = if at >= limit {
        std::borrow::Cow::Owned(Vec::new())
    } else if at + fresh.len() as u64 > limit {
        let room = usize::try_from(limit - at).unwrap_or(0);
        std::borrow::Cow::Owned([&fresh[..room.min(fresh.len())], CUT].concat())
    } else {
        std::borrow::Cow::Borrowed(fresh)
    };
    let end = i64::try_from(end).unwrap_or(i64::MAX);
    let segment = match &chunk.packed {
        Some(packed) if kept.len() == bytes.len() => Segment { data: packed, packed: true },
        _ => Segment { data: &kept, packed: false },
    };
    if job_log::log_append(tx, job, epoch, stored, end, segment).await? {
        Ok(u64::try_from(end).unwrap_or(0))
    } else {
        Err(Error::new(Code::StaleEpoch, "the log was written by somebody else"))
    }
}

fn digest(text: &str) -> Result<Digest> {
    text.parse().map_err(|e: blobs::Error| Error::internal(e))
}

/// Bytes of a log from `offset`, as many as are at hand; empty at the end of what there is.
///
/// # Errors
/// The database's, the storage's.
pub async fn log_read(app: &App, job: &JobRow, offset: u64) -> Result<Bytes> {
    let at = i64::try_from(offset).unwrap_or(i64::MAX);
    if at >= job.log_length {
        return Ok(Bytes::new());
    }
    if let Some(sealed) = &job.log_digest {
        return read_sealed(app, job, sealed, offset).await;
    }
    if let Some((start, data, packed)) = job_log::log_segment(app.db(), job.id, at).await? {
        let data = if packed { lz4_flex::block::decompress_size_prepended(&data).map_err(Error::internal)? } else { data };
        let skip = usize::try_from(at - start).unwrap_or(0).min(data.len());
        return Ok(Bytes::from(data).slice(skip..));
    }
    // sealed between the two looks
    match job_get(app.db(), job.id).await?.and_then(|j| j.log_digest) {
        Some(sealed) => read_sealed(app, job, &sealed, offset).await,
        None => Ok(Bytes::new()),
    }
}

/// Most bytes handed out at once.
const PIECE: u64 = 1 << 20;

async fn read_sealed(app: &App, job: &JobRow, sealed: &str, offset: u64) -> Result<Bytes> {
    let blobs = app.part::<Blobs>()?;
    let want = Want::Between(offset, offset.saturating_add(PIECE - 1));
    let reader = match blobs.get(&Owner::from(job.project), &digest(sealed)?, want).await {
        Ok(Some(reader)) => reader,
        Ok(None) => return Err(Error::new(Code::Gone, "the log was removed")),
        Err(blobs::Error::Range { .. }) => return Ok(Bytes::new()),
        Err(e) => return Err(e.into()),
    };
    let pieces: Vec<Bytes> = futures::TryStreamExt::try_collect(reader.body).await.map_err(Error::internal)?;
    Ok(pieces.concat().into())
}

/// Moves the log of an ended job from segments into a blob. Doing it again does nothing.
///
/// # Errors
/// The database's, the storage's.
pub async fn log_seal(app: App, work: WorkRow) -> Result<()> {
    let id: JobId = serde_json::from_value(work.payload["job"].clone()).map_err(Error::internal)?;
    let Some(job) = job_get(app.db(), id).await?.filter(|j| j.log_digest.is_none() && j.state == "completed") else { return Ok(()) };
    let (project, length) = (job.project, u64::try_from(job.log_length).unwrap_or(0));
    let limit = app.config().log_limit;
    let shared = Arc::new((app.clone(), job));
    let body: BoxStream<'static, std::result::Result<Bytes, blobs::BodyError>> = stream::unfold(Some(0u64), move |at| {
        let shared = shared.clone();
        async move {
            let at = at?;
            if at >= length {
                return None;
            }
            match log_read(&shared.0, &shared.1, at).await {
                // past the limit nothing is kept
                Ok(bytes) if bytes.is_empty() && at >= limit => None,
                Ok(bytes) if bytes.is_empty() => Some((Err("a segment of the log is missing".into()), None)),
                Ok(bytes) => {
                    let next = at + bytes.len() as u64;
                    Some((Ok(bytes), Some(next)))
                }
                Err(e) => Some((Err(Box::new(e) as blobs::BodyError), None)),
            }
        }
    })
    .boxed();
    let stored = app.part::<Blobs>()?.put(&Owner::from(project), body, None).await?;
    // should it be lost with the power, the segments are still there
    let mut tx = app.db().begin_soft().await?;
    job_log::log_seal(&mut tx, id, &stored.digest.to_string()).await?;
    job_calls_forget(&mut tx, id).await?;
    tx.commit().await
}

/// Cuts bytes where a character ends, so that the text can be shown piece by piece. What is no UTF-8 at all is kept.
pub fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Ok(_) => bytes.len(),
        // only the end may wait for more
        Err(e) if e.error_len().is_none() && bytes.len() - e.valid_up_to() < 4 => e.valid_up_to(),
        Err(_) => {
            let tail = bytes.len().saturating_sub(3);
            let lead = bytes[tail..].iter().position(|b| *b >= 0xC0).map_or(bytes.len(), |i| tail + i);
            match std::str::from_utf8(&bytes[lead..]) {
                Err(e) if e.error_len().is_none() => lead,
                _ => bytes.len(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::whole_characters;

    #[test]
    fn characters_are_not_cut() {
        let text = "aé€😀".as_bytes();
        for end in 0..=text.len() {
            let n = whole_characters(&text[..end]);
            assert!(std::str::from_utf8(&text[..n]).is_ok() && end - n < 4, "{end} {n}");
        }
        assert_eq!(whole_characters(b"ab\xff\xfe"), 4);
        assert_eq!(whole_characters(b"\xffab\xe2\x82"), 3);
    }
}
