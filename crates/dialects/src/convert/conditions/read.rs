//! Conditions as each dialect writes them, read.

use crate::expr::Expr;
use crate::jenkins::ast::{self, ExprKind};

use super::super::Target;
use super::super::draft::{Base, Cond, EVENTS, Fact, Side, When};

/// `a.b.c` of an expression of GitHub.
pub(in crate::convert) fn path(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Context(name) => Some(name.clone()),
        Expr::Index(target, name) => match &**name {
            Expr::String(name) => Some(format!("{}.{name}", path(target)?)),
            _ => None,
        },
        _ => None,
    }
}

/// `if` of GitHub.
pub(in crate::convert) fn github(text: &str) -> When {
    let Ok(expr) = Expr::parse(text) else { return When { cond: Cond::Foreign(text.to_owned()), ..When::default() } };
    let parts = match expr {
        Expr::And(parts) => parts,
        one => vec![one],
    };
    let (mut when, mut rest) = (When::default(), Vec::new());
    for part in parts {
        match status(&part) {
            Some(base) => when.base = base,
            None if is_not(&part, "failure") => when.through = true,
            None => rest.push(part),
        }
    }
    if when.through {
        // `!failure() && !cancelled()`
        when.base = Base::Success;
    }
    if rest.iter().any(Expr::calls_status_function) {
        return When { base: Base::Always, cond: Cond::Foreign(text.to_owned()), ..when };
    }
    for part in &rest {
        match condition(part) {
            Some(cond) => when.cond = when.cond.and(cond),
            None => return When { cond: Cond::Foreign(text.to_owned()), ..when },
        }
    }
    when
}

fn is_not(expr: &Expr, function: &str) -> bool {
    matches!(expr, Expr::Not(inner) if matches!(&**inner, Expr::Call(name, _) if name == function))
}

fn status(expr: &Expr) -> Option<Base> {
    match expr {
        Expr::Call(name, _) => match name.as_str() {
            "success" => Some(Base::Success),
            "failure" => Some(Base::Failure),
            "always" => Some(Base::Always),
            _ => None,
        },
        not if is_not(not, "cancelled") => Some(Base::Always),
        _ => None,
    }
}

fn condition(expr: &Expr) -> Option<Cond> {
    use crate::expr::Op;
    Some(match expr {
        Expr::Bool(true) => Cond::True,
        Expr::Bool(false) => Cond::True.not(),
        Expr::Not(inner) => condition(inner)?.not(),
        Expr::And(list) => list.iter().map(condition).collect::<Option<Vec<_>>>()?.into_iter().fold(Cond::True, Cond::and),
        Expr::Or(list) => Cond::Any(list.iter().map(condition).collect::<Option<_>>()?),
        Expr::Compare(op @ (Op::Eq | Op::Ne), a, b) => {
            let same = same(side(a)?, side(b)?);
            if *op == Op::Eq { same } else { same.not() }
        }
        Expr::Call(name, args) => match (name.as_str(), args.as_slice()) {
            ("startswith", [a, Expr::String(text)]) => starts(side(a)?, text),
            ("endswith", [a, Expr::String(text)]) => Cond::Ends(side(a)?, text.clone()),
            ("contains", [a, Expr::String(text)]) => Cond::Contains(side(a)?, text.clone()),
            _ => return None,
        },
        other => match side(other)? {
            input @ Side::Input(_) => Cond::Same(input, Side::Text("true".into())),
            Side::Text(text) => {
                if text.is_empty() {
                    Cond::True.not()
                } else {
                    Cond::True
                }
            }
            side => Cond::Set(side),
        },
    })
}

fn side(expr: &Expr) -> Option<Side> {
    Some(match expr {
        Expr::String(text) => Side::Text(text.clone()),
        Expr::Bool(b) => Side::Text(b.to_string()),
        Expr::Number(n) => Side::Text(crate::expr::number_text(*n)),
        Expr::Null => Side::Text(String::new()),
        other => {
            let path = path(other)?;
            match path.split_once('.')? {
                ("env" | "vars", name) => Side::Var(name.to_owned()),
                ("inputs", name) => Side::Input(name.to_owned()),
                ("github", "ref_type") => Side::Var("ref_type".into()),
                ("github", _) => match path.strip_prefix("github.event.inputs.") {
                    Some(name) => Side::Input(name.to_owned()),
                    None => Side::Fact(Fact::of_expression(&path)?),
                },
                _ => return None,
            }
        }
    })
}

