//! Tests of pipelines: `pipeline.tests.yml` names events and the jobs that are expected of them. Nothing is run: files are
//! compiled for the event, which takes milliseconds. What is not as expected is a message at the line that expects it.

use serde::Serialize;
use serde_json::Map;

use crate::convert::Target;
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::plan::{Job, Matrix, Plan};
use crate::ready::ancestors;
use crate::trial::{self, Event, Sources};
use crate::yaml::{self, Key, Node, Value};
use crate::{github, gitlab, jenkins};

/// Where the file is expected.
pub const FILE: &str = "pipeline.tests.yml";
/// Most tests of a file.
const MAX_TESTS: usize = 500;

/// One test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// The pipeline file that it is about.
    pub workflow: String,
    /// Is everything as expected?
    pub passed: bool,
    /// What is not.
    pub failures: Vec<Diagnostic>,
}

/// What came of a file.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Its tests, in the order of the file.
    pub cases: Vec<Case>,
    /// What is wrong with the file itself.
    pub diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// Is all well?
    pub fn passed(&self) -> bool {
        self.cases.iter().all(|c| c.passed) && self.diagnostics.iter().all(|d| d.severity != Severity::Error)
    }
}

/// Evaluates the tests of a file.
pub fn evaluate(path: &str, bytes: &[u8], sources: &dyn Sources) -> Report {
    let mut out = Diagnostics::default();
    let mut cases = Vec::new();
    if let Some(root) = yaml::parse(path, bytes, &mut out) {
        let mut tests = None;
        for (key, value) in entries(&root, "the file", &mut out) {
            match key.name.as_str() {
                "tests" => tests = Some(value),
                _ => unknown(key, &["tests"], &mut out),
            }
        }
        match tests.map(|t| &t.value) {
            Some(Value::Seq(items)) => {
                if items.len() > MAX_TESTS {
                    out.error(&root.span, "too_many_tests", format!("at most {MAX_TESTS} tests are evaluated"));
                }
                cases.extend(items.iter().take(MAX_TESTS).filter_map(|item| case(item, sources, &mut out)));
            }
            _ => out.error(&root.span, "missing_key", "`tests` must be a list of tests"),
        }
    }
    Report { cases, diagnostics: out.into_sorted() }
}

fn unknown(key: &Key, known: &[&str], out: &mut Diagnostics) {
    out.error(&key.span, "unknown_key", format!("`{}` means nothing here. Known are: {}", key.name, known.join(", ")));
}

fn entries<'n>(node: &'n Node, what: &str, out: &mut Diagnostics) -> &'n [(Key, Node)] {
    match &node.value {
        Value::Map(entries) => entries,
        _ => {
            out.error(&node.span, "wrong_type", format!("{what} must be a mapping, this is {}", node.kind()));
            &[]
        }
    }
}

fn text(node: &Node, what: &str, out: &mut Diagnostics) -> String {
    node.scalar_text().unwrap_or_else(|| {
        out.error(&node.span, "wrong_type", format!("`{what}` must be a text, this is {}", node.kind()));
        String::new()
    })
}

fn texts(node: &Node, what: &str, out: &mut Diagnostics) -> Vec<String> {
    match &node.value {
        Value::Seq(items) => items.iter().map(|n| text(n, what, out)).collect(),
        Value::Null => Vec::new(),
        _ => vec![text(node, what, out)],
    }
}

const KEYS: &[&str] = &["name", "workflow", "event", "ref", "changed", "action", "base", "default_branch", "inputs", "variables", "expect"];

