//! What files compile to, and what is said about them.

use proptest::prelude::*;

use super::*;
use crate::plan::{Action, Late, Matrix, Step, StepKind, Trigger};

fn messages(text: &str) -> Vec<String> {
    compile("w.yml", text.as_bytes()).diagnostics.iter().map(ToString::to_string).collect()
}

fn plan(text: &str) -> Plan {
    let compiled = compile("w.yml", text.as_bytes());
    compiled.plan.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics))
}

const FULL: &str = r#"
name: CI
run-name: Build ${{ github.ref_name }}
on:
  push:
    branches: [main, 'release/**', '!release/old']
    paths: ['src/**']
  workflow_dispatch:
    inputs:
      level: {type: choice, options: [a, b], default: a, required: true}
env: {A: 1, V: '${{ vars.V }}'}
defaults: {run: {shell: bash}}
permissions: {contents: read, packages: write}
concurrency: {group: "ci-${{ github.ref }}", cancel-in-progress: true}
jobs:
  test:
    name: T ${{ matrix.os }}
    runs-on: ${{ matrix.os }}
    strategy:
      fail-fast: false
      max-parallel: 2
      matrix:
        os: [linux, mac]
        v: [1, 2]
        exclude: [{os: mac, v: 1}]
    services:
      db: {image: 'postgres:15', ports: ['5432:5432'], env: {P: "${{ secrets.P }}"}, options: --health-cmd pg_isready}
    timeout-minutes: 10
    outputs: {v: "${{ steps.x.outputs.v }}"}
    steps:
      - uses: actions/checkout@v4
        with: {fetch-depth: 0}
      - id: x
        run: |
          echo v=1 >> "$GITHUB_OUTPUT"
        env: {S: "${{ secrets.S }}"}
        working-directory: sub
      - if: ${{ always() }}
        uses: actions/upload-artifact@v4
        with: {name: out, path: target}
  deploy:
    needs: [test]
    if: github.ref == 'refs/heads/main'
    runs-on: [self-hosted, big]
    container: {image: 'alpine:3', env: {X: y}}
    environment: {name: production, url: 'http://x'}
    continue-on-error: ${{ github.event_name == 'push' }}
    steps:
      - uses: devmentor/deploy
        with: {environment: production}
"#;

#[test]
fn a_full_file_compiles() {
    let plan = plan(FULL);
    assert_eq!(plan.name, "CI");
    let Trigger::Push(filter) = &plan.triggers[0] else { panic!() };
    assert_eq!(filter.branches.as_ref().unwrap().len(), 3);
    assert_eq!(plan.env["A"], "1");
    let test = plan.job("test").unwrap();
    let strategy = test.strategy.as_ref().unwrap();
    let Some(Matrix::Static(cells)) = &strategy.matrix else { panic!() };
    assert_eq!(cells.iter().map(|c| c.label.as_str()).collect::<Vec<_>>(), ["linux, 1", "linux, 2", "mac, 2"]);
    assert_eq!(strategy.fail_fast, Late::Known(false));
    assert_eq!(test.services["db"].options.as_deref(), Some("--health-cmd pg_isready"));
    assert_eq!(test.steps[2].condition.as_deref(), Some("always()"));
    assert!(
        matches!(&test.steps[0].kind, StepKind::Uses { action: Action::Checkout, version, with } if version == "v4" && with["fetch-depth"] == "0")
    );
    let deploy = plan.job("deploy").unwrap();
    assert_eq!(deploy.runs_on, ["self-hosted", "big"]);
    assert!(matches!(&deploy.continue_on_error, Late::Expr(_)));
    let line = FULL.lines().position(|l| l == "  deploy:").unwrap() + 1;
    assert_eq!(deploy.span.line as usize, line);
    // what the store keeps is what the runner gets
    let json = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
}

