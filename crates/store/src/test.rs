//! Tests of a project over all its runs: how often each ran and failed, how long it takes, whether it is flaky, where it
//! began to fail, and who put it in quarantine. A report is a handful of statements, whatever a test has behind it.

use kernel::{JobId, ProjectId, Result, RunId, TestId, Timestamp, UserId};
use uuid::Uuid;

use crate::db::{Db, Q, Tx};
use crate::{Args, Row, Value, args, sql};

/// Tests that one statement writes.
const AT_ONCE: usize = 200;
/// Runs of a commit that are looked at for other results.
const RUNS_OF_COMMIT: i64 = 50;
/// Tests that failed on a commit before, of which so many are looked at.
const MOST_OTHERWISE: i64 = 20_000;
/// Characters of the latest times of a test.
const RECENT_TIMES: i64 = 120;
/// Latest results of a test.
const RECENT_STATES: i64 = 20;

/// What a test is kept out of judgement for.
#[derive(Clone, Debug)]
pub struct Quarantine {
    /// Who put it there.
    pub by: Option<UserId>,
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

/// A test.
#[derive(Clone, Debug)]
pub struct TestRow {
    /// Its id.
    pub id: TestId,
    /// Its project.
    pub project: ProjectId,
    /// Suite.
    pub suite: String,
    /// Class or module.
    pub class: String,
    /// Name.
    pub name: String,
    /// Where it is written, if a report told.
    pub file: Option<String>,
    /// Results so far.
    pub runs: i64,
    /// Those that were failures.
    pub failures: i64,
    /// `passed`, `failed`, `skipped`, `error`.
    pub last_state: String,
    /// The run of the last result.
    pub last_run: RunId,
    /// When that was.
    pub last_at: Timestamp,
    /// A mean that follows the latest times.
    pub mean_ms: i64,
    /// The latest times, newest first.
    pub recent_ms: Vec<i64>,
    /// Letters of the latest results, newest first: `p`, `f`, `e`, `s`.
    pub recent_states: String,
    /// The first commit of the default branch that it fails on, while it fails there.
    pub failed_commit: Option<String>,
    /// The run of that.
    pub failed_run: Option<RunId>,
    /// When.
    pub failed_at: Option<Timestamp>,
    /// When it last failed and passed on one commit.
    pub flaky_at: Option<Timestamp>,
    /// That commit.
    pub flaky_commit: Option<String>,
    /// Whether its failures count; may be over.
    pub quarantine: Option<Quarantine>,
}

impl TestRow {
    fn from_row(row: &Row) -> Result<Self> {
        let recent: String = row.get("recent_ms")?;
        let quarantine = match row.get::<Option<Timestamp>>("quarantine_until")? {
            Some(until) => Some(Quarantine {
                by: row.get("quarantine_by")?,
                reason: row.get::<Option<String>>("quarantine_reason")?.unwrap_or_default(),
                at: row.get::<Option<Timestamp>>("quarantine_at")?.unwrap_or(until),
                until,
            }),
            None => None,
        };
        Ok(Self {
            id: row.get("id")?,
            project: row.get("project_id")?,
            suite: row.get("suite")?,
            class: row.get("class")?,
            name: row.get("name")?,
            file: row.get("file")?,
            runs: row.get("runs")?,
            failures: row.get("failures")?,
            last_state: row.get("last_state")?,
            last_run: row.get("last_run_id")?,
            last_at: row.get("last_at")?,
            mean_ms: row.get("mean_ms")?,
            recent_ms: times(&recent),
            recent_states: row.get("recent_states")?,
            failed_commit: row.get("failed_commit")?,
            failed_run: row.get("failed_run_id")?,
            failed_at: row.get("failed_at")?,
            flaky_at: row.get("flaky_at")?,
            flaky_commit: row.get("flaky_commit")?,
            quarantine,
        })
    }
}

/// Reads the latest times; each ends with a comma, and a last one that was cut off does not.
fn times(text: &str) -> Vec<i64> {
    let whole = text.rfind(',').map_or("", |end| &text[..end]);
    whole.split(',').filter_map(|t| t.parse().ok()).collect()
}

/// What one report says of a test.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The test.
    pub id: TestId,
    /// Suite.
    pub suite: String,
    /// Class or module.
    pub class: String,
    /// Name.
    pub name: String,
    /// Where it is written.
    pub file: Option<String>,
    /// `passed`, `failed`, `skipped`, `error`; of several results the worst.
    pub state: &'static str,
    /// Results in the report.
    pub runs: i64,
    /// Failures among them.
    pub failures: i64,
    /// How long it took.
    pub duration_ms: i64,
}

