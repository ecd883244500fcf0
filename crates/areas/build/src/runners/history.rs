//! The builds before a run, as a pipeline of Jenkins asks for them: how the last one ended, and what has changed since.

use dialects::jenkins::run::{Change, History, Past};
use git::{Oid, Repositories};
use kernel::Result;
use serde_json::Value;
use store::job::job_list;
use store::run::{RunFilter, RunRow, run_list};
use web_kit::App;

use crate::schedule::finish::UNSTABLE;
use crate::workflows::source;

/// Runs that are looked through for one that ended well.
const LOOK_BACK: i64 = 50;
/// Most commits between two builds that are shown.
const COMMITS: usize = 100;
/// Most bytes of a commit's message.
const MESSAGE: usize = 4096;

/// The history of a run: builds of the same file for the same ref.
///
/// # Errors
/// The database's, the repository's.
pub async fn history(app: &App, run: &RunRow, contexts: &Value) -> Result<History> {
    let filter = RunFilter {
        r#ref: Some(run.r#ref.clone()),
        state: Some("completed".into()),
        workflow: Some(run.workflow.clone()),
        ..RunFilter::default()
    };
    let before = run_list(app.db(), run.project, &filter, Some(run.number), LOOK_BACK).await?;
    let mut history = History::default();
    if let Some(last) = before.first() {
        history.previous = Some(past(app, last).await?);
    }
    for one in before.iter().filter(|r| r.conclusion.as_deref() == Some("success")) {
        let found = past(app, one).await?;
        if found.result == "SUCCESS" {
            history.success = Some(found);
            break;
        }
    }
    let pushed_over = contexts["github"]["event"]["before"].as_str();
    let since = before.first().map(|r| r.commit.as_str()).or(pushed_over);
    let Some(old) = since.and_then(|oid| Oid::parse(oid).ok()) else { return Ok(history) };
    let new = Oid::parse(&run.commit)?;
    let repository = app.part::<Repositories>()?.get(run.project)?;
    let (files, commits) = repository
        .read(move |reader| {
            if !reader.has(old) {
                return Ok((None, Vec::new()));
            }
            let (commits, _) = reader.commits_between(Some(reader.peel_to_commit(old)?), new, COMMITS)?;
            Ok((source::changes(reader, old, new)?, commits))
        })
        .await?;
    history.files = files;
    history.commits = commits
        .into_iter()
        .map(|c| Change {
            id: c.oid.to_hex(),
            message: c.message.chars().take(MESSAGE).collect(),
            author: c.author.name,
            time: c.author.time.millis(),
        })
        .collect();
    Ok(history)
}

/// How a run ended, in the words of Jenkins.
async fn past(app: &App, run: &RunRow) -> Result<Past> {
    let result = match run.conclusion.as_deref() {
        Some("success") => {
            let jobs = job_list(app.db(), run.id).await?;
            if jobs.iter().any(|j| j.reason.as_deref() == Some(UNSTABLE)) { "UNSTABLE" } else { "SUCCESS" }
        }
        Some("cancelled") => "ABORTED",
        Some("skipped") => "NOT_BUILT",
        _ => "FAILURE",
    };
    Ok(Past { number: run.number, result: result.into() })
}
