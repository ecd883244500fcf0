//! The creation flow: each step is recorded before and after, can be repeated, and is undone with all others when one
//! fails for good. After a crash the flow goes on with the step that was not recorded as done.

use area_workspace::creation::Request;
use area_workspace::creation::model::Step;
use area_workspace::template::template_load;
use async_trait::async_trait;
use git::serve::{Outcome, PushHook};
use git::write::{Action, Expected, NewCommit};
use git::{Oid, Signature};
use kernel::event::RefUpdate;
use kernel::{Actor, Code, Context, Error, Event, EventData, OperationId, PushId, RefName, RepoPath, Result, Timestamp};
use serde_json::json;
use store::operation::{OperationRow, operation_finish, operation_get, operation_orphans, operation_step};
use store::project::ProjectRow;
use store::{NewWork, WorkRow};
use web_kit::App;

/// The push of the first commit is recorded with the end of the flow, not when the commit is made.
struct Later;

#[async_trait]
impl PushHook for Later {
    async fn begin(&self, _: &[git::serve::Command]) -> Result<(), String> {
        Ok(())
    }
    async fn finish(&self, _: &Outcome) -> Result<(), String> {
        Ok(())
    }
}

struct Flow {
    app: App,
    op: OperationRow,
    request: Request,
    steps: Vec<Step>,
    project: ProjectRow,
}

