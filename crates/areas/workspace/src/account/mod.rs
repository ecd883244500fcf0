//! Accounts, sign-in, access tokens.
//!
//! Owns: `account`, `session`, `sign_in_link`, `access_token`. Invariants: a secret is shown once and stored as a hash;
//! a token never carries more than its owner has; a new password ends all sessions.

pub mod model;
pub mod routes;

use std::time::Duration;

use kernel::authz::authorize_instance;
use kernel::{Actor, Code, Context, Error, Event, EventData, Permission, ProjectId, Result, Slug, Timestamp, TokenId, UserId};
use store::account::{self as rows, AccountChange, AccountRow, NewAccount};
use store::token::{self as tokens, TokenRow};
use web_kit::{App, secret};

use model::{PasswordChange, TokenNew, UserChange, UserNew};

/// How long a browser stays signed in.
pub const SESSION: Duration = Duration::from_secs(30 * 24 * 3600);

/// Signs in by name and password or by a one-time link; the account and the session's secret.
///
/// # Errors
/// `bad_credentials`.
pub async fn session_create(app: &App, ctx: &Context, by: &model::SignIn, agent: &str) -> Result<(AccountRow, String)> {
    let account = match by {
        model::SignIn::Link { link } => {
            let mut tx = app.db().begin().await?;
            let account = rows::link_take(&mut tx, &secret::hash(link), ctx.now).await?;
            tx.commit().await?;
            account.ok_or_else(|| Error::new(Code::BadCredentials, "the link was used or has expired"))?
        }
        model::SignIn::Password { name, password } => {
            let (actor, grant) = web_kit::auth::by_password(app, name, password, ctx.ip, ctx.now).await?;
            // a session has all of the account's rights, so a narrowed token may not become one
            if grant.permissions != kernel::PermissionSet::ALL && !all_permissions(&grant) || grant.projects.is_some() {
                return Err(Error::new(Code::Forbidden, "a limited token cannot sign in to the web pages"));
            }
            let Actor::User { id, .. } = actor else { return Err(Error::new(Code::BadCredentials, "only people sign in")) };
            rows::account_get(app.db(), id).await?.ok_or_else(|| Error::new(Code::BadCredentials, "wrong name or password"))?
        }
    };
    let value = secret::token("dms");
    let agent: String = agent.chars().filter(|c| !c.is_control()).take(200).collect();
    rows::session_create(app.db(), account.id, &secret::hash(&value), ctx.now.plus(SESSION), &agent).await?;
    Ok((account, value))
}

fn all_permissions(grant: &kernel::Grant) -> bool {
    Permission::ALL.iter().all(|p| grant.permissions.has(*p))
}

/// Adds an account: by an administrator, or by anybody where sign-up is open.
///
/// # Errors
/// `validation_failed`, `already_exists`, `forbidden`.
pub async fn user_create(app: &App, ctx: &Context, new: UserNew) -> Result<AccountRow> {
    let admin = authorize_instance(ctx, Permission::InstanceAdmin).is_ok();
    if !admin && !app.config().sign_up {
        authorize_instance(ctx, Permission::InstanceAdmin)?;
    }
    if new.admin.unwrap_or(false) && !admin {
        return Err(Error::new(Code::Forbidden, "only administrators make administrators"));
    }
    if let Some(id) = app.made::<UserId>(ctx)? {
        return rows::account_get(app.db(), id).await?.ok_or_else(|| Error::not_found("user"));
    }
    let name = Slug::parse_top(&new.name)?;
    model::check_texts(new.display_name.as_deref(), new.email.as_deref())?;
    if new.password.is_none() && !admin {
        return Err(Error::field("password", "required", "choose a password"));
    }
    let password_hash = match new.password {
        Some(password) => Some(web_kit::password::hash(password).await?),
        None => None,
    };
    let mut tx = app.db().begin().await?;
    let display_name = new.display_name.unwrap_or_else(|| new.name.clone());
    let account = rows::account_create(
        &mut tx,
        NewAccount {
            name: &name,
            display_name: &display_name,
            email: new.email.as_deref(),
            password_hash,
            admin: new.admin.unwrap_or(false),
        },
    )
    .await?;
    tx.emit(&Event::new(ctx.user(), None, EventData::UserCreated { user: account.id, name: account.name.clone() })).await?;
    tx.keep(app.receipt(ctx, &account.id)?).await?;
    tx.commit().await?;
    Ok(account)
}

