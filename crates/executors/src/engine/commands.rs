//! Workflow commands: lines of a step's output that begin with `::`.

use std::collections::BTreeMap;

/// One command line, unescaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommandLine {
    pub(crate) name: String,
    pub(crate) properties: BTreeMap<String, String>,
    pub(crate) value: String,
}

/// Can a line that begins so be a command?
pub(crate) fn may_begin(line: &[u8]) -> bool {
    let trimmed = line.trim_ascii_start();
    b"::".starts_with(trimmed) || trimmed.starts_with(b"::")
}

/// Reads `::name key=value,key=value::value`.
pub(crate) fn parse(line: &str) -> Option<CommandLine> {
    let rest = line.trim_start().strip_prefix("::")?;
    let (head, value) = rest.split_once("::")?;
    let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
    let name_is_word = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    // a stop token may be any text and is compared by the caller, everything else is a word
    if !name_is_word {
        return None;
    }
    let properties = properties
        .split(',')
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| (key.trim().to_ascii_lowercase(), unescape(value, true)))
        .collect();
    Some(CommandLine { name: name.to_ascii_lowercase(), properties, value: unescape(value, false) })
}

fn unescape(text: &str, property: bool) -> String {
    let mut out = text.replace("%0D", "\r").replace("%0A", "\n");
    if property {
        out = out.replace("%3A", ":").replace("%2C", ",");
    }
    // last, or an escaped percent sign would begin new escapes
    out.replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_commands() {
        let command = parse("  ::error file=src/a.rs,line=3,title=A%3AB::one%0Atwo %250A").unwrap();
        assert_eq!(command.name, "error");
        assert_eq!(command.properties["file"], "src/a.rs");
        assert_eq!(command.properties["title"], "A:B");
        assert_eq!(command.value, "one\ntwo %0A");
        assert_eq!(parse("::endgroup::").unwrap().name, "endgroup");
        for text in ["text ::error::x", "::error", ":: ::x", "std::vec::Vec", "::a b"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_may_begin_a_command() {
        for line in ["", " ", ":", "::", " ::x"] {
            assert!(may_begin(line.as_bytes()));
        }
        assert!(!may_begin(b"a") && !may_begin(b":a"));
    }
}
