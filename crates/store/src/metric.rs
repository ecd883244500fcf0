//! What was measured in files and functions, and the sums by language that are kept up with every change.

use std::collections::BTreeMap;

use kernel::{ProjectId, Result};

use crate::db::{Db, Q, Tx};
use crate::file::{marks, rows_of_marks};
use crate::{Args, Row, args, sql};

/// One file's figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricRow {
    /// Where.
    pub path: String,
    /// The content that was measured.
    pub oid: String,
    /// Language; empty when unknown.
    pub language: String,
    /// Size.
    pub bytes: i64,
    /// Lines.
    pub lines: i64,
    /// Lines with code.
    pub code: i64,
    /// Lines with comment only.
    pub comments: i64,
    /// Empty lines.
    pub blanks: i64,
    /// Functions.
    pub functions: i64,
    /// Sum over the functions.
    pub cyclomatic: i64,
    /// Sum over the functions.
    pub cognitive: i64,
    /// Part of it did not fit the grammar.
    pub parse_error: bool,
    /// Why less was measured than could be.
    pub skipped: Option<String>,
}

impl MetricRow {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            path: row.get("path")?,
            oid: row.get("oid")?,
            language: row.get("language")?,
            bytes: row.get("bytes")?,
            lines: row.get("lines")?,
            code: row.get("code")?,
            comments: row.get("comments")?,
            blanks: row.get("blanks")?,
            functions: row.get("functions")?,
            cyclomatic: row.get("cyclomatic")?,
            cognitive: row.get("cognitive")?,
            parse_error: row.get("parse_error")?,
            skipped: row.get("skipped")?,
        })
    }
}

/// One function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionRow {
    /// Its file.
    pub path: String,
    /// Its place among the functions of the file.
    pub seq: i64,
    /// Its name.
    pub name: String,
    /// First line.
    pub line: i64,
    /// Last line.
    pub end_line: i64,
    /// Lines with code.
    pub lines: i64,
    /// Parameters.
    pub params: i64,
    /// Cyclomatic complexity.
    pub cyclomatic: i64,
    /// Cognitive complexity.
    pub cognitive: i64,
}

impl FunctionRow {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            path: row.get("path")?,
            seq: row.get("seq")?,
            name: row.get("name")?,
            line: row.get("line")?,
            end_line: row.get("end_line")?,
            lines: row.get("lines")?,
            params: row.get("params")?,
            cyclomatic: row.get("cyclomatic")?,
            cognitive: row.get("cognitive")?,
        })
    }
}

/// Sums of one language.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TotalRow {
    /// Files.
    pub files: i64,
    /// Bytes.
    pub bytes: i64,
    /// Lines.
    pub lines: i64,
    /// Lines with code.
    pub code: i64,
    /// Lines with comment only.
    pub comments: i64,
    /// Empty lines.
    pub blanks: i64,
    /// Functions.
    pub functions: i64,
    /// Over all functions.
    pub cyclomatic: i64,
    /// Over all functions.
    pub cognitive: i64,
    /// Files of which part did not fit the grammar.
    pub parse_errors: i64,
    /// Files of which less was measured than could be.
    pub skipped: i64,
}

impl TotalRow {
    fn count(&mut self, m: &MetricRow, sign: i64) {
        self.files += sign;
        self.bytes += sign * m.bytes;
        self.lines += sign * m.lines;
        self.code += sign * m.code;
        self.comments += sign * m.comments;
        self.blanks += sign * m.blanks;
        self.functions += sign * m.functions;
        self.cyclomatic += sign * m.cyclomatic;
        self.cognitive += sign * m.cognitive;
        self.parse_errors += sign * i64::from(m.parse_error);
        self.skipped += sign * i64::from(m.skipped.is_some());
    }
}

/// The figures of some files. At most a few hundred at once.
///
/// # Errors
/// The database's.
pub async fn metric_some(q: impl Into<Q<'_>>, project: ProjectId, paths: &[&str]) -> Result<Vec<MetricRow>> {
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    let mut binds = args![project];
    let sql = format!("SELECT * FROM source_metric WHERE project_id = $1 AND path IN ({})", marks(&mut binds, paths.iter().copied()));
    q.into().all(&sql, binds).await?.iter().map(MetricRow::from_row).collect()
}

