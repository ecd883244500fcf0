//! Languages, quality and functions over HTTP.

use axum::extract::State;
use kernel::Timestamp;
use serde::{Deserialize, Serialize};
use store::metric::{FunctionRow, FunctionSort};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web_kit::problem::ProblemBody;
use web_kit::{App, Ctx, Json, List, Page, PageParams, Path, Query, Reply};

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(language_list)).routes(routes!(quality_get)).routes(routes!(function_list))
}

/// A language of the project.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProjectLanguage {
    /// Its name.
    pub name: String,
    /// Files in it.
    pub files: i64,
    /// Lines in all.
    pub lines: i64,
    /// Lines with code.
    pub code: i64,
    /// Lines with comment only.
    pub comments: i64,
    /// Empty lines.
    pub blanks: i64,
    /// Bytes.
    pub bytes: i64,
    /// Part of the project's lines of code and mark-up, 0 to 1; 0 for data and prose.
    pub share: f64,
}

/// Lists the languages of the default branch, most code first.
///
/// **Permissions**: `repository:read`.
#[utoipa::path(get, path = "/projects/{id}/languages", tag = "code",
    params(("id" = String, Path, description = "prj_… or the encoded path")),
    responses((status = 200, body = List<ProjectLanguage>), (status = "4XX", body = ProblemBody)))]
async fn language_list(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>) -> Reply<List<ProjectLanguage>> {
    let rows = super::language_list(&app, &ctx, &id).await?;
    let item = |(name, t, share): (String, store::metric::TotalRow, f64)| ProjectLanguage {
        name,
        files: t.files,
        lines: t.lines,
        code: t.code,
        comments: t.comments,
        blanks: t.blanks,
        bytes: t.bytes,
        share,
    };
    Ok(List::whole(rows.into_iter().map(item).collect()))
}

/// A function and its figures.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProjectFunction {
    /// Its file.
    pub path: String,
    /// Its name, after the types and functions it is written in.
    pub name: String,
    /// First line.
    pub line: i64,
    /// Last line.
    pub end_line: i64,
    /// Cyclomatic complexity.
    pub cyclomatic: i64,
    /// Cognitive complexity.
    pub cognitive: i64,
    /// Lines with code.
    pub lines: i64,
    /// Parameters.
    pub params: i64,
}

impl From<FunctionRow> for ProjectFunction {
    fn from(f: FunctionRow) -> Self {
        Self {
            path: f.path,
            name: f.name,
            line: f.line,
            end_line: f.end_line,
            cyclomatic: f.cyclomatic,
            cognitive: f.cognitive,
            lines: f.lines,
            params: f.params,
        }
    }
}

/// Figures of the default branch.
#[derive(Debug, Serialize, ToSchema)]
pub struct Quality {
    /// The commit they are of; null before the first analysis.
    pub commit: Option<String>,
    /// A newer commit is being worked in.
    pub updating: bool,
    /// When the analysis last moved.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub analyzed_at: Option<Timestamp>,
    /// Files.
    pub files: i64,
    /// Lines.
    pub lines: i64,
    /// Lines with code.
    pub code: i64,
    /// Lines with comment only.
    pub comments: i64,
    /// Comment lines in code and comment lines, 0 to 1.
    pub comment_ratio: f64,
    /// Functions.
    pub functions: i64,
    /// Cyclomatic complexity of all functions.
    pub cyclomatic_total: i64,
    /// The highest of one function.
    pub cyclomatic_max: i64,
    /// Cognitive complexity of all functions.
    pub cognitive_total: i64,
    /// The highest of one function.
    pub cognitive_max: i64,
    /// Files of which part did not fit the grammar: their figures may be short.
    pub parse_errors: i64,
    /// Files that were not measured, or in part only: binary, too large, too slow.
    pub skipped: i64,
    /// The functions with the highest cognitive complexity.
    pub worst: Vec<ProjectFunction>,
}

/// Tells size and complexity of the default branch's code.
///
/// **Permissions**: `repository:read`.
#[utoipa::path(get, path = "/projects/{id}/quality", tag = "code",
    params(("id" = String, Path, description = "prj_… or the encoded path")),
    responses((status = 200, body = Quality), (status = "4XX", body = ProblemBody)))]
async fn quality_get(State(app): State<App>, Ctx(ctx): Ctx, Path(id): Path<String>) -> Reply<Json<Quality>> {
    let s = super::quality_get(&app, &ctx, &id).await?;
    let text = s.total.code + s.total.comments;
    Ok(Json(Quality {
        analyzed_at: (s.progress.updated_at != Timestamp::default()).then_some(s.progress.updated_at),
        updating: s.progress.target.is_some(),
        commit: s.progress.done,
        files: s.total.files,
        lines: s.total.lines,
        code: s.total.code,
        comments: s.total.comments,
        comment_ratio: if text > 0 { s.total.comments as f64 / text as f64 } else { 0.0 },
        functions: s.total.functions,
        cyclomatic_total: s.total.cyclomatic,
        cyclomatic_max: s.cyclomatic_max,
        cognitive_total: s.total.cognitive,
        cognitive_max: s.cognitive_max,
        parse_errors: s.total.parse_errors,
        skipped: s.total.skipped,
        worst: s.worst.into_iter().map(ProjectFunction::from).collect(),
    }))
}

/// By which figure, highest first.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum SortBy {
    Cyclomatic,
    #[default]
    Cognitive,
    Lines,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct FunctionQuery {
    /// `cyclomatic`, `cognitive` or `lines`; `cognitive` when not given.
    #[serde(default)]
    #[param(inline)]
    sort: SortBy,
    /// Only functions of this file, or of files below this folder.
    path: Option<String>,
}

/// Lists functions by a figure, highest first.
///
/// **Permissions**: `repository:read`.
#[utoipa::path(get, path = "/projects/{id}/functions", tag = "code",
    params(("id" = String, Path, description = "prj_… or the encoded path"), FunctionQuery, PageParams),
    responses((status = 200, body = List<ProjectFunction>), (status = "4XX", body = ProblemBody)))]
async fn function_list(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(id): Path<String>,
    Query(query): Query<FunctionQuery>,
    page: Page,
) -> Reply<List<ProjectFunction>> {
    let (sort, list) = match query.sort {
        SortBy::Cyclomatic => (FunctionSort::Cyclomatic, "functions-cyclomatic"),
        SortBy::Cognitive => (FunctionSort::Cognitive, "functions-cognitive"),
        SortBy::Lines => (FunctionSort::Lines, "functions-lines"),
    };
    let after: Option<(i64, String, i64)> = page.after(list)?;
    let path = query.path.as_deref().map(|p| p.trim_matches('/')).filter(|p| !p.is_empty());
    let rows = super::function_page(&app, &ctx, &id, sort, path, after, page.fetch()).await?;
    Ok(page.finish(list, rows, |f| (sort.of(f), f.path.clone(), f.seq), ProjectFunction::from))
}
