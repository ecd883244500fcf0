//! Short reads of SQLite on the caller's own thread. The pool of sqlx hands every statement to a thread and back, which
//! costs many times what a look-up in an index does.
//!
//! A read that is not over after [`BUDGET`], or that meets any error, is given up and left to the pool: so no statement
//! holds up the async runtime, and the pool alone reports what is wrong with one. Only committed data is seen, as in the
//! pool. Must not know: transactions, writes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kernel::{Error, Result};
use parking_lot::Mutex;
use rusqlite::types::Value as Cell;
use rusqlite::{Connection, OpenFlags};
use uuid::Uuid;

use crate::value::{Args, Value};

/// How long a read may hold the thread.
const BUDGET: Duration = Duration::from_millis(2);
/// The clock is looked at each time the database has taken so many steps: some tens of microseconds.
const STEPS: i32 = 500;
/// Connections kept; more than threads are never needed at once.
const KEPT: usize = 16;
/// Prepared statements kept by a connection.
const STATEMENTS: usize = 256;

/// Reads one database file.
pub(crate) struct Inline {
    path: PathBuf,
    idle: Mutex<Vec<Reader>>,
    closed: AtomicBool,
}

/// A connection, and when its present statement has to be over: microseconds since `epoch`.
struct Reader {
    connection: Connection,
    epoch: Instant,
    deadline: Arc<AtomicU64>,
}

/// A row by value.
pub struct InlineRow {
    columns: Arc<[String]>,
    cells: Vec<Cell>,
}

impl Inline {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), idle: Mutex::default(), closed: AtomicBool::new(false) }
    }

    /// The rows of a query, at most `most`; none when the pool has to do it.
    pub(crate) fn read(&self, sql: &str, args: &Args, most: usize) -> Option<Vec<InlineRow>> {
        self.attempt(sql, args, most, BUDGET).ok().flatten()
    }

    fn attempt(&self, sql: &str, args: &Args, most: usize, budget: Duration) -> rusqlite::Result<Option<Vec<InlineRow>>> {
        if self.closed.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let kept = self.idle.lock().pop();
        let reader = match kept {
            Some(reader) => reader,
            None => Reader::open(&self.path)?,
        };
        let rows = reader.read(sql, args, most, budget);
        let mut idle = self.idle.lock();
        if idle.len() < KEPT && !self.closed.load(Ordering::Relaxed) {
            idle.push(reader);
        }
        rows.map(Some)
    }

    /// Lets go of the file.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.idle.lock().clear();
    }
}

