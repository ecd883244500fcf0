//! Which three-byte sequences a text holds, and which of them a pattern needs.
//!
//! Sequences are folded to lower case (ASCII), so that one index serves both ways of looking. A file can only match
//! if it meets the pattern's [`Need`]; whether it does is for the matcher to say. Two letters escape the folding:
//! the Kelvin sign and the long s are not found by a `k` or `s` that ignores case.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

/// Marks sequences of the path, apart from those of the content.
pub(crate) const IN_PATH: u32 = 1 << 24;

/// What a file must hold to match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing is known.
    Anything,
    /// This sequence.
    Sequence(u32),
    /// All of these.
    All(Vec<Need>),
    /// One of these.
    One(Vec<Need>),
}

/// The folded sequence of three bytes.
pub(crate) fn key(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |n, b| (n << 8) | u32::from(b.to_ascii_lowercase()))
}

/// The sequences of a text, each once, in no order. Those over a line's end are left out: no match goes over it.
pub(crate) struct Extractor {
    seen: Vec<u64>,
    found: Vec<u32>,
}

impl Extractor {
    pub(crate) fn new() -> Self {
        Self { seen: vec![0; 1 << 18], found: Vec::new() }
    }

    pub(crate) fn extract(&mut self, text: &[u8]) -> &[u32] {
        for key in self.found.drain(..) {
            self.seen[(key >> 6) as usize] = 0;
        }
        let (mut key, mut fresh) = (0u32, 0u32);
        for byte in text {
            if *byte == b'\n' {
                fresh = 0;
                continue;
            }
            key = (key << 8 | u32::from(byte.to_ascii_lowercase())) & 0xff_ffff;
            fresh += 1;
            if fresh >= 3 {
                let (word, bit) = ((key >> 6) as usize, 1u64 << (key & 63));
                if self.seen[word] & bit == 0 {
                    self.seen[word] |= bit;
                    self.found.push(key);
                }
            }
        }
        &self.found
    }
}

/// What the pattern needs. The pattern must have been accepted by the matcher.
pub(crate) fn need(pattern: &str, case_sensitive: bool) -> Need {
    let parsed = ParserBuilder::new()
        .utf8(false)
        .multi_line(true)
        .case_insensitive(!case_sensitive)
        .nest_limit(super::matcher::NEST_LIMIT)
        .build()
        .parse(pattern);
    match parsed {
        Ok(hir) => simplify(of(&hir)),
        Err(_) => Need::Anything,
    }
}

fn of(hir: &Hir) -> Need {
    if let Some(bytes) = exact(hir) {
        return of_bytes(&bytes);
    }
    match hir.kind() {
        HirKind::Capture(capture) => of(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => of(&repetition.sub),
        HirKind::Alternation(options) => Need::One(options.iter().map(of).collect()),
        HirKind::Concat(parts) => {
            let mut all = Vec::new();
            let mut run = Vec::new();
            for part in parts {
                if let Some(bytes) = exact(part) {
                    run.extend(bytes);
                } else {
                    all.push(of_bytes(&run));
                    run.clear();
                    all.push(of(part));
                }
            }
            all.push(of_bytes(&run));
            Need::All(all)
        }
        _ => Need::Anything,
    }
}

/// The folded text, where a part of the pattern matches only that.
fn exact(hir: &Hir) -> Option<Vec<u8>> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(literal.0.to_ascii_lowercase()),
        HirKind::Capture(capture) => exact(&capture.sub),
        HirKind::Class(Class::Unicode(class)) => {
            let mut folded = None;
            for range in class.ranges() {
                if range.len() > 4 {
                    return None;
                }
                for c in range.start()..=range.end() {
                    let c = match c {
                        '\u{212a}' => 'k',
                        '\u{17f}' => 's',
                        c => c.to_ascii_lowercase(),
                    };
                    if *folded.get_or_insert(c) != c {
                        return None;
                    }
                }
            }
            folded.map(|c| c.to_string().into_bytes())
        }
        HirKind::Class(Class::Bytes(class)) => {
            let mut folded = None;
            for range in class.ranges() {
                for b in range.start()..=range.end() {
                    let b = b.to_ascii_lowercase();
                    if *folded.get_or_insert(b) != b {
                        return None;
                    }
                }
            }
            folded.map(|b| vec![b])
        }
        _ => None,
    }
}

fn of_bytes(bytes: &[u8]) -> Need {
    let mut keys: Vec<u32> = bytes.windows(3).map(key).collect();
    keys.sort_unstable();
    keys.dedup();
    Need::All(keys.into_iter().map(Need::Sequence).collect())
}

/// Removes what says nothing.
fn simplify(need: Need) -> Need {
    match need {
        Need::All(parts) => {
            let mut flat = Vec::new();
            for part in parts {
                match simplify(part) {
                    Need::Anything => {}
                    Need::All(inner) => flat.extend(inner),
                    other => flat.push(other),
                }
            }
            if flat.is_empty() { Need::Anything } else { Need::All(flat) }
        }
        Need::One(parts) => {
            let parts: Vec<Need> = parts.into_iter().map(simplify).collect();
            if parts.is_empty() || parts.contains(&Need::Anything) { Need::Anything } else { Need::One(parts) }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(need: &Need) -> String {
        match need {
            Need::Anything => "*".into(),
            Need::Sequence(k) => String::from_utf8_lossy(&k.to_be_bytes()[1..]).into_owned(),
            Need::All(p) => format!("({})", p.iter().map(show).collect::<Vec<_>>().join(" ")),
            Need::One(p) => format!("[{}]", p.iter().map(show).collect::<Vec<_>>().join("|")),
        }
    }

    #[test]
    fn needs() {
        let table = [
            ("abcd", true, "(abc bcd)"),
            ("ABcd", true, "(abc bcd)"),
            ("Task", false, "(ask tas)"),
            ("ab", true, "*"),
            ("foo.*bar", true, "(foo bar)"),
            ("foo(bar|bazz)qux", true, "(foo [(bar)|(azz baz)] qux)"),
            ("foo(bar|x)?", true, "(foo)"),
            ("(abc)+d", true, "(abc)"),
            ("a[bc]d", true, "*"),
            ("x*", true, "*"),
            ("a|bcd", true, "*"),
            ("é!", true, "(é!)"),
            ("É!abc", false, "(!ab abc)"),
            (".", true, "*"),
            ("^abc$", true, "(abc)"),
            ("", true, "*"),
        ];
        for (pattern, case, want) in table {
            assert_eq!(show(&need(pattern, case)), want, "{pattern}");
        }
    }

    #[test]
    fn extraction_starts_anew_each_time_and_at_each_line() {
        let mut extractor = Extractor::new();
        assert_eq!(extractor.extract(b"abAB\ncd").len(), 2);
        assert_eq!(extractor.extract(b"abc abc"), [key(b"abc"), key(b"bc "), key(b"c a"), key(b" ab")]);
    }
}
