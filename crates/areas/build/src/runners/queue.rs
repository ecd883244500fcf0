//! The queue as people see it: what waits, for what, and in which order.

use std::collections::HashMap;

use kernel::{Actor, Code, Context, Error, JobId, Permission, ProjectId, Result, RunId, Timestamp};
use serde::Serialize;
use store::job::{JobRow, job_held_back, job_queue, job_queue_of, job_running};
use utoipa::ToSchema;
use web_kit::App;

/// Most jobs that are looked at.
const MOST: i64 = 1000;

/// The queue.
#[derive(Debug, Serialize, ToSchema)]
pub struct Queue {
    /// Jobs that wait, those that the caller may see.
    items: Vec<QueuedJob>,
    /// There are no further pages.
    next: Option<String>,
    /// How many wait for a runner, of those that the caller may see.
    total: usize,
    /// How many run, of those that the caller may see.
    running: usize,
}

/// A job that waits.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueuedJob {
    /// The job.
    #[schema(value_type = String)]
    job: JobId,
    /// Its run.
    #[schema(value_type = String)]
    run: RunId,
    /// Its project.
    project: QueuedProject,
    /// Its name.
    name: String,
    /// `queued`, `unschedulable`, `waiting`.
    #[schema(value_type = crate::words::JobState)]
    state: String,
    /// Why it waits, if not for its turn.
    reason: Option<String>,
    /// Labels it asks for.
    labels: Vec<String>,
    /// 2 for what people started and deployments, 1, 0 for what the clock started.
    priority: i64,
    /// Place among the jobs that ask for the same labels, by their turns; the share of its namespace may move it.
    position: Option<usize>,
    /// When it became ready.
    #[schema(value_type = Option<String>)]
    queued_at: Option<Timestamp>,
}

/// The project of a job that waits.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct QueuedProject {
    /// Its id.
    #[schema(value_type = String)]
    id: ProjectId,
    /// Its path.
    pub(super) path: String,
}

/// What the caller may see of projects, each asked once.
pub(super) struct Eyes<'a> {
    /// The service.
    pub(super) app: &'a App,
    /// The caller.
    pub(super) ctx: &'a Context,
    seen: HashMap<ProjectId, Option<QueuedProject>>,
}

impl<'a> Eyes<'a> {
    /// Of a caller who has asked for nothing yet.
    pub(super) fn new(app: &'a App, ctx: &'a Context) -> Self {
        Self { app, ctx, seen: HashMap::new() }
    }

    /// A project, if the caller may see its pipelines.
    pub(super) async fn see(&mut self, id: ProjectId) -> Result<Option<QueuedProject>> {
        if let Some(known) = self.seen.get(&id) {
            return Ok(known.clone());
        }
        let found = match self.app.project_by_id(self.ctx, id, Permission::PipelineRead).await {
            Ok(project) => Some(QueuedProject { id, path: project.row.path }),
            Err(e) if matches!(e.code, Code::NotFound | Code::Forbidden | Code::Unauthenticated | Code::Conflict) => None,
            Err(e) => return Err(e),
        };
        self.seen.insert(id, found.clone());
        Ok(found)
    }
}

/// Jobs that wait, in the order of their turns: of one project, or of all that the caller may see.
///
/// # Errors
/// `unauthenticated`; for a project as any look at it.
pub async fn queue_get(app: &App, ctx: &Context, project: Option<&str>) -> Result<Queue> {
    if ctx.actor == Actor::Anonymous && project.is_none() {
        return Err(Error::new(Code::Unauthenticated, "sign in first"));
    }
    let only = match project {
        Some(id) => Some(app.project(ctx, id, Permission::PipelineRead).await?.id()),
        None => None,
    };
    let mut eyes = Eyes::new(app, ctx);
    let mut items = Vec::new();
    for (job, place) in placed(app, only).await? {
        if let Some(project) = eyes.see(job.project).await? {
            items.push(shown(job, project, Some(place)));
        }
    }
    let total = items.len();
    if let Some(only) = only {
        for job in job_held_back(app.db(), only, MOST).await? {
            if let Some(project) = eyes.see(job.project).await? {
                items.push(shown(job, project, None));
            }
        }
    }
    let mut running = 0;
    for job in job_running(app.db(), MOST).await? {
        let counts = only.is_none_or(|p| p == job.project) && eyes.see(job.project).await?.is_some();
        running += usize::from(counts);
    }
    Ok(Queue { items, next: None, total, running })
}

/// Jobs in the queue, of one project or the first of all, each with its place among those that ask for the same labels.
async fn placed(app: &App, only: Option<ProjectId>) -> Result<Vec<(JobRow, usize)>> {
    if let Some(project) = only {
        let rows = job_queue_of(app.db(), project, MOST).await?;
        return Ok(rows.into_iter().map(|(job, place)| (job, usize::try_from(place).unwrap_or(0))).collect());
    }
    let mut places: HashMap<String, usize> = HashMap::new();
    let place = |job: JobRow| {
        let place = places.entry(job.label_key.clone()).or_default();
        *place += 1;
        let place = *place;
        (job, place)
    };
    Ok(job_queue(app.db(), MOST).await?.into_iter().map(place).collect())
}

fn shown(job: JobRow, project: QueuedProject, position: Option<usize>) -> QueuedJob {
    QueuedJob {
        job: job.id,
        run: job.run,
        project,
        name: job.name,
        state: job.state,
        reason: job.reason,
        labels: job.labels,
        priority: job.priority,
        position,
        queued_at: job.queued_at,
    }
}
