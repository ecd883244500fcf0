//! Routes of the compiler.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use dialects::convert::{self, Target};
use dialects::trial::{self, Event, Sources};
use dialects::{expr, jenkins};
use git::{GitError, Repositories};
use kernel::{Code, Context, Error, Permission};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web_kit::{App, Ctx, Json, Path, ProblemBody, Reply};

use super::{Committed, Files, Given, files, place, signed_in};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(pipeline_lint))
        .routes(routes!(pipeline_plan))
        .routes(routes!(pipeline_eval))
        .routes(routes!(pipeline_model))
        .routes(routes!(pipeline_convert))
        .routes(routes!(project_pipeline_lint))
        .routes(routes!(project_pipeline_plan))
}

/// Languages of pipeline files.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FileDialect {
    /// GitHub Actions.
    Github,
    /// GitLab CI.
    Gitlab,
    /// Declarative Jenkinsfile.
    Jenkins,
}

impl FileDialect {
    pub(crate) fn target(self) -> Target {
        match self {
            Self::Github => Target::Github,
            Self::Gitlab => Target::Gitlab,
            Self::Jenkins => Target::Jenkins,
        }
    }
}

/// A file.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct FileBody {
    /// Where it lies in the repository.
    path: String,
    /// Its text.
    text: String,
}

/// A pipeline file, files beside it, and an event.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CompileBody {
    /// Files; the pipeline file may be one of them.
    #[serde(default)]
    files: Vec<FileBody>,
    /// Path of the pipeline file; without it the first of `files`.
    path: Option<String>,
    /// Text of the pipeline file, if it is not in `files`.
    text: Option<String>,
    /// Its language; without it, seen from its path.
    dialect: Option<FileDialect>,
    /// What happens: `push` if not given.
    event: Option<String>,
    /// Where: a full ref name, or a branch; with a project, the commit whose files are read, too.
    r#ref: Option<String>,
    /// Files that changed; without it, all of them count as changed.
    changed: Option<Vec<String>>,
    /// Activity of the event, such as `opened`.
    action: Option<String>,
    /// Branch that a pull request goes to.
    base: Option<String>,
    /// The default branch.
    default_branch: Option<String>,
    /// Inputs of a manual start.
    #[serde(default)]
    #[schema(value_type = std::collections::HashMap<String, Value>)]
    inputs: Map<String, Value>,
    /// Variables of the project.
    #[serde(default)]
    #[schema(value_type = std::collections::HashMap<String, Value>)]
    variables: Map<String, Value>,
}

/// Larger plans are not answered.
const MAX_ANSWER: usize = 16 << 20;

/// What a request is about.
#[derive(Clone)]
struct Asked {
    path: String,
    dialect: Target,
    files: Files,
    event: Event,
    reference: Option<String>,
}

impl CompileBody {
    fn take(self) -> Result<Asked, Error> {
        let mut given: Vec<(String, String)> = self.files.into_iter().map(|f| (f.path, f.text)).collect();
        let first = given.first().map(|(path, _)| path.clone());
        let path = self.path.or(first).ok_or_else(|| Error::new(Code::Unprocessable, "`path` or `files` must name the pipeline file"))?;
        if let Some(text) = self.text {
            given.retain(|(p, _)| *p != path);
            given.push((path.clone(), text));
        }
        if self.changed.as_ref().is_some_and(|c| c.len() > trial::MAX_CHANGED) {
            let why = format!("at most {} paths are looked at", trial::MAX_CHANGED);
            return Err(Error::field("changed", "too_many", why));
        }
        let usual = Event::default();
        let event = Event {
            event: self.event.unwrap_or(usual.event),
            reference: self.r#ref.clone().unwrap_or(usual.reference),
            changed: self.changed,
            action: self.action,
            workflow: usual.workflow,
            base: self.base.unwrap_or(usual.base),
            default_branch: self.default_branch.unwrap_or(usual.default_branch),
            inputs: self.inputs,
            variables: self.variables,
        };
        let dialect = self.dialect.map_or_else(|| Target::of(&path), FileDialect::target);
        Ok(Asked { path, dialect, files: files(given)?, event, reference: self.r#ref })
    }
}

/// Whether a request is a check or a plan.
#[derive(Clone, Copy)]
enum Wanted {
    Lint,
    Plan,
}

impl Asked {
    /// The answer as JSON text; made where it may take long.
    fn answer(&self, wanted: Wanted, sources: &dyn Sources) -> Result<Vec<u8>, Error> {
        let missing = || Error::new(Code::Unprocessable, format!("there is no file `{}`", self.path));
        let bytes = sources.file(&self.path).ok_or_else(missing)?;
        let answer = match wanted {
            Wanted::Lint => {
                let compiled = trial::compile(&self.path, &bytes, self.dialect, &self.event, sources);
                json!({ "diagnostics": compiled.diagnostics, "dialect": self.dialect })
            }
            Wanted::Plan => trial::json(&trial::plan(&self.path, &bytes, self.dialect, &self.event, sources)),
        };
        let text = serde_json::to_vec(&answer).map_err(Error::internal)?;
        if text.len() > MAX_ANSWER {
            return Err(Error::new(Code::Unprocessable, format!("the plan has more than {MAX_ANSWER} bytes")));
        }
        Ok(text)
    }
}

fn json_text(text: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}

/// Runs what takes long off the threads that answer.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    let place = place().await?;
    // who goes away leaves the work behind, and with it the place
    let kept = move || {
        let _place = place;
        work()
    };
    tokio::task::spawn_blocking(kept).await.map_err(Error::internal)?
}

/// What was said about a file.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the answer")]
struct LintAnswer {
    /// Messages in the order of the file.
    diagnostics: Vec<crate::words::Diagnostic>,
    /// The language it was read in.
    dialect: FileDialect,
}

#[utoipa::path(post, path = "/pipeline/lint", tag = "pipelines", request_body = CompileBody,
    responses((status = 200, body = LintAnswer), (status = "4XX", body = ProblemBody)))]
