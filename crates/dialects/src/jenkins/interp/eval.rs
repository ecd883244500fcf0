//! Statements and expressions.

use std::sync::Arc;

use indexmap::IndexMap;

use super::super::ast::{Call, Catch, Closure, Expr, ExprKind, Method, Param, Part, Stmt, StmtKind};
use super::value::{ClosureValue, Exception, Scope, Value, lock};
use super::{Context, Eval, Frame, Interp, exception, unsupported};

/// How a statement ended.
pub(crate) enum Flow {
    /// With the value of its last expression.
    Value(Value),
    /// `return`.
    Return(Value),
    /// `break`.
    Break,
    /// `continue`.
    Continue,
}

/// Goes on, or hands what is not a value up.
macro_rules! flow {
    ($flow:expr) => {
        match $flow {
            Flow::Value(value) => value,
            other => return Ok(other),
        }
    };
}

impl Interp<'_> {
    pub(crate) fn statements(&self, body: &[Stmt], f: &Frame<'_>) -> Eval<Flow> {
        let mut last = Value::Null;
        for stmt in body {
            last = flow!(self.statement(stmt, f)?);
        }
        Ok(Flow::Value(last))
    }

    fn inner(&self, body: &[Stmt], f: &Frame<'_>) -> Eval<Flow> {
        let scope = Scope::inside(f.scope);
        self.statements(body, &Frame { scope: &scope, ctx: f.ctx })
    }

    fn statement(&self, stmt: &Stmt, f: &Frame<'_>) -> Eval<Flow> {
        let at = stmt.at.start;
        self.tick(f.ctx, at)?;
        match &stmt.kind {
            StmtKind::Expr(expr) => self.eval(expr, f).map(Flow::Value),
            StmtKind::Declare { names, ty, field, value } => {
                let value = value.as_ref().map(|v| self.eval(v, f)).transpose()?.unwrap_or(Value::Null);
                let file = f.scope.file();
                let scope = if *field { &file } else { f.scope };
                if let [name] = names.as_slice() {
                    let value = match ty {
                        Some(ty) => self.coerce(ty, value, at)?,
                        None => value,
                    };
                    scope.declare(name, value.clone());
                    return Ok(Flow::Value(value));
                }
                let items = value.items().unwrap_or_default();
                for (i, name) in names.iter().enumerate() {
                    scope.declare(name, items.get(i).cloned().unwrap_or(Value::Null));
                }
                Ok(Flow::Value(value))
            }
            StmtKind::If(condition, then, otherwise) => {
                let body = if self.eval(condition, f)?.truth() { then } else { otherwise };
                self.inner(body, f)
            }
            StmtKind::While(condition, body) => {
                while self.eval(condition, f)?.truth() {
                    self.tick(f.ctx, at)?;
                    match self.inner(body, f)? {
                        Flow::Break => break,
                        Flow::Return(value) => return Ok(Flow::Return(value)),
                        Flow::Value(_) | Flow::Continue => {}
                    }
                }
                Ok(Flow::Value(Value::Null))
            }
            StmtKind::For(init, condition, steps, body) => {
                let scope = Scope::inside(f.scope);
                let f = &Frame { scope: &scope, ctx: f.ctx };
                flow!(self.statements(init, f)?);
                while condition.as_ref().map(|c| self.eval(c, f)).transpose()?.is_none_or(|v| v.truth()) {
                    self.tick(f.ctx, at)?;
                    match self.inner(body, f)? {
                        Flow::Break => break,
                        Flow::Return(value) => return Ok(Flow::Return(value)),
                        Flow::Value(_) | Flow::Continue => {}
                    }
                    for step in steps {
                        self.eval(step, f)?;
                    }
                }
                Ok(Flow::Value(Value::Null))
            }
            StmtKind::ForIn(name, list, body) => {
                let list = self.eval(list, f)?;
                for item in self.each(&list, at)? {
                    let scope = Scope::inside(f.scope);
                    scope.declare(name, item);
                    match self.statements(body, &Frame { scope: &scope, ctx: f.ctx })? {
                        Flow::Break => break,
                        Flow::Return(value) => return Ok(Flow::Return(value)),
                        Flow::Value(_) | Flow::Continue => {}
                    }
                }
                Ok(Flow::Value(Value::Null))
            }
            StmtKind::Switch(value, cases) => {
                let value = self.eval(value, f)?;
                let mut running = None;
                for (i, case) in cases.iter().enumerate() {
                    if let Some(pattern) = &case.value {
                        let pattern = self.eval(pattern, f)?;
                        if self.matches(&pattern, &value, f.ctx, at)? {
                            running = Some(i);
                            break;
                        }
                    }
                }
                let from = running.or_else(|| cases.iter().position(|c| c.value.is_none()));
                let mut last = Value::Null;
                for case in cases.iter().skip(from.unwrap_or(cases.len())) {
                    match self.inner(&case.body, f)? {
                        Flow::Value(value) => last = value,
                        Flow::Break => break,
                        other => return Ok(other),
                    }
                }
                Ok(Flow::Value(last))
            }
            StmtKind::Try(body, catches, finally) => {
                let mut result = self.inner(body, f);
                if let Err(thrown) = &result
                    && !thrown.fatal
                    && let Some(catch) = catches.iter().find(|c| catches_it(c, thrown))
                {
                    let scope = Scope::inside(f.scope);
                    scope.declare(&catch.name, Value::Exception(Arc::new((**thrown).clone())));
                    result = self.statements(&catch.body, &Frame { scope: &scope, ctx: f.ctx });
                }
                if let Some(finally) = finally {
                    match self.inner(finally, f)? {
                        Flow::Value(_) => {}
                        other => return Ok(other),
                    }
                }
                result
            }
            StmtKind::Throw(value) => match self.eval(value, f)? {
                Value::Exception(e) => Err(Box::new((*e).clone())),
                other => Err(exception("java.lang.Exception", other.to_string(), at)),
            },
            StmtKind::Return(value) => Ok(Flow::Return(value.as_ref().map(|v| self.eval(v, f)).transpose()?.unwrap_or(Value::Null))),
            StmtKind::Break => Ok(Flow::Break),
            StmtKind::Continue => Ok(Flow::Continue),
            StmtKind::Block(body) => self.inner(body, f),
            StmtKind::Assert(condition, message) => {
                if !self.eval(condition, f)?.truth() {
                    let text = match message {
                        Some(message) => self.eval(message, f)?.to_string(),
                        None => format!("assert {}", self.source.of(condition.at)),
                    };
                    return Err(exception("org.codehaus.groovy.runtime.powerassert.PowerAssertionError", text, at));
                }
                Ok(Flow::Value(Value::Null))
            }
            StmtKind::Method(_) | StmtKind::Import(_) | StmtKind::Library(_) => Ok(Flow::Value(Value::Null)),
        }
    }

    pub(crate) fn eval(&self, expr: &Expr, f: &Frame<'_>) -> Eval<Value> {
        let at = expr.at.start;
        self.tick(f.ctx, at)?;
        let _level = f.ctx.deeper(at)?;
        match &expr.kind {
            ExprKind::Null => Ok(Value::Null),
            ExprKind::Bool(b) => Ok(Value::Bool(*b)),
            ExprKind::Int(n) => Ok(Value::Int(*n)),
            ExprKind::BigInt(text) => Ok(Value::Decimal(text.parse().unwrap_or(f64::NAN))),
            ExprKind::Decimal(n) => Ok(Value::Decimal(*n)),
            ExprKind::Str(text) => Ok(Value::from(text.as_str())),
            ExprKind::GString(parts) => self.gstring(parts, f, at),
            ExprKind::Name(name) => self.variable(name, f, at),
            ExprKind::List(items) => Ok(Value::list(self.values(items, f)?)),
            ExprKind::Map(entries) => {
                let mut map = IndexMap::new();
                for entry in entries {
                    map.insert(self.eval(&entry.key, f)?.to_string(), self.eval(&entry.value, f)?);
                }
                self.grow(map.len() * 64, at)?;
                Ok(Value::map(map))
            }
            ExprKind::Range { from, to, inclusive } => self.range(&self.eval(from, f)?, &self.eval(to, f)?, *inclusive, at),
            ExprKind::Closure(code) => Ok(self.closure(code, f)),
            ExprKind::Call(call) => self.call(call, f, at),
            ExprKind::Property { target, name, safe, spread } => {
                let value = self.eval(target, f)?;
                let name = self.eval(name, f)?.to_string();
                if *safe && matches!(value, Value::Null) {
                    return Ok(Value::Null);
                }
                if *spread {
                    let items = value.items().unwrap_or_default();
                    return items.iter().map(|v| self.property(v, &name, f.ctx, at)).collect::<Eval<Vec<_>>>().map(Value::list);
                }
                self.property(&value, &name, f.ctx, at)
            }
            ExprKind::Index(target, index) => {
                let value = self.eval(target, f)?;
                let mut index = self.values(index, f)?;
                let index = if index.len() == 1 { index.remove(0) } else { Value::list(index) };
                self.index(&value, &index, f.ctx, at)
            }
            ExprKind::Binary(op, left, right) => self.binary(op, left, right, f, at),
            ExprKind::Unary(op, value) => {
                let value = self.eval(value, f)?;
                match (*op, &value) {
                    ("!", _) => Ok(Value::Bool(!value.truth())),
                    ("-", Value::Int(n)) => Ok(Value::Int(n.wrapping_neg())),
                    ("-", Value::Decimal(n)) => Ok(Value::Decimal(-n)),
                    ("+", Value::Int(_) | Value::Decimal(_)) | ("~", Value::Str(_)) => Ok(value),
                    _ => Err(exception("groovy.lang.MissingMethodException", format!("cannot apply {op} to {}", value.class()), at)),
                }
            }
            ExprKind::Step(op, target, before) => {
                let old = self.eval(target, f)?;
                let new = self.operate(if *op == "++" { "+" } else { "-" }, &old, &Value::Int(1), at)?;
                self.assign(target, new.clone(), f)?;
                Ok(if *before { new } else { old })
            }
            ExprKind::Assign(op, target, value) => {
                let mut value = self.eval(value, f)?;
                if !op.is_empty() {
                    let old = self.eval(target, f)?;
                    value = self.operate(op, &old, &value, at)?;
                }
                self.assign(target, value.clone(), f)?;
                Ok(value)
            }
            ExprKind::Ternary(condition, then, otherwise) => {
                if self.eval(condition, f)?.truth() {
                    self.eval(then, f)
                } else {
                    self.eval(otherwise, f)
                }
            }
            ExprKind::Elvis(value, otherwise) => {
                let value = self.eval(value, f)?;
                if value.truth() { Ok(value) } else { self.eval(otherwise, f) }
            }
            ExprKind::Cast(ty, value) => {
                let value = self.eval(value, f)?;
                self.coerce(ty, value, at)
            }
            ExprKind::InstanceOf(value, ty) => {
                let value = self.eval(value, f)?;
                Ok(Value::Bool(is_a(&value, ty)))
            }
            ExprKind::New(ty, args) => {
                let args = self.values(args, f)?;
                self.construct(ty, &args, at)
            }
            ExprKind::Spread(_) => Err(exception("java.lang.IllegalArgumentException", "a spread stands only among arguments", at)),
            ExprKind::MethodPointer(..) => Err(unsupported("a method pointer", at)),
        }
    }

    pub(crate) fn closure(&self, code: &Closure, f: &Frame<'_>) -> Value {
        let code = Arc::new(code.clone());
        Value::Closure(Arc::new(ClosureValue { code, scope: Arc::clone(f.scope), delegate: std::sync::Mutex::default() }))
    }

    fn gstring(&self, parts: &[Part], f: &Frame<'_>, at: u32) -> Eval<Value> {
        let mut text = String::new();
        for part in parts {
            match part {
                Part::Text(t) => text.push_str(t),
                Part::Code(code) => text.push_str(&self.eval(code, f)?.to_string()),
            }
            self.room(text.len(), at)?;
        }
        self.grow(text.len(), at)?;
        Ok(text.into())
    }

    /// Values of a list or of arguments, spreads taken apart.
    pub(crate) fn values(&self, items: &[Expr], f: &Frame<'_>) -> Eval<Vec<Value>> {
        let mut out = Vec::with_capacity(items.len());
        for item in items {
            if let ExprKind::Spread(inner) = &item.kind {
                let value = self.eval(inner, f)?;
                out.extend(self.each(&value, item.at.start)?);
            } else {
                out.push(self.eval(item, f)?);
            }
            self.grow(32, item.at.start)?;
        }
        Ok(out)
    }

    pub(super) fn variable(&self, name: &str, f: &Frame<'_>, at: u32) -> Eval<Value> {
        if let Some(value) = f.scope.get(name) {
            return Ok(value);
        }
        match name {
            "env" => return Ok(Value::Env),
            "params" => return Ok(self.shared.params.clone()),
            "currentBuild" => return Ok(Value::Build),
            "scm" => return Ok(Value::from("scm")),
            "this" => return Ok(self.this(f)),
            "Closure" => return Ok(strategies()),
            _ => {}
        }
        if let Some(module) = self.global(name, f.ctx, at)? {
            return Ok(Value::Module(module));
        }
        if let Some(value) = self.env(f.ctx).get(name) {
            return Ok(Value::from(value.as_str()));
        }
        if let Some(value) = lock_params(&self.shared.params, name) {
            return Ok(value);
        }
        Err(exception("groovy.lang.MissingPropertyException", format!("No such property: {name} for class: groovy.lang.Binding"), at))
    }

    fn assign(&self, target: &Expr, value: Value, f: &Frame<'_>) -> Eval<()> {
        let at = target.at.start;
        match &target.kind {
            ExprKind::Name(name) => {
                if !f.scope.set(name, &value) {
                    f.scope.file().declare(name, value);
                }
                Ok(())
            }
            ExprKind::Property { target: object, name, .. } => {
                let object = self.eval(object, f)?;
                let name = self.eval(name, f)?.to_string();
                self.set_property(&object, &name, value, f, at)
            }
            ExprKind::Index(object, index) => {
                let object = self.eval(object, f)?;
                let index = self.values(index, f)?;
                let index = index.first().cloned().unwrap_or(Value::Null);
                match (&object, &index) {
                    (Value::List(list), Value::Int(n)) => {
                        let mut list = lock(list);
                        let length = i64::try_from(list.len()).unwrap_or(i64::MAX);
                        let n = if *n < 0 { n + length } else { *n };
                        let n = usize::try_from(n).ok().filter(|n| *n < 100_000);
                        let Some(n) = n else { return Err(exception("java.lang.ArrayIndexOutOfBoundsException", "bad index", at)) };
                        while list.len() <= n {
                            list.push(Value::Null);
                        }
                        list[n] = value;
                        Ok(())
                    }
                    _ => self.set_property(&object, &index.to_string(), value, f, at),
                }
            }
            ExprKind::List(targets) => {
                let items = value.items().unwrap_or_default();
                for (i, target) in targets.iter().enumerate() {
                    self.assign(target, items.get(i).cloned().unwrap_or(Value::Null), f)?;
                }
                Ok(())
            }
            _ => Err(exception("java.lang.IllegalArgumentException", "cannot assign to this", at)),
        }
    }

    fn call(&self, call: &Call, f: &Frame<'_>, at: u32) -> Eval<Value> {
        if let Some(name) = call.plain_name() {
            if let Some(Value::Closure(closure)) = f.scope.get(name) {
                let args = self.values(&call.args, f)?;
                return self.invoke(&closure, args, f.ctx, at);
            }
            let args = self.values(&call.args, f)?;
            let file = f.scope.file();
            if let Some(method) = file.method(name, &args) {
                return self.run_method(&method, args, &file, f.ctx, at);
            }
            if let Some(module) = self.global(name, f.ctx, at)? {
                return self.module_call(&module, "call", args, f, at);
            }
            return self.step(name, args, f, at);
        }
        let Some(receiver) = &call.receiver else {
            return Err(unsupported("a call of a name made at run time", at));
        };
        // `steps.sh 'x'`, `script.echo 'x'`: the steps by their long name
        if let ExprKind::Name(name) = &receiver.kind
            && matches!(name.as_str(), "steps" | "script")
            && f.scope.get(name).is_none()
            && let ExprKind::Str(method) = &call.name.kind
        {
            let args = self.values(&call.args, f)?;
            return self.step(method, args, f, at);
        }
        if let ExprKind::Name(class) = &receiver.kind
            && class.starts_with(char::is_uppercase)
            && f.scope.get(class).is_none()
            && let ExprKind::Str(method) = &call.name.kind
        {
            let args = self.values(&call.args, f)?;
            return self.static_call(class, method, &args, at);
        }
        let value = self.eval(receiver, f)?;
        if call.safe && matches!(value, Value::Null) {
            return Ok(Value::Null);
        }
        let name = self.eval(&call.name, f)?.to_string();
        let args = self.values(&call.args, f)?;
        if call.spread {
            let items = value.items().unwrap_or_default();
            return items.iter().map(|v| self.method(v, &name, args.clone(), f, at)).collect::<Eval<Vec<_>>>().map(Value::list);
        }
        self.method(&value, &name, args, f, at)
    }

    /// Calls a method of a file.
    pub(super) fn run_method(&self, method: &Method, args: Vec<Value>, file: &Arc<Scope>, ctx: &Context, at: u32) -> Eval<Value> {
        let _level = ctx.deeper(at)?;
        let scope = Scope::inside(file);
        self.bind(&method.params, args, &scope, ctx, at)?;
        match self.statements(&method.body, &Frame { scope: &scope, ctx })? {
            Flow::Value(value) | Flow::Return(value) => Ok(value),
            Flow::Break | Flow::Continue => Ok(Value::Null),
        }
    }

    pub(crate) fn bind(&self, params: &[Param], args: Vec<Value>, scope: &Arc<Scope>, ctx: &Context, at: u32) -> Eval<()> {
        let given = args.len();
        let mut args = args.into_iter();
        // defaults stand in from the right, as in the methods that Groovy makes of one with defaults
        let mut spare = given.saturating_sub(params.iter().filter(|p| p.default.is_none()).count());
        for (i, param) in params.iter().enumerate() {
            let next = if param.default.is_none() || spare > 0 { args.next() } else { None };
            if param.default.is_some() {
                spare = spare.saturating_sub(1);
            }
            let value = match (next, &param.default) {
                (Some(value), _) => value,
                (None, Some(default)) => self.eval(default, &Frame { scope, ctx })?,
                (None, None) if i == 0 && params.len() == 1 => Value::Null,
                (None, None) => {
                    let message = format!("{} arguments are needed, {given} are given", params.len());
                    return Err(exception("groovy.lang.MissingMethodException", message, at));
                }
            };
            scope.declare(&param.name, value);
        }
        if given > params.len() {
            let message = format!("{} arguments are taken, {given} are given", params.len());
            return Err(exception("groovy.lang.MissingMethodException", message, at));
        }
        Ok(())
    }

    /// Calls a closure.
    pub(crate) fn invoke(&self, closure: &ClosureValue, mut args: Vec<Value>, ctx: &Context, at: u32) -> Eval<Value> {
        self.tick(ctx, at)?;
        let _level = ctx.deeper(at)?;
        let delegate = lock(&closure.delegate).clone();
        let scope = match delegate {
            Some(delegate) => Scope::delegated(&closure.scope, delegate),
            None => Arc::clone(&closure.scope),
        };
        let scope = Scope::inside(&scope);
        match &closure.code.params {
            None => scope.declare("it", if args.is_empty() { Value::Null } else { args.swap_remove(0) }),
            Some(params) => {
                // one list for several parameters is taken apart
                if let ([Value::List(list)], true) = (args.as_slice(), params.len() > 1) {
                    let items = lock(list).clone();
                    args = items;
                }
                args.truncate(params.len().max(1));
                self.bind(params, args, &scope, ctx, at)?;
            }
        }
        match self.statements(&closure.code.body, &Frame { scope: &scope, ctx })? {
            Flow::Value(value) | Flow::Return(value) => Ok(value),
            Flow::Break | Flow::Continue => Ok(Value::Null),
        }
    }
}

