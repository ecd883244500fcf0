//! Which job has pushed which image.

use kernel::{JobId, Result, RunId};

use crate::db::{Db, Tx};
use crate::registry::ManifestRow;
use crate::{args, sql};

/// Notes that a job has pushed a manifest.
///
/// # Errors
/// The database's.
pub async fn image_push_note(tx: &mut Tx, m: &ManifestRow, job: JobId) -> Result<()> {
    tx.exec(
        sql!(
            "INSERT INTO registry_push (project_id, image, digest, job_id, run_id, pushed_at)
             SELECT $1, $2, $3, j.id, j.run_id, $5 FROM pipeline_job j WHERE j.id = $4
             ON CONFLICT (project_id, image, digest, job_id) DO NOTHING"
        ),
        args![m.project, &m.image, &m.digest, job, m.pushed_at],
    )
    .await
    .map(|_| ())
}

/// An image that a job has pushed.
#[derive(Clone, Debug)]
pub struct ImagePushRow {
    /// The image's name within the project.
    pub image: String,
    /// Digest of the manifest.
    pub digest: String,
    /// Media type of the manifest.
    pub media_type: String,
    /// Bytes of the manifest.
    pub size: i64,
    /// The job.
    pub job: JobId,
}

impl ImagePushRow {
    /// Its repository name, in the project with this path.
    pub fn repository(&self, path: &str) -> String {
        if self.image.is_empty() { path.to_owned() } else { format!("{path}/{}", self.image) }
    }

    /// What statements about it are called: repository and digest.
    pub fn name(&self, path: &str) -> String {
        format!("{}@{}", self.repository(path), self.digest)
    }
}

/// The images that jobs of a run have pushed which ended well, as far as they are still there. What is said about another
/// image, such as a signature, is not one.
///
/// # Errors
/// The database's.
pub async fn image_push_list(db: &Db, run: RunId, limit: i64) -> Result<Vec<ImagePushRow>> {
    let rows = db
        .all(
            sql!(
                "SELECT p.image, p.digest, m.media_type, CAST(LENGTH(m.content) AS BIGINT) AS size, p.job_id FROM registry_push p
                 JOIN pipeline_job j ON j.id = p.job_id AND j.superseded = $2 AND j.conclusion = 'success'
                 JOIN registry_manifest m ON m.project_id = p.project_id AND m.image = p.image AND m.digest = p.digest
                 WHERE p.run_id = $1 AND m.subject IS NULL ORDER BY p.image, p.digest, p.job_id LIMIT $3"
            ),
            args![run, false, limit],
        )
        .await?;
    rows.iter()
        .map(|r| {
            Ok(ImagePushRow {
                image: r.get("image")?,
                digest: r.get("digest")?,
                media_type: r.get("media_type")?,
                size: r.get("size")?,
                job: r.get("job_id")?,
            })
        })
        .collect()
}
