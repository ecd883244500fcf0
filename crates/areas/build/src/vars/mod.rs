//! Secrets and variables of projects, groups and environments. A secret goes in and never comes out again but into a job
//! or a deployment; the vault seals it, bound to its scope and name.
//!
//! Of one name the environment's counts before the project's, and that before the nearest group's. Protected ones reach
//! only runs of protected refs; what an untrusted run gets is said in `runs::trust`. Read next: `reach`.

pub mod reach;
pub mod routes;

use kernel::{Code, Context, EnvironmentId, Error, Permission, Result, Role, Timestamp};
use store::environment::environment_get;
use store::secret::{self as rows, Scope, SecretRow, VariableRow};
use web_kit::{App, vault};

/// Largest value of a secret or variable.
const MAX_VALUE: usize = 48 << 10;
/// Most secrets of a scope.
const MAX_SECRETS: i64 = 500;
/// Most variables of a scope.
const MAX_VARIABLES: i64 = 1000;

/// Whose values somebody asks for, as the address names it.
#[derive(Clone, Copy, Debug)]
pub enum Of<'a> {
    /// A project by id or path.
    Project(&'a str),
    /// A group by id or path.
    Group(&'a str),
    /// An environment by id.
    Environment(&'a str),
}

/// A value to keep.
#[derive(Clone, Copy, Debug)]
pub struct New<'a> {
    /// The text.
    pub value: &'a str,
    /// Only for runs of protected refs; none leaves it as it is.
    pub protected: Option<bool>,
}

/// Finds whose values they are and decides whether the caller may do `p` with them.
async fn scope_of(app: &App, ctx: &Context, of: Of<'_>, p: Permission) -> Result<Scope> {
    match of {
        Of::Project(id) => Ok(Scope::Project(app.project(ctx, id, p).await?.id())),
        Of::Group(id) => Ok(Scope::Group(app.group(ctx, id, Some((Role::Maintainer, p))).await?.id)),
        Of::Environment(id) => {
            let missing = || Error::not_found("environment");
            let id: EnvironmentId = id.parse().map_err(|_| missing())?;
            let row = environment_get(app.db(), id).await?.filter(|e| e.deleted_at.is_none()).ok_or_else(missing)?;
            app.project_by_id(ctx, row.project, p).await.map_err(|e| if e.is(Code::NotFound) { missing() } else { e })?;
            Ok(Scope::Environment(id))
        }
    }
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

fn enough(others: i64, most: i64, what: &str) -> Result<()> {
    if others >= most {
        Err(Error::new(Code::Unprocessable, format!("there are {most} {what} already, more are not kept")))
    } else {
        Ok(())
    }
}

/// Names of secrets after a name.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn secret_list(app: &App, ctx: &Context, of: Of<'_>, after: &str, limit: i64) -> Result<Vec<SecretRow>> {
    let scope = scope_of(app, ctx, of, Permission::SecretRead).await?;
    rows::secret_list(app.db(), scope, after, limit).await
}

/// Sets a secret.
///
/// # Errors
/// `forbidden`, `validation_failed`.
pub async fn secret_put(app: &App, ctx: &Context, of: Of<'_>, name: &str, new: New<'_>) -> Result<()> {
    let scope = scope_of(app, ctx, of, Permission::SecretWrite).await?;
    let name = name_of(name)?;
    value_of(new.value)?;
    if new.value.is_empty() {
        return Err(Error::field("value", "required", "may not be empty"));
    }
    enough(rows::secret_others(app.db(), scope, &name).await?, MAX_SECRETS, "secrets")?;
    let sealed = vault::seal(app.key(), scope, &name, new.value)?;
    rows::secret_set(app.db(), scope, &name, &sealed, new.protected, Timestamp::now()).await
}

/// Removes a secret.
///
/// # Errors
/// `forbidden`, `not_found`.
pub async fn secret_remove(app: &App, ctx: &Context, of: Of<'_>, name: &str) -> Result<()> {
    let scope = scope_of(app, ctx, of, Permission::SecretWrite).await?;
    if rows::secret_delete(app.db(), scope, &name.to_ascii_uppercase()).await? { Ok(()) } else { Err(Error::not_found("secret")) }
}

/// Variables after a name.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn variable_list(app: &App, ctx: &Context, of: Of<'_>, after: &str, limit: i64) -> Result<Vec<VariableRow>> {
    let scope = scope_of(app, ctx, of, Permission::SecretRead).await?;
    rows::variable_list(app.db(), scope, after, limit).await
}

/// Sets a variable.
///
/// # Errors
/// `forbidden`, `validation_failed`.
pub async fn variable_put(app: &App, ctx: &Context, of: Of<'_>, name: &str, new: New<'_>) -> Result<()> {
    let scope = scope_of(app, ctx, of, Permission::SecretWrite).await?;
    let name = name_of(name)?;
    value_of(new.value)?;
    enough(rows::variable_others(app.db(), scope, &name).await?, MAX_VARIABLES, "variables")?;
    rows::variable_set(app.db(), scope, &name, new.value, new.protected, Timestamp::now()).await
}

/// Removes a variable.
///
/// # Errors
/// `forbidden`, `not_found`.
pub async fn variable_remove(app: &App, ctx: &Context, of: Of<'_>, name: &str) -> Result<()> {
    let scope = scope_of(app, ctx, of, Permission::SecretWrite).await?;
    if rows::variable_delete(app.db(), scope, &name.to_ascii_uppercase()).await? { Ok(()) } else { Err(Error::not_found("variable")) }
}
