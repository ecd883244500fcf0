//! Which files a list of paths and patterns means, without following links out of the job's directories.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::{ActionResult, failed};
use crate::sandbox::{JobDirs, open_beneath};

/// Most files one selection may have.
const FILES_MAX: usize = 500_000;

/// Selected entries, each below `base`. To read one, open it beneath the job's root ([`Selection::open`]).
#[derive(Debug)]
pub(super) struct Selection {
    /// Directory all paths are relative to: the deepest one that holds everything asked for.
    pub(super) base: PathBuf,
    /// Regular files and links, sorted.
    pub(super) files: Vec<PathBuf>,
}

impl Selection {
    /// Makes the paths relative to another directory.
    pub(super) fn rebase(&mut self, base: &Path) -> ActionResult<()> {
        for file in &mut self.files {
            let whole = self.base.join(&*file);
            match whole.strip_prefix(base) {
                Ok(inside) => *file = inside.to_owned(),
                Err(_) => return failed(format!("`{}` lies outside the workspace", whole.display())),
            }
        }
        self.base = base.to_owned();
        Ok(())
    }

    /// Opens a selected file without leaving the job's directories.
    pub(super) fn open(&self, dirs: &JobDirs, file: &Path) -> std::io::Result<std::fs::File> {
        let path = self.base.join(file);
        let inside = path.strip_prefix(&dirs.root).map_err(std::io::Error::other)?;
        open_beneath(&dirs.root, inside, true)
    }
}

struct Search {
    /// Part of the pattern before the first wildcard.
    start: PathBuf,
    /// None: everything below `start`, or `start` itself.
    matcher: Option<GlobMatcher>,
}

/// Makes a pattern absolute: `~` is the job's home, relative ones begin in the workspace. Only the job's own
/// directories can be named.
pub(super) fn absolute(dirs: &JobDirs, text: &str) -> ActionResult<PathBuf> {
    let path = match text.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => dirs.home.join(rest.trim_start_matches('/')),
        _ => dirs.workspace.join(text),
    };
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                clean.pop();
            }
            Component::CurDir => {}
            other => clean.push(other),
        }
    }
    let own = [&dirs.workspace, &dirs.home, &dirs.temp, &dirs.tools];
    if own.iter().any(|dir| clean.starts_with(dir)) {
        Ok(clean)
    } else {
        failed(format!("`{text}` lies outside the directories of the job"))
    }
}

/// Has the text a wildcard?
fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

fn search(dirs: &JobDirs, text: &str) -> ActionResult<Search> {
    let path = absolute(dirs, text)?;
    let start: PathBuf = path.components().take_while(|c| !is_pattern(&c.as_os_str().to_string_lossy())).collect();
    // not even the names of what lies behind a link out of the job's directories may be told
    if start.canonicalize().is_ok_and(|real| !real.starts_with(&dirs.root)) {
        return failed(format!("`{text}` leads outside the directories of the job"));
    }
    if !is_pattern(text) {
        return Ok(Search { start, matcher: None });
    }
    let pattern = path.to_string_lossy().into_owned();
    let matcher = match GlobBuilder::new(&pattern).literal_separator(true).build() {
        Ok(glob) => glob.compile_matcher(),
        Err(error) => return failed(format!("`{text}` is not a pattern: {}", error.kind())),
    };
    Ok(Search { start, matcher: Some(matcher) })
}

/// Files for an artifact. `hidden` includes names that begin with a dot.
pub(super) fn files(dirs: &JobDirs, lines: &[String], hidden: bool) -> ActionResult<Selection> {
    let mut searches = Vec::new();
    let mut excluded: Vec<Search> = Vec::new();
    for line in lines {
        match line.strip_prefix('!') {
            Some(rest) => excluded.push(search(dirs, rest.trim())?),
            None => searches.push(search(dirs, line)?),
        }
    }
    let mut found = BTreeSet::new();
    for search in &searches {
        for path in walk(search, hidden) {
            if !excluded.iter().any(|e| hit(e, &path)) {
                found.insert(path);
            }
            if found.len() > FILES_MAX {
                return failed(format!("more than {FILES_MAX} files match"));
            }
        }
    }
    let base = common(searches.iter().map(|s| s.start.as_path()), &found);
    let files = found.into_iter().filter_map(|path| path.strip_prefix(&base).ok().map(Path::to_owned)).collect();
    Ok(Selection { base, files })
}

