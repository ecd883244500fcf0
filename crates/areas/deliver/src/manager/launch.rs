//! Starting a release: its image from the project's blobs into a root of its own, or pulled by a Docker engine from our
//! registry, always by digest.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::images::local_repository;
use super::images::repository;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use blobs::Blobs;
use blobs::Want;
use executors::service::App as Application;
use executors::service::Service;
use executors::service::docker::Container;
use executors::service::process;
use executors::service::process::Process;
use executors::service::rootfs::Limits;
use futures::TryStreamExt as _;
use kernel::Code;
use kernel::Context;
use kernel::DeploymentId;
use kernel::Error;
use kernel::Result;
use oci::ImageConfig;
use oci::Manifest;
use oci::Platform;
use store::environment::EnvironmentRow;
use store::release::ReleaseRow;
use tokio_util::io::StreamReader;
use tokio_util::io::SyncIoBridge;
use web_kit::App;

use crate::deployment::model::SealedSecrets;
use crate::environment::model::Config;
use crate::environment::model::Target;

/// The user of an environment's processes outside their space is this and its port: ports are unique on a machine.
const UID_BASE: u32 = 300_000;
/// Where an application listens when neither the environment nor the image says.
const DEFAULT_PORT: u16 = 8080;

/// An instance of a release, running or not.
#[derive(Clone, Debug)]
pub(super) enum Unit {
    Process(Process),
    Docker(Container),
}

impl Unit {
    /// The instance of a deployment. Everything of it is found by this name.
    pub(super) async fn of(app: &App, environment: &EnvironmentRow, deployment: DeploymentId, target: Target) -> Result<Self> {
        match target {
            Target::Process => {
                let base = base(app)?;
                Ok(Self::Process(Process::new(&base, &deployment.to_string(), UID_BASE + u32::from(environment.port))))
            }
            Target::Docker => {
                let engine = super::docker(app).await.ok_or_else(|| Error::new(Code::ToolMissing, "no Docker engine answers"))?;
                Ok(Self::Docker(engine.container(&format!("devmentor-{deployment}"))))
            }
        }
    }

    pub(super) fn service(&self) -> Arc<dyn Service> {
        match self {
            Unit::Process(process) => Arc::new(process.clone()),
            Unit::Docker(container) => Arc::new(container.clone()),
        }
    }
}

/// Where processes' files lie.
fn base(app: &App) -> Result<PathBuf> {
    process::reachable(&app.config().data_dir.join("apps")).map_err(Error::internal)
}

/// What is needed to start an instance.
pub(super) struct Launch<'a> {
    pub(super) app: &'a App,
    pub(super) environment: &'a EnvironmentRow,
    pub(super) release: &'a ReleaseRow,
    pub(super) unit: &'a Unit,
}

/// The image of a release for this machine.
struct Image {
    manifest: Manifest,
    config: ImageConfig,
}

fn unprocessable(message: impl Into<String>) -> Error {
    Error::new(Code::Unprocessable, message)
}

