//! `devmentor pipeline run`: the pipeline of a working directory, without a server, with the real git.

#![expect(clippy::disallowed_methods, reason = "the binary itself is under test")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use testkit::until;

const WORKFLOW: &str = r#"name: CI
on:
  push:
  workflow_dispatch: {inputs: {word: {type: string, default: none}}}
jobs:
  build:
    runs-on: ubuntu-latest
    outputs: {word: '${{ steps.read.outputs.word }}'}
    steps:
      - uses: actions/checkout@v4
        with: {fetch-depth: 0}
      - uses: actions/cache@v4
        with: {path: kept, key: kept}
      - run: |
          test ! -e kept/old || echo "the cache is warm"
          mkdir -p kept; touch kept/old
          echo "history $(git log --format=%s | tail -1) $(git tag) files $(ls | tr '\n' ' ')"
          echo "secret ${{ secrets.WORD == 'hush' }} ${{ secrets.WORD }} variable ${{ vars.WORD }} input ${{ inputs.word }}"
      - id: read
        run: echo "word=$(cat word)" >> "$GITHUB_OUTPUT"
      - uses: actions/upload-artifact@v4
        with: {name: out, path: word}
  test:
    needs: build
    runs-on: ubuntu-latest
    strategy: {matrix: {n: [1, 2]}}
    steps:
      - run: echo "cell ${{ matrix.n }} got ${{ needs.build.outputs.word }} on ${{ github.ref }} of ${{ github.event.repository.default_branch }}"
  slow:
    if: vars.SLOW == 'yes'
    runs-on: ubuntu-latest
    steps:
      - run: echo it sleeps; sleep 120
  bad:
    if: vars.BAD == 'yes'
    runs-on: ubuntu-latest
    steps:
      - run: exit 3
"#;

struct Desk {
    dir: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir_all(desk.tree().join(".github/workflows")).unwrap();
        desk.git(&["init", "-q", "-b", "trunk"]);
        desk.write(".github/workflows/ci.yml", WORKFLOW);
        desk.write("word", "committed");
        desk.write(".gitignore", "*.log\n");
        desk.git(&["add", "-A"]);
        desk.git(&["commit", "-q", "-m", "the first"]);
        desk.git(&["tag", "v1"]);
        desk
    }

    fn tree(&self) -> PathBuf {
        self.dir.path().join("My App")
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.tree().join(name), text).unwrap();
    }

    fn git(&self, args: &[&str]) -> String {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]).args(args).current_dir(self.tree());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(testkit::binary());
        command.args(["pipeline", "run"]).args(args).current_dir(self.tree());
        command.env("XDG_CACHE_HOME", self.dir.path().join("cache")).env("HOME", self.dir.path()).env("HUSH", "hush");
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        Ran(self.command(args).output().unwrap())
    }
}

struct Ran(Output);

impl Ran {
    fn code(&self) -> i32 {
        self.0.status.code().unwrap_or(-1)
    }

    fn text(&self) -> String {
        format!("{}{}", String::from_utf8_lossy(&self.0.stdout), String::from_utf8_lossy(&self.0.stderr))
    }

    fn has(&self, words: &str) -> &Self {
        assert!(self.text().contains(words), "`{words}` is missing in:\n{}", self.text());
        self
    }
}

#[test]
fn what_is_not_committed_is_run_and_nothing_of_it_is_left_behind() {
    let desk = Desk::new();
    desk.write("word", "changed");
    desk.write("new", "x");
    desk.write("noise.log", "x");
    fs::create_dir(desk.tree().join("deep")).unwrap();
    let before = (desk.git(&["status", "--short"]), desk.git(&["count-objects"]), desk.git(&["for-each-ref"]));
    let artifacts = desk.dir.path().join("artifacts");
    let ran = desk.run(&["--secret", "WORD=hush", "--variable", "WORD=loud", "--artifacts", artifacts.to_str().unwrap()]);
    assert_eq!(ran.code(), 0, "{}", ran.text());
    ran.has("history the first v1 files kept new word").has("secret true *** variable loud input");
    ran.has("cell 1 got changed on refs/heads/trunk of trunk").has("cell 2 got changed").has("success   test (2)").has("skipped   bad");
    assert!(artifacts.join("out.zip").exists());
    assert_eq!(before, (desk.git(&["status", "--short"]), desk.git(&["count-objects"]), desk.git(&["for-each-ref"])));
    // what an earlier run was given is gone, what it kept is there
    let again = desk.run(&["--job", "build", "--event", "workflow_dispatch", "-i", "word=given"]);
    assert_eq!(again.code(), 0, "{}", again.text());
    again.has("the cache is warm").has("secret false  variable  input given");
    assert!(!again.text().contains("test (1)"));
}

