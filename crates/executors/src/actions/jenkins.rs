//! What steps of a Jenkinsfile do with files: `stash`, `unstash`, `junit`.

use std::fs::File;
use std::path::Path;

use super::{ActionResult, Call, failed, report, select};
use crate::protocol::ReportKind;
use crate::sandbox::{JobDirs, read_beneath};
use crate::spawn::Capture;

/// Patterns with commas as lines of a selection, below a directory of the workspace.
pub(crate) fn lines(dir: &str, includes: &str, excludes: &str) -> Vec<String> {
    let below = |pattern: &str| {
        let pattern = pattern.trim_start_matches("./");
        let whole = if pattern.ends_with('/') { format!("{pattern}**") } else { pattern.to_owned() };
        if dir.is_empty() { whole } else { format!("{dir}/{whole}") }
    };
    let split = |text: &str| text.split(',').map(|p| p.trim().to_owned()).filter(|p| !p.is_empty()).collect::<Vec<_>>();
    let wanted = split(includes).into_iter().map(|p| below(&p));
    wanted.chain(split(excludes).into_iter().map(|p| format!("!{}", below(&p)))).collect()
}

/// Packs the selected files into an archive of ours. Returns how many there are.
pub(crate) fn stash(dirs: &JobDirs, dir: &str, lines: &[String], to: &Path) -> ActionResult<usize> {
    let mut selection = select::files(dirs, lines, true)?;
    if selection.files.is_empty() {
        return Ok(0);
    }
    selection.rebase(&dirs.workspace.join(dir))?;
    let mut archive = tar::Builder::new(File::create(to)?);
    for file in &selection.files {
        let mut source = selection.open(dirs, file)?;
        archive.append_file(file, &mut source)?;
    }
    archive.into_inner()?.sync_all()?;
    Ok(selection.files.len())
}

/// Unpacks such an archive into a directory, as the job's user.
pub(crate) async fn unstash(call: &mut Call<'_>, dir: &Path, archive: &Path) -> ActionResult<()> {
    use futures::StreamExt as _;
    let file = tokio::fs::File::open(archive).await?;
    let stream = tokio_util::io::ReaderStream::new(file).boxed();
    let dir = dir.to_string_lossy().into_owned();
    let script = "mkdir -p -- \"$1\" && exec tar --no-same-owner -xf - -C \"$1\"";
    let mut said = Capture::new(super::CAPTURE_MAX);
    let exit = call.pipe(&["/bin/sh", "-c", script, "sh", &dir], Some(stream), &mut said).await?;
    if exit.ok() { Ok(()) } else { failed(format!("the stash could not be unpacked: {}", said.text().trim())) }
}

/// Counted test cases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tests {
    pub(crate) files: usize,
    pub(crate) total: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

/// Hands JUnit files over and counts their cases.
pub(crate) async fn junit(call: &mut Call<'_>, lines: &[String]) -> ActionResult<Tests> {
    let dirs = call.place.dirs().clone();
    let selection = select::files(&dirs, lines, true)?;
    let (mut tests, mut quarantined) = (Tests::default(), 0);
    for file in &selection.files {
        let path = selection.base.join(file);
        let name = path.strip_prefix(&dirs.workspace).unwrap_or(file).to_string_lossy().into_owned();
        let inside = path.strip_prefix(&dirs.root).unwrap_or(&path);
        if let Ok(bytes) = read_beneath(&dirs.root, inside, report::REPORT_MAX, true) {
            count(&bytes, &mut tests);
        }
        if let Some(said) = report::send(&dirs, &path, &name, ReportKind::Junit, call.host, call.out).await? {
            tests.files += 1;
            quarantined += said.quarantined;
        }
    }
    if quarantined > 0 {
        call.out.warning(&format!("{quarantined} test(s) failed in quarantine, which counts for nothing")).await?;
        tests.failed = tests.failed.saturating_sub(quarantined);
    }
    Ok(tests)
}

fn count(bytes: &[u8], tests: &mut Tests) {
    use quick_xml::events::Event;
    let mut reader = quick_xml::Reader::from_reader(bytes);
    let mut buffer = Vec::new();
    let mut open = false;
    loop {
        match reader.read_event_into(&mut buffer) {
            Ok(Event::Start(start) | Event::Empty(start)) => match start.local_name().as_ref() {
                "testcase" => {
                    tests.total += 1;
                    open = true;
                }
                // one case counts once, however often it says so
                "failure" | "error" if open => {
                    tests.failed += 1;
                    open = false;
                }
                "skipped" if open => {
                    tests.skipped += 1;
                    open = false;
                }
                _ => {}
            },
            Ok(Event::Eof) | Err(_) => return,
            Ok(_) => {}
        }
        buffer.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_counted() {
        let mut tests = Tests::default();
        count(b"<testsuites><testsuite><testcase name='a'/><testcase name='b'><failure/><error/></testcase><testcase><skipped/></testcase></testsuite></testsuites>", &mut tests);
        assert_eq!((tests.total, tests.failed, tests.skipped), (3, 1, 1));
    }

    #[test]
    fn patterns_stand_below_the_directory() {
        assert_eq!(lines("a/b", "x/*.txt, y/", "z"), ["a/b/x/*.txt", "a/b/y/**", "!a/b/z"]);
        assert_eq!(lines("", "**", ""), ["**"]);
    }
}
