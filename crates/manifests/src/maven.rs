//! Maven: `pom.xml`. Versions are read from the file itself; what a parent or a bill of materials decides stays empty.

use std::collections::HashMap;

use quick_xml::Reader;
use quick_xml::events::Event;

use crate::{Dependency, Ecosystem, ParseError, Parsed, Scope, dependency};

/// Deeper than any project file goes.
const DEPTH_LIMIT: usize = 64;

#[derive(Default)]
struct Entry {
    line: usize,
    group: String,
    artifact: String,
    version: String,
    scope: String,
    optional: bool,
}

pub(crate) fn pom(text: &str) -> Parsed {
    let mut reader = Reader::from_str(text);
    let mut path: Vec<String> = Vec::new();
    let mut properties: HashMap<String, String> = HashMap::new();
    let mut entries: Vec<Entry> = Vec::new();
    let mut value = String::new();
    let fail = |at: u64, message: String| ParseError::at_offset(text, usize::try_from(at).unwrap_or(usize::MAX), message);
    loop {
        let event = reader.read_event().map_err(|e| fail(reader.error_position(), e.to_string()))?;
        let at = reader.buffer_position();
        match event {
            Event::Eof => break,
            Event::DocType(_) => return Err(fail(at, "a document type is not accepted".into())),
            Event::Start(tag) => {
                if path.len() >= DEPTH_LIMIT {
                    return Err(fail(at, "nested too deeply".into()));
                }
                path.push(tag.local_name().as_ref().to_owned());
                value.clear();
                if is_dependency(&path) {
                    let line = text.as_bytes().iter().take(usize::try_from(at).unwrap_or(usize::MAX)).filter(|b| **b == b'\n').count() + 1;
                    entries.push(Entry { line, ..Entry::default() });
                }
            }
            Event::Text(piece) => value.push_str(&piece),
            Event::CData(piece) => value.push_str(&piece),
            Event::GeneralRef(name) => {
                value.push_str(quick_xml::escape::resolve_predefined_entity(&name).unwrap_or("\u{fffd}"));
            }
            Event::End(_) => {
                let text = value.trim().to_owned();
                value.clear();
                let keys: Vec<&str> = path.iter().map(String::as_str).collect();
                match keys.as_slice() {
                    ["project", "properties", key] => {
                        properties.insert((*key).to_owned(), text);
                    }
                    ["project", key @ ("version" | "groupId" | "artifactId")] => {
                        properties.insert(format!("project.{key}"), text);
                    }
                    ["project", "parent", key @ ("version" | "groupId")] => {
                        properties.insert(format!("project.parent.{key}"), text.clone());
                        properties.entry(format!("project.{key}")).or_insert(text);
                    }
                    [outer @ .., key] if is_dependency(outer) => {
                        if let Some(entry) = entries.last_mut() {
                            match *key {
                                "groupId" => entry.group = text,
                                "artifactId" => entry.artifact = text,
                                "version" => entry.version = text,
                                "scope" => entry.scope = text,
                                "optional" => entry.optional = text == "true",
                                _ => {}
                            }
                        }
                    }
                    _ => {}
                }
                path.pop();
            }
            _ => {}
        }
    }
    if !path.is_empty() {
        return Err(ParseError::at(text.lines().count(), "the file ends inside an element"));
    }
    entries
        .into_iter()
        .filter(|e| e.scope != "import")
        .map(|e| {
            let group = resolve(&e.group, &properties);
            let artifact = resolve(&e.artifact, &properties);
            if group.is_empty() || artifact.is_empty() {
                return Err(ParseError::at(e.line, "a dependency without groupId or artifactId"));
            }
            let scope = match e.scope.as_str() {
                "test" => Scope::Development,
                "provided" | "system" => Scope::Build,
                _ if e.optional => Scope::Optional,
                _ => Scope::Runtime,
            };
            let version = resolve(&e.version, &properties);
            Ok(Dependency { scope: Some(scope), ..dependency(Ecosystem::Maven, &format!("{group}:{artifact}"), &version) })
        })
        .collect()
}

/// Dependencies of the project and its profiles; not those of plugins, and not the management section, which only
/// decides versions.
fn is_dependency<T: AsRef<str>>(path: &[T]) -> bool {
    let keys: Vec<&str> = path.iter().map(AsRef::as_ref).collect();
    matches!(keys.as_slice(), ["project", "dependencies", "dependency"] | ["project", "profiles", "profile", "dependencies", "dependency"])
}

/// Replaces `${name}`; properties may use properties, eight levels deep.
fn resolve(text: &str, properties: &HashMap<String, String>) -> String {
    let mut text = text.to_owned();
    for _ in 0..8 {
        let Some(start) = text.find("${") else { break };
        let Some(len) = text[start..].find('}') else { break };
        let Some(value) = properties.get(&text[start + 2..start + len]) else { break };
        if text.len() + value.len() > 1024 {
            break;
        }
        text.replace_range(start..=start + len, value);
    }
    text
}
