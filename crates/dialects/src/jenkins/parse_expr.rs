//! Expressions of the Groovy subset, with Groovy's precedence and its calls without parentheses.

use super::SyntaxError;
use super::ast::{At, Call, Entry, Expr, ExprKind, Part};
use super::lex::{RawPart, Tok, Token};
use super::parse::{Parsed, Parser, is_keyword};

/// Binary operators with how tightly they bind.
const BINARY: &[(&str, u8)] = &[
    ("||", 1),
    ("&&", 2),
    ("|", 3),
    ("^", 4),
    ("&", 5),
    ("=~", 6),
    ("==~", 6),
    ("==", 7),
    ("!=", 7),
    ("<=>", 7),
    ("===", 7),
    ("!==", 7),
    ("<", 8),
    ("<=", 8),
    (">", 8),
    (">=", 8),
    ("in", 8),
    ("instanceof", 8),
    ("as", 8),
    ("<<", 9),
    (">>", 9),
    (">>>", 9),
    ("..", 9),
    ("..<", 9),
    ("+", 10),
    ("-", 10),
    ("*", 11),
    ("/", 11),
    ("%", 11),
];
const POWER: u8 = 13;
/// Longest chain of operators or members.
const MAX_LINKS: usize = 400;
const ASSIGN: &[(&str, &str)] = &[
    ("=", ""),
    ("+=", "+"),
    ("-=", "-"),
    ("*=", "*"),
    ("/=", "/"),
    ("%=", "%"),
    ("**=", "**"),
    ("<<=", "<<"),
    (">>=", ">>"),
    (">>>=", ">>>"),
    ("&=", "&"),
    ("|=", "|"),
    ("^=", "^"),
];
/// Types that may stand in a cast although they are written small.
const CAST_TYPES: &[&str] = &["boolean", "byte", "char", "double", "float", "int", "long", "short"];

