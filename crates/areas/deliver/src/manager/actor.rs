//! One environment: its front, the release that runs there, and the deployments that come one after the other.
//!
//! Order of a switch: the new release is healthy, the database says it is the current one, the front sends requests to
//! it, the old one is drained and stopped. A crash between any two of these is taken up from the database: what it calls
//! current is what runs.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use executors::service::Service;
use executors::service::State;
use kernel::Code;
use kernel::Error;
use kernel::Event;
use kernel::EventData;
use kernel::Result;
use kernel::Timestamp;
use store::deployment::DeploymentRow;
use store::deployment::deployment_open;
use store::deployment::deployment_step;
use store::environment::EnvironmentNote;
use store::environment::EnvironmentRow;
use store::environment::environment_dormant;
use store::environment::environment_fence;
use store::environment::environment_get;
use store::environment::environment_note;
use store::environment::environment_renew;
use store::environment::environment_yield;
use store::release::release_get;
use tokio::net::TcpListener;
use web_kit::App;

use super::LEASE;
use super::Shared;
use super::images;
use super::launch::Launch;
use super::launch::Unit;
use super::proxy;
use super::proxy::Backend;
use super::record::Instance;
use super::record::Live;
use super::record::Work;
use super::watch::Probe;
use crate::deployment::model::Step;
use crate::environment::model::Health;
use crate::environment::model::Target;

/// How long requests of the old release are waited for.
const DRAIN: Duration = Duration::from_secs(15);
/// How long an application has to end after TERM.
const GRACE: Duration = Duration::from_secs(10);
/// Failed checks in a row that count as unhealthy.
const UNHEALTHY_AFTER: u32 = 3;
/// Time between two looks at a release that is to become healthy.
const EAGER: Duration = Duration::from_millis(250);
/// Lines of the application's log that the reason of a failure quotes.
const QUOTED: usize = 15;

/// Holds an environment until its lease is lost or there is nothing left to hold.
pub(super) async fn run(app: App, row: EnvironmentRow, shared: Arc<Shared>) {
    let (id, epoch) = (row.id, row.epoch);
    let renewing = async {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(LEASE / 4).await;
            match environment_renew(app.db(), id, epoch, Timestamp::now().plus(LEASE)).await {
                Ok(true) => renewed = Instant::now(),
                Ok(false) => return,
                // the database is away: whoever takes over waits for the lease to run out, so do we
                Err(_) if renewed.elapsed() < LEASE => {}
                Err(_) => return,
            }
        }
    };
    let mut actor = Actor {
        live: Live::of(&row),
        app: app.clone(),
        row,
        shared,
        front: None,
        failures: 0,
        successes: 0,
        next_probe: Instant::now(),
        next_restart: Instant::now(),
    };
    tokio::select! {
        () = renewing => tracing::warn!(environment = %id, "the lease of an environment was lost"),
        () = actor.work() => {}
    }
    // dropping the actor closes the front
}

struct Actor {
    app: App,
    row: EnvironmentRow,
    live: Live,
    shared: Arc<Shared>,
    front: Option<tokio::task::JoinHandle<()>>,
    /// Failed and good checks of the current release in a row.
    failures: u32,
    successes: u32,
    next_probe: Instant,
    next_restart: Instant,
}

impl Drop for Actor {
    fn drop(&mut self) {
        if let Some(front) = self.front.take() {
            front.abort();
        }
    }
}

fn stale() -> Error {
    Error::new(Code::StaleEpoch, "another instance took the environment over")
}

