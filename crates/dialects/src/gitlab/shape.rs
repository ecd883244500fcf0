//! What kinds of values the keys of a job take, told in GitLab's words: what fails here is not read any further.

use crate::diagnostic::Diagnostics;
use crate::yaml::{Key, Node, Value};

use super::read;

/// Deepest nesting of a script's lists.
const MAX_NESTING: usize = 10;

fn is_text(node: &Node) -> bool {
    matches!(node.value, Value::String(_))
}

fn is_whole(node: &Node) -> bool {
    matches!(node.value, Value::Number(n, _) if n.fract() == 0.0)
}

fn is_map(node: &Node) -> bool {
    matches!(node.value, Value::Map(_))
}

fn items(node: &Node) -> Option<&[Node]> {
    match &node.value {
        Value::Seq(items) => Some(items),
        _ => None,
    }
}

/// A list of which each item is of a kind.
fn list(node: &Node, of: impl Fn(&Node) -> bool) -> bool {
    items(node).is_some_and(|list| list.iter().all(of))
}

fn nested(node: &Node, depth: usize, of: fn(&Node) -> bool) -> bool {
    match items(node) {
        Some(list) => depth < MAX_NESTING && list.iter().all(|n| nested(n, depth + 1, of)),
        None => of(node),
    }
}

/// Nothing counts as left out.
fn optional(node: Option<&Node>, of: impl Fn(&Node) -> bool) -> bool {
    node.is_none_or(|n| matches!(n.value, Value::Null) || of(n))
}

/// Is a value of the kind that the key takes? `place` is `jobs:name`, `default`, or nothing for the older global keys.
pub(super) fn fits(place: &str, key: &Key, node: &Node, out: &mut Diagnostics) -> bool {
    let name = key.name.as_str();
    let label = if place.is_empty() { name.to_owned() } else { format!("{place}:{name}") };
    let place = if place.is_empty() { "config" } else { place };
    if matches!(node.value, Value::Null) && name != "script" {
        return true;
    }
    let mut tell = |node: &Node, fine: bool, text: String| {
        if !fine {
            out.error(&node.span, "wrong_type", text);
        }
        fine
    };
    match name {
        "stage" | "type" => tell(node, is_text(node), format!("{label} config should be a string")),
        "script" | "before_script" | "after_script" => {
            let fine = nested(node, 0, is_text) || matches!(node.value, Value::Null);
            tell(node, fine, format!("{label} config should be a string or a nested array of strings up to {MAX_NESTING} levels deep"))
        }
        "image" | "environment" => tell(node, is_text(node) || is_map(node), format!("{label} config should be a hash or a string")),
        "services" => match items(node) {
            None => tell(node, false, format!("{label} config should be a array")),
            Some(list) => {
                list.iter().all(|n| tell(n, is_text(n) || is_map(n), format!("{label}:service config should be a hash or a string")))
            }
        },
        "tags" => tell(node, list(node, is_text), format!("{label} config should be an array of strings")),
        "dependencies" => tell(node, list(node, is_text), format!("{place} dependencies should be an array of strings")),
        "needs" => tell(node, is_map(node) || items(node).is_some(), format!("{label} config can only be a hash or an array")),
        "rules" => {
            let fine = items(node).is_some() && nested(node, 0, is_map);
            tell(node, fine, format!("{place} rules should be an array containing hashes and arrays of hashes"))
        }
        "variables" => {
            let Value::Map(entries) = &node.value else { return tell(node, false, format!("{label} config should be a hash")) };
            entries.iter().all(|(_, v)| {
                let fine = items(v).is_none();
                tell(v, fine, format!("{label}:config variable definition must be either a string or a hash"))
            })
        }
        "allow_failure" => match node.get("exit_codes") {
            Some(codes) => {
                let fine = is_whole(codes) || list(codes, is_whole);
                tell(codes, fine, format!("{label} exit codes should be an array of integers or an integer"))
            }
            None => {
                let fine = matches!(node.value, Value::Bool(_));
                tell(node, fine, format!("{place} allow failure should be a hash or a boolean value"))
            }
        },
        "interruptible" => tell(node, matches!(node.value, Value::Bool(_)), format!("{label} config should be a boolean value")),
        "when" => {
            let allowed: Vec<&str> = read::WHEN.iter().copied().filter(|w| *w != "never").collect();
            let fine = node.scalar_text().is_some_and(|t| allowed.contains(&t.as_str()));
            tell(node, fine, format!("{place} when should be one of: {}", allowed.join(", ")))
        }
        "parallel" => tell(node, is_whole(node) || is_map(node), format!("{label} should be an integer or a hash")),
        "extends" => tell(node, is_text(node) || list(node, is_text), format!("{place} extends should be an array of strings or a string")),
        "resource_group" => tell(node, is_text(node), format!("{place} resource group should be a string")),
        "coverage" => {
            let fine = matches!(&node.value, Value::String(s) if s.len() > 1 && s.starts_with('/') && s.ends_with('/'));
            tell(node, fine, format!("{label} config must be a regular expression"))
        }
        "artifacts" => artifacts(&label, node, &mut tell),
        "cache" => {
            let caches = items(node).unwrap_or(std::slice::from_ref(node));
            caches.iter().all(|n| cache(&label, n, &mut tell))
        }
        _ => true,
    }
}

