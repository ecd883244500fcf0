//! The containers of a job: services and, if it has one, its own, on a network of their own.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bollard::Docker;
use bollard::models::{
    ContainerCreateBody, EndpointSettings, HealthStatusEnum, HostConfig, NetworkCreateRequest, NetworkingConfig, PortBinding,
};
use bollard::query_parameters::{CreateContainerOptionsBuilder, CreateImageOptionsBuilder, LogsOptionsBuilder};
use dialects::plan::{Container, Job};
use futures::StreamExt as _;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::place::ContainerPlace;
use super::{JOB_LABEL, RUNNER_LABEL, StartError, Trouble, options, remove_labelled};
use crate::actions::{Logins, credentials, registry_of};
use crate::engine::{Contexts, StepOutput};
use crate::sandbox::{JobDirs, Place};
use crate::spawn::{Output as _, Stop};

/// How long a service may take to become healthy.
const HEALTH_LIMIT: Duration = Duration::from_secs(300);
/// Memory of one container when its options do not say.
const MEMORY: i64 = 4 << 30;
/// Processes of one container.
const PIDS: i64 = 4096;

/// What to start.
pub(crate) struct Order<'a> {
    pub(crate) docker: Docker,
    pub(crate) job: &'a Job,
    pub(crate) job_id: String,
    pub(crate) tag: String,
    pub(crate) dirs: JobDirs,
    pub(crate) logins: &'a Logins,
    pub(crate) contexts: &'a Contexts,
}

/// Containers of one job.
#[derive(Default)]
pub(crate) struct Containers {
    docker: Option<Docker>,
    job_id: String,
    place: Option<ContainerPlace>,
    network: String,
    job: Value,
    services: Map<String, Value>,
}

/// A container with its texts evaluated.
struct Wanted {
    image: String,
    body: ContainerCreateBody,
    host: HostConfig,
    aliases: Vec<String>,
    login: Option<bollard::auth::DockerCredentials>,
    ports: Vec<String>,
}

fn wrong<T>(why: impl Into<String>) -> Result<T, StartError> {
    Err(StartError::Trouble(Trouble::Job(why.into())))
}

impl Containers {
    /// Where steps run, if the job has a container of its own.
    pub(crate) fn place(&self) -> Option<&dyn Place> {
        self.place.as_ref().map(|p| p as &dyn Place)
    }

    /// `job.container`.
    pub(crate) fn container_context(&self) -> Value {
        self.job.clone()
    }

    /// `job.services`.
    pub(crate) fn services_context(&self) -> Value {
        self.services.clone().into()
    }

    /// Starts services, waits until they are healthy, starts the job's container.
    pub(crate) async fn start(&mut self, order: Order<'_>, out: &mut StepOutput, stop: watch::Receiver<Stop>) -> Result<(), StartError> {
        self.docker = Some(order.docker.clone());
        self.job_id.clone_from(&order.job_id);
        self.network = format!("devmentor-{}", order.job_id);
        let labels = labels(&order);
        let request = NetworkCreateRequest { name: self.network.clone(), labels: Some(labels), ..Default::default() };
        order.docker.create_network(request).await?;
        let in_container = order.job.container.is_some();
        let mut waiting = Vec::new();
        for (name, service) in &order.job.services {
            let Some(mut wanted) = wanted(&order, service, name)? else { continue };
            wanted.aliases.push(name.clone());
            // a job in a container reaches services by name, a job on the host by their ports
            bind_ports(&mut wanted, !in_container)?;
            let id = self.create(&order, &wanted, name, out).await?;
            order.docker.start_container(&id, None).await?;
            waiting.push((name.clone(), id));
        }
        for (name, id) in waiting {
            self.healthy(&order.docker, &name, &id, out, stop.clone()).await?;
            let ports = ports(&order.docker, &id).await?;
            self.services.insert(name, json!({ "id": id, "network": self.network, "ports": ports }));
        }
        if let Some(container) = &order.job.container
            && let Some(mut wanted) = wanted(&order, container, "the job's container")?
        {
            bind_ports(&mut wanted, true)?;
            self.own(&order, wanted, out).await?;
        }
        Ok(())
    }

