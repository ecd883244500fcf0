//! Tells cargo when the built web client, which `pages.rs` embeds, has come or changed.

use std::path::Path;

fn main() {
    let watched = if !Path::new("../../web/dist/index.html").exists() {
        // It may come at any time; without it the embedding knows no files, not even at run time.
        "../../web"
    } else if std::env::var_os("PROFILE").is_some_and(|profile| profile == "release") {
        "../../web/dist"
    } else {
        // A debug binary reads the files when it is asked for them.
        "build.rs"
    };
    println!("cargo::rerun-if-changed={watched}");
}
