//! The database handle: SQLite when embedded, PostgreSQL when scaled, one set of statements for both.

use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::future::BoxFuture;
use kernel::{Code, Error, Event, Result};
use sqlx::migrate::Migrator;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Arguments as _, AssertSqlSafe, ConnectOptions as _, Connection as _, SqlSafeStr, Sqlite, Transaction};

use crate::inline::{Inline, InlineRow};
use crate::sql;
use crate::value::{Args, Row, Value};
use crate::wake::Wake;
use crate::work::NewWork;

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// A connection of PostgreSQL that was used this lately is used again without asking whether it is still there.
const TRUSTED: Duration = Duration::from_secs(1);

/// What follows from an event: the orchestrator's table, handed in at start so that a change, its event and the work
/// that follows are one transaction.
pub type Flow = fn(&Event) -> Vec<NewWork>;

/// A cheap handle to the database.
#[derive(Clone)]
pub struct Db {
    pub(crate) pool: Pool,
    wake: Wake,
    flow: Arc<OnceLock<Flow>>,
}

#[derive(Clone)]
pub(crate) enum Pool {
    /// One writer, because SQLite has one write lock; waiting for it in the pool is fair, in SQLite it is not.
    Sqlite {
        inline: Arc<Inline>,
        read: SqlitePool,
        write: SqlitePool,
        /// Does the writer leave commits to the kernel now? Changed only by who holds it.
        soft: Arc<AtomicBool>,
    },
    Postgres(PgPool),
}

/// What the database says, some time. Boxed here, so that the machinery below is compiled once and not again in every
/// crate that asks.
pub type Reply<'a, T> = BoxFuture<'a, Result<T>>;

/// How to open the database.
#[derive(Clone, Debug)]
pub struct DbOptions {
    /// `sqlite:PATH` or `postgres://…`.
    pub url: String,
    /// Most connections (readers, for SQLite).
    pub connections: u32,
    /// How long to wait for a free connection.
    pub acquire_timeout: Duration,
}

impl DbOptions {
    /// Options with defaults.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), connections: 8, acquire_timeout: Duration::from_secs(5) }
    }
}

pub(crate) fn failed(e: sqlx::Error) -> Error {
    let code = match &e {
        sqlx::Error::Database(d) if d.is_unique_violation() => return Error::new(Code::AlreadyExists, "already exists").with_source(e),
        sqlx::Error::Database(d) if d.is_foreign_key_violation() => {
            return Error::new(Code::Conflict, "it refers to something that is not there").with_source(e);
        }
        // PostgreSQL: serialization failure, deadlock, shutting down, too many connections; SQLite: busy, locked
        sqlx::Error::Database(d) => match d.code().as_deref() {
            Some("40001" | "40P01" | "57P01" | "57P02" | "57P03" | "53300" | "5" | "6" | "261" | "517") => Code::Unavailable,
            Some("13" | "53100") => Code::StorageFull,
            _ => Code::Internal,
        },
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) | sqlx::Error::Tls(_) => Code::Unavailable,
        _ => Code::Internal,
    };
    let text = match code {
        Code::Unavailable => "the database is not available; try again",
        Code::StorageFull => "the database is out of space",
        _ => "something went wrong on our side",
    };
    Error::new(code, text).with_source(e)
}

macro_rules! bind {
    ($arguments:ty, $args:expr) => {{
        let mut out = <$arguments>::default();
        for value in $args {
            match value {
                Value::Text(v) => out.add(v),
                Value::Int(v) => out.add(v),
                Value::Bool(v) => out.add(v),
                Value::Float(v) => out.add(v),
                Value::Bytes(v) => out.add(v),
                Value::Uuid(v) => out.add(v),
            }
            .map_err(|e| Error::internal(e))?;
        }
        out
    }};
}

macro_rules! run {
    (all, $on:expr, $sql:expr, $args:expr, $arguments:ty, $row:path) => {{
        let binds = bind!($arguments, $args);
        let rows = sqlx::query_with(AssertSqlSafe($sql), binds).fetch_all($on).await.map_err(failed)?;
        Ok(rows.into_iter().map($row).collect())
    }};
    (opt, $on:expr, $sql:expr, $args:expr, $arguments:ty, $row:path) => {{
        let binds = bind!($arguments, $args);
        Ok(sqlx::query_with(AssertSqlSafe($sql), binds).fetch_optional($on).await.map_err(failed)?.map($row))
    }};
    (exec, $on:expr, $sql:expr, $args:expr, $arguments:ty) => {{
        let binds = bind!($arguments, $args);
        Ok(sqlx::query_with(AssertSqlSafe($sql), binds).execute($on).await.map_err(failed)?.rows_affected())
    }};
}

