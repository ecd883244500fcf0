//! Lexer. Words, numbers and texts reach to the next separator as a whole, so that `1a` is refused as one.

use std::borrow::Cow;

use super::{ExprError, MAX_LENGTH, value};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Tok<'t> {
    Name(&'t str),
    Null,
    Bool(bool),
    Number(f64),
    Str(Cow<'t, str>),
    Sym(&'static str),
}

pub(super) struct Token<'t> {
    pub(super) tok: Tok<'t>,
    /// As written.
    pub(super) raw: &'t str,
    pub(super) start: usize,
}

pub(super) struct Tokens<'t> {
    pub(super) list: Vec<Token<'t>>,
    /// Where the end is said to be: at the last thing that was read, blanks included.
    pub(super) end: usize,
    /// Where lines begin, besides the first; a line break within a text begins none.
    lines: Vec<usize>,
}

impl Tokens<'_> {
    /// A message with its place in its line, as the parser gives it.
    pub(super) fn located(&self, what: &str, raw: &str, start: usize, text: &str) -> ExprError {
        let line = self.lines.iter().rev().copied().find(|at| *at <= start).unwrap_or(0);
        message(what, raw, text.get(line..start).map_or(0, |t| t.encode_utf16().count()), text)
    }
}

/// A message with its place in the whole expression, as the lexer gives it.
fn located(what: &str, raw: &str, start: usize, text: &str) -> ExprError {
    message(what, raw, text.get(..start).map_or(0, |t| t.encode_utf16().count()), text)
}

/// Places are counted as GitHub counts: from 1, in UTF-16 units.
fn message(what: &str, raw: &str, before: usize, text: &str) -> ExprError {
    let position = before + 1;
    ExprError(format!("{what}: '{raw}'. Located at position {position} within expression: {text}"))
}

fn ends_word(c: char) -> bool {
    c.is_whitespace() || "()[],.!><=&|".contains(c)
}

fn is_name(word: &str) -> bool {
    let mut bytes = word.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// Reads the tokens of an expression.
pub(super) fn lex(text: &str) -> Result<Tokens<'_>, ExprError> {
    const SYMBOLS: &[&str] = &["==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "(", ")", "[", "]", ",", "*"];
    if text.len() > MAX_LENGTH && text.encode_utf16().count() > MAX_LENGTH {
        return Err(ExprError(format!("Exceeded max expression length {MAX_LENGTH}")));
    }
    let mut tokens = Tokens { list: Vec::new(), end: 0, lines: Vec::new() };
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let start = at;
        tokens.end = start;
        if matches!(c, ' ' | '\t' | '\r' | '\n') {
            at += 1;
            if c == '\n' {
                tokens.lines.push(at);
            }
            continue;
        }
        let rest = &text[start..];
        let before = tokens.list.last().map(|t| &t.tok);
        // a dot begins a number only where nothing stands before it that has parts
        let is_dot = c == '.' && matches!(before, Some(Tok::Name(_) | Tok::Sym("]" | ")" | "*")));
        let (tok, len) = if c == '\'' {
            let (value, len) = quoted(rest).ok_or_else(|| located("Unexpected symbol", rest, start, text))?;
            (Tok::Str(value), len)
        } else if is_dot {
            (Tok::Sym("."), 1)
        } else if c.is_ascii_digit() || matches!(c, '.' | '-' | '+') {
            let len = 1 + rest[1..].find(|c| c != '.' && ends_word(c)).unwrap_or(rest.len() - 1);
            let number = value::parse_number(&rest[..len]);
            if number.is_nan() {
                return Err(located("Unexpected symbol", &rest[..len], start, text));
            }
            (Tok::Number(number), len)
        } else if let Some(symbol) = SYMBOLS.iter().find(|s| rest.starts_with(**s)) {
            (Tok::Sym(symbol), symbol.len())
        } else {
            let first = c.len_utf8();
            let len = first + rest[first..].find(ends_word).unwrap_or(rest.len() - first);
            let word = &rest[..len];
            let tok = match word {
                // after a dot they are names of properties
                _ if matches!(before, Some(Tok::Sym("."))) => Tok::Name(word),
                "null" => Tok::Null,
                "true" => Tok::Bool(true),
                "false" => Tok::Bool(false),
                "NaN" => Tok::Number(f64::NAN),
                "Infinity" => Tok::Number(f64::INFINITY),
                _ => Tok::Name(word),
            };
            if !is_name(word) {
                return Err(located("Unexpected symbol", word, start, text));
            }
            (tok, len)
        };
        at = start + len;
        tokens.list.push(Token { tok, raw: &text[start..at], start });
    }
    Ok(tokens)
}

/// The value of a quoted text at the beginning, and how long it is as written; none when it does not end.
fn quoted(rest: &str) -> Option<(Cow<'_, str>, usize)> {
    let mut doubled = false;
    let mut at = 1;
    loop {
        at += rest[at..].find('\'')? + 1;
        if rest.as_bytes().get(at) != Some(&b'\'') {
            break;
        }
        doubled = true;
        at += 1;
    }
    let inside = &rest[1..at - 1];
    Some((if doubled { Cow::Owned(inside.replace("''", "'")) } else { Cow::Borrowed(inside) }, at))
}
