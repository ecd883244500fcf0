//! Holds the SQL portable: every fixed statement is prepared on both databases, and both schemas have the same columns.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use store::{Db, DbOptions};

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|e| e.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The literal of each `sql!("…")` in the sources.
fn statements() -> Vec<(String, &'static str)> {
    let pattern = regex::Regex::new(r#"sql!\(\s*"((?:[^"\\]|\\.)*)"\s*\)"#).unwrap();
    let mut out = Vec::new();
    for path in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let text = std::fs::read_to_string(&path).unwrap();
        for found in pattern.captures_iter(&text) {
            let statement = found[1].replace("\\n", "\n").replace("\\\"", "\"");
            // a test's statements live as long as the test
            out.push((path.file_name().unwrap().to_string_lossy().into_owned(), &*Box::leak(statement.into_boxed_str())));
        }
    }
    out
}

async fn open(url: &str) -> Db {
    Db::open(&DbOptions::new(url)).await.unwrap()
}

async fn sqlite(dir: &tempfile::TempDir) -> Db {
    open(&format!("sqlite:{}", dir.path().join("db").display())).await
}

/// A fresh database of the test server, when there is one.
async fn postgres() -> Option<Db> {
    let base = std::env::var("TEST_DATABASE_URL").ok()?;
    let admin = Db::connect(&DbOptions::new(base.clone())).await.unwrap();
    let name = format!("dm_{}", uuid::Uuid::now_v7().simple());
    admin.exec(&format!("CREATE DATABASE {name}"), vec![]).await.unwrap();
    admin.close().await;
    let (head, _) = base.rsplit_once('/').unwrap();
    Some(open(&format!("{head}/{name}")).await)
}

async fn check_all(db: &Db) {
    let all = statements();
    assert!(all.len() > 50, "the sources hold more statements than {}", all.len());
    let mut wrong = Vec::new();
    for (file, statement) in all {
        if let Err(e) = db.check_statement(statement).await {
            wrong.push(format!("{file}: {e:?}\n    {statement}"));
        }
    }
    assert!(wrong.is_empty(), "on {}:\n{}", db.kind(), wrong.join("\n"));
}

#[tokio::test]
async fn every_statement_prepares_on_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    check_all(&sqlite(&dir).await).await;
}

#[tokio::test]
async fn every_statement_prepares_on_postgres() {
    if let Some(db) = postgres().await {
        check_all(&db).await;
    }
}

/// Table to column to (kind, nullable).
type Columns = BTreeMap<String, BTreeMap<String, (String, bool)>>;

fn kind(declared: &str, postgres: bool) -> String {
    let declared = declared.to_lowercase();
    match declared.as_str() {
        "bigint" | "integer" => "whole",
        "text" => "text",
        "boolean" => "truth",
        "double precision" | "real" => "number",
        // SQLite keeps both in a blob
        "uuid" | "bytea" if postgres => "bytes",
        "blob" => "bytes",
        other => other,
    }
    .to_owned()
}

#[tokio::test]
async fn both_schemas_have_the_same_columns() {
    let dir = tempfile::tempdir().unwrap();
    let a = sqlite(&dir).await;
    let Some(b) = postgres().await else { return };
    let mut left: Columns = BTreeMap::new();
    let tables = a
        .all("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '_sqlx_%'", vec![])
        .await
        .unwrap();
    for table in tables {
        let table: String = table.get("name").unwrap();
        for c in a.all(&format!("SELECT name, type, \"notnull\" AS nn, pk FROM pragma_table_info('{table}')"), vec![]).await.unwrap() {
            let required = c.get::<i64>("nn").unwrap() == 1 || c.get::<i64>("pk").unwrap() > 0;
            left.entry(table.clone())
                .or_default()
                .insert(c.get("name").unwrap(), (kind(&c.get::<String>("type").unwrap(), false), !required));
        }
    }
    let mut right: Columns = BTreeMap::new();
    let columns = b
        .all(
            "SELECT table_name::text AS t, column_name::text AS c, data_type::text AS d, is_nullable::text AS n FROM information_schema.columns
             WHERE table_schema = 'public' AND table_name NOT LIKE '\\_sqlx\\_%'",
            vec![],
        )
        .await
        .unwrap();
    for c in columns {
        right
            .entry(c.get("t").unwrap())
            .or_default()
            .insert(c.get("c").unwrap(), (kind(&c.get::<String>("d").unwrap(), true), c.get::<String>("n").unwrap() == "YES"));
    }
    assert_eq!(left, right);
    // and the same indexes
    let names = |rows: Vec<store::Row>| -> Vec<String> { rows.iter().map(|r| r.get("name").unwrap()).collect() };
    let ia = names(a.all("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY name", vec![]).await.unwrap());
    let ib = names(b.all("SELECT indexname::text AS name FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1", vec![]).await.unwrap());
    for index in ia {
        assert!(ib.contains(&index), "PostgreSQL lacks the index {index}");
    }
}