fn case(node: &Node, sources: &dyn Sources, out: &mut Diagnostics) -> Option<Case> {
    let mut event = Event::default();
    let (mut name, mut workflow, mut expect) = (None, None, None);
    for (key, value) in entries(node, "a test", out) {
        let what = key.name.as_str();
        let map = |out: &mut Diagnostics| -> Map<String, serde_json::Value> {
            entries(value, what, out).iter().map(|(k, v)| (k.name.clone(), v.to_json())).collect()
        };
        match what {
            "name" => name = Some(text(value, what, out)),
            "workflow" => workflow = Some((value, text(value, what, out))),
            "event" => event.event = text(value, what, out),
            "ref" => event.reference = text(value, what, out),
            "changed" => event.changed = Some(texts(value, what, out)),
            "action" => event.action = Some(text(value, what, out)),
            "base" => event.base = text(value, what, out),
            "default_branch" => event.default_branch = text(value, what, out),
            "inputs" => event.inputs = map(out),
            "variables" => event.variables = map(out),
            "expect" => expect = Some(value),
            _ => unknown(key, KEYS, out),
        }
    }
    let Some(expect) = expect else {
        out.error(&node.span, "missing_key", "a test needs `expect`");
        return None;
    };
    let (at, path) = match workflow {
        Some((node, path)) => (node, path),
        None => match only_file(sources) {
            Ok(path) => (node, path),
            Err(why) => {
                out.error(&node.span, "workflow", why);
                return None;
            }
        },
    };
    let mut failures = Diagnostics::default();
    match sources.file(&path) {
        None => failures.error(&at.span, "workflow", format!("there is no file `{path}`")),
        Some(bytes) => {
            let tried = trial::plan(&path, &bytes, Target::of(&path), &event, sources);
            match &tried.plan {
                None => {
                    let first = tried.diagnostics.iter().find(|d| d.severity == Severity::Error).map(ToString::to_string);
                    failures.error(&at.span, "workflow", format!("`{path}` has errors: {}", first.unwrap_or_default()));
                }
                Some(plan) => expected(expect, plan, tried.quiet.as_deref(), &mut failures, out),
            }
        }
    }
    let failures = failures.into_sorted();
    let name = name.unwrap_or_else(|| format!("{} on {}", event.event, event.reference));
    Some(Case { name, workflow: path, passed: failures.is_empty(), failures })
}

/// The pipeline file that there is, if there is one only.
fn only_file(sources: &dyn Sources) -> Result<String, String> {
    let mut found: Vec<String> = sources.paths().unwrap_or_default().into_iter().filter(|p| github::is_workflow(p)).collect();
    for path in [gitlab::FILE, jenkins::FILE] {
        if sources.file(path).is_some() && !found.iter().any(|f| f == path) {
            found.push(path.to_owned());
        }
    }
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err("there is no pipeline file; name it with `workflow`".into()),
        many => Err(format!("there are several pipeline files ({}); name one with `workflow`", many.join(", "))),
    }
}

fn because(plan: &Plan, job: &str, quiet: Option<&str>) -> String {
    match plan.decisions.iter().find(|d| d.job == job) {
        Some(decision) => format!("{} ({})", decision.because, decision.span),
        None => quiet.map_or_else(|| "the file has no such job".to_owned(), str::to_owned),
    }
}

