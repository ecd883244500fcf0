//! `pnpm-lock.yaml` of versions 5, 6 and 9, read as what it is: keys by indentation. No general YAML: the file is
//! written by one program in one style.

use std::collections::HashMap;

use crate::{Dependency, Ecosystem, ParseError, Parsed, Scope, dependency, npm};

/// Deeper than any lock file goes.
const DEPTH_LIMIT: usize = 32;

pub(crate) fn lock(text: &str) -> Parsed {
    let mut path: Vec<(usize, String)> = Vec::new();
    // name and version of what the project asks for
    let mut asked: HashMap<(String, String), Scope> = HashMap::new();
    let mut packages: Vec<(String, String, bool)> = Vec::new();
    let mut seen_version = false;
    let mut slashes = false;
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim_start_matches(' ');
        if trimmed.is_empty() || trimmed.starts_with(['#', '-']) {
            continue;
        }
        let indent = line.len() - trimmed.len();
        if trimmed.starts_with('\t') {
            return Err(ParseError::at(index + 1, "indented by a tab"));
        }
        while path.last().is_some_and(|(i, _)| *i >= indent) {
            path.pop();
        }
        // long scalars run over lines without a key
        let Some((key, value)) = entry(trimmed) else { continue };
        if path.len() >= DEPTH_LIMIT {
            return Err(ParseError::at(index + 1, "nested too deeply"));
        }
        path.push((indent, key.to_owned()));
        let keys: Vec<&str> = path.iter().map(|(_, k)| k.as_str()).collect();
        match keys.as_slice() {
            ["lockfileVersion"] => {
                seen_version = true;
                slashes = value.starts_with("5.");
            }
            // versions 6 and 9: the version is a field
            ["importers", _, section, name, "version"] | [section, name, "version"] => ask(&mut asked, section, name, value),
            // version 5: the version is the value
            ["importers", _, section, name] | [section, name] if !value.is_empty() => ask(&mut asked, section, name, value),
            ["packages", id] => {
                let (name, version) = package(id, slashes).ok_or_else(|| ParseError::at(index + 1, format!("not a package: {id:?}")))?;
                packages.push((name.to_owned(), version.to_owned(), false));
            }
            ["packages", _, "dev"] if value == "true" => {
                if let Some(last) = packages.last_mut() {
                    last.2 = true;
                }
            }
            _ => {}
        }
    }
    if !seen_version && !text.trim().is_empty() {
        return Err(ParseError::at(1, "no lockfileVersion"));
    }
    let mut out = Vec::new();
    for (name, version, dev) in packages {
        if npm::is_local(&version) {
            continue;
        }
        let need = asked.get(&(name.clone(), version.clone()));
        let scope = if dev { Some(Scope::Development) } else { need.copied() };
        out.push(Dependency { locked: true, direct: Some(need.is_some()), scope, ..dependency(Ecosystem::Npm, &name, &version) });
    }
    Ok(out)
}

fn ask(asked: &mut HashMap<(String, String), Scope>, section: &str, name: &str, version: &str) {
    let scope = match section {
        "dependencies" => Scope::Runtime,
        "devDependencies" => Scope::Development,
        "optionalDependencies" => Scope::Optional,
        _ => return,
    };
    let key = (name.to_owned(), bare(version).to_owned());
    let entry = asked.entry(key).or_insert(scope);
    *entry = (*entry).min(scope);
}

/// `key: value` and `'key': value`.
fn entry(line: &str) -> Option<(&str, &str)> {
    for mark in ['\'', '"'] {
        if let Some(rest) = line.strip_prefix(mark) {
            let (key, value) = rest.split_once(mark)?;
            return Some((key, value.strip_prefix(':')?.trim().trim_matches(['\'', '"'])));
        }
    }
    let at = line.find(": ").or_else(|| line.strip_suffix(':').map(str::len))?;
    Some((&line[..at], line[at + 1..].trim().trim_matches(['\'', '"'])))
}

/// The version without the peers it was resolved with.
fn bare(version: &str) -> &str {
    let version = version.split('(').next().unwrap_or(version);
    version.split('_').next().unwrap_or(version)
}

/// `/a@1.0.0` and `a@1.0.0`, in version 5 `/a/1.0.0`; each with a scope or peers.
fn package(id: &str, slashes: bool) -> Option<(&str, &str)> {
    let plain = id.strip_prefix('/').unwrap_or(id);
    let whole = plain.split('(').next().unwrap_or(plain);
    let (name, version) = if slashes {
        let end = whole.match_indices('/').nth(usize::from(whole.starts_with('@')))?.0;
        (&whole[..end], whole[end + 1..].split('/').next()?)
    } else {
        let at = whole.char_indices().skip(1).find(|(_, c)| *c == '@')?.0;
        (&whole[..at], &whole[at + 1..])
    };
    (!name.is_empty() && !version.is_empty()).then(|| (name, bare(version)))
}
