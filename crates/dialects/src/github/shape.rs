//! What may stand where in a workflow file: a closed table of keys, kinds of values, and the contexts that expressions
//! may name there. Checked before anything is understood, with the messages and places that users know from GitHub.
//!
//! Must not know what a key means; that is the reader's. Read next: `table` (the table itself).

use crate::diagnostic::{Diagnostics, Span};
use crate::expr::scope::{self, Scope};
use crate::expr::{self, Expr, Piece};
use crate::yaml::{Key, Node, Value};

use super::table;

/// What a value may be.
#[derive(Debug)]
pub(super) enum Shape {
    /// Whatever; expressions are checked.
    Any,
    Null,
    Bool,
    Number,
    /// Any scalar.
    Text,
    /// A scalar with at least one character.
    Filled,
    /// A condition: an expression with or without its braces.
    Condition,
    /// One of these words.
    Word(&'static [&'static str]),
    List(Box<Shape>),
    Map(Keys),
    Either(Vec<Shape>),
    /// With expressions over these contexts; without, there are none.
    In(Scope, Box<Shape>),
    /// A list of steps, which may hold lists of steps.
    Steps,
}

/// The keys of a mapping.
#[derive(Debug, Default)]
pub(super) struct Keys {
    pub(super) known: Vec<Entry>,
    /// What other keys hold; none: there may be no others.
    pub(super) others: Option<Box<Shape>>,
}

/// A known key.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) required: bool,
    pub(super) shape: Shape,
}

impl Keys {
    fn find(&self, name: &str) -> Option<&Entry> {
        self.known.iter().find(|e| e.name == name)
    }
}

/// Checks a whole workflow file.
pub(super) fn check(root: &Node, out: &mut Diagnostics) {
    Checker { out }.value(root, table::workflow(), None);
}

/// The alternatives that a shape leaves, by kind.
#[derive(Default)]
struct Choice<'s> {
    scalars: Vec<&'s Shape>,
    list: Option<&'s Shape>,
    maps: Vec<&'s Keys>,
    any: bool,
}

impl<'s> Choice<'s> {
    fn add(&mut self, shape: &'s Shape) {
        match shape {
            Shape::Any => self.any = true,
            Shape::List(_) | Shape::Steps => self.list = Some(shape),
            Shape::Map(keys) => self.maps.push(keys),
            Shape::Either(all) => all.iter().for_each(|s| self.add(s)),
            // contexts are given to a whole alternative
            Shape::In(_, inner) => self.add(inner),
            _ => self.scalars.push(shape),
        }
    }
}

const INSERT_INSIDE: &str = "The directive 'insert' is not allowed in this context. Directives are not supported for expressions that \
                             are embedded within a string. Directives are only supported when the entire value is an expression.";

/// Length of the call of `format` that GitHub makes of a text with expressions in it.
fn as_format(pieces: &[Piece<'_>]) -> usize {
    let mut length = "format('')".len();
    let mut holes = 0;
    for piece in pieces {
        length += match piece {
            Piece::Text(text) => text.chars().map(|c| c.len_utf16() + usize::from(matches!(c, '\'' | '{' | '}'))).sum(),
            Piece::Expr { text, .. } => {
                holes += 1;
                format!("{{{}}}, ", holes - 1).len() + text.encode_utf16().count()
            }
        };
    }
    length
}

struct Checker<'d> {
    out: &'d mut Diagnostics,
}

