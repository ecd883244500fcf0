//! Hides secrets in a stream of bytes, also when a secret is cut by a chunk border.
//!
//! A secret is searched for as it is and in the forms programs give it: base64 (at each of the three alignments, and
//! wrapped at 76 columns), URI-escaped, JSON-escaped, and line by line when it has lines. No pattern spans a newline,
//! therefore nothing before the last newline ever has to wait; after it only a suffix that begins a pattern waits.
//! Overlapping finds are united, so that no remainder of a second secret shows.

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// What a secret is replaced by.
pub const STARS: &str = "***";

/// Shorter values (and shorter lines of longer ones) would turn ordinary text into stars.
const MIN_LEN: usize = 4;

/// Known secrets, and the bytes that must wait for the next chunk.
pub struct Masker {
    /// Sorted and without duplicates; needed to see whether a suffix begins one.
    patterns: Vec<Vec<u8>>,
    automaton: Option<AhoCorasick>,
    longest: usize,
    pending: Vec<u8>,
}

impl Default for Masker {
    fn default() -> Self {
        Self::new()
    }
}

impl Masker {
    /// Hides nothing yet.
    pub fn new() -> Self {
        Self { patterns: Vec::new(), automaton: None, longest: 0, pending: Vec::new() }
    }

    /// Hides `values` from now on.
    pub fn add<'a>(&mut self, values: impl IntoIterator<Item = &'a str>) {
        let before = self.patterns.len();
        for value in values {
            self.patterns.extend(forms(value));
        }
        if self.patterns.len() == before {
            return;
        }
        self.patterns.sort();
        self.patterns.dedup();
        self.longest = self.patterns.iter().map(Vec::len).max().unwrap_or(0);
        // overlapping search needs the standard match kind
        self.automaton = AhoCorasick::builder().match_kind(MatchKind::Standard).build(&self.patterns).ok();
    }

    /// Feeds `chunk`; what may be shown is appended to `out`.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        if self.automaton.is_none() {
            out.extend_from_slice(chunk);
            return;
        }
        self.pending.extend_from_slice(chunk);
        let spans = self.spans(&self.pending);
        let mut safe = self.hold_from();
        // a find that reaches over the border waits whole
        for &(start, end) in spans.iter().rev() {
            if end > safe && start < safe {
                safe = start;
            }
        }
        replace(&self.pending[..safe], &spans, out);
        self.pending.drain(..safe);
    }

    /// Lets go of what waited: the stream, or the step, has ended.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let spans = self.spans(&self.pending);
        replace(&self.pending, &spans, out);
        self.pending.clear();
    }

    /// Masks a whole text.
    pub fn text(&self, text: &str) -> String {
        let spans = self.spans(text.as_bytes());
        if spans.is_empty() {
            return text.to_owned();
        }
        let mut out = Vec::with_capacity(text.len());
        replace(text.as_bytes(), &spans, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Does the text hold a secret?
    pub fn finds(&self, text: &str) -> bool {
        self.automaton.as_ref().is_some_and(|a| a.is_match(text))
    }

    /// United spans of all finds, in order.
    fn spans(&self, bytes: &[u8]) -> Vec<(usize, usize)> {
        let Some(automaton) = &self.automaton else { return Vec::new() };
        let mut found: Vec<(usize, usize)> = automaton.find_overlapping_iter(bytes).map(|m| (m.start(), m.end())).collect();
        found.sort_unstable();
        let mut united: Vec<(usize, usize)> = Vec::with_capacity(found.len());
        for (start, end) in found {
            match united.last_mut() {
                // two that only touch may be in two pieces of the stream, and are two here, too
                Some(last) if start < last.1 => last.1 = last.1.max(end),
                _ => united.push((start, end)),
            }
        }
        united
    }

    /// Where the longest suffix begins that is a proper prefix of a pattern.
    fn hold_from(&self) -> usize {
        let bytes = &self.pending;
        let line = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        let first = line.max(bytes.len().saturating_sub(self.longest.saturating_sub(1)));
        for start in first..bytes.len() {
            let suffix = &bytes[start..];
            let at = self.patterns.partition_point(|p| p.as_slice() <= suffix);
            if self.patterns.get(at).is_some_and(|p| p.starts_with(suffix)) {
                return start;
            }
        }
        bytes.len()
    }
}

/// Copies `bytes` with every span that begins inside it replaced. Spans never cross the end of `bytes`.
fn replace(bytes: &[u8], spans: &[(usize, usize)], out: &mut Vec<u8>) {
    let mut at = 0;
    for &(start, end) in spans {
        if start >= bytes.len() {
            break;
        }
        out.extend_from_slice(&bytes[at..start]);
        out.extend_from_slice(STARS.as_bytes());
        at = end.min(bytes.len());
    }
    out.extend_from_slice(&bytes[at..]);
}

/// Every form of a value that is searched for.
fn forms(value: &str) -> Vec<Vec<u8>> {
    let value = value.trim_matches(['\r', '\n']);
    let mut all: Vec<String> = Vec::new();
    if value.trim().len() < MIN_LEN {
        return Vec::new();
    }
    all.extend(value.split('\n').map(|line| line.trim().to_owned()));
    for text in [value.to_owned(), format!("{value}\n")] {
        let whole = STANDARD.encode(&text);
        // `base64` of the coreutils wraps here
        all.extend(whole.as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line).into_owned()));
        all.push(whole);
    }
    for shift in 0..3usize {
        // the characters that also hold bits of a neighbour are left out
        let padded = [vec![0u8; shift], value.as_bytes().to_vec()].concat();
        let skip = if shift == 0 { 0 } else { shift + 1 };
        let keep = padded.len() * 8 / 6;
        for text in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            all.push(text.get(skip..keep).unwrap_or_default().to_owned());
        }
    }
    all.push(utf8_percent_encode(value, NON_ALPHANUMERIC).to_string());
    // what encodeURIComponent leaves alone
    all.push(utf8_percent_encode(value, URI_COMPONENT).to_string());
    let json = serde_json::to_string(value).unwrap_or_default();
    all.push(json.trim_matches('"').to_owned());
    all.push(value.replace('\\', "\\\\").replace('\'', "'\\''"));
    all.into_iter().filter(|form| form.len() >= MIN_LEN && !form.contains('\n')).map(String::into_bytes).collect()
}

