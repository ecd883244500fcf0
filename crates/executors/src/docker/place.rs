//! Steps that run in the job's container.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bollard::Docker;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use futures::StreamExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::host::HostError;
use crate::sandbox::{Exec, JobDirs, Place};
use crate::spawn::{Exit, INT_GRACE, Output, Stop, TERM_GRACE, reached};
use crate::usage::Source;

use super::Metered;

/// Tells its process id, then becomes the program with one stream for both outputs.
const INSIDE: &str = r#"echo $$ > "$1"; shift; exec "$@" 2>&1"#;

/// A running container as a place for programs.
pub(super) struct ContainerPlace {
    pub(super) docker: Docker,
    pub(super) id: String,
    pub(super) dirs: JobDirs,
    /// Environment of the container itself.
    pub(super) env: BTreeMap<String, String>,
    pub(super) serial: AtomicU64,
}

fn engine(error: bollard::errors::Error) -> HostError {
    HostError::Unavailable(format!("Docker: {error}"))
}

impl ContainerPlace {
    async fn start(
        &self,
        argv: Vec<String>,
        env: &BTreeMap<String, String>,
        cwd: &str,
        stdin: bool,
    ) -> Result<(String, StartExecResults), HostError> {
        let config = ExecConfig {
            attach_stdin: Some(stdin),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(argv),
            env: Some(env.iter().map(|(k, v)| format!("{k}={v}")).collect()),
            working_dir: Some(cwd.to_owned()),
            ..ExecConfig::default()
        };
        let id = self.docker.create_exec(&self.id, config).await.map_err(engine)?.id;
        let options = StartExecOptions { detach: false, tty: false, output_capacity: Some(64 * 1024) };
        let started = self.docker.start_exec(&id, Some(options)).await.map_err(engine)?;
        Ok((id, started))
    }

    /// Sends a signal to the group of a program, by its recorded process id inside the container.
    async fn signal(&self, pid_file: &str, signal: &str) {
        let script = format!("pid=$(cat '{pid_file}') && {{ kill -{signal} -- -$pid 2>/dev/null || kill -{signal} $pid; }}");
        let argv = ["/bin/sh", "-c", &script].map(String::from).to_vec();
        if let Ok((_, StartExecResults::Attached { mut output, .. })) = self.start(argv, &BTreeMap::new(), "/", false).await {
            while output.next().await.is_some() {}
        }
    }

    async fn stop(&self, pid_file: &str, stop: &mut watch::Receiver<Stop>) {
        if *stop.borrow() < Stop::Kill {
            for (signal, grace) in [("INT", INT_GRACE), ("TERM", TERM_GRACE)] {
                self.signal(pid_file, signal).await;
                tokio::select! {
                    () = tokio::time::sleep(grace) => {}
                    () = reached(stop, Stop::Kill) => break,
                }
            }
        }
        self.signal(pid_file, "KILL").await;
        // whatever still holds the stream is cut off by the caller
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

#[async_trait::async_trait]
impl Place for ContainerPlace {
    async fn exec(
        &self,
        exec: Exec,
        output: &mut dyn Output,
        mut stop: watch::Receiver<Stop>,
        deadline: Option<Instant>,
    ) -> Result<Exit, HostError> {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let pid_file = self.dirs.temp.join(format!(".pid-{serial}")).to_string_lossy().into_owned();
        let mut argv = ["/bin/sh", "-c", INSIDE, "sh", &pid_file].map(String::from).to_vec();
        argv.extend(exec.argv);
        let cwd = exec.cwd.to_string_lossy().into_owned();
        let (id, started) = self.start(argv, &exec.env, &cwd, exec.stdin.is_some()).await?;
        let StartExecResults::Attached { output: mut stream, input } = started else {
            return Err(HostError::Unavailable("Docker did not attach to the program".into()));
        };
        let feed = async {
            let mut input = input;
            if let Some(mut stdin) = exec.stdin {
                while let Some(chunk) = stdin.next().await {
                    input.write_all(&chunk?).await?;
                }
                input.shutdown().await?;
            }
            Ok::<(), std::io::Error>(())
        };
        let read = async {
            while let Some(piece) = stream.next().await {
                output.chunk(piece.map_err(engine)?.as_ref()).await?;
            }
            Ok::<(), HostError>(())
        };
        let mut stopper = stop.clone();
        let asked = stop.clone();
        let ends = async {
            let at = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! { () = at => {}, () = reached(&mut stop, Stop::Cancel) => {} }
            self.stop(&pid_file, &mut stopper).await;
        };
        tokio::pin!(feed, read, ends);
        let mut fed = false;
        let mut stopped = false;
        loop {
            tokio::select! {
                biased;
                done = &mut read => { done?; break }
                done = &mut feed, if !fed => { done?; fed = true }
                () = &mut ends => { stopped = true; break }
            }
        }
        stopped |= *asked.borrow() > Stop::No || deadline.is_some_and(|d| Instant::now() >= d);
        let state = self.docker.inspect_exec(&id).await.map_err(engine)?;
        let code = state.exit_code.and_then(|c| i32::try_from(c).ok()).unwrap_or(if stopped { 137 } else { -1 });
        Ok(Exit { code, stopped })
    }

    fn meters(&self) -> Vec<Source> {
        vec![Source::Container(Metered { docker: self.docker.clone(), id: self.id.clone() })]
    }

    fn dirs(&self) -> &JobDirs {
        &self.dirs
    }

    fn base_env(&self) -> BTreeMap<String, String> {
        self.env.clone()
    }
}
