//! From the syntax tree to the declarative model, with the messages Jenkins gives.

mod directives;

use std::collections::HashSet;

use serde_json::Value as Json;

use super::ast::{At, Call, Closure, Entry, Expr, ExprKind, Stmt, StmtKind};
use super::model::{
    Agent, Arg, Args, Axis, Branch, Condition, EnvValue, EnvVar, Input, Matrix, MethodCall, Pipeline, PostCondition, Setting, Stage,
    StageBase, Step, Value, When,
};
use super::source::Source;
use super::tables;
use crate::diagnostic::Diagnostics;

/// Reads statements into the model.
pub(super) struct Reader<'a> {
    pub(super) source: &'a Source,
    pub(super) out: &'a mut Diagnostics,
}

/// Only constant words may be names.
fn constant(expr: &Expr) -> Option<&str> {
    match &expr.kind {
        ExprKind::Str(text) | ExprKind::Name(text) => Some(text),
        _ => None,
    }
}

impl Reader<'_> {
    pub(super) fn error(&mut self, at: At, code: &str, message: impl Into<String>) {
        let span = self.source.span(at.start);
        self.out.error(&span, code, message);
    }

    /// A call by its name; a call on an object is told.
    fn named<'s>(&mut self, stmt: &'s Stmt, otherwise: &str) -> Option<(&'s str, &'s Call)> {
        let Some(call) = stmt.call() else {
            self.error(stmt.at, "syntax", otherwise);
            return None;
        };
        match call.plain_name() {
            Some(name) => Some((name, call)),
            None => {
                let on_variable = matches!(call.receiver.as_ref().map(|r| &r.kind), Some(ExprKind::Name(_)));
                let message =
                    if on_variable { "Method calls on objects not allowed outside \"script\" blocks." } else { "Expected a symbol" };
                self.error(stmt.at, "syntax", message);
                None
            }
        }
    }

    fn invalid(&self, what: &str, stmt: &Stmt) -> String {
        format!("Not a valid {what} definition: \"{}\". Some extra configuration is required.", self.source.of(stmt.at))
    }

    fn block<'s>(&mut self, stmt: &'s Stmt, name: &str) -> Option<&'s Closure> {
        let found = stmt.block_call().map(|(_, _, body)| body);
        if found.is_none() {
            self.error(stmt.at, "syntax", format!("Expected a block for {name}"));
        }
        found
    }

    fn once(&mut self, seen: &mut HashSet<String>, name: &str, stmt: &Stmt) {
        if !seen.insert(name.to_owned()) {
            self.error(stmt.at, "duplicate", format!("Multiple occurrences of the {name} section"));
        }
    }

    pub(super) fn pipeline(&mut self, stmt: &Stmt) -> Option<Pipeline> {
        let Some((_, _, body)) = stmt.block_call() else {
            self.error(stmt.at, "syntax", "Expected a block with the \"pipeline\" step");
            return None;
        };
        let mut pipeline = Pipeline { at: stmt.at, ..Pipeline::default() };
        let mut seen = HashSet::new();
        for stmt in &body.body {
            let invalid = self.invalid("section", stmt);
            let Some((name, _)) = self.named(stmt, &invalid) else { continue };
            self.once(&mut seen, name, stmt);
            match name {
                "stages" => pipeline.stages = Some(self.stages(stmt, "stages")),
                "environment" => pipeline.base.environment = self.environment(stmt),
                "post" => pipeline.base.post = Some(self.post(stmt)),
                "agent" => pipeline.base.agent = self.agent(stmt),
                "tools" => pipeline.base.tools = self.tools(stmt),
                "options" => pipeline.base.options = self.calls(stmt, "options", "Options", "Expected an option"),
                "parameters" => {
                    pipeline.parameters = self.calls(stmt, "parameters", "Build parameters", "Expected a build parameter definition");
                }
                "triggers" => pipeline.triggers = self.calls(stmt, "triggers", "Triggers", "Expected a trigger"),
                "libraries" => pipeline.libraries = self.libraries(stmt),
                "properties" | "jobProperties" => {
                    let since = if name == "properties" { "0.8" } else { "0.7" };
                    let message = format!(
                        "The \u{2018}{name}\u{2019} section has been renamed as of version {since}. Use \u{2018}options\u{2019} instead."
                    );
                    self.error(stmt.at, "renamed", message);
                }
                "wrappers" => {
                    self.error(stmt.at, "renamed", "The 'wrappers' section has been removed as of version 0.8. Use 'options' instead.");
                }
                "notifications" | "postBuild" => {
                    let what = if name == "postBuild" { "renamed" } else { "removed" };
                    let message = format!(
                        "The \u{2018}{name}\u{2019} section has been {what} as of version 0.6. Use \u{2018}post\u{2019} for all post-build actions."
                    );
                    self.error(stmt.at, "renamed", message);
                }
                _ => self.error(stmt.at, "unknown_section", format!("Undefined section \"{name}\"")),
            }
        }
        if !seen.contains("agent") {
            self.error(pipeline.at, "missing", "Missing required section \"agent\"");
        }
        Some(pipeline)
    }

    fn stages(&mut self, stmt: &Stmt, name: &str) -> Vec<Stage> {
        let Some(body) = self.block(stmt, name) else { return Vec::new() };
        body.body.iter().filter_map(|s| self.stage(s)).collect()
    }

    fn stage(&mut self, stmt: &Stmt) -> Option<Stage> {
        let Some(("stage", call, body)) = stmt.block_call() else {
            let bare = stmt.call().is_some_and(|c| c.plain_name() == Some("stage"));
            self.error(stmt.at, "syntax", if bare { "Stage does not have a block" } else { "Expected a stage" });
            return None;
        };
        let mut stage = Stage { at: stmt.at, ..Stage::default() };
        if call.args.len() < 2 {
            self.error(stmt.at, "syntax", "Expected a stage name but did not find any");
            return None;
        }
        stage.name = self.constant_text(&call.args[0]);
        let mut seen = HashSet::new();
        for stmt in &body.body {
            let invalid = self.invalid("stage section", stmt);
            let Some((name, call)) = self.named(stmt, &invalid) else { continue };
            self.once(&mut seen, name, stmt);
            if self.base(&mut stage.base, name, stmt) {
                continue;
            }
            match name {
                "steps" => self.steps(&mut stage, stmt),
                "parallel" => stage.parallel = Some(self.stages(stmt, "parallel")),
                "matrix" => stage.matrix = Some(Box::new(self.matrix(stmt))),
                "failFast" => stage.fail_fast = self.boolean(call, stmt),
                "stages" => stage.stages = Some(self.stages(stmt, "stages")),
                _ => {
                    let message = format!(
                        "Unknown stage section \"{name}\". Starting with version 0.5, steps in a stage must be in a \u{2018}steps\u{2019} block."
                    );
                    self.error(stmt.at, "unknown_section", message);
                }
            }
        }
        Some(stage)
    }

    /// The sections that stages and matrices share.
    fn base(&mut self, base: &mut StageBase, name: &str, stmt: &Stmt) -> bool {
        match name {
            "agent" => base.agent = self.agent(stmt),
            "when" => base.when = self.when(stmt),
            "post" => base.post = Some(self.post(stmt)),
            "options" => base.options = self.calls(stmt, "options", "Options", "Expected an option"),
            "input" => base.input = self.input(stmt),
            "tools" => base.tools = self.tools(stmt),
            "environment" => base.environment = self.environment(stmt),
            _ => return false,
        }
        true
    }

    fn steps(&mut self, stage: &mut Stage, stmt: &Stmt) {
        let Some(body) = self.block(stmt, "steps") else { return };
        if let [only] = body.body.as_slice()
            && let Some(call) = only.call()
            && call.plain_name() == Some("parallel")
        {
            let entries = match call.args.as_slice() {
                [Expr { kind: ExprKind::Map(entries), .. }] => entries.as_slice(),
                _ => &[],
            };
            for Entry { key, value } in entries {
                if constant(key) == Some("failFast") {
                    match value.kind {
                        ExprKind::Bool(b) => stage.fail_fast = Some(b),
                        _ => self.error(key.at, "type", "Expected a boolean with failFast"),
                    }
                } else if let ExprKind::Closure(closure) = &value.kind {
                    let name = self.constant_text(key);
                    stage.branches.push(self.branch(&name, closure, value.at));
                } else {
                    self.error(key.at, "type", "Expected closure or failFast");
                }
            }
            return;
        }
        let at = stmt.call().and_then(|c| c.args.last()).map_or(stmt.at, |a| a.at);
        stage.branches.push(self.branch("default", body, at));
    }

    fn branch(&mut self, name: &str, body: &Closure, at: At) -> Branch {
        Branch { name: name.to_owned(), steps: body.body.iter().map(|s| self.step(s)).collect(), body: body.body.clone(), at }
    }

    fn step(&mut self, stmt: &Stmt) -> Step {
        let mut step = Step { name: "error".into(), args: Args::Named(Vec::new()), children: None, at: stmt.at };
        let Some((name, call)) = self.named(stmt, "Expected a step") else { return step };
        step.name = name.to_owned();
        if matches!(name, "script" | "expression") {
            let pronoun = if name == "script" { "Script" } else { "When" };
            match (call.block(), call.args.last()) {
                (Some(body), Some(last)) => step.args = Args::Named(vec![("scriptBlock".into(), self.code(body, last))]),
                _ => self.error(stmt.at, "syntax", format!("{pronoun} step without a block")),
            }
            return step;
        }
        if let Some(body) = call.block() {
            step.args = self.args(&call.args[..call.args.len() - 1]);
            step.children = Some(body.body.iter().map(|s| self.step(s)).collect());
        } else {
            step.args = match self.args(&call.args) {
                Args::Single(value) => match tables::find(name) {
                    Some(spec) if spec.required.len() == 1 && !spec.block => Args::Named(vec![(spec.required[0].to_owned(), value)]),
                    _ => Args::Single(value),
                },
                args => args,
            };
        }
        step
    }

    /// The text of a block as a constant.
    fn code(&self, body: &Closure, whole: &Expr) -> Value {
        Value { literal: true, value: self.source.block(&body.body, whole.at).into(), expr: whole.clone() }
    }

    fn args(&mut self, args: &[Expr]) -> Args {
        match args {
            [] => Args::Named(Vec::new()),
            [Expr { kind: ExprKind::Map(entries), .. }] if !entries.iter().any(|e| constant(&e.key) == Some("$class")) => {
                let mut named: Vec<(String, Value)> = Vec::new();
                for entry in entries {
                    let key = self.constant_text(&entry.key);
                    if named.iter().any(|(k, _)| *k == key) {
                        self.error(entry.key.at, "duplicate", format!("Duplicate named parameter '{key}' found"));
                    }
                    named.push((key, self.value(&entry.value)));
                }
                Args::Named(named)
            }
            [one] => Args::Single(self.value(one)),
            many => Args::Positional(many.iter().map(|a| self.value(a)).collect()),
        }
    }

    pub(super) fn value(&mut self, expr: &Expr) -> Value {
        let literal = |value: Json| Value { literal: true, value, expr: expr.clone() };
        let code = |text: String| Value { literal: false, value: text.into(), expr: expr.clone() };
        match &expr.kind {
            ExprKind::Null => literal(Json::Null),
            ExprKind::Bool(b) => literal((*b).into()),
            ExprKind::Int(n) => literal((*n).into()),
            // as Jenkins writes numbers: without a fraction that is zero
            #[expect(clippy::cast_possible_truncation, reason = "bounded just before")]
            ExprKind::Decimal(n) if n.fract() == 0.0 && n.abs() < 1e15 => literal((*n as i64).into()),
            ExprKind::Decimal(n) => literal((*n).into()),
            ExprKind::BigInt(_) => {
                let message = "BigIntegers cannot be used as constants in Declarative. The maximum value for an integer is \
                               9,223,372,036,854,775,807 and the minimum value for an integer is -9,223,372,036,854,775,808.";
                self.error(expr.at, "type", message);
                literal((-1).into())
            }
            ExprKind::Str(text) => literal(text.clone().into()),
            ExprKind::Name(name) if matches!(name.as_str(), "any" | "none") => literal(name.clone().into()),
            ExprKind::GString(_) | ExprKind::Map(_) => code(self.source.of(expr.at)),
            _ => {
                let text = self.source.expr(expr);
                if text.starts_with("${") {
                    self.error(expr.at, "syntax", format!("{text} cannot be used as a value directly. Did you mean \"{text}\"?"));
                }
                code(format!("${{{text}}}"))
            }
        }
    }

    fn constant_text(&mut self, expr: &Expr) -> String {
        match constant(expr) {
            Some(text) => text.to_owned(),
            None => {
                self.error(expr.at, "type", "Expected string literal");
                "error".into()
            }
        }
    }

    fn boolean(&mut self, call: &Call, stmt: &Stmt) -> Option<bool> {
        match call.args.first().map(|a| &a.kind) {
            Some(ExprKind::Bool(b)) => Some(*b),
            _ => {
                let name = call.plain_name().unwrap_or_default().to_owned();
                self.error(stmt.at, "type", format!("Expected a boolean with {name}"));
                None
            }
        }
    }
}

fn is_text(expr: &Expr) -> bool {
    matches!(
        expr.kind,
        ExprKind::Str(_)
            | ExprKind::GString(_)
            | ExprKind::Int(_)
            | ExprKind::Decimal(_)
            | ExprKind::Bool(_)
            | ExprKind::Null
            | ExprKind::BigInt(_)
    )
}

/// Without pairs of quotes around it.
fn unquoted(mut text: &str) -> &str {
    loop {
        let inner = ['"', '\''].iter().find_map(|q| text.strip_prefix(*q)?.strip_suffix(*q));
        match inner {
            Some(inner) => text = inner,
            None => return text,
        }
    }
}

pub(super) fn bad_identifier(name: &str) -> String {
    format!(
        "\"{name}\" is not a valid identifier and cannot be used for an environment variable. Identifiers must start with a letter or underscore \
         and can contain only letters, numbers or underscores."
    )
}
