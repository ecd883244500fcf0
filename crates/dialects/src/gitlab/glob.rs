//! The file patterns of `changes`, `exists` and `include:local`: `*` stays in a directory, `**/` is any number of them,
//! `{a,b}` is a choice, hidden files count.

use regex::{Regex, RegexBuilder};

/// Longest pattern.
const MAX_PATTERN: usize = 2048;

/// A pattern as a regular expression over whole paths; none when it cannot be read.
pub(super) fn compile(glob: &str) -> Option<Regex> {
    let glob = glob.strip_prefix("./").unwrap_or(glob);
    if glob.len() > MAX_PATTERN {
        return None;
    }
    let chars: Vec<char> = glob.chars().collect();
    let mut out = String::from("^");
    let (mut i, mut open) = (0, 0);
    while i < chars.len() {
        match chars[i] {
            '*' if chars[i..].starts_with(&['*', '*', '/']) && (i == 0 || chars[i - 1] == '/') => {
                out.push_str("(?:[^/]+/)*");
                i += 2;
            }
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '{' => {
                open += 1;
                out.push_str("(?:");
            }
            '}' if open > 0 => {
                open -= 1;
                out.push(')');
            }
            ',' if open > 0 => out.push('|'),
            '[' => {
                let end = i + 1 + chars[i + 1..].iter().position(|c| *c == ']')?;
                let set: String = chars[i + 1..end].iter().collect();
                let (not, set) = match set.strip_prefix(['!', '^']) {
                    Some(rest) => ("^", rest.to_owned()),
                    None => ("", set),
                };
                if set.is_empty() {
                    return None;
                }
                let set: String = set.chars().map(|c| if c == '-' { "-".to_owned() } else { regex::escape(&c.to_string()) }).collect();
                out.push_str(&format!("[{not}{set}]"));
                i = end;
            }
            '\\' if i + 1 < chars.len() => {
                i += 1;
                out.push_str(&regex::escape(&chars[i].to_string()));
            }
            c => out.push_str(&regex::escape(&c.to_string())),
        }
        i += 1;
    }
    (open == 0).then_some(())?;
    out.push('$');
    RegexBuilder::new(&out).size_limit(1 << 20).dot_matches_new_line(true).build().ok()
}

/// The paths that match.
pub(super) fn matching<'p>(glob: &str, paths: impl Iterator<Item = &'p str>) -> impl Iterator<Item = &'p str> {
    let regex = compile(glob);
    paths.filter(move |p| regex.as_ref().is_some_and(|r| r.is_match(p)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_file_names_do() {
        for (glob, path, expect) in [
            ("Dockerfile", "Dockerfile", true),
            ("Dockerfile", "a/Dockerfile", false),
            ("**/Dockerfile", "Dockerfile", true),
            ("**/Dockerfile", "a/b/Dockerfile", true),
            ("docs/*", "docs/a.md", true),
            ("docs/*", "docs/a/b.md", false),
            ("docs/**/*", "docs/a/b.md", true),
            ("docs/**/*", "docs/b.md", true),
            ("docs/**", "docs/a/b.md", false),
            ("*.{rb,py}", "x.py", true),
            ("*.{rb,py}", "x.go", false),
            ("src/[a-c]?.rs", "src/b1.rs", true),
            ("src/[!a]x", "src/ax", false),
            ("**/*", ".hidden/x", true),
            ("a.b", "axb", false),
            ("./x", "x", true),
        ] {
            assert_eq!(compile(glob).unwrap().is_match(path), expect, "{glob} {path}");
        }
        for bad in ["[a", "{a", "[]"] {
            assert!(compile(bad).is_none(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(glob in r"[a-c*?{},\[\]!^/\\.-]{0,30}", path in "[a-c/.]{0,20}") {
            let _ = compile(&glob).map(|r| r.is_match(&path));
        }
    }
}
