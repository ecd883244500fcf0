//! Counts lines by kind. A line with any code is code; else one with any comment is a comment; else it is blank.
//! An empty line is blank wherever it stands, also inside a comment or a string.
//!
//! The scanner knows a language's comment marks and string delimiters ([`Lexis`]), not its grammar: one pass, no
//! allocation but the kinds, any bytes accepted. Where a literal fools it (a quote in a regular expression), the
//! damage ends with the line unless the language's strings run over lines.

use serde::{Deserialize, Serialize};

use crate::language::{Lexis, Quote};

/// What a line holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LineKind {
    /// White space at most.
    Blank,
    /// Comment, no code.
    Comment,
    /// Code.
    Code,
}

/// Lines of a file by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines {
    /// All of them.
    pub total: u64,
    /// With code.
    pub code: u64,
    /// With comment only.
    pub comments: u64,
    /// Empty.
    pub blanks: u64,
}

impl Lines {
    /// Counts kinds.
    pub fn of(kinds: &[LineKind]) -> Self {
        let count = |k| kinds.iter().filter(|x| **x == k).count() as u64;
        Self { total: kinds.len() as u64, code: count(LineKind::Code), comments: count(LineKind::Comment), blanks: count(LineKind::Blank) }
    }
}

enum State {
    Code,
    LineComment,
    Block { pair: (&'static str, &'static str), depth: u32 },
    Text { close: Close, escapes: bool, multiline: bool, comment: bool },
}

#[derive(Clone, Copy)]
enum Close {
    Mark(&'static str),
    /// `"` and that many `#`.
    Raw(usize),
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    lexis: &'static Lexis,
    state: State,
    line: LineKind,
    kinds: Vec<LineKind>,
}

/// The kind of every line of `bytes`.
pub fn kinds(bytes: &[u8], lexis: &'static Lexis) -> Vec<LineKind> {
    let mut s = Scanner { bytes, at: 0, lexis, state: State::Code, line: LineKind::Blank, kinds: Vec::with_capacity(bytes.len() / 32) };
    while s.at < s.bytes.len() {
        s.step();
    }
    if !s.bytes.is_empty() && s.bytes.last() != Some(&b'\n') {
        s.kinds.push(s.line);
    }
    s.kinds
}

impl Scanner<'_> {
    fn step(&mut self) {
        let byte = self.bytes[self.at];
        if byte == b'\n' {
            self.end_of_line();
            return;
        }
        if byte.is_ascii_whitespace() {
            self.at += 1;
            return;
        }
        match self.state {
            State::Code => self.code(byte),
            State::LineComment => {
                self.mark(LineKind::Comment);
                self.at = memchr::memchr(b'\n', &self.bytes[self.at..]).map_or(self.bytes.len(), |n| self.at + n);
            }
            State::Block { pair, depth } => self.block(pair, depth),
            State::Text { close, escapes, comment, .. } => {
                self.mark(if comment { LineKind::Comment } else { LineKind::Code });
                if escapes && byte == b'\\' {
                    // a newline after the backslash still ends the line
                    self.at += if self.bytes.get(self.at + 1) == Some(&b'\n') { 1 } else { 2 };
                } else if let Some(len) = self.closes(close) {
                    self.at += len;
                    self.state = State::Code;
                } else {
                    self.at += 1;
                }
            }
        }
    }

    fn mark(&mut self, kind: LineKind) {
        self.line = self.line.max(kind);
    }

    fn here(&self, mark: &str) -> bool {
        // a mark that starts with a newline counts at the start of a line only, with a tab: as the first thing on it
        let (free, mark) = match mark.as_bytes() {
            [b'\n', rest @ ..] => (self.line_start(), rest),
            [b'\t', rest @ ..] => (self.line == LineKind::Blank, rest),
            mark => (true, mark),
        };
        free && self.bytes[self.at..].starts_with(mark)
    }

    fn line_start(&self) -> bool {
        self.at == 0 || self.bytes[self.at - 1] == b'\n'
    }

    fn closes(&self, close: Close) -> Option<usize> {
        match close {
            Close::Mark(mark) => self.here(mark).then_some(mark.len()),
            Close::Raw(hashes) => {
                let rest = &self.bytes[self.at..];
                let full = rest.first() == Some(&b'"') && rest.len() > hashes && rest[1..=hashes].iter().all(|b| *b == b'#');
                full.then_some(1 + hashes)
            }
        }
    }

    fn end_of_line(&mut self) {
        self.kinds.push(self.line);
        self.line = LineKind::Blank;
        self.at += 1;
        if matches!(self.state, State::LineComment | State::Text { multiline: false, .. }) {
            self.state = State::Code;
        }
    }

    fn code(&mut self, byte: u8) {
        // letters and digits start no mark but `rem`, `r"` and marks of the line start, so most bytes leave here
        if byte.is_ascii_alphanumeric() && !matches!(byte, b'r' | b'R') {
            self.mark(LineKind::Code);
            self.word();
            return;
        }
        let lexis = self.lexis;
        // the longer mark wins: `--[[` before `--`, `"""` before `"`
        let block = lexis.block.iter().filter(|(open, _)| self.here(open)).max_by_key(|(open, _)| open.len());
        let line =
            lexis.line.iter().filter(|m| self.here(m) && (!m.ends_with(' ') || self.line == LineKind::Blank)).max_by_key(|m| m.len());
        if let Some(&pair) = block
            && line.is_none_or(|l| pair.0.len() >= l.len())
        {
            self.mark(LineKind::Comment);
            self.at += pair.0.trim_start_matches('\n').len();
            self.state = State::Block { pair, depth: 1 };
            return;
        }
        if line.is_some() {
            self.state = State::LineComment;
            return;
        }
        if lexis.rust && self.rust_text(byte) {
            return;
        }
        if let Some(quote) = lexis.quotes.iter().filter(|q| self.here(q.open)).max_by_key(|q| q.open.len()) {
            self.open_text(quote);
            return;
        }
        self.mark(LineKind::Code);
        if byte.is_ascii_alphanumeric() { self.word() } else { self.at += 1 }
    }

