//! Where the parser stands: looking ahead, taking, and saying what was expected.

use super::*;

const KEYWORDS: &[&str] = &[
    "as",
    "assert",
    "break",
    "case",
    "catch",
    "class",
    "continue",
    "def",
    "default",
    "do",
    "else",
    "enum",
    "extends",
    "false",
    "finally",
    "for",
    "if",
    "implements",
    "import",
    "in",
    "instanceof",
    "interface",
    "new",
    "null",
    "package",
    "return",
    "super",
    "switch",
    "throw",
    "throws",
    "trait",
    "true",
    "try",
    "while",
    "goto",
    "const",
];

pub(in crate::jenkins) fn is_keyword(word: &str) -> bool {
    KEYWORDS.contains(&word)
}

impl Parser<'_> {
    pub(in crate::jenkins) fn token(&self) -> &Token {
        &self.tokens[self.pos.min(self.tokens.len() - 1)]
    }

    pub(in crate::jenkins) fn tok(&self) -> &Tok {
        &self.token().tok
    }

    pub(in crate::jenkins) fn ahead(&self, by: usize) -> &Tok {
        &self.tokens[(self.pos + by).min(self.tokens.len() - 1)].tok
    }

    pub(in crate::jenkins) fn step(&mut self) {
        self.pos = (self.pos + 1).min(self.tokens.len() - 1);
    }

    pub(in crate::jenkins) fn is(&self, op: &str) -> bool {
        matches!(self.tok(), Tok::Op(o) if *o == op)
    }

    pub(in crate::jenkins) fn is_at(&self, by: usize, op: &str) -> bool {
        matches!(self.ahead(by), Tok::Op(o) if *o == op)
    }

    pub(in crate::jenkins) fn eat(&mut self, op: &str) -> bool {
        let found = self.is(op);
        if found {
            self.step();
        }
        found
    }

    pub(in crate::jenkins) fn is_word(&self, word: &str) -> bool {
        matches!(self.tok(), Tok::Word(w) if w == word)
    }

    pub(in crate::jenkins) fn eat_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.step();
        }
        found
    }

    pub(in crate::jenkins) fn newlines(&mut self) {
        while matches!(self.tok(), Tok::Newline) {
            self.step();
        }
    }

    /// What the token is called in messages.
    pub(in crate::jenkins) fn shown(&self) -> String {
        match self.tok() {
            Tok::Word(word) => word.clone(),
            Tok::Op(op) => (*op).to_owned(),
            Tok::Int(n) => n.to_string(),
            Tok::Big(n) => n.clone(),
            Tok::Decimal(n) => n.to_string(),
            Tok::Str(text) => text.chars().take(40).collect(),
            Tok::GString(_) => "a string".into(),
            Tok::Newline => "\\n".into(),
            Tok::End => "end of file".into(),
        }
    }

    pub(in crate::jenkins) fn unexpected<T>(&self) -> Parsed<T> {
        Err(SyntaxError { at: self.token().start, message: format!("unexpected token: {}", self.shown()) })
    }

    pub(in crate::jenkins) fn expect(&mut self, op: &str) -> Parsed<()> {
        if self.eat(op) {
            return Ok(());
        }
        Err(SyntaxError { at: self.token().start, message: format!("expecting '{op}', found '{}'", self.shown()) })
    }

    pub(in crate::jenkins) fn refuse<T>(&self, what: &str) -> Parsed<T> {
        Err(SyntaxError { at: self.token().start, message: format!("{what} is not supported in a Jenkinsfile here") })
    }

    pub(in crate::jenkins) fn enter(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(SyntaxError { at: self.token().start, message: "nested too deeply".into() });
        }
        Ok(())
    }

    /// From the token at `from` to the one before the current.
    pub(in crate::jenkins) fn since(&self, from: usize) -> At {
        let last = &self.tokens[self.pos.max(from + 1) - 1];
        At { start: self.tokens[from].start, end: last.end, next: self.token().start.max(last.end) }
    }

    pub(in crate::jenkins) fn name(&mut self) -> Parsed<String> {
        match self.tok() {
            Tok::Word(word) if !is_keyword(word) => {
                let word = word.clone();
                self.step();
                Ok(word)
            }
            _ => self.unexpected(),
        }
    }
}
