//! One step: its condition, its program or action, what it wrote, how it ended.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use dialects::plan::{RunDefaults, Step, StepKind};
use indexmap::IndexMap;
use tokio::sync::watch;
use tokio::time::Instant;

use super::contexts::{Contexts, StepRecord};
use super::control::Cause;
use super::custom::Custom;
use super::{CommandFiles, Post, PostWork, Run, StepOutput, Where, action_name, filecmd, jenkins, shell};
use crate::actions::{self, ActionEnd, ActionError, Call};
use crate::host::{HostError, HostResult};
use crate::protocol::{Conclusion, ReportKind};
use crate::sandbox::{Exec, JobDirs, Place};
use crate::spawn::Stop;

/// Most bytes of a step's summary.
const SUMMARY_MAX: u64 = 1 << 20;
/// Most bytes of the other files a step may write to.
const FILE_MAX: u64 = 10 << 20;

/// How the work of a step went.
pub(super) struct Done {
    pub(super) outcome: Conclusion,
    pub(super) exit_code: Option<i32>,
    pub(super) end: ActionEnd,
}

/// A program that has ended, and what is needed to make sense of it.
pub(super) struct Ran<'a> {
    pub(super) index: usize,
    pub(super) own: &'a IndexMap<String, String>,
    pub(super) files: &'a CommandFiles,
    pub(super) cause: Cause,
    pub(super) timeout: Option<Duration>,
    pub(super) oom: bool,
}

