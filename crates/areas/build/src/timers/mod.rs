//! Schedules: runs that the clock starts. Those of workflow files follow the default branch; others people make.
//!
//! Invariants: a time is acted on once, whichever instance looks first: the row is moved on from that very time in the
//! transaction that enqueues the work, and a run of the same schedule and time is not made twice. Nobody looks at rows
//! that are not due. A schedule acts in the name of its owner and with their rights of that moment.
//!
//! Must not know: how cron expressions are read (`dialects::cron`), what happens to runs (`runs`, `schedule`).
//!
//! Read next: `model` (pure: when), `jobs` (what is done then).

pub mod jobs;
pub mod model;
pub mod routes;

use kernel::{Code, Context, Error, Permission, RefName, Result, RunId, ScheduleId, Timestamp};
use serde_json::{Map, Value};
use store::schedule::{ScheduleRow, schedule_count, schedule_create, schedule_delete, schedule_get, schedule_list, schedule_update};
use web_kit::extract::changed;
use web_kit::{App, Project};

/// Most schedules that people make in one project.
const MAX_SCHEDULES: i64 = 200;
/// Most variables or inputs of one.
const MAX_VALUES: usize = 100;
/// Longest value, description.
const MAX_TEXT: usize = 10_000;

/// What people say about a schedule; what they leave out stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Branch or tag.
    pub r#ref: Option<String>,
    /// Five fields, or a short form.
    pub cron: Option<String>,
    /// IANA name.
    pub timezone: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// Which workflow; an empty text for all that a manual start would start.
    pub workflow: Option<String>,
    /// On or off.
    pub active: Option<bool>,
    /// Variables by name.
    pub variables: Option<Map<String, Value>>,
    /// Inputs by name.
    pub inputs: Option<Map<String, Value>>,
    /// `once` or `skip`.
    pub missed: Option<String>,
}

/// Finds a schedule and decides whether the caller may do `p` in its project.
///
/// # Errors
/// `not_found`, also where the caller may not know of it.
pub async fn schedule_for(app: &App, ctx: &Context, id: &str, p: Permission) -> Result<(ScheduleRow, Project)> {
    let missing = || Error::not_found("schedule");
    let id: ScheduleId = id.parse().map_err(|_| missing())?;
    let row = schedule_get(app.db(), id).await?.ok_or_else(missing)?;
    let project = app.project_by_id(ctx, row.project, p).await.map_err(|e| if e.is(Code::NotFound) { missing() } else { e })?;
    Ok((row, project))
}

/// The schedules of a project.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn schedules(app: &App, ctx: &Context, id: &str, after: Option<ScheduleId>, limit: i64) -> Result<(Vec<ScheduleRow>, Project)> {
    let project = app.project(ctx, id, Permission::PipelineRead).await?;
    Ok((schedule_list(app.db(), project.id(), after, limit).await?, project))
}

fn values(field: &str, given: &Map<String, Value>) -> Result<()> {
    if given.len() > MAX_VALUES {
        return Err(Error::field(field, "too_many", format!("at most {MAX_VALUES}")));
    }
    for (name, value) in given {
        let long = value.as_str().is_some_and(|v| v.len() > MAX_TEXT);
        if name.is_empty() || name.len() > 200 || long || !(value.is_string() || value.is_number() || value.is_boolean()) {
            return Err(Error::field(
                format!("{field}.{name}"),
                "invalid",
                format!("a text of at most {MAX_TEXT} bytes, a number, true or false"),
            ));
        }
    }
    Ok(())
}

/// The full name of a branch or tag that somebody named.
fn full_ref(text: &str) -> Result<String> {
    let full =
        if text.starts_with("refs/heads/") || text.starts_with("refs/tags/") { text.to_owned() } else { format!("refs/heads/{text}") };
    RefName::parse(&full).map_err(|_| Error::field("ref", "invalid", "a branch, or refs/heads/… or refs/tags/…"))?;
    Ok(full)
}

/// Applies what was said, and sees that the result makes sense.
fn apply(row: &mut ScheduleRow, change: &Change, now: Timestamp) -> Result<()> {
    if let Some(text) = &change.r#ref {
        row.r#ref = full_ref(text)?;
    }
    if let Some(text) = &change.description {
        if text.len() > MAX_TEXT {
            return Err(Error::field("description", "too_long", format!("at most {MAX_TEXT} bytes")));
        }
        row.description.clone_from(text);
    }
    if let Some(text) = &change.workflow {
        if text.len() > 500 {
            return Err(Error::field("workflow", "too_long", "at most 500 bytes"));
        }
        row.workflow = (!text.is_empty()).then(|| text.clone());
    }
    if let Some(given) = &change.variables {
        values("variables", given)?;
        row.variables = Value::Object(given.clone());
    }
    if let Some(given) = &change.inputs {
        values("inputs", given)?;
        row.inputs = Value::Object(given.clone());
    }
    if let Some(word) = &change.missed {
        if !matches!(word.as_str(), "once" | "skip") {
            return Err(Error::field("missed", "invalid", "`once` or `skip`"));
        }
        row.missed.clone_from(word);
    }
    let again = change.cron.is_some() || change.timezone.is_some() || change.active.is_some();
    if let Some(text) = &change.cron {
        row.cron = text.trim().to_owned();
    }
    if let Some(text) = &change.timezone {
        row.timezone = model::zone(text).map_err(|why| Error::field("timezone", "invalid", why))?;
    }
    if let Some(active) = change.active {
        row.active = active;
        row.paused = !active;
        row.reason = None;
    }
    if again {
        let next = model::next(row, now).map_err(|why| Error::field("cron", "invalid", why))?;
        row.next_at = next.filter(|_| row.active);
    }
    Ok(())
}

