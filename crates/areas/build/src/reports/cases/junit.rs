//! JUnit XML: `testsuites`, nested `testsuite`s, `testcase` with `failure`, `error`, `skipped`, `system-out`.

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};

use super::{Case, MAX_DETAILS, MAX_MESSAGE, MAX_NAME, bounded, enough};

/// Deepest nesting.
const MAX_DEPTH: usize = 64;

/// The value of an attribute; a value with unknown entities stays as written.
pub(in crate::reports) fn attribute(e: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = e.try_get_attribute(name).ok().flatten()?;
    Some(found.normalized_value(XmlVersion::default()).map_or_else(|_| found.value.to_string(), |v| v.into_owned()))
}

/// Text of an entity or character reference; unknown ones stay as written, none is ever looked up.
pub(super) fn reference(name: &str) -> String {
    match name {
        "lt" => "<".into(),
        "gt" => ">".into(),
        "amp" => "&".into(),
        "quot" => "\"".into(),
        "apos" => "'".into(),
        other => {
            let code = other.strip_prefix('#').and_then(|n| match n.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok(),
                None => n.parse().ok(),
            });
            code.and_then(char::from_u32).map_or_else(|| format!("&{other};"), String::from)
        }
    }
}

fn millis(seconds: Option<String>) -> i64 {
    // some tools write a comma between thousands
    super::millis(seconds.and_then(|s| s.trim().replace(',', "").parse().ok()).unwrap_or(0.0))
}

