//! Deployments: asking for one, for a rollback, and the history. Asking is one transaction: the release, the queued
//! deployment, and the end of those it supersedes; `manager` does the rest.

pub mod model;
pub mod routes;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use blobs::Blobs;
use kernel::Actor;
use kernel::Code;
use kernel::Context;
use kernel::DeploymentId;
use kernel::EnvironmentId;
use kernel::Error;
use kernel::Event;
use kernel::EventData;
use kernel::Permission;
use kernel::ReleaseId;
use kernel::Result;
use kernel::RunId;
use kernel::Timestamp;
use kernel::UserId;
use oci::Reference;
use store::deployment::DeploymentRow;
use store::deployment::deployment_by_key;
use store::deployment::deployment_create;
use store::deployment::deployment_finish;
use store::deployment::deployment_get as get_row;
use store::deployment::deployment_open;
use store::environment::EnvironmentRow;
use store::registry::ManifestContent;
use store::release::ReleaseRow;
use store::release::release_before;
use store::release::release_create;
use store::release::release_get;
use store::secret::Content;
use store::secret::Scope;
use store::secret::values_of;
use web_kit::App;
use web_kit::Project;

use crate::environment::model::Config;
use crate::environment::model::EnvironmentNew;
use crate::environment::model::check_config;
use crate::image::image_of;
use model::ActorView;
use model::DeployNew;
use model::Deployment;
use model::EnvironmentName;
use model::Release;
use model::SealedSecret;
use model::SealedSecrets;
use model::Wanted;

/// An image that a text named.
struct Found {
    shown: String,
    manifest: ManifestContent,
    commit: Option<String>,
}

/// Asks for a deployment.
///
/// # Errors
/// `not_found`, `validation_failed` when the image is none of the project's, `forbidden`.
pub async fn deploy(app: &App, ctx: &Context, project: &str, new: DeployNew) -> Result<DeploymentRow> {
    let project = app.project(ctx, project, Permission::DeploymentWrite).await?;
    check_config(&new.config)?;
    let (run, key) = asked_by(app, ctx, new.key.as_deref()).await?;
    let environment = match find_environment(app, &project, &new.environment).await? {
        Some(row) => row,
        None if new.environment.starts_with("env_") => return Err(Error::not_found("environment")),
        None => {
            let made = EnvironmentNew {
                name: new.environment.clone(),
                target: None,
                config: Config::new(),
                secrets: vec![],
                health: Default::default(),
                container_port: None,
            };
            match crate::environment::create(app, &project, made, |_| Ok(None)).await {
                // somebody else asked at the same moment
                Err(e) if e.is(Code::AlreadyExists) => {
                    find_environment(app, &project, &new.environment).await?.ok_or_else(|| Error::not_found("environment"))?
                }
                other => other.map_err(|e| Error { detail: format!("environment: {}", e.detail), ..e })?,
            }
        }
    };
    let release = match new.release {
        Some(id) => {
            let release = own_release(app, &environment, id).await?;
            if new.image.is_some() || !new.config.is_empty() {
                return Err(Error::field("release", "conflict", "a release has its own image and configuration"));
            }
            release
        }
        None => new_release(app, ctx, &project, &environment, &new).await?,
    };
    enqueue(app, &environment, release, new.release.is_none(), Asked { kind: "deploy", account: ctx.user(), run, key }).await
}

/// Asks to go back to an earlier release.
///
/// # Errors
/// `unprocessable` when there is none.
pub async fn rollback(app: &App, ctx: &Context, environment: &str, to: Option<ReleaseId>) -> Result<DeploymentRow> {
    let (environment, _) = crate::environment::environment_get(app, ctx, environment, Permission::DeploymentWrite).await?;
    let (run, key) = asked_by(app, ctx, None).await?;
    // asked again, the environment may have gone on to another release already
    if let Some(key) = &key
        && let Some(made) = deployment_by_key(app.db(), environment.id, key).await?
    {
        return Ok(made);
    }
    let release = match to {
        Some(id) => own_release(app, &environment, id).await?,
        None => release_before(app.db(), environment.id, environment.release)
            .await?
            .ok_or_else(|| Error::new(Code::Unprocessable, "there is no earlier release to go back to"))?,
    };
    enqueue(app, &environment, release, false, Asked { kind: "rollback", account: ctx.user(), run, key }).await
}

