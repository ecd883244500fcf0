//! Python: `pyproject.toml` (standard and Poetry), `requirements.txt`, `poetry.lock`, `uv.lock`.

use std::collections::HashMap;

use toml::{Table, Value};

use crate::{Dependency, Ecosystem, ParseError, Parsed, Scope, dependency, toml};

/// Names are equal under case and under runs of `-`, `_` and `.`.
fn normal(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if matches!(c, '-' | '_' | '.') {
            if !out.ends_with('-') {
                out.push('-');
            }
        } else {
            out.push(c.to_ascii_lowercase());
        }
    }
    out
}

/// Name and version of a requirement: `name[extra] >=1,<2 ; marker`, `name @ url`.
fn requirement(text: &str) -> Option<(String, String)> {
    let text = text.split(';').next().unwrap_or(text).trim();
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let rest = rest.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(extras) => extras.split_once(']')?.1.trim_start(),
        None => rest,
    };
    let rest = rest.strip_prefix('(').and_then(|r| r.strip_suffix(')')).unwrap_or(rest);
    if !rest.is_empty() && !rest.starts_with(['=', '<', '>', '!', '~', '@']) {
        return None;
    }
    Some((normal(name), rest.trim_start_matches('@').trim().to_owned()))
}

fn push(out: &mut Vec<Dependency>, text: &str, scope: Scope) -> Result<(), ParseError> {
    let (name, version) =
        requirement(text).ok_or_else(|| ParseError::new(format!("not a requirement: {:?}", text.chars().take(80).collect::<String>())))?;
    out.push(Dependency { scope: Some(scope), ..dependency(Ecosystem::Pypi, &name, &version) });
    Ok(())
}

fn list(value: Option<&Value>, what: &str, scope: Scope, out: &mut Vec<Dependency>) -> Result<(), ParseError> {
    let Some(value) = value else { return Ok(()) };
    let value = value.as_array().ok_or_else(|| ParseError::new(format!("{what} is not a list")))?;
    for entry in value {
        match entry {
            Value::String(text) => push(out, text, scope)?,
            // `{ include-group = "x" }`: that group is read itself
            Value::Table(_) => {}
            _ => return Err(ParseError::new(format!("{what} holds something that is not a text"))),
        }
    }
    Ok(())
}

fn table<'a>(value: Option<&'a Value>, key: &str) -> Option<&'a Table> {
    value.and_then(|v| v.get(key)).and_then(Value::as_table)
}

pub(crate) fn pyproject(text: &str) -> Parsed {
    let file = toml(text)?;
    let mut out = Vec::new();
    let project = file.get("project");
    list(project.and_then(|p| p.get("dependencies")), "project.dependencies", Scope::Runtime, &mut out)?;
    for (name, value) in table(project, "optional-dependencies").into_iter().flatten() {
        list(Some(value), &format!("project.optional-dependencies.{name}"), Scope::Optional, &mut out)?;
    }
    for (name, value) in file.get("dependency-groups").and_then(Value::as_table).into_iter().flatten() {
        list(Some(value), &format!("dependency-groups.{name}"), Scope::Development, &mut out)?;
    }
    list(file.get("build-system").and_then(|b| b.get("requires")), "build-system.requires", Scope::Build, &mut out)?;
    let poetry = file.get("tool").and_then(|t| t.get("poetry"));
    poetry_section(table(poetry, "dependencies"), Scope::Runtime, &mut out);
    poetry_section(table(poetry, "dev-dependencies"), Scope::Development, &mut out);
    for group in table(poetry, "group").into_iter().flat_map(Table::values) {
        poetry_section(table(Some(group), "dependencies"), Scope::Development, &mut out);
    }
    Ok(out)
}

fn poetry_section(section: Option<&Table>, scope: Scope, out: &mut Vec<Dependency>) {
    for (name, value) in section.into_iter().flatten().filter(|(name, _)| *name != "python") {
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        if text("path").is_some() {
            continue;
        }
        let version = value.as_str().or_else(|| text("version")).or_else(|| text("git")).or_else(|| text("url")).unwrap_or("");
        let optional = value.get("optional").and_then(Value::as_bool).unwrap_or(false);
        let scope = if optional && scope == Scope::Runtime { Scope::Optional } else { scope };
        out.push(Dependency { scope: Some(scope), ..dependency(Ecosystem::Pypi, &normal(name), version) });
    }
}

pub(crate) fn requirements(text: &str) -> Parsed {
    requirement_lines(text, Scope::Runtime)
}

