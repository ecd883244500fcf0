//! One error for every use case, and the closed table of codes behind the problem documents (RFC 9457).

use std::fmt;

use serde::Serialize;

/// What a use case returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal, $title:literal;)*) => {
        /// Every way a request can fail, with a stable text, an HTTP status and a title.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// All codes, for the documentation page.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];
            /// The stable text clients may match on.
            pub fn as_str(self) -> &'static str { match self { $(Code::$name => $text,)* } }
            /// The HTTP status.
            pub fn status(self) -> u16 { match self { $(Code::$name => $status,)* } }
            /// A short human title that does not vary between occurrences.
            pub fn title(self) -> &'static str { match self { $(Code::$name => $title,)* } }
        }
    };
}

codes! {
    /// The request cannot be understood.
    InvalidRequest = "invalid_request", 400, "The request is not valid";
    /// A field has a value that is not allowed; see `errors`.
    ValidationFailed = "validation_failed", 422, "Some fields are not valid";
    /// A page cursor was altered or belongs to another list.
    InvalidCursor = "invalid_cursor", 400, "The cursor is not valid";
    /// Nobody is signed in.
    Unauthenticated = "unauthenticated", 401, "Sign in first";
    /// Wrong name or password, or a dead token.
    BadCredentials = "bad_credentials", 401, "The credentials are not valid";
    /// Known and visible, but not allowed.
    Forbidden = "forbidden", 403, "Not allowed";
    /// A browser request from another origin.
    CrossOrigin = "cross_origin", 403, "Requests from this origin are not accepted";
    /// Not there, or not for this caller to know.
    NotFound = "not_found", 404, "Not found";
    /// The path exists, the method does not.
    MethodNotAllowed = "method_not_allowed", 405, "Method not allowed";
    /// None of the accepted media types can be produced.
    NotAcceptable = "not_acceptable", 406, "Not acceptable";
    /// The client took too long.
    RequestTimeout = "request_timeout", 408, "The request took too long";
    /// The name is taken.
    AlreadyExists = "already_exists", 409, "Already exists";
    /// The thing is in a state that does not allow this.
    Conflict = "conflict", 409, "Conflict";
    /// The same Idempotency-Key is being worked on.
    IdempotencyInFlight = "idempotency_in_flight", 409, "A request with this key is in progress";
    /// A lease was lost to a newer epoch.
    StaleEpoch = "stale_epoch", 409, "The lease is no longer held";
    /// The files of a failed job are no longer kept, or their runner is away.
    FilesGone = "files_gone", 409, "The files of the job are not there";
    /// This kind of job cannot go on from a step.
    NotResumable = "not_resumable", 422, "The job cannot go on from a step";
    /// It was here and was deleted.
    Gone = "gone", 410, "Gone";
    /// `If-Match` does not name the current version.
    PreconditionFailed = "precondition_failed", 412, "The resource has changed";
    /// A body, file or field over its limit.
    TooLarge = "too_large", 413, "Too large";
    /// A body of a type this route does not take.
    UnsupportedMediaType = "unsupported_media_type", 415, "Unsupported media type";
    /// A byte range that cannot be served.
    RangeNotSatisfiable = "range_not_satisfiable", 416, "Range not satisfiable";
    /// The same Idempotency-Key came with another body.
    IdempotencyMismatch = "idempotency_mismatch", 422, "The key was used for another request";
    /// Valid, but this cannot be done with it.
    Unprocessable = "unprocessable", 422, "Cannot be processed";
    /// A tool that the request needs is not on the machine.
    ToolMissing = "tool_missing", 422, "A tool is missing";
    /// An update without `If-Match`.
    PreconditionRequired = "precondition_required", 428, "If-Match is required";
    /// Over the rate limit or a budget.
    RateLimited = "rate_limited", 429, "Too many requests";
    /// A defect of ours; the detail is in the log under the request id.
    Internal = "internal", 500, "Internal error";
    /// The feature is not configured on this instance.
    NotConfigured = "not_configured", 501, "Not configured";
    /// A component is down or busy; try again.
    Unavailable = "unavailable", 503, "Temporarily unavailable";
    /// No space or quota left.
    StorageFull = "storage_full", 507, "Out of storage";
}

/// One field of a request that is not valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Name of the field, dotted for nested ones.
    pub field: String,
    /// Stable code, such as `required`, `too_long`, `invalid`.
    pub code: &'static str,
    /// What is wrong, for people.
    pub message: String,
}

/// The error at the use-case edge. `detail` may be shown to the caller; `source` only goes to the log.
pub struct Error {
    /// Which row of the table.
    pub code: Code,
    /// What happened, safe to show.
    pub detail: String,
    /// Field by field, for validation.
    pub fields: Vec<FieldError>,
    /// The cause, for the log.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error with a text for the caller.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), fields: Vec::new(), source: None }
    }

    /// The thing is not there, or not for this caller.
    pub fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("{what} not found"))
    }

    /// A defect or a failed component: the caller learns nothing but the request id.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..Self::new(Code::Internal, "something went wrong on our side") }
    }

    /// One bad field.
    pub fn field(field: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self::fields(vec![FieldError { field: field.into(), code, message: message.into() }])
    }

    /// Several bad fields.
    pub fn fields(fields: Vec<FieldError>) -> Self {
        let detail = fields.iter().map(|f| format!("{}: {}", f.field, f.message)).collect::<Vec<_>>().join("; ");
        Self { fields, ..Self::new(Code::ValidationFailed, detail) }
    }

    /// Adds a cause for the log.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Is it of this code?
    pub fn is(&self, code: Code) -> bool {
        self.code == code
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.detail)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut cause: Option<&(dyn std::error::Error + 'static)> = self.source.as_ref().map(|s| &**s as _);
        while let Some(e) = cause {
            write!(f, ": {e}")?;
            cause = e.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|s| &**s as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_statuses_are_errors() {
        let mut seen = std::collections::HashSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.as_str()));
            assert!((400..600).contains(&code.status()));
        }
    }
}
