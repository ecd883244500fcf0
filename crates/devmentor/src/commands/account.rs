//! `login`, `logout`, `whoami`.

use std::io::{BufRead, stdin};

use console::Term;
use egress::Method;
use serde_json::{Value, json};

use super::Session;
use crate::api::{Api, segment};
use crate::args::{Global, Login};
use crate::config::{self, Account, Config};
use crate::failure::{Failure, Result};
use crate::output::{facts, line, text};

pub(super) async fn login(args: Login, global: &Global) -> Result {
    let path = config::path()?;
    let mut stored = Config::load(&path)?;
    let server = match &global.server {
        Some(given) => config::server_address(given)?,
        None => stored.current.clone().unwrap_or_else(|| config::DEFAULT_SERVER.to_owned()),
    };
    let api = Api::new(&server, None)?;

    let account = match (&global.token, &args.link) {
        (Some(token), None) if args.name.is_none() => {
            let user: Value = api.with_token(token.clone()).get("/users/me").await?;
            Account { user: text(&user, "name"), token: token.clone(), token_id: None }
        }
        (_, Some(link)) => {
            let new_password = if args.new_password_stdin { Some(first_line()?) } else { None };
            session_login(&api, &json!({ "link": link_code(link) }), new_password).await?
        }
        _ => {
            let name = match args.name {
                Some(name) => name,
                None => ask("Name: ", false)?,
            };
            let password = if args.password_stdin { first_line()? } else { ask("Password: ", true)? };
            session_login(&api, &json!({ "name": name, "password": password }), None).await?
        }
    };
    let user = account.user.clone();
    stored.current = Some(server.clone());
    let before = stored.servers.insert(server.clone(), account);
    stored.save(&path)?;
    // the token of an earlier login is of no use to anybody now
    if let Some(Account { token, token_id: Some(id), .. }) = before {
        let _ = api.with_token(token).delete(&format!("/tokens/{}", segment(&id))).await;
    }
    line(&format!("Signed in to {server} as {user}."))
}

/// Opens a session, gives the account a new password if there is one, makes a token, and closes the session again.
async fn session_login(api: &Api, credentials: &Value, new_password: Option<String>) -> Result<Account> {
    let (mut user, mut session) = session_open(api, credentials).await?;
    if let Some(password) = new_password {
        session.send(Method::POST, "/users/me/password", Some(&json!({ "new": password })), &[]).await?;
        // a new password ends all sessions, this one, too
        (user, session) = session_open(api, &json!({ "name": text(&user, "user.name"), "password": password })).await?;
    }
    let api = session;

    let permissions: Value = api.get("/permissions").await?;
    let names: Vec<String> = permissions["items"].as_array().into_iter().flatten().map(|p| text(p, "name")).collect();
    let made: Value =
        api.post("/tokens", &json!({ "name": token_name(), "permissions": names, "projects": null, "expires_at": null })).await?;
    // the token is what stays; a session that cannot be closed ends by itself
    let _ = api.delete("/session").await;
    Ok(Account { user: text(&user, "user.name"), token: text(&made, "secret"), token_id: Some(text(&made, "token.id")) })
}

/// Opens a session: its user, and an API that carries its cookie.
async fn session_open(api: &Api, credentials: &Value) -> Result<(Value, Api)> {
    let answer = api.send(Method::POST, "/session", Some(credentials), &[]).await?;
    let cookie = answer
        .headers()
        .get_all("set-cookie")
        .iter()
        .filter_map(|v| v.to_str().ok())
        .filter_map(|v| v.split(';').next())
        .find(|v| v.starts_with("dm_session="))
        .map(str::to_owned)
        .ok_or_else(|| Failure::Failed("the server opened no session".to_owned()))?;
    Ok((answer.json().await?, api.with_cookie(cookie)))
}

/// Tells the user later which machine the token is on.
fn token_name() -> String {
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    match host.trim() {
        "" => "command line".to_owned(),
        host => format!("command line on {host}"),
    }
}

/// The code of a one-time link: the link's `link` parameter or fragment, or the text itself.
fn link_code(link: &str) -> String {
    let Ok(url) = url::Url::parse(link) else { return link.trim().to_owned() };
    let named =
        |text: &str| url::form_urlencoded::parse(text.as_bytes()).find(|(k, _)| k == "link" || k == "token").map(|(_, v)| v.into_owned());
    url.query()
        .and_then(named)
        .or_else(|| url.fragment().map(|f| named(f).unwrap_or_else(|| f.to_owned())))
        .or_else(|| url.path_segments().and_then(|mut s| s.next_back().map(str::to_owned)))
        .unwrap_or_default()
}

fn ask(prompt: &str, secret: bool) -> Result<String> {
    let term = Term::stderr();
    if !term.is_term() {
        return Err(Failure::Usage("there is no terminal to ask on; give --token, or --name with --password-stdin".to_owned()));
    }
    term.write_str(prompt)?;
    let answer = if secret { term.read_secure_line()? } else { term.read_line()? };
    if answer.is_empty() { Err(Failure::Usage("nothing was entered".to_owned())) } else { Ok(answer) }
}

fn first_line() -> Result<String> {
    let mut text = String::new();
    stdin().lock().read_line(&mut text)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

pub(super) async fn logout(global: &Global) -> Result {
    let path = config::path()?;
    let mut stored = Config::load(&path)?;
    let server = match &global.server {
        Some(given) => config::server_address(given)?,
        None => stored.current.clone().unwrap_or_else(|| config::DEFAULT_SERVER.to_owned()),
    };
    let Some(account) = stored.servers.remove(&server) else {
        return Err(Failure::SignedOut(format!("not signed in to {server}")));
    };
    if stored.current.as_ref() == Some(&server) {
        stored.current = None;
    }
    stored.save(&path)?;
    let revoked = match &account.token_id {
        Some(id) => Api::new(&server, Some(account.token))?.delete(&format!("/tokens/{}", segment(id))).await,
        None => Ok(()),
    };
    match revoked {
        // forgotten here in any case; a token that is gone already is what was wanted
        Ok(()) | Err(Failure::NotFound(_) | Failure::SignedOut(_)) => line(&format!("Signed out of {server}.")),
        Err(error) => Err(Failure::Failed(format!("the token is forgotten here, and still valid on the server: {error}"))),
    }
}

pub(super) async fn whoami(session: &Session) -> Result {
    let user: Value = session.api.get("/users/me").await?;
    let server = session.api.base().to_owned();
    session.format.show(&user, |user| {
        let admin = if user["admin"] == true { "yes" } else { "" };
        facts(&[
            ("server", server),
            ("name", text(user, "name")),
            ("display name", text(user, "display_name")),
            ("email", text(user, "email")),
            ("administrator", admin.to_owned()),
        ])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_codes() {
        for link in [
            "abc",
            "http://a/sign-in?link=abc",
            "http://a/sign-in?x=1&token=abc",
            "http://a/sign-in#link=abc",
            "http://a/sign-in#abc",
            "http://a/sign-in/abc",
        ] {
            assert_eq!(link_code(link), "abc", "{link}");
        }
    }
}
