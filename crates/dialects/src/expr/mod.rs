//! The expression language of GitHub workflows: `${{ }}` in texts, and `if` conditions.
//!
//! Invariant: evaluation never panics, is bounded in depth (50), in length (21,000 characters) and in the bytes it may
//! produce, and does no IO; `hashFiles` is a callback. Messages use the wording users know from GitHub.
//!
//! Read next: `lex` and `parse` (grammar), `value` (coercions), `functions`, `template` (texts with `${{ }}`), `scope`
//! (which contexts exist for which key), `answer` (one expression over any contexts, for the command line).

mod answer;
mod eval;
mod functions;
mod lex;
mod operands;
mod parse;
pub mod scope;
mod template;
mod value;

use serde_json::Value as Json;

pub use answer::{Answer, Phase, answer};
pub use operands::{Operand, operands};
pub use parse::{Expr, Op};
