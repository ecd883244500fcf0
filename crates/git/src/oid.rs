//! Object ids of the SHA-1 object format, without any library's type in the signature.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::GitError;

/// The id of an object.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Oid([u8; 20]);

impl Oid {
    /// The id that stands for "no object" on the wire.
    pub const ZERO: Oid = Oid([0; 20]);

    /// Parses exactly 40 hex digits.
    ///
    /// # Errors
    /// `Invalid` for anything else; abbreviations are resolved by [`crate::Reader::resolve`].
    pub fn parse(text: &str) -> Result<Self, GitError> {
        Self::from_hex(text.as_bytes()).ok_or_else(|| GitError::Invalid("an object id is 40 hexadecimal digits".into()))
    }

    /// From 40 hex digits as bytes.
    pub(crate) fn from_hex(text: &[u8]) -> Option<Self> {
        let mut raw = [0u8; 20];
        hex::decode_to_slice(text, &mut raw).ok()?;
        Some(Self(raw))
    }

    /// From raw bytes, as in a tree entry or an index.
    pub(crate) fn from_raw(raw: [u8; 20]) -> Self {
        Self(raw)
    }

    /// The raw bytes.
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// Is it [`Oid::ZERO`]?
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }

    /// None for [`Oid::ZERO`].
    pub(crate) fn non_zero(self) -> Option<Self> {
        (!self.is_zero()).then_some(self)
    }

    /// 40 hex digits, ready to be put on the wire.
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Oid {
    type Err = GitError;
    fn from_str(text: &str) -> Result<Self, GitError> {
        Self::parse(text)
    }
}

impl Serialize for Oid {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Oid {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl From<gix::ObjectId> for Oid {
    fn from(id: gix::ObjectId) -> Self {
        let mut raw = [0u8; 20];
        // repositories of another object format are refused when they are opened
        raw.copy_from_slice(&id.as_slice()[..20]);
        Self(raw)
    }
}

impl From<Oid> for gix::ObjectId {
    fn from(id: Oid) -> Self {
        gix::ObjectId::Sha1(id.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_only_forty_digits() {
        let text = "0f1269c88f04658961db1336c1dacc06680e92b9";
        assert_eq!(Oid::parse(text).unwrap().to_string(), text);
        for bad in ["", "0f12", "HEAD", "--output=x", &"g".repeat(40), &"a".repeat(64)] {
            assert!(Oid::parse(bad).is_err(), "{bad}");
        }
    }
}
