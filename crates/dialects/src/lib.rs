//! Pipeline files and the Plan they compile to. Pure: text in; a Plan and located messages out.
//!
//! Owns the reading of workflow files, the expression language, matrix expansion, what starts a workflow, when a job
//! is ready, and the detection of a build where no file is written. Must not know where files, runs or runners live.
//! What a file asks for and we do not do becomes a [`Diagnostic`]; nothing is ignored in silence.
//!
//! Read next: [`plan`] (the types), [`github`] and [`gitlab`] (their files), [`expr`] (expressions), [`ready`] (when a job runs).

pub mod convert;
pub mod cron;
pub mod detect;
pub mod diagnostic;
pub mod emit;
pub mod expect;
pub mod expr;
pub mod filter;
pub mod forecast;
pub mod github;
pub mod gitlab;
pub mod jenkins;
pub mod matrix;
pub mod plan;
pub mod ready;
#[cfg(test)]
mod ready_tests;
pub mod trial;
pub mod trigger;
pub mod yaml;

pub use diagnostic::{Diagnostic, Diagnostics, Severity, Span};
pub use plan::Plan;