impl Db {
    /// Opens the database and brings its schema up to date.
    ///
    /// # Errors
    /// `unavailable` when it cannot be reached, `internal` when a migration fails.
    pub async fn open(options: &DbOptions) -> Result<Self> {
        let db = Self::connect(options).await?;
        db.migrate().await?;
        Ok(db)
    }

    /// Opens the database as it is.
    ///
    /// # Errors
    /// `invalid_request` for an address of another kind, `unavailable` when it cannot be reached.
    pub async fn connect(options: &DbOptions) -> Result<Self> {
        let pool = if options.url.starts_with("sqlite:") {
            let base = SqliteConnectOptions::from_str(&options.url)
                .map_err(failed)?
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .foreign_keys(true)
                .busy_timeout(Duration::from_secs(5))
                .pragma("cache_size", "-8192")
                .pragma("mmap_size", "0")
                .pragma("temp_store", "memory")
                .statement_cache_capacity(256)
                .disable_statement_logging();
            let inline = Arc::new(Inline::new(base.get_filename()));
            let write = SqlitePoolOptions::new()
                .max_connections(1)
                .acquire_timeout(options.acquire_timeout.max(Duration::from_secs(15)))
                .idle_timeout(None)
                .max_lifetime(None)
                .connect_with(base.clone().optimize_on_close(true, None))
                .await
                .map_err(failed)?;
            let read = SqlitePoolOptions::new()
                .max_connections(options.connections)
                .min_connections(1)
                .acquire_timeout(options.acquire_timeout)
                .idle_timeout(Some(Duration::from_secs(60)))
                .test_before_acquire(false)
                .connect_with(base.read_only(true).create_if_missing(false))
                .await
                .map_err(failed)?;
            Pool::Sqlite { inline, read, write, soft: Arc::default() }
        } else if options.url.starts_with("postgres:") || options.url.starts_with("postgresql:") {
            let connect =
                PgConnectOptions::from_str(&options.url).map_err(failed)?.application_name("devmentor").disable_statement_logging();
            let pool = PgPoolOptions::new()
                .max_connections(options.connections.max(4))
                .acquire_timeout(options.acquire_timeout)
                // a question to the server before each statement would cost as much as the statement
                .test_before_acquire(false)
                .before_acquire(|connection, known| {
                    Box::pin(async move {
                        if known.idle_for >= TRUSTED {
                            connection.ping().await?;
                        }
                        Ok(true)
                    })
                })
                .connect_with(connect)
                .await
                .map_err(failed)?;
            Pool::Postgres(pool)
        } else {
            return Err(Error::new(Code::InvalidRequest, "database_url starts with sqlite: or postgres:"));
        };
        let wake = Wake::new(matches!(pool, Pool::Sqlite { .. }));
        let db = Self { pool, wake, flow: Arc::new(OnceLock::new()) };
        db.listen();
        Ok(db)
    }

    /// Applies the migrations that are missing. Several instances may start at once.
    ///
    /// # Errors
    /// `internal` when one fails; it is rolled back.
    pub async fn migrate(&self) -> Result<()> {
        match &self.pool {
            Pool::Sqlite { write, .. } => SQLITE.run(write).await,
            Pool::Postgres(pool) => POSTGRES.run(pool).await,
        }
        .map_err(Error::internal)
    }

