//! The API's description, generated from the routes, and the page that shows it.

use axum::Router;
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use http::header;
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use web_kit::App;

struct Security;

impl utoipa::Modify for Security {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let parts = api.components.get_or_insert_with(Default::default);
        parts.add_security_scheme("bearer", SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build()));
        parts.add_security_scheme("basic", SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Basic).build()));
    }
}

/// What is said of the whole API.
#[derive(OpenApi)]
#[openapi(
    info(title = "DevMentor Project Service", description = "Create, host, build, deploy and watch software projects."),
    components(schemas(web_kit::ProblemBody)),
    modifiers(&Security),
    security((), ("bearer" = []), ("basic" = []))
)]
pub struct Base;

/// Nothing of its own in the description.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
}

/// The description as pretty JSON.
pub fn text(description: &utoipa::openapi::OpenApi) -> String {
    description.to_pretty_json().unwrap_or_default()
}

/// Serves the description and its page.
pub fn served(description: utoipa::openapi::OpenApi) -> Router<App> {
    let json: axum::body::Bytes = text(&description).into();
    let page = page(&description);
    Router::new()
        .route(
            "/openapi.json",
            get(move || {
                let json = json.clone();
                async move { ([(header::CONTENT_TYPE, "application/json")], json).into_response() }
            }),
        )
        .route(
            "/docs",
            get(move || {
                let page = page.clone();
                async move { ([(header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'")], Html(page)).into_response() }
            }),
        )
        .route("/docs/errors", get(async || ([(header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'")], Html(errors()))))
}

const STYLE: &str = "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>
<style>:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}body{max-width:62rem;margin:2rem auto;padding:0 1rem}
code,.m{font-family:ui-monospace,monospace;font-size:.9em}h2{margin:2.2rem 0 .4rem;border-bottom:1px solid #8884}
details{border:1px solid #8884;border-radius:6px;margin:.4rem 0;padding:.35rem .7rem}summary{cursor:pointer}
.m{display:inline-block;width:4.2rem;font-weight:700}.s{opacity:.75}table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:.25rem .6rem;border-bottom:1px solid #8883;vertical-align:top}pre{overflow:auto;background:#8881;padding:.6rem;border-radius:6px}</style>";

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn page(description: &utoipa::openapi::OpenApi) -> String {
    use std::collections::BTreeMap;
    use std::fmt::Write as _;
    let value = serde_json::to_value(description).unwrap_or_default();
    let mut by_tag: BTreeMap<String, Vec<(String, String, serde_json::Value)>> = BTreeMap::new();
    for (path, item) in value["paths"].as_object().into_iter().flatten() {
        for (method, op) in item.as_object().into_iter().flatten().filter(|(_, op)| op.is_object()) {
            let tag = op["tags"][0].as_str().unwrap_or("other").to_owned();
            by_tag.entry(tag).or_default().push((path.clone(), method.to_uppercase(), op.clone()));
        }
    }
    let mut out = format!(
        "{STYLE}<title>API</title><h1>DevMentor Project Service API</h1><p>Description: <a href=/openapi.json>/openapi.json</a> · <a href=/docs/errors>error codes</a></p>"
    );
    for (tag, ops) in by_tag {
        let _ = write!(out, "<h2>{}</h2>", escape(&tag));
        for (path, method, op) in ops {
            let summary = op["summary"].as_str().or(op["description"].as_str()).unwrap_or("");
            let _ = write!(
                out,
                "<details><summary><span class=m>{method}</span><code>{}</code> <span class=s>{}</span></summary>",
                escape(&path),
                escape(summary)
            );
            let rows = op["parameters"].as_array().cloned().unwrap_or_default();
            if !rows.is_empty() {
                out.push_str("<table><tr><th>parameter<th>in<th>meaning</tr>");
                for p in rows {
                    let _ = write!(
                        out,
                        "<tr><td><code>{}</code><td>{}<td>{}</tr>",
                        escape(p["name"].as_str().unwrap_or("")),
                        escape(p["in"].as_str().unwrap_or("")),
                        escape(p["description"].as_str().unwrap_or(""))
                    );
                }
                out.push_str("</table>");
            }
            for (title, schema) in [("body", &op["requestBody"]), ("answers", &op["responses"])] {
                if !schema.is_null() {
                    let _ = write!(out, "<p>{title}<pre>{}</pre>", escape(&serde_json::to_string_pretty(schema).unwrap_or_default()));
                }
            }
            out.push_str("</details>");
        }
    }
    out
}

fn errors() -> String {
    use std::fmt::Write as _;
    let mut out = format!("{STYLE}<title>Error codes</title><h1>Error codes</h1><table><tr><th>code<th>status<th>title</tr>");
    for code in kernel::Code::ALL {
        let _ = write!(out, "<tr id={0}><td><code>{0}</code><td>{1}<td>{2}</tr>", code.as_str(), code.status(), code.title());
    }
    out + "</table>"
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_description_is_current() {
        let committed = include_str!("../../../openapi.json");
        assert!(committed.trim_end() == crate::openapi_json().trim_end(), "openapi.json is not current: run `make openapi`");
    }
}
