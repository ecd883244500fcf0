//! The functions of the language.

use std::borrow::Cow;
use std::rc::Rc;

use serde_json::Value as Json;

use super::ExprError;
use super::eval::Evaluation;
use super::parse::Expr;
use super::value::{Val, fold};

/// Is it one of the four that look at the status?
pub(super) fn is_status(name: &str) -> bool {
    matches!(name, "success" | "failure" | "always" | "cancelled")
}

/// Least and most arguments of a function, by lower-case name.
pub(super) fn arity(name: &str) -> Option<(usize, usize)> {
    Some(match name {
        "contains" | "startswith" | "endswith" => (2, 2),
        "format" => (1, 255),
        "join" => (1, 2),
        "tojson" | "fromjson" => (1, 1),
        "hashfiles" => (1, 255),
        "case" => (3, usize::MAX),
        // with names, of those jobs; only where the scope lets them
        "success" | "failure" => (0, usize::MAX),
        name if is_status(name) => (0, 0),
        _ => return None,
    })
}

fn missing(name: &str) -> ExprError {
    ExprError(format!("The function '{name}' is not available here"))
}

pub(super) fn call<'c>(e: &mut Evaluation<'c>, name: &str, args: &[Expr]) -> Result<Val<'c>, ExprError> {
    let text = |s: String| Val::String(Cow::Owned(s));
    let status = e.ctx.status;
    let hash_files = e.ctx.hash_files;
    // the number of arguments was checked by the parser
    Ok(match (name, args) {
        ("always", _) if status.is_some() => Val::Bool(true),
        ("success" | "failure", [_, ..]) if status.is_some() => {
            let failed = name == "failure";
            let mut any = false;
            for arg in args {
                let job = e.eval(arg)?.to_text().into_owned();
                let result = e.result_of(&job);
                any |= if failed { result == Some("failure") } else { result != Some("success") };
            }
            Val::Bool(any == failed)
        }
        ("success", _) => Val::Bool(status.ok_or_else(|| missing(name))?.success),
        ("failure", _) => Val::Bool(status.ok_or_else(|| missing(name))?.failure),
        ("cancelled", _) => Val::Bool(status.ok_or_else(|| missing(name))?.cancelled),
        ("contains", [a, b]) => {
            let (search, item) = (e.eval(a)?, e.eval(b)?);
            Val::Bool(match search.items() {
                Some(items) => items.iter().any(|i| item.loosely_equals(i)),
                None => search.is_primitive() && item.is_primitive() && fold(&search.to_text()).contains(&*fold(&item.to_text())),
            })
        }
        ("startswith", [a, b]) => {
            let (search, item) = (e.eval(a)?, e.eval(b)?);
            Val::Bool(search.is_primitive() && item.is_primitive() && fold(&search.to_text()).starts_with(&*fold(&item.to_text())))
        }
        ("endswith", [a, b]) => {
            let (search, item) = (e.eval(a)?, e.eval(b)?);
            Val::Bool(search.is_primitive() && item.is_primitive() && fold(&search.to_text()).ends_with(&*fold(&item.to_text())))
        }
        ("format", [first, rest @ ..]) => {
            let pattern = e.eval(first)?.to_text().into_owned();
            let mut values = Vec::with_capacity(rest.len());
            for arg in rest {
                values.push(e.eval(arg)?.to_text());
            }
            text(format(e, &pattern, &values)?)
        }
        ("join", [list, rest @ ..]) => {
            let list = e.eval(list)?;
            let separator = match rest {
                [sep] => Some(e.eval(sep)?).filter(Val::is_primitive),
                _ => None,
            };
            let separator = separator.map_or(Cow::Borrowed(","), |s| s.to_text());
            match list.items() {
                Some(items) => {
                    let mut out = String::new();
                    for (i, item) in items.iter().enumerate() {
                        if i > 0 {
                            out.push_str(&separator);
                        }
                        out.push_str(&item.to_text());
                        e.spend(separator.len() + item.to_text().len())?;
                    }
                    text(out)
                }
                None if list.is_primitive() => Val::String(list.to_text()),
                None => text(String::new()),
            }
        }
        ("tojson", [value]) => {
            let mut json = match e.eval(value)? {
                Val::Number(n) if !n.is_finite() => Json::Null,
                value => value.into_json(),
            };
            written(&mut json);
            let out = serde_json::to_string_pretty(&json).map_err(|err| ExprError(format!("Error from function 'toJSON': {err}")))?;
            e.spend(out.len())?;
            text(out)
        }
        ("fromjson", [value]) => {
            let source = e.eval(value)?.to_text();
            if source.trim().is_empty() {
                return Err(ExprError("empty input".into()));
            }
            // a tree takes several times the bytes of its text
            e.spend(source.len().saturating_mul(4))?;
            let json: Json = serde_json::from_str(&source).map_err(|_| ExprError("Error parsing JSON when evaluating fromJson".into()))?;
            match json {
                json @ (Json::Array(_) | Json::Object(_)) => Val::Own(Rc::new(json)),
                scalar => Val::own(scalar),
            }
        }
        ("hashfiles", patterns) => {
            let hash = hash_files.ok_or_else(|| missing("hashFiles"))?;
            let mut list = Vec::with_capacity(patterns.len());
            for p in patterns {
                list.push(e.eval(p)?.to_text().into_owned());
            }
            text(hash(&list).map_err(|m| ExprError(format!("hashFiles('{}') failed: {m}", list.join("', '"))))?)
        }
        ("case", [rest @ .., default]) => {
            // GitHub's library evaluates all arguments before it looks at them, its runner those that it needs
            let ready = if e.eager { args.iter().map(|a| e.eval(a)).collect::<Result<Vec<_>, _>>()? } else { Vec::new() };
            let value = |e: &mut Evaluation<'c>, at: usize, arg: &Expr| match ready.get(at) {
                Some(value) => Ok(value.clone()),
                None => e.eval(arg),
            };
            for (pair, at) in rest.chunks_exact(2).zip((0..).step_by(2)) {
                match value(e, at, &pair[0])? {
                    Val::Bool(true) => return value(e, at + 1, &pair[1]),
                    Val::Bool(false) => {}
                    _ => return Err(ExprError("case predicate must evaluate to a boolean value".into())),
                }
            }
            value(e, rest.len(), default)?
        }
        _ => return Err(missing(name)),
    })
}

