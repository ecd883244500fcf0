//! Routes of workflows: build, list, plan.

use axum::body::Body;
use axum::extract::{FromRequest as _, Request, State};
use git::Repositories;
use http::StatusCode;
use kernel::{Error, Permission};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use store::run::run_get;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web_kit::extract::read_body;
use web_kit::{App, Ctx, Json, List, Path, ProblemBody, Query, Reply};

use super::gitlab::Cause;
use super::trigger::{self, BuildRequest};
use super::{Workflows, source};
use crate::compiler::routes::FileDialect;
use crate::runs::view::{self, Run};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(project_build))
        .routes(routes!(project_dispatch))
        .routes(routes!(workflow_list))
        .routes(routes!(plan_get))
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BuildBody {
    /// Branch, tag, full ref name or commit; the default branch when not given.
    r#ref: Option<String>,
    /// Path, file name or name of a workflow.
    workflow: Option<String>,
    /// Inputs by name.
    #[serde(default)]
    #[schema(value_type = std::collections::HashMap<String, Value>)]
    inputs: Map<String, Value>,
}

/// What came of a build request.
#[derive(Debug, Serialize, ToSchema)]
struct BuildAnswer {
    /// The runs that were made.
    runs: Vec<Run>,
    /// What was said about the workflow files.
    #[schema(value_type = Vec<crate::words::Diagnostic>)]
    diagnostics: Value,
}

/// A JSON body, or the default for none at all: `curl -X POST` builds the default branch.
pub(crate) async fn optional<T: DeserializeOwned + Default>(app: &App, request: Request) -> Reply<T> {
    let (parts, body) = request.into_parts();
    let bytes = read_body(Request::from_parts(parts.clone(), body), app.config().json_limit).await?;
    if bytes.is_empty() {
        return Ok(T::default());
    }
    let Json(value) = Json::<T>::from_request(Request::from_parts(parts, Body::from(bytes)), app).await?;
    Ok(value)
}

#[utoipa::path(post, path = "/projects/{id}/build", tag = "pipelines", params(("id" = String, Path)), request_body = BuildBody,
    responses((status = 201, body = BuildAnswer), (status = "4XX", body = ProblemBody)))]
/// Builds any ref, with inputs.
async fn project_build(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(id): Path<String>,
    request: Request,
) -> Reply<(StatusCode, Json<BuildAnswer>)> {
    let body: BuildBody = optional(&app, request).await?;
    let request = BuildRequest { r#ref: body.r#ref, workflow: body.workflow, inputs: body.inputs };
    let built = trigger::project_build(&app, &ctx, &id, request).await?;
    let path = app.project(&ctx, &id, Permission::PipelineRead).await?.row.path;
    let mut rows = Vec::new();
    for run in built.runs {
        rows.extend(run_get(app.db(), run).await?);
    }
    let runs = view::runs(&app, rows, &path).await?;
    Ok((StatusCode::CREATED, Json(BuildAnswer { runs, diagnostics: json!(built.diagnostics) })))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DispatchBody {
    /// Name of the event: what `types` of `repository_dispatch` lists.
    event_type: String,
    /// What comes with it, as `github.event.client_payload`.
    #[serde(default)]
    #[schema(value_type = std::collections::HashMap<String, Value>)]
    client_payload: Map<String, Value>,
}

#[utoipa::path(post, path = "/projects/{id}/dispatch", tag = "pipelines", params(("id" = String, Path)), request_body = DispatchBody,
    responses((status = 201, body = List<Run>), (status = "4XX", body = ProblemBody)))]
