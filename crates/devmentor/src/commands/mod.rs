//! The client commands, one file per noun. Each asks the API and shows the answer.

use crate::api::{Api, segment, with_query};
use crate::args::{Client, Global, InProject, RunOf};
use crate::config::{self, Config};
use crate::failure::{Failure, Result};
use crate::output::{Format, text};
use crate::remote;

mod account;
mod artifact;
mod deploy;
mod environment;
mod group;
mod image;
mod pipeline;
mod project;
mod provenance;
mod run;
mod runner;
mod schedule;
mod steps;
mod test;
mod token;
mod value;
mod why;

/// What every command needs: the server, and how to show things.
pub(crate) struct Session {
    pub(crate) api: Api,
    pub(crate) format: Format,
    pub(crate) quiet: bool,
}

impl Session {
    /// Finds the server and the token: options, then environment, then the stored login.
    fn open(global: &Global) -> Result<Self> {
        let stored = Config::load(&config::path()?)?;
        let server = match &global.server {
            Some(given) => config::server_address(given)?,
            None => in_job(&["GITHUB_SERVER_URL"]).or_else(|| stored.current.clone()).unwrap_or_else(|| config::DEFAULT_SERVER.to_owned()),
        };
        let given = global.token.clone().filter(|t| !t.is_empty());
        let token =
            given.or_else(|| in_job(&["GITHUB_TOKEN", "CI_JOB_TOKEN"])).or_else(|| stored.servers.get(&server).map(|a| a.token.clone()));
        let format = if global.json { Format::Json } else { Format::Human };
        // progress goes to standard error, and is of no use to a program that reads JSON
        Ok(Self { api: Api::new(&server, token)?, format, quiet: global.quiet || global.json })
    }

    /// A note for people, on standard error.
    fn note(&self, text: &str) {
        if !self.quiet {
            eprintln!("{}", crate::output::plain(text));
        }
    }

    /// The project of a command, ready for a path.
    fn project(&self, of: &InProject) -> Result<String> {
        match &of.project {
            Some(given) => Ok(segment(given)),
            None => match in_job(&["GITHUB_REPOSITORY"]) {
                Some(own) => Ok(segment(&own)),
                None => Ok(segment(&remote::project_here(self.api.base())?)),
            },
        }
    }

    /// The id of a run: `run_…` as it is, else found by its number or as the latest.
    async fn run(&self, of: &RunOf) -> Result<String> {
        if of.run.starts_with("run_") {
            return Ok(segment(&of.run));
        }
        let project = self.project(&of.of)?;
        let path = format!("/projects/{project}/runs");
        if of.run == "latest" {
            let runs = self.api.list(&path, 1).await?;
            return runs.first().map(|r| text(r, "id")).ok_or_else(|| Failure::NotFound("the project has no runs".to_owned()));
        }
        let number: u64 =
            of.run.parse().map_err(|_| Failure::Usage(format!("{} is neither a run's id, its number nor `latest`", of.run)))?;
        let mut after: Option<String> = None;
        loop {
            let page: serde_json::Value = self.api.get(&with_query(&path, [("limit", Some("100")), ("after", after.as_deref())])).await?;
            let items = page["items"].as_array().map_or(&[][..], Vec::as_slice);
            if let Some(run) = items.iter().find(|r| r["number"].as_u64() == Some(number)) {
                return Ok(text(run, "id"));
            }
            // newest first: once numbers are smaller it will not come
            let passed = items.last().and_then(|r| r["number"].as_u64()).is_some_and(|n| n < number);
            after = page["next"].as_str().map(str::to_owned).filter(|_| !passed);
            if after.is_none() {
                return Err(Failure::NotFound(format!("there is no run {number}")));
            }
        }
    }

    /// The id of an environment, found by its name.
    async fn environment(&self, project: &str, name: &str) -> Result<String> {
        let all = self.api.list(&format!("/projects/{project}/environments"), usize::MAX).await?;
        let found = all.iter().find(|e| e["name"] == name || e["id"] == name);
        found.map(|e| text(e, "id")).ok_or_else(|| Failure::NotFound(format!("there is no environment {name}")))
    }
}

/// What a job of ours tells its programs under one of these names.
fn in_job(names: &[&str]) -> Option<String> {
    std::env::var_os("DEVMENTOR_CI")?;
    names.iter().find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()))
}

/// Runs a client command.
pub(crate) async fn run(command: Client, global: &Global) -> Result {
    match command {
        Client::Login(args) => account::login(args, global).await,
        Client::Logout => account::logout(global).await,
        Client::Whoami => account::whoami(&Session::open(global)?).await,
        Client::Project(command) => project::run(command, &Session::open(global)?).await,
        Client::Run(command) => run::run(command, &Session::open(global)?).await,
        Client::Runners(command) => runner::run(command, &Session::open(global)?).await,
        Client::Queue(of) => runner::queue(of, &Session::open(global)?).await,
        Client::Schedule(command) => schedule::run(command, &Session::open(global)?).await,
        Client::Deploy(args) => deploy::deploy(args, &Session::open(global)?).await,
        Client::Rollback(args) => deploy::rollback(args, &Session::open(global)?).await,
        Client::Environment(command) => environment::run(command, &Session::open(global)?).await,
        Client::Group(command) => group::run(command, &Session::open(global)?).await,
        Client::Secret(command) => value::run(value::Kind::Secret, command, &Session::open(global)?).await,
        Client::Variable(command) => value::run(value::Kind::Variable, command, &Session::open(global)?).await,
        Client::Test(command) => test::run(command, &Session::open(global)?).await,
        Client::Token(command) => token::run(command, &Session::open(global)?).await,
        Client::Artifact(command) => artifact::run(command, &Session::open(global)?).await,
        Client::Provenance(command) => provenance::run(command, global).await,
        Client::Image(command) => image::run(command, &Session::open(global)?).await,
        Client::Pipeline(command) => pipeline::run(command, global).await,
        Client::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut <crate::args::Cli as clap::CommandFactory>::command(), "devmentor", &mut script);
            crate::output::raw(&script)
        }
    }
}
