//! The image configuration: what a container of the image runs by default.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

use crate::Error;
use crate::ErrorCode;
use crate::Result;

/// What an image is made for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// As GOARCH.
    #[serde(default)]
    pub architecture: String,
    /// As GOOS.
    #[serde(default)]
    pub os: String,
    /// Such as `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// The machine this program runs on.
    pub fn here() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            other => other,
        };
        Self { architecture: architecture.into(), os: std::env::consts::OS.into(), variant: None }
    }

    /// Can `self` run what is made for `image`?
    pub fn runs(&self, image: &Platform) -> bool {
        self.architecture == image.architecture && self.os == image.os
    }
}

/// The parts of an image configuration that running it needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// What it is made for.
    pub platform: Platform,
    /// The command, first part.
    pub entrypoint: Vec<String>,
    /// The command, second part.
    pub cmd: Vec<String>,
    /// `KEY=value`.
    pub env: Vec<String>,
    /// Where it starts.
    pub working_dir: String,
    /// `user`, `uid`, `user:group` or `uid:gid`.
    pub user: String,
    /// Free notes, such as `org.opencontainers.image.revision`.
    pub labels: BTreeMap<String, String>,
    /// Ports it says to listen on, TCP only, ascending.
    pub ports: Vec<u16>,
    /// Digests of the unpacked layers, in order.
    pub diff_ids: Vec<String>,
}

#[derive(Deserialize)]
struct Document {
    #[serde(flatten)]
    platform: Platform,
    #[serde(default)]
    config: Option<Config>,
    #[serde(default)]
    rootfs: Option<RootFs>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Config {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
    working_dir: Option<String>,
    user: Option<String>,
    exposed_ports: Option<BTreeMap<String, serde_json::Value>>,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RootFs {
    diff_ids: Vec<String>,
}

impl ImageConfig {
    /// Parses the configuration blob.
    ///
    /// # Errors
    /// `MANIFEST_INVALID` when it is not one.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let document: Document =
            serde_json::from_slice(bytes).map_err(|e| Error::new(ErrorCode::ManifestInvalid, format!("image configuration: {e}")))?;
        let config = document.config.unwrap_or_default();
        let mut ports: Vec<u16> = config
            .exposed_ports
            .unwrap_or_default()
            .keys()
            .filter_map(|p| p.strip_suffix("/tcp").or((!p.contains('/')).then_some(p.as_str()))?.parse().ok())
            .collect();
        ports.sort_unstable();
        Ok(Self {
            platform: document.platform,
            entrypoint: config.entrypoint.unwrap_or_default(),
            cmd: config.cmd.unwrap_or_default(),
            env: config.env.unwrap_or_default(),
            working_dir: config.working_dir.unwrap_or_default(),
            user: config.user.unwrap_or_default(),
            labels: config.labels.unwrap_or_default(),
            ports,
            diff_ids: document.rootfs.unwrap_or_default().diff_ids,
        })
    }

    /// The whole command.
    pub fn command(&self) -> Vec<String> {
        self.entrypoint.iter().chain(&self.cmd).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration() {
        let json = br#"{"architecture":"amd64","os":"linux","config":{"Entrypoint":["/app"],"Cmd":["serve"],"Env":["A=1"],
            "ExposedPorts":{"8080/tcp":{},"53/udp":{},"80/tcp":{}},"User":"1000","WorkingDir":"/srv","Labels":null},
            "rootfs":{"type":"layers","diff_ids":["sha256:aa"]},"history":[]}"#;
        let config = ImageConfig::parse(json).unwrap();
        assert_eq!(config.command(), ["/app", "serve"]);
        assert_eq!(config.ports, [80, 8080]);
        assert_eq!((config.user.as_str(), config.working_dir.as_str()), ("1000", "/srv"));
        assert!(config.platform.runs(&config.platform));
        assert_eq!(ImageConfig::parse(b"{}").unwrap(), ImageConfig::default());
        let nulls = br#"{"config":{"Entrypoint":null,"Cmd":null,"ExposedPorts":null}}"#;
        assert_eq!(ImageConfig::parse(nulls).unwrap(), ImageConfig::default());
        assert!(ImageConfig::parse(b"[]").is_err());
    }
}