const URI_COMPONENT: &percent_encoding::AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'!').remove(b'~').remove(b'*').remove(b'\'').remove(b'(').remove(b')');

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn masked(secrets: &[&str], chunks: &[&[u8]]) -> String {
        let mut masker = Masker::new();
        masker.add(secrets.iter().copied());
        let mut out = Vec::new();
        for chunk in chunks {
            masker.push(chunk, &mut out);
        }
        masker.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn hides_forms() {
        let secret = "p@ss word/1\"x";
        for form in [
            secret.to_owned(),
            STANDARD.encode(secret),
            STANDARD.encode(format!("x{secret}")),
            STANDARD.encode(format!("xy{secret}")),
            "p%40ss%20word%2F1%22x".to_owned(),
            "p@ss word/1\\\"x".to_owned(),
        ] {
            let shown = masked(&[secret], &[format!("<{form}>").as_bytes()]);
            assert!(shown.contains(STARS), "{form} -> {shown}");
            assert!(!shown.contains(&form[5..form.len() - 3]), "{form} -> {shown}");
        }
    }

    #[test]
    fn hides_across_borders_and_unites_overlaps() {
        assert_eq!(masked(&["topsecret"], &[b"a tops", b"ecr", b"et b"]), "a *** b");
        assert_eq!(masked(&["abcdef", "defghi"], &[b"xabcdefghiy"]), "x***y");
        assert_eq!(masked(&["abcdef", "defghi"], &[b"xabcdef", b"ghiy"]), "x***y");
        assert_eq!(masked(&["aabb"], &[b"aabbaabb"]), "******");
        assert_eq!(masked(&["aabb"], &[b"aabb", b"aabb"]), "******");
        assert_eq!(masked(&["line-one\nline-two\n"], &[b"line-one\r\nline-two"]), "***\r\n***");
    }

    #[test]
    fn nothing_before_a_newline_waits() {
        let mut masker = Masker::new();
        masker.add(["hunter22"]);
        let mut out = Vec::new();
        masker.push(b"ends with hunt\nnext", &mut out);
        assert_eq!(out, b"ends with hunt\nnext");
        masker.push(b" hunt", &mut out);
        assert_eq!(out, b"ends with hunt\nnext ");
    }

    #[test]
    fn short_values_are_left_alone() {
        assert_eq!(masked(&["abc", ""], &[b"abcabc"]), "abcabc");
    }

    proptest! {
        #[test]
        fn chunking_never_matters(
            secrets in proptest::collection::vec("[ab]{4,7}", 1..4),
            text in "[ab\n]{0,80}",
            cuts in proptest::collection::vec(0usize..80, 0..10),
        ) {
            let refs: Vec<&str> = secrets.iter().map(String::as_str).collect();
            let whole = masked(&refs, &[text.as_bytes()]);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(text.len())).collect();
            cuts.sort_unstable();
            let mut chunks = Vec::new();
            let mut at = 0;
            for cut in cuts {
                chunks.push(&text.as_bytes()[at..cut]);
                at = cut;
            }
            chunks.push(&text.as_bytes()[at..]);
            let parts = masked(&refs, &chunks);
            prop_assert_eq!(&parts, &whole);
            for secret in &secrets {
                prop_assert!(!parts.contains(secret.as_str()));
            }
        }
    }
}
