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
pub use template::{Piece, split};
pub use value::{json_number, number_text};

/// Longest expression.
pub const MAX_LENGTH: usize = 21_000;
/// Deepest expression.
pub const MAX_DEPTH: usize = 50;
/// Most bytes the functions of one evaluation may produce.
pub const MAX_MEMORY: usize = 10 * 1024 * 1024;

/// Why an expression cannot be read or evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ExprError(pub String);

/// What the status functions answer. For a step: of the job so far; for a job: of all its ancestors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// `success()`
    pub success: bool,
    /// `failure()`
    pub failure: bool,
    /// `cancelled()`
    pub cancelled: bool,
}

impl Status {
    /// Nothing went wrong so far.
    pub const SUCCESS: Self = Self { success: true, failure: false, cancelled: false };
    /// Something failed.
    pub const FAILURE: Self = Self { success: false, failure: true, cancelled: false };
    /// Cancelled.
    pub const CANCELLED: Self = Self { success: false, failure: false, cancelled: true };
}

/// Digest of the files that match some patterns, as `hashFiles` gives it; an empty text when none match.
pub type HashFiles<'a> = &'a (dyn Fn(&[String]) -> Result<String, String> + 'a);

/// What an expression may look at.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// An object whose keys are the contexts: `github`, `env`, `matrix`, ...; one that is missing is null.
    pub roots: &'a Json,
    /// For the status functions; none where they do not exist.
    pub status: Option<Status>,
    /// For `hashFiles`; none where it does not exist.
    pub hash_files: Option<HashFiles<'a>>,
    /// Names of environment variables have case, as on Linux.
    pub env_case: bool,
}

impl<'a> Context<'a> {
    /// A context without status functions and `hashFiles`.
    pub fn new(roots: &'a Json) -> Self {
        Self { roots, status: None, hash_files: None, env_case: true }
    }

    /// With status functions.
    #[must_use]
    pub fn with_status(self, status: Status) -> Self {
        Self { status: Some(status), ..self }
    }

    /// With `hashFiles`.
    #[must_use]
    pub fn with_hash_files(self, f: HashFiles<'a>) -> Self {
        Self { hash_files: Some(f), ..self }
    }
}

/// Evaluates a bare expression.
///
/// # Errors
/// Syntax, an unknown name, or a function that refuses its arguments.
pub fn evaluate(text: &str, ctx: &Context<'_>) -> Result<Json, ExprError> {
    let expr = Expr::parse(text)?;
    Ok(eval::Evaluation::new(ctx).eval(&expr)?.into_json())
}

/// Replaces every `${{ }}` of a text.
///
/// # Errors
/// As [`evaluate`], and for `${{` without its end.
pub fn interpolate(text: &str, ctx: &Context<'_>) -> Result<String, ExprError> {
    let mut out = String::with_capacity(text.len());
    for piece in split(text)? {
        match piece {
            Piece::Text(t) => out.push_str(t),
            Piece::Expr { text, .. } => {
                let expr = Expr::parse(text)?;
                out.push_str(&eval::Evaluation::new(ctx).eval(&expr)?.to_text());
            }
        }
        if out.len() > MAX_MEMORY {
            return Err(ExprError("The maximum allowed memory size was exceeded".into()));
        }
    }
    Ok(out)
}

/// A text that is one `${{ }}` and nothing else gives the value itself, any other its interpolation.
///
/// # Errors
/// As [`interpolate`].
pub fn evaluate_template(text: &str, ctx: &Context<'_>) -> Result<Json, ExprError> {
    match split(text.trim())?.as_slice() {
        [Piece::Expr { text, .. }] => evaluate(text, ctx),
        _ => interpolate(text, ctx).map(Json::String),
    }
}

/// Evaluates every text of a tree with [`evaluate_template`].
///
/// # Errors
/// As [`evaluate_template`].
pub fn evaluate_tree(tree: &Json, ctx: &Context<'_>) -> Result<Json, ExprError> {
    Ok(match tree {
        Json::String(text) => evaluate_template(text, ctx)?,
        Json::Array(items) => Json::Array(items.iter().map(|v| evaluate_tree(v, ctx)).collect::<Result<_, _>>()?),
        Json::Object(map) => {
            Json::Object(map.iter().map(|(k, v)| Ok((interpolate(k, ctx)?, evaluate_tree(v, ctx)?))).collect::<Result<_, ExprError>>()?)
        }
        other => other.clone(),
    })
}

/// Decides an `if`: none or blank is `success()`, one without a status function is `success() && (..)`.
///
/// # Errors
/// As [`evaluate`].
pub fn eval_condition(condition: Option<&str>, ctx: &Context<'_>, status: Status) -> Result<bool, ExprError> {
    let Some(text) = condition.map(str::trim).filter(|t| !t.is_empty()) else { return Ok(status.success) };
    let expr = Expr::parse(text)?;
    if !expr.calls_status_function() && !status.success {
        return Ok(false);
    }
    let ctx = ctx.with_status(status);
    Ok(eval::Evaluation::new(&ctx).eval(&expr)?.truthy())
}

#[cfg(test)]
mod tests;