    /// Which database: `sqlite` or `postgres`.
    pub fn kind(&self) -> &'static str {
        match self.pool {
            Pool::Sqlite { .. } => "sqlite",
            Pool::Postgres(_) => "postgres",
        }
    }

    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self.pool, Pool::Postgres(_))
    }

    /// Sets what follows from events. Only the first call counts.
    pub fn set_flow(&self, flow: Flow) {
        let _ = self.flow.set(flow);
    }

    pub(crate) fn flow(&self) -> Option<Flow> {
        self.flow.get().copied()
    }

    /// The hub that wakes waiters after a commit.
    pub fn wake(&self) -> &Wake {
        &self.wake
    }

    /// Begins a transaction; on SQLite it takes the write lock at once.
    ///
    /// # Errors
    /// `unavailable` when no connection is free in time.
    pub fn begin(&self) -> Reply<'_, Tx> {
        Box::pin(async move {
            let inner = match &self.pool {
                Pool::Sqlite { write, soft, .. } => TxInner::Sqlite(immediate(writer(write, soft, false).await?).await?),
                Pool::Postgres(pool) => TxInner::Postgres(pool.begin().await.map_err(failed)?),
            };
            Ok(Tx { inner, db: self.clone(), topics: Vec::new() })
        })
    }

    /// Begins a transaction that need not outlive a power cut: for what is then done again, such as the state of
    /// internal work and what is derived from a commit. It saves the wait for the disk. It outlives the end of this
    /// process in any case; what is lost is always the end of the history, never something in its middle. Nobody
    /// outside may be told of it, so no events.
    ///
    /// # Errors
    /// `unavailable` when no connection is free in time.
    pub fn begin_soft(&self) -> Reply<'_, Tx> {
        Box::pin(async move {
            let inner = match &self.pool {
                Pool::Sqlite { write, soft, .. } => TxInner::Sqlite(immediate(writer(write, soft, true).await?).await?),
                Pool::Postgres(pool) => {
                    TxInner::Postgres(pool.begin_with("BEGIN; SET LOCAL synchronous_commit = off").await.map_err(failed)?)
                }
            };
            Ok(Tx { inner, db: self.clone(), topics: Vec::new() })
        })
    }

    /// All rows of a query, outside any transaction.
    ///
    /// # Errors
    /// The database's.
    pub fn all<'a>(&'a self, sql: &'a str, args: Args) -> Reply<'a, Vec<Row>> {
        Box::pin(async move {
            match &self.pool {
                Pool::Sqlite { inline, read, .. } => match short(inline, sql, &args, usize::MAX).await {
                    Some(rows) => Ok(rows.into_iter().map(Row::Inline).collect()),
                    None => run!(all, read, sql, args, SqliteArguments, Row::Sqlite),
                },
                Pool::Postgres(pool) => run!(all, pool, sql, args, PgArguments, Row::Postgres),
            }
        })
    }

    /// The first row of a query, if any.
    ///
    /// # Errors
    /// The database's.
    pub fn opt<'a>(&'a self, sql: &'a str, args: Args) -> Reply<'a, Option<Row>> {
        Box::pin(async move {
            match &self.pool {
                Pool::Sqlite { inline, read, .. } => match short(inline, sql, &args, 1).await {
                    Some(rows) => Ok(rows.into_iter().next().map(Row::Inline)),
                    None => run!(opt, read, sql, args, SqliteArguments, Row::Sqlite),
                },
                Pool::Postgres(pool) => run!(opt, pool, sql, args, PgArguments, Row::Postgres),
            }
        })
    }

    /// The only row of a query.
    ///
    /// # Errors
    /// `internal` when there is none; the database's.
    pub fn one<'a>(&'a self, sql: &'a str, args: Args) -> Reply<'a, Row> {
        Box::pin(async move { self.opt(sql, args).await?.ok_or_else(|| Error::internal("a row was expected")) })
    }

    /// Runs a statement in a transaction of its own; the number of rows it changed.
    ///
    /// # Errors
    /// The database's.
    pub fn exec<'a>(&'a self, sql: &'a str, args: Args) -> Reply<'a, u64> {
        Box::pin(async move {
            match &self.pool {
                Pool::Sqlite { write, soft, .. } => {
                    let mut writer = writer(write, soft, false).await?;
                    run!(exec, &mut *writer, sql, args, SqliteArguments)
                }
                Pool::Postgres(pool) => run!(exec, pool, sql, args, PgArguments),
            }
        })
    }

    /// Can it be reached?
    ///
    /// # Errors
    /// The database's.
    pub async fn ping(&self) -> Result<()> {
        self.one(sql!("SELECT 1 AS one"), vec![]).await.map(|_| ())
    }

    /// Closes all connections after their current statements.
    pub async fn close(&self) {
        match &self.pool {
            Pool::Sqlite { inline, read, write, .. } => {
                inline.close();
                read.close().await;
                write.close().await;
            }
            Pool::Postgres(pool) => {
                self.wake.flush().await;
                pool.close().await;
            }
        }
    }

    /// Asks the database to parse a statement without running it: for the test that holds the SQL portable.
    ///
    /// # Errors
    /// What is wrong with the statement.
    pub async fn check_statement(&self, sql: &'static str) -> Result<()> {
        use sqlx::Executor as _;
        match &self.pool {
            Pool::Sqlite { write, .. } => write.prepare(sql.into_sql_str()).await.map(|_| ()),
            Pool::Postgres(pool) => pool.prepare(sql.into_sql_str()).await.map(|_| ()),
        }
        .map_err(failed)
    }

    fn listen(&self) {
        let Pool::Postgres(pool) = &self.pool else { return };
        crate::wake::listen(pool.clone(), self.wake.clone());
    }
}