/// Reads a report.
///
/// # Errors
/// In words, when it is no JUnit XML.
pub fn parse(text: &str) -> Result<Vec<Case>, String> {
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let mut cases: Vec<Case> = Vec::new();
    let mut suites: Vec<String> = Vec::new();
    let mut open: Vec<String> = Vec::new();
    let mut case: Option<Case> = None;
    let mut details: Option<String> = None;
    let mut root = false;
    loop {
        let event = reader.read_event().map_err(|e| format!("not valid XML at byte {}: {e}", reader.error_position()))?;
        let (start, empty) = match &event {
            Event::Start(e) => (Some(e), false),
            Event::Empty(e) => (Some(e), true),
            _ => (None, false),
        };
        if let Some(e) = start {
            let tag = e.local_name().into_inner().to_owned();
            if !root {
                if !matches!(tag.as_str(), "testsuites" | "testsuite") {
                    return Err(format!("a JUnit report begins with <testsuites> or <testsuite>, not with <{}>", bounded(&tag, 100)));
                }
                root = true;
            }
            match tag.as_str() {
                "testsuite" if !empty => suites.push(bounded(&attribute(e, "name").unwrap_or_default(), MAX_NAME)),
                "testcase" if case.is_none() => {
                    case = Some(Case {
                        suite: suites.last().cloned().unwrap_or_default(),
                        class: bounded(&attribute(e, "classname").or_else(|| attribute(e, "class")).unwrap_or_default(), MAX_NAME),
                        name: bounded(&attribute(e, "name").unwrap_or_default(), MAX_NAME),
                        status: "passed",
                        duration_ms: millis(attribute(e, "time")),
                        message: None,
                        details: None,
                        file: attribute(e, "file").map(|f| bounded(&f, MAX_NAME)),
                    });
                }
                "failure" | "error" | "skipped" => {
                    if let Some(c) = &mut case {
                        let status = match tag.as_str() {
                            "failure" => "failed",
                            "error" => "error",
                            _ => "skipped",
                        };
                        // the worst word stays, whatever order they come in
                        if c.status == "passed" || status == "error" || (status == "failed" && c.status == "skipped") {
                            c.status = status;
                            c.message =
                                attribute(e, "message").filter(|m| !m.is_empty()).map(|m| bounded(&m, MAX_MESSAGE)).or(c.message.take());
                        }
                        if !empty && tag != "skipped" {
                            details = Some(String::new());
                        }
                    }
                }
                _ => {}
            }
            if empty {
                if tag == "testcase" {
                    cases.extend(case.take());
                }
            } else {
                open.push(tag);
                if open.len() > MAX_DEPTH {
                    return Err(format!("nested deeper than {MAX_DEPTH} levels"));
                }
            }
        }
        let mut take = |t: &str| {
            if let Some(d) = &mut details
                && d.len() < MAX_DETAILS
            {
                d.push_str(t);
            }
        };
        match event {
            Event::Text(t) => take(&t.xml10_content()),
            Event::CData(t) => take(&t.xml10_content()),
            Event::GeneralRef(r) => take(&reference(&r.xml10_content())),
            Event::End(_) => match open.pop().as_deref() {
                Some("testsuite") => {
                    suites.pop();
                }
                Some("testcase") => cases.extend(case.take()),
                Some("failure" | "error") => {
                    if let (Some(c), Some(d)) = (&mut case, details.take())
                        && !d.trim().is_empty()
                    {
                        let d = bounded(d.trim(), MAX_DETAILS);
                        c.message.get_or_insert_with(|| bounded(d.lines().next().unwrap_or_default(), MAX_MESSAGE));
                        c.details.get_or_insert(d);
                    }
                }
                _ => {}
            },
            Event::Eof => break,
            _ => {}
        }
        enough(cases.len())?;
    }
    if !root {
        return Err("the report is empty".into());
    }
    if !open.is_empty() {
        return Err("the report ends in the middle".into());
    }
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_tools_write() {
        let text = r#"<?xml version="1.0"?><!-- pytest -->
<testsuites><testsuite name="outer"><testsuite name="unit" tests="5">
  <testcase classname="m.T" name="ok &lt;1&gt;" time="0.0015" file="t.py"/>
  <testcase classname="m.T" name="bad" time="1,000.5"><failure message="1 != 2">line 1
line &amp; 2<![CDATA[ <raw> ]]></failure><system-out>noise</system-out></testcase>
  <testcase name="broke"><error>first line
second</error></testcase>
  <testcase name="later"><skipped/></testcase>
</testsuite><testcase name="after"/></testsuite></testsuites>"#;
        let cases = parse(text).unwrap();
        let short: Vec<_> = cases.iter().map(|c| (c.suite.as_str(), c.name.as_str(), c.status, c.duration_ms)).collect();
        assert_eq!(
            short,
            [
                ("unit", "ok <1>", "passed", 2),
                ("unit", "bad", "failed", 1_000_500),
                ("unit", "broke", "error", 0),
                ("unit", "later", "skipped", 0),
                ("outer", "after", "passed", 0)
            ]
        );
        assert_eq!(cases[1].message.as_deref(), Some("1 != 2"));
        assert_eq!(cases[1].details.as_deref(), Some("line 1\nline & 2 <raw>"));
        assert_eq!(cases[2].message.as_deref(), Some("first line"));
        assert_eq!(cases[0].file.as_deref(), Some("t.py"));
    }

    #[test]
    fn hostile_reports_are_harmless() {
        // entities that grow or read files stay as written
        let bomb = r#"<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;"><!ENTITY f SYSTEM "file:///etc/passwd">]>
<testsuite name="&b;"><testcase name="&f;"><failure>&b;&f;</failure></testcase></testsuite>"#;
        let cases = parse(bomb).unwrap();
        assert_eq!(cases[0].details.as_deref(), Some("&b;&f;"));
        assert!(!cases[0].name.contains("root"));
        assert!(parse("<html/>").is_err());
        assert!(parse("").is_err());
        assert!(parse("<testsuite>").is_err());
        assert!(parse("<testsuite></testcase>").is_err());
        assert!(parse(&"<testsuite>".repeat(1000)).unwrap_err().contains("deeper"));
        let long = format!("<testsuite><testcase name=\"{}\"/></testsuite>", "é".repeat(10_000));
        assert!(parse(&long).unwrap()[0].name.len() <= MAX_NAME);
    }
}
