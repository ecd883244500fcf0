//! Tests over all runs: history, what fails since when, what is flaky, quarantine, parts; on SQLite and PostgreSQL.

use serde_json::{Value, json};
use testkit::{Api, Clone, Database, Server, databases, eventually};

/// The results lie in the repository, one file for each attempt.
const WORKFLOW: &str = "on: push
jobs:
  unit:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: cp results-$GITHUB_RUN_ATTEMPT.xml out.xml || cp results-1.xml out.xml
      - uses: devmentor/report@v1
        with: {junit: out.xml, fail-on-failure: true}
      - if: always()
        env: {TOKEN: '${{ github.token }}'}
        run: |
          python3 - <<'END'
          import json, os, urllib.parse, urllib.request
          for total, index in ((2, 0), (2, 1)):
              body = json.dumps({'total': total, 'index': index, 'files': ['spec/a.js', 'spec/b.js', 'spec/c.js']}).encode()
              path = '/projects/' + urllib.parse.quote(os.environ['GITHUB_REPOSITORY'], safe='') + '/tests/split'
              ask = urllib.request.Request(os.environ['GITHUB_API_URL'] + path, body, {'authorization': 'Bearer ' + os.environ['TOKEN'], 'content-type': 'application/json'})
              print('part', index, ' '.join(json.load(urllib.request.urlopen(ask))['files']), 'end')
          END
";

struct House {
    server: Server,
    ann: Api,
    project: String,
    clone: Clone,
}

fn house(database: Database) -> House {
    let server = Server::start(database);
    let token = server.user_token("ann");
    let ann = server.anonymous().token(&token);
    let project = ann.post("/projects/create", &json!({"name": "web"})).expect(201).str("id");
    let clone = Clone::of(server.url(), &token, "ann/web", &server.scratch("clones").join("web"));
    clone.git(&["checkout", "-q", "-B", "main"]);
    clone.write(".github/workflows/ci.yml", WORKFLOW);
    House { server, ann, project, clone }
}

fn junit(cases: &[(&str, &str, bool)]) -> String {
    let case = |(name, seconds, passes): &(&str, &str, bool)| {
        let inner = if *passes { "" } else { "<failure message=\"no\"/>" };
        format!("<testcase classname=\"things\" name=\"{name}\" time=\"{seconds}\" file=\"spec/{name}.js\">{inner}</testcase>")
    };
    format!("<testsuite name=\"s\">{}</testsuite>", cases.iter().map(case).collect::<String>())
}

impl House {
    fn push(&self, results: &[(&str, &str, bool)], message: &str) -> (String, Value) {
        self.clone.write("results-1.xml", &junit(results));
        self.clone.write("message", message);
        let commit = self.clone.push(message);
        let run = self.done(&commit, 1);
        (commit, run)
    }

    fn done(&self, commit: &str, attempt: i64) -> Value {
        let path = format!("/projects/{}/runs?limit=100", self.project);
        let find = || {
            let all = self.ann.get(&path).expect(200).items();
            all.into_iter().find(|r| r["commit"] == commit && r["state"] == "completed" && r["attempt"] == attempt)
        };
        eventually("the run", || find().is_some());
        find().unwrap()
    }

    fn tests(&self, query: &str) -> Vec<Value> {
        self.ann.get(&format!("/projects/{}/tests{query}", self.project)).expect(200).items()
    }
}

