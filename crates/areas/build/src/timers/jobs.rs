//! What the clock and pushes do to schedules.

use dialects::plan::{Dialect, Trigger};
use git::{GitError, Repositories};
use kernel::{Actor, Code, Context, Error, Permission, ProjectId, Result, RunId, ScheduleId, Timestamp, UserId};
use serde_json::{Map, Value, json};
use store::listener::{ListenerRow, listener_replace};
use store::project::{ProjectRow, project_by_path, project_get};
use store::schedule::{
    ScheduleRow, schedule_claim, schedule_create, schedule_delete, schedule_due, schedule_get, schedule_list, schedule_next, schedule_note,
    schedule_off, schedule_update,
};
use store::{NewWork, WorkRow};
use web_kit::App;

use super::model;
use crate::runs::create::{NewRun, Origin};
use crate::workflows::gitlab::Cause;
use crate::workflows::trigger::{self, BuildRequest};
use crate::workflows::{Workflows, source};

/// Schedules that are looked at in one go.
const AT_ONCE: i64 = 100;
/// Most projects that one file follows.
const MAX_UPSTREAM: usize = 50;
/// Most schedules of a project that are compared with its files.
const MAX_ROWS: i64 = 10_000;

/// When [`tick`] is needed next.
///
/// # Errors
/// The database's.
pub async fn next_tick(app: App) -> Result<Option<Timestamp>> {
    schedule_next(app.db()).await
}

/// Acts on the schedules that are due.
///
/// # Errors
/// The database's.
pub async fn tick(app: App) -> Result<()> {
    tick_at(&app, Timestamp::now()).await
}

/// As [`tick`], at any time.
///
/// # Errors
/// The database's.
pub async fn tick_at(app: &App, now: Timestamp) -> Result<()> {
    loop {
        let due = schedule_due(app.db(), now, AT_ONCE).await?;
        let all = due.len();
        for row in due {
            let Some(at) = row.next_at else { continue };
            let decided = match model::due(&row, now) {
                Ok(decided) => decided,
                Err(why) => {
                    schedule_off(app.db(), row.id, &why).await?;
                    continue;
                }
            };
            let mut tx = app.db().begin().await?;
            if schedule_claim(&mut tx, row.id, at, decided.next).await?
                && let Some(at) = decided.fire
            {
                let work = NewWork::new("schedule_fire", json!({"schedule": row.id, "at": at.millis()}));
                tx.enqueue(work.project(row.project).dedup(format!("{}:{}", row.id, at.millis()))).await?;
                metrics::histogram!("schedule_late_seconds").record(now.since(at).as_secs_f64());
            }
            tx.commit().await?;
        }
        if all < usize::try_from(AT_ONCE).unwrap_or(usize::MAX) {
            return Ok(());
        }
    }
}

/// Starts the runs of a schedule for one of its times. Doing it again makes none twice.
///
/// # Errors
/// The database's, the repository's: it is tried again.
pub async fn schedule_fire(app: App, work: WorkRow) -> Result<()> {
    let field = |name: &str| work.payload.get(name).cloned().unwrap_or(Value::Null);
    let id: ScheduleId = serde_json::from_value(field("schedule")).map_err(Error::internal)?;
    let at = field("at").as_i64().unwrap_or_default();
    let Some(row) = schedule_get(app.db(), id).await? else { return Ok(()) };
    let Some(project) = project_get(app.db(), row.project).await?.filter(|p| p.deleted_at.is_none()) else { return Ok(()) };
    match may_start(&app, &project, row.owner).await {
        Ok(()) => {}
        Err(e) if matches!(e.code, Code::NotFound | Code::Forbidden | Code::Unauthenticated) => {
            return schedule_off(app.db(), id, "whoever it belongs to may not start runs here any more").await;
        }
        // an archived project
        Err(e) if e.is(Code::Conflict) => return schedule_note(app.db(), id, None, Some(&e.detail)).await,
        Err(e) => return Err(e),
    }
    match start(&app, &project, &row, row.owner, &format!("schedule:{id}:{at}")).await {
        Ok(runs) => schedule_note(app.db(), id, runs.first().copied(), None).await,
        Err(e) if matches!(e.code, Code::NotFound | Code::Unprocessable | Code::ValidationFailed) => {
            schedule_note(app.db(), id, None, Some(&e.to_string())).await
        }
        Err(e) => Err(e),
    }
}

