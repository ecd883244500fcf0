//! Receipts of requests that carry an `Idempotency-Key`: what a use case made, noted in the transaction that makes it.
//!
//! A use case asks [`App::made`] first; when an earlier try of the same request had made it, the same thing is answered
//! again. Else it passes [`App::receipt`] to its transaction.

use kernel::{Context, Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
pub use store::idempotency::Receipt;

use crate::app::App;
use crate::vault::{seal_bytes, unseal_bytes};

/// Whose key seals receipts: they may hold secrets that are shown once.
const PURPOSE: &str = "receipts";

impl App {
    /// The receipt for what is made, to be kept by its transaction; none for a request without a key.
    ///
    /// # Errors
    /// `internal` when it cannot be written as JSON.
    pub fn receipt(&self, ctx: &Context, made: &impl Serialize) -> Result<Option<Receipt>> {
        let Some(attempt) = &ctx.attempt else { return Ok(None) };
        let plain = serde_json::to_vec(made).map_err(Error::internal)?;
        let made = seal_bytes(self.key(), PURPOSE, &attempt.key, &plain)?;
        Ok(Some(Receipt { key: attempt.key.clone(), claim: attempt.claim, made }))
    }

    /// What an earlier try of this request made.
    ///
    /// # Errors
    /// `internal` for a receipt that another key sealed.
    pub fn made<T: DeserializeOwned>(&self, ctx: &Context) -> Result<Option<T>> {
        let Some((attempt, sealed)) = ctx.attempt.as_ref().and_then(|a| Some((a, a.receipt.as_ref()?))) else { return Ok(None) };
        let plain = unseal_bytes(self.key(), PURPOSE, &attempt.key, sealed)
            .ok_or_else(|| Error::internal("a receipt cannot be opened with this instance's key"))?;
        serde_json::from_slice(&plain).map(Some).map_err(Error::internal)
    }
}
