//! Measures functions over a tree-sitter tree: size, parameters, cyclomatic and cognitive complexity.
//!
//! # The rules (our default dialect)
//!
//! **What a function is.** A named function or method with a body; in JavaScript and TypeScript also a function or
//! arrow that is bound to a name by a declaration, an assignment, a field or a property. A function without a name
//! belongs to the function it is written in; outside of any it is listed as `<anonymous>`. A named function inside
//! another is measured for itself and adds nothing to the outer one.
//!
//! **Cyclomatic** starts at 1 and adds 1 for each: `if`, `elif`/`else if`, `let … else`, loop with a condition or an
//! iterator (`loop` has neither), case of a `switch`/`select` that is not the default, arm of a `match` after the
//! first (Rust) or that is not a bare `_` (Python), guard, `catch`/`except`, conditional expression, `&&`, `||`,
//! `and`, `or`, `??`, `&&=`, `||=`, `??=`, Rust's `?`, and each `for` and `if` of a comprehension. `else`, `finally`,
//! `with`, `assert`, optional chaining and the loop's `else` add nothing.
//!
//! **Cognitive** follows the white paper. 1 and the depth of nesting for `if`, `let … else`, conditional expression,
//! `switch`/`match`/`select`, each loop, `catch`/`except`; all of these nest their bodies, and so does a function
//! without a name. 1 flat for `else` (of an `if`, a loop or a `try`), `else if`/`elif`, `goto`, `break`/`continue` to a label, each run of like
//! logical operators (read in order, through parentheses, broken by `!(…)`), and once for a function that calls
//! itself directly. Nothing for cases, guards, `try`, `finally`, `??`, `?` and comprehensions.
//!
//! Code inside Rust macro calls is tokens, not syntax, and is not measured.
//!
//! # Bounds
//!
//! Parsing ends when its time is over. The walk keeps its own stack, so depth costs memory, never the thread's stack.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tree_sitter::{Language as TsLanguage, Node, ParseOptions, Parser, TreeCursor};

use crate::lines::LineKind;
use crate::rules::{Class, Rules};

/// A grammar we measure with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Grammar {
    /// Rust.
    Rust,
    /// Python 3.
    Python,
    /// JavaScript with JSX.
    JavaScript,
    /// TypeScript.
    TypeScript,
    /// TypeScript with JSX.
    Tsx,
    /// Go.
    Go,
}

impl Grammar {
    pub(crate) fn language(self) -> TsLanguage {
        match self {
            Grammar::Rust => tree_sitter_rust::LANGUAGE.into(),
            Grammar::Python => tree_sitter_python::LANGUAGE.into(),
            Grammar::JavaScript => tree_sitter_javascript::LANGUAGE.into(),
            Grammar::TypeScript => tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into(),
            Grammar::Tsx => tree_sitter_typescript::LANGUAGE_TSX.into(),
            Grammar::Go => tree_sitter_go::LANGUAGE.into(),
        }
    }
}

/// One measured function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    /// Its name, after the types or functions it is written in: `Point.length`, `outer.inner`.
    pub name: String,
    /// First line, from 1.
    pub line: u32,
    /// Last line.
    pub end_line: u32,
    /// Lines with code, those of nested functions included.
    pub lines: u32,
    /// Declared parameters; a receiver (`self`, Go's receiver) is not one, Python's `self` is.
    pub params: u32,
    /// Cyclomatic complexity.
    pub cyclomatic: u32,
    /// Cognitive complexity.
    pub cognitive: u32,
}

/// What one file gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// In order of their first line.
    pub functions: Vec<Function>,
    /// Some of the text did not fit the grammar; figures may be short.
    pub parse_error: bool,
}

/// Why a file was not measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Parsing took longer than allowed.
    TimedOut,
    /// The grammar does not load into this parser. A defect of the build.
    Grammar,
}

const NAME_LIMIT: usize = 200;

