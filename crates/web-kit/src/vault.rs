//! Secrets at rest: XChaCha20-Poly1305 under a key derived from the instance's, bound to their scope and name.

use std::fmt::Display;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use kernel::{Error, Result};
use rand::Rng as _;

use crate::secret::Key;

/// Bytes of the nonce that stands before the sealed value.
const NONCE: usize = 24;

/// What the sealed bytes are for: each purpose has a key of its own.
const SECRETS: &str = "project secrets";

fn cipher(key: &Key, purpose: &str) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new((&key.derive(purpose)).into())
}

/// Seals bytes for a purpose, bound to the place `aad` they are kept at.
///
/// # Errors
/// `internal` when the cipher fails, which it does not.
pub fn seal_bytes(key: &Key, purpose: &str, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
    let mut nonce = [0u8; NONCE];
    rand::rng().fill_bytes(&mut nonce);
    let payload = Payload { msg: plain, aad };
    let sealed = cipher(key, purpose).encrypt(&XNonce::from(nonce), payload).map_err(|_| Error::internal("bytes could not be sealed"))?;
    Ok([nonce.as_slice(), &sealed].concat())
}

/// Opens what [`seal_bytes`] made for the same purpose and place; none when it was another key, purpose or place.
pub fn unseal_bytes(key: &Key, purpose: &str, aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, body) = sealed.split_at_checked(NONCE)?;
    let nonce: [u8; NONCE] = nonce.try_into().ok()?;
    cipher(key, purpose).decrypt(&XNonce::from(nonce), Payload { msg: body, aad }).ok()
}

/// Seals the value of a secret of a project, group or environment: of what has this id.
///
/// # Errors
/// `internal` when the cipher fails, which it does not.
pub fn seal(key: &Key, scope: impl Display, name: &str, value: &str) -> Result<Vec<u8>> {
    seal_bytes(key, SECRETS, format!("{scope}/{name}").as_bytes(), value.as_bytes())
}

/// Opens what [`seal`] made for the same scope and name.
///
/// # Errors
/// `internal` when it was sealed under another key or for another secret.
pub fn unseal(key: &Key, scope: impl Display, name: &str, sealed: &[u8]) -> Result<String> {
    unseal_bytes(key, SECRETS, format!("{scope}/{name}").as_bytes(), sealed)
        .and_then(|open| String::from_utf8(open).ok())
        .ok_or_else(|| Error::internal(format!("the secret {name} of {scope} cannot be opened with this instance's key")))
}

#[cfg(test)]
mod tests {
    use kernel::ProjectId;

    use super::*;

    #[test]
    fn a_secret_is_bound_to_its_place() {
        let key = Key::from_hex(&"07".repeat(32)).unwrap();
        let project = ProjectId::new();
        let sealed = seal(&key, project, "TOKEN", "value").unwrap();
        assert_eq!(unseal(&key, project, "TOKEN", &sealed).unwrap(), "value");
        assert!(unseal(&key, project, "OTHER", &sealed).is_err());
        assert!(unseal(&key, ProjectId::new(), "TOKEN", &sealed).is_err());
        assert!(unseal(&key, project, "TOKEN", &sealed[..20]).is_err());
    }
}