impl Checker<'_> {
    fn value(&mut self, node: &Node, shape: &Shape, outer: Option<Scope>) {
        let scope = match shape {
            Shape::In(scope, _) => Some(*scope),
            _ => outer,
        };
        let mut choice = Choice::default();
        choice.add(shape);
        match &node.value {
            Value::Seq(items) => match choice.list {
                Some(Shape::List(item)) => items.iter().for_each(|n| self.value(n, item, scope)),
                Some(_) => items.iter().for_each(|n| self.step(n)),
                None if choice.any => items.iter().for_each(|n| self.value(n, &Shape::Any, scope)),
                None => self.out.error(&node.span, "wrong_type", "A sequence was not expected"),
            },
            Value::Map(entries) if choice.any => {
                for (key, value) in entries {
                    self.key(key, scope);
                    self.value(value, &Shape::Any, scope);
                }
            }
            Value::Map(_) if choice.maps.is_empty() => self.out.error(&node.span, "wrong_type", "A mapping was not expected"),
            Value::Map(entries) => self.mapping(&node.span, entries, choice.maps, scope),
            _ => self.scalar(node, &choice, scope),
        }
    }

    fn step(&mut self, node: &Node) {
        match &node.value {
            Value::Map(entries) => self.mapping(&node.span, entries, table::steps().iter().collect(), None),
            _ => self.value(node, &Shape::Map(Keys::default()), None),
        }
    }

    fn mapping(&mut self, span: &Span, entries: &[(Key, Node)], mut maps: Vec<&Keys>, scope: Option<Scope>) {
        let offered = maps.clone();
        let mut seen: Vec<String> = Vec::new();
        let mut computed = false;
        for (key, value) in entries {
            if key.name.contains("${{") {
                computed |= self.key(key, scope);
                continue;
            }
            let upper = key.name.to_uppercase();
            if seen.contains(&upper) {
                self.out.error(&key.span, "duplicate_key", format!("'{}' is already defined", key.name));
                continue;
            }
            seen.push(upper);
            let Some(entry) = maps.iter().find_map(|m| m.find(&key.name)) else {
                match maps.first().and_then(|m| m.others.as_deref()) {
                    Some(_) if key.name.is_empty() => self.out.error(&key.span, "bad_name", "Unexpected value ''"),
                    Some(shape) => self.value(value, shape, scope),
                    None => self.unknown(key, &maps),
                }
                continue;
            };
            maps.retain(|m| m.find(&key.name).is_some());
            self.value(value, &entry.shape, scope);
        }
        match maps.as_slice() {
            [only] if !computed => {
                for entry in only.known.iter().filter(|e| e.required && !seen.contains(&e.name.to_uppercase())) {
                    self.out.error(span, "missing_key", format!("Required property is missing: {}", entry.name));
                }
            }
            [_] => {}
            _ => {
                // the first two are the usual ones
                let usual = &offered[..offered.len().min(2)];
                let mut names: Vec<&str> = usual.iter().flat_map(|m| m.known.iter().map(|e| e.name)).collect();
                names.retain(|n| usual.iter().filter(|m| m.find(n).is_some()).count() == 1);
                names.sort_unstable();
                let message =
                    format!("There's not enough info to determine what you meant. Add one of these properties: {}", names.join(", "));
                self.out.error(span, "missing_key", message);
            }
        }
    }

    fn unknown(&mut self, key: &Key, maps: &[&Keys]) {
        let mut names: Vec<&str> = Vec::new();
        for name in maps.iter().flat_map(|m| m.known.iter().map(|e| e.name)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let known = if names.is_empty() { String::new() } else { format!(". Known here are: {}", names.join(", ")) };
        self.out.error(&key.span, "unknown_key", format!("Unexpected value '{}'{known}", key.name));
    }

    /// A key with an expression in it. True when there is one.
    fn key(&mut self, key: &Key, scope: Option<Scope>) -> bool {
        if !key.name.contains("${{") {
            return false;
        }
        if scope.is_none() {
            self.out.error(&key.span, "expression_not_allowed", "A template expression is not allowed in this context");
        } else {
            self.out.error(&key.span, "unsupported_key", "expressions as keys (`${{ insert }}`) are not supported; write the keys out");
        }
        true
    }

    fn scalar(&mut self, node: &Node, choice: &Choice<'_>, scope: Option<Scope>) {
        let Some(text) = node.scalar_text() else { return };
        let condition = choice.scalars.iter().any(|s| matches!(s, Shape::Condition));
        if matches!(node.value, Value::String(_)) && text.contains("${{") && self.template(node, &text, scope, condition) {
            return;
        }
        let fits = |shape: &&Shape| match (shape, &node.value) {
            (Shape::Null, value) => matches!(value, Value::Null),
            (Shape::Bool, value) => matches!(value, Value::Bool(_)),
            (Shape::Number, value) => matches!(value, Value::Number(..)),
            (Shape::Filled, _) => !text.is_empty(),
            (Shape::Word(words), _) => words.contains(&text.as_str()),
            (Shape::Text | Shape::Condition, _) => true,
            _ => false,
        };
        if !choice.any && !choice.scalars.iter().any(fits) {
            let words: Vec<&str> = choice.scalars.iter().flat_map(|s| if let Shape::Word(w) = s { *w } else { &[] }).copied().collect();
            let known = if words.is_empty() { String::new() } else { format!(". Known here are: {}", words.join(", ")) };
            return self.out.error(&node.span, "bad_value", format!("Unexpected value '{text}'{known}"));
        }
        if condition && !text.trim().is_empty() && !text.contains("${{") {
            self.expression(text.trim(), &node.span, scope);
        }
    }

    /// Checks the expressions of a text. False where they are not usable: then the text must fit as it is written.
    fn template(&mut self, node: &Node, text: &str, scope: Option<Scope>, condition: bool) -> bool {
        let pieces = match expr::split(if condition { text.trim() } else { text }) {
            Ok(pieces) => pieces,
            Err(e) => {
                self.out.error(&node.span, "expression", e.0);
                return false;
            }
        };
        let errors = self.out.errors();
        let alone = pieces.len() == 1;
        if !alone && as_format(&pieces) > expr::MAX_LENGTH {
            self.out.error(&node.span, "expression", format!("Exceeded max expression length {}", expr::MAX_LENGTH));
        }
        for piece in pieces {
            match piece {
                Piece::Expr { text: "insert", .. } if alone => {
                    self.out.error(&node.span, "bad_value", format!("Unexpected value '{text}'"));
                }
                Piece::Expr { text: "insert", .. } => self.out.error(&node.span, "expression", INSERT_INSIDE),
                Piece::Expr { text: "", .. } => self.out.error(&node.span, "expression", "An expression was expected"),
                Piece::Expr { text, .. } => self.expression(text, &node.span, Some(scope.unwrap_or(scope::NOWHERE))),
                Piece::Text(_) => {}
            }
        }
        if self.out.errors() > errors {
            return false;
        }
        if scope.is_none() {
            self.out.error(&node.span, "expression_not_allowed", "A template expression is not allowed in this context");
        }
        true
    }

    fn expression(&mut self, text: &str, span: &Span, scope: Option<Scope>) {
        let parsed = scope.map_or_else(|| Expr::parse(text), |scope| scope.parse(text));
        if let Err(e) = parsed {
            self.out.error(span, "expression", e.0);
        }
    }
}
