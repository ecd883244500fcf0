//! Operators, properties and conversions.

use std::cmp::Ordering;

use indexmap::IndexMap;
use regex::Regex;

use super::super::ast::Expr;
use super::value::{BuildResult, Exception, Value, lock};
use super::{Context, Eval, Frame, Interp, exception, unsupported};

/// Largest text.
const MAX_TEXT: usize = 16 << 20;
/// Longest range.
const MAX_RANGE: i64 = 1_000_000;

fn wrong(message: String, at: u32) -> Box<Exception> {
    exception("groovy.lang.MissingMethodException", message, at)
}

impl Interp<'_> {
    /// Is there room for a text of that length?
    pub(super) fn room(&self, length: usize, at: u32) -> Eval<()> {
        if length > MAX_TEXT {
            return Err(super::limit(format!("a text is larger than {} MiB", MAX_TEXT >> 20), at));
        }
        Ok(())
    }

    pub(super) fn binary(&self, op: &str, left: &Expr, right: &Expr, f: &Frame<'_>, at: u32) -> Eval<Value> {
        let a = self.eval(left, f)?;
        match op {
            "&&" if !a.truth() => return Ok(Value::Bool(false)),
            "||" if a.truth() => return Ok(Value::Bool(true)),
            "&&" | "||" => return Ok(Value::Bool(self.eval(right, f)?.truth())),
            _ => {}
        }
        let b = self.eval(right, f)?;
        self.operate(op, &a, &b, at)
    }

    pub(super) fn operate(&self, op: &str, a: &Value, b: &Value, at: u32) -> Eval<Value> {
        let yes = |b: bool| Ok(Value::Bool(b));
        match op {
            "==" | "===" => return yes(a.same(b)),
            "!=" | "!==" => return yes(!a.same(b)),
            "<" | "<=" | ">" | ">=" | "<=>" => {
                let Some(order) = a.order(b) else {
                    return Err(wrong(format!("Cannot compare {} with value '{a}' and {} with value '{b}'", a.class(), b.class()), at));
                };
                return match op {
                    "<" => yes(order == Ordering::Less),
                    "<=" => yes(order != Ordering::Greater),
                    ">" => yes(order == Ordering::Greater),
                    ">=" => yes(order != Ordering::Less),
                    _ => Ok(Value::Int(order as i64)),
                };
            }
            "in" => {
                return match b {
                    Value::List(_) => yes(b.items().unwrap_or_default().iter().any(|v| v.same(a))),
                    Value::Map(map) => yes(lock(map).contains_key(&a.to_string())),
                    _ => yes(a.same(b)),
                };
            }
            "=~" => {
                let re = self.regex(&b.to_string(), at)?;
                return Ok(found(&re, &a.to_string()));
            }
            "==~" => {
                let re = self.regex(&format!("^(?:{b})$"), at)?;
                return yes(re.is_match(&a.to_string()));
            }
            _ => {}
        }
        match (op, a, b) {
            ("+", Value::Str(a), b) => self.joined(a, &b.to_string(), at),
            ("+", a, Value::Str(b)) if !matches!(a, Value::List(_) | Value::Map(_)) => self.joined(&a.to_string(), b, at),
            ("+", Value::List(list), b) => {
                let mut items = lock(list).clone();
                match b {
                    Value::List(more) => items.extend(lock(more).iter().cloned()),
                    other => items.push(other.clone()),
                }
                self.grow(items.len() * 32, at)?;
                Ok(Value::list(items))
            }
            ("+", Value::Map(a), Value::Map(b)) => {
                let mut map = lock(a).clone();
                map.extend(lock(b).clone());
                self.grow(map.len() * 64, at)?;
                Ok(Value::map(map))
            }
            ("-", Value::Str(a), b) => Ok(a.replacen(&b.to_string(), "", 1).into()),
            ("-", Value::List(list), b) => {
                let unwanted = b.items().unwrap_or_else(|| vec![b.clone()]);
                // never compared under the lock: a value may hold the list itself
                let items = lock(list).clone();
                Ok(Value::list(items.into_iter().filter(|v| !unwanted.iter().any(|u| u.same(v))).collect()))
            }
            ("*", Value::Str(text), Value::Int(n)) => {
                let count = usize::try_from(*n).unwrap_or(0);
                self.room(text.len().saturating_mul(count), at)?;
                self.grow(text.len() * count, at)?;
                Ok(text.repeat(count).into())
            }
            ("<<", Value::List(list), b) => {
                self.grow(32, at)?;
                lock(list).push(b.clone());
                Ok(a.clone())
            }
            ("<<", Value::Str(a), b) => self.joined(a, &b.to_string(), at),
            (_, Value::Int(x), Value::Int(y)) => integers(op, *x, *y, at),
            _ => match (a.number(), b.number()) {
                (Some(x), Some(y)) => match op {
                    "+" => Ok(Value::Decimal(x + y)),
                    "-" => Ok(Value::Decimal(x - y)),
                    "*" => Ok(Value::Decimal(x * y)),
                    "/" if y != 0.0 => Ok(Value::Decimal(x / y)),
                    "%" if y != 0.0 => Ok(Value::Decimal(x % y)),
                    "**" => Ok(Value::Decimal(x.powf(y))),
                    "/" | "%" => Err(exception("java.lang.ArithmeticException", "Division by zero", at)),
                    _ => Err(wrong(format!("no operator {op} between {} and {}", a.class(), b.class()), at)),
                },
                _ => Err(wrong(
                    format!("No signature of method: {}.{} is applicable for argument types: ({})", a.class(), name_of(op), b.class()),
                    at,
                )),
            },
        }
    }

    fn joined(&self, a: &str, b: &str, at: u32) -> Eval<Value> {
        self.room(a.len() + b.len(), at)?;
        self.grow(a.len() + b.len(), at)?;
        Ok(format!("{a}{b}").into())
    }

    pub(crate) fn regex(&self, pattern: &str, at: u32) -> Eval<Regex> {
        regex::RegexBuilder::new(pattern)
            .size_limit(1 << 20)
            .build()
            .map_err(|e| exception("java.util.regex.PatternSyntaxException", format!("{pattern}: {e}"), at))
    }

    pub(super) fn range(&self, from: &Value, to: &Value, inclusive: bool, at: u32) -> Eval<Value> {
        if let (Value::Str(a), Value::Str(b)) = (from, to)
            && let (Some(a), Some(b)) = (a.chars().next(), b.chars().next())
        {
            return Ok(Value::list((a..=b).map(|c| Value::from(c.to_string())).collect()));
        }
        let (Value::Int(a), Value::Int(b)) = (from, to) else {
            return Err(wrong(format!("no range from {} to {}", from.class(), to.class()), at));
        };
        if a.abs_diff(*b) > MAX_RANGE as u64 {
            return Err(super::limit(format!("a range is longer than {MAX_RANGE}"), at));
        }
        self.grow(usize::try_from(a.abs_diff(*b)).unwrap_or(0) * 32, at)?;
        let items: Vec<Value> = match (a <= b, inclusive) {
            (true, true) => (*a..=*b).map(Value::Int).collect(),
            (true, false) => (*a..*b).map(Value::Int).collect(),
            (false, true) => (*b..=*a).rev().map(Value::Int).collect(),
            (false, false) => (*b + 1..=*a).rev().map(Value::Int).collect(),
        };
        Ok(Value::list(items))
    }

    /// What a loop goes over.
    pub(super) fn each(&self, value: &Value, at: u32) -> Eval<Vec<Value>> {
        match value {
            Value::Null => Ok(Vec::new()),
            Value::List(list) => Ok(lock(list).clone()),
            Value::Map(map) => Ok(lock(map).iter().map(|(k, v)| entry(k, v)).collect()),
            Value::Str(text) => {
                self.grow(text.len() * 32, at)?;
                Ok(text.chars().map(|c| Value::from(c.to_string())).collect())
            }
            other => Ok(vec![other.clone()]),
        }
    }

    pub(super) fn index(&self, value: &Value, index: &Value, ctx: &Context, at: u32) -> Eval<Value> {
        match (value, index) {
            (Value::Null, _) => Err(exception("java.lang.NullPointerException", format!("Cannot get {index} on null object"), at)),
            (Value::List(list), Value::Int(n)) => {
                let list = lock(list);
                let n = if *n < 0 { n + i64::try_from(list.len()).unwrap_or(0) } else { *n };
                Ok(usize::try_from(n).ok().and_then(|n| list.get(n)).cloned().unwrap_or(Value::Null))
            }
            (Value::List(list), Value::List(wanted)) => {
                let list = lock(list).clone();
                let wanted = lock(wanted).clone();
                let whole = Value::list(list);
                wanted.iter().map(|i| self.index(&whole, i, ctx, at)).collect::<Eval<Vec<_>>>().map(Value::list)
            }
            (Value::Str(text), _) => {
                let chars: Vec<char> = text.chars().collect();
                let one = |n: i64| {
                    let n = if n < 0 { n + i64::try_from(chars.len()).unwrap_or(0) } else { n };
                    usize::try_from(n).ok().and_then(|n| chars.get(n)).copied()
                };
                let wanted: Vec<i64> = match index {
                    Value::Int(n) => vec![*n],
                    // a range that counts down to -1 means up to the end
                    Value::List(items) => {
                        let items: Vec<i64> =
                            lock(items).iter().filter_map(|v| if let Value::Int(n) = v { Some(*n) } else { None }).collect();
                        match (items.first(), items.last()) {
                            (Some(a), Some(b)) if *a >= 0 && *b < 0 => (*a..=b + i64::try_from(chars.len()).unwrap_or(0)).collect(),
                            _ => items,
                        }
                    }
                    _ => return Err(wrong(format!("no index {} of a text", index.class()), at)),
                };
                let out: Option<String> = wanted.into_iter().map(one).collect();
                let outside = || exception("java.lang.StringIndexOutOfBoundsException", "String index out of range", at);
                out.map(Value::from).ok_or_else(outside)
            }
            _ => self.property(value, &index.to_string(), ctx, at),
        }
    }

    pub(super) fn property(&self, value: &Value, name: &str, ctx: &Context, at: u32) -> Eval<Value> {
        match value {
            Value::Null => Err(exception("java.lang.NullPointerException", format!("Cannot get property '{name}' on null object"), at)),
            Value::Map(map) => Ok(lock(map).get(name).cloned().unwrap_or(Value::Null)),
            Value::Env => Ok(self.env(ctx).get(name).map_or(Value::Null, |v| Value::from(v.as_str()))),
            Value::Build => self.build_property(name, at),
            Value::Module(module) => self.module_property(module, name, ctx, at),
            Value::Exception(e) if name == "message" => Ok(Value::from(e.message.as_str())),
            Value::List(_) if name == "size" => self.length(value),
            Value::List(list) => {
                let items = lock(list).clone();
                items.iter().map(|v| self.property(v, name, ctx, at)).collect::<Eval<Vec<_>>>().map(Value::list)
            }
            Value::Str(text) if name == "bytes" => Ok(Value::list(text.bytes().map(|b| Value::Int(b.into())).collect())),
            other => {
                let message = format!("No such property: {name} for class: {}", other.class());
                Err(exception("groovy.lang.MissingPropertyException", message, at))
            }
        }
    }

    pub(super) fn length(&self, value: &Value) -> Eval<Value> {
        Ok(match value {
            Value::List(list) => lock(list).len().into(),
            Value::Map(map) => lock(map).len().into(),
            Value::Str(text) => text.chars().count().into(),
            _ => Value::Int(1),
        })
    }

    fn build_property(&self, name: &str, at: u32) -> Eval<Value> {
        let result = *lock(&self.shared.result);
        Ok(match name {
            "result" if result == BuildResult::Success => Value::Null,
            "result" | "currentResult" => result.as_str().into(),
            "duration" => Value::Int(i64::try_from(self.host.now()).unwrap_or(i64::MAX)),
            "durationString" => format!("{} ms", self.host.now()).into(),
            "buildVariables" => Value::map(lock(&self.shared.env).iter().map(|(k, v)| (k.clone(), v.as_str().into())).collect()),
            "rawBuild" => return Err(unsupported("`currentBuild.rawBuild`", at)),
            _ => {
                let found = lock(&self.shared.build).get(name).cloned();
                return found.ok_or_else(|| {
                    exception("groovy.lang.MissingPropertyException", format!("No such property: {name} for class: RunWrapper"), at)
                });
            }
        })
    }

    pub(super) fn set_property(&self, object: &Value, name: &str, value: Value, f: &Frame<'_>, at: u32) -> Eval<()> {
        match object {
            Value::Map(map) => {
                self.grow(name.len() + 32, at)?;
                lock(map).insert(name.to_owned(), value);
                Ok(())
            }
            Value::Env => {
                lock(&self.shared.env).insert(name.to_owned(), value.to_string());
                Ok(())
            }
            Value::Module(module) => {
                module.globals.declare(name, value);
                Ok(())
            }
            Value::Closure(closure) if matches!(name, "delegate" | "resolveStrategy") => {
                if let ("delegate", Value::Map(map)) = (name, &value) {
                    *lock(&closure.delegate) = Some(std::sync::Arc::clone(map));
                }
                Ok(())
            }
            Value::Build if name == "result" => {
                let Some(result) = BuildResult::parse(&value.to_string()) else {
                    return Err(exception("java.lang.IllegalArgumentException", format!("{value} is no result of a build"), at));
                };
                self.worsen(f.ctx, result);
                Ok(())
            }
            Value::Build if matches!(name, "displayName" | "description") => {
                lock(&self.shared.build).insert(name.to_owned(), value);
                Ok(())
            }
            Value::Null => Err(exception("java.lang.NullPointerException", format!("Cannot set property '{name}' on null object"), at)),
            other => {
                let message = format!("No such property: {name} for class: {}", other.class());
                Err(exception("groovy.lang.MissingPropertyException", message, at))
            }
        }
    }

    pub(super) fn coerce(&self, ty: &str, value: Value, at: u32) -> Eval<Value> {
        let short = ty.rsplit('.').next().unwrap_or_default();
        if matches!(value, Value::Null) && short != "boolean" {
            return Ok(Value::Null);
        }
        let refuse = |value: &Value| {
            let message = format!("Cannot cast object '{value}' with class '{}' to class '{ty}'", value.class());
            Err(exception("org.codehaus.groovy.runtime.typehandling.GroovyCastException", message, at))
        };
        match short {
            "String" | "GString" | "CharSequence" => Ok(value.to_string().into()),
            "boolean" | "Boolean" => Ok(Value::Bool(value.truth())),
            "int" | "Integer" | "long" | "Long" | "short" | "Short" | "byte" | "Byte" | "BigInteger" => match &value {
                Value::Int(_) => Ok(value),
                #[expect(clippy::cast_possible_truncation, reason = "as a cast in Groovy does")]
                Value::Decimal(n) => Ok(Value::Int(*n as i64)),
                Value::Str(text) => match text.trim().parse() {
                    Ok(n) => Ok(Value::Int(n)),
                    Err(_) => refuse(&value),
                },
                _ => refuse(&value),
            },
            "double" | "Double" | "float" | "Float" | "BigDecimal" => match value.number() {
                Some(n) => Ok(Value::Decimal(n)),
                None => value.to_string().trim().parse().map(Value::Decimal).or_else(|_| refuse(&value)),
            },
            "List" | "ArrayList" | "Collection" | "Set" | "HashSet" | "LinkedHashSet" => {
                let mut items = self.each(&value, at)?;
                if short.ends_with("Set") {
                    let mut unique: Vec<Value> = Vec::new();
                    for item in items {
                        if !unique.iter().any(|u| u.same(&item)) {
                            unique.push(item);
                        }
                    }
                    items = unique;
                }
                Ok(if matches!(value, Value::List(_)) && !short.ends_with("Set") { value } else { Value::list(items) })
            }
            _ => Ok(value),
        }
    }

    pub(super) fn construct(&self, ty: &str, args: &[Value], at: u32) -> Eval<Value> {
        let short = ty.rsplit('.').next().unwrap_or_default();
        let text = args.first().map(ToString::to_string).unwrap_or_default();
        Ok(match short {
            "ArrayList" | "LinkedList" | "HashSet" | "LinkedHashSet" => match args.first() {
                Some(v @ Value::List(_)) => Value::list(v.items().unwrap_or_default()),
                _ => Value::list(Vec::new()),
            },
            "HashMap" | "LinkedHashMap" | "TreeMap" => Value::map(args.first().and_then(Value::entries).unwrap_or_default()),
            "String" | "StringBuilder" | "StringBuffer" => text.into(),
            name if name.ends_with("Exception") || matches!(name, "Error" | "Throwable") => {
                let mut e = exception(ty, text, at);
                if name == "FlowInterruptedException" {
                    e.result = BuildResult::Aborted;
                }
                Value::Exception(std::sync::Arc::new(*e))
            }
            "Date" | "Random" | "SimpleDateFormat" => {
                return Err(unsupported(&format!("`new {ty}`: a run gives the same result each time, so it"), at));
            }
            _ => return self.instance(ty, args, at),
        })
    }

    pub(super) fn static_call(&self, class: &str, method: &str, args: &[Value], at: u32) -> Eval<Value> {
        let first = args.first().cloned().unwrap_or(Value::Null);
        match (class, method) {
            ("Math", "max" | "min") => {
                let second = args.get(1).cloned().unwrap_or(Value::Null);
                let greater = first.order(&second) == Some(Ordering::Greater);
                Ok(if greater == (method == "max") { first } else { second })
            }
            ("Math", "abs") => Ok(match first {
                Value::Int(n) => Value::Int(n.wrapping_abs()),
                other => Value::Decimal(other.number().unwrap_or(f64::NAN).abs()),
            }),
            ("Integer" | "Long", "parseInt" | "parseLong" | "valueOf") => self.coerce("int", first, at),
            ("Double" | "Float", "parseDouble" | "parseFloat" | "valueOf") => self.coerce("double", first, at),
            ("Boolean", "parseBoolean" | "valueOf") => Ok(Value::Bool(first.to_string().eq_ignore_ascii_case("true"))),
            ("String", "valueOf") => Ok(first.to_string().into()),
            ("String", "join") => {
                let rest = match args.get(1) {
                    Some(v @ Value::List(_)) => v.items().unwrap_or_default(),
                    _ => args.iter().skip(1).cloned().collect(),
                };
                Ok(rest.iter().map(ToString::to_string).collect::<Vec<_>>().join(&first.to_string()).into())
            }
            _ => Err(unsupported(&format!("{class}.{method}"), at)),
        }
    }

    /// Does a `case` take the value?
    pub(super) fn matches(&self, pattern: &Value, value: &Value, ctx: &Context, at: u32) -> Eval<bool> {
        Ok(match pattern {
            Value::List(_) => pattern.items().unwrap_or_default().iter().any(|v| v.same(value)),
            Value::Closure(closure) => self.invoke(closure, vec![value.clone()], ctx, at)?.truth(),
            // `case ~/x/` is a text by now: a pattern is tried when the texts differ
            Value::Str(text) => {
                pattern.same(value)
                    || (text.contains(['*', '+', '.', '[', '(', '\\', '^', '$'])
                        && self.regex(&format!("^(?:{text})$"), at).is_ok_and(|re| re.is_match(&value.to_string())))
            }
            _ => pattern.same(value),
        })
    }
}

