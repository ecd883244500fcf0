//! The smart protocol without HTTP: what to answer to `info/refs`, `git-upload-pack` and `git-receive-pack`. The doors
//! (HTTP now, SSH later) authenticate, authorise and carry the bytes.
//!
//! In process: advertisements, `ls-refs`, refusals, and repeated clones from a cache. By the git program: other fetches
//! and all pushes.

mod advertise;
mod body;
mod clones;
mod commands;
mod receive;
mod report;
mod upload;

use bytes::Bytes;

pub use advertise::{Capabilities, refuse_advertisement};
pub use body::{Body, Incoming};
pub use clones::CloneCache;
pub use commands::Command;
pub use receive::{Outcome, PushHook, PushRules};
pub use upload::{MAX_REQUEST, refuse_upload};

/// The two services.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Service {
    /// Clone and fetch.
    UploadPack,
    /// Push.
    ReceivePack,
}

impl Service {
    /// The name in URLs and content types.
    pub fn as_str(self) -> &'static str {
        match self {
            Service::UploadPack => "git-upload-pack",
            Service::ReceivePack => "git-receive-pack",
        }
    }

    /// From the name.
    pub fn parse(text: &str) -> Option<Self> {
        [Service::UploadPack, Service::ReceivePack].into_iter().find(|s| s.as_str() == text)
    }

    /// Content type of the answer to `info/refs`.
    pub fn advertisement_type(self) -> &'static str {
        match self {
            Service::UploadPack => "application/x-git-upload-pack-advertisement",
            Service::ReceivePack => "application/x-git-receive-pack-advertisement",
        }
    }

    /// Content type of a request.
    pub fn request_type(self) -> &'static str {
        match self {
            Service::UploadPack => "application/x-git-upload-pack-request",
            Service::ReceivePack => "application/x-git-receive-pack-request",
        }
    }

    /// Content type of the answer to a request.
    pub fn result_type(self) -> &'static str {
        match self {
            Service::UploadPack => "application/x-git-upload-pack-result",
            Service::ReceivePack => "application/x-git-receive-pack-result",
        }
    }
}

/// Protocol versions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Version {
    /// The first.
    #[default]
    V0,
    /// The first with a line that says so.
    V1,
    /// Commands.
    V2,
}

impl Version {
    /// From the `Git-Protocol` header: the highest of its `version=` entries. Whatever else it says is ignored.
    pub fn from_header(text: &str) -> Self {
        let mut best = Self::V0;
        for entry in text.split(':') {
            best = match (entry.trim(), best) {
                ("version=2", _) => Self::V2,
                ("version=1", Self::V0) => Self::V1,
                _ => best,
            };
        }
        best
    }
}

/// What a door sends back.
pub type Response = crate::Result<Body>;

/// An answer that is complete.
fn full(bytes: impl Into<Bytes>) -> Body {
    Body::Full(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (text, want) in [
            ("", Version::V0),
            ("version=1", Version::V1),
            ("version=2:x", Version::V2),
            ("version=2:version=1", Version::V2),
            ("version=9", Version::V0),
            ("rm -rf", Version::V0),
        ] {
            assert_eq!(Version::from_header(text), want, "{text}");
        }
    }
}
