//! Names that came from outside, parsed once and then trusted by type.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};

/// First path words that belong to the API and the pages; no user or group may take them.
pub const RESERVED: &[&str] = &[
    "-",
    "about",
    "account",
    "activity",
    "api",
    "assets",
    "auth",
    "batch",
    "blobs",
    "cache",
    "dashboard",
    "deployments",
    "docs",
    "environments",
    "events",
    "explore",
    "favicon.ico",
    "functions",
    "git",
    "groups",
    "health",
    "help",
    "images",
    "internal",
    "issues",
    "login",
    "logout",
    "mcp",
    "me",
    "metrics",
    "namespaces",
    "new",
    "notifications",
    "oidc",
    "openapi.json",
    "operations",
    "permissions",
    "projects",
    "provenance",
    "pulls",
    "register",
    "results",
    "robots.txt",
    "runner",
    "runners",
    "runs",
    "search",
    "secrets",
    "session",
    "sessions",
    "settings",
    "sign-in",
    "signin",
    "signup",
    "static",
    "status",
    "templates",
    "token",
    "tokens",
    "twirp",
    "user",
    "users",
    "v1",
    "v2",
    "webhooks",
];

/// Most levels of a namespace path.
pub const MAX_DEPTH: usize = 8;

macro_rules! text_newtype {
    ($name:ident) => {
        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl std::str::FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self> {
                Self::parse(text)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
                Self::parse(&text).map_err(|e| serde::de::Error::custom(e.detail))
            }
        }
    };
}

/// One word of a path: lower-case ASCII letters, digits, `-`, `_`, `.`; starts with a letter or digit;
/// at most 64 bytes; does not end in `.git`, `.lock`, `.atom`, `.wiki` or a dot.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slug(String);
text_newtype!(Slug);

impl Slug {
    /// Parses a slug.
    ///
    /// # Errors
    /// `validation_failed` on field `name`.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |m: &str| Err(Error::field("name", "invalid", m));
        if text.is_empty() {
            return Err(Error::field("name", "required", "may not be empty"));
        }
        if text.len() > 64 {
            return Err(Error::field("name", "too_long", "at most 64 characters"));
        }
        if !text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.')) {
            return bad("only a-z, 0-9, '-', '_' and '.'");
        }
        if !text.as_bytes()[0].is_ascii_alphanumeric() {
            return bad("starts with a letter or digit");
        }
        if text.contains("..") || text.ends_with('.') || text.ends_with('-') {
            return bad("may not end in '.' or '-' nor hold '..'");
        }
        let device = text.split('.').next().unwrap_or(text);
        let is_device = matches!(device, "con" | "prn" | "aux" | "nul")
            || (device.len() == 4 && (device.starts_with("com") || device.starts_with("lpt")) && device.as_bytes()[3].is_ascii_digit());
        if is_device || [".git", ".lock", ".atom", ".wiki", ".bundle"].iter().any(|s| text.ends_with(s)) {
            return bad("this name is reserved");
        }
        Ok(Self(text.to_owned()))
    }

    /// Parses a slug that will be the first word of a path, so may not be one of ours.
    ///
    /// # Errors
    /// As [`Slug::parse`], and for reserved words.
    pub fn parse_top(text: &str) -> Result<Self> {
        let slug = Self::parse(text)?;
        if RESERVED.contains(&slug.as_str()) {
            return Err(Error::field("name", "reserved", "this name is used by the service itself"));
        }
        Ok(slug)
    }
}

/// Slugs joined by `/`: a user, or a group and its ancestors.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamespacePath(String);
text_newtype!(NamespacePath);

impl NamespacePath {
    /// Parses a namespace path of one to [`MAX_DEPTH`] slugs.
    ///
    /// # Errors
    /// `validation_failed`.
    pub fn parse(text: &str) -> Result<Self> {
        let words: Vec<&str> = text.split('/').collect();
        if words.len() > MAX_DEPTH {
            return Err(Error::field("namespace", "too_deep", format!("at most {MAX_DEPTH} levels")));
        }
        for (i, word) in words.iter().enumerate() {
            if i == 0 { Slug::parse_top(word) } else { Slug::parse(word) }.map_err(|e| Error::field("namespace", "invalid", e.detail))?;
        }
        Ok(Self(text.to_owned()))
    }