/// Any file of the project with this content in this language, that was measured already.
///
/// # Errors
/// The database's.
pub async fn metric_of_content(db: &Db, project: ProjectId, oid: &str, language: &str) -> Result<Option<(MetricRow, Vec<FunctionRow>)>> {
    let row = db
        .opt(
            sql!("SELECT * FROM source_metric WHERE project_id = $1 AND oid = $2 AND language = $3 ORDER BY path LIMIT 1"),
            args![project, oid, language],
        )
        .await?;
    let Some(metric) = row.as_ref().map(MetricRow::from_row).transpose()? else { return Ok(None) };
    let rows = db
        .all(sql!("SELECT * FROM source_function WHERE project_id = $1 AND path = $2 ORDER BY seq"), args![project, metric.path.as_str()])
        .await?;
    let functions = rows.iter().map(FunctionRow::from_row).collect::<Result<Vec<_>>>()?;
    Ok(Some((metric, functions)))
}

/// Paths that have figures, in order, after a path.
///
/// # Errors
/// The database's.
pub async fn metric_paths(db: &Db, project: ProjectId, after: &str, limit: i64) -> Result<Vec<String>> {
    let rows = db
        .all(
            sql!("SELECT path FROM source_metric WHERE project_id = $1 AND path > $2 ORDER BY path LIMIT $3"),
            args![project, after, limit],
        )
        .await?;
    rows.iter().map(|r| r.get("path")).collect()
}

/// Replaces the figures of some files, takes out those of others, and moves the sums by the difference. Doing it twice
/// is doing it once. The caller holds the consumer's progress row, so that nobody counts at the same time.
///
/// # Errors
/// The database's.
pub async fn metric_apply(tx: &mut Tx, project: ProjectId, put: &[(MetricRow, Vec<FunctionRow>)], delete: &[&str]) -> Result<()> {
    let paths: Vec<&str> = put.iter().map(|(m, _)| m.path.as_str()).chain(delete.iter().copied()).collect();
    if paths.is_empty() {
        return Ok(());
    }
    let mut moved: BTreeMap<String, TotalRow> = BTreeMap::new();
    for old in metric_some(&mut *tx, project, &paths).await? {
        moved.entry(old.language.clone()).or_default().count(&old, -1);
    }
    for (new, _) in put {
        moved.entry(new.language.clone()).or_default().count(new, 1);
    }
    let mut binds = args![project];
    let list = marks(&mut binds, paths.iter().copied());
    tx.exec(&format!("DELETE FROM source_function WHERE project_id = $1 AND path IN ({list})"), binds.clone()).await?;
    tx.exec(&format!("DELETE FROM source_metric WHERE project_id = $1 AND path IN ({list})"), binds).await?;
    for chunk in put.chunks(200) {
        let mut binds = Args::new();
        for (m, _) in chunk {
            binds.extend(args![
                project,
                m.path.as_str(),
                m.oid.as_str(),
                m.language.as_str(),
                m.bytes,
                m.lines,
                m.code,
                m.comments,
                m.blanks,
                m.functions,
                m.cyclomatic,
                m.cognitive,
                m.parse_error,
                m.skipped.as_deref()
            ]);
        }
        let sql = format!(
            "INSERT INTO source_metric (project_id, path, oid, language, bytes, lines, code, comments, blanks, functions, cyclomatic,
                cognitive, parse_error, skipped) VALUES {}",
            rows_of_marks(chunk.len(), 14)
        );
        tx.exec(&sql, binds).await?;
    }
    let functions: Vec<&FunctionRow> = put.iter().flat_map(|(_, f)| f).collect();
    for chunk in functions.chunks(400) {
        let mut binds = Args::new();
        for f in chunk {
            binds.extend(args![
                project,
                f.path.as_str(),
                f.seq,
                f.name.as_str(),
                f.line,
                f.end_line,
                f.lines,
                f.params,
                f.cyclomatic,
                f.cognitive
            ]);
        }
        let sql = format!(
            "INSERT INTO source_function (project_id, path, seq, name, line, end_line, lines, params, cyclomatic, cognitive) VALUES {}",
            rows_of_marks(chunk.len(), 10)
        );
        tx.exec(&sql, binds).await?;
    }
    for (language, t) in moved.into_iter().filter(|(_, t)| *t != TotalRow::default()) {
        tx.exec(
            sql!(
                "INSERT INTO source_total (project_id, language, files, bytes, lines, code, comments, blanks, functions, cyclomatic,
                    cognitive, parse_errors, skipped) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
                 ON CONFLICT (project_id, language) DO UPDATE SET files = source_total.files + excluded.files,
                    bytes = source_total.bytes + excluded.bytes, lines = source_total.lines + excluded.lines,
                    code = source_total.code + excluded.code, comments = source_total.comments + excluded.comments,
                    blanks = source_total.blanks + excluded.blanks, functions = source_total.functions + excluded.functions,
                    cyclomatic = source_total.cyclomatic + excluded.cyclomatic, cognitive = source_total.cognitive + excluded.cognitive,
                    parse_errors = source_total.parse_errors + excluded.parse_errors, skipped = source_total.skipped + excluded.skipped"
            ),
            args![
                project,
                language.as_str(),
                t.files,
                t.bytes,
                t.lines,
                t.code,
                t.comments,
                t.blanks,
                t.functions,
                t.cyclomatic,
                t.cognitive,
                t.parse_errors,
                t.skipped
            ],
        )
        .await?;
    }
    tx.exec(sql!("DELETE FROM source_total WHERE project_id = $1 AND files = 0"), args![project]).await.map(|_| ())
}

