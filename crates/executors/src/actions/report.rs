//! `devmentor/report`, and the reports directory that is read at the end of every job.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{ActionEnd, ActionResult, Call, failed, select};
use crate::engine::StepOutput;
use crate::host::{HostError, HostResult, JobHost};
use crate::protocol::{ReportKind, Reported, Severity};
use crate::sandbox::{JobDirs, read_beneath};

/// Largest report file.
pub(super) const REPORT_MAX: u64 = 64 << 20;
/// Most report files of one kind.
const REPORTS_MAX: usize = 2_000;

pub(super) async fn run(call: &mut Call<'_>) -> ActionResult {
    let strict = call.flag("fail-on-failure", false)?;
    let mut sent = quality(call).await?;
    let mut tests = Reported::default();
    for kind in ReportKind::FILES {
        let input = kind.as_str();
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
            if let Some(said) = send(dirs, &path, &name, kind, call.host, call.out).await? {
                sent += 1;
                tests.failed += said.failed;
                tests.quarantined += said.quarantined;
            }
        }
        if selection.files.len() > REPORTS_MAX {
            call.out.warning(&format!("only the first {REPORTS_MAX} of {} files were read", selection.files.len())).await?;
        }
    }
    call.out.line(&format!("{sent} report file(s) read")).await?;
    if tests.quarantined > 0 {
        call.out.warning(&format!("{} test(s) failed in quarantine, which counts for nothing", tests.quarantined)).await?;
    }
    if strict && tests.failed > 0 {
        return failed(format!("{} test(s) failed", tests.failed));
    }
    Ok(ActionEnd::default())
}

/// A finding in the format of Code Climate.
#[derive(serde::Deserialize)]
struct Finding {
    description: String,
    #[serde(default)]
    check_name: Option<String>,
    #[serde(default)]
    severity: Option<String>,
    location: Location,
}

#[derive(serde::Deserialize)]
struct Location {
    path: String,
    #[serde(default)]
    lines: Option<Lines>,
    #[serde(default)]
    positions: Option<Positions>,
}

#[derive(serde::Deserialize)]
struct Lines {
    begin: u32,
}

#[derive(serde::Deserialize)]
struct Positions {
    begin: Lined,
}

#[derive(serde::Deserialize)]
struct Lined {
    line: u32,
}

/// Shows the findings of reports on code quality as annotations; how many files were read.
async fn quality(call: &mut Call<'_>) -> ActionResult<usize> {
    let lines: Vec<String> = call.lines("codequality").iter().map(|l| l.trim().to_owned()).filter(|l| !l.is_empty()).collect();
    if lines.is_empty() {
        return Ok(0);
    }
    let dirs = call.place.dirs();
    let selection = select::files(dirs, &lines, true)?;
    if selection.files.is_empty() {
        call.out.warning(&format!("no file matches `{}` for codequality", lines.join(", "))).await?;
    }
    let mut read = 0;
    for file in selection.files.iter().take(REPORTS_MAX) {
        let path = selection.base.join(file);
        let inside = path.strip_prefix(&dirs.root).unwrap_or(&path).to_owned();
        let findings = read_beneath(&dirs.root, &inside, REPORT_MAX, true)
            .map_err(|e| e.to_string())
            .and_then(|bytes| serde_json::from_slice::<Vec<Finding>>(&bytes).map_err(|e| format!("it is no report on code quality: {e}")));
        match findings {
            Ok(findings) => {
                for f in findings {
                    let severity = match f.severity.as_deref() {
                        Some("blocker" | "critical") => Severity::Error,
                        Some("info") => Severity::Notice,
                        _ => Severity::Warning,
                    };
                    let line = f.location.lines.map(|l| l.begin).or(f.location.positions.map(|p| p.begin.line));
                    call.out.note(severity, f.description, f.check_name, f.location.path, line).await?;
                }
                read += 1;
            }
            Err(why) => call.out.warning(&format!("{} cannot be read: {why}", file.display())).await?,
        }
    }
    Ok(read)
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
        let kind = read_beneath(dirs_root, &inside(&file), REPORT_MAX, false).ok().and_then(|bytes| kind_of(&file, &bytes));
        match kind {
            Some(kind) => {
                send(dirs, &base.join(&file), &name, kind, host, out).await?;
            }
            None => out.warning(&format!("{name} in $DEVMENTOR_REPORTS is in no format that is read here")).await?,
        }
    }
    Ok(())
}