async fn find_environment(app: &App, project: &Project, name: &str) -> Result<Option<EnvironmentRow>> {
    match name.parse::<EnvironmentId>() {
        Ok(id) => {
            let row = store::environment::environment_get(app.db(), id).await?;
            Ok(row.filter(|e| e.project == project.id() && e.deleted_at.is_none()))
        }
        Err(_) => store::environment::environment_by_name(app.db(), project.id(), name).await,
    }
}

async fn own_release(app: &App, environment: &EnvironmentRow, id: ReleaseId) -> Result<ReleaseRow> {
    let row = release_get(app.db(), id).await?.filter(|r| r.project == environment.project && r.environment == environment.id);
    row.ok_or_else(|| Error::field("release", "not_found", "not a release of this environment"))
}

async fn new_release(app: &App, ctx: &Context, project: &Project, environment: &EnvironmentRow, new: &DeployNew) -> Result<ReleaseRow> {
    let found = find_image(app, project, new.image.as_deref().unwrap_or("latest")).await?;
    let mut config: Config = serde_json::from_value(environment.config.clone()).map_err(Error::internal)?;
    config.extend(new.config.clone());
    Ok(ReleaseRow {
        id: ReleaseId::new(),
        project: project.id(),
        environment: environment.id,
        number: 0,
        image: found.shown,
        digest: found.manifest.digest,
        commit: found.commit,
        config: serde_json::json!(config),
        secrets: serde_json::json!(seal(app, project, environment).await?),
        account: ctx.user(),
        created_at: Timestamp::now(),
    })
}

/// The sealed values of the environment's secrets as they are now: a rollback brings back those, too. They are the
/// environment's own, the project's, or those of the groups above it, in this order. That a secret is protected keeps it
/// from runs of other refs; what an environment names was given to it by a maintainer.
async fn seal(app: &App, project: &Project, environment: &EnvironmentRow) -> Result<SealedSecrets> {
    let names: Vec<String> = serde_json::from_value(environment.secrets.clone()).map_err(Error::internal)?;
    if names.is_empty() {
        return Ok(SealedSecrets::new());
    }
    let values = values_of(app.db(), project.id(), &project.row.namespace, Some(&environment.name), true).await?;
    let now = Timestamp::now();
    names
        .into_iter()
        .map(|name| {
            // the nearest is the last
            let found = values.iter().rev().find_map(|v| match &v.content {
                Content::Secret(sealed) if v.name == name => Some((v.scope, sealed)),
                _ => None,
            });
            let (scope, sealed) = found
                .ok_or_else(|| Error::new(Code::Unprocessable, format!("the environment uses the secret {name}, which is not set")))?;
            let scope = (scope != Scope::Project(project.id())).then(|| scope.to_string());
            Ok((name, SealedSecret { updated_at: now, sealed: STANDARD.encode(sealed), scope }))
        })
        .collect()
}

