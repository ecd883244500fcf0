//! Values while an expression runs, and the coercions between them.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::rc::Rc;

use serde_json::Value as Json;

/// A value. Objects and arrays of the contexts are borrowed; results of functions are owned.
#[derive(Clone, Debug)]
pub(super) enum Val<'c> {
    Null,
    Bool(bool),
    Number(f64),
    String(Cow<'c, str>),
    /// An array or object of a context.
    Ref(&'c Json),
    /// An array or object that a function made.
    Own(Rc<Json>),
    /// What `.*` gives: further access goes into each item.
    Filtered(Vec<Val<'c>>),
}

impl<'c> Val<'c> {
    pub(super) fn borrow(json: &'c Json) -> Self {
        match json {
            Json::Null => Val::Null,
            Json::Bool(b) => Val::Bool(*b),
            Json::Number(n) => Val::Number(n.as_f64().unwrap_or(f64::NAN)),
            Json::String(s) => Val::String(Cow::Borrowed(s)),
            Json::Array(_) | Json::Object(_) => Val::Ref(json),
        }
    }

    pub(super) fn own(json: Json) -> Self {
        match json {
            Json::Null => Val::Null,
            Json::Bool(b) => Val::Bool(b),
            Json::Number(n) => Val::Number(n.as_f64().unwrap_or(f64::NAN)),
            Json::String(s) => Val::String(Cow::Owned(s)),
            json @ (Json::Array(_) | Json::Object(_)) => Val::Own(Rc::new(json)),
        }
    }

    pub(super) fn into_json(self) -> Json {
        match self {
            Val::Null => Json::Null,
            Val::Bool(b) => Json::Bool(b),
            Val::Number(n) => json_number(n).unwrap_or_else(|| Json::String(number_text(n))),
            Val::String(s) => Json::String(s.into_owned()),
            Val::Ref(json) => json.clone(),
            Val::Own(json) => Rc::try_unwrap(json).unwrap_or_else(|json| (*json).clone()),
            Val::Filtered(items) => Json::Array(items.into_iter().map(Val::into_json).collect()),
        }
    }

    /// The object or array behind it.
    pub(super) fn tree(&self) -> Option<&Json> {
        match self {
            Val::Ref(json) => Some(json),
            Val::Own(json) => Some(json),
            _ => None,
        }
    }

    /// Its items, when it is a list.
    pub(super) fn items(&self) -> Option<Vec<Val<'c>>> {
        match self {
            Val::Filtered(items) => Some(items.clone()),
            Val::Ref(Json::Array(items)) => Some(items.iter().map(Val::borrow).collect()),
            Val::Own(json) => match &**json {
                Json::Array(items) => Some(items.iter().map(|v| Val::own(v.clone())).collect()),
                _ => None,
            },
            _ => None,
        }
    }

    pub(super) fn is_primitive(&self) -> bool {
        matches!(self, Val::Null | Val::Bool(_) | Val::Number(_) | Val::String(_))
    }

    pub(super) fn truthy(&self) -> bool {
        match self {
            Val::Null => false,
            Val::Bool(b) => *b,
            Val::Number(n) => *n != 0.0 && !n.is_nan(),
            Val::String(s) => !s.is_empty(),
            Val::Ref(_) | Val::Own(_) | Val::Filtered(_) => true,
        }
    }

    pub(super) fn to_text(&self) -> Cow<'c, str> {
        match self {
            Val::Null => Cow::Borrowed(""),
            Val::Bool(true) => Cow::Borrowed("true"),
            Val::Bool(false) => Cow::Borrowed("false"),
            Val::Number(n) => Cow::Owned(number_text(*n)),
            Val::String(s) => s.clone(),
            Val::Filtered(_) => Cow::Borrowed("Array"),
            Val::Ref(_) | Val::Own(_) => Cow::Borrowed(if matches!(self.tree(), Some(Json::Array(_))) { "Array" } else { "Object" }),
        }
    }

    fn to_number(&self) -> f64 {
        match self {
            Val::Null => 0.0,
            Val::Bool(b) => f64::from(u8::from(*b)),
            Val::Number(n) => *n,
            Val::String(s) => parse_number(s),
            Val::Ref(_) | Val::Own(_) | Val::Filtered(_) => f64::NAN,
        }
    }

    /// As an index into a list.
    pub(super) fn to_index(&self) -> Option<usize> {
        let n = self.to_number().floor();
        (0.0..1e9).contains(&n).then_some(n as usize)
    }

    /// `==` with coercion: the same kinds by value (texts without case), different primitives as numbers, lists and
    /// objects only if they are the same one.
    pub(super) fn loosely_equals(&self, other: &Val<'_>) -> bool {
        match (self, other) {
            (Val::Null, Val::Null) => true,
            (Val::Bool(a), Val::Bool(b)) => a == b,
            (Val::String(a), Val::String(b)) => same(a, b),
            (Val::Ref(a), Val::Ref(b)) => std::ptr::eq(*a, *b),
            (Val::Own(a), Val::Own(b)) => Rc::ptr_eq(a, b),
            (a, b) if a.is_primitive() && b.is_primitive() => a.to_number() == b.to_number(),
            _ => false,
        }
    }

    /// `<` and `>` with the same coercion; none when the two cannot be ordered.
    pub(super) fn compare(&self, other: &Val<'_>) -> Option<Ordering> {
        match (self, other) {
            (Val::String(a), Val::String(b)) => Some(order(a, b)),
            (a, b) if a.is_primitive() && b.is_primitive() => a.to_number().partial_cmp(&b.to_number()),
            _ => None,
        }
    }
}

