//! `secret list|set|delete` and `variable list|set|delete`: of a project, a group or an environment.

use std::io::Read as _;

use http::Method;
use serde_json::{Value, json};

use super::Session;
use crate::api::segment;
use crate::ci_args::{ValueOf, Values};
use crate::failure::{Failure, Result};
use crate::output::at;

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Secret,
    Variable,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Secret => "secret",
            Kind::Variable => "variable",
        }
    }
}

pub(super) async fn run(kind: Kind, command: Values, session: &Session) -> Result {
    match command {
        Values::List { of } => {
            let items = session.api.list(&path(kind, &of, session).await?, usize::MAX).await?;
            let (name, value, set) = (at("name"), at("value"), at("updated_at"));
            match kind {
                Kind::Secret => session.format.list(&items, &[("SECRET", &name), ("FOR", &reach), ("SET", &set)]),
                Kind::Variable => session.format.list(&items, &[("VARIABLE", &name), ("VALUE", &value), ("FOR", &reach), ("SET", &set)]),
            }
        }
        Values::Set { name, value, protected, of } => {
            let value = match value {
                Some(value) => value,
                None => from_input(kind, &name)?,
            };
            let mut body = json!({ "value": value });
            if let Some(protected) = protected {
                body["protected"] = json!(protected);
            }
            let path = format!("{}/{}", path(kind, &of, session).await?, segment(&name));
            session.api.send(Method::PUT, &path, Some(&body), &[]).await?;
            session.note(&format!("Set the {} {}.", kind.word(), name.to_uppercase()));
            Ok(())
        }
        Values::Delete { name, of } => {
            session.api.delete(&format!("{}/{}", path(kind, &of, session).await?, segment(&name))).await?;
            session.note(&format!("Removed the {} {}.", kind.word(), name.to_uppercase()));
            Ok(())
        }
    }
}

fn reach(value: &Value) -> String {
    if value["protected"] == true { "protected refs".to_owned() } else { "all".to_owned() }
}

/// Where the values are kept.
async fn path(kind: Kind, of: &ValueOf, session: &Session) -> Result<String> {
    let owner = match (&of.group, &of.environment) {
        (Some(group), _) => format!("/groups/{}", segment(group)),
        (None, Some(environment)) => {
            let project = session.project(&of.of)?;
            format!("/environments/{}", segment(&session.environment(&project, environment).await?))
        }
        (None, None) => format!("/projects/{}", session.project(&of.of)?),
    };
    Ok(format!("{owner}/{}s", kind.word()))
}

/// A value that is not on the command line, where others could read it: asked for, or all of standard input.
fn from_input(kind: Kind, name: &str) -> Result<String> {
    let term = console::Term::stderr();
    if std::io::IsTerminal::is_terminal(&std::io::stdin()) {
        term.write_str(&format!("Value of {}: ", crate::output::plain(name)))?;
        return Ok(if kind == Kind::Secret { term.read_secure_line()? } else { term.read_line()? });
    }
    let mut value = String::new();
    std::io::stdin().read_to_string(&mut value)?;
    // what `echo` adds is no part of it
    if value.ends_with('\n') {
        value.pop();
        if value.ends_with('\r') {
            value.pop();
        }
    }
    if value.is_empty() && kind == Kind::Secret {
        return Err(Failure::Usage(format!("standard input has no value for {name}")));
    }
    Ok(value)
}
