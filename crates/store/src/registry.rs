//! Images: manifests, the tags that name them, what they need. The bytes of layers lie with the blobs.
//!
//! An image's name is what follows the project's path in its repository name; empty for the project itself.

use kernel::{ProjectId, Result, Timestamp, UserId};

use crate::db::{Db, Q, Tx};
use crate::{Row, args, sql};

/// A stored manifest.
#[derive(Clone, Debug)]
pub struct ManifestRow {
    /// Whose it is.
    pub project: ProjectId,
    /// The image's name within the project.
    pub image: String,
    /// `sha256:…` of `content`.
    pub digest: String,
    /// As it was pushed.
    pub media_type: String,
    /// The bytes as they were pushed.
    pub content: Vec<u8>,
    /// Bytes of the image's configuration and layers.
    pub image_size: u64,
    /// Digest of the manifest that this one is about.
    pub subject: Option<String>,
    /// Its descriptor among the referrers of the subject.
    pub referrer: Option<serde_json::Value>,
    /// What kind of artifact it is.
    pub artifact_type: Option<String>,
    /// Who pushed it.
    pub account: Option<UserId>,
    /// When it was pushed last.
    pub pushed_at: Timestamp,
}

/// A manifest as it is served.
#[derive(Clone, Debug)]
pub struct ManifestContent {
    /// Its digest.
    pub digest: String,
    /// Its media type.
    pub media_type: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

fn content_from(row: &Row) -> Result<ManifestContent> {
    Ok(ManifestContent { digest: row.get("digest")?, media_type: row.get("media_type")?, content: row.get("content")? })
}

/// A tag and what it names.
#[derive(Clone, Debug)]
pub struct TagRow {
    /// The image's name within the project.
    pub image: String,
    /// The tag.
    pub tag: String,
    /// The manifest it names.
    pub digest: String,
    /// Bytes of the image.
    pub size: u64,
    /// Media type of the manifest.
    pub media_type: String,
    /// When it was set last.
    pub pushed_at: Timestamp,
}

/// An image of a project with some of its tags.
#[derive(Clone, Debug)]
pub struct ImageRow {
    /// The image's name within the project.
    pub name: String,
    /// Newest tags first, at most 20.
    pub tags: Vec<String>,
    /// When it was pushed to last.
    pub updated_at: Timestamp,
}

/// Stores a manifest and what it needs; pushing the same again only renews its time.
///
/// # Errors
/// The database's.
pub async fn manifest_put(tx: &mut Tx, m: &ManifestRow, needs: &[String]) -> Result<()> {
    tx.exec(
        sql!(
            "INSERT INTO registry_manifest (project_id, image, digest, media_type, content, image_size, subject, referrer, artifact_type, account_id, pushed_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
             ON CONFLICT (project_id, image, digest) DO UPDATE SET pushed_at = excluded.pushed_at, media_type = excluded.media_type"
        ),
        args![
            m.project,
            &m.image,
            &m.digest,
            &m.media_type,
            m.content.clone(),
            m.image_size,
            m.subject.clone(),
            m.referrer.clone(),
            m.artifact_type.clone(),
            m.account,
            m.pushed_at
        ],
    )
    .await?;
    for target in needs {
        tx.exec(
            sql!("INSERT INTO registry_link (project_id, image, digest, target) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"),
            args![m.project, &m.image, &m.digest, target],
        )
        .await?;
    }
    Ok(())
}

/// Makes a tag name a manifest.
///
/// # Errors
/// The database's.
pub async fn tag_put(tx: &mut Tx, m: &ManifestRow, tag: &str) -> Result<()> {
    tx.exec(
        sql!(
            "INSERT INTO registry_tag (project_id, image, tag, digest, account_id, pushed_at) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (project_id, image, tag) DO UPDATE SET digest = excluded.digest, account_id = excluded.account_id, pushed_at = excluded.pushed_at"
        ),
        args![m.project, &m.image, tag, &m.digest, m.account, m.pushed_at],
    )
    .await
    .map(|_| ())
}

/// A manifest by its digest.
///
/// # Errors
/// The database's.
pub async fn manifest_by_digest(q: impl Into<Q<'_>>, project: ProjectId, image: &str, digest: &str) -> Result<Option<ManifestContent>> {
    let row = q
        .into()
        .opt(
            sql!("SELECT digest, media_type, content FROM registry_manifest WHERE project_id = $1 AND image = $2 AND digest = $3"),
            args![project, image, digest],
        )
        .await?;
    row.as_ref().map(content_from).transpose()
}

/// The name of an image of the project that has this manifest.
///
/// # Errors
/// The database's.
pub async fn image_of_digest(q: impl Into<Q<'_>>, project: ProjectId, digest: &str) -> Result<Option<String>> {
    let row = q
        .into()
        .opt(
            sql!("SELECT image FROM registry_manifest WHERE project_id = $1 AND digest = $2 ORDER BY image LIMIT 1"),
            args![project, digest],
        )
        .await?;
    row.map(|r| r.get("image")).transpose()
}

/// The manifest a tag names.
///
/// # Errors
/// The database's.
pub async fn manifest_by_tag(q: impl Into<Q<'_>>, project: ProjectId, image: &str, tag: &str) -> Result<Option<ManifestContent>> {
    let row = q
        .into()
        .opt(
            sql!(
                "SELECT m.digest, m.media_type, m.content FROM registry_tag t
                 JOIN registry_manifest m ON m.project_id = t.project_id AND m.image = t.image AND m.digest = t.digest
                 WHERE t.project_id = $1 AND t.image = $2 AND t.tag = $3"
            ),
            args![project, image, tag],
        )
        .await?;
    row.as_ref().map(content_from).transpose()
}

/// Deletes a manifest, its tags and links. Was it there?
///
/// # Errors
/// The database's.
pub async fn manifest_delete(tx: &mut Tx, project: ProjectId, image: &str, digest: &str) -> Result<bool> {
    for statement in [
        sql!("DELETE FROM registry_tag WHERE project_id = $1 AND image = $2 AND digest = $3"),
        sql!("DELETE FROM registry_link WHERE project_id = $1 AND image = $2 AND digest = $3"),
        sql!("DELETE FROM registry_push WHERE project_id = $1 AND image = $2 AND digest = $3"),
    ] {
        tx.exec(statement, args![project, image, digest]).await?;
    }
    let n = tx
        .exec(sql!("DELETE FROM registry_manifest WHERE project_id = $1 AND image = $2 AND digest = $3"), args![project, image, digest])
        .await?;
    Ok(n == 1)
}

/// Deletes a tag and leaves its manifest. Was it there?
///
/// # Errors
/// The database's.
pub async fn tag_delete(db: &Db, project: ProjectId, image: &str, tag: &str) -> Result<bool> {
    let n = db.exec(sql!("DELETE FROM registry_tag WHERE project_id = $1 AND image = $2 AND tag = $3"), args![project, image, tag]).await?;
    Ok(n == 1)
}

/// Does anything of the project need this blob or manifest?
///
/// # Errors
/// The database's.
pub async fn target_is_linked(q: impl Into<Q<'_>>, project: ProjectId, target: &str) -> Result<bool> {
    let row = q
        .into()
        .opt(sql!("SELECT 1 AS one FROM registry_link WHERE project_id = $1 AND target = $2 LIMIT 1"), args![project, target])
        .await?;
    Ok(row.is_some())
}

/// Does any release of the project run this manifest, or may it be rolled back to?
///
/// # Errors
/// The database's.
pub async fn manifest_is_released(q: impl Into<Q<'_>>, project: ProjectId, digest: &str) -> Result<bool> {
    let row = q
        .into()
        .opt(
            sql!(
                "SELECT 1 AS one FROM release r JOIN environment e ON e.release_id = r.id
                 WHERE r.project_id = $1 AND r.digest = $2 AND e.deleted_at IS NULL LIMIT 1"
            ),
            args![project, digest],
        )
        .await?;
    Ok(row.is_some())
}

/// Has the project an image of this name?
///
/// # Errors
/// The database's.
pub async fn image_exists(q: impl Into<Q<'_>>, project: ProjectId, image: &str) -> Result<bool> {
    let row = q
        .into()
        .opt(sql!("SELECT 1 AS one FROM registry_manifest WHERE project_id = $1 AND image = $2 LIMIT 1"), args![project, image])
        .await?;
    Ok(row.is_some())
}

/// Tags of an image in byte order, after `last`.
///
/// # Errors
/// The database's.
pub async fn tag_names(db: &Db, project: ProjectId, image: &str, last: &str, limit: i64) -> Result<Vec<String>> {
    let rows = db
        .all(
            sql!("SELECT tag FROM registry_tag WHERE project_id = $1 AND image = $2 AND tag > $3 ORDER BY tag LIMIT $4"),
            args![project, image, last, limit],
        )
        .await?;
    rows.iter().map(|r| r.get("tag")).collect()
}

/// Tags of an image with what they name, in byte order, after `last`.
///
/// # Errors
/// The database's.
pub async fn tag_list(db: &Db, project: ProjectId, image: &str, last: &str, limit: i64) -> Result<Vec<TagRow>> {
    let rows = db
        .all(
            sql!(
                "SELECT t.image, t.tag, t.digest, m.image_size, m.media_type, t.pushed_at FROM registry_tag t
                 JOIN registry_manifest m ON m.project_id = t.project_id AND m.image = t.image AND m.digest = t.digest
                 WHERE t.project_id = $1 AND t.image = $2 AND t.tag > $3 ORDER BY t.tag LIMIT $4"
            ),
            args![project, image, last, limit],
        )
        .await?;
    rows.iter()
        .map(|r| {
            Ok(TagRow {
                image: r.get("image")?,
                tag: r.get("tag")?,
                digest: r.get("digest")?,
                size: r.get("image_size")?,
                media_type: r.get("media_type")?,
                pushed_at: r.get("pushed_at")?,
            })
        })
        .collect()
}

/// Images of a project by name, after `last`.
///
/// # Errors
/// The database's.
pub async fn image_list(db: &Db, project: ProjectId, last: Option<&str>, limit: i64) -> Result<Vec<ImageRow>> {
    let rows = match last {
        None => {
            db.all(
                sql!(
                    "SELECT image, MAX(pushed_at) AS at FROM registry_manifest WHERE project_id = $1 GROUP BY image ORDER BY image LIMIT $2"
                ),
                args![project, limit],
            )
            .await?
        }
        Some(last) => {
            db.all(
                sql!(
                    "SELECT image, MAX(pushed_at) AS at FROM registry_manifest WHERE project_id = $1 AND image > $3
                     GROUP BY image ORDER BY image LIMIT $2"
                ),
                args![project, limit, last],
            )
            .await?
        }
    };
    let mut out = Vec::with_capacity(rows.len());
    for row in &rows {
        let name: String = row.get("image")?;
        let tags = db
            .all(
                sql!("SELECT tag FROM registry_tag WHERE project_id = $1 AND image = $2 ORDER BY pushed_at DESC, tag LIMIT 20"),
                args![project, &name],
            )
            .await?;
        out.push(ImageRow { name, tags: tags.iter().map(|t| t.get("tag")).collect::<Result<_>>()?, updated_at: row.get("at")? });
    }
    Ok(out)
}

/// Projects that have images, by path, after `last`: for the catalog, which asks of each whether the caller may see it.
///
/// # Errors
/// The database's.
pub async fn image_projects(db: &Db, last: &str, limit: i64) -> Result<Vec<(ProjectId, String)>> {
    let rows = db
        .all(
            sql!(
                "SELECT p.id, p.path FROM project p WHERE p.path > $1 AND p.deleted_at IS NULL
                 AND EXISTS (SELECT 1 FROM registry_manifest m WHERE m.project_id = p.id) ORDER BY p.path LIMIT $2"
            ),
            args![last, limit],
        )
        .await?;
    rows.iter().map(|r| Ok((r.get("id")?, r.get("path")?))).collect()
}

/// Descriptors of the manifests about `subject`, after `last` by digest.
///
/// # Errors
/// The database's.
pub async fn referrer_list(
    db: &Db,
    project: ProjectId,
    image: &str,
    subject: &str,
    artifact_type: Option<&str>,
    last: &str,
    limit: i64,
) -> Result<Vec<(String, serde_json::Value)>> {
    let rows = match artifact_type {
        None => {
            db.all(
                sql!(
                    "SELECT digest, referrer FROM registry_manifest
                     WHERE project_id = $1 AND image = $2 AND subject = $3 AND digest > $4 ORDER BY digest LIMIT $5"
                ),
                args![project, image, subject, last, limit],
            )
            .await?
        }
        Some(kind) => {
            db.all(
                sql!(
                    "SELECT digest, referrer FROM registry_manifest
                     WHERE project_id = $1 AND image = $2 AND subject = $3 AND digest > $4 AND artifact_type = $6 ORDER BY digest LIMIT $5"
                ),
                args![project, image, subject, last, limit, kind],
            )
            .await?
        }
    };
    rows.iter().map(|r| Ok((r.get("digest")?, r.json("referrer")?))).collect()
}
