//! From any dialect to any other: what a file says is read by its own reader, drafted without a dialect, and written anew.
//!
//! What cannot be said in the other dialect, or means something else there, is a located difference; nothing is lost in
//! silence. A difference with the severity of an error has to be looked at by a person: the written file fails there, or
//! lacks it. Pure.
//!
//! Read next: `draft` (the middle), `from_*` (readers), `to_*` (writers), `shell` (scripts).

mod conditions;
mod downstream;
mod draft;
mod from_github;
mod from_gitlab;
mod from_jenkins;
mod order;
mod shell;
#[cfg(test)]
mod tests;
mod to_github;
mod to_gitlab;
mod to_jenkins;

use serde::{Deserialize, Serialize};

use crate::diagnostic::{Diagnostic, Diagnostics, Span};
use crate::plan::{Dialect, Plan};

/// A dialect that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// `.github/workflows/ci.yml`.
    Github,
    /// `.gitlab-ci.yml`.
    Gitlab,
    /// `Jenkinsfile`.
    Jenkins,
}

impl Target {
    /// All of them.
    pub const ALL: [Target; 3] = [Target::Github, Target::Gitlab, Target::Jenkins];

    /// The language that a file of this name is written in.
    pub fn of(path: &str) -> Self {
        let lower = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
        if lower.ends_with(".gitlab-ci.yml") || lower.ends_with(".gitlab-ci.yaml") {
            Self::Gitlab
        } else if lower.starts_with("jenkinsfile") || lower.ends_with(".jenkinsfile") || lower.ends_with(".groovy") {
            Self::Jenkins
        } else {
            Self::Github
        }
    }

    /// Where a file of this dialect is expected.
    pub fn path(self) -> &'static str {
        match self {
            Target::Github => ".github/workflows/ci.yml",
            Target::Gitlab => crate::gitlab::FILE,
            Target::Jenkins => crate::jenkins::FILE,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Target::Github => "GitHub Actions",
            Target::Gitlab => "GitLab CI",
            Target::Jenkins => "Jenkins",
        }
    }
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Written {
    /// Where it is expected.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// What came of a conversion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Converted {
    /// The files.
    pub files: Vec<Written>,
    /// What is different in them, with the places in the source.
    pub differences: Vec<Diagnostic>,
}

/// Writes a pipeline file in another dialect.
///
/// # Errors
/// What is wrong with the file.
pub fn convert(path: &str, bytes: &[u8], from: Target, to: Target) -> Result<Converted, Vec<Diagnostic>> {
    let mut out = Diagnostics::default();
    let draft = match from {
        Target::Github => from_github::read(path, bytes, &mut out)?,
        Target::Gitlab => from_gitlab::read(path, bytes, &mut out)?,
        Target::Jenkins => from_jenkins::read(path, bytes, &mut out)?,
    };
    if from == to {
        let text = String::from_utf8_lossy(bytes).into_owned();
        return Ok(Converted { files: vec![Written { path: to.path().into(), text }], differences: Vec::new() });
    }
    let mut made = write(&draft, from, to, out);
    for difference in made.differences.iter_mut().filter(|d| d.span.file.is_empty()) {
        // it is about the file as a whole
        difference.span.file = path.into();
    }
    Ok(made)
}

/// Writes a plan that was detected.
pub fn write_detected(plan: &Plan, to: Target) -> Converted {
    if to == Target::Github {
        let text = crate::emit::workflow(plan);
        return Converted { files: vec![Written { path: to.path().into(), text }], differences: Vec::new() };
    }
    let mut out = Diagnostics::default();
    let draft = from_github::draft(plan, &mut out);
    write(&draft, Target::Github, to, out)
}

fn write(draft: &draft::Draft, from: Target, to: Target, mut out: Diagnostics) -> Converted {
    let order = order::Order::of(draft);
    let mut w = Writer { draft, order: &order, from, to, out: &mut out };
    let text = match to {
        Target::Github => to_github::write(&mut w),
        Target::Gitlab => to_gitlab::write(&mut w),
        Target::Jenkins => to_jenkins::write(&mut w),
    };
    Converted { files: vec![Written { path: to.path().into(), text }], differences: out.into_sorted() }
}

/// What the writers have in common.
struct Writer<'w> {
    draft: &'w draft::Draft,
    order: &'w order::Order,
    from: Target,
    to: Target,
    out: &'w mut Diagnostics,
}

impl Writer<'_> {
    /// Something means something else.
    fn differs(&mut self, span: &Span, code: &str, message: impl Into<String>) {
        self.out.warning(span, code, message);
    }

    /// Something cannot be said.
    fn lost(&mut self, span: &Span, code: &str, message: impl Into<String>) {
        self.out.error(span, code, message);
    }
}

/// The dialect of a plan's file.
pub fn target_of(dialect: Dialect) -> Target {
    match dialect {
        Dialect::GithubActions | Dialect::Detected => Target::Github,
        Dialect::GitlabCi => Target::Gitlab,
        Dialect::Jenkinsfile => Target::Jenkins,
    }
}