/// Checks a pipeline file.
async fn pipeline_lint(Ctx(ctx): Ctx, Json(body): Json<CompileBody>) -> Reply<Response> {
    signed_in(&ctx)?;
    let asked = body.take()?;
    Ok(json_text(aside(move || asked.answer(Wanted::Lint, &Given(asked.files.clone()))).await?))
}

#[utoipa::path(post, path = "/pipeline/plan", tag = "pipelines", request_body = CompileBody,
    responses((status = 200, body = Object, description = "The plan, and why each job is in or out"), (status = "4XX", body = ProblemBody)))]
/// What an event would start of a pipeline file.
async fn pipeline_plan(Ctx(ctx): Ctx, Json(body): Json<CompileBody>) -> Reply<Response> {
    signed_in(&ctx)?;
    let asked = body.take()?;
    Ok(json_text(aside(move || asked.answer(Wanted::Plan, &Given(asked.files.clone()))).await?))
}

async fn in_project(app: &App, ctx: &Context, id: &str, body: CompileBody, wanted: Wanted) -> Result<Response, Error> {
    let project = app.project(ctx, id, Permission::RepositoryRead).await?;
    signed_in(ctx)?;
    let mut asked = body.take()?;
    asked.event.default_branch.clone_from(&project.row.default_branch);
    let repository = app.part::<Repositories>()?.get(project.id()).map_err(Error::from)?;
    let place = place().await?;
    let answer = repository
        .read(move |reader| {
            let _place = &place;
            let default = || format!("refs/heads/{}", asked.event.default_branch);
            let found = match reader.resolve(asked.reference.as_deref().unwrap_or_default()) {
                Ok(found) => Some(found),
                // the first file of a project is written before its first commit
                Err(GitError::NotFound(_)) if asked.reference.is_none() => None,
                Err(e) => return Err(e),
            };
            let reference = found.as_ref().and_then(|f| f.name.clone()).unwrap_or_else(default);
            let asked = Asked { event: Event { reference, ..asked.event.clone() }, ..asked.clone() };
            let Some(found) = found else { return Ok(asked.answer(wanted, &Given(asked.files.clone()))) };
            let root = reader.commit(found.commit)?.tree;
            Ok(asked.answer(wanted, &Committed { reader, root, given: asked.files.clone() }))
        })
        .await
        .map_err(Error::from)?;
    answer.map(json_text)
}

#[utoipa::path(post, path = "/projects/{id}/pipeline/lint", tag = "pipelines", params(("id" = String, Path)), request_body = CompileBody,
    responses((status = 200, body = LintAnswer), (status = "4XX", body = ProblemBody)))]
/// Checks a pipeline file with the files of a commit; those that are given take their place.
async fn project_pipeline_lint(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(id): Path<String>,
    Json(body): Json<CompileBody>,
) -> Reply<Response> {
    Ok(in_project(&app, &ctx, &id, body, Wanted::Lint).await?)
}

#[utoipa::path(post, path = "/projects/{id}/pipeline/plan", tag = "pipelines", params(("id" = String, Path)), request_body = CompileBody,
    responses((status = 200, body = Object, description = "The plan, and why each job is in or out"), (status = "4XX", body = ProblemBody)))]
