//! `go test -json`: a line of JSON for each event, between lines of anything else (see `go doc test2json`).

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use super::{Case, MAX_DETAILS, bounded, enough, millis};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    action: String,
    #[serde(default)]
    package: String,
    #[serde(default)]
    test: String,
    #[serde(default)]
    elapsed: f64,
    #[serde(default)]
    output: String,
    /// Of the events of a build that failed.
    #[serde(default)]
    import_path: String,
}

/// Adds output of a test that may fail yet.
fn gather(texts: &mut HashMap<(String, String), String>, key: (String, String), text: &str) {
    let noise = ["=== RUN", "=== PAUSE", "=== CONT", "=== NAME", "--- PASS", "--- SKIP", "PASS\n"];
    if noise.iter().any(|n| text.trim_start().starts_with(n)) {
        return;
    }
    let slot = texts.entry(key).or_default();
    if slot.len() < MAX_DETAILS {
        slot.push_str(text);
    }
}

/// Reads the events; each test and subtest is a case, and so is a package that fails by itself.
///
/// # Errors
/// In words, when no line is an event.
pub fn parse(text: &str) -> Result<Vec<Case>, String> {
    let mut cases: Vec<Case> = Vec::new();
    let mut texts: HashMap<(String, String), String> = HashMap::new();
    let mut running: BTreeMap<(String, String), ()> = BTreeMap::new();
    let mut failed_packages: HashMap<String, usize> = HashMap::new();
    let mut events = 0usize;
    for line in text.lines().filter(|l| l.starts_with('{')) {
        let Ok(event) = serde_json::from_str::<Event>(line) else { continue };
        events += 1;
        let Event { action, package, test, elapsed, output, import_path } = event;
        let key = (package, test);
        match action.as_str() {
            "run" => {
                running.insert(key, ());
                enough(running.len() + cases.len())?;
            }
            "output" => gather(&mut texts, key, &output),
            "build-output" => gather(&mut texts, (import_path, String::new()), &output),
            "pass" | "fail" | "skip" => {
                running.remove(&key);
                let said = texts.remove(&key).unwrap_or_default();
                let (package, test) = key;
                if test.is_empty() {
                    // a package fails by itself when it does not build, or breaks off
                    if action == "fail" && !failed_packages.contains_key(&package) {
                        let mut case = Case::new(&package, "(package)", "error");
                        case.class = case.suite.clone();
                        case.duration_ms = millis(elapsed);
                        case.explain(&said);
                        cases.push(case);
                    }
                } else {
                    let status = match action.as_str() {
                        "pass" => "passed",
                        "skip" => "skipped",
                        _ => "failed",
                    };
                    let mut case = Case::new(&package, &test, status);
                    case.class = case.suite.clone();
                    case.duration_ms = millis(elapsed);
                    if status == "failed" {
                        *failed_packages.entry(package).or_default() += 1;
                        case.explain(&said);
                    } else if status == "skipped" {
                        case.message = Some(bounded(said.trim(), 1000)).filter(|m| !m.is_empty());
                    }
                    cases.push(case);
                }
                enough(cases.len())?;
            }
            _ => {}
        }
    }
    if events == 0 {
        return Err("not the output of `go test -json`: no line is one of its events".into());
    }
    // the process died under them
    for ((package, test), ()) in running {
        let mut case = Case::new(&package, &test, "error");
        case.class = case.suite.clone();
        case.explain(texts.get(&(package, test)).map_or("", String::as_str));
        case.message.get_or_insert_with(|| "the test began and never ended".into());
        cases.push(case);
    }
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_subtests_and_packages() {
        let text = r#"{"Action":"start","Package":"m/a"}
{"Action":"run","Package":"m/a","Test":"TestOk"}
{"Action":"output","Package":"m/a","Test":"TestOk","Output":"=== RUN   TestOk\n"}
{"Action":"pass","Package":"m/a","Test":"TestOk","Elapsed":0.25}
{"Action":"run","Package":"m/a","Test":"TestBad/sub"}
{"Action":"output","Package":"m/a","Test":"TestBad/sub","Output":"    a_test.go:9: 1 is not 2\n"}
{"Action":"fail","Package":"m/a","Test":"TestBad/sub","Elapsed":0}
{"Action":"skip","Package":"m/a","Test":"TestLater","Elapsed":0}
{"Action":"fail","Package":"m/a","Elapsed":0.3}
FAIL	m/a	0.3s
{"ImportPath":"m/b","Action":"build-output","Output":"b.go:1: syntax error\n"}
{"Action":"fail","Package":"m/b","Elapsed":0,"FailedBuild":"m/b"}
{"Action":"run","Package":"m/c","Test":"TestHangs"}
"#;
        let cases = parse(text).unwrap();
        let short: Vec<_> = cases.iter().map(|c| (c.suite.as_str(), c.name.as_str(), c.status, c.duration_ms)).collect();
        assert_eq!(
            short,
            [
                ("m/a", "TestOk", "passed", 250),
                ("m/a", "TestBad/sub", "failed", 0),
                ("m/a", "TestLater", "skipped", 0),
                ("m/b", "(package)", "error", 0),
                ("m/c", "TestHangs", "error", 0)
            ]
        );
        assert_eq!(cases[1].message.as_deref(), Some("a_test.go:9: 1 is not 2"));
        assert_eq!(cases[3].message.as_deref(), Some("b.go:1: syntax error"));
        assert_eq!(cases[4].message.as_deref(), Some("the test began and never ended"));
        assert!(parse("ok m/a 0.3s").is_err());
        assert!(parse("").is_err());
    }
}