    /// The path one level up.
    pub fn parent(&self) -> Option<NamespacePath> {
        self.0.rsplit_once('/').map(|(p, _)| Self(p.to_owned()))
    }

    /// The last word.
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, n)| n)
    }

    /// The path of a child.
    #[must_use]
    pub fn join(&self, name: &Slug) -> NamespacePath {
        Self(format!("{}/{}", self.0, name.0))
    }
}

/// `namespace/name` of a project.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProjectPath(String);
text_newtype!(ProjectPath);

impl ProjectPath {
    /// Parses `namespace/name`.
    ///
    /// # Errors
    /// `validation_failed`.
    pub fn parse(text: &str) -> Result<Self> {
        let Some((ns, name)) = text.rsplit_once('/') else {
            return Err(Error::field("path", "invalid", "a project path is namespace/name"));
        };
        NamespacePath::parse(ns)?;
        Slug::parse(name)?;
        Ok(Self(text.to_owned()))
    }

    /// Joins a namespace and a project name.
    pub fn new(namespace: &NamespacePath, name: &Slug) -> Self {
        Self(format!("{namespace}/{name}"))
    }

    /// The part before the last slash.
    pub fn namespace(&self) -> NamespacePath {
        NamespacePath(self.0.rsplit_once('/').map_or_else(String::new, |(n, _)| n.to_owned()))
    }

    /// The part after the last slash.
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, n)| n)
    }
}

fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A full ref name that a client may write: under `refs/heads/` or `refs/tags/`, safe in argv, HTML and terminals.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RefName(String);
text_newtype!(RefName);

impl RefName {
    /// Parses a full ref name by git's rules and our narrower ones: no leading `-` in any part, no
    /// control or bidirectional characters, no shell or markup metacharacters, not shaped like an object id,
    /// at most 255 bytes.
    ///
    /// # Errors
    /// `validation_failed` on field `ref`.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |m: &str| Err(Error::field("ref", "invalid", m));
        let Some(short) = text.strip_prefix("refs/heads/").or_else(|| text.strip_prefix("refs/tags/")) else {
            return bad("only refs/heads/ and refs/tags/ may be written");
        };
        if text.len() > 255 {
            return Err(Error::field("ref", "too_long", "at most 255 bytes"));
        }
        if short.starts_with("refs/") || short == "HEAD" || short == "@" {
            return bad("a ref may not be called HEAD, @ or refs/…");
        }
        if (short.len() == 40 || short.len() == 64) && short.bytes().all(|b| b.is_ascii_hexdigit()) {
            return bad("a ref may not look like an object id");
        }
        for part in short.split('/') {
            if part.is_empty() || part.starts_with('.') || part.starts_with('-') || part.ends_with(".lock") || part.ends_with('.') {
                return bad("parts may not be empty, start with '.' or '-', nor end in '.' or '.lock'");
            }
        }
        if short.contains("..") || short.contains("@{") {
            return bad("may not hold '..' or '@{'");
        }
        let forbidden = |c: char| is_hidden(c) || c.is_whitespace() || "~^:?*[\\$`;|&<>()\"'!{}%".contains(c);
        if short.chars().any(forbidden) {
            return bad("holds a character that is not allowed");
        }
        Ok(Self(text.to_owned()))
    }

    /// A branch by its short name.
    ///
    /// # Errors
    /// As [`RefName::parse`].
    pub fn branch(short: &str) -> Result<Self> {
        Self::parse(&format!("refs/heads/{short}"))
    }

    /// The name without `refs/heads/` or `refs/tags/`.
    pub fn short(&self) -> &str {
        self.0.strip_prefix("refs/heads/").or_else(|| self.0.strip_prefix("refs/tags/")).unwrap_or(&self.0)
    }

    /// Is it under `refs/heads/`?
    pub fn is_branch(&self) -> bool {
        self.0.starts_with("refs/heads/")
    }

    /// Is it under `refs/tags/`?
    pub fn is_tag(&self) -> bool {
        self.0.starts_with("refs/tags/")
    }
}

