//! The OCI registry's protocol and data model: what a request path, a reference, a manifest, a range or a scope means.
//!
//! Owns: the grammar of the distribution specification 1.1 and of Docker's token protocol, and the rules a manifest
//! must keep to be stored. Pure: bytes and text in, values or an [`Error`] in the specification's own form out.
//!
//! Must not know: HTTP, storage, projects, who is asking. The door that serves `/v2/` brings those together.

mod auth;
mod digest;
mod error;
mod image;
mod manifest;
mod name;
mod page;
mod range;
mod route;

pub use auth::Action;
pub use auth::Challenge;
pub use auth::Scope;
pub use digest::Digest;
pub use error::Error;
pub use error::ErrorCode;
pub use error::Result;
pub use image::ImageConfig;
pub use image::Platform;
pub use manifest::Descriptor;
pub use manifest::Kind;
pub use manifest::MAX_MANIFEST;
pub use manifest::Manifest;
pub use manifest::OCI_INDEX;
pub use manifest::ReferrerIndex;
pub use name::Reference;
pub use name::Repository;
pub use name::Tag;
pub use page::Page;
pub use range::ByteRange;
pub use range::ContentRange;
pub use route::Route;
