//! Parser. Precedence from tight to loose: access, `!`, comparison, equality, `&&`, `||`.

use serde_json::Value as Json;

use super::lex::{Tok, Token, Tokens, lex};
use super::scope::Scope;
use super::{ExprError, MAX_DEPTH, functions};

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
    /// Parses a bare expression of a workflow file.
    ///
    /// # Errors
    /// With GitHub's wording and the position.
    pub fn parse(text: &str) -> Result<Self, ExprError> {
        parse(text, &lex(text)?, Names::Workflow)?.ok_or_else(|| ExprError("An expression was expected".into()))
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

/// Which names an expression may use.
#[derive(Clone, Copy, Debug)]
pub(super) enum Names<'n> {
    /// The contexts and functions of workflow files.
    Workflow,
    /// Those that one key of a workflow file may use.
    Scope(&'n Scope),
    /// The keys of this object, and the functions that need nothing around them.
    Given(&'n Json),
}

impl Names<'_> {
    fn context(self, lower: &str) -> bool {
        match self {
            Names::Workflow => CONTEXTS.contains(&lower),
            Names::Scope(scope) => scope.contexts.contains(&lower),
            Names::Given(Json::Object(map)) => map.contains_key(lower) || map.keys().any(|k| k.to_lowercase() == lower),
            Names::Given(_) => false,
        }
    }

    fn function(self, lower: &str) -> Option<(usize, usize)> {
        let ours = match self {
            Names::Workflow => true,
            Names::Scope(scope) => (scope.status || !functions::is_status(lower)) && (scope.hash_files || lower != "hashfiles"),
            Names::Given(_) => !(functions::is_status(lower) || lower == "hashfiles"),
        };
        let (least, most) = functions::arity(lower).filter(|_| ours)?;
        let named = matches!(self, Names::Workflow) || matches!(self, Names::Scope(scope) if scope.named_status);
        Some((least, if functions::is_status(lower) && !named { 0 } else { most }))
    }
}

/// Parses tokens; none when there are none.
pub(super) fn parse(text: &str, tokens: &Tokens<'_>, names: Names<'_>) -> Result<Option<Expr>, ExprError> {
    if tokens.list.is_empty() {
        return Ok(None);
    }
    let mut parser = Parser { text, tokens, names, next: 0, depth: 0 };
    let expr = parser.or()?;
    match parser.peek() {
        None => Ok(Some(expr)),
        Some(_) => Err(parser.unexpected()),
    }
}

struct Parser<'t> {
    text: &'t str,
    tokens: &'t Tokens<'t>,
    names: Names<'t>,
    next: usize,
    depth: usize,
}

type Parsed = Result<Expr, ExprError>;

impl<'t> Parser<'t> {
    fn peek(&self) -> Option<&'t Tok<'t>> {
        self.tokens.list.get(self.next).map(|t| &t.tok)
    }

    fn sees(&self, symbol: &str) -> bool {
        matches!(self.peek(), Some(Tok::Sym(s)) if *s == symbol)
    }

    fn take(&mut self, symbol: &str) -> bool {
        let found = self.sees(symbol);
        self.next += usize::from(found);
        found
    }

    /// About the token that comes next.
    fn here(&self, what: &str) -> ExprError {
        match self.tokens.list.get(self.next) {
            Some(t) => self.at(what, t),
            None => self.tokens.located(what, "EOF", self.tokens.end, self.text),
        }
    }

    fn unexpected(&self) -> ExprError {
        self.here("Unexpected symbol")
    }

    /// The end came where something was needed: the last token is shown.
    fn ended(&self) -> ExprError {
        match self.tokens.list.last() {
            Some(last) => self.at("Unexpected end of expression", last),
            None => self.unexpected(),
        }
    }

    fn at(&self, what: &str, token: &Token<'_>) -> ExprError {
        let raw = match &token.tok {
            // without its quotes; GitHub's messages join the first doubled quote only
            Tok::Str(_) => token.raw[1..token.raw.len() - 1].replacen("''", "'", 1),
            _ => token.raw.to_owned(),
        };
        self.tokens.located(what, &raw, token.start, self.text)
    }

