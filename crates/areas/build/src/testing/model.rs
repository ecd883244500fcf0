//! Which test file takes how long, and how files are shared out.

use std::collections::{BTreeSet, HashMap};

use kernel::{Error, Result};
use serde::{Deserialize, Serialize};
use store::test::TimeRow;
use utoipa::ToSchema;

/// Most parts.
const MAX_PARTS: usize = 500;
/// Most files.
const MAX_FILES: usize = 20_000;
/// Longest name of a file.
const MAX_NAME: usize = 1000;
/// What a file is thought to take when nothing is known of any.
const UNKNOWN_MS: i64 = 1000;

/// One of the parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Part {
    /// Its files, in the order of their names.
    pub files: Vec<String>,
    /// What they are expected to take.
    pub expected_ms: i64,
    /// How many of them no report has named yet.
    pub unknown: usize,
}

/// Checks what is asked for.
///
/// # Errors
/// `validation_failed`.
pub fn check(total: usize, files: &[String]) -> Result<()> {
    if !(1..=MAX_PARTS).contains(&total) {
        return Err(Error::field("total", "invalid", format!("1 to {MAX_PARTS}")));
    }
    if files.len() > MAX_FILES || files.iter().any(|f| f.is_empty() || f.len() > MAX_NAME || f.contains('\0')) {
        return Err(Error::field("files", "invalid", format!("at most {MAX_FILES} names of 1 to {MAX_NAME} bytes")));
    }
    Ok(())
}

/// Shares files out by the time they took: the longest first, each to the part that has least. The same files and times
/// give the same parts.
pub fn divide(files: &[String], times: &[TimeRow], total: usize) -> Vec<Part> {
    let files: BTreeSet<&str> = files.iter().map(String::as_str).collect();
    let known = Known::new(times);
    let weights: Vec<(Option<i64>, &str)> = files.iter().map(|f| (known.weight(f), *f)).collect();
    let told: Vec<i64> = weights.iter().filter_map(|(ms, _)| *ms).collect();
    let mean = told.iter().sum::<i64>().checked_div(i64::try_from(told.len()).unwrap_or(0)).unwrap_or(UNKNOWN_MS);
    let mut order: Vec<(i64, bool, &str)> = weights.into_iter().map(|(ms, f)| (ms.unwrap_or(mean).max(1), ms.is_none(), f)).collect();
    order.sort_by(|a, b| b.0.cmp(&a.0).then(a.2.cmp(b.2)));
    let mut parts = vec![Part::default(); total];
    for (ms, unknown, file) in order {
        if let Some(least) = parts.iter_mut().min_by_key(|p| p.expected_ms) {
            least.files.push(file.to_owned());
            least.expected_ms += ms;
            least.unknown += usize::from(unknown);
        }
    }
    for part in &mut parts {
        part.files.sort();
    }
    parts
}

/// Times by the last word of where they are, which is little to look at for each file.
struct Known<'t> {
    by_file: HashMap<&'t str, Vec<(&'t str, i64)>>,
    by_class: HashMap<&'t str, Vec<(&'t str, i64)>>,
}

impl<'t> Known<'t> {
    fn new(times: &'t [TimeRow]) -> Self {
        let mut known = Self { by_file: HashMap::new(), by_class: HashMap::new() };
        for t in times {
            let path = t.file.as_deref().or_else(|| t.suite.contains('/').then_some(t.suite.as_str()));
            if let Some(path) = path {
                let path = clean(path);
                known.by_file.entry(path.rsplit('/').next().unwrap_or(path)).or_default().push((path, t.total_ms));
            } else {
                // a class may name those around it, or one within
                for word in t.class.split('.').collect::<BTreeSet<_>>().into_iter().filter(|w| !w.is_empty()).take(12) {
                    known.by_class.entry(word).or_default().push((&t.class, t.total_ms));
                }
            }
        }
        known
    }

