//! Tokens of the Groovy subset.

use super::SyntaxError;

/// Larger files are refused.
pub const MAX_BYTES: usize = 1 << 20;
/// Deepest nesting of brackets, blocks and values in strings.
pub(super) const MAX_DEPTH: usize = 100;

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) tok: Tok,
    pub(super) start: u32,
    pub(super) end: u32,
    /// White space or a comment stands before it.
    pub(super) spaced: bool,
}

/// Kinds of tokens.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Tok {
    Word(String),
    Int(i64),
    Big(String),
    Decimal(f64),
    Str(String),
    GString(Vec<RawPart>),
    Op(&'static str),
    Newline,
    End,
}

/// A part of a GString before its code is parsed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum RawPart {
    Text(String),
    /// Tokens, closed by [`Tok::End`].
    Code(Vec<Token>),
    /// `$a.b`: names with their places.
    Path(Vec<(String, u32, u32)>),
}

/// Longest first.
const OPERATORS: &[&str] = &[
    ">>>=", "<=>", "===", "!==", "==~", "**=", "<<=", ">>=", ">>>", "..<", "...", "==", "!=", "<=", ">=", "&&", "||", "++", "--", "+=",
    "-=", "*=", "/=", "%=", "&=", "|=", "^=", "?:", "?.", "*.", ".&", "..", "->", "=~", "<<", ">>", "**", "::", "+", "-", "*", "/", "%",
    "=", "<", ">", "!", "~", "?", ":", ";", ",", ".", "(", ")", "[", "]", "{", "}", "&", "|", "^", "@",
];

/// Splits a file into tokens; the last one is [`Tok::End`].
pub(super) fn lex(text: &str) -> Result<Vec<Token>, SyntaxError> {
    if text.len() > MAX_BYTES {
        return Err(SyntaxError { at: 0, message: format!("the file is larger than {MAX_BYTES} bytes") });
    }
    let mut lexer = Lexer { text, pos: 0, depth: 0 };
    if text.starts_with("#!") {
        lexer.pos = text.find('\n').unwrap_or(text.len());
    }
    lexer.run(false)
}

/// Moves tokens to where their file begins.
pub(super) fn shift(tokens: &mut [Token], base: u32) {
    for token in tokens {
        token.start = token.start.saturating_add(base);
        token.end = token.end.saturating_add(base);
        let Tok::GString(parts) = &mut token.tok else { continue };
        for part in parts {
            match part {
                RawPart::Text(_) => {}
                RawPart::Code(inner) => shift(inner, base),
                RawPart::Path(names) => {
                    for (_, start, end) in names {
                        *start = start.saturating_add(base);
                        *end = end.saturating_add(base);
                    }
                }
            }
        }
    }
}

struct Lexer<'t> {
    text: &'t str,
    pos: usize,
    depth: usize,
}

fn word_start(c: char) -> bool {
    c.is_alphabetic() || c == '_' || c == '$'
}

fn word_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