/// The caller's own account.
///
/// # Errors
/// `unauthenticated`.
pub async fn user_me(app: &App, ctx: &Context) -> Result<AccountRow> {
    authorize_instance(ctx, Permission::AccountRead)?;
    let id = own_id(ctx)?;
    rows::account_get(app.db(), id).await?.ok_or_else(|| Error::not_found("user"))
}

fn own_id(ctx: &Context) -> Result<UserId> {
    match &ctx.actor {
        Actor::User { id, .. } => Ok(*id),
        Actor::Anonymous => Err(Error::new(Code::Unauthenticated, "sign in first")),
        _ => Err(Error::new(Code::Forbidden, "only people have an account")),
    }
}

/// An account by id or name, for any signed-in caller.
///
/// # Errors
/// `not_found`, `unauthenticated`.
pub async fn user_get(app: &App, ctx: &Context, id: &str) -> Result<AccountRow> {
    if ctx.actor == Actor::Anonymous {
        return Err(Error::new(Code::Unauthenticated, "sign in first"));
    }
    find(app, id).await
}

/// An account by id or name.
///
/// # Errors
/// `not_found`.
pub async fn find(app: &App, id: &str) -> Result<AccountRow> {
    let found = match id.parse::<UserId>() {
        Ok(id) => rows::account_get(app.db(), id).await?,
        Err(_) => rows::account_by_name(app.db(), &id.to_ascii_lowercase()).await?,
    };
    found.ok_or_else(|| Error::not_found("user"))
}

/// Changes an account: one's own texts, or anything by an administrator.
///
/// # Errors
/// `forbidden`, `precondition_failed`, `validation_failed`.
pub async fn user_update(app: &App, ctx: &Context, id: &str, version: i64, change: UserChange) -> Result<AccountRow> {
    let own = own_id(ctx)?;
    let target = if id == "me" { own } else { user_get(app, ctx, id).await?.id };
    if target == own && change.admin.is_none() && change.state.is_none() && change.password.is_none() {
        authorize_instance(ctx, Permission::AccountWrite)?;
    } else {
        authorize_instance(ctx, Permission::InstanceAdmin)?;
    }
    model::check_texts(change.display_name.as_deref(), change.email.as_ref().and_then(|e| e.as_deref()))?;
    if target == own && (change.admin == Some(false) || change.state.as_deref() == Some("blocked")) {
        return Err(Error::new(Code::Conflict, "administrators cannot lock themselves out"));
    }
    if change.state.as_deref().is_some_and(|s| !matches!(s, "active" | "blocked")) {
        return Err(Error::field("state", "invalid", "active or blocked"));
    }
    let password_hash = match change.password {
        Some(password) => Some(web_kit::password::hash(password).await?),
        None => None,
    };
    let ends_sessions = password_hash.is_some() || change.state.as_deref() == Some("blocked");
    let mut tx = app.db().begin().await?;
    let change =
        AccountChange { display_name: change.display_name, email: change.email, password_hash, admin: change.admin, state: change.state };
    let row = web_kit::changed(rows::account_update(&mut tx, target, version, change).await?)?;
    if ends_sessions {
        rows::session_delete_all(&mut tx, target).await?;
    }
    tx.commit().await?;
    Ok(row)
}

