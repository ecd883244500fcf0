//! Methods of texts and numbers.

use std::sync::Arc;

use super::*;

impl Interp<'_> {
    pub(super) fn text_method(&self, t: &Arc<str>, name: &str, args: &[Value], ctx: &Context, at: u32) -> Eval<Option<Value>> {
        let text = |i: usize| args.get(i).map(ToString::to_string).unwrap_or_default();
        let number = |i: usize| if let Some(Value::Int(n)) = args.get(i) { usize::try_from(*n).unwrap_or(0) } else { 0 };
        let outside = || exception("java.lang.StringIndexOutOfBoundsException", "String index out of range", at);
        Ok(Some(match name {
            "trim" => t.trim_matches(|c: char| c <= ' ').into(),
            "strip" => t.trim().into(),
            "toUpperCase" => t.to_uppercase().into(),
            "toLowerCase" => t.to_lowercase().into(),
            "capitalize" => {
                let mut chars = t.chars();
                chars.next().map(|c| c.to_uppercase().chain(chars).collect::<String>()).unwrap_or_default().into()
            }
            "length" | "size" => t.chars().count().into(),
            "isEmpty" => t.is_empty().into(),
            "isBlank" | "isAllWhitespace" => t.trim().is_empty().into(),
            "contains" => t.contains(&text(0)).into(),
            "startsWith" => t.starts_with(&text(0)).into(),
            "endsWith" => t.ends_with(&text(0)).into(),
            "equalsIgnoreCase" => (t.to_lowercase() == text(0).to_lowercase()).into(),
            "compareTo" => Value::Int((**t).cmp(text(0).as_str()) as i64),
            "indexOf" => Value::Int(t.find(&text(0)).map_or(-1, |i| i64::try_from(t[..i].chars().count()).unwrap_or(-1))),
            "lastIndexOf" => Value::Int(t.rfind(&text(0)).map_or(-1, |i| i64::try_from(t[..i].chars().count()).unwrap_or(-1))),
            "concat" => return self.operate("+", &Value::Str(Arc::clone(t)), args.first().unwrap_or(&Value::Null), at).map(Some),
            "replace" => {
                let (from, to) = (text(0), text(1));
                let count = t.matches(from.as_str()).count();
                self.room(t.len() + count.saturating_mul(to.len()), at)?;
                self.grow(t.len() + count * to.len(), at)?;
                t.replace(&from, &to).into()
            }
            "replaceAll" | "replaceFirst" => {
                let re = self.regex(&text(0), at)?;
                let limit = usize::from(name == "replaceFirst");
                if let Some(Value::Closure(closure)) = args.get(1) {
                    let mut out = String::new();
                    let mut from = 0;
                    for found in re.find_iter(t) {
                        out.push_str(&t[from..found.start()]);
                        out.push_str(&self.invoke(closure, vec![found.as_str().into()], ctx, at)?.to_string());
                        from = found.end();
                    }
                    out.push_str(&t[from..]);
                    return Ok(Some(out.into()));
                }
                let to = groups(&text(1));
                let count = re.find_iter(t).count();
                self.room(t.len() + count.saturating_mul(to.len() + 16), at)?;
                let out = re.replacen(t, limit, to.as_str()).into_owned();
                self.grow(out.len(), at)?;
                out.into()
            }
            "split" | "tokenize" => {
                self.grow(t.len() * 8, at)?;
                let pieces: Vec<Value> = if name == "tokenize" {
                    let separators = if args.is_empty() { " \t\n\r\u{c}".to_owned() } else { text(0) };
                    t.split(|c| separators.contains(c)).filter(|p| !p.is_empty()).map(Value::from).collect()
                } else if args.is_empty() {
                    t.split_whitespace().map(Value::from).collect()
                } else {
                    let re = self.regex(&text(0), at)?;
                    let limit = number(1);
                    let mut pieces: Vec<&str> = if limit > 0 { re.splitn(t, limit).collect() } else { re.split(t).collect() };
                    // Java drops an empty first piece of an empty match, and empty pieces at the end
                    if pieces.first() == Some(&"") && re.is_match("") {
                        pieces.remove(0);
                    }
                    while limit == 0 && pieces.len() > 1 && pieces.last() == Some(&"") {
                        pieces.pop();
                    }
                    pieces.into_iter().map(Value::from).collect()
                };
                Value::list(pieces)
            }
            "readLines" | "lines" => {
                self.grow(t.len() * 2, at)?;
                Value::list(t.lines().map(Value::from).collect())
            }
            "eachLine" => {
                if let Some(Value::Closure(closure)) = args.last() {
                    for line in t.lines() {
                        self.invoke(closure, vec![line.into()], ctx, at)?;
                    }
                }
                Value::Null
            }
            "substring" | "take" | "drop" => {
                let chars: Vec<char> = t.chars().collect();
                let (from, to) = match name {
                    "take" => (0, number(0).min(chars.len())),
                    "drop" => (number(0).min(chars.len()), chars.len()),
                    _ => (number(0), if args.len() > 1 { number(1) } else { chars.len() }),
                };
                chars.get(from..to).ok_or_else(outside)?.iter().collect::<String>().into()
            }
            "charAt" | "getAt" => return self.index(&Value::Str(Arc::clone(t)), args.first().unwrap_or(&Value::Null), ctx, at).map(Some),
            "reverse" => t.chars().rev().collect::<String>().into(),
            "padLeft" | "padRight" | "center" => {
                let width = number(0);
                self.room(width, at)?;
                let pad = text(1).chars().next().unwrap_or(' ');
                let missing = width.saturating_sub(t.chars().count());
                let left = match name {
                    "padLeft" => missing,
                    "padRight" => 0,
                    _ => missing / 2,
                };
                let fill = |n: usize| std::iter::repeat_n(pad, n).collect::<String>();
                format!("{}{t}{}", fill(left), fill(missing - left)).into()
            }
            "stripIndent" => {
                let least =
                    t.lines().filter(|l| !l.trim().is_empty()).map(|l| l.len() - l.trim_start_matches(' ').len()).min().unwrap_or(0);
                t.lines().map(|l| l.get(least..).unwrap_or_default()).collect::<Vec<_>>().join("\n").into()
            }
            "stripMargin" => t.lines().map(|l| l.trim_start().strip_prefix('|').unwrap_or(l)).collect::<Vec<_>>().join("\n").into(),
            "toInteger" | "toLong" | "intValue" => return self.coerce("int", Value::Str(Arc::clone(t)), at).map(Some),
            "toDouble" | "toFloat" | "toBigDecimal" => return self.coerce("double", Value::Str(Arc::clone(t)), at).map(Some),
            "toBoolean" => matches!(t.trim().to_lowercase().as_str(), "true" | "y" | "1").into(),
            "isNumber" | "isInteger" | "isLong" | "isDouble" => {
                let whole = matches!(name, "isInteger" | "isLong");
                (if whole { t.trim().parse::<i64>().is_ok() } else { t.trim().parse::<f64>().is_ok() }).into()
            }
            "matches" => self.regex(&format!("^(?:{})$", text(0)), at)?.is_match(t).into(),
            "count" => t.matches(text(0).as_str()).count().into(),
            "toList" | "toCharArray" => Value::list(self.each(&Value::Str(Arc::clone(t)), at)?),
            "each" => {
                if let Some(Value::Closure(closure)) = args.last() {
                    for c in self.each(&Value::Str(Arc::clone(t)), at)? {
                        self.invoke(closure, vec![c], ctx, at)?;
                    }
                }
                Value::Null
            }
            "format" => return Err(super::super::unsupported("String.format", at)),
            "multiply" | "plus" | "minus" => {
                let op = match name {
                    "multiply" => "*",
                    "plus" => "+",
                    _ => "-",
                };
                return self.operate(op, &Value::Str(Arc::clone(t)), args.first().unwrap_or(&Value::Null), at).map(Some);
            }
            "append" => return self.operate("+", &Value::Str(Arc::clone(t)), args.first().unwrap_or(&Value::Null), at).map(Some),
            _ => return Ok(None),
        }))
    }

    pub(super) fn number_method(&self, value: &Value, name: &str, args: &[Value], ctx: &Context, at: u32) -> Eval<Option<Value>> {
        Ok(Some(match (name, value, args) {
            ("times", Value::Int(n), [.., Value::Closure(closure)]) => {
                for i in 0..*n {
                    self.invoke(closure, vec![Value::Int(i)], ctx, at)?;
                }
                Value::Null
            }
            ("upto", Value::Int(from), [Value::Int(to), Value::Closure(closure)]) => {
                for i in *from..=*to {
                    self.invoke(closure, vec![Value::Int(i)], ctx, at)?;
                }
                Value::Null
            }
            ("toInteger" | "intValue" | "toLong" | "longValue", ..) => self.coerce("int", value.clone(), at)?,
            ("toDouble" | "doubleValue" | "toBigDecimal", ..) => self.coerce("double", value.clone(), at)?,
            ("abs", Value::Int(n), _) => Value::Int(n.wrapping_abs()),
            ("compareTo", _, [other]) => Value::Int(value.order(other).unwrap_or(Ordering::Equal) as i64),
            _ => return Ok(None),
        }))
    }
}

/// `$1` of Java as `${1}`, and `\$` as a dollar.
fn groups(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('$') => out.push_str("$$"),
                Some(other) => out.push(other),
                None => {}
            },
            '$' if chars.peek().is_some_and(char::is_ascii_digit) => {
                out.push_str("${");
                out.extend(chars.next());
                out.push('}');
            }
            '$' => out.push_str("$$"),
            other => out.push(other),
        }
    }
    out
}
