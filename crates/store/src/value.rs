//! Values on the way in and out of either database. The enum keeps one code path, and one compiled copy of every
//! store function, for both.

use kernel::{Error, Result, Timestamp};
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, ValueRef as _};
use uuid::Uuid;

use crate::inline::InlineRow;

/// A bind value. Nulls are typed, as PostgreSQL wants to know.
#[derive(Clone, Debug)]
pub enum Value {
    /// TEXT
    Text(Option<String>),
    /// BIGINT
    Int(Option<i64>),
    /// BOOLEAN
    Bool(Option<bool>),
    /// DOUBLE PRECISION / REAL
    Float(Option<f64>),
    /// BYTEA / BLOB
    Bytes(Option<Vec<u8>>),
    /// UUID / BLOB
    Uuid(Option<Uuid>),
}

/// The binds of a statement, in order of `$1`, `$2`, …
pub type Args = Vec<Value>;

/// Builds [`Args`] from anything that converts into a [`Value`].
#[macro_export]
macro_rules! args {
    ($($e:expr),* $(,)?) => { vec![$($crate::Value::from($e)),*] };
}

/// Marks a statement, so that a test can prepare every one of them on both databases.
#[macro_export]
macro_rules! sql {
    ($s:literal) => {
        $s
    };
}

macro_rules! into_value {
    ($($ty:ty, $variant:ident, |$x:ident| $e:expr;)*) => {$(
        impl From<$ty> for Value { fn from($x: $ty) -> Self { Value::$variant(Some($e)) } }
        impl From<Option<$ty>> for Value { fn from(x: Option<$ty>) -> Self { Value::$variant(x.map(|$x| $e)) } }
    )*};
}

into_value! {
    String, Text, |x| x;
    &str, Text, |x| x.to_owned();
    &String, Text, |x| x.clone();
    i64, Int, |x| x;
    i32, Int, |x| i64::from(x);
    u32, Int, |x| i64::from(x);
    u64, Int, |x| i64::try_from(x).unwrap_or(i64::MAX);
    usize, Int, |x| i64::try_from(x).unwrap_or(i64::MAX);
    Timestamp, Int, |x| x.millis();
    bool, Bool, |x| x;
    f64, Float, |x| x;
    Vec<u8>, Bytes, |x| x;
    &[u8], Bytes, |x| x.to_vec();
    Uuid, Uuid, |x| x;
    serde_json::Value, Text, |x| x.to_string();
    &serde_json::Value, Text, |x| x.to_string();
}

/// One row of either database.
pub enum Row {
    /// From SQLite.
    Sqlite(SqliteRow),
    /// From SQLite, read on the caller's thread.
    Inline(InlineRow),
    /// From PostgreSQL.
    Postgres(PgRow),
}

/// A type that a column can be read as.
pub trait Column: Sized {
    /// Reads the column by name.
    ///
    /// # Errors
    /// `internal` when the column is missing or of another type.
    fn read(row: &Row, name: &str) -> Result<Self>;
}

impl Row {
    /// Reads a column by name.
    ///
    /// # Errors
    /// `internal` when the column is missing, null where `T` is not an `Option`, or of another type.
    pub fn get<T: Column>(&self, name: &str) -> Result<T> {
        T::read(self, name)
    }

    /// Reads a JSON column.
    ///
    /// # Errors
    /// `internal` when the text is not the JSON of a `T`.
    pub fn json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T> {
        serde_json::from_str(&self.get::<String>(name)?).map_err(Error::internal)
    }

    fn is_null(&self, name: &str) -> Result<bool> {
        match self {
            Row::Inline(r) => return r.is_null(name),
            Row::Sqlite(r) => r.try_get_raw(name).map(|v| v.is_null()),
            Row::Postgres(r) => r.try_get_raw(name).map(|v| v.is_null()),
        }
        .map_err(Error::internal)
    }
}

macro_rules! column {
    ($($ty:ty),*) => {$(
        impl Column for $ty {
            fn read(row: &Row, name: &str) -> Result<Self> {
                match row {
                    // SQLite's declared types are hints, and expressions have none
                    Row::Inline(r) => return r.get(name),
                    Row::Sqlite(r) => r.try_get_unchecked(name),
                    Row::Postgres(r) => r.try_get(name),
                }
                .map_err(Error::internal)
            }
        }
        impl Column for Option<$ty> {
            fn read(row: &Row, name: &str) -> Result<Self> {
                if row.is_null(name)? { Ok(None) } else { <$ty>::read(row, name).map(Some) }
            }
        }
    )*};
}

column!(String, i64, bool, f64, Vec<u8>, Uuid);

macro_rules! column_via {
    ($($ty:ty, $raw:ty, |$x:ident| $e:expr;)*) => {$(
        impl Column for $ty {
            fn read(row: &Row, name: &str) -> Result<Self> { let $x = <$raw>::read(row, name)?; Ok($e) }
        }
        impl Column for Option<$ty> {
            fn read(row: &Row, name: &str) -> Result<Self> { Ok(<Option<$raw>>::read(row, name)?.map(|$x| $e)) }
        }
    )*};
}

column_via! {
    Timestamp, i64, |x| Timestamp(x);
    u64, i64, |x| u64::try_from(x).unwrap_or(0);
    u32, i64, |x| u32::try_from(x).unwrap_or(0);
    usize, i64, |x| usize::try_from(x).unwrap_or(0);
}

macro_rules! id_columns {
    ($($name:ident)*) => {$(
        impl From<kernel::$name> for Value { fn from(x: kernel::$name) -> Self { Value::Uuid(Some(x.uuid())) } }
        impl From<Option<kernel::$name>> for Value {
            fn from(x: Option<kernel::$name>) -> Self { Value::Uuid(x.map(kernel::$name::uuid)) }
        }
        impl Column for kernel::$name {
            fn read(row: &Row, name: &str) -> Result<Self> { Uuid::read(row, name).map(Self::from) }
        }
        impl Column for Option<kernel::$name> {
            fn read(row: &Row, name: &str) -> Result<Self> { Ok(<Option<Uuid>>::read(row, name)?.map(Into::into)) }
        }
    )*};
}

id_columns! {
    UserId GroupId ProjectId TokenId SessionId EventId WorkId OperationId PushId RunId JobId StepId RunnerId ArtifactId
    SecretId VariableId ScheduleId EnvironmentId JobEnvironmentId JobQuestionId ReleaseId DeploymentId UploadId RequestId TestId
}
