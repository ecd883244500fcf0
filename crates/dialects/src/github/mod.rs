//! GitHub Actions workflow files.
//!
//! Every key of the file is read or reported; nothing is ignored in silence. Errors keep the workflow from running,
//! warnings say what is different here.

mod actions;
mod call;
mod cron;
mod custom;
mod events;
mod job;
mod library;
mod read;
#[cfg(test)]
mod real_tests;
mod shape;
mod step;
mod table;
#[cfg(test)]
mod tests;
mod triggers;

use std::cell::Cell;
use std::collections::BTreeSet;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::expr::scope;
use crate::plan::{Dialect, Plan};
use crate::yaml;

pub use library::{Foreign, Found, Library, Pin, Want};

use read::Reader;

/// Directory of workflow files.
pub const DIRECTORY: &str = ".github/workflows";

/// Most uses of other files by one workflow, also through them.
const MAX_FILES: usize = 500;

/// Is this path a workflow file?
pub fn is_workflow(path: &str) -> bool {
    path.strip_prefix(".github/workflows/")
        .is_some_and(|name| !name.contains('/') && [".yml", ".yaml"].iter().any(|e| name.len() > e.len() && name.ends_with(e)))
}

/// What became of a file.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The plan; none when the file has errors.
    pub plan: Option<Plan>,
    /// The name it gives itself, or its path.
    pub name: String,
    /// Messages in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
    /// Files that decide about the plan and are not in the library: look them up and compile again.
    pub wants: Vec<Want>,
}

/// Compiles a workflow file by itself: actions and workflows elsewhere stay unknown, which is said.
pub fn compile(path: &str, bytes: &[u8]) -> Compiled {
    compile_with(path, bytes, &Library::offline())
}

/// Compiles a workflow file with the files that it names.
pub fn compile_with(path: &str, bytes: &[u8], library: &Library) -> Compiled {
    let mut out = Diagnostics::default();
    let mut wants = BTreeSet::new();
    let plan = yaml::parse(path, bytes, &mut out).and_then(|root| {
        let budget = Cell::new(MAX_FILES);
        let mut r =
            Reader { out: &mut out, library, wants: &mut wants, home: None, depth: 0, budget: &budget, composite: false, granted: None };
        workflow(&mut r, path, &root)
    });
    let name = plan.as_ref().map_or_else(|| path.to_owned(), |p| p.name.clone());
    let plan = plan.filter(|_| !out.has_errors());
    Compiled { plan, name, diagnostics: out.into_sorted(), wants: wants.into_iter().collect() }
}

fn workflow(r: &mut Reader<'_>, path: &str, root: &yaml::Node) -> Option<Plan> {
    let errors = r.out.errors();
    shape::check(root, r.out);
    if r.out.errors() > errors {
        return None;
    }
    let mut plan = Plan::new(Dialect::GithubActions, path, path);
    let known = ["name", "run-name", "on", "env", "defaults", "permissions", "concurrency", "jobs"];
    let (mut on, mut jobs) = (None, None);
    for (key, node) in r.mapping(root, "a workflow")? {
        match key.name.as_str() {
            "name" => plan.name = r.plain_text(node, "name").filter(|n| !n.is_empty()).unwrap_or_else(|| path.to_owned()),
            "run-name" => plan.run_name = r.text(node, "run-name", scope::RUN_NAME),
            "on" => on = Some(node),
            "env" => plan.env = r.env(node, "env", scope::WORKFLOW_ENV),
            "defaults" => plan.defaults = r.defaults(node, None),
            "permissions" => plan.permissions = r.permissions(node),
            "concurrency" => plan.concurrency = r.concurrency(node, scope::CONCURRENCY),
            "jobs" => jobs = Some(node),
            _ => r.unknown_key(key, "a workflow", &known),
        }
    }
    if plan.permissions.is_some() {
        r.granted.clone_from(&plan.permissions);
    }
    match on {
        Some(node) => triggers::read(r, node, &mut plan),
        None => r.out.error(&root.span, "missing_key", "Required property is missing: on"),
    }
    match jobs {
        Some(node) => plan.jobs = job::read_all(r, node),
        None => r.out.error(&root.span, "missing_key", "Required property is missing: jobs"),
    }
    Some(plan)
}
