//! Search over HTTP.

use ::search::{Hit, LineMatch, PATTERN_LIMIT};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use kernel::{Error, ProjectId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web_kit::problem::ProblemBody;
use web_kit::{App, Ctx, Json, List, Page, PageParams, Path, Query, Reply};

use super::Asked;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(project_search)).routes(routes!(search))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct SearchQuery {
    /// What to look for.
    q: String,
    /// Read it as a regular expression.
    #[serde(default)]
    regex: bool,
    /// Tell upper from lower case.
    #[serde(default)]
    case: bool,
}

/// A line that matches.
#[derive(Debug, Serialize, ToSchema)]
pub struct SearchLine {
    /// Its number, from 1.
    pub line: u32,
    /// Its text; of a long line the part around the first match.
    pub text: String,
    /// Start and end of each match in `text`, in UTF-16 units.
    pub ranges: Vec<[u32; 2]>,
}

impl From<LineMatch> for SearchLine {
    fn from(m: LineMatch) -> Self {
        Self { line: m.line, text: m.text, ranges: pairs(&m.ranges) }
    }
}

fn pairs(ranges: &[(u32, u32)]) -> Vec<[u32; 2]> {
    ranges.iter().map(|(a, b)| [*a, *b]).collect()
}

/// The project of a found file.
#[derive(Debug, Serialize, ToSchema)]
pub struct FoundProject {
    /// Its id.
    #[schema(value_type = String)]
    pub id: ProjectId,
    /// Its path.
    pub path: String,
}

/// A file that matches.
#[derive(Debug, Serialize, ToSchema)]
pub struct FoundFile {
    /// Its project; only in a search over all projects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<FoundProject>,
    /// Where.
    pub path: String,
    /// Matches in the path, in UTF-16 units.
    pub path_ranges: Vec<[u32; 2]>,
    /// Object id of the content.
    pub oid: String,
    /// How many lines match.
    pub lines: u64,
    /// The first of them.
    pub matches: Vec<SearchLine>,
}

fn file(hit: Hit, project: Option<FoundProject>) -> FoundFile {
    FoundFile {
        project,
        path: hit.path,
        path_ranges: pairs(&hit.path_ranges),
        oid: hit.oid,
        lines: hit.lines,
        matches: hit.matches.into_iter().map(SearchLine::from).collect(),
    }
}

/// What was found, best first.
#[derive(Debug, Serialize, ToSchema)]
pub struct FoundFiles {
    /// The files.
    pub items: Vec<FoundFile>,
    /// Pass as `after` for the next page; null on the last.
    pub next: Option<String>,
    /// How many files were found.
    pub total: usize,
    /// False when a bound ended the search early, or the index lies behind.
    pub complete: bool,
    #[serde(skip)]
    #[schema(ignore)]
    link: Option<String>,
}

impl IntoResponse for FoundFiles {
    fn into_response(self) -> Response {
        let link = self.link.as_deref().and_then(|l| HeaderValue::from_str(l).ok());
        let mut response = Json(self).into_response();
        if let Some(link) = link {
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }
}

fn asked(query: SearchQuery, page: &Page) -> Result<(Asked, usize), Error> {
    if query.q.trim().is_empty() {
        return Err(Error::field("q", "required", "what to look for"));
    }
    if query.q.len() > PATTERN_LIMIT {
        return Err(Error::field("q", "too_long", format!("at most {PATTERN_LIMIT} bytes")));
    }
    let offset: usize = page.after("search")?.unwrap_or(0);
    let limit = usize::try_from(page.fetch()).unwrap_or(0);
    Ok((Asked { pattern: query.q, regex: query.regex, case_sensitive: query.case, offset, limit }, offset))
}

fn answer(page: &Page, offset: usize, found: ::search::Found, project: impl Fn(ProjectId) -> Option<FoundProject>) -> FoundFiles {
    let limit = usize::try_from(page.limit).unwrap_or(0);
    let (total, complete) = (found.total, found.complete);
    let list: List<FoundFile> = page.finish(
        "search",
        found.hits,
        |_| offset + limit,
        |hit| {
            let of = project(hit.project);
            file(hit, of)
        },
    );
    FoundFiles { link: list.link().map(str::to_owned), items: list.items, next: list.next, total, complete }
}

/// Searches the files of one project's default branch.
///
/// **Permissions**: `repository:read`.
#[utoipa::path(get, path = "/projects/{id}/search", tag = "code",
    params(("id" = String, Path, description = "prj_… or the encoded path"), SearchQuery, PageParams),
    responses((status = 200, body = FoundFiles), (status = "4XX", body = ProblemBody)))]
async fn project_search(
    State(app): State<App>,
    Ctx(ctx): Ctx,
    Path(id): Path<String>,
    Query(query): Query<SearchQuery>,
    page: Page,
) -> Reply<FoundFiles> {
    let (asked, offset) = asked(query, &page)?;
    let found = super::project_search(&app, &ctx, &id, asked).await?;
    Ok(answer(&page, offset, found, |_| None))
}

/// Searches the files of all projects the caller may read, those with the latest activity first.
///
/// **Permissions**: `repository:read` in each project that is looked into.
#[utoipa::path(get, path = "/search", tag = "code",
    params(SearchQuery, PageParams),
    responses((status = 200, body = FoundFiles), (status = "4XX", body = ProblemBody)))]
async fn search(State(app): State<App>, Ctx(ctx): Ctx, Query(query): Query<SearchQuery>, page: Page) -> Reply<FoundFiles> {
    let (asked, offset) = asked(query, &page)?;
    let (found, projects) = super::search(&app, &ctx, asked).await?;
    let project = |id: ProjectId| projects.iter().find(|(p, _)| *p == id).map(|(id, path)| FoundProject { id: *id, path: path.clone() });
    Ok(answer(&page, offset, found, project))
}
