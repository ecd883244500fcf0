//! The words every room shares: typed ids, parsed names, the error table, events, who is asking.
//!
//! Invariant: no IO, no async runtime, no SQL, no HTTP. Everything here is data and pure functions,
//! so that any room may depend on it and rebuild quickly.
//!
//! Read next: `error` (the code table), `authz` (the one authorisation function), `event`.

pub mod authz;
pub mod clock;
pub mod context;
pub mod error;
pub mod event;
pub mod id;
pub mod name;

pub use authz::{Access, Permission, PermissionSet, Role, Visibility};
pub use clock::Timestamp;
pub use context::{Actor, Attempt, Context, Grant};
pub use error::{Code, Error, FieldError, Result};
pub use event::{Event, EventData};
pub use id::*;
pub use name::{NamespacePath, ProjectPath, RefName, RepoPath, Slug};