fn names(tests: &[Value]) -> String {
    tests.iter().map(|t| t["name"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_test_has_a_history() {
    for database in databases() {
        let h = house(database);
        let (_, run) = h.push(&[("a", "0.9", true), ("b", "0.5", true), ("c", "0.3", true)], "all pass");
        assert_eq!(run["conclusion"], "success", "{run}");
        let all = h.tests("");
        assert_eq!(names(&all), "a b c");
        assert_eq!(
            (&all[0]["runs"], &all[0]["last"], &all[0]["median_ms"], &all[0]["flaky"]),
            (&json!(1), &json!("passed"), &json!(900), &json!(false))
        );
        assert_eq!((names(&h.tests("?state=slow&limit=2")), names(&h.tests("?q=SPEC/B"))), ("a b".into(), "b".into()));
        let page = h.ann.get(&format!("/projects/{}/tests?limit=2", h.project)).expect(200);
        let next = page.str("next");
        assert_eq!(names(&h.tests(&format!("?limit=2&after={next}"))), "c");
        h.ann.get(&format!("/projects/{}/tests?state=odd", h.project)).problem(422, "validation_failed");

        // it fails since the first of two commits
        let (second, run) = h.push(&[("a", "0.9", true), ("b", "0.7", false), ("c", "0.3", true)], "b breaks");
        assert_eq!(run["conclusion"], "failure", "{run}");
        h.push(&[("a", "0.9", true), ("b", "0.7", false), ("c", "0.3", true)], "b is still broken");
        let failing = h.tests("?state=failing");
        assert_eq!((names(&failing), failing[0]["first_failed_commit"].as_str()), ("b".into(), Some(second.as_str())));
        assert_eq!(
            (&failing[0]["runs"], &failing[0]["failures"], &failing[0]["recent"]),
            (&json!(3), &json!(2), &json!(["failed", "failed", "passed"]))
        );
        let id = failing[0]["id"].as_str().unwrap().to_owned();
        let history = h.ann.get(&format!("/tests/{id}/history")).expect(200).items();
        let states: Vec<&str> = history.iter().map(|r| r["state"].as_str().unwrap()).collect();
        assert_eq!((states, &history[1]["commit"]), (vec!["failed", "failed", "passed"], &json!(second)));
        assert_eq!(history[0]["message"], "no");

        // in quarantine it fails for nothing
        let path = format!("/tests/{id}/quarantine");
        let until = kernel::Timestamp::now().plus(std::time::Duration::from_secs(86_400));
        h.ann.put(&path, &json!({"reason": " ", "until": until})).problem(422, "validation_failed");
        h.ann.put(&path, &json!({"reason": "x", "until": "2020-01-01T00:00:00Z"})).problem(422, "validation_failed");
        h.server.user("out").put(&path, &json!({"reason": "x", "until": until})).problem(404, "not_found");
        let set = h.ann.put(&path, &json!({"reason": "#12", "until": until})).expect(200).json;
        assert_eq!(
            (&set["quarantine"]["by"]["name"], &set["quarantine"]["reason"], &set["quarantined"]),
            (&json!("ann"), &json!("#12"), &json!(true))
        );
        assert_eq!(names(&h.tests("?state=quarantined")), "b");
        let (_, run) = h.push(&[("a", "0.9", true), ("b", "0.7", false), ("c", "0.3", true)], "b is in quarantine");
        assert_eq!(run["conclusion"], "success", "{run}");
        let tests = h.ann.get(&format!("/runs/{}/tests", run["id"].as_str().unwrap())).expect(200).json;
        assert_eq!(
            (&tests["totals"]["failed"], &tests["totals"]["quarantined"], &tests["totals"]["tests"]),
            (&json!(0), &json!(1), &json!(3))
        );
        let b = tests["items"].as_array().unwrap().iter().find(|t| t["name"] == "b").unwrap();
        assert_eq!((&b["status"], &b["quarantined"], &b["test"]), (&json!("failed"), &json!(true), &json!(id)));
        h.ann.delete(&path).expect(204);
        assert!(h.tests("?state=quarantined").is_empty());
        // it passes again
        h.push(&[("a", "0.9", true), ("b", "0.7", true), ("c", "0.3", true)], "b is mended");
        assert!(h.tests("?state=failing").is_empty());
        let one = h.ann.get(&format!("/projects/{}/tests/{id}", h.project)).expect(200).json;
        assert_eq!((&one["first_failed_commit"], &one["last"]), (&Value::Null, &json!("passed")));
        h.server.user("other").get(&format!("/tests/{id}/history")).problem(404, "not_found");
    }
}

#[test]
fn what_fails_and_passes_on_one_commit_is_flaky() {
    for database in databases() {
        let h = house(database);
        h.clone.write("results-2.xml", &junit(&[("a", "0.9", true), ("b", "0.5", true)]));
        let (commit, run) = h.push(&[("a", "0.9", true), ("b", "0.5", false)], "b fails once");
        assert_eq!(run["conclusion"], "failure", "{run}");
        assert!(h.tests("?state=flaky").is_empty());
        h.ann.post(&format!("/runs/{}/retry", run["id"].as_str().unwrap()), &json!({})).expect(200);
        h.done(&commit, 2);
        let flaky = h.tests("?state=flaky");
        assert_eq!((names(&flaky), &flaky[0]["flaky_commit"]), ("b".into(), &json!(commit)));
        assert!(h.tests("?state=failing").is_empty(), "the second try passed");
    }
}

#[test]
fn parts_share_files_by_time_and_agree() {
    for database in databases() {
        let h = house(database);
        let split = format!("/projects/{}/tests/split", h.project);
        let (_, run) = h.push(&[("a", "0.9", true), ("b", "0.5", true), ("c", "0.6", true)], "times");
        let part = |index: usize, files: &[&str]| h.ann.post(&split, &json!({"total": 2, "index": index, "files": files})).expect(200).json;
        let all = ["spec/c.js", "./spec/b.js", "spec/a.js", "spec/new.js"];
        let (one, two) = (part(0, &all), part(1, &all));
        assert_eq!(one["files"], json!(["spec/a.js", "./spec/b.js"].iter().rev().collect::<Vec<_>>()), "{one} {two}");
        assert_eq!((&two["files"], &two["unknown"]), (&json!(["spec/c.js", "spec/new.js"]), &json!(1)));
        h.ann.post(&split, &json!({"total": 0, "index": 0, "files": []})).problem(422, "validation_failed");
        h.ann.post(&split, &json!({"total": 2, "index": 2, "files": []})).problem(422, "validation_failed");
        h.server.user("out").post(&split, &json!({"total": 2, "index": 0, "files": []})).problem(404, "not_found");
        // in a job, with its token: what the run was told first stays
        let job =
            h.ann.get(&format!("/runs/{}", run["id"].as_str().unwrap())).expect(200).json["jobs"][0]["id"].as_str().unwrap().to_owned();
        let log = h.ann.get(&format!("/jobs/{job}/log")).expect(200).text();
        assert!(log.contains("part 0 spec/a.js end") && log.contains("part 1 spec/b.js spec/c.js end"), "{log}");
    }
}

#[test]
fn what_a_commit_added_is_covered_or_not() {
    for database in databases() {
        let h = house(database);
        h.clone.write(
            ".github/workflows/ci.yml",
            "on: push
jobs:
  unit:
    strategy: {matrix: {part: [one, two]}}
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: devmentor/report@v1
        with: {lcov: '${{ matrix.part }}.info'}
",
        );
        let coverage = |lines: &str| format!("SF:/builds/ann/web/src/a.js\n{lines}end_of_record\nSF:other.js\nDA:1,0\nend_of_record\n");
        h.clone.write("one.info", &coverage("DA:1,1\nDA:3,0\n"));
        h.clone.write("two.info", &coverage("DA:1,0\n"));
        h.clone.write("src/a.js", "one\ntwo\nthree\n");
        let of = |run: &Value| h.ann.get(&format!("/runs/{}/coverage", run["id"].as_str().unwrap())).expect(200).json;
        // the first commit adds all there is
        let first = of(&h.done(&h.clone.push("first"), 1));
        assert_eq!((&first["patch"]["lines_valid"], &first["patch"]["lines_covered"]), (&json!(2), &json!(1)), "{first}");
        // the next ones only what is new, and what either job ran did
        h.clone.write("src/a.js", "one\nnew\nthree\nmore\nlast\nend\n");
        h.clone.write("one.info", &coverage("DA:1,1\nDA:2,1\nDA:3,0\nDA:4,0\nDA:5,0\n"));
        h.clone.write("two.info", &coverage("DA:1,0\nDA:2,0\nDA:4,3\nDA:5,0\n"));
        let run = h.done(&h.clone.push("second"), 1);
        let second = of(&run);
        let patch = &second["patch"];
        assert_eq!((&patch["lines_valid"], &patch["lines_covered"]), (&json!(3), &json!(2)), "{second}");
        assert_eq!(
            patch["files"],
            json!([{"path": "src/a.js", "valid": 3, "covered": 2, "ran": [[1, 2], [4, 4]], "missed": [[3, 3], [5, 5]]}])
        );
        assert_eq!(second["files"].as_array().map(Vec::len), Some(2));
        // what is kept for that is no artifact of the run
        assert!(h.ann.get(&format!("/runs/{}/artifacts", run["id"].as_str().unwrap())).expect(200).items().is_empty());
        // where only other files change there is nothing to say
        h.clone.write("README.md", "words");
        assert_eq!(of(&h.done(&h.clone.push("words"), 1))["patch"], Value::Null);
    }
}