#[test]
fn it_fails_as_the_pipeline_does() {
    let desk = Desk::new();
    let bad = desk.run(&["--variable", "BAD=yes", "--json"]);
    assert_eq!(bad.code(), 1);
    let told: serde_json::Value = serde_json::from_slice(&bad.0.stdout).unwrap();
    assert_eq!((&told["runs"][0]["conclusion"], &told["runs"][0]["event"]), (&"failure".into(), &"push".into()));
    bad.has("CI ended with failure");
    assert_eq!(desk.run(&["--workflow", "none.yml"]).code(), 4);
    assert_eq!(desk.run(&["--job", "none"]).has("it has no job none").code(), 1);
    assert_eq!(desk.run(&["--event", "release"]).has("cannot be played here").code(), 2);
    assert_eq!(desk.run(&["--event", "schedule"]).has("`on` does not name this event").code(), 1);
    desk.write(".github/workflows/ci.yml", "on: push\njobs: 3\n");
    assert_eq!(desk.run(&[]).has(".github/workflows/ci.yml:2:7: error").code(), 1);
    desk.write(".github/workflows/ci.yml", "on: push\njobs:\n  a: {runs-on: mainframe, steps: [{run: a}]}\n");
    assert_eq!(desk.run(&[]).has("no online runner has the label `mainframe`").has("another machine").code(), 1);
}

#[test]
fn a_run_that_is_interrupted_or_killed_goes_on_nowhere() {
    let desk = Desk::new();
    for signal in ["-INT", "-KILL"] {
        let mut child = desk.command(&["--variable", "SLOW=yes", "--job", "slow"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
        assert!(lines.any(|l| l.unwrap().ends_with("│ it sleeps")), "it began");
        let began = Instant::now();
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let status = until("it ends", Duration::from_secs(60), || child.try_wait().unwrap());
        assert!(!status.success());
        assert!(began.elapsed() < Duration::from_secs(60), "it does not wait for the job");
    }
    let next = desk.run(&["--job", "build"]);
    assert_eq!(next.code(), 0, "{}", next.text());
    assert!(!next.text().contains("slow"), "{}", next.text());
}

#[test]
fn a_directory_without_git_and_other_languages_run_too() {
    let dir = tempfile::tempdir().unwrap();
    let run = |name: &str, file: &str, text: &str| {
        let tree = dir.path().join(name);
        fs::create_dir(&tree).unwrap();
        fs::write(tree.join(file), text).unwrap();
        fs::write(tree.join("word"), "here").unwrap();
        let mut command = Command::new(testkit::binary());
        command.args(["pipeline", "run"]).current_dir(&tree).env("XDG_CACHE_HOME", dir.path().join("cache")).env("HOME", dir.path());
        Ran(command.output().unwrap())
    };
    let gitlab = "t:\n  script: ['echo \"$(cat word) $CI_PIPELINE_SOURCE $CI_DEFAULT_BRANCH\"']\nlater: {when: manual, script: [x]}\n";
    let gitlab = run("gl", ".gitlab-ci.yml", gitlab);
    assert_eq!(gitlab.has("here push main").has("waits for somebody to start it").code(), 0);
    let jenkins = run("jk", "Jenkinsfile", "pipeline { agent any\n stages { stage('A') { steps { sh 'cat word' } } } }\n");
    assert_eq!(jenkins.has("│ here").code(), 0);
    let none = run("none", "readme", "x");
    assert_eq!(none.has("no build was detected").code(), 1);
}
