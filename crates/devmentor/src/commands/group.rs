//! `group list|create`.

use serde_json::{Value, json};

use super::Session;
use crate::args::{Group, word};
use crate::failure::Result;
use crate::output::{at, facts, text};

pub(super) async fn run(command: Group, session: &Session) -> Result {
    match command {
        Group::List => {
            let items = session.api.list("/groups", usize::MAX).await?;
            session.format.list(&items, &[("GROUP", &at("path")), ("VISIBILITY", &at("visibility")), ("DESCRIPTION", &at("description"))])
        }
        Group::Create { path, description, visibility } => {
            let mut body = json!({ "path": path });
            if let Some(description) = description {
                body["description"] = json!(description);
            }
            if let Some(visibility) = visibility {
                body["visibility"] = json!(word(&visibility));
            }
            let group: Value = session.api.post("/groups", &body).await?;
            session
                .format
                .show(&group, |g| facts(&[("group", text(g, "path")), ("id", text(g, "id")), ("visibility", text(g, "visibility"))]))
        }
    }
}