async fn find_image(app: &App, project: &Project, text: &str) -> Result<Found> {
    let (id, path) = (project.id(), project.row.path.as_str());
    let missing = || Error::field("image", "not_found", format!("the project has no image {text:?}"));
    let by = async |image: &str, reference: &str| -> Result<Option<ManifestContent>> {
        match reference.parse::<Reference>() {
            Ok(Reference::Tag(tag)) => store::registry::manifest_by_tag(app.db(), id, image, tag.as_str()).await,
            Ok(Reference::Digest(digest)) => store::registry::manifest_by_digest(app.db(), id, image, &digest.to_string()).await,
            Err(_) => Ok(None),
        }
    };
    let full = |image: &str| if image.is_empty() { path.to_owned() } else { format!("{path}/{image}") };
    let (image, reference, manifest) = match model::wanted(text, &app.config().public_host()) {
        Wanted::Digest(digest) => {
            let image = store::registry::image_of_digest(app.db(), id, &digest).await?.ok_or_else(missing)?;
            let manifest = by(&image, &digest).await?;
            (image, digest, manifest)
        }
        Wanted::Named { name, reference } => {
            let image = image_of(path, &name).to_owned();
            let manifest = by(&image, &reference).await?;
            (image, reference, manifest)
        }
        Wanted::Word(word) => match by("", &word).await? {
            Some(manifest) => (String::new(), word, Some(manifest)),
            None => {
                let image = image_of(path, &word).to_owned();
                let manifest = by(&image, "latest").await?;
                (image, "latest".into(), manifest)
            }
        },
    };
    let manifest = manifest.ok_or_else(missing)?;
    let separator = if reference.contains(':') { '@' } else { ':' };
    let shown = format!("{}{separator}{reference}", full(&image));
    let commit = revision(app, project, &manifest).await.filter(|c| c.len() <= 64 && c.bytes().all(|b| b.is_ascii_hexdigit()));
    let commit = commit.or_else(|| (reference.len() == 40 && reference.bytes().all(|b| b.is_ascii_hexdigit())).then_some(reference));
    Ok(Found { shown, manifest, commit })
}

/// The commit an image says it was built from.
async fn revision(app: &App, project: &Project, manifest: &ManifestContent) -> Option<String> {
    const LABEL: &str = "org.opencontainers.image.revision";
    let parsed = oci::Manifest::parse(&manifest.media_type, &manifest.content).ok()?;
    if let Some(commit) = parsed.annotations.as_ref().and_then(|a| a.get(LABEL)) {
        return Some(commit.clone());
    }
    let digest = parsed.config?.digest.to_string().parse().ok()?;
    let bytes = app.part::<Blobs>().ok()?.read(&project.id().into(), &digest, 4 << 20).await.ok()??;
    oci::ImageConfig::parse(&bytes).ok()?.labels.remove(LABEL)
}

/// Who asked for a deployment, and how.
struct Asked {
    kind: &'static str,
    account: Option<UserId>,
    run: Option<RunId>,
    key: Option<String>,
}

/// The pipeline run whose job asks, and the request's key where nobody else's can be the same.
async fn asked_by(app: &App, ctx: &Context, key: Option<&str>) -> Result<(Option<RunId>, Option<String>)> {
    if key.is_some_and(|k| k.is_empty() || k.len() > 200) {
        return Err(Error::field("key", "invalid", "1 to 200 characters"));
    }
    let run = match &ctx.actor {
        Actor::Job { id, .. } => store::job::job_get(app.db(), *id).await?.map(|job| job.run),
        _ => None,
    };
    // an Idempotency-Key stands for a key in the body
    let by_header = ctx.attempt.as_ref().map(|a| format!("request:{}", a.request));
    let key = key.map(str::to_owned).or(by_header);
    let whose = match (run, ctx.user()) {
        (Some(run), _) => run.to_string(),
        (None, Some(user)) => user.to_string(),
        (None, None) => return Ok((run, None)),
    };
    Ok((run, key.map(|key| format!("{whose}/{key}"))))
}

