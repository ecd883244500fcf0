//! The one binary: the server, the runner, and the client commands.
//!
//! Owns: the command line, what it prints, and exit codes. Must not know: what the server does with a request; the client
//! speaks to it over HTTP like any other. Read next: `args` (what can be said), `commands` (what it does), `api`.

use std::process::ExitCode;

use clap::Parser;

use args::{Client, Command, Global};

mod api;
mod args;
mod ci_args;
mod commands;
mod config;
mod failure;
mod output;
mod progress;
mod remote;
mod runner;
mod serve;
mod telemetry;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    match cli.command {
        Command::Serve(args) => told(serve::serve(args.config)),
        Command::Runner(mut args) => match args.command.take() {
            Some(command) => client_told(client(Client::Runners(command), &cli.global)),
            None => told(runner::run(args, cli.global.server)),
        },
        Command::Migrate(args) => told(serve::migrate(args.config)),
        Command::Openapi => client_told(output::line(&server::openapi_json())),
        Command::Client(command) => client_told(client(command, &cli.global)),
    }
}

fn client(command: Client, global: &Global) -> failure::Result {
    let mut runtime = match command {
        // it brings a server
        Client::Pipeline(args::Pipeline::Run(_)) => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    runtime.enable_all().build()?.block_on(commands::run(command, global))
}

fn client_told(outcome: failure::Result) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("devmentor: {failure}");
            ExitCode::from(&failure)
        }
    }
}

fn told(outcome: kernel::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // the operator may see what a caller may not: the cause
            match &error.source {
                Some(source) => eprintln!("devmentor: {}: {source}", error.detail),
                None => eprintln!("devmentor: {}", error.detail),
            }
            ExitCode::FAILURE
        }
    }
}
