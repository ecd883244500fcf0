//! YAML as a small tree in which every node knows where it stands. Bounded: bytes, nodes (aliases count as what they
//! expand to) and depth; so that an alias bomb costs nothing.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;
use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::Value as Json;

use crate::diagnostic::{Diagnostics, Span};

/// Largest pipeline file.
pub const MAX_BYTES: usize = 1024 * 1024;
/// Most nodes after aliases are expanded.
pub const MAX_NODES: usize = 100_000;
/// Most keys of one mapping.
pub const MAX_KEYS: usize = 10_000;
/// Deepest nesting.
pub const MAX_DEPTH: usize = 100;

/// A node and its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it begins.
    pub span: Span,
    /// What it is.
    pub value: Value,
}

/// The kinds of nodes.
#[derive(Clone, Debug)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, with its text as written.
    Number(f64, String),
    /// Text.
    String(String),
    /// A list.
    Seq(Vec<Node>),
    /// Keys in the order of the file.
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping.
#[derive(Clone, Debug)]
pub struct Key {
    /// Where it stands.
    pub span: Span,
    /// Its text.
    pub name: String,
}

impl Node {
    /// What the node is called in messages.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Number(..) => "a number",
            Value::String(_) => "a text",
            Value::Seq(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// The value of a key, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(k, _)| k.name == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// A scalar as the text the dialect makes of it: numbers lose what they were written with (`3.10` is `3.1`).
    pub fn scalar_text(&self) -> Option<String> {
        match &self.value {
            Value::Null => Some(String::new()),
            Value::Bool(b) => Some(b.to_string()),
            Value::Number(n, _) => Some(crate::expr::number_text(*n)),
            Value::String(s) => Some(s.clone()),
            Value::Seq(_) | Value::Map(_) => None,
        }
    }

    /// The tree without its places.
    pub fn to_json(&self) -> Json {
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(b) => Json::Bool(*b),
            Value::Number(n, text) => crate::expr::json_number(*n).unwrap_or_else(|| Json::String(text.clone())),
            Value::String(s) => Json::String(s.clone()),
            Value::Seq(items) => Json::Array(items.iter().map(Node::to_json).collect()),
            Value::Map(entries) => Json::Object(entries.iter().map(|(k, v)| (k.name.clone(), v.to_json())).collect()),
        }
    }

    fn size_and_height(&self) -> (usize, usize) {
        let fold = |acc: (usize, usize), n: &Node| {
            let (size, height) = n.size_and_height();
            (acc.0 + size, acc.1.max(height))
        };
        let (size, height) = match &self.value {
            Value::Seq(items) => items.iter().fold((0, 0), fold),
            Value::Map(entries) => entries.iter().map(|(_, v)| v).fold((0, 0), fold),
            _ => (0, 0),
        };
        (size + 1, height + 1)
    }
}

enum Frame {
    Seq { span: Span, anchor: usize, items: Vec<Node>, reference: bool },
    Map { span: Span, anchor: usize, entries: Vec<(Key, Node)>, key: Option<Key> },
}

struct Anchor {
    node: Node,
    size: usize,
    height: usize,
}

/// Which YAML a dialect reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flavor {
    /// One document of plain YAML 1.2.
    Strict,
    /// GitLab's: merge keys, `!reference`, a header document before the pipeline, and the last of equal keys counts.
    Gitlab,
}

/// Key of the mapping that stands for a `!reference [..]`.
pub const REFERENCE: &str = "!reference";

struct Builder<'d> {
    file: Arc<str>,
    lines: Vec<&'d str>,
    flavor: Flavor,
    documents: Vec<Node>,
    out: &'d mut Diagnostics,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Anchor>,
    nodes: usize,
    root: Option<Node>,
}

/// Reads one document. `None` means the text is no usable YAML; the reason is in `out`.
pub fn parse(file: &str, bytes: &[u8], out: &mut Diagnostics) -> Option<Node> {
    documents(file, bytes, Flavor::Strict, out)?.pop()
}

/// Reads a file of GitLab's: one document, or a header and one. Merge keys are applied, `!reference [a, b]` becomes a mapping
/// with the one key [`REFERENCE`].
pub fn parse_gitlab(file: &str, bytes: &[u8], out: &mut Diagnostics) -> Option<Vec<Node>> {
    documents(file, bytes, Flavor::Gitlab, out)
}

