//! `devmentor/deploy`: asks the service to deploy an image of the project, and waits for the end.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{ActionEnd, ActionResult, Call, failed};

pub(super) async fn run(call: &mut Call<'_>) -> ActionResult {
    let environment = call.required("environment")?;
    let image = call.input("image").map(str::to_owned);
    let config = match call.input("config") {
        None => None,
        Some(text) => Some(config(text)?),
    };
    let wait = call.flag("wait", true)?;
    // a job that is tried again because its machine failed does not deploy a second time; one that somebody retries does
    let attempt = call.spec.contexts.get("github").and_then(|g| g["run_attempt"].as_str()).unwrap_or("1");
    let cell = call.spec.contexts.get("strategy").map_or(0, |s| s["job-index"].as_u64().unwrap_or(0));
    let key = format!("{attempt}/{}/{cell}/{}", call.spec.job.key, call.index);
    let mut state = call.host.deploy(&key, &environment, image.as_deref(), config).await?;
    call.out.line(&format!("Deployment {} to {environment}", state.id)).await?;
    let mut said: Vec<(String, String)> = Vec::new();
    while wait && state.state != "completed" {
        tokio::time::sleep(Duration::from_millis(500)).await;
        state = call.host.deploy_state(&state.id).await?;
        for step in &state.steps {
            if !said.contains(step) && step.1 != "pending" {
                call.out.line(&format!("{}: {}", step.0, step.1)).await?;
                said.push(step.clone());
            }
        }
    }
    let end = ActionEnd::default().output("deployment", state.id.clone()).output("url", state.url.clone().unwrap_or_default());
    match state.conclusion.as_deref() {
        None if !wait => Ok(end),
        Some("success") => {
            if let Some(url) = &state.url {
                call.out.line(&format!("{environment} answers at {url}")).await?;
            }
            Ok(end)
        }
        other => {
            let how = other.unwrap_or("without a result");
            failed(format!("the deployment ended: {how}. {}", state.reason.unwrap_or_default()))
        }
    }
}

/// A JSON object of texts, or lines `NAME=value`.
fn config(text: &str) -> ActionResult<Value> {
    if text.starts_with('{') {
        return match serde_json::from_str::<Value>(text) {
            Ok(value) => Ok(value),
            Err(error) => failed(format!("`config` is not valid JSON: {error}")),
        };
    }
    let mut map = Map::new();
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        match line.split_once('=') {
            Some((name, value)) => map.insert(name.trim().to_owned(), value.into()),
            None => return failed(format!("`config` holds `{line}`, which is not NAME=value")),
        };
    }
    Ok(map.into())
}
