//! Bodies in and out, and unpacking of gzip with a bound.

use std::io::Write;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::write::MultiGzDecoder;
use futures::stream::{BoxStream, Stream, StreamExt};

use crate::error::{GitError, Result};

/// An answer.
pub enum Body {
    /// All there is.
    Full(Bytes),
    /// Piece by piece. Dropping it before the end stops what makes it.
    Stream(BoxStream<'static, std::io::Result<Bytes>>),
}

/// A request body: pieces as they come from the client.
pub struct Incoming {
    pieces: Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send>>,
    gzip: Option<Box<MultiGzDecoder<Vec<u8>>>>,
    /// Bytes still allowed, after unpacking.
    left: u64,
    idle: Duration,
    ended: bool,
}

impl Incoming {
    /// Wraps the pieces. With `gzip` they are unpacked; `max` bounds what comes out either way, so a bomb ends early.
    pub fn new(pieces: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static, gzip: bool, max: u64, idle: Duration) -> Self {
        let gzip = gzip.then(|| Box::new(MultiGzDecoder::new(Vec::new())));
        Self { pieces: Box::pin(pieces), gzip, left: max, idle, ended: false }
    }

    /// The next piece, never empty; none at the end.
    ///
    /// # Errors
    /// `TooLarge` past the bound, `Invalid` for bad gzip, `Timeout` when the client is silent too long, `Io`.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if self.ended {
                return Ok(None);
            }
            let piece = tokio::time::timeout(self.idle, self.pieces.next()).await.map_err(|_| GitError::Timeout)?;
            let piece = piece.transpose().map_err(GitError::io("read the request"))?;
            let piece = match (&mut self.gzip, piece) {
                (None, Some(piece)) => piece,
                (None, None) => {
                    self.ended = true;
                    continue;
                }
                (Some(gzip), piece) => {
                    let ended = piece.is_none();
                    // small bites: one packed byte can be a thousand
                    let mut out = Vec::new();
                    for bite in piece.as_deref().unwrap_or_default().chunks(4096) {
                        gzip.write_all(bite).map_err(bad_gzip)?;
                        out.append(gzip.get_mut());
                        if out.len() as u64 > self.left {
                            return Err(over());
                        }
                    }
                    if ended {
                        gzip.try_finish().map_err(bad_gzip)?;
                        out.append(gzip.get_mut());
                        self.ended = true;
                    }
                    out.into()
                }
            };
            if piece.is_empty() {
                continue;
            }
            self.left = self.left.checked_sub(piece.len() as u64).ok_or_else(over)?;
            return Ok(Some(piece));
        }
    }

    /// Everything, for requests that are small by nature.
    ///
    /// # Errors
    /// As [`Incoming::next`].
    pub async fn collect(mut self) -> Result<BytesMut> {
        let mut all = BytesMut::new();
        while let Some(piece) = self.next().await? {
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }

    /// Reads on without keeping anything, so that a client which is still sending gets to see our answer.
    pub(super) async fn drain(&mut self, max: u64, time: Duration) {
        let drain = async {
            let mut drained = 0;
            // what is dropped need not be unpacked
            self.gzip = None;
            self.left = max;
            while let Ok(Some(piece)) = self.next().await {
                drained += piece.len() as u64;
                if drained >= max {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(time, drain).await;
    }
}

fn over() -> GitError {
    GitError::TooLarge("the request is too large".into())
}

fn bad_gzip(e: std::io::Error) -> GitError {
    GitError::Invalid(format!("the request is not valid gzip: {e}"))
}

#[cfg(test)]
mod tests {
    use flate2::write::GzEncoder;
    use futures::stream;

    use super::*;

    fn pieces(bytes: &[u8], size: usize) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static {
        stream::iter(bytes.chunks(size).map(|c| Ok(Bytes::copy_from_slice(c))).collect::<Vec<_>>())
    }

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    }

    #[tokio::test]
    async fn unpacks_in_any_pieces() {
        let text = b"hello ".repeat(1000);
        for size in [1, 7, 100_000] {
            let body = Incoming::new(pieces(&packed(&text), size), true, 10_000, Duration::from_secs(5));
            assert_eq!(&body.collect().await.unwrap()[..], &text[..]);
        }
    }

    #[tokio::test]
    async fn a_bomb_is_refused() {
        let bomb = packed(&vec![0u8; 64 << 20]);
        let body = Incoming::new(pieces(&bomb, 1 << 20), true, 1 << 20, Duration::from_secs(5));
        assert!(matches!(body.collect().await, Err(GitError::TooLarge(_))));
    }

    #[tokio::test]
    async fn cut_or_false_gzip_is_refused() {
        let text = packed(b"hello");
        for bytes in [&text[..text.len() - 3], b"not gzip at all".as_slice()] {
            let body = Incoming::new(pieces(bytes, 5), true, 1 << 20, Duration::from_secs(5));
            assert!(matches!(body.collect().await, Err(GitError::Invalid(_))));
        }
    }

    #[tokio::test]
    async fn silence_ends_it() {
        let body = Incoming::new(stream::pending(), false, 10, Duration::from_millis(20));
        assert!(matches!(body.collect().await, Err(GitError::Timeout)));
    }
}
