//! Docker's token protocol: scopes asked for, and the challenge that tells a client where to get a token.

use std::fmt;

use crate::Error;
use crate::ErrorCode;
use crate::Repository;
use crate::Result;

/// What may be done with a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Read.
    Pull,
    /// Write.
    Push,
    /// Delete.
    Delete,
}

impl Action {
    /// The text form.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Pull => "pull",
            Action::Push => "push",
            Action::Delete => "delete",
        }
    }
}

/// `repository:<name>:<action>,…`, the only kind of scope this registry grants by token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The repository.
    pub name: Repository,
    /// The actions, sorted, each once.
    pub actions: Vec<Action>,
}

/// Most scopes of one token request.
const MAX_SCOPES: usize = 32;

impl Scope {
    /// Parses one scope. None for kinds this registry has none of (`registry:catalog:*`, plugins); unknown actions
    /// are left out; `*` stands for all.
    ///
    /// # Errors
    /// `NAME_INVALID`, or `UNSUPPORTED` with status 400 when it is not a scope at all.
    pub fn parse(text: &str) -> Result<Option<Self>> {
        let bad = || Error::new(ErrorCode::Unsupported, "a scope is repository:<name>:<actions>").with_status(400);
        let (kind, rest) = text.split_once(':').ok_or_else(bad)?;
        let (name, actions) = rest.rsplit_once(':').ok_or_else(bad)?;
        // a resource class, as in repository(plugin):…, asks for something else
        if kind != "repository" {
            return Ok(None);
        }
        let mut actions: Vec<Action> = actions
            .split(',')
            .flat_map(|a| match a {
                "pull" => vec![Action::Pull],
                "push" => vec![Action::Push],
                "delete" => vec![Action::Delete],
                "*" => vec![Action::Pull, Action::Push, Action::Delete],
                _ => vec![],
            })
            .collect();
        actions.sort_unstable();
        actions.dedup();
        Ok(Some(Self { name: Repository::parse(name)?, actions }))
    }

    /// Parses the scopes of a request: repeated parameters, each of one scope or several parted by blanks.
    ///
    /// # Errors
    /// As [`Scope::parse`], and for more than 32.
    pub fn parse_all<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Vec<Self>> {
        let mut out = Vec::new();
        for (i, text) in texts.into_iter().flat_map(str::split_whitespace).enumerate() {
            if i >= MAX_SCOPES {
                return Err(Error::new(ErrorCode::Unsupported, "too many scopes").with_status(400));
            }
            out.extend(Self::parse(text)?);
        }
        Ok(out)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let actions: Vec<_> = self.actions.iter().map(|a| a.as_str()).collect();
        write!(f, "repository:{}:{}", self.name, actions.join(","))
    }
}

/// What `WWW-Authenticate` says on 401.
#[derive(Clone, Debug)]
pub struct Challenge<'a> {
    /// The token endpoint, absolute.
    pub realm: &'a str,
    /// Our name.
    pub service: &'a str,
    /// What the request would have needed.
    pub scope: Option<Scope>,
    /// The token that came was not enough.
    pub insufficient: bool,
}

impl fmt::Display for Challenge<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bearer realm=\"{}\",service=\"{}\"", quoted(self.realm), quoted(self.service))?;
        if let Some(scope) = &self.scope {
            write!(f, ",scope=\"{scope}\"")?;
        }
        if self.insufficient {
            f.write_str(",error=\"insufficient_scope\"")?;
        }
        Ok(())
    }
}

/// Safe within a quoted header parameter.
fn quoted(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && *c != '"' && *c != '\\').collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn scopes() {
        let scope = Scope::parse("repository:acme/web:push,pull").unwrap().unwrap();
        assert_eq!(scope.actions, [Action::Pull, Action::Push]);
        assert_eq!(scope.to_string(), "repository:acme/web:pull,push");
        assert_eq!(Scope::parse("repository:a/b:*").unwrap().unwrap().actions.len(), 3);
        assert_eq!(Scope::parse("repository:a/b:pull,fly,pull").unwrap().unwrap().actions, [Action::Pull]);
        assert_eq!(Scope::parse("registry:catalog:*").unwrap(), None);
        assert_eq!(Scope::parse("repository(plugin):a/b:pull").unwrap(), None);
        for bad in ["", "repository", "repository:a/b", "repository:A:pull", "repository:../x:pull", "repository::pull"] {
            assert!(Scope::parse(bad).is_err(), "{bad}");
        }
        let two = Scope::parse_all(["repository:a/b:pull repository:c/d:pull", "registry:catalog:*"]).unwrap();
        assert_eq!(two.len(), 2);
        assert!(Scope::parse_all(std::iter::repeat_n("repository:a/b:pull", 33)).is_err());
    }

    #[test]
    fn challenges() {
        let mut c = Challenge {
            realm: "https://x.test/v2/token",
            service: "x.\"test",
            scope: Scope::parse("repository:a/b:pull").unwrap(),
            insufficient: false,
        };
        assert_eq!(c.to_string(), r#"Bearer realm="https://x.test/v2/token",service="x.test",scope="repository:a/b:pull""#);
        c.insufficient = true;
        c.scope = None;
        assert_eq!(c.to_string(), r#"Bearer realm="https://x.test/v2/token",service="x.test",error="insufficient_scope""#);
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,60}") {
            let _ = Scope::parse(&text);
        }
    }
}
