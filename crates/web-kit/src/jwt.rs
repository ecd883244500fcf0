//! JSON web tokens (RFC 7519) that only this service reads: claims under a MAC of the instance's key, for clients that want
//! to look into their token. Tokens for others have a key pair (the build area's `identity`).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use kernel::{Error, Result, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::Sha256;

use crate::secret::Key;

/// How every one of them begins: `{"` in base64.
pub const PREFIX: &str = "eyJ";

/// Could this be one?
pub fn looks_like(text: &str) -> bool {
    text.starts_with(PREFIX) && text.bytes().filter(|&b| b == b'.').count() == 2
}

/// The part of a token that is signed.
///
/// # Errors
/// `internal` when the claims are no JSON.
pub fn unsigned(header: &Value, claims: &impl Serialize) -> Result<String> {
    let part = |bytes: Vec<u8>| URL_SAFE_NO_PAD.encode(bytes);
    let header = part(serde_json::to_vec(header).map_err(Error::internal)?);
    Ok(format!("{header}.{}", part(serde_json::to_vec(claims).map_err(Error::internal)?)))
}

fn mac(key: &Key, purpose: &str, text: &str) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.derive(purpose)).ok()?;
    mac.update(text.as_bytes());
    Some(mac)
}

/// Makes a token for a purpose. The claims hold `exp`.
///
/// # Errors
/// `internal` when the claims are no JSON.
pub fn seal(key: &Key, purpose: &str, claims: &impl Serialize) -> Result<String> {
    let text = unsigned(&serde_json::json!({"typ": "JWT", "alg": "HS256"}), claims)?;
    let mac = mac(key, purpose, &text).ok_or_else(|| Error::internal("a token could not be signed"))?;
    Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())))
}

/// The claims of a token made for the same purpose; none when it was altered or `exp` is over.
pub fn open<T: DeserializeOwned>(key: &Key, purpose: &str, token: &str) -> Option<T> {
    let (text, signature) = token.rsplit_once('.')?;
    mac(key, purpose, text)?.verify_slice(&URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text.split_once('.')?.1).ok()?).ok()?;
    if claims["exp"].as_i64()? <= Timestamp::now().millis() / 1000 {
        return None;
    }
    serde_json::from_value(claims).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_is_bound_to_key_purpose_and_time() {
        let key = Key::from_hex(&"07".repeat(32)).unwrap();
        let later = Timestamp::now().millis() / 1000 + 60;
        let token = seal(&key, "a", &json!({"n": 1, "exp": later})).unwrap();
        assert!(looks_like(&token), "{token}");
        assert_eq!(open::<Value>(&key, "a", &token).unwrap()["n"], 1);
        assert!(open::<Value>(&key, "b", &token).is_none());
        assert!(open::<Value>(&Key::from_hex(&"08".repeat(32)).unwrap(), "a", &token).is_none());
        assert!(open::<Value>(&key, "a", &token.replace('.', ".e")).is_none());
        let old = seal(&key, "a", &json!({"n": 1, "exp": later - 120})).unwrap();
        assert!(open::<Value>(&key, "a", &old).is_none());
        for other in ["", "eyJ", "dmp_x", "eyJ.eyJ"] {
            assert!(!looks_like(other) && open::<Value>(&key, "a", other).is_none(), "{other}");
        }
    }
}