impl Run<'_> {
    pub(super) async fn planned_step(&mut self, index: usize, step: &Step, places: &Where, contexts: &mut Contexts) -> HostResult<()> {
        let id = step.id.clone().unwrap_or_else(|| format!("__step_{index}"));
        contexts.set_action(&id);
        self.control.look();
        contexts.set_status(self.current_status());
        // conditions see the step's own environment too
        let inner = contexts.with_step_env(&step.env);
        let decided = match &inner {
            Ok((inner, _)) => inner.condition(step.condition.as_deref(), self.current_status()),
            Err(error) => Err(error.clone()),
        };
        let wanted = match &decided {
            Ok(wanted) => *wanted && !self.control.killed,
            Err(_) => true,
        };
        if !wanted {
            self.end(index, Conclusion::Skipped, Conclusion::Skipped, None).await?;
            contexts.record(&StepRecord {
                id: &id,
                outputs: &IndexMap::new(),
                outcome: Conclusion::Skipped,
                conclusion: Conclusion::Skipped,
            });
            return Ok(());
        }
        if let (Some(name), Ok((inner, _))) = (&step.name, &inner)
            && let Ok(name) = inner.text(name)
        {
            self.rows[index].name = self.log.masked(&name).await;
        }
        self.begin(index).await?;
        let meter = self.meter(places).await;
        let mut out = self.output(index);
        let done = match (decided, inner) {
            (Err(error), _) | (_, Err(error)) => {
                out.error(&format!("{}: the template is not valid. {error}", step.span)).await?;
                Done { outcome: Conclusion::Failure, exit_code: None, end: ActionEnd::default() }
            }
            (Ok(_), Ok((inner, own))) => {
                let keeps = inner.condition(step.condition.as_deref(), Conclusion::Cancelled).unwrap_or(false);
                let prepared = Prepared { index, step, inner: &inner, own: &own, keeps, limit: None };
                self.work(prepared, places, contexts, &mut out).await?
            }
        };
        out.finish().await?;
        let tolerated = done.outcome == Conclusion::Failure && contexts.flag(&step.continue_on_error).unwrap_or(false);
        let conclusion = if tolerated { Conclusion::Success } else { done.outcome };
        // a pipeline of Jenkins that was refused or overtaken ends its job so
        let whole = matches!(step.kind, StepKind::Jenkins { .. }) && matches!(conclusion, Conclusion::Cancelled | Conclusion::Skipped);
        if conclusion == Conclusion::Failure || whole {
            self.status = conclusion;
        }
        contexts.record(&StepRecord { id: &id, outputs: &done.end.outputs, outcome: done.outcome, conclusion });
        self.rows[index].usage = meter.stop().await;
        self.end(index, done.outcome, conclusion, done.exit_code).await
    }

    /// Runs the program or action of a step, and reads what it left.
    pub(super) async fn work(
        &mut self,
        prepared: Prepared<'_>,
        places: &Where,
        contexts: &mut Contexts,
        out: &mut StepOutput,
    ) -> HostResult<Done> {
        let (place, helper) = (places.place(), places.host());
        let Prepared { index, step, inner, own, keeps, limit } = prepared;
        let failed = Done { outcome: Conclusion::Failure, exit_code: None, end: ActionEnd::default() };
        let timeout = match step.timeout_minutes.as_ref().map(|late| inner.number(late)).transpose() {
            Ok(minutes) => minutes.filter(|m| *m > 0.0).map(|m| Duration::from_secs_f64((m * 60.0).min(1e9))),
            Err(error) => {
                out.error(&format!("{}: timeout-minutes: {error}", step.span)).await?;
                return Ok(failed);
            }
        };
        let limit = timeout.map(|t| (Instant::now() + t, t)).into_iter().chain(limit).min();
        if let StepKind::Custom { uses, with, action } = &step.kind {
            let custom = Custom { uses, with, action: action.as_deref(), index, step, keeps, own, limit };
            return Box::pin(self.custom(custom, inner, places, contexts, out)).await;
        }
        let (deadline, timeout) = limit.unzip();
        let files = command_files(place.dirs(), index)?;
        let mut env = inner.process_env(place.base_env(), own);
        files.announce(&mut env);
        env.insert("DEVMENTOR_REPORTS".into(), place.dirs().reports().to_string_lossy().into_owned());
        self.announce_identity(&mut env);

        let (tell, stop) = watch::channel(Stop::No);
        let oom_before = place.oom_kills();
        let (result, cause) = match &step.kind {
            StepKind::Run { script, shell, working_directory } => {
                // an action knows nothing of the defaults of those who use it
                let none = RunDefaults::default();
                let (job, workflow) = if self.nested > 0 { (&none, &none) } else { (&self.spec.job.defaults, &self.spec.defaults) };
                let shell = shell.as_ref().or(job.shell.as_ref()).or(workflow.shell.as_ref());
                let directory = working_directory.as_ref().or(job.working_directory.as_ref()).or(workflow.working_directory.as_ref());
                let launch = Launch { index, script, shell, directory, env, own };
                let work = run_script(launch, inner, place, out, stop);
                self.control.watch(keeps, deadline, &tell, work).await
            }
            // it has gone its own way above
            StepKind::Custom { .. } => return Ok(failed),
            StepKind::Jenkins { file, text, libraries } => {
                let env = inner.process_env(place.base_env(), own);
                let driver = jenkins::Driver {
                    spec: self.spec,
                    place,
                    helper,
                    helper_env: inner.process_env(helper.base_env(), own),
                    host: &self.host,
                    log: &self.log,
                    rows: &mut self.rows,
                    row: index,
                    debug: self.debug,
                    matchers: &self.matchers,
                    docker: self.docker.as_ref(),
                    signals: self.control.signals(),
                    kill: stop,
                    unstable: &mut self.unstable,
                };
                let work = async { driver.run(file, text, libraries, env, out).await.map_err(ActionError::Host) };
                // what comes after a cancel (`post`) still runs; the driver stops the steps
                match self.control.watch(true, deadline, &tell, work).await {
                    (Some(Ok(outcome)), cause) => {
                        let done = Done { outcome, exit_code: None, end: ActionEnd::default() };
                        return if cause == Cause::Killed { Ok(failed) } else { Ok(done) };
                    }
                    (Some(Err(error)), cause) => (Some(Err(error)), cause),
                    (None, cause) => (None, cause),
                }
            }
            StepKind::Uses { action, version, with } => {
                let with: Result<IndexMap<String, String>, dialects::expr::ExprError> =
                    with.iter().map(|(k, v)| Ok((k.to_ascii_lowercase(), inner.text(v)?))).collect();
                let with = match with {
                    Ok(with) => with,
                    Err(error) => {
                        out.error(&format!("{}: the template is not valid. {error}", step.span)).await?;
                        return Ok(failed);
                    }
                };
                let mut call = Call {
                    spec: self.spec,
                    place,
                    host: &*self.host,
                    log: &self.log,
                    out,
                    with,
                    env,
                    helper,
                    helper_env: inner.process_env(helper.base_env(), own),
                    stop,
                    docker: self.docker.as_ref(),
                    logins: &mut self.logins,
                    index,
                    version,
                };
                let name = action_name(*action, version);
                let work = async {
                    call.introduce(&name).await?;
                    actions::run(*action, &mut call).await.map(|end| (None, end))
                };
                self.control.watch(keeps, deadline, &tell, work).await
            }
        };
        let done = match result {
            Some(Ok((code, end))) => {
                let failed = code.is_some_and(|code| code != 0);
                Done { outcome: if failed { Conclusion::Failure } else { Conclusion::Success }, exit_code: code, end }
            }
            Some(Err(ActionError::Host(HostError::Stale))) => return Err(HostError::Stale),
            Some(Err(error)) => {
                if cause == Cause::None {
                    out.error(&error.to_string()).await?;
                }
                failed
            }
            None => failed,
        };
        let oom = place.oom_kills() > oom_before;
        self.conclude(done, Ran { index, own, files: &files, cause, timeout, oom }, places, contexts, out).await
    }

    /// Says why a program ended as it did, reads what it left, and keeps what it wants done at the end of the job.
    pub(super) async fn conclude(
        &mut self,
        mut done: Done,
        ran: Ran<'_>,
        places: &Where,
        contexts: &mut Contexts,
        out: &mut StepOutput,
    ) -> HostResult<Done> {
        let (place, helper) = (places.place(), places.host());
        self.say_why(&mut done, ran.cause, ran.timeout, ran.oom, out).await?;
        self.read_back(ran.files, place.dirs(), contexts, &mut done, out, ran.index).await?;
        if let Some(work) = done.end.post.take() {
            let name = format!("Post {}", self.rows[ran.index].name);
            let env = contexts.process_env(place.base_env(), ran.own);
            let helper_env = contexts.process_env(helper.base_env(), ran.own);
            self.posts.push(Post { of: ran.index, name, work: PostWork::BuiltIn { work, env, helper_env } });
        }
        Ok(done)
    }

    async fn say_why(
        &mut self,
        done: &mut Done,
        cause: Cause,
        timeout: Option<Duration>,
        oom: bool,
        out: &mut StepOutput,
    ) -> HostResult<()> {
        match cause {
            Cause::None => {}
            Cause::StepTimeout => {
                done.outcome = Conclusion::Failure;
                let minutes = timeout.unwrap_or_default().as_secs_f64() / 60.0;
                out.error(&format!("The step has timed out after {minutes} minutes.")).await?;
            }
            Cause::Cancelled | Cause::Killed => {
                done.outcome = Conclusion::Cancelled;
                out.error("The operation was canceled.").await?;
            }
        }
        if let Some(refused) = out.asked.refused.take() {
            done.outcome = Conclusion::Failure;
            out.error(&refused).await?;
        }
        if cause == Cause::None && done.exit_code.is_some_and(|code| code != 0) {
            if oom {
                out.error("A process was ended because the job's memory limit was reached.").await?;
            }
            out.error(&format!("Process completed with exit code {}.", done.exit_code.unwrap_or_default())).await?;
        }
        Ok(())
    }

    /// Reads the files of the file commands and what the output's commands asked for.
    async fn read_back(
        &mut self,
        files: &CommandFiles,
        dirs: &JobDirs,
        contexts: &mut Contexts,
        done: &mut Done,
        out: &mut StepOutput,
        index: usize,
    ) -> HostResult<()> {
        let mut problems = Vec::new();
        let mut read = |path: &Path, limit: u64| match dirs.read_back(path, limit) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => {
                problems.push(error.to_string());
                String::new()
            }
        };
        let env_text = read(&files.env, FILE_MAX);
        let output_text = read(&files.output, FILE_MAX);
        let path_text = read(&files.path, FILE_MAX);
        let state_text = read(&files.state, FILE_MAX);
        let summary = read(&files.summary, SUMMARY_MAX);
        let mut parse = |name: &str, text: &str| {
            filecmd::pairs(text).unwrap_or_else(|error| {
                problems.push(format!("Unable to process file command '{name}' successfully. {error}"));
                Vec::new()
            })
        };
        let mut env = parse("env", &env_text);
        let outputs = parse("output", &output_text);
        done.end.state.extend(std::mem::take(&mut out.asked.state));
        done.end.state.extend(parse("state", &state_text));
        if env.iter().any(|(name, _)| name.eq_ignore_ascii_case("NODE_OPTIONS")) {
            env.retain(|(name, _)| !name.eq_ignore_ascii_case("NODE_OPTIONS"));
            problems.push("Can't store NODE_OPTIONS output parameter using '$GITHUB_ENV' command.".into());
        }
        env.extend(std::mem::take(&mut done.end.env));
        contexts.extend_env(env);
        contexts.extend_path(filecmd::paths(&path_text).into_iter().chain(std::mem::take(&mut done.end.path)));
        let mut asked = std::mem::take(&mut out.asked.outputs);
        asked.extend(outputs);
        done.end.outputs.extend(asked);
        for problem in problems {
            done.outcome = Conclusion::Failure;
            out.error(&problem).await?;
        }
        if !summary.trim().is_empty() {
            let masked = self.log.masked(&summary).await;
            let name = self.rows[index].name.clone();
            if let Err(error) = self.host.report(ReportKind::Summary, &name, Bytes::from(masked)).await {
                stale(&error)?;
                out.warning(&format!("the summary could not be stored: {error}")).await?;
            }
        }
        for path in [&files.env, &files.output, &files.path, &files.state, &files.summary] {
            let _ = std::fs::remove_file(path);
        }
        Ok(())
    }

    /// Runs what an action left for the end of the job.
    pub(super) async fn post_step(&mut self, post: Post, places: &Where, contexts: &mut Contexts) -> HostResult<()> {
        let (of, name) = (post.of, post.name.clone());
        let index = self.add_row(post.name).await?;
        self.control.look();
        let (work, env, helper_env) = match post.work {
            PostWork::Program(program) => return self.post_program(index, (of, &name), *program, places, contexts).await,
            PostWork::BuiltIn { work, env, helper_env } => (work, env, helper_env),
        };
        if self.current_status() != Conclusion::Success || self.control.killed {
            self.post_skipped(of, &name, PostWork::BuiltIn { work, env, helper_env });
            return self.end(index, Conclusion::Skipped, Conclusion::Skipped, None).await;
        }
        self.begin(index).await?;
        let meter = self.meter(places).await;
        contexts.set_status(self.current_status());
        let mut out = self.output(index);
        let (tell, stop) = watch::channel(Stop::No);
        let mut call = Call {
            spec: self.spec,
            place: places.place(),
            host: &*self.host,
            log: &self.log,
            out: &mut out,
            with: IndexMap::new(),
            env,
            helper: places.host(),
            helper_env,
            stop,
            docker: self.docker.as_ref(),
            logins: &mut self.logins,
            index,
            version: "",
        };
        let (result, cause) = self.control.watch(false, None, &tell, actions::post(work, &mut call)).await;
        let outcome = match (result, cause) {
            (Some(Ok(())), _) => Conclusion::Success,
            (Some(Err(ActionError::Host(HostError::Stale))), _) => return Err(HostError::Stale),
            (Some(Err(error)), Cause::None) => {
                out.error(&error.to_string()).await?;
                self.status = Conclusion::Failure;
                Conclusion::Failure
            }
            _ => Conclusion::Cancelled,
        };
        out.finish().await?;
        self.rows[index].usage = meter.stop().await;
        self.end(index, outcome, outcome, None).await
    }
}

