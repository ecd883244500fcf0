//! Typed reading of nodes; every mismatch becomes a located message.

use std::cell::Cell;
use std::collections::BTreeSet;

use indexmap::IndexMap;

use crate::diagnostic::{Diagnostics, Span};
use crate::expr::scope::{self, Scope};
use crate::expr::{self, Expr, Piece};
use crate::plan::{Concurrency, Container, Credentials, Late, Level, Map, Permissions, RunDefaults};
use crate::yaml::{Key, Node, Value};

use super::library::{Foreign, Library, Want};

pub(super) struct Reader<'d> {
    pub(super) out: &'d mut Diagnostics,
    /// Files beside the one that is read.
    pub(super) library: &'d Library,
    /// Which of them were looked for and are not in the library yet.
    pub(super) wants: &'d mut BTreeSet<Want>,
    /// The repository that the file is of; none is that of the run.
    pub(super) home: Option<Foreign>,
    /// Files that led to this one.
    pub(super) depth: usize,
    /// How many more files may be read for one workflow.
    pub(super) budget: &'d Cell<usize>,
    /// Steps of an action, not of a job.
    pub(super) composite: bool,
    /// What the token of the file's jobs may do when they do not say; none is the default of the instance.
    pub(super) granted: Option<Permissions>,
}

/// Which levels a permission has besides `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PermissionKind {
    Any,
    Read,
    Write,
}

/// Minutes of the longest run that GitHub knows: 35 days.
const LONGEST: f64 = 35.0 * 24.0 * 60.0;

/// Scopes of `permissions`.
pub(super) const PERMISSIONS: &[(&str, PermissionKind)] = &[
    ("actions", PermissionKind::Any),
    ("artifact-metadata", PermissionKind::Any),
    ("attestations", PermissionKind::Any),
    ("checks", PermissionKind::Any),
    ("code-quality", PermissionKind::Any),
    ("contents", PermissionKind::Any),
    ("copilot-requests", PermissionKind::Write),
    ("deployments", PermissionKind::Any),
    ("discussions", PermissionKind::Any),
    ("drives", PermissionKind::Any),
    ("id-token", PermissionKind::Write),
    ("issues", PermissionKind::Any),
    ("models", PermissionKind::Read),
    ("packages", PermissionKind::Any),
    ("pages", PermissionKind::Any),
    ("pull-requests", PermissionKind::Any),
    ("repository-projects", PermissionKind::Any),
    ("security-events", PermissionKind::Any),
    ("statuses", PermissionKind::Any),
    ("vulnerability-alerts", PermissionKind::Read),
];