impl Actor {
    async fn work(&mut self) {
        let mut waiter = self.app.db().wake().subscribe();
        loop {
            match self.turn().await {
                Ok(true) => return,
                Ok(false) => {}
                Err(e) if e.is(Code::StaleEpoch) => return,
                Err(error) => {
                    tracing::warn!(environment = %self.row.id, error = ?error, "an environment could not be looked after; trying again");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
            let nap = self.next_probe.saturating_duration_since(Instant::now()).min(Duration::from_secs(2));
            waiter.wait(nap, |t| t == store::environment::TOPIC).await;
        }
    }

    /// One look at everything. True when there is nothing left to hold.
    async fn turn(&mut self) -> Result<bool> {
        let row = environment_get(self.app.db(), self.row.id).await?.ok_or_else(stale)?;
        if row.epoch != self.row.epoch {
            return Err(stale());
        }
        self.row = row;
        if self.row.deleted_at.is_some() {
            self.clear().await?;
            environment_yield(self.app.db(), self.row.id, self.row.epoch).await?;
            return Ok(true);
        }
        if environment_dormant(self.app.db(), self.row.id).await? {
            return self.rest().await;
        }
        self.open_front().await;
        self.retire().await?;
        let open = deployment_open(self.app.db(), self.row.id).await?;
        // one under way is gone on with; of those that wait, the newest counts
        let next = open.iter().find(|d| d.state == "running").or(open.last()).cloned();
        if let Some(deployment) = next {
            self.deploy(deployment).await?;
            return Ok(false);
        }
        if self.live.candidate.is_some() {
            self.drop_candidate().await?;
        }
        self.look_after().await?;
        if self.live.is_empty() {
            environment_yield(self.app.db(), self.row.id, self.row.epoch).await?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Opens the environment's port, which the holder before may not have let go of yet.
    async fn open_front(&mut self) {
        if self.front.as_ref().is_some_and(|f| !f.is_finished()) {
            return;
        }
        match TcpListener::bind((self.app.config().deploy_listen.as_str(), self.row.port)).await {
            Ok(listener) => self.front = Some(tokio::spawn(proxy::serve(listener, self.shared.front.clone()))),
            Err(error) => {
                tracing::warn!(environment = %self.row.id, port = self.row.port, %error, "the environment's port cannot be opened; trying again");
            }
        }
    }

    fn health(&self) -> Health {
        serde_json::from_value(self.row.health.clone()).unwrap_or_default()
    }

    async fn unit(&self, instance: &Instance) -> Result<Unit> {
        Unit::of(&self.app, &self.row, instance.deployment, instance.target).await
    }

    /// Writes what runs, with whatever else `also` writes, if the lease still holds.
    async fn note(&mut self, state: &str, detail: &str, also: Also<'_>) -> Result<()> {
        let note = EnvironmentNote {
            state: state.into(),
            detail: detail.into(),
            release: self.live.current.as_ref().map(|i| i.release),
            live: if self.live.is_empty() { None } else { Some(serde_json::json!(self.live)) },
        };
        let mut tx = self.app.db().begin().await?;
        if !environment_note(&mut tx, self.row.id, self.row.epoch, &note).await? {
            return Err(stale());
        }
        match also {
            Also::Nothing => {}
            Also::Steps(deployment, steps) => {
                if !deployment_step(&mut tx, deployment.id, &serde_json::json!(steps)).await? {
                    return Err(Error::new(Code::Conflict, "the deployment has ended"));
                }
            }
            Also::End(deployment, steps, conclusion, reason) => {
                crate::deployment::finish(&mut tx, deployment, conclusion, reason, &serde_json::json!(steps)).await?;
            }
            Also::Health(healthy) => {
                let data = EventData::EnvironmentHealth { environment: self.row.id, healthy, detail: detail.into() };
                tx.emit(&Event::new(None, Some(self.row.project), data)).await?;
            }
        }
        tx.commit().await?;
        self.row.state = note.state;
        self.row.detail = note.detail;
        self.row.release = note.release;
        Ok(())
    }

    /// The state to go back to when a deployment does not change anything.
    fn settled(&self) -> &'static str {
        match (&self.live.current, self.failures >= UNHEALTHY_AFTER) {
            (None, _) => "empty",
            (Some(_), true) => "unhealthy",
            (Some(_), false) => "healthy",
        }
    }

    async fn deploy(&mut self, row: DeploymentRow) -> Result<()> {
        let release = release_get(self.app.db(), row.release).await?.ok_or_else(|| Error::not_found("release"))?;
        let steps: Vec<Step> = serde_json::from_value(row.steps.clone()).map_err(Error::internal)?;
        let mut work = Work { row, release, steps };
        // the switch was recorded before a crash: only what comes after it is left
        if self.live.current.as_ref().is_none_or(|i| i.deployment != work.row.id) {
            match self.bring_up(&mut work).await {
                Ok(backend) => self.switch(&mut work, backend).await?,
                Err(e) if matches!(e.code, Code::StaleEpoch | Code::Unavailable) => return Err(e),
                Err(e) => return self.fail(work, e).await,
            }
        } else {
            self.look_after().await?;
            work.pass("switch", "");
        }
        work.begin("retire");
        self.note("healthy", "", Also::Steps(&work.row, &work.steps)).await?;
        let stopped = self.retire().await?;
        work.pass("retire", if stopped { "the release before was drained and stopped" } else { "there was no release before" });
        let steps = work.steps;
        self.note("healthy", "", Also::End(&work.row, &steps, "success", None)).await?;
        if let Err(error) = images::tidy(&self.app, &self.row, &work.release).await {
            // disk space only; the next deployment tries again
            tracing::warn!(environment = %self.row.id, error = ?error, "images of old releases could not be removed");
        }
        Ok(())
    }

    /// Up to the moment the new release is healthy.
    async fn bring_up(&mut self, work: &mut Work) -> Result<Arc<Backend>> {
        if self.live.candidate.as_ref().is_some_and(|c| c.deployment != work.row.id) {
            self.drop_candidate().await?;
        }
        let instance = match self.live.candidate.clone() {
            Some(instance) => instance,
            None => Instance {
                deployment: work.row.id,
                release: work.release.id,
                target: Target::parse(&self.row.target),
                restarts: 0,
                started_at: Timestamp::now(),
            },
        };
        // recorded before anything of it exists: whatever a crash leaves is found by this
        self.live.candidate = Some(instance.clone());
        work.begin("prepare");
        self.note("deploying", &format!("release {}", work.release.number), Also::Steps(&work.row, &work.steps)).await?;
        let unit = self.unit(&instance).await?;
        let service = unit.service();
        let (app, environment, release) = (self.app.clone(), self.row.clone(), work.release.clone());
        let launch = Launch { app: &app, environment: &environment, release: &release, unit: &unit };
        if !matches!(service.state().await.map_err(Error::internal)?, State::Running { .. }) {
            let detail = self.meanwhile(launch.prepare()).await?;
            work.pass("prepare", &detail);
            work.begin("start");
            self.note("deploying", "", Also::Steps(&work.row, &work.steps)).await?;
            let detail = launch.start().await?;
            work.pass("start", &detail);
        } else {
            work.pass("prepare", "");
            work.pass("start", "it was running already");
        }
        work.begin("health_check");
        self.note("deploying", "", Also::Steps(&work.row, &work.steps)).await?;
        let (backend, detail) = self.until_healthy(&*service).await?;
        work.pass("health_check", &detail);
        Ok(backend)
    }

    /// Does something long without letting the running release alone.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::pin!(work);
        loop {
            let pause = self.next_probe.saturating_duration_since(Instant::now()).max(Duration::from_millis(50));
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(pause) => self.look_after().await?,
            }
        }
    }

    async fn until_healthy(&mut self, service: &dyn Service) -> Result<(Arc<Backend>, String)> {
        let health = self.health();
        let begun = Instant::now();
        let deadline = begun + Duration::from_secs(health.deadline_seconds.into());
        let (mut good, mut said) = (0, String::from("it did not listen"));
        loop {
            match service.state().await.map_err(Error::internal)? {
                State::Running { port } => match proxy::probe(port, &health.path, Duration::from_secs(health.timeout_seconds.into())).await
                {
                    Ok(status) if (200..400).contains(&status.as_u16()) => {
                        good += 1;
                        if good >= health.healthy_after {
                            let detail =
                                format!("GET {} answered {} after {:.1} s", health.path, status.as_u16(), begun.elapsed().as_secs_f64());
                            return Ok((Backend::new(port), detail));
                        }
                    }
                    Ok(status) => (good, said) = (0, format!("GET {} answered {}", health.path, status.as_u16())),
                    Err(why) => (good, said) = (0, format!("GET {}: {why}", health.path)),
                },
                State::Exited { code } => {
                    let code = code.map_or_else(String::new, |c| format!(" with code {c}"));
                    return Err(Error::new(Code::Unprocessable, format!("the application ended{code} before it was healthy")));
                }
                State::Missing => return Err(Error::new(Code::Unprocessable, "the application disappeared before it was healthy")),
            }
            if Instant::now() >= deadline {
                return Err(Error::new(Code::Unprocessable, format!("not healthy within {} s: {said}", health.deadline_seconds)));
            }
            let pause = EAGER.min(Duration::from_secs(health.interval_seconds.into()));
            tokio::time::sleep(pause).await;
            if Instant::now() >= self.next_probe {
                self.look_after().await?;
            }
        }
    }

    async fn switch(&mut self, work: &mut Work, backend: Arc<Backend>) -> Result<()> {
        let Some(candidate) = self.live.candidate.take() else { return Err(Error::internal("there is no candidate to switch to")) };
        let unit = self.unit(&candidate).await?;
        let before = self.live.current.replace(candidate);
        self.live.retiring.extend(before);
        work.pass("switch", "");
        self.note("healthy", "", Also::Steps(&work.row, &work.steps)).await?;
        // requests that began on the old release are counted there and waited for
        if let Some(old) = self.shared.front.switch(Some(backend)) {
            old.drained(DRAIN).await;
        }
        *self.shared.service.lock() = Some(unit.service());
        (self.failures, self.successes) = (0, 1);
        self.next_probe = Instant::now() + Duration::from_secs(self.health().interval_seconds.into());
        Ok(())
    }

    /// Ends a deployment that did not work: traffic stays where it was.
    async fn fail(&mut self, mut work: Work, error: Error) -> Result<()> {
        if error.is(Code::Internal) {
            tracing::error!(deployment = %work.row.id, error = ?error, "a deployment failed");
        }
        let log = match &self.live.candidate {
            Some(candidate) => match self.unit(&candidate.clone()).await {
                Ok(unit) => unit.service().log(QUOTED).await.unwrap_or_default(),
                Err(_) => String::new(),
            },
            None => String::new(),
        };
        work.break_off(&error.detail);
        let mut reason = error.detail;
        if let Some(current) = &self.live.current
            && let Some(release) = release_get(self.app.db(), current.release).await?
        {
            reason = format!("{reason}; release {} goes on running", release.number);
        }
        if !log.is_empty() {
            reason = format!("{reason}\nLast lines of the application:\n{log}");
        }
        let conclusion = if self.live.current.is_some() { "rolled_back" } else { "failure" };
        self.live.retiring.extend(self.live.candidate.take());
        let state = if self.live.current.is_some() { self.settled() } else { "unhealthy" };
        let detail = if self.live.current.is_some() { String::new() } else { reason.lines().next().unwrap_or_default().to_owned() };
        self.note(state, &detail, Also::End(&work.row, &work.steps, conclusion, Some(&reason))).await?;
        self.retire().await?;
        Ok(())
    }

    async fn drop_candidate(&mut self) -> Result<()> {
        self.live.retiring.extend(self.live.candidate.take());
        self.retire().await.map(|_| ())
    }

    /// Stops what has given way. Was there anything?
    async fn retire(&mut self) -> Result<bool> {
        let retiring = self.live.retiring.clone();
        if retiring.is_empty() {
            return Ok(false);
        }
        // never under a lost lease: another holder may have taken the same instance up
        let mut tx = self.app.db().begin().await?;
        if !environment_fence(&mut tx, self.row.id, self.row.epoch).await? {
            return Err(stale());
        }
        tx.commit().await?;
        let mut stay = Vec::new();
        for instance in retiring {
            let stopped = async {
                let service = self.unit(&instance).await?.service();
                service.stop(GRACE).await.map_err(Error::internal)?;
                service.remove().await.map_err(Error::internal)
            };
            if let Err(error) = stopped.await {
                // an engine that is away must not keep the environment from its next release
                tracing::warn!(environment = %self.row.id, deployment = %instance.deployment, error = ?error, "an old release could not be removed yet");
                stay.push(instance);
            }
        }
        if stay.len() == self.live.retiring.len() {
            return Ok(false);
        }
        self.live.retiring = stay;
        let (state, detail) = (self.row.state.clone(), self.row.detail.clone());
        self.note(&state, &detail, Also::Nothing).await?;
        Ok(true)
    }

    /// Ends what was to be deployed.
    async fn call_off(&self, why: &str) -> Result<()> {
        for open in deployment_open(self.app.db(), self.row.id).await? {
            let mut tx = self.app.db().begin().await?;
            crate::deployment::finish(&mut tx, &open, "failure", Some(why), &open.steps).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Stops what runs for a deleted project, and keeps in mind what it was: a restored project runs again. True when
    /// all has ended.
    async fn rest(&mut self) -> Result<bool> {
        if let Some(front) = self.front.take() {
            front.abort();
        }
        self.shared.front.switch(None);
        self.call_off("the project was deleted").await?;
        let current = self.live.current.clone();
        self.live.retiring.extend(current.clone().into_iter().chain(self.live.candidate.take()));
        self.retire().await?;
        if !self.live.retiring.is_empty() {
            return Ok(false);
        }
        self.note("stopped", "the project was deleted", Also::Nothing).await?;
        environment_yield(self.app.db(), self.row.id, self.row.epoch).await?;
        Ok(true)
    }

    /// Stops everything of a deleted environment.
    async fn clear(&mut self) -> Result<()> {
        self.shared.front.switch(None);
        self.call_off("the environment was deleted").await?;
        let all: Vec<Instance> = self.live.current.take().into_iter().chain(self.live.candidate.take()).collect();
        self.live.retiring.extend(all);
        self.retire().await?;
        self.note("stopped", "", Also::Nothing).await
    }

    /// Looks at the running release: is it there, is it well? Starts it again when it ended.
    async fn look_after(&mut self) -> Result<()> {
        let now = Instant::now();
        let Some(current) = self.live.current.clone() else {
            self.next_probe = now + Duration::from_secs(5);
            return Ok(());
        };
        let connected = self.shared.front.current();
        if connected.is_some() && now < self.next_probe {
            return Ok(());
        }
        let health = self.health();
        self.next_probe = now + Duration::from_secs(health.interval_seconds.into());
        let unit = self.unit(&current).await?;
        let service = unit.service();
        let state = service.state().await.map_err(Error::internal)?;
        let State::Running { port } = state else {
            let why = match state {
                State::Exited { code: Some(code) } => format!("the application ended with code {code}"),
                _ => "the application ended".to_owned(),
            };
            self.unwell(&why).await?;
            return self.restart(&unit, &current, &why).await;
        };
        if connected.is_none_or(|b| b.port() != port) {
            self.shared.front.switch(Some(Backend::new(port)));
            *self.shared.service.lock() = Some(service.clone());
        }
        let begun = Instant::now();
        let answer = proxy::probe(port, &health.path, Duration::from_secs(health.timeout_seconds.into())).await;
        let status = answer.as_ref().ok().map(http::StatusCode::as_u16);
        let ok = status.is_some_and(|s| (200..400).contains(&s));
        self.shared.history.lock().add(Probe {
            at: Timestamp::now(),
            ok,
            latency_ms: (begun.elapsed().as_secs_f64() * 1e5).round() / 100.0,
            status,
            error: answer.as_ref().err().cloned(),
        });
        if let Err(error) = service.trim_log().await {
            tracing::warn!(environment = %self.row.id, %error, "an application's log could not be cut");
        }
        if ok {
            self.failures = 0;
            self.successes = self.successes.saturating_add(1);
            if matches!(self.row.state.as_str(), "unhealthy" | "stopped") && self.successes >= health.healthy_after {
                self.note("healthy", "", Also::Health(true)).await?;
            }
            return Ok(());
        }
        // look again soon, to know sooner
        self.next_probe = Instant::now() + Duration::from_secs(health.interval_seconds.into()).min(Duration::from_secs(2));
        let why = status.map_or_else(|| answer.err().unwrap_or_default(), |s| format!("GET {} answers {s}", health.path));
        self.unwell(&why).await
    }

    async fn unwell(&mut self, why: &str) -> Result<()> {
        self.successes = 0;
        self.failures = self.failures.saturating_add(1);
        if self.failures == UNHEALTHY_AFTER && self.row.state == "healthy" {
            self.note("unhealthy", why, Also::Health(false)).await?;
        }
        Ok(())
    }

    /// Starts an application again that ended, after a back-off that grows.
    async fn restart(&mut self, unit: &Unit, current: &Instance, why: &str) -> Result<()> {
        let now = Instant::now();
        self.next_probe = now + Duration::from_millis(500);
        if now < self.next_restart {
            return Ok(());
        }
        let release = release_get(self.app.db(), current.release).await?.ok_or_else(|| Error::not_found("release"))?;
        let long_ago = Timestamp::now().since(current.started_at) > Duration::from_secs(600);
        let restarts = current.restarts + 1;
        let back_off = Duration::from_secs(if long_ago { 1 } else { 1 << restarts.min(6) });
        self.next_restart = now + back_off;
        tracing::warn!(environment = %self.row.id, release = release.number, restarts, why, "an application is started again");
        let launch = Launch { app: &self.app, environment: &self.row, release: &release, unit };
        // the image may lie on a machine that is gone
        let there = match unit {
            Unit::Process(process) => process.rootfs().is_dir(),
            Unit::Docker(container) => container.state().await.is_ok_and(|s| s != State::Missing),
        };
        if !there {
            launch.prepare().await?;
        }
        match unit {
            Unit::Docker(container) if there => container.restart().await.map_err(Error::internal)?,
            _ => {
                launch.start().await?;
            }
        }
        if let Some(current) = &mut self.live.current {
            current.restarts = restarts;
            current.started_at = Timestamp::now();
        }
        let (state, detail) = (self.row.state.clone(), self.row.detail.clone());
        self.note(&state, &detail, Also::Nothing).await
    }
}

/// What is written together with the state of the environment.
enum Also<'a> {
    Nothing,
    Steps(&'a DeploymentRow, &'a [Step]),
    End(&'a DeploymentRow, &'a [Step], &'a str, Option<&'a str>),
    Health(bool),
}
