//! All SQL of the house. One file per noun, one portable text for SQLite and PostgreSQL; what cannot be portable sits in
//! `dialect`. See `README.md` for the rules of the dialect.
//!
//! Must not know: HTTP, git, what an event leads to (the orchestrator hands that in as a function).

pub mod account;
pub mod artifact;
pub mod commit_status;
pub mod db;
pub mod dependency;
pub mod deployment;
pub mod dialect;
pub mod environment;
pub mod event;
pub mod file;
pub mod git_ref;
pub mod group;
pub mod idempotency;
pub mod image_push;
mod inline;
pub mod job;
pub mod job_environment;
pub mod job_log;
pub mod job_question;
pub mod listener;
pub mod metric;
pub mod operation;
pub mod progress;
pub mod project;
pub mod provenance;
pub mod push;
pub mod registry;
pub mod release;
pub mod report;
pub mod run;
pub mod runner;
pub mod schedule;
pub mod secret;
pub mod signing_key;
pub mod test;
pub mod token;
pub mod upload;
mod value;
mod wake;
pub mod work;

pub use db::{Db, DbOptions, Q, Reply, Tx};
pub use inline::InlineRow;
pub use value::{Args, Column, Row, Value};
pub use wake::{Waiter, Wake, Woken};
pub use work::{NewWork, WorkRow};