fn expected(node: &Node, plan: &Plan, quiet: Option<&str>, failures: &mut Diagnostics, out: &mut Diagnostics) {
    let there = |name: &str| plan.jobs.iter().any(|j| j.key == name) || plan.stages.iter().any(|s| s == name) && !plan.jobs.is_empty();
    for (key, value) in entries(node, "`expect`", out) {
        let what = key.name.as_str();
        match what {
            "starts" => {
                let wanted = matches!(value.value, Value::Bool(true));
                if wanted != quiet.is_none() {
                    let why = quiet.map_or_else(|| "it starts".to_owned(), |q| format!("it does not start: {q}"));
                    failures.error(&value.span, "starts", why);
                }
            }
            "jobs" => {
                let wanted = texts(value, what, out);
                for name in wanted.iter().filter(|n| !there(n)) {
                    failures.error(&value.span, "absent", format!("`{name}` is not there: {}", because(plan, name, quiet)));
                }
                for job in plan.jobs.iter().filter(|j| !wanted.contains(&j.key)) {
                    failures.error(&value.span, "present", format!("`{}` is there: {}", job.key, because(plan, &job.key, quiet)));
                }
            }
            "present" | "absent" => {
                let items: Vec<&Node> = if let Value::Seq(items) = &value.value { items.iter().collect() } else { vec![value] };
                for item in items {
                    let name = text(item, what, out);
                    if there(&name) != (what == "present") {
                        let is = if what == "present" { "is not there" } else { "is there" };
                        let code = if what == "present" { "absent" } else { "present" };
                        failures.error(&item.span, code, format!("`{name}` {is}: {}", because(plan, &name, quiet)));
                    }
                }
            }
            "order" => {
                for pair in texts(value, what, out).windows(2) {
                    let [first, second] = pair else { continue };
                    let behind = plan.job(second).is_some_and(|job| ancestors(plan, job).contains(first.as_str()));
                    if !behind {
                        failures.error(&value.span, "order", format!("`{second}` does not wait for `{first}`"));
                    }
                }
            }
            "matrix" => {
                for (name, count) in entries(value, what, out) {
                    let wanted = count.scalar_text().and_then(|t| t.parse::<usize>().ok());
                    let found = cells(plan, &name.name);
                    match (wanted, found) {
                        (None, _) => out.error(&count.span, "wrong_type", "the size of a matrix is a whole number"),
                        (Some(wanted), Some(found)) if wanted == found => {}
                        (Some(wanted), Some(found)) => {
                            failures.error(&count.span, "matrix", format!("`{}` makes {found} jobs, not {wanted}", name.name));
                        }
                        (Some(_), None) => {
                            let why = format!("the size of `{}` is not known before the run, or there is no such job", name.name);
                            failures.error(&count.span, "matrix", why);
                        }
                    }
                }
            }
            "env" => {
                for (name, vars) in entries(value, what, out) {
                    environment(plan, name, vars, failures, out);
                }
            }
            _ => unknown(key, &["starts", "jobs", "present", "absent", "order", "matrix", "env"], out),
        }
    }
}

/// How many jobs there are of a name.
fn cells(plan: &Plan, name: &str) -> Option<usize> {
    if let Some(job) = plan.job(name) {
        return match job.strategy.as_ref().and_then(|s| s.matrix.as_ref()) {
            None => Some(1),
            Some(Matrix::Static(cells)) => Some(cells.len()),
            Some(Matrix::Dynamic(_)) => None,
        };
    }
    // the jobs of a matrix of GitLab have names of their own
    let (listed, numbered) = (format!("{name}: ["), format!("{name} "));
    let one_of =
        |key: &str| key.starts_with(&listed) || key.strip_prefix(&numbered).is_some_and(|r| r.split('/').all(|n| n.parse::<u32>().is_ok()));
    Some(plan.jobs.iter().filter(|j| one_of(&j.key)).count()).filter(|n| *n > 0)
}

fn environment(plan: &Plan, name: &Key, vars: &Node, failures: &mut Diagnostics, out: &mut Diagnostics) {
    let Some(job) = plan.job(&name.name) else {
        failures.error(&name.span, "absent", format!("`{}` is not there", name.name));
        return;
    };
    for (key, value) in entries(vars, "the environment of a job", out) {
        let wanted = text(value, &key.name, out);
        match env_of(plan, job, &key.name) {
            Some(found) if found == wanted => {}
            Some(found) => failures.error(&value.span, "env", format!("`{}` is `{found}`, not `{wanted}`", key.name)),
            None => failures.error(&value.span, "env", format!("`{}` is not set", key.name)),
        }
    }
}