type Tell<'t> = &'t mut dyn FnMut(&Node, bool, String) -> bool;

fn artifacts(label: &str, node: &Node, tell: Tell<'_>) -> bool {
    if !tell(node, is_map(node), format!("{label} config should be a hash")) {
        return false;
    }
    let mut fine = true;
    for (key, of, text) in [
        ("name", is_text as fn(&Node) -> bool, "name should be a string"),
        ("when", |n| n.scalar_text().is_some_and(|t| ["on_success", "on_failure", "always"].contains(&t.as_str())), {
            "when should be one of: on_success, on_failure, always"
        }),
        ("untracked", |n| matches!(n.value, Value::Bool(_)), "untracked should be a boolean value"),
        ("paths", |n| list(n, is_text), "paths should be an array of strings"),
        ("exclude", |n| list(n, is_text), "exclude should be an array of strings"),
        ("expire_in", |n| matches!(&n.value, Value::String(s) if read::is_duration(s) || s == "never"), "expire in should be a duration"),
        ("reports", is_map, "reports should be a hash"),
    ] {
        if let Some(value) = node.get(key).filter(|v| !matches!(v.value, Value::Null)) {
            fine &= tell(value, of(value), format!("{label} {text}"));
        }
    }
    fine
}

fn cache(label: &str, node: &Node, tell: Tell<'_>) -> bool {
    if !tell(node, is_map(node), format!("{label} config should be a hash")) {
        return false;
    }
    let mut fine = true;
    if let Some(paths) = node.get("paths") {
        fine &= tell(paths, list(paths, is_text), format!("{label}:paths config should be an array of strings"));
    }
    if let Some(untracked) = node.get("untracked") {
        fine &= tell(untracked, matches!(untracked.value, Value::Bool(_)), format!("{label}:untracked config should be a boolean value"));
    }
    let Some(key) = node.get("key") else { return fine };
    fine &= tell(key, optional(Some(key), |k| is_text(k) || is_map(k)), format!("{label}:key should be a hash, a string or a symbol"));
    if is_map(key) {
        let files = key.get("files").or_else(|| key.get("files_commits"));
        fine &= tell(key, files.is_some(), format!("{label}:key config missing required keys: files"));
        if let Some(files) = files {
            fine &= tell(files, list(files, is_text), format!("{label}:key:files config should be an array of strings"));
            fine &= tell(files, items(files).is_none_or(|l| !l.is_empty()), format!("{label}:key:files config requires at least 1 item"));
        }
        if let Some(prefix) = key.get("prefix") {
            fine &= tell(prefix, optional(Some(prefix), is_text), format!("{label}:key:prefix config should be a string or symbol"));
        }
    }
    fine
}
