//! Environments as they are asked for and shown.

use std::collections::BTreeMap;

use kernel::EnvironmentId;
use kernel::Error;
use kernel::Result;
use kernel::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

use crate::deployment::model::Release;

/// Where an environment's releases run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// As an isolated process of the machine, in the image's files.
    Process,
    /// As a container of a Docker engine.
    Docker,
}

impl Target {
    /// The text form.
    pub fn as_str(self) -> &'static str {
        match self {
            Target::Process => "process",
            Target::Docker => "docker",
        }
    }

    /// From the text form.
    pub fn parse(text: &str) -> Self {
        if text == "docker" { Target::Docker } else { Target::Process }
    }
}

/// How health is checked, over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = HealthCheck)]
pub struct Health {
    /// Asked for with GET; any status from 200 to 399 is well.
    pub path: String,
    /// Seconds between two checks.
    pub interval_seconds: u32,
    /// Seconds an answer may take.
    pub timeout_seconds: u32,
    /// Successes in a row that count as healthy.
    pub healthy_after: u32,
    /// Seconds a new release has to become healthy.
    pub deadline_seconds: u32,
}

impl Default for Health {
    fn default() -> Self {
        Self { path: "/health".into(), interval_seconds: 10, timeout_seconds: 5, healthy_after: 2, deadline_seconds: 60 }
    }
}

impl Health {
    fn check(&self) -> Result<()> {
        let bad = |field: &str, message: &str| Err(Error::field(format!("health.{field}"), "invalid", message));
        let plain = self.path.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
        if !self.path.starts_with('/') || self.path.len() > 512 || !plain {
            return bad("path", "a path that starts with '/'");
        }
        for (field, value, most) in [
            ("interval_seconds", self.interval_seconds, 3600),
            ("timeout_seconds", self.timeout_seconds, 300),
            ("healthy_after", self.healthy_after, 20),
            ("deadline_seconds", self.deadline_seconds, 3600),
        ] {
            if !(1..=most).contains(&value) {
                return bad(field, &format!("between 1 and {most}"));
            }
        }
        Ok(())
    }
}

/// Variables by name.
pub type Config = BTreeMap<String, String>;

/// Checks variables of an application.
///
/// # Errors
/// `validation_failed` on field `config`.
pub fn check_config(config: &Config) -> Result<()> {
    if config.len() > 200 || config.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>() > 128 << 10 {
        return Err(Error::field("config", "too_long", "at most 200 variables and 128 KiB"));
    }
    config.iter().try_for_each(|(name, value)| {
        check_name("config", name)?;
        if value.contains('\0') {
            return Err(Error::field(format!("config.{name}"), "invalid", "may not hold a NUL"));
        }
        Ok(())
    })
}

fn check_name(field: &str, name: &str) -> Result<()> {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && !name.starts_with(|c: char| c.is_ascii_digit());
    if !plain || name.is_empty() || name.len() > 128 {
        return Err(Error::field(field, "invalid", "names are letters, digits and '_', and do not start with a digit"));
    }
    if name == "PORT" {
        return Err(Error::field(field, "reserved", "PORT is set by the service"));
    }
    Ok(())
}

/// A new environment.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentNew {
    /// Its name in the project.
    pub name: String,
    /// Where releases run; a Docker engine where one answers, else a process.
    pub target: Option<Target>,
    /// Variables of the application.
    #[serde(default)]
    pub config: Config,
    /// Names of the project's secrets it is given as variables.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// How health is checked.
    #[serde(default)]
    pub health: Health,
    /// Port the application listens on in its container; the image's own, or 8080, when not given.
    pub container_port: Option<u16>,
}

/// A change of an environment. Running releases keep what they were made with.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentChange {
    /// Where the next releases run.
    pub target: Option<Target>,
    /// Variables of the next releases.
    pub config: Option<Config>,
    /// Secrets of the next releases.
    pub secrets: Option<Vec<String>>,
    /// How health is checked, from now on.
    pub health: Option<Health>,
    /// Port the application listens on in its container.
    pub container_port: Option<u16>,
}

/// What both hold in common, checked.
///
/// # Errors
/// `validation_failed`.
pub fn check(config: Option<&Config>, secrets: Option<&Vec<String>>, health: Option<&Health>, port: Option<u16>) -> Result<()> {
    if let Some(config) = config {
        check_config(config)?;
    }
    if let Some(secrets) = secrets {
        if secrets.len() > 100 {
            return Err(Error::field("secrets", "too_long", "at most 100"));
        }
        secrets.iter().try_for_each(|name| check_name("secrets", name))?;
    }
    if let Some(health) = health {
        health.check()?;
    }
    if port == Some(0) {
        return Err(Error::field("container_port", "invalid", "between 1 and 65535"));
    }
    Ok(())
}

/// An environment.
#[derive(Debug, Serialize, ToSchema)]
pub struct Environment {
    /// Its id.
    #[schema(value_type = String)]
    pub id: EnvironmentId,
    /// Its name in the project.
    pub name: String,
    /// Where releases run.
    pub target: Target,
    /// Where it answers.
    pub url: String,
    /// The port there, the same for every release.
    pub port: u16,
    /// `empty`, `deploying`, `healthy`, `unhealthy` or `stopped`.
    #[schema(value_type = crate::words::EnvironmentState)]
    pub state: String,
    /// Why it is in that state.
    pub detail: String,
    /// Variables; null for readers who could not deploy.
    pub config: Option<Config>,
    /// Names of the secrets it is given.
    pub secrets: Vec<String>,
    /// How health is checked.
    pub health: Health,
    /// Port the application listens on in its container.
    pub container_port: Option<u16>,
    /// What runs.
    pub current: Option<Release>,
    /// Row version, for `If-Match`.
    pub version: i64,
    /// When its settings or state last changed.
    #[schema(value_type = String)]
    pub updated_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_settings_are_refused() {
        let with = |name: &str, value: &str| Config::from([(name.to_owned(), value.to_owned())]);
        assert!(check_config(&with("A_1", "x y\nz")).is_ok());
        for (name, value) in [("", "x"), ("1A", "x"), ("A-B", "x"), ("A=B", "x"), ("PORT", "1"), ("A", "x\0"), ("A B", "x")] {
            assert!(check_config(&with(name, value)).is_err(), "{name}");
        }
        for path in ["", "health", "/a b", "/a\r\nX: y", "/#x"] {
            assert!(Health { path: path.into(), ..Health::default() }.check().is_err(), "{path:?}");
        }
        assert!(Health { interval_seconds: 0, ..Health::default() }.check().is_err());
        assert!(Health { deadline_seconds: 100_000, ..Health::default() }.check().is_err());
    }
}
