//! Unified hunks of two texts. Pure.

use imara_diff::{Algorithm, Diff, InternedInput, sources::byte_lines};
use serde::Serialize;

/// Unchanged lines around a change.
const CONTEXT: u32 = 3;
/// Bytes of a line that are shown; a minified file is one line.
const LINE_BYTES: usize = 4096;

/// A changed place with its surroundings.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Hunk {
    /// First line before, counted from 1; 0 when there are none.
    pub old_start: u32,
    /// Lines before.
    pub old_lines: u32,
    /// First line after.
    pub new_start: u32,
    /// Lines after.
    pub new_lines: u32,
    /// The lines.
    pub lines: Vec<Line>,
}

/// What a line of a hunk is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum LineKind {
    /// On both sides.
    #[serde(rename = " ")]
    Context,
    /// New.
    #[serde(rename = "+")]
    Added,
    /// Gone.
    #[serde(rename = "-")]
    Removed,
}

/// A line of a hunk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Line {
    /// What it is.
    pub kind: LineKind,
    /// Its text without the line end.
    pub text: String,
}

/// Hunks and counts.
#[derive(Debug, Default)]
pub(super) struct Compared {
    pub(super) additions: u64,
    pub(super) deletions: u64,
    pub(super) truncated: bool,
    pub(super) hunks: Vec<Hunk>,
}

/// Compares two texts and shows at most `max_lines` lines; counts are of all.
pub(super) fn compare(before: &[u8], after: &[u8], max_lines: usize) -> Compared {
    let input = InternedInput::new(byte_lines(before), byte_lines(after));
    let mut diff = Diff::compute(Algorithm::Histogram, &input);
    diff.postprocess_lines(&input);
    let mut out =
        Compared { additions: u64::from(diff.count_additions()), deletions: u64::from(diff.count_removals()), ..Compared::default() };
    let (old_total, new_total) = (count(input.before.len()), count(input.after.len()));
    let old = |i: u32| input.before.get(i as usize).map(|t| input.interner[*t]);
    let new = |i: u32| input.after.get(i as usize).map(|t| input.interner[*t]);

    let mut groups: Vec<Vec<imara_diff::Hunk>> = Vec::new();
    for hunk in diff.hunks() {
        match groups.last_mut() {
            // their surroundings touch: one hunk
            Some(group) if group.last().is_some_and(|last| hunk.before.start - last.before.end <= 2 * CONTEXT) => group.push(hunk),
            _ => groups.push(vec![hunk]),
        }
    }
    let mut shown = 0;
    for group in groups {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let lead = first.before.start.min(CONTEXT).min(first.after.start);
        let (old_from, new_from) = (first.before.start - lead, first.after.start - lead);
        let old_to = (last.before.end + CONTEXT).min(old_total);
        let new_to = (last.after.end + CONTEXT).min(new_total);
        let mut lines = Vec::new();
        let mut at = old_from;
        for hunk in &group {
            lines.extend((at..hunk.before.start).filter_map(old).map(|t| line(LineKind::Context, t)));
            lines.extend(hunk.before.clone().filter_map(old).map(|t| line(LineKind::Removed, t)));
            lines.extend(hunk.after.clone().filter_map(new).map(|t| line(LineKind::Added, t)));
            at = hunk.before.end;
            if shown + lines.len() > max_lines {
                break;
            }
        }
        lines.extend((at..old_to.min(at + CONTEXT)).filter_map(old).map(|t| line(LineKind::Context, t)));
        if shown + lines.len() > max_lines {
            out.truncated = true;
            break;
        }
        shown += lines.len();
        let (old_lines, new_lines) = (old_to - old_from, new_to - new_from);
        out.hunks.push(Hunk {
            old_start: if old_lines == 0 { old_from } else { old_from + 1 },
            old_lines,
            new_start: if new_lines == 0 { new_from } else { new_from + 1 },
            new_lines,
            lines,
        });
    }
    out
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn line(kind: LineKind, bytes: &[u8]) -> Line {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let shown = bytes.get(..LINE_BYTES).unwrap_or(bytes);
    Line { kind, text: String::from_utf8_lossy(shown).into_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(hunks: &[Hunk]) -> String {
        let mut out = String::new();
        for h in hunks {
            out.push_str(&format!("@@ -{},{} +{},{} @@\n", h.old_start, h.old_lines, h.new_start, h.new_lines));
            for l in &h.lines {
                out.push(match l.kind {
                    LineKind::Context => ' ',
                    LineKind::Added => '+',
                    LineKind::Removed => '-',
                });
                out.push_str(&l.text);
                out.push('\n');
            }
        }
        out
    }

    #[test]
    fn one_change_in_the_middle() {
        let c = compare(b"1\n2\n3\n4\n5\n6\n7\n8\n9\n", b"1\n2\n3\n4\nfive\n6\n7\n8\n9\n", 100);
        assert_eq!(text(&c.hunks), "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n");
        assert_eq!((c.additions, c.deletions), (1, 1));
    }

    #[test]
    fn a_new_file() {
        let c = compare(b"", b"a\nb", 100);
        assert_eq!(text(&c.hunks), "@@ -0,0 +1,2 @@\n+a\n+b\n");
    }

    #[test]
    fn far_changes_are_two_hunks() {
        let before: String = (0..30).map(|i| format!("{i}\n")).collect();
        let after = before.replace("\n3\n", "\nx\n").replace("\n25\n", "\ny\n");
        assert_eq!(compare(before.as_bytes(), after.as_bytes(), 100).hunks.len(), 2);
    }

    #[test]
    fn too_many_lines_are_cut_but_counted() {
        let after: String = (0..1000).map(|i| format!("{i}\n")).collect();
        let c = compare(b"", after.as_bytes(), 10);
        assert!(c.truncated && c.hunks.is_empty() && c.additions == 1000);
    }

    proptest! {
        /// The hunks, applied to the old text, give the new one.
        #[test]
        fn hunks_apply(before in proptest::collection::vec(0u8..4, 0..40), after in proptest::collection::vec(0u8..4, 0..40)) {
            let join = |v: &[u8]| v.iter().map(|n| format!("{n}\n")).collect::<String>();
            let (b, a) = (join(&before), join(&after));
            let c = compare(b.as_bytes(), a.as_bytes(), 10_000);
            let old: Vec<&str> = b.lines().collect();
            let mut made: Vec<String> = Vec::new();
            let mut at = 0usize;
            for h in &c.hunks {
                let start = if h.old_lines == 0 { h.old_start } else { h.old_start - 1 } as usize;
                made.extend(old[at..start].iter().map(|s| (*s).to_owned()));
                let kept = h.lines.iter().filter(|l| l.kind != LineKind::Added).count();
                prop_assert_eq!(kept, h.old_lines as usize);
                prop_assert_eq!(h.lines.iter().filter(|l| l.kind != LineKind::Removed).count(), h.new_lines as usize);
                made.extend(h.lines.iter().filter(|l| l.kind != LineKind::Removed).map(|l| l.text.clone()));
                at = start + h.old_lines as usize;
            }
            made.extend(old[at..].iter().map(|s| (*s).to_owned()));
            prop_assert_eq!(made, a.lines().map(str::to_owned).collect::<Vec<_>>());
        }
    }
}
