//! Environments: places to deploy to, the stable port each has, what runs there, and the lease of the instance that
//! runs it. Whatever the holder of the lease writes carries its epoch, so one that lost the lease changes nothing.

use kernel::{EnvironmentId, ProjectId, ReleaseId, Result, Timestamp};

use crate::db::{Db, Q, Tx};
use crate::{Row, args, sql};

/// An environment.
#[derive(Clone, Debug)]
pub struct EnvironmentRow {
    /// Its id.
    pub id: EnvironmentId,
    /// Whose it is.
    pub project: ProjectId,
    /// Its name in the project.
    pub name: String,
    /// `process` or `docker`.
    pub target: String,
    /// Where it answers, release after release.
    pub port: u16,
    /// Variables of the application.
    pub config: serde_json::Value,
    /// Names of secrets given to it.
    pub secrets: serde_json::Value,
    /// How its health is checked.
    pub health: serde_json::Value,
    /// Port the application listens on in its container.
    pub container_port: Option<u16>,
    /// `empty`, `deploying`, `healthy`, `unhealthy` or `stopped`.
    pub state: String,
    /// Why it is in that state, for people.
    pub detail: String,
    /// What runs.
    pub release: Option<ReleaseId>,
    /// The running instances, as the deploy manager notes them.
    pub live: Option<serde_json::Value>,
    /// Fencing epoch of the lease.
    pub epoch: i64,
    /// Row version of the settings, for `ETag`.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its settings or state last changed.
    pub updated_at: Timestamp,
    /// Deleted since.
    pub deleted_at: Option<Timestamp>,
}

impl EnvironmentRow {
    fn from_row(row: &Row) -> Result<Self> {
        let live: Option<String> = row.get("live")?;
        Ok(Self {
            id: row.get("id")?,
            project: row.get("project_id")?,
            name: row.get("name")?,
            target: row.get("target")?,
            port: port(row.get("port")?),
            config: row.json("config")?,
            secrets: row.json("secrets")?,
            health: row.json("health")?,
            container_port: row.get::<Option<i64>>("container_port")?.map(port),
            state: row.get("state")?,
            detail: row.get("detail")?,
            release: row.get("release_id")?,
            live: live.map(|l| serde_json::from_str(&l).map_err(kernel::Error::internal)).transpose()?,
            epoch: row.get("epoch")?,
            version: row.get("version")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
            deleted_at: row.get("deleted_at")?,
        })
    }
}

fn port(n: i64) -> u16 {
    u16::try_from(n).unwrap_or(0)
}

/// Adds an environment.
///
/// # Errors
/// `already_exists` when the project has one of this name, or the port is taken.
pub async fn environment_create(tx: &mut Tx, e: &EnvironmentRow) -> Result<()> {
    tx.exec(
        sql!(
            "INSERT INTO environment (id, project_id, name, target, port, config, secrets, health, container_port, state, detail,
                epoch, lease_until, version, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'empty', '', 0, 0, 1, $10, $10)"
        ),
        args![
            e.id,
            e.project,
            &e.name,
            &e.target,
            i64::from(e.port),
            &e.config,
            &e.secrets,
            &e.health,
            e.container_port.map(i64::from),
            e.created_at
        ],
    )
    .await
    .map(|_| ())
}

/// An environment by id; deleted ones too.
///
/// # Errors
/// The database's.
pub async fn environment_get(q: impl Into<Q<'_>>, id: EnvironmentId) -> Result<Option<EnvironmentRow>> {
    let row = q.into().opt(sql!("SELECT * FROM environment WHERE id = $1"), args![id]).await?;
    row.as_ref().map(EnvironmentRow::from_row).transpose()
}

/// An environment of a project by its name.
///
/// # Errors
/// The database's.
pub async fn environment_by_name(q: impl Into<Q<'_>>, project: ProjectId, name: &str) -> Result<Option<EnvironmentRow>> {
    let row = q
        .into()
        .opt(sql!("SELECT * FROM environment WHERE project_id = $1 AND name = $2 AND deleted_at IS NULL"), args![project, name])
        .await?;
    row.as_ref().map(EnvironmentRow::from_row).transpose()
}

/// Environments of a project by name, after `last`.
///
/// # Errors
/// The database's.
pub async fn environment_list(db: &Db, project: ProjectId, last: &str, limit: i64) -> Result<Vec<EnvironmentRow>> {
    let rows = db
        .all(
            sql!("SELECT * FROM environment WHERE project_id = $1 AND name > $2 AND deleted_at IS NULL ORDER BY name LIMIT $3"),
            args![project, last, limit],
        )
        .await?;
    rows.iter().map(EnvironmentRow::from_row).collect()
}

