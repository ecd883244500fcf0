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

