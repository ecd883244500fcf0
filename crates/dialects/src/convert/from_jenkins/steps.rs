//! The steps of a stage, with what surrounds them.

use super::*;

impl Reader<'_> {
    /// Statements as steps.
    pub(super) fn body(&mut self, body: &[Stmt], inside: &Inside, out: &mut Vec<Step>) {
        for stmt in body {
            match &stmt.kind {
                StmtKind::Expr(Expr { kind: ExprKind::Call(call), .. }) if call.plain_name().is_some() => {
                    self.step(stmt, call, inside, out);
                }
                StmtKind::If(test, yes, no) if conditions::groovy(test).is_some() => {
                    let cond = conditions::groovy(test).unwrap_or(Cond::True);
                    let with = |cond: Cond| Inside {
                        when: When { cond: inside.when.cond.clone().and(cond), ..inside.when.clone() },
                        ..inside.clone()
                    };
                    self.body(yes, &with(cond.clone()), out);
                    self.body(no, &with(cond.not()), out);
                }
                _ => {
                    let text = self.source.of(stmt.at);
                    self.groovy(stmt, &text, inside, out);
                }
            }
        }
    }

    /// Code that no shell runs: a step that fails.
    pub(super) fn groovy(&mut self, stmt: &Stmt, text: &str, inside: &Inside, out: &mut Vec<Step>) {
        let first = text.lines().next().unwrap_or_default();
        self.lost(stmt.at.start, "groovy", format!("`{first}` is code for Jenkins: the step fails until it is written by hand"));
        self.push(stmt, Does::Groovy(text.to_owned()), inside, out);
    }

    pub(super) fn push(&mut self, stmt: &Stmt, does: Does, inside: &Inside, out: &mut Vec<Step>) {
        let mut step = Step::new(&self.source.span(stmt.at.start), does);
        step.env.clone_from(&inside.env);
        step.timeout = inside.timeout;
        step.may_fail = inside.may_fail;
        step.when = inside.when.clone();
        if let Does::Script { dir, .. } = &mut step.does {
            dir.clone_from(&inside.dir);
        }
        out.push(step);
    }

    pub(super) fn step(&mut self, stmt: &Stmt, call: &Call, inside: &Inside, out: &mut Vec<Step>) {
        let (name, at) = (call.plain_name().unwrap_or_default(), stmt.at.start);
        let block = call.block().map(|b| b.body.as_slice()).unwrap_or_default();
        let arg = |wanted: &str| argument(call, wanted);
        let text_of = |wanted: &str| arg(wanted).and_then(constant);
        let patterns = |text: String| text.split(',').map(|p| p.trim().to_owned()).filter(|p| !p.is_empty()).collect::<Vec<_>>();
        match name {
            "sh" => {
                if arg("returnStdout").is_some() || arg("returnStatus").is_some() {
                    self.differs(at, "groovy", "what the script gives back is not used there");
                }
                let Some(script) = arg("script") else { return };
                let text = self.text(script);
                self.push(stmt, Does::Script { text, shell: Some("sh".into()), dir: None }, inside, out);
                if let (Some(label), Some(step)) = (text_of("label"), out.last_mut()) {
                    step.name = Some(label);
                }
            }
            "echo" | "println" | "print" | "error" => {
                let message = arg("message").map(|e| self.text(e)).unwrap_or_default();
                let mut pieces = vec![Piece::Lit("echo \"".into())];
                pieces.extend(message.0.into_iter().map(|p| match p {
                    Piece::Lit(text) => Piece::Lit(text.replace('\\', "\\\\").replace(['"', '`'], "'").replace('$', "\\$")),
                    other => other,
                }));
                pieces.push(Piece::Lit(if name == "error" { "\" >&2; exit 1".into() } else { "\"".into() }));
                self.push(stmt, Does::Script { text: Text(pieces), shell: Some("sh".into()), dir: None }, inside, out);
            }
            "sleep" => {
                let time = arg("time").and_then(constant).unwrap_or_else(|| "1".into());
                self.push(
                    stmt,
                    Does::Script { text: Text::lit(format!("sleep {time}")), shell: Some("sh".into()), dir: None },
                    inside,
                    out,
                );
            }
            "checkout" => self.push(stmt, Does::Checkout, inside, out),
            "script" | "timestamps" | "ansiColor" | "node" => self.body(block, inside, out),
            "dir" => {
                let path = arg("path").map(|e| self.text(e)).unwrap_or_default();
                let dir = match &inside.dir {
                    Some(outer) => Text([outer.0.clone(), vec![Piece::Lit("/".into())], path.0].concat()),
                    None => path,
                };
                self.body(block, &Inside { dir: Some(dir), ..inside.clone() }, out);
            }
            "withEnv" => {
                let mut inner = inside.clone();
                if let Some(Expr { kind: ExprKind::List(items), .. }) = call.args.first() {
                    for item in items {
                        let mut text = self.text(item);
                        let Some(Piece::Lit(first)) = text.0.first_mut() else { continue };
                        if let Some((name, value)) = first.clone().split_once('=') {
                            *first = value.to_owned();
                            inner.env.insert(name.to_owned(), text);
                        }
                    }
                }
                self.body(block, &inner, out);
            }
            "withCredentials" => {
                let mut inner = inside.clone();
                if let Some(Expr { kind: ExprKind::List(items), .. }) = call.args.first() {
                    for item in items {
                        self.binding(item, &mut inner);
                    }
                }
                self.body(block, &inner, out);
            }
            "timeout" => {
                let time = arg("time").and_then(constant).and_then(|t| t.parse().ok()).unwrap_or(0.0);
                let unit = text_of("unit").unwrap_or_else(|| "MINUTES".into());
                self.body(block, &Inside { timeout: Some(minutes(time, &unit)), ..inside.clone() }, out);
            }
            "retry" => {
                self.lost(at, "retry", "steps cannot be tried again by themselves there; a job can");
                self.body(block, inside, out);
            }
            "catchError" | "warnError" => self.body(block, &Inside { may_fail: true, ..inside.clone() }, out),
            "archiveArtifacts" | "archive" => {
                let paths = text_of("artifacts").or_else(|| text_of("includes")).map(patterns).unwrap_or_default();
                let exclude = text_of("excludes").map(patterns).unwrap_or_default();
                let name = format!("files-{}", out.len());
                self.push(stmt, Does::Upload { name: Text::lit(name), paths, exclude }, inside, out);
            }
            "stash" => {
                let name = text_of("name").unwrap_or_else(|| "stash".into());
                let paths = text_of("includes").map_or_else(|| vec!["**".into()], patterns);
                let exclude = text_of("excludes").map(patterns).unwrap_or_default();
                self.push(stmt, Does::Upload { name: Text::lit(name), paths, exclude }, inside, out);
            }
            "unstash" => {
                let name = text_of("name").map(Text::lit);
                self.push(stmt, Does::Download { name, path: None }, inside, out);
            }
            "junit" => {
                let files = text_of("testResults").map(patterns).unwrap_or_default();
                self.differs(at, "unstable", "failed tests make a build of Jenkins unstable; there they are shown and change nothing");
                self.push(stmt, Does::Report(vec![("junit".into(), files)]), inside, out);
            }
            "build" => {
                let mut start = Start { project: arg("job").map(|e| self.text(e)), wait: true, ..Start::default() };
                start.wait = !matches!(argument(call, "wait").map(|e| &e.kind), Some(ExprKind::Bool(false)));
                if let Some(Expr { kind: ExprKind::List(items), .. }) = argument(call, "parameters") {
                    for item in items {
                        let ExprKind::Call(parameter) = &item.kind else { continue };
                        if let (Some(name), Some(value)) = (argument(parameter, "name").and_then(constant), argument(parameter, "value")) {
                            let value = self.text(value);
                            start.given.insert(name, value);
                        }
                    }
                }
                self.push(stmt, Does::Start(start), inside, out);
            }
            "cleanWs" | "deleteDir" => {
                self.differs(at, "workspace", format!("`{name}` is not needed: a job begins with an empty directory there"));
            }
            _ => {
                let text = self.source.of(stmt.at);
                self.groovy(stmt, &text, inside, out);
            }
        }
    }

    pub(super) fn binding(&mut self, item: &Expr, inner: &mut Inside) {
        let ExprKind::Call(call) = &item.kind else { return };
        let get = |name: &str| argument(call, name).and_then(constant);
        let id = get("credentialsId").unwrap_or_default();
        let at = item.at.start;
        match call.plain_name().unwrap_or_default() {
            "string" => {
                if let Some(variable) = get("variable") {
                    let piece = self.credential(&id, at);
                    inner.env.insert(variable, Text(vec![piece]));
                }
            }
            "usernamePassword" => {
                for (field, suffix) in [("usernameVariable", "USR"), ("passwordVariable", "PSW")] {
                    if let Some(variable) = get(field) {
                        let piece = self.credential(&format!("{id}_{suffix}"), at);
                        inner.env.insert(variable, Text(vec![piece]));
                    }
                }
            }
            other => self.lost(at, "credentials", format!("credentials of the kind `{other}` cannot be said there")),
        }
    }
}

/// A named argument, or the only one.
fn argument<'c>(call: &'c Call, name: &str) -> Option<&'c Expr> {
    let first = call.args.iter().find(|a| !matches!(a.kind, ExprKind::Closure(_)))?;
    match &first.kind {
        ExprKind::Map(entries) => entries.iter().find(|e| matches!(&e.key.kind, ExprKind::Str(k) if k == name)).map(|e| &e.value),
        _ => (!matches!(
            name,
            "returnStdout"
                | "returnStatus"
                | "label"
                | "unit"
                | "excludes"
                | "allowEmpty"
                | "credentialsId"
                | "variable"
                | "wait"
                | "parameters"
                | "value"
        ))
        .then_some(first),
    }
}

pub(super) fn constant(expr: &Expr) -> Option<String> {
    match &expr.kind {
        ExprKind::Str(text) => Some(text.clone()),
        ExprKind::Int(n) => Some(n.to_string()),
        ExprKind::Decimal(n) => Some(n.to_string()),
        _ => None,
    }
}