fn same(a: Side, b: Side) -> Cond {
    match (a, b) {
        (text @ Side::Text(_), other) if !matches!(other, Side::Text(_)) => same(other, text),
        (Side::Var(name), Side::Text(kind)) if name == "ref_type" => {
            Cond::Set(Side::Fact(if kind == "tag" { Fact::Tag } else { Fact::Branch }))
        }
        (Side::Fact(Fact::Ref), Side::Text(text)) => match (text.strip_prefix("refs/heads/"), text.strip_prefix("refs/tags/")) {
            (Some(name), _) => Cond::Same(Side::Fact(Fact::Branch), Side::Text(name.into())),
            (_, Some(name)) => Cond::Same(Side::Fact(Fact::Tag), Side::Text(name.into())),
            _ => Cond::Same(Side::Fact(Fact::Ref), Side::Text(text)),
        },
        (Side::Fact(Fact::RefName), Side::Fact(Fact::DefaultBranch)) | (Side::Fact(Fact::DefaultBranch), Side::Fact(Fact::RefName)) => {
            Cond::Same(Side::Fact(Fact::Branch), Side::Fact(Fact::DefaultBranch))
        }
        (side, Side::Text(text)) if text.is_empty() => Cond::Set(side).not(),
        (a, b) => Cond::Same(a, b),
    }
}

fn starts(what: Side, text: &str) -> Cond {
    let of = |fact: Fact, rest: &str| {
        if rest.is_empty() { Cond::Set(Side::Fact(fact)) } else { Cond::Starts(Side::Fact(fact), rest.to_owned()) }
    };
    match (&what, text.strip_prefix("refs/heads/"), text.strip_prefix("refs/tags/")) {
        (Side::Fact(Fact::Ref), Some(rest), _) => of(Fact::Branch, rest),
        (Side::Fact(Fact::Ref), _, Some(rest)) => of(Fact::Tag, rest),
        _ => Cond::Starts(what, text.to_owned()),
    }
}

/// `if` of a rule of GitLab.
pub(in crate::convert) fn gitlab(text: &str) -> Cond {
    let mut reader = Rules { rest: text.trim() };
    match reader.any(0) {
        Some(cond) if reader.rest.trim().is_empty() => cond,
        _ => Cond::Foreign(text.to_owned()),
    }
}

struct Rules<'t> {
    rest: &'t str,
}

enum Operand {
    Null,
    Side(Side),
    Pattern(String),
}

impl Rules<'_> {
    fn take(&mut self, sign: &str) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn any(&mut self, depth: u8) -> Option<Cond> {
        let mut left = self.all(depth)?;
        while self.take("||") {
            left = left.or(self.all(depth)?);
        }
        Some(left)
    }

    fn all(&mut self, depth: u8) -> Option<Cond> {
        let mut left = self.comparison(depth)?;
        while self.take("&&") {
            left = left.and(self.comparison(depth)?);
        }
        Some(left)
    }

    fn comparison(&mut self, depth: u8) -> Option<Cond> {
        if self.take("(") {
            let inner = (depth < 50).then(|| self.any(depth + 1)).flatten()?;
            return self.take(")").then_some(inner);
        }
        let Operand::Side(left) = self.operand()? else { return None };
        if self.take("==") {
            return compared(left, self.operand()?);
        }
        if self.take("!=") {
            return compared(left, self.operand()?).map(Cond::not);
        }
        let negated = self.take("!~");
        if negated || self.take("=~") {
            let Operand::Pattern(pattern) = self.operand()? else { return None };
            let matched = Cond::Matches(left, pattern);
            return Some(if negated { matched.not() } else { matched });
        }
        Some(match left {
            Side::Text(text) => {
                if text.is_empty() {
                    Cond::True.not()
                } else {
                    Cond::True
                }
            }
            side => set(side),
        })
    }

    fn operand(&mut self) -> Option<Operand> {
        self.rest = self.rest.trim_start();
        let first = self.rest.chars().next()?;
        match first {
            '"' | '\'' => {
                let end = self.rest[1..].find(first)? + 1;
                let text = self.rest[1..end].to_owned();
                self.rest = &self.rest[end + 1..];
                Some(Operand::Side(Side::Text(text)))
            }
            '/' => {
                let mut escaped = false;
                let end = self.rest[1..].bytes().position(|b| {
                    let ends = b == b'/' && !escaped;
                    escaped = b == b'\\' && !escaped;
                    ends
                })? + 1;
                let body = self.rest[1..end].replace("\\/", "/");
                self.rest = &self.rest[end + 1..];
                let flags = self.rest.bytes().take_while(|b| b"ismU".contains(b)).count();
                let flag = &self.rest[..flags];
                let pattern = if flag.is_empty() { body } else { format!("(?{flag}){body}") };
                self.rest = &self.rest[flags..];
                Some(Operand::Pattern(pattern))
            }
            '$' => {
                let name = self.rest[1..].trim_start_matches('{');
                let length = name.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
                let name = name.get(..length).filter(|n| !n.is_empty())?;
                let braced = self.rest[1..].starts_with('{');
                let end = 1 + length + 2 * usize::from(braced);
                let side = match Fact::of_variable(name, Target::Gitlab) {
                    Some(fact) => Side::Fact(fact),
                    None => Side::Var(name.to_owned()),
                };
                self.rest = self.rest.get(end..)?;
                Some(Operand::Side(side))
            }
            _ => self.take("null").then_some(Operand::Null),
        }
    }
}