fn documents<'d>(file: &str, bytes: &'d [u8], flavor: Flavor, out: &'d mut Diagnostics) -> Option<Vec<Node>> {
    let whole = Span::whole(file);
    if bytes.len() > MAX_BYTES {
        out.error(&whole, "file_too_large", format!("the file has {} bytes, at most {MAX_BYTES} are read", bytes.len()));
        return None;
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        out.error(&whole, "not_utf8", "the file is not valid UTF-8");
        return None;
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut b = Builder {
        file: file.into(),
        lines: text.lines().collect(),
        flavor,
        documents: Vec::new(),
        out,
        stack: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
        root: None,
    };
    let mut parser = Parser::new_from_str(text);
    loop {
        match parser.next_event() {
            None | Some(Ok((Event::StreamEnd, _))) => break,
            Some(Ok((event, span))) => {
                let at = b.span(span.start.line(), span.start.col());
                b.event(event, at)?;
            }
            Some(Err(e)) => {
                let at = b.span(e.marker().line(), e.marker().col());
                b.out.error(&at, "yaml_syntax", format!("not valid YAML: {}", e.info()));
                return None;
            }
        }
    }
    b.documents.extend(b.root.take());
    if b.documents.is_empty() {
        b.out.error(&whole, "empty_file", "the file is empty");
        return None;
    }
    Some(b.documents)
}

