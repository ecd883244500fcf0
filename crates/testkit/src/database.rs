//! A fresh database for each test: a file, or a database of the PostgreSQL that `TEST_DATABASE_URL` names.

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    /// A file.
    Sqlite,
    /// A server.
    Postgres,
}

/// The databases to test on: SQLite always, PostgreSQL when there is one.
pub fn databases() -> Vec<Database> {
    if std::env::var_os("TEST_DATABASE_URL").is_some() {
        vec![Database::Sqlite, Database::Postgres]
    } else {
        // `make test` starts one; a bare `cargo test` need not
        assert!(std::env::var_os("CI").is_none(), "TEST_DATABASE_URL is not set: run the tests with `make test`");
        eprintln!("note: TEST_DATABASE_URL is not set; testing on SQLite only");
        vec![Database::Sqlite]
    }
}

/// Makes a database on the test server; its address.
pub fn postgres_url() -> String {
    let base = std::env::var("TEST_DATABASE_URL").expect("TEST_DATABASE_URL");
    let name = format!("dm_{}", uuid::Uuid::now_v7().simple());
    execute(&base, &[&format!("CREATE DATABASE {name}")]);
    let mut url = url::Url::parse(&base).expect("TEST_DATABASE_URL is an address");
    url.set_path(&format!("/{name}"));
    url.to_string()
}

/// Runs statements on a database.
pub fn execute(url: &str, statements: &[&str]) {
    let done = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime").block_on(async {
        let mut options = store::DbOptions::new(url);
        options.connections = 4;
        let db = store::Db::connect(&options).await?;
        for statement in statements {
            db.exec(statement, vec![]).await?;
        }
        db.close().await;
        Ok::<(), kernel::Error>(())
    });
    done.expect("the statements run");
}
