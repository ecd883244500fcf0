//! Docker through its API: the job container and services of a job, and images built by the engine.
//!
//! Everything made here carries two labels, the runner's tag and the job, so that a later life of the runner can clear
//! what a crash left behind ([`sweep`]).
//!
//! Read next: `containers` (a job's containers and network), `options` (what `options:` may say), `build`.

mod action;
mod build;
mod containers;
mod options;
mod place;
mod usage;

use std::collections::HashMap;
use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder, RemoveContainerOptionsBuilder, RemoveVolumeOptions,
};

use crate::host::HostError;

pub(crate) use action::{ActionOrder, run_action};
pub(crate) use build::{EngineBuild, build, push, split};
pub(crate) use containers::{Containers, Order};
pub(crate) use usage::Metered;

/// Label that names the runner.
pub const RUNNER_LABEL: &str = "devmentor.runner";
/// Label that names the job.
pub const JOB_LABEL: &str = "devmentor.job";

/// Why containers did not come up.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    /// The job asks for what does not exist or is not allowed.
    Job(String),
    /// The engine does not do its work.
    Engine(String),
}

/// A trouble, or the job's own channel broke.
pub(crate) enum StartError {
    Trouble(Trouble),
    Host(HostError),
}

impl From<HostError> for StartError {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}

impl From<bollard::errors::Error> for StartError {
    fn from(error: bollard::errors::Error) -> Self {
        let trouble = match &error {
            bollard::errors::Error::DockerResponseServerError { status_code, message } if *status_code < 500 => {
                Trouble::Job(format!("Docker: {message}"))
            }
            _ => Trouble::Engine(format!("Docker: {error}")),
        };
        Self::Trouble(trouble)
    }
}

/// Connects to an engine: the one at `host`, else at `DOCKER_HOST`, else at its usual socket. Nothing is sent yet.
///
/// # Errors
/// When the address cannot be understood or there is no socket.
pub fn connect(host: Option<&str>) -> Result<Docker, bollard::errors::Error> {
    match host.map(str::to_owned).or_else(|| std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty())) {
        // a path alone is a socket's
        Some(path) if path.starts_with('/') => Docker::connect_with_host(&format!("unix://{path}")),
        Some(host) => Docker::connect_with_host(&host),
        None => Docker::connect_with_local_defaults(),
    }
}

/// The engine, if it answers now.
pub async fn available(host: Option<&str>) -> Option<Docker> {
    let docker = connect(host).ok()?;
    let asked = async { docker.negotiate_version().await };
    let docker = tokio::time::timeout(Duration::from_secs(3), asked).await.ok()?.ok()?;
    Some(docker.with_timeout(Duration::from_secs(600)))
}

/// Removes containers, networks and volumes an earlier life of this runner left.
pub async fn sweep(docker: &Docker, tag: &str) {
    remove_labelled(docker, &format!("{RUNNER_LABEL}={tag}")).await;
}

/// Removes everything with a label.
async fn remove_labelled(docker: &Docker, label: &str) {
    let filters = HashMap::from([("label".to_owned(), vec![label.to_owned()])]);
    let list = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    for container in docker.list_containers(Some(list)).await.unwrap_or_default() {
        if let Some(id) = container.id {
            let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
            if let Err(error) = docker.remove_container(&id, Some(options)).await {
                tracing::warn!(id, %error, "a container stays");
            }
        }
    }
    let list = ListNetworksOptionsBuilder::new().filters(&filters).build();
    for network in docker.list_networks(Some(list)).await.unwrap_or_default() {
        if let Some(id) = network.id
            && let Err(error) = docker.remove_network(&id).await
        {
            tracing::warn!(id, %error, "a network stays");
        }
    }
    let list = ListVolumesOptionsBuilder::new().filters(&filters).build();
    let volumes = docker.list_volumes(Some(list)).await.ok().and_then(|v| v.volumes).unwrap_or_default();
    for volume in volumes {
        if let Err(error) = docker.remove_volume(&volume.name, None::<RemoveVolumeOptions>).await {
            tracing::warn!(volume = volume.name, %error, "a volume stays");
        }
    }
}

#[cfg(test)]
mod tests;
