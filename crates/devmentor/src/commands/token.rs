//! `token create|list|revoke`.

use kernel::Timestamp;
use serde_json::{Value, json};

use super::Session;
use crate::api::segment;
use crate::args::Token;
use crate::failure::{Failure, Result};
use crate::output::{at, facts, text, time};

pub(super) async fn run(command: Token, session: &Session) -> Result {
    match command {
        Token::Create { name, permissions, projects, expires } => {
            let permissions = if permissions.iter().any(|p| p == "all") { all(session).await? } else { permissions };
            let mut ids = Vec::new();
            for project in &projects {
                let project: Value = session.api.get(&format!("/projects/{}", segment(project))).await?;
                ids.push(text(&project, "id"));
            }
            let body = json!({
                "name": name, "permissions": permissions, "projects": (!ids.is_empty()).then_some(ids),
                "expires_at": expires.as_deref().map(|e| when(e, Timestamp::now())).transpose()?,
            });
            let made: Value = session.api.post("/tokens", &body).await?;
            session.note("This secret is shown once.");
            session.format.show(&made, |m| text(m, "secret"))
        }
        Token::List => {
            let items = session.api.list("/tokens", usize::MAX).await?;
            session.format.list(
                &items,
                &[
                    ("ID", &at("id")),
                    ("NAME", &at("name")),
                    ("EXPIRES", &time("expires_at")),
                    ("LAST USED", &time("last_used_at")),
                    ("PROJECTS", &|t| if t["projects"].is_null() { "all".to_owned() } else { text(t, "projects") }),
                    ("PERMISSIONS", &at("permissions")),
                ],
            )
        }
        Token::Revoke { which } => {
            let id = if which.starts_with("tok_") { which } else { by_name(session, &which).await? };
            session.api.delete(&format!("/tokens/{}", segment(&id))).await?;
            session.format.show(&json!({ "revoked": id }), |r| facts(&[("revoked", text(r, "revoked"))]))
        }
    }
}

async fn all(session: &Session) -> Result<Vec<String>> {
    let answer: Value = session.api.get("/permissions").await?;
    Ok(answer["items"].as_array().into_iter().flatten().map(|p| text(p, "name")).collect())
}

async fn by_name(session: &Session, name: &str) -> Result<String> {
    let all = session.api.list("/tokens", usize::MAX).await?;
    let mut found = all.iter().filter(|t| t["name"] == name);
    match (found.next(), found.next()) {
        (Some(token), None) => Ok(text(token, "id")),
        (None, _) => Err(Failure::NotFound(format!("you have no token {name}"))),
        (Some(_), Some(_)) => Err(Failure::Usage(format!("several tokens are called {name}; give the id"))),
    }
}

/// `90s`, `15m`, `12h`, `30d`, `8w` from now, or a time that the server will read.
fn when(text: &str, now: Timestamp) -> Result<String> {
    if text.contains('T') {
        return Ok(text.to_owned());
    }
    let bad = || Failure::Usage(format!("{text} is not a time; give 12h, 30d, or 2027-01-31T00:00:00Z"));
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        Some('w') => 604_800,
        _ => return Err(bad()),
    };
    let number: i64 = text[..text.len() - 1].parse().ok().filter(|n| *n > 0).ok_or_else(bad)?;
    let millis = number.checked_mul(unit * 1000).and_then(|span| now.millis().checked_add(span)).ok_or_else(bad)?;
    Ok(Timestamp(millis).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let now = Timestamp(0);
        assert_eq!(when("12h", now).unwrap(), Timestamp(43_200_000).to_string());
        assert_eq!(when("2027-01-31T00:00:00Z", now).unwrap(), "2027-01-31T00:00:00Z");
        for bad in ["", "d", "0d", "-1d", "12", "12y", "99999999999999999w", "é"] {
            assert!(when(bad, now).is_err(), "{bad}");
        }
    }
}
