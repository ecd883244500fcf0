//! Package manifests and lock files: which packages a project asks for, and which it got.
//!
//! Owns the formats. Bytes in, dependencies out: no IO, no panic on any input, bounded in size and count. A file that
//! does not parse gives an error with its line, never an empty answer that looks complete.
//!
//! A manifest tells what is asked for (`locked: false`, the version is a requirement as written); a lock file tells
//! what was chosen (`locked: true`, the version is exact). [`merge`] makes one list of both.
//!
//! Packages of the project itself (path, workspace and link entries) are not dependencies and are left out.
//!
//! Read next: one file per ecosystem.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

mod cargo;
mod go;
mod maven;
mod npm;
mod php;
mod pnpm;
mod python;
mod ruby;
mod yarn;

/// Larger files are refused.
pub const SIZE_LIMIT: usize = 16 * 1024 * 1024;

/// Dependencies kept of one file.
pub const DEPENDENCY_LIMIT: usize = 50_000;

/// Names and versions longer than this are refused: nothing real is.
const TEXT_LIMIT: usize = 512;

/// Where a package comes from, by the type words of package URLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ecosystem {
    /// Rust.
    Cargo,
    /// JavaScript.
    Npm,
    /// Python.
    Pypi,
    /// Go modules.
    Golang,
    /// Java.
    Maven,
    /// Ruby.
    Gem,
    /// PHP.
    Composer,
}

impl Ecosystem {
    const ALL: [Self; 7] = [Self::Cargo, Self::Npm, Self::Pypi, Self::Golang, Self::Maven, Self::Gem, Self::Composer];

    /// The text form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cargo => "cargo",
            Self::Npm => "npm",
            Self::Pypi => "pypi",
            Self::Golang => "golang",
            Self::Maven => "maven",
            Self::Gem => "gem",
            Self::Composer => "composer",
        }
    }

    /// From the text form.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|e| e.as_str() == text)
    }
}

/// What a package is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// To run.
    Runtime,
    /// To run, if a feature is wanted.
    Optional,
    /// To be brought by whoever uses this package.
    Peer,
    /// To build.
    Build,
    /// To develop and test.
    Development,
}

impl Scope {
    const ALL: [Self; 5] = [Self::Runtime, Self::Optional, Self::Peer, Self::Build, Self::Development];

    /// The text form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Runtime => "runtime",
            Self::Optional => "optional",
            Self::Peer => "peer",
            Self::Build => "build",
            Self::Development => "development",
        }
    }

    /// From the text form.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }
}

/// One package that a file names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Dependency {
    /// Where it comes from.
    pub ecosystem: Ecosystem,
    /// Its name there, normalised by the rules of the ecosystem.
    pub name: String,
    /// Exact when `locked`, else the requirement as written; empty when the file gives none.
    pub version: String,
    /// Chosen, not asked for.
    pub locked: bool,
    /// Does the project itself ask for it? Some lock files do not tell.
    pub direct: Option<bool>,
    /// What for; some lock files do not tell.
    pub scope: Option<Scope>,
}

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Line from 1, if known.
    pub line: Option<u32>,
    /// What is wrong.
    pub message: String,
}

impl ParseError {
    fn new(message: impl Into<String>) -> Self {
        Self { line: None, message: message.into() }
    }

    fn at(line: usize, message: impl Into<String>) -> Self {
        Self { line: u32::try_from(line).ok(), message: message.into() }
    }

