//! Rust: what `cargo test` prints, and the lines of JSON of libtest and nextest (`--message-format libtest-json`).

use std::collections::HashMap;

use serde::Deserialize;

use super::{Case, MAX_DETAILS, bounded, enough, millis};

#[derive(Deserialize)]
struct Event {
    r#type: String,
    event: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    exec_time: f64,
    #[serde(default)]
    stdout: String,
    #[serde(default)]
    message: Option<String>,
}

/// Takes colours out.
fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            for c in chars.by_ref() {
                if c.is_ascii_alphabetic() {
                    break;
                }
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// Reads a run of tests, of one crate or of many.
///
/// # Errors
/// In words, when there is nothing of a test in it.
pub fn parse(text: &str) -> Result<Vec<Case>, String> {
    if text.lines().any(|l| l.starts_with("{\"type\":") || l.starts_with("{ \"type\":")) {
        return json(text);
    }
    let mut cases: Vec<Case> = Vec::new();
    let mut suite = String::new();
    // where the output of a failed test goes: the last of its name
    let mut failed: HashMap<String, usize> = HashMap::new();
    let mut open: Option<(usize, String)> = None;
    let mut known = false;
    for line in text.lines() {
        let line = plain(line);
        let body = line.trim();
        if let Some(name) = body.strip_prefix("---- ").and_then(|l| l.strip_suffix(" stdout ----").or_else(|| l.strip_suffix(" ----"))) {
            close(&mut cases, open.take());
            open = failed.get(name).map(|i| (*i, String::new()));
        } else if body == "failures:" || body.starts_with("test result: ") {
            close(&mut cases, open.take());
            known |= body != "failures:";
        } else if let Some((_, text)) = &mut open {
            if text.len() < MAX_DETAILS {
                text.push_str(&line);
                text.push('\n');
            }
        } else if let Some(target) = body.strip_prefix("Running ") {
            suite = running(target);
        } else if let Some(package) = body.strip_prefix("Doc-tests ") {
            suite = format!("{} (doc)", package.trim());
        } else if let Some((name, end)) = body.strip_prefix("test ").and_then(|l| l.rsplit_once(" ... ")) {
            let Some(mut case) = outcome(&suite, name, end) else { continue };
            case.class = name.rsplit_once("::").map_or(String::new(), |(module, _)| bounded(module, super::MAX_NAME));
            if case.status == "failed" {
                failed.insert(name.to_owned(), cases.len());
            }
            cases.push(case);
            enough(cases.len())?;
            known = true;
        }
    }
    close(&mut cases, open);
    if known { Ok(cases) } else { Err("not the output of `cargo test`: it has no line `test … ... ok`".into()) }
}

/// `unittests src/lib.rs (target/debug/deps/kernel-0123456789abcdef)`: the name of the program without its hash.
fn running(target: &str) -> String {
    let inside = target.rsplit_once('(').and_then(|(_, t)| t.strip_suffix(')'));
    let Some(program) = inside.and_then(|t| t.rsplit(['/', '\\']).next()) else { return bounded(target, super::MAX_NAME) };
    program.rsplit_once('-').map_or(program, |(name, _)| name).to_owned()
}

fn outcome(suite: &str, name: &str, end: &str) -> Option<Case> {
    let (word, rest) = end.split_once([' ', ',']).unwrap_or((end, ""));
    let status = match word {
        "ok" | "bench:" => "passed",
        "FAILED" => "failed",
        "ignored" => "skipped",
        _ => return None,
    };
    let mut case = Case::new(suite, name.trim_end_matches(" - should panic"), status);
    // `--report-time` adds `<0.012s>`
    if let Some(time) = rest.trim().strip_prefix('<').and_then(|t| t.strip_suffix("s>")) {
        case.duration_ms = millis(time.parse().unwrap_or(0.0));
    } else if status == "skipped" && !rest.trim().is_empty() {
        case.message = Some(bounded(rest.trim(), super::MAX_MESSAGE));
    }
    Some(case)
}

fn close(cases: &mut [Case], open: Option<(usize, String)>) {
    if let Some((index, text)) = open
        && let Some(case) = cases.get_mut(index)
    {
        case.explain(&text);
        // the panic's first line only says where
        if let Some(said) = text.lines().skip_while(|l| !l.contains(" panicked at ")).nth(1).filter(|l| !l.trim().is_empty()) {
            case.message = Some(bounded(said.trim(), super::MAX_MESSAGE));
        }
    }
}

fn json(text: &str) -> Result<Vec<Case>, String> {
    let mut cases = Vec::new();
    for line in text.lines().filter(|l| l.starts_with('{')) {
        let Ok(event) = serde_json::from_str::<Event>(line) else { continue };
        if event.r#type != "test" {
            continue;
        }
        let status = match event.event.as_str() {
            "ok" => "passed",
            "failed" => "failed",
            "ignored" => "skipped",
            "timeout" => "error",
            _ => continue,
        };
        // nextest writes `crate::binary$module::name`, and `#2` behind a second try
        let (suite, name) = event.name.split_once('$').unwrap_or(("", &event.name));
        let mut case = Case::new(suite, name, status);
        case.class = name.rsplit_once("::").map_or(String::new(), |(module, _)| bounded(module, super::MAX_NAME));
        case.duration_ms = millis(event.exec_time);
        case.message = event.message.map(|m| bounded(&m, super::MAX_MESSAGE));
        if matches!(status, "failed" | "error") {
            case.explain(&event.stdout);
        }
        cases.push(case);
        enough(cases.len())?;
    }
    if cases.is_empty() && !text.contains("\"type\":\"suite\"") && !text.contains("\"type\": \"suite\"") {
        return Err("no line is an event of a Rust test".into());
    }
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_test_prints() {
        let text = "   Compiling demo v0.1.0\n     Running unittests src/lib.rs (target/debug/deps/demo-0123456789abcdef)\n\nrunning 4 tests\n\
            test a::ok ... ok\ntest a::bad ... \u{1b}[31mFAILED\u{1b}[m\ntest slow ... ignored, takes an hour\ntest t ... ok <0.012s>\n\nfailures:\n\n\
            ---- a::bad stdout ----\n\nthread 'a::bad' panicked at src/lib.rs:9:9:\nassertion `left == right` failed\n  left: 1\n right: 2\n\n\
            failures:\n    a::bad\n\ntest result: FAILED. 2 passed; 1 failed; 1 ignored\n\n   Doc-tests demo\n\ntest src/lib.rs - f (line 3) ... ok\n";
        let cases = parse(text).unwrap();
        let short: Vec<_> = cases.iter().map(|c| (c.suite.as_str(), c.class.as_str(), c.name.as_str(), c.status, c.duration_ms)).collect();
        assert_eq!(
            short,
            [
                ("demo", "a", "a::ok", "passed", 0),
                ("demo", "a", "a::bad", "failed", 0),
                ("demo", "", "slow", "skipped", 0),
                ("demo", "", "t", "passed", 12),
                ("demo (doc)", "", "src/lib.rs - f (line 3)", "passed", 0)
            ]
        );
        assert_eq!(cases[1].message.as_deref(), Some("assertion `left == right` failed"));
        assert!(cases[1].details.as_deref().unwrap().ends_with("right: 2"));
        assert_eq!(cases[2].message.as_deref(), Some("takes an hour"));
        assert!(parse("hello").is_err());
        assert_eq!(parse("test result: ok. 0 passed; 0 failed\n").unwrap(), []);
    }

    #[test]
    fn lines_of_json() {
        let text = r#"{"type":"suite","event":"started","test_count":2}
{"type":"test","event":"started","name":"demo::bin$a::ok"}
{"type":"test","event":"ok","name":"demo::bin$a::ok","exec_time":0.5}
{"type":"test","event":"failed","name":"demo::bin$b","exec_time":0.001,"stdout":"left is not right\nat all"}
"#;
        let cases = parse(text).unwrap();
        let short: Vec<_> = cases.iter().map(|c| (c.suite.as_str(), c.name.as_str(), c.status, c.duration_ms)).collect();
        assert_eq!(short, [("demo::bin", "a::ok", "passed", 500), ("demo::bin", "b", "failed", 1)]);
        assert_eq!(cases[1].message.as_deref(), Some("left is not right"));
    }
}