#[test]
fn every_oddity_is_located() {
    let job = |body: &str| format!("on: push\njobs:\n  a:\n    runs-on: x\n{body}");
    let mut missed = Vec::new();
    for (text, expect) in [
        ("jobs: {a: {runs-on: x, steps: [{run: a}]}}".into(), "error[missing_key]: Required property is missing: on"),
        ("on: push".into(), "error[missing_key]: Required property is missing: jobs"),
        ("on: push\njobz: {}\njobs: {a: {runs-on: x, steps: [{run: a}]}}".into(), "w.yml:2:1: error[unknown_key]: Unexpected value 'jobz'"),
        ("on: pusch\njobs: {a: {runs-on: x, steps: [{run: a}]}}".into(), "w.yml:1:5: error[bad_value]: Unexpected value 'pusch'"),
        ("on: release\njobs: {a: {runs-on: x, steps: [{run: a}]}}".into(), "w.yml:1:5: warning[unsupported_event]"),
        (
            "on: {schedule: [{cron: '99 * * * *'}]}\njobs: {a: {runs-on: x, steps: [{run: a}]}}".into(),
            "w.yml:1:24: error[bad_schedule]: Invalid cron",
        ),
        ("on: {schedule: [{cron: '* * * * *'}]}\njobs: {a: {runs-on: x, steps: [{run: a}]}}".into(), "w.yml:1:24: warning[too_often]"),
        (
            "on: {release: {types: [made]}}\njobs: {a: {runs-on: x, steps: [{run: a}]}}".into(),
            "w.yml:1:24: error[bad_value]: Unexpected value 'made'",
        ),
        (
            "on: {fork: {types: [x]}}\njobs: {a: {runs-on: x, steps: [{run: a}]}}".into(),
            "w.yml:1:12: error[wrong_type]: A mapping was not expected",
        ),
        (job("    steps: [{run: a, foo: 1}]"), "w.yml:5:22: error[unknown_key]: Unexpected value 'foo'"),
        (job("    steps: [{run: a, uses: b}]"), "w.yml:5:22: error[unknown_key]: Unexpected value 'uses'"),
        (
            job("    steps: [{name: b}]"),
            "w.yml:5:13: error[missing_key]: There's not enough info to determine what you meant. Add one of these properties: run, shell, uses",
        ),
        (job("    steps: [{uses: foo/bar@v1}]"), "w.yml:5:20: warning[unresolved_action]: `foo/bar@v1` is looked up in the repositories"),
        (job("    steps: [{uses: ./x}]"), "warning[unresolved_action]: `./x` is looked up in the commit"),
        (job("    steps: [{uses: ./../x}]"), "error[bad_value]: `./../x` leads out"),
        (job("    steps: [{uses: foo@v1}]"), "error[bad_value]: Expected format {owner}/{repo}[/path]@ref"),
        (job("    steps: [{uses: foo/bar}]"), "error[missing_version]"),
        (
            "on: push\njobs: {a: {uses: ./.github/workflows/b.yml, strategy: {matrix: '${{ github.x }}'}}}".into(),
            "error[unsupported_key]: the matrix of a job that calls",
        ),
        (job("    steps: [{uses: actions/checkout@v4, with: {submodules: true}}]"), "w.yml:5:60: warning[partly_supported]: `submodules`"),
        (job("    steps: [{uses: actions/checkout@v4, with: {lfs: true}}]"), "w.yml:5:53: error[unsupported_input]"),
        (job("    steps: [{uses: actions/checkout@v4, with: {bogus: 1}}]"), "warning[unknown_input]"),
        (job("    steps: [{uses: actions/cache@v4, with: {path: a}}]"), "error[missing_input]: Input required and not supplied: key"),
        (
            job("    steps: [{uses: actions/setup-python@v5, with: {python-version: 3.10}}]"),
            "warning[number_as_text]: `3.10` is a number and becomes the text `3.1`",
        ),
        (job("    steps: [{run: 'echo ${{ foo }}'}]"), "w.yml:5:19: error[expression]: Unrecognized named-value: 'foo'"),
        (job("    if: env.X\n    steps: [{run: a}]"), "w.yml:5:9: error[expression]: Unrecognized named-value: 'env'"),
        (job("    steps: [{run: a, if: 'x ${{ true }}'}]"), "warning[always_true_condition]"),
        (job("    steps: [{run: 'echo ${{ github.event.head_commit.message }}'}]"), "warning[script_injection]"),
        (job("    needs: a\n    steps: [{run: a}]"), "w.yml:3:3: error[needs_cycle]: The workflow must contain at least one job"),
        (
            job("    steps: [{run: a}]\n  b: {needs: [a, c, b], runs-on: x, steps: [{run: a}]}"),
            "w.yml:6:18: error[unknown_needs]: Job 'b' depends on unknown job 'c'.",
        ),
        (
            job("    steps: [{run: a}]\n  b: {needs: [a, c, b], runs-on: x, steps: [{run: a}]}"),
            "w.yml:6:21: error[needs_cycle]: Job 'b' depends on job 'b' which creates a cycle",
        ),
        (
            job("    steps: []\n    timeout-minutes: ${{ nope }}"),
            "w.yml:6:22: error[expression]: Unrecognized named-value: 'nope'. Located at",
        ),
        (job("    steps: []\n    timeout-minutes: ${{ nope }}"), "w.yml:6:22: error[bad_value]: Unexpected value '${{ nope }}'"),
        (job("    steps:\n    - run: |\n\n        ${{ nope }}"), "w.yml:6:12: error[expression]: Unrecognized named-value: 'nope'"),
        (job("    container:\n    steps:\n      image:\n"), "w.yml:7:7: error[wrong_type]: A mapping was not expected"),
        (job("    env:  \n    steps: [{run: a}]"), "w.yml:5:11: error[bad_value]: Unexpected value ''"),
        (job("    env: {A: 1, a: 2}\n    steps: [{run: a}]"), "w.yml:5:17: error[duplicate_key]: 'a' is already defined"),
        (job("    name: ${{ success() }}\n    steps: [{run: a}]"), "Unrecognized function: 'success'. Located at position 1 within"),
        (
            job("    if: success('b')\n    timeout-minutes: no\n    steps: [{run: a}]"),
            "w.yml:6:22: error[bad_value]: Unexpected value 'no'",
        ),
        (job("    steps: [{run: a, if: success('b')}]"), "w.yml:5:26: error[expression]: Too many parameters supplied: 'success'"),
        (job("    permissions: {contents: all}\n    steps: [{run: a}]"), "w.yml:5:29: error[bad_value]: Unexpected value 'all'"),
        (job("    permissions: {id-token: read}\n    steps: [{run: a}]"), "w.yml:5:29: error[bad_value]: Unexpected value 'read'"),
        (job("    uses: a/b/c@v1\n    steps: [{run: a}]"), "w.yml:5:5: error[unknown_key]: Unexpected value 'uses'"),
        (
            job("    concurrency: {group: g, queue: all}\n    steps: [{run: a}]"),
            "error[bad_value]: Unexpected value 'all'. Known here are: single, max",
        ),
        (
            job("    steps: [{run: a}]\n  __b: {runs-on: x, steps: [{run: a}]}"),
            "w.yml:6:3: error[bad_identifier]: The identifier '__b' is invalid. IDs starting",
        ),
        ("name: ${{ github.x }}\non: push\njobs: {}".into(), "w.yml:1:7: error[expression]: Unrecognized named-value: 'github'"),
        ("name: ${{ 1 }}\non: push\njobs: {}".into(), "w.yml:1:7: error[expression_not_allowed]: A template expression is not allowed"),
        (job("    strategy: {matrix: {a: []}}\n    steps: [{run: a}]"), "error[bad_matrix]: Matrix vector 'a'"),
        (job("    steps: [{run: a, id: x}, {run: b, id: X}]"), "error[duplicate_id]"),
        ("on: push\njobs: {a: {uses: ./x.yml}}".into(), "error[bad_value]: `./x.yml`: a called workflow is"),
        ("on: push\njobs: {a: {uses: ./.github/workflows/x.yml}}".into(), "warning[unresolved_workflow]"),
        ("on: {push: {branches: ['['] }}\njobs: {a: {runs-on: x, steps: [{run: a}]}}".into(), "error[bad_pattern]"),
        ("on: {push: {branches: ['!x'] }}\njobs: {a: {runs-on: x, steps: [{run: a}]}}".into(), "warning[only_negative_patterns]"),
        ("- a".into(), "w.yml:1:1: error[wrong_type]: A sequence was not expected"),
        ("on: push\njobs: {}".into(), "w.yml:2:7: error[no_jobs]: The workflow must contain at least one job with no dependencies."),
        (job("    steps:\n    - run: a\n      id: x\n    - run: b\n      id: X"), "w.yml:9:11: error[duplicate_id]"),
        (
            job("    timeout-minutes: !!int '5'\n    steps: [{run: a}]"),
            "w.yml:5:22: error[bad_tag]: The scalar style 'SingleQuoted' on line 5",
        ),
        (
            job("    timeout-minutes: !!float five\n    steps: [{run: a}]"),
            "error[bad_tag]: The value 'five' on line 5 and column 22 is invalid",
        ),
        (job("    name: ${{ insert }}\n    steps: [{run: a}]"), "w.yml:5:11: error[bad_value]: Unexpected value '${{ insert }}'"),
        (
            job(&format!("    steps:\n    - run: |\n        ${{{{ github.sha }}}}\n        {}", "x".repeat(20_990))),
            "w.yml:6:12: error[expression]: Exceeded max expression length 21000",
        ),
        (job("    name: x ${{ insert }}\n    steps: [{run: a}]"), "w.yml:5:11: error[expression]: The directive 'insert' is not allowed"),
    ] {
        let text: String = text;
        let found = messages(&text);
        if !found.iter().any(|m| m.contains(expect)) {
            missed.push(format!("{text}\nexpected {expect}\nfound {found:#?}"));
        }
        let compiled = compile("w.yml", text.as_bytes());
        assert_eq!(compiled.plan.is_none(), found.iter().any(|m| m.contains("error[")), "{text}");
    }
    assert!(missed.is_empty(), "{}", missed.join("\n\n"));
}