/// Sets off the undoing of flows whose work was given up, after crashes or a long outage: never half there.
pub(crate) async fn abandoned(app: App) -> Result<()> {
    for op in operation_orphans(app.db()).await? {
        tracing::warn!(operation = %op.id, "a creation was given up; it is undone");
        let mut work = NewWork::new("project_create", json!({ "operation": op.id, "give_up": true })).project(op.project);
        work.dedup = Some(op.id.to_string());
        work.max_attempts = 100;
        let mut tx = app.db().begin().await?;
        tx.enqueue(work).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Carries a creation flow on.
pub(crate) async fn run(app: App, work: WorkRow) -> Result<()> {
    let id: OperationId = serde_json::from_value(work.payload["operation"].clone()).map_err(Error::internal)?;
    let Some(op) = operation_get(app.db(), id).await? else { return Ok(()) };
    if op.state != "running" {
        return Ok(());
    }
    let project = store::project::project_get(app.db(), op.project).await?.ok_or_else(|| Error::internal("the project row is gone"))?;
    let request = serde_json::from_value(op.request.clone()).map_err(Error::internal)?;
    let steps = serde_json::from_value(op.steps.clone()).map_err(Error::internal)?;
    let mut flow = Flow { app, op, request, steps, project };
    if work.payload["give_up"] == true {
        return flow.undo(&Error::new(Code::Unavailable, "the creation was tried too often without success")).await;
    }
    match flow.go().await {
        Ok(()) => Ok(()),
        // a defect or an outage may pass; the caller's mistakes do not
        Err(error) if matches!(error.code, Code::Internal | Code::Unavailable | Code::StorageFull) && work.attempts < work.max_attempts => {
            Err(error)
        }
        Err(error) => flow.undo(&error).await,
    }
}

impl Flow {
    async fn go(&mut self) -> Result<()> {
        for i in 0..self.steps.len() {
            if matches!(self.steps[i].state.as_str(), "done" | "skipped") {
                continue;
            }
            let name = self.steps[i].name.clone();
            if name == "finish" {
                return self.finish(i).await;
            }
            self.steps[i].state = "running".into();
            self.steps[i].started_at = Some(Timestamp::now());
            self.save().await?;
            let outcome = match name.as_str() {
                "validate" => self.validate().await,
                "create_repository" => self.create_repository().await,
                "initialise_structure" => self.initialise_structure().await,
                "set_up_dependencies" => self.set_up_dependencies().await,
                "configure_ci" => self.configure_ci().await,
                "index_files" => self.index_files().await,
                other => Err(Error::internal(format!("there is no step {other}"))),
            };
            let step = &mut self.steps[i];
            match outcome {
                Ok(detail) => {
                    step.state = "done".into();
                    step.detail = Some(detail);
                    step.finished_at = Some(Timestamp::now());
                    // recorded together with the start of the next step
                }
                Err(error) => {
                    step.state = "failed".into();
                    step.detail = Some(error.detail.clone());
                    step.finished_at = Some(Timestamp::now());
                    self.save().await?;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    async fn save(&self) -> Result<()> {
        operation_step(self.app.db(), self.op.id, &json!(self.steps)).await
    }

    /// The account that asked, with its rights as they are now.
    async fn context(&self) -> Result<Context> {
        let Some(id) = self.op.account else { return Ok(Context::system()) };
        let account = store::account::account_get(self.app.db(), id).await?.ok_or_else(|| Error::not_found("user"))?;
        Ok(Context::of(Actor::User { id, name: account.name, admin: account.admin }))
    }

    async fn files(&self) -> Result<Vec<area_workspace::template::File>> {
        let Some(name) = &self.request.template else { return Ok(Vec::new()) };
        let template = template_load(&self.app, &self.context().await?, name, self.request.template_ref.as_deref()).await?;
        template.render(&self.request.parameters, &self.project.path, &self.project.description)
    }

    async fn validate(&self) -> Result<String> {
        match &self.request.template {
            None => Ok("an empty project".into()),
            Some(name) => Ok(format!("{} files from the template {name}", self.files().await?.len())),
        }
    }

    fn branch(&self) -> Result<RefName> {
        RefName::branch(&self.project.default_branch)
    }

    async fn create_repository(&self) -> Result<String> {
        let repositories = self.app.part::<git::Repositories>()?;
        if !repositories.exists(self.project.id) {
            repositories.create(self.project.id, &self.branch()?).await?;
        }
        Ok(self.app.url(&format!("{}.git", self.project.path)))
    }

    /// The head of the default branch, when there is one.
    async fn head(&self) -> Result<Option<Oid>> {
        let refs = self.app.part::<git::Repositories>()?.get(self.project.id)?.refs().await?;
        Ok(refs.get(self.branch()?.as_str()).map(|r| r.oid))
    }

    async fn initialise_structure(&self) -> Result<String> {
        let files = self.files().await?;
        if files.is_empty() {
            return Ok("nothing to lay out; push the first commit".into());
        }
        if let Some(head) = self.head().await? {
            // made before a crash
            return Ok(format!("{} files in commit {}", files.len(), short(head)));
        }
        let count = files.len();
        let actions = files
            .into_iter()
            .map(|f| Ok(Action::Create { path: RepoPath::parse(&f.path)?, content: f.data, executable: f.executable }))
            .collect::<Result<Vec<_>>>()?;
        let email = self.request.author_email.clone().unwrap_or_else(|| format!("{}@users.noreply.devmentor", self.request.author));
        let author = Signature { name: self.request.author_display.clone(), email, time: self.op.created_at };
        let template = self.request.template.as_deref().unwrap_or_default();
        let new = NewCommit {
            branch: self.branch()?,
            start: None,
            expected: Expected::At(None),
            actions,
            author: author.clone(),
            committer: author,
            message: format!("Create {} from the template {template}\n", self.project.name),
        };
        let commit = self.app.part::<git::Repositories>()?.get(self.project.id)?.commit(new, &Later).await?;
        Ok(format!("{count} files in commit {}", short(commit.oid)))
    }

    async fn set_up_dependencies(&self) -> Result<String> {
        let found = area_code::inventory_update(&self.app, self.project.id).await?;
        Ok(format!("{} files, {} packages named by {} manifests and lock files", found.files, found.packages, found.manifests))
    }

    /// The workflows compile here as they will on a push; where there are none, the detected build is told.
    async fn configure_ci(&self) -> Result<String> {
        let Some(head) = self.head().await? else { return Ok("the build is detected with the first push".into()) };
        let repository = self.app.part::<git::Repositories>()?.get(self.project.id)?;
        let branch = format!("refs/heads/{}", self.project.default_branch);
        let cause = area_build::workflows::gitlab::Cause::look(branch, self.project.owner);
        let found = area_build::workflows::source::workflows(&self.app, &self.project, &repository, head, &cause).await?;
        if let Some(detected) = &found.detected {
            return Ok(format!("no workflow file; detected: {}", detected.explanation.join(" ")));
        }
        let lines: Vec<String> = found
            .files
            .iter()
            .map(|w| match &w.compiled.plan {
                Some(plan) => format!("{}: {} jobs", w.path, plan.jobs.len()),
                None => w.compiled.diagnostics.first().map_or_else(|| format!("{}: not valid", w.path), ToString::to_string),
            })
            .collect();
        Ok(if lines.is_empty() { "nothing to build was found".into() } else { lines.join("; ") })
    }

    async fn index_files(&self) -> Result<String> {
        let found = area_code::analysis_update(&self.app, self.project.id).await?;
        Ok(format!("{} lines in {} files, {} functions", found.lines, found.files, found.functions))
    }

    /// Opens the project: one transaction with the events, so that it is complete for everybody at once.
    async fn finish(&mut self, i: usize) -> Result<()> {
        let head = self.head().await?;
        let now = Timestamp::now();
        self.steps[i].state = "done".into();
        self.steps[i].started_at = Some(now);
        self.steps[i].finished_at = Some(now);
        self.steps[i].detail = Some(self.app.url(&self.project.path));
        let mut tx = self.app.db().begin().await?;
        if operation_finish(&mut tx, self.op.id, &json!(self.steps), None).await? {
            store::project::project_activate(&mut tx, self.project.id).await?;
            let created = EventData::ProjectCreated {
                path: self.project.path.clone(),
                visibility: self.project.visibility,
                template: self.request.template.clone(),
            };
            tx.emit(&Event::new(self.op.account, Some(self.project.id), created)).await?;
            if let Some(head) = head {
                let name = self.branch()?;
                store::git_ref::git_ref_move(&mut tx, self.project.id, name.as_str(), None, Some(&head.to_string()), now).await?;
                let update = RefUpdate { name: self.branch()?.as_str().to_owned(), old: None, new: Some(head.to_string()), forced: false };
                let pushed =
                    EventData::Pushed { push: PushId::new(), updates: vec![update], default_branch: self.project.default_branch.clone() };
                tx.emit(&Event::new(self.op.account, Some(self.project.id), pushed)).await?;
            }
        }
        tx.commit().await
    }

    /// Leaves nothing behind: files first, rows last, so that a crash on the way starts this again.
    async fn undo(&mut self, error: &Error) -> Result<()> {
        tracing::info!(operation = %self.op.id, project = %self.project.id, error = ?error, "undoing the creation of a project");
        for step in self.steps.iter_mut().filter(|s| s.state == "done") {
            step.state = "undone".into();
        }
        crate::removal::contents(&self.app, self.project.id).await?;
        let problem =
            json!({ "code": error.code.as_str(), "title": error.code.title(), "status": error.code.status(), "detail": error.detail });
        let mut tx = self.app.db().begin().await?;
        store::project::project_purge(&mut tx, &self.project).await?;
        operation_finish(&mut tx, self.op.id, &json!(self.steps), Some(&problem)).await?;
        tx.commit().await
    }
}

fn short(oid: Oid) -> String {
    oid.to_string().chars().take(10).collect()
}
