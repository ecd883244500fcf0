//! Statements of the Groovy subset.

mod cursor;

pub(super) use cursor::is_keyword;

use super::SyntaxError;
use super::ast::{At, Case, Catch, Closure, Expr, ExprKind, Method, Param, Script, Stmt, StmtKind};
use super::lex::{MAX_DEPTH, Tok, Token, lex, shift};

/// Parses a file.
///
/// # Errors
/// The first thing that is not Groovy, or not in the subset.
pub fn parse(text: &str) -> Result<Script, SyntaxError> {
    parse_from(text, 0)
}

/// Parses a file whose first byte has that offset.
pub(super) fn parse_from(text: &str, base: u32) -> Result<Script, SyntaxError> {
    let moved = |e: SyntaxError| SyntaxError { at: e.at.saturating_add(base), ..e };
    let mut tokens = lex(text).map_err(moved)?;
    if base > 0 {
        shift(&mut tokens, base);
    }
    let mut parser = Parser { tokens: &tokens, pos: 0, depth: 0 };
    let body = parser.statements(true)?;
    Ok(Script { body })
}

pub(super) struct Parser<'t> {
    pub(super) tokens: &'t [Token],
    pub(super) pos: usize,
    pub(super) depth: usize,
}

pub(super) type Parsed<T> = Result<T, SyntaxError>;

const PRIMITIVES: &[&str] = &["boolean", "byte", "char", "double", "float", "int", "long", "short", "void"];
const MODIFIERS: &[&str] = &["final", "static", "public", "private", "protected", "transient", "volatile", "synchronized", "abstract"];

