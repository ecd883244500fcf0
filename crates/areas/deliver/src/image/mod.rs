//! Images of a project as people see them. The protocol that pushes and pulls them is the registry's door.

pub mod provenance;
pub mod routes;

use std::time::Duration;

use blobs::Blobs;
use kernel::Result;
use kernel::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use utoipa::IntoParams;
use utoipa::ToSchema;
use web_kit::App;

/// An upload that nobody touched for so long is given up.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// An image of a project.
#[derive(Debug, Serialize, ToSchema)]
pub struct Image {
    /// Its repository name: the project's path, or that and a name of its own.
    pub name: String,
    /// Newest tags first, at most 20.
    pub tags: Vec<String>,
    /// When it was pushed to last.
    #[schema(value_type = String)]
    pub updated_at: Timestamp,
}

/// A tag of an image.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImageTag {
    /// The image's repository name.
    pub name: String,
    /// The tag.
    pub tag: String,
    /// The manifest it names.
    pub digest: String,
    /// Bytes of the image.
    pub size: u64,
    /// Media type of the manifest.
    pub media_type: String,
    /// When it was set last.
    #[schema(value_type = String)]
    pub pushed_at: Timestamp,
}

/// Which image's tags.
#[derive(Debug, Deserialize, IntoParams)]
pub struct TagQuery {
    /// The image's repository name; the project's own when not given.
    pub name: Option<String>,
}

fn full(path: &str, image: &str) -> String {
    if image.is_empty() { path.to_owned() } else { format!("{path}/{image}") }
}

/// The image's name within the project: a repository name without the project's path, or that name itself.
pub(crate) fn image_of<'a>(path: &str, name: &'a str) -> &'a str {
    match name.strip_prefix(path) {
        Some("") => "",
        Some(rest) if rest.starts_with('/') => &rest[1..],
        _ => name,
    }
}

/// Gives up uploads that nobody goes on with.
///
/// # Errors
/// The storage's.
pub async fn sweep(app: App) -> Result<()> {
    let swept = app.part::<Blobs>()?.sweep(ABANDONED).await?;
    if swept.count > 0 {
        tracing::info!(count = swept.count, bytes = swept.bytes, "abandoned uploads were removed");
    }
    Ok(())
}
