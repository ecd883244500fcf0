//! Go modules: `go.mod` and `go.sum`.

use crate::{Dependency, Ecosystem, ParseError, Parsed, Scope, dependency};

pub(crate) fn manifest(text: &str) -> Parsed {
    let mut out = Vec::new();
    let mut block: Option<String> = None;
    let mut seen_module = false;
    for (index, line) in text.lines().enumerate() {
        let (code, comment) = match line.split_once("//") {
            Some((code, comment)) => (code.trim(), comment.trim()),
            None => (line.trim(), ""),
        };
        if code.is_empty() {
            continue;
        }
        if code == ")" {
            block = None;
            continue;
        }
        let (verb, rest) = match &block {
            Some(verb) => (verb.clone(), code),
            None => {
                let (verb, rest) = code.split_once([' ', '\t', '(']).map_or((code, ""), |(v, _)| (v, code[v.len()..].trim()));
                if rest == "(" {
                    block = Some(verb.to_owned());
                    continue;
                }
                (verb.to_owned(), rest)
            }
        };
        match verb.as_str() {
            "module" => seen_module = true,
            "require" => {
                let mut words = rest.split_whitespace().map(|w| w.trim_matches(['"', '`']));
                let (Some(name), Some(version), None) = (words.next(), words.next(), words.next()) else {
                    return Err(ParseError::at(index + 1, "a requirement is a module and a version"));
                };
                let direct = comment.split(';').next().is_none_or(|c| c.trim() != "indirect");
                out.push(Dependency { direct: Some(direct), locked: true, ..dependency(Ecosystem::Golang, name, version) });
            }
            "go" | "toolchain" | "replace" | "exclude" | "retract" | "tool" | "godebug" | "ignore" => {}
            other => return Err(ParseError::at(index + 1, format!("unknown directive {:?}", other.chars().take(40).collect::<String>()))),
        }
    }
    if !seen_module {
        return Err(ParseError::new("no module directive"));
    }
    Ok(out)
}

/// Checksums also name modules that were only considered; those whose source was read have a line without `/go.mod`.
pub(crate) fn sums(text: &str) -> Parsed {
    let mut out = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, version, _] = words.as_slice() else {
            return Err(ParseError::at(index + 1, "a line is module, version and checksum"));
        };
        if !version.ends_with("/go.mod") {
            out.push(Dependency { direct: None, locked: true, scope: None::<Scope>, ..dependency(Ecosystem::Golang, name, version) });
        }
    }
    Ok(out)
}
