//! `environment list|create|delete`, and `jobs|stop` for those that jobs of pipelines name.

use serde_json::{Map, Value, json};

use super::Session;
use crate::api::segment;
use crate::args::{Environment, word};
use crate::failure::{Failure, Result};
use crate::output::{at, facts, text, time};

pub(super) async fn run(command: Environment, session: &Session) -> Result {
    match command {
        Environment::List { of } => {
            let path = format!("/projects/{}/environments", session.project(&of)?);
            let items = session.api.list(&path, usize::MAX).await?;
            session.format.list(
                &items,
                &[
                    ("ENVIRONMENT", &at("name")),
                    ("STATE", &at("state")),
                    ("TARGET", &at("target")),
                    ("RELEASE", &at("current.number")),
                    ("IMAGE", &at("current.image")),
                    ("ADDRESS", &at("url")),
                ],
            )
        }
        Environment::Delete { name, of } => {
            let project = session.project(&of)?;
            let id = session.environment(&project, &name).await?;
            session.api.delete(&format!("/environments/{}", segment(&id))).await?;
            session.note(&format!("Deleted the environment {name}."));
            Ok(())
        }
        Environment::Jobs { state, of } => {
            let query = state.map(|s| format!("?state={}", segment(&s))).unwrap_or_default();
            let path = format!("/projects/{}/job-environments{query}", session.project(&of)?);
            let items = session.api.list(&path, usize::MAX).await?;
            session.format.list(
                &items,
                &[
                    ("ENVIRONMENT", &at("name")),
                    ("STATE", &at("state")),
                    ("TIER", &at("tier")),
                    ("REF", &at("ref")),
                    ("ADDRESS", &at("url")),
                    ("ENDS", &time("auto_stop_at")),
                    ("DETAIL", &at("detail")),
                ],
            )
        }
        Environment::Stop { name, force, of } => {
            let items = session.api.list(&format!("/projects/{}/job-environments", session.project(&of)?), usize::MAX).await?;
            let Some(found) = items.iter().find(|e| e["name"] == name.as_str()) else {
                return Err(Failure::NotFound(format!("no job has deployed to {name}")));
            };
            let path = format!("/job-environments/{}/stop", segment(&text(found, "id")));
            let stopped: Value = session.api.post(&path, &json!({ "force": force })).await?;
            session.format.show(&stopped, |e| format!("{} is {}.", text(e, "name"), text(e, "state")))
        }
        Environment::Create { name, target, config, health_path, container_port, of } => {
            let path = format!("/projects/{}/environments", session.project(&of)?);
            let mut body = json!({ "name": name });
            if let Some(target) = target {
                body["target"] = json!(word(&target));
            }
            if !config.is_empty() {
                body["config"] = Value::Object(config.into_iter().map(|(k, v)| (k, Value::String(v))).collect::<Map<_, _>>());
            }
            if let Some(path) = health_path {
                body["health"] = json!({ "path": path });
            }
            if let Some(port) = container_port {
                body["container_port"] = json!(port);
            }
            let made: Value = session.api.post(&path, &body).await?;
            session.format.show(&made, |e| {
                facts(&[
                    ("environment", text(e, "name")),
                    ("id", text(e, "id")),
                    ("target", text(e, "target")),
                    ("address", text(e, "url")),
                ])
            })
        }
    }
}