impl Seen {
    /// Did it fail?
    pub fn bad(&self) -> bool {
        matches!(self.state, "failed" | "error")
    }
}

/// What a report is of.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// The project.
    pub project: ProjectId,
    /// The run.
    pub run: RunId,
    /// Its number when it is of the default branch, else 0.
    pub main_number: i64,
    /// Its commit.
    pub commit: String,
    /// Shown name of the job.
    pub job: String,
    /// Now.
    pub now: Timestamp,
}

/// Notes what a report says, of tests that are sorted by their id and each there once.
///
/// # Errors
/// The database's.
pub async fn tests_seen(tx: &mut Tx, about: &Sighting, seen: &[Seen]) -> Result<()> {
    for batch in seen.chunks(AT_ONCE) {
        let mut binds: Args = args![about.project, about.run, about.now, about.main_number, about.job.as_str()];
        let rows: Vec<String> = batch
            .iter()
            .map(|t| {
                let first = binds.len() + 1;
                let broke = about.main_number > 0 && t.bad();
                let skipped = t.state == "skipped";
                binds.extend(args![
                    t.id,
                    t.suite.as_str(),
                    t.class.as_str(),
                    t.name.as_str(),
                    t.file.as_deref(),
                    t.runs,
                    t.failures,
                    t.state,
                    t.duration_ms,
                    if skipped { String::new() } else { format!("{},", t.duration_ms) },
                    &t.state[..1],
                    broke.then_some(about.commit.as_str()),
                    broke.then_some(about.run),
                    broke.then_some(about.now),
                    broke.then_some(about.job.as_str())
                ]);
                let b = |n: usize| first + n;
                format!(
                    "(${}, $1, ${}, ${}, ${}, ${}, ${}, ${}, ${}, $2, $3, ${}, ${}, ${}, $4, ${}, ${}, ${}, ${})",
                    b(0),
                    b(1),
                    b(2),
                    b(3),
                    b(4),
                    b(5),
                    b(6),
                    b(7),
                    b(8),
                    b(9),
                    b(10),
                    b(11),
                    b(12),
                    b(13),
                    b(14)
                )
            })
            .collect();
        // it fails until the job that it failed in passes, and older runs say nothing about that
        let failing = |column: &str| {
            format!(
                "{column} = CASE WHEN excluded.main_number < test.main_number THEN test.{column}
                    WHEN excluded.failed_commit IS NOT NULL AND test.failed_commit IS NULL THEN excluded.{column}
                    WHEN excluded.last_state = 'passed' AND excluded.main_number > 0 AND test.failed_job = $5 THEN NULL
                    ELSE test.{column} END"
            )
        };
        let sql = format!(
            "INSERT INTO test (id, project_id, suite, class, name, file, runs, failures, last_state, last_run_id, last_at, mean_ms, recent_ms,
                recent_states, main_number, failed_commit, failed_run_id, failed_at, failed_job) VALUES {}
             ON CONFLICT (id) DO UPDATE SET file = COALESCE(excluded.file, test.file), runs = test.runs + excluded.runs,
                failures = test.failures + excluded.failures, last_state = excluded.last_state, last_run_id = excluded.last_run_id,
                last_at = excluded.last_at,
                mean_ms = CASE WHEN excluded.last_state = 'skipped' THEN test.mean_ms ELSE (test.mean_ms * 3 + excluded.mean_ms) / 4 END,
                recent_ms = SUBSTR(excluded.recent_ms || test.recent_ms, 1, {RECENT_TIMES}),
                recent_states = SUBSTR(excluded.recent_states || test.recent_states, 1, {RECENT_STATES}),
                main_number = CASE WHEN excluded.main_number > test.main_number THEN excluded.main_number ELSE test.main_number END,
                {}, {}, {}, {}",
            rows.join(", "),
            failing("failed_commit"),
            failing("failed_run_id"),
            failing("failed_at"),
            failing("failed_job")
        );
        tx.exec(&sql, binds).await?;
    }
    Ok(())
}