    fn at_offset(text: &str, offset: usize, message: impl Into<String>) -> Self {
        let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
        Self::at(before.iter().filter(|b| **b == b'\n').count() + 1, message)
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for ParseError {}

type Parsed = Result<Vec<Dependency>, ParseError>;
type Parser = fn(&str) -> Parsed;

/// The parser for a file, by its name.
fn parser(path: &str) -> Option<(Ecosystem, Parser)> {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    // packages that were checked in are not what this project asks for
    if path.split('/').any(|part| matches!(part, "node_modules" | "vendor" | ".venv" | "site-packages")) {
        return None;
    }
    Some(match file {
        "Cargo.toml" => (Ecosystem::Cargo, cargo::manifest),
        "Cargo.lock" => (Ecosystem::Cargo, cargo::lock),
        "package.json" => (Ecosystem::Npm, npm::manifest),
        "package-lock.json" | "npm-shrinkwrap.json" => (Ecosystem::Npm, npm::lock),
        "yarn.lock" => (Ecosystem::Npm, yarn::lock),
        "pnpm-lock.yaml" => (Ecosystem::Npm, pnpm::lock),
        "pyproject.toml" => (Ecosystem::Pypi, python::pyproject),
        "poetry.lock" => (Ecosystem::Pypi, python::poetry_lock),
        "uv.lock" => (Ecosystem::Pypi, python::uv_lock),
        "go.mod" => (Ecosystem::Golang, go::manifest),
        "go.sum" => (Ecosystem::Golang, go::sums),
        "pom.xml" => (Ecosystem::Maven, maven::pom),
        "Gemfile.lock" | "gems.locked" => (Ecosystem::Gem, ruby::lock),
        "composer.json" => (Ecosystem::Composer, php::manifest),
        "composer.lock" => (Ecosystem::Composer, php::lock),
        _ => {
            let is_list = file.ends_with(".txt") && (file.starts_with("requirements") || folder.rsplit('/').next() == Some("requirements"));
            if !is_list {
                return None;
            }
            let develop = ["dev", "test", "lint", "docs"].iter().any(|w| file.contains(w));
            (Ecosystem::Pypi, if develop { python::requirements_dev } else { python::requirements })
        }
    })
}

/// Is this a file that [`parse`] reads?
pub fn ecosystem_of(path: &str) -> Option<Ecosystem> {
    parser(path).map(|(e, _)| e)
}

/// Reads a manifest or lock file; `None` when the path is neither. The list is sorted and without repetition.
pub fn parse(path: &str, bytes: &[u8]) -> Option<Parsed> {
    let (_, parser) = parser(path)?;
    Some(read(parser, bytes))
}

fn read(parser: Parser, bytes: &[u8]) -> Parsed {
    if bytes.len() > SIZE_LIMIT {
        return Err(ParseError::new(format!("larger than {SIZE_LIMIT} bytes")));
    }
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let line = bytes[..e.valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
        ParseError::at(line, "not UTF-8")
    })?;
    let mut list = parser(text.trim_start_matches('\u{feff}'))?;
    if let Some(bad) = list.iter().find(|d| !acceptable(&d.name) || d.version.len() > TEXT_LIMIT || d.version.contains(char::is_control)) {
        return Err(ParseError::new(format!("not a package: {:?}", bad.name.chars().take(60).collect::<String>())));
    }
    list.sort();
    list.dedup();
    if list.len() > DEPENDENCY_LIMIT {
        return Err(ParseError::new(format!("more than {DEPENDENCY_LIMIT} packages")));
    }
    Ok(list)
}

fn acceptable(name: &str) -> bool {
    !name.is_empty() && name.len() <= TEXT_LIMIT && !name.contains(|c: char| c.is_control() || c.is_whitespace())
}

/// Makes one list of a project's files: what was chosen replaces what was asked for, and learns from it whether it is
/// direct and what it is for. Each entry keeps the path of its file.
pub fn merge(files: impl IntoIterator<Item = (String, Dependency)>) -> Vec<(String, Dependency)> {
    let mut by_name: BTreeMap<(Ecosystem, String), Vec<(String, Dependency)>> = BTreeMap::new();
    for (path, dependency) in files {
        by_name.entry((dependency.ecosystem, dependency.name.clone())).or_default().push((path, dependency));
    }
    let mut merged = Vec::new();
    for (_, mut entries) in by_name {
        let asked: Vec<Dependency> = entries.iter().map(|(_, d)| d).filter(|d| d.direct == Some(true)).cloned().collect();
        if entries.iter().any(|(_, d)| d.locked) {
            entries.retain(|(_, d)| d.locked);
        }
        for (_, d) in &mut entries {
            // the strongest need wins: what runs is not "only for development"
            let need = asked.iter().filter_map(|a| a.scope).min();
            d.scope = match (d.scope, need) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            d.direct = Some(d.direct == Some(true) || !asked.is_empty());
        }
        entries.sort();
        // two files that chose the same version say the same thing
        entries.dedup_by(|b, a| a.1.version == b.1.version && a.1.locked && b.1.locked);
        merged.append(&mut entries);
    }
    merged
}

fn dependency(ecosystem: Ecosystem, name: &str, version: &str) -> Dependency {
    Dependency {
        ecosystem,
        name: name.to_owned(),
        version: version.trim().to_owned(),
        locked: false,
        direct: Some(true),
        scope: Some(Scope::Runtime),
    }
}

fn json(text: &str) -> Result<serde_json::Value, ParseError> {
    // serde_json refuses more than 128 levels itself
    serde_json::from_str(text).map_err(|e| ParseError::at(e.line(), e.to_string()))
}

fn toml(text: &str) -> Result<toml::Table, ParseError> {
    text.parse::<toml::Table>().map_err(|e| match e.span() {
        Some(span) => ParseError::at_offset(text, span.start, e.message().trim()),
        None => ParseError::new(e.message().trim()),
    })
}

#[cfg(test)]
mod tests;
