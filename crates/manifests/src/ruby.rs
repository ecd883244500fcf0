//! Bundler: `Gemfile.lock`, sections by indentation.

use std::collections::HashSet;

use crate::{Dependency, Ecosystem, ParseError, Parsed, dependency};

pub(crate) fn lock(text: &str) -> Parsed {
    let mut section = "";
    let mut asked: HashSet<String> = HashSet::new();
    let mut found: Vec<(String, String)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let indent = line.len() - line.trim_start_matches(' ').len();
        let entry = line.trim();
        match (indent, section) {
            (0, _) => section = entry,
            (2, "DEPENDENCIES") => {
                asked.insert(entry.split([' ', '!']).next().unwrap_or(entry).to_owned());
            }
            (4, "GEM" | "GIT") => {
                let (name, version) = entry
                    .split_once(" (")
                    .and_then(|(n, v)| Some((n, v.strip_suffix(')')?)))
                    .ok_or_else(|| ParseError::at(index + 1, "a gem is `name (version)`"))?;
                found.push((name.to_owned(), version.to_owned()));
            }
            _ => {}
        }
    }
    if section.is_empty() && !text.trim().is_empty() {
        return Err(ParseError::at(1, "no section"));
    }
    Ok(found
        .into_iter()
        .map(|(name, version)| {
            let direct = asked.contains(&name);
            Dependency { locked: true, direct: Some(direct), scope: None, ..dependency(Ecosystem::Gem, &name, &version) }
        })
        .collect())
}
