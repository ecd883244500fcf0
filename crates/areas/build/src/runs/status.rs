//! What a run says about its commit.

use kernel::{Result, Timestamp};
use store::Tx;
use store::commit_status::{CommitStatusRow, commit_status_set};
use store::run::RunRow;

/// Sets the commit's status to how the run stands.
///
/// # Errors
/// The database's.
pub async fn set(tx: &mut Tx, run: &RunRow) -> Result<()> {
    let (state, description) = describe(run);
    let status = CommitStatusRow {
        context: format!("pipeline/{}", run.name),
        state: state.into(),
        description,
        target_url: Some(format!("/runs/{}", run.id)),
        updated_at: Timestamp::now(),
    };
    commit_status_set(tx, run.project, &run.commit, &status).await
}

fn describe(run: &RunRow) -> (&'static str, String) {
    match (run.state.as_str(), run.conclusion.as_deref()) {
        ("completed", Some("success")) => ("success", format!("{} jobs passed", run.jobs_total)),
        ("completed", Some("skipped")) => ("success", "all jobs were skipped".into()),
        ("completed", Some("cancelled")) => ("error", "cancelled".into()),
        ("completed", _) if run.jobs_total == 0 => ("error", "the workflow file has errors".into()),
        ("completed", _) => ("failure", "some jobs failed".into()),
        (_, _) => ("pending", format!("{} of {} jobs done", run.jobs_done, run.jobs_total)),
    }
}
