//! Repository names, tags, references.

use std::fmt;
use std::str::FromStr;

use crate::Digest;
use crate::Error;
use crate::ErrorCode;
use crate::Result;

/// A repository name: lower-case words of letters and digits, joined by `.`, `_`, `__` or dashes, in a path.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Repository(String);

/// Longest repository name.
const MAX_NAME: usize = 255;

impl Repository {
    /// Parses a name by the specification's grammar.
    ///
    /// # Errors
    /// `NAME_INVALID`.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |m: &'static str| Err(Error::new(ErrorCode::NameInvalid, m));
        if text.len() > MAX_NAME {
            return bad("a repository name has at most 255 bytes");
        }
        if !text.split('/').all(is_component) {
            return bad(
                "a repository name is lower-case letters and digits, with single '.', '_', '__' or dashes between, in parts joined by '/'",
            );
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The ways to split the name into a project's path (two parts at least) and an image name within it (none when
    /// empty), longest project path first.
    pub fn splits(&self) -> impl Iterator<Item = (&str, &str)> {
        let cuts = self.0.rmatch_indices('/').map(|(at, _)| (&self.0[..at], &self.0[at + 1..]));
        std::iter::once((self.as_str(), "")).chain(cuts).filter(|(path, _)| path.contains('/'))
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    if !is_word(*first) || !is_word(*last) {
        return false;
    }
    bytes.split(|b| is_word(*b)).all(|separator| match separator {
        b"" | b"." | b"_" | b"__" => true,
        dashes => dashes.iter().all(|b| *b == b'-'),
    })
}

/// A tag: a word character, then up to 127 word characters, dots and dashes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(String);

impl Tag {
    /// Parses a tag.
    ///
    /// # Errors
    /// `TAG_INVALID`.
    pub fn parse(text: &str) -> Result<Self> {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let mut bytes = text.bytes();
        let fine = text.len() <= 128 && bytes.next().is_some_and(word) && bytes.all(|b| word(b) || b == b'.' || b == b'-');
        if fine {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::new(ErrorCode::TagInvalid, "a tag is a letter, digit or '_', then up to 127 of those, '.' and '-'"))
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// What names a manifest within a repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    /// A name that may move.
    Tag(Tag),
    /// The content itself.
    Digest(Digest),
}

impl FromStr for Reference {
    type Err = Error;
    /// A text with a colon is a digest, anything else a tag.
    fn from_str(text: &str) -> Result<Self> {
        if text.contains(':') { text.parse().map(Self::Digest) } else { Tag::parse(text).map(Self::Tag) }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reference::Tag(tag) => tag.fmt(f),
            Reference::Digest(digest) => digest.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names() {
        for ok in ["a", "a/b", "acme/web", "a.b/c_d/e__f/g---h", "0/1/2", "acme/web/blobs/uploads"] {
            assert!(Repository::parse(ok).is_ok(), "{ok}");
        }
        let long = "a".repeat(256);
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "A",
            "a_",
            "-a",
            "a..b",
            "a___b",
            "a._b",
            "../x",
            "a/../b",
            "a b",
            "a\0",
            "ü",
            "a:b",
            "a@b",
            long.as_str(),
        ] {
            assert_eq!(Repository::parse(bad).unwrap_err().code, ErrorCode::NameInvalid, "{bad}");
        }
    }

    #[test]
    fn a_name_splits_into_project_and_image() {
        let name = Repository::parse("acme/web/tools/api").unwrap();
        let splits: Vec<_> = name.splits().collect();
        assert_eq!(splits, [("acme/web/tools/api", ""), ("acme/web/tools", "api"), ("acme/web", "tools/api")]);
        assert_eq!(Repository::parse("alone").unwrap().splits().count(), 0);
    }

    #[test]
    fn references() {
        assert!(matches!("latest".parse(), Ok(Reference::Tag(_))));
        assert!(matches!("v1.0-rc_1".parse(), Ok(Reference::Tag(_))));
        let digest = Digest::of(b"x").to_string();
        assert_eq!(digest.parse::<Reference>().unwrap().to_string(), digest);
        let long = "a".repeat(129);
        for bad in ["", ".a", "-a", "a/b", "a b", "a\n", "ü", long.as_str()] {
            assert_eq!(bad.parse::<Reference>().unwrap_err().code, ErrorCode::TagInvalid, "{bad:?}");
        }
        for bad in ["sha256:", "sha256:zz", "sha512:00", "md5:00", ":", "sha256:../../x", &digest.to_uppercase()] {
            assert_eq!(bad.parse::<Reference>().unwrap_err().code, ErrorCode::DigestInvalid, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_the_grammar_makes_is_accepted(name in "[a-z0-9]{1,8}((\\.|_|__|-{1,3})[a-z0-9]{1,8}){0,3}(/[a-z0-9]{1,8}((\\.|_|__|-{1,3})[a-z0-9]{1,8}){0,2}){0,3}") {
            prop_assert!(Repository::parse(&name).is_ok());
        }

        #[test]
        fn nothing_accepted_leaves_its_directory(name in "[a-z0-9./_-]{1,20}") {
            if let Ok(name) = Repository::parse(&name) {
                prop_assert!(name.as_str().split('/').all(|p| !p.is_empty() && p != "." && p != ".."));
            }
        }
    }
}