fn set(side: Side) -> Cond {
    match &side {
        // set in pipelines of merge requests only
        Side::Var(name) if name == "CI_MERGE_REQUEST_IID" || name == "CI_MERGE_REQUEST_ID" => {
            Cond::Same(Side::Fact(Fact::Event), Side::Text("pull_request".into()))
        }
        _ => Cond::Set(side),
    }
}

fn compared(left: Side, right: Operand) -> Option<Cond> {
    Some(match right {
        Operand::Null => set(left).not(),
        Operand::Pattern(_) => return None,
        Operand::Side(Side::Text(text)) if text.is_empty() => set(left).not(),
        Operand::Side(Side::Text(text)) if left == Side::Fact(Fact::Event) => {
            let ours = EVENTS.iter().find(|(_, theirs)| *theirs == text).map_or(text.as_str(), |(ours, _)| ours);
            Cond::Same(left, Side::Text(ours.to_owned()))
        }
        Operand::Side(right) => Cond::Same(left, right),
    })
}

/// An expression of Groovy.
pub(in crate::convert) fn groovy(expr: &ast::Expr) -> Option<Cond> {
    Some(match &expr.kind {
        ExprKind::Bool(true) => Cond::True,
        ExprKind::Bool(false) => Cond::True.not(),
        ExprKind::Unary("!", inner) => groovy(inner)?.not(),
        ExprKind::Binary("&&", a, b) => groovy(a)?.and(groovy(b)?),
        ExprKind::Binary("||", a, b) => groovy(a)?.or(groovy(b)?),
        ExprKind::Binary("==", a, b) => groovy_same(groovy_side(a)?, groovy_side(b)?),
        ExprKind::Binary("!=", a, b) => groovy_same(groovy_side(a)?, groovy_side(b)?).not(),
        ExprKind::Binary("=~", a, b) => match groovy_side(b)? {
            Side::Text(pattern) => Cond::Matches(groovy_side(a)?, pattern),
            _ => return None,
        },
        ExprKind::Binary("==~", a, b) => match groovy_side(b)? {
            Side::Text(pattern) => Cond::Matches(groovy_side(a)?, format!("^(?:{pattern})$")),
            _ => return None,
        },
        ExprKind::Call(call) => {
            let (Some(receiver), ExprKind::Str(name), [arg]) = (&call.receiver, &call.name.kind, call.args.as_slice()) else { return None };
            let (receiver, Side::Text(text)) = (groovy_side(receiver)?, groovy_side(arg)?) else { return None };
            match name.as_str() {
                "startsWith" => Cond::Starts(receiver, text),
                "endsWith" => Cond::Ends(receiver, text),
                "contains" => Cond::Contains(receiver, text),
                "equals" => groovy_same(receiver, Side::Text(text)),
                _ => return None,
            }
        }
        _ => match groovy_side(expr)? {
            Side::Text(text) => {
                if text.is_empty() {
                    Cond::True.not()
                } else {
                    Cond::True
                }
            }
            input @ Side::Input(_) => Cond::Same(input, Side::Text("true".into())),
            Side::Var(name) if name == "CHANGE_ID" => Cond::Same(Side::Fact(Fact::Event), Side::Text("pull_request".into())),
            side => Cond::Set(side),
        },
    })
}

fn groovy_same(a: Side, b: Side) -> Cond {
    match (a, b) {
        (text @ Side::Text(_), other) if !matches!(other, Side::Text(_)) => groovy_same(other, text),
        (Side::Fact(Fact::RefName), b) => Cond::Same(Side::Fact(Fact::Branch), b),
        (side, Side::Text(text)) if text.is_empty() => Cond::Set(side).not(),
        (Side::Var(name), Side::Text(text)) if name == "BRANCH_IS_PRIMARY" && text == "true" => {
            Cond::Same(Side::Fact(Fact::Branch), Side::Fact(Fact::DefaultBranch))
        }
        (a, b) => Cond::Same(a, b),
    }
}

fn groovy_side(expr: &ast::Expr) -> Option<Side> {
    Some(match &expr.kind {
        ExprKind::Str(text) => Side::Text(text.clone()),
        ExprKind::Null => Side::Text(String::new()),
        ExprKind::Bool(b) => Side::Text(b.to_string()),
        ExprKind::Int(n) => Side::Text(n.to_string()),
        ExprKind::Name(name) => groovy_name(name),
        ExprKind::Property { target, name, .. } => {
            let (ExprKind::Name(of), ExprKind::Str(name)) = (&target.kind, &name.kind) else { return None };
            match of.as_str() {
                "env" => groovy_name(name),
                "params" => Side::Input(name.clone()),
                _ => return None,
            }
        }
        _ => return None,
    })
}

pub(in crate::convert) fn groovy_name(name: &str) -> Side {
    Fact::of_variable(name, Target::Jenkins).map_or_else(|| Side::Var(name.to_owned()), Side::Fact)
}