fn env_of<'p>(plan: &'p Plan, job: &'p Job, name: &str) -> Option<&'p str> {
    let workflow = job.scope.as_ref().map_or(&plan.env, |s| &s.env);
    job.env.get(name).or_else(|| workflow.get(name)).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Files(&'static [(&'static str, &'static str)]);

    impl Sources for Files {
        fn file(&self, path: &str) -> Option<Vec<u8>> {
            self.0.iter().find(|(p, _)| *p == path).map(|(_, t)| t.as_bytes().to_vec())
        }
        fn paths(&self) -> Option<Vec<String>> {
            Some(self.0.iter().map(|(p, _)| (*p).to_owned()).collect())
        }
    }

    const WORKFLOW: &str = "on: {push: {branches: [main]}, pull_request: {}}
env: {LEVEL: high}
jobs:
  build: {runs-on: x, strategy: {matrix: {a: [1, 2], b: [3, 4]}}, steps: [{run: a}]}
  deploy: {runs-on: x, needs: build, if: github.event_name == 'push', env: {TARGET: live}, steps: [{run: a}]}
";

    fn evaluated(tests: &str, files: &'static [(&'static str, &'static str)]) -> Report {
        evaluate(FILE, tests.as_bytes(), &Files(files))
    }

    #[test]
    fn good_tests_pass() {
        let tests = "tests:
  - name: main
    ref: main
    expect:
      starts: true
      jobs: [build, deploy]
      order: [build, deploy]
      matrix: {build: 4, deploy: 1}
      env: {deploy: {TARGET: live, LEVEL: high}}
  - {event: pull_request, ref: topic, expect: {present: [build], absent: [deploy]}}
  - {ref: topic, expect: {starts: false, jobs: []}}
";
        let report = evaluated(tests, &[(".github/workflows/ci.yml", WORKFLOW)]);
        assert!(report.passed(), "{report:?}");
        assert_eq!(report.cases.len(), 3);
        assert_eq!(report.cases[1].name, "pull_request on topic");
    }

    #[test]
    fn what_is_not_as_expected_is_told_where_it_is_expected() {
        let tests = "tests:
  - ref: main
    expect:
      starts: false
      jobs: [build]
      present:
        - nothing
      absent: [deploy]
      order: [deploy, build]
      matrix: {build: 5}
      env: {deploy: {TARGET: test, NONE: x}}
";
        let report = evaluated(tests, &[(".github/workflows/ci.yml", WORKFLOW)]);
        let told: Vec<String> = report.cases[0].failures.iter().map(|d| format!("{}:{} {}", d.span.line, d.code, d.message)).collect();
        let lines: Vec<&str> = told.iter().map(|t| t.split(' ').next().unwrap()).collect();
        assert_eq!(lines, ["4:starts", "5:present", "7:absent", "8:present", "9:order", "10:matrix", "11:env", "11:env"], "{told:?}");
        assert!(told[6].contains("`TARGET` is `live`, not `test`"));
    }

    #[test]
    fn other_dialects_and_broken_files() {
        let pipeline =
            "a: {script: x, parallel: {matrix: [{N: [1, 2, 3]}]}}\nb: {stage: deploy, script: y, rules: [{if: $CI_COMMIT_TAG}]}\n";
        let files: &'static [(&str, &str)] = Box::leak(Box::new([(".gitlab-ci.yml", pipeline)]));
        let tests = "tests:\n  - {expect: {matrix: {a: 3}, absent: [b]}}\n  - {ref: refs/tags/v1, expect: {present: b}}\n";
        let report = evaluated(tests, files);
        assert!(report.passed(), "{report:?}");
        for (tests, code) in [
            ("tests: 3\n", "missing_key"),
            ("test: []\n", "unknown_key"),
            ("tests: [{ref: x}]\n", "missing_key"),
            ("tests: [{expect: {job: x}}]\n", "unknown_key"),
            ("{{", "yaml_syntax"),
        ] {
            let report = evaluated(tests, files);
            assert!(!report.passed() && report.diagnostics.iter().any(|d| d.code == code), "{tests}: {report:?}");
        }
        let report = evaluated("tests: [{workflow: none.yml, expect: {}}]\n", files);
        assert_eq!(report.cases[0].failures[0].code, "workflow");
    }
}
