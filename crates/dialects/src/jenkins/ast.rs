//! The syntax tree of the Groovy subset. Every node knows its place in the source.

/// A place in the source, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct At {
    /// First byte.
    pub start: u32,
    /// After the last byte.
    pub end: u32,
    /// Where the next token begins: Jenkins takes the text of a node up to here.
    pub next: u32,
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// Where.
    pub at: At,
    /// What.
    pub kind: ExprKind,
}

/// A part of a GString.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Literal text.
    Text(String),
    /// `${...}` or `$a.b`.
    Code(Expr),
}

/// An entry of a map or a named argument.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key; a bare word is a string.
    pub key: Expr,
    /// The value.
    pub value: Expr,
}

/// A closure.
#[derive(Clone, Debug, PartialEq)]
pub struct Closure {
    /// Named parameters; none means the implicit `it`.
    pub params: Option<Vec<Param>>,
    /// Its statements.
    pub body: Vec<Stmt>,
}

/// A parameter of a closure or method.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// Name.
    pub name: String,
    /// Declared type.
    pub ty: Option<String>,
    /// Value when not given.
    pub default: Option<Expr>,
}

/// A call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// What it is called on; none for `foo(...)`.
    pub receiver: Option<Expr>,
    /// Method name: a constant, or a GString.
    pub name: Expr,
    /// Arguments; named ones come first as one map, closures after the parentheses last.
    pub args: Vec<Expr>,
    /// `?.`
    pub safe: bool,
    /// `*.`
    pub spread: bool,
}

impl Call {
    /// The name of a call without a receiver (or on `this`).
    pub fn plain_name(&self) -> Option<&str> {
        let ours = self.receiver.as_ref().is_none_or(|r| matches!(&r.kind, ExprKind::Name(n) if n == "this"));
        match &self.name.kind {
            ExprKind::Str(name) if ours => Some(name),
            _ => None,
        }
    }

    /// The closure at the end of the arguments.
    pub fn block(&self) -> Option<&Closure> {
        match &self.args.last()?.kind {
            ExprKind::Closure(closure) => Some(closure),
            _ => None,
        }
    }
}

/// Kinds of expressions.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// `null`.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number that does not fit.
    BigInt(String),
    /// A number with a fraction.
    Decimal(f64),
    /// A constant text.
    Str(String),
    /// A text with values in it.
    GString(Vec<Part>),
    /// A variable.
    Name(String),
    /// `[a, b]`.
    List(Vec<Expr>),
    /// `[a: b]`, or the named arguments of a call.
    Map(Vec<Entry>),
    /// `a..b`.
    Range {
        /// First.
        from: Box<Expr>,
        /// Last.
        to: Box<Expr>,
        /// `..` and not `..<`.
        inclusive: bool,
    },
    /// `{ ... }`.
    Closure(Closure),
    /// `f(x)`.
    Call(Box<Call>),
    /// `a.b`.
    Property {
        /// Of what.
        target: Box<Expr>,
        /// Which: a constant, or a GString.
        name: Box<Expr>,
        /// `?.`
        safe: bool,
        /// `*.`
        spread: bool,
    },
    /// `a[b]`.
    Index(Box<Expr>, Vec<Expr>),
    /// `a op b`.
    Binary(&'static str, Box<Expr>, Box<Expr>),
    /// `op a`.
    Unary(&'static str, Box<Expr>),
    /// `++a`, `a++`: operator, target, and whether the new value is the result.
    Step(&'static str, Box<Expr>, bool),
    /// `a = b`, `a += b`; the operator without its `=`.
    Assign(&'static str, Box<Expr>, Box<Expr>),
    /// `a ? b : c`.
    Ternary(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `a ?: b`.
    Elvis(Box<Expr>, Box<Expr>),
    /// `(Type) a`, `a as Type`.
    Cast(String, Box<Expr>),
    /// `a instanceof Type`.
    InstanceOf(Box<Expr>, String),
    /// `new Type(args)`.
    New(String, Vec<Expr>),
    /// `*a` among arguments or list elements.
    Spread(Box<Expr>),
    /// `a.&b`.
    MethodPointer(Box<Expr>, String),
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Stmt {
    /// Where.
    pub at: At,
    /// What.
    pub kind: StmtKind,
}

/// A `case` of a `switch`; none is `default`.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// What it compares with.
    pub value: Option<Expr>,
    /// Its statements.
    pub body: Vec<Stmt>,
}

/// A `catch`.
#[derive(Clone, Debug, PartialEq)]
pub struct Catch {
    /// Types it takes; empty takes all.
    pub types: Vec<String>,
    /// Name of the exception.
    pub name: String,
    /// Its statements.
    pub body: Vec<Stmt>,
}

/// A method.
#[derive(Clone, Debug, PartialEq)]
pub struct Method {
    /// Name.
    pub name: String,
    /// Parameters.
    pub params: Vec<Param>,
    /// Statements.
    pub body: Vec<Stmt>,
}

/// Kinds of statements.
#[derive(Clone, Debug, PartialEq)]
pub enum StmtKind {
    /// An expression.
    Expr(Expr),
    /// `def x = 1`, `def (a, b) = list`.
    Declare {
        /// Names; more than one takes the value apart.
        names: Vec<String>,
        /// Declared type, `def` is none.
        ty: Option<String>,
        /// `@Field`: seen by methods too.
        field: bool,
        /// First value.
        value: Option<Expr>,
    },
    /// `if`.
    If(Expr, Vec<Stmt>, Vec<Stmt>),
    /// `while`.
    While(Expr, Vec<Stmt>),
    /// `for (init; cond; step)`.
    For(Vec<Stmt>, Option<Expr>, Vec<Expr>, Vec<Stmt>),
    /// `for (x in list)`.
    ForIn(String, Expr, Vec<Stmt>),
    /// `switch`.
    Switch(Expr, Vec<Case>),
    /// `try`.
    Try(Vec<Stmt>, Vec<Catch>, Option<Vec<Stmt>>),
    /// `throw`.
    Throw(Expr),
    /// `return`.
    Return(Option<Expr>),
    /// `break`.
    Break,
    /// `continue`.
    Continue,
    /// `{ ... }` standing alone.
    Block(Vec<Stmt>),
    /// `assert a : b`.
    Assert(Expr, Option<Expr>),
    /// A method of the file.
    Method(Method),
    /// `import x.y`.
    Import(String),
    /// `@Library('x') _`.
    Library(Vec<String>),
}

/// A parsed file.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// Its statements.
    pub body: Vec<Stmt>,
}

impl Stmt {
    /// The call that the statement is, if it is one.
    pub fn call(&self) -> Option<&Call> {
        match &self.kind {
            StmtKind::Expr(Expr { kind: ExprKind::Call(call), .. }) => Some(call),
            _ => None,
        }
    }

    /// The call with a block that the statement is: `name(args) { ... }`.
    pub fn block_call(&self) -> Option<(&str, &Call, &Closure)> {
        let call = self.call()?;
        Some((call.plain_name()?, call, call.block()?))
    }
}