/// What a file holds, by its name and how it begins.
fn kind_of(file: &Path, bytes: &[u8]) -> Option<ReportKind> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(4096)]);
    let first = head.trim_start_matches('\u{feff}').trim_start();
    match file.extension().and_then(|e| e.to_str()) {
        Some("info") => Some(ReportKind::Lcov),
        Some("tap") => Some(ReportKind::Tap),
        Some("trx") => Some(ReportKind::Trx),
        _ if first.starts_with('<') => xml_kind(bytes),
        _ if first.starts_with("mode: ") => Some(ReportKind::GoCover),
        _ if first.starts_with("TAP version ") => Some(ReportKind::Tap),
        _ if first.starts_with('{') && head.contains("llvm.coverage.json.export") => Some(ReportKind::LlvmCov),
        _ if first.starts_with('{') && head.contains("\"Action\":") => Some(ReportKind::Go),
        _ if first.starts_with('{') && head.contains("\"type\":") && head.contains("\"event\":") => Some(ReportKind::Cargo),
        _ if first.starts_with('{') && head.contains("\"meta\"") && head.contains("\"files\"") => Some(ReportKind::CoveragePy),
        _ if first.starts_with("TN:") || first.starts_with("SF:") => Some(ReportKind::Lcov),
        _ => None,
    }
}

/// What an XML file holds, by its first element.
fn xml_kind(bytes: &[u8]) -> Option<ReportKind> {
    let mut reader = quick_xml::Reader::from_reader(bytes);
    let mut buffer = Vec::new();
    loop {
        match reader.read_event_into(&mut buffer) {
            Ok(quick_xml::events::Event::Start(start) | quick_xml::events::Event::Empty(start)) => {
                let has = |name: &str| start.try_get_attribute(name).ok().flatten().is_some();
                return match start.local_name().as_ref() {
                    "testsuites" | "testsuite" => Some(ReportKind::Junit),
                    "coverage" if has("clover") => Some(ReportKind::Clover),
                    "coverage" => Some(ReportKind::Cobertura),
                    "report" => Some(ReportKind::Jacoco),
                    "TestRun" => Some(ReportKind::Trx),
                    _ => None,
                };
            }
            Ok(quick_xml::events::Event::Eof) | Err(_) => return None,
            Ok(_) => buffer.clear(),
        }
    }
}

pub(super) async fn send(
    dirs: &JobDirs,
    path: &Path,
    name: &str,
    kind: ReportKind,
    host: &dyn JobHost,
    out: &mut StepOutput,
) -> HostResult<Option<Reported>> {
    let inside = path.strip_prefix(&dirs.root).unwrap_or(path);
    let bytes = match read_beneath(&dirs.root, inside, REPORT_MAX, true) {
        Ok(bytes) => bytes,
        Err(error) => {
            out.warning(&format!("{name} cannot be read: {error}")).await?;
            return Ok(None);
        }
    };
    match host.report(kind, name, Bytes::from(bytes)).await {
        Ok(said) => Ok(Some(said)),
        Err(HostError::Stale) => Err(HostError::Stale),
        Err(error) => {
            out.warning(&format!("{name} was not accepted: {error}")).await?;
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_by_how_a_file_begins() {
        for (name, text, kind) in [
            ("a.xml", "<?xml version=\"1.0\"?><!-- x --><testsuites/>", Some(ReportKind::Junit)),
            ("a.xml", "<!DOCTYPE coverage SYSTEM 'x'>\n<coverage a='1'></coverage>", Some(ReportKind::Cobertura)),
            ("a.xml", "<coverage clover='4' generated='1'></coverage>", Some(ReportKind::Clover)),
            ("a.xml", "<!DOCTYPE report PUBLIC '-//JACOCO//DTD' 'report.dtd'><report name='x'/>", Some(ReportKind::Jacoco)),
            ("a.trx", "\u{feff}<TestRun/>", Some(ReportKind::Trx)),
            ("a.xml", "<html/>", None),
            ("cover.out", "mode: set\na.go:1.1,2.2 1 1\n", Some(ReportKind::GoCover)),
            ("t.json", "{\"Time\":\"x\",\"Action\":\"start\",\"Package\":\"m\"}", Some(ReportKind::Go)),
            ("t.json", "{\"type\":\"suite\",\"event\":\"started\"}", Some(ReportKind::Cargo)),
            ("c.json", "{\"meta\": {}, \"files\": {}}", Some(ReportKind::CoveragePy)),
            ("c.json", "{\"data\": [], \"type\": \"llvm.coverage.json.export\"}", Some(ReportKind::LlvmCov)),
            ("t", "TAP version 14\n", Some(ReportKind::Tap)),
            ("x.info", "", Some(ReportKind::Lcov)),
            ("x", "junk", None),
        ] {
            assert_eq!(kind_of(Path::new(name), text.as_bytes()), kind, "{name}: {text}");
        }
    }
}
