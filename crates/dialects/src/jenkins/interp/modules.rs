//! Files of code beside the Jenkinsfile: variables and scripts of shared libraries, and what `load` brings.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::super::ast::{Script, StmtKind};
use super::super::library::Library;
use super::super::parse::parse_from;
use super::super::source::Source;
use super::value::{Methods, Module, Scope, Value};
use super::{Context, Eval, Frame, Interp, exception, unsupported};

/// The methods of a file.
pub(super) fn methods(script: &Script) -> Methods {
    let mut out = Methods::new();
    for stmt in &script.body {
        if let StmtKind::Method(method) = &stmt.kind {
            out.entry(method.name.clone()).or_default().push(Arc::new(method.clone()));
        }
    }
    out
}

/// A file of a library: what it says, or why it cannot be read.
struct Code {
    script: Result<Script, String>,
    /// Variables of a library are there once.
    module: OnceLock<Arc<Module>>,
}

/// The shared libraries of a run.
#[derive(Default)]
pub(crate) struct Shelf {
    vars: HashMap<String, Code>,
    /// Scripts below `src` by their whole name.
    classes: HashMap<String, Code>,
    resources: HashMap<String, String>,
    names: Vec<String>,
}

impl Shelf {
    /// Parses the files of libraries. The first library that has a name wins.
    pub(super) fn read(source: &Source, libraries: &[Library]) -> Self {
        let mut shelf = Self::default();
        for library in libraries {
            shelf.names.push(library.name.clone());
            for (path, text) in &library.files {
                let code = || {
                    let file = library.file(path);
                    let script = match source.add(&file, text) {
                        Some(base) => parse_from(text, base).map_err(|e| format!("{}: {}", source.span(e.at), e.message)),
                        None => Err(format!("{file}: the libraries are too large")),
                    };
                    Code { script, module: OnceLock::new() }
                };
                if let Some(name) = path.strip_prefix("vars/").and_then(|p| p.strip_suffix(".groovy")) {
                    shelf.vars.entry(name.to_owned()).or_insert_with(code);
                } else if let Some(name) = path.strip_prefix("src/").and_then(|p| p.strip_suffix(".groovy")) {
                    shelf.classes.entry(name.replace('/', ".")).or_insert_with(code);
                } else if let Some(name) = path.strip_prefix("resources/") {
                    shelf.resources.entry(name.to_owned()).or_insert_with(|| text.clone());
                }
            }
        }
        shelf
    }
}

