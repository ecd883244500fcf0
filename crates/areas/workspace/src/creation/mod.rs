//! How a project comes to be: a durable sequence whose steps can be watched.
//!
//! Owns: `operation`. Here a request is checked, the name is claimed and the flow is recorded, in one transaction; the
//! steps themselves are carried out by the orchestrator. Invariant: a flow ends in a whole project or in none; until then
//! the project exists for nobody but those who may delete it.

pub mod model;
pub mod routes;

use std::time::Duration;

use indexmap::IndexMap;
use kernel::{
    Actor, Code, Context, Error, NamespacePath, OperationId, Permission, ProjectId, ProjectPath, RefName, Result, Slug, Visibility,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::NewWork;
use store::operation::{self as rows, OperationRow};
use store::project::{ProjectRow, project_create as project_row_create};
use web_kit::App;

use crate::project::model::{check_settings, tidy_topics};
use model::{ProjectNew, Step};

/// How long `POST /projects/create` waits for the flow before it answers with the address to follow it at.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The checked request, as the flow keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// What it is made from.
    pub template: Option<String>,
    /// Which state of a template repository.
    pub template_ref: Option<String>,
    /// The parameters as given.
    pub parameters: IndexMap<String, Value>,
    /// The name of the account in the first commit.
    pub author: String,
    /// Its name for people.
    pub author_display: String,
    /// Its address, if it has one.
    pub author_email: Option<String>,
}

/// Checks a request and sets the flow off.
///
/// # Errors
/// `validation_failed`, `already_exists`, `tool_missing`, `not_found` for the template.
pub async fn project_create(app: &App, ctx: &Context, new: ProjectNew) -> Result<OperationRow> {
    kernel::authz::authorize_instance(ctx, Permission::AccountWrite)?;
    if ctx.grant.projects.is_some() {
        return Err(Error::new(Code::Forbidden, "a token that is limited to projects cannot create another"));
    }
    let Actor::User { id: account, name: account_name, .. } = &ctx.actor else {
        return Err(Error::new(Code::Forbidden, "only people create projects"));
    };
    if let Some(id) = app.made::<OperationId>(ctx)? {
        return rows::operation_get(app.db(), id).await?.ok_or_else(|| Error::not_found("operation"));
    }
    let name = Slug::parse(&new.name)?;
    let namespace = NamespacePath::parse(new.namespace.as_deref().unwrap_or(account_name))?;
    let owner = crate::group::namespace_for_project(app, ctx, &namespace).await?;
    let path = ProjectPath::new(&namespace, &name);
    check_settings(new.description.as_deref(), new.language.as_deref(), new.topics.as_deref())?;
    let branch = new.default_branch.unwrap_or_else(|| "main".to_owned());
    RefName::branch(&branch).map_err(|e| Error::field("default_branch", "invalid", e.detail))?;
    let parameters = new.parameters.unwrap_or_default();
    let description = new.description.unwrap_or_default();
    let mut language = new.language;
    // taken names are told before anything is looked at closely
    if store::project::project_by_path(app.db(), path.as_str()).await?.is_some() {
        return Err(Error::new(Code::AlreadyExists, format!("{path} is taken")));
    }
    if let Some(template) = &new.template {
        let loaded = crate::template::template_load(app, ctx, template, new.template_ref.as_deref()).await.map_err(|e| {
            if e.is(Code::NotFound) { Error::field("template", "unknown", format!("there is no template {template}")) } else { e }
        })?;
        crate::template::tools_require(app, &loaded.manifest).await?;
        loaded.manifest.values(&parameters)?;
        language = language.or(loaded.manifest.language);
    } else if !parameters.is_empty() {
        return Err(Error::field("parameters", "unknown", "parameters belong to a template"));
    }
    let account = store::account::account_get(app.db(), *account).await?.ok_or_else(|| Error::not_found("user"))?;
    let request = Request {
        template: new.template.clone(),
        template_ref: new.template_ref,
        parameters,
        author: account.name,
        author_display: account.display_name,
        author_email: account.email,
    };
    let project = ProjectRow {
        id: ProjectId::new(),
        path: path.as_str().to_owned(),
        namespace: namespace.as_str().to_owned(),
        name: name.as_str().to_owned(),
        owner,
        description,
        visibility: new.visibility.unwrap_or(Visibility::Private),
        language,
        topics: tidy_topics(new.topics.unwrap_or_default()),
        default_branch: branch,
        template: new.template,
        state: "creating".into(),
        archived_at: None,
        deleted_at: None,
        created_at: ctx.now,
        updated_at: ctx.now,
        last_activity_at: ctx.now,
        version: 1,
    };
    let operation = OperationRow {
        id: OperationId::new(),
        kind: "project_create".into(),
        state: "running".into(),
        project: project.id,
        project_path: project.path.clone(),
        account: Some(account.id),
        request: serde_json::to_value(&request).map_err(Error::internal)?,
        steps: serde_json::to_value(Step::all()).map_err(Error::internal)?,
        error: None,
        created_at: ctx.now,
        finished_at: None,
    };
    let mut tx = app.db().begin().await?;
    project_row_create(&mut tx, &project).await?;
    rows::operation_create(&mut tx, &operation).await?;
    let mut work = NewWork::new("project_create", serde_json::json!({ "operation": operation.id })).project(project.id);
    work.max_attempts = 6;
    tx.enqueue(work).await?;
    tx.keep(app.receipt(ctx, &operation.id)?).await?;
    tx.commit().await?;
    Ok(operation)
}

/// A flow that the caller set off, or may see as an administrator.
///
/// # Errors
/// `not_found`.
pub async fn operation_get(app: &App, ctx: &Context, id: OperationId) -> Result<OperationRow> {
    let hidden = || Error::not_found("operation");
    let op = rows::operation_get(app.db(), id).await?.ok_or_else(hidden)?;
    let limited = ctx.grant.projects.as_ref().is_some_and(|list| !list.contains(&op.project));
    if limited || !(ctx.is_admin() || (op.account.is_some() && ctx.user() == op.account)) {
        return Err(hidden());
    }
    Ok(op)
}

/// Waits until a flow has ended, or for as long as patience lasts.
///
/// # Errors
/// `not_found`.
pub async fn operation_wait(app: &App, id: OperationId, at_most: Duration) -> Result<OperationRow> {
    let mut waiter = app.db().wake().subscribe();
    let topic = format!("operation:{id}");
    let end = tokio::time::Instant::now() + at_most;
    loop {
        let op = rows::operation_get(app.db(), id).await?.ok_or_else(|| Error::not_found("operation"))?;
        if op.state != "running" || tokio::time::Instant::now() >= end {
            return Ok(op);
        }
        waiter.wait(Duration::from_secs(2), |t| t == topic).await;
    }
}
