//! Cargo: `Cargo.toml`, and `Cargo.lock` of versions 1 to 4.

use std::collections::HashSet;

use toml::{Table, Value};

use crate::{Dependency, Ecosystem, ParseError, Parsed, Scope, dependency, toml};

pub(crate) fn manifest(text: &str) -> Parsed {
    let file = toml(text)?;
    let mut out = Vec::new();
    sections(&file, &mut out)?;
    if let Some(targets) = file.get("target").and_then(Value::as_table) {
        for target in targets.values().filter_map(Value::as_table) {
            sections(target, &mut out)?;
        }
    }
    if let Some(workspace) = file.get("workspace").and_then(Value::as_table) {
        section(workspace, "dependencies", Scope::Runtime, &mut out)?;
    }
    Ok(out)
}

fn sections(table: &Table, out: &mut Vec<Dependency>) -> Result<(), ParseError> {
    section(table, "dependencies", Scope::Runtime, out)?;
    for name in ["dev-dependencies", "dev_dependencies"] {
        section(table, name, Scope::Development, out)?;
    }
    for name in ["build-dependencies", "build_dependencies"] {
        section(table, name, Scope::Build, out)?;
    }
    Ok(())
}

fn section(table: &Table, key: &str, scope: Scope, out: &mut Vec<Dependency>) -> Result<(), ParseError> {
    let Some(section) = table.get(key) else { return Ok(()) };
    let section = section.as_table().ok_or_else(|| ParseError::new(format!("[{key}] is not a table")))?;
    for (key, value) in section {
        let (name, version, optional) = match value {
            Value::String(version) => (key.as_str(), version.clone(), false),
            Value::Table(t) => {
                let text = |k: &str| t.get(k).and_then(Value::as_str);
                let version = match (text("version"), text("git")) {
                    (Some(v), _) => v.to_owned(),
                    (None, Some(git)) => {
                        let at = ["rev", "tag", "branch"].iter().find_map(|k| text(k)).map(|r| format!("#{r}"));
                        format!("git+{git}{}", at.unwrap_or_default())
                    }
                    // only a path: a package of the project itself
                    (None, None) if t.contains_key("path") => continue,
                    (None, None) => String::new(),
                };
                (text("package").unwrap_or(key), version, t.get("optional").and_then(Value::as_bool).unwrap_or(false))
            }
            _ => return Err(ParseError::new(format!("dependency {key:?} is neither a version nor a table"))),
        };
        let scope = if optional && scope == Scope::Runtime { Scope::Optional } else { scope };
        out.push(Dependency { scope: Some(scope), ..dependency(Ecosystem::Cargo, name, &version) });
    }
    Ok(())
}

pub(crate) fn lock(text: &str) -> Parsed {
    let file = toml(text)?;
    let Some(packages) = file.get("package") else { return Ok(Vec::new()) };
    let packages = packages.as_array().ok_or_else(|| ParseError::new("`package` is not a list"))?;
    let text_of = |p: &Value, key: &str| p.get(key).and_then(Value::as_str).map(str::to_owned);
    // the packages without a source are the project's own; what they ask for is direct
    let mut asked: HashSet<&str> = HashSet::new();
    for own in packages.iter().filter(|p| p.get("source").is_none()) {
        asked.extend(own.get("dependencies").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str));
    }
    let mut out = Vec::new();
    for package in packages.iter().filter(|p| p.get("source").is_some()) {
        let (Some(name), Some(version)) = (text_of(package, "name"), text_of(package, "version")) else {
            return Err(ParseError::new("a [[package]] lacks its name or version"));
        };
        // `name`, `name version` or `name version (source)`: as much as is needed to be unique
        let with_version = format!("{name} {version}");
        let direct = asked.contains(name.as_str())
            || asked.contains(with_version.as_str())
            || package.get("source").and_then(Value::as_str).is_some_and(|s| asked.contains(format!("{with_version} ({s})").as_str()));
        out.push(Dependency { locked: true, direct: Some(direct), scope: None, ..dependency(Ecosystem::Cargo, &name, &version) });
    }
    Ok(out)
}
