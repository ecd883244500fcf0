//! An application as a container of a Docker engine, from an image of our registry by its digest, on a port of loopback
//! that the engine chooses.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::container::LogOutput;
use bollard::models::ContainerCreateBody;
use bollard::models::HostConfig;
use bollard::models::HostConfigLogConfig;
use bollard::models::PortBinding;
use bollard::query_parameters::CreateContainerOptionsBuilder;
use bollard::query_parameters::CreateImageOptionsBuilder;
use bollard::query_parameters::ListImagesOptionsBuilder;
use bollard::query_parameters::LogsOptionsBuilder;
use bollard::query_parameters::RemoveContainerOptionsBuilder;
use bollard::query_parameters::RemoveImageOptions;
use bollard::query_parameters::StatsOptionsBuilder;
use bollard::query_parameters::StopContainerOptionsBuilder;
use futures::StreamExt as _;
use futures::TryStreamExt as _;

use super::App;
use super::Service;
use super::State;
use super::Usage;

/// The engine.
#[derive(Clone, Debug)]
pub struct Engine(Docker);

fn failed(e: bollard::errors::Error) -> io::Error {
    match e {
        bollard::errors::Error::DockerResponseServerError { status_code: 404, message } => io::Error::new(io::ErrorKind::NotFound, message),
        bollard::errors::Error::DockerResponseServerError { message, .. } => io::Error::other(message),
        other => io::Error::other(other),
    }
}

impl Engine {
    /// Connects to the engine at `host`, or the default socket, and asks whether it answers.
    ///
    /// # Errors
    /// When none does.
    pub async fn connect(host: Option<&str>) -> io::Result<Self> {
        let docker = crate::docker::connect(host).map_err(failed)?;
        tokio::time::timeout(Duration::from_secs(5), docker.ping()).await.map_err(io::Error::other)?.map_err(failed)?;
        Ok(Self(docker))
    }

    /// Pulls `repository@digest` with a registry token.
    ///
    /// # Errors
    /// The engine's, in its words.
    pub async fn pull(&self, repository: &str, digest: &str, token: &str) -> io::Result<()> {
        let options = CreateImageOptionsBuilder::new().from_image(repository).tag(digest).build();
        let credentials = DockerCredentials { registrytoken: Some(token.to_owned()), ..DockerCredentials::default() };
        let mut progress = self.0.create_image(Some(options), None, Some(credentials));
        while let Some(line) = progress.next().await {
            let line = line.map_err(failed)?;
            if let Some(error) = line.error_detail.and_then(|e| e.message) {
                return Err(io::Error::other(error));
            }
        }
        Ok(())
    }

