//! Texts that hold `${{ }}`.

use super::ExprError;

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'t> {
    /// Stays as it is.
    Text(&'t str),
    /// An expression and where it begins, in bytes.
    Expr {
        /// Without the braces, trimmed.
        text: &'t str,
        /// Byte offset of `${{`.
        at: usize,
    },
}

/// Splits a text into its parts. A `}}` inside a quoted string does not end the expression.
///
/// # Errors
/// For `${{` without its end.
pub fn split(text: &str) -> Result<Vec<Piece<'_>>, ExprError> {
    let mut pieces = Vec::new();
    let mut from = 0;
    while let Some(start) = text[from..].find("${{").map(|i| from + i) {
        let body = start + 3;
        let mut quoted = false;
        let end = text.as_bytes()[body..].iter().enumerate().find_map(|(i, b)| {
            if *b == b'\'' {
                quoted = !quoted;
            }
            (!quoted && text.as_bytes()[body + i..].starts_with(b"}}")).then_some(body + i)
        });
        let Some(end) = end else {
            return Err(ExprError(
                "The expression is not closed. An unescaped ${{ sequence was found, but the closing }} sequence was not found.".into(),
            ));
        };
        if start > from {
            pieces.push(Piece::Text(&text[from..start]));
        }
        pieces.push(Piece::Expr { text: text[body..end].trim(), at: start });
        from = end + 2;
    }
    if from < text.len() {
        pieces.push(Piece::Text(&text[from..]));
    }
    Ok(pieces)
}
