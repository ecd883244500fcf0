//! The real git client against this crate, over a small HTTP server.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod client;
mod hostile;
mod maintain;
mod read;
mod server;
mod speed;
mod write;