/// A path inside a repository that may be written to disk: relative, `/`-separated, no `.`/`..`/`.git` parts in
/// any of their disguises, no control characters, no backslash, at most 4096 bytes and 255 a part.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepoPath(String);
text_newtype!(RepoPath);

impl RepoPath {
    /// Parses a path.
    ///
    /// # Errors
    /// `validation_failed` on field `path`.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |m: &str| Err(Error::field("path", "invalid", m));
        if text.is_empty() || text.len() > 4096 {
            return bad("between 1 and 4096 bytes");
        }
        if text.contains('\\') || text.chars().any(is_hidden) {
            return bad("holds a character that is not allowed");
        }
        for part in text.split('/') {
            if part.is_empty() || part == "." || part == ".." {
                return bad("parts may not be empty, '.' or '..'");
            }
            if part.len() > 255 {
                return bad("a part is longer than 255 bytes");
            }
            if is_dot_git(part) {
                return bad("may not name a git directory");
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// The last part.
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, n)| n)
    }

    /// The text after the last dot of the file name, lower-cased.
    pub fn extension(&self) -> Option<String> {
        let (stem, ext) = self.file_name().rsplit_once('.')?;
        (!stem.is_empty()).then(|| ext.to_ascii_lowercase())
    }
}

/// Would a file system take this part for `.git`? NTFS short names, streams, trailing dots and spaces, and the
/// code points that HFS+ ignores are all seen through.
pub fn is_dot_git(part: &str) -> bool {
    let folded: String = part.chars().filter(|c| !is_hidden(*c)).collect::<String>().to_ascii_lowercase();
    let base = folded.split(':').next().unwrap_or("").trim_end_matches(['.', ' ']);
    base == ".git" || base == "git~1"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs() {
        for ok in ["a", "my-app", "a.b_c", "0x"] {
            assert!(Slug::parse(ok).is_ok(), "{ok}");
        }
        for bad in [
            "",
            "..",
            ".",
            "-rf",
            "x.git",
            "x.wiki",
            "a/b",
            "a%2f",
            "CON",
            "con",
            "nul.txt",
            "com1",
            "Ü",
            "a..b",
            "a.",
            "x\0",
            &"a".repeat(65),
        ] {
            assert!(Slug::parse(bad).is_err(), "{bad}");
        }
        assert!(Slug::parse_top("projects").is_err());
    }

    #[test]
    fn refs() {
        for ok in ["refs/heads/main", "refs/tags/v1.0", "refs/heads/feature/a-b_c+d@2", "refs/heads/ünï"] {
            assert!(RefName::parse(ok).is_ok(), "{ok}");
        }
        let oid = format!("refs/heads/{}", "a".repeat(40));
        let long = format!("refs/heads/{}", "x".repeat(300));
        for bad in [
            "HEAD",
            "refs/x/y",
            "refs/pull/1/head",
            "refs/keep-around/x",
            "refs/heads/-x",
            "refs/heads/--upload-pack=x",
            "refs/heads/$(id)",
            "refs/heads/`id`",
            "refs/heads/a;id",
            "refs/heads/x|y",
            "refs/heads/<img/src=x>",
            "refs/heads/a%0d%0a",
            "refs/heads/a\u{202e}b",
            "refs/heads/HEAD",
            "refs/heads/refs/heads/main",
            "refs/heads/..a",
            "refs/heads/a.lock",
            "refs/heads/a b",
            "refs/heads/a//b",
            "refs/heads/",
            oid.as_str(),
            long.as_str(),
        ] {
            assert!(RefName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn paths() {
        for ok in ["a", "src/main.rs", ".github/workflows/ci.yml", "ä/ö.txt", ".gitignore", "a/.gitattributes"] {
            assert!(RepoPath::parse(ok).is_ok(), "{ok}");
        }
        for bad in [
            "",
            "/etc/passwd",
            "a/../b",
            "..",
            "a//b",
            ".git/config",
            ".GIT/x",
            "a/git~1",
            ".g\u{200c}it/x",
            ".git::$INDEX_ALLOCATION/x",
            ".git./x",
            "a\\b",
            "a\nb",
            "a\0",
        ] {
            assert!(RepoPath::parse(bad).is_err(), "{bad:?}");
        }
    }
}