    fn unknown(&self, what: &str, name: &str, token: &Token<'_>) -> ExprError {
        let error = self.at(what, token);
        match self.names {
            Names::Scope(scope) => scope.hint(name).map_or(error.clone(), |hint| ExprError(format!("{}. {hint}", error.0))),
            _ => error,
        }
    }

    fn expect(&mut self, symbol: &str) -> Result<(), ExprError> {
        if self.take(symbol) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn deeper(&mut self) -> Result<(), ExprError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.here(&format!("Exceeded max expression depth {MAX_DEPTH}")));
        }
        Ok(())
    }

    fn or(&mut self) -> Parsed {
        self.deeper()?;
        let expr = self.logical("||", Self::and, Expr::Or)?;
        self.depth -= 1;
        Ok(expr)
    }

    fn and(&mut self) -> Parsed {
        self.logical("&&", Self::equality, Expr::And)
    }

    fn logical(&mut self, symbol: &str, inner: fn(&mut Self) -> Parsed, make: fn(Vec<Expr>) -> Expr) -> Parsed {
        let first = inner(self)?;
        if !self.sees(symbol) {
            return Ok(first);
        }
        self.deeper()?;
        let mut items = vec![first];
        while self.take(symbol) {
            items.push(inner(self)?);
        }
        self.depth -= 1;
        Ok(make(items))
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
        // what is written out has no parts
        let has_parts = matches!(self.peek(), Some(Tok::Name(_) | Tok::Sym("(")));
        let mut value = self.primary()?;
        if !has_parts {
            return Ok(value);
        }
        let before = self.depth;
        loop {
            value = if self.take(".") {
                self.deeper()?;
                if self.take("*") {
                    Expr::Filter(Box::new(value))
                } else {
                    let Some(Tok::Name(name)) = self.peek() else { return Err(self.unexpected()) };
                    self.next += 1;
                    Expr::Index(Box::new(value), Box::new(Expr::String((*name).to_owned())))
                }
            } else if self.take("[") {
                let index = if self.take("*") { None } else { Some(self.or()?) };
                self.expect("]")?;
                self.deeper()?;
                match index {
                    None => Expr::Filter(Box::new(value)),
                    Some(index) => Expr::Index(Box::new(value), Box::new(index)),
                }
            } else {
                break;
            };
        }
        self.depth = before;
        Ok(value)
    }

    fn primary(&mut self) -> Parsed {
        let Some(token) = self.tokens.list.get(self.next) else { return Err(self.ended()) };
        let literal = match &token.tok {
            Tok::Null => Expr::Null,
            Tok::Bool(b) => Expr::Bool(*b),
            Tok::Number(n) => Expr::Number(*n),
            Tok::Str(s) => Expr::String(s.clone().into_owned()),
            Tok::Sym("(") => {
                self.next += 1;
                let inner = self.or()?;
                if self.peek().is_none() {
                    return Err(self.ended());
                }
                self.expect(")")?;
                return Ok(inner);
            }
            Tok::Sym(_) => return Err(self.unexpected()),
            Tok::Name(name) => {
                self.next += 1;
                if self.take("(") {
                    return self.call(name, token);
                }
                let lower = name.to_ascii_lowercase();
                return if self.names.context(&lower) {
                    Ok(Expr::Context(lower))
                } else {
                    Err(self.unknown("Unrecognized named-value", name, token))
                };
            }
        };
        self.next += 1;
        Ok(literal)
    }

    fn call(&mut self, name: &str, token: &Token<'_>) -> Parsed {
        let mut args = Vec::new();
        while !self.take(")") {
            args.push(self.or()?);
            if !self.sees(")") {
                self.expect(",")?;
            }
        }
        let lower = name.to_ascii_lowercase();
        let Some((least, most)) = self.names.function(&lower) else { return Err(self.unknown("Unrecognized function", name, token)) };
        if args.len() < least {
            return Err(self.at("Too few parameters supplied", token));
        }
        if args.len() > most {
            return Err(self.at("Too many parameters supplied", token));
        }
        if lower == "case" && args.len() % 2 == 0 {
            return Err(self.at("Even number of parameters supplied, requires an odd number of parameters", token));
        }
        Ok(Expr::Call(lower, args))
    }
}
