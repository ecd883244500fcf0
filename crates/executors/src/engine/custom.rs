//! Actions of repositories: composite ones step by step in the row of the step that uses them, JavaScript ones with the
//! Node of the place, with what they keep for the end of the job.
//!
//! Files of an action of this repository are taken from the workspace, those of another are fetched at the commit that
//! was found when the run was planned.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dialects::plan::{ActionHook, ActionPlace, ActionRuns, CustomAction, Map, Step, StepKind};
use indexmap::IndexMap;
use tokio::sync::watch;

use super::contexts::{Contexts, StepRecord};
use super::control::Cause;
use super::step::{Done, Limit, Prepared, Ran, command_files};
use super::{Post, PostWork, Run, StepOutput, Where};
use crate::actions::{self, ActionEnd, ActionError, Call};
use crate::docker;
use crate::host::{HostError, HostResult};
use crate::protocol::Conclusion;
use crate::sandbox::{Exec, Place as _};
use crate::spawn::Stop;

/// A step that uses an action of a repository.
pub(super) struct Custom<'a> {
    pub(super) uses: &'a str,
    pub(super) with: &'a Map,
    pub(super) action: Option<&'a CustomAction>,
    pub(super) index: usize,
    pub(super) step: &'a Step,
    pub(super) keeps: bool,
    pub(super) own: &'a IndexMap<String, String>,
    pub(super) limit: Limit,
}

/// A program of an action that runs at the end of the job.
pub(super) struct PostProgram {
    pub(super) file: PathBuf,
    pub(super) condition: Option<String>,
    pub(super) env: BTreeMap<String, String>,
}

/// Does any of the steps, or of the steps of their actions, run in a container of its own?
pub(super) fn any_docker(steps: &[Step]) -> bool {
    steps.iter().any(|step| match &step.kind {
        StepKind::Custom { action: Some(action), .. } => match &action.runs {
            ActionRuns::Docker { .. } => true,
            ActionRuns::Composite { steps } => any_docker(steps),
            ActionRuns::Node { .. } => false,
        },
        _ => false,
    })
}

fn failed() -> Done {
    Done { outcome: Conclusion::Failure, exit_code: None, end: ActionEnd::default() }
}

