//! Where `devmentor login` keeps what it got: `~/.config/devmentor/config.toml`, readable by its owner only.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::{env, fs, io, process};

use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Result};

/// The server that is asked when nothing names another.
pub(crate) const DEFAULT_SERVER: &str = "http://localhost:3004";

/// The file.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The server of the last login.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    /// By base address.
    #[serde(default)]
    pub(crate) servers: BTreeMap<String, Account>,
}

/// Who we are on one server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Account {
    /// The user's name.
    pub(crate) user: String,
    /// The token.
    pub(crate) token: String,
    /// Its id when this program made it, so that `logout` can revoke it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_id: Option<String>,
}

impl Config {
    /// Reads the file; an empty configuration when there is none.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        match fs::read_to_string(path) {
            Ok(text) => toml::from_str(&text).map_err(|e| Failure::Usage(format!("{}: {e}", path.display()))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(Failure::Failed(format!("{}: {e}", path.display()))),
        }
    }

    /// Writes the file in one step, so that a reader sees the old one or the new one.
    pub(crate) fn save(&self, path: &Path) -> Result {
        let text = toml::to_string(self).map_err(|e| Failure::Failed(e.to_string()))?;
        if let Some(folder) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let new = path.with_extension(format!("{}.new", process::id()));
        let written = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, path)
        });
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
        written.map_err(|e| Failure::Failed(format!("{}: {e}", path.display())))
    }
}

/// The file's place: below `XDG_CONFIG_HOME` or `~/.config`.
pub(crate) fn path() -> Result<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    set("XDG_CONFIG_HOME")
        .or_else(|| set("HOME").map(|h| h.join(".config")))
        .map(|folder| folder.join("devmentor/config.toml"))
        .ok_or_else(|| Failure::Usage("there is no home directory; set HOME or XDG_CONFIG_HOME".to_owned()))
}

/// Brings an address to the form it is stored in: scheme, host and port, perhaps a path; no slash at the end.
pub(crate) fn server_address(text: &str) -> Result<String> {
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = url::Url::parse(&whole).map_err(|e| Failure::Usage(format!("{text} is not the address of a server: {e}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(Failure::Usage(format!("{text} is not the address of a server")));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Failure::Usage("give the token with --token, not in the server's address".to_owned()));
    }
    let origin = url.origin().ascii_serialization();
    Ok(format!("{origin}{}", url.path().trim_end_matches('/')))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn saved_for_the_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/config.toml");
        assert_eq!(Config::load(&path).unwrap(), Config::default());
        let account = Account { user: "ada".into(), token: "dmp_x".into(), token_id: None };
        let config = Config { current: Some("http://a".into()), servers: [("http://a".to_owned(), account)].into() };
        for _ in 0..2 {
            config.save(&path).unwrap();
        }
        assert_eq!(Config::load(&path).unwrap(), config);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn unknown_keys_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs::write(&path, "curent = 'x'").unwrap();
        assert_eq!(Config::load(&path).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn addresses() {
        for (given, want) in [
            ("localhost:3004", "http://localhost:3004"),
            ("https://Dev.Example.com/", "https://dev.example.com"),
            ("https://dev.example.com:443/base/", "https://dev.example.com/base"),
        ] {
            assert_eq!(server_address(given).unwrap(), want);
        }
        for bad in ["ftp://x", "http://", "http://u:p@x", "a b"] {
            assert!(server_address(bad).is_err(), "{bad}");
        }
    }
}
