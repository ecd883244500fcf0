use std::collections::BTreeMap;
use std::time::Instant;

use super::*;
use crate::plan::{Gate, Late, StepKind};

#[derive(Default)]
pub(super) struct Repo {
    pub(super) files: BTreeMap<&'static str, &'static str>,
    pub(super) others: BTreeMap<(&'static str, &'static str), &'static str>,
    pub(super) changed: Option<Vec<&'static str>>,
}

impl World for Repo {
    fn file(&self, origin: &Origin, path: &str) -> Result<Vec<u8>, String> {
        let found = match origin {
            Origin::Here => self.files.get(path),
            Origin::Project { path: project, .. } | Origin::Component { path: project, .. } => self.others.get(&(project.as_str(), path)),
            Origin::Artifact { job } => self.others.get(&(job.as_str(), path)),
            Origin::Remote => self.others.get(&("", path)),
        };
        found.map(|t| t.as_bytes().to_vec()).ok_or_else(|| "there is no such file".into())
    }
    fn paths(&self, _: &Origin) -> Option<Vec<String>> {
        Some(self.files.keys().map(ToString::to_string).collect())
    }
    fn changed(&self, compare_to: Option<&str>) -> Result<Option<Vec<String>>, String> {
        match compare_to {
            Some("refs/heads/main" | "main") => Ok(Some(vec!["against-main".into()])),
            Some(_) => Err("there is no such ref".into()),
            None => Ok(self.changed.as_ref().map(|c| c.iter().map(ToString::to_string).collect())),
        }
    }
}

pub(super) fn facts() -> Facts {
    Facts { before: Some("1".repeat(40)), sha: "abcdef0123456789abcdef0123456789abcdef01".into(), user: "ann".into(), ..Facts::sample() }
}

pub(super) fn build(text: &str, facts: &Facts, repo: &Repo) -> Compiled {
    compile(FILE, text.as_bytes(), facts, repo)
}

