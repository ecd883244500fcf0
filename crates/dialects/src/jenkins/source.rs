//! A file with its lines: places for messages, and the text of a node as Jenkins takes it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::ast::{At, Expr, ExprKind, Stmt};
use crate::diagnostic::Span;

/// A Jenkinsfile.
#[derive(Clone, Debug)]
pub struct Source {
    file: Arc<str>,
    text: Arc<str>,
    /// Offsets of the first bytes of the lines.
    lines: Arc<[u32]>,
    /// Files of libraries, each with the offset that its first byte has.
    more: Arc<Mutex<Vec<(u32, Source)>>>,
}

impl Source {
    /// Takes the text of a file.
    pub fn new(file: &str, text: &str) -> Self {
        let starts = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| u32::try_from(i + 1).unwrap_or(u32::MAX));
        Self { file: file.into(), text: text.into(), lines: std::iter::once(0).chain(starts).collect(), more: Arc::default() }
    }

    fn others(&self) -> MutexGuard<'_, Vec<(u32, Source)>> {
        self.more.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a file; its bytes have offsets from the returned one on. None when there is no room for it.
    pub(super) fn add(&self, file: &str, text: &str) -> Option<u32> {
        let mut others = self.others();
        let (base, last) = others.last().map_or((0, self.text.len()), |(base, s)| (*base, s.text.len()));
        let base = base.checked_add(u32::try_from(last).ok()?)?.checked_add(1)?;
        base.checked_add(u32::try_from(text.len()).ok()?)?;
        others.push((base, Source::new(file, text)));
        Some(base)
    }

    /// The other file that an offset lies in, and where it begins.
    fn other(&self, offset: u32) -> Option<(u32, Source)> {
        if offset as usize <= self.text.len() {
            return None;
        }
        self.others().iter().rev().find(|(base, _)| *base <= offset).cloned()
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The path of the file.
    pub fn file(&self) -> &str {
        &self.file
    }

    fn line(&self, offset: u32) -> usize {
        self.lines.partition_point(|start| *start <= offset)
    }

    /// Line and column of a byte.
    pub fn span(&self, offset: u32) -> Span {
        if let Some((base, other)) = self.other(offset) {
            return other.span(offset - base);
        }
        let line = self.line(offset);
        let start = self.lines.get(line.saturating_sub(1)).copied().unwrap_or(0) as usize;
        let column = self.text.get(start..(offset as usize).min(self.text.len())).map_or(0, |t| t.chars().count());
        Span {
            file: Arc::clone(&self.file),
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column + 1).unwrap_or(u32::MAX),
        }
    }

    fn slice(&self, start: u32, end: u32) -> String {
        if let Some((base, other)) = self.other(start) {
            return other.slice(start - base, end.saturating_sub(base));
        }
        let text = self.text.get(start as usize..end as usize).unwrap_or_default().replace("\r\n", "\n");
        text.trim_matches(|c: char| c <= ' ').to_owned()
    }

    /// The text of a node: up to the next token, as Groovy 2 notes it.
    pub fn of(&self, at: At) -> String {
        self.slice(at.start, at.next)
    }

    /// The text of an expression as Jenkins writes it: the operands of an operator without the blanks between, and
    /// without parentheses, which the tree does not keep.
    pub fn expr(&self, expr: &Expr) -> String {
        match &expr.kind {
            ExprKind::Binary(op, left, right) => format!("{}{op}{}", self.expr(left), self.expr(right)),
            ExprKind::Assign(op, left, right) => format!("{}{op}={}", self.expr(left), self.expr(right)),
            ExprKind::InstanceOf(left, ty) => format!("{}instanceof{ty}", self.expr(left)),
            ExprKind::Index(target, index) => match index.as_slice() {
                [one] => format!("{}[{}", self.expr(target), self.expr(one)),
                _ => self.of(expr.at),
            },
            _ => self.of(expr.at),
        }
    }

    /// The text of the statements of a block: from the first to the one that reaches the last line. `whole` is the
    /// block itself, whose text stands for an empty one.
    pub fn block(&self, body: &[Stmt], whole: At) -> String {
        let Some(first) = body.first() else { return self.of(whole) };
        if let Some((base, other)) = self.other(first.at.start) {
            let ends: Vec<u32> = body.iter().map(|s| s.at.next - base).collect();
            return other.lines_of(first.at.start - base, &ends);
        }
        self.lines_of(first.at.start, &body.iter().map(|s| s.at.next).collect::<Vec<_>>())
    }

    fn lines_of(&self, start: u32, ends: &[u32]) -> String {
        let mut end = ends.first().copied().unwrap_or(start);
        let mut last = self.line(end);
        for next in ends {
            if self.line(*next) > last {
                end = *next;
                last = self.line(end);
            }
        }
        self.slice(start, end)
    }
}
