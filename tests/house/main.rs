//! Holds the structure: which room may know which, and what only one room may do. ARCHITECTURE.md says why.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::MetadataCommand;
use regex::Regex;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Our packages and what each uses of ours when built (not when tested).
fn arrows() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().expect("cargo metadata");
    let ours: BTreeSet<String> = metadata.packages.iter().map(|p| p.name.to_string()).collect();
    metadata
        .packages
        .iter()
        .map(|p| {
            let uses = p
                .dependencies
                .iter()
                .filter(|d| d.kind == cargo_metadata::DependencyKind::Normal && ours.contains(&d.name))
                .map(|d| d.name.clone())
                .collect();
            (p.name.to_string(), uses)
        })
        .collect()
}

const FLOORS: &[&[&str]] = &[
    &["kernel"],
    &["store", "git", "blobs", "cache", "search", "egress", "syntax", "manifests", "dialects", "executors", "oci"],
    &["web-kit"],
    &["area-workspace", "area-code", "area-build", "area-deliver"],
    &["orchestrator"],
    &["server"],
    &["devmentor"],
];

#[test]
fn arrows_point_down() {
    let arrows = arrows();
    let floor = |name: &str| FLOORS.iter().position(|f| f.contains(&name));
    let mut wrong = Vec::new();
    for (from, uses) in &arrows {
        if ["testkit", "blackbox"].contains(&from.as_str()) {
            continue;
        }
        let Some(here) = floor(from) else {
            wrong.push(format!("{from} is on no floor"));
            continue;
        };
        for to in uses {
            match floor(to) {
                Some(there) if there < here => {}
                // the plan is what executors execute; areas may call each other in one direction
                Some(there) if there == here && ((from == "executors" && to == "dialects") || from.starts_with("area-")) => {}
                _ => wrong.push(format!("{from} -> {to}")),
            }
        }
    }
    for (from, uses) in &arrows {
        for to in uses.iter().filter(|t| t.starts_with("area-")) {
            if from.starts_with("area-") && arrows[to].contains(from) {
                wrong.push(format!("{from} and {to} need each other: make one of the arrows an event"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The sources of a room without its tests, as (path below the root, text without comments).
fn sources(below: &str) -> Vec<(String, String)> {
    let root = root();
    let comment = Regex::new(r"(?m)//.*$").unwrap();
    let mut out = Vec::new();
    for entry in walkdir::WalkDir::new(root.join(below)).into_iter().filter_map(Result::ok) {
        let path = entry.path();
        let inside = path.strip_prefix(&root).unwrap_or(path).to_string_lossy().replace('\\', "/");
        let test = inside.contains("/tests/") || inside.ends_with("/tests.rs") || inside.contains("/benches/") || inside.contains("/fuzz/");
        if path.extension().is_some_and(|e| e == "rs") && !test && !inside.contains("/target/") {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            // unit tests sit at the end of a file
            let text = text.split("#[cfg(test)]").next().unwrap_or("").to_owned();
            out.push((inside, comment.replace_all(&text, "").into_owned()));
        }
    }
    assert!(!out.is_empty(), "{below} has no sources");
    out
}

/// Files below `crates` that match, outside the rooms that may.
fn offenders(pattern: &str, allowed: &[&str]) -> Vec<String> {
    let pattern = Regex::new(pattern).unwrap();
    sources("crates")
        .into_iter()
        .filter(|(path, text)| !allowed.iter().any(|a| path.starts_with(a)) && pattern.is_match(text))
        .map(|(path, _)| path)
        .collect()
}

#[test]
fn only_store_speaks_sql() {
    let found = offenders(
        r#"\b(sqlx|rusqlite)::|"\s*(SELECT\s+[\w*]|INSERT\s+INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s|CREATE\s+(TABLE|INDEX|DATABASE)\s)"#,
        &["crates/store/", "crates/testkit/"],
    );
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn only_git_and_executors_start_programs() {
    let found = offenders(r"process::Command\b|Command::new\(", &["crates/git/", "crates/executors/", "crates/testkit/"]);
    assert!(found.is_empty(), "{found:?}");
    let git = offenders(r#"Command::new\(\s*"git""#, &["crates/git/", "crates/testkit/"]);
    assert!(git.is_empty(), "{git:?}");
}

#[test]
fn only_egress_opens_outbound_http() {
    let found =
        offenders(r"\breqwest::|client::legacy", &["crates/egress/", "crates/testkit/", "crates/areas/deliver/src/manager/proxy.rs"]);
    // the proxy in front of an environment hands requests to an application of ours on loopback: not outbound
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn only_routes_and_doors_name_axum() {
    let pattern = Regex::new(r"\baxum::").unwrap();
    let found: Vec<String> = sources("crates/areas")
        .into_iter()
        .filter(|(path, text)| {
            // the runner protocol is routes by another name
            let routes = path.ends_with("/routes.rs") || path.ends_with("/runners/protocol.rs") || path.contains("/routes/");
            // the embedded runner speaks to the router in memory
            !routes && !path.contains("/runner/") && pattern.is_match(text)
        })
        .map(|(path, _)| path)
        .collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn pure_rooms_do_no_io() {
    let pattern = Regex::new(r"std::fs::|tokio::|std::net::Tcp|std::process::|std::env::var").unwrap();
    let mut found = Vec::new();
    for room in ["crates/kernel", "crates/dialects", "crates/syntax", "crates/manifests", "crates/oci"] {
        found.extend(sources(room).into_iter().filter(|(_, text)| pattern.is_match(text)).map(|(path, _)| path));
    }
    found.extend(
        sources("crates/areas")
            .into_iter()
            .filter(|(path, text)| path.ends_with("/model.rs") && pattern.is_match(text))
            .map(|(path, _)| path),
    );
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_domain_leaves_the_tables_of_others_alone() {
    // each area uses the store files of its own nouns, and those of the workspace that all stand on
    let own: &[(&str, &[&str])] = &[
        (
            "workspace",
            &["account", "token", "group", "project", "operation", "event", "work", "idempotency", "push", "git_ref", "commit_status"],
        ),
        ("code", &["file", "metric", "dependency", "code_progress", "progress", "inventory"]),
        (
            "build",
            &[
                "run",
                "job",
                "job_log",
                "artifact",
                "report",
                "test",
                "secret",
                "runner",
                "schedule",
                "listener",
                "variable",
                "cache_entry",
                "upload",
                "signing_key",
                "provenance",
                "image_push",
                "job_environment",
                "job_question",
            ],
        ),
        ("deliver", &["registry", "environment", "release", "deployment"]),
    ];
    let shared = ["project", "account", "event", "work", "commit_status"];
    // what a release consists of, and what lies beside its image
    let agreed = [
        ("deliver", "secret"),
        ("deliver", "job"),
        ("deliver", "provenance"),
        ("deliver", "image_push"),
        ("build", "git_ref"),
        ("build", "environment"),
        ("code", "git_ref"),
    ];
    let uses = Regex::new(r"\bstore::([a-z_]+)::").unwrap();
    let mut wrong = Vec::new();
    for (area, nouns) in own {
        for (path, text) in sources(&format!("crates/areas/{area}")) {
            for found in uses.captures_iter(&text) {
                let noun = &found[1];
                let fine =
                    nouns.contains(&noun) || shared.contains(&noun) || noun == "db" || noun == "dialect" || agreed.contains(&(*area, noun));
                if !fine {
                    wrong.push(format!("{path}: store::{noun}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn modules_say_what_they_own() {
    let mut silent = Vec::new();
    for entry in walkdir::WalkDir::new(root().join("crates")).into_iter().filter_map(Result::ok) {
        let path = entry.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let inside = path.strip_prefix(root()).unwrap_or(path).to_string_lossy().into_owned();
        if name.ends_with(".rs") && inside.contains("/src/") && !inside.contains("/target/") {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            if !text.trim_start().starts_with("//!") && name != "tests.rs" {
                silent.push(inside);
            }
        }
    }
    assert!(silent.is_empty(), "without a `//!` that says what it owns:\n{}", silent.join("\n"));
}

#[test]
fn migrations_come_in_pairs() {
    let list = |kind: &str| -> BTreeSet<String> {
        std::fs::read_dir(root().join("crates/store/migrations").join(kind))
            .expect("migrations")
            .filter_map(|f| Some(f.ok()?.file_name().to_string_lossy().into_owned()))
            .collect()
    };
    assert_eq!(list("sqlite"), list("postgres"));
}

/// Two types of one name become one schema, whichever comes last, and the API's description is wrong about the other.
#[test]
fn a_schema_has_one_meaning() {
    let shape =
        Regex::new(r"derive\([^)]*\bToSchema\b[^)]*\)\]((?:\s*#\[[^\n]*\])*)\s*(?:pub(?:\([a-z]+\))? )?(?:struct|enum) (\w+)").unwrap();
    let renamed = Regex::new(r"schema\([^\n]*\bas = (\w+)").unwrap();
    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, text) in sources("crates") {
        for found in shape.captures_iter(&text) {
            let name = renamed.captures(&found[1]).map_or_else(|| found[2].to_owned(), |c| c[1].to_owned());
            seen.entry(name).or_default().push(path.clone());
        }
    }
    assert!(seen.contains_key("Project") && seen.contains_key("Run"), "the pattern no longer finds schemas");
    let twice: Vec<_> = seen.into_iter().filter(|(_, paths)| paths.len() > 1).collect();
    assert!(twice.is_empty(), "{twice:#?}");
}

#[test]
fn settings_are_documented() {
    let table = std::fs::read_to_string(root().join("crates/web-kit/src/config.rs")).expect("the settings");
    let page = std::fs::read_to_string(root().join("docs/configuration.md")).expect("their page");
    let settings = table.split_once("\nsettings! {").and_then(|(_, t)| t.split_once("\n}")).expect("the table").0;
    let row = Regex::new(r#"(?m)^    (\w+): [^=]+ = "(.*)";$"#).expect("a pattern");
    let mut seen = 0;
    for found in row.captures_iter(settings) {
        let default = if found[2].is_empty() { String::new() } else { format!("`{}`", &found[2]) };
        assert!(
            page.contains(&format!("| `{}` | {default} |", &found[1])),
            "{} is not in docs/configuration.md with its default",
            &found[1]
        );
        seen += 1;
    }
    assert!(seen > 30, "{seen}");
}