/// A read on the caller's thread. It waits for nothing, so a task that does nothing else would never let others go on: now and
/// then it steps aside.
async fn short(inline: &Inline, sql: &str, args: &Args, most: usize) -> Option<Vec<InlineRow>> {
    tokio::task::coop::consume_budget().await;
    inline.read(sql, args, most)
}

/// The writer, whose commits wait for the disk unless `soft`.
async fn writer(pool: &SqlitePool, is_soft: &AtomicBool, soft: bool) -> Result<PoolConnection<Sqlite>> {
    let mut writer = pool.acquire().await.map_err(failed)?;
    if is_soft.load(Ordering::Relaxed) != soft {
        let sql = if soft { "PRAGMA synchronous = NORMAL" } else { "PRAGMA synchronous = FULL" };
        // should this fail or be dropped half-way, the next one sets it again
        if soft {
            is_soft.store(true, Ordering::Relaxed);
        }
        sqlx::query(sql).execute(&mut *writer).await.map_err(failed)?;
        is_soft.store(soft, Ordering::Relaxed);
    }
    Ok(writer)
}

/// Takes the write lock at once.
async fn immediate(writer: PoolConnection<Sqlite>) -> Result<Transaction<'static, Sqlite>> {
    Transaction::begin(writer, Some("BEGIN IMMEDIATE".into_sql_str())).await.map_err(failed)
}

enum TxInner {
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
}

/// A transaction; dropped without [`Tx::commit`] it is rolled back.
pub struct Tx {
    inner: TxInner,
    db: Db,
    topics: Vec<String>,
}

impl Tx {
    /// All rows of a query.
    ///
    /// # Errors
    /// The database's.
    pub fn all<'a>(&'a mut self, sql: &'a str, args: Args) -> Reply<'a, Vec<Row>> {
        Box::pin(async move {
            match &mut self.inner {
                TxInner::Sqlite(tx) => run!(all, &mut **tx, sql, args, SqliteArguments, Row::Sqlite),
                TxInner::Postgres(tx) => run!(all, &mut **tx, sql, args, PgArguments, Row::Postgres),
            }
        })
    }

    /// The first row of a query, if any.
    ///
    /// # Errors
    /// The database's.
    pub fn opt<'a>(&'a mut self, sql: &'a str, args: Args) -> Reply<'a, Option<Row>> {
        Box::pin(async move {
            match &mut self.inner {
                TxInner::Sqlite(tx) => run!(opt, &mut **tx, sql, args, SqliteArguments, Row::Sqlite),
                TxInner::Postgres(tx) => run!(opt, &mut **tx, sql, args, PgArguments, Row::Postgres),
            }
        })
    }

    /// The only row of a query.
    ///
    /// # Errors
    /// `internal` when there is none; the database's.
    pub fn one<'a>(&'a mut self, sql: &'a str, args: Args) -> Reply<'a, Row> {
        Box::pin(async move { self.opt(sql, args).await?.ok_or_else(|| Error::internal("a row was expected")) })
    }

    /// Runs a statement; the number of rows it changed.
    ///
    /// # Errors
    /// The database's.
    pub fn exec<'a>(&'a mut self, sql: &'a str, args: Args) -> Reply<'a, u64> {
        Box::pin(async move {
            match &mut self.inner {
                TxInner::Sqlite(tx) => run!(exec, &mut **tx, sql, args, SqliteArguments),
                TxInner::Postgres(tx) => run!(exec, &mut **tx, sql, args, PgArguments),
            }
        })
    }

    /// Is this PostgreSQL? For the few statements of `dialect`.
    pub fn is_postgres(&self) -> bool {
        matches!(self.inner, TxInner::Postgres(_))
    }