impl Builder<'_> {
    fn span(&self, line: usize, column: usize) -> Span {
        let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Span { file: self.file.clone(), line: clamp(line), column: clamp(column.saturating_add(1)) }
    }

    /// What is not there begins behind its `:` or `-` and the blanks after that.
    fn behind(&self, at: &Span) -> Span {
        let line = usize::try_from(at.line).ok().and_then(|n| self.lines.get(n.checked_sub(1)?)).copied().unwrap_or_default();
        let column = usize::try_from(at.column).unwrap_or(1).saturating_sub(1);
        let rest: Vec<char> = line.chars().skip(column).collect();
        let mark = usize::from(matches!(rest.first(), Some(':' | '-' | '?')));
        let blanks = rest.iter().skip(mark).take_while(|c| **c == ' ').count();
        self.span_at(at.line, column + mark + blanks)
    }

    /// A list that is not deeper than its key begins at its first dash.
    fn dash(&self, at: Span) -> Span {
        let line = usize::try_from(at.line).ok().and_then(|n| self.lines.get(n.checked_sub(1)?)).copied().unwrap_or_default();
        let column = usize::try_from(at.column).unwrap_or(1).saturating_sub(1);
        let chars: Vec<char> = line.chars().take(column + 1).collect();
        if matches!(chars.get(column), None | Some('[' | '-' | '&' | '!')) {
            return at;
        }
        match chars[..column].iter().rposition(|c| *c != ' ') {
            Some(dash) if chars[dash] == '-' => self.span_at(at.line, dash),
            _ => at,
        }
    }

    /// A text in `|` or `>` begins where that stands, not where its first line does.
    fn block(&self, at: Span) -> Span {
        let Some(mut number) = usize::try_from(at.line).ok().filter(|n| *n <= self.lines.len()) else { return at };
        while number > 0 {
            let line = self.lines[number - 1];
            let mark = line.char_indices().find_map(|(byte, c)| {
                let before = line[..byte].chars().next_back();
                let rest =
                    line[byte + c.len_utf8()..].trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-')).trim_start();
                (matches!(c, '|' | '>') && before.is_none_or(char::is_whitespace) && (rest.is_empty() || rest.starts_with('#')))
                    .then_some(byte)
            });
            if let (Some(byte), Ok(found)) = (mark, u32::try_from(number)) {
                return self.span_at(found, line[..byte].chars().count());
            }
            number -= 1;
            // only empty lines lie between
            if number == 0 || (number + 1 < at.line as usize && !self.lines[number].trim().is_empty()) {
                break;
            }
        }
        at
    }

    fn span_at(&self, line: u32, column: usize) -> Span {
        Span { file: self.file.clone(), line, column: u32::try_from(column.saturating_add(1)).unwrap_or(u32::MAX) }
    }

    fn event(&mut self, event: Event<'_>, at: Span) -> Option<()> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Some(()),
            Event::DocumentStart(_) => {
                if self.flavor == Flavor::Gitlab && self.documents.is_empty() {
                    self.documents.extend(self.root.take());
                    return Some(());
                }
                if self.root.is_some() {
                    self.out.error(&at, "several_documents", "only one YAML document per file; the rest is not read");
                    return None;
                }
                Some(())
            }
            Event::Alias(id) => {
                let Some(anchor) = self.anchors.get(&id) else {
                    self.out.error(&at, "unknown_alias", "this alias stands inside its own anchor");
                    return None;
                };
                let (node, size, height) = (anchor.node.clone(), anchor.size, anchor.height);
                self.count(size, &at)?;
                self.deep(height, &at)?;
                self.put(node, 0, &at)
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1, &at)?;
                let text_is_missing = text.is_empty();
                let tag = tag.map(|t| core_tag(&t));
                let at = if tag.is_some() && self.flavor == Flavor::Strict { self.tagged(at) } else { at };
                let value = match tag.as_deref() {
                    None if style == ScalarStyle::Plain => plain(&text),
                    None | Some("str" | "!") => Value::String(text.into_owned()),
                    Some(name @ ("null" | "bool" | "int" | "float")) => {
                        let value = plain(&text);
                        if self.flavor == Flavor::Strict {
                            self.fits_tag(name, style, &text, &value, &at)?;
                        }
                        value
                    }
                    Some(other) => {
                        self.out.error(&at, "unknown_tag", format!("the tag `{other}` is not known"));
                        return None;
                    }
                };
                let missing = text_is_missing && style == ScalarStyle::Plain && self.flavor == Flavor::Strict;
                let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                let at = match () {
                    () if missing => self.behind(&at),
                    () if block && self.flavor == Flavor::Strict => self.block(at),
                    () => at,
                };
                self.put(Node { span: at.clone(), value }, anchor, &at)
            }
            Event::SequenceStart(anchor, tag) => {
                let at = if self.flavor == Flavor::Strict { self.dash(at) } else { at };
                let reference = self.flavor == Flavor::Gitlab && tag.as_deref().is_some_and(|t| t.handle == "!" && t.suffix == "reference");
                if !reference {
                    self.collection_tag(tag.as_deref(), "seq", &at)?;
                }
                self.count(1, &at)?;
                self.deep(1, &at)?;
                self.stack.push(Frame::Seq { span: at, anchor, items: Vec::new(), reference });
                Some(())
            }
            Event::MappingStart(anchor, tag) => {
                self.collection_tag(tag.as_deref(), "map", &at)?;
                self.count(1, &at)?;
                self.deep(1, &at)?;
                self.stack.push(Frame::Map { span: at, anchor, entries: Vec::new(), key: None });
                Some(())
            }
            Event::SequenceEnd | Event::MappingEnd => match self.stack.pop()? {
                Frame::Seq { span, anchor, items, reference } => {
                    let mut node = Node { span: span.clone(), value: Value::Seq(items) };
                    if reference {
                        let key = Key { span: span.clone(), name: REFERENCE.into() };
                        node = Node { span: span.clone(), value: Value::Map(vec![(key, node)]) };
                    }
                    self.put(node, anchor, &span)
                }
                Frame::Map { span, anchor, entries, .. } => {
                    let entries = if self.flavor == Flavor::Gitlab { self.merge(entries) } else { entries };
                    self.put(Node { span: span.clone(), value: Value::Map(entries) }, anchor, &span)
                }
            },
        }
    }

    /// A tag stands before what it is about; that is where GitHub sees the value.
    fn tagged(&self, at: Span) -> Span {
        let line = usize::try_from(at.line).ok().and_then(|n| self.lines.get(n.checked_sub(1)?)).copied().unwrap_or_default();
        let before: String = line.chars().take(usize::try_from(at.column).unwrap_or(1).saturating_sub(1)).collect();
        let word = before.trim_end().rsplit(' ').next().filter(|w| w.starts_with('!'));
        match word {
            Some(word) => self.span_at(at.line, before.trim_end().chars().count() - word.chars().count()),
            None => at,
        }
    }

    /// Only a plain scalar of that very kind may carry the tag of a kind.
    fn fits_tag(&mut self, name: &str, style: ScalarStyle, text: &str, value: &Value, at: &Span) -> Option<()> {
        let style = match style {
            ScalarStyle::Plain => None,
            ScalarStyle::SingleQuoted => Some("SingleQuoted"),
            ScalarStyle::DoubleQuoted => Some("DoubleQuoted"),
            ScalarStyle::Literal => Some("Literal"),
            ScalarStyle::Folded => Some("Folded"),
        };
        let tag = format!("tag:yaml.org,2002:{name}");
        let (line, column) = (at.line, at.column);
        let fits = match value {
            Value::Null => name == "null",
            Value::Bool(_) => name == "bool",
            Value::Number(n, _) => name == "float" || (name == "int" && n.fract() == 0.0),
            _ => false,
        };
        let message = match style {
            Some(style) => format!("The scalar style '{style}' on line {line} and column {column} is not valid with the tag '{tag}'"),
            None if !fits => format!("The value '{text}' on line {line} and column {column} is invalid for the type '{tag}'"),
            None => return Some(()),
        };
        self.out.error(at, "bad_tag", message);
        None
    }

    fn collection_tag(&mut self, tag: Option<&saphyr_parser::Tag>, own: &str, at: &Span) -> Option<()> {
        match tag {
            Some(t) if !(t.is_yaml_core_schema() && t.suffix == own) => {
                self.out.error(at, "unknown_tag", format!("the tag `{}{}` is not known", t.handle, t.suffix));
                None
            }
            _ => Some(()),
        }
    }

    fn count(&mut self, nodes: usize, at: &Span) -> Option<()> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            self.out.error(at, "too_many_nodes", format!("more than {MAX_NODES} nodes once aliases are expanded"));
            return None;
        }
        Some(())
    }

    fn deep(&mut self, height: usize, at: &Span) -> Option<()> {
        if self.stack.len() + height > MAX_DEPTH {
            self.out.error(at, "too_deep", format!("nested deeper than {MAX_DEPTH} levels"));
            return None;
        }
        Some(())
    }

    fn put(&mut self, node: Node, anchor: usize, at: &Span) -> Option<()> {
        if anchor > 0 {
            let (size, height) = node.size_and_height();
            self.anchors.insert(anchor, Anchor { node: node.clone(), size, height });
        }
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Frame::Seq { items, .. }) => items.push(node),
            Some(Frame::Map { entries, key, .. }) => match key.take() {
                Some(k) => entries.push((k, node)),
                None => {
                    let Some(name) = node.scalar_text() else {
                        self.out.error(at, "bad_key", "a key must be a text");
                        return None;
                    };
                    if entries.len() >= MAX_KEYS {
                        self.out.error(at, "too_many_keys", format!("more than {MAX_KEYS} keys in one mapping"));
                        return None;
                    }
                    if self.flavor == Flavor::Gitlab {
                        if name != "<<" && entries.iter().any(|(k, _)| k.name == name) {
                            self.out.warning(at, "duplicate_key", format!("'{name}' is written twice; the last one counts"));
                            entries.retain(|(k, _)| k.name != name);
                        }
                    } else if name == "<<" {
                        self.out.error(
                            at,
                            "merge_key",
                            "merge keys (`<<`) are not supported; repeat the entries or use an alias for the whole value",
                        );
                    } else if entries.iter().any(|(k, _)| k.name == name) {
                        self.out.error(at, "duplicate_key", format!("'{name}' is already defined"));
                    }
                    *key = Some(Key { span: node.span, name });
                }
            },
        }
        Some(())
    }
}

