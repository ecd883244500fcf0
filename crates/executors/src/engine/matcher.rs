//! Problem matchers: patterns that find the remarks of compilers in what steps write.
//!
//! A matcher holds for the job from the step that adds it on. Lines are looked at beside the log, never instead of it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use regex::Regex;
use serde::Deserialize;

use crate::protocol::Severity;
use crate::sandbox::read_beneath;

/// Largest file of matchers.
const FILE_MAX: u64 = 1 << 20;
/// Most matchers of a job.
const MATCHERS_MAX: usize = 100;
/// Longer lines are no remarks.
const LINE_MAX: usize = 4096;

/// The matchers of a job.
pub(crate) struct Matchers {
    /// All of the job's directories; files of matchers lie below.
    root: PathBuf,
    workspace: PathBuf,
    any: AtomicBool,
    list: Mutex<Vec<Matcher>>,
    /// Files that were added (true) and owners that were removed, in order.
    history: Mutex<Vec<(bool, String)>>,
}

struct Matcher {
    owner: String,
    severity: Option<String>,
    patterns: Vec<Pattern>,
}

struct Pattern {
    regex: Regex,
    written: WrittenPattern,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    problem_matcher: Vec<Written>,
}

#[derive(Deserialize)]
struct Written {
    owner: String,
    severity: Option<String>,
    pattern: Vec<WrittenPattern>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenPattern {
    regexp: String,
    file: Option<usize>,
    line: Option<usize>,
    column: Option<usize>,
    severity: Option<usize>,
    code: Option<usize>,
    message: Option<usize>,
    #[serde(default, rename = "loop")]
    again: bool,
}

/// What a matcher found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Remark {
    pub(crate) severity: Option<Severity>,
    pub(crate) message: String,
    pub(crate) title: Option<String>,
    pub(crate) file: Option<String>,
    pub(crate) line: Option<u32>,
    pub(crate) column: Option<u32>,
}

/// How far the matchers are in the lines of one step.
#[derive(Default)]
pub(crate) struct Progress {
    /// The line that has not ended yet.
    held: Vec<u8>,
    /// By owner: the pattern that is next, and what the ones before found.
    open: Vec<(String, usize, Remark)>,
}

impl Matchers {
    pub(crate) fn new(root: &Path, workspace: &Path) -> Self {
        Self {
            root: root.to_owned(),
            workspace: workspace.to_owned(),
            any: AtomicBool::new(false),
            list: Mutex::new(Vec::new()),
            history: Mutex::default(),
        }
    }

    /// Reads the matchers of a file, a path below the workspace or an absolute one of the job.
    pub(crate) fn add(&self, path: &str) -> Result<(), String> {
        let whole = self.workspace.join(path);
        let below = whole.strip_prefix(&self.root).map_err(|_| format!("{path} is not a file of the job"))?;
        let bytes = read_beneath(&self.root, below, FILE_MAX, true).map_err(|e| format!("{path}: {e}"))?;
        let file: File = serde_json::from_slice(&bytes).map_err(|e| format!("{path}: {e}"))?;
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        for written in file.problem_matcher {
            let patterns: Result<Vec<Pattern>, String> = written
                .pattern
                .into_iter()
                .map(|p| {
                    let regex = Regex::new(&p.regexp).map_err(|e| format!("the pattern of `{}` cannot be used: {e}", written.owner))?;
                    Ok(Pattern { regex, written: p })
                })
                .collect();
            let patterns = patterns?;
            if patterns.is_empty() {
                return Err(format!("the matcher `{}` has no pattern", written.owner));
            }
            list.retain(|m| m.owner != written.owner);
            if list.len() >= MATCHERS_MAX {
                return Err(format!("a job has at most {MATCHERS_MAX} matchers"));
            }
            // the newest is asked first
            list.insert(0, Matcher { owner: written.owner, severity: written.severity, patterns });
        }
        self.any.store(!list.is_empty(), Ordering::Relaxed);
        drop(list);
        self.note(true, path);
        Ok(())
    }

    fn note(&self, added: bool, what: &str) {
        self.history.lock().unwrap_or_else(PoisonError::into_inner).push((added, what.to_owned()));
    }

    /// What was added and removed.
    pub(crate) fn history(&self) -> Vec<(bool, String)> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds and removes the same again; a file that is no longer there is left out.
    pub(crate) fn replay(&self, history: &[(bool, String)]) {
        for (added, what) in history {
            if !added {
                self.remove(what);
            } else if let Err(why) = self.add(what) {
                tracing::debug!(why, "a matcher is left out");
            }
        }
    }