#[tokio::test]
async fn the_outbox_never_steps_over_a_row() {
    use kernel::{Event, EventData, ProjectId};
    for db in [Some(sqlite(&tempfile::tempdir().unwrap().keep_alive()).await), postgres().await].into_iter().flatten() {
        let writers: Vec<_> = (0..8)
            .map(|_| {
                let db = db.clone();
                tokio::spawn(async move {
                    for _ in 0..25 {
                        let mut tx = db.begin().await.unwrap();
                        tx.emit(&Event::new(None, Some(ProjectId::new()), EventData::ProjectArchived { archived: true })).await.unwrap();
                        tokio::time::sleep(std::time::Duration::from_millis(rand::random_range(0..3))).await;
                        tx.commit().await.unwrap();
                    }
                })
            })
            .collect();
        let mut seen = std::collections::HashSet::new();
        let mut at = store::event::Position::default();
        let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while seen.len() < 200 && std::time::Instant::now() < end {
            for (position, event) in store::event::event_list(&db, at, None, 7).await.unwrap() {
                assert!(seen.insert(event.id), "an event came twice");
                at = position;
            }
        }
        for w in writers {
            w.await.unwrap();
        }
        assert_eq!(seen.len(), 200, "on {}", db.kind());
    }
}

trait KeepAlive {
    /// The directory stays until the test process ends.
    fn keep_alive(self) -> tempfile::TempDir;
}

impl KeepAlive for tempfile::TempDir {
    fn keep_alive(mut self) -> tempfile::TempDir {
        self.disable_cleanup(true);
        self
    }
}

#[tokio::test]
async fn leased_work_has_one_holder_and_survives_it() {
    use store::NewWork;
    use store::work::{work_claim, work_finish};
    let dir = tempfile::tempdir().unwrap();
    for db in [Some(sqlite(&dir).await), postgres().await].into_iter().flatten() {
        let mut tx = db.begin().await.unwrap();
        for i in 0..40 {
            tx.enqueue(NewWork::new("k", serde_json::json!({ "i": i })).lane(format!("lane{}", i % 4))).await.unwrap();
        }
        // a key that waits is not added again
        for _ in 0..3 {
            tx.enqueue(NewWork::new("once", serde_json::json!({})).dedup("same")).await.unwrap();
        }
        tx.commit().await.unwrap();
        let done = std::sync::Arc::new(parking_lot::Mutex::new(Vec::new()));
        let workers: Vec<_> = (0..6)
            .map(|w| {
                let (db, done) = (db.clone(), done.clone());
                tokio::spawn(async move {
                    let mut idle = 0;
                    while idle < 20 {
                        let claimed = work_claim(&db, &format!("w{w}"), 3).await.unwrap();
                        idle = if claimed.is_empty() { idle + 1 } else { 0 };
                        for work in claimed {
                            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                            work_finish(&db, &work, Ok(())).await.unwrap();
                            done.lock().push((work.kind.clone(), work.payload["i"].as_i64()));
                        }
                        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
                    }
                })
            })
            .collect();
        for w in workers {
            w.await.unwrap();
        }
        let done = done.lock().clone();
        assert_eq!(done.iter().filter(|(k, _)| k == "once").count(), 1);
        for lane in 0..4 {
            let order: Vec<i64> = done.iter().filter_map(|(k, i)| i.filter(|i| k == "k" && i % 4 == lane)).collect();
            let expected: Vec<i64> = (0..40).filter(|i| i % 4 == lane).collect();
            assert_eq!(order, expected, "lane {lane} on {}", db.kind());
        }
        // a holder that lost its claim cannot end it
        let mut tx = db.begin().await.unwrap();
        tx.enqueue(NewWork::new("lost", serde_json::json!({}))).await.unwrap();
        tx.commit().await.unwrap();
        let first = work_claim(&db, "a", 1).await.unwrap().remove(0);
        db.exec("UPDATE work SET lease_until = 0 WHERE state = 'leased'", vec![]).await.unwrap();
        let second = work_claim(&db, "b", 1).await.unwrap().remove(0);
        assert_eq!((first.id, first.epoch + 1), (second.id, second.epoch));
        assert_eq!(work_finish(&db, &first, Ok(())).await.unwrap_err().code, kernel::Code::StaleEpoch);
        work_finish(&db, &second, Ok(())).await.unwrap();
    }
}
