//! `spec:inputs` of a file and `$[[ inputs.x ]]` in it.

use indexmap::IndexMap;

use crate::diagnostic::{Diagnostics, Span};
use crate::plan::{Input, InputType};
use crate::yaml::{Key, Node, Value};

use super::vars::Vars;

/// Most bytes of all that is put into one file.
pub(super) const MAX_PUT_IN: usize = 8 << 20;
/// Longest text after inputs are put in.
const MAX_TEXT: usize = 256 * 1024;

/// An input of a file.
pub(super) struct Spec {
    name: String,
    span: Span,
    kind: &'static str,
    default: Option<Node>,
    options: Vec<Node>,
    regex: Option<regex::Regex>,
    description: String,
}

/// Reads the header of a file.
pub(super) fn header(node: &Node, out: &mut Diagnostics) -> Vec<Spec> {
    let mut specs = Vec::new();
    let Value::Map(top) = &node.value else {
        out.error(&node.span, "wrong_type", "the document before `---` must be a mapping with `spec`");
        return specs;
    };
    for (key, value) in top {
        if key.name != "spec" {
            out.error(&key.span, "unknown_key", format!("`{}`: the document before `---` may hold `spec` only", key.name));
            continue;
        }
        for (key, value) in map(value) {
            match key.name.as_str() {
                "inputs" => specs.extend(map(value).iter().map(|(key, value)| spec(key, value, out))),
                "description" => {}
                other => out.error(&key.span, "unsupported_key", format!("`spec:{other}` is not supported; only `spec:inputs` is read")),
            }
        }
    }
    specs
}

fn map(node: &Node) -> &[(Key, Node)] {
    match &node.value {
        Value::Map(entries) => entries,
        _ => &[],
    }
}

fn spec(key: &Key, node: &Node, out: &mut Diagnostics) -> Spec {
    let mut spec = Spec {
        name: key.name.clone(),
        span: key.span.clone(),
        kind: "string",
        default: None,
        options: Vec::new(),
        regex: None,
        description: String::new(),
    };
    for (key, value) in map(node) {
        match key.name.as_str() {
            "default" => spec.default = Some(value.clone()),
            "description" => spec.description = value.scalar_text().unwrap_or_default(),
            "type" => match value.scalar_text().as_deref() {
                Some("string") => {}
                Some("number") => spec.kind = "number",
                Some("boolean") => spec.kind = "boolean",
                Some("array") => spec.kind = "array",
                _ => out.error(&value.span, "bad_value", "the type of an input is string, number, boolean or array"),
            },
            "options" => {
                if let Value::Seq(items) = &value.value {
                    spec.options.clone_from(items);
                }
            }
            "regex" => match value.scalar_text().map(|t| regex::RegexBuilder::new(t.trim_matches('/')).size_limit(1 << 20).build()) {
                Some(Ok(regex)) => spec.regex = Some(regex),
                _ => out.error(&value.span, "bad_value", "`regex` is not a valid pattern"),
            },
            other => out.error(&key.span, "unsupported_key", format!("`{other}` of an input is not supported")),
        }
    }
    spec
}

