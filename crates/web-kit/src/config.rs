//! Every setting of the service: one flat table, read from a TOML file and from `DEVMENTOR_*` variables (which win).
//! Unknown keys are refused in both. With nothing set the service runs embedded: SQLite, a directory, in-process runner.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use kernel::{Code, Error, Result};

trait Setting: Sized {
    fn read(text: &str) -> Result<Self, String>;
}

macro_rules! from_str_setting {
    ($($ty:ty),*) => {$(
        impl Setting for $ty {
            fn read(text: &str) -> Result<Self, String> { text.parse().map_err(|e| format!("{e}")) }
        }
    )*};
}
from_str_setting!(u16, u32, u64, usize, SocketAddr, String, PathBuf);

impl Setting for bool {
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err("true or false is expected".into()),
        }
    }
}

impl<T: Setting> Setting for Option<T> {
    fn read(text: &str) -> Result<Self, String> {
        if text.is_empty() { Ok(None) } else { T::read(text).map(Some) }
    }
}

impl Setting for Vec<String> {
    fn read(text: &str) -> Result<Self, String> {
        Ok(text.split(',').map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned).collect())
    }
}

macro_rules! settings {
    ($($(#[doc = $doc:literal])* $name:ident: $ty:ty = $default:literal;)*) => {
        /// The settings.
        #[derive(Clone, Debug)]
        pub struct Config { $($(#[doc = $doc])* pub $name: $ty,)* }

        impl Config {
            /// Name, default and meaning of every key, for the documentation.
            pub const KEYS: &'static [(&'static str, &'static str, &'static str)] =
                &[$((stringify!($name), $default, concat!($($doc),*)),)*];

            /// Builds the settings from key and value texts.
            ///
            /// # Errors
            /// `invalid_request` naming each key that is unknown or has a value that cannot be read.
            pub fn from_pairs(pairs: &BTreeMap<String, String>) -> Result<Self> {
                let mut wrong = Vec::new();
                for key in pairs.keys() {
                    if !Self::KEYS.iter().any(|(k, _, _)| k == key) {
                        wrong.push(format!("{key}: there is no such setting"));
                    }
                }
                $(
                    let $name = match <$ty as Setting>::read(pairs.get(stringify!($name)).map_or($default, String::as_str)) {
                        Ok(value) => Some(value),
                        Err(e) => { wrong.push(format!("{}: {e}", stringify!($name))); None }
                    };
                )*
                if let (true, $(Some($name),)*) = (wrong.is_empty(), $($name,)*) {
                    Ok(Self { $($name,)* })
                } else {
                    Err(Error::new(Code::InvalidRequest, format!("the configuration is not valid: {}", wrong.join("; "))))
                }
            }
        }
    };
}

settings! {
    /// Address and port to listen on.
    listen: SocketAddr = "127.0.0.1:3004";
    /// Directory of everything that is kept locally.
    data_dir: PathBuf = ".data";
    /// `sqlite:PATH` or `postgres://…`; empty: SQLite in the data directory.
    database_url: Option<String> = "";
    /// Most database connections.
    database_connections: u32 = "8";
    /// `redis://…`; empty: memory of this instance.
    redis_url: Option<String> = "";
    /// `file:PATH`, `s3://bucket/prefix`, `gs://bucket/prefix`; empty: the data directory.
    storage_url: Option<String> = "";
    /// Address of an Elasticsearch; empty: the embedded index.
    search_url: Option<String> = "";
    /// The address people and clients use; empty: `http://` and the listening address.
    public_url: Option<String> = "";
    /// Creates the administrator `admin` with this token on first start.
    admin_token: Option<String> = "";
    /// 32 bytes as 64 hex digits that encrypt secrets and sign short-lived tokens; empty: a file in the data directory. All instances share it.
    secret_key: Option<String> = "";
    /// May anybody create an account?
    sign_up: bool = "false";
    /// Origins that browsers may call the API from, separated by commas.
    cors_origins: Vec<String> = "";
    /// Addresses of proxies whose `X-Forwarded-*` headers count, separated by commas.
    trusted_proxies: Vec<String> = "";
    /// `json`, `text`, or `auto`: text on a terminal.
    log_format: String = "auto";
    /// Which log lines, such as `info` or `info,git=debug`.
    log_filter: String = "info";
    /// OTLP/HTTP endpoint for traces, such as `http://127.0.0.1:4318`; empty: none.
    otlp_endpoint: Option<String> = "";
    /// Token that `/metrics` asks for; empty: only loopback and administrators may read it.
    metrics_token: Option<String> = "";
    /// Seconds that running requests are given at SIGTERM.
    drain_seconds: u64 = "25";
    /// Requests a minute for one caller with credentials.
    rate_limit: u32 = "5000";
    /// Requests a minute for one address without credentials.
    rate_limit_anonymous: u32 = "600";
    /// Largest JSON body in bytes.
    json_limit: usize = "1048576";
    /// Largest push in bytes.
    push_limit: u64 = "2147483648";
    /// Largest blob of the registry and of artifacts, in bytes.
    blob_limit: u64 = "10737418240";
    /// Git programs that may run at once.
    git_processes: usize = "16";
    /// Run jobs in this process?
    runner: bool = "true";
    /// Jobs this process runs at once.
    runner_capacity: usize = "2";
    /// Labels of the in-process runner besides its system's own, separated by commas.
    runner_labels: Vec<String> = "";
    /// `auto`, `host` (no isolation asked for) or `sandbox` (refuse jobs when there is none).
    runner_isolation: String = "auto";
    /// Failed jobs whose files the in-process runner keeps, for a retry from the step that failed; 0: none.
    runner_keep_jobs: usize = "5";
    /// Bytes that these files take at most, together.
    runner_keep_bytes: u64 = "10737418240";
    /// Hours that they are kept; at most 720.
    runner_keep_hours: u64 = "24";
    /// Docker's socket; empty: the default one when it answers.
    docker_host: Option<String> = "";
    /// Host name in the addresses of environments; empty: the one of the public address.
    deploy_host: Option<String> = "";
    /// Address that environments' ports are opened on.
    deploy_listen: String = "127.0.0.1";
    /// First port for environments.
    deploy_port_from: u16 = "20000";
    /// Last port for environments.
    deploy_port_to: u16 = "20999";
    /// Largest log of one job in bytes.
    log_limit: u64 = "1073741824";
    /// Days until artifacts are removed, unless the upload says otherwise.
    artifact_days: u32 = "30";
    /// Most days that an upload may ask for.
    artifact_days_most: u32 = "90";
    /// Days until the results of tests are removed from their history and their runs.
    test_days: u32 = "90";
    /// Most bytes of all caches of a project; the least recently used go first.
    cache_limit: u64 = "10737418240";
    /// Private or loopback addresses that outgoing requests may go to, separated by commas.
    egress_allow: Vec<String> = "";
    /// Hosts that pipelines may include files from, separated by commas; `*` for any; empty: none.
    include_hosts: Vec<String> = "";
}

/// Variables that start with `DEVMENTOR_` and belong to the command-line client or to the build.
const CLIENT_VARIABLES: &[&str] = &["server", "token", "config", "ci", "project", "web_dist"];

impl Config {
    /// Reads the file at `path`, if any, and the variables.
    ///
    /// # Errors
    /// `invalid_request` naming what is wrong.
    pub fn load(path: Option<&std::path::Path>, variables: impl Iterator<Item = (String, String)>) -> Result<Self> {
        let mut pairs = BTreeMap::new();
        if let Some(path) = path {
            let bad = |e: String| Error::new(Code::InvalidRequest, format!("{}: {e}", path.display()));
            let text = std::fs::read_to_string(path).map_err(|e| bad(e.to_string()))?;
            let table: toml::Table = text.parse().map_err(|e: toml::de::Error| bad(e.to_string()))?;
            for (key, value) in table {
                let text = match value {
                    toml::Value::String(s) => s,
                    toml::Value::Integer(n) => n.to_string(),
                    toml::Value::Boolean(b) => b.to_string(),
                    toml::Value::Array(items) => items
                        .into_iter()
                        .map(|i| i.as_str().map(str::to_owned).ok_or_else(|| bad(format!("{key}: a list of texts is expected"))))
                        .collect::<Result<Vec<_>>>()?
                        .join(","),
                    _ => return Err(bad(format!("{key}: a text, number, true/false or list is expected"))),
                };
                pairs.insert(key, text);
            }
        }
        for (name, value) in variables {
            if let Some(key) = name.strip_prefix("DEVMENTOR_") {
                let key = key.to_ascii_lowercase();
                if !CLIENT_VARIABLES.contains(&key.as_str()) {
                    pairs.insert(key, value);
                }
            }
        }
        Self::from_pairs(&pairs)
    }

    /// The public address without a trailing slash.
    pub fn public_url(&self) -> String {
        match &self.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{}", self.listen),
        }
    }

    /// Host and port of the public address: the registry's name.
    pub fn public_host(&self) -> String {
        let url = self.public_url();
        url.split_once("://").map_or(url.as_str(), |(_, rest)| rest).split('/').next().unwrap_or_default().to_owned()
    }

    /// The database's address.
    pub fn database(&self) -> String {
        self.database_url.clone().unwrap_or_else(|| format!("sqlite:{}", self.data_dir.join("devmentor.db").display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_set_means_embedded() {
        let c = Config::from_pairs(&BTreeMap::new()).unwrap();
        assert_eq!(c.listen.port(), 3004);
        assert_eq!(c.database(), "sqlite:.data/devmentor.db");
        assert_eq!(c.public_host(), "127.0.0.1:3004");
    }

    #[test]
    fn unknown_and_unreadable_keys_are_named() {
        let vars = [("DEVMENTOR_LISTN", "x"), ("DEVMENTOR_SIGN_UP", "maybe"), ("DEVMENTOR_SERVER", "http://x"), ("PATH", "/bin")];
        let e = Config::load(None, vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))).unwrap_err();
        assert!(e.detail.contains("listn: there is no such setting") && e.detail.contains("sign_up: true or false"), "{}", e.detail);
        assert!(!e.detail.contains("server"));
    }
}
