//! The file inventory of a project's default branch.

use kernel::{ProjectId, Result, Timestamp};

use crate::db::{Db, Q, Tx};
use crate::{Args, Row, Value, args, sql};

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRow {
    /// Where.
    pub path: String,
    /// Its content.
    pub oid: String,
    /// `blob` or `symlink`.
    pub kind: String,
    /// Bytes.
    pub size: i64,
    /// By name, where the table of languages knows it.
    pub language: Option<String>,
    /// The commit that last changed it, where that was found.
    pub last_commit: Option<String>,
    /// When that was; when it was found here, where the commit is not known.
    pub updated_at: Timestamp,
}

impl FileRow {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            path: row.get("path")?,
            oid: row.get("oid")?,
            kind: row.get("kind")?,
            size: row.get("size")?,
            language: row.get("language")?,
            last_commit: row.get("last_commit")?,
            updated_at: row.get("updated_at")?,
        })
    }
}

/// `$2, $3, …`: as many marks as there are texts, appended to the binds.
pub(crate) fn marks<'a>(binds: &mut Args, texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut out = String::new();
    for text in texts {
        binds.push(Value::from(text));
        if !out.is_empty() {
            out.push_str(", ");
        }
        out.push_str(&format!("${}", binds.len()));
    }
    out
}

/// One list of binds in parentheses per row.
pub(crate) fn rows_of_marks(rows: usize, columns: usize) -> String {
    let row = |r: usize| format!("({})", (1..=columns).map(|c| format!("${}", r * columns + c)).collect::<Vec<_>>().join(", "));
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

/// Puts files in, over what is there. At most a few hundred at once.
///
/// # Errors
/// The database's.
pub async fn file_put(tx: &mut Tx, project: ProjectId, files: &[FileRow]) -> Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    let mut binds = Args::new();
    for f in files {
        binds.extend(args![
            project,
            f.path.as_str(),
            f.oid.as_str(),
            f.kind.as_str(),
            f.size,
            f.language.as_deref(),
            f.last_commit.as_deref(),
            f.updated_at
        ]);
    }
    let sql = format!(
        "INSERT INTO source_file (project_id, path, oid, kind, size, language, last_commit, updated_at) VALUES {}
         ON CONFLICT (project_id, path) DO UPDATE SET oid = excluded.oid, kind = excluded.kind, size = excluded.size,
            language = excluded.language, last_commit = excluded.last_commit, updated_at = excluded.updated_at",
        rows_of_marks(files.len(), 8)
    );
    tx.exec(&sql, binds).await.map(|_| ())
}

/// Takes files out. At most a few hundred at once.
///
/// # Errors
/// The database's.
pub async fn file_delete(tx: &mut Tx, project: ProjectId, paths: &[&str]) -> Result<()> {
    if paths.is_empty() {
        return Ok(());
    }
    let mut binds = args![project];
    let sql = format!("DELETE FROM source_file WHERE project_id = $1 AND path IN ({})", marks(&mut binds, paths.iter().copied()));
    tx.exec(&sql, binds).await.map(|_| ())
}

/// Files by path, after a path, whose path starts with `prefix`.
///
/// # Errors
/// The database's.
pub async fn file_list(db: &Db, project: ProjectId, prefix: &str, after: &str, limit: i64) -> Result<Vec<FileRow>> {
    let rows = db
        .all(
            sql!("SELECT * FROM source_file WHERE project_id = $1 AND path > $2 AND path >= $3 AND path < $4 ORDER BY path LIMIT $5"),
            args![project, after, prefix, format!("{prefix}\u{10ffff}"), limit],
        )
        .await?;
    rows.iter().map(FileRow::from_row).collect()
}

/// Some files by their paths. At most a few hundred at once.
///
/// # Errors
/// The database's.
pub async fn file_some(q: impl Into<Q<'_>>, project: ProjectId, paths: &[&str]) -> Result<Vec<FileRow>> {
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    let mut binds = args![project];
    let sql = format!("SELECT * FROM source_file WHERE project_id = $1 AND path IN ({})", marks(&mut binds, paths.iter().copied()));
    q.into().all(&sql, binds).await?.iter().map(FileRow::from_row).collect()
}

/// Paths in order, after a path.
///
/// # Errors
/// The database's.
pub async fn file_paths(db: &Db, project: ProjectId, after: &str, limit: i64) -> Result<Vec<String>> {
    let rows = db
        .all(sql!("SELECT path FROM source_file WHERE project_id = $1 AND path > $2 ORDER BY path LIMIT $3"), args![project, after, limit])
        .await?;
    rows.iter().map(|r| r.get("path")).collect()
}

/// How many files there are.
///
/// # Errors
/// The database's.
pub async fn file_count(q: impl Into<Q<'_>>, project: ProjectId) -> Result<i64> {
    q.into().one(sql!("SELECT COUNT(*) AS n FROM source_file WHERE project_id = $1"), args![project]).await?.get("n")
}

/// Removes some of what the code area keeps of a project; false when nothing is left.
///
/// # Errors
/// The database's.
pub async fn code_purge(tx: &mut Tx, project: ProjectId) -> Result<bool> {
    // progress first, so that nothing believes in what is half gone
    let mut gone = tx.exec(sql!("DELETE FROM source_progress WHERE project_id = $1"), args![project]).await?;
    for statement in [
        sql!("DELETE FROM source_file WHERE project_id = $1 AND path IN (SELECT path FROM source_file WHERE project_id = $1 LIMIT 2000)"),
        sql!(
            "DELETE FROM source_metric WHERE project_id = $1 AND path IN (SELECT path FROM source_metric WHERE project_id = $1 LIMIT 2000)"
        ),
        sql!(
            "DELETE FROM source_function WHERE project_id = $1 AND path IN (SELECT path FROM source_function WHERE project_id = $1 LIMIT 2000)"
        ),
        sql!("DELETE FROM source_total WHERE project_id = $1"),
        sql!("DELETE FROM source_manifest WHERE project_id = $1"),
        sql!(
            "DELETE FROM source_dependency WHERE project_id = $1 AND path IN (SELECT path FROM source_dependency WHERE project_id = $1 LIMIT 2000)"
        ),
    ] {
        gone += tx.exec(statement, args![project]).await?;
    }
    Ok(gone > 0)
}
