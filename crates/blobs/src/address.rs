//! Where a blob is: whose it is, and its digest. Parsed once, safe in any path afterwards.

use std::fmt;
use std::str::FromStr;

use kernel::ProjectId;
use sha2::Digest as _;
use sha2::Sha256;
use sha2::digest::common::hazmat::SerializableState;

use crate::Error;
use crate::Result;

/// SHA-256 of a blob's bytes, `sha256:<64 lower-case hex digits>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of bytes at hand.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The raw hash.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 hex digits.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// From 64 lower-case hex digits.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn from_hex(text: &str) -> Result<Self> {
        let mut out = [0; 32];
        // one spelling for one digest: upper case is refused
        if text.bytes().any(|b| b.is_ascii_uppercase()) || hex::decode_to_slice(text, &mut out).is_err() {
            return Err(Error::Malformed("a digest is sha256: and 64 lower-case hex digits"));
        }
        Ok(Self(out))
    }
}

impl FromStr for Digest {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let hex = text.strip_prefix("sha256:").ok_or(Error::Malformed("a digest is sha256: and 64 lower-case hex digits"))?;
        Self::from_hex(hex)
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

/// A running SHA-256 whose state can be put away and taken up again by another instance.
#[derive(Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// A fresh one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest so far.
    pub fn digest(&self) -> Digest {
        Digest(self.0.clone().finalize().into())
    }

    /// The state as text.
    pub(crate) fn save(&self) -> String {
        hex::encode(self.0.serialize())
    }

    /// The state from text.
    pub(crate) fn load(text: &str) -> Option<Self> {
        let bytes = hex::decode(text).ok()?;
        let state = bytes.as_slice().try_into().ok()?;
        Sha256::deserialize(&state).ok().map(Self)
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

fn is_word(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// Whose blob it is: one path word of ASCII letters, digits, `_` and `-`, usually a project id.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner(String);

impl Owner {
    /// Parses an owner.
    ///
    /// # Errors
    /// [`Error::Malformed`] for anything that is not one plain word.
    pub fn parse(text: &str) -> Result<Self> {
        if is_word(text) { Ok(Self(text.to_owned())) } else { Err(Error::Malformed("an owner is 1 to 64 letters, digits, '_' or '-'")) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<ProjectId> for Owner {
    fn from(id: ProjectId) -> Self {
        Self(id.to_string())
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names an upload within its owner; chosen by the caller, unguessable where it is shown to clients.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UploadKey(String);

impl UploadKey {
    /// Parses a key.
    ///
    /// # Errors
    /// [`Error::Malformed`] for anything that is not one plain word.
    pub fn parse(text: &str) -> Result<Self> {
        if is_word(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::Malformed("an upload key is 1 to 64 letters, digits, '_' or '-'"))
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for UploadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hostile_owners_are_refused() {
        let long = "a".repeat(65);
        for bad in ["", ".", "..", ".uploads", "a/b", "../x", "a\\b", "a\0", "a b", "ü", "a%2f", long.as_str()] {
            assert!(Owner::parse(bad).is_err(), "{bad:?}");
            assert!(UploadKey::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Owner::parse("prj_06d3").is_ok());
    }

    #[test]
    fn a_digest_has_one_spelling() {
        let d = Digest::of(b"");
        assert_eq!(d.to_string(), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(d.to_string().parse::<Digest>().unwrap(), d);
        for bad in
            ["", "sha256:", &d.to_string().to_uppercase(), &d.hex(), &format!("sha512:{}", d.hex()), &format!("{d}0"), "sha256:../../x"]
        {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_hasher_survives_being_put_away(a in prop::collection::vec(any::<u8>(), 0..300), b in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut first = Hasher::new();
            first.update(&a);
            let mut second = Hasher::load(&first.save()).unwrap();
            second.update(&b);
            prop_assert_eq!(second.digest(), Digest::of(&[a, b].concat()));
        }
    }
}
