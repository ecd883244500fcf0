//! Judges a URL before it is used, and resolves names so that only judged addresses are dialled.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::address::Allow;
use crate::error::{Error, Refusal, Result};

/// Parses what a caller gives: `http` or `https`, with a host.
pub(crate) fn parse(text: &str) -> Result<Url> {
    let bad = |reason: &str| Error::InvalidUrl { url: shown(text), reason: reason.to_owned() };
    let url = Url::parse(text).map_err(|e| bad(&e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("only http and https are possible"));
    }
    if url.host().is_none() {
        return Err(bad("it names no host"));
    }
    Ok(url)
}

/// A URL for a message: short, and without what may be a password.
fn shown(text: &str) -> String {
    let text = match text.split_once("://").and_then(|(scheme, rest)| rest.split_once('@').map(|(_, rest)| (scheme, rest))) {
        Some((scheme, rest)) => format!("{scheme}://…@{rest}"),
        None => text.to_owned(),
    };
    text.chars().take(200).collect()
}

/// The rules of the guarded profile.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) allow: Allow,
}

impl Guard {
    /// Checks what can be told from the URL alone: no credentials inside, and an address that may be reached if the host is
    /// one. Hosts that are names are judged by [`Guard::resolve`], because addresses skip the resolver and names need it.
    pub(crate) fn check(&self, url: &Url) -> Result<()> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::InvalidUrl { url: shown(url.as_str()), reason: "it holds credentials".to_owned() });
        }
        let address = match url.host() {
            Some(Host::Ipv4(v4)) => IpAddr::V4(v4),
            Some(Host::Ipv6(v6)) => IpAddr::V6(v6),
            Some(Host::Domain(_)) => return Ok(()),
            None => return Err(Error::Refused { host: String::new() }),
        };
        if self.allow.permits(address) { Ok(()) } else { Err(Error::Refused { host: address.to_string() }) }
    }

    /// One forbidden address among several refuses the name: a name that leads inside is not trusted outside either.
    fn judge(&self, host: &str, addresses: &[SocketAddr]) -> Result<(), Refusal> {
        if self.allow.names(host) || addresses.iter().all(|a| self.allow.permits(a.ip())) { Ok(()) } else { Err(Refusal(host.to_owned())) }
    }
}

/// The system's resolver behind the guard. What it returns is what is dialled.
#[derive(Clone)]
pub(crate) struct GuardedResolver(pub(crate) Arc<Guard>);

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = Arc::clone(&self.0);
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            guard.judge(name.as_str(), &found)?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(text: &str) -> Result<()> {
        let guard = Guard { allow: Allow::public_only() };
        parse(text).and_then(|url| guard.check(&url))
    }

    #[test]
    fn every_spelling_of_an_inner_address_is_refused() {
        for text in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0177.0.0.1/",
            "http://0x7f.1/",
            "http://0x7f000001/",
            "http://127.1:80/",
            "http://127.0.0.1./",
            "http://0/",
            "http://017700000001/",
            "http://①②⑦.0.0.1/",
            "http://169.254.169.254/latest/meta-data/",
            "http://2852039166/",
            "http://[::1]/",
            "http://[::]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[2002:7f00:1::]/",
            "http://[fd00::1]/",
            "http://[fe80::1]/",
            "http://100.64.0.1/",
            "https://10.0.0.1:8443/x",
        ] {
            assert!(matches!(verdict(text), Err(Error::Refused { .. })), "{text}");
        }
    }

    #[test]
    fn other_schemes_and_credentials_are_refused() {
        for text in [
            "file:///etc/passwd",
            "gopher://example.com/",
            "redis://example.com/",
            "ftp://example.com/",
            "data:text/plain,x",
            "unix:/run/x.sock",
            "javascript:1",
            "http://",
            "//example.com/",
            "example.com",
            "http://user:pass@example.com/",
            "http://user@example.com/",
            "http://[fe80::1%25eth0]/",
            "http://a b/",
        ] {
            assert!(matches!(verdict(text), Err(Error::InvalidUrl { .. })), "{text}");
        }
        let message = verdict("http://user:hunter2@example.com/").unwrap_err().to_string();
        assert!(!message.contains("hunter2"), "{message}");
    }

    #[test]
    fn public_hosts_pass() {
        for text in ["https://example.com/x?y", "http://8.8.8.8/", "https://[2606:4700::1111]/"] {
            assert!(verdict(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn one_inner_address_refuses_the_name() {
        let guard = Guard { allow: Allow::parse(["trusted.example"]).unwrap() };
        let outer: SocketAddr = "8.8.8.8:0".parse().unwrap();
        let inner: SocketAddr = "10.0.0.1:0".parse().unwrap();
        assert!(guard.judge("x.example", &[outer]).is_ok());
        assert!(guard.judge("x.example", &[outer, inner]).is_err());
        assert!(guard.judge("trusted.example", &[inner]).is_ok());
    }
}
