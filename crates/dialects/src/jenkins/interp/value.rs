//! Values of the interpreter. They are shared between the branches of a `parallel`.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;
use serde_json::{Value as Json, json};

use super::super::ast::{Closure, Method};

/// A value.
#[derive(Clone)]
pub enum Value {
    /// `null`.
    Null,
    /// true or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Decimal(f64),
    /// A text.
    Str(Arc<str>),
    /// A list.
    List(Arc<Mutex<Vec<Value>>>),
    /// A map with texts as keys.
    Map(Arc<Mutex<IndexMap<String, Value>>>),
    /// A closure with the variables it sees.
    Closure(Arc<ClosureValue>),
    /// An exception that was caught.
    Exception(Arc<Exception>),
    /// `env`.
    Env,
    /// `currentBuild`.
    Build,
    /// A file of code: one of a library, or one that was loaded.
    Module(Arc<Module>),
}

/// A file of code with what its methods see.
pub struct Module {
    pub(super) name: String,
    pub(super) globals: Arc<Scope>,
}

/// Methods of a file by name; those of one name differ by how many arguments they take.
pub(super) type Methods = HashMap<String, Vec<Arc<Method>>>;

/// A map whose entries stand for variables.
type Delegate = Arc<Mutex<IndexMap<String, Value>>>;

/// A closure with the variables it sees.
pub struct ClosureValue {
    pub(super) code: Arc<Closure>,
    pub(super) scope: Arc<Scope>,
    /// `delegate`: where names are looked for first.
    pub(super) delegate: Mutex<Option<Delegate>>,
}

/// Variables of a block.
#[derive(Default)]
pub struct Scope {
    vars: Mutex<HashMap<String, Value>>,
    parent: Option<Arc<Scope>>,
    delegate: Option<Delegate>,
    /// Of the outermost scope of a file.
    methods: Option<Arc<Methods>>,
}

/// How a build or a stage stands; later ones are worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum BuildResult {
    /// All well.
    #[default]
    Success,
    /// It ran, but tests failed.
    Unstable,
    /// Something failed.
    Failure,
    /// It did not run.
    NotBuilt,
    /// Stopped.
    Aborted,
}

impl BuildResult {
    /// As Jenkins writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            BuildResult::Success => "SUCCESS",
            BuildResult::Unstable => "UNSTABLE",
            BuildResult::Failure => "FAILURE",
            BuildResult::NotBuilt => "NOT_BUILT",
            BuildResult::Aborted => "ABORTED",
        }
    }

    /// The result of that name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Success, Self::Unstable, Self::Failure, Self::NotBuilt, Self::Aborted].into_iter().find(|r| r.as_str() == text)
    }
}

/// Something that was thrown.
#[derive(Clone, Debug, PartialEq)]
pub struct Exception {
    /// Its class, such as `hudson.AbortException`.
    pub class: String,
    /// What it says.
    pub message: String,
    /// The result it gives the build.
    pub result: BuildResult,
    /// Where it was thrown, in bytes.
    pub at: u32,
    /// It cannot be caught: a limit, or something that is not supported.
    pub fatal: bool,
}