    /// Skips a word, so that the `r` in `bar"` or the `rem` in `theorem ` is not taken for a mark.
    fn word(&mut self) {
        let rest = &self.bytes[self.at..];
        self.at += rest.iter().position(|b| !b.is_ascii_alphanumeric() && *b != b'_').unwrap_or(rest.len()).max(1);
    }

    fn open_text(&mut self, quote: &'static Quote) {
        let comment = self.lexis.docstrings && quote.open.len() == 3 && self.line == LineKind::Blank;
        self.mark(if comment { LineKind::Comment } else { LineKind::Code });
        self.at += quote.open.len();
        self.state = State::Text { close: Close::Mark(quote.close), escapes: quote.escapes, multiline: quote.multiline, comment };
    }

    /// Raw strings and character literals of Rust. A lone `'` is a lifetime.
    fn rust_text(&mut self, byte: u8) -> bool {
        let rest = &self.bytes[self.at..];
        if byte == b'r' {
            let hashes = rest[1..].iter().take_while(|b| **b == b'#').count();
            if rest.get(1 + hashes) != Some(&b'"') {
                return false;
            }
            self.mark(LineKind::Code);
            self.at += 2 + hashes;
            self.state = State::Text { close: Close::Raw(hashes), escapes: false, multiline: true, comment: false };
            return true;
        }
        if byte != b'\'' {
            return false;
        }
        self.mark(LineKind::Code);
        self.at += match rest {
            [_, b'\\', c, ..] if *c != b'\n' => 3,
            [_, c, b'\'', ..] if *c != b'\n' => 3,
            _ => 1,
        };
        true
    }

    fn block(&mut self, pair: (&'static str, &'static str), depth: u32) {
        self.mark(LineKind::Comment);
        if self.here(pair.1) {
            self.at += pair.1.trim_start_matches('\n').len();
            self.state = if depth == 1 { State::Code } else { State::Block { pair, depth: depth - 1 } };
            if pair.1.starts_with('\n') {
                // what follows `=end` on its line is still comment
                self.state = State::LineComment;
            }
        } else if self.lexis.nested && self.here(pair.0) {
            self.at += pair.0.len();
            self.state = State::Block { pair, depth: depth.saturating_add(1) };
        } else {
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::by_name;

    fn show(language: &str, text: &str) -> String {
        let lexis = by_name(language).unwrap().lexis;
        kinds(text.as_bytes(), lexis)
            .iter()
            .map(|k| match k {
                LineKind::Blank => 'b',
                LineKind::Comment => 'c',
                LineKind::Code => 'x',
            })
            .collect()
    }

    #[test]
    fn kinds_by_language() {
        let table = [
            ("Rust", "// a\n\nfn x() {} // b\n/* one\n\n/* two */\n*/\nlet s = \"// no\";\n", "cbxcbccx"),
            ("Rust", "let c = '\"'; // x\nlet l: &'a str = r#\"\n// in\n\"#;\n'\\'' // y\n// z", "xxxxxc"),
            ("Rust", "let s = \"a \\\n  // still text\n\";\n// c\n", "xxxc"),
            ("Rust", "bar\"//\n//\"\n// c\n", "xxc"),
            ("Python", "\"\"\"doc\n\nmore\"\"\"\nx = \"\"\"text\n# text\n\"\"\"\n# c\ny = '#'\n", "cbcxxxcx"),
            ("JavaScript", "const a = `\n// t\n`; /* c\n */ b()\n// c\n", "xxxxc"),
            ("Go", "s := `\n//\\`\n// c\n", "xxc"),
            ("HTML", "<!-- a\nb -->\n<p>\n", "ccx"),
            ("CSS", "/* a */\na { b: c } /* d */\n", "cx"),
            ("Ruby", "=begin\nx\n=end\ny # c\n", "cccx"),
            ("Lua", "--[[ a\nb ]]\n-- c\nx = [[\n-- t]]\n", "cccxx"),
            ("SQL", "-- a\nselect '--\n' /* b */\n", "cxx"),
            ("Shell", "#!/bin/sh\necho '#\n#' # x\n", "cxx"),
            ("Vim Script", "  \" c\nlet x = 1 \" no\n", "cx"),
            ("Batch", "REM hi\nset theorem x\n:: c\n", "cxc"),
            ("YAML", "a: b\n# c\n", "xc"),
            ("Text", "# a\n\nb", "xbx"),
            ("Rust", "", ""),
            ("Rust", "\n", "b"),
            ("Rust", "\r\n\t\r\n", "bb"),
            ("C", "/* open\n x\n", "cc"),
        ];
        for (language, text, want) in table {
            assert_eq!(show(language, text), want, "{language}: {text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_give_as_many_lines_as_newlines(bytes in proptest::collection::vec(proptest::sample::select(b"ar#'\"`/*\\\n -[]=!<>{}\xff0".to_vec()), 0..200)) {
            let want = bytes.iter().filter(|b| **b == b'\n').count() + usize::from(bytes.last().is_some_and(|b| *b != b'\n'));
            for language in crate::language::LANGUAGES {
                proptest::prop_assert_eq!(kinds(&bytes, language.lexis).len(), want, "{}", language.name);
            }
        }
    }
}