/// Is the port another environment's?
///
/// # Errors
/// The database's.
pub async fn environment_port_taken(q: impl Into<Q<'_>>, port: u16) -> Result<bool> {
    Ok(q.into().opt(sql!("SELECT 1 AS one FROM environment WHERE port = $1"), args![i64::from(port)]).await?.is_some())
}

/// Changes the settings of version `version`; false when they had changed.
///
/// # Errors
/// The database's.
pub async fn environment_update(tx: &mut Tx, e: &EnvironmentRow, version: i64) -> Result<bool> {
    let n = tx
        .exec(
            sql!(
                "UPDATE environment SET target = $3, config = $4, secrets = $5, health = $6, container_port = $7, version = version + 1, updated_at = $8
                 WHERE id = $1 AND version = $2 AND deleted_at IS NULL"
            ),
            args![
                e.id,
                version,
                &e.target,
                &e.config,
                &e.secrets,
                &e.health,
                e.container_port.map(i64::from),
                Timestamp::now()
            ],
        )
        .await?;
    tx.wake(topic(e.id));
    Ok(n == 1)
}

/// Marks an environment as deleted and frees its name and port; its holder stops what runs. False when it was already.
///
/// # Errors
/// The database's.
pub async fn environment_delete(tx: &mut Tx, id: EnvironmentId) -> Result<bool> {
    let now = Timestamp::now();
    // the freed name cannot be that of an environment: names have no blanks; ports are positive
    let n = tx
        .exec(
            sql!(
                "UPDATE environment SET deleted_at = $2, updated_at = $2, state = 'stopped', name = name || $3,
                    port = -1 - (SELECT COUNT(*) FROM environment d WHERE d.deleted_at IS NOT NULL)
                 WHERE id = $1 AND deleted_at IS NULL"
            ),
            args![id, now, format!(" {}", now.millis())],
        )
        .await?;
    crate::secret::values_purge(tx, crate::secret::Scope::Environment(id)).await?;
    tx.wake(topic(id));
    tx.wake(TOPIC);
    Ok(n == 1)
}

/// The topic that wakes the deploy managers.
pub const TOPIC: &str = "deploy";

/// The topic of one environment's changes.
pub fn topic(id: EnvironmentId) -> String {
    format!("environment:{id}")
}

/// Environments nobody holds that need a holder: something runs or is to run there. Those of a deleted project need one
/// until they are stopped.
///
/// # Errors
/// The database's.
pub async fn environment_orphans(db: &Db, now: Timestamp) -> Result<Vec<EnvironmentId>> {
    let rows = db
        .all(
            sql!(
                "SELECT id FROM environment e WHERE lease_until < $1 AND (live IS NOT NULL OR EXISTS
                 (SELECT 1 FROM deployment d WHERE d.environment_id = e.id AND d.state <> 'completed'))
                 AND (state <> 'stopped' OR deleted_at IS NOT NULL
                    OR NOT EXISTS (SELECT 1 FROM project p WHERE p.id = e.project_id AND p.deleted_at IS NOT NULL)) ORDER BY id"
            ),
            args![now],
        )
        .await?;
    rows.iter().map(|r| r.get("id")).collect()
}

/// Takes the lease of an environment nobody holds, with a new epoch.
///
/// # Errors
/// The database's.
pub async fn environment_claim(db: &Db, id: EnvironmentId, by: &str, now: Timestamp, until: Timestamp) -> Result<Option<EnvironmentRow>> {
    let mut tx = db.begin().await?;
    let row = tx
        .opt(
            sql!(
                "UPDATE environment SET leased_by = $2, lease_until = $4, epoch = epoch + 1 WHERE id = $1 AND lease_until < $3 RETURNING *"
            ),
            args![id, by, now, until],
        )
        .await?;
    tx.commit().await?;
    row.as_ref().map(EnvironmentRow::from_row).transpose()
}

/// Holds on to the lease. False when it was lost.
///
/// # Errors
/// The database's.
pub async fn environment_renew(db: &Db, id: EnvironmentId, epoch: i64, until: Timestamp) -> Result<bool> {
    let n = db.exec(sql!("UPDATE environment SET lease_until = $3 WHERE id = $1 AND epoch = $2"), args![id, epoch, until]).await?;
    Ok(n == 1)
}

