//! What goes to standard output: JSON for programs, tables and short texts for people.
//!
//! Text from the server was written by others: control characters never reach the terminal, save colours in logs.

use std::io::{self, Write};

use console::measure_text_width;
use serde_json::Value;

use crate::failure::Result;

/// How results are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Tables and sentences.
    Human,
    /// The server's JSON as it is.
    Json,
}

impl Format {
    /// Prints a result: the JSON itself, or what `human` makes of it.
    pub(crate) fn show(self, value: &Value, human: impl FnOnce(&Value) -> String) -> Result {
        match self {
            Self::Json => line(&serde_json::to_string_pretty(value)?),
            Self::Human => line(&human(value)),
        }
    }

    /// Prints a list: a JSON array, or a table of the named columns.
    pub(crate) fn list(self, items: &[Value], columns: &[Column<'_>]) -> Result {
        match self {
            Self::Json => line(&serde_json::to_string_pretty(items)?),
            Self::Human => line(&table(items, columns)),
        }
    }
}

/// Prints a text that ends its line. A reader that went away (`| head`) is no error.
pub(crate) fn line(text: &str) -> Result {
    if text.is_empty() {
        return Ok(());
    }
    raw(format!("{}\n", text.trim_end_matches('\n')).as_bytes())
}

/// Prints bytes as they are.
pub(crate) fn raw(bytes: &[u8]) -> Result {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => Ok(other?),
    }
}

/// A column: its head, and the text of an item.
pub(crate) type Column<'a> = (&'a str, &'a dyn Fn(&Value) -> String);

