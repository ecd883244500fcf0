//! The only HTTP client that leaves the house.
//!
//! Owns: how names are resolved and dialled, which addresses the service may reach on somebody's behalf, bounds on time and
//! size, TLS, and reading event streams. Must not know: what is asked of whom; callers bring URLs and bodies.
//!
//! Two profiles share one request type:
//! - [`Client::user_directed`] for programs run by the person who gives the address (the command line). No address is refused.
//! - [`Client::guarded`] for the server, where addresses come from users. Every address is checked *after* resolution and the
//!   checked address is the one that is dialled, so a second answer of the name server changes nothing. Redirects never
//!   lead to another host.
//!
//! Read next: [`address`] (what is refused), `client`, [`sse`].

pub mod address;
mod client;
mod error;
mod guard;
mod response;
pub mod sse;

pub use address::Allow;
pub use client::{Client, Limits, Request};
pub use error::{Error, Result};
pub use http::{HeaderMap, Method, StatusCode};
pub use response::{EventStream, Response};
