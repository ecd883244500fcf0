//! Secrets and variables of projects. A secret goes in and never comes out again but into a job or a
//! deployment; the vault seals it.

pub mod routes;

use std::collections::BTreeMap;

use kernel::{Code, Context, Error, Permission, ProjectId, Result, Timestamp};
use store::secret::{secret_count, secret_delete, secret_set, secret_values, variable_delete, variable_set};
use web_kit::{App, vault};

/// Largest value of a secret or variable.
const MAX_VALUE: usize = 48 << 10;
/// Most secrets of a project.
const MAX_SECRETS: i64 = 500;
/// The open secrets of a project, for a job or a deployment. Not for any route.
///
/// # Errors
/// `internal` when one was sealed under another key.
pub async fn secret_values_of(app: &App, project: ProjectId) -> Result<BTreeMap<String, String>> {
    let mut values = BTreeMap::new();
    for (name, sealed) in secret_values(app.db(), project).await? {
        let value = vault::unseal(app.key(), project, &name, &sealed)?;
        values.insert(name, value);
    }
    Ok(values)
}

fn name_of(text: &str) -> Result<String> {
    let upper = text.to_ascii_uppercase();
    let mut bytes = upper.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_uppercase() || b == b'_');
    if !first || upper.len() > 128 || !bytes.all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_') {
        return Err(Error::field("name", "invalid", "letters, digits and '_', not beginning with a digit, at most 128"));
    }
    if upper.starts_with("GITHUB_") || upper.starts_with("DEVMENTOR_") {
        return Err(Error::field("name", "reserved", "names that begin with GITHUB_ or DEVMENTOR_ are used by the service"));
    }
    Ok(upper)
}

fn value_of(value: &str) -> Result<()> {
    if value.len() > MAX_VALUE {
        return Err(Error::field("value", "too_long", format!("at most {MAX_VALUE} bytes")));
    }
    if value.contains('\0') {
        return Err(Error::field("value", "invalid", "may not hold a NUL character"));
    }
    Ok(())
}

/// Sets a secret.
///
/// # Errors
/// `forbidden`, `validation_failed`.
pub async fn secret_put(app: &App, ctx: &Context, id: &str, name: &str, value: &str) -> Result<()> {
    let project = app.project(ctx, id, Permission::SecretWrite).await?.id();
    let name = name_of(name)?;
    value_of(value)?;
    if value.is_empty() {
        return Err(Error::field("value", "required", "may not be empty"));
    }
    if secret_count(app.db(), project).await? >= MAX_SECRETS {
        return Err(Error::new(Code::Unprocessable, format!("a project has at most {MAX_SECRETS} secrets")));
    }
    let sealed = vault::seal(app.key(), project, &name, value)?;
    secret_set(app.db(), project, &name, &sealed, Timestamp::now()).await
}

/// Removes a secret.
///
/// # Errors
/// `forbidden`, `not_found`.
pub async fn secret_remove(app: &App, ctx: &Context, id: &str, name: &str) -> Result<()> {
    let project = app.project(ctx, id, Permission::SecretWrite).await?.id();
    if secret_delete(app.db(), project, &name.to_ascii_uppercase()).await? { Ok(()) } else { Err(Error::not_found("secret")) }
}

/// Sets a variable.
///
/// # Errors
/// `forbidden`, `validation_failed`.
pub async fn variable_put(app: &App, ctx: &Context, id: &str, name: &str, value: &str) -> Result<()> {
    let project = app.project(ctx, id, Permission::SecretWrite).await?.id();
    let name = name_of(name)?;
    value_of(value)?;
    variable_set(app.db(), project, &name, value, Timestamp::now()).await
}

/// Removes a variable.
///
/// # Errors
/// `forbidden`, `not_found`.
pub async fn variable_remove(app: &App, ctx: &Context, id: &str, name: &str) -> Result<()> {
    let project = app.project(ctx, id, Permission::SecretWrite).await?.id();
    if variable_delete(app.db(), project, &name.to_ascii_uppercase()).await? { Ok(()) } else { Err(Error::not_found("variable")) }
}
