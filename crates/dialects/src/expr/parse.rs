//! Lexer and parser. Precedence from tight to loose: access, `!`, comparison, equality, `&&`, `||`.

use super::{ExprError, MAX_DEPTH, MAX_LENGTH, functions};

/// An expression. Built only by [`Expr::parse`], so names of functions are known and their argument counts right.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A literal.
    Null,
    /// A literal.
    Bool(bool),
    /// A literal.
    Number(f64),
    /// A literal.
    String(String),
    /// A context by its lower-case name.
    Context(String),
    /// A function by its lower-case name.
    Call(String, Vec<Expr>),
    /// `a.b`, `a['b']`, `a[0]`
    Index(Box<Expr>, Box<Expr>),
    /// `a.*`, `a[*]`
    Filter(Box<Expr>),
    /// `!a`
    Not(Box<Expr>),
    /// `a op b`
    Compare(Op, Box<Expr>, Box<Expr>),
    /// `a && b && c`
    And(Vec<Expr>),
    /// `a || b || c`
    Or(Vec<Expr>),
}

/// Comparison operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

/// The contexts that exist.
pub const CONTEXTS: &[&str] =
    &["github", "env", "vars", "job", "jobs", "steps", "runner", "secrets", "strategy", "matrix", "needs", "inputs"];

impl Expr {
    /// Parses a bare expression.
    ///
    /// # Errors
    /// With GitHub's wording and the position.
    pub fn parse(text: &str) -> Result<Self, ExprError> {
        if text.chars().count() > MAX_LENGTH {
            return Err(ExprError(format!("Exceeded max expression length {MAX_LENGTH}")));
        }
        let mut parser = Parser { text, tokens: lex(text)?, next: 0, depth: 0 };
        let expr = parser.or()?;
        match parser.peek() {
            None => Ok(expr),
            Some(_) => Err(parser.unexpected()),
        }
    }

    /// Does it call `success`, `failure`, `always` or `cancelled` anywhere?
    pub fn calls_status_function(&self) -> bool {
        let mut found = false;
        self.walk(&mut |e| found |= matches!(e, Expr::Call(name, _) if functions::is_status(name)));
        found
    }