impl Launch<'_> {
    /// Gets the image to where it will run.
    pub(super) async fn prepare(&self) -> Result<String> {
        match self.unit {
            Unit::Process(process) => {
                process::available().await.map_err(|why| Error::new(Code::ToolMissing, why))?;
                let image = self.image().await?;
                self.unpack(process, &image).await?;
                let n = image.manifest.layers.len();
                Ok(format!("{n} layer{} unpacked", if n == 1 { "" } else { "s" }))
            }
            Unit::Docker(_) => {
                let engine = super::docker(self.app).await.ok_or_else(|| Error::new(Code::ToolMissing, "no Docker engine answers"))?;
                let (repository, local) = (repository(self.release), local_repository(self.app, self.release));
                let scope = format!("repository:{repository}:pull");
                let token = web_kit::bearer::seal(self.app.key(), &Context::system(), vec![scope])?;
                engine
                    .pull(&local, &self.release.digest, &token)
                    .await
                    .map_err(|e| unprocessable(format!("the Docker engine cannot pull {local}@{}: {e}", self.release.digest)))?;
                Ok(format!("{} pulled", self.release.digest))
            }
        }
    }

    /// Starts it.
    pub(super) async fn start(&self) -> Result<String> {
        let image = self.image().await?;
        let env = self.variables()?;
        match self.unit {
            Unit::Process(process) => {
                let mut all: BTreeMap<String, String> =
                    image.config.env.iter().filter_map(|pair| pair.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
                all.extend(env);
                let command = image.config.command();
                if command.is_empty() {
                    return Err(unprocessable("the image has neither an entry point nor a command"));
                }
                let application = Application { command, env: all, cwd: image.config.working_dir, user: image.config.user };
                let config = self.app.config();
                let others = config.deploy_port_from..=config.deploy_port_to;
                let started = process.start(&application, &others).await;
                let port = started.map_err(|e| unprocessable(format!("the application cannot be started: {e}")))?;
                Ok(format!("listens on port {port}, as PORT tells it"))
            }
            Unit::Docker(container) => {
                let port = self.environment.container_port.or(image.config.ports.first().copied()).unwrap_or(DEFAULT_PORT);
                let labels = HashMap::from([
                    ("devmentor.environment".to_owned(), self.environment.id.to_string()),
                    ("devmentor.release".to_owned(), self.release.id.to_string()),
                ]);
                let reference = format!("{}@{}", local_repository(self.app, self.release), self.release.digest);
                let application = Application { env, ..Application::default() };
                container
                    .start(&reference, &application, port, labels)
                    .await
                    .map_err(|e| unprocessable(format!("the container cannot be started: {e}")))?;
                Ok(format!("listens on port {port} of its container, as PORT tells it"))
            }
        }
    }

    /// Configuration and secrets of the release.
    fn variables(&self) -> Result<BTreeMap<String, String>> {
        let mut out: Config = serde_json::from_value(self.release.config.clone()).map_err(Error::internal)?;
        let secrets: SealedSecrets = serde_json::from_value(self.release.secrets.clone()).map_err(Error::internal)?;
        for (name, secret) in secrets {
            let sealed = STANDARD.decode(&secret.sealed).map_err(Error::internal)?;
            let scope = secret.scope.unwrap_or_else(|| self.release.project.to_string());
            let value = web_kit::vault::unseal(self.app.key(), scope, &name, &sealed)?;
            out.insert(name, value);
        }
        Ok(out)
    }

    /// The manifest for this machine and its configuration.
    async fn image(&self) -> Result<Image> {
        let project = self.release.project;
        let repository = repository(self.release);
        let path = store::project::project_get(self.app.db(), project).await?.map(|p| p.path).unwrap_or_default();
        let name = crate::image::image_of(&path, repository);
        let load = async |digest: &str| -> Result<Manifest> {
            let mut found = store::registry::manifest_by_digest(self.app.db(), project, name, digest).await?;
            if found.is_none()
                && let Some(image) = store::registry::image_of_digest(self.app.db(), project, digest).await?
            {
                // the project has moved since
                found = store::registry::manifest_by_digest(self.app.db(), project, &image, digest).await?;
            }
            let found = found.ok_or_else(|| unprocessable(format!("the image {digest} was deleted from the registry")))?;
            Manifest::parse(&found.media_type, &found.content).map_err(Error::internal)
        };
        let mut manifest = load(&self.release.digest).await?;
        if manifest.kind.is_index() {
            let here = Platform::here();
            let entry = manifest.for_platform(&here).cloned();
            let entry = entry.ok_or_else(|| unprocessable(format!("the image has nothing for {}/{}", here.os, here.architecture)))?;
            manifest = load(&entry.digest.to_string()).await?;
        }
        let config = manifest.config.as_ref().ok_or_else(|| unprocessable("the manifest has no configuration"))?;
        let digest = config.digest.to_string().parse().map_err(Error::from)?;
        let bytes = self.app.part::<Blobs>()?.read(&project.into(), &digest, 8 << 20).await?;
        let bytes = bytes.ok_or_else(|| unprocessable("the image's configuration is missing from the registry"))?;
        let config = ImageConfig::parse(&bytes).map_err(|e| unprocessable(e.message.into_owned()))?;
        Ok(Image { manifest, config })
    }

    async fn unpack(&self, process: &Process, image: &Image) -> Result<()> {
        let here = Platform::here();
        let platform = &image.config.platform;
        // old builders leave the fields empty
        if !platform.architecture.is_empty() && !here.runs(platform) {
            return Err(unprocessable(format!("the image is for {}/{}", platform.os, platform.architecture)));
        }
        let target = process.clone();
        let mut rootfs = blocking(move || target.prepare(Limits::default())).await?;
        for layer in &image.manifest.layers {
            let digest = layer.digest.to_string().parse().map_err(Error::from)?;
            let reader = self.app.part::<Blobs>()?.get(&self.release.project.into(), &digest, Want::All).await?;
            let reader = reader.ok_or_else(|| unprocessable(format!("the layer {digest} is missing from the registry")))?;
            let stream = SyncIoBridge::new(StreamReader::new(reader.body.map_err(std::io::Error::other)));
            rootfs = blocking(move || rootfs.unpack(stream).map(|()| rootfs)).await.map_err(|e| {
                unprocessable(format!(
                    "the layer {digest} cannot be unpacked: {}",
                    e.source.as_ref().map_or_else(String::new, ToString::to_string)
                ))
            })?;
        }
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?.map_err(Error::internal)
}
