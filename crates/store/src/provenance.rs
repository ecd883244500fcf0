//! Signed statements about what runs have made.

use kernel::{ProjectId, Result, RunId, Timestamp};

use crate::db::{Db, Tx};
use crate::{Row, args, sql};

/// A statement.
#[derive(Clone, Debug)]
pub struct ProvenanceRow {
    /// The run that made it.
    pub run: RunId,
    /// Whose it is.
    pub project: ProjectId,
    /// What it is called.
    pub name: String,
    /// `sha256:…`.
    pub digest: String,
    /// The statement in its signed envelope.
    pub envelope: serde_json::Value,
    /// When it was made.
    pub created_at: Timestamp,
}

impl ProvenanceRow {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            run: row.get("run_id")?,
            project: row.get("project_id")?,
            name: row.get("name")?,
            digest: row.get("digest")?,
            envelope: row.json("envelope")?,
            created_at: row.get("created_at")?,
        })
    }
}

/// Adds a statement; one that is there stays.
///
/// # Errors
/// The database's.
pub async fn provenance_create(tx: &mut Tx, p: &ProvenanceRow) -> Result<()> {
    tx.exec(
        sql!(
            "INSERT INTO provenance (run_id, name, digest, project_id, envelope, created_at) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT DO NOTHING"
        ),
        args![p.run, p.name.as_str(), p.digest.as_str(), p.project, &p.envelope, p.created_at],
    )
    .await
    .map(|_| ())
}

/// The statement of a run about what has a name and a digest.
///
/// # Errors
/// The database's.
pub async fn provenance_get(db: &Db, run: RunId, name: &str, digest: &str) -> Result<Option<ProvenanceRow>> {
    let sql = sql!("SELECT * FROM provenance WHERE run_id = $1 AND name = $2 AND digest = $3");
    db.opt(sql, args![run, name, digest]).await?.as_ref().map(ProvenanceRow::from_row).transpose()
}

/// The statements about what has a digest, the newest first.
///
/// # Errors
/// The database's.
pub async fn provenance_of(db: &Db, project: ProjectId, digest: &str, limit: i64) -> Result<Vec<ProvenanceRow>> {
    let sql = sql!("SELECT * FROM provenance WHERE project_id = $1 AND digest = $2 ORDER BY created_at DESC, run_id DESC LIMIT $3");
    db.all(sql, args![project, digest, limit]).await?.iter().map(ProvenanceRow::from_row).collect()
}

/// The statements about what a run has made after a name, by name.
///
/// # Errors
/// The database's.
pub async fn provenance_list(db: &Db, run: RunId, after: &str, limit: i64) -> Result<Vec<ProvenanceRow>> {
    let rows = db
        .all(sql!("SELECT * FROM provenance WHERE run_id = $1 AND name > $2 ORDER BY name, digest LIMIT $3"), args![run, after, limit])
        .await?;
    rows.iter().map(ProvenanceRow::from_row).collect()
}