fn integers(op: &str, x: i64, y: i64, at: u32) -> Eval<Value> {
    let overflow = || exception("java.lang.ArithmeticException", "long overflow", at);
    let whole = |n: Option<i64>| n.map(Value::Int).ok_or_else(overflow);
    match op {
        "+" => whole(x.checked_add(y)),
        "-" => whole(x.checked_sub(y)),
        "*" => whole(x.checked_mul(y)),
        "/" | "%" if y == 0 => Err(exception("java.lang.ArithmeticException", "Division by zero", at)),
        "/" if x.checked_rem(y) == Some(0) => whole(x.checked_div(y)),
        #[expect(clippy::cast_precision_loss, reason = "as Groovy divides")]
        "/" => Ok(Value::Decimal(x as f64 / y as f64)),
        "%" => whole(x.checked_rem(y)),
        "**" => u32::try_from(y).ok().map_or_else(|| Err(overflow()), |y| whole(x.checked_pow(y))),
        "&" => Ok(Value::Int(x & y)),
        "|" => Ok(Value::Int(x | y)),
        "^" => Ok(Value::Int(x ^ y)),
        "<<" => Ok(Value::Int(x.wrapping_shl(u32::try_from(y & 63).unwrap_or(0)))),
        ">>" => Ok(Value::Int(x.wrapping_shr(u32::try_from(y & 63).unwrap_or(0)))),
        _ => Err(wrong(format!("no operator {op} between numbers"), at)),
    }
}

fn name_of(op: &str) -> &str {
    match op {
        "+" => "plus",
        "-" => "minus",
        "*" => "multiply",
        "/" => "div",
        "%" => "mod",
        "<<" => "leftShift",
        other => other,
    }
}

/// What a pattern finds: texts, or lists of groups.
fn found(re: &Regex, text: &str) -> Value {
    let one = |c: regex::Captures<'_>| {
        let groups: Vec<Value> = c.iter().map(|g| g.map_or(Value::Null, |g| Value::from(g.as_str()))).collect();
        if groups.len() == 1 { groups[0].clone() } else { Value::list(groups) }
    };
    Value::list(re.captures_iter(text).take(10_000).map(one).collect())
}

/// An entry of a map as closures see it.
pub(super) fn entry(key: &str, value: &Value) -> Value {
    Value::map(IndexMap::from([("key".to_owned(), Value::from(key)), ("value".to_owned(), value.clone())]))
}