/// How a closure looks names up; all of them look at the delegate first here.
fn strategies() -> Value {
    let names = ["OWNER_FIRST", "DELEGATE_FIRST", "OWNER_ONLY", "DELEGATE_ONLY"];
    Value::map(names.iter().enumerate().map(|(i, name)| ((*name).to_owned(), i.into())).collect())
}

fn lock_params(params: &Value, name: &str) -> Option<Value> {
    match params {
        Value::Map(map) => lock(map).get(name).cloned(),
        _ => None,
    }
}

/// Does the exception go into this `catch`?
fn catches_it(catch: &Catch, thrown: &Exception) -> bool {
    let short = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    catch.types.is_empty()
        || catch.types.iter().any(|ty| {
            let ty = short(ty);
            matches!(ty.as_str(), "Exception" | "Throwable") || ty == short(&thrown.class)
        })
}

fn is_a(value: &Value, ty: &str) -> bool {
    let short = ty.rsplit('.').next().unwrap_or_default();
    match value {
        Value::Null => false,
        Value::Str(_) => matches!(short, "String" | "GString" | "CharSequence" | "Object"),
        Value::Int(_) => matches!(short, "Integer" | "Long" | "Number" | "Object" | "int" | "long"),
        Value::Decimal(_) => matches!(short, "BigDecimal" | "Double" | "Float" | "Number" | "Object"),
        Value::Bool(_) => matches!(short, "Boolean" | "Object"),
        Value::List(_) => matches!(short, "List" | "ArrayList" | "Collection" | "Iterable" | "Object"),
        Value::Map(_) => matches!(short, "Map" | "HashMap" | "LinkedHashMap" | "Object"),
        Value::Closure(_) => matches!(short, "Closure" | "Object"),
        Value::Exception(e) => matches!(short, "Exception" | "Throwable" | "Object") || e.class.rsplit('.').next() == Some(short),
        Value::Env | Value::Build => short == "Object",
        Value::Module(module) => short == "Object" || module.name.rsplit('.').next() == Some(short),
    }
}
