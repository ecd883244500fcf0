//! `devmentor/dotenv`: variables that one job writes to a file and later jobs get as their environment.
//!
//! A job reads its files into the output `variables`, a JSON object on one line; a later one is given such lines in `load`.
//! Names in `keep` stay as they are, because a person or the project set them.

use dialects::gitlab::{Var, Vars};
use serde_json::{Map, Value};

use super::{ActionEnd, ActionError, ActionResult, Call, failed, select};
use crate::sandbox::read_beneath;

/// Largest file.
const FILE_MAX: u64 = 5 << 10;
/// Most variables of a job.
const VARIABLES_MAX: usize = 150;

pub(super) async fn run(call: &mut Call<'_>) -> ActionResult {
    let mut end = ActionEnd::default();
    if call.input("load").is_some() {
        let keep = call.lines("keep");
        for line in call.lines("load") {
            let Ok(Value::Object(map)) = serde_json::from_str(&line) else { continue };
            for (name, value) in map {
                if let (Value::String(value), false) = (value, keep.contains(&name)) {
                    end.env.push((name, value));
                }
            }
        }
        call.out.line(&format!("{} variable(s)", end.env.len())).await?;
    }
    let files = call.lines("file");
    if files.is_empty() {
        return Ok(end);
    }
    let dirs = call.place.dirs().clone();
    let selection = select::files(&dirs, &files, true)?;
    if selection.files.is_empty() {
        call.out.warning(&format!("no file matches `{}`", files.join(", "))).await?;
    }
    let mut variables = Map::new();
    for file in &selection.files {
        let path = selection.base.join(file);
        let inside = path.strip_prefix(&dirs.root).map_err(std::io::Error::other)?;
        let bytes = read_beneath(&dirs.root, inside, FILE_MAX, true)
            .map_err(|e| ActionError::Failed(format!("{} cannot be read (at most {FILE_MAX} bytes): {e}", file.display())))?;
        let text = String::from_utf8(bytes).map_err(|_| ActionError::Failed(format!("{} is not valid UTF-8", file.display())))?;
        if let Err((line, why)) = parse(&text, &mut variables) {
            return failed(format!("{}:{line}: {why}", file.display()));
        }
    }
    if variables.len() > VARIABLES_MAX {
        return failed(format!("{} variables, at most {VARIABLES_MAX} are taken", variables.len()));
    }
    call.out
        .line(&format!("{} variable(s) for later jobs: {}", variables.len(), variables.keys().cloned().collect::<Vec<_>>().join(", ")))
        .await?;
    Ok(end.output("variables", Value::Object(variables).to_string()))
}

/// Reads `NAME=value` lines. Values may name variables of earlier lines; quotes around a value are not part of it.
fn parse(text: &str, into: &mut Map<String, Value>) -> Result<(), (usize, String)> {
    let mut vars = Vars::default();
    for (n, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((name, value)) = line.split_once('=') else { return Err((n + 1, format!("`{line}` is not NAME=value"))) };
        let name = name.trim();
        let mut bytes = name.bytes();
        let first = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        if !first || !bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err((n + 1, format!("`{name}` cannot be the name of a variable")));
        }
        let value = value.trim();
        let quoted = ['"', '\''].into_iter().find_map(|q| value.strip_prefix(q)?.strip_suffix(q));
        let value = quoted.unwrap_or(value);
        let value = if value.contains('$') && line.split_once('=').is_some_and(|(_, v)| !v.trim().starts_with('\'')) {
            vars.expand(value).value.plain.unwrap_or_default()
        } else {
            value.to_owned()
        };
        vars.set(name, Var::Raw(value.clone()));
        into.insert(name.to_owned(), Value::String(value));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read() {
        let mut map = Map::new();
        parse("# note\nA=1\n\n B = two words \nC=\"x y\"\nD=$A-${B}\nE='$A'\nF=a=b\n", &mut map).unwrap();
        assert_eq!(Value::Object(map).to_string(), r#"{"A":"1","B":"two words","C":"x y","D":"1-two words","E":"$A","F":"a=b"}"#);
        for (text, line) in [("A=1\nno", 2), ("1A=x", 1), ("=x", 1), ("A B=x", 1)] {
            assert_eq!(parse(text, &mut Map::new()).unwrap_err().0, line, "{text}");
        }
    }
}
