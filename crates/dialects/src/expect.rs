//! Tests of pipelines: `pipeline.tests.yml` names events and the jobs that are expected of them. Nothing is run: files are
//! compiled for the event, which takes milliseconds. What is not as expected is a message at the line that expects it.
//! The tests of a file share a budget of work, so that a hostile one costs seconds at most.

mod desk;

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Map;

use desk::Desk;

use crate::diagnostic::{Diagnostic, Diagnostics, Severity, Span};
use crate::plan::{Job, Matrix, Plan};
use crate::ready::ancestors;
use crate::trial::{Event, MAX_CHANGED, Sources};
use crate::yaml::{self, Key, Node, Value};

/// Where the file is expected.
pub const FILE: &str = "pipeline.tests.yml";
/// Most tests of a file.
const MAX_TESTS: usize = 500;
/// Names and values are shown up to so many characters.
const MAX_SHOWN: usize = 200;

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
    let desk = Desk::new(sources);
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
                for item in items.iter().take(MAX_TESTS) {
                    if desk.exhausted() {
                        out.error(&item.span, "too_much_work", "this test and those after it are not evaluated: the ones before took all the work that the tests of a file may take");
                        break;
                    }
                    cases.extend(case(item, &desk, &mut out));
                }
            }
            _ => out.error(&root.span, "missing_key", "`tests` must be a list of tests"),
        }
    }
    Report { cases, diagnostics: out.into_sorted() }
}