    /// What the tests of a file took, if any report told.
    fn weight(&self, file: &str) -> Option<i64> {
        let path = clean(file);
        let name = path.rsplit('/').next().unwrap_or(path);
        let same = |known: &str| known == path || below(path, known, '/') || below(known, path, '/');
        let of_file: Vec<i64> = self.by_file.get(name).into_iter().flatten().filter(|(k, _)| same(k)).map(|(_, ms)| *ms).collect();
        if !of_file.is_empty() {
            return Some(of_file.iter().sum());
        }
        let stem = path.rsplit_once('.').map_or(path, |(stem, _)| stem).replace('/', ".");
        let word = stem.rsplit('.').next().unwrap_or(&stem);
        let holds = |class: &str| {
            let outer = class.find(&format!("{word}.")).map_or(class, |at| &class[..at + word.len()]);
            outer == stem || below(&stem, outer, '.')
        };
        let of_class: Vec<i64> = self.by_class.get(word).into_iter().flatten().filter(|(c, _)| holds(c)).map(|(_, ms)| *ms).collect();
        (!of_class.is_empty()).then(|| of_class.iter().sum())
    }
}

fn clean(path: &str) -> &str {
    path.trim_start_matches("./").trim_start_matches('/')
}

/// Is `tail` the end of `whole`, from a separator on?
fn below(whole: &str, tail: &str, separator: char) -> bool {
    !tail.is_empty() && whole.strip_suffix(tail).is_some_and(|rest| rest.ends_with(separator))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn time(file: Option<&str>, class: &str, ms: i64) -> TimeRow {
        TimeRow { file: file.map(str::to_owned), class: class.into(), suite: String::new(), total_ms: ms }
    }

    #[test]
    fn a_file_is_known_by_its_path_or_its_class() {
        let times = [
            time(Some("/builds/x/spec/a.test.ts"), "", 5),
            time(Some("web/spec/b.test.ts"), "", 7),
            time(None, "com.acme.FooTest", 11),
            time(None, "com.acme.FooTest.Inner", 2),
            time(None, "com.other.FooTest", 100),
            time(None, "tests.unit.test_x.TestThings", 13),
        ];
        let known = Known::new(&times);
        for (file, ms) in [
            ("spec/a.test.ts", Some(5)),
            ("./spec/b.test.ts", Some(7)),
            ("other/b.test.ts", None),
            ("b.test.ts", Some(7)),
            ("src/test/java/com/acme/FooTest.java", Some(13)),
            ("tests/unit/test_x.py", Some(13)),
            ("tests/test_x.py", None),
            ("nothing", None),
        ] {
            assert_eq!(known.weight(file), ms, "{file}");
        }
    }

    #[test]
    fn the_longest_goes_first() {
        let files: Vec<String> = ["a", "b", "c", "d", "new"].iter().map(|f| format!("{f}.rs")).collect();
        let times: Vec<TimeRow> =
            [("a.rs", 90), ("b.rs", 50), ("c.rs", 40), ("d.rs", 20)].iter().map(|(f, ms)| time(Some(f), "", *ms)).collect();
        let parts = divide(&files, &times, 2);
        assert_eq!(parts[0].files, ["a.rs", "c.rs"]);
        assert_eq!(parts[1].files, ["b.rs", "d.rs", "new.rs"]);
        assert_eq!((parts[0].expected_ms, parts[1].expected_ms, parts[1].unknown), (130, 120, 1));
        assert_eq!(divide(&[], &times, 3), vec![Part::default(); 3]);
    }

    proptest! {
        #[test]
        fn every_file_is_in_one_part(files in proptest::collection::vec("[a-c]{1,2}(/[a-c.]{1,3})?", 0..40), total in 1usize..9,
            ms in proptest::collection::vec(0i64..1000, 0..10)) {
            let times: Vec<TimeRow> = files.iter().zip(&ms).map(|(f, ms)| time(Some(f), "", *ms)).collect();
            let parts = divide(&files, &times, total);
            let mut all: Vec<String> = parts.iter().flat_map(|p| p.files.clone()).collect();
            all.sort();
            let mut wanted = files.clone();
            wanted.sort();
            wanted.dedup();
            prop_assert_eq!(all, wanted);
            prop_assert_eq!(parts.len(), total);
        }
    }
}