    /// Visits this and all inner expressions.
    pub fn walk(&self, visit: &mut dyn FnMut(&Expr)) {
        visit(self);
        match self {
            Expr::Null | Expr::Bool(_) | Expr::Number(_) | Expr::String(_) | Expr::Context(_) => {}
            Expr::Call(_, args) | Expr::And(args) | Expr::Or(args) => args.iter().for_each(|a| a.walk(visit)),
            Expr::Index(a, b) | Expr::Compare(_, a, b) => {
                a.walk(visit);
                b.walk(visit);
            }
            Expr::Filter(a) | Expr::Not(a) => a.walk(visit),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Tok {
    Name(String),
    Number(f64),
    Str(String),
    Sym(&'static str),
}

struct Token {
    tok: Tok,
    start: usize,
    end: usize,
}

fn located(what: &str, raw: &str, start: usize, text: &str) -> ExprError {
    let position = text.get(..start).map_or(0, |t| t.chars().count()) + 1;
    ExprError(format!("{what}: '{raw}'. Located at position {position} within expression: {text}"))
}

fn lex(text: &str) -> Result<Vec<Token>, ExprError> {
    const SYMBOLS: &[&str] = &["==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "(", ")", "[", "]", ",", ".", "*"];
    let mut tokens: Vec<Token> = Vec::new();
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        let rest = &text[i..];
        let Some(c) = rest.chars().next() else { break };
        if c.is_whitespace() {
            i += c.len_utf8();
            continue;
        }
        // a dot begins a number only where no value stands before it
        let after_value =
            matches!(tokens.last().map(|t| &t.tok), Some(Tok::Name(_) | Tok::Str(_) | Tok::Number(_) | Tok::Sym(")" | "]" | "*")));
        let start = i;
        let tok = if c == '\'' {
            let mut value = String::new();
            let mut j = i + 1;
            loop {
                let Some(end) = text[j..].find('\'') else { return Err(located("Unexpected symbol", rest, start, text)) };
                value.push_str(&text[j..j + end]);
                j += end + 1;
                if bytes.get(j) == Some(&b'\'') {
                    value.push('\'');
                    j += 1;
                } else {
                    break;
                }
            }
            i = j;
            Tok::Str(value)
        } else if c.is_ascii_alphabetic() || c == '_' {
            let len = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')).count();
            i += len;
            Tok::Name(rest[..len].to_owned())
        } else if c.is_ascii_digit() || matches!(c, '-' | '+') || (c == '.' && !after_value) {
            // everything up to the next separator belongs to the number, so that `1a` is refused as a whole
            let len = rest.find(|c: char| c.is_whitespace() || "()[],!<>=&|".contains(c)).unwrap_or(rest.len());
            i += len;
            let raw = &rest[..len];
            let number = super::value::parse_number(raw);
            if number.is_nan() {
                return Err(located("Unexpected symbol", raw, start, text));
            }
            Tok::Number(number)
        } else if let Some(symbol) = SYMBOLS.iter().find(|s| rest.starts_with(**s)) {
            i += symbol.len();
            Tok::Sym(symbol)
        } else {
            let len = rest.find(char::is_whitespace).unwrap_or(rest.len());
            return Err(located("Unexpected symbol", &rest[..len], start, text));
        };
        tokens.push(Token { tok, start, end: i });
    }
    Ok(tokens)
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
}

type Parsed = Result<Expr, ExprError>;

impl Parser<'_> {
    fn peek(&self) -> Option<&Tok> {
        self.tokens.get(self.next).map(|t| &t.tok)
    }

    fn take(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Some(Tok::Sym(s)) if *s == symbol);
        if found {
            self.next += 1;
        }
        found
    }

    fn unexpected(&self) -> ExprError {
        match self.tokens.get(self.next) {
            Some(t) => self.at("Unexpected symbol", t),
            None => ExprError(match self.tokens.last() {
                Some(t) => self.at("Unexpected end of expression", t).0,
                None => "An expression was expected".into(),
            }),
        }
    }

    fn at(&self, what: &str, token: &Token) -> ExprError {
        located(what, self.text.get(token.start..token.end).unwrap_or_default(), token.start, self.text)
    }

    fn expect(&mut self, symbol: &str) -> Result<(), ExprError> {
        if self.take(symbol) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn deeper(&mut self) -> Result<(), ExprError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(ExprError(format!("Exceeded max expression depth {MAX_DEPTH}")));
        }
        Ok(())
    }

    fn or(&mut self) -> Parsed {
        self.deeper()?;
        let mut items = vec![self.and()?];
        while self.take("||") {
            items.push(self.and()?);
        }
        self.depth -= 1;
        Ok(if items.len() == 1 { items.remove(0) } else { Expr::Or(items) })
    }

    fn and(&mut self) -> Parsed {
        let mut items = vec![self.equality()?];
        while self.take("&&") {
            items.push(self.equality()?);
        }
        Ok(if items.len() == 1 { items.remove(0) } else { Expr::And(items) })
    }

    fn binary(&mut self, ops: &[(&str, Op)], inner: fn(&mut Self) -> Parsed) -> Parsed {
        let mut left = inner(self)?;
        let before = self.depth;
        while let Some((_, op)) = ops.iter().find(|(symbol, _)| self.take(symbol)) {
            // chains lean to the left, so each link is a level
            self.deeper()?;
            left = Expr::Compare(*op, Box::new(left), Box::new(inner(self)?));
        }
        self.depth = before;
        Ok(left)
    }

    fn equality(&mut self) -> Parsed {
        self.binary(&[("==", Op::Eq), ("!=", Op::Ne)], Self::relational)
    }

    fn relational(&mut self) -> Parsed {
        self.binary(&[("<=", Op::Le), (">=", Op::Ge), ("<", Op::Lt), (">", Op::Gt)], Self::unary)
    }

    fn unary(&mut self) -> Parsed {
        if self.take("!") {
            self.deeper()?;
            let inner = self.unary()?;
            self.depth -= 1;
            return Ok(Expr::Not(Box::new(inner)));
        }
        self.access()
    }

    fn access(&mut self) -> Parsed {
        let mut value = self.primary()?;
        let before = self.depth;
        loop {
            let indexed = if self.take(".") {
                if self.take("*") {
                    Expr::Filter(Box::new(value))
                } else {
                    let Some(Tok::Name(name)) = self.peek().cloned() else { return Err(self.unexpected()) };
                    self.next += 1;
                    Expr::Index(Box::new(value), Box::new(Expr::String(name)))
                }
            } else if self.take("[") {
                if self.take("*") {
                    self.expect("]")?;
                    Expr::Filter(Box::new(value))
                } else {
                    let index = self.or()?;
                    self.expect("]")?;
                    Expr::Index(Box::new(value), Box::new(index))
                }
            } else {
                self.depth = before;
                return Ok(value);
            };
            self.deeper()?;
            value = indexed;
        }
    }

    fn primary(&mut self) -> Parsed {
        let at = self.next;
        let Some(tok) = self.peek().cloned() else { return Err(self.unexpected()) };
        match tok {
            Tok::Number(n) => {
                self.next += 1;
                Ok(Expr::Number(n))
            }
            Tok::Str(s) => {
                self.next += 1;
                Ok(Expr::String(s))
            }
            Tok::Sym("(") => {
                self.next += 1;
                let inner = self.or()?;
                self.expect(")")?;
                Ok(inner)
            }
            Tok::Sym(_) => Err(self.unexpected()),
            Tok::Name(name) => {
                self.next += 1;
                if self.take("(") {
                    return self.call(&name, at);
                }
                match name.as_str() {
                    "null" => return Ok(Expr::Null),
                    "true" => return Ok(Expr::Bool(true)),
                    "false" => return Ok(Expr::Bool(false)),
                    "NaN" => return Ok(Expr::Number(f64::NAN)),
                    "Infinity" => return Ok(Expr::Number(f64::INFINITY)),
                    _ => {}
                }
                let lower = name.to_ascii_lowercase();
                if CONTEXTS.contains(&lower.as_str()) {
                    Ok(Expr::Context(lower))
                } else {
                    Err(self.at("Unrecognized named-value", &self.tokens[at]))
                }
            }
        }
    }

    fn call(&mut self, name: &str, at: usize) -> Parsed {
        let lower = name.to_ascii_lowercase();
        let Some((least, most)) = functions::arity(&lower) else {
            return Err(self.at("Unrecognized function", &self.tokens[at]));
        };
        let mut args = Vec::new();
        if !self.take(")") {
            loop {
                args.push(self.or()?);
                if !self.take(",") {
                    break;
                }
            }
            self.expect(")")?;
        }
        if args.len() < least {
            return Err(self.at("Too few parameters supplied", &self.tokens[at]));
        }
        if args.len() > most {
            return Err(self.at("Too many parameters supplied", &self.tokens[at]));
        }
        if lower == "case" && args.len() % 2 == 0 {
            return Err(self.at("Even number of parameters supplied, requires an odd number of parameters", &self.tokens[at]));
        }
        Ok(Expr::Call(lower, args))
    }
}
