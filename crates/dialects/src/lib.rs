//! Pipeline files and the Plan they compile to. Pure: text in; a Plan and located messages out.
//!
//! Owns the reading of workflow files, the expression language, matrix expansion, what starts a workflow, when a job
//! is ready, and the detection of a build where no file is written. Must not know where files, runs or runners live.
//! What a file asks for and we do not do becomes a [`Diagnostic`]; nothing is ignored in silence.
//!
//! Read next: [`plan`] (the types), [`github`] and [`gitlab`] (their files), [`expr`] (expressions), [`ready`] (when a job runs).

pub mod convert;
