//! Secrets at rest: XChaCha20-Poly1305 under a key derived from the instance's, bound to their project and name.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use kernel::{Error, ProjectId, Result};
use rand::Rng as _;

use crate::secret::Key;

/// Bytes of the nonce that stands before the sealed value.
const NONCE: usize = 24;

fn cipher(key: &Key) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new((&key.derive("project secrets")).into())
}

/// Seals the value of a project's secret.
///
/// # Errors
/// `internal` when the cipher fails, which it does not.
pub fn seal(key: &Key, project: ProjectId, name: &str, value: &str) -> Result<Vec<u8>> {
    let mut nonce = [0u8; NONCE];
    rand::rng().fill_bytes(&mut nonce);
    let aad = format!("{project}/{name}");
    let payload = Payload { msg: value.as_bytes(), aad: aad.as_bytes() };
    let sealed = cipher(key).encrypt(&XNonce::from(nonce), payload).map_err(|_| Error::internal("a secret could not be sealed"))?;
    Ok([nonce.as_slice(), &sealed].concat())
}

/// Opens what [`seal`] made for the same project and name.
///
/// # Errors
/// `internal` when it was sealed under another key or for another secret.
pub fn unseal(key: &Key, project: ProjectId, name: &str, sealed: &[u8]) -> Result<String> {
    let broken = || Error::internal(format!("the secret {name} of {project} cannot be opened with this instance's key"));
    let (nonce, body) = sealed.split_at_checked(NONCE).ok_or_else(broken)?;
    let nonce: [u8; NONCE] = nonce.try_into().map_err(|_| broken())?;
    let aad = format!("{project}/{name}");
    let open = cipher(key).decrypt(&XNonce::from(nonce), Payload { msg: body, aad: aad.as_bytes() }).map_err(|_| broken())?;
    String::from_utf8(open).map_err(|_| broken())
}

#[cfg(test)]
mod tests {
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