impl Parser<'_> {
    fn make(&self, from: usize, kind: ExprKind) -> Expr {
        Expr { at: self.since(from), kind }
    }

    /// An expression that may be a call without parentheses: `sh 'make'`, `x = sh script: 'make', returnStdout: true`.
    pub(super) fn command(&mut self) -> Parsed<Expr> {
        let from = self.pos;
        let first = self.assignment()?;
        if !self.begins_argument() {
            return Ok(first);
        }
        self.enter()?;
        let mut value = first;
        // in `a = b c` the call is `b c`
        if let ExprKind::Assign(op, target, right) = value.kind {
            let call = self.command_call(*right)?;
            value = Expr { at: self.since(from), kind: ExprKind::Assign(op, target, Box::new(call)) };
        } else {
            value = self.command_call(value)?;
        }
        self.depth -= 1;
        Ok(value)
    }

    fn command_call(&mut self, callee: Expr) -> Parsed<Expr> {
        let start = callee.at.start;
        let mut value = callee;
        let mut links = 0;
        while self.begins_argument() {
            self.link(&mut links)?;
            if !matches!(value.kind, ExprKind::Name(_) | ExprKind::Property { .. } | ExprKind::Call(_)) {
                return self.unexpected();
            }
            if matches!(value.kind, ExprKind::Call(_)) {
                // `a b c d` is `a(b).c(d)`
                let (Tok::Word(word), token) = (self.tok().clone(), self.token().clone()) else { return self.unexpected() };
                self.step();
                let at = At { start, end: token.end, next: token.end };
                let name = Box::new(Expr { at: At { start: token.start, end: token.end, next: token.end }, kind: ExprKind::Str(word) });
                value = Expr { at, kind: ExprKind::Property { target: Box::new(value), name, safe: false, spread: false } };
                if !self.begins_argument() {
                    return Ok(value);
                }
            }
            let args = self.argument_list(None)?;
            value = self.call_of(value, args, start);
        }
        Ok(value)
    }

    /// Does an argument of a call without parentheses stand here, on the same line?
    fn begins_argument(&self) -> bool {
        let token = self.token();
        if !token.spaced && !matches!(token.tok, Tok::Str(_) | Tok::GString(_)) {
            return false;
        }
        match &token.tok {
            Tok::Word(word) => !is_keyword(word) || matches!(word.as_str(), "true" | "false" | "null" | "new"),
            Tok::Int(_) | Tok::Big(_) | Tok::Decimal(_) | Tok::Str(_) | Tok::GString(_) => true,
            Tok::Op(op) => matches!(*op, "!" | "~"),
            Tok::Newline | Tok::End => false,
        }
    }

    /// `callee(args)`: a property becomes a method, a name a function.
    fn call_of(&self, callee: Expr, args: Vec<Expr>, start: u32) -> Expr {
        let last = &self.tokens[self.pos.saturating_sub(1)];
        let at = At { start, end: last.end, next: self.token().start.max(last.end) };
        let call = match callee.kind {
            ExprKind::Name(name) => {
                Call { receiver: None, name: Expr { at: callee.at, kind: ExprKind::Str(name) }, args, safe: false, spread: false }
            }
            ExprKind::Property { target, name, safe, spread } => Call { receiver: Some(*target), name: *name, args, safe, spread },
            kind => {
                let name = Expr { at: callee.at, kind: ExprKind::Str("call".into()) };
                Call { receiver: Some(Expr { at: callee.at, kind }), name, args, safe: false, spread: false }
            }
        };
        Expr { at, kind: ExprKind::Call(Box::new(call)) }
    }

    pub(super) fn expression(&mut self) -> Parsed<Expr> {
        self.assignment()
    }

    pub(super) fn assignment(&mut self) -> Parsed<Expr> {
        self.enter()?;
        let from = self.pos;
        let left = self.ternary()?;
        let op = match self.tok() {
            Tok::Op(op) => ASSIGN.iter().find(|(written, _)| written == op).map(|(_, op)| *op),
            _ => None,
        };
        let value = match op {
            Some(op) => {
                if !matches!(left.kind, ExprKind::Name(_) | ExprKind::Property { .. } | ExprKind::Index(..) | ExprKind::List(_)) {
                    return self.unexpected();
                }
                self.step();
                self.newlines();
                let right = self.assignment()?;
                self.make(from, ExprKind::Assign(op, Box::new(left), Box::new(right)))
            }
            None => left,
        };
        self.depth -= 1;
        Ok(value)
    }

    fn ternary(&mut self) -> Parsed<Expr> {
        let from = self.pos;
        let condition = self.binary(1)?;
        // the signs may begin the next line
        let back = self.pos;
        self.newlines();
        if self.eat("?:") {
            self.newlines();
            self.enter()?;
            let otherwise = self.ternary()?;
            self.depth -= 1;
            return Ok(self.make(from, ExprKind::Elvis(Box::new(condition), Box::new(otherwise))));
        }
        if self.eat("?") {
            self.newlines();
            let then = self.assignment()?;
            self.newlines();
            self.expect(":")?;
            self.newlines();
            let otherwise = self.assignment()?;
            return Ok(self.make(from, ExprKind::Ternary(Box::new(condition), Box::new(then), Box::new(otherwise))));
        }
        self.pos = back;
        Ok(condition)
    }

    fn operator(&self) -> Option<(&'static str, u8)> {
        let text = match self.tok() {
            Tok::Op(op) => op,
            Tok::Word(word) => word.as_str(),
            _ => return None,
        };
        BINARY.iter().find(|(op, _)| *op == text).copied()
    }

    fn binary(&mut self, least: u8) -> Parsed<Expr> {
        let from = self.pos;
        let mut left = self.unary()?;
        let mut links = 0;
        while let Some((op, tight)) = self.operator().filter(|(_, tight)| *tight >= least) {
            self.step();
            self.newlines();
            let kind = match op {
                "as" => ExprKind::Cast(self.type_name()?, Box::new(left)),
                "instanceof" => ExprKind::InstanceOf(Box::new(left), self.type_name()?),
                ".." | "..<" => {
                    let to = self.binary(tight + 1)?;
                    ExprKind::Range { from: Box::new(left), to: Box::new(to), inclusive: op == ".." }
                }
                _ => ExprKind::Binary(op, Box::new(left), Box::new(self.binary(tight + 1)?)),
            };
            left = self.make(from, kind);
            self.link(&mut links)?;
        }
        Ok(left)
    }

    /// A chain of operators or members makes a tree as deep as it is long.
    fn link(&self, links: &mut usize) -> Parsed<()> {
        *links += 1;
        if *links > MAX_LINKS {
            return Err(SyntaxError { at: self.token().start, message: "the expression is too long".into() });
        }
        Ok(())
    }

    fn unary(&mut self) -> Parsed<Expr> {
        let from = self.pos;
        let op = match self.tok() {
            Tok::Op(op) => *op,
            _ => "",
        };
        if matches!(op, "!" | "-" | "+" | "~" | "++" | "--") {
            self.step();
            self.enter()?;
            let value = self.unary()?;
            self.depth -= 1;
            let kind = match (op, value.kind) {
                // a sign before a number belongs to the number
                ("-", ExprKind::Int(n)) => ExprKind::Int(n.wrapping_neg()),
                ("-", ExprKind::Decimal(n)) => ExprKind::Decimal(-n),
                ("-", ExprKind::BigInt(n)) if n == "9223372036854775808" => ExprKind::Int(i64::MIN),
                ("-", ExprKind::BigInt(n)) => ExprKind::BigInt(format!("-{n}")),
                ("++" | "--", kind) => ExprKind::Step(op, Box::new(Expr { at: value.at, kind }), true),
                (_, kind) => ExprKind::Unary(op, Box::new(Expr { at: value.at, kind })),
            };
            return Ok(self.make(from, kind));
        }
        if let Some(ty) = self.cast()? {
            self.enter()?;
            let value = self.unary()?;
            self.depth -= 1;
            return Ok(self.make(from, ExprKind::Cast(ty, Box::new(value))));
        }
        let mut value = self.path()?;
        for op in ["++", "--"] {
            if self.is(op) {
                self.step();
                value = self.make(from, ExprKind::Step(op, Box::new(value), false));
            }
        }
        if self.is("**") {
            self.step();
            self.newlines();
            self.enter()?;
            let right = self.binary(POWER)?;
            self.depth -= 1;
            value = self.make(from, ExprKind::Binary("**", Box::new(value), Box::new(right)));
        }
        Ok(value)
    }

    /// `(Type)` before an operand.
    fn cast(&mut self) -> Parsed<Option<String>> {
        if !self.is("(") {
            return Ok(None);
        }
        let Tok::Word(first) = self.ahead(1) else { return Ok(None) };
        let mut last = first.as_str();
        let mut at = 2;
        while self.is_at(at, ".") {
            let Tok::Word(word) = self.ahead(at + 1) else { return Ok(None) };
            last = word;
            at += 2;
        }
        while self.is_at(at, "[") && self.is_at(at + 1, "]") {
            at += 2;
        }
        let typed = CAST_TYPES.contains(&first.as_str()) || (last.starts_with(char::is_uppercase) && last.chars().any(char::is_lowercase));
        if !typed || !self.is_at(at, ")") {
            return Ok(None);
        }
        let operand = match self.ahead(at + 1) {
            Tok::Word(word) => !matches!(word.as_str(), "in" | "as" | "instanceof"),
            Tok::Int(_) | Tok::Big(_) | Tok::Decimal(_) | Tok::Str(_) | Tok::GString(_) => true,
            Tok::Op(op) => matches!(*op, "(" | "["),
            _ => false,
        };
        if !operand {
            return Ok(None);
        }
        self.step();
        let ty = self.type_name()?;
        self.expect(")")?;
        Ok(Some(ty))
    }

    /// A primary with everything that hangs on it.
    fn path(&mut self) -> Parsed<Expr> {
        let from = self.pos;
        let mut value = self.primary()?;
        let mut links = 0;
        loop {
            // a dot may begin the next line
            let back = self.pos;
            if matches!(self.tok(), Tok::Newline) {
                self.newlines();
                if !matches!(self.tok(), Tok::Op("." | "?." | "*." | ".&")) {
                    self.pos = back;
                    return Ok(value);
                }
            }
            let start = value.at.start;
            match self.tok() {
                Tok::Op(op @ ("." | "?." | "*.")) => {
                    let (safe, spread) = (*op == "?.", *op == "*.");
                    self.step();
                    self.newlines();
                    let name = self.member()?;
                    let kind = ExprKind::Property { target: Box::new(value), name: Box::new(name), safe, spread };
                    value = self.make(from, kind);
                }
                Tok::Op(".&") => {
                    self.step();
                    let Tok::Word(name) = self.tok().clone() else { return self.unexpected() };
                    self.step();
                    value = self.make(from, ExprKind::MethodPointer(Box::new(value), name));
                }
                Tok::Op("(") => {
                    let args = self.arguments()?;
                    value = self.call_of(value, args, start);
                }
                Tok::Op("[") => {
                    self.step();
                    let mut index = Vec::new();
                    while !self.is("]") {
                        index.push(self.expression()?);
                        if !self.eat(",") {
                            break;
                        }
                    }
                    self.expect("]")?;
                    value = self.make(from, ExprKind::Index(Box::new(value), index));
                }
                Tok::Op("{") if matches!(value.kind, ExprKind::Name(_) | ExprKind::Property { .. } | ExprKind::Call(_)) => {
                    let at = self.pos;
                    let closure = self.closure()?;
                    let closure = self.make(at, ExprKind::Closure(closure));
                    let last = &self.tokens[self.pos - 1];
                    let place = At { start, end: last.end, next: self.token().start.max(last.end) };
                    value = match value.kind {
                        ExprKind::Call(mut call) => {
                            call.args.push(closure);
                            Expr { at: place, kind: ExprKind::Call(call) }
                        }
                        _ => self.call_of(value, vec![closure], start),
                    };
                }
                _ => return Ok(value),
            }
            self.link(&mut links)?;
        }
    }

    /// After a dot: a word (keywords too), a string, or a GString.
    fn member(&mut self) -> Parsed<Expr> {
        let token = self.token().clone();
        let at = At { start: token.start, end: token.end, next: token.end };
        let kind = match token.tok {
            Tok::Word(word) => ExprKind::Str(word),
            Tok::Str(text) => ExprKind::Str(text),
            Tok::GString(parts) => {
                self.step();
                let kind = self.gstring(&parts)?;
                return Ok(Expr { at, kind });
            }
            _ => return self.unexpected(),
        };
        self.step();
        Ok(Expr { at, kind })
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let from = self.pos;
        let token = self.token().clone();
        let at = At { start: token.start, end: token.end, next: token.end };
        let kind = match token.tok {
            Tok::Word(word) => match word.as_str() {
                "true" => ExprKind::Bool(true),
                "false" => ExprKind::Bool(false),
                "null" => ExprKind::Null,
                "new" => {
                    self.step();
                    let ty = self.type_name()?;
                    if !self.is("(") {
                        return self.unexpected();
                    }
                    let args = self.arguments()?;
                    return Ok(self.make(from, ExprKind::New(ty, args)));
                }
                word if is_keyword(word) => return self.unexpected(),
                _ => ExprKind::Name(word),
            },
            Tok::Int(n) => ExprKind::Int(n),
            Tok::Big(n) => ExprKind::BigInt(n),
            Tok::Decimal(n) => ExprKind::Decimal(n),
            Tok::Str(text) => ExprKind::Str(text),
            Tok::GString(parts) => {
                self.step();
                let kind = self.gstring(&parts)?;
                return Ok(self.make(from, kind));
            }
            Tok::Op("(") => {
                self.step();
                self.enter()?;
                let inner = self.expression()?;
                self.depth -= 1;
                self.expect(")")?;
                return Ok(inner);
            }
            Tok::Op("[") => return self.list_or_map(),
            Tok::Op("{") => {
                let closure = self.closure()?;
                return Ok(self.make(from, ExprKind::Closure(closure)));
            }
            _ => return self.unexpected(),
        };
        self.step();
        Ok(Expr { at, kind })
    }

    fn gstring(&mut self, parts: &[RawPart]) -> Parsed<ExprKind> {
        let mut out = Vec::new();
        for part in parts {
            out.push(match part {
                RawPart::Text(text) => Part::Text(text.clone()),
                RawPart::Path(names) => Part::Code(dotted(names)),
                RawPart::Code(tokens) => Part::Code(self.embedded(tokens)?),
            });
        }
        Ok(ExprKind::GString(out))
    }

    /// The code of a `${...}`.
    fn embedded(&mut self, tokens: &[Token]) -> Parsed<Expr> {
        self.enter()?;
        let mut inner = Parser { tokens, pos: 0, depth: self.depth };
        inner.newlines();
        // `${}` is the empty text
        let value = if matches!(inner.tok(), Tok::End) { inner.make(0, ExprKind::Null) } else { inner.command()? };
        inner.newlines();
        if !matches!(inner.tok(), Tok::End) {
            return inner.unexpected();
        }
        self.depth -= 1;
        Ok(value)
    }

    /// Is `key:` next?
    fn key_ahead(&self) -> bool {
        matches!(self.tok(), Tok::Word(_) | Tok::Str(_) | Tok::GString(_) | Tok::Int(_)) && self.is_at(1, ":")
    }

    /// A key and its `:`.
    fn key(&mut self) -> Parsed<Expr> {
        let token = self.token().clone();
        let at = At { start: token.start, end: token.end, next: token.end };
        let key = match token.tok {
            Tok::Word(word) => {
                self.step();
                Expr { at, kind: ExprKind::Str(word) }
            }
            _ => self.primary()?,
        };
        self.expect(":")?;
        Ok(key)
    }

    fn list_or_map(&mut self) -> Parsed<Expr> {
        let from = self.pos;
        self.step();
        self.enter()?;
        let mut items = Vec::new();
        let mut entries = Vec::new();
        let mut map = false;
        if self.is(":") {
            self.step();
            map = true;
        }
        while !self.is("]") {
            if self.key_ahead() {
                let key = self.key()?;
                entries.push(Entry { key, value: self.expression()? });
                map = true;
            } else if self.is("*") && !self.is_at(1, ":") {
                let at = self.pos;
                self.step();
                let value = self.expression()?;
                items.push(self.make(at, ExprKind::Spread(Box::new(value))));
            } else {
                let value = self.expression()?;
                if self.eat(":") {
                    entries.push(Entry { key: value, value: self.expression()? });
                    map = true;
                } else {
                    items.push(value);
                }
            }
            if !self.eat(",") {
                break;
            }
        }
        if map && !items.is_empty() {
            return self.unexpected();
        }
        self.depth -= 1;
        self.expect("]")?;
        Ok(self.make(from, if map { ExprKind::Map(entries) } else { ExprKind::List(items) }))
    }

    /// `(a, b: c)`.
    pub(super) fn arguments(&mut self) -> Parsed<Vec<Expr>> {
        self.expect("(")?;
        let args = self.argument_list(Some(")"))?;
        self.expect(")")?;
        Ok(args)
    }

    /// Arguments up to `end`, or to the end of the line. Named ones become one map, which comes first.
    fn argument_list(&mut self, end: Option<&str>) -> Parsed<Vec<Expr>> {
        self.enter()?;
        let mut args = Vec::new();
        let mut named: Vec<Entry> = Vec::new();
        let mut place: Option<At> = None;
        while end.is_none_or(|end| !self.is(end)) {
            let from = self.pos;
            if self.key_ahead() {
                let key = self.key()?;
                self.newlines();
                let value = self.expression()?;
                let at = self.since(from);
                place = Some(place.map_or(at, |p| At { start: p.start, ..at }));
                named.push(Entry { key, value });
            } else if self.eat("*") {
                let value = self.expression()?;
                args.push(self.make(from, ExprKind::Spread(Box::new(value))));
            } else {
                args.push(self.expression()?);
            }
            if !self.eat(",") {
                break;
            }
            self.newlines();
        }
        if let Some(at) = place {
            args.insert(0, Expr { at, kind: ExprKind::Map(named) });
        }
        self.depth -= 1;
        Ok(args)
    }
}

fn dotted(names: &[(String, u32, u32)]) -> Expr {
    let mut value: Option<Expr> = None;
    for (name, start, end) in names {
        let at = At { start: *start, end: *end, next: *end };
        value = Some(match value {
            None => Expr { at, kind: ExprKind::Name(name.clone()) },
            Some(target) => {
                let whole = At { start: target.at.start, end: *end, next: *end };
                let name = Box::new(Expr { at, kind: ExprKind::Str(name.clone()) });
                Expr { at: whole, kind: ExprKind::Property { target: Box::new(target), name, safe: false, spread: false } }
            }
        });
    }
    value.unwrap_or(Expr { at: At::default(), kind: ExprKind::Null })
}
