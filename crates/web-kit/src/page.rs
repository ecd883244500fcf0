//! Lists: a bounded page and an opaque cursor that the instance's key vouches for.

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::request::Parts;
use http::{HeaderValue, header};
use kernel::{Code, Error};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::problem::Problem;

/// Most items of a page.
pub const MAX: i64 = 100;
const DEFAULT: i64 = 30;

/// `?limit=&after=` of a list request.
#[derive(Clone, Debug)]
pub struct Page {
    /// How many items, 1 to [`MAX`].
    pub limit: i64,
    after: Option<String>,
    uri: String,
    key: crate::secret::Key,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
/// The page of a list.
pub struct PageParams {
    /// How many items, 1 to 100; 30 when not given.
    pub limit: Option<i64>,
    /// Where the page before ended: its `next`.
    pub after: Option<String>,
}

impl FromRequestParts<App> for Page {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let axum::extract::Query(p) = axum::extract::Query::<PageParams>::from_request_parts(parts, app)
            .await
            .map_err(|e| Error::new(Code::InvalidRequest, e.body_text()))?;
        let limit = p.limit.unwrap_or(DEFAULT);
        if !(1..=MAX).contains(&limit) {
            return Err(Error::field("limit", "out_of_range", format!("between 1 and {MAX}")).into());
        }
        let uri = parts
            .extensions
            .get::<axum::extract::OriginalUri>()
            .map_or_else(|| parts.uri.to_string(), |u| u.0.path_and_query().map_or_else(String::new, ToString::to_string));
        Ok(Page { limit, after: p.after, uri, key: app.key().clone() })
    }
}

impl Page {
    /// How many rows to ask the store for: one more tells whether there is a next page.
    pub fn fetch(&self) -> i64 {
        self.limit + 1
    }

    /// The cursor's content, when the request has one.
    ///
    /// # Errors
    /// `invalid_cursor` when it is not one of this list.
    pub fn after<C: DeserializeOwned>(&self, list: &str) -> Result<Option<C>, Error> {
        let Some(text) = &self.after else { return Ok(None) };
        let bad = || Error::new(Code::InvalidCursor, "the cursor is not one of this list");
        if text.len() > 8192 {
            return Err(bad());
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| bad())?;
        let (mac, body) = bytes.split_at_checked(8).ok_or_else(bad)?;
        if self.key.mac(&[b"cursor", list.as_bytes(), body])[..8] != *mac {
            return Err(bad());
        }
        serde_json::from_slice(body).map(Some).map_err(|_| bad())
    }

    /// Cuts the rows to the page and makes the cursor of the next one from the last row that stays.
    pub fn finish<R, C: Serialize, T>(&self, list: &str, mut rows: Vec<R>, cursor: impl Fn(&R) -> C, item: impl Fn(R) -> T) -> List<T> {
        let more = rows.len() as i64 > self.limit;
        rows.truncate(usize::try_from(self.limit).unwrap_or(0));
        let next = more.then(|| rows.last().map(|r| self.encode(list, &cursor(r)))).flatten();
        let link = next.as_ref().map(|n| next_link(&self.uri, n));
        List { items: rows.into_iter().map(item).collect(), next, link }
    }

    /// A page whose end the source of the items knows by itself.
    pub fn list<C: Serialize, T>(&self, list: &str, items: Vec<T>, next: Option<&C>) -> List<T> {
        let next = next.map(|c| self.encode(list, c));
        let link = next.as_ref().map(|n| next_link(&self.uri, n));
        List { items, next, link }
    }

    /// The cursor that leads to what follows `cursor`.
    pub fn cursor<C: Serialize>(&self, list: &str, cursor: &C) -> String {
        self.encode(list, cursor)
    }

    fn encode<C: Serialize>(&self, list: &str, cursor: &C) -> String {
        let body = serde_json::to_vec(cursor).unwrap_or_default();
        let mut bytes = self.key.mac(&[b"cursor", list.as_bytes(), &body])[..8].to_vec();
        bytes.extend(body);
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

fn next_link(uri: &str, next: &str) -> String {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let mut pairs: Vec<&str> = query.split('&').filter(|p| !p.is_empty() && !p.starts_with("after=")).collect();
    let after = format!("after={next}");
    pairs.push(&after);
    format!("<{path}?{}>; rel=\"next\"", pairs.join("&"))
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct List<T> {
    /// The items.
    pub items: Vec<T>,
    /// Pass as `after` for the next page; null on the last.
    pub next: Option<String>,
    #[serde(skip)]
    #[schema(ignore)]
    link: Option<String>,
}

impl<T> List<T> {
    /// The `Link` header of the next page, for answers that carry more than the list.
    pub fn link(&self) -> Option<&str> {
        self.link.as_deref()
    }

    /// A list that is whole on one page.
    pub fn whole(items: Vec<T>) -> Self {
        Self { items, next: None, link: None }
    }
}

impl<T: Serialize> IntoResponse for List<T> {
    fn into_response(self) -> Response {
        let link = self.link.as_deref().and_then(|l| HeaderValue::from_str(l).ok());
        let mut response = axum::Json(self).into_response();
        if let Some(link) = link {
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn next_link_keeps_the_other_parameters() {
        assert_eq!(super::next_link("/projects/list?q=a&after=x&limit=2", "N"), "</projects/list?q=a&limit=2&after=N>; rel=\"next\"");
    }
}