/// The sums by language, most code first.
///
/// # Errors
/// The database's.
pub async fn total_list(q: impl Into<Q<'_>>, project: ProjectId) -> Result<Vec<(String, TotalRow)>> {
    let rows = q.into().all(sql!("SELECT * FROM source_total WHERE project_id = $1 ORDER BY code DESC, language"), args![project]).await?;
    rows.iter()
        .map(|r| {
            let total = TotalRow {
                files: r.get("files")?,
                bytes: r.get("bytes")?,
                lines: r.get("lines")?,
                code: r.get("code")?,
                comments: r.get("comments")?,
                blanks: r.get("blanks")?,
                functions: r.get("functions")?,
                cyclomatic: r.get("cyclomatic")?,
                cognitive: r.get("cognitive")?,
                parse_errors: r.get("parse_errors")?,
                skipped: r.get("skipped")?,
            };
            Ok((r.get("language")?, total))
        })
        .collect()
}

/// By which figure functions are listed, highest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum FunctionSort {
    /// Cyclomatic complexity.
    Cyclomatic,
    /// Cognitive complexity.
    #[default]
    Cognitive,
    /// Lines with code.
    Lines,
}

impl FunctionSort {
    /// A function's figure.
    pub fn of(self, f: &FunctionRow) -> i64 {
        match self {
            FunctionSort::Cyclomatic => f.cyclomatic,
            FunctionSort::Cognitive => f.cognitive,
            FunctionSort::Lines => f.lines,
        }
    }
}

/// Functions by a figure, of all files or those at or below a path, after a function.
///
/// # Errors
/// The database's.
pub async fn function_list(
    db: &Db,
    project: ProjectId,
    sort: FunctionSort,
    path: Option<&str>,
    after: Option<(i64, &str, i64)>,
    limit: i64,
) -> Result<Vec<FunctionRow>> {
    let column = match sort {
        FunctionSort::Cyclomatic => "cyclomatic",
        FunctionSort::Cognitive => "cognitive",
        FunctionSort::Lines => "lines",
    };
    let mut binds = args![project];
    let mut sql = "SELECT * FROM source_function WHERE project_id = $1".to_owned();
    if let Some(path) = path {
        let n = binds.len();
        binds.extend(args![path, format!("{path}/"), format!("{path}0")]);
        sql.push_str(&format!(" AND (path = ${} OR (path > ${} AND path < ${}))", n + 1, n + 2, n + 3));
    }
    if let Some((value, path, seq)) = after {
        let n = binds.len();
        binds.extend(args![value, path, seq]);
        sql.push_str(&format!(" AND ({column} < ${0} OR ({column} = ${0} AND (path, seq) > (${1}, ${2})))", n + 1, n + 2, n + 3));
    }
    binds.extend(args![limit]);
    sql.push_str(&format!(" ORDER BY {column} DESC, path, seq LIMIT ${}", binds.len()));
    db.all(&sql, binds).await?.iter().map(FunctionRow::from_row).collect()
}