/// Upper case, for comparisons without case. The dotless i has none.
pub(super) fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        if text.bytes().any(|b| b.is_ascii_lowercase()) { Cow::Owned(text.to_ascii_uppercase()) } else { Cow::Borrowed(text) }
    } else {
        let upper = |c: char| (c != 'ı').then(|| c.to_uppercase());
        Cow::Owned(text.chars().flat_map(|c| upper(c).into_iter().flatten().chain((c == 'ı').then_some(c))).collect())
    }
}

/// Equal without case?
pub(super) fn same(a: &str, b: &str) -> bool {
    if a.is_ascii() && b.is_ascii() { a.eq_ignore_ascii_case(b) } else { fold(a) == fold(b) }
}

/// Order without case, by UTF-16 units.
fn order(a: &str, b: &str) -> Ordering {
    if a.is_ascii() && b.is_ascii() {
        return a.bytes().map(|b| b.to_ascii_uppercase()).cmp(b.bytes().map(|b| b.to_ascii_uppercase()));
    }
    fold(a).encode_utf16().cmp(fold(b).encode_utf16())
}

/// A text as a number: blank is 0, also `0xff`, `0o17`, `1e3`, `+1`; anything else is not a number.
pub(super) fn parse_number(text: &str) -> f64 {
    let text = text.trim();
    if text.is_empty() {
        return 0.0;
    }
    // 32-bit two's complement, as the original reads them
    let radix = |digits: &str, radix: u32| {
        let ok = !digits.is_empty() && digits.bytes().all(|b| char::from(b).is_digit(radix));
        ok.then(|| u32::from_str_radix(digits, radix).ok()).flatten().map_or(f64::NAN, |n| f64::from(n.cast_signed()))
    };
    if let Some(hex) = text.strip_prefix("0x") {
        return radix(hex, 16);
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return radix(octal, 8);
    }
    match text {
        "Infinity" | "+Infinity" => return f64::INFINITY,
        "-Infinity" => return f64::NEG_INFINITY,
        _ => {}
    }
    // the standard parser would also take `inf` and `nan`
    if text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E')) {
        text.parse().unwrap_or(f64::NAN)
    } else {
        f64::NAN
    }
}

/// A number as text: 15 significant digits, exponent from 10^15 and below 10^-5, negative zero is `0`.
pub fn number_text(n: f64) -> String {
    if n.is_nan() {
        return "NaN".into();
    }
    if n.is_infinite() {
        return if n > 0.0 { "Infinity".into() } else { "-Infinity".into() };
    }
    if n == 0.0 {
        return "0".into();
    }
    let scientific = format!("{:.14e}", n.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_end_matches('0');
    let sign = if n < 0.0 { "-" } else { "" };
    let point = exponent + 1;
    if !(-5..15).contains(&exponent) {
        let (first, rest) = digits.split_at(1.min(digits.len()));
        let dot = if rest.is_empty() { "" } else { "." };
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{first}{dot}{rest}E{exponent_sign}{:02}", exponent.unsigned_abs());
    }
    let Ok(whole) = usize::try_from(point) else {
        return format!("{sign}0.{}{digits}", "0".repeat(point.unsigned_abs() as usize));
    };
    if whole == 0 {
        format!("{sign}0.{digits}")
    } else if digits.len() <= whole {
        format!("{sign}{digits}{}", "0".repeat(whole - digits.len()))
    } else {
        format!("{sign}{}.{}", &digits[..whole], &digits[whole..])
    }
}

/// A number as JSON: whole numbers without a fraction; none for what JSON cannot hold.
pub fn json_number(n: f64) -> Option<Json> {
    // 2^53: beyond it whole numbers are not exact anyway
    if n.fract() == 0.0 && n.abs() <= 9_007_199_254_740_992.0 {
        return Some(Json::from(n as i64));
    }
    serde_json::Number::from_f64(n).map(Json::Number)
}
