//! Shared libraries: which ones a Jenkinsfile names, and what was found of them.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::ast::{Call, Entry, Expr, ExprKind, StmtKind};
use super::{Read, model::Value};

/// Most files of a library.
pub const MAX_FILES: usize = 300;
/// Most bytes of its files.
pub const MAX_BYTES: usize = 2 << 20;

/// A library that a file names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The name before the `@`.
    pub name: String,
    /// Branch, tag or commit; none is the default branch.
    pub reference: Option<String>,
    /// Where it is named, in bytes.
    pub at: u32,
}

impl Named {
    fn parse(text: &str, at: u32) -> Self {
        match text.split_once('@') {
            Some((name, reference)) => Self { name: name.trim().into(), reference: Some(reference.trim().into()), at },
            None => Self { name: text.trim().into(), reference: None, at },
        }
    }
}

/// A library at a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Library {
    /// The name it is used by.
    pub name: String,
    /// Path of the project it comes from.
    pub repository: String,
    /// The commit that the ref was when the run was planned.
    pub commit: String,
    /// Texts by path: `vars/*.groovy`, `src/**/*.groovy`, `resources/**`.
    pub files: IndexMap<String, String>,
}

impl Library {
    /// Is the file one that a pipeline can use?
    pub fn takes(path: &str) -> bool {
        let groovy = path.ends_with(".groovy");
        let code = path.starts_with("src/") || path.strip_prefix("vars/").is_some_and(|p| !p.contains('/'));
        (groovy && code) || path.starts_with("resources/")
    }

    /// A file as messages name it.
    pub(super) fn file(&self, path: &str) -> String {
        format!("{}/{path}", self.repository)
    }

    /// Names of its variables.
    pub(super) fn vars(&self) -> impl Iterator<Item = &str> {
        self.files.keys().filter_map(|p| p.strip_prefix("vars/")?.strip_suffix(".groovy"))
    }
}

/// What was found of a library.
#[derive(Clone, Debug)]
pub enum Found {
    /// It is here.
    Loaded(Library),
    /// It cannot be had; why.
    Closed(String),
}

/// The libraries that were looked up, by the text after `@Library`; none when nobody could look.
#[derive(Clone, Debug, Default)]
pub struct Libraries {
    /// What was found, by name and ref; none of it is known to a command that has no server.
    pub found: Option<Vec<(Named, Found)>>,
}

impl Libraries {
    /// One in which everything named was looked up.
    pub fn known(found: Vec<(Named, Found)>) -> Self {
        Self { found: Some(found) }
    }

    /// Those that are here, in the order they are named.
    pub(super) fn loaded(&self) -> Vec<Library> {
        let found = self.found.iter().flatten();
        found
            .filter_map(|(_, f)| match f {
                Found::Loaded(library) => Some(library.clone()),
                Found::Closed(_) => None,
            })
            .collect()
    }
}

/// The libraries that a file names: `@Library`, `libraries { lib() }`, and `library` at the top of the file.
pub fn named(read: &Read) -> Vec<Named> {
    let mut out: Vec<Named> = Vec::new();
    let mut add = |named: Named| {
        if !out.iter().any(|n| n.name == named.name) {
            out.push(named);
        }
    };
    for stmt in &read.script.body {
        match &stmt.kind {
            StmtKind::Library(names) => names.iter().for_each(|n| add(Named::parse(n, stmt.at.start))),
            StmtKind::Expr(Expr { kind: ExprKind::Call(call), .. }) => {
                if let Some(text) = identifier(call) {
                    add(Named::parse(text, stmt.at.start));
                }
            }
            _ => {}
        }
    }
    let libraries = read.pipeline.iter().filter_map(|p| p.libraries.as_ref()).flatten();
    libraries.filter_map(|v: &Value| Some((v.text()?, v.expr.at.start))).for_each(|(text, at)| add(Named::parse(text, at)));
    out
}

/// The constant of `library 'x'` or `library identifier: 'x'`.
fn identifier(call: &Call) -> Option<&str> {
    if call.plain_name() != Some("library") {
        return None;
    }
    match call.args.first().map(|a| &a.kind)? {
        ExprKind::Str(text) => Some(text),
        ExprKind::Map(entries) => entries.iter().find_map(|Entry { key, value }| match (&key.kind, &value.kind) {
            (ExprKind::Str(key), ExprKind::Str(text)) if key == "identifier" => Some(text.as_str()),
            _ => None,
        }),
        _ => None,
    }
}