    /// Wakes those who wait for `topic` once this is committed, on every instance.
    pub fn wake(&mut self, topic: impl Into<String>) {
        let topic = topic.into();
        if !self.topics.contains(&topic) {
            self.topics.push(topic);
        }
    }

    pub(crate) fn flow(&self) -> Option<Flow> {
        self.db.flow()
    }

    /// Makes it durable, then wakes.
    ///
    /// # Errors
    /// The database's; on `unavailable` the outcome is unknown and must be read back.
    pub fn commit(mut self) -> Reply<'static, ()> {
        Box::pin(async move {
            let topics = std::mem::take(&mut self.topics);
            match self.inner {
                TxInner::Sqlite(tx) => tx.commit().await.map_err(failed)?,
                TxInner::Postgres(tx) => tx.commit().await.map_err(failed)?,
            }
            for topic in topics {
                self.db.wake.send_all(topic);
            }
            Ok(())
        })
    }

    /// Undoes everything.
    ///
    /// # Errors
    /// The database's.
    pub fn rollback(self) -> Reply<'static, ()> {
        Box::pin(async move {
            match self.inner {
                TxInner::Sqlite(tx) => tx.rollback().await.map_err(failed),
                TxInner::Postgres(tx) => tx.rollback().await.map_err(failed),
            }
        })
    }
}

/// Where a store function runs: on its own, or inside a transaction.
pub enum Q<'a> {
    /// On its own.
    Db(&'a Db),
    /// Inside.
    Tx(&'a mut Tx),
}

impl<'a> From<&'a Db> for Q<'a> {
    fn from(db: &'a Db) -> Self {
        Q::Db(db)
    }
}

impl<'a> From<&'a mut Tx> for Q<'a> {
    fn from(tx: &'a mut Tx) -> Self {
        Q::Tx(tx)
    }
}

impl Q<'_> {
    /// All rows of a query.
    ///
    /// # Errors
    /// The database's.
    pub fn all<'a>(&'a mut self, sql: &'a str, args: Args) -> Reply<'a, Vec<Row>> {
        Box::pin(async move {
            match self {
                Q::Db(db) => db.all(sql, args).await,
                Q::Tx(tx) => tx.all(sql, args).await,
            }
        })
    }

    /// The first row of a query, if any.
    ///
    /// # Errors
    /// The database's.
    pub fn opt<'a>(&'a mut self, sql: &'a str, args: Args) -> Reply<'a, Option<Row>> {
        Box::pin(async move {
            match self {
                Q::Db(db) => db.opt(sql, args).await,
                Q::Tx(tx) => tx.opt(sql, args).await,
            }
        })
    }

    /// The only row of a query.
    ///
    /// # Errors
    /// `internal` when there is none; the database's.
    pub fn one<'a>(&'a mut self, sql: &'a str, args: Args) -> Reply<'a, Row> {
        Box::pin(async move { self.opt(sql, args).await?.ok_or_else(|| Error::internal("a row was expected")) })
    }

    /// Runs a statement; the number of rows it changed.
    ///
    /// # Errors
    /// The database's.
    pub fn exec<'a>(&'a mut self, sql: &'a str, args: Args) -> Reply<'a, u64> {
        Box::pin(async move {
            match self {
                Q::Db(db) => db.exec(sql, args).await,
                Q::Tx(tx) => tx.exec(sql, args).await,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_soft_transactions_leave_the_disk_to_the_kernel() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(&DbOptions::new(format!("sqlite:{}", dir.path().join("test.db").display()))).await.unwrap();
        let level = async |tx: &mut Tx| tx.one("PRAGMA synchronous", vec![]).await.unwrap().get::<i64>("synchronous").unwrap();
        for (soft, expected) in [(false, 2), (true, 1), (true, 1), (false, 2)] {
            let mut tx = if soft { db.begin_soft().await.unwrap() } else { db.begin().await.unwrap() };
            assert_eq!(level(&mut tx).await, expected, "soft: {soft}");
            tx.commit().await.unwrap();
        }
        // one that is dropped leaves the next as it should be
        drop(db.begin_soft().await.unwrap());
        db.exec("DELETE FROM work", vec![]).await.unwrap();
        let Pool::Sqlite { soft, .. } = &db.pool else { panic!("not SQLite") };
        assert!(!soft.load(Ordering::Relaxed));
        assert_eq!(level(&mut db.begin().await.unwrap()).await, 2);
    }
}