impl Builder<'_> {
    /// Applies merge keys as GitLab does: what comes later counts, be it merged or written; of a list that is merged the first.
    fn merge(&mut self, entries: Vec<(Key, Node)>) -> Vec<(Key, Node)> {
        if entries.iter().all(|(k, _)| k.name != "<<") {
            return entries;
        }
        let mut merged: IndexMap<String, (Key, Node)> = IndexMap::new();
        for (key, node) in entries {
            if key.name != "<<" {
                merged.insert(key.name.clone(), (key, node));
                continue;
            }
            let sources = match node.value {
                Value::Seq(items) => items,
                other => vec![Node { span: node.span, value: other }],
            };
            for source in sources.into_iter().rev() {
                match source.value {
                    Value::Map(more) if more.iter().all(|(k, _)| k.name != REFERENCE) => {
                        merged.extend(more.into_iter().map(|(k, v)| (k.name.clone(), (k, v))));
                    }
                    _ => self.out.error(&key.span, "merge_key", "`<<` merges mappings only"),
                }
            }
        }
        merged.into_values().collect()
    }
}

/// The name of a tag of YAML's own, however it is written; another one whole.
fn core_tag(tag: &saphyr_parser::Tag) -> String {
    let whole = format!("{}{}", tag.handle, tag.suffix);
    match whole.strip_prefix("tag:yaml.org,2002:") {
        Some(name) => name.to_owned(),
        None if tag.is_yaml_core_schema() => tag.suffix.clone(),
        None => whole,
    }
}