#[test]
fn what_is_empty_is_not_there() {
    let text = "on: push\njobs:\n  a:\n    runs-on: x\n    container: ''\n    environment: ''\n    services: {db: {image: i, options: ''}}\n    \
                timeout-minutes: 1e400\n    steps: [{run: a, working-directory: ''}, {run: b, timeout-minutes: !<tag:yaml.org,2002:int> 0x10}]\n";
    assert_eq!(messages(text), [""; 0]);
    let plan = compile("w.yml", text.as_bytes()).plan.unwrap();
    let job = &plan.jobs[0];
    assert!(job.container.is_none() && job.environment.is_none() && job.services["db"].options.is_none());
    assert_eq!(job.timeout_minutes, Some(crate::plan::Late::Known(50_400.0)));
    assert!(matches!(&job.steps[0].kind, StepKind::Run { working_directory: None, .. }));
    assert_eq!(job.steps[1].timeout_minutes, Some(crate::plan::Late::Known(16.0)));
}

/// Compiles with files of the same commit.
fn with_files(text: &str, files: &[(&str, &str)]) -> super::Compiled {
    let mut library = super::Library::default();
    for _ in 0..20 {
        let compiled = super::compile_with("w.yml", text.as_bytes(), &library);
        if compiled.wants.is_empty() {
            return compiled;
        }
        for want in compiled.wants {
            let found = match files.iter().find(|(path, _)| *path == want.path) {
                Some((_, text)) => super::Found::File { bytes: text.as_bytes().to_vec(), pin: None },
                None => super::Found::Absent,
            };
            library.insert(want, found);
        }
    }
    panic!("the wants do not end");
}