pub(crate) fn requirements_dev(text: &str) -> Parsed {
    requirement_lines(text, Scope::Development)
}

fn requirement_lines(text: &str, scope: Scope) -> Parsed {
    let mut out = Vec::new();
    let mut joined = String::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(part) = line.strip_suffix('\\') {
            joined.push_str(part);
            continue;
        }
        joined.push_str(line);
        let whole = std::mem::take(&mut joined);
        // a `#` starts a comment at the start of a line or after white space; elsewhere it is part of a URL
        let end =
            whole.match_indices('#').find(|(at, _)| *at == 0 || whole[..*at].ends_with([' ', '\t'])).map_or(whole.len(), |(at, _)| at);
        let bare = whole[..end].trim();
        // options, other files, paths and archives without a name
        if bare.is_empty() || bare.starts_with(['-', '.', '/']) || (bare.contains("://") && !bare.contains('@')) {
            continue;
        }
        let bare = bare.split(" --").next().unwrap_or(bare);
        let (name, version) = requirement(bare).ok_or_else(|| ParseError::at(index + 1, "not a requirement"))?;
        let exact = version.strip_prefix("==").filter(|v| !v.contains([',', '*']) && !v.starts_with('='));
        out.push(Dependency { scope: Some(scope), ..dependency(Ecosystem::Pypi, &name, exact.map_or(version.as_str(), str::trim)) });
    }
    Ok(out)
}

fn packages(file: &Table) -> Result<&[Value], ParseError> {
    match file.get("package") {
        None => Ok(&[]),
        Some(Value::Array(list)) => Ok(list),
        Some(_) => Err(ParseError::new("`package` is not a list")),
    }
}

pub(crate) fn poetry_lock(text: &str) -> Parsed {
    let file = toml(text)?;
    let mut out = Vec::new();
    for package in packages(&file)? {
        let text = |key: &str| package.get(key).and_then(Value::as_str);
        let (Some(name), Some(version)) = (text("name"), text("version")) else {
            return Err(ParseError::new("a [[package]] lacks its name or version"));
        };
        let groups: Option<Vec<&str>> =
            package.get("groups").and_then(Value::as_array).map(|g| g.iter().filter_map(Value::as_str).collect());
        let scope = match (text("category"), groups) {
            (Some("dev"), _) => Some(Scope::Development),
            (_, Some(g)) if !g.is_empty() && !g.contains(&"main") => Some(Scope::Development),
            (None, None) => None,
            _ if package.get("optional").and_then(Value::as_bool) == Some(true) => Some(Scope::Optional),
            _ => Some(Scope::Runtime),
        };
        out.push(Dependency { locked: true, direct: None, scope, ..dependency(Ecosystem::Pypi, &normal(name), version) });
    }
    Ok(out)
}

pub(crate) fn uv_lock(text: &str) -> Parsed {
    let file = toml(text)?;
    let packages = packages(&file)?;
    let own = |p: &Value| p.get("source").is_some_and(|s| ["virtual", "editable", "directory"].iter().any(|k| s.get(k).is_some()));
    let mut asked: HashMap<String, Scope> = HashMap::new();
    let mut ask = |list: Option<&Value>, scope: Scope| {
        for name in list.and_then(Value::as_array).into_iter().flatten().filter_map(|d| d.get("name")).filter_map(Value::as_str) {
            let entry = asked.entry(normal(name)).or_insert(scope);
            *entry = (*entry).min(scope);
        }
    };
    for package in packages.iter().filter(|p| own(p)) {
        ask(package.get("dependencies"), Scope::Runtime);
        for (key, scope) in [("optional-dependencies", Scope::Optional), ("dev-dependencies", Scope::Development)] {
            for group in table(Some(package), key).into_iter().flat_map(Table::values) {
                ask(Some(group), scope);
            }
        }
    }
    let mut out = Vec::new();
    for package in packages.iter().filter(|p| !own(p)) {
        let text = |key: &str| package.get(key).and_then(Value::as_str);
        let Some(name) = text("name").map(normal) else {
            return Err(ParseError::new("a [[package]] lacks its name"));
        };
        let scope = asked.get(&name).copied();
        // a source tree without metadata has no version
        let version = text("version").unwrap_or("");
        out.push(Dependency { locked: true, direct: Some(scope.is_some()), scope, ..dependency(Ecosystem::Pypi, &name, version) });
    }
    Ok(out)
}
