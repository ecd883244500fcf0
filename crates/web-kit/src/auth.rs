//! Credentials to [`Context`]: session cookie, `Authorization: Bearer`, Basic for git and docker. Rooms that hand out
//! tokens of their own (jobs, runners) register a resolver for their prefix.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use cache::{Cache, Rate};
use futures::future::BoxFuture;
use http::{HeaderMap, header};
use kernel::authz::{Permission, PermissionSet};
use kernel::{Actor, Code, Context, Error, Grant, RequestId, Result, Timestamp};
use store::account::AccountRow;
use store::token::TokenRow;

use crate::app::App;
use crate::{jwt, secret};

/// Name of the session cookie.
pub const COOKIE: &str = "dm_session";

/// Finds the actor behind a secret with a prefix of its own (or behind a JSON web token); none when the secret is dead.
pub type Resolver = Box<dyn Fn(App, String) -> BoxFuture<'static, Result<Option<(Actor, Grant)>>> + Send + Sync>;

/// The resolvers by prefix, such as `dmj`.
#[derive(Default)]
pub struct Resolvers(Vec<(&'static str, Resolver)>);

impl Resolvers {
    /// With one more.
    #[must_use]
    pub fn with(mut self, prefix: &'static str, resolver: Resolver) -> Self {
        self.0.push((prefix, resolver));
        self
    }
}

fn user(account: &AccountRow) -> Actor {
    Actor::User { id: account.id, name: account.name.clone(), admin: account.admin }
}

fn granted(token: &TokenRow) -> Grant {
    let permissions: PermissionSet = token.permissions.iter().filter_map(|p| Permission::parse(p)).collect();
    Grant { token: Some(token.id), permissions, projects: token.projects.clone() }
}

/// The account's own rights.
pub fn context_of(account: &AccountRow) -> Context {
    Context::of(user(account))
}

/// Finds who a secret stands for: access token, or a token of another room by its prefix.
///
/// # Errors
/// `bad_credentials` when it is not alive.
pub async fn by_secret(app: &App, text: &str, now: Timestamp) -> Result<(Actor, Grant)> {
    let dead = || Error::new(Code::BadCredentials, "the token is not valid or has expired");
    if jwt::looks_like(text)
        && let Some(resolvers) = app.find_part::<Resolvers>()
        && let Some((_, resolver)) = resolvers.0.iter().find(|(p, _)| *p == jwt::PREFIX)
    {
        return resolver(app.clone(), text.to_owned()).await?.ok_or_else(dead);
    }
    if !secret::well_formed(text) {
        // the administrator's token is chosen by hand and need not have our form
        if text.len() < 8 || text.len() > 512 {
            return Err(dead());
        }
    } else if let Some(resolvers) = app.find_part::<Resolvers>() {
        let prefix = text.split('_').next().unwrap_or("");
        if let Some((_, resolver)) = resolvers.0.iter().find(|(p, _)| *p == prefix) {
            return resolver(app.clone(), text.to_owned()).await?.ok_or_else(dead);
        }
    }
    let (token, account) = store::token::token_find(app.db(), &secret::hash(text), now).await?.ok_or_else(dead)?;
    if token.last_used_at.is_none_or(|t| now.since(t) > Duration::from_secs(60)) {
        let (db, id) = (app.db().clone(), token.id);
        // a note for people; losing it loses nothing
        tokio::spawn(async move { store::token::token_touch(&db, id, now).await });
    }
    Ok((user(&account), granted(&token)))
}

/// Name and password, as from Basic or the sign-in form. A token may stand in for the password, with any name.
///
/// # Errors
/// `bad_credentials`; `rate_limited` after many wrong passwords from one address.
pub async fn by_password(app: &App, name: &str, password: &str, ip: Option<IpAddr>, now: Timestamp) -> Result<(Actor, Grant)> {
    if password.starts_with("dm") && secret::well_formed(password) {
        return by_secret(app, password, now).await;
    }
    // the administrator's token as a password, for git and docker; before the slow hash, whoever is named
    match by_secret(app, password, now).await {
        Err(e) if e.is(Code::BadCredentials) => {}
        found => return found,
    }
    let cache = app.find_part::<Cache>();
    let key = format!("guesses:{}", ip.map_or_else(|| "nobody".to_owned(), |ip| ip.to_string()));
    if let Some(cache) = &cache
        && cache.take(&key, GUESSES, 0).await.remaining == 0
    {
        return Err(Error::new(Code::RateLimited, "too many wrong passwords from this address; try again in a few minutes"));
    }
    let account = store::account::account_by_name(app.db(), &name.to_ascii_lowercase()).await?.filter(|a| a.state == "active");
    let hash = account.as_ref().and_then(|a| a.password_hash.clone());
    let ok = crate::password::verify(password.to_owned(), hash).await?;
    match account {
        Some(account) if ok => Ok((user(&account), Grant::all())),
        _ => {
            if let Some(cache) = &cache {
                cache.take(&key, GUESSES, 1).await;
            }
            Err(Error::new(Code::BadCredentials, "wrong name or password"))
        }
    }
}

/// Wrong passwords that one address may try; each takes slow hashing, which is all the machine does meanwhile.
const GUESSES: Rate = Rate { limit: 30, window: Duration::from_secs(300) };

/// The value of a cookie.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

/// How the caller showed who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Not at all.
    Nothing,
    /// By the session cookie: requests that change something must come from our own pages.
    Cookie,
    /// By an `Authorization` header.
    Header,
}

/// Makes the context of a request.
///
/// # Errors
/// `bad_credentials` for credentials that are shown and do not hold; `invalid_request` for an unreadable header.
pub async fn authenticate(app: &App, headers: &HeaderMap, request: RequestId, ip: Option<IpAddr>) -> Result<(Context, Shown)> {
    let now = Timestamp::now();
    let (actor, grant, shown) = match headers.get(header::AUTHORIZATION) {
        Some(value) => {
            let text = value.to_str().map_err(|_| Error::new(Code::InvalidRequest, "the Authorization header is not text"))?;
            let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
            let (actor, grant) = match scheme.to_ascii_lowercase().as_str() {
                "bearer" | "token" => by_secret(app, rest.trim(), now).await?,
                "basic" => {
                    let bad = || Error::new(Code::InvalidRequest, "the Basic credentials are not readable");
                    let bytes = base64::engine::general_purpose::STANDARD.decode(rest.trim()).map_err(|_| bad())?;
                    let text = String::from_utf8(bytes).map_err(|_| bad())?;
                    let (name, password) = text.split_once(':').ok_or_else(bad)?;
                    if password.is_empty() { by_secret(app, name, now).await? } else { by_password(app, name, password, ip, now).await? }
                }
                _ => return Err(Error::new(Code::BadCredentials, "the Authorization scheme is Bearer or Basic")),
            };
            (actor, grant, Shown::Header)
        }
        None => match cookie(headers, COOKIE) {
            Some(text) => match store::account::session_account(app.db(), &secret::hash(text), now).await? {
                Some(account) => (user(&account), Grant::all(), Shown::Cookie),
                // an old cookie is no reason to refuse a public page
                None => (Actor::Anonymous, Grant::all(), Shown::Nothing),
            },
            None => (Actor::Anonymous, Grant::all(), Shown::Nothing),
        },
    };
    Ok((Context { actor, grant, request, now, ip, attempt: None }, shown))
}