#[test]
fn actions_are_read_with_the_workflow() {
    let uses = |what: &str| format!("on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{{uses: {what}}}]\n");
    let files = [
        ("a/action.yml", "name: A\ninputs: {x: {default: '1'}}\nruns: {using: composite, steps: [{uses: ./b}, {run: echo, shell: sh}]}"),
        ("b/action.yaml", "runs: {using: node24, main: m.js, post: p.js}"),
        ("c/Dockerfile", "FROM scratch"),
        ("self/action.yml", "runs: {using: composite, steps: [{uses: ./self}]}"),
        ("bad/action.yml", "runs: {using: composite, steps: [{run: 'echo ${{ secrets.X }}'}]}"),
        ("wide/action.yml", "runs: {using: composite, steps: [{uses: ./wide}, {uses: ./wide}, {uses: ./wide}]}"),
        ("ruby/action.yml", "runs: {using: ruby}"),
    ];
    let plan = with_files(&uses("./a/"), &files).plan.unwrap();
    let StepKind::Custom { action: Some(action), .. } = &plan.jobs[0].steps[0].kind else { panic!() };
    let crate::plan::ActionRuns::Composite { steps } = &action.runs else { panic!() };
    assert!(matches!(&steps[0].kind, StepKind::Custom { action: Some(b), .. } if matches!(b.runs, crate::plan::ActionRuns::Node { .. })));
    assert_eq!(serde_json::from_str::<Plan>(&serde_json::to_string(&plan).unwrap()).unwrap(), plan);
    assert!(with_files(&uses("./c"), &files).plan.is_some());
    assert!(with_files(&uses("docker://alpine:3"), &files).plan.is_some());
    for (what, expect) in [
        ("./none", "w.yml:5:20: error[unknown_action]: `./none`: there is no action.yml"),
        ("./self", "self/action.yml:1:41: error[too_deep]"),
        ("./bad", "bad/action.yml:1:34: error[missing_key]: Required property is missing: shell"),
        ("./bad", "error[expression]: Unrecognized named-value: 'secrets'"),
        ("./wide", "error[too_deep]"),
        ("./ruby", "ruby/action.yml:1:7: error[unsupported_action]: `using: ruby`"),
        ("{x: 1}", "error[wrong_type]"),
    ] {
        let found = with_files(&uses(what), &files);
        assert!(found.diagnostics.iter().any(|d| d.to_string().contains(expect)), "{what}: {:#?}", found.diagnostics);
        assert!(found.plan.is_none());
    }
    let given = "on: push\njobs: {a: {runs-on: x, steps: [{uses: ./a, with: {y: 1}}]}}";
    assert!(with_files(given, &files).diagnostics[0].to_string().contains("warning[unknown_input]: Unexpected input 'y'"));
}