    /// Removes the matchers of an owner.
    pub(crate) fn remove(&self, owner: &str) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.retain(|m| m.owner != owner);
        self.note(false, owner);
        self.any.store(!list.is_empty(), Ordering::Relaxed);
    }

    /// Looks at what a step wrote.
    pub(crate) fn look(&self, progress: &mut Progress, bytes: &[u8]) -> Vec<Remark> {
        if !self.any.load(Ordering::Relaxed) {
            progress.held.clear();
            return Vec::new();
        }
        let mut found = Vec::new();
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let room = LINE_MAX.saturating_sub(progress.held.len());
            progress.held.extend_from_slice(&rest[..end.min(room)]);
            let line = std::mem::take(&mut progress.held);
            found.extend(self.line(progress, &plain(&String::from_utf8_lossy(&line))));
            rest = &rest[end + 1..];
        }
        let room = LINE_MAX.saturating_sub(progress.held.len());
        progress.held.extend_from_slice(&rest[..rest.len().min(room)]);
        found
    }

    fn line(&self, progress: &mut Progress, line: &str) -> Option<Remark> {
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        for matcher in list.iter() {
            let at = progress.open.iter().position(|(owner, ..)| *owner == matcher.owner);
            let state = at.map(|at| progress.open.swap_remove(at));
            let tries = state.map(|(_, next, so_far)| (next, so_far)).into_iter().chain([(0, Remark::default())]);
            for (next, so_far) in tries {
                let Some(pattern) = matcher.patterns.get(next) else { continue };
                let Some(captures) = pattern.regex.captures(line) else { continue };
                let remark = self.merge(so_far.clone(), matcher, &pattern.written, &captures);
                let last = next + 1 == matcher.patterns.len();
                if !last {
                    progress.open.push((matcher.owner.clone(), next + 1, remark));
                    return None;
                }
                progress.open.clear();
                if pattern.written.again && next > 0 {
                    progress.open.push((matcher.owner.clone(), next, so_far));
                }
                return Some(remark);
            }
        }
        None
    }

    fn merge(&self, mut remark: Remark, matcher: &Matcher, p: &WrittenPattern, captures: &regex::Captures<'_>) -> Remark {
        let get = |group: Option<usize>| group.and_then(|g| captures.get(g)).map(|m| m.as_str().to_owned()).filter(|t| !t.is_empty());
        if let Some(file) = get(p.file) {
            let workspace = self.workspace.to_string_lossy();
            let short = file.strip_prefix(&*workspace).map_or(file.as_str(), |f| f.trim_start_matches('/'));
            remark.file = Some(short.strip_prefix("./").unwrap_or(short).to_owned());
        }
        remark.line = get(p.line).and_then(|t| t.parse().ok()).or(remark.line);
        remark.column = get(p.column).and_then(|t| t.parse().ok()).or(remark.column);
        remark.title = get(p.code).or(remark.title);
        if let Some(message) = get(p.message) {
            remark.message = message;
        }
        let word = get(p.severity).or_else(|| matcher.severity.clone()).unwrap_or_default().to_ascii_lowercase();
        if remark.severity.is_none() || p.severity.is_some() {
            remark.severity = Some(match word.as_str() {
                "warning" => Severity::Warning,
                "notice" | "info" => Severity::Notice,
                _ => Severity::Error,
            });
        }
        remark
    }
}

/// Without colours and the end of the line.
fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut chars = line.trim_end_matches('\r').chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            // the letter ends an escape sequence
            let _ = chars.by_ref().find(char::is_ascii_alphabetic);
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matchers(json: &str) -> (tempfile::TempDir, Matchers) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("w")).unwrap();
        std::fs::write(dir.path().join("w/m.json"), json).unwrap();
        let matchers = Matchers::new(dir.path(), &dir.path().join("w"));
        matchers.add("m.json").unwrap();
        (dir, matchers)
    }

    #[test]
    fn one_line() {
        let (dir, m) = matchers(
            r#"{"problemMatcher":[{"owner":"cc","pattern":[{"regexp":"^(.+):(\\d+):(\\d+): (error|warning): (.+)$","file":1,"line":2,"column":3,"severity":4,"message":5}]}]}"#,
        );
        let mut p = Progress::default();
        let text = format!("x\n\u{1b}[31m{}/w/src/a.c:3:7: warn", dir.path().display());
        assert!(m.look(&mut p, text.as_bytes()).is_empty());
        let found = m.look(&mut p, b"ing: careful\r\nrest");
        let expect = Remark {
            severity: Some(Severity::Warning),
            message: "careful".into(),
            title: None,
            file: Some("src/a.c".into()),
            line: Some(3),
            column: Some(7),
        };
        assert_eq!(found, [expect]);
        m.remove("cc");
        assert!(m.look(&mut p, b"a:1:1: error: x\n").is_empty());
    }

    #[test]
    fn many_lines_with_a_loop() {
        let (_dir, m) = matchers(
            r#"{"problemMatcher":[{"owner":"eslint","pattern":[{"regexp":"^([^\\s].*)$","file":1},{"regexp":"^\\s+(\\d+):(\\d+)\\s+(error|warning)\\s+(.*)\\s\\s+(.*)$","line":1,"column":2,"severity":3,"message":4,"code":5,"loop":true}]}]}"#,
        );
        let found =
            m.look(&mut Progress::default(), b"a.js\n  1:2  error  one  no-x\n  3:4  warning  two  no-y\n\n  5:6  error  lost  z\n");
        let short: Vec<_> = found.iter().map(|r| (r.file.as_deref(), r.line, r.message.trim(), r.title.as_deref())).collect();
        assert_eq!(short, [(Some("a.js"), Some(1), "one", Some("no-x")), (Some("a.js"), Some(3), "two", Some("no-y"))]);
        assert_eq!(found[1].severity, Some(Severity::Warning));
    }

    #[test]
    fn bad_files_are_refused() {
        let (dir, m) = matchers(r#"{"problemMatcher":[]}"#);
        std::fs::write(dir.path().join("w/bad.json"), r#"{"problemMatcher":[{"owner":"x","pattern":[{"regexp":"("}]}]}"#).unwrap();
        for path in ["bad.json", "none.json", "/etc/passwd", "../../etc/passwd"] {
            assert!(m.add(path).is_err(), "{path}");
        }
    }
}