impl Parser<'_> {
    /// Statements up to the end of the file, or up to a `}` that stays.
    pub(super) fn statements(&mut self, whole: bool) -> Parsed<Vec<Stmt>> {
        let mut out = Vec::new();
        loop {
            while matches!(self.tok(), Tok::Newline) || self.is(";") {
                self.step();
            }
            match self.tok() {
                Tok::End if whole => return Ok(out),
                Tok::Op("}") if !whole => return Ok(out),
                Tok::End => return Err(SyntaxError { at: self.token().start, message: "expecting '}', found ''".into() }),
                _ => {}
            }
            self.statement(&mut out)?;
            if !matches!(self.tok(), Tok::Newline | Tok::End | Tok::Op(";" | "}")) {
                return self.unexpected();
            }
        }
    }

    /// `{ ... }`.
    pub(super) fn block(&mut self) -> Parsed<Vec<Stmt>> {
        self.expect("{")?;
        self.enter()?;
        let body = self.statements(false)?;
        self.depth -= 1;
        self.expect("}")?;
        Ok(body)
    }

    /// A block, or one statement.
    fn body(&mut self) -> Parsed<Vec<Stmt>> {
        self.newlines();
        if self.is("{") {
            return self.block();
        }
        self.enter()?;
        let mut out = Vec::new();
        if !self.eat(";") {
            self.statement(&mut out)?;
        }
        self.depth -= 1;
        Ok(out)
    }

    /// One statement; `def a = 1, b = 2` are two.
    fn statement(&mut self, out: &mut Vec<Stmt>) -> Parsed<()> {
        let from = self.pos;
        let word = match self.tok() {
            Tok::Word(word) => word.as_str(),
            Tok::Op("@") => return self.annotated(out),
            Tok::Op("{") if !self.has_arrow(1) => {
                let body = self.block()?;
                out.push(Stmt { at: self.since(from), kind: StmtKind::Block(body) });
                return Ok(());
            }
            _ => "",
        };
        let kind = match word {
            "if" => self.if_statement()?,
            "while" => {
                self.step();
                let condition = self.condition()?;
                StmtKind::While(condition, self.body()?)
            }
            "for" => self.for_statement()?,
            "switch" => self.switch()?,
            "try" => self.try_statement()?,
            "throw" => {
                self.step();
                StmtKind::Throw(self.expression()?)
            }
            "return" => {
                self.step();
                let done = matches!(self.tok(), Tok::Newline | Tok::End | Tok::Op(";" | "}"));
                StmtKind::Return(if done { None } else { Some(self.command()?) })
            }
            "break" | "continue" => {
                let stop = word == "break";
                self.step();
                if matches!(self.tok(), Tok::Word(_)) {
                    return self.refuse("a label");
                }
                if stop { StmtKind::Break } else { StmtKind::Continue }
            }
            "assert" => {
                self.step();
                let condition = self.expression()?;
                let message = if self.eat(":") || self.eat(",") { Some(self.expression()?) } else { None };
                StmtKind::Assert(condition, message)
            }
            "import" => {
                self.step();
                self.eat_word("static");
                let mut path = self.type_path()?;
                if self.eat(".") {
                    self.expect("*")?;
                    path.push_str(".*");
                }
                if self.eat_word("as") {
                    self.name()?;
                }
                StmtKind::Import(path)
            }
            "package" => {
                self.step();
                self.type_path()?;
                return Ok(());
            }
            "class" | "interface" | "enum" | "trait" => return self.refuse("a class"),
            "do" => return self.refuse("do-while"),
            _ => return self.declaration_or_expression(out),
        };
        out.push(Stmt { at: self.since(from), kind });
        Ok(())
    }

    /// `@Library('x') _`, `@NonCPS def f() {}`, `@Field def x = 1`.
    fn annotated(&mut self, out: &mut Vec<Stmt>) -> Parsed<()> {
        let from = self.pos;
        let mut libraries = None;
        let mut field = false;
        while self.eat("@") {
            let name = self.type_path()?;
            let mut args = Vec::new();
            if self.is("(") {
                args = self.arguments()?;
            }
            self.newlines();
            match name.rsplit('.').next().unwrap_or_default() {
                "Library" => {
                    let mut names = Vec::new();
                    for arg in args {
                        match arg.kind {
                            ExprKind::Str(name) => names.push(name),
                            ExprKind::List(items) => names.extend(items.into_iter().filter_map(|i| match i.kind {
                                ExprKind::Str(name) => Some(name),
                                _ => None,
                            })),
                            _ => {
                                return Err(SyntaxError {
                                    at: arg.at.start,
                                    message: "the name of a library must be a constant string".into(),
                                });
                            }
                        }
                    }
                    libraries = Some(names);
                }
                "Field" => field = true,
                _ => {}
            }
        }
        if let Some(names) = libraries {
            let at = self.since(from);
            out.push(Stmt { at, kind: StmtKind::Library(names) });
            if self.is_word("_") {
                self.step();
                return Ok(());
            }
        }
        let before = out.len();
        self.statement(out)?;
        for stmt in &mut out[before..] {
            if let StmtKind::Declare { field: f, .. } = &mut stmt.kind {
                *f |= field;
            }
        }
        Ok(())
    }

    fn condition(&mut self) -> Parsed<Expr> {
        self.expect("(")?;
        let condition = self.expression()?;
        self.expect(")")?;
        Ok(condition)
    }

    fn if_statement(&mut self) -> Parsed<StmtKind> {
        self.step();
        let condition = self.condition()?;
        let then = self.body()?;
        // `else` may stand on a later line
        let back = self.pos;
        self.eat(";");
        self.newlines();
        if !self.eat_word("else") {
            self.pos = back;
            return Ok(StmtKind::If(condition, then, Vec::new()));
        }
        self.enter()?;
        let otherwise = self.body()?;
        self.depth -= 1;
        Ok(StmtKind::If(condition, then, otherwise))
    }

    fn for_statement(&mut self) -> Parsed<StmtKind> {
        self.step();
        self.expect("(")?;
        // `for (def x in list)`, `for (String x : list)`
        let back = self.pos;
        while self.is_word("final") || self.is_word("def") {
            self.step();
        }
        if self.declares() {
            self.type_name()?;
        }
        if let Tok::Word(name) = self.tok().clone()
            && (self.is_at(1, ":") || matches!(self.ahead(1), Tok::Word(w) if w == "in"))
        {
            self.step();
            self.step();
            let list = self.expression()?;
            self.expect(")")?;
            return Ok(StmtKind::ForIn(name, list, self.body()?));
        }
        self.pos = back;
        let mut init = Vec::new();
        if !self.is(";") {
            self.statement(&mut init)?;
        }
        self.expect(";")?;
        let condition = if self.is(";") { None } else { Some(self.expression()?) };
        self.expect(";")?;
        let mut steps = Vec::new();
        while !self.is(")") {
            steps.push(self.assignment()?);
            if !self.eat(",") {
                break;
            }
        }
        self.expect(")")?;
        Ok(StmtKind::For(init, condition, steps, self.body()?))
    }

    fn switch(&mut self) -> Parsed<StmtKind> {
        self.step();
        let value = self.condition()?;
        self.newlines();
        self.expect("{")?;
        self.enter()?;
        let mut cases = Vec::new();
        loop {
            self.newlines();
            if self.eat("}") {
                break;
            }
            let value = if self.eat_word("default") {
                None
            } else if self.eat_word("case") {
                Some(self.expression()?)
            } else {
                return self.unexpected();
            };
            self.expect(":")?;
            let mut body = Vec::new();
            loop {
                while matches!(self.tok(), Tok::Newline) || self.is(";") {
                    self.step();
                }
                if self.is("}") || self.is_word("case") || self.is_word("default") {
                    break;
                }
                self.statement(&mut body)?;
                if !matches!(self.tok(), Tok::Newline | Tok::Op(";" | "}")) {
                    return self.unexpected();
                }
            }
            cases.push(Case { value, body });
        }
        self.depth -= 1;
        Ok(StmtKind::Switch(value, cases))
    }

    fn try_statement(&mut self) -> Parsed<StmtKind> {
        self.step();
        self.newlines();
        let body = self.block()?;
        let mut catches = Vec::new();
        let mut finally = None;
        loop {
            let back = self.pos;
            self.newlines();
            if self.eat_word("catch") {
                self.expect("(")?;
                let mut types = Vec::new();
                if self.eat_word("def") {
                } else if matches!(self.ahead(1), Tok::Op(")")) {
                    // `catch (e)` takes every exception
                } else {
                    types.push(self.type_path()?);
                    while self.eat("|") {
                        types.push(self.type_path()?);
                    }
                }
                let name = self.name()?;
                self.expect(")")?;
                self.newlines();
                catches.push(Catch { types, name, body: self.block()? });
            } else if self.eat_word("finally") {
                self.newlines();
                finally = Some(self.block()?);
                break;
            } else {
                self.pos = back;
                break;
            }
        }
        if catches.is_empty() && finally.is_none() {
            return self.unexpected();
        }
        Ok(StmtKind::Try(body, catches, finally))
    }

    /// Do a type and a name stand here?
    fn declares(&self) -> bool {
        let Tok::Word(first) = self.tok() else { return false };
        let mut at = 1;
        let mut last = first.as_str();
        while self.is_at(at, ".") {
            let Tok::Word(part) = self.ahead(at + 1) else { return false };
            last = part;
            at += 2;
        }
        let typed = PRIMITIVES.contains(&first.as_str()) || (last.starts_with(char::is_uppercase) && !is_keyword(first));
        if !typed {
            return false;
        }
        if self.is_at(at, "<") {
            let mut depth = 0usize;
            loop {
                match self.ahead(at) {
                    Tok::Op("<") => depth += 1,
                    Tok::Op(">") => depth = depth.saturating_sub(1),
                    Tok::Op(">>") => depth = depth.saturating_sub(2),
                    Tok::Op("," | "." | "?" | "[" | "]") | Tok::Word(_) => {}
                    _ => return false,
                }
                at += 1;
                if depth == 0 {
                    break;
                }
            }
        }
        while self.is_at(at, "[") && self.is_at(at + 1, "]") {
            at += 2;
        }
        matches!(self.ahead(at), Tok::Word(w) if !is_keyword(w))
            && matches!(
                self.ahead(at + 1),
                Tok::Op("=" | ";" | "}" | "," | "(" | ":" | ")" | "->") | Tok::Newline | Tok::End | Tok::Word(_)
            )
    }

    /// A dotted name.
    pub(super) fn type_path(&mut self) -> Parsed<String> {
        let mut path = match self.tok() {
            Tok::Word(word) if !is_keyword(word) => word.clone(),
            _ => return self.unexpected(),
        };
        self.step();
        while self.is(".") && matches!(self.ahead(1), Tok::Word(_)) {
            self.step();
            path.push('.');
            if let Tok::Word(word) = self.tok() {
                path.push_str(word);
            }
            self.step();
        }
        Ok(path)
    }

    /// A type with its parameters and `[]`.
    pub(super) fn type_name(&mut self) -> Parsed<String> {
        let name = self.type_path()?;
        if self.is("<") {
            let mut depth = 0usize;
            loop {
                match self.tok() {
                    Tok::Op("<") => depth += 1,
                    Tok::Op(">") => depth = depth.saturating_sub(1),
                    Tok::Op(">>") => depth = depth.saturating_sub(2),
                    Tok::Op("," | "." | "?" | "[" | "]") | Tok::Word(_) => {}
                    _ => return self.unexpected(),
                }
                self.step();
                if depth == 0 {
                    break;
                }
            }
        }
        let mut name = name;
        while self.is("[") && self.is_at(1, "]") {
            self.step();
            self.step();
            name.push_str("[]");
        }
        Ok(name)
    }

    fn declaration_or_expression(&mut self, out: &mut Vec<Stmt>) -> Parsed<()> {
        let from = self.pos;
        let mut declared = false;
        while matches!(self.tok(), Tok::Word(w) if MODIFIERS.contains(&w.as_str())) && matches!(self.ahead(1), Tok::Word(_)) {
            self.step();
            declared = true;
        }
        let mut ty = None;
        if self.eat_word("def") {
            declared = true;
            if self.declares() {
                ty = Some(self.type_name()?);
            }
        } else if self.declares() {
            ty = Some(self.type_name()?);
            declared = true;
        }
        if !declared {
            let value = self.command()?;
            out.push(Stmt { at: self.since(from), kind: StmtKind::Expr(value) });
            return Ok(());
        }
        if self.eat("(") {
            let mut names = Vec::new();
            loop {
                if self.declares() || self.is_word("def") {
                    self.step();
                }
                names.push(self.name()?);
                if !self.eat(",") {
                    break;
                }
            }
            self.expect(")")?;
            self.expect("=")?;
            self.newlines();
            let value = Some(self.command()?);
            out.push(Stmt { at: self.since(from), kind: StmtKind::Declare { names, ty, field: false, value } });
            return Ok(());
        }
        let method = match (self.tok().clone(), self.is_at(1, "(")) {
            (Tok::Word(name) | Tok::Str(name), true) => Some(name),
            _ => None,
        };
        if let Some(name) = method {
            self.step();
            return self.method(name, from, out);
        }
        loop {
            let names = vec![self.name()?];
            let value = if self.eat("=") {
                self.newlines();
                Some(self.command()?)
            } else {
                None
            };
            let kind = StmtKind::Declare { names, ty: ty.clone(), field: false, value };
            out.push(Stmt { at: self.since(from), kind });
            if !self.eat(",") {
                return Ok(());
            }
            self.newlines();
        }
    }

    fn method(&mut self, name: String, from: usize, out: &mut Vec<Stmt>) -> Parsed<()> {
        self.expect("(")?;
        let params = self.params(")")?;
        self.expect(")")?;
        if self.eat_word("throws") {
            self.type_path()?;
            while self.eat(",") {
                self.type_path()?;
            }
        }
        self.newlines();
        let body = self.block()?;
        out.push(Stmt { at: self.since(from), kind: StmtKind::Method(Method { name, params, body }) });
        Ok(())
    }

    /// Parameters up to (not over) `end`.
    fn params(&mut self, end: &str) -> Parsed<Vec<Param>> {
        let mut params = Vec::new();
        self.newlines();
        while !self.is(end) {
            while self.is_word("def") || self.is_word("final") {
                self.step();
            }
            let ty = if self.declares() { Some(self.type_name()?) } else { None };
            let name = self.name()?;
            let default = if self.eat("=") { Some(self.expression()?) } else { None };
            params.push(Param { name, ty, default });
            if !self.eat(",") {
                break;
            }
            self.newlines();
        }
        self.newlines();
        Ok(params)
    }

    /// `{ a, b -> ... }` with the brace at the current token.
    pub(super) fn closure(&mut self) -> Parsed<Closure> {
        self.expect("{")?;
        self.enter()?;
        let mut params = None;
        if self.has_arrow(0) {
            self.newlines();
            params = Some(self.params("->")?);
            self.expect("->")?;
        }
        let body = self.statements(false)?;
        self.depth -= 1;
        self.expect("}")?;
        Ok(Closure { params, body })
    }

    /// Looks for parameters and `->` without parsing them.
    fn has_arrow(&self, skip: usize) -> bool {
        let mut at = self.pos + skip;
        let mut fresh = true;
        while let Some(token) = self.tokens.get(at) {
            match &token.tok {
                Tok::Op("->") => return true,
                // a line may only break before the first and after a comma
                Tok::Newline if fresh => {}
                Tok::Word(_) | Tok::Int(_) | Tok::Str(_) | Tok::Op("." | "<" | ">" | "?" | "[" | "]" | "=") => fresh = false,
                Tok::Op(",") => fresh = true,
                _ => return false,
            }
            at += 1;
        }
        false
    }
}