#[test]
fn called_workflows_become_jobs() {
    const CALLED: &str = "on: {workflow_call: {inputs: {w: {type: string, required: true}, n: {type: number}}, secrets: {s: {required: true}}, outputs: {o: {value: '${{ jobs.y.outputs.o }}'}}}}
permissions: {contents: read}
jobs:
  x: {runs-on: x, steps: [{run: a}]}
  y: {runs-on: x, needs: x, outputs: {o: '1'}, steps: [{run: a}]}
  z: {needs: y, uses: ./.github/workflows/deep.yml}
";
    let files = [
        (".github/workflows/called.yml", CALLED),
        (".github/workflows/deep.yml", "on: workflow_call\njobs: {d: {runs-on: x, name: Deep, steps: [{run: a}]}}"),
        (".github/workflows/push.yml", "on: push\njobs: {d: {runs-on: x, steps: [{run: a}]}}"),
        (".github/workflows/loop.yml", "on: workflow_call\njobs: {d: {uses: ./.github/workflows/loop.yml}}"),
    ];
    let text = "on: push
jobs:
  first: {runs-on: x, steps: [{run: a}]}
  call: {needs: first, if: github.ref == 'x', permissions: {contents: write}, uses: ./.github/workflows/called.yml, with: {w: a}, secrets: {s: '${{ secrets.S }}'}}
  last: {needs: call, runs-on: x, steps: [{run: a}]}
";
    let plan = with_files(text, &files).plan.unwrap();
    let keys: Vec<&str> = plan.jobs.iter().map(|j| j.key.as_str()).collect();
    assert_eq!(keys, ["first", "call/x", "call/y", "call/z/d", "call/z", "call", "last"]);
    let deep = plan.job("call/z/d").unwrap();
    assert_eq!(deep.name.as_deref(), Some("call / z / Deep"));
    let scope = deep.scope.as_ref().unwrap();
    assert_eq!((scope.prefix.as_str(), scope.needs.as_slice()), ("call/z/", ["call/y".to_owned()].as_slice()));
    assert_eq!(scope.outer.as_ref().unwrap().needs, ["first"]);
    assert_eq!(plan.job("call").unwrap().needs, ["call/x", "call/y", "call/z/d", "call/z"]);
    let level = |p: &Option<crate::plan::Permissions>| p.as_ref().unwrap().level("contents");
    assert_eq!(level(&plan.job("call/x").unwrap().permissions), crate::plan::Level::Read);
    for (call, expect) in [
        ("uses: ./.github/workflows/called.yml", "error[missing_input]: Input w is required"),
        ("uses: ./.github/workflows/called.yml, with: {w: a}", "error[missing_secret]: Secret s is required"),
        (
            "uses: ./.github/workflows/called.yml, with: {w: a, n: true}",
            "error[wrong_type]: Unexpected value 'true': the input n is a number",
        ),
        ("uses: ./.github/workflows/called.yml, with: {q: a}", "error[unknown_input]: Invalid input, q is not defined"),
        ("uses: ./.github/workflows/push.yml", "error[not_callable]"),
        ("uses: ./.github/workflows/none.yml", "error[unknown_workflow]"),
        ("uses: ./.github/workflows/loop.yml", "error[too_deep]"),
    ] {
        let found = with_files(&format!("on: push\njobs: {{a: {{{call}}}}}"), &files);
        assert!(found.diagnostics.iter().any(|d| d.to_string().contains(expect)), "{call}: {:#?}", found.diagnostics);
    }
}

