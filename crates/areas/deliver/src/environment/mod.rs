//! Environments: places of a project to deploy to. Each has one port of the machine for life, on which the proxy
//! answers whatever release runs behind it.

pub mod model;
pub mod routes;

use kernel::Code;
use kernel::Context;
use kernel::EnvironmentId;
use kernel::Error;
use kernel::Permission;
use kernel::Result;
use kernel::Slug;
use kernel::Timestamp;
use rand::RngExt as _;
use store::environment::EnvironmentRow;
use store::environment::environment_create as create_row;
use store::environment::environment_delete as delete_row;
use store::environment::environment_get as get_row;
use store::environment::environment_port_taken;
use store::environment::environment_update as update_row;
use web_kit::App;
use web_kit::Project;
use web_kit::attempt::Receipt;
use web_kit::changed;

use crate::deployment::model::Release;
use model::Environment;
use model::EnvironmentChange;
use model::EnvironmentNew;
use model::Target;

/// Most environments of a project.
pub(crate) const MOST: i64 = 50;

/// Where an environment answers.
pub(crate) fn url(app: &App, port: u16) -> String {
    let public = app.config().public_host();
    let host = match &app.config().deploy_host {
        Some(host) => host.as_str(),
        // a bracketed IPv6 address keeps its colons
        None => public.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(public.as_str(), |(h, _)| h),
    };
    format!("http://{host}:{port}")
}

/// As it is shown.
///
/// # Errors
/// The database's.
pub(crate) async fn show(app: &App, row: EnvironmentRow, whole: bool) -> Result<Environment> {
    let current = match row.release {
        Some(id) => store::release::release_get(app.db(), id).await?.map(|row| Release::new(row, whole)),
        None => None,
    };
    let json = |value: serde_json::Value| serde_json::from_value(value).map_err(Error::internal);
    Ok(Environment {
        id: row.id,
        target: Target::parse(&row.target),
        url: url(app, row.port),
        port: row.port,
        state: row.state,
        detail: row.detail,
        config: if whole { Some(serde_json::from_value(row.config).map_err(Error::internal)?) } else { None },
        secrets: serde_json::from_value(row.secrets).map_err(Error::internal)?,
        health: json(row.health)?,
        container_port: row.container_port,
        current,
        version: row.version,
        updated_at: row.updated_at,
        name: row.name,
    })
}

/// Finds an environment by id with the decision over its project.
///
/// # Errors
/// `not_found`, also where the caller may not know of it; `forbidden`.
pub async fn environment_get(app: &App, ctx: &Context, id: &str, p: Permission) -> Result<(EnvironmentRow, Project)> {
    let missing = || Error::not_found("environment");
    let id: EnvironmentId = id.parse().map_err(|_| missing())?;
    let row = get_row(app.db(), id).await?.filter(|e| e.deleted_at.is_none()).ok_or_else(missing)?;
    let project = app.project_by_id(ctx, row.project, p).await.map_err(|e| if e.is(Code::NotFound) { missing() } else { e })?;
    Ok((row, project))
}

/// Makes an environment and finds it a port.
///
/// # Errors
/// `validation_failed`, `already_exists`, `unavailable` when no port is free.
pub async fn environment_create(app: &App, ctx: &Context, project: &str, new: EnvironmentNew) -> Result<EnvironmentRow> {
    let project = app.project(ctx, project, Permission::EnvironmentWrite).await?;
    if let Some(id) = app.made::<EnvironmentId>(ctx)? {
        return get_row(app.db(), id).await?.ok_or_else(|| Error::not_found("environment"));
    }
    create(app, &project, new, |id| app.receipt(ctx, &id)).await
}