async fn enqueue(app: &App, environment: &EnvironmentRow, release: ReleaseRow, fresh: bool, asked: Asked) -> Result<DeploymentRow> {
    let now = Timestamp::now();
    let row = DeploymentRow {
        id: DeploymentId::new(),
        project: environment.project,
        environment: environment.id,
        release: release.id,
        kind: asked.kind.into(),
        state: "queued".into(),
        conclusion: None,
        steps: serde_json::json!(model::steps()),
        reason: None,
        account: asked.account,
        run: asked.run,
        key: asked.key,
        created_at: now,
        started_at: None,
        finished_at: None,
    };
    let mut tx = app.db().begin().await?;
    store::dialect::project_lock(&mut tx, environment.project).await?;
    if let Some(key) = &row.key
        && let Some(made) = deployment_by_key(&mut tx, environment.id, key).await?
    {
        return Ok(made);
    }
    if fresh {
        release_create(&mut tx, &release).await?;
    }
    // only the newest of those that wait is carried out
    for older in deployment_open(&mut tx, environment.id).await? {
        if older.state == "queued" {
            let reason = format!("superseded by {}", row.id);
            finish(&mut tx, &older, "superseded", Some(&reason), &older.steps).await?;
        }
    }
    deployment_create(&mut tx, &row).await?;
    let data = EventData::DeploymentCreated { deployment: row.id, environment: environment.id, release: release.id };
    tx.emit(&Event::new(row.account, Some(row.project), data)).await?;
    tx.commit().await?;
    Ok(row)
}

/// Ends a deployment with its event; false when it had ended.
///
/// # Errors
/// The database's.
pub(crate) async fn finish(
    tx: &mut store::Tx,
    row: &DeploymentRow,
    conclusion: &str,
    reason: Option<&str>,
    steps: &serde_json::Value,
) -> Result<bool> {
    let ended = deployment_finish(tx, row.id, conclusion, reason, steps).await?;
    if ended {
        let data = EventData::DeploymentFinished {
            deployment: row.id,
            environment: row.environment,
            release: row.release,
            conclusion: conclusion.into(),
        };
        tx.emit(&Event::new(row.account, Some(row.project), data)).await?;
    }
    Ok(ended)
}

/// A deployment by id, with the decision over its project.
///
/// # Errors
/// `not_found`, also where the caller may not know of it.
pub async fn deployment_get(app: &App, ctx: &Context, id: &str) -> Result<(DeploymentRow, Project)> {
    let missing = || Error::not_found("deployment");
    let id: DeploymentId = id.parse().map_err(|_| missing())?;
    let row = get_row(app.db(), id).await?.ok_or_else(missing)?;
    let project = app.project_by_id(ctx, row.project, Permission::DeploymentRead).await;
    Ok((row, project.map_err(|e| if e.is(Code::NotFound) { missing() } else { e })?))
}

/// As it is shown.
///
/// # Errors
/// The database's.
pub(crate) async fn show(app: &App, row: DeploymentRow, whole: bool) -> Result<Deployment> {
    let environment =
        store::environment::environment_get(app.db(), row.environment).await?.ok_or_else(|| Error::not_found("environment"))?;
    let release = release_get(app.db(), row.release).await?.ok_or_else(|| Error::not_found("release"))?;
    Ok(Deployment {
        id: row.id,
        project_id: row.project,
        environment: EnvironmentName { id: environment.id, name: environment.name },
        release: named(app, Release::new(release, whole)).await?,
        kind: row.kind,
        state: row.state,
        conclusion: row.conclusion,
        steps: serde_json::from_value(row.steps).map_err(Error::internal)?,
        reason: row.reason,
        actor: actor(app, row.account).await?,
        run_id: row.run,
        url: crate::environment::url(app, environment.port),
        created_at: row.created_at,
        started_at: row.started_at,
        finished_at: row.finished_at,
    })
}

async fn actor(app: &App, account: Option<kernel::UserId>) -> Result<Option<ActorView>> {
    let Some(id) = account else { return Ok(None) };
    let name = store::account::account_get(app.db(), id).await?.map(|a| a.name);
    Ok(Some(ActorView { id, name }))
}

async fn named(app: &App, mut release: Release) -> Result<Release> {
    release.actor = actor(app, release.actor.map(|a| a.id)).await?;
    Ok(release)
}
