//! `schedule list|create|edit|delete|play`.

use serde_json::{Map, Value, json};

use super::Session;
use crate::api::segment;
use crate::args::word;
use crate::ci_args::{Schedule, ScheduleOf};
use crate::failure::Result;
use crate::output::{at, facts, text, time};

pub(super) async fn run(command: Schedule, session: &Session) -> Result {
    match command {
        Schedule::List { of } => {
            let path = format!("/projects/{}/schedules", session.project(&of)?);
            let items = session.api.list(&path, usize::MAX).await?;
            session.format.list(
                &items,
                &[
                    ("SCHEDULE", &at("id")),
                    ("CRON", &at("cron")),
                    ("ZONE", &at("timezone")),
                    ("REF", &at("ref")),
                    ("WORKFLOW", &at("workflow")),
                    ("FROM", &at("source")),
                    ("STATE", &state),
                    ("NEXT", &time("next_at")),
                    ("OWNER", &at("owner.name")),
                ],
            )
        }
        Schedule::Create { cron, what, of } => {
            let mut body = body(what);
            body.insert("cron".into(), json!(cron));
            let path = format!("/projects/{}/schedules", session.project(&of)?);
            let made: Value = session.api.post(&path, &Value::Object(body)).await?;
            session.format.show(&made, shown)
        }
        Schedule::Edit { schedule, cron, off, on, what } => {
            let path = format!("/schedules/{}", segment(&schedule));
            let mut body = body(what);
            if let Some(cron) = cron {
                body.insert("cron".into(), json!(cron));
            }
            if on || off {
                body.insert("active".into(), json!(on));
            }
            let now: Value = session.api.get(&path).await?;
            let changed: Value = session.api.patch(&path, &Value::Object(body), &now["version"]).await?;
            session.format.show(&changed, shown)
        }
        Schedule::Delete { schedule } => {
            session.api.delete(&format!("/schedules/{}", segment(&schedule))).await?;
            session.note(&format!("Removed the schedule {schedule}."));
            Ok(())
        }
        Schedule::Play { schedule } => {
            let runs: Value = session.api.post(&format!("/schedules/{}/play", segment(&schedule)), &json!({})).await?;
            session.format.show(&runs, |runs| {
                let ids = runs["items"].as_array().into_iter().flatten().map(|r| format!("{} {}", text(r, "id"), text(r, "name")));
                ids.collect::<Vec<_>>().join("\n")
            })
        }
    }
}

fn state(schedule: &Value) -> String {
    let state = if schedule["active"] == true { "on" } else { "off" };
    match schedule["reason"].as_str() {
        Some(why) => format!("{state}: {why}"),
        None => state.to_owned(),
    }
}

fn shown(schedule: &Value) -> String {
    facts(&[
        ("schedule", text(schedule, "id")),
        ("cron", format!("{} ({})", text(schedule, "cron"), text(schedule, "timezone"))),
        ("ref", text(schedule, "ref")),
        ("state", state(schedule)),
        ("next", text(schedule, "next_at")),
    ])
}

fn body(what: ScheduleOf) -> Map<String, Value> {
    let mut body = Map::new();
    let texts = [("ref", what.reference), ("timezone", what.timezone), ("workflow", what.workflow), ("description", what.description)];
    for (name, value) in texts {
        body.extend(value.map(|v| (name.to_owned(), json!(v))));
    }
    body.extend(what.missed.map(|m| ("missed".to_owned(), json!(word(&m)))));
    for (name, pairs) in [("variables", what.variables), ("inputs", what.inputs)] {
        if !pairs.is_empty() {
            body.insert(name.into(), pairs.into_iter().map(|(k, v)| (k, Value::String(v))).collect::<Map<_, _>>().into());
        }
    }
    body
}