/// Starts the workflows of the default branch that wait for an event of this name.
async fn project_dispatch(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(id): Path<String>,
    Json(body): Json<DispatchBody>,
) -> Reply<(StatusCode, List<Run>)> {
    let made = super::dispatch::project_dispatch(&app, &ctx, &id, &body.event_type, body.client_payload).await?;
    let path = app.project(&ctx, &id, Permission::PipelineRead).await?.row.path;
    let mut rows = Vec::new();
    for run in made {
        rows.extend(run_get(app.db(), run).await?);
    }
    Ok((StatusCode::CREATED, List::whole(view::runs(&app, rows, &path).await?)))
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct At {
    /// Branch, tag, full ref name or commit.
    r#ref: Option<String>,
    /// Path, file name or name of a workflow.
    workflow: Option<String>,
    /// For the plan: write the detected one in this language, as `files` and `differences`.
    dialect: Option<FileDialect>,
}

/// A workflow of a commit.
#[derive(Debug, Serialize, ToSchema)]
struct WorkflowItem {
    /// Path of its file; of a detected one the file that decided.
    path: String,
    /// Its name.
    name: String,
    /// The language of its file.
    #[schema(value_type = crate::words::Dialect)]
    dialect: &'static str,
    /// Made without a file.
    detected: bool,
    /// Events that start it.
    events: Vec<String>,
    /// Inputs of a manual start.
    #[schema(value_type = std::collections::BTreeMap<String, crate::words::WorkflowInput>)]
    inputs: Value,
    /// Keys of its jobs.
    jobs: Vec<String>,
    /// What was said about the file.
    #[schema(value_type = Vec<crate::words::Diagnostic>)]
    diagnostics: Value,
    /// Why a detected build looks as it does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    explanation: Vec<String>,
    /// A detected build as a workflow file.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
}

async fn load(app: &App, ctx: &kernel::Context, id: &str, at: &At) -> Reply<Workflows> {
    let project = app.project(ctx, id, Permission::PipelineRead).await?;
    app.project_by_id(ctx, project.id(), Permission::RepositoryRead).await?;
    let repository = app.part::<Repositories>()?.get(project.id()).map_err(Error::from)?;
    let wanted = at.r#ref.clone().unwrap_or_default();
    let found = repository.read(move |r| r.resolve(&wanted)).await.map_err(Error::from)?;
    let name = found.name.unwrap_or_else(|| format!("refs/heads/{}", project.row.default_branch));
    let cause = Cause::look(name, ctx.user());
    Ok(source::workflows(app, &project.row, &repository, found.commit, &cause).await?)
}

#[utoipa::path(get, path = "/projects/{id}/workflows", tag = "pipelines", params(("id" = String, Path), At),
    responses((status = 200, body = List<WorkflowItem>), (status = "4XX", body = ProblemBody)))]
/// The workflows of a commit with their messages; without a file, the detected build.
async fn workflow_list(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>, Query(at): Query<At>) -> Reply<List<WorkflowItem>> {
    let found = load(&app, &ctx, &id, &at).await?;
    let events = |p: &dialects::Plan| p.triggers.iter().map(|t| t.event().to_owned()).collect();
    let keys = |p: &dialects::Plan| p.jobs.iter().map(|j| j.key.clone()).collect();
    let mut items: Vec<WorkflowItem> = found
        .files
        .iter()
        .map(|w| WorkflowItem {
            path: w.path.clone(),
            name: w.compiled.name.clone(),
            dialect: crate::words::dialect(&w.path, false),
            detected: false,
            events: w.compiled.plan.as_ref().map(events).unwrap_or_default(),
            inputs: w.compiled.plan.as_ref().map_or_else(|| json!({}), |p| json!(p.inputs)),
            jobs: w.compiled.plan.as_ref().map(keys).unwrap_or_default(),
            diagnostics: json!(w.compiled.diagnostics),
            explanation: Vec::new(),
            file: None,
        })
        .collect();
    if let Some(d) = &found.detected {
        items.push(WorkflowItem {
            path: d.plan.source.clone(),
            name: d.plan.name.clone(),
            dialect: crate::words::dialect(&d.plan.source, true),
            detected: true,
            events: events(&d.plan),
            inputs: json!({}),
            jobs: keys(&d.plan),
            diagnostics: json!([]),
            explanation: d.explanation.clone(),
            file: Some(d.workflow.clone()),
        });
    }
    Ok(List::whole(items))
}

#[utoipa::path(get, path = "/projects/{id}/plan", tag = "pipelines", params(("id" = String, Path), At),
    responses((status = 200, body = Object, description = "The compiled plan"), (status = "4XX", body = ProblemBody)))]
/// The compiled plan of a workflow; with `dialect`, the detected one written in it.
async fn plan_get(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>, Query(at): Query<At>) -> Reply<Json<Value>> {
    let found = load(&app, &ctx, &id, &at).await?;
    if let Some(plan) = found.plan(at.workflow.as_deref()) {
        let Some(dialect) = at.dialect else { return Ok(Json(json!(plan))) };
        if plan.dialect != dialects::plan::Dialect::Detected {
            let why = "only a detected plan is written out; a file is converted by `POST /pipeline/convert`";
            return Err(Error::new(kernel::Code::Unprocessable, why).into());
        }
        return Ok(Json(json!(dialects::convert::write_detected(plan, dialect.target()))));
    }
    let broken = at.workflow.as_deref().map_or_else(|| found.files.first(), |w| found.find(w));
    let why = broken.map(|w| w.compiled.diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
    Err(match why {
        Some(why) => Error::new(kernel::Code::Unprocessable, why),
        None => Error::not_found("workflow"),
    }
    .into())
}
