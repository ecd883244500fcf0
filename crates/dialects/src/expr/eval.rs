//! Walks an expression.

use serde_json::Value as Json;

use super::parse::{Expr, Op};
use super::value::{Val, same};
use super::{Context, ExprError, MAX_MEMORY, functions};

pub(super) struct Evaluation<'c> {
    pub(super) ctx: Context<'c>,
    /// Bytes the functions may still produce.
    memory: usize,
    /// All arguments of a function are evaluated, also those that `case` would not need.
    pub(super) eager: bool,
}

impl<'c> Evaluation<'c> {
    pub(super) fn new(ctx: &Context<'c>) -> Self {
        Self { ctx: *ctx, memory: MAX_MEMORY, eager: false }
    }

    /// One that evaluates all arguments of a function.
    pub(super) fn eager(ctx: &Context<'c>) -> Self {
        Self { eager: true, ..Self::new(ctx) }
    }

    /// Takes bytes from the budget.
    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), ExprError> {
        match self.memory.checked_sub(bytes) {
            Some(left) => {
                self.memory = left;
                Ok(())
            }
            None => Err(ExprError("The maximum allowed memory size was exceeded".into())),
        }
    }

    pub(super) fn eval(&mut self, expr: &Expr) -> Result<Val<'c>, ExprError> {
        Ok(match expr {
            Expr::Null => Val::Null,
            Expr::Bool(b) => Val::Bool(*b),
            Expr::Number(n) => Val::Number(*n),
            Expr::String(s) => {
                self.spend(s.len())?;
                Val::String(s.clone().into())
            }
            Expr::Context(name) => self.root(name).map_or(Val::Null, Val::borrow),
            Expr::Call(name, args) => functions::call(self, name, args)?,
            Expr::Index(left, index) => {
                // only the names of environment variables have case
                let exact = self.ctx.env_case && matches!(&**left, Expr::Context(name) if name == "env");
                let left = self.eval(left)?;
                let index = self.eval(index)?;
                access(&left, &index, exact)
            }
            Expr::Filter(left) => {
                let left = self.eval(left)?;
                filter(&left)
            }
            Expr::Not(inner) => Val::Bool(!self.eval(inner)?.truthy()),
            Expr::Compare(op, left, right) => {
                let (left, right) = (self.eval(left)?, self.eval(right)?);
                let order = || left.compare(&right);
                Val::Bool(match op {
                    Op::Eq => left.loosely_equals(&right),
                    Op::Ne => !left.loosely_equals(&right),
                    Op::Lt => order().is_some_and(std::cmp::Ordering::is_lt),
                    // the same list equals itself, though lists have no order
                    Op::Le => left.loosely_equals(&right) || order().is_some_and(std::cmp::Ordering::is_lt),
                    Op::Gt => order().is_some_and(std::cmp::Ordering::is_gt),
                    Op::Ge => left.loosely_equals(&right) || order().is_some_and(std::cmp::Ordering::is_gt),
                })
            }
            Expr::And(items) => self.until(items, false)?,
            Expr::Or(items) => self.until(items, true)?,
        })
    }

    /// A context by its lower-case name.
    fn root(&self, name: &str) -> Option<&'c Json> {
        let Json::Object(roots) = self.ctx.roots else { return None };
        roots.get(name).or_else(|| roots.iter().find(|(k, _)| k.to_lowercase() == name).map(|(_, v)| v))
    }

    /// What became of a job that this one needs.
    pub(super) fn result_of(&self, job: &str) -> Option<&'c str> {
        let Json::Object(needs) = self.root("needs")? else { return None };
        let (_, found) = needs.iter().find(|(name, _)| same(name, job))?;
        found.get("result")?.as_str()
    }

    /// The first operand whose truth is `stop`, else the last one.
    fn until(&mut self, items: &[Expr], stop: bool) -> Result<Val<'c>, ExprError> {
        let mut last = Val::Null;
        for item in items {
            last = self.eval(item)?;
            if last.truthy() == stop {
                break;
            }
        }
        Ok(last)
    }
}

fn property<'c, 'j>(object: &'j serde_json::Map<String, Json>, key: &str, exact: bool, make: fn(&'j Json) -> Val<'c>) -> Option<Val<'c>> {
    object.get(key).or_else(|| if exact { None } else { object.iter().find(|(k, _)| same(k, key)).map(|(_, v)| v) }).map(make)
}

/// One step of access into a tree; none when there is nothing.
fn step<'c, 'j>(tree: &'j Json, index: &Val<'_>, exact: bool, make: fn(&'j Json) -> Val<'c>) -> Option<Val<'c>> {
    match tree {
        Json::Object(object) if index.is_primitive() => property(object, &index.to_text(), exact, make),
        Json::Array(items) => items.get(index.to_index()?).map(make),
        _ => None,
    }
}

fn access_one<'c>(value: &Val<'c>, index: &Val<'_>, exact: bool) -> Option<Val<'c>> {
    match value {
        Val::Ref(tree) => step(tree, index, exact, Val::borrow),
        Val::Own(tree) => step(tree, index, exact, |v| Val::own(v.clone())),
        _ => None,
    }
}

fn access<'c>(left: &Val<'c>, index: &Val<'_>, exact: bool) -> Val<'c> {
    match left {
        Val::Filtered(items) => Val::Filtered(items.iter().filter_map(|v| access_one(v, index, exact)).collect()),
        other => access_one(other, index, exact).unwrap_or(Val::Null),
    }
}

fn children<'c>(value: &Val<'c>) -> Vec<Val<'c>> {
    match value {
        Val::Ref(Json::Object(map)) => map.values().map(Val::borrow).collect(),
        Val::Own(json) => match &**json {
            Json::Object(map) => map.values().map(|v| Val::own(v.clone())).collect(),
            _ => value.items().unwrap_or_default(),
        },
        other => other.items().unwrap_or_default(),
    }
}

fn filter<'c>(left: &Val<'c>) -> Val<'c> {
    match left {
        Val::Filtered(items) => Val::Filtered(items.iter().flat_map(children).collect()),
        other => Val::Filtered(children(other)),
    }
}
