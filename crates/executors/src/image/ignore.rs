//! `.dockerignore`: which files of a build context do not count.

use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};

/// Patterns in order; the last one that matches a path or one of its parents decides.
#[derive(Clone, Debug, Default)]
pub struct Ignore {
    rules: Vec<(GlobMatcher, bool)>,
}

impl Ignore {
    /// Reads the text of a `.dockerignore`.
    ///
    /// # Errors
    /// A line that is not a pattern, with its number.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rules = Vec::new();
        for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (ignored, pattern) = line.strip_prefix('!').map_or((true, line), |rest| (false, rest.trim()));
            let pattern = pattern.trim_start_matches("./").trim_matches('/');
            if pattern.is_empty() || pattern == "." {
                continue;
            }
            let glob = GlobBuilder::new(pattern).literal_separator(true).build();
            let glob = glob.map_err(|e| format!(".dockerignore:{}: `{line}` is not a pattern: {}", number + 1, e.kind()))?;
            rules.push((glob.compile_matcher(), ignored));
        }
        Ok(Self { rules })
    }

    /// Is a path of the context left out?
    pub fn leaves_out(&self, path: &Path) -> bool {
        let mut out = false;
        for (matcher, ignored) in &self.rules {
            if out != *ignored && path.ancestors().any(|a| !a.as_os_str().is_empty() && matcher.is_match(a)) {
                out = *ignored;
            }
        }
        out
    }

    /// Can something below a directory that is left out still count?
    pub fn has_exceptions(&self) -> bool {
        self.rules.iter().any(|(_, ignored)| !ignored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_match_decides() {
        let ignore = Ignore::parse("# c\n*.log\n!keep.log\n/target\n**/node_modules\ndocs\n!docs/api\n").unwrap();
        for (path, out) in [
            ("a.log", true),
            ("d/a.log", false),
            ("keep.log", false),
            ("target", true),
            ("target/x/y", true),
            ("web/node_modules/x", true),
            ("docs/a", true),
            ("docs/api/b", false),
            ("src/main.rs", false),
        ] {
            assert_eq!(ignore.leaves_out(Path::new(path)), out, "{path}");
        }
        assert!(Ignore::parse("a[").unwrap_err().contains(".dockerignore:1"));
    }
}