/// Makes the row; `receipt` is kept with it.
pub(crate) async fn create(
    app: &App,
    project: &Project,
    new: EnvironmentNew,
    receipt: impl FnOnce(EnvironmentId) -> Result<Option<Receipt>>,
) -> Result<EnvironmentRow> {
    let name = Slug::parse(&new.name)?;
    model::check(Some(&new.config), Some(&new.secrets), Some(&new.health), new.container_port)?;
    if i64::try_from(store::environment::environment_list(app.db(), project.id(), "", MOST + 1).await?.len()).unwrap_or(MOST) >= MOST {
        return Err(Error::new(Code::Unprocessable, format!("a project has at most {MOST} environments")));
    }
    let target = match new.target {
        Some(target) => target,
        None if crate::manager::docker(app).await.is_some() => Target::Docker,
        None => Target::Process,
    };
    let now = Timestamp::now();
    let mut row = EnvironmentRow {
        id: EnvironmentId::new(),
        project: project.id(),
        name: name.as_str().to_owned(),
        target: target.as_str().to_owned(),
        port: 0,
        config: serde_json::json!(new.config),
        secrets: serde_json::json!(new.secrets),
        health: serde_json::json!(new.health),
        container_port: new.container_port,
        state: "empty".into(),
        detail: String::new(),
        release: None,
        live: None,
        epoch: 0,
        version: 1,
        created_at: now,
        updated_at: now,
        deleted_at: None,
    };
    let mut tx = app.db().begin().await?;
    row.port = free_port(app, &mut tx).await?;
    create_row(&mut tx, &row).await?;
    tx.keep(receipt(row.id)?).await?;
    tx.commit().await?;
    Ok(row)
}

/// A port of the configured range that no environment has and nobody listens on.
async fn free_port(app: &App, tx: &mut store::Tx) -> Result<u16> {
    let config = app.config();
    let (from, to) = (config.deploy_port_from, config.deploy_port_to.max(config.deploy_port_from));
    let count = u32::from(to - from) + 1;
    // services that share a machine would all begin with the same one
    let start = rand::rng().random_range(0..count);
    for i in 0..count {
        let port = from + u16::try_from((start + i) % count).unwrap_or(0);
        let listens = std::net::TcpListener::bind((config.deploy_listen.as_str(), port)).is_err();
        if !listens && !environment_port_taken(&mut *tx, port).await? {
            return Ok(port);
        }
    }
    Err(Error::new(Code::Unavailable, "no port is left for environments; see deploy_port_from and deploy_port_to"))
}

/// Changes an environment.
///
/// # Errors
/// `precondition_failed`, `validation_failed`.
pub async fn environment_update(app: &App, ctx: &Context, id: &str, version: i64, change: EnvironmentChange) -> Result<EnvironmentRow> {
    let (mut row, _) = environment_get(app, ctx, id, Permission::EnvironmentWrite).await?;
    model::check(change.config.as_ref(), change.secrets.as_ref(), change.health.as_ref(), change.container_port)?;
    if let Some(target) = change.target {
        row.target = target.as_str().to_owned();
    }
    if let Some(config) = change.config {
        row.config = serde_json::json!(config);
    }
    if let Some(secrets) = change.secrets {
        row.secrets = serde_json::json!(secrets);
    }
    if let Some(health) = change.health {
        row.health = serde_json::json!(health);
    }
    row.container_port = change.container_port.or(row.container_port);
    let mut tx = app.db().begin().await?;
    changed(update_row(&mut tx, &row, version).await?.then_some(()))?;
    tx.commit().await?;
    get_row(app.db(), row.id).await?.ok_or_else(|| Error::not_found("environment"))
}

/// Deletes an environment; what runs there is stopped.
///
/// # Errors
/// `not_found`.
pub async fn environment_delete(app: &App, ctx: &Context, id: &str) -> Result<()> {
    let (row, _) = environment_get(app, ctx, id, Permission::EnvironmentWrite).await?;
    let mut tx = app.db().begin().await?;
    for open in store::deployment::deployment_open(&mut tx, row.id).await? {
        if open.state == "queued" {
            store::deployment::deployment_finish(&mut tx, open.id, "failure", Some("the environment was deleted"), &open.steps).await?;
        }
    }
    delete_row(&mut tx, row.id).await?;
    tx.commit().await
}