/// Which of these tests ended the other way in the same job on the same commit: for failures those that passed, else those
/// that failed.
///
/// # Errors
/// The database's.
pub async fn tests_otherwise(tx: &mut Tx, about: &Sighting, job: JobId, failed: &[TestId]) -> Result<Vec<TestId>> {
    const RUNS: &str = "SELECT id FROM run WHERE project_id = $1 AND commit_id = $2 ORDER BY number DESC LIMIT $3";
    let fixed = || args![about.project, about.commit.as_str(), RUNS_OF_COMMIT, about.job.as_str(), job];
    let sql = format!(
        "SELECT DISTINCT test_id FROM test_case WHERE run_id IN ({RUNS}) AND job = $4 AND job_id <> $5 AND status IN ('failed', 'error')
            AND test_id IS NOT NULL LIMIT {MOST_OTHERWISE}"
    );
    let rows = tx.all(&sql, fixed()).await?;
    let mut out = rows.iter().map(|r| r.get("test_id")).collect::<Result<Vec<TestId>>>()?;
    // those it failed in now are no news
    out.retain(|id| failed.binary_search(id).is_err());
    for batch in failed.chunks(AT_ONCE) {
        let mut binds = fixed();
        let marks = marks(&mut binds, batch);
        let sql = format!(
            "SELECT DISTINCT test_id FROM test_case WHERE test_id IN ({marks}) AND run_id IN ({RUNS}) AND job = $4 AND job_id <> $5
                AND status = 'passed'"
        );
        for row in tx.all(&sql, binds).await? {
            out.push(row.get("test_id")?);
        }
    }
    Ok(out)
}

fn marks(binds: &mut Args, ids: &[TestId]) -> String {
    let mark = |id: &TestId| {
        binds.push(Value::from(*id));
        format!("${}", binds.len())
    };
    ids.iter().map(mark).collect::<Vec<_>>().join(", ")
}

/// Notes that tests are flaky.
///
/// # Errors
/// The database's.
pub async fn tests_flaky(tx: &mut Tx, ids: &[TestId], commit: &str, now: Timestamp) -> Result<()> {
    for batch in ids.chunks(AT_ONCE) {
        let mut binds = args![now, commit];
        let marks = marks(&mut binds, batch);
        tx.exec(&format!("UPDATE test SET flaky_at = $1, flaky_commit = $2 WHERE id IN ({marks})"), binds).await?;
    }
    Ok(())
}

/// Those of these tests that are known.
///
/// # Errors
/// The database's.
pub async fn tests_known(tx: &mut Tx, ids: &[TestId]) -> Result<Vec<TestId>> {
    let mut out = Vec::new();
    for batch in ids.chunks(AT_ONCE) {
        let mut binds = Args::new();
        let marks = marks(&mut binds, batch);
        for row in tx.all(&format!("SELECT id FROM test WHERE id IN ({marks})"), binds).await? {
            out.push(row.get("id")?);
        }
    }
    out.sort();
    Ok(out)
}

/// Has a project `most` tests or more?
///
/// # Errors
/// The database's.
pub async fn tests_full(tx: &mut Tx, project: ProjectId, most: i64) -> Result<bool> {
    let row =
        tx.opt(sql!("SELECT id FROM test WHERE project_id = $1 ORDER BY name, id LIMIT 1 OFFSET $2"), args![project, most - 1]).await?;
    Ok(row.is_some())
}

/// The tests of a project whose failures do not count now, in order.
///
/// # Errors
/// The database's.
pub async fn tests_quarantined(q: impl Into<Q<'_>>, project: ProjectId, now: Timestamp) -> Result<Vec<TestId>> {
    let rows = q
        .into()
        .all(
            sql!("SELECT id FROM test WHERE project_id = $1 AND quarantine_until IS NOT NULL AND quarantine_until > $2 ORDER BY id"),
            args![project, now],
        )
        .await?;
    let mut ids = rows.iter().map(|r| r.get("id")).collect::<Result<Vec<TestId>>>()?;
    ids.sort();
    Ok(ids)
}

/// Which tests somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All.
    All,
    /// Fail on the default branch.
    Failing,
    /// Were flaky since a time.
    Flaky(Timestamp),
    /// In quarantine at a time.
    Quarantined(Timestamp),
    /// All, the slowest first.
    Slow,
}

/// Where a page of tests begins: after this name and id, or time and id.
#[derive(Clone, Debug)]
pub struct After {
    /// Name of the last.
    pub name: String,
    /// Its mean time.
    pub mean_ms: i64,
    /// Its id.
    pub id: TestId,
}

