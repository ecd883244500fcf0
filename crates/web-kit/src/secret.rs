//! Secrets that leave the house and their hashes: tokens with a prefix and checksum (so that scanners and people
//! recognise them), session secrets, signatures by the instance's key.

use hmac::{Hmac, KeyInit, Mac};
use rand::RngExt as _;
use sha2::{Digest, Sha256};

use kernel::{Code, Error, Result};

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A fresh secret: `prefix` and 36 letters and digits (214 bits), then 6 digits of a CRC over them.
pub fn token(prefix: &str) -> String {
    let mut rng = rand::rng();
    let body: String = (0..36).map(|_| DIGITS[rng.random_range(0..62)] as char).collect();
    let sum = checksum(&body);
    format!("{prefix}_{body}{sum}")
}

fn checksum(body: &str) -> String {
    let mut n = u32::from_be_bytes(Sha256::digest(body.as_bytes())[..4].try_into().unwrap_or_default());
    let mut out = [b'0'; 6];
    for slot in out.iter_mut().rev() {
        *slot = DIGITS[(n % 62) as usize];
        n /= 62;
    }
    out.iter().map(|&b| b as char).collect()
}

/// Could this be a token of ours? A cheap look before the database is asked.
pub fn well_formed(text: &str) -> bool {
    let Some((_, rest)) = text.split_once('_') else { return false };
    rest.len() == 42 && rest.is_char_boundary(36) && checksum(&rest[..36]) == rest[36..]
}

/// What is stored of a secret.
pub fn hash(secret: &str) -> Vec<u8> {
    Sha256::digest(secret.as_bytes()).to_vec()
}

/// The instance's key: 32 bytes, outside the database, shared by all instances.
#[derive(Clone)]
pub struct Key([u8; 32]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Key {
    /// From 64 hex digits.
    ///
    /// # Errors
    /// `invalid_request` when it is not that.
    pub fn from_hex(text: &str) -> Result<Self> {
        let bytes = hex::decode(text.trim()).ok().and_then(|b| <[u8; 32]>::try_from(b).ok());
        bytes.map(Self).ok_or_else(|| Error::new(Code::InvalidRequest, "secret_key is 64 hex digits"))
    }

    /// Reads the key file, or makes it (mode 0600) when there is none.
    ///
    /// # Errors
    /// `internal` when it cannot be read or written.
    pub fn from_file(path: &std::path::Path) -> Result<Self> {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        match std::fs::read_to_string(path) {
            Ok(text) => Self::from_hex(&text),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let mut bytes = [0u8; 32];
                rand::rng().fill(&mut bytes);
                let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(Error::internal)?;
                file.write_all(hex::encode(bytes).as_bytes()).and_then(|()| file.sync_all()).map_err(Error::internal)?;
                Ok(Self(bytes))
            }
            Err(e) => Err(Error::internal(e)),
        }
    }

    /// A key for one purpose, derived from this one.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        self.mac(&[b"derive", purpose.as_bytes()])
    }

    /// HMAC-SHA256 over parts, each with its length, so that parts cannot be shifted.
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        // HMAC takes keys of any length; this cannot fail
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return [0; 32] };
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// Is this the MAC of these parts? In constant time.
    pub fn verify(&self, parts: &[&[u8]], mac: &[u8]) -> bool {
        let ours = self.mac(parts);
        ours.len() == mac.len() && ours.iter().zip(mac).fold(0u8, |acc, (a, b)| acc | (a ^ b)) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_recognised() {
        let t = token("dmp");
        assert!(well_formed(&t), "{t}");
        let mut other = t.clone().into_bytes();
        other[10] = if other[10] == b'a' { b'b' } else { b'a' };
        assert!(!well_formed(&String::from_utf8(other).unwrap()));
        for bad in ["", "dmp_", "dmp_é", "x", &"dmp_".repeat(20)] {
            assert!(!well_formed(bad));
        }
    }

    #[test]
    fn parts_cannot_be_shifted() {
        let key = Key([7; 32]);
        assert!(key.verify(&[b"a", b"bc"], &key.mac(&[b"a", b"bc"])));
        assert!(!key.verify(&[b"ab", b"c"], &key.mac(&[b"a", b"bc"])));
    }
}