/// What an event would start of a pipeline file with the files of a commit.
async fn project_pipeline_plan(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(id): Path<String>,
    Json(body): Json<CompileBody>,
) -> Reply<Response> {
    Ok(in_project(&app, &ctx, &id, body, Wanted::Plan).await?)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EvalBody {
    /// Language of the expression; `github` is the only one.
    dialect: Option<ExpressionDialect>,
    /// The expression.
    expression: String,
    /// Its keys are the names that the expression may use.
    #[serde(default)]
    #[schema(value_type = std::collections::HashMap<String, Value>)]
    contexts: Map<String, Value>,
}

/// Languages of expressions.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ExpressionDialect {
    /// GitHub Actions.
    Github,
}

#[utoipa::path(post, path = "/pipeline/eval", tag = "pipelines", request_body = EvalBody,
    responses((status = 200, body = Object, description = "`kind` and `value`, or `err`"), (status = "4XX", body = ProblemBody)))]
/// Evaluates an expression.
async fn pipeline_eval(Ctx(ctx): Ctx, Json(body): Json<EvalBody>) -> Reply<Json<Value>> {
    signed_in(&ctx)?;
    let EvalBody { dialect: None | Some(ExpressionDialect::Github), expression, contexts } = body;
    let told = aside(move || {
        Ok(match expr::answer(&expression, &Value::Object(contexts)) {
            Ok(answer) => json!({ "kind": answer.kind, "value": answer.value }),
            Err((phase, why)) => json!({ "err": { "kind": phase.as_str(), "value": why.to_string() } }),
        })
    });
    Ok(Json(told.await?))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ModelBody {
    /// Text of a Jenkinsfile.
    text: String,
}

#[utoipa::path(post, path = "/pipeline/model", tag = "pipelines", request_body = ModelBody,
    responses((status = 200, body = Object, description = "The model; `diagnostics` when there are errors"), (status = "4XX", body = ProblemBody)))]
/// The declarative model of a Jenkinsfile in the form that Jenkins converts it to.
async fn pipeline_model(Ctx(ctx): Ctx, Json(body): Json<ModelBody>) -> Reply<Json<Value>> {
    signed_in(&ctx)?;
    let model = aside(move || {
        let read = jenkins::read(jenkins::FILE, body.text.as_bytes());
        Ok(read.pipeline.map_or_else(|| json!({ "diagnostics": read.diagnostics }), |p| p.json()))
    });
    Ok(Json(model.await?))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ConvertBody {
    /// Path of the pipeline file.
    path: String,
    /// Its text.
    text: String,
    /// Its language; without it, seen from its path.
    dialect: Option<FileDialect>,
    /// Language to write.
    to: FileDialect,
}

/// A pipeline file in another language.
#[derive(Debug, Serialize, ToSchema)]
struct ConvertAnswer {
    /// What was written; empty when the file has errors.
    files: Vec<WrittenFile>,
    /// What is different there, located in the file; an error has to be looked at by a person.
    #[schema(value_type = Vec<crate::words::Diagnostic>)]
    differences: Value,
    /// What is wrong with the file.
    #[schema(value_type = Vec<crate::words::Diagnostic>)]
    diagnostics: Value,
}

/// A file that was written.
#[derive(Debug, Serialize, ToSchema)]
struct WrittenFile {
    /// Where it is expected.
    path: String,
    /// Its text.
    text: String,
}

#[utoipa::path(post, path = "/pipeline/convert", tag = "pipelines", request_body = ConvertBody,
    responses((status = 200, body = ConvertAnswer), (status = "4XX", body = ProblemBody)))]
/// Writes a pipeline file in another language.
async fn pipeline_convert(Ctx(ctx): Ctx, Json(body): Json<ConvertBody>) -> Reply<Json<ConvertAnswer>> {
    signed_in(&ctx)?;
    let answer = aside(move || {
        let from = body.dialect.map_or_else(|| Target::of(&body.path), FileDialect::target);
        Ok(match convert::convert(&body.path, body.text.as_bytes(), from, body.to.target()) {
            Ok(made) => ConvertAnswer {
                files: made.files.into_iter().map(|f| WrittenFile { path: f.path, text: f.text }).collect(),
                differences: json!(made.differences),
                diagnostics: json!([]),
            },
            Err(diagnostics) => ConvertAnswer { files: Vec::new(), differences: json!([]), diagnostics: json!(diagnostics) },
        })
    });
    Ok(Json(answer.await?))
}