    /// Removes images of `repository` that were pulled by digest, but those in `keep` and those in use; how many. Images that
    /// somebody gave a name stay.
    ///
    /// # Errors
    /// The engine's, in its words.
    pub async fn prune(&self, repository: &str, keep: &[String]) -> io::Result<usize> {
        let filters = HashMap::from([("reference", vec![repository])]);
        let images = self.0.list_images(Some(ListImagesOptionsBuilder::new().filters(&filters).build())).await.map_err(failed)?;
        let mut removed = 0;
        for image in images {
            // a name that somebody gave
            if image.repo_tags.iter().any(|t| t != "<none>:<none>") {
                continue;
            }
            for reference in &image.repo_digests {
                let old = reference.split_once('@').is_some_and(|(r, d)| r == repository && !keep.iter().any(|k| k == d));
                // one that a container uses is refused, and stays
                if old && self.0.remove_image(reference, None::<RemoveImageOptions>, None).await.is_ok() {
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    /// The container of a name.
    pub fn container(&self, name: &str) -> Container {
        Container { docker: self.0.clone(), name: name.to_owned() }
    }
}

/// An instance as a container.
#[derive(Clone, Debug)]
pub struct Container {
    docker: Docker,
    name: String,
}

impl Container {
    /// Starts a container of `image`; removes first what has its name. `port` is where the application listens inside,
    /// and what `PORT` tells it.
    ///
    /// # Errors
    /// The engine's, in its words.
    pub async fn start(&self, image: &str, app: &App, port: u16, labels: HashMap<String, String>) -> io::Result<()> {
        self.remove().await?;
        let key = format!("{port}/tcp");
        let mut env: Vec<String> = app.env.iter().filter(|(n, _)| *n != "PORT").map(|(n, v)| format!("{n}={v}")).collect();
        env.push(format!("PORT={port}"));
        let binding = PortBinding { host_ip: Some("127.0.0.1".into()), host_port: Some(String::new()) };
        let log = [("max-size", "16m"), ("max-file", "2")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let host = HostConfig {
            port_bindings: Some(HashMap::from([(key.clone(), Some(vec![binding]))])),
            security_opt: Some(vec!["no-new-privileges".into()]),
            pids_limit: Some(2048),
            init: Some(true),
            log_config: Some(HostConfigLogConfig { typ: Some("json-file".into()), config: Some(HashMap::from(log)) }),
            ..HostConfig::default()
        };
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            // the image's own command unless the release names another
            cmd: (!app.command.is_empty()).then(|| app.command.clone()),
            env: Some(env),
            exposed_ports: Some(vec![key]),
            labels: Some(labels),
            host_config: Some(host),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::new().name(&self.name).build();
        self.docker.create_container(Some(options), body).await.map_err(failed)?;
        self.docker.start_container(&self.name, None).await.map_err(failed)
    }

    /// Starts a container again that ended.
    ///
    /// # Errors
    /// The engine's, in its words.
    pub async fn restart(&self) -> io::Result<()> {
        self.docker.start_container(&self.name, None).await.map_err(failed)
    }
}

#[async_trait]
impl Service for Container {
    async fn state(&self) -> io::Result<State> {
        let found = match self.docker.inspect_container(&self.name, None).await.map_err(failed) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(State::Missing),
            other => other?,
        };
        let state = found.state.unwrap_or_default();
        if !state.running.unwrap_or(false) {
            return Ok(State::Exited { code: state.exit_code.and_then(|c| i32::try_from(c).ok()) });
        }
        let ports = found.network_settings.and_then(|n| n.ports).unwrap_or_default();
        let port = ports.into_values().flatten().flatten().find_map(|b| b.host_port?.parse().ok());
        port.map(|port| State::Running { port }).ok_or_else(|| io::Error::other("the engine publishes no port of the container"))
    }

    async fn stop(&self, grace: Duration) -> io::Result<()> {
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::new().t(seconds).build();
        match self.docker.stop_container(&self.name, Some(options)).await.map_err(failed) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    async fn remove(&self) -> io::Result<()> {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        match self.docker.remove_container(&self.name, Some(options)).await.map_err(failed) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    async fn usage(&self) -> Option<Usage> {
        let options = StatsOptionsBuilder::new().stream(false).one_shot(true).build();
        let stats = self.docker.stats(&self.name, Some(options)).next().await?.ok()?;
        let cpu = stats.cpu_stats?.cpu_usage?.total_usage?;
        let memory = stats.memory_stats?;
        // files the kernel keeps at hand are not the application's
        let cache = memory.stats.as_ref().and_then(|s| s.get("inactive_file").or_else(|| s.get("total_inactive_file"))).copied();
        Some(Usage { cpu: Duration::from_nanos(cpu), memory: memory.usage?.saturating_sub(cache.unwrap_or(0)) })
    }

    async fn log(&self, lines: usize) -> io::Result<String> {
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(&lines.to_string()).build();
        let chunks: Vec<LogOutput> = match self.docker.logs(&self.name, Some(options)).try_collect().await.map_err(failed) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
            other => other?,
        };
        let bytes: Vec<u8> = chunks.into_iter().flat_map(LogOutput::into_bytes).collect();
        Ok(super::tail(&String::from_utf8_lossy(&bytes), lines))
    }

    async fn trim_log(&self) -> io::Result<()> {
        // the engine turns its own logs over
        Ok(())
    }
}