/// A step with its contexts.
pub(super) struct Prepared<'a> {
    pub(super) index: usize,
    pub(super) step: &'a Step,
    pub(super) inner: &'a Contexts,
    pub(super) own: &'a IndexMap<String, String>,
    pub(super) keeps: bool,
    pub(super) limit: Limit,
}

/// When something is stopped, and how long that was from its beginning.
pub(super) type Limit = Option<(Instant, Duration)>;

/// A `run` step.
struct Launch<'a> {
    index: usize,
    script: &'a str,
    shell: Option<&'a String>,
    directory: Option<&'a String>,
    env: BTreeMap<String, String>,
    own: &'a IndexMap<String, String>,
}

async fn run_script(
    launch: Launch<'_>,
    inner: &Contexts,
    place: &dyn Place,
    out: &mut StepOutput,
    stop: watch::Receiver<Stop>,
) -> Result<(Option<i32>, ActionEnd), ActionError> {
    let failed = |error: dialects::expr::ExprError| ActionError::Failed(format!("the template is not valid. {error}"));
    let text = inner.text(launch.script).map_err(failed)?;
    let shell = launch.shell.map(|s| inner.text(s)).transpose().map_err(failed)?;
    let directory = launch.directory.map(|d| inner.text(d)).transpose().map_err(failed)?;
    let script = shell::script(shell.as_deref(), &text).map_err(ActionError::Failed)?;
    let first = text.trim().lines().next().unwrap_or_default();
    out.line(&format!("##[group]Run {first}")).await?;
    for line in text.trim_end().lines() {
        out.line(line).await?;
    }
    out.line(&format!("shell: {}", script.shown)).await?;
    if !launch.own.is_empty() {
        out.line("env:").await?;
        for (name, value) in launch.own {
            out.line(&format!("  {name}: {value}")).await?;
        }
    }
    out.line("##[endgroup]").await?;
    let dirs = place.dirs();
    let file = dirs.engine_file(&format!("script-{}.{}", launch.index, script.extension), script.text.as_bytes(), 0o755)?;
    let file = file.to_string_lossy();
    let argv = script.argv.iter().map(|a| a.replace("{0}", &file)).collect();
    let cwd = directory.map_or_else(|| dirs.workspace.clone(), |d| dirs.workspace.join(d));
    let exit = place.exec(Exec { argv, env: launch.env, cwd, stdin: None }, out, stop, None).await?;
    Ok((Some(exit.code), ActionEnd::default()))
}

pub(super) fn command_files(dirs: &JobDirs, index: usize) -> std::io::Result<CommandFiles> {
    let make = |name: &str| -> std::io::Result<PathBuf> { dirs.job_file(&format!("{name}-{index}"), b"") };
    Ok(CommandFiles {
        env: make("set-env")?,
        output: make("set-output")?,
        path: make("add-path")?,
        state: make("save-state")?,
        summary: make("summary")?,
    })
}

impl CommandFiles {
    pub(super) fn announce(&self, env: &mut BTreeMap<String, String>) {
        for (name, path) in [
            ("GITHUB_ENV", &self.env),
            ("GITHUB_OUTPUT", &self.output),
            ("GITHUB_PATH", &self.path),
            ("GITHUB_STATE", &self.state),
            ("GITHUB_STEP_SUMMARY", &self.summary),
        ] {
            env.insert(name.into(), path.to_string_lossy().into_owned());
        }
    }
}

/// Only a lost lease ends the job; everything else about `error` is the caller's to say.
fn stale(error: &HostError) -> HostResult<()> {
    if matches!(error, HostError::Stale) { Err(HostError::Stale) } else { Ok(()) }
}
