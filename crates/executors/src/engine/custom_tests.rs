//! Composite and JavaScript actions, as jobs use them.

use tokio::sync::watch;

use super::tests::{Bench, spec_with};
use crate::protocol::Conclusion;
use crate::spawn::Stop;

const FILES: &[(&str, &str)] = &[
    (
        ".github/actions/greet/action.yml",
        r#"
name: Greet
inputs:
  who: { default: "${{ runner.os }}" }
  Loud: { required: true }
outputs:
  said: { value: "${{ steps.say.outputs.said }}!" }
runs:
  using: composite
  steps:
    - id: say
      shell: bash
      env: { OWN: "${{ inputs.who }}" }
      run: |
        echo "composite $OWN loud=${{ inputs.loud }} step=$FROM_STEP path=${{ github.action_path }}"
        echo "said=hi $OWN" >> "$GITHUB_OUTPUT"
        echo "KEPT=for-later" >> "$GITHUB_ENV"
    - if: failure()
      shell: bash
      run: echo never
    - uses: ./inner
      with: { word: "${{ steps.say.outputs.said }}" }
"#,
    ),
    (
        "inner/action.yaml",
        "runs:\n  using: composite\n  steps:\n    - run: echo \"inner ${{ inputs.word }} $KEPT\"\n      shell: sh\ninputs: {word: {}}\n",
    ),
    (
        "js/action.yml",
        "name: JS\ninputs: {the-name: {default: d}, token: {default: '${{ github.token }}'}}\nruns: {using: node20, pre: pre.js, main: main.js, post: post.js, post-if: success()}\n",
    ),
];

/// The files of the actions as a step writes them into the workspace, where checkout would have put them.
fn put(files: &[(&str, &str)]) -> String {
    let mut script = String::new();
    for (path, text) in files {
        let directory = path.rsplit_once('/').map_or(".", |(d, _)| d);
        let lines: String = text.lines().map(|l| format!("          {l}\n")).collect();
        script.push_str(&format!("          mkdir -p {directory} && cat > {path} <<'END'\n{lines}          END\n"));
    }
    script
}

async fn run(steps: &str, more: &[(&str, &str)]) -> (Bench, String) {
    let mut bench = Bench::new().await;
    let text = format!(
        "on: push\njobs:\n  build:\n    runs-on: x\n    outputs: {{said: '${{{{ steps.greet.outputs.said }}}}'}}\n    steps:\n      - run: |\n{}{steps}",
        put(more)
    );
    let (_keep, stop) = watch::channel(Stop::No);
    let log = bench.run_with(spec_with(&text, FILES), stop).await;
    (bench, log)
}

#[tokio::test(flavor = "multi_thread")]
async fn composite_actions() {
    let dirs = [(".github/actions/greet/x", "x"), ("inner/x", "x")];
    let steps = r#"      - id: greet
        uses: ./.github/actions/greet
        env: { FROM_STEP: mine }
        with: { LOUD: yes }
      - run: echo "after $KEPT [$FROM_STEP] ${{ steps.greet.outputs.said }} ${{ steps.say.outputs.said }}"
"#;
    let (bench, log) = run(steps, &dirs).await;
    assert!(log.contains("composite Linux loud=yes step=mine path=/"), "{log}");
    assert!(log.contains("/.github/actions/greet\n"), "{log}");
    assert!(log.contains("inner hi Linux for-later"), "{log}");
    assert!(log.contains("after for-later [] hi Linux! \n"), "{log}");
    assert!(!log.contains("never\n"), "{log}");
    let outcome = bench.outcome.as_ref().unwrap();
    assert_eq!((outcome.conclusion, outcome.outputs["said"].as_str()), (Conclusion::Success, "hi Linux!"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn javascript_actions() {
    let programs = [
        ("js/pre.js", "require('fs').appendFileSync(process.env.GITHUB_STATE, 'from=pre\\n'); console.log('pre ran');"),
        (
            "js/main.js",
            "const fs = require('fs');\nconsole.log('main', process.env['INPUT_THE-NAME'], process.env.STATE_from, !!process.env.INPUT_TOKEN, process.env.GITHUB_ACTION_PATH.endsWith('/js'));\nfs.appendFileSync(process.env.GITHUB_OUTPUT, 'o=1\\n'); console.log('::save-state name=n::two'); fs.appendFileSync(process.env.GITHUB_ENV, 'JS=env\\n');",
        ),
        ("js/post.js", "console.log('post', process.env.STATE_from, process.env.STATE_n, process.env['INPUT_THE-NAME']);"),
    ];
    let steps = r#"      - id: js
        uses: ./js
        with: { the-name: given }
      - run: echo "after ${{ steps.js.outputs.o }} $JS"
"#;
    let (bench, log) = run(steps, &programs).await;
    assert!(log.contains("pre ran\n"), "{log}");
    assert!(log.contains("main given pre true true"), "{log}");
    assert!(log.contains("after 1 env"), "{log}");
    let post = log.find("post pre two given").unwrap_or_else(|| panic!("{log}"));
    assert!(post > log.find("after 1 env").unwrap());
    let rows = bench.host.rows.lock().unwrap();
    assert!(rows.values().any(|r| r.name == "Post Run ./js" && r.conclusion == Some(Conclusion::Success)), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_that_fails_fails_its_step() {
    let programs =
        [("js/pre.js", ""), ("js/main.js", "console.log('::error::no luck'); process.exit(4)"), ("js/post.js", "console.log('post ran')")];
    let steps = "      - uses: ./js\n      - uses: ./.github/actions/greet\n        with: {loud: 1}\n        if: always()\n";
    let (bench, log) = run(steps, &programs).await;
    assert!(log.contains("exit code 4"), "{log}");
    assert!(!log.contains("\npost ran"), "{log}");
    assert!(log.contains("Can't find `/") && log.contains("did a step check it out?"), "{log}");
    assert_eq!(bench.outcome.as_ref().unwrap().conclusion, Conclusion::Failure);
}

#[tokio::test(flavor = "multi_thread")]
async fn problem_matchers_find_remarks() {
    let matcher = r#"{"problemMatcher":[{"owner":"x","severity":"warning","pattern":[{"regexp":"^(\\S+) line (\\d+): (.*)$","file":1,"line":2,"message":3}]}]}"#;
    let steps = "      - run: |
          echo 'a.c line 1: before'
          echo '::add-matcher::m/x.json'
          echo 'b.c line 2: during'
      - run: |
          echo 'c.c line 3: later'; echo '::remove-matcher owner=x::'
      - run: |
          echo 'd.c line 4: after'; echo '::add-matcher::none.json'
";
    let (bench, log) = run(steps, &[("m/x.json", matcher)]).await;
    assert!(log.contains("d.c line 4: after"), "{log}");
    let annotations = bench.host.annotations.lock().unwrap();
    let found: Vec<_> = annotations.iter().map(|a| (a.file.as_deref().unwrap_or_default(), a.line, a.message.as_str())).collect();
    assert_eq!(found[..2], [("b.c", Some(2), "during"), ("c.c", Some(3), "later")], "{found:?}");
    assert!(found[2].2.starts_with("the problem matcher is not used: none.json"), "{found:?}");
    assert_eq!(found.len(), 3);
}
