//! What a step writes: commands are carried out, everything else goes to the log.

use std::sync::Arc;

use indexmap::IndexMap;

use super::commands::{self, CommandLine};
use super::coverage::Coverage;
use super::matcher::{Matchers, Progress};
use crate::host::{HostError, HostResult, JobHost};
use crate::log::JobLog;
use crate::protocol::{Annotation, Severity};
use crate::spawn::Output;

/// A longer line is passed on as text, whatever it begins with.
const LINE_MAX: usize = 256 * 1024;
/// Most annotations of one severity and step; more are only in the log.
const ANNOTATIONS_MAX: usize = 50;

/// What the commands of a step asked for.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) outputs: IndexMap<String, String>,
    pub(crate) state: IndexMap<String, String>,
    /// A command that may not be used: the step fails.
    pub(crate) refused: Option<String>,
}

/// The output of one step.
pub struct StepOutput {
    log: Arc<JobLog>,
    host: Arc<dyn JobHost>,
    step: u32,
    debug: bool,
    /// A line that may be a command, until its end is seen.
    held: Vec<u8>,
    /// The current line went to the log already, in part.
    passing: bool,
    /// Commands are off until this one comes.
    resume: Option<String>,
    annotations: [usize; 3],
    matchers: Arc<Matchers>,
    progress: Progress,
    /// What is looked for, and the line that has no end yet.
    coverage: Option<(Arc<Coverage>, Vec<u8>)>,
    pub(crate) asked: Asked,
}

impl StepOutput {
    pub(crate) fn new(log: Arc<JobLog>, host: Arc<dyn JobHost>, matchers: Arc<Matchers>, step: u32, debug: bool) -> Self {
        let (held, passing, resume) = (Vec::new(), false, None);
        let progress = Progress::default();
        let (coverage, asked) = (None, Asked::default());
        Self { log, host, step, debug, held, passing, resume, annotations: [0; 3], matchers, progress, coverage, asked }
    }

    /// Also looks for a percentage.
    pub(crate) fn covering(mut self, coverage: Option<Arc<Coverage>>) -> Self {
        self.coverage = coverage.map(|c| (c, Vec::new()));
        self
    }

    /// Shows a remark of a report, without a line in the log.
    pub(crate) async fn note(
        &mut self,
        severity: Severity,
        message: String,
        title: Option<String>,
        file: String,
        line: Option<u32>,
    ) -> HostResult<()> {
        self.show(severity, message, title, Some(file), line, None, None).await
    }

    /// Writes a line of ours.
    pub async fn line(&mut self, text: &str) -> HostResult<()> {
        self.end_line().await?;
        self.log.line(text).await
    }

    /// Writes an error line and shows it as annotation.
    pub async fn error(&mut self, message: &str) -> HostResult<()> {
        self.end_line().await?;
        self.remark(Severity::Error, message.to_owned(), None, None, None, None, None).await
    }

    /// Writes a warning line and shows it as annotation.
    pub async fn warning(&mut self, message: &str) -> HostResult<()> {
        self.end_line().await?;
        self.remark(Severity::Warning, message.to_owned(), None, None, None, None, None).await
    }

    /// The step has ended: nothing waits any more, and the log is at the beginning of a line.
    pub(crate) async fn finish(&mut self) -> HostResult<u64> {
        self.end_line().await?;
        self.log.flush().await
    }

    async fn end_line(&mut self) -> HostResult<()> {
        if !self.held.is_empty() {
            self.whole_line().await?;
        }
        if std::mem::take(&mut self.passing) {
            self.pass(b"\n").await?;
        }
        Ok(())
    }

    /// Writes output that is no command, and looks for problems in it: in the order of the output, since a command before it
    /// may have brought a matcher, and one behind it may take it away.
    async fn pass(&mut self, bytes: &[u8]) -> HostResult<()> {
        self.log.write(bytes).await?;
        if let Some((coverage, held)) = &mut self.coverage {
            coverage.look(held, bytes);
        }
        let matchers = Arc::clone(&self.matchers);
        for r in matchers.look(&mut self.progress, bytes) {
            self.show(r.severity.unwrap_or(Severity::Error), r.message, r.title, r.file, r.line, None, r.column).await?;
        }
        Ok(())
    }

    async fn take(&mut self, mut bytes: &[u8]) -> HostResult<()> {
        while !bytes.is_empty() {
            let newline = memchr::memchr(b'\n', bytes);
            if self.passing {
                let end = newline.map_or(bytes.len(), |at| at + 1);
                self.pass(&bytes[..end]).await?;
                self.passing = newline.is_none();
                bytes = &bytes[end..];
                continue;
            }
            if self.held.is_empty() {
                // the fast way: everything up to the first line that may be a command
                let plain = plain_lines(bytes);
                if plain > 0 {
                    self.pass(&bytes[..plain]).await?;
                    self.passing = bytes[plain - 1] != b'\n';
                    bytes = &bytes[plain..];
                    continue;
                }
            }
            let end = newline.unwrap_or(bytes.len());
            self.held.extend_from_slice(&bytes[..end]);
            bytes = &bytes[newline.map_or(end, |at| at + 1)..];
            if newline.is_some() {
                self.whole_line().await?;
                if std::mem::take(&mut self.passing) {
                    self.pass(b"\n").await?;
                }
            } else if self.held.len() > LINE_MAX || !commands::may_begin(&self.held) {
                let held = std::mem::take(&mut self.held);
                self.pass(&held).await?;
                self.passing = true;
            }
        }
        Ok(())
    }

