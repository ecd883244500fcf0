//! A template's manifest, and the values of its parameters. Pure; the format is described in `docs/templates.md`.

use std::collections::{BTreeMap, HashSet};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use indexmap::IndexMap;
use kernel::{Code, Error, FieldError, Result};
use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Longest string parameter without a `max_length` of its own.
const LENGTH: usize = 200;

/// `template.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// A slug.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// One or two sentences.
    #[serde(default)]
    pub description: String,
    /// Becomes the project's language.
    pub language: Option<String>,
    /// A word that clients map to a picture.
    pub icon: Option<String>,
    /// Globs of files that are rendered.
    #[serde(default)]
    pub render: Vec<String>,
    /// Globs of files that may be executed.
    #[serde(default)]
    pub executable: Vec<String>,
    /// What must be on the machine.
    #[serde(default)]
    pub tools: Vec<Tool>,
    /// What the creator may set.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// Conditional files.
    #[serde(default)]
    pub files: Vec<Conditional>,
}

/// A tool that must be on the machine.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Which one, of those the service can look for (`executors::tools`).
    pub name: String,
    /// The least version.
    pub minimum: Option<String>,
}

/// The type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// Yes or no.
    Boolean,
    /// One of some texts.
    Choice,
}

/// What the creator may set.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TemplateParameter)]
pub struct Parameter {
    /// Its name in placeholders.
    pub name: String,
    /// One line for people.
    #[serde(default)]
    pub title: String,
    /// More for people.
    #[serde(default)]
    pub description: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The value when none is given.
    #[schema(value_type = Option<Value>)]
    pub default: Option<Value>,
    /// Must a value be given?
    #[serde(default)]
    pub required: bool,
    /// What a text must match as a whole.
    pub pattern: Option<String>,
    /// The choices.
    #[serde(default)]
    pub choices: Vec<String>,
    /// The least number.
    pub min: Option<i64>,
    /// The greatest number.
    pub max: Option<i64>,
    /// Most characters of a text.
    pub max_length: Option<usize>,
}

/// Files that are left out when a parameter is false.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conditional {
    /// A glob below `files/`.
    pub path: String,
    /// A boolean parameter.
    pub when: String,
}

/// The parameters' values, as text for placeholders and as flags for conditions.
#[derive(Clone, Debug, Default)]
pub struct Values {
    /// Text by placeholder name.
    pub texts: BTreeMap<String, String>,
    /// Boolean parameters.
    pub flags: BTreeMap<String, bool>,
}

pub(crate) fn globs(patterns: &[String]) -> Result<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = GlobBuilder::new(pattern).literal_separator(true).build();
        set.add(glob.map_err(|e| broken(format!("glob {pattern}: {e}")))?);
    }
    set.build().map_err(|e| broken(e.to_string()))
}

fn broken(detail: String) -> Error {
    Error::new(Code::Unprocessable, format!("template.toml: {detail}"))
}

impl Manifest {
    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// `unprocessable` with the place of the mistake.
    pub fn parse(text: &str) -> Result<Self> {
        let manifest: Manifest = toml::from_str(text).map_err(|e| broken(e.to_string()))?;
        kernel::Slug::parse(&manifest.name).map_err(|e| broken(e.detail))?;
        globs(&manifest.render)?;
        globs(&manifest.executable)?;
        if let Some(tool) = manifest.tools.iter().find(|t| !executors::tools::is_known(&t.name)) {
            return Err(broken(format!("tools: {} is not a tool that the service can look for", tool.name)));
        }
        let mut seen = HashSet::new();
        for p in &manifest.parameters {
            let named = p.name.starts_with(|c: char| c.is_ascii_lowercase())
                && p.name.len() <= 40
                && p.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
                && p.name != "project";
            if !named || !seen.insert(p.name.as_str()) {
                return Err(broken(format!("parameter {}: the name is not valid or stands twice", p.name)));
            }
            if let Some(pattern) = &p.pattern {
                compile(pattern).map_err(|e| broken(format!("parameter {}: {e}", p.name)))?;
            }
            if p.kind == Kind::Choice && p.choices.is_empty() {
                return Err(broken(format!("parameter {}: a choice needs choices", p.name)));
            }
            if let Some(default) = &p.default {
                p.check(default).map_err(|e| broken(format!("parameter {}: default: {e}", p.name)))?;
            }
        }
        for file in &manifest.files {
            globs(std::slice::from_ref(&file.path))?;
            if !manifest.parameters.iter().any(|p| p.name == file.when && p.kind == Kind::Boolean) {
                return Err(broken(format!("files {}: {} is not a boolean parameter", file.path, file.when)));
            }
        }
        Ok(manifest)
    }

