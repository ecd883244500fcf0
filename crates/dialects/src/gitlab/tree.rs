//! What happens to the tree before its keys are read: merging, `extends`, `!reference`.

use std::collections::HashMap;

use crate::diagnostic::{Diagnostics, Span};
use crate::yaml::{Key, Node, REFERENCE, Value};

/// Deepest chain of `extends`.
const MAX_EXTENDS: usize = 11;
/// Deepest nesting of `!reference`.
const MAX_REFERENCE: usize = 10;
/// Most nodes of a pipeline after everything is merged.
pub(super) const MAX_NODES: usize = 200_000;

/// How many nodes merging may still make.
pub(super) struct Budget(usize);

impl Budget {
    pub(super) fn new() -> Self {
        Self(MAX_NODES)
    }

    /// Pays for a copy of a tree.
    pub(super) fn pay(&mut self, node: &Node, span: &Span, out: &mut Diagnostics) -> Option<()> {
        let size = size(node);
        if let Some(left) = self.0.checked_sub(size) {
            self.0 = left;
            return Some(());
        }
        if self.0 > 0 {
            out.error(span, "too_many_nodes", format!("the pipeline has more than {MAX_NODES} nodes once everything is merged"));
        }
        self.0 = 0;
        None
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.value {
        Value::Seq(items) => items.iter().map(size).sum::<usize>(),
        Value::Map(entries) => entries.iter().map(|(_, v)| size(v)).sum(),
        _ => 0,
    }
}

/// Merges mappings key by key; everything else is replaced. What `over` adds comes behind.
pub(super) fn deep_merge(base: Node, over: Node) -> Node {
    match (base.value, over.value) {
        (Value::Map(mut base), Value::Map(more)) if !is_reference_map(&base) && !is_reference_map(&more) => {
            let mut places: HashMap<String, usize> = base.iter().enumerate().map(|(i, (k, _))| (k.name.clone(), i)).collect();
            for (key, value) in more {
                if let Some(&at) = places.get(&key.name) {
                    let null = Node { span: value.span.clone(), value: Value::Null };
                    let old = std::mem::replace(&mut base[at].1, null);
                    base[at] = (key, deep_merge(old, value));
                } else {
                    places.insert(key.name.clone(), base.len());
                    base.push((key, value));
                }
            }
            Node { span: over.span, value: Value::Map(base) }
        }
        (_, value) => Node { span: over.span, value },
    }
}

fn is_reference_map(entries: &[(Key, Node)]) -> bool {
    matches!(entries, [(key, _)] if key.name == REFERENCE)
}

/// Carries out `extends` of every top-level mapping.
pub(super) fn extends(root: Node, budget: &mut Budget, out: &mut Diagnostics) -> Option<Node> {
    let Value::Map(entries) = root.value else { return Some(root) };
    let index: HashMap<&str, &Node> = entries.iter().map(|(k, v)| (k.name.as_str(), v)).collect();
    let mut done: HashMap<String, Node> = HashMap::new();
    let mut result = Vec::with_capacity(entries.len());
    for (key, value) in &entries {
        let node = if value.get("extends").is_some() {
            extended(&key.name, value, &index, &mut done, &mut Vec::new(), budget, out)?
        } else {
            value.clone()
        };
        result.push((key.clone(), node));
    }
    Some(Node { span: root.span, value: Value::Map(result) })
}

fn extended(
    name: &str,
    node: &Node,
    index: &HashMap<&str, &Node>,
    done: &mut HashMap<String, Node>,
    open: &mut Vec<String>,
    budget: &mut Budget,
    out: &mut Diagnostics,
) -> Option<Node> {
    if let Some(node) = done.get(name) {
        return Some(node.clone());
    }
    let (Some(bases), Value::Map(own)) = (node.get("extends"), &node.value) else { return Some(node.clone()) };
    if open.iter().any(|n| n == name) {
        out.error(&bases.span, "extends_cycle", format!("{name}: circular dependency detected in `extends` ({})", open.join(", ")));
        return None;
    }
    if open.len() >= MAX_EXTENDS {
        out.error(&bases.span, "extends_too_deep", format!("{name}: nesting too deep in `extends` (at most {MAX_EXTENDS} levels)"));
        return None;
    }
    let names: Vec<(&Span, String)> = match &bases.value {
        Value::Seq(items) => items.iter().filter_map(|n| Some((&n.span, n.scalar_text()?))).collect(),
        _ => bases.scalar_text().map(|t| (&bases.span, t)).into_iter().collect(),
    };
    let own: Vec<_> = own.iter().filter(|(k, _)| k.name != "extends").cloned().collect();
    let mut merged = Node { span: node.span.clone(), value: Value::Map(Vec::new()) };
    open.push(name.to_owned());
    for (span, base) in names {
        let Some(found) = index.get(base.as_str()) else {
            out.error(span, "unknown_extends", format!("{name}: unknown keys in `extends` ({base})"));
            return None;
        };
        if !matches!(found.value, Value::Map(_)) {
            out.error(span, "unknown_extends", format!("{name}: invalid base hash in `extends` ({base})"));
            return None;
        }
        let base = extended(&base, found, index, done, open, budget, out)?;
        budget.pay(&base, span, out)?;
        merged = deep_merge(merged, base);
    }
    open.pop();
    let result = deep_merge(merged, Node { span: node.span.clone(), value: Value::Map(own) });
    done.insert(name.to_owned(), result.clone());
    Some(result)
}

/// Replaces every `!reference [job, key, ..]`. A list that stands in a list becomes part of it.
pub(super) fn references(root: Node, budget: &mut Budget, out: &mut Diagnostics) -> Option<Node> {
    resolve(&root, &root, 0, budget, out)
}

fn resolve(node: &Node, root: &Node, depth: usize, budget: &mut Budget, out: &mut Diagnostics) -> Option<Node> {
    let value = match &node.value {
        Value::Map(entries) if is_reference_map(entries) => return follow(&entries[0].1, root, depth, budget, out),
        Value::Map(entries) => {
            let entries = entries.iter().map(|(k, v)| Some((k.clone(), resolve(v, root, depth, budget, out)?)));
            Value::Map(entries.collect::<Option<_>>()?)
        }
        Value::Seq(items) => {
            let mut list = Vec::with_capacity(items.len());
            for item in items {
                let was_reference = matches!(&item.value, Value::Map(m) if is_reference_map(m));
                let item = resolve(item, root, depth, budget, out)?;
                match item.value {
                    Value::Seq(more) if was_reference => list.extend(more),
                    value => list.push(Node { span: item.span, value }),
                }
            }
            Value::Seq(list)
        }
        other => other.clone(),
    };
    Some(Node { span: node.span.clone(), value })
}

fn follow(path: &Node, root: &Node, depth: usize, budget: &mut Budget, out: &mut Diagnostics) -> Option<Node> {
    let span = &path.span;
    if depth >= MAX_REFERENCE {
        out.error(span, "reference_too_deep", format!("`!reference` is nested deeper than {MAX_REFERENCE} levels, or refers to itself"));
        return None;
    }
    let Value::Seq(names) = &path.value else { return None };
    let names: Option<Vec<String>> = names.iter().map(Node::scalar_text).collect();
    let names = names.filter(|n| !n.is_empty());
    let mut found = root;
    for name in names.iter().flatten() {
        match found.get(name) {
            Some(node) => found = node,
            None => {
                let whole = names.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(", ");
                out.error(span, "unknown_reference", format!("!reference [{whole}] could not be found: there is no `{name}`"));
                return None;
            }
        }
    }
    if names.is_none() {
        out.error(span, "unknown_reference", "`!reference` takes a list of names");
        return None;
    }
    budget.pay(found, span, out)?;
    let mut resolved = resolve(found, root, depth + 1, budget, out)?;
    resolved.span = span.clone();
    Some(resolved)
}