/// What a plan shows of the inputs of its own file.
pub(super) fn shown(specs: &[Spec]) -> IndexMap<String, Input> {
    let one = |s: &Spec| {
        let options: Vec<String> = s.options.iter().filter_map(Node::scalar_text).collect();
        let kind = match s.kind {
            _ if !options.is_empty() => InputType::Choice,
            "number" => InputType::Number,
            "boolean" => InputType::Boolean,
            _ => InputType::String,
        };
        let default = s.default.as_ref().map(Node::to_json);
        let input = Input { description: s.description.clone(), required: default.is_none(), default, r#type: kind, options };
        (s.name.clone(), input)
    };
    specs.iter().map(one).collect()
}

/// The values of a file's inputs: given or default, of the right type.
pub(super) fn values(specs: &[Spec], given: Option<&Node>, at: &Span, out: &mut Diagnostics) -> IndexMap<String, Node> {
    let mut values = IndexMap::new();
    for (key, _) in given.map(map).unwrap_or_default() {
        if !specs.iter().any(|s| s.name == key.name) {
            out.error(&key.span, "unknown_input", format!("the included file has no input `{}`", key.name));
        }
    }
    for spec in specs {
        let found = given.and_then(|g| g.get(&spec.name)).or(spec.default.as_ref());
        let Some(node) = found else {
            out.error(at, "missing_input", format!("the input `{}` ({}) has no default and is not given", spec.name, spec.span));
            continue;
        };
        let fits = match spec.kind {
            "number" => matches!(node.value, Value::Number(..)),
            "boolean" => matches!(node.value, Value::Bool(_)),
            "array" => matches!(node.value, Value::Seq(_)),
            _ => matches!(node.value, Value::String(_) | Value::Null),
        };
        // the default may be left to the caller's own text: a number where a text is wanted is taken as it is written
        let text = node.scalar_text();
        if !(fits || spec.kind == "string" && text.is_some()) {
            out.error(
                &node.span,
                "bad_input",
                format!("the input `{}` must be of the type {}, this is {}", spec.name, spec.kind, node.kind()),
            );
        } else if !spec.options.is_empty() && !spec.options.iter().any(|o| o.scalar_text() == text) {
            let options: Vec<String> = spec.options.iter().filter_map(Node::scalar_text).collect();
            out.error(&node.span, "bad_input", format!("the input `{}` must be one of {}", spec.name, options.join(", ")));
        } else if spec.regex.as_ref().is_some_and(|r| !r.is_match(text.as_deref().unwrap_or_default())) {
            out.error(&node.span, "bad_input", format!("the input `{}` does not match its pattern", spec.name));
        }
        values.insert(spec.name.clone(), node.clone());
    }
    values
}

/// Puts the values into a tree. `left` is what the texts and lists that are put in may still take.
pub(super) fn interpolate(node: &Node, values: &IndexMap<String, Node>, vars: &Vars, left: &mut usize, out: &mut Diagnostics) -> Node {
    let value = match &node.value {
        Value::String(text) if text.contains("$[[") => {
            let made = text_node(text, &node.span, values, vars, out);
            let cost = weight(&made);
            if cost > *left {
                out.error(&node.span, "too_long", "the file becomes too large once its inputs are put in");
                return Node { span: node.span.clone(), value: Value::Null };
            }
            *left -= cost;
            return made;
        }
        Value::Seq(items) => Value::Seq(items.iter().map(|n| interpolate(n, values, vars, left, out)).collect()),
        Value::Map(entries) => Value::Map(
            entries
                .iter()
                .map(|(k, v)| {
                    let name = if k.name.contains("$[[") {
                        text_node(&k.name, &k.span, values, vars, out).scalar_text().unwrap_or_else(|| k.name.clone())
                    } else {
                        k.name.clone()
                    };
                    (Key { span: k.span.clone(), name }, interpolate(v, values, vars, left, out))
                })
                .collect(),
        ),
        other => other.clone(),
    };
    Node { span: node.span.clone(), value }
}

/// Bytes of a tree, roughly.
fn weight(node: &Node) -> usize {
    64 + match &node.value {
        Value::String(s) => s.len(),
        Value::Seq(items) => items.iter().map(weight).sum(),
        Value::Map(entries) => entries.iter().map(|(k, v)| k.name.len() + weight(v)).sum(),
        _ => 0,
    }
}

fn text_node(text: &str, span: &Span, values: &IndexMap<String, Node>, vars: &Vars, out: &mut Diagnostics) -> Node {
    let mut result = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("$[[") {
        let Some(end) = rest[start..].find("]]").map(|e| start + e) else { break };
        let found = one(rest[start + 3..end].trim(), values, vars);
        let node = match found {
            Ok(node) => node,
            Err(why) => {
                out.error(span, "bad_input", format!("`{}`: {why}", &rest[start..end + 2]));
                return Node { span: span.clone(), value: Value::String(String::new()) };
            }
        };
        // alone in its text it keeps its type
        if start == 0 && end + 2 == rest.len() && result.is_empty() {
            return Node { span: span.clone(), value: node.value };
        }
        result.push_str(&rest[..start]);
        result.push_str(&node.scalar_text().unwrap_or_else(|| node.to_json().to_string()));
        rest = &rest[end + 2..];
        if result.len() > MAX_TEXT {
            out.error(span, "too_long", format!("the text is longer than {MAX_TEXT} bytes once inputs are put in"));
            rest = "";
        }
    }
    result.push_str(rest);
    Node { span: span.clone(), value: Value::String(result) }
}

fn one(expression: &str, values: &IndexMap<String, Node>, vars: &Vars) -> Result<Node, String> {
    let mut parts = expression.split('|').map(str::trim);
    let name = parts.next().and_then(|p| p.strip_prefix("inputs.")).ok_or("only `inputs.NAME` can be put in")?;
    let mut node = values.get(name).cloned().ok_or_else(|| format!("there is no input `{name}`"))?;
    for function in parts {
        let text = node.scalar_text().ok_or("functions take a text")?;
        let text = match function {
            "expand_vars" => {
                let value = vars.expand(&text).value;
                value.plain.ok_or("a variable in it is not known when the pipeline is made")?
            }
            "posix_escape" => format!("'{}'", text.replace('\'', "'\\''")),
            other => {
                let args = other.strip_prefix("truncate(").and_then(|a| a.strip_suffix(')')).and_then(|a| a.split_once(','));
                let (from, count) = args
                    .and_then(|(a, b)| Some((a.trim().parse().ok()?, b.trim().parse().ok()?)))
                    .ok_or_else(|| format!("the function `{other}` is not known"))?;
                text.chars().skip(from).take(count).collect()
            }
        };
        node.value = Value::String(text);
    }
    Ok(node)
}