fn place(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.pos..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.pos += c.len_utf8();
        Some(c)
    }

    fn error<T>(&self, at: usize, message: impl Into<String>) -> Result<T, SyntaxError> {
        Err(SyntaxError { at: place(at), message: message.into() })
    }

    /// Up to the end, or in a `${` up to its `}`.
    fn run(&mut self, in_string: bool) -> Result<Vec<Token>, SyntaxError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.error(self.pos, "nested too deeply");
        }
        let mut out: Vec<Token> = Vec::new();
        let mut open: Vec<u8> = Vec::new();
        loop {
            let spaced = self.blank()?;
            let start = self.pos;
            let Some(c) = self.peek() else {
                if in_string {
                    return self.error(start, "expecting '}', found end of file");
                }
                out.push(Token { tok: Tok::End, start: place(start), end: place(start), spaced });
                break;
            };
            if c == '\n' {
                self.pos += 1;
                // inside ( and [ lines do not end statements
                let counts = !matches!(open.last(), Some(b'(' | b'['));
                if counts && !matches!(out.last(), Some(Token { tok: Tok::Newline, .. })) {
                    out.push(Token { tok: Tok::Newline, start: place(start), end: place(self.pos), spaced });
                }
                continue;
            }
            let tok = match c {
                '\'' => self.quoted('\'')?,
                '"' => self.quoted('"')?,
                '0'..='9' => self.number()?,
                '/' if !ends_operand(out.last()) && !self.rest().starts_with("/=") => self.slashy()?,
                '$' if self.rest().starts_with("$/") && !ends_operand(out.last()) => self.dollar_slashy()?,
                c if word_start(c) => {
                    while self.peek().is_some_and(word_part) {
                        self.bump();
                    }
                    Tok::Word(self.text[start..self.pos].to_owned())
                }
                _ => {
                    let Some(op) = OPERATORS.iter().copied().find(|op| self.rest().starts_with(op)) else {
                        return self.error(start, format!("unexpected char: '{c}'"));
                    };
                    self.pos += op.len();
                    match op {
                        "(" | "[" | "{" => {
                            open.push(op.as_bytes()[0]);
                            if open.len() + self.depth > MAX_DEPTH {
                                return self.error(start, "nested too deeply");
                            }
                        }
                        "}" if open.is_empty() && in_string => {
                            out.push(Token { tok: Tok::End, start: place(start), end: place(start), spaced });
                            break;
                        }
                        ")" | "]" | "}" => {
                            open.pop();
                        }
                        _ => {}
                    }
                    Tok::Op(op)
                }
            };
            out.push(Token { tok, start: place(start), end: place(self.pos), spaced });
        }
        self.depth -= 1;
        Ok(out)
    }

    /// Skips blanks, comments and escaped line ends.
    fn blank(&mut self) -> Result<bool, SyntaxError> {
        let start = self.pos;
        loop {
            let rest = self.rest();
            if rest.starts_with("//") {
                self.pos += rest.find('\n').unwrap_or(rest.len());
            } else if let Some(comment) = rest.strip_prefix("/*") {
                let Some(end) = comment.find("*/") else { return self.error(self.pos, "expecting '*/', found end of file") };
                self.pos += end + 4;
            } else if rest.starts_with("\\\n") {
                self.pos += 2;
            } else if rest.starts_with("\\\r\n") {
                self.pos += 3;
            } else if rest.starts_with([' ', '\t', '\r', '\u{c}', '\u{feff}', '\u{a0}']) {
                self.bump();
            } else {
                return Ok(self.pos > start);
            }
        }
    }

    fn number(&mut self) -> Result<Tok, SyntaxError> {
        let start = self.pos;
        let (radix, skip) = match self.rest().as_bytes() {
            [b'0', b'x' | b'X', ..] => (16, 2),
            [b'0', b'b' | b'B', ..] => (2, 2),
            _ => (10, 0),
        };
        self.pos += skip;
        let take = |lexer: &mut Self| {
            while lexer.peek().is_some_and(|c| c.is_digit(radix) || c == '_') {
                lexer.pos += 1;
            }
        };
        take(self);
        let mut decimal = false;
        if radix == 10 {
            let bytes = self.rest().as_bytes();
            if bytes.first() == Some(&b'.') && bytes.get(1).is_some_and(u8::is_ascii_digit) {
                decimal = true;
                self.pos += 1;
                take(self);
            }
            let bytes = self.rest().as_bytes();
            let signed = matches!(bytes.get(1), Some(b'+' | b'-'));
            if matches!(bytes.first(), Some(b'e' | b'E')) && bytes.get(1 + usize::from(signed)).is_some_and(u8::is_ascii_digit) {
                decimal = true;
                self.pos += 1 + usize::from(signed);
                take(self);
            }
        }
        let digits: String = self.text[start + skip..self.pos].chars().filter(|c| *c != '_').collect();
        let suffix = self.peek().filter(|c| "lLiIgGfFdD".contains(*c));
        if suffix.is_some() {
            self.pos += 1;
        }
        decimal |= radix == 10 && suffix.is_some_and(|c| "fFdD".contains(c));
        if decimal {
            return digits.parse().map(Tok::Decimal).or_else(|_| self.error(start, "not a number"));
        }
        let radix = if radix == 10 && digits.len() > 1 && digits.starts_with('0') { 8 } else { radix };
        match i64::from_str_radix(&digits, radix) {
            Ok(number) => Ok(Tok::Int(number)),
            Err(_) if radix == 10 => Ok(Tok::Big(digits)),
            Err(_) => self.error(start, "not a number"),
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Tok, SyntaxError> {
        let start = self.pos;
        let triple = if quote == '"' { "\"\"\"" } else { "'''" };
        let long = self.rest().starts_with(triple);
        self.pos += if long { 3 } else { 1 };
        let mut parts = Parts::default();
        loop {
            if long && self.rest().starts_with(triple) {
                self.pos += 3;
                return Ok(parts.finish());
            }
            match self.bump() {
                None => return self.error(start, format!("expecting '{}', found end of file", if long { triple } else { &triple[..1] })),
                Some(c) if c == quote && !long => return Ok(parts.finish()),
                Some('\n') if !long => return self.error(self.pos - 1, format!("expecting '{quote}', found '\\n'")),
                Some('\r') if self.peek() == Some('\n') => {}
                Some('\\') => self.escape(&mut parts)?,
                Some('$') if quote == '"' => {
                    if !self.value(&mut parts)? {
                        return self.error(
                            self.pos - 1,
                            "illegal string body character after dollar sign; solution: either escape a literal dollar sign \"\\$5\" or bracket the value expression \"${5}\"",
                        );
                    }
                }
                Some(c) => parts.text.push(c),
            }
        }
    }

    fn escape(&mut self, parts: &mut Parts) -> Result<(), SyntaxError> {
        let at = self.pos - 1;
        let c = match self.bump() {
            Some('n') => '\n',
            Some('t') => '\t',
            Some('r') => '\r',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some(c @ ('\\' | '\'' | '"' | '$')) => c,
            Some('\n') => return Ok(()),
            Some('\r') if self.peek() == Some('\n') => {
                self.pos += 1;
                return Ok(());
            }
            Some('u') => {
                while self.peek() == Some('u') {
                    self.pos += 1;
                }
                let hex: String = self.rest().chars().take(4).collect();
                let Some(code) = Some(&hex).filter(|h| h.len() == 4).and_then(|h| u32::from_str_radix(h, 16).ok()) else {
                    return self.error(at, "Did not find four digit hex character code");
                };
                self.pos += 4;
                char::from_u32(code).unwrap_or('\u{fffd}')
            }
            Some(c @ '0'..='7') => {
                let mut code = c.to_digit(8).unwrap_or_default();
                let most = if c <= '3' { 2 } else { 1 };
                for _ in 0..most {
                    let Some(d) = self.peek().and_then(|c| c.to_digit(8)) else { break };
                    code = code * 8 + d;
                    self.pos += 1;
                }
                char::from_u32(code).unwrap_or('\u{fffd}')
            }
            _ => return self.error(at, "unexpected char: '\\'"),
        };
        parts.text.push(c);
        Ok(())
    }

    /// After a `$`: a value, or false when the dollar stands for itself.
    fn value(&mut self, parts: &mut Parts) -> Result<bool, SyntaxError> {
        if self.peek() == Some('{') {
            self.pos += 1;
            let tokens = self.run(true)?;
            parts.push(RawPart::Code(tokens));
            return Ok(true);
        }
        let mut names = Vec::new();
        loop {
            let start = self.pos;
            if !self.peek().is_some_and(|c| word_start(c) && c != '$') {
                break;
            }
            while self.peek().is_some_and(|c| word_part(c) && c != '$') {
                self.bump();
            }
            names.push((self.text[start..self.pos].to_owned(), place(start), place(self.pos)));
            let mut ahead = self.rest().chars();
            if ahead.next() == Some('.') && ahead.next().is_some_and(|c| word_start(c) && c != '$') {
                self.pos += 1;
            } else {
                break;
            }
        }
        if names.is_empty() {
            return Ok(false);
        }
        parts.push(RawPart::Path(names));
        Ok(true)
    }

    fn slashy(&mut self) -> Result<Tok, SyntaxError> {
        let start = self.pos;
        self.pos += 1;
        let mut parts = Parts::default();
        loop {
            match self.bump() {
                None => return self.error(start, "expecting '/', found end of file"),
                Some('/') => return Ok(parts.finish()),
                Some('\\') if self.peek() == Some('/') => {
                    self.pos += 1;
                    parts.text.push('/');
                }
                Some('\r') if self.peek() == Some('\n') => {}
                Some('$') => {
                    if !self.value(&mut parts)? {
                        parts.text.push('$');
                    }
                }
                Some(c) => parts.text.push(c),
            }
        }
    }

    fn dollar_slashy(&mut self) -> Result<Tok, SyntaxError> {
        let start = self.pos;
        self.pos += 2;
        let mut parts = Parts::default();
        loop {
            if self.rest().starts_with("/$") {
                self.pos += 2;
                return Ok(parts.finish());
            }
            match self.bump() {
                None => return self.error(start, "expecting '/$', found end of file"),
                Some('$') if self.rest().starts_with(['$', '/']) => parts.text.extend(self.bump()),
                Some('\r') if self.peek() == Some('\n') => {}
                Some('$') => {
                    if !self.value(&mut parts)? {
                        parts.text.push('$');
                    }
                }
                Some(c) => parts.text.push(c),
            }
        }
    }
}

/// Collects the parts of a text.
#[derive(Default)]
struct Parts {
    done: Vec<RawPart>,
    text: String,
}

impl Parts {
    fn push(&mut self, part: RawPart) {
        if !self.text.is_empty() {
            self.done.push(RawPart::Text(std::mem::take(&mut self.text)));
        }
        self.done.push(part);
    }

    fn finish(mut self) -> Tok {
        if self.done.is_empty() {
            return Tok::Str(self.text);
        }
        if !self.text.is_empty() {
            self.done.push(RawPart::Text(self.text));
        }
        Tok::GString(self.done)
    }
}

/// After an operand `/` divides; elsewhere it begins a text.
fn ends_operand(last: Option<&Token>) -> bool {
    match last.map(|t| &t.tok) {
        Some(Tok::Word(word)) => {
            !matches!(word.as_str(), "return" | "in" | "case" | "instanceof" | "as" | "throw" | "assert" | "else" | "new")
        }
        Some(Tok::Int(_) | Tok::Big(_) | Tok::Decimal(_) | Tok::Str(_) | Tok::GString(_)) => true,
        Some(Tok::Op(op)) => matches!(*op, ")" | "]" | "}" | "++" | "--"),
        _ => false,
    }
}
