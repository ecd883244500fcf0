//! Digests as they stand in paths and manifests.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use sha2::Digest as _;
use sha2::Sha256;

use crate::Error;
use crate::ErrorCode;
use crate::Result;

/// `sha256:<64 lower-case hex digits>`. Other algorithms are known by name and refused: one content, one address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of bytes at hand.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 64 hex digits.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |message: &'static str| Error::new(ErrorCode::DigestInvalid, message);
        let (algorithm, encoded) = text.split_once(':').ok_or_else(|| bad("a digest is algorithm:hex"))?;
        match algorithm {
            "sha256" => {}
            "sha512" => return Err(bad("only sha256 digests are stored here")),
            _ => return Err(bad("unknown digest algorithm; only sha256 is supported")),
        }
        let mut out = [0; 32];
        // one spelling for one digest: upper case is refused
        if encoded.bytes().any(|b| b.is_ascii_uppercase()) || hex::decode_to_slice(encoded, &mut out).is_err() {
            return Err(bad("a sha256 digest has 64 lower-case hex digits"));
        }
        Ok(Self(out))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        text.parse().map_err(|e: Error| serde::de::Error::custom(e.message))
    }
}
