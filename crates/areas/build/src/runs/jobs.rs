//! Background work over runs.

use kernel::{Error, Result, RunId, Timestamp};
use store::WorkRow;
use store::run::run_lock;
use web_kit::App;

use crate::schedule::advance::{State, advance};
use crate::schedule::{finish, retrying};

/// A newer commit of the ref is built: stops of a run what its own rules say.
///
/// # Errors
/// The database's.
pub async fn run_superseded(app: App, work: WorkRow) -> Result<()> {
    let run: RunId = serde_json::from_value(work.payload["run"].clone()).map_err(Error::internal)?;
    let by = work.payload["by"].as_i64().unwrap_or_default();
    finish::supersede(app.db(), run, by).await
}

/// Looks at a run again: something outside of it, such as a concurrency group, has changed.
///
/// # Errors
/// The database's.
pub async fn run_advance(app: App, work: WorkRow) -> Result<()> {
    let run: RunId = serde_json::from_value(work.payload["run"].clone()).map_err(Error::internal)?;
    retrying(|| {
        let db = app.db().clone();
        Box::pin(async move {
            let mut tx = db.begin().await?;
            let Some(row) = run_lock(&mut tx, run).await?.filter(|r| r.state != "completed") else { return Ok(()) };
            let mut state = State::load(&mut tx, row).await?;
            advance(&mut tx, &mut state, Timestamp::now()).await?;
            tx.commit().await
        })
    })
    .await
}
