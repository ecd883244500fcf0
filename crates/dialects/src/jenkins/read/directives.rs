//! The directives of a pipeline and its stages.

use super::*;

impl Reader<'_> {
    pub(super) fn post(&mut self, stmt: &Stmt) -> Vec<PostCondition> {
        let Some((_, _, body)) = stmt.block_call() else {
            self.error(stmt.at, "syntax", "Expected a block");
            return Vec::new();
        };
        let mut out = Vec::new();
        for stmt in &body.body {
            let Some((name, call, body)) = stmt.block_call() else {
                let known = tables::POST_CONDITIONS.join(", ");
                let message = format!(
                    "The \u{2018}post\u{2019} section can only contain build condition names with code blocks. Valid condition names are [{known}]"
                );
                self.error(stmt.at, "syntax", message);
                continue;
            };
            let at = call.args.last().map_or(stmt.at, |a| a.at);
            out.push(PostCondition { condition: name.to_owned(), branch: self.branch("default", body, at), at: stmt.at });
        }
        out
    }

    pub(super) fn environment(&mut self, stmt: &Stmt) -> Option<Vec<EnvVar>> {
        let body = self.block(stmt, "environment")?;
        let mut out: Vec<EnvVar> = Vec::new();
        let mut wrong = false;
        for entry in &body.body {
            let StmtKind::Expr(Expr { kind: ExprKind::Assign("", key, right), .. }) = &entry.kind else {
                wrong = true;
                if let StmtKind::Expr(expr) = &entry.kind {
                    let text = self.source.of(expr.at);
                    let message = match text.split_once('=') {
                        Some((key, _)) => bad_identifier(key.trim()),
                        None => format!(
                            "\"{text}\" is not a valid environment expression. Use \"key = value\" pairs with valid Java/shell keys."
                        ),
                    };
                    self.error(expr.at, "environment", message);
                }
                continue;
            };
            let name = self.constant_text(key);
            if out.iter().any(|v| v.name == name) {
                self.error(key.at, "duplicate", format!("Duplicate environment variable name: \"{name}\""));
                continue;
            }
            let value = match &right.kind {
                ExprKind::Call(call) if call.plain_name() == Some("credentials") => {
                    let mut args = Vec::new();
                    for arg in &call.args {
                        if is_text(arg) {
                            args.push(self.value(arg));
                        } else {
                            self.error(arg.at, "type", "Internal function call parameters must be strings.");
                        }
                    }
                    EnvValue::Credentials(args)
                }
                ExprKind::Call(_) => EnvValue::Value(self.value(right)),
                ExprKind::Binary("+", ..) => match self.concatenated(right) {
                    Some(value) => EnvValue::Value(value),
                    None => continue,
                },
                ExprKind::Binary(..) => {
                    self.error(right.at, "environment", "Environment variable values can only be joined together with \u{2018}+\u{2019}s.");
                    continue;
                }
                _ if is_text(right) => EnvValue::Value(self.value(right)),
                _ => {
                    let message = "Environment variable values must either be single quoted, double quoted, or function calls.";
                    self.error(right.at, "environment", message);
                    continue;
                }
            };
            out.push(EnvVar { name, value, expr: (**right).clone(), at: key.at });
        }
        if wrong {
            self.error(stmt.at, "environment", "Expected name=value pairs");
        }
        Some(out)
    }

    /// `'a' + "b"` as one value.
    pub(super) fn concatenated(&mut self, expr: &Expr) -> Option<Value> {
        let mut operands = Vec::new();
        let mut open = vec![expr];
        while let Some(next) = open.pop() {
            match &next.kind {
                ExprKind::Binary("+", left, right) => {
                    operands.push(&**right);
                    open.push(left);
                }
                ExprKind::Binary(..) => {
                    self.error(next.at, "environment", "Environment variable values can only be joined together with \u{2018}+\u{2019}s.");
                    return None;
                }
                _ => operands.push(next),
            }
        }
        let mut text = String::new();
        let mut literal = true;
        for operand in operands.into_iter().rev() {
            if !is_text(operand) {
                self.error(
                    operand.at,
                    "environment",
                    "Environment variable values to be concatenated together must be single or double quoted.",
                );
                continue;
            }
            let value = self.value(operand);
            let part = value.value.as_str().map_or_else(|| value.value.to_string(), str::to_owned);
            text.push_str(if value.literal { &part } else { unquoted(&part) });
            literal &= value.literal;
        }
        Some(Value { literal, value: text.into(), expr: expr.clone() })
    }

    pub(super) fn tools(&mut self, stmt: &Stmt) -> Option<Vec<(String, Value)>> {
        let body = self.block(stmt, "tools")?;
        let mut out = Vec::new();
        for stmt in &body.body {
            let Some((name, call)) = self.named(stmt, "Expected to find \u{2018}someTool \"someVersion\"\u{2019}") else { continue };
            match call.args.as_slice() {
                [] => self.error(stmt.at, "arguments", format!("No argument for tool \"{name}\"")),
                [one] => out.push((name.to_owned(), self.value(one))),
                _ => self.error(stmt.at, "arguments", format!("Too many arguments for tool \"{name}\"")),
            }
        }
        Some(out)
    }

    pub(super) fn libraries(&mut self, stmt: &Stmt) -> Option<Vec<Value>> {
        let body = self.block(stmt, "libraries")?;
        let mut out = Vec::new();
        for stmt in &body.body {
            let text = self.source.of(stmt.at);
            match stmt.call().filter(|c| c.plain_name() == Some("lib")).map(|c| c.args.as_slice()) {
                Some([one]) if !matches!(one.kind, ExprKind::Closure(_) | ExprKind::Map(_) | ExprKind::Call(_)) => {
                    out.push(self.value(one));
                }
                Some([.., Expr { kind: ExprKind::Closure(_), .. }]) => {
                    self.error(stmt.at, "arguments", "Libraries definitions cannot have blocks");
                }
                _ => self.error(stmt.at, "arguments", format!("Expected a \"lib(...)\" but got {text}")),
            }
        }
        Some(out)
    }

    /// Options, parameters, triggers.
    pub(super) fn calls(&mut self, stmt: &Stmt, section: &str, plural: &str, expected: &str) -> Option<Vec<MethodCall>> {
        let body = self.block(stmt, section)?;
        let mut out = Vec::new();
        for stmt in &body.body {
            let is_map = matches!(&stmt.kind, StmtKind::Expr(Expr { kind: ExprKind::Map(_), .. }));
            let otherwise = if is_map { format!("{plural} cannot be defined as maps") } else { expected.to_owned() };
            if self.named(stmt, &otherwise).is_none() {
                continue;
            }
            if stmt.block_call().is_some() {
                self.error(stmt.at, "arguments", format!("{plural} definitions cannot have blocks"));
            } else if let Some(call) = stmt.call() {
                out.push(self.method_call(call, stmt.at));
            }
        }
        Some(out)
    }

    pub(super) fn method_call(&mut self, call: &Call, at: At) -> MethodCall {
        let name = match call.plain_name() {
            Some(name) => name.to_owned(),
            None => {
                self.error(at, "syntax", "Method calls on objects not allowed outside \"script\" blocks.");
                "error".into()
            }
        };
        let mut args = Vec::new();
        for arg in &call.args {
            match &arg.kind {
                ExprKind::Map(entries) => {
                    for entry in entries {
                        let key = self.constant_text(&entry.key);
                        if let Some(value) = self.method_arg(&entry.value) {
                            args.push(Arg::Pair(key, Box::new(value)));
                        }
                    }
                }
                _ => args.extend(self.method_arg(arg)),
            }
        }
        MethodCall { name, args, at }
    }

    pub(super) fn method_arg(&mut self, expr: &Expr) -> Option<Arg> {
        match &expr.kind {
            ExprKind::Closure(_) => {
                self.error(expr.at, "arguments", "Method call arguments cannot be closures");
                None
            }
            ExprKind::Call(call) => Some(Arg::Call(self.method_call(call, expr.at))),
            _ => Some(Arg::Value(self.value(expr))),
        }
    }

    pub(super) fn settings(&mut self, body: &Closure) -> Vec<(String, Setting)> {
        let mut out = Vec::new();
        for stmt in &body.body {
            let Some((name, call)) = self.named(stmt, "Expected to find \u{2018}someKey \"someValue\"\u{2019}") else { continue };
            let setting = match call.args.as_slice() {
                [] => {
                    self.error(stmt.at, "arguments", format!("No argument for map key \"{name}\""));
                    continue;
                }
                [Expr { kind: ExprKind::Closure(inner), .. }] => Setting::Map(self.settings(inner)),
                [one] => Setting::Value(self.value(one)),
                _ => {
                    self.error(stmt.at, "arguments", format!("Too many arguments for map key \"{name}\""));
                    continue;
                }
            };
            out.push((name.to_owned(), setting));
        }
        out
    }

    pub(super) fn agent(&mut self, stmt: &Stmt) -> Option<Agent> {
        let only = "Only \"agent none\", \"agent any\" or \"agent {...}\" are allowed.";
        let Some((_, _, body)) = stmt.block_call() else {
            let Some(call) = stmt.call() else {
                self.error(stmt.at, "agent", "Expected an agent");
                return None;
            };
            match call.args.as_slice() {
                [] => self.error(stmt.at, "agent", "No argument for agent"),
                [one] => match constant(one) {
                    Some(kind @ ("any" | "none")) => return Some(Agent { kind: kind.to_owned(), setting: None, at: stmt.at }),
                    _ => self.error(stmt.at, "agent", only),
                },
                _ => self.error(stmt.at, "agent", only),
            }
            return None;
        };
        match body.body.as_slice() {
            [] => {
                let known: Vec<&str> = tables::AGENTS.iter().map(|(kind, ..)| *kind).collect();
                self.error(stmt.at, "agent", format!("No agent type specified. Must be one of [{}]", known.join(", ")));
            }
            [one] => {
                let (name, _) = self.named(one, "Expected an agent")?;
                let setting = self.settings(body).into_iter().next().map(|(_, setting)| setting);
                let kind = if name == "label" && matches!(setting, Some(Setting::Map(_))) { "node" } else { name };
                return Some(Agent { kind: kind.to_owned(), setting, at: stmt.at });
            }
            _ => self.error(stmt.at, "agent", "Only one agent type is allowed per agent section"),
        }
        None
    }

    pub(super) fn when(&mut self, stmt: &Stmt) -> Option<When> {
        let body = self.block(stmt, "when")?;
        let mut when = When::default();
        let mut seen = HashSet::new();
        for stmt in &body.body {
            let Some((name, call)) = self.named(stmt, "Expected a when condition") else { continue };
            if matches!(name, "beforeAgent" | "beforeInput" | "beforeOptions") {
                self.once(&mut seen, name, stmt);
            }
            match name {
                "beforeAgent" => when.before_agent = self.boolean(call, stmt),
                "beforeInput" => when.before_input = self.boolean(call, stmt),
                "beforeOptions" => when.before_options = self.boolean(call, stmt),
                _ => when.conditions.extend(self.condition(stmt)),
            }
        }
        Some(when)
    }

    pub(super) fn condition(&mut self, stmt: &Stmt) -> Option<Condition> {
        let (name, call) = self.named(stmt, "Expected a when condition")?;
        let mut condition = Condition { name: name.to_owned(), args: None, children: Vec::new(), code: Vec::new(), at: stmt.at };
        if name == "expression" {
            match (call.block(), call.args.last()) {
                (Some(body), Some(last)) => {
                    condition.args = Some(Args::Named(vec![("scriptBlock".into(), self.code(body, last))]));
                    condition.code = body.body.clone();
                }
                _ => self.error(stmt.at, "syntax", "When step without a block"),
            }
        } else if let Some(body) = call.block() {
            let args = &call.args[..call.args.len() - 1];
            condition.args = (!args.is_empty()).then(|| self.args(args));
            condition.children = body.body.iter().filter_map(|s| self.condition(s)).collect();
        } else {
            condition.args = Some(self.args(&call.args));
        }
        Some(condition)
    }

    pub(super) fn input(&mut self, stmt: &Stmt) -> Option<Input> {
        let body = self.block(stmt, "input")?;
        let mut input = Input::default();
        let mut seen = HashSet::new();
        for stmt in &body.body {
            let invalid = self.invalid("section", stmt);
            let Some((name, call)) = self.named(stmt, &invalid) else { continue };
            self.once(&mut seen, name, stmt);
            match call.args.as_slice() {
                [] => self.error(stmt.at, "arguments", format!("No argument for field \"{name}\"")),
                [one] => {
                    let known = ["message", "id", "ok", "submitter", "submitterParameter"].into_iter().find(|k| *k == name);
                    match (known, name) {
                        (Some(key), _) => {
                            let value = self.value(one);
                            input.fields.push((key, value));
                        }
                        (None, "parameters") => {
                            let found = self.calls(stmt, "parameters", "Build parameters", "Expected a build parameter definition");
                            input.parameters.extend(found.unwrap_or_default());
                        }
                        _ => self.error(stmt.at, "arguments", format!("Not a valid field for input: \"{name}\"")),
                    }
                }
                _ => self.error(stmt.at, "arguments", format!("Too many arguments for field \"{name}\"")),
            }
        }
        Some(input)
    }

    pub(super) fn matrix(&mut self, stmt: &Stmt) -> Matrix {
        let mut matrix = Matrix::default();
        let Some(body) = self.block(stmt, "matrix") else { return matrix };
        let mut seen = HashSet::new();
        for stmt in &body.body {
            let invalid = self.invalid("section", stmt);
            let Some((name, _)) = self.named(stmt, &invalid) else { continue };
            self.once(&mut seen, name, stmt);
            if self.base(&mut matrix.base, name, stmt) {
                continue;
            }
            match name {
                "axes" => matrix.axes = self.block(stmt, "axes").map(|b| b.body.iter().filter_map(|s| self.axis(s, false)).collect()),
                "excludes" => {
                    matrix.excludes = self.block(stmt, "excludes").map(|b| {
                        let axes = |r: &mut Self, s| r.block(s, "exclude").map(|b| b.body.iter().filter_map(|s| r.axis(s, true)).collect());
                        b.body.iter().filter_map(|s| axes(self, s)).collect()
                    });
                }
                "stages" => matrix.stages = Some(self.stages(stmt, "stages")),
                _ => self.error(stmt.at, "unknown_section", format!("Undefined section \"{name}\"")),
            }
        }
        matrix
    }

    pub(super) fn axis(&mut self, stmt: &Stmt, exclude: bool) -> Option<Axis> {
        let body = self.block(stmt, "axis")?;
        let mut axis = Axis { name: None, values: Vec::new(), inverse: false, at: stmt.at };
        let mut seen = HashSet::new();
        for stmt in &body.body {
            let invalid = self.invalid("section", stmt);
            let Some((name, call)) = self.named(stmt, &invalid) else { continue };
            self.once(&mut seen, name, stmt);
            match name {
                "name" => match call.args.as_slice() {
                    [] => self.error(stmt.at, "arguments", "No argument for field \"name\""),
                    [one] => axis.name = Some(self.constant_text(one)),
                    _ => self.error(stmt.at, "arguments", "Too many arguments for field \"name\""),
                },
                "values" | "notValues" if name == "values" || exclude => {
                    if seen.contains("values") && seen.contains("notValues") {
                        self.error(stmt.at, "arguments", "Only one of \"values\" or \"notValues\" allowed for an exclude axis");
                    }
                    axis.inverse |= name == "notValues";
                    axis.values.extend(self.method_call(call, stmt.at).args);
                }
                _ => self.error(stmt.at, "unknown_section", format!("Undefined section \"{name}\"")),
            }
        }
        Some(axis)
    }
}
