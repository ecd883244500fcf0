//! Composer: `composer.json` and `composer.lock`.

use serde_json::Value;

use crate::{Dependency, Ecosystem, ParseError, Parsed, Scope, dependency, json};

pub(crate) fn manifest(text: &str) -> Parsed {
    let file = json(text)?;
    let mut out = Vec::new();
    for (key, scope) in [("require", Scope::Runtime), ("require-dev", Scope::Development)] {
        let Some(section) = file.get(key) else { continue };
        // an empty object is written as a list by PHP
        if section.as_array().is_some_and(Vec::is_empty) {
            continue;
        }
        let section = section.as_object().ok_or_else(|| ParseError::new(format!("{key} is not an object")))?;
        // without a vendor it is the platform: `php`, `ext-json`
        for (name, version) in section.iter().filter(|(name, _)| name.contains('/')) {
            let version = version.as_str().ok_or_else(|| ParseError::new(format!("the version of {name:?} is not a text")))?;
            out.push(Dependency { scope: Some(scope), ..dependency(Ecosystem::Composer, &name.to_ascii_lowercase(), version) });
        }
    }
    Ok(out)
}

pub(crate) fn lock(text: &str) -> Parsed {
    let file = json(text)?;
    let mut out = Vec::new();
    for (key, scope) in [("packages", Scope::Runtime), ("packages-dev", Scope::Development)] {
        let Some(list) = file.get(key) else { continue };
        let list = list.as_array().ok_or_else(|| ParseError::new(format!("{key} is not a list")))?;
        for package in list {
            let text = |k: &str| package.get(k).and_then(Value::as_str);
            let (Some(name), Some(version)) = (text("name"), text("version")) else {
                return Err(ParseError::new(format!("an entry of {key} lacks its name or version")));
            };
            out.push(Dependency {
                locked: true,
                direct: None,
                scope: Some(scope),
                ..dependency(Ecosystem::Composer, &name.to_ascii_lowercase(), version)
            });
        }
    }
    Ok(out)
}
