//! `docker/login-action`: credentials of registries, for the rest of the job and nowhere on disk.

use std::collections::BTreeMap;

use super::{ActionEnd, ActionResult, Call};

/// Docker Hub, under the name its references have.
const HUB: &str = "docker.io";

/// Name and password by registry host.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Logins(BTreeMap<String, (String, String)>);

impl Logins {
    pub(crate) fn add(&mut self, registry: &str, name: &str, password: &str) {
        self.0.insert(host(registry), (name.to_owned(), password.to_owned()));
    }

    /// Takes over others.
    pub(crate) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// All of them, as the engine takes them for a build.
    pub(crate) fn all(&self) -> std::collections::HashMap<String, bollard::auth::DockerCredentials> {
        self.0.iter().map(|(registry, (name, password))| (registry.clone(), credentials(registry, name, password))).collect()
    }

    /// For the registry of an image reference.
    pub(crate) fn for_image(&self, image: &str) -> Option<bollard::auth::DockerCredentials> {
        let registry = registry_of(image);
        let (name, password) = self.0.get(&registry)?;
        Some(credentials(&registry, name, password))
    }
}

pub(crate) fn credentials(registry: &str, name: &str, password: &str) -> bollard::auth::DockerCredentials {
    bollard::auth::DockerCredentials {
        username: Some(name.to_owned()),
        password: Some(password.to_owned()),
        serveraddress: Some(registry.to_owned()),
        ..Default::default()
    }
}

/// The registry's host of an image reference.
pub(crate) fn registry_of(image: &str) -> String {
    match image.split_once('/') {
        // only a dot, a port or this name make the first part a host
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => host(first),
        _ => HUB.to_owned(),
    }
}

fn host(registry: &str) -> String {
    let host = registry.trim_start_matches("https://").trim_start_matches("http://").split('/').next().unwrap_or_default();
    if host.is_empty() || host == "index.docker.io" { HUB.to_owned() } else { host.to_ascii_lowercase() }
}

pub(super) async fn run(call: &mut Call<'_>) -> ActionResult {
    let registry = call.input("registry").unwrap_or(HUB).to_owned();
    let name = call.required("username")?;
    let password = call.required("password")?;
    call.log.mask([password.as_str()]).await;
    call.logins.add(&registry, &name, &password);
    call.out
        .line(&format!("Credentials for {} are kept until the end of the job; the registry checks them at the first use.", host(&registry)))
        .await?;
    Ok(ActionEnd::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries() {
        for (image, registry) in [
            ("alpine", HUB),
            ("library/alpine:3", HUB),
            ("ghcr.io/a/b", "ghcr.io"),
            ("localhost:5000/x", "localhost:5000"),
            ("localhost/x", "localhost"),
        ] {
            assert_eq!(registry_of(image), registry);
        }
        let mut logins = Logins::default();
        logins.add("https://index.docker.io/v1/", "me", "pw");
        assert_eq!(logins.for_image("alpine").unwrap().username.as_deref(), Some("me"));
        assert!(logins.for_image("ghcr.io/a/b").is_none());
    }
}
