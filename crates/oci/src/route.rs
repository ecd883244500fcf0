//! What a path under `/v2/` asks for. Names hold slashes and may hold the words `blobs`, `manifests`, `tags` and
//! `uploads` themselves, so a path is read from its right end.

use crate::Digest;
use crate::Error;
use crate::ErrorCode;
use crate::Reference;
use crate::Repository;
use crate::Result;

/// A parsed path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `/v2/`: is this a registry, am I signed in?
    Base,
    /// `/v2/token`: credentials in, bearer token out.
    Token,
    /// `/v2/_catalog`.
    Catalog,
    /// `/v2/<name>/tags/list`.
    Tags(Repository),
    /// `/v2/<name>/manifests/<reference>`.
    Manifest(Repository, Reference),
    /// `/v2/<name>/blobs/<digest>`.
    Blob(Repository, Digest),
    /// `/v2/<name>/blobs/uploads/`.
    Uploads(Repository),
    /// `/v2/<name>/blobs/uploads/<id>`.
    Upload(Repository, String),
    /// `/v2/<name>/referrers/<digest>`.
    Referrers(Repository, Digest),
}

impl Route {
    /// Parses what follows `/v2`, decoded or not: no valid name or reference needs escapes.
    ///
    /// # Errors
    /// `NAME_INVALID`, `TAG_INVALID`, `DIGEST_INVALID` where the shape is right and a part is not; `UNSUPPORTED` with
    /// status 404 for any other path.
    pub fn parse(path: &str) -> Result<Self> {
        match path {
            "" | "/" => return Ok(Self::Base),
            "/token" => return Ok(Self::Token),
            "/_catalog" => return Ok(Self::Catalog),
            _ => {}
        }
        let unknown = || Error::new(ErrorCode::Unsupported, "no such path in a registry").with_status(404);
        let path = path.strip_prefix('/').ok_or_else(unknown)?;
        if let Some(name) = path.strip_suffix("/tags/list") {
            return Ok(Self::Tags(Repository::parse(name)?));
        }
        if let Some(name) = path.strip_suffix("/blobs/uploads/").or_else(|| path.strip_suffix("/blobs/uploads")) {
            return Ok(Self::Uploads(Repository::parse(name)?));
        }
        let (head, last) = path.rsplit_once('/').ok_or_else(unknown)?;
        if let Some(name) = head.strip_suffix("/manifests") {
            return Ok(Self::Manifest(Repository::parse(name)?, last.parse()?));
        }
        if let Some(name) = head.strip_suffix("/blobs/uploads") {
            return Ok(Self::Upload(Repository::parse(name)?, last.to_owned()));
        }
        if let Some(name) = head.strip_suffix("/blobs") {
            return Ok(Self::Blob(Repository::parse(name)?, last.parse()?));
        }
        if let Some(name) = head.strip_suffix("/referrers") {
            return Ok(Self::Referrers(Repository::parse(name)?, last.parse()?));
        }
        Err(unknown())
    }

    /// The repository, for the routes that have one.
    pub fn repository(&self) -> Option<&Repository> {
        match self {
            Route::Base | Route::Token | Route::Catalog => None,
            Route::Tags(name)
            | Route::Manifest(name, _)
            | Route::Blob(name, _)
            | Route::Uploads(name)
            | Route::Upload(name, _)
            | Route::Referrers(name, _) => Some(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths() {
        let name = |n: &str| Repository::parse(n).unwrap();
        let digest = Digest::of(b"x");
        let cases = [
            ("", Route::Base),
            ("/", Route::Base),
            ("/token", Route::Token),
            ("/_catalog", Route::Catalog),
            ("/a/b/tags/list", Route::Tags(name("a/b"))),
            ("/tags/list/tags/list", Route::Tags(name("tags/list"))),
            ("/a/manifests/v1", Route::Manifest(name("a"), "v1".parse().unwrap())),
            ("/a/manifests/manifests/v1", Route::Manifest(name("a/manifests"), "v1".parse().unwrap())),
            ("/a/blobs/uploads/", Route::Uploads(name("a"))),
            ("/a/blobs/uploads", Route::Uploads(name("a"))),
            ("/a/blobs/uploads/blobs/uploads/", Route::Uploads(name("a/blobs/uploads"))),
            ("/a/blobs/uploads/upl_1", Route::Upload(name("a"), "upl_1".into())),
        ];
        for (path, route) in cases {
            assert_eq!(Route::parse(path).unwrap(), route, "{path}");
        }
        assert_eq!(Route::parse(&format!("/a/b/blobs/{digest}")).unwrap(), Route::Blob(name("a/b"), digest));
        assert_eq!(Route::parse(&format!("/a/b/referrers/{digest}")).unwrap(), Route::Referrers(name("a/b"), digest));
        let errors = [
            ("/a", ErrorCode::Unsupported),
            ("/../x/tags/list", ErrorCode::NameInvalid),
            ("/a%2fb/manifests/x", ErrorCode::NameInvalid),
            ("/a/manifests/..", ErrorCode::TagInvalid),
            ("/a/manifests/", ErrorCode::TagInvalid),
            ("/a/blobs/sha256:0", ErrorCode::DigestInvalid),
            ("/a/referrers/latest", ErrorCode::DigestInvalid),
            ("/manifests/v1", ErrorCode::Unsupported),
        ];
        for (path, code) in errors {
            assert_eq!(Route::parse(path).unwrap_err().code, code, "{path}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(path in "\\PC{0,60}") {
            let _ = Route::parse(&path);
        }
    }
}
