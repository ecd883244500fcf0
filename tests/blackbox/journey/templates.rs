//! Every template's own workflow is green on this machine from the first commit, to the running application; a template
//! whose tools are missing is refused by their names.

use serde_json::json;
use testkit::{Api, Database};

use super::{Person, text};

/// Makes a project, waits for its first run, and asks what it deployed.
fn green(template: &str, parameters: &serde_json::Value, path: &str, says: &str) {
    let ann = Person::new(Database::Sqlite, "process");
    let known = ann.api.get(&format!("/templates/{template}")).expect(200).json;
    let body = json!({ "name": "app", "template": template, "parameters": parameters });
    let missing: Vec<&str> = known["missing"].as_array().unwrap().iter().map(|m| m.as_str().unwrap()).collect();
    if !missing.is_empty() {
        let refused = ann.api.post("/projects/create", &body);
        assert!(refused.status >= 400 && missing.iter().all(|tool| refused.text().contains(tool)), "{}", refused.text());
        eprintln!("{template} cannot be built on this machine without {missing:?}, and is refused");
        return;
    }
    let made = ann.api.post("/projects/create", &body).expect(201);
    let commit = ann.api.get("/projects/ann%2Fapp/refs").expect(200).json["branches"][0]["commit"].as_str().unwrap().to_owned();
    assert_eq!(made.json["language"], known["language"]);
    let run = ann.run_of("ann/app", &commit);
    let run = ann.ended(text(&run, "id"));
    ann.green(&run);
    assert_eq!(run["diagnostics"], json!([]), "its own file is understood without a remark");
    let totals = ann.api.get(&format!("/runs/{}/tests", text(&run, "id"))).expect(200).json["totals"].clone();
    assert!(totals["passed"].as_u64() > Some(2) && totals["passed"] == totals["tests"], "{totals}");
    let environment = ann.api.get("/projects/ann%2Fapp/environments").expect(200).items()[0].clone();
    assert_eq!((&environment["state"], &environment["current"]["commit"]), (&json!("healthy"), &json!(commit)));
    let application = Api::new(text(&environment, "url"));
    application.get("/health").expect(200);
    let answer = application.get(path).expect(200).text();
    assert!(answer.contains(says), "{answer}");
}

#[test]
fn rust_http() {
    green("rust-http", &json!({ "greeting": "Moin" }), "/?name=Ada", "Moin, Ada!");
}

#[test]
fn node_ts() {
    green("node-ts", &json!({ "greeting": "Moin" }), "/?name=Ada", "Moin, Ada!");
}

#[test]
fn python() {
    green("python", &json!({ "greeting": "Moin" }), "/?name=Ada", "Moin, Ada!");
}

#[test]
fn static_site() {
    green("static-site", &json!({ "greeting": "Moin from here" }), "/", "Moin from here");
}