/// May the owner start runs now? A project made by the service itself has schedules of nobody; they run for its files.
async fn may_start(app: &App, project: &ProjectRow, owner: Option<UserId>) -> Result<()> {
    let Some(owner) = owner else { return Ok(()) };
    let account = store::account::account_get(app.db(), owner).await?.filter(|a| a.state == "active");
    let actor = account.map_or(Actor::Anonymous, |a| Actor::User { id: a.id, name: a.name, admin: a.admin });
    app.allow(&Context::of(actor), Some(project.clone()), Permission::PipelineWrite).await.map(|_| ())
}

/// Makes the runs of a schedule on the last commit of its ref.
///
/// # Errors
/// `unprocessable` and `validation_failed` when nothing can be started.
pub(super) async fn start(app: &App, project: &ProjectRow, row: &ScheduleRow, actor: Option<UserId>, once: &str) -> Result<Vec<RunId>> {
    let repository = app.part::<Repositories>()?.get(project.id)?;
    let (wanted, name) = (row.r#ref.clone(), row.r#ref.clone());
    let found = match repository.read(move |r| r.resolve(&wanted)).await {
        Ok(found) => found,
        Err(GitError::NotFound(_)) => return Err(Error::new(Code::Unprocessable, format!("`{name}` does not exist any more"))),
        Err(e) => return Err(e.into()),
    };
    let map = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let (variables, mut inputs) = (map(&row.variables), map(&row.inputs));
    let cause = Cause { source: "schedule", inputs: merged(&variables, &inputs), ..Cause::look(name.clone(), actor) };
    let mut workflows = source::workflows(app, project, &repository, found.commit, &cause).await?;
    let gitlab = |w: &Workflows| w.files.iter().any(|f| f.compiled.plan.as_ref().is_some_and(|p| p.dialect == Dialect::GitlabCi));
    if row.source == "file" {
        workflows.files.retain(|f| {
            let has = |p: &dialects::Plan| p.schedules().any(|s| s.cron == row.cron);
            Some(&f.path) == row.workflow.as_ref() && f.compiled.plan.as_ref().is_none_or(has)
        });
        if workflows.files.is_empty() {
            return Err(Error::new(Code::Unprocessable, "the workflow file does not have this schedule any more"));
        }
    } else if gitlab(&workflows) && row.workflow.as_deref().is_none_or(|w| w == dialects::gitlab::FILE) {
        // what a pipeline of GitLab takes beside its inputs are variables
        inputs = merged(&variables, &inputs);
    }
    let head = source::head(&repository, found.commit).await?;
    let mut payload = Map::new();
    payload.insert("schedule".into(), json!(row.cron));
    let base = NewRun {
        project: project.clone(),
        workflow: String::new(),
        name: String::new(),
        plan: None,
        detected: false,
        diagnostics: Vec::new(),
        event: "schedule",
        r#ref: name,
        before: None,
        head,
        inputs: Map::new(),
        actor,
        dedup: Some(once.to_owned()),
        origin: Origin { payload, variables, cause: Some(json!({"schedule": row.id})), parent: None },
    };
    let request = BuildRequest { r#ref: None, workflow: row.workflow.clone(), inputs };
    Ok(trigger::start(app, &workflows, base, &request).await?.runs)
}

fn merged(a: &Map<String, Value>, b: &Map<String, Value>) -> Map<String, Value> {
    a.iter().chain(b).map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// Brings the schedules of a project in line with the workflow files of its default branch.
///
/// # Errors
/// The database's, the repository's: it is tried again.
pub async fn schedule_sync(app: App, work: WorkRow) -> Result<()> {
    let id = work.project.ok_or_else(|| Error::internal("schedule_sync without a project"))?;
    let actor: Option<UserId> = serde_json::from_value(work.payload["actor"].clone()).map_err(Error::internal)?;
    let Some(project) = project_get(app.db(), id).await?.filter(|p| p.deleted_at.is_none()) else { return Ok(()) };
    let name = format!("refs/heads/{}", project.default_branch);
    let repository = app.part::<Repositories>()?.get(id)?;
    let wanted = name.clone();
    let workflows = match repository.read(move |r| r.resolve(&wanted)).await {
        Ok(found) => source::workflows(&app, &project, &repository, found.commit, &Cause::look(name.clone(), actor)).await?,
        Err(GitError::NotFound(_)) => Workflows::default(),
        Err(e) => return Err(e.into()),
    };
    let mut written: Vec<ScheduleRow> = Vec::new();
    for file in &workflows.files {
        let Some(plan) = &file.compiled.plan else { continue };
        let flavor = if plan.dialect == Dialect::Jenkinsfile { "jenkins" } else { "posix" };
        for schedule in plan.schedules() {
            let row = of_file(id, &file.path, &name, flavor, &schedule.cron, schedule.timezone.as_deref(), actor);
            if !written.iter().any(|w| same(w, &row)) {
                written.push(row);
            }
        }
    }
    let listeners = listeners(&app, &project, &workflows, actor).await?;
    // a file that cannot be read now says nothing about its schedules
    let broken: Vec<&str> = workflows.files.iter().filter(|f| f.compiled.plan.is_none()).map(|f| f.path.as_str()).collect();
    let now = Timestamp::now();
    let mut tx = app.db().begin().await?;
    let rows = schedule_list(&mut tx, id, None, MAX_ROWS).await?;
    for mut row in rows.into_iter().filter(|r| r.source == "file") {
        match written.iter().position(|w| same(w, &row)) {
            Some(at) => {
                written.remove(at);
                let lost = !row.active && !row.paused;
                if row.r#ref != name || lost {
                    row.r#ref.clone_from(&name);
                    if lost {
                        row.owner = actor;
                        row.active = true;
                        row.reason = None;
                        row.next_at = model::next(&row, now).ok().flatten();
                    }
                    schedule_update(&mut tx, &row).await?;
                }
            }
            None if row.workflow.as_deref().is_some_and(|w| broken.contains(&w)) => {}
            None => {
                schedule_delete(&mut tx, row.id).await?;
            }
        }
    }
    for mut row in written {
        match model::next(&row, now) {
            Ok(next) => row.next_at = next,
            Err(why) => {
                row.active = false;
                row.paused = true;
                row.reason = Some(why);
            }
        }
        schedule_create(&mut tx, &row).await?;
    }
    listener_replace(&mut tx, id, &listeners).await?;
    tx.commit().await
}

/// Whose runs the files of the default branch follow.
async fn listeners(app: &App, project: &ProjectRow, workflows: &Workflows, owner: Option<UserId>) -> Result<Vec<ListenerRow>> {
    let mut found = Vec::new();
    for file in &workflows.files {
        let Some(plan) = &file.compiled.plan else { continue };
        let row = |source: ProjectId, kind: &str| ListenerRow {
            project: project.id,
            workflow: file.path.clone(),
            source,
            kind: kind.to_owned(),
            owner,
        };
        if plan.workflow_run().is_some() {
            found.push(row(project.id, "workflow_run"));
        }
        for trigger in &plan.triggers {
            let Trigger::Upstream { projects, .. } = trigger else { continue };
            for path in projects.iter().take(MAX_UPSTREAM) {
                if let Some(source) = project_by_path(app.db(), &path.to_lowercase()).await? {
                    found.push(row(source.id, "upstream"));
                }
            }
        }
    }
    Ok(found)
}

fn same(a: &ScheduleRow, b: &ScheduleRow) -> bool {
    a.workflow == b.workflow && a.cron == b.cron && a.timezone == b.timezone
}

fn of_file(
    project: ProjectId,
    path: &str,
    reference: &str,
    flavor: &str,
    cron: &str,
    timezone: Option<&str>,
    owner: Option<UserId>,
) -> ScheduleRow {
    ScheduleRow {
        id: ScheduleId::new(),
        project,
        source: "file".into(),
        workflow: Some(path.to_owned()),
        r#ref: reference.to_owned(),
        cron: cron.to_owned(),
        flavor: flavor.to_owned(),
        timezone: timezone.map_or_else(|| "UTC".into(), |t| model::zone(t).unwrap_or_else(|_| t.to_owned())),
        description: String::new(),
        active: true,
        paused: false,
        reason: None,
        variables: json!({}),
        inputs: json!({}),
        missed: "once".into(),
        owner,
        next_at: None,
        last_at: None,
        last_run: None,
        created_at: Timestamp::now(),
        version: 1,
    }
}
