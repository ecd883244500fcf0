//! `serve`, `migrate`, `openapi`: the server's side of the binary.

use std::env;
use std::path::{Path, PathBuf};

use kernel::{Code, Error, Result};
use web_kit::Config;

use crate::telemetry;

/// Read when nothing else is named, if it is there.
const DEFAULT_FILE: &str = "devmentor.toml";

/// Runs the service until it is told to stop.
pub(crate) fn serve(file: Option<PathBuf>) -> Result<()> {
    let config = load(file)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Error::internal)?;
    runtime.block_on(async {
        let telemetry = telemetry::start(&config)?;
        let outcome = server::run(config).await;
        telemetry.stop().await;
        outcome
    })
}

/// Brings the database to this version's schema, and ends.
pub(crate) fn migrate(file: Option<PathBuf>) -> Result<()> {
    let config = load(file)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::internal)?;
    runtime.block_on(async {
        let _telemetry = telemetry::start(&config)?;
        // opening migrates: every instance does so at its start, one after the other
        let app = server::open(config).await?;
        println!("The {} database is up to date.", app.db().kind());
        app.db().close().await;
        Ok(())
    })
}

/// Reads the file that was named, or the one that lies here, and the variables.
fn load(file: Option<PathBuf>) -> Result<Config> {
    let file = file.or_else(|| Path::new(DEFAULT_FILE).is_file().then(|| DEFAULT_FILE.into()));
    let variables = env::vars_os().map(|(name, value)| match (name.into_string(), value.into_string()) {
        (Ok(name), Ok(value)) => Ok(Some((name, value))),
        (Ok(name), Err(_)) if name.starts_with("DEVMENTOR_") => Err(Error::new(Code::InvalidRequest, format!("{name} is not UTF-8"))),
        _ => Ok(None),
    });
    let variables: Vec<(String, String)> = variables.filter_map(Result::transpose).collect::<Result<_>>()?;
    Config::load(file.as_deref(), variables.into_iter())
}