/// Locks; a panic of another branch does not matter to the value.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scope {
    pub(super) fn inside(parent: &Arc<Scope>) -> Arc<Scope> {
        Arc::new(Scope { parent: Some(Arc::clone(parent)), ..Scope::default() })
    }

    /// The outermost scope of a file.
    pub(super) fn of_file(methods: Methods) -> Arc<Scope> {
        Arc::new(Scope { methods: Some(Arc::new(methods)), ..Scope::default() })
    }

    /// One in which the entries of a map are variables.
    pub(super) fn delegated(parent: &Arc<Scope>, delegate: Delegate) -> Arc<Scope> {
        Arc::new(Scope { parent: Some(Arc::clone(parent)), delegate: Some(delegate), ..Scope::default() })
    }

    /// The outermost scope of the file whose code this is.
    pub(super) fn file(self: &Arc<Self>) -> Arc<Scope> {
        let mut scope = self;
        while scope.methods.is_none()
            && let Some(parent) = &scope.parent
        {
            scope = parent;
        }
        Arc::clone(scope)
    }

    /// The method of a file that takes these arguments, else the last of that name.
    pub(super) fn method(&self, name: &str, args: &[Value]) -> Option<Arc<Method>> {
        let all = self.methods.as_ref()?.get(name)?;
        let given = args.len();
        let needed = |m: &Method| m.params.iter().filter(|p| p.default.is_none()).count();
        let fits = |m: &&Arc<Method>| m.params.iter().zip(args).all(|(p, a)| p.ty.as_ref().is_none_or(|ty| a.may_be(ty)));
        let exact = |m: &&Arc<Method>| m.params.len() == given;
        let open = |m: &&Arc<Method>| m.params.len() > given && needed(m) <= given;
        let found = all.iter().filter(exact).find(fits).or_else(|| all.iter().filter(open).find(fits));
        found.or_else(|| all.iter().find(exact)).or_else(|| all.iter().find(open)).or(all.last()).cloned()
    }

    pub(super) fn declare(&self, name: &str, value: Value) {
        lock(&self.vars).insert(name.to_owned(), value);
    }

    pub(super) fn get(&self, name: &str) -> Option<Value> {
        let mut scope = self;
        loop {
            if let Some(value) = lock(&scope.vars).get(name) {
                return Some(value.clone());
            }
            if let Some(delegate) = &scope.delegate
                && let Some(value) = lock(delegate).get(name)
            {
                return Some(value.clone());
            }
            scope = scope.parent.as_deref()?;
        }
    }

    /// Changes a variable where it was declared.
    pub(super) fn set(&self, name: &str, value: &Value) -> bool {
        let mut scope = self;
        loop {
            if let Some(slot) = lock(&scope.vars).get_mut(name) {
                *slot = value.clone();
                return true;
            }
            if let Some(delegate) = &scope.delegate {
                lock(delegate).insert(name.to_owned(), value.clone());
                return true;
            }
            match scope.parent.as_deref() {
                Some(parent) => scope = parent,
                None => return false,
            }
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Str(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Str(text.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Value::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

/// Deepest value that is shown or compared.
const MAX_SHOWN: usize = 50;
/// Longest text of a value: one that holds itself twice would have no end.
const MAX_SHOWN_BYTES: usize = 16 << 20;
/// Most values that are compared or turned into JSON at once.
const MAX_VISITED: usize = 1_000_000;

impl Value {
    /// A list.
    pub fn list(items: Vec<Value>) -> Self {
        Value::List(Arc::new(Mutex::new(items)))
    }

    /// A map.
    pub fn map(entries: IndexMap<String, Value>) -> Self {
        Value::Map(Arc::new(Mutex::new(entries)))
    }

    /// A copy of the items.
    pub(super) fn items(&self) -> Option<Vec<Value>> {
        match self {
            Value::List(list) => Some(lock(list).clone()),
            _ => None,
        }
    }

    /// A copy of the entries.
    pub(super) fn entries(&self) -> Option<IndexMap<String, Value>> {
        match self {
            Value::Map(map) => Some(lock(map).clone()),
            _ => None,
        }
    }

    /// What Groovy takes for true.
    pub fn truth(&self) -> bool {
        match self {
            Value::Null => false,
            Value::Bool(b) => *b,
            Value::Int(n) => *n != 0,
            Value::Decimal(n) => *n != 0.0,
            Value::Str(text) => !text.is_empty(),
            Value::List(list) => !lock(list).is_empty(),
            Value::Map(map) => !lock(map).is_empty(),
            Value::Closure(_) | Value::Exception(_) | Value::Env | Value::Build | Value::Module(_) => true,
        }
    }

    /// Could it be given where that type is declared? Types that are not known take everything.
    fn may_be(&self, ty: &str) -> bool {
        let short = ty.rsplit('.').next().unwrap_or_default();
        match short {
            "Map" | "HashMap" | "LinkedHashMap" => matches!(self, Value::Map(_) | Value::Null),
            "List" | "ArrayList" | "Collection" => matches!(self, Value::List(_) | Value::Null),
            "Closure" => matches!(self, Value::Closure(_) | Value::Null),
            "String" | "CharSequence" | "GString" => matches!(self, Value::Str(_) | Value::Null),
            "int" | "long" | "Integer" | "Long" => matches!(self, Value::Int(_)),
            "boolean" | "Boolean" => matches!(self, Value::Bool(_)),
            _ => true,
        }
    }

    pub(super) fn number(&self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "as Groovy does when one side has a fraction")]
            Value::Int(n) => Some(*n as f64),
            Value::Decimal(n) => Some(*n),
            _ => None,
        }
    }

    /// What it is called in messages.
    pub(super) fn class(&self) -> &str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "java.lang.Boolean",
            Value::Int(_) => "java.lang.Integer",
            Value::Decimal(_) => "java.math.BigDecimal",
            Value::Str(_) => "java.lang.String",
            Value::List(_) => "java.util.ArrayList",
            Value::Map(_) => "java.util.LinkedHashMap",
            Value::Closure(_) => "groovy.lang.Closure",
            Value::Exception(e) => &e.class,
            Value::Env => "EnvActionImpl",
            Value::Build => "RunWrapper",
            Value::Module(module) => &module.name,
        }
    }

    fn write(&self, out: &mut String, depth: usize) {
        use fmt::Write as _;
        if depth > MAX_SHOWN || out.len() > MAX_SHOWN_BYTES {
            out.push_str("...");
            return;
        }
        match self {
            Value::Null => out.push_str("null"),
            Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
            Value::Int(n) => {
                let _ = write!(out, "{n}");
            }
            Value::Decimal(n) => {
                let _ = if n.fract() == 0.0 && n.abs() < 1e15 { write!(out, "{n:.1}") } else { write!(out, "{n}") };
            }
            Value::Str(text) => out.push_str(text),
            Value::List(list) => {
                let items = lock(list).clone();
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    out.push_str(if i == 0 { "" } else { ", " });
                    item.write(out, depth + 1);
                }
                out.push(']');
            }
            Value::Map(map) => {
                let entries = lock(map).clone();
                out.push_str(if entries.is_empty() { "[:" } else { "[" });
                for (i, (key, value)) in entries.iter().enumerate() {
                    out.push_str(if i == 0 { "" } else { ", " });
                    out.push_str(key);
                    out.push(':');
                    value.write(out, depth + 1);
                }
                out.push(']');
            }
            Value::Closure(_) => out.push_str("Closure"),
            Value::Exception(e) => {
                let _ = write!(out, "{}: {}", e.class, e.message);
            }
            Value::Env => out.push_str("env"),
            Value::Build => out.push_str("currentBuild"),
            Value::Module(module) => out.push_str(&module.name),
        }
    }

    /// As JSON, for `writeJSON` and tests.
    pub fn to_json(&self) -> Json {
        self.json_at(0, &mut 0)
    }

    fn json_at(&self, depth: usize, visited: &mut usize) -> Json {
        *visited += 1;
        if depth > MAX_SHOWN || *visited > MAX_VISITED {
            return Json::Null;
        }
        match self {
            Value::Null => Json::Null,
            Value::Bool(b) => json!(b),
            Value::Int(n) => json!(n),
            Value::Decimal(n) => json!(n),
            Value::List(_) => self.items().unwrap_or_default().iter().map(|v| v.json_at(depth + 1, visited)).collect(),
            Value::Map(_) => {
                let entries = self.entries().unwrap_or_default();
                Json::Object(entries.iter().map(|(k, v)| (k.clone(), v.json_at(depth + 1, visited))).collect())
            }
            other => json!(other.to_string()),
        }
    }

    /// From JSON, for `readJSON`.
    pub fn from_json(json: &Json) -> Value {
        match json {
            Json::Null => Value::Null,
            Json::Bool(b) => Value::Bool(*b),
            Json::Number(n) => n.as_i64().map_or_else(|| Value::Decimal(n.as_f64().unwrap_or(0.0)), Value::Int),
            Json::String(text) => Value::from(text.as_str()),
            Json::Array(items) => Value::list(items.iter().map(Value::from_json).collect()),
            Json::Object(map) => Value::map(map.iter().map(|(k, v)| (k.clone(), Value::from_json(v))).collect()),
        }
    }

    pub(super) fn same(&self, other: &Value) -> bool {
        self.same_at(other, 0, &mut 0)
    }

    fn same_at(&self, other: &Value, depth: usize, visited: &mut usize) -> bool {
        *visited += 1;
        if depth > MAX_SHOWN || *visited > MAX_VISITED {
            return false;
        }
        match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Str(a), Value::Str(b)) => a == b,
            (Value::List(_), Value::List(_)) => {
                let (a, b) = (self.items().unwrap_or_default(), other.items().unwrap_or_default());
                a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.same_at(b, depth + 1, visited))
            }
            (Value::Map(_), Value::Map(_)) => {
                let (a, b) = (self.entries().unwrap_or_default(), other.entries().unwrap_or_default());
                a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| v.same_at(w, depth + 1, visited)))
            }
            _ => match (self.number(), other.number()) {
                (Some(a), Some(b)) => a.total_cmp(&b).is_eq() || a == b,
                _ => false,
            },
        }
    }

    pub(super) fn order(&self, other: &Value) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
            (Value::Str(a), Value::Str(b)) => Some(a.cmp(b)),
            (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
            (Value::Null, Value::Null) => Some(std::cmp::Ordering::Equal),
            (Value::Null, _) => Some(std::cmp::Ordering::Less),
            (_, Value::Null) => Some(std::cmp::Ordering::Greater),
            _ => self.number()?.partial_cmp(&other.number()?),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        self.write(&mut out, 0);
        f.write_str(&out)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({self})", self.class())
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.same(other)
    }
}