/// Measures the functions of `source`. `kinds` are its lines, as [`crate::lines::kinds`] tells them.
///
/// # Errors
/// When the time is over.
pub fn measure(grammar: Grammar, source: &[u8], kinds: &[LineKind], budget: Duration) -> Result<Measured, Refusal> {
    let mut parser = Parser::new();
    parser.set_language(&grammar.language()).map_err(|_| Refusal::Grammar)?;
    let end = Instant::now() + budget;
    let mut watch = |_: &tree_sitter::ParseState| if Instant::now() > end { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let options = ParseOptions::new().progress_callback(&mut watch);
    let tree =
        parser.parse_with_options(&mut |at, _| source.get(at..).unwrap_or_default(), None, Some(options)).ok_or(Refusal::TimedOut)?;
    let root = tree.root_node();
    let mut walk = Walk {
        rules: Rules::of(grammar),
        source,
        cursor: root.walk(),
        stack: Vec::new(),
        frames: Vec::new(),
        scopes: Vec::new(),
        scratch: Vec::new(),
    };
    walk.run(root, end)?;
    walk.frames.sort_by_key(|f| f.start);
    let functions = walk.frames.into_iter().map(|f| f.finish(kinds)).collect();
    Ok(Measured { functions, parse_error: root.has_error() })
}

/// Where in the program a node stands.
#[derive(Clone, Copy, Default)]
struct Place<'t> {
    /// The function that is being measured, as an index into `frames`.
    frame: Option<usize>,
    /// The name around, as an index into `scopes`.
    scope: Option<usize>,
    nesting: u32,
    /// This `if` continues an `if` before it.
    else_if: bool,
    /// What a function without a name is bound to here.
    bound: Option<Node<'t>>,
}

struct Frame {
    function: Function,
    start: usize,
    bare_name: String,
    /// The type it is a method of, and the name it has for its object.
    owner: Option<(String, String)>,
    anonymous: bool,
    recursive: bool,
}

impl Frame {
    fn finish(self, kinds: &[LineKind]) -> Function {
        let mut f = self.function;
        let from = (f.line as usize).saturating_sub(1).min(kinds.len());
        let to = (f.end_line as usize).min(kinds.len()).max(from);
        f.lines = kinds[from..to].iter().filter(|k| **k == LineKind::Code).count() as u32;
        if self.recursive {
            f.cognitive = f.cognitive.saturating_add(1);
        }
        f
    }
}

struct Scope {
    name: String,
    is_type: bool,
}

struct Walk<'t> {
    rules: &'static Rules,
    source: &'t [u8],
    cursor: TreeCursor<'t>,
    stack: Vec<(Node<'t>, Place<'t>)>,
    frames: Vec<Frame>,
    scopes: Vec<Scope>,
    scratch: Vec<Node<'t>>,
}

impl<'t> Walk<'t> {
    fn run(&mut self, root: Node<'t>, end: Instant) -> Result<(), Refusal> {
        self.stack.push((root, Place::default()));
        let mut steps = 0u32;
        while let Some((node, place)) = self.stack.pop() {
            steps = steps.wrapping_add(1);
            if steps.is_multiple_of(4096) && Instant::now() > end {
                return Err(Refusal::TimedOut);
            }
            self.visit(node, place);
        }
        Ok(())
    }

