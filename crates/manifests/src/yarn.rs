//! `yarn.lock`: the own format of version 1, and the YAML of later ones. Both are blocks of a key line without
//! indentation and fields indented by two, and that is all this reads.

use std::collections::HashSet;

use crate::{Dependency, Ecosystem, ParseError, Parsed, dependency};

struct Block {
    line: usize,
    /// `name@range` of each key.
    keys: Vec<String>,
    version: Option<String>,
    resolution: Option<String>,
}

pub(crate) fn lock(text: &str) -> Parsed {
    let mut blocks: Vec<Block> = Vec::new();
    let mut asked: HashSet<String> = HashSet::new();
    let mut in_list = false;
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let indent = line.len() - line.trim_start_matches(' ').len();
        if indent == 0 {
            let Some(head) = trimmed.strip_suffix(':') else {
                return Err(ParseError::at(index + 1, "a key that does not end in ':'"));
            };
            let keys = head.split(',').map(|k| unquote(k).to_owned()).collect();
            blocks.push(Block { line: index + 1, keys, version: None, resolution: None });
            in_list = false;
            continue;
        }
        let Some(block) = blocks.last_mut() else {
            return Err(ParseError::at(index + 1, "a field before any key"));
        };
        let (key, value) = field(trimmed);
        if indent == 2 {
            match key {
                "version" => block.version = Some(value.to_owned()),
                "resolution" => block.resolution = Some(value.to_owned()),
                _ => {}
            }
            in_list = value.is_empty() && matches!(key, "dependencies" | "devDependencies" | "optionalDependencies");
        } else if in_list && indent == 4 && is_own(block) {
            asked.insert(key.to_owned());
        }
    }
    // only the YAML form lists the project's own packages
    let knows_direct = blocks.iter().any(is_own);
    let mut out = Vec::new();
    for block in blocks {
        if block.keys.first().is_some_and(|k| k == "__metadata") || is_own(&block) {
            continue;
        }
        let version = block.version.as_deref().ok_or_else(|| ParseError::at(block.line, "a package without a version"))?;
        let key = block.resolution.as_deref().or(block.keys.first().map(String::as_str)).unwrap_or("");
        let (name, range) = split(key).ok_or_else(|| ParseError::at(block.line, format!("not name@range: {key:?}")))?;
        if ["link:", "portal:", "file:"].iter().any(|p| range.starts_with(p)) {
            continue;
        }
        let direct = knows_direct.then(|| block.keys.iter().filter_map(|k| split(k)).any(|(n, _)| asked.contains(n)));
        // `x@npm:real@^1` of version 1 stands for `real`
        let name =
            if block.resolution.is_none() { range.strip_prefix("npm:").and_then(split).map_or(name, |(real, _)| real) } else { name };
        out.push(Dependency { locked: true, direct, scope: None, ..dependency(Ecosystem::Npm, name, version) });
    }
    Ok(out)
}

fn is_own(block: &Block) -> bool {
    block.keys.iter().any(|k| k.contains("@workspace:"))
}

fn unquote(text: &str) -> &str {
    text.trim().trim_matches('"')
}

/// `key value`, `key: value`, either quoted.
fn field(line: &str) -> (&str, &str) {
    if let Some(rest) = line.strip_prefix('"')
        && let Some((key, value)) = rest.split_once('"')
    {
        return (key, unquote(value.trim_start_matches(':')));
    }
    match line.find([' ', ':']) {
        Some(at) => (&line[..at], unquote(line[at..].trim_start_matches([':', ' ']))),
        None => (line, ""),
    }
}

/// At the `@` that is not a scope's.
fn split(key: &str) -> Option<(&str, &str)> {
    let at = key.char_indices().skip(1).find(|(_, c)| *c == '@')?.0;
    Some((&key[..at], &key[at + 1..]))
}
