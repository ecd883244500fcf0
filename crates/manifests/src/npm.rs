//! npm: `package.json`, and `package-lock.json` of versions 1 to 3.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::{Dependency, Ecosystem, ParseError, Parsed, Scope, dependency, json};

const SECTIONS: [(&str, Scope); 4] = [
    ("dependencies", Scope::Runtime),
    ("devDependencies", Scope::Development),
    ("optionalDependencies", Scope::Optional),
    ("peerDependencies", Scope::Peer),
];

/// Versions that name a package of the project itself.
pub(crate) fn is_local(version: &str) -> bool {
    ["file:", "link:", "workspace:", "portal:", "./", "../"].iter().any(|p| version.starts_with(p))
}

pub(crate) fn manifest(text: &str) -> Parsed {
    let file = json(text)?;
    let file = file.as_object().ok_or_else(|| ParseError::at(1, "not an object"))?;
    let mut out = Vec::new();
    for (key, scope) in SECTIONS {
        let Some(section) = file.get(key) else { continue };
        let section = section.as_object().ok_or_else(|| ParseError::new(format!("{key} is not an object")))?;
        for (name, version) in section {
            let version = version.as_str().ok_or_else(|| ParseError::new(format!("the version of {name:?} is not a text")))?;
            if is_local(version) {
                continue;
            }
            let (name, version) = unaliased(name, version);
            out.push(Dependency { scope: Some(scope), ..dependency(Ecosystem::Npm, name, version) });
        }
    }
    Ok(out)
}

/// `"x": "npm:real@^1"` asks for `real`.
fn unaliased<'a>(name: &'a str, version: &'a str) -> (&'a str, &'a str) {
    let Some(real) = version.strip_prefix("npm:") else { return (name, version) };
    match real.char_indices().skip(1).find(|(_, c)| *c == '@') {
        Some((at, _)) => (&real[..at], &real[at + 1..]),
        None => (real, ""),
    }
}

pub(crate) fn lock(text: &str) -> Parsed {
    let file = json(text)?;
    match (file.get("packages"), file.get("dependencies")) {
        (Some(Value::Object(packages)), _) => Ok(flat(packages)),
        (None, Some(Value::Object(tree))) => Ok(nested(tree)),
        (None, None) if file.is_object() => Ok(Vec::new()),
        _ => Err(ParseError::new("neither `packages` nor `dependencies` is an object")),
    }
}

fn flag(entry: &Value, key: &str) -> bool {
    entry.get(key).and_then(Value::as_bool).unwrap_or(false)
}

fn scope_of(entry: &Value) -> Scope {
    if flag(entry, "dev") || flag(entry, "devOptional") {
        Scope::Development
    } else if flag(entry, "optional") {
        Scope::Optional
    } else if flag(entry, "peer") {
        Scope::Peer
    } else {
        Scope::Runtime
    }
}

/// Versions 2 and 3: every installed package by its folder.
fn flat(packages: &Map<String, Value>) -> Vec<Dependency> {
    let mut asked: HashSet<&str> = HashSet::new();
    for (folder, own) in packages {
        if !folder.contains("node_modules/") {
            for (key, _) in SECTIONS {
                asked.extend(own.get(key).and_then(Value::as_object).into_iter().flat_map(|m| m.keys().map(String::as_str)));
            }
        }
    }
    let mut out = Vec::new();
    for (folder, entry) in packages {
        let Some((before, installed)) = folder.rsplit_once("node_modules/") else { continue };
        let Some(version) = entry.get("version").and_then(Value::as_str) else { continue };
        if flag(entry, "link") {
            continue;
        }
        let name = entry.get("name").and_then(Value::as_str).unwrap_or(installed);
        // a copy below another package is there for that package
        let direct = !before.contains("node_modules/") && asked.contains(installed);
        out.push(Dependency {
            locked: true,
            direct: Some(direct),
            scope: Some(scope_of(entry)),
            ..dependency(Ecosystem::Npm, name, version)
        });
    }
    out
}

/// Version 1: a tree, which does not tell what the project itself asks for.
fn nested(tree: &Map<String, Value>) -> Vec<Dependency> {
    let mut out = Vec::new();
    let mut open = vec![(tree, true)];
    while let Some((level, top)) = open.pop() {
        for (name, entry) in level {
            if let Some(inner) = entry.get("dependencies").and_then(Value::as_object) {
                open.push((inner, false));
            }
            let Some(version) = entry.get("version").and_then(Value::as_str) else { continue };
            if is_local(version) {
                continue;
            }
            let direct = if top { None } else { Some(false) };
            out.push(Dependency { locked: true, direct, scope: Some(scope_of(entry)), ..dependency(Ecosystem::Npm, name, version) });
        }
    }
    out
}
