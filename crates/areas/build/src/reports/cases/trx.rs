//! TRX: the results of Visual Studio and `dotnet test --logger trx`.

use std::collections::HashMap;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::junit::{attribute, reference};
use super::{Case, MAX_DETAILS, MAX_NAME, bounded, enough};

/// `00:01:02.5000000` in milliseconds.
fn duration(text: &str) -> i64 {
    let mut parts = text.rsplit(':').map(|p| p.parse::<f64>().unwrap_or(0.0));
    let (s, m, h) = (parts.next().unwrap_or(0.0), parts.next().unwrap_or(0.0), parts.next().unwrap_or(0.0));
    super::millis((h * 60.0 + m) * 60.0 + s)
}

fn status(outcome: &str) -> &'static str {
    match outcome {
        "Passed" | "Warning" | "Completed" | "PassedButRunAborted" => "passed",
        "Failed" => "failed",
        // without an outcome it never ran
        "" | "NotExecuted" | "Inconclusive" | "Pending" | "NotRunnable" => "skipped",
        _ => "error",
    }
}

fn begun(e: &BytesStart<'_>) -> Case {
    let name = attribute(e, "testName").unwrap_or_default();
    let mut case = Case::new("", &name, status(&attribute(e, "outcome").unwrap_or_default()));
    case.duration_ms = attribute(e, "duration").map_or(0, |d| duration(&d));
    case
}

/// Reads a result file.
///
/// # Errors
/// In words, when it is none.
pub fn parse(text: &str) -> Result<Vec<Case>, String> {
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let mut cases: Vec<(String, Case)> = Vec::new();
    // the class of a test stands in its definition, which may come before or after
    let mut classes: HashMap<String, String> = HashMap::new();
    let mut definition: Option<String> = None;
    let mut open: Vec<String> = Vec::new();
    let mut said = String::new();
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
            if !root && tag != "TestRun" {
                return Err("a TRX report begins with <TestRun>".into());
            }
            root = true;
            match tag.as_str() {
                "UnitTestResult" => {
                    cases.push((attribute(e, "testId").unwrap_or_default(), begun(e)));
                    enough(cases.len())?;
                }
                "UnitTest" => definition = attribute(e, "id"),
                "TestMethod" => {
                    if let (Some(id), Some(class)) = (&definition, attribute(e, "className"))
                        && classes.len() < super::MAX_CASES
                    {
                        classes.insert(id.clone(), bounded(&class, MAX_NAME));
                    }
                }
                "Message" | "StackTrace" => said.clear(),
                _ => {}
            }
            if !empty {
                open.push(tag);
                if open.len() > 64 {
                    return Err("nested deeper than 64 levels".into());
                }
            }
        }
        let inside = matches!(open.last().map(String::as_str), Some("Message" | "StackTrace")) && said.len() < MAX_DETAILS;
        match event {
            Event::Text(t) if inside => said.push_str(&t.xml10_content()),
            Event::CData(t) if inside => said.push_str(&t.xml10_content()),
            Event::GeneralRef(r) if inside => said.push_str(&reference(&r.xml10_content())),
            Event::End(_) => {
                let tag = open.pop();
                // messages of the run as a whole belong to no test
                if let (Some("Message" | "StackTrace"), Some((_, case))) = (tag.as_deref(), cases.last_mut())
                    && open.iter().any(|t| t == "UnitTestResult")
                {
                    let before = case.details.take().map_or(String::new(), |d| d + "\n\n");
                    case.explain(&(before + said.trim()));
                }
            }
            Event::Eof => break,
            _ => {}
        }
    }
    if !root {
        return Err("a TRX report begins with <TestRun>".into());
    }
    let named = |(id, mut case): (String, Case)| {
        case.class = classes.get(&id).cloned().unwrap_or_default();
        case.suite.clone_from(&case.class);
        case
    };
    Ok(cases.into_iter().map(named).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_find_their_classes() {
        let text = r#"<?xml version="1.0" encoding="utf-8"?>
<TestRun id="1" xmlns="http://microsoft.com/schemas/VisualStudio/TeamTest/2010"><Results>
<UnitTestResult testId="t1" testName="Adds" duration="00:00:01.2500000" outcome="Passed"/>
<UnitTestResult testId="t2" testName="Divides(by: 0)" duration="00:00:00.0010000" outcome="Failed"><Output><StdOut>noise</StdOut><ErrorInfo>
<Message>1 &lt; 2 was false</Message><StackTrace>at Demo.cs:line 9</StackTrace></ErrorInfo></Output></UnitTestResult>
<UnitTestResult testId="t3" testName="Later" outcome="NotExecuted"/></Results>
<TestDefinitions><UnitTest name="Adds" id="t1"><TestMethod className="Demo.Sums" name="Adds"/></UnitTest></TestDefinitions>
<ResultSummary outcome="Failed"><RunInfos><RunInfo><Text>x</Text></RunInfo></RunInfos></ResultSummary></TestRun>"#;
        let cases = parse(text).unwrap();
        let short: Vec<_> = cases.iter().map(|c| (c.class.as_str(), c.name.as_str(), c.status, c.duration_ms)).collect();
        assert_eq!(short, [("Demo.Sums", "Adds", "passed", 1250), ("", "Divides(by: 0)", "failed", 1), ("", "Later", "skipped", 0)]);
        assert_eq!(cases[1].message.as_deref(), Some("1 < 2 was false"));
        assert_eq!(cases[1].details.as_deref(), Some("1 < 2 was false\n\nat Demo.cs:line 9"));
        assert!(parse("<testsuite/>").is_err());
        assert!(parse("").is_err());
    }
}