impl Run<'_> {
    /// Runs an action of a repository.
    pub(super) async fn custom(
        &mut self,
        custom: Custom<'_>,
        inner: &Contexts,
        places: &Where,
        contexts: &mut Contexts,
        out: &mut StepOutput,
    ) -> HostResult<Done> {
        let Some(action) = custom.action else {
            out.error(&format!("{}: `{}` was not found when the run was planned", custom.step.span, custom.uses)).await?;
            return Ok(failed());
        };
        let inputs = match inputs(action, custom.with, inner) {
            Ok(inputs) => inputs,
            Err(error) => {
                out.error(&format!("{}: the template is not valid. {error}", custom.step.span)).await?;
                return Ok(failed());
            }
        };
        out.line(&format!("##[group]Run {}", custom.uses)).await?;
        if !inputs.is_empty() {
            out.line("with:").await?;
        }
        for (name, value) in &inputs {
            out.line(&format!("  {name}: {}", value.trim_end().replace('\n', "\n    "))).await?;
        }
        out.line("##[endgroup]").await?;
        let directory = match self.directory(action, places, inner, out, custom.index).await? {
            Ok(directory) => directory,
            Err(why) => {
                out.error(&why).await?;
                return Ok(failed());
            }
        };
        match &action.runs {
            ActionRuns::Composite { steps } => {
                let mut scope = inner.of_action(&inputs);
                scope.set_action_path(&directory);
                self.nested += 1;
                let done = self.composite(&custom, action, steps, scope, places, contexts, out).await;
                self.nested -= 1;
                done
            }
            ActionRuns::Node { main, pre, post } => {
                let hooks = (pre.as_ref(), post.as_ref());
                self.node(&custom, &directory, main, hooks, &inputs, (inner, contexts), places, out).await
            }
            ActionRuns::Docker { .. } => self.container(&custom, action, &directory, &inputs, (inner, contexts), places, out).await,
        }
    }

    /// Where the files of an action are, fetched if need be. The inner error is for the author.
    async fn directory(
        &mut self,
        action: &CustomAction,
        places: &Where,
        inner: &Contexts,
        out: &mut StepOutput,
        index: usize,
    ) -> HostResult<Result<PathBuf, String>> {
        let dirs = places.place().dirs();
        let (repository, commit, path) = match &action.place {
            ActionPlace::Workspace { path } => {
                let directory = dirs.workspace.join(path);
                if !directory.is_dir() {
                    return Ok(Err(format!(
                        "Can't find `{}`: an action of this repository is taken from the workspace; did a step check it out?",
                        directory.display()
                    )));
                }
                return Ok(Ok(directory));
            }
            ActionPlace::Image => return Ok(Ok(dirs.workspace.clone())),
            ActionPlace::Repository { repository, commit, path, .. } => (repository, commit, path),
        };
        let key = format!("{repository}@{commit}");
        if let Some(found) = self.fetched.get(&key) {
            return Ok(Ok(found.join(path)));
        }
        let target = dirs.temp.join("_actions").join(format!("{}-{}", self.fetched.len(), commit.get(..12).unwrap_or(commit)));
        let url = format!("{}/{repository}.git", inner.server());
        let (_tell, stop) = watch::channel(Stop::No);
        let none = IndexMap::new();
        let mut call = Call {
            spec: self.spec,
            place: places.place(),
            host: &*self.host,
            log: &self.log,
            out,
            with: IndexMap::new(),
            env: BTreeMap::new(),
            helper: places.host(),
            helper_env: inner.process_env(places.host().base_env(), &none),
            stop,
            docker: None,
            logins: &mut self.logins,
            index,
            version: "",
        };
        match actions::fetch(&mut call, &url, commit, &target).await {
            Ok(()) => {}
            Err(ActionError::Host(HostError::Stale)) => return Err(HostError::Stale),
            Err(error) => return Ok(Err(format!("the action {key} cannot be fetched: {error}"))),
        }
        let found = target.join(path);
        self.fetched.insert(key, target);
        Ok(Ok(found))
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a step and its surroundings")]
    async fn composite(
        &mut self,
        custom: &Custom<'_>,
        action: &CustomAction,
        steps: &[Step],
        mut scope: Contexts,
        places: &Where,
        contexts: &mut Contexts,
        out: &mut StepOutput,
    ) -> HostResult<Done> {
        let mut status = Conclusion::Success;
        let mut exit_code = None;
        for (position, step) in steps.iter().enumerate() {
            self.control.look();
            let now = if self.control.cancelled { Conclusion::Cancelled } else { status };
            let id = step.id.clone().unwrap_or_else(|| format!("__step_{position}"));
            let prepared = scope.with_step_env(&step.env);
            let wanted = prepared.as_ref().map_err(Clone::clone).and_then(|(inner, _)| inner.condition(step.condition.as_deref(), now));
            let done = match (wanted, prepared) {
                (Err(error), _) | (_, Err(error)) => {
                    out.error(&format!("{}: the template is not valid. {error}", step.span)).await?;
                    failed()
                }
                (Ok(wanted), _) if !wanted || self.control.killed => {
                    let (outcome, conclusion) = (Conclusion::Skipped, Conclusion::Skipped);
                    scope.record(&StepRecord { id: &id, outputs: &IndexMap::new(), outcome, conclusion });
                    continue;
                }
                (Ok(_), Ok((inner, own))) => {
                    let keeps = custom.keeps || inner.condition(step.condition.as_deref(), Conclusion::Cancelled).unwrap_or(false);
                    let prepared = Prepared { index: custom.index, step, inner: &inner, own: &own, keeps, limit: custom.limit };
                    self.work(prepared, places, &mut scope, out).await?
                }
            };
            let tolerated = done.outcome == Conclusion::Failure && scope.flag(&step.continue_on_error).unwrap_or(false);
            let conclusion = if tolerated { Conclusion::Success } else { done.outcome };
            if conclusion != Conclusion::Success {
                status = conclusion;
                exit_code = exit_code.or(done.exit_code);
            }
            scope.record(&StepRecord { id: &id, outputs: &done.end.outputs, outcome: done.outcome, conclusion });
        }
        let mut end = ActionEnd::default();
        for (name, text) in &action.outputs {
            match scope.text(text) {
                Ok(value) => {
                    end.outputs.insert(name.clone(), value);
                }
                Err(error) => {
                    out.error(&format!("the output '{name}' of {} cannot be evaluated: {error}", custom.uses)).await?;
                    status = Conclusion::Failure;
                }
            }
        }
        contexts.take_back(scope);
        Ok(Done { outcome: status, exit_code, end })
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a step and its surroundings")]
    async fn node(
        &mut self,
        custom: &Custom<'_>,
        directory: &Path,
        main: &str,
        (pre, post): (Option<&ActionHook>, Option<&ActionHook>),
        inputs: &IndexMap<String, String>,
        (inner, contexts): (&Contexts, &mut Contexts),
        places: &Where,
        out: &mut StepOutput,
    ) -> HostResult<Done> {
        let mut state = IndexMap::new();
        if let Some(pre) = pre {
            let wanted = inner.condition(pre.condition.as_deref().or(Some("always()")), self.current_status());
            match wanted {
                Ok(false) => {}
                Err(error) => {
                    out.error(&format!("`pre-if` of {}: {error}", custom.uses)).await?;
                    return Ok(failed());
                }
                Ok(true) => {
                    let done = self.program(custom, directory, &pre.file, inputs, &state, (inner, contexts), places, out).await?;
                    if done.outcome != Conclusion::Success {
                        return Ok(done);
                    }
                    state = done.end.state;
                }
            }
        }
        let mut done = self.program(custom, directory, main, inputs, &state, (inner, contexts), places, out).await?;
        state.extend(std::mem::take(&mut done.end.state));
        if let Some(post) = post {
            let place = places.place();
            let mut env = contexts.process_env(place.base_env(), custom.own);
            add_inputs(&mut env, inputs);
            add_state(&mut env, &state);
            env.insert("GITHUB_ACTION_PATH".into(), directory.to_string_lossy().into_owned());
            let program = PostProgram { file: directory.join(&post.file), condition: post.condition.clone(), env };
            let name = format!("Post {}", self.rows[custom.index].name);
            self.posts.push(Post { of: custom.index, name, work: PostWork::Program(Box::new(program)) });
        }
        Ok(done)
    }

    /// Runs a file with Node and reads what it left.
    #[expect(clippy::too_many_arguments, reason = "the parts of a step and its surroundings")]
    async fn program(
        &mut self,
        custom: &Custom<'_>,
        directory: &Path,
        file: &str,
        inputs: &IndexMap<String, String>,
        state: &IndexMap<String, String>,
        (inner, contexts): (&Contexts, &mut Contexts),
        places: &Where,
        out: &mut StepOutput,
    ) -> HostResult<Done> {
        let place = places.place();
        let files = command_files(place.dirs(), custom.index)?;
        let mut env = inner.process_env(place.base_env(), custom.own);
        files.announce(&mut env);
        add_inputs(&mut env, inputs);
        add_state(&mut env, state);
        env.insert("GITHUB_ACTION_PATH".into(), directory.to_string_lossy().into_owned());
        env.insert("DEVMENTOR_REPORTS".into(), place.dirs().reports().to_string_lossy().into_owned());
        self.announce_services(&mut env);
        let argv = node_argv(&directory.join(file), &env, self.preload(place.dirs())?.as_deref());
        let (tell, stop) = watch::channel(Stop::No);
        let cwd = place.dirs().workspace.clone();
        let work = place.exec(Exec { argv, env, cwd, stdin: None }, out, stop, None);
        let (deadline, timeout) = custom.limit.unzip();
        let (result, cause) = self.control.watch(custom.keeps, deadline, &tell, work).await;
        let done = match result {
            Some(Ok(exit)) => {
                let outcome = if exit.code == 0 { Conclusion::Success } else { Conclusion::Failure };
                Done { outcome, exit_code: Some(exit.code), end: ActionEnd::default() }
            }
            Some(Err(HostError::Stale)) => return Err(HostError::Stale),
            Some(Err(error)) => {
                if cause == Cause::None {
                    out.error(&error.to_string()).await?;
                }
                failed()
            }
            None => failed(),
        };
        let ran = Ran { index: custom.index, own: custom.own, files: &files, cause, timeout, oom: false };
        self.conclude(done, ran, places, contexts, out).await
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a step and its surroundings")]
    async fn container(
        &mut self,
        custom: &Custom<'_>,
        action: &CustomAction,
        directory: &Path,
        inputs: &IndexMap<String, String>,
        (inner, contexts): (&Contexts, &mut Contexts),
        places: &Where,
        out: &mut StepOutput,
    ) -> HostResult<Done> {
        let ActionRuns::Docker { image, entrypoint, args, env } = &action.runs else { return Ok(failed()) };
        let Some(engine) = self.docker.clone() else {
            out.error("the action runs in a container, but no Docker engine answers on this machine").await?;
            return Ok(failed());
        };
        let scope = inner.of_action(inputs);
        let evaluated = (|| {
            let args = args.iter().map(|a| scope.text(a)).collect::<Result<Vec<_>, _>>()?;
            let env = env.iter().map(|(k, v)| Ok((k.clone(), scope.text(v)?))).collect::<Result<Vec<_>, dialects::expr::ExprError>>()?;
            Ok::<_, dialects::expr::ExprError>((args, env))
        })();
        let (args, own_env) = match evaluated {
            Ok(evaluated) => evaluated,
            Err(error) => {
                out.error(&format!("{}: the template is not valid. {error}", custom.step.span)).await?;
                return Ok(failed());
            }
        };
        let place = places.place();
        let dirs = place.dirs();
        let files = command_files(dirs, custom.index)?;
        let mut env = inner.process_env(BTreeMap::new(), custom.own);
        files.announce(&mut env);
        add_inputs(&mut env, inputs);
        env.extend(own_env);
        env.insert("HOME".into(), dirs.home.to_string_lossy().into_owned());
        self.announce_services(&mut env);
        env.insert("GITHUB_ACTION_PATH".into(), directory.to_string_lossy().into_owned());
        let order = docker::ActionOrder {
            docker: engine,
            job_id: self.spec.job_id.to_string(),
            tag: self.executor.machine.tag().to_owned(),
            dirs: dirs.clone(),
            logins: &self.logins,
            network: places.network(),
            image,
            directory,
            entrypoint: entrypoint.as_deref(),
            args,
            env,
            tally: &self.tally,
        };
        let (tell, stop) = watch::channel(Stop::No);
        let work = docker::run_action(order, out, stop);
        let (deadline, timeout) = custom.limit.unzip();
        let (result, cause) = self.control.watch(custom.keeps, deadline, &tell, work).await;
        let done = match result {
            Some(Ok(code)) => {
                let outcome = if code == 0 { Conclusion::Success } else { Conclusion::Failure };
                Done { outcome, exit_code: Some(code), end: ActionEnd::default() }
            }
            Some(Err(docker::StartError::Host(HostError::Stale))) => return Err(HostError::Stale),
            Some(Err(error)) => {
                if cause == Cause::None {
                    let why = match error {
                        docker::StartError::Host(error) => error.to_string(),
                        docker::StartError::Trouble(docker::Trouble::Job(why) | docker::Trouble::Engine(why)) => why,
                    };
                    out.error(&why).await?;
                }
                failed()
            }
            None => failed(),
        };
        let ran = Ran { index: custom.index, own: custom.own, files: &files, cause, timeout, oom: false };
        self.conclude(done, ran, places, contexts, out).await
    }

    /// Runs the last program of a JavaScript action.
    pub(super) async fn post_program(
        &mut self,
        index: usize,
        (of, name): (usize, &str),
        mut program: PostProgram,
        places: &Where,
        contexts: &mut Contexts,
    ) -> HostResult<()> {
        contexts.set_status(self.current_status());
        let wanted = contexts.condition(program.condition.as_deref().or(Some("always()")), self.current_status());
        if self.control.killed || matches!(wanted, Ok(false)) {
            self.post_skipped(of, name, PostWork::Program(Box::new(program)));
            return self.end(index, Conclusion::Skipped, Conclusion::Skipped, None).await;
        }
        self.post_ran(of, name);
        self.begin(index).await?;
        let meter = self.meter(places).await;
        let mut out = self.output(index);
        let place = places.place();
        let files = command_files(place.dirs(), index)?;
        files.announce(&mut program.env);
        self.announce_services(&mut program.env);
        let argv = node_argv(&program.file, &program.env, self.preload(place.dirs())?.as_deref());
        let (tell, stop) = watch::channel(Stop::No);
        let exec = Exec { argv, env: program.env, cwd: place.dirs().workspace.clone(), stdin: None };
        let (result, cause) = self.control.watch(true, None, &tell, place.exec(exec, &mut out, stop, None)).await;
        let done = match result {
            Some(Ok(exit)) => {
                let outcome = if exit.code == 0 { Conclusion::Success } else { Conclusion::Failure };
                Done { outcome, exit_code: Some(exit.code), end: ActionEnd::default() }
            }
            Some(Err(HostError::Stale)) => return Err(HostError::Stale),
            Some(Err(error)) => {
                out.error(&error.to_string()).await?;
                failed()
            }
            None => failed(),
        };
        let own = IndexMap::new();
        let ran = Ran { index, own: &own, files: &files, cause, timeout: None, oom: false };
        let done = self.conclude(done, ran, places, contexts, &mut out).await?;
        out.finish().await?;
        if done.outcome == Conclusion::Failure {
            self.status = Conclusion::Failure;
        }
        self.rows[index].usage = meter.stop().await;
        self.end(index, done.outcome, done.outcome, done.exit_code).await
    }
}

/// The inputs of an action as given or by default, by the names it uses.
fn inputs(action: &CustomAction, with: &Map, inner: &Contexts) -> Result<IndexMap<String, String>, dialects::expr::ExprError> {
    let mut found = IndexMap::new();
    for (name, input) in &action.inputs {
        let given = with.iter().find(|(k, _)| k.eq_ignore_ascii_case(name)).map(|(_, v)| v).or(input.default.as_ref());
        found.insert(name.clone(), given.map(|text| inner.text(text)).transpose()?.unwrap_or_default());
    }
    // a JavaScript action may ask for what it does not declare
    for (name, value) in with.iter().filter(|(k, _)| !action.inputs.keys().any(|n| n.eq_ignore_ascii_case(k))) {
        found.insert(name.clone(), inner.text(value)?);
    }
    Ok(found)
}

fn add_inputs(env: &mut BTreeMap<String, String>, inputs: &IndexMap<String, String>) {
    env.extend(inputs.iter().map(|(name, value)| (format!("INPUT_{}", name.replace(' ', "_").to_uppercase()), value.clone())));
}

fn add_state(env: &mut BTreeMap<String, String>, state: &IndexMap<String, String>) {
    env.extend(state.iter().map(|(name, value)| (format!("STATE_{name}"), value.clone())));
}

/// Node as the place has it. Shells on the way drop variables whose names they do not like (`INPUT_MY-NAME`), so those
/// are set again behind them.
fn node_argv(file: &Path, env: &BTreeMap<String, String>, preload: Option<&Path>) -> Vec<String> {
    let odd = |name: &str| !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let again = env.iter().filter(|(name, _)| odd(name)).map(|(name, value)| format!("{name}={value}"));
    let preload = preload.into_iter().flat_map(|path| ["--require".to_owned(), path.to_string_lossy().into_owned()]);
    let file = file.to_string_lossy().into_owned();
    ["/usr/bin/env".to_owned()].into_iter().chain(again).chain(["node".to_owned()]).chain(preload).chain([file]).collect()
}
