//! The services that published actions expect: artifacts and caches by the protocol of hosted runners' results service.
//!
//! Owns: the token a job shows there, uploads in blocks, the addresses under which clients write and read blobs. What comes
//! out is an artifact (`artifacts`) or a cache entry (`caches`) like any other, so these and the built-in actions see each
//! other's artifacts.
//!
//! Invariants: a token is worth something while its job runs under the lease it was made for; an address is signed, names
//! one upload or one blob, and expires; nothing is an artifact or entry before it is whole.
//!
//! Must not know: JavaScript, how a runner hands the token to a program (`executors`).
//!
//! Read next: `token`, `uploads`, `service` (the two services), `routes` (the wire).

pub mod routes;
pub mod service;
pub mod token;
pub mod uploads;
