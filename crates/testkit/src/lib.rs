//! What black-box tests stand on: the real binary on a database of its own, a client for its API, the real `git`, and
//! the fault of faults, `kill -9`.
//!
//! Tests only; panics with what went wrong instead of returning errors.

mod cli;
mod database;
mod git;
mod http;
mod runner;
mod server;
mod wait;

pub use cli::Cli;
pub use database::{Database, databases, postgres_url};
pub use git::{Clone, git, git_fails, run, try_run};
pub use http::{Answer, Api};
pub use runner::Runner;
pub use server::{Server, ServerOptions, binary};
pub use wait::{eventually, until};