/// Makes a schedule. Its runs start in the caller's name.
///
/// # Errors
/// `forbidden`, `validation_failed`.
pub async fn schedule_make(app: &App, ctx: &Context, id: &str, change: Change) -> Result<(ScheduleRow, Project)> {
    let project = app.project(ctx, id, Permission::PipelineWrite).await?;
    let owner = ctx.user().ok_or_else(|| Error::new(Code::Forbidden, "a schedule belongs to a person"))?;
    if let Some(made) = app.made::<ScheduleId>(ctx)? {
        let row = schedule_get(app.db(), made).await?.ok_or_else(|| Error::not_found("schedule"))?;
        return Ok((row, project));
    }
    if schedule_count(app.db(), project.id()).await? >= MAX_SCHEDULES {
        return Err(Error::new(Code::Unprocessable, format!("a project has at most {MAX_SCHEDULES} schedules")));
    }
    let cron = change.cron.clone().ok_or_else(|| Error::field("cron", "required", "is required"))?;
    let mut row = ScheduleRow {
        id: ScheduleId::new(),
        project: project.id(),
        source: "user".into(),
        workflow: None,
        r#ref: format!("refs/heads/{}", project.row.default_branch),
        cron,
        flavor: "posix".into(),
        timezone: "UTC".into(),
        description: String::new(),
        active: true,
        paused: false,
        reason: None,
        variables: Value::Object(Map::new()),
        inputs: Value::Object(Map::new()),
        missed: "once".into(),
        owner: Some(owner),
        next_at: None,
        last_at: None,
        last_run: None,
        created_at: ctx.now,
        version: 1,
    };
    apply(&mut row, &change, ctx.now)?;
    let mut tx = app.db().begin().await?;
    schedule_create(&mut tx, &row).await?;
    tx.keep(app.receipt(ctx, &row.id)?).await?;
    tx.commit().await?;
    Ok((row, project))
}

/// Changes a schedule; whoever does becomes its owner. Of one that a file made only `active` can be changed.
///
/// # Errors
/// `forbidden`, `validation_failed`, `conflict`, `precondition_failed`.
pub async fn schedule_change(app: &App, ctx: &Context, id: &str, version: i64, change: Change) -> Result<(ScheduleRow, Project)> {
    let (mut row, project) = schedule_for(app, ctx, id, Permission::PipelineWrite).await?;
    if row.version != version {
        return changed(None);
    }
    if row.source == "file" {
        let only_active = Change { active: None, ..change.clone() };
        let says = |c: &Change| {
            c.r#ref.is_some()
                || c.cron.is_some()
                || c.timezone.is_some()
                || c.description.is_some()
                || c.workflow.is_some()
                || c.variables.is_some()
                || c.inputs.is_some()
                || c.missed.is_some()
        };
        if says(&only_active) {
            return Err(Error::new(Code::Conflict, "the schedule is written in a workflow file; change it there"));
        }
    }
    apply(&mut row, &change, ctx.now)?;
    // it goes on with the rights of whoever changed it last, never with somebody else's
    row.owner = ctx.user().or(row.owner);
    let mut tx = app.db().begin().await?;
    changed(schedule_update(&mut tx, &row).await?.then_some(()))?;
    tx.commit().await?;
    row.version += 1;
    Ok((row, project))
}

/// Removes a schedule that somebody made.
///
/// # Errors
/// `forbidden`, `conflict` for one of a file.
pub async fn schedule_remove(app: &App, ctx: &Context, id: &str) -> Result<()> {
    let (row, _) = schedule_for(app, ctx, id, Permission::PipelineWrite).await?;
    if row.source == "file" {
        return Err(Error::new(Code::Conflict, "the schedule is written in a workflow file; remove it there, or switch it off"));
    }
    let mut tx = app.db().begin().await?;
    schedule_delete(&mut tx, row.id).await?;
    tx.commit().await
}

/// Starts what a schedule starts, now, in the caller's name. Its own times stay as they are.
///
/// # Errors
/// `forbidden`, `unprocessable` when there is nothing to start.
pub async fn schedule_play(app: &App, ctx: &Context, id: &str) -> Result<(Vec<RunId>, Project)> {
    let (row, project) = schedule_for(app, ctx, id, Permission::PipelineWrite).await?;
    let once = match &ctx.attempt {
        Some(attempt) => format!("request:{}", attempt.request),
        None => format!("play:{}:{}", row.id, kernel::RequestId::new()),
    };
    let runs = jobs::start(app, &project.row, &row, ctx.user(), &once).await?;
    Ok((runs, project))
}
