//! git's packet lines: four hex digits of length, then the bytes. Pure; both directions are bounded by the format.

use bytes::{BufMut, Bytes, BytesMut};

/// Most bytes one packet can carry.
pub const MAX_DATA: usize = 65_516;

/// Most bytes of a packet on a side band: one byte names the band.
pub const MAX_BAND: usize = MAX_DATA - 1;

/// One packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Packet {
    /// `0000`: end of a list.
    Flush,
    /// `0001`: between the sections of a version 2 message.
    Delimiter,
    /// `0002`: end of a version 2 response.
    ResponseEnd,
    /// Bytes, possibly none.
    Data(Bytes),
}

impl Packet {
    /// The bytes without one trailing newline; none for the special packets.
    pub fn text(&self) -> Option<&[u8]> {
        match self {
            Packet::Data(data) => Some(data.strip_suffix(b"\n").unwrap_or(data)),
            _ => None,
        }
    }
}

/// Not a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("malformed packet line")]
pub struct Malformed;

/// Takes the first packet off `buffer`; none when more bytes are needed.
///
/// # Errors
/// [`Malformed`] when the length is no length.
pub fn take(buffer: &mut BytesMut) -> Result<Option<Packet>, Malformed> {
    let Some(head) = buffer.get(..4) else { return Ok(None) };
    let mut length = 0usize;
    for &digit in head {
        let value = (digit as char).to_digit(16).ok_or(Malformed)?;
        length = length << 4 | value as usize;
    }
    match length {
        0..=2 => {
            let _ = buffer.split_to(4);
            Ok(Some(match length {
                0 => Packet::Flush,
                1 => Packet::Delimiter,
                _ => Packet::ResponseEnd,
            }))
        }
        3 => Err(Malformed),
        _ if length - 4 > MAX_DATA => Err(Malformed),
        _ if buffer.len() < length => Ok(None),
        _ => {
            let mut packet = buffer.split_to(length);
            let _ = packet.split_to(4);
            Ok(Some(Packet::Data(packet.freeze())))
        }
    }
}

/// Appends one data packet; data beyond [`MAX_DATA`] is split into several.
pub fn put(out: &mut BytesMut, data: &[u8]) {
    let mut rest = data;
    loop {
        let (now, later) = rest.split_at(rest.len().min(MAX_DATA));
        put_header(out, now.len() + 4);
        out.put_slice(now);
        if later.is_empty() {
            return;
        }
        rest = later;
    }
}

/// Appends one text packet with the newline that git ends lines with.
pub fn put_text(out: &mut BytesMut, text: &str) {
    let mut line = String::with_capacity(text.len() + 1);
    line.push_str(text);
    line.push('\n');
    put(out, line.as_bytes());
}

/// Appends data on a side band, in as many packets as it takes.
pub fn put_band(out: &mut BytesMut, band: u8, data: &[u8]) {
    for chunk in data.chunks(MAX_BAND) {
        put_header(out, chunk.len() + 5);
        out.put_u8(band);
        out.put_slice(chunk);
    }
}

/// Appends `0000`.
pub fn put_flush(out: &mut BytesMut) {
    out.put_slice(b"0000");
}

fn put_header(out: &mut BytesMut, length: usize) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for shift in [12, 8, 4, 0] {
        out.put_u8(HEX[(length >> shift) & 15]);
    }
}

/// The packet by which a server ends the conversation with a message for the person at the client.
pub fn error_packet(message: &str) -> Bytes {
    let mut out = BytesMut::new();
    put(&mut out, format!("ERR {}", one_line(message)).as_bytes());
    out.freeze()
}

/// A text without control characters, so that nothing we repeat can drive a terminal.
pub fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(1000).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<Packet>, Malformed> {
        let mut buffer = BytesMut::from(bytes);
        let mut out = Vec::new();
        while let Some(p) = take(&mut buffer)? {
            out.push(p);
        }
        Ok(out)
    }

    #[test]
    fn known_lines() {
        assert_eq!(all(b"0006a\n00000001").unwrap(), [Packet::Data(Bytes::from_static(b"a\n")), Packet::Flush, Packet::Delimiter]);
        assert_eq!(all(b"0004").unwrap(), [Packet::Data(Bytes::new())]);
        assert_eq!(all(b"0003"), Err(Malformed));
        assert_eq!(all(b"fff1"), Err(Malformed));
        assert_eq!(all(b"zzzz"), Err(Malformed));
        assert_eq!(all(b"+005"), Err(Malformed));
        assert_eq!(all(b"00").unwrap(), []);
        assert_eq!(all(b"0009abc").unwrap(), []);
    }

    #[test]
    fn errors_are_one_clean_line() {
        let packet = error_packet("no\u{1b}[31m\nway");
        assert_eq!(&packet[4..], b"ERR no [31m way");
    }

    proptest! {
        #[test]
        fn what_is_put_is_taken(lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..300), 0..20), cut in 0usize..500) {
            let mut out = BytesMut::new();
            for line in &lines {
                put(&mut out, line);
            }
            put_flush(&mut out);
            // in two pieces, cut anywhere
            let bytes = out.freeze();
            let cut = cut.min(bytes.len());
            let mut buffer = BytesMut::new();
            let mut got = Vec::new();
            for piece in [&bytes[..cut], &bytes[cut..]] {
                buffer.extend_from_slice(piece);
                while let Some(p) = take(&mut buffer).unwrap() {
                    got.push(p);
                }
            }
            prop_assert_eq!(got.pop(), Some(Packet::Flush));
            prop_assert_eq!(got, lines.into_iter().map(|l| Packet::Data(l.into())).collect::<Vec<_>>());
        }

        #[test]
        fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = all(&bytes);
        }

        #[test]
        fn bands_split_at_the_limit(len in 0usize..200_000) {
            let mut out = BytesMut::new();
            put_band(&mut out, 2, &vec![7u8; len]);
            let packets = all(&out).unwrap();
            let total: usize = packets.iter().map(|p| match p { Packet::Data(d) => d.len() - 1, _ => 0 }).sum();
            prop_assert_eq!(total, len);
        }
    }
}