/// Tests of a project whose name, class, suite or file holds a text.
///
/// # Errors
/// The database's.
pub async fn test_page(db: &Db, project: ProjectId, which: Which, text: &str, after: Option<&After>, limit: i64) -> Result<Vec<TestRow>> {
    let escaped: String =
        text.to_lowercase().chars().flat_map(|c| ['\\', '%', '_'].contains(&c).then_some('\\').into_iter().chain([c])).collect();
    let (first, id) = (after.is_none(), after.map_or(Uuid::nil(), |a| a.id.uuid()));
    let (name, mean) = (after.map_or("", |a| a.name.as_str()), after.map_or(0, |a| a.mean_ms));
    let since = match which {
        Which::Flaky(since) => since,
        Which::Quarantined(now) => now,
        _ => Timestamp(0),
    };
    let narrow = match which {
        Which::All | Which::Slow => "$4 = $4",
        Which::Failing => "failed_commit IS NOT NULL AND $4 = $4",
        Which::Flaky(_) => "flaky_at IS NOT NULL AND flaky_at > $4",
        Which::Quarantined(_) => "quarantine_until IS NOT NULL AND quarantine_until > $4",
    };
    let (from, order) = if which == Which::Slow {
        ("$5 OR (mean_ms, id) < ($7, $8)", "mean_ms DESC, id DESC")
    } else {
        ("$5 OR (name, id) > ($6, $8)", "name, id")
    };
    let sql = format!(
        "SELECT * FROM test WHERE project_id = $1 AND {narrow} AND ({from}) AND $6 = $6 AND $7 = $7
            AND ($2 = '' OR LOWER(name || ' ' || class || ' ' || suite || ' ' || COALESCE(file, '')) LIKE '%' || $2 || '%' ESCAPE '\\')
         ORDER BY {order} LIMIT $3"
    );
    let rows = db.all(&sql, args![project, escaped, limit, since, first, name, mean, id]).await?;
    rows.iter().map(TestRow::from_row).collect()
}

/// A test.
///
/// # Errors
/// The database's.
pub async fn test_get(q: impl Into<Q<'_>>, id: TestId) -> Result<Option<TestRow>> {
    let row = q.into().opt(sql!("SELECT * FROM test WHERE id = $1"), args![id]).await?;
    row.as_ref().map(TestRow::from_row).transpose()
}

/// Puts a test in quarantine, or takes it out.
///
/// # Errors
/// The database's.
pub async fn test_quarantine(q: impl Into<Q<'_>>, id: TestId, what: Option<&Quarantine>) -> Result<()> {
    q.into()
        .exec(
            sql!("UPDATE test SET quarantine_by = $2, quarantine_reason = $3, quarantine_at = $4, quarantine_until = $5 WHERE id = $1"),
            args![id, what.and_then(|w| w.by), what.map(|w| w.reason.as_str()), what.map(|w| w.at), what.map(|w| w.until)],
        )
        .await
        .map(|_| ())
}

/// One result of a test.
#[derive(Clone, Debug)]
pub struct ResultRow {
    /// The run.
    pub run: RunId,
    /// Its number.
    pub number: i64,
    /// The job.
    pub job_id: JobId,
    /// Its shown name.
    pub job: String,
    /// Place in the job's reports.
    pub seq: i64,
    /// The commit.
    pub commit: String,
    /// Full ref name.
    pub r#ref: String,
    /// `passed`, `failed`, `skipped`, `error`.
    pub state: String,
    /// Did its failure count?
    pub quarantined: bool,
    /// How long it took.
    pub duration_ms: i64,
    /// What went wrong, in short.
    pub message: Option<String>,
    /// When its run was made.
    pub at: Timestamp,
}

/// Results of a test, newest first, after a place.
///
/// # Errors
/// The database's.
pub async fn test_results(db: &Db, id: TestId, after: Option<(RunId, JobId, i64)>, limit: i64) -> Result<Vec<ResultRow>> {
    let (run, job, seq) = after.unwrap_or((Uuid::max().into(), Uuid::max().into(), i64::MAX));
    let rows = db
        .all(
            sql!(
                "SELECT c.run_id, c.job_id, c.job, c.seq, c.status, c.quarantined, c.duration_ms, c.message, r.number, r.commit_id, r.ref, r.created_at
                 FROM test_case c JOIN run r ON r.id = c.run_id
                 WHERE c.test_id = $1 AND (c.run_id, c.job_id, c.seq) < ($2, $3, $4) ORDER BY c.run_id DESC, c.job_id DESC, c.seq DESC LIMIT $5"
            ),
            args![id, run, job, seq, limit],
        )
        .await?;
    let row = |r: &Row| {
        Ok(ResultRow {
            run: r.get("run_id")?,
            number: r.get("number")?,
            job_id: r.get("job_id")?,
            job: r.get("job")?,
            seq: r.get("seq")?,
            commit: r.get("commit_id")?,
            r#ref: r.get("ref")?,
            state: r.get("status")?,
            quarantined: r.get("quarantined")?,
            duration_ms: r.get("duration_ms")?,
            message: r.get("message")?,
            at: r.get("created_at")?,
        })
    };
    rows.iter().map(row).collect()
}

