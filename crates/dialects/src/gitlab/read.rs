//! Typed reading of nodes; every mismatch becomes a located message.

use crate::diagnostic::Diagnostics;
use crate::yaml::{Key, Node, Value};

use super::vars::Var;

/// The values of `when` of a job.
pub(super) const WHEN: &[&str] = &["on_success", "on_failure", "always", "manual", "delayed", "never"];

/// A variable as written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct VarDef {
    pub(super) value: String,
    pub(super) expand: bool,
    pub(super) description: String,
    pub(super) options: Vec<String>,
}

impl VarDef {
    pub(super) fn var(&self) -> Var {
        if self.expand { Var::Text(self.value.clone()) } else { Var::Raw(self.value.clone()) }
    }
}

/// A scalar as text. Numbers keep a fraction that was written.
pub(super) fn text(node: &Node, what: &str, out: &mut Diagnostics) -> Option<String> {
    match &node.value {
        Value::Number(n, written) => {
            let plain = crate::expr::number_text(*n);
            let text = if written.contains('.') && !plain.contains(['.', 'e']) { format!("{plain}.0") } else { plain };
            if text != *written {
                out.warning(
                    &node.span,
                    "number_as_text",
                    format!("`{written}` is a number and becomes the text `{text}`; quote it to keep it as written"),
                );
            }
            Some(text)
        }
        Value::Seq(_) | Value::Map(_) => {
            out.error(&node.span, "wrong_type", format!("`{what}` must be a text, this is {}", node.kind()));
            None
        }
        _ => node.scalar_text(),
    }
}

/// One text or a list of texts; lists in lists are flattened.
pub(super) fn texts(node: &Node, what: &str, out: &mut Diagnostics) -> Vec<String> {
    let mut list = Vec::new();
    collect(node, what, 0, &mut list, out);
    list
}

fn collect(node: &Node, what: &str, depth: usize, list: &mut Vec<String>, out: &mut Diagnostics) {
    match &node.value {
        Value::Seq(items) if depth < 10 => items.iter().for_each(|n| collect(n, what, depth + 1, list, out)),
        Value::Seq(_) => out.error(&node.span, "too_deep", format!("the lists of `{what}` are nested deeper than 10 levels")),
        Value::Null => {}
        _ => list.extend(text(node, what, out)),
    }
}

/// The entries of a mapping.
pub(super) fn mapping<'n>(node: &'n Node, what: &str, out: &mut Diagnostics) -> &'n [(Key, Node)] {
    match &node.value {
        Value::Map(entries) => entries,
        Value::Null => &[],
        _ => {
            out.error(&node.span, "wrong_type", format!("`{what}` must be a mapping, this is {}", node.kind()));
            &[]
        }
    }
}

/// true or false.
pub(super) fn flag(node: &Node, what: &str, out: &mut Diagnostics) -> Option<bool> {
    match &node.value {
        Value::Bool(b) => Some(*b),
        Value::String(s) if s == "true" || s == "false" => Some(s == "true"),
        _ => {
            out.error(&node.span, "wrong_type", format!("`{what}` must be true or false, this is {}", node.kind()));
            None
        }
    }
}

/// A whole number within bounds.
pub(super) fn number(node: &Node, what: &str, least: u32, most: u32, out: &mut Diagnostics) -> Option<u32> {
    let n = match &node.value {
        Value::Number(n, _) if n.fract() == 0.0 => Some(*n),
        Value::String(s) => s.trim().parse::<f64>().ok().filter(|n| n.fract() == 0.0),
        _ => None,
    };
    match n {
        Some(n) if n >= f64::from(least) && n <= f64::from(most) => Some(n as u32),
        _ => {
            out.error(&node.span, "bad_value", format!("`{what}` must be a whole number from {least} to {most}"));
            None
        }
    }
}

/// Exit codes: one or several.
pub(super) fn exit_codes(node: &Node, out: &mut Diagnostics) -> Vec<i32> {
    let items: Vec<&Node> = match &node.value {
        Value::Seq(items) => items.iter().collect(),
        _ => vec![node],
    };
    items.into_iter().filter_map(|n| number(n, "exit_codes", 0, 255, out)).filter_map(|n| i32::try_from(n).ok()).collect()
}

