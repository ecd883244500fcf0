//! Key pairs of the instance (ECDSA over P-256): made when first needed, sealed under the instance's key, replaced in time.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kernel::{Error, Result, Timestamp};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use store::signing_key::{SigningKeyRow, signing_key_create, signing_key_expire, signing_key_list};
use web_kit::App;
use web_kit::vault::{seal_bytes, unseal_bytes};

/// What the private halves are sealed for.
const SEALED: &str = "signing keys";
const DAY: Duration = Duration::from_secs(86_400);
/// A key that checkers cannot know yet signs nothing: they keep lists for up to a day.
const KNOWN_AFTER: Duration = DAY;

/// What a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Identity tokens.
    Identity,
    /// Statements about artifacts.
    Provenance,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Purpose::Identity => "identity",
            Purpose::Provenance => "provenance",
        }
    }

    /// A key is replaced after this long.
    fn period(self) -> Duration {
        match self {
            Purpose::Identity => DAY * 30,
            Purpose::Provenance => DAY * 365,
        }
    }

    /// A replaced key is removed after this long; never, where what it has signed is checked for ever.
    fn removed_after(self) -> Option<Duration> {
        match self {
            Purpose::Identity => Some(DAY * 33),
            Purpose::Provenance => None,
        }
    }
}

/// URL-safe base64 without padding.
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The public half as a JSON web key.
pub fn jwk(key: &SigningKeyRow) -> Value {
    let (x, y) = coordinates(&key.public);
    json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": key.id, "use": "sig", "alg": "ES256"})
}

/// The public half is `04`, x, y.
fn coordinates(public: &[u8]) -> (String, String) {
    let (x, y) = public.get(1..).unwrap_or_default().split_at_checked(32).unwrap_or_default();
    (base64url(x), base64url(y))
}

/// RFC 7638: the hash over the members that make the key, in their order.
fn thumbprint(public: &[u8]) -> String {
    let (x, y) = coordinates(public);
    base64url(&Sha256::digest(format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#)))
}

fn place(id: &str) -> Vec<u8> {
    format!("signing_key/{id}").into_bytes()
}

async fn make(app: &App, purpose: Purpose, now: Timestamp) -> Result<SigningKeyRow> {
    let random = SystemRandom::new();
    let failed = |_| Error::internal("a key pair could not be made");
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).map_err(failed)?;
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random)
        .map_err(|_| Error::internal("a key pair could not be made"))?;
    let public = pair.public_key().as_ref().to_vec();
    let id = thumbprint(&public);
    let sealed = seal_bytes(app.key(), SEALED, &place(&id), document.as_ref())?;
    let row = SigningKeyRow { id, public, sealed, created_at: now };
    signing_key_create(app.db(), purpose.as_str(), &row).await?;
    tracing::info!(key = row.id, purpose = purpose.as_str(), "a key pair was made");
    Ok(row)
}

/// The key to sign with now: the newest that checkers know of, or the first there is.
///
/// # Errors
/// The database's.
pub async fn current(app: &App, purpose: Purpose, now: Timestamp) -> Result<SigningKeyRow> {
    let keys = signing_key_list(app.db(), purpose.as_str()).await?;
    match chosen(&keys, now) {
        Some(key) => Ok(key.clone()),
        None => make(app, purpose, now).await,
    }
}

/// Of keys sorted by age, newest first.
fn chosen(keys: &[SigningKeyRow], now: Timestamp) -> Option<&SigningKeyRow> {
    keys.iter().find(|k| now.since(k.created_at) >= KNOWN_AFTER).or(keys.last())
}

/// All keys by which signatures that are still good may be checked, and the next one.
///
/// # Errors
/// The database's.
pub async fn published(app: &App, purpose: Purpose, now: Timestamp) -> Result<Vec<SigningKeyRow>> {
    let keys = signing_key_list(app.db(), purpose.as_str()).await?;
    if keys.is_empty() { Ok(vec![make(app, purpose, now).await?]) } else { Ok(keys) }
}

/// Makes the next key when the newest is old, and removes those that nothing good was signed with.
///
/// # Errors
/// The database's.
pub async fn rotate(app: &App, now: Timestamp) -> Result<()> {
    for purpose in [Purpose::Identity, Purpose::Provenance] {
        let keys = signing_key_list(app.db(), purpose.as_str()).await?;
        let Some(newest) = keys.first() else { continue };
        if now.since(newest.created_at) > purpose.period() {
            make(app, purpose, now).await?;
        }
        if let Some(age) = purpose.removed_after() {
            let before = Timestamp(now.millis() - i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
            signing_key_expire(app.db(), purpose.as_str(), before).await?;
        }
    }
    Ok(())
}

fn sign(app: &App, key: &SigningKeyRow, how: &'static EcdsaSigningAlgorithm, message: &[u8]) -> Result<Vec<u8>> {
    let sealed = unseal_bytes(app.key(), SEALED, &place(&key.id), &key.sealed);
    let document = sealed.ok_or_else(|| Error::internal(format!("the key {} cannot be opened with this instance's key", key.id)))?;
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::from_pkcs8(how, &document, &random).map_err(|_| Error::internal("a stored key pair is not valid"))?;
    let signature = pair.sign(&random, message).map_err(|_| Error::internal("a message could not be signed"))?;
    Ok(signature.as_ref().to_vec())
}

/// A signature as JSON web signatures have it: r and s, 32 bytes each.
///
/// # Errors
/// `internal` when the key cannot be opened.
pub fn sign_fixed(app: &App, key: &SigningKeyRow, message: &[u8]) -> Result<Vec<u8>> {
    sign(app, key, &ECDSA_P256_SHA256_FIXED_SIGNING, message)
}

/// A signature as everybody else has it: ASN.1.
///
/// # Errors
/// `internal` when the key cannot be opened.
pub fn sign_asn1(app: &App, key: &SigningKeyRow, message: &[u8]) -> Result<Vec<u8>> {
    sign(app, key, &ECDSA_P256_SHA256_ASN1_SIGNING, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str, age: Duration, now: Timestamp) -> SigningKeyRow {
        let created_at = Timestamp(now.millis() - i64::try_from(age.as_millis()).unwrap());
        SigningKeyRow { id: id.into(), public: Vec::new(), sealed: Vec::new(), created_at }
    }

    #[test]
    fn a_new_key_waits_until_it_is_known() {
        let now = Timestamp::now();
        let (new, old) = (key("new", DAY / 2, now), key("old", DAY * 31, now));
        assert_eq!(chosen(&[new.clone(), old.clone()], now).unwrap().id, "old");
        assert_eq!(chosen(&[key("new", DAY, now), old], now).unwrap().id, "new");
        // nobody knows of any
        assert_eq!(chosen(&[new], now).unwrap().id, "new");
        assert!(chosen(&[], now).is_none());
    }

    #[test]
    fn the_thumbprint_is_over_the_canonical_members() {
        let mut public = vec![4];
        public.extend([1; 32]);
        public.extend([2; 32]);
        let id = thumbprint(&public);
        assert_eq!(id.len(), 43);
        public[40] = 9;
        assert_ne!(thumbprint(&public), id);
    }
}