fn unknown(key: &Key, known: &[&str], out: &mut Diagnostics) {
    out.error(&key.span, "unknown_key", format!("`{}` means nothing here. Known are: {}", shown(&key.name), known.join(", ")));
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

/// As much of a text as a message shows.
fn shown(text: &str) -> &str {
    text.char_indices().nth(MAX_SHOWN).map_or(text, |(end, _)| &text[..end])
}

fn text(node: &Node, what: &str, out: &mut Diagnostics) -> String {
    node.scalar_text().unwrap_or_else(|| {
        let what = shown(what);
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

fn case(node: &Node, desk: &Desk<'_>, out: &mut Diagnostics) -> Option<Case> {
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
    if event.changed.as_ref().is_some_and(|c| c.len() > MAX_CHANGED) {
        out.error(&node.span, "too_many_paths", format!("`changed` has at most {MAX_CHANGED} paths"));
        return None;
    }
    let Some(expect) = expect else {
        out.error(&node.span, "missing_key", "a test needs `expect`");
        return None;
    };
    let (at, path) = match workflow {
        Some((node, path)) => (node, path),
        None => match desk.only_file() {
            Ok(path) => (node, path),
            Err(why) => {
                out.error(&node.span, "workflow", why);
                return None;
            }
        },
    };
    let mut failures = Diagnostics::default();
    match desk.plan(&path, &event) {
        None => failures.error(&at.span, "workflow", format!("there is no file `{}`", shown(&path))),
        Some(tried) => match &tried.plan {
            None => {
                let first = tried.diagnostics.iter().find(|d| d.severity == Severity::Error).map(ToString::to_string);
                failures.error(&at.span, "workflow", format!("`{}` has errors: {}", shown(&path), first.unwrap_or_default()));
            }
            Some(plan) => {
                let mut judge = Judge { plan, quiet: tried.quiet.as_deref(), desk, there: there(plan), failures: &mut failures, out };
                judge.all(expect);
            }
        },
    }
    if desk.exhausted() {
        failures.error(
            &node.span,
            "too_much_work",
            "it is not known whether this holds: the tests took all the work that those of a file may take",
        );
    }
    let failures = failures.into_sorted();
    let name = name.unwrap_or_else(|| format!("{} on {}", event.event, event.reference));
    Some(Case { name: shown(&name).to_owned(), workflow: path, passed: failures.is_empty(), failures })
}

/// What an expectation may name: the jobs, and the stages if any job is in.
fn there(plan: &Plan) -> BTreeSet<&str> {
    let stages = plan.stages.iter().filter(|_| !plan.jobs.is_empty());
    plan.jobs.iter().map(|j| j.key.as_str()).chain(stages.map(String::as_str)).collect()
}

/// Compares a plan with what is expected of it.
struct Judge<'j> {
    plan: &'j Plan,
    quiet: Option<&'j str>,
    desk: &'j Desk<'j>,
    there: BTreeSet<&'j str>,
    failures: &'j mut Diagnostics,
    out: &'j mut Diagnostics,
}

impl Judge<'_> {
    fn fail(&mut self, at: &Span, code: &str, why: String) {
        self.desk.spend(256 + why.len());
        self.failures.error(at, code, why);
    }

    fn because(&self, job: &str) -> String {
        self.desk.spend(self.plan.decisions.len());
        match self.plan.decisions.iter().find(|d| d.job == job) {
            Some(decision) => format!("{} ({})", decision.because, decision.span),
            None => self.quiet.map_or_else(|| "the file has no such job".to_owned(), str::to_owned),
        }
    }

    fn absent(&mut self, at: &Span, name: &str) {
        let why = format!("`{}` is not there: {}", shown(name), self.because(name));
        self.fail(at, "absent", why);
    }

    fn present(&mut self, at: &Span, name: &str) {
        let why = format!("`{}` is there: {}", shown(name), self.because(name));
        self.fail(at, "present", why);
    }

    fn all(&mut self, node: &Node) {
        for (key, value) in entries(node, "`expect`", self.out) {
            let at = &value.span;
            match key.name.as_str() {
                "starts" => self.starts(value),
                "jobs" => {
                    let wanted = texts(value, "jobs", self.out);
                    self.jobs(at, &wanted);
                }
                what @ ("present" | "absent") => {
                    let items: &[Node] = if let Value::Seq(items) = &value.value { items } else { std::slice::from_ref(value) };
                    for item in items {
                        if self.desk.exhausted() {
                            return;
                        }
                        let name = text(item, what, self.out);
                        self.desk.spend(name.len() + 16);
                        match (what, self.there.contains(name.as_str())) {
                            ("present", false) => self.absent(&item.span, &name),
                            ("absent", true) => self.present(&item.span, &name),
                            _ => {}
                        }
                    }
                }
                "order" => {
                    let wanted = texts(value, "order", self.out);
                    self.order(at, &wanted);
                }
                "matrix" => self.matrix(value),
                "env" => {
                    for (name, vars) in entries(value, "env", self.out) {
                        self.environment(name, vars);
                    }
                }
                _ => unknown(key, &["starts", "jobs", "present", "absent", "order", "matrix", "env"], self.out),
            }
        }
    }

    fn starts(&mut self, value: &Node) {
        let Value::Bool(wanted) = value.value else {
            self.out.error(&value.span, "wrong_type", format!("`starts` is true or false, this is {}", value.kind()));
            return;
        };
        if wanted != self.quiet.is_none() {
            let why = self.quiet.map_or_else(|| "it starts".to_owned(), |q| format!("it does not start: {q}"));
            self.fail(&value.span, "starts", why);
        }
    }

    fn jobs(&mut self, at: &Span, wanted: &[String]) {
        self.desk.spend(wanted.iter().map(|w| w.len() + 16).sum());
        for name in wanted {
            if !self.there.contains(name.as_str()) && !self.desk.exhausted() {
                self.absent(at, name);
            }
        }
        let wanted: BTreeSet<&str> = wanted.iter().map(String::as_str).collect();
        for job in &self.plan.jobs {
            if !wanted.contains(job.key.as_str()) && !self.desk.exhausted() {
                self.present(at, &job.key);
            }
        }
    }

    fn order(&mut self, at: &Span, wanted: &[String]) {
        self.desk.spend(wanted.iter().map(|w| w.len() + 16).sum());
        for pair in wanted.windows(2) {
            let [first, second] = pair else { continue };
            if self.desk.exhausted() {
                return;
            }
            self.desk.spend(self.plan.jobs.len());
            let behind = self.plan.job(second).is_some_and(|job| {
                let above = ancestors(self.plan, job);
                // each of them is looked for among all jobs
                self.desk.spend(above.len() * (16 + self.plan.jobs.len() / 8));
                above.contains(first.as_str())
            });
            if !behind {
                self.fail(at, "order", format!("`{}` does not wait for `{}`", shown(second), shown(first)));
            }
        }
    }

    fn matrix(&mut self, value: &Node) {
        for (name, count) in entries(value, "matrix", self.out) {
            if self.desk.exhausted() {
                return;
            }
            self.desk.spend(16 + self.plan.jobs.len() * 4);
            let named = shown(&name.name);
            let wanted = count.scalar_text().and_then(|t| t.parse::<usize>().ok());
            match (wanted, cells(self.plan, &name.name)) {
                (None, _) => self.out.error(&count.span, "wrong_type", "the size of a matrix is a whole number"),
                (Some(wanted), Some(found)) if wanted == found => {}
                (Some(wanted), Some(found)) => self.fail(&count.span, "matrix", format!("`{named}` makes {found} jobs, not {wanted}")),
                (Some(_), None) => {
                    let why = format!("the size of `{named}` is not known before the run, or there is no such job");
                    self.fail(&count.span, "matrix", why);
                }
            }
        }
    }

    fn environment(&mut self, name: &Key, vars: &Node) {
        self.desk.spend(self.plan.jobs.len());
        let Some(job) = self.plan.job(&name.name) else {
            self.fail(&name.span, "absent", format!("`{}` is not there", shown(&name.name)));
            return;
        };
        for (key, value) in entries(vars, "the environment of a job", self.out) {
            if self.desk.exhausted() {
                return;
            }
            let wanted = text(value, &key.name, self.out);
            self.desk.spend(wanted.len() + 16);
            let named = shown(&key.name);
            match env_of(self.plan, job, &key.name) {
                Some(found) if found == wanted => {}
                Some(found) => {
                    let why = format!("`{named}` is `{}`, not `{}`", shown(found), shown(&wanted));
                    self.fail(&value.span, "env", why);
                }
                None => self.fail(&value.span, "env", format!("`{named}` is not set")),
            }
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
    fn the_work_of_a_file_is_bounded() {
        // each pipeline of GitLab is made for its event, so each test compiles the file again
        let big = format!("{}a: {{script: x}}\n", format!("# {}\n", "x".repeat(1000)).repeat(900));
        let big: &'static str = Box::leak(big.into_boxed_str());
        let files: &'static [(&str, &str)] = Box::leak(Box::new([(".gitlab-ci.yml", big)]));
        let tests = format!("tests:\n{}", "  - {expect: {present: a}}\n".repeat(100));
        let report = evaluated(&tests, files);
        assert!(!report.passed());
        let passed = report.cases.iter().filter(|c| c.passed).count();
        assert!((20..60).contains(&passed), "{passed}");
        let last = report.cases.last().unwrap();
        assert_eq!(last.failures[0].code, "too_much_work");
        assert_eq!(report.diagnostics.len(), 1);
        assert_eq!((report.diagnostics[0].code.as_str(), report.diagnostics[0].span.line), ("too_much_work", passed as u32 + 3));
        // a list that is repeated by an alias, and names that are long
        let list = vec!["deploy"; 190].join(", ");
        let repeated = "  - {ref: main, expect: {order: *l}}\n".repeat(450);
        let tests = format!("tests:\n  - {{ref: main, expect: {{order: &l [{list}]}}}}\n{repeated}");
        let report = evaluated(&tests, &[(".github/workflows/ci.yml", WORKFLOW)]);
        assert!(report.cases.len() > 10 && !report.passed());
        let tests = format!("tests:\n  - {{expect: {{absent: &l {}}}}}\n  - {{expect: {{present: *l}}}}\n", "n".repeat(100_000));
        let report = evaluated(&tests, &[(".github/workflows/ci.yml", WORKFLOW)]);
        assert!(report.cases[1].failures[0].message.len() < 400);
        let many = vec!["a"; 3001].join(", ");
        let report = evaluated(&format!("tests: [{{changed: [{many}], expect: {{}}}}]\n"), &[(".github/workflows/ci.yml", WORKFLOW)]);
        assert_eq!(report.diagnostics[0].code, "too_many_paths");
        let report = evaluated("tests: [{expect: {starts: maybe}}]\n", &[(".github/workflows/ci.yml", WORKFLOW)]);
        assert_eq!(report.diagnostics[0].code, "wrong_type");
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