/// A time such as `1 hour 30 minutes`, `2h`, `3 mins 4 sec`, `1 week`, in seconds. A bare number is seconds.
pub(super) fn duration(node: &Node, what: &str, out: &mut Diagnostics) -> Option<u64> {
    let text = text(node, what, out)?;
    let parsed = parse_duration(&text);
    if parsed.is_none() {
        out.error(&node.span, "bad_duration", format!("`{what}: {text}` is not a time such as `1 hour 30 minutes`"));
    }
    parsed
}

/// `auto_stop_in`: a time, or `never`, which is 0.
pub(super) fn parse_stop(text: &str) -> Option<u64> {
    if text.trim() == "never" { Some(0) } else { parse_duration(text).filter(|s| *s > 0) }
}

/// Is it a time such as `1 week`?
pub(super) fn is_duration(text: &str) -> bool {
    parse_duration(text).is_some()
}

pub(super) fn parse_duration(text: &str) -> Option<u64> {
    let lower = text.to_lowercase();
    let mut rest = lower.trim();
    let mut total = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let n: f64 = rest[..digits].parse().ok()?;
        rest = rest[digits..].trim_start();
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let seconds = match &rest[..letters] {
            "" | "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0,
            "d" | "day" | "days" => 86_400.0,
            "w" | "wk" | "week" | "weeks" => 604_800.0,
            "mo" | "mos" | "month" | "months" => 2_592_000.0,
            "y" | "yr" | "year" | "years" => 31_557_600.0,
            _ => return None,
        };
        total += n * seconds;
        rest = rest[letters..].trim_start();
        rest = rest.strip_prefix("and ").or_else(|| rest.strip_prefix(',')).unwrap_or(rest).trim_start();
    }
    (total.is_finite() && total <= 1e10).then_some(total as u64)
}

/// Is it a name that a shell takes?
pub(super) fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_') && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// `variables`.
pub(super) fn variables(node: &Node, out: &mut Diagnostics) -> Vec<(String, VarDef)> {
    let mut list = Vec::new();
    for (key, value) in mapping(node, "variables", out) {
        if !is_name(&key.name) {
            out.error(&key.span, "bad_name", format!("`{}` cannot be the name of a variable", key.name.escape_debug()));
            continue;
        }
        let mut def = VarDef { value: String::new(), expand: true, description: String::new(), options: Vec::new() };
        if let Value::Map(entries) = &value.value {
            for (key, value) in entries {
                match key.name.as_str() {
                    "value" => def.value = text(value, "value", out).unwrap_or_default(),
                    "description" => def.description = text(value, "description", out).unwrap_or_default(),
                    "options" => def.options = texts(value, "options", out),
                    "expand" => def.expand = flag(value, "expand", out).unwrap_or(true),
                    other => out.error(
                        &key.span,
                        "unknown_key",
                        format!("a variable has no key `{other}`. Known are: value, description, options, expand"),
                    ),
                }
            }
        } else {
            def.value = text(value, &key.name, out).unwrap_or_default();
        }
        if def.value.contains('\0') {
            out.error(&value.span, "bad_value", "a value may not hold a NUL character");
            continue;
        }
        list.push((key.name.clone(), def));
    }
    list
}

#[cfg(test)]
mod tests {
    use super::parse_duration;

    #[test]
    fn times() {
        for (text, expect) in [
            ("1h 30m", Some(5400)),
            ("1 hour 30 minutes", Some(5400)),
            ("3 mins 4 sec", Some(184)),
            ("2h20min", Some(8400)),
            ("90", Some(90)),
            ("1.5 hours", Some(5400)),
            ("1 week and 1 day", Some(691_200)),
            ("10 seconds", Some(10)),
            ("", None),
            ("soon", None),
            ("1 fortnight", None),
            ("1e99 years", None),
        ] {
            assert_eq!(parse_duration(text), expect, "{text}");
        }
    }
}
