//! The specification's error table and its JSON form.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// What the parsers return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal;)*) => {
        /// Why a registry request fails, by the specification's stable names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($(#[$doc])* $name,)* }

        impl ErrorCode {
            /// The name on the wire.
            pub fn as_str(self) -> &'static str { match self { $(ErrorCode::$name => $text,)* } }
            /// The usual HTTP status.
            pub fn status(self) -> u16 { match self { $(ErrorCode::$name => $status,)* } }
        }
    };
}

codes! {
    /// No such blob in this repository.
    BlobUnknown = "BLOB_UNKNOWN", 404;
    /// The upload cannot go on.
    BlobUploadInvalid = "BLOB_UPLOAD_INVALID", 400;
    /// No such upload.
    BlobUploadUnknown = "BLOB_UPLOAD_UNKNOWN", 404;
    /// Malformed, of another algorithm, or not that of the content.
    DigestInvalid = "DIGEST_INVALID", 400;
    /// The manifest names a blob or manifest that is not here.
    ManifestBlobUnknown = "MANIFEST_BLOB_UNKNOWN", 404;
    /// The manifest breaks a rule.
    ManifestInvalid = "MANIFEST_INVALID", 400;
    /// No such manifest.
    ManifestUnknown = "MANIFEST_UNKNOWN", 404;
    /// The repository name breaks the grammar.
    NameInvalid = "NAME_INVALID", 400;
    /// No such repository, or not for this caller to know.
    NameUnknown = "NAME_UNKNOWN", 404;
    /// A length that does not match, or over a limit.
    SizeInvalid = "SIZE_INVALID", 400;
    /// A chunk that does not continue the upload, or a range outside the blob.
    RangeInvalid = "RANGE_INVALID", 416;
    /// The tag breaks the grammar.
    TagInvalid = "TAG_INVALID", 400;
    /// A page size or cursor that makes no sense.
    PaginationInvalid = "PAGINATION_NUMBER_INVALID", 400;
    /// Sign in first.
    Unauthorized = "UNAUTHORIZED", 401;
    /// Known, but not allowed.
    Denied = "DENIED", 403;
    /// Not something this registry does.
    Unsupported = "UNSUPPORTED", 405;
    /// Over the rate limit.
    TooManyRequests = "TOOMANYREQUESTS", 429;
    /// A defect of ours.
    Unknown = "UNKNOWN", 500;
    /// Down or busy; try again.
    Unavailable = "UNAVAILABLE", 503;
}

/// A failed registry request.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    /// Which row of the table.
    pub code: ErrorCode,
    /// The HTTP status, when it is not the usual one.
    pub status: u16,
    /// What happened, for people.
    pub message: Cow<'static, str>,
    /// What happened, for programs.
    pub detail: Value,
}

impl Error {
    /// An error with a message.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, status: code.status(), message: message.into(), detail: Value::Null }
    }

    /// With a detail for programs.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Value>) -> Self {
        self.detail = detail.into();
        self
    }

    /// With another HTTP status than the usual.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The JSON document of the specification.
    pub fn json(&self) -> String {
        #[derive(Serialize)]
        struct Row<'a> {
            code: &'static str,
            message: &'a str,
            #[serde(skip_serializing_if = "Value::is_null")]
            detail: &'a Value,
        }
        let row = Row { code: self.code.as_str(), message: &self.message, detail: &self.detail };
        serde_json::json!({ "errors": [row] }).to_string()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_as_specified() {
        let e = Error::new(ErrorCode::BlobUnknown, "blob unknown to registry").with_detail("sha256:00");
        assert_eq!(e.json(), r#"{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown to registry","detail":"sha256:00"}]}"#);
        assert_eq!(e.status, 404);
        assert!(!Error::new(ErrorCode::Denied, "no").json().contains("detail"));
    }
}
