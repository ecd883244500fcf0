//! `pipeline eval`: one expression, or a stream of them, without a server.

use std::fs;
use std::io::{self, BufRead, Write};
use std::path::Path;

use dialects::expr::answer;
use serde::Deserialize;
use serde_json::{Value, json};

use super::MAX_FILE;
use crate::failure::{Failure, Result};
use crate::output::line;

/// The phase that is told when a line of the stream is no request.
const NO_REQUEST: &str = "parsing";

#[derive(Deserialize)]
struct Request {
    expr: String,
    #[serde(default)]
    contexts: Value,
}

/// Evaluates one expression over the contexts of a file.
pub(super) fn one(expr: &str, context: Option<&Path>) -> Result {
    let contexts = match context {
        None => json!({}),
        Some(path) => {
            let told = |e: io::Error| Failure::Usage(format!("{}: {e}", path.display()));
            if fs::metadata(path).map_err(told)?.len() > MAX_FILE {
                return Err(Failure::Usage(format!("{} is larger than {MAX_FILE} bytes", path.display())));
            }
            let contexts: Value =
                serde_json::from_slice(&fs::read(path).map_err(told)?).map_err(|e| Failure::Usage(format!("{}: {e}", path.display())))?;
            if !contexts.is_object() {
                return Err(Failure::Usage(format!("{}: the contexts are an object, its keys their names", path.display())));
            }
            contexts
        }
    };
    let (told, fine) = tell(expr, &contexts);
    line(&told.to_string())?;
    if fine { Ok(()) } else { Err(Failure::Failed("the expression has no value".to_owned())) }
}

/// Answers every line `{"expr": .., "contexts": {..}}` with a line, as soon as it is there.
pub(super) fn stream(mut from: impl BufRead, mut to: impl Write) -> Result {
    let mut text = Vec::new();
    loop {
        text.clear();
        if from.read_until(b'\n', &mut text)? == 0 {
            return Ok(());
        }
        if text.trim_ascii().is_empty() {
            continue;
        }
        let told = match serde_json::from_slice::<Request>(&text) {
            Ok(request) => tell(&request.expr, &request.contexts).0,
            Err(e) => error(NO_REQUEST, &format!("the line is not {{\"expr\", \"contexts\"}}: {e}")),
        };
        serde_json::to_writer(&mut to, &told)?;
        let sent = to.write_all(b"\n").and_then(|()| to.flush());
        match sent {
            // nobody reads any more
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            sent => sent?,
        }
    }
}

/// The answer, and whether it is a value.
fn tell(expr: &str, contexts: &Value) -> (Value, bool) {
    match answer(expr, contexts) {
        Ok(answer) => (json!({ "kind": answer.kind, "value": answer.value }), true),
        Err((phase, why)) => (error(phase.as_str(), &why.to_string()), false),
    }
}

fn error(kind: &str, value: &str) -> Value {
    json!({ "err": { "kind": kind, "value": value } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_survives_its_errors() {
        let lines = b"{\"expr\":\"a.b\",\"contexts\":{\"a\":{\"b\":3}}}\n\n{\"expr\":\"a +\"}\nnonsense\n{\"expr\":\"\"}".as_slice();
        let mut out = Vec::new();
        stream(lines, &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines[0], r#"{"kind":"Number","value":3}"#);
        assert!(lines[1].starts_with(r#"{"err":{"kind":"lexing","value":"Unexpected symbol: '+'"#));
        assert!(lines[2].starts_with(r#"{"err":{"kind":"parsing""#));
        assert_eq!(lines[3], r#"{"kind":"Null","value":null}"#);
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn one_expression_has_an_exit_code() {
        let folder = tempfile::tempdir().unwrap();
        let context = folder.path().join("c.json");
        fs::write(&context, r#"{"github": {"ref": "x"}}"#).unwrap();
        assert!(one("github.ref", Some(&context)).is_ok());
        assert_eq!(one("env.ref", Some(&context)).unwrap_err().exit_code(), 1);
        fs::write(&context, "[]").unwrap();
        assert_eq!(one("1", Some(&context)).unwrap_err().exit_code(), 2);
    }
}
