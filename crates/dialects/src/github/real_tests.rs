//! Constructs that well-known projects use in their workflows, each written down as a small file of our own: what is read
//! without a word, and what is told.

use super::*;

/// Project and file it was seen in; the construct; what must be said, nothing for a file that runs as it is.
type Fact = (&'static str, &'static str, &'static [&'static str]);

const FACTS: &[Fact] = &[
    (
        "rust-lang/cargo main.yml",
        "on: {push: {branches: [auto, try]}, pull_request: {branches: ['**']}}
concurrency: {group: \"${{ github.workflow }}-${{ (github.ref == 'refs/heads/try' && github.sha) || github.ref }}\", cancel-in-progress: true}
jobs:
  done:
    permissions: {contents: none}
    needs: [a]
    if: \"!success() && github.event_name == 'push' && github.repository == 'o/r'\"
    runs-on: x
    steps: [{run: exit 1}]
  a: {runs-on: x, env: {S: \"${{ github.event.pull_request.head.sha != '' && github.sha  }}\"}, steps: [{run: a}]}
",
        &["warning[unsupported_event]: `pull_request`"],
    ),
    (
        "tokio-rs/tokio ci.yml",
        "on: push
env: {rust: '1.75', FLAGS: -Dwarnings}
jobs:
  a:
    runs-on: ${{ matrix.target.os }}
    strategy: {matrix: {target: [{os: l, exclude_features: 'a,b'}]}}
    steps:
      - name: Install ${{ env.rust }}
        uses: dtolnay/rust-toolchain@stable
        with:
            toolchain: ${{ env.rust }}
            components: rust-src
      - run: cargo hack --exclude-features \"${{ matrix.target.exclude_features }}\"
        if: startsWith(matrix.target.os, 'ubuntu')
",
        &[],
    ),
    (
        "django/django schedule_tests.yml",
        "on: workflow_dispatch
jobs:
  a:
    runs-on: x
    strategy: {fail-fast: false, matrix: {version: [16, 17], bind: [0, 1]}}
    env: {BIND: '${{ matrix.bind }}'}
    services:
      postgres:
        image: postgres:${{ matrix.version }}-alpine
        env: {POSTGRES_DB: d}
        ports:
          - 5432:5432
        options: >-
          --health-cmd pg_isready
          --health-interval 10s
    continue-on-error: true
    steps: [{run: a, working-directory: ./tests/}]
",
        &[],
    ),
    (
        "vitejs/vite ci.yml",
        "permissions: {}
on:
  push: {branches: [main, release/*, 'v[0-9]+', 'v[0-9]+.[0-9]+']}
  workflow_dispatch:
jobs:
  changed:
    runs-on: x
    outputs: {skip: \"${{ steps.c.outputs.only == 'true' }}\"}
    steps: [{id: c, run: a}]
  test:
    needs: changed
    if: needs.changed.outputs.skip != 'true'
    strategy: {matrix: {os: [l], node: [20, 22], include: [{os: m, node: 22}]}}
    runs-on: ${{ matrix.os }}
    name: \"Build: node-${{ matrix.node }}, ${{ matrix.os }}\"
    steps: [{run: a}]
  failed: {if: (!cancelled() && failure()), needs: test, runs-on: x, steps: [{run: a}]}
",
        &[],
    ),
    (
        "prometheus/prometheus ci.yml",
        "---
name: CI
on:
  push:
jobs:
  build:
    runs-on: x
    if: |
      !(github.event_name == 'push' && startsWith(github.ref, 'refs/tags/v2.'))
      &&
      !(github.event_name == 'push' && github.event.ref == 'refs/heads/main')
    strategy:
      matrix:
        thread: [ 0, 1, 2 ]
    steps:
      - run: a
        shell: powershell
      - uses: actions/setup-node@v4
        with: {registry-url: 'https://r'}
      - if: ${{ !(contains(needs.*.result, 'failure')) }}
        run: exit 0
",
        &["error[unsupported_input]: `registry-url` is not supported"],
    ),
    (
        "astral-sh/ruff build-docker.yml",
        "on: {workflow_call: {inputs: {plan: {required: true, type: string}}}}
jobs:
  a:
    runs-on: x
    environment:
      name: ${{ inputs.plan != '' && !fromJson(inputs.plan).implicit && 'release' || '' }}
    steps:
      - uses: actions/checkout@v6
        with: {submodules: recursive, persist-credentials: false}
      - run: |
          type=pep440,pattern={{ version }},value=${{ inputs.plan != '' && fromJson(inputs.plan).tag || 'dry-run' }}
        env: {D: '${{ steps.build.outputs.digest }}'}
",
        &["warning[partly_supported]: `submodules`: submodules are not fetched"],
    ),
    (
        "nodejs/node create-release-proposal.yml",
        "on: {workflow_dispatch: {inputs: {line: {required: true, type: number, description: 'The line. e.g: 22'}}}}
concurrency: ${{ github.workflow }}
jobs: {a: {env: {B: 'v${{ inputs.line }}.x'}, runs-on: ubuntu-slim, steps: [{run: a, env: {T: '${{ github.token }}'}}]}}
",
        &[],
    ),
    (
        "denoland/deno ci.yml, wpt_epoch.yml",
        "on:
  schedule:
    # unquoted
    - cron: 30 0 * * *
  workflow_dispatch:
jobs:
  a:
    if: |
      github.event_name == 'push' ||
      !startsWith(github.event.pull_request.head.label, 'o:')
    strategy:
      matrix:
        include:
          - os: ${{ github.repository == 'o/r' && 'xl' || 'l' }}
            sysroot: true
      fail-fast: ${{ github.event_name == 'pull_request' ||
        (github.ref != 'refs/heads/main' &&
        !startsWith(github.ref, 'refs/tags/')) }}
    runs-on: ${{ matrix.os }}
    steps:
      - name: a
        if: (matrix.os == 'l' || matrix.os == 'm') &&
            github.ref == 'refs/heads/main'
        run: |-
          a
        env: {P: '${{env.pythonLocation}}\\python.exe'}
",
        &[],
    ),
    (
        "facebook/react runtime_build_and_test.yml",
        "on: {push: {branches: ['**']}}
jobs:
  a:
    runs-on: x
    env: {SHOW : true}
    steps: [{uses: actions/setup-java@v4, with: {java-version: 11.0.22}}]
",
        &[],
    ),
    (
        "kubernetes-sigs/kind docker.yaml",
        "on: {workflow_dispatch: , pull_request: {branches: [main], paths-ignore: ['site/**']}}
jobs: {a: {runs-on: x, strategy: {matrix: {f: [4, 6], d: [s, m]}}, env: {J: 'd-${{ matrix.d }}-${{ matrix.f }}'}, steps: [{run: a}]}}
",
        &["warning[unsupported_event]: `pull_request`"],
    ),
    (
        "pandas-dev/pandas unit-tests.yml",
        "on: push
defaults: {run: {shell: 'bash -el {0}'}}
jobs:
  a:
    runs-on: x
    strategy: {matrix: {env_file: [a, b], pattern: [''], include: [{name: N, env_file: c, pattern: p, lang: it}]}}
    name: ${{ matrix.name || format('l {0}', matrix.env_file) }}
    env: {L: \"${{ matrix.lang || 'C' }}\"}
    concurrency:
      group: ${{ github.event_name == 'push' && github.run_number || github.ref }}-${{ matrix.env_file }}
      cancel-in-progress: true
    services: {mysql: {image: mysql, env: {MYSQL_ALLOW_EMPTY_PASSWORD: yes}, ports: ['3306:3306']}}
    steps: [{run: a, if: \"${{ matrix.extra }}\"}, {run: b, if: \"${{ matrix.pattern == '' && (always() && steps.build.outcome == 'success')}}\"}]
",
        &[],
    ),
    (
        "home-assistant/core builder.yml",
        "on: {workflow_dispatch: , release: {types: ['published']}}
jobs:
  init: {runs-on: x, outputs: {a: '${{ steps.i.outputs.a }}', c: '${{ steps.i.outputs.c }}'}, steps: [{id: i, run: a}]}
  base:
    needs: init
    environment: ${{ needs.init.outputs.c }}
    strategy: {matrix: {arch: '${{ fromJson(needs.init.outputs.a) }}'}}
    permissions: {contents: read, packages: write, id-token: write}
    runs-on: x
    steps: [{run: a}]
",
        &["warning[unsupported_event]: `release`", "warning[permission_without_effect]: `id-token`"],
    ),
    (
        "pytorch/pytorch trunk.yml",
        "on:
  push: {branches: [main, landchecks/*], tags: [ciflow/trunk/*]}
  schedule:
    - cron: 29 8 * * *  # about 1:29am
jobs:
  labels: {runs-on: x, outputs: {t: '1'}, steps: [{run: a}]}
  build:
    needs: labels
    if: ${{ needs.labels.outputs.t == '' || contains(needs.labels.outputs.t, ' x ') }}
    uses: ./.github/workflows/b.yml
    with:
      matrix: |
        { include: [
          { config: \"default\", runner: \"${{ needs.labels.outputs.t }}l\" },
        ]}
      version: \"3.11\"
      generates: false
    secrets: inherit
",
        &["warning[unresolved_workflow]: `./.github/workflows/b.yml`"],
    ),
    (
        "vercel/next.js build_reusable.yml",
        "on: {workflow_call: {inputs: {minutes: {required: false, type: number, default: 30}, labels: {type: string, default: '[\"l\"]'}}}}
env: {T: '${{ vars.T }}', S: \"${{ inputs.labels == 'yes' && '1' || '0' }}\"}
jobs:
  a:
    timeout-minutes: ${{ inputs.minutes }}
    runs-on: ${{ fromJson(inputs.labels) }}
    steps:
      - run: a
        background: true
        id: i
      - wait: i
",
        &["warning[not_at_once]: steps run one after the other here, so the next"],
    ),
];

#[test]
fn constructs_of_well_known_projects() {
    let mut wrong = Vec::new();
    for (project, text, expect) in FACTS {
        let compiled = compile(".github/workflows/ci.yml", text.as_bytes());
        let found: Vec<String> = compiled.diagnostics.iter().map(ToString::to_string).collect();
        for expect in *expect {
            if !found.iter().any(|m| m.contains(expect)) {
                wrong.push(format!("{project}: expected {expect}, found {found:#?}"));
            }
        }
        for message in found.iter().filter(|m| !expect.iter().any(|e| m.contains(e))) {
            wrong.push(format!("{project}: {message}"));
        }
        let refused = expect.iter().any(|e| e.starts_with("error"));
        assert_eq!(compiled.plan.is_none(), refused, "{project}: {found:#?}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