/// How long the tests of one class of one file take together.
#[derive(Clone, Debug)]
pub struct TimeRow {
    /// Where they are written, if known.
    pub file: Option<String>,
    /// Class or module.
    pub class: String,
    /// Suite.
    pub suite: String,
    /// Milliseconds.
    pub total_ms: i64,
}

/// The times of a project's tests, by where they are.
///
/// # Errors
/// The database's.
pub async fn test_times(db: &Db, project: ProjectId) -> Result<Vec<TimeRow>> {
    let rows = db
        .all(
            sql!(
                "SELECT file, class, suite, CAST(SUM(mean_ms) AS BIGINT) AS total_ms FROM test WHERE project_id = $1
                 GROUP BY file, class, suite ORDER BY file, class, suite LIMIT 50000"
            ),
            args![project],
        )
        .await?;
    let row = |r: &Row| Ok(TimeRow { file: r.get("file")?, class: r.get("class")?, suite: r.get("suite")?, total_ms: r.get("total_ms")? });
    rows.iter().map(row).collect()
}

/// The parts of a run's split: those given, unless an earlier caller's are there.
///
/// # Errors
/// The database's.
pub async fn test_split(db: &Db, run: RunId, key: &[u8], parts: &serde_json::Value) -> Result<serde_json::Value> {
    let mut tx = db.begin().await?;
    tx.exec(
        sql!("INSERT INTO test_split (run_id, key, parts) VALUES ($1, $2, $3) ON CONFLICT (run_id, key) DO NOTHING"),
        args![run, key, parts],
    )
    .await?;
    let row = tx.one(sql!("SELECT parts FROM test_split WHERE run_id = $1 AND key = $2"), args![run, key]).await?;
    tx.commit().await?;
    row.json("parts")
}

/// Removes results of runs that were made before `before`, some at a time, and tests that nobody has seen since. Returns
/// whether there may be more.
///
/// # Errors
/// The database's.
pub async fn tests_expire(db: &Db, before: Timestamp, runs: i64) -> Result<bool> {
    let oldest = first_id(before);
    let mut tx = db.begin().await?;
    let mut removed = 0;
    for statement in [
        sql!("DELETE FROM test_case WHERE run_id IN (SELECT DISTINCT run_id FROM test_case WHERE run_id < $1 ORDER BY run_id LIMIT $2)"),
        sql!("DELETE FROM test_split WHERE run_id IN (SELECT DISTINCT run_id FROM test_split WHERE run_id < $1 ORDER BY run_id LIMIT $2)"),
    ] {
        removed += tx.exec(statement, args![oldest, runs]).await?;
    }
    removed += tx
        .exec(
            sql!("DELETE FROM test WHERE id IN (SELECT id FROM test WHERE last_at < $1 AND (quarantine_until IS NULL OR quarantine_until < $1) LIMIT 5000)"),
            args![before],
        )
        .await?;
    tx.commit().await?;
    Ok(removed > 0)
}

/// The smallest id that could have been made at a time: ids begin with it.
fn first_id(at: Timestamp) -> Uuid {
    let millis = u128::from(at.millis().unsigned_abs());
    Uuid::from_u128((millis & 0xffff_ffff_ffff) << 80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_was_cut_off_is_none() {
        assert_eq!(times("12,3,"), [12, 3]);
        assert_eq!(times("12,3"), [12]);
        assert!(times("").is_empty() && times("12").is_empty());
    }

    #[test]
    fn ids_are_ordered_by_time() {
        let now = Timestamp::now();
        assert!(first_id(now) <= RunId::new().uuid());
        assert!(first_id(Timestamp(now.millis() + 60_000)) > RunId::new().uuid());
    }
}
