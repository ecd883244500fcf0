//! Conditions: read from each dialect, written in each, and as a test of a shell.

mod read;
mod write;

pub(super) use read::{github, gitlab, groovy, groovy_name, path};
pub(super) use write::{groovy_text, to_github, to_gitlab, to_groovy, to_shell};
