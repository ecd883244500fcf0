//! Paging of tag lists, the catalog and referrers: `?n=` and `?last=`, answered with a `Link`.

use crate::Error;
use crate::ErrorCode;
use crate::Result;

/// One page of a sorted list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// How many entries.
    pub limit: u32,
    /// The entry before the first of this page.
    pub last: Option<String>,
}

impl Page {
    /// Entries on a page when the client does not say, and most it gets.
    pub const MAX: u32 = 1000;

    /// From the query's `n` and `last`. An `n` over the most is cut, never obeyed.
    ///
    /// # Errors
    /// `PAGINATION_NUMBER_INVALID` when `n` is not a number.
    pub fn parse(n: Option<&str>, last: Option<&str>) -> Result<Self> {
        let limit = match n {
            None => Self::MAX,
            // more digits than a number holds is still only "many"
            Some(n) if !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) => {
                n.parse().map_or(Self::MAX, |n: u64| u32::try_from(n).map_or(Self::MAX, |n| n.min(Self::MAX)))
            }
            Some(_) => return Err(Error::new(ErrorCode::PaginationInvalid, "n is not a number")),
        };
        Ok(Self { limit, last: last.filter(|l| !l.is_empty()).map(str::to_owned) })
    }

    /// The `Link` header to the page after the one that ends in `last`. `query` is put in front, as in
    /// `artifactType=x&`.
    pub fn link(&self, path: &str, query: &str, last: &str) -> String {
        format!("<{path}?{query}n={}&last={}>; rel=\"next\"", self.limit, escape(last))
    }
}

/// Percent-encodes all but unreserved characters.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~') {
            out.push(b as char);
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages() {
        let page = |n| Page::parse(n, None).unwrap().limit;
        assert_eq!(
            [page(None), page(Some("0")), page(Some("7")), page(Some("1000000000000")), page(Some("99999999999999999999999"))],
            [1000, 0, 7, 1000, 1000]
        );
        for bad in ["", "-1", "x", "1.5", "+1"] {
            assert!(Page::parse(Some(bad), None).is_err(), "{bad}");
        }
        let page = Page::parse(Some("2"), Some("a/b")).unwrap();
        assert_eq!(page.link("/v2/_catalog", "", "c/d&x"), "</v2/_catalog?n=2&last=c%2Fd%26x>; rel=\"next\"");
    }
}
