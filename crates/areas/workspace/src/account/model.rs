//! Accounts as the API shows and takes them.

use kernel::{Error, ProjectId, Result, Timestamp, TokenId, UserId};
use serde::{Deserialize, Deserializer, Serialize};
use store::account::AccountRow;
use store::token::TokenRow;
use utoipa::ToSchema;

/// An account.
#[derive(Serialize, ToSchema)]
pub struct User {
    #[schema(value_type = String)]
    /// `usr_…`
    pub id: UserId,
    /// The name in addresses.
    pub name: String,
    /// The name for people.
    pub display_name: String,
    /// Only shown to oneself and administrators.
    pub email: Option<String>,
    /// May administer the instance.
    pub admin: bool,
    /// `active` or `blocked`.
    #[schema(value_type = crate::words::UserState)]
    pub state: String,
    #[schema(value_type = String)]
    /// When it was made.
    pub created_at: Timestamp,
    /// For `If-Match`.
    pub version: i64,
}

impl User {
    /// The account with what `private` callers may see.
    pub fn new(row: AccountRow, private: bool) -> Self {
        Self {
            id: row.id,
            name: row.name,
            display_name: row.display_name,
            email: row.email.filter(|_| private),
            admin: row.admin,
            state: row.state,
            created_at: row.created_at,
            version: row.version,
        }
    }
}

/// How to sign in.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
pub enum SignIn {
    /// By a one-time link.
    Link {
        /// The token in the link.
        link: String,
    },
    /// By name and password; an unlimited token may stand in for the password.
    Password {
        /// The account's name.
        name: String,
        /// Its password.
        password: String,
    },
}

/// Who is signed in.
#[derive(Serialize, ToSchema)]
pub struct Session {
    /// The account.
    pub user: User,
}

/// A new account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserNew {
    /// The name in addresses.
    pub name: String,
    /// At least 10 characters; without one the account signs in by link or token.
    pub password: Option<String>,
    /// An address for notifications.
    pub email: Option<String>,
    /// The name for people.
    pub display_name: Option<String>,
    /// Only administrators may set this.
    pub admin: Option<bool>,
}

/// Tells a field that is null from one that is not there.
pub(crate) fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(d).map(Some)
}

/// What to change in an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    /// The name for people.
    pub display_name: Option<String>,
    /// An address; null removes it.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    pub email: Option<Option<String>>,
    /// Administrators only.
    pub admin: Option<bool>,
    /// `active` or `blocked`; administrators only.
    #[schema(value_type = Option<crate::words::UserState>)]
    pub state: Option<String>,
    /// A new password; administrators only, people use `/users/me/password`.
    pub password: Option<String>,
}

/// A new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The current one, where there is one.
    pub current: Option<String>,
    /// The new one.
    pub new: String,
}

/// A token to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenNew {
    /// What it is for.
    pub name: String,
    /// What it may do: texts of `GET /permissions`.
    pub permissions: Vec<String>,
    /// The projects it reaches, by id or path; null: all of its owner's.
    #[serde(default)]
    pub projects: Option<Vec<String>>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    /// When it dies; null: never.
    pub expires_at: Option<Timestamp>,
}

/// A token without its secret.
#[derive(Serialize, ToSchema)]
pub struct Token {
    #[schema(value_type = String)]
    /// `tok_…`
    pub id: TokenId,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub permissions: Vec<String>,
    #[schema(value_type = Option<Vec<String>>)]
    /// The projects it reaches.
    pub projects: Option<Vec<ProjectId>>,
    #[schema(value_type = Option<String>)]
    /// When it dies.
    pub expires_at: Option<Timestamp>,
    #[schema(value_type = Option<String>)]
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    #[schema(value_type = String)]
    /// When it was made.
    pub created_at: Timestamp,
}

impl From<TokenRow> for Token {
    fn from(row: TokenRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            permissions: row.permissions,
            projects: row.projects,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            created_at: row.created_at,
        }
    }
}

/// A token with its secret, shown once.
#[derive(Serialize, ToSchema)]
pub struct TokenMade {
    /// The token.
    pub token: Token,
    /// Keep it: it is not shown again.
    pub secret: String,
}

/// A permission and the least role that has it.
#[derive(Serialize, ToSchema)]
pub struct PermissionView {
    /// `resource:verb`.
    pub name: &'static str,
    /// The role.
    #[schema(value_type = crate::words::Role)]
    pub least_role: &'static str,
}

/// Holds a short text for people to its bounds.
pub(crate) fn check_text(field: &str, text: &str, most: usize) -> Result<()> {
    if text.chars().count() > most {
        return Err(Error::field(field, "too_long", format!("at most {most} characters")));
    }
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err(Error::field(field, "invalid", "holds control characters"));
    }
    Ok(())
}

pub(crate) fn check_name(text: &str) -> Result<()> {
    if text.trim().is_empty() {
        return Err(Error::field("name", "required", "may not be empty"));
    }
    check_text("name", text, 100)
}

pub(crate) fn check_texts(display_name: Option<&str>, email: Option<&str>) -> Result<()> {
    if let Some(name) = display_name {
        check_text("display_name", name, 100)?;
        if name.trim().is_empty() || name.contains('\n') {
            return Err(Error::field("display_name", "invalid", "is one line of text"));
        }
    }
    if let Some(email) = email {
        let plausible = email.len() <= 254
            && email.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'))
            && email.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>' | b'"' | b'\\' | b',' | b';'));
        if !plausible {
            return Err(Error::field("email", "invalid", "not an e-mail address"));
        }
    }
    Ok(())
}
