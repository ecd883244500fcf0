//! `image list`.

use super::Session;
use crate::api::with_query;
use crate::args::Image;
use crate::failure::Result;
use crate::output::{at, size, time};

pub(super) async fn run(command: Image, session: &Session) -> Result {
    let Image::List { name, of } = command;
    let path = format!("/projects/{}/images", session.project(&of)?);
    match name {
        None => {
            let items = session.api.list(&path, usize::MAX).await?;
            session.format.list(&items, &[("IMAGE", &at("name")), ("TAGS", &at("tags")), ("UPDATED", &time("updated_at"))])
        }
        Some(name) => {
            let path = with_query(&format!("{path}/tags"), [("name", Some(name.as_str()))]);
            let items = session.api.list(&path, usize::MAX).await?;
            let bytes = |t: &serde_json::Value| t["size"].as_u64().map(size).unwrap_or_default();
            session.format.list(&items, &[("TAG", &at("tag")), ("SIZE", &bytes), ("PUSHED", &time("pushed_at")), ("DIGEST", &at("digest"))])
        }
    }
}