#[test]
fn steps_without_ids_get_them() {
    let p = plan(
        "on: push\njobs: {a: {runs-on: x, steps: [{run: a}, {uses: actions/checkout@v4}, {id: b, run: b}, {run: c}, {uses: 'docker://alpine:3'}, {uses: actions/checkout@v3}, {uses: ./a}, {uses: o/r/sub@v1}]}}",
    );
    let ids: Vec<&str> = p.jobs[0].steps.iter().filter_map(|s| s.id.as_deref()).collect();
    assert_eq!(ids, ["__run", "__actions_checkout", "b", "__run_2", "__alpine_3", "__actions_checkout_2", "__self", "__o_r"]);
}

#[test]
fn steps_at_once_take_their_turn() {
    let text = "on: push\njobs: {a: {runs-on: x, steps: [{id: s, run: a, background: true}, {parallel: [{run: b}, {run: c}]}, {wait: s}, {wait-all: }]}}";
    let scripts: Vec<String> = plan(text).jobs[0].steps.iter().map(Step::title).collect();
    assert_eq!(scripts, ["Run a", "Run b", "Run c"]);
    assert_eq!(messages(text).iter().filter(|m| m.contains("warning[not_at_once]")).count(), 2);
    let cancelled = "on: push\njobs: {a: {runs-on: x, steps: [{id: s, run: a, background: true}, {cancel: s}]}}";
    assert!(messages(cancelled).iter().any(|m| m.contains("w.yml:2:76: error[unsupported_key]: `cancel`")), "{:?}", messages(cancelled));
}

#[test]
fn calls_with_a_matrix_are_several() {
    let files = [(
        ".github/workflows/c.yml",
        "on: {workflow_call: {inputs: {v: {type: string}}, outputs: {o: {value: '${{ jobs.x.outputs.o }}'}}}}\njobs: {x: {runs-on: x, outputs: {o: '1'}, steps: [{run: a}]}}",
    )];
    let text = "on: push\njobs: {a: {uses: ./.github/workflows/c.yml, with: {v: '${{ matrix.n }}'}, strategy: {matrix: {n: [p, q]}}, concurrency: {group: g, queue: max}}}";
    let plan = with_files(text, &files).plan.unwrap();
    let shown: Vec<(&str, Option<&str>)> = plan.jobs.iter().map(|j| (j.key.as_str(), j.name.as_deref())).collect();
    let expect = [("a.1/x", Some("a (p) / x")), ("a.1", Some("a (p)")), ("a.2/x", Some("a (q) / x")), ("a.2", Some("a (q)")), ("a", None)];
    assert_eq!(shown, expect);
    let inner = plan.job("a.2/x").unwrap();
    assert!(inner.concurrency.as_ref().unwrap().queue);
    let roots = serde_json::json!({"github": {}});
    let seen = crate::ready::contexts(inner, &indexmap::IndexMap::new(), &roots).unwrap().into_owned();
    assert_eq!(seen, serde_json::json!({"github": {}, "inputs": {"v": "q"}}));
    // of equal outputs the last counts
    let result = |o: &str| crate::ready::JobResult {
        outcome: crate::ready::Outcome::Success,
        outputs: [("o".to_owned(), o.to_owned())].into_iter().collect(),
    };
    let results = [("a.1".to_owned(), result("1")), ("a.2".to_owned(), result("2"))].into_iter().collect();
    let whole = crate::ready::call_result(plan.job("a").unwrap(), &results, &roots).unwrap().unwrap();
    assert_eq!(whole.outputs["o"], "2");
}

