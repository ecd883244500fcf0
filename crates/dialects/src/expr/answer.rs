//! One expression over any contexts: what the command line evaluates, with the kind of the value or the phase that failed.

use serde_json::Value as Json;

use super::eval::Evaluation;
use super::lex::lex;
use super::parse::{Names, parse};
use super::value::Val;
use super::{Context, ExprError};

/// A value and its kind: `Null`, `Boolean`, `Number`, `String`, `Array` or `Object`.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The kind.
    pub kind: &'static str,
    /// The value; a number that JSON has no word for is its text.
    pub value: Json,
}

/// What was being done when it went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Characters to tokens.
    Lexing,
    /// Tokens to an expression.
    Parsing,
    /// The expression to its value.
    Evaluation,
}

impl Phase {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Lexing => "lexing",
            Phase::Parsing => "parsing",
            Phase::Evaluation => "evaluation",
        }
    }
}

/// Evaluates a bare expression whose named values are the keys of `contexts`. Nothing at all is null.
///
/// # Errors
/// The phase, and GitHub's words for what is wrong.
pub fn answer(text: &str, contexts: &Json) -> Result<Answer, (Phase, ExprError)> {
    let tokens = lex(text).map_err(|e| (Phase::Lexing, e))?;
    let Some(expr) = parse(text, &tokens, Names::Given(contexts)).map_err(|e| (Phase::Parsing, e))? else {
        return Ok(Answer { kind: "Null", value: Json::Null });
    };
    let context = Context { env_case: false, ..Context::new(contexts) };
    let value = Evaluation::eager(&context)
        .eval(&expr)
        .map_err(|e| (Phase::Evaluation, ExprError(format!("{}. Located within expression: {text}", e.0))))?;
    let kind = match &value {
        Val::Null => "Null",
        Val::Bool(_) => "Boolean",
        Val::Number(_) => "Number",
        Val::String(_) => "String",
        Val::Filtered(_) => "Array",
        tree if tree.items().is_some() => "Array",
        _ => "Object",
    };
    Ok(Answer { kind, value: value.into_json() })
}
