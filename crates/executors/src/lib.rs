//! Runs a planned job: on the host in a sandbox, or in Docker; builds images with Docker or without.
//!
//! Owns the job engine, the job's log with its masks, isolation, the built-in actions, and the types of the runner
//! protocol. Must not know the server, its store or HTTP: everything outside is reached through `host::JobHost`.
//! This is the only room besides `git` that starts programs.
//!
//! Read next: [`protocol`] (what server and runner say), [`engine`] (steps), [`sandbox`] (isolation), [`host`] (the
//! outside), [`docker`], [`image`].

mod actions;
pub mod docker;
pub mod engine;
pub mod host;
pub mod image;
pub mod log;
pub mod mask;
pub mod protocol;
pub mod sandbox;
pub mod service;
pub mod spawn;
pub mod tools;
mod usage;
