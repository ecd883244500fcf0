//! `project create|list|show|delete|templates`.

use console::Term;
use egress::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::Session;
use crate::api::{segment, with_query};
use crate::args::{InProject, Project, word};
use crate::failure::{Failure, Result};
use crate::output::{at, facts, line, text, time};
use crate::progress::{Row, Steps};

pub(super) async fn run(command: Project, session: &Session) -> Result {
    match command {
        Project::Create { name, template, template_ref, params, description, visibility, language, topics, default_branch } => {
            let (namespace, name) = match name.rsplit_once('/') {
                Some((namespace, name)) => (Some(namespace.to_owned()), name.to_owned()),
                None => (None, name),
            };
            let parameters = match (&template, params.is_empty()) {
                (Some(template), false) => Some(typed(&declared(session, template).await, params)?),
                _ => None,
            };
            let mut body = json!({
                "name": name, "namespace": namespace, "description": description, "visibility": visibility.as_ref().map(word), "language": language,
                "template": template, "template_ref": template_ref, "parameters": parameters, "default_branch": default_branch,
                "topics": (!topics.is_empty()).then_some(topics),
            });
            if let Some(fields) = body.as_object_mut() {
                fields.retain(|_, value| !value.is_null());
            }
            let project = create(session, &body).await?;
            session.format.show(&project, show)
        }
        Project::List { namespace, member, visibility, language, topic, search, sort, archived, limit } => {
            let visibility = visibility.as_ref().map(word);
            let sort = word(&sort);
            let query = [
                ("namespace", namespace.as_deref()),
                ("member", member.as_deref()),
                ("visibility", visibility.as_deref()),
                ("language", language.as_deref()),
                ("topic", topic.as_deref()),
                ("q", search.as_deref()),
                ("sort", Some(sort.as_str())),
                ("order", Some(if sort == "name" { "asc" } else { "desc" })),
                ("archived", archived.then_some("true")),
            ];
            let items = session.api.list(&with_query("/projects/list", query), limit).await?;
            session.format.list(
                &items,
                &[
                    ("PROJECT", &at("path")),
                    ("VISIBILITY", &at("visibility")),
                    ("LANGUAGE", &at("language")),
                    ("ACTIVITY", &time("last_activity_at")),
                    ("DESCRIPTION", &at("description")),
                ],
            )
        }
        Project::Show { project } => {
            let id = session.project(&InProject { project })?;
            let project: Value = session.api.get(&format!("/projects/{id}")).await?;
            session.format.show(&project, show)
        }
        Project::Delete { project, yes } => {
            confirm(&project, yes)?;
            session.api.delete(&format!("/projects/{}", segment(&project))).await?;
            session.format.show(&json!({ "deleted": project }), |_| format!("Deleted {project}. It can be restored for 30 days."))
        }
        Project::Templates => {
            let answer: Value = session.api.get("/templates").await?;
            let items = answer["items"].as_array().cloned().unwrap_or_default();
            let ready = |t: &Value| if t["available"] == false { format!("needs {}", text(t, "missing")) } else { "yes".to_owned() };
            session
                .format
                .list(&items, &[("TEMPLATE", &at("name")), ("LANGUAGE", &at("language")), ("READY", &ready), ("TITLE", &at("title"))])
        }
    }
}

/// Starts the creation, shows its steps, and gives the project.
async fn create(session: &Session, body: &Value) -> Result<Value> {
    let answer = session.api.send(Method::POST, "/projects/create", Some(body), &[("prefer", "respond-async")]).await?;
    let accepted = answer.status() == StatusCode::ACCEPTED;
    let mut operation: Value = answer.json().await?;
    if !accepted {
        return Ok(operation);
    }
    let mut view = Steps::new(session.quiet);
    view.update(rows(&operation));
    let path = format!("/operations/{}", segment(&text(&operation, "id")));
    session
        .api
        .follow(&format!("{path}/events"), |_, now| {
            view.update(rows(&now));
            operation = now;
            Ok(())
        })
        .await?;
    if operation["state"] == "running" {
        operation = session.api.get(&path).await?;
    }
    if operation["state"] != "succeeded" {
        let problem = serde_json::to_vec(&operation["error"])?;
        let status = operation["error"]["status"].as_u64().and_then(|s| u16::try_from(s).ok()).unwrap_or(500);
        return Err(Failure::from_problem(status, &problem));
    }
    session.api.get(&format!("/projects/{}", segment(&text(&operation, "project_id")))).await
}

fn rows(operation: &Value) -> Vec<Row> {
    let steps = operation["steps"].as_array().into_iter().flatten();
    steps.map(|s| Row { key: text(s, "name"), title: text(s, "title"), state: text(s, "state"), detail: text(s, "detail") }).collect()
}

/// The types of a template's parameters; nothing when it is not a built-in one, and the server judges alone.
async fn declared(session: &Session, template: &str) -> Value {
    session.api.get(&format!("/templates/{}", segment(template))).await.unwrap_or_default()
}

/// Turns `NAME=VALUE` into JSON of the declared type.
fn typed(template: &Value, params: Vec<(String, String)>) -> Result<Map<String, Value>> {
    let kind = |name: &str| template["parameters"].as_array().into_iter().flatten().find(|p| p["name"] == name).map(|p| text(p, "type"));
    let mut out = Map::new();
    for (name, value) in params {
        let bad = |what: &str| Failure::Usage(format!("parameter {name}: {what} is expected"));
        let typed = match kind(&name).as_deref() {
            Some("integer") => json!(value.parse::<i64>().map_err(|_| bad("a whole number"))?),
            Some("boolean") => json!(value.parse::<bool>().map_err(|_| bad("true or false"))?),
            _ => json!(value),
        };
        out.insert(name, typed);
    }
    Ok(out)
}

fn show(project: &Value) -> String {
    facts(&[
        ("project", text(project, "path")),
        ("id", text(project, "id")),
        ("description", text(project, "description")),
        ("visibility", text(project, "visibility")),
        ("language", text(project, "language")),
        ("topics", text(project, "topics")),
        ("template", text(project, "template")),
        ("default branch", text(project, "default_branch")),
        ("archived", if project["archived"] == true { "yes".to_owned() } else { String::new() }),
        ("your role", text(project, "role")),
        ("clone", text(project, "clone_url")),
        ("page", text(project, "web_url")),
        ("registry", text(project, "registry")),
        ("created", time("created_at")(project)),
        ("last activity", time("last_activity_at")(project)),
    ])
}

fn confirm(project: &str, yes: bool) -> Result {
    if yes {
        return Ok(());
    }
    let term = Term::stderr();
    if !term.is_term() {
        return Err(Failure::Usage("give --yes to delete without being asked".to_owned()));
    }
    term.write_str(&format!("Type {project} to delete it: "))?;
    if term.read_line()?.trim() == project {
        return Ok(());
    }
    line("Nothing was deleted.")?;
    Err(Failure::Usage("the name was not repeated".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_take_their_declared_type() {
        let template = json!({"parameters": [{"name": "port", "type": "integer"}, {"name": "tls", "type": "boolean"}, {"name": "word", "type": "string"}]});
        let pairs = |list: &[(&str, &str)]| list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let got = typed(&template, pairs(&[("port", "80"), ("tls", "true"), ("word", "80"), ("other", "x")])).unwrap();
        assert_eq!(Value::Object(got), json!({"port": 80, "tls": true, "word": "80", "other": "x"}));
        assert_eq!(typed(&template, pairs(&[("port", "many")])).unwrap_err().exit_code(), 2);
    }
}