/// Sets one's own password; other sessions end.
///
/// # Errors
/// `bad_credentials` when the current password is not right.
pub async fn password_change(app: &App, ctx: &Context, change: PasswordChange) -> Result<()> {
    authorize_instance(ctx, Permission::AccountWrite)?;
    let account = user_me(app, ctx).await?;
    if ctx.grant.token.is_some() {
        return Err(Error::new(Code::Forbidden, "a password is changed in a session, not with a token"));
    }
    if account.password_hash.is_some()
        && !web_kit::password::verify(change.current.unwrap_or_default(), account.password_hash.clone()).await?
    {
        return Err(Error::field("current", "invalid", "not the current password"));
    }
    let password_hash = Some(web_kit::password::hash(change.new).await?);
    let mut tx = app.db().begin().await?;
    web_kit::changed(
        rows::account_update(&mut tx, account.id, account.version, AccountChange { password_hash, ..Default::default() }).await?,
    )?;
    rows::session_delete_all(&mut tx, account.id).await?;
    tx.commit().await
}

/// Makes a token; the row and the secret, which is shown only now.
///
/// # Errors
/// `validation_failed` for unknown permissions or projects that the caller cannot see; `forbidden` for more than the
/// caller's own credential has.
pub async fn token_create(app: &App, ctx: &Context, new: TokenNew) -> Result<(TokenRow, String)> {
    authorize_instance(ctx, Permission::AccountWrite)?;
    let account = own_id(ctx)?;
    if let Some((id, value)) = app.made::<(TokenId, String)>(ctx)? {
        let row = tokens::token_get(app.db(), account, id).await?.ok_or_else(|| Error::not_found("token"))?;
        return Ok((row, value));
    }
    model::check_name(&new.name)?;
    if new.permissions.is_empty() {
        return Err(Error::field("permissions", "required", "choose at least one permission"));
    }
    for text in &new.permissions {
        let p = Permission::parse(text).ok_or_else(|| Error::field("permissions", "unknown", format!("there is no permission {text}")))?;
        if !ctx.grant.permissions.has(p) {
            return Err(Error::new(Code::Forbidden, format!("the credential in use does not have {text} itself")));
        }
    }
    if new.expires_at.is_some_and(|t| t <= ctx.now) {
        return Err(Error::field("expires_at", "invalid", "lies in the past"));
    }
    let projects = match (new.projects, &ctx.grant.projects) {
        (Some(wanted), _) => {
            let mut ids: Vec<ProjectId> = Vec::new();
            for text in wanted {
                let p = app
                    .project(ctx, &text, Permission::ProjectRead)
                    .await
                    .map_err(|_| Error::field("projects", "unknown", format!("{text} is not a project you can see")))?;
                ids.push(p.id());
            }
            Some(ids)
        }
        // a token that is limited to projects makes tokens that are limited to them
        (None, limited) => limited.clone(),
    };
    let mut permissions = new.permissions;
    permissions.sort_unstable();
    permissions.dedup();
    let row = TokenRow {
        id: TokenId::new(),
        account,
        name: new.name.trim().to_owned(),
        permissions,
        projects,
        expires_at: new.expires_at,
        last_used_at: None,
        created_at: ctx.now,
    };
    let value = secret::token("dmp");
    let mut tx = app.db().begin().await?;
    tokens::token_create(&mut tx, &row, &secret::hash(&value)).await?;
    tx.keep(app.receipt(ctx, &(row.id, &value))?).await?;
    tx.commit().await?;
    Ok((row, value))
}

/// Revokes one of the caller's tokens.
///
/// # Errors
/// `not_found`.
pub async fn token_delete(app: &App, ctx: &Context, id: TokenId) -> Result<()> {
    authorize_instance(ctx, Permission::AccountWrite)?;
    if !tokens::token_delete(app.db(), own_id(ctx)?, id).await? {
        return Err(Error::not_found("token"));
    }
    Ok(())
}

/// Forgets sessions, links and kept answers that ran out.
///
/// # Errors
/// The database's.
pub async fn prune(app: App) -> Result<()> {
    let now = Timestamp::now();
    rows::session_prune(app.db(), now).await?;
    store::idempotency::idempotency_prune(app.db(), now.minus(Duration::from_secs(24 * 3600))).await?;
    while store::work::work_prune(app.db(), now.minus(Duration::from_secs(30 * 24 * 3600))).await? >= 1000 {}
    Ok(())
}