/// Lines up the columns; the last one is not padded.
pub(crate) fn table(items: &[Value], columns: &[Column<'_>]) -> String {
    let mut rows: Vec<Vec<String>> = vec![columns.iter().map(|(head, _)| (*head).to_owned()).collect()];
    rows.extend(items.iter().map(|item| columns.iter().map(|(_, cell)| plain(&cell(item))).collect()));
    let widths: Vec<usize> = (0..columns.len()).map(|c| rows.iter().map(|r| measure_text_width(&r[c])).max().unwrap_or(0)).collect();
    let mut out = String::new();
    for row in rows {
        let mut text = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            text.push_str(cell);
            text.push_str(&" ".repeat(width.saturating_sub(measure_text_width(cell)) + 2));
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}

/// Lines of `name: value` with the values below each other; empty values are left out.
pub(crate) fn facts(pairs: &[(&str, String)]) -> String {
    let kept: Vec<_> = pairs.iter().filter(|(_, value)| !value.is_empty()).collect();
    let width = kept.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 1;
    kept.iter().map(|(name, value)| format!("{:<width$} {}\n", format!("{name}:"), plain(value))).collect()
}

/// The text at a path such as `environment.name`; numbers and booleans as text, nothing as the empty text.
pub(crate) fn text(value: &Value, path: &str) -> String {
    let found = path.split('.').fold(value, |v, key| &v[key]);
    match found {
        Value::String(s) => s.clone(),
        Value::Null => String::new(),
        Value::Array(all) => all.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// A cell that is the text at a path.
pub(crate) fn at(path: &'static str) -> impl Fn(&Value) -> String {
    move |value| text(value, path)
}

/// The state of a run, a job, a deployment: its conclusion when it has one.
pub(crate) fn state(value: &Value) -> String {
    let conclusion = text(value, "conclusion");
    if conclusion.is_empty() { text(value, "state") } else { conclusion }
}

/// A time from the server, to the second.
pub(crate) fn time(path: &'static str) -> impl Fn(&Value) -> String {
    move |value| text(value, path).chars().take(19).collect::<String>().replace('T', " ")
}

/// A commit, short.
pub(crate) fn commit(value: &Value) -> String {
    text(value, "commit").chars().take(8).collect()
}

/// A number of bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

/// One line without control characters.
pub(crate) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || *c == '\t' || *c == '\n').map(|c| if c == '\n' || c == '\t' { ' ' } else { c }).collect()
}

/// A piece of a log for a terminal: colours stay, every other escape sequence and control character goes.
#[derive(Debug, Default)]
pub(crate) struct LogFilter {
    state: Escape,
    held: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Escape {
    #[default]
    None,
    Started,
    Csi,
    /// A string that ends with BEL or ESC \.
    Text,
}

impl LogFilter {
    /// Filters the next piece; a sequence may begin in one piece and end in another.
    pub(crate) fn push(&mut self, piece: &str) -> String {
        let mut out = String::with_capacity(piece.len());
        for c in piece.chars() {
            self.state = match (self.state, c) {
                (Escape::None, '\u{1b}') => Escape::Started,
                (Escape::None, '\u{9b}') => Escape::Csi,
                (Escape::None, c) => {
                    if !c.is_control() || matches!(c, '\n' | '\t' | '\r') {
                        out.push(c);
                    }
                    Escape::None
                }
                (Escape::Started, '[') => Escape::Csi,
                (Escape::Started, ']' | 'P' | '_' | '^' | 'X') => Escape::Text,
                (Escape::Started, _) => Escape::None,
                (Escape::Csi, '0'..='9' | ';' | ':') if self.held.len() < 32 => {
                    self.held.push(c);
                    Escape::Csi
                }
                (Escape::Csi, end @ '\u{40}'..='\u{7e}') => {
                    if end == 'm' {
                        out.push_str(&format!("\u{1b}[{}m", self.held));
                    }
                    self.held.clear();
                    Escape::None
                }
                (Escape::Csi, ' '..='?') => Escape::Csi,
                (Escape::Csi, _) => {
                    self.held.clear();
                    Escape::None
                }
                (Escape::Text, '\u{7}' | '\u{9c}') => Escape::None,
                (Escape::Text, '\u{1b}') => Escape::Started,
                (Escape::Text, _) => Escape::Text,
            };
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tables_line_up() {
        let items =
            [json!({"name": "web", "n": 1, "at": "2026-11-23T08:00:00.123Z"}), json!({"name": "日本語\u{1b}[2J", "n": null, "at": null})];
        let got = table(&items, &[("NAME", &at("name")), ("N", &at("n")), ("AT", &time("at"))]);
        assert_eq!(got, "NAME       N  AT\nweb        1  2026-11-23 08:00:00\n日本語[2J\n");
    }

    #[test]
    fn facts_leave_out_what_is_empty() {
        let got = facts(&[("name", "web".into()), ("description", String::new()), ("clone URL", "http://a".into())]);
        assert_eq!(got, "name:      web\nclone URL: http://a\n");
    }

    #[test]
    fn values_become_text() {
        let v = json!({"a": {"b": true}, "l": ["x", 2], "state": "completed", "conclusion": "failure"});
        assert_eq!(
            (text(&v, "a.b"), text(&v, "l"), text(&v, "no.way"), state(&v)),
            ("true".into(), "x, 2".into(), String::new(), "failure".into())
        );
    }

    #[test]
    fn logs_keep_colours_only() {
        for (given, want) in [
            ("\u{1b}[31mred\u{1b}[0m\n", "\u{1b}[31mred\u{1b}[0m\n"),
            ("a\u{1b}[2J\u{1b}[Hb", "ab"),
            ("a\u{1b}]0;title\u{7}b\u{1b}]8;;http://x\u{1b}\\c", "abc"),
            ("a\u{8}\u{0}b\r\n", "ab\r\n"),
            ("\u{9b}5nx\u{1b}[?25lx", "xx"),
            ("\u{1b}cx", "x"),
        ] {
            assert_eq!(LogFilter::default().push(given), want, "{given:?}");
            let mut filter = LogFilter::default();
            let pieces: String = given.chars().map(|c| filter.push(&c.to_string())).collect();
            assert_eq!(pieces, want, "{given:?} in pieces");
        }
    }
}