    fn text(&self, node: Node<'_>) -> String {
        let bytes = self.source.get(node.byte_range()).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(NAME_LIMIT)]);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn add(&mut self, place: Place<'t>, cyclomatic: u32, cognitive: u32) {
        if let Some(frame) = place.frame.and_then(|i| self.frames.get_mut(i)) {
            frame.function.cyclomatic = frame.function.cyclomatic.saturating_add(cyclomatic);
            frame.function.cognitive = frame.function.cognitive.saturating_add(cognitive);
        }
    }

    /// Pushes the children, each at the place that `at` tells from its field name and class.
    fn children(&mut self, node: Node<'t>, mut at: impl FnMut(Option<&str>, Class) -> Place<'t>) {
        self.cursor.reset(node);
        if !self.cursor.goto_first_child() {
            return;
        }
        loop {
            let child = self.cursor.node();
            if child.is_named() || child.child_count() > 0 {
                self.stack.push((child, at(self.cursor.field_name(), self.rules.class(child))));
            }
            if !self.cursor.goto_next_sibling() {
                break;
            }
        }
    }

    fn descend(&mut self, node: Node<'t>, place: Place<'t>) {
        self.children(node, |_, _| place);
    }

    fn visit(&mut self, node: Node<'t>, place: Place<'t>) {
        let inner = Place { else_if: false, bound: None, ..place };
        let deeper = Place { nesting: place.nesting + 1, ..inner };
        match self.rules.class(node) {
            Class::Plain => self.descend(node, inner),
            Class::Function => self.function(node, place),
            Class::Closure => self.closure(node, place),
            Class::Binding => {
                let name = self.rules.binding_name(node);
                self.children(
                    node,
                    |field, _| if matches!(field, Some("value" | "right")) { Place { bound: name, ..inner } } else { inner },
                );
            }
            Class::Type => self.enter_scope(node, inner, true),
            Class::Namespace => self.enter_scope(node, inner, false),
            Class::If => self.branch(node, place),
            Class::Else => {
                // in a chain `else if` the `if` itself counts
                let mut cursor = node.walk();
                let chained = node.named_children(&mut cursor).find(|c| !c.is_extra()).is_some_and(|c| self.rules.class(c) == Class::If);
                if chained {
                    self.descend(node, Place { else_if: true, ..inner });
                } else {
                    self.add(place, 0, 1);
                    self.descend(node, deeper);
                }
            }
            Class::Elif => {
                self.add(place, 1, 1);
                self.children(node, |field, _| if field == Some("consequence") { deeper } else { inner });
            }
            Class::LetElse => {
                if node.child_by_field_name("alternative").is_some() {
                    self.add(place, 1, 1 + place.nesting);
                }
                self.children(node, |field, _| if field == Some("alternative") { deeper } else { inner });
            }
            Class::Loop { decides } => {
                self.add(place, u32::from(decides), 1 + place.nesting);
                self.children(node, |field, _| if field == Some("body") { deeper } else { inner });
            }
            Class::Switch => {
                self.add(place, 0, 1 + place.nesting);
                if self.rules.first_arm_free {
                    self.add(place, self.arms(node).saturating_sub(1), 0);
                }
                // Go's cases stand in the statement itself, without a field
                self.children(node, |field, _| if matches!(field, Some("body" | "alternative") | None) { deeper } else { inner });
            }
            Class::Case => {
                if !self.rules.first_arm_free && !self.is_catch_all(node) {
                    self.add(place, 1, 0);
                }
                self.descend(node, inner);
            }
            Class::Guard => {
                if node.child_by_field_name("condition").is_some() {
                    self.add(place, 1, 0);
                }
                self.descend(node, inner);
            }
            Class::Clause => {
                self.add(place, 1, 0);
                self.descend(node, inner);
            }
            Class::Catcher => {
                self.add(place, 1, 1 + place.nesting);
                self.descend(node, deeper);
            }
            Class::Ternary => {
                self.add(place, 1, 1 + place.nesting);
                self.children(node, |field, _| if field == Some("condition") { inner } else { deeper });
            }
            Class::Operators => self.operators(node, place),
            Class::Assign => {
                if self.operator(node).is_some_and(|o| matches!(o, b"&&=" | b"||=" | b"??=")) {
                    self.add(place, 1, 0);
                }
                self.descend(node, inner);
            }
            Class::Propagate => {
                self.add(place, 1, 0);
                self.descend(node, inner);
            }
            Class::Jump => {
                if self.rules.always_labelled(node) || self.has_label(node) {
                    self.add(place, 0, 1);
                }
                self.descend(node, inner);
            }
            Class::Call => {
                self.call(node, place);
                self.descend(node, inner);
            }
        }
    }

    fn branch(&mut self, node: Node<'t>, place: Place<'t>) {
        let inner = Place { else_if: false, bound: None, ..place };
        let deeper = Place { nesting: place.nesting + 1, ..inner };
        self.add(place, 1, if place.else_if { 1 } else { 1 + place.nesting });
        // Go has no node for `else`: the other branch stands in the field itself
        let mut bare_else = false;
        self.children(node, |field, class| match (field, class) {
            (Some("consequence"), _) => deeper,
            (Some("alternative"), Class::Else | Class::Elif) => inner,
            (Some("alternative"), Class::If) => Place { else_if: true, ..inner },
            (Some("alternative"), _) => {
                bare_else = true;
                deeper
            }
            _ => inner,
        });
        if bare_else {
            self.add(place, 0, 1);
        }
    }

    fn arms(&self, node: Node<'t>) -> u32 {
        node.child_by_field_name("body").map_or(0, |body| {
            let mut cursor = body.walk();
            body.named_children(&mut cursor).filter(|c| self.rules.class(*c) == Class::Case).count() as u32
        })
    }

    /// `case _:` of Python, without a guard.
    fn is_catch_all(&self, node: Node<'t>) -> bool {
        let Some(pattern) = node.named_child(0).filter(|p| p.kind() == "case_pattern") else { return false };
        node.child_by_field_name("guard").is_none()
            && self.source.get(pattern.byte_range()) == Some(b"_")
            && node.named_child(1).is_none_or(|n| n.kind() != "case_pattern")
    }

    fn operator(&self, node: Node<'t>) -> Option<&'t [u8]> {
        node.child_by_field_name("operator").and_then(|o| self.source.get(o.byte_range()))
    }

    fn has_label(&self, node: Node<'t>) -> bool {
        let mut cursor = node.walk();
        node.children(&mut cursor).any(|c| matches!(c.kind(), "label" | "label_name" | "statement_identifier"))
    }

    /// A logical operator: the whole expression around it is read in order once, from its top.
    fn operators(&mut self, node: Node<'t>, place: Place<'t>) {
        let inner = Place { else_if: false, bound: None, ..place };
        if !self.rules.is_logical(node, self.source) {
            if self.operator(node) == Some(b"??") {
                self.add(place, 1, 0);
            }
            self.descend(node, inner);
            return;
        }
        let mut pending = std::mem::take(&mut self.scratch);
        pending.clear();
        pending.push(node);
        let (mut count, mut runs, mut last) = (0u32, 0u32, None);
        while let Some(next) = pending.pop() {
            if !next.is_named() {
                let kind = self.rules.logical_token(next);
                if kind.is_some() {
                    count += 1;
                    runs += u32::from(kind != last);
                    last = kind;
                }
                continue;
            }
            let next = self.rules.unwrapped(next);
            if !self.rules.is_logical(next, self.source) {
                self.stack.push((next, inner));
                continue;
            }
            // children in reverse, so that the leftmost is taken first
            self.cursor.reset(next);
            if self.cursor.goto_last_child() {
                loop {
                    pending.push(self.cursor.node());
                    if !self.cursor.goto_previous_sibling() {
                        break;
                    }
                }
            }
        }
        self.scratch = pending;
        self.add(place, count, runs);
    }

    fn qualified(&self, scope: Option<usize>, name: &str) -> String {
        match scope.and_then(|s| self.scopes.get(s)) {
            Some(outer) if outer.name.len() < NAME_LIMIT => format!("{}.{name}", outer.name),
            _ => name.to_owned(),
        }
    }

    fn open_scope(&mut self, name: String, is_type: bool) -> Option<usize> {
        self.scopes.push(Scope { name, is_type });
        Some(self.scopes.len() - 1)
    }

    fn enter_scope(&mut self, node: Node<'t>, place: Place<'t>, is_type: bool) {
        let name = ["name", "type"].iter().find_map(|f| node.child_by_field_name(f)).map(|n| self.text(n));
        let name = name.map(|n| n.split(['<', ' ']).next().unwrap_or(&n).to_owned()).filter(|n| !n.is_empty());
        let place = match name {
            Some(name) => {
                let full = self.qualified(place.scope, &name);
                Place { scope: self.open_scope(full, is_type), ..place }
            }
            None => place,
        };
        self.descend(node, place);
    }

    fn function(&mut self, node: Node<'t>, place: Place<'t>) {
        if node.child_by_field_name("body").is_none() {
            return;
        }
        let bare = node.child_by_field_name("name").map(|n| self.text(n));
        match bare {
            Some(bare) => self.open_function(node, place, bare),
            None => self.closure(node, place),
        }
    }

    fn open_function(&mut self, node: Node<'t>, place: Place<'t>, bare: String) {
        // a Go method names its type, and itself, in the receiver
        let receiver = node.child_by_field_name("receiver").and_then(|r| r.named_child(0));
        let scope = match receiver.and_then(|r| self.receiver_type(r)) {
            Some(owner) => self.open_scope(owner, true),
            None => place.scope,
        };
        let name = self.qualified(scope, &bare);
        let frame = self.push_frame(node, name.clone(), bare, false);
        let owner = scope.and_then(|s| self.scopes.get(s)).filter(|s| s.is_type).map(|s| s.name.clone());
        let itself = receiver.and_then(|r| r.child_by_field_name("name")).map(|n| self.text(n));
        if let (Some(owner), Some(frame)) = (owner, self.frames.get_mut(frame)) {
            frame.owner = Some((owner, itself.unwrap_or_else(|| "self".to_owned())));
        }
        let scope = self.open_scope(name, false);
        self.descend(node, Place { frame: Some(frame), scope, nesting: 0, else_if: false, bound: None });
    }

    fn push_frame(&mut self, node: Node<'t>, name: String, bare_name: String, anonymous: bool) -> usize {
        let params = ["parameters", "parameter"].iter().find_map(|f| node.child_by_field_name(f)).map_or(0, |p| self.rules.params(p));
        let function = Function {
            name,
            line: u32::try_from(node.start_position().row + 1).unwrap_or(u32::MAX),
            end_line: u32::try_from(node.end_position().row + 1).unwrap_or(u32::MAX),
            lines: 0,
            params,
            cyclomatic: 1,
            cognitive: 0,
        };
        self.frames.push(Frame { function, start: node.start_byte(), bare_name, owner: None, anonymous, recursive: false });
        self.frames.len() - 1
    }

    fn receiver_type(&self, declaration: Node<'t>) -> Option<String> {
        let kind = self.text(declaration.child_by_field_name("type")?);
        let bare = kind.trim_start_matches(['*', '(', ' ']).split(['[', ')', ' ']).next()?.to_owned();
        (!bare.is_empty()).then_some(bare)
    }

    fn closure(&mut self, node: Node<'t>, place: Place<'t>) {
        if let Some(name) = place.bound.map(|n| self.text(n)).filter(|n| !n.is_empty()) {
            self.open_function(node, place, name);
            return;
        }
        let place = Place { else_if: false, bound: None, ..place };
        let inner = match place.frame {
            Some(_) => Place { nesting: place.nesting + 1, ..place },
            None => Place {
                frame: Some(self.push_frame(node, self.qualified(place.scope, "<anonymous>"), String::new(), true)),
                nesting: 0,
                ..place
            },
        };
        self.descend(node, inner);
    }

    fn call(&mut self, node: Node<'t>, place: Place<'t>) {
        let Some(index) = place.frame else { return };
        let Some(callee) = node.child_by_field_name("function").and_then(|f| self.source.get(f.byte_range())) else { return };
        let Some(frame) = self.frames.get_mut(index).filter(|f| !f.recursive && !f.anonymous) else { return };
        let Some(before) = callee.strip_suffix(frame.bare_name.as_bytes()) else { return };
        frame.recursive = match &frame.owner {
            None => before.is_empty(),
            Some((owner, itself)) => {
                let object = before.strip_suffix(b"::").or_else(|| before.strip_suffix(b".")).unwrap_or_default();
                let last = owner.rsplit('.').next().unwrap_or(owner);
                matches!(object, b"self" | b"this" | b"Self" | b"cls") || object == itself.as_bytes() || object == last.as_bytes()
            }
        };
    }
}
