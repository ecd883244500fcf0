//! The one binary: the server, the runner, and the client commands.
//!
//! Owns: the command line, what it prints, and exit codes. Must not know: what the server does with a request; the client
//! speaks to it over HTTP like any other. Read next: `args` (what can be said), `commands` (what it does), `api`.

use std::process::ExitCode;

use clap::Parser;

mod api;
mod args;
mod commands;
mod config;
mod failure;
mod output;
mod progress;
mod remote;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("devmentor: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(commands::run(cli.command, &cli.global)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("devmentor: {failure}");
            ExitCode::from(&failure)
        }
    }
}
