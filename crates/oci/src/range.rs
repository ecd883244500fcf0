//! The two range headers: `Range` of a blob read, and the registry's own `Content-Range` of an upload chunk.

use crate::Error;
use crate::ErrorCode;
use crate::Result;

/// The part of a blob a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// `bytes=a-b`, both included.
    Between(u64, u64),
    /// `bytes=a-`.
    From(u64),
    /// `bytes=-n`.
    Last(u64),
}

impl ByteRange {
    /// Parses a `Range` header. None means: serve the whole (another unit, or several ranges, which a server may
    /// answer with everything).
    ///
    /// # Errors
    /// `RANGE_INVALID` when the range is of bytes and makes no sense.
    pub fn parse(header: &str) -> Result<Option<Self>> {
        let Some(spec) = header.trim().strip_prefix("bytes=") else { return Ok(None) };
        if spec.contains(',') {
            return Ok(None);
        }
        let bad = || Error::new(ErrorCode::RangeInvalid, "the range makes no sense");
        let (first, last) = spec.trim().split_once('-').ok_or_else(bad)?;
        match (first, last) {
            ("", n) => Ok(Some(Self::Last(number(n).ok_or_else(bad)?))),
            (a, "") => Ok(Some(Self::From(number(a).ok_or_else(bad)?))),
            (a, b) => {
                let (a, b) = (number(a).ok_or_else(bad)?, number(b).ok_or_else(bad)?);
                if b < a { Err(bad()) } else { Ok(Some(Self::Between(a, b))) }
            }
        }
    }
}

/// Where a chunk lies in an upload: `<first>-<last>`, both included, without a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// Offset of the first byte.
    pub first: u64,
    /// Offset of the last byte.
    pub last: u64,
}

impl ContentRange {
    /// Parses the header. Some clients send the HTTP form `bytes a-b/*`, which says the same.
    ///
    /// # Errors
    /// `RANGE_INVALID`.
    pub fn parse(header: &str) -> Result<Self> {
        let bad = || Error::new(ErrorCode::RangeInvalid, "Content-Range of a chunk is <first>-<last>");
        let text = header.trim();
        let text = text.strip_prefix("bytes ").map_or(text, |rest| rest.split_once('/').map_or(rest, |(range, _)| range));
        let (first, last) = text.split_once('-').ok_or_else(bad)?;
        let (first, last) = (number(first).ok_or_else(bad)?, number(last).ok_or_else(bad)?);
        if last < first { Err(bad()) } else { Ok(Self { first, last }) }
    }

    /// Bytes it spans; none when that is not a number of 64 bits.
    pub fn len(self) -> Option<u64> {
        (self.last - self.first).checked_add(1)
    }

    /// A range always spans a byte at least.
    pub fn is_empty(self) -> bool {
        false
    }
}

/// Digits only: no sign, no blanks.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) { None } else { text.parse().ok() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn blob_ranges() {
        assert_eq!(ByteRange::parse("bytes=0-0").unwrap(), Some(ByteRange::Between(0, 0)));
        assert_eq!(ByteRange::parse("bytes=5-").unwrap(), Some(ByteRange::From(5)));
        assert_eq!(ByteRange::parse("bytes=-500").unwrap(), Some(ByteRange::Last(500)));
        assert_eq!(ByteRange::parse("items=1-2").unwrap(), None);
        assert_eq!(ByteRange::parse("bytes=0-1,5-6").unwrap(), None);
        for bad in ["bytes=", "bytes=-", "bytes=500-0", "bytes=a-b", "bytes=+1-2", "bytes=1 -2", "bytes=99999999999999999999-"] {
            assert_eq!(ByteRange::parse(bad).unwrap_err().status, 416, "{bad}");
        }
    }

    #[test]
    fn chunk_ranges() {
        assert_eq!(ContentRange::parse("0-1023").unwrap(), ContentRange { first: 0, last: 1023 });
        assert_eq!(ContentRange::parse("0-1023").unwrap().len(), Some(1024));
        assert_eq!(ContentRange::parse("bytes 4-7/*").unwrap(), ContentRange { first: 4, last: 7 });
        assert_eq!(ContentRange::parse("0-18446744073709551615").unwrap().len(), None);
        for bad in ["", "-", "5", "5-4", "bytes=0-1", "0-1-2", " -1", "-1-5", "0-0x10"] {
            assert_eq!(ContentRange::parse(bad).unwrap_err().code, ErrorCode::RangeInvalid, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,40}") {
            let _ = ByteRange::parse(&text);
            let _ = ContentRange::parse(&text).map(ContentRange::len);
        }
    }
}