impl Reader<'_> {
    /// For a file that this one led to.
    pub(super) fn inner(&mut self, home: Option<Foreign>, composite: bool) -> Reader<'_> {
        Reader {
            out: self.out,
            library: self.library,
            wants: self.wants,
            home,
            depth: self.depth + 1,
            budget: self.budget,
            composite,
            granted: self.granted.clone(),
        }
    }

    /// Counts a file that this one leads to; they may use each other so often that nobody could read them all.
    pub(super) fn spend(&mut self, span: &Span) -> bool {
        match self.budget.get().checked_sub(1) {
            Some(left) => {
                self.budget.set(left);
                true
            }
            None => {
                self.out.error(
                    span,
                    "too_many_files",
                    "the workflow uses too many actions and workflows, counted with those that they use",
                );
                false
            }
        }
    }

    /// What the expressions of a step may name.
    pub(super) fn step_scope(&self) -> Scope {
        if self.composite { scope::ACTION_STEP } else { scope::STEP }
    }

    /// What the condition of a step may name.
    pub(super) fn step_if_scope(&self) -> Scope {
        if self.composite { scope::ACTION_IF } else { scope::STEP_IF }
    }

    /// The entries of a mapping.
    pub(super) fn mapping<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [(Key, Node)]> {
        if let Value::Map(entries) = &node.value {
            return Some(entries);
        }
        self.out.error(&node.span, "wrong_type", format!("{what} must be a mapping, this is {}", node.kind()));
        None
    }

    pub(super) fn unknown_key(&mut self, key: &Key, place: &str, known: &[&str]) {
        let message = format!("Unexpected value '{}': {place} has no such key. Known are: {}", key.name, known.join(", "));
        self.out.error(&key.span, "unknown_key", message);
    }

    /// A scalar as text, without looking for expressions.
    pub(super) fn scalar(&mut self, node: &Node, what: &str) -> Option<String> {
        let Some(text) = node.scalar_text() else {
            self.out.error(&node.span, "wrong_type", format!("`{what}` must be a text, this is {}", node.kind()));
            return None;
        };
        if let Value::Number(_, written) = &node.value
            && *written != text
        {
            self.out.warning(
                &node.span,
                "number_as_text",
                format!("`{written}` is a number and becomes the text `{text}`; quote it to keep it as written"),
            );
        }
        Some(text)
    }

    /// A text that may not hold expressions.
    pub(super) fn plain_text(&mut self, node: &Node, what: &str) -> Option<String> {
        let text = self.scalar(node, what)?;
        if text.contains("${{") {
            self.out.error(
                &node.span,
                "expression_not_allowed",
                format!("`{what}` is read before any context exists, so it may not hold an expression"),
            );
            return None;
        }
        Some(text)
    }

    /// A text that may hold expressions of a scope.
    pub(super) fn text(&mut self, node: &Node, what: &str, scope: Scope) -> Option<String> {
        let text = self.scalar(node, what)?;
        self.check_template(&text, &node.span, scope).then_some(text)
    }

    /// As [`Self::text`], and not empty.
    pub(super) fn non_empty(&mut self, node: &Node, what: &str, scope: Scope) -> Option<String> {
        let text = self.text(node, what, scope)?;
        if text.trim().is_empty() {
            self.out.error(&node.span, "empty_value", format!("`{what}` may not be empty"));
            return None;
        }
        Some(text)
    }

    /// Checks the expressions of a text.
    pub(super) fn check_template(&mut self, text: &str, span: &Span, scope: Scope) -> bool {
        let pieces = match expr::split(text) {
            Ok(pieces) => pieces,
            Err(e) => {
                self.out.error(span, "expression", e.0);
                return false;
            }
        };
        let mut fine = true;
        for piece in pieces {
            if let Piece::Expr { text, .. } = piece {
                fine &= self.check_expression(text, span, scope).is_some();
            }
        }
        fine
    }

    /// Checks one expression.
    pub(super) fn check_expression(&mut self, text: &str, span: &Span, scope: Scope) -> Option<Expr> {
        scope.parse(text).map_err(|e| self.out.error(span, "expression", e.0)).ok()
    }

    /// Checks every text of a tree (a matrix). True when the tree holds an expression.
    pub(super) fn check_tree(&mut self, node: &Node, scope: Scope) -> bool {
        match &node.value {
            Value::String(s) => {
                let has = s.contains("${{");
                if has {
                    self.check_template(s, &node.span, scope);
                }
                has
            }
            Value::Number(..) => {
                self.scalar(node, "a value");
                false
            }
            Value::Seq(items) => items.iter().fold(false, |has, n| self.check_tree(n, scope) | has),
            Value::Map(entries) => entries.iter().fold(false, |has, (_, n)| self.check_tree(n, scope) | has),
            Value::Null | Value::Bool(_) => false,
        }
    }

    pub(super) fn late_bool(&mut self, node: &Node, what: &str, scope: Scope) -> Option<Late<bool>> {
        match &node.value {
            Value::Bool(b) => Some(Late::Known(*b)),
            Value::String(s) if s.contains("${{") => self.text(node, what, scope).map(Late::Expr),
            _ => {
                self.out.error(&node.span, "wrong_type", format!("`{what}` must be true, false or an expression, this is {}", node.kind()));
                None
            }
        }
    }

    pub(super) fn late_number(&mut self, node: &Node, what: &str, scope: Scope) -> Option<Late<f64>> {
        match &node.value {
            // more than fits into a number is written for "as long as it takes"
            Value::Number(n, _) if *n > 0.0 => Some(Late::Known(n.min(LONGEST))),
            Value::String(s) if s.contains("${{") => self.text(node, what, scope).map(Late::Expr),
            _ => {
                self.out.error(&node.span, "wrong_type", format!("`{what}` must be a number above 0 or an expression"));
                None
            }
        }
    }

    /// One text or a list of texts.
    pub(super) fn texts(&mut self, node: &Node, what: &str, scope: Option<Scope>) -> Vec<String> {
        let one = |r: &mut Self, n: &Node| match scope {
            Some(scope) => r.non_empty(n, what, scope),
            None => r.plain_text(n, what).filter(|t| !t.is_empty()),
        };
        match &node.value {
            Value::Seq(items) => items.iter().filter_map(|n| one(self, n)).collect(),
            Value::Map(_) => {
                self.out.error(&node.span, "wrong_type", format!("`{what}` must be a text or a list of texts"));
                Vec::new()
            }
            _ => one(self, node).into_iter().collect(),
        }
    }

    /// Names to texts.
    pub(super) fn env(&mut self, node: &Node, what: &str, scope: Scope) -> Map {
        let mut map = Map::new();
        if matches!(node.value, Value::Null) {
            return map;
        }
        for (key, value) in self.mapping(node, &format!("`{what}`")).unwrap_or_default() {
            if key.name.is_empty() || key.name.contains(['=', '\0']) {
                self.out.error(&key.span, "bad_name", format!("`{}` cannot be the name of a variable", key.name.escape_debug()));
            } else if let Some(text) = self.text(value, &key.name, scope) {
                if text.contains('\0') {
                    self.out.error(&value.span, "bad_value", "a value may not hold a NUL character");
                } else {
                    map.insert(key.name.clone(), text);
                }
            }
        }
        map
    }

    /// `defaults`; without a scope expressions are not allowed.
    pub(super) fn defaults(&mut self, node: &Node, scope: Option<Scope>) -> RunDefaults {
        let mut defaults = RunDefaults::default();
        for (key, run) in self.mapping(node, "`defaults`").unwrap_or_default() {
            if key.name != "run" {
                self.unknown_key(key, "`defaults`", &["run"]);
                continue;
            }
            for (key, value) in self.mapping(run, "`defaults.run`").unwrap_or_default() {
                let mut read = |what: &str| match scope {
                    Some(scope) => self.non_empty(value, what, scope),
                    None => self.plain_text(value, what),
                };
                match key.name.as_str() {
                    "shell" => defaults.shell = read("shell"),
                    "working-directory" => defaults.working_directory = read("working-directory"),
                    _ => self.unknown_key(key, "`defaults.run`", &["shell", "working-directory"]),
                }
            }
        }
        defaults
    }

    pub(super) fn permissions(&mut self, node: &Node) -> Option<Permissions> {
        match &node.value {
            Value::String(s) => match s.as_str() {
                "read-all" => Some(Permissions::ReadAll),
                "write-all" => Some(Permissions::WriteAll),
                _ => {
                    self.out.error(&node.span, "bad_value", "`permissions` must be read-all, write-all or a mapping");
                    None
                }
            },
            Value::Null => Some(Permissions::Scopes(IndexMap::new())),
            _ => {
                let mut scopes = IndexMap::new();
                for (key, value) in self.mapping(node, "`permissions`")? {
                    if !PERMISSIONS.iter().any(|(name, _)| *name == key.name) {
                        let names: Vec<&str> = PERMISSIONS.iter().map(|(name, _)| *name).collect();
                        self.unknown_key(key, "`permissions`", &names);
                        continue;
                    }
                    let level = match value.scalar_text().as_deref() {
                        Some("read") => Level::Read,
                        Some("write") => Level::Write,
                        Some("none") => Level::None,
                        _ => {
                            self.out.error(&value.span, "bad_value", "a permission is read, write or none");
                            continue;
                        }
                    };
                    if !matches!(key.name.as_str(), "contents" | "packages" | "deployments") && level > Level::None {
                        let message =
                            format!("`{}` gives the job nothing here; its token reaches contents, packages and deployments", key.name);
                        self.out.warning(&key.span, "permission_without_effect", message);
                    }
                    scopes.insert(key.name.clone(), level);
                }
                Some(Permissions::Scopes(scopes))
            }
        }
    }

    pub(super) fn concurrency(&mut self, node: &Node, scope: Scope) -> Option<Concurrency> {
        if !matches!(node.value, Value::Map(_)) {
            let group = self.non_empty(node, "concurrency", scope)?;
            return Some(Concurrency { group, cancel_in_progress: Late::Known(false), queue: false });
        }
        let (mut group, mut cancel, mut queue) = (None, Late::Known(false), false);
        for (key, value) in self.mapping(node, "`concurrency`")? {
            match key.name.as_str() {
                "group" => group = self.non_empty(value, "group", scope),
                "cancel-in-progress" => cancel = self.late_bool(value, "cancel-in-progress", scope)?,
                "queue" => queue = value.scalar_text().as_deref() == Some("max"),
                _ => self.unknown_key(key, "`concurrency`", &["group", "cancel-in-progress", "queue"]),
            }
        }
        let Some(group) = group else {
            self.out.error(&node.span, "missing_key", "Required property is missing: group");
            return None;
        };
        Some(Concurrency { group, cancel_in_progress: cancel, queue })
    }

    pub(super) fn container(&mut self, node: &Node, what: &str) -> Option<Container> {
        let span = Some(node.span.clone());
        if !matches!(node.value, Value::Map(_)) {
            // an empty image means none
            let image = self.text(node, what, scope::JOB).filter(|t| !t.trim().is_empty())?;
            return Some(Container { image, span, ..Container::default() });
        }
        let mut c = Container { span, ..Container::default() };
        let known = ["image", "env", "ports", "volumes", "options", "credentials"];
        for (key, value) in self.mapping(node, what)? {
            match key.name.as_str() {
                "image" => c.image = self.text(value, "image", scope::JOB).unwrap_or_default(),
                "env" => c.env = self.env(value, "env", scope::CONTAINER_ENV),
                "ports" => c.ports = self.texts(value, "ports", Some(scope::JOB)),
                "volumes" => c.volumes = self.texts(value, "volumes", Some(scope::JOB)),
                "options" => c.options = self.text(value, "options", scope::JOB).filter(|t| !t.trim().is_empty()),
                "credentials" => c.credentials = self.credentials(value),
                "command" | "entrypoint" => {
                    self.out.error(
                        &key.span,
                        "unsupported_key",
                        format!("`{}` of a container is not supported; use an image that starts what is needed", key.name),
                    );
                }
                _ => self.unknown_key(key, what, &known),
            }
        }
        if node.get("image").is_none() {
            self.out.error(&node.span, "missing_key", "Container image cannot be empty");
            return None;
        }
        Some(c)
    }

    fn credentials(&mut self, node: &Node) -> Option<Credentials> {
        let (mut username, mut password) = (None, None);
        for (key, value) in self.mapping(node, "`credentials`")? {
            match key.name.as_str() {
                "username" => username = self.non_empty(value, "username", scope::CREDENTIALS),
                "password" => password = self.non_empty(value, "password", scope::CREDENTIALS),
                _ => self.unknown_key(key, "`credentials`", &["username", "password"]),
            }
        }
        match (username, password) {
            (Some(username), Some(password)) => Some(Credentials { username, password }),
            _ => {
                self.out.warning(&node.span, "missing_key", "`credentials` without both username and password are not used");
                None
            }
        }
    }

    /// `if`: with or without `${{ }}`. Text around an expression makes it always true, which is said.
    pub(super) fn condition(&mut self, node: &Node, scope: Scope) -> Option<String> {
        let text = self.scalar(node, "if")?;
        let trimmed = text.trim();
        let pieces = match expr::split(trimmed) {
            Ok(pieces) => pieces,
            Err(e) => {
                self.out.error(&node.span, "expression", e.0);
                return None;
            }
        };
        let condition = match pieces.as_slice() {
            [] => return None,
            [Piece::Text(t)] => (*t).to_owned(),
            [Piece::Expr { text, .. }] => (*text).to_owned(),
            mixed => {
                self.out.warning(
                    &node.span,
                    "always_true_condition",
                    "text around `${{ }}` makes this `if` a text, and a text is always true; put the whole condition into one `${{ }}`, or leave the braces out",
                );
                let mut pattern = String::new();
                let mut args = String::new();
                let mut n = 0;
                for piece in mixed {
                    match piece {
                        Piece::Text(t) => pattern.push_str(&t.replace('{', "{{").replace('}', "}}").replace('\'', "''")),
                        Piece::Expr { text, .. } => {
                            pattern.push_str(&format!("{{{n}}}"));
                            args.push_str(&format!(", {text}"));
                            n += 1;
                        }
                    }
                }
                format!("format('{pattern}'{args})")
            }
        };
        self.check_expression(&condition, &node.span, scope)?;
        Some(condition)
    }
}