pub(super) fn said(c: &Compiled) -> String {
    c.diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

pub(super) fn plan(text: &str) -> Plan {
    let c = build(text, &facts(), &Repo::default());
    let said = said(&c);
    c.plan.unwrap_or_else(|| panic!("{said}"))
}

pub(super) fn keys(p: &Plan) -> Vec<&str> {
    p.jobs.iter().map(|j| j.key.as_str()).collect()
}

/// The script of a job's main step.
fn script(p: &Plan, job: &str) -> String {
    let step = p.job(job).unwrap().steps.iter().find(|s| s.id.as_deref() == Some("script")).unwrap();
    match &step.kind {
        StepKind::Run { script, .. } => script.clone(),
        _ => panic!(),
    }
}

pub(super) fn steps(p: &Plan, job: &str) -> Vec<String> {
    p.job(job).unwrap().steps.iter().map(crate::plan::Step::title).collect()
}

pub(super) fn with(p: &Plan, job: &str, step: &str) -> crate::plan::Map {
    let found = p.job(job).unwrap().steps.iter().find(|s| s.title() == step).unwrap();
    match &found.kind {
        StepKind::Uses { with, .. } => with.clone(),
        _ => panic!(),
    }
}

const PYTHON: &str = "
stages: [test, deliver]
variables:
  PIP_CACHE_DIR: $CI_PROJECT_DIR/.cache/pip
default:
  before_script:
    - python3 -m venv .venv
  cache:
    key: {files: [requirements.txt], prefix: pip}
    paths: [.cache/pip]
test:
  script:
    - .venv/bin/pytest --junitxml=report.xml
    - echo VERSION=1 > build.env
  after_script: [echo done]
  artifacts:
    when: always
    paths: [dist/]
    exclude: [dist/*.tmp]
    expire_in: 2 hours 30 mins
    reports:
      junit: report.xml
      dotenv: build.env
deliver:
  stage: deliver
  image: alpine:3
  cache: []
  before_script: []
  script: echo $VERSION
  rules:
    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH
";

#[test]
fn a_pipeline_becomes_jobs_and_steps() {
    let p = plan(PYTHON);
    assert_eq!((keys(&p), p.stages.clone()), (vec!["test", "deliver"], vec!["test".to_owned(), "deliver".into()]));
    assert_eq!(
        steps(&p, "test"),
        ["Get sources", "Restore cache", "Script", "After script", "Save cache", "Upload artifacts", "Reports", "Variables for later jobs"]
    );
    assert_eq!(script(&p, "test"), "python3 -m venv .venv\n.venv/bin/pytest --junitxml=report.xml\necho VERSION=1 > build.env");
    assert_eq!(with(&p, "test", "Upload artifacts")["path"], "dist/\n!dist/*.tmp");
    assert_eq!(with(&p, "test", "Upload artifacts")["keep-seconds"], "9000");
    assert_eq!(with(&p, "test", "Restore cache")["key"], "pip-${{ hashFiles('requirements.txt') || 'default' }}@${{ job.id }}");
    let test = p.job("test").unwrap();
    assert_eq!(test.env["PIP_CACHE_DIR"], "${{ github.workspace }}/.cache/pip");
    assert_eq!(test.outputs["dotenv"], "${{ steps.dotenv.outputs.variables }}");
    assert_eq!((test.condition.as_deref(), test.runs_on.as_slice()), (None, ["ubuntu-latest".to_owned()].as_slice()));
    let deliver = p.job("deliver").unwrap();
    assert_eq!(steps(&p, "deliver"), ["Get sources", "Download artifacts", "Variables of needed jobs", "Script"]);
    assert_eq!(
        (deliver.needs.as_slice(), deliver.container.as_ref().unwrap().image.as_str()),
        (["test".to_owned()].as_slice(), "alpine:3")
    );
    assert!(deliver.condition.as_deref().unwrap().contains("'failure'"));
    let why = p.decisions.iter().find(|d| d.job == "deliver").unwrap();
    assert!(why.included && why.because.contains("$CI_COMMIT_BRANCH is \"main\"") && why.span.line == 31, "{why:?}");
    assert_eq!(p.env["CI_COMMIT_SHORT_SHA"], "abcdef01");
    assert_eq!(p.env["CI_PIPELINE_ID"], "${{ github.run_id }}");
}

#[test]
fn extends_references_and_defaults() {
    let p = plan(
        "
.base: {script: [base], variables: {A: '1', B: '1'}, tags: [x]}
.more: {extends: .base, variables: {B: '2'}, after_script: [more]}
.steps: {script: [one, two], nested: [!reference [.steps, script], three]}
default: {timeout: 1h 30m, retry: {max: 2, when: script_failure}, interruptible: true}
a: {extends: [.more], variables: {C: '3'}, tags: [y]}
b: {script: [!reference [.steps, nested], four], inherit: {default: [retry]}}
c: {extends: .base, script: [!reference [.steps, script]]}
",
    );
    assert_eq!(script(&p, "a"), "base");
    let a = p.job("a").unwrap();
    assert_eq!(
        (a.env["A"].as_str(), a.env["B"].as_str(), a.env["C"].as_str(), a.runs_on.as_slice()),
        ("1", "2", "3", ["y".to_owned()].as_slice())
    );
    assert_eq!((a.timeout_minutes.clone(), a.interruptible, a.retry.as_ref().unwrap().max), (Some(Late::Known(90.0)), true, 2));
    let b = p.job("b").unwrap();
    assert_eq!(script(&p, "b"), "one\ntwo\nthree\nfour");
    assert!(b.timeout_minutes.is_none() && !b.interruptible && b.retry.is_some());
    assert_eq!(script(&p, "c"), "one\ntwo");
}

#[test]
fn variables_have_their_precedence() {
    let text = "
variables: {A: global, B: global, C: global, RAW: {value: $A, expand: false}, SECRETLY: 'x-$TOKEN'}
workflow:
  rules: [{if: $CI_COMMIT_BRANCH, variables: {C: workflow}}]
j:
  script: x
  variables: {B: job, D: $A/$B, E: $$A, N: 1.10}
  rules: [{if: $A, variables: {B: rule, F: '$D'}}]
k: {script: x, inherit: {variables: [A]}}
";
    let mut f = facts();
    f.variables.insert("A".into(), "project".into());
    f.secrets.push("TOKEN".into());
    f.inputs.insert("F".into(), serde_json::json!("given"));
    let c = build(text, &f, &Repo::default());
    let p = c.plan.as_ref().unwrap();
    let env = &p.job("j").unwrap().env;
    let shown: Vec<String> =
        ["A", "B", "C", "D", "E", "F", "N", "RAW", "SECRETLY", "TOKEN"].iter().map(|n| format!("{n}={}", env[*n])).collect();
    assert_eq!(
        shown,
        [
            "A=project",
            "B=rule",
            "C=workflow",
            "D=project/rule",
            "E=$A",
            "F=given",
            "N=1.1",
            "RAW=$A",
            "SECRETLY=x-${{ secrets.TOKEN }}",
            "TOKEN=${{ secrets.TOKEN }}"
        ]
    );
    // an environment's win over the project's, for its own jobs; what a person gives wins over both
    f.secrets.push("F".into());
    let own = [("A".to_owned(), "production".to_owned()), ("F".to_owned(), "never".to_owned())];
    f.environments.insert("prod".into(), super::Stored { variables: own.into(), secrets: vec!["C".into()] });
    let there = format!("{text}  environment: {{name: $WHERE}}\n  variables: {{WHERE: prod, G: $A}}\n");
    let deployed = build(
        &there.replace("inherit: {variables: [A]}", "stage: deploy").replace("k: {script: x, stage: deploy}\n", "k:\n  script: x\n"),
        &f,
        &Repo::default(),
    );
    let env = &deployed.plan.as_ref().unwrap().job("k").unwrap().env;
    let shown: Vec<String> = ["A", "C", "F", "G"].iter().map(|n| format!("{n}={}", env[*n])).collect();
    assert_eq!(shown, ["A=production", "C=${{ secrets.C }}", "F=given", "G=production"]);
    assert_eq!(deployed.plan.as_ref().unwrap().job("j").unwrap().env["A"], "project");
    assert!(!p.job("k").unwrap().env.contains_key("B") && p.job("k").unwrap().env["A"] == "project");
    assert!(said(&c).contains("warning[number_as_text]: `1.10`"), "{}", said(&c));
}

/// One job `j` with these rules: how it is in the pipeline.
fn ruled(rules: &str, facts: &Facts, repo: &Repo) -> String {
    let text = format!("other: {{script: x}}\nj:\n  script: x\n  {}\n", rules.replace('\n', "\n  "));
    let c = build(&text, facts, repo);
    let Some(p) = &c.plan else { return said(&c) };
    match p.job("j") {
        None => "out".into(),
        Some(j) => match &j.gate {
            Some(Gate::Manual { blocking }) => format!("manual {blocking}"),
            Some(Gate::Delay { seconds }) => format!("delay {seconds}"),
            _ if j.condition.as_deref() == Some("!cancelled()") => "always".into(),
            _ if j.condition.as_deref().is_some_and(|c| c.contains("&& contains")) => "on failure".into(),
            _ => format!("in{}", if j.continue_on_error == Late::Known(true) { ", may fail" } else { "" }),
        },
    }
}

#[test]
fn rules_decide() {
    let main = facts();
    let new = Facts { before: None, ..facts() };
    let tag = Facts { reference: "refs/tags/v1".into(), ..facts() };
    let web = Facts { source: "web".into(), ..facts() };
    let merge = Facts { source: "merge_request_event".into(), ..facts() };
    let repo = Repo { files: [("Dockerfile", ""), ("src/a.rb", "")].into(), changed: Some(vec!["docs/a.md"]), ..Repo::default() };
    for (facts, rules, expect) in [
        (&main, "when: manual", "manual false"),
        (&main, "when: manual\nallow_failure: false", "manual true"),
        (&main, "rules: [{when: manual}]", "manual true"),
        (&main, "rules: [{when: manual, allow_failure: true}]", "manual false"),
        (&main, "rules: []", "out"),
        (&main, "rules: [{if: $NONE}]", "out"),
        (&main, "rules: [{if: $NONE}, {when: always}]", "always"),
        (&main, "rules: [{when: on_failure}]", "on failure"),
        (&main, "rules: [{if: '$CI_COMMIT_TAG', when: never}, {when: on_success}]", "in"),
        (&tag, "rules: [{if: '$CI_COMMIT_TAG', when: never}, {when: on_success}]", "out"),
        (&main, "rules: [{when: delayed, start_in: 2 minutes}]", "delay 120"),
        (&main, "rules: [[{if: $NONE}], [{when: on_success, allow_failure: true}]]", "in, may fail"),
        (&main, "allow_failure: true", "in, may fail"),
        (&main, "rules: [{changes: ['docs/**/*']}]", "in"),
        (&main, "rules: [{changes: [src/*]}]", "out"),
        (&new, "rules: [{changes: [src/*]}]", "in"),
        (&web, "rules: [{changes: [src/*]}]", "in"),
        (&tag, "rules: [{changes: [src/*]}]", "in"),
        (&main, "rules: [{changes: {paths: [against-main], compare_to: refs/heads/main}}]", "in"),
        (&main, "rules: [{changes: {paths: [x], compare_to: refs/heads/main}}]", "out"),
        (&main, "rules: [{exists: [Dockerfile]}]", "in"),
        (&main, "rules: [{exists: ['**/*.rb']}]", "in"),
        (&main, "rules: [{exists: ['*.rb']}]", "out"),
        (&main, "rules: [{if: $CI_COMMIT_BRANCH, exists: [nope]}, {if: '$CI_PIPELINE_SOURCE == \"push\"', when: manual}]", "manual true"),
        (&main, "only: [main]", "in"),
        (&main, "only: [/^ma/]", "in"),
        (&main, "only: [tags]", "out"),
        (&tag, "only: [tags]", "in"),
        (&main, "only: [merge_requests]", "out"),
        (&merge, "only: [merge_requests]", "in"),
        (&merge, "only: [main, branches, /^ma/]", "out"),
        (&merge, "when: on_success", "out"),
        (&merge, "rules: [{if: $CI_COMMIT_BRANCH}]", "out"),
        (&merge, "rules: [{if: '$CI_COMMIT_REF_NAME == \"main\"'}]", "in"),
        (&web, "only: [web]", "in"),
        (&main, "except: [main]", "out"),
        (&main, "except: {changes: [docs/a.md]}", "out"),
        (&main, "only: {refs: [branches], variables: ['$CI_COMMIT_BRANCH == \"main\"']}", "in"),
        (&main, "only: {refs: [branches], variables: ['$CI_COMMIT_BRANCH == \"dev\"']}", "out"),
        (&main, "only: [main@group/project]", "in"),
        (&main, "only: [main@other/project]", "out"),
    ] {
        assert_eq!(ruled(rules, facts, &repo), expect, "{rules}");
    }
    assert!(ruled("rules: [{changes: {paths: [x], compare_to: nope}}]", &main, &repo).contains("error[rule_not_decidable]"));
}