/// Gives the lease back.
///
/// # Errors
/// The database's.
pub async fn environment_yield(db: &Db, id: EnvironmentId, epoch: i64) -> Result<()> {
    db.exec(sql!("UPDATE environment SET lease_until = 0, leased_by = NULL WHERE id = $1 AND epoch = $2"), args![id, epoch])
        .await
        .map(|_| ())
}

/// Frees every lease: for the start of an instance that knows to be the only one.
///
/// # Errors
/// The database's.
pub async fn environment_yield_all(db: &Db) -> Result<()> {
    db.exec(sql!("UPDATE environment SET lease_until = 0, leased_by = NULL WHERE lease_until > 0"), args![]).await.map(|_| ())
}

/// What the holder notes of an environment.
#[derive(Clone, Debug)]
pub struct EnvironmentNote {
    /// `deploying`, `healthy`, `unhealthy`, `stopped` or `empty`.
    pub state: String,
    /// Why.
    pub detail: String,
    /// What runs.
    pub release: Option<ReleaseId>,
    /// The running instances.
    pub live: Option<serde_json::Value>,
}

/// Writes what the holder notes. False when it holds the lease no more.
///
/// # Errors
/// The database's.
pub async fn environment_note(tx: &mut Tx, id: EnvironmentId, epoch: i64, note: &EnvironmentNote) -> Result<bool> {
    let n = tx
        .exec(
            sql!(
                "UPDATE environment SET state = $3, detail = $4, release_id = $5, live = $6, updated_at = $7 WHERE id = $1 AND epoch = $2"
            ),
            args![id, epoch, &note.state, &note.detail, note.release, note.live.clone(), Timestamp::now()],
        )
        .await?;
    tx.wake(topic(id));
    Ok(n == 1)
}

/// Locks the environment's row if the epoch still holds. False when it does not.
///
/// # Errors
/// The database's.
pub async fn environment_fence(tx: &mut Tx, id: EnvironmentId, epoch: i64) -> Result<bool> {
    Ok(tx.exec(sql!("UPDATE environment SET epoch = epoch WHERE id = $1 AND epoch = $2"), args![id, epoch]).await? == 1)
}

/// Is the environment's project deleted? Then nothing runs there, until the project is restored.
///
/// # Errors
/// The database's.
pub async fn environment_dormant(q: impl Into<Q<'_>>, id: EnvironmentId) -> Result<bool> {
    let row = q
        .into()
        .opt(
            sql!("SELECT 1 AS one FROM environment e JOIN project p ON p.id = e.project_id WHERE e.id = $1 AND p.deleted_at IS NOT NULL"),
            args![id],
        )
        .await?;
    Ok(row.is_some())
}

/// Does an application of a deleted project still run?
///
/// # Errors
/// The database's.
pub async fn environment_awake(q: impl Into<Q<'_>>, project: ProjectId) -> Result<bool> {
    let row = q
        .into()
        .opt(
            sql!(
                "SELECT 1 AS one FROM environment WHERE project_id = $1 AND live IS NOT NULL AND (state <> 'stopped' OR deleted_at IS NOT NULL)"
            ),
            args![project],
        )
        .await?;
    Ok(row.is_some())
}

/// Forgets the images, environments, releases and deployments of a project that is collected for good.
///
/// # Errors
/// The database's.
pub async fn deliver_purge(tx: &mut Tx, project: ProjectId) -> Result<()> {
    // children before what they refer to
    for statement in [
        sql!("DELETE FROM registry_tag WHERE project_id = $1"),
        sql!("DELETE FROM registry_link WHERE project_id = $1"),
        sql!("DELETE FROM registry_push WHERE project_id = $1"),
        sql!("DELETE FROM registry_manifest WHERE project_id = $1"),
        sql!("DELETE FROM deployment WHERE project_id = $1"),
        sql!("DELETE FROM release WHERE project_id = $1"),
        sql!("DELETE FROM scoped_secret WHERE scope_id IN (SELECT id FROM environment WHERE project_id = $1)"),
        sql!("DELETE FROM scoped_variable WHERE scope_id IN (SELECT id FROM environment WHERE project_id = $1)"),
        sql!("DELETE FROM environment WHERE project_id = $1"),
    ] {
        tx.exec(statement, args![project]).await?;
    }
    Ok(())
}