    async fn own(&mut self, order: &Order<'_>, mut wanted: Wanted, out: &mut StepOutput) -> Result<(), StartError> {
        let dirs = &order.dirs;
        let work = dirs.root.join("work");
        for dir in [&dirs.engine, &dirs.home, &dirs.temp, &dirs.tools, &work] {
            let path = dir.to_string_lossy();
            wanted.host.binds.get_or_insert_default().push(format!("{path}:{path}"));
        }
        // steps are programs started in it: the container itself only has to stay
        wanted.body.entrypoint = Some(vec!["/bin/sh".into()]);
        wanted.body.cmd = Some(vec!["-c".into(), "while :; do sleep 86400; done".into()]);
        wanted.host.init = Some(true);
        let id = self.create(order, &wanted, "job", out).await?;
        if let Err(error) = order.docker.start_container(&id, None).await {
            return wrong(format!("the job's container did not start (it needs /bin/sh and sleep): {error}"));
        }
        let state = order.docker.inspect_container(&id, None).await?;
        let list = state.config.and_then(|c| c.env).unwrap_or_default();
        let mut env: BTreeMap<String, String> =
            list.iter().filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        env.insert("HOME".into(), dirs.home.to_string_lossy().into_owned());
        env.entry("PATH".into()).or_insert_with(|| "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into());
        self.job = json!({ "id": id, "network": self.network });
        let serial = std::sync::atomic::AtomicU64::new(0);
        self.place = Some(ContainerPlace { docker: order.docker.clone(), id, dirs: dirs.clone(), env, serial });
        Ok(())
    }

    async fn create(&self, order: &Order<'_>, wanted: &Wanted, name: &str, out: &mut StepOutput) -> Result<String, StartError> {
        pull(&order.docker, &wanted.image, wanted.login.clone(), out).await?;
        let mut body = wanted.body.clone();
        body.image = Some(wanted.image.clone());
        body.labels.get_or_insert_default().extend(labels(order));
        body.host_config = Some(HostConfig {
            network_mode: Some(self.network.clone()),
            security_opt: Some(vec!["no-new-privileges".into()]),
            memory: Some(wanted.host.memory.filter(|m| *m > 0).map_or(MEMORY, |m| m.min(MEMORY))),
            pids_limit: Some(PIDS),
            ..wanted.host.clone()
        });
        let endpoint = EndpointSettings { aliases: Some(wanted.aliases.clone()), ..Default::default() };
        body.networking_config = Some(NetworkingConfig { endpoints_config: Some(HashMap::from([(self.network.clone(), endpoint)])) });
        let safe: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' }).collect();
        let options = CreateContainerOptionsBuilder::new().name(&format!("devmentor-{}-{safe}", order.job_id)).build();
        let created = order.docker.create_container(Some(options), body).await?;
        out.line(&format!("{name}: {} as {}", wanted.image, &created.id[..created.id.len().min(12)])).await?;
        Ok(created.id)
    }

    async fn healthy(
        &self,
        docker: &Docker,
        name: &str,
        id: &str,
        out: &mut StepOutput,
        stop: watch::Receiver<Stop>,
    ) -> Result<(), StartError> {
        let begun = tokio::time::Instant::now();
        let mut pause = Duration::from_millis(100);
        loop {
            let state = docker.inspect_container(id, None).await?.state.unwrap_or_default();
            let health = state.health.and_then(|h| h.status);
            let why = match health {
                _ if state.running != Some(true) => format!("it has ended with exit code {}", state.exit_code.unwrap_or(-1)),
                None | Some(HealthStatusEnum::NONE | HealthStatusEnum::EMPTY) => return Ok(()),
                Some(HealthStatusEnum::HEALTHY) => {
                    out.line(&format!("{name} is healthy after {:.1} s", begun.elapsed().as_secs_f64())).await?;
                    return Ok(());
                }
                Some(HealthStatusEnum::UNHEALTHY) => "its health check fails".to_owned(),
                Some(HealthStatusEnum::STARTING) if begun.elapsed() < HEALTH_LIMIT => {
                    if *stop.borrow() > Stop::No {
                        return wrong("The operation was canceled.");
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(2));
                    continue;
                }
                Some(HealthStatusEnum::STARTING) => format!("it was not healthy after {} s", HEALTH_LIMIT.as_secs()),
            };
            out.line(&format!("##[group]Log of {name}")).await?;
            let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail("200").build();
            let mut logs = docker.logs(id, Some(options));
            while let Some(Ok(piece)) = logs.next().await {
                out.chunk(piece.as_ref()).await?;
            }
            out.line("##[endgroup]").await?;
            return wrong(format!("the service `{name}` did not come up: {why}"));
        }
    }

    /// The network they share, once it is there.
    pub(crate) fn network(&self) -> Option<String> {
        (!self.network.is_empty()).then(|| self.network.clone())
    }

    /// Removes everything that was made.
    pub(crate) async fn close(&mut self) {
        if let Some(docker) = self.docker.take() {
            remove_labelled(&docker, &format!("{JOB_LABEL}={}", self.job_id)).await;
        }
    }
}

fn labels(order: &Order<'_>) -> HashMap<String, String> {
    HashMap::from([(RUNNER_LABEL.to_owned(), order.tag.clone()), (JOB_LABEL.to_owned(), order.job_id.clone())])
}

/// Evaluates a container of the plan; none when its image is empty.
fn wanted(order: &Order<'_>, container: &Container, name: &str) -> Result<Option<Wanted>, StartError> {
    let place = container.span.as_ref().map(|s| format!("{s}: ")).unwrap_or_default();
    let text = |text: &str| order.contexts.text(text).or_else(|e| wrong(format!("{place}{name}: {e}")));
    let image = text(&container.image)?;
    if image.trim().is_empty() {
        return Ok(None);
    }
    let mut body = ContainerCreateBody::default();
    let mut host = HostConfig::default();
    let mut aliases = Vec::new();
    for (key, value) in &container.env {
        body.env.get_or_insert_default().push(format!("{key}={}", text(value)?));
    }
    if let Some(options) = &container.options {
        let options = text(options)?;
        options::apply(&options, &mut body, &mut host, &mut aliases).or_else(|e| wrong(format!("{place}{name}: {e}")))?;
    }
    for (given, to) in [(&container.entrypoint, &mut body.entrypoint), (&container.command, &mut body.cmd)] {
        if !given.is_empty() {
            *to = Some(given.iter().map(|t| text(t)).collect::<Result<_, _>>()?);
        }
    }
    for volume in &container.volumes {
        let volume = text(volume)?;
        let Some((source, target)) = volume.split_once(':') else {
            return wrong(format!("{place}{name}: the volume `{volume}` needs the form name:/path"));
        };
        let named = !source.is_empty() && source.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if !named || source.starts_with('.') || target.contains("..") {
            return wrong(format!("{place}{name}: the volume `{volume}` would show the machine's files to the job; give it a name"));
        }
        // named per job: a volume must not carry anything to another one
        host.binds.get_or_insert_default().push(format!("devmentor-{}-{source}:{target}", order.job_id));
    }
    let login = match &container.credentials {
        Some(given) => Some(credentials(&registry_of(&image), &text(&given.username)?, &text(&given.password)?)),
        None => order.logins.for_image(&image),
    };
    let ports = container.ports.iter().map(|p| text(p)).collect::<Result<Vec<_>, _>>()?;
    Ok(Some(Wanted { image: image.trim().to_owned(), body, host, aliases, login, ports }))
}

/// `8080:80`, `80`, `53:53/udp`, always on the loopback address.
fn bind_ports(wanted: &mut Wanted, publish: bool) -> Result<(), StartError> {
    for port in &wanted.ports {
        let (pair, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
        let (outside, inside) = match pair.rsplit_once(':') {
            Some((outside, inside)) => (outside.rsplit(':').next().unwrap_or_default(), inside),
            None => ("", pair),
        };
        let valid = inside.parse::<u16>().is_ok() && (outside.is_empty() || outside.parse::<u16>().is_ok());
        if !valid || !["tcp", "udp"].contains(&protocol) {
            return wrong(format!("`{port}` is not a port"));
        }
        let key = format!("{inside}/{protocol}");
        wanted.body.exposed_ports.get_or_insert_default().push(key.clone());
        if publish {
            let binding = PortBinding { host_ip: Some("127.0.0.1".into()), host_port: Some(outside.to_owned()) };
            wanted.host.port_bindings.get_or_insert_default().entry(key).or_default().get_or_insert_default().push(binding);
        }
    }
    Ok(())
}

/// Inner port to outer port, as in `job.services.<id>.ports`.
async fn ports(docker: &Docker, id: &str) -> Result<Map<String, Value>, StartError> {
    let state = docker.inspect_container(id, None).await?;
    let bound = state.network_settings.and_then(|n| n.ports).unwrap_or_default();
    let first = |bindings: Option<Vec<PortBinding>>| bindings?.into_iter().find_map(|b| b.host_port);
    Ok(bound
        .into_iter()
        .filter_map(|(inside, bindings)| {
            let inside = inside.split('/').next().unwrap_or_default().to_owned();
            Some((inside, Value::from(first(bindings)?)))
        })
        .collect())
}

/// Fetches an image; one that is there is used when the registry cannot be reached.
pub(super) async fn pull(
    docker: &Docker,
    image: &str,
    login: Option<bollard::auth::DockerCredentials>,
    out: &mut StepOutput,
) -> Result<(), StartError> {
    let there = docker.inspect_image(image).await.is_ok();
    let last = image.rsplit('/').next().unwrap_or(image);
    let fixed = last.contains('@') || last.split_once(':').is_some_and(|(_, tag)| tag != "latest");
    if there && fixed {
        return Ok(());
    }
    let reference = if last.contains([':', '@']) { image.to_owned() } else { format!("{image}:latest") };
    let options = CreateImageOptionsBuilder::new().from_image(&reference).build();
    out.line(&format!("Pulling {reference}")).await?;
    let mut progress = docker.create_image(Some(options), None, login);
    while let Some(step) = progress.next().await {
        let trouble = match step {
            Ok(info) => info.error_detail.and_then(|e| e.message),
            Err(error) => Some(error.to_string()),
        };
        match trouble {
            None => {}
            Some(why) if there => {
                out.line(&format!("{image} could not be pulled ({why}); the one on this machine is used")).await?;
                return Ok(());
            }
            Some(why) => return wrong(format!("the image {image} cannot be pulled: {why}")),
        }
    }
    Ok(())
}