/// Existing paths for a cache, as they are: directories stay whole. The second list is to be left out.
pub(super) fn roots(dirs: &JobDirs, lines: &[String]) -> ActionResult<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (mut found, mut excluded) = (Vec::new(), Vec::new());
    for line in lines {
        let (list, text) = match line.strip_prefix('!') {
            Some(rest) => (&mut excluded, rest.trim()),
            None => (&mut found, line.as_str()),
        };
        let search = search(dirs, text)?;
        let Some(matcher) = &search.matcher else {
            if search.start.symlink_metadata().is_ok() {
                list.push(search.start);
            }
            continue;
        };
        let mut walker = walkdir::WalkDir::new(&search.start).follow_links(false).follow_root_links(false).into_iter();
        while let Some(entry) = walker.next() {
            let Ok(entry) = entry else { continue };
            if matcher.is_match(entry.path()) {
                list.push(entry.path().to_owned());
                if entry.file_type().is_dir() {
                    walker.skip_current_dir();
                }
            }
        }
    }
    Ok((found, excluded))
}

fn walk(search: &Search, hidden: bool) -> Vec<PathBuf> {
    let walker = walkdir::WalkDir::new(&search.start).follow_links(false).follow_root_links(false).sort_by_file_name();
    let visible = |entry: &walkdir::DirEntry| hidden || entry.depth() == 0 || !entry.file_name().to_string_lossy().starts_with('.');
    let entries = walker.into_iter().filter_entry(visible).flatten();
    entries.filter(|e| !e.file_type().is_dir() && hit(search, e.path())).map(walkdir::DirEntry::into_path).collect()
}

fn hit(search: &Search, path: &Path) -> bool {
    match &search.matcher {
        None => path.starts_with(&search.start),
        // a pattern that names a directory means what is in it
        Some(matcher) => path.ancestors().take_while(|a| a.starts_with(&search.start)).any(|a| matcher.is_match(a)),
    }
}

/// Deepest directory above all starting points.
fn common<'p>(starts: impl Iterator<Item = &'p Path>, found: &BTreeSet<PathBuf>) -> PathBuf {
    let mut base: Option<PathBuf> = None;
    for start in starts {
        let start = if found.contains(start) { start.parent().unwrap_or(start) } else { start };
        base = Some(match base {
            None => start.to_owned(),
            Some(base) => base.components().zip(start.components()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect(),
        });
    }
    base.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dirs() -> (tempfile::TempDir, JobDirs) {
        let base = tempfile::tempdir().unwrap();
        let dirs = JobDirs::create(base.path(), "job_1", "web", None).unwrap();
        for file in ["dist/a.txt", "dist/sub/b.txt", "dist/.hidden", "other/c.log", "top.txt"] {
            let path = dirs.workspace.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file).unwrap();
        }
        (base, dirs)
    }

    fn shown(dirs: &JobDirs, lines: &[&str]) -> [String; 2] {
        let lines: Vec<String> = lines.iter().map(|&l| l.to_owned()).collect();
        let selection = files(dirs, &lines, false).unwrap();
        let base = selection.base.strip_prefix(&dirs.workspace).unwrap().to_string_lossy().into_owned();
        let list = selection.files.iter().map(|f| f.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ");
        [base, list]
    }

    #[test]
    fn names_in_the_archive_are_as_on_github() {
        let (_base, dirs) = dirs();
        assert_eq!(shown(&dirs, &["dist"]), ["dist", "a.txt sub/b.txt"]);
        assert_eq!(shown(&dirs, &["dist/a.txt"]), ["dist", "a.txt"]);
        assert_eq!(shown(&dirs, &["dist/**/*.txt"]), ["dist", "a.txt sub/b.txt"]);
        assert_eq!(shown(&dirs, &["dist", "other/*.log"]), ["", "dist/a.txt dist/sub/b.txt other/c.log"]);
        assert_eq!(shown(&dirs, &["dist", "!dist/sub"]), ["dist", "a.txt"]);
        assert_eq!(shown(&dirs, &["nothing/*"]), ["nothing", ""]);
    }

    #[test]
    fn other_directories_cannot_be_named() {
        let (_base, dirs) = dirs();
        for text in ["../../engine/x", "/etc/passwd", "~/../engine", "a/../../../.."] {
            assert!(absolute(&dirs, text).is_err(), "{text}");
        }
        assert_eq!(absolute(&dirs, "~/.m2").unwrap(), dirs.home.join(".m2"));
    }

    #[test]
    fn a_link_is_listed_and_not_followed() {
        let (_base, dirs) = dirs();
        std::os::unix::fs::symlink("/etc", dirs.workspace.join("dist/etc")).unwrap();
        assert_eq!(shown(&dirs, &["dist"]), ["dist", "a.txt etc sub/b.txt"]);
        assert!(files(&dirs, &["dist/etc/ssl".to_owned()], true).is_err());
    }
}
