//! Files that a pipeline includes from an address: from the hosts that the configuration names, and only while a pipeline
//! is made. What they were is written in the plan, which another try of the run takes up as it is.

use std::time::Duration;

use egress::{Allow, Client};
use kernel::{Error, Result};
use web_kit::App;

/// Time for one file.
const PATIENCE: Duration = Duration::from_secs(10);

/// May files be fetched from this address?
fn permitted(hosts: &[String], address: &str) -> std::result::Result<(), String> {
    let host = address.split_once("://").map_or("", |(_, rest)| rest).split(['/', '?', '#']).next().unwrap_or_default();
    if host.contains('@') {
        return Err("an address with a name or password is not asked".into());
    }
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(host, |(name, _)| name);
    if hosts.iter().any(|h| h == "*" || h.eq_ignore_ascii_case(name)) {
        return Ok(());
    }
    Err(format!("this service fetches no files from `{name}`; its administrator may allow that with `include_hosts`"))
}

/// Fetches a file; the inner error is for the author of the pipeline.
///
/// # Errors
/// When the client cannot be made.
pub(super) async fn fetch(app: &App, address: &str) -> Result<std::result::Result<Vec<u8>, String>> {
    let config = app.config();
    if let Err(why) = permitted(&config.include_hosts, address) {
        return Ok(Err(why));
    }
    let allow = Allow::parse(config.egress_allow.iter().map(String::as_str)).map_err(Error::internal)?;
    let client = Client::guarded(allow).map_err(Error::internal)?;
    let max = dialects::yaml::MAX_BYTES as u64;
    let answer = match client.get(address).total(Some(PATIENCE)).body_limit(max).send().await {
        Ok(answer) => answer,
        Err(e) => return Ok(Err(e.to_string())),
    };
    if !answer.status().is_success() {
        return Ok(Err(format!("its server answers {}", answer.status())));
    }
    Ok(answer.bytes().await.map(|b| b.to_vec()).map_err(|e| e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_named() {
        let hosts = ["ci.example".to_owned(), "127.0.0.1".into()];
        for (address, fine) in [
            ("https://ci.example/a.yml", true),
            ("http://CI.example:8080/a.yml", true),
            ("http://127.0.0.1:9/x?y", true),
            ("https://ci.example.org/a.yml", false),
            ("https://ci.example@evil.example/a", false),
            ("https://evil.example/ci.example", false),
            ("ci.example", false),
        ] {
            assert_eq!(permitted(&hosts, address).is_ok(), fine, "{address}");
        }
        assert!(permitted(&["*".into()], "https://x.example/").is_ok() && permitted(&[], "https://x.example/").is_err());
    }
}
