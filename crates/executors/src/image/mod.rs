//! Builds images without a Docker engine, for roots that need nothing run: `FROM scratch` and files.
//!
//! The result depends on the Dockerfile and the files only: entries are sorted, times are zero, compression is fixed.
//! What needs a program run inside the image (`RUN`, a base image) is a located error that says so.
//!
//! Read next: `dockerfile` (text to instructions), `build` (instructions to layers), `ignore` (`.dockerignore`).

mod build;
mod dockerfile;
mod ignore;
mod layer;

pub use build::{BuildRequest, BuiltImage, build};
pub use dockerfile::{Dockerfile, Instruction, Problem, Stage, parse};
pub use ignore::Ignore;
pub use layer::{Layer, Node, digest};

/// Media type of an image manifest.
pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an image configuration.
pub const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
/// Media type of a layer.
pub const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

#[cfg(test)]
mod tests;
