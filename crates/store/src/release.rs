//! Releases: an image by its digest with the configuration and the secret versions it ran with. They never change, so a
//! rollback brings back all of it.

use kernel::{EnvironmentId, ProjectId, ReleaseId, Result, Timestamp, UserId};

use crate::db::{Db, Q, Tx};
use crate::{Row, args, sql};

/// A release.
#[derive(Clone, Debug)]
pub struct ReleaseRow {
    /// Its id.
    pub id: ReleaseId,
    /// Whose it is.
    pub project: ProjectId,
    /// The environment it was made for.
    pub environment: EnvironmentId,
    /// Counts the project's releases from 1.
    pub number: i64,
    /// The image's name within the project, with the tag that was asked for.
    pub image: String,
    /// The manifest's digest.
    pub digest: String,
    /// The commit it was built from, where that is known.
    pub commit: Option<String>,
    /// Variables of the application.
    pub config: serde_json::Value,
    /// Secret names and the version of each.
    pub secrets: serde_json::Value,
    /// Who made it.
    pub account: Option<UserId>,
    /// When.
    pub created_at: Timestamp,
}

impl ReleaseRow {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            project: row.get("project_id")?,
            environment: row.get("environment_id")?,
            number: row.get("number")?,
            image: row.get("image")?,
            digest: row.get("digest")?,
            commit: row.get("commit_oid")?,
            config: row.json("config")?,
            secrets: row.json("secrets")?,
            account: row.get("account_id")?,
            created_at: row.get("created_at")?,
        })
    }
}

/// Adds a release and answers its number. The caller holds the project's lock.
///
/// # Errors
/// The database's.
pub async fn release_create(tx: &mut Tx, r: &ReleaseRow) -> Result<i64> {
    let row = tx
        .one(
            sql!(
                "INSERT INTO release (id, project_id, environment_id, number, image, digest, commit_oid, config, secrets, account_id, created_at)
                 VALUES ($1, $2, $3, (SELECT COALESCE(MAX(number), 0) + 1 FROM release WHERE project_id = $2), $4, $5, $6, $7, $8, $9, $10)
                 RETURNING number"
            ),
            args![r.id, r.project, r.environment, &r.image, &r.digest, r.commit.clone(), &r.config, &r.secrets, r.account, r.created_at],
        )
        .await?;
    row.get("number")
}

/// A release by id.
///
/// # Errors
/// The database's.
pub async fn release_get(q: impl Into<Q<'_>>, id: ReleaseId) -> Result<Option<ReleaseRow>> {
    let row = q.into().opt(sql!("SELECT * FROM release WHERE id = $1"), args![id]).await?;
    row.as_ref().map(ReleaseRow::from_row).transpose()
}

/// Releases of a project, newest first, before `before`; of one environment when given.
///
/// # Errors
/// The database's.
pub async fn release_list(
    db: &Db,
    project: ProjectId,
    environment: Option<EnvironmentId>,
    before: Option<ReleaseId>,
    limit: i64,
) -> Result<Vec<ReleaseRow>> {
    let before = before.map_or(uuid::Uuid::max(), ReleaseId::uuid);
    let rows = match environment {
        None => {
            db.all(sql!("SELECT * FROM release WHERE project_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"), args![project, before, limit])
                .await?
        }
        Some(environment) => {
            db.all(
                sql!("SELECT * FROM release WHERE project_id = $1 AND id < $2 AND environment_id = $4 ORDER BY id DESC LIMIT $3"),
                args![project, before, limit, environment],
            )
            .await?
        }
    };
    rows.iter().map(ReleaseRow::from_row).collect()
}

/// The release that ran in an environment, successfully, before `than`: where a rollback goes by default.
///
/// # Errors
/// The database's.
pub async fn release_before(q: impl Into<Q<'_>>, environment: EnvironmentId, than: Option<ReleaseId>) -> Result<Option<ReleaseRow>> {
    let than = than.map_or(uuid::Uuid::nil(), ReleaseId::uuid);
    let row = q
        .into()
        .opt(
            sql!(
                "SELECT r.* FROM release r JOIN deployment d ON d.release_id = r.id
                 WHERE d.environment_id = $1 AND d.state = 'completed' AND d.conclusion = 'success' AND r.id <> $2
                   AND d.id < COALESCE((SELECT c.id FROM deployment c WHERE c.environment_id = $1 AND c.release_id = $2
                        AND c.conclusion = 'success' ORDER BY c.id DESC LIMIT 1), d.id)
                 ORDER BY d.id DESC LIMIT 1"
            ),
            args![environment, than],
        )
        .await?;
    row.as_ref().map(ReleaseRow::from_row).transpose()
}