    /// Checks the given values and adds the defaults.
    ///
    /// # Errors
    /// `validation_failed` with a row for each wrong field `parameters.<name>`.
    pub fn values(&self, given: &IndexMap<String, Value>) -> Result<Values> {
        let mut wrong = Vec::new();
        let mut bad = |name: &str, code: &'static str, message: String| {
            wrong.push(FieldError { field: format!("parameters.{name}"), code, message });
        };
        for name in given.keys() {
            if !self.parameters.iter().any(|p| p.name == *name) {
                bad(name, "unknown", "the template has no such parameter".into());
            }
        }
        let mut values = Values::default();
        for p in &self.parameters {
            let value = match given.get(&p.name).filter(|v| !v.is_null()) {
                Some(value) => value.clone(),
                None if p.required => {
                    bad(&p.name, "required", "a value is needed".into());
                    continue;
                }
                None => p.default.clone().unwrap_or_else(|| p.empty()),
            };
            if let Err(message) = p.check(&value) {
                bad(&p.name, "invalid", message);
                continue;
            }
            if let Value::Bool(flag) = value {
                values.flags.insert(p.name.clone(), flag);
            }
            values.texts.insert(p.name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
        if wrong.is_empty() { Ok(values) } else { Err(Error::fields(wrong)) }
    }
}

fn compile(pattern: &str) -> Result<Regex, String> {
    regex::RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(1 << 20).build().map_err(|e| e.to_string())
}

impl Parameter {
    fn empty(&self) -> Value {
        match self.kind {
            Kind::String => Value::String(String::new()),
            Kind::Integer => Value::from(0),
            Kind::Boolean => Value::Bool(false),
            Kind::Choice => Value::String(self.choices.first().cloned().unwrap_or_default()),
        }
    }

    fn check(&self, value: &Value) -> Result<(), String> {
        match (self.kind, value) {
            (Kind::String, Value::String(text)) => {
                let most = self.max_length.unwrap_or(LENGTH);
                if text.chars().count() > most {
                    return Err(format!("at most {most} characters"));
                }
                if text.chars().any(char::is_control) {
                    return Err("holds control characters".into());
                }
                match &self.pattern {
                    Some(pattern) if !compile(pattern)?.is_match(text) => Err(format!("must match {pattern}")),
                    _ => Ok(()),
                }
            }
            (Kind::Integer, Value::Number(n)) => {
                let n = n.as_i64().ok_or("a whole number is expected")?;
                if self.min.is_some_and(|min| n < min) || self.max.is_some_and(|max| n > max) {
                    let show = |b: Option<i64>| b.map_or_else(|| "…".to_owned(), |b| b.to_string());
                    return Err(format!("between {} and {}", show(self.min), show(self.max)));
                }
                Ok(())
            }
            (Kind::Boolean, Value::Bool(_)) => Ok(()),
            (Kind::Choice, Value::String(text)) => {
                if self.choices.contains(text) {
                    Ok(())
                } else {
                    Err(format!("one of {}", self.choices.join(", ")))
                }
            }
            (kind, _) => Err(format!("a value of type {} is expected", format!("{kind:?}").to_lowercase())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TEXT: &str = r#"
name = "t"
title = "T"
[[parameters]]
name = "greeting"
type = "string"
default = "Hello"
pattern = "[A-Z][a-z]+"
[[parameters]]
name = "port"
type = "integer"
default = 8080
min = 1
max = 65535
[[parameters]]
name = "make"
type = "boolean"
[[parameters]]
name = "db"
type = "choice"
choices = ["none", "pg"]
[[parameters]]
name = "owner"
type = "string"
required = true
[[files]]
path = "Makefile"
when = "make"
"#;

    fn values(given: Value) -> Result<Values> {
        Manifest::parse(TEXT).unwrap().values(&serde_json::from_value(given).unwrap())
    }

    #[test]
    fn defaults_fill_in() {
        let v = values(json!({"owner": "me"})).unwrap();
        assert_eq!((v.texts["greeting"].as_str(), v.texts["port"].as_str(), v.texts["db"].as_str()), ("Hello", "8080", "none"));
        assert!(!v.flags["make"]);
    }

    #[test]
    fn each_wrong_field_is_named() {
        let e = values(json!({"greeting": "hello", "port": 0, "make": "yes", "db": "x", "nope": 1})).unwrap_err();
        let fields: Vec<_> = e.fields.iter().map(|f| (f.field.as_str(), f.code)).collect();
        assert_eq!(
            fields,
            [
                ("parameters.nope", "unknown"),
                ("parameters.greeting", "invalid"),
                ("parameters.port", "invalid"),
                ("parameters.make", "invalid"),
                ("parameters.db", "invalid"),
                ("parameters.owner", "required"),
            ]
        );
    }

    #[test]
    fn unknown_keys_and_bad_defaults_are_refused() {
        for text in [
            "name='t'\ntitle='T'\nrendr=[]",
            "name='t'\ntitle='T'\n[[parameters]]\nname='a'\ntype='integer'\ndefault='x'",
            "name='t'\ntitle='T'\n[[parameters]]\nname='a'\ntype='string'\npattern='('",
            "name='t'\ntitle='T'\n[[files]]\npath='x'\nwhen='nope'",
            "name='../x'\ntitle='T'",
        ] {
            assert!(Manifest::parse(text).is_err(), "{text}");
        }
    }
}
