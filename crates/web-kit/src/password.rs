//! Passwords: Argon2id with OWASP's parameters, a few at a time so that a burst of sign-ins cannot take the machine.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use kernel::{Code, Error, Result};
use tokio::sync::Semaphore;

/// Longest password that is looked at.
pub const MAX: usize = 1024;

static TURNS: Semaphore = Semaphore::const_new(2);

fn hasher() -> Result<Argon2<'static>> {
    // OWASP: 19 MiB, 2 passes, 1 lane
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(19 * 1024, 2, 1, None).map_err(|e| Error::internal(e.to_string()))?))
}

/// Hashes a new password.
///
/// # Errors
/// `validation_failed` when it is shorter than 10 characters or too long.
pub async fn hash(password: String) -> Result<String> {
    if password.chars().count() < 10 {
        return Err(Error::field("password", "too_short", "at least 10 characters"));
    }
    if password.len() > MAX {
        return Err(Error::field("password", "too_long", format!("at most {MAX} bytes")));
    }
    let _turn = TURNS.acquire().await.map_err(Error::internal)?;
    tokio::task::spawn_blocking(move || {
        hasher()?.hash_password(password.as_bytes()).map(|h| h.to_string()).map_err(|e| Error::internal(e.to_string()))
    })
    .await
    .map_err(Error::internal)?
}

/// Is it the password? With no hash (unknown account) the same work is done, so that time tells nothing.
///
/// # Errors
/// `unavailable` when too many wait.
pub async fn verify(password: String, hash: Option<String>) -> Result<bool> {
    // of the text "no such password"; only its parameters matter
    const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$Yx3SLqg3hKJmTnDNtFLl4kpbtWk6n0xWn8zGOmKZ5Zc";
    if password.len() > MAX {
        return Ok(false);
    }
    let turn = tokio::time::timeout(std::time::Duration::from_secs(10), TURNS.acquire())
        .await
        .map_err(|_| Error::new(Code::Unavailable, "too many sign-ins at once; try again"))?
        .map_err(Error::internal)?;
    let known = hash.is_some();
    let text = hash.unwrap_or_else(|| NOBODY.to_owned());
    let ok = tokio::task::spawn_blocking(move || {
        let parsed = PasswordHash::new(&text).map_err(|e| Error::internal(e.to_string()))?;
        Ok::<_, Error>(hasher()?.verify_password(password.as_bytes(), &parsed).is_ok())
    })
    .await
    .map_err(Error::internal)??;
    drop(turn);
    Ok(ok && known)
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn round_trip() {
        let hash = super::hash("correct horse battery".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(super::verify("correct horse battery".into(), Some(hash.clone())).await.unwrap());
        assert!(!super::verify("wrong horse battery".into(), Some(hash)).await.unwrap());
        assert!(!super::verify("anything at all".into(), None).await.unwrap());
        assert!(super::hash("short".into()).await.is_err());
    }
}