#[test]
fn what_waits_for_what() {
    let p = plan(
        "
stages: [a, b, c]
a1: {stage: a, script: x}
a2: {stage: a, script: x, artifacts: {paths: [o]}}
b1: {stage: b, script: x, needs: [a1]}
b2: {stage: b, script: x, needs: []}
b3: {stage: b, script: x, needs: [{job: a2, artifacts: false}, {job: gone, optional: true}]}
c1: {stage: c, script: x, dependencies: []}
c2: {stage: c, script: x, dependencies: [a2]}
last: {stage: .post, script: x}
first: {stage: .pre, script: x}
",
    );
    let needs = |k: &str| p.job(k).unwrap().needs.join(" ");
    assert_eq!(p.stages, [".pre", "a", "b", "c", ".post"]);
    assert_eq!(keys(&p), ["first", "a1", "a2", "b1", "b2", "b3", "c1", "c2", "last"]);
    assert_eq!((needs("a1"), needs("b1"), needs("b2"), needs("b3")), ("first".into(), "a1".into(), String::new(), "a2".into()));
    assert_eq!(needs("c1"), "a1 a2 b1 b2 b3 first");
    let fetches = |k: &str| steps(&p, k).contains(&"Download artifacts".to_owned());
    assert!(!fetches("b3") && !fetches("c1") && fetches("c2") && fetches("last") && !fetches("b1"));
    assert_eq!(with(&p, "c2", "Download artifacts")["pattern"], "{a2}");
    assert!(p.job("b1").unwrap().condition.as_deref().unwrap().contains("'skipped'"));
    assert!(!p.job("c1").unwrap().condition.as_deref().unwrap().contains("'skipped'"));
}

