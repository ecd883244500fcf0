//! What checks say about a commit: one row for each context, such as `build/ci`.

use std::collections::HashMap;

use kernel::{Error, ProjectId, Result, Timestamp};

use crate::db::{Db, Q};
use crate::{Args, Row, Value, args, sql};

/// States of a check.
pub const STATES: &[&str] = &["pending", "success", "failure", "error"];

/// What one check says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitStatusRow {
    /// Which check.
    pub context: String,
    /// `pending`, `success`, `failure` or `error`.
    pub state: String,
    /// In words.
    pub description: String,
    /// Where to read more.
    pub target_url: Option<String>,
    /// When it said so.
    pub updated_at: Timestamp,
}

impl CommitStatusRow {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            context: row.get("context")?,
            state: row.get("state")?,
            description: row.get("description")?,
            target_url: row.get("target_url")?,
            updated_at: row.get("updated_at")?,
        })
    }
}

/// Sets what a check says about a commit. `oid` is the full object id in hex.
///
/// # Errors
/// `validation_failed` for an unknown state; the database's.
pub async fn commit_status_set(q: impl Into<Q<'_>>, project: ProjectId, oid: &str, status: &CommitStatusRow) -> Result<()> {
    if !STATES.contains(&status.state.as_str()) {
        return Err(Error::field("state", "invalid", "pending, success, failure or error"));
    }
    q.into()
        .exec(
            sql!(
                "INSERT INTO commit_status (project_id, oid, context, state, description, target_url, updated_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7)
                 ON CONFLICT (project_id, oid, context) DO UPDATE SET state = excluded.state, description = excluded.description,
                    target_url = excluded.target_url, updated_at = excluded.updated_at"
            ),
            args![
                project,
                oid,
                status.context.as_str(),
                status.state.as_str(),
                status.description.as_str(),
                status.target_url.as_deref(),
                status.updated_at
            ],
        )
        .await
        .map(|_| ())
}

/// What all checks say about a commit, by context.
///
/// # Errors
/// The database's.
pub async fn commit_status_list(db: &Db, project: ProjectId, oid: &str) -> Result<Vec<CommitStatusRow>> {
    let rows = db
        .all(sql!("SELECT * FROM commit_status WHERE project_id = $1 AND oid = $2 ORDER BY context LIMIT 1000"), args![project, oid])
        .await?;
    rows.iter().map(CommitStatusRow::from_row).collect()
}

/// The states of many commits in one word each: `failure` if any check failed, else `pending` if any is, else `success`.
/// Commits that no check has looked at are left out.
///
/// # Errors
/// The database's.
pub async fn commit_status_of_many(db: &Db, project: ProjectId, oids: &[String]) -> Result<HashMap<String, &'static str>> {
    let mut out: HashMap<String, &'static str> = HashMap::new();
    if oids.is_empty() {
        return Ok(out);
    }
    let mut binds: Args = args![project];
    let marks: Vec<String> = oids
        .iter()
        .map(|oid| {
            binds.push(Value::from(oid.as_str()));
            format!("${}", binds.len())
        })
        .collect();
    let sql = format!("SELECT oid, state FROM commit_status WHERE project_id = $1 AND oid IN ({})", marks.join(", "));
    for row in db.all(&sql, binds).await? {
        let state = match row.get::<String>("state")?.as_str() {
            "failure" | "error" => "failure",
            "pending" => "pending",
            _ => "success",
        };
        let rank = |s: &str| ["success", "pending", "failure"].iter().position(|x| *x == s);
        let entry = out.entry(row.get("oid")?).or_insert(state);
        if rank(state) > rank(entry) {
            *entry = state;
        }
    }
    Ok(out)
}
