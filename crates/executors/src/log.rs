//! The log of a job: one ordered stream of UTF-8 with secrets masked, handed on as it comes.
//!
//! Offsets count the bytes as handed on, so a step's range can be cut out of the stored log. Memory is constant: what
//! waits here is at most an incomplete character and the beginning of a possible secret.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Mutex;

use crate::host::{HostResult, JobHost};
use crate::mask::Masker;

/// A job's log.
pub struct JobLog {
    host: Arc<dyn JobHost>,
    state: Mutex<State>,
}

struct State {
    masker: Masker,
    /// What steps asked to be hidden.
    asked: Vec<String>,
    decoder: Decoder,
    offset: u64,
}

impl JobLog {
    /// An empty log.
    pub fn new(host: Arc<dyn JobHost>) -> Self {
        Self { host, state: Mutex::new(State { masker: Masker::new(), asked: Vec::new(), decoder: Decoder::default(), offset: 0 }) }
    }

    /// Hides these values from now on.
    pub async fn mask<'a>(&self, values: impl IntoIterator<Item = &'a str>) {
        self.state.lock().await.masker.add(values);
    }

    /// Hides what a step asks to be hidden.
    pub async fn mask_asked<'a>(&self, values: impl IntoIterator<Item = &'a str>) {
        let mut state = self.state.lock().await;
        for value in values {
            state.masker.add([value]);
            state.asked.push(value.to_owned());
        }
    }

    /// What steps asked to be hidden.
    pub(crate) async fn asked(&self) -> Vec<String> {
        self.state.lock().await.asked.clone()
    }

    /// A text with its secrets masked.
    pub async fn masked(&self, text: &str) -> String {
        self.state.lock().await.masker.text(text)
    }

    /// Does a text hold a secret?
    pub async fn is_secret(&self, text: &str) -> bool {
        self.state.lock().await.masker.finds(text)
    }

    /// Appends bytes.
    pub async fn write(&self, bytes: &[u8]) -> HostResult<()> {
        let mut state = self.state.lock().await;
        let mut text = Vec::with_capacity(bytes.len() + 4);
        state.decoder.push(bytes, &mut text);
        let mut out = Vec::with_capacity(text.len());
        state.masker.push(&text, &mut out);
        // the lock is kept while handing on: order is part of the contract
        self.send(&mut state, out).await
    }

    /// Appends a line.
    pub async fn line(&self, text: &str) -> HostResult<()> {
        self.write(format!("{text}\n").as_bytes()).await
    }

    /// Lets go of what waits; returns the length so far.
    pub async fn flush(&self) -> HostResult<u64> {
        let mut state = self.state.lock().await;
        let mut text = Vec::new();
        state.decoder.finish(&mut text);
        let mut out = Vec::new();
        state.masker.push(&text, &mut out);
        state.masker.finish(&mut out);
        self.send(&mut state, out).await?;
        Ok(state.offset)
    }

    async fn send(&self, state: &mut State, out: Vec<u8>) -> HostResult<()> {
        if out.is_empty() {
            return Ok(());
        }
        state.offset += out.len() as u64;
        self.host.log(Bytes::from(out)).await
    }
}

/// Makes UTF-8 of any bytes, piece by piece.
#[derive(Default)]
struct Decoder {
    /// The beginning of a character.
    carry: Vec<u8>,
}

impl Decoder {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let joined;
        let mut rest = if self.carry.is_empty() {
            bytes
        } else {
            joined = [std::mem::take(&mut self.carry), bytes.to_vec()].concat();
            &joined
        };
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => return out.extend_from_slice(text.as_bytes()),
                Err(error) => {
                    let (good, bad) = rest.split_at(error.valid_up_to());
                    out.extend_from_slice(good);
                    match error.error_len() {
                        Some(len) => {
                            out.extend_from_slice("\u{fffd}".as_bytes());
                            rest = &bad[len..];
                        }
                        None => {
                            self.carry = bad.to_vec();
                            return;
                        }
                    }
                }
            }
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.carry.is_empty() {
            self.carry.clear();
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn decoding_in_pieces_is_decoding_whole(bytes in proptest::collection::vec(any::<u8>(), 0..60), size in 1usize..7) {
            let mut decoder = Decoder::default();
            let mut out = Vec::new();
            for piece in bytes.chunks(size) {
                decoder.push(piece, &mut out);
            }
            decoder.finish(&mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), String::from_utf8_lossy(&bytes).into_owned());
        }
    }
}
