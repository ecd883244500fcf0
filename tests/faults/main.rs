//! `kill -9` at each durable step, then a restart: nothing acknowledged is lost, nothing is there half, nothing is done twice.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod builds;
mod chaos;
mod deployments;
mod instances;
mod requests;
mod source;

use serde_json::Value;
use testkit::{Api, ServerOptions};

fn quiet() -> ServerOptions {
    ServerOptions::default().set("RUNNER", "false")
}

#[track_caller]
fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no text {key} in {value:#}"))
}

/// All events of a kind.
fn events(admin: &Api, kind: &str) -> Vec<Value> {
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let page = admin.get(&format!("/events?limit=100{after}")).expect(200);
        found.extend(page.items().into_iter().filter(|e| e["type"] == kind));
        match page.json["next"].as_str() {
            Some(next) if !page.items().is_empty() => after = format!("&after={next}"),
            _ => return found,
        }
    }
}