/// Types of plain scalars in the core schema of YAML 1.2: `on` and `yes` are texts.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Value::Number(f64::INFINITY, text.into()),
        "-.inf" | "-.Inf" | "-.INF" => return Value::Number(f64::NEG_INFINITY, text.into()),
        ".nan" | ".NaN" | ".NAN" => return Value::Number(f64::NAN, text.into()),
        _ => {}
    }
    let radix = |digits: &str, radix| u64::from_str_radix(digits, radix).ok().filter(|_| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    let number = if let Some(hex) = text.strip_prefix("0x") {
        radix(hex, 16).map(|n| n as f64)
    } else if let Some(octal) = text.strip_prefix("0o") {
        radix(octal, 8).map(|n| n as f64)
    } else if text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'))
        && text.bytes().any(|b| b.is_ascii_digit())
    {
        text.parse::<f64>().ok()
    } else {
        None
    };
    number.map_or_else(|| Value::String(text.into()), |n| Value::Number(n, text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<Node>, Vec<String>) {
        let mut out = Diagnostics::default();
        let node = parse("f.yml", text.as_bytes(), &mut out);
        (node, out.into_sorted().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn scalars_have_types_and_places() {
        let (node, messages) = read("on: push\na: 3.10\nb: 'yes'\nc:\n  - true\n  - ~\n  - 0x1f\n");
        assert!(messages.is_empty());
        let node = node.unwrap();
        assert_eq!(node.to_json().to_string(), r#"{"on":"push","a":3.1,"b":"yes","c":[true,null,31]}"#);
        assert_eq!(node.get("c").unwrap().span.to_string(), "f.yml:5:3");
        assert_eq!(node.get("a").unwrap().scalar_text().unwrap(), "3.1");
    }

    #[test]
    fn aliases_are_expanded_and_bounded() {
        let (node, _) = read("a: &x {k: [1, 2]}\nb: *x\n");
        assert_eq!(node.unwrap().get("b").unwrap().to_json().to_string(), r#"{"k":[1,2]}"#);
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..12 {
            let aliases = vec![format!("*a{}", i - 1); 10].join(", ");
            bomb.push_str(&format!("a{i}: &a{i} [{aliases}]\n"));
        }
        let (node, messages) = read(&bomb);
        assert!(node.is_none());
        assert!(messages[0].contains("too_many_nodes"), "{messages:?}");
    }

    #[test]
    fn gitlab_merges_and_references() {
        let mut out = Diagnostics::default();
        let text = "spec: {}\n---\n.a: &a {x: 1, y: 2}\n.b: &b {y: 3, z: 4}\nc:\n  <<: [*a, *b]\n  x: 9\nd: !reference [.a, x]\nc2: 1\nc2: 2\n\
             e:\n  x: 5\n  <<: *a\n  z: 6\n  <<: *b\n  y: 7\n";
        let docs = parse_gitlab("f.yml", text.as_bytes(), &mut out).unwrap();
        let shown: Vec<String> = docs.iter().map(|d| d.to_json().to_string()).collect();
        assert_eq!(shown[0], r#"{"spec":{}}"#);
        assert!(
            shown[1].contains(r#""c":{"y":2,"z":4,"x":9},"d":{"!reference":[".a","x"]},"c2":2,"e":{"x":1,"y":7,"z":4}"#),
            "{}",
            shown[1]
        );
        assert!(out.into_sorted()[0].to_string().contains("f.yml:10:1: warning[duplicate_key]"));
    }

    #[test]
    fn refusals_are_located() {
        for (text, expect) in [
            ("a: 1\na: 2\n", "f.yml:2:1: error[duplicate_key]"),
            ("b: &x {a: 1}\nc:\n  <<: *x\n", "f.yml:3:3: error[merge_key]"),
            ("a: !foo 1\n", "f.yml:1:4: error[unknown_tag]"),
            ("a: [1\n", "yaml_syntax"),
            ("", "f.yml:0:0: error[empty_file]"),
            ("a: 1\n---\nb: 1\n", "several_documents"),
            ("a: &x [*x]\n", "unknown_alias"),
        ] {
            let (_, messages) = read(text);
            assert!(messages.iter().any(|m| m.contains(expect)), "{text:?}: {messages:?}");
        }
        let (node, messages) = read(&"[".repeat(200));
        assert!(node.is_none() && messages[0].contains("too_deep"), "{messages:?}");
    }
}
