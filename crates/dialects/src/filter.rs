//! The patterns of branch, tag and path filters: `*` stays within a directory, `**` does not, `?` and `+` repeat what
//! stands before them, `[..]` is a set, `!` in front takes away, the last pattern that matches decides.

use regex::Regex;

/// One pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    negated: bool,
    regex: Regex,
}

/// Longest pattern.
const MAX_PATTERN: usize = 1024;

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_PATTERN {
            return Err(format!("longer than {MAX_PATTERN} bytes"));
        }
        let (negated, body) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
        if body.is_empty() {
            return Err("the pattern is empty".into());
        }
        let chars: Vec<char> = body.chars().collect();
        let mut out = String::from("^(?:");
        let mut i = 0;
        // whether `?` or `+` has something to repeat
        let mut repeatable = false;
        while i < chars.len() {
            match chars[i] {
                '*' if chars.get(i + 1) == Some(&'*') => {
                    let at_start = i == 0 || chars[i - 1] == '/';
                    i += 1;
                    if at_start && chars.get(i + 1) == Some(&'/') {
                        out.push_str("(?:.*/)?");
                        i += 1;
                    } else {
                        out.push_str(".*");
                    }
                    repeatable = false;
                }
                '*' => {
                    out.push_str("[^/]*");
                    repeatable = false;
                }
                c @ ('?' | '+') => {
                    if !repeatable {
                        return Err(format!("`{c}` has nothing to repeat"));
                    }
                    out.push(c);
                    repeatable = false;
                }
                '[' => {
                    let end = chars[i..].iter().position(|c| *c == ']').map(|n| i + n).ok_or("`[` without `]`")?;
                    let set = &chars[i + 1..end];
                    if set.is_empty() || !set.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
                        return Err("a set may hold letters, digits and ranges of them".into());
                    }
                    out.push('[');
                    for c in set {
                        if matches!(c, '.' | '_') {
                            out.push('\\');
                        }
                        out.push(*c);
                    }
                    out.push(']');
                    i = end;
                    repeatable = true;
                }
                '\\' if i + 1 < chars.len() => {
                    i += 1;
                    out.push_str(&regex::escape(&chars[i].to_string()));
                    repeatable = true;
                }
                c => {
                    out.push_str(&regex::escape(&c.to_string()));
                    repeatable = true;
                }
            }
            i += 1;
        }
        out.push_str(")$");
        let regex = regex::RegexBuilder::new(&out)
            .dot_matches_new_line(true)
            .size_limit(1 << 20)
            .build()
            .map_err(|_| "the pattern cannot be read".to_owned())?;
        Ok(Self { negated, regex })
    }
}

/// Does the list select the name? Later patterns win; a pattern with `!` takes away.
pub fn selects(patterns: &[Pattern], name: &str) -> bool {
    patterns.iter().rev().find(|p| p.regex.is_match(name)).is_some_and(|p| !p.negated)
}

/// Reads all patterns, leaving out those that cannot be read (the compiler has reported them).
pub fn parse_all(texts: &[String]) -> Vec<Pattern> {
    texts.iter().filter_map(|t| Pattern::parse(t).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_examples() {
        for (patterns, name, expect) in [
            (vec!["feature/*"], "feature/my", true),
            (vec!["feature/*"], "feature/a/b", false),
            (vec!["feature/**"], "feature/a/b", true),
            (vec!["**"], "all/the/branches", true),
            (vec!["*feature"], "mona-feature", true),
            (vec!["v2*"], "v2.0", true),
            (vec!["v[12].[0-9]+.[0-9]+"], "v1.10.1", true),
            (vec!["v[12].[0-9]+.[0-9]+"], "v3.1.1", false),
            (vec!["*.jsx?"], "page.js", true),
            (vec!["*.jsx?"], "page.jsx", true),
            (vec!["**.js"], "src/js/app.js", true),
            (vec!["docs/*"], "docs/file.md", true),
            (vec!["docs/*"], "docs/a/file.md", false),
            (vec!["docs/**/*.md"], "docs/a/b.md", true),
            (vec!["docs/**/*.md"], "docs/b.md", true),
            (vec!["**/docs/**"], "dir/docs/x", true),
            (vec!["**/docs/**"], "docs/x", true),
            (vec!["**/README.md"], "README.md", true),
            (vec!["*.md", "!README.md"], "README.md", false),
            (vec!["*.md", "!README.md", "README*"], "README.md", true),
            (vec!["!x"], "y", false),
            (vec![], "y", false),
            (vec!["a.b"], "axb", false),
        ] {
            let list: Vec<String> = patterns.iter().map(ToString::to_string).collect();
            assert_eq!(selects(&parse_all(&list), name), expect, "{patterns:?} {name}");
        }
        for bad in ["", "!", "+a", "*?", "[a", "[^a]", "[]"] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }
}
