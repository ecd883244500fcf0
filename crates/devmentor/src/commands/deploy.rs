//! `deploy` and `rollback`: start a deployment, show its steps, tell the outcome.

use serde_json::{Map, Value, json};

use super::Session;
use crate::api::segment;
use crate::args::{Deploy, Rollback};
use crate::failure::{Failure, Result};
use crate::output::{facts, state, text};
use crate::progress::{Row, Steps};

pub(super) async fn deploy(args: Deploy, session: &Session) -> Result {
    let project = session.project(&args.of)?;
    let mut body = json!({ "environment": args.environment });
    if let Some(image) = args.image {
        body["image"] = json!(image);
    }
    if let Some(release) = args.release {
        body["release"] = json!(release);
    }
    if !args.config.is_empty() {
        body["config"] = Value::Object(args.config.into_iter().map(|(k, v)| (k, Value::String(v))).collect::<Map<_, _>>());
    }
    let deployment: Value = session.api.post(&format!("/projects/{project}/deploy"), &body).await?;
    finish(session, deployment, args.no_wait).await
}

pub(super) async fn rollback(args: Rollback, session: &Session) -> Result {
    let project = session.project(&args.of)?;
    let environment = session.environment(&project, &args.environment).await?;
    let body = args.release.map_or_else(|| json!({}), |release| json!({ "release": release }));
    let deployment: Value = session.api.post(&format!("/environments/{}/rollback", segment(&environment)), &body).await?;
    finish(session, deployment, args.no_wait).await
}

/// Follows a deployment until it is over, unless told not to wait.
async fn finish(session: &Session, mut deployment: Value, no_wait: bool) -> Result {
    if no_wait {
        return session.format.show(&deployment, |d| format!("Started deployment {}.", text(d, "id")));
    }
    let path = format!("/deployments/{}", segment(&text(&deployment, "id")));
    let mut view = Steps::new(session.quiet);
    session
        .api
        .follow(&format!("{path}/events"), |_, now| {
            view.update(rows(&now));
            deployment = now;
            Ok(())
        })
        .await?;
    if deployment["state"] != "completed" {
        deployment = session.api.get(&path).await?;
    }
    drop(view);
    session.format.show(&deployment, |d| {
        facts(&[
            ("environment", text(d, "environment.name")),
            ("release", text(d, "release.number")),
            ("image", text(d, "release.image")),
            ("outcome", state(d)),
            ("reason", text(d, "reason")),
            ("address", text(d, "url")),
        ])
    })?;
    if deployment["conclusion"] == "success" {
        return Ok(());
    }
    let reason = text(&deployment, "reason");
    let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    Err(Failure::Failed(format!("the deployment ended with {}{why}", state(&deployment))))
}

fn rows(deployment: &Value) -> Vec<Row> {
    let steps = deployment["steps"].as_array().into_iter().flatten();
    steps
        .map(|s| Row { key: text(s, "name"), title: text(s, "name").replace('_', " "), state: text(s, "state"), detail: text(s, "detail") })
        .collect()
}