    /// Carries out the held line, or passes it on and leaves its newline to the caller.
    async fn whole_line(&mut self) -> HostResult<()> {
        let held = std::mem::take(&mut self.held);
        let text = String::from_utf8_lossy(&held);
        let text = text.strip_suffix('\r').unwrap_or(&text);
        if let Some(token) = &self.resume {
            if text.trim() == format!("::{token}::") {
                self.resume = None;
                return Ok(());
            }
        } else if let Some(command) = commands::parse(text) {
            return self.carry_out(command, &held).await;
        }
        self.pass(&held).await?;
        self.passing = true;
        Ok(())
    }

    async fn carry_out(&mut self, command: CommandLine, raw: &[u8]) -> HostResult<()> {
        let CommandLine { name, mut properties, value } = command;
        match name.as_str() {
            "add-mask" => {
                self.log.mask_asked([value.as_str()]).await;
                self.log.line("::add-mask::***").await?;
            }
            "error" | "warning" | "notice" => {
                let severity = match name.as_str() {
                    "error" => Severity::Error,
                    "warning" => Severity::Warning,
                    _ => Severity::Notice,
                };
                let mut number = |key: &str| properties.remove(key).and_then(|v| v.parse().ok());
                let (line, end_line, column) = (number("line"), number("endline"), number("col"));
                let (title, file) = (properties.remove("title"), properties.remove("file"));
                self.remark(severity, value, title, file, line, end_line, column).await?;
            }
            "debug" => {
                if self.debug {
                    self.log.line(&format!("##[debug]{value}")).await?;
                }
            }
            "group" => self.log.line(&format!("##[group]{value}")).await?,
            "endgroup" => self.log.line("##[endgroup]").await?,
            "echo" => {}
            "set-output" => {
                if let Some(name) = properties.remove("name") {
                    self.asked.outputs.insert(name, value);
                }
            }
            "save-state" => {
                if let Some(name) = properties.remove("name") {
                    self.asked.state.insert(name, value);
                }
            }
            "stop-commands" => {
                // a short or common token would let output switch commands on again
                if value.trim().len() < 4 {
                    self.asked.refused = Some("stop-commands needs a token of at least four characters".into());
                } else {
                    self.resume = Some(value.trim().to_owned());
                }
            }
            "set-env" | "add-path" => {
                let file = if name == "set-env" { "GITHUB_ENV" } else { "GITHUB_PATH" };
                self.asked.refused = Some(format!("the `{name}` command is off because output can forge it; write to the file ${file}"));
            }
            "add-matcher" => {
                if let Err(why) = self.matchers.add(value.trim()) {
                    self.remark(Severity::Warning, format!("the problem matcher is not used: {why}"), None, None, None, None, None).await?;
                }
            }
            "remove-matcher" => self.matchers.remove(properties.get("owner").map_or("", String::as_str)),
            _ => {
                self.pass(raw).await?;
                self.passing = true;
            }
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of an annotation")]
    async fn remark(
        &mut self,
        severity: Severity,
        message: String,
        title: Option<String>,
        file: Option<String>,
        line: Option<u32>,
        end_line: Option<u32>,
        column: Option<u32>,
    ) -> HostResult<()> {
        let word = ["notice", "warning", "error"][severity as usize];
        let place = match (&file, line) {
            (Some(file), Some(line)) => format!("{file}:{line}: "),
            (Some(file), None) => format!("{file}: "),
            _ => String::new(),
        };
        self.log.line(&format!("##[{word}]{place}{message}")).await?;
        self.show(severity, message, title, file, line, end_line, column).await
    }

    /// Shows an annotation, the line of which is in the log.
    #[expect(clippy::too_many_arguments, reason = "the parts of an annotation")]
    async fn show(
        &mut self,
        severity: Severity,
        message: String,
        title: Option<String>,
        file: Option<String>,
        line: Option<u32>,
        end_line: Option<u32>,
        column: Option<u32>,
    ) -> HostResult<()> {
        let count = &mut self.annotations[severity as usize];
        *count += 1;
        if *count > ANNOTATIONS_MAX {
            return Ok(());
        }
        let message = self.log.masked(&message).await;
        let title = match title {
            Some(title) => Some(self.log.masked(&title).await),
            None => None,
        };
        self.host.annotate(Annotation { severity, message, title, file, line, end_line, column, step: Some(self.step) }).await
    }
}

#[async_trait::async_trait]
impl Output for StepOutput {
    async fn chunk(&mut self, bytes: &[u8]) -> Result<(), HostError> {
        self.take(bytes).await
    }
}

/// How many bytes from the start belong to lines that cannot be commands (the last one may be incomplete).
fn plain_lines(bytes: &[u8]) -> usize {
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let end = memchr::memchr(b'\n', rest);
        let line = &rest[..end.unwrap_or(rest.len())];
        if (end.is_some() && line.trim_ascii_start().starts_with(b"::")) || (end.is_none() && commands::may_begin(line)) {
            break;
        }
        at += end.map_or(rest.len(), |e| e + 1);
    }
    at
}