impl Reader {
    fn open(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        // who would have to wait leaves it to the pool
        connection.busy_timeout(Duration::ZERO)?;
        connection.pragma_update(None, "cache_size", -4096)?;
        connection.pragma_update(None, "temp_store", "memory")?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        // reads the schema, once and however long it takes
        connection.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |_| Ok(()))?;
        let (epoch, deadline) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let until = Arc::clone(&deadline);
        connection.progress_handler(STEPS, Some(move || micros(epoch.elapsed()) > until.load(Ordering::Relaxed)))?;
        Ok(Self { connection, epoch, deadline })
    }

    fn read(&self, sql: &str, args: &Args, most: usize, budget: Duration) -> rusqlite::Result<Vec<InlineRow>> {
        self.deadline.store(micros(self.epoch.elapsed() + budget), Ordering::Relaxed);
        let mut statement = self.connection.prepare_cached(sql)?;
        for index in 1..=statement.parameter_count() {
            // `$2` is a name to SQLite, numbered by where it first stands
            let number = statement.parameter_name(index).and_then(|name| name.get(1..)?.parse::<usize>().ok());
            let value = number.and_then(|n| args.get(n.checked_sub(1)?));
            let value = value.ok_or(rusqlite::Error::InvalidParameterCount(args.len(), index))?;
            statement.raw_bind_parameter(index, cell(value))?;
        }
        let columns: Arc<[String]> = statement.column_names().into_iter().map(str::to_owned).collect();
        let mut rows = statement.raw_query();
        let mut out = Vec::new();
        while out.len() < most {
            let Some(row) = rows.next()? else { break };
            let cells = (0..columns.len()).map(|i| row.get(i)).collect::<rusqlite::Result<_>>()?;
            out.push(InlineRow { columns: Arc::clone(&columns), cells });
        }
        Ok(out)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn cell(value: &Value) -> Cell {
    match value {
        Value::Text(v) => v.clone().into(),
        Value::Int(v) => (*v).into(),
        Value::Bool(v) => v.map(i64::from).into(),
        Value::Float(v) => (*v).into(),
        Value::Bytes(v) => v.clone().into(),
        Value::Uuid(v) => v.map(|id| id.as_bytes().to_vec()).into(),
    }
}

impl InlineRow {
    pub(crate) fn is_null(&self, name: &str) -> Result<bool> {
        Ok(matches!(self.cell(name)?, Cell::Null))
    }

    fn cell(&self, name: &str) -> Result<&Cell> {
        let found = self.columns.iter().position(|c| c == name).and_then(|at| self.cells.get(at));
        found.ok_or_else(|| Error::internal(format!("there is no column {name}")))
    }

    pub(crate) fn get<T: FromCell>(&self, name: &str) -> Result<T> {
        let cell = self.cell(name)?;
        T::from_cell(cell).ok_or_else(|| Error::internal(format!("the column {name} is {}", cell.data_type())))
    }
}

/// What a cell can be read as. SQLite has no type for truth values and ids, and an integral sum may be a float.
pub(crate) trait FromCell: Sized {
    fn from_cell(cell: &Cell) -> Option<Self>;
}

macro_rules! from_cell {
    ($($ty:ty { $($pattern:pat => $value:expr),* $(,)? })*) => {$(
        impl FromCell for $ty {
            fn from_cell(cell: &Cell) -> Option<Self> {
                match cell { $($pattern => $value,)* _ => None }
            }
        }
    )*};
}

from_cell! {
    String { Cell::Text(v) => Some(v.clone()), Cell::Integer(v) => Some(v.to_string()) }
    i64 { Cell::Integer(v) => Some(*v), Cell::Real(v) => Some(*v as i64) }
    bool { Cell::Integer(v) => Some(*v != 0) }
    f64 { Cell::Real(v) => Some(*v), Cell::Integer(v) => Some(*v as f64) }
    Vec<u8> { Cell::Blob(v) => Some(v.clone()), Cell::Text(v) => Some(v.clone().into_bytes()) }
    Uuid { Cell::Blob(v) => Uuid::from_slice(v).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Db, DbOptions, Row, args};

    /// As [`Inline::read`], on a machine that is busy with other tests.
    fn patient(inline: &Inline, sql: &str, args: &Args) -> Option<Vec<InlineRow>> {
        inline.attempt(sql, args, 10, Duration::from_secs(30)).ok().flatten()
    }

    async fn database(dir: &Path) -> (Db, Inline) {
        let path = dir.join("test.db");
        let db = Db::open(&DbOptions::new(format!("sqlite:{}", path.display()))).await.unwrap();
        (db, Inline::new(&path))
    }

    #[tokio::test]
    async fn values_come_back_as_they_went_in() {
        let dir = tempfile::tempdir().unwrap();
        let (_db, inline) = database(dir.path()).await;
        let id = Uuid::now_v7();
        let given = args![id, "text", 7_i64, true, 1.5_f64, vec![1_u8, 2], None::<String>];
        let sql = "SELECT $2 AS text, $1 AS id, $3 AS n, $4 AS yes, $5 AS half, $6 AS bytes, $7 AS empty, $2 AS again";
        let row = Row::Inline(patient(&inline, sql, &given).unwrap().remove(0));
        assert_eq!(row.get::<Uuid>("id").unwrap(), id);
        assert_eq!(row.get::<String>("text").unwrap(), "text");
        assert_eq!(row.get::<String>("again").unwrap(), "text");
        assert_eq!(row.get::<i64>("n").unwrap(), 7);
        assert!(row.get::<bool>("yes").unwrap());
        assert!((row.get::<f64>("half").unwrap() - 1.5).abs() < f64::EPSILON);
        assert_eq!(row.get::<Vec<u8>>("bytes").unwrap(), [1, 2]);
        assert_eq!(row.get::<Option<String>>("empty").unwrap(), None);
        assert!(row.get::<String>("empty").is_err());
        assert!(row.get::<String>("missing").is_err());
    }

    #[tokio::test]
    async fn a_commit_is_seen_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let (db, inline) = database(dir.path()).await;
        let count = || patient(&inline, "SELECT COUNT(*) AS n FROM work", &vec![]).unwrap().remove(0).get::<i64>("n").unwrap();
        for n in 0..3 {
            assert_eq!(count(), n);
            let mut tx = db.begin().await.unwrap();
            tx.enqueue(crate::NewWork::new("test", serde_json::json!({}))).await.unwrap();
            assert_eq!(count(), n);
            tx.commit().await.unwrap();
        }
    }

    #[tokio::test]
    async fn long_and_wrong_reads_are_left_to_the_pool() {
        let dir = tempfile::tempdir().unwrap();
        let (db, inline) = database(dir.path()).await;
        let long = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 1000000) SELECT MAX(n) AS n FROM c";
        assert!(inline.attempt(long, &vec![], 1, Duration::from_millis(1)).is_err());
        // the connection is as good as before, and the pool has no such bound
        assert!(patient(&inline, "SELECT 1 AS one", &vec![]).is_some());
        assert_eq!(db.one(long, vec![]).await.unwrap().get::<i64>("n").unwrap(), 1_000_000);
        assert!(patient(&inline, "SELECT 1 FROM nowhere", &vec![]).is_none());
        assert!(db.opt("SELECT 1 FROM nowhere", vec![]).await.is_err());
        assert!(patient(&inline, "DELETE FROM work RETURNING id", &vec![]).is_none());
        assert!(patient(&inline, "SELECT $1 AS one, $2 AS two", &args![1_i64]).is_none());
        inline.close();
        assert!(patient(&inline, "SELECT 1 AS one", &vec![]).is_none());
    }
}
