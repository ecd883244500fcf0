//! `runner list|drain|resume|remove` and `queue`.

use serde_json::{Value, json};

use super::Session;
use crate::api::{segment, with_query};
use crate::ci_args::{QueueOf, Runners};
use crate::failure::{Failure, Result};
use crate::output::{at, facts, text, time};

pub(super) async fn run(command: Runners, session: &Session) -> Result {
    match command {
        Runners::List => {
            let items = session.api.list("/runners", usize::MAX).await?;
            session.format.list(
                &items,
                &[
                    ("RUNNER", &at("id")),
                    ("NAME", &at("name")),
                    ("STATE", &at("state")),
                    ("VERSION", &at("version")),
                    ("JOBS", &jobs),
                    ("LABELS", &at("labels")),
                    ("SEEN", &time("last_seen_at")),
                ],
            )
        }
        Runners::Drain { runner } => change(session, &runner, true).await,
        Runners::Resume { runner } => change(session, &runner, false).await,
        Runners::Remove { runner } => {
            let id = find(session, &runner).await?;
            session.api.delete(&format!("/runners/{}", segment(&id))).await?;
            session.note(&format!("Removed the runner {runner}."));
            Ok(())
        }
    }
}

/// `2 of 4: acme/web test`
fn jobs(runner: &Value) -> String {
    let names: Vec<String> =
        runner["jobs"].as_array().into_iter().flatten().map(|j| format!("{} {}", text(j, "project"), text(j, "name"))).collect();
    let count = format!("{} of {}", runner["busy"], runner["capacity"]);
    if names.is_empty() { count } else { format!("{count}: {}", names.join(", ")) }
}

async fn find(session: &Session, wanted: &str) -> Result<String> {
    if wanted.starts_with("rnr_") {
        return Ok(wanted.to_owned());
    }
    let all = session.api.list("/runners", usize::MAX).await?;
    let mut found = all.iter().filter(|r| r["name"] == wanted);
    match (found.next(), found.next()) {
        (Some(runner), None) => Ok(text(runner, "id")),
        (None, _) => Err(Failure::NotFound(format!("there is no runner {wanted}"))),
        _ => Err(Failure::Usage(format!("several runners are called {wanted}; give an id"))),
    }
}

async fn change(session: &Session, runner: &str, draining: bool) -> Result {
    let id = find(session, runner).await?;
    let path = format!("/runners/{}", segment(&id));
    let changed: Value = session.api.patch(&path, &json!({"draining": draining}), &json!(0)).await?;
    session.format.show(&changed, |r| facts(&[("runner", text(r, "name")), ("state", text(r, "state")), ("jobs", jobs(r))]))
}

pub(super) async fn queue(of: QueueOf, session: &Session) -> Result {
    let queue: Value = session.api.get(&with_query("/queue", [("project", of.project.as_deref())])).await?;
    session.format.show(&queue, |queue| {
        let items = queue["items"].as_array().map_or(&[][..], Vec::as_slice);
        let table = crate::output::table(
            items,
            &[
                ("PLACE", &at("position")),
                ("PROJECT", &at("project.path")),
                ("JOB", &at("name")),
                ("STATE", &at("state")),
                ("LABELS", &at("labels")),
                ("SINCE", &time("queued_at")),
                ("WHY", &at("reason")),
            ],
        );
        format!("{} wait, {} run\n{table}", queue["total"], queue["running"])
    })
}
