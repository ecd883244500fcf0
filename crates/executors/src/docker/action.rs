//! Actions that run in a container of their own.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptions, KillContainerOptions, RemoveContainerOptionsBuilder, StartContainerOptions,
    WaitContainerOptions,
};
use futures::StreamExt as _;
use tokio::sync::watch;

use super::containers::pull;
use super::{EngineBuild, JOB_LABEL, Metered, RUNNER_LABEL, StartError, Trouble, build};
use crate::actions::Logins;
use crate::engine::StepOutput;
use crate::sandbox::JobDirs;
use crate::spawn::{Output as _, Stop, reached};
use crate::usage::{Memory, Reading, Tally};

/// Largest Dockerfile of an action.
const DOCKERFILE_MAX: u64 = 1 << 20;

/// How often it is looked at what the container uses.
const LOOK: Duration = Duration::from_millis(300);

/// What is needed to run an action's container.
pub(crate) struct ActionOrder<'a> {
    pub(crate) docker: Docker,
    pub(crate) job_id: String,
    pub(crate) tag: String,
    pub(crate) dirs: JobDirs,
    pub(crate) logins: &'a Logins,
    /// The network of the job's services.
    pub(crate) network: Option<String>,
    /// `docker://image`, or the path of a Dockerfile below `directory`.
    pub(crate) image: &'a str,
    pub(crate) directory: &'a Path,
    pub(crate) entrypoint: Option<&'a str>,
    pub(crate) args: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
    /// Where it is written down what the container used.
    pub(crate) tally: &'a Tally,
}

/// Runs the container to its end; the exit code.
pub(crate) async fn run_action(order: ActionOrder<'_>, out: &mut StepOutput, mut stop: watch::Receiver<Stop>) -> Result<i32, StartError> {
    let docker = order.docker.clone();
    let image = match order.image.strip_prefix("docker://") {
        Some(image) => {
            pull(&docker, image, order.logins.for_image(image), out).await?;
            image.to_owned()
        }
        None => build_image(&order, out).await?,
    };
    let root = order.dirs.root.to_string_lossy().into_owned();
    let labels = HashMap::from([(RUNNER_LABEL.to_owned(), order.tag.clone()), (JOB_LABEL.to_owned(), order.job_id.clone())]);
    let body = ContainerCreateBody {
        image: Some(image),
        entrypoint: order.entrypoint.map(|e| vec![e.to_owned()]),
        cmd: (!order.args.is_empty()).then(|| order.args.clone()),
        env: Some(order.env.iter().map(|(k, v)| format!("{k}={v}")).collect()),
        working_dir: Some(order.dirs.workspace.to_string_lossy().into_owned()),
        // files it makes must belong to the job's user
        user: order.dirs.uid.map(|uid| format!("{uid}:{uid}")),
        labels: Some(labels),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        host_config: Some(HostConfig {
            binds: Some(vec![format!("{root}:{root}")]),
            network_mode: order.network.clone(),
            security_opt: Some(vec!["no-new-privileges".into()]),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let id = docker.create_container(None::<CreateContainerOptions>, body).await?.id;
    let last = Mutex::new(Reading::default());
    let ran = tokio::select! {
        ran = follow(&docker, &id, out, &mut stop) => ran,
        never = watch_usage(Metered { docker: docker.clone(), id: id.clone() }, &last) => match never {},
    };
    order.tally.add(last.into_inner().unwrap_or_else(PoisonError::into_inner));
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    if let Err(error) = docker.remove_container(&id, Some(options)).await {
        tracing::warn!(id, %error, "a container stays");
    }
    ran
}

/// Looks at the container again and again, for nothing can be asked of it when it has ended.
async fn watch_usage(container: Metered, last: &Mutex<Reading>) -> std::convert::Infallible {
    loop {
        tokio::time::sleep(LOOK).await;
        let mut now = container.read().await;
        if now == Reading::default() {
            continue;
        }
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        let own = |m: Memory| m.whole.saturating_sub(m.cache);
        let most = now.memory.map(own).max(last.memory.map(own));
        now.memory = most.map(|whole| Memory { whole, cache: 0, peak: None });
        *last = now;
    }
}

async fn follow(docker: &Docker, id: &str, out: &mut StepOutput, stop: &mut watch::Receiver<Stop>) -> Result<i32, StartError> {
    let options = AttachContainerOptionsBuilder::new().stdout(true).stderr(true).stream(true).build();
    let mut attached = docker.attach_container(id, Some(options)).await?;
    docker.start_container(id, None::<StartContainerOptions>).await?;
    loop {
        tokio::select! {
            piece = attached.output.next() => match piece {
                Some(piece) => out.chunk(piece?.as_ref()).await?,
                None => break,
            },
            () = reached(stop, Stop::Cancel) => {
                docker.kill_container(id, None::<KillContainerOptions>).await?;
                break;
            }
        }
    }
    let mut ends = docker.wait_container(id, None::<WaitContainerOptions>);
    match ends.next().await {
        Some(Ok(end)) => Ok(i32::try_from(end.status_code).unwrap_or(-1)),
        // the client makes an error of every exit code that is not 0
        Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => Ok(i32::try_from(code).unwrap_or(-1)),
        Some(Err(error)) => Err(error.into()),
        None => Ok(-1),
    }
}

async fn build_image(order: &ActionOrder<'_>, out: &mut StepOutput) -> Result<String, StartError> {
    let wrong = |why: String| StartError::Trouble(Trouble::Job(why));
    let relative = Path::new(order.image);
    let text = crate::sandbox::read_beneath(order.directory, relative, DOCKERFILE_MAX, true)
        .map_err(|e| wrong(format!("the Dockerfile `{}` of the action cannot be read: {e}", order.image)))?;
    let context = order.directory.join(relative.parent().unwrap_or(Path::new("")));
    let what = EngineBuild {
        root: order.directory.to_owned(),
        context,
        dockerfile: String::from_utf8_lossy(&text).into_owned(),
        ignore: crate::image::Ignore::default(),
        tags: Vec::new(),
        args: BTreeMap::new(),
        labels: BTreeMap::from([(RUNNER_LABEL.to_owned(), order.tag.clone())]),
        target: String::new(),
        no_cache: false,
        pull: false,
    };
    build(&order.docker, what, order.logins, out).await?.map_err(wrong)
}