impl Interp<'_> {
    /// Makes a module of a file: its fields get their first values.
    fn module(&self, name: &str, script: &Script, ctx: &Context) -> Eval<Arc<Module>> {
        let globals = Scope::of_file(methods(script));
        for stmt in &script.body {
            if matches!(stmt.kind, StmtKind::Declare { field: true, .. }) {
                self.statements(std::slice::from_ref(stmt), &Frame { scope: &globals, ctx })?;
            }
        }
        Ok(Arc::new(Module { name: name.to_owned(), globals }))
    }

    fn readable<'c>(&self, code: &'c Code, at: u32) -> Eval<&'c Script> {
        code.script.as_ref().map_err(|why| {
            let message = format!("the shared library cannot be used: {why}");
            exception("org.codehaus.groovy.control.MultipleCompilationErrorsException", message, at)
        })
    }

    /// A variable of a shared library.
    pub(crate) fn global(&self, name: &str, ctx: &Context, at: u32) -> Eval<Option<Arc<Module>>> {
        let Some(code) = self.shared.shelf.vars.get(name) else { return Ok(None) };
        if let Some(module) = code.module.get() {
            return Ok(Some(Arc::clone(module)));
        }
        let made = self.module(name, self.readable(code, at)?, ctx)?;
        // another branch may have been faster
        Ok(Some(Arc::clone(code.module.get_or_init(|| made))))
    }

    /// Variables of a method of a module.
    pub(crate) fn inside(&self, module: &Module) -> Arc<Scope> {
        Scope::inside(&module.globals)
    }

    /// The file that the code is in.
    pub(super) fn this(&self, f: &Frame<'_>) -> Value {
        Value::Module(Arc::new(Module { name: "WorkflowScript".into(), globals: f.scope.file() }))
    }

    /// `new org.foo.Bar()` of a script below `src`.
    pub(super) fn instance(&self, ty: &str, args: &[Value], at: u32) -> Eval<Value> {
        let classes = &self.shared.shelf.classes;
        let short = |name: &str| name.rsplit('.').next() == Some(ty);
        let found = classes.get_key_value(ty).or_else(|| classes.iter().find(|(name, _)| short(name)));
        let Some((name, code)) = found else { return Err(unsupported(&format!("the class {ty}"), at)) };
        let script = self.readable(code, at)?;
        if !args.is_empty() {
            return Err(unsupported(&format!("`new {name}` with arguments: a script below src"), at));
        }
        self.module(name, script, &Context::default()).map(Value::Module)
    }

    /// Calls a method of a module, a closure it holds, or else a step: `script.sh 'x'`.
    pub(super) fn module_call(&self, module: &Arc<Module>, name: &str, args: Vec<Value>, f: &Frame<'_>, at: u32) -> Eval<Value> {
        if let Some(method) = module.globals.method(name, &args) {
            return self.run_method(&method, args, &module.globals, f.ctx, at);
        }
        if let Some(Value::Closure(closure)) = module.globals.get(name) {
            return self.invoke(&closure, args, f.ctx, at);
        }
        if let Some(field) = name.strip_prefix("get").filter(|n| !n.is_empty() && args.is_empty())
            && let Some(value) = module.globals.get(&super::methods::uncapitalized(field))
        {
            return Ok(value);
        }
        if name == "call" {
            let message = format!("{} of the shared library has no method call()", module.name);
            return Err(exception("groovy.lang.MissingMethodException", message, at));
        }
        if let Some(other) = self.global(name, f.ctx, at)? {
            return self.module_call(&other, "call", args, f, at);
        }
        self.step(name, args, f, at)
    }

    pub(super) fn module_property(&self, module: &Arc<Module>, name: &str, ctx: &Context, at: u32) -> Eval<Value> {
        if let Some(value) = module.globals.get(name) {
            return Ok(value);
        }
        let mut chars = name.chars();
        let getter: String = "get".chars().chain(chars.next().into_iter().flat_map(char::to_uppercase)).chain(chars).collect();
        if let Some(method) = module.globals.method(&getter, &[]).filter(|m| m.params.is_empty()) {
            return self.run_method(&method, Vec::new(), &module.globals, ctx, at);
        }
        self.variable(name, &Frame { scope: &module.globals, ctx }, at)
    }

    /// `library`: those that are named with constants were loaded when the run was made.
    pub(super) fn library(&self, identifier: &str, at: u32) -> Eval<Value> {
        let name = identifier.split('@').next().unwrap_or_default().trim();
        if self.shared.shelf.names.iter().any(|n| n == name) {
            return Ok(Value::Null);
        }
        let message = format!("the shared library {name} is not loaded: name it with a constant at the top of the file");
        Err(exception("hudson.AbortException", message, at))
    }

    /// A text below `resources`.
    pub(super) fn resource(&self, name: &str, at: u32) -> Eval<Value> {
        match self.shared.shelf.resources.get(name.trim_start_matches('/')) {
            Some(text) => {
                self.grow(text.len(), at)?;
                Ok(Value::from(text.as_str()))
            }
            None => Err(exception("hudson.AbortException", format!("No such library resource {name} could be found."), at)),
        }
    }

    /// `load`: runs a file of the workspace; its last value is the result.
    pub(super) fn load(&self, path: &str, text: &str, ctx: &Context, at: u32) -> Eval<Value> {
        let Some(base) = self.source.add(path, text) else {
            return Err(exception("hudson.AbortException", format!("{path} is too large to be loaded"), at));
        };
        let script = parse_from(text, base).map_err(|e| {
            let message = format!("{}: {}", self.source.span(e.at), e.message);
            exception("org.codehaus.groovy.control.MultipleCompilationErrorsException", message, at)
        })?;
        let globals = Scope::of_file(methods(&script));
        self.block(&script.body, &globals, ctx)
    }
}