#[test]
fn parallel_jobs_have_names_and_values() {
    let p = plan(
        "
n: {script: x, parallel: 2}
m:
  script: x
  parallel:
    matrix:
      - {OS: [linux, mac], V: ['1', '2']}
      - {OS: bsd, V: '3'}
  tags: [$OS]
d:
  stage: deploy
  script: x
  needs: [{job: m, parallel: {matrix: [{OS: linux, V: '2'}]}}, n]
",
    );
    assert_eq!(keys(&p), ["n 1/2", "n 2/2", "m: [linux, 1]", "m: [linux, 2]", "m: [mac, 1]", "m: [mac, 2]", "m: [bsd, 3]", "d"]);
    assert_eq!(p.job("d").unwrap().needs, ["n 1/2", "n 2/2", "m: [linux, 2]"]);
    let m = p.job("m: [mac, 2]").unwrap();
    assert_eq!((m.runs_on[0].as_str(), m.env["V"].as_str(), m.env["CI_NODE_INDEX"].as_str()), ("mac", "2", "4"));
    assert_eq!(p.job("n 2/2").unwrap().env["CI_NODE_TOTAL"], "2");
}

#[test]
fn includes_are_merged() {
    let repo = Repo {
        files: [
            ("ci/a.yml", "variables: {A: a, B: a}\ninclude: ci/deep.yml\n.base: {tags: [inc]}\na: {extends: .base, script: [from a]}\n"),
            ("ci/deep.yml", "deep: {script: [deep]}\n"),
            ("ci/b.yml", "a: {script: [from b]}\nb: {script: [b]}\n"),
            ("tpl.yml", "spec:\n  inputs:\n    job: {}\n    list: {type: array, default: [x, y]}\n    env: {options: [dev, prod], default: dev}\n    n: {type: number, default: 2}\n---\n\"$[[ inputs.job ]]-run\":\n  script: $[[ inputs.list ]]\n  parallel: $[[ inputs.n ]]\n  variables: {E: 'to $[[ inputs.env | truncate(0,2) ]]'}\n"),
        ]
        .into(),
        others: [(("group/shared", "lib.yml"), "include: {local: more.yml}\nshared: {script: [s]}\n"), (("group/shared", "more.yml"), "more: {script: [m]}\n"), (("group/comp", "templates/lint.yml"), "lint: {script: [l]}\n")].into(),
        ..Repo::default()
    };
    let text = "
include:
  - local: /ci/*.yml
  - {project: group/shared, ref: v1, file: lib.yml}
  - {component: $CI_SERVER_FQDN/group/comp/lint@1.0}
  - {local: tpl.yml, inputs: {job: go, env: prod}}
  - {local: missing.yml, rules: [{if: $NONE}]}
variables: {B: root}
a: {script: [from root]}
";
    let c = build(text, &facts(), &repo);
    let p = c.plan.as_ref().unwrap_or_else(|| panic!("{}", said(&c)));
    assert_eq!(keys(p), ["deep", "a", "b", "more", "shared", "lint", "go-run 1/2", "go-run 2/2"]);
    assert_eq!((script(p, "a"), script(p, "go-run 1/2")), ("from root".into(), "x\ny".into()));
    let a = p.job("a").unwrap();
    assert_eq!((a.env["A"].as_str(), a.env["B"].as_str(), a.runs_on[0].as_str()), ("a", "root", "inc"));
    assert_eq!(p.job("go-run 1/2").unwrap().env["E"], "to pr");
    for (text, expect) in [
        ("include: nope.yml", ".gitlab-ci.yml:1:10: error[include_not_found]"),
        ("include: {template: Jobs/Build.gitlab-ci.yml}\na: {script: x}", "error[unsupported_include]"),
        ("include: {remote: 'https://x/y.yml'}", "error[include_not_found]"),
        ("include: 'https://x/y.yml'", "error[include_not_found]"),
        ("include: {component: other.host/g/p/c@1}", "only components of this instance"),
        ("include: {local: tpl.yml}", "error[missing_input]"),
        ("include: {local: tpl.yml, inputs: {job: x, nope: 1}}", "error[unknown_input]"),
        ("include: {local: tpl.yml, inputs: {job: x, env: test}}", "must be one of dev, prod"),
        ("include: {local: tpl.yml, inputs: {job: x, n: text}}", "must be of the type number"),
        ("include: {project: group/none, file: x.yml}", "`x.yml` cannot be included"),
    ] {
        let c = build(text, &facts(), &repo);
        assert!(c.plan.is_none() && said(&c).contains(expect), "{text}: {}", said(&c));
    }
    let circle = Repo { files: [("a.yml", "include: a.yml\nx: {script: x}\n")].into(), ..Repo::default() };
    assert!(said(&build("include: a.yml", &facts(), &circle)).contains("error[include_too_deep]"));
}

#[test]
fn everything_that_is_not_done_is_said() {
    for (text, expect) in [
        ("a: {script: x, trigger: other}", "1:5: error[bad_combination]: a job with `trigger`"),
        ("a: {trigger: {strategy: depend}}", "1:14: error[missing_key]: trigger config should be"),
        ("a: {trigger: {project: x/y, include: a.yml}}", "error[bad_combination]: `trigger` takes either"),
        ("a: {trigger: {project: x/y, strategy: wait}}", "error[bad_value]: trigger strategy should be depend or mirror"),
        ("a: {trigger: {include: a.yml, forward: {all: true}}}", "error[unknown_key]: trigger:forward config contains unknown keys: all"),
        ("a: {trigger: {include: [{artifact: a.yml}]}}", "error[missing_key]: `include:artifact` needs `job`"),
        ("a: {trigger: {include: [{artifact: a.yml, job: b}]}}", "error[unknown_artifact]: the job `b`, which makes the file"),
        (
            "b: {script: x}\na: {trigger: {include: [{artifact: a.yml, job: b}]}}",
            "error[unknown_artifact]: the job `a` takes a file of `b`",
        ),
        ("b: {script: x}\na: {needs: [b], trigger: {include: [{artifact: a.yml, job: b}]}}", "the job `b` keeps no files"),
        ("include: [{artifact: a.yml, job: b}]\na: {script: x}", "error[bad_combination]: `include:artifact` stands in `trigger` only"),
        ("a: {script: x, rules: [{if: $NONE}], release: {tag_name: x}}\nb: {script: x}", "warning[unsupported_key]: `release`"),
        ("a: {script: x, coverage: '/x(?=y)/'}", "1:26: warning[bad_value]: `coverage` finds nothing"),
        ("a: {script: x, nonsense: 1}", "1:16: error[unknown_key]"),
        ("nonsense: 1\na: {script: x}", "1:1: error[unknown_key]"),
        ("a: {stage: test}", "1:1: error[missing_key]: jobs a config should implement the script:, run:, or trigger: keyword"),
        ("a: {script: x, stage: nope}", "error[unknown_stage]"),
        ("a: {script: x, needs: [b]}", "error[unknown_needs]"),
        ("a: {script: x, needs: [b]}\nb: {script: x, rules: [{if: $NONE}]}", "error[needs_excluded]"),
        ("a: {script: x, needs: [b]}\nb: {script: x, needs: [a]}", "error[needs_cycle]"),
        ("a: {script: x, needs: [b]}\nb: {script: x, stage: deploy}", "error[needs_later_stage]"),
        ("a: {extends: .b, script: x}", "error[unknown_extends]"),
        (".b: {extends: .c}\n.c: {extends: .b}\na: {extends: .b, script: x}", "error[extends_cycle]"),
        ("a: {script: [!reference [.b, script]]}", "error[unknown_reference]"),
        (".a: {x: !reference [.a, x]}\na: {script: [!reference [.a, x]]}", "error[reference_too_deep]"),
        ("a: {script: x, rules: [{if: '$A =='}]}", "error[bad_condition]"),
        ("a: {script: x, rules: [{}], only: [main]}", "error[bad_combination]"),
        ("a: {script: x, when: never}", "jobs:a when should be one of: on_success, on_failure, always, manual, delayed"),
        ("a: {script: x, when: delayed}", "jobs:a start in should be a duration"),
        ("a: {script: x, timeout: soon}", "error[bad_duration]"),
        ("a: {script: x, retry: 5}", "from 0 to 2"),
        ("a: {script: x, parallel: 500}", "from 1 to 200"),
        ("a: {script: x, services: [redis]}", "has `services` and no `image`"),
        ("a: {script: x, image: docker:24, services: ['docker:24-dind']}", "privileged"),
        ("a: {script: x, image: {name: x, entrypoint: [/bin/foo]}}", "warning[image_entrypoint]"),
        ("a: {script: x, artifacts: {paths: [x], expire_in: never}}", "warning[expire_in]"),
        ("a: {script: x, artifacts: {reports: {sast: c.json}}}", "warning[unsupported_report]"),
        ("a: {script: x, artifacts: {untracked: true}}", "error[unsupported_key]"),
        ("a: {script: x, cache: {paths: [a], key: {files: [a, b, c]}}}", "one or two files"),
        ("a: {script: x, environment: {name: p, on_stop: s}}", "a job: on_stop job s is not defined"),
        ("a: {script: x, environment: {name: p, on_stop: s}}\ns: {script: x}", "on_stop job s does not have environment defined"),
        (
            "a: {script: x, environment: {name: p, on_stop: s}}\ns: {script: x, environment: {name: q, action: stop}}",
            "on_stop job s have different environment name",
        ),
        ("a: {script: x, environment: {name: p, on_stop: s}}\ns: {script: x, environment: p}", "needs to have action stop defined"),
        ("a: {script: x, environment: {name: p, auto_stop_in: soon}}", "environment auto stop in should be a duration"),
        ("variables: {T: soon}\na: {script: x, environment: {name: p, auto_stop_in: $T}}", "auto stop in should be a duration"),
        ("a: {script: x, environment: {name: p, action: look}}", "should be start, stop, prepare, verify, or access"),
        ("a: {script: x, environment: {name: p, deployment_tier: moon}}", "deployment tier must be one of production"),
        ("a: {script: x, artifacts: {paths: ['*.x'], expose_as: y}}", "can't contain '*'"),
        ("a: {script: x, artifacts: {expose_as: y}}", "can't be blank"),
        ("a: {script: x, artifacts: {paths: [x], expose_as: 'a/b'}}", "only letters, digits"),
        ("a: {script: x, image: $NOBODY/x}", "warning[unknown_variable]: `$NOBODY`"),
        ("a: {script: x, image: $CI_NO_SUCH}", "this service does not set it"),
        ("a: {script: x, needs: [{pipeline: $X, job: y}]}", "error[unsupported_key]"),
        (
            "default: {interruptible: often}\na: {script: x}\nb: {script: x}",
            "1:26: error[wrong_type]: default:interruptible config should be",
        ),
        ("a: {script: x, variables: {GIT_SUBMODULE_STRATEGY: recursive}}", "warning[unsupported_variable]"),
        ("workflow: {auto_cancel: {on_new_commit: some}}\na: {script: x}", "must be one of: conservative, interruptible, none"),
        (".a: {script: x}", "error[no_jobs]"),
        ("a:\n  <<: *b\n", "error[yaml_syntax]"),
        ("[a]", "error[wrong_type]"),
        ("", "error[empty_file]"),
    ] {
        let c = build(text, &facts(), &Repo::default());
        assert!(said(&c).contains(expect), "{text}: {}", said(&c));
    }
}

#[test]
fn workflow_rules_stop_the_whole() {
    let text = "workflow: {name: 'Build of $CI_COMMIT_BRANCH', rules: [{if: $CI_COMMIT_TAG, when: never}, {if: $CI_COMMIT_BRANCH}]}\na: {script: x}\n";
    let p = plan(text);
    assert_eq!((p.run_name.as_deref(), p.triggers.len()), (Some("Build of main"), 2));
    let c = build(text, &Facts { reference: "refs/tags/v1".into(), ..facts() }, &Repo::default());
    let p = c.plan.unwrap();
    assert!(p.jobs.is_empty() && p.triggers.is_empty() && p.decisions[0].because.contains("say never"), "{:?}", p.decisions);
}

#[test]
fn services_have_names_and_variables() {
    let p = plan(
        "
a:
  image: ruby:3
  variables: {POSTGRES_DB: shop}
  services:
    - postgres:15
    - {name: 'registry.local:5000/team/redis:7', alias: 'cache,store', command: [redis-server, --save], variables: {MODE: x}}
    - group/mysql:8
  script: x
",
    );
    let services = &p.job("a").unwrap().services;
    assert_eq!(services.keys().collect::<Vec<_>>(), ["postgres", "cache", "group__mysql"]);
    assert_eq!(services["postgres"].env["POSTGRES_DB"], "shop");
    assert_eq!(
        (services["cache"].options.as_deref(), services["cache"].command.len(), services["cache"].env["MODE"].as_str()),
        (Some("--network-alias store"), 2, "x")
    );
    assert_eq!(services["group__mysql"].options.as_deref(), Some("--network-alias group-mysql"));
}

#[test]
fn inputs_and_described_variables_are_shown() {
    let p = plan("variables: {LEVEL: {value: a, description: How much, options: [a, b]}, PLAIN: x}\na: {script: x}\n");
    assert_eq!(p.inputs.keys().collect::<Vec<_>>(), ["LEVEL"]);
    assert_eq!(p.inputs["LEVEL"].options, ["a", "b"]);
    let text = "spec: {inputs: {who: {default: all}}}\n---\na: {script: ['echo $[[ inputs.who ]]']}\n";
    let mut f = facts();
    assert_eq!(script(&build(text, &f, &Repo::default()).plan.unwrap(), "a"), "echo all");
    f.inputs.insert("who".into(), serde_json::json!("ann"));
    let p = build(text, &f, &Repo::default()).plan.unwrap();
    assert_eq!((script(&p, "a").as_str(), p.inputs.len(), p.job("a").unwrap().env.contains_key("who")), ("echo ann", 1, false));
}

#[test]
fn braces_of_a_script_stay_text() {
    let p = plan("a: {script: ['echo \"${{ secrets.X }}\" ${A}'], variables: {V: '${{ secrets.X }}'}}\n");
    assert_eq!(script(&p, "a"), "echo \"${{ '${{' }} secrets.X }}\" ${A}");
    assert_eq!(p.job("a").unwrap().env["V"], "${{ '${{' }} secrets.X }}");
}

#[test]
fn large_pipelines_are_bounded() {
    let begun = Instant::now();
    let mut text = String::from("stages: [a, b]\n.base: {script: [x], variables: {A: '1'}}\n");
    for i in 0..450 {
        text.push_str(&format!("j{i}: {{extends: .base, stage: {}}}\n", if i % 2 == 0 { "a" } else { "b" }));
    }
    assert_eq!(plan(&text).jobs.len(), 450);
    let mut bomb = String::from(".a0: {x: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}\n");
    for i in 1..9 {
        let list = vec![format!("!reference [.a{}, x]", i - 1); 10].join(", ");
        bomb.push_str(&format!(".a{i}: {{x: [{list}]}}\n"));
    }
    bomb.push_str("a: {script: x}\n");
    assert!(said(&build(&bomb, &facts(), &Repo::default())).contains("too_many_nodes"));
    let variables: String = (1..900).map(|i| format!("  V{i}: \"{}\"\n", format!("$V{}", i - 1).repeat(50))).collect();
    let text = format!("variables:\n  V0: 0123456789\n{variables}a: {{script: x}}\n");
    assert!(said(&build(&text, &facts(), &Repo::default())).contains("too_much_expansion"));
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(256))]
    #[test]
    fn nothing_panics(text in r#"([a-z.]{1,6}|script|rules|needs|stage|image|include|cache|!reference|extends|variables|artifacts|parallel|matrix|services): ?([a-z$]{0,5}|\[[a-z, \[\]{}:$]{0,20}\]|\{[a-z:, \[\]$]{0,20}\})\n?( {0,4}- ?[a-z:$ ]{0,9}\n){0,3}"#) {
        build(&text, &facts(), &Repo::default());
    }

    #[test]
    fn nothing_panics_on_mutations(at in 0usize..600, with in "[ -~\n]{0,3}", cut in 0usize..6) {
        let mut bytes = PYTHON.as_bytes().to_vec();
        let at = at.min(bytes.len());
        let end = (at + cut).min(bytes.len());
        bytes.splice(at..end, with.bytes());
        compile(FILE, &bytes, &facts(), &Repo::default());
    }
}

#[test]
fn a_job_that_is_left_out_says_why_of_each_rule() {
    let text = "here:\n  script: x\nout:\n  script: x\n  rules:\n    - if: $CI_COMMIT_BRANCH == \"dev\"\n    - changes: [src/**]\n    - exists: [nothing]\n";
    let repo = Repo { files: BTreeMap::from([("README", "x")]), changed: Some(vec!["docs/a"]), ..Repo::default() };
    let p = build(text, &facts(), &repo).plan.unwrap();
    let why = &p.decisions.iter().find(|d| d.job == "out").unwrap().because;
    for part in [
        "line 6: `if: $CI_COMMIT_BRANCH == \"dev\"` is false: $CI_COMMIT_BRANCH is \"main\"",
        "line 7: no changed file matches src/**",
        "line 8: no file matches nothing",
    ] {
        assert!(why.contains(part), "{why}");
    }
}
