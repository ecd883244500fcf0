//! From settings to a running service, and back down without losing a request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use area_build::runner::LocalTransport;
use area_build::runner::embedded::{self, Embedded};
use kernel::{Code, Error, Result, Slug, Timestamp};
use metrics_exporter_prometheus::PrometheusBuilder;
use orchestrator::Orchestrator;
use store::account::{NewAccount, account_create, link_create};
use store::token::{TokenRow, token_create};
use store::{Db, DbOptions};
use tokio::net::TcpListener;
use tokio::sync::watch;
use web_kit::secret::{self, Key};
use web_kit::{App, AppBuilder, Config};

use crate::health::Checks;
use crate::router;

/// Opens the database and the other parts.
///
/// # Errors
/// What cannot be opened, in words for the operator.
pub async fn open(config: Config) -> Result<App> {
    std::fs::create_dir_all(&config.data_dir)
        .map_err(|e| Error::new(Code::InvalidRequest, format!("data_dir {}: {e}", config.data_dir.display())))?;
    let index: area_code::SearchIndex = search::open(config.search_url.as_deref(), &config.data_dir.join("search"))?;
    let key = match &config.secret_key {
        Some(text) => Key::from_hex(text)?,
        None => Key::from_file(&config.data_dir.join("secret.key"))?,
    };
    let mut options = DbOptions::new(config.database());
    options.connections = config.database_connections;
    let db = Db::open(&options).await?;
    db.set_flow(orchestrator::flows::flow);
    let recorder = PrometheusBuilder::new()
        .set_buckets(&[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
        .map_err(Error::internal)?
        .build_recorder();
    let handle = recorder.handle();
    // a second service in one process (tests) keeps the first recorder
    let _ = metrics::set_global_recorder(recorder);
    let mut checks = Checks::default();
    checks.0.push(("database", Box::new(|app| Box::pin(async move { app.db().ping().await.map(|()| app.db().kind().to_owned()) }))));
    let storage = config.storage_url.clone().unwrap_or_else(|| format!("file:{}", config.data_dir.join("blobs").display()));
    let blobs = blobs::Blobs::open(&storage)?;
    checks
        .0
        .push(("storage", Box::new(|app| Box::pin(async move { Ok(app.part::<blobs::Blobs>()?.check().await.map(|()| String::new())?) }))));
    checks.0.push((
        "search",
        Box::new(|app| {
            Box::pin(async move {
                let index = app.part::<area_code::SearchIndex>()?;
                Ok(index.health().await.map(|()| index.kind().to_owned())?)
            })
        }),
    ));
    let repositories = git::Repositories::open(
        &config.data_dir.join("repositories"),
        git::Options { fetches: config.git_processes, pushes: config.git_processes, push_bytes: config.push_limit, ..Default::default() },
    )
    .await?;
    let cache = match &config.redis_url {
        Some(url) => cache::Cache::redis(url).map_err(|e| Error::new(Code::InvalidRequest, format!("redis_url: {e}")))?,
        None => cache::Cache::memory(),
    };
    checks.0.push((
        "cache",
        Box::new(|app| {
            Box::pin(async move {
                let cache = app.part::<cache::Cache>()?;
                let health = cache.health().await;
                // the service is right without it, only slower and with limits per instance
                Ok(if health.ok { cache.kind().to_owned() } else { format!("{} does not answer; using memory", cache.kind()) })
            })
        }),
    ));
    let resolvers = area_build::resolvers(web_kit::auth::Resolvers::default());
    Ok(area_build::parts(AppBuilder::new(db, config, key))
        .with(resolvers)
        .with(cache)
        .with(handle)
        .with(checks)
        .with(blobs)
        .with(area_deliver::Manager::default())
        .with(repositories)
        .with(index)
        .with(area_workspace::template::ToolCache::default())
        .build())
}

/// Creates the administrator when there is no account yet; the one-time sign-in link when no token was configured.
///
/// # Errors
/// The database's.
pub async fn first_start(app: &App) -> Result<Option<String>> {
    if store::account::account_any(app.db()).await? {
        return Ok(None);
    }
    let mut tx = app.db().begin().await?;
    let name = Slug::parse("admin")?;
    let new = NewAccount { name: &name, display_name: "Administrator", email: None, password_hash: None, admin: true };
    let account = match account_create(&mut tx, new).await {
        Ok(account) => account,
        // another instance was first
        Err(e) if e.is(Code::AlreadyExists) => return Ok(None),
        Err(e) => return Err(e),
    };
    let now = Timestamp::now();
    let link = if let Some(token) = &app.config().admin_token {
        if token.len() < 16 {
            return Err(Error::new(Code::InvalidRequest, "admin_token has at least 16 characters"));
        }
        let row = TokenRow {
            id: kernel::TokenId::new(),
            account: account.id,
            name: "administrator".into(),
            permissions: kernel::Permission::ALL.iter().map(|p| p.as_str().to_owned()).collect(),
            projects: None,
            expires_at: None,
            last_used_at: None,
            created_at: now,
        };
        token_create(&mut tx, &row, &secret::hash(token)).await?;
        None
    } else {
        let link = secret::token("dml");
        link_create(&mut tx, account.id, &secret::hash(&link), now.plus(Duration::from_secs(24 * 3600))).await?;
        Some(app.url(&format!("/sign-in?link={link}")))
    };
    tx.commit().await?;
    Ok(link)
}

/// A service that answers.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    app: App,
    orchestrator: Orchestrator,
    runner: Option<Embedded>,
    stop: watch::Sender<bool>,
    served: tokio::task::JoinHandle<()>,
}

impl Running {
    /// The state.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Takes no more requests, lets those that run end, then stops the workers and closes the database.
    pub async fn stop(self) {
        let at_most = Duration::from_secs(self.app.config().drain_seconds);
        let begun = Instant::now();
        let _ = self.stop.send(true);
        if let Some(runner) = self.runner {
            runner.stop().await;
        }
        if tokio::time::timeout(at_most, self.served).await.is_err() {
            tracing::warn!("some requests did not end in time");
        }
        self.orchestrator.stop(at_most.saturating_sub(begun.elapsed()).max(Duration::from_secs(2))).await;
        // the applications run on; whoever takes their leases takes them up
        area_deliver::manager::stop(&self.app).await;
        self.app.db().close().await;
    }
}

/// Starts to serve.
///
/// # Errors
/// `invalid_request` when the address is taken.
pub async fn start(app: App) -> Result<Running> {
    let listener = TcpListener::bind(app.config().listen)
        .await
        .map_err(|e| Error::new(Code::InvalidRequest, format!("cannot listen on {}: {e}", app.config().listen)))?;
    let address = listener.local_addr().map_err(Error::internal)?;
    let routes = router::build(app.clone());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let orchestrator = Orchestrator::start(&app, &format!("{} {address}", host.trim()));
    // the runner of this process speaks to the same routes as any other, without a socket
    let runner = embedded::start(&app, Arc::new(LocalTransport::new(routes.clone()))).await?;
    let (stop, stopped) = watch::channel(false);
    let served = tokio::spawn(crate::listen::serve(listener, routes, stopped));
    Ok(Running { address, app, orchestrator, runner, stop, served })
}

/// Runs the service until SIGTERM or SIGINT, printing where it answers.
///
/// # Errors
/// What kept it from starting.
pub async fn run(config: Config) -> Result<()> {
    let begun = Instant::now();
    let app = open(config).await?;
    store::idempotency::idempotency_restart(app.db()).await?;
    let link = first_start(&app).await?;
    let running = start(app.clone()).await?;
    let url = app.config().public_url();
    tracing::info!(address = %running.address, url, millis = begun.elapsed().as_millis() as u64, "ready");
    println!("DevMentor Project Service answers on {url}");
    if let Some(link) = link {
        println!("Sign in once as the administrator (within 24 hours): {link}");
    }
    signal().await;
    tracing::info!("draining");
    running.stop().await;
    Ok(())
}

async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut term) => {
            tokio::select! {
                _ = term.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(error) => {
            tracing::warn!(%error, "SIGTERM cannot be heard");
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}