#[test]
fn called_workflows_ask_for_no_more_than_their_callers_have() {
    let callee = |head: &str, job: &str| format!("on: workflow_call\n{head}\njobs: {{x: {{runs-on: x, {job}steps: [{{run: a}}]}}}}");
    let told = |caller: &str, callee: &str| {
        let text = format!("on: push\n{caller}\njobs:\n  a: {{uses: ./.github/workflows/c.yml}}");
        let compiled = with_files(&text, &[(".github/workflows/c.yml", callee)]);
        compiled.diagnostics.iter().find(|d| d.code == "permissions_exceeded").map(ToString::to_string)
    };
    assert_eq!(told("permissions: {actions: write}", &callee("permissions: {actions: read}", "")), None);
    let found = told("permissions: {actions: read}", &callee("", "permissions: {actions: write}, ")).unwrap();
    assert!(found.starts_with("w.yml:4:3: error"), "{found}");
    assert!(found.ends_with("The nested job 'x' is requesting 'actions: write', but is only allowed 'actions: read'."), "{found}");
    let found = told("", &callee("permissions: {contents: write, packages: write}", "")).unwrap();
    assert!(
        found.contains("is requesting 'contents: write, packages: write', but is only allowed 'contents: read, packages: write'."),
        "{found}"
    );
    assert!(told("permissions: {}", &callee("", "permissions: read-all, ")).is_some());
    assert_eq!(told("permissions: write-all", &callee("permissions: write-all", "")), None);
}

#[test]
fn dynamic_matrices_wait() {
    let p = plan(
        "on: push\njobs: {a: {runs-on: x, strategy: {matrix: '${{ fromJSON(needs.b.outputs.m) }}'}, needs: b, steps: [{run: a}]}, b: {runs-on: x, steps: [{run: a}]}}",
    );
    assert!(matches!(p.jobs[0].strategy.as_ref().unwrap().matrix, Some(Matrix::Dynamic(_))));
}

#[test]
fn workflow_paths() {
    assert!(is_workflow(".github/workflows/ci.yml"));
    assert!(is_workflow(".github/workflows/ci.yaml"));
    for no in [".github/workflows/a/ci.yml", ".github/workflows/.yml", "ci.yml", ".github/workflows/ci.json"] {
        assert!(!is_workflow(no), "{no}");
    }
}

#[test]
fn the_templates_compile_without_a_word() {
    let templates = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates");
    let mut seen = 0;
    for entry in std::fs::read_dir(templates).unwrap() {
        let file = entry.unwrap().path().join("files/.github/workflows/ci.yml");
        if let Ok(bytes) = std::fs::read(&file) {
            let compiled = compile(".github/workflows/ci.yml", &bytes);
            assert!(compiled.plan.is_some() && compiled.diagnostics.is_empty(), "{}: {:?}", file.display(), compiled.diagnostics);
            seen += 1;
        }
    }
    assert!(seen > 0);
}

proptest! {
    #[test]
    fn never_panics_on_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        compile("w.yml", &bytes);
    }

    #[test]
    fn never_panics_on_damaged_files(cut in 0..FULL.len(), insert in "[\\[\\]{}:,&*!|>'\"%@` \n-]{0,6}", remove in 0usize..20) {
        let mut bytes = FULL.as_bytes().to_vec();
        let end = (cut + remove).min(bytes.len());
        bytes.splice(cut..end, insert.bytes());
        compile("w.yml", &bytes);
    }
}