/// Whole numbers are written without a fraction or exponent, as JavaScript does below 10^21.
fn written(json: &mut Json) {
    match json {
        Json::Number(n) => {
            if let Some(f) = n.as_f64().filter(|f| n.is_f64() && f.fract() == 0.0 && f.abs() < 1e21) {
                *json = whole(f);
            }
        }
        Json::Array(items) => items.iter_mut().for_each(written),
        Json::Object(map) => map.values_mut().for_each(written),
        _ => {}
    }
}

fn whole(f: f64) -> Json {
    // beyond 64 bits JSON's numbers are floats anyway
    if f.abs() < 9.2e18 { Json::from(f as i64) } else { Json::from(f) }
}

fn format(e: &mut Evaluation<'_>, pattern: &str, values: &[Cow<'_, str>]) -> Result<String, ExprError> {
    let invalid = || ExprError(format!("The following format string is invalid: {pattern}"));
    let mut out = String::new();
    let mut rest = pattern;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            out.push_str(brace);
            rest = after;
            continue;
        }
        if brace == "}" {
            return Err(invalid());
        }
        let end = rest.find('}').ok_or_else(invalid)?;
        // what follows the digits would be a way to format, and there is none
        let digits = &rest[..rest.bytes().take_while(u8::is_ascii_digit).count()];
        if digits.is_empty() {
            return Err(invalid());
        }
        let value = digits
            .parse::<usize>()
            .ok()
            .and_then(|i| values.get(i))
            .ok_or_else(|| ExprError(format!("The following format string references more arguments than were supplied: {pattern}")))?;
        e.spend(value.len())?;
        out.push_str(value);
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    e.spend(pattern.len())?;
    Ok(out)
}
