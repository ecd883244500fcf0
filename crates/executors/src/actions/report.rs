//! `devmentor/report`, and the reports directory that is read at the end of every job.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{ActionEnd, ActionResult, Call, select};
use crate::engine::StepOutput;
use crate::host::{HostError, HostResult, JobHost};
use crate::protocol::ReportKind;
use crate::sandbox::{JobDirs, read_beneath};

/// Largest report file.
const REPORT_MAX: u64 = 64 << 20;
/// Most report files of one kind.
const REPORTS_MAX: usize = 2_000;

pub(super) async fn run(call: &mut Call<'_>) -> ActionResult {
    let mut sent = 0;
    for (input, kind) in [("junit", ReportKind::Junit), ("lcov", ReportKind::Lcov), ("cobertura", ReportKind::Cobertura)] {
        let lines: Vec<String> =
            call.lines(input).iter().flat_map(|l| l.split(',')).map(|p| p.trim().to_owned()).filter(|p| !p.is_empty()).collect();
        if lines.is_empty() {
            continue;
        }
        let dirs = call.place.dirs();
        let selection = select::files(dirs, &lines, true)?;
        if selection.files.is_empty() {
            call.out.warning(&format!("no file matches `{}` for {input}", lines.join(", "))).await?;
        }
        for file in selection.files.iter().take(REPORTS_MAX) {
            let path = selection.base.join(file);
            let name = path.strip_prefix(&dirs.workspace).unwrap_or(file).to_string_lossy().into_owned();
            if send(dirs, &path, &name, kind, call.host, call.out).await? {
                sent += 1;
            }
        }
        if selection.files.len() > REPORTS_MAX {
            call.out.warning(&format!("only the first {REPORTS_MAX} of {} files were read", selection.files.len())).await?;
        }
    }
    call.out.line(&format!("{sent} report file(s) read")).await?;
    Ok(ActionEnd::default())
}

/// Sends what lies in the reports directory of the job.
pub(crate) async fn collect_directory(dirs: &JobDirs, host: &dyn JobHost, out: &mut StepOutput) -> HostResult<()> {
    let base = dirs.reports();
    let files: Vec<PathBuf> = walkdir::WalkDir::new(&base)
        .follow_links(false)
        .max_depth(8)
        .sort_by_file_name()
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file())
        .filter_map(|entry| entry.path().strip_prefix(&base).ok().map(Path::to_owned))
        .take(REPORTS_MAX)
        .collect();
    let dirs_root = &dirs.root;
    let inside = |file: &Path| base.strip_prefix(dirs_root).unwrap_or(&base).join(file);
    for file in files {
        let name = file.to_string_lossy().into_owned();
        let kind = match file.extension().and_then(|e| e.to_str()) {
            Some("info") => Some(ReportKind::Lcov),
            Some("xml") => read_beneath(dirs_root, &inside(&file), REPORT_MAX, false).ok().and_then(|bytes| xml_kind(&bytes)),
            _ => None,
        };
        match kind {
            Some(kind) => {
                send(dirs, &base.join(&file), &name, kind, host, out).await?;
            }
            None => out.warning(&format!("{name} in $DEVMENTOR_REPORTS is neither JUnit, Cobertura nor lcov")).await?,
        }
    }
    Ok(())
}

/// What an XML file holds, by its first element.
fn xml_kind(bytes: &[u8]) -> Option<ReportKind> {
    let mut reader = quick_xml::Reader::from_reader(bytes);
    let mut buffer = Vec::new();
    loop {
        match reader.read_event_into(&mut buffer) {
            Ok(quick_xml::events::Event::Start(start) | quick_xml::events::Event::Empty(start)) => {
                return match start.local_name().as_ref() {
                    "testsuites" | "testsuite" => Some(ReportKind::Junit),
                    "coverage" => Some(ReportKind::Cobertura),
                    _ => None,
                };
            }
            Ok(quick_xml::events::Event::Eof) | Err(_) => return None,
            Ok(_) => buffer.clear(),
        }
    }
}

async fn send(dirs: &JobDirs, path: &Path, name: &str, kind: ReportKind, host: &dyn JobHost, out: &mut StepOutput) -> HostResult<bool> {
    let inside = path.strip_prefix(&dirs.root).unwrap_or(path);
    let bytes = match read_beneath(&dirs.root, inside, REPORT_MAX, true) {
        Ok(bytes) => bytes,
        Err(error) => {
            out.warning(&format!("{name} cannot be read: {error}")).await?;
            return Ok(false);
        }
    };
    match host.report(kind, name, Bytes::from(bytes)).await {
        Ok(()) => Ok(true),
        Err(HostError::Stale) => Err(HostError::Stale),
        Err(error) => {
            out.warning(&format!("{name} was not accepted: {error}")).await?;
            Ok(false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_by_first_element() {
        assert_eq!(xml_kind(b"<?xml version=\"1.0\"?><!-- x --><testsuites/>"), Some(ReportKind::Junit));
        assert_eq!(xml_kind(b"<!DOCTYPE coverage SYSTEM 'x'>\n<coverage a='1'></coverage>"), Some(ReportKind::Cobertura));
        assert_eq!(xml_kind(b"<html/>"), None);
        assert_eq!(xml_kind(b"junk"), None);
    }
}
